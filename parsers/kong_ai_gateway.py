"""Kong Gateway: records of its log plugins (http-log, file-log, tcp-log, kafka-log), with AI Gateway's `ai` or without.

What to know of these records: `started_at` is when the request came in; `request.id` is Kong's own and is returned as
X-Kong-Request-Id; AI plugins write either below `ai.proxy` or below `ai` itself; `response_model` repeats the requested
one where the provider named none; token counts of streamed answers may be 0; an empty block reason means that a guard
let it pass, which is believed only where the guard's latency shows that it ran.
"""

import polars as pl

from strataline.format import Documents, Duration, Event, Field, Format, Id, Recognise, Time, filled, path, whole, words

TRACEPARENT = r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-"
MODEL = r"/(?:chat/completions|completions|embeddings|v1/(?:messages|responses|rerank)|api/(?:chat|generate))$"
GUARDS = {
    "aws": "aws-guardrails",
    "azure": "azure-content-safety",
    "lakera": "lakera-guard",
    "gcp": "gcp-model-armor",
    "custom": "custom-guardrail",
}


def _either(name: str, other: str, *segments: str) -> dict[str, Field]:
    """A field that lies below ``ai.proxy``, or below ``ai``."""
    return {name: path("ai", "proxy", *segments), other: path("ai", *segments)}


def _texts(name: str) -> pl.Expr:
    """The texts of a JSON list of chat messages, parted by empty lines, without the JSON around them."""
    quoted = pl.col(name).str.extract_all(r'"(?:content|text)":\s*"(?:[^"\\]|\\.)*"')
    bare = pl.element().str.replace(r'^"(?:content|text)":\s*"', "").str.strip_suffix('"')
    escapes = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\"": '"', r"\/": "/", "\\\\": "\\"}
    joined = quoted.list.eval(bare).list.join("\n\n").str.replace_many(escapes)
    return pl.when(joined != "").then(joined).otherwise(pl.col(name))


def _float(name: str) -> pl.Expr:
    """The field as a number, under its own name."""
    return pl.col(name).cast(pl.Float64, strict=False)


def _guard(name: str, stage: str) -> Event:
    """The verdict of one guard on one side."""
    reason, took = pl.col("reason"), _float("guard_ms")
    stopped = (reason != "").fill_null(value=False)
    return Event(
        "policy.decision",
        layer="policy",
        when=pl.col(name).str.contains(f'"{stage}_(?:block_reason|processing_latency)"'),
        each=name,
        fields={
            "reason": path(f"{stage}_block_reason"),
            "guard_ms": path(f"{stage}_processing_latency"),
            "guard_mode": path("mode"),
            "guard_id": path("guardrails_id"),
            "guard_version": path("guardrails_version"),
        },
        columns={
            "name": pl.lit(GUARDS[name]),
            "policy_name": pl.coalesce(filled("guard_id"), pl.lit(GUARDS[name])),
            "policy_version": "guard_version",
            "policy_stage": pl.lit(stage),
            "policy_mode": "guard_mode",
            "verdict": pl.when(stopped)
            .then(pl.lit("block"))
            .when((reason == "") & (took > 0))
            .then(pl.lit("allow"))
            .otherwise(pl.lit("unknown")),
            "enforced": pl.when(stopped).then(pl.lit(value=True)),
            "outcome": pl.when(stopped).then(pl.lit("blocked")).when(took > 0).then(pl.lit("ok")),
        },
        attributes={"guard": pl.lit(GUARDS[name]), "reason": filled("reason"), "latency_ms": "guard_ms"},
    )


bare = pl.col("uri").str.replace(r"\?.*$", "")
status = whole("status")
requested, served = filled("request_model", "request_model_2"), filled("response_model", "response_model_2")
mode = filled("mode_here", "mode_there")
called = requested.is_not_null() | filled("provider", "provider_2").is_not_null()
is_model = bare.str.contains(MODEL).fill_null(value=False)
blocked = pl.any_horizontal(
    pl.col(name).str.contains(r'"(?:input|output)_block_reason":\s*"[^"]').fill_null(value=False) for name in GUARDS
)
attempts = pl.when(pl.col("upstream_status").fill_null("").str.contains(r"\d")).then(
    pl.col("upstream_status").str.count_matches(r"\d{3}|-")
)
identified, sanitized = whole("pii_identified"), whole("pii_sanitized")

