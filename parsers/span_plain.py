"""Spans of no dialect: name, times, status and place in the trace. They bridge the spans of the layers.

What to know of them: they tell nothing of a layer; but a request id or a session that lies on one ties its whole trace
to the other logs.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, filled, inside, path

HEADER = r'^(?:\[\s*")?([^"\]]+)'
"""An attribute of a header is a list by the convention, and a text where it was set by hand."""
OWN = {
    "error_type": "error.type",
    "session": "session.id",
    "conversation": "gen_ai.conversation.id",
    "user": "user.id",
    "enduser": "enduser.id",
    "request": "request_id",
    "request_dotted": "request.id",
    "langfuse_request": "langfuse.trace.metadata.request_id",
    "header": "http.request.header.x-request-id",
    "header_by_hand": "http.request.header.x_request_id",
    "input": "input.value",
    "output": "output.value",
}

error = pl.coalesce("error_type", "exception")
broke = pl.col("status") == "error"
outcome = (
    pl.when(broke & error.str.contains(r"(?i)cancel"))
    .then(pl.lit("cancelled"))
    .when(broke & error.str.contains(r"(?i)time(d ?)?out"))
    .then(pl.lit("timeout"))
    .when(broke)
    .then(pl.lit("error"))
    .when(pl.col("status") == "ok")
    .then(pl.lit("ok"))
)

FORMAT = Format(
    name="span_plain",
    title="Spans of no known dialect",
    layer="other",
    reference="https://opentelemetry.io/docs/specs/otel/trace/api/#span",
    verified=True,
    export="Any trace export: the collector's file exporter, an SDK's console or file exporter, or a trace backend.",
    limits="Its attributes follow no known convention, so it tells of no layer.",
    of="span",
    recognise=Recognise(keys=(("trace_id",), ("span_id",))),
    fields={
        name: path(name)
        for name in ("trace_id", "span_id", "parent_id", "name", "start", "end", "status", "service", "scope")
    }
    | {
        "span_kind": path("kind"),
        "status_text": path("status_message"),
        "exception": path("error", "type"),
        "meta_request": inside(path("attributes", "metadata"), "request_id"),
    }
    | {name: path("attributes", key) for name, key in OWN.items()},
    time="start",
    end="end",
    time_kind="start",
    columns={
        "name": "name",
        "service": "service",
        "span_id": "span_id",
        "parent_id": filled("parent_id"),
        "session": filled("session", "conversation"),
        "user": pl.coalesce("user", "enduser"),
        "outcome": outcome,
        "error_type": error,
        "input": "input",
        "output": "output",
    },
    ids=(
        Id("trace_id", "trace_id"),
        Id(
            "request_id",
            pl.coalesce("request", "request_dotted", "meta_request", pl.col("langfuse_request").str.strip_chars('"')),
        ),
        Id("request_id", pl.coalesce("header_by_hand", pl.col("header").str.extract(HEADER, 1))),
    ),
    attributes={
        "span_kind": "span_kind",
        "scope": "scope",
        "error": pl.col("status_text").str.extract("^(.+)", 1).str.slice(0, 240),
    },
    events=(Event(kind="app.step"),),
)
