"""The benchmark's filter: one decision on what goes in and one on what comes out."""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, path, words

VERDICTS = {"allow": "allow", "deny": "block"}

FORMAT = Format(
    name="bench_policy",
    title="Benchmark: policy filter",
    layer="policy",
    reference="benchmarks/rivals/generate.py",
    recognise=Recognise(keys=(("time",), ("decision",), ("context", "session"), ("verdict",), ("elapsed_ms",))),
    fields={
        "time": path("time"),
        "decision": path("decision"),
        "turn": path("context", "turn"),
        "session": path("context", "session"),
        "stage": path("stage"),
        "verdict": path("verdict"),
        "policy": path("policy"),
        "version": path("version"),
        "elapsed_ms": path("elapsed_ms"),
    },
    time="time",
    ids=(Id("turn_id", "turn"), Id("decision_id", "decision")),
    attributes={"elapsed_ms": "elapsed_ms"},
    events=(
        Event(
            "policy.decision",
            columns={
                "service": pl.lit("filter"),
                "session": "session",
                "policy_name": "policy",
                "policy_version": "version",
                "policy_stage": "stage",
                "verdict": words("verdict", VERDICTS, default="unknown"),
            },
        ),
    ),
)
