"""PostgreSQL: jsonlog (15 and later). Searches by pgvector, or of texts, are retrieval; all else is a log line.

What to know of these lines: one with a duration is written when that step ended. The extended protocol gives three for
one query (parse, bind, execute); only execute is the query. A query that failed has a line with its error instead; with
`log_statement` a line without a duration is written before it begins. Zone abbreviations are ambiguous: UTC and GMT are
read, any other is dropped, and `--zone GLOB=ZONE` names it. Ids of the request are only in a comment of the statement
(sqlcommenter); `session_id` is a backend process. Vectors and parameters are left out. The CSV log of the same server
repeats these lines. `<->` also is a distance of PostGIS and pg_trgm.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, Ref, Time, filled, path

# Distance operators of pgvector, its distance functions, and the search of texts.
OPERATOR = r"<=>|<->|<#>|<\+>|<~>|<%>"
NEAR = rf"(?:{OPERATOR}|(?:cosine|l1|l2)_distance\()"
SEARCH = rf"(?is){NEAR}.*\border\s+by\b|\border\s+by\b.*{NEAR}|\b(?:plain|phrase|websearch_)?to_tsquery\("
INDEX = (
    r"(?is)\busing\s+(?:hnsw|ivfflat|diskann)\b|\b(?:half|sparse)?vec(?:tor)?\(\d+\)"
    r"|\b(?:insert\s+into|update)\b.*::(?:half|sparse)?vec(?:tor)?\b"
)
# Not to be kept: '[0.1,0.2]', ARRAY[0.1,0.2], '{1:0.1}/64'.
VECTOR = r"""(['"]|(?i:array))(?:\[[-+0-9.,eE\s]*\]|\[[-+0-9.][-+0-9.,eE\s]*|\{[0-9]+:[-+0-9.,:eE\s]*\})"""
METRIC = {"<=>": "cosine", "<->": "l2", "<#>": "inner_product", "<+>": "l1", "<~>": "hamming", "<%>": "jaccard"}
STEP = r"(?s)^(?:duration: [0-9.]+ ms  )?(?:parse|bind|execute|statement)(?: [^:\n]*)?: "
KEYS = {
    "logged": "timestamp",
    "user": "user",
    "database": "dbname",
    "pid": "pid",
    "session_id": "session_id",
    "line": "line_num",
    "tag": "ps",
    "severity": "error_severity",
    "state": "state_code",
    "message": "message",
    "statement": "statement",
    "application": "application_name",
    "backend": "backend_type",
    "query_id": "query_id",
}

said = pl.col("message")
failed = pl.col("severity").is_in(["ERROR", "FATAL", "PANIC"])
took = said.str.extract(r"^duration: ([0-9.]+) ms", 1)
step = said.str.extract(r"^(?:duration: [0-9.]+ ms  )?(parse|bind|execute fetch|execute|statement)(?: [^:\n]*)?: ", 1)
# A statement is written out where it failed.
stated = pl.col("statement").is_not_null()
text = pl.coalesce("statement", "message")
runs = step.is_in(["execute", "statement"]).fill_null(value=False) | (failed & stated)
searches = (step.is_not_null() | stated) & text.str.contains(SEARCH).fill_null(value=False)
stores = searches | (runs & text.str.contains(INDEX).fill_null(value=False))
ended = took.is_not_null() | failed
begins = stores & ~ended & runs
stopped = failed & pl.col("state").eq("57014")
outcome = (
    pl.when(stopped & said.str.contains("timeout", literal=True))
    .then(pl.lit("timeout"))
    .when(stopped)
    .then(pl.lit("cancelled"))
    .when(failed)
    .then(pl.lit("error"))
    .when(took.is_not_null())
    .then(pl.lit("ok"))
)
bare = text.str.replace(STEP, "").str.replace_all(VECTOR, "${1}[…]").str.replace(r"\s*/\*[^*]*\*/[\s;]*$", "")
traceparent = r"traceparent='[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-"
found = {
    "index_name": text.str.extract(
        r'(?i)\b(?:from|into|update|on|table)\s+(?:only\s+|if\s+not\s+exists\s+)?"?([\w.]+)', 1
    ),
    "input": pl.when(runs).then(bare),
    "outcome": pl.when(runs).then(outcome),
    "error_type": pl.when(failed).then(pl.col("state")),
}
told = {
    "input": pl.when(step.is_not_null() | stated).then(bare),
    "outcome": outcome,
    "error_type": found["error_type"],
}
asked = {
    "top_k": text.str.extract(r"(?i)\blimit\s+([0-9]+)", 1),
    "distance": text.str.extract(rf"({OPERATOR})", 1).replace_strict(METRIC, default=None, return_dtype=pl.String),
}
kind = (
    pl.when(searches & runs)
    .then(pl.lit("retrieval.query"))
    .when(searches)
    .then(pl.lit("retrieval.log"))
    .otherwise(pl.lit("retrieval.index"))
)
# The CSV log and the JSON log of one server name a record alike.
record = pl.when(runs).then(
    pl.concat_str(pl.lit("postgres:"), "session_id", pl.lit(":"), "line", pl.lit("@"), "logged")
)
own, again = (Id("log_id", record),), (Ref("log_id", record, "repeats"),)

FORMAT = Format(
    name="postgres_jsonlog",
    title="PostgreSQL log (JSON)",
    layer="retrieval",
    reference="https://www.postgresql.org/docs/current/runtime-config-logging.html#RUNTIME-CONFIG-LOGGING-JSONLOG",
    export="`log_destination = 'jsonlog'`, `logging_collector = on`, `log_min_duration_statement = 0`; in `log/`.",
    limits="It tells neither the rows that were found nor, without a comment in the statement, the request.",
    recognise=Recognise(
        keys=(("timestamp",), ("session_id",), ("line_num",), ("backend_type",)),
        where=((("error_severity",), r"^(?:DEBUG[1-5]?|INFO|NOTICE|WARNING|LOG|ERROR|FATAL|PANIC)$"),),
    ),
    fields={name: path(key) for name, key in KEYS.items()},
    time=Time(pl.col("logged").str.extract(r"^(\S+ \S+(?: (?:UTC|GMT|[+-][0-9:]+))?)", 1), "iso"),
    duration=Duration(took, "ms"),
    columns={
        "service": pl.lit("postgres"),
        "name": pl.coalesce(filled("tag"), filled("backend"), "severity"),
        "parent_id": text.str.extract(traceparent, 2),
    },
    ids=(
        Id("request_id", text.str.extract(r"/\*[^*]*\brequest_id[=:]'?([^'*,\s]+)", 1)),
        Id("trace_id", text.str.extract(traceparent, 1)),
    ),
    attributes={
        "severity": "severity",
        "step": step,
        "application": filled("application"),
        "database": filled("database"),
        "database_user": filled("user"),
        "pid": "pid",
        "query_id": pl.when(pl.col("query_id") != "0").then(pl.col("query_id")),
        "message": pl.when(step.is_null()).then(said.str.replace_all(VECTOR, "${1}[…]").str.slice(0, 240)),
    },
    events=(
        Event(kind, when=stores & ended, time_kind="end", columns=found, parameters=asked, ids=own, refs=again),
        Event(kind, when=begins, time_kind="start", columns=found, parameters=asked, ids=own, refs=again),
        Event("app.log", layer="other", when=~stores & took.is_not_null(), time_kind="end", columns=told),
        Event("app.log", layer="other", when=~(stores & ended) & ~begins & took.is_null(), columns=told),
    ),
)
