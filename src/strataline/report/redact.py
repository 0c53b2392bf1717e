"""Personal data and secrets in log text, replaced by pseudonyms before a sentence or an excerpt shows them.

What is replaced: e-mail addresses, telephone numbers, payment cards (Luhn), IBANs (mod 97), IP addresses, keys and
tokens, and the fields that the caller names; people's names where Presidio is installed and asked for. What the
evidence needs stays: UUIDs, trace ids, hashes, times, versions, evidence addresses. How often this is right is measured
by ``benchmarks/redaction.py``, on made text; no detector finds everything, so a page that leaves the house is read by
someone first.

Every pattern is either bounded in length or cannot be entered twice at the same place, so that time grows with the
length of the text, whatever the text is.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib
import ipaddress
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from strataline.errors import StrataError

Span = tuple[int, int]
Names = Callable[[str], Iterable[Span]]
"""Text to the places, in characters, where it names a person."""

SHORTEST_KEY = 16
"""Bytes that a key must have: a shorter one can be found by trying."""
_HEX = 10


@dataclass(frozen=True)
class Replaced:
    """One value that was replaced, and how often; the value itself is not here."""

    kind: str
    pseudonym: str
    count: int


class Redactor:
    """Replaces personal data and secrets by pseudonyms, the same value always by the same one.

    Without a key the pseudonym is a number within its kind, in the order in which values were first seen
    (``[email 1]``): it means nothing outside of this redactor. With a key it is a keyed hash
    (``[email k:3f2a91c07d]``), the same in every case that is redacted with that key. It is never a bare hash, which
    could be tried out.

    Args:
        key: the key of the pseudonyms, of at least 16 bytes.
        fields: names of fields whose values are replaced whatever they hold, as they are written in the logs
            (``customer_name``); case does not matter.
        names: whether to replace people's names: by Presidio, or by a function that finds them.

    Raises:
        StrataError: if `key` is too short, or `names` asks for Presidio and it is not installed.
    """

    def __init__(self, key: bytes | None = None, fields: Sequence[str] = (), *, names: bool | Names = False) -> None:
        if key is not None and len(key) < SHORTEST_KEY:
            raise StrataError(
                f"a key of {len(key)} bytes can be found by trying",
                hint=f"{SHORTEST_KEY} random bytes or more: head -c 32 /dev/urandom > redact.key",
            )
        self._key = key
        self._field = _field_pattern(fields)
        self._names: Names | None = presidio() if names is True else names or None
        self._known: dict[tuple[str, str], str] = {}
        self._numbers: Counter[str] = Counter()
        self._counts: Counter[tuple[str, str]] = Counter()

    def text(self, text: str) -> str:
        """`text` with pseudonyms in the place of what was found; the rest is as it was.

        >>> Redactor().text("From ana@corp.example (203.0.113.7), again ANA@corp.example")
        'From [email 1] ([ip 1]), again [email 1]'
        """
        found = _Found(text)
        if self._field is not None:
            found.fields(self._field)
        _detect(found)
        if self._names is not None:
            for start, end in self._names(text):
                found.take(start, end, "name", of_original=True)
        parts, at = [], 0
        for start, end, kind in sorted(found.spans):
            parts += [text[at:start], self._pseudonym(kind, text[start:end])]
            at = end
        return "".join(parts) + text[at:] if parts else text

    def value(self, name: str, text: str) -> str:
        """The value `text` of the field `name`: a pseudonym as a whole where the caller named that field.

        >>> Redactor(fields=["customer"]).value("customer", "Ana"), Redactor().value("customer", "Ana")
        ('[field.customer 1]', 'Ana')
        """
        if self._field is None or not text or self._field.fullmatch(f"{name}=") is None:
            return self.text(text)
        whole = _Found(text)
        _detect(whole)
        # What has a form of its own keeps its kind, and so its pseudonym elsewhere.
        kind = whole.spans[0][2] if [one[:2] for one in whole.spans] == [(0, len(text))] else None
        return self._pseudonym(kind or f"field.{name.lower()}", text)

    @property
    def log(self) -> list[Replaced]:
        """What was replaced so far, and how often: by kind, then as first seen.

        Under a key nothing tells which value was seen first, so the order does not either.
        """
        rows = [Replaced(kind, name, count) for (kind, name), count in self._counts.items()]
        return sorted(rows, key=lambda row: (row.kind, row.pseudonym if self._key else ""))

    def _pseudonym(self, kind: str, value: str) -> str:
        plain = _normal(kind, value)
        name = self._known.get((kind, plain))
        if name is None:
            self._numbers[kind] += 1
            mark = str(self._numbers[kind])
            if self._key is not None:
                said = f"{kind}\0{plain}".encode("utf-8", "surrogatepass")
                mark = "k:" + hmac.new(self._key, said, hashlib.sha256).hexdigest()[:_HEX]
            name = self._known[kind, plain] = f"[{kind} {mark}]"
        self._counts[kind, name] += 1
        return name


def find(text: str) -> list[tuple[int, int, str]]:
    """What a `Redactor` without fields would replace in `text`: first and last place, kind; in order."""
    found = _Found(text)
    _detect(found)
    return sorted(found.spans)


def presidio() -> Names:
    """People's names as Presidio finds them (``pip install presidio-analyzer`` and an English spaCy model).

    Raises:
        StrataError: if it is not installed, or has no model.
    """
    try:
        analyzer = importlib.import_module("presidio_analyzer")
        provider = importlib.import_module("presidio_analyzer.nlp_engine").NlpEngineProvider
        spacy = importlib.import_module("spacy")
    except ImportError as problem:
        raise StrataError(
            "people's names are found by Presidio, which is not installed",
            hint="pip install presidio-analyzer, and a spaCy model: docs/lint.md, Redaction",
        ) from problem
    models = sorted((name for name in spacy.util.get_installed_models() if name.startswith("en_")), key=_small_first)
    if not models:
        raise StrataError(
            "Presidio has no English spaCy model",
            hint="python -m spacy download en_core_web_sm fetches one",
        )
    # Named here, for by default it fetches a model of 400 MB, and nothing is fetched unasked.
    said = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": models[0]}]}
    engine = analyzer.AnalyzerEngine(nlp_engine=provider(nlp_configuration=said).create_engine())

    def find(text: str) -> Iterator[Span]:
        for one in engine.analyze(text=text, language="en", entities=["PERSON"]):
            # A model of prose takes ids for names; no name holds a digit or an underscore.
            if not re.search(r"[0-9_@/:=]", text[one.start : one.end]):
                yield one.start, one.end

    return find


def _small_first(name: str) -> tuple[int, str]:
    sizes = ("_sm", "_md", "_lg")
    return next((place for place, size in enumerate(sizes) if size in name), len(sizes)), name


# What text is compared as: typographic forms of the characters that patterns know, each of one character, so that
# places stay what they are; invisible ones are left out beforehand.
_PLAIN = {
    **{0xFEE0 + code: code for code in range(0x21, 0x7F)},
    **dict.fromkeys((0xA0, 0x2007, 0x2009, 0x202F, 0x3000), 0x20),
    **dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2212), 0x2D),
}
_INVISIBLE = re.compile("[\xad\u200b-\u200f\u2060-\u2064\ufeff]")


class _Found:
    """The spans that were found in a text so far, those that must stay, and the text as patterns read it."""

    def __init__(self, text: str) -> None:
        self.text = text if text.isascii() else text.translate(_PLAIN)
        self._origin: list[int] | None = None
        if not text.isascii() and _INVISIBLE.search(self.text):
            self._origin = [place for place, char in enumerate(self.text) if not _INVISIBLE.match(char)]
            self._back = {origin: place for place, origin in enumerate(self._origin)}
            self.text = _INVISIBLE.sub("", self.text)
        self._taken = bytearray(len(self.text))
        self.spans: list[tuple[int, int, str]] = []

    def free(self, start: int, end: int) -> bool:
        """Whether nothing was found there."""
        return self._taken.find(1, start, end) < 0

    def keep(self, start: int, end: int) -> None:
        """Nothing is to be found there."""
        self._taken[start:end] = b"\1" * (end - start)

    def take(self, start: int, end: int, kind: str, *, of_original: bool = False) -> bool:
        """A value of `kind` lies there, unless something was found there already."""
        if of_original and self._origin is not None:
            inside = [self._back[place] for place in range(start, end) if place in self._back]
            if not inside:
                return False
            start, end = inside[0], inside[-1] + 1
        if start >= end or not self.free(start, end):
            return False
        self.keep(start, end)
        if self._origin is None:
            self.spans.append((start, end, kind))
        else:
            self.spans.append((self._origin[start], self._origin[end - 1] + 1, kind))
        return True

    def before(self, start: int, length: int = 48) -> str:
        """The text that leads to `start`."""
        return self.text[max(0, start - length) : start]

    def fields(self, pattern: re.Pattern[str]) -> None:
        """Take the values of the fields whose names `pattern` finds."""
        at = 0
        while (name := pattern.search(self.text, at)) is not None:
            start, end = _value(self.text, name)
            inner = _Found(self.text[start:end])
            _detect(inner)
            # What has a form of its own keeps its kind, and so its pseudonym elsewhere.
            whole = inner.spans[0][2] if [one[:2] for one in inner.spans] == [(0, end - start)] else None
            self.take(start, end, whole or "field." + (name["quoted"] or name["bare"]).lower())
            at = max(end, name.end())


# Fields that the caller names.


def _field_pattern(names: Sequence[str]) -> re.Pattern[str] | None:
    """A pattern that finds any of `names` as a key of JSON (escaped JSON too), or before ``=`` or ``:``."""
    if not any(names):
        return None
    some = "|".join(
        re.escape(name) for name in sorted({name.strip() for name in names} - {""}, key=lambda n: (-len(n), n))
    )
    return re.compile(
        rf"""(?<![\w.-])(?:(?P<mark>\\{{0,7}}["'])(?P<quoted>{some})(?P=mark)\s{{0,9}}:|(?P<bare>{some})\s{{0,9}}[=:])\s{{0,9}}""",
        re.IGNORECASE,
    )


_LITERAL = re.compile(r"[^\s,;&|\]})\"']*+")
_REST_OF_LINE = re.compile(r"[^\n,;|&]*+")


def _value(text: str, name: re.Match[str]) -> Span:
    """Where the value lies whose key is `name`: what is between quotes, a list or object, or a word."""
    start = name.end()
    opened = re.compile(r"\\{0,7}[\"']").match(text, start)
    if opened is not None:
        return opened.end(), _closing(text, opened)
    if text[start : start + 1] in ("[", "{") and name["quoted"]:
        return start, _bracket(text, start)
    if name["bare"] and name.group().rstrip().endswith(":"):
        rest = _REST_OF_LINE.match(text, start)
        end = rest.end() if rest else start
        return start, start + len(text[start:end].rstrip())
    word = _LITERAL.match(text, start)
    return start, word.end() if word else start


def _closing(text: str, opened: re.Match[str]) -> int:
    """Where a string ends whose opening quote (with the backslashes before it) is `opened`; the end of a cut text."""
    mark = opened.group()
    depth = len(mark) - 1
    for quote in re.compile(r"(?<!\\)\\*+" + mark[-1]).finditer(text, opened.end()):
        if len(quote.group()) - 1 <= depth:
            return quote.start()
        # An even number of backslashes in plain JSON escape one another, so the quote after them closes.
        if depth == 0 and (len(quote.group()) - 1) % 2 == 0:
            return quote.end() - 1
    return len(text)


_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)


def _bracket(text: str, start: int) -> int:
    """Where the list or object ends that opens at `start`; the end of a text that was cut."""
    depth = 0
    for found in _BRACKETS.finditer(text, start):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found.group(), 0)
        if depth == 0:
            return found.end()
    return len(text)


