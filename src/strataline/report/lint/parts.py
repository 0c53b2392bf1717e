"""Rules about the parts of a document: what has to be there, what people have yet to fill, and how they filled it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import pairwise

from strataline.report.closing import ACCOUNTABILITY
from strataline.report.draft import REMAINDER, emptied
from strataline.report.lint.claims import Hit
from strataline.report.lint.reading import APPENDICES, Block, Document
from strataline.report.marks import ANCHOR, BLOCK, CLOSED, OPEN, SLOT, digest

_WANTED = (
    ("2", "user impact"),
    ("3", "timeline"),
    ("4.1", "the prompt slice"),
    ("4.2", "the retrieval slice"),
    ("4.3", "the model slice"),
    ("4.4", "the policy slice"),
    ("4.5", "the ui slice"),
    ("7", "contributing conditions"),
    ("8", "detection"),
    ("10", "gaps"),
    ("11", "regression tests"),
    ("12", "follow-ups"),
)
_SLICES = {
    "4.1": r"template|prompt",
    "4.2": r"index",
    "4.3": r"model",
    "4.4": r"policy|filter|rule",
    "4.5": r"client|ui|app",
}
_STATED = re.compile(r"`[^`]+`|\bv?[0-9][\w.@-]*")
_UNKNOWN = re.compile(r"\[UNK\b")
_LAYERS = ("prompt", "retrieval", "model", "policy", "ui")
_JUSTIFIED = re.compile(r"<!--\s*single-layer-justified[:\s]+[^\s>][^>]*-->|(?<!\w)single-layer-justified:\s*\w")
_GAP = re.compile(
    r"\bgap\b|\bno (?:records?|logs?|events?)\b|\[UNK\b|\bnothing (?:is |was )?(?:recorded|logged)\b", re.IGNORECASE
)
_TIME = re.compile(
    r"(?:(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ])?"
    r"(?P<hour>[0-2]?[0-9]):(?P<minute>[0-5][0-9])(?::(?P<second>[0-5][0-9])(?:[.,][0-9]+)?)?"
    r"(?P<zone>\s?(?:(?:Z|UTC|GMT|(?-i:[ECMP][SD]T|CES?T|BST|IST|JST|AES?T|SGT)|[ap]\.?m)\b|[+-][0-9]{2}:?[0-9]{2}))?",
    re.IGNORECASE,
)
_UTC = re.compile(r"\s?(?:Z|UTC|GMT|[+-]00:?00)\Z", re.IGNORECASE)
_DETECTED = re.compile(
    r"\b(?:alert(?:ed)?|paged?|pager|detected|detection|declared|reported|ticket|noticed|incident (?:was )?opened)\b",
    re.IGNORECASE,
)
_LONG = timedelta(minutes=30)
_WEAK = re.compile(
    r"\b(?:improve|better|be\s+more\s+careful|more\s+careful(?:ly)?|remind|ensure\s+everyone"
    r"|make\s+sure\s+everyone|pay\s+(?:more\s+)?attention"
    r"|raise\s+awareness|try\s+to|look\s+into|think\s+about)\b",
    re.IGNORECASE,
)
_PEOPLE = re.compile(
    r"\b(?:re-?train|train(?:ing)?|remind(?:er)?|educate|coach|awareness|workshop|brown[- ]?bag|tell"
    r"|e-?mail everyone|communicate to|be more careful)\b",
    re.IGNORECASE,
)
_ACCEPT = re.compile(r"\baccept(?:ed|s)?\b", re.IGNORECASE)
_FINDING = re.compile(r"\b[A-Z]-[0-9]{2}(?:\.[0-9]+)?\b")
_LUCK = re.compile(r"\blucky?\b|\bnear[- ]miss(?:es)?\b|\bheld\b", re.IGNORECASE)
_ACRONYM = re.compile(r"(?<![\w.-])[A-Z][A-Z0-9]{1,5}s?(?![\w-])")
_USUAL = frozenset(
    (
        *(
            "UTC",
            "GMT",
            "TBD",
            "PST",
            "PDT",
            "EST",
            "CET",
            "API",
            "APIs",
            "UI",
            "URL",
            "URLs",
            "HTTP",
            "HTTPS",
            "ID",
            "IDs",
            "OK",
            "JSON",
            "CSV",
            "HTML",
            "SQL",
            "AI",
        ),
        *(
            "LLM",
            "LLMs",
            "RAG",
            "CPU",
            "GPU",
            "RAM",
            "PDF",
            "FAQ",
            "EU",
            "UK",
            "US",
            "IT",
            "OBS",
            "DER",
            "INF",
            "UNK",
            "HUM",
            "EV",
        ),
        *(
            "TODO",
            "CI",
            "CD",
            "PR",
            "PRs",
            "IP",
            "TLS",
            "DNS",
            "SDK",
            "CLI",
            "AM",
            "PM",
            "INC",
            "P0",
            "P1",
            "P2",
            "P3",
            "P4",
            "QA",
        ),
    )
)
_MONTH = 30


def missing(document: Document) -> Iterator[Hit]:
    """L-M01: sections that have to be there, and hold something."""
    for name, what in _WANTED:
        heading = document.heading(name)
        if heading is None:
            yield "L-M01", 0, 0, f"{what} (section {name}) is missing"
        elif not any(_holds(block) for block in document.section(name)) and not _subsections(document, name):
            yield "L-M01", heading.start, heading.end, f"{what} (section {name}) is empty"


def _holds(block: Block) -> bool:
    return bool(SLOT.sub(" ", block.raw).strip() or block.slot)


def _subsections(document: Document, name: str) -> bool:
    return any(
        _holds(block)
        for section, blocks in document.sections.items()
        if section.startswith(f"{name}.")
        for block in blocks
    )


def versions(document: Document) -> Iterator[Hit]:
    """L-M02: in each slice a line that says which version was in force, or that this is not known."""
    for name, words in _SLICES.items():
        heading = document.heading(name)
        if heading is None or not document.section(name):
            continue
        said = re.compile(rf"\bversions?\b[^\n]*\b(?:{words})|\b(?:{words})\b[^\n]*\bversions?\b", re.IGNORECASE)
        lines = [line for block in document.section(name) if block.kind != "code" for line in block.raw.split("\n")]
        known = [line for line in lines if said.search(line)]
        drafted = [block for block in document.section(name) if block.generated]
        unfilled = bool(drafted) and all(_UNKNOWN.search(block.raw) for block in drafted)
        if not unfilled and not any(_STATED.search(line) or _UNKNOWN.search(line) for line in known):
            yield "L-M02", heading.start, heading.end, f"section {name} states no version, and not that it is unknown"


def placeholders(document: Document, required: frozenset[str]) -> Iterator[Hit]:
    """L-M03, first half: what people have yet to fill; `required` are the keys that an empty draft has."""
    seen: set[str] = set()
    code = [(block.start, block.end) for block in document.blocks if block.kind == "code"]
    for pattern in (OPEN, CLOSED):
        for found in pattern.finditer(document.text):
            if not any(a <= found.start() < b for a, b in code):
                seen.add(found["key"])
                if pattern is OPEN:
                    yield "L-M03", found.start(), found.end(), f"{found['key']} is open: {found['why']}"
    for found in SLOT.finditer(document.text):
        seen.add(found["key"])
        if not found["text"].strip():
            yield "L-M03", found.start(), found.end(), f"{found['key']} is empty"
    if not document.drafted:
        return
    seen |= {key for key, value in document.front.items() if value}
    for key in sorted(required - seen):
        yield "L-M03", 0, 0, f"the place for {key} was deleted"


def kept_by_people(document: Document) -> Iterator[Hit]:
    """L-M03, second half: what the tool says in the sections that are people's."""
    for name in ("13", "14"):
        for block in document.section(name):
            found = ANCHOR.search(block.raw) or next((mark for mark in block.marks if mark["status"] != "HUM"), None)
            if found is not None:
                start = block.start + found.start()
                yield "L-M03", start, start + len(found[0]), f"a statement of the tool in section {name}"
            elif (
                name == "14"
                and block.prose.strip()
                and " ".join(block.raw.split()) not in ACCOUNTABILITY
                and block.kind != "code"
            ):
                yield "L-M03", block.start, block.end, "section 14 holds a fixed text and nothing else"


