"""What a text looks like: phrasing that resembles instructions to a model, links, scripts, repetition.

The families are those of the catalogue (docs/checks.md). They look at form alone: nothing here knows what anyone meant,
or whether a model acted on it; and a text that none of them knows is not thereby cleared.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from urllib.parse import parse_qsl, unquote_plus, urlsplit

import polars as pl

from strataline.errors import InputError

FAMILIES = {
    "override": "has a verb of overriding within six words of instructions, rules, prompt or context",
    "role": "has tokens or labels that mark roles in a chat",
    "addressed": "is addressed to a model",
    "steering": "says what the output is to hold, or not to mention",
    "hidden": "hides something from a reader: tag characters, runs of zero-width characters, HTML comments, elements "
    "that are not displayed, 200 or more characters of base64",
    "scaffold": "has a Markdown link or image whose query is to be filled in",
}
"""The families of instruction-like text, by name."""

ALONE = ("hidden", "scaffold")
"""Families of which one is enough; of the others two must stand within `WINDOW`."""

WINDOW, STRIDE = 1200, 1000
"""Characters within which two families count together, and how far the next window begins."""

MANY = 20_000
"""Windows looked at together: bounds the memory that folded copies take."""

SPAN = 120
"""Characters of a match that are shown, at most."""

_ZERO_WIDTH = "\u200b-\u200d\u2060-\u2064\ufeff\u180e"
_INVISIBLE = f"[{_ZERO_WIDTH}\u00ad\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
_FLAG = "\U0001f3f4[\U000e0020-\U000e007f]+"
"""A flag of a part of a country is written in tag characters, and hides nothing."""

_VERB = (
    r"(?:ignor(?:e|es|ed|ing)|disregard(?:s|ed|ing)?|forget(?:s|ting)?|overrid(?:e|es|ing|den)|overrul(?:e|ing)|"
    r"bypass(?:es|ing)?|circumvent(?:ing)?|neglect|set aside|stop following|do(?: not|n['’]t) (?:follow|obey))"
)
_OBJECT = r"(?:instructions?|rules?|prompts?|context|guidelines?|directives?|guardrails?)"
_BETWEEN = r"(?:\W+\w+){0,5}?\W+"
_MODEL = r"(?:ai|a\.i\.|llm|language model|ai model|assistant|chatbot|copilot|chatgpt|gpt|claude|gemini)"
_PLACEHOLDER = (
    r"(?:\{|%7b|<[a-z_]|\[|\$\{?[a-z_]|%s|\.\.\.|…|your[_-]\w+|[a-z_-]+_here\b|insert[_-]?\w*|placeholder|"
    r"encoded[_-]?\w*|base64\w*|(?:chat|conversation)[_-]?(?:history|log|summary))"
)
_QUERY = rf"https?://[^)\s\"'>]*[?&][^)\s=&\"'>]{{1,40}}=(?:{_PLACEHOLDER}|[)\"'>])"

_PATTERNS = {
    "override": (rf"\b{_VERB}\b{_BETWEEN}{_OBJECT}\b", rf"\b{_OBJECT}\b{_BETWEEN}{_VERB}\b"),
    "role": (
        r"<\|[a-z_]{2,24}\|>",
        r"\[/?inst\]",
        r"<</?sys>>",
        r"</?(?:system|assistant|im_start|im_end)>",
        r"(?m:^[ \t>*#]{0,8}(?:system|assistant|developer)(?: (?:message|prompt))?\s*:)",
        r"(?m:^#{2,4} (?:instruction|response)\s*:)",
    ),
    "addressed": (
        (
            r"\b(?:note|message|memo|attention|instructions?|reminder|notice)[ ,:]+(?:to |for )?"
            rf"(?:the |any |all |every )?{_MODEL}s?\b"
        ),
        rf"\b{_MODEL}s? (?:must|should|shall)\b",
        rf"\bif you(?:['’]re| are) an? {_MODEL}\b",
        rf"\b(?:dear|hey|hello),? {_MODEL}\b",
        rf"\byou(?:['’]re| are) (?:an?|the) (?:\w+ )?{_MODEL}\b",
        (
            r"\byour (?:new |only |real |actual |true |next |sole |primary )*"
            r"(?:objective|task|goal|instructions?|mission|purpose)(?: now)? (?:is|are|will be)\b"
        ),
        r"\bnew (?:objective|instructions?)\s*:",
        r"\byou are now\b",
        r"\bfrom now on,? you\b",
    ),
    "steering": (
        r"\b(?:respond|reply|answer|output|print)\s+(?:only|exactly|solely|nothing but|just)\b",
        r"\bonly (?:respond|reply|answer|output) with\b",
        r"\b(?:say|write|print|output) nothing (?:else|but)\b",
        (
            r"\b(?:include|insert|append|add|display|render|embed|output)\s+(?:this|the following|the below|these)\s+"
            r"(?:\w+\s+){0,2}(?:links?|urls?|images?|markdown|text|sentence|phrase|message|html)\b"
        ),
        (
            r"\b(?:do not|don['’]t|never)\s+(?:ever\s+)?"
            r"(?:mention|cite|reveal|disclose|refer to|tell the user|tell anyone|inform the user)\b"
        ),
        r"\bwith the words?\s+\S+\s+replaced\b",
        r"\breplac\w+ the words?\s+\S+\s+(?:with|by)\b",
        (
            r"\b(?:end|begin|start|finish|prefix) (?:each|every|all|your) (?:\w+ ){0,2}"
            r"(?:responses?|repl(?:y|ies)|answers?|outputs?) with\b"
        ),
    ),
}
_FILLED_LATER = rf"https?://\S*[?&]\S{{1,40}}=(?:{_PLACEHOLDER}|>?[ \t]*$)"
_SCAFFOLD = "|".join(
    (
        rf"!?\[[^\]\n]{{0,200}}\]\(\s*<?{_QUERY}",
        rf"(?m:^[ \t]*\[[^\]\n]{{1,100}}\]:\s*<?{_FILLED_LATER})",
        rf"<img\b[^>]{{0,200}}src\s*=\s*[\"']?{_QUERY}",
    )
)
_HIDDEN = (
    "[\U000e0000-\U000e007f]",
    f"[{_ZERO_WIDTH}]{{4,}}",
    r"<!--\s*(?:[^\s<>-]+\s+){2,}[^\s<>-]+",
    r"""(?i)<[a-z][^<>]{0,400}\bstyle\s*=\s*["'][^"'<>]{0,400}(?:display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?:px|pt|em|%|\s*[;"']))""",
    r"[A-Za-z0-9+/]{200,}={0,2}|[A-Za-z0-9_-]{200,}={0,2}",
)
_DATA_URI = r"data:[a-z]+/[a-z0-9.+-]+(?:;[a-z0-9=-]+)*;base64,[A-Za-z0-9+/=\s]+"
_FILLED = re.compile(
    r"(?:the words?\s+|word\s+)[\"'“‘]?([\w-]{3,40})[\"'”’]?\s+(?:is\s+|being\s+)?(?:replaced|with|by)"
)


def folded(texts: pl.Series) -> pl.Series:
    """`texts` as the families look at them: NFKC, letter case folded, without zero-width and other invisible marks."""
    return texts.str.normalize("NFKC").str.replace_all(_INVISIBLE, "").str.to_lowercase()


def own_patterns(declared: object) -> dict[str, list[str]]:
    """The team's own families: ``{family: [regex, …]}``, or a list of regexes (family ``own``).

    Raises:
        InputError: if it is neither, or a regex is none that runs in linear time.
    """
    if declared is None:
        return {}
    named: Mapping[object, object] = declared if isinstance(declared, Mapping) else {"own": declared}
    found: dict[str, list[str]] = {}
    for family, patterns in named.items():
        listed = [patterns] if isinstance(patterns, str) else patterns
        if not isinstance(listed, Sequence) or not all(isinstance(one, str) for one in listed):
            hint = "instruction_patterns is {family: [regex, …]} or [regex, …]"
            raise InputError("declared instruction_patterns are no regexes", hint=hint)
        for one in listed:
            try:
                pl.select(pl.lit("").str.contains(one))
            except pl.exceptions.ComputeError as problem:
                hint = "look-around and back-references are not among what it may hold"
                raise InputError(
                    f"declared instruction_patterns: not a linear-time regex: {one!r}", hint=hint
                ) from problem
        found[str(family)] = [str(one) for one in listed]
    return found


FOUND = pl.Schema({"text": pl.Int64(), "families": pl.List(pl.String()), "spans": pl.List(pl.String())})
"""Columns of `instruction_like`."""


def instruction_like(texts: pl.Series, own: Mapping[str, Sequence[str]] | None = None) -> pl.DataFrame:
    """The texts that resemble instructions to a model: one of `ALONE`, one of `own`, or two families in one window.

    Args:
        texts: distinct texts.
        own: further families, each with regexes over text as `folded` gives it; one of them is enough.

    Returns:
        `FOUND`, in the order of `texts`: ``text`` is the place of the text; ``spans`` what matched, in the order of
        ``families``.
    """
    rows = families(texts, own)
    enough = pl.col("family").is_in([*ALONE, *(own or {})])
    strong = rows.filter(enough.any().over("text", "start") | (pl.col("family").n_unique().over("text", "start") > 1))
    # The first window that tells; what stands alone is of no window, and joins it.
    first = strong.filter((pl.col("start") == pl.col("start").min().over("text")) | enough)
    first = first.unique(["text", "family"], keep="first", maintain_order=True)
    told = first.group_by("text", maintain_order=True).agg(families=pl.col("family"), spans=pl.col("span"))
    return told.sort("text").select(FOUND.names()).cast(FOUND)


def families(texts: pl.Series, own: Mapping[str, Sequence[str]] | None = None) -> pl.DataFrame:
    """Which families each window of each text holds.

    Returns:
        text (place), start (character at which the window begins), family, span (what matched first); ordered by these.
        `ALONE` is looked for in whole texts: ``start`` is 0 there.
    """
    if texts.is_empty():
        return _ROWS.to_frame()
    order = [*FAMILIES, *(own or {})]
    parts = [_hidden(texts), _scaffolds(texts), *(_windows(texts, own or {}))]
    rows = pl.concat(parts).with_columns(pl.col("family").cast(pl.Enum(list(dict.fromkeys(order)))))
    return rows.sort("text", "start", "family").with_columns(
        pl.col("family").cast(pl.String), pl.col("span").str.slice(0, SPAN)
    )


_ROWS = pl.Schema({"text": pl.Int64(), "start": pl.Int64(), "family": pl.String(), "span": pl.String()})


def _windows(texts: pl.Series, own: Mapping[str, Sequence[str]]) -> Iterator[pl.DataFrame]:
    every = [*_PATTERNS.items(), *((family, tuple(patterns)) for family, patterns in own.items())]
    patterns = {family: "|".join(f"(?:{one})" for one in parts) for family, parts in every if parts}
    for at in range(0, len(texts), MANY):
        part = texts.slice(at, MANY)
        flat = folded(part)
        likely = pl.select(
            pl.sum_horizontal(
                *(pl.lit(flat).str.contains(pattern).cast(pl.Int8) for pattern in patterns.values())
            ).alias("n")
        )["n"].fill_null(0)
        rows = pl.DataFrame({"text": pl.int_range(at, at + len(part), eager=True), "whole": part})
        rows = rows.filter(likely > 0)
        starts = pl.int_ranges(0, (pl.col("whole").str.len_chars().cast(pl.Int64) - (WINDOW - STRIDE)).clip(1), STRIDE)
        windows = rows.with_columns(start=starts).explode("start")
        windows = windows.with_columns(window=pl.col("whole").str.slice(pl.col("start"), WINDOW)).drop("whole")
        windows = windows.with_columns(window=folded(windows["window"]))
        for family, pattern in patterns.items():
            yield _rows(windows.with_columns(span=pl.col("window").str.extract(f"({pattern})", 1)), family)


def _rows(found: pl.DataFrame, family: str) -> pl.DataFrame:
    rows = found.filter(pl.col("span").is_not_null()).with_columns(family=pl.lit(family))
    return rows.select(_ROWS.names()).cast(_ROWS)


def _placed(texts: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"text": pl.int_range(len(texts), eager=True), "start": 0, "raw": texts})


def _hidden(texts: pl.Series) -> pl.DataFrame:
    """Texts with something in them that a reader does not see."""
    rows = _placed(texts)
    # An image that is written into the text is no hidden text.
    plain = pl.col("raw").str.replace_all(_FLAG, "").str.replace_all(_DATA_URI, "")
    rows = rows.with_columns(raw=plain)
    encoded = rows.with_columns(span=pl.col("raw").str.extract(f"({_HIDDEN[-1]})", 1))
    mixed = pl.all_horizontal(pl.col("span").str.contains(one) for one in ("[A-Z]", "[a-z]", "[0-9]"))
    return pl.concat(
        [
            *(
                _rows(rows.with_columns(span=pl.col("raw").str.extract(f"({pattern})", 1)), "hidden")
                for pattern in _HIDDEN[:-1]
            ),
            _rows(encoded.filter(mixed), "hidden"),
        ]
    ).unique("text", keep="first", maintain_order=True)


def _scaffolds(texts: pl.Series) -> pl.DataFrame:
    """Texts with a link whose query is to be filled in: by a placeholder, by nothing, or by a word to be replaced."""
    links = texts.str.contains(r"\]\(\s*<?https?://|\]:\s*<?https?://|(?i)<img\b").fill_null(value=False)
    rows = _placed(texts).filter(links)
    flat = folded(rows["raw"])
    rows = rows.with_columns(span=flat.str.extract(f"({_SCAFFOLD})", 1), flat=flat)
    worded = rows.filter(pl.col("span").is_null() & pl.col("flat").str.contains(r"\bwords?\s"))
    spans = [_filled(text) for text in worded["flat"].to_list()]
    worded = worded.with_columns(span=pl.Series(spans, dtype=pl.String))
    return pl.concat([_rows(rows, "scaffold"), _rows(worded, "scaffold")])


def _filled(text: str) -> str | None:
    """A link with a word in its query that the text says is to be replaced."""
    for word in _FILLED.findall(text):
        met = re.search(rf"\]\(\s*<?https?://[^)\s]*[?&][^)\s=]{{1,40}}={re.escape(word)}\b", text)
        if met:
            return met.group()
    return None


@dataclass(frozen=True)
class Link:
    """A link or image in a text: its URL as written, its host (lower case, no port), and whether it is an image."""

    url: str
    host: str
    image: bool


_URL = re.compile(
    r"(?P<image>!\[[^\]\n]{0,200}\]\(\s*<?|<img\b[^>]{0,200}?src\s*=\s*[\"']?)?(?P<url>https?://[^\s<>\"'`)\]}]+)"
)


def links(text: str) -> list[Link]:
    """The links and images in `text`, each URL once, in order."""
    found: dict[str, Link] = {}
    for met in _URL.finditer(text):
        url = met["url"].rstrip(".,;:!?*_")
        host = host_of(url)
        if host:
            found.setdefault(url, Link(url, host, met["image"] is not None))
    return list(found.values())


def host_of(url: str) -> str:
    """The host of `url`, in lower case, without user and port; empty where it has none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def defanged(host: str) -> str:
    """`host` in a form that nothing makes a link of.

    >>> defanged("a.example")
    'a[.]example'
    """
    return host.replace(".", "[.]")


