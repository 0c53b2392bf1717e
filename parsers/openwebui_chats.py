"""Open WebUI: chats, as its JSON export and the `chat` table of its database hold them, each a tree of messages.

What to know of these chats: message times are whole seconds of the browser's clock, when the message was begun. The
tree in `history` is the truth; the flat list beside it is stale and is not read. A failed answer is `done: false`
with an `error`, and the page may end on it. Message ids are made by the browser. An answer is tied to its question by
`turn_id`: the id of the user's message above it.
"""

from typing import Any

import polars as pl

from strataline.format import (
    Documents,
    Event,
    Format,
    Id,
    Recognise,
    Ref,
    Time,
    decode,
    encode,
    filled,
    path,
    present,
    truth,
    whole,
)


def _sources(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The sources of an answer: the id (or name) of each, and how far it was."""
    found = []
    sources = message.get("sources")
    for one in sources if isinstance(sources, list) else []:
        source = one.get("source") if isinstance(one, dict) else None
        if isinstance(source, dict):
            distances = one.get("distances")
            best = distances[0] if isinstance(distances, list) and distances else None
            found.append({"id": source.get("id") or source.get("name"), "score": best})
    return found


def _steps(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The tools that an answer called: a call and what it gave are one step."""
    found: dict[str, dict[str, Any]] = {}
    output = message.get("output")
    for one in output if isinstance(output, list) else []:
        kind = str(one.get("type")) if isinstance(one, dict) else ""
        if kind.endswith("_call"):
            call = str(one.get("call_id") or one.get("id"))
            found[call] = {"call": call, "name": one.get("name") or kind, "given": one.get("arguments")}
        elif kind.endswith("_call_output") and str(one.get("call_id")) in found:
            found[str(one.get("call_id"))]["got"] = one.get("output")
    return list(found.values())


def _walk(nodes: dict[str, dict[str, Any]]) -> list[str]:
    """The ids of all messages, parents before children; what no root leads to (a damaged tree) comes last."""
    below: dict[str, list[str]] = {}
    for name, node in nodes.items():
        below.setdefault(str(node.get("parentId")), []).append(name)
    roots = [name for name, node in nodes.items() if str(node.get("parentId")) not in nodes]
    order: dict[str, None] = {}
    for start in (*roots, *nodes):
        stack = [start]
        while stack:
            name = stack.pop()
            if name not in order:
                order[name] = None
                stack += reversed(below.get(name, []))
    return list(order)


def _messages(text: str) -> list[str]:
    """The messages of a chat, parents before children."""
    row = decode(text)
    if not isinstance(row, dict):
        return []
    chat = row.get("chat")
    if isinstance(chat, str):
        # A row of the database holds the chat as JSON text.
        try:
            chat = decode(chat)
        except ValueError:
            return []
    history = chat.get("history") if isinstance(chat, dict) else None
    messages = history.get("messages") if isinstance(history, dict) else None
    if not isinstance(chat, dict) or not isinstance(history, dict) or not isinstance(messages, dict):
        return []
    nodes = {name: node for name, node in messages.items() if isinstance(node, dict)}
    shown: set[str] = set()
    above = history.get("currentId")
    while isinstance(above, str) and above in nodes and above not in shown:
        shown.add(above)
        above = nodes[above].get("parentId")
    turns: dict[str, Any] = {}
    said: dict[tuple[str, str, str], Any] = {}
    items = []
    for name in _walk(nodes):
        message = nodes[name]
        parent, role = str(message.get("parentId")), str(message.get("role"))
        turns[name] = name if role == "user" else turns.get(parent)
        # Several models may answer one question side by side: only the same model answers anew.
        place = (parent, role, str(message.get("model")))
        kept = {
            key: value for key, value in message.items() if key not in ("childrenIds", "sources", "files", "output")
        }
        more = {
            "id": name,
            "conversation": row.get("id") or chat.get("id"),
            "user": row.get("user_id"),
            "turn": turns[name],
            "before": said.get(place),
            "current": name in shown,
            "documents": _sources(message),
            "steps": _steps(message),
        }
        items.append(encode({**kept, **more}))
        said[place] = name
    return items


BEGUN = Time("stamp", "s")
role = pl.col("role")
about = {"branch": pl.when(truth("current")).then(pl.lit("current")).otherwise(pl.lit("other"))}

FORMAT = Format(
    name="openwebui_chats",
    title="Open WebUI chats (export or database)",
    layer="prompt",
    reference="https://docs.openwebui.com/features/chat-features/",
    versions=("0.11.4",),
    verified=True,
    export="Open WebUI, Settings, Data Controls, Export Chats; or the `chat` table of webui.db.",
    limits="Whole seconds of the browser's clock; filters, retries and the calls behind an answer are not told.",
    recognise=Recognise(
        keys=(("user_id",), ("chat",), ("archived",), ("share_id",)), where=((("chat",), r'"history"\s*:'),)
    ),
    reshape=_messages,
    fields={
        "conversation": path("conversation"),
        "user": path("user"),
        "id": path("id"),
        "turn": path("turn"),
        "parent": path("parentId"),
        "before": path("before"),
        "current": path("current"),
        "role": path("role"),
        "stamp": path("timestamp"),
        "text": path("content"),
        "asked": path("models", 0),
        "model": path("model"),
        "done": path("done"),
        "error": path("error"),
        "error_text": path("error", "content"),
        "tokens_in": path("usage", "input_tokens"),
        "prompt_tokens": path("usage", "prompt_tokens"),
        "tokens_out": path("usage", "output_tokens"),
        "completion_tokens": path("usage", "completion_tokens"),
        "rating": path("annotation", "rating"),
        "reason": path("annotation", "reason"),
        "comment": path("annotation", "comment"),
        "documents": path("documents"),
        "steps": path("steps"),
    },
    time_kind="start",
    columns={"name": "role", "service": pl.lit("open-webui"), "session": "conversation", "user": "user"},
    ids=(Id("message_id", "id"), Id("turn_id", "turn")),
    events=(
        Event(
            kind="prompt.received",
            time=BEGUN,
            when=role.eq("user"),
            columns={"input": "text", "content_state": pl.lit("full"), "requested_model": filled("asked")},
            refs=(Ref("message_id", "parent", "parent_message"), Ref("message_id", "before", "edit_of")),
            attributes=about,
        ),
        Event(
            kind="prompt.answered",
            time=BEGUN,
            when=role.eq("assistant"),
            columns={
                "output": "text",
                "content_state": pl.lit("full"),
                "outcome": pl.when(present("error"))
                .then(pl.lit("error"))
                .when(truth("done"))
                .then(pl.lit("ok"))
                .otherwise(pl.lit("unknown")),
                "served_model": filled("model"),
                "input_tokens": pl.coalesce(whole("tokens_in"), whole("prompt_tokens")),
                "output_tokens": pl.coalesce(whole("tokens_out"), whole("completion_tokens")),
            },
            refs=(Ref("message_id", "parent", "parent_message"), Ref("message_id", "before", "regenerate_of")),
            documents=Documents("documents", id=("id",), score=("score",)),
            attributes=about | {"error": pl.coalesce("error_text", "error").str.slice(0, 240)},
        ),
        # What the tools took is not told: these have no time.
        Event(
            kind="app.step",
            layer="other",
            each="steps",
            fields={"call": path("call"), "step": path("name"), "given": path("given"), "got": path("got")},
            columns={"name": "step", "input": filled("given"), "output": filled("got")},
            attributes={"tool_call": "call"},
        ),
        Event(
            kind="ui.feedback",
            layer="ui",
            when=present("rating"),
            columns={
                "name": pl.lit("annotation"),
                "feedback": pl.when(whole("rating") > 0)
                .then(pl.lit("up"))
                .when(whole("rating") < 0)
                .then(pl.lit("down"))
                .otherwise(pl.col("rating")),
                "input": filled("comment"),
            },
            attributes={"reason": "reason"},
        ),
        Event(
            kind="prompt.message",
            time=BEGUN,
            when=~role.is_in(["user", "assistant"]) | role.is_null(),
            columns={"input": filled("text")},
        ),
    ),
)
