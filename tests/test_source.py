"""A whole source: law 1 of the house (nothing is lost) as properties, recognition, and what damage costs.

`records = with_events + rejected + skipped` for any bytes; and for the real lines of every format's sample, damaged
at random: the lines that were not damaged give exactly the events that they gave before.
"""

from __future__ import annotations

import gzip
import itertools
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings, strategies as st

import strataline
from strataline.event import EVENTS, REJECTS
from strataline.format import Event, Format, Recognise, path
from strataline.parse import Kernel, Marks, Parsed, Plan, Workers, catalogue, identify, parse_source
from strataline.read import MAX_RECORD, Input, Options, Reading, read
from strataline.read.frame import CHUNK, conform

REPOSITORY = Path(__file__).resolve().parent.parent
OWN = REPOSITORY / "sample_logs" / "assist_incident" / "formats"
TAKEN = ("litellm_proxy_json_logs", "litellm_standard_logging", "posthog_events", "otlp_traces", "uvicorn_access")
"""Shipped formats of each kind: what does not depend on the format is shown on these, and on the incident's own."""

SAMPLES = {name: REPOSITORY / "sample_logs" / "formats" / name for name in TAKEN} | {
    folder.name: folder for folder in sorted(OWN.iterdir()) if (folder / "expected.jsonl").exists()
}
NAMES = sorted(SAMPLES)
BRIEF = [name for name in NAMES if name not in ("litellm_standard_logging", "otlp_traces")]
"""Formats whose lines are short: what does not depend on the format is shown on these."""

TEXT = {"uvicorn_access", "policyd_text", "kb_service_text"}

PLACE = ("event_id", "line", "offset", "length", "format_confidence")
"""Columns that say where an event lies, and how many of its neighbours look alike."""

BOM, GZIP = b"\xef\xbb\xbf", b"\x1f\x8b"

kernel = Kernel()
workers = Workers(2)
_numbers = itertools.count()


@cache
def formats() -> dict[str, Format]:
    return catalogue([OWN])


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("source")


@dataclass(frozen=True)
class Taken:
    reading: Reading
    parsed: Parsed

    @property
    def events(self) -> pl.DataFrame:
        return self.parsed.events.sort("offset", "item", "index")

    @property
    def reasons(self) -> list[tuple[int, str]]:
        """Line and reason of each reject."""
        return self.parsed.rejects.sort("offset").select("line", "reason").rows()

    @property
    def format(self) -> str | None:
        return None if self.parsed.recognised is None else self.parsed.recognised.format.name

    @property
    def topics(self) -> dict[str, int]:
        return {note.topic: note.count for note in self.parsed.notes}


def take(
    folder: Path,
    data: bytes,
    *,
    forced: str | Format | None = None,
    known: Mapping[str, Format] | None = None,
    chunk: int = CHUNK,
    max_record: int = MAX_RECORD,
) -> Taken:
    """Read and parse `data`, and check the books."""
    file = folder / f"{next(_numbers)}.log"
    file.write_bytes(data)
    one = formats()[forced] if isinstance(forced, str) else forced
    plan = Plan(Marks(formats() if known is None else known), forced=one)
    # No wrapper is taken off here: what lies in one is read in tests of its own.
    options = Options(max_record=max_record, chunk=chunk, wrappers=lambda _: ())
    ((reading, parsed),) = [
        (source.reading, parse_source(kernel, plan, (b.records for b in source.batches), workers).result())
        for source in read(Input("a.log", file), options)
    ]
    file.unlink()
    parsed.events = identify(parsed.events, "a.log", reading.stream_digest)
    taken = Taken(reading, parsed)
    balanced(taken)
    return taken


