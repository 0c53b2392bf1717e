"""Elasticsearch security audit log: one JSON line per granted or denied access, authentication, or change of a role.

What to know of these lines: one request of a client gives several lines, which share `request.id`; a granted access
tells nothing of how the request then went. Times carry the node's offset. `opaque_id` is the client's X-Opaque-Id: the
id of a request, or the name of an application, which is no id.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, filled, path

NUMBERS = r"\[[-+0-9.,eE\s]{64,}\]"

opaque = filled("opaque_id")
# A name of an application is short, or has no digit.
is_id = opaque.str.contains(r"^\S*[0-9]\S*$") & (opaque.str.len_chars() >= 12)
change = pl.col("type").eq("security_config_change")
refused = pl.col("action").str.contains(r"denied|failed|tampered")

FORMAT = Format(
    name="elasticsearch_audit",
    title="Elasticsearch audit log",
    layer="retrieval",
    reference="https://www.elastic.co/docs/reference/elasticsearch/elasticsearch-audit-events",
    versions=("8.0",),
    verified=True,
    export="`xpack.security.audit.enabled: true` writes `<cluster>_audit.json`.",
    limits="It tells who was let in, and not what was found or how long it took; bodies are in it only on request.",
    recognise=Recognise(
        keys=(("event.type",), ("event.action",), ("timestamp",)),
        where=((("type",), r"^audit$"), (("node.id",), r"^[\w-]{22}$")),
    ),
    fields={
        "time": path("timestamp"),
        "type": path("event.type"),
        "action": path("event.action"),
        "privilege": path("action"),
        "request": path("request.id"),
        "request_name": path("request.name"),
        "method": path("request.method"),
        "target": path("url.path"),
        "body": path("request.body"),
        "indices": path("indices"),
        "opaque_id": path("opaque_id"),
        "trace": path("trace.id"),
        "user": path("user.name"),
        "tried_user": path("authentication.token.name"),
        "origin": path("origin.address"),
        "node_id": path("node.id"),
        "node": path("node.name"),
    },
    time="time",
    clock=pl.concat_str(pl.lit("elasticsearch"), pl.col("node_id"), separator=":"),
    columns={
        "service": pl.lit("elasticsearch"),
        "name": "action",
        "user": "user",
        "outcome": pl.when(refused).then(pl.lit("blocked")),
        "error_type": pl.when(refused).then(pl.col("action")),
    },
    ids=(
        Id("request_id", pl.when(is_id).then(opaque)),
        Id("request_id", "request"),
        Id("trace_id", "trace"),
    ),
    attributes={
        "event_type": "type",
        "opaque_id": pl.when(~is_id).then(opaque),
        "privilege": "privilege",
        "request_name": "request_name",
        "method": "method",
        "path": pl.col("target").str.replace(r"\?.*$", ""),
        "origin": "origin",
        "node": "node",
        "tried_user": "tried_user",
    },
    events=(
        Event(
            "retrieval.access",
            when=~change,
            columns={
                "index_name": pl.col("indices").str.replace_all(r'[\[\]"\s]', ""),
                "input": pl.col("body").str.replace_all(NUMBERS, "[…]"),
            },
        ),
        Event(
            "change.applied",
            layer="change",
            when=change,
            columns={"change_scope": pl.lit("elasticsearch security"), "change_key": "action"},
        ),
    ),
)
