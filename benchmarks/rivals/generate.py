"""The logs of a made-up product, as large as one likes: five layers, five schemas.

A request has ten records: two in each of five files of JSON lines. What makes logs hard to join by hand is in them:

- the request's id has another name in each file, and is nested in two of them;
- five forms of time: ISO ending in Z (ms), an epoch of seconds (float), ISO with +00:00 (us), ISO with +02:00 (us), and
  the browser's epoch of milliseconds, by a clock that is wrong by an offset of its own (normal, sd 2 s);
- one record in twenty carries no id of its request: of retrieval, policy and ui in one request of twelve each; a
  session or a user is left;
- records are written up to 300 ms late, and thus not in the order of their times;
- with damage, one line in a hundred is cut short, holds a byte that is no UTF-8, or follows a line that is no JSON.

The same size, seed and damage give the same bytes. Memory follows the block, not the size.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

LAYERS = ("prompt", "retrieval", "model", "policy", "ui")
FILES = {layer: f"{layer}.jsonl" for layer in LAYERS}
RECORDS, TURNS = 10, 4
"""Records of a request, and requests of a session."""

BLOCK = 10_000
"""Sessions that are drawn at once."""

START_US = 1_772_366_400_000_000
"""When it begins: 2026-03-01T12:00:00Z."""

PER_SECOND = 10
"""Requests in a second of the product's time."""

SKEW_S = 2.0
LATE_US = 300_000
WITHOUT_ID = 1 / 12
"""Of the requests of a layer that may lack ids."""

_WORDS = (
    *("refund", "order", "parcel", "account", "invoice", "delivery", "subscription", "password", "address", "warranty"),
    *(
        "return",
        "broken",
        "late",
        "café",
        "Größe",
        "please",
        "how",
        "where",
        "when",
        "which",
        "the",
        "my",
        "your",
        "is",
    ),
    *("not", "has", "been", "with", "from", "about", "policy", "customer", "support", "team", "within", "days"),
    *("cancel", "change", "update", "reset", "find", "track", "receive", "contact", "number", "email", "payment"),
    *("card", "charged", "twice", "missing", "item", "size"),
)
_UUID = ((0, 8), (8, 4), (12, 4), (16, 4), (20, 12))
_BANNER = b"--- log continues, writer restarted ---"


@dataclass
class Made:
    """What was written: bytes, records (banners among them), and those that can only become rejects."""

    bytes: int = 0
    records: int = 0
    rejected: int = 0


