"""Elasticsearch query log (9.x), and the ES|QL query log before it: one JSON line per query, by the coordinating node.

What to know of these lines: the time is the end of the query; `took` is in nanoseconds. An SQL or EQL query and the
searches that it became are lines of their own, tied by the parent's task: these repeat that query. Task numbers begin
anew with each start of a node, so a task is named by its node as well. X-Opaque-Id is whatever the client sent: the id
of a request, or the name of an application, which is no id. Vectors in a query are left out.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, Ref, filled, path, whole, words

LOG = "elasticsearch.querylog."
NUMBERS = r"\[[-+0-9.,eE\s]{64,}\]"

opaque = filled("opaque_id")
# A name of an application is short, or has no digit.
is_id = opaque.str.contains(r"^\S*[0-9]\S*$") & (opaque.str.len_chars() >= 12)
error = pl.col("error_type").str.extract(r"([^.]+)$", 1)
failed = pl.col("outcome").eq("failure") | pl.col("success").eq("false")

FORMAT = Format(
    name="elasticsearch_querylog",
    title="Elasticsearch query log",
    layer="retrieval",
    reference="https://www.elastic.co/docs/deploy-manage/monitor/logging-configuration/query-logs",
    versions=("9.4",),
    verified=True,
    export="`elasticsearch.querylog.enabled: true` in the cluster's settings writes `<cluster>_querylog.json`.",
    limits="It tells how many results there were, and never which documents.",
    recognise=Recognise(
        keys=((LOG + "query",), (LOG + "took",)),
        where=((("event.dataset",), r"^elasticsearch\.(?:esql_)?querylog$"),),
    ),
    fields={
        "time": path("@timestamp"),
        "query": path(LOG + "query"),
        "type": path(LOG + "type"),
        "search_type": path(LOG + "search_type"),
        "indices": path(LOG + "indices"),
        "took": path(LOG + "took"),
        "results": path(LOG + "result_count"),
        "success": path(LOG + "success"),
        "outcome": path("event.outcome"),
        "error_type": path("error.type"),
        "error": path("error.message"),
        "task": path("elasticsearch.task.id"),
        "parent_task": path("elasticsearch.parent.task.id"),
        "parent_node": path("elasticsearch.parent.node.id"),
        "node_id": path("elasticsearch.node.id"),
        "node": path("elasticsearch.node.name"),
        "cluster": path("elasticsearch.cluster.name"),
        "opaque_id": path("http.request.headers.x_opaque_id"),
        "trace": path("trace.id"),
        "user": path("user.name"),
        "shards_failed": path(LOG + "shards.failed"),
    },
    time="time",
    time_kind="end",
    duration=Duration("took", "ns"),
    clock=pl.concat_str(pl.lit("elasticsearch"), filled("node_id", "node"), separator=":", ignore_nulls=True),
    columns={"service": pl.lit("elasticsearch"), "user": "user"},
    ids=(
        Id("request_id", pl.when(is_id).then(opaque)),
        Id("trace_id", "trace"),
        Id("task_id", pl.concat_str("node_id", "task", separator=":")),
    ),
    refs=(Ref("task_id", pl.concat_str("parent_node", "parent_task", separator=":"), "repeats"),),
    events=(
        Event(
            "retrieval.query",
            columns={
                "name": pl.coalesce("type", pl.col("search_type").str.to_lowercase(), pl.lit("query")),
                "index_name": pl.col("indices").str.replace_all(r'[\[\]"\s]', ""),
                "input": pl.col("query").str.replace_all(NUMBERS, "[…]"),
                "outcome": pl.when(failed & error.str.contains("(?i)timeout"))
                .then(pl.lit("timeout"))
                .when(failed & error.str.contains("(?i)cancel"))
                .then(pl.lit("cancelled"))
                .when(failed)
                .then(pl.lit("error"))
                .otherwise(
                    words("outcome", {"success": "ok"}, default="unknown").fill_null(words("success", {"true": "ok"}))
                ),
                "error_type": error,
            },
            parameters={"top_k": pl.col("query").str.extract(r'"(?:k|size)":\s*([0-9]+)', 1)},
            attributes={
                "result_count": whole("results"),
                "shards_failed": whole("shards_failed"),
                "opaque_id": pl.when(~is_id).then(opaque),
                "node": "node",
                "cluster": "cluster",
                "error": pl.col("error").str.slice(0, 240),
            },
        ),
    ),
)
