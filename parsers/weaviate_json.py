"""Weaviate: lines of its server log as JSON: slow queries, authorisation, and what the server says of itself.

What to know of these lines: times are whole seconds, UTC. A slow query is written when it ended; `took` is in
nanoseconds. A granted access tells nothing of how the request then went. No line has an id.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Recognise, filled, path

said = pl.col("msg")
slow = said.str.starts_with("Slow query detected").fill_null(value=False)
change = pl.col("action").str.contains(r"^(?:create|delete|update|assign|revoke|add|remove)_").fill_null(value=False)
access = pl.col("action").eq("authorize").fill_null(value=False)
failing = pl.col("level").is_in(["error", "fatal", "panic"])
named = pl.col("permissions").str.extract(r"Collection: ([\w-]+)", 1)

FORMAT = Format(
    name="weaviate_json",
    title="Weaviate server log (JSON)",
    layer="retrieval",
    reference="https://docs.weaviate.io/deploy/configuration/logging",
    versions=("1.35.1",),
    verified=True,
    export="Standard error of Weaviate; `QUERY_SLOW_LOG_ENABLED=true` adds slow queries, RBAC adds authorisation.",
    limits="It has no id of a request or trace, and no results; a query that was not slow is not in it.",
    recognise=Recognise(keys=(("build_wv_version",), ("build_git_commit",), ("level",), ("msg",), ("time",))),
    fields={
        "time": path("time"),
        "level": path("level"),
        "msg": path("msg"),
        "action": path("action"),
        "component": path("component"),
        "user": path("user"),
        "source_ip": path("source_ip"),
        "request_action": path("request_action"),
        "permissions": path("permissions"),
        "role": path("roleName"),
        "took": path("took"),
        "collection": path("collection"),
        "class": path("class"),
        "shard": path("shard"),
        "tenant": path("tenant"),
        "limit": path("limit"),
        "error": path("error"),
        "version": path("build_wv_version"),
    },
    time="time",
    columns={"service": pl.lit("weaviate"), "user": "user", "tenant": "tenant"},
    attributes={
        "level": "level",
        "component": "component",
        "message": pl.when(said != "").then(said.str.slice(0, 240)),
        "error": pl.col("error").str.slice(0, 240),
        "version": "version",
    },
    events=(
        Event(
            "retrieval.slow_query",
            when=slow,
            time_kind="end",
            duration=Duration("took", "ns"),
            columns={"name": pl.lit("slow query"), "index_name": filled("collection", "class")},
            parameters={"top_k": "limit"},
            attributes={"shard": "shard"},
        ),
        Event(
            "retrieval.access",
            when=access & ~slow,
            columns={
                "name": "action",
                "index_name": named,
                "outcome": pl.when(failing).then(pl.lit("blocked")),
                "error_type": pl.when(failing).then(said),
            },
            attributes={"request_action": "request_action", "source_ip": "source_ip"},
        ),
        Event(
            "change.applied",
            layer="change",
            when=change & ~slow,
            columns={"name": "action", "change_scope": pl.lit("weaviate roles"), "change_key": "role"},
        ),
        Event(
            "retrieval.log",
            when=~slow & ~access & ~change,
            columns={
                "name": filled("action", "msg").fill_null(pl.col("level")),
                "index_name": filled("collection", "class"),
                "outcome": pl.when(failing).then(pl.lit("error")),
            },
        ),
    ),
)
