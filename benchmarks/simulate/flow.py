"""What happens in the passes of a shard, and when by the true clock: one row for each thing that could be logged.

Within a pass everything is timed from its begin, in seconds; the passes themselves are laid out at the end, when it is
known how long each took.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from . import ids
from .product import KINDS, Product
from .traffic import (
    ADVERSARY,
    BLOCKED_INPUT,
    BLOCKED_OUTPUT,
    COMMON,
    ERROR,
    LEFT,
    OK,
    Plan,
    before,
    repeat,
)

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

CODE = {kind: code for code, kind in enumerate(KINDS)}
"""The number that stands for a kind."""

NOTICE = COMMON + (1 << 40)
"""The text that a blocked answer shows."""

TEXTS = {"rendered": 1 << 56, "answer": 1 << 57, "step": 1 << 58}
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


@dataclass(frozen=True)
class Happened:
    """What happened in a shard.

    Attributes:
        rows: `COLUMNS`, with t0 and t1 as nanoseconds since the begin of the run (t1 is never before t0).
        pass_start: when each pass began, likewise.
        call_start: when each model call began, likewise.
    """

    rows: pl.DataFrame
    pass_start: Whole
    call_start: Whole


def happen(product: Product, plan: Plan, seed: int, shard: int) -> Happened:
    """Let the passes of a shard happen."""
    return _Flow(product, plan, np.random.default_rng([seed, shard, 2])).run()


class _Flow:
    """The passes of one shard, as arrays with one element per pass (or per call, where it is said)."""

    def __init__(self, product: Product, plan: Plan, draw: np.random.Generator) -> None:
        self.product, self.plan, self.draw, self.flow = product, plan, draw, product.flow
        self.rows = Rows()
        self.turn = plan.pass_turn
        self.passes = np.arange(len(self.turn))
        self.outcome = plan.pass_outcome
        self.load = plan.turn_load[self.turn]
        self.browser = plan.session_browser[plan.turn_session[self.turn]]
        self.text = plan.turn_text[self.turn]
        self.span = self.rows.new_spans(len(self.turn))

    def takes(self, name: str, of: Whole) -> Floats:
        """How long `name` takes for each pass in `of`."""
        return self.product.delay(name).sample(self.draw, self.load[of])

    def chance(self, share: float, count: int) -> NDArray[np.bool_]:
        """Whether something of chance `share` happens, `count` times."""
        return self.draw.random(count) < share

    def run(self) -> Happened:
        """Time everything, then lay out the passes."""
        passes, plan, flow = self.passes, self.plan, self.flow
        count = len(passes)
        received = np.where(self.browser, self.takes("network", passes), 0.0)
        self._opening(received)

        at_app = flow.policy_at == "app"
        judged_in = self.chance(flow.input_policy, count) | (self.outcome == BLOCKED_INPUT)
        judged_out = (self.chance(flow.output_policy, count) & (self.outcome != ERROR)) | (
            self.outcome == BLOCKED_OUTPUT
        )
        judged_out &= self.outcome != BLOCKED_INPUT
        ready = received + self.takes("app", passes)
        filter_s = np.where(judged_in & at_app, self.takes("policy", passes), 0.0)
        parallel = flow.policy_parallel & (self.outcome != BLOCKED_INPUT)
        begin = ready + np.where(parallel, 0.0, filter_s)

        # The searches before each model call, and the calls.
        calls = self.draw.geometric(1 / max(flow.calls, 1.0), count).clip(1, 12)
        calls = np.where((self.outcome == BLOCKED_INPUT) & at_app, 0, calls)
        calls = np.where((self.outcome == BLOCKED_INPUT) & ~np.bool_(at_app), 1, calls)
        owner, step = repeat(calls)
        searches = self.draw.poisson(np.where(step == 0, flow.retrievals, 0.5 * flow.retrievals)).clip(0, 8)
        op_call, _ = repeat(searches)
        op = self._searches(owner[op_call])
        op_at = np.zeros(len(op_call)) if flow.parallel else before(op["total"], op_call)
        search_s = np.zeros(len(owner))
        np.maximum.at(search_s, op_call, op_at + op["total"])
        first = step == 0
        wait = np.where(first & parallel[owner], filter_s[owner], 0.0)
        search_s = np.maximum(search_s, wait)

        streams = self.chance(flow.stream, count)
        early = streams & self.browser & self.chance(0.5, count) & (self.outcome == OK)
        gateway = self._calls(owner, step, calls, judged_in & ~np.bool_(at_app), judged_out & ~np.bool_(at_app))
        before_call = search_s + self.takes("app", owner) + self.takes("hop", owner)
        after_call = self.takes("hop", owner)
        whole = before_call + gateway["total"] + after_call
        step_at = begin[owner] + before(whole, owner)
        sent = step_at + before_call
        call_at = sent
        answered = call_at + gateway["total"] + after_call

        # What several rows of one moment share: the truth does not order them.
        end_section = passes * 4096 + 1
        several = np.bincount(op_call, minlength=len(owner)) >= 2
        racing = (several & flow.parallel) | (first & parallel[owner] & judged_in[owner] & at_app)
        step_section = np.where(racing, owner * 4096 + 16 + 2 * step, -1)
        last = step == calls[owner] - 1
        answer_section = np.where(last & early[owner], end_section[owner], owner * 4096 + 17 + 2 * step)

        self._search_rows(owner[op_call], op_call, step_at[op_call] + op_at, op, step_section[op_call])
        pin = np.flatnonzero(judged_in & at_app)
        opening_section = np.full(count, -1)
        opening_section[owner[first]] = step_section[first]
        self._policy_rows("policy.input", pin, ready[pin], (ready + filter_s)[pin], opening_section[pin])
        texts = self._call_rows(owner, step, last, step_at + search_s, sent, call_at, answered, gateway, answer_section)

        # The end of the pass.
        end = begin.copy()
        end[owner[last]] = answered[last]
        out = judged_out & at_app
        out_s = np.where(out, self.takes("policy", passes), 0.0)
        judged_at = end + self.takes("app", passes)
        waits = np.where(flow.output_async, 0.0, out_s)
        responded = judged_at + waits + self.takes("app", passes)
        pout = np.flatnonzero(out)
        out_section = np.where(early | flow.output_async, end_section, -1)
        answer = np.full(count, NOTICE)
        answer[owner[last]] = texts[last]
        self._policy_rows(
            "policy.output", pout, judged_at[pout], (judged_at + out_s)[pout], out_section[pout], text=answer
        )
        pass_s = self._ending(received, responded, answer, early, answered, gateway, owner, last, out_section)

        pass_start = self._lay_out(pass_s)
        frame = self.rows.frame()
        start = pass_start[frame["base"].to_numpy()]
        t0, t1 = (start + np.rint(frame[name].to_numpy() * 1e9).astype(np.int64) for name in ("t0", "t1"))
        frame = frame.with_columns(t0=pl.Series(t0), t1=pl.Series(np.maximum(t0, t1))).drop("base")
        call_start = pass_start[owner] + np.rint(call_at * 1e9).astype(np.int64)
        frame = self._origins(frame, gateway, owner, call_start, plan)
        return Happened(frame, pass_start, call_start)

    def _opening(self, received: Floats) -> None:
        passes, plan = self.passes, self.plan
        zero = np.zeros(len(passes))
        again = plan.pass_number > 0
        regenerates = plan.turn_regenerates[self.turn] & ~again
        knows = KNOWS_REQUEST if self.flow.client_ids else 0
        sent = passes[self.browser & ~again & ~regenerates]
        self.rows.add("ui.message_sent", sent, zero[sent], knows=knows, input=self.text[sent])
        retried = passes[self.browser & again & self.chance(self.flow.resend_row, len(passes))]
        self.rows.add("ui.retry", retried, zero[retried], member=retried - 1)
        # A click on "regenerate" tells of the answer that there was: the last pass of the turn before.
        clicked = passes[self.browser & regenerates]
        self.rows.add("ui.regenerate", clicked, zero[clicked], member=clicked - 1, knows=3, input=self.text[clicked])
        new = regenerates
        self.rows.add(
            "prompt.received",
            passes,
            received,
            input=self.text,
            span=self.span,
            ref=np.where(new, 1, np.where(again & self.chance(0.5, len(passes)), 2, 0)),
            ref_id=np.where(new | again, passes - 1, -1),
        )

    def _searches(self, of: Whole) -> dict[str, Floats]:
        parts = {name: self.takes(name, of) for name in ("hop", "embed", "search", "rerank")}
        parts["total"] = 3 * parts["hop"] + parts["embed"] + parts["search"] + parts["rerank"]
        return parts

    def _search_rows(self, owner: Whole, call: Whole, at: Floats, op: dict[str, Floats], section: Whole) -> None:
        span = self.rows.new_spans(len(owner))
        text, hop = self.text[owner], op["hop"]
        common: dict[str, Any] = {"section": section, "outcome": 1}
        inner: dict[str, Any] = {"parent": span, "input": text, **common}
        start = at + hop * 0.5
        self.rows.add(
            "retrieval.request", owner, start, at + op["total"] - 0.5 * hop, span=span, parent=self.span[owner],
            status=200, **common,
        )  # fmt: skip
        begin = at + hop
        for kind, part in (("embed", "embed"), ("query", "search"), ("rerank", "rerank")):
            child = self.rows.new_spans(len(owner))
            self.rows.add(f"retrieval.{kind}", owner, begin, begin + op[part], span=child, **inner)
            begin = begin + op[part] + hop * 0.3
        del call

    def _policy_rows(
        self,
        kind: str,
        owner: Whole,
        start: Floats,
        end: Floats,
        section: Whole,
        *,
        text: Whole | None = None,
        call: ArrayLike = -1,
        response: ArrayLike = -1,
        parent: Whole | None = None,
    ) -> None:
        blocks = self.outcome[owner] == (BLOCKED_INPUT if kind == "policy.input" else BLOCKED_OUTPUT)
        flags = self.chance(0.03, len(owner))
        self.rows.add(
            kind,
            owner,
            start,
            end,
            section=section,
            call=call,
            attempt_id=response,
            parent=self.span[owner] if parent is None else parent,
            span=self.rows.new_spans(len(owner)),
            verdict=np.where(blocks, 2, np.where(flags, 3, 1)),
            outcome=1,
            input=self.text[owner] if text is None else -1,
            output=-1 if text is None else text[owner],
        )

    def _calls(
        self, owner: Whole, step: Whole, calls: Whole, judged_in: NDArray[np.bool_], judged_out: NDArray[np.bool_]
    ) -> dict[str, Any]:
        """The inside of every model call: the gateway's filters, attempts, waits; times count from the call's begin."""
        flow, count = self.flow, len(owner)
        last = step == calls[owner] - 1
        outcome = self.outcome[owner]
        common = (self.text[owner] >= COMMON) & (step == 0)
        hit = common & self.chance(flow.cache, count) & (outcome == OK)
        fails = np.minimum(self.draw.geometric(1 - min(flow.retry, 0.95), count) - 1, flow.attempts - 1)
        erred = (outcome == ERROR) & last
        blocked = (outcome == BLOCKED_INPUT) & judged_in[owner]
        attempts = np.where(hit | blocked, 0, fails + 1)
        filter_in = np.where((step == 0) & judged_in[owner], self.takes("policy", owner), 0.0)
        filter_out = np.where(last & judged_out[owner] & ~erred & ~blocked, self.takes("policy", owner), 0.0)
        begin = self.takes("app", owner)
        call, number = repeat(attempts)
        good = (number == attempts[call] - 1) & ~erred[call]
        takes = np.where(good, self.takes("model", owner[call]), self.takes("failure", owner[call]))
        waits = self.takes("backoff", owner[call])
        at = before(takes + waits, call) + (begin + filter_in)[call]
        done = begin + filter_in
        np.maximum.at(done, call, at + takes)
        done = np.where(hit, done + self.takes("cache", owner), done)
        filter_at = done + self.takes("hop", owner) * (filter_out > 0)
        finish = filter_at + filter_out + self.takes("app", owner)
        # A fallback changes the model from one attempt on.
        moved = (number > 0) & self.chance(flow.fallback, len(call))
        model = np.minimum(before(moved.astype(np.float64), call) + moved, 3).astype(np.int64)
        return {
            "hit": hit, "erred": erred, "blocked": blocked, "total": finish, "done": done, "begin": begin,
            "filter_in": filter_in, "filter_out": filter_out, "filter_at": filter_at,
            "call": call, "number": number, "good": good, "at": at, "takes": takes, "moved": moved, "model": model,
        }  # fmt: skip

    def _call_rows(
        self,
        owner: Whole,
        step: Whole,
        last: NDArray[np.bool_],
        rendered_at: Floats,
        sent: Floats,
        call_at: Floats,
        answered: Floats,
        gateway: dict[str, Any],
        section: Whole,
    ) -> Whole:
        """Rows of the app and the gateway about model calls; gives the text of each call's answer."""
        count = len(owner)
        numbers = np.arange(count)
        base, rows = self.plan.base, self.rows
        hit, erred, blocked = gateway["hit"], gateway["erred"], gateway["blocked"]
        common = self.text[owner] >= COMMON
        same = common & (ids.unit(self.text[owner], 11) < self.product.traffic.same_answer) & (step == 0)
        rendered = np.where(same | hit, self.text[owner], base + numbers) + TEXTS["rendered"]
        answer = np.where(same | hit, self.text[owner], base + numbers) + TEXTS["answer"]
        span = rows.new_spans(count)
        good = gateway["good"]
        response = np.full(count, -1)
        response[gateway["call"][good]] = np.flatnonzero(good)
        final = np.full(count, -1)
        final[gateway["call"]] = np.arange(len(good))
        model = np.zeros(count, dtype=np.int64)
        model[gateway["call"]] = gateway["model"]
        attempts = np.bincount(gateway["call"], minlength=count)
        ends = np.where(erred, 2, np.where(blocked, 3, 1))
        fine = ~erred & ~blocked

        rows.add("prompt.rendered", owner, rendered_at, input=rendered, span=self.span[owner])
        rows.add("prompt.sent", owner, sent - 0.3 * (sent - rendered_at), call=numbers, span=self.span[owner])
        rows.add(
            "model.call", owner, call_at, call_at + gateway["total"], call=numbers, attempt_id=response,
            span=span, parent=self.span[owner], input=rendered, output=np.where(fine, answer, -1), outcome=ends,
            attempt=np.maximum(attempts - 1, 0), status=np.where(erred, 500, np.where(blocked, 400, 200)),
            hit=np.where(hit, 1, 2), model=model,
        )  # fmt: skip
        rows.add("model.log", owner, call_at + 0.3 * gateway["begin"], call=numbers)
        rows.add(
            "model.access", owner, call_at + gateway["total"] + 0.00002, call=numbers, outcome=ends,
            status=np.where(erred, 500, np.where(blocked, 400, 200)), section=section,
        )  # fmt: skip
        of = gateway["call"]
        tried = call_at[of] + gateway["at"]
        rows.add(
            "model.attempt", owner[of], tried, tried + gateway["takes"], call=of, attempt_id=np.arange(len(of)),
            span=rows.new_spans(len(of)), parent=span[of], outcome=np.where(good, 1, 2), attempt=gateway["number"],
            status=np.where(good, 200, 500), model=gateway["model"],
        )  # fmt: skip
        moved = np.flatnonzero(gateway["moved"])
        rows.add(
            "model.fallback", owner[of[moved]], tried[moved] - 0.00005, call=of[moved], model=gateway["model"][moved]
        )
        for kind, takes, at, text in (
            ("policy.input", gateway["filter_in"], gateway["begin"], None),
            ("policy.output", gateway["filter_out"], gateway["filter_at"], answer),
        ):
            some = np.flatnonzero(takes > 0)
            whole = None
            if text is not None:
                whole = np.full(len(self.passes), -1)
                whole[owner[some]] = text[some]
            start = call_at[some] + at[some]
            self._policy_rows(
                kind, owner[some], start, start + takes[some], np.full(len(some), -1), text=whole, call=some,
                response=-1 if text is None else response[some], parent=span[some],
            )  # fmt: skip
        well = np.flatnonzero(fine)
        rows.add(
            "prompt.answered", owner[well], answered[well], call=well, attempt_id=response[well], section=section[well],
            output=answer[well], outcome=1, span=self.span[owner[well]], attempt=step[well],
        )  # fmt: skip
        bad = np.flatnonzero(erred)
        rows.add("prompt.error", owner[bad], answered[bad], call=bad, outcome=2, section=section[bad])
        del last, final
        return answer

    def _ending(
        self,
        received: Floats,
        responded: Floats,
        answer: Whole,
        early: NDArray[np.bool_],
        answered: Floats,
        gateway: dict[str, Any],
        owner: Whole,
        last: NDArray[np.bool_],
        section: Whole,
    ) -> Floats:
        """The last rows of each pass; gives how long each took."""
        passes, rows, outcome = self.passes, self.rows, self.outcome
        blocked = np.isin(outcome, (BLOCKED_INPUT, BLOCKED_OUTPUT))
        shown = np.where(blocked, NOTICE, answer)
        ends = np.array([1, 2, 3, 3, 4])[outcome]
        stop = passes[blocked]
        rows.add(
            "prompt.blocked", stop, responded[stop] - 0.00005, outcome=3,
            span=self.span[stop],
        )  # fmt: skip
        rows.add(
            "prompt.responded", passes, responded, outcome=ends, knows=3, section=section, span=self.span,
            output=np.where(outcome == OK, shown, -1),
        )  # fmt: skip
        race = np.full(len(passes), 1) + passes * 4096
        rows.add(
            "prompt.access", passes, responded + self.takes("app", passes), outcome=ends, section=race,
            status=np.where(outcome == ERROR, 500, np.where(outcome == LEFT, 499, 200)),
        )  # fmt: skip
        arrives = responded + self.takes("network", passes)
        shows = arrives.copy()
        streamed = np.flatnonzero(last & early[owner])
        if len(streamed):
            spent = (gateway["total"] * self.draw.uniform(0.0, 0.6, len(owner)))[streamed]
            shows[owner[streamed]] = (answered[streamed] - spent) + self.takes("network", owner[streamed])
        seen = passes[self.browser & np.isin(outcome, (OK, BLOCKED_INPUT, BLOCKED_OUTPUT))]
        rows.add("ui.rendered", seen, shows[seen], outcome=1, knows=3, section=race[seen], output=shown[seen])
        wrong = passes[self.browser & (outcome == ERROR)]
        rows.add("ui.error_shown", wrong, arrives[wrong], outcome=2, section=race[wrong])
        gone = passes[self.browser & (outcome == LEFT)]
        left = received + self.draw.uniform(0.3, 0.95, len(passes)) * (responded - received)
        rows.add("ui.stopped", gone, left[gone], outcome=4)
        for kind, share in (("ui.feedback", self.flow.feedback), ("ui.citation", self.flow.citation)):
            some = passes[self.browser & (outcome == OK) & self.chance(share, len(passes))]
            rows.add(kind, some, np.maximum(shows, arrives)[some] + self.takes("react", some), knows=3)
        return np.where(self.browser, np.where(outcome == LEFT, left, np.maximum(shows, arrives)), responded)

    def _lay_out(self, pass_s: Floats) -> Whole:
        """When each pass begins, in nanoseconds since the begin of the run."""
        plan = self.plan
        gap = np.where(plan.pass_number > 0, self.takes("resend", self.passes), 0.0)
        into = before(pass_s + gap, self.turn) + gap
        turns = len(plan.turn_session)
        turn_s = np.zeros(turns)
        np.maximum.at(turn_s, self.turn, into + pass_s)
        think = self.product.delay("think").sample(self.draw, np.ones(turns))
        soon = self.draw.uniform(0.05, 3.0, turns)
        # From the begin of one turn to that of the next, as the next one has it.
        follows = np.r_[plan.turn_together[1:], False]
        step = np.where(follows, np.r_[soon[1:], 0.0], turn_s + np.r_[think[1:], 0.0])
        turn_at = before(step, plan.turn_session)
        start = plan.session_start[plan.turn_session] + np.rint(turn_at * 1e9).astype(np.int64)
        return np.asarray(start[self.turn] + np.rint(into * 1e9).astype(np.int64))

    def _origins(
        self, frame: pl.DataFrame, gateway: dict[str, Any], owner: Whole, call_start: Whole, plan: Plan
    ) -> pl.DataFrame:
        """Name in each cache hit the response that filled the cache: the first one of that prompt, if it is earlier."""
        hit = np.flatnonzero(gateway["hit"])
        if not len(hit):
            return frame
        good = np.flatnonzero(gateway["good"])
        filled = gateway["call"][good]
        text = self.text[owner]
        fills = pl.DataFrame({"text": text[filled], "at": call_start[filled], "response": good})
        fills = fills.filter(pl.col("text") >= COMMON).sort("at", "response")
        asks = pl.DataFrame({"text": text[hit], "at": call_start[hit], "call": hit}).sort("at", "call")
        origin = asks.join_asof(fills, on="at", by="text", strategy="backward", check_sortedness=False).drop_nulls()
        response = np.full(len(owner), -1)
        response[origin["call"].to_numpy()] = origin["response"].to_numpy()
        calls = frame["call"].to_numpy()
        named = np.where((frame["kind"].to_numpy() == CODE["model.call"]) & (calls >= 0), response[calls], -1)
        del plan
        return frame.with_columns(
            ref=pl.when(pl.Series(named) >= 0).then(pl.lit(3, pl.Int16)).otherwise("ref"),
            ref_id=pl.when(pl.Series(named) >= 0).then(pl.Series(named)).otherwise("ref_id"),
        )


__all__ = ["ADVERSARY", "CODE", "Happened", "happen"]
