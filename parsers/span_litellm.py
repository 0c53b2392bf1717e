"""LiteLLM's own spans (callback `otel`): the gateway's request, and its guardrails.

What to know of these spans: the operation is always `chat`, so `llm.request.type` counts; what the caller sent stands
in `metadata.requester_*` as Python's own notation, not JSON; the request model is the deployment that was called, the
response model may be the alias that the caller asked for; an answer from the cache repeats the first one's id and
cost; without a `guardrail_status` (older versions) a guardrail span tells no verdict.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, filled, inside, number, path, whole, words

CONTENT = r'"(?:content|text)":\s*"'
OWN = {
    "request_type": "llm.request.type",
    "asked_model": "gen_ai.request.model",
    "model": "gen_ai.response.model",
    "system": "gen_ai.system",
    "provider": "gen_ai.provider.name",
    "response": "gen_ai.response.id",
    "heard": "gen_ai.input.messages",
    "answered": "gen_ai.output.messages",
    "prompt": "gen_ai.prompt",
    "completion": "gen_ai.completion",
    "finish": "gen_ai.response.finish_reasons",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "prompt_tokens": "gen_ai.usage.prompt_tokens",
    "completion_tokens": "gen_ai.usage.completion_tokens",
    "cost": "gen_ai.cost.total_cost",
    "streaming": "llm.is_streaming",
    "group": "metadata.model_group",
    "sent": "metadata.requester_metadata",
    "headers": "metadata.requester_custom_headers",
    "user": "metadata.user_api_key_end_user_id",
    "key_user": "metadata.user_api_key_user_id",
    "team": "metadata.user_api_key_team_alias",
    "team_id": "metadata.user_api_key_team_id",
    "guardrail": "guardrail_name",
    "mode": "guardrail_mode",
    "verdict": "guardrail_status",
    "action": "guardrail_action",
    "masked": "masked_entity_count",
    "error_type": "error.type",
}
SETTINGS = {"set_temperature": "temperature", "set_top_p": "top_p", "set_max_tokens": "max_tokens"}
STAGES = {"pre_call": "input", "during_call": "input", "post_call": "output", "pre_mcp_call": "tool"}
VERDICTS = {
    "success": "allow", "guardrail_flagged": "flag", "guardrail_intervened": "block", "blocked": "block",
    "guardrail_failed_to_respond": "error", "failure": "error", "not_run": "not_evaluated",
}  # fmt: skip


def _texts(*names: str) -> pl.Expr:
    """The texts of a JSON list of chat messages, parted by empty lines, without the JSON; else the text as it is."""
    escapes = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\"": '"', r"\/": "/", "\\\\": "\\"}
    bare = pl.element().str.replace("^" + CONTENT, "").str.strip_suffix('"')
    found = []
    for name in names:
        quoted = pl.col(name).str.extract_all(CONTENT + r'[^"\\]*(?:\\.[^"\\]*)*"')
        joined = quoted.list.eval(bare).list.join("\n\n").str.replace_many(escapes)
        found.append(pl.when(joined != "").then(joined).otherwise(pl.col(name)))
    return pl.coalesce(found)


def _sent(name: str, key: str) -> pl.Expr:
    """A text behind `key` in Python's notation of a dict, or in JSON."""
    return pl.col(name).str.extract(rf"""['"]{key}['"]:\s*['"]([^'"]+)['"]""", 1)


guard = pl.col("guardrail").is_not_null()
asks = pl.col("request_type").str.to_lowercase().fill_null("")
call = ~guard & pl.coalesce("asked_model", "model").is_not_null()
embed, rerank = call & asks.str.contains("embedding"), call & asks.str.contains("rerank")
masked = pl.col("masked").str.contains(r"[1-9]").fill_null(value=False)
error = pl.coalesce("error_type", "exception")
broke = pl.col("status") == "error"
came = (pl.col("status") == "ok") | pl.col("response").is_not_null()
outcome = (
    pl.when(broke & error.str.contains(r"(?i)cancel"))
    .then(pl.lit("cancelled"))
    .when(broke & error.str.contains(r"(?i)time(d ?)?out"))
    .then(pl.lit("timeout"))
    .when(broke)
    .then(pl.lit("error"))
    .when(came)
    .then(pl.lit("ok"))
)
tokens = {
    "input_tokens": pl.coalesce(whole("input_tokens"), whole("prompt_tokens")),
    "output_tokens": pl.coalesce(whole("output_tokens"), whole("completion_tokens")),
}

