"""ChatGPT data export: `conversations.json`, one object per conversation, its messages a tree.

What to know of these files: a message's `create_time` is null where it was never shown (system, hidden context); no
time is borrowed. Siblings are answers made anew or questions edited; `current_node` ends the branch that was last on
screen. `metadata.request_id` is the edge's id of the exchange. An answer is tied to its question by `turn_id`: the id
of the user's message above it.
"""

from typing import Any

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Ref, Time, Value, decode, encode, filled, path, truth, words

ANSWERS = ("text", "multimodal_text")


def _text(content: dict[str, Any]) -> str | None:
    """What a message says: its parts, or the one text that its kind of content has."""
    parts = content.get("parts")
    if not isinstance(parts, list):
        found = content.get("text", content.get("result", content.get("content")))
        return found if isinstance(found, str) else None
    texts = [part if isinstance(part, str) else _part(part) for part in parts]
    return "\n".join(text for text in texts if text)


def _part(part: Any) -> str:
    if not isinstance(part, dict):
        return ""
    text = part.get("text")
    return text if isinstance(text, str) else f"[{part.get('content_type', 'attachment')}]"


def _walk(nodes: dict[str, dict[str, Any]]) -> list[str]:
    """The ids of all nodes, parents before children, siblings in their order."""
    order: dict[str, None] = {}
    roots = [name for name, node in nodes.items() if str(node.get("parent")) not in nodes]
    # What no root leads to (a damaged tree) comes last.
    for start in (*roots, *nodes):
        stack = [start]
        while stack:
            name = stack.pop()
            if name in order or name not in nodes:
                continue
            order[name] = None
            children = nodes[name].get("children")
            stack += [one for one in reversed(children) if isinstance(one, str)] if isinstance(children, list) else []
    return list(order)


def _messages(text: str) -> list[str]:
    """The messages of a conversation in tree order, then what a moderation said of it."""
    chat = decode(text)
    mapping = chat.get("mapping") if isinstance(chat, dict) else None
    if not isinstance(mapping, dict):
        return []
    nodes = {name: node for name, node in mapping.items() if isinstance(node, dict)}
    shown: set[str] = set()
    above = chat.get("current_node")
    while isinstance(above, str) and above in nodes and above not in shown:
        shown.add(above)
        above = nodes[above].get("parent")
    shared = {"conversation": chat.get("conversation_id") or chat.get("id"), "asked": chat.get("default_model_slug")}
    turns: dict[str, Any] = {}
    said: dict[tuple[str, str], Any] = {}
    items = []
    for name in _walk(nodes):
        node, message = nodes[name], nodes[name].get("message")
        parent = str(node.get("parent"))
        turns[name] = turns.get(parent)
        if not isinstance(message, dict):
            continue
        author, content, meta = (
            one if isinstance(one, dict) else {}
            for one in (message.get("author"), message.get("content"), message.get("metadata"))
        )
        role, hidden = str(author.get("role")), bool(meta.get("is_visually_hidden_from_conversation"))
        if role == "user" and not hidden:
            turns[name] = message.get("id", name)
        item = {
            **shared,
            "id": message.get("id", name),
            "turn": turns[name],
            "parent": parent if parent in nodes and nodes[parent].get("message") else None,
            "before": said.get((parent, role)),
            "role": role,
            "tool": author.get("name"),
            "hidden": hidden or message.get("weight") == 0,
            "current": name in shown,
            "created": message.get("create_time"),
            "content_type": content.get("content_type"),
            "text": _text(content),
            "status": message.get("status"),
            "recipient": message.get("recipient"),
            "meta": meta,
        }
        said[(parent, role)] = item["id"]
        items.append(encode(item))
    verdicts = chat.get("moderation_results")
    told = [one for one in verdicts if isinstance(one, dict)] if isinstance(verdicts, list) else []
    return items + [encode({**shared, "role": "moderation", "moderation": one}) for one in told]


