"""Fields of JSON records by columns: one DuckDB query over a batch of raw lines.

Lines travel as binary: in a string column one invalid byte breaks the query, and `try(decode(…))` isolates it. What
the kernel refuses is left to `strataline.parse.rescue`. Facts that the rules here follow from were measured on
DuckDB 2.0: integers of any size are exact, floats are re-serialised, repeated keys: the first wins, NaN, Infinity and
trailing commas are accepted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import local
from typing import Any

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from strataline.format import QUOTABLE, Field, Segment

OBJECT = "OBJECT"
SLICE = 2 << 20
"""Bytes of records whose elements are opened at once."""

_NO_NUMBER = r"[:,\[]\s*-?(?:NaN|Infinity)"
_TRAILING = r",\s*[\]}]"
_FLOAT = r"^-?[0-9]+(?:\.[0-9]|[eE])"
"""What a float, re-serialised, begins with; other texts may."""
_FLOAT_OF = "is float"

_VALUES = ("stringValue", "intValue", "doubleValue", "boolValue", "bytesValue", "arrayValue", "kvlistValue")


class Kernel:
    """DuckDB connections, in memory, one for each thread, that read nothing but what is handed to them."""

    def __init__(self) -> None:
        self._own = local()

    @property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        found = getattr(self._own, "connection", None)
        if found is None:
            # Work is shared out by batches: a query that takes every core as well only gets in the way.
            own: dict[str, str | bool | int | float | list[str]] = {
                "enable_external_access": False,
                "autoinstall_known_extensions": False,
                "threads": 1,
                # Results are laid beside the rows that they are of.
                "preserve_insertion_order": True,
            }
            found = duckdb.connect(config=own)
            self._own.connection = found
        return found

    def decode(self, text: pl.Series) -> pl.Series:
        """Binary to text; null where the bytes are not UTF-8 (or were null)."""
        try:
            # All at once where all are sound: Polars refuses the column for one that is not.
            return text.cast(pl.String).alias("s")
        except pl.exceptions.ComputeError:
            pass
        return self._query("SELECT try(decode(text)) AS s FROM batch", _rows(text))["s"]

    def look(self, text: pl.Series) -> pl.DataFrame:
        """What each record is.

        Returns:
            Per record, in order: ``s`` (text; null if not UTF-8), ``type`` (JSON type; null if refused), ``shape`` (a
            number that objects with the same keys share, see `shapes`; null for others) and ``lenient`` (an object
            that holds NaN, Infinity or a trailing comma, or text that looks like one).
        """
        s = self.decode(text)
        types, shape = self._types(s)
        lenient = shape.is_not_null()
        if lenient.any():
            odd = s.str.contains(_TRAILING)
            if s.str.contains_any(["NaN", "Infinity"]).any():
                odd = odd | s.str.contains(_NO_NUMBER)
            lenient = (lenient & odd).fill_null(value=False)
        return pl.DataFrame([s, types, shape, lenient.alias("lenient")])

    def _types(self, text: pl.Series) -> tuple[pl.Series, pl.Series]:
        """The JSON type of each text, and the shape of objects."""
        brace = text.str.starts_with("{").fill_null(value=False)
        if brace.all():
            try:
                # All at once where all are sound; what begins with a brace is an object.
                shape = self._query("SELECT hash(json_keys(text)) AS shape FROM batch", _rows(text))["shape"]
            except (duckdb.Error, UnicodeDecodeError):
                # The message of the error quotes the text, and may cut it inside of a character.
                pass
            else:
                return pl.Series("type", [OBJECT], dtype=pl.String).new_from_index(0, len(text)), shape
        # To ask first is cheaper than to fail: most lines of a text log are no JSON.
        valid = self._query("SELECT CASE WHEN json_valid(text) THEN true ELSE false END AS v FROM batch", _rows(text))
        types = pl.Series("type", [None], dtype=pl.String).new_from_index(0, len(text))
        shape = pl.Series("shape", [None], dtype=pl.UInt64).new_from_index(0, len(text))
        where = valid["v"].arg_true()
        if not len(where):
            return types, shape
        query = "SELECT try(json_type(text)) AS type, coalesce(try(hash(json_keys(text))), 0) AS shape FROM batch"
        asked = self._query(query, _rows(text.gather(where)))
        asked = asked.with_columns(shape=pl.when(pl.col("type") == OBJECT).then("shape"))
        return types.scatter(where, asked["type"]), shape.scatter(where, asked["shape"])

    def shapes(self, objects: pl.Series, shape: pl.Series | None = None) -> tuple[NDArray[np.int64], pl.Series]:
        """The keys of JSON objects: few shapes, many records.

        Args:
            objects: records as text.
            shape: as `look` gives it, if it is known.

        Returns:
            Per record the number of its list of keys, and these lists.
        """
        keys = "try(json_keys(text))"
        known = shape
        if known is None:
            known = self._query(f"SELECT hash({keys}) AS shape FROM batch", _rows(objects))["shape"]
        _, first, number = np.unique(known.to_numpy(), return_index=True, return_inverse=True)
        return number, self._query(f"SELECT {keys} AS k FROM batch", _rows(objects.gather(first)))["k"]

    def extract(
        self,
        text: pl.Series,
        fields: Mapping[str, Field],
        explode: Sequence[tuple[Segment, ...]] = (),
        shape: pl.Series | None = None,
        *,
        distinct: bool = False,
    ) -> pl.DataFrame:
        """Read `fields` from records that are JSON objects.

        Args:
            text: records as text (all accepted by `look`).
            fields: name → where it lies.
            explode: see `Format`; without it each record is one element.
            shape: of the records, as `look` gives it, if it is known.
            distinct: leave it open whether an object repeats a key (false in ``repeated``).

        Returns:
            One row per element: ``r`` (row of the record), ``item`` (place in the record, from 0), ``sound`` (the
            element is an object), ``repeated`` (an object on the way to a field repeats a key), and each field as
            text. In order of (r, item).
        """
        if not explode:
            return self._extract(text, fields, explode, shape, distinct=distinct)
        # Elements of one batch are many times its size while they are opened: a few records at a time.
        part = (text.str.len_bytes().cum_sum() // SLICE).rle_id()
        frames, before = [], 0
        for rows in pl.DataFrame({"part": part, "text": text}).partition_by("part", maintain_order=True):
            found = self._extract(rows["text"], fields, explode, distinct=distinct)
            frames.append(found.with_columns(pl.col("r") + before))
            before += rows.height
        return pl.concat(frames) if frames else self._extract(text, fields, explode)

    def _extract(
        self,
        text: pl.Series,
        fields: Mapping[str, Field],
        explode: Sequence[tuple[Segment, ...]],
        shape: pl.Series | None = None,
        *,
        distinct: bool = False,
    ) -> pl.DataFrame:
        if text.is_empty():
            places = {"r": pl.Int64, "item": pl.Int64, "sound": pl.Boolean, "repeated": pl.Boolean}
            return pl.DataFrame(schema=places | dict.fromkeys(fields, pl.String))
        wanted = _Wanted(len(explode))
        values = [wanted.add(field, number) for number, field in enumerate(fields.values())]
        # A list of values in one piece costs the same whatever it holds; a column for each has to be planned for.
        columns = list(dict.fromkeys(one.of for one in values if isinstance(one, _Place)))
        columns += [f"{one} AS c{number}" for number, one in enumerate(values) if not isinstance(one, _Place)]
        shape = shape if wanted.flat else None
        if shape is None and not distinct:
            columns.append(f"{wanted.shape} AS _shape")
        rows = f"SELECT *{_list(wanted.opened)} FROM ({_elements(wanted, explode)})"
        # One thread, and lists that are opened in their order: rows come in the order of their records.
        frame = self._query(f"SELECT r, sound{_list(columns)}{_list(wanted.floats)} FROM ({rows})", _rows(text))
        repeated = pl.lit(value=False)
        if not distinct:
            shape = frame["_shape"] if shape is None else shape
            repeated = pl.lit(shape.is_in(self._repeating(text, frame["r"], shape, wanted, explode)))
        count = pl.int_range(pl.len()).over(pl.col("r").rle_id()) if explode else pl.lit(0)
        made = frame.select(
            "r",
            count.cast(pl.Int64).alias("item"),
            "sound",
            repeated.alias("repeated"),
            *(
                (one.column(frame[one.of]) if isinstance(one, _Place) else pl.col(f"c{number}")).alias(name)
                for number, (name, one) in enumerate(zip(fields, values, strict=True))
            ),
        )
        told = {name: f"{_FLOAT_OF} {number}" for number, name in enumerate(fields)}
        floats = {name: frame[one] for name, one in told.items() if one in frame.columns}
        floats |= self._floats(text, made, {name: field for name, field in fields.items() if name not in floats})
        written = [_as_written(text, made, name, one, fields[name], explode) for name, one in floats.items()]
        return made.with_columns(written) if written else made

    def _repeating(
        self,
        text: pl.Series,
        r: pl.Series,
        shape: pl.Series,
        wanted: _Wanted,
        explode: Sequence[tuple[Segment, ...]],
    ) -> pl.Series:
        """The shapes in which an object repeats a key; asked of one element of each, as shapes are few."""
        some = text.gather(r.gather(shape.arg_unique()).unique())
        elements = _elements(wanted.bare(), explode)
        query = f"SELECT DISTINCT {wanted.shape} AS s FROM ({elements}) WHERE {wanted.repeated}"
        return self._query(query, _rows(some))["s"].implode()

    def _floats(self, text: pl.Series, frame: pl.DataFrame, fields: Mapping[str, Field]) -> dict[str, pl.Series]:
        """Of the fields that are kept as written: where they are floats, if anywhere."""
        asked = {name: frame[name].str.contains(_FLOAT) for name, field in fields.items() if field.verbatim}
        asked = {name: likely for name, likely in asked.items() if likely.any()}
        if not asked:
            return {}
        where = pl.select(pl.any_horizontal(*asked.values())).to_series().arg_true()
        paths = ", ".join(_path(fields[name].segments) for name in asked)
        query = f"SELECT try(json_type(text, [{paths}])) AS t FROM batch"
        types = self._query(query, _rows(text.gather(where)))["t"]
        none = pl.Series([False]).new_from_index(0, frame.height)
        return {
            name: none.scatter(where, (types.list.get(number) == "DOUBLE").fill_null(value=False))
            for number, name in enumerate(asked)
        }

    def elements(self, lists: pl.Series, fields: Mapping[str, Field]) -> pl.DataFrame:
        """Read `fields` from the elements of JSON lists.

        Args:
            lists: JSON texts. An object counts as a list of one, as writers put it where there is but one; what is
                null or neither has no elements.
            fields: name → where it lies in an element. A field without a path is the element itself.

        Returns:
            One row per element, as `extract` does; ``item`` is its place in the list.
        """
        lists = lists.str.strip_chars()
        keep = lists.str.contains(r"^[\[{]").fill_null(value=False)
        kept = pl.DataFrame({"l": lists.filter(keep)})
        listed = pl.when(pl.col("l").str.starts_with("{")).then("[" + pl.col("l") + "]").otherwise("l")
        wrapped = kept.select('{"l":' + listed + "}").to_series()
        rows = pl.int_range(len(lists), eager=True).cast(pl.Int64).filter(keep)
        found = self.extract(wrapped, fields, (("l",),), distinct=True)
        return found.with_columns(r=rows.gather(found["r"]))

    def has(self, text: pl.Series, paths: Sequence[tuple[Segment, ...]]) -> NDArray[np.bool_]:
        """Whether each record has a value (null counts) at each of `paths`: one row per record, in order."""
        return self.marks(text, paths, ())[0]

    def marks(
        self, text: pl.Series, paths: Sequence[tuple[Segment, ...]], texts: Sequence[tuple[Segment, ...]]
    ) -> tuple[NDArray[np.bool_], list[pl.Series]]:
        """Whether each record has a value (null counts) at each of `paths`, and what stands at each of `texts`.

        Returns:
            One row per record and one column per path; one series of texts (null where there is none) per path.
        """
        there = np.zeros((len(text), len(paths)), dtype=np.bool_)
        if text.is_empty() or not (paths or texts):
            return there, [pl.Series([None], dtype=pl.String).new_from_index(0, len(text)) for _ in texts]
        tests, wanted = (f"[{', '.join(_path(segments) for segments in some)}]" for some in (paths, texts))
        # One list per record: a column per path would cost more than the question.
        columns = [f"try(json_exists(text, {tests})) AS e"] if paths else []
        columns += [f"try(json_extract_string(text, {wanted})) AS v"] if texts else []
        frame = self._query(f"SELECT {', '.join(columns)} FROM batch", _rows(text))
        values = [frame["v"].list.get(n, null_on_oob=True) for n in range(len(texts))]
        if not paths:
            return there, values
        found = frame["e"]
        flat = found.drop_nulls().explode(empty_as_null=False, keep_nulls=False).fill_null(value=False)
        there[found.is_not_null().to_numpy()] = flat.to_numpy().reshape(-1, len(paths))
        return there, values

    def sha256(self, text: pl.Series) -> pl.Series:
        """SHA-256 of each text, in hex; null stays null."""
        return self._query("SELECT sha256(text) AS h FROM batch", _rows(text))["h"]

    def _query(self, query: str, batch: pl.DataFrame) -> pl.DataFrame:
        connection = self._connection
        # Texts are handed over as they lie in memory.
        connection.register("batch", batch.to_arrow(compat_level=pl.CompatLevel.newest()))
        try:
            # One thread keeps rows in the order in which they came.
            frame = pl.from_arrow(connection.sql(query).to_arrow_table())
        finally:
            connection.unregister("batch")
        assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table never becomes a series
        return frame


@dataclass(frozen=True)
class _Place:
    """Where a value is: the list `of` values, and the place in it."""

    of: str
    place: int

    def __str__(self) -> str:
        return f"{self.of}[{self.place + 1}]"

    def column(self, lists: pl.Series) -> pl.Expr:
        """The values at the place, of lists that are equally long unless they are null."""
        if lists.null_count() or not len(lists):
            return pl.col(self.of).list.get(self.place, null_on_oob=True)
        return pl.col(self.of).explode().gather_every(len(lists.item(0)), self.place)


def _place(of: str, paths: list[str], path: str) -> _Place:
    if path not in paths:
        paths.append(path)
    return _Place(of, paths.index(path))


class _Wanted:
    """The expressions of a query: values, objects and lists of each level, and texts opened inside."""

    def __init__(self, last: int) -> None:
        levels = [f"d{level}" for level in range(last + 1)]
        self.last = last
        self.paths: dict[str, list[str]] = {document: [] for document in levels}
        self.typed: dict[str, list[str]] = {document: [] for document in levels}
        self.above: dict[str, list[str]] = {document: [_path(())] for document in levels}
        self.values: list[tuple[str, str]] = []
        self.inner: dict[str, list[str]] = {}
        self.floats: list[str] = []

    def bare(self) -> _Wanted:
        """The same objects, with no value of theirs."""
        bare = _Wanted(self.last)
        bare.above = self.above
        return bare

    @property
    def flat(self) -> bool:
        """Whether the records themselves are the only objects on the way to a field."""
        return not self.last and len(self.above["d0"]) == 1

    def read(self, document: str, text: str) -> list[str]:
        """What is read from `document`, which stands in the column `text`."""
        found = [
            f"try(json_extract({text}, {path})) AS l{number}"
            for number, (owner, path) in enumerate(self.values)
            if owner == document
        ]
        if self.paths[document]:
            found.append(f"try(json_extract_string({text}, [{', '.join(self.paths[document])}])) AS {document}_values")
        if self.typed[document]:
            found.append(f"try(json_type({text}, [{', '.join(self.typed[document])}])) AS {document}_types")
        return [*found, f"try(json_keys({text}, [{', '.join(self.above[document])}])) AS {document}_objects"]

    def names(self, document: str) -> list[str]:
        """The columns that `read` makes."""
        values = [f"{document}_values"] if self.paths[document] else []
        values += [f"{document}_types"] if self.typed[document] else []
        lists = [f"l{number}" for number, (owner, _) in enumerate(self.values) if owner == document]
        return [*values, *lists, f"{document}_objects"]

    @property
    def keys(self) -> list[str]:
        """The keys of each attribute list."""
        key = _path(("key",))
        return [
            f"list_transform(l{number}, lambda x: json_extract_string(x, {key})) AS k{number}"
            for number, (_, path) in enumerate(self.values)
            if path.endswith("[*]'")
        ]

    @property
    def shape(self) -> str:
        """A number that elements share whose objects, those on the way to a field, have the same keys."""
        return "hash(d0_objects[1])" if self.flat else f"hash({', '.join(f'{one}_objects' for one in self.above)})"

    @property
    def repeated(self) -> str:
        """Whether an object on the way to a field repeats a key."""
        twice = "lambda k: len(k) <> len(list_distinct(k))"
        return " OR ".join(f"coalesce(len(list_filter({one}_objects, {twice})) > 0, false)" for one in self.above)

    @property
    def opened(self) -> list[str]:
        """Texts that are JSON themselves: each is read once, for all that is wanted from it."""
        return [
            f"try(json_extract_string({value}, [{', '.join(paths)}])) AS t{number}"
            for number, (value, paths) in enumerate(self.inner.items())
        ]

    def add(self, field: Field, number: int) -> _Place | str:
        """Plan for `field`, the `number`-th; return where its text is, or the expression that gives it."""
        document = f"d{self.last if field.level is None else field.level}"
        for end in range(1, len(field.segments)):
            above = _path(field.segments[:end])
            if above not in self.above[document]:
                self.above[document].append(above)
        if field.key is not None:
            value: _Place | str = self._attribute(document, field)
        else:
            value = _place(f"{document}_values", self.paths[document], _path(field.segments))
        if field.null is not None:
            null = f"{value} IS NULL AND {self._type(document, field.segments)} = 'NULL'"
            value = f"CASE WHEN {null} THEN {_text(field.null)} ELSE {value} END"
        if field.verbatim and (self.last or field.key is not None or field.inner is not None):
            told = f"coalesce({self._type(document, field.segments)} = 'DOUBLE', false)"
            self.floats.append(f'{told} AS "{_FLOAT_OF} {number}"')
        if field.inner is not None:
            paths = self.inner.setdefault(str(value), [])
            return _place(f"t{list(self.inner).index(str(value))}", paths, _path(field.inner))
        return value

    def _value(self, document: str, path: str) -> int:
        if (document, path) not in self.values:
            self.values.append((document, path))
        return self.values.index((document, path))

    def _type(self, document: str, segments: tuple[Segment, ...]) -> str:
        """The JSON type at the path: the word NULL for a null, and null where there is nothing."""
        path, paths = _path(segments), self.typed[document]
        if path not in paths:
            paths.append(path)
        return f"{document}_types[{paths.index(path) + 1}]"

    def _attribute(self, document: str, field: Field) -> str:
        number = self._value(document, _path(field.segments, "[*]"))
        paths = ", ".join(_path(("value", name)) for name in _VALUES)
        found = f"l{number}[list_position(k{number}, {_text(field.key or '')})]"
        return f"list_filter(json_extract_string({found}, [{paths}]), lambda x: x IS NOT NULL)[1]"


def _as_written(
    text: pl.Series,
    frame: pl.DataFrame,
    name: str,
    floats: pl.Series,
    field: Field,
    explode: Sequence[tuple[Segment, ...]],
) -> pl.Series:
    """The field with its floats as they are written; the kernel has re-serialised them.

    Where all numbers of that value behind that key are written alike, that is how; where they are not, or a list holds
    it, the record is decoded once more.
    """
    value = frame[name]
    if not floats.any():
        return value
    rows = frame.select("r", "item", value=name).with_row_index("i").filter(floats)
    key = str(field.segments[-1]) if field.segments else ""
    raw = rows.with_columns(text=text.gather(rows["r"]))
    found = raw.select("i", "value", digits=pl.col("text").str.extract_all(_number_after(key))).explode("digits")
    found = found.with_columns(pl.col("digits").str.extract(r"(-?[0-9][0-9.eE+-]*)$", 1))
    same = pl.col("digits").cast(pl.Float64, strict=False) == pl.col("value").cast(pl.Float64, strict=False)
    forms = found.filter(same).group_by("i").agg(pl.col("digits").first(), n=pl.col("digits").n_unique())
    told = raw.join(forms, on="i", how="left", maintain_order="left")
    digits = told.select(pl.when(pl.col("n") == 1).then("digits")).to_series().to_list()
    for place, (r, item) in enumerate(told.select("r", "item").iter_rows()):
        if digits[place] is None:
            digits[place] = _decoded(text[r], field, explode, item)
    return value.scatter(rows["i"], pl.Series(digits, dtype=pl.String).fill_null(rows["value"])).alias(name)


def _decoded(text: str, field: Field, explode: Sequence[tuple[Segment, ...]], item: int) -> str | None:
    """The digits of one float, from the whole record."""
    decoder = json.JSONDecoder(parse_float=str, parse_int=str, object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    try:
        elements = [[decoder.decode(text)]]
        for segments in explode:
            elements = [[*above, one] for above in elements for one in _at(above[-1], segments) or []]
        level = len(explode) if field.level is None else field.level
        found = _at(elements[item][level], field.segments)
    except (ValueError, RecursionError, IndexError, TypeError):
        return None
    return found if isinstance(found, str) else None


def _at(value: Any, segments: Sequence[Segment]) -> Any:
    for one in segments:
        if isinstance(value, dict):
            value = value.get(str(one))
        elif isinstance(value, list) and isinstance(one, int):
            value = value[one]
        else:
            return None
    return value


def _elements(wanted: _Wanted, explode: Sequence[tuple[Segment, ...]]) -> str:
    """The query that opens the lists of a batch, one below the other, and reads what is wanted on the way."""
    # What is read from a level is read before the next list is opened: no element drags its container along.
    source, carried = f"SELECT r, text AS d0{_list(wanted.read('d0', 'text'))} FROM batch", ["r"]
    carried += wanted.names("d0")
    sound = "true"
    for level, segments in enumerate(explode, start=1):
        above, here, kept = f"d{level - 1}", f"d{level}", ", ".join(carried)
        opened = f"SELECT {kept}, try(json_extract({above}, {_path(segments, '[*]')})) AS l FROM ({source})"
        element = f"SELECT {kept}, unnest(l) AS {here}, generate_subscripts(l, 1) AS o{level} FROM ({opened})"
        source = f"SELECT {kept}, o{level}, {here}{_list(wanted.read(here, here))} FROM ({element})"
        carried += [f"o{level}", *wanted.names(here)]
        sound = f"coalesce(try(json_type({here})) = '{OBJECT}', false)"
    return f"SELECT *, {sound} AS sound{_list(wanted.keys)} FROM ({source})"


def _rows(text: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"r": pl.int_range(len(text), eager=True).cast(pl.Int64), "text": text})


def _list(columns: Sequence[str]) -> str:
    return "".join(f", {column}" for column in columns)


def _number_after(key: str) -> str:
    quoted = "".join("\\" + c if c in r"\.+*?()[]{}|^$" else c for c in key)
    return rf'"{quoted}"\s*:\s*-?[0-9][0-9.eE+-]*'


def _path(segments: Sequence[Segment], tail: str = "") -> str:
    """An SQL literal of a JSON path: keys quoted, so that a dot in a key means itself.

    A key that the path language cannot quote takes the JSON Pointer (RFC 6901), which has no places from the end.
    """
    if any(isinstance(one, str) and not QUOTABLE.fullmatch(one) for one in segments):
        return _text("".join("/" + str(one).replace("~", "~0").replace("/", "~1") for one in segments))
    steps = []
    for one in segments:
        if isinstance(one, str):
            steps.append('."' + one + '"')
        else:
            steps.append(f"[{one}]" if one >= 0 else f"[#{one}]")
    return _text("$" + "".join(steps) + tail)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
