"""Segment (and RudderStack, which writes the same): messages of the tracking API, as sent or as delivered.

What to know of these messages: `originalTimestamp` is the device's clock and `timestamp` the same less the skew that
Segment estimated; a library's own body carries `timestamp` alone. Bodies hold a `batch`, deliveries one message.
Names of events are the product's own and are told by their words.
"""

import polars as pl

from strataline.format import (
    Event,
    Format,
    Id,
    Recognise,
    Ref,
    Segment,
    Time,
    decode,
    encode,
    filled,
    path,
    whole,
    words,
)

ANSWER = r"(?:answer|response|message|reply|completion|result)"
ASKED = r"(?:message|prompt|question|query|chat)"
KINDS = (
    (r"feedback|thumb|rating|(?:^|[_ .:/-])(?:rated|(?:dis)?like)|vote", "ui.feedback"),
    (rf"(?:issue|problem|abuse|{ANSWER}).*report|report.*(?:issue|problem|abuse|{ANSWER})", "ui.feedback"),
    (r"regenerat", "ui.regenerate"),
    (r"retr(?:y|ied)|resen[dt]", "ui.retry"),
    (r"error|fail", "ui.error_shown"),
    (r"stop|abort|cancel", "ui.stopped"),
    (r"cop(?:y|ied)", "ui.copied"),
    (r"citation|source[_ .:/-]+(?:click|open|view)", "ui.citation"),
    (
        rf"{ANSWER}.*(?:render|shown|display|finish|complet)|(?:render|show|display)(?:ed)?[_ .:/-]+{ANSWER}",
        "ui.rendered",
    ),
    (rf"{ASKED}.*(?:sent|send|submit|ask)|(?:sent|send|submit|ask)[\w .:/-]*[_ .:/-]{ASKED}", "ui.message_sent"),
)
"""Well-known words in event names and what they say; the first that is met counts."""

VERDICTS = {
    **dict.fromkeys(("up", "thumbs_up", "thumbsup", "positive", "like", "liked", "good", "helpful"), "up"),
    **dict.fromkeys(("down", "thumbs_down", "thumbsdown", "negative", "dislike", "disliked", "bad", "-1"), "down"),
}
"""A bare 1 is no word: it is the best of two and the worst of five."""


def _messages(text: str) -> list[str]:
    """The messages of a body; each takes over when the body was sent. A delivered message stays as it is."""
    if '"batch"' not in text:
        return [text]
    body = decode(text)
    if not isinstance(body, dict) or not isinstance(body.get("batch"), list):
        return [text]
    shared = {key: body[key] for key in ("sentAt", "receivedAt") if key in body}
    return [encode(shared | one) for one in body["batch"] if isinstance(one, dict)]


def _told(said: dict[str, pl.Expr], otherwise: pl.Expr | None = None) -> pl.Expr:
    """What is said of the kind that the words in an event's name tell; null of other kinds."""
    null = pl.lit(None, pl.String)
    found = null if otherwise is None else otherwise
    for pattern, kind in reversed(KINDS):
        found = pl.when(event.str.contains("(?i)" + pattern)).then(said.get(kind, null)).otherwise(found)
    return found


def _either(*names: str) -> tuple[tuple[Segment, ...], ...]:
    """The keys of a message, or of the first message of a body."""
    return (*((name,) for name in names), *(("batch", 0, name) for name in names))


event = pl.col("event")
page = pl.col("type").is_in(["page", "screen"])
kind = _told(
    {kind: pl.lit(kind) for _, kind in KINDS},
    pl.when(page).then(pl.lit("ui.pageview")).otherwise(pl.lit("ui.event")),
)
blocked = pl.col("blocked").eq("true")

