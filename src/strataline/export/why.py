"""Why an event is in its request, or in none: from the links, in plain words.

`explain` gives plain numbers and texts, which hold log text as it is; `export.why_text` makes a page of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from strataline import rows, wording
from strataline.event import narrow, only
from strataline.rows import Row

STATUSES = {
    "OBS": "stands in a record",
    "DER": "computed from records that ids join",
    "INF": "needed a heuristic",
    "UNK": "no record tells",
}
"""How far a statement can be trusted, from the surest down."""

_SURE = ("opening", "id", "span", "ref", "resend")
AGAIN = ("redelivery_of", "repeats")
"""Relations of an event to the one that it is once more."""

# So many attempts, kinds of id and near requests are named.
_MOST, _KINDS, _NEAR = 5, 3, 3

_CARRIED = ("event_id", "request", "ids")
"""Columns that say which ids events carry."""

_ALIKE_NS = 1_000_000
"""Times that are moved alike say nothing of each other."""

Step = dict[str, Any]


def explain(tables: Mapping[str, pl.DataFrame], options: Mapping[str, Any], event_id: str) -> dict[str, Any]:
    """Return why an event is where it is, as plain numbers and texts.

    Args:
        tables: the tables by name: events, requests, links, notes, sources.
        options: what was asked for, as the manifest has it.
        event_id: the event.
    """
    known = _Known(tables, options)
    event = known.event(event_id)
    return known.tied(event) if event["request"] is not None else known.loose(event)


@dataclass(frozen=True)
class _Known:
    """What the tables of a case tell of an event."""

    tables: Mapping[str, pl.DataFrame]
    options: Mapping[str, Any]

    # What is asked of the tables

    def event(self, event_id: str) -> Row:
        return self.some([event_id])[event_id]

    def some(self, event_ids: Sequence[str]) -> dict[str, Row]:
        """The events of these ids, times as epoch ns too (``at``, ``until``)."""
        found = only(self.tables, "events", pl.col("event_id").is_in(list(event_ids)))
        spelled = found.with_columns(
            at=pl.col("corrected_time").dt.epoch("ns"),
            logged=pl.col("event_time").dt.epoch("ns"),
            until=pl.col("end_time").dt.epoch("ns"),
        )
        return {row["event_id"]: row for row in rows.of(spelled)}

    @cached_property
    def least(self) -> float:
        return float(self.options.get("min_confidence", 0.9))

    @cached_property
    def window_s(self) -> float:
        return float(self.options.get("window_s", 900))

    def members(self, request: str) -> pl.DataFrame:
        """The membership links of a request that were taken."""
        taken = pl.all_horizontal(pl.col("relation") == "member", pl.col("to_request") == request, "taken")
        return only(self.tables, "links", taken)

    def told(self, event: Row) -> dict[str, Any]:
        """The event itself."""
        return {
            "event_id": event["event_id"],
            "layer": event["layer"],
            "kind": event["kind"],
            "name": rows.name(event) or None,
            "address": rows.address(event),
            "time": _iso(event["corrected_time"]),
            "logged_time": _iso(event["event_time"]),
            "clock": event["clock"],
            "clock_offset_ns": event["clock_offset"],
            "session": event["session"],
            "user": event["user"],
            "ids": [dict(one) for one in event["ids"] or ()],
        }

    # An event of a request

    def tied(self, event: Row) -> dict[str, Any]:
        request = only(self.tables, "requests", pl.col("request") == event["request"])
        whole = rows.of(request)[0] if request.height else {"kind": None, "start_time": None}
        links = self.members(event["request"]).to_dicts()
        way = self.way(event, links)
        events = self.some(list({one["event_id"] for one in way} | {one["to_event"] for one in way if one["to_event"]}))
        for step in way:
            step |= self.about(events[step["event_id"]])
        link = way[0]
        sure = event["link_confidence"]
        heuristic = any(
            step["method"] == "resend" or (step["method"] in ("window", "content") and (step["confidence"] or 0) < 1)
            for step in way
        )
        status = "INF" if heuristic else "OBS" if link["method"] == "opening" else "DER"
        runner_up = self.runner_up(link)
        why = self.reasons(event, way, events, whole)
        would = self.otherwise(event, way, events, runner_up)
        return {
            "event": self.told(event),
            "request": event["request"],
            "request_kind": whole["kind"],
            "opened": _iso(whole["start_time"]),
            "status": status,
            "method": event["link_method"],
            "confidence": sure,
            "way": way,
            "runner_up": runner_up,
            "candidates": [],
            "why": why,
            "otherwise": would,
        }

    def way(self, event: Row, links: Sequence[Row]) -> list[Step]:
        """The links from an event to the one that opens its request, each as a step.

        What came into the request with another event that ids tie to it has no link of its own: then the way leads
        over that event.
        """
        own: dict[str, list[Row]] = {}
        into: dict[str, list[Row]] = {}
        for link in links:
            own.setdefault(link["from_event"], []).append(link)
            into.setdefault(link["to_event"], []).append(link)
        way: list[Step] = []
        here, been = event["event_id"], set[str]()
        # Where several links were taken, the one that the event itself names by its method.
        method: str | None = event["link_method"]
        while here not in been:
            been.add(here)
            mine = sorted(own.get(here, ()), key=lambda one: (one["method"] != method, one["to_event"] == here))
            if mine and (mine[0]["method"] == "opening" or mine[0]["to_event"] not in {None, *been}):
                way.append(_step(here, mine[0]))
                if mine[0]["method"] == "opening":
                    return way
                here, method = mine[0]["to_event"], None
                continue
            again = self.again(here)
            if again is not None and again["to_event"] not in {None, *been}:
                way.append(_step(here, again))
                here = again["to_event"]
                continue
            back = self.back(here, into, own, been)
            if not back:
                break
            for link in back:
                way.append(_step(here, link) | {"to_event": link["from_event"], "to_address": link["from_address"]})
                been.add(here)
                here = link["from_event"]
            been.discard(here)
            method = "window" if any(one["method"] == "window" for one in own.get(here, ())) else "content"
        if not way or way[-1]["to_event"] != here:
            way.append(_step(here, None))
        return way

    def again(self, event_id: str) -> Row | None:
        """The link that says that an event is another one, delivered or reported again."""
        once_more = (pl.col("from_event") == event_id) & pl.col("relation").is_in(AGAIN)
        found = only(self.tables, "links", once_more).head(1).to_dicts()
        return found[0] if found else None

    def back(
        self, event_id: str, into: Mapping[str, list[Row]], own: Mapping[str, list[Row]], been: set[str]
    ) -> list[Row]:
        """Links that lead to an event, walked backwards to the nearest event that was placed by text or time."""
        fringe: list[tuple[str, list[Row]]] = [(event_id, [])]
        seen = {event_id} | been
        while fringe:
            here, path = fringe.pop(0)
            if path and any(one["method"] in ("window", "content") for one in own.get(here, ())):
                return path
            for link in into.get(here, ()):
                if link["from_event"] not in seen and link["method"] in _SURE:
                    seen.add(link["from_event"])
                    fringe.append((link["from_event"], [*path, link]))
        return []

    def about(self, event: Row) -> Step:
        """What a page says of the event of a step."""
        return {"kind": event["kind"], "layer": event["layer"], "address": rows.address(event)}

    def runner_up(self, link: Row) -> dict[str, Any] | None:
        if not link.get("runner_up"):
            return None
        found = self.some([link["runner_up"]]).get(link["runner_up"])
        other = {"event_id": link["runner_up"], "confidence": link["runner_up_confidence"]}
        if found is None:
            return other | {"kind": None, "address": None, "request": None}
        return other | {"kind": found["kind"], "address": rows.address(found), "request": found["request"]}

    def reasons(self, event: Row, way: Sequence[Step], events: Mapping[str, Row], request: Row) -> list[str]:
        """Why the event is in its request, as sentences."""
        link = way[0]
        there = events.get(link["to_event"] or "")
        said = self.step(event, link, there, request)
        if link["method"] != "opening" and len(way) > 1:
            later = next((one for one in way[1:] if one["method"] in ("window", "content")), None)
            if later is not None and (later["confidence"] or 0) < 1:
                by = "time" if later["method"] == "window" else "text"
                said.append(
                    f"On the way to the opening event, {later['address']} is tied by {by} alone, with a confidence of "
                    f"{wording.chance(later['confidence'] or 0)}: this event is in the request no surer than that."
                )
        if way[-1]["method"] != "opening":
            said.append("The links do not lead all the way to the opening event: its own records came in with others.")
        return said

    def step(self, event: Row, link: Step, there: Row | None, request: Row) -> list[str]:
        """One link in words."""
        method = link["method"]
        if method == "opening":
            return [self.opening(event, request), *self.attempts(event)]
        if there is None:
            return ["No link of it is kept: it came into the request with records that ids tie to it."]
        other = f"{there['kind']} {rows.address(there)}"
        sure = wording.chance(link["confidence"] or 0)
        if link["relation"] in AGAIN or (method == "content" and not link["content_hash"]):
            again = "reports the operation of" if link["relation"] == "repeats" else "is the same record as"
            return [f"It {again} {other}, again: it is kept, counted once, and in the request of that one."]
        if method == "id":
            only = "No other turn's opening event carries it; had one, it would tie nothing (note hub_refused)."
            return [f"It and {other} carry the same id: {_named(link, there)}.", only]
        if method == "span":
            return [_spans(event, link, there, other)]
        if method == "resend":
            again = f"It belongs to the same turn as {other}, which the client sent again."
            return [again, *self.attempts(event)]
        if method == "content":
            mine, theirs = (_side(one, link["content_hash"]) for one in (event, there))
            same = f"Its {mine} is the same text as the {theirs} of {other} (hash {link['content_hash']})"
            only = f"no other turn within {_window(self.window_s)} holds it"
            how = "how often such a text names the right turn where ids can tell, or 0.9 where too few can"
            return [f"{same}, and {only}.", *self.delay(event, there, link), f"Confidence {sure}: {how}."]
        if method == "window":
            within = f"It was looked for within {self.scope(event, link['scope'])}."
            how = (
                "by how such delays are spread where ids tie these steps in these very logs, how many other turns "
                "could be meant, and how many such events belong to none"
            )
            none = "No usable id ties it to a turn: it is placed by time."
            return [none, *self.delay(event, there, link), within, f"Confidence {sure}: {how}."]
        return [f"It is tied to {other} by {method}."]

    def opening(self, event: Row, request: Row) -> str:
        if request["kind"] == "turn":
            return f"It opens the request: a {event['kind']} event is where a user's turn begins."
        if request["kind"] == "job":
            return (
                "It opens the request: of the operations that ids tie together here it is the earliest without one "
                "above it. No opening event of a user's turn (prompt.received) is tied to them, so this is a job."
            )
        return (
            "The request is named by it: it is the earliest of events that share an id, among which there is neither "
            "an opening event of a turn (prompt.received) nor an operation."
        )

    def attempts(self, event: Row) -> list[str]:
        """The turns sent again that an event is one of."""
        resent = (pl.col("relation") == "retries") & (pl.col("method") == "resend")
        mine = (pl.col("from_event") == event["event_id"]) | (pl.col("to_event") == event["event_id"])
        said = []
        for link in only(self.tables, "links", resent & mine).head(_MOST).to_dicts():
            shared = "they share an id" if link["scope"] == "id" else "the session and the text are the same"
            apart = "" if link["delta_ns"] is None else f", {wording.length(link['delta_ns'])} later"
            said.append(
                f"{link['from_address']} sends the turn of {link['to_address']} again{apart}: {shared}, and an error "
                "or a retry event stands between the two."
            )
        return said

    def delay(self, event: Row, there: Row, link: Row) -> list[str]:
        """How far apart two events are, and by which clocks."""
        delta = link["delta_ns"]
        if delta is None:
            return []
        mine, theirs = _ends(event, there, delta)
        apart = f"{wording.length(delta)} {'before' if delta > 0 else 'after'}" if delta else "at the very time of"
        said = [f"{mine} lies {apart} {theirs}{there['kind']} {rows.address(there)}."]
        return [*said, *_clocks(event, there)]

    def scope(self, event: Row, scope: str | None) -> str:
        if scope in ("session", "user"):
            value = event[scope]
            return f"the same {scope}" + (f" ({value})" if value else ", which ids or aliases tell")
        if scope == "all":
            return "all of these logs: it names no session or user by which its turn could be told"
        return scope or "these logs"

    def otherwise(self, event: Row, way: Sequence[Step], events: Mapping[str, Row], runner_up: Row | None) -> list[str]:
        """What would have changed where the event is."""
        link = way[0]
        there = events.get(link["to_event"] or "")
        if link["method"] == "opening":
            return self.otherwise_opened(event)
        if link["method"] in ("window", "content") and link["relation"] not in AGAIN and there is not None:
            if link["method"] == "content" and not link["content_hash"]:
                return []
            return self.otherwise_inferred(event, link, there, runner_up)
        if link["method"] in ("id", "span") and there is not None:
            return [self.other_ids(event, link)]
        if link["method"] == "resend":
            apart = "More than 60 s between the error and the second try, another text or another session"
            return [f"{apart} would have made each a request of its own."]
        return []

    def otherwise_opened(self, event: Row) -> list[str]:
        if event["kind"] == "prompt.received":
            return ["Nothing in the links: such an event opens a turn of its own, unless it sends one again."]
        kinds = _kinds(event)
        ids = f" ({kinds})" if kinds else ""
        return [
            f"Had the record of a prompt.received event carried one of its ids{ids}, it would be part of that turn."
        ]

    def otherwise_inferred(self, event: Row, link: Step, there: Row, runner_up: Row | None) -> list[str]:
        kinds = self.ids_of_request(event["request"])
        wanted = f"an id of the request ({kinds})" if kinds else "an id that the request's other records carry"
        said = [f"Had the record carried {wanted}, the link would be by that id, and certain."]
        sure = link["confidence"]
        if sure is not None and sure < 1:
            more = f"With --min-confidence above {wording.chance(sure)} it would be a candidate, and tied to nothing"
            said.append(f"{more}; with --min-confidence 1, ids alone count.")
        if runner_up is not None and runner_up["address"]:
            said.append(f"An id shared with {runner_up['address']} would have put it there instead.")
        moved = [one for one in (event, there) if one["clock_offset"]]
        times = (event["logged"], there["logged"], event["at"], there["at"])
        if event["clock"] != there["clock"] and moved and None not in times:
            raw = there["logged"] - event["logged"]
            if abs(raw - there["at"] + event["at"]) < _ALIKE_NS:
                return said
            names = " and ".join(dict.fromkeys(str(one["clock"]) for one in moved))
            side = "before" if raw > 0 else "after"
            said.append(
                f"By the times as logged it lies {wording.length(raw)} {side} that event. What was taken from {names} "
                "can be asserted otherwise: --clock DOMAIN=OFFSET."
            )
        return said

    def other_ids(self, event: Row, link: Step) -> str:
        """Whether another id would tie the event as well."""
        used = _plain(link["id_value"] or "")
        mine = {
            _plain(one["value"]): (one["kind"], one["value"])
            for one in event["ids"] or ()
            if one["role"] in ("alias", "span") and one["value"] and _plain(one["value"]) != used
        }
        refused = {_plain(value) for value in self.refused}
        members = only(self.tables, "events", pl.col("request") == event["request"], _CARRIED)
        others = self.others(members, event)
        left = others.filter(pl.col("plain").is_in([one for one in mine if one not in refused]))
        for value, event_id in left.select("plain", "event_id").head(1).iter_rows():
            kind, written = mine[value]
            where = rows.address(self.event(event_id))
            return f"Without this id it would be tied all the same: it shares {kind} {written} with {where}."
        return (
            "It shares no other id with the request: without this one, only its text or its time could tie it, and "
            "then with less than certainty."
        )

    def others(self, events: pl.DataFrame, event: Row) -> pl.DataFrame:
        """The ids (event_id, request, plain) of `events` but for an event and what is the same, delivered again."""
        mine = (pl.col("from_event") == event["event_id"]) | (pl.col("to_event") == event["event_id"])
        ends = ("from_event", "to_event")
        pairs = only(self.tables, "links", pl.col("relation").is_in(AGAIN) & mine, ends)
        same = {event["event_id"], *pairs["from_event"], *pairs["to_event"]}
        rest = events.filter(~pl.col("event_id").is_in(list(same))).select(_CARRIED)
        long = rest.explode("ids").unnest("ids")
        long = long.filter(pl.col("role").is_in(["alias", "span"]), pl.col("value").is_not_null())
        return long.with_columns(plain=_plain_of("value"))

    @cached_property
    def refused(self) -> list[str]:
        notes = self.tables["notes"].filter(pl.col("topic") == "hub_refused")
        return notes["subject"].drop_nulls().to_list()

    def ids_of_request(self, request: str | None) -> str:
        """The kinds of id that most events of a request carry, as words."""
        members = only(self.tables, "events", pl.col("request") == request, ("ids",)).explode("ids").unnest("ids")
        kinds = members.filter(pl.col("role") == "alias")["kind"].drop_nulls().value_counts(name="n")
        ranked = kinds.sort("n", "kind", descending=[True, False]).head(_KINDS)["kind"].to_list()
        return _or(ranked)

    # An event of no request

    def loose(self, event: Row) -> dict[str, Any]:
        mine = (pl.col("relation") == "member") & (pl.col("from_event") == event["event_id"])
        links = only(self.tables, "links", mine & pl.col("taken").not_())
        # One request may be listed by each of two rounds: the surer counts.
        ranked = links.sort("confidence", "to_request", descending=[True, False], nulls_last=True)
        listed = ranked.unique("to_request", keep="first", maintain_order=True).to_dicts()
        there = self.some([link["to_event"] for link in listed])
        candidates = [self.candidate(link, there.get(link["to_event"])) for link in listed]
        if candidates:
            why, would = self.undecided(event, listed, there), self.would_decide(event, candidates)
        else:
            why, would = self.untied(event)
        return {
            "event": self.told(event),
            "request": None,
            "request_kind": None,
            "opened": None,
            "status": "UNK",
            "method": None,
            "confidence": None,
            "way": [],
            "runner_up": None,
            "candidates": candidates,
            "why": why,
            "otherwise": would,
        }

    def candidate(self, link: Row, there: Row | None) -> dict[str, Any]:
        named = ("to_event", "to_address", "method", "scope", "delta_ns", "confidence")
        return {name: link[name] for name in named} | {
            "request": link["to_request"],
            "kind": None if there is None else there["kind"],
        }

    def undecided(self, event: Row, listed: Sequence[Row], there: Mapping[str, Row]) -> list[str]:
        best = listed[0]
        sure = best["confidence"] or 0
        few = wording.count(len(listed), "candidate")
        none = f"No usable id ties it to a request. By time, {few} came into question, and none is sure enough"
        best_is = f"the likeliest has a confidence of {wording.chance(sure)}"
        said = [f"{none}: {best_is}, and {wording.chance(self.least)} is asked for (--min-confidence)."]
        if best["to_event"] in there:
            said += self.delay(event, there[best["to_event"]], best)
        said.append(f"It was looked for within {self.scope(event, best['scope'])}.")
        rest = 1 - sum(link["confidence"] or 0 for link in listed)
        if rest > 0.005:
            said.append(
                f"The remaining {wording.chance(rest)} is the chance of turns that are not listed, or of no turn."
            )
        return said + self.of_ids(event)

    def would_decide(self, event: Row, candidates: Sequence[Row]) -> list[str]:
        best = candidates[0]
        kinds = self.ids_of_request(best["request"])
        wanted = f"an id of its request ({kinds})" if kinds else "an id of its request"
        said = [f"Had the record carried {wanted}, that id would tie it."]
        lacks = self.lacks(event)
        if lacks:
            said.append(
                f"Its log {event['source']} states no {lacks}; if it can be made to, later incidents gain by it."
            )
        sure = best["confidence"] or 0
        if sure >= 0.01:
            least, wrong = int(sure * 100) / 100, round(100 * (1 - sure))
            said.append(
                f"With --min-confidence {least:g} the first candidate would have been taken; of 100 such links about "
                f"{wrong} would be wrong."
            )
        return said

    def lacks(self, event: Row) -> str:
        found = self.tables["sources"].filter(pl.col("source") == event["source"])
        lacking = found["lacks"].to_list()[0] if found.height else []
        return _or([one for one in lacking or () if one not in ("time", "zone")][:_KINDS])

    def of_ids(self, event: Row) -> list[str]:
        """What became of the ids that the event carries."""
        said = []
        refused = {_plain(value) for value in self.refused}
        details = self.tables["notes"].filter(pl.col("topic") == "hub_refused")
        reasons = {
            _plain(subject): detail
            for subject, detail in details.select("subject", "detail").iter_rows()
            if subject is not None
        }
        groups = []
        for one in event["ids"] or ():
            kind, value = one["kind"], one["value"]
            if not value:
                continue
            if _plain(value) in refused:
                said.append(f"Its {kind} {value} was refused: {reasons[_plain(value)]} (note hub_refused).")
            elif one["role"] == "group":
                groups.append(f"{kind} {value}")
            else:
                said.append(self.of_one_id(event, kind, value))
        if groups:
            said.append(f"It names {', '.join(groups)}: whose it is, but not which request.")
        return said

    def of_one_id(self, event: Row, kind: str, value: str) -> str:
        """Why one id ties the event to no request."""
        others = self.others(narrow(self.tables, "events", _CARRIED), event).filter(pl.col("plain") == _plain(value))
        number = others["event_id"].n_unique()
        if not number:
            return f"Its {kind} {value} is carried by no other event of these logs."
        tied = others["request"].drop_nulls().n_unique()
        carried = f"Its {kind} {value} is carried by {wording.count(number, 'other event')}"
        if not tied:
            return f"{carried}, and none of these is in a request."
        return (
            f"{carried}, of {wording.count(tied, 'request')}, and ties it to none: the value names nothing, is used "
            "anew for something else, or is too short to join under another name (notes id_stopped, id_reused)."
        )

    def untied(self, event: Row) -> tuple[list[str], list[str]]:
        """Why an event has neither a request nor a candidate; what would have changed that."""
        said, would = self.of_ids(event), list[str]()
        usual = ["Had the record carried an id of a request, that id would tie it."]
        of_kind = only(self.tables, "events", pl.col("kind") == event["kind"], ("request",))
        of_kind_tied = of_kind["request"].count()
        aliases = any(one["role"] in ("alias", "span") and one["value"] for one in event["ids"] or ())
        if not aliases:
            said.insert(0, "It carries no id that could name a request, a call or a span.")
        if event["layer"] == "change":
            said.append("A change is of the product, and of no request: requests and changes meet by time alone.")
            return said, would
        if event["kind"] == "log.other":
            said.append(
                "No format describes what its record says (log.other), so it is left where it is, and tied by an id "
                "or not at all."
            )
            return said, [*usual, "A format that describes the record would tell its ids: strataline new-format."]
        if event["corrected_time"] is None:
            said.append("It states no time, so it cannot be placed by time either.")
            return said, [*usual, "A time in the record, or in its wrapper, would let it be placed by time."]
        if self.least >= 1:
            said.append("This case was made with --min-confidence 1: ids alone count, nothing is placed by time.")
            return said, [*usual, "With a lower --min-confidence it would be looked for by text and by time."]
        if not of_kind_tied and of_kind.height > 1:
            said.append(
                f"None of the {of_kind.height:,} {event['kind']} events of these logs is in a request: nothing here "
                "shows when one comes in a turn"
                + (
                    ", and in a browser such an event is often of a visit, not of a turn."
                    if event["layer"] == "ui"
                    else "."
                )
            )
        else:
            said.append(
                "By text and time no turn came into question: none holds its text alone, and none lies at a delay "
                "that such events have in these logs."
            )
        near, gap = self.nearest(event)
        said += near
        if gap is not None and gap > self.window_s * 1e9:
            usual.append(f"Turns further away than {_window(self.window_s)} are not looked at: --window says how far.")
        return said, usual

    def nearest(self, event: Row) -> tuple[list[str], int | None]:
        """The requests with events of the same session or user that lie next to an event, and how far the next is."""
        for name in ("session", "user"):
            if event[name] is None:
                continue
            own = (pl.col(name) == event[name]) & pl.col("request").is_not_null()
            mine = only(self.tables, "events", own, ("request",))
            starts = self.tables["requests"].filter(pl.col("start_time").is_not_null())
            starts = starts.select("request", at=pl.col("start_time").dt.epoch("ns") - event["at"])
            near = starts.join(mine, on="request", how="semi").sort(pl.col("at").abs(), "request").head(_NEAR)
            if near.is_empty():
                continue
            listed = [
                f"{rows.short_request(request)} opened {wording.length(at)} {'later' if at > 0 else 'earlier'}"
                for request, at in near.iter_rows()
            ]
            return [f"Next to it, of its {name} {event[name]}: {'; '.join(listed)}."], abs(near["at"][0])
        whose = _or([f"{name} {event[name]}" for name in ("session", "user") if event[name] is not None])
        return [f"No request of {whose} is in these logs."] if whose else [], None


def _step(event_id: str, link: Row | None) -> Step:
    names = (
        "relation",
        "method",
        "id_kind",
        "id_value",
        "content_hash",
        "delta_ns",
        "scope",
        "confidence",
        "runner_up",
        "runner_up_confidence",
        "to_event",
        "to_address",
    )
    return {"event_id": event_id, **{name: None if link is None else link[name] for name in names}}


def _iso(ms: int | None) -> str | None:
    return None if ms is None else wording.date_time(ms).replace(" ", "T") + "Z"


def _plain(value: str) -> str:
    """An id's value as spellings of one hex number agree in."""
    return value.strip().lower().removeprefix("0x").replace("-", "")


