"""Spans by the OpenTelemetry GenAI conventions, current and deprecated names, in whatever container they came.

What to know of these spans: content is there only where its capture was switched on, as JSON text, as nested lists,
under numbered keys (`gen_ai.prompt.0.content`) or in the span's events; a guardrail span is OK though it denied, and an
unset status is no error; `gen_ai.conversation.id` is shared by the turns of one conversation.
"""

import polars as pl

from strataline.format import Documents, Event, Format, Id, Recognise, filled, inside, number, path, whole, words

HEADER = r'^(?:\[\s*")?([^"\]]+)'
"""An attribute of a header is a list by the convention, and a text where it was set by hand."""
CONTENT = r'"(?:content|text)":\s*"'
VERDICTS = {
    "allow": "allow", "deny": "block", "block": "block", "modify": "redact", "redact": "redact", "warn": "flag",
    "audit": "flag", "flag": "flag", "error": "error",
}  # fmt: skip
STAGES = {
    "llm_input": "input", "llm_output": "output", "tool_call": "tool", "tool_definition": "tool",
    "knowledge_query": "retrieval", "knowledge_result": "retrieval", "memory_retrieve": "retrieval",
}  # fmt: skip
OWN = {
    "operation": "gen_ai.operation.name",
    "request_type": "llm.request.type",
    "provider": "gen_ai.provider.name",
    "system": "gen_ai.system",
    "asked_model": "gen_ai.request.model",
    "model": "gen_ai.response.model",
    "response": "gen_ai.response.id",
    "finish": "gen_ai.response.finish_reasons",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "prompt_tokens": "gen_ai.usage.prompt_tokens",
    "completion_tokens": "gen_ai.usage.completion_tokens",
    "cost": "gen_ai.usage.cost",
    "cost_litellm": "gen_ai.cost.total_cost",
    "cache": "llm.cache.hit",
    "first_chunk": "gen_ai.response.time_to_first_chunk",
    "instructions": "gen_ai.system_instructions",
    "heard": "gen_ai.input.messages",
    "answered": "gen_ai.output.messages",
    "prompt": "gen_ai.prompt",
    "completion": "gen_ai.completion",
    "plain_input": "input",
    "plain_output": "output",
    "query": "gen_ai.retrieval.query.text",
    "documents": "gen_ai.retrieval.documents",
    "top_k": "gen_ai.retrieval.top_k",
    "index": "gen_ai.data_source.id",
    "tool": "gen_ai.tool.name",
    "tool_call": "gen_ai.tool.call.id",
    "arguments": "gen_ai.tool.call.arguments",
    "result": "gen_ai.tool.call.result",
    "agent": "gen_ai.agent.name",
    "workflow": "gen_ai.workflow.name",
    "evaluation": "gen_ai.evaluation.name",
    "evaluated": "gen_ai.evaluation.score.label",
    "evaluation_score": "gen_ai.evaluation.score.value",
    "guardian": "gen_ai.guardian.name",
    "guardrail": "gen_ai.guardrail.name",
    "decision": "gen_ai.security.decision.type",
    "reason": "gen_ai.security.decision.reason",
    "target": "gen_ai.security.target.type",
    "policy": "gen_ai.security.policy.name",
    "policy_version": "gen_ai.security.policy.version",
    "checked": "gen_ai.security.content.input.value",
    "conversation": "gen_ai.conversation.id",
    "session": "session.id",
    "user": "user.id",
    "enduser": "enduser.id",
    "server": "server.address",
    "error_type": "error.type",
    "request": "request_id",
    "langfuse_request": "langfuse.trace.metadata.request_id",
    "header": "http.request.header.x-request-id",
    "header_by_hand": "http.request.header.x_request_id",
}
EVENT_TEXTS = {
    "event_heard": (0, "attributes", "gen_ai.input.messages"),
    "event_answered": (0, "attributes", "gen_ai.output.messages"),
    "event_prompt": (0, "attributes", "gen_ai.prompt"),
    "event_completion": (1, "attributes", "gen_ai.completion"),
}
SETTINGS = ("temperature", "top_p", "max_tokens", "seed", "stop_sequences", "frequency_penalty")
MARKS = (
    "operation.name", "system", "provider.name", "request.model", "response.model", "tool.name", "agent.name",
    "agent.id", "conversation.id", "usage.input_tokens", "prompt", "evaluation.name", "security.decision.type",
    "guardrail.name", "workflow.name",
)  # fmt: skip
OTHER = ("execute_tool", "invoke_agent", "create_agent", "invoke_workflow", "plan", "execute_task")
MODEL = ("chat", "generate_content", "text_completion", "completion", "messages", "responses")


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