FORMAT = Format(
    name="span_litellm",
    title="LiteLLM spans",
    layer="model",
    reference="https://docs.litellm.ai/docs/observability/opentelemetry_integration",
    verified=False,
    export="litellm_settings: {callbacks: [otel]} with OTEL_EXPORTER and OTEL_ENDPOINT, or the console exporter.",
    limits="It does not tell retries, fallbacks or a cache hit; guardrail spans of older versions have no verdict.",
    of="span",
    # Marks that every span has set the order of dialects: transport, gen_ai, OpenInference, a vendor's own.
    recognise=Recognise(
        keys=(("trace_id",), ("name",), ("span_id",), ("attributes",)),
        any_of=(
            (("start",), ("end",)),
            (
                ("attributes", "metadata.user_api_key_hash"),
                ("attributes", "metadata.requester_metadata"),
                ("attributes", "guardrail_mode"),
            ),
        ),
        where=((("name",), r"\S"),),
    ),
    fields={
        name: path(name)
        for name in ("trace_id", "span_id", "parent_id", "name", "start", "end", "status", "service", "scope")
    }
    | {"span_kind": path("kind"), "status_text": path("status_message"), "exception": path("error", "type")}
    | {"cache_key": inside(path("attributes", "hidden_params"), "cache_key")}
    | {"model_id": inside(path("attributes", "hidden_params"), "model_id")}
    | {name: path("attributes", key) for name, key in OWN.items()}
    | {name: path("attributes", f"gen_ai.request.{key}") for name, key in SETTINGS.items()},
    time="start",
    end="end",
    time_kind="start",
    columns={
        "name": "name",
        "service": "service",
        "span_id": "span_id",
        "parent_id": filled("parent_id"),
        "session": pl.coalesce(_sent("headers", "x-litellm-session-id"), _sent("sent", "session_id")),
        "user": filled("user", "key_user"),
        "tenant": pl.coalesce(_sent("sent", "tenant"), filled("team", "team_id")),
        "outcome": outcome,
        "error_type": error,
    },
    ids=(
        Id("trace_id", "trace_id"),
        Id("request_id", _sent("headers", "x-request-id")),
        Id("request_id", _sent("sent", "request_id")),
    ),
    attributes={
        "request_type": "request_type",
        "span_kind": "span_kind",
        "scope": "scope",
        "error": pl.col("status_text").str.extract("^(.+)", 1).str.slice(0, 240),
    },
    events=(
        Event(
            kind="model.call",
            when=call & ~embed & ~rerank,
            columns={
                "input": _texts("heard", "prompt"),
                "output": _texts("answered", "completion"),
                "requested_model": pl.coalesce(filled("group"), "asked_model"),
                "served_model": pl.when(~broke.fill_null(value=False)).then(pl.col("asked_model")),
                "provider": pl.coalesce("provider", "system"),
                "response_id": "response",
                "finish_reason": pl.coalesce(
                    pl.col("finish").str.extract(r"[\"']?([a-z_]+)", 1),
                    pl.col("completion").str.extract(r'"finish_reason":\s*"([^"]+)"', 1),
                ),
                "cost_usd": number("cost"),
                "stream": words("streaming", {"true": "1", "false": "0"}) == "1",
                **tokens,
            },
            ids=(Id("response_id", "response"),),
            parameters={"temperature": "set_temperature", "top_p": "set_top_p", "max_tokens": "set_max_tokens"},
            attributes={"model_id": "model_id", "cache_key": filled("cache_key"), "response_model": "model"},
        ),
        Event(
            kind="retrieval.embed",
            layer="retrieval",
            when=embed,
            columns={"input": _texts("prompt"), "embedding_model": "asked_model", "cost_usd": number("cost"), **tokens},
        ),
        Event(
            kind="retrieval.rerank",
            layer="retrieval",
            when=rerank,
            columns={"requested_model": "asked_model", "cost_usd": number("cost")},
        ),
        Event(
            kind="policy.decision",
            layer="policy",
            when=guard,
            columns={
                "policy_name": "guardrail",
                "policy_stage": words("mode", STAGES),
                "policy_mode": words("mode", {"logging_only": "monitor"}),
                # A mask is reported as `success`; only the count of masked entities tells it from an allow.
                "verdict": pl.when(masked & (pl.col("verdict").fill_null("success") == "success"))
                .then(pl.lit("redact"))
                .otherwise(words("verdict", VERDICTS, default="unknown").fill_null("unknown")),
                "enforced": pl.when(masked | pl.col("verdict").is_in(["guardrail_intervened", "blocked"]))
                .then(pl.lit(value=True))
                .when(pl.col("verdict") == "guardrail_flagged")
                .then(pl.lit(value=False)),
                "outcome": pl.when(pl.col("verdict").is_in(["guardrail_intervened", "blocked"]))
                .then(pl.lit("blocked"))
                .when(pl.col("verdict").is_in(["guardrail_failed_to_respond", "failure"]))
                .then(pl.lit("error"))
                .when(pl.col("verdict").is_in(["success", "guardrail_flagged"]))
                .then(pl.lit("ok"))
                .otherwise(outcome),
            },
            attributes={"guardrail_status": "verdict", "guardrail_mode": "mode", "guardrail_action": "action"},
        ),
        Event(kind="app.step", layer="other", when=~guard & ~call),
    ),
)
