"""Times as text to UTC nanoseconds: each written form exactly, and never a time where the text states none."""

from __future__ import annotations

import datetime as dt
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, strategies as st

from strataline.errors import StrataError
from strataline.event import TIME
from strataline.parse import zone_named
from strataline.parse.times import READING, read_times, to_time

S, MS, US = 1_000_000_000, 1_000_000, 1_000
BERLIN = "Europe/Berlin"
MOMENT = 1_795_300_362
"""2026-11-21T22:32:42Z."""


@dataclass(frozen=True)
class Read:
    ns: int | None
    precision: str | None
    naive: bool
    unsure: bool


def read(*texts: str | None, unit: str = "auto", zone: str = "UTC") -> list[Read]:
    found = read_times(pl.Series(texts, dtype=pl.String), unit, zone)
    assert found.dtype == READING
    assert len(found) == len(texts)
    return [Read(**row) for row in found.to_list()]


def ns(*texts: str | None, unit: str = "auto", zone: str = "UTC") -> list[int | None]:
    return [one.ns for one in read(*texts, unit=unit, zone=zone)]


def instant(text: str) -> int:
    """Nanoseconds of a time that Python reads, as the other opinion."""
    since = dt.datetime.fromisoformat(text) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (since.days * 86_400 + since.seconds) * S + since.microseconds * US


# ISO forms.


@pytest.mark.parametrize(("text", "wanted", "precision"), [
    ("2026-11-21T22:32:42Z", MOMENT * S, "s"),
    ("2026-11-21T22:32:42z", MOMENT * S, "s"),
    ("2026-11-21 22:32:42 UTC", MOMENT * S, "s"),
    ("2026-11-21 22:32:42 GMT", MOMENT * S, "s"),
    ("2026-11-21T22:32:42.6Z", MOMENT * S + 600 * MS, "ms"),
    ("2026-11-21T22:32:42.620Z", MOMENT * S + 620 * MS, "ms"),
    ("2026-11-21T22:32:42.620043Z", MOMENT * S + 620_043 * US, "us"),
    ("2026-11-21T22:32:42.620043512Z", MOMENT * S + 620_043_512, "ns"),
    ("2026-11-21T22:32:42.6200435129Z", MOMENT * S + 620_043_512, "ns"),
    ("2026-11-21T23:32:42+01:00", MOMENT * S, "s"),
    ("2026-11-22T04:02:42+0530", MOMENT * S, "s"),
    ("2026-11-22 04:02:42 +05:30", MOMENT * S, "s"),
    ("2026-11-21T17:32:42-05", MOMENT * S, "s"),
    ("2026-11-21T22:32:42+00:00", MOMENT * S, "s"),
    ("  2026-11-21T22:32:42Z\t", MOMENT * S, "s"),
    ("1969-12-31T23:59:59.5Z", -500 * MS, "ms"),
])  # fmt: skip
def test_iso_time_with_a_zone_is_read_exactly(text: str, wanted: int, precision: str) -> None:
    assert read(text, zone="Asia/Kolkata") == [Read(wanted, precision, naive=False, unsure=False)]


@pytest.mark.parametrize("text", ["2026-11-21 22:32:42,620", "2026-11-21T22:32:42.620", "2026-11-21T22:32:42,620"])
@pytest.mark.parametrize(("zone", "hours"), [("UTC", 0), (BERLIN, -1), ("America/New_York", 5)])
def test_iso_time_without_a_zone_takes_the_one_that_is_given(text: str, zone: str, hours: int) -> None:
    wanted = (MOMENT + hours * 3600) * S + 620 * MS
    assert read(text, zone=zone) == [Read(wanted, "ms", naive=True, unsure=False)]


def test_half_hour_zone_is_a_zone() -> None:
    assert ns("2026-11-22 04:02:42", zone="Asia/Kolkata") == [MOMENT * S]


@pytest.mark.parametrize("text", [
    "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-21T24:00:01Z", "2026-11-21T22:61:00Z",
    "2026-11-21T22:00:00+99:99", "2026-11-21T22:00:00-24:00",
])  # fmt: skip
def test_date_that_is_none_is_no_time(text: str) -> None:
    assert ns(text) == [None]


