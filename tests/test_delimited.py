"""Rows of delimited text: every byte has its place, cells are what the csv module reads, damage costs one line."""

from __future__ import annotations

import csv
import gzip
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from strataline.read.delimited import Delimited, distinct, sniff_delimited, split_delimited
from strataline.read.frame import FRAME, Reading

SHARED = Path(__file__).resolve().parents[2] / "shared"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the real logs are not here")
REAL = SHARED / "real_logs"
CAP = 1 << 20
ABC = Delimited(",", ("a", "b", "c"), 3)


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def split(
    data: bytes, shape: Delimited, size: int = 1 << 20, max_record: int = CAP, start: int = 0
) -> tuple[pl.DataFrame, Reading]:
    reading = Reading()
    frames = list(split_delimited(cut(data, size), shape, reading, max_record, start))
    schema = {"line": pl.Int64, "offset": pl.Int64, "length": pl.Int64, "text": pl.Binary, "raw": pl.Boolean}
    empty = pl.DataFrame(schema={**schema, "fault": pl.String, "detail": pl.String})
    return pl.concat([empty, *frames], how="diagonal"), reading


def check_laws(data: bytes, frame: pl.DataFrame, reading: Reading, start: int = 0) -> None:
    """Records and line ends are all there is; addresses and physical lines are true."""
    assert reading.record_bytes + reading.separator_bytes == len(data)
    assert reading.record_bytes == frame["length"].sum()
    at = 0
    for row in frame.iter_rows(named=True):
        offset = row["offset"] - start
        assert data[at:offset].strip(b"\r\n") == b""
        assert row["line"] == data.count(b"\n", 0, offset) + 1
        at = offset + row["length"]
        if row["raw"] and row["text"] is not None:
            assert row["text"] == data[offset:at]
    assert data[at:].strip(b"\r\n") == b""
    assert reading.lines == data.count(b"\n") + (not data.endswith(b"\n") and bool(data))


def values(frame: pl.DataFrame) -> list[list[str | None]]:
    return [list(json.loads(text).values()) for text in frame.filter(~pl.col("raw"))["text"]]


CELLS = st.text(st.sampled_from("abc,;\t|\"'\n\r {}\\é\u2028😀01"), max_size=8)
ENDS = st.sampled_from(["\n", "\r\n"])
SIZES = st.sampled_from([1, 2, 3, 7, 64, 1 << 20])


@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=12),
    delimiter=st.sampled_from(",\t;|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    end=ENDS,
    size=SIZES,
    last_end=st.booleans(),
    start=st.sampled_from([0, 3]),
)
@settings(max_examples=80, deadline=None)
def test_what_the_csv_module_writes_comes_back(
    rows: list[tuple[str, ...]], delimiter: str, quoting: int, end: str, size: int, last_end: bool, start: int
) -> None:
    if quoting == csv.QUOTE_MINIMAL:
        # Python 3.11 leaves a lone carriage return without quotes.
        rows = [tuple(cell.replace("\r", "") for cell in row) for row in rows]
    header = ("id", "@text", "dd.score")
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows([header, *rows])  # type: ignore[arg-type]
    data = file.getvalue().encode()
    if not last_end:
        data = data.removesuffix(end.encode())
    frame, reading = split(data, Delimited(delimiter, header, 3), size, start=start)
    check_laws(data, frame, reading, start)
    assert frame["fault"].to_list() == [FRAME] + [None] * len(rows)
    assert frame["offset"].to_list()[:1] == [start]
    empty = None if quoting == csv.QUOTE_MINIMAL else ""
    assert values(frame) == [[cell or empty for cell in row] for row in rows]
    for text in frame.filter(~pl.col("raw"))["text"]:
        assert text == json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":")).encode()
        assert list(json.loads(text)) == list(header)


MESS = st.lists(
    st.sampled_from(
        [b"a", b",", b'"', b"\n", b"\r\n", b"\r", b"\r\r\n", b'""', b"\0", b"\xff", b"a,b,c\n", b'"x\ny",', b"\xc3\xa9"]
    ),
    max_size=40,
).map(b"".join)


@given(data=MESS, size=SIZES, max_record=st.sampled_from([2, 5, 20, CAP]))
@settings(max_examples=200, deadline=None)
def test_laws_hold_on_any_bytes_and_for_any_pieces(data: bytes, size: int, max_record: int) -> None:
    frame, reading = split(data, ABC, max_record=max_record)
    check_laws(data, frame, reading)
    pieces, again = split(data, ABC, size, max_record)
    assert frame.equals(pieces)
    assert again == reading
    assert frame.filter(pl.col("text").is_null())["length"].to_list() == [
        length for length in frame["length"] if length > max_record
    ]


