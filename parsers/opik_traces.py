"""Opik (Comet): a trace with its spans, as `opik export` writes one per file, and the batches its SDK posts.

What to know of these records: a trace and its root span are two records of the same call. The SDK posts most of them
twice, when they start (no end, no output) and when they end: within one batch the two are put together, else the open
span says that it repeats the ended one. No type says that a span searched: it is told by its tag or name.
The request id and the user lie in the metadata of the trace, not of its spans. `downloaded_at` is naive and local.
"""

from typing import Any

import polars as pl

from strataline.format import Documents, Event, Format, Id, Recognise, Ref, decode, encode, filled, path, present, words

GUARD = {
    "true": "block", "false": "allow", "passed": "allow", "failed": "block", "allow": "allow", "block": "block",
    "flag": "flag", "redact": "redact",
}  # fmt: skip


def _items(text: str) -> list[str]:
    """The trace, then its spans, each with the trace's context; of a posted batch what it holds."""
    record = decode(text)
    if not isinstance(record, dict):
        return []
    body, single = record.get("body"), record.get("trace")
    posted = body if isinstance(body, dict) else record
    traces = _merged([single] if isinstance(single, dict) else _listed(posted, "traces"))
    spans = _merged(_listed(posted, "spans"))
    for one in traces:
        one |= {"is": "trace", "trace_id": one.get("id")}
    for one in spans:
        one["is"] = "span"
        if isinstance(single, dict):
            one |= {"thread_id": single.get("thread_id"), "trace_metadata": single.get("metadata")}
        elif one.get("end_time") is None:
            one["repeats"] = one.get("id")
    scores = [
        {
            **score,
            "is": "score",
            "trace_id": one.get("trace_id"),
            "id": None,
            "parent_span_id": one.get("id") if one["is"] == "span" else None,
        }
        for one in (*traces, *spans)
        for score in _listed(one, "feedback_scores")
    ]
    return [encode(item) for item in (*traces, *spans, *scores)]