def remainder(document: Document) -> Iterator[Hit]:
    """L-S05: the paragraph that says what stays unexplained."""
    if not document.drafted:
        return
    stood = (document.claims or {}).get("remainder_sha256")
    heading = document.heading(REMAINDER)
    part = next((found for found in BLOCK.finditer(document.text) if found["name"] == REMAINDER), None)
    if heading is None or part is None:
        at = heading or document.heading("7")
        yield "L-S05", at.start if at else 0, at.end if at else 0, "the unexplained remainder (section 7.2) was "
        "deleted"
        return
    bare = emptied(part["text"])
    # The line end before the closing comment is no part of what was hashed.
    edited = digest(bare.removesuffix("\n")) != stood
    if not bare.strip() or (stood is not None and edited):
        yield "L-S05", part.start("text"), part.end("text"), "the unexplained remainder is not what was drafted"


def conditions(document: Document) -> Iterator[Hit]:
    """L-S03: fewer than two conditions, or all of one layer."""
    heading = document.heading("7")
    if heading is None or _JUSTIFIED.search("\n".join(_raw(document, heading))):
        return
    layers, rows = set(), 0
    for rows_of in _tables(document, "7"):
        column = _column(rows_of[0], "layer")
        for row in rows_of[1:]:
            cells = _cells(row)
            rows += 1
            if column is not None and column < len(cells):
                layers |= {layer for layer in _LAYERS if re.search(rf"\b{layer}\b", cells[column], re.IGNORECASE)}
    listed = [
        block
        for block in document.section("7")
        if block.kind == "paragraph" and re.match(r"\s*(?:[-*+]|[0-9]+[.)])\s", block.raw)
    ]
    if rows == 0 and listed:
        rows = len(listed)
        layers = {
            layer for layer in _LAYERS for block in listed if re.search(rf"\b{layer}\b", block.raw, re.IGNORECASE)
        }
    if rows == 0 and not document.drafted and document.section("7"):
        return  # Prose of a document that nobody generated: what its conditions are, a pattern cannot tell.
    if rows < 2 and not (document.drafted and document.claims is not None and not document.claims["claims"]):
        yield "L-S03", heading.start, heading.end, f"section 7 has {rows or 'no'} condition{'' if rows == 1 else 's'}"
    elif rows >= 2 and len(layers) == 1:
        yield (
            "L-S03",
            heading.start,
            heading.end,
            f"all conditions of section 7 are of one layer ({next(iter(layers))})",
        )