FORMAT = Format(
    name="kong_ai_gateway",
    title="Kong Gateway and AI Gateway log record",
    layer="model",
    reference="https://developer.konghq.com/ai-gateway/ai-audit-log-reference/",
    versions=("3.8",),
    verified=True,
    export="A log plugin (http-log, file-log, tcp-log, …); `logging.log_statistics` of the AI plugins adds `ai`, and"
    " `logging.log_payloads` the texts.",
    limits="The provider's own request id is not in it, and a failed target has no time of its own.",
    recognise=Recognise(keys=(("started_at",), ("latencies", "kong"), ("latencies", "request"), ("request", "uri"))),
    fields={
        "started_at": path("started_at", verbatim=True),
        "took": path("latencies", "request"),
        "proxy_ms": path("latencies", "proxy"),
        "method": path("request", "method"),
        "uri": path("request", "uri"),
        "request_id": path("request", "id"),
        "sent_request": path("request", "headers", "x-request-id"),
        "correlation": path("request", "headers", "kong-request-id"),
        "traceparent": path("request", "headers", "traceparent"),
        "trace_id": path("trace_id", "w3c"),
        "answered_id": path("response", "headers", "x-request-id"),
        "status": path("response", "status"),
        "upstream_status": path("upstream_status"),
        "source": path("source"),
        "client_ip": path("client_ip"),
        "consumer": path("consumer", "username"),
        "consumer_id": path("consumer", "id"),
        "workspace": path("workspace_name"),
        "route": path("route", "name"),
        "kong_service": path("service", "name"),
        **_either("request_model", "request_model_2", "meta", "request_model"),
        **_either("response_model", "response_model_2", "meta", "response_model"),
        **_either("provider", "provider_2", "meta", "provider_name"),
        **_either("mode_here", "mode_there", "meta", "request_mode"),
        **_either("llm_ms", "llm_ms_2", "meta", "llm_latency"),
        **_either("plugin", "plugin_2", "meta", "plugin_id"),
        **_either("prompt_tokens", "prompt_tokens_2", "usage", "prompt_tokens"),
        **_either("completion_tokens", "completion_tokens_2", "usage", "completion_tokens"),
        **_either("cost", "cost_2", "usage", "cost"),
        **_either("first_token", "first_token_2", "usage", "time_to_first_token"),
        **_either("sent", "sent_2", "payload", "request"),
        **_either("answer", "answer_2", "payload", "response"),
        "targets": path("ai", "proxy", "tried_targets"),
        **_either("cache", "cache_2", "cache", "cache_status"),
        "chunks": path("ai", "proxy", "rag-inject", "chunk_ids"),
        "vector_db": path("ai", "proxy", "rag-inject", "vector_db"),
        "rag_embedder": path("ai", "proxy", "rag-inject", "embeddings_model"),
        "rag_ms": path("ai", "proxy", "rag-inject", "fetch_latency"),
        "pii_identified": path("ai", "sanitizer", "pii_identified"),
        "pii_sanitized": path("ai", "sanitizer", "pii_sanitized"),
        "mcp_session": path("ai", "mcp", "mcp_session_id"),
        "rpc": path("ai", "mcp", "rpc"),
        "audit": path("ai", "mcp", "audit"),
    }
    | {name: path("ai", "proxy", guard) for name, guard in GUARDS.items()},
    time=Time("started_at", "ms"),
    time_kind="start",
    columns={
        "service": pl.lit("kong"),
        "user": filled("consumer", "consumer_id"),
        "session": filled("mcp_session"),
        "parent_id": pl.col("traceparent").str.extract(TRACEPARENT, 2),
    },
    ids=(
        Id("request_id", "request_id"),
        Id("request_id", "sent_request"),
        Id("request_id", "correlation"),
        Id("trace_id", pl.coalesce(pl.col("traceparent").str.extract(TRACEPARENT, 1), filled("trace_id"))),
        Id("provider_request_id", "answered_id"),
    ),
    events=(
        Event(
            pl.when(called)
            .then(pl.lit("model.call"))
            .when(is_model)
            .then(pl.lit("model.access"))
            .otherwise(pl.lit("http.access")),
            layer="model",
            when=called | is_model,
            duration=Duration("took", "ms"),
            columns={
                # The query is left out of the name: it may hold what a user typed.
                "name": pl.concat_str(pl.col("method").fill_null("-"), bare.fill_null("-"), separator=" "),
                "http_status": status,
                "outcome": pl.when(blocked)
                .then(pl.lit("blocked"))
                .when(status == 499)
                .then(pl.lit("cancelled"))
                .when(status.is_in([408, 504]))
                .then(pl.lit("timeout"))
                .when(status >= 400)
                .then(pl.lit("error"))
                .when(status.is_not_null())
                .then(pl.lit("ok")),
                "attempt": attempts,
                "requested_model": requested,
                "served_model": served,
                "provider": filled("provider", "provider_2"),
                "input_tokens": pl.coalesce(whole("prompt_tokens"), whole("prompt_tokens_2")),
                "output_tokens": pl.coalesce(whole("completion_tokens"), whole("completion_tokens_2")),
                "cost_usd": pl.coalesce(_float("cost"), _float("cost_2")),
                "cache": filled("cache", "cache_2").str.to_lowercase(),
                "stream": pl.when(mode.is_in(["stream", "oneshot"])).then(mode == "stream"),
                "input": pl.coalesce(_texts("sent"), _texts("sent_2")),
                "output": pl.coalesce(_texts("answer"), _texts("answer_2")),
                "content_state": pl.when(filled("sent", "sent_2").is_null())
                .then(pl.lit("absent"))
                .otherwise(pl.lit("full")),
            },
            attributes={
                "path": "uri",
                "route": "route",
                "kong_service": "kong_service",
                "workspace": "workspace",
                "answered_by": "source",
                "upstream_status": filled("upstream_status"),
                "proxy_ms": "proxy_ms",
                "llm_ms": filled("llm_ms", "llm_ms_2"),
                "first_token_ms": filled("first_token", "first_token_2"),
                "plugin_id": filled("plugin", "plugin_2"),
                "client": "client_ip",
            },
        ),
        Event(
            "http.access",
            layer="other",
            when=~called & ~is_model,
            duration=Duration("took", "ms"),
            columns={
                "name": pl.concat_str(pl.col("method").fill_null("-"), bare.fill_null("-"), separator=" "),
                "http_status": status,
                "outcome": pl.when(status.is_in([408, 504]))
                .then(pl.lit("timeout"))
                .when(status >= 400)
                .then(pl.lit("error"))
                .when(status.is_not_null())
                .then(pl.lit("ok")),
                "attempt": attempts,
            },
            attributes={
                "path": "uri",
                "route": "route",
                "kong_service": "kong_service",
                "workspace": "workspace",
                "answered_by": "source",
                "upstream_status": filled("upstream_status"),
                "client": "client_ip",
            },
        ),
        Event(
            "model.attempt",
            each="targets",
            fields={
                "model": path("model"),
                "target_provider": path("provider"),
                "host": path("host"),
                "route_type": path("route_type"),
            },
            columns={
                "name": pl.concat_str(
                    pl.col("target_provider").fill_null("-"), pl.col("host").fill_null("-"), separator=" "
                ),
                "requested_model": "model",
                "provider": "target_provider",
            },
            attributes={"host": "host", "route_type": "route_type"},
        ),
        Event(
            "retrieval.query",
            layer="retrieval",
            when=pl.col("chunks").is_not_null(),
            columns={"name": pl.lit("ai-rag-injector"), "embedding_model": "rag_embedder"},
            attributes={"fetch_ms": "rag_ms", "vector_db": "vector_db"},
            documents=Documents("chunks"),
        ),
        Event(
            "policy.decision",
            layer="policy",
            when=identified.is_not_null(),
            columns={
                "name": pl.lit("ai-sanitizer"),
                "policy_name": pl.lit("ai-sanitizer"),
                "policy_stage": pl.lit("input"),
                "verdict": pl.when(sanitized > 0)
                .then(pl.lit("redact"))
                .when(identified == 0)
                .then(pl.lit("allow"))
                .when(identified > 0)
                .then(pl.lit("flag"))
                .otherwise(pl.lit("unknown")),
                "enforced": pl.when(identified > 0).then(sanitized > 0),
            },
            attributes={"identified": "pii_identified", "sanitized": "pii_sanitized"},
        ),
        *(_guard(name, stage) for name in GUARDS for stage in ("input", "output")),
        Event(
            "app.step",
            layer="other",
            each="rpc",
            fields={
                "rpc_method": path("method"),
                "tool": path("tool_name"),
                "rpc_ms": path("latency"),
                "error": path("error"),
            },
            duration=Duration("rpc_ms", "ms"),
            columns={
                "name": pl.concat_str(pl.col("rpc_method").fill_null("-"), pl.col("tool").fill_null(""), separator=" "),
                "outcome": pl.when(pl.col("error").fill_null("") != "").then(pl.lit("error")),
                "error_type": filled("error"),
            },
            attributes={"tool": "tool"},
        ),
        Event(
            "policy.decision",
            layer="policy",
            each="audit",
            fields={"action": path("action"), "primitive": path("primitive_name"), "kind_of": path("primitive")},
            columns={
                "name": pl.lit("mcp access control"),
                "policy_name": pl.lit("mcp access control"),
                "policy_stage": pl.lit("tool"),
                "verdict": words("action", {"allow": "allow", "deny": "block"}, default="unknown").fill_null("unknown"),
                "enforced": pl.when(pl.col("action").eq("deny")).then(pl.lit(value=True)),
            },
            attributes={"primitive": "primitive", "primitive_kind": "kind_of"},
        ),
    ),
)
