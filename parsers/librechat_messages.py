"""LibreChat: messages, as mongoexport or its API gives them, one object per message.

What to know of these records: `createdAt` is UTC, when the message was stored; mongoexport wraps it (`$date`). The
first message's parent is a UUID of zeros. `text` is empty where `content` holds the parts. An answer is tied to its
question by `turn_id`, the parent's id; answers made anew share it. Temporary chats are deleted by their time.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Ref, Time, filled, path, present, truth, whole

ROOT = "00000000-0000-0000-0000-000000000000"


def _texts(name: str) -> pl.Expr:
    """The texts of a JSON list of content parts, parted by empty lines."""
    quoted = pl.col(name).str.extract_all(r'"(?:text|value)":\s*"(?:[^"\\]|\\.)*"')
    bare = pl.element().str.replace(r'^"(?:text|value)":\s*"', "").str.strip_suffix('"')
    escapes = {r"\n": "\n", r"\t": "\t", r"\r": "\r", r"\"": '"', r"\/": "/", "\\\\": "\\"}
    joined = quoted.list.eval(bare).list.join("\n\n").str.replace_many(escapes)
    return pl.when(joined != "").then(joined)


mine = truth("mine")
failed, unfinished = truth("error"), truth("unfinished")
text = pl.coalesce(filled("text"), _texts("content"))
about = {"endpoint": filled("endpoint")}

FORMAT = Format(
    name="librechat_messages",
    title="LibreChat messages",
    layer="prompt",
    reference="https://github.com/danny-avila/LibreChat/blob/main/packages/data-schemas/src/schema/message.ts",
    verified=False,
    export="`mongoexport --db LibreChat --collection messages`, or GET /api/messages/{conversation}.",
    limits="Calls and tools behind an answer are not told; a rating has no time of its own.",
    recognise=Recognise(keys=(("messageId",), ("conversationId",), ("parentMessageId",), ("isCreatedByUser",))),
    fields={
        "id": path("messageId"),
        "conversation": path("conversationId"),
        "parent": path("parentMessageId"),
        "mine": path("isCreatedByUser"),
        "user": path("user"),
        "tenant": path("tenantId"),
        "sender": path("sender"),
        "endpoint": path("endpoint"),
        "model": path("model"),
        "text": path("text"),
        "content": path("content"),
        "unfinished": path("unfinished"),
        "error": path("error"),
        "finish": path("finish_reason"),
        "tokens": path("tokenCount"),
        "rating": path("feedback", "rating"),
        "tag": path("feedback", "tag", "key"),
        "tag_text": path("feedback", "tag"),
        "comment": path("feedback", "text"),
        "created": path("createdAt"),
        "created_bson": path("createdAt", "$date"),
        "created_canonical": path("createdAt", "$date", "$numberLong"),
    },
    columns={
        "name": filled("sender"),
        "service": pl.lit("librechat"),
        "session": "conversation",
        "user": filled("user"),
        "tenant": filled("tenant"),
    },
    ids=(Id("message_id", "id"), Id("turn_id", pl.when(mine).then(pl.col("id")).otherwise(pl.col("parent")))),
    events=(
        Event(
            kind="prompt.received",
            when=mine,
            time=Time(pl.coalesce("created_canonical", "created_bson", "created")),
            refs=(Ref("message_id", pl.when(pl.col("parent") != ROOT).then(pl.col("parent")), "parent_message"),),
            columns={"input": text, "content_state": pl.lit("full"), "requested_model": filled("model")},
            attributes=about,
        ),
        Event(
            kind="prompt.answered",
            when=mine.not_(),
            time=Time(pl.coalesce("created_canonical", "created_bson", "created")),
            refs=(Ref("message_id", pl.when(pl.col("parent") != ROOT).then(pl.col("parent")), "parent_message"),),
            columns={
                "output": text,
                "content_state": pl.lit("full"),
                "outcome": pl.when(failed)
                .then(pl.lit("error"))
                .when(unfinished)
                .then(pl.lit("cancelled"))
                .when(failed.not_())
                .then(pl.lit("ok"))
                .otherwise(pl.lit("unknown")),
                "served_model": filled("model"),
                "finish_reason": filled("finish"),
                "output_tokens": whole("tokens"),
            },
            attributes=about,
        ),
        Event(
            kind="ui.feedback",
            layer="ui",
            when=present("rating"),
            columns={
                "name": pl.lit("feedback"),
                "feedback": pl.col("rating").replace({"thumbsUp": "up", "thumbsDown": "down"}),
                "input": filled("comment"),
            },
            attributes={"tag": filled("tag", "tag_text")},
        ),
    ),
)