def balanced(taken: Taken) -> None:
    """Law 1, in all its equations."""
    reading, parsed = taken.reading, taken.parsed
    assert parsed.records == parsed.with_events + parsed.rejected + parsed.skipped
    assert reading.record_bytes + reading.separator_bytes == reading.stream_bytes
    assert parsed.events["event_id"].n_unique() == parsed.events.height
    places = places_of(taken)
    assert len(places) == parsed.with_events + parsed.rejected, "a record has events, or one reject"
    end = 0
    for offset, length in sorted(places):
        assert offset >= end, "records do not overlap"
        end = offset + length
    assert end <= reading.stream_bytes
    covered = sum(length for _, length in places)
    assert covered <= reading.record_bytes
    if not parsed.skipped:
        assert covered == reading.record_bytes
    assert parsed.recovered <= parsed.with_events
    assert dict(parsed.events.schema) == dict(EVENTS.schema)
    assert dict(parsed.rejects.schema) == dict(REJECTS.schema)
    assert (
        parsed.events.select("layer", "kind", "offset", "length", "item", "index").null_count().sum_horizontal()[0] == 0
    )
    assert parsed.rejects.select("reason", "detail", "offset", "length").null_count().sum_horizontal()[0] == 0


def places_of(taken: Taken) -> list[tuple[int, int]]:
    """Where each record with events, and each reject, lies."""
    events = taken.parsed.events.select("offset", "length").unique().rows()
    return [*events, *taken.parsed.rejects.select("offset", "length").rows()]


def content(taken: Taken) -> dict[int, list[dict[str, Any]]]:
    """Offset of a record → what its events say, wherever they stand."""
    said: dict[int, list[dict[str, Any]]] = {}
    for offset, row in zip(taken.events["offset"], taken.events.drop(PLACE).to_dicts(), strict=True):
        said.setdefault(offset, []).append(row)
    return said


@cache
def log(name: str) -> tuple[bytes, ...]:
    """The lines of a format's sample that are undamaged; of long ones, the first few."""
    file = next(one for one in sorted(SAMPLES[name].iterdir()) if one.name != "expected.jsonl")
    lines = file.read_bytes().split(b"\n")
    batch = pl.DataFrame(
        {"line": range(len(lines)), "offset": range(len(lines)), "length": [len(one) for one in lines], "text": lines},
        schema={"line": pl.Int64, "offset": pl.Int64, "length": pl.Int64, "text": pl.Binary},
    )
    parsed = parse_source(kernel, Plan(Marks(formats()), forced=formats()[name]), [conform(batch)], workers).result()
    damaged = {*parsed.rejects["line"], *parsed.events.filter(pl.col("recovered").is_not_null())["line"]}
    sound = [line for number, line in enumerate(lines) if line.strip() and number not in damaged]
    return tuple(sound if name in BRIEF else sound[:6])


@cache
def told(name: str) -> tuple[list[dict[str, Any]], ...]:
    """What each undamaged line of a sample says."""
    batch = pl.DataFrame(
        {
            "line": range(1, len(log(name)) + 1),
            "offset": range(len(log(name))),
            "length": [1] * len(log(name)),
            "text": log(name),
        },
        schema={"line": pl.Int64, "offset": pl.Int64, "length": pl.Int64, "text": pl.Binary},
    )
    parsed = parse_source(kernel, Plan(Marks(formats()), forced=formats()[name]), [conform(batch)], workers).result()
    parsed.events = parsed.events.with_columns(source=pl.lit("a.log"))
    said = content(Taken(Reading(), parsed))
    return tuple(said[number] for number in range(len(log(name))))


# Any bytes.

fragments = st.sampled_from([
    b"\n", b"\n", b"\r\n", b"\r", b" ", b"\t", b"\x00", b"\x00\x00", b"\xff", b"\xc3", BOM, "é😀".encode(),
    b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"\\ud800", b"\\u0000", b"1", b"1e16", b"NaN", b"true", b"null",
    b"{}", b"[1]", b'{"a":1}', b'{"a":1', b'"timestamp":', b'{"timestamp": 1e16, "event": "x", "level": "info"}',
    b'{"resourceSpans":[{"scopeSpans":[{"spans":[{},5]}]}]}', b'{"resourceSpans":[]}', b"INFO:     ",
    b'2026-11-21 17:59:55,786 INFO:     1 - "GET / HTTP/1.1" 200 OK', b"2026-11-21 17:59:55,786 INFO policyd: ",
    b'{"event": "a", "timestamp": "9999-12-31T23:59:59Z", "level": {"a": []}}', GZIP, b"PK\x03\x04",
])  # fmt: skip
streams = st.one_of(st.binary(max_size=80), st.lists(fragments, max_size=20).map(b"".join))


