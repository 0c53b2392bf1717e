"""Rules about words: what a sentence says, whatever it is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from strataline.report.lint.reading import APPENDICES, Block

Found = tuple[int, int]
"""Where in a block's prose."""


@dataclass(frozen=True)
class Word:
    """One pattern of a rule.

    Args:
        rule: id of the rule.
        pattern: what it finds; the group ``at``, if there is one, is what is pointed at.
        where: whether it applies to a block.
        unless: what must not stand before a hit, in the same clause.
    """

    rule: str
    pattern: re.Pattern[str]
    where: Callable[[Block], bool] = lambda _block: True
    unless: re.Pattern[str] | None = None


def _w(pattern: str) -> re.Pattern[str]:
    """Whole words, any case; a blank is any white space."""
    return re.compile(rf"\b(?:{pattern})\b".replace(" ", r"\s+"), re.IGNORECASE)


_PERSON = (
    r"(?:he|she|they|we|you|i|nobody|no one|no-one|none of (?:us|them)|someone|somebody|anyone|everyone|people|person"
    r"|engineers?|developers?|devs?|operators?|reviewers?|authors?|approvers?|committers?|analysts?|managers?|leads?"
    r"|managements?|leaderships?|interns?|contractors?|administrators?|admins?|moderators?|responders?|staff|humans?"
    r"|colleagues?|employees?|teams?|squads?|crew|on-call|oncall|sres?|ops|owners?|annotators?|testers?|vendors?"
    r"|providers?"
    r"|support|who)"
)
_GAP = r"(?:[ ,]+(?!and\b|but\b|because\b|which\b|that\b|while\b|when\b|so\b|of\b|where\b)[\w'’-]+){0,4}?[ ,]+"
_MODEL = r"(?:model|assistant|llm|ai|agent|chatbot|bot|gpt|copilot|filter|classifier)"
_ROLE = (
    r"(?:engineer|developer|operator|intern|contractor|manager|director|cto|ceo|analyst|admin(?:istrator)?"
    r"|reviewer|author"
    r"|committer|approver|hire|team ?lead|lead|sre|dba|data scientist|moderator|annotator|researcher|architect"
    r"|responder"
    r"|employee|colleague|technician|specialist)"
)
_NOT = re.compile(
    r"\b(?:no|not|never|nor|without|rather\s+than|instead\s+of|isn't|wasn't|don't|doesn't)\b[^.;:]{0,24}\Z",
    re.IGNORECASE,
)


def _proposal(block: Block) -> bool:
    """Whether the block speaks of what is to be done: there `should` is the right word."""
    return block.section in ("12", "13")


