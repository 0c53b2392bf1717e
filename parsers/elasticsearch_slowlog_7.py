"""Elasticsearch slow logs (7.x and 8.0, JSON): one line per shard and phase of a search, or per indexed document.

What to know of these lines: one search gives a line for each shard and phase (query, fetch) that was slow, none for the
others, and none for the whole. The time is the end of that phase; 7.x writes it with the offset of the node. `id` is
the client's X-Opaque-Id, "" or "null" where it sent none: the id of a request, or the name of an application, which is
no id. All numbers are texts; the source is an object in 7.1 and a text that is escaped twice later on.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, Time, filled, path, whole

UNITS = {"micros": "us", "nanos": "ns"}
NUMBERS = r"\[[-+0-9.,eE\s]{64,}\]"

opaque = pl.when(pl.col("id") != "null").then(filled("id"))
# A name of an application is short, or has no digit.
is_id = opaque.str.contains(r"^\S*[0-9]\S*$") & (opaque.str.len_chars() >= 12)
indexing = pl.col("type").eq("index_indexing_slowlog")
escaped = pl.col("source").str.starts_with('{\\"')
unescaped = pl.when(escaped).then(pl.col("source").str.replace_many({r"\"": '"', "\\\\": "\\"})).otherwise("source")
source = unescaped.str.replace_all(NUMBERS, "[…]")
took = pl.coalesce(pl.col("took").str.replace_many(UNITS), pl.concat_str("took_millis", pl.lit("ms")))
phase = pl.coalesce("logger", "component").str.extract(r"(?:slowlog|s\.s|i\.s)\.(query|fetch|index)\b", 1)

FORMAT = Format(
    name="elasticsearch_slowlog_7",
    title="Elasticsearch slow log (7.x)",
    layer="retrieval",
    reference="https://www.elastic.co/guide/en/elasticsearch/reference/7.17/index-modules-slowlog.html",
    versions=("7.1", "8.0"),
    verified=True,
    export="Thresholds in an index's settings (`index.search.slowlog.threshold…`) write `*_index_search_slowlog.json`.",
    limits="Only slow shards are in it, never the whole search; it tells no result and no failure.",
    recognise=Recognise(
        keys=(("took",), ("message",), ("node.name",)),
        any_of=((("@timestamp",), ("timestamp",)),),
        where=((("type",), r"^index_(?:search|indexing)_slowlog$"),),
    ),
    fields={
        "iso": path("@timestamp"),
        "local": path("timestamp"),
        "type": path("type"),
        "logger": path("log.logger"),
        "component": path("component"),
        "level": path("level"),
        "level_ecs": path("log.level"),
        "id": path("id"),
        "message": path("message"),
        "source": path("source"),
        "search_type": path("search_type"),
        "took": path("took"),
        "took_millis": path("took_millis"),
        "hits": path("total_hits"),
        "shards": path("total_shards"),
        "trace": path("trace.id"),
        "user": path("user.name"),
        "node": path("node.name"),
        "node_id": path("node.id"),
        "cluster": path("cluster.name"),
    },
    time=Time(pl.coalesce("iso", "local")),
    time_kind="end",
    duration=Duration(took, "text"),
    clock=pl.concat_str(pl.lit("elasticsearch"), pl.coalesce("node_id", "node"), separator=":"),
    columns={
        "service": pl.lit("elasticsearch"),
        "user": "user",
        "name": pl.concat_str(pl.lit("slow"), phase.fill_null("search"), separator=" "),
        "index_name": pl.col("message").str.extract(r"^\[([^\]/]+)", 1),
    },
    ids=(Id("request_id", pl.when(is_id & ~indexing).then(opaque)), Id("trace_id", "trace")),
    attributes={
        "level": pl.coalesce("level", "level_ecs"),
        "opaque_id": pl.when(~is_id & ~indexing).then(opaque),
        "node": "node",
        "cluster": "cluster",
    },
    events=(
        Event(
            "retrieval.slow_query",
            when=~indexing,
            columns={"input": source},
            parameters={"top_k": source.str.extract(r'"(?:k|size)":\s*([0-9]+)', 1)},
            attributes={
                "phase": phase,
                "shard": pl.col("message").str.extract(r"\]\[([0-9]+)\]", 1),
                "shards": whole("shards"),
                "total_hits": "hits",
                "search_type": "search_type",
            },
        ),
        # The id of an indexing line names the document.
        Event("retrieval.index", when=indexing, attributes={"document": opaque}),
    ),
)
