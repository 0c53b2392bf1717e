"""What can be counted in the tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import given, strategies as st

from strataline.event import EVENTS, LAYERS, PRODUCT_LAYERS, REQUESTS, SOURCES
from strataline.examine import COVERAGE, by_service, coverage, gaps, presence, sampling, services, unseen


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


def events(*rows: dict[str, Any]) -> pl.DataFrame:
    for n, row in enumerate(rows):
        row.setdefault("event_id", f"e{n}")
        for name in ("attributes", "parameters"):
            if name in row:
                row[name] = [{"key": key, "value": value} for key, value in row[name].items()]
    return EVENTS.conform(pl.DataFrame(rows, schema_overrides=EVENTS.schema)) if rows else EVENTS.empty()


def test_presence_counts_each_state_of_each_layer_by_hour() -> None:
    def request(name: str, start: datetime | None, **states: list[str]) -> dict[str, Any]:
        lists = {f"layers_{one}": states.get(one, []) for one in ("present", "absent", "not_covered", "ambiguous")}
        return {"request": name, "start_time": start, **lists}

    rows = [
        request("r1", at(1), present=["prompt", "model"], absent=["ui"]),
        request("r2", at(2), present=["prompt"], ambiguous=["model"], not_covered=["ui"]),
        request("r3", at(1) + timedelta(hours=1), present=["prompt"]),
        request("r4", None, absent=["prompt"]),
    ]
    found = presence(REQUESTS.conform(pl.DataFrame(rows, schema_overrides=REQUESTS.schema)))
    assert found["layer"].unique(maintain_order=True).to_list() == list(PRODUCT_LAYERS)
    prompt = found.filter(pl.col("layer") == "prompt")
    assert prompt["hour"].to_list() == [at(0), at(0) + timedelta(hours=1), None]
    assert prompt["requests"].to_list() == [2, 1, 1]
    assert prompt["present"].to_list() == [2, 1, 0]
    assert prompt["absent"].to_list() == [0, 0, 1]
    ui = found.filter(pl.col("layer") == "ui").row(0, named=True)
    assert (ui["present"], ui["absent"], ui["not_covered"], ui["ambiguous"]) == (0, 1, 1, 0)
    assert found.filter(pl.col("layer") == "model")["ambiguous"].to_list() == [1, 0, 0]
    assert presence(REQUESTS.empty()).is_empty()


def test_services_are_counted_each_for_itself() -> None:
    rows: list[dict[str, Any]] = [
        {"layer": "model", "service": "gw", "source": "a", "clock": "c", "request": "r1", "corrected_time": at(0)},
        {"layer": "model", "service": "gw", "source": "b", "clock": "c", "request": "r1", "corrected_time": at(5, 30)},
        {"layer": "model", "service": "gw", "source": "b", "clock": "d", "corrected_time": at(5)},
        {"layer": "model", "source": "b"},
        {"layer": "prompt", "service": "app", "source": "c", "request": "r1", "corrected_time": at(5)},
    ]
    found = services(events(*rows))
    assert found.select("layer", "service").rows() == [("prompt", "app"), ("model", "gw"), ("model", None)]
    assert found.select("sources", "clocks", "events", "linked", "requests", "minutes", "silent_ns").row(1) == (
        *(2, 2, 3, 2, 1, 2),
        300 * 10**9,
    )
    assert found.select("first_time", "last_time").row(2) == (None, None)
    minutes = by_service(events(*rows))
    assert minutes.rows() == [
        ("model", "gw", at(0), 1, 1),
        ("model", "gw", at(5), 2, 1),
        ("prompt", "app", at(5), 1, 1),
        ("model", None, None, 1, 0),
    ]
    assert services(EVENTS.empty()).is_empty()
    assert by_service(EVENTS.empty()).is_empty()


def test_a_gap_is_longer_than_usual_while_other_logs_go_on() -> None:
    def log(layer: str, clock: str, *minutes: float, opens: bool = True) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = [{"layer": layer, "clock": clock, "service": "s"} for _ in minutes]
        for n, (row, minute) in enumerate(zip(rows, minutes, strict=True)):
            row |= {"event_id": f"{layer}{n:03}", "corrected_time": at(0) + timedelta(minutes=minute)}
            row |= {"request": f"{layer}{n:03}"} if opens else {}
        return rows

    busy = [n / 10 for n in range(200)]
    holed = [*(n / 10 for n in range(100)), *(20 + n / 10 for n in range(100))]
    made = events(*log("model", "gw", *holed), *log("prompt", "app", *[n / 5 for n in range(150)]))
    (row,) = gaps(made).to_dicts()
    assert (row["layer"], row["log"], row["before"], row["after"]) == ("model", "gw", "model099", "model100")
    assert row["gap_ns"] == round(10.1 * 60) * 10**9
    assert row["usual_ns"] == 6 * 10**9
    assert row["requests"] >= 10
    assert gaps(events(*log("model", "gw", *holed))).is_empty()
    # What opens no request tells of no traffic that the silent log would have seen.
    idle = log("prompt", "app", *[n / 5 for n in range(150)], opens=False)
    assert gaps(events(*log("model", "gw", *holed), *idle)).is_empty()
    assert gaps(events(*log("model", "gw", *busy), *log("prompt", "app", *holed[:3]))).is_empty()
    # Pages have a clock each: their log is what their service wrote.
    pages = [row for n, minute in enumerate(holed) for row in log("ui", f"page{n}", minute)]
    assert gaps(events(*pages, *log("prompt", "app", *busy, *[20 + one for one in busy])))["log"].to_list() == ["s"]
    assert gaps(EVENTS.empty()).is_empty()


def test_sampling_is_what_records_say_of_it() -> None:
    rows = [
        {"layer": "model", "service": "gw", "attributes": {"sample_rate": value}} for value in ("0.1", "0.1", "1.0")
    ]
    rows += [{"layer": "ui", "service": "web", "attributes": {"sampled": "true"}}]
    found = sampling(events(*rows))
    assert found.rows() == [("model", "gw", "sample_rate", "0.1", 2, "e0")]
    assert sampling(EVENTS.empty()).is_empty()


def test_what_was_changed_long_before_makes_no_longer_case() -> None:
    made = events(
        {"layer": "change", "source": "git", "corrected_time": at(0) - timedelta(days=7)},
        {"layer": "model", "source": "m", "corrected_time": at(0)},
        {"layer": "prompt", "source": "p", "corrected_time": at(3)},
    )
    said = unseen(made, SOURCES.empty())
    assert "Of the 4 minutes of the case, 3 are covered by no prompt log." in said["sentence"].to_list()


def test_what_no_log_shows_is_said_by_layer_field_time_and_source() -> None:
    made = events(
        {"layer": "model", "source": "m", "served_model": "a", "corrected_time": at(0), "documents": []},
        {"layer": "prompt", "source": "p", "input_hash": "h", "documents": [], "corrected_time": at(3)},
        {"layer": "prompt", "source": "p", "corrected_time": at(4)},
    )
    sources = pl.DataFrame([{"source": "p", "lacks": ["trace_id"], "rejected": 1}], schema_overrides=SOURCES.schema)
    found = unseen(made, SOURCES.conform(sources))
    said = {(row["layer"], row["topic"], row["subject"]): row["sentence"] for row in found.to_dicts()}
    assert said["ui", "layer", "ui"] == "No ui log is among the supplied logs: what that layer did is not in them."
    assert said["prompt", "field", "documents"] == "No prompt record states the documents that entered the prompt."
    assert ("prompt", "field", "input_hash") not in said
    assert ("model", "field", "served_model") not in said
    assert said["model", "time", "4"] == "Of the 5 minutes of the case, 4 are covered by no model log."
    assert said["prompt", "time", "3"] == "Of the 5 minutes of the case, 3 are covered by no prompt log."
    assert said[None, "id", "p"] == "No event of this source states trace_id."
    assert said[None, "reject", "p"] == "1 record of this source could not be read and became no event."
    assert unseen(EVENTS.empty(), SOURCES.empty())["topic"].to_list() == ["layer"] * 5
