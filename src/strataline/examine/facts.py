"""What the rules look at: the tables of a case, narrowed, and the few joins that many rules share, made once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import polars as pl

from strataline.examine.check import Examination

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


ASIDE = r"(?i)embed|moderation|rerank|transcri|speech|tokeni[sz]e|self_check"
"""Names of calls, and of models, that produce no answer."""


@dataclass(frozen=True)
class Texts:
    """The texts of an event, read from its record; each empty where the record holds none.

    Args:
        input: what went in, whole.
        output: what came out, whole.
        passages: passages of documents that the record holds, in its order, as (document id or "", text).
    """

    input: str = ""
    output: str = ""
    passages: tuple[tuple[str, str], ...] = ()


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
        examined: what was found so far, for the checks that run after the others; null before.
    """

    tables: Mapping[str, pl.DataFrame]
    affected: Affected | None = None
    declared: Mapping[str, object] = field(default_factory=dict)
    texts: Callable[[Iterable[str]], Mapping[str, Texts]] | None = None
    examined: Examination | None = None

    def after(self, findings: pl.DataFrame, hits: pl.DataFrame) -> Facts:
        """These facts, and what was found in them; what was computed of them is not computed again."""
        made = replace(self, examined=Examination(findings, hits))
        given = {one.name for one in fields(self)}
        made.__dict__.update({name: value for name, value in self.__dict__.items() if name not in given})
        return made

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

        Besides: ``completed`` (an answer came: its outcome is ok, or it holds output and did not end in an error),
        ``answers`` (whether it may be what the request was answered with: no embedding, no call below a filter's span,
        none that ended by asking for a tool), ``answer`` (names the answer: records of one answer in several logs, or
        a span and the one below it, share it), ``first`` (when the first of the answer was there, ns, by the corrected
        clock; null if unknown), ``last`` (whether it is the record of the last completed answer of its request; one of
        them where several tell of it), ``delivered_`` (whether the answer of this call went on: true where the page,
        else the application, names its response or holds its text, or where it is the only answer; false where
        another's is named, where none came, and where it cannot be the request's; null where that cannot be told).
        """
        told = (
            pl.col("output_hash").is_not_null() | pl.col("finish_reason").is_not_null() | (pl.col("output_tokens") > 0)
        )
        produced = ((pl.col("outcome") == "ok") | told).fill_null(value=False)
        failed = pl.col("outcome").is_in(["error", "timeout", "blocked"]).fill_null(value=False)
        wide = self.of("model", "model.call")
        calls = wide.select(
            *("event_id", "request", "t_end", "seq", "output_hash", "response_id", "finish_reason"),
            *("name", "requested_model", "served_model", "span_id", "parent_id"),
            # What belongs to no request stands alone.
            turn=pl.coalesce("request", "event_id"),
            completed=produced & ~failed,
            first=_first_token(),
        )
        calls = _answers(calls, self.of("policy"))
        mine = pl.col("completed") & pl.col("answers")
        order = ("end", "answer", "full", "t_end", "seq", "event_id")
        last = (
            calls.filter(mine)
            .with_columns(end=pl.col("t_end").max().over("turn", "answer"), full=pl.col("output_hash").is_not_null())
            .sort(order, nulls_last=False)
            .group_by("turn")
            .agg(pl.col("event_id").last())
        )
        names = ("layer", "kind", "request", "response_id", "output_hash")
        said = pl.concat([self.of(layer).select(names) for layer in ("prompt", "ui")]).drop_nulls("request")
        place = pl.when(pl.col("layer") == "ui").then(2).when(pl.col("kind") == "prompt.responded").then(1).otherwise(0)
        text = pl.col("kind").is_in(["prompt.answered", "prompt.responded", "ui.rendered"])
        by_id = said.drop_nulls("response_id").group_by("request", "response_id").agg(by_id=place.max() + 4)
        by_text = said.filter(text).drop_nulls("output_hash")
        by_text = by_text.group_by("request", "output_hash").agg(by_text=place.max() + 1)
        calls = calls.join(by_id, on=["request", "response_id"], how="left", maintain_order="left")
        calls = calls.join(by_text, on=["request", "output_hash"], how="left", maintain_order="left")
        calls = calls.with_columns(
            named=pl.when("completed").then(pl.max_horizontal("by_id", "by_text")).max().over("turn", "answer")
        )
        best = pl.col("named").max().over("turn")
        several = pl.when(mine).then("answer").drop_nulls().n_unique().over("turn") > 1
        return wide.hstack(
            calls.select(
                *("completed", "answers", "answer", "first"),
                last=pl.col("event_id").is_in(last["event_id"].implode()),
                delivered_=pl.when(~pl.col("completed"))
                .then(pl.lit(value=False))
                .when(best.is_not_null())
                .then((pl.col("named") == best).fill_null(value=False))
                .when(~pl.col("answers"))
                .then(pl.lit(value=False))
                .when(~several)
                .then(pl.lit(value=True)),
            )
        )

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
    def _made(self) -> dict[str, pl.DataFrame]:
        return {}

    def once(self, make: Callable[[Facts], pl.DataFrame]) -> pl.DataFrame:
        """What `make` says of these facts, made when it is first asked for."""
        name = f"{make.__module__}.{make.__qualname__}"
        if name not in self._made:
            self._made[name] = make(self)
        return self._made[name]


def _answers(calls: pl.DataFrame, policy: pl.DataFrame) -> pl.DataFrame:
    """`calls` with ``answers`` and ``answer``, as `Facts.responses` says."""
    helps = pl.any_horizontal(
        pl.col(name).str.contains(ASIDE).fill_null(value=False) for name in ("name", "requested_model", "served_model")
    )
    tool = pl.col("finish_reason").str.contains("(?i)^(tool|function)").fill_null(value=False)
    calls = calls.with_columns(answers=~(helps | tool))
    if not calls["parent_id"].count():
        return calls.with_columns(answer=pl.coalesce("response_id", "event_id"))
    guards = policy.select(turn="request", parent_id="span_id").drop_nulls().unique()
    spans = calls.drop_nulls("span_id").unique(["turn", "span_id"], keep="first", maintain_order=True)
    calls = calls.join(
        spans.select("turn", parent_id="span_id", above="event_id", above_response="response_id"),
        on=["turn", "parent_id"],
        how="left",
        maintain_order="left",
    )
    below = (
        calls.filter("completed")
        .drop_nulls("above")
        .group_by(event_id="above")
        .agg(below=pl.len(), below_response=pl.col("response_id").drop_nulls().first())
    )
    calls = calls.join(below, on="event_id", how="left", maintain_order="left")
    calls = calls.join(
        below.select(above="event_id", beside="below"), on="above", how="left", maintain_order="left"
    ).join(guards.with_columns(guard=pl.lit(value=True)), on=["turn", "parent_id"], how="left", maintain_order="left")
    sole = (pl.col("below") == 1).fill_null(value=False)
    alone = (pl.col("beside") == 1).fill_null(value=False)
    return calls.with_columns(
        # A span with several answered calls below it holds them, and is none of them.
        answers=pl.col("answers") & pl.col("guard").is_null() & (pl.col("below").fill_null(0) < 2),
        answer=pl.when(alone)
        .then(pl.coalesce("above_response", "response_id", "above"))
        .when(sole)
        .then(pl.coalesce("response_id", "below_response", "event_id"))
        .otherwise(pl.coalesce("response_id", "event_id")),
    ).drop("above", "above_response", "below", "below_response", "beside", "guard")


def _first_token() -> pl.Expr:
    """When the first of a call's answer was there (ns, corrected), from what gateways write of it."""

    def said(name: str) -> pl.Expr:
        return pl.col("attributes").map.get(name)

    # Seconds with a fraction of nine digits do not fit a double: whole seconds and the rest are read apart.
    parts = said("first_token_time").str.extract_groups(r"^([0-9]{9,11})(?:\.([0-9]{1,9}))?")
    fraction = parts.struct.field("2").fill_null("0").str.pad_end(9, "0").cast(pl.Int64, strict=False)
    epoch = parts.struct.field("1").cast(pl.Int64, strict=False) * 10**9 + fraction
    # Formats that write it without an offset write UTC.
    zoned = said("first_token_time").str.replace(" ", "T", literal=True).str.replace(r"(:\d\d(?:\.\d+)?)$", "${1}Z")
    iso = zoned.str.to_datetime("%+", time_unit="ns", time_zone="UTC", strict=False)
    after_ms = pl.coalesce(
        said("first_token_ms").cast(pl.Float64, strict=False),
        said("time_to_first_token_ms").cast(pl.Float64, strict=False),
        said("ms_to_first_chunk").cast(pl.Float64, strict=False),
        said("first_token_s").cast(pl.Float64, strict=False) * 1000,
    )
    began = pl.when(pl.col("time_kind") == "start").then("t").otherwise(pl.col("t") - pl.col("duration_ns"))
    absolute = pl.coalesce(epoch, iso.dt.epoch("ns")) - pl.col("clock_offset")
    first = pl.coalesce(absolute, began + (after_ms * 1e6).cast(pl.Int64))
    # What lies outside of its call is by another clock, or no time. Some gateways cut one of the two to milliseconds.
    ended = pl.when(pl.col("end_time").is_not_null() | (pl.col("time_kind") == "end")).then("t_end")
    inside = (first >= pl.coalesce(began, first) - 10**6) & (first <= pl.coalesce(ended, first) + 10**6)
    return pl.when(inside).then(first)
