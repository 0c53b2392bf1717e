"""Every format keeps what its sample promises: shipped formats, and those of the sample incident's product.

Each format has a folder with a log (or several) and `expected.jsonl`, one row per event.
`STRATALINE_REGENERATE=1 pytest tests/test_formats.py` writes these files anew; read them before you keep them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from strataline import conformance
from strataline.conformance import EXPECTED, brief_rows, check, parse, sample_logs, written
from strataline.format import Format, fields_read
from strataline.parse import Kernel, Marks, Parsed, Plan, catalogue, parse_source, recognise
from strataline.read.frame import conform

REPOSITORY = Path(__file__).resolve().parent.parent
SHIPPED = REPOSITORY / "parsers"
OWN = REPOSITORY / "sample_logs" / "assist_incident" / "formats"
SAMPLES = {file.stem: REPOSITORY / "sample_logs" / "formats" / file.stem for file in SHIPPED.glob("[!_]*.py")}
SAMPLES |= {file.stem: OWN / file.stem for file in OWN.glob("*.py")}
NAMES = sorted(SAMPLES)

SHARED = REPOSITORY.parent / "shared" / "real_logs"
"""Records that real systems wrote, where they lie beside the repository."""


@cache
def formats() -> dict[str, Format]:
    """The whole catalogue: a sample must be told from all of it."""
    return catalogue([OWN])


@cache
def marks() -> Marks:
    return Marks(formats())


@cache
def parsed(name: str, log: Path) -> Parsed:
    return parse(marks(), log, name)


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    """A format. All tests of one run one after the other, and read its sample once."""
    return str(request.param)


def test_format_keeps_its_promise(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recognised as itself and by no other, every record accounted for, its words known, its rows as expected."""
    monkeypatch.setattr(conformance, "parse", lambda _, log, folder: parsed(folder, log))
    if os.environ.get("STRATALINE_REGENERATE"):
        rows = [row for log in sample_logs(SAMPLES[name]) for row in brief_rows(parsed(name, log), log)]
        (SAMPLES[name] / EXPECTED).write_text(written(rows), encoding="utf-8")
    assert check(formats()[name], SAMPLES[name], formats()) == []


def test_sample_is_read_by_its_own_format_alone(name: str) -> None:
    one = formats()[name]
    for log in sample_logs(SAMPLES[name]):
        found = parsed(name, log)
        assert found.recognised is not None, log.name
        if one.of is None:
            assert found.recognised.format.name == name, log.name
        else:
            assert formats()[found.recognised.format.name].items == one.of, log.name
        assert found.recognised.ties == (), log.name
        told = set(found.events.filter(pl.col("kind") != "log.other")["format"])
        if one.of is None and one.items is None:
            assert told - BESIDE.get(name, set()) == {name}, log.name
        else:
            assert {formats()[other].of for other in told} == {one.of or one.items}, log.name


def test_columns_are_filled_as_far_as_the_records_tell(name: str) -> None:
    for log in sample_logs(SAMPLES[name]):
        events = parsed(name, log).events.filter((pl.col("kind") != "log.other") & (pl.col("format") == name))
        for column in ("layer", "kind", "time_kind", "clock"):
            assert events[column].null_count() == 0, f"{log.name}: {column}"
        # What states a time is read as one, unless it is by a clock that begins with each record.
        timed = events.filter(pl.col("time_raw").is_not_null() & (pl.col("time_kind") != "relative"))
        unread = timed.filter(pl.col("event_time").is_null())["time_raw"].to_list()
        assert name in YEARLESS or unread == [], log.name


def test_declaration_is_complete(name: str) -> None:
    one = formats()[name]
    assert one.title
    assert one.reference
    source = (SHIPPED if (SHIPPED / f"{name}.py").exists() else OWN) / f"{name}.py"
    if source.parent == SHIPPED:
        assert one.export, "where a user gets the log"
        assert one.limits, "what it cannot tell"
    text = source.read_text(encoding="utf-8")
    imports = set(re.findall(r"^(?:from|import) ([\w.]+)", text, re.MULTILINE))
    foreign = {module.partition(".")[0] for module in imports} - sys.stdlib_module_names - {"polars", "strataline"}
    assert foreign == set()
    assert {one for one in imports if one.startswith("strataline")} <= {"strataline.format", "strataline.span"}
    read = {field for event in one.events for field in fields_read(one, event)}
    assert set(one.fields) - read == set(), "a field that no event uses"


