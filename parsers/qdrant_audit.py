"""Qdrant audit log: one JSON line per check of access, written before the request is served.

What to know of these lines: a line says that a call was let through or refused, and not how it went. `tracing_id` is
the first that was sent of x-request-id, x-tracing-id and traceparent, as it was sent. Times are UTC.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, path

TRACEPARENT = r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-"

tracing = pl.col("tracing_id")
trace = tracing.str.extract(TRACEPARENT, 1)
denied = pl.col("result").eq("denied")

FORMAT = Format(
    name="qdrant_audit",
    title="Qdrant audit log",
    layer="retrieval",
    reference="https://github.com/qdrant/qdrant/blob/master/lib/storage/src/audit.rs",
    export="`audit.enabled: true` in Qdrant's configuration writes ./storage/audit/audit.<day>.log.",
    limits="It has no query, no result, no duration; it tells who called which method on which collection.",
    recognise=Recognise(
        keys=(("timestamp",), ("method",), ("auth_type",)),
        where=((("result",), r"^(?:ok|denied)$"),),
    ),
    fields={
        name: path(name)
        for name in (
            *("timestamp", "method", "api", "auth_type", "subject", "remote", "collection", "tracing_id", "result"),
            "error",
        )
    },
    time="timestamp",
    time_kind="start",
    columns={
        "service": pl.lit("qdrant"),
        "name": "method",
        "user": "subject",
        "index_name": "collection",
        "parent_id": tracing.str.extract(TRACEPARENT, 2),
        "outcome": pl.when(denied).then(pl.lit("blocked")),
        "error_type": pl.when(denied).then(pl.lit("denied")),
    },
    ids=(Id("trace_id", trace), Id("request_id", pl.when(trace.is_null()).then(tracing))),
    attributes={
        "api": "api",
        "auth_type": "auth_type",
        "remote": "remote",
        "result": "result",
        "error": pl.col("error").str.slice(0, 240),
    },
    events=(Event("retrieval.access"),),
)
