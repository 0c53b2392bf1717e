"""The clocks of a case in words: how far each is ahead of the reference, on what basis, and where that changed."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from strataline.export import rows, words
from strataline.export.escape import printable
from strataline.export.page import Page
from strataline.export.rows import Row

FAMILY = 6
"""So many clocks of one family, such as those of browsers, are summed up."""

BASES = {
    "reference": "the reference",
    "bounds": "bracketed by linked events",
    "pooled": "bound on one side; as far off the bound as clocks like it are",
    "scope-peak": "by where time differences within a session or user pile up",
    "shared": "that of another log, beside whose events its own then lie",
    "asserted": "as --clock asserts",
    "unmoved": "not moved",
}
"""What each basis means."""

UNKNOWABLE = (
    "An offset is relative to the reference clock. How far the reference itself is from true time cannot be known"
    " from logs."
)
_NOTHING = "not moved: nothing ties it to another clock"
_AT_ZERO = "not moved: the bracket allows an offset of 0"
_ROWS, _COLUMNS = 8, 60


def family(clock: str) -> str | None:
    """What stands before the first colon of a clock's name: ``browser`` of ``browser:01a2…``; null without one."""
    head, colon, _ = clock.partition(":")
    return head if colon and head else None


def split(clocks: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """The rows of ``clocks`` that stand alone, and those of families of at least `FAMILY` clocks."""
    named = clocks.with_columns(family=pl.Series([family(name) for name in clocks["clock"]], dtype=pl.String))
    sizes = named.group_by("family").agg(size=pl.col("clock").n_unique()).filter(pl.col("size") >= FAMILY)
    large = sorted(sizes["family"].drop_nulls())
    alone = named.filter(~pl.col("family").is_in(large).fill_null(value=False)).drop("family")
    return alone, {name: named.filter(pl.col("family") == name).drop("family") for name in large}


def listed(tables: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """The clocks as plain numbers and texts, with what the families come to (what ``--json`` prints).

    Args:
        tables: the tables by name: clocks, notes, events, sources.
    """
    clocks = tables["clocks"]
    spelled = clocks.with_columns(
        pl.col("start_time", "end_time").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
        family=pl.Series([family(name) for name in clocks["clock"]], dtype=pl.String),
    )
    return {
        "references": _references(clocks),
        "domains": clocks["clock"].n_unique(),
        "moved": clocks.filter(pl.col("offset_ns") != 0)["clock"].n_unique(),
        "families": {name: _summed(some) for name, some in split(clocks)[1].items()},
        "clocks": spelled.to_dicts(),
        "notes": _notes(tables["notes"]).select("topic", "subject", "count", "detail").to_dicts(),
        "zones": {name: sources for name, sources, _ in _zones(tables)},
        "reference_error": UNKNOWABLE,
    }


def page(
    tables: Mapping[str, pl.DataFrame],
    out: str,
    *,
    every: bool = False,
    width: int | None = None,
    colour: bool = False,
) -> str:
    """Return one line for each clock and slice, families summed up, and a plot for each clock that changed.

    Args:
        tables: the tables by name: clocks, notes, events, sources.
        out: the case, as the hints name it.
        every: whether the clocks of a family are listed too.
        width: columns of the terminal; null where it is none.
        colour: whether to paint.
    """
    page = Page(width, colour)
    clocks = tables["clocks"]
    if clocks.is_empty():
        return "no event states a time by a clock\n"
    alone, families = (clocks, {}) if every else split(clocks)
    references = _references(clocks)
    text = page.prose([("", "")], _heading(references, clocks))
    text += ["", *_table(alone, references, page)]
    for name, some in families.items():
        text += ["", *_family(name, some, page)]
    if families:
        text += page.prose([("  ", "")], f"each of them: strataline clocks {shlex.quote(out)} --all", "dim")
    for (name,), slices in alone.partition_by("clock", as_dict=True, maintain_order=True).items():
        if slices.height > 1:
            text += ["", *_plot(str(name), slices, page)]
    text += page.section("Notes", [line for note in _notes(tables["notes"]).to_dicts() for line in _note(note, page)])
    hints = []
    for name, sources, hint in _zones(tables):
        hints += page.prose([("  ", "")], f"{name}: {hint}")
        hints += [f"    --zone {shlex.quote(f'{one}=Area/City')}" for one in map(printable, sources)]
    text += page.section("Likely a zone", hints)
    if references:
        text += ["", *page.prose([("", "")], UNKNOWABLE)]
    return "\n".join(text) + "\n"


def _references(clocks: pl.DataFrame) -> list[str]:
    counted = clocks["reference"].drop_nulls().value_counts(name="n")
    return counted.sort("n", "reference", descending=[True, False])["reference"].to_list()


def _heading(references: Sequence[str], clocks: pl.DataFrame) -> str:
    domains = words.count(clocks["clock"].n_unique(), "clock")
    moved = clocks.filter(pl.col("offset_ns") != 0)["clock"].n_unique()
    if not references:
        return f"{domains}. None was compared with another: no linked events lie on two clocks."
    if len(references) == 1:
        return f"{domains}, {moved:,} moved. Offsets are relative to {references[0]}; + is ahead of it."
    return f"{domains}, {moved:,} moved. Offsets are relative to the reference that each line names; + is ahead of it."


def offset_cells(row: Row) -> list[str]:
    """A row of ``clocks`` (times as epoch ms) in words: clock, slice, offset, bracket, pairs, basis."""
    still = row["basis"] in ("reference", "unmoved")
    return [
        row["clock"],
        str(row["slice"]),
        "" if still else words.offset(row["offset_ns"]),
        _bracket(row),
        f"{row['pairs']:,}" if row["pairs"] else "",
        _basis(row),
    ]


def family_line(family: tuple[str, pl.DataFrame]) -> tuple[str, str]:
    """The name of a family, and how many clocks it has, and how many of them were moved."""
    summed = _summed(family[1])
    return family[0], f"{summed['clocks']:,} clocks, {summed['moved']:,} moved"


def _table(clocks: pl.DataFrame, references: Sequence[str], page: Page) -> list[str]:
    several = clocks["slice"].max() not in (None, 0)
    ordered = rows.of(clocks.sort("clock", "slice"))
    days = {words.date_time(row[end])[:10] for row in ordered for end in ("start_time", "end_time")} - {""}
    day = days.pop() if len(days) == 1 else None
    times = f"its times (UTC, {day})" if day else "its times (UTC)"
    lines = [["clock", *(["slice"] if several else []), times, "offset", "bracket", "pairs", "basis"]]
    for row in ordered:
        name, place, *figures, basis = offset_cells(row)
        other = f" (reference {row['reference']})" if len(references) > 1 and row["reference"] else ""
        lines.append([name, *([place] if several else []), _times(row, day), *figures, basis + other])
    right = [place for place, name in enumerate(lines[0]) if name in ("slice", "offset", "pairs")]
    return page.table(lines, 0, right)


def _times(row: Row, day: str | None) -> str:
    """From when to when, to the second; without the date where `day` says it."""
    start, end = (words.date_time(row[name])[:19] for name in ("start_time", "end_time"))
    if not start:
        return ""
    return f"{start[11:]} – {end[11:]}" if day else f"{start} – {end[11:] if end[:10] == start[:10] else end}"


def _bracket(row: Row) -> str:
    lower, upper = row["lower_ns"], row["upper_ns"]
    if row["basis"] in ("reference", "asserted") or (lower is None and upper is None):
        return ""
    if lower is None:
        return f"at most {words.offset(upper)}"
    if upper is None:
        return f"at least {words.offset(lower)}"
    low, high = words.offset(lower), words.offset(upper)
    # One unit is said once.
    return f"{low.removesuffix(' s') if ' min ' not in low + high else low} .. {high}"


def _basis(row: Row) -> str:
    if row["basis"] == "unmoved":
        return _NOTHING if row["lower_ns"] is None and row["upper_ns"] is None else _AT_ZERO
    return BASES.get(row["basis"], row["basis"] or "")


def _summed(some: pl.DataFrame) -> dict[str, Any]:
    """What the offsets of a family come to; quartiles are over the clocks and slices that were moved."""
    moved = some.filter(pl.col("offset_ns") != 0)["offset_ns"].sort()
    quartiles = [int(moved.quantile(share, "nearest") or 0) for share in (0, 0.25, 0.5, 0.75, 1)] if len(moved) else []
    bases = some.unique("clock", keep="first", maintain_order=True)["basis"].value_counts(name="n")
    return {
        "clocks": some["clock"].n_unique(),
        "moved": some.filter(pl.col("offset_ns") != 0)["clock"].n_unique(),
        "events": int(some["events"].sum()),
        "quartiles_ns": quartiles,
        "basis": dict(bases.sort("n", "basis", descending=[True, False]).iter_rows()),
    }


def _family(name: str, some: pl.DataFrame, page: Page) -> list[str]:
    summed = _summed(some)
    head = f"{name}:…  {summed['clocks']:,} clocks, {summed['moved']:,} moved, {words.count(summed['events'], 'event')}"
    text = page.fold([(head, "strong")], [], 2)
    if summed["quartiles_ns"]:
        low, first, middle, third, high = map(words.offset, summed["quartiles_ns"])
        text += page.prose(
            [("  ", "")],
            f"offsets of those moved: half lie between {first} and {third}, in the middle {middle};"
            f" all between {low} and {high}",
        )
    for basis, number in summed["basis"].items():
        means = BASES.get(basis, basis) if basis != "unmoved" else "not moved: nothing ties it, or its bracket allows 0"
        text += page.prose([(f"  {number:>6,}  ", "")], means)
    return text


def _plot(name: str, slices: pl.DataFrame, page: Page) -> list[str]:
    """The offset over time, as characters: time to the right, the offset upwards."""
    ordered = slices.sort("slice")
    starts = [words.epoch_ms(time) for time in ordered["start_time"]]
    end, offsets = words.epoch_ms(ordered["end_time"].max()), ordered["offset_ns"].to_list()
    first = next((start for start in starts if start is not None), None)
    if first is None or end is None:
        return []
    labels = [words.offset(max(offsets)), words.offset(min(offsets))]
    wide = max(map(len, labels))
    columns = _COLUMNS if page.width is None else max(10, min(_COLUMNS, page.width - wide - 4))
    low, high = min(offsets), max(offsets)
    grid = [[" "] * columns for _ in range(_ROWS)]
    for column in range(columns):
        at = first + (end - first) * column // max(columns - 1, 1)
        place = max((n for n, start in enumerate(starts) if start is not None and start <= at), default=0)
        height = 0 if high == low else round((offsets[place] - low) * (_ROWS - 1) / (high - low))
        grid[_ROWS - 1 - height][column] = "*"
    edge = [labels[0], *([""] * (_ROWS - 2)), labels[1]]
    text = page.prose([("", "")], f"{name}: its offset over time, in {words.count(len(offsets), 'slice')}")
    text += [f"  {label:>{wide}} |{''.join(line).rstrip()}" for label, line in zip(edge, grid, strict=True)]
    left, right = words.date_time(first)[11:19], words.date_time(end)[11:19]
    return [*text, f"  {'':>{wide}} +{'-' * columns}", f"  {'':>{wide}}  {left}{right:>{max(columns - len(left), 9)}}"]


def _notes(notes: pl.DataFrame) -> pl.DataFrame:
    """Notes about clocks: their topics begin with ``clock``."""
    return notes.filter(pl.col("topic").str.starts_with("clock"))


def _note(note: Row, page: Page) -> list[str]:
    head = [(f"  {note['subject']}: ", "strong")] if note["subject"] else [("  ", "")]
    number = f" ({note['count']:,})" if note["count"] and not note["subject"] else ""
    return page.fold(head, [((note["detail"] or note["topic"]) + number, "")], 4)


def _zones(tables: Mapping[str, pl.DataFrame]) -> Iterable[tuple[str, list[str], str]]:
    """Clocks that are whole hours off: the clock, its sources whose times state no zone, and what to do."""
    found = tables["notes"].filter(pl.col("topic") == "clock_zone")
    for name in found["subject"].drop_nulls().unique().sort():
        here = tables["events"].filter(pl.col("clock") == name)
        naive = here.filter(pl.col("zone_basis").is_in(["assumed", "format", "option"]))
        sources = naive["source"].unique().sort().to_list()
        if sources:
            hint = "its times state no zone; name the one they are in, and reconstruct again"
        else:
            hint = "its times state their zone, so it is the clock itself, or the zone that it states"
        yield name, sources, hint
