"""Measure the correlation engine: on a capture with ground truth, and on products that the simulator draws.

    python benchmarks/engine.py                                       20 drawn products
    python benchmarks/engine.py --capture DIR --presets --jobs 2      with a capture, and the simulator's presets
    python benchmarks/engine.py --without refuse_hubs                 with a step of the engine left out
    python benchmarks/engine.py --capture DIR --ablation --seeds 0-4  with each of them left out in turn

Prints Markdown tables, or with ``--json`` one JSON object. Each product is measured in a process of its own.

- *Precision, recall, order agreement*: as `accuracy.py` says. On simulated products one thing is left out: rows that
  belong to no turn (a job's, a health check's) and stand together in a request of kind job or unrooted, with no row of
  a turn among them, were put in no turn, and are not wrong.
- *Calibration*: links by content and by window, taken or listed as candidates. A link is right if the true request of
  its event owns the request that it names (owner as in `accuracy.py`).
- *Clocks*: as `clock_error.py` says. *Moved without skew*: clocks from whose times something was taken in a run of the
  same product with true clocks, where nothing should be.
- *CPU*: seconds of the whole process within `correlate`, all threads.

A step is left out by the least that the steps behind it can work with: see `STAND_INS`. `stitch` cannot be left out.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import accuracy
import polars as pl
import pyarrow.parquet as pq
import simulate
from clock_error import TRUE, ClockScore, clock_score

from strataline import correlate as engine, reconstruct
from strataline.correlate.bounds import CLOCK_ROWS
from strataline.correlate.ids import with_keys
from strataline.correlate.work import OPENING, Work

BY_LIKELIHOOD = ("content", "window")
"""Methods whose confidence is a probability."""

SURE = 0.99
CELLS = 10
Row = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One product to measure.

    Args:
        name: as printed.
        product: ``drawn``, the name of a preset, or ``capture``.
        seed: of the run, and of a drawn product.
        requests: to simulate.
        unskewed: whether to measure the same product with true clocks as well.
        without: steps to leave out.
        events: where a capture's events lie (Parquet).
        truth: folder of the capture.
    """

    name: str
    product: str
    seed: int = 0
    requests: int = 0
    unskewed: bool = False
    without: tuple[str, ...] = ()
    events: Path = Path()
    truth: Path = Path()


@dataclass(frozen=True)
class Known:
    """A product's events, and what is true of them.

    Args:
        events: what correlation is given.
        truth: as `accuracy.py` wants it, undamaged rows, and event_id (null where no event stands for a row) and
            true_time_ns.
        clocks: as in `clock_error.TRUE`.
        simulated: whether jobs of simulated products may stand together.
    """

    events: pl.DataFrame
    truth: pl.DataFrame
    clocks: pl.DataFrame
    simulated: bool


# --- steps left out


def _plain_keys(work: Work) -> Work:
    return with_keys(work, lambda values: values.with_columns(key=pl.concat_str("kind", pl.lit("\x1f"), "value")))[0]


def _all_fresh(work: Work) -> Work:
    return replace(work, events=work.events.drop("signature", strict=False))


def _all_own_turn(work: Work) -> Work:
    fresh = work.events.filter((pl.col("first") == pl.col("n")) & (pl.col("kind") == OPENING))
    return replace(work, groups=fresh.select("n", turn="n"))


def _no_scopes(work: Work) -> Work:
    none = pl.lit(None, pl.Int64)
    return replace(work, events=work.events.with_columns(session_scope=none, user_scope=none))


def _no_offsets(work: Work) -> Work:
    zero = pl.lit(0, pl.Int64)
    events = work.events.with_columns(offset_ns=zero, doubt=zero)
    return replace(work, clocks=pl.DataFrame(schema=CLOCK_ROWS), events=events)


def _by_time(work: Work) -> Work:
    rows = work.events.join(work.members.select("n", "request"), on="n").sort("request", "t", "n", nulls_last=True)
    seq = pl.int_range(pl.len()).over("request")
    return replace(work, ordered=rows.select("n", seq=seq, order_basis=pl.lit("clock")).sort("n"))


