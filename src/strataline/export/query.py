"""SQL over the tables of a case: one SELECT, which can read these tables and nothing else, and change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from strataline.errors import CaseError
from strataline.escape import UNSEEN_IN_LINE, json_line
from strataline.export import csv, jsonl
from strataline.export.page import Page
from strataline.export.sql import BATCH, Odd, Tables, pour
from strataline.wording import count

FORMATS = ("table", "csv", "json", "parquet")
"""How a result can be written."""


def _mend(line: str) -> str:
    return json_line(jsonl.rewritten(line) if "NaN" in line or "Infinity" in line else line)


# Whoever asks may ask for any number, however deep in a list.
_ODD = Odd(rf"NaN|Infinity|{UNSEEN_IN_LINE}", _mend, "NaN|Infinity")


def ask(tables: Tables, sql: str) -> pa.RecordBatchReader:
    """The result of one SELECT, in batches; columns of one name are told apart by a number.

    Raises:
        CaseError: if it is no query, or cannot be answered.
    """
    try:
        sql.encode()
    except UnicodeEncodeError as problem:
        raise CaseError("the query holds bytes that are no UTF-8") from problem
    try:
        statements = tables.database.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            hint = "one SELECT (or FROM, WITH, VALUES, DESCRIBE, SUMMARIZE); PIVOT names its values with IN"
            raise CaseError("not one query that only reads", hint=hint)
        return tables.database.sql(statements[0].query).to_arrow_reader(BATCH)
    except duckdb.Error as problem:
        raise _refused(problem) from problem


def write(result: pa.RecordBatchReader, form: str, out: BinaryIO) -> int:
    """Write a result as CSV (as `export.csv` does), JSON Lines or Parquet; return how many rows.

    Raises:
        CaseError: if a row cannot be had, or not be written in this form.
    """
    try:
        if form == "parquet":
            return _parquet(result, out)
        schema = _told_apart(result.schema)
        if form == "csv":
            out.write(csv.head(one.replace('"', '""') for one in schema.names))
        rows = 0
        with duckdb.connect(config={"threads": 1, "arrow_large_buffer_size": True}) as writer:
            for batch in result:
                writer.register("rows", pa.Table.from_batches([batch]).rename_columns(schema.names))
                line = _csv(schema) if form == "csv" else _json(schema)
                odd = csv.ODD if form == "csv" else _ODD
                rows += pour(writer.sql(f"SELECT {line} AS line FROM rows"), out, odd)
    except (duckdb.Error, pa.ArrowException) as problem:
        raise _refused(problem) from problem
    return rows


def table(result: pa.RecordBatchReader, page: Page, limit: int) -> tuple[str, int]:
    """The first rows of a result as a table for reading, and how many rows there are.

    Raises:
        CaseError: if a row cannot be had.
    """
    schema = _told_apart(result.schema)
    lines: list[list[str]] = [schema.names]
    more = 0
    try:
        with duckdb.connect(config={"threads": 1}) as writer:
            for batch in result:
                kept = batch.slice(0, max(limit - len(lines) + 1, 0))
                more += len(batch) - len(kept)
                if len(kept):
                    writer.register("rows", pa.Table.from_batches([kept]).rename_columns(schema.names))
                    cells = ", ".join(f"coalesce({_plain(field)}, '')" for field in schema)
                    lines += [list(row) for row in writer.execute(f"SELECT {cells} FROM rows").fetchall()]
    except (duckdb.Error, pa.ArrowException) as problem:
        raise _refused(problem) from problem
    right = [place for place, field in enumerate(schema) if _is_number(field.type)]
    text = page.table(lines, 0, right) if schema.names else []
    shown = count(len(lines) - 1 + more, "row") + (f", the first {len(lines) - 1:,} shown (--limit)" if more else "")
    return "\n".join([*text, shown]) + "\n", len(lines) - 1 + more


def _parquet(result: pa.RecordBatchReader, out: BinaryIO) -> int:
    schema = _told_apart(result.schema)
    rows = 0
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for batch in result:
            writer.write_table(pa.Table.from_batches([batch]).rename_columns(schema.names))
            rows += len(batch)
    return rows


def _told_apart(schema: pa.Schema) -> pa.Schema:
    names: list[str] = []
    for name in schema.names:
        number = 1
        told = name
        while told.lower() in {one.lower() for one in names}:
            told, number = f"{name}_{number}", number + 1
        names.append(told)
    return pa.schema([field.with_name(name) for field, name in zip(schema, names, strict=True)])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _text(field: pa.Field) -> str | None:
    """A value as text in SQL, where it is a time or nested; null for every other."""
    kind, name = field.type, _quoted(field.name)
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        moment = "TIMESTAMP_NS" if kind.unit == "ns" else "TIMESTAMP"
        return f"(replace({name}::{moment}::VARCHAR, ' ', 'T') || 'Z')"
    return f"to_json({name})::VARCHAR" if pa.types.is_nested(kind) else None


def _plain(field: pa.Field) -> str:
    return _text(field) or f"{_quoted(field.name)}::VARCHAR"


def _csv(schema: pa.Schema) -> str:
    return csv.line(list(_cells(schema)))


def _cells(schema: pa.Schema) -> Iterator[str]:
    for field in schema:
        plain = _is_number(field.type) or pa.types.is_boolean(field.type) or pa.types.is_temporal(field.type)
        yield f"coalesce({_plain(field)}, '')" if plain else csv.quoted(_plain(field))


def _json(schema: pa.Schema) -> str:
    members = []
    for field in schema:
        text = _text(field)
        value = f"to_json({_quoted(field.name) if text is None or pa.types.is_nested(field.type) else text})"
        members.append((field.name, f"coalesce({value}, 'null')"))
    return jsonl.line(members)


def _refused(problem: Exception) -> CaseError:
    said = " ".join(str(problem).partition("\n\nLINE ")[0].split())
    return CaseError(
        f"the query cannot be answered: {said}", hint="DESCRIBE events lists its columns; so does docs/tables.md"
    )