def allowed(host: str, hosts: Sequence[str]) -> bool:
    """Whether `host` is one of `hosts`, or lies below one.

    >>> allowed("docs.a.example", ["a.example"]), allowed("nota.example", ["a.example"])
    (True, False)
    """
    names = [one.lower().removeprefix("*.").rstrip(".") for one in hosts]
    return any(host == one or host.endswith("." + one) for one in names)


def query_values(url: str, least: int) -> list[str]:
    """The values in the query of `url` of at least `least` characters, as `plain`; what is base64 decoded as well."""
    try:
        pairs = parse_qsl(urlsplit(url).query, keep_blank_values=False, max_num_fields=100)
    except ValueError:
        return []
    ways = (plain(one) for _, value in pairs for one in (value, unquote_plus(value), _decoded(value)) if one)
    return list(dict.fromkeys(one for one in ways if len(one) >= least))


def _decoded(value: str) -> str | None:
    if len(value) < 8 or not re.fullmatch(r"[A-Za-z0-9+/_-]+={0,2}", value):
        return None
    padded = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        text = base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    return text if text.isprintable() else None


@cache
def _invisible() -> re.Pattern[str]:
    return re.compile(_INVISIBLE)


def plain(text: str) -> str:
    """`text` as it is compared: NFKC, letter case folded, no invisible marks, white space as one space."""
    shown = _invisible().sub("", unicodedata.normalize("NFKC", text)).casefold()
    return " ".join(shown.split())