def _plain_of(column: str) -> pl.Expr:
    lower = pl.col(column).str.strip_chars().str.to_lowercase().str.strip_prefix("0x")
    return lower.str.replace_all("-", "", literal=True)


def _named(link: Row, there: Row) -> str:
    """The id that ties, and how the other record writes it where that differs."""
    kind, value = link["id_kind"], link["id_value"] or ""
    others = [one for one in there["ids"] or () if one["value"] and _plain(one["value"]) == _plain(value)]
    if any((one["kind"], one["value"]) == (kind, value) for one in others):
        return f"{kind} {value}"
    if others:
        return f"{kind} {value}, which the other names {others[0]['kind']} {others[0]['value']}"
    return f"{kind} {value}, which the other writes in another way"


def _spans(event: Row, link: Row, there: Row, other: str) -> str:
    value = link["id_value"] or ""
    if event["parent_id"] and _plain(event["parent_id"]) == _plain(value):
        return f"It names span {value} as the one above it, and {other} is that span, or lies in it."
    if there["parent_id"] and _plain(there["parent_id"]) == _plain(value):
        return f"It is span {value}, which {other} names as the one above it."
    return f"It and {other} carry the same span id: {value}."


def _side(event: Row, text: str | None) -> str:
    return next((side for side in ("input", "output") if event[f"{side}_hash"] == text), "text")


