"""A draft as the text of a format file, with the reason for each guess beside it.

What comes from the log is hostile: it stands in the file as Python literals (`repr`) and in comments that are one
line of plain characters each, so that nothing of it can ever be run. Layout is that of ``ruff format``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from strataline.format import Field, Recognise
from strataline.parse.guess import SHORT, Draft, Said

WIDTH = 120
LONGEST = 160
"""Characters of a reason that a comment shows; keys may be of any length."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
"""What a format, and so its file, can be called."""

_FORMAT = "format"
_POLARS = "pl"


@dataclass(frozen=True)
class _Item:
    """One part of a bracket: what stands before it (``name=``), it, and comments that stand above it."""

    before: str
    what: _Node
    comments: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Bracket:
    """Something in brackets, on one line if there is room and no comment."""

    opens: str
    items: tuple[_Item, ...]
    closes: str
    single: bool = False
    """Whether it is a tuple of one, which needs its comma on one line too."""


_Node = str | _Bracket


@dataclass
class _Used:
    """Names that the file must import."""

    names: set[str] = field(default_factory=set)

    def __call__(self, name: str) -> str:
        self.names.add(name)
        return name


def draft_code(draft: Draft, name: str, source: str, *, zone_wanted: bool = False) -> str:
    """The text of a format file.

    Args:
        draft: what was guessed.
        name: what the format is called: see `NAME`.
        source: what the records are from, in words.
        zone_wanted: whether its times state no zone, so that the file should.

    Raises:
        ValueError: if `name` is none.
    """
    if not NAME.fullmatch(name):
        raise ValueError(name)
    used = _Used()
    kind = _kind(draft, used)
    declared = _layout("FORMAT = ", _format(draft, name, source, used, zone_wanted=zone_wanted), 0, "")
    body = [f"said = pl.col({_text(draft.name_field)}).str.to_lowercase()"] if draft.name_field and draft.kinds else []
    body += _comments(_why(draft, "kind", "prompt.received"), 0) if kind else []
    body += [*_chain("kind = ", kind), ""] if kind else []
    imports = ["import polars as pl", ""] if _POLARS in used.names else []
    wanted = sorted(used.names - {_POLARS}, key=lambda one: (one.islower(), one))
    listed = f"from strataline.format import {', '.join(wanted)}"
    if len(listed) > WIDTH:
        listed = "from strataline.format import (\n" + "".join(f"    {one},\n" for one in wanted) + ")"
    head = [
        f'"""{name}: drafted from its own records. Each mapping says what it was guessed from: check every one.',
        "",
        "What to look for: a field that means something else, a missing event kind, the zone of the times, marks that",
        "other logs carry too. The words of a format file are those of docs/writing-formats.md.",
        '"""',
        "",
        *imports,
        listed,
        "",
    ]
    return "\n".join([*head, *body, *declared]) + "\n"


def _format(draft: Draft, name: str, source: str, used: _Used, *, zone_wanted: bool) -> _Bracket:
    used("Format")
    items = [
        _Item("name=", _text(name)),
        _Item("title=", _text(f"{name} (drafted)")),
        _Item("layer=", _text(draft.layer), _why(draft, "layer")),
        _Item("reference=", _text(f"guessed from {source}")),
    ]
    if draft.container == "text":
        items.append(_Item("container=", _text("text")))
        items.append(_Item("pattern=", _raw(draft.pattern or ""), _why(draft, "head", "pattern")))
    else:
        items.append(_Item("recognise=", _marks(draft.marks(), used), _why(draft, "marks")))
    fields = tuple(_Item(f"{_text(one)}: ", _field(where, used)) for one, where in draft.fields.items())
    items.append(_Item("fields=", _Bracket("{", fields, "}")))
    if draft.time is not None:
        items.append(_Item("time=", _text(draft.time), _why(draft, "time")))
        if draft.time_kind != "write":
            items.append(_Item("time_kind=", _text(draft.time_kind)))
    if draft.duration is not None:
        one = _call(used("Duration"), [_text(part) for part in draft.duration])
        items.append(_Item("duration=", one, _why(draft, "duration")))
    if draft.columns:
        columns = [_Item(f"{_text(one)}: ", _said(said, used), _why(draft, one)) for one, said in draft.columns.items()]
        items.append(_Item("columns=", _Bracket("{", tuple(columns), "}")))
    if draft.ids:
        items.append(_Item("ids=", _tuple([_id(draft, one, used) for one in draft.ids])))
    if draft.refs:
        refs = [
            _Item(
                "", _call(used("Ref"), [_text(part) for part in (kind, one, relation)]), _why(draft, f"ref {relation}")
            )
            for kind, one, relation in draft.refs
        ]
        items.append(_Item("refs=", _tuple(refs)))
    if draft.attributes:
        kept = tuple(_Item(f"{_text(one)}: ", _text(one)) for one in draft.attributes)
        items.append(_Item("attributes=", _Bracket("{", kept, "}"), ("what is left and short: kept as it is",)))
    items.append(_Item("events=", _tuple([_Item("", _event(draft, used))])))
    if zone_wanted:
        last = items[-1]
        asks = "the times state no zone, and UTC is assumed. Where the program always writes one zone, say so here:"
        items[-1] = _Item(last.before, last.what, (*last.comments, asks, 'zone="Europe/Berlin",'))
    return _Bracket("Format(", tuple(items), ")")


