"""What a log can still tell that no format describes: a format drafted from its own records.

Keys and the shapes of their values say which is the time, which are ids, who speaks, and about which layer of the
product. Nothing here is known: every mapping carries the reason for it (`Draft.reasons`), which becomes a note of the
case, and a comment in the file that ``strataline new-format`` writes.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import msgspec
import polars as pl

from strataline.format import (
    QUOTABLE,
    RESERVED,
    Documents,
    Duration,
    Event,
    Field,
    Format,
    Id,
    Recognise,
    Ref,
    filled,
    group,
    number,
    pair,
    path,
    present,
    whole,
    words,
)
from strataline.parse.times import read_times
from strataline.parse.vocabulary import (
    CLOSERS,
    DOCUMENT_IDS,
    DOCUMENTS,
    DURATIONS,
    ENDS,
    ERRORS,
    FACTS,
    FAILED,
    FINDINGS,
    GROUPS,
    IDS,
    KINDS,
    LAYER_WORDS,
    LEVELS,
    NAMES,
    OPENERS,
    PARENTS,
    REFS,
    SECRET,
    SERVICES,
    SPANS,
    STARTS,
    TIMES,
    TURN,
    UNITS,
    VERDICT_KEYS,
    VERDICTS,
    normal,
)

LOOKED = 2000
"""Records that a draft is made from, the first of the source."""

DEPTH = 4
COMMON = 0.02
"""Share of the records that must have a key before it is looked at."""

MOST_ATTRIBUTES = 24
MOST_FIELDS = 400
"""Paths, at most, that a draft looks at: those that most records have."""

LINE_CHARS, LOOKED_CHARS = 4096, 1 << 20
"""Characters of one line, and of all lines together, that a draft is made from: a hostile line must cost little."""

FEW_OPENINGS = 3
"""Requests that a name must open before it is taken for what opens them."""

MARKS = 6
"""Keys that a format file is drafted with as marks."""

LOGGERS = 4
"""Names of loggers, at most, that a drafted pattern lists."""

SHORT = 120
"""Characters of an error that are kept where its type was looked for."""

JSON, TEXT = "generic_json", "generic_text"
"""The names of formats that are drafted, and not known."""

_HEADS = (
    (
        r"\[?(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?)\]?",
        "the beginning of most lines: a time, ISO 8601",
    ),
    (
        r"\[?(?P<time>\d{4}/\d\d/\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?)\]?",
        "the beginning of most lines: a time, year/month/day",
    ),
    (
        r"\[?(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]?",
        "the beginning of most lines: a time, day/month/year",
    ),
    (r"(?P<time>1\d{9}(?:\.\d+)?|1\d{12})", "the beginning of most lines: seconds or milliseconds since 1970"),
    (
        r"(?P<time>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)",
        "the beginning of most lines: a time of syslog, which states no year and is none",
    ),
)
_LEVELS = "TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL"
_LEVEL = f"(?P<level>{_LEVELS}|{_LEVELS.lower()})"
_MESSAGE = r"(?P<message>(?P<said>[A-Za-z][\w.\-]*)?.*)"
_PARTS = ("time", "level", "logger", "message", "said")
"""Groups of the patterns of text: their names are ours, and say nothing of the log."""

_PAIR = re.compile(r'(?:^|[\s,;({\[])([A-Za-z_][A-Za-z0-9_.\-]*)=("(?:[^"\\]|\\.)*"|[^\s,;"]*)')
_WORD = re.compile(r"[a-z]+")
_LASTED = re.compile(r"(?:\d+(?:\.\d+)?\s*(?:h|ms|m|s|µs|μs|us|ns))+")
_ISO_LIKE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\d\d?\.\d\d?\.\d{4} \d\d?:\d\d")
"""How a time looks that has no name that is known: ISO 8601, or day.month.year."""
_ID_LIKE = re.compile(r"(?i)^(?:[0-9a-f]{16,}|[0-9a-f]{8}-[0-9a-f-]{27}|[a-z][a-z0-9]{0,15}[-_:][a-z0-9_-]{12,})$")

_NAMED_ID = re.compile(r"(?i)^(?:[0-9a-f]{8}-[0-9a-f-]{27}|[a-z][a-z0-9]{0,15}[-_:][a-z0-9_-]{16,})$")
"""Ids that join whatever they are called; a hash of a text joins what holds the same text."""


@dataclass(frozen=True)
class Said:
    """What a column takes: fields, and how they are read (`first`, `words`, `whole`, `number`)."""

    how: str
    names: tuple[str, ...]
    table: Mapping[str, str] = field(default_factory=dict)

    def expr(self) -> pl.Expr:
        """As the kernel wants it."""
        name = self.names[0]
        if self.how == "words":
            return words(name, self.table, default="unknown")
        if self.how == "failed":
            return words(name, self.table)
        if self.how == "short":
            return pl.col(name).str.slice(0, SHORT)
        if self.how in ("whole", "number"):
            return {"whole": whole, "number": number}[self.how](name)
        return filled(*self.names)


@dataclass
class Draft:
    """A format in the making.

    Args:
        container: json or text.
        fields: name → where it lies.
        reasons: what was guessed, about which event column, id or time, and from what.
    """

    container: str
    layer: str = "other"
    fields: dict[str, Field] = field(default_factory=dict)
    columns: dict[str, Said] = field(default_factory=dict)
    ids: list[tuple[str, str, str | None]] = field(default_factory=list)
    refs: list[tuple[str, str, str]] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)
    documents: tuple[str, str | None, str | None] | None = None
    kinds: list[tuple[str, str]] = field(default_factory=list)
    opening: list[str] = field(default_factory=list)
    verdict: str | None = None
    time: str | None = None
    time_kind: str = "write"
    duration: tuple[str, str] | None = None
    pattern: str | None = None
    keys: tuple[tuple[str, ...], ...] = ()
    where: tuple[tuple[tuple[str, ...], str], ...] = ()
    name_field: str | None = None
    reasons: dict[str, str] = field(default_factory=dict)

    def plain_kind(self) -> str:
        """The kind of a record of whose words none is known."""
        return "app.log" if self.layer in ("prompt", "other") else f"{self.layer}.log"

    def event_kind(self) -> pl.Expr:
        """The kind of each record, from its own words."""
        kind: pl.Expr = pl.lit(self.plain_kind())
        if self.name_field is not None:
            name = pl.col(self.name_field).str.to_lowercase()
            for one, pattern in reversed(self.kinds):
                kind = pl.when(name.str.contains(pattern)).then(pl.lit(one)).otherwise(kind)
            if self.opening:
                kind = (
                    pl.when(pl.col(self.name_field).is_in(self.opening)).then(pl.lit("prompt.received")).otherwise(kind)
                )
        if self.verdict is not None:
            kind = pl.when(present(self.verdict)).then(pl.lit("policy.decision")).otherwise(kind)
        return kind

    def format(self, name: str, like: Format | None = None) -> Format:
        """The draft as a format called `name`; what `like` says of title, source and zone is kept."""
        return Format(
            name=name,
            title=like.title if like else "a log that no format describes, read by guesses",
            layer=self.layer,
            reference=like.reference if like else "guessed from the records themselves",
            verified=like.verified if like else False,
            recognise=like.recognise if like else self.marks(),
            container=self.container,
            pattern=self.pattern,
            fields=self.fields,
            time=self.time,
            time_kind=self.time_kind,
            zone=like.zone if like else None,
            duration=Duration(*self.duration) if self.duration else None,
            columns={column: said.expr() for column, said in self.columns.items()},
            ids=tuple(Id(kind, name, derive=derive) for kind, name, derive in self.ids),
            refs=tuple(Ref(kind, name, relation) for kind, name, relation in self.refs),
            attributes={name: name for name in self.attributes},
            events=(Event(self.event_kind(), documents=self._documents()),),
        )

    def marks(self) -> Recognise:
        """Keys that every looked-at record has; where there are none, any of those that are read."""
        if self.container == "text":
            return Recognise()
        if self.keys or self.where:
            return Recognise(keys=self.keys, where=self.where)
        return Recognise(any_of=(tuple(one.segments for one in self.fields.values()),))

    def _documents(self) -> Documents | None:
        if self.documents is None:
            return None
        name, key, score = self.documents
        return Documents(name, id=(key,) if key else (), score=(score,) if score else None)


def draft_objects(objects: Sequence[str], layer: str | None = None, *, wrapped: bool = False) -> Draft | None:
    """Draft a format for records that are JSON objects; null if these tell neither a time nor an id.

    Args:
        objects: the records, as text.
        layer: the layer they are of, where a person says it.
        wrapped: whether they lay in a wrapper, which then tells their time: they need neither.
    """
    records = [one for one in (_decoded(text) for text in objects[:LOOKED]) if one is not None]
    if not records:
        return None
    values: dict[tuple[str, ...], list[Any]] = defaultdict(list)
    for record in records:
        for where, value in _leaves(record, ()):
            values[where].append(value)
    often = sorted(values, key=lambda where: -len(values[where]))[:MOST_FIELDS]
    kept = {where for where in often if len(values[where]) >= COMMON * len(records)}
    common = {where: some for where, some in values.items() if where in kept}
    names = _field_names(common)
    texts = {names[where]: [_text(value) for value in some] for where, some in common.items()}
    draft = Draft("json")
    draft.fields = {name: path(*where, verbatim=_is_float(common[where])) for where, name in names.items()}
    draft.keys = tuple(where for where, some in common.items() if len(some) == len(records) and len(where) == 1)
    rows = [
        {names[where]: _text(value) for where, value in _leaves(record, ()) if where in names} for record in records
    ]
    _fill(draft, texts, {name: ".".join(where) for where, name in names.items()}, rows, layer)
    _keep_used(draft)
    told = draft.time is not None or any(kind != "event_uuid" for kind, _, _ in draft.ids)
    return draft if told or (wrapped and draft.fields) else None


def draft_lines(lines: Sequence[str], layer: str | None = None, *, wrapped: bool = False) -> Draft | None:
    """Draft a format for lines of text: a time at their head, ``key=value`` pairs, or both; null if neither.

    Args:
        lines: the records.
        layer: the layer they are of, where a person says it.
        wrapped: whether they lay in a wrapper, which then tells their time: they need neither.
    """
    looked = [line.split("\n", 1)[0].rstrip("\r")[:LINE_CHARS] for line in lines[:LOOKED] if line.strip()]
    looked = looked[: sum(chars <= LOOKED_CHARS for chars in accumulate(map(len, looked)))]
    if not looked:
        return None
    head = _head(looked)
    pairs = [dict(reversed(_PAIR.findall(line))) for line in looked]
    common = Counter(key for one in pairs for key in one)
    paired = [key for key, count in common.items() if count >= max(2, COMMON * len(looked)) and len(key) <= 64]
    many = sum(len(one) >= 2 for one in pairs) / len(looked)
    if head is None and many < 0.5 and not wrapped:
        return None
    draft = Draft("text")
    texts: dict[str, list[str]] = {}
    if head is None and many < 0.5:
        head = (_MESSAGE, "the wrapper: the lines themselves begin with no time")
    if head is not None:
        draft.pattern, how = head
        found = [re.match(f"(?:{draft.pattern})$", line) for line in looked]
        for name in _PARTS:
            some = [one[name] for one in found if one is not None and name in one.re.groupindex and one[name]]
            if some:
                draft.fields[name] = group(name)
                texts[name] = some
        draft.reasons["head"] = how
    else:
        draft.pattern = r".*?[A-Za-z_][A-Za-z0-9_.\-]*=.*"
    taken: dict[str, str] = {}
    for key in paired:
        name = _name(key, taken)
        taken[key] = name
        draft.fields[name] = pair(key)
        texts[name] = [one[key].strip('"') for one in pairs if one.get(key)]
    rows = [{taken[key]: value.strip('"') for key, value in one.items() if key in taken} for one in pairs]
    if "message" in texts:
        for row, line in zip(rows, looked, strict=True):
            told = re.match(f"(?:{draft.pattern})$", line)
            if told and told["message"]:
                row["message"] = told["message"]
                row["said"] = told["said"] or ""
    where = {**{name: name for name in texts}, **{name: key for key, name in taken.items()}}
    _fill(draft, texts, where, rows, layer)
    _keep_used(draft)
    return draft if draft.time is not None or draft.ids or wrapped else None


def settle_objects(draft: Draft, objects: Sequence[str], beyond: int = 0) -> None:
    """Give the draft marks that a format file can stand on: few keys that every record has, and a word all share.

    Args:
        draft: what `draft_objects` made.
        objects: the records that must carry the marks; the more, the surer.
        beyond: what the marks are to exceed in specificity, if there are enough.
    """
    records = [one for one in (_decoded(text) for text in objects) if one is not None]
    services = draft.columns.get("service", Said("first", ())).names
    named = [draft.fields[name].segments for name in services]
    constant = [where[0] for where in named if len(where) == 1 and isinstance(where[0], str)]
    for key in constant[:1]:
        values = [record.get(key) for record in records]
        value = values[0] if values else None
        if isinstance(value, str) and 0 < len(value) <= SHORT and all(one == value for one in values):
            draft.where = (((key,), f"^{literal(value)}$"),)
    common = set.intersection(*(set(record) for record in records)) if records else set()
    told = [where[0] for where in draft.keys]
    # What every kind of record of a log has is its time, its level and what it says; ids come and go.
    steady = [draft.time, draft.name_field, *services, *draft.columns.get("outcome", Said("first", ())).names]
    named = [draft.fields[name].segments for name in dict.fromkeys([*steady, *draft.fields]) if name is not None]
    used = [where[0] for where in named if len(where) == 1]
    marked = {where[0] for where, _ in draft.where}
    ranked = [key for key in dict.fromkeys([*used, *told]) if key in common and key in told and key not in marked]
    enough = max(MARKS - 2 * len(draft.where), beyond + 1 - 2 * len(draft.where))
    draft.keys = tuple((str(key),) for key in ranked[:enough])
    some = f"{len(records)} records that were looked at"
    draft.reasons["marks"] = f"keys that all of the {some} have" + (", and a value that they share" * bool(draft.where))


def settle_lines(draft: Draft, lines: Sequence[str]) -> None:
    """Narrow the draft's pattern to what all of its lines share: who wrote them, and keys that stand in each.

    It still describes each of `lines` that it described before.
    """
    text = pl.Series([line.split("\n", 1)[0].rstrip("\r") for line in lines], dtype=pl.String)
    mine = text.filter(_describes(draft.pattern or "", text))
    shared: list[str] = []
    wide = draft.pattern or ""
    loggers = mine.str.extract_groups(f"^(?:{wide})$") if "(?P<logger>" in wide else None
    if loggers is not None:
        names = loggers.struct.field("logger").drop_nulls().unique().sort().to_list()
        any_name = r"(?P<logger>[A-Za-z_][\w.\-/]*)"
        if 0 < len(names) <= LOGGERS and any_name in wide:
            said = "|".join(literal(name) for name in names)
            narrow = wide.replace(any_name, f"(?P<logger>{said})")
            if _alike(narrow, wide, mine):
                wide = narrow
                shared.append(f"who wrote them ({', '.join(names)})")
    pairs = [list(dict.fromkeys(key for key, _ in _PAIR.findall(line))) for line in mine.head(LOOKED)]
    first = pairs[0] if pairs else []
    order = [key for key in first if all(key in one for one in pairs)]
    order = [key for n, key in enumerate(order) if all(_ordered(one, order[: n + 1]) for one in pairs)][:MARKS]
    if order:
        begins = r"(?:^|.*?[\s,;({\[])" if "(?P<message>" not in wide else r".*?"
        tail = begins + r".*?[\s,;({\[]".join(f"{literal(key)}=" for key in order) + ".*"
        ends = r"(?P<message>(?P<said>[A-Za-z][\w.\-]*)?.*)"
        narrow = wide.replace(ends, ends.removesuffix(".*)") + tail + ")") if ends in wide else tail
        if _alike(narrow, wide, mine):
            wide = narrow
            shared.append(f"keys in each ({', '.join(order)})")
    draft.pattern = wide
    draft.reasons["pattern"] = (
        f"narrowed to what the {len(mine)} lines that were looked at share: {'; '.join(shared)}"
        if shared
        else "nothing that these lines share narrows it: it describes any line with such a head; narrow it by hand"
    )


def _ordered(keys: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether `wanted` stand in `keys` in this order."""
    places = [keys.index(key) for key in wanted]
    return places == sorted(places)


