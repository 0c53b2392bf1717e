"""LiteLLM proxy: StandardLoggingPayload, one JSON object per gateway call row.

What to know of these rows: a call that was retried is one row; a fallback is a second row with the same call id;
`trace_id` may hold a session id (the sender's header decides); on a cache hit `id` is the id of the *first* answer
with a suffix; `success` next to `guardrail_intervened` does occur. Releases of 2024 wrote neither `litellm_call_id`
nor `status_fields`, and one guardrail as an object: there a failure's `id` is the call id.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Ref, filled, path, truth, whole, words

REDACTED = "redacted-by-litellm"
TRACEPARENT = r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-"


def _texts(name: str) -> pl.Expr:
    """The texts of a JSON list of chat messages, parted by empty lines, without the JSON around them."""
    quoted = pl.col(name).str.extract_all(r'"(?:content|text)":\s*"(?:[^"\\]|\\.)*"')
    bare = pl.element().str.replace(r'^"(?:content|text)":\s*"', "").str.strip_suffix('"')
    escapes = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\"": '"', r"\/": "/", "\\\\": "\\"}
    joined = quoted.list.eval(bare).list.join("\n\n").str.replace_many(escapes)
    return pl.when(joined != "").then(joined)


redacted = pl.any_horizontal(
    pl.col(name).str.contains(REDACTED, literal=True).fill_null(value=False) for name in ("messages", "answer", "text")
)
failed = pl.col("status").eq("failure")
is_call = pl.col("id").eq(pl.col("call_id")) | (pl.col("call_id").is_null() & failed)
cached = pl.col("id").str.extract(r"^(.+)_cache_hit[0-9.]+$", 1)
sent_trace = pl.col("traceparent").str.extract(TRACEPARENT, 1)
# Where the caller sent a trace and no session, LiteLLM repeats the trace as the session.
is_trace = pl.col("session_id").eq_missing(sent_trace) | pl.col("session_id").eq_missing(pl.col("sent_trace_id"))
session = pl.coalesce(
    filled("sent_session"), pl.when(~is_trace).then(pl.coalesce(filled("app_session"), filled("session_id")))
)
own = pl.when(cached.is_null() & ~is_call.fill_null(value=False)).then(pl.col("id"))
masked = pl.col("masked").str.contains('"', literal=True).fill_null(value=False)
intervened = pl.col("verdict").is_in(["guardrail_intervened", "blocked"])
error_class = filled("error_class")
# A stream that was stopped is logged as none; of an answer that was not streamed, the first comes with the last.
begun = pl.col("first_token").cast(pl.Float64, strict=False) < pl.col("ended").cast(pl.Float64, strict=False)
streamed = truth("stream") | (truth("asked_stream") & begun)
call = pl.coalesce("call_id", pl.when(failed).then(pl.col("id")))
# What the table of spend names alike: there the suffix of a cache hit is another one.
row = pl.concat_str(pl.lit("litellm:"), pl.when(cached.is_null()).then(pl.col("id")).otherwise("hit:" + call))
# A fallback's row repeats the guardrails of the row before it.
decision = pl.concat_str(call, "guardrail", "guard_started", separator="/")
retries, fallbacks = whole("attempted_retries"), whole("attempted_fallbacks")

FORMAT = Format(
    name="litellm_standard_logging",
    title="LiteLLM StandardLoggingPayload",
    layer="model",
    reference="https://docs.litellm.ai/docs/proxy/logging_spec",
    versions=("1.106.2",),
    verified=True,
    export="A logger of the proxy (s3_v2, gcs_bucket, azure_storage, generic_api, SQS, Pub/Sub) or a custom callback.",
    limits="A retried call is one row that covers its first attempt; a call with a bad key has no row.",
    recognise=Recognise(
        keys=(("model_map_information",), ("hidden_params",), ("model_group",), ("call_type",), ("model_parameters",)),
        where=((("startTime",), r"^[0-9.]+$"),),
    ),
    fields={
        "id": path("id"),
        "call_id": path("litellm_call_id"),
        "trace_id": path("trace_id"),
        "session_id": path("session_id"),
        "call_type": path("call_type"),
        "status": path("status"),
        "guardrail_status": path("status_fields", "guardrail_status"),
        "cache_hit": path("cache_hit"),
        "stream": path("stream"),
        "started": path("startTime", verbatim=True),
        "ended": path("endTime", verbatim=True),
        "first_token": path("completionStartTime"),
        "model": path("model"),
        "model_group": path("model_group"),
        "model_id": path("model_id"),
        "provider": path("custom_llm_provider"),
        "user": path("end_user"),
        "key_user": path("metadata", "user_api_key_end_user_id"),
        "team": path("metadata", "user_api_key_team_alias"),
        "team_id": path("metadata", "user_api_key_team_id"),
        "org_id": path("metadata", "user_api_key_org_id"),
        "app_tenant": path("metadata", "requester_metadata", "tenant"),
        "app_request": path("metadata", "requester_metadata", "request_id"),
        "app_session": path("metadata", "requester_metadata", "session_id"),
        "conversation": path("metadata", "requester_metadata", "conversation_id"),
        "sent_request": path("metadata", "requester_metadata", "headers", "x-request-id"),
        "sent_request_2": path("metadata", "requester_custom_headers", "x-request-id"),
        "sent_session": path("metadata", "requester_custom_headers", "x-litellm-session-id"),
        "sent_trace_id": path("metadata", "requester_custom_headers", "x-litellm-trace-id"),
        "traceparent": path("metadata", "requester_metadata", "headers", "traceparent"),
        "messages": path("messages"),
        "answer": path("response", "choices", 0, "message", "content"),
        "tool_calls": path("response", "choices", 0, "message", "tool_calls"),
        "text": path("response", "text"),
        "finish": path("response", "choices", 0, "finish_reason"),
        "answered_as": path("response", "model"),
        "fingerprint": path("response", "system_fingerprint"),
        "prompt_tokens": path("prompt_tokens"),
        "completion_tokens": path("completion_tokens"),
        "cost": path("response_cost"),
        "served": path("hidden_params", "additional_headers", "llm_provider-openai-model"),
        "served_failing": path("hidden_params", "additional_headers", "openai-model"),
        "provider_request": path("hidden_params", "additional_headers", "llm_provider-x-request-id"),
        "provider_request_2": path("hidden_params", "additional_headers", "llm_provider-request-id"),
        "provider_request_3": path("hidden_params", "additional_headers", "x-request-id"),
        "provider_request_failing": path("error_information", "error_provider_request_id"),
        "attempted_retries": path("hidden_params", "additional_headers", "x-litellm-attempted-retries"),
        "attempted_fallbacks": path("hidden_params", "additional_headers", "x-litellm-attempted-fallbacks"),
        "error_code": path("error_information", "error_code"),
        "error_class": path("error_information", "error_class"),
        "error": path("error_str"),
        "guardrails": path("guardrail_information"),
        "asked_stream": path("model_parameters", "stream"),
        "temperature": path("model_parameters", "temperature"),
        "top_p": path("model_parameters", "top_p"),
        "max_tokens": path("model_parameters", "max_tokens"),
        "max_completion_tokens": path("model_parameters", "max_completion_tokens"),
        "seed": path("model_parameters", "seed"),
        "stop": path("model_parameters", "stop"),
        "tool_choice": path("model_parameters", "tool_choice"),
        "response_format": path("model_parameters", "response_format"),
    },
    time="started",
    end="ended",
    time_kind="start",
    columns={
        "service": pl.lit("litellm"),
        "session": session,
        "user": pl.coalesce(filled("user"), filled("key_user")),
        "tenant": pl.coalesce(filled("app_tenant"), filled("team"), filled("team_id"), filled("org_id")),
    },
    ids=(
        Id("call_id", call),
        # On a failure `id` repeats the call id; on a cache hit it names the call that filled the cache.
        Id("response_id", own),
        Id("request_id", "app_request"),
        Id("request_id", pl.coalesce(filled("sent_request_2"), filled("sent_request"))),
        # Where the caller sent a session and no trace, LiteLLM repeats the session as the trace.
        Id("trace_id", pl.when(pl.col("trace_id").ne_missing(pl.col("sent_session"))).then(pl.col("trace_id"))),
        Id("trace_id", sent_trace),
        Id(
            "provider_request_id",
            pl.coalesce("provider_request", "provider_request_2", "provider_request_3", "provider_request_failing"),
        ),
        Id(
            "session",
            pl.when(pl.col("conversation").ne_missing(session)).then(pl.col("conversation")),
            role="group",
        ),
    ),
    events=(
        Event(
            kind="model.call",
            ids=(Id("log_id", row),),
            columns={
                "name": "call_type",
                "outcome": pl.when(error_class.eq("ClientDisconnected"))
                .then(pl.lit("cancelled"))
                .when(failed & pl.col("guardrail_status").eq("guardrail_intervened"))
                .then(pl.lit("blocked"))
                .when(failed & pl.col("error_code").eq("content_filter"))
                .then(pl.lit("blocked"))
                .when(failed & (error_class.eq("Timeout") | pl.col("error_code").eq("408")))
                .then(pl.lit("timeout"))
                .otherwise(words("status", {"success": "ok", "failure": "error"}, default="unknown")),
                "error_type": error_class,
                "http_status": whole("error_code"),
                "parent_id": pl.col("traceparent").str.extract(TRACEPARENT, 2),
                "input": pl.when(~redacted).then(_texts("messages")),
                "output": pl.when(~redacted).then(pl.coalesce("answer", "tool_calls")),
                "content_state": pl.when(redacted)
                .then(pl.lit("redacted"))
                .when(pl.col("messages").str.contains("litellm_truncated", literal=True))
                .then(pl.lit("truncated"))
                .when(pl.col("messages").fill_null("[]").is_in(["[]", "{}", ""]))
                .then(pl.lit("absent"))
                .otherwise(pl.lit("full")),
                "requested_model": pl.coalesce(filled("model_group"), filled("model")),
                # The provider's own word first; `response.model` repeats the alias unless a fallback answered.
                "served_model": pl.coalesce(
                    "served",
                    "served_failing",
                    pl.when(fallbacks > 0).then(filled("answered_as")),
                    pl.when(~failed).then(pl.col("model").str.replace(r"^[a-z_]+/", "")),
                ),
                "provider": "provider",
                "response_id": pl.coalesce(cached, own),
                "finish_reason": "finish",
                "input_tokens": whole("prompt_tokens"),
                "output_tokens": whole("completion_tokens"),
                "cost_usd": pl.col("cost").cast(pl.Float64, strict=False),
                "attempt": retries + 1,
                "fallback": pl.when(fallbacks > 0).then(filled("model_group")),
                "cache": words("cache_hit", {"true": "hit", "false": "miss"}),
                "stream": pl.coalesce(truth("stream"), truth("asked_stream")),
            },
            parameters={
                name: name
                for name in (
                    "temperature",
                    "top_p",
                    "max_tokens",
                    "max_completion_tokens",
                    "seed",
                    "stop",
                    "tool_choice",
                    "response_format",
                )
            },
            attributes={
                "model_id": filled("model_id"),
                "configured_model": "model",
                "system_fingerprint": "fingerprint",
                "guardrail_status": "guardrail_status",
                "first_token_time": pl.when(streamed).then(pl.col("first_token")),
                "attempted_retries": "attempted_retries",
                "attempted_fallbacks": "attempted_fallbacks",
                "error_code": filled("error_code"),
                "error": pl.col("error").str.slice(0, 240),
            },
            refs=(Ref("response_id", cached, relation="cache_origin"),),
        ),
        Event(
            kind="policy.decision",
            layer="policy",
            each="guardrails",
            ids=(Id("decision_id", decision),),
            refs=(Ref("decision_id", decision, relation="repeats"),),
            fields={
                "guardrail": path("guardrail_name"),
                "guardrail_id": path("guardrail_id"),
                "guardrail_provider": path("guardrail_provider"),
                "mode": path("guardrail_mode"),
                "verdict": path("guardrail_status"),
                "action": path("guardrail_action"),
                "response": path("guardrail_response"),
                "masked": path("masked_entity_count"),
                "risk": path("risk_score"),
                "guard_started": path("start_time"),
                "guard_ended": path("end_time"),
            },
            time="guard_started",
            end="guard_ended",
            columns={
                "name": "guardrail",
                "policy_name": "guardrail",
                "policy_stage": words(
                    "mode",
                    {"pre_call": "input", "during_call": "input", "post_call": "output", "pre_mcp_call": "tool"},
                ),
                "policy_mode": words("mode", {"logging_only": "monitor"}),
                # A mask is reported as `success`; only the count of masked entities tells it from an allow.
                "verdict": pl.when(masked & (pl.col("verdict").eq("success") | (intervened & ~failed)))
                .then(pl.lit("redact"))
                .otherwise(
                    words(
                        "verdict",
                        {
                            "success": "allow",
                            "guardrail_flagged": "flag",
                            "guardrail_intervened": "block",
                            "blocked": "block",
                            "guardrail_failed_to_respond": "error",
                            "failure": "error",
                            "not_run": "not_evaluated",
                        },
                        default="unknown",
                    )
                )
                .fill_null("unknown"),
                "outcome": words(
                    "verdict",
                    {
                        "success": "ok",
                        "guardrail_flagged": "ok",
                        "guardrail_intervened": "blocked",
                        "blocked": "blocked",
                        "guardrail_failed_to_respond": "error",
                        "failure": "error",
                    },
                    default="unknown",
                ),
                "enforced": pl.when(intervened | masked)
                .then(pl.lit(value=True))
                .when(pl.col("verdict").eq("guardrail_flagged"))
                .then(pl.lit(value=False)),
                "score": pl.col("risk").cast(pl.Float64, strict=False),
            },
            attributes={
                "guardrail_id": "guardrail_id",
                "guardrail_provider": "guardrail_provider",
                "guardrail_mode": "mode",
                "guardrail_status": "verdict",
                "guardrail_action": "action",
                # A word is kept; a body holds the user's text and stays in the evidence.
                "guardrail_response": pl.when(~pl.col("response").str.contains(r"^[\[{]")).then(
                    pl.col("response").str.slice(0, 240)
                ),
            },
        ),
    ),
)
