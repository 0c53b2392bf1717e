"""The members of a tar, from its first header to its last.

Headers are parsed by tarfile; the walk is our own, as that of tarfile ends without a word at a damaged header, reads
whole what a header sizes, recurses on chained headers, and seeks beyond the end one block at a time.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from strataline.read.frame import Reading
from strataline.read.streams import Budget, Bytes, Forward, Member, after, name_of, part_of

__all__ = ["BLOCK", "header_of", "tar_members"]

BLOCK = 512
"""Bytes of a header; what follows it is padded to as many."""

_HEADER = 1 << 20
"""Bytes of the longest header (a name, pax records) that is taken in."""

_HOLES = 1 << 16
"""Parts of the sparsest file that is put together."""

_ZEROS = 1 << 20
"""Bytes of a hole that are given at once."""

_KINDS = {
    tarfile.DIRTYPE: "folder",
    # A folder and a volume as old GNU tars name them.
    b"D": "folder",
    b"V": "folder",
    tarfile.LNKTYPE: "link",
    tarfile.SYMTYPE: "link",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
    tarfile.FIFOTYPE: "pipe",
    # What Solaris and old GNU tars keep beside files.
    b"A": "other",
    b"E": "other",
    b"I": "other",
    b"N": "other",
}
_WITHOUT_DATA = b"123456"
_EXTENDED = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_BEFORE_HEADER = (*_EXTENDED, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_SPARSE = b"GNU.sparse."


@dataclass(frozen=True)
class _Holes:
    """Parts of a sparse file that hold data, as (offset, length), and its length."""

    parts: list[tuple[int, int]]
    size: int


_UNKNOWN_HOLES = _Holes([(-1, 0)], 0)


def header_of(block: bytes) -> tarfile.TarInfo | None:
    """Return what the header of a tar says; null if `block` is none, as its checksum tells."""
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "backslashreplace")
    except tarfile.TarError:
        return None


def tar_members(content: Bytes, reading: Reading, budget: Budget) -> Iterator[Member]:
    """Walk a tar (v7, ustar, pax, GNU) from header to header; after a damaged one, to the next that holds.

    Args:
        content: the tar.
        reading: its `cut` says what is missing or damaged.
        budget: what the holes of sparse members count for.
    """
    source = Forward(content.pieces)
    everywhere: dict[bytes, bytes] = {}
    extended: dict[bytes, bytes] = {}
    long: bytes | None = None
    lost, lost_at, ended = 0, 0, False
    while True:
        at = source.at
        block = source.take(BLOCK)
        if len(block) < BLOCK:
            if block or not ended:
                reading.cut = reading.cut or ("tar ends in the middle" if block else "tar ends without its end mark")
            break
        if not block.strip(b"\0"):
            ended = True
            continue
        info = header_of(block)
        if info is None or info.size < 0 or (info.type in _BEFORE_HEADER and info.size > _HEADER):
            lost, lost_at = lost + BLOCK, lost_at if lost else at
            continue
        ended = False
        if info.type in _BEFORE_HEADER:
            body = source.take(_blocks(info.size))[: info.size]
            if info.type == tarfile.GNUTYPE_LONGNAME:
                long = body.rstrip(b"\0")
            elif info.type == tarfile.XGLTYPE:
                everywhere |= _pax(body)
            elif info.type in _EXTENDED:
                extended |= _pax(body)
            continue
        pax = everywhere | extended
        name = pax.get(_SPARSE + b"name") or pax.get(b"path") or (info.name.encode() if long is None else long)
        long, extended = None, {}
        stated = _number(pax.get(b"size", b""))
        size = 0 if info.type in _WITHOUT_DATA else info.size if stated < 0 else stated
        start = source.at
        holes = _holes(info, block, pax, source)
        # The map of holes lies before the data: beside what the header sizes, or in pax 1.0 inside of that.
        end = size + (start if _SPARSE + b"major" in pax else source.at)
        of_member = Reading()
        lies = _content(content, source, max(0, end - source.at), holes, of_member, reading, budget)
        yield Member(name_of(name), lies, of_member, _KINDS.get(info.type, "file"))
        source.skip(end - source.at)
        if source.at < end:
            reading.cut = reading.cut or "tar ends in the middle"
            break
        source.skip(_blocks(end) - end)
    if lost:
        reading.cut = reading.cut or f"tar damaged: {lost} bytes from byte {lost_at} on belong to no member"


def _blocks(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _content(
    tar: Bytes, source: Forward, stored: int, holes: _Holes | None, reading: Reading, archive: Reading, budget: Budget
) -> Bytes:
    """The bytes of the member whose `stored` ones come next."""
    lies = part_of(tar.again, source.at, stored)
    if holes is None:
        return Bytes(_stored(source, stored, reading, archive), lies, None if tar.size is None else stored)

    def again(start: int) -> Iterator[bytes]:
        return after(_filled(Forward(lies(0)), stored, holes, Reading(), Reading(), budget.again), start)

    return Bytes(_filled(source, stored, holes, reading, archive, budget), again)


def _stored(source: Forward, size: int, reading: Reading, archive: Reading) -> Iterator[bytes]:
    """Yield the next `size` bytes, and say if there are fewer."""
    end = source.at + size
    yield from source.run(size)
    if source.at < end:
        reading.cut = reading.cut or archive.cut or "tar ends in the middle of the member"


def _filled(
    source: Forward, stored: int, holes: _Holes, reading: Reading, archive: Reading, budget: Budget
) -> Iterator[bytes]:
    """Yield a sparse member with its holes filled: they count as what a compressed stream expands to."""
    at, left = 0, stored
    for offset, length in [*holes.parts, (holes.size, 0)]:
        if offset < at or length > left:
            reading.cut = reading.cut or "sparse member damaged: its parts do not lie one after another"
            return
        while at < offset:
            zeros = budget.taken(bytes(min(offset - at, _ZEROS)))
            at += len(zeros)
            if zeros:
                yield zeros
            refusal = budget.refusal("sparse member", at, stored + BLOCK)
            if refusal is not None:
                reading.cut = reading.cut or refusal
                return
        yield from _stored(source, length, reading, archive)
        if reading.cut is not None:
            return
        at, left = offset + length, left - length


def _pax(body: bytes) -> dict[bytes, bytes]:
    """The records of a pax header that tell name, size and holes."""
    found: dict[bytes, bytes] = {}
    parts: list[bytes] = []
    at = 0
    while at < len(body):
        space = body.find(b" ", at, at + 9)
        length = _number(body[at : max(space, at)])
        if length <= space - at + 1:
            break
        key, _, value = body[space + 1 : at + length - 1].partition(b"=")
        if key in (_SPARSE + b"offset", _SPARSE + b"numbytes"):
            parts.append(value)
        elif key in (b"path", b"size") or key.startswith(_SPARSE):
            found[key] = value
        at += length
    if parts:
        found[_SPARSE + b"map"] = b",".join(parts)
    return found


def _number(text: bytes) -> int:
    """A decimal number; -1 for what is none."""
    return int(text) if text.isdigit() and len(text) < 20 else -1


def _octal(text: bytes) -> int:
    """A number of a tar header, octal or in base 256; -1 for what is none."""
    if text[0] & 0x80:
        return int.from_bytes(bytes([text[0] & 0x7F]) + text[1:], "big")
    text = text.split(b"\0")[0].strip()
    return int(text or b"0", 8) if not text.strip(b"01234567") else -1


def _holes(info: tarfile.TarInfo, block: bytes, pax: dict[bytes, bytes], source: Forward) -> _Holes | None:
    """Where the data of a sparse member lie, in the four ways that GNU tar has; null for another member."""
    if info.type == tarfile.GNUTYPE_SPARSE:
        parts, more = _old_parts(block[386:482]), block[482]
        while more and len(parts) < _HOLES and len(further := source.take(BLOCK)) == BLOCK:
            parts, more = parts + _old_parts(further[:504]), further[504]
        return _UNKNOWN_HOLES if more else _Holes(parts, _octal(block[483:495]))
    size = _number(pax.get(_SPARSE + b"realsize") or pax.get(_SPARSE + b"size") or b"")
    if _SPARSE + b"major" in pax:
        numbers = _map_before_data(source)
    elif _SPARSE + b"map" in pax:
        numbers = [_number(one) for one in pax[_SPARSE + b"map"].split(b",")]
    else:
        return None
    if numbers is None or min(numbers, default=0) < 0 or len(numbers) % 2 or size < 0:
        return _UNKNOWN_HOLES
    return _Holes(list(zip(numbers[::2], numbers[1::2], strict=True)), size)


def _old_parts(block: bytes) -> list[tuple[int, int]]:
    pairs = [(_octal(block[at : at + 12]), _octal(block[at + 12 : at + 24])) for at in range(0, len(block) - 23, 24)]
    return [(offset, length) for offset, length in pairs if length]


def _map_before_data(source: Forward) -> list[int] | None:
    """The numbers of a pax 1.0 map: how many pairs, then the pairs, a line each; null where they are not there."""
    numbers: list[int] = []
    carry = b""
    while len(numbers) <= 2 * _HOLES and len(block := source.take(BLOCK)) == BLOCK:
        *lines, carry = (carry + block).split(b"\n")
        numbers += map(_number, lines)
        if min(numbers, default=-1) < 0:
            # Zero bytes pad the last block, and hold no line end.
            return None
        if len(numbers) > 2 * numbers[0]:
            return numbers[1 : 2 * numbers[0] + 1]
    return None
