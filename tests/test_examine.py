"""What can be counted in the tables."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
from hypothesis import given, strategies as st

from strataline.event import EVENTS, LAYERS, PRODUCT_LAYERS
from strataline.examine import COVERAGE, coverage


def table(*found: tuple[str, str, str | None, datetime | None]) -> pl.DataFrame:
    schema = {name: EVENTS.schema[name] for name in ("layer", "source", "request", "corrected_time")}
    return EVENTS.conform(pl.DataFrame(list(found), schema=schema, orient="row"))


def at(minute: int, second: int = 0) -> datetime:
    return datetime(2026, 1, 1, 10, minute, second, tzinfo=UTC)


def step(found: pl.DataFrame, layer: str, minute: datetime | None) -> dict[str, object]:
    of_minute = pl.col("minute").is_null() if minute is None else pl.col("minute") == minute
    return (
        found.filter(pl.col("layer") == layer, of_minute)
        .select("minutes", "events", "linked", "covered")
        .row(0, named=True)
    )


def test_every_minute_between_first_and_last_is_there() -> None:
    found = coverage(
        table(
            ("prompt", "a", "r1", at(0, 5)),
            ("prompt", "a", None, at(0, 59)),
            ("prompt", "a", None, at(7, 59)),
            ("ui", "b", "r1", at(3)),
            ("other", "a", None, None),
        )
    )
    assert found.schema == COVERAGE
    steps = found.filter(pl.col("layer") == "prompt").select("minute", "minutes").rows()
    assert steps == [(at(0), 1), (at(1), 2), (at(3), 1), (at(4), 3), (at(7), 1), (None, None)]
    assert step(found, "prompt", at(0)) == {"minutes": 1, "events": 2, "linked": 1, "covered": True}
    assert step(found, "prompt", at(4)) == {"minutes": 3, "events": 0, "linked": 0, "covered": True}
    assert step(found, "ui", at(3)) == {"minutes": 1, "events": 1, "linked": 1, "covered": True}
    assert step(found, "ui", at(4)) == {"minutes": 3, "events": 0, "linked": 0, "covered": False}
    assert step(found, "other", None) == {"minutes": None, "events": 1, "linked": 0, "covered": False}


def test_a_gap_between_two_sources_of_a_layer_is_not_covered() -> None:
    found = coverage(
        table(
            ("model", "a", None, at(0)),
            ("model", "a", None, at(1)),
            ("model", "b", None, at(5)),
            ("model", "b", None, at(6)),
            ("ui", "c", None, at(3)),
        )
    )
    covered = found.filter(pl.col("layer") == "model").select("minute", "covered").rows()
    assert covered == [
        (at(0), True),
        (at(1), True),
        (at(2), False),
        (at(3), False),
        (at(4), False),
        (at(5), True),
        (at(6), True),
    ]


def test_product_layers_always_have_rows_and_nothing_gives_none() -> None:
    found = coverage(table(("change", "a", None, at(0))))
    assert found["layer"].to_list() == [*PRODUCT_LAYERS, "change"]
    assert coverage(EVENTS.empty()).is_empty()
    assert coverage(EVENTS.empty()).schema == COVERAGE


def test_one_wrong_year_does_not_make_a_row_for_each_minute() -> None:
    found = coverage(table(("ui", "a", None, datetime(1970, 1, 1, tzinfo=UTC)), ("ui", "a", None, at(0))))
    assert found.filter(pl.col("layer") == "ui").height == 3


@given(
    st.lists(
        st.tuples(
            st.sampled_from(LAYERS),
            st.sampled_from(["a", "b"]),
            st.none() | st.just("r"),
            st.none() | st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 2), timezones=st.just(UTC)),  # noqa: DTZ001
        )
    )
)
def test_every_event_is_counted_once_and_steps_leave_no_gap(
    found: list[tuple[str, str, str | None, datetime | None]],
) -> None:
    events = table(*found)
    made = coverage(events)
    assert made["events"].sum() == events.height
    assert made["linked"].sum() == events["request"].count()
    for _, of_layer in made.filter(pl.col("minute").is_not_null()).group_by("layer"):
        after = of_layer.select(pl.col("minute") + pl.duration(minutes="minutes"))["minute"]
        assert after.head(-1).to_list() == of_layer["minute"].slice(1).to_list()
