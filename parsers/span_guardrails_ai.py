"""Guardrails AI spans: guard, steps, calls, and one span for each validator that ran.

What to know of these spans: the verdict is what a validator found, the action is its `on_fail`, and `validation_passed`
of the guard is true after a fix though text was taken out, and false after a noop though the text went through;
`validator.validate.output.outcome` is always empty, the word lies in `output.value`; execution and instance ids are
addresses of Python, unique within one process only; `unknown` stands for no user and no client.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, filled, inside, path, truth

OWN = {
    "type": "type",
    "guard": "guard.name",
    "validator": "validator.name",
    "on_fail": "validator.on_fail",
    "on_fail_old": "on_fail_descriptor",
    "checked": "validator.validate.input.value",
    "message": "validator.validate.output.error_message",
    "fixed": "validator.validate.output.fix_value",
    "input": "input.value",
    "output": "output.value",
    "passed": "validation_passed",
    "reasks": "number_of_reasks",
    "calls": "number_of_llm_calls",
    "version": "guardrails.version",
    "user": "user.id",
    "session": "session.id",
}
STOPPING = ("exception", "filter", "refrain")

validator = pl.col("type") == "guardrails/guard/step/validator"
guard = pl.col("type") == "guardrails/guard"
error = pl.col("exception")
broke = pl.col("status") == "error"
came = (pl.col("status") == "ok") | pl.col("output").is_not_null()
outcome = (
    pl.when(broke & error.str.contains(r"(?i)cancel"))
    .then(pl.lit("cancelled"))
    .when(broke & error.str.contains(r"(?i)time(d ?)?out"))
    .then(pl.lit("timeout"))
    .when(broke)
    .then(pl.lit("error"))
    .when(came)
    .then(pl.lit("ok"))
)
found = pl.col("found").str.to_lowercase()
action = pl.coalesce("on_fail", "on_fail_old").str.to_lowercase()
fixing, stopping = action.is_in(["fix", "fix_reask"]), action.is_in(STOPPING)
verdict = (
    pl.when(found == "pass")
    .then(pl.lit("allow"))
    .when((found == "fail") & fixing)
    .then(pl.lit("redact"))
    .when((found == "fail") & stopping)
    .then(pl.lit("block"))
    .when(found == "fail")
    .then(pl.lit("flag"))
    .when(broke)
    .then(pl.lit("error"))
    .otherwise(pl.lit("unknown"))
)
refused = ~validator & broke & error.str.contains("ValidationError", literal=True)

FORMAT = Format(
    name="span_guardrails_ai",
    title="Guardrails AI spans",
    layer="policy",
    reference="https://www.guardrailsai.com/docs/concepts/telemetry",
    versions=("0.11.0",),
    verified=True,
    export="A tracer provider in the application: Guardrails writes its spans to whatever exporter it has.",
    limits="It has no ids of request or session, and does not tell what the application did with the answer.",
    of="span",
    # Marks that every span has set the order of dialects: transport, gen_ai, OpenInference, a vendor's own.
    recognise=Recognise(
        keys=(("trace_id",), ("name",), ("span_id",), ("attributes",)),
        any_of=((("start",), ("end",)), (("attributes", "type"),)),
        where=((("attributes", "type"), r"^guardrails/guard"),),
    ),
    fields={
        name: path(name)
        for name in ("trace_id", "span_id", "parent_id", "name", "start", "end", "status", "service", "scope")
    }
    | {"status_text": path("status_message"), "exception": path("error", "type")}
    | {name: path("attributes", key) for name, key in OWN.items()}
    | {"found": inside(path("attributes", "output.value"), "outcome")},
    time="start",
    end="end",
    time_kind="start",
    columns={
        "name": pl.coalesce("validator", "guard", "name"),
        "service": "service",
        "span_id": "span_id",
        "parent_id": filled("parent_id"),
        "session": "session",
        "user": pl.when(pl.col("user") != "unknown").then(pl.col("user")),
        "outcome": pl.when(refused).then(pl.lit("blocked")).otherwise(outcome),
        "error_type": error,
    },
    ids=(Id("trace_id", "trace_id"),),
    attributes={
        "span": "name",
        "scope": "scope",
        "error": pl.col("status_text").str.extract("^(.+)", 1).str.slice(0, 240),
    },
    events=(
        Event(
            kind="policy.decision",
            when=validator,
            columns={
                "input": "checked",
                "output": pl.when(verdict == "redact").then(pl.col("fixed")),
                "policy_name": "validator",
                "policy_mode": action,
                "verdict": verdict,
                "enforced": pl.when((found == "fail") & (fixing | stopping))
                .then(pl.lit(value=True))
                .when((found == "fail") & (action == "noop"))
                .then(pl.lit(value=False)),
                "delivered": pl.when((found == "fail") & stopping)
                .then(pl.lit(value=False))
                .when((found == "fail") & (action == "noop"))
                .then(pl.lit(value=True)),
                "outcome": pl.when(verdict == "block").then(pl.lit("blocked")).otherwise(outcome),
            },
            attributes={"found": "found", "message": "message"},
        ),
        # The guard as a whole, which sums up what its validators decided.
        Event(
            kind="policy.log",
            when=guard,
            columns={"output": "output", "policy_name": "guard"},
            attributes={
                "library": "version",
                "validation_passed": truth("passed"),
                "reasks": "reasks",
                "llm_calls": "calls",
            },
        ),
        Event(
            kind="app.step",
            layer="other",
            when=~validator & ~guard,
            columns={"input": "input", "output": "output"},
            attributes={"guard": "guard"},
        ),
    ),
)
