"""Requests that stand for an affected set, each with all that was on record when it was answered."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from strataline import rows
from strataline.event import TIME
from strataline.report.regressions.expectations import Expectation, Recorded, folded, mechanical, todo

Row = Mapping[str, Any]
Redact = Callable[[str], str]

CONDITIONS = ("RU", "SG", "DV", "CC")
"""Attention of findings that name a condition; the others are context or gaps in the evidence."""

MOST_PROMPTS = 20
"""Distinct prompts of one request that are handed over, at most; an agent makes many."""

ASKED = ("question", "query", "user_message", "user_input", "user_query")
"""Attributes in which formats keep the user's own words beside the prompt that was made of them."""

RECEIVED = ("prompt.received", "prompt.message", "ui.message_sent")
SENT = ("prompt.rendered", "model.call")

IDS = frozenset(
    {
        *(
            "case",
            "request",
            "event",
            "events",
            "address",
            "addresses",
            "tied",
            "file",
            "finding",
            "check",
            "name",
            "kind",
        ),
        *("attention", "status", "began", "since", "until", "layer", "texts", "verdict", "stage"),
    }
)
"""Keys of a case whose values are ids, addresses or words of the tool: nothing in them is redacted."""


@dataclass(frozen=True)
class Exemplar:
    """One request, handed over.

    Args:
        name: of its folder: a beginning of the request's id, or a hash of it.
        facts: what its ``case.json`` holds.
        texts: file name → text, byte for byte as it is to be read again.
        unread: why texts of its events could not be read → of how many.
    """

    name: str
    facts: Mapping[str, Any]
    texts: Mapping[str, str]
    unread: Mapping[str, int]


def chosen(affected: pl.Series, requests: pl.DataFrame, hits: pl.DataFrame, loose: pl.Series, limit: int) -> list[str]:
    """Up to `limit` of the affected requests: of each combination of findings one, then of each a second, and so on.

    Combinations that more requests share come first. Of one combination, the request with most layers present comes
    first, then such whose events are all tied by ids, then the earliest, then the smallest id.

    Args:
        affected: ids of requests.
        requests: rows of ``requests``.
        hits: rows of ``hits`` of the findings that make up combinations.
        loose: requests with events that are tied by text or time.
        limit: how many.
    """
    held = hits.drop_nulls("request").group_by("request").agg(held=pl.col("finding").unique().sort().str.join(" "))
    known = requests.filter(pl.col("request").is_in(affected.implode())).join(held, on="request", how="left")
    order = known.select(
        "request",
        "start_time",
        held=pl.col("held").fill_null(""),
        layers=-pl.col("layers_present").list.len().fill_null(0).cast(pl.Int64),
        loose=pl.col("request").is_in(loose.implode()),
    ).sort("layers", "loose", "start_time", "request", nulls_last=True)
    order = order.with_columns(place=pl.int_range(pl.len()).over("held"), often=-pl.len().over("held").cast(pl.Int64))
    return (
        order.sort("place", "often", "held", "layers", "loose", "start_time", "request", nulls_last=True)["request"]
        .head(limit)
        .to_list()
    )


def names(requests: Sequence[str]) -> list[str]:
    """A name of a folder for each request, made of nothing but lower-case hex digits.

    >>> names(["86088d64650012345678", "../x"])
    ['86088d646500', 'cb3093418359']
    """
    plain = [
        one if re.fullmatch(r"[0-9a-f]{12,64}", one) else hashlib.blake2b(one.encode(), digest_size=16).hexdigest()
        for one in requests
    ]
    shared = Counter(one[:12] for one in plain)
    return [one[:12] if shared[one[:12]] == 1 else one for one in plain]


