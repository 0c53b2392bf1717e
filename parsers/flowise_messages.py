"""Flowise: the `chat_message` table, or its API: one row per message.

What to know of these rows: `createdDate` states no zone in the database (SQLite writes UTC, Postgres the server's
zone). Nothing names the question that an answer is to: only the chat and the order tell. JSON lies in text columns.
"""

import polars as pl

from strataline.format import Documents, Event, Format, Id, Recognise, filled, path, present, words

role = pl.col("role")

FORMAT = Format(
    name="flowise_messages",
    title="Flowise chat messages",
    layer="prompt",
    reference="https://docs.flowiseai.com/api-reference/chat-message",
    verified=False,
    export="GET /api/v1/chatmessage/{flow}, View Messages, Export; or the `chat_message` table.",
    limits="An answer does not name its question; calls, errors and verdicts behind it are not told.",
    recognise=Recognise(
        keys=(("chatflowid",), ("content",), ("createdDate",)), where=((("role",), r"^(userMessage|apiMessage)$"),)
    ),
    fields={
        "id": path("id"),
        "role": path("role"),
        "flow": path("chatflowid"),
        "chat": path("chatId"),
        "session": path("sessionId"),
        "run": path("executionId"),
        "created": path("createdDate"),
        "content": path("content"),
        "sources": path("sourceDocuments"),
        "tools": path("usedTools"),
        "kind": path("chatType"),
        "steps": path("agentReasoning"),
        "rating": path("feedback", "rating"),
        "comment": path("feedback", "content"),
    },
    columns={"name": "role", "service": pl.lit("flowise"), "session": filled("session", "chat")},
    ids=(Id("message_id", "id"), Id("run_id", filled("run"))),
    events=(
        Event(
            kind="prompt.received",
            when=role.eq("userMessage"),
            time="created",
            columns={"input": "content", "content_state": pl.lit("full")},
            attributes={"flow": "flow", "chat_type": "kind"},
        ),
        Event(
            kind="prompt.answered",
            when=role.eq("apiMessage"),
            time="created",
            columns={"output": "content", "content_state": pl.lit("full")},
            attributes={"flow": "flow", "chat_type": "kind"},
        ),
        Event(
            kind="retrieval.query",
            layer="retrieval",
            when=pl.col("sources").str.contains("{", literal=True),
            columns={"name": pl.lit("sourceDocuments")},
            documents=Documents("sources", id=("metadata", "source"), text=("pageContent",)),
        ),
        Event(
            kind="app.step",
            layer="other",
            each="tools",
            fields={
                "tool": path("tool"),
                "given": path("toolInput"),
                "got": path("toolOutput"),
                "failed": path("error"),
            },
            columns={
                "name": "tool",
                "input": filled("given"),
                "output": filled("got"),
                "outcome": pl.when(filled("failed").is_not_null()).then(pl.lit("error")),
            },
        ),
        Event(
            kind="app.step",
            layer="other",
            each="steps",
            fields={"agent": path("agentName"), "got": path("messages"), "instructions": path("instructions")},
            columns={"name": "agent", "input": filled("instructions"), "output": filled("got")},
        ),
        Event(
            kind="ui.feedback",
            layer="ui",
            when=present("rating"),
            columns={
                "name": pl.lit("feedback"),
                "feedback": words("rating", {"thumbs_up": "up", "thumbs_down": "down"}),
                "input": filled("comment"),
            },
        ),
    ),
)
