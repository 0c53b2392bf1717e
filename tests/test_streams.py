"""Compressed streams: every codec, cut and damaged anywhere, and what limits hold."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from functools import partial

import lz4.frame  # type: ignore[import-untyped]
import pytest
from hypothesis import example, given, settings, strategies as st

from strataline.read import streams as room
from strataline.read.frame import Reading
from strataline.read.streams import Budget, Forward, Limits, Rewinding, after, codec_of, decompressed, peeked

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": partial(gzip.compress, mtime=0),
    "zst": zstd.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lz4": lz4.frame.compress,
}
NAMES = {"gz": "gzip"}
CODECS = sorted(PACK)


def pieces_of(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def unpacked(
    data: bytes, codec: str, *, size: int = 1 << 16, chunk: int = 1 << 20, limits: Limits | None = None
) -> tuple[bytes, str | None]:
    reading = Reading()

    def again(start: int) -> Iterator[bytes]:
        return after(pieces_of(data, size), start)

    plain = decompressed(again(0), codec, reading, Budget(limits or Limits()), chunk, again)
    return b"".join(plain), reading.cut


def unlike(size: int, seed: int = 0) -> bytes:
    """Lines that do not compress to next to nothing."""
    rng = random.Random(seed)  # noqa: S311 - data, no secret
    lines = b"".join(b'{"n": %d, "id": "%x"}\n' % (n, rng.getrandbits(64)) for n in range(size // 30 + 1))
    return lines[:size]


class OneByOne:
    """What a library gives of a stream that is fed byte by byte, and taken byte by byte: all that it can."""

    def __init__(self, codec: str) -> None:
        self.codec = codec

    def of(self, data: bytes) -> bytes:
        engine = room._engine(self.codec)
        made = bytearray()
        for at in range(len(data)):
            part = data[at : at + 1]
            while not engine.eof:
                try:
                    plain = engine.decompress(part, 1)
                except room._DAMAGE:
                    return bytes(made)
                made += plain
                part = b""
                if not plain:
                    break
        return bytes(made)


@pytest.mark.parametrize("codec", CODECS)
def test_codec_is_told_by_its_first_bytes(codec: str) -> None:
    assert codec_of(PACK[codec](b"some text\n")) == codec
    assert codec_of(PACK[codec](b"")) == codec


@pytest.mark.parametrize(
    "head",
    [b"", b"\x1f", b"BZh", b"BZh9 is no bzip2\n", b"BZhello", b"{}", b"\xfd7zX", b"PK\x03\x04", b"\x28\xb5\x2f"],
)
def test_what_only_looks_like_a_codec_is_none(head: bytes) -> None:
    assert codec_of(head) is None


@pytest.mark.parametrize("codec", ["zst", "lz4"])
def test_skippable_frames_are_passed_over_wherever_they_stand(codec: str) -> None:
    skipped = b"\x53\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"12345"
    data = skipped + skipped + PACK[codec](b"one\n") + skipped + PACK[codec](b"two\n") + skipped
    assert codec_of(data) == codec
    assert unpacked(data, codec) == (b"one\ntwo\n", None)
    assert codec_of(skipped) == "zst"


@given(
    codec=st.sampled_from(CODECS),
    members=st.lists(st.binary(max_size=40), min_size=1, max_size=4),
    padding=st.sampled_from([0, 1, 4, 700]),
    size=st.integers(1, 90),
    chunk=st.integers(1, 90),
)
@settings(max_examples=60, deadline=None)
def test_members_read_as_their_contents_one_after_another(
    codec: str, members: list[bytes], padding: int, size: int, chunk: int
) -> None:
    packed = b"".join(PACK[codec](one) + bytes(padding) for one in members)
    assert unpacked(packed, codec, size=size, chunk=chunk) == (b"".join(members), None)


@given(codec=st.sampled_from(CODECS), data=st.data(), size=st.integers(1, 200), chunk=st.sampled_from([1, 7, 4096]))
@settings(max_examples=50, deadline=None)
def test_cut_at_any_byte_gives_all_that_lies_before_it(codec: str, data: st.DataObject, size: int, chunk: int) -> None:
    plain = unlike(700, seed=data.draw(st.integers(0, 5)))
    first = PACK[codec](plain)
    packed = first + PACK[codec](plain[:100])
    kept = data.draw(st.integers(1, len(packed) - 1))
    found, cut = unpacked(packed[:kept], codec, size=size, chunk=chunk)
    if kept == len(first):
        assert (found, cut) == (plain, None)
        return
    assert cut == f"{NAMES.get(codec, codec)} stream ends in the middle"
    whole = plain if kept > len(first) else b""
    assert found == whole + OneByOne(codec).of(packed[len(first) if whole else 0 : kept])
    assert (plain + plain[:100]).startswith(found)


@given(
    codec=st.sampled_from(CODECS),
    at=st.floats(0.2, 1, exclude_max=True),
    bit=st.integers(0, 7),
    size=st.sampled_from([50, 3000, 1 << 16]),
    chunk=st.sampled_from([64, 1 << 20]),
)
@example(codec="gz", at=0.999, bit=0, size=50, chunk=64)
@settings(max_examples=50, deadline=None)
def test_damage_costs_nothing_that_the_library_gives_before_it(
    codec: str, at: float, bit: int, size: int, chunk: int
) -> None:
    packed = bytearray(PACK[codec](unlike(3000)))
    packed[int(at * len(packed))] ^= 1 << bit
    found, cut = unpacked(bytes(packed), codec, size=size, chunk=chunk)
    assert found == OneByOne(codec).of(bytes(packed))
    if len(found) != 3000:
        assert cut is not None


@pytest.mark.parametrize("codec", CODECS)
def test_damage_far_into_a_long_member_is_found_by_opening_it_again(
    codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_PAST", 1000)
    plain = unlike(60_000)
    packed = bytearray(PACK[codec](b"before\n") + PACK[codec](plain))
    packed[-len(packed) // 4] ^= 0x55
    found, cut = unpacked(bytes(packed), codec, size=7000)
    skipped = len(PACK[codec](b"before\n"))
    assert found == b"before\n" + OneByOne(codec).of(bytes(packed[skipped:]))
    # The others hold no checksum unless they are asked to.
    assert cut is not None or codec in ("lz4", "zst")


def test_checksum_that_does_not_match_costs_no_byte() -> None:
    packed = bytearray(gzip.compress(unlike(5000)))
    packed[-8] ^= 1
    found, cut = unpacked(bytes(packed), "gz")
    assert found == unlike(5000)
    assert cut is not None
    assert cut.startswith("gzip stream damaged: ")


@pytest.mark.parametrize("codec", CODECS)
def test_garbage_after_a_stream_costs_no_byte(codec: str) -> None:
    found, cut = unpacked(PACK[codec](unlike(500)) + b"this is none of it\n", codec)
    assert found == unlike(500)
    assert cut is not None


def test_invalid_block_in_gzip_keeps_what_was_flushed_before_it() -> None:
    zipper = zlib.compressobj(wbits=31)
    sound = zipper.compress(unlike(5000)) + zipper.flush(zlib.Z_FULL_FLUSH)
    for size in (1, 64, 1 << 20):
        assert unpacked(sound + b"\x07" + b"\xff" * 40, "gz", size=size)[0] == unlike(5000)


@pytest.mark.parametrize("codec", CODECS)
def test_many_tiny_members_take_linear_time_and_are_not_a_piece_each(codec: str) -> None:
    packed = PACK[codec](b"one line of a log\n") * 10_000
    before = time.process_time()
    reading = Reading()
    found = list(decompressed(pieces_of(packed, 1 << 20), codec, reading, Budget(Limits()), 1 << 20))
    assert time.process_time() - before < 1
    assert b"".join(found) == b"one line of a log\n" * 10_000
    assert len(found) == 1
    assert reading.cut is None


def test_first_to_say_why_a_stream_ends_stands() -> None:
    reading = Reading(cut="the file ends at byte 9 and no longer at byte 99")
    list(decompressed(iter([gzip.compress(b"x" * 99)[:15]]), "gz", reading, Budget(Limits())))
    assert reading.cut == "the file ends at byte 9 and no longer at byte 99"


# Limits.


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("limit", [0, 1, 4999, 5000])
def test_total_is_held_to_the_byte(codec: str, limit: int) -> None:
    found, cut = unpacked(PACK[codec](unlike(5000)), codec, limits=Limits(max_expand=limit), chunk=700)
    assert found == unlike(5000)[:limit]
    assert cut == (
        None if limit == 5000 else f"stopped: this input expands to more than {limit} bytes in all (--max-expand)"
    )


def test_total_is_of_all_streams_together() -> None:
    budget, packed = Budget(Limits(max_expand=1500)), gzip.compress(unlike(1000))
    found = [b"".join(decompressed(iter([packed]), "gz", Reading(), budget)) for _ in range(3)]
    assert [len(one) for one in found] == [1000, 500, 0]
    assert budget.spent


@pytest.mark.parametrize("codec", CODECS)
def test_bomb_is_stopped_by_its_ratio_in_bounded_memory(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "FREE", 1 << 20)
    packed = PACK[codec](bytes(16 << 20))
    reading, size = Reading(), 0
    tracemalloc.start()
    for piece in decompressed(pieces_of(packed, 1 << 16), codec, reading, Budget(Limits(max_ratio=30)), 1 << 20):
        size += len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reading.cut == f"stopped: the {NAMES.get(codec, codec)} stream expands to more than 30 times its size"
    assert 1 << 20 <= size < 3 << 20
    # The window of xz is 8 MiB by itself.
    assert peak < (14 if codec == "xz" else 6) << 20


def test_repetitive_log_passes_whatever_its_ratio() -> None:
    plain = b'{"status": "ok"}\n' * 200_000
    assert unpacked(zstd.compress(plain), "zst", limits=Limits(max_ratio=10)) == (plain, None)


def test_zeros_without_end_are_stopped_where_the_total_says() -> None:
    zipper = zlib.compressobj(wbits=31)
    packed = b"".join(zipper.compress(bytes(1 << 22)) for _ in range(6)) + zipper.flush()
    reading, size = Reading(), 0
    for piece in decompressed(iter([packed]), "gz", reading, Budget(Limits(max_expand=9 << 20)), 1 << 20):
        size += len(piece)
    assert size == 9 << 20
    assert reading.cut is not None
    assert "--max-expand" in reading.cut


def test_xz_that_asks_for_gibibytes_of_memory_is_refused() -> None:
    head = lzma.compress(b"x" * 99, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}])
    # The dictionary's size is one byte of the block header, before its checksum.
    block = bytearray(head[12:24])
    block[4] = 39
    block[8:12] = zlib.crc32(bytes(block[:8])).to_bytes(4, "little")
    found, cut = unpacked(head[:12] + bytes(block) + head[24:], "xz")
    assert found == b""
    assert cut == "xz stream damaged: Memory usage limit exceeded"


# Pieces as files.


@given(data=st.binary(max_size=60), size=st.integers(1, 9), moves=st.lists(st.integers(0, 20), max_size=12))
@settings(max_examples=60, deadline=None)
def test_forward_takes_what_a_file_gives(data: bytes, size: int, moves: list[int]) -> None:
    file, source = io.BytesIO(data), Forward(pieces_of(data, size))
    for move in moves:
        taken = source.take(move)
        assert taken == file.read(move)
        assert source.at == file.tell()
        if move % 3 == 0:
            source.unread(taken)
            file.seek(-len(taken), io.SEEK_CUR)
    assert b"".join(source.run()) == file.read()


@given(before=st.binary(max_size=20), size=st.integers(1, 9), skip=st.integers(0, 9))
@example(before=b"PPK\x03", size=1, skip=0)
@settings(max_examples=80, deadline=None)
def test_forward_finds_a_needle_wherever_pieces_end(before: bytes, size: int, skip: int) -> None:
    data = before + b"PK\x03\x04" + b"after"
    source = Forward(pieces_of(data, size))
    skip = source.skip(skip)
    at = data.find(b"PK\x03\x04", skip)
    assert source.until(b"PK\x03\x04") == (at >= 0)
    if at >= 0:
        assert source.at == at
        assert source.take(99) == data[at:]
    assert not source.until(b"PK\x03\x04")


@given(
    data=st.binary(max_size=80),
    size=st.integers(1, 9),
    keep=st.sampled_from([0, 5, 1000]),
    moves=st.lists(st.tuples(st.integers(0, 90), st.integers(0, 30)), max_size=12),
    known=st.booleans(),
    cheap=st.booleans(),
)
@settings(max_examples=70, deadline=None)
def test_rewinding_reads_as_a_file_does(
    data: bytes, size: int, keep: int, moves: list[tuple[int, int]], known: bool, cheap: bool
) -> None:
    def opening(start: int) -> Iterator[bytes]:
        return after(pieces_of(data, size), start)

    with Rewinding(opening, len(data) if known else None, cheap=cheap, keep=keep) as file, io.BytesIO(data) as plain:
        for at, length in moves:
            assert file.seek(at) == plain.seek(at)
            assert file.read(length) == plain.read(length)
            assert file.tell() == plain.tell()
        assert file.seek(0, io.SEEK_END) == len(data)
        assert file.seek(-min(len(data), 3), io.SEEK_CUR) == max(0, len(data) - 3)
        assert file.read() == data[-3:]


def test_rewinding_opens_again_only_to_go_back_beyond_what_it_keeps() -> None:
    opened = []

    def opening(start: int) -> Iterator[bytes]:
        opened.append(start)
        return after(pieces_of(unlike(10_000), 100), start)

    with Rewinding(opening, keep=500) as file:
        assert file.seek(0, io.SEEK_END) == 10_000
        file.seek(-400, io.SEEK_END)
        assert file.read(100) == unlike(10_000)[-400:-300]
        assert opened == [0]
        file.seek(10)
        assert file.read(5) == unlike(10_000)[10:15]
        assert opened == [0, 10]
        with pytest.raises(ValueError, match="negative"):
            file.seek(-1)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_peeking_takes_nothing_away(size: int) -> None:
    head, pieces = peeked(pieces_of(b"0123456789", size), 4)
    assert head == b"0123"
    assert b"".join(pieces) == b"0123456789"
    assert peeked(iter(()), 4)[0] == b""