def _describes(pattern: str, text: pl.Series) -> pl.Series:
    return text.str.contains(f"^(?:{pattern})$").fill_null(value=False)


def _alike(narrow: str, wide: str, text: pl.Series) -> bool:
    """Whether both patterns say the same of each line."""
    one, other = (text.str.extract_groups(f"^(?:{pattern})$") for pattern in (narrow, wide))
    return bool(_describes(narrow, text).all()) and one.to_list() == other.to_list()


def literal(text: str) -> str:
    """A regex of every engine that means exactly `text`."""
    return "".join("\\" + c if c in r"\.+*?()[]{}|^$-" else c for c in text)


def _fill(
    draft: Draft,
    texts: Mapping[str, Sequence[str]],
    where: Mapping[str, str],
    rows: Sequence[Mapping[str, str]],
    layer: str | None = None,
) -> None:
    """Guess what each field is. `texts`: its values; `where`: its key as written; `rows`: the records."""
    keys = {name: (normal(where[name].rsplit(".", 1)[-1]), normal(where[name])) for name in texts}
    left = dict.fromkeys(texts)

    def named(*wanted: str) -> list[str]:
        """Fields called so, in the order of `wanted`, by their last key or by all of them."""
        return [name for one in wanted for name in left if one in keys[name]]

    def take(name: str) -> str:
        left.pop(name, None)
        return name

    _time(draft, texts, keys, where, left)
    for name in [name for name in left if DURATIONS.search(keys[name][0])]:
        unit = next((unit for pattern, unit in UNITS if pattern.search(where[name])), None)
        if draft.duration is None and unit is not None and _numeric(texts[name]):
            draft.duration = (take(name), unit)
            draft.reasons["duration"] = f"`{where[name]}`: its name, and numbers; the unit is the end of the name"
        elif draft.duration is None and all(map(_LASTED.fullmatch, texts[name][:50])):
            draft.duration = (take(name), "text")
            draft.reasons["duration"] = f"`{where[name]}`: its name, and numbers with their units"
    for name in list(left):
        # `trace.id` is a trace's before it is an id; an `id` further in is of something that the record speaks of.
        last, every = keys[name]
        spelt = (every,) if last == "id" or every in (*GROUPS, *SPANS, *PARENTS, *REFS) else (every, last)
        known = next((IDS[key] for key in spelt if key in IDS), None)
        if known is not None:
            kind, derive = known
            draft.ids.append((kind, take(name), derive))
            draft.reasons[f"id {kind} ({name})"] = f"`{where[name]}`: its name"
        elif (shared := next((GROUPS[key] for key in (every, last) if key in GROUPS), None)) is not None:
            if shared in draft.columns:
                draft.columns[shared] = Said("first", (*draft.columns[shared].names, take(name)))
            else:
                draft.columns[shared] = Said("first", (take(name),))
            draft.reasons[shared] = f"`{where[name]}`: its name; shared by many records"
        elif (ref := next((REFS[key] for key in (every, last) if key in REFS), None)) is not None:
            draft.refs.append((ref[0], take(name), ref[1]))
            draft.reasons[f"ref {ref[1]}"] = f"`{where[name]}`: its name; the id of another record"
        elif last in SPANS or every in SPANS:
            draft.columns["span_id"] = Said("first", (take(name),))
            draft.reasons["span_id"] = f"`{where[name]}`: its name"
        elif (last in PARENTS or every in PARENTS) and all(map(_ID_LIKE.match, texts[name][:50])):
            draft.columns["parent_id"] = Said("first", (take(name),))
            draft.reasons["parent_id"] = f"`{where[name]}`: its name"
        elif last != "id" and last.endswith("id") and _distinct_ids(texts[name]):
            draft.ids.append((name.lower(), take(name), None))
            draft.reasons[f"id {name.lower()}"] = f"`{where[name]}`: ends in id, and its values look like ids"
    if not draft.ids:
        # A log in other words than these: what is prefixed as requests are, or a UUID, names something all the same.
        for name in [
            name for name in left if _distinct_ids(texts[name]) and all(map(_NAMED_ID.match, texts[name][:100]))
        ]:
            draft.ids.append((name.lower(), take(name), None))
            draft.reasons[f"id {name.lower()}"] = (
                f"`{where[name]}`: its values look like ids, and no field is called one"
            )
    services = named(*SERVICES)
    if services:
        draft.columns["service"] = Said("first", (services[0],))
        draft.reasons["service"] = f"`{where[services[0]]}`: its name"
    if layer is None:
        _layer(draft, texts, where, rows)
    else:
        draft.layer = layer
        draft.reasons["layer"] = f"{layer}: you said so"
    for name in [name for key in VERDICT_KEYS for name in named(key)]:
        meant = VERDICTS | FINDINGS.get(keys[name][0], {})
        told = sum(value.lower() in meant for value in texts[name])
        if draft.layer == "policy" and draft.verdict is None and told >= 0.8 * len(texts[name]):
            draft.verdict = take(name)
            found = sorted({value.lower() for value in texts[name]} & set(meant))
            draft.columns["verdict"] = Said("words", (name,), meant)
            draft.reasons["verdict"] = f"`{where[name]}`: its words ({', '.join(found)}); any other is unknown"
    said = _name_field(texts, named(*NAMES))
    if said is not None:
        draft.name_field = said
        draft.columns["name"] = Said("first", (take(said),))
        draft.reasons["name"] = f"`{where[said]}`: its name, and that few values recur"
    elif "message" in left:
        draft.columns["name"] = Said("short", ("message",))
    for name in list(left):
        fact = next((FACTS[key] for key in keys[name] if key in FACTS), None)
        if fact is None or fact[0] in draft.columns or (fact[1] != "first" and not _numeric(texts[name])):
            continue
        column, how = fact
        if column == "http_status" and not all(100 <= float(value) < 600 for value in texts[name]):
            continue
        draft.columns[column] = Said(how, (take(name),))
        draft.reasons[column] = f"`{where[name]}`: its name"
    for name in named(*LEVELS)[:1]:
        draft.columns["outcome"] = Said("failed", (name,), FAILED)
        draft.reasons["outcome"] = f"`{where[name]}`: error where it says so; nothing is said of other levels"
    for name in [name for name in named(*ERRORS) if not any(value.startswith(("{", "[")) for value in texts[name])][:1]:
        draft.columns["error_type"] = Said("short", (name,))
        draft.reasons["error_type"] = f"`{where[name]}`: its name"
    for name in named(*DOCUMENTS):
        if draft.documents is None and (keyed := _listed(texts[name])) is not None:
            draft.documents = (take(name), *keyed)
            draft.reasons["documents"] = f"`{where[name]}`: its name, and that it holds lists"
    _kinds(draft, _opening(draft, rows), told=layer is not None)
    rest = [name for name in left if not SECRET.search(where[name]) and not _long(texts[name])]
    draft.attributes = sorted(rest, key=lambda one: (-len(texts[one]), one))[:MOST_ATTRIBUTES]