@given(data=streams, forced=st.sampled_from([None, *NAMES]), cap=st.sampled_from([5, 40, MAX_RECORD]))
@example(data=b'{"a":1}[1]5', forced="assist_prompt_log", cap=MAX_RECORD)
@example(data=b"\xef\xbb\xbf\xef\xbb\xbf{}", forced="assist_prompt_log", cap=MAX_RECORD)
@example(data=b"{}\xef\xbb\xbf{}", forced="assist_prompt_log", cap=MAX_RECORD)
@example(data=b"{}{" + b'"a":' + b"1" * 5000 + b"}", forced="assist_prompt_log", cap=MAX_RECORD)
@example(data=b'{"timestamp": 1e16}\n{"timestamp": 9999999999999999999}', forced="assist_prompt_log", cap=MAX_RECORD)
@example(data='{"timestamp": "2026-11-21T22:32:42.٣Z"}'.encode(), forced="assist_prompt_log", cap=MAX_RECORD)
@example(data=b'{"timestamp": "2026-11-21 22:32:42 EST"}', forced="assist_prompt_log", cap=MAX_RECORD)
@example(data=b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b', "n": NaN}', forced="assist_prompt_log", cap=MAX_RECORD)
@example(data=b" " * 9000 + b"\n", forced="assist_prompt_log", cap=MAX_RECORD)
@example(data=b"\x1f\x8b", forced=None, cap=MAX_RECORD)
def test_any_bytes_are_accounted_for_and_nothing_is_raised(
    scratch: Path, data: bytes, forced: str | None, cap: int
) -> None:
    take(scratch, data, forced=forced, max_record=cap)


@settings(max_examples=15)
@given(data=streams.filter(lambda data: not data.startswith(GZIP)), chunk=st.integers(4, 60))
def test_any_bytes_give_the_same_rows_whatever_the_chunk_size(scratch: Path, data: bytes, chunk: int) -> None:
    parts = take(scratch, data, forced="assist_prompt_log", chunk=chunk)
    whole = take(scratch, data, forced="assist_prompt_log")
    assert parts.events.equals(whole.events)
    assert parts.parsed.rejects.sort("offset").equals(whole.parsed.rejects.sort("offset"))
    assert parts.parsed.notes == whole.parsed.notes


# Real lines, damaged.


@dataclass(frozen=True)
class Damage:
    """What befalls line `at` (modulo the number of lines), at the byte that `where` (0 to 1) stands for."""

    kind: str
    at: int
    where: float

    def applied(self, line: bytes) -> bytes:
        place = min(int(len(line) * self.where), len(line) - 1)
        match self.kind:
            case "cut":
                return line[: max(place, 1)]
            case "nul":
                return line[:place] + bytes(9) + line[place + 9 :]
            case "invalid":
                return line[:place] + b"\xff" + line[place + 1 :]
            case "control":
                return line[:place] + b"\x01" + line[place:]
            case "garbage":
                return random.Random(place).randbytes(30).replace(b"\n", b"")  # noqa: S311 - noise, no secret
            case _:
                return line


kinds = st.sampled_from(["cut", "nul", "invalid", "control", "garbage", "merge", "crlf", "blank", "spaces", "banner"])
damages = st.lists(
    st.builds(Damage, kinds, st.integers(0, 999), st.floats(0, 1, exclude_max=True)), min_size=1, max_size=2
)


