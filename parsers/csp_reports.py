"""Content-Security-Policy violation reports, as browsers post them (`report-uri`, and the Reporting API).

What to know of these reports: they have no time (`age` counts milliseconds before an unknown moment) and no id; only
what wraps them, or who received them, can tell. An image or fetch that was refused may be what a rendered answer tried
to send elsewhere: its URL is kept whole. Without `disposition` nothing says whether the policy was enforced.
"""

import polars as pl

from strataline.format import Event, Format, Recognise, filled, path

OLD = ("csp-report",)
refused = filled("blocked", "blocked_2")
directive = filled("directive", "violated", "directive_2").str.extract(r"^(\S+)")
disposition = filled("disposition", "disposition_2")

FORMAT = Format(
    name="csp_reports",
    title="CSP violation reports",
    layer="policy",
    reference="https://www.w3.org/TR/CSP3/#violation-reports",
    versions=("Chromium 156",),
    verified=True,
    export="Whatever stores the bodies that browsers post to the report-uri or report-to endpoint.",
    limits="No time, user or request: only the page and what it was refused.",
    recognise=Recognise(
        any_of=(
            ((*OLD, "document-uri"), ("body", "documentURL")),
            ((*OLD, "violated-directive"), (*OLD, "effective-directive"), ("body", "effectiveDirective")),
            ((*OLD, "blocked-uri"), ("body", "blockedURL")),
        )
    ),
    fields={
        "page": path(*OLD, "document-uri"),
        "page_2": path("body", "documentURL"),
        "directive": path(*OLD, "effective-directive"),
        "violated": path(*OLD, "violated-directive"),
        "directive_2": path("body", "effectiveDirective"),
        "blocked": path(*OLD, "blocked-uri"),
        "blocked_2": path("body", "blockedURL"),
        "disposition": path(*OLD, "disposition"),
        "disposition_2": path("body", "disposition"),
        "file": path(*OLD, "source-file"),
        "file_2": path("body", "sourceFile"),
        "sample": path(*OLD, "script-sample"),
        "sample_2": path("body", "sample"),
        "policy": path(*OLD, "original-policy"),
        "policy_2": path("body", "originalPolicy"),
        "age": path("age"),
    },
    columns={"service": pl.lit("browser")},
    events=(
        Event(
            kind="policy.decision",
            columns={
                "name": pl.concat_str(directive, refused.str.replace(r"[?#].*$", ""), separator=" ", ignore_nulls=True),
                "policy_name": directive,
                "policy_mode": disposition.replace_strict(
                    {"enforce": "enforce", "report": "monitor"}, default=None, return_dtype=pl.String
                ),
                "policy_stage": pl.lit("output"),
                "verdict": pl.when(disposition == "enforce").then(pl.lit("block")).otherwise(pl.lit("flag")),
                "enforced": pl.when(disposition == "enforce")
                .then(pl.lit(value=True))
                .when(disposition == "report")
                .then(pl.lit(value=False)),
                "outcome": pl.when(disposition == "enforce").then(pl.lit("blocked")),
            },
            attributes={
                "refused_url": refused,
                "page": filled("page", "page_2").str.replace(r"[?#].*$", ""),
                "source_file": filled("file", "file_2"),
                "sample": filled("sample", "sample_2"),
                "policy": filled("policy", "policy_2"),
                "age_ms": "age",
            },
        ),
    ),
)
