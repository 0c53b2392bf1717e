"""nginx: a JSON access log, whose keys the operator chose; read where they are nginx's own names.

What to know of these lines: they are written when the response ends, and so is their time; every value may be a text,
an empty one where nothing is known; after a retry the upstream fields are lists ("502, 200"), the last is the answer's;
`request_id` is nginx's own and need not be what the client sent (`http_x_request_id`).
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, Time, filled, path, whole

TRACEPARENT = r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-"
MODEL = r"/(?:chat/completions|completions|embeddings|v1/(?:messages|responses|rerank)|api/(?:chat|generate))$"
NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTHS = {f"/{name}/": f"/{number:02}/" for number, name in enumerate(NAMES, start=1)}

local = pl.col("time_local").str.replace_many(MONTHS).str.replace(r"^(\d\d)/(\d\d)/(\d{4}):", "$3-$2-${1}T")
request_line = pl.col("request").str.extract_groups(r"^(?<method>[A-Z]+) (?<target>\S+)").struct
target = pl.coalesce(filled("request_uri", "uri"), request_line.field("target"))
bare = target.str.replace(r"\?.*$", "")
is_model = bare.str.contains(MODEL).fill_null(value=False)
status = whole("status")
attempts = pl.when(pl.col("upstream_status").fill_null("").str.contains(r"\d")).then(
    pl.col("upstream_status").str.count_matches(r"\d{3}|-")
)

FORMAT = Format(
    name="nginx_access_json",
    title="nginx access log (JSON)",
    layer="other",
    reference="https://nginx.org/en/docs/http/ngx_http_log_module.html#log_format",
    versions=("1.22.1",),
    verified=True,
    export="A `log_format … escape=json` with nginx's variable names as keys, and `access_log` that names it.",
    limits="What is not in the log_format is not told; failed tries of a retry have no time and no id of their own.",
    recognise=Recognise(
        keys=(("status",),),
        any_of=(
            (("time_iso8601",), ("time_local",), ("msec",), ("time",), ("timestamp",), ("@timestamp",)),
            (("request_time",), ("upstream_response_time",)),
            (("request_uri",), ("request",), ("uri",)),
            (("body_bytes_sent",), ("bytes_sent",), ("upstream_addr",)),
        ),
    ),
    fields={
        name: path(name)
        for name in (
            *("time_iso8601", "time_local", "timestamp", "remote_user", "request", "request_method", "request_uri"),
            *("uri", "status", "upstream_addr", "upstream_status", "http_user_agent", "request_id"),
            *("http_x_request_id", "http_traceparent", "http_x_session_id", "server_name"),
        )
    }
    # Of these the digits matter as they are written.
    | {name: path(name, verbatim=True) for name in ("msec", "time", "request_time", "upstream_response_time")}
    | {
        "at": path("@timestamp"),
        "litellm_call": path("sent_http_x_litellm_call_id"),
        "answered_id": path("sent_http_x_request_id"),
        "upstream_id": path("upstream_http_x_request_id"),
    },
    time=Time(pl.coalesce(filled("msec", "time_iso8601"), local, filled("at", "timestamp", "time"))),
    duration=Duration("request_time", "s"),
    time_kind="end",
    columns={
        "service": pl.lit("nginx"),
        # The query is left out of the name: it may hold what a user typed.
        "name": pl.concat_str(
            pl.coalesce(filled("request_method"), request_line.field("method"), pl.lit("-")),
            bare.fill_null("-"),
            separator=" ",
        ),
        "user": pl.when(pl.col("remote_user") != "-").then(filled("remote_user")),
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
        "session": filled("http_x_session_id"),
        "parent_id": pl.col("http_traceparent").str.extract(TRACEPARENT, 2),
    },
    ids=(
        Id("request_id", "http_x_request_id"),
        Id("request_id", "request_id"),
        Id("trace_id", pl.col("http_traceparent").str.extract(TRACEPARENT, 1)),
        Id("call_id", "litellm_call"),
        Id("provider_request_id", filled("upstream_id", "answered_id")),
    ),
    attributes={
        "path": target,
        "server_name": filled("server_name"),
        "upstream": filled("upstream_addr"),
        "upstream_status": filled("upstream_status"),
        "upstream_response_time": filled("upstream_response_time"),
        "user_agent": filled("http_user_agent"),
    },
    events=(Event("model.access", layer="model", when=is_model), Event("http.access", when=~is_model)),
)
