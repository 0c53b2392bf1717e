"""Databricks Unity AI Gateway: the inference table of a model service, one row per invocation.

What to know of these rows: `request` and `response` are JSON texts, null where they were too large
(`logging_error_codes` says so). `event_time` is naive where the table was exported to CSV. Rows come late, best effort.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, filled, inside, path, present, whole

REQUEST, RESPONSE = path("request"), path("response")


def _texts(name: str) -> pl.Expr:
    """The texts of a JSON list of chat messages, parted by empty lines, without the JSON around them."""
    quoted = pl.col(name).str.extract_all(r'"(?:content|text)":\s*"(?:[^"\\]|\\.)*"')
    bare = pl.element().str.replace(r'^"(?:content|text)":\s*"', "").str.strip_suffix('"')
    escapes = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\"": '"', r"\/": "/", "\\\\": "\\"}
    joined = quoted.list.eval(bare).list.join("\n\n").str.replace_many(escapes)
    return pl.when(joined != "").then(joined)


status = whole("status_code")

FORMAT = Format(
    name="databricks_unity_gateway",
    title="Databricks Unity AI Gateway inference table",
    layer="model",
    reference="https://docs.databricks.com/aws/en/ai-gateway/inference-tables",
    verified=False,
    export="Set up inference tables of the model service in AI Gateway, and export that table.",
    limits="Delivery is best effort; bodies over the size limit are not kept.",
    recognise=Recognise(
        keys=(("invocation_id",), ("event_time",), ("latency_ms",), ("logging_error_codes",)),
        any_of=((("request",), ("response",)),),
    ),
    fields={
        "id": path("invocation_id"),
        "client_id": path("client_request_id"),
        "event_time": path("event_time", verbatim=True),
        "latency": path("latency_ms"),
        "status_code": path("status_code"),
        "lost": path("logging_error_codes"),
        "requester": path("requester"),
        "request": REQUEST,
        "response": RESPONSE,
        "messages": inside(REQUEST, "messages"),
        "asked": inside(REQUEST, "model"),
        "end_user": inside(REQUEST, "user"),
        "stream": inside(REQUEST, "stream"),
        "response_id": inside(RESPONSE, "id"),
        "object": inside(RESPONSE, "object"),
        "served": inside(RESPONSE, "model"),
        "answer": inside(RESPONSE, "choices", 0, "message", "content"),
        "finish": inside(RESPONSE, "choices", 0, "finish_reason"),
        "prompt_tokens": inside(RESPONSE, "usage", "prompt_tokens"),
        "completion_tokens": inside(RESPONSE, "usage", "completion_tokens"),
    },
    time="event_time",
    columns={"service": pl.lit("databricks-ai-gateway"), "user": filled("end_user", "requester")},
    ids=(Id("call_id", "id"), Id("request_id", "client_id"), Id("response_id", "response_id")),
    events=(
        Event(
            kind="model.call",
            duration=Duration("latency", "ms"),
            columns={
                "name": pl.coalesce(filled("object"), pl.lit("invocation")),
                "outcome": pl.when(status.is_between(200, 299))
                .then(pl.lit("ok"))
                .when(status.is_in([408, 504]))
                .then(pl.lit("timeout"))
                .when(status.is_not_null())
                .then(pl.lit("error"))
                .otherwise(pl.lit("unknown")),
                "http_status": status,
                "input": pl.coalesce(_texts("messages"), filled("request")),
                "output": filled("answer", "response"),
                "content_state": pl.when(present("request")).then(pl.lit("full")).otherwise(pl.lit("absent")),
                "requested_model": filled("asked"),
                "served_model": filled("served"),
                "response_id": "response_id",
                "finish_reason": "finish",
                "input_tokens": whole("prompt_tokens"),
                "output_tokens": whole("completion_tokens"),
                "stream": pl.col("stream").eq("true"),
            },
            attributes={
                "requester": filled("requester"),
                "logging_error_codes": pl.when(pl.col("lost") != "[]").then(pl.col("lost")),
            },
        ),
    ),
)
