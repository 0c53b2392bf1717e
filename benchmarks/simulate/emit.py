"""Rows as numbers become events as the engine receives them, and rows of the truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from strataline.event import EVENTS

from . import ids
from .clocks import EPOCH_NS
from .happened import NOTICE, OUTCOMES, REFS, VERDICTS
from .product import KINDS, Carry, Product, Service
from .traffic import SHARD_BITS

TRUTH = pl.Schema(
    {
        "event_id": pl.String(),
        "file": pl.String(),
        "line_no": pl.Int64(),
        "sub": pl.Int64(),
        "layer": pl.String(),
        "service": pl.String(),
        "event_kind": pl.String(),
        "true_request": pl.String(),
        "true_try": pl.Int64(),
        "true_job": pl.String(),
        "true_time_ns": pl.Int64(),
        "true_start_ns": pl.Int64(),
        "true_end_ns": pl.Int64(),
        "true_write_ns": pl.Int64(),
        "causal_seq": pl.Int64(),
        "time_seq": pl.Int64(),
        "reach": pl.String(),
        "id_reused": pl.Boolean(),
        "duplicate_of": pl.String(),
        "corrupt": pl.String(),
    }
)
"""The truth about each event.

event_id joins it to the events; file, line_no, sub are its address. true_request and true_job are null for a row of
none; true_try tells the tries of a request apart, from 0. true_time_ns is what the row's own time would say by the true
clock (UTC), true_start_ns and true_end_ns when what it tells began and ended, true_write_ns when it was written.
causal_seq is the order within the request, equal where things ran beside each other; time_seq orders these too, by true
time; both take a row by its begin, or by its end if that is all that it tells, and are null without a request. reach:
what could tie it (id, session+time, user+time, time_only, none). id_reused: an id of it was used again, much later, by
another request. duplicate_of: the event that it is a redelivery of. corrupt is always null.
"""

_SHOWN = {"ui.rendered": "answer", "ui.error_shown": "error"}
_STATED_KINDS = {"policy.input": "policy.decision", "policy.output": "policy.decision"}
_MODELS = ("large-2026-01", "large-2025-07", "small-2026-01", "small-2025-07")


@dataclass
class Places:
    """How far each source has been written: its lines and bytes."""

    lines: dict[str, int] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)


def instance_names(service: Service) -> list[str]:
    """The names of a service's instances."""
    if len(service.clocks) == 1:
        return [service.name]
    return [f"{service.name}-{number}" for number in range(len(service.clocks))]


def sources(service: Service) -> tuple[str, ...]:
    """The source of each of a service's instances."""
    return tuple(f"{service.layer}/{name}.jsonl" for name in instance_names(service))


def salts(product: Product, seed: int) -> dict[str, int]:
    """What sets each family of names apart in a run."""
    names = ("session", "ui_session", "request", "job", "event", "record", "text", "span", "length")
    return {name: ids.salt(seed, product.name, name) for name in names}


def session_names(product: Product, service: Service, session: NDArray[np.int64], seed: int) -> pl.Series:
    """What a service calls each session."""
    key = salts(product, seed)
    if service.own_session_name:
        return ids.render(session, "uuid", key["ui_session"])
    return ids.render(session, "sess", key["session"])


def _where(condition: NDArray[np.bool_], text: pl.Series) -> pl.Series:
    """`text` where the condition holds, else null."""
    return pl.select(pl.when(pl.Series(condition)).then(text)).to_series()


def _carry_text(product: Product, seed: int, carry: Carry, entity: NDArray[np.int64]) -> pl.Series:
    family = product.family(carry.family)
    if carry.family == "trace_id" and family.scope == "session":
        key, style = salts(product, seed)["session"], "sess"
    else:
        key, style = ids.salt(seed, product.name, carry.family), family.style
    return _where(entity != -1, ids.render(entity, style, key, carry.form))


def _id_list(parts: list[tuple[str, pl.Series, str]], rows: int) -> pl.Series:
    """A list of structs of kind, value and role for each of `rows` rows, of the values that it has."""
    has = [value.is_not_null().to_numpy() for _, value, _ in parts]
    count = np.sum(has, axis=0, dtype=np.int64)
    ends = np.cumsum(count)
    slot = np.concatenate([(ends - count + n)[here] for n, here in _elder(has)])
    place = np.empty(len(slot), dtype=np.int64)
    place[slot] = np.arange(len(slot))
    which = np.repeat(np.arange(len(parts)), [int(here.sum()) for here in has])[place]
    entries = pl.DataFrame(
        {
            "kind": pl.Series([kind for kind, _, _ in parts]).gather(pl.Series(which)),
            "value": pl.concat([value.drop_nulls() for _, value, _ in parts]).gather(pl.Series(place)),
            "role": pl.Series([role for _, _, role in parts]).gather(pl.Series(which)),
        }
    ).to_struct()
    lists = pa.LargeListArray.from_arrays(np.r_[0, ends], entries.to_arrow())
    return pl.Series(pl.from_arrow(lists)).cast(EVENTS.schema["ids"]).head(rows)


