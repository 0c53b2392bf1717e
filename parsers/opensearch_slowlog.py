r"""OpenSearch slow logs (text), which Elasticsearch up to 6 writes alike: per shard and phase, or per search request.

What to know of these lines: one search gives a line for each shard and phase (query, fetch) that was slow; the request
log (logger `cluster.search.request.slowlog`) has one line for the whole search. Times are of the end, naive, by the
node's local clock. The last `id[…]` of a search is the client's X-Opaque-Id: the id of a request, or the name of an
application, which is no id. Nothing tells Elasticsearch from OpenSearch, so the service is called `opensearch`.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, group

UNITS = {"micros": "us", "nanos": "ns"}
NUMBERS = r"\[[-+0-9.,eE\s]{64,}\]"
HEAD = (
    r"\[(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{3})\]\[(?P<level>[A-Z]+) *\]"
    r"\[(?P<logger>(?:i\.s\.s|i\.i\.s|index\.search\.slowlog|index\.indexing\.slowlog)\.(?:query|fetch|index)"
    r"|c\.s\.r\.slowlog|cluster\.search\.request\.slowlog)[ .\w-]*\] ?\[(?P<node>[^\]]*)\] ?"
)

rest, logger = pl.col("rest"), pl.col("logger")
opaque = rest.str.extract(r", id\[([^\]]+)\][,\s]*$", 1)
# A name of an application is short, or has no digit.
is_id = opaque.str.contains(r"^\S*[0-9]\S*$") & (opaque.str.len_chars() >= 12)
indexing = logger.str.contains(r"^(?:i\.i\.s|index\.indexing)")
phase = logger.str.extract(r"(query|fetch|index)$", 1).fill_null("request")
source = rest.str.extract(r"\bsource\[(.*?)\](?:, (?:\w+_)?id\[[^\]]*\])*[,\s]*$", 1).str.replace_all(NUMBERS, "[…]")

FORMAT = Format(
    name="opensearch_slowlog",
    title="OpenSearch slow log (text; also Elasticsearch up to 6)",
    layer="retrieval",
    reference="https://docs.opensearch.org/latest/install-and-configure/configuring-opensearch/logs/",
    versions=("OpenSearch 2.12", "Elasticsearch 6.3"),
    verified=True,
    export="Thresholds in the settings of an index or cluster write `<cluster>_index_search_slowlog.log`.",
    limits="Only what was slow is in it; it tells the number of hits, and never which documents.",
    container="text",
    # What is behind the head has no head in it: so two lines that ran together are not taken for one.
    pattern=HEAD
    + r"(?:\[(?P<index>[^\]/]+)(?:/[^\]]+)?\](?:\[(?P<shard>\d+)\])? )?took\[(?P<took>[^\]]+)\], "
    + r"(?P<rest>took_millis\[\d+\](?:[^\]]|\]+[^\[\]]|\]+\[[^A-Z])*\]*)",
    begins=r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d,\d{3}\]\[[A-Z]+ *\]\[",
    other=HEAD + ".*",
    fields={name: group(name) for name in ("time", "level", "logger", "node", "index", "shard", "took", "rest")},
    time="time",
    time_kind="end",
    duration=Duration(pl.col("took").str.replace_many(UNITS), "text"),
    clock=pl.concat_str(pl.lit("opensearch"), pl.col("node").fill_null(""), separator=":"),
    columns={
        "service": pl.lit("opensearch"),
        "name": pl.concat_str(pl.lit("slow"), phase, separator=" "),
        "index_name": pl.coalesce("index", rest.str.extract(r"\bindices\[([^\]]+)\]", 1).str.replace_all(" ", "")),
    },
    ids=(Id("request_id", pl.when(is_id & ~indexing).then(opaque)),),
    attributes={"level": "level", "opaque_id": pl.when(~is_id & ~indexing).then(opaque), "node": "node"},
    events=(
        Event(
            "retrieval.slow_query",
            when=~indexing,
            columns={"input": source},
            parameters={"top_k": source.str.extract(r'"(?:k|size)":\s*([0-9]+)', 1)},
            attributes={
                "phase": phase,
                "shard": "shard",
                "total_hits": rest.str.extract(r"\btotal_hits\[([^\]]*)\]", 1),
                "search_type": rest.str.extract(r"\bsearch_type\[([^\]]*)\]", 1),
                "phase_took_millis": rest.str.extract(r"\bphase_took_millis\[\{([^}]*)\}\]", 1),
                "shards": rest.str.extract(r"\bshards\[\{([^}]*)\}\]", 1),
            },
        ),
        # The id of an indexing line names the document.
        Event("retrieval.index", when=indexing, attributes={"document": rest.str.extract(r"\bid\[([^\]]+)\]", 1)}),
    ),
)
