"""Every format keeps what its sample promises: shipped formats, and those of the sample incident's product.

Each format has a folder with a log (or several) and `expected.jsonl`, one row per event.
`STRATALINE_REGENERATE=1 pytest tests/test_formats.py` writes these files anew; read them before you keep them.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from strataline.event import LAYERS, OUTCOMES, TIME_KINDS, VERDICTS
from strataline.format import Format
from strataline.parse import Kernel, Marks, Parsed, Plan, catalogue, parse_source, score
from strataline.read import Input, read
from strataline.read.frame import conform

REPOSITORY = Path(__file__).resolve().parent.parent
SHIPPED = REPOSITORY / "parsers"
OWN = REPOSITORY / "sample_logs" / "assist_incident" / "formats"
SAMPLES = {file.stem: REPOSITORY / "sample_logs" / "formats" / file.stem for file in SHIPPED.glob("[!_]*.py")}
SAMPLES |= {file.stem: OWN / file.stem for file in OWN.glob("*.py")}
NAMES = sorted(SAMPLES)

GENERAL = {("assist_prompt_log", "structlog_json"), ("litellm_proxy_json_logs", "structlog_json")}
"""A special format, and a general one that fits its records as well: the special one is taken."""

NOT_COMPARED = {
    "event_id", "source", "address", "offset", "length", "record_hash", "format", "format_confidence", "time_precision",
    "input_hash", "output_hash",
}  # fmt: skip
"""Columns that the kernel sets alike for every format: its own tests hold them."""

SHORT = 60


@cache
def formats() -> dict[str, Format]:
    """The whole catalogue: a sample must be told from all of it."""
    return catalogue([OWN])


@cache
def logs(name: str) -> tuple[Path, ...]:
    return tuple(sorted(file for file in SAMPLES[name].iterdir() if file.name != "expected.jsonl"))


@cache
def parsed(name: str, log: Path) -> Parsed:
    (one,) = [
        parse_source(
            Kernel(), Plan(Marks(formats()), folder=name), (batch.records for batch in source.batches)
        ).result()
        for source in read(Input(log.name, log))
    ]
    return one


def rows(name: str) -> list[dict[str, Any]]:
    """One short row per event of the samples, in the order of the log."""
    found = []
    for log in logs(name):
        events = parsed(name, log).events.sort("offset", "item", "index")
        found += [{"log": log.name} | brief(row) for row in events.to_dicts()]
    return found


def brief(row: dict[str, Any]) -> dict[str, Any]:
    """What the format says of one event, without what is null or the kernel's own."""
    said = {key: plain(value) for key, value in row.items() if key not in NOT_COMPARED}
    for side in ("input_excerpt", "output_excerpt"):
        if said[side] is not None:
            said[side] = said[side][:SHORT]
    return {key: value for key, value in said.items() if value not in (None, [], {})}


def plain(value: Any) -> Any:
    """A value as JSON can hold it: ids as texts, documents and maps as objects."""
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if not isinstance(value, list):
        return value
    if value and set(value[0]) == {"kind", "value", "role"}:
        return [f"{one['role']} {one['kind']} {one['value']}" for one in value]
    if value and set(value[0]) == {"key", "value"}:
        return {one["key"]: one["value"] for one in value}
    return [{key: part for key, part in one.items() if key != "hash" and part is not None} for one in value]


@pytest.mark.parametrize("name", NAMES)
def test_sample_gives_the_expected_rows(name: str) -> None:
    expected = SAMPLES[name] / "expected.jsonl"
    found = rows(name)
    if os.environ.get("STRATALINE_REGENERATE"):
        expected.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found), encoding="utf-8")
    wanted = [json.loads(line) for line in expected.read_text(encoding="utf-8").splitlines()]
    for number, (one, other) in enumerate(zip(found, wanted, strict=False), start=1):
        assert one == other, f"{expected.name}, line {number}"
    assert len(found) == len(wanted)


