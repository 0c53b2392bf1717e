"""OpenLLMetry (Traceloop) spans: gen_ai attributes beside `traceloop.*`, in whatever container they came.

What to know of these spans: a retrieval is a `task`, told by its operation or by the name of the retriever; the request
id lies in the association properties; LangChain's run ids are `gen_ai.task.id`, which LangSmith knows too; inputs and
outputs are LangChain's own JSON; a chain that raised may leave its span open, and strangers then share its trace.
"""

import polars as pl

from strataline.format import Documents, Event, Format, Id, Recognise, Ref, filled, inside, path, whole, words

HEADER = r'^(?:\[\s*")?([^"\]]+)'
"""An attribute of a header is a list by the convention, and a text where it was set by hand."""
CONTENT = r'"(?:content|text)":\s*"'
UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
VERDICTS = {
    "allow": "allow", "allowed": "allow", "pass": "allow", "passed": "allow",
    "block": "block", "blocked": "block", "deny": "block", "denied": "block",
    "redact": "redact", "mask": "redact", "flag": "flag", "error": "error",
}  # fmt: skip
OWN = {
    "kind": "traceloop.span.kind",
    "workflow": "traceloop.workflow.name",
    "entity": "traceloop.entity.name",
    "way": "traceloop.entity.path",
    "input": "traceloop.entity.input",
    "output": "traceloop.entity.output",
    "operation": "gen_ai.operation.name",
    "request_type": "llm.request.type",
    "provider": "gen_ai.provider.name",
    "system": "gen_ai.system",
    "asked_model": "gen_ai.request.model",
    "model": "gen_ai.response.model",
    "response": "gen_ai.response.id",
    "finish": "gen_ai.response.finish_reasons",
    "finish_old": "llm.response.finish_reason",
    "stop_reason": "llm.response.stop_reason",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "prompt_tokens": "gen_ai.usage.prompt_tokens",
    "completion_tokens": "gen_ai.usage.completion_tokens",
    "instructions": "gen_ai.system_instructions",
    "heard": "gen_ai.input.messages",
    "answered": "gen_ai.output.messages",
    "prompt": "gen_ai.prompt",
    "completion": "gen_ai.completion",
    "streaming": "llm.is_streaming",
    "task": "gen_ai.task.id",
    "task_parent": "gen_ai.task.parent.id",
    "agent": "gen_ai.agent.id",
    "task_status": "gen_ai.task.status",
    "conversation": "gen_ai.conversation.id",
    "template_name": "traceloop.prompt.key",
    "template_version": "traceloop.prompt.version",
    "template_hash": "traceloop.prompt.version_hash",
    "database": "db.system",
    "collection": "db.collection.name",
    "top_k": "db.vector.query.top_k",
    "verdict": "guardrail.action",
    "session_id": "session.id",
    "user_id": "user.id",
    "error_type": "error.type",
    "header": "http.request.header.x-request-id",
    "header_by_hand": "http.request.header.x_request_id",
}
PROPERTIES = {
    "request": "request_id",
    "session": "session_id",
    "thread": "thread_id",
    "chat": "conversation_id",
    "user": "user_id",
    "tenant": "tenant",
    "own_model": "ls_model_name",
    "own_provider": "ls_provider",
    "store": "ls_vector_store_provider",
    "embedder": "ls_embedding_provider",
}
SETTINGS = {
    "set_temperature": "temperature",
    "set_top_p": "top_p",
    "set_top_k": "top_k",
    "set_max_tokens": "max_tokens",
    "set_seed": "seed",
    "set_stop_sequences": "stop_sequences",
}
MARKS = (
    "traceloop.span.kind", "traceloop.workflow.name", "traceloop.entity.name", "traceloop.entity.path",
    "traceloop.prompt.key", "traceloop.association.properties.request_id",
    "traceloop.association.properties.session_id", "traceloop.association.properties.thread_id",
    "traceloop.association.properties.user_id",
)  # fmt: skip


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


def _is(name: str, *values: str) -> pl.Expr:
    return pl.col(name).str.to_lowercase().is_in(values).fill_null(value=False)


def _known(name: str) -> pl.Expr:
    return pl.when(pl.col(name) != "unknown").then(pl.col(name))


