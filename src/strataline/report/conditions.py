"""Sections 6, 7, 9 and 10: what was different, contributing conditions, what held, and what the logs do not say."""

from __future__ import annotations

from typing import Any

import polars as pl

from strataline import rows, wording
from strataline.event import PRODUCT_LAYERS
from strataline.report.material import Material
from strataline.report.pen import Pen, cells, slot_cell, table
from strataline.report.slices import CONTRAST_HEAD, contrast_evidence, contrast_text, finding_lines
from strataline.report.timeline import change_text

CONTRASTS = 40
CHANGES = 80
PER_LAYER = 4
SETS = 12
MEASURE_HEAD = ("measure", "unit", "affected", "median", "p95", "compared", "median", "p95", "greater", "mark")
SILENT = 20
"""Sources of which so many sentences say what no record of them states."""
REMAINDER = (
    "Whatever the listed conditions go with, the logs hold what was logged and nothing else: the list is not complete, "
    "none of it is shown to be sufficient, and an order in time is not an effect."
)


def different(pen: Pen, m: Material) -> list[str]:
    """Section 6: values that affected requests have more or less often, and every change in order of time."""
    shown = m.examined.contrasts.filter("shown")
    some = shown.head(CONTRASTS).to_dicts()
    if m.examined.affected is None:
        text = [pen.claim("UNK", "Nothing was compared.", note="no affected set was named")]
    else:
        text = [
            pen.claim(
                "DER",
                f"{wording.count(m.examined.contrasts.height, 'value')} of {m.affected.len():,} affected and "
                f"{m.baseline.len():,} compared requests were held against each other; {shown.height:,} pass the rule "
                f"(appendix D).",
                note="contrasts",
                lead="",
            )
        ]
        lines = [
            pen.row("DER", contrast_text(pen, one), events=[event])
            for one, event in zip(some, contrast_evidence(m, some), strict=True)
        ]
        text += ["", *table([*CONTRAST_HEAD, "mark"], lines)]
        if shown.height > len(some):
            text += ["", f"{shown.height - len(some):,} further values: `strataline examine --all`."]
        text += [
            "",
            wording.ASSOCIATION,
            "Values of one group are had by the same requests: these logs cannot tell them apart.",
        ]
        text += ["", "**What was measured**", "", *_measured(pen, m)]
    return [*text, "", "**Changes, in order of time**", "", *_changes(pen, m), *_change_findings(pen, m)]


def _measured(pen: Pen, m: Material) -> list[str]:
    shown = m.examined.measures.filter("shown")
    said = (
        f"{wording.count(m.examined.measures.height, 'measure')} of these requests were held against each other; "
        f"{shown.height:,} pass the rule (appendix D). {wording.MEASURED}"
    )
    lines = [
        pen.row(
            "DER",
            [
                pen.prose(one["measure"]),
                one["unit"],
                f"{one['affected_n']:,}",
                *(wording.figure(one[name]) for name in ("affected_median", "affected_p95")),
                f"{one['baseline_n']:,}",
                *(wording.figure(one[name]) for name in ("baseline_median", "baseline_p95")),
                f"{100 * one['greater']:.0f} %",
            ],
            note="measures",
        )
        for one in shown.head(CONTRASTS).to_dicts()
    ]
    text = [pen.claim("DER", said, note="measures", lead="")]
    if lines:
        text += ["", *table(MEASURE_HEAD, lines)]
    if shown.height > len(lines):
        text += ["", f"{shown.height - len(lines):,} further measures: `strataline examine --all`."]
    return text


def _changes(pen: Pen, m: Material) -> list[str]:
    changes = m.examined.changes
    if changes.is_empty():
        return [pen.claim("UNK", "No change is recorded or shows in values.", note="no record of a change")]
    lines = [
        pen.row(
            one["status"],
            [
                wording.date_time(one["time"]) or "no time",
                "unknown" if one["doubt_ns"] is None else f"±{wording.length(one['doubt_ns'])}",
                one["layer"],
                change_text(pen, one),
                _place(m, one["time"]),
            ],
            events=[one["event"] or f"at:{one['address']}"],
        )
        for one in rows.of(changes.head(CHANGES))
    ]
    more = changes.height - CHANGES
    left = ["", f"{more:,} further changes: `strataline examine --all`."] if more > 0 else []
    return [*table(["UTC", "off by", "layer", "change", "to the onset", "mark"], lines), *left]


