"""PostHog: events of a browser (posthog-js) or a server library, as captured or as exported.

What to know of these events: `timestamp` is the browser's clock, `now` the collector's; names other than `$…` are
the product's own and are told by their words; in an export `properties` may be a JSON text; a batch may come late.
`$ai_generation`, `$ai_embedding` and `$ai_span` are written when the call has ended, by whoever made it.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, Ref, filled, inside, path, truth, whole, words

properties = path("properties")

ANSWER = r"(?:answer|response|message|reply|completion|result)"
ASKED = r"(?:message|prompt|question|query|chat)"
KINDS = (
    (r"^\$pageview$", "ui.pageview"),
    (r"^\$identify$", "ui.identify"),
    (r"^(?:\$ai_feedback|survey[_ ]sent)$", "ui.feedback"),
    (r"^\$", "ui.event"),
    (r"feedback|thumb|rating|(?:\b|_)rated\b|vote|(?:^|[_ .:/-])(?:dis)?like", "ui.feedback"),
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
generation, embedding = event.eq("$ai_generation"), event.eq("$ai_embedding")
step = event.is_in(["$ai_span", "$ai_trace"])
failed = truth("is_error") | (whole("http_status") >= 400)
# Without a status or a flag an answer is what says that there was one.
answered = (whole("http_status") < 400) | truth("is_error").not_() | pl.col("answered").is_not_null()
ended = pl.when(failed).then(pl.lit("error")).when(answered).then(pl.lit("ok"))
took = Duration("latency", "s")
blocked = pl.col("blocked").eq("true")

FORMAT = Format(
    name="posthog_events",
    title="PostHog events",
    layer="ui",
    reference="https://posthog.com/docs/data/events",
    versions=("posthog-js 1.449.2", "posthog-python 7.91.1"),
    verified=True,
    export="Batch export (S3, BigQuery, …), or the query interface (`SELECT * FROM events`).",
    limits="An event says what the product chose to track; what was on the screen is not in it.",
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
        "latency": inside(properties, "$ai_latency"),
        "first_token": inside(properties, "$ai_time_to_first_token"),
        "is_error": inside(properties, "$ai_is_error"),
        "error": inside(properties, "$ai_error"),
        "cost": inside(properties, "$ai_total_cost_usd"),
        "stop_reason": inside(properties, "$ai_stop_reason"),
        "stream": inside(properties, "$ai_stream"),
        "temperature": inside(properties, "$ai_temperature"),
        "max_tokens": inside(properties, "$ai_max_tokens"),
        "span_name": inside(properties, "$ai_span_name"),
        "state_in": inside(properties, "$ai_input_state"),
        "state_out": inside(properties, "$ai_output_state"),
        "exception": inside(properties, "$exception_list", 0, "type"),
        "exception_2": inside(properties, "$exception_types", 0),
        "exception_text": inside(properties, "$exception_list", 0, "value"),
        "survey_answer": inside(properties, "$survey_response"),
        "original": inside(properties, "original_message_id"),
        "original_request": inside(properties, "original_request_id"),
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
            time_kind="end",
            duration=took,
            columns={
                "served_model": "model",
                "provider": "provider",
                "input": "asked",
                "output": "answered",
                "input_tokens": whole("input_tokens"),
                "output_tokens": whole("output_tokens"),
                "http_status": whole("http_status"),
                "outcome": ended,
                "cost_usd": pl.col("cost").cast(pl.Float64, strict=False),
                "finish_reason": "stop_reason",
                "stream": truth("stream"),
            },
            parameters={"temperature": "temperature", "max_tokens": "max_tokens"},
            attributes={"first_token_s": "first_token", "error": pl.col("error").str.slice(0, 240)},
        ),
        Event(
            kind="retrieval.embed",
            layer="retrieval",
            when=embedding,
            time_kind="end",
            duration=took,
            columns={"embedding_model": "model", "provider": "provider", "input": "asked"},
        ),
        Event(
            kind=kind,
            when=~(generation | embedding | step),
            columns={
                "outcome": pl.when(event.eq("$exception"))
                .then(pl.lit("error"))
                .otherwise(
                    _told(
                        {
                            "ui.error_shown": pl.lit("error"),
                            "ui.stopped": pl.lit("cancelled"),
                            "ui.rendered": pl.when(blocked).then(pl.lit("blocked")).otherwise(pl.lit("ok")),
                        }
                    )
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
                                filled("rating", "category", "feedback_text", "survey_answer", "event"),
                            )
                        )
                    }
                ),
                "citations": pl.coalesce(whole("citations"), whole("citations_2")),
                "input_chars": _told({"ui.message_sent": pl.col("chars")}),
                "output_chars": _told(
                    {kind: pl.col("chars") for _, kind in KINDS if kind != "ui.message_sent"}, pl.col("chars")
                ),
                "http_status": whole("status"),
                "error_type": filled("exception", "exception_2"),
            },
            refs=(
                Ref("message_id", "original", "regenerate_of"),
                Ref("request_id", "original_request", "regenerate_of"),
            ),
            attributes={
                "latency_ms": "latency_ms",
                "reason": "reason",
                "category": "category",
                "comment": filled("comment", "feedback_text", "survey_answer"),
                "exception": pl.col("exception_text").str.slice(0, 240),
                "rank": "rank",
                "document": "document",
                "metric": "metric",
                "value": "value",
                "sent_at": "sent_at",
            },
        ),
        Event(
            kind="app.step",
            layer="other",
            when=step,
            time_kind="end",
            duration=took,
            columns={
                "name": filled("span_name", "event"),
                "input": "state_in",
                "output": "state_out",
                "outcome": pl.when(truth("is_error")).then(pl.lit("error")),
            },
        ),
    ),
)
