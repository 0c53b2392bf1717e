"""What the commands about formats print: what logs, formats and complaints are, in words and as plain values."""

from __future__ import annotations

import glob
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import polars as pl
from rich.cells import cell_len

from strataline.case import HOLDERS
from strataline.conformance import Complaint
from strataline.errors import FormatError, InputError
from strataline.escape import excerpt, printable
from strataline.event import FRAME, LAYERS
from strataline.export.page import Page
from strataline.export.text import place
from strataline.format import Format
from strataline.parse import Kernel, Marks, Parsed, Plan, catalogue, described, parse_source, zone_named
from strataline.parse.explain import Explained, Near, explain, written
from strataline.parse.source import LOOKED_BYTES, LOOKED_RECORDS
from strataline.read import Options, Source, better_encoding, encoding_named, find_inputs, read
from strataline.wording import count, date_time, epoch_ms

_KIND = re.compile(r'"((?:app|http|log|' + "|".join(LAYERS) + r')\.[a-z_]+)"')
# Columns: of a source's name before its figures move to a further line.
_NAME = 44
INDENT = 4
"""Columns before details."""
_LISTED = 5
Row = dict[str, Any]


def state(row: Row) -> str:
    """What became of a source, in a word."""
    if row["container"] == "unreadable":
        return "unreadable"
    if row["copy_of"]:
        return "copy"
    if row["container"] in HOLDERS and not row["records"]:
        return "archive"
    if not row["with_events"] + row["rejected"]:
        return "empty"
    if row["format"] is None:
        return "not_recognised"
    if not row["with_events"]:
        return "in_vain"
    return {"option": "named", "guessed": "guessed"}.get(row["format_basis"], "recognised")


_SAID = {
    "recognised": "recognised",
    "named": "read as the format that --format names",
    "guessed": "guessed",
    "not_recognised": "not recognised",
    "in_vain": "recognised, and none of its records could be read",
    "unreadable": "cannot be read",
    "copy": "a copy of another",
    "archive": "holds others",
    "empty": "empty",
}


def recognised(sources: Sequence[Row], page: Page) -> str:
    """What sources are, for reading: each with its details, and how many there are of which state."""
    wide = min(_NAME, max((cell_len(printable(row["source"])) for row in sources), default=0))
    named = {row["source"]: _format(row) for row in sources}
    room = max((len(one) for one in named.values()), default=0)
    text = []
    for row in sources:
        name = printable(row["source"])
        style = "" if state(row) in ("recognised", "named", "copy", "archive", "empty") else "strong"
        head = [(name + " " * max(0, wide - cell_len(name)), "strong"), ("  ", "")]
        figures = [(f"{count(row['records'], 'record'):>17}", "")] if row["records"] else []
        figures += [(_when(row), "")] if row["first_time"] else []
        if page.width is None or sum(cell_len(one) for one, _ in head) + room + 19 <= page.width:
            text += page.fold([*head, (f"{named[row['source']]:<{room}}", style)], figures, INDENT)
        else:
            parts = [(named[row["source"]], style), *((one.strip(), look) for one, look in figures)]
            text += [page.paint(name, "strong"), *page.fold([(" " * INDENT, "")], parts, INDENT)]
        for detail in _details(row):
            text += page.prose([(" " * INDENT, "")], detail, "dim")
    return "\n".join([*text, "", *_counted(sources, page)]) + "\n"


def _format(row: Row) -> str:
    became = state(row)
    if became == "archive":
        return str(row["container"])
    if became in ("recognised", "named", "guessed", "in_vain"):
        share = f"{100 * (row['format_confidence'] or 0):.4g} %"
        marked = {"named": " (named)", "guessed": " (guessed)"}.get(became, "")
        return f"{row['format']}{marked}  {share}"
    return _SAID[became]


def _when(row: Row) -> str:
    first, last = (date_time(epoch_ms(datetime.fromisoformat(row[name]))) for name in ("first_time", "last_time"))
    return f"{first} – {last.removeprefix(first[:11])} UTC"


