"""LiteLLM proxy: rows of the table ``LiteLLM_SpendLogs`` (CSV, ``row_to_json``, Parquet, answers of ``/spend/logs``).

What to know of these rows: times are UTC and mostly do not say so; `request_id` is the provider's response id, on a
failure the call id, on a cache hit the id of the *first* answer with a suffix that each sink stamps anew; a call that
was retried is one row, a fallback is a second row with the same call id; `session_id` holds what the sender gave as
trace or session, else a new UUID; texts are cut at 2,048 characters, and absent unless storing them was switched on.
"""

import polars as pl

from strataline.format import Event, Field, Format, Id, Recognise, Ref, filled, inside, path, whole, words

META = path("metadata")
COLUMNS = (
    *("request_id", "call_type", "spend", "prompt_tokens", "completion_tokens", "startTime", "endTime", "model"),
    *("model_id", "model_group", "custom_llm_provider", "cache_hit", "team_id", "organization_id", "end_user"),
    *("session_id", "messages", "response", "completionStartTime", "status", "litellm_call_id", "agent_id"),
)
CALLS = ("attempted_retries", "attempted_fallbacks", "original_model_group", "guardrail_information", "user_agent")
FAULT = ("error_code", "error_class", "error_message", "error_provider_request_id")
STAGES = {"pre_call": "input", "during_call": "input", "post_call": "output", "pre_mcp_call": "tool"}
ENDS = {"success": "ok", "guardrail_flagged": "ok", "guardrail_intervened": "blocked", "blocked": "blocked"}
VERDICTS = {
    "success": "allow",
    "guardrail_flagged": "flag",
    "guardrail_intervened": "block",
    "blocked": "block",
    "guardrail_failed_to_respond": "error",
    "failure": "error",
    "not_run": "not_evaluated",
}


def _texts(name: str) -> pl.Expr:
    """The texts of a JSON list of chat messages, parted by empty lines; a bare text is itself."""
    quoted = pl.col(name).str.extract_all(r'"(?:content|text)":\s*"(?:[^"\\]|\\.)*"')
    bare = pl.element().str.replace(r'^"(?:content|text)":\s*"', "").str.strip_suffix('"')
    escapes = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\"": '"', r"\/": "/", "\\\\": "\\"}
    joined = quoted.list.eval(bare).list.join("\n\n").str.replace_many(escapes)
    plain = ~pl.col(name).str.contains(r"^\s*[\[{]") & (pl.col(name) != "")
    return pl.when(plain).then(pl.col(name)).when(joined != "").then(joined)


def _holds(word: str) -> pl.Expr:
    texts = (pl.col(name).str.contains(word, literal=True) for name in ("messages", "response", "sent_messages"))
    return pl.any_horizontal(one.fill_null(value=False) for one in texts)


call = filled("litellm_call_id", "meta_call_id")
failed = pl.coalesce(filled("status", "meta_status"), pl.lit("")).eq("failure")
cached = pl.col("request_id").str.extract(r"^(.+)_cache_hit[0-9.]+$", 1)
# Releases without a column for the call id put it into `request_id` where the call failed.
is_call = pl.col("request_id").eq(call) | (call.is_null() & failed)
own = pl.when(cached.is_null() & ~is_call.fill_null(value=False)).then(pl.col("request_id"))
w3c = pl.col("session_id").str.contains(r"^[0-9a-f]{32}$")
# What a logger of the proxy names alike, if its rows are there as well.
named = pl.coalesce(call, pl.when(failed).then(pl.col("request_id")))
row = pl.concat_str(pl.lit("litellm:"), pl.when(cached.is_null()).then(pl.col("request_id")).otherwise("hit:" + named))
# A fallback's row repeats the guardrails of the row before it.
decision = pl.concat_str(named, "guardrail", "guard_started", separator="/")
meant = filled("original_model_group", "model_group", "model")
fell_back = pl.col("original_model_group").ne(pl.col("model_group")) & (pl.col("model_group") != "")
masked = pl.col("masked").str.contains('"', literal=True).fill_null(value=False)
intervened = pl.col("verdict").is_in(["guardrail_intervened", "blocked"])
redacted, cut = _holds("redacted-by-litellm"), _holds("litellm_truncated")
text = pl.coalesce(_texts("messages"), _texts("sent_messages"))
answer = pl.coalesce("answer", "tool_calls", "text")
guardrail: dict[str, Field] = {
    "guardrail": path("guardrail_name"),
    "guardrail_id": path("guardrail_id"),
    "guardrail_provider": path("guardrail_provider"),
    "mode": path("guardrail_mode"),
    "verdict": path("guardrail_status"),
    "action": path("guardrail_action"),
    "masked": path("masked_entity_count"),
    "risk": path("risk_score"),
    "guard_started": path("start_time"),
    "guard_ended": path("end_time"),
}