# What is detected, and in which order.

_OWN = re.compile(r"\[[\w.]{1,80} (?:[0-9]{1,9}|k:[0-9a-f]{10})\]")
"""A pseudonym of an earlier pass."""

_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[A-Za-z0-9+/=\s\\:,.]|-(?!----))*+"
    r"(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"
)
_JWT = re.compile(r"(?<![A-Za-z0-9])eyJ[\w-]{8,}+(?:(?:\.[\w-]{2,}+){1,4}|\.?\Z|…)", re.ASCII)
# Prefixes by which vendors let their keys be known, of model gateways, stores of code, clouds and trackers.
_PREFIXED = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:sk|pk|rk)[-_](?:proj|ant|or|lf|live|test|svcacct|admin|v1)[-_][\w-]{16,}+"
    r"|sk-[\w-]{20,}+"
    r"|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Z0-9])"
    r"|gh[pousr]_\w{30,}+|github_pat_\w{22,}+|gl(?:pat|dt|rt|ptt|cbt)-[\w-]{20,}+"
    r"|xox[abeoprs]-[\w-]{10,}+|xapp-[\w-]{20,}+"
    r"|AIza[\w-]{35}|ya29\.[\w-]{20,}+|GOCSPX-[\w-]{20,}+"
    r"|(?:hf|r8|npm|gsk|fw|ntn|jina|phx|phc|shpat|shpss|shppa|whsec|dop_v1|doo_v1|lin_api)_[A-Za-z0-9]{20,}+"
    r"|(?:pcsk|lsv2_pt|lsv2_sk|glsa|sntrys|sntryu|dckr_pat|figd)_[\w.-]{20,}+"
    r"|(?:nvapi|xai|tvly|pplx|pypi|sgp)[-_][\w-]{32,}+|ATATT3[\w-]{32,}+"
    r"|SG\.[\w-]{16,}+\.[\w-]{16,}+|hvs\.[\w-]{20,}+"
    r"|dapi[0-9a-f]{32}|AGE-SECRET-KEY-1[A-Z0-9]{50,}+"
    r"|[0-9]{8,10}:AA[\w-]{33}"
    r")",
    re.ASCII,
)
_WEBHOOK = re.compile(r"(?<=hooks\.slack\.com/)(?:services|workflows)/[\w/-]{20,}+", re.ASCII)
_URL_LOGIN = re.compile(r"(?<=://)[^\s/:@\"'<>]{0,128}:(?P<secret>[^\s/@\"'<>]{1,256})@")
_HEADER = re.compile(
    r"""(?<![\w-])(?:proxy-)?authorization\\{0,7}["']?\s{0,4}[:=]\s{0,4}\\{0,7}["']?"""
    r"""(?:(?:bearer|basic|token|digest|apikey|negotiate|aws4-hmac-sha256)\s{1,4})?(?P<secret>[^\s"'\\,;]{6,}+)""",
    re.IGNORECASE,
)
_COOKIE = re.compile(
    r"""(?<![\w-])(?:set-)?cookie\\{0,7}["']?\s{0,4}[:=]\s{0,4}\\{0,7}["']?(?P<secret>[\w.-]{1,80}=[^\n\r"'\\]{1,4096})""",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(?:bearer|basic)\s{1,4}(?P<secret>[A-Za-z0-9._~+/=-]{8,}+)", re.IGNORECASE)
_KEY_OF = r"(?:api|access|secret|private|auth|encryption|signing|master|account|subscription|shared(?:[-_]access)?)"
_IS = r"""(?P<between>\\{0,7}["']?\s{0,4}(?::=|=>|[:=])\s{0,4}\\{0,7})(?P<quote>["']?)"""
_WORD = r"""(?P<secret>[^\s"'\\,;&<>)}\]]{3,}+)"""
_ASSIGNED = (
    re.compile(
        r"(?<![A-Za-z0-9])(?P<name>pass(?:word|wd|phrase|code)?|pwd|pin"
        rf"|(?:{_KEY_OF}|x)[-_ ]?key|(?:client|app|webhook|signing|shared|consumer)?[-_]?secret"
        r"|credentials?|signature|sig"
        r"|(?:access|refresh|id|auth|api|bearer|session|security|bot|csrf|xsrf|oauth|personal)?[-_ ]?token)"
        + _IS
        + _WORD,
        re.IGNORECASE,
    ),
    # The same names at the end of a longer one: dbPassword, x-amz-signature; OPENAI_API_KEY.
    re.compile(
        rf"(?P<name>[_.-](?:password|passwd|pwd|secret|token|{_KEY_OF}[-_]?key|credential|signature)"
        r"|(?<=[a-z])(?:Password|Secret|Token|ApiKey|AccessKey|SecretKey|PrivateKey|AccountKey))" + _IS + _WORD
    ),
    re.compile(r"(?P<name>_(?:PASSWORD|PASSWD|PWD|SECRET|TOKEN|KEY|CREDENTIAL|SIGNATURE|PASS))" + _IS + _WORD),
)
_NO_SECRET = re.compile(
    r"(?:null|none|true|false|undefined|nil|redacted|\*+|x{3,}|\.{3,}|…|\[.*|\$\{.*|\{\{.*)\Z",
    re.IGNORECASE,
)
_MEASURE = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[a-zµ%]{1,4}(?:/[a-z]{1,4})?)?\Z", re.IGNORECASE)