FORMAT = Format(
    name="segment_events",
    title="Segment tracking messages",
    layer="ui",
    reference="https://segment.com/docs/connections/spec/common/",
    versions=("analytics-python 2.4.0",),
    verified=True,
    export="An AWS S3, Google Cloud Storage or data lake destination; or the body that a library posts to /v1/batch.",
    limits="A message says what the product chose to track; what was on the screen is not in it.",
    recognise=Recognise(
        any_of=(
            _either("messageId"),
            _either("type"),
            _either("context"),
            _either("userId", "anonymousId"),
            _either("integrations", "originalTimestamp", "sentAt"),
        )
    ),
    reshape=_messages,
    fields={
        name: path(name) for name in ("type", "event", "name", "timestamp", "originalTimestamp", "sentAt", "receivedAt")
    }
    | {name: path(name) for name in ("userId", "anonymousId", "groupId")}
    | {
        f"{name}": path("properties", name)
        for name in (
            *("request_id", "requestId", "message_id", "messageId", "trace_id", "traceId", "conversation_id"),
            *("conversationId", "thread_id", "session_id", "sessionId", "model", "rating", "value", "sentiment"),
            *("reason", "comment", "original_message_id", "status", "citations", "chars"),
        )
    }
    | {
        "uuid": path("messageId"),
        "blocked": path("properties", "blocked"),
        "page": path("context", "page", "path"),
        "library": path("context", "library", "name"),
        "app_version": path("context", "app", "version"),
    },
    time=Time(filled("originalTimestamp", "timestamp")),
    observed="receivedAt",
    # Each device has a clock of its own; messages of a server library name no device.
    clock=pl.lit("device:") + pl.col("anonymousId"),
    columns={
        "name": filled("event", "name", "type"),
        "service": pl.col("library").fill_null("segment"),
        "user": filled("userId", "anonymousId"),
        "tenant": "groupId",
        "session": filled("session_id", "sessionId"),
        "client_version": "app_version",
    },
    ids=(
        Id("event_uuid", "uuid"),
        Id("request_id", filled("request_id", "requestId")),
        Id("message_id", filled("message_id", "messageId")),
        Id("trace_id", filled("trace_id", "traceId")),
        Id("conversation", filled("conversation_id", "conversationId", "thread_id"), role="group"),
    ),
    attributes={
        "page": "page",
        "sent_at": "sentAt",
        "corrected_by_segment": pl.when(pl.col("originalTimestamp").is_not_null()).then("timestamp"),
    },
    events=(
        Event(
            kind=kind,
            columns={
                "outcome": _told(
                    {
                        "ui.error_shown": pl.lit("error"),
                        "ui.stopped": pl.lit("cancelled"),
                        "ui.rendered": pl.when(blocked).then(pl.lit("blocked")).otherwise(pl.lit("ok")),
                    }
                ),
                "shown": _told(
                    {
                        "ui.error_shown": pl.lit("error"),
                        "ui.rendered": pl.when(blocked).then(pl.lit("blocked notice")).otherwise(pl.lit("answer")),
                    }
                ),
                "feedback": _told(
                    {
                        "ui.feedback": pl.when(event.str.contains(r"(?i)down|dislike|negative"))
                        .then(pl.lit("down"))
                        .when(
                            event.str.contains(r"(?i)(?:^|[_ .:/-])up(?:$|[_ .:/-])|thumbs?.?up|upvote|like|positive")
                        )
                        .then(pl.lit("up"))
                        .otherwise(
                            pl.coalesce(
                                words("rating", VERDICTS),
                                words("value", VERDICTS),
                                words("sentiment", VERDICTS),
                                filled("rating", "sentiment", "value", "event"),
                            )
                        )
                    }
                ),
                "citations": whole("citations"),
                "input_chars": _told({"ui.message_sent": pl.col("chars")}),
                "output_chars": _told({"ui.rendered": pl.col("chars")}),
                "http_status": whole("status"),
                "served_model": "model",
            },
            refs=(Ref("message_id", "original_message_id", "regenerate_of"),),
            attributes={"reason": "reason", "comment": "comment"},
        ),
    ),
)
