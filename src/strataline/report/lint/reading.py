"""An edited draft as rules look at it: its blocks, which section they stand in, and what of them is prose.

The Markdown is read by markdown-it, so that a fence, a quote or a table is what a renderer makes of it. What no rule is
about (code, comments, quotations, addresses) is blanked in `Block.prose`, character by character: every place in it is
a place in the file.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from strataline.report.draft import emptied
from strataline.report.marks import BLOCK, MARK, SLOT, digest

APPENDICES = ("A", "B", "C", "D", "E", "F")

_TITLES = (
    ("4.1", r"prompt(?: layer| slice)?"),
    ("4.2", r"retrieval(?: layer| slice)?"),
    ("4.3", r"(?:model|gateway)(?: and gateway| & gateway| layer| slice)?"),
    ("4.4", r"policy(?: filter| layer| slice)?"),
    ("4.5", r"(?:ui|user interface)(?: layer| slice)?"),
    ("1", r"(?:executive )?summary|overview"),
    ("2", r"(?:user |customer )?impact"),
    ("3", r"timeline"),
    ("7", r"contributing (?:conditions|factors)|conditions"),
    ("7.2", r"unexplained remainder"),
    ("8", r"detection(?: and response)?"),
    ("9", r"what held.*|near misses"),
    ("10", r"open questions.*|(?:evidence )?gaps"),
    ("11", r"(?:regression )?tests"),
    ("12", r"follow-?ups|action items|actions"),
    ("13", r"remediation.*"),
    ("14", r"accountability"),
    ("16", r"sign-?off"),
    ("A", r"evidence(?: register)?"),
    ("E", r"glossary"),
)
"""Headings of a document that nobody generated, by what they say."""
_NUMBERED = re.compile(r"(?P<name>[0-9]{1,2}(?:\.[0-9]{1,2})?|[A-F])[.:)]?\s")

_FRONT = re.compile(r"\A---\n(?P<text>.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_FENCE = re.compile(
    r"^ {0,12}(?P<mark>`{3,}+|~{3,}+)[^\n]*\n.*?(?:^ {0,12}(?P=mark)[`~]*[ \t]*$|\Z)", re.DOTALL | re.MULTILINE
)
_TICKS = re.compile(r"(?<![\\`])(`+)(?!`)")
_SLOT_OPEN = re.compile(r"<<HUMAN:.*?>>", re.DOTALL)
_BLANKED = (
    re.compile(r"<(?:https?|mailto):[^\s>]*>", re.IGNORECASE),
    re.compile(r"(?<=\])\([^()\s]*\)"),
    re.compile(r"[a-z][a-z0-9+.-]*://[^\s)>|]+", re.IGNORECASE),
    re.compile(r"“[^”]{1,600}”|«[^»]{1,600}»"),
    re.compile(r"(?<![\w\"])\"[^\"\n]{1,600}\"(?![\w\"])"),
    re.compile(r"</?[A-Za-z][^<>\n]{0,200}>"),
)
_EMPHASIS = re.compile(r"[*]+|(?<!\w)_+(?=\w)|(?<=\w)_+(?!\w)|~~")
_LEAD = re.compile(r"(?m)^[ \t]*(?:>[ \t]?)*[ \t]*(?:[-*+][ \t]+|[0-9]{1,9}[.)][ \t]+|#{1,6}[ \t]+)?")


@dataclass(frozen=True)
class Block:
    """A paragraph, list item, heading, row of a table, or value of the front matter.

    Args:
        kind: paragraph, heading, row, front or code.
        section: of the outline (``7.2``, ``A``); empty before the first.
        start: place of its first character in the text.
        raw: as it is written.
        prose: of the same length; what is not the author's prose is blank.
        quoted: whether it stands in a quotation.
        generated: name of the generated part it stands in.
        slot: key of the slot that holds it.
        pristine: whether every line of it is as it was drafted, but for what people put in slots.
        table: which table of the document it is a row of.
    """

    kind: str
    section: str
    start: int
    raw: str
    prose: str
    quoted: bool = False
    generated: str | None = None
    slot: str | None = None
    pristine: bool = False
    table: int | None = None

    @property
    def end(self) -> int:
        """Where it ends."""
        return self.start + len(self.raw)

    @cached_property
    def marks(self) -> list[re.Match[str]]:
        """The marks of its statements, in code not."""
        return list(MARK.finditer(self.shown, 0, self.shown.rfind("]") + 1))

    @cached_property
    def shown(self) -> str:
        """As it is written, with blanks for comments and code."""
        return _blank_code(_closed(_COMMENT, "-->", _spaces, self.raw))

    def cells(self) -> list[tuple[int, str]]:
        """The cells of a row: (place in the block, prose)."""
        cut = [found.start() for found in re.finditer(r"(?<!\\)\|", _blank_code(self.raw))]
        return [(a + 1, self.prose[a + 1 : b]) for a, b in pairwise(cut)]


@dataclass(frozen=True)
class Document:
    """A document.

    Args:
        text: the Markdown, with line feeds.
        claims: what stands beside it as ``*.claims.json``; null where it is not at hand.
        blocks: in order.
    """

    text: str
    claims: Mapping[str, Any] | None
    blocks: list[Block] = field(default_factory=list)

    @cached_property
    def lines(self) -> list[int]:
        """Where each line begins."""
        return [0, *(found.end() for found in re.finditer(r"\n", self.text))]

    def place(self, at: int) -> tuple[int, int]:
        """Line and column, from 1, of a place in the text."""
        line = bisect_right(self.lines, at)
        return line, at - self.lines[line - 1] + 1

    def section(self, name: str) -> list[Block]:
        """The blocks of a section of the outline, without its heading and its subsections."""
        return self.sections.get(name, [])

    def heading(self, name: str) -> Block | None:
        """The heading of a section."""
        return next((block for block in self.blocks if block.section == name and block.kind == "heading"), None)

    @cached_property
    def drafted(self) -> bool:
        """Whether it began as a draft of this tool."""
        return BLOCK.search(self.text) is not None

    @cached_property
    def front(self) -> dict[str, str]:
        """The front matter, as text."""
        found = _FRONT.match(self.text)
        pairs = (line.partition(":") for line in found["text"].splitlines()) if found else ()
        return {key.strip(): value.strip().strip('"') for key, _, value in pairs}

    @cached_property
    def tables(self) -> dict[int, list[Block]]:
        """The rows of each table, its head first."""
        made: dict[int, list[Block]] = {}
        for block in self.blocks:
            if block.table is not None:
                made.setdefault(block.table, []).append(block)
        return made

    @cached_property
    def sections(self) -> dict[str, list[Block]]:
        """The blocks of each section, without its heading and its subsections."""
        made: dict[str, list[Block]] = {}
        for block in self.blocks:
            if block.kind != "heading":
                made.setdefault(block.section, []).append(block)
        return made


def read(text: str, claims: Mapping[str, Any] | None = None) -> Document:
    """Read a document; `claims` is its sidecar."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    document = Document(text, claims)
    bare = _without_comments(text)
    front = _FRONT.match(text)
    if front is not None:
        bare = _blank(bare, 0, front.end())
        document.blocks.extend(_front(front))
    parts = [(found.start("text"), found.end("text"), found["name"]) for found in BLOCK.finditer(text)]
    slots = [(found.start("text"), found.end("text"), found["key"]) for found in SLOT.finditer(text)]
    stood = (claims or {}).get("blocks") or {}
    section, lines = "", document.lines
    for kind, first, last, quoted, table in _leaves(bare):
        start = lines[first]
        end = lines[last] if last < len(lines) else len(text)
        raw = text[start:end].rstrip("\n")
        if kind == "heading":
            section = _section(raw, section)
        generated = next((name for a, b, name in parts if a <= start < b), None)
        within = next((key for a, b, key in slots if a <= start and start + len(raw) <= b + 1), None)
        pristine = generated is not None and within is None and _pristine(raw, stood.get(generated))
        prose = " " * len(raw) if kind == "code" else _prose(bare[start : start + len(raw)])
        if pristine:
            prose = _slots_only(start, prose, slots)
        document.blocks.append(
            Block(kind, section, start, raw, prose, quoted, generated, within, pristine, table),
        )
    return document


