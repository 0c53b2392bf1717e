"""Datadog RUM: browser and mobile events (view, action, resource, error, long_task, vital), and the SDK's telemetry.

What to know of these events: `date` is the device's clock, in milliseconds, and the start of what took a time;
durations are nanoseconds. A `view` is sent again with a growing `document_version`: the last one counts. Trace and span
ids are decimal; the trace id is the lower 64 bits. An `error` was caught, which does not say that it was shown.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, Time, filled, path, whole

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


def _told(said: dict[str, pl.Expr], otherwise: pl.Expr | None = None) -> pl.Expr:
    """What is said of the kind that the words in an event's name tell; null of other kinds."""
    null = pl.lit(None, pl.String)
    found = null if otherwise is None else otherwise
    for pattern, kind in reversed(KINDS):
        found = pl.when(event.str.contains("(?i)" + pattern)).then(said.get(kind, null)).otherwise(found)
    return found


event = pl.col("action_name")
kind, custom = pl.col("type"), pl.col("action_type") == "custom"
# A tap says what was tapped: a button "Error details" shows no error, a link "Show answer" no answer.
shown = {
    one: pl.when(custom).then(pl.lit(one)).otherwise(pl.lit("ui.event")) for one in ("ui.error_shown", "ui.rendered")
}
acted = _told({kind: pl.lit(kind) for _, kind in KINDS} | shown, pl.lit("ui.event"))
decimal = pl.col("trace").str.contains(r"^[0-9]{1,20}$")
fetched = pl.col("resource_type").is_in(["xhr", "fetch", "native"])
status = whole("status")
url = pl.col("url").str.replace(r"[?#].*$", "")
page = pl.when(pl.col("view_url") != "").then(pl.col("view_url").str.replace(r"[?#].*$", ""))

