"""Section 3: what happened in order of time, forward from before the onset; and what was visible when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from strataline import rows, wording
from strataline.event import PRODUCT_LAYERS
from strataline.report.material import Material
from strataline.report.pen import Pen, table

CHANGES = 60
SILENT_MINUTES = 5
"""A layer without a record for so many minutes, while its log goes on before and after, is a row."""
UNMARKED_MS = 30 * 60_000
_PLACE = ("source", "line", "offset", "item")
_TROUBLE = ("error", "timeout", "blocked", "cancelled")
_VERDICTS = ("error", "block", "not_evaluated")


@dataclass(frozen=True)
class _Row:
    at: int  # epoch ms
    layer: str
    text: str
    status: str
    events: list[str] = field(default_factory=list)
    finding: str | None = None
    note: str = ""
    doubt: int | None = None  # ns


def timeline(pen: Pen, m: Material) -> list[str]:
    """Section 3."""
    made = [*_ends(m), *_moments(m), *_changes(pen, m), *_findings(pen, m), *_silences(m)]
    ordered = sorted(made, key=lambda row: (row.at, row.layer, row.text))
    places = _addresses(m, [event for row in ordered for event in row.events[:1]])
    lines, before = [], None
    for row in ordered:
        if before is not None and row.at - before > UNMARKED_MS:
            lines.append(_quiet(pen, m, before, row.at))
        before = row.at
        lines.append(_line(pen, m, row, places))
    left = m.examined.changes.height - CHANGES
    more = ["", f"{left:,} further changes are in section 6 and in `strataline examine --all`."] if left > 0 else []
    if not lines:
        return [pen.claim("UNK", "No record states a time.", note="no times")]
    return [*table(["UTC", "phase", "layer", "event", "mark", "where"], lines), *more]


def _line(pen: Pen, m: Material, row: _Row, places: Mapping[str, str]) -> str:
    at = wording.date_time(row.at)
    off = f" ±{wording.length(row.doubt)}" if row.doubt else ""
    where = ", ".join(pen.place(places.get(one, one.removeprefix("at:"))) for one in row.events[:1])
    return pen.row(
        row.status,
        [f"{at}{off}", _phase(m, row.at), row.layer, row.text, where],
        events=row.events,
        finding=row.finding,
        note=row.note,
        at=4,
    )


def _quiet(pen: Pen, m: Material, start: int, end: int) -> str:
    text = f"no row for {wording.duration(end - start)}: nothing in this list is recorded there"
    cells = [wording.date_time(start + 1), _phase(m, start + 1), "all", text, ""]
    return pen.row("UNK", cells, note="no such record in between", at=4)


def _phase(m: Material, at: int) -> str:
    last = m.moments.get("last", {}).get("time")
    if m.onset is None or last is None:
        return "not known"
    if at < m.onset:
        return "before"
    mitigated = m.moments["mitigation"]["time"]
    if at <= last:
        return "tail" if mitigated is not None and at > mitigated else "impact"
    return "after"


def _addresses(m: Material, events: Sequence[str]) -> dict[str, str]:
    """Event id → its evidence address."""
    found = m.look("event_id", *_PLACE).filter(pl.col("event_id").is_in(list(events)))
    return {one["event_id"]: rows.address(one) for one in found.to_dicts()}


def _ends(m: Material) -> list[_Row]:
    """Where the logs of each layer begin and end."""
    timed = m.look("layer", "t", "event_id").drop_nulls("t")
    ends = timed.group_by("layer").agg(a=pl.col("t").min(), b=pl.col("t").max())
    parts = [
        timed.join(ends, left_on=["layer", "t"], right_on=["layer", of])
        .group_by("layer")
        .agg(pl.col("event_id").min().alias(name))
        for of, name in (("a", "first"), ("b", "last"))
    ]
    spans = ends.join(parts[0], on="layer").join(parts[1], on="layer")
    made = []
    for layer in PRODUCT_LAYERS:
        one = next(iter(spans.filter(pl.col("layer") == layer).to_dicts()), None)
        if one is not None:
            made.append(_Row(one["a"] // 10**6, layer, f"first record of {layer} in the logs", "OBS", [one["first"]]))
            made.append(_Row(one["b"] // 10**6, layer, f"last record of {layer} in the logs", "OBS", [one["last"]]))
    return made


def _moments(m: Material) -> list[_Row]:
    return [
        _Row(
            one["time"],
            "ui" if one["status"] != "HUM" else "people",
            f"**{one['moment']}**: {one['meaning']}",
            one["status"],
            [one["event"]] if one["event"] else [],
            note="stated with the command" if one["status"] == "HUM" else "",
        )
        for one in m.moments.values()
        if one["time"] is not None
    ]


def change_text(pen: Pen, one: dict[str, Any]) -> str:
    """What changed, in one line of Markdown."""
    what = " ".join(part for part in (one["scope"], one["key"]) if part)
    line = f"{pen.code(what)}: {pen.code(one['old'] or '?')} → {pen.code(one['new'] or '?')}"
    if one["service"]:
        line += f" on {pen.code(one['service'])}"
    basis = {
        "record": "a record says so",
        "first_seen": "first seen in values",
        "last_seen": "the old one was seen no more",
        "feed": "from the feed of changes",
    }
    line += f" ({basis[one['basis']]}"
    if one["share"] is not None and one["share"] < 1:
        line += f"; in {100 * one['share']:.0f} % of the records from then on"
    return line + (f"; takes back the one of {one['reverts'][11:19]})" if one["reverts"] else ")")


def _changes(pen: Pen, m: Material) -> list[_Row]:
    some = rows.of(m.examined.changes.filter(pl.col("time").is_not_null()).head(CHANGES))
    return [
        _Row(
            one["time"],
            one["layer"],
            f"change {change_text(pen, one)}",
            one["status"],
            [one["event"] or f"at:{one['address']}"],
            doubt=one["doubt_ns"],
        )
        for one in some
    ]


def first_and_last(m: Material) -> pl.DataFrame:
    """finding, first, last (event ids: the telling one of each request), a, b (their times, ns), in all requests."""
    told = m.examined.hits.select("finding", event_id=pl.col("events").list.first()).drop_nulls()
    timed = told.join(m.look("event_id", "t", "doubt"), on="event_id").drop_nulls("t").sort("t", "event_id")
    spans: pl.DataFrame = timed.group_by("finding").agg(
        first=pl.col("event_id").first(),
        last=pl.col("event_id").last(),
        a=pl.col("t").first(),
        b=pl.col("t").last(),
        doubt=pl.col("doubt").first(),
        doubt_last=pl.col("doubt").last(),
    )
    return spans


def _findings(pen: Pen, m: Material) -> list[_Row]:
    spans = {one["finding"]: one for one in first_and_last(m).to_dicts()}
    made = []
    for one in m.conditions:
        span = spans.get(one["finding"])
        if span is None:
            continue
        layer = m.layer_of(one) or "several"
        name = f"{one['finding']} {one['name']}" + (f" of {pen.code(one['subject'])}" if one["subject"] else "")
        numbers = wording.count(one["count"], "request" if one["requests"] else "record")
        status, doubt = one["status"], span["doubt"]
        if one["affected"] is not None:
            numbers += f", {one['affected']:,} of them affected"
        first = f"first record in which {name} holds ({numbers})"
        made.append(_Row(span["a"] // 10**6, layer, first, status, [span["first"]], one["finding"], doubt=doubt))
        if span["last"] != span["first"]:
            last = f"last record in which {name} holds"
            off = span["doubt_last"]
            made.append(_Row(span["b"] // 10**6, layer, last, status, [span["last"]], one["finding"], doubt=off))
    return made


def _silences(m: Material) -> list[_Row]:
    timed = m.coverage.filter(pl.col("minute").is_not_null() & pl.col("layer").is_in(PRODUCT_LAYERS))
    timed = timed.sort("layer", "minute").with_columns(silent=pl.col("covered") & (pl.col("events") == 0))
    runs = timed.with_columns(run=pl.col("silent").rle_id().over("layer")).filter("silent")
    found = runs.group_by("layer", "run").agg(pl.col("minute").first(), pl.col("minutes").sum()).sort("layer", "minute")
    return [
        _Row(
            one["minute"],
            one["layer"],
            f"no record of {one['layer']} for {wording.count(one['minutes'], 'minute')}; its log has records before "
            "and after",
            "UNK",
            note=f"no {one['layer']} record",
        )
        for one in rows.of(found)
        if one["minutes"] >= SILENT_MINUTES
    ]


def visible_when(pen: Pen, m: Material) -> list[str]:
    """Section 3.1: each kind of signal, when the logs first held it, and how often in each phase."""
    signals = _signals(m)
    last = m.moments.get("last", {}).get("time")
    if m.onset is None or last is None:
        return [pen.claim("UNK", "Without an onset, nothing can be put before or after it.", note="no onset known")]
    onset, end = m.onset * 10**6, (last + 1) * 10**6
    counted = (
        signals.sort("t", "event_id")
        .group_by("signal", maintain_order=True)
        .agg(
            first=pl.col("t").first(),
            event_id=pl.col("event_id").first(),
            before=(pl.col("t") < onset).sum(),
            during=((pl.col("t") >= onset) & (pl.col("t") < end)).sum(),
            after=(pl.col("t") >= end).sum(),
            early=pl.col("event_id").filter(pl.col("t") >= onset).first(),
            since=pl.col("t").filter(pl.col("t") >= onset).min(),
        )
    )
    first, latest = (value for value in m.look("t").select(a=pl.col("t").min(), b=pl.col("t").max()).row(0))
    spans = ((first, onset), (onset, end), (end, latest))
    minutes = [f"{max(0, b - a) / 60e9:.1f}" for a, b in spans]
    text = (
        f"Numbers are records, not rates: the logs hold {minutes[0]} min before the onset, {minutes[1]} min of impact "
        f"and {minutes[2]} min after. That a signal is in a log does not say that anybody looked at it."
    )
    claim = pen.claim("DER", text, note="corrected times", lead="")
    lines = [
        pen.row(
            "OBS",
            [
                pen.code(one["signal"]),
                m.when(one["first"]),
                *(f"{one[name]:,}" for name in ("before", "during", "after")),
                "" if one["since"] is None else wording.duration((one["since"] - onset) // 10**6),
            ],
            events=[one["event_id"], one["early"]],
        )
        for one in counted.sort("first", "signal").to_dicts()
    ]
    head = ["signal", "first in the logs (UTC)", "before onset", "in the impact", "after", "first since onset", "mark"]
    return [claim, "", *table(head, lines)]


def _signals(m: Material) -> pl.DataFrame:
    """signal, t, event_id: records that somebody looking could have noticed something in."""
    told = ("event_id", "t", "layer", "kind", "outcome", "verdict", "feedback")
    timed = m.look(*told).lazy().filter(pl.col("t").is_not_null())
    named = sorted(m.impact.signals) if m.impact is not None else []
    words = [one.removeprefix("feedback ") for one in named if one.startswith("feedback ")]
    kinds = [one for one in named if not one.startswith("feedback ")]
    ui = pl.col("layer") == "ui"
    parts = [
        timed.filter(pl.col("outcome").is_in(_TROUBLE) & (pl.col("layer") != "policy")).with_columns(
            signal=pl.format("{}: outcome {}", "layer", "outcome")
        ),
        timed.filter(pl.col("verdict").is_in(_VERDICTS)).with_columns(
            signal=pl.format("policy: verdict {}", "verdict")
        ),
        timed.filter(ui & pl.col("feedback").is_in(words)).with_columns(
            signal=pl.format("ui: feedback {}", "feedback")
        ),
        timed.filter(ui & pl.col("kind").is_in(kinds)).with_columns(signal=pl.format("ui: {}", "kind")),
        timed.filter(pl.col("layer") == "change").with_columns(signal=pl.lit("change: record of a change")),
    ]
    return pl.concat([part.select("signal", "t", "event_id") for part in parts]).collect()
