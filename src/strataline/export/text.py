"""Text for a terminal or a pipe: the chain of one request, listings, hits, and the summary of a reconstruction.

Every text of a log is one safe line (`export.escape`). With a width, lines are folded between their parts, so that
an evidence address or an id is never cut; without one (a pipe) no line is folded or cut.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import polars as pl
from rich.cells import cell_len

from strataline import rows, wording
from strataline.escape import excerpt, printable
from strataline.event import LAYERS, LINKS, PRODUCT_LAYERS, REASONS, REQUESTS, narrow
from strataline.export.clocks import split
from strataline.export.page import LABEL, Page, Part
from strataline.rows import Chain, Row

# Columns: before a second line; that a first input needs beside the rest of its line.
_EXCERPT, _ROOM = 6, 24
# How many sources to mend, and clocks, are named before "and n more"; characters of an event's id.
_SOURCES, _MOVED, _EVENT = 6, 4, 12
# Sources of rejects of one reason that are listed before "and n more".
_REJECTS = 5
_SIDES = ("input", "output")
_NOTABLE = dict.fromkeys(("outcome", "error", "verdict", "mode", "shown", "feedback"), "strong")


def chain(
    events: pl.DataFrame,
    request: Mapping[str, Any],
    links: pl.DataFrame,
    notes: pl.DataFrame,
    *,
    width: int | None = None,
    colour: bool = False,
) -> str:
    """Return the chain of one request, ready to read.

    Args:
        events: the events of the request.
        request: its row of ``requests``.
        links: a ``links`` table; links of other events do not matter.
        notes: a ``notes`` table; those about an id, a source or a line of these events are printed.
        width: columns of the terminal; null where it is none.
        colour: whether layers are painted.
    """
    page = Page(width, colour)
    found = rows.chains(pl.DataFrame([request], schema=REQUESTS.schema), events, links)[0]
    back = _backwards(found.events)
    text = [
        *_head(found, page),
        "",
        *_events(found, back, page),
        *_not_tied(found.request, links, page),
        *_clocks(back, page),
        *_notes_about(found.events, notes, page),
        *_ids(found.events, page),
    ]
    return "\n".join(text) + "\n"


def _head(found: Chain, page: Page) -> list[str]:
    request, events = found.request, found.events
    start, end, zero = request["start_time"], request["end_time"], found.zero
    when = [("no event with a time", "")] if zero is None else [(f"{wording.date_time(zero)} UTC", "strong")]
    if start is not None and end is not None:
        first, last = wording.date_time(start), wording.date_time(end)
        until = last[11:] if last[:10] == first[:10] else last
        when.append((f"until {until} by the same clock ({wording.duration(end - start)})", "dim"))
    counts = [
        (request["kind"], "strong"),
        (wording.count(request["events"] or 0, "event"), ""),
        (wording.count(request["attempts"] or 0, "attempt"), ""),
        (wording.count(request["calls"] or 0, "model call"), ""),
    ]
    # What matters first comes first, also to who hears it read: what was asked, what came of it, what is missing.
    text = page.labelled("request", [(request["request"], "strong")])
    text += page.labelled("opened", when)
    for label, said, event in rows.first_input_last_output(events):
        head = [(f"  {label:<{LABEL}}", "dim")]
        text += page.prose(head, f"“{excerpt(said)}”", last=f"({rows.address(event)})")
    text += _pairs("came out", rows.came_out(request), page)
    layers = [(f"{layer} {number}", layer) for layer, number in rows.tied_layers(events)]
    missing = [(f"{why}: {found}", "") for why, found in rows.untied_layers(request)]
    text += page.labelled("layers", [*layers, *missing])
    text += _pairs("in force", rows.in_force(request), page)
    text += page.labelled("what", counts)
    text += _pairs("who", [(kind, request[kind]) for kind in rows.GROUPS if request[kind]], page)
    text += _pairs("refers to", [("request", request["refers_to"])] if request["refers_to"] else [], page)
    return text


def _pairs(title: str, pairs: Sequence[tuple[str, str]], page: Page) -> list[str]:
    return page.labelled(title, [(f"{label} {excerpt(value)}", "") for label, value in pairs]) if pairs else []


Back = tuple[Row, Row, int]
"""An event, the one that stands before it, and by how many milliseconds it reads earlier than that one."""


def _backwards(events: Sequence[Row]) -> list[Back]:
    timed = [event for event in events if event["corrected_time"] is not None]
    steps = ((event, before, before["corrected_time"] - event["corrected_time"]) for before, event in pairwise(timed))
    return [step for step in steps if step[2] > 0]


def _events(found: Chain, back: Sequence[Back], page: Page) -> list[str]:
    times = [wording.date_time(event["corrected_time"]) for event in found.events]
    days = {time[:10] for time in times if time}
    day = days.pop() if len(days) == 1 else None
    clock = [(time[11:] if day else time) or "no time" for time in times]
    since = [found.since(event) for event in found.events]
    wide_seq, wide_layer = len(str(len(times))), max(len(layer) for layer in LAYERS)
    wide_clock, wide_since = max([3, *map(len, clock)]), max([3, *map(len, since)])
    heading = f"{'#':>{wide_seq}}  {'UTC':<{wide_clock}}  {'+ms':>{wide_since}}   {'layer':<{wide_layer}}  what"
    text = [page.paint(heading + (f"  (all on {day})" if day else ""), "dim")]
    earlier = {event["event_id"]: f"its clock puts it before {before['seq']}" for event, before, _ in back}
    said: dict[str, str] = {}
    for event, time, passed in zip(found.events, clock, since, strict=True):
        head = [
            (f"{event['seq']:>{wide_seq}}  ", "dim"),
            (f"{time:<{wide_clock}}  ", ""),
            (f"{passed:>{wide_since}}{'<' if event['event_id'] in earlier else ' '}  ", "dim"),
            (f"{event['layer']:<{wide_layer}}  ", event["layer"]),
        ]
        what = [*_what(event), *_same_text(event, said)]
        text += page.fold(head, what, sum(cell_len(piece) for piece, _ in head))
        how = _how(event, found, earlier.get(event["event_id"], ""))
        text += page.fold([(" " * _EXCERPT, "")], how, _EXCERPT, " · ")
        text += _excerpts(event, said, page)
    return text


def _what(event: Row) -> list[Part]:
    kind = (event["kind"], "strong")
    name = [(excerpt(rows.cut(found)), "")] if (found := rows.name(event)) else []
    facts = [(f"{label} {excerpt(rows.cut(value))}", _NOTABLE.get(label, "")) for label, value in rows.facts(event)]
    return [kind, *name, *facts]


def _how(event: Row, found: Chain, earlier: str) -> list[Part]:
    basis = event["order_basis"]
    parts = [
        rows.address(event),
        " ".join(found.tied(event, ", confidence ")).strip(),
        *(f"order {part}" if part == basis else part for part in found.order(event)),
        earlier,
        *(f"{relation} {other}" for relation, other in found.related(event)),
        *(f"{kind} {value}" for kind, value in found.ids(event)),
    ]
    return [(part, "dim") for part in parts if part]


def _same_text(event: Row, said: Mapping[str, str]) -> list[Part]:
    """Which of the event's texts stands further up already: a text is printed once."""
    found = ((side, said.get(_text_key(event, side) or "")) for side in _SIDES)
    return [(f"{side}: same text as {where}", "dim") for side, where in found if where]