guard = pl.col("verdict").is_not_null()
call = _is("operation", "chat", "text_completion", "completion", "generate_content")
call = call | _is("request_type", "chat", "completion")
embed = _is("operation", "embeddings") | _is("request_type", "embedding", "embeddings")
rerank = _is("operation", "rerank") | _is("request_type", "rerank") | pl.col("entity").str.contains(r"Rerank|Ranker$")
rerank = rerank.fill_null(value=False)
stored = (
    pl.col("database").str.contains(r"(?i)chroma|qdrant|pinecone|milvus|weaviate|lancedb|marqo").fill_null(value=False)
)
named = pl.coalesce("entity", "name").str.contains(r"Retriever(\.task)?$").fill_null(value=False)
search = _is("operation", "vector_db_retrieve", "retrieval") | (~call & ~embed & named)
asked_store = stored & pl.col("name").str.contains(r"(?i)quer|search|get").fill_null(value=False)
build = pl.col("run_type").eq("prompt") | pl.coalesce("entity", "name").str.contains(
    r"Prompt(Template|Builder)(\.task)?$"
)
build = build.fill_null(value=False)
listed = pl.col("events").str.contains('"db.query.result.id"', literal=True).fill_null(value=False)
error = pl.coalesce("error_type", "exception")
broke = (pl.col("status") == "error") | (pl.col("task_status") == "failure")
came = (pl.col("status") == "ok") | (pl.col("task_status") == "success")
came = came | listed | pl.coalesce("response", "answered", "completion", "output").is_not_null()
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
verdict = words("verdict", VERDICTS, default="unknown")
said = pl.concat_str(_texts("instructions"), _texts("heard", "prompt"), separator="\n\n", ignore_nulls=True)
run = pl.coalesce("task", pl.when(pl.col("agent").str.contains(UUID)).then(pl.col("agent")))
FORMAT = Format(
    name="span_openllmetry",
    title="OpenLLMetry spans",
    layer="model",
    reference="https://github.com/traceloop/openllmetry",
    versions=("opentelemetry-instrumentation-langchain 0.62.4",),
    verified=True,
    export="Traceloop.init(exporter=…), or the instrumentors with any OTLP exporter behind them.",
    limits="Documents come without ids or scores, and a model that the framework does not name is `unknown`.",
    of="span",
    # Marks that every span has set the order of dialects: transport, gen_ai, OpenInference, a vendor's own.
    recognise=Recognise(
        keys=(("trace_id",), ("name",), ("span_id",), ("attributes",)),
        any_of=((("start",), ("end",)), tuple(("attributes", key) for key in MARKS)),
        where=((("name",), r"\S"),),
    ),
    fields={
        name: path(name)
        for name in ("trace_id", "span_id", "parent_id", "name", "start", "end", "status", "service", "scope")
    }
    | {"span_kind": path("kind"), "status_text": path("status_message"), "exception": path("error", "type")}
    | {name: path("attributes", key) for name, key in OWN.items()}
    | {name: path("attributes", f"traceloop.association.properties.{key}") for name, key in PROPERTIES.items()}
    | {name: path("attributes", f"gen_ai.request.{key}") for name, key in SETTINGS.items()}
    | {
        "events": path("events"),
        "query": inside(path("attributes", "traceloop.entity.input"), "query"),
        "query_str": inside(path("attributes", "traceloop.entity.input"), "query_str"),
        "bundle": inside(path("attributes", "traceloop.entity.input"), "query_bundle", "query_str"),
        "run_type": inside(path("attributes", "traceloop.entity.input"), "kwargs", "run_type"),
        "documents": inside(path("attributes", "traceloop.entity.output"), "documents"),
        "index": inside(path("attributes", "traceloop.entity.output"), "documents", 0, "metadata", "index"),
    },
    time="start",
    end="end",
    time_kind="start",
    columns={
        "name": "name",
        "service": "service",
        "span_id": "span_id",
        "parent_id": filled("parent_id"),
        "session": filled("session", "thread", "chat", "session_id", "conversation"),
        "user": pl.coalesce("user", "user_id"),
        "tenant": "tenant",
        "outcome": outcome,
        "error_type": error,
    },
    ids=(
        Id("trace_id", "trace_id"),
        Id("request_id", "request"),
        Id("request_id", pl.coalesce("header_by_hand", pl.col("header").str.extract(HEADER, 1))),
        Id("run_id", run),
    ),
    refs=(Ref("run_id", "task_parent", "parent_run"),),
    attributes={
        "span_kind": pl.coalesce("kind", "span_kind"),
        "operation": "operation",
        "workflow": "workflow",
        "path": filled("way"),
        "scope": "scope",
        "error": pl.col("status_text").str.extract("^(.+)", 1).str.slice(0, 240),
    },
    events=(
        Event(
            kind="model.call",
            when=call & ~guard,
            columns={
                "input": pl.coalesce(pl.when(said != "").then(said), "input"),
                "output": pl.coalesce(_texts("answered", "completion"), "output"),
                "requested_model": _known("asked_model"),
                "served_model": pl.coalesce(_known("model"), "own_model"),
                # The instrumentor of a framework names the framework.
                "provider": pl.coalesce("own_provider", "provider", "system"),
                "response_id": "response",
                "finish_reason": pl.coalesce(pl.col("finish").str.extract(HEADER, 1), "finish_old", "stop_reason"),
                "input_tokens": pl.coalesce(whole("input_tokens"), whole("prompt_tokens")),
                "output_tokens": pl.coalesce(whole("output_tokens"), whole("completion_tokens")),
                "stream": pl.col("streaming").str.to_lowercase() == "true",
                "template_name": "template_name",
                "template_version": "template_version",
                "template_hash": "template_hash",
            },
            ids=(Id("response_id", "response"),),
            parameters={
                "temperature": "set_temperature",
                "top_p": "set_top_p",
                "top_k": "set_top_k",
                "max_tokens": "set_max_tokens",
                "seed": "set_seed",
                "stop_sequences": "set_stop_sequences",
            },
        ),
        Event(
            kind="retrieval.query",
            layer="retrieval",
            when=search & ~guard & ~rerank,
            columns={"input": pl.coalesce("query", "query_str", "bundle", "input"), "index_name": "index"},
            parameters={"top_k": "top_k"},
            attributes={"vector_store": pl.coalesce("store", "database"), "embedding_provider": "embedder"},
            documents=Documents("documents", id=("id",), score=("score",), text=("page_content",)),
        ),
        # A client of a vector store writes what it found as events of the span.
        Event(
            kind="retrieval.query",
            layer="retrieval",
            when=asked_store & ~search & ~guard,
            columns={"index_name": "collection"},
            parameters={"top_k": "top_k"},
            attributes={"vector_store": "database"},
            documents=Documents(
                pl.when(listed).then(pl.col("events")),
                id=("attributes", "db.query.result.id"),
                score=("attributes", "db.query.result.score"),
                text=("attributes", "db.query.result.document"),
            ),
        ),
        Event(
            kind="retrieval.rerank",
            layer="retrieval",
            when=rerank & ~guard & ~call,
            columns={"input": pl.coalesce("query", "query_str", "input"), "requested_model": "asked_model"},
            documents=Documents("documents", id=("id",), score=("score",), text=("page_content",)),
        ),
        Event(
            kind="retrieval.embed",
            layer="retrieval",
            when=embed & ~guard,
            columns={
                "input": pl.coalesce(_texts("heard", "prompt"), "input"),
                "embedding_model": pl.coalesce("model", "asked_model"),
            },
        ),
        Event(
            kind="prompt.rendered",
            layer="prompt",
            when=build & ~guard & ~call & ~search,
            columns={
                "input": _texts("output"),
                "template_name": pl.coalesce("template_name", "entity"),
                "template_version": "template_version",
                "template_hash": "template_hash",
            },
        ),
        # A guard that the application wrote by hand, by the words of OpenInference.
        Event(
            kind="policy.decision",
            layer="policy",
            when=guard,
            columns={
                "input": "input",
                "policy_name": pl.coalesce("entity", "name"),
                "policy_stage": pl.col("name").str.to_lowercase().str.extract(r"(input|output|retrieval|tool)", 1),
                "verdict": verdict.fill_null("unknown"),
                "enforced": pl.when(verdict.is_in(["block", "redact"])).then(pl.lit(value=True)),
                "outcome": pl.when(verdict == "block").then(pl.lit("blocked")).otherwise(outcome),
            },
        ),
        Event(
            kind="app.step",
            layer="other",
            when=~(guard | call | search | asked_store | rerank | embed | build),
            columns={"input": "input", "output": "output"},
        ),
    ),
)