_DOMAIN = re.compile(
    r"(?:@|%40)(?:[^\W_](?:[^\W_]|-){0,62}\.){1,8}(?P<end>[^\W\d_]{2,24}|xn--[a-z0-9-]{2,30})(?![^\W_])"
)
_LOCAL = re.compile(r"[\w.+'%&-]")
_NO_TOP = frozenset(
    ("png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "css", "js", "json", "html", "htm", "map", "pdf", "whl")
)
"""Endings of file names such as ``icon@2x.png``."""

_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?=[ -]?[A-Z0-9])")
_IBAN_ANY = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?=[ -]?[A-Za-z0-9])")
_IBAN_WORD = re.compile(r"iban\W{0,6}\Z", re.IGNORECASE)
# ISO 13616 registry: country, characters of the whole number.
_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH CR HR LI LV",
        22: "BG BH DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}

# What must stay: ids, hashes, times, evidence addresses.
_KEPT = (
    re.compile(r"(?<![A-Za-z0-9])[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?![A-Za-z0-9])", re.IGNORECASE),
    re.compile(r"(?<![A-Za-z0-9])(?:0x)?(?=[0-9]{0,128}[a-f])[0-9a-f]{12,128}(?![A-Za-z0-9])", re.IGNORECASE),
    re.compile(
        r"(?<![0-9])[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}"
        r"(?:[T _][0-9]{2}[:.-][0-9]{2}(?:[:.-][0-9]{2}(?:[.,][0-9]{1,9})?)?(?: ?(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?)?"
        r"(?![0-9])"
    ),
    re.compile(
        r"(?<![0-9+])[0-9]{1,2}[./-](?:[0-9]{1,2}|[A-Z][a-z]{2})[./-](?:19|20)[0-9]{2}"
        r"(?::[0-9:]{8} [+-][0-9]{4})?(?![0-9])"
    ),
    re.compile(
        r"(?<![0-9:])[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?(?: ?[+-][0-9]{2}:?[0-9]{2})?(?![0-9:])"
    ),
    re.compile(r"(?<=[A-Za-z0-9]):[0-9]{1,12}\b(?![.:][0-9])"),
)

