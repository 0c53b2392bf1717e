"""LangSmith runs as OpenTelemetry spans (`langsmith.*`), as the SDK's OTLP exporter writes them.

What to know of these spans: the run id and the trace's run id are UUIDs that equal no trace id of OpenTelemetry;
`langsmith.trace.session_*` names the project, never a chat; the chat's session lies in the metadata; the operation
name of a retriever says `embeddings`, so the run type is what counts.
"""

import polars as pl

from strataline.format import Documents, Event, Format, Id, Recognise, Ref, filled, inside, path, whole

HEADER = r'^(?:\[\s*")?([^"\]]+)'
"""An attribute of a header is a list by the convention, and a text where it was set by hand."""
CONTENT = r'"(?:content|text)":\s*"'
OWN = {
    "kind": "langsmith.span.kind",
    "run": "langsmith.span.id",
    "root": "langsmith.trace.id",
    "run_parent": "langsmith.span.parent_id",
    "run_name": "langsmith.trace.name",
    "project": "langsmith.trace.session_name",
    "given": "gen_ai.prompt",
    "gave": "gen_ai.completion",
    "inputs": "inputs",
    "outputs": "outputs",
    "asked_model": "gen_ai.request.model",
    "served": "gen_ai.response.model",
    "system": "gen_ai.system",
    "provider": "gen_ai.provider.name",
    "response": "gen_ai.response.id",
    "finish": "gen_ai.response.finish_reasons",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "streaming": "langsmith.request.streaming",
    "session_own": "session.id",
    "user_own": "user.id",
}
METADATA = {
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
    "template_name": "lc_hub_repo",
    "template_version": "lc_hub_commit_hash",
}
SETTINGS = {
    "set_temperature": "temperature",
    "set_top_p": "top_p",
    "set_max_tokens": "max_tokens",
    "set_frequency_penalty": "frequency_penalty",
    "set_presence_penalty": "presence_penalty",
}
MARKS = ("langsmith.span.kind", "langsmith.span.id", "langsmith.span.dotted_order", "langsmith.trace.name")


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


kind = pl.col("kind").str.to_lowercase().fill_null("chain")
layered = ("retriever", "embedding", "llm", "prompt")
error = pl.col("exception")
broke = pl.col("status") == "error"
came = (pl.col("status") == "ok") | pl.coalesce("gave", "outputs").is_not_null()
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
documents = pl.coalesce("found", "found_own", pl.when(pl.col("gave").str.starts_with("[")).then(pl.col("gave")))
asked = pl.coalesce("query", "query_own", "given", "inputs")

FORMAT = Format(
    name="span_langsmith",
    title="LangSmith runs as spans",
    layer="other",
    reference="https://docs.langchain.com/langsmith/trace-with-opentelemetry",
    verified=False,
    export="The langsmith SDK with LANGSMITH_OTEL_ENABLED=true and any OTLP exporter.",
    limits="Documents have no scores, and there is no run type for a guardrail.",
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
    | {name: path("attributes", f"langsmith.metadata.{key}") for name, key in METADATA.items()}
    | {name: path("attributes", f"gen_ai.request.{key}") for name, key in SETTINGS.items()}
    | {
        "query": inside(path("attributes", "gen_ai.prompt"), "query"),
        "query_own": inside(path("attributes", "inputs"), "query"),
        "found": inside(path("attributes", "gen_ai.completion"), "documents"),
        "found_own": inside(path("attributes", "outputs"), "documents"),
    },
    time="start",
    end="end",
    time_kind="start",
    columns={
        "name": pl.coalesce("run_name", "name"),
        "service": "service",
        "span_id": "span_id",
        "parent_id": filled("parent_id"),
        "session": filled("session", "thread", "chat", "session_own"),
        "user": pl.coalesce("user", "user_own"),
        "tenant": "tenant",
        "outcome": outcome,
        "error_type": error,
    },
    ids=(
        Id("trace_id", "trace_id"),
        Id("run_id", "run"),
        Id("run_id", pl.when(pl.col("root") != pl.col("run")).then(pl.col("root"))),
        Id("request_id", "request"),
    ),
    refs=(Ref("run_id", filled("run_parent"), "parent_run"),),
    attributes={
        "kind": kind,
        "span_kind": "span_kind",
        "scope": "scope",
        "project": "project",
        "error": pl.col("status_text").str.extract("^(.+)", 1).str.slice(0, 240),
    },
    events=(
        Event(
            kind="retrieval.query",
            layer="retrieval",
            when=kind == "retriever",
            columns={"input": asked},
            attributes={"vector_store": "store", "embedding_provider": "embedder"},
            documents=Documents(documents, id=("id",), score=("metadata", "score"), text=("page_content",)),
        ),
        Event(
            kind="retrieval.embed",
            layer="retrieval",
            when=kind == "embedding",
            columns={"input": asked, "embedding_model": pl.coalesce("asked_model", "own_model")},
        ),
        Event(
            kind="prompt.rendered",
            layer="prompt",
            when=kind == "prompt",
            columns={
                "input": _texts("gave", "outputs"),
                "template_name": pl.coalesce("template_name", "run_name", "name"),
                "template_version": "template_version",
            },
        ),
        Event(
            kind="model.call",
            layer="model",
            when=kind == "llm",
            columns={
                "input": _texts("given", "inputs"),
                "output": _texts("gave", "outputs"),
                "requested_model": pl.coalesce("asked_model", "own_model"),
                "served_model": "served",
                "provider": pl.coalesce("own_provider", "provider", "system"),
                "response_id": "response",
                "finish_reason": pl.col("finish").str.extract(HEADER, 1),
                "input_tokens": whole("input_tokens"),
                "output_tokens": whole("output_tokens"),
                "stream": pl.col("streaming").str.to_lowercase() == "true",
                "template_name": "template_name",
                "template_version": "template_version",
            },
            ids=(Id("response_id", "response"),),
            parameters={
                "temperature": "set_temperature",
                "top_p": "set_top_p",
                "max_tokens": "set_max_tokens",
                "frequency_penalty": "set_frequency_penalty",
                "presence_penalty": "set_presence_penalty",
            },
        ),
        Event(
            kind="app.step",
            when=~kind.is_in(layered),
            columns={"input": pl.coalesce("given", "inputs"), "output": pl.coalesce("gave", "outputs")},
        ),
    ),
)
