"""Events on their way from parsing to the case: what correlation looks at is in memory, the rest out of its way.

The events of a batch become a `Part`, on the thread that parsed them. Its narrow half is words as numbers, times and
ids; its whole rows stay in memory while all of them are few, and go to files of a scratch folder when they are many.
"""

from __future__ import annotations

import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import count, pairwise
from pathlib import Path
from threading import Lock

import numpy as np
import polars as pl

from strataline.correlate.graph import sorting
from strataline.correlate.requests import LISTED
from strataline.correlate.work import FILLED, HASHES, OWN_IDS, Seen, as_words, inverse, told_apart
from strataline.event import EVENTS
from strataline.scratch import writing

MOST = 64 << 20
"""Packed rows of more bytes go to files; and so do the tables of a case, where its rows, unpacked, take more."""

_OPEN = 150_000
"""About so many rows are unpacked at once, those of the parts last used, when rows are put in order."""

_TOGETHER = 131_072
"""Rows that are asked for one after the other and lie together, where they are packed anew."""

_OFTEN = 4
"""How often, on average, a part may be unpacked before its rows are packed anew."""

SPANS = ("span_id", "parent_id")
NAMED = ("event_id", "source")
"""What is known of events only when all of their source has been read."""

_LATER = {*NAMED, *FILLED}
_WHOLE = EVENTS.empty().drop(_LATER)
"""What is kept of whole rows; the other columns are known, or made, later."""

_TEXT = (
    "layer",
    "kind",
    "outcome",
    "format",
    "clock",
    "name",
    "session",
    "user",
    "time_kind",
    "time_precision",
    "service",
    "verdict",
    "tenant",
)
_IDS = ("ids", "refs")
_NUMBERS = ("offset", "item", "index", "line", "event_time", "end_time", "duration_ns", "attempt")


_STEP = (
    pl.when(pl.col("kind") == "policy.decision")
    .then(pl.concat_str("kind", pl.lit("/"), pl.col("policy_stage").fill_null("")))
    .otherwise("kind")
)


@dataclass(frozen=True)
class Narrow:
    """What correlation looks at, of some events.

    Args:
        events: of each event words as Categorical, times and other numbers, and its ``signature``; `SPANS` and
            `HASHES` as places in `values` and `texts`.
        ids: n (of the event, from 0), kind, role, value (place in `values`); in order of n.
        refs: likewise.
        values: distinct ids, as written.
        texts: distinct hashes of texts.
    """

    events: pl.DataFrame
    ids: pl.DataFrame
    refs: pl.DataFrame
    values: pl.Series
    texts: pl.Series


@dataclass
class Part:
    """The events of a batch.

    Args:
        height: how many.
        named: their `NAMED`, in their order, once these are known.
        narrow: what correlation looks at.
        whole: the columns of ``events`` that are not null throughout, less `NAMED`, as Arrow files, or their paths, the
            rows of one after those of the other. As a frame they would hold on to all that they were made of, such as
            the texts that excerpts were cut from.
    """

    height: int
    narrow: Narrow
    whole: Sequence[bytes | Path]
    named: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def places(self) -> pl.DataFrame:
        """Where the events lie in their source: offset, item, index."""
        return self.narrow.events.select("offset", "item", "index")

    def rows(self) -> pl.DataFrame:
        """The events, as in ``events``, less `NAMED` and what is null throughout."""
        # A file that is mapped counts as memory, as far as it has been looked at.
        held = [one.read_bytes() if isinstance(one, Path) else one for one in self.whole]
        return pl.concat((pl.read_ipc(one) for one in held), how="diagonal")

    def forget(self) -> None:
        """Hold the rows no longer."""
        for one in self.whole:
            if isinstance(one, Path):
                one.unlink(missing_ok=True)
        self.whole = ()

    def events(self) -> pl.DataFrame:
        """The events, as in ``events``, once their `NAMED` are known."""
        return EVENTS.conform(self.rows().with_columns(self.named.get_columns()))


