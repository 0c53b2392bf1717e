"""OTLP JSON spans with OpenInference attributes (LangChain, LlamaIndex, Haystack, …), one batch per line.

What to know of these spans: a line is a batch, so the dialect is decided span by span; children stand before
their parents; the request id lies in `metadata`, a JSON text; a retriever's documents lie in `output.value`, a
JSON text, where LangChain wrote it; `using_attributes` leaves prompt template attributes on every span, so they
count on LLM and PROMPT spans alone. Documents under numbered keys (`retrieval.documents.0.…`) are not read.
"""

import polars as pl

from strataline.format import (
    Documents,
    Event,
    Format,
    Id,
    Recognise,
    attribute,
    filled,
    inside,
    path,
    whole,
    words,
)

RECORD, RESOURCE, SCOPE = 0, 1, 2
"""Levels of `explode`: the line, one of its resources, one of that one's scopes; the span is the innermost."""

VERDICTS = {
    "allow": "allow", "allowed": "allow", "pass": "allow", "passed": "allow", "success": "allow",
    "block": "block", "blocked": "block", "deny": "block", "denied": "block", "fail": "block",
    "redact": "redact", "mask": "redact", "flag": "flag", "error": "error",
}  # fmt: skip

metadata, spoken, answered = attribute("metadata"), attribute("input.value"), attribute("output.value")
asked = attribute("llm.invocation_parameters")


kind = pl.col("kind").str.to_uppercase().fill_null("")
server = pl.col("span_kind").is_in(["2", "SPAN_KIND_SERVER"])
http = pl.coalesce(whole("http_status"), whole("http_status_new"))
error = pl.coalesce("error_type", "exception")
broke = pl.col("status").is_in(["2", "STATUS_CODE_ERROR"]) | (http >= 500)
verdict = words("verdict", VERDICTS, default="unknown").fill_null(words("verdict_inside", VERDICTS, default="unknown"))

outcome = (
    pl.when(broke & error.str.contains(r"(?i)time(d ?)?out"))
    .then(pl.lit("timeout"))
    .when(broke)
    .then(pl.lit("error"))
    .when(http >= 400)
    .then(pl.lit("error"))
    .when(pl.col("status").is_in(["1", "STATUS_CODE_OK"]) | http.is_not_null())
    .then(pl.lit("ok"))
)

