"""Console messages of a page, as Playwright and Puppeteer give them.

What to know of these messages: they have no time and no id. What the browser itself says (a load that failed, a policy
that refused one) stands beside what scripts of the page wrote. A refusal by the page's Content-Security-Policy may be
what a rendered answer tried to send elsewhere.
"""

import polars as pl

from strataline.format import Event, Format, Recognise, filled, path

TYPES = "log|debug|info|error|warning|warn|dir|dirxml|table|trace|clear|assert|timeEnd|startGroup|endGroup"
OWN = (
    r"(?:Failed to load resource: |(?:Loading|Connecting to|Executing|Applying|Framing|Refused to) [^\n]{0,900}"
    r"Content Security Policy|Access to [a-zA-Z]+ at |Uncaught |Mixed Content: )"
)

csp = pl.col("text").str.contains("Content Security Policy", literal=True)
monitored = pl.col("text").str.contains(r"(?i)report[- ]only")
refused = pl.col("text").str.contains(r"has been blocked|Refused to")
failed = pl.col("text").str.starts_with("Failed to load resource")

FORMAT = Format(
    name="browser_console_messages",
    title="Browser console (Playwright, Puppeteer)",
    layer="ui",
    reference="https://playwright.dev/docs/api/class-consolemessage",
    versions=("Playwright 1.65.1",),
    verified=True,
    export="page.on('console', …) of a Playwright or Puppeteer script, its type, text and location written as JSON.",
    limits="No time, user or request; only what one page wrote while it was watched.",
    recognise=Recognise(
        keys=(("type",), ("text",)),
        where=(
            (("type",), rf"^(?:{TYPES})$"),
            # Two such keys are common: a place in a script, or words that are the browser's own, make them this.
            ((), rf'"location"\s*:\s*\{{[^}}]*"(?:url|lineNumber)"|"text"\s*:\s*"{OWN}'),
        ),
    ),
    fields={"type": path("type"), "text": path("text")}
    | {"url": path("location", "url"), "line_number": path("location", "lineNumber")},
    columns={"service": pl.lit("browser")},
    attributes={"script": filled("url").str.replace(r"[?#].*$", ""), "script_line": "line_number"},
    events=(
        Event(
            kind="policy.decision",
            layer="policy",
            when=csp,
            columns={
                "name": pl.col("text").str.slice(0, 240),
                "policy_name": pl.col("text").str.extract(r'directive: "([a-z-]+)'),
                "policy_stage": pl.lit("output"),
                "verdict": pl.when(refused & ~monitored).then(pl.lit("block")).otherwise(pl.lit("flag")),
                "enforced": pl.when(monitored).then(pl.lit(value=False)).when(refused).then(pl.lit(value=True)),
                "outcome": pl.when(refused & ~monitored).then(pl.lit("blocked")),
            },
            attributes={"refused_url": pl.col("text").str.extract(r"'((?:https?|wss?|data|blob):[^']*)'")},
        ),
        Event(
            kind="ui.event",
            when=~csp,
            columns={
                "name": pl.col("text").str.slice(0, 240),
                "outcome": pl.when(pl.col("type").is_in(["error", "assert"])).then(pl.lit("error")),
                "http_status": pl.when(failed)
                .then(pl.col("text").str.extract(r"status of (\d{3})"))
                .cast(pl.Int64, strict=False),
            },
            attributes={"level": "type"},
        ),
    ),
)
