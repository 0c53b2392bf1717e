"""Section 4: one slice for each layer, always all five: what was in force, one request, what differs, what held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from strataline import rows, wording
from strataline.report.material import Material
from strataline.report.opening import VERSIONS, value_counts, version_rows
from strataline.report.pen import Pen, cells, table

TITLES = {
    "prompt": "Prompt",
    "retrieval": "Retrieval",
    "model": "Model and gateway",
    "policy": "Policy filter",
    "ui": "UI",
}
READ = {
    "RU": "read first: reached a user although a record holds a stop condition",
    "SG": "read first: safeguard not evidenced",
    "DV": "read next: differs",
    "CC": "read next: condition known to widen outcomes",
    "EG": "background: evidence gap",
    "CX": "background: context",
}
ASKED = {
    "prompt": (
        "How does a change of a template reach production, and what shows that it has?",
        "What in the rendered prompt would people who know this template not expect?",
    ),
    "retrieval": (
        "How is an index built, switched and switched back, and who sees it?",
        "What would the right documents for the shown question have been?",
    ),
    "model": (
        "How does the team learn which model stands behind a name?",
        "What do retries, fallbacks and the cache keep of a request, and what do they change?",
    ),
    "policy": (
        "What does the filter do when it cannot decide, and where is that set?",
        "Which paths to a user does the filter not see?",
    ),
    "ui": (
        "What did the page look like to a person at that moment?",
        "How could a person tell that something was off, and how could they say so?",
    ),
}
"""What people who know a layer are asked, besides the questions of its findings: how and what, never who."""
SHOWS = {
    "prompt": "the prompt as received and as rendered",
    "retrieval": "the documents as supplied",
    "model": "the model as served, and its answer",
    "policy": "the filter as configured, and its verdicts",
    "ui": "the answer as shown",
}
TEXT_CHARS = 4000
PASSAGE_CHARS = 700
PASSAGES = 8
EVENTS = 12
DIFFERENCES = 8
_NO_SETTING = ("replica", "attempt", "document")


def slice_of(layer: str, pen: Pen, m: Material) -> list[str]:
    """The slice of `layer`."""
    return [
        *_heading("Configuration in force"),
        *_configuration(layer, pen, m),
        *_heading(f"One request: {SHOWS[layer]}"),
        *_exemplar(layer, pen, m),
        *_heading("Differences from the compared requests"),
        *_differences(layer, pen, m),
        *_heading("Findings"),
        *_findings(layer, pen, m),
        *_heading("What held"),
        *_held(layer, pen, m),
        *_heading("Not in the logs"),
        *_absent(layer, pen, m),
    ]


def _heading(text: str) -> list[str]:
    return ["", f"**{text}**", ""]


def questions(layer: str, m: Material | None) -> list[str]:
    """What people who know `layer` may be asked."""
    own = [] if m is None else [one["question"] for one in m.fired if m.layer_of(one) == layer]
    return list(dict.fromkeys([*own, *ASKED[layer]]))


def _configuration(layer: str, pen: Pen, m: Material) -> list[str]:
    name, line = next((name, dimensions) for of, name, dimensions in VERSIONS if of == layer)
    found = version_rows(m, line).filter(pl.col("affected") > 0)
    if found.is_empty():
        version = pen.claim("UNK", f"Version ({name}): not in the supplied logs.", note=f"no {name} in {layer} records")
    else:
        said = ", ".join(
            f"{pen.code(one['value'])} in {one['affected']:,} affected and {one['compared']:,} compared requests"
            for one in found.head(6).to_dicts()
        )
        version = pen.claim("DER", f"Version ({name}): {said}.", events=found["event_id"].head(4).to_list())
    lines = []
    for dimension in _settings(layer, m):
        for one in value_counts(m, dimension).head(4).to_dicts():
            if one["affected"] or one["compared"]:
                counts = [f"{one['affected']:,}", f"{one['compared']:,}", m.when(one["t"])]
                values = [pen.prose(dimension), pen.code(one["value"]), *counts]
                lines.append(pen.row("OBS", values, events=[one["event_id"]]))
    head = ["setting", "value", "affected requests", "compared requests", "first recorded (UTC)", "mark"]
    rest = table(head, lines)
    return [version, "", *(rest or ["No further setting of this layer is recorded with these requests."])]


def _settings(layer: str, m: Material) -> list[str]:
    """Dimensions that are settings of `layer`: versions, hashes, parameters; up to twelve."""
    own = sorted(name for name, of in m.layer_of_dimension.items() if of == layer and name != "document")
    told = [name for name in own if not name.startswith(f"{layer} ")]
    parts = [name for name in own if name.startswith(f"{layer} ") and not name.endswith(_NO_SETTING)]
    telling = m.examined.contrasts.filter("shown")["dimension"].unique().to_list() if parts else []
    return [*told, *(name for name in parts if name in telling)][:12]


def _exemplar(layer: str, pen: Pen, m: Material) -> list[str]:
    if not m.chains:
        return [pen.claim("UNK", "No request can be shown.", note="no affected set was named")]
    chain = m.chains[0]
    events = [event for event in chain.events if event["layer"] == layer]
    name = f"Request {pen.code(chain.request['request'])}"
    if not events:
        return [pen.claim("UNK", f"{name} has no record of {layer}.", note=f"no {layer} record tied to it")]
    lines = [_event_row(event, pen, m) for event in events[:EVENTS]]
    text = [
        f"{name}, the first of section 5, where its whole chain and the way it was chosen stand.",
        "",
        *table(["seq", "UTC", "what", "what it states", "mark"], lines),
    ]
    if len(events) > EVENTS:
        text += [
            "",
            (
                f"{len(events) - EVENTS:,} further records of this layer: `strataline show CASE "
                f"{chain.request['request'][:12]}`."
            ),
        ]
    return [*text, *_texts(layer, events, pen, m), *_elsewhere(layer, chain, pen)]


def _event_row(event: rows.Row, pen: Pen, m: Material) -> str:
    said = "; ".join(f"{label} {pen.held(label, value)}" for label, value in rows.facts(event))
    doubt = m.doubts.get(event["event_id"])
    off = "" if not doubt else f" ±{wording.length(doubt)}"
    inferred = event["link_method"] in ("window", "content")
    when = (wording.date_time(event["corrected_time"]) or "no time") + off
    values = [str(event["seq"]), when, pen.code(event["kind"]), said]
    return pen.row("INF" if inferred else "OBS", values, events=[event["event_id"]])


def _texts(layer: str, events: Sequence[rows.Row], pen: Pen, m: Material) -> list[str]:
    """The texts of `events`: whole where the inputs are at hand; each text once."""
    wanted = [
        event
        for event in events
        if event["input_hash"] or event["output_hash"] or (layer == "retrieval" and event["documents"])
    ][:EVENTS]
    seen: dict[str, str] = {}
    lines: list[str] = []
    for event in wanted:
        whole = m.whole.get(event["event_id"])
        for side, word in (("input", "went in"), ("output", "came out")):
            key = event[f"{side}_hash"]
            if key is None:
                continue
            number = pen.cite([event["event_id"]])[0]
            label = f"{pen.code(event['kind'])}, what {word} ({number}"
            if key in seen:
                lines += [
                    "",
                    pen.claim(
                        "DER", f"{label}): the same text as {seen[key]}, by its hash.", events=[event["event_id"]]
                    ),
                ]
                continue
            text = getattr(whole, side, "") if whole is not None else ""
            lines += _text(event, side, label, text, getattr(whole, "missing", None), pen)
            seen[key] = number
        lines += _passages(event, whole, pen)
    return lines


def _text(event: rows.Row, side: str, label: str, text: str, missing: str | None, pen: Pen) -> list[str]:
    if text:
        size = (
            f"{len(text):,} characters, whole"
            if len(text) <= TEXT_CHARS
            else f"{len(text):,} characters, its beginning"
        )
        line = pen.claim("OBS", f"{label}, {size}):", events=[event["event_id"]])
        return ["", line, "", *_indented(pen.fence(text, TEXT_CHARS))]
    excerpt = event[f"{side}_excerpt"]
    chars = event[f"{side}_chars"]
    known = "" if chars is None else f", {chars:,} characters"
    if excerpt:
        why = f" ({pen.prose(missing)})" if missing else ""
        line = pen.claim(
            "OBS", f"{label}{known}): its excerpt; the whole text was not read{why}.", events=[event["event_id"]]
        )
        return ["", line, "", *_indented(pen.fence(excerpt, TEXT_CHARS))]
    why = pen.prose(missing or "the record keeps a hash")
    line = pen.claim(
        "UNK",
        f"{label}{known}): the text itself is not in the supplied logs, only its hash: {why}.",
        note="no text in the record",
    )
    return ["", line]


def _passages(event: rows.Row, whole: Any, pen: Pen) -> list[str]:
    documents = event["documents"] or ()
    passages = getattr(whole, "passages", ())
    if not documents and not passages:
        return []
    lines = [
        cells(
            [
                str(one["rank"] or ""),
                pen.code(one["id"] or ""),
                pen.code(one["version"] or ""),
                "" if one["score"] is None else f"{one['score']:g}",
                pen.code((one["hash"] or "")[:16]),
            ]
        )
        for one in documents[:20]
    ]
    number = pen.cite([event["event_id"]])[0]
    text = ["", pen.claim("OBS", f"Documents supplied ({number}): {len(documents):,}.", events=[event["event_id"]]), ""]
    text += table(["rank", "document", "version", "score", "hash"], lines)
    for name, passage in passages[:PASSAGES]:
        text += ["", f"- passage {pen.code(name) or 'without a name'}:", ""]
        text += _indented(pen.fence(passage, PASSAGE_CHARS))
    if len(passages) > PASSAGES:
        text += ["", f"{len(passages) - PASSAGES:,} further passages are in the record."]
    if documents and not passages and event["layer"] == "retrieval":
        text += [
            "",
            pen.claim(
                "UNK",
                "The texts of documents were not read from the record.",
                note="no passage in the record, or its input is not at hand",
                lead="",
            ),
        ]
    return text


_SAID = {"prompt": ("prompt.received", "input", "wrote"), "ui": ("ui.rendered", "output", "was shown")}


def _elsewhere(layer: str, chain: rows.Chain, pen: Pen) -> list[str]:
    """Where the text that a record of `layer` only counts may stand: in a record of another with as many characters."""
    if layer not in _SAID:
        return []
    kind, side, word = _SAID[layer]
    lines = []
    for event in chain.events:
        chars = event[f"{side}_chars"]
        if event["kind"] != kind or event[f"{side}_hash"] is not None:
            continue
        if chars is None:
            lines.append(
                pen.claim("UNK", f"What the user {word} is not in this record ({pen.code(kind)}).", note="no text")
            )
            continue
        same = [
            one
            for one in chain.events
            if one[f"{side}_hash"] is not None
            and one[f"{side}_chars"] == chars
            and one["event_id"] != event["event_id"]
        ]
        lines.append(
            pen.claim(
                "UNK",
                f"What the user {word} is not in this record: it counts {chars:,} characters and keeps no text.",
                note=f"no text in {kind}",
            )
        )
        if same:
            one = same[0]
            excerpt = one[f"{side}_excerpt"]
            said = f": {pen.code(excerpt, 240)}" if excerpt else ""
            lines.append(
                pen.claim(
                    "INF",
                    f"A text of as many characters stands in {pen.code(one['kind'])} of the same request{said}.",
                    events=[one["event_id"], event["event_id"]],
                    alt="another text of the same length",
                )
            )
    return ["", *lines] if lines else []


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]


def contrast_text(pen: Pen, one: dict[str, Any]) -> list[str]:
    """A contrast as cells: dimension, value, counts, difference, remarks."""
    remarks = [
        mark
        for mark, on in (
            ("separates the two sets", one["separates"]),
            (f"cannot be told apart from the others of group {one['group']}", one["group"] is not None),
            ("fewer than 10 affected", one["small"]),
            ("has the other sign within a route", one["flips"]),
        )
        if on
    ]
    return [
        pen.prose(one["dimension"]),
        pen.code(one["value"]),
        f"{one['affected_with']:,} of {one['affected_total']:,}",
        f"{one['baseline_with']:,} of {one['baseline_total']:,}",
        f"{one['difference']:+.0f}",
        "; ".join(remarks),
    ]


CONTRAST_HEAD = ("what", "value", "affected", "compared", "points", "remarks")


def contrast_evidence(m: Material, some: Sequence[dict[str, Any]]) -> list[str | None]:
    """For each contrast, the first event that states its value."""
    names = pl.Series([one["dimension"] for one in some], dtype=pl.String).implode()
    first = m.counted.filter(pl.col("dimension").is_in(names)).select("dimension", "value", "event_id")
    known = {(dimension, value): event for dimension, value, event in first.iter_rows()}
    return [known.get((one["dimension"], one["value"])) for one in some]


def _differences(layer: str, pen: Pen, m: Material) -> list[str]:
    shown = [
        one
        for one in m.examined.contrasts.filter("shown").to_dicts()
        if m.layer_of_dimension.get(one["dimension"]) == layer
    ]
    if not shown:
        why = "no value of this layer passes the rule of section 6" if m.affected.len() else "no affected set"
        return [pen.claim("DER" if m.affected.len() else "UNK", f"None is stated: {why}.", note="contrasts")]
    some = shown[:DIFFERENCES]
    evidence = contrast_evidence(m, some)
    lines = [pen.row("DER", contrast_text(pen, one), events=[event]) for one, event in zip(some, evidence, strict=True)]
    more = ["", f"{len(shown) - len(some):,} further values: section 6."] if len(shown) > len(some) else []
    return [*table([*CONTRAST_HEAD, "mark"], lines), *more]


def finding_lines(pen: Pen, one: dict[str, Any]) -> list[str]:
    """A finding as list items: its sentence and numbers, and what else the records would look like this for."""
    numbers = wording.count(one["count"], "request") if one["requests"] else f"{one['count']:,}"
    if one["evaluable"]:
        numbers += f" of {one['evaluable']:,} it could be asked of"
    if one["affected"] is not None:
        numbers += f", {one['affected']:,} of them affected"
    if one["users"]:
        numbers += f", {wording.count(one['users'], 'user')}"
    if one["inferred"] and one["status"] != "INF":
        numbers += f", {one['inferred']:,} joined by text or time"
    sentence = (
        f"**{one['finding']} {one['name']}** ({READ[one['attention']]}). {pen.prose(one['statement'])} ({numbers}.)"
    )
    line = pen.claim(
        one["status"],
        sentence,
        events=one["events"],
        finding=one["finding"],
        note="no record" if one["status"] == "UNK" else "",
        alt="; ".join(one["alternatives"]),
    )
    return [line, *(f"  - or: {other}" for other in one["alternatives"])]


def _findings(layer: str, pen: Pen, m: Material) -> list[str]:
    own = [one for one in m.fired if m.layer_of(one) == layer]
    others = [one for one in m.fired if m.layer_of(one) is None and layer in one["layers"] and one["check"][0] == "X"]
    lines = [line for one in own for line in finding_lines(pen, one)]
    if others:
        listed = ", ".join(dict.fromkeys(one["check"] for one in others))
        lines += ["", f"Checks over several layers that speak of this one: {listed} (sections 7 and 9)."]
    if own:
        return lines
    ran = [one for one in m.clear if m.layer_of(one) == layer]
    if ran:
        said = pen.claim(
            "DER", f"No check of this layer fired; {wording.count(len(ran), 'check')} ran.", note="findings"
        )
    else:
        said = pen.claim("UNK", "No check of this layer could run.", note="not evaluable")
    return [said, *lines]


def _held(layer: str, pen: Pen, m: Material) -> list[str]:
    ran = [one for one in m.clear if m.layer_of(one) == layer and one["evaluable"]]
    lines = [
        pen.claim(
            "DER",
            f"{one['check']} {one['name']}: looked at {wording.count(one['evaluable'], 'request')}, found in none.",
            finding=one["check"],
            note="findings",
        )
        for one in ran
    ]
    if layer == "policy":
        lines += _verdicts(pen, m)
    return lines or [pen.claim("UNK", "No check of this layer ran without a finding.", note="findings")]


def _verdicts(pen: Pen, m: Material) -> list[str]:
    decisions = m.look("request", "event_id", "t", "policy_stage", "verdict")
    decisions = decisions.filter(pl.col("verdict").is_not_null() & pl.col("request").is_not_null())
    sets = {"affected": m.affected, "compared": m.baseline}
    counted = decisions.group_by(stage=pl.col("policy_stage").fill_null("not stated"), verdict="verdict").agg(
        event_id=pl.col("event_id").sort_by("t", "event_id", nulls_last=True).first(),
        **{
            name: pl.col("request").filter(pl.col("request").is_in(of.implode())).n_unique()
            for name, of in sets.items()
        },
    )
    some = counted.filter((pl.col("affected") + pl.col("compared")) > 0).sort("stage", "verdict").head(16)
    lines = [
        pen.row(
            "OBS",
            [pen.code(one["stage"]), pen.code(one["verdict"]), f"{one['affected']:,}", f"{one['compared']:,}"],
            events=[one["event_id"]],
        )
        for one in some.to_dicts()
    ]
    return ["", *table(["stage", "verdict", "affected requests", "compared requests", "mark"], lines)] if lines else []


def _absent(layer: str, pen: Pen, m: Material) -> list[str]:
    lines = []
    for column, words in (
        ("layers_not_covered", "no log of this layer covers their time"),
        ("layers_absent", "its log covers their time and holds nothing tied to them"),
        ("layers_ambiguous", "records lie near and could not be tied"),
    ):
        some = m.chosen.filter(pl.col(column).list.contains(layer)).height
        if some:
            lines.append(
                pen.claim("UNK", f"{wording.count(some, 'affected request')}: {words}.", note=f"{layer} of {some:,}")
            )
    lines += [
        pen.claim("UNK", pen.prose(one["sentence"]), note=f"no {layer} record states it")
        for one in m.examined.unseen.to_dicts()
        if one["layer"] == layer
    ]
    lines += [
        pen.claim(
            "UNK", f"{one['check']} {one['name']} could not run: {pen.prose(one['reason'])}.", note="not evaluable"
        )
        for one in m.not_run
        if m.layer_of(one) == layer
    ]
    return lines or [
        pen.claim(
            "DER",
            "Every check of this layer could run, and each affected request has records of it.",
            note="findings, requests",
        )
    ]
