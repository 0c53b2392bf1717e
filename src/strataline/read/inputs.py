"""Which files are meant: names, folders, globs, lists and URLs to inputs that do not depend on the order of names."""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePath
from typing import BinaryIO

from strataline.errors import InputError
from strataline.read import remote

CASE_FILES = {"manifest.json", "inputs.local.json"}
"""A folder that holds these is a case, and no logs."""

LOCKS = ("*.lock", "*.lck", "*.pid", "~$*", ".~lock.*#", "*.swp")
"""What programs leave beside a file while they have it open."""

SIDECARS = {
    "-wal": "read with its database",
    "-shm": "belongs to its database, not read",
    "-journal": "read with its database",
}
"""What SQLite keeps beside a database, and what becomes of it; without the database it is a file like any other."""

_ALONE = "belongs to its database, which is read without it"
_CASE = "a case, not read"
_HIDDEN = "hidden, not read"

LIST_LINE = 1 << 16
"""Bytes of the longest line that a file list may have."""

STDIN = "stdin"
HINT = "give files, folders or quoted globs, such as logs/ or 'logs/**/*.jsonl'"


@dataclass(frozen=True)
class Input:
    """One file or object to read.

    Args:
        source: how outputs name it: the path below the folder that was given, or the file's name, with as many
            parent folders as tell equals apart. Always with ``/``, and text whatever bytes the name has.
        path: where it lies, by the name that was given (links are not resolved); None for a URL.
        url: where it lies, for an object that is no local file. It may hold credentials: only `place` is for showing.
        inside: names of archive members, from the outermost archive inwards.
    """

    source: str
    path: Path | None
    url: str | None = field(default=None, repr=False)
    inside: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The folder part of the source, or the archive that it lies in; empty where it has none."""
        return self.source[: max(self.source.rfind("/"), self.source.rfind("!"), 0)]

    @property
    def place(self) -> str:
        """The absolute path (links are not resolved), or the URL without credentials."""
        if self.path is not None:
            return os.path.abspath(self.path)  # noqa: PTH100 - links stay
        return remote.redact(self.url or "")

    def open(self) -> BinaryIO:
        """Open it, read-only and seekable, from its first byte.

        Raises:
            OSError: if it cannot be opened; its strerror says why.
        """
        if self.path is not None:
            return self.path.open("rb")
        return remote.open_object(self.url or "")

    def size(self) -> int | None:
        """How many bytes it has; None if nobody says. Of an object elsewhere, its server is asked."""
        if self.path is None:
            return remote.size_of(self.url or "")
        try:
            return self.path.stat().st_size
        except OSError:
            return None


@dataclass
class Found:
    """What names mean.

    Args:
        inputs: what to read, in order of source.
        skipped: names, and what becomes of them, as a note says it (``hidden, not read``): as it should be.
        refused: names, and why they are not read, as it follows after "was not read:" (``a device``): a complaint.
        twice: sources that were named more than once.
    """

    inputs: list[Input] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)


def find_inputs(names: Iterable[str | os.PathLike[str]], *, stdin: Callable[[], Path] | None = None) -> Found:
    """Find what `names` mean: files, folders (walked, links followed), globs, ``-``, ``@list`` and URLs.

    A file that is reached by several names, links or hard links is read once. A link that leads nowhere is an input:
    that it cannot be read is said when it is. Pipes, sockets and devices are refused and never opened: they would be
    waited for, or never end.

    Args:
        names: what was given. ``-``, ``@…`` and URLs only as text: a path object is always a path.
        stdin: gives a file with all of standard input; called at most once.

    Raises:
        InputError: if a name means nothing, or there is none.
    """
    search = _Search(stdin)
    for number, name in enumerate(_listed(names)):
        complaints = search.complaints
        search.passed.clear()
        found = list(search.meant(name)) if name.text else []
        if not found and search.complaints == complaints:
            why, hint = _why_nothing(search.passed)
            raise InputError(f"nothing to read at {name.shown!r}{why}", path=name.path, line=name.line, hint=hint)
        for one in found:
            search.reached.setdefault(one.key, {}).setdefault(one.where, set()).add((number, one.below))
    if not search.reached and not search.refused:
        raise InputError("nothing to read was named", hint=HINT)
    # Of several names of one file: the deepest, then the first in order of text.
    chosen = {}
    for ways in search.reached.values():
        depths = {where: max(below for _, below in reaches) for where, reaches in ways.items()}
        where = min(depths, key=lambda where: (-depths[where], where.text))
        chosen[where] = depths[where], sum(len({number for number, _ in reaches}) for reaches in ways.values()) > 1
    sources = _tell_apart({where: below for where, (below, _) in chosen.items()})
    inputs = sorted((Input(sources[where], where.path, where.url) for where in chosen), key=lambda one: one.source)
    twice = sorted(sources[where] for where, (_, again) in chosen.items() if again)
    return Found(inputs, sorted(search.skipped), sorted(search.refused), twice)


@dataclass(frozen=True)
class _Name:
    """A name that was given: `folder` is what it is relative to, `path` and `line` where it stands in a list."""

    text: str
    special: bool
    folder: str = ""
    path: str | None = None
    line: int | None = None

    @property
    def shown(self) -> str:
        """As it was given, without what may be a secret in a URL."""
        return _text(remote.redact(self.text) if self.special and remote.is_url(self.text) else self.text)


@dataclass(frozen=True)
class _Where:
    """One way to a file or object: its path or URL, and the parts that it may be called by."""

    text: str
    path: Path | None
    url: str | None
    parts: tuple[str, ...]


@dataclass(frozen=True)
class _One:
    """A file or object that was met: `key` is the same however it is reached; its last `below` parts name it."""

    key: object
    where: _Where
    below: int


# File lists.


def _listed(names: Iterable[str | os.PathLike[str]]) -> Iterator[_Name]:
    """`names`, and in place of each list what it names."""
    for name in names:
        text = os.fspath(name)
        if not isinstance(name, str) or not text.startswith("@") or os.path.lexists(text):
            yield _Name(text, special=isinstance(name, str))
            continue
        path = text[1:]
        if path == "-":
            raise InputError("a list of names is not read from standard input", hint="write it to a file: @list.txt")
        try:
            if stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - as elsewhere here
                yield from _lines(path)
                continue
        except (OSError, ValueError) as problem:
            why = (problem.strerror if isinstance(problem, OSError) else None) or "not a name"
            raise InputError(
                f"cannot read the list: {why}", path=path, hint="@ stands before a list of names"
            ) from None
        raise InputError("a list of names is a file", path=path)


def _lines(path: str) -> Iterator[_Name]:
    folder, any_name = os.path.dirname(path), False  # noqa: PTH120 - must stay empty for a bare name
    try:
        with Path(path).open("rb") as lines:
            for number, line in enumerate(iter(lambda: lines.readline(LIST_LINE), b""), 1):
                # Names are bytes: one that is no UTF-8 comes back as the same bytes.
                text = line.removeprefix(b"\xef\xbb\xbf" if number == 1 else b"").decode("utf-8", "surrogateescape")
                if len(line) == LIST_LINE or "\0" in text:
                    raise InputError("not a name", path=path, line=number, hint="a list is UTF-8 text, a name a line")
                text = text.rstrip("\r\n")
                if not os.path.lexists(os.path.join(folder, text)):  # noqa: PTH118 - globs and URLs are no paths
                    text = text.strip()
                if not text.strip() or text.startswith("#"):
                    continue
                if text == "-":
                    raise InputError("standard input cannot stand in a list", path=path, line=number)
                if text.startswith("@") and not os.path.lexists(os.path.join(folder, text)):  # noqa: PTH118
                    raise InputError("a list names no further lists", path=path, line=number)
                any_name = True
                yield _Name(text, special=True, folder=folder, path=path, line=number)
    except OSError as problem:
        raise InputError(f"cannot read the list: {problem.strerror}", path=path) from None
    if not any_name:
        raise InputError("the list names nothing", path=path)


def _why_nothing(passed: list[tuple[str, str]]) -> tuple[str, str]:
    """What there is at a name that has nothing to read, and what to do, from what was `passed` over on the way."""
    if not passed:
        return "", HINT
    if all(below == "" for below, _ in passed):
        return ": it is a case", "name the logs that it was made of, or a folder of others"
    kinds = {why for _, why in passed}
    hint = "a hidden file or folder is read if it is named itself" if _HIDDEN in kinds else HINT
    return f": what lies in it is {' or '.join(sorted(why.removesuffix(', not read') for why in kinds))}", hint


class _Search:
    """What is met on the way.

    `complaints` counts what was refused, repetitions too; `passed` is what was skipped of the name at hand: where below
    it (empty for a case that was named itself), and why.
    """

    def __init__(self, stdin: Callable[[], Path] | None) -> None:
        self._stdin = stdin
        self._spooled: Path | None = None
        self.skipped: set[tuple[str, str]] = set()
        self.refused: set[tuple[str, str]] = set()
        self.complaints = 0
        self.passed: list[tuple[str, str]] = []
        self.reached: dict[object, dict[_Where, set[tuple[int, int]]]] = {}

    def meant(self, name: _Name) -> Iterator[_One]:
        """Files and objects that `name` means."""
        text = name.text
        if name.special and text == "-":
            yield self._standard_input()
            return
        if name.special and remote.is_url(text) and not os.path.lexists(text):
            local = remote.local_path(text)
            if local is None:
                yield from self._objects(text, name.shown)
                return
            text = local
        path = os.path.join(name.folder, text)  # noqa: PTH118 - a trailing slash must stay
        if os.path.lexists(path):
            yield from self._below(Path(path), name.shown)
        elif "\0" not in path:
            # A pattern that a shell would have expanded: its matches count as named files.
            for match in sorted(glob.glob(text, root_dir=name.folder or None, recursive=True)):  # noqa: PTH207 - the name may be absolute
                yield from self._below(Path(name.folder, match), _text(match))

    def _skip(self, below: str, why: str, top: str = "") -> None:
        self.skipped.add((below or top, why))
        self.passed.append((below, why))

    def _refuse(self, name: str, why: str) -> None:
        self.refused.add((name, why))
        self.complaints += 1

    def _standard_input(self) -> _One:
        if self._spooled is None:
            if self._stdin is None:
                raise InputError("standard input cannot be read here", hint="name a file instead of -")
            self._spooled = self._stdin()
        # Where it was spooled to is nobody's name for it.
        return _One(STDIN, _Where(STDIN, self._spooled, None, (STDIN,)), 1)

    # Local files.

    def _below(self, path: Path, shown: str) -> Iterator[_One]:
        """Files at or below `path`, which is `shown` as it was given."""
        is_folder, why = _kind(path)
        if why is not None:
            self._refuse(shown, why)
        elif not is_folder:
            yield _local(path, 1)
        else:
            yield from self._walk(path, shown)

    def _walk(self, top: Path, shown: str) -> Iterator[_One]:
        reals: dict[str, str] = {}
        seen: set[str] = set()

        def unreadable(problem: OSError) -> None:
            below = PurePath(os.fspath(problem.filename)).relative_to(top)
            name = _text(below.as_posix()) if below.parts else shown
            self._refuse(name, f"the folder cannot be listed ({problem.strerror})")

        for folder, folders, files in os.walk(top, onerror=unreadable, followlinks=True):
            below = PurePath(folder).relative_to(top)
            name, real = _text(below.as_posix()) if below.parts else "", os.path.realpath(folder)
            above = [reals[os.fspath(top / parent)] for parent in below.parents] if below.parts else []
            reals[os.fspath(top / below)] = real
            if any(PurePath(one).is_relative_to(real) for one in above):
                self._refuse(name, "a link to a folder above")
                folders.clear()
                continue
            if real in seen or set(files) >= CASE_FILES:
                met = real in seen
                self._skip(name, "a linked folder that was read already" if met else _CASE, _text(_own_name(top)))
                folders.clear()
                continue
            seen.add(real)
            open_folders = []
            for one in sorted(folders):
                if (why := left_out(one, (), folder=True)) is not None:
                    self._skip(_text((below / one).as_posix()), why)
                else:
                    open_folders.append(one)
            # Links last: a folder that lies here is named by its own name, not by that of a link to it.
            folders[:] = sorted(open_folders, key=lambda one: (os.path.islink(os.path.join(folder, one)), one))  # noqa: PTH114, PTH118
            beside = set(files)
            for one in sorted(files):
                file, name = Path(folder) / one, _text((below / one).as_posix())
                if (why := left_out(one, beside, local=True)) is not None:
                    self._skip(name, why)
                elif (why := _kind(file)[1]) is not None:
                    self._refuse(name, why)
                else:
                    yield _local(file, len(below.parts) + 1)

    # Objects elsewhere.

    def _objects(self, url: str, shown: str) -> Iterator[_One]:
        try:
            found = remote.find(url)
        except FileNotFoundError:
            return
        except OSError as problem:
            self._refuse(shown, problem.strerror or "the place cannot be listed")
            return
        beside: dict[tuple[str, ...], set[str]] = {}
        for one in found:
            beside.setdefault(one.parts[:-1], set()).add(one.parts[-1])
        for one in found:
            why = self._left_out_object(one, beside) if one.walked else None
            if why is None:
                yield _One(one.key, _Where(one.url, None, one.url, one.parts), one.below)
            else:
                self._skip(*why, one.parts[-one.below - 1])

    @staticmethod
    def _left_out_object(one: remote.Object, beside: dict[tuple[str, ...], set[str]]) -> tuple[str, str] | None:
        first = len(one.parts) - one.below
        for end in range(first, len(one.parts)):
            if beside.get(one.parts[:end], set()) >= CASE_FILES:
                return _text("/".join(one.parts[first:end])), _CASE
            is_folder = end < len(one.parts) - 1
            why = left_out(one.parts[end], beside[one.parts[:-1]] if not is_folder else (), folder=is_folder)
            if why is not None:
                return _text("/".join(one.parts[first : end + 1])), why
        return None


def left_out(name: str, beside: Container[str], *, folder: bool = False, local: bool = False) -> str | None:
    """Why a file or folder that was met in a folder, or in an archive, is not read; null if it is.

    Args:
        name: its own name.
        beside: names of the files in its folder.
        folder: whether it is one.
        local: whether it lies in a folder of this machine, where a database is read with what lies beside it.
    """
    if folder and name == "lost+found":
        return "kept by the file system, not read"
    if not folder and any(fnmatchcase(name.lower(), pattern) for pattern in LOCKS):
        return "a lock file, not read"
    if name.startswith("."):
        return _HIDDEN
    for suffix, why in SIDECARS.items():
        if not folder and name.endswith(suffix) and name.removesuffix(suffix) in beside:
            return why if local else _ALONE
    return None


def _kind(path: Path) -> tuple[bool, str | None]:
    """Whether `path` is a folder, and why it cannot be opened; None for a file, or what only opening can tell."""
    try:
        mode = path.stat().st_mode
    except OSError as problem:
        return False, "a link that leads back to itself" if problem.errno == errno.ELOOP else None
    if stat.S_ISDIR(mode):
        return True, None
    if stat.S_ISREG(mode):
        return False, None
    if stat.S_ISFIFO(mode):
        return False, "a pipe; give - to read standard input"
    if stat.S_ISSOCK(mode):
        return False, "a socket"
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return False, "a device"
    return False, "neither file nor folder"


def _local(path: Path, below: int) -> _One:
    real, given = os.path.realpath(path), Path(os.path.abspath(path))  # noqa: PTH100 - links stay
    key: object = real
    try:
        found = path.stat()
        # Only where the file says itself that it has several names: not all file systems number their files well.
        if found.st_nlink > 1 and found.st_ino:
            key = found.st_dev, found.st_ino
    except OSError:
        pass
    return _One(key, _Where(str(given), given, None, given.parts), below)


def _own_name(path: Path) -> str:
    return PurePath(os.path.abspath(path)).name or "/"  # noqa: PTH100 - links stay


def _text(name: str) -> str:
    """A name as text: bytes of it that are not UTF-8 are escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _tell_apart(below: dict[_Where, int]) -> dict[_Where, str]:
    """Name each by its last parts, with more of them until no two names are equal."""
    # Where all parts together are equal as text (URLs that differ in a query), more of them would not help.
    whole = {where: _called(where, len(where.parts)) for where in below}
    count = dict(below)
    while True:
        names = {where: _called(where, parts) for where, parts in count.items()}
        equal: dict[str, set[str]] = {}
        for where, name in names.items():
            equal.setdefault(name, set()).add(whole[where])
        clash = [where for where, name in names.items() if len(equal[name]) > 1 and count[where] < len(where.parts)]
        if not clash:
            break
        for where in clash:
            count[where] += 1
    taken: dict[str, int] = {}
    for where in sorted(names, key=lambda where: where.text):
        name = names[where]
        taken[name] = taken.get(name, 0) + 1
        if taken[name] > 1:
            names[where] = f"{name}~{taken[name]}"
    return names


def _called(where: _Where, count: int) -> str:
    return _text("/".join(where.parts[-count:]).lstrip("/"))
