"""Haystack's LoggingTracer in its JSON log: some nine lines for each component that ran, beside its other log lines.

What to know of these lines: they are written when a component ended, one for the operation and one per tag, and no
line has an id: only that they stand together says that they belong together, and pipelines that run at once mix
them. So a component's type, its input and its output are events of their own, and nothing ties them to a request.
`event` ends in a colour code; the tag's name and value lie in fields. A component that failed has no output line.
"""

import polars as pl

from strataline.format import Documents, Event, Format, Recognise, inside, path

tag, value = pl.col("tag"), path("tag_value")
told = tag == "haystack.component.type"
made = tag == "haystack.component.output"
search = told & pl.col("value").str.contains("Retriever$")
rerank = told & pl.col("value").str.contains("Ranker$")
model = made & pl.coalesce("reply", "message").is_not_null()
rendered = made & pl.coalesce("prompt", "prompt_messages").is_not_null()
embedded = made & pl.col("embedding_model").is_not_null() & pl.col("reply").is_null()
found = made & pl.col("documents").is_not_null() & ~embedded
content = tag.is_in(["haystack.component.input", "haystack.pipeline.input_data", "haystack.pipeline.output_data"])
step = content | told & ~search & ~rerank | made & ~model & ~rendered & ~embedded & ~found
plain = tag.is_null() | ~(told | made | content)

FORMAT = Format(
    name="haystack_logging_tracer",
    title="Haystack LoggingTracer (JSON log)",
    layer="other",
    reference="https://docs.haystack.deepset.ai/docs/tracing",
    versions=("haystack-ai 3.4.0",),
    verified=True,
    export="Haystack with `tracing.enable_tracing(LoggingTracer())`, content tracing on and HAYSTACK_LOGGING_USE_JSON.",
    limits="Lines have no id and no duration: a component's lines are tied by their order alone.",
    recognise=Recognise(
        keys=(("event",), ("level",), ("timestamp",), ("lineno",)), where=((("module",), r"^haystack(?:_\w+)?\."),)
    ),
    fields={
        "event": path("event"),
        "level": path("level"),
        "module": path("module"),
        "timestamp": path("timestamp", verbatim=True),
        "operation": path("operation_name"),
        "component": path("component_name"),
        "tag": path("tag_name"),
        "value": value,
        "query": inside(value, "query"),
        "prompt": inside(value, "prompt"),
        "prompt_messages": inside(value, "prompt", 0, "content"),
        "documents": inside(value, "documents"),
        "index": inside(value, "documents", 0, "index"),
        "reply": inside(value, "replies", 0),
        "message": inside(value, "replies", 0, "content", 0, "text"),
        "served": inside(value, "meta", 0, "model"),
        "finish": inside(value, "meta", 0, "finish_reason"),
        "tokens_in": inside(value, "meta", 0, "usage", "prompt_tokens"),
        "tokens_out": inside(value, "meta", 0, "usage", "completion_tokens"),
        "embedding_model": inside(value, "meta", "model"),
    },
    time="timestamp",
    columns={"service": pl.lit("haystack"), "name": pl.coalesce("operation", "component", tag)},
    attributes={"module": "module"},
    events=(
        Event(
            kind=pl.when(search).then(pl.lit("retrieval.query")).otherwise(pl.lit("retrieval.rerank")),
            layer="retrieval",
            when=search | rerank,
            columns={"name": "value"},
        ),
        Event(
            kind="app.step",
            layer="retrieval",
            when=found,
            columns={"index_name": "index"},
            documents=Documents("documents", id=("id",), score=("score",), text=("content",)),
        ),
        Event(kind="retrieval.embed", layer="retrieval", when=embedded, columns={"embedding_model": "embedding_model"}),
        Event(
            kind="prompt.rendered",
            layer="prompt",
            when=rendered,
            columns={"input": pl.coalesce("prompt_messages", "prompt")},
        ),
        Event(
            kind="model.call",
            layer="model",
            when=model,
            time_kind="end",
            columns={
                "output": pl.coalesce("message", "reply"),
                "served_model": "served",
                "finish_reason": "finish",
                "input_tokens": "tokens_in",
                "output_tokens": "tokens_out",
                "outcome": pl.lit("ok"),
            },
        ),
        Event(
            kind="app.step",
            when=step,
            columns={
                "input": pl.when(tag.str.contains("input")).then(pl.coalesce("query", "value")),
                "output": pl.when(~tag.str.contains("input")).then(pl.col("value")),
            },
        ),
        # Operations, tags without content, and all else that Haystack logs.
        Event(
            kind="app.log",
            when=plain,
            columns={"name": pl.coalesce("operation", tag, pl.col("event").str.replace(r"\x1b\[0m$", ""))},
            attributes={"level": "level", "value": pl.col("value").str.slice(0, 240), "component": "component"},
        ),
    ),
)
