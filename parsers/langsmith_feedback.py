"""LangSmith feedback: what users, annotators and evaluators said of a run.

What to know of these records: `feedback_source.type` is api (the product's own code: users' feedback as well as its
evaluators), app (a person in LangSmith) or model (a judge). Only feedback by `api` whose key speaks of a user is
taken for the user's word. `session_id` is the project. Naive times are UTC.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, filled, path, words

by_user = pl.col("source").fill_null("api").eq("api") & pl.col("key").str.contains(
    r"(?i)user|feedback|thumb|rating|like|csat|vote"
)
mark = words("score", {"1": "up", "1.0": "up", "true": "up", "0": "down", "0.0": "down", "false": "down", "-1": "down"})

FORMAT = Format(
    name="langsmith_feedback",
    title="LangSmith feedback",
    layer="ui",
    reference="https://docs.langchain.com/langsmith/feedback-data-format",
    export="`client.list_feedback()` of the LangSmith SDK, written as JSON lines.",
    limits="Whether feedback by `api` is a user's word or an evaluator's follows from its key alone.",
    recognise=Recognise(keys=(("run_id",), ("key",), ("score",), ("comment",), ("feedback_source",), ("created_at",))),
    fields={name: path(name) for name in ("id", "run_id", "trace_id", "key", "score", "value", "comment")}
    | {
        "created": path("created_at", verbatim=True),
        "project": path("session_id"),
        "source": path("feedback_source", "type"),
        "correction": path("correction"),
    },
    time="created",
    zone="UTC",
    columns={"service": pl.lit("langsmith"), "name": "key", "score": "score"},
    ids=(
        Id("event_uuid", "id"),
        Id("run_id", "run_id"),
        Id("trace_id", "trace_id"),
        Id("project", "project", role="group"),
    ),
    attributes={"source": "source", "value": "value", "correction": pl.col("correction").str.slice(0, 240)},
    events=(
        Event(
            kind="ui.feedback",
            when=by_user,
            columns={"feedback": pl.coalesce(mark, "value", "score"), "input": filled("comment")},
        ),
        # The word of a judge or an annotator: no part of the turn.
        Event(kind="app.step", layer="other", when=~by_user, columns={"output": filled("comment")}),
    ),
)