@pytest.mark.parametrize("text", [
    "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2300-01-01 00:00:00", "1500-06-01T12:00:00+02:00",
    "Fri, 31 Dec 9999 23:59:59 GMT",
])  # fmt: skip
def test_year_that_nanoseconds_do_not_reach_is_no_time(text: str) -> None:
    """Products write such years for "never"; wrapped around they would be some other day."""
    assert ns(text, MOMENT_TEXT) == [None, MOMENT * S]


MOMENT_TEXT = "2026-11-21T22:32:42Z"


@pytest.mark.parametrize("year", [1678, 1970, 2261])
def test_years_that_nanoseconds_reach_are_read(year: int) -> None:
    text = f"{year}-06-01T12:00:00+00:00"
    assert ns(text) == [instant(text)]


# Epochs.


@pytest.mark.parametrize(("text", "wanted", "precision"), [
    ("1795300362", MOMENT * S, "s"),
    ("1795300362.62", MOMENT * S + 620 * MS, "ms"),
    ("1795300362.6200435", MOMENT * S + 620_043_500, "ns"),
    ("1795300362620", MOMENT * S + 620 * MS, "ms"),
    ("1795300362620.0435", MOMENT * S + 620_043_500, "ns"),
    ("1795300362620043", MOMENT * S + 620_043 * US, "us"),
    ("1795300362620043.5", MOMENT * S + 620_043_500, "ns"),
    ("1795300362620043512", MOMENT * S + 620_043_512, "ns"),
    ("9100000000000000001", 9_100_000_000_000_000_001, "ns"),
    ("-1", -S, "s"),
    ("-1.5", -1500 * MS, "ms"),
    ("-0.25", -250 * MS, "ms"),
    (" -1.5", -1500 * MS, "ms"),
    ("-1795300362620", -(MOMENT * S + 620 * MS), "ms"),
    (" 1795300362 ", MOMENT * S, "s"),
    ("1.795300362e9", MOMENT * S, "s"),
    ("1.79530036262E9", MOMENT * S + 620 * MS, None),
    ("1.795300362620e12", MOMENT * S + 620 * MS, "ms"),
    ("1.795300362620043512e18", MOMENT * S + 620_043_512, "ns"),
    ("-1.5e0", -1500 * MS, None),
])  # fmt: skip
def test_epoch_is_read_exactly_and_its_unit_follows_from_its_size(
    text: str, wanted: int, precision: str | None
) -> None:
    (one,) = read(text, zone=BERLIN)
    assert (one.ns, one.naive, one.unsure) == (wanted, False, False)
    assert precision is None or one.precision == precision


@pytest.mark.parametrize(("unit", "scale"), [("s", S), ("ms", MS), ("us", US), ("ns", 1)])
@pytest.mark.parametrize("text", ["1795300362", "1795300362.5", "7", "1.7953e9"])
def test_declared_unit_is_not_questioned(unit: str, scale: int, text: str) -> None:
    assert ns(text, unit=unit) == [int(float(text) * scale)]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_iso_text_is_read_whatever_unit_its_epochs_have(unit: str) -> None:
    assert ns(MOMENT_TEXT, unit=unit) == [MOMENT * S]


@pytest.mark.parametrize("text", ["1795300362", "1795300362.62", "1.7953e9"])
def test_digits_are_no_time_where_iso_was_declared(text: str) -> None:
    assert ns(text, MOMENT_TEXT, unit="iso") == [None, MOMENT * S]


@pytest.mark.parametrize(("text", "unit"), [
    ("9223372036854775808", "auto"),
    ("9999999999999999999", "auto"),
    ("-9999999999999999999", "auto"),
    ("12345678901234567890", "auto"),
    ("1" * 400, "auto"),
    ("1e16", "auto"),
    ("9.9e18", "auto"),
    ("1e19", "auto"),
    ("1e999999999", "auto"),
    ("1e-999999999", "auto"),
    ("9223372036854775807", "s"),
    ("99999999999", "s"),
    ("NaN", "auto"),
    ("Infinity", "auto"),
    ("-inf", "auto"),
    ("sNaN", "auto"),
    ("1_795_300_362", "auto"),
])  # fmt: skip
def test_number_that_is_no_instant_is_no_time_and_harms_no_other(text: str, unit: str) -> None:
    assert ns(text, MOMENT_TEXT, unit=unit) == [None, MOMENT * S]