counted = pl.coalesce("input_tokens", "output_tokens", "prompt_tokens", "completion_tokens")
# What older instrumentors and LiteLLM say (`aembedding`) is closer than an operation that is always chat.
asks = pl.col("request_type").str.to_lowercase()
operation = pl.col("operation").str.to_lowercase()
embed = (operation.is_in(["embeddings", "embedding"]) | asks.str.contains("embedding")).fill_null(value=False)
search = operation.is_in(["retrieval", "vector_db_retrieve", "search_memory"]).fill_null(value=False)
rerank = (operation.is_in(["rerank", "reranking"]) | asks.str.contains("rerank")).fill_null(value=False)
guard = operation.is_in(["apply_guardrail", "guardrail"]).fill_null(value=False) | pl.col("decision").is_not_null()
# Old emitters name no operation, and NeMo's rails their own task: a model that was asked, and counted, tells the call.
asked = pl.coalesce("asked_model", "model").is_not_null() & pl.coalesce("tool", "agent", "workflow").is_null()
asked = asked & (operation.is_null() | (~operation.is_in(OTHER) & counted.is_not_null()))
call = ~(guard | embed | search | rerank) & (operation.is_in(MODEL).fill_null(value=False) | asked)
error = pl.coalesce("error_type", "exception")
broke = (pl.col("status") == "error") | pl.col("error_type").is_not_null()
came = pl.coalesce("response", "model", "finish", "answered", "completion", "documents", "result", "decision")
came = came.is_not_null() | counted.is_not_null()
finish = pl.col("finish").str.extract(HEADER, 1)
said = pl.concat_str(
    _texts("instructions"),
    _texts("heard", "prompt", "event_heard", "event_prompt", "plain_input"),
    separator="\n\n",
    ignore_nulls=True,
)
verdict = words("decision", VERDICTS, default="unknown")
outcome = (
    pl.when(broke & error.str.contains(r"(?i)cancel"))
    .then(pl.lit("cancelled"))
    .when(broke & error.str.contains(r"(?i)time(d ?)?out"))
    .then(pl.lit("timeout"))
    .when(broke)
    .then(pl.lit("error"))
    .when(call & (finish == "content_filter"))
    .then(pl.lit("blocked"))
    .when((pl.col("status") == "ok") | came)
    .then(pl.lit("ok"))
)

