"""ChatGPT web: messages as its page receives them in the event stream (a capture of a browser).

What to know of these records: only those that open a message are read; what follows are patches of its text. A
message begins empty and `in_progress`. `metadata.request_id` is the edge's id of the exchange. System and hidden
messages have no time.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Ref, Time, filled, path, truth, words

MESSAGE = ("v", "message")
role = pl.col("role")
hidden = truth("hidden").fill_null(value=False) | role.eq("system")
shown = role.eq("assistant") & pl.col("recipient").eq("all") & pl.col("status").eq("finished_successfully")

FORMAT = Format(
    name="chatgpt_web_stream",
    title="ChatGPT web stream (browser capture)",
    layer="ui",
    reference="https://help.openai.com/en/articles/7260999-how-do-i-export-my-chatgpt-history-and-data",
    verified=True,
    export="Record the page with the browser's network tools, and save the event stream of the conversation.",
    limits="Text that comes in patches is not put together; nothing of the calls behind it.",
    recognise=Recognise(
        keys=((*MESSAGE, "author", "role"), (*MESSAGE, "content", "content_type"), ("v", "conversation_id"))
    ),
    fields={
        "conversation": path("v", "conversation_id"),
        "failure": path("v", "error"),
        "id": path(*MESSAGE, "id"),
        "role": path(*MESSAGE, "author", "role"),
        "created": path(*MESSAGE, "create_time"),
        "text": path(*MESSAGE, "content", "parts", 0),
        "content_type": path(*MESSAGE, "content", "content_type"),
        "status": path(*MESSAGE, "status"),
        "recipient": path(*MESSAGE, "recipient"),
        "hidden": path(*MESSAGE, "metadata", "is_visually_hidden_from_conversation"),
        "request": path(*MESSAGE, "metadata", "request_id"),
        "exchange": path(*MESSAGE, "metadata", "turn_exchange_id"),
        "parent": path(*MESSAGE, "metadata", "parent_id"),
        "model": path(*MESSAGE, "metadata", "model_slug"),
    },
    time=Time("created", "s"),
    columns={"name": "role", "service": pl.lit("chatgpt-web"), "session": "conversation"},
    ids=(Id("message_id", "id"), Id("request_id", filled("request")), Id("turn_id", filled("exchange"))),
    refs=(Ref("message_id", "parent", "parent_message"),),
    events=(
        Event(
            kind="prompt.received",
            layer="prompt",
            when=role.eq("user") & ~hidden,
            # The first answer names this message as the one above it.
            ids=(Id("turn_id", "id"),),
            columns={"input": "text", "content_state": pl.lit("full")},
        ),
        Event(
            kind=pl.when(shown).then(pl.lit("ui.rendered")).otherwise(pl.lit("ui.event")),
            when=role.is_in(["assistant", "tool"]) & ~hidden,
            ids=(Id("turn_id", "parent"),),
            time_kind="start",
            columns={
                "name": pl.when(shown)
                .then(pl.lit("message"))
                .when(role.eq("tool") | (pl.col("recipient") != "all"))
                .then(pl.lit("tool"))
                .otherwise(pl.lit("message_started")),
                "output": filled("text"),
                "outcome": pl.when(filled("failure").is_not_null())
                .then(pl.lit("error"))
                .otherwise(words("status", {"finished_successfully": "ok"}, default="unknown")),
                "served_model": filled("model"),
            },
            attributes={"status": "status", "recipient": "recipient", "content_type": "content_type"},
        ),
        Event(
            kind="prompt.message",
            layer="prompt",
            when=hidden,
            columns={"input": filled("text")},
        ),
    ),
)
