"""Which files are meant: names, folders and globs to a list that does not depend on the order of names."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from strataline.errors import InputError

_ROTATION = re.compile(r"(?:\.\d+|[-.]\d{4}-\d\d-\d\d(?:T[\d.-]+)?|\.gz|\.old)+$")


@dataclass(frozen=True)
class Input:
    """One file to read.

    Args:
        source: how outputs name it: the path below the folder that was given, or the file's name, with as many
            parent folders as tell equals apart. Always with ``/``.
        path: where it lies.
    """

    source: str
    path: Path

    @property
    def family(self) -> str:
        """The source without rotation suffixes: ``app/a.log.2.gz`` and ``app/a.log`` are one family.

        >>> Input("app/a.log.2.gz", Path("x")).family
        'app/a.log'
        """
        return _ROTATION.sub("", self.source) or self.source

    @property
    def folder(self) -> str:
        """The folder part of the source; empty where it has none."""
        return self.source.rpartition("/")[0]


def find_inputs(names: Iterable[str | os.PathLike[str]]) -> tuple[list[Input], list[str], list[str]]:
    """Find the files that `names` mean: files, folders (walked) and globs.

    Returns:
        The inputs in order of source, the names of hidden files that were skipped, and of files that were
        named twice (both as sources or paths below what was given).

    Raises:
        InputError: if a name means nothing.
    """
    depth: dict[Path, int] = {}
    hidden: list[str] = []
    twice: Counter[Path] = Counter()
    for name in names:
        text = os.fspath(name)
        found = _files(text, hidden)
        if not found:
            hint = "give files, folders or quoted globs, such as logs/ or 'logs/**/*.jsonl'"
            raise InputError(f"nothing to read at {text}", hint=hint)
        for path, parts in found:
            real = Path(os.path.realpath(path))
            twice[real] += 1
            depth[real] = max(depth.get(real, 0), parts)
    inputs = [Input(source, path) for path, source in _tell_apart(depth).items()]
    again = [one.source for one in inputs if twice[one.path] > 1]
    return sorted(inputs, key=lambda one: one.source), sorted(set(hidden)), sorted(again)


def _files(name: str, hidden: list[str]) -> list[tuple[Path, int]]:
    """Files below `name`, each with how many of its last parts name it."""
    path = Path(name)
    if path.is_dir():
        found = []
        for folder, folders, files in os.walk(path):
            below = Path(folder).relative_to(path)
            hidden += [(below / one).as_posix() for one in (*folders, *files) if one.startswith(".")]
            folders[:] = sorted(one for one in folders if not one.startswith("."))
            named = [Path(folder) / file for file in sorted(files) if not file.startswith(".")]
            # No pipes, sockets or devices: reading them would wait for ever.
            found += [(file, len(below.parts) + 1) for file in named if file.is_file()]
        return found
    if path.is_file():
        return [(path, 1)]
    # A pattern that a shell would have expanded: its matches count as named files.
    return [one for match in sorted(glob.glob(name, recursive=True)) for one in _files(match, hidden)]  # noqa: PTH207 - the name may be absolute


def _text(name: str) -> str:
    """A name as text: bytes of it that are not UTF-8 are escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _tell_apart(depth: dict[Path, int]) -> dict[Path, str]:
    """Name each file by its last parts, with more of them until no two names are equal."""
    parts = dict(depth)
    while True:
        names = {path: _text("/".join(path.parts[-count:]).lstrip("/")) for path, count in parts.items()}
        seen = Counter(names.values())
        clash = [path for path, name in names.items() if seen[name] > 1 and parts[path] < len(path.parts)]
        if not clash:
            return names
        for path in clash:
            parts[path] += 1
