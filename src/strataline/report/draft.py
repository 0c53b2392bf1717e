"""The draft of a postmortem: its outline, always whole; its sidecar of claims; and the empty template."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from strataline import wording
from strataline.event import PRODUCT_LAYERS
from strataline.report import appendices, chains, closing, conditions, opening, slices, timeline
from strataline.report.marks import SLOT, digest
from strataline.report.material import Material
from strataline.report.pen import Pen, Redact, keep, slot

FORM = 1
"""Version of the sidecar's form."""
BANNER = (
    "> Draft from logs. States what records show. Does not say who is responsible, what to fix first, or that there is "
    "one cause."
)
UNFILLED = (
    "[UNK: no logs were supplied yet] This part is filled by "
    "`strataline report CASE --affected … --update` from a case."
)
REMAINDER = "7.2"

Made = Callable[[Pen, Material], list[str]]
Slots = Callable[[Material | None], list[str]]


@dataclass(frozen=True)
class Part:
    """One heading of the outline.

    Args:
        name: of its generated block.
        heading: Markdown.
        made: its generated lines; null where people write alone.
        slots: what people fill below, given the case (null in a template).
        fixed: lines that need no logs.
    """

    name: str
    heading: str
    made: Made | None = None
    slots: Slots | None = None
    fixed: Sequence[str] = ()


def _slot(key: str, why: str, *prompts: str) -> Slots:
    return lambda _: slot(key, why, prompts)


def _asks(layer: str, m: Material | None) -> list[str]:
    return [
        "**Questions for people who know this layer**",
        "",
        *slot(f"{layer}_answers", "logs hold what was recorded, not what people knew", slices.questions(layer, m)),
    ]


def _slots(*some: Slots) -> Slots:
    def every(m: Material | None) -> list[str]:
        lines: list[str] = []
        for one in some:
            lines += ["", *one(m)] if lines else one(m)
        return lines

    return every


def _titled(title: str, one: Slots) -> Slots:
    return lambda m: [f"**{title}**", "", *one(m)]