STAND_INS: Mapping[str, Callable[[Work], Work]] = {
    "normalise_ids": _plain_keys,
    "mark_redelivery": _all_fresh,
    "group_turns": _all_own_turn,
    "resolve_scopes": _no_scopes,
    "estimate_clocks": _no_offsets,
    "order": _by_time,
}
"""What stands in for a step that others need: ids joined as written; every event its own; every opening event a turn of
its own; no session and no user known; no clock moved; events in order of time. Other steps just do nothing."""

NEEDED = ("stitch",)


def step_names() -> list[str]:
    """The steps that can be left out, in order; a step that runs twice is named once."""
    names = dict.fromkeys(step.__name__ for step in engine.STEPS)
    return [name for name in names if name not in NEEDED]


def steps_without(left_out: Sequence[str]) -> tuple[Callable[[Work], Work], ...]:
    """`STEPS` with the steps named `left_out` replaced.

    Raises:
        ValueError: there is no such step, or it cannot be left out.
    """
    for name in left_out:
        if name not in step_names():
            raise ValueError(f"no step {name} that could be left out; there are: {', '.join(step_names())}")
    return tuple(
        STAND_INS.get(step.__name__, lambda work: work) if step.__name__ in left_out else step for step in engine.STEPS
    )


# --- what is true


def simulated(task: Task, *, skewed: bool = True) -> Known:
    """Draw and run the product of a task."""
    product = simulate.draw_product(task.seed) if task.product == "drawn" else simulate.PRESETS[task.product]()
    run = simulate.simulate(product if skewed else simulate.no_skew(product), task.requests, task.seed)
    return Known(run.events, run.truth, run.clocks.select(TRUE.names()), simulated=True)


def captured(task: Task) -> Known:
    """Read a capture's events and truth."""
    events, folder = pl.read_parquet(task.events), task.truth
    truth = pl.read_parquet(folder / "ground_truth.parquet").filter(pl.col("corrupt").is_null())
    truth = truth.with_columns(layer=pl.col("layer").replace({"gateway": "model"}))
    told = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    place = pl.struct("offset", "item").rank("dense").over("source", "line").cast(pl.Int64) - 1
    at = (
        events.with_columns(sub=place)
        .join(truth, left_on=["source", "line", "sub"], right_on=["file", "line_no", "sub"], suffix="_true")
        .filter((pl.col("layer") == pl.col("layer_true")) | (pl.col("layer") == "change"))
        .select("event_id", "source", "line", "sub", "index", "clock", "session", "layer", service="service_true")
    )
    speaking = at.sort("index").unique(["source", "line", "sub"], keep="first", maintain_order=True)
    places = speaking.select("event_id", file="source", line_no="line", sub="sub")
    truth = truth.drop("event_id", strict=False).join(places, on=["file", "line_no", "sub"], how="left")
    return Known(events, truth, _captured_clocks(at, told), simulated=False)


def _captured_clocks(at: pl.DataFrame, told: Mapping[str, Any]) -> pl.DataFrame:
    """A service's clock is what ``clock_offsets_ns`` says of it; a browser's what its session's skew is."""
    services = {name: one["offset_ns"] for name, one in told["clock_offsets_ns"].items()}
    sessions = {name: round(one["skew_ms"] * 1e6) for name, one in told["ui_session_skew_ms"].items()}
    of = {"old": pl.String, "offset_ns": pl.Int64}
    skews = pl.DataFrame([*sessions.items()], schema=of, orient="row")
    offsets = pl.DataFrame([*services.items()], schema=of, orient="row")
    pages, others = at.filter(pl.col("layer") == "ui"), at.filter(pl.col("layer") != "ui")
    known = pl.concat(
        [
            pages.join(skews, left_on="session", right_on="old").select("clock", "offset_ns"),
            others.join(offsets, left_on="service", right_on="old").select("clock", "offset_ns"),
        ]
    )
    most = known.group_by("clock", "offset_ns").len().sort("clock", "len", "offset_ns", descending=[False, True, False])
    one = most.unique("clock", keep="first", maintain_order=True)
    return one.select("clock", "offset_ns", from_ns=0, to_ns=1, drift_ppb=0).select(
        pl.col(name).cast(dtype) for name, dtype in TRUE.items()
    )


