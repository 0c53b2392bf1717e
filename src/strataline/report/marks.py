"""The grammar of a draft, stated once: marks, claim anchors, slots for people, generated blocks.

A claim is one line (a list item, a paragraph, or a row of a table)::

    [DER F-01: EV-0012,EV-0019] Sentence. <!-- c:C-014 DER F-01 EV-0012,EV-0019 -->

Its mark says what the sentence rests on, the anchor names it in ``*.claims.json``, which holds the SHA-256 of what
`visible` leaves of the line. A slot is what only people can say; what they put between its two comments stays::

    <!-- human:summary -->
    <<HUMAN:summary | why a tool cannot fill this | prompts>>
    <!-- /human:summary -->

Between ``<!-- generated:begin 3 -->`` and ``<!-- generated:end 3 -->`` everything but slots is made anew by an update.
"""

from __future__ import annotations

import hashlib
import re

STATUSES = {
    "OBS": "in a record",
    "DER": "computed from records joined by ids",
    "INF": "needed a heuristic: text, time, or a pattern",
    "UNK": "no record in the supplied logs",
    "HUM": "a person said so",
}
"""What a mark says a sentence rests on."""

MARK = re.compile(r"\[(?P<status>OBS|DER|INF|UNK|HUM)\b(?P<rest>[^\]\n]*)\]")
EVIDENCE = re.compile(r"\bEV-[0-9]{4,}\b")
ANCHOR = re.compile(
    r"<!-- c:(?P<claim>C-[0-9]{3,}) (?P<status>OBS|DER|INF|UNK|HUM) (?P<finding>\S+) (?P<evidence>\S+) -->"
)
"""``-`` stands for no finding, and for no evidence."""
OPEN = re.compile(r"<<HUMAN:(?P<key>[\w.-]+) \\?\| (?P<why>.*?) \\?\| (?P<prompts>.*?)>>")
"""A slot that nobody has filled."""
CLOSED = re.compile(r"<<HUMAN:(?P<key>[\w.-]+) = not applicable, (?P<reason>.*?)>>")
SLOT = re.compile(r"<!-- human:(?P<key>[\w.-]+) -->(?P<text>.*?)<!-- /human:(?P=key) -->", re.DOTALL)
BLOCK = re.compile(
    r"^<!-- generated:begin (?P<name>[\w.]+) -->\n(?P<text>.*?)^<!-- generated:end (?P=name) -->$",
    re.DOTALL | re.MULTILINE,
)

_COMMENT = re.compile(r"<!--.*?-->")
_LEAD = re.compile(r"^\s*(?:[-*+>]|[0-9]+[.)])\s+")
_NUMBER = re.compile(r"(?<![\w.-])[+-]?[0-9](?:[0-9,.:]*[0-9])?(?![\w-])")


def visible(line: str) -> str:
    """What a reader sees of a claim's line: without comments, without what people wrote in slots, white space folded.

    >>> visible("- [OBS EV-0001]  Shown. <!-- c:C-001 OBS - EV-0001 -->")
    '[OBS EV-0001] Shown.'
    """
    bare = _COMMENT.sub("", SLOT.sub(" ", line))
    return " ".join(_LEAD.sub("", bare).split())


def digest(text: str) -> str:
    """SHA-256 of `text`, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def numbers(line: str) -> list[str]:
    """The numbers that a claim's line states, in order: not those of its mark, of names, or of code.

    >>> numbers("[DER F-01: EV-0012] 1,056 of 3,085 requests, as `v12` at 23:03:35.413.")
    ['1,056', '3,085', '23:03:35.413']
    """
    bare = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", " ", MARK.sub(" ", visible(line)))
    return [found.replace("+", "") for found in _NUMBER.findall(bare)]
