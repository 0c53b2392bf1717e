"""The assistant's own prompt log (structlog): one line per step of a turn, all with the request's id."""

import polars as pl

from strataline.format import Documents, Event, Format, Id, Recognise, Ref, path, truth, whole, words

REASONS = {"ok": "ok", "blocked": "blocked", "client_disconnect": "cancelled"}
name = pl.col("event")

FORMAT = Format(
    name="assist_prompt_log",
    title="Assist prompt log",
    layer="prompt",
    reference="app/prompt.jsonl of assist-api 5.18",
    versions=("5.18.2",),
    verified=True,
    recognise=Recognise(
        keys=(("event",), ("level",), ("timestamp",), ("version",), ("request_id",), ("session_id",)),
        where=((("service",), r"^assist-api$"),),
    ),
    fields={
        "event": path("event"),
        "timestamp": path("timestamp"),
        "service": path("service"),
        "version": path("version"),
        "request_id": path("request_id"),
        "session": path("session_id"),
        "user": path("user_id"),
        "trace_id": path("trace_id"),
        "call_id": path("litellm_call_id"),
        "completion_id": path("completion_id"),
        "message_id": path("message_id"),
        "decision_id": path("decision_id"),
        "regenerate_of": path("regenerate_of"),
        "route": path("route"),
        "stream": path("stream"),
        "chars": path("chars"),
        "template": path("template"),
        "template_version": path("template_version"),
        "prompt": path("prompt"),
        "prompt_hash": path("prompt_sha256"),
        "question": path("question"),
        "doc_ids": path("doc_ids"),
        "model": path("model"),
        "attempt": path("attempt"),
        "status": path("status"),
        "latency_ms": path("latency_ms"),
        "error": path("error"),
        "detail": path("detail"),
        "stage": path("stage"),
        "rule": path("rule"),
    },
    time="timestamp",
    columns={"name": "event", "service": "service", "session": "session", "user": "user"},
    ids=(
        Id("request_id", "request_id"),
        Id("trace_id", "trace_id"),
        Id("call_id", "call_id"),
        Id("response_id", "completion_id"),
        Id("message_id", "message_id"),
        Id("decision_id", "decision_id"),
    ),
    attributes={"version": "version", "latency_ms": "latency_ms", "detail": pl.col("detail").str.slice(0, 240)},
    events=(
        Event(
            kind="prompt.received",
            when=name == "chat.request",
            columns={"stream": truth("stream"), "input_chars": whole("chars")},
            attributes={"route": "route"},
            # What is regenerated is named by the message that the user saw.
            refs=(Ref("message_id", "regenerate_of", relation="regenerate_of"),),
        ),
        Event(
            kind="prompt.rendered",
            when=name == "prompt.rendered",
            columns={
                # What the model is sent: the prompt as the system's message, then the question as the user's.
                "input": pl.concat_str("prompt", "question", separator="\n\n"),
                "content_state": pl.lit("full"),
                "template_name": "template",
                "template_version": "template_version",
                "requested_model": "model",
            },
            attributes={"question": "question", "prompt_sha256": "prompt_hash"},
            documents=Documents("doc_ids"),
        ),
        Event(kind="prompt.sent", when=name == "llm.call", columns={"attempt": whole("attempt")}),
        Event(
            kind="prompt.answered",
            when=name == "llm.response",
            columns={
                "outcome": pl.lit("ok"),
                "response_id": "completion_id",
                "attempt": whole("attempt"),
                "output_chars": whole("chars"),
            },
            # The gateway answers under the alias that was asked for; which model it was, the gateway's row knows.
            attributes={"answered_as": "model"},
        ),
        Event(
            kind="prompt.retry",
            when=name == "llm.retry",
            columns={
                "outcome": pl.lit("error"),
                "error_type": "error",
                "http_status": whole("status"),
                "attempt": whole("attempt"),
            },
        ),
        Event(
            kind="prompt.error",
            when=name == "llm.stream_error",
            columns={"outcome": pl.lit("error"), "error_type": "error"},
        ),
        Event(
            kind="prompt.blocked",
            when=name == "guard.blocked",
            columns={"outcome": pl.lit("blocked"), "policy_stage": "stage", "policy_name": "rule"},
        ),
        Event(
            kind="prompt.responded",
            when=name.is_in(["chat.response", "chat.error"]),
            columns={
                "outcome": pl.when(name == "chat.error")
                .then(pl.lit("error"))
                .otherwise(words("status", REASONS, default="unknown")),
                "error_type": "error",
            },
            attributes={"status": "status"},
        ),
    ),
)