WORDS: tuple[Word, ...] = (
    Word(
        "L-B01",
        _w(
            r"careless(?:ly|ness)?|negligen(?:t|tly|ce)|incompeten(?:t|tly|ce)|sloppy|sloppiness|sloppily|lazy"
            r"|lazily|laziness"
            r"|reckless(?:ly|ness)?|irresponsib(?:le|ly|ility)|stupid(?:ly|ity)?|inexcusabl[ey]|rogue|culprits?"
            r"|guilty"
            r"|to blame|(?:is|was|are|were|be) blamed|at fault|(?:the|his|her|their|our|your"
            r"|own) fault(?! (?:tolerance|lines?|injection|domains?|isolation|codes?))|fault of"
            r"|blames?(?= (?:lies|rests|falls|goes|the|him|her|them|us))"
        ),
        unless=re.compile(r"\b(?:no[\s-]one|nobody)\s+\Z", re.IGNORECASE),
    ),
    Word(
        "L-B02",
        _w(
            r"(?:human|operator|user|engineer|developer|pilot)(?:'s|’s)? errors?|pebkac|(?:human"
            r"|operator) mistakes?|fat[- ]finger(?:ed|s)?"
        ),
    ),
    Word(
        "L-B03",
        _w(
            rf"{_PERSON}{_GAP}(?P<at>failed to|forgot(?:ten)?(?: to)?|neglected(?: to)?|missed|ignored|overlooked"
            rf"|should have known"
            r"|(?:didn['’]t|did not) bother)"
        ),
    ),
    Word(
        "L-B04",
        _w(
            r"disciplin(?:ed|ary)|reprimand(?:ed|s)?|re-?train(?:ed|ing)? (?:the|our|that"
            r"|this) (?:\w+ )?(?:engineer|developer|operator"
            r"|person|team|employee|intern|reviewer|analyst)s?|performance (?:review|improvement plan)s?"
            r"|(?:was|were|be|been|got|is|get) (?:fired|sacked|dismissed|let go|written up|warned)|final warning"
            r"|(?:a|formal|verbal|written) warning (?:to|for|was)"
            r"|held? (?:\w+ )?accountable"
        ),
    ),
    Word(
        "L-B05",
        _w(
            r"malicious(?:ly)?|malice|sabotag(?:e|ed|ing)|intentional(?:ly)?|deliberate(?:ly)?|on purpose"
            r"|wilful(?:ly)?|willful(?:ly)?"
            r"|lied(?: to)?|is lying|was lying|deceiv(?:e|ed|es|ing)|deceptive(?:ly)?|in bad faith"
        ),
        unless=re.compile(r"\b(?:un|not\s+)\Z", re.IGNORECASE),
    ),
    Word(
        "L-B06",
        _w(
            rf"{_MODEL}s?(?: itself| then| also| simply| just| clearly| apparently| had| has| \w+ly){{0,2}}"
            r" (?P<at>decided|wanted(?: to)?|knew|panicked|refused to obey|lied|hallucinated|believed|thought"
            r"|felt|realised"
            r"|realized|understood|got confused|was confused|tried to|chose to|made up|imagined|misunderstood"
            r"|pretended)"
        ),
    ),
    Word(
        "L-N02",
        re.compile(
            rf"\b(?:the|our|a|an|one|that)\s+(?:(?!of\b|for\b|on\b)[\w-]+\s+){{0,3}}{_ROLE}\s+(?:(?:who"
            rf"|that)\s+)?(?:had\s+|then\s+|also\s+|manually\s+|\w+ly\s+)?"
            r"(?P<at>(?!(?:based|tasked|used|needed|named|called|rated|based|assigned|required|involved"
            r"|red)\b)(?:\w{3,}ed|wrote|sent|ran|made|took|did|chose|set|left|saw|broke"
            r"|built|gave|began|woke|went|told|put|misread|withdrew|undid))\b",
            re.IGNORECASE,
        ),
    ),
    Word(
        "L-S01",
        _w(
            r"(?:the|single|sole|main|true|actual|ultimate|underlying|primary|real|a|one) (?:(?:single|sole|main"
            r"|true|actual|ultimate"
            r"|underlying|primary|real|one) )?root[- ]causes?"
        ),
        where=lambda block: block.kind != "heading",
        unless=_NOT,
    ),
    Word("L-S01", re.compile(r"\broot[\s-]+causes?\b", re.IGNORECASE), where=lambda block: block.kind == "heading"),
    Word(
        "L-S01",
        re.compile(r"(?:\A|(?<=\n))\s*root[\s-]+causes?\s*:", re.IGNORECASE),
        where=lambda block: block.kind != "heading",
    ),
    Word(
        "L-S01",
        _w(r"(?:was|were|is|are|been) caused by|the cause (?:of \w+(?: \w+){0,3} )?(?:was|is)"),
        where=lambda block: block.section in ("", "1"),
        unless=_NOT,
    ),
    Word(
        "L-S02",
        _w(
            r"(?:simply|just|only|purely|solely|entirely|merely) (?:because|due to|down to)|boils? down to"
            r"|boiled down to|comes? down to|came down to"
            r"|it was (?:just |simply |only )?the (?:model|filter|prompt|index|retriever|ui|gateway"
            r"|vendor)(?=\s*[.,;:]|\s*\Z|\s+all along)"
            r"|the (?:model|assistant|llm) hallucinated[^.;]{0,40}[,;.] (?:and )?(?:so|therefore|thus|hence)"
        ),
        unless=_NOT,
    ),
    Word("L-S04", re.compile(r"(?:\bwhy\b[^?]{0,300}\?[^?]{0,400}){2}\bwhy\b[^?]{0,300}\?", re.IGNORECASE)),
    Word("L-S04", re.compile(r"\bbecause\b[^.;!?]{0,300}\bbecause\b", re.IGNORECASE)),
    Word(
        "L-S04",
        re.compile(
            r"\bbecause\b[^.;!?]{0,200}[.;]\s+(?:(?:and|but|this|that|it|which)\s+){0,2}[^.;!?]{0,80}\bbecause\b",
            re.IGNORECASE,
        ),
    ),
    Word(
        "L-C01",
        _w(
            r"(?:should|could|would|ought to)(?:n['’]t| not)? (?:\w+ly |also |never |all |then )?have(?! to\b)"
            r"|ought to have|if only|might have (?:been )?(?:prevented|avoided|caught|stopped|averted)"
            r"|had (?:the|we|they|he|she|it|this|that|someone|anyone|a|an)\b[^.;]{1,80}\bwould"
        ),
        where=lambda block: not _proposal(block),
    ),
    Word(
        "L-C02",
        _w(
            r"obviously|obvious|clearly|of course|in hindsight|with hindsight|in retrospect|inevitabl[ey]"
            r"|predictabl[ey]|easily|simply"
            r"|needless to say|as everyone knows|trivially|foreseeabl[ey]"
        ),
        unless=re.compile(r"\bnot\s+\Z", re.IGNORECASE),
    ),
    Word(
        "L-C03",
        _w(
            rf"{_PERSON}{_GAP}(?P<at>(?:did not|didn['’]t|never|had not|hadn['’]t|were not|was not|has not"
            rf"|have not) (?:\w+ly )?"
            r"(?:notice|check|test|follow|read|verify|validate|monitor|review|look|realise|realize|think|consider"
            r"|question|escalate"
            r"|communicate|ask|see|respond|react|act|know|aware|noticed|checked|tested|followed|verified|reviewed"
            r"|paying attention))"
        ),
    ),
    Word(
        "L-A01",
        _w(
            r"disast(?:er|ers|rous|rously)|catastroph(?:e|es|ic|ically)|ridiculous(?:ly)?|unbelievabl[ey]"
            r"|nightmar(?:e|es|ish)"
            r"|terrible|terribly|horrible|horribly|horrific|awful(?:ly)?|insane(?:ly)?|crazy|shocking(?:ly)?"
            r"|appalling(?:ly)?"
            r"|embarrassing(?:ly)?|meltdown|bloodbath|dumpster fire|fiasco|chaos|chaotic|blew up|exploded|wildly"
            r"|massive(?:ly)?"
            r"|scary|terrifying|panic(?:ked)?(?! button)|epic|abysmal(?:ly)?|outrageous(?:ly)?"
        ),
        unless=re.compile(rf"\b{_MODEL}s?\s+(?:\w+\s+)?\Z", re.IGNORECASE),
    ),
    Word("L-A01", re.compile(r"(?<=[\w)\"'”])\s?!(?![=\[\w])")),
    Word(
        "L-A01",
        re.compile(
            r"\b(?:[A-Z]{3,}(?:['’][A-Z]+)?[ ]+){2,}[A-Z]{2,}\b|\b(?:NEVER|ALWAYS|HUGE|COMPLETELY|EVERY|NOTHING"
            r"|TOTALLY|VERY|AGAIN|STILL|WRONG|BROKEN|ENTIRE)\b"
        ),
    ),
    Word(
        "L-A02",
        _w(
            r"(?<!how\s)(?<!as\s)(?<!too\s)many(?! times as)|(?<!at\s)(?<!at\sthe\s)most(?! (?:recent|one|two"
            r"|three|four|[0-9]))|some (?:users?|requests?|people|customers?|sessions?|cases?|answers?)"
            r"|several|briefly|a (?:short |long |little )?while|significantly|a lot(?: of)?|a few"
            r"|a handful(?: of)?|numerous|for some time|substantially"
            r"|a number of|countless|lots of|a large (?:number|share|part) of|shortly (?:after|before)|a bit"
        ),
    ),
    Word(
        "L-K05",
        _w(
            r"caus(?:ed|es|ing)|led (?:directly )?to|lead to|leads to|leading to|result(?:ed|s|ing) in|due to"
            r"|trigger(?:ed|s|ing)(?! (?:an? )?(?:alert|alarm|page)s?)|brought about"
            r"|because of|as a (?:result|consequence) of|made (?:the|it) \w+ (?:fail|break)"
        ),
    ),
)
"""Every pattern, by rule; a rule may have several."""