def _time(
    draft: Draft,
    texts: Mapping[str, Sequence[str]],
    keys: Mapping[str, tuple[str, str]],
    where: Mapping[str, str],
    left: dict[str, None],
) -> None:
    """The field that holds the time: by its name if its values are times, else by its values."""
    by_name = [name for key in TIMES for name in texts if key in keys[name]]
    by_value = [name for name, some in texts.items() if all(map(_ISO_LIKE.match, some[:50]))]
    for name in dict.fromkeys([*by_name, *by_value]):
        read = read_times(pl.Series(texts[name], dtype=pl.String), "auto", "UTC").struct.field("ns")
        year = pl.select(pl.from_epoch(pl.lit(read), "ns").dt.year()).to_series()
        if year.is_between(2000, 2100).sum() >= 0.9 * len(texts[name]):
            draft.time = name
            left.pop(name, None)
            draft.time_kind = "start" if keys[name][0] in STARTS else "end" if keys[name][0] in ENDS else "write"
            why = "its name, and that its values are times" if name in by_name else "its values are times"
            draft.reasons["time"] = f"`{where[name]}`: {why}; taken as the {draft.time_kind} of the record"
            return
    if draft.container == "text" and "time" in texts:
        # The head of the line is a time, if one that states no year: it is kept as written.
        draft.time = "time"
        left.pop("time", None)


