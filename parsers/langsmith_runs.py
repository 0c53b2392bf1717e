"""LangSmith runs: the Run records of its export and of LangChain's run collector, and the batches its SDK posts.

What to know of these records: `session_id` and `session_name` are the *project*; the chat's thread lies in
`extra.metadata`. The trace's id is the id of its root run. A run may be posted when it starts and patched when it
ends: within one batch the two are put together, else the open post says that it repeats the ended run. Naive times
are UTC. Documents have no scores. Metadata may hold environment variables, so only known keys are read.
"""

from collections.abc import Iterator
from typing import Any

import polars as pl

from strataline.format import (
    Documents,
    Event,
    Format,
    Id,
    Recognise,
    Ref,
    Time,
    decode,
    encode,
    filled,
    path,
    present,
    whole,
    words,
)

PLACES: tuple[tuple[str | int, ...], ...] = ((), ("post", 0), ("patch", 0), ("body", "post", 0), ("body", "patch", 0))
"""Where a record keeps its first run: it is one, or a batch, or a captured request with a batch."""

CALLS = ["llm", "retriever", "embedding", "prompt"]
NESTED = ("extra", "inputs", "outputs", "events", "error")
"""Members that a table (bulk export) holds as JSON text."""

TEXT = r'"(?:content|text)":\s*"(?:[^"\\]|\\.)*"'
ESCAPES = {r"\n": "\n", r"\t": "\t", r"\"": '"', "\\\\": "\\"}


def _runs(text: str) -> list[str]:
    """The runs of a record; one that is a plain run stays as it is written."""
    if not any(mark in text for mark in ('"post"', '"patch"', '"child_runs"', '"extra":"', '"extra": "')):
        return [text]
    record = decode(text)
    if not isinstance(record, dict):
        return []
    if "dotted_order" in record:
        return [encode(run) for run in _flat(record)]
    batch = record.get("body") if isinstance(record.get("body"), dict) else record
    posts, patches = ([one for one in _listed(batch, name) if isinstance(one, dict)] for name in ("post", "patch"))
    runs = {str(one.get("id", number)): one for number, one in enumerate(posts)}
    for number, one in enumerate(patches):
        known = {name: value for name, value in one.items() if value not in (None, [], {})}
        key = str(one.get("id", f"patch {number}"))
        runs[key] = {**runs[key], **known} if key in runs else one
    for one in runs.values():
        if not one.get("end_time"):
            one["repeats"] = one.get("id")
    return [encode(run) for one in runs.values() for run in _flat(one)]


def _listed(batch: Any, name: str) -> list[Any]:
    found = batch.get(name)
    return found if isinstance(found, list) else []


