"""The small language in which requests are chosen: ``policy.verdict == "block" and not ui.shown == "answer"``.

    expression = comparison | "not" expression | expression "and" expression | expression "or" expression
               | "(" expression ")"
    comparison = name ("==" | "!=" | "<" | "<=" | ">" | ">=" | "~") value
               | name ["not"] "in" "(" value ("," value)* ")" | name "is" ["not"] "null"
    name       = [layer "."] column ["." key]
    value      = "text" | 'text' | number | true | false

``not`` binds closest, then ``and``, then ``or``. A layer is prompt, retrieval, model, policy, ui, change or other; a
name without one is of events of any layer; ``request.column`` is of the table of requests. A key leads into a column
that is a map (``attributes.region``, ``parameters.temperature``) or a list (``documents.id``), of which any element
may meet the comparison.

A comparison of events holds for a request if *any* of its events (of that layer) meets it; two comparisons may be met
by two events. What is not stated meets no comparison: ``!=`` holds if some event states another value, and
``not x == 1`` if none states that one. ``is null`` holds if no event states it. ``~`` is a regular expression found
anywhere in the text. Times are ISO texts, UTC where they name no zone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from polars.datatypes import DataTypeClass

from strataline.errors import InputError
from strataline.event import EVENTS, LAYERS, REQUESTS, narrow, utc

_TOKEN = re.compile(
    r"\s*(?:(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')|(?P<op>==|!=|<=|>=|<|>|~)|(?P<mark>[(),])"
    r"|(?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?(?![\w.:-]))|(?P<word>[A-Za-z_][\w.:/-]*)|(?P<bad>\S))"
)
_NOT_VALUES = ("and", "or", "not", "in", "is", "null")
DEEP = 100
"""How many parentheses and negations may lie in one another."""

LOOKS_LIKE = re.compile(
    r"[\s(]*(?:not[\s(]+)*(?:[A-Za-z_][\w.:/-]*\s*(?:==|!=|<=|>=|<|>|~|\s(?:not\s+in|in|is)\b)"
    rf"|(?:{'|'.join((*LAYERS, 'request'))})\.[\w.]+\s*=)"
)
"""How an expression begins, as against an id."""


def chosen(expression: str, tables: Mapping[str, pl.DataFrame]) -> pl.Series:
    """The requests, in order of start, for which `expression` holds.

    Raises:
        InputError: if it cannot be read, names no column, or compares what cannot be compared.
    """
    reader = _Reader(expression, tables)
    holds = reader.any_of()
    if reader.token.kind != "end":
        raise reader.error("something is left over", "join comparisons by and / or")
    return tables["requests"]["request"].filter(holds)


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


@dataclass(frozen=True)
class _Name:
    """What a name means: a column (an expression) of rows that have a request."""

    rows: pl.LazyFrame
    column: pl.Expr
    dtype: pl.DataType
    many: bool


class _Reader:
    """Reads an expression from left to right; every part is a Boolean for each request."""

    def __init__(self, expression: str, tables: Mapping[str, pl.DataFrame]) -> None:
        self.expression = expression
        self.tables = tables
        self.requests = tables["requests"]["request"]
        self.tokens = [
            _Token(match.lastgroup or "bad", match[match.lastgroup or 0], match.start(match.lastgroup or 0))
            for match in _TOKEN.finditer(expression.rstrip())
        ]
        self.tokens.append(_Token("end", "", len(expression.rstrip())))
        self.place = 0
        self.depth = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.place]

    def error(self, message: str, hint: str | None = None, at: int | None = None) -> InputError:
        place = self.token.at if at is None else at
        shown = self.token.text or "the end"
        where = f"{message}, at character {place + 1} ({shown})" if at is None else f"{message}, at character {at + 1}"
        return InputError(f"filter {self.expression!r}: {where}", hint=hint)

    def take(self, *texts: str) -> bool:
        """Step over the next token if it is one of `texts` and no quoted text."""
        if self.token.kind != "text" and self.token.text in texts:
            self.place += 1
            return True
        return False

    def any_of(self) -> pl.Series:
        holds = self.all_of()
        while self.take("or"):
            holds = holds | self.all_of()
        return holds

    def all_of(self) -> pl.Series:
        holds = self.one()
        while self.take("and"):
            holds = holds & self.one()
        return holds

    def one(self) -> pl.Series:
        self.depth += 1
        if self.depth > DEEP:
            raise self.error(f"more than {DEEP} parentheses and negations in one another")
        if self.take("not"):
            holds = ~self.one()
        elif self.take("("):
            holds = self.any_of()
            if not self.take(")"):
                raise self.error("a parenthesis is not closed")
        else:
            holds = self.comparison()
        self.depth -= 1
        return holds

    def comparison(self) -> pl.Series:
        if self.token.kind != "word" or self.token.text in _NOT_VALUES:
            raise self.error("a column is missing", 'as in policy.verdict == "block"')
        at, name = self.token.at, self.name()
        self.place += 1
        if self.take("is"):
            absent = not self.take("not")
            if not self.take("null"):
                raise self.error("after is comes null or not null")
            stated = self.held(name, lambda column: column.is_not_null())
            return ~stated if absent else stated
        outside = self.take("not")
        if self.take("in"):
            wanted = self.values(name, at)
            return self.held(name, lambda column: ~column.is_in(wanted) if outside else column.is_in(wanted))
        if outside or self.token.kind != "op":
            raise self.error("a comparison is missing", "one of == != < <= > >= ~ in, is null")
        op = self.token.text
        self.place += 1
        return self.held(name, self.compared(op, name, at))

    def compared(self, op: str, name: _Name, at: int) -> Callable[[pl.Expr], pl.Expr]:
        """What the comparison `op` with the value that comes next asks of a column."""
        token = self.token
        value = self.value(name, at)
        if op == "~":
            if not isinstance(value, str) or name.dtype != pl.String():
                raise self.error("~ compares a text with a quoted regular expression", at=at)
            try:
                pl.Series([""]).str.contains(value)
            except pl.exceptions.ComputeError as error:
                said = " ".join(line for line in str(error).splitlines() if line.startswith("error"))
                raise self.error(f"no regular expression ({said})", at=token.at) from None
            return lambda column: column.str.contains(value)
        signs: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
            "==": lambda a, b: a == b,
            "!=": lambda a, b: a != b,
            "<": lambda a, b: a < b,
            "<=": lambda a, b: a <= b,
            ">": lambda a, b: a > b,
            ">=": lambda a, b: a >= b,
        }
        sign = signs[op]
        if name.dtype == pl.String() and token.kind == "number" and op not in ("==", "!="):
            # A text that holds a number: versions, attributes, parameters.
            return lambda column: sign(column.cast(pl.Float64, strict=False), pl.lit(float(token.text)))
        # A column of whole numbers is compared with 1.5 as it is, which is no 1.
        dtype = pl.Float64() if isinstance(value, float) else name.dtype
        return lambda column: sign(column, pl.lit(value, dtype=dtype))

    def values(self, name: _Name, at: int) -> list[object]:
        if not self.take("("):
            raise self.error("after in comes a list in parentheses", 'as in policy.verdict in ("block", "redact")')
        found = [self.value(name, at)]
        while self.take(","):
            found.append(self.value(name, at))
        if not self.take(")"):
            raise self.error("a list is not closed")
        # No whole number is 1.5, or larger than all that the column can hold.
        return [one for one in found if not (name.dtype.is_integer() and isinstance(one, float))]

    def value(self, name: _Name, at: int) -> object:
        """The value that comes next, as the column has it."""
        token = self.token
        if token.kind not in ("text", "number") and token.text not in ("true", "false"):
            bare = token.kind == "word" and token.text not in _NOT_VALUES
            raise self.error("a value is missing", f'quote it: "{token.text}"' if bare else "quote texts and times")
        self.place += 1
        text = re.sub(r"\\(.)", r"\1", token.text[1:-1]) if token.kind == "text" else token.text
        dtype = name.dtype
        if dtype == pl.String():
            return text
        if dtype == pl.Boolean():
            if token.text in ("true", "false"):
                return token.text == "true"
            raise self.error("the column is true or false", at=at)
        if isinstance(dtype, pl.Datetime):
            return moment(text, f"filter {self.expression!r}")
        if token.kind != "number":
            raise self.error("the column is a number", "give a number without quotes", at=at)
        number = float(text)
        if dtype == pl.Float64():
            return number
        if re.fullmatch(r"-?[0-9]{1,19}", text) and abs(int(text)) < 2**63:
            return int(text)
        return int(number) if number.is_integer() and abs(number) < 2**53 else number

    def held(self, name: _Name, meets: Callable[[pl.Expr], pl.Expr]) -> pl.Series:
        """The requests of which some row meets a comparison."""
        column = name.column
        condition = column.list.eval(meets(pl.element())).list.any() if name.many else meets(column)
        met = name.rows.filter(condition.fill_null(value=False)).select("request").unique().collect()["request"]
        return self.requests.is_in(met.drop_nulls().implode())

    def name(self) -> _Name:
        token = self.token
        first, *rest = token.text.split(".")
        if first == "request" and rest:
            table, parts = REQUESTS, rest
        else:
            table, parts = EVENTS, rest if first in LAYERS else [first, *rest]
        column = parts[0] if parts else ""
        dtype = table.schema.get(column)
        if dtype is None:
            near = difflib.get_close_matches(
                column, [*table.names, *(LAYERS if parts == [first] else ())], n=3, cutoff=0.5
            )
            hint = f"did you mean {', '.join(near)}?" if near else "docs/tables.md lists the columns"
            raise self.error(f"the table {table.name} has no column {column!r}", hint)
        needed = ("request", "layer", column) if table is EVENTS else ("request", column)
        rows = narrow(self.tables, table.name, tuple(dict.fromkeys(needed))).lazy()
        if table is EVENTS:
            rows = rows.filter(pl.col("request").is_not_null())
            rows = rows.filter(pl.col("layer") == first) if first in LAYERS else rows
        key = ".".join(parts[1:])
        if isinstance(dtype, pl.Map):
            if not key:
                raise self.error(f"{column} is a map: say which key", f"as in {column}.region == …")
            return _Name(rows, pl.col(column).map.get(key), pl.String(), many=False)
        if isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.Struct):
            fields = {field.name: field.dtype for field in dtype.inner.fields}
            if key not in fields:
                raise self.error(f"{column} has elements: say which field", f"one of {', '.join(fields)}")
            inner = pl.col(column).list.eval(pl.element().struct.field(key))
            return _Name(rows, inner, _instance(fields[key]), many=True)
        if key:
            raise self.error(f"{column} has nothing inside of it")
        if isinstance(dtype, pl.List):
            return _Name(rows, pl.col(column), _instance(dtype.inner), many=True)
        return _Name(rows, pl.col(column), _instance(dtype), many=False)


def _instance(dtype: pl.DataType | DataTypeClass) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype


def moment(text: str, what: str) -> datetime:
    """An ISO time as a moment, UTC where it names no zone.

    Raises:
        InputError: if it is none, or one that no log has; the message begins with `what`.
    """
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise InputError(f"{what}: no ISO time: {text!r}", hint="as in 2026-11-21T23:03:00Z") from None
    return utc(found, what)
