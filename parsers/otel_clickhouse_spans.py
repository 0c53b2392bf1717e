"""Rows of the table `otel_traces` that the OpenTelemetry collector keeps in ClickHouse (JSON, Parquet, CSV).

`Timestamp` is the start, printed in the server's zone without saying so (UTC unless someone changed it); `Duration` is
ns. In CSV maps and lists are ClickHouse literals. Attribute values are text, whatever they were.
"""

import ast
import re
from datetime import datetime, timedelta
from typing import Any

from strataline.format import Format, Recognise, decode
from strataline.span import span

SECOND = len("2026-03-04 09:15:00")
# Nothing but plain texts: with other quotes this is JSON.
PLAIN = re.compile(r"""[\[{](?:'[^'"\\\x00-\x1f\x7f]*'[:,]?)*[\]}]""")


def items(text: str) -> list[str]:
    """The one item of a row."""
    row = decode(text)
    start, resource = row.get("Timestamp"), mapping(row.get("ResourceAttributes"))
    return [
        span(
            attributes=mapping(row.get("SpanAttributes")),
            kind=row.get("SpanKind"),
            status=row.get("StatusCode"),
            status_message=row.get("StatusMessage"),
            events=[
                {"name": name, "time": time, "attributes": mapping(given)}
                for name, time, given in zip(
                    listed(row, "Events", "Name"),
                    listed(row, "Events", "Timestamp"),
                    listed(row, "Events", "Attributes"),
                    strict=False,
                )
            ],
            name=row.get("SpanName"),
            trace_id=row.get("TraceId"),
            span_id=row.get("SpanId"),
            parent_id=row.get("ParentSpanId"),
            start=start,
            end=ended(start, row.get("Duration")),
            service=row.get("ServiceName"),
            scope=row.get("ScopeName"),
            scope_version=row.get("ScopeVersion"),
            resource=resource or None,
            links=[
                {"trace_id": trace_id, "span_id": span_id}
                for trace_id, span_id in zip(
                    listed(row, "Links", "TraceId"), listed(row, "Links", "SpanId"), strict=False
                )
            ]
            or None,
        )
    ]


def ended(start: object, long: object) -> str | None:
    """Start and duration together, in the notation and zone of the start."""
    if not isinstance(start, str) or not str(long).isdigit():
        return None
    rest = start[SECOND:].lstrip(".0123456789")
    digits = start[SECOND : len(start) - len(rest)].lstrip(".")
    try:
        begun = datetime.fromisoformat(start[:SECOND])
        seconds, ns = divmod(int(digits[:9].ljust(9, "0")) + int(str(long)), 10**9)
        return f"{(begun + timedelta(seconds=seconds)).isoformat(sep=' ')}.{ns:09}{rest}"
    except (ValueError, OverflowError):
        return None


def mapping(given: object, head: str = "") -> dict[str, Any]:
    """A map as such: an object, objects in objects where the column is of type JSON, or a literal in CSV."""
    given = literal(given)
    made: dict[str, Any] = {}
    for key, value in given.items() if isinstance(given, dict) else ():
        if isinstance(value, dict):
            made |= mapping(value, f"{head}{key}.")
        else:
            made[f"{head}{key}"] = value
    return made


def listed(row: dict[str, Any], name: str, part: str) -> list[Any]:
    """One column of a nested list: a column of its own, or a member of objects."""
    found = literal(row.get(f"{name}.{part}"))
    if isinstance(found, list):
        return found
    whole = row.get(name)
    return [one.get(part) for one in whole if isinstance(one, dict)] if isinstance(whole, list) else []


def literal(cell: object) -> Any:
    """What a cell of CSV holds: the map or list that its text spells, else the text."""
    if not isinstance(cell, str) or cell[:1] not in ("[", "{"):
        return cell
    try:
        if PLAIN.fullmatch(cell):
            return decode(cell.replace("'", '"'))
    except ValueError:
        pass
    try:
        return ast.literal_eval(cell)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return cell


FORMAT = Format(
    name="otel_clickhouse_spans",
    title="OpenTelemetry spans from ClickHouse",
    layer="other",
    reference="https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/clickhouseexporter",
    recognise=Recognise(
        keys=(("Timestamp",), ("TraceId",), ("SpanId",), ("SpanName",), ("SpanAttributes",), ("Duration",))
    ),
    reshape=items,
    items="span",
    fields={},
    events=(),
    export="`SELECT * FROM otel_traces … FORMAT JSONEachRow` (or Parquet).",
    limits="The row states no zone for its times, and has lost the types of attribute values.",
)
