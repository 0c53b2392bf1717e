"""Whether a format keeps its promise: its sample is recognised, accounted for, and gives the rows that it is said to.

A format ``<name>.py`` lies beside a folder ``<name>/`` (the shipped ones: ``sample_logs/formats/<name>/``) that holds a
log or several, and ``expected.jsonl``: one row per event, short enough to be read.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from strataline.errors import FormatError, InputError
from strataline.event import LAYERS, OUTCOMES, TIME_KINDS, VERDICTS
from strataline.format import Format
from strataline.parse import Kernel, Marks, Parsed, Plan, catalogue, described, load, parse_source, recognise, score
from strataline.parse.draft_code import NAME, draft_code
from strataline.parse.guess import Draft, draft_lines, draft_objects, settle_lines, settle_objects
from strataline.parse.kernel import OBJECT
from strataline.parse.recognise import FEW_OBJECTS
from strataline.parse.source import LOOKED_BYTES, LOOKED_RECORDS
from strataline.read import Input, Options, Source, at, find_inputs, read

EXPECTED = "expected.jsonl"

NOT_COMPARED = {
    "event_id", "source", "address", "offset", "length", "record_hash", "format", "format_confidence", "time_precision",
    "input_hash", "output_hash",
}  # fmt: skip
"""Columns that the kernel sets alike for every format."""

SHORT = 60
"""Characters of an excerpt that a row shows."""

KIND = r"^[a-z]+\.[a-z_]+$"

SAMPLED = 25
"""Records of a log that a drafted format's sample holds."""

LARGEST = 16 << 20
"""Bytes of the largest file that becomes a sample whole."""

LINEWISE = ("lines", "csv", "sse")
"""Containers of which a beginning is one too."""

COMPRESSED = (".gz", ".zst", ".bz2", ".xz", ".lz4")


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


@dataclass(frozen=True)
class Drafted:
    """A format file that was drafted, and what was written beside it.

    Args:
        name: the format's name.
        file: the format file.
        sample: the log beside it.
        rows: how many rows its ``expected.jsonl`` has.
        reasons: what was guessed, and from what.
        complaints: what the format does not keep yet.
    """

    name: str
    layer: str
    container: str
    file: Path
    sample: Path
    rows: int
    reasons: dict[str, str]
    complaints: list[Complaint]


def check_folder(folder: Path) -> Iterator[tuple[str, list[Complaint]]]:
    """Check every format in `folder`, each against the sample beside it.

    Returns:
        Per format file its name, and what is wrong with it.

    Raises:
        FormatError: if the folder holds no format file.
    """
    files = _format_files(folder)
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
                problem.hint or "docs/writing-formats.md describes a format file",
            )
    known = {name: fmt for name, fmt in catalogue().items() if name not in loaded}
    for file in files:
        if file.stem in broken:
            yield file.stem, [broken[file.stem]]
        else:
            # The others of the folder are there in use too.
            yield file.stem, check(loaded[file.stem], folder / file.stem, known | loaded)


def rewrite(folder: Path) -> Iterator[tuple[str, int]]:
    """Write ``expected.jsonl`` anew for every format in `folder` that has a sample.

    Returns:
        Per format its name, and how many rows there are.

    Raises:
        FormatError: if the folder holds no format file, or one that cannot be loaded.
        InputError: if a sample cannot be read.
    """
    loaded = {file.stem: load(file) for file in _format_files(folder)}
    marks = Marks({name: fmt for name, fmt in catalogue().items() if name not in loaded} | loaded)
    for name in loaded:
        logs = sample_logs(folder / name)
        if logs:
            rows = [row for log in logs for row in brief_rows(parse(marks, log, name), log)]
            (folder / name / EXPECTED).write_text(written(rows), encoding="utf-8")
            yield name, len(rows)


def _format_files(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.glob("*.py") if not file.name.startswith(("_", ".")))
    if not files:
        hint = "strataline new-format SAMPLE -o DIR drafts one"
        raise FormatError("holds no format file", path=str(folder), hint=hint)
    return files


