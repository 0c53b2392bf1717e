"""Values of options: moments, durations, offsets of clocks, and GLOB=NAME pairs."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_FINE = {"us": "0.000001", "ms": "0.001"} | {unit: str(seconds) for unit, seconds in _UNITS.items()}
_PIECE = re.compile(r"(\d+(?:\.\d+)?|\.\d+)(us|ms|[smhd])", re.ASCII)
_OFFSET = re.compile(r"([+-]?)(?:(?:\d+(?:\.\d+)?|\.\d+)(?:us|ms|[smhd]))+", re.ASCII)


class Moment(click.ParamType[datetime]):
    """An ISO date and time; UTC where it states no zone."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """See the class."""
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no ISO time; for example 2026-11-21T23:05 or 2026-11-22T00:05+01:00", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


class Duration(click.ParamType[timedelta]):
    """A number and its unit: 90s, 15m, 6h, 2d."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """See the class."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd])", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no duration; for example 90s, 15m, 6h or 2d", param, ctx)
        try:
            return timedelta(seconds=float(found[1]) * _UNITS[found[2]])
        except OverflowError:
            self.fail(f"{value!r} is longer than any log", param, ctx)


class Chance(click.ParamType[float]):
    """A number from 0 to 1."""

    name = "chance"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See the class."""
        try:
            found = float(str(value))
        except ValueError:
            found = math.nan
        if not 0 <= found <= 1:
            self.fail(f"{value!r} is no number from 0 to 1; for example 0.9", param, ctx)
        return found


class Offset(click.ParamType[tuple[str, timedelta]]):
    """A clock domain and how far it is ahead of the reference: web=+1.5s, web=-300ms, web=5h, web=1h30m."""

    name = "offset"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, timedelta]:
        """See the class."""
        if isinstance(value, tuple):
            return value
        # The name of a clock may hold an equals sign; a length of time does not.
        domain, equals, text = str(value).rpartition("=")
        if not (equals and domain):
            self.fail(f"{value!r} is not DOMAIN=OFFSET", param, ctx)
        sign, parts = _OFFSET.fullmatch(text.strip()), _PIECE.findall(text)
        if sign is None:
            self.fail(f"{text!r} is no offset; for example +1.5s, -300ms, 5h or 1h30m", param, ctx)
        try:
            # Exact: 0.1 has no exact float.
            seconds = sum((Decimal(number) * Decimal(_FINE[unit]) for number, unit in parts), Decimal(0))
            found = timedelta(microseconds=int(seconds * 1_000_000))
        except (OverflowError, ArithmeticError):
            self.fail(f"{text!r} is longer than any log", param, ctx)
        return domain, -found if sign[1] == "-" else found


class Pair(click.ParamType[tuple[str, str]]):
    """Two texts joined by ``=``: the first ``=`` parts them if `first`, else the last."""

    def __init__(self, name: str, *, first: bool = False) -> None:
        self.name = name
        self.first = first

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """See the class."""
        if isinstance(value, tuple):
            return value
        text = str(value)
        left, equals, right = text.partition("=") if self.first else text.rpartition("=")
        if not (equals and left and right):
            self.fail(f"{value!r} is not {self.name}", param, ctx)
        return left, right


class Size(click.ParamType[int]):
    """A number of bytes, with a unit if any: 500MB, 2GiB, 64k."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See the class."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", str(value).strip().lower())
        if found is None or not float(found[1]):
            self.fail(f"{value!r} is no size; for example 500MB, 2GiB or 1073741824", param, ctx)
        return int(float(found[1]) * (1024 if found[3] else 1000) ** " kmgt".index(found[2] or " "))
