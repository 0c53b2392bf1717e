"""OpenSearch security audit log: one JSON object per login, and per granted or missing privilege.

What to know of these records: one request of a client gives several, on both layers and on several nodes; a granted
privilege tells nothing of how the request then went. The client's ids are only in the headers of REST records; tasks
tie the transport records of one request. Times are UTC. Credentials in headers are not read.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Ref, Time, filled, path

TRACEPARENT = r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-"
NUMBERS = r"\[[-+0-9.,eE\s]{64,}\]"
HEADERS = {"opaque": "X-Opaque-Id", "opaque_lower": "x-opaque-id", "sent": "X-Request-Id", "sent_lower": "x-request-id"}

opaque = filled("opaque", "opaque_lower", "opaque_transport")
# A name of an application is short, or has no digit.
is_id = opaque.str.contains(r"^\S*[0-9]\S*$") & (opaque.str.len_chars() >= 12)
category = pl.col("category")
change = category.str.ends_with("_SETTINGS_CHANGED")
refused = ~change & ~category.is_in(["AUTHENTICATED", "GRANTED_PRIVILEGES", "AUTHENTICATED_AS"])
searching = pl.coalesce("privilege", "target").str.contains(r"_search\b|_msearch\b|data/read/m?search")

FORMAT = Format(
    name="opensearch_audit",
    title="OpenSearch audit log",
    layer="retrieval",
    reference="https://docs.opensearch.org/latest/security/audit-logs/field-reference/",
    export="`plugins.security.audit.type` in opensearch.yml; export its index, or the log that it writes.",
    limits="It tells who was let in, and not what was found or how long it took.",
    recognise=Recognise(
        keys=(("audit_format_version",), ("audit_category",), ("audit_request_origin",)),
        any_of=((("@timestamp",), ("audit_utc_timestamp",)),),
    ),
    fields={
        "time": path("@timestamp"),
        "utc": path("audit_utc_timestamp"),
        "category": path("audit_category"),
        "layer_name": path("audit_request_layer"),
        "task": path("audit_trace_task_id"),
        "parent_task": path("audit_trace_task_parent_id"),
        "user": path("audit_request_effective_user"),
        "initiator": path("audit_request_initiating_user"),
        "privilege": path("audit_request_privilege"),
        "request_type": path("audit_transport_request_type"),
        "method": path("audit_rest_request_method"),
        "target": path("audit_rest_request_path"),
        "body": path("audit_request_body"),
        "indices": path("audit_trace_indices"),
        "resolved": path("audit_trace_resolved_indices"),
        "remote": path("audit_request_remote_address"),
        "node": path("audit_node_name"),
        "cluster": path("audit_cluster_name"),
        "traceparent": path("audit_rest_request_headers", "traceparent", 0),
        "opaque_transport": path("audit_transport_headers", "X-Opaque-Id"),
    }
    | {name: path("audit_rest_request_headers", key, 0) for name, key in HEADERS.items()},
    time=Time(pl.coalesce("time", "utc")),
    zone="UTC",
    clock=pl.concat_str(pl.lit("opensearch"), pl.col("node").fill_null(""), separator=":"),
    columns={
        "service": pl.lit("opensearch"),
        "name": category.str.to_lowercase(),
        "user": "user",
        "parent_id": pl.col("traceparent").str.extract(TRACEPARENT, 2),
    },
    ids=(
        Id("request_id", pl.when(is_id).then(opaque)),
        Id("request_id", filled("sent", "sent_lower")),
        Id("trace_id", pl.col("traceparent").str.extract(TRACEPARENT, 1)),
        Id("task_id", "task"),
    ),
    refs=(Ref("task_id", "parent_task", "parent_task"),),
    attributes={
        "request_layer": "layer_name",
        "opaque_id": pl.when(~is_id).then(opaque),
        "initiating_user": "initiator",
        "privilege": "privilege",
        "request_type": "request_type",
        "method": "method",
        "path": pl.col("target").str.replace(r"\?.*$", ""),
        "remote": "remote",
        "cluster": "cluster",
    },
    events=(
        Event(
            "retrieval.access",
            when=~change,
            columns={
                "index_name": pl.coalesce("resolved", "indices").str.replace_all(r'[\[\]"\s]', ""),
                "input": pl.when(searching).then(pl.col("body").str.replace_all(NUMBERS, "[…]")),
                "outcome": pl.when(category.is_in(["SSL_EXCEPTION", "BAD_HEADERS"]))
                .then(pl.lit("error"))
                .when(refused)
                .then(pl.lit("blocked")),
                "error_type": pl.when(refused).then(category),
            },
        ),
        Event(
            "change.applied",
            layer="change",
            when=change,
            columns={"change_scope": pl.lit("opensearch"), "change_key": category.str.to_lowercase()},
        ),
    ),
)
