"""Amazon Bedrock: model-invocation log, one JSON object per call to a model.

What to know of these records: there is one time, to the second, and no trace id; `requestId` is the
``x-amzn-RequestId`` that the caller's SDK saw, a retried call has a new one; only `requestMetadata` carries ids of the
application; a body may be an object, the list of a stream's chunks, a JSON text, in S3 (over 100 KB), or absent. A
guardrail's result lies in two places, with other words in each, and its members only where a trace was asked for:
without them an intervention may have blocked or masked, and is taken for a block only where the model gave no token.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Value, filled, inside, path, whole

REQUEST, REPLY = path("input", "inputBodyJson"), path("output", "outputBodyJson")
TAGS = (
    *("request_id", "trace_id", "traceId", "session_id", "sessionId", "conversation_id"),
    *("user_id", "userId", "tenant", "tenant_id", "tenantId"),
)
STRING = r'"(?:[^"\\]|\\.)*"'
ESCAPES = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\"": '"', r"\/": "/", "\\\\": "\\"}
TEXTS = "text|generation|outputText"
NAME = r'^[\[\s]*\{\s*"([^"]+)":\s*[\[{]'
BLOCK, MASK = r'"action":\s*"BLOCKED"', r'"action":\s*"ANONYMIZED"'
MEMBER = r'"action":\s*"(?:BLOCKED|ANONYMIZED)"|"detected":\s*true'


def _texts(value: pl.Expr, keys: str, between: str) -> pl.Expr:
    """The strings under `keys` anywhere in a JSON text, joined; a text that is no JSON is itself."""
    quoted = value.str.extract_all(rf'"(?:{keys})":\s*{STRING}')
    bare = pl.element().str.replace(rf'^"(?:{keys})":\s*"', "").str.strip_suffix('"')
    joined = quoted.list.eval(bare).list.join(between).str.replace_many(ESCAPES)
    plain = ~value.str.contains(r"^\s*[\[{]") & (value != "")
    return pl.when(plain).then(value).when(joined != "").then(joined)


def _verdict(text: pl.Expr, fallback: pl.Expr) -> pl.Expr:
    """The verdict of an assessment by its members: what was blocked, masked, or only detected."""
    return (
        pl.when(text.str.contains(BLOCK))
        .then(pl.lit("block"))
        .when(text.str.contains(MASK))
        .then(pl.lit("redact"))
        .when(text.str.contains(r'"detected":\s*true'))
        .then(pl.lit("flag"))
        .when(text.str.contains(r'"guarded":\s*0,\s*"total":\s*[1-9]'))
        .then(pl.lit("not_evaluated"))
        .otherwise(fallback)
    )


def _found(trace: pl.Expr) -> pl.Expr:
    """Names and types of the members that were found, without the words that matched."""
    members = trace.str.extract_all(r"\{[^{}]*\}")
    hit = pl.element().filter(pl.element().str.contains(MEMBER))
    names = members.list.eval(hit.str.extract(r'"(?:name|type)":\s*"([^"]*)"')).list.unique(maintain_order=True)
    return pl.when(names.list.len() > 0).then(names.list.join(", "))


def _decision(stage: pl.Expr, when: pl.Expr, trace: pl.Expr, fallback: pl.Expr, name: pl.Expr) -> Event:
    """A guardrail's result on one side of the call, by its trace."""
    verdict = _verdict(trace, fallback)
    acted = {"block": True, "redact": True, "unknown": True, "flag": False}
    coverage = trace.str.extract(r'"guarded":\s*(\d+,\s*"total":\s*\d+)', 1).str.replace(r',\s*"total":\s*', "/")
    return Event(
        "policy.decision",
        layer="policy",
        when=when,
        columns={
            "name": pl.lit("guardrail"),
            "policy_name": name,
            "policy_version": trace.str.extract(r'"guardrailVersion":\s*"([^"]+)"', 1),
            "policy_stage": stage,
            "verdict": verdict,
            "enforced": verdict.replace_strict(acted, default=None, return_dtype=pl.Boolean),
            "outcome": pl.when(verdict == "block")
            .then(pl.lit("blocked"))
            .when(verdict.is_in(["not_evaluated", "unknown"]))
            .then(pl.lit("unknown"))
            .otherwise(pl.lit("ok")),
        },
        attributes={"guardrail_action": action, "stop_reason": stop, "found": _found(trace), "coverage": coverage},
    )