def _details(row: Row) -> Iterator[str]:
    """What else is to be said of a source, a sentence each."""
    if row["problem"]:
        yield row["problem"]
    if row["copy_of"]:
        yield f"the same bytes as {row['copy_of']}: read once"
    if state(row) not in ("recognised", "named", "guessed", "in_vain", "not_recognised"):
        return
    parts = []
    if row["rejected"] or row["recovered"] or row["skipped"]:
        words = (("rejected", row["rejected"]), ("recovered", row["recovered"]), ("skipped", row["skipped"]))
        parts.append(", ".join(f"{number:,} {word}" for word, number in words if number))
    others = [name for name in row["formats"] if name != row["format"]]
    parts += [f"also {', '.join(others)}"] if others else []
    if row["runner_up"] and row["runner_up"] not in others:
        parts.append(f"runner-up {row['runner_up']} {100 * row['runner_up_share']:.4g} %")
    opened = [row["compression"]] if row["compression"] else []
    opened += [row["container"]] if row["container"] != "lines" else []
    opened += [f"{row['encoding']} text"] if row["encoding"] else []
    parts += [f"read from {', '.join(opened)}"] if opened else []
    parts += [f"taken off: {', '.join(row['envelopes'])}"] if row["envelopes"] else []
    bases = {"option": "by --zone", "format": "by its format", "assumed": "assumed"}
    if row["zone_basis"] in bases:
        parts.append(f"zone {row['zone'] or ''} {bases[row['zone_basis']]}".replace("  ", " "))
    if parts:
        yield "; ".join(parts)
    if row["lacks"]:
        yield "would tell more with: " + ", ".join(_lacking(row, one) for one in row["lacks"])


def _lacking(row: Row, one: str) -> str:
    if one != "zone":
        return one
    return f"zone (--zone {shlex.quote(glob.escape(row['source']) + '=Area/City')})"


def _counted(sources: Sequence[Row], page: Page) -> list[str]:
    states = Counter(state(row) for row in sources)
    parts = ", ".join(f"{states[state]:,} {said}" for state, said in _SAID.items() if states[state])
    text = page.fold([(f"{count(len(sources), 'source')}: ", "strong")], [(parts, "")], INDENT)
    strange = [row["source"] for row in sources if state(row) == "not_recognised"]
    if strange:
        named = ", ".join(strange[:_LISTED]) + (f" and {len(strange) - _LISTED} more" if strange[_LISTED:] else "")
        text += page.prose([("  not recognised: ", "dim")], named)
        explains = "strataline recognise FILE --explain LINE says what the nearest formats lack"
        text += page.prose([("                  ", "dim")], explains)
        ways = "strataline formats lists those known; --format NAME=GLOB names one, --formats DIR adds your own"
        text += page.prose([("                  ", "dim")], ways)
    if states["guessed"] or strange:
        drafts = "strataline new-format FILE -o DIR drafts a format from it, to be corrected and kept"
        text += page.prose([("  to teach one:   ", "dim")], drafts)
    return text


@dataclass(frozen=True)
class Choices:
    """What options say of sources."""

    force: Mapping[str, str]
    zones: Mapping[str, str]
    assume: str | None
    encodings: Mapping[str, str]

    @staticmethod
    def of(globs: Mapping[str, str], source: str) -> str | None:
        """What the last of the globs that fit says."""
        found = [value for pattern, value in globs.items() if fnmatchcase(source, pattern)]
        return found[-1] if found else None


@dataclass(frozen=True)
class _Line:
    """What a record of a source is."""

    source: str
    record: Row
    more: int
    """Further records that begin on its line."""
    events: list[Row]
    rejects: list[Row]
    skipped: bool
    told: Explained
    main: str | None
    """The format of most of the source, and whether it was guessed."""
    guessed: bool
    reasons: list[str]

    def plain(self) -> Row:
        """As one JSON object."""
        record = {key: self.record[key] for key in ("line", "offset", "length", "fault", "detail")}
        return {
            "source": self.source,
            "record": record,
            "format": self.main,
            "guessed": self.guessed,
            "events": self.events,
            "rejects": self.rejects,
            "skipped": self.skipped,
            "explained": asdict(self.told),
        }


