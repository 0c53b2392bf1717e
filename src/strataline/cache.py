"""What parsing made of an input, kept for the next time the same bytes are read in the same way.

An entry is a folder named by a key: SHA-256 over the input's digest and name, every option that reading and parsing
look at, every format's file, the program's own files, and the versions of what it reads with. It holds the events and
rejects of each source, and one JSON file with the rest and the digests of the others. Nothing is believed of an entry
whose digests are not right: the input is read again. Correlation is never kept. A cache holds what a case holds,
excerpts of texts among it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from strataline.errors import InputError
from strataline.event import EVENTS, REJECTS
from strataline.export import parquet
from strataline.format import Format
from strataline.parse import Figures, Parsed, Recognised
from strataline.parse.source import Note
from strataline.read import Input, Reading

FORM = 1
"""Counts up when what an entry holds changes."""

_ENTRY = "entry.json"
# Whatever takes part in what a record becomes: times, patterns and numbers too.
_PACKAGES = ("polars", "duckdb", "pyarrow", "numpy", "msgspec", "python-dateutil", "regex", "tzdata")
_PARSED = ("records", "with_events", "skipped", "recovered")


@dataclass(frozen=True)
class Kept:
    """One source of an input, as it was when it had been parsed."""

    one: Input
    within: str | None
    reading: Reading
    parsed: Parsed


class Cache:
    """Entries in a folder, which is made if it is not there.

    Args:
        folder: where they lie.

    Attributes:
        damaged: names of inputs whose entry was there and not right, and that were read again.
        found: how many inputs were not read because their entry was there.

    Raises:
        InputError: if the folder cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.damaged: list[str] = []
        self.found = 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise InputError(f"cannot be made: {problem.strerror or problem}", path=str(folder)) from problem

    def key(self, one: Input, settings: Mapping[str, Any]) -> tuple[str, str] | None:
        """The key of an input under `settings`, and its SHA-256; null where it is no local file that can be read."""
        if one.path is None:
            return None
        try:
            digest = _digest(one.path)
        except OSError:
            return None
        versions = {name: version(name) for name in _PACKAGES} | {"python": platform.python_version()}
        versions["strataline"] = code(Path(__file__).parent)
        said = {"form": FORM, "source": one.source, "digest": digest, "versions": versions, **settings}
        # Of globs the last that fits counts: their order is part of what was asked for.
        return hashlib.sha256(json.dumps(said).encode()).hexdigest(), digest

    def load(
        self, key: str, one: Input, known: Mapping[str, Format], keep: Callable[[pl.DataFrame], Any]
    ) -> list[Kept] | None:
        """The sources of `one`; null where there is no entry, or none that is right.

        Args:
            key: its key.
            one: the input.
            known: the catalogue.
            keep: makes of events what a source's ``kept`` holds.
        """
        entry = self.folder / key
        if not entry.is_dir():
            return None
        try:
            kept = list(_loaded(entry, one, known, keep))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, pl.exceptions.PolarsError):
            self.damaged.append(one.source)
            return None
        self.found += 1
        return kept

    def keep(self, key: str, digest: str, sources: Sequence[Kept], known: Mapping[str, Format]) -> None:
        """Keep the sources of one input, if they can be had again from this alone.

        Not of a database, beside which another file may lie that changes it; not where a format was drafted from the
        records; not of a file that changed while it was read. What cannot be written is not kept.
        """
        top = next((one for one in sources if one.within is None), None)
        if top is None or top.reading.digest != digest or any(not _whole(one, known) for one in sources):
            return
        # A folder that cannot be written costs the next run time, and this one nothing.
        with suppress(OSError), tempfile.TemporaryDirectory(prefix=".new-", dir=self.folder) as beside:
            made = Path(beside) / "made"
            made.mkdir()
            files: dict[str, str] = {}
            for number, one in enumerate(sources):
                for table, frames in (
                    (EVENTS, (part.events() for part in one.parsed.kept)),
                    (REJECTS, [one.parsed.rejects]),
                ):
                    file = made / f"{number}.{table.name}.parquet"
                    parquet.write(table, frames, file)
                    files[file.name] = _digest(file)
            body = json.dumps({"files": files, "sources": [_told(one) for one in sources]})
            whole = json.dumps({"digest": hashlib.sha256(body.encode()).hexdigest(), "body": body})
            (made / _ENTRY).write_text(whole, encoding="ascii")
            shutil.rmtree(self.folder / key, ignore_errors=True)
            made.rename(self.folder / key)


@lru_cache(maxsize=1)
def code(package: Path) -> str:
    """SHA-256 over the files of a package: between two versions the number is the same, and the program may not be."""
    files = sorted(one for one in package.rglob("*") if one.suffix != ".pyc" and one.is_file())
    named = [(one.relative_to(package).as_posix(), _digest(one)) for one in files]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()


def _whole(one: Kept, known: Mapping[str, Format]) -> bool:
    recognised = one.parsed.recognised
    formats = one.parsed.figures.formats
    there = recognised is None or known.get(recognised.format.name) is recognised.format
    return there and one.reading.container != "sqlite" and all(name in known for name in formats) and not _guessed(one)


def _guessed(one: Kept) -> bool:
    return any(note.topic == "guessed" for note in one.parsed.notes)


def _told(one: Kept) -> dict[str, Any]:
    """What of a source is no table."""
    reading, parsed, recognised = asdict(one.reading), one.parsed, one.parsed.recognised
    # Bytes that an encoding was guessed from, and are not asked for again.
    del reading["doubtful"]
    return {
        "source": one.one.source,
        "inside": one.one.inside,
        "within": one.within,
        "reading": reading,
        "parsed": {name: getattr(parsed, name) for name in _PARSED},
        "notes": [asdict(note) for note in parsed.notes],
        "recognised": None
        if recognised is None
        else {
            "format": recognised.format.name,
            "confidence": recognised.confidence,
            "shares": dict(recognised.shares),
            "ties": recognised.ties,
            "runner_up": recognised.runner_up,
            "runner_up_share": recognised.runner_up_share,
            "forced": recognised.forced,
            "guessed": recognised.guessed,
        },
    }


def _loaded(
    entry: Path, one: Input, known: Mapping[str, Format], keep: Callable[[pl.DataFrame], Any]
) -> Iterable[Kept]:
    whole = json.loads((entry / _ENTRY).read_bytes())
    if hashlib.sha256(whole["body"].encode()).hexdigest() != whole["digest"]:
        raise ValueError(_ENTRY)
    body = json.loads(whole["body"])
    for name, digest in body["files"].items():
        if _digest(entry / name) != digest:
            raise ValueError(name)
    for number, told in enumerate(body["sources"]):
        said, reading = told["recognised"], dict(told["reading"])
        reading["envelopes"] = tuple(reading["envelopes"])
        reading["notes"] = [(topic, detail, count) for topic, detail, count in reading["notes"]]
        recognised = (
            None
            if said is None
            else Recognised(**{**said, "format": known[said["format"]], "ties": tuple(said["ties"])})
        )
        rejects = parquet.read(REJECTS, entry / f"{number}.rejects.parquet")
        notes = [Note(**note) for note in told["notes"]]
        parsed = Parsed(rejects=rejects, notes=notes, recognised=recognised, **told["parsed"])
        for events in parquet.parts(EVENTS, entry / f"{number}.events.parquet"):
            parsed.figures.take(Figures.of(events))
            parsed.kept.append(keep(events))
        place = replace(one, source=told["source"], inside=tuple(told["inside"]))
        yield Kept(place, told["within"], Reading(**reading), parsed)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
