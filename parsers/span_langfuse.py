"""Spans of the Langfuse SDK (version 3 and later), which are OpenTelemetry spans with `langfuse.*` attributes.

What to know of these spans: values are JSON texts, so a request id in the trace's metadata reads `"req-1"` with its
quotes; session and user lie on the span only where they were set before it ended; the SDK stamps `langfuse.trace.*` on
spans of other libraries too, and those keep their own dialect.
"""

import polars as pl

from strataline.format import Documents, Event, Format, Id, Recognise, filled, inside, number, path, whole, words

CONTENT = r'"(?:content|text)":\s*"'
VERDICTS = {
    "allow": "allow", "allowed": "allow", "pass": "allow", "passed": "allow", "block": "block", "blocked": "block",
    "deny": "block", "denied": "block", "redact": "redact", "mask": "redact", "flag": "flag", "error": "error",
}  # fmt: skip
OBSERVATION = {
    "kind": "type",
    "given": "input",
    "gave": "output",
    "level": "level",
    "message": "status_message",
    "model": "model.name",
    "template_name": "prompt.name",
    "template_version": "prompt.version",
    "first_token": "completion_start_time",
    "index": "metadata.index",
    "top_k": "metadata.top_k",
    "own_request": "metadata.request_id",
    "response": "metadata.response_id",
    "finish": "metadata.finish_reason",
}
TRACE = {
    "trace_name": "name",
    "request": "metadata.request_id",
    "correlation": "metadata.correlation_id",
    "tenant": "metadata.tenant",
}
OWN = {
    "session": "session.id",
    "session_old": "langfuse.session.id",
    "user": "user.id",
    "user_old": "langfuse.user.id",
    "release": "langfuse.release",
    "environment": "langfuse.environment",
    "asked_model": "gen_ai.request.model",
    "served": "gen_ai.response.model",
    "provider": "gen_ai.provider.name",
    "system": "gen_ai.system",
    "gen_response": "gen_ai.response.id",
}
SETTINGS = {
    "set_temperature": "temperature",
    "set_top_p": "top_p",
    "set_max_tokens": "max_tokens",
    "set_seed": "seed",
    "set_stop": "stop",
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


def _bare(*names: str) -> pl.Expr:
    """The text that a JSON string stands for, where nothing in it is escaped."""
    return pl.coalesce(pl.when(pl.col(name) != "").then(pl.col(name).str.strip_chars('"')) for name in names)


kind = _bare("kind").str.to_lowercase().fill_null("span")
layered = ("retriever", "embedding", "generation", "guardrail")
error = pl.col("exception")
broke = (pl.col("status") == "error") | (_bare("level") == "ERROR")
came = (pl.col("status") == "ok") | pl.col("gave").is_not_null()
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
verdict = pl.coalesce(
    words("action", VERDICTS, default="unknown"),
    pl.when(pl.col("allowed") == "true").then(pl.lit("allow")).when(pl.col("allowed") == "false").then(pl.lit("block")),
    pl.when(pl.col("passed") == "true").then(pl.lit("allow")).when(pl.col("passed") == "false").then(pl.lit("flag")),
)
listed = pl.when(pl.col("gave").str.starts_with("[")).then(pl.col("gave")).otherwise(pl.col("documents"))
asked = pl.coalesce("query", "question", _bare("given"))
response = pl.coalesce("gen_response", _bare("response"))

FORMAT = Format(
    name="span_langfuse",
    title="Langfuse SDK spans",
    layer="other",
    reference="https://langfuse.com/integrations/native/opentelemetry",
    verified=False,
    export="A second OTLP or file exporter on the tracer provider that the Langfuse SDK uses.",
    limits="Spans that ended before session and user were set lack them; policy and index versions have no attribute.",
    of="span",
    # Marks that every span has set the order of dialects: transport, gen_ai, OpenInference, a vendor's own.
    recognise=Recognise(
        keys=(("trace_id",), ("name",), ("span_id",), ("attributes",), ("attributes", "langfuse.observation.type")),
        any_of=((("start",), ("end",)),),
        where=((("name",), r"\S"),),
    ),
    fields={
        name: path(name)
        for name in ("trace_id", "span_id", "parent_id", "name", "start", "end", "status", "service", "scope")
    }
    | {"span_kind": path("kind"), "status_text": path("status_message"), "exception": path("error", "type")}
    | {name: path("attributes", key) for name, key in OWN.items()}
    | {name: path("attributes", f"langfuse.observation.{key}") for name, key in OBSERVATION.items()}
    | {name: path("attributes", f"langfuse.trace.{key}") for name, key in TRACE.items()}
    | {
        name: inside(path("attributes", "langfuse.observation.usage_details"), key)
        for name, key in (
            ("input", "input"),
            ("output", "output"),
            ("input_tokens", "input_tokens"),
            ("output_tokens", "output_tokens"),
            ("input_openai", "prompt_tokens"),
            ("output_openai", "completion_tokens"),
        )
    }
    | {"total": inside(path("attributes", "langfuse.observation.cost_details"), "total")}
    | {name: inside(path("attributes", "langfuse.observation.model.parameters"), key) for name, key in SETTINGS.items()}
    | {name: inside(path("attributes", "langfuse.observation.input"), name) for name in ("query", "question")}
    | {
        name: inside(path("attributes", "langfuse.observation.output"), name)
        for name in ("documents", "action", "allowed", "passed", "rule")
    },
    time="start",
    end="end",
    time_kind="start",
    columns={
        "name": "name",
        "service": "service",
        "span_id": "span_id",
        "parent_id": filled("parent_id"),
        "session": _bare("session", "session_old"),
        "user": _bare("user", "user_old"),
        "tenant": _bare("tenant"),
        "outcome": outcome,
        "error_type": error,
    },
    ids=(
        Id("trace_id", "trace_id"),
        Id("request_id", _bare("request", "own_request")),
        Id("request_id", _bare("correlation")),
    ),
    attributes={
        "kind": kind,
        "span_kind": "span_kind",
        "scope": "scope",
        "trace_name": "trace_name",
        "level": _bare("level"),
        "release": "release",
        "environment": "environment",
        "error": pl.coalesce(_bare("message"), "status_text").str.extract("^(.+)", 1).str.slice(0, 240),
    },
    events=(
        Event(
            kind="retrieval.query",
            layer="retrieval",
            when=kind == "retriever",
            columns={"input": asked, "index_name": _bare("index")},
            parameters={"top_k": "top_k"},
            documents=Documents(listed, id=("id",), score=("score",), text=("content",)),
        ),
        Event(
            kind="retrieval.embed",
            layer="retrieval",
            when=kind == "embedding",
            columns={"input": asked, "embedding_model": _bare("model", "asked_model")},
        ),
        Event(
            kind="policy.decision",
            layer="policy",
            when=kind == "guardrail",
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
            when=kind == "generation",
            columns={
                "input": _texts("given"),
                "output": _texts("gave").str.strip_chars('"'),
                "requested_model": _bare("asked_model", "model"),
                "served_model": "served",
                "provider": pl.coalesce("provider", "system"),
                "response_id": response,
                "finish_reason": _bare("finish"),
                "input_tokens": pl.coalesce(whole("input"), whole("input_tokens"), whole("input_openai")),
                "output_tokens": pl.coalesce(whole("output"), whole("output_tokens"), whole("output_openai")),
                "cost_usd": number("total"),
                "template_name": _bare("template_name"),
                "template_version": _bare("template_version"),
            },
            ids=(Id("response_id", response),),
            parameters={
                "temperature": "set_temperature",
                "top_p": "set_top_p",
                "max_tokens": "set_max_tokens",
                "seed": "set_seed",
                "stop": "set_stop",
            },
            attributes={"first_token_time": _bare("first_token")},
        ),
        Event(
            kind="app.step",
            when=~kind.is_in(layered),
            columns={"input": _bare("given"), "output": _bare("gave")},
        ),
    ),
)