@pytest.mark.parametrize("name", NAMES)
def test_sample_is_recognised_by_its_own_format_alone(name: str) -> None:
    for log in logs(name):
        recognised = parsed(name, log).recognised
        assert recognised is not None, log.name
        assert recognised.format.name == name, log.name
        assert recognised.ties == (), log.name
        lines = pl.Series(log.read_bytes().split(b"\n"), dtype=pl.Binary)
        claims = {other for other, share in score(Kernel(), Marks(formats()), lines).items() if share >= 0.5}
        assert claims - {general for special, general in GENERAL if special == name} == {name}, log.name


@pytest.mark.parametrize("name", NAMES)
def test_every_line_of_the_sample_is_accounted_for(name: str) -> None:
    damaged = 0
    for log in logs(name):
        one = parsed(name, log)
        lines = log.read_bytes().count(b"\n")
        assert one.records == one.with_events + one.rejected + one.skipped, log.name
        assert one.records >= lines, log.name
        seen = {*one.events["line"].to_list(), *one.rejects["line"].to_list()}
        assert len(seen) + one.skipped == lines, log.name
        damaged += one.rejected + one.recovered
    assert damaged, "a sample has a damaged line"


@pytest.mark.parametrize("name", NAMES)
def test_required_columns_are_filled(name: str) -> None:
    for log in logs(name):
        events = parsed(name, log).events
        described = events.filter(pl.col("kind") != "log.other")
        assert described.height > 0
        for column in ("layer", "kind", "time_kind", "event_time", "clock", "name", "service"):
            if (name, column) in LACKING:
                continue
            assert described[column].null_count() == 0, f"{log.name}: {column}"
        assert described["kind"].str.contains(r"^[a-z]+\.[a-z_]+$").all()
        for column, known in (
            ("layer", LAYERS),
            ("outcome", OUTCOMES),
            ("verdict", VERDICTS),
            ("time_kind", TIME_KINDS),
        ):
            assert set(events[column].drop_nulls()) <= set(known), f"{log.name}: {column}"
        decisions = described.filter(pl.col("kind") == "policy.decision")
        assert decisions["verdict"].null_count() == 0, log.name


LACKING = {("structlog_json", "service")}
"""What the records of a sample do not state."""


@pytest.mark.parametrize("name", NAMES)
def test_declaration_is_complete(name: str) -> None:
    one = formats()[name]
    assert one.title
    assert one.reference
    assert one.verified, "a real record stands behind every sample"
    source = (SHIPPED if (SHIPPED / f"{name}.py").exists() else OWN) / f"{name}.py"
    text = source.read_text(encoding="utf-8")
    imports = set(re.findall(r"^(?:from|import) ([\w.]+)", text, re.MULTILINE))
    assert imports <= {"polars", "strataline.format"}
    used = re.findall(r"[A-Za-z_]\w*", text)
    assert [field for field in one.fields if used.count(field) < 2] == [], "a field that no event uses"


@pytest.mark.parametrize("line", [
    'INFO:     127.0.0.1:34060 - "POST /v1/chat/completions HTTP/1.1" 200 OK',
    'INFO:     127.0.0.1:34060 - "GET /a?q=1 HTTP/1.1" 418 I\'m a Teapot',
    '2026-11-21 18:02:32,070 INFO:     [::1]:34474 - "POST /api/chat HTTP/1.1" 200',
])  # fmt: skip
def test_access_line_is_read_with_and_without_a_time(line: str) -> None:
    batch = pl.DataFrame({"line": [1], "offset": [0], "length": [len(line)], "text": [line.encode()]})
    one = parse_source(Kernel(), Plan(Marks(formats())), [conform(batch)]).result()
    assert one.events["kind"].to_list() == ["prompt.access"]
    assert (one.events["event_time"].null_count() == 0) is line.startswith("2026")
    assert "?" not in str(one.events["name"][0])


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