def _ends(event: Row, there: Row, delta: int) -> tuple[str, str]:
    """Which ends of two events a delay lies between: of each, its time or its end, as fits best."""
    mine, theirs = (
        [("", one["at"]), (" end", None if one["until"] is None else one["until"] - (one["clock_offset"] or 0))]
        for one in (event, there)
    )
    pairs = [
        (abs(at_b - at_a - delta), name_a, name_b)
        for name_a, at_a in mine
        for name_b, at_b in theirs
        if at_a is not None and at_b is not None
    ]
    _, name_a, name_b = min(pairs, default=(0, "", ""))
    return "Its end" if name_a else "It", "the end of " if name_b else ""


def _clocks(event: Row, there: Row) -> list[str]:
    """By which clocks the two times are, and what was taken from them."""
    if event["clock"] == there["clock"]:
        return [f"Both times are by one clock, {event['clock']}."]
    told = [
        f"{'its own' if one is event else 'the other'} by {one['clock'] or 'a clock without a name'}, "
        + (f"from which {wording.offset(one['clock_offset'])} was taken" if one["clock_offset"] else "as logged")
        for one in (event, there)
    ]
    return [f"The times are by two clocks: {'; '.join(told)}."]


def _window(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


def _kinds(event: Row) -> str:
    return _or(list(dict.fromkeys(one["kind"] for one in event["ids"] or () if one["role"] == "alias"))[:_KINDS])


def _or(names: Sequence[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)