def _excerpts(event: Row, said: dict[str, str], page: Page) -> list[str]:
    lines = []
    for side in _SIDES:
        key, found = _text_key(event, side), event[f"{side}_excerpt"]
        if not found or not key or key in said:
            continue
        said[key] = f"the {side} of {event['seq']}"
        chars = event[f"{side}_chars"] or 0
        length = f" ({chars:,} characters)" if chars > len(found) else ""
        lines.append(page.crop(f"{' ' * _EXCERPT}{side:<6} ", f"“{excerpt(found)}”{length}"))
    return lines


def _text_key(event: Row, side: str) -> str | None:
    key: str | None = event[f"{side}_hash"] or event[f"{side}_excerpt"]
    return key


def _not_tied(request: Row, links: pl.DataFrame, page: Page) -> list[str]:
    why = (
        ("layers_absent", "a log covers the time; no event of it is tied to this request"),
        ("layers_not_covered", "no log covers the time, so nothing is known"),
        ("layers_ambiguous", "candidates only; none was taken"),
    )
    lines = [
        line
        for name, reason in why
        if request[name]
        for line in page.prose([("  ", "")], f"{', '.join(request[name])}: {reason}")
    ]
    if any(request[name] for name, _ in why):
        lines += page.prose([("  ", "")], wording.ABSENCE, "dim")
    lines += _candidates(request, links, page)
    return page.section("Not tied", lines)


