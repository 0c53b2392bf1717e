"""Haystack's own spans (`haystack.pipeline.run`, `haystack.component.run`), in whatever container they came.

What to know of these spans: every span has one of two names; the component's type tells what it did; inputs and outputs
are there only with HAYSTACK_CONTENT_TRACING_ENABLED; each pipeline run is a trace of its own unless the application
opened a span around it, and no request id is written unless it did.
"""

import polars as pl

from strataline.format import Documents, Event, Format, Id, Recognise, filled, inside, path, whole

OWN = {
    "component": "haystack.component.name",
    "type": "haystack.component.type",
    "visits": "haystack.component.visits",
    "given": "haystack.component.input",
    "gave": "haystack.component.output",
    "pipeline_given": "haystack.pipeline.input_data",
    "pipeline_gave": "haystack.pipeline.output_data",
    "session": "session.id",
    "user": "user.id",
}
GIVEN = {"query": ("query",), "text": ("text",), "asked": ("prompt",), "heard": ("messages",)}
GAVE = {
    "documents": ("documents",),
    "prompt": ("prompt",),
    "built": ("messages",),
    "said": ("replies", 0),
    "said_text": ("replies", 0, "content", 0, "text"),
    "said_old": ("replies", 0, "_content", 0, "text"),
    "model": ("meta", 0, "model"),
    "prompt_tokens": ("meta", 0, "usage", "prompt_tokens"),
    "completion_tokens": ("meta", 0, "usage", "completion_tokens"),
    "finish": ("meta", 0, "finish_reason"),
    "chat_model": ("replies", 0, "meta", "model"),
    "chat_prompt_tokens": ("replies", 0, "meta", "usage", "prompt_tokens"),
    "chat_completion_tokens": ("replies", 0, "meta", "usage", "completion_tokens"),
    "chat_finish": ("replies", 0, "meta", "finish_reason"),
    "index": ("documents", 0, "index"),
    "meta_index": ("documents", 0, "meta", "index"),
}


def _type(pattern: str) -> pl.Expr:
    return pl.col("type").str.contains(pattern).fill_null(value=False)


search, rerank = _type(r"Retriever$|WebSearch$"), _type(r"Ranker$")
embed, build = _type(r"Embedder$"), _type(r"PromptBuilder$")
call = _type(r"(Generator|Gemini\w*|Agent)$") & ~_type(r"Agent$")
error = pl.col("exception")
broke = pl.col("status") == "error"
came = (pl.col("status") == "ok") | pl.coalesce("gave", "pipeline_gave").is_not_null()
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

FORMAT = Format(
    name="span_haystack",
    title="Haystack spans",
    layer="retrieval",
    reference="https://docs.haystack.deepset.ai/docs/tracing",
    versions=("2.11.2", "3.4.0"),
    verified=False,
    export="haystack.tracing.OpenTelemetryTracer with any OTLP exporter behind it.",
    limits="Without content tracing it tells no query, document, prompt or answer; it writes no request id.",
    of="span",
    # Marks that every span has set the order of dialects: transport, gen_ai, OpenInference, a vendor's own.
    recognise=Recognise(
        keys=(("trace_id",), ("name",), ("span_id",), ("attributes",)),
        any_of=((("start",), ("end",)),),
        where=((("name",), r"^haystack\."),),
    ),
    fields={
        name: path(name)
        for name in ("trace_id", "span_id", "parent_id", "name", "start", "end", "status", "service", "scope")
    }
    | {"span_kind": path("kind"), "status_text": path("status_message"), "exception": path("error", "type")}
    | {
        "pipeline": inside(path("attributes", "haystack.pipeline.metadata"), "name"),
        "request": inside(path("attributes", "haystack.pipeline.metadata"), "request_id"),
        "request_own": path("attributes", "request_id"),
    }
    | {name: path("attributes", key) for name, key in OWN.items()}
    | {name: inside(path("attributes", "haystack.component.input"), *way) for name, way in GIVEN.items()}
    | {name: inside(path("attributes", "haystack.component.output"), *way) for name, way in GAVE.items()},
    time="start",
    end="end",
    time_kind="start",
    columns={
        "name": pl.coalesce("component", "pipeline", "name"),
        "service": "service",
        "span_id": "span_id",
        "parent_id": filled("parent_id"),
        "session": "session",
        "user": "user",
        "outcome": outcome,
        "error_type": error,
        "content_state": pl.when(pl.coalesce("given", "gave", "pipeline_given").is_null()).then(pl.lit("absent")),
    },
    ids=(Id("trace_id", "trace_id"), Id("request_id", pl.coalesce("request", "request_own"))),
    attributes={
        "span": "name",
        "span_kind": "span_kind",
        "scope": "scope",
        "type": "type",
        "visits": "visits",
        "error": pl.col("status_text").str.extract("^(.+)", 1).str.slice(0, 240),
    },
    events=(
        Event(
            kind="retrieval.query",
            when=search,
            columns={"input": pl.coalesce("query", "given"), "index_name": pl.coalesce("meta_index", "index")},
            documents=Documents("documents", id=("id",), score=("score",), text=("content",)),
        ),
        Event(
            kind="retrieval.rerank",
            when=rerank,
            columns={"input": "query"},
            documents=Documents("documents", id=("id",), score=("score",), text=("content",)),
        ),
        Event(kind="retrieval.embed", when=embed, columns={"input": "text"}),
        Event(
            kind="prompt.rendered",
            layer="prompt",
            when=build,
            columns={"input": pl.coalesce("prompt", "built"), "template_name": "component"},
        ),
        Event(
            kind="model.call",
            layer="model",
            when=call,
            columns={
                "input": pl.coalesce("asked", "heard", "given"),
                "output": pl.coalesce("said_text", "said_old", "said"),
                "served_model": pl.coalesce("model", "chat_model"),
                "finish_reason": pl.coalesce("finish", "chat_finish"),
                "input_tokens": pl.coalesce(whole("prompt_tokens"), whole("chat_prompt_tokens")),
                "output_tokens": pl.coalesce(whole("completion_tokens"), whole("chat_completion_tokens")),
            },
        ),
        Event(
            kind="app.step",
            layer="other",
            when=~(search | rerank | embed | build | call),
            columns={"input": pl.coalesce("given", "pipeline_given"), "output": pl.coalesce("gave", "pipeline_gave")},
        ),
    ),
)
