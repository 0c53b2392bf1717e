"""Rows of the tables, in words: what an event is, which ids it carries, how it was tied.

Nothing here escapes: what these functions return still holds log text. A target passes every value through
`export.escape`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from strataline.event import EVENTS, LAYERS, TIME, only
from strataline.wording import chance, duration

Row = Mapping[str, Any]

GROUPS = ("user", "session", "tenant")
"""Columns of ``requests`` that say whose it is."""

INFERRED = {"window": "by time", "content": "by text"}
"""Methods that are no id, in words."""

_PREFIX = re.compile(r"[A-Za-z]{2,12}[-_]")
# Characters: an id keeps at least so many after its prefix, and stays whole up to so many; a request's id; a name.
_SHORTEST, _WHOLE, _REQUEST, _LONGEST = 8, 16, 12, 80
# So many documents are named before "and n more".
_DOCUMENTS = 4
# Attributes that say in words what an outcome only names.
_TOLD = ("error", "detail")


def short_ids(values: Iterable[str]) -> dict[str, str]:
    """Each id cut to a beginning that no other of `values` shares: at least 8 characters after its prefix.

    An id of up to 16 characters stays whole.

    >>> short_ids(["chatcmpl-6rQlB1eOOHBUhB7PT26P9sox", "u_99706"])
    {'chatcmpl-6rQlB1eOOHBUhB7PT26P9sox': 'chatcmpl-6rQlB1eO…', 'u_99706': 'u_99706'}
    """
    distinct = sorted(set(values))
    short = {}
    for place, value in enumerate(distinct):
        # Sorted, so the longest beginning that a value shares with any other, it shares with a neighbour.
        near = distinct[max(place - 1, 0) : place] + distinct[place + 1 : place + 2]
        prefix = _PREFIX.match(value)
        keep = _SHORTEST + (prefix.end() if prefix else 0)
        keep = max([keep, *(_shared(value, other) + 1 for other in near)])
        short[value] = value if len(value) <= max(keep + 2, _WHOLE) else value[:keep] + "…"
    return short


def _shared(one: str, other: str) -> int:
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def address(row: Row) -> str:
    """Evidence address of a row: ``source:line``, with the element's number where the record holds several.

    A record without a line (a table's row) is named by its row number, from 0.

    >>> address({"source": "a.jsonl", "line": 3, "item": 2, "offset": 99})
    'a.jsonl:3#2'
    """
    place = f"row {row['offset']}" if row["line"] is None else row["line"]
    return f"{row['source']}:{place}" + (f"#{row['item']}" if row.get("item") else "")


def short_request(request: str) -> str:
    """The beginning of a request's id, long enough to find it by."""
    return request[:_REQUEST]


def versioned(name: str | None, version: str | None) -> str:
    """A name with its version, ``name@version``; either may be missing."""
    return "@".join(part for part in (name, version) if part)


def facts(event: Row) -> list[tuple[str, str]]:
    """What an event says of its layer, as (label, value) in reading order. Only what is known is named."""
    found = [
        ("outcome", _unless(event["outcome"], "ok")),
        ("error", event["error_type"]),
        *(("message", (event["attributes"] or {}).get(name)) for name in _TOLD),
        ("http", event["http_status"]),
        ("template", versioned(event["template_name"], event["template_version"])),
        ("index", versioned(event["index_name"], event["index_version"])),
        ("documents", _documents(event["documents"])),
        ("model", _models(event["requested_model"], event["served_model"])),
        ("provider", event["provider"]),
        ("attempt", event["attempt"]),
        ("fallback", event["fallback"]),
        ("cache", event["cache"]),
        ("finish", event["finish_reason"]),
        ("tokens", _tokens(event["input_tokens"], event["output_tokens"])),
        ("stage", event["policy_stage"]),
        ("verdict", event["verdict"]),
        ("enforced", _yes_no(event["enforced"])),
        ("policy", versioned(event["policy_name"], event["policy_version"])),
        ("mode", event["policy_mode"]),
        ("score", _score(event["score"], event["threshold"])),
        ("delivered", _yes_no(event["delivered"])),
        ("shown", event["shown"]),
        ("citations", event["citations"]),
        ("feedback", event["feedback"]),
        ("client", event["client_version"]),
        ("change", _change(event)),
        ("took", _took(event)),
        ("content", _unless(event["content_state"], "full")),
        ("recovered", event["recovered"]),
    ]
    return [(label, str(value)) for label, value in found if value is not None and value != ""]


def name(event: Row) -> str:
    """The emitter's word for an event; empty where the kind says the same."""
    said: str = event["name"] or ""
    return "" if said in (event["kind"], event["kind"].partition(".")[2]) else said


def _unless(value: str | None, expected: str) -> str | None:
    return None if value == expected else value


def _documents(documents: Sequence[Row] | None) -> str | None:
    if documents is None:
        return None
    named = [versioned(one["id"], one["version"]) for one in documents[:_DOCUMENTS]]
    more = len(documents) - len(named)
    return f"{len(documents)}" + (f" ({', '.join(named)}{f' and {more} more' if more else ''})" if named else "")


def _models(asked: str | None, served: str | None) -> str | None:
    return f"{asked} → {served}" if asked and served and asked != served else served or asked


def _tokens(into: int | None, out: int | None) -> str | None:
    return None if into is None and out is None else f"{_number(into)} in, {_number(out)} out"


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:,}"


