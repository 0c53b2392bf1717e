"""Writes claims: sentences with their marks, the evidence that they cite, and log text that stays text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from strataline.escape import code, excerpt, printable
from strataline.report.marks import digest, numbers, visible

Row = Mapping[str, Any]
Redact = Callable[[str], str]

CITED = 4
"""A claim cites so many records at most; its finding's further ones are in the case."""
CELL = 160
"""Characters of a value in a cell or a sentence; what is cut says so."""
NONE = "–"

_PROSE = re.compile(r"([\\`*\[\]<>&|~$#^])")
_EDGE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_MAIL = re.compile(r"(?<=[\w.+-])@(?=\w)")
_WORD = re.compile(r"\\`([A-Za-z0-9][A-Za-z0-9._:@/-]{0,79})\\`")
_BULLET = re.compile(r"^(\s*)([-+=]|[0-9]+[.)])")


def keep(text: str) -> str:
    """Return one whole text unchanged: what redacts where nothing is to be redacted."""
    return text


def keep_field(name: str, text: str) -> str:
    """Return what the field `name` holds unchanged, likewise."""
    del name
    return text


def cut(text: str, most: int = CELL) -> str:
    """`text`, cut where it is longer than `most` characters, saying how long it is."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


def prose(text: str) -> str:
    r"""Return log text as Markdown prose of one line that shows as it is: nothing in it is acted on.

    >>> print(prose("[x](https://evil.example) a_b | <b> me@corp.example"))
    \[x\](hxxps://evil\[.\]example) a_b \| \<b\> me\[@\]corp.example
    """
    line = _MAIL.sub("[@]", excerpt(text))
    line = _EDGE.sub(r"\\_", _PROSE.sub(r"\\\1", line))
    # A sentence may quote a word of the log; a word cannot act.
    line = _WORD.sub(r"`\1`", line)
    return _BULLET.sub(r"\1\\\2", line)


def quoted(text: str) -> str:
    """Return log text as a code span, addresses unclickable: for values of free text."""
    return code(unmarked(excerpt(text)))


def unmarked(text: str) -> str:
    r"""Return log text in which nothing reads as the draft's own grammar: a comment, a slot, a fence.

    >>> print(unmarked("<!-- generated:end 1 --> <<HUMAN:x"))
    <\x21-- generated:end 1 --> <\x3cHUMAN:x
    """
    return text.replace("<!--", r"<\x21--").replace("<<HUMAN", r"<\x3cHUMAN")


def fence(text: str, most: int) -> list[str]:
    """Return log text as the lines of a fenced block, whole up to `most` characters; each line is made printable."""
    left = len(text) - most
    lines = [unmarked(excerpt(line)) for line in text[:most].splitlines()] or [""]
    run = max((len(found) for line in lines for found in re.findall("`+", line)), default=0)
    ticks = "`" * max(3, run + 1)
    said = [f"… cut here: {left:,} further characters are in the record"] if left > 0 else []
    return [f"{ticks}text", *lines, *said, ticks]


def table(head: Sequence[str], rows: Iterable[str]) -> list[str]:
    """The lines of a table; `rows` are lines, as `cells` or `Pen.row` give them. Without rows, nothing."""
    lines = list(rows)
    return [cells(head), cells(["---"] * len(head)), *lines] if lines else []


def cells(values: Sequence[str]) -> str:
    """One row of a table; empty cells hold a dash."""
    return "| " + " | ".join(value or NONE for value in values) + " |"


def slot(key: str, why: str, prompts: Sequence[str]) -> list[str]:
    """The lines of a slot that people fill, with the questions that may help them."""
    return [f"<!-- human:{key} -->", f"<<HUMAN:{key} | {why} | {' · '.join(prompts)}>>", f"<!-- /human:{key} -->"]


def slot_cell(key: str, why: str, prompt: str) -> str:
    """A slot within a table's cell."""
    return rf"<!-- human:{key} --><<HUMAN:{key} \| {why} \| {prompt}>><!-- /human:{key} -->"


@dataclass
class Claim:
    """One sentence of the draft, as its sidecar holds it."""

    id: str
    section: str
    status: str
    finding: str | None
    evidence: list[str]
    numbers: list[str]
    sha256: str
    text: str


@dataclass
class Pen:
    """Writes one draft, and keeps what it claimed and cited.

    Args:
        redact: text to text, for everything that comes from a log.
        of: the name of a field and what it holds, to text: likewise, and whole where that field is replaced.
        evidence: event id (or ``at:ADDRESS`` of what is no event) → its number in the register; numbers that an
            earlier draft gave are kept, for people may cite them.
    """

    redact: Redact = keep
    of: Callable[[str, str], str] = keep_field
    evidence: dict[str, str] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    section: str = ""

    def prose(self, text: object, most: int = 2000) -> str:
        """Log text within a sentence."""
        return prose(cut(self.redact(str(text)), most))

    def code(self, text: object, most: int = CELL) -> str:
        """Log text as a code span: an id, a version, an address, an excerpt."""
        return quoted(cut(self.redact(str(text)), most))

    def held(self, name: str, text: object) -> str:
        """What the field `name` holds, as a code span."""
        return quoted(cut(self.of(name, str(text)), CELL))

    def place(self, address: str) -> str:
        """An evidence address, as it is: it leads to a record."""
        return code(unmarked(address))

    def fence(self, text: str, most: int) -> list[str]:
        """Log text of many lines, in a fenced block."""
        return fence(self.redact(text), most)

    def cite(self, events: Iterable[str | None], most: int = CITED) -> list[str]:
        """The numbers, in the register, of the first `most` of `events`."""
        named = list(dict.fromkeys(one for one in events if one))[:most]
        for one in named:
            if one not in self.evidence:
                self.evidence[one] = f"EV-{self._next():04d}"
        return [self.evidence[one] for one in named]

    def _next(self) -> int:
        return 1 + max((int(number[3:]) for number in self.evidence.values()), default=0)

    def mark(self, status: str, finding: str | None, cited: Sequence[str], note: str = "", alt: str = "") -> str:
        """A mark, as it stands in a sentence; `note` where no record is cited."""
        rests = ",".join(cited) or note
        if status == "OBS":
            body = " ".join(part for part in (status, finding and f"{finding}:", rests) if part)
        elif finding:
            body = f"{status} {finding}: {rests or 'the whole case'}"
        else:
            body = f"{status}: {rests or 'the whole case'}"
        said = re.sub(r"[\[\]|\n]", " ", alt).strip().rstrip(".")
        return f"[{body} | alt: {said}]" if said and status == "INF" else f"[{body}]"

    def claim(
        self,
        status: str,
        sentence: str,
        *,
        events: Iterable[str | None] = (),
        finding: str | None = None,
        note: str = "",
        alt: str = "",
        lead: str = "- ",
    ) -> str:
        """One line: `lead`, the mark, `sentence` (Markdown, one line), and the anchor.

        Args:
            status: OBS, DER, INF, UNK or HUM.
            sentence: log text in it has passed `prose` or `code`.
            events: event ids that it rests on, the telling ones first.
            finding: id of the finding that it states.
            note: what it rests on where that is no record: a table of the case, or what is missing.
            alt: what else the records would look like this for; stated where the status is INF.
            lead: what the line begins with.
        """
        cited = self.cite(events)
        line = f"{lead}{self.mark(status, finding, cited, note, alt)} {sentence}"
        return f"{line} {self._anchor(line, status, finding, cited)}"

    def row(
        self,
        status: str,
        values: Sequence[str],
        *,
        events: Iterable[str | None] = (),
        finding: str | None = None,
        note: str = "",
        at: int | None = None,
    ) -> str:
        """One row of a table that is a claim: `values` and its mark, as the cell `at` (by default the last)."""
        cited = self.cite(events)
        mark = self.mark(status, finding, cited, note)
        place = len(values) if at is None else at
        every = [*values[:place], mark, *values[place:]]
        anchor = self._anchor(cells(every), status, finding, cited)
        return cells([*every[:-1], f"{every[-1] or NONE} {anchor}"])

    def _anchor(self, line: str, status: str, finding: str | None, cited: list[str]) -> str:
        name = f"C-{len(self.claims) + 1:03d}"
        seen = visible(line)
        self.claims.append(
            Claim(name, self.section, status, finding, cited, numbers(seen), digest(seen), seen),
        )
        return f"<!-- c:{name} {status} {finding or '-'} {','.join(cited) or '-'} -->"


def shown(text: str) -> str:
    """Own words that hold a name of a log (a folder, a selector), in one line of Markdown."""
    return code(unmarked(printable(text)))