def generate(folder: Path, records: int, *, seed: int = 7, damaged: bool = False) -> Made:
    """Write the five files into `folder`, `records` in all (to the next 40), and say what was written.

    Without damage the truth stands beside them, ``truth.parquet``: file, line_no, request, and rank (causal order).
    """
    folder.mkdir(parents=True, exist_ok=True)
    sessions = -(-records // (RECORDS * TURNS))
    draw = np.random.default_rng(seed)
    users = max(1, sessions // 2)
    product = _Product(draw, users)
    made, truth = Made(), []
    pending: dict[str, pl.DataFrame] = {}
    lines = dict.fromkeys(LAYERS, 0)
    for name in (*FILES.values(), "truth.parquet"):
        (folder / name).unlink(missing_ok=True)
    for first in range(0, sessions, BLOCK):
        after = min(first + BLOCK, sessions)
        for layer, frame in product.block(first, after).items():
            rows = pl.concat([pending[layer], frame]) if layer in pending else frame
            rows = rows.sort("written", "request", "rank")
            if after < sessions:
                # What the next block may still come before waits.
                next_us = START_US + after * TURNS * 1_000_000 // PER_SECOND
                pending[layer] = rows.filter(pl.col("written") >= next_us)
                rows = rows.filter(pl.col("written") < next_us)
            place = pl.int_range(lines[layer] + 1, lines[layer] + 1 + rows.height, eager=True)
            truth.append(rows.select("request", "rank", file=pl.lit(FILES[layer]), line_no=place))
            encoded = [one.encode() for one in rows["line"].to_list()]
            if damaged:
                encoded = _damaged(draw, encoded, made)
            lines[layer] += len(encoded)
            whole = b"".join(b"%b\n" % one for one in encoded)
            made.bytes += len(whole)
            with (folder / FILES[layer]).open("ab") as file:
                file.write(whole)
    made.records = sum(lines.values())
    if not damaged:
        pl.concat(truth).write_parquet(folder / "truth.parquet")
    return made


def _damaged(draw: np.random.Generator, lines: list[bytes], made: Made) -> list[bytes]:
    """One line of a hundred cut, given a byte that is no UTF-8, or put behind a banner; half, a quarter, a quarter."""
    found = []
    for line, hit in zip(lines, draw.integers(0, 400, len(lines)).tolist(), strict=True):
        if hit in (0, 1):
            found.append(line[: len(line) * 3 // 5])
        elif hit == 2:
            found.append(line[: len(line) // 2] + b"\xff" + line[len(line) // 2 :])
        elif hit == 3:
            found += [_BANNER, line]
        else:
            found.append(line)
        made.rejected += hit in (0, 1, 2)
    return found


class _Product:
    """Draws blocks of sessions."""

    def __init__(self, draw: np.random.Generator, users: int) -> None:
        self._draw = draw
        self._skew_us = (draw.normal(0, SKEW_S, users) * 1e6).astype(np.int64)
        sizes = draw.integers(5, 16, 4000)
        self._sentences = pl.Series([" ".join(draw.choice(_WORDS, size)) for size in sizes])

    def _say(self, count: int, sentences: int) -> pl.Series:
        """So many texts of so many sentences."""
        drawn = self._draw.integers(0, len(self._sentences), (sentences, count))
        return pl.select(pl.concat_str(*(self._sentences.gather(one) for one in drawn), separator=". ")).to_series()

    def _uuids(self, count: int) -> pl.Series:
        digits = self._draw.bytes(16 * count).hex()
        whole = pl.Series([digits[at : at + 32] for at in range(0, len(digits), 32)])
        return pl.select(pl.concat_str(*(whole.str.slice(*part) for part in _UUID), separator="-")).to_series()

    def block(self, first: int, after: int) -> dict[str, pl.DataFrame]:
        """The records of sessions `first` to `after`: layer → ``written`` (us), ``request``, ``rank`` and ``line``."""
        draw = self._draw
        session = np.repeat(np.arange(first, after), TURNS)
        count = len(session)
        turn = np.arange(count) % TURNS
        user = session * 7919 % len(self._skew_us)
        start = START_US + session * TURNS * 1_000_000 // PER_SECOND
        start = start + turn * 60_000_000 + draw.integers(0, 30_000_000, count)

        def after_us(least: int, most: int, before: NDArray[np.int64]) -> NDArray[np.int64]:
            return before + draw.integers(least, most, count)

        judged = after_us(2_000, 20_000, start)
        searched = after_us(2_000, 60_000, judged)
        ranked = after_us(10_000, 80_000, searched)
        rendered = after_us(1_000, 20_000, ranked)
        planned = after_us(1_000, 10_000, rendered)
        plan_end = after_us(200_000, 900_000, planned)
        called = after_us(1_000, 10_000, plan_end)
        call_end = called + (draw.lognormal(14.2, 0.5, count)).astype(np.int64)
        checked = after_us(2_000, 30_000, call_end)
        shown = after_us(20_000, 300_000, checked)
        rated = after_us(2_000_000, 30_000_000, shown)
        self._base = pl.DataFrame(
            {
                "request": pl.Series(session * TURNS + turn),
                "id": self._uuids(count),
                "session": pl.select(pl.format("s-{}", pl.Series(session * 2_654_435_761 % 2**32))).to_series(),
                "user": pl.select(pl.format("u{}", pl.Series(user))).to_series(),
                "question": self._say(count, 3),
                "system": self._say(count, 9),
                "answer": self._say(count, 7),
                "plan": self._say(count, 1),
                "tokens": pl.Series(draw.integers(20, 900, count)),
            }
        )
        skew = self._skew_us[user]
        sure = {layer: pl.Series(draw.random(count) >= WITHOUT_ID) for layer in ("retrieval", "policy", "ui")}
        ids = {layer: pl.when(pl.lit(flag)).then("id") for layer, flag in sure.items()}
        hits = pl.concat_list(
            pl.struct(
                doc=pl.format("kb-{}", pl.Series(draw.integers(0, 5000, count))),
                score=pl.Series(np.round(draw.random(count), 4)),
                version=pl.format("v{}", pl.Series(draw.integers(1, 9, count))),
            )
            for _ in range(4)
        )
        text = pl.col
        common = {"session_id": text("session"), "user_id": text("user"), "service": pl.lit("assist-api")}
        index = {"index": pl.lit("help"), "index_version": pl.lit("2026-02-27"), "model": pl.lit("embed-3-small")}
        gateway = {"provider": pl.lit("openai"), "model": pl.lit("gpt-5-mini"), "status": pl.lit(200)}
        rule = {"policy": pl.lit("default"), "version": pl.lit("41")}
        message = pl.lit(self._uuids(count))

        def call(
            begun: NDArray[np.int64], ended: NDArray[np.int64], rank: int, input_: pl.Expr, output: pl.Expr
        ) -> pl.DataFrame:
            return self._lines(
                ended,
                rank,
                started_at=_iso(begun, "+00:00"),
                ended_at=_iso(ended, "+00:00"),
                call_id=pl.lit(self._uuids(count)),
                metadata=pl.struct(correlation_id="id", tenant=pl.lit("acme")),
                **gateway,
                messages=pl.concat_list(pl.struct(role=pl.lit("user"), content=input_)),
                response=pl.struct(content=output, finish_reason=pl.lit("stop")),
                usage=pl.struct(prompt_tokens="tokens", completion_tokens=pl.col("tokens") // 3),
            )

        def verdict(time: NDArray[np.int64], rank: int, stage: str) -> pl.DataFrame:
            return self._lines(
                time,
                rank,
                time=_iso(time, "+02:00", 7_200_000_000),
                decision=pl.lit(self._uuids(count)),
                context=pl.struct(turn=ids["policy"], session="session"),
                stage=pl.lit(stage),
                verdict=pl.lit("allow"),
                **rule,
                rules=pl.concat_list(pl.lit("pii"), pl.lit("injection"), pl.lit("topic")),
                elapsed_ms=pl.Series(np.round(draw.random(count) * 9, 3)),
            )

        def page(time: NDArray[np.int64], rank: int, action: str, **more: pl.Expr) -> pl.DataFrame:
            return self._lines(
                time,
                rank,
                ts=pl.Series((time + skew) // 1000),
                action=pl.lit(action),
                turnId=ids["ui"],
                messageId=message,
                chatId=text("session"),
                deviceId=pl.format("d-{}", "user"),
                client=pl.lit("web 8.14.2 (Firefox 147; Windows 11; x86_64)"),
                **more,
            )

        prompt = self._lines(
            start,
            0,
            timestamp=_iso(start, "Z", digits=3),
            level=pl.lit("info"),
            event=pl.lit("chat.received"),
            request_id=text("id"),
            **common,
            question=text("question"),
        )
        sent = pl.concat_str("system", "question", separator="\n\n")
        template = self._lines(
            rendered,
            4,
            timestamp=_iso(rendered, "Z", digits=3),
            level=pl.lit("info"),
            event=pl.lit("prompt.rendered"),
            request_id=text("id"),
            **common,
            template=pl.lit("answer"),
            template_version=pl.lit("17"),
            prompt=sent,
        )
        found = self._lines(
            searched,
            2,
            at=pl.Series(searched / 1e6),
            op=pl.lit("search"),
            req=pl.struct(id=ids["retrieval"], user="user"),
            **index,
            query=text("question"),
            hits=hits,
            took_ms=pl.Series(draw.integers(1, 60, count)),
        )
        reranked = self._lines(
            ranked,
            3,
            at=pl.Series(ranked / 1e6),
            op=pl.lit("rerank"),
            req=pl.struct(id=ids["retrieval"], user="user"),
            **index,
            hits=hits,
            took_ms=pl.Series(draw.integers(1, 60, count)),
        )
        return {
            "prompt": pl.concat([prompt, template]),
            "retrieval": pl.concat([found, reranked]),
            "model": pl.concat(
                [
                    call(planned, plan_end, 5, text("question"), text("plan")),
                    call(called, call_end, 6, sent, text("answer")),
                ]
            ),
            "policy": pl.concat([verdict(judged, 1, "input"), verdict(checked, 7, "output")]),
            "ui": pl.concat(
                [
                    page(shown, 8, "answer_shown", text=text("answer"), tokens=text("tokens")),
                    page(rated, 9, "answer_rated", rating=pl.lit("up"), locale=pl.lit("de-DE")),
                ]
            ),
        }

    def _lines(self, at: NDArray[np.int64], rank: int, /, **fields: Any) -> pl.DataFrame:
        """One record of each request, as a line."""
        late = self._draw.integers(0, LATE_US, len(at))
        return self._base.select(
            pl.Series(at + late).alias("written"),
            "request",
            pl.lit(rank).alias("rank"),
            pl.struct(**fields).struct.json_encode().alias("line"),
        )


def _iso(time: NDArray[np.int64], zone: str, shift: int = 0, digits: int = 6) -> pl.Expr:
    return pl.lit(pl.Series(time + shift).cast(pl.Datetime("us")).dt.strftime(f"%Y-%m-%dT%H:%M:%S%.{digits}f{zone}"))
