"""Vertex AI request-response logging: one row of the BigQuery table per call to a publisher model or endpoint.

What to know of these rows: `logging_time` is when the row was written, after the answer; the model's own `create_time`
is the start. `request_id` is a decimal number of up to 38 digits, known to the log alone: tools that read it as a
float lose its last digits. The id that the caller saw is `response_id`. Calls may be sampled; those over 10 MB miss.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, Value, filled, inside, path, present, whole

REQUEST, RESPONSE, USAGE = path("full_request"), path("full_response"), "usage_metadata"
BLOCKED = ("SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "IMAGE_SAFETY", "MODEL_ARMOR")


def _texts(name: str) -> pl.Expr:
    """The texts of a JSON list of contents or messages, parted by empty lines."""
    quoted = pl.col(name).str.extract_all(r'"(?:content|text)":\s*"(?:[^"\\]|\\.)*"')
    bare = pl.element().str.replace(r'^"(?:content|text)":\s*"', "").str.strip_suffix('"')
    escapes = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\"": '"', r"\/": "/", "\\\\": "\\"}
    joined = quoted.list.eval(bare).list.join("\n\n").str.replace_many(escapes)
    return pl.when(joined != "").then(joined)


prompt_blocked = present("block_reason")
answer_blocked = pl.col("finish").is_in(BLOCKED).fill_null(value=False)
failed = present("error_status") | present("error_code")
started = present("created")

call: dict[str, Value] = {
    "name": "api_method",
    "outcome": pl.when(prompt_blocked | answer_blocked)
    .then(pl.lit("blocked"))
    .when(failed)
    .then(pl.lit("error"))
    .when(present("response"))
    .then(pl.lit("ok"))
    .otherwise(pl.lit("unknown")),
    "error_type": filled("error_status", "error_code"),
    "input": pl.coalesce(_texts("contents"), _texts("messages")),
    "output": pl.coalesce(_texts("candidates"), _texts("blocks")),
    "content_state": pl.when(present("request")).then(pl.lit("full")).otherwise(pl.lit("absent")),
    "requested_model": pl.col("model").str.replace(r"^.*/", ""),
    "served_model": pl.coalesce(filled("answered_as"), filled("answering")),
    "provider": pl.coalesce(pl.col("model").str.extract(r"publishers/([^/]+)/", 1), pl.lit("google")),
    "response_id": pl.coalesce(filled("response_id"), filled("message_id")),
    "finish_reason": pl.coalesce(filled("finish"), filled("stop_reason")),
    "input_tokens": pl.coalesce(whole("tokens_in"), whole("claude_in")),
    "output_tokens": pl.coalesce(whole("tokens_out") + whole("thoughts").fill_null(0), whole("claude_out")),
    "stream": pl.when(pl.col("api_method").str.to_lowercase().str.contains("stream", literal=True)).then(
        pl.lit(value=True)
    ),
}
about: dict[str, Value] = {
    "model_version": "model_version",
    "endpoint": filled("endpoint"),
    "deployed_model_id": filled("deployed"),
    "labels": filled("labels"),
    "thoughts_tokens": "thoughts",
    "cached_tokens": "cached",
    "traffic_type": "traffic",
    "error": pl.col("error_message").str.slice(0, 240),
}
parameters = {"temperature": "temperature", "top_p": "top_p", "max_output_tokens": "max_tokens", "seed": "seed"}

FORMAT = Format(
    name="vertex_prompt_response",
    title="Vertex AI request-response log (BigQuery)",
    layer="model",
    reference="https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/request-response-logging",
    verified=True,
    export="Set `loggingConfig` of the model or endpoint to a BigQuery table, and export that table.",
    limits="Calls that sampling left out, that were refused before the model, or that are over 10 MB have no row.",
    recognise=Recognise(
        keys=(("logging_time",), ("api_method",), ("full_request",), ("full_response",), ("request_id",))
    ),
    fields={
        "request_id": path("request_id", verbatim=True),
        "logged": path("logging_time"),
        "api_method": path("api_method"),
        "model": path("model"),
        "model_version": path("model_version"),
        "endpoint": path("endpoint"),
        "deployed": path("deployed_model_id"),
        "latency": inside(path("metadata"), "request_latency"),
        "request": REQUEST,
        "response": RESPONSE,
        # The columns are objects or JSON texts, as the export chose; both are read alike.
        "contents": inside(REQUEST, "contents"),
        "messages": inside(REQUEST, "messages"),
        "labels": inside(REQUEST, "labels"),
        "label": inside(REQUEST, "labels", "request_id"),
        "temperature": inside(REQUEST, "generation_config", "temperature"),
        "top_p": inside(REQUEST, "generation_config", "top_p"),
        "max_tokens": inside(REQUEST, "generation_config", "max_output_tokens"),
        "seed": inside(REQUEST, "generation_config", "seed"),
        "created": inside(RESPONSE, "create_time"),
        "candidates": inside(RESPONSE, "candidates"),
        "blocks": inside(RESPONSE, "content"),
        "finish": inside(RESPONSE, "candidates", 0, "finish_reason"),
        "stop_reason": inside(RESPONSE, "stop_reason"),
        "answered_as": inside(RESPONSE, "model_version"),
        "answering": inside(RESPONSE, "model"),
        "response_id": inside(RESPONSE, "response_id"),
        "message_id": inside(RESPONSE, "id"),
        "block_reason": inside(RESPONSE, "prompt_feedback", "block_reason"),
        "tokens_in": inside(RESPONSE, USAGE, "prompt_token_count"),
        "tokens_out": inside(RESPONSE, USAGE, "candidates_token_count"),
        "thoughts": inside(RESPONSE, USAGE, "thoughts_token_count"),
        "cached": inside(RESPONSE, USAGE, "cached_content_token_count"),
        "traffic": inside(RESPONSE, USAGE, "traffic_type"),
        "claude_in": inside(RESPONSE, "usage", "input_tokens"),
        "claude_out": inside(RESPONSE, "usage", "output_tokens"),
        "error_code": inside(RESPONSE, "error", "code"),
        "error_status": inside(RESPONSE, "error", "status"),
        "error_message": inside(RESPONSE, "error", "message"),
    },
    columns={"service": pl.lit("vertex-ai")},
    ids=(
        Id("call_id", "request_id"),
        Id("request_id", filled("label")),
        Id("response_id", pl.coalesce(filled("response_id"), filled("message_id"))),
    ),
    events=(
        Event(
            kind="model.call",
            when=started,
            columns=call,
            time="created",
            duration=Duration("latency", "ms"),
            time_kind="start",
            attributes={**about, "logging_time": "logged"},
            parameters=parameters,
        ),
        Event(
            kind="model.call",
            when=~started,
            columns=call,
            time="logged",
            attributes={**about, "latency_ms": "latency"},
            parameters=parameters,
        ),
        Event(
            kind="policy.decision",
            layer="policy",
            when=prompt_blocked | answer_blocked,
            time="logged",
            columns={
                "name": pl.coalesce(filled("block_reason"), pl.col("finish")),
                "policy_name": pl.lit("Vertex AI safety filter"),
                "policy_stage": pl.when(prompt_blocked).then(pl.lit("input")).otherwise(pl.lit("output")),
                "verdict": pl.lit("block"),
                "enforced": pl.lit(value=True),
                "outcome": pl.lit("blocked"),
            },
        ),
    ),
)
