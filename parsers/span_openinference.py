"""OpenInference spans (LangChain, LlamaIndex, Haystack, …; Phoenix), in whatever container they came.

What to know of these spans: the request id lies in `metadata`, a JSON text (Phoenix opens it into dotted keys);
LangChain's documents have their ids in `output.value` alone; `using_attributes` leaves the template on every span, so
it counts on LLM and PROMPT spans alone; a Haystack PromptBuilder says that it is an LLM; LlamaIndex wraps `_retrieve`,
`_get_query_embedding` and `complete` in a span of the same kind, and both report one operation.
"""

import polars as pl

from strataline.format import Documents, Event, Format, Id, Recognise, Ref, filled, inside, number, path, whole, words

VERDICTS = {
    "allow": "allow", "allowed": "allow", "pass": "allow", "passed": "allow", "success": "allow",
    "block": "block", "blocked": "block", "deny": "block", "denied": "block",
    "redact": "redact", "mask": "redact", "flag": "flag", "fail": "flag", "failed": "flag", "error": "error",
}  # fmt: skip
HIDDEN = "__REDACTED__"
"""What stands for a text that the application told its instrumentation to hide."""
HEADER = r'^(?:\[\s*")?([^"\]]+)'
"""An attribute of a header is a list by the convention, and a text where it was set by hand."""
INDEX = r'\\?"index\\?":\s*\\?"([^"\\]+)'
"""The index in a document's metadata, which are a JSON text within the list."""
CONTENT = r'"(?:message\.content|message_content\.text|content|text)":\s*"'
OWN = {
    "kind": "openinference.span.kind",
    "error_type": "error.type",
    "session": "session.id",
    "user": "user.id",
    "meta_request": "metadata.request_id",
    "meta_session": "metadata.session_id",
    "meta_thread": "metadata.thread_id",
    "meta_tenant": "metadata.tenant",
    "langfuse_request": "langfuse.trace.metadata.request_id",
    "header": "http.request.header.x-request-id",
    "header_by_hand": "http.request.header.x_request_id",
    "http_old": "http.status_code",
    "http_new": "http.response.status_code",
    "route": "http.route",
    "input": "input.value",
    "output": "output.value",
    "listed": "retrieval.documents",
    "embedding_model": "embedding.model_name",
    "reranker": "reranker.model_name",
    "reranked": "reranker.query",
    "best": "reranker.output_documents",
    "model": "llm.model_name",
    "provider": "llm.provider",
    "system": "llm.system",
    "asked": "llm.invocation_parameters",
    "heard": "llm.input_messages",
    "answered": "llm.output_messages",
    "finish": "llm.finish_reason",
    "prompt_tokens": "llm.token_count.prompt",
    "completion_tokens": "llm.token_count.completion",
    "cost": "llm.cost.total",
    "template_version": "llm.prompt_template.version",
    "template_name": "prompt.id",
    "verdict": "guardrail.action",
    "tool": "tool.name",
    "agent": "agent.name",
}
META = {"request": "request_id", "session_inside": "session_id", "thread": "thread_id", "tenant": "tenant"}
VENDORS = {"store": "ls_vector_store_provider", "embedder": "ls_embedding_provider"}
SETTINGS = ("temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop")


def _texts(name: str) -> pl.Expr:
    """The texts of a JSON list of chat messages, parted by empty lines, without the JSON around them."""
    quoted = pl.col(name).str.extract_all(CONTENT + r'[^"\\]*(?:\\.[^"\\]*)*"')
    bare = pl.element().str.replace("^" + CONTENT, "").str.strip_suffix('"')
    escapes = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\"": '"', r"\/": "/", "\\\\": "\\"}
    joined = quoted.list.eval(bare).list.join("\n\n").str.replace_many(escapes)
    return pl.when(joined != "").then(joined)


def _shown(name: str) -> pl.Expr:
    return pl.when(pl.col(name) != HIDDEN).then(pl.col(name))


def _documents(name: str) -> pl.Expr:
    """The list with the keys that documents have in `output.value`, whose own list it gives way to if it has no ids."""
    keys = {f'"document.{ours}":': f'"{theirs}":' for ours, theirs in (("id", "id"), ("score", "score"))}
    renamed = pl.col(name).str.replace_many({**keys, '"document.content":': '"page_content":'})
    return pl.coalesce(pl.when(renamed.str.contains('"id":', literal=True)).then(renamed), "documents", renamed)


