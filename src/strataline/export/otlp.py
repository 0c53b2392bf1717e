"""Requests as OTLP traces (protobuf's JSON mapping): one ``TracesData`` on each line, of one request.

This is what the OpenTelemetry collector's file exporter writes and its ``otlpjsonfile`` receiver reads.

- The trace id is the request's id, a span's id the first half of the event's id: ours, not those of the emitters, which
  stand among the attributes. The span above all others is made up for the request and says so.
- A span's parent is the event that it is a child or an attempt of, where that comes before it in the request's order;
  else the request. All other relations are span links, and so are those into other requests.
- Columns have their names in the GenAI conventions of OpenTelemetry where these have one, else ``strataline.<column>``.
- Events without a time have no span: the request's span lists them. Events of no request are left out.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Any, BinaryIO

import polars as pl

from strataline.escape import json_line
from strataline.event import EVENTS, MAP, TIME, Column
from strataline.export import jsonl
from strataline.export.spans import END, LINKED, START
from strataline.export.sql import BATCH, Tables, iso, literal

SCOPE = "strataline"

NAMES = {
    "requested_model": "gen_ai.request.model",
    "served_model": "gen_ai.response.model",
    "provider": "gen_ai.provider.name",
    "response_id": "gen_ai.response.id",
    "finish_reason": "gen_ai.response.finish_reasons",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "index_name": "gen_ai.data_source.id",
    "template_name": "gen_ai.prompt.name",
    "session": "session.id",
    "user": "user.id",
    "error_type": "error.type",
    "http_status": "http.response.status_code",
}
"""Our columns → their names in the conventions of OpenTelemetry."""

_PARENTS = "('child_of', 'attempt_of')"
_TIMED = "corrected_time IS NOT NULL AND request IS NOT NULL"


def write(tables: Tables, out: BinaryIO) -> int:
    """Write the requests of the chosen events; return how many events became spans."""
    spans = 0
    roots = _roots(tables)
    for request, rows in groupby(_spans(tables), key=itemgetter("request")):
        by_service: dict[str, list[str]] = {}
        for row in rows:
            by_service.setdefault(row["service"], []).append(row["span"])
            spans += 1
        root = roots.pop(request, None)
        parts = [_resource('"strataline"', [root])] if root else []
        parts += [_resource(service, some) for service, some in by_service.items()]
        line = f'{{"resourceSpans":[{",".join(parts)}]}}'
        out.write(json_line(line).encode() + b"\n")
    return spans


def _resource(service: str, spans: list[str]) -> str:
    named = f'{{"attributes":[{{"key":"service.name","value":{{"stringValue":{service}}}}}]}}'
    return f'{{"resource":{named},"scopeSpans":[{{"scope":{{"name":"{SCOPE}"}},"spans":[{",".join(spans)}]}}]}}'


def _hex(column: str, digits: int) -> str:
    """An id of so many hex digits; what is none, as in a table that somebody else wrote, is hashed."""
    return (
        f"left(CASE WHEN regexp_full_match({column}, '[0-9a-f]{{32}}') AND {column} NOT LIKE '{'0' * digits}%'"
        f" THEN {column} ELSE md5({column}) END, {digits})"
    )


def _roots(tables: Tables) -> dict[str, str]:
    """Request → the span that stands for it."""
    attributes = [
        _attribute("strataline.made_up", '{"boolValue":true}', quoted=True),
        _attribute("strataline.request", _string("r.request")),
        _attribute("strataline.request.kind", _string("r.kind")),
        _attribute("session.id", _string("r.session")),
        _attribute("user.id", _string('r."user"')),
        _attribute("strataline.tenant", _string("r.tenant")),
        *(
            _attribute(f"strataline.{name}", _strings(f"r.{name}"))
            for name in ("layers_present", "layers_absent", "layers_not_covered", "layers_ambiguous", "outcomes")
        ),
        _attribute("strataline.events_without_time", _strings("c.untimed")),
    ]
    query = f"""
        WITH c AS (
            SELECT request, min({START}) AS began, max({END}) AS ended,
                list(event_id ORDER BY seq, event_id) FILTER (WHERE corrected_time IS NULL) AS untimed
            FROM chosen WHERE request IS NOT NULL GROUP BY request
        )
        SELECT c.request, concat('{{"traceId":"', {_hex("c.request", 32)},
            '","spanId":"', left(md5('request ' || c.request), 16), '","name":"request","kind":1',
            ',"startTimeUnixNano":"', c.began, '","endTimeUnixNano":"', c.ended,
            '","attributes":[', concat_ws(',', {", ".join(attributes)}), ']}}') AS span
        FROM c LEFT JOIN requests r ON r.request = c.request WHERE c.began IS NOT NULL
    """
    found: dict[str, str] = {}
    for batch in tables.database.sql(query).to_arrow_reader(BATCH):
        found.update(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    return found


def _spans(tables: Tables) -> Any:
    attributes = ", ".join(_of(column) for column in EVENTS.columns if column.name not in ("service", "request"))
    link = (
        f"""concat('{{"traceId":"', {_hex("t.request", 32)}, '","spanId":"', {_hex("l.to_event", 16)},"""
        f""" '","attributes":[', {_attribute("strataline.relation", _string("l.relation"))}, ',',"""
        f""" {_attribute("strataline.method", _string("coalesce(l.method, '')"))}, ']}}')"""
    )
    query = f"""
        WITH linked AS ({LINKED}),
        -- The earliest of several parents, so that a span has one; before it, so that none is its own ancestor.
        parents AS (
            SELECT l.from_event, arg_min(l.to_event, (t.seq, l.to_event)) AS parent
            FROM linked l JOIN chosen f ON f.event_id = l.from_event
            JOIN chosen t ON t.event_id = l.to_event AND t.request = f.request AND t.seq < f.seq
            WHERE l.relation IN {_PARENTS} AND t.corrected_time IS NOT NULL GROUP BY l.from_event
        ),
        others AS (
            SELECT l.from_event, string_agg({link}, ',' ORDER BY l.relation, l.to_event, l.method) AS links
            FROM linked l JOIN events t ON t.event_id = l.to_event AND t.request IS NOT NULL
            LEFT JOIN parents p ON p.from_event = l.from_event
            WHERE NOT (l.relation IN {_PARENTS} AND p.parent IS NOT DISTINCT FROM l.to_event)
            GROUP BY l.from_event
        )
        SELECT e.request, to_json(coalesce(service, 'unnamed'))::VARCHAR AS service,
            concat('{{"traceId":"', {_hex("e.request", 32)}, '","spanId":"', {_hex("e.event_id", 16)},
                '","parentSpanId":"',
                coalesce({_hex("p.parent", 16)}, left(md5('request ' || e.request), 16)),
                '","name":', to_json(coalesce(kind, 'event')), ',"kind":1',
                ',"startTimeUnixNano":"', {START}, '","endTimeUnixNano":"', {END}, '"',
                ',"attributes":[', concat_ws(',', {attributes}), ']',
                coalesce(concat(',"links":[', o.links, ']'), ''),
                CASE WHEN outcome IN ('error', 'timeout')
                    THEN concat(',"status":{{"code":2,"message":', to_json(coalesce(error_type, outcome)), '}}')
                    WHEN outcome = 'ok' THEN ',"status":{{"code":1}}' ELSE '' END,
                '}}') AS span
        FROM (SELECT * FROM chosen WHERE {_TIMED}) e
        LEFT JOIN parents p ON p.from_event = e.event_id
        LEFT JOIN others o ON o.from_event = e.event_id
        LEFT JOIN (SELECT request AS opens, start_time AS opened FROM requests) r ON r.opens = e.request
        ORDER BY r.opened NULLS LAST, e.request, e.seq, e.event_id
    """
    for batch in tables.database.sql(query).to_arrow_reader(BATCH):
        yield from batch.to_pylist()


def _attribute(key: str, value: str, *, quoted: bool = False) -> str:
    """An attribute in SQL; null where `value` is."""
    return f"""('{{"key":"{key}","value":' || {literal(value) if quoted else value} || '}}')"""


def _string(text: str) -> str:
    return f"""('{{"stringValue":' || to_json({text}) || '}}')"""


def _strings(texts: str) -> str:
    values = f"list_transform({texts}, lambda one: {{'stringValue': one}})"
    return f"""CASE WHEN len({texts}) > 0 THEN '{{"arrayValue":{{"values":' || to_json({values}) || '}}}}' END"""


def _of(column: Column) -> str:
    name, key = f'e."{column.name}"', NAMES.get(column.name, f"strataline.{column.name}")
    if column.name == "finish_reason":
        return _attribute(key, _strings(f"CASE WHEN {name} IS NULL THEN NULL ELSE [{name}] END"))
    if column.dtype == pl.String():
        return _attribute(key, _string(name))
    if column.dtype == pl.Int64():
        return _attribute(key, f"""('{{"intValue":"' || {name} || '"}}')""")
    if column.dtype == pl.Float64():
        return _attribute(key, f"""('{{"doubleValue":' || {jsonl.number(name)} || '}}')""")
    if column.dtype == pl.Boolean():
        return _attribute(key, f"""('{{"boolValue":' || {name} || '}}')""")
    if column.dtype == TIME:
        return _attribute(key, f"""('{{"stringValue":"' || {iso(name)} || '"}}')""")
    if column.name in ("ids", "refs"):
        kept = f"list_transform({name}, lambda one: coalesce(one.kind, '') || '=' || coalesce(one.value, ''))"
        return _attribute(key, _strings(kept))
    size = "cardinality" if column.dtype == MAP else "len"
    return _attribute(key, f"CASE WHEN {size}({name}) > 0 THEN {_string(f'to_json({name})::VARCHAR')} END")