def _layer(
    draft: Draft, texts: Mapping[str, Sequence[str]], where: Mapping[str, str], rows: Sequence[Mapping[str, str]]
) -> None:
    """The layer whose words the keys, and the values that recur, use most."""
    said: Counter[str] = Counter()
    for name, some in texts.items():
        if draft.container == "text" and name in _PARTS:
            continue
        for word in set(_WORD.findall(where[name].lower())) | {normal(where[name])}:
            said[word] += 2
        if len(set(some)) <= 30 and not _long(some):
            for word in {word for value in set(some) for word in _WORD.findall(value.lower())}:
                said[word] += 1
    prose: Counter[str] = Counter()
    for row in rows:
        prose.update(set(_WORD.findall(row.get("message", "").lower())))
    for word, count in prose.items():
        said[word] += count >= 0.05 * len(rows)
    scores = {layer: sum(said[word] for word in words_of) for layer, words_of in LAYER_WORDS.items()}
    best = max(scores, key=lambda layer: (scores[layer], layer))
    if scores[best] >= 3:
        draft.layer = best
        found = [word for word in LAYER_WORDS[best] if said[word]]
        draft.reasons["layer"] = f"{best}: it uses the words {', '.join(found[:8])}"
    else:
        draft.reasons["layer"] = "other: no layer's words are used"


