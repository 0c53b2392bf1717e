"""LlamaIndex instrumentation: one event per line, as a handler writes `event.model_dump_json()`.

What to know of these events: unless the handler adds it, nothing says which event it is, so it is told by its keys.
Start and end are events of their own, and times are naive and local. There is no trace id: `span_id` is the class
and method with a UUID, and which span lies in which only the span handler's own log tells (LlamaIndex spans). What
fails has no end, but an error of each span that it leaves. Request ids are there if the product sets tags.
"""

import polars as pl

from strataline.format import Documents, Event, Format, Id, Recognise, Ref, filled, path, present

UUID = 37
"""Characters of the hyphen and the UUID that end the id of a span."""

CALL = [
    *("complete", "acomplete", "stream_complete", "astream_complete"),
    *("chat", "achat", "stream_chat", "astream_chat"),
]
label = pl.col("span_id").str.head(-UUID)
method = label.str.split(".").list.last()
said = pl.col("class_name").fill_null("")
failed = present("err_str") | said.is_in(["ExceptionEvent", "SpanDropEvent"])
kind = (
    pl.when(failed & method.is_in(["retrieve", "aretrieve"]))
    .then(pl.lit("retrieval.query"))
    .when(failed & method.is_in(["get_query_embedding", "aget_query_embedding"]))
    .then(pl.lit("retrieval.embed"))
    .when(failed & method.is_in(CALL) & ~label.str.contains_any(["Engine.", "Agent."]))
    .then(pl.lit("model.call"))
    .when(failed)
    .then(pl.lit("app.step"))
    # A token of a stream, which has the keys of an answer.
    .when(said.str.ends_with("InProgressEvent") | present("delta"))
    .then(pl.lit("app.step"))
    .when(
        (said == "ReRankEndEvent")
        | (pl.col("nodes").is_not_null() & pl.col("bundle").is_null() & (pl.col("top_n").is_null()))
    )
    .then(pl.lit("retrieval.rerank"))
    .when(pl.col("bundle").is_not_null() & pl.col("nodes").is_not_null())
    .then(pl.lit("retrieval.query"))
    .when(pl.col("bundle").is_not_null())
    .then(pl.lit("started"))
    .when(pl.col("vector").is_not_null())
    .then(pl.lit("retrieval.embed"))
    .when(pl.coalesce("prompt", "messages").is_not_null() & pl.coalesce("text", "role").is_not_null())
    .then(pl.lit("model.call"))
    .when(pl.coalesce("prompt", "messages").is_not_null())
    .then(pl.lit("prompt.sent"))
    .otherwise(pl.lit("app.step"))
)
query = pl.coalesce("bundle_query", "bundle", "query_str", "query")
shared = {
    "name": pl.coalesce(filled("class_name"), label),
    "error_type": pl.col("err_str").str.extract(r"^([A-Za-z_][\w.]*(?:Error|Exception|Timeout)):", 1),
    "outcome": pl.when(failed & pl.col("err_str").str.contains(r"(?i)time(d ?)?out"))
    .then(pl.lit("timeout"))
    .when(failed)
    .then(pl.lit("error")),
}
ended = {"outcome": shared["outcome"].fill_null("ok")}

