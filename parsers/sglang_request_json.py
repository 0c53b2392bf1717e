"""SGLang: its request log as JSON lines (behind `[time] `, which is taken off).

What to know of these records: `timestamp` is local and names no zone, `received_time` is an epoch; what came over the
OpenAI API (`request.received.openai`) has no `rid` and is tied to the others by the client's headers alone, which are
there only if SGLANG_LOG_REQUEST_HEADERS names them; long texts are cut in their middle.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, Time, filled, path, truth, whole

TRACEPARENT = r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-"


def _texts(name: str) -> pl.Expr:
    """The texts of a JSON list of chat messages, parted by empty lines, without the JSON around them."""
    quoted = pl.col(name).str.extract_all(r'"(?:content|text)":\s*"(?:[^"\\]|\\.)*"')
    bare = pl.element().str.replace(r'^"(?:content|text)":\s*"', "").str.strip_suffix('"')
    escapes = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\"": '"', r"\/": "/", "\\\\": "\\"}
    joined = quoted.list.eval(bare).list.join("\n\n").str.replace_many(escapes)
    return pl.when(joined != "").then(joined)


# Of a batch `rid` is a list; each of its answers has its own.
rid = pl.when(~pl.col("rid").str.starts_with("[")).then(pl.col("rid"))
finish = filled("finish", "finish_text")
asked = pl.coalesce(filled("text"), filled("prompt"), _texts("messages"), filled("input_ids"))
content = pl.when(asked.is_null()).then(pl.lit("absent")).otherwise(pl.lit("full"))
parameters = {name: name for name in ("temperature", "top_p", "max_tokens", "seed", "stop")}

FORMAT = Format(
    name="sglang_request_json",
    title="SGLang request log (JSON)",
    layer="model",
    reference="https://docs.sglang.ai/advanced_features/server_arguments.html#logging",
    versions=("0.5.23",),
    verified=True,
    export="`python -m sglang.launch_server --log-requests --log-requests-format json`, on standard output.",
    limits="What came over the OpenAI API has no rid there; how much text is logged depends on --log-requests-level.",
    recognise=Recognise(
        keys=(("timestamp",), ("obj",)), where=((("event",), r"^request\.(?:received(?:\.openai)?|finished)$"),)
    ),
    fields={
        "timestamp": path("timestamp"),
        "event": path("event"),
        "rid": path("rid"),
        "request_id": path("headers", "x-request-id"),
        "traceparent": path("headers", "traceparent"),
        "session_id": path("headers", "x-session-id"),
        "received": path("obj", "received_time", verbatim=True),
        "model": path("obj", "model"),
        "lora": path("obj", "lora_path"),
        "messages": path("obj", "messages"),
        "prompt": path("obj", "prompt"),
        "text": path("obj", "text"),
        "input_ids": path("obj", "input_ids"),
        "stream": path("obj", "stream"),
        "temperature": path("obj", "temperature"),
        "top_p": path("obj", "top_p"),
        "max_tokens": path("obj", "max_tokens"),
        "seed": path("obj", "seed"),
        "stop": path("obj", "stop"),
        "sampling": path("obj", "sampling_params"),
        "answer": path("out", "text"),
        "finish": path("out", "meta_info", "finish_reason", "type"),
        "finish_text": path("out", "meta_info", "finish_reason"),
        "finish_message": path("out", "meta_info", "finish_reason", "message"),
        "finish_status": path("out", "meta_info", "finish_reason", "status_code"),
        "prompt_tokens": path("out", "meta_info", "prompt_tokens"),
        "completion_tokens": path("out", "meta_info", "completion_tokens"),
        "cached_tokens": path("out", "meta_info", "cached_tokens"),
        "weights": path("out", "meta_info", "weight_version"),
        "took": path("out", "meta_info", "e2e_latency"),
    },
    time="timestamp",
    columns={
        "service": pl.lit("sglang"),
        "name": "event",
        "session": filled("session_id"),
        "parent_id": pl.col("traceparent").str.extract(TRACEPARENT, 2),
        "response_id": rid,
        "input": asked,
        "content_state": content,
        "stream": truth("stream"),
    },
    ids=(
        Id("response_id", rid),
        Id("request_id", "request_id"),
        Id("trace_id", pl.col("traceparent").str.extract(TRACEPARENT, 1)),
    ),
    events=(
        Event(
            "model.log",
            when=pl.col("event") == "request.received.openai",
            time_kind="start",
            columns={"requested_model": "model"},
            parameters=parameters,
        ),
        Event(
            "model.log",
            when=pl.col("event") == "request.received",
            # The epoch needs no zone.
            time=Time(pl.coalesce(filled("received"), "timestamp")),
            time_kind="start",
            parameters={"sampling_params": "sampling"},
            attributes={"lora": "lora"},
        ),
        Event(
            "model.call",
            when=pl.col("event") == "request.finished",
            time_kind="end",
            duration=Duration("took", "s"),
            columns={
                "output": "answer",
                "finish_reason": finish,
                "outcome": pl.when((finish == "abort") & pl.col("finish_message").str.contains("(?i)disconnect"))
                .then(pl.lit("cancelled"))
                .when(finish == "abort")
                .then(pl.lit("error"))
                .when(finish.is_not_null())
                .then(pl.lit("ok")),
                "error_type": pl.when(finish == "abort").then(filled("finish_message")),
                "http_status": whole("finish_status"),
                "input_tokens": whole("prompt_tokens"),
                "output_tokens": whole("completion_tokens"),
            },
            parameters={"sampling_params": "sampling"},
            attributes={
                "received_time": "received",
                "cached_tokens": "cached_tokens",
                "weight_version": "weights",
                "lora": "lora",
            },
        ),
    ),
)
