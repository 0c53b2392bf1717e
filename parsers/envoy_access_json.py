"""Envoy: a JSON access log without AI keys, as Envoy Gateway, Istio and Contour configure it.

What to know of these lines: `start_time` is when the request came in; retries within Envoy are one line, told only by
the response flags; where the client sends no x-request-id, Envoy makes one and passes it on.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, filled, path, whole

TRACEPARENT = r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-"
MODEL = r"/(?:chat/completions|completions|embeddings|v1/(?:messages|responses|rerank)|api/(?:chat|generate))$"

target = filled("origin_path", "original_path", "request_path", "path")
bare = target.str.replace(r"\?.*$", "")
status = whole("response_code")
flags = pl.when(pl.col("response_flags") != "-").then(filled("response_flags"))
is_model = bare.str.contains(MODEL).fill_null(value=False)

FORMAT = Format(
    name="envoy_access_json",
    title="Envoy access log (JSON)",
    layer="other",
    reference="https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage",
    versions=("1.40.0",),
    verified=True,
    export="`json_format` of an access logger in Envoy's configuration, the default of Envoy Gateway, or Istio's"
    " `accessLogEncoding: JSON`; on the standard output of the proxy.",
    limits="One line per request of a client: which of Envoy's own retries failed, and why, is not told.",
    recognise=Recognise(
        keys=(("start_time",), ("response_code",), ("response_flags",), ("upstream_host",), ("bytes_received",))
    ),
    fields={
        "start_time": path("start_time"),
        "duration": path("duration"),
        "method": path("method"),
        "origin_path": path("x-envoy-origin-path"),
        "original_path": path("x-envoy-original-path"),
        "request_path": path("request.path"),
        "path": path("path"),
        "authority": path(":authority"),
        "authority_2": path("authority"),
        "response_code": path("response_code"),
        "response_flags": path("response_flags"),
        "details": path("response_code_details"),
        "failure": path("upstream_transport_failure_reason"),
        "request_id": path("x-request-id"),
        "request_id_2": path("request_id"),
        "request_id_3": path("x_request_id"),
        "traceparent": path("traceparent"),
        "trace_id": path("trace_id"),
        "upstream_cluster": path("upstream_cluster"),
        "upstream_host": path("upstream_host"),
        "upstream_ms": path("x-envoy-upstream-service-time"),
        "upstream_ms_2": path("upstream_service_time"),
        "user_agent": path("user-agent"),
        "user_agent_2": path("user_agent"),
    },
    time="start_time",
    duration=Duration("duration", "ms"),
    time_kind="start",
    columns={
        "service": pl.lit("envoy"),
        # The query is left out of the name: it may hold what a user typed.
        "name": pl.concat_str(pl.col("method").fill_null("-"), bare.fill_null("-"), separator=" "),
        "http_status": pl.when(status > 0).then(status),
        "outcome": pl.when(flags.str.contains(r"\b(?:DC|DR)\b"))
        .then(pl.lit("cancelled"))
        .when(flags.str.contains(r"\b(?:UT|SI|DT|UMSDR)\b") | (status == 504))
        .then(pl.lit("timeout"))
        .when((status >= 400) | (status == 0))
        .then(pl.lit("error"))
        .when(status.is_not_null())
        .then(pl.lit("ok")),
        "error_type": flags,
        "parent_id": pl.col("traceparent").str.extract(TRACEPARENT, 2),
    },
    ids=(
        Id("request_id", filled("request_id", "request_id_2", "request_id_3")),
        Id("trace_id", pl.coalesce(pl.col("traceparent").str.extract(TRACEPARENT, 1), filled("trace_id"))),
    ),
    attributes={
        "path": target,
        "authority": filled("authority", "authority_2"),
        "response_code_details": "details",
        "transport_failure": "failure",
        "upstream_cluster": "upstream_cluster",
        "upstream_host": "upstream_host",
        "upstream_service_ms": filled("upstream_ms", "upstream_ms_2"),
        "user_agent": filled("user_agent", "user_agent_2"),
    },
    events=(Event("model.access", layer="model", when=is_model), Event("http.access", when=~is_model)),
)
