"""Langfuse scores: what users, annotators and judges said of a trace, as its API and its blob export write them.

What to know of these rows: `source` is API (the product's own code: users' feedback as well as its evaluators),
EVAL (a judge) or ANNOTATION (a person in Langfuse). Only a score whose name speaks of feedback is taken for the
user's word. A boolean is written as 1 and 0, in version 3 of the API as true and false. Times of the export are
naive, in UTC.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Time, Value, filled, path, words

PAIRS = {
    "trace_id": "traceId", "observation_id": "observationId", "session_id": "sessionId", "data_type": "dataType",
    "string_value": "stringValue", "author_user_id": "authorUserId", "created_at": "createdAt",
}  # fmt: skip
"""Names in the export and in the API."""

subject = pl.col("subject_kind")
"""Version 3 of the API names what a score is of by kind and id."""


def _of(kind: str) -> pl.Expr:
    return pl.when(subject == kind).then(pl.col("subject"))


both = {old: pl.coalesce(old, new) for old, new in PAIRS.items()}
MARKS = {"1": "up", "1.0": "up", "true": "up", "0": "down", "0.0": "down", "false": "down"}
by_user = pl.col("source").eq("API") & pl.col("name").str.contains(r"(?i)feedback|thumb|rating|like|csat|vote")
said = (
    pl.when(both["data_type"] == "BOOLEAN")
    .then(words("value", MARKS, default="unknown"))
    .otherwise(pl.coalesce(both["string_value"], "value"))
)
shared: dict[str, Value] = {
    "service": pl.lit("langfuse"),
    "score": "value",
    "name": "name",
    "session": pl.coalesce(both["session_id"], _of("session")),
    "parent_id": pl.coalesce(both["observation_id"], _of("observation")),
}

FORMAT = Format(
    name="langfuse_scores",
    title="Langfuse scores",
    layer="ui",
    reference="https://langfuse.com/docs/api-and-data-platform/features/blob-storage-export-fields",
    export="GET /api/public/scores of Langfuse, or the folder scores/ of its blob export.",
    limits="Whether an API score is a user's word or an evaluator's follows from its name alone.",
    recognise=Recognise(
        keys=(("name",), ("value",)),
        any_of=(
            (("traceId",), ("trace_id",), ("subject",)),
            (("dataType",), ("data_type",)),
            (("timestamp",), ("createdAt",)),
        ),
        where=((("source",), r"^(?:API|EVAL|ANNOTATION)$"),),
    ),
    fields={name: path(name) for name in ("id", "name", "value", "source", "comment", "environment", "timestamp")}
    | {name: path(name) for pair in PAIRS.items() for name in pair}
    | {
        "subject": path("subject", "id"),
        "subject_kind": path("subject", "kind"),
        "subject_trace": path("subject", "traceId"),
    },
    time=Time(pl.coalesce("timestamp", both["created_at"])),
    zone="UTC",
    ids=(Id("event_uuid", "id"), Id("trace_id", pl.coalesce(both["trace_id"], _of("trace"), "subject_trace"))),
    columns=shared,
    attributes={
        "source": "source",
        "data_type": both["data_type"],
        "environment": "environment",
        "value": pl.coalesce(filled("string_value"), filled("stringValue"), "value"),
        "author": both["author_user_id"],
    },
    events=(
        Event(kind="ui.feedback", when=by_user, columns={"feedback": said, "input": filled("comment")}),
        # The word of a judge or an annotator: no part of the turn.
        Event(
            kind="app.step", layer="other", when=~by_user.fill_null(value=False), columns={"output": filled("comment")}
        ),
    ),
)
