"""Why a record is not what its neighbours are: which key or character keeps the formats from describing it.

Pure functions over a record's text and the catalogue. What they quote of the record is log text as it stands there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

import polars as pl
import regex

from strataline.format import Format, Segment, path
from strataline.parse.kernel import OBJECT, Kernel
from strataline.parse.recognise import Marks
from strataline.parse.rescue import rescue

NEAREST = 3
"""How many formats that nearly describe a record are named."""

PATIENCE_S = 0.25
"""How long one format's pattern may be tried on a line; beyond that nothing is said of this format."""

LONGEST = 4000
"""Characters of a line that patterns are tried on."""

LEAST = 3
"""Characters that a pattern must describe beyond what it describes of any text, to be called near."""

FEW = 5
"""Keys, of those that would each do, that are named."""

SNIPPET = 40
"""Characters that are quoted of a place."""

# A line may begin with [ERROR] or [2026-03-04] and be no JSON at all.
_LIKE_JSON = re.compile(r'[\s\ufeff]*(?:\{|\[\s*[\[{"\]])')
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]', re.DOTALL)
_DECODER = json.JSONDecoder(strict=False, parse_float=str, parse_int=str)
_EXPECTED = (
    ("Expecting property name", "a key in double quotes"),
    ("Expecting ':'", "`:`"),
    ("Expecting value", "a value"),
    ("Unterminated string", "the double quote that ends the text which begins here"),
    ("Invalid \\u", "four hexadecimal digits"),
    ("Invalid \\", "an escape that JSON knows"),
    ("Illegal trailing comma before end of object", "one more key"),
    ("Illegal trailing comma", "one more value"),
)


@dataclass(frozen=True)
class Break:
    """Where JSON breaks.

    Args:
        character: the place in the record, from 1.
        expected: what could stand there.
        found: what stands there; empty at the end of the record.
        within: the key whose value is broken (``messages[1].content``); empty at the top.
    """

    character: int
    expected: str
    found: str
    within: str


@dataclass(frozen=True)
class Near:
    """A format that nearly describes a record.

    Args:
        format: its name.
        carries: how many of its marks the record carries; null for a text format.
        marks: how many it has.
        lacks: the marks that the record does not carry, each in words.
        character: of text, the place where the pattern breaks, from 1.
        found: of text, what stands there; empty at the end of the line.
        after: of text, the last group that was read before; null if none was.
    """

    format: str
    carries: int | None = None
    marks: int = 0
    lacks: tuple[str, ...] = ()
    character: int | None = None
    found: str = ""
    after: str | None = None


@dataclass(frozen=True)
class Explained:
    """What a record is.

    Args:
        shape: ``object``, ``json`` (of another type), ``damaged`` (JSON that cannot be read), ``saved`` (JSON that only
            the second reading can read), ``text``, or ``bytes`` (no UTF-8).
        detail: the JSON type; what was wrong with what was saved; the byte that is no UTF-8.
        format: the format that describes it; null if none does.
        breaks: of damaged JSON, where.
        nearest: if no format describes it, those that nearly do, the nearest first.
        hasty: text formats whose patterns took too long to be tried.
    """

    shape: str
    detail: str = ""
    format: str | None = None
    breaks: Break | None = None
    nearest: tuple[Near, ...] = ()
    hasty: tuple[str, ...] = ()


