"""OpenAI-style chat and text completions: bodies and stream chunks as the API of OpenAI and its many likes answers.

What to know of these records: `created` is when the model began, to the second, alike in all chunks of a stream; `id`
names the answer; who asked, what, and over which request is not there. Servers other than OpenAI give the same shape.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Time, Value, filled, path, whole

finish = filled("finish", "stop")
chunk = pl.col("object") == "chat.completion.chunk"
output = filled("content", "refusal", "text", "tool_calls", "delta")
ends = ~chunk | finish.is_not_null()
answered: dict[str, Value] = {
    "name": "object",
    "output": output,
    "content_state": pl.when(chunk)
    .then(pl.lit("truncated"))
    .when(output.is_null())
    .then(pl.lit("absent"))
    .otherwise(pl.lit("full")),
    "served_model": filled("model"),
    "provider": filled("provider"),
    "response_id": filled("id"),
    "finish_reason": finish,
    "input_tokens": whole("prompt_tokens"),
    "output_tokens": whole("completion_tokens"),
    "cost_usd": pl.col("cost").cast(pl.Float64, strict=False),
    "stream": chunk,
    "outcome": pl.when(finish.eq_missing(pl.lit("content_filter")))
    .then(pl.lit("blocked"))
    .when(ends)
    .then(pl.lit("ok")),
}

FORMAT = Format(
    name="openai_chat_completion",
    title="OpenAI-style completion",
    layer="model",
    reference="https://platform.openai.com/docs/api-reference/chat/object",
    verified=True,
    export="Bodies of answers, or captured streams, that an application or a proxy wrote down.",
    limits="The prompt, the caller, the duration and the provider's request id are not there.",
    recognise=Recognise(
        keys=(("choices",), ("created",)),
        where=((("object",), r"^(chat\.completion|chat\.completion\.chunk|text_completion)$"),),
    ),
    fields={
        **{name: path(name) for name in ("id", "object", "created", "model", "provider", "system_fingerprint")},
        "service_tier": path("service_tier"),
        "finish": path("choices", 0, "finish_reason"),
        "stop": path("choices", 0, "native_finish_reason"),
        "content": path("choices", 0, "message", "content"),
        "refusal": path("choices", 0, "message", "refusal"),
        "tool_calls": path("choices", 0, "message", "tool_calls"),
        "text": path("choices", 0, "text"),
        "delta": path("choices", 0, "delta", "content"),
        "prompt_tokens": path("usage", "prompt_tokens"),
        "completion_tokens": path("usage", "completion_tokens"),
        "cached_tokens": path("usage", "prompt_tokens_details", "cached_tokens"),
        "cost": path("usage", "cost"),
    },
    time=Time("created", "s"),
    time_kind="start",
    columns={"service": pl.lit("openai-compatible")},
    ids=(Id("response_id", filled("id")),),
    attributes={
        "system_fingerprint": "system_fingerprint",
        "service_tier": "service_tier",
        "cached_tokens": "cached_tokens",
    },
    events=(
        # Of a stream the chunk that ends it stands for the call; the others hold parts of the text.
        Event("model.call", when=ends, columns=answered),
        Event("model.log", when=~ends, columns=answered),
    ),
)