def _place(m: Material, time: int | None) -> str:
    if m.onset is None or time is None:
        return "not known"
    delta = m.onset - time
    return f"{wording.duration(abs(delta))} {'before' if delta > 0 else 'after'}"


def _change_findings(pen: Pen, m: Material) -> list[str]:
    lines = [line for one in m.fired if one["check"].startswith("C") for line in finding_lines(pen, one)]
    return ["", *lines] if lines else []


def conditions(pen: Pen, m: Material) -> list[str]:
    """Section 7: conditions by layer, unordered, each with what speaks for and against it; at least one row a layer."""
    held = _held_in(m)
    spread = m.affected.len(), m.baseline.len()
    lines: list[str] = []
    shown = [one for one in m.examined.contrasts.filter("shown").to_dicts() if (one["difference"] or 0) > 0]
    for layer in (*PRODUCT_LAYERS, None):
        own = [_finding_row(pen, one, held, spread) for one in m.conditions if m.layer_of(one) == layer]
        if layer is not None:
            own += _contrast_rows(pen, m, layer, shown)
        if not own and layer is not None:
            own = [_none_row(pen, m, layer)]
        lines += own
    head = ["condition", "layer", "evidence for", "evidence against, limits", "unknown", "team judgement", "mark"]
    text = (
        "Each row is a condition that the records show with affected requests: a candidate, no more. Rows stand by "
        "layer; their order says nothing of weight. Of values that differ (section 6; documents apart), up "
        f"to {PER_LAYER} a layer have a row, in the order of that section."
    )
    cross = [line for one in _cross(m) for line in finding_lines(pen, one)]
    return [text, "", *table(head, lines), *(["", "**Findings over several layers**", "", *cross] if cross else [])]


def _cross(m: Material) -> list[dict[str, Any]]:
    return [one for one in m.fired if one["check"].startswith("X") and one["check"] not in ("X-07", "X-08", "X-09")]


def _held_in(m: Material) -> dict[str, int]:
    """Finding → compared requests in which it holds."""
    some = m.examined.hits.filter(pl.col("request").is_in(m.baseline.implode()))
    return dict(some.group_by("finding").agg(pl.col("request").n_unique()).iter_rows())


def _finding_row(pen: Pen, one: dict[str, Any], held: dict[str, int], spread: tuple[int, int]) -> str:
    with_it, against = one["affected"], held.get(one["finding"], 0)
    if with_it is None:
        for_it, limits = f"{one['count']:,} of {one['total']:,} requests of the case", "no affected set was named"
    else:
        for_it = f"{with_it:,} of {spread[0]:,} affected requests"
        limits = f"{spread[0] - with_it:,} affected requests without it; {against:,} of {spread[1]:,} compared with it"
    if one["inferred"]:
        limits += f"; {one['inferred']:,} joined by text or time"
    unasked = one["total"] - (one["evaluable"] or 0)
    unknown = [f"or: {other}" for other in one["alternatives"]]
    if unasked > 0 and one["requests"]:
        unknown.insert(0, f"{unasked:,} requests it could not be asked of.")
    name = f"{one['finding']} {one['name']}" + (f": {pen.code(one['subject'])}" if one["subject"] else "")
    judgement = slot_cell(f"judgement_{one['finding']}", "logs hold no weight", "what does the team make of it?")
    layer = Material.layer_of(one) or ", ".join(one["layers"])
    return pen.row(
        one["status"],
        [name, layer, for_it, limits, " ".join(unknown), judgement],
        events=one["events"],
        finding=one["finding"],
    )