# Times that occur twice, or never.


@pytest.mark.parametrize(("text", "wanted", "unsure"), [
    ("2026-10-25 01:59:59", "2026-10-24T23:59:59+00:00", False),
    ("2026-10-25 02:00:00", "2026-10-25T00:00:00+00:00", True),
    ("2026-10-25 02:59:59", "2026-10-25T00:59:59+00:00", True),
    ("2026-10-25 03:00:00", "2026-10-25T02:00:00+00:00", False),
    ("2026-03-29 01:59:59", "2026-03-29T00:59:59+00:00", False),
    ("2026-03-29 02:00:00", None, True),
    ("2026-03-29 02:59:59", None, True),
    ("2026-03-29 03:00:00", "2026-03-29T01:00:00+00:00", False),
])  # fmt: skip
def test_local_time_that_occurs_twice_or_never_is_unsure(text: str, wanted: str | None, unsure: bool) -> None:
    """Of two readings the earlier is taken; a time that never was is none."""
    (one,) = read(text, zone=BERLIN)
    ns, precision = (None, None) if wanted is None else (instant(wanted), "s")
    assert one == Read(ns, precision, naive=True, unsure=unsure)


@pytest.mark.parametrize(("text", "wanted"), [
    ("Sun, 25 Oct 2026 02:30:00", "2026-10-25T00:30:00+00:00"),
    ("Oct 25, 2026 2:30:00 AM", "2026-10-25T00:30:00+00:00"),
    ("Sun, 29 Mar 2026 02:30:00", None),
])  # fmt: skip
def test_local_time_in_words_is_unsure_as_well(text: str, wanted: str | None) -> None:
    (one,) = read(text, zone=BERLIN)
    assert (one.ns, one.unsure) == (None if wanted is None else instant(wanted), True)


@pytest.mark.parametrize("text", ["2026-10-25T02:30:00+01:00", "2026-10-25 02:30:00Z", "1792888200"])
def test_time_that_states_its_zone_is_never_unsure(text: str) -> None:
    assert [one.unsure for one in read(text, zone=BERLIN)] == [False]


# What no column form fits.


@pytest.mark.parametrize("text", [
    "Sat, 21 Nov 2026 22:32:42 +0000",
    "Sat, 21 Nov 2026 23:32:42 +0100",
    "Sat, 21 Nov 2026 22:32:42 GMT",
    "Saturday, 21-Nov-26 22:32:42 UTC",
    "21/Nov/2026:22:32:42 +0000",
    "21/Nov/2026:17:32:42 -0500",
    "2026-11-21T22:32:42 Z",
    "20261121T223242Z",
    "2026/11/21 22:32:42Z",
    "Sat Nov 21 22:32:42 UTC 2026",
    "Nov 21, 2026 10:32:42 PM UTC",
])  # fmt: skip
def test_other_forms_with_a_zone_are_read(text: str) -> None:
    """RFC 2822, the common log format of web servers, basic ISO, `date` and what people write."""
    assert read(text, zone=BERLIN) == [Read(MOMENT * S, "s", naive=False, unsure=False)]


@pytest.mark.parametrize("text", [
    "Sat Nov 21 23:32:42 2026", "2026/11/21 23:32:42", "21 Nov 2026 23:32:42", "Nov 21, 2026 11:32:42 PM",
])  # fmt: skip
def test_other_forms_without_a_zone_take_the_one_that_is_given(text: str) -> None:
    assert read(text, zone=BERLIN) == [Read(MOMENT * S, "s", naive=True, unsure=False)]


def test_fraction_of_another_form_is_kept() -> None:
    (one,) = read("Sat, 21 Nov 2026 22:32:42.620043 +0000")
    assert (one.ns, one.precision) == (MOMENT * S + 620_043 * US, "us")


