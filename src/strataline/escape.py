"""Hostile log text, made safe to read: in a terminal, in Markdown, and as addresses that nobody can click.

Every text that comes from a log passes through one of these functions before it stands in an output. What they
replace is shown, never dropped; the text as it was logged stays in the evidence.
"""

from __future__ import annotations

import json
import re

# Control characters, bidirectional overrides, zero-width and other invisible characters, lone surrogates: all that
# can move a cursor, reorder a line, hide text in it, or break the encoder. Written out instead of taken from
# `unicodedata`, so that the output does not change with Python's Unicode version.
_UNSEEN = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5"
    "\u180b-\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "]"
)

# RE2, which DuckDB runs, wants code points in braces and knows no surrogates: UTF-8 holds none.
UNSEEN = re.sub("[^-\\[\\]]", lambda char: f"\\x{{{ord(char[0]):x}}}", _UNSEEN.pattern.replace("\ud800-\udfff", ""))
"""The same characters, as a pattern for DuckDB and Arrow."""
UNSEEN_IN_LINE = f"(?s:{UNSEEN}.)"
"""One of them that is not the end of the line."""

# An escape of JSON: what nobody sees is told from a quote, a slash and a backslash, which is no beginning of the next.
_ESCAPED = re.compile(r"\\(?:([bfnrt]|u00[01][0-9a-fA-F])|.)")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}

_URL = re.compile(r"(?<![a-z0-9])([a-z][a-z0-9+.-]*)://([^\s/?#\\]*)", re.IGNORECASE)
_WWW = re.compile(r"(?<![a-z0-9])www\.[^\s/?#\\]*", re.IGNORECASE)
_HARMLESS = re.compile(r"hxxps?", re.IGNORECASE)


def printable(text: str) -> str:
    r"""Return `text` as one line without control, bidirectional or invisible characters; each shows as an escape.

    >>> print(printable("a\x1b[31mred\n\u202egpj.exe\u200b"))
    a\x1b[31mred\n\u202egpj.exe\u200b
    """
    return _UNSEEN.sub(_visible, text)


def _visible(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    wide = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return _SHORT.get(char, wide)


def json_line(line: str) -> str:
    r"""Return a line of JSON with control, bidirectional and invisible characters escaped: the values stay the same.

    >>> json_line('{"a":"x\u202ey"}')
    '{"a":"x\\u202ey"}'
    """
    return _UNSEEN.sub(lambda match: json.dumps(match[0])[1:-1], line)


def json_shown(line: str) -> str:
    r"""As `json_line`, but so that whoever decodes the line sees the escapes: for what is read, not computed with.

    >>> json.loads(json_shown('{"a":"x\u202ey\\nz\\u001b \\\\n"}'))["a"]
    'x\\u202ey\\nz\\x1b \\n'
    """
    return _UNSEEN.sub(lambda match: "\\" + printable(match[0]), _ESCAPED.sub(_shown, line))


def _shown(match: re.Match[str]) -> str:
    return match[0] if match[1] is None else "\\\\" + match[1].replace("u00", "x")


def defang(text: str) -> str:
    """Return `text` with its web addresses unclickable: for free text, not for ids and evidence addresses.

    >>> defang("see https://evil.example/a.html or www.evil.example")
    'see hxxps://evil[.]example/a.html or www[.]evil[.]example'
    """
    return _WWW.sub(lambda match: _dots(match[0]), _URL.sub(_unlink, text))


def _unlink(match: re.Match[str]) -> str:
    scheme, host = match[1], match[2]
    if scheme.lower() in ("http", "https"):
        scheme = scheme.lower().replace("tt", "xx")
    mark = "://" if _HARMLESS.fullmatch(scheme) else "[:]//"
    return f"{scheme}{mark}{_dots(host)}"


def _dots(host: str) -> str:
    return re.sub(r"(?<!\[)\.(?!\])", "[.]", host)


def excerpt(text: str) -> str:
    """Return free log text as one safe line: `printable`, then `defang`.

    In this order, so that an invisible character cannot hide an address from the second.
    """
    return defang(printable(text))


def code(text: str) -> str:
    r"""Return `text` as a Markdown code span that stays one span, in a table cell too; empty text gives nothing.

    Inside a code span no Markdown, HTML, mention, mathematics or address is acted on. Two things could still end
    it: a run of as many backticks as its fence has, so the fence is longer than any run; and a pipe, which ends
    a table's cell even there, so it is shown as an escape.

    >>> print(code("a|b `x`"))
    `` a\x7cb `x` ``
    """
    line = printable(text).replace("|", r"\x7c")
    if not line:
        return ""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    # One space on either side is taken off again, unless there is nothing but spaces.
    pad = " " if line.strip(" ") and (line[0] in "` " or line[-1] in "` ") else ""
    return f"{fence}{pad}{line}{pad}{fence}"