def _opening(draft: Draft, rows: Sequence[Mapping[str, str]]) -> tuple[str, str] | None:
    """The name of the records that open a request, with the reason: they come first and once for each request id."""
    best: tuple[float, str, str] | None = None
    for kind, of, _ in draft.ids:
        if kind not in ("request_id", "trace_id"):
            continue
        first: dict[str, str] = {}
        per: Counter[tuple[str, str]] = Counter()
        for row in rows:
            value, word = row.get(of), row.get(draft.name_field or "")
            if value and word:
                first.setdefault(value, word)
                per[word, value] += 1
        held: dict[str, list[int]] = defaultdict(list)
        for (word, _), count in per.items():
            held[word].append(count)
        for word, count in Counter(first.values()).items():
            low = word.lower()
            once = sum(one == 1 for one in held[word]) / len(held[word])
            if count < FEW_OPENINGS or len(word) > SHORT:
                continue
            if OPENERS.search(low) and not CLOSERS.search(low) and once >= 0.9 and count / len(held[word]) >= 0.8:
                rank = (count / len(first), of, word)
                best = max(best, rank) if best else rank
    if best is None:
        return None
    share, of, word = best
    return (
        word,
        f"records called {word!r}: the word, and that they come first and once for {share:.0%} of the values of {of}",
    )


