"""Spans of OpenTelemetry in a browser: page loads, fetch and XHR, clicks.

What to know of these spans: the clock is the visitor's; a `fetch` span carries no answer text; ids are there only where
the page sets them (`session.id`), and the trace goes on in the server only where it accepts the `traceparent`.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, filled, path, whole

OWN = {
    "method": "http.method",
    "method_new": "http.request.method",
    "http_old": "http.status_code",
    "http_new": "http.response.status_code",
    "url": "http.url",
    "url_full": "url.full",
    "host": "server.address",
    "event_type": "event_type",
    "target": "target_element",
    "page": "location.href",
    "component": "component",
    "error_type": "error.type",
    "session": "session.id",
    "user": "user.id",
    "enduser": "enduser.id",
    "header": "http.request.header.x-request-id",
    "header_by_hand": "http.request.header.x_request_id",
    "request": "request_id",
    "message": "message_id",
}

http = pl.coalesce(whole("http_old"), whole("http_new"))
loads = (
    pl.col("name").str.contains(r"(?i)^(document(load|fetch)|navigation|routechange|page ?view)").fill_null(value=False)
)
calls = ~loads & pl.coalesce("method", "method_new", "url", "url_full").is_not_null() & pl.col("event_type").is_null()
error = pl.coalesce("error_type", "exception")
broke = (pl.col("status") == "error") | (http >= 400)
outcome = (
    pl.when(broke & error.str.contains(r"(?i)abort|cancel"))
    .then(pl.lit("cancelled"))
    .when(broke & error.str.contains(r"(?i)time(d ?)?out"))
    .then(pl.lit("timeout"))
    .when(broke)
    .then(pl.lit("error"))
    .when((pl.col("status") == "ok") | (http > 0))
    .then(pl.lit("ok"))
)

FORMAT = Format(
    name="span_browser",
    title="OpenTelemetry spans of a browser",
    layer="ui",
    reference="https://opentelemetry.io/docs/specs/semconv/resource/browser/",
    verified=False,
    export="The collector's file exporter, behind the OTLP endpoint that the page's web SDK posts to.",
    limits="It shows what the page asked for and when, not what it showed.",
    of="span",
    # Marks that every span has set the order of dialects: plain, transport, gen_ai, OpenInference, a vendor's own.
    recognise=Recognise(
        keys=(("trace_id",), ("span_id",), ("attributes",)),
        where=((("resource", "telemetry.sdk.language"), r"^webjs$"),),
    ),
    fields={
        name: path(name)
        for name in ("trace_id", "span_id", "parent_id", "name", "start", "end", "status", "service", "scope")
    }
    | {
        "span_kind": path("kind"),
        "status_text": path("status_message"),
        "exception": path("error", "type"),
        "version": path("resource", "service.version"),
        "resource_session": path("resource", "session.id"),
        "agent": path("resource", "browser.user_agent"),
        "platform": path("resource", "browser.platform"),
        "instance": path("resource", "service.instance.id"),
    }
    | {name: path("attributes", key) for name, key in OWN.items()},
    time="start",
    end="end",
    time_kind="start",
    # Every visitor has a clock of their own; without a session or an instance a trace is all that is surely one page.
    clock=pl.concat_str(pl.lit("browser:"), pl.coalesce("instance", "session", "resource_session", "trace_id")),
    columns={
        "name": "name",
        "service": "service",
        "span_id": "span_id",
        "parent_id": filled("parent_id"),
        "session": filled("session", "resource_session"),
        "user": pl.coalesce("user", "enduser"),
        "outcome": outcome,
        "error_type": error,
        "http_status": pl.when(http > 0).then(http),
        "client_version": "version",
    },
    ids=(
        Id("trace_id", "trace_id"),
        Id("request_id", "request"),
        Id("request_id", pl.coalesce("header_by_hand", pl.col("header").str.extract(r'^(?:\[\s*")?([^"\]]+)', 1))),
        Id("message_id", "message"),
    ),
    attributes={
        "scope": "scope",
        "component": "component",
        "method": pl.coalesce("method", "method_new"),
        # What follows `?` may hold what a user wrote.
        "url": pl.coalesce("url", "url_full", "page").str.replace(r"[?#].*$", ""),
        "host": "host",
        "target": "target",
        "span_kind": "span_kind",
        "browser": pl.coalesce("agent", "platform"),
        "error": pl.col("status_text").str.extract("^(.+)", 1).str.slice(0, 240),
    },
    events=(
        Event(kind="ui.pageview", when=loads),
        Event(kind="ui.network", when=calls),
        Event(kind="ui.event", when=~loads & ~calls),
    ),
)