_CAUSAL = re.compile(r"\broot[\s-]+\Z", re.IGNORECASE)
_VOUCHED = re.compile(r"\[HUM: *[^\],]*[A-Za-z][^\],]*,[^\]]*[0-9][^\]]*\]")


def words(block: Block) -> Iterator[tuple[str, Found]]:
    """What the rules about words find in a block: rule, place in the block."""
    if block.quoted or block.section in APPENDICES or not block.prose.strip():
        return
    seen: set[tuple[str, int]] = set()
    for word in WORDS:
        if not word.where(block):
            continue
        for hit in word.pattern.finditer(block.prose):
            group = "at" if "at" in word.pattern.groupindex else 0
            span = _trimmed(block.prose, *hit.span(group))
            before = block.prose[max(0, span[0] - 60) : span[0]]
            if word.unless is not None and word.unless.search(before):
                continue
            if word.rule == "L-K05" and (vouched(block.raw) or _CAUSAL.search(before)):
                continue
            if (word.rule, span[0]) not in seen:
                seen.add((word.rule, span[0]))
                yield word.rule, span


def vouched(raw: str) -> bool:
    """Whether a person stands for a statement: a mark with a name or role, and a date."""
    return _VOUCHED.search(raw) is not None


def _trimmed(text: str, start: int, end: int) -> Found:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