def _kinds(draft: Draft, opening: tuple[str, str] | None, *, told: bool) -> None:
    """What happened, by the names of the records; the layer stands where a person `told` it."""
    turns = opening is not None and (draft.layer in ("retrieval", "model", "other") and TURN.search(opening[0].lower()))
    if opening is not None and (draft.layer == "prompt" or (turns and not told)):
        if draft.layer != "prompt":
            draft.layer = "prompt"
            draft.reasons["layer"] = f"prompt: its records called {opening[0]!r} open what users ask"
        draft.opening = [opening[0]]
        draft.reasons["prompt.received"] = opening[1]
    draft.kinds = list(KINDS.get(draft.layer, ()))
    if draft.kinds and draft.name_field is not None:
        draft.reasons["kind"] = f"words in {draft.name_field}"


def _head(lines: Sequence[str]) -> tuple[str, str] | None:
    """A pattern that describes most of the lines: a time, perhaps a level, and the rest."""
    for time, how in _HEADS:
        for tail in (
            rf"\s+{_LEVEL}\s+\d+\s+---\s+(?:\[[^\]]*\]\s+)+(?P<logger>[A-Za-z_][\w.\-/$]*)\s*:\s+{_MESSAGE}",
            rf"\s+-\s+(?P<logger>[A-Za-z_][\w.\-/]*)\s+-\s+{_LEVEL}\s+-\s+{_MESSAGE}",
            rf"\s+{_LEVEL}\s+\[[^\]]*\]\s+(?P<logger>[A-Za-z_][\w.\-/]*)\s*[:\-|]\s+{_MESSAGE}",
            rf"\s+\[?{_LEVEL}\]?:?\s+\[?(?P<logger>[A-Za-z_][\w.\-/]*)\]?(?:\[\d+\])?\s*[:\-|]\s+{_MESSAGE}",
            rf"\s+\[?{_LEVEL}\]?\s*[:|\-]?\s+{_MESSAGE}",
            rf"\s*[:|\-]?\s*{_MESSAGE}",
        ):
            pattern = time + tail
            if sum(re.fullmatch(pattern, line) is not None for line in lines) >= 0.6 * len(lines):
                return pattern, how
    return None


