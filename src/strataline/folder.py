"""A case as it lies in its folder, used without holding all of it in memory: export and queries."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import BinaryIO

import duckdb
import polars as pl
import pyarrow as pa

from strataline.case import MANIFEST, Case, read_manifest
from strataline.errors import CaseError, InputError
from strataline.event import TABLES
from strataline.export import query as answers, redacted
from strataline.export.page import Page
from strataline.export.sql import Tables, over
from strataline.export.targets import TARGETS, Exported, export as export_tables

FORMATS = (*TARGETS, "markdown")
"""What a case can be exported to."""


def export(
    case: str | os.PathLike[str],
    to: str,
    out: str | os.PathLike[str] | BinaryIO,
    requests: Sequence[str] | None = None,
    redact: Callable[[str, str], str] | None = None,
) -> Exported:
    """Export the events of a case, or of some of its requests.

    Args:
        case: its folder.
        to: one of `FORMATS`.
        out: a file that is written beside and renamed into place, or a binary file.
        requests: ids of requests, as `which` gives them; null for all events, tied to a request or not.
        redact: what redacts a text, given the name of its column or key (see `export.redacted`); null for as it is.

    Raises:
        CaseError: if the folder is no case, its tables cannot be read, or `to` is no target.
        InputError: if `out` cannot be written.
    """
    if to not in FORMATS:
        raise CaseError(f"no such target: {to}", hint=", ".join(FORMATS))
    folder = Path(case)
    _files(folder, ("events", "requests", "links"))
    with ExitStack() as stack:
        file = stack.enter_context(written(out))
        try:
            if redact is not None:
                folder = Path(stack.enter_context(TemporaryDirectory(prefix="strataline-")))
                shutil.copyfile(Path(case) / MANIFEST, folder / MANIFEST)
                redacted.copy(Path(case), folder, redact, requests)
            if to == "markdown":
                return Case.open(folder).export(to, file, requests)
            return export_tables(_files(folder, ("events", "requests", "links")), to, file, requests)
        except (duckdb.Error, pa.ArrowException, pl.exceptions.PolarsError) as problem:
            said = str(problem).partition("\n")[0]
            hint = "a case of another version: strataline reconstruct makes it anew"
            raise CaseError(f"cannot read the tables: {said}", path=str(case), hint=hint) from problem


def query(case: str | os.PathLike[str], sql: str, form: str, out: str | os.PathLike[str] | BinaryIO) -> int:
    """Write the result of one SELECT over the tables of a case; return how many rows.

    Args:
        case: its folder.
        sql: the query.
        form: csv, json (one object on each line) or parquet.
        out: as for `export`.

    Raises:
        CaseError: if the folder is no case, or the query is none, or cannot be answered.
        InputError: if `out` cannot be written.
    """
    with _asked(case) as tables:
        result = answers.ask(tables, sql)
        with written(out) as file:
            return answers.write(result, form, file)


def query_table(case: str | os.PathLike[str], sql: str, page: Page, limit: int) -> tuple[str, int]:
    """The first `limit` rows of the result, as a table for reading, and how many rows there are.

    Raises:
        CaseError: as `query`.
    """
    with _asked(case) as tables:
        return answers.table(answers.ask(tables, sql), page, limit)


@contextmanager
def _asked(case: str | os.PathLike[str]) -> Iterator[Tables]:
    files = _files(Path(case), tuple(table.name for table in TABLES))
    with ExitStack() as stack:
        try:
            # Aggregates without an order of their own come in the same order from one thread alone.
            tables = stack.enter_context(over(files, threads=1))
        except duckdb.Error as problem:
            said = str(problem).partition("\n")[0]
            raise CaseError(f"cannot read the tables: {said}", path=str(case)) from problem
        yield tables


def _files(folder: Path, names: tuple[str, ...]) -> dict[str, Path]:
    read_manifest(folder)
    files = {name: folder / f"{name}.parquet" for name in names}
    gone = [file for file in files.values() if not file.is_file()]
    if gone:
        raise CaseError("cannot read the table: it is not there", path=str(gone[0]))
    return files


@contextmanager
def written(out: str | os.PathLike[str] | BinaryIO) -> Iterator[BinaryIO]:
    """A file to write to: `out` itself, or one that takes the place of `out` once all is written.

    What is there keeps its mode, and a link to it stays one.

    Raises:
        InputError: if it cannot be written.
    """
    if not isinstance(out, (str, os.PathLike)):
        yield out
        return
    target = Path(out)
    try:
        place = target.resolve() if target.is_symlink() else target
        mode = place.stat().st_mode & 0o777 if place.exists() else 0o666 & ~_umask()
        with NamedTemporaryFile(dir=place.parent, prefix=f".{target.name}-", delete=False) as file:
            made = Path(file.name)
            try:
                yield file  # type: ignore[misc]
                file.close()
                made.chmod(mode)
                made.replace(place)
            finally:
                made.unlink(missing_ok=True)
    except OSError as problem:
        raise InputError(f"cannot be written: {problem.strerror or problem}", path=str(target)) from problem


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
