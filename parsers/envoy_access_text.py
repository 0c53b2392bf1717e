"""Envoy: its default text access log, and the longer one that Istio makes of it.

What to know of these lines: the time is when the request came in, always UTC; retries within Envoy are one line, told
only by the response flags; where the client sends no x-request-id, Envoy makes one and passes it on.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, group, whole

MODEL = r"/(?:chat/completions|completions|embeddings|v1/(?:messages|responses|rerank)|api/(?:chat|generate))$"
HEAD = r"\[(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z)\] "
GROUPS = (
    *("time", "method", "target", "protocol", "status", "flags", "details", "failure", "duration"),
    *("upstream_ms", "agent", "request_id", "authority", "upstream", "cluster"),
)

bare = pl.col("target").str.replace(r"\?.*$", "")
status = whole("status")
flags = pl.when(pl.col("flags") != "-").then("flags")
is_model = bare.str.contains(MODEL).fill_null(value=False)


def _said(name: str) -> pl.Expr:
    """The field, unless it is the dash that stands for nothing."""
    return pl.when(pl.col(name) != "-").then(name)


FORMAT = Format(
    name="envoy_access_text",
    title="Envoy access log (text)",
    layer="other",
    reference="https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage#default-format-string",
    versions=("1.40.0",),
    verified=True,
    export="An access logger of Envoy without a format of its own, or Istio's `accessLogFile: /dev/stdout`.",
    limits="It has no trace id, and one line per request of a client, whatever Envoy retried.",
    container="text",
    pattern=HEAD
    + r'"(?P<method>\S+) (?P<target>\S+) (?P<protocol>\S+)" (?P<status>\d{1,3}) (?P<flags>\S+) '
    # Istio adds three fields here, and more at the end.
    + r'(?:(?P<details>\S+) \S+ "(?P<failure>[^"]*)" )?\d+ \d+ (?P<duration>\d+|-) (?P<upstream_ms>\d+|-) '
    + r'"[^"]*" "(?P<agent>[^"]*)" "(?P<request_id>[^"]*)" "(?P<authority>[^"]*)" "(?P<upstream>[^"]*)"'
    + r"(?: (?P<cluster>\S+) \S+ \S+ \S+ \S+ \S+)?",
    begins=r'\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z\] "',
    other=HEAD + '".*',
    fields={name: group(name) for name in GROUPS},
    time="time",
    duration=Duration(_said("duration"), "ms"),
    time_kind="start",
    columns={
        "service": pl.lit("envoy"),
        # The query is left out of the name: it may hold what a user typed.
        "name": pl.concat_str("method", bare, separator=" "),
        "http_status": pl.when(status > 0).then(status),
        "outcome": pl.when(flags.str.contains(r"\b(?:DC|DR)\b"))
        .then(pl.lit("cancelled"))
        .when(flags.str.contains(r"\b(?:UT|SI|DT|UMSDR)\b") | (status == 504))
        .then(pl.lit("timeout"))
        .when((status >= 400) | (status == 0))
        .then(pl.lit("error"))
        .otherwise(pl.lit("ok")),
        "error_type": flags,
    },
    ids=(Id("request_id", _said("request_id")),),
    attributes={
        "path": "target",
        "protocol": "protocol",
        "authority": _said("authority"),
        "response_code_details": _said("details"),
        "transport_failure": _said("failure"),
        "upstream_cluster": _said("cluster"),
        "upstream_host": _said("upstream"),
        "upstream_service_ms": _said("upstream_ms"),
        "user_agent": _said("agent"),
    },
    events=(Event("model.access", layer="model", when=is_model), Event("http.access", when=~is_model)),
)
