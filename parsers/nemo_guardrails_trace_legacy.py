"""NeMo Guardrails: trace file of the FileSystem adapter, legacy spans (schema 1.0, and files before it had a name).

What to know of these records: clocks start at 0.0 with each request, so no event has a time. `trace_id` is the
tracer's own. What a span is stands in its name alone (`rail: …`, `action: …`, `LLM: …`). Releases of 2024 wrote the
objects over many lines.

Verdicts: none is written. Every rail is unknown: a stop shows only as rails that are missing after it. The stage is
taken from the last word of a rail's name, as the shipped rails are named (`self check input`).
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, path

what = pl.col("name").str.extract(r"^(?:rail|action|LLM): (.*)$", 1)
rail = pl.col("name").str.starts_with("rail: ")
generates = what.str.contains(r"^generate ")

FORMAT = Format(
    name="nemo_guardrails_trace_legacy",
    title="NeMo Guardrails trace file (legacy)",
    layer="policy",
    reference="https://docs.nvidia.com/nemo/guardrails/latest/user-guides/tracing/index.html",
    versions=("0.24.1",),
    verified=True,
    export="In config.yml set `tracing.enabled: true` and `span_format: legacy` with the FileSystem adapter.",
    limits="It has no verdicts, no absolute times, no texts and no id of the caller.",
    recognise=Recognise(
        keys=(("trace_id",), ("spans", 0, "span_id"), ("spans", 0, "start_time"), ("spans", 0, "duration")),
        where=((("spans", 0, "name"), r"^interaction$"),),
    ),
    explode=(("spans",),),
    fields={
        "trace_id": path("trace_id", level=0),
        "name": path("name"),
        "span_id": path("span_id"),
        "parent_id": path("parent_id"),
        "started": path("start_time"),
        "ended": path("end_time"),
        "duration": path("duration"),
        # The keys of the counts hold the model's name.
        "metrics": path("metrics"),
    },
    time="started",
    end="ended",
    duration=Duration("duration", "s"),
    time_kind="relative",
    columns={"service": pl.lit("nemo-guardrails"), "span_id": "span_id", "parent_id": "parent_id"},
    ids=(Id("trace_id", "trace_id"),),
    events=(
        Event(
            "policy.decision",
            when=rail & ~generates,
            columns={
                "name": what,
                "policy_name": what,
                "policy_stage": what.str.extract(r" (input|output|retrieval)$", 1),
                "verdict": pl.lit("unknown"),
            },
        ),
        Event("policy.log", when=rail & generates, columns={"name": what, "policy_name": what}),
        Event(
            "model.call",
            layer="model",
            when=pl.col("name").str.starts_with("LLM: "),
            columns={
                "name": "name",
                "requested_model": what,
                "input_tokens": pl.col("metrics").str.extract(r'_prompt_tokens_total":\s*(\d+)', 1),
                "output_tokens": pl.col("metrics").str.extract(r'_completion_tokens_total":\s*(\d+)', 1),
            },
        ),
        Event(
            "app.step",
            layer="other",
            when=(pl.col("name") == "interaction") | pl.col("name").str.starts_with("action: "),
            columns={"name": pl.coalesce(what, pl.col("name"))},
        ),
    ),
)
