"""Text to UTC nanoseconds: ISO forms and epochs by columns, `python-dateutil` for the distinct leftovers.

Source of the forms: ``docs/writing-formats.md``, Times. A time that lacks its date, or that depends on today, is none.
"""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from zoneinfo import ZoneInfo, available_timezones

import dateutil.parser
import polars as pl

from strataline.errors import StrataError
from strataline.event import TIME

TICKS_TO_1970 = 621_355_968_000_000_000
"""Ticks of .NET (100 ns) from the year 1 to 1970. Source: System.DateTime.Ticks."""

UNIT_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}

_SPANS = (
    ("h", 3600 * UNIT_NS["s"]),
    ("m", 60 * UNIT_NS["s"]),
    ("s", UNIT_NS["s"]),
    ("ms", UNIT_NS["ms"]),
    ("(?:µ|μ|u)s", UNIT_NS["us"]),
    ("ns", UNIT_NS["ns"]),
)

_ISO = (
    r"^(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})[T ](?P<clock>[0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:[.,](?P<fraction>[0-9]{1,9})[0-9]*)?\s*(?P<zone>Z|z|UTC|GMT|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)?$"
)
_EPOCH = r"^(?P<whole>-?[0-9]{1,19})(?:\.(?P<fraction>[0-9]{1,9})[0-9]*)?$"
_EXPONENT = re.compile(r"-?[0-9]+(?:\.[0-9]+)?[eE][+-]?[0-9]{1,3}|-?[0-9]+(?:\.[0-9]+)?", re.ASCII)

# An epoch's unit follows from its size: 1e11 seconds is the year 5138, 1e11 milliseconds is 1973.
_LIMITS = ((10**11, "s"), (10**14, "ms"), (10**17, "us"))

_FARTHEST = 9_200_000_000_000_000_000
"""Nanoseconds from 1970 that a 64-bit number holds, less a margin."""

READING = pl.Struct({"ns": pl.Int64, "precision": pl.String, "naive": pl.Boolean, "unsure": pl.Boolean})


def zone_named(name: str) -> str:
    """Return `name` if it is an IANA zone.

    Raises:
        StrataError: if it is none.
    """
    if name not in available_timezones():
        hint = "use a name such as UTC, Europe/Berlin or America/New_York"
        raise StrataError(f"no time zone is called {name!r}", hint=hint)
    return name


