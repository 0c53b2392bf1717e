"""Values that people add as Python files: formats and checks. Listed and loaded, never imported by a side effect.

They lie in a folder that is named, in the user's own, or in an installed package that an entry point names. Loading one
runs its file: only folders that are trusted are named.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from strataline.errors import StrataError


def loaded(file: Path, word: str, error: type[StrataError], shape: str, page: str) -> Any:
    """What `file` calls `word`.

    Args:
        file: a Python file.
        word: the name that it must assign, such as ``FORMAT``.
        error: raised for whatever is the matter with it.
        shape: how the assignment looks, for the hint.
        page: the page of the documentation that describes such a file.

    Raises:
        StrataError: of the class `error`, if the file cannot be read, does not run, or assigns no such name.
    """
    hint = f"end the file in {shape}"
    try:
        text = file.read_bytes()
    except OSError as problem:
        raise error(f"cannot be read: {problem.strerror or problem}", path=str(file)) from problem
    if word.encode() not in text:
        # A folder of programs that was named by mistake is not run.
        raise error(f"holds no {word}", path=str(file), hint=hint)
    spec = importlib.util.spec_from_file_location(f"_strataline_{word.lower()}_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise error("not a Python file", path=str(file))
    module = importlib.util.module_from_spec(spec)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    except StrataError as problem:
        raise error(problem.message, path=str(file), hint=problem.hint) from problem
    except (Exception, SystemExit) as problem:  # the file is its author's code: whatever it raises is theirs
        where = f"python {file.name} shows where; {page} describes such a file"
        raise error(f"does not run: {type(problem).__name__}: {problem}", path=str(file), hint=where) from problem
    finally:
        sys.dont_write_bytecode = written
    if not hasattr(module, word):
        raise error(f"holds no {word}", path=str(file), hint=hint)
    return getattr(module, word)


def own_folder(name: str) -> Path | None:
    """The folder ``~/.config/strataline/NAME`` (``XDG_CONFIG_HOME`` is honoured); null where there is none."""
    home = os.environ.get("XDG_CONFIG_HOME", "")
    try:
        # The specification of base directories asks that a relative one is left out of account.
        base = Path(home) if home and Path(home).is_absolute() else Path("~/.config").expanduser()
        folder = base / "strataline" / name
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError):
        # A service without a home, or with one that it may not look into.
        return None


def installed(group: str, error: type[StrataError], page: str) -> list[Path]:
    """The folders of the packages that entry points of `group` name, each once.

    Raises:
        StrataError: of the class `error`, if an entry point names no package.
    """
    entries = sorted(entry_points(group=group), key=lambda one: (one.value, one.name))
    # A package that is there twice (in place and installed) is one.
    return list(dict.fromkeys(folder for entry in entries for folder in _of_package(entry, group, error, page)))


def _of_package(entry: EntryPoint, group: str, error: type[StrataError], page: str) -> list[Path]:
    """The folders of the package that an entry point names, which is not imported: its files are loaded one by one."""
    said = f"entry point {entry.name} = {entry.value!r} of the group {group}"
    try:
        spec = importlib.util.find_spec(entry.module)
    except (Exception, SystemExit) as problem:  # the packages above it are imported, and are their author's code
        hint = "mend or uninstall the package that states it"
        raise error(f"{said} cannot be used: {type(problem).__name__}: {problem}", hint=hint) from problem
    if spec is None or not spec.submodule_search_locations:
        hint = f"its value is the package that holds the files; {page} shows one"
        raise error(f"{said} names no package", hint=hint)
    return [Path(folder) for folder in spec.submodule_search_locations]


def listed(folder: Path, what: str, error: type[StrataError]) -> list[Path]:
    """The Python files of `folder`, in order of name; ``what`` names them for the error.

    Raises:
        StrataError: of the class `error`, if there is no such folder.
    """
    if not folder.is_dir():
        raise error(f"no such folder of {what}", path=str(folder))
    return sorted(file for file in folder.glob("*.py") if not file.name.startswith(("_", ".")))
