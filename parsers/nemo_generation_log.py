"""NeMo Guardrails: generation log, `GenerationResponse.model_dump()` of one guarded call, or its `log` alone.

What to know of these records: times are epoch seconds by the host's clock. No id of the whole call is in them:
the `id` of its first LLM call stands for it here (as `run_id`). A rail bears the `id` of the judge that it asked.
`request_id` of an LLM call is often null.

Verdicts, per activated rail: an action that `failed` is error; `stop` true is block (enforced); an action's decision
`block` without a stop is flag (not enforced); transforms are redact; `stop` false is allow, but unknown where the rail
masks text and no outcome says whether it did; no `stop` is unknown. Rails of type generation and dialog decide nothing
unless they stop. That the response is what the user saw is not said.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, path, truth, whole, words

CHECKS = ["input", "output", "retrieval", "tool_input", "tool_output"]
rails = pl.coalesce("log_rails", "bare_rails")
stop, failed = truth("stop"), truth("failed").fill_null(value=False)
decides = (pl.col("rail_type").is_in(CHECKS) | stop).fill_null(value=False)
masks = pl.col("decisions").str.contains(r"(?i)\bmask|anonymi[sz]e|redact").fill_null(value=False)
changed = pl.col("transforms").str.contains(r"^\[\s*[^\]\s]").fill_null(value=False)
blocked = pl.col("decision").eq("block").fill_null(value=False)
verdict = (
    pl.when(~decides)
    .then(None)
    .when(failed)
    .then(pl.lit("error"))
    .when(stop)
    .then(pl.lit("block"))
    .when(stop.is_null())
    .then(pl.lit("unknown"))
    .when(blocked)
    .then(pl.lit("flag"))
    .when(changed)
    .then(pl.lit("redact"))
    .when(masks & pl.col("decision").is_null())
    .then(pl.lit("unknown"))
    .otherwise(pl.lit("allow"))
)
stage = words(
    "rail_type",
    {"input": "input", "output": "output", "retrieval": "retrieval", "tool_input": "tool", "tool_output": "tool"},
)


def _rails(each: str) -> Event:
    """The rails, from where the list lies."""
    return Event(
        pl.when(decides).then(pl.lit("policy.decision")).otherwise(pl.lit("policy.log")),
        each=each,
        when=pl.col(each).is_not_null(),
        fields={
            "rail_type": path("type"),
            "rail_name": path("name"),
            "stop": path("stop"),
            "decisions": path("decisions"),
            "decision": path("executed_actions", 0, "return_value", "decision"),
            "reason": path("executed_actions", 0, "return_value", "reason"),
            "failed": path("executed_actions", 0, "return_value", "failed"),
            "transforms": path("executed_actions", 0, "return_value", "transforms"),
            "judge": path("executed_actions", 0, "llm_calls", 0, "id"),
            "started": path("started_at"),
            "ended": path("finished_at"),
        },
        time="started",
        end="ended",
        columns={
            "name": "rail_name",
            "policy_name": "rail_name",
            "policy_stage": stage,
            "verdict": verdict,
            "enforced": pl.when(stop | (decides & changed))
            .then(pl.lit(value=True))
            .when(decides & blocked)
            .then(pl.lit(value=False)),
            "outcome": pl.when(failed).then(pl.lit("error")).when(stop).then(pl.lit("blocked")).otherwise(pl.lit("ok")),
        },
        ids=(Id("call_id", "judge"),),
        attributes={"rail_type": "rail_type", "decisions": "decisions", "reason": pl.col("reason").str.slice(0, 240)},
    )


def _calls(each: str) -> Event:
    """The calls of a model, from where the list lies."""
    return Event(
        "model.call",
        layer="model",
        each=each,
        when=pl.col(each).is_not_null(),
        fields={
            "task": path("task"),
            "id": path("id"),
            "request_id": path("request_id"),
            "prompt": path("prompt"),
            "completion": path("completion"),
            "model": path("llm_model_name"),
            "provider": path("llm_provider_name"),
            "prompt_tokens": path("prompt_tokens"),
            "completion_tokens": path("completion_tokens"),
            "cached": path("from_cache"),
            "started": path("started_at"),
            "ended": path("finished_at"),
        },
        time="started",
        end="ended",
        columns={
            "name": "task",
            "outcome": pl.when(pl.col("completion").is_not_null()).then(pl.lit("ok")).otherwise(pl.lit("unknown")),
            "input": "prompt",
            "output": "completion",
            "served_model": "model",
            "provider": "provider",
            "input_tokens": whole("prompt_tokens"),
            "output_tokens": whole("completion_tokens"),
            "cache": words("cached", {"true": "hit", "false": "miss"}),
        },
        ids=(Id("call_id", "id"), Id("request_id", "request_id")),
    )


FORMAT = Format(
    name="nemo_generation_log",
    title="NeMo Guardrails generation log",
    layer="policy",
    reference="https://docs.nvidia.com/nemo/guardrails/latest/user-guides/advanced/generation-options.html",
    versions=("0.24.1",),
    verified=True,
    export='Call generate() with options={"log": {"activated_rails": True, "llm_calls": True}} and keep model_dump().',
    limits="It names neither the caller's request nor the user, and does not say what was shown.",
    recognise=Recognise(
        any_of=tuple(
            (("log", name), (name,)) for name in ("activated_rails", "llm_calls", "internal_events", "colang_history")
        ),
    ),
    fields={
        "log_rails": path("log", "activated_rails"),
        "bare_rails": path("activated_rails"),
        "log_first": path("log", "llm_calls", 0, "id"),
        "bare_first": path("llm_calls", 0, "id"),
        "log_calls": path("log", "llm_calls"),
        "bare_calls": path("llm_calls"),
        "took": path("log", "stats", "total_duration"),
        "finished": path("log", "activated_rails", -1, "finished_at"),
        "answer": path("response"),
        "message": path("response", -1, "content"),
        "asked": path("log", "internal_events", 0, "data", "user_message"),
    },
    time_kind="start",
    ids=(Id("run_id", pl.coalesce("log_first", "bare_first")),),
    columns={"service": pl.lit("nemo-guardrails")},
    events=(
        Event(
            "prompt.answered",
            layer="prompt",
            when=pl.col("answer").is_not_null(),
            time="finished",
            time_kind="end",
            duration=Duration("took", "s"),
            columns={
                "name": pl.lit("generate"),
                "input": "asked",
                "output": pl.coalesce("message", "answer"),
                "outcome": pl.when(rails.str.contains(r'"stop":\s*true'))
                .then(pl.lit("blocked"))
                .otherwise(pl.lit("ok")),
            },
        ),
        _rails("log_rails"),
        _rails("bare_rails"),
        _calls("log_calls"),
        _calls("bare_calls"),
    ),
)
