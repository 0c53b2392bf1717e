"""What the rules look at: the tables of a case, narrowed, and the few joins that many rules share, made once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import polars as pl

from strataline.event import EVENTS, address, narrow, only
from strataline.examine.check import Examination
from strataline.examine.contents import Contents, gather
from strataline.examine.coverage import says

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

MADE = ("t", "t_end", "sure", "doubt")
"""And what `Facts` adds to each: ``t`` and ``t_end`` (corrected time and end, ns; null if unknown; an event without an
end ends when it begins), ``doubt`` (how far ``t`` may be off the reference clock, ns; 0 by the reference itself, null
where nothing bounds its clock), ``sure`` (whether it is tied to its request by ids; null if to none)."""

TIED = ("opening", "id", "span", "resend")
"""Ways in which an event is tied to its request by ids."""

_MADE_OF: dict[str, tuple[tuple[str, ...], pl.Expr]] = {
    "t": (("corrected_time",), pl.col("corrected_time").dt.epoch("ns")),
    "t_end": (
        ("corrected_time", "end_time", "clock_offset"),
        pl.max_horizontal(
            pl.col("corrected_time").dt.epoch("ns"), pl.col("end_time").dt.epoch("ns") - pl.col("clock_offset")
        ),
    ),
    "sure": (("link_method",), pl.col("link_method").is_in(TIED)),
}
"""Of which columns these are made, and how; ``doubt`` is looked up in the clocks."""

_SCHEMA = {**EVENTS.schema, "t": pl.Int64(), "t_end": pl.Int64(), "sure": pl.Boolean(), "doubt": pl.Int64()}
_NOT_KEPT = ("ids", "refs", "source", "line", "offset", "event_time", "corrected_time", "observed_time")
"""Columns that are read anew for each who asks: they are much, and few ask."""

ENDS = 200
"""Records of a format, at either end, that tell which attributes it writes."""

REDELIVERED = ("redelivery_of", "repeats")
"""Relations of an event to the one that it is another copy of."""

SAMPLE = 4096
"""Values of a column that tell whether few of it differ."""

STOPS = ("block", "redact", "challenge")
"""Verdicts that hold back what they are about, or a part of it."""

_WATCHES = (
    r"(?i)(?:^|[^a-z])(?:monitor|shadow|observ|audit|report|detect|log|dry|simulat|passive|permissive|noop|count)"
)
_ENFORCES = r"(?i)block|deny|enforc|reject|prevent"
"""Words of a mode in which a filter only watches, and of one in which it does not, whatever else it does."""

_JUDGED = (
    *("event_id", "request", "call", "seq", "t", "clock", "clock_offset", "doubt", "policy_stage", "verdict"),
    *("input_hash", "output_hash", "input_chars", "stops", "acts", "broke", "ran", "decided"),
)
_DISPLAYED = (
    *("event_id", "request", "seq", "t", "clock", "clock_offset", "doubt", "answer"),
    *("response_id", "output_hash", "output_chars"),
)
"""What is kept of a verdict, and of a record of display, where many are joined."""

_TOLD = (
    *("event_id", "request", "call", "seq", "kind", "name", "service", "format", "source", "outcome", "attributes"),
    *("session", "user", "t", "t_end", "sure", "doubt", "clock", "clock_offset"),
    *("response_id", "input_hash", "output_hash", "input_chars", "output_chars"),
)
CALLED = (
    *_TOLD,
    *("tenant", "span_id", "parent_id", "error_type", "end_time", "duration_ns", "time_kind", "parameters"),
    *("requested_model", "served_model", "provider", "finish_reason", "input_tokens", "output_tokens"),
    *("attempt", "fallback", "cache", "stream", "http_status"),
)
"""Columns of events in `Facts.responses`."""
DECIDED = (
    *_TOLD,
    *("policy_name", "policy_version", "policy_stage", "policy_mode", "verdict", "enforced", "delivered"),
    *("score", "threshold"),
)
"""Columns of events in `Facts.verdicts`."""
SHOWN = (*_TOLD, "corrected_time", "shown", "citations", "feedback", "client_version")
"""Columns of events in `Facts.renders`."""

_NO_ANSWER = r"(?i)block|notice|error|placeholder|refus|removed|retract"
_AN_ANSWER = r"(?i)^(?:answer|partial)"
"""Words for what a page showed in the place of an answer, and for an answer or the beginning of one."""


ASIDE = r"(?i)embed|moderation|rerank|transcri|speech|tokeni[sz]e|self_check"
"""Names of calls, and of models, that produce no answer."""


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
        examined: what was found so far, for the checks that run after the others; null before.
    """

    tables: Mapping[str, pl.DataFrame]
    affected: Affected | None = None
    declared: Mapping[str, object] = field(default_factory=dict)
    texts: Callable[[Iterable[str]], Mapping[str, Texts]] | None = None
    examined: Examination | None = None

    def after(self, findings: pl.DataFrame, hits: pl.DataFrame) -> Facts:
        """These facts, and what was found in them; what was computed of them is not computed again."""
        return self._keeping(replace(self, examined=Examination(findings, hits)), but=())

    def about(
        self,
        affected: Affected | None,
        declared: Mapping[str, object],
        texts: Callable[[Iterable[str]], Mapping[str, Texts]] | None,
    ) -> Facts:
        """The same tables and another affected set; what was computed of the tables alone is not computed again."""
        return self._keeping(Facts(self.tables, affected, declared, texts), but=("contents", "_made"))

    def _keeping(self, made: Facts, but: Sequence[str]) -> Facts:
        given = {*(one.name for one in fields(self)), *but}
        made.__dict__.update({name: value for name, value in self.__dict__.items() if name not in given})
        return made

    def let_go(self, *names: str) -> None:
        """Free what was kept of the attributes `names`; it is made again when it is asked for again."""
        for name in names:
            self.__dict__.pop(name, None)

    @cached_property
    def events(self) -> pl.DataFrame:
        """`LOOKED_AT` and `MADE` of all events but redeliveries, in the order of ``events``.

        All of it is much: who needs a few columns looks at those (`look`), or at one layer (`of`).
        """
        return self.look(*LOOKED_AT, *MADE)

    def look(self, *columns: str) -> pl.DataFrame:
        """`columns` (of ``events``, or of `MADE`) of all events but redeliveries, in the order of ``events``."""
        events = self._columns(columns)
        return events if self._again is None else events.filter(~self._again)

    def _columns(self, columns: Sequence[str]) -> pl.DataFrame:
        """As `look`, with redeliveries."""
        wanted = dict.fromkeys(name for one in columns for name in _MADE_OF.get(one, ((one,),))[0])
        fresh = [name for name in wanted if name not in self._held and name != "doubt"]
        parts = self.table("events", *fresh).get_columns() if fresh else []
        parts += [self._held[name] for name in wanted if name in self._held]
        parts += [self._doubt.alias("doubt")] if "doubt" in wanted else []
        return pl.DataFrame(parts).select(
            _MADE_OF[name][1].alias(name) if name in _MADE_OF else name for name in columns
        )

    @cached_property
    def _held(self) -> dict[str, pl.Series]:
        """The ids of all events: read once, as what is found holds on to them."""
        return {name: self.table("events", name)[name] for name in ("event_id", "request")}

    def named(self, ids: pl.Series, *columns: str) -> pl.DataFrame:
        """event_id and `columns` of the events with one of `ids`, as `look`: few are asked of many."""
        rows = self._held["event_id"].is_in(ids.drop_nulls().unique().implode())
        rows = rows if self._again is None else rows & ~self._again
        return self._columns(("event_id", *columns)).filter(rows)

    def addresses(self, ids: pl.Series) -> dict[str, str]:
        """Event id → `event.address` of the events with one of `ids`, redeliveries too."""
        rows = self._held["event_id"].is_in(ids.drop_nulls().unique().implode())
        return dict(
            self._columns(("event_id", "source", "line", "offset"))
            .filter(rows)
            .select("event_id", address())
            .iter_rows()
        )

    @cached_property
    def loose(self) -> pl.Series:
        """Ids of the events that are tied to a request by text or time."""
        return self.look("event_id", "sure").filter(~pl.col("sure"))["event_id"]

    def table(self, name: str, *columns: str) -> pl.DataFrame:
        """`columns` of one of the `tables`: what lies in a file is read as far as it is asked for."""
        return narrow(self.tables, name, columns)

    def links(self, wanted: pl.Expr, *columns: str) -> pl.DataFrame:
        """`columns` of the rows of ``links`` of which `wanted` holds: few of them are no memberships."""
        return only(self.tables, "links", wanted, columns)

    def stating(self, attributes: Sequence[str], *columns: str) -> pl.DataFrame:
        """format, attributes and `columns` of the events of the formats that write one of `attributes`, as `look`.

        Who writes such an attribute writes it into nearly each record: `ENDS` records at either end tell. Looking into
        the attributes of every record costs more than all else.
        """
        known = self._written.filter(pl.col("key").is_in(attributes))["format"].unique()
        names = ("format", "attributes", *columns)
        parts = [
            self.of(layer, columns=names)
            .with_columns(n=rows.arg_true())
            .filter(pl.col("format").is_in(known.implode(), nulls_equal=True))
            for layer, rows in self._layers.items()
            if known.len()
        ]
        return pl.concat(parts).sort("n").drop("n") if parts else self.of("", columns=names)

    @cached_property
    def _written(self) -> pl.DataFrame:
        """format, key: attributes that the first and last records of each format have."""
        events = self._columns(("format",)).with_row_index("n")
        rows = events if self._again is None else events.filter(~self._again)
        ends = rows.group_by("format").agg(pl.col("n").head(ENDS), last=pl.col("n").tail(ENDS))
        places = pl.concat([ends["n"].explode(), ends["last"].explode()]).unique().implode()
        parts = [
            self.of(layer, columns=("format", "attributes")).filter(rows.arg_true().is_in(places))
            for layer, rows in self._layers.items()
        ]
        if not parts:
            return pl.DataFrame(schema={"format": pl.String, "key": pl.String})
        held = pl.concat(parts).select("format", key=pl.col("attributes").map.keys())
        return held.explode("key").drop_nulls("key").unique()

    @cached_property
    def _again(self) -> pl.Series | None:
        """Which rows of ``events`` are redeliveries; null if none is."""
        again = self.links(pl.col("relation").is_in(REDELIVERED), "from_event")["from_event"]
        if not again.len():
            return None
        return self._held["event_id"].is_in(again.unique().implode())

    @cached_property
    def _doubt(self) -> pl.Series:
        """How far the corrected time of each event, redeliveries too, may be off (ns)."""
        upper, lower, taken = (pl.col(f"{name}_ns") for name in ("upper", "lower", "offset"))
        reference = pl.col("basis") == "reference"
        slices = self.tables["clocks"].select(
            "clock",
            "start_time",
            doubt=pl.when(reference).then(0).otherwise(pl.max_horizontal(upper - taken, taken - lower)),
            bounded=reference | (upper.is_not_null() & lower.is_not_null()),
        )
        slices = slices.with_columns(doubt=pl.when("bounded").then("doubt")).drop("bounded")
        slices = slices.with_columns(pl.col("start_time").fill_null(pl.lit(0).cast(slices.schema["start_time"])))
        slices = slices.sort("clock", "start_time")
        # Before the first slice of a clock (an event without a link) holds what holds of the first.
        first = slices.group_by("clock", maintain_order=True).agg(pl.col("doubt").first(), n=pl.len())
        events = self.table("events", "clock", "event_time").with_row_index("row")
        found = events.join(first, on="clock", how="left", nulls_equal=True, maintain_order="left")
        doubt = found.select(pl.when(pl.col("event_time").is_not_null()).then("doubt"))["doubt"]
        sliced = found.filter((pl.col("n") > 1) & pl.col("event_time").is_not_null()).select(
            "row", "clock", "event_time"
        )
        if sliced.height:
            of = sliced.sort("event_time").join_asof(
                slices, left_on="event_time", right_on="start_time", by="clock", check_sortedness=False
            )
            of = of.filter(pl.col("start_time").is_not_null())
            doubt = doubt.scatter(of["row"], of["doubt"])
        return doubt

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

    def of(self, layer: str, *kinds: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """`events` of `layer`, of one of `kinds` if any is named; with `columns` alone, if they are named.

        Name them: those that a layer never states take no room, but all others do.
        """
        names = list(dict.fromkeys((*LOOKED_AT, *MADE) if columns is None else columns))
        rows = self._layers.get(layer)
        kind = self._part(layer, "kind") if kinds and rows is not None else None
        if rows is None or (kinds and kind is None):
            return pl.DataFrame(schema={name: _SCHEMA[name] for name in names})
        rows = rows.filter(rows) if kind is None else kind.is_in(kinds).fill_null(value=False)
        parts = {name: self._part(layer, name) for name in names}
        stated = [_unpacked(part, rows, name) for name, part in parts.items() if part is not None]
        # What no record of the layer states stays a single null, however many its events are.
        nulls = {name: pl.lit(None, dtype=_SCHEMA[name]) for name, part in parts.items() if part is None}
        return pl.DataFrame(stated or {"": rows.filter(rows)}).with_columns(**nulls).select(names)

    @cached_property
    def _layers(self) -> dict[str, pl.Series]:
        """Which rows of ``events`` are of each layer that there is, without redeliveries."""
        layers = self.table("events", "layer")["layer"]
        once = layers if self._again is None else layers.filter(~self._again)
        rows = {str(layer): layers == layer for layer in once.unique(maintain_order=True)}
        return rows if self._again is None else {layer: of & ~self._again for layer, of in rows.items()}

    @cached_property
    def _parts(self) -> dict[tuple[str, str], pl.Series | None]:
        return {}

    def _part(self, layer: str, column: str) -> pl.Series | None:
        """The values of a column in the events of a layer, `_packed`; null if they are all null."""
        if column in _NOT_KEPT:
            return _values(self._columns((column,))[column], self._layers[layer])
        if (layer, column) not in self._parts:
            values = _packed(self._columns((column,))[column])
            for one, rows in self._layers.items():
                self._parts[one, column] = _values(values, rows)
        return self._parts[layer, column]

    def has(self, need: str) -> bool:
        """Whether what `need` names is there: ``layer.column``, ``*.column`` or ``kind:…``; see `Check.needs`."""
        if need.startswith("kind:"):
            wanted = need.removeprefix("kind:")
            return any(not self.of(layer, wanted, columns=("kind",)).is_empty() for layer in self._layers)
        layer, _, column = need.partition(".")
        if layer in self.tables:
            return bool(self.table(layer, column)[column].count())
        layers = list(self._layers) if layer == "*" else [one for one in (layer,) if one in self._layers]
        return any(_stated(part) for part in (self._part(one, column) for one in layers) if part is not None)

    def states(self, layer: str, column: str) -> bool:
        """Whether some event of the layer, or a redelivery of one, says something in `column`."""
        part = self._part(layer, column) if layer in self._layers else None
        if part is not None and says(part):
            return True
        if self._again is None:
            return False
        rows = self.table("events", "layer", column).filter(pl.col("layer") == layer)[column].drop_nulls()
        return says(rows)

    @cached_property
    def responses(self) -> pl.DataFrame:
        """Model calls (``model.call``; columns of `CALLED`), and what became of them.

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
        wide = self.of("model", "model.call", columns=CALLED)
        calls = wide.select(
            *("event_id", "request", "t_end", "seq", "output_hash", "response_id", "finish_reason"),
            *("name", "requested_model", "served_model", "span_id", "parent_id"),
            # What belongs to no request stands alone.
            turn=pl.coalesce("request", "event_id"),
            completed=produced & ~failed,
            first=_first_token(),
        )
        calls = _answers(calls, self.of("policy", columns=("request", "span_id")))
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
        said = pl.concat([self.of(layer, columns=names) for layer in ("prompt", "ui")]).drop_nulls("request")
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
        """Policy decisions: events of layer policy with a verdict (columns of `DECIDED`).

        Besides: ``stops`` (the verdict holds something back: `STOPS`), ``watches`` (the filter's mode only watches),
        ``acts`` (whether it was to be acted on: not in such a mode, and not said to be unenforced), ``broke`` (the
        evaluation ended in an error or ran out of time, whatever verdict was then given), ``ran`` (there is a verdict
        on the content: it neither broke nor says that nothing was evaluated), ``decided`` (when the verdict was there,
        ns; null if unknown).
        """
        decisions = self.of("policy", columns=DECIDED).filter(pl.col("verdict").is_not_null())
        mode = pl.col("policy_mode")
        broke = (pl.col("verdict") == "error") | pl.col("outcome").is_in(["error", "timeout"]).fill_null(value=False)
        return decisions.with_columns(
            stops=pl.col("verdict").is_in(STOPS),
            watches=(mode.str.contains(_WATCHES) & ~mode.str.contains(_ENFORCES)).fill_null(value=False),
            broke=broke,
            ran=~broke & ~pl.col("verdict").is_in(["not_evaluated", "unknown"]),
            decided="t_end",
        ).with_columns(acts=~pl.col("watches") & pl.col("enforced").fill_null(value=True))

    @cached_property
    def renders(self) -> pl.DataFrame:
        """Records of display (``ui.rendered``; columns of `SHOWN`).

        Besides: ``answer`` (whether the answer was shown, or a part of it).

        A notice, an error or a placeholder is no answer; a page that does not say what it showed showed the answer,
        unless its record is one of a block or an error.
        """
        shown = self.of("ui", "ui.rendered", columns=SHOWN)
        ended = pl.col("outcome").is_in(["blocked", "error", "timeout"]).fill_null(value=False)
        return shown.with_columns(
            answer=pl.when(pl.col("shown").str.contains(_NO_ANSWER))
            .then(pl.lit(value=False))
            .when(pl.col("shown").str.contains(_AN_ANSWER) & (pl.col("outcome") != "blocked").fill_null(value=True))
            .then(pl.lit(value=True))
            .otherwise(~ended)
        )

    @cached_property
    def reached(self) -> pl.DataFrame:
        """Requests whose answer reached someone: one row each, in the order of their ids.

        Columns: request, ``shown`` and ``delivered`` (event ids), ``shown_t`` and ``delivered_t`` (their times, ns).
        ``shown`` is the first record of an answer's display, null without; ``delivered`` the record that the answer
        left for the client (the application's, else a filter's that says so, else, where no record says that it was
        held back, the application's that it received the answer, or the last completed model call), null without.
        A verdict holds an answer back if it blocks, was to be acted on, and does not come before the last call began;
        so does a filter's record that says that nothing was delivered.
        """
        few = ("request", "event_id", "t", "kind", "outcome")
        shown = self.renders.select(*few, "answer").filter("answer").drop_nulls("request").sort("t", "event_id")
        first = shown.group_by("request", maintain_order=True).agg(
            shown=pl.col("event_id").first(), shown_t=pl.col("t").first()
        )
        app = self.of("prompt", columns=few)
        # What ends the turn says more than what was received on the way.
        ends, received = (
            app.filter(pl.col("kind") == kind, pl.col("outcome").fill_null("ok") == "ok")
            for kind in ("prompt.responded", "prompt.answered")
        )
        said = self.of("policy", columns=(*few, "delivered")).filter("delivered")
        calls = self.responses.select(*few, "seq", "last").filter("last")
        not_ended = (pl.col("kind") == "prompt.responded") & pl.col("outcome").is_in(["error", "blocked"])
        held = pl.concat(
            [
                app.filter((pl.col("kind") == "prompt.blocked") | (pl.col("outcome") == "blocked") | not_ended)[
                    "request"
                ],
                self.renders.select(few).filter(pl.col("outcome") == "blocked")["request"],
                self._stopped(calls),
            ]
        )
        ways = pl.concat(
            rows.select("request", "event_id", "t", place=place)
            for place, rows in enumerate((ends, said, received, calls))
        )
        left = ways.drop_nulls("request").filter(
            (pl.col("place") < 2) | ~pl.col("request").is_in(held.drop_nulls().unique().implode())
        )
        delivered = left.sort("request", "place", maintain_order=True).group_by("request", maintain_order=True)
        both = first.join(
            delivered.agg(delivered=pl.col("event_id").first(), delivered_t=pl.col("t").first()),
            on="request",
            how="full",
            coalesce=True,
        )
        return both.sort("request")

    def _stopped(self, calls: pl.DataFrame) -> pl.Series:
        """Requests whose last answer (`calls`) a filter held back, as its records say."""
        blocks = pl.col("verdict").is_in(["block", "challenge"]) & pl.col("acts")
        stops = self.verdicts.select("request", "seq", "verdict", "acts", "delivered").filter(
            blocks | ~pl.col("delivered").fill_null(value=True)
        )
        begun = calls.select("request", begun="seq")
        return stops.join(begun, on="request", how="left").filter(
            pl.col("begun").is_null() | (pl.col("seq") > pl.col("begun"))
        )["request"]

    @cached_property
    def judged(self) -> pl.DataFrame:
        """Verdicts on output (`_JUDGED` of `verdicts`, in a request), and the model call that each is about.

        Besides: ``of_call`` (event id of the call; null if the request has none before the verdict), ``of_answer``
        (its `responses.answer`), ``of_hash``, ``of_chars``, ``of_id`` (hash, length and response id of its output),
        ``of_first`` (`responses.first`), ``of_stream``, ``of_completed``, ``of_clock``, ``of_offset``, ``of_doubt``,
        ``of_basis``: hash (it is the text that was evaluated), id (the verdict names the call), only (the request has
        one call), order (the last call that began before the verdict).
        """
        verdicts = self.verdicts.select(_JUDGED).filter(
            (pl.col("policy_stage") == "output") & pl.col("request").is_not_null()
        )
        calls = self.responses.filter(pl.col("request").is_not_null())
        about = calls.select(
            "request",
            "call",
            "seq",
            of_call="event_id",
            of_answer="answer",
            of_hash="output_hash",
            of_chars="output_chars",
            of_id="response_id",
            of_first="first",
            of_stream="stream",
            of_completed="completed",
            of_clock="clock",
            of_offset="clock_offset",
            of_doubt="doubt",
            of_alone=pl.len().over("request") == 1,
        ).sort("seq", "of_call", nulls_last=True)
        told = [name for name in about.columns if name.startswith("of_")]
        rows = verdicts.select("event_id", "request", "call", "seq", "input_hash").sort("seq", "event_id")
        ways = (
            rows.join(
                about.drop_nulls("of_hash").unique(["request", "of_hash"], keep="last", maintain_order=True),
                left_on=["request", "input_hash"],
                right_on=["request", "of_hash"],
                coalesce=False,
            ).select("event_id", *told, of_basis=pl.lit("hash"), rank=pl.lit(0)),
            rows.drop_nulls("call")
            .join_asof(about.drop_nulls("call"), on="seq", by=["request", "call"], check_sortedness=False)
            .select("event_id", *told, of_basis=pl.lit("id"), rank=pl.lit(1)),
            rows.join_asof(about.drop("call"), on="seq", by="request", check_sortedness=False).select(
                "event_id",
                *told,
                of_basis=pl.when("of_alone").then(pl.lit("only")).otherwise(pl.lit("order")),
                rank=pl.lit(2),
            ),
        )
        found = pl.concat(ways).drop_nulls("of_call").sort("event_id", "rank").unique("event_id", keep="first")
        return verdicts.join(found.drop("rank", "of_alone"), on="event_id", how="left", maintain_order="left")

    @cached_property
    def displays(self) -> pl.DataFrame:
        """`_DISPLAYED` of `renders` in a request, and the model call whose answer each shows.

        Besides: ``of_call`` (event id; null where that cannot be told), ``of_answer`` (its `responses.answer`),
        ``of_hash``, ``of_chars``, ``of_basis``: id (both name the response), hash (the same text), only (one answer of
        the request went on, and neither id nor hash tells the two apart).
        """
        shown = self.renders.select(_DISPLAYED).filter(pl.col("request").is_not_null())
        calls = self.responses.filter(pl.col("request").is_not_null()).select(
            *("request", "response_id", "delivered_", "seq"),
            of_call="event_id",
            of_answer="answer",
            of_hash="output_hash",
            of_chars="output_chars",
        )
        went = calls.filter("delivered_").sort("seq", "of_call", nulls_last=True)
        went = went.filter(pl.col("of_hash").n_unique().over("request") == 1)
        sole = went.unique("request", keep="last", maintain_order=True)
        told = ["of_call", "of_answer", "of_hash", "of_chars"]
        rows = shown.select("event_id", "request", "response_id", "output_hash")
        ways = (
            rows.join(
                calls.drop_nulls("response_id").unique(["request", "response_id"], keep="last", maintain_order=True),
                on=["request", "response_id"],
            ).select("event_id", *told, of_basis=pl.lit("id"), rank=pl.lit(0)),
            rows.join(
                calls.drop_nulls("of_hash").unique(["request", "of_hash"], keep="last", maintain_order=True),
                left_on=["request", "output_hash"],
                right_on=["request", "of_hash"],
                coalesce=False,
            ).select("event_id", *told, of_basis=pl.lit("hash"), rank=pl.lit(1)),
            rows.join(sole, on="request")
            .filter((pl.col("output_hash") == pl.col("of_hash")).fill_null(value=True))
            .filter((pl.col("response_id") == pl.col("response_id_right")).fill_null(value=True))
            .select("event_id", *told, of_basis=pl.lit("only"), rank=pl.lit(2)),
        )
        found = pl.concat(ways).sort("event_id", "rank").unique("event_id", keep="first").drop("rank")
        return shown.join(found, on="event_id", how="left", maintain_order="left")

    @cached_property
    def documents(self) -> pl.DataFrame:
        """Documents that retrieval returned, one row each, in the order of their events and by rank.

        Of the event: event_id, kind, request, sure, clock, t, doubt, index_name, embedding_model, ``asker`` (its
        tenant). Of the document: id, score, rank, version, tenant, hash.
        """
        own = ("event_id", "kind", "request", "sure", "clock", "t", "doubt", "index_name", "embedding_model")
        said = self.of("retrieval", columns=(*own, "tenant", "documents")).filter(pl.col("documents").list.len() > 0)
        events = said.select(*own, asker="tenant", document="documents")
        return events.explode("document").unnest("document")

    @cached_property
    def _made(self) -> dict[str, pl.DataFrame]:
        return {}

    def once(self, make: Callable[[Facts], pl.DataFrame]) -> pl.DataFrame:
        """What `make` says of these facts, made when it is first asked for."""
        name = f"{make.__module__}.{make.__qualname__}"
        if name not in self._made:
            self._made[name] = make(self)
        return self._made[name]

    @cached_property
    def contents(self) -> Contents:
        """The texts of the requests under examination, read once for all checks that look at texts."""
        return gather(self)


def _values(column: pl.Series, rows: pl.Series) -> pl.Series | None:
    """`column` in some `rows`; null if it is null in all of them."""
    part = column.filter(rows)
    return part.rechunk() if part.null_count() < part.len() else None


def _packed(values: pl.Series) -> pl.Series:
    """`values` in less room: whole numbers as small as they are; texts as numbers, if few differ, as a sample says."""
    if values.dtype == pl.Int64:
        return values.shrink_dtype()
    if values.dtype != pl.String or values.gather_every(max(1, values.len() // SAMPLE)).n_unique() > SAMPLE // 4:
        return values
    return values.cast(pl.Enum(values.unique().drop_nulls()))


def _unpacked(values: pl.Series, rows: pl.Series, name: str) -> pl.Series:
    """`values` of the column `name` in some `rows`, as they were before they were packed."""
    some = values if rows.all() else values.filter(rows)
    if isinstance(some.dtype, pl.Enum):  # a fifth of the time that a cast takes
        some = some.dtype.categories.gather(some.to_physical())
    return some.cast(_SCHEMA[name]).alias(name)


def _stated(values: pl.Series) -> bool:
    """Whether one of `values`, which are not all null, says something: an empty list does not."""
    return bool((values.list.len() > 0).any()) if isinstance(values.dtype, pl.List) else True


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