def read_times(text: pl.Series, unit: str, zone: str) -> pl.Series:
    """Read times as text.

    Args:
        text: the times as written; null stays null.
        unit: ``auto``, ``iso``, the unit of an epoch (s, ms, us, ns), or ``ticks`` of .NET.
        zone: zone of times that state none.

    Returns:
        Structs of ``ns`` (UTC nanoseconds since 1970; null where no time could be read), ``precision`` (finest
        unit written), ``naive`` (the text states no zone) and ``unsure`` (the local time occurs twice in its
        zone, or never: the earlier reading, or none, was taken).
    """
    if unit == "ticks":
        ticks = pl.DataFrame({"ticks": text.cast(pl.Int64, strict=False)})
        since = ticks.select(((pl.col("ticks") - TICKS_TO_1970) * 100).cast(pl.String).alias("text"))["text"]
        return read_times(since, "ns", zone)
    lazy = pl.LazyFrame({"text": text.cast(pl.String)}).with_columns(pl.col("text").str.strip_chars())
    # Each regex once: a field of the groups that is taken from the expression would run it again.
    lazy = lazy.with_columns(
        _iso=pl.col("text").str.extract_groups(_ISO), _epoch=pl.col("text").str.extract_groups(_EPOCH)
    )
    iso, epoch = pl.col("_iso").struct, pl.col("_epoch").struct
    lazy = lazy.with_columns(
        local=pl.concat_str(iso.field("date"), pl.lit(" "), iso.field("clock")).str.to_datetime(
            "%Y-%m-%d %H:%M:%S", time_unit="us", strict=False
        ),
        fraction=pl.coalesce(iso.field("fraction"), epoch.field("fraction")),
        zone=iso.field("zone"),
        whole=pl.lit(None, pl.Int64) if unit == "iso" else epoch.field("whole").cast(pl.Int64, strict=False),
    )
    # Nanoseconds reach from 1677 to 2262; a year outside of that is no time here, and must not wrap around.
    inside = pl.col("local").dt.year().is_between(1678, 2261)
    lazy = lazy.with_columns(
        local=pl.when(inside).then(pl.col("local")).cast(pl.Datetime("ns")),
        unit=pl.when(pl.col("whole").is_not_null()).then(_unit(unit)),
        fraction_ns=pl.col("fraction").str.pad_end(9, "0").cast(pl.Int64).fill_null(0),
        digits=pl.col("fraction").str.len_bytes().fill_null(0),
    )
    naive = pl.col("local").is_not_null() & pl.col("zone").is_null()
    columns = ("text", "local", "zone", "whole", "unit", "fraction_ns", "digits", naive.alias("naive"))
    frame = lazy.select(columns).collect()
    ns, unsure = pl.lit(None, pl.Int64), pl.lit(value=False)
    if frame["local"].null_count() < frame.height:
        ns = pl.col("local").dt.epoch("ns") - _offset_minutes(pl.col("zone")) * 60 * UNIT_NS["s"]
    if frame["naive"].any():
        placed = pl.col("local").dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        late = pl.col("local").dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
        ns = pl.when(pl.col("naive")).then(placed.dt.epoch("ns")).otherwise(ns)
        unsure = pl.col("naive") & ((placed != late) | placed.is_null())
    ns = ns + pl.col("fraction_ns")
    if frame["whole"].null_count() < frame.height:
        scale = pl.col("unit").replace_strict(UNIT_NS, default=None, return_dtype=pl.Int64)
        # 19 digits overflow when scaled; a double tells whether the product still fits.
        fits = (pl.col("whole").cast(pl.Float64) * scale).abs() < float(_FARTHEST)
        sign = pl.when(pl.col("text").str.starts_with("-")).then(-1).otherwise(1)
        fine = sign * pl.col("fraction_ns") // (UNIT_NS["s"] // scale)
        ns = pl.when(pl.col("whole").is_null()).then(ns).otherwise(pl.when(fits).then(pl.col("whole") * scale + fine))
    frame = frame.with_columns(ns=ns, unsure=unsure, precision=_precision(pl.col("digits"), pl.col("unit")))
    frame = _leftovers(frame, unit, zone)
    precision = pl.when(pl.col("ns").is_not_null()).then("precision").alias("precision")
    return frame.select(pl.struct("ns", precision, "naive", "unsure").cast(READING).alias("time")).to_series()


def read_durations(text: pl.Series, unit: str) -> pl.Series:
    """Read durations as text.

    Args:
        text: how long it took, as written; null stays null.
        unit: of the number: s, ms, us, ns; ``text`` where each number carries its own (``1m2.5s``, ``25.4µs``).

    Returns:
        Nanoseconds; null where none could be read.
    """
    if unit != "text":
        number = text.cast(pl.Float64, strict=False)
        return (number * UNIT_NS[unit]).round().cast(pl.Int64, strict=False)
    frame = pl.DataFrame({"text": text.str.strip_chars()})
    parts = [
        pl.col("text").str.extract(rf"([0-9]+(?:\.[0-9]+)?)\s*{name}(?:[^a-zµμ]|$)", 1).cast(pl.Float64) * scale
        for name, scale in _SPANS
    ]
    whole = pl.col("text").str.contains(r"^-?(?:[0-9]+(?:\.[0-9]+)?\s*(?:h|ms|m|s|µs|μs|us|ns)\s*)+$")
    sign = pl.when(pl.col("text").str.starts_with("-")).then(-1).otherwise(1)
    total = pl.sum_horizontal(parts, ignore_nulls=True)
    return frame.select(pl.when(whole).then((total * sign).round()).cast(pl.Int64, strict=False)).to_series()


def to_time(ns: pl.Expr) -> pl.Expr:
    """Nanoseconds since 1970 as the dtype of the tables."""
    return ns.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC").cast(TIME)


def _unit(unit: str) -> pl.Expr:
    if unit in UNIT_NS:
        return pl.lit(unit)
    size = pl.col("whole").abs()
    chosen = pl.lit("ns")
    for limit, name in reversed(_LIMITS):
        chosen = pl.when(size < limit).then(pl.lit(name)).otherwise(chosen)
    return chosen


def _offset_minutes(zone: pl.Expr) -> pl.Expr:
    digits = zone.str.replace_all(r"[^0-9]", "").str.pad_end(4, "0")
    minutes = digits.str.slice(0, 2).cast(pl.Int64, strict=False) * 60 + digits.str.slice(2, 2).cast(
        pl.Int64, strict=False
    )
    signed = pl.when(zone.str.starts_with("-")).then(-minutes).otherwise(minutes)
    return pl.when(zone.str.contains(r"^[+-]")).then(signed).otherwise(0)


