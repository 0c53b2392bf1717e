"""Whether a format keeps its promise: its sample is recognised, accounted for, and gives the rows that it is said to.

A format ``<name>.py`` lies beside a folder ``<name>/`` (the shipped ones: ``sample_logs/formats/<name>/``) that holds a
log or several, and ``expected.jsonl``: one row per event, short enough to be read.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from strataline.errors import FormatError
from strataline.event import LAYERS, OUTCOMES, TIME_KINDS, VERDICTS
from strataline.format import Format
from strataline.parse import Kernel, Marks, Parsed, Plan, catalogue, described, load, parse_source
from strataline.read import Input, Options, read

EXPECTED = "expected.jsonl"

NOT_COMPARED = {
    "event_id", "source", "address", "offset", "length", "record_hash", "format", "format_confidence", "time_precision",
    "input_hash", "output_hash",
}  # fmt: skip
"""Columns that the kernel sets alike for every format."""

SHORT = 60
"""Characters of an excerpt that a row shows."""

KIND = r"^[a-z]+\.[a-z_]+$"


@dataclass(frozen=True)
class Complaint:
    """What is wrong with a format, in five parts.

    Args:
        what: the promise that is not kept.
        reason: what was found instead.
        snippet: the place, as it stands there; null where there is none.
        note: what follows from it.
        help: what to do.
    """

    what: str
    reason: str
    snippet: str | None
    note: str
    help: str


def check_folder(folder: Path) -> Iterator[tuple[str, list[Complaint]]]:
    """Check every format in `folder`, each against the sample beside it.

    Returns:
        Per format file its name, and what is wrong with it.

    Raises:
        FormatError: if the folder holds no format file.
    """
    files = sorted(file for file in folder.glob("*.py") if not file.name.startswith(("_", ".")))
    if not files:
        hint = "strataline new-format SAMPLE -o DIR drafts one"
        raise FormatError("holds no format file", path=str(folder), hint=hint)
    loaded: dict[str, Format] = {}
    broken: dict[str, Complaint] = {}
    for file in files:
        try:
            loaded[file.stem] = load(file)
        except FormatError as problem:
            broken[file.stem] = Complaint(
                "the file is a format",
                problem.message,
                str(file.name),
                "nothing of it can be checked",
                problem.hint or "docs/formats.md describes a format file",
            )
    known = {name: fmt for name, fmt in catalogue().items() if name not in loaded}
    for file in files:
        if file.stem in broken:
            yield file.stem, [broken[file.stem]]
        else:
            # The others of the folder are there in use too.
            yield file.stem, check(loaded[file.stem], folder / file.stem, known | loaded)


def check(fmt: Format, samples: Path, known: dict[str, Format]) -> list[Complaint]:
    """Check `fmt` against the sample in `samples`, among the formats `known`."""
    logs = sample_logs(samples)
    if not logs:
        return [
            Complaint(
                "a sample shows the format",
                f"there is no log in {samples.name}/",
                None,
                "what the format reads cannot be told, and a change to it breaks unseen",
                f"put 10 to 30 real records there, named as the real file is, with {EXPECTED} beside them",
            )
        ]
    marks = Marks(known)
    found: list[Complaint] = []
    rows = []
    # What lies in a container is told by the formats of its items.
    tellers = {fmt.name} | {name for name, one in known.items() if one.of is not None and one.of == fmt.items}
    for log in logs:
        parsed = parse(marks, log, fmt.name)
        mine = parsed.events.filter(pl.col("format").is_in(list(tellers)))
        found += _recognition(fmt, log, parsed, mine)
        found += _records(log, parsed, mine)
        found += _columns(log, mine.filter(pl.col("kind") != "log.other"))
        rows += brief_rows(parsed, log)
    return found + _compare(samples / EXPECTED, rows)


def sample_logs(samples: Path) -> list[Path]:
    """The logs of a sample, by name."""
    if not samples.is_dir():
        return []
    return sorted(file for file in samples.iterdir() if file.is_file() and file.name != EXPECTED)


def parse(marks: Marks, log: Path, folder: str) -> Parsed:
    """What becomes of the log, read alone."""
    kernel = Kernel()
    options = Options(described=lambda text: described(kernel, marks, text))
    (source,) = read(Input(log.name, log), options)
    return parse_source(kernel, Plan(marks, folder=folder), (batch.records for batch in source.batches)).result()


def brief_rows(parsed: Parsed, log: Path) -> list[dict[str, Any]]:
    """One short row per event of a log, in its order."""
    events = parsed.events.sort("offset", "item", "index")
    return [{"log": log.name} | brief(row) for row in events.to_dicts()]


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


def written(rows: Sequence[dict[str, Any]]) -> str:
    """The text of an ``expected.jsonl``."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _recognition(fmt: Format, log: Path, parsed: Parsed, mine: pl.DataFrame) -> Iterator[Complaint]:
    """The log is recognised as this format, and by no other that is as specific."""
    recognised = parsed.recognised
    if recognised is None or (mine.is_empty() and recognised.guessed):
        yield Complaint(
            "the sample is recognised as its format",
            "too few of its records carry any format's marks",
            _first(log),
            "the log would be read by guesses, or not at all",
            f"strataline recognise {log.name} --explain 1 says which mark the first line lacks",
        )
    elif mine.is_empty():
        yield Complaint(
            "the sample is recognised as its format",
            f"its records are read as {', '.join(recognised.shares)}",
            _first(log),
            "of the formats whose marks a record carries the most specific is taken",
            "add marks that only these records carry: Recognise(keys, any_of, where)",
        )
    elif recognised.format.name == fmt.name and recognised.ties:
        yield Complaint(
            "no other format claims the sample",
            f"{', '.join(recognised.ties)} fits as well, and is as specific",
            _first(log),
            "which of them is taken depends on their names",
            "add a mark that only these records carry",
        )


