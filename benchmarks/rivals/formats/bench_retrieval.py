"""The benchmark's search service: queries and rerankings, with the documents that they gave."""

import polars as pl

from strataline.format import Documents, Event, Format, Id, Recognise, path

op = pl.col("op")
hits = Documents("hits", id=("doc",), score=("score",), version=("version",))

FORMAT = Format(
    name="bench_retrieval",
    title="Benchmark: search service",
    layer="retrieval",
    reference="benchmarks/rivals/generate.py",
    recognise=Recognise(
        keys=(("at",), ("op",), ("req", "user"), ("hits",), ("took_ms",)), where=((("op",), r"^(?:search|rerank)$"),)
    ),
    fields={
        "at": path("at", verbatim=True),
        "op": path("op"),
        "request": path("req", "id"),
        "user": path("req", "user"),
        "index": path("index"),
        "index_version": path("index_version"),
        "model": path("model"),
        "query": path("query"),
        "hits": path("hits"),
        "took_ms": path("took_ms"),
    },
    time="at",
    columns={
        "name": "op",
        "service": pl.lit("search"),
        "user": "user",
        "index_name": "index",
        "index_version": "index_version",
        "embedding_model": "model",
    },
    ids=(Id("search_request", "request"),),
    attributes={"took_ms": "took_ms"},
    events=(
        Event("retrieval.query", when=op == "search", columns={"input": "query"}, documents=hits),
        Event("retrieval.rerank", when=op == "rerank", documents=hits),
    ),
)
