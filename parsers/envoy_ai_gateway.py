"""Envoy AI Gateway: its JSON access log, one line per request of a client.

What to know of these lines: `start_time` is when the request came in; retries within Envoy are one line, told only by
`response_flags`; on an error all `gen_ai` values may be null, so the path tells a model call as well; the provider is
the name of a backend in a route; `jsonrpc.request.id` counts from 1 in each MCP session.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, filled, path, present, whole

TRACEPARENT = r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-"
MODEL = r"/(?:chat/completions|completions|embeddings|v1/(?:messages|responses|rerank)|api/(?:chat|generate))$"

target = filled("origin_path", "request_path", "path")
bare = target.str.replace(r"\?.*$", "")
status = whole("response_code")
flags = pl.when(pl.col("response_flags") != "-").then(filled("response_flags"))
requested = filled("original_model", "request_model", "model_name")
is_mcp = present("mcp_method")
is_model = ~is_mcp & (requested.is_not_null() | bare.str.contains(MODEL).fill_null(value=False))
backend = filled("provider_name", "backend_name")

FORMAT = Format(
    name="envoy_ai_gateway",
    title="Envoy AI Gateway access log",
    layer="model",
    reference="https://aigateway.envoyproxy.io/docs/capabilities/observability/accesslogs",
    versions=("Envoy 1.40.0",),
    verified=True,
    export="EnvoyProxy resource, `telemetry.accessLog.settings[].format` of type JSON with the documented gen_ai keys;"
    " the lines are on the standard output of the Envoy pod.",
    limits="Prompts and answers are not in it, and retries within Envoy are not lines of their own.",
    recognise=Recognise(
        keys=(("start_time",), ("response_code",), ("upstream_host",), ("bytes_received",), ("duration",)),
        any_of=(
            (
                ("gen_ai.request.model",),
                ("gen_ai.provider.name",),
                ("genai_model_name",),
                ("genai_backend_name",),
                ("mcp.method.name",),
            ),
        ),
    ),
    fields={
        "start_time": path("start_time"),
        "duration": path("duration"),
        "method": path("method"),
        "origin_path": path("x-envoy-origin-path"),
        "request_path": path("request.path"),
        "path": path("path"),
        "authority": path(":authority"),
        "response_code": path("response_code"),
        "response_flags": path("response_flags"),
        "details": path("response_code_details"),
        "failure": path("upstream_transport_failure_reason"),
        "termination": path("connection_termination_details"),
        "request_id": path("x-request-id"),
        "traceparent": path("traceparent"),
        "trace_id": path("trace_id"),
        "session_id": path("session.id"),
        "mcp_session": path("mcp.session.id"),
        "mcp_method": path("mcp.method.name"),
        "mcp_provider": path("mcp.provider.name"),
        "jsonrpc_id": path("jsonrpc.request.id"),
        "request_model": path("gen_ai.request.model"),
        "original_model": path("gen_ai.original.model"),
        "override": path("gen_ai.request.model_override"),
        "response_model": path("gen_ai.response.model"),
        "provider_name": path("gen_ai.provider.name"),
        "model_name": path("genai_model_name"),
        "backend_name": path("genai_backend_name"),
        "input_tokens": path("gen_ai.usage.input_tokens"),
        "output_tokens": path("gen_ai.usage.output_tokens"),
        "reasoning_tokens": path("gen_ai.usage.reasoning_tokens"),
        "tokens_input": path("genai_tokens_input"),
        "tokens_output": path("genai_tokens_output"),
        "upstream_cluster": path("upstream_cluster"),
        "upstream_host": path("upstream_host"),
        "upstream_ms": path("x-envoy-upstream-service-time"),
        "user_agent": path("user-agent"),
    },
    time="start_time",
    duration=Duration("duration", "ms"),
    time_kind="start",
    columns={
        "service": pl.lit("envoy"),
        # The query is left out of the name: it may hold what a user typed.
        "name": pl.concat_str(pl.col("method").fill_null("-"), bare.fill_null("-"), separator=" "),
        "session": filled("session_id", "mcp_session"),
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
        Id("request_id", "request_id"),
        Id("trace_id", pl.coalesce(pl.col("traceparent").str.extract(TRACEPARENT, 1), filled("trace_id"))),
    ),
    attributes={
        "path": target,
        "authority": "authority",
        "response_code_details": "details",
        "transport_failure": "failure",
        "termination": "termination",
        "upstream_cluster": "upstream_cluster",
        "upstream_host": "upstream_host",
        "upstream_service_ms": "upstream_ms",
        "user_agent": "user_agent",
    },
    events=(
        Event(
            "model.call",
            when=is_model,
            columns={
                "requested_model": requested,
                "served_model": filled("response_model"),
                "provider": pl.coalesce(backend.str.extract(r"^[^/]+/([^/]+)/route/", 1), backend),
                "input_tokens": pl.coalesce(whole("input_tokens"), whole("tokens_input")),
                "output_tokens": pl.coalesce(whole("output_tokens"), whole("tokens_output")),
                "content_state": pl.lit("absent"),
            },
            attributes={
                "backend": backend,
                "sent_model": filled("override"),
                "reasoning_tokens": "reasoning_tokens",
            },
        ),
        Event(
            "app.step",
            layer="other",
            when=is_mcp,
            columns={"name": pl.concat_str("mcp_method", pl.col("mcp_provider").fill_null("-"), separator=" ")},
            attributes={"mcp_method": "mcp_method", "mcp_server": "mcp_provider", "jsonrpc_id": "jsonrpc_id"},
        ),
        Event("http.access", layer="other", when=~is_model & ~is_mcp),
    ),
)
