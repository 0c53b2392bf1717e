"""Which format is this? Each record is its own witness: of the formats whose marks it carries, the most specific.

A file may mix formats (a gateway's JSON rows, its access lines, a banner). Which formats it holds is told from many of
its records, never only the first; every record is then given to one of these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from strataline.format import Format, path
from strataline.parse.kernel import OBJECT, Kernel
from strataline.parse.lines import describes

SAMPLE = 400
SAMPLE_BYTES = 2 << 20
"""How many records, and about how many bytes, are looked at; spread over the first batch. Never fewer than 20."""

ENOUGH = 0.5
"""Share of the looked-at records that must carry some format's marks."""

FEW_OBJECTS = 0.2
"""Below this share of JSON objects a file is a text log that quotes some."""


@dataclass(frozen=True)
class Recognised:
    """The formats that a source holds.

    Args:
        format: the one that most of the looked-at records carry the marks of.
        confidence: their share, from 0 to 1: of the JSON objects for a JSON format, unless these are few; else of all.
        shares: each format found, with its share, the largest first.
        ties: formats that fit these records as well, and are as specific.
        forced: whether the caller named the format, which then reads every record.
        guessed: whether no format describes the source, and one was drafted from its own records.
    """

    format: Format
    confidence: float
    shares: Mapping[str, float] = field(default_factory=dict)
    ties: tuple[str, ...] = ()
    forced: bool = False
    guessed: bool = False


class Marks:
    """The marks of many formats, asked of many records at once.

    Args:
        formats: name → format; those `of` items describe no record of a source, and are asked by `of`.
    """

    def __init__(self, formats: Mapping[str, Format]) -> None:
        self.formats = formats
        # The most specific first; of a text format a longer pattern says more.
        order = sorted(
            formats.values(), key=lambda fmt: (-fmt.recognise.specificity, -len(fmt.pattern or ""), fmt.name)
        )
        self._json = [fmt for fmt in order if fmt.container == "json" and fmt.of is None]
        self._text = [fmt for fmt in order if fmt.container == "text"]
        self._items = {fmt.of: [one for one in order if one.of == fmt.of] for fmt in order if fmt.of is not None}

    def only(self, names: Iterable[str]) -> Marks:
        """The marks of some of the formats."""
        return Marks({name: self.formats[name] for name in names if name in self.formats})

    def of_objects(self, kernel: Kernel, objects: pl.Series) -> pl.Series:
        """The most specific JSON format of each record (a JSON object, as text); null where none fits."""
        return _first(self._json, kernel, objects)

    def of_items(self, kernel: Kernel, items: pl.Series, kind: str) -> pl.Series:
        """The most specific format of each item of `kind`; null where none fits."""
        return _first(self._items.get(kind, []), kernel, items)

    def of_lines(self, lines: pl.Series) -> pl.Series:
        """The most specific text format whose pattern describes the first line of each record; null where none does."""
        found = pl.Series([None] * len(lines), dtype=pl.String)
        for fmt in self._text:
            left = found.is_null().arg_true()
            if not len(left):
                break
            found = found.scatter(left.filter(describes(fmt, lines.gather(left))), fmt.name)
        return found

    def fits(self, kernel: Kernel, objects: pl.Series) -> pl.DataFrame:
        """Whether each record carries the marks of each JSON format: one Boolean column per format."""
        return _fits(self._json, kernel, objects)

    @property
    def lines(self) -> list[Format]:
        """The text formats, the most specific first."""
        return self._text


def recognise(kernel: Kernel, marks: Marks, text: pl.Series) -> Recognised | None:
    """Recognise the formats of records (Binary, null where too long); null if too few carry any marks."""
    looked = sample(text)
    if looked.is_empty():
        return None
    look = kernel.look(looked)
    objects = look.filter(pl.col("type") == OBJECT)["s"]
    plain = look.filter(pl.col("type").is_null() & pl.col("s").is_not_null())["s"]
    counts = Counter(marks.of_objects(kernel, objects).drop_nulls().to_list())
    few = objects.len() < FEW_OBJECTS * looked.len()
    shares = {name: count / (looked.len() if few else objects.len()) for name, count in counts.items()}
    settled = not few and counts.total() / max(1, objects.len()) >= ENOUGH
    lines = Counter(marks.of_lines(plain).drop_nulls().to_list())
    shares |= {name: count / looked.len() for name, count in lines.items()}
    counts += lines
    if not settled and counts.total() / looked.len() < ENOUGH:
        return None
    ranked = sorted(counts, key=lambda one: (-counts[one], one))
    name, share = ranked[0], shares[ranked[0]]
    rounded = {one: round(shares[one], 4) for one in ranked}
    return Recognised(marks.formats[name], round(share, 4), rounded, _ties(kernel, marks, name, objects, plain))