def _candidates(request: Row, links: pl.DataFrame, page: Page) -> list[str]:
    """In one line, how many events might belong to the request and were not tied, and where to read of it."""
    listed = rows.candidates(links).filter(pl.col("to_request") == request["request"])
    if listed.is_empty():
        return []
    best = listed.row(0, named=True)
    likeliest = f"the likeliest: {best['from_address']}, confidence {wording.chance(best['confidence'] or 0)}"
    number = wording.count(listed["from_event"].n_unique(), "event")
    hint = f"strataline why CASE {best['from_event'][:_EVENT]}"
    return page.fold([("  ", "")], [(f"{number} may belong to it, none taken", ""), (likeliest, ""), (hint, "dim")], 4)


def _clocks(back: Sequence[Back], page: Page) -> list[str]:
    most: dict[tuple[str, str], Back] = {}
    for step in back:
        pair = (step[0]["clock"] or step[0]["source"], step[1]["clock"] or step[1]["source"])
        if pair not in most or most[pair][2] < step[2]:
            most[pair] = step
    lines = []
    for (clock, other), (event, before, gap) in most.items():
        where = f"(events {before['seq']} and {event['seq']})"
        if clock == other:
            said = f"{clock}: its own records go back by {wording.duration(gap)} {where}"
        else:
            said = f"{clock} reads {wording.duration(gap)} earlier than {other} {where}"
        lines += page.prose([("  ", "")], said)
    if lines:
        legend = (
            "< marks an event that its clock puts before the event above it. The order follows what must precede "
            "what; the two clocks disagree, or a record states another moment than it was placed by."
        )
        lines += page.prose([("  ", "")], legend, "dim")
    return page.section("Clocks", lines)


def _notes_about(events: Sequence[Row], notes: pl.DataFrame, page: Page) -> list[str]:
    values = [value for event in events for _, value in rows.ids(event)]
    sources = [event["source"] for event in events]
    lines = pl.DataFrame(
        {"source": sources, "line": [event["line"] for event in events]},
        schema={"source": pl.String, "line": pl.Int64},
    ).unique()
    of_line = notes.join(lines, on=["source", "line"], how="semi")
    of_zone = notes.filter(pl.col("topic") == "zone_assumed", pl.col("source").is_in(sources))
    of_id = notes.filter(pl.col("subject").is_in(values))
    found = pl.concat([of_id, of_line, of_zone]).unique(maintain_order=True)
    text = []
    for note in found.to_dicts():
        where = "".join(f"{note[name]}: " for name in ("source", "subject") if note[name])
        text += page.prose([("  ", "")], f"{where}{excerpt(note['detail'] or note['topic'])}")
    return page.section("Notes", text)


def _ids(events: Sequence[Row], page: Page) -> list[str]:
    """Every id in full, that the chain shows in short."""
    carried: dict[tuple[str, str], int] = {}
    for event in events:
        for pair in rows.ids(event):
            carried[pair] = carried.get(pair, 0) + 1
    short = rows.short_ids(value for _, value in carried)
    wide = max((len(printable(kind)) for kind, _ in carried), default=0)
    lines = [
        line
        for (kind, value), number in carried.items()
        if short[value] != value
        for line in page.fold(
            [(f"  {kind:<{wide}}  ", "dim")], [(value, ""), (wording.count(number, "event"), "dim")], 4
        )
    ]
    return page.section("Ids in full", lines)