def _contrast_rows(pen: Pen, m: Material, layer: str, shown: list[dict[str, Any]]) -> list[str]:
    own = [
        one
        for one in shown
        if m.layer_of_dimension.get(one["dimension"]) == layer and not one["dimension"].endswith("document")
    ]
    groups: dict[Any, list[dict[str, Any]]] = {}
    for place, one in enumerate(own):
        groups.setdefault(("group", one["group"]) if one["group"] is not None else ("alone", place), []).append(one)
    lines = []
    for some in list(groups.values())[:PER_LAYER]:
        one, *others = some
        alike = [f"{other['dimension']} {pen.code(other['value'])}" for other in others]
        beyond = [
            f"{other['dimension']} {pen.code(other['value'])}"
            for other in shown
            if one["group"] is not None and other["group"] == one["group"] and other not in some
        ]
        told = ", ".join([*alike, *beyond])
        without = one["affected_total"] - one["affected_with"]
        limits = (
            f"{without:,} affected requests have another value; {one['baseline_with']:,} of "
            f"{one['baseline_total']:,} compared have it"
        )
        unknown = "whether it had an effect" + (f"; cannot be told apart from {told}" if told else "")
        key = pen_key(one)
        lines.append(
            pen.row(
                "DER",
                [
                    f"{one['dimension']} is {pen.code(one['value'])}",
                    layer,
                    f"{one['affected_with']:,} of {one['affected_total']:,} affected requests in which it is known",
                    limits,
                    unknown,
                    slot_cell(f"judgement_{key}", "logs hold no weight", "what does the team make of it?"),
                ],
                events=contrast_evidence(m, [one]),
            )
        )
    return lines


def pen_key(one: dict[str, Any]) -> str:
    """A name for the slot of a contrast: letters, digits and hyphens of what it is."""
    words = f"{one['dimension']}-{one['value']}"
    return "".join(char if char.isascii() and char.isalnum() else "-" for char in words)[:60].strip("-")


def _none_row(pen: Pen, m: Material, layer: str) -> str:
    asked = [one for one in m.clear if m.layer_of(one) == layer]
    unasked = [one for one in m.not_run if m.layer_of(one) == layer]
    limits = f"{wording.count(len(asked), 'check')} of this layer found nothing; {len(unasked):,} could not run"
    values = [
        "no condition of this layer is in the findings",
        layer,
        "",
        limits,
        "what these logs do not record of it",
        slot_cell(f"judgement_{layer}", "logs hold no weight", "what do people who know this layer add?"),
    ]
    return pen.row("UNK", values, note=f"no finding of {layer}")


def combinations(pen: Pen, m: Material) -> list[str]:
    """Section 7.1: which conditions hold together in affected requests."""
    stated = m.found("X-07")
    text = [line for one in stated[:1] for line in finding_lines(pen, one)]
    counted = m.combinations.group_by("set", "n", maintain_order=True).agg(example=pl.col("request").min())
    if counted.is_empty():
        return text or [pen.claim("UNK", "No conditions hold together.", note="no affected set was named")]
    lines = [
        pen.row("DER", [one["set"] or "none of them", f"{one['n']:,}", pen.code(one["example"][:12])], note="hits")
        for one in counted.head(SETS).to_dicts()
    ]
    more = counted.height - SETS
    left = ["", f"{more:,} further combinations: the table `hits`."] if more > 0 else []
    head = ["findings that hold together, and no other", "affected requests", "one of them", "mark"]
    return [*text, "", *table(head, lines), *left]


def remainder(pen: Pen, m: Material) -> list[str]:
    """Section 7.2: what the conditions do not account for; always there."""
    found = m.found("X-09")
    if found:
        lines = [finding_lines(pen, found[0])[0]]
    elif m.examined.affected is None:
        lines = [
            pen.claim(
                "UNK",
                "How many affected requests no condition holds in is not known.",
                note="no affected set was named",
            )
        ]
    else:
        names = [one["finding"] for one in m.conditions]
        hit = m.examined.hits.filter(pl.col("finding").is_in(names))["request"].drop_nulls().unique()
        without = m.affected.filter(~m.affected.is_in(hit.implode())).len()
        beyond = m.baseline.filter(m.baseline.is_in(hit.implode())).len()
        lines = [
            pen.claim(
                "DER",
                f"{without:,} of {wording.count(m.affected.len(), 'affected request')} show none of the conditions "
                f"that checks found, and {beyond:,} of {m.baseline.len():,} compared requests show one or more.",
                note="hits",
            )
        ]
    return [*lines, "", REMAINDER]


