"""Databricks inference tables of serving endpoints: one row per request, in the legacy and the AI Gateway schema.

What to know of these rows: the time is when the request came in (legacy: `timestamp_ms`; AI Gateway: `request_time`,
naive where the table was exported to CSV). `request` and `response` are JSON texts, null where they were too large
(`logging_error_codes` says so). `databricks_request_id` may be an MLflow trace id (`tr-…`). Rows come up to an hour
late, best effort.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, Time, filled, inside, path, present, whole

REQUEST, RESPONSE = path("request"), path("response")


def _texts(name: str) -> pl.Expr:
    """The texts of a JSON list of chat messages, parted by empty lines, without the JSON around them."""
    quoted = pl.col(name).str.extract_all(r'"(?:content|text)":\s*"(?:[^"\\]|\\.)*"')
    bare = pl.element().str.replace(r'^"(?:content|text)":\s*"', "").str.strip_suffix('"')
    escapes = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\"": '"', r"\/": "/", "\\\\": "\\"}
    joined = quoted.list.eval(bare).list.join("\n\n").str.replace_many(escapes)
    return pl.when(joined != "").then(joined)


status = whole("status_code")
too_large = pl.col("lost").str.contains("MAX_", literal=True).fill_null(value=False)
trace = pl.col("id").str.extract(r"^tr-([0-9a-f]{32})$", 1)

FORMAT = Format(
    name="databricks_inference_table",
    title="Databricks inference table (legacy and AI Gateway)",
    layer="model",
    reference="https://docs.databricks.com/aws/en/ai-gateway/inference-tables-serving-endpoints",
    verified=True,
    export="Turn on inference tables of the serving endpoint, and export the `…_payload` table.",
    limits="Delivery is best effort and sampled; requests refused with 401, 403, 429 or 500 may have no row.",
    recognise=Recognise(
        keys=(("databricks_request_id",), ("status_code",), ("request",), ("response",)),
        any_of=((("timestamp_ms",), ("request_time",)), (("execution_time_ms",), ("execution_duration_ms",))),
    ),
    fields={
        "id": path("databricks_request_id"),
        "client_id": path("client_request_id"),
        "epoch": path("timestamp_ms"),
        "written": path("request_time", verbatim=True),
        "took": path("execution_time_ms"),
        "took_2": path("execution_duration_ms"),
        "status_code": path("status_code"),
        "lost": path("logging_error_codes"),
        "entity": path("served_entity_id"),
        "requester": path("requester"),
        "endpoint": inside(path("request_metadata"), "endpoint_name"),
        "configured": inside(path("request_metadata"), "model_name"),
        "request": REQUEST,
        "response": RESPONSE,
        "messages": inside(REQUEST, "messages"),
        "prompt": inside(REQUEST, "prompt"),
        "asked": inside(REQUEST, "model"),
        "end_user": inside(REQUEST, "user"),
        "session": inside(REQUEST, "extra_params", "session_id"),
        "conversation": inside(REQUEST, "databricks_options", "conversation_id"),
        "temperature": inside(REQUEST, "temperature"),
        "max_tokens": inside(REQUEST, "max_tokens"),
        "stream": inside(REQUEST, "stream"),
        "response_id": inside(RESPONSE, "id"),
        "object": inside(RESPONSE, "object"),
        "served": inside(RESPONSE, "model"),
        "answer": inside(RESPONSE, "choices", 0, "message", "content"),
        "finish": inside(RESPONSE, "choices", 0, "finish_reason"),
        "prompt_tokens": inside(RESPONSE, "usage", "prompt_tokens"),
        "completion_tokens": inside(RESPONSE, "usage", "completion_tokens"),
        "trace_id": inside(RESPONSE, "databricks_output", "trace", "info", "trace_id"),
        "error_code": inside(RESPONSE, "error_code"),
        "error": inside(RESPONSE, "message"),
    },
    time=Time(pl.coalesce("epoch", "written")),
    duration=Duration(pl.coalesce("took", "took_2"), "ms"),
    time_kind="start",
    columns={
        "service": pl.lit("databricks-serving"),
        "session": pl.coalesce(filled("session"), filled("conversation")),
        "user": pl.coalesce(filled("end_user"), filled("requester")),
    },
    ids=(
        Id("call_id", "id"),
        Id("request_id", "client_id"),
        Id("response_id", pl.when(pl.col("response_id") != pl.col("id")).then(pl.col("response_id"))),
        Id("trace_id", pl.coalesce(trace, pl.col("trace_id").str.strip_prefix("tr-"))),
    ),
    events=(
        Event(
            kind="model.call",
            columns={
                "name": pl.coalesce(filled("endpoint", "object"), pl.lit("invocation")),
                "outcome": pl.when(status.is_between(200, 299))
                .then(pl.lit("ok"))
                .when(status.is_in([408, 504]))
                .then(pl.lit("timeout"))
                .when(status >= 300)
                .then(pl.lit("error"))
                .otherwise(pl.lit("unknown")),
                "error_type": filled("error_code"),
                "http_status": status,
                "input": pl.coalesce(_texts("messages"), filled("prompt", "request")),
                "output": pl.coalesce(filled("answer"), filled("response")),
                "content_state": pl.when(too_large)
                .then(pl.lit("absent"))
                .when(present("request"))
                .then(pl.lit("full"))
                .otherwise(pl.lit("absent")),
                "requested_model": pl.coalesce(filled("asked"), filled("configured")),
                "served_model": filled("served"),
                "provider": pl.lit("databricks"),
                "response_id": "response_id",
                "finish_reason": "finish",
                "input_tokens": whole("prompt_tokens"),
                "output_tokens": whole("completion_tokens"),
                "stream": pl.col("stream").eq("true"),
            },
            parameters={"temperature": "temperature", "max_tokens": "max_tokens"},
            attributes={
                "served_entity_id": filled("entity"),
                "requester": filled("requester"),
                "logging_error_codes": pl.when(pl.col("lost") != "[]").then(pl.col("lost")),
                "error": pl.col("error").str.slice(0, 240),
            },
        ),
    ),
)
