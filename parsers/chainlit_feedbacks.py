"""Chainlit: the `feedbacks` table of its data layer.

What to know of these rows: they have no time. `value` 0 is a thumb down, not a missing value. `forId` is the step
that was rated.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, filled, path

FORMAT = Format(
    name="chainlit_feedbacks",
    title="Chainlit feedbacks (data layer)",
    layer="ui",
    reference="https://docs.chainlit.io/data-layers/sqlalchemy",
    versions=("2.12.0",),
    verified=True,
    export="Export the `feedbacks` table of the data layer's database (SQLite, Postgres; CSV, JSON).",
    limits="No time; only the last rating of a message.",
    recognise=Recognise(keys=(("forId",), ("comment",)), where=((("value",), r"^[01](\.0)?$"),)),
    fields={
        "id": path("id"),
        "rated": path("forId"),
        "thread": path("threadId"),
        "value": path("value"),
        "comment": path("comment"),
    },
    columns={"name": pl.lit("feedback"), "service": pl.lit("chainlit"), "session": filled("thread")},
    ids=(Id("event_uuid", "id"), Id("message_id", "rated")),
    events=(
        Event(
            kind="ui.feedback",
            columns={
                "feedback": pl.when(pl.col("value").str.starts_with("1")).then(pl.lit("up")).otherwise(pl.lit("down")),
                "input": filled("comment"),
            },
        ),
    ),
)
