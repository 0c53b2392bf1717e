"""Sentry: the line of an envelope that says what the next line is. It has no time and no id of its own.

What to know of these lines: `length` counts bytes of the payload below; items whose payload is no JSON (attachments,
replays) follow as they are.
"""

import polars as pl

from strataline.format import Event, Format, Recognise, path

FORMAT = Format(
    name="sentry_item",
    title="Sentry envelope items",
    layer="other",
    reference="https://develop.sentry.dev/sdk/data-model/envelopes/",
    versions=("sentry-sdk 2.75.0",),
    verified=True,
    export="As sentry_events: a line of the same envelope.",
    limits="Frames what follows, and says nothing of its own.",
    recognise=Recognise(
        keys=(("type",), ("length",)),
        where=(
            (
                ("type",),
                r"^(?:event|transaction|sessions?|attachment|user_report|feedback|client_report|profile|profile_chunk|replay_event|replay_recording|replay_video|check_in|log|span|statsd|raw_security)$",
            ),
        ),
    ),
    fields={name: path(name) for name in ("type", "length", "content_type")},
    columns={"service": pl.lit("sentry")},
    events=(
        Event(
            kind="app.log",
            columns={"name": "type"},
            attributes={"length": "length", "content_type": "content_type"},
        ),
    ),
)