reply = pl.col("reply")
chunks = pl.when(reply.str.starts_with("[")).then(reply)
action = reply.str.extract(r'"amazon-bedrock-guardrailAction":\s*"([A-Z_]+)"', 1)
stop = pl.coalesce("stop", "stop_claude", "stop_other", chunks.str.extract(r'"stop_?[rR]eason":\s*"([A-Za-z_]+)"', 1))
intervened = stop.eq_missing(pl.lit("guardrail_intervened")) | action.is_in(["INTERVENED", "GUARDRAIL_INTERVENED"])
intervened = intervened.fill_null(value=False)
on_input, on_output = filled("input_trace", "input_invoke"), filled("output_trace", "output_invoke")
traced = on_input.is_not_null() | on_output.is_not_null()
no_token = whole("output_count").eq(0).fill_null(value=False)
masked = (reply.str.contains(MASK) & ~reply.str.contains(BLOCK)).fill_null(value=False)
system = _texts(pl.col("system"), "text", "\n\n")
asked = _texts(filled("messages", "prompt", "inputText", "message", "texts"), "text|content", "\n\n")
said = pl.concat_str(system, asked, separator="\n\n", ignore_nulls=True)
said = pl.when(said != "").then(said)
listed = filled("content", "converse", "results", "outputs", "choices")
answered = pl.coalesce(
    _texts(listed, "text|content|outputText", "\n\n"), "generation", "cohere", _texts(chunks, TEXTS, ""), listed
)
media = pl.col("messages").str.contains('"s3Uri"', literal=True).fill_null(value=False)
offloaded = pl.col("input_s3").is_not_null() | pl.col("output_s3").is_not_null() | media
untraced = pl.when(intervened & no_token).then(pl.lit("block")).when(intervened).then(pl.lit("unknown"))
reply_id = pl.coalesce("id", chunks.str.extract(r'"id":\s*"(msg_[^"]+)"', 1))
SAMPLING: dict[str, Value] = {
    "temperature": pl.coalesce("temperature", "converse_temperature", "titan_temperature"),
    "top_p": pl.coalesce("top_p", "converse_top_p"),
    "top_k": "top_k",
    "max_tokens": pl.coalesce("max_tokens", "converse_max_tokens", "titan_max_tokens", "max_gen_len"),
}