@pytest.mark.parametrize("text", ["2026-11-21T22:32Z", "2026-11-21 22:32 UTC", "Sat, 21 Nov 2026 22:32 +0000"])
def test_time_of_minutes_has_no_made_up_seconds(text: str) -> None:
    """RFC 2822 and ISO may leave seconds out: the minute begins at second 0."""
    assert ns(text) == [(MOMENT - 42) * S]


@pytest.mark.parametrize("text", [
    "22:32:42", "22:32", "10 PM", "2026-11-21", "21 Nov 2026", "Nov 2026", "Saturday", "May 5 10:00:00",
    "Nov 21 22:32:42", "Sat 22:32:42", "today", "now", "tomorrow 10:00:00", "", " ", "-", "null", "None", "n/a",
    "unknown", "T", "Z", "x" * 5000, "1 2 3", "a b c", "\x00", "😀",
])  # fmt: skip
def test_text_that_states_no_whole_time_is_none(text: str) -> None:
    """Least of all one that depends on the day on which it is read."""
    assert ns(text, MOMENT_TEXT) == [None, MOMENT * S]


def test_four_digits_are_an_epoch_and_no_year() -> None:
    assert ns("1970") == [1970 * S]


@pytest.fixture
def move(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Moves this machine to another zone; its own comes back afterwards."""

    def to(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield to
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "text", ["2026-11-21 22:32:42 CET", "Sat, 21 Nov 2026 22:32:42 EST", "2026-11-21 22:32:42 IST"]
)
@pytest.mark.filterwarnings("ignore")
def test_zone_of_letters_is_not_passed_over(text: str, move: Callable[[str], None]) -> None:
    """EST and IST mean several zones: no time, or that of a fixed offset; never the zone of the other lines."""
    (one,) = read(text, zone="Australia/Sydney")
    assert one.ns is None or not one.naive
    found = set()
    for zone in ("UTC", BERLIN, "Asia/Kolkata", "America/New_York"):
        move(zone)
        found.add(tuple(read(text, zone="Australia/Sydney")))
    assert len(found) == 1, "the reading does not depend on the zone of the machine"


@pytest.mark.parametrize("text", ["2026-11-21 22:32:42 EST", "21 Nov 2026 10:00 XYZ"])
def test_reading_a_time_prints_nothing(text: str) -> None:
    """A warning of a library is no word of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read(text)) == 1


@pytest.mark.parametrize(
    "text", ["2026-11-21T22:32:42.٣Z", "٢٠٢٦-١١-٢١T٢٢:٣٢:٤٢Z", "1795300362.٣", "１７９５３００３６２", "²"]
)
def test_digits_of_other_scripts_harm_nothing(text: str) -> None:
    found = ns(text, MOMENT_TEXT)
    assert found[1] == MOMENT * S
    assert found[0] is None or found[0] // S == MOMENT


# Whole columns.


def test_null_stays_null_and_order_is_kept() -> None:
    texts = [None, "1795300362", "no time", None, MOMENT_TEXT, "Sat, 21 Nov 2026 22:32:42 GMT", "2026-11-21 23:32:42"]
    found = read(*texts, zone=BERLIN)
    assert [one.ns is not None for one in found] == [False, True, False, False, True, True, True]
    assert {one.ns for one in found} == {None, MOMENT * S}


@pytest.mark.parametrize("texts", [[], [None], [None, None], ["no time"]])
def test_column_without_times_is_read(texts: list[str | None]) -> None:
    assert ns(*texts) == [None] * len(texts)


def test_many_equal_leftovers_are_read_once_each() -> None:
    before = time.process_time()
    found = ns(*["Sat, 21 Nov 2026 22:32:42 GMT", "not a time"] * 50_000)
    assert found[:2] == [MOMENT * S, None]
    assert time.process_time() - before < 2


