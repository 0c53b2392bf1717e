"""Which files are meant: names, folders and globs to a list that does not depend on the order of names."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from strataline.errors import InputError

CASE_FILES = {"manifest.json", "inputs.local.json"}
"""A folder that holds these is a case, and no logs."""


@dataclass(frozen=True)
class Input:
    """One file to read.

    Args:
        source: how outputs name it: the path below the folder that was given, or the file's name, with as many
            parent folders as tell equals apart. Always with ``/``, and text whatever bytes the name has.
        path: where it lies, by the name that was given (links are not resolved).
    """

    source: str
    path: Path

    @property
    def folder(self) -> str:
        """The folder part of the source; empty where it has none."""
        return self.source.rpartition("/")[0]


@dataclass
class Found:
    """What names mean: inputs in order of source, what was skipped and why, and what was named more than once."""

    inputs: list[Input] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)


def find_inputs(names: Iterable[str | os.PathLike[str]]) -> Found:
    """Find the files that `names` mean: files, folders (walked, links followed) and globs.

    A file that is reached by several names or links is read once. A link that leads nowhere is an input: that it
    cannot be read is said when it is.

    Raises:
        InputError: if a name means nothing, or there is none.
    """
    depths: dict[str, dict[Path, int]] = {}
    skipped: set[tuple[str, str]] = set()
    times: dict[str, int] = {}
    hint = "give files, folders or quoted globs, such as logs/ or 'logs/**/*.jsonl'"
    for name in names:
        text = os.fspath(name)
        found = list(_meant(text, skipped)) if text else []
        if not found:
            raise InputError(f"nothing to read at {text!r}", hint=hint)
        for path, parts in found:
            real, given = os.path.realpath(path), Path(os.path.abspath(path))  # noqa: PTH100 - links stay
            times[real] = times.get(real, 0) + 1
            known = depths.setdefault(real, {})
            known[given] = max(known.get(given, 0), parts)
    if not depths:
        raise InputError("nothing to read was named", hint=hint)
    # Of several names of one file: the deepest, then the first in order of text.
    chosen = {min(known, key=lambda path: (-known[path], str(path))): real for real, known in depths.items()}
    sources = _tell_apart({path: depths[real][path] for path, real in chosen.items()})
    inputs = sorted((Input(source, path) for path, source in sources.items()), key=lambda one: one.source)
    again = [one.source for one in inputs if times[chosen[one.path]] > 1]
    return Found(inputs, sorted(skipped), again)


def _meant(name: str, skipped: set[tuple[str, str]]) -> Iterator[tuple[Path, int]]:
    """Files that `name` means, each with how many of its last parts name it."""
    if os.path.lexists(name):
        yield from _below(Path(name), skipped)
        return
    # A pattern that a shell would have expanded: its matches count as named files.
    for match in sorted(glob.glob(name, recursive=True)):  # noqa: PTH207 - the name may be absolute
        yield from _below(Path(match), skipped)


def _below(path: Path, skipped: set[tuple[str, str]]) -> Iterator[tuple[Path, int]]:
    if not path.is_dir():
        if _readable(path):
            yield path, 1
        else:
            skipped.add((_text(path.name), "neither file nor folder, not read"))
        return
    seen = set()
    for folder, folders, files in os.walk(path, followlinks=True):
        below = Path(folder).relative_to(path)
        real = os.path.realpath(folder)
        if below.parts and Path(os.path.realpath(path)).is_relative_to(real):
            skipped.add((_text(below.as_posix()), "link to a folder above, not read"))
            folders.clear()
            continue
        if real in seen or set(files) >= CASE_FILES:
            why = "linked folder that was read already" if real in seen else "a case, not read"
            skipped.add((_text(below.as_posix()), why))
            folders.clear()
            continue
        seen.add(real)
        for one in (*folders, *files):
            if one.startswith("."):
                skipped.add((_text((below / one).as_posix()), "hidden, not read"))
        # Links last: a folder that lies here is named by its own name, not by that of a link to it.
        open_ones = [one for one in folders if not one.startswith(".")]
        folders[:] = sorted(open_ones, key=lambda one: ((Path(folder) / one).is_symlink(), one))
        for one in sorted(files):
            file = Path(folder) / one
            if one.startswith("."):
                continue
            if _readable(file):
                yield file, len(below.parts) + 1
            else:
                skipped.add((_text((below / one).as_posix()), "neither file nor folder, not read"))


def _readable(path: Path) -> bool:
    """Whether to open it: a file, or a link that leads nowhere. Pipes and devices would be waited for, or never end."""
    return os.path.isfile(path) or not os.path.exists(path)  # noqa: PTH110, PTH113 - these do not raise on a loop of links


def _text(name: str) -> str:
    """A name as text: bytes of it that are not UTF-8 are escaped."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _tell_apart(depth: dict[Path, int]) -> dict[Path, str]:
    """Name each file by its last parts, with more of them until no two names are equal."""
    parts = dict(depth)
    while True:
        names = {path: _text("/".join(path.parts[-count:]).lstrip("/")) for path, count in parts.items()}
        seen: dict[str, int] = {}
        for name in names.values():
            seen[name] = seen.get(name, 0) + 1
        clash = [path for path, name in names.items() if seen[name] > 1 and parts[path] < len(path.parts)]
        if not clash:
            return names
        for path in clash:
            parts[path] += 1