def _name_field(texts: Mapping[str, Sequence[str]], wanted: Sequence[str]) -> str | None:
    """The first field that says what happened in words that recur."""
    for name in wanted:
        some = texts[name]
        if len(set(some)) <= max(12, 0.2 * len(some)) and not _long(some):
            return name
    return None


def _keep_used(draft: Draft) -> None:
    used = {draft.time, draft.verdict, draft.name_field, draft.duration[0] if draft.duration else None}
    used |= {draft.documents[0]} if draft.documents else set()
    used |= {name for said in draft.columns.values() for name in said.names} | set(draft.attributes)
    used |= {name for _, name, _ in (*draft.ids, *draft.refs)}
    draft.fields = {name: one for name, one in draft.fields.items() if name in used}


def _decoded(text: str) -> dict[str, Any] | None:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return value if isinstance(value, dict) else None


def _leaves(value: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The values of an object that are no objects, with their paths; what is null or empty tells nothing."""
    for key, one in value.items():
        here = (*above, key)
        if isinstance(one, dict) and len(here) < DEPTH and one:
            yield from _leaves(one, here)
        elif one is not None and one != "" and QUOTABLE.fullmatch(key):
            yield here, one


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return msgspec.json.encode(value).decode()


def _is_float(values: Sequence[Any]) -> bool:
    return any(isinstance(value, float) for value in values)


def _field_names(common: Mapping[tuple[str, ...], Sequence[Any]]) -> dict[tuple[str, ...], str]:
    """A field name for each path: its last key where that is alone, else all of its keys."""
    taken: dict[str, str] = {}
    last = Counter(_identifier(where[-1]) for where in common)
    return {
        where: _name(where[-1] if last[_identifier(where[-1])] == 1 else "_".join(where), taken, ".".join(where))
        for where in common
    }


def _name(key: str, taken: dict[str, str], whole_key: str | None = None) -> str:
    """A field name for `key` that no other one has."""
    stem = _identifier(key)
    name, number_ = stem, 2
    while name in taken.values():
        name, number_ = f"{stem}_{number_}", number_ + 1
    taken[whole_key or key] = name
    return name


def _identifier(key: str) -> str:
    found = re.sub(r"[^A-Za-z0-9]+", "_", key).strip("_").lower() or "field"
    return found if found[0].isalpha() and found not in RESERVED else f"f_{found}"


def _listed(values: Sequence[str]) -> tuple[str | None, str | None] | None:
    """Of JSON lists of documents: the keys of id and score; null if the values are no such lists."""
    lists = [one for one in (_any(value) for value in values[:50]) if isinstance(one, list)]
    if len(lists) < min(50, len(values)):
        return None
    elements = [element for one in lists for element in one]
    if all(isinstance(element, str) for element in elements):
        return None, None
    if not all(isinstance(element, dict) for element in elements):
        return None
    keys = Counter(key for element in elements for key in element)
    id_key = next((key for key in keys if normal(key) in DOCUMENT_IDS), None)
    score = next((key for key in keys if normal(key) in ("score", "similarity", "relevance")), None)
    return (id_key, score) if id_key else None


def _any(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None


def _numeric(values: Sequence[str]) -> bool:
    return all(re.fullmatch(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", value) for value in values[:200])


def _long(values: Sequence[str]) -> bool:
    return sum(map(len, values[:200])) > 200 * len(values[:200])


def _distinct_ids(values: Sequence[str]) -> bool:
    return len(set(values)) >= max(2, 0.2 * len(values)) and all(map(_ID_LIKE.match, values[:100]))
