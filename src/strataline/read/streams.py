"""Compressed streams to plain ones, in pieces, with limits; and pieces as files, read on or from any place.

Memory follows the size of a piece and how far a codec looks back, whatever a stream expands to.
"""

from __future__ import annotations

import bz2
import hashlib
import io
import lzma
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from typing import Protocol, cast

import lz4.frame  # type: ignore[import-untyped]

from strataline.read.frame import CHUNK, Reading

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError

Opening = Callable[[int], Iterator[bytes]]
"""Opens a stream anew and gives its pieces from that byte on."""

FREE = 64 << 20
"""Bytes that a stream may expand to before its ratio is judged: small repetitive logs pass."""

AGAIN = 4
"""How often what an input expands to may be decompressed over again, to go back in it."""

_FIRST, _STEP = 1 << 10, 1 << 16
"""Bytes that go into a decompressor at once: few at first, so that tiny members do not cost a large copy each."""

_OUT = 1 << 20
"""Bytes that come out of it at once."""

_PAST = 4 << 20
"""Bytes of a damaged member that are decompressed again from memory; a longer one is opened again."""

_MEMORY = 256 << 20
"""What an xz stream may ask for: four times what its highest preset does."""

_KEEP = 32 << 20
"""Bytes that a file made of pieces keeps, so as to look back without opening again."""

_SCAN = 1 << 12
"""Bytes that are looked through at once: as many are copied to put back what follows a find."""

_NAME = 1000
"""Characters of the longest name of a member that is kept whole."""

_ZEROS = re.compile(rb"\x00*")
_BZ2 = re.compile(rb"BZh[1-9]")
_BZ2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")
_SKIPPED = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
_MAGIC = {b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst", b"\xfd7zXZ\x00": "xz", b"\x04\x22\x4d\x18": "lz4"}
_CALLED = {"gz": "gzip"}

MAX_EXPAND = 64 << 30
"""Bytes that one input may expand to, unless it is said otherwise."""


@dataclass(frozen=True)
class Limits:
    """How far one named input may expand.

    Args:
        max_expand: bytes that may come out of all of its decompressors together.
        max_ratio: how many times its size a compressed stream may expand to, judged after the first 64 MiB.
        max_members: members of all of its archives together.
        max_depth: archives inside archives, the outermost counted.
    """

    max_expand: int = MAX_EXPAND
    max_ratio: int = 1000
    max_members: int = 100_000
    max_depth: int = 2


@dataclass
class Budget:
    """What one named input has used of its limits.

    Args:
        limits: the limits.
        expanded: bytes that came out of decompressors.
        members: members of archives.
        spent: whether more would have come out than the limit allows.
    """

    limits: Limits
    expanded: int = 0
    members: int = 0
    spent: bool = False

    @cached_property
    def again(self) -> Budget:
        """What reading again, to go back, may use: work that is bounded as well, and counted by itself."""
        return Budget(replace(self.limits, max_expand=self.limits.max_expand * AGAIN))

    @property
    def sentence(self) -> str:
        """What is said where the limit of the total was met."""
        return f"stopped: this input expands to more than {self.limits.max_expand} bytes in all (--max-expand)"

    def refusal(self, what: str, plain: int, packed: int) -> str | None:
        """Say which limit is met once `plain` bytes came out of `packed` ones of `what`; null while none is."""
        if self.spent:
            return self.sentence
        if plain > FREE and plain > packed * self.limits.max_ratio:
            return f"stopped: the {what} expands to more than {self.limits.max_ratio} times its size"
        return None

    def taken(self, plain: bytes) -> bytes:
        """Return what of `plain` is still within the total, and count it."""
        left = self.limits.max_expand - self.expanded
        if len(plain) > left:
            self.spent, plain = True, plain[:left]
        self.expanded += len(plain)
        return plain


class _Engine(Protocol):
    """What all decompressors of one member or frame have in common."""

    eof: bool
    needs_input: bool
    unused_data: bytes | None

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Inflate:
    """A zlib decompressor that behaves as the others do."""

    def __init__(self, wbits: int) -> None:
        self._zlib = zlib.decompressobj(wbits)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        plain = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        self.needs_input = not self._zlib.unconsumed_tail and len(plain) < max_length
        return plain


_ENGINES: dict[str, Callable[[], object]] = {
    "gz": partial(_Inflate, 31),
    "zst": ZstdDecompressor,
    "bz2": bz2.BZ2Decompressor,
    "xz": partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, _MEMORY),
    "lz4": lz4.frame.LZ4FrameDecompressor,
    # As members of zip archives are packed; never told by magic.
    "deflate": partial(_Inflate, -15),
    "lzma": partial(lzma.LZMADecompressor, lzma.FORMAT_ALONE, _MEMORY),
}
_ONE_ONLY = {"deflate", "lzma"}
_DAMAGE = (zlib.error, lzma.LZMAError, ZstdError, OSError, RuntimeError, ValueError)


