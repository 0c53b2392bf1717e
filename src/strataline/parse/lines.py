"""Fields of text records: one linear-time regex over a column, and a second reading of the lines it refuses.

A line is described by the format's `pattern`; or it is two such lines run into one (parted at `begins`); or it is
the beginning of one, cut short; or it is a sound line that the pattern does not describe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl
import regex

from strataline.format import Field, Format

PATIENCE_S = 1.0
"""How long one line may keep the backtracking engine of the second reading busy."""


@dataclass(frozen=True)
class Part:
    """A stretch of a refused line: its place in characters, whether `pattern` describes it, why it was saved."""

    start: int
    end: int
    described: bool
    why: str | None


def describes(fmt: Format, text: pl.Series) -> pl.Series:
    """Whether the format's pattern describes the first line of each record."""
    return _first_line(text).str.contains(f"^(?:{fmt.pattern})$").fill_null(value=False)


def match(fmt: Format, text: pl.Series) -> pl.DataFrame:
    """Match the first line of each record against the whole of the format's pattern; the others continue it.

    Returns:
        A Boolean column ``_described`` and one text column per field; an empty group is null.
    """
    fields = {name: field for name, field in fmt.fields.items() if field.inner is None}
    return _groups(fields, text, fmt.pattern or "")


def match_other(fmt: Format, text: pl.Series) -> pl.DataFrame:
    """What the format's `other` finds in lines that its pattern does not describe; columns as in `match`."""
    return _groups(fmt.fields, text, fmt.other or r"(?P<_>)").with_columns(_described=pl.lit(value=False))


def _groups(fields: Mapping[str, Field], text: pl.Series, pattern: str) -> pl.DataFrame:
    whole = f"^(?:{pattern})$"
    found = pl.DataFrame({"s": _first_line(text)}).with_columns(
        _described=pl.col("s").str.contains(whole).fill_null(value=False),
        groups=pl.col("s").str.extract_groups(whole),
    )
    schema = found.schema["groups"]
    named = [one.name for one in schema.fields] if isinstance(schema, pl.Struct) else []
    columns = []
    for name, field in fields.items():
        if field.inner is not None:
            columns.append(pl.lit(None, pl.String).alias(name))
        elif field.pair is not None:
            columns.append(_paired(field.pair).alias(name))
        elif field.name in named:
            value = pl.col("groups").struct.field(field.name)
            columns.append(pl.when(value != "").then(value).alias(name))
        else:
            columns.append(pl.lit(None, pl.String).alias(name))
    return found.select("_described", *columns)


def _paired(key: str) -> pl.Expr:
    """The value of ``key=value`` in the column ``s``."""
    found = pl.col("s").str.extract_groups(rf'(?:^|[\s,;({{\[]){_literal(key)}=(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]*))')
    plain = found.struct.field("2")
    quoted = found.struct.field("1").str.replace_many({r"\"": '"', "\\\\": "\\", r"\n": "\n", r"\t": "\t"})
    return pl.coalesce(pl.when(plain != "").then(plain), pl.when(quoted != "").then(quoted))


def _literal(text: str) -> str:
    return "".join("\\" + c if c in r"\.+*?()[]{}|^$-" else c for c in text)


def opened(fmt: Format) -> dict[Field, dict[str, Field]]:
    """The groups and pairs of a text format that hold JSON: each with the fields that are read inside of it."""
    found: dict[Field, dict[str, Field]] = {}
    for name, field in fmt.fields.items():
        if field.inner is not None:
            found.setdefault(replace(field, inner=None), {})[name] = Field(field.inner)
    return found


def match_field(fmt: Format, field: Field, text: pl.Series) -> pl.Series:
    """What a single group or pair of the format holds."""
    return _groups({"f": field}, text, fmt.pattern or "")["f"]


def _first_line(text: pl.Series) -> pl.Series:
    if not text.str.contains("\n", literal=True).any():
        return text
    return text.str.splitn("\n", 2).struct.field("field_0").str.strip_suffix("\r")


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