def listing(requests: pl.DataFrame, events: pl.DataFrame, *, width: int | None = None, colour: bool = False) -> str:
    """Return requests, a line each: when it opened, id, length, layers, what came out, and the first input.

    Args:
        requests: rows of ``requests``.
        events: an ``events`` table with their events.
        width: columns of the terminal; null where it is none.
        colour: whether to paint.
    """
    page = Page(width, colour)
    lines = [_listed(chain) for chain in rows.chains(requests, events, LINKS.empty())]
    lines.sort(key=lambda line: (not line[0], line))
    table = [("opened (UTC)", "request", "kind", "first to last", "layers", "came out", "first input"), *lines]
    wide = [max(cell_len(printable(line[place])) for line in table) for place in range(len(table[0]) - 1)]
    text = []
    for line in table:
        cells = [
            f"{cell}{' ' * (room - cell_len(cell))}" for cell, room in zip(map(printable, line), wide, strict=False)
        ]
        head = "  ".join(cells) + "  "
        if width is None or cell_len(head) + _ROOM <= width:
            text.append(page.crop(head, line[-1]).rstrip())
        else:
            text += page.fold([], [(cell, "") for cell in cells[:-1]], 4)
            text += [page.crop(" " * 4, rest) for rest in ["  ".join(part for part in line[-2:] if part)] if rest]
    text.append(wording.count(requests.height, "request"))
    return "\n".join(text) + "\n"


def _listed(chain: Chain) -> tuple[str, ...]:
    request, start, end = chain.request, chain.request["start_time"], chain.request["end_time"]
    here = set(request["layers_present"] or ())
    missing = [layer for layer in PRODUCT_LAYERS if layer not in here]
    came_out = [*(request["verdicts"] or ()), *(request["shown"] or ()), *(request["outcomes"] or ())]
    asked = next((event["input_excerpt"] for event in chain.events if event["input_excerpt"]), None)
    return (
        wording.date_time(chain.zero),
        rows.short_request(request["request"]),
        request["kind"],
        "" if start is None or end is None else wording.duration(end - start),
        f"no {', '.join(missing)}" if missing else "all five",
        excerpt(", ".join(came_out)),
        f"“{excerpt(asked)}”" if asked else "",
    )


def hits(events: pl.DataFrame, *, width: int | None = None, colour: bool = False) -> str:
    """Return events that a search found: when, what, where the evidence lies, which request, and their texts.

    Args:
        events: rows of ``events``, printed in their order.
        width: columns of the terminal; null where it is none.
        colour: whether to paint.
    """
    page = Page(width, colour)
    text = []
    for event in rows.of(events):
        head = [
            (f"{wording.date_time(event['corrected_time']) or 'no time':<23}  ", ""),
            (f"{event['layer']:<9}  ", event["layer"]),
        ]
        request = f"request {rows.short_request(event['request'])}" if event["request"] else "tied to no request"
        who = [f"{kind} {event[kind]}" for kind in ("user", "session") if event[kind]]
        parts = [(event["kind"], "strong"), (rows.address(event), ""), (request, "strong")]
        text += page.fold(head, [*parts, *((one, "dim") for one in who)], 25)
        for side in _SIDES:
            if event[f"{side}_excerpt"]:
                text.append(page.crop(f"{' ' * 25}{side:<6} ", f"“{excerpt(event[f'{side}_excerpt'])}”", "dim"))
    requests = events["request"].n_unique() - int(events["request"].null_count() > 0)
    text.append(f"{wording.count(events.height, 'event')} of {wording.count(requests, 'request')}")
    return "\n".join(text) + "\n"


def rejects(found: pl.DataFrame, *, every: bool, width: int | None = None, colour: bool = False) -> str:
    """Return rejects grouped by reason, with what each reason means and a hint.

    Args:
        found: rows of ``rejects``.
        every: whether all of them are listed, or a few of each reason.
        width: columns of the terminal; null where it is none.
        colour: whether to paint.
    """
    page = Page(width, colour)
    text = []
    for reason, number in found["reason"].value_counts(name="n").sort("n", "reason", descending=[True, False]).rows():
        means, hint = REASONS.get(reason, ("", ""))
        text += page.fold([(f"{reason}  {number:,}  ", "strong")], [(means, "")], 2)
        text += page.fold([("  hint: ", "dim")], [(hint, "dim")], 8)
        of_reason = found.filter(pl.col("reason") == reason)
        if every:
            text += _rejects(of_reason, page)
            continue
        counted = (
            of_reason.group_by("source").agg(pl.len(), pl.all().first()).sort("len", "source", descending=[True, False])
        )
        for row in counted.head(_REJECTS).iter_rows(named=True):
            text += page.fold([(f"  {row['len']:,} in ", "")], [(row["source"], ""), ("such as", "dim")], 4)
            text += _rejects(pl.DataFrame([row], schema=counted.schema).drop("len"), page)
        if counted.height > _REJECTS:
            more = f"and {wording.count(counted.height - _REJECTS, 'more source')}; all: --reason {reason}"
            text += page.fold([("  ", "")], [(more, "dim")], 4)
    return "\n".join([*text, wording.count(found.height, "reject")]) + "\n"