def exemplar(
    name: str,
    request: Row,
    events: Sequence[Row],
    texts: Mapping[str, Any],
    findings: Sequence[tuple[Row, Row]],
    changes: pl.DataFrame,
    places: Mapping[str, str],
    redact: Redact | None,
) -> Exemplar:
    """Gather one request.

    Args:
        name: of its folder.
        request: row of ``requests``.
        events: its rows of ``events``, in order, without redeliveries.
        texts: event id → its texts (``input``, ``output``, ``passages``, ``missing``).
        findings: (row of ``findings``, row of ``hits``) of what holds in it, in reading order.
        changes: ``changes`` of the case.
        places: event id → evidence address, of every event that a hit names.
        redact: what is done to log text; null where it is handed over as logged.
    """
    files = _Files()
    said = _Said(events, texts, files)
    documents, passages = said.documents()
    recorded = Recorded({one["event_id"]: one for one in events}, texts, said.answer_text, said.question_text, passages)
    expectations, open_ = _expectations(findings, recorded, redact)
    conditions = [(row, open_.get(row["finding"])) for row, _ in findings if row["attention"] in CONDITIONS]
    facts: dict[str, Any] = {
        "case": name,
        "request": request["request"],
        "texts": "as logged" if redact is None else "redacted",
        "began": _iso(request["start_time"]),
        "question": said.question,
        "prompt": said.prompt,
        "further_prompts": said.further_prompts,
        "documents": documents,
        "models": _stated(events, _MODEL, ("model.call",)),
        "templates": _stated(events, _TEMPLATE),
        "indexes": _stated(events, _INDEX),
        "policies": _stated(events, _POLICY, ("policy.decision",)),
        "settings": _settings(changes, request["start_time"]),
        "clients": _stated(events, {"client_version": "version"}),
        "answer": said.answer,
        "shown": list(request["shown"] or ()),
        "findings": [_finding(row, hit, places, open_) for row, hit in findings if row["attention"] != "EG"],
        "evidence_gaps": [_gap(row) for row, _ in findings if row["attention"] == "EG"],
        "expectations": [one.listed() for one in expectations],
        "todo": todo(conditions, expectations),
    }
    if redact is not None:
        facts = {key: _redacted(key, value, redact) for key, value in facts.items()}
        written = {file: redact(text) for file, text in files.texts.items()}
    else:
        written = files.texts
    unread: dict[str, int] = {}
    for one in events:
        why = getattr(texts.get(one["event_id"]), "missing", None)
        if why:
            unread[why] = unread.get(why, 0) + 1
    return Exemplar(name, facts, written, unread)


def _expectations(
    findings: Sequence[tuple[Row, Row]], recorded: Recorded, redact: Redact | None
) -> tuple[list[Expectation], dict[str, str]]:
    """What follows from findings, and of those from which nothing does, why."""
    found: dict[tuple[str, str], Expectation] = {}
    without: dict[str, str] = {}
    for row, hit in findings:
        told = mechanical(row, hit["events"] or (), recorded)
        if isinstance(told, str):
            without[row["finding"]] = told
            continue
        # A pseudonym stands in no answer: an expectation on one would always be met.
        kept = [one for one in told if redact is None or redact(one.value) == one.value]
        if len(kept) < len(told):
            without[row["finding"]] = "the text that must not be shown was redacted here (--raw keeps it)"
        for one in kept:
            found.setdefault((one.kind, folded(one.value)), one)
    return list(found.values()), without


