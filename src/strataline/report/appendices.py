"""Appendices: evidence register, inputs, checks, method, glossary, and what was redacted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from strataline import rows, wording
from strataline.event import only
from strataline.report.material import CHOICE, Material
from strataline.report.pen import Pen, cells, prose, quoted, shown, table

EXCERPT = 200

GLOSSARY = (
    ("affected", "requests that somebody selected; the selector stands in section 0"),
    ("alias", "an id that names a request, call or record; for models, a name that stands for a changing model"),
    ("attempt", "one try at a call; a retry is a further attempt"),
    ("chain", "the records of one request in order, over all layers"),
    ("clock bound", "how far a time may be off against the reference clock, from records that must precede others"),
    ("compared", "the requests that affected ones are held against"),
    ("condition", "something the records show with affected requests; a candidate, not an effect"),
    ("delivered, shown, exposed", "left for the client; displayed by record; every request of the affected set"),
    ("DER, INF, HUM, OBS, UNK", "what a statement rests on: see section 0"),
    (
        "DV, SG, CC, CX, EG, RU",
        (
            "what a finding is read for: differs; safeguard not evidenced; condition known to widen "
            "outcomes; context; evidence gap; reached a user although a record holds a stop condition"
        ),
    ),
    ("finding", "what one check found, with the number of requests and the records that show it"),
    ("layer", "prompt, retrieval, model (with its gateway), policy (filter), or UI"),
    ("onset", "the first affected answer that was shown, or left for the client"),
    ("request", "one turn of a user and everything the product did for it"),
    ("verdict", "what a filter decided: allow, flag, redact, block, challenge, error"),
)


def register(
    pen: Pen, m: Material, old: Mapping[str, Mapping[str, Any]]
) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Appendix A, and the same as the sidecar holds it.

    Args:
        pen: what was cited, in order.
        m: the case.
        old: evidence number → its row in an earlier sidecar, for records that this case does not have.
    """
    numbers = {number: name for name, number in pen.evidence.items()}
    wanted = [name for name in pen.evidence if not name.startswith("at:")]
    found = only(m.frames, "events", pl.col("event_id").is_in(wanted))
    records = m.records(found)
    known: dict[str, tuple[dict[str, Any], bytes | None]] = {
        event["event_id"]: (event, record) for event, record in zip(rows.of(found), records, strict=True)
    }
    lines, listed = [], {}
    for number in sorted(numbers):
        name = numbers[number]
        if name in known:
            line, row = _registered(number, *known[name], pen)
        elif name.startswith("at:"):
            place = name.removeprefix("at:")
            line = cells([number, pen.place(place), "", "line of a feed of changes", "", "", "", ""])
            row = {"event": None, "source": place.rpartition(":")[0], "address": place}
        else:
            row = dict(old.get(number, {}))
            gone = "in an earlier draft; not in this case"
            line = cells([number, pen.place(str(row.get("address", name))), "", gone, "", "", "", ""])
        lines.append(line)
        listed[number] = row
    head = ["id", "record", "bytes", "SHA-256 of the record", "time as logged", "layer", "request", "excerpt"]
    text = [
        f"{len(lines):,} records are cited. The hash is of the record's bytes as they lie in the input; where an input "
        "is not at hand it is the hash that the case keeps (BLAKE2b of the record's text), and says so. Excerpts are "
        f"cut at {EXCERPT} characters" + (" and redacted." if m.redacts else "."),
        "",
        *table(head, lines),
    ]
    return text, listed


def _registered(number: str, event: dict[str, Any], record: bytes | None, pen: Pen) -> tuple[str, dict[str, Any]]:
    address = rows.address(event)
    if record is not None:
        value, basis = hashlib.sha256(record).hexdigest(), "sha256"
    else:
        value, basis = event["record_hash"] or "", "record_hash"
    said = value if basis == "sha256" else f"{value} (`record_hash`: input not at hand)"
    unit = "row" if event["line"] is None else "offset"
    values = [
        number,
        pen.place(address),
        f"{unit} {event['offset']:,}, length {event['length']:,}",
        said,
        pen.code(event["time_raw"] or ""),
        event["layer"],
        pen.code((event["request"] or "")[:12]),
        _excerpt(event, record, pen),
    ]
    row = {name: event[name] for name in ("source", "line", "offset", "length", "item")}
    return cells(values), {"event": event["event_id"], "address": address, **row, basis: value}


def _excerpt(event: rows.Row, record: bytes | None, pen: Pen) -> str:
    text = event["output_excerpt"] or event["input_excerpt"]
    if not text and record is not None:
        # Redacted before it is cut at `EXCERPT`: what is cut in two is found by no detector.
        text = record[: 8 * EXCERPT].decode("utf-8", "replace")
    if not text:
        text = "; ".join(f"{name} {pen.of(name, value)}" for name, value in rows.facts(event))
    whole = " ".join(pen.redact(text).split())
    return quoted(whole if len(whole) <= EXCERPT else f"{whole[:EXCERPT]}…") if whole else ""


