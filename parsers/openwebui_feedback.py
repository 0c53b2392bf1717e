"""Open WebUI: ratings of answers, as the `feedback` table or its JSON export holds them.

What to know of these rows: a rating is of one message of a chat, both under `meta`; a later rating overwrites it
(`updated_at`). The time is whole seconds of the server. `snapshot` repeats the whole chat and is not read.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Time, filled, inside, path, whole

DATA, META = path("data"), path("meta")
rating = whole("rating")

FORMAT = Format(
    name="openwebui_feedback",
    title="Open WebUI feedback",
    layer="ui",
    reference="https://docs.openwebui.com/features/evaluation/",
    verified=False,
    export="Open WebUI, Admin, Evaluations, Feedbacks, Export; or the `feedback` table of webui.db.",
    limits="Only the last rating of a message; what the page showed is not told.",
    recognise=Recognise(
        keys=(("user_id",), ("type",), ("snapshot",)),
        where=((("data",), r'"rating"\s*:'), (("meta",), r'"message_id"\s*:')),
    ),
    fields={
        "id": path("id"),
        "user": path("user_id"),
        "type": path("type"),
        "updated": path("updated_at"),
        "rating": inside(DATA, "rating"),
        "reason": inside(DATA, "reason"),
        "comment": inside(DATA, "comment"),
        "model": inside(DATA, "model_id"),
        "chat": inside(META, "chat_id"),
        "message": inside(META, "message_id"),
        "arena": inside(META, "arena"),
    },
    time=Time("updated", "s"),
    columns={"service": pl.lit("open-webui"), "session": filled("chat"), "user": "user"},
    ids=(Id("event_uuid", "id"), Id("message_id", filled("message"))),
    events=(
        Event(
            kind="ui.feedback",
            columns={
                "name": "type",
                "feedback": pl.when(rating > 0)
                .then(pl.lit("up"))
                .when(rating < 0)
                .then(pl.lit("down"))
                .otherwise("rating"),
                "input": filled("comment"),
                "served_model": filled("model"),
            },
            attributes={"reason": filled("reason"), "arena": "arena"},
        ),
    ),
)