def _raw(document: Document, heading: Block) -> list[str]:
    following = next(
        (
            one.start
            for one in document.blocks
            if one.start > heading.start and one.kind == "heading" and one.section != heading.section
        ),
        None,
    )
    return [document.text[heading.start : following]]


def _tables(document: Document, section: str) -> list[list[Block]]:
    return [rows for rows in document.tables.values() if rows[0].section == section]


def _cells(row: Block) -> list[str]:
    """The cells of a row as written, without comments."""
    cells = row.cells()
    bounds = [*(place for place, _ in cells), len(row.raw) + 1]
    return [re.sub(r"<!--.*?-->", "", row.raw[a : b - 1]).strip().strip("|").strip() for a, b in pairwise(bounds)]


def _column(head: Block, word: str) -> int | None:
    return next((place for place, name in enumerate(_cells(head)) if word in name.lower()), None)


def timelines(document: Document) -> Iterator[Hit]:
    """L-M04: tables of section 3 that people changed, and what they wrote there."""
    for rows in _tables(document, "3"):
        if not all(row.pristine for row in rows) and len(rows) > 1:
            zoned = "utc" in rows[0].raw.lower()
            yield from _ordered(rows[1:], zoned=zoned, phase=_column(rows[0], "phase"))
    own = [
        block
        for block in document.section("3")
        if block.kind == "paragraph" and not block.pristine and not block.generated
    ]
    timed = [block for block in own if _TIME.search(block.raw[:48])]
    if timed:
        yield from _ordered(timed, zoned="utc" in (document.heading("3") or timed[0]).raw.lower(), phase=None)