def line_of(name: str, number: int, folders: Sequence[Path], choices: Choices) -> _Line:
    """The record on line `number` of the one source at `name`."""
    known = catalogue(folders)
    for zone in (*choices.zones.values(), *([choices.assume] if choices.assume else [])):
        zone_named(zone)
    found = find_inputs([name]).inputs
    if len(found) != 1:
        raise InputError(f"--explain takes one file; {len(found)} are there", path=name, hint="name one of them")
    kernel, marks = Kernel(), Marks(known)
    forced = choices.of(choices.force, found[0].source)
    if forced is not None and forced not in known:
        raise FormatError(f"no format is called {forced!r}", hint="strataline formats lists those known")
    encoding = choices.of(choices.encodings, found[0].source)
    chosen = None if encoding is None else encoding_named(encoding)
    plan = Plan(
        marks,
        forced=known[forced] if forced else None,
        zone=choices.of(choices.zones, found[0].source),
        assume=choices.assume,
        folder=found[0].folder,
    )
    record, more, parsed, source = _one_record(
        kernel, plan, found[0].source, number, chosen, lambda o: read(found[0], o)
    )
    if chosen is None and (likely := better_encoding(source.reading)) is not None:
        again = _one_record(kernel, plan, found[0].source, number, likely, lambda o: read(found[0], o))
        record, more, parsed, source = again
    here = pl.col("line") == record["line"] if record["line"] is not None else pl.col("offset") == record["offset"]
    events = parsed.events.filter(here).sort("offset", "item", "index")
    rejects = parsed.rejects.filter(here).sort("offset", "item")
    asked = Marks({forced: known[forced]}) if forced else marks
    main = parsed.recognised
    return _Line(
        source=source.one.source,
        record=record,
        more=more,
        events=[plain(row) for row in events.select("format", "layer", "kind", "event_time", "recovered").to_dicts()],
        rejects=rejects.select("reason", "detail").to_dicts(),
        skipped=record["fault"] == FRAME or not (record["text"] or b"").strip(),
        told=explain(kernel, asked, record["text"] or b""),
        main=main.format.name if main else None,
        guessed=main.guessed if main else False,
        reasons=[note.detail for note in parsed.notes if note.topic == "guessed"],
    )


def _one_record(
    kernel: Kernel,
    plan: Plan,
    name: str,
    number: int,
    encoding: str | None,
    reader: Callable[[Options], Iterator[Source]],
) -> tuple[Row, int, Parsed, Source]:
    """The record, how many more begin on its line, what became of it among its neighbours, and its source."""
    options = Options(described=lambda text: described(kernel, plan.marks, text), encoding=lambda _: encoding)
    sources = reader(options)
    source = next(sources)
    if source.one.source != name or source.reading.container in ("tar", "zip", "sqlite"):
        hint = "take one file out of it; strataline recognise without --explain says what is in it"
        raise InputError("--explain takes one log, and this holds several", path=name, hint=hint)
    taken: list[pl.DataFrame] = []

    def batches() -> Iterator[pl.DataFrame]:
        """Those that the format is told from, and of the others the record alone."""
        rows, begun = 0, False
        for batch in source.batches:
            records = batch.records
            place = pl.coalesce("line", "offset")
            near = records.filter(place <= number)
            if near.height:
                last = near.filter(place == near.select(place.max()).item())
                taken[:] = [last] if not taken or not begun else [*taken[-1:], last]
                begun = True
            past = (records.select(place.max()).item() or 0) > number
            looked = rows < LOOKED_RECORDS and not (records["offset"] >= LOOKED_BYTES).any()
            rows += records.height
            if looked:
                yield records
            elif near.height:
                yield taken[-1]
            if past and not looked:
                return

    parsed = parse_source(kernel, plan, batches()).result()
    if source.reading.problem is not None:
        raise InputError(source.reading.problem, path=name)
    if not taken:
        raise InputError(f"no record begins on line {number} or before", path=name, line=number)
    last = taken[-1]
    lines = source.reading.lines
    if last["line"][0] is None and last["offset"][0] != number:
        raise InputError(f"the table has no row {number}", path=name, hint="rows are counted from 0")
    if last["line"][0] is not None and number > max(lines, int(last["line"][0])):
        raise InputError(f"there is no line {number}", path=name, hint=f"the last is line {lines}")
    return last.row(0, named=True), last.height - 1, parsed, source


