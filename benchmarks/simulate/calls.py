"""Model calls: what a gateway does inside of each, and what the app and the gateway write about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from . import ids
from .happened import CODE, TEXTS, Flags, Floats, Passes, Whole
from .traffic import BLOCKED_INPUT, COMMON, ERROR, OK, before, repeat


@dataclass(frozen=True)
class Calls:
    """The model calls of a shard, and the attempts at them; times are seconds since the call's begin.

    Attributes:
        owner: the pass of each call; `step`: its number in the pass; `last`: whether it is the last one.
        hit: whether a cache answered; `erred`: whether all attempts failed; `blocked`: whether a filter stopped it.
        log_at: when the gateway has begun to work on it.
        in_s, out_s: how long the gateway's input and output filter took (0: there was none); `in_at`, `out_at`: when
            they began.
        total: how long it took.
        tried: the call of each attempt; `number`: its number in the call; `good`: whether it went well.
        at, takes: when each attempt began, and how long it took.
        moved: whether it went to another model than the one before; `model`: to which one.
        text: the text that each call is about; `rendered`: the prompt that was made of it; `answer`: the answer.
    """

    owner: Whole
    step: Whole
    last: Flags
    hit: Flags
    erred: Flags
    blocked: Flags
    log_at: Floats
    in_s: Floats
    in_at: Floats
    out_s: Floats
    out_at: Floats
    total: Floats
    tried: Whole
    number: Whole
    good: Flags
    at: Floats
    takes: Floats
    moved: Flags
    model: Whole
    text: Whole
    rendered: Whole
    answer: Whole


def draw_calls(passes: Passes, count: Whole, judged_in: Flags, judged_out: Flags) -> Calls:
    """Draw `count` calls for each pass, where the gateway's filters look at some passes' input and output."""
    flow = passes.flow
    owner, step = repeat(count)
    calls = len(owner)
    last = step == count[owner] - 1
    outcome, text = passes.outcome[owner], passes.text[owner]
    same = (text >= COMMON) & (step == 0) & (ids.unit(text, 11) < passes.product.traffic.same_answer)
    hit = same & passes.chance(flow.cache, calls) & (outcome == OK)
    fails = np.minimum(passes.draw.geometric(1 - min(flow.retry, 0.95), calls) - 1, flow.attempts - 1)
    erred = (outcome == ERROR) & last
    blocked = (outcome == BLOCKED_INPUT) & judged_in[owner]
    in_s = np.where((step == 0) & judged_in[owner], passes.takes("policy", owner), 0.0)
    out_s = np.where(last & judged_out[owner] & ~erred & ~blocked, passes.takes("policy", owner), 0.0)
    in_at = passes.takes("app", owner)

    attempts = np.where(hit | blocked, 0, fails + 1)
    tried, number = repeat(attempts)
    good = (number == attempts[tried] - 1) & ~erred[tried]
    takes = np.where(good, passes.takes("model", owner[tried]), passes.takes("failure", owner[tried]))
    waits = passes.takes("backoff", owner[tried])
    at = before(takes + waits, tried) + (in_at + in_s)[tried]
    done = in_at + in_s
    np.maximum.at(done, tried, at + takes)
    done = np.where(hit, done + passes.takes("cache", owner), done)
    out_at = done + passes.takes("hop", owner)
    moved = (number > 0) & passes.chance(flow.fallback, len(tried))
    written = np.where(same, text, passes.plan.base + np.arange(calls))
    return Calls(
        owner=owner,
        step=step,
        last=last,
        hit=hit,
        erred=erred,
        blocked=blocked,
        log_at=0.3 * in_at,
        in_s=in_s,
        in_at=in_at,
        out_s=out_s,
        out_at=out_at,
        total=out_at + out_s + passes.takes("app", owner),
        tried=tried,
        number=number,
        good=good,
        at=at,
        takes=takes,
        moved=moved,
        model=np.minimum(before(moved.astype(np.float64), tried) + moved, 3).astype(np.int64),
        text=text,
        rendered=written + TEXTS["rendered"],
        answer=written + TEXTS["answer"],
    )


def call_rows(passes: Passes, calls: Calls, ready: Floats, begin: Floats, end: Floats, section: Whole) -> None:
    """Add the rows about calls.

    Args:
        passes: the passes.
        calls: their calls.
        ready: when the app had everything for each call, in seconds since the begin of the pass.
        begin: when the gateway began with it.
        end: when the app had the answer.
        section: the section of what ends with the call.
    """
    rows, owner, numbers = passes.rows, calls.owner, np.arange(len(calls.owner))
    own_span, app_span = rows.new_spans(len(owner)), passes.span[owner]
    response = np.full(len(owner), -1)
    response[calls.tried[calls.good]] = np.flatnonzero(calls.good)
    model = np.zeros(len(owner), dtype=np.int64)
    model[calls.tried] = calls.model
    attempts = np.bincount(calls.tried, minlength=len(owner))
    fine = ~calls.erred & ~calls.blocked
    ends = np.where(calls.erred, 2, np.where(calls.blocked, 3, 1))
    status = np.where(calls.erred, 500, np.where(calls.blocked, 400, 200))
    done = begin + calls.total

    rows.add("prompt.rendered", owner, ready, input=calls.rendered, span=app_span)
    rows.add("prompt.sent", owner, begin - 0.3 * (begin - ready), call=numbers, span=app_span)
    rows.add(
        "model.call", owner, begin, done, call=numbers, attempt_id=response, span=own_span, parent=app_span,
        input=calls.rendered, output=np.where(fine, calls.answer, -1), outcome=ends, status=status,
        attempt=np.maximum(attempts - 1, 0), end_section=section, hit=np.where(calls.hit, 1, 2), model=model,
        stream=passes.stream[owner],
    )  # fmt: skip
    rows.add("model.log", owner, begin + calls.log_at, call=numbers)
    rows.add(
        "model.access", owner, done + 0.00002, call=numbers, outcome=ends, status=status, section=section,
    )  # fmt: skip

    tried = begin[calls.tried] + calls.at
    rows.add(
        "model.attempt", owner[calls.tried], tried, tried + calls.takes, call=calls.tried,
        attempt_id=np.arange(len(tried)), span=rows.new_spans(len(tried)), parent=own_span[calls.tried],
        outcome=np.where(calls.good, 1, 2), attempt=calls.number, status=np.where(calls.good, 200, 500),
        model=calls.model, end_section=np.where(section % 4096 == 1, section, -1)[calls.tried],
    )  # fmt: skip
    moved = np.flatnonzero(calls.moved)
    of = calls.tried[moved]
    rows.add("model.fallback", owner[of], tried[moved] - 0.00005, call=of, model=calls.model[moved])

    some = np.flatnonzero(calls.in_s > 0)
    start = (begin + calls.in_at)[some]
    passes.judge(
        "policy.input", owner[some], start, start + calls.in_s[some], call=some, parent=own_span[some],
        input=calls.text[some],
    )  # fmt: skip
    some = np.flatnonzero(calls.out_s > 0)
    start = (begin + calls.out_at)[some]
    # Where the page shows the answer as it comes, the section of the end holds the filter too.
    beside = np.where(section % 4096 == 1, section, -1)
    passes.judge(
        "policy.output", owner[some], start, start + calls.out_s[some], call=some, parent=own_span[some],
        attempt_id=response[some], output=calls.answer[some], section=beside[some],
    )  # fmt: skip

    well, bad = np.flatnonzero(fine), np.flatnonzero(calls.erred)
    rows.add(
        "prompt.answered", owner[well], end[well], call=well, attempt_id=response[well], section=section[well],
        output=calls.answer[well], outcome=1, span=app_span[well], attempt=calls.step[well],
    )  # fmt: skip
    rows.add("prompt.error", owner[bad], end[bad], call=bad, outcome=2, section=section[bad])


def name_origins(rows: pl.DataFrame, calls: Calls, begin: Whole) -> pl.DataFrame:
    """Name in each row of a cache hit the response that filled the cache: the last one for its text before it.

    `begin` is when each call began. A hit without an earlier call names none: what filled the cache is older than the
    logs.
    """
    hit = np.flatnonzero(calls.hit)
    if not len(hit):
        return rows
    good = np.flatnonzero(calls.good)
    filled = calls.tried[good]
    fills = pl.DataFrame({"text": calls.text[filled], "at": begin[filled], "response": good})
    fills = fills.filter(pl.col("text") >= COMMON).sort("at", "response")
    asks = pl.DataFrame({"text": calls.text[hit], "at": begin[hit], "call": hit}).sort("at", "call")
    origin = asks.join_asof(fills, on="at", by="text", strategy="backward", check_sortedness=False).drop_nulls()
    response = np.full(len(begin), -1)
    response[origin["call"].to_numpy()] = origin["response"].to_numpy()
    call = rows["call"].to_numpy()
    named = pl.Series(np.where((rows["kind"].to_numpy() == CODE["model.call"]) & (call >= 0), response[call], -1))
    return rows.with_columns(
        ref=pl.when(named >= 0).then(pl.lit(3, pl.Int16)).otherwise("ref"),
        ref_id=pl.when(named >= 0).then(named).otherwise("ref_id"),
    )
