"""Snowplow: enriched events as the pipeline writes them: 131 columns without a header, parted by tabs.

What to know of these events: all times are UTC and do not say so; `dvce_created_tstamp` is the device's clock,
`collector_tstamp` the collector's, `derived_tstamp` the device's less its estimated skew. What the product says of an
event is JSON in a cell (`unstruct_event`, `contexts`) after schemas of its own.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Ref, Time, decode, encode, filled, path, whole, words

ANSWER = r"(?:answer|response|message|reply|completion|result)"
ASKED = r"(?:message|prompt|question|query|chat)"
KINDS = (
    (r"^(?:page_view|screen_view)$", "ui.pageview"),
    (r"^(?:page_ping|link_click|application_error)$", "ui.event"),
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


COLUMNS = (
    {"app_id": "1", "platform": "2", "collector_tstamp": "4", "dvce_created_tstamp": "5", "event": "6", "event_id": "7"}
    | {"name_tracker": "9", "v_tracker": "10", "user_id": "13", "domain_userid": "16", "network_userid": "18"}
    | {
        "page_urlpath": "36",
        "contexts": "53",
        "se_category": "54",
        "se_action": "55",
        "se_label": "56",
        "se_property": "57",
    }
    | {
        "se_value": "58",
        "unstruct_event": "59",
        "dvce_sent_tstamp": "120",
        "domain_sessionid": "124",
        "derived_tstamp": "125",
    }
    | {"event_vendor": "126", "event_name": "127"}
)
"""Places of the columns, from 1; see the reference."""
SAID = (
    *("request_id", "requestId", "message_id", "messageId", "trace_id", "traceId", "conversation_id"),
    *("conversationId", "thread_id", "model", "rating", "value", "sentiment", "reason", "comment"),
    *("original_message_id", "status", "citations", "chars", "blocked"),
)


def _data(cell: object) -> list[object]:
    """The self-describing JSON in a cell: an event, or a list of contexts."""
    try:
        outer = decode(cell) if isinstance(cell, str) and cell[:1] == "{" else None
    except (ValueError, RecursionError):
        return []
    inner = outer.get("data") if isinstance(outer, dict) else None
    return inner if isinstance(inner, list) else [inner]


def _named(text: str) -> list[str]:
    """The columns that are read, by name, and `said`: what the product says of the event, whatever the schemas are."""
    row = decode(text)
    if not isinstance(row, dict):
        return []
    event = {name: row.get(place) for name, place in COLUMNS.items()}
    said: dict[str, object] = {}
    for one in (*_data(event.pop("contexts")), *_data(event.pop("unstruct_event"))):
        if isinstance(one, dict) and isinstance(one.get("data"), dict):
            said |= one["data"]
    return [encode(event | {"said": said})]


def _told(said: dict[str, pl.Expr], otherwise: pl.Expr | None = None) -> pl.Expr:
    """What is said of the kind that the words in an event's name tell; null of other kinds."""
    null = pl.lit(None, pl.String)
    found = null if otherwise is None else otherwise
    for pattern, kind in reversed(KINDS):
        found = pl.when(event.str.contains("(?i)" + pattern)).then(said.get(kind, null)).otherwise(found)
    return found


action = pl.when(pl.col("event") == "struct").then("se_action")
name = pl.coalesce(action, pl.when(pl.col("event_name") != "event").then("event_name"), "event")
event = name
kind = _told({kind: pl.lit(kind) for _, kind in KINDS}, pl.lit("ui.event"))
blocked = pl.col("blocked").eq("true")

FORMAT = Format(
    name="snowplow_enriched_tsv",
    title="Snowplow enriched events (TSV)",
    layer="ui",
    reference="https://docs.snowplow.io/docs/fundamentals/canonical-event/understanding-the-enriched-tsv-format/",
    verified=True,
    export="The enriched stream, or its archive on S3 or GCS (folder enriched/good), unpacked.",
    limits="An event says what the product chose to track; what was on the screen is not in it.",
    recognise=Recognise(
        keys=(("131",),),
        where=(
            (("4",), r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
            (("6",), r"^(?:page_view|page_ping|struct|unstruct|transaction|transaction_item|ad_impression)$"),
            (("7",), r"^[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}$"),
        ),
    ),
    reshape=_named,
    fields={one: path(one) for one in COLUMNS if one not in ("contexts", "unstruct_event")}
    | {one: path("said", one) for one in SAID},
    time=Time(filled("dvce_created_tstamp", "derived_tstamp", "collector_tstamp")),
    observed="collector_tstamp",
    zone="UTC",
    # Each browser has a clock of its own.
    clock=pl.lit("device:") + filled("domain_userid", "network_userid"),
    columns={
        "name": name,
        "service": filled("app_id", "name_tracker", "platform"),
        "user": filled("user_id", "domain_userid", "network_userid"),
        "session": "domain_sessionid",
    },
    ids=(
        Id("event_uuid", "event_id"),
        Id("request_id", filled("request_id", "requestId")),
        Id("message_id", filled("message_id", "messageId")),
        Id("trace_id", filled("trace_id", "traceId")),
        Id("conversation", filled("conversation_id", "conversationId", "thread_id"), role="group"),
    ),
    attributes={
        "page": "page_urlpath",
        "tracker": "v_tracker",
        "vendor": "event_vendor",
        "sent_at": "dvce_sent_tstamp",
        "corrected_by_snowplow": "derived_tstamp",
        "category": "se_category",
        "label": "se_label",
        "property": "se_property",
        "value": "se_value",
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
                                *(words(one, VERDICTS) for one in ("rating", "value", "sentiment", "se_label")),
                                words("se_property", VERDICTS),
                                filled("rating", "sentiment", "value", "se_label", "event_name"),
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
