"""Database spans (`db.*`), old and new names; searches of a vector store are retrieval.

What to know of these spans: only a known vector store, or a statement that orders by distance, is a search; everything
else stays a bridge. OpenLLMetry puts the results into the span's events. Statements may hold what users wrote.
"""

import polars as pl

from strataline.format import Documents, Event, Format, Id, Recognise, filled, path, whole

STORES = r"(?i)^(chroma(db)?|qdrant|pinecone|milvus|weaviate|lancedb|marqo|turbopuffer|vespa|zilliz|pgvector)$"
ENGINES = r"(?i)^(elasticsearch|opensearch|azure\.?(ai|cognitive).?search|solr|typesense|meilisearch)$"
DISTANCE = r"<->|<=>|<#>|<\+>|(?i)\bFT\.SEARCH\b|\$vectorSearch|vector_distance|cosine_similarity"
ASKING = r"(?i)quer|search|retriev|scroll|recommend|discover|near|hybrid|bm25|\bget\b|peek|fetch"
OWN = {
    "system": "db.system",
    "system_new": "db.system.name",
    "statement": "db.statement",
    "statement_new": "db.query.text",
    "sql": "sql.query",
    "cassandra": "cassandra.query",
    "operation": "db.operation",
    "operation_new": "db.operation.name",
    "collection": "db.collection.name",
    "table": "db.sql.table",
    "mongo": "db.mongodb.collection",
    "space": "db.namespace",
    "database": "db.name",
    "top_k": "db.vector.query.top_k",
    "rows": "db.response.returned_rows",
    "code": "db.response.status_code",
    "error_type": "error.type",
    "session": "session.id",
    "user": "user.id",
}
COLLECTIONS = {name: f"db.{name}.collection_name" for name in ("qdrant", "milvus", "pinecone", "chroma")}
MARKS = (
    "db.system", "db.system.name", "db.statement", "db.query.text", "db.operation", "db.operation.name", "sql.query",
    "cassandra.query",
)  # fmt: skip

system = pl.coalesce("system_new", "system")
statement = pl.coalesce("statement_new", "statement", "sql", "cassandra")
operation = pl.coalesce("operation_new", "operation")
does = pl.coalesce(operation, "name").str.contains(ASKING)
near = statement.str.contains(DISTANCE).fill_null(value=False)
store = system.str.contains(STORES).fill_null(value=False)
engine = system.str.contains(ENGINES).fill_null(value=False)
search = near | ((store | engine) & does.fill_null(value=False))
index = store & ~search
error = pl.coalesce("error_type", "exception")
broke = pl.col("status") == "error"
outcome = (
    pl.when(broke & error.str.contains(r"(?i)cancel"))
    .then(pl.lit("cancelled"))
    .when(broke & error.str.contains(r"(?i)time(d ?)?out"))
    .then(pl.lit("timeout"))
    .when(broke)
    .then(pl.lit("error"))
    .when(pl.col("status") == "ok")
    .then(pl.lit("ok"))
)
listed = pl.when(pl.col("events").str.contains('"db.query.result.id"', literal=True)).then(pl.col("events"))

FORMAT = Format(
    name="span_database",
    title="Database spans",
    layer="other",
    reference="https://opentelemetry.io/docs/specs/semconv/database/database-spans/",
    verified=True,
    export="Any trace export: the collector's file exporter, an SDK's console or file exporter, or a trace backend.",
    limits="It rarely holds what was found; a vector store that is not known by name is no retrieval.",
    of="span",
    # Marks that every span has set the order of dialects: plain, transport, gen_ai, OpenInference, a vendor's own.
    recognise=Recognise(
        keys=(("trace_id",), ("span_id",), ("attributes",)),
        any_of=(tuple(("attributes", key) for key in MARKS),),
    ),
    fields={
        name: path(name)
        for name in ("trace_id", "span_id", "parent_id", "name", "start", "end", "status", "service", "scope", "events")
    }
    | {"span_kind": path("kind"), "status_text": path("status_message"), "exception": path("error", "type")}
    | {name: path("attributes", key) for name, key in (OWN | COLLECTIONS).items()},
    time="start",
    end="end",
    time_kind="start",
    columns={
        "name": "name",
        "service": "service",
        "span_id": "span_id",
        "parent_id": filled("parent_id"),
        "session": "session",
        "user": "user",
        "outcome": outcome,
        "error_type": pl.coalesce(error, pl.when(broke).then(pl.col("code"))),
        "input": statement,
    },
    ids=(Id("trace_id", "trace_id"),),
    attributes={
        "span_kind": "span_kind",
        "scope": "scope",
        "system": system,
        "operation": operation,
        "database": pl.coalesce("space", "database"),
        "rows": whole("rows"),
        "error": pl.col("status_text").str.extract("^(.+)", 1).str.slice(0, 240),
    },
    events=(
        Event(
            kind="retrieval.query",
            layer="retrieval",
            when=search,
            columns={"index_name": pl.coalesce("collection", *COLLECTIONS, "table", "mongo")},
            parameters={"top_k": "top_k"},
            documents=Documents(
                listed,
                id=("attributes", "db.query.result.id"),
                score=("attributes", "db.query.result.score"),
                text=("attributes", "db.query.result.document"),
            ),
        ),
        Event(
            kind="retrieval.index",
            layer="retrieval",
            when=index,
            columns={"index_name": pl.coalesce("collection", *COLLECTIONS, "table", "mongo")},
        ),
        Event(kind="app.step", when=~search & ~index),
    ),
)