def explain(kernel: Kernel, marks: Marks, record: bytes) -> Explained:
    """Say what `record` is, and which of `marks` it lacks where no format describes it."""
    look = kernel.look(pl.Series([record], dtype=pl.Binary))
    text, kind = look["s"][0], look["type"][0]
    if text is None:
        try:
            record.decode("utf-8")
        except UnicodeDecodeError as problem:
            return Explained("bytes", f"byte {problem.start + 1} is 0x{record[problem.start]:02x}: {problem.reason}")
        return Explained("bytes", "no UTF-8")
    if kind == OBJECT:
        return _object(kernel, marks, text, "object")
    if kind is not None:
        return Explained("json", str(kind).lower())
    named = marks.of_lines(pl.Series([text], dtype=pl.String))[0]
    if named is not None:
        return Explained("text", format=named)
    pieces = rescue(text)
    if pieces[0].plain:
        near, hasty = nearest_patterns(marks.lines, text)
        return Explained("text", nearest=near, hasty=hasty)
    refused = next((piece for piece in pieces if piece.text is None), None)
    if refused is None:
        why = ", ".join(dict.fromkeys(piece.why for piece in pieces if piece.why))
        return _object(kernel, marks, pieces[0].text or "", "saved", why)
    if not _LIKE_JSON.match(text):
        near, hasty = nearest_patterns(marks.lines, text)
        return Explained("text", nearest=near, hasty=hasty)
    broken = None if refused.why == "too_deep" else broken_at(text, refused.start)
    return Explained("damaged", refused.detail, breaks=broken)


def _object(kernel: Kernel, marks: Marks, text: str, shape: str, detail: str = "") -> Explained:
    named = marks.of_objects(kernel, pl.Series([text], dtype=pl.String))[0]
    near = () if named is not None else nearest_marks(kernel, marks.records.formats, text)
    return Explained(shape, detail, format=named, nearest=near)


def broken_at(text: str, start: int = 0) -> Break | None:
    """Where the JSON document that begins at `start` (or after white space there) breaks; null if it does not.

    >>> broken_at('{"a": [1, {"b": tru')
    Break(character=17, expected='a value', found='tru', within='a[1].b')
    """
    start += len(text[start:]) - len(text[start:].lstrip("\ufeff \t\r\n"))
    try:
        _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as problem:
        # A document that ends too early breaks at its end, not at the space before it.
        at = problem.pos if text[problem.pos :].strip() else len(text.rstrip())
        stack = _open_at(text, start, at)
        expected = next((words for said, words in _EXPECTED if problem.msg.startswith(said)), None)
        if expected is None:
            expected = f"`,` or `{'}' if stack and stack[-1][0] == '{' else ']'}`"
        return Break(at + 1, expected, text[at : at + SNIPPET].rstrip(), _keys(stack))
    except RecursionError:
        return None
    return None


_Level = tuple[str, str | int | None]
"""An open bracket, and the key or place that is at hand in it."""


def _open_at(text: str, start: int, at: int) -> list[_Level]:
    """The objects and lists that are open before the character `at`."""
    stack: list[_Level] = []
    said = ""
    for token in _TOKEN.finditer(text, start):
        if token.start() >= at:
            break
        mark = token.group()[0]
        if mark == '"':
            said = token.group()
        elif mark in "{[":
            stack.append((mark, None if mark == "{" else 0))
        elif mark in "}]":
            del stack[-1:]
        elif stack:
            bracket, here = stack[-1]
            if mark == ":" and bracket == "{":
                stack[-1] = (bracket, _unquoted(said))
            elif mark == ",":
                stack[-1] = (bracket, here + 1 if isinstance(here, int) else None)
    return stack


def _unquoted(said: str) -> str:
    try:
        return str(json.loads(said, strict=False))
    except ValueError:
        return said.strip('"')


def _keys(stack: Sequence[_Level]) -> str:
    """The way to the innermost value that is open; of a deep one its last steps."""
    way = [here for _, here in stack if here is not None]
    return ("… " if len(way) > 8 else "") + written(way[-8:])


def written(segments: Sequence[Segment]) -> str:
    """A path as people write it.

    >>> written(("choices", 0, "message", "content"))
    'choices[0].message.content'
    """
    return "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in segments).removeprefix(".")