def _ordered(rows: list[Block], *, zoned: bool, phase: int | None) -> Iterator[Hit]:
    before: tuple[datetime, Block] | None = None
    day = "2000-01-01"
    unmarked_gap = True
    for row in rows:
        found = _TIME.search(row.raw[:80])
        if found is None:
            unmarked_gap = unmarked_gap and not _GAP.search(row.raw)
            continue
        start = row.start + found.start()
        zone = found["zone"]
        if (zone is None and not zoned) or (zone is not None and not _UTC.search(zone)):
            yield "L-M04", start, start + len(found[0]), "a time of the timeline that does not say UTC"
        day = found["day"] or day
        if int(found["hour"]) > 23 or not _is_date(day):
            continue
        now = datetime.fromisoformat(f"{day}T{int(found['hour']):02}:{found['minute']}:{found['second'] or '00'}")
        if before is not None and now < before[0]:
            yield "L-M04", start, start + len(found[0]), "this row is earlier than the one before it"
        elif (
            before is not None
            and now - before[0] > _LONG
            and unmarked_gap
            and not (_GAP.search(row.raw) or _GAP.search(before[1].raw))
        ):
            minutes = int((now - before[0]).total_seconds() // 60)
            yield "L-M04", start, start + len(found[0]), f"{minutes} minutes without a row, and none says so"
        if before is None:
            cells = _cells(row) if phase is not None else []
            first = cells[phase].lower() if phase is not None and phase < len(cells) else ""
            if (first and first not in ("before", "normal", "baseline", "background")) or (
                not first and _DETECTED.search(row.raw)
            ):
                yield (
                    "L-M04",
                    start,
                    start + len(found[0]),
                    "the timeline begins at the detection, not before the onset",
                )
        before, unmarked_gap = (now, row), True


def _is_date(day: str) -> bool:
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True


def follow_ups(document: Document) -> Iterator[Hit]:
    """L-M05 and L-M06: what people mean to do."""
    actions: list[tuple[Block, list[str], Block]] = []
    for rows in _tables(document, "12"):
        for row in rows[1:]:
            cells = _cells(row)
            if cells and cells[0] and not OPEN.search(row.raw) and not CLOSED.search(row.raw):
                actions.append((row, cells, rows[0]))
    for row, cells, head in actions:
        lacks = []
        for words, what in (
            (("owner",), "owner"),
            (("priority",), "priority"),
            (("track", "ticket", "bug", "issue"), "tracking id"),
            (("end state", "verif", "done when"), "verifiable end state"),
        ):
            column = next((place for word in words if (place := _column(head, word)) is not None), None)
            if (
                column is None
                or column >= len(cells)
                or not re.search(r"\w", cells[column])
                or re.fullmatch(r"tbd|todo|n/?a|\?+|none|-", cells[column], re.IGNORECASE)
            ):
                lacks.append(what)
        if lacks:
            yield "L-M05", row.start, row.end, f"a follow-up without {', '.join(lacks)}"
    listed = [
        block
        for block in document.section("12")
        if block.kind == "paragraph"
        and not OPEN.search(block.raw)
        and re.match(r"\s*(?:[-*+]|[0-9]+[.)])\s", block.raw)
    ]
    for block in [row for row, _, _ in actions] + listed:
        hit = _WEAK.search(block.prose)
        if hit is not None:
            yield "L-M05", block.start + hit.start(), block.start + hit.end(), "a follow-up whose end nobody can see"
    for block in listed:
        if not re.search(r"\bowners?\b|@|\[owner|\bby\b|#[0-9]+|[A-Z]{2,}-[0-9]+", block.raw, re.IGNORECASE):
            yield "L-M05", block.start, block.end, "a follow-up without owner and tracking id"
    said = [cells[0] for _, cells, _ in actions] + [block.prose for block in listed]
    if not said:
        return
    first = actions[0][0] if actions else listed[0]
    if all(_PEOPLE.search(one) for one in said):
        yield "L-M06", first.start, first.end, "follow-ups that only train or remind people"
    text = "\n".join(document.text[one.start : one.end] for one in [*(row for row, _, _ in actions), *listed])
    if not _ACCEPT.search(text) or _FINDING.search(text):
        for row, name in _named_conditions(document):
            if name not in text:
                yield "L-M06", row.start, row.end, f"no follow-up names {name}, or accepts it"


def _named_conditions(document: Document) -> Iterator[tuple[Block, str]]:
    for rows in _tables(document, "7"):
        for row in rows[1:]:
            cells = _cells(row)
            named = _FINDING.search(cells[0]) if cells else None
            if named is not None:
                yield row, named[0]


def luck(document: Document) -> Iterator[Hit]:
    """L-M07: nothing on what held."""
    if not document.section("9") and not any(_LUCK.search(block.prose) for block in document.blocks):
        yield "L-M07", 0, 0, "nothing on what held, on luck, or on near misses"


def acronyms(document: Document) -> Iterator[Hit]:
    """L-M08, first half: acronyms that nothing spells out."""
    glossary = "\n".join(block.raw for block in document.section("E"))
    seen: set[str] = set()
    for block in document.blocks:
        if block.pristine or block.quoted or block.section in APPENDICES or block.kind == "code":
            continue
        for found in _ACRONYM.finditer(block.prose):
            name = found[0]
            if (
                name in _USUAL
                or name in seen
                or re.search(rf"\b{name}\b", glossary)
                or f"({name})" in document.text
                or _shouted(block.prose, found)
            ):
                continue
            # Names of incidents and tickets, and ids of findings, are no acronyms.
            if re.fullmatch(r"[A-Z][0-9]+", name) or re.match(r"-[0-9]", block.prose[found.end() :]):
                continue
            seen.add(name)
            yield "L-M08", block.start + found.start(), block.start + found.end(), f"{name} is not in the glossary"


def _shouted(prose: str, found: re.Match[str]) -> bool:
    """Whether a word in capitals stands beside another one: that is emphasis, and another rule's."""
    return (
        re.match(r"\s[A-Z]{3,}\b", prose[found.end() :]) is not None
        or re.search(r"\b[A-Z]{3,}\s\Z", prose[: found.start()]) is not None
    )


def late(document: Document, on: date) -> Iterator[Hit]:
    """L-M08, second half: how long ago the last event was, on the day `on`."""
    last = re.search(r"/([0-9]{4}-[0-9]{2}-[0-9]{2})", document.front.get("window", ""))
    if last is not None and _is_date(last[1]):
        days = (on - date.fromisoformat(last[1])).days
        if days > _MONTH:
            at = document.text.find("window:")
            yield "L-M08", at, at + len("window"), f"{days} days since the last affected answer"
