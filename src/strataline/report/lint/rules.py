"""The rules of the lint: what each detects, how serious it is, and what may be written instead."""

from __future__ import annotations

from dataclasses import dataclass

LEVELS = {"E": "error", "W": "warning", "I": "note"}
"""Error: exit status 1. Warning and note: said, and nothing more."""


@dataclass(frozen=True)
class Rule:
    """One rule.

    Args:
        id: its family and number: B blame, N people, S single explanations, C hindsight, A wording of size, K claims
            and evidence, M parts of the document, X text from logs.
        level: E, W or I.
        detects: what it looks for.
        suggestion: what may stand there instead.
    """

    id: str
    level: str
    detects: str
    suggestion: str


RULES: dict[str, Rule] = {
    id_: Rule(id_, level, detects, suggestion)
    for id_, level, detects, suggestion in (
        (
            "L-B01",
            "E",
            "a word that judges a person: careless, negligent, sloppy, culprit, to blame, at fault",
            "describe the condition in the system that the person met",
        ),
        (
            "L-B02",
            "E",
            "human error, operator error, user error as an explanation",
            "say what made the action reasonable at the time, and what let it through",
        ),
        (
            "L-B03",
            "W",
            "a person, role or team that failed to, forgot, neglected, missed, ignored or overlooked",
            "say what was recorded or visible, where and when: 'X was not shown at …'",
        ),
        (
            "L-B04",
            "W",
            "consequences for a person: disciplined, reprimand, retrain the engineer, performance review",
            "leave it out: it is out of scope of this document",
        ),
        (
            "L-B05",
            "E",
            "intent: malicious, sabotage, intentionally, deliberately, lied, deceived",
            "logs do not show intent; state the action, or mark it [HUM: role, date] with its source",
        ),
        (
            "L-B06",
            "W",
            "a model that decided, wanted, knew, panicked, lied, hallucinated",
            "say what the output contained: 'the output contained …'",
        ),
        (
            "L-N01",
            "E",
            "an e-mail address, an @handle, or a name of the roster, outside of sign-off and owner cells",
            "name the role ('on-call for retrieval')",
        ),
        (
            "L-N02",
            "W",
            "one person who is known by a role, doing something",
            "name the role of a team, or describe the action ('the change was deployed')",
        ),
        (
            "L-N03",
            "W",
            "personal data or a secret: in excerpts an e-mail address too, anywhere a telephone, card, IBAN or key",
            "redact it (strataline report --redact, --redact-field)",
        ),
        (
            "L-S01",
            "E",
            "the, single or true root cause; a heading 'Root cause'; 'caused by' one thing in the summary",
            "write 'contributing conditions', and list them by layer",
        ),
        (
            "L-S02",
            "W",
            "simply because; boils down to; it was the model",
            "list the conditions of each layer",
        ),
        (
            "L-S03",
            "E",
            "section 7 with fewer than two conditions, or all of one layer, and no note single-layer-justified",
            "add what the other layers show, or write <!-- single-layer-justified: reason -->",
        ),
        (
            "L-S04",
            "W",
            "a chain of whys, or of becauses",
            "ask how and what: how did it make sense then, what was visible",
        ),
        (
            "L-S05",
            "E",
            "the paragraph on the unexplained remainder was deleted or edited",
            "restore it: strataline report --update makes it anew",
        ),
        (
            "L-C01",
            "W",
            "should have, could have, would have, if only, might have prevented (outside of sections 12 and 13)",
            "say what happened, or move it to the follow-ups as a proposal",
        ),
        (
            "L-C02",
            "W",
            "hindsight: obviously, clearly, of course, in retrospect, inevitably, predictable, simply",
            "delete it, or cite what showed it at the time",
        ),
        (
            "L-C03",
            "W",
            "what a person did not do: did not notice, check, test, follow",
            "say which signal existed, and when (section 3.1)",
        ),
        (
            "L-A01",
            "W",
            "animated language: disaster, catastrophic, nightmare, exclamation marks, capitals",
            "give the number",
        ),
        (
            "L-A02",
            "I",
            "a vague quantity: many, most, some users, several, briefly, a while, significantly",
            "give the number, or write that it is unknown",
        ),
        (
            "L-A03",
            "I",
            "outage or down, while more than half of the answers were delivered",
            "write 'degradation of …'",
        ),
        (
            "L-K01",
            "E",
            "a number, time, version or event, stated in a part that the tool drafts and without a mark",
            "cite it ([OBS EV-…], [DER …]), or mark it [HUM: role, date]",
        ),
        (
            "L-K02",
            "E",
            "a claim that is not what claims.json holds: its words, numbers, evidence, or it is gone",
            "put back what stood there, or mark it [HUM: role, date]",
        ),
        (
            "L-K03",
            "E",
            "an INF claim in the words of a record (recorded, logged, shows) or of an effect (caused, led to)",
            "write 'is consistent with', 'resembles', 'may have'",
        ),
        (
            "L-K04",
            "W",
            "a claim that rests on nothing but what a model said of itself (check E-07)",
            "cite a second source, or mark it [HUM: role, date]",
        ),
        (
            "L-K05",
            "W",
            "a verb of effect (caused, led to, due to, triggered) without a mark [HUM: role, date]",
            "say who judges so and since when, or what is recorded ('precedes', 'coincides with')",
        ),
        (
            "L-M01",
            "E",
            "a section is missing or empty: impact, timeline, slices, conditions, detection, gaps, tests, follow-ups",
            "add it; what is unknown is said there too",
        ),
        (
            "L-M02",
            "E",
            "a slice that states neither its version (template, index, served model, policy, client) nor UNK",
            "state it with its evidence, or write [UNK: …]",
        ),
        (
            "L-M03",
            "E",
            "an open placeholder at --final; text of the tool in section 13, or anything but the fixed text in 14",
            "fill it, or close it: <<HUMAN:key = not applicable, reason>>",
        ),
        (
            "L-M04",
            "W",
            "a timeline that people wrote: not UTC, not sorted, beginning at detection, gaps over 30 minutes unmarked",
            "state UTC, sort it, begin before the onset, and make a row of each gap",
        ),
        (
            "L-M05",
            "W",
            "a follow-up without owner, priority, tracking id or verifiable end state; 'improve', 'be more careful'",
            "say what will be so, by whom, tracked where, and how one can see that it is",
        ),
        (
            "L-M06",
            "W",
            "follow-ups that only train or remind; a condition that none of them names or accepts",
            "change what the system makes easy, or write 'accept' with the condition",
        ),
        (
            "L-M07",
            "I",
            "nothing on what held, on luck, or on near misses",
            "ask what kept it from being larger",
        ),
        (
            "L-M08",
            "I",
            "an acronym that the glossary does not hold; more than 30 days since the last event (--on DATE)",
            "spell it out once, or add it to the glossary; publish",
        ),
        (
            "L-X01",
            "E",
            "a raw address, HTML or an image where text of logs stands",
            "escape it: `code`, hxxps://host[.]example",
        ),
    )
}
"""Every rule, by id."""


@dataclass(frozen=True)
class Found:
    """One place where a rule applies.

    Args:
        rule: its id.
        level: E, W or I; an open placeholder is I until --final.
        line: from 1.
        column: from 1, in characters.
        matched: the words, as they stand there.
        message: what is the matter.
        suggestion: what may be written instead; nothing is rewritten.
        section: of the outline; empty outside of it.
        waiver: the reason that people gave for leaving it; null where none is.
    """

    rule: str
    level: str
    line: int
    column: int
    matched: str
    message: str
    suggestion: str
    section: str
    waiver: str | None = None