def held(pen: Pen, m: Material) -> list[str]:
    """Section 9: safeguards that held, and checks that looked and found nothing."""
    near = [line for one in m.found("X-08") for line in finding_lines(pen, one)]
    ran = [one for one in m.clear if one["evaluable"]]
    listed = ", ".join(f"{one['check']} {one['name']} ({one['evaluable']:,})" for one in ran)
    text = (
        f"{wording.count(len(ran), 'check')} looked at requests and found nothing; in brackets, how many requests each "
        f"could be asked of: {listed}."
        if ran
        else "No check ran without finding something."
    )
    if not near:
        why = next((one["reason"] for one in m.not_run if one["check"] == "X-08"), "the check was not asked for")
        ran_ = any(one["check"] == "X-08" for one in m.clear)
        said = "no request shows one" if ran_ else f"could not be told: {pen.prose(why)}"
        sentence = f"Same condition, stopped by a later layer (X-08): {said}."
        near = [pen.claim("DER" if ran_ else "UNK", sentence, note="findings")]
    return [*near, pen.claim("DER", text, note="findings")]


def gaps(pen: Pen, m: Material) -> list[str]:
    """Section 10: evidence gaps, checks that could not run, records that could not be read."""
    seen: set[str] = set()
    found = []
    for one in m.fired:
        if one["check"].startswith("E"):
            # Findings of one check have the same alternatives: once is enough.
            found += finding_lines(pen, one)[: 1 if one["check"] in seen else None]
            seen.add(one["check"])
    lines = [
        pen.row(
            "UNK",
            [
                f"{one['check']} {one['name']}",
                pen.prose(one["reason"]),
                ", ".join(pen.code(field) for field in one["unlocks"]),
            ],
            note="not evaluable",
        )
        for one in m.not_run
    ]
    text = [
        *found,
        "",
        "**Checks that could not run**",
        "",
        *table(["check", "why", "what would let it run", "mark"], lines),
    ]
    if not lines:
        text += [pen.claim("DER", "Every check could run.", note="findings")]
    return [*text, "", "**Records**", "", *_records(pen, m)]


def _records(pen: Pen, m: Material) -> list[str]:
    sources = m.frames["sources"]
    rejected, records = int(sources["rejected"].sum()), int(sources["records"].sum())
    lines = [
        pen.claim(
            "DER",
            f"{rejected:,} of {wording.count(records, 'record')} could not become events"
            + (" (`rejects`)." if rejected else "."),
            note="sources",
        )
    ]
    assumed = sources.filter(pl.col("zone_basis") == "assumed")["source"].to_list()
    if assumed:
        listed = ", ".join(pen.place(one) for one in assumed[:6])
        lines.append(
            pen.claim(
                "UNK",
                f"The zone of times in {wording.count(len(assumed), 'source')} is assumed: "
                f"{listed}; they may be whole hours off.",
                note="no zone in the records",
            )
        )
    of = m.look("request")["request"]
    lone = of.null_count()
    lines.append(
        pen.claim("DER", f"{lone:,} of {wording.count(of.len(), 'event')} are tied to no request.", note="events")
    )
    silent = m.examined.unseen.filter(pl.col("layer").is_null() & (pl.col("topic") != "reject")).to_dicts()
    lines += [
        pen.claim("UNK", f"{pen.place(one['subject'])}: {pen.prose(one['sentence'])}", note="no such field in it")
        for one in silent[:SILENT]
    ]
    if m.gone:
        listed = ", ".join(pen.place(one) for one in list(m.gone)[:6])
        lines.append(
            pen.claim(
                "UNK",
                f"{wording.count(len(m.gone), 'input')} could not be read again: {listed}; what "
                "stands here of their records is what the case keeps.",
                note="inputs not at hand",
            )
        )
    notes = [
        cells(
            [pen.code(one["topic"]), f"{one['notes']:,}", f"{one['concerned'] or 0:,}", pen.prose(one["detail"] or "")]
        )
        for one in rows.topics(m.frames["notes"])
    ]
    return [*lines, "", *table(["note", "notes", "records concerned", "the first of them"], notes)]