def explained(found: _Line, page: Page) -> str:
    """What one record is, for reading, or what keeps formats from describing it."""
    record, told = found.record, found.told
    address = {**record, "address": "bytes" if record["line"] is not None else "row"}
    at = [(place(address), "")]
    at += [(f"the first of {found.more + 1} records that begin on this line", "")] if found.more else []
    text = page.fold([(found.source, "strong"), ("  ", "")], at, INDENT)
    text.append(page.crop("  ", excerpt((record["text"] or b"")[:400].decode("utf-8", "backslashreplace")), "dim"))
    told_by = [event for event in found.events if event["kind"] != "log.other"]
    for event in found.events[:_LISTED]:
        when = [(f"at {event['event_time']}", "")] if event["event_time"] else [("without a time", "")]
        saved = [(f"saved: {event['recovered']}", "")] if event["recovered"] else []
        text += page.labelled("event", [(event["kind"], "strong"), (f"by {event['format']}", ""), *when, *saved])
    if len(found.events) > _LISTED:
        text += page.labelled("", [(f"and {len(found.events) - _LISTED} more", "dim")])
    for reject in found.rejects[:_LISTED]:
        text += page.labelled("reject", [(reject["reason"], "strong"), (reject["detail"] or "", "")])
    if found.skipped:
        text += page.labelled("skipped", [("it is blank, or holds no record (a header row, a control message)", "")])
    elif not told_by or found.guessed:
        for label, sentence in _why(found, told):
            text += page.prose([(f"  {label:<13}", "dim")], sentence)
    return "\n".join(text) + "\n"


def _why(found: _Line, told: Explained) -> Iterator[tuple[str, str]]:
    """Why no format tells what the record is: a label and a sentence each."""
    shapes = {
        "object": "a sound JSON object",
        "json": f"sound JSON, but of type {told.detail}: a record is an object",
        "damaged": "damaged JSON",
        "saved": f"JSON that only a second reading could save ({told.detail})",
        "text": "a line of text",
        "bytes": f"not UTF-8: {told.detail} (--encoding names another)",
    }
    yield "it is", shapes[told.shape]
    if told.breaks is not None:
        within = f", in `{told.breaks.within}`" if told.breaks.within else ""
        there = f"«{told.breaks.found}» stands there" if told.breaks.found else "the record ends there"
        yield "breaks", f"at character {told.breaks.character}{within}: {told.breaks.expected} expected; {there}"
    elif told.shape == "damaged":
        yield "breaks", told.detail
    if told.format is not None:
        yield "format", f"{told.format}: it has its marks, but none of the format's events is told by it"
    elif told.shape in ("object", "saved", "text"):
        yield "format", "none describes it" + ("; what it says is guessed" if found.guessed else "")
    for near in told.nearest:
        yield "nearest", _near(near)
    if told.hasty:
        yield "not tried", f"{', '.join(told.hasty)}: their patterns take too long on this line"
    if found.guessed and found.events:
        for reason in found.reasons:
            yield "guessed", reason


def _near(near: Near) -> str:
    if near.carries is not None:
        return f"{near.format} has {near.carries} of {near.marks} marks; {'; '.join(near.lacks)}"
    after = f" (after {near.after})" if near.after else ""
    there = f", at «{near.found}»" if near.found else ", at the end of the line"
    return f"{near.format} breaks at character {near.character}{there}{after}"


def declared(fmt: Format, known: Mapping[str, Format]) -> Row:
    """What a format declares, as plain values."""
    # A container of items tells what the formats of its items tell.
    parts = [fmt, *(one for one in known.values() if fmt.items is not None and one.of == fmt.items)]
    layers = {event.layer or one.layer for one in parts for event in one.events} or {fmt.layer}
    ids = [*fmt.ids, *(one for event in fmt.events for one in event.ids)]
    columns = {name for some in (fmt.columns, *(event.columns for event in fmt.events)) for name in some}
    told = [{"kind": one.kind, "role": one.role} for one in ids]
    told += [{"kind": "span_id", "role": "span"}] if "span_id" in columns else []
    told += [{"kind": name, "role": "group"} for name in ("session", "user", "tenant") if name in columns]
    return {
        "name": fmt.name,
        "title": fmt.title,
        "layers": [one for one in LAYERS if one in layers],
        "container": f"dialect of {fmt.of}"
        if fmt.of
        else f"{fmt.container}, of {fmt.items}s"
        if fmt.items
        else fmt.container,
        "verified": fmt.verified,
        "guessed": fmt.guessed,
        "versions": list(fmt.versions),
        "reference": fmt.reference,
        "export": fmt.export,
        "limits": fmt.limits,
        "zone": fmt.zone,
        "ids": [dict(pairs) for pairs in dict.fromkeys(tuple(sorted(one.items())) for one in told)],
        "refs": sorted({one.relation for one in (*fmt.refs, *(one for event in fmt.events for one in event.refs))}),
        "marks": _marks(fmt),
        "kinds": sorted({kind for event in fmt.events for kind in _kinds(event.kind)}),
        "items_by": sorted(one.name for one in parts[1:]),
    }


