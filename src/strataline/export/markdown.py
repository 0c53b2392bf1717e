"""``timeline.md``: what was read, what the layers cover, and each request as an ordered table.

Everything that comes from a log stands in a code span (`escape.code`); plain words are this project's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from strataline import rows, wording
from strataline.escape import code, excerpt
from strataline.event import EVENTS, LAYERS, PRODUCT_LAYERS, narrow, only
from strataline.export.clocks import UNKNOWABLE, family_line, offset_cells, split
from strataline.rows import Chain, Row

COVERAGE_ROWS = 240
"""With more steps than this, coverage is shown by the hour, or by the day: a table must stay readable."""
CHANGES = 200
"""So many changes are listed."""

_NONE = "–"
_HOW_TO_READ = (
    "Evidence is named `source:line` (`#n` where a line holds several elements: element n, from 0). "
    "What stands `like this` comes from a log."
)
_NOTES = "What was guessed, refused, recovered or cut, and on what basis. All of them: `notes.parquet`."
_ASSUMED = "times there may be whole hours off, and `--zone GLOB=ZONE` states the zone."
_CHANGES = "What the logs record as changed, by time. What else changed, they do not say."
_COVERAGE = (
    "A number is events, and how many of them are tied to a request. `0`: a log of this layer has records before "
    "and after, and none here. `no log`: no log of this layer has records both before and after."
)
_OFFSETS = (
    "How far each clock is ahead of the reference: that much was taken from its times. `event_time` stays as logged."
)
_TIED_BY = (
    "`+ms` counts from the request's opening event (without one, from its first). *ids*: those that the heading "
    "does not name, and that are not under *tied by*. *Tied by*: the method and the id; then why the event stands "
    "after the one above it: causal (one must precede the other), clock (corrected time), tie (neither tells); "
    "`~0.97` is how sure a link by text or time is; any other is by an id; "
    "then what it is to other events, by their *seq* here, else by their evidence."
)
_STEPS = (("minute", "1m"), ("hour", "1h"), ("day", "1d"))


def timeline(
    tables: Mapping[str, pl.DataFrame],
    coverage: pl.DataFrame,
    manifest: Mapping[str, Any],
    limit: int | None,
    chosen: Sequence[str] | None = None,
) -> str:
    """Return the timeline of a case as Markdown (GitHub tables).

    Args:
        tables: the tables of the case by name (events, requests, links, sources, rejects, notes).
        coverage: as `examine.coverage` gives it.
        manifest: the case's manifest; its ``version`` is named.
        limit: how many requests are shown, in the order of their start; null for all.
        chosen: ids of the requests that are shown; null for any. All that stands before them is of the whole case.
    """
    requests = tables["requests"].sort("start_time", "request", nulls_last=True)
    parts = [
        _head(tables, manifest),
        _sources(tables["sources"]),
        _rejects(tables["rejects"]),
        _notes(tables["notes"]),
        _clocks(tables["clocks"]),
        _coverage(coverage),
        _changes(only(tables, "events", pl.col("layer") == "change")),
        _requests(requests, tables, limit, chosen),
        _left_open(),
    ]
    return "\n\n".join(parts) + "\n"


def _head(tables: Mapping[str, pl.DataFrame], manifest: Mapping[str, Any]) -> str:
    sources, events = tables["sources"], narrow(tables, "events", ("request", "corrected_time"))
    span = [
        wording.date_time(wording.epoch_ms(t)) for t in (events["corrected_time"].min(), events["corrected_time"].max())
    ]
    counts = [
        wording.count(sources.height, "source"),
        wording.count(int(sources["records"].sum()), "record"),
        wording.count(events.height, "event"),
        wording.count(tables["requests"].height, "request"),
    ]
    made = f"strataline {manifest.get('version', '')}".rstrip()
    tied = f"{events['request'].count():,} of {wording.count(events.height, 'event')} are tied to a request"
    times = f"All times are UTC. First event {span[0] or _NONE}, last {span[1] or _NONE}."
    return f"# Timeline\n\n{made} · {', '.join(counts)} · {tied}.\n\n{times} {_HOW_TO_READ}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; every row has a cell for each column, empty ones a dash."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell or _NONE for cell in line) + " |" for line in lines)


def _sources(sources: pl.DataFrame) -> str:
    head = [
        "source",
        "format",
        "zone",
        "records",
        "= with events",
        "+ rejected",
        "+ skipped",
        "events",
        "first",
        "last",
    ]
    counts = ("records", "with_events", "rejected", "skipped", "events")
    lines = [
        [
            code(row["source"]) + (f" (same content as {code(row['copy_of'])})" if row["copy_of"] else ""),
            code(row["format"]) if row["format"] else "not recognised",
            _zone(row),
            *(f"{row[name] or 0:,}" for name in counts),
            wording.date_time(row["first_time"]),
            wording.date_time(row["last_time"]),
        ]
        for row in rows.of(sources.sort("source"))
    ]
    sums = [f"{int(sources[name].sum()):,}" for name in counts]
    table = _table(head, [*lines, ["all", "", "", *sums, "", ""]])
    assumed = sources.filter(pl.col("zone_basis") == "assumed").height
    said = f" The zone of {wording.count(assumed, 'source')} is assumed: {_ASSUMED}" if assumed else ""
    return f"## What was read\n\n{table}\n\nSizes and SHA-256: `sources.parquet`.{said}"


def _zone(row: Row) -> str:
    if row["zone_basis"] is None:
        return "unreadable" if row["container"] == "unreadable" else "no times"
    if row["zone"] is None:
        return str(row["zone_basis"])
    return f"{code(row['zone'])} ({row['zone_basis']})"


def _rejects(rejects: pl.DataFrame) -> str:
    if rejects.is_empty():
        return "### Rejected records\n\nNone."
    reasons = (
        rejects.sort("source", "offset")
        .group_by("reason", maintain_order=True)
        .agg(
            pl.len().alias("records"),
            pl.col("source").n_unique().alias("sources"),
            pl.struct("source", "line", "offset").first().alias("first"),
        )
        .sort("records", "reason", descending=[True, False])
    )
    lines = [
        [code(row["reason"]), f"{row['records']:,}", f"{row['sources']:,}", code(rows.address(row["first"]))]
        for row in reasons.iter_rows(named=True)
    ]
    table = _table(["reason", "records", "in sources", "first"], lines)
    return f"### Rejected records\n\n{table}\n\nEach of them, with the place of its bytes: `rejects.parquet`."


def _notes(notes: pl.DataFrame) -> str:
    if notes.is_empty():
        return "### Notes\n\nNone."
    lines = [
        [code(row["topic"]), f"{row['notes']:,}", f"{row['concerned']:,}", code(row["detail"] or "")]
        for row in rows.topics(notes)
    ]
    table = _table(["topic", "notes", "records or events concerned", "the first of them"], lines)
    return f"### Notes\n\n{_NOTES}\n\n{table}"


def _clocks(clocks: pl.DataFrame) -> str:
    head = ["clock", "slice", "offset", "bracket", "pairs", "basis"]
    alone, families = split(clocks)
    lines = [
        [code(cells[0]), *cells[1:]] for cells in (offset_cells(row) for row in rows.of(alone.sort("clock", "slice")))
    ]
    lines += [[f"{code(name + ':…')}, {told}", "", "", "", "", ""] for name, told in map(family_line, families.items())]
    if not lines:
        return "## Clocks\n\nNo event states a time by a clock."
    return f"## Clocks\n\n{_OFFSETS} {UNKNOWABLE}\n\n{_table(head, lines)}"


def _coverage(coverage: pl.DataFrame) -> str:
    layers = [layer for layer in LAYERS if layer in set(coverage["layer"])]
    timed = coverage.filter(pl.col("minute").is_not_null())
    busy = timed.filter(pl.col("events").sum().over("minute") > 0)
    unit, step = next(
        (one for one in _STEPS if busy["minute"].dt.truncate(one[1]).n_unique() <= COVERAGE_ROWS), _STEPS[-1]
    )
    text = [f"## Coverage by layer and {unit}", "", wording.ABSENCE, ""]
    if not layers:
        return "\n".join([*text, "No events."])
    text += [_COVERAGE, ""]
    if unit == "minute":
        steps = rows.of(timed)
    else:
        text += [f"`in n min`: how many minutes of the {unit} have a record. Without any record, no line.", ""]
        steps = rows.of(_coarse(busy, step))
    cells: dict[int, dict[str, str]] = {}
    for row in steps:
        cells.setdefault(row["minute"], {})[row["layer"]] = _coverage_cell(row, fine=unit == "minute")
    spans = {row["minute"]: row["minutes"] for row in steps}
    table = [[_span(at, spans[at]), *(of[layer] for layer in layers)] for at, of in cells.items()]
    untimed = {row["layer"]: row for row in coverage.filter(pl.col("minute").is_null()).to_dicts()}
    if untimed:
        table.append(["no time", *(_coverage_cell(untimed[layer] | {"covered": True}, fine=True) for layer in layers)])
    sums = coverage.group_by("layer").agg(pl.col("events", "linked").sum(), pl.lit(value=False).alias("covered"))
    totals = {row["layer"]: row for row in sums.to_dicts()}
    table.append(["all", *(_coverage_cell(totals[layer], fine=True) for layer in layers)])
    return "\n".join([*text, _table(["UTC", *layers], table)])


def _coarse(busy: pl.DataFrame, step: str) -> pl.DataFrame:
    grouped = busy.group_by(pl.col("minute").dt.truncate(step), "layer", maintain_order=True)
    return grouped.agg(
        pl.col("events", "linked").sum(),
        (pl.col("events") > 0).sum().alias("busy"),
        pl.col("covered").any(),
        pl.lit(1).alias("minutes"),
    )


def _coverage_cell(row: Row, *, fine: bool) -> str:
    if row["events"]:
        return f"{row['events']:,} ({row['linked']:,} tied)" + ("" if fine else f" in {row['busy']} min")
    if row["layer"] not in PRODUCT_LAYERS:
        return ""
    return "0" if row["covered"] else "no log"


def _span(at: int, minutes: int) -> str:
    start = wording.date_time(at)[:16]
    if minutes == 1:
        return start
    end = wording.date_time(at + (minutes - 1) * 60_000)[:16]
    return f"{start} – {end[11:] if end[:10] == start[:10] else end} ({minutes:,} min)"


def _changes(changes: pl.DataFrame) -> str:
    if changes.is_empty():
        return f"## Changes\n\nNo record of a change. {wording.ABSENCE}"
    lines = [
        [
            wording.date_time(event["corrected_time"]) or "no time",
            code(event["service"] or ""),
            _what(event),
            code(rows.address(event)),
        ]
        for event in rows.of(changes.sort(EVENTS.sort, nulls_last=True).head(CHANGES))
    ]
    left = changes.height - len(lines)
    more = [f"{wording.count(left, 'more change')}: the events of layer `change`."] if left else []
    return "\n\n".join(["## Changes", _CHANGES, _table(["UTC", "service", "what", "evidence"], lines), *more])


def _requests(
    requests: pl.DataFrame,
    tables: Mapping[str, pl.DataFrame],
    limit: int | None,
    chosen: Sequence[str] | None,
) -> str:
    picked = requests if chosen is None else requests.filter(pl.col("request").is_in(list(chosen)))
    shown = picked if limit is None else picked.head(limit)
    text = ["## Requests", ""]
    if requests.is_empty():
        return "\n".join([*text, "None."])
    asked = f"{picked.height:,} of {wording.count(requests.height, 'request')} were asked for, and are here."
    text.append(_how_many(shown.height, requests.height) if chosen is None else asked)
    text += ["", _TIED_BY]
    events = only(tables, "events", pl.col("request").is_in(shown["request"].implode()))
    links = only(tables, "links", pl.col("from_event").is_in(events["event_id"].implode()))
    chains = rows.chains(shown, events, links)
    return "\n".join([*text, *(f"\n{_request(number, chain)}" for number, chain in enumerate(chains, 1))])


def _how_many(shown: int, every: int) -> str:
    if shown == every:
        return f"All {wording.count(every, 'request')}, by start time."
    return (
        f"{shown:,} of {wording.count(every, 'request')} are here, the first by start time; {every - shown:,} are "
        "left out. To see them: `strataline show CASE ID` for one of them, `strataline find CASE --at TIME` for "
        "those of a moment, `strataline reconstruct` with `--since` and `--until` for a part of the time, or with "
        f"`--limit {every}` for all."
    )


def _request(number: int, chain: Chain) -> str:
    request, events = chain.request, chain.events
    start, end = request["start_time"], request["end_time"]
    counts = [
        wording.count(request["events"] or 0, "event"),
        wording.count(request["attempts"] or 0, "attempt"),
        wording.count(request["calls"] or 0, "model call"),
        *(
            []
            if start is None or end is None
            else [f"{wording.duration(end - start)} by the clock of the opening event"]
        ),
        *([] if chain.zero is None else [f"opened {wording.date_time(chain.zero)}"]),
    ]
    layers = [", ".join(f"{layer} {count}" for layer, count in rows.tied_layers(events))]
    layers += [f"{why}: {found}" for why, found in rows.untied_layers(request)]
    facts = [
        ", ".join(counts),
        _pairs((name, request[name]) for name in rows.GROUPS if request[name]),
        _pairs(rows.named_ids(events)),
        _pairs([("refers to request", request["refers_to"])] if request["refers_to"] else []),
        f"layers: {'; '.join(layers)}",
        _pairs((label, excerpt(value)) for label, value in (*rows.in_force(request), *rows.came_out(request))),
        *(
            f"{label}: {code(excerpt(text))} ({code(rows.address(event))})"
            for label, text, event in rows.first_input_last_output(events)
        ),
    ]
    title = f"### {number}. {request['kind']} {code(request['request'])} · {wording.date_time(start) or 'no time'}"
    head = ["seq", "UTC", "+ms", "layer", "what", "ids", "evidence", "tied by"]
    table = _table(head, [_event(event, chain) for event in events])
    return "\n".join([title, "", *(f"- {fact}" for fact in facts if fact), "", table])


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{label} {code(value)}" for label, value in pairs)


def _event(event: Row, chain: Chain) -> list[str]:
    method, value = chain.tied(event)
    others = [f"{relation} {code(other)}" for relation, other in chain.related(event)]
    return [
        str(event["seq"]),
        wording.date_time(event["corrected_time"]) or "no time",
        chain.since(event),
        event["layer"],
        _what(event),
        _pairs(chain.ids(event)),
        code(rows.address(event)),
        " · ".join(part for part in (f"{method} {code(value)}".strip(), *chain.order(event), *others) if part),
    ]


def _what(event: Row) -> str:
    name = f" {code(excerpt(rows.cut(said)))}" if (said := rows.name(event)) else ""
    found = _pairs((label, excerpt(rows.cut(value))) for label, value in rows.facts(event))
    return f"{code(event['kind'])}{name}" + (f": {found}" if found else "")


def _left_open() -> str:
    return "\n".join(
        [
            "## Left open for people",
            "",
            "Logs do not answer these, and neither does this tool:",
            "",
            *(f"- **{matter}**: {about}" for matter, about in wording.LEFT_OPEN),
        ]
    )
