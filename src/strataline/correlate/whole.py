"""What correlation found, beside the events again: the tables of a case, so many rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import polars as pl

from strataline.correlate.shelf import Shelf
from strataline.correlate.work import Seen, Work, as_words, inverse
from strataline.event import EVENTS, LINKS, REQUESTS, TIME, address

AT_ONCE = 32_768
"""Rows of events and links that are made whole at once."""


class Correlated:
    """The tables that correlation makes; ``events`` holds every event that went in, with the added columns.

    Attributes:
        requests: as in ``requests``.
        clocks: as in ``clocks``.
        notes: as in ``notes``.
        counted: of each event that went in its layer, source, request (a number) and corrected_time, in no order.
    """

    def __init__(
        self,
        shelf: Shelf,
        seen: Seen,
        work: Work,
        added: pl.DataFrame,
        links: pl.DataFrame,
        requests: pl.DataFrame,
        clocks: pl.DataFrame,
        notes: pl.DataFrame,
    ) -> None:
        """Take what there is, but nothing more of `seen` and `work` than is needed from here on.

        Args:
            shelf: holds the whole rows.
            seen: what correlation looked at.
            work: what it came to.
            added: in order of n: place, request (``place`` of the event that names it), call (n), seq, link_method,
                confidence, order_basis, t (corrected, ns), offset_ns.
            links: `work.LINKED`.
            requests: as in ``requests``.
            clocks: as in ``clocks``.
            notes: as in ``notes``.
        """
        self.requests, self.clocks, self.notes = requests, clocks, notes
        self._shelf, self._row = shelf, seen.row
        self._ids, self._texts = work.values, work.texts
        self._seen = seen.events.select("event_id", "layer", "source", "line", "offset").rechunk()
        self._named = inverse(added["place"])
        self._added = added.select(
            "request",
            "call",
            "seq",
            "link_method",
            "order_basis",
            link_confidence="confidence",
            corrected_time=pl.col("t").cast(TIME),
            clock_offset=pl.when(pl.col("t").is_not_null()).then(pl.col("offset_ns").fill_null(0)),
        )
        # What one source wrote is in order, most often: such runs are merged.
        time = added["t"].fill_null(np.iinfo(np.int64).max).to_numpy()
        self._order = np.argsort(time, kind="stable")
        self._links = links[_by_evidence(work, links)]

    @cached_property
    def _rows(self) -> np.ndarray:
        """Of the events, in their order, the rows on the shelf; from here on none may be left out."""
        return self._shelf.arranged(self._order if self._row is None else self._row[self._order])

    @cached_property
    def events(self) -> pl.DataFrame:
        """As in ``events``."""
        return pl.concat([EVENTS.empty(), *self.event_parts()])

    @cached_property
    def links(self) -> pl.DataFrame:
        """As in ``links``."""
        return pl.concat([LINKS.empty(), *self.link_parts()])

    @property
    def counted(self) -> pl.DataFrame:
        """See above."""
        seen = self._seen.select(pl.col("layer", "source").cast(pl.String))
        return seen.with_columns(self._added["request"], self._added["corrected_time"])

    @property
    def event_count(self) -> int:
        """Rows of ``events``."""
        return len(self._order)

    @property
    def link_count(self) -> int:
        """Rows of ``links``."""
        return self._links.height

    def leave_out(self, inside: pl.Expr, during: pl.Expr) -> tuple[int, int]:
        """Leave out requests with their events, and events of none, before any event is asked for.

        Links go with the events that they tie.

        Args:
            inside: what holds of the rows of ``requests`` that stay.
            during: what holds of the ``corrected_time`` of the events of no request that stay.

        Returns:
            How many requests, and how many events, are left out.
        """
        number = self._added["request"]
        every = number.unique().drop_nulls()
        requests, events = self.requests, self.event_count
        self.requests = REQUESTS.conform(requests.filter(inside))
        kept = every.filter(self._request(every).is_in(self.requests["request"].implode()))
        stays = number.is_in(kept.implode()) | (number.is_null() & self._added.select(during).to_series())
        mask = stays.fill_null(value=False).to_numpy()
        self._order = self._order[mask[self._order]]
        self._links = self._links.filter(pl.Series(mask[self._links["from"].to_numpy()], dtype=pl.Boolean))
        return requests.height - self.requests.height, events - self.event_count

    def event_parts(self) -> Iterator[pl.DataFrame]:
        """The rows of ``events``, in their order, `AT_ONCE` at a time."""
        for first in range(0, len(self._order), AT_ONCE):
            n = self._order[first : first + AT_ONCE]
            seen = self._seen.select("event_id", "source")[n].with_columns(pl.col("source").cast(pl.String))
            added = self._added[n]
            added = added.with_columns(request=self._request(added["request"]), call=self._event(added["call"]))
            rows = self._shelf.rows(self._rows[first : first + AT_ONCE])
            yield EVENTS.conform(pl.concat([rows, seen, added], how="horizontal"))

    def link_parts(self) -> Iterator[pl.DataFrame]:
        """The rows of ``links``, in their order, `AT_ONCE` at a time."""
        for first in range(0, self._links.height, AT_ONCE):
            links = self._links.slice(first, AT_ONCE)
            made = links.select(
                pl.exclude("from", "to", "id", "text", "to_request", "runner_up"),
                from_event=self._event(links["from"]),
                to_event=self._event(links["to"]),
                to_request=self._request(links["to_request"]),
                id_kind=self._ids["kind"].gather(links["id"]),
                id_value=self._ids["value"].gather(links["id"]),
                content_hash=self._texts.gather(links["text"]),
                runner_up=self._event(links["runner_up"]),
                from_address=self._address(links["from"]),
                to_address=self._address(links["to"]),
            )
            yield LINKS.conform(made)

    def _event(self, n: pl.Series) -> pl.Series:
        return self._seen["event_id"].gather(n)

    def _request(self, place: pl.Series) -> pl.Series:
        return self._event(self._named.gather(place))

    def _address(self, n: pl.Series) -> pl.Series:
        seen = self._seen.select(pl.col("source", "line", "offset").gather(n))
        said = seen.with_columns(pl.col("source").cast(pl.String)).select(address())
        return said.to_series().set(n.is_null(), None) if n.null_count() else said.to_series()


def _by_evidence(work: Work, links: pl.DataFrame) -> pl.Series:
    """The rows of the links in the order of their sort key."""
    place = work.events["place"]
    words = as_words(links["relation"])
    first = place.gather(links["from"]) * words.n_unique() + words.to_physical()
    row = first.arg_sort()
    first = first.gather(row)
    again = (first == first.shift(1)).fill_null(value=False)
    if not again.any():
        return row
    # The rest, and text above all, is compared only where that is not enough.
    at = (again | again.shift(-1, fill_value=False)).arg_true()
    some = row.gather(at)
    tied = links.select("to", "to_request", "id", "method")[some]
    tied = tied.select(
        "to_request",
        "method",
        row=some,
        group=first.gather(at),
        by=place.gather(tied["to"]),
        id_kind=work.values["kind"].gather(tied["id"]),
        id_value=work.values["value"].gather(tied["id"]),
    )
    tied = tied.sort("group", "by", "to_request", "id_kind", "id_value", "method", nulls_last=True)
    return row.scatter(at, tied["row"])