def _flat(run: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The run and, after it, the runs below it; nested JSON texts are opened."""
    below = run.pop("child_runs", None)
    for name in NESTED:
        value = run.get(name)
        if isinstance(value, str) and value[:1] in "{[" and value:
            try:
                run[name] = decode(value)
            except (ValueError, RecursionError):
                continue
    yield run
    for one in below if isinstance(below, list) else ():
        if isinstance(one, dict):
            yield from _flat(one)


def _texts(name: str) -> pl.Expr:
    """The texts of a JSON list of chat messages, parted by empty lines."""
    bare = pl.element().str.replace(r'^"(?:content|text)":\s*"', "").str.strip_suffix('"')
    joined = pl.col(name).str.extract_all(TEXT).list.eval(bare).list.join("\n\n").str.replace_many(ESCAPES)
    return pl.when(joined != "").then(joined)


# A patch may lack its start; the dotted order has it: start and id of each run from the root down to this one.
DOTTED = r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{6})Z[^.]+$"
order = pl.col("dotted").str.extract(r"([^.]+)$", 1).str.replace(DOTTED, "${1}-${2}-${3}T${4}:${5}:${6}.${7}Z")
started = pl.coalesce("started", order)
# Nor need a patch have its type.
kind = pl.coalesce(pl.col("run_type").str.to_lowercase(), pl.when(present("provider")).then(pl.lit("llm"))).fill_null(
    ""
)
failed = present("error") | pl.col("status").eq("error")
outcome = (
    pl.when(failed & pl.col("error").str.contains(r"(?i)^[\w.]*time(d ?)?out"))
    .then(pl.lit("timeout"))
    .when(failed & pl.col("error").str.contains(r"^[\w.]*(?:Cancelled|Abort|KeyboardInterrupt)"))
    .then(pl.lit("cancelled"))
    .when(failed)
    .then(pl.lit("error"))
    .when(present("ended"))
    .then(pl.lit("ok"))
)
# LangChain calls an answer by its own run where the provider gave no id.
answer_id = pl.coalesce("out_id", "message_meta_id", "message_id")
response_id = pl.when(~answer_id.str.contains(r"^(?:lc_)?run-")).then(answer_id)
MESSAGE = ("outputs", "generations", 0, 0, "message", "kwargs")

FORMAT = Format(
    name="langsmith_runs",
    title="LangSmith runs",
    layer="other",
    reference="https://docs.langchain.com/langsmith/run-data-format",
    versions=("langsmith 0.15.0", "langsmith 0.1.131", "langchain-core 1.7.2"),
    verified=True,
    export="`client.list_runs()` written as JSON lines, bulk export to S3 (Parquet), or LangChain's RunCollector.",
    limits="A run that was still open when it was exported has no outcome; tokens and cost may be null.",
    recognise=Recognise(
        any_of=tuple(tuple((*place, key) for place in PLACES) for key in ("id", "trace_id", "dotted_order"))
    ),
    reshape=_runs,
    fields={
        "id": path("id"),
        "trace_id": path("trace_id"),
        "parent": path("parent_run_id"),
        "dotted": path("dotted_order"),
        "name": path("name"),
        "run_type": path("run_type"),
        "started": path("start_time", verbatim=True),
        "ended": path("end_time", verbatim=True),
        "first_token": path("first_token_time"),
        "status": path("status"),
        "error": path("error"),
        "project": path("session_name"),
        "project_id": path("session_id"),
        "repeats": path("repeats"),
        "tags": path("tags"),
        "example": path("reference_example_id"),
        "request": path("extra", "metadata", "request_id"),
        "correlation": path("extra", "metadata", "correlation_id"),
        "thread": path("extra", "metadata", "thread_id"),
        "meta_session": path("extra", "metadata", "session_id"),
        "conversation": path("extra", "metadata", "conversation_id"),
        "user": path("extra", "metadata", "user_id"),
        "tenant": path("extra", "metadata", "tenant_id"),
        "node": path("extra", "metadata", "langgraph_node"),
        "model": path("extra", "metadata", "ls_model_name"),
        "provider": path("extra", "metadata", "ls_provider"),
        "ls_temperature": path("extra", "metadata", "ls_temperature"),
        "ls_max_tokens": path("extra", "metadata", "ls_max_tokens"),
        "store": path("extra", "metadata", "ls_vector_store_provider"),
        "embedder": path("extra", "metadata", "ls_embedding_provider"),
        "embedding_model": path("extra", "metadata", "ls_embedding_model"),
        "hub_repo": path("extra", "metadata", "lc_hub_repo"),
        "hub_commit": path("extra", "metadata", "lc_hub_commit_hash"),
        "usage_in": path("extra", "metadata", "usage_metadata", "input_tokens"),
        "usage_out": path("extra", "metadata", "usage_metadata", "output_tokens"),
        "param_model": path("extra", "invocation_params", "model"),
        "param_model_name": path("extra", "invocation_params", "model_name"),
        "temperature": path("extra", "invocation_params", "temperature"),
        "prompt_tokens": path("prompt_tokens"),
        "completion_tokens": path("completion_tokens"),
        "cost": path("total_cost"),
        "inputs": path("inputs"),
        "query": path("inputs", "query"),
        "asked": path("inputs", "input"),
        "question": path("inputs", "question"),
        "messages": path("inputs", "messages"),
        "prompts": path("inputs", "prompts", 0),
        "asked_model": path("inputs", "model"),
        "asked_stream": path("inputs", "stream"),
        "outputs": path("outputs"),
        "output": path("outputs", "output"),
        "documents": path("outputs", "documents"),
        "index": path("outputs", "documents", 0, "metadata", "index"),
        "rendered": path("outputs", "output", "messages"),
        "generated": path("outputs", "generations", 0, 0, "text"),
        "generated_finish": path("outputs", "generations", 0, 0, "generation_info", "finish_reason"),
        "message_text": path(*MESSAGE, "content"),
        "message_id": path(*MESSAGE, "id"),
        "message_model": path(*MESSAGE, "response_metadata", "model_name"),
        "message_meta_id": path(*MESSAGE, "response_metadata", "id"),
        "message_finish": path(*MESSAGE, "response_metadata", "finish_reason"),
        "message_in": path(*MESSAGE, "usage_metadata", "input_tokens"),
        "message_out": path(*MESSAGE, "usage_metadata", "output_tokens"),
        "out_id": path("outputs", "id"),
        "out_model": path("outputs", "model"),
        "out_text": path("outputs", "choices", 0, "message", "content"),
        "out_finish": path("outputs", "choices", 0, "finish_reason"),
        "out_in": path("outputs", "usage_metadata", "input_tokens"),
        "out_out": path("outputs", "usage_metadata", "output_tokens"),
    },
    time=Time(started),
    end="ended",
    time_kind="start",
    zone="UTC",
    columns={
        "name": "name",
        "service": filled("project").fill_null("langsmith"),
        "span_id": "id",
        "parent_id": filled("parent"),
        "session": filled("thread", "meta_session", "conversation"),
        "user": filled("user"),
        "tenant": filled("tenant"),
        "outcome": outcome,
        "error_type": pl.col("error").str.extract(r"^([A-Za-z_][\w.]*)[(:]", 1),
    },
    ids=(
        Id("run_id", "id"),
        Id("trace_id", "trace_id"),
        Id("request_id", "request"),
        Id("request_id", "correlation"),
        Id("project", "project_id", role="group"),
    ),
    # A chain at the root bears the id of the whole trace, which would name all other chains as well.
    refs=(Ref("run_id", pl.when(kind.is_in(CALLS)).then(pl.col("repeats")), "repeats"),),
    attributes={
        "run_type": "run_type",
        "tags": pl.when(pl.col("tags") != "[]").then(pl.col("tags")),
        "langgraph_node": "node",
        "reference_example": "example",
        "error": pl.col("error").str.slice(0, 240),
    },
    events=(
        Event(
            kind="model.call",
            layer="model",
            when=kind == "llm",
            columns={
                "input": pl.coalesce(_texts("messages"), "messages", "prompts", "inputs"),
                "output": pl.coalesce(filled("message_text"), filled("generated"), filled("out_text")),
                "requested_model": pl.coalesce("asked_model", "param_model", "param_model_name", "model"),
                "served_model": pl.coalesce("message_model", "out_model"),
                "provider": "provider",
                "response_id": response_id,
                "finish_reason": pl.coalesce("generated_finish", "message_finish", "out_finish"),
                "input_tokens": pl.coalesce(
                    whole("prompt_tokens"), whole("message_in"), whole("out_in"), whole("usage_in")
                ),
                "output_tokens": pl.coalesce(
                    whole("completion_tokens"), whole("message_out"), whole("out_out"), whole("usage_out")
                ),
                "cost_usd": "cost",
                "stream": words("asked_stream", {"true": "true", "false": "false"}).eq("true"),
            },
            ids=(Id("response_id", response_id),),
            attributes={"first_token_time": "first_token"},
            parameters={
                "temperature": pl.coalesce("ls_temperature", "temperature"),
                "max_tokens": "ls_max_tokens",
            },
        ),
        Event(
            kind="retrieval.query",
            layer="retrieval",
            when=kind == "retriever",
            columns={
                "input": pl.coalesce("query", "asked", "inputs"),
                "index_name": "index",
                "embedding_model": "embedding_model",
            },
            attributes={"vector_store": "store", "embedding_provider": "embedder"},
            documents=Documents(
                pl.coalesce("documents", "output"), id=("id",), score=("metadata", "score"), text=("page_content",)
            ),
        ),
        Event(
            kind="retrieval.embed",
            layer="retrieval",
            when=kind == "embedding",
            columns={"input": pl.coalesce("asked", "inputs"), "embedding_model": pl.coalesce("model", "asked_model")},
        ),
        Event(
            kind="prompt.rendered",
            layer="prompt",
            when=kind == "prompt",
            columns={
                "input": pl.coalesce(_texts("rendered"), "output"),
                "template_name": "hub_repo",
                "template_version": "hub_commit",
            },
        ),
        # Chains, tools, parsers: no layer of the product, but a bridge between its layers.
        Event(
            kind="app.step",
            when=~kind.is_in(CALLS),
            columns={
                "input": pl.coalesce("asked", "question", "query", "inputs"),
                "output": pl.coalesce("output", pl.when(pl.col("outputs") != "{}").then(pl.col("outputs"))),
            },
        ),
    ),
)