def _rejects(found: pl.DataFrame, page: Page) -> list[str]:
    text = []
    for row in found.iter_rows(named=True):
        text += page.fold([("    ", "")], [(f"{row['source']}@{row['offset']}", ""), (place(row), "dim")], 6)
        text += page.prose([("      ", "")], row["detail"] or "", "dim")
        if row["excerpt"]:
            text.append(page.crop("      ", f"“{excerpt(row['excerpt'])}”", "dim"))
    return text


def place(row: Row) -> str:
    """Where a record lies, in words: its line and bytes, or its row."""
    if row["address"] == "row":
        return f"row {row['offset']}" if row["length"] == 1 else f"rows {row['offset']} and {row['length'] - 1} more"
    if row["parts"]:
        return f"line {row['line']}, {row['length']} bytes in {len(row['parts'])} parts from byte {row['offset']}"
    line = "" if row["line"] is None else f"line {row['line']}, "
    return f"{line}{wording.count(row['length'], 'byte')} from byte {row['offset']}"


def summary(
    tables: Mapping[str, pl.DataFrame], out: str | None, *, width: int | None = None, colour: bool = False
) -> str:
    """Return what a reconstruction read and found, in a few lines, and where to look next.

    Args:
        tables: the tables by name: sources, events, requests, links, clocks, rejects, notes.
        out: where the case was written; null where it was not.
        width: columns of the terminal; null where it is none.
        colour: whether to paint.
    """
    page = Page(width, colour)
    sources, requests = tables["sources"], tables["requests"]
    looked = ("layer", "request", "link_method", "link_confidence", "corrected_time")
    events = narrow(tables, "events", looked)
    text = _read(sources, events, page)
    text += _counts("rejected", tables["rejects"]["reason"], page)
    if out is not None and tables["rejects"].height:
        text += page.labelled("", [(f"each with a hint: strataline rejects {shlex.quote(out)}", "dim")])
    text += _sources_to_mend(sources, tables["rejects"], page)
    text += _counts("notes", tables["notes"]["topic"], page)
    text += page.labelled("requests", [(f"{requests.height:,}", "strong"), *_by_value(requests["kind"])])
    tied = []
    for layer in PRODUCT_LAYERS:
        of_layer = events.filter(pl.col("layer") == layer)["request"]
        if len(of_layer):
            share = 100 * of_layer.count() / len(of_layer)
            tied.append((f"{layer} {of_layer.count():,} of {len(of_layer):,} ({share:.1f} %)", ""))
    text += page.labelled("tied events", tied) if tied else []
    text += _links(rows.loose(tables), events, page)
    text += _moved(tables["clocks"], out, page)
    if out is not None:
        text += page.labelled("case", [(out, "strong")])
        case = shlex.quote(out)
        text += page.labelled("to read", [(f"{out.rstrip('/')}/timeline.md", "")])
        text += page.labelled("one chain", [(f"strataline show {case} ID", ""), ("(any id of the request)", "dim")])
        text += page.labelled("one link", [(f"strataline why {case} EVENT", ""), ("(an event's id or address)", "dim")])
        text += page.labelled("no id", [(f"strataline find {case} --text 'words that were shown'", "")])
    return "\n".join(text) + "\n"


def _links(loose: int, events: pl.DataFrame, page: Page) -> list[str]:
    """How many events were tied by ids, by text and by time, and how many might be and were not."""
    tied = events.filter(pl.col("request").is_not_null())
    inferred = tied.filter(pl.col("link_method").is_in(list(rows.INFERRED)) & (pl.col("link_confidence") < 1))
    parts = [(f"by ids {tied.height - inferred.height:,}", "")] if tied.height else []
    for method, said in rows.INFERRED.items():
        some = inferred.filter(pl.col("link_method") == method)
        if some.height:
            least = wording.chance(float(some["link_confidence"].min()))  # type: ignore[arg-type]
            parts.append((f"{said} {some.height:,} (confidence {least} or more)", ""))
    parts += [(f"candidates only {loose:,}", "")] if loose else []
    return page.labelled("links", parts) if parts else []


