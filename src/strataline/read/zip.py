"""The members of a zip, as its directory has them, or where that is lost as they lie one after another.

The directory is parsed here: zipfile holds all of it at once, believes its sizes, and decompresses bz2 and LZMA
without a bound.
"""

from __future__ import annotations

import io
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from strataline.read.frame import Reading
from strataline.read.streams import Budget, Bytes, Forward, Member, Rewinding, after, name_of, part_of, unpacked

__all__ = ["zip_members"]

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_MAGIC = b"PK\x03\x04"
_LOCATOR = 20
_COMMENT = 65535
_FULL = 0xFFFFFFFF
_ENCRYPTED, _LZMA_END, _SIZES_AFTER = 0x1, 0x2, 0x8
_METHODS = {8: "deflate", 12: "bz2", 14: "lzma", 93: "zst", 95: "xz"}
_ENDING = ("deflate", "lzma")
"""Of these it shows where they end."""

_UNIX = (3, 19)
_KINDS = {stat.S_IFLNK: "link", stat.S_IFIFO: "pipe", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
_SHORT = 1 << 16


@dataclass(frozen=True)
class _Entry:
    """What a zip says of one member; checksum and size are null where they come after the data.

    `at` is the first byte of its own header.
    """

    name: str
    kind: str
    flags: int
    method: int
    crc: int | None
    packed: int
    size: int | None
    at: int


def zip_members(content: Bytes, reading: Reading, budget: Budget, chunk: int) -> Iterator[Member]:
    """Walk the members of a zip in order of place, which costs one way through the file.

    Args:
        content: the zip.
        reading: its `cut` says what is missing or damaged, its `problem` that nothing of it can be read.
        budget: what the input may still expand to.
        chunk: bytes of a piece.
    """
    first = content.pieces if content.size is None else None
    with Rewinding(content.again, content.size, first=first, cheap=content.size is not None) as file:
        directory = _directory(file, file.seek(0, io.SEEK_END))
        if directory is None:
            yield from _without_directory(content, reading, budget, chunk)
            return
        start, end, shift = directory
        entries = []
        for entry in _entries(file, start, end, shift, reading):
            entries.append(entry)
            # One more than is allowed, so that it is said.
            if budget.members + len(entries) > budget.limits.max_members:
                break
        entries.sort(key=lambda entry: entry.at)
        ends = [entry.at for entry in entries[1:]] + [start]
        for entry, bound in zip(entries, ends, strict=False):
            of_member = Reading()
            file.seek(entry.at)
            header = file.read(_LOCAL.size) or b""
            data, size = 0, 0
            if not header.startswith(_LOCAL_MAGIC) or len(header) < _LOCAL.size:
                of_member.problem = "no member lies where the directory of the zip says"
            else:
                data = entry.at + _LOCAL.size + sum(_LOCAL.unpack(header)[-2:])
                if data + entry.packed > bound:
                    of_member.problem = "it overlaps another member, or the directory, of the zip"
                else:
                    size = entry.packed
            again = part_of(content.again, data, size)
            raw = Bytes(_read(file, data, size, chunk), again, None if content.size is None else size)
            yield _member(entry, raw, of_member, budget, chunk)


def _read(file: Rewinding, at: int, size: int, chunk: int) -> Iterator[bytes]:
    file.seek(at)
    while size > 0 and (piece := file.read(min(size, chunk))):
        size -= len(piece)
        yield piece


def _member(
    entry: _Entry, raw: Bytes, reading: Reading, budget: Budget, chunk: int, rest: list[bytes] | None = None
) -> Member:
    """A member out of its bytes as they lie in the zip; they are all that is given of one that cannot be read."""
    codec = _METHODS.get(entry.method)
    if reading.problem is None and entry.flags & _ENCRYPTED:
        reading.problem = "the member is encrypted"
    if reading.problem is None and entry.method and codec is None:
        reading.problem = f"the member is packed in a way that is not read (zip method {entry.method})"
    if reading.problem is not None:
        return Member(entry.name, raw, reading, entry.kind)
    if codec == "lzma":
        raw = _alone(raw, entry)
    content = raw if codec is None else unpacked(raw, codec, reading, budget, chunk, rest)
    content = replace(content, pieces=_checked(content.pieces, entry, reading))
    return Member(entry.name, content, reading, entry.kind)


def _checked(pieces: Iterator[bytes], entry: _Entry, reading: Reading) -> Iterator[bytes]:
    """Yield `pieces`, and say if they are not what the zip states."""
    crc, size = 0, 0
    for piece in pieces:
        crc, size = zlib.crc32(piece, crc), size + len(piece)
        yield piece
    if reading.cut is not None:
        return
    if entry.size not in (None, size):
        reading.cut = f"zip member damaged: it has {size} bytes, and the zip states {entry.size}"
    elif entry.crc not in (None, crc):
        reading.cut = "zip member damaged: its checksum does not match"


def _alone(raw: Bytes, entry: _Entry) -> Bytes:
    """LZMA as it lies in a zip to LZMA as it lies in a file of its own: the same, behind another header."""
    unknown = entry.flags & _LZMA_END or entry.size is None
    size = b"\xff" * 8 if unknown else (entry.size or 0).to_bytes(8, "little")

    def alone(pieces: Iterator[bytes]) -> Iterator[bytes]:
        source = Forward(pieces)
        yield source.take(9)[4:] + size
        yield from source.run()

    return Bytes(alone(raw.pieces), lambda start: after(alone(raw.again(0)), start))


def _directory(file: Rewinding, total: int) -> tuple[int, int, int] | None:
    """Where the directory of a zip begins and ends, and how many bytes lie before the zip; null if there is none."""
    base = max(0, total - _END.size - _COMMENT - _END_64.size - _LOCATOR)
    file.seek(base)
    tail = file.read(total - base) or b""
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or len(tail) < found + _END.size:
        return None
    _, _, _, _, _, size, offset, _ = _END.unpack_from(tail, found)
    wide = found - _LOCATOR - _END_64.size
    if wide >= 0 and tail.startswith(b"PK\x06\x07", found - _LOCATOR) and tail.startswith(b"PK\x06\x06", wide):
        *_, size, offset = _END_64.unpack_from(tail, wide)
        found = wide
    end = base + found
    start = end - size
    return None if start < 0 or start < offset else (start, end, start - offset)


def _entries(file: Rewinding, at: int, end: int, shift: int, reading: Reading) -> Iterator[_Entry]:
    """Yield the entries of the directory from `at` to `end`, up to damage."""
    while at < end:
        file.seek(at)
        fixed = file.read(_CENTRAL.size) or b""
        if not fixed.startswith(b"PK\x01\x02") or len(fixed) < _CENTRAL.size:
            reading.cut = reading.cut or f"zip damaged: its directory breaks off at byte {at}"
            return
        fields = _CENTRAL.unpack(fixed)
        _, made, _, flags, method, _, _, crc, packed, size, names, extras, notes, _, _, attributes, offset = fields
        name, extra = file.read(names) or b"", file.read(extras) or b""
        at += _CENTRAL.size + names + extras + notes
        size, packed, offset = _wide(extra, [size, packed, offset])
        mode = attributes >> 16 if made >> 8 in _UNIX else 0
        kind = _KINDS.get(stat.S_IFMT(mode)) or _kind(name, size)
        yield _Entry(name_of(name), kind, flags, method, crc, packed, size, offset + shift)


def _kind(name: bytes, size: int) -> str:
    return "folder" if name.endswith(b"/") and not size else "file"


def _wide(extra: bytes, values: list[int]) -> list[int]:
    """Numbers of a header, those that are too large for it from its zip64 field."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if kind == 1:
            wide = iter(struct.unpack_from(f"<{min(size, len(extra) - at - 4) // 8}Q", extra, at + 4))
            return [next(wide, value) if value == _FULL else value for value in values]
        at += 4 + size
    return values


def _without_directory(content: Bytes, reading: Reading, budget: Budget, chunk: int) -> Iterator[Member]:
    """Walk a zip that lost its directory from one member's own header to the next."""
    source = Forward(content.again(0))
    found = False
    while not budget.spent and source.until(_LOCAL_MAGIC):
        at = source.at
        header = source.take(_LOCAL.size)
        if len(header) < _LOCAL.size:
            break
        _, _, flags, method, _, _, crc, packed, size, names, extras = _LOCAL.unpack(header)
        name, extra = source.take(names), source.take(extras)
        if len(name) < names or len(extra) < extras:
            break
        if not found:
            reading.cut = reading.cut or "zip ends without its directory; its members were found one by one"
            found = True
        size, packed = _wide(extra, [size, packed])
        entry = _Entry(name_of(name), _kind(name, size), flags, method, crc, packed, size, at)
        of_member, first = Reading(), source.at
        if packed or not flags & _SIZES_AFTER:
            again = part_of(content.again, first, packed)
            pieces = _stored(source, packed, of_member)
            raw = Bytes(pieces, again, None if content.size is None else packed)
            yield _member(entry, raw, of_member, budget, chunk)
            source.skip(first + packed - source.at)
        elif entry.kind == "folder" or flags & _ENCRYPTED or _METHODS.get(method) not in _ENDING:
            of_member.problem = "its length is not stated, and the directory of the zip is missing"
            yield Member(entry.name, Bytes(iter(()), lambda _: iter(())), of_member, entry.kind)
        else:
            # What follows the member comes back, so that the next is looked for there.
            rest: list[bytes] = []
            last = [b""]
            raw = Bytes(_remembered(source, last), part_of(content.again, first))
            member = _member(replace(entry, crc=None, size=None), raw, of_member, budget, chunk, rest)
            yield member
            for _ in member.content.pieces:
                pass
            source.unread(rest[0] if rest else last[0])
    if not found and not budget.spent:
        reading.problem = "it begins as a zip does, and neither a directory nor a member of it can be read"


def _stored(source: Forward, size: int, reading: Reading) -> Iterator[bytes]:
    """Yield the next `size` bytes, and say if there are fewer."""
    end = source.at + size
    yield from source.run(size)
    if source.at < end:
        reading.cut = reading.cut or "zip ends in the middle of the member"


def _remembered(source: Forward, last: list[bytes]) -> Iterator[bytes]:
    """Yield what follows in short pieces, the last of which can be put back."""
    while piece := source.take(_SHORT):
        last[0] = piece
        yield piece