_CARD = re.compile(
    r"(?<![\w.])(?:[0-9]{13,19}|[0-9]{4}(?P<by>[ -])[0-9]{4}(?P=by)[0-9]{4}(?P=by)[0-9]{4}(?:(?P=by)[0-9]{1,3})?"
    r"|[0-9]{4}(?P<or>[ -])[0-9]{6}(?P=or)[0-9]{4,5})(?!\w|\.[0-9])"
)
_ISSUER = re.compile(
    r"4(?:.{12}|.{15}|.{18})\Z|(?:5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720))[0-9]{12,14}\Z|3[47].{13}\Z"
    r"|3(?:0[0-5]|[689]).{11,16}\Z|(?:6011|65|64[4-9]|62|35(?:2[89]|[3-8]))[0-9]{12,17}\Z|(?:50|5[6-9]|6[0379]).{11,17}\Z"
)
_ID_BEFORE = re.compile(
    r"(?:(?i:(?<![a-z])(?:id|hash|offset|line|seq|sequence|time|timestamp|nano|nanos|epoch|version|tokens?"
    r"|bytes|size|count|seed|cursor|port))|_(?:ts|ns|ms|us)|(?<=[a-z])(?:Id|ID|Hash|Nano|Nanos|Time|Ms|Ns|Ts|Tokens|Bytes|Count))"
    r"\\{0,7}[\"']?\s{0,3}[:=]\s{0,3}\\{0,7}[\"']?\Z"
)