def nearest_marks(kernel: Kernel, formats: Sequence[Format], text: str) -> tuple[Near, ...]:
    """Of JSON formats those whose marks the object `text` carries most of, at most `NEAREST`."""
    record = pl.Series([text], dtype=pl.String)
    marks = {fmt.name: fmt.recognise for fmt in formats}
    asked = {one for m in marks.values() for one in m.keys}
    asked |= {one for m in marks.values() for some in m.any_of for one in some}
    wanted = sorted({one for m in marks.values() for one, _ in m.where}, key=repr)
    paths = sorted(asked | set(wanted), key=repr)
    if not paths:
        return ()
    there = dict(zip(paths, kernel.has(record, paths)[0].tolist(), strict=True))
    found = kernel.extract(record, {str(n): path(*one) for n, one in enumerate(wanted)}) if wanted else pl.DataFrame()
    values = {one: found[str(n)][0] for n, one in enumerate(wanted)}
    near = []
    for name, mark in marks.items():
        lacks, weight = [], 0
        for one in mark.keys:
            if there[one]:
                weight += 1
            elif one not in dict(mark.where):
                lacks.append(f"lacks `{written(one)}`")
        for some in mark.any_of:
            if any(there[one] for one in some):
                weight += 1
            else:
                lacks.append("lacks any of " + _few([f"`{written(one)}`" for one in some]))
        for one, pattern in mark.where:
            value = values[one]
            if value is not None and pl.select(pl.lit(value).str.contains(pattern)).item():
                weight += 2
            elif value is None:
                # The key itself may be one of the marks; it is missed once.
                lacks.append(f"lacks `{written(one)}`, expected to match /{pattern}/")
            else:
                lacks.append(f"`{written(one)}` is {_short(value)!r}, expected to match /{pattern}/")
        if weight and lacks:
            total = len(mark.keys) + len(mark.any_of) + len(mark.where)
            missed = len(lacks) + sum(1 for one, _ in mark.where if one in mark.keys and not there[one])
            one_near = Near(name, carries=total - missed, marks=total, lacks=tuple(lacks))
            near.append((-weight / mark.specificity, -weight, name, one_near))
    near.sort(key=lambda one: one[:3])
    return tuple(one for *_, one in near[:NEAREST])


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more


def _short(value: str) -> str:
    return value if len(value) <= SNIPPET else value[:SNIPPET] + "…"


def nearest_patterns(formats: Sequence[Format], text: str) -> tuple[tuple[Near, ...], tuple[str, ...]]:
    """Of text formats those whose patterns describe most of the line's beginning, at most `NEAREST`.

    Returns:
        The formats, and the names of those whose patterns took too long.
    """
    line = text.split("\n", 1)[0].rstrip("\r")[:LONGEST]
    near, hasty = [], []
    for fmt in formats:
        pattern = regex.compile(fmt.pattern or "")
        try:
            reach = _reach(pattern, line)
            # What a pattern says of any such text at all (`.*` at its head), it says of the line read backwards too.
            idle = _reach(pattern, line[::-1])
        except TimeoutError:
            hasty.append(fmt.name)
            continue
        if reach - idle >= LEAST:
            told = pattern.fullmatch(line[:reach], partial=True, timeout=PATIENCE_S)
            read = [(end, name) for name in pattern.groupindex for end in [told.end(name)] if end > 0] if told else []
            after = max(read)[1] if read else None
            one = Near(fmt.name, character=reach + 1, found=line[reach : reach + SNIPPET], after=after)
            near.append((idle - reach, fmt.name, one))
    near.sort(key=lambda one: one[:2])
    return tuple(one for *_, one in near[:NEAREST]), tuple(sorted(hasty))


def _reach(pattern: regex.Pattern[str], line: str) -> int:
    """How many characters from the start of `line` could be the beginning of what the pattern describes.

    A beginning of such a beginning is one too, so that the longest is found by halving.

    Raises:
        TimeoutError: if the pattern takes too long.
    """
    until = monotonic() + PATIENCE_S

    def could_begin(length: int) -> bool:
        left = until - monotonic()
        if left <= 0:
            raise TimeoutError
        return pattern.fullmatch(line[:length], partial=True, timeout=left) is not None

    return _largest(could_begin, len(line))


def _largest(holds: Callable[[int], bool], most: int) -> int:
    """The largest number up to `most` that `holds`, which holds for every smaller one; 0 if none does."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low