WORD = st.text(st.sampled_from('abc ,"\né'), max_size=6).map(lambda text: "w" + text)


@given(
    before=st.lists(st.tuples(WORD, WORD, WORD), max_size=5),
    after=st.lists(st.tuples(WORD, WORD, WORD), min_size=1, max_size=5),
    damaged=st.sampled_from(
        [
            (b'1,"2,3', "column_count"),
            (b'1,2,"3', "column_count"),
            (b'"', "column_count"),
            (b"1,2", "column_count"),
            (b"1,2,3,4", "column_count"),
            (b"1,2,\xff", "invalid_utf8"),
            (b'"1,\0",2,3', "nul_bytes"),
        ]
    ),
    size=SIZES,
)
@settings(max_examples=80, deadline=None)
def test_a_damaged_row_costs_its_line(
    before: list[tuple[str, ...]], after: list[tuple[str, ...]], damaged: tuple[bytes, str], size: int
) -> None:
    parts = []
    for rows in (before, after):
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerows(rows)
        parts.append(file.getvalue().encode())
    raw, fault = damaged
    data = b"a,b,c\n" + parts[0] + raw + b"\n" + parts[1]
    frame, reading = split(data, ABC, size)
    check_laws(data, frame, reading)
    assert values(frame) == [list(row) for row in before + after]
    bad = frame.filter(pl.col("fault") == fault)
    assert bad["text"].to_list() == [raw]
    assert bad["raw"].all()
    assert frame["fault"].drop_nulls().to_list() == [FRAME, fault]


def test_what_is_said_of_damage() -> None:
    data = b'a,b,c\n1,2\n"1",2,3,"4"\nx,"y,z\n1,2,\xe9\n\0\0,2,3\n1\n'
    frame, _ = split(data, ABC)
    assert frame["detail"].to_list() == [
        None,
        "2 cells where the header has 3",
        "4 cells where the header has 3",
        "a quote opens here and does not close in a row of its own",
        "byte 0xe9 at 4 of the row is not UTF-8",
        "2 NUL bytes in a row",
        "1 cell where the header has 3",
    ]
    frame, _ = split(b"1,2\n", Delimited(",", (), 3))
    assert frame["detail"].to_list() == ["2 cells where rows have 3"]


def test_an_invalid_row_over_several_lines_keeps_its_extent() -> None:
    frame, reading = split(b'1,"2\n\xff",3\n4,5,6\n', ABC)
    assert frame["length"].to_list() == [9, 5]
    assert frame["fault"].to_list() == ["invalid_utf8", None]
    assert reading.lines == 3


def test_null_empty_blank_and_space() -> None:
    frame, reading = split(b'a,b,c\r\n,"",x\r\n\r\n"a,"",b",,""\r\n \t\r\n,,\r\n\n', ABC)
    assert values(frame) == [[None, "", "x"], ['a,",b', None, ""], [None, None, None]]
    blank = frame.filter(pl.col("raw") & pl.col("fault").is_null())
    assert blank["text"].to_list() == [b"", b" \t", b""]
    assert reading.separator_bytes == 13


def test_quotes_inside_a_cell_are_read_as_the_csv_module_does() -> None:
    rows = ['5" pipe,b,c', 'say "hi",b,"one\n""two"""', '"a"b,"c" d,e', '"a"b"c,d,e', "' x','\"y\"','", '1, "2",3']
    for row in rows:
        frame, _ = split((row + "\n1,2,3\n").encode(), ABC)
        assert values(frame) == [*csv.reader(io.StringIO(row, newline="")), ["1", "2", "3"]]


def test_a_header_that_comes_again_frames() -> None:
    frame, _ = split('a,b,c\n1,2,3\n"a",b,c\r\n4,5,6\n\ufeffa,b,c\n7,8,9\n'.encode(), ABC)
    assert frame["fault"].to_list() == [FRAME, None, FRAME, None, FRAME, None]
    assert frame.filter(pl.col("fault") == FRAME)["raw"].all()


def test_a_header_over_several_lines() -> None:
    data = b'"a\nunit",b,c\n1,2,3\n'
    shape = sniff_delimited(data, whole=True)
    assert shape is None or shape.header == ("a\nunit", "b", "c")
    frame, _ = split(data, Delimited(",", ("a\nunit", "b", "c"), 3))
    assert frame["fault"].to_list() == [FRAME, None]
    assert json.loads(frame["text"][1]) == {"a\nunit": "1", "b": "2", "c": "3"}