_V4 = re.compile(r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?!\w|\.?[0-9]|\.[A-Za-z]|-[A-Za-z0-9])")
_V6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:.]{3,}+(?![^\W_])")
_VERSION_BEFORE = re.compile(
    r"(?:(?:version|ver|release|build|v|revision|firmware|upgrade|rev)[\"'\\]{0,8}\s{0,3}[:= ]?\s{0,3}[\"'\\]{0,8}"
    r"|[A-Za-z]/)\Z",
    re.IGNORECASE,
)

_PHONE = re.compile(
    r"(?<![\w.+/-])(?:(?<![0-9][ -])|(?=\+))(?:"
    r"(?P<plus>\+[1-9](?:[ ().-]{0,2}[0-9]){6,14})"
    r"|(?P<nanp>(?:1[ .-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}(?P<by>[.-]))[2-9][0-9]{2}(?P<too>[.-])[0-9]{4})"
    r"|(?P<area>\([0-9]{2,5}\)[ -]?[0-9]{3,5}[ -][0-9]{3,5})"
    r"|(?P<trunk>\(?0[1-9](?:[ ()/.-]{0,2}[0-9]){7,9})"
    r"|(?P<abroad>00[1-9](?:[ ().-]{0,2}[0-9]){8,13})"
    r"|(?P<named>\(?[0-9](?:[ ()./-]{0,2}[0-9]){6,14})"
    r")(?!\w|[.,:/-][0-9])"
)
_PHONE_WORD = re.compile(
    r"(?:phone|mobile|cell|fax|\btel|telephone|whats ?app|\bsms|msisdn|telefon|handy|\bmobil|t[ée]l[ée]phone|portable"
    r"|tel[ée]fono|m[óo]vil|celular|hotline|电话|手机|電話|call(?: me| us| him| her)?(?: back)? (?:at|on)"
    r"|(?:reach|text) (?:me|us) (?:at|on)|dial)(?:[ _-]?(?:number|num|no|nr|n°))?\\{0,7}[\"']?(?: is| was)?"
    r"\s{0,3}[.:=#]{0,2}\s{0,3}\\{0,7}[\"'(]{0,2}\Z",
    re.IGNORECASE,
)