_QUOTED = re.compile(r"\"([^\"\n]{8,80})\"|“([^”\n]{8,80})”|(?<!\w)'([^'\n]{8,80})'(?!\w)|`([^`\n]{8,80})`")
_MARKER = re.compile(
    r"\b(?:(?=[A-Za-z_-]*[0-9])(?=[0-9_-]*[A-Za-z])[A-Za-z0-9][A-Za-z0-9_-]{7,}|[A-Z][A-Z0-9_-]{7,})\b"
)


def markers(text: str) -> list[str]:
    """Strings of a text that would be told again if they stood elsewhere, as `plain`.

    Hosts, quoted strings, and words of eight or more characters that hold a digit or are all capitals.
    """
    found = [one.host for one in links(text)]
    found += [next(part for part in met if part) for met in _QUOTED.findall(text)]
    found += _MARKER.findall(text)
    return [one for one in dict.fromkeys(plain(said) for said in found) if len(one) >= 8]


SCRIPTS = (
    *(
        "Arabic",
        "Armenian",
        "Bengali",
        "Cyrillic",
        "Devanagari",
        "Ethiopic",
        "Georgian",
        "Greek",
        "Gujarati",
        "Gurmukhi",
    ),
    *("Han", "Hangul", "Hebrew", "Hiragana", "Kannada", "Katakana", "Khmer", "Lao", "Latin", "Malayalam", "Myanmar"),
    *("Sinhala", "Tamil", "Telugu", "Thai", "Tibetan"),
)
"""Unicode scripts that are told apart."""