def _event(draft: Draft, used: _Used) -> _Bracket:
    used("Event")
    varied = draft.verdict is not None or (draft.name_field is not None and (draft.kinds or draft.opening))
    items = [_Item("", "kind" if varied else _text(draft.plain_kind()))]
    if draft.documents is not None:
        name, key, score = draft.documents
        parts = [_Item("", _text(name))]
        parts += [_Item("id=", _tuple([_Item("", _text(key))]))] if key else []
        parts += [_Item("score=", _tuple([_Item("", _text(score))]))] if score else []
        found = _Bracket(f"{used('Documents')}(", tuple(parts), ")")
        items.append(_Item("documents=", found, _why(draft, "documents")))
    return _Bracket("Event(", tuple(items), ")")


def _kind(draft: Draft, used: _Used) -> list[str]:
    """The links of the expression that gives the kind: as `Draft.event_kind`; none if every record is of one kind."""
    tests: list[tuple[str, str]] = []
    if draft.verdict is not None:
        tests.append((f"{used('present')}({_text(draft.verdict)})", "policy.decision"))
    if draft.name_field is not None:
        column = f"pl.col({_text(draft.name_field)})"
        if draft.opening:
            listed = ", ".join(_text(one) for one in draft.opening)
            tests.append((f"{column}.is_in([{listed}])", "prompt.received"))
        tests += [(f"said.str.contains({_raw(pattern)})", kind) for kind, pattern in draft.kinds]
    if not tests:
        return []
    used(_POLARS)
    links = [link for test, kind in tests for link in (f".when({test})", f".then(pl.lit({_text(kind)}))")]
    return ["pl" + links[0], *links[1:], f".otherwise(pl.lit({_text(draft.plain_kind())}))"]


def _chain(before: str, links: Sequence[str]) -> list[str]:
    line = before + "".join(links)
    if len(line) <= WIDTH:
        return [line]
    return [f"{before}(", *(f"    {link}" for link in links), ")"]


def _id(draft: Draft, one: tuple[str, str, str | None], used: _Used) -> _Item:
    kind, name, derive = one
    parts = [_Item("", _text(kind)), _Item("", _text(name))]
    parts += [_Item("derive=", _text(derive))] if derive else []
    known = f"id {kind} ({name})"
    reason = _why(draft, known if known in draft.reasons else f"id {kind}")
    return _Item("", _Bracket(f"{used('Id')}(", tuple(parts), ")"), reason)


def _marks(marks: Recognise, used: _Used) -> _Bracket:
    parts = []
    if marks.keys:
        parts.append(_Item("keys=", _tuple([_Item("", _path(one)) for one in marks.keys])))
    if marks.any_of:
        groups = [_Item("", _tuple([_Item("", _path(one)) for one in some])) for some in marks.any_of]
        parts.append(_Item("any_of=", _tuple(groups)))
    if marks.where:
        pairs = [_tuple([_Item("", _path(one)), _Item("", _raw(pattern))]) for one, pattern in marks.where]
        parts.append(_Item("where=", _tuple([_Item("", one) for one in pairs])))
    return _Bracket(f"{used('Recognise')}(", tuple(parts), ")")