def _detect(found: _Found) -> None:
    """Find everything that has a form of its own; what is surer goes first, for it takes its place."""
    text = found.text
    for own in _OWN.finditer(text):
        found.keep(*own.span())
    _secrets(found)
    _mails(found)
    digits = any(char in text for char in "0123456789")
    if digits or ":" in text:
        if digits:
            _ibans(found)
        # Before times: 47:80 is a part of one.
        _ips_6(found)
        for pattern in _KEPT:
            for one in pattern.finditer(text):
                if found.free(*one.span()) and (one.group()[0] != ":" or _of_file(found, one)):
                    found.keep(*one.span())
        _ips_4(found)
    if digits:
        _cards(found)
        _phones(found)


def _of_file(found: _Found, one: re.Match[str]) -> bool:
    """Whether the number after a colon is a line or port (``file.jsonl:12``), no value (``phone:2125550187``)."""
    before = re.search(r"[\w./!:-]*\Z", found.before(one.start()))
    return before is not None and "." in before.group() and ":" not in before.group()


def _secrets(found: _Found) -> None:
    text = found.text
    if "PRIVATE KEY" in text:
        for one in _PEM.finditer(text):
            found.take(*one.span(), "key")
    for pattern in (_JWT, _PREFIXED):
        for one in pattern.finditer(text):
            # Words that are joined by hyphens begin like this too; no key is made of short ones without a digit.
            if any(char.isdigit() for char in one.group()) and re.search(r"[A-Za-z0-9]{10}", one.group()):
                found.take(*one.span(), "key")
    if "hooks.slack.com" in text:
        for one in _WEBHOOK.finditer(text):
            found.take(*one.span(), "key")
    if "://" in text:
        for one in _URL_LOGIN.finditer(text):
            found.take(*one.span("secret"), "key")
    for one in _HEADER.finditer(text):
        found.take(*one.span("secret"), "key")
    for one in _COOKIE.finditer(text):
        found.take(*one.span("secret"), "key")
    for one in _BEARER.finditer(text):
        value = one["secret"]
        if any(char.isdigit() for char in value) and any(char.isalpha() for char in value):
            found.take(*one.span("secret"), "key")
    if ":" in text or "=" in text:
        for pattern in _ASSIGNED:
            for one in pattern.finditer(text):
                if _secret(one):
                    found.take(*one.span("secret"), "key")