def damaged(lines: tuple[bytes, ...], befalls: list[Damage], *, mark: bool) -> tuple[bytes, dict[int, int]]:
    """The file after the damage, and where each line lies that none befell: offset → number of the line."""
    by_line: dict[int, list[str]] = {}
    bodies = list(lines)
    for one in befalls:
        number = one.at % len(lines)
        by_line.setdefault(number, []).append(one.kind)
        bodies[number] = one.applied(bodies[number])
    data = BOM if mark else b""
    whole: dict[int, int] = {}
    after_merge = False
    for number, body in enumerate(bodies):
        met = by_line.get(number, [])
        if "blank" in met:
            data += b"\n"
        if "spaces" in met:
            data += b" \t \n"
        if "banner" in met:
            data += b"-- rotated --\n"
        harmless = set(met) <= {"crlf", "blank", "spaces", "banner"}
        if harmless and not after_merge:
            whole[len(data)] = number
        after_merge = "merge" in met
        data += body + (b"" if after_merge else b"\r\n" if "crlf" in met else b"\n")
    return data, whole


@pytest.mark.slow
@given(name=st.sampled_from(NAMES), befalls=damages, mark=st.booleans(), forced=st.booleans())
def test_damage_costs_the_damaged_line_and_no_other(
    scratch: Path, name: str, befalls: list[Damage], mark: bool, forced: bool
) -> None:
    data, whole = damaged(log(name), befalls, mark=mark)
    taken = take(scratch, data, forced=name if forced else None)
    assert taken.format == name
    said = content(taken)
    assert whole
    for offset, number in whole.items():
        assert said.get(offset) == told(name)[number], f"line {number + 1} of the sample"
    assert {line for line, reason in taken.reasons if reason == "invalid_utf8"} <= set(
        range(1, taken.reading.lines + 1)
    )


@pytest.mark.parametrize("name", NAMES)
def test_two_lines_run_into_one_are_two_records_that_say_what_they_said(scratch: Path, name: str) -> None:
    first, second = first_two(name)
    lines = log(name)
    data = b"\n".join([*lines, lines[first] + lines[second]]) + b"\n"
    taken = take(scratch, data)
    start = len(data) - len(lines[first]) - len(lines[second]) - 1
    found = {offset: rows for offset, rows in content(taken).items() if offset >= start}
    assert list(found) == [start, start + len(lines[first])]
    for rows, number in zip(found.values(), (first, second), strict=True):
        assert {row["recovered"] for row in rows} == {"merged_records"}
        assert [{**row, "recovered": None} for row in rows] == told(name)[number]
    assert taken.topics["recovered"] == 2
    assert taken.parsed.records == len(lines) + 2


def first_two(name: str) -> tuple[int, int]:
    """Two lines of the sample that are records of its format, not banners."""
    found = [number for number, rows in enumerate(told(name)) if rows[0]["kind"] != "log.other"]
    return found[0], found[1]


