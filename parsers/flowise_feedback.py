"""Flowise: the `chat_message_feedback` table: one row per rated message.

What to know of these rows: a message has one, which a later rating overwrites; `createdDate` is of the first and
states no zone in the database.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, filled, path, words

FORMAT = Format(
    name="flowise_feedback",
    title="Flowise feedback",
    layer="ui",
    reference="https://docs.flowiseai.com/api-reference/feedback",
    verified=False,
    export="GET /api/v1/feedback/{flow}, or the `chat_message_feedback` table.",
    limits="Only the last rating of a message; no user.",
    recognise=Recognise(
        keys=(("chatflowid",), ("chatId",), ("createdDate",)), where=((("rating",), r"^THUMBS_(UP|DOWN)$"),)
    ),
    fields={
        "id": path("id"),
        "flow": path("chatflowid"),
        "chat": path("chatId"),
        "message": path("messageId"),
        "rating": path("rating"),
        "comment": path("content"),
        "created": path("createdDate"),
    },
    time="created",
    columns={"name": pl.lit("feedback"), "service": pl.lit("flowise"), "session": "chat"},
    ids=(Id("event_uuid", "id"), Id("message_id", filled("message"))),
    events=(
        Event(
            kind="ui.feedback",
            columns={
                "feedback": words("rating", {"thumbs_up": "up", "thumbs_down": "down"}),
                "input": filled("comment"),
            },
            attributes={"flow": "flow"},
        ),
    ),
)
