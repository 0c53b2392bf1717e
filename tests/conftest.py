"""How hard Hypothesis tries (``quick``; ``HYPOTHESIS_PROFILE=thorough`` before a release), what is installed to test
with, a browser, and tables to examine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, settings

import strataline
from strataline.event import TABLES
from strataline.examine import Affected, Facts, Texts

START = datetime(2026, 1, 1, 10, tzinfo=UTC)
SAMPLE = Path(__file__).resolve().parent.parent / "sample_logs" / "assist_incident"

# A slow machine is no defect: neither profile has a deadline, and drawing data may take its time.
slow_machine = [HealthCheck.too_slow]
settings.register_profile("quick", max_examples=50, derandomize=True, deadline=None, suppress_health_check=slow_machine)
settings.register_profile("thorough", max_examples=2000, deadline=None, suppress_health_check=slow_machine)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(scope="session")
def incident() -> Callable[..., strataline.Case]:
    """The sample incident, reconstructed once for all who ask for it alike; nobody may change it.

    ``incident()`` knows no zone of the one log that states none, ``incident(zoned=True)`` does, and
    ``incident(zoned=True, ids_alone=True)`` ties nothing by heuristics.
    """

    @cache
    def reconstructed(*, zoned: bool = False, ids_alone: bool = False) -> strataline.Case:
        return strataline.reconstruct(
            SAMPLE / "logs",
            formats=[SAMPLE / "formats"],
            zones={"*uvicorn.log*": "America/New_York"} if zoned else {},
            min_confidence=1 if ids_alone else 0.9,
        )

    return reconstructed


@pytest.fixture(scope="session")
def kept(request: pytest.FixtureRequest) -> Callable[..., Path]:
    """Make a folder in which commands have installed something, kept between runs: ``kept("name", command, …)``.

    A command is a list of words, in which ``{}`` is the folder. The test is skipped where one cannot be run.
    """

    def install(name: str, *commands: list[str]) -> Path:
        folder = Path(request.config.cache.mkdir(name))
        done = folder / "installed"
        if not done.is_file():
            for command in commands:
                words = [word.replace("{}", str(folder)) for word in command]
                try:
                    subprocess.run(words, check=True, capture_output=True, timeout=600)
                except (subprocess.SubprocessError, OSError) as problem:
                    said = (getattr(problem, "stderr", None) or b"")[-300:].decode(errors="replace")
                    pytest.skip(f"{name} could not be installed: {problem} {said}")
            done.touch()
        return folder

    return install


@pytest.fixture(scope="session")
def npm(kept: Callable[..., Path]) -> Callable[..., Path]:
    """Make a folder in which Node finds packages: ``npm("a@1", "b@2", "--omit=optional")``."""

    def install(*words: str) -> Path:
        command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", "{}"]
        return kept("npm-" + words[0], ["node", "--version"], [*command, *words])

    return install


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium: apt install chromium")
    driver = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install playwright")
    with driver.sync_playwright() as started:
        # A container often has no user namespace for Chromium's own sandbox.
        opened = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def facts() -> Callable[..., Facts]:
    """Make `Facts` of events given as dicts: ``facts({"layer": "model", "request": "r1", "at": 1.5}, …)``.

    ``at`` is the corrected time in seconds after 10:00, ``end`` the end likewise; ``attributes`` and ``parameters`` are
    dicts, ``documents`` a list of dicts. Each request that an event names is a turn. Further tables, `affected`,
    `declared` and `texts` by name.
    """
    return build_facts


def build_facts(
    *events: Mapping[str, Any],
    links: Iterable[Mapping[str, Any]] = (),
    clocks: Iterable[Mapping[str, Any]] = (),
    requests: Iterable[Mapping[str, Any]] = (),
    affected: Affected | None = None,
    declared: Mapping[str, object] | None = None,
    texts: Mapping[str, Texts] | None = None,
    **tables: Iterable[Mapping[str, Any]],
) -> Facts:
    rows: list[dict[str, Any]] = []
    for n, event in enumerate(events):
        row: dict[str, Any] = {
            "event_id": f"e{n}",
            "source": "a.jsonl",
            "line": n + 1,
            "offset": 100 * n,
            "item": 0,
            "index": 0,
        }
        row |= {"clock": "c", "clock_offset": 0, "address": "bytes", "time_kind": "write", **event}
        at, end = row.pop("at", None), row.pop("end", None)
        if at is not None:
            row["event_time"] = row["corrected_time"] = START + timedelta(seconds=at)
        if end is not None:
            row["end_time"] = START + timedelta(seconds=end)
        if row.get("request") is not None:
            row = {"link_method": "id", "link_confidence": 1.0, "seq": n, **row}
        for name in ("attributes", "parameters"):
            if isinstance(row.get(name), dict):
                row[name] = [{"key": key, "value": value} for key, value in row[name].items()]
        rows.append(row)
    named: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.get("request") is not None:
            named.setdefault(row["request"], row)
    given = {row["request"]: row for row in requests}
    turns = [
        {"request": name, "kind": "turn", "start_time": row.get("corrected_time"), "session": row.get("session")}
        | {"user": row.get("user"), "tenant": row.get("tenant")}
        | dict(given.get(name, {}))
        for name, row in {**{name: {} for name in given}, **named}.items()
    ]
    slices = list(clocks) or [
        {"clock": clock, "slice": 0, "offset_ns": 0, "lower_ns": 0, "upper_ns": 0, "basis": "reference"}
        for clock in sorted({row["clock"] for row in rows if row["clock"] is not None})
    ]
    made: dict[str, Any] = {"events": rows, "requests": turns, "links": list(links), "clocks": slices}
    made |= {name: list(rows_) for name, rows_ in tables.items()}
    frames = {
        table.name: table.conform(
            pl.from_dicts(made.get(table.name, []), schema_overrides=table.schema, infer_schema_length=None)
        )
        if made.get(table.name)
        else table.empty()
        for table in TABLES
    }
    of = None if texts is None else (lambda wanted: {name: texts[name] for name in wanted if name in texts})
    return Facts(frames, affected, declared or {}, of)
