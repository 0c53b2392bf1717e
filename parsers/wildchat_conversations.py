"""WildChat and LMSYS-Chat: rows of these published collections, one conversation each, with moderation results.

What to know of these rows: only WildChat has times: of each answer, when the server had all of it. Moderation results
go with the messages by their place; they were added afterwards, over the stored texts, so nothing was ever blocked by
them. Where a row names no turns, `turn_id` is the conversation's id and the number of the turn.
"""

from typing import Any

import polars as pl

from strataline.format import Event, Format, Id, Recognise, decode, encode, filled, number, path, truth


def _at(found: Any, place: int) -> Any:
    return found[place] if isinstance(found, list) and place < len(found) else None


def _messages(text: str) -> list[str]:
    """The messages of a conversation, each with what the moderations say of it."""
    row = decode(text)
    messages = row.get("conversation") if isinstance(row, dict) else None
    if isinstance(messages, str):
        try:
            messages = decode(messages)
        except ValueError:
            return []
    name = row.get("conversation_hash") or row.get("conversation_id") if isinstance(row, dict) else None
    items, turn = [], 0
    for place, message in enumerate(messages if isinstance(messages, list) else []):
        if not isinstance(message, dict):
            continue
        turn += message.get("role") == "user"
        verdict = _at(row.get("openai_moderation"), place)
        scores = verdict.get("category_scores") if isinstance(verdict, dict) else None
        found = verdict.get("categories") if isinstance(verdict, dict) else None
        categories = [key for key, value in found.items() if value is True] if isinstance(found, dict) else []
        toxicity = _at(row.get("detoxify_moderation"), place)
        numbers = [one for one in scores.values() if isinstance(one, float)] if isinstance(scores, dict) else []
        known = message.get("turn_identifier")
        items.append(
            encode(
                {
                    **message,
                    "conversation": name,
                    "model": row.get("model"),
                    "turn_id": f"{name}/{turn}" if known is None else known,
                    "place": place,
                    "moderated": isinstance(verdict, dict),
                    "flagged": verdict.get("flagged") if isinstance(verdict, dict) else None,
                    "categories": " ".join(categories),
                    "score": max(numbers, default=None),
                    "toxicity": toxicity.get("toxicity") if isinstance(toxicity, dict) else None,
                }
            )
        )
    return items


role = pl.col("role")
state = pl.when(truth("redacted")).then(pl.lit("redacted")).otherwise(pl.lit("full"))
about = {"language": "language", "country": "country", "toxic": "toxic"}

FORMAT = Format(
    name="wildchat_conversations",
    title="WildChat and LMSYS-Chat conversations",
    layer="prompt",
    reference="https://huggingface.co/datasets/allenai/WildChat-1M",
    verified=False,
    export="Download the Parquet files of the data set (gated), or export rows as JSON.",
    limits="No calls, no errors, no retrieval; verdicts are of a later moderation, not of the running product.",
    recognise=Recognise(
        keys=(("conversation",), ("model",), ("openai_moderation",), ("turn",), ("redacted",)),
        any_of=((("conversation_hash",), ("conversation_id",)),),
    ),
    reshape=_messages,
    fields={
        "conversation": path("conversation"),
        "model": path("model"),
        "turn": path("turn_id"),
        "place": path("place"),
        "role": path("role"),
        "text": path("content"),
        "stamp": path("timestamp"),
        "user": path("hashed_ip"),
        "language": path("language"),
        "country": path("country"),
        "toxic": path("toxic"),
        "redacted": path("redacted"),
        "moderated": path("moderated"),
        "flagged": path("flagged"),
        "categories": path("categories"),
        "score": path("score"),
        "toxicity": path("toxicity"),
    },
    zone="UTC",
    columns={"name": "role", "service": pl.lit("chat"), "session": "conversation", "user": filled("user")},
    ids=(Id("turn_id", "turn"),),
    events=(
        Event(
            kind="prompt.received",
            when=role.eq("user"),
            time="stamp",
            columns={"input": "text", "content_state": state},
            attributes=about,
        ),
        Event(
            kind="prompt.answered",
            when=role.eq("assistant"),
            time="stamp",
            time_kind="end",
            columns={"output": "text", "content_state": state, "served_model": "model"},
            attributes=about,
        ),
        Event(
            kind="policy.decision",
            layer="policy",
            when=truth("moderated"),
            columns={
                "name": pl.lit("openai_moderation"),
                "policy_name": pl.lit("OpenAI moderation"),
                "policy_stage": pl.when(role.eq("user")).then(pl.lit("input")).otherwise(pl.lit("output")),
                "policy_mode": pl.lit("monitor"),
                "verdict": pl.when(truth("flagged"))
                .then(pl.lit("flag"))
                .when(truth("flagged").not_())
                .then(pl.lit("allow"))
                .otherwise(pl.lit("unknown")),
                "enforced": pl.when(truth("flagged")).then(pl.lit(value=False)),
                "score": number("score"),
            },
            attributes={"categories": filled("categories"), "toxicity": "toxicity", "message": "place"},
        ),
        Event(
            kind="prompt.message",
            when=~role.is_in(["user", "assistant"]) | role.is_null(),
            columns={"input": "text"},
        ),
    ),
)
