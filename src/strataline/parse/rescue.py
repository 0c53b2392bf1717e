"""The second reading: one tolerant look, in Python, at a record that the kernel refused.

It saves what lies there whole (two documents run into one line, a raw control character, a lone surrogate, a
byte-order mark) and says so; the rest becomes a reject with its reason. It never repairs what was cut.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f]")
_LONE = re.compile(r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})")
_SPACE = re.compile(r"[\s\ufeff]*")
# Numbers stay as they are written: how large they are is no matter here, and takes long to find out.
_DECODER = json.JSONDecoder(strict=False, parse_float=str, parse_int=str)
_WORDS = ("true", "false", "null", "NaN", "Infinity", "-Infinity")

DEEPEST = 200
"""Nesting that no log record needs; beyond it a decoder's own recursion is at risk."""


@dataclass(frozen=True)
class Piece:
    """Part of a record: a document that was saved, or the rest that was not.

    Args:
        start: first character in the record.
        end: one past the last.
        text: JSON that the kernel accepts; null for a reject or a plain line.
        why: what was done to save it, or the reason of the reject.
        detail: what exactly was met.
        plain: the record is sound text, and no JSON at all.
    """

    start: int
    end: int
    text: str | None
    why: str
    detail: str = ""
    plain: bool = False


def rescue(text: str) -> list[Piece]:
    """Read a record that the kernel refused.

    Returns:
        The documents in it, in order, and a reject for what is left; together they cover `text`.
    """
    start = 1 if text.startswith("\ufeff") else 0
    first = _SPACE.match(text, start)
    at = first.end() if first else start
    if text[at : at + 1] not in ("{", "["):
        return [Piece(0, len(text), None, "plain", plain=True)]
    if _depth(text) > DEEPEST:
        return [Piece(0, len(text), None, "too_deep", f"more than {DEEPEST} levels of nesting")]
    pieces: list[Piece] = []
    begin = 0
    while at < len(text):
        end, why, problem = _document(text, at)
        if problem is not None:
            reason, detail = problem
            pieces.append(Piece(begin, len(text), None, reason, detail))
            break
        until = _SPACE.match(text, end)
        stop = until.end() if until else end
        pieces.append(
            Piece(begin, stop, _mended(text[at:end]), why or ("byte_order_mark" if start and not pieces else ""))
        )
        begin = at = stop
    if len(pieces) > 1:
        pieces = [_run_together(piece) for piece in pieces]
    return pieces


def _run_together(piece: Piece) -> Piece:
    if piece.text is None:
        return piece
    why = f"merged_records, {piece.why}" if piece.why else "merged_records"
    return Piece(piece.start, piece.end, piece.text, why)


def _document(text: str, at: int) -> tuple[int, str, tuple[str, str] | None]:
    """Where the document that begins at `at` ends, what was wrong with it, and why it cannot be read if so."""
    try:
        _, end = _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as problem:
        reason = "truncated_json" if _cut(text, problem) else "not_json"
        return at, "", (reason, f"{problem.msg.removesuffix(' at')} at character {problem.pos + 1}")
    body = text[at:end]
    faults = []
    if any(_CONTROL.search(string) for string in _STRING.findall(body)):
        faults.append("control_character")
    if any(found.group(1) for found in _LONE.finditer(body)):
        faults.append("lone_surrogate")
    return end, ", ".join(faults), None


def _cut(text: str, problem: json.JSONDecodeError) -> bool:
    """Whether the text ends where a document would go on: in a string, an escape, a word, or between two of them."""
    rest = text[problem.pos :].strip()
    in_word = any(one.startswith(rest) and one != rest for one in _WORDS)
    in_number = re.fullmatch(r"\.|[eE][+-]?", rest) is not None
    in_escape = problem.msg.startswith("Invalid \\") and len(rest) < len("\\u0000")
    return in_word or in_number or in_escape or problem.msg.startswith("Unterminated string")


def _depth(text: str) -> int:
    """Deepest nesting of brackets outside strings."""
    depth = deepest = 0
    for one in re.finditer(r'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', text, re.DOTALL):
        mark = one.group()[0]
        if mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth = max(depth - 1, 0)
    return deepest


def _mended(body: str) -> str:
    """The same document with raw control characters escaped and lone surrogates replaced, as the kernel wants it."""
    body = _LONE.sub(lambda found: "\\ufffd" if found.group(1) else found.group(), body)
    return _STRING.sub(lambda string: _CONTROL.sub(lambda one: f"\\u{ord(one.group()):04x}", string.group()), body)
