"""Section 5: the whole way of a few requests through the layers, as a diagram and as a table."""

from __future__ import annotations

import re
from collections.abc import Mapping

from strataline import rows, wording
from strataline.event import PRODUCT_LAYERS
from strataline.report.material import CHOICE, FILTER_ONLY, Material
from strataline.report.pen import Pen, table

ARROWS = 40
"""So many records of a chain are drawn; the table below the diagram has all up to `ROWS`."""
ROWS = 80
LABEL = 90

_DRAWN = re.compile(r"[^A-Za-z0-9 .,+=()/:_±?@→–-]")
_RELATIONS = ("evaluated", "included", "rendered", "child_of", "attempt_of", "feedback_on", "served_from_cache_of")


def label(text: str) -> str:
    """Log text within a diagram: what Mermaid could act on stands as ``·``; the table beside it has it as logged.

    >>> label('verdict=block; <img src="x">')
    'verdict=block· ·img src=·x··'
    """
    line = _DRAWN.sub("·", " ".join(text.split()))
    return line if len(line) <= LABEL else f"{line[: LABEL - 1]}…"


def chains(pen: Pen, m: Material) -> list[str]:
    """Section 5."""
    if not m.chains:
        return [pen.claim("UNK", "No chain can be shown.", note="no affected set was named")]
    text = [
        (
            f"Shown are {len(m.chains)} of {wording.count(m.affected.len(), 'affected request')}, chosen mechanically: "
            f"{CHOICE}. They are examples, not the typical case. Solid arrows: tied by an id or the same text. Dashed: "
            "inferred from time. `±` is how far the time may be off against the reference clock; `±?` is not "
            "bounded. An arrow shows a tie between records, not an effect."
        ),
    ]
    for number, chain in enumerate(m.chains, 1):
        text += ["", *_chain(number, chain, pen, m)]
    return text


def _chain(number: int, chain: rows.Chain, pen: Pen, m: Material) -> list[str]:
    request = chain.request
    facts = [f"{name} {pen.held(name, request[name])}" for name in rows.GROUPS if request[name]]
    facts += [f"{name} {pen.code(value)}" for name, value in (*rows.in_force(request), *rows.came_out(request))]
    events = [event["event_id"] for event in chain.events]
    hits = m.examined.hits.filter(request=request["request"])["finding"].unique().sort()
    hits = [one for one in hits if not one.startswith("E")]
    head = pen.claim(
        "DER",
        f"**Chain {number}**: request {pen.code(request['request'])}, {wording.count(len(events), 'record')}, began "
        f"{wording.date_time(request['start_time']) or 'at no stated time'}; {'; '.join(facts) or 'nothing further'}. "
        f"Findings that hold in it: {', '.join(hits) or 'none'}.",
        events=events[:1],
        lead="",
    )
    lines = [_row(event, chain, pen, m) for event in chain.events[:ROWS]]
    columns = ["seq", "UTC", "+ms", "layer", "what", "tied", "where", "mark"]
    more = len(chain.events) - ROWS
    left = ["", f"{more:,} further records: `strataline show CASE {request['request'][:12]}`."] if more > 0 else []
    return [head, "", *diagram(chain, pen, m.doubts), "", *table(columns, lines), *left]


def diagram(chain: rows.Chain, pen: Pen, doubts: Mapping[str, int | None]) -> list[str]:
    """A Mermaid sequence diagram of `chain`, fenced."""
    present = [
        layer for layer in (*PRODUCT_LAYERS, "change", "other") if any(e["layer"] == layer for e in chain.events)
    ]
    order = [layer for layer in ("ui", "prompt", "retrieval", "model", "policy", "change", "other") if layer in present]
    lines = ["```mermaid", "sequenceDiagram", *(f"  participant {layer}" for layer in order)]
    layers = {event["event_id"]: event["layer"] for event in chain.events}
    places = {event["event_id"]: place for place, event in enumerate(chain.events)}
    before = order[0] if order else "ui"
    for place, event in enumerate(chain.events[:ARROWS]):
        other = _from(event, chain, layers)
        ends = [layers.get(other or "", before), event["layer"]]
        if other is not None and places[other] > place:
            # What came before the record that it is tied to points to it.
            ends.reverse()
        dashed = event["link_method"] in FILTER_ONLY and event["link_method"] != "content"
        arrow = "-->>" if dashed else "->>"
        said = ", ".join(f"{name} {pen.of(name, value)}" for name, value in rows.facts(event)[:3])
        number = pen.cite([event["event_id"]])[0]
        text = label(f"{number} {chain.since(event) or 'no time'} ms {_off(event, doubts)} {event['kind']} {said}")
        lines.append(f"  {ends[0]}{arrow}{ends[1]}: {text}")
        before = event["layer"]
    if len(chain.events) > ARROWS:
        lines.append(f"  Note over {order[0]}: {len(chain.events) - ARROWS} further records are in the case")
    return [*lines, "```"]


def _off(event: rows.Row, doubts: Mapping[str, int | None]) -> str:
    doubt = doubts.get(event["event_id"])
    return "±?" if doubt is None else f"±{wording.length(doubt)}" if doubt else "±0"


def _from(event: rows.Row, chain: rows.Chain, layers: Mapping[str, str]) -> str | None:
    """The record of the chain that `event` is tied to: through a relation, else through its membership."""
    for link in chain.relations.get(event["event_id"], ()):
        if link["relation"] in _RELATIONS and link["to_event"] in layers:
            return str(link["to_event"])
    member = chain.members.get(event["event_id"])
    return None if member is None or member["to_event"] not in layers else str(member["to_event"])


def _row(event: rows.Row, chain: rows.Chain, pen: Pen, m: Material) -> str:
    method, value = chain.tied(event)
    tied = [
        f"{method} {pen.code(value)}".strip(),
        *(f"{name} {pen.code(other)}" for name, other in chain.related(event)),
    ]
    inferred = event["link_method"] in FILTER_ONLY
    said = "; ".join(f"{name} {pen.held(name, value)}" for name, value in rows.facts(event)[:6])
    when = wording.date_time(event["corrected_time"]) or "no time"
    values = [
        str(event["seq"]),
        f"{when} {_off(event, m.doubts)}",
        chain.since(event),
        event["layer"],
        f"{pen.code(event['kind'])} {said}".strip(),
        f"{'inferred' if inferred else 'sure'}: {' · '.join(tied)}",
        pen.place(rows.address(event)),
    ]
    return pen.row("INF" if inferred else "OBS", values, events=[event["event_id"]])