FORMAT = Format(
    name="span_gen_ai",
    title="OpenTelemetry GenAI spans",
    layer="model",
    reference="https://github.com/open-telemetry/semantic-conventions-genai",
    versions=("opentelemetry-util-genai 1.3b0",),
    verified=True,
    export="Any trace export: the collector's file exporter, an SDK's console or file exporter, or a trace backend.",
    limits="Without content capture it has no query, documents, prompt or answer; it never names an index version.",
    of="span",
    # Marks that every span has set the order of dialects: transport, gen_ai, OpenInference, a vendor's own.
    recognise=Recognise(
        keys=(("trace_id",), ("name",), ("span_id",), ("attributes",)),
        any_of=(
            (("start",), ("end",)),
            tuple(("attributes", f"gen_ai.{key}") for key in MARKS),
        ),
    ),
    fields={
        name: path(name)
        for name in ("trace_id", "span_id", "parent_id", "name", "start", "end", "status", "service", "scope")
    }
    | {
        "span_kind": path("kind"),
        "status_text": path("status_message"),
        "exception": path("error", "type"),
        "meta_request": inside(path("attributes", "metadata"), "request_id"),
    }
    | {name: path("attributes", key) for name, key in OWN.items()}
    | {name: path("attributes", f"gen_ai.request.{name}") for name in SETTINGS}
    | {"sampled_k": path("attributes", "gen_ai.request.top_k")}
    | {name: path("events", *way) for name, way in EVENT_TEXTS.items()},
    time="start",
    end="end",
    time_kind="start",
    columns={
        "name": "name",
        "service": "service",
        "span_id": "span_id",
        "parent_id": filled("parent_id"),
        "session": filled("session", "conversation"),
        "user": pl.coalesce("user", "enduser"),
        "outcome": outcome,
        "error_type": error,
    },
    ids=(
        Id("trace_id", "trace_id"),
        Id("request_id", pl.coalesce("request", "meta_request", pl.col("langfuse_request").str.strip_chars('"'))),
        Id("request_id", pl.coalesce("header_by_hand", pl.col("header").str.extract(HEADER, 1))),
        Id("conversation", pl.when(pl.col("session") != pl.col("conversation")).then("conversation"), role="group"),
    ),
    attributes={
        "operation": "operation",
        "span_kind": "span_kind",
        "scope": "scope",
        "error": pl.col("status_text").str.extract("^(.+)", 1).str.slice(0, 240),
    },
    events=(
        Event(
            kind="model.call",
            when=call,
            columns={
                "input": pl.when(said != "").then(said),
                "output": _texts("answered", "completion", "event_answered", "event_completion", "plain_output"),
                "requested_model": "asked_model",
                "served_model": "model",
                "provider": pl.coalesce("provider", "system"),
                "response_id": "response",
                "finish_reason": finish,
                "input_tokens": pl.coalesce(whole("input_tokens"), whole("prompt_tokens")),
                "output_tokens": pl.coalesce(whole("output_tokens"), whole("completion_tokens")),
                "cost_usd": pl.coalesce(number("cost"), number("cost_litellm")),
                "cache": words("cache", {"true": "hit", "false": "miss"}),
            },
            ids=(Id("response_id", "response"),),
            parameters={
                "temperature": "temperature",
                "top_p": "top_p",
                "max_tokens": "max_tokens",
                "seed": "seed",
                "stop_sequences": "stop_sequences",
                "frequency_penalty": "frequency_penalty",
                "top_k": "sampled_k",
            },
            attributes={"server": "server", "first_chunk_s": "first_chunk"},
        ),
        Event(
            kind="retrieval.query",
            layer="retrieval",
            when=search,
            columns={
                "input": pl.coalesce("query", "plain_input"),
                "index_name": "index",
                "embedding_model": "asked_model",
            },
            parameters={"top_k": "top_k"},
            attributes={"provider": pl.coalesce("provider", "system"), "server": "server"},
            documents=Documents("documents", id=("id",), score=("score",), text=("content",)),
        ),
        Event(
            kind="retrieval.rerank",
            layer="retrieval",
            when=rerank,
            columns={"input": pl.coalesce("query", "plain_input"), "requested_model": "asked_model"},
            documents=Documents("documents", id=("id",), score=("score",), text=("content",)),
        ),
        Event(
            kind="retrieval.embed",
            layer="retrieval",
            when=embed,
            columns={
                "input": _texts("heard", "prompt", "plain_input"),
                "embedding_model": pl.coalesce("model", "asked_model"),
                "provider": pl.coalesce("provider", "system"),
                "input_tokens": pl.coalesce(whole("input_tokens"), whole("prompt_tokens")),
            },
        ),
        # A proposal of the conventions, and what gateways make of it.
        Event(
            kind="policy.decision",
            layer="policy",
            when=guard,
            columns={
                "input": pl.coalesce("checked", "plain_input"),
                "policy_name": pl.coalesce("policy", "guardian", "guardrail", "name"),
                "policy_version": "policy_version",
                "policy_stage": words("target", STAGES),
                # A guardrail that failed has evaluated nothing.
                "verdict": pl.when(verdict.is_null() & broke)
                .then(pl.lit("error"))
                .otherwise(verdict.fill_null("unknown")),
                "enforced": pl.when(verdict.is_in(["block", "redact"]))
                .then(pl.lit(value=True))
                .when(pl.col("decision").str.to_lowercase() == "audit")
                .then(pl.lit(value=False)),
                "outcome": pl.when(verdict == "block").then(pl.lit("blocked")).otherwise(outcome),
            },
            attributes={"reason": "reason", "target": "target"},
        ),
        Event(
            kind="app.step",
            layer="other",
            when=~(call | search | rerank | embed | guard),
            columns={
                "input": pl.coalesce("arguments", _texts("heard", "prompt", "plain_input")),
                "output": pl.coalesce("result", _texts("answered", "completion", "plain_output")),
                "requested_model": "asked_model",
                "score": number("evaluation_score"),
            },
            attributes={
                "tool": "tool",
                "tool_call": "tool_call",
                "agent": "agent",
                "workflow": "workflow",
                "evaluation": "evaluation",
                "evaluated": "evaluated",
            },
        ),
    ),
)