OUTLINE: tuple[Part, ...] = (
    Part("0", "## 0. How to read this", opening.how_to_read),
    Part(
        "1",
        "## 1. Summary",
        opening.summary,
        _slot(
            "summary",
            "what matters in it, and to whom, is a judgement",
            "What happened, in four sentences, for somebody who knows only the product?",
            "What is still unknown?",
        ),
    ),
    Part(
        "2",
        "## 2. User impact",
        opening.impact,
        _slots(
            _titled(
                "What it meant for people",
                _slot(
                    "harm_assessment",
                    "logs count requests, not harm",
                    "What could a person have done with what they were shown?",
                    "How do you know, and whom did you ask?",
                ),
            ),
            _titled(
                "Severity",
                _slot(
                    "severity", "a class of severity is a decision", "Which class, by which definition, decided when?"
                ),
            ),
        ),
    ),
    Part(
        "3",
        "## 3. Timeline",
        timeline.timeline,
        _titled(
            "What people saw and did",
            _slot(
                "timeline_people",
                "people's actions are not in these logs",
                "What did each role see, and when?",
                "What did they do next, and what did they expect of it?",
                "From which source do you know (chat, ticket, memory)?",
            ),
        ),
    ),
    Part("3.1", "### 3.1 What was visible when", timeline.visible_when),
    Part("4", "## 4. Layer slices", fixed=("All five layers, always. What is empty says why.",)),
    *(
        Part(
            f"4.{place}",
            f"### 4.{place} {slices.TITLES[layer]}",
            partial(slices.slice_of, layer),
            partial(_asks, layer),
        )
        for place, layer in enumerate(PRODUCT_LAYERS, 1)
    ),
    Part("5", "## 5. Cross-layer chains", chains.chains),
    Part("6", "## 6. What was different", conditions.different),
    Part("7", "## 7. Contributing conditions", conditions.conditions),
    Part("7.1", "### 7.1 Combinations", conditions.combinations),
    Part("7.2", "### 7.2 Unexplained remainder", conditions.remainder),
    Part(
        "7.3",
        "### 7.3 Hypotheses considered and set aside",
        slots=_slot(
            "hypotheses",
            "what people thought of is not in the logs",
            "What did you think it was at first, and what did you look at?",
            "What spoke against it?",
        ),
    ),
    Part(
        "8",
        "## 8. Detection and response",
        closing.detection,
        _titled(
            "What people saw, and how it made sense then",
            _slot(
                "local_rationality",
                "logs show what was recorded, not what people understood",
                "What did it look like from where each role stood?",
                "How did the action that was taken make sense at that moment?",
                "What did the tools show, and what did they not show?",
            ),
        ),
    ),
    Part(
        "9",
        "## 9. What held, and near misses",
        conditions.held,
        _titled(
            "Where we got lucky",
            _slot("lucky", "luck is not logged", "What would have made it larger, and what kept it from that?"),
        ),
    ),
    Part("10", "## 10. Open questions and evidence gaps", conditions.gaps),
    Part(
        "11",
        "## 11. Regression tests",
        closing.tests,
        _titled(
            "Expected behaviour",
            _slot(
                "expected",
                "what the right answer is, logs do not say",
                "What should the product do with each of these requests?",
                "Which invariant blocks a release, and at which threshold?",
            ),
        ),
    ),
    Part("12", "## 12. Follow-ups", slots=lambda _: list(closing.FOLLOW_UPS)),
    Part(
        "13",
        "## 13. Remediation options and tradeoffs",
        slots=_slot(
            "tradeoffs",
            "decided by people with authority over safety, business and engineering",
            "Which options are there, what does each cost elsewhere, and who decides?",
        ),
    ),
    Part("14", "## 14. Accountability", fixed=closing.ACCOUNTABILITY),
    Part(
        "15",
        "## 15. Communication and reporting",
        closing.reporting,
        _titled(
            "Reportability",
            _slot(
                "reportability",
                "whether and to whom this is reported is a legal decision",
                "Which regimes were looked at, by whom, and when did the organisation become aware?",
            ),
        ),
    ),
    Part(
        "16",
        "## 16. Sign-off",
        slots=_slots(
            _titled(
                "Timeline agreed by",
                _slot("timeline_agreed", "agreement is between people", "Which roles agreed, on which date?"),
            ),
            _titled("Reviewers", _slot("reviewers", "review is by people", "Which roles read it, on which date?")),
        ),
    ),
    Part("A", "## A. Evidence register"),
    Part("B", "## B. Input manifest", appendices.manifest),
    Part("C", "## C. Checks run", lambda _, m: appendices.checks(m)),
    Part("D", "## D. Method and parameters", appendices.method),
    Part("E", "## E. Glossary", fixed=tuple(appendices.glossary())),
    Part("F", "## F. Redaction log"),
)
"""Sections 0 to 16 and appendices A to F, in order."""