class _Files:
    """Texts, each under a name of its own."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def put(self, name: str, text: str) -> str:
        self.texts[name] = text
        return name


class _Said:
    """What was asked, sent and answered, and which record says so.

    Args:
        events: rows of ``events`` of one request, in order.
        texts: their texts.
        files: where the texts go.
    """

    def __init__(self, events: Sequence[Row], texts: Mapping[str, Any], files: _Files) -> None:
        self.events = events
        self.texts = texts
        self.files = files
        self.question_text, self.question = self._question()
        self.prompt, self.further_prompts, self._prompt_text = self._prompts()
        self.answer_text, self.answer = self._answer()

    def _text(self, event: Row, side: str) -> str:
        return str(getattr(self.texts.get(event["event_id"]), side, ""))

    def _found(self, file: str, text: str, event: Row, basis: str) -> dict[str, Any]:
        return {"file": self.files.put(file, text), **_place(event), "basis": basis}

    def _question(self) -> tuple[str, dict[str, Any]]:
        for event in self.events:
            if event["kind"] in RECEIVED and self._text(event, "input").strip():
                text = self._text(event, "input")
                return text, self._found("question.txt", text, event, "as received")
        for event in self.events:
            words = event["attributes"] or {}
            for name in ASKED:
                if (words.get(name) or "").strip():
                    return words[name], self._found("question.txt", words[name], event, f"field {name} of the record")
        for event in self.events:
            if event["layer"] == "retrieval" and self._text(event, "input").strip():
                text = self._text(event, "input")
                return text, self._found("question.txt", text, event, "as searched for")
        return "", {"file": None, "basis": "no record holds what the user wrote apart from the prompt"}

    def _prompts(self) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
        """The prompt of the answer, the others, and the text of the first."""
        sent = [one for one in self.events if one["kind"] in SENT and self._text(one, "input").strip()]
        if not sent:
            return {"file": None, "basis": "no record holds the rendered prompt"}, [], ""
        calls = [one for one in sent if one["kind"] == "model.call"]
        answered = [one for one in calls if one["output_hash"] is not None]
        likely = answered or calls or sent
        # What only time ties to the request may be the prompt of another.
        last = ([one for one in likely if not _loose(one)] or likely)[-1]
        text = self._text(last, "input")
        basis = "as sent to the model" if last["kind"] == "model.call" else "as rendered"
        main = self._found("prompt.txt", text, last, basis)
        others: dict[str, Row] = {}
        for one in sent:
            others.setdefault(self._text(one, "input"), one)
        others.pop(text, None)
        told = [
            self._found(f"prompt-{n:02}.txt", other, one, "as sent to the model" if one in calls else "as rendered")
            for n, (other, one) in enumerate(list(others.items())[:MOST_PROMPTS], 1)
        ]
        if len(others) > MOST_PROMPTS:
            told.append({"file": None, "basis": f"{len(others) - MOST_PROMPTS} more prompts are left out"})
        return main, told, text

    def _answer(self) -> tuple[str, dict[str, Any]]:
        shown = [one for one in self.events if one["kind"] == "ui.rendered"]
        sent = [one for one in self.events if one["layer"] == "prompt" and one["kind"] != "prompt.rendered"]
        made = [one for one in self.events if one["kind"] == "model.call"]
        for group, sides, basis in (
            (shown, ("output", "input"), "as shown"),
            (sent, ("output",), "as the application answered"),
            (made, ("output",), "as the model answered"),
        ):
            for event in reversed(group):
                for side in sides:
                    if self._text(event, side).strip():
                        text = self._text(event, side)
                        return text, self._found("answer.txt", text, event, basis)
        return "", {"file": None, "basis": "no record holds the text of an answer"}

    def documents(self) -> tuple[list[dict[str, Any]], list[str]]:
        """The documents as supplied, and their texts."""
        searched = [one for one in self.events if one["layer"] == "retrieval"]
        of = [one for one in searched if one["documents"] or self._passages(one)]
        of = of or [one for one in self.events if one["kind"] in SENT and (one["documents"] or self._passages(one))]
        prompt = folded(self._prompt_text)
        told: list[dict[str, Any]] = []
        texts: list[str] = []
        met: set[tuple[str, str]] = set()
        for event in of:
            for meta, name, text in self._listed(event):
                key = (name, folded(text))
                if key in met:
                    continue
                met.add(key)
                one: dict[str, Any] = {"file": None, "document": name or None}
                one |= {of: meta.get(of) for of in ("version", "rank", "score")} | _place(event)
                if text:
                    one["file"] = self.files.put(f"document-{len(told) + 1:02}.txt", text)
                    one["in_prompt"] = folded(text) in prompt if prompt else None
                    texts.append(text)
                told.append(one)
        return told, texts

    def _passages(self, event: Row) -> Sequence[tuple[str, str]]:
        return tuple(getattr(self.texts.get(event["event_id"]), "passages", ()))

    def _listed(self, event: Row) -> list[tuple[Row, str, str]]:
        """(what is known of it, its id, its text) of each document of a record."""
        metas = list(event["documents"] or ())
        passages = [(name, text) for name, text in self._passages(event) if text.strip()]
        if len(passages) == len(metas):
            pairs = zip(metas, passages, strict=True)
            return [(meta, meta["id"] or name, text) for meta, (name, text) in pairs]
        by_id = {meta["id"]: meta for meta in metas if meta["id"]}
        known = [(by_id.get(name, {}), name, text) for name, text in passages]
        with_text = {name for name, _ in passages}
        return known + [(meta, meta["id"] or "", "") for meta in metas if meta["id"] not in with_text]


def _place(event: Row) -> dict[str, Any]:
    """Where it stands, and, where text or time ties it to the request, that it is so and how sure."""
    tied = (
        {"tied": rows.INFERRED[event["link_method"]], "confidence": event["link_confidence"]} if _loose(event) else {}
    )
    return {"event": event["event_id"], "address": rows.address(event), **tied}


def _loose(event: Row) -> bool:
    return event["link_method"] in rows.INFERRED


_MODEL = {
    "requested_model": "requested",
    "served_model": "served",
    "provider": "provider",
    "parameters": "parameters",
    "attempt": "attempt",
    "fallback": "fallback",
    "cache": "cache",
    "stream": "stream",
    "finish_reason": "finish_reason",
    "outcome": "outcome",
}
_TEMPLATE = {"template_name": "template", "template_version": "version", "template_hash": "hash"}
_INDEX = {"index_name": "index", "index_version": "version", "embedding_model": "embedding_model"}
_POLICY = {
    "policy_stage": "stage",
    "policy_name": "policy",
    "policy_version": "version",
    "policy_mode": "mode",
    "threshold": "threshold",
    "score": "score",
    "verdict": "verdict",
    "enforced": "enforced",
    "outcome": "outcome",
}


def _stated(events: Sequence[Row], columns: Mapping[str, str], kinds: Sequence[str] = ()) -> list[dict[str, Any]]:
    """What events state of `columns`; null is not in the logs. Without `kinds`, each distinct statement once."""
    told: dict[Any, dict[str, Any]] = {}
    for event in events:
        values = {name: event[column] for column, name in columns.items()}
        if kinds and event["kind"] not in kinds:
            continue
        if not kinds and all(value is None for value in values.values()):
            continue
        told.setdefault(event["event_id"] if kinds else tuple(values.values()), {**values, **_place(event)})
    return list(told.values())


def _settings(changes: pl.DataFrame, began: datetime | None) -> list[dict[str, Any]]:
    """Settings in force when the request began, as far as records, feeds or values first seen tell of changes.

    Each by the last change before it; else by what the first change after it replaced.
    """
    if began is None:
        return []
    keys = ["layer", "scope", "key", "service"]
    known = changes.drop_nulls("time").sort("time", *keys, "new", nulls_last=True)
    before = known.filter(pl.col("time") <= began).unique(keys, keep="last", maintain_order=True)
    after = known.filter(pl.col("time") > began).join(
        before, on=keys, how="anti", nulls_equal=True, maintain_order="left"
    )
    after = after.unique(keys, keep="first", maintain_order=True).drop_nulls("old")
    rest = ("basis", "event", "address")
    in_force = pl.concat(
        [
            before.select(*keys, *rest, value="new", before="old", since="time", until=pl.lit(None, TIME)),
            after.select(
                *keys, *rest, value="old", before=pl.lit(None, pl.String), since=pl.lit(None, TIME), until="time"
            ),
        ],
        how="diagonal",
    )
    rows_ = in_force.sort(*keys, nulls_last=True).iter_rows(named=True)
    return [{**row, "since": _iso(row["since"]), "until": _iso(row["until"])} for row in rows_]


def _finding(row: Row, hit: Row, places: Mapping[str, str], without: Mapping[str, str]) -> dict[str, Any]:
    ids = list(hit["events"] or ())
    return {
        "finding": row["finding"],
        "check": row["check"],
        "name": row["name"],
        "attention": row["attention"],
        "status": hit["status"],
        "subject": row["subject"],
        "statement": row["statement"],
        "events": ids,
        "addresses": [places[one] for one in ids if one in places],
        "question": row["question"],
        "no_expectation": without.get(row["finding"]),
    }


def _gap(row: Row) -> dict[str, Any]:
    return {"finding": row["finding"], "name": row["name"], "statement": row["statement"]}


def _redacted(key: str, value: Any, redact: Redact) -> Any:
    if key in IDS:
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {of: _redacted(of, one, redact) for of, one in value.items()}
    if isinstance(value, Iterable):
        return [_redacted(key, one, redact) for one in value]
    return value


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
