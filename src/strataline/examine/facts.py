"""What the rules look at: the tables of a case, narrowed, and the few joins that many rules share, made once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from strataline.examine.contents import Contents, gather

LOOKED_AT = (
    *("event_id", "layer", "kind", "name", "service", "outcome", "error_type"),
    *("source", "line", "offset", "item", "index", "format", "recovered"),
    *("event_time", "end_time", "duration_ns", "observed_time", "time_kind", "clock", "corrected_time", "clock_offset"),
    *("ids", "refs", "span_id", "parent_id", "session", "user", "tenant"),
    *("input_hash", "output_hash", "input_chars", "output_chars", "content_state"),
    *("template_name", "template_version", "template_hash", "index_name", "index_version", "embedding_model"),
    *("documents", "requested_model", "served_model", "provider", "parameters", "response_id", "finish_reason"),
    *("input_tokens", "output_tokens", "attempt", "fallback", "cache", "stream", "http_status"),
    *("policy_name", "policy_version", "policy_stage", "policy_mode", "verdict", "enforced", "delivered"),
    *("score", "threshold", "shown", "citations", "feedback", "client_version"),
    *("change_scope", "change_key", "change_old", "change_new", "attributes"),
    *("request", "call", "seq", "link_method", "link_confidence", "order_basis"),
)
"""Columns of ``events`` that rules may look at. Texts are not among them: see `Facts.texts`."""

STOPS = ("block", "redact", "challenge")
"""Verdicts that hold back what they are about, or a part of it."""


@dataclass(frozen=True)
class Texts:
    """The texts of an event, read from its record; each empty where the record holds none.

    Args:
        input: what went in, whole.
        output: what came out, whole.
        passages: passages of documents that the record holds, in its order, as (document id or "", text).
        guessed: whether the passages are the longer strings of the output, as the format does not say where they lie.
        missing: what kept the texts from being read, as a clause; empty where nothing did.
    """

    input: str = ""
    output: str = ""
    passages: tuple[tuple[str, str], ...] = ()
    guessed: bool = False
    missing: str = ""


@dataclass(frozen=True)
class Affected:
    """The requests that somebody calls affected, and those they are compared with.

    Args:
        requests: ids of the affected requests.
        baseline: ids of the requests that they are compared with; disjoint from `requests`.
        selectors: how the set was chosen, as written.
        chosen_by: who chose it, as they said; null if they did not.
        baseline_rule: how the comparison set was chosen, in words.
    """

    requests: pl.Series
    baseline: pl.Series
    selectors: tuple[str, ...]
    chosen_by: str | None = None
    baseline_rule: str = "the other requests of the case"


@dataclass(frozen=True)
class Facts:
    """The tables of a case, for rules.

    Args:
        tables: events, requests, links, clocks, sources, notes, rejects: frames as the case has them.
        affected: the affected set, if one was chosen.
        declared: what the team declared of its product (``--declared FILE``), by key; empty without.
        texts: reads the texts of events: event ids to id → `Texts`; null where inputs are not at hand.
    """

    tables: Mapping[str, pl.DataFrame]
    affected: Affected | None = None
    declared: Mapping[str, object] = field(default_factory=dict)
    texts: Callable[[Iterable[str]], Mapping[str, Texts]] | None = None

    @cached_property
    def events(self) -> pl.DataFrame:
        """`LOOKED_AT` of all events but redeliveries, in the order of ``events``.

        Besides: ``t`` and ``t_end`` (corrected time and end, ns; null if unknown; an event without an end ends when it
        begins), ``doubt`` (how far ``t`` may be off the reference clock, ns; 0 by the reference itself, null where
        nothing bounds its clock), ``sure`` (whether it is tied to its request by ids; null if to none).
        """
        events = self.tables["events"].select(LOOKED_AT)
        links = self.tables["links"]
        again = links.filter(pl.col("relation").is_in(["redelivery_of", "repeats"]))["from_event"]
        if again.len():
            events = events.filter(~pl.col("event_id").is_in(again.unique().implode()))
        t = pl.col("corrected_time").dt.epoch("ns")
        end = pl.col("end_time").dt.epoch("ns") - pl.col("clock_offset")
        events = events.with_columns(
            t=t,
            t_end=pl.max_horizontal(t, end),
            sure=pl.col("link_method").is_in(["opening", "id", "span", "resend"]),
        )
        return events.with_columns(doubt=self._doubts(events))

    def _doubts(self, events: pl.DataFrame) -> pl.Series:
        """How far each event's corrected time may be off (ns)."""
        upper, lower, taken = (pl.col(f"{name}_ns") for name in ("upper", "lower", "offset"))
        reference = pl.col("basis") == "reference"
        slices = self.tables["clocks"].select(
            "clock",
            "start_time",
            doubt=pl.when(reference).then(0).otherwise(pl.max_horizontal(upper - taken, taken - lower)),
            bounded=reference | (upper.is_not_null() & lower.is_not_null()),
        )
        slices = slices.with_columns(doubt=pl.when("bounded").then("doubt")).drop("bounded")
        first = slices.with_columns(pl.col("start_time").fill_null(pl.lit(0).cast(slices.schema["start_time"])))
        rows = events.select("clock", "event_time").with_row_index("n").sort("event_time", nulls_last=False)
        # Before the first slice of a clock (an event without a link) holds what holds of the first.
        found = rows.join_asof(
            first.sort("start_time"), left_on="event_time", right_on="start_time", by="clock", check_sortedness=False
        )
        fallback = slices.sort("clock", "start_time").group_by("clock", maintain_order=True).first()
        found = found.join(fallback.select("clock", earliest="doubt"), on="clock", how="left", nulls_equal=True)
        value = pl.when(pl.col("start_time").is_null()).then("earliest").otherwise("doubt")
        return found.select("n", doubt=pl.when(pl.col("event_time").is_not_null()).then(value)).sort("n")["doubt"]

    @cached_property
    def requests(self) -> pl.DataFrame:
        """The ``requests`` that something was asked in: turns and jobs, in order of start; all if there is neither."""
        requests = self.tables["requests"]
        asked = requests.filter(pl.col("kind") != "unrooted")
        return asked if asked.height else requests

    @property
    def total(self) -> int:
        """How many `requests` there are."""
        return self.requests.height

    def of(self, layer: str, *kinds: str) -> pl.DataFrame:
        """`events` of `layer`, of one of `kinds` if any is named."""
        found = self._by_layer.get(layer)
        if found is None:
            return self.events.clear()
        return found.filter(pl.col("kind").is_in(kinds)) if kinds else found

    @cached_property
    def _by_layer(self) -> dict[str, pl.DataFrame]:
        return {str(layer): part for (layer,), part in self.events.group_by("layer", maintain_order=True)}

    def has(self, need: str) -> bool:
        """Whether what `need` names is there: ``layer.column``, ``*.column`` or ``kind:…``; see `Check.needs`."""
        if need.startswith("kind:"):
            return bool((self.events["kind"] == need.removeprefix("kind:")).any())
        layer, _, column = need.partition(".")
        if layer in self.tables:
            return bool(self.tables[layer][column].count())
        frame = self.events if layer == "*" else self.of(layer)
        if not frame.height:
            return False
        known = frame[column].drop_nulls()
        if isinstance(known.dtype, pl.List):
            return bool((known.list.len() > 0).any())
        return bool(known.len())

    @cached_property
    def responses(self) -> pl.DataFrame:
        """Model calls (``model.call``), and what became of them.

        Besides: ``completed`` (an answer came: its outcome is ok, or it holds output), ``first`` (when the first of
        the answer was there, ns, by the corrected clock; null if unknown), ``last`` (whether it is the last completed
        one of its request), ``delivered_`` (whether the answer of this call went on: true where a record of the
        application or the page names its response, or where it is the only completed call; false where another call's
        is named; null where that cannot be told).
        """
        calls = self.of("model", "model.call")
        produced = (
            (pl.col("outcome") == "ok") | pl.col("output_hash").is_not_null() | pl.col("response_id").is_not_null()
        )
        failed = pl.col("outcome").is_in(["error", "timeout", "blocked"])
        calls = calls.with_columns(
            completed=(produced & ~failed).fill_null(value=False), first=_first_token()
        ).with_columns(
            last=pl.col("completed")
            & (pl.struct("t_end", "seq").rank("ordinal", descending=True).over("request", "completed") == 1)
        )
        named = (
            self.events.filter(pl.col("layer").is_in(["prompt", "ui"]) & pl.col("response_id").is_not_null())
            .select("request", "response_id", named=pl.lit(value=True))
            .unique()
        )
        calls = calls.join(named, on=["request", "response_id"], how="left", maintain_order="left")
        any_named = pl.col("named").any().over("request")
        only = pl.col("completed").sum().over("request") == 1
        told = pl.when(pl.col("named")).then(pl.lit(value=True)).when(any_named).then(pl.lit(value=False))
        return calls.with_columns(
            delivered_=pl.when(~pl.col("completed"))
            .then(pl.lit(value=False))
            .otherwise(told.when(only).then(pl.lit(value=True)).otherwise(None))
        ).drop("named")

    @cached_property
    def verdicts(self) -> pl.DataFrame:
        """Policy decisions: events of layer policy with a verdict.

        Besides: ``stops`` (the verdict holds something back: `STOPS`), ``acts`` (whether it was to be acted on: not
        in a mode that only watches, and not said to be unenforced), ``broke`` (the evaluation ended in an error or
        ran out of time, whatever verdict was then given).
        """
        decisions = self.of("policy").filter(pl.col("verdict").is_not_null())
        watching = (
            pl.col("policy_mode").str.to_lowercase().str.contains("monitor|shadow|observe|audit|report|detect|log")
        )
        watching = watching.fill_null(value=False)
        return decisions.with_columns(
            stops=pl.col("verdict").is_in(STOPS),
            acts=~watching & pl.col("enforced").fill_null(value=True),
            broke=(pl.col("verdict") == "error") | pl.col("outcome").is_in(["error", "timeout"]).fill_null(value=False),
        )

    @cached_property
    def renders(self) -> pl.DataFrame:
        """Records of display (``ui.rendered``), with ``answer``: whether the answer was shown, or a part of it.

        A notice, an error or a placeholder is no answer.
        """
        shown = self.of("ui", "ui.rendered")
        kept = pl.col("shown").str.to_lowercase().str.contains("block|notice|error|placeholder|refus|removed")
        kept = kept.fill_null(value=False) | pl.col("outcome").is_in(["blocked", "error"]).fill_null(value=False)
        return shown.with_columns(answer=~kept)

    @cached_property
    def reached(self) -> pl.DataFrame:
        """Requests whose answer reached someone, one row each: request, ``shown`` and ``delivered`` (event ids).

        ``shown`` is the first record of an answer's display, null without; ``delivered`` the record that the answer
        left for the client (the application's, else a filter's that says so, else the completed model call of a request
        in which no record says that it was held back), null without.
        """
        shown = self.renders.filter("answer").sort("t", "event_id").group_by("request", maintain_order=True)
        first = shown.agg(shown=pl.col("event_id").first())
        answered = self.of("prompt", "prompt.responded", "prompt.answered").filter(
            pl.col("outcome").fill_null("ok") == "ok"
        )
        # What ends the turn says more than what was received on the way.
        ends = answered.with_columns(rank=pl.col("kind") != "prompt.responded")
        said = self.of("policy").filter(pl.col("delivered"))
        held = pl.concat(
            [
                self.of("prompt").filter(pl.col("outcome") == "blocked")["request"],
                self.of("prompt", "prompt.blocked")["request"],
                self.of("prompt", "prompt.responded").filter(pl.col("outcome").is_in(["error", "blocked"]))["request"],
                self.of("ui", "ui.rendered").filter(pl.col("outcome") == "blocked")["request"],
            ]
        )
        calls = self.responses.filter(pl.col("last"))
        ways = [
            ends.filter(~pl.col("rank")).select("request", "event_id", place=0),
            said.select("request", "event_id", place=1),
            ends.filter(pl.col("rank")).select("request", "event_id", place=2),
            calls.select("request", "event_id", place=3),
        ]
        left = (
            pl.concat(ways)
            .drop_nulls("request")
            .filter((pl.col("place") < 2) | ~pl.col("request").is_in(held.drop_nulls().unique().implode()))
        )
        delivered = left.sort("request", "place", maintain_order=True).group_by("request", maintain_order=True)
        both = first.drop_nulls("request").join(
            delivered.agg(delivered=pl.col("event_id").first()), on="request", how="full", coalesce=True
        )
        return both.sort("request")

    @cached_property
    def contents(self) -> Contents:
        """The texts of the requests under examination, read once for all checks that look at texts."""
        return gather(self)