FORMAT = Format(
    name="bedrock_invocation",
    title="Amazon Bedrock model invocation log",
    layer="model",
    reference="https://docs.aws.amazon.com/bedrock/latest/userguide/model-invocation-logging.html",
    versions=("1.0",),
    verified=True,
    export="Switch model invocation logging on (Bedrock, Settings), then fetch the S3 objects or the CloudWatch group.",
    limits="No trace id, no start and end, no ApplyGuardrail calls; texts only if their delivery was switched on.",
    recognise=Recognise(
        keys=(("requestId",), ("operation",), ("modelId",)), where=((("schemaType",), "^ModelInvocationLog$"),)
    ),
    fields={name: path(name) for name in ("timestamp", "requestId", "accountId", "region", "operation", "modelId")}
    | {name: path("requestMetadata", name) for name in TAGS}
    | {name: inside(REQUEST, name) for name in ("messages", "prompt", "inputText", "message", "texts")}
    | {name: inside(REQUEST, name) for name in ("temperature", "top_p", "top_k", "max_tokens")}
    | {name: inside(REPLY, name) for name in ("content", "results", "outputs", "choices", "generation")}
    | {
        "metadata": path("requestMetadata"),
        "arn": path("identity", "arn"),
        "inferenceRegion": path("inferenceRegion"),
        "errorCode": path("errorCode"),
        "input_count": path("input", "inputTokenCount"),
        "output_count": path("output", "outputTokenCount"),
        "cache_read": path("input", "cacheReadInputTokenCount"),
        "cache_write": path("input", "cacheWriteInputTokenCount"),
        "input_s3": path("input", "inputBodyS3Path"),
        "output_s3": path("output", "outputBodyS3Path"),
        "reply": REPLY,
        "system": inside(REQUEST, "system"),
        "converse_temperature": inside(REQUEST, "inferenceConfig", "temperature"),
        "converse_top_p": inside(REQUEST, "inferenceConfig", "topP"),
        "converse_max_tokens": inside(REQUEST, "inferenceConfig", "maxTokens"),
        "titan_temperature": inside(REQUEST, "textGenerationConfig", "temperature"),
        "titan_max_tokens": inside(REQUEST, "textGenerationConfig", "maxTokenCount"),
        "max_gen_len": inside(REQUEST, "max_gen_len"),
        "converse": inside(REPLY, "output", "message", "content"),
        "cohere": inside(REPLY, "text"),
        "id": inside(REPLY, "id"),
        "model": inside(REPLY, "model"),
        "stop": inside(REPLY, "stopReason"),
        "stop_claude": inside(REPLY, "stop_reason"),
        "stop_other": inside(REPLY, "finish_reason"),
        "latency": inside(REPLY, "metrics", "latencyMs"),
        "input_trace": inside(REPLY, "trace", "guardrail", "inputAssessment"),
        "output_trace": inside(REPLY, "trace", "guardrail", "outputAssessments"),
        "input_invoke": inside(REPLY, "amazon-bedrock-trace", "guardrail", "input"),
        "output_invoke": inside(REPLY, "amazon-bedrock-trace", "guardrail", "outputs"),
    },
    time="timestamp",
    zone="UTC",
    columns={
        "service": pl.lit("bedrock"),
        "session": filled("session_id", "sessionId", "conversation_id"),
        "user": filled("user_id", "userId"),
        "tenant": filled("tenant", "tenant_id", "tenantId"),
    },
    ids=(
        Id("provider_request_id", "requestId"),
        Id("response_id", reply_id),
        Id("request_id", "request_id"),
        Id("trace_id", filled("trace_id", "traceId")),
        Id("account", "accountId", role="group"),
    ),
    events=(
        Event(
            "model.call",
            columns={
                "name": "operation",
                "outcome": pl.when(pl.col("errorCode").str.contains("(?i)timeout"))
                .then(pl.lit("timeout"))
                .when(pl.col("errorCode").is_not_null())
                .then(pl.lit("error"))
                .when(intervened & (no_token | reply.str.contains(BLOCK)))
                .then(pl.lit("blocked"))
                .when(intervened & ~masked)
                .then(pl.lit("unknown"))
                .when(reply.is_not_null() | pl.col("output_count").is_not_null() | pl.col("output_s3").is_not_null())
                .then(pl.lit("ok"))
                .otherwise(pl.lit("unknown")),
                "error_type": "errorCode",
                "input": said,
                "output": answered,
                "content_state": pl.when(said.is_null() & answered.is_null())
                .then(pl.lit("absent"))
                .when(offloaded)
                .then(pl.lit("truncated"))
                .otherwise(pl.lit("full")),
                "requested_model": "modelId",
                "served_model": pl.coalesce(
                    "model",
                    chunks.str.extract(r'"model":\s*"([^"]+)"', 1),
                    pl.when(pl.col("errorCode").is_null()).then(pl.col("modelId").str.extract(r"([^/]+)$", 1)),
                ),
                "provider": pl.lit("bedrock"),
                "response_id": reply_id,
                "finish_reason": stop,
                "input_tokens": whole("input_count"),
                "output_tokens": whole("output_count"),
                "stream": pl.col("operation").str.ends_with("Stream"),
            },
            parameters=SAMPLING,
            attributes={
                "region": "region",
                "inference_region": "inferenceRegion",
                "caller": "arn",
                "request_metadata": "metadata",
                "latency_ms": pl.coalesce("latency", chunks.str.extract(r'"invocationLatency":\s*(\d+)', 1)),
                "first_byte_ms": chunks.str.extract(r'"firstByteLatency":\s*(\d+)', 1),
                "cache_read_tokens": "cache_read",
                "cache_write_tokens": "cache_write",
                "input_body": "input_s3",
                "output_body": "output_s3",
            },
        ),
        _decision(pl.lit("input"), on_input.is_not_null(), on_input, pl.lit("allow"), on_input.str.extract(NAME, 1)),
        _decision(
            pl.lit("output"), on_output.is_not_null(), on_output, pl.lit("allow"), on_output.str.extract(NAME, 1)
        ),
        # Without a trace (or with one that lies among the chunks) the side is not told.
        _decision(
            pl.when(intervened & no_token).then(pl.lit("input")),
            ~traced & (action.is_not_null() | intervened),
            pl.when(action.is_not_null() | intervened).then(reply),
            untraced.otherwise(pl.lit("allow")),
            pl.lit(None, pl.String),
        ),
    ),
)
