"""Sections 8 and 11 to 16: clocks of detection, the hand-off to tests, and what only people write."""

from __future__ import annotations

import shlex

from strataline import wording
from strataline.event import PRODUCT_LAYERS
from strataline.report.material import Material
from strataline.report.pen import Pen, shown, table

_INTERVALS = (
    ("onset", "first user signal"),
    ("onset", "first internal signal"),
    ("onset", "mitigation"),
    ("mitigation", "last"),
    ("onset", "last"),
)


def detection(pen: Pen, m: Material) -> list[str]:
    """Section 8: the named moments, and the intervals between them, each by its two events."""
    if not m.moments:
        return [pen.claim("UNK", "No moment can be named.", note="no affected set was named")]
    lines = [
        pen.row(
            one["status"],
            [name, wording.date_time(one["time"]) or "not in the supplied logs", one["meaning"]],
            events=[one["event"]],
            note={"HUM": "stated with the command", "UNK": "no record, and nobody said"}.get(one["status"], ""),
        )
        for name, one in m.moments.items()
    ]
    spans = []
    for start, end in _INTERVALS:
        a, b = m.moments[start], m.moments[end]
        known = a["time"] is not None and b["time"] is not None
        length = wording.duration(b["time"] - a["time"]) if known else "not known"
        status = "UNK" if not known else "INF" if "INF" in (a["status"], b["status"]) else "DER"
        if known and "HUM" in (a["status"], b["status"]):
            status = "HUM"
        note = "an end is not in the supplied logs" if not known else ""
        spans.append(
            pen.row(
                status,
                [f"{start} to {end}", length],
                events=[a["event"], b["event"]] if known else [],
                note=note or "from what people stated",
            )
        )
    text = [*table(["moment", "UTC", "defined as", "mark"], lines), "", *table(["interval", "length", "mark"], spans)]
    if m.impact is not None and m.impact.tail is not None:
        text += [
            "",
            pen.claim(
                "DER",
                f"{wording.count(m.impact.tail, 'affected request')} were shown an answer after the stated mitigation.",
                note="displays after it",
            ),
        ]
    return text


def tests(pen: Pen, m: Material) -> list[str]:
    """Section 11: requests to freeze as behaviour cases, and checks to hold as invariants."""
    if m.examined.affected is None:
        return [pen.claim("UNK", "No case can be frozen.", note="no affected set was named")]
    selectors = " ".join(f"--affected {shlex.quote(one)}" for one in m.examined.affected.selectors)
    hits = m.examined.hits
    lines = [
        pen.row(
            "DER",
            [
                pen.code(one["request"]),
                ", ".join(
                    name
                    for name in hits.filter(request=one["request"])["finding"].unique().sort()
                    if not name.startswith("E")
                )
                or "none",
            ],
            note="hits",
        )
        for one in m.exemplars
    ]
    ids = list(dict.fromkeys(one["check"] for one in m.conditions))
    gate = ",".join(f"{one}=0" for one in ids)
    text = [
        (
            "Behaviour cases: the exact prompt, frozen context, model, parameters and policy of these requests, with "
            "the expectation left open:"
        ),
        "",
        *table(["request", "findings that hold in it", "mark"], lines),
        "",
        f"- {shown(f'strataline regressions CASE {selectors} --to pytest -o DIR')}",
    ]
    if gate:
        text += [
            "",
            "Trace invariants: the checks that fired, as a gate over staging logs; which of them block, people decide:",
            "",
            f"- {shown(f'strataline check STAGING_CASE --require {gate}')}",
        ]
    return text


def reporting(pen: Pen, m: Material) -> list[str]:
    """Section 15: facts that forms ask for."""
    first = m.onset
    last = m.moments.get("last", {}).get("time")
    systems = sorted({one for row in m.chosen["models"].to_list() for one in row or ()})
    facts = []
    if first is not None and last is not None:
        facts.append(
            pen.claim(
                "DER",
                f"First recorded occurrence {wording.date_time(first)} UTC, last {wording.date_time(last)} UTC.",
                events=[m.moments["onset"]["event"], m.moments["last"]["event"]],
            )
        )
    else:
        facts.append(pen.claim("UNK", "First and last occurrence are not in the supplied logs.", note="no onset known"))
    named = ", ".join(pen.code(one) for one in systems[:8])
    facts.append(
        pen.claim("DER", f"Models that answered affected requests: {named}.", note="requests")
        if systems
        else pen.claim("UNK", "Which models answered is not in the supplied logs.", note="no served model")
    )
    if m.impact is not None:
        at_least, at_most = next(
            (one["by_ids"], one["at_most"])
            for one in m.impact.tiers.to_dicts()
            if one["tier"] == "shown" and one["of"] == "users"
        )
        facts.append(
            pen.claim(
                "DER", f"Users with a record of display: at least {at_least:,}, at most {at_most:,}.", note="impact"
            )
        )
    seen = set(m.look("layer")["layer"].unique())
    layers = [layer for layer in PRODUCT_LAYERS if layer in seen]
    facts.append(pen.claim("DER", f"Layers with logs: {', '.join(layers) or 'none'}.", note="events"))
    facts.append(
        pen.claim(
            "UNK", f"{wording.count(len(m.not_run), 'check')} could not run; gaps: section 10.", note="see section 10"
        )
    )
    return facts


ACCOUNTABILITY = ["Out of scope of this document and of the tool."]
FOLLOW_UPS = [
    (
        "| action | type (investigate, prevent, detect, mitigate, repair) | links to condition | owner | priority | "
        "tracking id | verifiable end state |"
    ),
    "| --- | --- | --- | --- | --- | --- | --- |",
    (
        "| <<HUMAN:action_1 \\| people choose actions \\| which condition of section 7 does it change, and how will "
        "you see that?>> |  |  |  |  |  |  |"
    ),
]
