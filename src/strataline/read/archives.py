"""What lies in a file: the file itself, or the members of an archive, opened without unpacking anything to disk.

Everything is told from content, never from a name; names inside archives are text and are never used as a path.
Archives are hostile: what a header states is checked against what comes, nothing is read whole that a header sizes,
and work stays linear.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

from strataline.errors import InputError
from strataline.read.frame import CHUNK, Reading
from strataline.read.inputs import left_out
from strataline.read.streams import Budget, Bytes, Limits, Member, Rewinding, after, codec_of, peeked, unpacked
from strataline.read.tar import BLOCK, header_of, tar_members
from strataline.read.zip import zip_members

__all__ = ["Limits", "Stream", "archive_of", "stream_at", "streams"]

LAYERS = 4
"""How many times over a stream may be compressed."""

_HEAD = 4096
"""Bytes that compression and archives are told from."""

_THREAD = 1 << 17
"""Bytes of a piece that is worth another thread's time."""

_SIDECARS = {
    "-wal": (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"),
    "-shm": (b"\x18\xe2\x2d\x00", b"\x00\x2d\xe2\x18"),
    "-journal": (b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7",),
}
"""How that begins which SQLite keeps beside a database."""

_START = 8

_NOT_READ = {
    "link": "a link inside an archive, not followed",
    "device": "a device inside an archive, not read",
    "pipe": "a pipe inside an archive, not read",
    "other": "not a file",
}


@dataclass
class Stream:
    """One decompressed stream of an input.

    Args:
        source: how outputs name it: ``export.tar.gz!app/prompt.jsonl``, with ``!`` between levels.
        inside: names of the members from the outermost archive inwards; empty for the file itself.
        within: source of the archive that it lies in; null for the file itself.
        reading: filled in once the pieces were taken; `problem` is known before.
        pieces: the stream with its byte-order mark; none for an archive, and for what could not be read.
        path: the local file, if the stream is that very file.
        reopen: gives the stream as a file that can be read from any place.
    """

    source: str
    inside: tuple[str, ...]
    within: str | None
    reading: Reading
    pieces: Iterator[bytes]
    path: Path | None
    reopen: Callable[[], BinaryIO]


def streams(
    source: str,
    open_file: Callable[[], BinaryIO],
    *,
    limits: Limits,
    chunk: int = CHUNK,
    path: Path | None = None,
    size: int | None = None,
) -> Iterator[Stream]:
    """Yield the stream of a file, or of each member of an archive in order of place, and last the archive itself.

    A stream is to be taken before the next one is asked for; what is left of it is passed over. An archive has no
    pieces of its own, ``tar`` or ``zip`` as container, and its digest as both. Damage and limits are said in
    `Reading.cut` and `Reading.problem`, never raised.

    Args:
        source: how outputs name the file.
        open_file: opens it; called again where something must be read again.
        limits: how far it may expand.
        chunk: bytes of a piece.
        path: the local file.
        size: read no further than that, and say so if the file grew.

    Raises:
        OSError: if the file cannot be opened or read.
    """
    file, reading = _File(open_file, size, chunk), Reading()
    with open_file() as opened, ThreadPoolExecutor(2) as pool:
        walk = _Walk(Budget(limits), chunk, pool, file)
        yield from walk.opened(file.content(opened, reading), reading, source, path=path)


def stream_at(
    source: str,
    open_file: Callable[[], BinaryIO],
    inside: tuple[str, ...],
    *,
    limits: Limits,
    chunk: int = CHUNK,
) -> Iterator[bytes]:
    """Yield the pieces of one stream again, as `streams` gave them.

    Args:
        source: how outputs name the file.
        open_file: opens it.
        inside: names of the members from the outermost archive inwards.
        limits: as they were.
        chunk: bytes of a piece.

    Raises:
        InputError: if there is no such member.
        OSError: if the file cannot be opened or read.
    """
    file = _File(open_file, None, chunk)
    budget, reading = Budget(limits), Reading()
    with open_file() as opened:
        content = file.content(opened, reading)
        walks = []
        for name in inside:
            kind, content = _unwrapped(content, reading, budget, chunk)
            # Kept, as its members are read through it.
            walks.append(_members(kind, content, reading, budget, chunk))
            found = next((member for own, member in walks[-1] if own == name), None)
            if found is None:
                raise InputError(f"{source} holds no {'!'.join(inside)}", path=source)
            content, reading = found.content, found.reading
        kind, plain = _unwrapped(content, reading, budget, chunk)
        if reading.problem is None and kind is None:
            yield from plain.pieces
        else:
            # What could not be read, or is no record itself: as it lies.
            yield from content.again(0)


def archive_of(head: bytes) -> str | None:
    """Return which archive begins with `head` (4 KiB or all of it): tar, zip, or null."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    return None if header_of(head[:BLOCK]) is None else "tar"


class _File:
    """The named file, whose bytes are read to a size at most."""

    def __init__(self, open_file: Callable[[], BinaryIO], size: int | None, chunk: int) -> None:
        self.open = open_file
        self._size = size
        self._chunk = chunk

    def content(self, file: BinaryIO, reading: Reading) -> Bytes:
        """Its bytes, of which there are so many if it can be read from any place."""
        size = None
        if file.seekable():
            size = file.seek(0, io.SEEK_END)
            size = size if self._size is None else min(size, self._size)
            file.seek(0)
        return Bytes(self._pieces(file, reading), self._again, size)

    def _pieces(self, file: BinaryIO, reading: Reading) -> Iterator[bytes]:
        """Read it once, and say if it is no longer as long as it was."""
        done = yield from self._read(file, 0)
        if self._size is not None and done < self._size:
            reading.cut = reading.cut or f"the file ends at byte {done} and no longer at byte {self._size}"
        elif self._size is not None and _length(file) > done:
            reading.notes.append(("grew", f"the file grew while it was read; {done} bytes were read", 1))

    def _again(self, start: int) -> Iterator[bytes]:
        """Read it from `start` on."""
        with self.open() as file:
            if start and file.seekable():
                file.seek(start)
                yield from self._read(file, start)
            else:
                yield from after(self._read(file, 0), start)

    def _read(self, file: BinaryIO, at: int) -> Generator[bytes, None, int]:
        """Read on, and return where the file ended."""
        while piece := file.read(self._chunk if self._size is None else min(self._chunk, self._size - at)):
            at += len(piece)
            yield piece
        return at


def _length(file: BinaryIO) -> int:
    """Bytes of a file now; 0 where it has no descriptor."""
    try:
        return os.fstat(file.fileno()).st_size
    except (OSError, AttributeError):
        return 0


class _Digest:
    """A SHA-256 whose long pieces are hashed beside the work on them, one at a time."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._hash = hashlib.sha256()
        self._pool = pool
        self._pending: Future[None] | None = None

    def update(self, piece: bytes) -> None:
        self._wait()
        if len(piece) < _THREAD:
            self._hash.update(piece)
        else:
            self._pending = self._pool.submit(self._hash.update, piece)

    def hexdigest(self) -> str:
        self._wait()
        return self._hash.hexdigest()

    def _wait(self) -> None:
        if self._pending is not None:
            self._pending.result()
            self._pending = None


@dataclass
class _Walk:
    """One way through an input."""

    budget: Budget
    chunk: int
    pool: ThreadPoolExecutor
    file: _File

    def opened(
        self,
        content: Bytes,
        reading: Reading,
        source: str,
        inside: tuple[str, ...] = (),
        within: str | None = None,
        path: Path | None = None,
    ) -> Iterator[Stream]:
        """Yield the stream of `content`, or the members of the archive that it is, and last that."""
        digest = _Digest(self.pool)
        raw = self._hashed(content.pieces, digest, reading)
        plain = content = replace(content, pieces=raw)
        kind = None
        if reading.problem is None:
            kind, plain = _unwrapped(content, reading, self.budget, self.chunk)
        opened = False
        if kind is not None:
            reading.container = kind
            if len(inside) < self.budget.limits.max_depth:
                for name, member in _members(kind, plain, reading, self.budget, self.chunk):
                    below = f"{source}!{name}"
                    yield from self.opened(member.content, member.reading, below, (*inside, name), source)
                opened = reading.problem is None
            else:
                reading.problem = f"archives are opened {len(inside)} deep, and this one lies deeper"
        none = opened or reading.problem is not None
        packed = not none and reading.compression is not None
        pieces = iter(()) if none else plain.pieces
        pieces = self._ended(raw, digest, reading, pieces, packed=packed, opened=opened)
        is_file = reading.compression is None
        reopen = partial(self._reopened, plain, reading, whole=not inside and is_file)
        yield Stream(source, inside, within, reading, pieces, path if is_file else None, reopen)
        # What was not taken of it.
        for _ in pieces:
            pass

    def _hashed(self, pieces: Iterator[bytes], digest: _Digest, reading: Reading) -> Iterator[bytes]:
        """Bytes as they lie."""
        for piece in pieces:
            digest.update(piece)
            reading.bytes += len(piece)
            yield piece

    def _ended(
        self,
        raw: Iterator[bytes],
        digest: _Digest,
        reading: Reading,
        pieces: Iterator[bytes],
        *,
        packed: bool,
        opened: bool,
    ) -> Iterator[bytes]:
        """Yield `pieces`, take in what is left of the raw ones, and say what is known by then."""
        stream = _Digest(self.pool)
        for piece in pieces:
            if packed:
                stream.update(piece)
                reading.stream_bytes += len(piece)
            yield piece
        for _ in raw:
            pass
        reading.digest = digest.hexdigest()
        if packed:
            reading.stream_digest = stream.hexdigest()
        else:
            reading.stream_digest = reading.digest
            # An archive has no records of its own, unless it could not be opened: then all of it is one.
            reading.stream_bytes = 0 if opened else reading.bytes

    def _reopened(self, plain: Bytes, reading: Reading, *, whole: bool) -> BinaryIO:
        cheap = plain.size is not None
        if whole and cheap:
            return self.file.open()
        size = reading.stream_bytes if reading.stream_digest else plain.size
        return io.BufferedReader(Rewinding(plain.again, size, cheap=cheap), 1 << 16)


def _unwrapped(content: Bytes, reading: Reading, budget: Budget, chunk: int) -> tuple[str | None, Bytes]:
    """Take all compression off `content`, and return which archive it then is, if any, and it."""
    codecs: list[str] = []
    while True:
        head, pieces = peeked(content.pieces, _HEAD)
        content = replace(content, pieces=pieces)
        codec = codec_of(head)
        if codec is None:
            return archive_of(head), content
        if len(codecs) == LAYERS:
            reading.problem = f"it is compressed more than {LAYERS} times over"
            return None, content
        codecs.append(codec)
        reading.compression = "+".join(codecs)
        content = unpacked(content, codec, reading, budget, chunk)


def _members(
    kind: str | None, content: Bytes, reading: Reading, budget: Budget, chunk: int
) -> Iterator[tuple[str, Member]]:
    """Yield what is to be read of an archive, under names of their own; notes say what is not."""
    if kind is None:
        return
    walk = tar_members(content, reading, budget) if kind == "tar" else zip_members(content, reading, budget, chunk)
    times: dict[str, int] = {}
    met: set[tuple[str, ...]] = set()
    for member in walk:
        budget.members += 1
        if budget.members > budget.limits.max_members:
            reading.cut = reading.cut or f"stopped: there are more than {budget.limits.max_members} members in archives"
            return
        why = _NOT_READ.get(member.kind)
        if member.kind == "file":
            member, why = _left_out(member, met)
        if why is not None:
            reading.notes.append(("not_read", f"{member.name}: {why}", 1))
        elif member.kind == "file":
            yield _own(member.name, times), member
            # Where the archive itself was stopped, what came out of it before is still read.
            if budget.spent and reading.cut is None:
                reading.cut = budget.sentence
                return


def _own(name: str, times: dict[str, int]) -> str:
    """A name that no member had before: the second of a name gets ``#2``."""
    own = name
    while own in times:
        times[name] += 1
        own = f"{name}#{times[name]}"
    times[own] = 1
    return own


def _left_out(member: Member, met: set[tuple[str, ...]]) -> tuple[Member, str | None]:
    """Why a file is not read that would not be in a folder either; it comes back, since its start may be looked at.

    `met` are the names of files so far. What belongs to a database may lie before it: that is told from how it begins.
    """
    parts = tuple(part for part in member.name.replace("\\", "/").split("/") if part not in ("", ".", ".."))
    *folders, own = parts or ("",)
    met.add(parts)
    for folder in folders:
        why = "hidden, not read" if folder == "__MACOSX" else left_out(folder, (), folder=True)
        if why is not None:
            return member, why
    beside = set()
    for suffix, starts in _SIDECARS.items():
        database = own.removesuffix(suffix)
        if database == own:
            continue
        head, pieces = peeked(member.content.pieces, _START)
        member = replace(member, content=replace(member.content, pieces=pieces))
        if (*folders, database) in met or head.startswith(starts):
            beside.add(database)
    return member, left_out(own, beside)
