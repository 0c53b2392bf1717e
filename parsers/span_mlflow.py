"""MLflow trace spans (`mlflow.spanType`), from `Trace.to_json()`, `traces.json` or OTLP.

What to know of these spans: every attribute is a JSON text, so a type reads `"RETRIEVER"` with its quotes; the request
id, session and user lie on the trace, and each span takes them from there; the span type is the application's word and
may be anything.
"""

import polars as pl

from strataline.format import Documents, Event, Format, Id, Recognise, filled, inside, path, whole, words

CONTENT = r'"(?:content|text)":\s*"'
VERDICTS = {
    "allow": "allow", "pass": "allow", "block": "block", "blocked": "block", "deny": "block", "redact": "redact",
    "mask": "redact", "flag": "flag", "error": "error",
}  # fmt: skip
OWN = {
    "type": "mlflow.spanType",
    "trace": "mlflow.traceRequestId",
    "given": "mlflow.spanInputs",
    "gave": "mlflow.spanOutputs",
    "function": "mlflow.spanFunctionName",
    "model": "mlflow.llm.model",
    "provider": "mlflow.llm.provider",
    "index_attribute": "index",
    "model_attribute": "model",
    "top_k": "top_k",
    "request_own": "request_id",
    "session_own": "session.id",
    "user_own": "user.id",
}
TRACE = {
    "trace_name": "mlflow.trace_id",
    "request": "mlflow.client_request_id",
    "session": "mlflow.trace.session",
    "user": "mlflow.trace.user",
    "tenant": "tenant",
}
"""What the trace says, which its container hands to each span."""
GIVEN = {
    "query": ("query",),
    "q": ("q",),
    "question": ("question",),
    "text": ("text",),
    "asked_model": ("model",),
    "heard": ("messages",),
    "set_temperature": ("temperature",),
    "set_top_p": ("top_p",),
    "set_max_tokens": ("max_tokens",),
    "set_seed": ("seed",),
}
GAVE = {
    "answered": ("choices",),
    "finish": ("choices", 0, "finish_reason"),
    "served": ("model",),
    "response": ("id",),
    "prompt_tokens": ("usage", "prompt_tokens"),
    "completion_tokens": ("usage", "completion_tokens"),
    "action": ("action",),
    "rule": ("rule",),
}


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


def _bare(name: str) -> pl.Expr:
    """The text that a JSON string stands for, where nothing in it is escaped."""
    return pl.col(name).str.strip_chars('"')


kind = _bare("type").str.to_uppercase().fill_null("")
model = kind.is_in(["LLM", "CHAT_MODEL"])
layered = ("RETRIEVER", "RERANKER", "EMBEDDING", "GUARDRAIL", "LLM", "CHAT_MODEL")
error = pl.col("exception")
broke = pl.col("status") == "error"
came = pl.col("status") == "ok"
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
verdict = words("action", VERDICTS, default="unknown")
response = pl.when(pl.col("response").str.contains(r"^(chatcmpl|cmpl|resp|msg)[-_]")).then(pl.col("response"))
listed = pl.when(pl.col("gave").str.starts_with("[")).then(pl.col("gave"))
asked = pl.coalesce("query", "q", "question", "text", "given")

