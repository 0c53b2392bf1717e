"""Guardrails AI: `Guard.history` as JSON, one object per guarded call (`[call.to_dict() for call in guard.history]`).

What to know of these records: all ids are memory addresses of one process, and are used again: none is an alias.
Times are the host's local time without a zone. A call may hold several iterations (re-asks).

Verdicts, per validator, from its outcome and what became of the text, as `on_fail` itself is not written: outcome
`pass` is allow; `fail` with no value left (exception, filter, refrain) is block; with a re-ask is flag (enforced); with
the text as it was (noop) is flag (not enforced); with another text (fix) is redact. No result is not_evaluated; another
word is unknown. `delivered` says whether the guard handed a text to its caller. An iteration without validators is
not_evaluated.
"""

import polars as pl

from strataline.format import Event, Format, Recognise, path

outcome = pl.col("outcome").str.to_lowercase()
failed, passed = (outcome == "fail").fill_null(value=False), (outcome == "pass").fill_null(value=False)
raised = pl.col("exception").is_not_null()
asked_again = pl.col("after").str.contains(r'"incorrect_?[vV]alue"').fill_null(value=False)
same = pl.col("after").eq(pl.col("before")).fill_null(value=False)
unchecked = pl.col("logs").fill_null("[]").str.contains(r"^\[\s*\]$")
handed = pl.when(raised).then(pl.lit(value=False)).when(pl.col("guarded").is_not_null()).then(pl.lit(value=True))

FORMAT = Format(
    name="guardrails_ai_history",
    title="Guardrails AI call history",
    layer="policy",
    reference="https://guardrailsai.com/docs/concepts/logs",
    versions=("0.11.0",),
    verified=True,
    export="Write `[call.to_dict() for call in guard.history]` to a file; the history keeps the last ten calls.",
    limits="It has no id that another log could share, no zone, and not the `on_fail` that was configured.",
    recognise=Recognise(
        keys=(
            ("iterations", 0, "callId"),
            ("iterations", 0, "inputs", "num_reasks"),
            ("iterations", 0, "outputs", "validator_logs"),
        ),
    ),
    explode=(("iterations",),),
    fields={
        "logs": path("outputs", "validator_logs"),
        "number": path("index"),
        "address": path("callId"),
        "given": path("inputs", "llm_output"),
        "raw": path("outputs", "llm_response_info", "output"),
        "guarded": path("outputs", "guarded_output"),
        "exception": path("outputs", "exception"),
        "error": path("outputs", "error"),
        "began": path("outputs", "validator_logs", 0, "startTime"),
        "finished": path("outputs", "validator_logs", -1, "endTime"),
    },
    time_kind="start",
    columns={
        "service": pl.lit("guardrails-ai"),
        "policy_stage": pl.when(pl.col("raw").is_not_null() | pl.col("given").is_not_null()).then(pl.lit("output")),
    },
    attributes={"call_address": "address", "iteration": "number"},
    events=(
        Event(
            pl.when(unchecked).then(pl.lit("policy.decision")).otherwise(pl.lit("policy.log")),
            time="began",
            end="finished",
            columns={
                "name": pl.lit("guard"),
                "input": "raw",
                "output": "guarded",
                "verdict": pl.when(unchecked).then(pl.lit("not_evaluated")),
                "delivered": handed,
                "outcome": pl.when(raised & pl.col("exception").str.starts_with("Validation failed"))
                .then(pl.lit("blocked"))
                .when(raised)
                .then(pl.lit("error"))
                .otherwise(pl.lit("ok")),
            },
            attributes={"error": pl.coalesce("exception", "error").str.slice(0, 240)},
        ),
        Event(
            "policy.decision",
            each="logs",
            fields={
                "validator": path("registeredName"),
                "validator_class": path("validatorName"),
                "outcome": path("validationResult", "outcome"),
                "message": path("validationResult", "errorMessage"),
                "before": path("valueBeforeValidation"),
                "after": path("valueAfterValidation"),
                "property": path("propertyPath"),
                "started": path("startTime"),
                "ended": path("endTime"),
            },
            time="started",
            end="ended",
            columns={
                "name": pl.coalesce("validator", "validator_class"),
                "policy_name": pl.coalesce("validator", "validator_class"),
                "input": "before",
                "output": "after",
                "verdict": pl.when(passed)
                .then(pl.lit("allow"))
                .when(failed & pl.col("after").is_null())
                .then(pl.lit("block"))
                .when(failed & (asked_again | same))
                .then(pl.lit("flag"))
                .when(failed)
                .then(pl.lit("redact"))
                .when(outcome.is_null())
                .then(pl.lit("not_evaluated"))
                .otherwise(pl.lit("unknown")),
                "enforced": pl.when(failed & same).then(pl.lit(value=False)).when(failed).then(pl.lit(value=True)),
                "delivered": handed,
                "outcome": pl.when(failed & pl.col("after").is_null())
                .then(pl.lit("blocked"))
                .when(passed | failed)
                .then(pl.lit("ok"))
                .otherwise(pl.lit("unknown")),
            },
            attributes={"message": pl.col("message").str.slice(0, 240), "property": "property"},
        ),
    ),
)