def _secret(one: re.Match[str]) -> bool:
    """Whether what a secret's name is followed by is one: any word for a password, else what no word looks like."""
    value, name = one["secret"], one["name"].lower()
    if _NO_SECRET.match(value):
        return False
    sure = bool(one["quote"]) or "=" in one["between"] or "\\" in one["between"]
    mixed = any(char.isdigit() for char in value) and any(char.isalpha() for char in value)
    if "pass" in name or "pwd" in name:
        return sure or mixed or not value.isalnum()
    if name.endswith("pin"):
        return value.isdigit() and 4 <= len(value) <= 8
    if len(value) < 8 or _MEASURE.match(value):
        return False
    if len(value) < 16:
        return sure and mixed
    return _entropy(value) > (2.8 if mixed else 3.8)


def _entropy(value: str) -> float:
    """Shannon entropy of the characters of `value`, in bits for each."""
    some = value[:512]
    return -sum(n / len(some) * math.log2(n / len(some)) for n in Counter(some).values())


def _mails(found: _Found) -> None:
    text = found.text
    if "@" not in text and "%40" not in text:
        return
    for one in _DOMAIN.finditer(text):
        if one["end"].lower() in _NO_TOP:
            continue
        start = one.start()
        lowest = max(0, start - 64)
        while start > lowest and _LOCAL.match(text[start - 1]):
            start -= 1
        # What a sentence, a query or an escape (\n) puts before an address is no part of it.
        if text[start - 1 : start] == "\\" and text[start] in "nrt":
            start += 1
        while start < one.start() and text[start] in ".'-%&":
            start += 1
        if start < one.start():
            found.take(start, one.end(), "email")