def _records(log: Path, parsed: Parsed, mine: pl.DataFrame) -> Iterator[Complaint]:
    """Every record is an event, a reject or a skip; and most are events that the format describes."""
    if parsed.records != parsed.with_events + parsed.rejected + parsed.skipped:
        yield Complaint(
            "every record is accounted for",
            f"{parsed.records} records, {parsed.with_events} with events, {parsed.rejected} rejected, "
            f"{parsed.skipped} skipped",
            log.name,
            "a record was lost or counted twice",
            "this is a fault of strataline, not of the format: please report it with the sample",
        )
    other = mine.filter(pl.col("kind") == "log.other")
    if other.height and other.height == mine.height:
        line = other["line"].drop_nulls()
        yield Complaint(
            "the format's events are found",
            f"all {other.height} records become log.other",
            _first(log, int(line[0]) if len(line) else 1),
            "no event's `when` holds, or `explode` and `reshape` find no elements",
            "look at the fields that `when` reads: a path that leads nowhere is null",
        )


def _columns(log: Path, events: pl.DataFrame) -> Iterator[Complaint]:
    """Words are this project's, and what is declared as a time can be read as one."""
    kinds = events.filter(~pl.col("kind").str.contains(KIND).fill_null(value=False))
    known = {"layer": LAYERS, "outcome": OUTCOMES, "verdict": VERDICTS, "time_kind": (*TIME_KINDS, "envelope")}
    wrong = [("kind", kinds["kind"].drop_nulls().unique().sort().to_list())] if kinds.height else []
    for column, words in known.items():
        strange = sorted(set(events[column].drop_nulls()) - set(words))
        wrong += [(column, strange)] if strange else []
    for column, strange in wrong:
        yield Complaint(
            f"`{column}` holds this project's words",
            f"it holds {', '.join(strange) or 'nothing'}",
            log.name,
            "checks and reports compare these words",
            f"one of {', '.join(known.get(column, ('dotted words: model.call',)))}; `words` translates",
        )
    if events.filter((pl.col("kind") == "policy.decision") & pl.col("verdict").is_null()).height:
        yield Complaint(
            "every decision has a verdict",
            "a policy.decision has none",
            log.name,
            "a missing verdict is not an allow, and must not look like one",
            "fill it: unknown, or not_evaluated where the record says so",
        )
    # A time that states no year is none, and is kept as written.
    unread = events.filter(
        pl.col("time_raw").str.contains(r"\d{4}") & pl.col("event_time").is_null() & (pl.col("time_kind") != "relative")
    )
    if unread.height and unread.height == events["time_raw"].drop_nulls().len():
        yield Complaint(
            "times can be read",
            f"none of {unread.height} could, for example {unread['time_raw'][0]!r}",
            log.name,
            "its events have no place in a timeline but that of their wrapper",
            "build a form that docs/formats.md lists under Times, or name the unit: Time(field, 'ms')",
        )


def _compare(expected: Path, rows: Sequence[dict[str, Any]]) -> list[Complaint]:
    """The rows are those of ``expected.jsonl``."""
    if not expected.is_file():
        return [
            Complaint(
                "the rows are as expected",
                f"there is no {EXPECTED}",
                None,
                "a change to the format would go unseen",
                "strataline check-format DIR --write writes it: read every row before you keep it",
            )
        ]
    try:
        wanted = [json.loads(line) for line in expected.read_text(encoding="utf-8").splitlines()]
    except ValueError as problem:
        reason = f"{EXPECTED} is no JSON lines: {problem}"
        return [
            Complaint("the rows are as expected", reason, None, "nothing can be compared", "write it anew: --write")
        ]
    for number, (one, other) in enumerate(zip(rows, wanted, strict=False), start=1):
        if one != other:
            differing = [key for key in dict.fromkeys([*one, *other]) if one.get(key) != other.get(key)]
            shown = [f"{key}: {other.get(key)!r} expected, {one.get(key)!r} found" for key in differing[:4]]
            return [
                Complaint(
                    "the rows are as expected",
                    f"row {number} differs in {', '.join(differing)}",
                    "\n".join(shown),
                    "either the format changed what it says, or the expectation was wrong",
                    "mend the format, or write the expectation anew (--write) and read every row",
                )
            ]
    if len(rows) != len(wanted):
        return [
            Complaint(
                "the rows are as expected",
                f"{len(wanted)} rows expected, {len(rows)} found",
                None,
                "events appeared or went",
                "mend the format, or write the expectation anew (--write) and read every row",
            )
        ]
    return []


def _first(log: Path, line: int = 1) -> str | None:
    """A line of the log, cut short."""
    with log.open("rb") as file:
        for number, text in enumerate(file, start=1):
            if number == line:
                return f"{log.name}:{line}: {text[:160].decode('utf-8', 'backslashreplace').rstrip()}"
    return None
