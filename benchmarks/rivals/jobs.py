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
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(DUCKDB.replace("$data", f"'{data}'").replace("$out", f"'{out}'"))


def polars_(data: Path, out: Path) -> None:
    """Polars: lazy scans with a schema, one streaming sink."""
    import polars as pl

    text, whole = pl.String, pl.Int64

    def iso(name: str) -> pl.Expr:
        return pl.col(name).str.to_datetime("%+", time_unit="us", time_zone="UTC")

    def inner(name: str, field: str) -> pl.Expr:
        return pl.col(name).struct.field(field)

    def scanned(layer: str, schema: Mapping[str, Any], summary: pl.Expr, **columns: pl.Expr) -> pl.LazyFrame:
        lines = pl.scan_ndjson(data / f"{layer}.jsonl", schema=schema)
        return lines.select(layer=pl.lit(layer), **columns, summary=summary.str.slice(0, 200))

    none = pl.lit(None, text)
    seconds = pl.from_epoch((pl.col("at") * 1e6).round().cast(whole), "us")
    frames = [
        scanned(
            "prompt",
            dict.fromkeys(("timestamp", "event", "request_id", "question", "prompt"), text),
            pl.coalesce("question", "prompt"),
            time=iso("timestamp"),
            id=pl.col("request_id"),
            alias=none,
            kind=pl.col("event"),
        ),
        scanned(
            "retrieval",
            {"at": pl.Float64, "op": text, "req": pl.Struct({"id": text}), "query": text},
            pl.col("query"),
            time=seconds.dt.replace_time_zone("UTC"),
            id=inner("req", "id"),
            alias=none,
            kind=pl.col("op"),
        ),
        scanned(
            "model",
            {
                **dict.fromkeys(("started_at", "call_id"), text),
                "metadata": pl.Struct({"correlation_id": text}),
                "response": pl.Struct({"content": text}),
            },
            inner("response", "content"),
            time=iso("started_at"),
            id=inner("metadata", "correlation_id"),
            alias=pl.col("call_id"),
            kind=pl.lit("chat"),
        ),
        scanned(
            "policy",
            {
                **dict.fromkeys(("time", "decision", "stage", "verdict"), text),
                "context": pl.Struct({"turn": text}),
            },
            pl.col("verdict"),
            time=iso("time"),
            id=inner("context", "turn"),
            alias=pl.col("decision"),
            kind=pl.col("stage"),
        ),
        scanned(
            "ui",
            {"ts": whole, **dict.fromkeys(("action", "turnId", "messageId", "text"), text)},
            pl.col("text"),
            time=pl.from_epoch("ts", "ms").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            id=pl.col("turnId"),
            alias=pl.col("messageId"),
            kind=pl.col("action"),
        ),
    ]
    pl.concat(frames).sort("id", "time").sink_parquet(out, compression="zstd", engine="streaming")


def pandas_(data: Path, out: Path) -> None:
    """Pandas: read_json by lines, concat, sort_values, to_parquet."""
    import pandas as pd

    def read(layer: str) -> pd.DataFrame:
        # Times are put in below; ids and texts are no dates and no numbers.
        return pd.read_json(data / f"{layer}.jsonl", lines=True, dtype=False)

    def frame(layer: str, time: pd.Series, summary: pd.Series, **columns: pd.Series | str | None) -> pd.DataFrame:
        made = pd.DataFrame({"layer": layer, "time": time.astype("datetime64[us, UTC]")}, index=time.index)
        return made.assign(**columns, summary=summary.str[:200])

    def iso(time: pd.Series) -> pd.Series:
        return pd.to_datetime(time, utc=True, format="ISO8601")

    prompt, retrieval, model, policy, ui = (read(layer) for layer in ("prompt", "retrieval", "model", "policy", "ui"))
    seconds = (retrieval["at"] * 1e6).round().astype("int64")
    parts = [
        frame(
            "prompt",
            iso(prompt["timestamp"]),
            prompt["question"].fillna(prompt["prompt"]),
            id=prompt["request_id"],
            alias=None,
            kind=prompt["event"],
        ),
        frame(
            "retrieval",
            pd.to_datetime(seconds, unit="us", utc=True),
            retrieval["query"],
            id=retrieval["req"].str["id"],
            alias=None,
            kind=retrieval["op"],
        ),
        frame(
            "model",
            iso(model["started_at"]),
            model["response"].str["content"],
            id=model["metadata"].str["correlation_id"],
            alias=model["call_id"],
            kind="chat",
        ),
        frame(
            "policy",
            iso(policy["time"]),
            policy["verdict"],
            id=policy["context"].str["turn"],
            alias=policy["decision"],
            kind=policy["stage"],
        ),
        frame(
            "ui",
            pd.to_datetime(ui["ts"], unit="ms", utc=True),
            ui["text"],
            id=ui["turnId"],
            alias=ui["messageId"],
            kind=ui["action"],
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
