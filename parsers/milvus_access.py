r"""Milvus: access log of its proxy, in the forms that it ships with and that its documentation shows.

What to know of these lines: they are written when the call ended, with the offset of the proxy. The form is set by the
operator; a form of one's own needs a format of its own. The trace id is the caller's only if it sent a traceparent.
"""

import polars as pl

from strataline.format import Duration, Event, Format, Id, Time, group

GROUPS = (
    *("time", "user", "address", "method", "status", "code", "sdk", "message", "trace", "took", "database"),
    *("collection", "partitions", "expr", "method_2", "status_2", "code_2", "status_3", "method_3"),
)
STATUS = {"ok": "ok", "successful": "ok", "fail": "error", "failed": "error"}

method = pl.coalesce("method", "method_2", "method_3")
status = pl.coalesce("status", "status_2", "status_3")
code = pl.coalesce("code", "code_2")
known = {name: pl.when(pl.col(name) != "Unknown").then(pl.col(name)) for name in ("user", "database", "collection")}
asks = method.is_in(["Search", "HybridSearch", "Query"])
writes = method.str.contains(r"^(?:Insert|Upsert|Delete|Flush|Import|Load|Release|Create|Drop|Alter|Rename|Truncate)")
word = status.str.to_lowercase()

FORMAT = Format(
    name="milvus_access",
    title="Milvus access log",
    layer="retrieval",
    reference="https://milvus.io/docs/configure_access_logs.md",
    export="`proxy.accessLog.enable: true` in milvus.yaml; with no `filename` it goes to standard output.",
    limits="It has no results; the collection is in it only for the methods whose form names it.",
    container="text",
    pattern=r"\[(?P<time>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d\d:\d\d)\] \[ACCESS\] "
    r"<(?P<user>[^:>]*): (?P<address>[^>]*)> "
    r"(?:(?P<method_2>\w+)-(?P<status_2>\w+)-(?P<code_2>-?\d+)|(?P<status_3>\w+)-(?P<method_3>\w+)|(?P<method>\w+))"
    r"(?: \[status: (?P<status>[^\]]*)\])?(?: \[code: (?P<code>[^\]]*)\])?(?: \[sdk: (?P<sdk>[^\]]*)\])?"
    r"(?: \[msg: (?P<message>.*?)\])? \[traceID: (?P<trace>[^\]]*)\] \[timeCost: (?P<took>[^\]]*)\]"
    r"(?: \[database: (?P<database>[^\]]*)\])?(?: \[collection: (?P<collection>[^\]]*)\])?"
    r"(?: \[partitions: (?P<partitions>.*?)\])?(?: \[expr: (?P<expr>.*?)\])?(?: \[params: .*\])?",
    begins=r"\[\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d\d:\d\d\] \[ACCESS\] <",
    fields={name: group(name) for name in GROUPS},
    time=Time(pl.col("time").str.replace_all("/", "-", literal=True), "iso"),
    time_kind="end",
    duration=Duration("took", "text"),
    columns={
        "service": pl.lit("milvus"),
        "name": method,
        "user": known["user"],
        "index_name": known["collection"],
        "outcome": pl.when(word.str.contains("timeout"))
        .then(pl.lit("timeout"))
        .otherwise(word.replace_strict(STATUS, default="unknown", return_dtype=pl.String)),
        "error_type": pl.when(code != "0").then(code),
    },
    ids=(Id("trace_id", pl.col("trace").str.extract(r"^([0-9a-f]{32})$", 1)),),
    attributes={
        "address": "address",
        "sdk": "sdk",
        "database": known["database"],
        "partitions": "partitions",
        "error": pl.col("message").str.slice(0, 240),
    },
    events=(
        Event("retrieval.query", when=asks, columns={"input": "expr"}),
        Event("retrieval.index", when=writes & ~asks),
        Event("retrieval.access", when=~asks & ~writes),
    ),
)