def _precision(digits: pl.Expr, unit: pl.Expr) -> pl.Expr:
    """The finest unit written: the epoch's own, refined by the digits after the point."""
    coarse = unit.replace_strict({"s": 0, "ms": 3, "us": 6, "ns": 9}, default=0, return_dtype=pl.Int64)
    fine = coarse.fill_null(0) + digits.cast(pl.Int64)
    return (
        pl.when(fine == 0)
        .then(pl.lit("s"))
        .when(fine <= 3)
        .then(pl.lit("ms"))
        .when(fine <= 6)
        .then(pl.lit("us"))
        .otherwise(pl.lit("ns"))
    )


def _leftovers(frame: pl.DataFrame, unit: str, zone: str) -> pl.DataFrame:
    """Read what no column form fits, once for each distinct text."""
    unread = frame["text"].is_not_null() & frame["whole"].is_null() & frame["local"].is_null()
    if not unread.any():
        return frame
    left = frame["text"].filter(unread).unique().sort()
    read = {text: _read_one(text, unit, zone) for text in left.to_list()}
    rows = pl.DataFrame(
        [(text, *(one or (None, None, None, None))) for text, one in read.items()],
        schema={
            "text": pl.String,
            "ns2": pl.Int64,
            "precision2": pl.String,
            "naive2": pl.Boolean,
            "unsure2": pl.Boolean,
        },
        orient="row",
    )
    joined = frame.join(rows, on="text", how="left", maintain_order="left")
    return joined.with_columns(
        pl.coalesce(f"{name}2", name).alias(name) for name in ("ns", "precision", "naive", "unsure")
    )


def _read_one(text: str, unit: str, zone: str) -> tuple[int | None, str, bool, bool] | None:
    """One leftover: an epoch in exponent form, or any date and time that dateutil reads whole.

    Returns:
        As `read_times` gives it; null where it is no time.
    """
    if _EXPONENT.fullmatch(text):
        epoch = Decimal(text)
        if unit == "iso" or not 0 < abs(epoch) < _FARTHEST:
            return None
        known = unit if unit in UNIT_NS else next((name for limit, name in _LIMITS if abs(epoch) < limit), "ns")
        ns = int(epoch * UNIT_NS[known])
        return (ns, known, False, False) if abs(ns) < _FARTHEST else None
    if len(text) > 64:
        return None
    # The Common Log Format joins date and time by a colon.
    text = re.sub(r"^(\d\d/[A-Za-z]{3}/\d{4}):", r"\1 ", text.strip())
    # Defaults that share no field, but for the second: what the text does not say would differ, and then it is no
    # time. A date that reads otherwise with its day first is none either; what begins with its year is in that order.
    readings = []
    orders = (False,) if re.match(r"\d{4}", text) else (False, True)
    for default in (dt.datetime(2001, 1, 1, 1, 1), dt.datetime(2002, 2, 2, 2, 2)):  # noqa: DTZ001
        for day_first in orders:
            try:
                read = dateutil.parser.parse(text, default=default, dayfirst=day_first, tzinfos=_known_zone)
            except (ValueError, OverflowError, TypeError):
                return None
            readings.append(read)
    one = readings[0]
    if any(read != one for read in readings) or not 1678 <= one.year <= 2261:
        return None
    naive, unsure = one.tzinfo is None, False
    if naive:
        one = one.replace(tzinfo=ZoneInfo(zone))
        again = one.astimezone(dt.UTC).astimezone(one.tzinfo)
        if again.replace(tzinfo=None) != one.replace(tzinfo=None):
            return None, "s", True, True
        unsure = one.utcoffset() != one.replace(fold=1).utcoffset()
    whole = one.replace(microsecond=0) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    ns = (whole.days * 86_400 + whole.seconds) * UNIT_NS["s"] + one.microsecond * 1_000
    return ns, "us" if one.microsecond else "s", naive, unsure


def _known_zone(name: str | None, offset: int | None) -> dt.tzinfo | None:
    """The zone that a text states, if any; an abbreviation names several, and the machine's own must not decide."""
    if offset is not None:
        return dt.timezone(dt.timedelta(seconds=offset))
    if name is None:
        return None
    if name in ("UTC", "GMT", "Z"):
        return dt.UTC
    raise ValueError(name)
