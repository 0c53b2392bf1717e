"""What each service writes of what happened: which rows, with which ids and times, and in which order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from . import ids
from .clocks import UNITS, drifted
from .flow import Happened
from .happened import CODE, KNOWS_MESSAGE, KNOWS_REQUEST
from .product import FAMILY_DEFAULTS, OWN, SPANS, Carry, Product, Service
from .reach import order, reach, together
from .traffic import ADVERSARY, SHARD_BITS, Plan

Whole = NDArray[np.int64]

TIME_KINDS = ("start", "end", "write")
STRIDE = 1 << 22
"""By how much a counter is further on in each next shard."""

BROKEN_BIT = 48
"""Above this bit an entity says which service made the id up."""

JOB = 1 << 33
"""What is added to a job's number where passes have theirs."""

_SPAN_CODES = [CODE[kind] for kind in SPANS]
_ENDS = [CODE["prompt.access"], CODE["model.access"]]


@dataclass(frozen=True)
class Entities:
    """The numbers behind the ids of a shard's passes and calls, with counters counted."""

    request: Whole
    message: Whole
    call: Whole


def entities(product: Product, plan: Plan, happened: Happened, calls: Whole) -> Entities:
    """Number the passes and calls of a shard; `calls` says when each call began, those of jobs included."""
    passes = len(plan.pass_turn)

    def number(name: str, count: int, start: Whole) -> Whole:
        family = product.family(name)
        plain = plan.base + np.arange(count)
        if family.style != "counter":
            return plain
        period = round(family.restart_h * 3.6e12)
        era = start // period if period else np.zeros(count, dtype=np.int64)
        # Each shard counts on from where the one before it could have got to; the count begins anew with each era.
        shard = plan.base >> SHARD_BITS
        window = max(plan.begin_ns // max(shard, 1), 1)
        earlier = np.maximum(shard - era * period // window, 0) if shard else np.zeros(count, dtype=np.int64)
        return np.asarray((era << ids.COUNTER_BITS) + 1000 + order(era, start) + earlier * STRIDE)

    pass_ids = number("request_id", passes, happened.pass_start)
    if product.family("request_id").scope == "turn":
        first = np.flatnonzero(plan.pass_number == 0)
        pass_ids = pass_ids[first][plan.pass_turn]
    hostile = plan.session_hostile[plan.turn_session[plan.pass_turn]]
    return Entities(
        request=np.where(hostile, ADVERSARY, pass_ids),
        message=number("message_id", passes, happened.pass_start),
        call=number("call_id", len(calls), calls),
    )


def written(
    product: Product, plan: Plan, rows: pl.DataFrame, numbers: Entities, span_ns: int, seed: int, shard: int
) -> list[pl.DataFrame]:
    """The rows that each service writes, as numbers, with the truth about them.

    Args:
        product: the product.
        plan: the shard's sessions, turns and passes.
        rows: what happened, with `session`, `job` and `only`.
        numbers: the shard's entities.
        span_ns: how long the whole run is; gaps are shares of it.
        seed: of the run.
        shard: number of the shard.

    Returns:
        One frame per service of the product, each with the same number of columns in every shard.
    """
    frames = [
        _write(product, plan, rows, numbers, number, span_ns, np.random.default_rng([seed, shard, 4, number]))
        for number in range(len(product.services))
    ]
    sizes = [frame.height for frame in frames]
    frames = [
        frame.with_columns(row=pl.int_range(first, first + frame.height, dtype=pl.Int64))
        for frame, first in zip(frames, np.cumsum([0, *sizes[:-1]]).tolist(), strict=True)
    ]
    return _truth(product, frames)


def _known(product: Product, plan: Plan, numbers: Entities, name: str, rows: pl.DataFrame) -> Whole:
    """The entity of family `name` that each row could know; -1 for none."""
    member, job, knows = (rows[column].to_numpy() for column in ("member", "job", "knows"))
    call, attempt = rows["call"].to_numpy(), rows["attempt_id"].to_numpy()
    inside, asked = member >= 0, (knows & KNOWS_REQUEST) > 0
    jobs = np.where((job >= 0) & asked, plan.base + JOB + job, -1)
    if name == "request_id":
        return np.where(inside & asked, numbers.request[member], -1)
    if name in ("trace_id", "run_id"):
        scope = product.family(name).scope if name == "trace_id" else "pass"
        turn = plan.pass_turn[member]
        entity = plan.base + {"pass": member, "turn": turn, "session": plan.turn_session[turn]}[scope]
        if name == "trace_id" and scope != "session":
            hostile = plan.session_hostile[plan.turn_session[turn]]
            entity = np.where(hostile, ADVERSARY, entity)
        return np.where(inside & asked, entity, jobs)
    if name == "message_id":
        return np.where(inside & ((knows & KNOWS_MESSAGE) > 0), numbers.message[member], -1)
    if name == "call_id":
        return np.where(call >= 0, numbers.call[call], -1)
    known = attempt >= 0
    if name == "response_id":
        known &= (rows["outcome"].to_numpy() == 1) | (rows["kind"].to_numpy() != CODE["model.attempt"])
        known &= rows["hit"].to_numpy() != 1
    return np.where(known, plan.base + attempt, -1)


def _carried(product: Product, plan: Plan, numbers: Entities, carry: Carry, service: int, rows: pl.DataFrame) -> Whole:
    """The entity that each row writes for `carry`; -1 for none."""
    place = rows["place"].to_numpy()
    if carry.family in OWN:
        entity = (plan.base + place) | (service + 1) << BROKEN_BIT
    else:
        entity = _known(product, plan, numbers, carry.family, rows)
    key = ids.salt(service, carry.family, carry.kind)
    member = rows["member"].to_numpy()
    drawn = np.where(member >= 0, plan.base + member, plan.base + JOB + rows["job"].to_numpy())
    by = plan.base + place if carry.by == "row" else drawn
    writes = (entity >= 0) & (ids.unit(by, key) < carry.share)
    if carry.where:
        writes &= np.isin(rows["kind"].to_numpy(), [CODE[kind] for kind in carry.where])
    if carry.broken:
        counter = product.family(carry.family).style == "counter"
        own = -1 if counter else entity | (service + 1) << BROKEN_BIT
        entity = np.where(ids.unit(drawn, key + 1) < carry.broken, own, entity)
    if carry.constant:
        constant = ids.CONSTANT - key % len(ids.CONSTANTS)
        entity = np.where(ids.unit(plan.base + place, key + 2) < carry.constant, constant, entity)
    return np.where(writes, entity, -1)


def _write(
    product: Product,
    plan: Plan,
    rows: pl.DataFrame,
    numbers: Entities,
    number: int,
    span_ns: int,
    draw: np.random.Generator,
) -> pl.DataFrame:
    service = product.services[number]
    wanted = pl.col("kind").is_in([CODE[kind] for kind in service.kinds])
    rows = rows.filter(wanted & ((pl.col("only") < 0) | (pl.col("only") == number)))
    rows = rows.filter(pl.Series(draw.random(rows.height) >= service.lost))
    rows = rows.with_columns(place=pl.int_range(pl.len(), dtype=pl.Int64))
    count, member = rows.height, rows["member"].to_numpy()
    inside = member >= 0
    turn = plan.pass_turn[member]
    session = np.where(inside, plan.turn_session[turn], rows["session"].to_numpy())
    place = plan.base + rows["place"].to_numpy()

    # One instance serves a pass, or a call where the row is about one.
    served = np.where(rows["call"].to_numpy() >= 0, rows["call"].to_numpy() + (1 << 40), member + 2)
    served = np.where(inside | (rows["call"].to_numpy() >= 0), served, place)
    instance = (ids.unit(plan.base + served, ids.salt("instance", number)) * len(service.clocks)).astype(np.int64)

    t0, t1 = rows["t0"].to_numpy(), rows["t1"].to_numpy()
    kind = rows["kind"].to_numpy()
    even = np.ones(count)
    lag = np.rint(service.write_lag.sample(draw, even) * 1e9).astype(np.int64)
    browser = service.layer == "ui"
    spans, ends = np.isin(kind, _SPAN_CODES), np.isin(kind, _ENDS)
    write = t1 + np.where(spans & (not browser), lag, 0)
    meant = np.where(spans, TIME_KINDS.index(service.time_kind), np.where(ends, 1, 2))
    stamp = np.choose(meant, [t0, t1, write])
    arrives = write + np.rint(service.batch.sample(draw, even) * 1e9).astype(np.int64)
    if browser:
        arrives = arrives + np.rint(product.delay("upload").sample(draw, even) * 1e9).astype(np.int64)
        arrives = arrives + np.rint(np.where(session >= 0, plan.session_late[session], 0.0) * 1e9).astype(np.int64)
    ahead = np.zeros(count, dtype=np.int64)
    for n, clock in enumerate(service.clocks):
        here = instance == n
        ahead[here] = clock.offset(stamp[here])
    shown_at = arrives + (_offsets(service, instance, arrives) if browser else 0)
    if browser:
        started = plan.session_start[session]
        ahead = plan.session_skew[session] + drifted(stamp - started, plan.session_drift[session])
    unit = UNITS[service.precision]
    logged = (stamp + ahead) // unit * unit
    other = t1 + ahead  # where a row about a span also states its end
    other = np.maximum(logged, other // unit * unit)

    mute = ids.unit(place, ids.salt("mute", number)) < service.mute
    mute |= np.isin(kind, [CODE[name] for name in service.bare])
    named: dict[str, Whole] = {}
    for n, carry in enumerate(service.ids):
        entity = _carried(product, plan, numbers, carry, number, rows)
        named[f"id{n}"] = entity if carry.family in OWN else np.where(mute, -1, entity)

    def shared(name: str, share: float) -> NDArray[np.bool_]:
        return (session >= 0) & ~mute & (ids.unit(place, ids.salt(name, number)) < share)

    says_session = shared("session", service.session)
    says_user = shared("user", service.user)
    content = ids.unit(place, ids.salt("content", number)) < service.content
    hides_spans = np.full(count, not service.spans) | mute
    section_at_end = np.maximum(rows["section"].to_numpy(), rows["end_section"].to_numpy())
    starts_known = ~spans | (meant == 0) | service.states_span | ~hides_spans
    ref = np.where(mute, 0, rows["ref"].to_numpy())
    ref_id = rows["ref_id"].to_numpy()
    ref_entity = np.select(
        [ref == 1, ref == 2, ref == 3],
        [numbers.message[ref_id % len(numbers.message)], numbers.request[ref_id % len(numbers.request)],
         plan.base + ref_id],
        -1,
    )  # fmt: skip
    if product.family("request_id").scope == "turn":
        ref = np.where(ref == 2, 0, ref)
    frame = rows.select(
        "kind", "job", "outcome", "attempt", "verdict", "status", "hit", "model", "stream"
    ).with_columns(
        pl.Series("request", np.where(inside, plan.base + turn, -1)),
        pl.Series("shard_place", place),
        pl.Series("try", np.where(inside, plan.pass_number[member], -1)),
        pl.Series("session", np.where(session >= 0, plan.base + session, -1)),
        pl.Series("user", np.where(session >= 0, plan.session_user[session], -2)),
        pl.Series("says_session", says_session),
        pl.Series("says_user", says_user),
        pl.Series("instance", instance),
        pl.Series("t0", t0),
        pl.Series("t1", t1),
        pl.Series("stamp", stamp),
        pl.Series("write", write),
        pl.Series("arrives", arrives),
        pl.Series("arrives_shown", shown_at // 1_000_000 * 1_000_000),
        pl.Series("event_time", logged),
        pl.Series("end_time", np.where(spans & (meant == 0) & service.states_span, other, -1)),
        pl.Series("duration", np.where(spans & (meant > 0) & service.states_span, t1 - t0, -1)),
        pl.Series("time_kind", meant),
        pl.Series("when", np.where(starts_known, t0, t1)),
        pl.Series("section", np.where(starts_known, rows["section"].to_numpy(), section_at_end)),
        pl.Series(
            "span", np.where(hides_spans | (rows["span"].to_numpy() < 0), -1, plan.base + rows["span"].to_numpy())
        ),
        pl.Series(
            "parent", np.where(hides_spans | (rows["parent"].to_numpy() < 0), -1, plan.base + rows["parent"].to_numpy())
        ),
        pl.Series("input", np.where(content, rows["input"].to_numpy(), -1)),
        pl.Series("output", np.where(content, rows["output"].to_numpy(), -1)),
        pl.Series("ref", ref),
        pl.Series("ref_entity", ref_entity),
        *(pl.Series(name, entity) for name, entity in named.items()),
    )
    frame = frame.with_columns(again=pl.lit(0, pl.Int64))
    frame = _without_gap(service, frame, span_ns)
    twice = frame.filter(pl.Series(draw.random(frame.height) < service.redelivered))
    later = np.rint(draw.exponential(20.0, twice.height) * 1e9).astype(np.int64)
    twice = twice.with_columns(
        pl.Series("arrives", twice["arrives"].to_numpy() + later),
        pl.Series("arrives_shown", twice["arrives_shown"].to_numpy() + later),
        again=pl.lit(1, pl.Int64),
    )
    return pl.concat([frame, _without_gap(service, twice, span_ns)])


def _without_gap(service: Service, frame: pl.DataFrame, span_ns: int) -> pl.DataFrame:
    if not service.gap:
        return frame
    begin, end = (round(share * span_ns) for share in service.gap)
    return frame.filter(~pl.col("arrives").is_between(begin, end))


def _offsets(service: Service, instance: Whole, time: Whole) -> Whole:
    ahead = np.zeros(len(time), dtype=np.int64)
    for n, clock in enumerate(service.clocks):
        here = instance == n
        ahead[here] = clock.offset(time[here])
    return ahead


def _truth(product: Product, frames: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """The frames with reach, id_reused, causal_seq and time_seq, which need the rows of all services."""
    whole = pl.concat(
        [
            frame.select(
                "row", "kind", "t0", "when", "section",
                request=pl.when(pl.col("request") >= 0).then("request"),
                owner=pl.when(pl.col("request") >= 0)
                .then("request")
                .when(pl.col("job") >= 0)
                .then(-pl.col("job") - 2)
                .otherwise(-pl.col("row") - (1 << 50)),
                has_session="says_session",
                has_user="says_user",
            )
            for frame in frames
        ]
    )  # fmt: skip
    named = []
    for service, frame in zip(product.services, frames, strict=True):
        names = [(carry.family, frame[f"id{n}"]) for n, carry in enumerate(service.ids)]
        # A redelivery says the same as the row that it repeats, so the two belong together.
        names += [("span", frame["span"]), ("span", frame["parent"]), (f"{service.name} record", frame["shard_place"])]
        for family, entity in names:
            number, row = entity.to_numpy(), frame["row"].to_numpy()
            some = number != -1
            style = product.family(family).style if family in FAMILY_DEFAULTS else "hex16"
            shown = number & ((1 << ids.COUNTER_BITS) - 1) if style == "counter" else number
            key = ids.salt(family)
            named.append(
                pl.DataFrame(
                    {
                        "row": row[some],
                        "value": ids.mix(number[some], key),
                        "shown": ids.mix(shown[some], key),
                    }
                )
            )
    ties = reach(whole, pl.concat(named))
    request = whole["request"].fill_null(-1).to_numpy()
    when = whole["when"].to_numpy()
    ordered = ties.with_columns(
        causal_seq=pl.Series(order(request, together(whole["section"].to_numpy(), when))),
        time_seq=pl.Series(order(request, when)),
    )
    return [
        frame.hstack(ordered.slice(int(first), frame.height).drop("row"))
        for frame, first in zip(frames, np.cumsum([0, *(frame.height for frame in frames[:-1])]).tolist(), strict=True)
    ]