# --- measuring


def measure(task: Task) -> Row:
    """Measure one product; an engine that raises is told of under ``failed``."""
    try:
        return _measure(task)
    except Exception as error:  # noqa: BLE001 - a product that the engine cannot do is a result
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        return {"task": _told(task), "failed": f"{type(error).__name__} at {where}: {str(error).splitlines()[0][:200]}"}


def _told(task: Task) -> Row:
    return {"name": task.name, "product": task.product, "seed": task.seed, "without": list(task.without)}


def _measure(task: Task) -> Row:
    known = captured(task) if task.product == "capture" else simulated(task)
    case, seconds = _correlated(known.events, task.without)
    requests = case.requests.select("request", "kind")
    events = case.events
    if known.simulated:
        events = _jobs_apart(events, requests, known.truth)
    score = accuracy.score(events, requests, known.truth)
    clocks = clock_score(case.events, case.clocks, known.truth.filter(pl.col("event_id").is_not_null()), known.clocks)
    row: Row = {
        "task": _told(task),
        "events": known.events.height,
        "score": score.to_dict(),
        "calibration": calibration(case.links, owners(events, requests, known.truth), known.truth),
        "clocks": _clocks_told(clocks),
        "cpu_s": round(seconds, 2),
    }
    if task.unskewed and task.product != "capture":
        again, _ = _correlated(simulated(task, skewed=False).events, task.without)
        row["unskewed"] = {
            "domains": again.clocks["clock"].n_unique(),
            "moved": again.clocks.filter(pl.col("offset_ns") != 0)["clock"].n_unique(),
            "furthest_ms": round(float(again.clocks["offset_ns"].abs().max() or 0) / 1e6, 3),  # type: ignore[arg-type]
        }
    return row


def _correlated(events: pl.DataFrame, without: Sequence[str]) -> tuple[engine.Correlated, float]:
    whole = engine.STEPS
    engine.STEPS = steps_without(without)
    try:
        begin = time.process_time()
        return engine.correlate(events), time.process_time() - begin
    finally:
        engine.STEPS = whole


