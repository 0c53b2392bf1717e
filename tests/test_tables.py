"""Rows of Parquet, Arrow and SQLite: values as they are, damage with its extent, and the user's folder untouched."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import json
import os
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings, strategies as st

from strataline.read import tables
from strataline.read.frame import RECORDS
from strataline.read.tables import DAMAGED, TABLE_MAGIC, read_tables

SHARED = Path(__file__).resolve().parents[2] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the real logs are not here")
PHOENIX = SHARED / "real_logs" / "phoenix"
CHAINLIT = SHARED / "real_logs" / "chainlit" / "chainlit.db"
CAP = 1 << 24


def read(kind: str, file: Any, max_record: int = CAP) -> dict[str | None, tuple[pl.DataFrame, str | None]]:
    """Records and problem per table."""
    found = {}
    for table in read_tables(kind, file, max_record):
        frames = list(table.frames)
        frame = pl.concat(frames) if frames else pl.DataFrame(schema={"text": pl.Binary, "offset": pl.Int64})
        for name in set(frame.columns) & set(RECORDS) if frames else ():
            assert frame.schema[name] == RECORDS[name]
        found[table.name] = frame, table.problem
    return found


def only(kind: str, file: Any, max_record: int = CAP) -> tuple[pl.DataFrame, str | None]:
    ((name, found),) = read(kind, file, max_record).items()
    assert name is None
    return found


def objects(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return [json.loads(text) for text in frame["text"] if text]


def arrow_file(table: pa.Table, rows: int | None = None, *, stream: bool = False) -> bytes:
    file = io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(file, table.schema) as writer:
        writer.write_table(table, rows)
    return file.getvalue()


def one_value(array: pa.Array) -> list[Any]:
    """What each value of `array` is in JSON."""
    frame, problem = only("arrow", io.BytesIO(arrow_file(pa.table({"v": array}))))
    assert problem is None
    return [row["v"] for row in objects(frame)]


def check_addresses(frame: pl.DataFrame) -> None:
    assert frame["line"].null_count() == frame.height
    assert not frame["raw"].any()
    assert frame["offset"].to_list() == [0, *frame["length"].cum_sum().to_list()][:-1]


# --- Values -----------------------------------------------------------------------------------------------------


def test_magic_names_the_kinds() -> None:
    table = pa.table({"a": [1]})
    assert TABLE_MAGIC[arrow_file(table)[:6]] == "arrow"
    assert TABLE_MAGIC[arrow_file(table, stream=True)[:4]] == "arrow"
    file = io.BytesIO()
    pq.write_table(table, file)
    assert TABLE_MAGIC[file.getvalue()[:4]] == "parquet"
    assert b"SQLite format 3\0" in TABLE_MAGIC


@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        (pa.array([2**63 - 1, None, -(2**63)]), [2**63 - 1, None, -(2**63)]),
        (pa.array([2**64 - 1], pa.uint64()), [2**64 - 1]),
        (pa.array([0.1, None], pa.float32()), [0.1, None]),
        (pa.array([1.5], pa.float16()), [1.5]),
        (pa.array([1e22, 0.1 + 0.2, float("nan"), float("inf"), None]), [1e22, 0.1 + 0.2, None, None, None]),
        (pa.array([decimal.Decimal("1.10"), None], pa.decimal128(38, 2)), ["1.10", None]),
        (pa.array([decimal.Decimal("12345678901234567890.5")], pa.decimal256(60, 1)), ["12345678901234567890.5"]),
        (pa.array([dt.datetime(2026, 1, 2, 3, 4, 5, 67), None]), ["2026-01-02T03:04:05.000067", None]),  # noqa: DTZ001
        (pa.array([1], pa.timestamp("ns", "Europe/Berlin")), ["1970-01-01T00:00:00.000000001Z"]),
        (pa.array([-1, 2**62], pa.timestamp("s", "+01:00")), ["1969-12-31T23:59:59Z", str(2**62)]),
        (pa.array([dt.date(2026, 1, 2)]), ["2026-01-02"]),
        (pa.array([dt.time(1, 2, 3)]), ["01:02:03.000000"]),
        (pa.array([dt.timedelta(seconds=-1.5), None, dt.timedelta(1)]), ["-PT1.5S", None, "PT86400S"]),
        (pa.array([b"caf\xc3\xa9", b"\xff\x00", None]), ["café", "0xff00", None]),
        (pa.array([b"abcd", b"\xff\xfe\xfd\xfc"], pa.binary(4)), ["abcd", "0xfffefdfc"]),
        (pa.array([b"x", None], pa.binary_view()), ["x", None]),
        (pa.array(['é"\n\0\u2028', None], pa.string_view()), ['é"\n\0\u2028', None]),
        (pa.array(["x", None, "y"]).dictionary_encode(), ["x", None, "y"]),
        (pa.array([1, 1, 2], pa.run_end_encoded(pa.int32(), pa.int64())), [1, 1, 2]),
        (pa.array([uuid.UUID(int=5).bytes, None], pa.uuid()), [str(uuid.UUID(int=5)), None]),
        (pa.array(['{"a": 1}', None], pa.json_()), ['{"a": 1}', None]),
        (pa.nulls(2), [None, None]),
        (pa.array([[1, None], None, []], pa.list_(pa.int8())), [[1, None], None, []]),
        (pa.array([[1, 2], None], pa.list_(pa.int8(), 2)), [[1, 2], None]),
        (pa.array([[1, 2], None, [3]], pa.list_view(pa.int8())), [[1, 2], None, [3]]),
        (pa.array([{"x": [b"\xff"], "y": None}, None]), [{"x": ["0xff"], "y": None}, None]),
        (pa.array([{"A": 1, "a": 2}, None]), [{"A": 1, "a": 2}, None]),
        (pa.array([{}, None], pa.struct([])), [{}, None]),
        (pa.array([[("k", 1.5)], None, []], pa.map_(pa.string(), pa.float32())), [{"k": 1.5}, None, {}]),
        (pa.array([[("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int64())), [{"k": 1, "k#2": 2}]),
        (pa.array([[(1, [dt.date(2026, 1, 1)])]], pa.map_(pa.int8(), pa.list_(pa.date32()))), [{"1": ["2026-01-01"]}]),
    ],
)
def test_values(array: pa.Array, wanted: list[Any]) -> None:
    assert one_value(array) == wanted
    # The same from the middle of a batch.
    nested = pa.concat_arrays([array, array])
    assert one_value(nested) == wanted * 2
    assert one_value(pa.array([None]).cast(pa.int8())) == [None]


LEAVES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.string(), st.text(max_size=5).filter(lambda text: text.isprintable())),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.float64(), st.floats(allow_nan=False, allow_infinity=False)),
    (pa.bool_(), st.booleans()),
    (pa.binary(), st.text(max_size=3).map(str.encode)),
]


def as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list):
        return [as_json(one) for one in value]
    return {key: as_json(one) for key, one in value.items()} if isinstance(value, dict) else value


@st.composite
def typed(draw: st.DrawFn, depth: int = 2) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
    what = draw(st.integers(0, 2)) if depth else 0
    if what == 0:
        kind, values = draw(st.sampled_from(LEAVES))
    elif what == 1:
        inner, one = draw(typed(depth - 1))
        kind, values = draw(st.sampled_from([pa.list_, pa.large_list]))(inner), st.lists(one, max_size=3)
    else:
        parts = draw(st.lists(typed(depth - 1), min_size=1, max_size=3))
        names = [f"k {at}'\"" for at in range(len(parts))]
        kind = pa.struct(list(zip(names, [part for part, _ in parts], strict=True)))
        values = st.fixed_dictionaries(dict(zip(names, [one for _, one in parts], strict=True)))
    return kind, st.none() | values


@given(data=st.data(), step=st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_nested_values_come_back(data: st.DataObject, step: int) -> None:
    kind, values = data.draw(typed())
    rows = data.draw(st.lists(values, min_size=1, max_size=6))
    array = pa.array(rows, kind)
    file = io.BytesIO(arrow_file(pa.table({"v": array}), step))
    frame, problem = only("arrow", file)
    assert problem is None
    check_addresses(frame)
    assert [row["v"] for row in objects(frame)] == [as_json(row) for row in rows]
    renderer = tables._Renderer()
    sliced = renderer.render(pa.record_batch({"v": array}).slice(len(rows) // 2))
    renderer.close()
    assert sliced.to_list() == frame["text"].to_list()[len(rows) // 2 :]


def test_columns_keep_their_order_and_names() -> None:
    table = pa.table([pa.array([at]) for at in range(6)], names=["b", "A", "a", "b", "it's {x}", "b#2"])
    frame, _ = only("arrow", io.BytesIO(arrow_file(table)))
    assert frame["text"].to_list() == [b'{"b":0,"A":1,"a":2,"b#3":3,"it\'s {x}":4,"b#2":5}']


def test_a_row_over_the_cap_has_no_text() -> None:
    frame, _ = only("arrow", io.BytesIO(arrow_file(pa.table({"v": ["x" * 100, "y"]}))), 50)
    assert frame["text"].to_list() == [None, b'{"v":"y"}']
    check_addresses(frame)


def test_frames_are_big() -> None:
    table = pa.table({"v": list(range(3000))})
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=1)
    (one,) = read_tables("parquet", file, CAP)
    frames = list(one.frames)
    assert [frame.height for frame in frames] == [3000]
    assert [row["v"] for row in objects(frames[0])] == list(range(3000))


# --- Parquet ----------------------------------------------------------------------------------------------------


def parquet(rows: int = 30, group: int = 10, **options: Any) -> bytes:
    table = pa.table({"n": list(range(rows)), "t": [f"text {at} " * 20 for at in range(rows)]})
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=group, **options)
    return file.getvalue()


def test_a_damaged_row_group_costs_its_rows() -> None:
    good = parquet(write_page_checksum=True, use_dictionary=False)
    about = pq.ParquetFile(io.BytesIO(good)).metadata.row_group(1).column(1)
    at = about.data_page_offset + about.total_compressed_size * 3 // 4
    bad = good[:at] + bytes([good[at] ^ 255]) + good[at + 1 :]
    frame, problem = only("parquet", io.BytesIO(bad))
    assert problem is None
    check_addresses(frame)
    assert frame["fault"].to_list() == [None] * 10 + [DAMAGED] + [None] * 10
    assert frame.row(10, named=True) | {"line": None} == {
        "line": None,
        "offset": 10,
        "length": 10,
        "text": b"",
        "raw": False,
        "fault": DAMAGED,
        "detail": "10 rows of row group 2 of 3 cannot be read",
    }
    assert [row["n"] for row in objects(frame)] == [*range(10), *range(20, 30)]


def test_a_cut_parquet_file_is_a_problem() -> None:
    good = parquet()
    for end in (4, 11, len(good) // 2, len(good) - 1):
        frame, problem = only("parquet", io.BytesIO(good[:end]))
        assert frame.is_empty()
        assert problem == "the Parquet file has no footer at its end: it is cut, or was not finished"
    frame, problem = only("parquet", io.BytesIO(good[:-60] + b"\xff" * 52 + good[-8:]))
    assert frame.is_empty()
    assert problem is not None
    _, problem = only("parquet", io.BytesIO(good[:-4] + b"PARE"))
    assert problem == "the Parquet file is encrypted"


def test_text_that_is_not_utf8_costs_nothing_else() -> None:
    bad = pa.array([b"ok", b"\xff"]).view(pa.string())
    nested = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), bad)
    file = io.BytesIO()
    pq.write_table(pa.table({"v": bad, "l": nested, "n": [1, 2]}), file)
    frame, problem = only("parquet", file)
    assert problem is None
    assert objects(frame) == [{"v": "ok", "l": ["ok"], "n": 1}, {"v": "0xff", "l": ["0xff"], "n": 2}]


@given(at=st.integers(0, 10**6), value=st.integers(1, 255), cut=st.booleans())
@settings(max_examples=15, deadline=None)
def test_no_damage_ends_in_a_traceback(at: int, value: int, cut: bool) -> None:
    table = pa.table({"n": [1, 2], "t": [["é"], None], "d": pa.array(["x", "y"]).dictionary_encode()})
    for good in (parquet(4, 2), arrow_file(table, 1), arrow_file(table, 1, stream=True)):
        kind = "parquet" if good.startswith(b"PAR1") else "arrow"
        place = at % len(good)
        bad = good[:place] + (b"" if cut else bytes([good[place] ^ value]) + good[place + 1 :])
        frame, problem = only(kind, io.BytesIO(bad))
        if not frame.is_empty():
            check_addresses(frame)
        assert problem is None or "\n" not in problem


# --- Arrow ------------------------------------------------------------------------------------------------------


def test_a_cut_arrow_file_gives_the_batches_before_the_cut() -> None:
    table = pa.table({"n": list(range(30))})
    good = arrow_file(table, 10)
    frame, problem = only("arrow", io.BytesIO(good[: len(good) - 20]))
    assert [row["n"] for row in objects(frame)] == list(range(30))
    assert problem is not None
    assert problem.startswith("the Arrow file has no footer at its end")
    stream = arrow_file(table, 10, stream=True)
    frame, problem = only("arrow", io.BytesIO(stream[: len(stream) * 2 // 3]))
    assert [row["n"] for row in objects(frame)] == list(range(10))
    assert problem == "the Arrow stream ends in the middle, or is damaged, after 10 rows"
    _, problem = only("arrow", io.BytesIO(stream[:40]))
    assert problem == "the schema of the Arrow file cannot be read: it is cut or damaged"


def test_a_damaged_arrow_batch_costs_its_rows() -> None:
    table = pa.table({"n": list(range(30)), "t": [f"{at}" * 50 for at in range(30)]})
    file = io.BytesIO()
    with pa.ipc.new_file(file, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table, 10)
    good = file.getvalue()
    # The second of three compressed columns of text.
    marks = [at for at in range(len(good)) if good.startswith(b"\x28\xb5\x2f\xfd", at)]
    at = marks[len(marks) // 2]
    frame, problem = only("arrow", io.BytesIO(good[:at] + b"\0\0\0\0" + good[at + 4 :]))
    assert problem == "record batch 2 of 3 cannot be read"
    check_addresses(frame)
    assert frame["length"].to_list() == [1] * 10 + [10] + [1] * 10
    assert [row["n"] for row in objects(frame)] == [*range(10), *range(20, 30)]


# --- SQLite -----------------------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Iterator[tuple[Path, sqlite3.Connection]]:
    path = tmp_path / "a ?#%.db"
    connection = sqlite3.connect(path)
    yield path, connection
    connection.close()


def test_values_of_sqlite(database: tuple[Path, sqlite3.Connection]) -> None:
    path, connection = database
    connection.execute('CREATE TABLE t (a, b TEXT, c BLOB, "d e" REAL)')
    connection.execute("INSERT INTO t VALUES (?, ?, ?, ?)", (2**63 - 1, 'é"\n', b"\xff\x00", 0.1))
    connection.execute("INSERT INTO t VALUES ('x', '', x'6869', 9e999)")
    connection.execute("INSERT INTO t VALUES (NULL, CAST(x'ff41' AS TEXT), NULL, NULL)")
    connection.commit()
    frame, problem = read("sqlite", path)["t"]
    assert problem is None
    check_addresses(frame)
    assert objects(frame) == [
        {"a": 2**63 - 1, "b": 'é"\n', "c": "0xff00", "d e": 0.1},
        {"a": "x", "b": "", "c": "hi", "d e": None},
        {"a": None, "b": "0xff41", "c": None, "d e": None},
    ]
    assert frame["text"][0].startswith(b'{"a":9223372036854775807,"b":"\xc3\xa9\\"\\n",')
    capped, _ = read("sqlite", path, 60)["t"]
    assert capped["text"].null_count() == 1


def test_tables_in_order_of_name_and_rows_of_row_id(database: tuple[Path, sqlite3.Connection]) -> None:
    path, connection = database
    connection.executescript("""
        CREATE TABLE z (id INTEGER PRIMARY KEY AUTOINCREMENT, rowid TEXT); CREATE INDEX i ON z (rowid);
        INSERT INTO z VALUES (3, 'a'), (1, 'c'), (2, 'b');
        CREATE TABLE w (k TEXT, n, PRIMARY KEY (n, k)) WITHOUT ROWID; INSERT INTO w VALUES ('b', 1), ('a', 2), ('a', 1);
        CREATE TABLE "m ""x" (a); CREATE VIEW v AS SELECT * FROM z;
        CREATE VIRTUAL TABLE f USING fts5(body); INSERT INTO f VALUES ('hello');
    """)
    found = read("sqlite", path)
    assert list(found) == ["f", 'm "x', "w", "z"]
    assert all(problem is None for _, problem in found.values())
    assert [row["id"] for row in objects(found["z"][0])] == [1, 2, 3]
    assert [(row["n"], row["k"]) for row in objects(found["w"][0])] == [(1, "a"), (1, "b"), (2, "a")]
    assert objects(found["f"][0]) == [{"body": "hello"}]
    assert found['m "x'][0].is_empty()


def test_rows_that_are_still_in_the_log(database: tuple[Path, sqlite3.Connection]) -> None:
    path, connection = database
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("CREATE TABLE t (a)")
    connection.execute("INSERT INTO t VALUES (1)")
    connection.commit()
    before = {one.name: one.read_bytes() for one in path.parent.iterdir()}
    assert before[path.name + "-wal"]
    frame, problem = read("sqlite", path)["t"]
    assert (objects(frame), problem) == ([{"a": 1}], None)
    assert {one.name: one.read_bytes() for one in path.parent.iterdir()} == before


def test_a_transaction_that_was_not_finished_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA cache_size=2")
    connection.execute("CREATE TABLE t (a)")
    connection.executemany("INSERT INTO t VALUES (?)", [(f"{at}" * 200,) for at in range(200)])
    connection.commit()
    connection.execute("UPDATE t SET a = 'half'")
    copy = tmp_path / "copy"
    copy.mkdir()
    for one in tmp_path.glob("x.db*"):
        (copy / one.name).write_bytes(one.read_bytes())
    connection.rollback()
    connection.close()
    assert (copy / "x.db-journal").stat().st_size
    frame, problem = read("sqlite", copy / "x.db")["t"]
    assert problem is None
    assert frame.height == 200
    assert "half" not in {row["a"] for row in objects(frame)}


def test_a_database_inside_an_archive(
    database: tuple[Path, sqlite3.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, connection = database
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE t (a)")
    connection.execute("INSERT INTO t VALUES (1)")
    connection.commit()
    connection.close()
    content = path.read_bytes()
    assert content[18] == 2
    frame, problem = read("sqlite", io.BytesIO(content))["t"]
    assert (objects(frame), problem) == ([{"a": 1}], None)
    # And as a file whose log is gone.
    assert read("sqlite", path)["t"][0].equals(frame)
    monkeypatch.setattr(tables, "DESERIALIZED", 1 << 10)
    empty, problem = only("sqlite", io.BytesIO(content))
    assert empty.is_empty()
    assert problem is not None
    assert "unpack it" in problem


def test_a_read_only_folder_is_enough(database: tuple[Path, sqlite3.Connection]) -> None:
    path, connection = database
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        assert read("sqlite", path)["t"][1] is None
        assert os.listdir(path.parent) == [path.name]  # noqa: PTH208 - names are enough
    finally:
        path.parent.chmod(0o700)


@pytest.mark.parametrize(("wanted", "rows_given"), [(100, range(50, 101)), (0, range(1)), (199, range(170, 201))])
def test_a_damaged_page_keeps_the_rows_around_it(tmp_path: Path, wanted: int, rows_given: range) -> None:
    path = tmp_path / "x.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a)")
    connection.execute("CREATE TABLE u (a)")
    connection.execute("INSERT INTO u VALUES ('sound')")
    texts = [f"<{at}>" * 80 for at in range(200)]
    connection.executemany("INSERT INTO t VALUES (?)", [(text,) for text in texts])
    connection.commit()
    connection.close()
    content = bytearray(path.read_bytes())
    at = content.index(f"<{wanted}>".encode() * 50) // 4096 * 4096
    content[at : at + 4096] = b"\xaa" * 4096
    path.write_bytes(content)
    for file in (path, io.BytesIO(content)):
        found = read("sqlite", file)
        frame, problem = found["t"]
        check_addresses(frame)
        before = frame["fault"].to_list().index(DAMAGED)
        assert before in rows_given
        rows = [row["a"] for row in objects(frame)]
        behind = len(rows) - before
        assert rows == texts[:before] + texts[200 - behind :]
        assert 170 < len(rows) < 200
        assert (behind > 0) == (wanted != 199)
        assert frame["fault"].drop_nulls().to_list() == [DAMAGED]
        assert problem == f"the SQLite database is damaged: rows after the first {before} that can be read are lost"
        assert objects(found["u"][0]) == [{"a": "sound"}]


def test_a_row_whose_long_text_is_damaged_costs_that_row(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a)")
    connection.executemany("INSERT INTO t VALUES (?)", [(f"<{at}>" * 4000,) for at in range(20)])
    connection.commit()
    connection.close()
    content = bytearray(path.read_bytes())
    # A page of long text begins with the number of the next.
    at = (content.index(b"<10>" * 900) // 4096) * 4096
    content[at : at + 4] = b"\xff" * 4
    path.write_bytes(content)
    frame, problem = read("sqlite", path)["t"]
    assert problem is not None
    assert frame["fault"].drop_nulls().to_list() == [DAMAGED]
    assert [row["a"][:4] for row in objects(frame)] == [f"<{at}><"[:4] for at in range(20) if at != 10]


@pytest.mark.parametrize("content", [b"SQLite format 3\0", b"SQLite format 3\0" + b"x" * 5000])
def test_what_is_no_database_is_a_problem(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(content)
    for file in (path, io.BytesIO(content)):
        frame, problem = only("sqlite", file)
        assert frame.is_empty()
        assert problem is not None


@given(at=st.integers(0, 10**6), value=st.integers(1, 255), cut=st.booleans())
@settings(max_examples=40, deadline=None)
def test_no_damage_of_a_database_ends_in_a_traceback(at: int, value: int, cut: bool) -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript("CREATE TABLE t (a PRIMARY KEY, b); INSERT INTO t VALUES (1, 'x'), (2, x'ff');")
    good = connection.serialize()
    connection.close()
    place = at % 200 if value % 2 else at % len(good)
    bad = good[:place] + (b"" if cut else bytes([good[place] ^ value]) + good[place + 1 :])
    for frame, problem in read("sqlite", io.BytesIO(bad)).values():
        if not frame.is_empty():
            check_addresses(frame)
        assert problem is None or "\n" not in problem


# --- Real files -------------------------------------------------------------------------------------------------


@needs_shared
@pytest.mark.parametrize("name", ["spans_dataframe", "retrieved_documents_exploded"])
def test_real_parquet(name: str) -> None:
    path = PHOENIX / f"{name}.parquet"
    frame, problem = only("parquet", path)
    assert problem is None
    check_addresses(frame)
    wanted = pq.read_table(path)

    def same(found: Any, value: Any) -> bool:
        if isinstance(value, dt.datetime):
            return bool(dt.datetime.fromisoformat(found[:26] + "+00:00") == value and found.endswith("Z"))
        if isinstance(value, float):
            return bool(found == value) or (value != value and found is None)  # noqa: PLR0124 - NaN
        if isinstance(value, list):
            return len(found) == len(value) and all(map(same, found, value))
        if isinstance(value, dict):
            return list(found) == list(value) and all(same(found[key], one) for key, one in value.items())
        return bool(found == value)

    rows = objects(frame)
    assert len(rows) == wanted.num_rows
    assert list(rows[0]) == wanted.schema.names
    assert all(same(found, row) for found, row in zip(rows[:300], wanted.slice(0, 300).to_pylist(), strict=True))
    stream = io.BytesIO(arrow_file(wanted, 100, stream=True))
    assert only("arrow", stream)[0]["text"].equals(frame["text"])


@needs_shared
def test_real_sqlite() -> None:
    found = read("sqlite", CHAINLIT)
    dump = json.loads((CHAINLIT.parent / "sqlite_tables_dump.json").read_text())
    assert list(found) == ["elements", "feedbacks", "steps", "threads", "users"]
    for name, (frame, problem) in found.items():
        assert problem is None
        assert objects(frame) == dump.get(name, [])


@needs_shared
def test_a_real_csv_table_reads_alike_from_sqlite(tmp_path: Path) -> None:
    frame, _ = only("parquet", PHOENIX / "retrieved_documents_exploded.parquet")
    rows = objects(frame)
    path = tmp_path / "x.db"
    connection = sqlite3.connect(path)
    columns = ", ".join(f'"{name}"' for name in rows[0])
    connection.execute(f"CREATE TABLE t ({columns})")
    connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(rows[0]))})", [[*row.values()] for row in rows])
    connection.commit()
    connection.close()
    assert read("sqlite", path)["t"][0]["text"].equals(frame["text"])