def _field(where: Field, used: _Used) -> _Node:
    if where.pair is not None:
        return _call(used("pair"), [_text(where.pair)])
    if where.name is not None:
        return _call(used("group"), [_text(where.name)])
    parts = [_segment(one) for one in where.segments] + (["verbatim=True"] if where.verbatim else [])
    return _call(used("path"), parts)


def _said(said: Said, used: _Used) -> _Node:
    """As `Said.expr`."""
    first = _text(said.names[0])
    if said.how in ("words", "failed"):
        table = tuple(_Item(f"{_text(one)}: ", _text(other)) for one, other in said.table.items())
        items = [_Item("", first), _Item("", _Bracket("{", table, "}"))]
        items += [_Item("default=", _text("unknown"))] if said.how == "words" else []
        return _Bracket(f"{used('words')}(", tuple(items), ")")
    if said.how == "short":
        return f"{used(_POLARS)}.col({first}).str.slice(0, {SHORT})"
    if said.how in ("whole", "number"):
        return _call(used(said.how), [first])
    if len(said.names) == 1:
        return first
    return _call(used("filled"), [_text(one) for one in said.names])


def _why(draft: Draft, *topics: str) -> tuple[str, ...]:
    return tuple(draft.reasons[topic] for topic in topics if topic in draft.reasons)


def _call(name: str, arguments: Iterable[str]) -> _Bracket:
    return _Bracket(f"{name}(", tuple(_Item("", one) for one in arguments), ")")


def _tuple(items: Sequence[_Item]) -> _Bracket:
    return _Bracket("(", tuple(items), ")", single=len(items) == 1)


def _path(segments: Sequence[str | int]) -> _Bracket:
    return _tuple([_Item("", _segment(one)) for one in segments])


def _segment(one: str | int) -> str:
    return _text(one) if isinstance(one, str) else repr(int(one))


def _text(value: str) -> str:
    """A Python literal of `value`, in double quotes where that needs no escape."""
    plain = repr(value)
    return f'"{plain[1:-1]}"' if plain[0] == "'" and '"' not in value and "'" not in value else plain


def _raw(value: str) -> str:
    """A Python literal of a regex: raw where that says the same."""
    simple = all(" " <= one <= "~" for one in value) and '"' not in value
    if not simple or "\\" not in value:
        return _text(value)
    try:
        same = ast.literal_eval(f'r"{value}"') == value
    except SyntaxError:  # it ends in a backslash
        same = False
    return f'r"{value}"' if same else _text(value)


def _comments(lines: Iterable[str], indent: int) -> list[str]:
    """Comments, each on one line: what is no plain character is escaped, and what is long is cut."""
    made = []
    for line in lines:
        # `ascii` leaves no line end, no control and no bidirectional character.
        plain = ascii(line)[1:-1].replace("\\'", "'")
        room = min(LONGEST, WIDTH - indent - 2)
        words = [plain] if len(plain) <= room else _wrapped(plain[: 4 * room], room)
        made += [f"{' ' * indent}# {word}".rstrip() for word in words]
    return made


def _wrapped(text: str, room: int) -> list[str]:
    found = [""]
    for word in text.split(" "):
        if len(found[-1]) + 1 + len(word) <= room or not found[-1]:
            found[-1] = f"{found[-1]} {word}".strip()[:room]
        else:
            found.append(word[:room])
    return found


def _layout(before: str, node: _Node, indent: int, after: str) -> list[str]:
    """Lines of a node: on one if it has room there, else an item a line."""
    room = " " * indent
    line = None if _commented(node) else _flat(node)
    if isinstance(node, str):
        return [f"{room}{before}{node}{after}"]
    if line is not None and indent + len(before) + len(line) + len(after) <= WIDTH:
        return [f"{room}{before}{line}{after}"]
    made = [f"{room}{before}{node.opens}"]
    for item in node.items:
        made += _comments(item.comments, indent + 4)
        made += _layout(item.before, item.what, indent + 4, ",")
    return [*made, f"{room}{node.closes}{after}"]


def _commented(node: _Node) -> bool:
    return isinstance(node, _Bracket) and any(item.comments or _commented(item.what) for item in node.items)


def _flat(node: _Node) -> str:
    if isinstance(node, str):
        return node
    inside = ", ".join(item.before + _flat(item.what) for item in node.items)
    return f"{node.opens}{inside}{',' if node.single else ''}{node.closes}"