role = pl.col("role")
hidden = truth("hidden").fill_null(value=False)
asked = role.eq("user") & ~hidden
answered = (role.eq("assistant") & ~hidden & pl.col("recipient").fill_null("all").eq("all")) & pl.col(
    "content_type"
).is_in(ANSWERS)
worked = (role.eq("tool") | role.eq("assistant")) & ~answered & ~hidden
about: dict[str, Value] = {
    "branch": pl.when(truth("current")).then(pl.lit("current")).otherwise(pl.lit("other")),
    "content_type": "content_type",
    "status": "status",
}

FORMAT = Format(
    name="chatgpt_export",
    title="ChatGPT data export (conversations.json)",
    layer="prompt",
    reference="https://help.openai.com/en/articles/7260999-how-do-i-export-my-chatgpt-history-and-data",
    verified=True,
    export="ChatGPT, Settings, Data controls, Export data; conversations.json in the ZIP.",
    limits="Calls, retrieval and filters behind an answer are not told; deleted and temporary chats are missing.",
    recognise=Recognise(keys=(("mapping",), ("current_node",), ("title",), ("create_time",))),
    reshape=_messages,
    fields={
        "conversation": path("conversation"),
        "asked_model": path("asked"),
        "id": path("id"),
        "turn": path("turn"),
        "parent": path("parent"),
        "before": path("before"),
        "role": path("role"),
        "tool": path("tool"),
        "hidden": path("hidden"),
        "current": path("current"),
        "created": path("created"),
        "content_type": path("content_type"),
        "text": path("text"),
        "status": path("status"),
        "recipient": path("recipient"),
        "request": path("meta", "request_id"),
        "exchange": path("meta", "turn_exchange_id"),
        "model": path("meta", "model_slug"),
        "finish": path("meta", "finish_details", "type"),
        "flagged": path("moderation", "flagged"),
        "blocked": path("moderation", "blocked"),
        "moderation_id": path("moderation", "moderation_id"),
    },
    time=Time("created", "s"),
    columns={"name": "role", "service": pl.lit("chatgpt"), "session": "conversation"},
    ids=(
        Id("message_id", "id"),
        Id("turn_id", "turn"),
        Id("request_id", filled("request")),
        Id("turn_id", filled("exchange")),
    ),
    refs=(Ref("message_id", "parent", "parent_message"),),
    events=(
        Event(
            kind="prompt.received",
            when=asked,
            columns={"input": "text", "content_state": pl.lit("full"), "requested_model": filled("asked_model")},
            refs=(Ref("message_id", "before", "edit_of"),),
            attributes=about,
        ),
        Event(
            kind="prompt.answered",
            when=answered,
            columns={
                "output": "text",
                "content_state": pl.lit("full"),
                "outcome": pl.when(pl.col("finish").eq("interrupted"))
                .then(pl.lit("cancelled"))
                .otherwise(words("status", {"finished_successfully": "ok"}, default="unknown")),
                "served_model": filled("model"),
                "finish_reason": filled("finish"),
            },
            refs=(Ref("message_id", "before", "regenerate_of"),),
            attributes=about,
        ),
        Event(
            kind="app.step",
            layer="other",
            when=worked,
            columns={
                "name": pl.coalesce(pl.when(role.eq("tool")).then(filled("tool")), filled("recipient", "role")),
                "input": pl.when(role.eq("assistant")).then(pl.col("text")),
                "output": pl.when(role.eq("tool")).then(pl.col("text")),
                "content_state": pl.lit("full"),
                "served_model": filled("model"),
            },
            attributes=about,
        ),
        Event(
            kind="prompt.message",
            when=hidden | role.eq("system"),
            columns={"input": filled("text")},
            attributes=about,
        ),
        Event(
            kind="policy.decision",
            layer="policy",
            when=role.eq("moderation"),
            ids=(Id("decision_id", filled("moderation_id")),),
            columns={
                "policy_name": pl.lit("conversation moderation"),
                "verdict": pl.when(truth("blocked"))
                .then(pl.lit("block"))
                .when(truth("flagged"))
                .then(pl.lit("flag"))
                .when(truth("flagged").not_() & truth("blocked").not_())
                .then(pl.lit("allow"))
                .otherwise(pl.lit("unknown")),
                "enforced": pl.when(truth("flagged") | truth("blocked")).then(truth("blocked")),
            },
        ),
    ),
)