FORMAT = Format(
    name="llamaindex_events",
    title="LlamaIndex instrumentation events",
    layer="other",
    reference="https://docs.llamaindex.ai/en/stable/module_guides/observability/instrumentation/",
    versions=("llama-index-core 0.14.25",),
    verified=True,
    export="A BaseEventHandler of LlamaIndex's dispatcher that writes `event.model_dump_json()` as JSON lines.",
    limits="Events that hold a function (LLMPredictStartEvent) cannot be written; the log lacks them.",
    recognise=Recognise(
        keys=(("id_",), ("timestamp",), ("tags",)), where=((("span_id",), r"\.\w+-[0-9a-f]{8}-[0-9a-f]{4}-"),)
    ),
    fields={
        name: path(name)
        for name in (
            *("id_", "span_id", "class_name", "err_str", "nodes", "chunks", "prompt", "messages"),
            *("query_str", "query", "output", "top_n"),
        )
    }
    | {
        "timestamp": path("timestamp", verbatim=True),
        "request": path("tags", "request_id"),
        "trace": path("tags", "trace_id"),
        "session": path("tags", "session_id"),
        "user": path("tags", "user_id"),
        "bundle": path("str_or_query_bundle"),
        "bundle_query": path("str_or_query_bundle", "query_str"),
        "asked": path("query", "query_str"),
        "index": path("nodes", 0, "node", "metadata", "index"),
        "model": path("model_dict", "model_name"),
        "rerank_model": path("model_name"),
        "temperature": path("model_dict", "temperature"),
        "vector": path("embeddings", 0, 0),
        "delta": path("response", "delta"),
        "role": path("response", "message", "role"),
        "text": path("response", "text"),
        "content": path("response", "message", "content"),
        "block": path("response", "message", "blocks", 0, "text"),
        "answer": path("response", "response"),
        "response_id": path("response", "raw", "id"),
        "served": path("response", "raw", "model"),
        "finish": path("response", "raw", "choices", 0, "finish_reason"),
        "tokens_in": path("response", "raw", "usage", "prompt_tokens"),
        "tokens_out": path("response", "raw", "usage", "completion_tokens"),
    },
    time="timestamp",
    columns={"service": pl.lit("llamaindex"), "span_id": "span_id", "session": "session", "user": "user", **shared},
    ids=(Id("event_uuid", "id_"), Id("request_id", "request"), Id("trace_id", "trace")),
    attributes={"error": pl.col("err_str").str.slice(0, 240)},
    events=(
        Event(
            kind="retrieval.query",
            layer="retrieval",
            when=kind == "retrieval.query",
            time_kind="end",
            columns={"input": query, "index_name": "index", **ended},
            documents=Documents("nodes", id=("node", "id_"), score=("score",), text=("node", "text")),
        ),
        Event(
            kind="retrieval.rerank",
            layer="retrieval",
            when=kind == "retrieval.rerank",
            time_kind="end",
            columns=ended,
            documents=Documents("nodes", id=("node", "id_"), score=("score",), text=("node", "text")),
        ),
        Event(
            kind="retrieval.embed",
            layer="retrieval",
            when=kind == "retrieval.embed",
            time_kind="end",
            columns={"input": pl.col("chunks").str.replace(r'^\["(.*)"\]$', "$1"), **ended},
        ),
        # A search that started: its end, or its error, says the same and more.
        Event(
            kind="retrieval.query",
            layer="retrieval",
            when=kind == "started",
            time_kind="start",
            columns={"input": query},
            refs=(Ref("span_id", "span_id", "repeats"),),
        ),
        Event(
            kind="model.call",
            layer="model",
            when=kind == "model.call",
            time_kind="end",
            columns={
                "input": pl.coalesce("prompt", "messages"),
                "output": pl.coalesce("text", "content", "block"),
                "response_id": "response_id",
                "served_model": "served",
                "finish_reason": "finish",
                "input_tokens": "tokens_in",
                "output_tokens": "tokens_out",
                **ended,
            },
            ids=(Id("response_id", "response_id"),),
        ),
        Event(
            kind="prompt.sent",
            layer="prompt",
            when=kind == "prompt.sent",
            time_kind="start",
            columns={
                "input": pl.coalesce("prompt", "messages"),
                "requested_model": pl.when(pl.col("model") != "unknown").then(pl.col("model")),
            },
            parameters={"temperature": "temperature"},
        ),
        # Queries, syntheses, starts of embeddings and the like: a bridge between the layers of the product.
        Event(
            kind="app.step",
            when=kind == "app.step",
            columns={"input": pl.coalesce("asked", query), "output": pl.coalesce("answer", "output", "delta")},
            attributes={"model": pl.coalesce("model", "rerank_model")},
        ),
    ),
)
