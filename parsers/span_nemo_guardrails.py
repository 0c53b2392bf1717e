"""NeMo Guardrails spans of its OpenTelemetry adapter: requests, rails and actions.

What to know of these spans: unlike the FileSystem traces they have absolute times and lie below the caller's span;
`rail.stop` is the verdict, and only rails on input, output, retrieval and tools judge anything; the action below tells
how, and the model calls of rails are gen_ai spans of which the operation is the task; a request whose rail raised
leaves no spans; texts are never there.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, filled, path, truth

OWN = {
    "rail_type": "rail.type",
    "rail": "rail.name",
    "stop": "rail.stop",
    "decisions": "rail.decisions",
    "action": "action.name",
    "calls": "action.llm_calls_count",
    "error_type": "error.type",
    "session": "session.id",
    "user": "user.id",
}
JUDGING = r"^(input|output|retrieval|tool)"

rail = pl.col("name") == "guardrails.rail"
judging = rail & pl.col("rail_type").str.contains(JUDGING).fill_null(value=False)
error = pl.coalesce("error_type", "exception")
broke = (pl.col("status") == "error") | error.is_not_null()
came = (pl.col("status") == "ok") | pl.col("stop").is_not_null()
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
stopped = truth("stop")

FORMAT = Format(
    name="span_nemo_guardrails",
    title="NeMo Guardrails spans",
    layer="policy",
    reference="https://docs.nvidia.com/nemo/guardrails/latest/user-guides/tracing/index.html",
    versions=("0.24.1",),
    verified=True,
    export="tracing: {enabled: true, adapters: [{name: OpenTelemetry}]} in config.yml, and an exporter in the app.",
    limits="It tells which rail stopped, not on what text; a rail that raised may leave no span at all.",
    of="span",
    # Marks that every span has set the order of dialects: transport, gen_ai, OpenInference, a vendor's own.
    recognise=Recognise(
        keys=(("trace_id",), ("name",), ("span_id",), ("attributes",)),
        any_of=((("start",), ("end",)),),
        where=((("name",), r"^guardrails\.[a-z_]+$"),),
    ),
    fields={
        name: path(name)
        for name in ("trace_id", "span_id", "parent_id", "name", "start", "end", "status", "service", "scope")
    }
    | {"span_kind": path("kind"), "status_text": path("status_message"), "exception": path("error", "type")}
    | {name: path("attributes", key) for name, key in OWN.items()},
    time="start",
    end="end",
    time_kind="start",
    columns={
        "name": pl.coalesce("rail", "action", "name"),
        "service": "service",
        "span_id": "span_id",
        "parent_id": filled("parent_id"),
        "session": "session",
        "user": "user",
        "outcome": outcome,
        "error_type": error,
    },
    ids=(Id("trace_id", "trace_id"),),
    attributes={
        "span": "name",
        "span_kind": "span_kind",
        "scope": "scope",
        "error": pl.col("status_text").str.extract("^(.+)", 1).str.slice(0, 240),
    },
    events=(
        Event(
            kind="policy.decision",
            when=judging,
            columns={
                "policy_name": pl.coalesce("rail", "name"),
                "policy_stage": pl.col("rail_type").str.extract(JUDGING, 1),
                "verdict": pl.when(broke)
                .then(pl.lit("error"))
                .when(stopped)
                .then(pl.lit("block"))
                .when(stopped.not_())
                .then(pl.lit("allow"))
                .otherwise(pl.lit("unknown")),
                "enforced": pl.when(~broke.fill_null(value=False) & stopped).then(pl.lit(value=True)),
                "outcome": pl.when(broke).then(outcome).when(stopped).then(pl.lit("blocked")).otherwise(outcome),
            },
            attributes={"decisions": "decisions"},
        ),
        # Requests, actions, and rails that generate or route and judge nothing.
        Event(
            kind="policy.log",
            when=~judging,
            attributes={"rail_type": "rail_type", "decisions": "decisions", "llm_calls": "calls"},
        ),
    ),
)