def test_a_spreadsheet_s_hint_frames_too() -> None:
    data = b"sep=;\r\nid;text;note\r\n1;a,b;c\r\n"
    shape = sniff_delimited(data, whole=True)
    assert shape == Delimited(";", ("id", "text", "note"), 3)
    frame, _ = split(data, shape)
    assert frame["fault"].to_list() == [FRAME, FRAME, None]


def test_columns_without_a_name_or_with_the_same() -> None:
    shape = Delimited(",", ("", "x", "x", "2", "x#2"), 5)
    assert shape.names == ("1", "x", "x#3", "2", "x#2")
    assert Delimited(",", (), 3).names == ("1", "2", "3")
    assert distinct(["a", "a", "a"]) == ("a", "a#2", "a#3")
    frame, _ = split(b"0,1,2,3,4\n", shape)
    assert json.loads(frame["text"][0]) == {"1": "0", "x": "1", "x#3": "2", "2": "3", "x#2": "4"}


@pytest.mark.parametrize("size", [1, 17, 1 << 20])
def test_a_row_over_the_cap(size: int) -> None:
    inside = b'1,"' + b"x\n" * 30 + b'",3'
    single = b"4," + b"y" * 200 + b",6"
    beyond = b'7,"' + b"z\n" * 60 + b'",9'
    data = b"a,b,c\n" + inside + b"\r\n" + single + b"\r\n" + beyond + b"\n1,2,3\n"
    frame, reading = split(data, ABC, size, max_record=50)
    check_laws(data, frame, reading)
    # Twice the cap is how far a row over several lines is looked for.
    assert frame["length"].to_list()[1:3] == [len(inside), len(single)]
    assert frame["text"].to_list()[1:3] == [None, None]
    assert frame["fault"].to_list()[1:3] == [None, None]
    assert frame["fault"].to_list()[3:-1] == ["column_count"] * 61
    assert values(frame) == [["1", "2", "3"]]


@pytest.mark.parametrize("ending", [b"", b"\r", b"\n", b"\r\n", b"\r\r\n", b"\r\r\r\r\n"])
@pytest.mark.parametrize("size", [1, 13, 1 << 20])
def test_a_last_row_over_the_cap(ending: bytes, size: int) -> None:
    data = b"a,b,c\n1,2," + b"x" * 100 + ending
    frame, reading = split(data, ABC, size, max_record=10)
    check_laws(data, frame, reading)
    assert frame["length"].to_list() == [5, 104]
    assert frame["text"].to_list() == [b"a,b,c", None]


def test_line_ends_that_windows_wrote_twice() -> None:
    data = b'time,"a b",c\r\r\n1,"2\r\r\n3","4"\r\r\n5,6,7\r\r\n'
    shape = sniff_delimited(data, whole=True)
    assert shape == Delimited(",", ("time", "a b", "c"), 3)
    for size in (1, 7, 1000):
        frame, reading = split(data, shape, size)
        check_laws(data, frame, reading)
        assert frame["fault"].to_list() == [FRAME, None, None]
        assert values(frame) == [["1", "2\r\r\n3", "4"], ["5", "6", "7"]]


def test_frames_are_big_and_long_lines_are_not_kept() -> None:
    data = b"a,b,c\n" + b"1,2,3\n" * 50_000
    assert len(list(split_delimited(cut(data, 10), ABC, Reading(), CAP))) == 1
    reading = Reading()
    long = (b"x" * (1 << 20) for _ in range(64))
    frames = list(split_delimited(long, ABC, reading, CAP))
    assert [frame["length"].to_list() for frame in frames] == [[64 << 20]]
    assert reading.record_bytes == 64 << 20