FORMAT = Format(
    name="span_mlflow",
    title="MLflow trace spans",
    layer="other",
    reference="https://mlflow.org/docs/latest/genai/tracing/",
    versions=("3",),
    verified=True,
    export="mlflow.search_traces(return_type='list') and Trace.to_json(), the artifact traces.json, or OTLP export.",
    limits="A span type is whatever the application wrote; policy and index versions are not in the convention.",
    of="span",
    # Marks that every span has set the order of dialects: transport, gen_ai, OpenInference, a vendor's own.
    recognise=Recognise(
        keys=(("trace_id",), ("name",), ("span_id",), ("attributes",)),
        any_of=(
            (("start",), ("end",)),
            (("attributes", "mlflow.spanType"), ("attributes", "mlflow.traceRequestId")),
        ),
        where=((("name",), r"\S"),),
    ),
    fields={
        name: path(name)
        for name in ("trace_id", "span_id", "parent_id", "name", "start", "end", "status", "service", "scope")
    }
    | {"span_kind": path("kind"), "status_text": path("status_message"), "exception": path("error", "type")}
    | {name: path("resource", key) for name, key in TRACE.items()}
    | {name: path("attributes", key) for name, key in OWN.items()}
    | {name: inside(path("attributes", "mlflow.spanInputs"), *way) for name, way in GIVEN.items()}
    | {name: inside(path("attributes", "mlflow.spanOutputs"), *way) for name, way in GAVE.items()}
    | {
        "used_input": inside(path("attributes", "mlflow.chat.tokenUsage"), "input_tokens"),
        "used_output": inside(path("attributes", "mlflow.chat.tokenUsage"), "output_tokens"),
        "index": inside(path("attributes", "mlflow.spanOutputs"), 0, "metadata", "index"),
    },
    time="start",
    end="end",
    time_kind="start",
    columns={
        "name": "name",
        "service": pl.col("service").fill_null("mlflow"),
        "span_id": "span_id",
        "parent_id": filled("parent_id"),
        "session": pl.coalesce("session", _bare("session_own")),
        "user": pl.coalesce("user", _bare("user_own")),
        "tenant": "tenant",
        "outcome": outcome,
        "error_type": error,
    },
    ids=(
        Id("trace_id", "trace_id"),
        # `tr-` and the trace id again: MLflow's own screens and records know it by that name.
        Id("trace_id", pl.coalesce("trace_name", _bare("trace"))),
        Id("request_id", pl.coalesce("request", _bare("request_own"))),
    ),
    attributes={
        "type": pl.when(kind != "").then(kind),
        "span_kind": "span_kind",
        "function": _bare("function"),
        "scope": "scope",
        "error": pl.col("status_text").str.extract("^(.+)", 1).str.slice(0, 240),
    },
    events=(
        Event(
            kind="retrieval.query",
            layer="retrieval",
            when=kind == "RETRIEVER",
            columns={"input": asked, "index_name": pl.coalesce(_bare("index_attribute"), "index")},
            parameters={"top_k": "top_k"},
            documents=Documents(listed, id=("id",), score=("metadata", "score"), text=("page_content",)),
        ),
        Event(
            kind="retrieval.rerank",
            layer="retrieval",
            when=kind == "RERANKER",
            columns={"input": asked},
            documents=Documents(listed, id=("id",), score=("metadata", "score"), text=("page_content",)),
        ),
        Event(
            kind="retrieval.embed",
            layer="retrieval",
            when=kind == "EMBEDDING",
            columns={"input": asked, "embedding_model": pl.coalesce(_bare("model"), _bare("model_attribute"))},
        ),
        Event(
            kind="policy.decision",
            layer="policy",
            when=kind == "GUARDRAIL",
            columns={
                "input": asked,
                "policy_name": pl.coalesce("rule", "name"),
                "policy_stage": pl.col("name").str.to_lowercase().str.extract(r"(input|output|retrieval|tool)", 1),
                "verdict": pl.when(verdict.is_null() & broke)
                .then(pl.lit("error"))
                .otherwise(verdict.fill_null("unknown")),
                "enforced": pl.when(verdict.is_in(["block", "redact"])).then(pl.lit(value=True)),
                "outcome": pl.when(verdict == "block").then(pl.lit("blocked")).otherwise(outcome),
            },
        ),
        Event(
            kind="model.call",
            layer="model",
            when=model,
            columns={
                "input": pl.coalesce(_texts("heard"), "given"),
                "output": pl.coalesce(_texts("answered"), "gave"),
                "requested_model": pl.coalesce("asked_model", _bare("model")),
                "served_model": "served",
                "provider": _bare("provider"),
                "response_id": response,
                "finish_reason": "finish",
                "input_tokens": pl.coalesce(whole("used_input"), whole("prompt_tokens")),
                "output_tokens": pl.coalesce(whole("used_output"), whole("completion_tokens")),
            },
            ids=(Id("response_id", response),),
            parameters={
                "temperature": "set_temperature",
                "top_p": "set_top_p",
                "max_tokens": "set_max_tokens",
                "seed": "set_seed",
            },
        ),
        Event(
            kind="app.step",
            when=~kind.is_in(layered),
            columns={"input": "given", "output": "gave"},
        ),
    ),
)
