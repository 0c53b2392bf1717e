"""SGLang: the metrics of finished requests, one JSON line each, in files by the hour.

What to know of these records: the only time in them is `received_time`, within a JSON text and only if the request has
it; the request log, where it is written as well, tells of the same call under the same rid.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, Time, filled, inside, path, truth, whole

parameters = path("request_parameters")
finish = filled("finish", "finish_text")

FORMAT = Format(
    name="sglang_request_metrics",
    title="SGLang request metrics",
    layer="model",
    reference="https://docs.sglang.ai/advanced_features/server_arguments.html#logging",
    versions=("0.5.23",),
    verified=True,
    export="`python -m sglang.launch_server --export-metrics-to-file --export-metrics-to-file-dir DIR`.",
    limits="The answer is not in it, nor the client's own request id; without received_time it has no time.",
    recognise=Recognise(
        keys=(("request_parameters",), ("id",), ("e2e_latency",), ("finish_reason",), ("prompt_tokens",))
    ),
    fields={
        "id": path("id"),
        "rid": inside(parameters, "rid"),
        "received": inside(parameters, "received_time"),
        "text": inside(parameters, "text"),
        "stream": inside(parameters, "stream"),
        "lora": inside(parameters, "lora_path"),
        "sampling": inside(parameters, "sampling_params"),
        "finish": path("finish_reason", "type"),
        "finish_text": path("finish_reason"),
        "finish_message": path("finish_reason", "message"),
        "finish_status": path("finish_reason", "status_code"),
        "prompt_tokens": path("prompt_tokens"),
        "completion_tokens": path("completion_tokens"),
        "cached_tokens": path("cached_tokens"),
        "weights": path("weight_version"),
        "took": path("e2e_latency"),
    },
    time=Time("received", "s"),
    duration=Duration("took", "s"),
    time_kind="start",
    columns={"service": pl.lit("sglang")},
    ids=(Id("response_id", "id"), Id("response_id", "rid")),
    events=(
        Event(
            "model.call",
            columns={
                "name": pl.lit("request metrics"),
                "response_id": "id",
                "input": "text",
                "content_state": pl.when(filled("text").is_null()).then(pl.lit("absent")).otherwise(pl.lit("full")),
                "stream": truth("stream"),
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
            attributes={"cached_tokens": "cached_tokens", "weight_version": "weights", "lora": "lora"},
        ),
    ),
)