def _first_token() -> pl.Expr:
    """When the first of a call's answer was there (ns, corrected), from what gateways write of it."""

    def said(name: str) -> pl.Expr:
        return pl.col("attributes").map.get(name)

    # Seconds with a fraction of nine digits do not fit a double: whole seconds and the rest are read apart.
    parts = said("first_token_time").str.extract_groups(r"^([0-9]{9,11})(?:\.([0-9]{1,9}))?")
    fraction = parts.struct.field("2").fill_null("0").str.pad_end(9, "0").cast(pl.Int64, strict=False)
    epoch = parts.struct.field("1").cast(pl.Int64, strict=False) * 10**9 + fraction
    iso = said("first_token_time").str.to_datetime("%+", time_unit="ns", time_zone="UTC", strict=False)
    after_ms = pl.coalesce(
        said("first_token_ms").cast(pl.Float64, strict=False),
        said("time_to_first_token_ms").cast(pl.Float64, strict=False),
        said("first_token_s").cast(pl.Float64, strict=False) * 1000,
    )
    began = pl.when(pl.col("time_kind") == "start").then("t").otherwise(pl.col("t") - pl.col("duration_ns"))
    absolute = pl.coalesce(epoch, iso.dt.epoch("ns")) - pl.col("clock_offset")
    return pl.coalesce(absolute, began + (after_ms * 1e6).cast(pl.Int64))
