"""Amplitude: events as its export gives them, and as its libraries post them.

What to know of these events: in an export `client_event_time` is the device's clock, `event_time` the same less the
skew that Amplitude estimated, both UTC without saying so. `session_id` is a time (when the session began) and -1 where
an event stands outside of one. Names of events are the product's own and are told by their words.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Ref, Time, filled, path, whole, words

ANSWER = r"(?:answer|response|message|reply|completion|result)"
ASKED = r"(?:message|prompt|question|query|chat)"
KINDS = (
    (r"(?:page|screen)[_ ]?view", "ui.pageview"),
    (r"^(?:session_(?:start|end)$|\[amplitude\])", "ui.event"),
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


def _told(said: dict[str, pl.Expr], otherwise: pl.Expr | None = None) -> pl.Expr:
    """What is said of the kind that the words in an event's name tell; null of other kinds."""
    null = pl.lit(None, pl.String)
    found = null if otherwise is None else otherwise
    for pattern, kind in reversed(KINDS):
        found = pl.when(event.str.contains("(?i)" + pattern)).then(said.get(kind, null)).otherwise(found)
    return found


event = pl.col("event")
kind = _told({kind: pl.lit(kind) for _, kind in KINDS}, pl.lit("ui.event"))
blocked = pl.col("blocked").eq("true")
PROPERTIES = (
    *("request_id", "requestId", "message_id", "messageId", "trace_id", "traceId", "conversation_id"),
    *("conversationId", "thread_id", "model", "rating", "value", "sentiment", "reason", "comment"),
    *("original_message_id", "status", "citations", "chars", "blocked"),
)

FORMAT = Format(
    name="amplitude_events",
    title="Amplitude events",
    layer="ui",
    reference="https://amplitude.com/docs/apis/analytics/export",
    versions=("amplitude-analytics 1.3.0",),
    verified=True,
    export="Export API (/api/2/export: a zip of gzipped JSON lines), or the event export to S3 or GCS.",
    limits="An event says what the product chose to track; what was on the screen is not in it.",
    recognise=Recognise(
        keys=(("event_type",), ("event_properties",)),
        any_of=(
            (("user_id",), ("device_id",)),
            (("insert_id",), ("$insert_id",), ("amplitude_id",)),
            (("time",), ("event_time",), ("client_event_time",)),
        ),
    ),
    fields={
        name: path(name)
        for name in (
            *("event_time", "client_event_time", "time", "server_received_time", "client_upload_time"),
            *("user_id", "device_id", "session_id", "insert_id", "uuid", "library", "platform", "version_name"),
        )
    }
    | {"event": path("event_type"), "export_insert_id": path("$insert_id"), "app_version": path("app_version")}
    | {name: path("event_properties", name) for name in PROPERTIES},
    time=Time(filled("client_event_time", "event_time", "time")),
    observed="server_received_time",
    zone="UTC",
    # Each device has a clock of its own.
    clock=pl.lit("device:") + pl.col("device_id"),
    columns={
        "name": "event",
        "service": filled("library", "platform").fill_null("amplitude"),
        "user": filled("user_id", "device_id"),
        "session": pl.when(pl.col("session_id") != "-1").then("session_id"),
        "client_version": filled("version_name", "app_version"),
    },
    ids=(
        Id("event_uuid", "uuid"),
        Id("event_uuid", filled("insert_id", "export_insert_id")),
        Id("request_id", filled("request_id", "requestId")),
        Id("message_id", filled("message_id", "messageId")),
        Id("trace_id", filled("trace_id", "traceId")),
        Id("conversation", filled("conversation_id", "conversationId", "thread_id"), role="group"),
    ),
    attributes={
        "sent_at": "client_upload_time",
        "corrected_by_amplitude": pl.when(pl.col("client_event_time").is_not_null()).then("event_time"),
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