def _kinds(kind: str | pl.Expr) -> list[str]:
    """The kinds that an event may be of, as far as its declaration names them."""
    return [kind] if isinstance(kind, str) else _KIND.findall(str(kind))


def _marks(fmt: Format) -> list[str]:
    if fmt.container == "text":
        return [f"/{fmt.pattern}/"]
    mark = fmt.recognise
    return [
        *(f"`{written(one)}`" for one in mark.keys),
        *("any of " + _few([f"`{written(one)}`" for one in some]) for some in mark.any_of),
        *(f"`{written(one)}` matches /{pattern}/" for one, pattern in mark.where),
    ]


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def about(row: Row, page: Page) -> str:
    """Everything that a format declares, for reading."""
    text = page.fold([(row["name"], "strong"), ("  ", "")], [(row["title"], "")], INDENT)
    roles = [f"{one['kind']}{'' if one['role'] == 'alias' else ' (' + one['role'] + ')'}" for one in row["ids"]]
    parts = {
        "layers": ", ".join(row["layers"]),
        "container": row["container"],
        "verified": "yes: a real record stands behind it" if row["verified"] else "no: only its description is known",
        "versions": ", ".join(row["versions"]),
        "reference": row["reference"],
        "export": row["export"],
        "limits": row["limits"],
        "zone": f"{row['zone']}, of times that state none" if row["zone"] else "",
        "ids": ", ".join(roles) or ("those of its items" if row["items_by"] else "none"),
        "names others": ", ".join(row["refs"]),
        "items by": ", ".join(row["items_by"]),
        "events": ", ".join(row["kinds"]),
    }
    for label, sentence in parts.items():
        if sentence:
            text += page.prose([(f"  {label:<13}", "dim")], sentence)
    for number, mark in enumerate(row["marks"]):
        text += page.prose([(f"  {'' if number else 'marks':<13}", "dim")], mark)
    return "\n".join(text) + "\n"


def complaint(one: Complaint, page: Page) -> list[str]:
    """A complaint, in its five parts."""
    text = []
    for label, sentence in (("not so", one.what), ("reason", one.reason)):
        text += page.prose([(f"  {label:<13}", "dim")], sentence)
    for number, line in enumerate((one.snippet or "").splitlines()):
        text.append(page.crop(f"  {'' if number else 'snippet':<13}", excerpt(line), "dim"))
    for label, sentence in (("note", one.note), ("help", one.help)):
        text += page.prose([(f"  {label:<13}", "dim")], sentence)
    return [*text, ""]


def rows(table: Any) -> list[Row]:
    """The rows of an Arrow table."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table never becomes a series
    return frame.to_dicts()


def plain(row: Row) -> Row:
    """A row with its times as ISO texts, as JSON has them."""
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in row.items()}


def listed(rows: Sequence[Row], totals: Mapping[str, Mapping[str, int]], verified: int, page: Page) -> str:
    """The catalogue for reading: a format each, and how many there are."""
    table = [("format", "layers", "container", "verified", "ids", "title")]
    table += [
        (
            row["name"],
            ", ".join(row["layers"]),
            row["container"],
            "yes" if row["verified"] else "no",
            ", ".join(dict.fromkeys(one["kind"] for one in row["ids"])),
            row["title"],
        )
        for row in rows
    ]
    wide = [max(cell_len(printable(line[n])) for line in table) for n in range(4)]
    text = []
    for number, line in enumerate(table):
        cells = [
            printable(cell) + " " * (room - cell_len(printable(cell))) for cell, room in zip(line, wide, strict=False)
        ]
        head = [(cells[0], "strong" if number else "dim"), ("  ", ""), ("  ".join(cells[1:]), "" if number else "dim")]
        rest = [(part, "dim") for part in (line[5], f"ids: {line[4]}" if number and line[4] else "") if part]
        text += page.fold([*head, ("  ", "")], rest, INDENT)
    per = ", ".join(
        f"{one} {total['formats']} ({total['verified']})" for one, total in totals.items() if total["formats"]
    )
    text.append("")
    text += page.fold(
        [(f"{count(len(rows), 'format')}, {verified} verified (a real record stands behind them); ", "strong")],
        [(f"per layer, verified in brackets: {per}", "")],
        INDENT,
    )
    return "\n".join(text) + "\n"