FORMAT = Format(
    name="datadog_rum",
    title="Datadog RUM events",
    layer="ui",
    reference="https://github.com/DataDog/rum-events-format",
    versions=("format_version 2",),
    verified=True,
    export="RUM search API (v2/rum/events/search), or the RUM explorer's export.",
    limits="Only what the SDK sampled, and no text that was shown.",
    recognise=Recognise(
        keys=(("_dd", "format_version"), ("application", "id"), ("session", "id"), ("date",)),
        where=((("type",), r"^(?:view|view_update|action|resource|error|long_task|vital|transition|telemetry)$"),),
    ),
    fields={
        "type": path("type"),
        "date": path("date"),
        "application": path("application", "id"),
        "session": path("session", "id"),
        "service": path("service"),
        "source": path("source"),
        "version": path("version"),
        "app_version": path("application", "version"),
        "user": path("usr", "id"),
        "anonymous": path("usr", "anonymous_id"),
        "org": path("usr", "org_id"),
        "account": path("account", "id"),
        "view": path("view", "id"),
        "view_url": path("view", "url"),
        "view_name": path("view", "name"),
        "spent": path("view", "time_spent"),
        "document_version": path("_dd", "document_version"),
        "action": path("action", "id"),
        "action_type": path("action", "type"),
        "action_name": path("action", "target", "name"),
        "loading": path("action", "loading_time"),
        "frustration": path("action", "frustration", "type"),
        "resource": path("resource", "id"),
        "resource_type": path("resource", "type"),
        "method": path("resource", "method"),
        "url": path("resource", "url"),
        "status": path("resource", "status_code"),
        "took": path("resource", "duration"),
        "trace": path("_dd", "trace_id"),
        "span": path("_dd", "span_id"),
        "error_id": path("error", "id"),
        "message": path("error", "message"),
        "error_class": path("error", "type"),
        "error_source": path("error", "source"),
        "handling": path("error", "handling"),
        "crash": path("error", "is_crash"),
        "error_status": path("error", "resource", "status_code"),
        "task_took": path("long_task", "duration"),
        "vital_name": path("vital", "name"),
        "vital_took": path("vital", "duration"),
        "transition": path("transition", "type"),
        "told": path("telemetry", "message"),
        "told_status": path("telemetry", "status"),
        "told_type": path("telemetry", "type"),
        "flags": path("feature_flags"),
        **{one: path("context", one) for one in ("request_id", "requestId", "message_id", "messageId")},
        **{one: path("context", one) for one in ("trace_id", "conversation_id", "conversationId", "rating")},
        **{one: path("context", one) for one in ("reason", "comment", "feedback")},
    },
    time=Time("date", "ms"),
    time_kind="start",
    # Each device has a clock of its own; sessions are the nearest to a device that is told.
    clock=pl.lit("device:") + filled("anonymous", "session"),
    columns={
        "service": pl.coalesce(filled("service"), "source").fill_null("datadog-rum"),
        "session": "session",
        "user": filled("user", "anonymous"),
        "tenant": filled("account", "org"),
        "client_version": filled("version", "app_version"),
    },
    ids=(
        Id("request_id", filled("request_id", "requestId")),
        Id("message_id", filled("message_id", "messageId")),
        Id("trace_id", "trace_id"),
        Id("conversation", filled("conversation_id", "conversationId"), role="group"),
        Id("view", "view", role="group"),
        Id("application", "application", role="group"),
    ),
    attributes={"page": page, "source": "source", "feature_flags": "flags"},
    events=(
        Event(
            kind=pl.when(kind == "view").then(pl.lit("ui.pageview")).otherwise(pl.lit("ui.event")),
            when=kind.is_in(["view", "view_update"]),
            duration=Duration("spent", "ns"),
            columns={"name": filled("view_name", "type")},
            attributes={"document_version": "document_version"},
        ),
        Event(
            kind=acted,
            when=kind == "action",
            duration=Duration("loading", "ns"),
            columns={
                "name": filled("action_name", "action_type"),
                "feedback": _told(
                    {
                        "ui.feedback": pl.when(event.str.contains(r"(?i)down|dislike|negative"))
                        .then(pl.lit("down"))
                        .when(
                            event.str.contains(r"(?i)(?:^|[_ .:/-])up(?:$|[_ .:/-])|thumbs?.?up|upvote|like|positive")
                        )
                        .then(pl.lit("up"))
                        .otherwise(filled("rating", "feedback", "action_name"))
                    }
                ),
                "outcome": _told({"ui.stopped": pl.lit("cancelled")}),
                "shown": pl.when(custom).then(
                    _told({"ui.rendered": pl.lit("answer"), "ui.error_shown": pl.lit("error")})
                ),
            },
            ids=(Id("event_uuid", "action"),),
            attributes={
                "action_type": "action_type",
                "frustration": pl.when(pl.col("frustration") != "[]").then("frustration"),
                "reason": "reason",
                "comment": "comment",
            },
        ),
        Event(
            kind="ui.network",
            when=kind == "resource",
            duration=Duration("took", "ns"),
            columns={
                "name": pl.concat_str("method", url, separator=" ", ignore_nulls=True),
                "http_status": pl.when(status > 0).then(status),
                # Status 0 is a failed call; of an image or script from elsewhere the browser tells none either.
                "outcome": pl.when(status >= 400)
                .then(pl.lit("error"))
                .when(status > 0)
                .then(pl.lit("ok"))
                .when((status == 0) & fetched)
                .then(pl.lit("error")),
            },
            ids=(
                Id("event_uuid", "resource"),
                Id("trace_id", pl.when(decimal).then("trace"), derive="hex_of_decimal"),
                Id("trace_id", pl.when(~decimal).then("trace")),
                Id("span_id", "span", role="span", derive="hex_of_decimal"),
            ),
            attributes={"resource_type": "resource_type"},
        ),
        Event(
            kind="ui.event",
            when=kind == "error",
            time_kind="write",
            columns={
                "name": pl.col("message").str.slice(0, 240),
                "outcome": pl.lit("error"),
                "error_type": filled("error_class", "error_source"),
                "http_status": pl.when(whole("error_status") > 0).then(whole("error_status")),
            },
            ids=(Id("event_uuid", "error_id"),),
            attributes={"error_source": "error_source", "handling": "handling", "crash": "crash"},
        ),
        Event(
            kind="ui.event",
            when=kind.is_in(["long_task", "vital", "transition"]),
            duration=Duration(pl.coalesce("task_took", "vital_took"), "ns"),
            columns={"name": pl.coalesce("vital_name", "transition", "type")},
        ),
        Event(
            kind="app.log",
            layer="other",
            when=kind == "telemetry",
            time_kind="write",
            columns={
                "name": filled("told", "told_type", "type"),
                "outcome": pl.when(pl.col("told_status") == "error").then(pl.lit("error")),
            },
        ),
    ),
)
