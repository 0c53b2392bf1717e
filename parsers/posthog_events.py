"""PostHog: events of a browser (posthog-js) or a server library, as captured or as exported.

What to know of these events: `timestamp` is the browser's clock, `now` the collector's; names other than `$…` are
the product's own and are told by their words; in an export `properties` may be a JSON text; a batch may come late.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, filled, inside, path, whole

properties = path("properties")

ANSWER = r"(?:answer|response|message|reply|completion|result)"
ASKED = r"(?:message|prompt|question|query|chat)"
KINDS = (
    (r"^\$pageview$", "ui.pageview"),
    (r"^\$identify$", "ui.identify"),
    (r"^\$ai_feedback$", "ui.feedback"),
    (r"^\$", "ui.event"),
    (r"feedback|thumb|rating|\brated\b|_rated|vote|(?:^|_)(?:dis)?like", "ui.feedback"),
    (rf"(?:issue|problem|abuse|{ANSWER}).*report|report.*(?:issue|problem|abuse|{ANSWER})", "ui.feedback"),
    (r"regenerat", "ui.regenerate"),
    (r"retr(?:y|ied)|resen[dt]", "ui.retry"),
    (r"error|fail", "ui.error_shown"),
    (r"stop|abort|cancel", "ui.stopped"),
    (r"cop(?:y|ied)", "ui.copied"),
    (r"citation|source_(?:click|open|view)", "ui.citation"),
    (rf"{ANSWER}.*(?:render|shown|display|finish|complet)|(?:render|show|display)(?:ed)?_{ANSWER}", "ui.rendered"),
    (rf"{ASKED}.*(?:sent|send|submit|ask)|(?:sent|send|submit|ask)\w*_{ASKED}", "ui.message_sent"),
)
"""Well-known words in event names and what they say; the first that is met counts."""


def _kind() -> pl.Expr:
    found = pl.lit("ui.event")
    for pattern, kind in reversed(KINDS):
        found = pl.when(event.str.contains(pattern)).then(pl.lit(kind)).otherwise(found)
    return found


event = pl.col("event").str.to_lowercase().str.replace_all(r"[ .:/-]+", "_")
kind = _kind()
generation, embedding = event.eq("$ai_generation"), event.eq("$ai_embedding")
rendered, sent = kind.eq("ui.rendered"), kind.eq("ui.message_sent")
blocked = pl.col("blocked").eq("true")

FORMAT = Format(
    name="posthog_events",
    title="PostHog events",
    layer="ui",
    reference="https://posthog.com/docs/data/events",
    versions=("posthog-js 1.449.2", "posthog-python 7.91.1"),
    verified=True,
    recognise=Recognise(
        keys=(("uuid",), ("event",), ("properties",), ("timestamp",)), where=((("properties",), r'"\$lib"'),)
    ),
    fields={
        "uuid": path("uuid"),
        "event": path("event"),
        "timestamp": path("timestamp"),
        "received": path("now"),
        "sent_at": path("sent_at"),
        "distinct_id": path("distinct_id"),
        "known_user": inside(properties, "$user_id"),
        "browser_user": inside(properties, "distinct_id"),
        "device": inside(properties, "$device_id"),
        "session": inside(properties, "$session_id"),
        "ai_session": inside(properties, "$ai_session_id"),
        "conversation": inside(properties, "conversation_id"),
        "request_id": inside(properties, "request_id"),
        "request_id_2": inside(properties, "requestId"),
        "message_id": inside(properties, "message_id"),
        "message_id_2": inside(properties, "messageId"),
        "trace_id": inside(properties, "trace_id"),
        "ai_trace": inside(properties, "$ai_trace_id"),
        "ai_span": inside(properties, "$ai_span_id"),
        "ai_parent": inside(properties, "$ai_parent_id"),
        "library": inside(properties, "$lib"),
        "app_version": inside(properties, "$app_version"),
        "app_version_2": inside(properties, "app_version"),
        "page": inside(properties, "$pathname"),
        "zone": inside(properties, "$timezone"),
        "chars": inside(properties, "chars"),
        "blocked": inside(properties, "blocked"),
        "citations": inside(properties, "citations"),
        "citations_2": inside(properties, "citations_shown"),
        "status": inside(properties, "status"),
        "latency_ms": inside(properties, "latency_ms"),
        "reason": inside(properties, "reason"),
        "category": inside(properties, "category"),
        "comment": inside(properties, "comment"),
        "feedback_text": inside(properties, "$ai_feedback_text"),
        "rating": inside(properties, "rating"),
        "rank": inside(properties, "rank"),
        "document": inside(properties, "doc_id"),
        "model": inside(properties, "$ai_model"),
        "provider": inside(properties, "$ai_provider"),
        "asked": inside(properties, "$ai_input"),
        "answered": inside(properties, "$ai_output_choices"),
        "input_tokens": inside(properties, "$ai_input_tokens"),
        "output_tokens": inside(properties, "$ai_output_tokens"),
        "http_status": inside(properties, "$ai_http_status"),
        "metric": inside(properties, "$ai_metric_name"),
        "value": inside(properties, "$ai_metric_value"),
    },
    time="timestamp",
    observed="received",
    # Each browser has a clock of its own, and may be an hour off.
    clock=pl.lit("browser:") + pl.col("device"),
    columns={
        "name": "event",
        "service": "library",
        "session": filled("session", "ai_session"),
        "user": filled("known_user", "distinct_id", "browser_user"),
        "client_version": filled("app_version", "app_version_2"),
        "span_id": "ai_span",
        "parent_id": "ai_parent",
    },
    ids=(
        Id("event_uuid", "uuid"),
        Id("request_id", filled("request_id", "request_id_2")),
        Id("message_id", filled("message_id", "message_id_2")),
        Id("trace_id", "trace_id"),
        Id("trace_id", "ai_trace"),
        Id("session", "conversation", role="group"),
    ),
    attributes={"page": "page", "browser_zone": "zone"},
    events=(
        Event(
            kind="model.call",
            layer="model",
            when=generation,
            columns={
                "served_model": "model",
                "provider": "provider",
                "input": "asked",
                "output": "answered",
                "input_tokens": whole("input_tokens"),
                "output_tokens": whole("output_tokens"),
                "http_status": whole("http_status"),
                "outcome": pl.when(whole("http_status") >= 400).then(pl.lit("error")).otherwise(pl.lit("ok")),
            },
        ),
        Event(
            kind="retrieval.embed",
            layer="retrieval",
            when=embedding,
            columns={"embedding_model": "model", "input": "asked"},
        ),
        Event(
            kind=kind,
            when=~(generation | embedding),
            columns={
                "outcome": pl.when(kind.eq("ui.error_shown"))
                .then(pl.lit("error"))
                .when(kind.eq("ui.stopped"))
                .then(pl.lit("cancelled"))
                .when(rendered & blocked)
                .then(pl.lit("blocked"))
                .when(rendered)
                .then(pl.lit("ok")),
                "shown": pl.when(rendered)
                .then(pl.when(blocked).then(pl.lit("blocked notice")).otherwise(pl.lit("answer")))
                .when(kind.eq("ui.error_shown"))
                .then(pl.lit("error")),
                "feedback": pl.when(kind.eq("ui.feedback")).then(
                    pl.when(event.str.contains(r"down|dislike|negative"))
                    .then(pl.lit("down"))
                    .when(event.str.contains(r"(?:^|_)up(?:$|_)|thumbs?up|upvote|like|positive"))
                    .then(pl.lit("up"))
                    .otherwise(filled("rating", "category", "feedback_text", "event"))
                ),
                "citations": pl.coalesce(whole("citations"), whole("citations_2")),
                "input_chars": pl.when(sent).then(whole("chars")),
                "output_chars": pl.when(~sent).then(whole("chars")),
                "http_status": whole("status"),
            },
            attributes={
                "latency_ms": "latency_ms",
                "reason": "reason",
                "category": "category",
                "comment": filled("comment", "feedback_text"),
                "rank": "rank",
                "document": "document",
                "metric": "metric",
                "value": "value",
                "sent_at": "sent_at",
            },
        ),
    ),
)