FORMAT = Format(
    name="otlp_openinference_spans",
    title="OpenInference spans (OTLP JSON)",
    layer="retrieval",
    reference="https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md",
    versions=("openinference-instrumentation-langchain 0.1.80", "openinference-instrumentation-llama-index 4.6.1"),
    verified=True,
    recognise=Recognise(keys=(("resourceSpans",),), where=((("resourceSpans",), r"openinference\."),)),
    explode=(("resourceSpans",), ("scopeSpans",), ("spans",)),
    fields={
        "trace_id": path("traceId"),
        "span_id": path("spanId"),
        "parent_id": path("parentSpanId"),
        "name": path("name"),
        "span_kind": path("kind"),
        "started": path("startTimeUnixNano", verbatim=True),
        "ended": path("endTimeUnixNano", verbatim=True),
        "status": path("status", "code"),
        "status_text": path("status", "message"),
        "exception": attribute("exception.type", "events", 0, "attributes"),
        "error_type": attribute("error.type"),
        "service": attribute("service.name", "resource", "attributes", level=RESOURCE),
        "service_version": attribute("service.version", "resource", "attributes", level=RESOURCE),
        "scope": path("scope", "name", level=SCOPE),
        "kind": attribute("openinference.span.kind"),
        "session": attribute("session.id"),
        "thread": inside(metadata, "thread_id"),
        "meta_session": inside(metadata, "session_id"),
        "user": attribute("user.id"),
        "tenant": inside(metadata, "tenant"),
        "request": inside(metadata, "request_id"),
        "header": attribute("http.request.header.x_request_id"),
        "header_list": attribute("http.request.header.x-request-id"),
        "route": attribute("http.route"),
        "http_status": attribute("http.status_code"),
        "http_status_new": attribute("http.response.status_code"),
        "input": spoken,
        "query": inside(spoken, "query"),
        "query_str": inside(spoken, "query_str"),
        "bundle": inside(spoken, "query_bundle", "query_str"),
        "output": answered,
        "documents": inside(answered, "documents"),
        "index": inside(answered, "documents", 0, "metadata", "index"),
        "kb_version": inside(answered, "documents", 0, "metadata", "kb_version"),
        "index_version": inside(answered, "documents", 0, "metadata", "index_version"),
        "store": inside(metadata, "ls_vector_store_provider"),
        "embedder": inside(metadata, "ls_embedding_provider"),
        "embedding_model": attribute("embedding.model_name"),
        "reranker": attribute("reranker.model_name"),
        "reranked": attribute("reranker.query"),
        "model": attribute("llm.model_name"),
        "provider": attribute("llm.provider"),
        "system": attribute("llm.system"),
        "said": attribute("llm.output_messages.0.message.content"),
        "finish": attribute("llm.finish_reason"),
        "prompt_tokens": attribute("llm.token_count.prompt"),
        "completion_tokens": attribute("llm.token_count.completion"),
        "temperature": inside(asked, "temperature"),
        "top_p": inside(asked, "top_p"),
        "max_tokens": inside(asked, "max_tokens"),
        "stop": inside(asked, "stop"),
        "template_version": attribute("llm.prompt_template.version"),
        "template_name": attribute("prompt.id"),
        "verdict": attribute("guardrail.action"),
        "verdict_inside": inside(answered, "action"),
        "rule": inside(answered, "rule"),
    },
    time="started",
    end="ended",
    time_kind="start",
    columns={
        "name": "name",
        "service": "service",
        "span_id": "span_id",
        "parent_id": filled("parent_id"),
        "session": pl.coalesce(filled("session"), filled("meta_session"), filled("thread")),
        "user": "user",
        "tenant": "tenant",
        "outcome": outcome,
        "error_type": error,
    },
    ids=(
        Id("trace_id", "trace_id"),
        Id("request_id", "request"),
        # An attribute of a header is a list by the convention, and a text where it was set by hand.
        Id(
            "request_id",
            pl.coalesce("header", pl.col("header_list").str.extract(r'"stringValue":\s*"([^"]+)"', 1)),
        ),
    ),
    attributes={
        "span_kind": pl.coalesce("kind", "span_kind"),
        "scope": "scope",
        "service_version": "service_version",
        "error": pl.col("status_text").str.slice(0, 240),
    },
    events=(
        Event(
            kind="retrieval.request",
            when=(kind == "") & server,
            columns={"http_status": http},
            attributes={"route": "route"},
        ),
        Event(
            kind="retrieval.query",
            when=kind == "RETRIEVER",
            columns={
                "input": pl.coalesce("bundle", "query", "query_str", "input"),
                "index_name": "index",
                "index_version": pl.coalesce("index_version", "kb_version"),
            },
            attributes={"vector_store": "store", "embedding_provider": "embedder"},
            documents=Documents(
                "documents",
                id=("id",),
                score=("score",),
                version=("metadata", "kb_version"),
                text=("page_content",),
            ),
        ),
        Event(
            kind="retrieval.rerank",
            when=kind == "RERANKER",
            columns={"input": pl.coalesce("reranked", "input")},
            attributes={"reranker": "reranker"},
        ),
        Event(
            kind="retrieval.embed",
            when=kind == "EMBEDDING",
            columns={"input": pl.coalesce("query", "input"), "embedding_model": "embedding_model"},
        ),
        Event(
            kind="model.call",
            layer="model",
            when=kind == "LLM",
            columns={
                "input": "input",
                "output": pl.coalesce("said", "output"),
                "served_model": pl.when(pl.col("model") != "unknown").then(pl.col("model")),
                "provider": pl.coalesce("provider", "system"),
                "finish_reason": "finish",
                "input_tokens": whole("prompt_tokens"),
                "output_tokens": whole("completion_tokens"),
                "template_name": "template_name",
                "template_version": "template_version",
            },
            parameters={name: name for name in ("temperature", "top_p", "max_tokens", "stop")},
        ),
        Event(
            kind="policy.decision",
            layer="policy",
            when=kind == "GUARDRAIL",
            columns={
                "input": "input",
                "policy_name": pl.coalesce("rule", "name"),
                "policy_stage": pl.col("name").str.to_lowercase().str.extract(r"(input|output|retrieval|tool)", 1),
                "verdict": verdict.fill_null("unknown"),
                "enforced": pl.when(verdict.is_in(["block", "redact"])).then(pl.lit(value=True)),
                "outcome": pl.when(broke)
                .then(outcome)
                .when(verdict == "block")
                .then(pl.lit("blocked"))
                .otherwise(outcome),
            },
        ),
        Event(
            kind="prompt.rendered",
            layer="prompt",
            when=kind == "PROMPT",
            columns={
                "input": "output",
                "template_name": "template_name",
                "template_version": "template_version",
            },
        ),
        # Chains, agents, tools and what else has a span: no layer of the product, but a bridge between its layers.
        Event(
            kind="app.step",
            layer="other",
            when=~(kind.is_in(["RETRIEVER", "RERANKER", "EMBEDDING", "LLM", "GUARDRAIL", "PROMPT"]))
            & ~((kind == "") & server),
            columns={"input": "input", "output": "output", "http_status": http},
            attributes={"route": "route"},
        ),
    ),
)