@pytest.mark.parametrize(
    "unit", [b"[", b'"', b"\n", b"\\", b",", b'"\n', b',"\n', b'a,"', b'","\n', b'"",', b"\r", b"\t", b"\0"]
)
def test_time_is_linear_on_hostile_text(unit: bytes) -> None:
    # Half a million records take their time, but each the same.
    size = 1 << 18 if b"\n" in unit else 1 << 20
    data = b"x,y,z\n" + unit * (size // len(unit))
    begun = time.process_time()
    sniff_delimited(data, whole=True)
    sniff_delimited(data[6:], whole=True)
    reading = Reading()
    total = sum(frame["length"].sum() for frame in split_delimited(cut(data, 4096), ABC, reading, 1 << 16))
    assert total == reading.record_bytes
    assert reading.record_bytes + reading.separator_bytes == len(data)
    assert time.process_time() - begun < 2


# --- What is a table --------------------------------------------------------------------------------------------

PURVIEW = (
    b"RecordId,CreationDate,RecordType,Operation,UserId,AuditData\r\n"
    b'8e1,2026-11-21T22:49:22Z,261,CopilotInteraction,a@x.example,"{""CopilotEventData"":{""ThreadId"":""19:x""}}"\r\n'
)
TABLES = {
    "purview": (PURVIEW, ",", 6),
    "insights": (
        b'@timestamp,@message,@ptr\n2026-11-21 22:00:00.000,"{""a"":1,\n""b"":2}",Clo=\n2026-11-21 22:00:01.000,x,y\n',
        ",",
        3,
    ),
    "splunk": (
        b'"_time","_raw","host","dd.trace_id"\n"2026-11-21T22:00:00.000+0000","say ""x"", y","h","12"\n',
        ",",
        4,
    ),
    "datadog": (b'Date,Host,Service,Content\n"2026-11-21T22:00:00.000Z","h1","api","GET /, 200"\n', ",", 4),
    "spaces": (b"Message ID;Duration (ms);Cost $\n1;2;3,5\n2;3;4,5\n", ";", 3),
    "pandas": (b",name,score\n0,a,0.5\n1,b,0.25\n", ",", 3),
    "tabs": (b"id\ttext\n1\thello, world\n", "\t", 2),
    "pipes": (b"id|text|n\n1|hello, world|2\n", "|", 3),
    "caret": (b"id^text^n\n1^hello, world^2\n", "^", 3),
    "damaged": (b"id,text,n\n" + b"1,2,3\n" * 30 + b'1,"2\n4\n' + b"1,2,3\n" * 30, ",", 3),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_told(name: str) -> None:
    data, delimiter, columns = TABLES[name]
    shape = sniff_delimited(data, whole=True)
    assert shape is not None
    assert (shape.delimiter, shape.columns, len(shape.header)) == (delimiter, columns, columns)


def test_json_in_a_cell_stays_text() -> None:
    shape = sniff_delimited(PURVIEW, whole=True)
    assert shape is not None
    frame, _ = split(PURVIEW, shape)
    assert json.loads(json.loads(frame["text"][1])["AuditData"]) == {"CopilotEventData": {"ThreadId": "19:x"}}


def test_a_row_longer_than_the_head() -> None:
    head = b'request_id,model,startTime,response\nr1,gpt-4o,2026-11-21,"{""x"": ""' + b"long, \n" * 1000
    shape = sniff_delimited(head, whole=False)
    assert shape is not None
    assert shape.header == ("request_id", "model", "startTime", "response")
    assert sniff_delimited(head, whole=True) is None


def test_tables_without_a_header() -> None:
    row = b"\t".join([b"app", b"web", b"2026-11-21 22:00:00.000", b"", b'{"a":1}', b"x", b"y", b"1.5"]) + b"\n"
    assert sniff_delimited(row * 2, whole=True) == Delimited("\t", (), 8)
    assert sniff_delimited(row, whole=True) is None
    # As Snowplow writes an event: one line of 131 cells.
    wide = b"\t".join([b"app", b"web", b"2026-11-21 22:00:00.000", *[b""] * 127, b"end"]) + b"\n"
    assert sniff_delimited(wide, whole=True) == Delimited("\t", (), 131)
    csvlog = b'2026-11-21 23:44:56.274 CET,,,5205,,6b.1455,1,,"",LOG,"two, ""x"""\n'
    assert sniff_delimited(csvlog * 3, whole=True) == Delimited(",", (), 11)
    assert sniff_delimited(b"2026-11-21 23:44:56,274 a, b, c, d, e, f, g, h\n" * 3, whole=True) is None


@pytest.mark.parametrize("lost", [b"\0" * 300, b"\0" * 300 + b"\n", b"\0" * 300 + b"\r\n4,5,6\n"])
@pytest.mark.parametrize("head", [b"time,host,service\n", b""])
def test_rows_of_zeros_do_not_make_it_other_text(head: bytes, lost: bytes) -> None:
    rows = b"1,2,3\n" if head else b'1,"2",3,4,5,6,7,8,9\n' * 3
    whole = head + rows
    shape = sniff_delimited(whole, whole=True)
    assert shape is not None
    lost = lost if head else lost.partition(b"\r")[0]
    assert sniff_delimited(whole + lost, whole=True) == shape
    assert sniff_delimited(head + b"\0" * 300 + b"\n" + rows, whole=True) == (shape if head else None)
    frame, _ = split(whole + lost, shape)
    assert frame["fault"].to_list().count("nul_bytes") == 1


def test_a_quoted_column_alone_is_lines() -> None:
    assert sniff_delimited(b'"message"\n' + b'"{""a"": 1, ""b"": 2}"\n' * 5, whole=True) is None
    assert sniff_delimited("time,host\n1,2\n".encode("utf-16-le") * 9, whole=True) is None


NOT_TABLES = [
    b"",
    b"\n\n",
    b'{"a": 1, "b": 2}\n{"a": 1, "b": 2}\n',
    b"[1, 2]\n[3, 4]\n",
    b"a: 1\nb: [x, y]\n",
    b"- a, b\n- c, d\n",
    b"2026-11-21 22:00:00,123 INFO start, then\n2026-11-21 22:00:01,123 INFO stop, then\n",
    b"2026-11-21 22:00:00.123 | INFO | app:run:1 - x\n2026-11-21 22:00:00.123 | INFO | app:run:1 - y\n",
    b"Hello, world\nGood, bye\n",
    b"INFO:     Started server process [1]\nINFO:     Waiting for application startup.\n",
    b"| a | b |\n|---|---|\n| 1 | 2 |\n",
    b" id | name \n----+------\n  1 | x\n",
    b'10.0.0.1 - - [21/Nov/2026:22:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "Mozilla/5.0 (X11; Linux, y)"\n' * 3,
    b'[2026-11-21T22:00:00.000Z] "GET / HTTP/1.1" 200 - 0 5 "-" "curl, x"\n' * 3,
    b"level=info msg=x\nlevel=info msg=y\n",
    b"<34>1 2026-11-21T22:00:00Z h a, b - -\n" * 2,
    b"id,name\n",
    b"name,name\nx,y\n",
    b"a,b\n\0,1\n",
    b"Traceback (most recent call last):\n  File x, line 1, in y\nValueError: a, b\n",
]


@pytest.mark.parametrize("data", NOT_TABLES)
def test_other_text_is_no_table(data: bytes) -> None:
    assert sniff_delimited(data, whole=True) is None


@given(data=st.one_of(MESS, st.binary(max_size=60)), whole=st.booleans())
@settings(max_examples=200, deadline=None)
def test_sniffing_takes_anything(data: bytes, whole: bool) -> None:
    shape = sniff_delimited(data, whole)
    assert shape is None or (shape.columns >= 2 and shape.header in ((), shape.header[: shape.columns]))


# --- Real files -------------------------------------------------------------------------------------------------

CLAIMED = {
    "real_logs/litellm/LiteLLM_SpendLogs_runB.csv": (36, True, 235),
    "real_logs/phoenix/retrieved_documents_exploded_head50.csv": (7, True, 50),
    "real_logs/phoenix/spans_dataframe_head200.csv": (41, True, 200),
    "real_logs/postgres/pgvector_postgresql.csv": (26, False, 145),
}


@needs_shared
def test_of_all_real_logs_only_the_tables_are_claimed() -> None:
    files = [one for one in (*REAL.rglob("*"), *(SHARED / "captures/A/logs").rglob("*")) if one.is_file()]
    claimed = []
    for path in files:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(1 << 20)
        if sniff_delimited(head, len(head) < 1 << 20) is not None:
            claimed.append(path.relative_to(SHARED).as_posix())
    assert sorted(claimed) == sorted(CLAIMED)


@needs_shared
@pytest.mark.parametrize("name", CLAIMED)
def test_real_tables_are_read_as_the_csv_module_reads_them(name: str) -> None:
    columns, has_header, count = CLAIMED[name]
    data = (SHARED / name).read_bytes()
    shape = sniff_delimited(data[: 1 << 20], len(data) <= 1 << 20)
    assert shape is not None
    assert (shape.columns, bool(shape.header)) == (columns, has_header)
    frame, reading = split(data, shape, 100_000)
    check_laws(data, frame, reading)
    rows = list(csv.reader(io.StringIO(data.decode(), newline="")))
    assert [[cell or "" for cell in row] for row in values(frame)] == rows[has_header:]
    assert len(rows[has_header:]) == count
    assert frame["fault"].drop_nulls().to_list() == [FRAME] * has_header


@needs_shared
def test_a_truncated_real_table_loses_its_last_row_alone() -> None:
    data = (REAL / "litellm/LiteLLM_SpendLogs_runB.csv").read_bytes()[:1_500_000]
    shape = sniff_delimited(data[: 1 << 20], whole=False)
    assert shape is not None
    frame, reading = split(data, shape)
    check_laws(data, frame, reading)
    assert frame["fault"].to_list() == [FRAME] + [None] * (frame.height - 2) + ["column_count"]
