"""What the page tells, as plain numbers and texts: every text of it printable, free text with addresses defanged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import polars as pl

from strataline import rows, wording
from strataline.escape import excerpt, printable
from strataline.event import LAYERS, PRODUCT_LAYERS, TIME
from strataline.export import clocks
from strataline.export.examined import READ
from strataline.export.why import STATUSES
from strataline.rows import Chain, Row

LIMIT = 200
"""So many requests are drawn, if nobody says otherwise."""

EVENTS = 1000
"""So many events of a request are drawn at most."""
_ROOM = 20_000
"""Events that a page has room for: about 2 MB. Each drawn request has a share of at least `_SHARE`."""
_SHARE = 100

BACKGROUND = ("EG", "CX")
"""Attention of findings that are not marked in the drawings: gaps in the evidence and context, which many show."""

_LONGEST = 600
"""Characters of a text; a sentence may be three times as long."""
_STEPS = 180
"""Columns of a drawing by time: more minutes than that are drawn several to a column."""
_WIDTHS = (1, 5, 15, 60, 360, 1440, 10_080, 43_200, 525_600, 52_560_000)
"""Minutes that a column may stand for."""
_MINUTE_US = 60_000_000

Facts = dict[str, Any]

Redact = Callable[[str, str], str]
"""(what a text is called, the text) → the text without what nobody is to see."""


def unredacted(name: str, text: str) -> str:
    """`text` as it is."""
    del name
    return text


def gather(
    tables: Mapping[str, pl.DataFrame],
    manifest: Mapping[str, Any],
    examined: Any,
    *,
    limit: int,
    redact: Redact = unredacted,
    draft: tuple[str, Mapping[str, Any]] | None = None,
) -> Facts:
    """Everything that the page holds, as JSON has it. Times are UTC in microseconds since 1970, null where unknown.

    Args:
        tables: see `page`.
        manifest: of the case.
        examined: what an examination gave.
        limit: how many requests.
        redact: see `page`.
        draft: see `page`.
    """
    affected = set() if examined.affected is None else set(examined.affected.requests)
    chosen, wanted = _choose(tables["requests"], examined, affected, limit)
    cited = {} if draft is None else draft[1]
    loose = _cited(examined) | {one["event"] for one in cited.values() if one.get("event")}
    drawn = _chains(tables, chosen)
    told = _findings_of(examined.hits, chosen)
    behind = set(examined.findings.filter(pl.col("attention").is_in(BACKGROUND))["finding"])
    shown = (some for found in told.values() for finding, some in found.items() if finding not in behind)
    parts = _drawn(drawn, loose.union(*shown))
    inside = {event["event_id"] for events in parts for event in events}
    beside = _events(tables, pl.col("event_id").is_in(sorted(loose - inside)))
    everything = [
        _request(chain, events, told.get(chain.request["request"], {}), affected)
        for chain, events in zip(drawn, parts, strict=True)
    ]
    facts: Facts = {
        "version": manifest.get("version"),
        "identity": manifest.get("identity"),
        "files": dict(sorted((manifest.get("files") or {}).items())),
        "total": examined.total,
        "affected": _affected(examined.affected),
        "impact": _impact(examined.impact),
        "read": READ,
        "background": BACKGROUND,
        "statuses": STATUSES,
        "findings": [_spelled(row) for row in _dicts(examined.findings)],
        "contrasts": [_spelled(row) for row in _dicts(examined.contrasts.filter("shown"))],
        "compared": examined.contrasts.height,
        "measures": _dicts(examined.measures.filter("shown")),
        "measured": examined.measures.height,
        "measured_means": wording.MEASURED,
        "changes": [_spelled(row) for row in _dicts(examined.changes)],
        "coverage": _coverage(tables, affected),
        "clocks": _clocks(tables["clocks"]),
        "sources": _sources(tables["sources"]),
        "requests": everything,
        "beside": [_event(event, None, {}) for event in rows.of(beside)],
        "left_open": wording.LEFT_OPEN,
        "association": wording.ASSOCIATION,
        "absence": wording.ABSENCE,
        "unknowable": clocks.UNKNOWABLE,
        "left_out": _left_out(tables, examined, drawn, parts, wanted),
    }
    safe: Facts = _Safe(redact).value(facts)
    if draft is not None:
        # Its log text was made safe and redacted where it was drafted; cut, a table would lose its cells.
        safe["draft"] = {
            "lines": [printable(line) for line in draft[0].split("\n")],
            "evidence": [
                [name, one.get("event"), printable(one.get("address") or "")] for name, one in sorted(cited.items())
            ],
        }
    return safe


class _Safe:
    """Makes texts printable and of bounded length, and free text redacted, with its web addresses defanged."""

    def __init__(self, redact: Redact) -> None:
        self._redact = cache(redact)

    def value(self, value: Any, name: str = "") -> Any:
        """`value` with every text in it made safe; `name` is the key that it stands at."""
        if isinstance(value, str):
            return self._text(value, name)
        if isinstance(value, Mapping):
            return {self._text(str(key), ""): self.value(one, str(key)) for key, one in value.items()}
        if isinstance(value, list | tuple):
            if name in _PAIRS and len(value) == 2 and all(isinstance(one, str) for one in value):
                return [self._text(value[0], ""), self._text(value[1], value[0])]
            return [self.value(one, name) for one in value]
        return value

    def _text(self, value: str, name: str) -> str:
        longest = 3 * _LONGEST if name in _SENTENCES else _LONGEST
        # A cut through an address would hide it from who looks for addresses: what is seen is a little longer.
        seen = value[: 2 * longest]
        text = printable(seen) if name in _VERBATIM else excerpt(self._redact(name, seen))
        if len(seen) == len(value) and len(text) <= longest:
            return text
        if len(seen) < len(value) and len(text) < longest + _LONGEST // 2:
            text = text.rpartition(" ")[0]  # pseudonyms made it short: what was cut through would stand here
        return f"{text[:longest]}… ({len(value):,} characters)"


_VERBATIM = frozenset({"address", "addresses", "source", "hash", "id", "request", "event", "events", "requests"})
"""What people copy to look it up again: not defanged."""
_PAIRS = frozenset({"ids", "told", "facts"})
"""Lists of what something is called and what it is."""
_SENTENCES = frozenset({"statement", "reason", "question", "alternatives"})


def _choose(requests: pl.DataFrame, examined: Any, affected: set[str], limit: int) -> tuple[list[str], int]:
    """The requests that are drawn, in order of start, and how many there would be.

    Those that findings name come first, then the affected set (without one, every request in which something was
    found), then those that findings of the background name.
    """
    order = {request: place for place, request in enumerate(requests["request"])}
    fired = examined.findings.filter(pl.col("result") == "fired")
    behind = pl.col("attention").is_in(BACKGROUND)
    first, last = (
        [one for some in part["requests"].drop_nulls() for one in some]
        for part in (fired.filter(~behind), fired.filter(behind))
    )
    found = examined.hits.filter(pl.col("finding").is_in(fired.filter(~behind)["finding"].implode()))
    others = affected or set(found["request"].drop_nulls())
    distinct = [one for one in dict.fromkeys([*first, *sorted(others, key=_place(order)), *last]) if one in order]
    return sorted(distinct[:limit], key=order.__getitem__), len(distinct)


def _place(order: Mapping[str, int]) -> Callable[[str], int]:
    return lambda one: order.get(one, len(order))


def _cited(examined: Any) -> set[str]:
    """Events that findings, changes and moments name."""
    cited = {one for some in examined.findings["events"].drop_nulls() for one in some}
    cited |= set(examined.changes["event"].drop_nulls())
    if examined.impact is not None:
        cited |= set(examined.impact.moments["event"].drop_nulls())
    return cited


def _chains(tables: Mapping[str, pl.DataFrame], chosen: list[str]) -> list[Chain]:
    requests = tables["requests"].filter(pl.col("request").is_in(chosen))
    events = _events(tables, pl.col("request").is_in(chosen))
    return rows.chains(requests, events, tables["links"])


def _drawn(chains: list[Chain], named: set[str]) -> list[list[Row]]:
    """The events of each chain that are drawn, in order: where there are too many, those of `named` come first.

    Chains of few events are whole; what room they leave is shared out evenly among the others.
    """
    room = max(_ROOM, _SHARE * len(chains))
    level = EVENTS
    for place, height in enumerate(sorted(len(chain.events) for chain in chains)):
        level = min(EVENTS, room // (len(chains) - place))
        if height >= level:
            break
        room -= height
    return [_most_telling(chain.events, level, named) for chain in chains]


def _most_telling(events: Sequence[Row], most: int, named: set[str]) -> list[Row]:
    """At most `most` of `events`: first and last, what is named or went wrong, the five layers, then the earliest."""
    if len(events) <= most:
        return list(events)

    def rank(place: int) -> int:
        event = events[place]
        if place in (0, len(events) - 1) or event["event_id"] in named:
            return 0
        return 1 if _bad(event) else 2 if event["layer"] in PRODUCT_LAYERS else 3

    return [events[place] for place in sorted(sorted(range(len(events)), key=rank)[:most])]


def _events(tables: Mapping[str, pl.DataFrame], which: pl.Expr) -> pl.DataFrame:
    """Events with ``from``, ``to`` (corrected, UTC µs) and ``doubt`` beside what they have."""
    at = pl.col("corrected_time").dt.epoch("ns")
    until = pl.col("end_time").dt.epoch("ns") - pl.col("clock_offset")
    before = pl.col("time_kind").is_in(["end", "write"]) & until.is_null()
    took = pl.col("duration_ns").fill_null(0)
    events = tables["events"].filter(which)
    return events.join(tables["doubts"], on="event_id", how="left", maintain_order="left").with_columns(
        at=at // 1000,
        logged=pl.col("event_time").dt.epoch("us"),
        begin=pl.when(before).then(at - took).otherwise(at) // 1000,
        until=pl.when(before).then(at).otherwise(pl.max_horizontal(until, at + took, at)) // 1000,
    )


def _findings_of(hits: pl.DataFrame, chosen: list[str]) -> dict[str, dict[str, list[str]]]:
    """Request → finding → the events of the request that show it."""
    found: dict[str, dict[str, list[str]]] = {}
    for row in hits.filter(pl.col("request").is_in(chosen)).sort("request", "finding").to_dicts():
        found.setdefault(row["request"], {}).setdefault(row["finding"], []).extend(row["events"] or ())
    return found


def _request(chain: Chain, drawn: Sequence[Row], found: Mapping[str, list[str]], affected: set[str]) -> Facts:
    row = chain.request
    events = [event for event in chain.events if event["seq"] is not None]
    shows: dict[str, list[str]] = {}
    for finding, some in found.items():
        for one in some:
            shows.setdefault(one, []).append(finding)
    times = [event["begin"] for event in events if event["begin"] is not None]
    ends = [event["until"] for event in events if event["until"] is not None]
    few = [("events", f"{len(drawn):,} of {len(chain.events):,} are drawn")] if len(drawn) < len(chain.events) else []
    return {
        "id": row["request"],
        "kind": row["kind"],
        "start": None if row["start_time"] is None else row["start_time"] * 1000,
        "took": max(ends) - min(times) if times and ends else None,
        "user": row["user"],
        "session": row["session"],
        "tenant": row["tenant"],
        "affected": row["request"] in affected,
        "inferred": sum(event["link_method"] in rows.INFERRED for event in events),
        "findings": sorted(found),
        "told": [*rows.in_force(row), *rows.came_out(row), *few],
        "untied": rows.untied_layers(row),
        "shown": list(dict.fromkeys(row["shown"] or ())),
        "verdicts": list(dict.fromkeys(row["verdicts"] or ())),
        "outcomes": list(dict.fromkeys(row["outcomes"] or ())),
        "ids": rows.named_ids(events),
        "events": [_event(event, chain, shows) for event in drawn if event["seq"] is not None],
    }


def _event(event: Row, chain: Chain | None, shows: Mapping[str, list[str]]) -> Facts:
    link = None if chain is None else chain.members.get(event["event_id"])
    made: Facts = {
        "id": event["event_id"],
        "seq": event["seq"],
        "request": event["request"],
        "layer": event["layer"],
        "kind": event["kind"],
        "name": rows.cut(rows.name(event)),
        "service": event["service"],
        "at": event["at"],
        "begin": event["begin"],
        "until": event["until"],
        "logged": event["logged"],
        "clock": event["clock"],
        "offset": wording.offset(event["clock_offset"] or 0) if event["at"] is not None else None,
        "doubt": event["doubt"],
        "zone": event["zone_basis"],
        "raw": event["time_raw"],
        "facts": rows.facts(event),
        "ids": rows.ids(event),
        "input": event["input_excerpt"],
        "output": event["output_excerpt"],
        "content": event["content_state"],
        "address": rows.address(event),
        "offset_bytes": event["offset"],
        "length": event["length"],
        "unit": event["address"],
        "hash": event["record_hash"],
        "format": event["format"],
        "order": event["order_basis"],
        "bad": _bad(event),
        "findings": sorted(shows.get(event["event_id"], ())),
        **_tie(event, link),
    }
    if chain is not None:
        made["relations"] = [
            {
                "relation": one["relation"].replace("_", " "),
                "to": one["to_event"],
                "address": one["to_address"],
                "inferred": one["method"] in rows.INFERRED or (one["confidence"] or 0) < 1,
            }
            for one in chain.relations.get(event["event_id"], ())
        ]
    # A place, an offset and a doubt of 0 are facts.
    return {name: value for name, value in made.items() if value is not None and value is not False and value != []}


def _bad(event: Row) -> bool:
    return event["outcome"] not in (None, "ok", "unknown") or event["verdict"] in ("block", "error")


def _tie(event: Row, link: Row | None) -> Facts:
    """Why an event stands in its request: its status, one sentence, and the event through which it was reached."""
    method = event["link_method"]
    if event["request"] is None:
        return {"status": "UNK", "why": "No link ties it to a request."}
    if link is None or method == "opening":
        return {"status": "OBS", "why": "It opens the request."}
    doubt = event["link_confidence"]
    sure = "" if doubt is None else f" Confidence {wording.chance(doubt)}"
    if link["runner_up_confidence"]:
        sure += f"; the next best, {wording.chance(link['runner_up_confidence'])}"
    other = link["to_address"] or "another record"
    status = "INF" if doubt is None or doubt < 1 or method in rows.INFERRED or method == "resend" else "DER"
    if method == "window":
        delta = "close to" if link["delta_ns"] is None else f"{wording.length(link['delta_ns'])} from"
        scope = "all records" if link["scope"] in (None, "all") else f"the same {link['scope']}"
        why = f"No id ties it. By time: {delta} {other}, among {scope}.{sure}."
    elif method == "content":
        why = f"No id ties it. By text: the same words as in {other}.{sure}."
    elif method == "resend":
        why = f"Sent again: the same turn as in {other}.{sure}."
    elif link["id_kind"]:
        why = f"It carries {link['id_kind']} {link['id_value']}, and so does {other}."
        why += f"{sure}." if doubt is not None and doubt < 1 else ""
    else:
        why = f"Tied to {other} ({method}).{sure}."
    return {"status": status, "method": method, "why": why, "via": link["to_event"], "via_address": link["to_address"]}


def _affected(affected: Any) -> Facts | None:
    if affected is None:
        return None
    return {
        "count": affected.requests.n_unique(),
        "selectors": list(affected.selectors),
        "chosen_by": affected.chosen_by,
        "baseline": affected.baseline_rule,
        "baseline_count": affected.baseline.n_unique(),
    }


def _impact(found: Any) -> Facts | None:
    if found is None:
        return None
    return {
        "tiers": _dicts(found.tiers),
        "moments": _dicts(found.moments),
        "signals": list(found.signals.items()),
        "without_user": found.without_user,
        "traffic": found.traffic,
        "repeated": found.repeated,
        "most": found.most,
        "longest": None if found.longest_ns is None else wording.length(found.longest_ns),
        "tail": found.tail,
    }


def _dicts(frame: pl.DataFrame) -> list[Facts]:
    """The rows of `frame`, times as UTC µs."""
    return frame.with_columns(pl.col(TIME).dt.epoch("us")).to_dicts()


def _spelled(row: Facts) -> Facts:
    """A row without what it does not know, its maps as lists of pairs."""
    return {
        name: [[*pair] for pair in value.items()] if isinstance(value, dict) else value
        for name, value in row.items()
        if value is not None and value != []
    }


def _coverage(tables: Mapping[str, pl.DataFrame], affected: set[str]) -> Facts:
    """Events per layer and step of time; a step is some minutes, or a run of minutes in which no layer has an event."""
    covered = tables["coverage"]
    busy = covered.filter(pl.col("events") > 0)["minute"].drop_nulls().dt.epoch("us").unique() // _MINUTE_US
    width = next((one for one in _WIDTHS if (busy // one).n_unique() <= _STEPS), _WIDTHS[-1])
    start = pl.col("minute").dt.epoch("us") // _MINUTE_US // width * width
    timed = covered.filter(pl.col("minute").is_not_null())
    long = (pl.col("minutes") > 1) & (pl.col("minutes") >= 2 * width)
    quiet = timed.filter(long).group_by(start=pl.col("minute").dt.epoch("us") // _MINUTE_US)
    gaps = dict(quiet.agg(pl.col("minutes").first()).iter_rows())
    kept = timed.filter(~long).group_by("layer", start=start)
    cells = kept.agg(pl.col("events", "linked").sum(), pl.col("covered").any())
    # A quiet run has no events; what of it lies in a step with events is not told apart.
    silent = timed.filter(long).select(
        "layer", "events", "linked", "covered", start=pl.col("minute").dt.epoch("us") // _MINUTE_US
    )
    every = {(layer, at): (n, tied, on) for layer, at, n, tied, on in cells.iter_rows()}
    every |= {(layer, at): (n, tied, on) for layer, n, tied, on, at in silent.iter_rows()}
    starts = sorted({at for _, at in every})
    seen = set(covered["layer"])
    layers = [layer for layer in LAYERS if layer in seen or layer in PRODUCT_LAYERS]
    begun = _begun(tables["requests"], width)
    hit = _begun(tables["requests"].filter(pl.col("request").is_in(sorted(affected))), width)
    untimed = covered.filter(pl.col("minute").is_null())["events"].sum()
    return {
        "width": width,
        "steps": [{"at": at * _MINUTE_US, "minutes": gaps.get(at, width), "quiet": at in gaps} for at in starts],
        "layers": [
            {
                "layer": layer,
                "cells": [[*map(int, every.get((layer, at), (0, 0, False)))] for at in starts],
            }
            for layer in layers
        ],
        "requests": [begun.get(at, 0) for at in starts],
        "affected": [hit.get(at, 0) for at in starts],
        "untimed": int(untimed or 0),
    }


def _begun(requests: pl.DataFrame, width: int) -> dict[int, int]:
    """Requests that began in each step of `width` minutes."""
    steps = requests.drop_nulls("start_time").group_by(
        pl.col("start_time").dt.epoch("us") // _MINUTE_US // width * width
    )
    return dict(steps.len().iter_rows())


def _clocks(table: pl.DataFrame) -> Facts:
    """Clocks that stand alone, and what families of many come to."""
    alone, families = clocks.split(table)
    return {
        "references": clocks.references(table),
        "alone": [_clock(row) for row in rows.of(alone)],
        "families": [[*clocks.family_line(one)] for one in sorted(families.items(), key=lambda one: one[0])],
    }


def _clock(row: Row) -> Facts:
    _, slice_, offset, bracket, pairs, basis = clocks.offset_cells(row)
    return {
        "clock": row["clock"],
        "slice": slice_,
        "offset": offset,
        "bracket": bracket,
        "pairs": pairs,
        "basis": basis,
        "lower": row["lower_ns"],
        "upper": row["upper_ns"],
        "taken": row["offset_ns"],
        "reference": row["basis"] == "reference",
    }


def _sources(sources: pl.DataFrame) -> list[Facts]:
    names = ("source", "digest", "format", "zone", "zone_basis", "records", "events", "rejected", "first_time")
    listed = sources.select(*names, "last_time", "copy_of", "within")
    return [{"hash": row.pop("digest"), **row} for row in _dicts(listed)]


def _left_out(
    tables: Mapping[str, pl.DataFrame], examined: Any, chains: list[Chain], parts: list[list[Row]], wanted: int
) -> Iterable[str]:
    """Sentences: what the case holds and this page does not."""
    said = []
    drawn = len(chains)
    if wanted > drawn:
        said.append(
            f"{wanted - drawn:,} of {wanted:,} requests that are affected or named by a finding: those that findings "
            "name come first, then the earliest. strataline html CASE --limit N draws more; strataline show CASE ID "
            "prints any of them."
        )
    cut = [(chain, part) for chain, part in zip(chains, parts, strict=True) if len(part) < len(chain.events)]
    if cut:
        hidden = sum(len(chain.events) - len(part) for chain, part in cut)
        said.append(
            f"{hidden:,} of the {sum(len(chain.events) for chain, _ in cut):,} events of "
            f"{wording.count(len(cut), 'request')} that hold very many: what findings name, what went wrong and the "
            "five layers come first, then the earliest. strataline show CASE ID prints them all."
        )
    said.append(f"The {max(examined.total - drawn, 0):,} requests of {examined.total:,} that are not listed above.")
    untied = tables["events"]["request"].null_count()
    if untied:
        said.append(
            f"{wording.count(untied, 'event')} of no request: they count in the coverage, and are listed only where a "
            "finding or a change names them."
        )
    if (tables["events"]["input_excerpt"].null_count() + tables["events"]["output_excerpt"].null_count()) < (
        2 * tables["events"].height
    ):
        said.append(
            "Texts: of each, the first 240 characters stand here. strataline evidence CASE EVENT prints the record."
        )
    else:
        said.append("Texts: none stands in this case. strataline evidence CASE EVENT prints the record.")
    rejected = tables["rejects"].height
    if rejected:
        said.append(f"{wording.count(rejected, 'record')} that could not be read: strataline rejects CASE.")
    left = examined.contrasts.height - examined.contrasts["shown"].sum() if examined.contrasts.height else 0
    if left:
        said.append(f"{wording.count(left, 'compared value')} that did not pass the rule for a difference.")
    said.append("Candidates for a link that were not taken: strataline why CASE EVENT lists them.")
    return said
