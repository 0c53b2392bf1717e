"""LlamaIndex spans: what its SimpleSpanHandler keeps of each instrumented method, one object per span.

What to know of these spans: the id is class and method with a UUID; the method tells what the span is. Wrappers stand
around the very same work (`retrieve` around `_retrieve`, `complete` around the decorated `complete`): the inner one
repeats the outer. Times are naive and local; no span says whether it failed. Where the event handler's log is there
too (LlamaIndex events), its end of a search or call is the record with the content, and the span repeats it.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Ref, filled, path

UUID = 37
"""Characters of the hyphen and the UUID that end an id."""

SEARCH = ["retrieve", "aretrieve"]
EMBED = [
    *("get_query_embedding", "aget_query_embedding", "get_text_embedding", "aget_text_embedding"),
    *("get_text_embedding_batch", "aget_text_embedding_batch", "get_text_embeddings", "aget_text_embeddings"),
]
CALL = [
    *("complete", "acomplete", "stream_complete", "astream_complete"),
    *("chat", "achat", "stream_chat", "astream_chat"),
]

label, above = pl.col("id_").str.head(-UUID), pl.col("parent_id").str.head(-UUID)
parts = label.str.split(".")
method, owner = parts.list.last().str.strip_prefix("_"), parts.list.first()
ranks = (method == "postprocess_nodes") & owner.str.contains("(?i)rerank")
calls = method.is_in(CALL) & ~owner.str.contains_any(["Engine", "Agent", "Workflow"])
searches = method.is_in([*SEARCH, *EMBED]) | ranks
kind = (
    pl.when(method.is_in(SEARCH))
    .then(pl.lit("retrieval.query"))
    .when(method.is_in(EMBED))
    .then(pl.lit("retrieval.embed"))
    .otherwise(pl.lit("retrieval.rerank"))
)
inner = label.str.replace("._", ".", literal=True) == above.str.replace("._", ".", literal=True)
SPAN = Ref("span_id", "id_", "repeats")
WRAPPER = Ref("span_id", pl.when(inner).then(pl.col("parent_id")), "repeats")


FORMAT = Format(
    name="llamaindex_spans",
    title="LlamaIndex spans",
    layer="other",
    reference="https://docs.llamaindex.ai/en/stable/module_guides/observability/instrumentation/",
    versions=("llama-index-core 0.14.25",),
    verified=True,
    export="The completed and dropped spans of a SimpleSpanHandler on LlamaIndex's dispatcher, dumped as JSON lines.",
    limits="A span has no content and no outcome, only its times and the span above it.",
    recognise=Recognise(
        keys=(("parent_id",), ("start_time",), ("end_time",)),
        where=((("id_",), r"\.\w+-[0-9a-f]{8}-[0-9a-f]{4}-"),),
    ),
    fields={"id_": path("id_"), "parent_id": path("parent_id"), "request": path("tags", "request_id")}
    | {name: path(name, verbatim=True) for name in ("start_time", "end_time")},
    time="start_time",
    end="end_time",
    time_kind="start",
    columns={"service": pl.lit("llamaindex"), "name": label, "span_id": "id_", "parent_id": filled("parent_id")},
    ids=(Id("request_id", "request"),),
    events=(
        Event(kind=kind, layer="retrieval", when=searches, refs=(SPAN, WRAPPER)),
        Event(kind="model.call", layer="model", when=calls, refs=(SPAN, WRAPPER)),
        # Engines, synthesizers, splitters and the like: a bridge between the layers of the product.
        Event(kind="app.step", when=~searches & ~calls),
    ),
)
