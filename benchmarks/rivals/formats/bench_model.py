"""The benchmark's gateway: one record for each model call, written when it ended."""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, path, whole

FORMAT = Format(
    name="bench_model",
    title="Benchmark: model gateway",
    layer="model",
    reference="benchmarks/rivals/generate.py",
    recognise=Recognise(
        keys=(("started_at",), ("ended_at",), ("call_id",), ("metadata", "correlation_id"), ("response", "content"))
    ),
    fields={
        "started": path("started_at"),
        "ended": path("ended_at"),
        "call_id": path("call_id"),
        "request": path("metadata", "correlation_id"),
        "tenant": path("metadata", "tenant"),
        "provider": path("provider"),
        "model": path("model"),
        "status": path("status"),
        "input": path("messages", -1, "content"),
        "output": path("response", "content"),
        "finish_reason": path("response", "finish_reason"),
        "in": path("usage", "prompt_tokens"),
        "out": path("usage", "completion_tokens"),
    },
    time="started",
    end="ended",
    time_kind="start",
    ids=(Id("correlation_id", "request"), Id("call_id", "call_id")),
    events=(
        Event(
            "model.call",
            columns={
                "name": pl.lit("chat"),
                "service": pl.lit("gateway"),
                "tenant": "tenant",
                "outcome": pl.when(pl.col("status") == "200").then(pl.lit("ok")).otherwise(pl.lit("error")),
                "http_status": whole("status"),
                "provider": "provider",
                "requested_model": "model",
                "input": "input",
                "output": "output",
                "finish_reason": "finish_reason",
                "input_tokens": whole("in"),
                "output_tokens": whole("out"),
            },
        ),
    ),
)