def test_nanoseconds_become_the_time_of_the_tables() -> None:
    frame = pl.DataFrame({"ns": [MOMENT * S + 1, None]}).select(time=to_time(pl.col("ns")))
    assert frame.schema["time"] == TIME
    assert frame["time"].dt.epoch("ns").to_list() == [MOMENT * S + 1, None]


def test_zone_is_known_by_its_iana_name_or_refused_with_a_hint() -> None:
    assert zone_named(BERLIN) == BERLIN
    for name in ("CEST", "Europe/Nowhere", "+01:00", "", "europe/berlin"):
        with pytest.raises(StrataError, match="no time zone") as refused:
            zone_named(name)
        assert refused.value.hint


# Round trips.

instants = st.integers(-8 * 10**18, 9 * 10**18)
"""1716 to 2255."""

# Before 1973 the size of an epoch in ms, us or ns no longer tells its unit.
recent = st.integers(10**17, 9 * 10**18)


def fixed(moment: int, scale: int, digits: int) -> str:
    """`moment` in units of `scale` ns, with that many digits after the point."""
    sign = "-" if moment < 0 else ""
    whole, rest = divmod(abs(moment), scale)
    return f"{sign}{whole}.{rest:0{digits}d}" if digits else f"{sign}{whole}"


def iso(moment: int, offset_minutes: int, between: str, point: str, zone: str) -> str:
    local = moment + offset_minutes * 60 * S
    day = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=local // S)  # noqa: DTZ001 - written by hand below
    return f"{day:%Y-%m-%d}{between}{day:%H:%M:%S}{point}{local % S:09d}{zone}"


def offset(minutes: int, colon: str) -> str:
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}{colon}{rest:02d}"


@given(
    moment=instants,
    minutes=st.integers(-14 * 60, 14 * 60),
    between=st.sampled_from("T "),
    point=st.sampled_from(".,"),
    colon=st.sampled_from([":", ""]),
)
def test_instant_written_in_any_iso_form_is_read_back_exactly(
    moment: int, minutes: int, between: str, point: str, colon: str
) -> None:
    aware = [
        iso(moment, 0, between, point, "Z"),
        iso(moment, minutes, between, point, offset(minutes, colon)),
        iso(moment, minutes, between, point, " " + offset(minutes, colon)),
    ]
    assert read(*aware, zone=BERLIN) == [Read(moment, "ns", naive=False, unsure=False)] * 3
    assert read(iso(moment, 0, between, point, "")) == [Read(moment, "ns", naive=True, unsure=False)]


@given(moment=instants)
def test_instant_written_as_an_epoch_of_a_declared_unit_is_read_back_exactly(moment: int) -> None:
    for unit, scale, digits in (("s", S, 9), ("ms", MS, 6), ("us", US, 3), ("ns", 1, 0)):
        assert ns(fixed(moment, scale, digits), unit=unit) == [moment]


@given(moment=recent)
def test_instant_written_as_an_epoch_of_any_unit_is_read_back_exactly(moment: int) -> None:
    texts = [fixed(moment, scale, digits) for scale, digits in ((S, 9), (MS, 6), (US, 3), (1, 0))]
    texts.append(f"{fixed(moment, 10**18, 18)}e18")
    assert ns(*texts) == [moment] * 5


@given(
    st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2037, 12, 31)),  # noqa: DTZ001 - local times are naive
    st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Casablanca"]),
)
def test_local_times_are_placed_as_the_zone_data_says(local: dt.datetime, zone: str) -> None:
    """The earlier of two readings; none, where there is none; unsure in both cases."""
    early, late = (local.replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(dt.UTC) for fold in (0, 1))
    there = early.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == local
    (one,) = read(local.isoformat(" "), zone=zone)
    assert one.unsure is (early != late)
    assert one.ns == (instant(early.isoformat()) if there else None)


@given(st.lists(st.one_of(st.none(), st.text(max_size=30), st.text("0123456789-:T.+ eZ", max_size=24)), max_size=8))
def test_no_text_breaks_a_column(texts: list[str | None]) -> None:
    clean = [None if text is None else text.encode("utf-8", "replace").decode() for text in texts]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert ns(*clean, MOMENT_TEXT)[-1] == MOMENT * S