FORMAT = Format(
    name="litellm_spend_logs",
    title="LiteLLM SpendLogs table",
    layer="model",
    reference="https://github.com/BerriAI/litellm/blob/main/schema.prisma",
    versions=("1.106.2",),
    verified=True,
    export="Export the table LiteLLM_SpendLogs of the proxy's database, or call GET /spend/logs.",
    limits="Attempts within a retried call, time to the first token of failures, and (by default) texts are not there.",
    recognise=Recognise(keys=tuple((one,) for one in ("request_id", "call_type", "api_key", "spend", "startTime"))),
    fields={name: path(name) for name in COLUMNS}
    | {name: inside(META, name) for name in CALLS}
    | {name: inside(META, "error_information", name) for name in FAULT}
    | {
        "meta_call_id": inside(META, "litellm_call_id"),
        "meta_status": inside(META, "status"),
        "team": inside(META, "user_api_key_team_alias"),
        "key_user": inside(META, "user_api_key_end_user_id"),
        "sent_messages": inside(path("proxy_server_request"), "messages"),
        "answer": inside(path("response"), "choices", 0, "message", "content"),
        "tool_calls": inside(path("response"), "choices", 0, "message", "tool_calls"),
        "text": inside(path("response"), "content", 0, "text"),
        "finish": inside(path("response"), "choices", 0, "finish_reason"),
    },
    time="startTime",
    end="endTime",
    time_kind="start",
    zone="UTC",
    columns={
        "service": pl.lit("litellm"),
        "session": pl.when(~w3c).then(filled("session_id")),
        "user": filled("end_user", "key_user"),
        "tenant": filled("team", "team_id", "organization_id"),
    },
    ids=(
        Id("call_id", named),
        Id("response_id", own),
        Id("trace_id", pl.when(w3c).then("session_id")),
        Id("provider_request_id", "error_provider_request_id"),
    ),
    events=(
        Event(
            "model.call",
            ids=(Id("log_id", row),),
            columns={
                "name": "call_type",
                "outcome": pl.when(pl.col("error_class").eq("ClientDisconnected"))
                .then(pl.lit("cancelled"))
                .when(failed & pl.col("guardrail_information").str.contains('"guardrail_intervened"', literal=True))
                .then(pl.lit("blocked"))
                .when(failed & pl.col("error_code").eq("content_filter"))
                .then(pl.lit("blocked"))
                .when(failed & (pl.col("error_class").eq("Timeout") | pl.col("error_code").eq("408")))
                .then(pl.lit("timeout"))
                .when(failed)
                .then(pl.lit("error"))
                .otherwise(words("status", {"success": "ok"}, default="unknown")),
                "error_type": filled("error_class"),
                "http_status": whole("error_code"),
                "input": pl.when(~redacted).then(text),
                "output": pl.when(~redacted).then(answer),
                "content_state": pl.when(redacted)
                .then(pl.lit("redacted"))
                .when(cut)
                .then(pl.lit("truncated"))
                .when(text.is_null() & answer.is_null())
                .then(pl.lit("absent"))
                .otherwise(pl.lit("full")),
                "requested_model": meant,
                "served_model": pl.when(~failed).then(pl.col("model").str.replace(r"^[a-z_]+/", "")),
                "provider": filled("custom_llm_provider"),
                "response_id": pl.coalesce(cached, own),
                "finish_reason": "finish",
                "input_tokens": whole("prompt_tokens"),
                "output_tokens": whole("completion_tokens"),
                "cost_usd": pl.col("spend").cast(pl.Float64, strict=False),
                # Failures count no retries, though there were.
                "attempt": pl.when(~failed).then(whole("attempted_retries") + 1),
                "fallback": pl.when(fell_back).then("model_group"),
                "cache": words("cache_hit", {"true": "hit", "false": "miss"}),
            },
            attributes={
                "model_id": filled("model_id"),
                "configured_model": "model",
                "first_token_time": "completionStartTime",
                "attempted_retries": "attempted_retries",
                "attempted_fallbacks": "attempted_fallbacks",
                "error_code": filled("error_code"),
                "error": pl.col("error_message").str.slice(0, 240),
                "user_agent": "user_agent",
                "agent_id": filled("agent_id"),
            },
            refs=(Ref("response_id", cached, "cache_origin"), Ref("log_id", row, "repeats")),
        ),
        Event(
            "policy.decision",
            layer="policy",
            each="guardrail_information",
            ids=(Id("decision_id", decision),),
            refs=(Ref("decision_id", decision, "repeats"),),
            fields=guardrail,
            time="guard_started",
            end="guard_ended",
            columns={
                "name": "guardrail",
                "policy_name": "guardrail",
                "policy_stage": words("mode", STAGES),
                "policy_mode": words("mode", {"logging_only": "monitor"}),
                # A mask is reported as `success`; only the count of masked entities tells it from an allow.
                "verdict": pl.when(masked & (pl.col("verdict").eq("success") | (intervened & ~failed)))
                .then(pl.lit("redact"))
                .otherwise(words("verdict", VERDICTS, default="unknown"))
                .fill_null("unknown"),
                "outcome": words(
                    "verdict", {**ENDS, "guardrail_failed_to_respond": "error", "failure": "error"}, default="unknown"
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
            },
        ),
    ),
)
