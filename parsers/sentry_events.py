"""Sentry: the lines of an envelope (its head; error, feedback and transaction events), and events as JSON of the API.

What to know of these events: SDKs write ISO times in UTC and the API seconds since 1970. An error was reported, which
does not say that it was shown. One trace spans all of what a page or request did: it is shared by its events. A
feedback names the event that it is about. Events may come from a browser or a server: `platform` and `sdk` tell.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Ref, Time, Value, decode, encode, filled, path, whole

TAGS = ("request_id", "message_id", "conversation_id", "session_id", "tenant")


SHARED = ("platform", "sdk", "release", "environment", "server_name", "tags", "user")


def _spans(text: str) -> list[str]:
    """A transaction and the spans inside of it, which are written alike; any other event as it is."""
    if '"spans"' not in text:
        return [text]
    event = decode(text)
    if not isinstance(event, dict) or not isinstance(event.get("spans"), list):
        return [text]
    spans = event.pop("spans")
    shared = {key: event[key] for key in SHARED if key in event}
    items = [encode(event)]
    for one in spans:
        if isinstance(one, dict):
            times = {key: one.get(key) for key in ("start_timestamp", "timestamp")}
            trace = {key: one.get(key) for key in ("trace_id", "span_id", "parent_span_id", "op", "status", "data")}
            items.append(encode(shared | times | {"transaction": one.get("description"), "contexts": {"trace": trace}}))
    return items


def _tag(name: str) -> pl.Expr:
    """A tag: SDKs write an object, the API a list of pairs."""
    pair = pl.col("tags").str.extract(rf'\["{name}",\s*"([^"\\]+)"\]')
    return pl.coalesce(filled(name), pair)


browser = pl.col("platform").is_in(["javascript", "cocoa", "android"]) & ~pl.col("sdk").str.contains(
    r"node|bun|deno|cloudflare|serverless|lambda|nestjs"
).fill_null(value=False)
head = pl.col("sent_at").is_not_null() & pl.col("timestamp").is_null()
operation = pl.col("operation").fill_null("")
called = operation.str.contains(
    r"^gen_ai\.(?:chat|request|responses|generate|text_completion|completion)|^ai\.(?:chat|responses|messages|completions)"
)
embedded = operation.str.contains(r"^(?:gen_ai|ai)\.embeddings")
feedback = pl.col("feedback").is_not_null() | pl.col("about").is_not_null()
timed = pl.col("start").is_not_null()
error = ~(head | feedback | timed)
outcome = (
    pl.when(pl.col("status") == "ok")
    .then(pl.lit("ok"))
    .when(pl.col("status") == "cancelled")
    .then(pl.lit("cancelled"))
    .when(pl.col("status") == "deadline_exceeded")
    .then(pl.lit("timeout"))
    .when(pl.col("status").is_not_null() & ~pl.col("status").is_in(["unknown", "unknown_error"]))
    .then(pl.lit("error"))
)
step: dict[str, Value] = {
    "name": filled("transaction", "operation"),
    "span_id": "span",
    "parent_id": "parent",
    "outcome": outcome,
}
failed = pl.col("level").is_in(["error", "fatal"]) | pl.col("error_class").is_not_null()
told = filled("error_value", "message", "log_formatted", "log_message", "title").str.slice(0, 240)
said: dict[str, Value] = {
    "name": pl.coalesce(told, "transaction", "error_class", pl.lit("event")),
    "outcome": pl.when(failed).then(pl.lit("error")),
    "error_type": "error_class",
}

FORMAT = Format(
    name="sentry_events",
    title="Sentry events",
    layer="ui",
    reference="https://develop.sentry.dev/sdk/data-model/envelopes/",
    versions=("sentry-sdk 2.75.0",),
    verified=True,
    export="JSON of an event (issue page, or API projects/…/events/…/json/); or the envelopes that a relay forwards.",
    limits="What the SDK sampled and its filters let through; an error that nobody reported is not here.",
    recognise=Recognise(
        any_of=(
            (("timestamp",), ("sent_at",)),
            (("platform",), ("sdk",), ("trace", "public_key"), ("dsn",)),
        ),
        where=((("event_id",), r"^[0-9a-f]{32}$"),),
    ),
    reshape=_spans,
    fields={
        name: path(name)
        for name in (
            *("event_id", "sent_at", "platform", "level", "message", "title", "transaction", "release"),
            *("environment", "server_name", "tags", "received"),
        )
    }
    | {
        "timestamp": path("timestamp", verbatim=True),
        "start": path("start_timestamp", verbatim=True),
        "sdk": path("sdk", "name"),
        "head_trace": path("trace", "trace_id"),
        "head_release": path("trace", "release"),
        "head_environment": path("trace", "environment"),
        "head_transaction": path("trace", "transaction"),
        "trace": path("contexts", "trace", "trace_id"),
        "span": path("contexts", "trace", "span_id"),
        "parent": path("contexts", "trace", "parent_span_id"),
        "operation": path("contexts", "trace", "op"),
        "status": path("contexts", "trace", "status"),
        "asked_model": path("contexts", "trace", "data", "gen_ai.request.model"),
        "model": path("contexts", "trace", "data", "gen_ai.response.model"),
        "provider": path("contexts", "trace", "data", "gen_ai.system"),
        "provider_2": path("contexts", "trace", "data", "gen_ai.provider.name"),
        "response_id": path("contexts", "trace", "data", "gen_ai.response.id"),
        "asked": path("contexts", "trace", "data", "gen_ai.request.messages"),
        "asked_2": path("contexts", "trace", "data", "gen_ai.input.messages"),
        "answered": path("contexts", "trace", "data", "gen_ai.response.text"),
        "answered_2": path("contexts", "trace", "data", "gen_ai.output.messages"),
        "input_tokens": path("contexts", "trace", "data", "gen_ai.usage.input_tokens"),
        "output_tokens": path("contexts", "trace", "data", "gen_ai.usage.output_tokens"),
        "feedback": path("contexts", "feedback", "message"),
        "about": path("contexts", "feedback", "associated_event_id"),
        "widget": path("contexts", "feedback", "source"),
        "replay": path("contexts", "replay", "replay_id"),
        "error_class": path("exception", "values", -1, "type"),
        "error_value": path("exception", "values", -1, "value"),
        "handled": path("exception", "values", -1, "mechanism", "handled"),
        "log_message": path("logentry", "message"),
        "log_formatted": path("logentry", "formatted"),
        "logger": path("logger"),
        "user": path("user", "id"),
    }
    | {name: path("tags", name) for name in TAGS},
    time=Time(pl.coalesce("timestamp", "sent_at")),
    observed="received",
    columns={
        "service": filled("sdk", "platform").fill_null("sentry"),
        "user": "user",
        "session": _tag("session_id"),
        "tenant": _tag("tenant"),
        "client_version": filled("release", "head_release"),
    },
    ids=(
        Id("event_uuid", "event_id"),
        Id("trace_id", filled("trace", "head_trace")),
        Id("request_id", _tag("request_id")),
        Id("message_id", _tag("message_id")),
        Id("conversation", _tag("conversation_id"), role="group"),
        Id("replay", "replay", role="group"),
    ),
    attributes={"environment": filled("environment", "head_environment"), "level": "level"},
    events=(
        Event(
            kind="ui.feedback",
            when=feedback,
            columns={"name": pl.lit("feedback"), "feedback": "feedback", "input": "feedback"},
            refs=(Ref("event_uuid", "about", "about"),),
            attributes={"widget": "widget"},
        ),
        Event(
            kind="model.call",
            layer="model",
            when=timed & called,
            time=Time("start"),
            end=Time("timestamp"),
            time_kind="start",
            columns=step
            | {
                "requested_model": "asked_model",
                "served_model": "model",
                "provider": filled("provider", "provider_2"),
                "response_id": "response_id",
                "input": filled("asked", "asked_2"),
                "output": filled("answered", "answered_2"),
                "input_tokens": whole("input_tokens"),
                "output_tokens": whole("output_tokens"),
            },
            ids=(Id("response_id", "response_id"),),
            attributes={"operation": "operation"},
        ),
        Event(
            kind="retrieval.embed",
            layer="retrieval",
            when=timed & embedded,
            time=Time("start"),
            end=Time("timestamp"),
            time_kind="start",
            columns=step | {"embedding_model": filled("model", "asked_model")},
            attributes={"operation": "operation"},
        ),
        Event(
            kind=pl.when(operation.is_in(["pageload", "navigation"]))
            .then(pl.lit("ui.pageview"))
            .otherwise(pl.lit("ui.event")),
            when=timed & browser & ~called & ~embedded,
            time=Time("start"),
            end=Time("timestamp"),
            time_kind="start",
            columns=step,
            attributes={"operation": "operation", "status": "status"},
        ),
        Event(
            kind="app.step",
            layer="other",
            when=timed & ~browser & ~called & ~embedded,
            time=Time("start"),
            end=Time("timestamp"),
            time_kind="start",
            columns=step,
            attributes={"operation": "operation", "status": "status"},
        ),
        Event(
            kind="ui.event",
            when=error & browser,
            columns=said | {"parent_id": "span"},
            attributes={"handled": "handled", "logger": "logger"},
        ),
        Event(
            kind="app.log",
            layer="other",
            when=error & ~browser,
            columns=said | {"parent_id": "span"},
            attributes={"handled": "handled", "logger": "logger", "host": "server_name"},
        ),
        Event(
            kind="app.log",
            layer="other",
            when=head,
            columns={"name": filled("head_transaction").fill_null("envelope"), "service": pl.lit("sentry")},
        ),
    ),
)