@dataclass(frozen=True)
class Draft:
    """A draft.

    Args:
        text: the Markdown.
        claims: what stands beside it as ``*.claims.json``.
    """

    text: str
    claims: dict[str, Any]

    @property
    def sidecar(self) -> str:
        """The sidecar as text."""
        return json.dumps(self.claims, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Redaction:
    """How log text is redacted.

    Args:
        text: text to text.
        log: what was replaced so far, as rows; never the values.
        said: in words, what it does; empty where nothing is redacted.
        value: the name of a field and what it holds, to text: where whole fields are replaced; null where none are.
    """

    text: Redact = keep
    log: Callable[[], Sequence[Mapping[str, Any]]] = field(default=list)
    said: str = ""
    value: Callable[[str, str], str] | None = None

    def of(self, name: str, text: str) -> str:
        """What becomes of what the field `name` holds."""
        return self.text(text) if self.value is None else self.value(name, text)


def draft(m: Material, redaction: Redaction | None = None, earlier: Mapping[str, Any] | None = None) -> Draft:
    """Draft a postmortem.

    Args:
        m: what it is drawn from.
        redaction: how log text is redacted; by default not at all.
        earlier: the sidecar of an earlier draft, whose numbers of evidence stay.
    """
    redaction = redaction or Redaction()
    m = replace(m, redacts=redaction.said)
    old = (earlier or {}).get("evidence") or {}
    known = {row.get("event") or f"at:{row.get('address')}": number for number, row in old.items()}
    pen = Pen(redaction.text, redaction.of, known)
    blocks: dict[str, list[str]] = {}
    for part in OUTLINE:
        pen.section = part.name
        if part.made is not None:
            blocks[part.name] = part.made(pen, m)
        elif part.fixed:
            blocks[part.name] = list(part.fixed)
    pen.section = "A"
    blocks["A"], evidence = appendices.register(pen, m, old)
    blocks["F"] = appendices.redactions(m, redaction.log())
    claims = {
        "inputs_sha256": appendices.inputs_digest(m),
        "inputs": [
            {"source": one["source"], "sha256": one["digest"] or one["stream_digest"], "bytes": one["bytes"]}
            for one in m.inputs
        ],
        "claims": [asdict(claim) for claim in pen.claims],
        "evidence": evidence,
    }
    return _written(blocks, m, m.version, claims)


def template(version: str) -> Draft:
    """The same outline without a case: every generated part says that it is empty."""
    blocks = {
        part.name: list(part.fixed) or [UNFILLED]
        for part in OUTLINE
        if part.made is not None or part.fixed or part.name in ("A", "F")
    }
    blocks["0"] = opening.fixed("How log text is redacted is said here once there is any.")
    nothing: dict[str, Any] = {"inputs_sha256": None, "inputs": [], "claims": [], "evidence": {}}
    return _written(blocks, None, version, nothing)


def _written(blocks: Mapping[str, list[str]], m: Material | None, version: str, claims: dict[str, Any]) -> Draft:
    lines = [*_front(m, version, claims["inputs_sha256"]), "", "# Postmortem", "", BANNER, ""]
    hashed: dict[str, Any] = {}
    for part in OUTLINE:
        lines += [part.heading, ""]
        if part.name in blocks:
            body = _tidy(blocks[part.name])
            hashed[part.name] = hashes(body)
            lines += [f"<!-- generated:begin {part.name} -->", *body, f"<!-- generated:end {part.name} -->", ""]
        if part.slots is not None:
            lines += [*part.slots(m), ""]
    full = {"draft": FORM, "version": version, **claims, "blocks": hashed}
    full["remainder_sha256"] = hashed[REMAINDER]["sha256"]
    return Draft("\n".join(lines).rstrip("\n") + "\n", full)


def _tidy(lines: Sequence[str]) -> list[str]:
    """`lines` between empty ones, and never two empty ones in a row outside of fences."""
    made: list[str] = [""]
    fence = ""
    for line in lines:
        bare = line.strip()
        if not fence and bare.startswith("```"):
            fence = bare[: len(bare) - len(bare.lstrip("`"))]
        elif fence and bare == fence:
            fence = ""
        if line or made[-1] or fence:
            made.append(line)
    return made if made[-1] == "" else [*made, ""]


def hashes(body: Sequence[str]) -> dict[str, Any]:
    """SHA-256 of a generated block, without what people wrote in its slots, and of each of its lines (16 digits)."""
    bare = emptied("\n".join(body))
    return {"sha256": digest(bare), "lines": [digest(line)[:16] for line in bare.split("\n") if line.strip()]}


def emptied(text: str) -> str:
    """`text` without what stands in its slots."""
    return SLOT.sub(lambda match: f"<!-- human:{match['key']} --><!-- /human:{match['key']} -->", text)


def _front(m: Material | None, version: str, inputs: str | None) -> list[str]:
    def asked(key: str, why: str, prompt: str) -> str:
        return f'"<<HUMAN:{key} | {why} | {prompt}>>"'

    tags: list[str] = []
    window = ""
    if m is not None:
        layers = {m.layer_of(one) for one in m.conditions} - {None}
        tags = [
            *(layer for layer in PRODUCT_LAYERS if layer in layers),
            *dict.fromkeys(c["check"] for c in m.conditions),
        ]
        first, last = m.onset, m.moments.get("last", {}).get("time")
        if first is not None and last is not None:
            window = "/".join(f"{wording.date_time(one).replace(' ', 'T')}Z" for one in (first, last))
    return [
        "---",
        f"id: {asked('id', 'the team numbers its incidents', 'which number?')}",
        f"title: {asked('title', 'a title frames it', 'what happened, in the words of a user?')}",
        "status: Draft",
        f'window: "{window}"',
        f'generated_by: "strataline {version}"',
        f'tool_version: "{version}"',
        f'inputs_sha256: "{inputs or ""}"',
        f"tags: [{', '.join(tags)}]",
        "---",
    ]