def sample(text: pl.Series) -> pl.Series:
    """Some of the records that are not blank, spread over all."""
    lines = text.drop_nulls()
    lines = lines.filter(lines.bin.size() > 0)
    if lines.is_empty():
        return lines
    mean = max(1, int(lines.bin.size().sum()) // len(lines))
    wanted = max(20, min(SAMPLE, SAMPLE_BYTES // mean))
    return lines.gather_every(max(1, len(lines) // wanted))


def score(kernel: Kernel, marks: Marks, text: pl.Series) -> dict[str, float]:
    """Share of the looked-at records that carry the marks of each format, whichever is taken; from 0 to 1.

    For a JSON format the share is of the JSON objects, unless these are few; for a text format of all records.
    """
    looked = sample(text)
    if looked.is_empty():
        return {}
    look = kernel.look(looked)
    objects = look.filter(pl.col("type") == OBJECT)["s"]
    whole = looked.len() if objects.len() < FEW_OBJECTS * looked.len() else objects.len()
    fits = marks.fits(kernel, objects)
    shares = {name: int(fits[name].sum()) / whole for name in fits.columns} if objects.len() else {}
    plain = look["s"].drop_nulls()
    return shares | {fmt.name: int(describes(fmt, plain).sum()) / looked.len() for fmt in marks.lines}


def _ties(kernel: Kernel, marks: Marks, name: str, objects: pl.Series, plain: pl.Series) -> tuple[str, ...]:
    """Formats as specific as `name` that fit all of the records that it fits."""
    taken = marks.formats[name]
    if taken.container == "text":
        rows = plain.filter(describes(taken, plain))
        rivals = [one for one in marks.lines if len(one.pattern or "") == len(taken.pattern or "")]
        return tuple(one.name for one in rivals if one is not taken and describes(one, rows).all())
    alike = marks.only(n for n, f in marks.formats.items() if f.recognise.specificity == taken.recognise.specificity)
    fits = alike.fits(kernel, objects)
    of_it = fits.filter(pl.col(name)).drop(name)
    return tuple(one for one in of_it.columns if of_it[one].all())


def _first(formats: list[Format], kernel: Kernel, objects: pl.Series) -> pl.Series:
    """The first of `formats` that each record fits; null where none does."""
    if not formats or objects.is_empty():
        return pl.Series([None] * len(objects), dtype=pl.String)
    fits = _fits(formats, kernel, objects)
    named = [pl.when(pl.col(fmt.name)).then(pl.lit(fmt.name)) for fmt in formats]
    return fits.select(pl.coalesce(named).alias("format")).to_series()


def _fits(formats: list[Format], kernel: Kernel, objects: pl.Series) -> pl.DataFrame:
    keys = {p for fmt in formats for p in fmt.recognise.keys}
    either = {p for fmt in formats for one in fmt.recognise.any_of for p in one}
    paths = sorted(keys | either, key=repr)
    there = kernel.has(objects, paths) if paths else pl.DataFrame()
    place = {p: there[f"c{n}"] for n, p in enumerate(paths)}
    values = sorted({p for fmt in formats for p, _ in fmt.recognise.where}, key=repr)
    texts = kernel.extract(objects, {str(n): path(*p) for n, p in enumerate(values)}) if values else pl.DataFrame()
    columns = []
    for fmt in formats:
        fit = pl.Series(fmt.name, [True] * len(objects), dtype=pl.Boolean)
        for one in fmt.recognise.keys:
            fit = fit & place[one]
        for some in fmt.recognise.any_of:
            other = place[some[0]]
            for one in some[1:]:
                other = other | place[one]
            fit = fit & other
        for one, pattern in fmt.recognise.where:
            if fit.any():
                fit = fit & texts[str(values.index(one))].str.contains(pattern).fill_null(value=False)
        columns.append(fit.alias(fmt.name))
    return pl.DataFrame(columns)
