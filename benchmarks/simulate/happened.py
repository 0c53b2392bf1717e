"""The words in which a shard tells what happened: rows of numbers, and the passes that they belong to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from .product import KINDS, Product
from .traffic import BLOCKED_INPUT, BLOCKED_OUTPUT, COMMON, Plan

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]

CODE = {kind: code for code, kind in enumerate(KINDS)}
"""The number that stands for a kind."""

NOTICE = COMMON + (1 << 40)
"""The text that a blocked answer shows."""

TEXTS = {"rendered": 1 << 56, "answer": 1 << 57}
"""What is added to an entity's number for the text that was made for it."""

REFS = ("", "regenerate_of", "retry_of", "cache_origin")
"""Roles of refs, by their numbers."""

VERDICTS = ("", "allow", "block", "flag")
"""Verdicts, by their numbers."""

OUTCOMES = ("", "ok", "error", "blocked", "cancelled", "timeout")
"""Outcomes of rows, by their numbers."""

COLUMNS: dict[str, Any] = {
    "kind": np.int16,
    "member": np.int64,  # the pass that it belongs to
    "base": np.int64,  # the pass whose begin t0 and t1 count from
    "t0": np.float64,
    "t1": np.float64,
    "call": np.int64,
    "attempt_id": np.int64,
    "section": np.int64,
    "end_section": np.int64,  # of a row that tells of its end alone
    "span": np.int64,
    "parent": np.int64,
    "input": np.int64,
    "output": np.int64,
    "outcome": np.int16,
    "attempt": np.int64,
    "verdict": np.int16,
    "status": np.int64,
    "hit": np.int16,
    "ref": np.int16,
    "ref_id": np.int64,
    "model": np.int16,
    "knows": np.int16,
    "stream": np.int16,
}
"""What a row is, with -1 for what it has none of."""

KNOWS_REQUEST, KNOWS_MESSAGE = 1, 2
"""Bits of `knows`: whether a row's writer could know the request's ids, and the answer's."""


@dataclass
class Rows:
    """Rows as they are made: blocks of equal kind."""

    blocks: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    spans: int = 0

    def add(self, kind: str, owner: Whole, t0: Floats, t1: Floats | None = None, **more: ArrayLike) -> None:
        """Add one row of `kind` for each pass in `owner`, from `t0` to `t1` after its begin."""
        block: dict[str, NDArray[Any]] = {}
        given: dict[str, ArrayLike] = {
            "kind": CODE[kind],
            "member": owner,
            "base": owner,
            "t0": t0,
            "t1": t0 if t1 is None else t1,
            "outcome": 0,
            "verdict": 0,
            "ref": 0,
            "hit": 0,
            "knows": KNOWS_REQUEST,
            **more,
        }
        for name, dtype in COLUMNS.items():
            block[name] = np.broadcast_to(np.asarray(given.get(name, -1), dtype=dtype), (len(owner),))
        self.blocks.append(block)

    def new_spans(self, count: int) -> Whole:
        """Numbers of `count` new spans."""
        self.spans += count
        return np.arange(self.spans - count, self.spans)

    def frame(self) -> pl.DataFrame:
        """All rows, in the order in which they were added."""
        return pl.DataFrame({name: np.concatenate([block[name] for block in self.blocks]) for name in COLUMNS})


class Passes:
    """The passes of one shard, as arrays with one element each, and the rows that they leave."""

    def __init__(self, product: Product, plan: Plan, draw: np.random.Generator) -> None:
        self.product, self.plan, self.draw, self.flow = product, plan, draw, product.flow
        self.rows = Rows()
        self.turn = plan.pass_turn
        self.count = len(self.turn)
        self.all = np.arange(self.count)
        self.outcome = plan.pass_outcome
        self.load = plan.turn_load[self.turn]
        self.browser = plan.session_browser[plan.turn_session[self.turn]]
        self.text = plan.turn_text[self.turn]
        self.span = self.rows.new_spans(self.count)
        streams = self.chance(product.flow.stream, self.count)
        self.stream = np.where(streams, 1, 0)

    def takes(self, name: str, of: Whole) -> Floats:
        """How long `name` takes for each pass in `of`, in seconds."""
        return self.product.delay(name).sample(self.draw, self.load[of])

    def chance(self, share: float, count: int) -> Flags:
        """Whether something of chance `share` happens, `count` times."""
        return self.draw.random(count) < share

    def judge(self, kind: str, owner: Whole, start: Floats, end: Floats, **more: ArrayLike) -> None:
        """Add a filter's decisions: one for each pass in `owner`."""
        blocks = self.outcome[owner] == (BLOCKED_INPUT if kind == "policy.input" else BLOCKED_OUTPUT)
        flags = self.chance(0.03, len(owner))
        given: dict[str, ArrayLike] = {
            "parent": self.span[owner],
            "span": self.rows.new_spans(len(owner)),
            "verdict": np.where(blocks, 2, np.where(flags, 3, 1)),
            "outcome": 1,
            **more,
        }
        self.rows.add(kind, owner, start, end, **given)