@pytest.mark.parametrize("name", NAMES)
def test_cut_line_is_a_reject_or_an_event_that_says_so(scratch: Path, name: str) -> None:
    lines = log(name)
    number, _ = first_two(name)
    cut = lines[number][: len(lines[number]) // 2]
    taken = take(scratch, b"\n".join([*lines, cut]))
    last = len(lines) + 1
    if name in TEXT:
        assert taken.events.filter(pl.col("line") == last)["recovered"].to_list() == ["cut_short"]
    else:
        assert taken.reasons == [(last, "truncated_json")]


@pytest.mark.parametrize("name", NAMES)
def test_lines_that_end_in_carriage_returns_say_the_same(scratch: Path, name: str) -> None:
    plain = take(scratch, b"\n".join(log(name)) + b"\n")
    windows = take(scratch, b"\r\n".join(log(name)) + b"\r\n")
    assert list(content(windows).values()) == list(content(plain).values()) == list(told(name))


@pytest.mark.parametrize("name", BRIEF)
def test_events_do_not_depend_on_the_chunk_size(scratch: Path, name: str) -> None:
    data = b"\n".join(log(name)) + b"\n"
    whole = take(scratch, data, forced=name)
    for chunk in (len(data) // 2, len(data) // 5 + 1):
        parts = take(scratch, data, forced=name, chunk=chunk)
        assert parts.events.equals(whole.events)
        assert parts.parsed.rejects.sort("offset").equals(whole.parsed.rejects.sort("offset"))


# Compression, caps, containers.


@pytest.mark.parametrize("name", BRIEF)
def test_gzip_gives_the_same_events_and_ids(scratch: Path, name: str) -> None:
    lines = [line + b"\n" for line in log(name)]
    half = len(lines) // 2
    plain = take(scratch, b"".join(lines))
    packed = take(scratch, gzip.compress(b"".join(lines[:half])) + gzip.compress(b"".join(lines[half:])))
    assert packed.events.drop("format_confidence").equals(plain.events.drop("format_confidence"))


def test_first_gzip_member_does_not_decide_for_the_source_alone(scratch: Path) -> None:
    """A writer that flushes a member per line, and begins with a banner."""
    lines = log("assist_prompt_log")
    data = gzip.compress(b"-- rotated --\n") + b"".join(gzip.compress(line + b"\n") for line in lines)
    taken = take(scratch, data)
    assert taken.format == "assist_prompt_log"
    assert taken.events["kind"].to_list() == ["log.other", *take(scratch, b"\n".join(lines)).events["kind"]]


def test_cut_gzip_loses_the_record_at_the_cut_and_none_before(scratch: Path) -> None:
    lines = log("assist_prompt_log") * 30
    plain = b"".join(line + b"\n" for line in lines)
    packed = gzip.compress(plain)
    taken = take(scratch, packed[: len(packed) // 2])
    kept = plain[: taken.reading.stream_bytes].count(b"\n")
    assert kept > 0
    assert taken.events["line"].to_list() == list(range(1, kept + 1))
    assert taken.reasons in ([], [(kept + 1, "truncated_json")])
    assert taken.reading.cut is not None


def test_garbage_after_gzip_costs_no_event(scratch: Path) -> None:
    data = b"\n".join(log("assist_prompt_log"))
    taken = take(scratch, gzip.compress(data) + b"garbage\n")
    assert taken.events.height == len(log("assist_prompt_log"))
    assert taken.reading.cut is not None


@pytest.mark.parametrize("chunk", [64, CHUNK])
@pytest.mark.parametrize("end", [b"\n", b""])
def test_record_over_the_cap_is_a_reject_with_its_address(scratch: Path, chunk: int, end: bytes) -> None:
    line = log("assist_prompt_log")[0]
    long = b'{"event": "' + b"x" * 4000 + b'"}'
    data = line + b"\n" + long + end
    taken = take(scratch, data, forced="assist_prompt_log", chunk=chunk, max_record=3000)
    assert taken.parsed.rejects.select("line", "offset", "length", "reason", "excerpt").rows() == [
        (2, len(line) + 1, len(long), "too_long", long[:200].decode())
    ]
    assert taken.events.height == 1


@pytest.mark.parametrize("data", [b"", BOM, b"\n\n", b" \t\r\n \n", gzip.compress(b"", mtime=0), BOM + b"\r\n"])
def test_source_without_records_is_no_trouble(scratch: Path, data: bytes) -> None:
    taken = take(scratch, data)
    assert taken.parsed.records == taken.parsed.skipped
    assert taken.parsed.notes == []


def test_blank_lines_are_counted_and_nothing_else(scratch: Path) -> None:
    line = log("assist_prompt_log")[0]
    taken = take(scratch, b"\n" + line + b"\n \t\n\r\n" + b" " * 9000 + b"\n" + line + b"\n")
    assert (taken.parsed.records, taken.parsed.skipped, taken.parsed.with_events) == (6, 4, 2)
    assert taken.events["line"].to_list() == [2, 6]


# Reasons.


def test_each_damage_has_its_reason_and_its_excerpt(scratch: Path) -> None:
    line = log("assist_prompt_log")[0]
    data = b"\n".join([line, line[:20] + b"\xff" + line[20:], line[:50], b"[1]", b"{oops}", line + b"\x00" * 7, line])
    taken = take(scratch, data, forced="assist_prompt_log")
    assert taken.reasons == [
        (2, "invalid_utf8"), (3, "truncated_json"), (4, "not_an_object"), (5, "not_json"), (6, "nul_bytes"),
    ]  # fmt: skip
    assert taken.events["line"].to_list() == [1, 7]
    excerpts = taken.parsed.rejects.sort("offset")["excerpt"].to_list()
    assert "\\xff" in excerpts[0]
    assert excerpts[1:4] == [line[:50].decode(), "[1]", "{oops}"]


@pytest.mark.parametrize("rest", [b"[1]", b" 5", b"null", b'"text"', b"[{}]"])
def test_what_ran_into_a_record_and_is_no_object_is_a_reject_as_it_is_alone(scratch: Path, rest: bytes) -> None:
    line = log("assist_prompt_log")[0]
    alone = take(scratch, line + b"\n" + rest, forced="assist_prompt_log")
    merged = take(scratch, line + rest, forced="assist_prompt_log")
    assert [reason for _, reason in alone.reasons] == ["not_an_object"]
    assert [reason for _, reason in merged.reasons] == ["not_an_object"]
    assert merged.events["kind"].to_list() == ["prompt.received"]


def test_excerpts_can_be_left_out(scratch: Path) -> None:
    file = scratch / "private.log"
    file.write_bytes(b"banner with a name\n" + log("assist_prompt_log")[0] + b"\n[1]\n")
    plan = Plan(Marks(formats()), forced=formats()["assist_prompt_log"], excerpts=False)
    (parsed,) = [
        parse_source(kernel, plan, (batch.records for batch in source.batches), workers).result()
        for source in read(Input("a.log", file))
    ]
    assert (parsed.events.height, parsed.rejected) == (2, 1)
    assert parsed.events["input_excerpt"].null_count() == 2
    assert parsed.rejects["excerpt"].null_count() == 1


# Recognition.


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("first", [b"\xff\x00 garbage", b"[1]"])
def test_first_line_does_not_decide(scratch: Path, name: str, first: bytes) -> None:
    assert take(scratch, first + b"\n" + b"\n".join(log(name))).format == name


@pytest.mark.parametrize("first", [b"-- banner --", b"{", b"", b'{"event": "cut', b"5"])
def test_first_line_of_any_kind_does_not_decide(scratch: Path, first: bytes) -> None:
    assert take(scratch, first + b"\n" + b"\n".join(log("assist_prompt_log"))).format == "assist_prompt_log"


def test_banners_before_json_do_not_hide_its_format(scratch: Path) -> None:
    lines = log("assist_prompt_log")
    banners = [b"__  starting up  __", b"* * *", b"listening on 0.0.0.0:8100"] * 5
    taken = take(scratch, b"\n".join([*banners, *lines]))
    assert taken.format == "assist_prompt_log"
    assert (
        taken.events["kind"].to_list() == ["log.other"] * 15 + take(scratch, b"\n".join(lines)).events["kind"].to_list()
    )
    assert taken.parsed.rejects.is_empty()


def test_text_log_that_quotes_some_json_is_no_json_log(scratch: Path) -> None:
    lines = [*log("uvicorn_access")[:5] * 8, log("assist_prompt_log")[0]]
    chosen = [line for line in lines if b"HTTP/1.1" in line or line.startswith(b"{")]
    taken = take(scratch, b"\n".join(chosen))
    assert taken.format == "uvicorn_access"


def test_first_lines_of_a_large_source_do_not_decide(scratch: Path) -> None:
    """However little of it is read at once."""
    lines = log("assist_prompt_log")
    data = b"-- banner --\n" + b"\n".join(lines)
    taken = take(scratch, data, chunk=len(lines[0]))
    assert taken.format == "assist_prompt_log"
    assert taken.events.height == len(lines) + 1
    assert taken.parsed.rejects.is_empty()


def test_more_specific_format_is_taken_without_a_tie(scratch: Path) -> None:
    taken = take(scratch, b"\n".join(log("assist_prompt_log")))
    recognised = taken.parsed.recognised
    assert recognised is not None
    assert (recognised.format.name, recognised.confidence, recognised.ties) == ("assist_prompt_log", 1.0, ())


def test_confidence_is_the_share_of_objects_that_carry_the_marks(scratch: Path) -> None:
    line = log("assist_prompt_log")[0]
    taken = take(scratch, b"\n".join([line] * 3 + [b"{}"] + [b"-- banner --"]))
    assert taken.parsed.recognised is not None
    assert taken.parsed.recognised.confidence == 0.75
    assert taken.events["format_confidence"].unique().to_list() == [0.75]


def test_formats_that_fit_alike_are_named(scratch: Path) -> None:
    one = Format(
        name="one",
        title="one",
        layer="prompt",
        reference="none",
        recognise=Recognise(keys=(("event",),)),
        fields={"event": path("event")},
        events=(Event(kind="app.log", columns={"name": "event"}),),
    )
    known = {name: replace(one, name=name) for name in ("one", "two")}
    recognised = take(scratch, b'{"event": "a"}\n', known=known).parsed.recognised
    assert recognised is not None
    assert {recognised.format.name, *recognised.ties} == {"one", "two"}
    assert len(recognised.ties) == 1


def test_source_that_no_format_describes_is_rejected_line_by_line(scratch: Path) -> None:
    taken = take(scratch, b"one\n\ntwo\x00\n{}\n\xff\n")
    assert taken.format is None
    assert taken.parsed.skipped == 1
    assert taken.reasons == [
        (1, "unrecognised_format"), (3, "nul_bytes"), (4, "unrecognised_format"), (5, "invalid_utf8"),
    ]  # fmt: skip
    assert taken.parsed.rejects["excerpt"].to_list() == unordered(taken, ["one", "two\\x00", "{}", "\\xff"])


def unordered(taken: Taken, by_line: list[str]) -> list[str]:
    """`by_line` in the order in which the rejects stand."""
    places = {line: text for (line, _), text in zip(taken.reasons, by_line, strict=True)}
    return [places[line] for line in taken.parsed.rejects["line"].to_list()]


def test_unrecognised_source_is_noted_in_the_case(tmp_path: Path) -> None:
    (tmp_path / "mystery.log").write_bytes(b"one\ntwo\n")
    case = strataline.reconstruct(tmp_path / "mystery.log")
    (source,) = case.sources.to_pylist()
    assert (source["format"], source["format_basis"], source["rejected"]) == (None, "none", 2)
    topics = Counter(note["topic"] for note in case.notes.to_pylist())
    assert topics["unrecognised"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_forced_format_is_not_questioned(scratch: Path, name: str) -> None:
    """Foreign lines become other events or rejects; the confidence is the caller's."""
    foreign = log("uvicorn_access" if name != "uvicorn_access" else "assist_prompt_log")
    taken = take(scratch, b"\n".join(foreign), forced=name)
    assert taken.format == name
    assert taken.parsed.recognised is not None
    assert (taken.parsed.recognised.forced, taken.parsed.recognised.confidence) == (True, 1.0)
    assert taken.parsed.records == len(foreign)


def test_format_is_forced_by_a_glob_over_sources(tmp_path: Path) -> None:
    for name in ("a.log", "b.log"):
        (tmp_path / name).write_bytes(b'{"event": "only this", "timestamp": "2026-11-21T22:32:42Z"}\n')
    case = strataline.reconstruct(tmp_path, formats=[OWN], force={"a*": "assist_prompt_log"})
    basis = {source["source"]: (source["format"], source["format_basis"]) for source in case.sources.to_pylist()}
    assert basis == {"a.log": ("assist_prompt_log", "option"), "b.log": ("generic_json", "guessed")}
