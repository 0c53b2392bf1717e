"""Events as a Chrome trace (JSON), which Perfetto, chrome://tracing and others draw.

A process for each layer, a track for each service of it; what overlaps there gets a further track. Events of one call
stand in one another where their times do (attempts in their call). Arrows go along the taken links between events,
from the earlier to the later. Source: Trace Event Format (``X``, ``s``, ``f``, ``M``).

Times are microseconds since the first event, whose own time is in ``otherData``: a double holds no nanoseconds since
1970. An event without a time is left out and counted there.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import msgspec

from strataline.escape import printable
from strataline.event import LAYERS
from strataline.export.spans import END, LINKED, START
from strataline.export.sql import BATCH, Tables

_ARGS = (
    "event_id",
    "request",
    "seq",
    "call",
    "name",
    "outcome",
    "error_type",
    "verdict",
    "served_model",
    "requested_model",
    "link_method",
    "link_confidence",
    "clock_offset",
    "time_raw",
)
_TIMED = "corrected_time IS NOT NULL"


class Lanes:
    """The tracks of one service: an event takes the first that is free, or stands in the event of its call."""

    def __init__(self) -> None:
        self.count = 0
        self._busy: list[tuple[int, int]] = []
        self._free: list[int] = []
        self._open: dict[str, tuple[int, list[int]]] = {}

    def place(self, start: int, end: int, call: str | None) -> int:
        """The number of the track for an event from `start` to `end`; events come in the order of their start.

        Viewers tell which of two ends first by their ends: what has none takes up an instant of its track alone.
        """
        instant, end = end == start, max(end, start + 1)
        while self._busy and self._busy[0][0] <= start:
            heapq.heappush(self._free, heapq.heappop(self._busy)[1])
        lane, ends = self._open.get(call, (0, [])) if call is not None else (0, [])
        while ends and ends[-1] <= start:
            ends.pop()
        if ends and end <= ends[-1] - instant:
            ends.append(end)
            return lane
        if self._free:
            lane = heapq.heappop(self._free)
        else:
            lane, self.count = self.count, self.count + 1
        heapq.heappush(self._busy, (end, lane))
        if call is not None:
            self._open[call] = (lane, [end])
        return lane


def write(tables: Tables, out: BinaryIO) -> int:
    """Write the chosen events that have a time; return how many."""
    encode = msgspec.json.Encoder().encode
    zero = int(tables.one(f"SELECT min({START}) FROM chosen WHERE {_TIMED}") or 0)
    count, every = tables.count(_TIMED), tables.count()
    about = {
        "producer": "strataline",
        "zero_ns": str(zero),
        "zero": "nanoseconds since 1970 UTC at ts 0, by corrected time",
        "left_out_without_time": every - count,
    }
    out.write(b'{"displayTimeUnit":"ms","otherData":' + encode(about) + b',"traceEvents":[\n')
    arrows = _arrows(tables)
    lanes: dict[tuple[str, str], Lanes] = {}
    threads: dict[tuple[str, str, int], int] = {}
    lines: list[bytes] = []
    for row in _rows(tables):
        layer, service = row["layer"] or "other", row["service"] or "unnamed"
        start, end = row["start_ns"] - zero, max(row["end_ns"] - zero, row["start_ns"] - zero)
        lane = lanes.setdefault((layer, service), Lanes()).place(start, end, row["call"] or row["event_id"])
        process = 1 + (LAYERS.index(layer) if layer in LAYERS else len(LAYERS))
        thread = threads.setdefault((layer, service, lane), len(threads) + 1)
        place = {"pid": process, "tid": thread, "ts": start / 1000}
        args = {name: _text(row[name]) for name in (*_ARGS, "evidence") if row[name] is not None}
        piece = {
            "name": _text(row["kind"] or "event"),
            "cat": _text(layer),
            "ph": "X",
            **place,
            "dur": (end - start) / 1000,
        }
        lines.append(encode(piece | {"args": args}))
        for number, relation, ends in arrows.get(row["event_id"], ()):
            arrow = {"name": relation, "cat": "link", "ph": "f" if ends else "s", "id": number, **place}
            lines.append(encode(arrow | ({"bp": "e"} if ends else {})))
        if len(lines) >= BATCH:
            out.write(b",\n".join(lines) + b",\n")
            lines.clear()
    lines += [encode(one) for one in _names(threads)]
    out.write(b",\n".join(lines) + b"\n]}\n")
    return count


def _rows(tables: Tables) -> Iterator[dict[str, Any]]:
    query = f"""
        SELECT {", ".join(f'"{name}"' for name in _ARGS)}, layer, service, kind,
            concat(source, ':', coalesce(line::VARCHAR, 'row ' || "offset")) AS evidence,
            {START} AS start_ns, {END} AS end_ns
        FROM chosen WHERE {_TIMED}
        ORDER BY start_ns, end_ns DESC, source, "offset", item, index, event_id
    """
    for batch in tables.database.sql(query).to_arrow_reader(BATCH):
        yield from batch.to_pylist()


def _arrows(tables: Tables) -> Mapping[str, list[tuple[int, str, bool]]]:
    """Event id → its arrows: number, relation, and whether it ends there."""
    query = f"""
        SELECT relation, from_event, to_event, later FROM (
            SELECT l.relation, l.from_event, l.to_event, t.start_ns <= f.start_ns AS later,
                least(f.start_ns, t.start_ns) AS began
            FROM ({LINKED}) l
            JOIN (SELECT event_id, {START} AS start_ns FROM chosen WHERE {_TIMED}) f ON f.event_id = l.from_event
            JOIN (SELECT event_id, {START} AS start_ns FROM chosen WHERE {_TIMED}) t ON t.event_id = l.to_event
        ) ORDER BY began, from_event, to_event, relation
    """
    found: dict[str, list[tuple[int, str, bool]]] = {}
    number = 0
    for batch in tables.database.sql(query).to_arrow_reader(BATCH):
        for relation, one, other, later in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            number += 1
            found.setdefault(one, []).append((number, _text(relation), later))
            found.setdefault(other, []).append((number, _text(relation), not later))
    return found


def _names(threads: Mapping[tuple[str, str, int], int]) -> Iterator[dict[str, Any]]:
    """What the tracks are called, and their order."""
    named: set[str] = set()
    for (layer, service, lane), thread in sorted(threads.items()):
        process = 1 + (LAYERS.index(layer) if layer in LAYERS else len(LAYERS))
        if layer not in named:
            named.add(layer)
            yield {"name": "process_name", "ph": "M", "pid": process, "args": {"name": _text(layer)}}
            yield {"name": "process_sort_index", "ph": "M", "pid": process, "args": {"sort_index": process}}
        name = _text(service) + (f" ({lane + 1})" if lane else "")
        yield {"name": "thread_name", "ph": "M", "pid": process, "tid": thread, "args": {"name": name}}
        yield {"name": "thread_sort_index", "ph": "M", "pid": process, "tid": thread, "args": {"sort_index": thread}}


def _text(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value