def _leaves(bare: str) -> Iterator[tuple[str, int, int, bool, int | None]]:
    """The blocks that hold text: kind, first line, line after the last, whether quoted, number of the table."""
    quotes, tables, heading = 0, 0, False
    table: int | None = None
    for token in MarkdownIt("commonmark").enable("table").parse(bare):
        match token.type:
            case "blockquote_open" | "blockquote_close":
                quotes += token.nesting
            case "table_open":
                table, tables = tables, tables + 1
            case "table_close":
                table = None
            case "heading_open" | "heading_close":
                heading = token.nesting == 1
            case "tr_open":
                yield "row", *_map(token), quotes > 0, table
            case "inline" if table is None:
                yield "heading" if heading else "paragraph", *_map(token), quotes > 0, None
            case "fence" | "code_block":
                yield "code", *_map(token), quotes > 0, None
            case "html_block":
                yield "paragraph", *_map(token), quotes > 0, None


def _map(token: Token) -> tuple[int, int]:
    first, last = token.map or [0, 0]
    return first, last


def _section(heading: str, now: str) -> str:
    """Which section of the outline a heading begins; a heading of its own stays in the one before it."""
    title = re.sub(r"^[\s>#]*|[\s#]*$", "", heading)
    numbered = _NUMBERED.match(title)
    if numbered is not None:
        return numbered["name"]
    plain = re.sub(r"[*_`:]", "", title).strip()
    return next((name for name, said in _TITLES if re.fullmatch(said, plain, re.IGNORECASE)), now)