def _elder(has: list[NDArray[np.bool_]]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """For each part: how many parts before it each row has, and whether it has this one."""
    elder = np.zeros(len(has[0]), dtype=np.int64)
    for here in has:
        yield elder.copy(), here
        elder += here


def _texts(entity: NDArray[np.int64], key: int) -> tuple[pl.Series, pl.Series]:
    """The hash and length of each text; null for none."""
    some = entity != -1
    length = pl.Series(8 + (ids.mix(entity, key) % np.uint64(400)).astype(np.int64))
    return _where(some, ids.hexadecimal(entity, key)), _where(some, length)


def _pick(names: tuple[str, ...], number: NDArray[np.integer]) -> pl.Series:
    """The name of each number; null where it is empty, or the number is negative."""
    text = pl.Series(names).gather(pl.Series(np.maximum(number, 0).astype(np.int64)))
    return _where((number >= 0) & (text != "").to_numpy(), text)


def emit(
    product: Product, number: int, rows: pl.DataFrame, places: Places, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Events and truth of rows of the service `number`, which follow those that `places` has seen."""
    service, key = product.services[number], salts(product, seed)
    rows = rows.sort("instance", "arrives", "row", "again")
    count = rows.height
    column = {name: rows[name].to_numpy() for name in rows.columns if rows[name].dtype.is_integer()}
    instance = column["instance"]
    names = instance_names(service)
    files = sources(service)
    source = _pick(files, instance)

    length = 180 + (ids.mix(column["shard_place"], key["length"]) % np.uint64(1500)).astype(np.int64)
    line, offset = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    for n, name in enumerate(files):
        here = np.flatnonzero(instance == n)
        first, begin = places.lines.get(name, 0), places.offsets.get(name, 0)
        line[here] = first + 1 + np.arange(len(here))
        offset[here] = begin + np.cumsum(length[here] + 1) - (length[here] + 1)
        places.lines[name] = first + len(here)
        places.offsets[name] = begin + int((length[here] + 1).sum())

    # A redelivery has the record hash of the row that it repeats, and an event id of its own.
    record = column["shard_place"] | (number + 1) << 48
    event_id = ids.hexadecimal(record | column["again"] << 47, key["event"])
    session = column["session"]
    session_name = _where(rows["says_session"].to_numpy(), session_names(product, service, session, seed))
    user = column["user"]
    user_name = _where(rows["says_user"].to_numpy(), ids.render(np.maximum(user, -1), "user", 0))
    span = _where(column["span"] != -1, ids.render(column["span"], "hex16", key["span"]))
    parts = [
        (carry.kind or carry.family, _carry_text(product, seed, carry, column[f"id{n}"]), "alias")
        for n, carry in enumerate(service.ids)
    ]
    response = next((text for kind, text, _ in parts if kind == "response_id"), None)
    parts += [("span_id", span, "span"), ("session", session_name, "group"), ("user", user_name, "group")]
    tenants = product.traffic.tenants
    ui = service.layer == "ui"
    kinds = _pick(KINDS, column["kind"])
    told = kinds.replace(_STATED_KINDS)
    input_hash, input_chars = _texts(column["input"], key["text"])
    judged = service.judged_as == "input"
    output = column["output"]
    output_hash, output_chars = _texts(output, key["text"])
    if judged:
        swap = pl.DataFrame({"a": input_hash, "b": output_hash, "c": input_chars, "d": output_chars})
        swap = swap.select(pl.coalesce("a", "b"), pl.coalesce("c", "d"))
        input_hash, input_chars = swap.get_columns()
        output_hash, output_chars = _where(output < -1, output_hash), _where(output < -1, output_chars)
    shown = pl.select(
        pl.when(pl.Series(output) == NOTICE)
        .then(pl.lit("blocked_notice"))
        .otherwise(kinds.replace_strict(_SHOWN, default=None, return_dtype=pl.String))
    ).to_series()
    model = ids.unit(column["shard_place"], 5) < 0.5
    duration, end_time = column["duration"], column["end_time"]
    attempt, status = column["attempt"], column["status"]
    if ui:
        clock = pl.Series("browser:" + session_names(product, service, session, seed))
    else:
        clock = _pick(tuple(names), instance)
    logged = pl.Series(EPOCH_NS + column["event_time"])
    time = logged.cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    frame = pl.DataFrame(
        {
            "event_id": event_id,
            "kind": told,
            "name": kinds,
            "outcome": _pick(OUTCOMES, column["outcome"]),
            "source": source,
            "line": line,
            "offset": offset,
            "length": length,
            "record_hash": ids.hexadecimal(record, key["record"]),
            "time_raw": logged.cast(pl.String),
            "event_time": time,
            "end_time": _moments(end_time),
            "duration_ns": _where(duration >= 0, pl.Series(duration)),
            "observed_time": _moments(column["arrives_shown"] if ui else np.full(count, -1)),
            "time_kind": _pick(("start", "end", "write"), column["time_kind"]),
            "clock": clock,
            "ids": _id_list(parts, count),
            "refs": _refs(product, seed, column),
            "span_id": span,
            "parent_id": _where(column["parent"] != -1, ids.render(column["parent"], "hex16", key["span"])),
            "session": session_name,
            "user": user_name,
            "tenant": _where((user >= 0) & (tenants > 0), ids.render(user % max(tenants, 1), "user", 0)),
            "input_hash": input_hash,
            "output_hash": output_hash,
            "input_chars": input_chars,
            "output_chars": output_chars,
            "requested_model": _where(column["model"] >= 0, _pick(("chat-main",), np.zeros(count, dtype=np.int64))),
            "served_model": _pick(_MODELS, column["model"]),
            "attempt": _where(attempt >= 0, pl.Series(attempt)),
            "http_status": _where(status >= 0, pl.Series(status)),
            "cache": _pick(("", "hit", "miss"), column["hit"]),
            "stream": _where(column["stream"] >= 0, pl.Series(column["stream"] == 1)),
            "policy_stage": kinds.replace_strict(
                {"policy.input": "input", "policy.output": "output"}, default=None, return_dtype=pl.String
            ),
            "verdict": _pick(VERDICTS, column["verdict"]),
            "shown": shown,
            "feedback": _where((kinds == "ui.feedback").to_numpy(), _pick(("down", "up"), model.astype(np.int64))),
        }
    ).with_columns(
        layer=pl.when(pl.col("kind") == "change.applied").then(pl.lit("change")).otherwise(pl.lit(service.layer)),
        service=pl.lit(service.name),
        address=pl.lit("bytes"),
        item=pl.lit(0, pl.Int64),
        index=pl.lit(0, pl.Int64),
        format=pl.lit(f"simulated_{service.layer}"),
        format_confidence=pl.lit(1.0),
        time_precision=pl.lit(service.precision),
        zone_basis=pl.lit("explicit"),
        response_id=response if response is not None else pl.lit(None, pl.String),
    )  # fmt: skip
    truth = _truth_rows(rows, column, frame, kinds, ids.hexadecimal(record, key["event"]), key)
    return EVENTS.conform(frame), truth


def _moments(time: NDArray[np.int64]) -> pl.Series:
    """Times since the begin of the run as UTC; null for -1."""
    text = pl.Series(EPOCH_NS + time).cast(pl.Datetime("ns")).dt.replace_time_zone("UTC")
    return _where(time != -1, text)


def _refs(product: Product, seed: int, column: dict[str, NDArray[np.int64]]) -> pl.Series:
    """The list of refs of each row."""
    ref, entity = column["ref"], column["ref_entity"]
    parts = []
    for number, family in ((1, "message_id"), (2, "request_id"), (3, "response_id")):
        named = np.where(ref == number, entity, -1)
        parts.append((family, _carry_text(product, seed, Carry(family), named), REFS[number]))
    return _id_list(parts, len(ref))


def _truth_rows(
    rows: pl.DataFrame,
    column: dict[str, NDArray[np.int64]],
    frame: pl.DataFrame,
    kinds: pl.Series,
    first: pl.Series,
    key: dict[str, int],
) -> pl.DataFrame:
    """The truth about rows; `first` is the event id of each, or of the row that it repeats."""
    request, job = column["request"], column["job"]
    asked = request >= 0
    shard = column["shard_place"] >> SHARD_BITS << SHARD_BITS
    return pl.DataFrame(
        {
            "event_id": frame["event_id"],
            "file": frame["source"],
            "line_no": frame["line"],
            "sub": np.zeros(rows.height, dtype=np.int64),
            "layer": frame["layer"],
            "service": frame["service"],
            "event_kind": kinds,
            "true_request": _where(asked, ids.hexadecimal(request, key["request"], 16)),
            "true_try": _where(asked, pl.Series(column["try"])),
            "true_job": _where(job >= 0, ids.hexadecimal(shard + job, key["job"], 16)),
            "true_time_ns": EPOCH_NS + column["stamp"],
            "true_start_ns": EPOCH_NS + column["t0"],
            "true_end_ns": EPOCH_NS + column["t1"],
            "true_write_ns": EPOCH_NS + column["write"],
            "causal_seq": _where(asked, rows["causal_seq"]),
            "time_seq": _where(asked, rows["time_seq"]),
            "reach": rows["reach"],
            "id_reused": rows["id_reused"],
            "duplicate_of": _where(column["again"] == 1, first),
            "corrupt": pl.Series([None] * rows.height, dtype=pl.String),
        },
        schema=TRUTH,
    )
