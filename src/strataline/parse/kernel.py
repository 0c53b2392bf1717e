"""Fields of JSON records by columns: one DuckDB query over a batch of raw lines.

Lines travel as binary: in a string column one invalid byte breaks the query, and `try(decode(…))` isolates it.
What the kernel refuses is left to `strataline.parse.rescue`. Facts that the rules here follow from were measured on
DuckDB 2.0: integers of any size are exact, floats are re-serialised, repeated keys: the first wins, NaN, Infinity
and trailing commas are accepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
import polars as pl

from strataline.format import Field, Segment

OBJECT = "OBJECT"
_VALUES = ("stringValue", "intValue", "doubleValue", "boolValue", "bytesValue", "arrayValue", "kvlistValue")


class Kernel:
    """One DuckDB connection, in memory, that reads nothing but what is handed to it."""

    def __init__(self) -> None:
        self._connection = duckdb.connect(
            config={"enable_external_access": False, "autoinstall_known_extensions": False}
        )

    def decode(self, text: pl.Series) -> pl.Series:
        """Binary to text; null where the bytes are not UTF-8 (or were null)."""
        frame = self._query("SELECT r, try(decode(text)) AS s FROM batch ORDER BY r", _rows(text))
        return frame["s"]

    def look(self, text: pl.Series) -> pl.DataFrame:
        """What each record is.

        Returns:
            Per record, in order: ``s`` (text; null if not UTF-8), ``type`` (JSON type; null if refused),
            ``repeated`` (an object at the top repeats a key), ``lenient`` (holds NaN, Infinity or a trailing
            comma, or text that looks like one).
        """
        odd = r"regexp_matches(s, '[:,\[]\s*-?(NaN|Infinity)') OR regexp_matches(s, ',\s*[\]}]')"
        query = f"""
            SELECT s, type,
                coalesce(len(k) <> len(list_distinct(k)), false) AS repeated,
                coalesce({odd}, false) AS lenient
            FROM (
                SELECT r, s, type, CASE WHEN type = '{OBJECT}' THEN json_keys(s) END AS k
                FROM (SELECT r, s, try(json_type(s)) AS type FROM (SELECT r, try(decode(text)) AS s FROM batch))
            ) ORDER BY r
        """
        return self._query(query, _rows(text))

    def extract(
        self, text: pl.Series, fields: Mapping[str, Field], explode: Sequence[tuple[Segment, ...]]
    ) -> pl.DataFrame:
        """Read `fields` from records that are JSON objects.

        Args:
            text: records as text (all accepted by `look`).
            fields: name → where it lies.
            explode: see `Format`; without it each record is one element.

        Returns:
            One row per element: ``r`` (row of the record), ``item`` (place in the record, from 0), ``sound``
            (the element is an object), and each field as text. In order of (r, item).
        """
        last = len(explode)
        wanted = _Wanted(last)
        columns = [f"{wanted.add(field)} AS c{number}" for number, field in enumerate(fields.values())]
        # What is read from a level is read before the next list is opened: no element drags its container along.
        source, carried = (
            f"SELECT r, text AS d0{_list(wanted.read('d0', 'text'))} FROM batch",
            ["r", *wanted.names("d0")],
        )
        for level, segments in enumerate(explode, start=1):
            above, here = f"d{level - 1}", f"d{level}"
            kept = ", ".join(carried)
            opened = f"SELECT {kept}, try(json_extract({above}, {_path(segments, '[*]')})) AS l FROM ({source})"
            element = f"SELECT {kept}, unnest(l) AS {here}, generate_subscripts(l, 1) AS o{level} FROM ({opened})"
            carried.append(f"o{level}")
            kept = ", ".join(carried)
            source = f"SELECT {kept}, {here}{_list(wanted.read(here, here))} FROM ({element})"
            carried += wanted.names(here)
        order = "".join(f", o{n}" for n in range(1, last + 1))
        query = f"""
            SELECT r, row_number() OVER (PARTITION BY r ORDER BY r{order}) - 1 AS item, sound{_list(columns)}
            FROM (SELECT *{_list(wanted.opened)} FROM (
                SELECT *, coalesce(try(json_type(d{last})) = '{OBJECT}', false) AS sound{_list(wanted.keys)}
                FROM ({source})
            )) ORDER BY r{order}
        """
        frame = self._query(query, _rows(text))
        return frame.rename({f"c{number}": name for number, name in enumerate(fields)})

    def elements(self, lists: pl.Series, fields: Mapping[str, Field]) -> pl.DataFrame:
        """Read `fields` from the elements of JSON lists.

        Args:
            lists: JSON texts. An object counts as a list of one, as writers put it where there is but one; what is
                null or neither has no elements.
            fields: name → where it lies in an element. A field without a path is the element itself.

        Returns:
            One row per element, as `extract` does; ``item`` is its place in the list.
        """
        keep = lists.str.contains(r"^[\[{]").fill_null(value=False)
        kept = pl.DataFrame({"l": lists.filter(keep)})
        listed = pl.when(pl.col("l").str.starts_with("{")).then("[" + pl.col("l") + "]").otherwise("l")
        wrapped = kept.select('{"l":' + listed + "}").to_series()
        rows = pl.int_range(len(lists), eager=True).cast(pl.Int64).filter(keep)
        found = self.extract(wrapped, fields, (("l",),))
        return found.with_columns(r=rows.gather(found["r"]))

    def has(self, text: pl.Series, paths: Sequence[tuple[Segment, ...]]) -> pl.DataFrame:
        """Whether each record has a value (null counts) at each of `paths`, one Boolean column per path; in order."""
        tests = f"[{', '.join(_path(segments) for segments in paths)}]"
        columns = ", ".join(f"coalesce(e[{n + 1}], false) AS c{n}" for n in range(len(paths)))
        return self._query(
            f"SELECT {columns} FROM (SELECT r, try(json_exists(text, {tests})) AS e FROM batch) ORDER BY r",
            _rows(text),
        )

    def sha256(self, text: pl.Series) -> pl.Series:
        """SHA-256 of each text, in hex; null stays null."""
        return self._query("SELECT sha256(text) AS h FROM batch ORDER BY r", _rows(text))["h"]

    def _query(self, query: str, batch: pl.DataFrame) -> pl.DataFrame:
        connection = self._connection
        connection.register("batch", batch.to_arrow())
        try:
            frame = pl.from_arrow(connection.sql(query).to_arrow_table())
        finally:
            connection.unregister("batch")
        assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table never becomes a series
        return frame


class _Wanted:
    """The expressions of a query: values and lists of each level, keys of the lists, texts opened inside."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.paths: dict[str, list[str]] = {}
        self.lists: list[tuple[str, str]] = []
        self.inner: dict[str, list[str]] = {}

    def read(self, document: str, text: str) -> list[str]:
        """What is read from `document`, which stands in the column `text`."""
        lists = [
            f"try(json_extract({text}, {path})) AS l{number}"
            for number, (owner, path) in enumerate(self.lists)
            if owner == document
        ]
        if document in self.paths:
            lists.append(f"try(json_extract_string({text}, [{', '.join(self.paths[document])}])) AS {document}_values")
        return lists

    def names(self, document: str) -> list[str]:
        """The columns that `read` makes."""
        values = [f"{document}_values"] if document in self.paths else []
        return [*values, *(f"l{number}" for number, (owner, _) in enumerate(self.lists) if owner == document)]

    @property
    def keys(self) -> list[str]:
        key = _path(("key",))
        return [
            f"list_transform(l{number}, lambda x: json_extract_string(x, {key})) AS k{number}"
            for number, (_, path) in enumerate(self.lists)
            if path.endswith("[*]'")
        ]

    def add(self, field: Field) -> str:
        """Plan for `field`; return the expression that gives its text."""
        level = self.last if field.level is None else field.level
        document = f"d{level}"
        if field.key is not None:
            value = self._attribute(document, field)
        elif field.null is not None:
            value = self._plain(document, field.segments)
            null = f"{value} IS NULL AND {self._null(document, field.segments)}"
            value = f"CASE WHEN {null} THEN {_text(field.null)} ELSE {value} END"
        else:
            value = self._plain(document, field.segments)
        if field.verbatim and self.last == 0:
            # The kernel re-serialises floats; the digits as written are those in the raw text with that value.
            key = str(field.segments[-1]) if field.segments else ""
            written = f"regexp_extract_all(d0, {_text(_number_after(key))}, 1)"
            same = f"list_filter({written}, lambda x: try_cast(x AS DOUBLE) = try_cast({value} AS DOUBLE))[1]"
            changed = f"regexp_matches({value}, '^-?[0-9.]*[.eE][0-9eE+-]*$')"
            value = f"CASE WHEN {changed} THEN coalesce({same}, {value}) ELSE {value} END"
        if field.inner is not None:
            path, paths = _path(field.inner), self.inner.setdefault(value, [])
            if path not in paths:
                paths.append(path)
            return f"t{list(self.inner).index(value)}[{paths.index(path) + 1}]"
        return value

    @property
    def opened(self) -> list[str]:
        """Texts that are JSON themselves: each is read once, for all that is wanted from it."""
        return [
            f"try(json_extract_string({value}, [{', '.join(paths)}])) AS t{number}"
            for number, (value, paths) in enumerate(self.inner.items())
        ]

    def _plain(self, document: str, segments: tuple[Segment, ...]) -> str:
        path, paths = _path(segments), self.paths.setdefault(document, [])
        if path not in paths:
            paths.append(path)
        return f"{document}_values[{paths.index(path) + 1}]"

    def _null(self, document: str, segments: tuple[Segment, ...]) -> str:
        """Whether there is a JSON null, and not nothing, at the path."""
        found = (document, _path(segments))
        if found not in self.lists:
            self.lists.append(found)
        return f"try(json_type(l{self.lists.index(found)})) = 'NULL'"

    def _attribute(self, document: str, field: Field) -> str:
        attributes = (document, _path(field.segments, "[*]"))
        if attributes not in self.lists:
            self.lists.append(attributes)
        number = self.lists.index(attributes)
        paths = ", ".join(_path(("value", name)) for name in _VALUES)
        found = f"l{number}[list_position(k{number}, {_text(field.key or '')})]"
        return f"list_filter(json_extract_string({found}, [{paths}]), lambda x: x IS NOT NULL)[1]"


def _rows(text: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"r": pl.int_range(len(text), eager=True).cast(pl.Int64), "text": text})


def _list(columns: Sequence[str]) -> str:
    return "".join(f", {column}" for column in columns)


def _number_after(key: str) -> str:
    quoted = "".join("\\" + c if c in r"\.+*?()[]{}|^$" else c for c in key)
    return rf'"{quoted}"\s*:\s*(-?[0-9][0-9.eE+-]*)'


def _path(segments: Sequence[Segment], tail: str = "") -> str:
    """An SQL literal of a JSON path: keys quoted, so that a dot or a star in a key means itself."""
    steps = []
    for one in segments:
        if isinstance(one, str):
            steps.append('."' + one + '"')
        else:
            steps.append(f"[{one}]" if one >= 0 else f"[#{one}]")
    return _text("$" + "".join(steps) + tail)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
