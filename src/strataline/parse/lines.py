"""Fields of text records: one linear-time regex over a column, and a second reading of the lines it refuses.

A line is described by the format's `pattern`; or it is two such lines run into one (parted at `begins`); or it is
the beginning of one, cut short; or it is a sound line that the pattern does not describe.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import regex

from strataline.format import Format

PATIENCE_S = 1.0
"""How long one line may keep the backtracking engine of the second reading busy."""


@dataclass(frozen=True)
class Part:
    """A stretch of a refused line: its place in characters, whether `pattern` describes it, why it was saved."""

    start: int
    end: int
    described: bool
    why: str | None


def match(fmt: Format, text: pl.Series) -> pl.DataFrame:
    """Match the first line of each record against the whole of the format's pattern; the others continue it.

    Returns:
        A Boolean column ``_described`` and one text column per field; an empty group is null.
    """
    return _groups(fmt, text, fmt.pattern or "")


def match_other(fmt: Format, text: pl.Series) -> pl.DataFrame:
    """What the format's `other` finds in lines that its pattern does not describe; columns as in `match`."""
    return _groups(fmt, text, fmt.other or r"(?P<_>)").with_columns(_described=pl.lit(value=False))


def _groups(fmt: Format, text: pl.Series, pattern: str) -> pl.DataFrame:
    whole = f"^(?:{pattern})$"
    first = pl.col("s").str.splitn("\n", 2).struct.field("field_0").str.strip_suffix("\r")
    if not text.str.contains("\n", literal=True).any():
        first = pl.col("s")
    found = (
        pl.DataFrame({"s": text})
        .select(s=first)
        .select(
            _described=pl.col("s").str.contains(whole).fill_null(value=False),
            groups=pl.col("s").str.extract_groups(whole),
        )
    )
    schema = found.schema["groups"]
    named = [one.name for one in schema.fields] if isinstance(schema, pl.Struct) else []
    columns = []
    for name, field in fmt.fields.items():
        if field.name in named:
            value = pl.col("groups").struct.field(field.name)
            columns.append(pl.when(value != "").then(value).alias(name))
        else:
            columns.append(pl.lit(None, pl.String).alias(name))
    return found.select("_described", *columns)


def second_reading(fmt: Format, line: str) -> list[Part]:
    """Look once more at a record whose first line the pattern refused.

    Returns:
        Parts that together cover it: more than one where records ran together. Further lines are of the last.
    """
    line, newline, rest = line.partition("\n")
    parts = _second_reading(fmt, line)
    last = parts[-1]
    return [*parts[:-1], Part(last.start, last.end + len(newline) + len(rest), last.described, last.why)]


def _second_reading(fmt: Format, line: str) -> list[Part]:
    pattern, begins = regex.compile(fmt.pattern or ""), regex.compile(fmt.begins or r"(?!)")
    try:
        starts = [0, *(found.start() for found in begins.finditer(line, timeout=PATIENCE_S) if found.start() > 0)]
    except TimeoutError:
        starts = [0]
    if len(starts) > 1:
        bounds = list(zip(starts, [*starts[1:], len(line)], strict=True))
        parts = [_part(pattern, line, start, end) for start, end in bounds]
        if any(part.described for part in parts):
            return [Part(one.start, one.end, one.described, _merged(one.why)) for one in parts]
    return [_part(pattern, line, 0, len(line))]


def _merged(why: str | None) -> str:
    return "merged_records" if why is None else f"merged_records, {why}"


def _part(pattern: regex.Pattern[str], line: str, start: int, end: int) -> Part:
    text = line[start:end]
    try:
        found = pattern.fullmatch(text, partial=True, timeout=PATIENCE_S)
    except TimeoutError:
        return Part(start, end, described=False, why=None)
    if found is None:
        return Part(start, end, described=False, why=None)
    return Part(start, end, described=not found.partial, why="cut_short" if found.partial else None)
