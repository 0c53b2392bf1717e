"""ModSecurity: a rule's line in the error log, bare (log callback) or behind what nginx or Apache put before it.

What to know of these lines: the bare line states no time. Before it, nginx writes local time without a zone, in whole
seconds, and so does Apache. `unique_id` is that of the audit log.

Verdicts: `Warning` is flag (not enforced); `Access denied` is block (enforced); `Access allowed` is allow; another
word is unknown. A request that matched no rule has no line. The data that matched is left out of the attributes.
"""

import polars as pl

from strataline.format import Event, Format, Id, Time, group

NGINX = r"(?P<nginx_time>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[\w+\] \d+#\d+: (?:\*\d+ )?(?:\[client [^\]]*\] )?"
APACHE = r"\[\w{3} (?P<apache_time>\w{3} \d\d \d\d:\d\d:\d\d(?:\.\d+)? \d{4})\] (?:\[[^\]]*\] )*"

# Rules are quoted before these, and the tags are in this order in both generations. What a rule matched is skipped.
TAGS = (
    r'.*?\[id "(?P<rule>\d+)"\](?: \[rev "[^"]*"\])?(?: \[msg "(?P<msg>[^"]*)"\])?(?: \[data ".*?"\])?'
    r'(?: \[severity "(?P<severity>[^"]*)"\])?(?: \[ver "(?P<rules_version>[^"]*)"\])?'
    r'(?: \[(?:maturity|accuracy|tag) "[^"]*"\])*(?: \[hostname "(?P<host>[^"]*)"\])?(?: \[uri "(?P<path>[^"]*)"\])?'
    r' \[unique_id "(?P<unique_id>[^"]*)"\].*'
)
GROUPS = ("nginx_time", "apache_time", "what", "rule", "msg", "severity", "rules_version", "host", "path", "unique_id")

what = pl.col("what")
nginx = pl.col("nginx_time").str.replace_all("/", "-", literal=True)
apache = pl.col("apache_time").str.replace(r"^(\w+) (\d\d) (\S+) (\d{4})$", "$2 $1 $4 $3")
status = pl.col("what").str.extract(r"with code (\d{3})", 1)

FORMAT = Format(
    name="modsecurity_error_line",
    title="ModSecurity error log line",
    layer="policy",
    reference="https://github.com/owasp-modsecurity/ModSecurity/wiki/ModSecurity-2-Data-Formats#alerts",
    versions=("3.0.15",),
    verified=True,
    export="It stands in the error log of nginx or Apache, or in what the log callback of libmodsecurity is given.",
    limits="It tells of rules that matched, not of requests that passed.",
    container="text",
    pattern=rf"(?:{NGINX}|{APACHE})?ModSecurity: (?P<what>Warning|Access (?:denied|allowed)[^.]*)\. {TAGS}",
    begins=r"ModSecurity: (?:Warning|Access)",
    fields={name: group(name) for name in GROUPS},
    time=Time(pl.coalesce(nginx, apache)),
    columns={"service": pl.lit("modsecurity")},
    ids=(Id("request_id", "unique_id"),),
    events=(
        Event(
            "policy.decision",
            columns={
                "name": pl.coalesce("msg", "what"),
                "policy_name": "rule",
                "policy_stage": pl.lit("input"),
                "policy_version": "rules_version",
                "verdict": pl.when(what == "Warning")
                .then(pl.lit("flag"))
                .when(what.str.starts_with("Access denied"))
                .then(pl.lit("block"))
                .when(what.str.starts_with("Access allowed"))
                .then(pl.lit("allow"))
                .otherwise(pl.lit("unknown")),
                "enforced": pl.when(what == "Warning")
                .then(pl.lit(value=False))
                .when(what.str.starts_with("Access denied"))
                .then(pl.lit(value=True)),
                "outcome": pl.when(what.str.starts_with("Access denied"))
                .then(pl.lit("blocked"))
                .otherwise(pl.lit("ok")),
                "http_status": status.cast(pl.Int64, strict=False),
            },
            attributes={"severity": "severity", "host": "host", "path": "path"},
        ),
    ),
)
