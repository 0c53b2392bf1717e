"""NeMo Guardrails: trace file of the FileSystem adapter (schema 2.0), one JSON object per guarded request.

What to know of these records: clocks start at 0.0 with each request, so no event has a time; order and length hold.
`trace_id` is the tracer's own uuid, not the caller's trace. A request whose rail raised wrote no line at all. No text
is in the file, whatever content capture says.

Verdicts: `rail.stop` true is block (enforced); a span error is error; `rail.stop` false is allow, but unknown where
the rail masks text (a mask leaves no mark); no `rail.stop` is unknown. Rails of type generation and dialog decide
nothing unless they stop. Whether the answer reached the user is never said.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, path, truth, whole, words

span_type = pl.col("span_type")
stop, failed = truth("stop"), truth("failed")
checks = pl.col("rail_type").is_in(["input", "output", "retrieval", "tool_input", "tool_output"])
rail = span_type == "RailSpan"
masks = pl.col("decisions").str.contains(r"(?i)\bmask|anonymi[sz]e|redact").fill_null(value=False)
verdict = (
    pl.when(failed)
    .then(pl.lit("error"))
    .when(stop)
    .then(pl.lit("block"))
    .when(stop.not_() & ~masks)
    .then(pl.lit("allow"))
    .otherwise(pl.lit("unknown"))
)
outcome = pl.when(failed).then(pl.lit("error")).otherwise(pl.lit("ok"))
stage = words(
    "rail_type",
    {"input": "input", "output": "output", "retrieval": "retrieval", "tool_input": "tool", "tool_output": "tool"},
)

FORMAT = Format(
    name="nemo_guardrails_trace",
    title="NeMo Guardrails trace file",
    layer="policy",
    reference="https://docs.nvidia.com/nemo/guardrails/latest/user-guides/tracing/index.html",
    versions=("0.24.1",),
    verified=True,
    export="In config.yml set `tracing.enabled: true` with the FileSystem adapter; its `filepath` is this file.",
    limits="It has no absolute times, no texts, no id of the caller, and no line for a request that raised an error.",
    recognise=Recognise(
        keys=(("schema_version",), ("trace_id",), ("spans", 0, "parent_id")),
        where=((("spans", 0, "span_type"), r"^(?:Interaction|Rail|Action|LLM)Span$"),),
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
        "span_type": path("span_type"),
        "service": path("attributes", "service.name"),
        "rail_type": path("attributes", "rail.type"),
        "rail_name": path("attributes", "rail.name"),
        "stop": path("attributes", "rail.stop"),
        "decisions": path("attributes", "rail.decisions"),
        "action": path("attributes", "action.name"),
        "task": path("attributes", "gen_ai.operation.name"),
        "provider": path("attributes", "gen_ai.provider.name"),
        "requested_model": path("attributes", "gen_ai.request.model"),
        "served_model": path("attributes", "gen_ai.response.model"),
        "input_tokens": path("attributes", "gen_ai.usage.input_tokens"),
        "output_tokens": path("attributes", "gen_ai.usage.output_tokens"),
        "cached": path("attributes", "llm.cache.hit"),
        "failed": path("error", "occurred"),
        "error_type": path("error", "type"),
        "error": path("error", "message"),
    },
    time="started",
    end="ended",
    duration=Duration("duration", "s"),
    time_kind="relative",
    columns={
        "service": pl.coalesce("service", pl.lit("nemo-guardrails")),
        "span_id": "span_id",
        "parent_id": "parent_id",
        "error_type": "error_type",
    },
    ids=(Id("trace_id", "trace_id"),),
    attributes={"error": pl.col("error").str.slice(0, 240)},
    events=(
        Event(
            "policy.decision",
            when=rail & (checks | stop),
            columns={
                "name": "rail_name",
                "policy_name": "rail_name",
                "policy_stage": stage,
                "verdict": verdict,
                "enforced": pl.when(stop).then(pl.lit(value=True)),
                "outcome": pl.when(~failed.fill_null(value=False) & stop).then(pl.lit("blocked")).otherwise(outcome),
            },
            attributes={"rail_type": "rail_type", "decisions": "decisions"},
        ),
        Event(
            "policy.log",
            when=rail & ~(checks | stop).fill_null(value=False),
            columns={"name": "rail_name", "policy_name": "rail_name", "outcome": outcome},
            attributes={"rail_type": "rail_type", "decisions": "decisions"},
        ),
        Event(
            "model.call",
            layer="model",
            when=span_type == "LLMSpan",
            columns={
                "name": "task",
                "outcome": outcome,
                "requested_model": "requested_model",
                "served_model": "served_model",
                "provider": "provider",
                "input_tokens": whole("input_tokens"),
                "output_tokens": whole("output_tokens"),
                "cache": words("cached", {"true": "hit", "false": "miss"}),
            },
        ),
        Event(
            "app.step",
            layer="other",
            when=span_type.is_in(["InteractionSpan", "ActionSpan"]),
            columns={"name": pl.coalesce("action", "name"), "outcome": outcome},
            attributes={"span_type": "span_type"},
        ),
    ),
)
