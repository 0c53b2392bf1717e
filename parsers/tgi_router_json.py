"""Text Generation Inference: JSON lines of its router and launcher.

What to know of these records: a "Success" line is written when the answer is complete, and so is its time; no request
id is in it (builds with tracing on name a trace in the outermost span); a refused request is an error line within the
span of its route, without tokens or durations.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, filled, path

ROUTES = r"^(?:generate|generate_stream|compat_generate|chat_completions|completions|embed|vertex_compatibility)$"
NONE = r"^Some\((.*)\)$"

said = filled("message", "fields_message")
failing = pl.col("level").eq("ERROR").fill_null(value=False)
routed = pl.col("span").str.contains(ROUTES).fill_null(value=False)
success = (said == "Success").fill_null(value=False)
is_call = routed & (success | failing)

FORMAT = Format(
    name="tgi_router_json",
    title="Text Generation Inference log (JSON)",
    layer="model",
    reference="https://huggingface.co/docs/text-generation-inference/reference/launcher",
    versions=("1.4", "2.3"),
    verified=True,
    export="`text-generation-launcher --json-output`, on standard output.",
    limits="It has no request id, no model and no text: a line is tied to a request only by its time and duration.",
    recognise=Recognise(
        keys=(("timestamp",), ("level",)), where=((("target",), r"^text_generation_(?:router|launcher|client)"),)
    ),
    fields={
        "timestamp": path("timestamp"),
        "level": path("level"),
        "message": path("message"),
        "fields_message": path("fields", "message"),
        "target": path("target"),
        "file": path("filename"),
        "line": path("line_number"),
        "span": path("span", "name"),
        "trace": path("spans", 0, "trace_id"),
        "total": path("span", "total_time"),
        "queue": path("span", "queue_time"),
        "validation": path("span", "validation_time"),
        "inference": path("span", "inference_time"),
        "per_token": path("span", "time_per_token"),
        "seed": path("span", "seed"),
        "parameters": path("span", "parameters"),
    },
    time="timestamp",
    columns={"service": pl.lit("tgi")},
    ids=(Id("trace_id", "trace"),),
    attributes={"level": "level", "target": "target", "where": pl.concat_str("file", "line", separator=":")},
    events=(
        Event(
            "model.call",
            when=is_call,
            time_kind="end",
            duration=Duration("total", "text"),
            columns={
                "name": "span",
                "outcome": pl.when(failing).then(pl.lit("error")).otherwise(pl.lit("ok")),
                "stream": pl.when(pl.col("span").str.ends_with("_stream")).then(pl.lit(value=True)),
                "content_state": pl.lit("absent"),
            },
            parameters={"seed": pl.col("seed").str.extract(NONE, 1)}
            | {
                name: pl.col("parameters").str.extract(rf"\b{name}: Some\(([^)]*)\)", 1)
                for name in ("temperature", "top_p", "top_k", "max_new_tokens")
            },
            attributes={
                "error": pl.when(failing).then(said.str.slice(0, 240)),
                "total_time": "total",
                "queue_time": "queue",
                "validation_time": "validation",
                "inference_time": "inference",
                "time_per_token": "per_token",
            },
        ),
        Event(
            "model.log",
            when=~is_call,
            columns={
                "name": pl.coalesce("span", "target"),
                "outcome": pl.when(failing).then(pl.lit("error")),
            },
            attributes={"message": said.str.strip_chars().str.slice(0, 240)},
        ),
    ),
)
