"""The formats that are there: a listing of folders, never a side effect of an import."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import regex

from strataline import plugin
from strataline.errors import FormatError
from strataline.format import Format

SHIPPED = "strataline.parsers"
GROUP = "strataline.formats"
PAGE = "docs/writing-formats.md"


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
    shape = "FORMAT = Format(...)"
    one = plugin.loaded(file, "FORMAT", FormatError, shape, PAGE)
    if not isinstance(one, Format):
        raise FormatError("holds no FORMAT", path=str(file), hint=f"end the file in {shape}")
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
    return plugin.own_folder("formats")


def _folders(named: Iterable[Path]) -> list[Path]:
    own = own_folder()
    return [*_shipped(), *_installed(), *([own] if own else []), *named]


def _shipped() -> list[Path]:
    return [Path(str(files(SHIPPED)))]


def _installed() -> list[Path]:
    return plugin.installed(GROUP, FormatError, PAGE)


def _listed(folder: Path) -> list[Path]:
    return plugin.listed(folder, "formats", FormatError)
