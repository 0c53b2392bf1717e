"""What ids look like: an entity's number, mixed with a salt, written in the style of its family.

Nothing is stored: the same salt and number give the same text, so a part of a run can name what another part made.
"""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

STYLES = ("uuid", "hex32", "hex16", "req", "chatcmpl", "msg", "sess", "ulid", "counter", "user")
"""Every style of an id."""

FORMS = ("plain", "upper", "dashed")
"""How a service may write an id of hexadecimal digits: as it is, in capitals, or with dashes as a UUID has them."""

COUNTER_BITS = 40
"""A counter's number holds the count in its low bits, and above them how often it had restarted."""

CONSTANT = -2
"""Entities from here downwards are no ids at all: constants that stand where an id should."""

CONSTANTS = ("unknown", "sk-7f1c0f4e9a2b4d5e8c3a6b1d2e4f5a6b", "default", "9b74c9897bac770ffc029102a200c5de")

_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_WORD = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", dtype=np.uint8)
_CROCKFORD = np.frombuffer(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", dtype=np.uint8)


def salt(*parts: object) -> int:
    """A number of 64 bits for a name."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def mix(number: NDArray[np.int64], key: int) -> NDArray[np.uint64]:
    """Sixty-four well-mixed bits for each number (splitmix64)."""
    value = number.astype(np.int64, copy=False).view(np.uint64) + np.uint64(key)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def unit(number: NDArray[np.int64], key: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each number: the same again for the same key."""
    return (mix(number, key) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def digits(entity: NDArray[np.int64], key: int, count: int) -> NDArray[np.uint8]:
    """`count` (at most 32) hexadecimal digits, from 0 to 15, for each entity."""
    words = np.stack([mix(entity, key), mix(entity, key ^ 0x5851F42D4C957F2D)], axis=1)
    octets = words.view(np.uint8).reshape(len(entity), 16)[:, : (count + 1) // 2]
    return np.stack([octets >> 4, octets & 15], axis=2).reshape(len(entity), -1)[:, :count]


def _text(matrix: NDArray[np.uint8]) -> pl.Series:
    """Rows of characters as strings."""
    rows, width = matrix.shape
    offsets = np.arange(rows + 1, dtype=np.int64) * width
    array = pa.LargeStringArray.from_buffers(
        rows, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(matrix).reshape(-1))
    )
    return pl.Series(pl.from_arrow(array))


def _led(lead: bytes, rest: NDArray[np.uint8]) -> NDArray[np.uint8]:
    head = np.broadcast_to(np.frombuffer(lead, dtype=np.uint8), (len(rest), len(lead)))
    return np.concatenate([head, rest], axis=1)


def dashed(hexadecimal: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Thirty-two characters with dashes as a UUID has them."""
    dash = np.full((len(hexadecimal), 1), ord("-"), dtype=np.uint8)
    pieces = np.split(hexadecimal, [8, 12, 16, 20], axis=1)
    return np.concatenate([part for piece in pieces for part in (piece, dash)][:-1], axis=1)


def hexadecimal(entity: NDArray[np.int64], key: int, count: int = 32) -> pl.Series:
    """`count` hexadecimal digits for each entity."""
    return _text(_HEX[digits(entity, key, count)])


def render(entity: NDArray[np.int64], style: str, key: int, form: str = "plain") -> pl.Series:
    """The text of each entity's id.

    Args:
        entity: numbers; those at or below `CONSTANT` become one of `CONSTANTS`.
        style: one of `STYLES`.
        key: what sets this family of ids apart from others with the same numbers.
        form: one of `FORMS`; only for the styles uuid and hex32.
    """
    if not len(entity):
        return pl.Series(dtype=pl.String)
    if style == "counter":
        text = pl.Series(entity & ((1 << COUNTER_BITS) - 1)).cast(pl.String)
    elif style == "user":
        text = pl.Series("u_" + pl.Series(10_000 + entity).cast(pl.String))
    elif style in ("uuid", "hex32"):
        letters = _HEX[digits(entity, key, 32)]
        if style == "uuid":
            letters[:, 12] = ord("4")
            letters[:, 16] = _HEX[8 + (letters[:, 16] & 3)]
        if form == "upper":
            letters = np.where(letters >= ord("a"), letters - 32, letters).astype(np.uint8)
        text = _text(dashed(letters) if (style == "uuid") != (form == "dashed") else letters)
    elif style in ("hex16", "msg", "sess", "req"):
        lead, width = {"hex16": (b"", 16), "msg": (b"msg_", 16), "sess": (b"sess_", 16), "req": (b"req_", 24)}[style]
        text = _text(_led(lead, _HEX[digits(entity, key, width)]))
    elif style in ("chatcmpl", "ulid"):
        lead, width, letters = (b"chatcmpl-", 29, _WORD) if style == "chatcmpl" else (b"01K", 23, _CROCKFORD)
        high, low = digits(entity, key, 32)[:, :width], digits(entity, ~key & 0xFFFF, 32)[:, :width]
        text = _text(_led(lead, letters[(high * 16 + low) % len(letters)]))
    else:
        raise ValueError(f"no style of ids is called {style}")
    constant = entity <= CONSTANT
    if constant.any():
        which = pl.Series(CONSTANTS).gather(pl.Series(np.where(constant, CONSTANT - entity, 0) % len(CONSTANTS)))
        text = (
            pl.DataFrame({"text": text, "which": which, "constant": constant})
            .select(pl.when("constant").then("which").otherwise("text"))
            .to_series()
        )
    return text