def draft_format(
    sample: Path, folder: Path, *, layer: str | None = None, name: str | None = None, force: bool = False
) -> Drafted:
    """Draft a format from a log that no format describes, with its sample and expectation, in `folder`.

    Args:
        sample: the log.
        folder: where the format file is to lie; made if it is not there.
        layer: the layer of its events, if it is known.
        name: what the format is called; by default as the log.
        force: draft it though a format describes the log.

    Raises:
        InputError: if the log cannot be read.
        FormatError: if a format describes it, its records tell nothing, or there are such files already.
    """
    known = catalogue()
    name = _free_name(name, sample, known)
    for there in (folder / f"{name}.py", folder / name):
        if there.exists():
            raise FormatError("is there already", path=str(there), hint="--name gives the format another name")
    kernel, marks = Kernel(), Marks(known)
    options = Options(described=lambda text: described(kernel, marks, text))
    one, source, records = _beginning(sample, options)
    told = recognise(kernel, marks, records["text"])
    if told is not None and not force:
        hint = "--force drafts one anyway"
        raise FormatError(f"the format {told.format.name} describes this log already", path=str(sample), hint=hint)
    draft = _draft(kernel, marks, records["text"], layer, forced=told is not None)
    if draft is None:
        hint = "docs/writing-formats.md shows how a format is written by hand"
        raise FormatError("its records tell neither a time nor an id", path=str(sample), hint=hint)
    folder.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".new-format-", dir=folder))
    try:
        (made / name).mkdir()
        log = made / name / _sample_name(sample, source)
        _write_sample(log, sample, one, source, records, options)
        file = made / f"{name}.py"
        file.write_text(draft_code(draft, name, "the records of a log"), encoding="utf-8")
        parsed = parse(Marks(known | {name: load(file)}), log, name)
        if (parsed.events["zone_basis"] == "assumed").any():
            file.write_text(draft_code(draft, name, "the records of a log", zone_wanted=True), encoding="utf-8")
        rows = brief_rows(parsed, log)
        (made / name / EXPECTED).write_text(written(rows), encoding="utf-8")
        fmt = load(file)
        complaints = check(fmt, made / name, known | {name: fmt})
        # Of two that draft at once the second finds the folder taken.
        (made / name).rename(folder / name)
        file.rename(folder / file.name)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return Drafted(
        name,
        draft.layer,
        draft.container,
        folder / f"{name}.py",
        folder / name / log.name,
        len(rows),
        draft.reasons,
        complaints,
    )


def _free_name(name: str | None, sample: Path, known: dict[str, Format]) -> str:
    """What the format is called."""
    if name is None:
        stem = re.sub(r"[^a-z0-9]+", "_", sample.name.partition(".")[0].lower()).strip("_")[:60]
        name = stem if NAME.fullmatch(stem) else f"log_{stem}".rstrip("_")
        name = f"{name}_log" if name in known else name
    if not NAME.fullmatch(name):
        raise FormatError(
            f"a format cannot be called {name!r}", hint="lower case letters, digits and _, a letter first"
        )
    if name in known:
        raise FormatError(f"there is a format called {name} already", hint="--name gives this one another name")
    return name


def _beginning(sample: Path, options: Options) -> tuple[Input, Source, pl.DataFrame]:
    """The input, its one source, and its first records."""
    found = find_inputs([sample]).inputs
    if len(found) != 1:
        raise InputError("one log is needed", path=str(sample), hint="name a single file")
    for source in read(found[0], options):
        frames, rows = [], 0
        for batch in source.batches:
            frames.append(batch.records)
            rows += batch.records.height
            if rows >= LOOKED_RECORDS or (batch.records["offset"] >= LOOKED_BYTES).any():
                break
        if source.reading.problem is not None:
            raise InputError(source.reading.problem, path=str(sample))
        if source.one.inside or source.reading.container in ("tar", "zip", "sqlite"):
            hint = "take one log out of it, and name that"
            raise InputError("holds several logs", path=str(sample), hint=hint)
        records = pl.concat(frames).filter(pl.col("fault").is_null()) if frames else pl.DataFrame()
        if records.height:
            return found[0], source, records
    raise InputError("holds no record", path=str(sample))


