"""What one would do by hand: five files to one Parquet file, ordered by request and time.

    python benchmarks/rivals/jobs.py duckdb DATA OUT

Each job maps five schemas to layer, time (UTC, us), id (the request's), alias (the call's, decision's or message's),
kind and summary (200 characters of the text), puts them together, sorts by (id, time) and writes Parquet (zstd). None
keeps where a record lies, survives a damaged line, or knows that clocks are wrong. Each imports nothing but its own
library, so that a job's process pays for that job alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

DUCKDB = """
COPY (
  SELECT * FROM (
    SELECT 'prompt' AS layer, CAST(CAST(timestamp AS TIMESTAMPTZ) AS TIMESTAMP) AS time, request_id AS id,
           NULL AS alias, event AS kind, left(coalesce(question, prompt), 200) AS summary
    FROM read_json($data || '/prompt.jsonl', format='newline_delimited', columns={timestamp: 'VARCHAR',
         event: 'VARCHAR', request_id: 'VARCHAR', question: 'VARCHAR', prompt: 'VARCHAR'})
    UNION ALL
    SELECT 'retrieval', make_timestamp(CAST("at" * 1e6 AS BIGINT)), req.id, NULL, op, left(query, 200)
    FROM read_json($data || '/retrieval.jsonl', format='newline_delimited', columns={"at": 'DOUBLE', op: 'VARCHAR',
         req: 'STRUCT(id VARCHAR)', query: 'VARCHAR'})
    UNION ALL
    SELECT 'model', CAST(CAST(started_at AS TIMESTAMPTZ) AS TIMESTAMP), metadata.correlation_id, call_id, 'chat',
           left(response.content, 200)
    FROM read_json($data || '/model.jsonl', format='newline_delimited', columns={started_at: 'VARCHAR',
         call_id: 'VARCHAR', metadata: 'STRUCT(correlation_id VARCHAR)', response: 'STRUCT(content VARCHAR)'})
    UNION ALL
    SELECT 'policy', CAST(CAST("time" AS TIMESTAMPTZ) AS TIMESTAMP), context.turn, decision, stage, verdict
    FROM read_json($data || '/policy.jsonl', format='newline_delimited', columns={"time": 'VARCHAR',
         decision: 'VARCHAR', context: 'STRUCT(turn VARCHAR)', stage: 'VARCHAR', verdict: 'VARCHAR'})
    UNION ALL
    SELECT 'ui', make_timestamp(ts * 1000), turnId, messageId, action, left(text, 200)
    FROM read_json($data || '/ui.jsonl', format='newline_delimited', columns={ts: 'BIGINT', action: 'VARCHAR',
         turnId: 'VARCHAR', messageId: 'VARCHAR', text: 'VARCHAR'})
  ) ORDER BY id, time
) TO $out (FORMAT parquet, COMPRESSION zstd)
"""

KINDS = {
    "prompt": {"chat.received": 0, "prompt.rendered": 4},
    "retrieval": {"search": 2, "rerank": 3},
    "model": {"chat": 5},
    "policy": {"input": 1, "output": 7},
    "ui": {"answer_shown": 8, "answer_rated": 9},
}
"""Layer and kind → causal rank; both calls of a request have the first's."""


def duckdb_(data: Path, out: Path) -> None:
    """DuckDB: typed columns, one statement."""
    import duckdb  # noqa: PLC0415

    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        query = DUCKDB.replace("$data", f"'{data}'").replace("$out", f"'{out}'")
        connection.execute(query)


