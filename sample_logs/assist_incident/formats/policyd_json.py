"""Policy replica a (policyd, python-json-logger): its decisions, and the bundles that it loaded."""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, path, words

failed = pl.col("error").is_not_null()

FORMAT = Format(
    name="policyd_json",
    title="policyd decisions (JSON)",
    layer="policy",
    reference="policy/policy-a.jsonl of policyd",
    verified=True,
    recognise=Recognise(
        keys=(("message",), ("event",), ("ts",), ("level",)),
        where=((("logger",), r"^policyd$"), (("event",), r"^(?:decision|config\.reload)$")),
    ),
    fields={
        "event": path("event"),
        "ts": path("ts", verbatim=True),
        "decision_id": path("decision_id"),
        "trace_id": path("trace_id"),
        "call_id": path("litellm_call_id"),
        "session": path("session_id"),
        "user": path("user"),
        "stage": path("stage"),
        "decision": path("decision"),
        "rule": path("rule"),
        "policy_rev": path("policy_rev"),
        "previous_rev": path("previous_rev"),
        "on_error": path("on_error"),
        "rules": path("rules"),
        "eval_ms": path("eval_ms"),
        "chars": path("chars"),
        "error": path("error"),
    },
    time="ts",
    # The two replicas run on two hosts.
    clock=pl.lit("policy-a"),
    columns={"name": "event", "service": pl.lit("policyd"), "session": "session", "user": "user"},
    events=(
        Event(
            kind="policy.decision",
            when=pl.col("event") == "decision",
            ids=(Id("decision_id", "decision_id"), Id("trace_id", "trace_id"), Id("call_id", "call_id")),
            columns={
                "policy_name": "rule",
                "policy_version": "policy_rev",
                "policy_stage": "stage",
                # Written only where a rule could not be evaluated: what then happens to the text.
                "policy_mode": words("on_error", {"allow": "fail_open", "deny": "fail_closed"}),
                "verdict": words("decision", {"allow": "allow", "deny": "block"}, default="unknown"),
                "enforced": pl.when(pl.col("decision") == "deny").then(pl.lit(value=True)),
                "outcome": pl.when(failed)
                .then(pl.lit("error"))
                .otherwise(words("decision", {"allow": "ok", "deny": "blocked"}, default="unknown")),
                "input_chars": pl.col("chars").cast(pl.Int64, strict=False),
            },
            attributes={"error": "error", "eval_ms": "eval_ms"},
        ),
        Event(
            kind="change.applied",
            layer="change",
            when=pl.col("event") == "config.reload",
            columns={
                "policy_version": "policy_rev",
                "change_scope": pl.lit("policy"),
                "change_key": pl.lit("policy_rev"),
                "change_old": "previous_rev",
                "change_new": "policy_rev",
            },
            attributes={"on_error": "on_error", "rules": "rules"},
        ),
    ),
)