def _draft(kernel: Kernel, marks: Marks, text: pl.Series, layer: str | None, *, forced: bool) -> Draft | None:
    """A draft with marks of its own; null if the records tell nothing."""
    look = kernel.look(text.drop_nulls())
    objects = look.filter(pl.col("type") == OBJECT)["s"]
    if objects.len() >= FEW_OBJECTS * look.height:
        draft = draft_objects(objects.to_list(), layer)
        if draft is not None:
            shares = score(kernel, marks, text) if forced else {}
            rivals = [marks.formats[one].recognise.specificity for one, share in shares.items() if share]
            settle_objects(draft, objects.to_list(), beyond=max(rivals, default=0))
        return draft
    lines = look.filter(pl.col("type").is_null())["s"].drop_nulls()
    plain = lines.filter(lines.str.contains(r"\S"))
    draft = draft_lines(plain.to_list(), layer)
    if draft is not None:
        settle_lines(draft, plain.to_list())
    return draft


def _sample_name(sample: Path, source: Source) -> str:
    """The log's own name, without what says that it is compressed if its beginning is kept as text."""
    name = sample.name
    if source.reading.container in LINEWISE and source.reading.compression is not None:
        name = next((name.removesuffix(one) for one in COMPRESSED if name.endswith(one)), name)
    return f"log_{name}" if name == EXPECTED or name.startswith(".") else name


def _write_sample(log: Path, sample: Path, one: Input, source: Source, records: pl.DataFrame, options: Options) -> None:
    """Write the first `SAMPLED` records as they lie there; all of a file of which a part would be none."""
    if source.reading.container in LINEWISE:
        begins = records["offset"].unique().sort()
        end = int(begins[SAMPLED]) if len(begins) > SAMPLED else source.reading.stream_bytes
        log.write_bytes(at(one, [(0, end)], options)[0])
        return
    if sample.stat().st_size > LARGEST:
        hint = "its records are no lines: cut a small file out of it by hand, and draft from that"
        raise InputError(f"more than {LARGEST >> 20} MiB", path=str(sample), hint=hint)
    shutil.copyfile(sample, log)


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
        try:
            parsed = parse(marks, log, fmt.name)
        except InputError as problem:
            found.append(_unread(log, problem.message))
            continue
        except Exception as problem:  # noqa: BLE001 - a format is its author's code: whatever it raises is theirs
            found.append(_broken(log, problem))
            continue
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
    plan = Plan(marks, folder=folder)
    every = [
        parse_source(kernel, plan, (batch.records for batch in source.batches)).result()
        for source in read(Input(log.name, log), options)
    ]
    held = [one for one in every if one.records] or every[:1]
    if len(held) == 1:
        return held[0]
    # The tables of a database, the members of an archive: what they hold together.
    return replace(
        max(held, key=lambda one: one.records),
        events=pl.concat([one.events for one in held]),
        rejects=pl.concat([one.rejects for one in held]),
        notes=[note for one in held for note in one.notes],
        records=sum(one.records for one in held),
        with_events=sum(one.with_events for one in held),
        skipped=sum(one.skipped for one in held),
        recovered=sum(one.recovered for one in held),
    )


def _unread(log: Path, why: str) -> Complaint:
    return Complaint(
        "the sample can be read", why, log.name, "nothing of it can be checked", "mend or replace the file"
    )


def _broken(log: Path, problem: Exception) -> Complaint:
    """What a format's own code raised on its sample."""
    last = traceback.extract_tb(problem.__traceback__)[-1]
    return Complaint(
        "the format reads its sample",
        f"{type(problem).__name__}: {problem}"[:300],
        f"{Path(last.filename).name}:{last.lineno}: {last.line}",
        f"a record of {log.name} stops the whole run",
        "an expression or `reshape` takes records as they come: absent keys, other types, other words",
    )


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
    elif mine.is_empty() and recognised.format.name == fmt.name and parsed.rejected:
        first = parsed.rejects.sort("offset", "item").row(0, named=True)
        yield Complaint(
            "the format reads its sample",
            f"all of its records are rejected, the first as {first['reason']}: {first['detail']}"[:300],
            _first(log, first["line"] or 1),
            "no event of such a log would be in the timeline",
            "an expression or `reshape` takes records as they come: absent keys, other types, other words",
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
            "build a form that docs/writing-formats.md lists under Times, or name the unit: Time(field, 'ms')",
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
        # Not `splitlines`: a text may hold characters that end a line for Python, and not for JSON.
        wanted = [json.loads(line) for line in expected.read_text(encoding="utf-8").split("\n") if line]
        if not all(isinstance(one, dict) for one in wanted):
            raise ValueError("a line is no object")  # noqa: TRY301 - the same complaint
    except (OSError, ValueError) as problem:
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
