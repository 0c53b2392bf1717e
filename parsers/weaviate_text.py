r"""Weaviate: lines of its server log as text (`LOG_FORMAT=text`), as logrus writes key=value pairs.

What to know of these lines: times are whole seconds, UTC. A slow query is written when it ended. A granted access tells
nothing of how the request then went. No line has an id.
"""

import polars as pl

from strataline.format import Duration, Event, Format, filled, group, pair

PAIRS = ("msg", "action", "component", "user", "source_ip", "request_action", "permissions", "roleName", "took")
MORE = ("collection", "class", "shard", "tenant", "limit", "error", "build_wv_version")
# No second time: so two lines that ran together are not taken for one.
REST = r'(?:[^t]|t[^i]|ti[^m]|tim[^e]|time[^=]|time=[^"])*'

said = pl.col("msg")
slow = said.str.starts_with("Slow query detected").fill_null(value=False)
change = pl.col("action").str.contains(r"^(?:create|delete|update|assign|revoke|add|remove)_").fill_null(value=False)
access = pl.col("action").eq("authorize").fill_null(value=False)
failing = pl.col("level").is_in(["error", "fatal", "panic"])
named = pl.col("permissions").str.extract(r"Collection: ([\w-]+)", 1)

FORMAT = Format(
    name="weaviate_text",
    title="Weaviate server log (text)",
    layer="retrieval",
    reference="https://docs.weaviate.io/deploy/configuration/logging",
    versions=("1.35.1",),
    verified=True,
    export="Standard error of Weaviate with `LOG_FORMAT=text`; `QUERY_SLOW_LOG_ENABLED=true` adds slow queries.",
    limits="It has no id of a request or trace, and no results; a query that was not slow is not in it.",
    container="text",
    pattern=r'time="(?P<time>\d{4}-[^"]+)" level=(?P<level>[a-z]+) ' + REST + r"\bbuild_wv_version=" + REST + "t?",
    begins=r'time="\d{4}-\d\d-\d\dT[^"]+" level=[a-z]+ ',
    fields={"time": group("time"), "level": group("level")} | {name: pair(name) for name in (*PAIRS, *MORE)},
    time="time",
    columns={"service": pl.lit("weaviate"), "user": "user", "tenant": "tenant"},
    attributes={
        "level": "level",
        "component": "component",
        "message": said.str.slice(0, 240),
        "error": pl.col("error").str.slice(0, 240),
        "version": "build_wv_version",
    },
    events=(
        Event(
            "retrieval.slow_query",
            when=slow,
            time_kind="end",
            duration=Duration("took", "text"),
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
            columns={"name": "action", "change_scope": pl.lit("weaviate roles"), "change_key": "roleName"},
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