def script_letters(texts: pl.Series) -> pl.DataFrame:
    """How many letters of each of `SCRIPTS` each text holds, and ``letters`` in all; one row per text."""
    column = pl.lit(texts)
    counts = [column.str.count_matches(rf"\p{{{script}}}").alias(script) for script in SCRIPTS]
    return pl.select([column.str.count_matches(r"\p{L}").alias("letters"), *counts])


def repetition(text: str, words: int = 6) -> float:
    """The share of runs of `words` words that were there before; 0 for a text too short to tell.

    >>> repetition("a b c d e f " * 10) > 0.5
    True
    """
    every = text.split()
    runs = [tuple(every[n : n + words]) for n in range(len(every) - words + 1)]
    return 0.0 if len(runs) < 2 * words else 1 - len(set(runs)) / len(runs)


_ACTS = (
    "deleted|removed|erased|dropped|wiped|sent|emailed|e-mailed|messaged|notified|forwarded|escalated|created|opened|"
    "closed|filed|submitted|updated|changed|modified|edited|overwrote|overwritten|renamed|moved|booked|reserved|"
    "scheduled|cancelled|canceled|refunded|credited|charged|paid|transferred|processed|approved|ordered|executed|"
    "deployed|installed|restarted|rolled back|reverted|committed|pushed|merged|saved|stored|uploaded|published|"
    "posted|reset|restored|disabled|enabled|activated|deactivated|registered|subscribed|unsubscribed|called|"
    "contacted|run|ran"
)
_OUTRIGHT = "deleted|removed|erased|wiped|emailed|cancelled|canceled|refunded|transferred|executed|rolled back|deployed"
_CLAIM = "|".join(
    (
        rf"\bI(?:['’]ve| have)(?: now| just| already| also| successfully| gone ahead and)* (?:{_ACTS})\b",
        rf"\bI (?:now |just |already |also |successfully |went ahead and )(?:{_ACTS})\b",
        rf"\bI (?:{_OUTRIGHT})\b",
    )
)


def claims(texts: pl.Series) -> pl.Series:
    """What each text says the system itself has done, the first such words; null where it says nothing of the kind.

    What is quoted, or written as code, is somebody else's or a draft, and left out.
    """
    bare = (
        texts.str.replace_all(r"(?s)```.*?(?:```|\z)", " ")
        .str.replace_all(r"(?m)^\s*>.*$", " ")
        .str.replace_all(r'"[^"\n]*"|“[^”\n]*”|`[^`\n]*`', " ")
    )
    return bare.str.extract(f"((?:{_CLAIM})[^.!?\\n]{{0,60}})", 1)


PLACEHOLDER = r"\{\{\s*[^{}\n]{1,80}\s*\}\}|\{[a-z_][a-z0-9_]*\}|\$\{[A-Za-z_][A-Za-z0-9_.]*\}|<%=?[^%\n]{1,80}%>"
"""A variable of a template that nothing was put in place of."""