def _ibans(found: _Found) -> None:
    text = found.text
    pattern = _IBAN_ANY if "iban" in text.lower() else _IBAN
    for one in pattern.finditer(text):
        length = _IBAN_LENGTHS.get(one.group()[:2].upper())
        if length is None or (not one.group()[:2].isupper() and not _IBAN_WORD.search(found.before(one.start()))):
            continue
        at, left = one.end(), length - 4
        while left and at < len(text):
            step = 1 if text[at] in " -" else 0
            if not (text[at + step : at + step + 1].isascii() and text[at + step : at + step + 1].isalnum()):
                break
            at, left = at + step + 1, left - 1
        if left == 0 and not text[at : at + 1].isalnum() and _mod97(text[one.start() : at]):
            found.take(one.start(), at, "iban")


def _mod97(value: str) -> bool:
    plain = re.sub(r"[ -]", "", value).upper()
    return int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1


def _ips_4(found: _Found) -> None:
    text = found.text
    for one in _V4.finditer(text):
        octets = one.group().split(".")
        if any(int(octet) > 255 or (len(octet) > 1 and octet[0] == "0") for octet in octets):
            continue
        if octets[0] in ("0", "127", "255") or _VERSION_BEFORE.search(found.before(one.start(), 24)):
            continue
        found.take(*one.span(), "ip")


def _ips_6(found: _Found) -> None:
    text = found.text
    if text.count(":") < 2:
        return
    for one in _V6.finditer(text):
        start, end = one.span()
        while end > start and (text[end - 1] == "." or (text[end - 1] == ":" and text[end - 2] != ":")):
            end -= 1
        if end - start > 45 or text.count(":", start, end) < 2:
            continue
        try:
            address = ipaddress.IPv6Address(text[start:end])
        except ValueError:
            continue
        groups = sum(1 for group in text[start:end].split(":") if group)
        # `a::b` is C++ as well: of short ones, those whose first group says what they are.
        if not address.is_loopback and not address.is_unspecified and (groups >= 4 or text[start] in "23fF"):
            found.take(start, end, "ip")


def _cards(found: _Found) -> None:
    for one in _CARD.finditer(found.text):
        plain = re.sub(r"[ -]", "", one.group())
        if _ISSUER.match(plain) and _luhn(plain) and not _ID_BEFORE.search(found.before(one.start())):
            found.take(*one.span(), "card")


def _luhn(digits: str) -> bool:
    doubled = [int(char) * 2 for char in digits[-2::-2]]
    return (sum(int(char) for char in digits[::-2]) + sum(n - 9 if n > 9 else n for n in doubled)) % 10 == 0


def _phones(found: _Found) -> None:
    at, text = 0, found.text
    while (one := _PHONE.search(text, at)) is not None:
        # What is no number as a whole may hold one further on.
        at = one.end() if _phone(found, one) and found.take(*one.span(), "phone") else one.start() + 1


def _phone(found: _Found, one: re.Match[str]) -> bool:
    digits = [char for char in one.group() if char.isdigit()]
    before = found.before(one.start())
    if len(set(digits)) < 3 or _ID_BEFORE.search(before):
        return False
    if _PHONE_WORD.search(before):
        return True
    if one["plus"]:
        return 8 <= len(digits) <= 15
    if one["nanp"]:
        return one["by"] in (None, one["too"])
    if one["area"]:
        return 9 <= len(digits) <= 12
    parted = re.search(r"[ ()/.-]", one.group()[2:7]) is not None
    return bool(one["trunk"] or one["abroad"]) and parted


def _normal(kind: str, value: str) -> str:
    """The form in which two writings of one value are the same."""
    plain = _INVISIBLE.sub("", value).translate(_PLAIN)
    match kind:
        case "email":
            return plain.replace("%40", "@").casefold()
        case "phone":
            digits = re.sub(r"[^0-9]", "", plain)
            return digits.removeprefix("00")
        case "card":
            return re.sub(r"[^0-9]", "", plain)
        case "iban":
            return re.sub(r"[ -]", "", plain).upper()
        case "ip":
            return str(ipaddress.ip_address(plain))
        case "name":
            return " ".join(plain.split()).casefold()
        case _:
            return plain