class Shelf:
    """Takes the events of batches as they are parsed, and gives them back in any order.

    Args:
        scratch: gives the folder for whole rows that do not stay in memory, when the first go there; without one, all
            stay.
    """

    def __init__(self, scratch: Callable[[], Path] | None = None) -> None:
        self._scratch = scratch
        self._words = pl.Categorical(pl.Categories.random())
        self._lock = Lock()
        self._held = self._size = 0
        self._folder: Path | None = None
        self._number = count()
        self._parts: list[Part] = []
        self._begins = np.zeros(1, np.int64)
        self._read: OrderedDict[int, pl.DataFrame] = OrderedDict()

    @classmethod
    def of(cls, events: pl.DataFrame) -> Shelf:
        """A shelf that holds `events`, as in ``events``, and nothing else."""
        shelf = cls()
        shelf.add([shelf.whole(events)])
        return shelf

    @property
    def many(self) -> bool:
        """Whether the rows are too many to be unpacked in memory at once."""
        return self._size > MOST

    def whole(self, events: pl.DataFrame) -> Part:
        """As `part`, of events whose `NAMED` are known."""
        part = self.part(events)
        part.named = events.select(NAMED)
        return part

    def part(self, events: pl.DataFrame) -> Part:
        """What becomes of the `events` of a batch, as in ``events``; any thread may ask."""
        there = [one.name for one in events.get_columns() if one.null_count() < len(one) and one.name not in _LATER]
        return Part(events.height, self._narrow(events), [self._kept(events.select(there))])

    def _narrow(self, events: pl.DataFrame) -> Narrow:
        tables = [_apart(events[name], self._words) for name in _IDS]
        values, places = told_apart([*(table["value"] for table in tables), *(events[name] for name in SPANS)])
        texts, hashed = told_apart([events[name] for name in HASHES])
        narrow = events.select(
            *(pl.col(name).cast(self._words) for name in _TEXT),
            *(value.cast(self._words).alias(name) for name, value in LISTED.items()),
            _STEP.cast(self._words).alias("step"),
            *_NUMBERS,
            _signature(events),
            *places[2:],
            *hashed,
        )
        ids, refs = (table.with_columns(place) for table, place in zip(tables, places[:2], strict=True))
        return Narrow(narrow, ids, refs, values, texts)

    def _kept(self, whole: pl.DataFrame) -> bytes | Path:
        kept = _packed(whole)
        with self._lock:
            self._size += int(whole.estimated_size())
            if self._scratch is None or self._held + len(kept) <= MOST:
                self._held += len(kept)
                return kept
            folder = self._scratch() / "rows"
            with writing(folder):
                folder.mkdir(exist_ok=True)
            self._folder, path = folder, folder / f"{next(self._number)}.arrow"
        with writing(folder):
            path.write_bytes(kept)
        return path

    def add(self, parts: Iterable[Part]) -> None:
        """Take `parts`, whose `NAMED` are known, behind those that are here."""
        self._parts += (part for part in parts if part.height)

    def clear(self) -> None:
        """Forget all rows."""
        self._parts = []
        self._read.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def clocks(self) -> list[str]:
        """The clock domains of the events, those with most events first."""
        counted = pl.concat([self._narrow(EVENTS.empty()).events, *(part.narrow.events for part in self._parts)])
        counted = counted.group_by(pl.col("clock").cast(pl.String)).len().drop_nulls()
        return counted.sort("len", "clock", descending=[True, False])["clock"].to_list()

    def seen(self) -> Seen:
        """What correlation looks at, of all events; the parts have it no longer, so it may be asked for once."""
        nothing = self.whole(EVENTS.empty())
        parts = [nothing, *self._parts]
        begins = np.cumsum([0, *(part.height for part in parts)])
        self._begins = begins[1:]
        narrow = [part.narrow for part in parts]
        values, value = told_apart([one.values for one in narrow])
        texts, text = told_apart([one.texts for one in narrow])
        events: list[pl.DataFrame] = []
        ids: list[pl.DataFrame] = []
        refs: list[pl.DataFrame] = []
        for part, begin, of_value, of_text in zip(parts, begins.tolist(), value, text, strict=False):
            one, named = part.narrow, part.named
            events.append(
                one.events.with_columns(
                    named["event_id"],
                    named["source"].cast(self._words),
                    *(of_value.gather(one.events[name]).alias(name) for name in SPANS),
                    *(of_text.gather(one.events[name]).alias(name) for name in HASHES),
                )
            )
            for some, table in ((ids, one.ids), (refs, one.refs)):
                some.append(
                    table.with_columns(
                        pl.col("n").cast(pl.Int64) + begin, of_value.gather(table["value"]).alias("value")
                    )
                )
        for part in self._parts:
            part.narrow, part.named = nothing.narrow, nothing.named
        return _in_order(Seen(pl.concat(events), pl.concat(ids), pl.concat(refs), values, texts))

    def arranged(self, row: np.ndarray) -> np.ndarray:
        """The same rows by the numbers that they have from now on: those asked for one after the other lie together.

        A log that is in no order of time, as databases export them, would have every part unpacked for each few rows.

        Args:
            row: all that will be asked for, in that order.
        """
        part = np.searchsorted(self._begins, row, side="right") - 1
        bucket = np.arange(len(row)) // _TOGETHER
        touched = np.unique(bucket * max(len(self._parts), 1) + part)
        if len(touched) <= _OFTEN * (len(self._parts) + len(row) // _TOGETHER + 1):
            return row
        pieces: list[list[bytes | Path]] = [[] for _ in range(int(bucket[-1]) + 1)]
        heights = np.zeros(len(pieces), np.int64)
        found = np.empty(len(row), np.int64)
        order = sorting(part)
        some, first = np.unique(part[order], return_index=True)
        for one, place in zip(some.tolist(), np.split(order, first[1:]), strict=True):
            rows = self._parts[one].rows()[row[place] - self._begins[one]]
            ends = np.searchsorted(bucket[place], np.arange(len(pieces) + 1))
            for to, (begin, end) in enumerate(pairwise(ends.tolist())):
                if begin < end:
                    pieces[to].append(self._kept(rows[begin:end]))
                    found[place[begin:end]] = heights[to] + np.arange(end - begin)
                    heights[to] += end - begin
            self._parts[one].forget()
        empty = self._parts[0].narrow
        self._parts = [Part(int(height), empty, tuple(held)) for height, held in zip(heights, pieces, strict=True)]
        self._begins = np.concatenate([[0], np.cumsum(heights)])
        self._read.clear()
        return found + self._begins[bucket]

    def rows(self, row: np.ndarray) -> pl.DataFrame:
        """Whole rows, as in ``events`` less `NAMED` and what correlation adds.

        Args:
            row: which, in the order in which they came.
        """
        part = np.searchsorted(self._begins, row, side="right") - 1
        order = sorting(part)
        some, first = np.unique(part[order], return_index=True)
        place = np.empty(len(row), np.int64)
        frames, size = [], 0
        for one, of_part in zip(some.tolist(), np.split(order, first[1:]), strict=True):
            here = row[of_part] - self._begins[one]
            low, high = int(here.min()), int(here.max()) + 1
            if high - low <= 2 * len(here):
                frames.append(self._of(one).slice(low, high - low))
                place[of_part] = size + here - low
            else:
                # A log that is not in order of time: few rows of many parts, each of which would hold on to all of it.
                frames.append(pl.read_ipc(_packed(self._of(one)[here])))
                place[of_part] = size + np.arange(len(here))
            size += frames[-1].height
        whole = pl.concat([_WHOLE.clear(), *frames], how="diagonal").rechunk()
        return whole.select(_WHOLE.columns)[place]

    def _of(self, one: int) -> pl.DataFrame:
        frame = self._read.pop(one, None)
        frame = self._parts[one].rows() if frame is None else frame
        self._read[one] = frame
        while len(self._read) > 1 and sum(each.height for each in self._read.values()) > _OPEN:
            self._read.popitem(last=False)
        return frame


def _packed(rows: pl.DataFrame) -> bytes:
    file = BytesIO()
    rows.write_ipc(file, compression="lz4")
    return file.getvalue()


def _apart(column: pl.Series, words: pl.Categorical) -> pl.DataFrame:
    """One row per id: n, kind, value, role; in order of n."""
    counts = column.list.len().fill_null(0).to_numpy()
    rows = column.filter(column.list.len() > 0).explode().struct.unnest()
    rows = rows.select(
        pl.Series("n", np.repeat(np.arange(len(counts), dtype=np.uint32), counts)),
        pl.col("kind", "role").cast(words),
        "value",
    )
    return rows.drop_nulls(["kind", "value"])


def _signature(events: pl.DataFrame) -> pl.Series:
    """Equal for events that say the same of the same time; null without a time or an id.

    The whole record must be the same, unless the event has an id of its own (`OWN_IDS`): then what a second delivery
    changes beside the event, such as when it was sent, does not count.
    """
    own = pl.col("ids").list.eval(pl.element().struct.field("kind").is_in(OWN_IDS)).list.any()
    said = events.select(
        pl.when(own).then(None).otherwise("record_hash").alias("record"),
        "layer",
        "kind",
        "name",
        "service",
        "outcome",
        "error_type",
        "time_raw",
        "ids",
        "refs",
        "parent_id",
        "input_hash",
        "output_hash",
        "verdict",
        "attempt",
    )
    alias = pl.element().struct.field("role") == "alias"
    named = pl.col("time_raw").is_not_null() & pl.col("ids").list.eval(alias).list.any()
    rows = events.select(named=named).with_columns(signature=said.hash_rows())
    return rows.select(pl.when("named").then("signature")).to_series()


def _in_order(seen: Seen) -> Seen:
    """The same, the events by (source, offset, item, index)."""
    keys = ("source", "offset", "item", "index")
    narrow = seen.events.select(as_words(seen.events["source"]).to_physical(), *keys[1:])
    # Sources were read one after the other: most often there is nothing to do.
    after = pl.lit(value=False)
    for name in reversed(keys):
        before = pl.col(name).shift(1)
        after = (pl.col(name) < before) | ((pl.col(name) == before) & after)
    if not narrow.select(after.any()).item():
        return seen
    row = narrow.with_row_index("row").sort(*keys)["row"].cast(pl.Int64)
    n = inverse(row)
    ids, refs = (
        table.with_columns(n=n.gather(table["n"])).sort("n", maintain_order=True) for table in (seen.ids, seen.refs)
    )
    return replace(seen, events=seen.events[row], ids=ids, refs=refs, row=row.to_numpy())