def manifest(pen: Pen, m: Material) -> list[str]:
    """Appendix B: every input, and where its records went."""
    lines = [
        cells(
            [
                pen.place(one["source"]),
                pen.code(one["format"] or "not recognised"),
                f"{one['bytes'] or 0:,}",
                one["digest"] or one["stream_digest"] or "",
                f"{one['records'] or 0:,}",
                f"{one['rejected'] or 0:,}",
                wording.date_time(one["first_time"]),
                wording.date_time(one["last_time"]),
                " ".join(part for part in (one["zone"], f"({one['zone_basis']})" if one["zone_basis"] else "") if part),
            ]
        )
        for one in m.inputs
    ]
    head = [
        "input",
        "format",
        "bytes",
        "SHA-256",
        "records",
        "rejected",
        "first (UTC)",
        "last (UTC)",
        "zone of its times",
    ]
    return table(head, lines) or ["No inputs."]


def inputs_digest(m: Material) -> str:
    """One SHA-256 over the names and digests of all inputs."""
    lines = [f"{one['source']}\t{one['digest'] or one['stream_digest'] or ''}\n" for one in m.inputs]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def checks(m: Material) -> list[str]:
    """Appendix C: every check, and what became of it."""
    order = {"fired": 0, "clear": 1, "not_evaluable": 2}
    findings = sorted(m.examined.findings.to_dicts(), key=lambda one: (order[one["result"]], one["place"]))
    words = {"fired": "fired", "clear": "clear", "not_evaluable": "not evaluable"}
    lines = [
        cells(
            [
                one["finding"],
                one["name"],
                words[one["result"]],
                "" if one["count"] is None else f"{one['count']:,}",
                "" if one["evaluable"] is None else f"{one['evaluable']:,}",
                one["attention"],
                one["status"],
                str(one["version"]),
            ]
        )
        for one in findings
    ]
    counts = [sum(1 for one in findings if one["result"] == name) for name in order]
    head = ["check", "name", "result", "holds in", "could be asked of", "read for", "status", "version"]
    text = (
        f"{wording.count(counts[0], 'finding')} fired; {wording.count(counts[1], 'check')} ran and found nothing; "
        f"{wording.count(counts[2], 'check')} could not run. A check that found nothing clears nothing else."
    )
    return [text, "", *table(head, lines)]


def method(pen: Pen, m: Material) -> list[str]:
    """Appendix D: how it was made, with every parameter."""
    some = m.examined.affected
    text = [
        (
            f"- Made by strataline {m.version} from the records of appendix B; SHA-256 over names and digests of "
            f"inputs: `{inputs_digest(m)}`. The same inputs, options and version give the same bytes."
        ),
        *(f"- {name}: {shown(value)}" for name, value in m.options),
        *([] if some is None else [f"- Compared requests: {some.baseline_rule}."]),
        f"- Requests shown whole (sections 4 and 5): {CHOICE}.",
        (
            "- Records are tied by ids first, then by equal text, then by time; every tie by text or time is marked "
            "INF. Why a record is where it is: `strataline why CASE EVENT`."
        ),
        (
            "- Differences: Fisher's exact test for each value, Benjamini and Hochberg over all of them; shown from 5 "
            "affected requests, q below 0.05, and 15 points or 3 to 1; values that separate the sets are shown from "
            f"fewer. {wording.ASSOCIATION}"
        ),
        (
            "- Measures: the test of Mann and Whitney for each, Benjamini and Hochberg over all of them; shown from 5 "
            "affected requests, q below 0.05, and 65 % of pairs to one side."
        ),
        "- Intervals are between two named records; none of them is called a time to repair.",
    ]
    used = {
        (one["finding"], one["key"], one["value"])
        for row in m.fired
        for one in ({"finding": row["check"], **pair} for pair in _pairs(row["parameters"]))
    }
    lines = [cells([check, pen.code(name), pen.code(value)]) for check, name, value in sorted(used)]
    return [*text, "", *table(["check", "parameter", "value"], lines)]


def _pairs(parameters: Any) -> list[dict[str, Any]]:
    if isinstance(parameters, Mapping):
        return [{"key": key, "value": value} for key, value in parameters.items()]
    return list(parameters or ())


def glossary() -> list[str]:
    """Appendix E."""
    return table(["word", "means here"], [cells([word, meaning]) for word, meaning in GLOSSARY])


def redactions(m: Material, log: Sequence[Mapping[str, Any]]) -> list[str]:
    """Appendix F: what was replaced, never by what."""
    if not m.redacts:
        return ["Nothing was redacted (`--no-redact`): handle this draft as the logs themselves."]
    lines = [cells([prose(str(value)) for value in one.values()]) for one in log]
    text = f"{m.redacts} A detector misses things: read before sharing."
    return [text, "", *(table([*log[0]], lines) if log else ["Nothing was found to replace."])]
