"""Spans of the Vercel AI SDK (`ai.*`), in whatever container they came.

What to know of these spans: `ai.generateText` is the function and `ai.generateText.doGenerate` below it the call of the
provider, one for each retry and each step with tools, so only the inner ones are model calls; both may carry the same
answer; ids of a request or session are there only as `ai.telemetry.metadata.*`.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, filled, path, whole

CONTENT = r'"(?:content|text|prompt)":\s*"'
OWN = {
    "operation": "ai.operationId",
    "function": "ai.telemetry.functionId",
    "asked_model": "ai.model.id",
    "provider": "ai.model.provider",
    "heard": "ai.prompt.messages",
    "prompt": "ai.prompt",
    "value": "ai.value",
    "said": "ai.response.text",
    "object": "ai.response.object",
    "calls": "ai.response.toolCalls",
    "served": "ai.response.model",
    "response": "ai.response.id",
    "finish": "ai.response.finishReason",
    "input_tokens": "ai.usage.inputTokens",
    "output_tokens": "ai.usage.outputTokens",
    "prompt_tokens": "ai.usage.promptTokens",
    "completion_tokens": "ai.usage.completionTokens",
    "tokens": "ai.usage.tokens",
    "gen_input": "gen_ai.usage.input_tokens",
    "gen_output": "gen_ai.usage.output_tokens",
    "first_chunk": "ai.response.msToFirstChunk",
    "retries": "ai.settings.maxRetries",
    "tool": "ai.toolCall.name",
    "tool_call": "ai.toolCall.id",
    "arguments": "ai.toolCall.args",
    "result": "ai.toolCall.result",
    "session_own": "session.id",
    "user_own": "user.id",
}
METADATA = {
    "request": "requestId", "request_2": "request_id", "session": "sessionId", "session_2": "session_id",
    "chat": "chatId", "thread": "threadId", "user": "userId", "user_2": "user_id", "tenant": "tenant",
}  # fmt: skip
SETTINGS = {
    "set_temperature": "temperature", "set_top_p": "topP", "set_max_tokens": "maxOutputTokens",
    "set_max_tokens_old": "maxTokens", "set_seed": "seed",
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


operation = pl.col("operation").fill_null(pl.col("name").str.extract(r"^(ai\.\w+(?:\.\w+)?)", 1)).fill_null("")
call = operation.str.contains(r"\.do(Generate|Stream)$")
embed = operation.str.contains(r"^ai\.embed(Many)?\.doEmbed$")
rerank = operation.str.contains(r"\.doRerank$")
error = pl.col("exception")
broke = (pl.col("status") == "error") | (pl.col("finish") == "error")
came = pl.coalesce("finish", "response", "said", "result", "tokens").is_not_null() | (pl.col("status") == "ok")
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
    "input_tokens": pl.coalesce(whole("input_tokens"), whole("prompt_tokens"), whole("gen_input")),
    "output_tokens": pl.coalesce(whole("output_tokens"), whole("completion_tokens"), whole("gen_output")),
}

FORMAT = Format(
    name="span_vercel_ai",
    title="Vercel AI SDK spans",
    layer="model",
    reference="https://ai-sdk.dev/docs/ai-sdk-core/telemetry",
    versions=("6.0.68",),
    verified=True,
    export="experimental_telemetry: {isEnabled: true} on the call, and any OTLP exporter in the application.",
    limits="It has no ids of request or session unless the application puts them into the telemetry metadata.",
    of="span",
    # Marks that every span has set the order of dialects: transport, gen_ai, OpenInference, a vendor's own.
    recognise=Recognise(
        keys=(("trace_id",), ("name",), ("span_id",), ("attributes",)),
        any_of=((("start",), ("end",)), (("attributes", "ai.operationId"), ("attributes", "ai.toolCall.name"))),
        where=((("name",), r"\S"),),
    ),
    fields={
        name: path(name)
        for name in ("trace_id", "span_id", "parent_id", "name", "start", "end", "status", "service", "scope")
    }
    | {"span_kind": path("kind"), "status_text": path("status_message"), "exception": path("error", "type")}
    | {name: path("attributes", key) for name, key in OWN.items()}
    | {"values": path("attributes", "ai.values"), "first_value": path("attributes", "ai.values", 0)}
    | {name: path("attributes", f"ai.telemetry.metadata.{key}") for name, key in METADATA.items()}
    | {name: path("attributes", f"ai.settings.{key}") for name, key in SETTINGS.items()},
    time="start",
    end="end",
    time_kind="start",
    columns={
        "name": operation,
        "service": "service",
        "span_id": "span_id",
        "parent_id": filled("parent_id"),
        "session": filled("session", "session_2", "chat", "thread", "session_own"),
        "user": pl.coalesce("user", "user_2", "user_own"),
        "tenant": "tenant",
        "outcome": outcome,
        "error_type": error,
    },
    ids=(Id("trace_id", "trace_id"), Id("request_id", pl.coalesce("request", "request_2"))),
    attributes={
        "function": "function",
        "span_kind": "span_kind",
        "scope": "scope",
        "error": pl.col("status_text").str.extract("^(.+)", 1).str.slice(0, 240),
    },
    events=(
        Event(
            kind="model.call",
            when=call,
            columns={
                "input": _texts("heard", "prompt"),
                "output": pl.coalesce(filled("said"), "object", "calls"),
                "requested_model": "asked_model",
                "served_model": "served",
                "provider": "provider",
                "response_id": "response",
                "finish_reason": "finish",
                "outcome": pl.when(pl.col("finish") == "content-filter").then(pl.lit("blocked")).otherwise(outcome),
                "stream": operation.str.ends_with("doStream"),
                **tokens,
            },
            ids=(Id("response_id", "response"),),
            parameters={
                "temperature": "set_temperature",
                "top_p": "set_top_p",
                "max_tokens": pl.coalesce("set_max_tokens", "set_max_tokens_old"),
                "seed": "set_seed",
            },
            attributes={"ms_to_first_chunk": "first_chunk", "max_retries": "retries"},
        ),
        Event(
            kind="retrieval.embed",
            layer="retrieval",
            when=embed,
            columns={
                "input": pl.coalesce("first_value", "values", "value").str.strip_chars('"'),
                "embedding_model": "asked_model",
                "provider": "provider",
                "input_tokens": whole("tokens"),
            },
        ),
        Event(
            kind="retrieval.rerank",
            layer="retrieval",
            when=rerank,
            columns={"requested_model": "asked_model", "provider": "provider"},
        ),
        Event(
            kind="app.step",
            layer="other",
            when=~(call | embed | rerank),
            columns={
                "input": pl.coalesce("arguments", _texts("prompt", "heard"), pl.col("value").str.strip_chars('"')),
                "output": pl.coalesce("result", filled("said"), "object"),
            },
            attributes={"tool": "tool", "tool_call": "tool_call"},
        ),
    ),
)
