"""The clocks of a case as a page: a line for each, families summed up, and a plot for each that changed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

import polars as pl

from strataline import rows, wording
from strataline.escape import printable
from strataline.export.clocks import BASES, UNKNOWABLE, notes, offset_cells, references, split, summed, zones
from strataline.export.page import Page
from strataline.rows import Row

# Lines and columns of a plot.
_ROWS, _COLUMNS = 8, 60


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
    relative = references(clocks)
    text = page.prose([("", "")], _heading(relative, clocks))
    text += ["", *_table(alone, relative, page)]
    for name, some in families.items():
        text += ["", *_family(name, some, page)]
    if families:
        text += page.prose([("  ", "")], f"each of them: strataline clocks {shlex.quote(out)} --all", "dim")
    for (name,), slices in alone.partition_by("clock", as_dict=True, maintain_order=True).items():
        if slices.height > 1:
            text += ["", *_plot(str(name), slices, page)]
    text += page.section("Notes", [line for note in notes(tables["notes"]).to_dicts() for line in _note(note, page)])
    hints = []
    for name, sources, hint in zones(tables):
        hints += page.prose([("  ", "")], f"{name}: {hint}")
        hints += [f"    --zone {shlex.quote(f'{one}=Area/City')}" for one in map(printable, sources)]
    text += page.section("Likely a zone", hints)
    if relative:
        text += ["", *page.prose([("", "")], UNKNOWABLE)]
    return "\n".join(text) + "\n"


def _heading(relative: Sequence[str], clocks: pl.DataFrame) -> str:
    domains = wording.count(clocks["clock"].n_unique(), "clock")
    moved = clocks.filter(pl.col("offset_ns") != 0)["clock"].n_unique()
    if not relative:
        return f"{domains}. None was compared with another: no linked events lie on two clocks."
    if len(relative) == 1:
        return f"{domains}, {moved:,} moved. Offsets are relative to {relative[0]}; + is ahead of it."
    return f"{domains}, {moved:,} moved. Offsets are relative to the reference that each line names; + is ahead of it."


def _table(clocks: pl.DataFrame, relative: Sequence[str], page: Page) -> list[str]:
    several = clocks["slice"].max() not in (None, 0)
    ordered = rows.of(clocks.sort("clock", "slice"))
    days = {wording.date_time(row[end])[:10] for row in ordered for end in ("start_time", "end_time")} - {""}
    day = days.pop() if len(days) == 1 else None
    times = f"its times (UTC, {day})" if day else "its times (UTC)"
    lines = [["clock", *(["slice"] if several else []), times, "offset", "bracket", "pairs", "basis"]]
    for row in ordered:
        name, place, *figures, basis = offset_cells(row)
        other = f" (reference {row['reference']})" if len(relative) > 1 and row["reference"] else ""
        lines.append([name, *([place] if several else []), _times(row, day), *figures, basis + other])
    right = [place for place, name in enumerate(lines[0]) if name in ("slice", "offset", "pairs")]
    return page.table(lines, 0, right)


def _times(row: Row, day: str | None) -> str:
    """From when to when, to the second; without the date where `day` says it."""
    start, end = (wording.date_time(row[name])[:19] for name in ("start_time", "end_time"))
    if not start:
        return ""
    return f"{start[11:]} – {end[11:]}" if day else f"{start} – {end[11:] if end[:10] == start[:10] else end}"


def _family(name: str, some: pl.DataFrame, page: Page) -> list[str]:
    figures = summed(some)
    events = wording.count(figures["events"], "event")
    head = f"{name}:…  {figures['clocks']:,} clocks, {figures['moved']:,} moved, {events}"
    text = page.fold([(head, "strong")], [], 2)
    if figures["quartiles_ns"]:
        low, first, middle, third, high = map(wording.offset, figures["quartiles_ns"])
        text += page.prose(
            [("  ", "")],
            f"offsets of those moved: half lie between {first} and {third}, in the middle {middle};"
            f" all between {low} and {high}",
        )
    for basis, number in figures["basis"].items():
        means = BASES.get(basis, basis) if basis != "unmoved" else "not moved: nothing bounds it, or that allows 0"
        text += page.prose([(f"  {number:>6,}  ", "")], means)
    return text


def _plot(name: str, slices: pl.DataFrame, page: Page) -> list[str]:
    """The offset over time, as characters: time to the right, the offset upwards."""
    ordered = slices.sort("slice")
    starts = [wording.epoch_ms(time) for time in ordered["start_time"]]
    end, offsets = wording.epoch_ms(ordered["end_time"].max()), ordered["offset_ns"].to_list()
    first = next((start for start in starts if start is not None), None)
    if first is None or end is None:
        return []
    labels = [wording.offset(max(offsets)), wording.offset(min(offsets))]
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
    text = page.prose([("", "")], f"{name}: its offset over time, in {wording.count(len(offsets), 'slice')}")
    text += [f"  {label:>{wide}} |{''.join(line).rstrip()}" for label, line in zip(edge, grid, strict=True)]
    left, right = wording.date_time(first)[11:19], wording.date_time(end)[11:19]
    return [*text, f"  {'':>{wide}} +{'-' * columns}", f"  {'':>{wide}}  {left}{right:>{max(columns - len(left), 9)}}"]


def _note(note: Row, page: Page) -> list[str]:
    head = [(f"  {note['subject']}: ", "strong")] if note["subject"] else [("  ", "")]
    number = f" ({note['count']:,})" if note["count"] and not note["subject"] else ""
    return page.fold(head, [((note["detail"] or note["topic"]) + number, "")], 4)
