"""LangChain `astream_events` (version v2), dumped by an application one event per line.

What to know of these events: they state no time. A run id of version 7 holds the millisecond in which its run began;
that is the time given to the start and end of a run, and the end itself is not known. Pieces of a stream have none.
Start and end are two records, and the start of a search or model call says that it repeats its end; a run that raised
has no end and no error, so what only started may have failed. Tokens, model and the provider's ids are there only if
the model gives them.
"""

import polars as pl

from strataline.format import Documents, Event, Format, Id, Recognise, Ref, Time, filled, path

TEXT = r'"(?:content|text)":\s*"(?:[^"\\]|\\.)*"'
ESCAPES = {r"\n": "\n", r"\t": "\t", r"\"": '"', "\\\\": "\\"}


def _texts(name: str) -> pl.Expr:
    """The texts of a JSON list of chat messages, parted by empty lines."""
    bare = pl.element().str.replace(r'^"(?:content|text)":\s*"', "").str.strip_suffix('"')
    joined = pl.col(name).str.extract_all(TEXT).list.eval(bare).list.join("\n\n").str.replace_many(ESCAPES)
    return pl.when(joined != "").then(joined)


what = pl.col("event")
known = [
    *("on_chat_model_start", "on_llm_start", "on_chat_model_end", "on_llm_end"),
    *("on_retriever_start", "on_retriever_end", "on_prompt_end"),
]
version_7 = (
    pl.col("run_id").str.extract(r"^([0-9a-f]{8}-[0-9a-f]{4})-7[0-9a-f]{3}-", 1).str.replace("-", "", literal=True)
)
began = version_7.str.to_integer(base=16, strict=False).cast(pl.String)
response_id = pl.when(~pl.col("message_id").str.contains(r"^(?:lc_)?run-")).then(pl.col("message_id"))
STARTED = Ref("run_id", "run_id", "repeats")
"""A search or call that started: the record of its end says the same and more, if it has one."""

ended = {"outcome": pl.lit("ok")}

FORMAT = Format(
    name="langchain_events",
    title="LangChain astream_events",
    layer="other",
    reference="https://docs.langchain.com/oss/python/langchain/streaming",
    versions=("langchain-core 1.7.2",),
    verified=True,
    export='An application that writes each event of `chain.astream_events(..., version="v2")` as a JSON line.',
    limits="No event states a time or an error; a run that raised is one that started and did not end.",
    recognise=Recognise(
        keys=(("run_id",), ("parent_ids",), ("metadata",), ("data",)),
        where=((("event",), r"^on_\w+_(?:start|stream|end|error|event)$|^on_custom_event$"),),
    ),
    fields={
        "event": path("event"),
        "run_id": path("run_id"),
        "root": path("parent_ids", 0),
        "parent": path("parent_ids", -1),
        "name": path("name"),
        "request": path("metadata", "request_id"),
        "thread": path("metadata", "thread_id"),
        "session": path("metadata", "session_id"),
        "user": path("metadata", "user_id"),
        "tenant": path("metadata", "tenant_id"),
        "node": path("metadata", "langgraph_node"),
        "provider": path("metadata", "ls_provider"),
        "model": path("metadata", "ls_model_name"),
        "temperature": path("metadata", "ls_temperature"),
        "max_tokens": path("metadata", "ls_max_tokens"),
        "store": path("metadata", "ls_vector_store_provider"),
        "embedder": path("metadata", "ls_embedding_provider"),
        "input": path("data", "input"),
        "messages": path("data", "input", "messages"),
        "query": path("data", "input", "query"),
        "chunk": path("data", "chunk"),
        "piece": path("data", "chunk", "content"),
        "output": path("data", "output"),
        "rendered": path("data", "output", "messages"),
        "content": path("data", "output", "content"),
        "message_id": path("data", "output", "id"),
        "served": path("data", "output", "response_metadata", "model_name"),
        "finish": path("data", "output", "response_metadata", "finish_reason"),
        "tokens_in": path("data", "output", "usage_metadata", "input_tokens"),
        "tokens_out": path("data", "output", "usage_metadata", "output_tokens"),
        "index": path("data", "output", 0, "metadata", "index"),
    },
    time=Time(pl.when(~what.str.ends_with("_stream")).then(began), "ms"),
    time_kind="start",
    columns={
        "name": "name",
        "service": pl.lit("langchain"),
        "span_id": "run_id",
        "parent_id": "parent",
        "session": filled("thread", "session"),
        "user": "user",
        "tenant": "tenant",
    },
    ids=(
        Id("run_id", "run_id"),
        Id("trace_id", pl.coalesce("root", "run_id")),
        Id("request_id", "request"),
    ),
    attributes={"event": "event", "langgraph_node": "node"},
    events=(
        Event(
            kind="prompt.sent",
            layer="prompt",
            when=what.is_in(["on_chat_model_start", "on_llm_start"]),
            columns={
                "input": pl.coalesce(_texts("messages"), "input"),
                "requested_model": "model",
                "provider": "provider",
            },
            parameters={"temperature": "temperature", "max_tokens": "max_tokens"},
        ),
        Event(
            kind="model.call",
            layer="model",
            when=what.is_in(["on_chat_model_start", "on_llm_start"]),
            columns={"requested_model": "model", "provider": "provider"},
            refs=(STARTED,),
        ),
        Event(
            kind="model.call",
            layer="model",
            when=what.is_in(["on_chat_model_end", "on_llm_end"]),
            columns={
                "input": pl.coalesce(_texts("messages"), "input"),
                "output": pl.coalesce(filled("content"), "output"),
                "requested_model": "model",
                "served_model": "served",
                "provider": "provider",
                "response_id": response_id,
                "finish_reason": "finish",
                "input_tokens": "tokens_in",
                "output_tokens": "tokens_out",
                **ended,
            },
            ids=(Id("response_id", response_id),),
            parameters={"temperature": "temperature", "max_tokens": "max_tokens"},
        ),
        Event(
            kind="retrieval.query",
            layer="retrieval",
            when=what == "on_retriever_start",
            columns={"input": pl.coalesce("query", "input")},
            refs=(STARTED,),
        ),
        Event(
            kind="retrieval.query",
            layer="retrieval",
            when=what == "on_retriever_end",
            columns={"input": pl.coalesce("query", "input"), "index_name": "index", **ended},
            attributes={"vector_store": "store", "embedding_provider": "embedder"},
            documents=Documents("output", id=("id",), score=("metadata", "score"), text=("page_content",)),
        ),
        Event(
            kind="prompt.rendered",
            layer="prompt",
            when=what == "on_prompt_end",
            columns={"input": pl.coalesce(_texts("rendered"), "output"), **ended},
        ),
        # Chains, tools, parsers, and every piece of a stream: no call of its own.
        Event(
            kind="app.step",
            when=~what.is_in(known),
            columns={
                "input": "input",
                "output": pl.coalesce("output", "piece", "chunk"),
                "outcome": pl.when(what.str.ends_with("_end"))
                .then(pl.lit("ok"))
                .when(what.str.ends_with("_error"))
                .then(pl.lit("error")),
            },
        ),
    ),
)