def _merged(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One record per id: what a later copy says wins."""
    made: dict[str, dict[str, Any]] = {}
    for number, one in enumerate(listed):
        key = str(one.get("id", number))
        made[key] = {**made.get(key, {}), **{name: value for name, value in one.items() if value is not None}}
    return list(made.values())


def _listed(record: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = record.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


label = pl.concat_str("name", pl.col("tags").fill_null(""), separator=" ")
broke = present("error")
outcome = (
    pl.when(broke & pl.concat_str(pl.col("error_type").fill_null(""), "error").str.contains(r"(?i)time(d ?)?out"))
    .then(pl.lit("timeout"))
    .when(broke)
    .then(pl.lit("error"))
    .when(present("ended"))
    .then(pl.lit("ok"))
)
kind = (
    pl.when(pl.col("is") != "span")
    .then(pl.col("is"))
    .when(pl.col("type").is_in(["llm", "guardrail"]))
    .then(pl.col("type"))
    .when(label.str.contains("(?i)embed"))
    .then(pl.lit("embed"))
    .when(label.str.contains("(?i)retriev|vector.?search"))
    .then(pl.lit("search"))
    .otherwise(pl.lit("step"))
)
verdict = (
    pl.when(broke)
    .then(pl.lit("error"))
    .otherwise(pl.coalesce(*(words(name, GUARD, default="unknown") for name in ("blocked", "guard_result", "action"))))
    .fill_null("unknown")
)
asked = pl.coalesce("query", "q", "question", "input")
said = pl.coalesce("answer", "output")
by_user = pl.col("name").str.contains(r"(?i)feedback|thumb|rating|like|csat|vote")

FORMAT = Format(
    name="opik_traces",
    title="Opik traces and spans",
    layer="other",
    reference="https://www.comet.com/docs/opik/reference/rest-api/traces/get-traces-by-project",
    versions=("opik 2.2.122",),
    verified=True,
    export="`opik export WORKSPACE project NAME`, which writes one trace_<id>.json per trace.",
    limits="Whether a span searched follows from its tag or name, since Opik has no type for it.",
    recognise=Recognise(
        any_of=tuple(
            (first, *((*place, *key) for place in ((), ("body",)) for key in rest))
            for first, rest in (
                (("trace", "id"), (("traces", 0, "id"), ("spans", 0, "trace_id"))),
                (("trace", "start_time"), (("traces", 0, "start_time"), ("spans", 0, "start_time"))),
                (("downloaded_at",), (("traces", 0, "project_name"), ("spans", 0, "project_name"))),
            )
        )
    ),
    reshape=_items,
    fields={
        name: path(name)
        for name in (
            *("is", "id", "name", "type", "trace_id", "thread_id", "project_name", "repeats", "tags", "model"),
            *("provider", "input", "output", "source", "value", "reason", "created_at", "environment"),
        )
    }
    | {
        "started": path("start_time", verbatim=True),
        "ended": path("end_time", verbatim=True),
        "parent": path("parent_span_id"),
        "error": path("error_info", "message"),
        "error_type": path("error_info", "exception_type"),
        "request": path("metadata", "request_id"),
        "trace_request": path("trace_metadata", "request_id"),
        "user": path("metadata", "user_id"),
        "trace_user": path("trace_metadata", "user_id"),
        "index": path("metadata", "index"),
        "embedding_model": path("metadata", "embedding_model"),
        "query": path("input", "query"),
        "q": path("input", "q"),
        "question": path("input", "question"),
        "messages": path("input", "messages"),
        "answer": path("output", "output"),
        "documents": path("output", "documents"),
        "choice": path("output", "choices", 0, "message", "content"),
        "finish": path("output", "choices", 0, "finish_reason"),
        "out_model": path("output", "model"),
        "blocked": path("output", "blocked"),
        "guard_result": path("output", "guardrail_result"),
        "action": path("output", "action"),
        "tokens_in": path("usage", "prompt_tokens"),
        "tokens_out": path("usage", "completion_tokens"),
        "cost": path("total_estimated_cost"),
    },
    time="started",
    end="ended",
    time_kind="start",
    columns={
        "name": "name",
        "service": filled("project_name").fill_null("opik"),
        "span_id": pl.when(pl.col("is") == "span").then(pl.col("id")),
        "parent_id": filled("parent"),
        "session": filled("thread_id"),
        "user": pl.coalesce("user", "trace_user"),
        "outcome": outcome,
        "error_type": "error_type",
    },
    ids=(
        Id("trace_id", "trace_id"),
        Id("run_id", pl.when(pl.col("is") == "span").then(pl.col("id"))),
        Id("request_id", pl.coalesce("request", "trace_request")),
    ),
    refs=(Ref("run_id", "repeats", "repeats"),),
    attributes={
        "type": pl.coalesce("type", "is"),
        "tags": pl.when(pl.col("tags") != "[]").then(pl.col("tags")),
        "environment": "environment",
        "error": pl.col("error").str.slice(0, 240),
    },
    events=(
        Event(
            kind="model.call",
            layer="model",
            when=kind == "llm",
            columns={
                "input": pl.coalesce("messages", asked),
                "output": pl.coalesce("choice", said),
                "requested_model": "model",
                "served_model": "out_model",
                "provider": "provider",
                "finish_reason": "finish",
                "input_tokens": "tokens_in",
                "output_tokens": "tokens_out",
                "cost_usd": "cost",
            },
        ),
        Event(
            kind="retrieval.query",
            layer="retrieval",
            when=kind == "search",
            columns={"input": asked, "index_name": "index", "embedding_model": "embedding_model"},
            documents=Documents(
                pl.coalesce("documents", pl.when(pl.col("answer").str.starts_with("[")).then(pl.col("answer"))),
                id=("id",),
                score=("score",),
                text=("content",),
            ),
        ),
        Event(
            kind="retrieval.embed",
            layer="retrieval",
            when=kind == "embed",
            columns={"input": asked, "embedding_model": pl.coalesce("model", "embedding_model")},
        ),
        Event(
            kind="policy.decision",
            layer="policy",
            when=kind == "guardrail",
            columns={
                "input": asked,
                "output": "output",
                "policy_name": "name",
                "policy_stage": pl.col("name").str.to_lowercase().str.extract(r"(input|output|retrieval|tool)", 1),
                "verdict": verdict,
                "enforced": pl.when(pl.col("blocked") == "true").then(pl.lit(value=True)),
                "outcome": pl.when(verdict == "block").then(pl.lit("blocked")).otherwise(outcome),
            },
        ),
        Event(
            kind="ui.feedback",
            layer="ui",
            when=(kind == "score") & by_user,
            time="created_at",
            time_kind="write",
            columns={"feedback": "value", "score": "value", "input": "reason"},
            attributes={"source": "source"},
        ),
        # What a judge or an annotator said: no part of the turn.
        Event(
            kind="app.step",
            when=(kind == "score") & ~by_user,
            time="created_at",
            time_kind="write",
            columns={"score": "value", "output": "reason"},
            attributes={"source": "source"},
        ),
        # The trace itself and its other spans: a bridge between the layers of the product.
        Event(kind="app.step", when=kind.is_in(["trace", "step"]), columns={"input": asked, "output": said}),
    ),
)
