"""Weave calls (Weights & Biases): one object per call of a traced function, as exported and as its SDK sends them.

What to know of these records: the trace's id is not the root call's; `turn_id` is the root call of a turn within a
thread. No field says what a call is: a model call is told by what it returned (a model and its usage) or by the
name of a client library, a search by its name or by documents with scores. Usage is added up along the parents, so
only a model call's own counts. Children stand before their parents. Older SDKs send start and end apart.
"""

from typing import Any

import polars as pl

from strataline.format import (
    Documents,
    Event,
    Format,
    Id,
    Recognise,
    decode,
    encode,
    filled,
    inside,
    path,
    present,
)

CLIENTS = r"^(?:openai|anthropic|litellm|mistralai|cohere|groq|google|vertexai|bedrock|BedrockRuntime|langchain\.Llm)\."
PLACES: tuple[tuple[str | int, ...], ...] = ((), ("batch", 0), ("body", "batch", 0))
"""Where a record keeps its first call: it is one, or a batch, or a captured request with a batch."""


def _calls(text: str) -> list[str]:
    """The calls of a record; one that is a plain call stays as it is written."""
    if '"batch"' not in text:
        return [text]
    record = decode(text)
    if not isinstance(record, dict) or "op_name" in record:
        return [text]
    body: Any = record.get("body")
    holder = body if isinstance(body, dict) else record
    listed = holder.get("batch")
    calls: dict[str, dict[str, Any]] = {}
    for number, one in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(one, dict):
            continue
        sent = one.get("req")
        if isinstance(sent, dict):
            ended = sent.get("end")
            call = ended if isinstance(ended, dict) else sent.get("start")
            if not isinstance(call, dict):
                continue
            key = str(call.get("id", number))
            calls[key] = {**calls.get(key, {}), **call}
        else:
            calls[str(one.get("id", number))] = one
    return [encode(call) for call in calls.values()]


op = pl.coalesce(pl.col("op_name").str.extract(r"/op/([^:]+)", 1), "op_name")
broke = present("exception") | pl.col("status").eq("error")
error = pl.coalesce(
    "error_type", pl.col("exception").str.strip_chars_end().str.extract(r"(?:^|\n)(\w[\w.]*):[^\n]*$", 1)
)
is_model = op.str.contains(CLIENTS) & ~op.str.contains("(?i)embed") | (present("out_model") & present("out_usage"))
is_search = op.str.contains("(?i)retriev|search") | (present("first_score") & present("first_id"))
is_embed = op.str.contains("(?i)embed")
kind = (
    pl.when(is_model.fill_null(value=False))
    .then(pl.lit("model"))
    .when(is_embed.fill_null(value=False))
    .then(pl.lit("embed"))
    .when(is_search.fill_null(value=False))
    .then(pl.lit("search"))
    .otherwise(pl.lit("step"))
)
asked = pl.coalesce("query", "q", "question", "prompt", "inputs")
response_id = pl.when(pl.col("out_id").str.contains(r"^(?:chatcmpl|resp|msg)[-_]")).then(pl.col("out_id"))

FORMAT = Format(
    name="weave_calls",
    title="Weave calls",
    layer="other",
    reference="https://docs.wandb.ai/weave/guides/tracking/tracing",
    versions=("weave 0.54.0",),
    verified=True,
    export="Weave's Export button (JSONL), `client.get_calls()`, or POST /calls/stream_query.",
    limits="What a call is follows from its name and its output, since no field says it; large objects are references.",
    recognise=Recognise(
        any_of=(
            tuple((*place, key) for place in PLACES for key in ("op_name", "req")),
            tuple((*place, key) for place in PLACES for key in ("started_at", "mode")),
            tuple((*place, key) for place in PLACES for key in ("trace_id", "req")),
        )
    ),
    reshape=_calls,
    fields={
        name: path(name)
        for name in ("id", "trace_id", "parent_id", "thread_id", "turn_id", "op_name", "display_name", "inputs")
    }
    | {
        "started": path("started_at", verbatim=True),
        "ended": path("ended_at", verbatim=True),
        "project": path("project_id"),
        "exception": path("exception"),
        "error_type": inside(path("exception"), "type"),
        "error_text": inside(path("exception"), "message"),
        "status": path("summary", "weave", "status"),
        "usage": path("summary", "usage"),
        "request": path("attributes", "request_id"),
        "user": path("attributes", "user_id"),
        "tenant": path("attributes", "tenant_id"),
        "query": path("inputs", "query"),
        "q": path("inputs", "q"),
        "question": path("inputs", "question"),
        "prompt": path("inputs", "prompt"),
        "messages": path("inputs", "messages"),
        "model": path("inputs", "model"),
        "temperature": path("inputs", "temperature"),
        "output": path("output"),
        "documents": path("output", "documents"),
        "results": path("output", "results"),
        "first_id": path("output", 0, "id"),
        "first_score": path("output", 0, "score"),
        "out_id": path("output", "id"),
        "out_model": path("output", "model"),
        "out_usage": path("output", "usage"),
        "out_text": path("output", "content"),
        "choice": path("output", "choices", 0, "message", "content"),
        "finish": path("output", "choices", 0, "finish_reason"),
    },
    time="started",
    end="ended",
    time_kind="start",
    columns={
        "name": filled("display_name", "op_name").str.replace(r"^weave:///.*/op/([^:]+):.*$", "$1"),
        "service": filled("project").fill_null("weave"),
        "span_id": "id",
        "parent_id": filled("parent_id"),
        "session": filled("thread_id"),
        "user": "user",
        "tenant": "tenant",
        "outcome": pl.when(broke & pl.coalesce(error, "exception").str.contains(r"(?i)time(d ?)?out"))
        .then(pl.lit("timeout"))
        .when(broke)
        .then(pl.lit("error"))
        .when(present("ended"))
        .then(pl.lit("ok")),
        "error_type": error,
    },
    ids=(
        Id("run_id", "id"),
        Id("trace_id", "trace_id"),
        Id("turn_id", "turn_id"),
        Id("request_id", "request"),
    ),
    attributes={"op_name": "op_name", "error": pl.coalesce("error_text", "exception").str.slice(0, 240)},
    events=(
        Event(
            kind="model.call",
            layer="model",
            when=kind == "model",
            columns={
                "input": pl.coalesce("messages", asked),
                "output": pl.coalesce("choice", "out_text", "output"),
                "requested_model": "model",
                "served_model": "out_model",
                "response_id": response_id,
                "finish_reason": "finish",
                "input_tokens": pl.coalesce("out_usage", "usage").str.extract(r'"(?:prompt|input)_tokens":\s*(\d+)', 1),
                "output_tokens": pl.coalesce("out_usage", "usage").str.extract(
                    r'"(?:completion|output)_tokens":\s*(\d+)', 1
                ),
            },
            ids=(Id("response_id", response_id),),
            parameters={"temperature": "temperature"},
        ),
        Event(
            kind="retrieval.query",
            layer="retrieval",
            when=kind == "search",
            columns={"input": asked},
            documents=Documents(
                pl.coalesce(
                    "documents", "results", pl.when(pl.col("output").str.starts_with("[")).then(pl.col("output"))
                ),
                id=("id",),
                score=("score",),
                text=("text",),
            ),
        ),
        Event(
            kind="retrieval.embed",
            layer="retrieval",
            when=kind == "embed",
            columns={"input": asked, "embedding_model": pl.coalesce("out_model", "model")},
        ),
        # Any other traced function: a bridge between the layers of the product.
        Event(kind="app.step", when=kind == "step", columns={"input": asked, "output": "output"}),
    ),
)
