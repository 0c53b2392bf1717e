"""Rules about what is not for every reader: people's names, personal data, text of logs that is live."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from strataline.report.lint.claims import Hit
from strataline.report.lint.reading import APPENDICES, Block, Document, coded
from strataline.report.redact import find

_HANDLE = re.compile(r"(?<![\w@/.`])@[A-Za-z][\w-]{1,38}(?![\w@]|\.\w)")
_HTML = re.compile(r"<(?!!--|<|https?:|mailto:)/?[A-Za-z][A-Za-z0-9-]*(?:\s[^<>]*)?/?>")
_IMAGE = re.compile(r"!\[[^\]\n]{0,300}\](?:\(|\[)")
_URL = re.compile(r"(?<![\w/])(?:https?|ftp|javascript|data|file)://?[^\s`)>\]|]+", re.IGNORECASE)
_LINK = re.compile(r"\]\([^()\n]*\)|<(?:https?|mailto):[^\s>]*>", re.IGNORECASE)


def people(document: Document, roster: Sequence[str]) -> Iterator[Hit]:
    """L-N01: addresses, handles and names of people."""
    names = [name for name in roster if name]
    known = (
        re.compile(
            r"(?<!\w)(?:" + "|".join(map(re.escape, sorted(names, key=lambda n: (-len(n), n)))) + r")(?!\w)",
            re.IGNORECASE,
        )
        if names
        else None
    )
    for block in document.blocks:
        if block.section in ("16", *APPENDICES) or block.quoted or block.kind == "code" or block.pristine:
            continue
        apart = _owners(document, block)
        found_in = find(block.prose) if "@" in block.prose else []
        hits = [(start, end) for start, end, kind in found_in if kind == "email"]
        hits += [found.span() for found in _HANDLE.finditer(block.prose)]
        hits += [found.span() for found in known.finditer(block.prose)] if known else []
        last = 0
        for start, end in sorted(hits):
            if start >= last and not any(a <= start < b for a, b in apart):
                last = end
                yield "L-N01", block.start + start, block.start + end, "a person is named"


def _owners(document: Document, block: Block) -> list[tuple[int, int]]:
    """Cells in which names belong: whose column is called owner, or reviewer."""
    if block.table is None:
        return []
    heads = [text.lower() for _, text in document.tables[block.table][0].cells()]
    cells = block.cells()
    return [
        (place, place + len(text))
        for (place, text), head in zip(cells, heads, strict=False)
        if re.search(r"owner|reviewer|agreed|signed", head)
    ]


def personal(document: Document) -> Iterator[Hit]:
    """L-N03: personal data and secrets: in excerpts all of it, in prose what L-N01 does not look for."""
    for block in document.blocks:
        # Hashes and offsets of the register have forms of their own; its excerpts are code.
        text = block.raw if block.kind == "code" or not block.pristine else _code(block)
        for start, end, kind in find(text):
            excerpt = block.kind == "code" or block.quoted or not block.prose[start:end].strip()
            if kind == "ip" or (kind == "email" and not excerpt):
                continue
            yield "L-N03", block.start + start, block.start + end, f"personal data or a secret ({kind})"


def _code(block: Block) -> str:
    """A block with blanks for what is neither code nor prose: of a drafted one, its code."""
    return "".join(
        char if inside or char == "\n" else " " for char, inside in zip(block.raw, coded(block.raw), strict=True)
    )


def live(document: Document) -> Iterator[Hit]:
    """L-X01: what a renderer would fetch, follow or run."""
    for block in document.blocks:
        if block.kind == "code":
            continue
        shown = block.shown
        for pattern, what in ((_IMAGE, "an image"), (_HTML, "HTML")):
            for found in pattern.finditer(shown):
                yield "L-X01", block.start + found.start(), block.start + found.end(), f"{what} that a renderer "
                "acts on"
        people_wrote = not block.generated and not block.quoted and block.section not in APPENDICES
        links = [found.span() for found in _LINK.finditer(shown)] if people_wrote else []
        for found in _URL.finditer(shown):
            if not any(a <= found.start() < b for a, b in links):
                yield "L-X01", block.start + found.start(), block.start + found.end(), "a raw address"
