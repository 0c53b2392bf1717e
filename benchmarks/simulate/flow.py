"""What happens in the passes of a shard, and when by the true clock: one row for each thing that could be logged.

Within a pass everything is timed from its begin, in seconds; the passes themselves are laid out at the end, when it is
known how long each took.

Rows of one *section* ran beside each other, so that the truth does not order them. The sections of a pass are numbered
from 4096 times its number: 1 is its end, 16 + 2 n the searches before call n, 17 + 2 n the end of call n.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from .calls import Calls, call_rows, draw_calls, name_origins
from .happened import KNOWS_MESSAGE, KNOWS_REQUEST, NOTICE, Flags, Floats, Passes, Whole
from .product import Product
from .traffic import BLOCKED_INPUT, BLOCKED_OUTPUT, ERROR, LEFT, OK, Plan, before, repeat

MOST_CALLS, MOST_SEARCHES = 12, 8
"""Most model calls in a pass, and most searches before one of them."""


@dataclass(frozen=True)
class Happened:
    """What happened in a shard.

    Attributes:
        rows: `happened.COLUMNS` without base, with t0 and t1 as nanoseconds since the begin of the run.
        pass_start: when each pass began, likewise.
        call_start: when each model call began, likewise.
    """

    rows: pl.DataFrame
    pass_start: Whole
    call_start: Whole


def happen(product: Product, plan: Plan, seed: int, shard: int) -> Happened:
    """Let the passes of a shard happen."""
    passes = Passes(product, plan, np.random.default_rng([seed, shard, 2]))
    flow, outcome, count = passes.flow, passes.outcome, passes.count
    received = np.where(passes.browser, passes.takes("network", passes.all), 0.0)
    _opening(passes, received)

    stopped = outcome == BLOCKED_INPUT
    judged_in = passes.chance(flow.input_policy, count) | stopped
    judged_out = passes.chance(flow.output_policy, count) & (outcome != ERROR)
    judged_out = (judged_out | (outcome == BLOCKED_OUTPUT)) & ~stopped
    at_app = np.full(count, flow.policy_at == "app")
    beside = np.full(count, flow.policy_parallel) & ~stopped & judged_in & at_app
    ready = received + passes.takes("app", passes.all)
    filter_s = np.where(judged_in & at_app, passes.takes("policy", passes.all), 0.0)
    begin = ready + np.where(beside, 0.0, filter_s)

    steps = passes.draw.geometric(1 / max(flow.calls, 1.0), count).clip(1, MOST_CALLS)
    steps = np.where(stopped, np.where(at_app, 0, 1), steps)
    calls = draw_calls(passes, steps, judged_in & ~at_app, judged_out & ~at_app)
    owner, step = calls.owner, calls.step
    search_of, search_at, search = _draw_searches(passes, calls)
    search_s = np.zeros(len(owner))
    np.maximum.at(search_s, search_of, search_at + search["total"])
    waits = (step == 0) & beside[owner]
    search_s = np.where(waits, np.maximum(search_s, filter_s[owner]), search_s)
    to_call = search_s + passes.takes("app", owner) + passes.takes("hop", owner)
    from_call = passes.takes("hop", owner)
    step_at = begin[owner] + before(to_call + calls.total + from_call, owner)
    call_at = step_at + to_call
    answered = call_at + calls.total + from_call

    early = (passes.stream > 0) & passes.browser & (outcome == OK) & passes.chance(0.5, count)
    several = (np.bincount(search_of, minlength=len(owner)) >= 2) & flow.parallel
    searching = np.where(several | waits, owner * 4096 + 16 + 2 * step, -1)
    ending = owner * 4096 + np.where(calls.last & early[owner], 1, 17 + 2 * step)

    _search_rows(passes, owner[search_of], step_at[search_of] + search_at, search, searching[search_of])
    section = np.full(count, -1)
    section[owner[step == 0]] = searching[step == 0]
    some = np.flatnonzero(judged_in & at_app)
    passes.judge(
        "policy.input", some, ready[some], (ready + filter_s)[some], section=section[some], input=passes.text[some]
    )
    call_rows(passes, calls, step_at + search_s, call_at, answered, ending)

    end, answer = begin.copy(), np.full(count, NOTICE)
    end[owner[calls.last]] = answered[calls.last]
    answer[owner[calls.last]] = calls.answer[calls.last]
    judged_at = end + passes.takes("app", passes.all)
    out_s = np.where(judged_out & at_app, passes.takes("policy", passes.all), 0.0)
    responded = judged_at + np.where(flow.output_async, 0.0, out_s) + passes.takes("app", passes.all)
    section = np.where(early | (flow.output_async & (out_s > 0)), passes.all * 4096 + 1, -1)
    some = np.flatnonzero(out_s > 0)
    passes.judge(
        "policy.output", some, judged_at[some], (judged_at + out_s)[some], section=section[some], output=answer[some]
    )
    shows = _shows(passes, calls, call_at, responded, early)
    pass_s = _ending(passes, received, responded, shows, answer, section)

    start = _lay_out(passes, pass_s)
    frame = passes.rows.frame()
    base = start[frame["base"].to_numpy()]
    t0, t1 = (base + np.rint(frame[name].to_numpy() * 1e9).astype(np.int64) for name in ("t0", "t1"))
    frame = frame.with_columns(t0=pl.Series(t0), t1=pl.Series(np.maximum(t0, t1))).drop("base")
    call_start = start[owner] + np.rint(call_at * 1e9).astype(np.int64)
    return Happened(name_origins(frame, calls, call_start), start, call_start)


def _opening(passes: Passes, received: Floats) -> None:
    """The first rows of each pass: what the page sent, and what the app received."""
    rows, every, plan = passes.rows, passes.all, passes.plan
    zero = np.zeros(passes.count)
    again = plan.pass_number > 0
    regenerates = plan.turn_regenerates[passes.turn] & ~again
    sent = every[passes.browser & ~again & ~regenerates]
    knows = KNOWS_REQUEST if passes.flow.client_ids else 0
    rows.add("ui.message_sent", sent, zero[sent], knows=knows, input=passes.text[sent])
    resent = every[passes.browser & again & passes.chance(passes.flow.resend_row, passes.count)]
    rows.add("ui.retry", resent, zero[resent], member=resent - 1)
    # A click on "regenerate" tells of the answer that there was: that of the last pass of the turn before.
    clicked = every[passes.browser & regenerates]
    rows.add("ui.regenerate", clicked, zero[clicked], member=clicked - 1, knows=KNOWS_REQUEST | KNOWS_MESSAGE)
    says = again & passes.chance(passes.flow.resend_ref, passes.count)
    rows.add(
        "prompt.received", every, received, input=passes.text, span=passes.span, stream=passes.stream,
        ref=np.where(regenerates, 1, np.where(says, 2, 0)), ref_id=np.where(regenerates | says, every - 1, -1),
    )  # fmt: skip


def _draw_searches(passes: Passes, calls: Calls) -> tuple[Whole, Floats, dict[str, Floats]]:
    """The call that each search comes before, when it begins (after that step's begin), and how long its parts take."""
    mean = passes.flow.retrievals * np.where(calls.step == 0, 1.0, 0.5)
    of, _ = repeat(passes.draw.poisson(mean).clip(0, MOST_SEARCHES))
    parts = {name: passes.takes(name, calls.owner[of]) for name in ("hop", "embed", "search", "rerank")}
    parts["total"] = 3 * parts["hop"] + parts["embed"] + parts["search"] + parts["rerank"]
    return of, np.zeros(len(of)) if passes.flow.parallel else before(parts["total"], of), parts


def _search_rows(passes: Passes, owner: Whole, at: Floats, parts: dict[str, Floats], section: Whole) -> None:
    """The rows of each search: one around it, and one for each of its parts."""
    rows, hop = passes.rows, parts["hop"]
    span = rows.new_spans(len(owner))
    rows.add(
        "retrieval.request", owner, at + 0.5 * hop, at + parts["total"] - 0.5 * hop, span=span,
        parent=passes.span[owner], status=200, section=section, outcome=1,
    )  # fmt: skip
    begin = at + hop
    for kind, part in (("embed", "embed"), ("query", "search"), ("rerank", "rerank")):
        rows.add(
            f"retrieval.{kind}", owner, begin, begin + parts[part], span=rows.new_spans(len(owner)), parent=span,
            input=passes.text[owner], section=section, outcome=1,
        )  # fmt: skip
        begin = begin + parts[part] + 0.3 * hop


def _shows(passes: Passes, calls: Calls, call_at: Floats, responded: Floats, early: Flags) -> Floats:
    """When the page shows each answer: once it has all of it, or, where `early`, while the model still writes."""
    shows = responded + passes.takes("network", passes.all)
    written = np.flatnonzero(calls.good & (calls.last & early[calls.owner])[calls.tried])
    call = calls.tried[written]
    wrote = call_at[call] + calls.at[written] + calls.takes[written] * passes.draw.uniform(0.2, 1.0, len(written))
    owner = calls.owner[call]
    shows[owner] = wrote + passes.takes("network", owner)
    return shows


def _ending(
    passes: Passes, received: Floats, responded: Floats, shows: Floats, answer: Whole, section: Whole
) -> Floats:
    """The last rows of each pass; gives how long each took."""
    rows, every, outcome, page = passes.rows, passes.all, passes.outcome, passes.browser
    blocked = every[np.isin(outcome, (BLOCKED_INPUT, BLOCKED_OUTPUT))]
    shown = np.where(outcome == OK, answer, NOTICE)
    ends = np.array([1, 2, 3, 3, 4])[outcome]
    both = KNOWS_REQUEST | KNOWS_MESSAGE
    race = every * 4096 + 1
    rows.add(
        "prompt.blocked", blocked, responded[blocked] - 0.00005, outcome=3, span=passes.span[blocked],
        section=section[blocked],
    )  # fmt: skip
    rows.add(
        "prompt.responded", every, responded, outcome=ends, knows=both, section=section, span=passes.span,
        output=np.where(outcome == OK, answer, -1),
    )  # fmt: skip
    status = np.where(outcome == ERROR, 500, np.where(outcome == LEFT, 499, 200))
    closed = responded + passes.takes("app", every)
    rows.add("prompt.access", every, closed, outcome=ends, section=race, status=status)

    seen = every[page & np.isin(outcome, (OK, BLOCKED_INPUT, BLOCKED_OUTPUT))]
    rows.add("ui.rendered", seen, shows[seen], outcome=1, knows=both, section=race[seen], output=shown[seen])
    wrong = every[page & (outcome == ERROR)]
    rows.add("ui.error_shown", wrong, shows[wrong], outcome=2, section=race[wrong])
    left = received + passes.draw.uniform(0.3, 0.95, passes.count) * (responded - received)
    gone = every[page & (outcome == LEFT)]
    rows.add("ui.stopped", gone, left[gone], outcome=4)
    complete = np.maximum(shows, responded)
    for kind, share in (("ui.feedback", passes.flow.feedback), ("ui.citation", passes.flow.citation)):
        some = every[page & (outcome == OK) & passes.chance(share, passes.count)]
        rows.add(kind, some, complete[some] + passes.takes("react", some), knows=both)
    return np.where(page, np.where(outcome == LEFT, left, complete), responded)


def _lay_out(passes: Passes, pass_s: Floats) -> Whole:
    """When each pass begins, in nanoseconds since the begin of the run, if it takes `pass_s` seconds."""
    plan, turns = passes.plan, len(passes.plan.turn_session)
    gap = np.where(plan.pass_number > 0, passes.takes("resend", passes.all), 0.0)
    into = before(pass_s + gap, passes.turn) + gap
    turn_s = np.zeros(turns)
    np.maximum.at(turn_s, passes.turn, into + pass_s)
    think = passes.product.delay("think").sample(passes.draw, np.ones(turns))
    soon = passes.draw.uniform(0.05, 3.0, turns)
    # From the begin of one turn to that of the next, as the next one has it.
    together = np.r_[plan.turn_together[1:], False]
    step = np.where(together, np.r_[soon[1:], 0.0], turn_s + np.r_[think[1:], 0.0])
    at = plan.session_start[plan.turn_session] + np.rint(before(step, plan.turn_session) * 1e9).astype(np.int64)
    return np.asarray(at[passes.turn] + np.rint(into * 1e9).astype(np.int64))