def _score(score: float | None, threshold: float | None) -> str | None:
    if score is None:
        return None
    return f"{score:g}" + ("" if threshold is None else f" (threshold {threshold:g})")


def _yes_no(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"


def _change(event: Row) -> str | None:
    what = " ".join(part for part in (event["change_scope"], event["change_key"]) if part)
    if event["change_new"] is None and event["change_old"] is None:
        return what or None
    return f"{what}: {event['change_old'] or '?'} → {event['change_new'] or '?'}".removeprefix(": ")


def _took(event: Row) -> str | None:
    start, end = event["event_time"], event["end_time"]
    return None if start is None or end is None or end == start else duration(end - start)


def ids(event: Row) -> list[tuple[str, str]]:
    """The ids that an event carries, each once, as (kind, value); of a ref the kind is ``→ relation``."""
    own = [(one["kind"], one["value"]) for one in event["ids"] or ()]
    others = [(f"→ {one['role']}", one["value"]) for one in event["refs"] or ()]
    return [(kind, value) for kind, value in dict.fromkeys(own + others) if kind and value]


@dataclass(frozen=True)
class Chain:
    """The events of one request in order, with the links that say why they stand there.

    Args:
        request: row of ``requests``.
        events: its events, as `of` gives them.
        members: event id → its membership link.
        relations: event id → its links to other events.
    """

    request: Row
    events: Sequence[Row]
    members: Mapping[str, Row]
    relations: Mapping[str, Sequence[Row]]

    @cached_property
    def short(self) -> dict[str, str]:
        """Every id of the chain → as much of it as tells it from the others."""
        return short_ids(value for event in self.events for _, value in ids(event))

    @cached_property
    def _places(self) -> dict[str, int]:
        return {event["event_id"]: event["seq"] for event in self.events}

    @cached_property
    def zero(self) -> int | None:
        """The time that the others are counted from, in epoch ms: the request's start, else the first known.

        The request starts by a server's clock; the first event is often a browser's, whose clock may be hours off.
        """
        start: int | None = self.request["start_time"]
        known = (event["corrected_time"] for event in self.events if event["corrected_time"] is not None)
        return next(known, None) if start is None else start

    def since(self, event: Row) -> str:
        """``+12``: milliseconds since `zero`; empty where the event has no time."""
        at = event["corrected_time"]
        return "" if at is None or self.zero is None else f"{at - self.zero:+,}"

    def tied(self, event: Row, about: str = " ~") -> tuple[str, str]:
        """How the event was tied, as (words, id in short): ``by call_id``, ``by time ~0.97``, where it is not sure.

        `about` stands before how sure that is.
        """
        method = event["link_method"] or ""
        link, sure = self.members.get(event["event_id"]), event["link_confidence"]
        doubt = f"{about}{chance(sure)}" if sure is not None and sure < 1 else ""
        if method in INFERRED:
            return INFERRED[method] + doubt, ""
        if link is None or method == "opening" or not link["id_kind"]:
            return method + doubt, ""
        value = link["id_value"] or ""
        return ("by" if method == "id" else method) + f" {link['id_kind']}{doubt}", self.short.get(value, value)

    def order(self, event: Row) -> list[str]:
        """Why the event stands after the one above it, and whether its clock was moved."""
        moved = event["clock_offset"]
        basis = [event["order_basis"]] if event["order_basis"] else []
        return basis + ([f"clock moved by {duration(-moved // 1_000_000)}"] if moved else [])

    def related(self, event: Row) -> list[tuple[str, str]]:
        """What the event is to others, as (relation, the other): its place in this chain, else its address."""
        return [
            (
                link["relation"].replace("_", " "),
                str(self._places.get(link["to_event"], link["to_address"] or "?")),
            )
            for link in self.relations.get(event["event_id"], ())
        ]

    def ids(self, event: Row) -> list[tuple[str, str]]:
        """The event's ids in short, but for the one that ties it and those that a heading says once."""
        link = self.members.get(event["event_id"])
        known = {self.request[name] for name in GROUPS} | ({link["id_value"]} if link else set())
        return [(kind, self.short[value]) for kind, value in ids(event) if value not in known]


def named_ids(events: Sequence[Row]) -> list[tuple[str, str]]:
    """Every id that names the request, a call or a record of `events`, in full and once: (kind, value)."""
    every = (one for event in events for one in event["ids"] or () if one["role"] == "alias")
    return list(dict.fromkeys((one["kind"], one["value"]) for one in every if one["value"]))


def first_input_last_output(events: Sequence[Row]) -> list[tuple[str, str, Row]]:
    """The first input and the last output that `events` hold, as (label, text, event)."""
    inputs = [("input", event["input_excerpt"], event) for event in events if event["input_excerpt"]]
    outputs = [("output", event["output_excerpt"], event) for event in events if event["output_excerpt"]]
    return inputs[:1] + outputs[-1:]


def cut(text: str) -> str:
    """`text`, cut where it is too long for a name, saying how long it is."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"


def of(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows of `frame` as dictionaries, with every time as epoch milliseconds."""
    return frame.with_columns(pl.col(TIME).dt.epoch("ms")).to_dicts()


def chains(requests: pl.DataFrame, events: pl.DataFrame, links: pl.DataFrame) -> list[Chain]:
    """The chains of `requests`, in the order of `requests`."""
    inside = events.filter(pl.col("request").is_in(requests["request"].implode()))
    inside = inside.sort("request", "seq", *EVENTS.sort, nulls_last=True)
    of_request: dict[str, list[Row]] = {}
    for event in of(inside):
        of_request.setdefault(event["request"], []).append(event)
    members: dict[str, Row] = {}
    relations: dict[str, list[Row]] = {}
    for link in of(links.filter(pl.col("taken"), pl.col("from_event").is_in(inside["event_id"].implode()))):
        if link["relation"] == "member":
            members.setdefault(link["from_event"], link)
        else:
            relations.setdefault(link["from_event"], []).append(link)
    return [Chain(one, of_request.get(one["request"], []), members, relations) for one in of(requests)]


def loose(tables: Mapping[str, pl.DataFrame]) -> int:
    """How many events of the ``links`` in `tables` might be of some request and were taken to none."""
    member = pl.col("relation") == "member"
    listed = only(tables, "links", member & pl.col("taken").eq(other=False), ("from_event",)).unique()
    taken = member & pl.col("taken") & pl.col("from_event").is_in(listed["from_event"].implode())
    return listed.height - only(tables, "links", taken, ("from_event",)).n_unique()


def candidates(links: pl.DataFrame) -> pl.DataFrame:
    """The membership links that were not taken, of events for which none was; each request of an event once.

    Args:
        links: a whole ``links`` table.

    Returns:
        As ``links``, the surest first.
    """
    members = links.filter(pl.col("relation") == "member")
    tied = members.filter(pl.col("taken")).select("from_event").unique()
    listed = members.filter(pl.col("taken").eq(other=False)).join(tied, on="from_event", how="anti")
    order = ("from_address", "from_event", "to_request")
    ranked = listed.sort("confidence", *order, descending=[True, False, False, False], nulls_last=True)
    return ranked.unique(["from_event", "to_request"], keep="first", maintain_order=True)


def topics(notes: pl.DataFrame) -> list[dict[str, Any]]:
    """Notes by topic: how many, how many records or events they concern, and the sentence of the first."""
    summed = notes.group_by("topic", maintain_order=True).agg(
        pl.len().alias("notes"), pl.col("count").sum().alias("concerned"), pl.col("detail").first()
    )
    return summed.sort("topic").to_dicts()


def in_force(request: Row) -> list[tuple[str, str]]:
    """Which versions a request met, as (label, values joined by commas); only what is known."""
    return _joined(
        request, (("template", "templates"), ("index", "indexes"), ("model", "models"), ("policy", "policies"))
    )


def came_out(request: Row) -> list[tuple[str, str]]:
    """What came of a request, likewise."""
    return _joined(request, (("verdicts", "verdicts"), ("shown", "shown"), ("outcomes", "outcomes")))


def tied_layers(events: Sequence[Row]) -> list[tuple[str, int]]:
    """The layers of a request's events, with how many there are of each."""
    counted = [(layer, sum(event["layer"] == layer for event in events)) for layer in LAYERS]
    return [(layer, number) for layer, number in counted if number]


def untied_layers(request: Row) -> list[tuple[str, str]]:
    """What is missing of a request, as (why, layers joined by commas); only what there is."""
    reasons = (
        ("log but nothing tied", "layers_absent"),
        ("no log of this time", "layers_not_covered"),
        ("candidates only", "layers_ambiguous"),
    )
    return _joined(request, reasons)


def _joined(request: Row, lists: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(label, ", ".join(request[name])) for label, name in lists if request[name]]
