"""Which format is this? Scored over many records, never only the first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from strataline.format import Format, path
from strataline.parse.kernel import OBJECT, Kernel
from strataline.parse.lines import match

SAMPLE = 400
SAMPLE_BYTES = 2 << 20
"""How many records, and about how many bytes, are looked at; spread over the first batch. Never fewer than 20."""

ENOUGH = 0.5
"""Share of the looked-at records that must carry a format's marks."""

FEW_OBJECTS = 0.2
"""Below this share of JSON objects a file is a text log that quotes some."""


@dataclass(frozen=True)
class Recognised:
    """The format that a source has, with the share of looked-at records that carry its marks.

    `ties` names formats that fit as well; `forced` says that the caller named the format.
    """

    format: Format
    confidence: float
    ties: tuple[str, ...] = ()
    forced: bool = False


def recognise(kernel: Kernel, formats: Mapping[str, Format], text: pl.Series) -> Recognised | None:
    """Recognise the format of records (Binary, null where too long); null if none of `formats` fits."""
    scores = score(kernel, formats, text)
    fits = [(formats[name], share) for name, share in scores.items() if share >= ENOUGH]
    if not fits:
        return None
    best = max(fits, key=lambda fit: (_specificity(fit[0]), fit[1]))
    rank = (_specificity(best[0]), best[1])
    ties = tuple(fmt.name for fmt, share in fits if (_specificity(fmt), share) == rank and fmt is not best[0])
    return Recognised(best[0], round(best[1], 4), ties)


def score(kernel: Kernel, formats: Mapping[str, Format], text: pl.Series) -> dict[str, float]:
    """Share of the looked-at records that carry the marks of each format, from 0 to 1.

    For a JSON format the share is of the JSON objects, unless these are few; for a text format of all lines.
    """
    lines = text.drop_nulls()
    lines = lines.filter(lines.bin.size() > 0)
    if lines.is_empty():
        return {}
    mean = max(1, int(lines.bin.size().sum()) // len(lines))
    wanted = max(20, min(SAMPLE, SAMPLE_BYTES // mean))
    lines = lines.gather_every(max(1, len(lines) // wanted))
    look = kernel.look(lines)
    objects = look.filter(pl.col("type") == OBJECT)["s"]
    plain = look["s"].drop_nulls()
    scores: dict[str, float] = {}
    json = {name: fmt for name, fmt in formats.items() if fmt.container == "json"}
    if objects.len() and json:
        scores |= _score_objects(kernel, json, objects, _whole(objects.len(), lines.len()))
    for name, fmt in formats.items():
        if fmt.container == "text":
            scores[name] = int(match(fmt, plain)["_described"].sum()) / lines.len()
    return scores


def _specificity(fmt: Format) -> int:
    return fmt.recognise.specificity


def _whole(objects: int, lines: int) -> int:
    return objects if objects >= FEW_OBJECTS * lines else lines


def _score_objects(kernel: Kernel, formats: Mapping[str, Format], objects: pl.Series, whole: int) -> dict[str, float]:
    keys = {p for fmt in formats.values() for p in fmt.recognise.keys}
    either = {p for fmt in formats.values() for one in fmt.recognise.any_of for p in one}
    paths = sorted(keys | either, key=repr)
    there = kernel.has(objects, paths) if paths else pl.DataFrame()
    values = sorted({p for fmt in formats.values() for p, _ in fmt.recognise.where}, key=repr)
    texts = kernel.extract(objects, {str(n): path(*p) for n, p in enumerate(values)}, ())
    scores = {}
    for name, fmt in formats.items():
        fits = pl.Series([True] * len(objects))
        for one in fmt.recognise.keys:
            fits = fits & there[f"c{paths.index(one)}"]
        for some in fmt.recognise.any_of:
            fits = fits & pl.select(pl.any_horizontal(*(pl.lit(there[f"c{paths.index(p)}"]) for p in some))).to_series()
        for one, pattern in fmt.recognise.where:
            fits = fits & texts[str(values.index(one))].str.contains(pattern).fill_null(value=False)
        scores[name] = int(fits.sum()) / whole
    return scores