def _moved(clocks: pl.DataFrame, out: str | None, page: Page) -> list[str]:
    """Which clocks were off, and moved: those of services and how far each is ahead, of families how many."""
    alone, families = split(clocks)
    moved = (
        alone.filter(pl.col("offset_ns") != 0)
        .sort(pl.col("offset_ns").abs(), "clock", descending=[True, False])
        .unique("clock", keep="first", maintain_order=True)
    )
    parts = [
        (f"{name} {wording.offset(offset)}", "")
        for name, offset in moved.head(_MOVED)["clock", "offset_ns"].iter_rows()
    ]
    parts += [(f"and {moved.height - _MOVED} more", "")] if moved.height > _MOVED else []
    for name, some in families.items():
        number = some.filter(pl.col("offset_ns") != 0)["clock"].n_unique()
        parts += [(f"{name} {number:,} of {some['clock'].n_unique():,}", "")] if number else []
    if not parts:
        return []
    hint = [] if out is None else [(f"strataline clocks {shlex.quote(out)}", "dim")]
    return page.labelled("clocks off", [*parts, *hint])


def _read(sources: pl.DataFrame, events: pl.DataFrame, page: Page) -> list[str]:
    records, with_events, rejected, skipped = (
        int(sources[name].sum()) for name in ("records", "with_events", "rejected", "skipped")
    )
    # What lies in an archive is counted with it.
    size = int(sources.filter(pl.col("within").is_null())["bytes"].sum()) / 1024**2
    parts = f"{with_events:,} with events + {rejected:,} rejected + {skipped:,} skipped"
    identity = f"{wording.count(records, 'record')} = {parts}"
    if records != with_events + rejected + skipped:
        identity += " (these do not add up)"
    text = page.labelled(
        "read", [(wording.count(sources.height, "source"), "strong"), (f"{size:,.1f} MiB", ""), (identity, "")]
    )
    span = [
        wording.date_time(wording.epoch_ms(end))
        for end in (events["corrected_time"].min(), events["corrected_time"].max())
    ]
    when = f"{span[0]} – {span[1]} UTC" if span[0] else "none with a time"
    return text + page.labelled("events", [(f"{events.height:,}", "strong"), (when, "")])


def _sources_to_mend(sources: pl.DataFrame, rejected: pl.DataFrame, page: Page) -> list[str]:
    text = []
    assumed = sources.filter(pl.col("zone_basis") == "assumed").sort("source")
    if not assumed.is_empty():
        first = assumed.row(0, named=True)
        text += page.labelled("zone assumed", _named(assumed["source"], f"{first['zone'] or 'UTC'} for "))
        hint = f"state it: --zone {shlex.quote(first['source'] + '*=Area/City')}"
        text += page.labelled("", [(hint, "dim")])
    unread = sources.filter(pl.col("container") == "unreadable").sort("source")
    unknown = rejected.filter(pl.col("reason") == "unrecognised_format").select("source").unique().sort("source")
    if not unread.is_empty():
        text += page.labelled("not read", _named(unread["source"], ""))
    if not unknown.is_empty():
        text += page.labelled("no format", _named(unknown["source"], ""))
        text += page.labelled("", [("describe it in a format file: --formats DIR", "dim")])
    return text


def _named(sources: pl.Series, before: str) -> list[Part]:
    shown = [(one, "") for one in sources.head(_SOURCES)]
    more = len(sources) - len(shown)
    return [(before + shown[0][0], ""), *shown[1:], *([(f"and {more} more", "")] if more else [])]


def _counts(label: str, values: pl.Series, page: Page) -> list[str]:
    return page.labelled(label, _by_value(values)) if len(values) else []


def _by_value(values: pl.Series) -> list[Part]:
    counted = values.alias("value").value_counts(name="n").sort("n", "value", descending=[True, False])
    return [(f"{value!s} {number:,}", "") for value, number in counted.iter_rows()]