kind = pl.col("kind").str.to_uppercase()
building = pl.col("name").str.contains("PromptBuilder", literal=True).fill_null(value=False)
model = (kind == "LLM") & ~building
prompt = (kind == "PROMPT") | ((kind == "LLM") & building)
layered = ("RETRIEVER", "RERANKER", "EMBEDDING", "LLM", "GUARDRAIL", "PROMPT")
http = pl.coalesce(whole("http_old"), whole("http_new"))
error = pl.coalesce("error_type", "exception")
broke = (pl.col("status") == "error") | (http >= 500)
verdict = pl.coalesce(
    words("verdict", VERDICTS, default="unknown"), words("verdict_inside", VERDICTS, default="unknown")
)
outcome = (
    pl.when(broke & error.str.contains(r"(?i)cancel"))
    .then(pl.lit("cancelled"))
    .when(broke & error.str.contains(r"(?i)time(d ?)?out"))
    .then(pl.lit("timeout"))
    .when(broke | (http >= 400))
    .then(pl.lit("error"))
    .when((pl.col("status") == "ok") | http.is_not_null())
    .then(pl.lit("ok"))
)
response = pl.when(pl.col("response").str.contains(r"^(chatcmpl|cmpl|resp|msg)[-_]")).then(pl.col("response"))
hidden = (pl.col("input") == HIDDEN) | (pl.col("output") == HIDDEN)
# The wrapped half of LlamaIndex: the span above it stands for both.
llama = (
    pl.col("scope")
    .str.contains("llama_index", literal=True)
    .fill_null(pl.col("asked").str.contains('"is_chat_model"', literal=True))
)
wrapped = pl.col("name").str.contains(r"\._(?:a?retrieve|a?get_(?:query|text)_embeddings?)$") | (
    model & llama & pl.col("name").str.contains(r"\.a?(?:stream_)?(?:complete|chat)$")
)