def _jobs_apart(events: pl.DataFrame, requests: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """The events, with no request for those that stand in one without an opening event and without a turn's row."""
    others = requests.filter(pl.col("kind") != "turn").select("request")
    true = truth.select("event_id", "true_request")
    turns = events.join(true, on="event_id").filter(pl.col("true_request").is_not_null()).select("request").unique()
    apart = others.join(turns, on="request", how="anti").with_columns(apart=pl.lit(value=True))
    return (
        events.join(apart, on="request", how="left", maintain_order="left")
        .with_columns(request=pl.when(pl.col("apart").is_null()).then("request"))
        .drop("apart")
    )


def owners(events: pl.DataFrame, requests: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """request, owner: the true request that each request of the case belongs to, as in `accuracy.py`; null if none."""
    true = truth.filter(pl.col("event_id").is_not_null()).select("event_id", "true_request", "reach")
    turns = requests.filter(pl.col("kind") == "turn")
    opened = turns.join(true, left_on="request", right_on="event_id").select("request", owner="true_request")
    rows = events.select("event_id", "request").join(true, on="event_id")
    rows = rows.filter(pl.col("request").is_not_null() & pl.col("true_request").is_not_null())
    votes = rows.group_by("request", "true_request").agg(ids=(pl.col("reach") == "id").sum(), rows=pl.len())
    most = votes.sort("request", "ids", "rows", "true_request", descending=[False, True, True, False])
    most = most.unique("request", keep="first", maintain_order=True).select("request", owner="true_request")
    return pl.concat([opened, most.join(opened, on="request", how="anti")])


def calibration(links: pl.DataFrame, owner: pl.DataFrame, truth: pl.DataFrame) -> Row:
    """How many links there are in each decile of the stated confidence, what they state, and how many are right."""
    true = truth.filter(pl.col("event_id").is_not_null()).select("event_id", "true_request")
    judged = (
        links.filter((pl.col("relation") == "member") & pl.col("method").is_in(BY_LIKELIHOOD))
        .select("from_event", "to_request", "confidence", "taken")
        .join(true, left_on="from_event", right_on="event_id")
        .join(owner, left_on="to_request", right_on="request", how="left")
        .with_columns(right=(pl.col("true_request") == pl.col("owner")).fill_null(value=False))
        .with_columns(cell=(pl.col("confidence") * CELLS).floor().clip(0, CELLS - 1).cast(pl.Int64))
    )
    cells = judged.group_by("cell").agg(pl.len(), pl.col("confidence").sum(), pl.col("right").sum()).sort("cell")
    sure = judged.filter(pl.col("confidence") >= SURE)
    taken = judged.filter("taken")
    return {
        "cells": [list(one) for one in cells.iter_rows()],
        "sure": [sure.height, sure.height - int(sure["right"].sum())],
        "taken": [taken.height, taken.height - int(taken["right"].sum())],
    }


def _clocks_told(clocks: ClockScore) -> Row:
    return {
        **{name: value for name, value in asdict(clocks).items() if name != "services"},
        "services": [
            {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(one).items()}
            for one in clocks.services
        ],
        "bracketed": len(clocks.bracketed),
        "held": clocks.held,
        "worst_ms": clocks.worst_ms,
    }


# --- printing


def markdown(head: Sequence[str], body: Sequence[Sequence[object]]) -> str:
    """A Markdown table, first column to the left and the others to the right."""
    cells = [[str(cell) for cell in row] for row in (head, *body)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [cells[0], rule, *cells[1:]]
    return "\n".join(
        "| "
        + " | ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in lines
    )


def _rate(value: object) -> str:
    return "–" if value is None else f"{float(value):.4f}"  # type: ignore[arg-type]


def _cell(row: Row, reach: str) -> Row:
    """The counts of one class over all layers."""
    found: Row = dict.fromkeys(("rows", "owned", "in_request", "recalled", "right"), 0)
    for cell in row["score"]["cells"]:
        whole = reach == "all" and cell["layer"] == "all" and cell["reach"] == "all"
        if whole or (reach != "all" and cell["layer"] == "all" and cell["reach"] == reach):
            for name in found:
                found[name] += cell[name]
    found["precision"] = found["right"] / found["in_request"] if found["in_request"] else None
    found["recall"] = found["recalled"] / found["owned"] if found["owned"] else None
    return found


def placing_table(rows: Sequence[Row]) -> str:
    """Precision and recall of each product."""
    head = ["product", "events", "precision", *(f"{reach} P / R" for reach in accuracy.CLASSES), "order", "CPU-s"]
    body: list[list[object]] = []
    for row in rows:
        whole = _cell(row, "all")
        classes = [_cell(row, reach) for reach in accuracy.CLASSES]
        body.append(
            [
                row["task"]["name"],
                f"{row['events']:,}",
                _rate(whole["precision"]),
                *(f"{_rate(one['precision'])} / {_rate(one['recall'])}" if one["owned"] else "–" for one in classes),
                _rate(row["score"]["order"]["all"]["share"]),
                f"{row['cpu_s']:.1f}",
            ]
        )
    if len(rows) > 1:
        worst: list[object] = ["worst", "", _least([_cell(row, "all")["precision"] for row in rows])]
        for reach in accuracy.CLASSES:
            cells = [_cell(row, reach) for row in rows]
            worst.append(" / ".join(_least([one[name] for one in cells]) for name in ("precision", "recall")))
        order = _least([row["score"]["order"]["all"]["share"] for row in rows])
        body.append([*worst, order, f"{max(row['cpu_s'] for row in rows):.1f}"])
    return markdown(head, body)


def _least(values: Sequence[float | None]) -> str:
    return _rate(min((one for one in values if one is not None), default=None))


def likelihood_table(rows: Sequence[Row]) -> str:
    """Links by content and window of each product."""
    head = ["product", "taken", "wrong", "stated ≥ 0.99", "wrong", "per 1,000"]
    body: list[list[object]] = []
    for row in rows:
        (taken, wrong), (sure, off) = row["calibration"]["taken"], row["calibration"]["sure"]
        body.append([row["task"]["name"], taken, wrong, sure, off, f"{1000 * off / sure:.1f}" if sure else "–"])
    if len(rows) > 1:
        sums = [sum(int(str(one[place])) for one in body) for place in range(1, 5)]
        body.append(["all", *sums, f"{1000 * sums[3] / sums[2]:.1f}" if sums[2] else "–"])
    return markdown(head, body)


def pooled(rows: Sequence[Row]) -> list[tuple[int, int, float, float]]:
    """cell, links, mean confidence, share right; over all rows."""
    sums: dict[int, tuple[int, float, int]] = {}
    for row in rows:
        for cell, links, stated, right in row["calibration"]["cells"]:
            before = sums.get(cell, (0, 0.0, 0))
            sums[cell] = (before[0] + links, before[1] + stated, before[2] + right)
    return [(cell, links, stated / links, right / links) for cell, (links, stated, right) in sorted(sums.items())]


def calibration_table(rows: Sequence[Row]) -> str:
    """The deciles of all rows together."""
    body = [
        [
            f"{cell / CELLS:.1f}–{(cell + 1) / CELLS:.1f}",
            links,
            f"{stated:.3f}",
            f"{right:.3f}",
            f"{right - stated:+.3f}",
        ]
        for cell, links, stated, right in pooled(rows)
    ]
    return markdown(["confidence", "links", "stated", "right", "right − stated"], body)


def clocks_table(rows: Sequence[Row]) -> str:
    """The clocks of each product."""
    head = ["product", "in bracket", "error, ms (≥ 200 pairs)", "error, ms (any)", "browsers ≤ 250 ms", "unmoved"]
    body: list[list[object]] = []
    for row in rows:
        one = row["clocks"]
        worst = max((service["error_ms"] for service in one["services"]), default=None)
        line: list[object] = [
            row["task"]["name"],
            f"{one['held']}/{one['bracketed']}" if one["bracketed"] else "–",
            "–" if one["worst_ms"] is None else f"{one['worst_ms']:.1f}",
            "–" if worst is None else f"{worst:.1f}",
            f"{one['near']}/{one['browsers']}" if one["browsers"] else "–",
            f"{one['still']}/{one['browsers']}" if one["browsers"] else "–",
        ]
        if any("unskewed" in other for other in rows):
            no = row.get("unskewed")
            line += [f"{no['moved']}/{no['domains']}", f"{no['furthest_ms']:.1f}"] if no else ["–", "–"]
        body.append(line)
    if any("unskewed" in other for other in rows):
        head += ["moved without skew", "furthest, ms"]
    return markdown(head, body)


def services_table(row: Row) -> str:
    """Every service's clock of one product."""
    head = [
        "clock",
        "basis",
        "pairs",
        "slices",
        "events in bracket",
        "bracket, ms",
        "error, ms",
        "95 %, ms",
        "true, ms",
    ]
    body = [
        [
            one["clock"],
            one["basis"],
            one["pairs"],
            one["slices"],
            _rate(one["held"]),
            "–" if one["width_ms"] is None else f"{one['width_ms']:.1f}",
            f"{one['error_ms']:.1f}",
            f"{one['worst_ms']:.1f}",
            f"{one['true_ms']:.1f}",
        ]
        for one in row["clocks"]["services"]
    ]
    return markdown(head, body)


def ablation_table(rows: Sequence[Row]) -> str:
    """What is found without each step: on captures, and on simulated products together."""
    groups: dict[tuple[str, ...], dict[bool, list[Row]]] = {}
    for row in rows:
        of = groups.setdefault(tuple(row["task"]["without"]), {True: [], False: []})
        of[row["task"]["product"] == "capture"].append(row)
    head = ["without"]
    body: list[list[object]] = []
    sides = [side for side in (True, False) if any(of[side] for of in groups.values())]
    for side in sides:
        which = "capture" if side else "simulated"
        head += [f"{which}: precision", "wrong rows", "recall", "order", "CPU-s"]
    for without, of in groups.items():
        line: list[object] = [" and ".join(without) or "(nothing)"]
        for side in sides:
            sound = [row for row in of[side] if "failed" not in row]
            if len(sound) < len(of[side]):
                line += ["failed", *["–"] * 4]
                continue
            cells = [_cell(row, "all") for row in sound]
            sums = {name: sum(cell[name] for cell in cells) for name in ("in_request", "right", "owned", "recalled")}
            pairs = [row["score"]["order"]["all"] for row in sound]
            agreed, compared = sum(one["agreed"] for one in pairs), sum(one["pairs"] for one in pairs)
            line += [
                _rate(sums["right"] / sums["in_request"] if sums["in_request"] else None),
                sums["in_request"] - sums["right"],
                _rate(sums["recalled"] / sums["owned"] if sums["owned"] else None),
                _rate(agreed / compared if compared else None),
                f"{sum(row['cpu_s'] for row in sound):.1f}",
            ]
        body.append(line)
    return markdown(head, body)


def report(rows: Sequence[Row]) -> str:
    """All tables."""
    sound = [row for row in rows if "failed" not in row]
    parts = [f"failed: {row['task']['name']}: {row['failed']}" for row in rows if "failed" in row]
    if not sound:
        return "\n".join(parts)
    parts += ["### Placing", placing_table(sound), "### Links by content and window", likelihood_table(sound)]
    for side, what in ((True, "captures"), (False, "simulated products")):
        some = [row for row in sound if (row["task"]["product"] == "capture") == side]
        if any(row["calibration"]["cells"] for row in some):
            parts += [f"### Calibration, {what}", calibration_table(some)]
    parts += ["### Clocks", clocks_table(sound)]
    for row in sound:
        if row["task"]["product"] == "capture":
            parts += [f"### Clocks of services, {row['task']['name']}", services_table(row)]
    return "\n\n".join(parts)


def chart(groups: Mapping[str, Sequence[tuple[int, int, float, float]]], least: int = 100) -> str:
    """Share right over stated confidence, as SVG; cells of fewer than `least` links are drawn hollow."""
    side, left, top = 320, 60, 20

    def x(value: float) -> float:
        return round(left + value * side, 1)

    def y(value: float) -> float:
        return round(top + (1 - value) * side, 1)

    high = f"{x(0)},{y(0.03)} {x(0.97)},{y(1)} {x(1)},{y(1)} {x(1)},{y(0.97)} {x(0.03)},{y(0)} {x(0)},{y(0)}"
    size = f'width="{left + side + 190}" height="{top + side + 60}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<polygon points="{high}" fill="#e8e8e8"/>',
        f'<line x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}" stroke="#888"/>',
        f'<rect x="{left}" y="{top}" width="{side}" height="{side}" fill="none" stroke="black"/>',
    ]
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        lines.append(f'<text x="{x(tick)}" y="{y(0) + 16}" text-anchor="middle">{tick:g}</text>')
        lines.append(f'<text x="{left - 8}" y="{y(tick) + 4}" text-anchor="end">{tick:g}</text>')
    lines.append(f'<text x="{x(0.5)}" y="{y(0) + 36}" text-anchor="middle">stated confidence</text>')
    lines.append(
        f'<text x="18" y="{y(0.5)}" text-anchor="middle" transform="rotate(-90 18 {y(0.5)})">share right</text>'
    )
    for place, ((name, cells), colour) in enumerate(zip(groups.items(), ("#0072b2", "#d55e00"), strict=False)):
        many = [one for one in cells if one[1] >= least]
        points = " ".join(f"{x(stated)},{y(right)}" for _, _, stated, right in many)
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}"/>')
        for _, links, stated, right in cells:
            fill = colour if links >= least else "white"
            lines.append(f'<circle cx="{x(stated)}" cy="{y(right)}" r="4" fill="{fill}" stroke="{colour}"/>')
        level = top + 12 + 20 * place
        lines.append(f'<circle cx="{left + side + 20}" cy="{level}" r="4" fill="{colour}"/>')
        lines.append(f'<text x="{left + side + 30}" y="{level + 4}">{name}</text>')
    level = top + 60
    lines.append(f'<text x="{left + side + 14}" y="{level}">hollow: under {least} links</text>')
    lines.append(f'<text x="{left + side + 14}" y="{level + 20}">grey: within 3 points</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


# --- the command


def _numbers(text: str) -> list[int]:
    """``0-4,7`` as numbers; an empty text as none."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _reconstructed(capture: Path, formats: Path | None, zones: Sequence[str], to: Path) -> None:
    """Write the events of a capture's logs to `to`."""
    pairs = dict(zone.split("=", 1) for zone in zones)
    case = reconstruct([capture / "logs"], formats=[formats] if formats else [], zones=pairs)
    pq.write_table(case.events, to)


def tasks_of(chosen: argparse.Namespace, events: Path) -> list[Task]:
    """What the command line asks for."""
    unskewed = not (chosen.fast or chosen.ablation)
    tasks = []
    if chosen.capture is not None:
        tasks.append(Task(f"capture {chosen.capture.name}", "capture", events=events, truth=chosen.capture))
    of: Row = {"requests": chosen.requests, "unskewed": unskewed}
    tasks += [Task(f"drawn {seed}", "drawn", seed, **of) for seed in _numbers(chosen.seeds)]
    if chosen.presets:
        tasks += [Task(name, name, 1, **of) for name in simulate.PRESETS]
    if not chosen.ablation:
        return [replace(task, without=tuple(chosen.without)) for task in tasks]
    left_out = [(), *((name,) for name in step_names()), tuple(n for n in step_names() if n.startswith("link_"))]
    return [replace(task, without=without) for without in left_out for task in tasks]


def run(tasks: Sequence[Task], jobs: int) -> list[Row]:
    """Measure every task, in processes of their own."""
    context = multiprocessing.get_context("spawn")
    rows = []
    with ProcessPoolExecutor(max_workers=jobs, mp_context=context, max_tasks_per_child=1) as pool:
        for row in pool.map(measure, tasks):
            rows.append(row)
            without = " and ".join(row["task"]["without"])
            print(f"{row['task']['name']}{f', without {without}' if without else ''}: done", file=sys.stderr)
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 0, or 1 if the engine failed on a product, or 2 if the command line does not fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--capture", type=Path, metavar="DIR", help="folder with ground_truth.parquet and truth.json")
    parser.add_argument("--case", type=Path, help="case of the capture's logs; without it DIR/logs are reconstructed")
    parser.add_argument("--formats", type=Path, help="for that: a folder of further formats")
    parser.add_argument("--zone", action="append", default=[], metavar="GLOB=ZONE", help="for that: a zone")
    parser.add_argument("--seeds", default="0-19", help="products to draw, as 0-4,7; '' for none (default 0-19)")
    parser.add_argument("--presets", action="store_true", help="the simulator's named products as well")
    parser.add_argument("--requests", type=int, default=1500, help="requests of each simulated product")
    parser.add_argument("--without", action="append", default=[], metavar="STEP", help="leave a step out")
    parser.add_argument("--ablation", action="store_true", help="leave each step out in turn")
    parser.add_argument("--fast", action="store_true", help="do not measure the products with true clocks too")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw the calibration as SVG")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args(argv)
    try:
        steps_without(chosen.without)
    except ValueError as error:
        parser.error(str(error))
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / "events.parquet"
        if chosen.case is not None:
            events = chosen.case / "events.parquet"
        elif chosen.capture is not None:
            _reconstructed(chosen.capture, chosen.formats, chosen.zone, events)
        rows = run(tasks_of(chosen, events), chosen.jobs)
    if chosen.json:
        print(json.dumps({"products": rows}, ensure_ascii=False, indent=1))
    else:
        print(ablation_table(rows) if chosen.ablation else report(rows))
    if chosen.chart is not None:
        sound = [row for row in rows if "failed" not in row]
        sides = {
            "capture": [row for row in sound if row["task"]["product"] == "capture"],
            "simulated products": [row for row in sound if row["task"]["product"] != "capture"],
        }
        drawn = chart({name: pooled(some) for name, some in sides.items() if some})
        chosen.chart.write_text(drawn, encoding="utf-8")
    return int(any("failed" in row for row in rows))


if __name__ == "__main__":
    sys.exit(main())
