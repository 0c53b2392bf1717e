"""Elasticsearch slow logs (8.x, ECS JSON): one line per shard and phase of a search, or per indexed document.

What to know of these lines: one search gives a line for each shard and phase (query, fetch) that was slow, none for the
others, and none for the whole. The time is the end of that phase. `elasticsearch.slowlog.id` is the client's
X-Opaque-Id: the id of a request, or the name of an application, which is no id. The source is escaped twice.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, filled, path, whole

LOG = "elasticsearch.slowlog."
UNITS = {"micros": "us", "nanos": "ns"}
NUMBERS = r"\[[-+0-9.,eE\s]{64,}\]"

opaque = pl.when(pl.col("opaque_id") != "null").then(filled("opaque_id"))
# A name of an application is short, or has no digit.
is_id = opaque.str.contains(r"^\S*[0-9]\S*$") & (opaque.str.len_chars() >= 12)
indexing = pl.col("dataset").eq("elasticsearch.index_indexing_slowlog")
source = pl.col("source").str.replace_many({r"\"": '"', "\\\\": "\\"}).str.replace_all(NUMBERS, "[…]")
took = pl.coalesce(pl.col("took").str.replace_many(UNITS), pl.concat_str("took_millis", pl.lit("ms")))

FORMAT = Format(
    name="elasticsearch_slowlog",
    title="Elasticsearch slow log (8.x)",
    layer="retrieval",
    reference="https://www.elastic.co/docs/reference/elasticsearch/index-settings/slow-log",
    versions=("8.14",),
    verified=True,
    export="Thresholds in an index's settings (`index.search.slowlog.threshold…`) write `*_index_search_slowlog.json`.",
    limits="Only slow shards are in it, never the whole search; it tells no result and no failure.",
    recognise=Recognise(
        keys=((LOG + "took",), (LOG + "message",)),
        where=((("event.dataset",), r"^elasticsearch\.index_(?:search|indexing)_slowlog$"),),
    ),
    fields={
        "time": path("@timestamp"),
        "dataset": path("event.dataset"),
        "logger": path("log.logger"),
        "level": path("log.level"),
        "opaque_id": path(LOG + "id"),
        "message": path(LOG + "message"),
        "source": path(LOG + "source"),
        "search_type": path(LOG + "search_type"),
        "took": path(LOG + "took"),
        "took_millis": path(LOG + "took_millis"),
        "hits": path(LOG + "total_hits"),
        "shards": path(LOG + "total_shards"),
        "trace": path("trace.id"),
        "user": path("user.name"),
        "node": path("elasticsearch.node.name"),
        "node_id": path("elasticsearch.node.id"),
        "cluster": path("elasticsearch.cluster.name"),
    },
    time="time",
    time_kind="end",
    duration=Duration(took, "text"),
    clock=pl.concat_str(pl.lit("elasticsearch"), filled("node_id", "node"), separator=":", ignore_nulls=True),
    columns={
        "service": pl.lit("elasticsearch"),
        "user": "user",
        "name": pl.concat_str(
            pl.lit("slow"), pl.col("logger").str.extract(r"slowlog\.(\w+)", 1).fill_null("search"), separator=" "
        ),
        "index_name": pl.col("message").str.extract(r"^\[([^\]/]+)", 1),
    },
    ids=(Id("request_id", pl.when(is_id & ~indexing).then(opaque)), Id("trace_id", "trace")),
    attributes={
        "level": "level",
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
                "phase": pl.col("logger").str.extract(r"slowlog\.(\w+)", 1),
                "shard": pl.col("message").str.extract(r"\]\[([0-9]+)\]", 1),
                "shards": whole("shards"),
                "total_hits": "hits",
                "search_type": "search_type",
            },
        ),
        # The id of an indexing line names the document.
        Event("retrieval.index", when=indexing, attributes={"document": "opaque_id"}),
    ),
)