FORMAT = Format(
    name="span_openinference",
    title="OpenInference spans",
    layer="retrieval",
    reference="https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md",
    versions=("openinference-instrumentation-langchain 0.1.80", "openinference-instrumentation-llama-index 4.6.1"),
    verified=True,
    export="Any trace export: the collector's file exporter, an SDK's console or file exporter, or Phoenix.",
    limits="It states no index version, and no document ids where the framework keeps them to itself.",
    of="span",
    # Marks that every span has set the order of dialects: transport, gen_ai, OpenInference, a vendor's own.
    recognise=Recognise(
        keys=(("trace_id",), ("name",), ("span_id",), ("attributes",)),
        any_of=((("start",), ("end",)),),
        where=((("attributes", "openinference.span.kind"), r"(?i)^[a-z_]+$"),),
    ),
    fields={
        name: path(name)
        for name in ("trace_id", "span_id", "parent_id", "name", "start", "end", "status", "service", "scope")
    }
    | {
        "span_kind": path("kind"),
        "status_text": path("status_message"),
        "exception": path("error", "type"),
        "service_version": path("resource", "service.version"),
        "documents": inside(path("attributes", "output.value"), "documents"),
        "index": inside(path("attributes", "output.value"), "documents", 0, "metadata", "index"),
        "kb_version": inside(path("attributes", "output.value"), "documents", 0, "metadata", "kb_version"),
        "index_version": inside(path("attributes", "output.value"), "documents", 0, "metadata", "index_version"),
        "query": inside(path("attributes", "input.value"), "query"),
        "query_str": inside(path("attributes", "input.value"), "query_str"),
        "bundle": inside(path("attributes", "input.value"), "query_bundle", "query_str"),
        "prompt": inside(path("attributes", "input.value"), "prompt"),
        "rendered": path("attributes", "llm.prompts", 0),
        "said": inside(path("attributes", "output.value"), "text"),
        "response": inside(path("attributes", "output.value"), "id"),
        "verdict_inside": inside(path("attributes", "output.value"), "action"),
        "messages": inside(path("attributes", "output.value"), "messages"),
        "built": inside(path("attributes", "output.value"), "prompt"),
        "rule": inside(path("attributes", "output.value"), "rule"),
    }
    | {name: path("attributes", key) for name, key in OWN.items()}
    | {name: inside(path("attributes", "metadata"), key) for name, key in (META | VENDORS).items()}
    | {name: inside(path("attributes", "llm.invocation_parameters"), name) for name in SETTINGS},
    time="start",
    end="end",
    time_kind="start",
    columns={
        "name": "name",
        "service": "service",
        "span_id": "span_id",
        "parent_id": filled("parent_id"),
        "session": filled("session", "session_inside", "thread", "meta_session", "meta_thread"),
        "user": "user",
        "tenant": pl.coalesce("tenant", "meta_tenant"),
        "outcome": outcome,
        "error_type": error,
        "content_state": pl.when(hidden).then(pl.lit("redacted")),
    },
    ids=(
        Id("trace_id", "trace_id"),
        Id("request_id", pl.coalesce("request", "meta_request", pl.col("langfuse_request").str.strip_chars('"'))),
        Id("request_id", pl.coalesce("header_by_hand", pl.col("header").str.extract(HEADER, 1))),
    ),
    refs=(Ref("span_id", pl.when(wrapped).then(filled("parent_id")), "repeats"),),
    attributes={
        "span_kind": pl.coalesce("kind", "span_kind"),
        "scope": "scope",
        "service_version": "service_version",
        "error": pl.col("status_text").str.extract("^(.+)", 1).str.slice(0, 240),
    },
    events=(
        # Chains, agents and tools: no layer of the product, but a bridge between its layers.
        Event(
            kind="app.step",
            layer="other",
            when=~kind.is_in(layered),
            columns={"input": _shown("input"), "output": _shown("output"), "http_status": http},
            attributes={"route": "route", "tool": "tool", "agent": "agent"},
        ),
        Event(
            kind="retrieval.query",
            when=kind == "RETRIEVER",
            columns={
                "input": pl.coalesce("bundle", "query", "query_str", _shown("input")),
                "index_name": pl.coalesce("index", pl.col("listed").str.extract(INDEX, 1)),
                "index_version": pl.coalesce("index_version", "kb_version"),
            },
            attributes={"vector_store": "store", "embedding_provider": "embedder"},
            documents=Documents(
                _documents("listed"),
                id=("id",),
                score=("score",),
                version=("metadata", "kb_version"),
                text=("page_content",),
            ),
        ),
        Event(
            kind="retrieval.rerank",
            when=kind == "RERANKER",
            columns={"input": pl.coalesce("reranked", _shown("input"))},
            attributes={"reranker": "reranker"},
            documents=Documents(_documents("best"), id=("id",), score=("score",), text=("page_content",)),
        ),
        Event(
            kind="retrieval.embed",
            when=kind == "EMBEDDING",
            columns={"input": pl.coalesce("query", _shown("input")), "embedding_model": "embedding_model"},
        ),
        Event(
            kind="model.call",
            layer="model",
            when=model,
            columns={
                "input": pl.coalesce(_texts("heard"), "rendered", "prompt", _shown("input")),
                "output": pl.coalesce(_texts("answered"), "said", _shown("output")),
                "served_model": pl.when(pl.col("model") != "unknown").then(pl.col("model")),
                "provider": pl.coalesce("provider", "system"),
                "response_id": response,
                "finish_reason": "finish",
                "input_tokens": whole("prompt_tokens"),
                "output_tokens": whole("completion_tokens"),
                "cost_usd": number("cost"),
                "template_name": "template_name",
                "template_version": "template_version",
            },
            ids=(Id("response_id", response),),
            parameters={
                "temperature": "temperature",
                "top_p": "top_p",
                "max_tokens": "max_tokens",
                "max_completion_tokens": "max_completion_tokens",
                "seed": "seed",
                "stop": "stop",
            },
        ),
        Event(
            kind="policy.decision",
            layer="policy",
            when=kind == "GUARDRAIL",
            columns={
                "input": _shown("input"),
                "policy_name": pl.coalesce("rule", "name"),
                "policy_stage": pl.col("name").str.to_lowercase().str.extract(r"(input|output|retrieval|tool)", 1),
                "verdict": verdict.fill_null("unknown"),
                "enforced": pl.when(verdict.is_in(["block", "redact"])).then(pl.lit(value=True)),
                "outcome": pl.when(~broke.fill_null(value=False) & (verdict == "block"))
                .then(pl.lit("blocked"))
                .otherwise(outcome),
            },
        ),
        Event(
            kind="prompt.rendered",
            layer="prompt",
            when=prompt,
            columns={
                "input": pl.coalesce(_texts("messages"), "built", _shown("output")),
                "template_name": "template_name",
                "template_version": "template_version",
            },
        ),
    ),
)
