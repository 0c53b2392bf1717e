"""Access lines in the combined format: nginx, Apache httpd, gunicorn and whoever writes as they do.

What to know of these lines: nginx and gunicorn write them when the response ends, Apache with the time at which the
request came; the lines do not say whose they are, and the time is taken for the end. Times have whole seconds. No id is
in the plain form; ingress-nginx adds times and its own request id.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Time, group, whole

MODEL = r"/(?:chat/completions|completions|embeddings|v1/(?:messages|responses|rerank)|api/(?:chat|generate))$"
NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTHS = {name: f"{number:02}" for number, name in enumerate(NAMES, start=1)}
STAMP = r"\[(?P<day>\d\d)/(?P<month>[A-Z][a-z]{2})/(?P<year>\d{4}):(?P<clock>\d\d:\d\d:\d\d [+-]\d{4})\]"
GROUPS = (
    *("client", "user", "day", "month", "year", "clock", "method", "target", "protocol", "status", "referer", "agent"),
    *("request_time", "upstream", "upstream_time", "upstream_status", "request_id", "stamp"),
)

bare = pl.col("target").str.replace(r"\?.*$", "")
is_model = bare.str.contains(MODEL).fill_null(value=False)
status = whole("status")
month = pl.col("month").replace_strict(MONTHS, default=None, return_dtype=pl.String)
date = pl.concat_str("year", month, "day", separator="-")
attempts = pl.when(pl.col("upstream_status").str.contains(r"\d")).then(
    pl.col("upstream_status").str.count_matches(r"\d{3}|-")
)


def _said(name: str) -> pl.Expr:
    """The field, unless it is the dash that stands for nothing."""
    return pl.when(pl.col(name) != "-").then(name)


FORMAT = Format(
    name="nginx_access_combined",
    title="Access log (combined: nginx, Apache, gunicorn)",
    layer="other",
    reference="https://nginx.org/en/docs/http/ngx_http_log_module.html#log_format",
    versions=("nginx 1.22.1", "gunicorn 27.0.1"),
    verified=True,
    export="nginx: `access_log` without a format, /var/log/nginx/access.log; gunicorn: `--access-logfile -`.",
    limits="It has no id and no duration, so a line can be tied to a request only by its second, path and status.",
    container="text",
    pattern=r"(?P<client>\S+) \S+ (?P<user>[^\[\]]*?) "
    + STAMP
    + r' "(?:(?P<method>[A-Z]+) (?P<target>\S+)(?: (?P<protocol>HTTP/[0-9.]+))?|[^"]*)" (?P<status>\d{3}) (?:\d+|-)'
    + r'(?: "(?P<referer>[^"]*)" "(?P<agent>(?:[^"\\]|\\.)*)")?'
    # The form of nginx's own packages ends in X-Forwarded-For, that of ingress-nginx in the upstream and an id.
    + r'(?: "[^"]*"| \d+ (?P<request_time>[0-9.]+) \[[^\]]*\] \[[^\]]*\] (?P<upstream>\S+(?:, \S+)*) \S+(?:, \S+)* '
    + r"(?P<upstream_time>\S+(?:, \S+)*) (?P<upstream_status>\S+(?:, \S+)*) (?P<request_id>[0-9a-f]{32}))?",
    begins=r"\d{1,3}(?:\.\d{1,3}){3} \S+ \S+ \[\d\d/[A-Z][a-z]{2}/\d{4}:",
    other=r"(?P<client>\S+) \S+ (?P<user>[^\[\]]*?) "
    + STAMP
    # gunicorn's own lines, where both go to one place.
    + r".*|\[(?P<stamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4})\] \[\d+\] \[[A-Z]+\] .*",
    fields={name: group(name) for name in GROUPS},
    time=Time(pl.coalesce(pl.concat_str(date, "clock", separator=" "), "stamp"), "iso"),
    duration=Duration("request_time", "s"),
    time_kind="end",
    columns={
        "service": pl.lit("access"),
        # The query is left out of the name: it may hold what a user typed.
        "name": pl.concat_str(pl.col("method").fill_null("-"), bare.fill_null("-"), separator=" "),
        "user": _said("user"),
        "http_status": status,
        "outcome": pl.when(status == 499)
        .then(pl.lit("cancelled"))
        .when(status.is_in([408, 504]))
        .then(pl.lit("timeout"))
        .when(status >= 400)
        .then(pl.lit("error"))
        .when(status >= 100)
        .then(pl.lit("ok")),
        "attempt": attempts,
    },
    ids=(Id("request_id", "request_id"),),
    attributes={
        "path": "target",
        "client": "client",
        "protocol": "protocol",
        "referer": _said("referer"),
        "user_agent": _said("agent"),
        "upstream": _said("upstream"),
        "upstream_status": _said("upstream_status"),
        "upstream_response_time": _said("upstream_time"),
    },
    events=(Event("model.access", layer="model", when=is_model), Event("http.access", when=~is_model)),
)
