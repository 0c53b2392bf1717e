"""Where the CPU time of one reconstruction goes: each stage less those inside of it.

    python benchmarks/rivals/stages.py DATA [--formats DIR]

In one thread: Polars, Arrow and the parsing are told to use one, so that the process's CPU time is that of the stage at
hand. It prints one JSON object: stage → CPU-seconds, in the order of the way through the program.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

PLACES = (
    ("formats loaded", "reconstruct", "catalogue"),
    ("recognised", "parse.source", "recognise"),
    ("records hashed", "parse.source", "_hashes"),
    ("decoded, looked at", "parse.kernel", "Kernel.look"),
    ("formats told apart", "parse.source", "_told"),
    ("fields extracted", "parse.kernel", "Kernel.extract"),
    ("fields extracted", "parse.kernel", "Kernel.elements"),
    ("text lines matched", "parse.source", "match"),
    ("events filled", "parse.source", "fill"),
    ("times read", "parse.fill", "read_times"),
    ("texts hashed", "parse.fill", "text_hash"),
    ("batches, the rest", "parse.source", "_parse_batch"),
    ("narrowed, packed", "correlate.shelf", "Shelf.part"),
    ("event ids", "reconstruct", "identify"),
    ("correlation", "reconstruct", "correlate"),
    ("coverage", "reconstruct", "coverage"),
    ("rows unpacked, in order", "correlate.shelf", "Shelf.rows"),
    ("Parquet written", "export.parquet", "write"),
    ("files hashed", "evidence", "digest"),
    ("timeline.md", "case", "Case.markdown"),
)
"""Stage, module below ``strataline`` and function: the ways through the program, in their order."""

READ, REST, LOADED = "read, cut, SHA-256", "the rest", "program loaded"


class Watch:
    """CPU time by stage; a stage that begins inside of another stops that one."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._open = [REST]
        self._since = time.process_time()

    def _turn(self) -> None:
        now = time.process_time()
        self.spent[self._open[-1]] = self.spent.get(self._open[-1], 0.0) + now - self._since
        self._since = now

    def begin(self, stage: str) -> None:
        """From here on it is `stage`."""
        self._turn()
        self._open.append(stage)

    def end(self) -> None:
        """The stage before goes on."""
        self._turn()
        self._open.pop()

    def around(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """`work`, counted as `stage`."""

        @wraps(work)
        def watched(*args: Any, **named: Any) -> Any:
            self.begin(stage)
            try:
                return work(*args, **named)
            finally:
                self.end()

        return watched

    def over(self, stage: str, rows: Iterator[Any]) -> Iterator[Any]:
        """`rows`, the taking of each counted as `stage`."""
        while True:
            self.begin(stage)
            try:
                row = next(rows)
            except StopIteration:
                return
            finally:
                self.end()
            yield row


def watched(watch: Watch) -> None:
    """Put the watch around every stage of this process, and parse in its one thread."""
    for stage, module, name in PLACES:
        owner: Any = importlib.import_module(f"strataline.{module}")
        *path, last = name.split(".")
        for part in path:
            owner = getattr(owner, part)
        setattr(owner, last, watch.around(stage, getattr(owner, last)))
    whole: Any = importlib.import_module("strataline.reconstruct")
    source: Any = importlib.import_module("strataline.parse.source")
    told = whole._told  # noqa: SLF001
    whole._told = lambda *args: watch.over(READ, told(*args))  # noqa: SLF001
    source.Workers.submit = lambda _, work: source._at_once(work)  # noqa: SLF001


def main() -> None:
    """Reconstruct once, and print what each stage took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="logs")
    parser.add_argument("--formats", type=Path, action="append", default=[], help="folder of further formats")
    chosen = parser.parse_args()
    one = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1"}
    if any(os.environ.get(name) != value for name, value in one.items()):
        # They are read while Polars and Arrow are imported.
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **one})  # noqa: S606
    reconstruct = importlib.import_module("strataline").reconstruct
    importlib.import_module("strataline.cli")
    watch = Watch()
    watch.spent[LOADED] = time.process_time()
    watched(watch)
    with tempfile.TemporaryDirectory() as folder:
        case = reconstruct(chosen.data, formats=chosen.formats)
        case.write(Path(folder) / "case")
    watch.begin(REST)
    order = [LOADED, PLACES[0][0], READ, *dict.fromkeys(stage for stage, *_ in PLACES[1:]), REST]
    print(json.dumps({stage: round(watch.spent[stage], 3) for stage in order if stage in watch.spent}, indent=1))


if __name__ == "__main__":
    main()
