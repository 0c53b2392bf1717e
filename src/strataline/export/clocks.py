"""The clocks of a case in words: how far each is ahead of the reference, on what basis, and where that changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from strataline import wording
from strataline.rows import Row

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
_NOTHING = "not moved: nothing bounds it by another clock"
_AT_ZERO = "not moved: the bracket allows an offset of 0"


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
        "references": references(clocks),
        "domains": clocks["clock"].n_unique(),
        "moved": clocks.filter(pl.col("offset_ns") != 0)["clock"].n_unique(),
        "families": {name: summed(some) for name, some in split(clocks)[1].items()},
        "clocks": spelled.to_dicts(),
        "notes": notes(tables["notes"]).select("topic", "subject", "count", "detail").to_dicts(),
        "zones": {name: sources for name, sources, _ in zones(tables)},
        "reference_error": UNKNOWABLE,
    }


def references(clocks: pl.DataFrame) -> list[str]:
    """The clocks that others are relative to, those of most clocks first."""
    counted = clocks["reference"].drop_nulls().value_counts(name="n")
    return counted.sort("n", "reference", descending=[True, False])["reference"].to_list()


def offset_cells(row: Row) -> list[str]:
    """A row of ``clocks`` (times as epoch ms) in words: clock, slice, offset, bracket, pairs, basis."""
    still = row["basis"] in ("reference", "unmoved")
    return [
        row["clock"],
        str(row["slice"]),
        "" if still else wording.offset(row["offset_ns"]),
        _bracket(row),
        f"{row['pairs']:,}" if row["pairs"] else "",
        _basis(row),
    ]


def family_line(family: tuple[str, pl.DataFrame]) -> tuple[str, str]:
    """The name of a family, and how many clocks it has, and how many of them were moved."""
    told = summed(family[1])
    return family[0], f"{told['clocks']:,} clocks, {told['moved']:,} moved"


def _bracket(row: Row) -> str:
    lower, upper = row["lower_ns"], row["upper_ns"]
    if row["basis"] in ("reference", "asserted") or (lower is None and upper is None):
        return ""
    if lower is None:
        return f"at most {wording.offset(upper)}"
    if upper is None:
        return f"at least {wording.offset(lower)}"
    low, high = wording.offset(lower), wording.offset(upper)
    # One unit is said once.
    return f"{low.removesuffix(' s') if ' min ' not in low + high else low} .. {high}"


def _basis(row: Row) -> str:
    if row["basis"] == "unmoved":
        return _NOTHING if row["lower_ns"] is None and row["upper_ns"] is None else _AT_ZERO
    return BASES.get(row["basis"], row["basis"] or "")


def summed(some: pl.DataFrame) -> dict[str, Any]:
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


def notes(notes: pl.DataFrame) -> pl.DataFrame:
    """Notes about clocks: their topics begin with ``clock``."""
    return notes.filter(pl.col("topic").str.starts_with("clock"))


def zones(tables: Mapping[str, pl.DataFrame]) -> Iterable[tuple[str, list[str], str]]:
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