def polars_(data: Path, out: Path) -> None:
    """Polars: lazy scans with a schema, one streaming sink."""
    import polars as pl  # noqa: PLC0415

    text, whole = pl.String, pl.Int64

    def scanned(layer: str, schema: Mapping[str, Any]) -> pl.LazyFrame:
        return pl.scan_ndjson(data / f"{layer}.jsonl", schema=schema).with_columns(layer=pl.lit(layer))

    def iso(name: str) -> pl.Expr:
        return pl.col(name).str.to_datetime("%+", time_unit="us", time_zone="UTC")

    def inner(name: str, field: str) -> pl.Expr:
        return pl.col(name).struct.field(field)

    def summary(one: pl.Expr) -> pl.Expr:
        return one.str.slice(0, 200).alias("summary")

    none = pl.lit(None, text)
    names = ("timestamp", "event", "request_id", "question", "prompt")
    model = {
        "started_at": text,
        "call_id": text,
        "metadata": pl.Struct({"correlation_id": text}),
        "response": pl.Struct({"content": text}),
    }
    policy = dict.fromkeys(("time", "decision", "stage", "verdict"), text) | {"context": pl.Struct({"turn": text})}
    ui = {"ts": whole} | dict.fromkeys(("action", "turnId", "messageId", "text"), text)
    epoch = pl.from_epoch((pl.col("at") * 1e6).round().cast(whole), "us").dt.replace_time_zone("UTC")
    frames = [
        scanned("prompt", dict.fromkeys(names, text)).select(
            "layer",
            iso("timestamp").alias("time"),
            pl.col("request_id").alias("id"),
            none.alias("alias"),
            pl.col("event").alias("kind"),
            summary(pl.coalesce("question", "prompt")),
        ),
        scanned("retrieval", {"at": pl.Float64, "op": text, "req": pl.Struct({"id": text}), "query": text}).select(
            "layer",
            epoch.alias("time"),
            inner("req", "id").alias("id"),
            none.alias("alias"),
            pl.col("op").alias("kind"),
            summary(pl.col("query")),
        ),
        scanned("model", model).select(
            "layer",
            iso("started_at").alias("time"),
            inner("metadata", "correlation_id").alias("id"),
            pl.col("call_id").alias("alias"),
            pl.lit("chat").alias("kind"),
            summary(inner("response", "content")),
        ),
        scanned("policy", policy).select(
            "layer",
            iso("time").alias("time"),
            inner("context", "turn").alias("id"),
            pl.col("decision").alias("alias"),
            pl.col("stage").alias("kind"),
            summary(pl.col("verdict")),
        ),
        scanned("ui", ui).select(
            "layer",
            pl.from_epoch("ts", "ms").cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias("time"),
            pl.col("turnId").alias("id"),
            pl.col("messageId").alias("alias"),
            pl.col("action").alias("kind"),
            summary(pl.col("text")),
        ),
    ]
    pl.concat(frames).sort("id", "time").sink_parquet(out, compression="zstd", engine="streaming")


def pandas_(data: Path, out: Path) -> None:
    """Pandas: read_json by lines, concat, sort_values, to_parquet."""
    import pandas as pd  # noqa: PLC0415

    def read(layer: str) -> pd.DataFrame:
        # Times are put in below; ids and texts are no dates and no numbers.
        return pd.read_json(data / f"{layer}.jsonl", lines=True, dtype=False)

    def frame(layer: str, time: pd.Series, one: pd.DataFrame, **columns: pd.Series | str | None) -> pd.DataFrame:
        made = pd.DataFrame({"layer": layer, "time": time.astype("datetime64[us, UTC]")}, index=one.index)
        return made.assign(**columns)

    prompt, retrieval, model, policy, ui = (read(layer) for layer in ("prompt", "retrieval", "model", "policy", "ui"))
    parts = [
        frame(
            "prompt",
            pd.to_datetime(prompt["timestamp"], utc=True, format="ISO8601"),
            prompt,
            id=prompt["request_id"],
            alias=None,
            kind=prompt["event"],
            summary=prompt["question"].fillna(prompt["prompt"]).str[:200],
        ),
        frame(
            "retrieval",
            pd.to_datetime((retrieval["at"] * 1e6).round().astype("int64"), unit="us", utc=True),
            retrieval,
            id=retrieval["req"].str["id"],
            alias=None,
            kind=retrieval["op"],
            summary=retrieval["query"].str[:200],
        ),
        frame(
            "model",
            pd.to_datetime(model["started_at"], utc=True, format="ISO8601"),
            model,
            id=model["metadata"].str["correlation_id"],
            alias=model["call_id"],
            kind="chat",
            summary=model["response"].str["content"].str[:200],
        ),
        frame(
            "policy",
            pd.to_datetime(policy["time"], utc=True, format="ISO8601"),
            policy,
            id=policy["context"].str["turn"],
            alias=policy["decision"],
            kind=policy["stage"],
            summary=policy["verdict"],
        ),
        frame(
            "ui",
            pd.to_datetime(ui["ts"], unit="ms", utc=True),
            ui,
            id=ui["turnId"],
            alias=ui["messageId"],
            kind=ui["action"],
            summary=ui["text"].str[:200],
        ),
    ]
    whole = pd.concat(parts, ignore_index=True).sort_values(["id", "time"], na_position="last")
    whole.to_parquet(out, compression="zstd", index=False)


JOBS: dict[str, Callable[[Path, Path], None]] = {"duckdb": duckdb_, "polars": polars_, "pandas": pandas_}


def main() -> None:
    """Do one job."""
    name, data, out = sys.argv[1:]
    JOBS[name](Path(data), Path(out))


if __name__ == "__main__":
    main()