def test_catalogue_is_wide_and_stands_on_real_records() -> None:
    shipped = [one for name, one in formats().items() if (SHIPPED / f"{name}.py").exists()]
    verified = [one for one in shipped if one.verified]
    assert len(verified) >= 60
    layers = {event.layer or one.layer for one in verified for event in one.events}
    assert layers >= {"prompt", "retrieval", "model", "policy", "ui"}


BESIDE: dict[str, set[str]] = {}
"""Samples that hold records of another format too, as the real file does."""

YEARLESS = {"vllm_server"}
"""Logs whose times state no year: they are kept as written."""


@pytest.mark.parametrize("line", [
    'INFO:     127.0.0.1:34060 - "POST /v1/chat/completions HTTP/1.1" 200 OK',
    'INFO:     127.0.0.1:34060 - "GET /a?q=1 HTTP/1.1" 418 I\'m a Teapot',
    '2026-11-21 18:02:32,070 INFO:     [::1]:34474 - "POST /api/chat HTTP/1.1" 200',
])  # fmt: skip
def test_access_line_is_read_with_and_without_a_time(line: str) -> None:
    batch = pl.DataFrame({"line": [1], "offset": [0], "length": [len(line)], "text": [line.encode()]})
    one = parse_source(Kernel(), Plan(Marks(formats())), [conform(batch)]).result()
    assert one.events["kind"].to_list() == ["model.access" if "completions" in line else "prompt.access"]
    assert (one.events["event_time"].null_count() == 0) is line.startswith("2026")
    assert "?" not in str(one.events["name"][0])


@pytest.mark.parametrize(("digits", "told"), [(7, "git_log"), (40, "git_log"), (64, "git_log"), (16, None), (32, None)])
def test_ids_of_spans_and_traces_are_no_commits(digits: int, told: str | None) -> None:
    ids = [hashlib.sha256(bytes([n])).hexdigest()[:digits] for n in range(20)]
    lines = [f"2026-11-19T11:02:{n:02}Z {one} GET /api/chat 200" for n, one in enumerate(ids)]
    found = recognise(Kernel(), marks(), pl.Series([line.encode() for line in lines]))
    assert (found.format.name if found else None) == told


@pytest.mark.parametrize(("event", "kind"), [
    ("message_sent", "ui.message_sent"),
    ("Chat: question submitted", "ui.message_sent"),
    ("submit_prompt", "ui.message_sent"),
    ("answer_rendered", "ui.rendered"),
    ("show_response", "ui.rendered"),
    ("banner_shown", "ui.event"),
    ("feedback_thumbs_down", "ui.feedback"),
    ("feedback_submitted", "ui.feedback"),
    ("answer_liked", "ui.feedback"),
    ("issue_reported", "ui.feedback"),
    ("report_exported", "ui.event"),
    ("error_shown", "ui.error_shown"),
    ("message_send_failed", "ui.error_shown"),
    ("request_retry", "ui.retry"),
    ("regenerate_clicked", "ui.regenerate"),
    ("generation_stopped", "ui.stopped"),
    ("answer_copied", "ui.copied"),
    ("citation_clicked", "ui.citation"),
    ("$pageview", "ui.pageview"),
    ("$pageleave", "ui.event"),
    ("$identify", "ui.identify"),
    ("settings_opened", "ui.event"),
])  # fmt: skip
def test_event_names_of_a_product_are_told_by_their_words(event: str, kind: str) -> None:
    record = {
        "uuid": "01a2005d-dfa7-700d-a078-ff130395acf1",
        "event": event,
        # An export writes the properties as a JSON text.
        "properties": json.dumps({"$lib": "web", "$device_id": "d1", "request_id": "r-1"}),
        "timestamp": "2026-11-21T23:08:01.831Z",
    }
    text = json.dumps(record).encode()
    batch = pl.DataFrame({"line": [1], "offset": [0], "length": [len(text)], "text": [text]})
    one = parse_source(Kernel(), Plan(Marks(formats())), [conform(batch)]).result().events
    assert one["kind"].to_list() == [kind]
    assert one["clock"].to_list() == ["browser:d1"]
    assert {"kind": "request_id", "value": "r-1", "role": "alias"} in one["ids"][0].to_list()