def codec_of(head: bytes) -> str | None:
    """Return what a stream that begins with `head` is compressed by: gz, zst, bz2, xz, lz4, or null.

    A skippable frame, which zst and lz4 have in common, is passed over; where nothing follows it, it is zst.
    """
    at = 0
    while _SKIPPED.match(head, at):
        size = int.from_bytes(head[at + 4 : at + 8], "little")
        if len(head) < at + 8 + size + 4:
            return "zst"
        at += 8 + size
        if head.startswith((b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18"), at):
            return _MAGIC[head[at : at + 4]]
    if at:
        return "zst"
    # Three letters alone are text; of a stream that is cut here, as much of its first block as there is must match.
    if _BZ2.match(head) and any(block.startswith(head[4:10]) for block in _BZ2_BLOCKS):
        return "bz2"
    return next((codec for magic, codec in _MAGIC.items() if head.startswith(magic)), None)


class _Frame:
    """One member or frame on its way through a decompressor.

    Args:
        codec: what it is compressed by.
        start: its first byte in the compressed stream.
    """

    def __init__(self, codec: str, start: int) -> None:
        self.codec = codec
        self.start = start
        self.made = 0
        self.damage: str | None = None
        self.engine = _engine(codec)
        self._past: list[bytes] = []
        self._fed = 0
        self._sound = 0

    def feed(self, part: bytes, most: int) -> Iterator[bytes]:
        """Give what comes out for `part`, at most `most` bytes at once; what breaks it is then in `damage`."""
        self._sound = self._fed
        self._fed += len(part)
        if self._fed <= _PAST:
            self._past.append(part)
        else:
            self._past.clear()
        while not self.engine.eof:
            try:
                plain = self.engine.decompress(part, most)
            except _DAMAGE as problem:
                self.damage = str(problem)
                return
            if not plain:
                return
            self.made += len(plain)
            yield plain
            if self.engine.needs_input and len(plain) < most:
                return
            part = b""

    def rescued(self, again: Opening | None, budget: Budget) -> Iterator[bytes]:
        """Give what comes out between the last sound call and the damage; nothing where there is none.

        The libraries throw away what they made in the call that fails, and cannot go back: so all of the member is
        decompressed again, and the part that breaks it byte by byte.
        """
        source: Iterator[bytes]
        if self.damage is None:
            return
        if self._past:
            source = iter(self._past)
        elif again is not None and budget.again.expanded + self.made <= budget.again.limits.max_expand:
            budget.again.expanded += self.made
            source = again(self.start)
        else:
            return
        engine, got = _engine(self.codec), 0
        before = Forward(source)
        while part := before.take(min(_STEP, self._sound - before.at) if before.at < self._sound else 1):
            while not engine.eof:
                most = min(_OUT, self.made - got) if got < self.made else 1
                try:
                    plain = engine.decompress(part, most)
                except _DAMAGE:
                    return
                if got >= self.made and plain:
                    yield plain
                got += len(plain)
                if not plain:
                    break
                part = b""


def _engine(codec: str) -> _Engine:
    return cast("_Engine", _ENGINES[codec]())


def decompressed(
    pieces: Iterator[bytes],
    codec: str,
    reading: Reading,
    budget: Budget,
    chunk: int = CHUNK,
    again: Opening | None = None,
    rest: list[bytes] | None = None,
) -> Iterator[bytes]:
    """Yield what `pieces` decompress to, in pieces of about `chunk` bytes.

    Concatenated members or frames are one stream, as logrotate and object stores leave them; zero padding may follow
    one. Where the stream is cut or damaged, or meets a limit, all that can be had of it is yielded, `reading.cut` says
    so (the first to say so stands), and no more is taken of `pieces`.

    Args:
        pieces: the compressed stream.
        codec: as `codec_of` gives it, or ``deflate`` or ``lzma``, of which there is only one member.
        reading: its `cut` is set.
        budget: what the input may still expand to.
        chunk: bytes of a piece.
        again: opens the compressed stream anew: for what lies before the damage in a member of more than 4 MiB
            (without it, the last 1 MiB before may be missing).
        rest: takes what follows the one member of ``deflate`` or ``lzma``.
    """
    made: list[bytes] = []
    size = 0
    for plain in _plain(pieces, codec, reading, budget, max(1, min(_OUT, chunk)), again, rest):
        made.append(plain)
        size += len(plain)
        if size >= chunk:
            yield b"".join(made)
            made, size = [], 0
    if size:
        yield b"".join(made)


def _plain(
    pieces: Iterator[bytes],
    codec: str,
    reading: Reading,
    budget: Budget,
    most: int,
    again: Opening | None,
    rest: list[bytes] | None,
) -> Iterator[bytes]:
    """Yield what `pieces` decompress to as it comes: at most `most` bytes at once, or none."""
    name = _CALLED.get(codec, codec)
    frame: _Frame | None = None
    out, before, step = 0, 0, _FIRST
    for piece in pieces:
        at = 0
        while at < len(piece):
            if frame is None:
                at = _after_zeros(piece, at)
                if at == len(piece):
                    break
                frame, step = _Frame(codec, before + at), _FIRST
            part = piece[at : at + step]
            at, step = at + len(part), min(step * 2, _STEP)
            for plain in chain(frame.feed(part, most), frame.rescued(again, budget)):
                out += len(plain)
                yield budget.taken(plain)
                refusal = budget.refusal(f"{name} stream", out, before + at)
                if refusal is not None:
                    reading.cut = reading.cut or refusal
                    return
            if frame.damage is not None:
                reading.cut = reading.cut or f"{name} stream damaged: {frame.damage}"
                return
            if frame.engine.eof:
                at -= len(frame.engine.unused_data or b"")
                frame = None
                if codec in _ONE_ONLY:
                    if rest is not None:
                        rest.append(piece[at:])
                    return
        before += len(piece)
    if frame is not None:
        reading.cut = reading.cut or f"{name} stream ends in the middle"


def _after_zeros(piece: bytes, at: int) -> int:
    """The first place from `at` on that is no zero byte: what pads the end of a member."""
    found = _ZEROS.match(piece, at)
    return found.end() if found else at


def after(pieces: Iterator[bytes], start: int) -> Iterator[bytes]:
    """Yield `pieces` without their first `start` bytes."""
    for piece in pieces:
        if start < len(piece):
            yield piece[start:] if start else piece
            start = 0
        else:
            start -= len(piece)


def peeked(pieces: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """Return the first `size` bytes (fewer if there are no more), and all of the pieces again."""
    taken: list[bytes] = []
    known = 0
    while known < size and (piece := next(pieces, None)) is not None:
        taken.append(piece)
        known += len(piece)
    # One piece, however small those were that it was put together of: what is hashed in a thread should be long.
    whole = b"".join(taken) if len(taken) > 1 else taken[0] if taken else b""
    return whole[:size], chain([whole], pieces) if whole else iter(())


@dataclass(frozen=True)
class Bytes:
    """Bytes that lie somewhere.

    Args:
        pieces: they, from their beginning, to be taken once.
        again: opens them anew.
        size: how many, where opening them at any byte costs next to nothing; else null.
    """

    pieces: Iterator[bytes]
    again: Opening
    size: int | None = None


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Args:
        name: as the archive has it, see `name_of`.
        content: its bytes.
        reading: what the archive already says of it.
        kind: file, folder, link, device, pipe or other: only of a file there is something to read.
    """

    name: str
    content: Bytes
    reading: Reading
    kind: str


def name_of(name: bytes) -> str:
    """Return a name as text, whatever bytes it has; one of unreasonable length as its beginning and its digest."""
    text = name.decode("utf-8", "backslashreplace")
    return text if len(text) <= _NAME else f"{text[:_NAME]}…{hashlib.sha256(name).hexdigest()[:16]}"


def part_of(opening: Opening, first: int, size: int | None = None) -> Opening:
    """Return what opens the `size` bytes (null: all) from `first` on."""

    def again(start: int) -> Iterator[bytes]:
        return Forward(opening(first + start)).run(None if size is None else max(0, size - start))

    return again


def unpacked(
    content: Bytes, codec: str, reading: Reading, budget: Budget, chunk: int, rest: list[bytes] | None = None
) -> Bytes:
    """Return what `content` decompresses to, as `decompressed` does."""

    def again(start: int) -> Iterator[bytes]:
        return after(decompressed(content.again(0), codec, reading, budget.again, chunk, content.again), start)

    return Bytes(decompressed(content.pieces, codec, reading, budget, chunk, content.again, rest), again)


class Forward:
    """Pieces as a file that is read from its beginning to its end.

    Args:
        pieces: the stream.

    Attributes:
        at: how many bytes were taken.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.at = 0
        self._pieces = pieces
        self._piece = b""
        self._from = 0

    def _more(self) -> int:
        """Bytes at hand; 0 at the end."""
        while self._from >= len(self._piece):
            # Let go before the next is made.
            self._piece, self._from = b"", 0
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._piece = piece
        return len(self._piece) - self._from

    def run(self, size: int | None = None) -> Iterator[bytes]:
        """Yield the next `size` bytes (null: all) in pieces as they come; fewer at the end."""
        while (size is None or size > 0) and (here := self._more()):
            here = here if size is None else min(size, here)
            piece = self._piece[self._from : self._from + here]
            # Counted before it is given away: who stops here has taken it.
            self._from += here
            self.at += here
            if size is not None:
                size -= here
            yield piece

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes; fewer at the end."""
        return b"".join(self.run(size))

    def skip(self, size: int) -> int:
        """Pass over `size` bytes, and return how many there were."""
        return sum(len(piece) for piece in self.run(size))

    def unread(self, data: bytes) -> None:
        """Put back what was taken last."""
        self.at -= len(data)
        start = self._from - len(data)
        if start >= 0 and self._piece[start : self._from] == data:
            self._from = start
        else:
            self._piece, self._from = data + self._piece[self._from :], 0

    def until(self, needle: bytes) -> bool:
        """Go forward to the next `needle` (two bytes at least), and say whether there is one."""
        tail = b""
        while part := self.take(_SCAN):
            seen = tail + part
            found = seen.find(needle)
            if found >= 0:
                self.unread(seen[found:])
                return True
            tail = seen[1 - len(needle) :]
        return False


class Rewinding(io.RawIOBase):
    """A stream as a file that can be read from any place: forward by reading on, backward by opening again.

    What was read last is kept, so that looking back a little (at the directory of a small zip) costs nothing.

    Args:
        opening: opens the stream at a byte.
        size: bytes of the stream, if known; else found out by reading to the end.
        first: the stream opened at its beginning already.
        cheap: whether opening it at any byte costs next to nothing.
        keep: bytes that are kept.
    """

    def __init__(
        self,
        opening: Opening,
        size: int | None = None,
        *,
        first: Iterator[bytes] | None = None,
        cheap: bool = False,
        keep: int = _KEEP,
    ) -> None:
        super().__init__()
        self._opening = opening
        self._size = size
        self._pieces = first
        self._cheap = cheap
        self._keep = keep
        self._kept = bytearray()
        self._start = 0
        self._at = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a byte; nothing is read before bytes are asked for, unless the size must be found out."""
        if whence == io.SEEK_CUR:
            offset += self._at
        elif whence == io.SEEK_END:
            offset += self._end()
        if offset < 0:
            raise ValueError(f"negative seek position {offset}")
        self._at = offset
        return offset

    def readinto(self, into: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill `into`; with less only at the end."""
        view, done = memoryview(into).cast("B"), 0
        while done < len(view) and self._reach(self._at):
            here = self._at - self._start
            part = self._kept[here : here + len(view) - done]
            view[done : done + len(part)] = part
            done += len(part)
            self._at += len(part)
        return done

    def close(self) -> None:
        """Let go of the stream."""
        self._pieces = None
        self._kept.clear()
        super().close()

    def _end(self) -> int:
        if self._size is None:
            while self._pull():
                pass
            self._size = self._start + len(self._kept)
        return self._size

    def _reach(self, at: int) -> bool:
        """Have the byte `at` at hand; false beyond the end."""
        if self._size is not None and at >= self._size:
            return False
        ahead = at - self._start - len(self._kept)
        # Where the size is not known, `at` may lie beyond the end: then it is found by reading on.
        if at < self._start or (self._size is not None and (self._pieces is None or (self._cheap and ahead > _OUT))):
            self._kept.clear()
            self._start, self._pieces = at, self._opening(at)
        while at >= self._start + len(self._kept):
            if not self._pull():
                return False
        return True

    def _pull(self) -> bool:
        """Take one piece more; false at the end."""
        if self._pieces is None:
            self._pieces = self._opening(self._start + len(self._kept))
        piece = next(self._pieces, None)
        if piece is None:
            return False
        gone = max(0, len(self._kept) - self._keep)
        del self._kept[:gone]
        self._start += gone
        self._kept += piece
        return True
