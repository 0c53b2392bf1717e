"""ChatGPT data export: `message_feedback.json`, one object per thumb.

What to know of these records: older exports name the conversation alone, not the message; then a thumb can be tied to
no turn.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, filled, inside, path

FORMAT = Format(
    name="chatgpt_feedback",
    title="ChatGPT data export (message_feedback.json)",
    layer="ui",
    reference="https://help.openai.com/en/articles/7260999-how-do-i-export-my-chatgpt-history-and-data",
    verified=False,
    export="ChatGPT, Settings, Data controls, Export data; message_feedback.json in the ZIP.",
    limits="Which version of an answer was rated is told by its message id alone, where there is one.",
    recognise=Recognise(keys=(("conversation_id",), ("user_id",)), where=((("rating",), r"^(?i:thumbs_?(up|down))$"),)),
    fields={
        "id": path("id"),
        "message": path("message_id"),
        "conversation": path("conversation_id"),
        "user": path("user_id"),
        "rating": path("rating"),
        "content": path("content"),
        "tags": inside(path("content"), "tags"),
        "comment": inside(path("content"), "text"),
        "created": path("create_time"),
    },
    time="created",
    columns={"name": pl.lit("rating"), "service": pl.lit("chatgpt"), "session": "conversation", "user": "user"},
    ids=(Id("event_uuid", filled("id")), Id("message_id", filled("message"))),
    events=(
        Event(
            kind="ui.feedback",
            columns={
                "feedback": pl.when(pl.col("rating").str.to_lowercase().str.ends_with("up"))
                .then(pl.lit("up"))
                .otherwise(pl.lit("down")),
                "input": pl.when(pl.col("content").str.starts_with("{"))
                .then(filled("comment"))
                .otherwise(filled("content")),
            },
            attributes={"tags": "tags"},
        ),
    ),
)