def _front(front: re.Match[str]) -> Iterator[Block]:
    """The title, which people write; the other values of the front matter are not sentences."""
    for line in re.finditer(r"^title:[ \t]*(?P<value>[^\n]*)$", front["text"], re.MULTILINE):
        start, value = front.start("text") + line.start("value"), line["value"]
        inner = f" {value[1:-1]} " if re.fullmatch(r'".*"', value) else value
        yield Block("front", "", start, value, _prose(inner))


def _without_comments(text: str) -> str:
    """`text` with blanks for comments outside of fences.

    A comment at the beginning of a line would make HTML of the line. What follows it shows as text only in some
    renderers, but people write waivers there: so the line is read as text.
    """
    fences = [found.span() for found in _FENCE.finditer(text)]

    def blank(found: re.Match[str]) -> str:
        if any(a <= found.start() < b for a, b in fences):
            return found[0]
        line = text.rfind("\n", 0, found.start()) + 1
        leads = not text[line : found.start()].strip()
        alone = not text[found.end() : (text + "\n").find("\n", found.end())].strip()
        # Blanks would indent what follows into a code block; these are no white space to Markdown.
        fill = "\xa0" if leads and not alone else " "
        return re.sub(r"[^\n]", fill, found[0])

    return _closed(_COMMENT, "-->", blank, text)


def _spaces(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", found[0])


def _closed(pattern: re.Pattern[str], end: str, by: Callable[[re.Match[str]], str], text: str) -> str:
    """`text` with what `pattern` finds replaced; behind the last `end` nothing can be found, so nothing is tried."""
    last = text.rfind(end) + len(end) if end in text else 0
    return pattern.sub(by, text[:last]) + text[last:]


def _blank(text: str, start: int, end: int) -> str:
    return text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]


def _prose(raw: str) -> str:
    """`raw` with blanks for what is not its author's prose."""
    made = _blank_code(raw).replace("\xa0", " ")
    made = _LEAD.sub(lambda found: " " * len(found[0]), made)
    made = _closed(_SLOT_OPEN, ">>", _spaces, made)
    made = _closed(MARK, "]", _spaces, made)
    for pattern in (*_BLANKED, _EMPHASIS):
        made = pattern.sub(_spaces, made)
    return made


def _blank_code(raw: str) -> str:
    return "".join(" " if inside and char != "\n" else char for char, inside in zip(raw, coded(raw), strict=True))


def coded(raw: str) -> bytearray:
    """Which characters stand in code spans: a run of backticks is closed by the next run of as many."""
    inside = bytearray(len(raw))
    runs = [found.span(1) for found in _TICKS.finditer(raw)]
    waiting: dict[int, list[int]] = {}
    for place, (start, end) in enumerate(runs):
        waiting.setdefault(end - start, []).append(place)
    place = 0
    while place < len(runs):
        start, end = runs[place]
        later = waiting[end - start]
        following = bisect_right(later, place)
        if following < len(later):
            place = later[following]
            inside[start : runs[place][1]] = b"\1" * (runs[place][1] - start)
        place += 1
    return inside


def _pristine(raw: str, stood: Mapping[str, Any] | None) -> bool:
    """Whether the lines of `raw` are among those that were drafted."""
    if stood is None:
        return False
    known = set(stood["lines"])
    return all(digest(line)[:16] in known for line in emptied(raw).split("\n") if line.strip())


def _slots_only(start: int, prose: str, slots: list[tuple[int, int, str]]) -> str:
    """`prose` with nothing but what stands in slots."""
    made = [char if char == "\n" else " " for char in prose]
    for a, b, _ in slots:
        if a < start + len(prose) and b > start:
            made[max(0, a - start) : b - start] = prose[max(0, a - start) : b - start]
    return "".join(made)
