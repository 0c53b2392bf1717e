"""The formats that are there: a listing of folders, never a side effect of an import."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from pathlib import Path

import regex

from strataline.errors import FormatError
from strataline.format import Format

SHIPPED = "strataline.parsers"
GROUP = "strataline.formats"


def catalogue(folders: Iterable[Path] = ()) -> dict[str, Format]:
    """All formats: shipped, installed (entry points of the group ``strataline.formats``), the user's own, in `folders`.

    The user's own lie in ``~/.config/strataline/formats`` (``XDG_CONFIG_HOME`` is honoured). No format hides another:
    two of one name are an error, wherever they lie.

    Loading a format runs its file: only give folders that you trust.

    Returns:
        Formats by name, in order of name.

    Raises:
        FormatError: if a file holds no format, or two files hold formats of one name.
    """
    where: dict[str, Path] = {}
    found: dict[str, Format] = {}
    for folder in _folders(folders):
        for file in _listed(folder):
            state = file.stat()
            one = _loaded(file, state.st_mtime_ns, state.st_size)
            if one.name in found and where[one.name].resolve() != file.resolve():
                hint = f"the other one is {where[one.name]}; rename one of them"
                raise FormatError(f"a second format called {one.name}", path=str(file), hint=hint)
            found[one.name], where[one.name] = one, file
    return dict(sorted(found.items()))


def digests(folders: Iterable[Path] = ()) -> dict[str, str]:
    """SHA-256 of each format's file, by the format's name: which text a case was made with."""
    every = [file for folder in _folders(folders) for file in _listed(folder)]
    return {file.stem: hashlib.sha256(file.read_bytes()).hexdigest() for file in every}


@lru_cache(maxsize=1024)
def _loaded(file: Path, changed_ns: int, size: int) -> Format:  # noqa: ARG001 - a file that changed is loaded anew
    """`load`, once for each state of a file: a process that reconstructs often would load hundreds each time."""
    return load(file)


def load(file: Path) -> Format:
    """The format that `file` ends in.

    Raises:
        FormatError: if the file does not run, or holds no ``FORMAT`` of its own name.
    """
    try:
        text = file.read_bytes()
    except OSError as problem:
        raise FormatError(f"cannot be read: {problem.strerror or problem}", path=str(file)) from problem
    if b"FORMAT" not in text:
        # A folder of programs that was named by mistake is not run.
        raise FormatError("holds no FORMAT", path=str(file), hint="end the file in FORMAT = Format(...)")
    spec = importlib.util.spec_from_file_location(f"_strataline_format_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise FormatError("not a Python file", path=str(file))
    module = importlib.util.module_from_spec(spec)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    except FormatError as problem:
        raise FormatError(problem.message, path=str(file), hint=problem.hint) from problem
    except (Exception, SystemExit) as problem:  # a format file is its author's code: whatever it raises is theirs
        hint = f"python {file.name} shows where; docs/writing-formats.md describes a format file"
        raise FormatError(f"does not run: {type(problem).__name__}: {problem}", path=str(file), hint=hint) from problem
    finally:
        sys.dont_write_bytecode = written
    one = getattr(module, "FORMAT", None)
    if not isinstance(one, Format):
        raise FormatError("holds no FORMAT", path=str(file), hint="end the file in FORMAT = Format(...)")
    for pattern in (one.pattern, one.begins):
        try:
            regex.compile(pattern or "")
        except regex.error as problem:
            raise FormatError(f"its pattern does not compile: {problem}", path=str(file)) from problem
    if one.name != file.stem:
        raise FormatError(f"its format is called {one.name!r}", path=str(file), hint=f"call it {file.stem!r}")
    return one


def own_folder() -> Path | None:
    """The folder of formats that this user keeps for every case; null where there is none."""
    home = os.environ.get("XDG_CONFIG_HOME", "")
    try:
        # The specification of base directories asks that a relative one is left out of account.
        base = Path(home) if home and Path(home).is_absolute() else Path("~/.config").expanduser()
        folder = base / "strataline" / "formats"
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError):
        # A service without a home, or with one that it may not look into.
        return None


def _folders(named: Iterable[Path]) -> list[Path]:
    own = own_folder()
    return [*_shipped(), *_installed(), *([own] if own else []), *named]


def _shipped() -> list[Path]:
    return [Path(str(files(SHIPPED)))]


def _installed() -> list[Path]:
    entries = sorted(entry_points(group=GROUP), key=lambda one: (one.value, one.name))
    # A package that is there twice (in place and installed) is one.
    return list(dict.fromkeys(folder for entry in entries for folder in _of_package(entry)))


def _of_package(entry: EntryPoint) -> list[Path]:
    """The folders of the package that an entry point names, which is not imported: its files are loaded one by one."""
    said = f"entry point {entry.name} = {entry.value!r} of the group {GROUP}"
    try:
        spec = importlib.util.find_spec(entry.module)
    except (Exception, SystemExit) as problem:  # the packages above it are imported, and are their author's code
        hint = "mend or uninstall the package that states it"
        raise FormatError(f"{said} cannot be used: {type(problem).__name__}: {problem}", hint=hint) from problem
    if spec is None or not spec.submodule_search_locations:
        hint = "its value is the package that holds the format files; docs/writing-formats.md shows one"
        raise FormatError(f"{said} names no package", hint=hint)
    return [Path(folder) for folder in spec.submodule_search_locations]


def _listed(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FormatError("no such folder of formats", path=str(folder))
    return sorted(file for file in folder.glob("*.py") if not file.name.startswith(("_", ".")))
