r"""PostgreSQL: log lines on stderr. Searches by pgvector, or of texts, are retrieval; all else is a log line.

What to know of these lines: one with a duration is written when that step ended. The extended protocol gives three for
one query (parse, bind, execute); only execute is the query. A query that failed has lines of its own: ERROR, and the
STATEMENT, which alone shows that it was a search, and does not say how it ended (a few messages that are no error have
one, too). With `log_statement` a line without a duration is written before the query begins. Zone abbreviations are
ambiguous: UTC and GMT are read, any other is dropped, and `--zone GLOB=ZONE` names it. Ids of the request are only in
a comment of the statement (sqlcommenter), and only in its first line. What `log_line_prefix` adds is read as
`user@db`, `[pid]` and `app=name`. Vectors and parameters are left out. `<->` also is a distance of PostGIS and
pg_trgm.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Time, group

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
HEAD = r"(?P<logged>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})? (?:[A-Z]{1,5}|[+-]\d\d(?::?\d\d)?))"
# Anything but what ends a severity.
PLAIN = "(?:[^A-Z]|[A-Z]+(?:[^A-Z:]|:[^ ]|: [^ ]))"
SEVERITY = (
    r"(?P<severity>DEBUG[1-5]?|INFO|NOTICE|WARNING|LOG|ERROR|FATAL|PANIC"
    r"|DETAIL|HINT|QUERY|CONTEXT|LOCATION|STATEMENT|BACKTRACE)"
)

said = pl.col("message")
severity = pl.col("severity")
failed = severity.is_in(["ERROR", "FATAL", "PANIC"])
took = said.str.extract(r"^duration: ([0-9.]+) ms", 1)
step = said.str.extract(r"^(?:duration: [0-9.]+ ms  )?(parse|bind|execute fetch|execute|statement)(?: [^:\n]*)?: ", 1)
# Written out below an error, and below a few messages that are none.
stated = severity.eq("STATEMENT")
text = said
runs = step.is_in(["execute", "statement"]).fill_null(value=False) | stated
searches = (step.is_not_null() | stated) & text.str.contains(SEARCH).fill_null(value=False)
stores = searches | (runs & text.str.contains(INDEX).fill_null(value=False))
ended = took.is_not_null() | stated
begins = stores & ~ended & runs
outcome = (
    pl.when(failed & said.str.contains("due to statement timeout", literal=True))
    .then(pl.lit("timeout"))
    .when(failed & said.str.starts_with("canceling statement"))
    .then(pl.lit("cancelled"))
    .when(failed)
    .then(pl.lit("error"))
    .when(took.is_not_null())
    .then(pl.lit("ok"))
    .when(stated)
    .then(pl.lit("unknown"))
)
bare = text.str.replace(STEP, "").str.replace_all(VECTOR, "${1}[…]").str.replace(r"\s*/\*[^*]*\*/[\s;]*$", "")
traceparent = r"traceparent='[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-"
prefix = pl.col("prefix")
found = {
    "index_name": text.str.extract(
        r'(?i)\b(?:from|into|update|on|table)\s+(?:only\s+|if\s+not\s+exists\s+)?"?([\w.]+)', 1
    ),
    "input": pl.when(runs).then(bare),
    "outcome": pl.when(runs).then(outcome),
}
told = {
    "input": pl.when(step.is_not_null() | stated).then(bare),
    "outcome": outcome,
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

FORMAT = Format(
    name="postgres_stderr",
    title="PostgreSQL log (text)",
    layer="retrieval",
    reference="https://www.postgresql.org/docs/current/runtime-config-logging.html",
    versions=("18.4",),
    verified=True,
    export="`log_destination = 'stderr'` (the default) and `log_min_duration_statement = 0`.",
    limits="Of a statement only the first line is read; the rows that were found are not told, and often no request.",
    container="text",
    # No second severity: so two lines that ran together are not taken for one.
    pattern=HEAD
    + r"(?P<prefix>[ :]"
    + PLAIN
    + "*?)??"
    + SEVERITY
    + r":  (?P<message>"
    + PLAIN
    + "*(?:[A-Z]+(?:: ?)?)?)",
    begins=r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{3})? [A-Z]{2,5}[ :]",
    other=HEAD + r"(?P<prefix>[ :].*?)??" + SEVERITY + r":  .*",
    fields={name: group(name) for name in ("logged", "prefix", "severity", "message")},
    time=Time(pl.col("logged").str.extract(r"^(\S+ \S+(?: (?:UTC|GMT|[+-][0-9:]+))?)", 1), "iso"),
    duration=Duration(took, "ms"),
    columns={
        "service": pl.lit("postgres"),
        "name": pl.coalesce(step, pl.col("severity").str.to_lowercase()),
        "parent_id": text.str.extract(traceparent, 2),
    },
    ids=(
        Id("request_id", text.str.extract(r"/\*[^*]*\brequest_id[=:]'?([^'*,\s]+)", 1)),
        Id("trace_id", text.str.extract(traceparent, 1)),
    ),
    attributes={
        "severity": "severity",
        "step": step,
        "application": prefix.str.extract(r"\bapp=([^\s,\[]+)", 1),
        "database": prefix.str.extract(r"[\w.-]+@([\w.-]+)", 1),
        "database_user": prefix.str.extract(r"([\w.-]+)@[\w.-]+", 1),
        "pid": prefix.str.extract(r"\[([0-9]+)\]", 1),
        "message": pl.when(step.is_null() & ~stated & ~said.str.contains("arameters: ", literal=True)).then(
            said.str.replace_all(VECTOR, "${1}[…]").str.slice(0, 240)
        ),
    },
    events=(
        Event(kind, when=stores & ended, time_kind="end", columns=found, parameters=asked),
        Event(kind, when=begins, time_kind="start", columns=found, parameters=asked),
        Event("app.log", layer="other", when=~stores & took.is_not_null(), time_kind="end", columns=told),
        Event("app.log", layer="other", when=~(stores & ended) & ~begins & took.is_null(), columns=told),
    ),
)
