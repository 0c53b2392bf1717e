"""Snowplow: enriched events as an analytics SDK or a loader turns them into JSON.

What to know of these events: `dvce_created_tstamp` is the device's clock, `collector_tstamp` the collector's, and
`derived_tstamp` the device's less its estimated skew. What the product says of an event lies under a key that is named
after its schema (`unstruct_event_…`), and in lists that are (`contexts_…`): the schemas are the product's own.
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


def _folded(text: str) -> list[str]:
    """The event with `said`: what the product says of it, whatever the schemas are called."""
    event = decode(text)
    if not isinstance(event, dict):
        return []
    said: dict[str, object] = {}
    for key, value in event.items():
        if key.startswith("contexts_") and isinstance(value, list):
            for one in value:
                said = (one | said) if isinstance(one, dict) else said
    for key, value in event.items():
        if key.startswith("unstruct_event_") and isinstance(value, dict):
            said |= value
    return [encode({key: value for key, value in event.items() if key in TAKEN} | {"said": said})]


def _told(said: dict[str, pl.Expr], otherwise: pl.Expr | None = None) -> pl.Expr:
    """What is said of the kind that the words in an event's name tell; null of other kinds."""
    null = pl.lit(None, pl.String)
    found = null if otherwise is None else otherwise
    for pattern, kind in reversed(KINDS):
        found = pl.when(event.str.contains("(?i)" + pattern)).then(said.get(kind, null)).otherwise(found)
    return found


TAKEN = (
    *("app_id", "platform", "event", "event_name", "event_id", "event_vendor", "v_tracker", "name_tracker", "user_id"),
    *("domain_userid", "network_userid", "domain_sessionid", "collector_tstamp", "dvce_created_tstamp", "page_urlpath"),
    *("dvce_sent_tstamp", "derived_tstamp", "se_category", "se_action", "se_label", "se_property", "se_value"),
)
SAID = (
    *("request_id", "requestId", "message_id", "messageId", "trace_id", "traceId", "conversation_id"),
    *("conversationId", "thread_id", "model", "rating", "value", "sentiment", "reason", "comment"),
    *("original_message_id", "status", "citations", "chars", "blocked"),
)

action = pl.when(pl.col("event") == "struct").then("se_action")
name = pl.coalesce(action, pl.when(pl.col("event_name") != "event").then("event_name"), "event")
event = name
kind = _told({kind: pl.lit(kind) for _, kind in KINDS}, pl.lit("ui.event"))
blocked = pl.col("blocked").eq("true")

FORMAT = Format(
    name="snowplow_enriched_json",
    title="Snowplow enriched events (JSON)",
    layer="ui",
    reference="https://docs.snowplow.io/docs/fundamentals/canonical-event/",
    versions=("snowplow_analytics_sdk 0.2.3",),
    verified=True,
    export="A loader's JSON (BigQuery, Elasticsearch, Snowbridge), or an analytics SDK over the enriched stream.",
    limits="An event says what the product chose to track; what was on the screen is not in it.",
    recognise=Recognise(
        keys=(("event_id",), ("collector_tstamp",), ("event",)),
        any_of=((("v_collector",), ("v_etl",), ("v_tracker",)), (("app_id",), ("platform",))),
    ),
    reshape=_folded,
    fields={one: path(one) for one in TAKEN} | {one: path("said", one) for one in SAID},
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
