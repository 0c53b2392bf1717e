"""JSON application logs as structlog and python-json-logger write them: any product's own service.

What to know of these lines: what happened is told by `event` (structlog) or `message` (python-json-logger) alone,
in the product's words, so every line is an `app.log`; write a format of your own for a log whose words you know.
Times are often naive; `asctime` always is, by the local clock. A line without a time (the default of
python-json-logger) is not taken for one of these logs. Keys are those that both libraries are commonly given; a key
under another name is not read.
"""

import polars as pl

from strataline.format import Documents, Event, Format, Id, Recognise, Time, filled, path

LEVELS = {"error": "error", "critical": "error", "fatal": "error", "exception": "error"}


level = pl.coalesce("level", "severity", "levelname").str.to_lowercase()
# A response id is often logged under the name of the provider's request.
provider = pl.col("provider_request_id").str.contains(r"^(?:chat)?cmpl-|^msg_|^resp_")
otel_trace = pl.when(pl.col("otel_trace") != "0").then(pl.col("otel_trace"))

FORMAT = Format(
    name="structlog_json",
    title="JSON application log (structlog, python-json-logger)",
    layer="prompt",
    reference="https://www.structlog.org/en/stable/standard-library.html",
    versions=("structlog 26.1.0", "python-json-logger 4.2.0"),
    verified=True,
    export="A Python service whose structlog JSONRenderer or python-json-logger formatter writes to stdout or a file.",
    limits="What happened is told in the product's own words, so layers, outcomes and verdicts are not told.",
    recognise=Recognise(
        any_of=(
            (("timestamp",), ("asctime",)),
            (("event",), ("message",)),
            (("level",), ("severity",), ("levelname",)),
        )
    ),
    fields={
        "event": path("event"),
        "message": path("message"),
        "level": path("level"),
        "severity": path("severity"),
        "levelname": path("levelname"),
        "timestamp": path("timestamp", verbatim=True),
        "asctime": path("asctime"),
        "service": path("service"),
        "logger": path("logger"),
        "logger_name": path("name"),
        "version": path("version"),
        "request_id": path("request_id"),
        "request_id_2": path("requestId"),
        "request_id_3": path("x_request_id"),
        "request_id_4": path("x-request-id"),
        "correlation_id": path("correlation_id"),
        "trace_id": path("trace_id"),
        "trace_id_2": path("traceId"),
        "otel_trace": path("otelTraceID"),
        "datadog_trace": path("dd.trace_id"),
        "span_id": path("span_id"),
        "otel_span": path("otelSpanID"),
        "call_id": path("litellm_call_id"),
        "completion_id": path("completion_id"),
        "response_id": path("response_id"),
        "provider_request_id": path("provider_request_id"),
        "message_id": path("message_id"),
        "ui_message_id": path("ui_message_id"),
        "decision_id": path("decision_id"),
        "session_id": path("session_id"),
        "conversation_id": path("conversation_id"),
        "thread_id": path("thread_id"),
        "user_id": path("user_id"),
        "user": path("user"),
        "tenant_id": path("tenant_id"),
        "tenant": path("tenant"),
        "query": path("query"),
        "question": path("question"),
        "index": path("index"),
        "doc_ids": path("doc_ids"),
        "template": path("prompt_template"),
        "template_version": path("prompt_version"),
        "exception": path("exception"),
        "exception_type": path("exception", 0, "exc_type"),
        "exc_info": path("exc_info"),
        "error": path("error"),
        "error_type": path("error_type"),
        "latency_ms": path("latency_ms"),
        "model": path("model"),
        "rule": path("rule"),
        "status": path("status"),
    },
    time=Time(pl.coalesce("timestamp", "asctime")),
    columns={
        "name": pl.coalesce("event", "message"),
        "service": "service",
        "span_id": pl.coalesce("span_id", pl.when(pl.col("otel_span") != "0").then(pl.col("otel_span"))),
        "session": filled("session_id", "conversation_id", "thread_id"),
        "user": filled("user_id", "user"),
        "tenant": filled("tenant_id", "tenant"),
    },
    ids=(
        Id("request_id", filled("request_id", "request_id_2", "request_id_3", "request_id_4")),
        Id("request_id", "correlation_id"),
        Id("trace_id", pl.coalesce(filled("trace_id", "trace_id_2"), otel_trace)),
        Id("trace_id", "datadog_trace", derive="hex_of_decimal"),
        Id("call_id", "call_id"),
        Id(
            "response_id",
            pl.coalesce("completion_id", "response_id", pl.when(provider).then(pl.col("provider_request_id"))),
        ),
        Id("provider_request_id", pl.when(~provider).then(pl.col("provider_request_id"))),
        Id("message_id", filled("message_id", "ui_message_id")),
        Id("decision_id", "decision_id"),
    ),
    attributes={
        "level": level,
        "logger": pl.coalesce("logger", "logger_name"),
        "version": "version",
        "error": pl.col("error").str.slice(0, 240),
        "latency_ms": "latency_ms",
        "model": "model",
        "rule": "rule",
        "status": "status",
    },
    events=(
        Event(
            kind="app.log",
            columns={
                "outcome": level.replace_strict(LEVELS, default=None, return_dtype=pl.String),
                "error_type": pl.coalesce(
                    "error_type",
                    "exception_type",
                    # The last line of a traceback begins with the class.
                    pl.coalesce(
                        "exc_info", pl.when(~pl.col("exception").str.starts_with("[")).then(pl.col("exception"))
                    )
                    .str.strip_chars_end()
                    .str.extract(r"(?:^|\n)([A-Za-z_][\w.]*)(?::[^\n]*)?$", 1),
                ),
                "input": pl.coalesce("query", "question"),
                "index_name": "index",
                "template_name": "template",
                "template_version": "template_version",
            },
            documents=Documents("doc_ids"),
        ),
    ),
)
