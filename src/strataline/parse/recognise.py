"""Which format is this? Each record is its own witness: of the formats whose marks it carries, the most specific.

A file may mix formats (a gateway's JSON rows, its access lines, a banner). Which formats it holds is told from many of
its records, never only the first; every record is then given to one of these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from strataline.format import Format
from strataline.parse.kernel import OBJECT, Kernel
from strataline.parse.lines import describes

SAMPLE = 400
SAMPLE_BYTES = 2 << 20
"""How many records, and about how many bytes, are looked at; spread over the first batch. Never fewer than 20."""

ENOUGH = 0.5
"""Share of the looked-at records that must carry some format's marks."""

FEW_FORMATS = 8
"""So many formats are asked of every record at once."""

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
        runner_up: of the formats that were not taken, the one whose marks most records carry; null if none's are.
        runner_up_share: the share of these records.
        forced: whether the caller named the format, which then reads every record.
        guessed: whether no format describes the source, and one was drafted from its own records.
    """

    format: Format
    confidence: float
    shares: Mapping[str, float] = field(default_factory=dict)
    ties: tuple[str, ...] = ()
    runner_up: str | None = None
    runner_up_share: float | None = None
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
        self.records = _Family([fmt for fmt in order if fmt.container == "json" and fmt.of is None])
        self.lines = [fmt for fmt in order if fmt.container == "text"]
        self._items = {kind: _Family([fmt for fmt in order if fmt.of == kind]) for kind in {fmt.of for fmt in order}}

    def only(self, names: Iterable[str]) -> Marks:
        """The marks of some of the formats."""
        return Marks({name: self.formats[name] for name in names if name in self.formats})

    def of_objects(self, kernel: Kernel, objects: pl.Series, shape: pl.Series | None = None) -> pl.Series:
        """The most specific JSON format of each record (a JSON object, as text); null where none fits.

        Columns in: the records, and their shape as `Kernel.look` gives it, if it is known.
        """
        return self.records.named(kernel, objects, shape)

    def of_items(self, kernel: Kernel, items: pl.Series, kind: str) -> pl.Series:
        """The most specific format of each item of `kind`; null where none fits."""
        return self._items.get(kind, _Family([])).named(kernel, items)

    def of_lines(self, lines: pl.Series) -> pl.Series:
        """The most specific text format whose pattern describes the first line of each record; null where none does."""
        found = pl.Series([None] * len(lines), dtype=pl.String)
        for fmt in self.lines:
            left = found.is_null().arg_true()
            if not len(left):
                break
            found = found.scatter(left.filter(describes(fmt, lines.gather(left))), fmt.name)
        return found


def recognise(kernel: Kernel, marks: Marks, text: pl.Series) -> Recognised | None:
    """Recognise the formats of records (Binary, null where too long); null if too few carry any marks."""
    looked = sample(text)
    if looked.is_empty():
        return None
    look = kernel.look(looked)
    sound = look.filter(pl.col("type") == OBJECT)
    objects = sound["s"]
    plain = look.filter(pl.col("type").is_null() & pl.col("s").is_not_null())["s"]
    fits = marks.records.fits(kernel, objects, sound["shape"])
    counts = Counter(marks.records.first(fits).drop_nulls().to_list())
    few = objects.len() < FEW_OBJECTS * looked.len()
    whole = looked.len() if few else objects.len()
    shares = {name: count / whole for name, count in counts.items()}
    settled = not few and counts.total() / max(1, objects.len()) >= ENOUGH
    lines = Counter(marks.of_lines(plain).drop_nulls().to_list())
    shares |= {name: count / looked.len() for name, count in lines.items()}
    counts += lines
    if not settled and counts.total() / looked.len() < ENOUGH:
        return None
    ranked = sorted(counts, key=lambda one: (-counts[one], one))
    name, share = ranked[0], shares[ranked[0]]
    carried = dict(zip((fmt.name for fmt in marks.records.formats), fits.sum(axis=0).tolist(), strict=True))
    others = {one: int(count) / whole for one, count in carried.items() if one not in shares}
    others |= {one: shares[one] for one in ranked[1:]}
    second = max(others, key=lambda one: (others[one], one), default=None)
    if second is not None and not others[second]:
        second = None
    return Recognised(
        marks.formats[name],
        round(share, 4),
        {one: round(shares[one], 4) for one in ranked},
        _ties(marks, name, fits, plain),
        second,
        None if second is None else round(others[second], 4),
    )


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
    carried = marks.records.fits(kernel, objects).sum(axis=0).tolist()
    shares = {fmt.name: int(n) / whole for fmt, n in zip(marks.records.formats, carried, strict=True)} if whole else {}
    plain = look["s"].drop_nulls()
    return shares | {fmt.name: int(describes(fmt, plain).sum()) / looked.len() for fmt in marks.lines}


def _ties(marks: Marks, name: str, fits: NDArray[np.bool_], plain: pl.Series) -> tuple[str, ...]:
    """Formats as specific as `name` that fit all of the records that it fits."""
    taken = marks.formats[name]
    if taken.container == "text":
        rows = plain.filter(describes(taken, plain))
        rivals = [one for one in marks.lines if len(one.pattern or "") == len(taken.pattern or "")]
        return tuple(one.name for one in rivals if one is not taken and describes(one, rows).all())
    formats = marks.records.formats
    of_it = fits[fits[:, formats.index(taken)]]
    rank = taken.recognise.specificity
    alike = [n for n, fmt in enumerate(formats) if fmt is not taken and fmt.recognise.specificity == rank]
    return tuple(formats[n].name for n in alike if of_it[:, n].all())


class _Family:
    """Formats of one family (of records, or of items of one kind), the most specific first."""

    def __init__(self, formats: Sequence[Format]) -> None:
        self.formats = list(formats)
        marks = [fmt.recognise for fmt in formats]
        paths = {p for one in marks for p in one.keys} | {p for one in marks for some in one.any_of for p in some}
        self._paths = sorted(paths, key=repr)
        place = {p: n for n, p in enumerate(self._paths)}
        self._keys = [[place[p] for p in one.keys] for one in marks]
        self._any_of = [[[place[p] for p in some] for some in one.any_of] for one in marks]

    def fits(self, kernel: Kernel, objects: pl.Series, shape: pl.Series | None = None) -> NDArray[np.bool_]:
        """Whether each record (rows) carries the marks of each format (columns)."""
        fits = np.ones((len(objects), len(self.formats)), dtype=np.bool_)
        if not fits.size:
            return fits
        number, keys = kernel.shapes(objects, shape)
        tops = set(keys.explode(empty_as_null=False, keep_nulls=False).to_list())
        likely = self._likely(keys)
        fits[:, [n for n in range(len(self.formats)) if n not in likely]] = False
        needed = sorted({place for n in likely for part in (self._keys[n], *self._any_of[n]) for place in part})
        there = np.zeros((len(objects), len(self._paths)), dtype=np.bool_)
        deep = []
        for place in needed:
            first, *rest = self._paths[place]
            if rest and first in tops:
                deep.append(place)
            elif not rest:
                there[:, place] = keys.list.contains(first).fill_null(value=False).to_numpy()[number]
        asked = [n for n in likely if self.formats[n].recognise.where]
        wheres = {one for n in asked for one, _ in self.formats[n].recognise.where}
        wanted = sorted((one for one in wheres if not one or one[0] in tops), key=repr)
        there[:, deep], texts = kernel.marks(objects, [self._paths[place] for place in deep], wanted)
        for n in likely:
            fits[:, n] = there[:, self._keys[n]].all(axis=1)
            for some in self._any_of[n]:
                fits[:, n] &= there[:, some].any(axis=1)
            for one, pattern in self.formats[n].recognise.where:
                if not fits[:, n].any():
                    break
                if one not in wanted:
                    fits[:, n] = False
                    break
                said = texts[wanted.index(one)].str.contains(pattern).fill_null(value=False)
                fits[:, n] &= said.to_numpy()
        return fits

    def _likely(self, keys: pl.Series) -> list[int]:
        """The formats whose marks can be carried, by the top keys of the records: few shapes, many formats."""
        every = list(range(len(self.formats)))
        if len(every) <= FEW_FORMATS:
            return every
        shapes = [set(one or ()) for one in keys.list.sort().unique().to_list()]
        return [n for n in every if any(self._can(n, shape) for shape in shapes)]

    def _can(self, n: int, shape: set[str]) -> bool:
        keys = all(self._paths[place][0] in shape for place in self._keys[n])
        return keys and all(any(self._paths[place][0] in shape for place in some) for some in self._any_of[n])

    def named(self, kernel: Kernel, objects: pl.Series, shape: pl.Series | None = None) -> pl.Series:
        """The most specific format that each record fits; null where none does."""
        return self.first(self.fits(kernel, objects, shape))

    def first(self, fits: NDArray[np.bool_]) -> pl.Series:
        """The name of the first format that fits, per row."""
        if not fits.size:
            return pl.Series([None] * fits.shape[0], dtype=pl.String)
        first = np.where(fits.any(axis=1), fits.argmax(axis=1), len(self.formats))
        names = pl.Series([*(fmt.name for fmt in self.formats), None], dtype=pl.String)
        return names.gather(first)
