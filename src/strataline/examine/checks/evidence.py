"""Checks of the evidence itself: what is missing, moved, doubled, joined by guesses, cut or hidden.

Declarations used: ``config`` (mapping of ``layer.column`` to the value, or the list of values, that were in force).
"""

from __future__ import annotations

import polars as pl

from strataline.event import EVENTS, LAYERS, PRODUCT_LAYERS, only
from strataline.examine import coverage
from strataline.examine.check import Check, Found, Unknown
from strataline.examine.facts import LOOKED_AT, REDELIVERED, Facts

SUBJECTS = 20
"""So many things of one kind are told one by one; the rest in one sentence."""
SHOWN = 5
"""So many values are named in a sentence."""
TELLING = 6
"""So many events of a hit are named."""

BY_ID = ("opening", "id", "span", "resend")
"""Ways in which an event is tied to its request by what it states."""

OWN_CLOCK = 0.01
"""A clock with this share of the timed events is told for itself; of the others, how many there are."""

CLOCK_BASES = {
    "bounds": "Linked records put the clock of {clock} {offset} from the reference ({reference}), {bounds}",
    "asserted": "The clock of {clock} was declared to be {offset} from the reference",
    "pooled": (
        "The clock of {clock} may be {offset} from the reference ({reference}): linked records bound it on one side"
        " alone, and it was taken to be as far off that as others are"
    ),
    "scope-peak": (
        "The clock of {clock} may be {offset} from the reference ({reference}): there the differences to events of the"
        " same session or user pile up"
    ),
    "shared": (
        "The clock of {clock} may be {offset} from the reference ({reference}), as another log's: moved alike, their"
        " events lie beside each other"
    ),
}
"""What is said of a clock's offset, by what it rests on."""

CUT_EVENTS = 20
CUT_TEXTS = 10
CUT_CHARS = 100
CUT_TIMES = 5
"""Texts are cut where so many, of so many different, have the greatest length there is, if that is so many characters,
and so many times more than have the next common length."""

STATES = {"truncated": "cut", "redacted": "redacted", "encrypted": "encrypted", "absent": "left out"}
SEQUENCES = ("sequence", "sequence_number", "sequence_id", "seq", "seqno", "log_sequence")
"""Attributes in which emitters number their records."""

ENDED = ("blocked", "error", "timeout", "cancelled")


def _none() -> pl.DataFrame:
    return pl.DataFrame(schema={"request": pl.String, "events": pl.List(pl.String)})


def _hits(events: pl.DataFrame, event: str = "event_id") -> pl.DataFrame:
    """One row for each request of `events` (request, and the column `event`), and one for those of none."""
    rows = events.group_by("request", maintain_order=True).agg(events=pl.col(event).head(TELLING))
    return rows.select("request", "events").sort("request", nulls_last=True)


def _turns(facts: Facts) -> pl.DataFrame:
    """The requests that a user made; a job has no page to show anything."""
    turns = facts.requests.filter(pl.col("kind") == "turn")
    return turns if turns.height else facts.requests


# E-01


def _missing_layers(facts: Facts) -> list[Found]:
    turns = _turns(facts)
    ended = pl.col("outcomes").list.set_intersection(pl.lit(list(ENDED), pl.List(pl.String))).list.len() > 0
    found = []
    for layer in PRODUCT_LAYERS:
        without = turns.filter(pl.col("layers_not_covered").list.contains(layer))
        if without.height:
            statement = (
                "No {layer} log covers the time of {n:request}; statements about {layer} in that part are limited to"
                " what other layers record of it."
            )
            hits = without.select("request", events=pl.lit([], pl.List(pl.String)))
            found.append(
                Found(
                    hits, turns["request"], {"layer": layer}, f"{layer}: no log", statement, status="UNK", joined=False
                )
            )
        absent = turns.filter(pl.col("layers_absent").list.contains(layer))
        if absent.height:
            covered = turns.filter(
                ~pl.col("layers_not_covered").list.contains(layer) & ~pl.col("layers_ambiguous").list.contains(layer)
            )
            values: dict[str, object] = {"layer": layer, "ended": absent.filter(ended.fill_null(value=False)).height}
            # A request has the id of an event that opens it.
            hits = _hits(absent.select("request", event_id="request"))
            found.append(Found(hits, covered["request"], values, f"{layer}: no record", joined=False))
    return found or [Found(_none(), turns["request"])]


# E-02


def _gaps(facts: Facts) -> list[Found] | Unknown:
    if not facts.look("corrected_time")["corrected_time"].count():
        return Unknown("no record states a time", ("*.event_time",))
    every = facts.requests["request"]
    return [*_holes(facts), *_silences(facts), *_missing_numbers(facts)] or [Found(_none(), every)]


def _of_none(events: list[list[str]]) -> pl.DataFrame:
    """Hits that are of no request, one for each list of events."""
    return _nobodys(pl.Series(events, dtype=pl.List(pl.String)))


def _nobodys(events: pl.Series) -> pl.DataFrame:
    """As `_of_none`, of a column of lists; none is null."""
    return pl.DataFrame({"events": events}).select(request=pl.lit(None, dtype=pl.String), events="events")


def _holes(facts: Facts) -> list[Found]:
    """What was found when requests were put together: requests went on elsewhere that a log holds nothing of."""
    holes = facts.tables["notes"].filter((pl.col("topic") == "coverage_gap") & pl.col("source").is_not_null())
    if holes.is_empty():
        return []
    at = facts.look("source", "line", "event_id")
    at = at.unique(["source", "line"], keep="first", maintain_order=True)
    holes = holes.join(at, on=["source", "line"], how="left", maintain_order="left")
    logs = holes.group_by("subject", maintain_order=True).agg("event_id", missing=pl.col("count").sum())
    statement = (
        "The log {log} holds no record, or next to none, in {n:gap} in which requests went on in other logs; statements"
        " about that part are limited to what those show."
    )
    return [
        Found(
            _of_none([[one] if one is not None else [] for one in ids]),
            len(ids),
            {"log": log},
            log,
            statement,
            joined=False,
        )
        for log, ids, _ in logs.sort(["missing", "subject"], descending=[True, False]).head(SUBJECTS).iter_rows()
    ]


def _silences(facts: Facts) -> list[Found]:
    silent = coverage.gaps(facts.look("event_id", "layer", "service", "clock", "request", "corrected_time"))
    # A page whose clock nothing bounds may lie anywhere, and ends no silence.
    if silent.height:
        pages = facts.named(pl.concat([silent["before"], silent["after"]]), "layer", "doubt")
        adrift = pages.filter((pl.col("layer") == "ui") & pl.col("doubt").is_null())["event_id"].implode()
        silent = silent.filter(~pl.col("before").is_in(adrift) & ~pl.col("after").is_in(adrift))
    found = []
    statement = (
        "The log {log} is silent in {n:gap} of up to {longest} min, over {times} times its usual time between records,"
        " while {meanwhile:request} or more began, by other logs; statements about {layer} in that part are limited to"
        " those."
    )
    for (log,), part in silent.group_by("log", maintain_order=True):
        longest = part["gap_ns"].max()
        values = {
            "log": log,
            "layer": part["layer"][0],
            "longest": f"{int(str(longest)) / 60e9:,.0f}",
            "times": coverage.GAP_TIMES,
            "meanwhile": int(str(part["requests"].min())),
        }
        hits = _of_none([[before, after] for before, after in part.select("before", "after").iter_rows()])
        found.append(Found(hits, hits.height, values, f"{log}: silent", statement, joined=False))
    return found[:SUBJECTS]


def _missing_numbers(facts: Facts) -> list[Found]:
    """Sources whose emitters number their records, with numbers left out."""
    found = []
    statement = (
        "Of the numbers that {source} gives its records ({field}), {missing:number} between the first and the last are"
        " not in the supplied logs, in {n:gap}."
    )
    numbered = facts.stating(SEQUENCES, "source", "event_id")
    for field in SEQUENCES:
        number = pl.col("attributes").map.get(field).cast(pl.Int64, strict=False)
        rows = numbered.select("source", "event_id", number=number).drop_nulls("number")
        rows = rows.unique(["source", "number"], keep="first", maintain_order=True).sort("source", "number")
        rows = rows.with_columns(
            left=pl.col("number").diff().over("source") - 1,
            before=pl.col("event_id").shift(1).over("source"),
            size=pl.len().over("source"),
            span=(pl.col("number").max() - pl.col("number").min() + 1).over("source"),
        )
        # Numbers that are mostly missing count something else.
        rows = rows.filter((pl.col("left") > 0) & (pl.col("size") >= 0.9 * pl.col("span")))
        for (source,), part in rows.group_by("source", maintain_order=True):
            values = {"source": source, "field": field, "missing": int(part["left"].sum())}
            hits = _of_none([[before, after] for before, after in part.select("before", "event_id").iter_rows()])
            found.append(Found(hits, hits.height, values, f"{source}: {field}", statement, joined=False))
    return found[:SUBJECTS]


# E-03


def _clock_offsets(facts: Facts) -> list[Found]:
    events = facts.look("event_id", "event_time", "clock").drop_nulls("event_time")
    first = events.group_by("clock", maintain_order=True).agg(events_=pl.col("event_id").head(2))
    moved = (pl.col("offset_ns") != 0) & (pl.col("basis") != "reference")
    open_ = (pl.col("basis") == "unmoved") & (pl.col("lower_ns").is_null() | pl.col("upper_ns").is_null())
    clocks = (
        facts.tables["clocks"]
        .group_by("clock", maintain_order=True)
        .agg(
            pl.col("events").sum(),
            pl.col("basis").first(),
            pl.col("reference").drop_nulls().first(),
            slices=pl.len(),
            least=pl.col("offset_ns").min(),
            most=pl.col("offset_ns").max(),
            lower=pl.col("lower_ns").min(),
            upper=pl.col("upper_ns").max(),
            moved=moved.any(),
            open=open_.any(),
        )
        .join(first, on="clock", how="left", maintain_order="left")
        .filter(pl.col("moved") | pl.col("open"))
        .sort(["events", "clock"], descending=[True, False])
    )
    zones = set(facts.tables["notes"].filter(pl.col("topic") == "clock_zone")["subject"].drop_nulls())
    moved_ = clocks.filter("moved")
    own = moved_.filter(pl.col("events") >= OWN_CLOCK * events.height).head(SUBJECTS)
    size = facts.tables["clocks"]["clock"].n_unique()
    found = [_of_clock(one, size, one["clock"] in zones) for one in own.iter_rows(named=True)]
    rest = moved_.join(own, on="clock", how="anti", maintain_order="left")
    if rest.height:
        statement = (
            "{n:clock} of few records each were moved, by up to {most} s; {guessed} of them may be elsewhere, as linked"
            " records do not bound them on both sides. {e:event} were placed by that, and the times as logged are kept."
        )
        furthest = max(abs(int(str(rest["least"].min()))), abs(int(str(rest["most"].max()))))
        guessed = rest.filter(~pl.col("basis").is_in(["bounds", "asserted"])).height
        values = {"guessed": guessed, "most": f"{furthest / 1e9:,.3f}", "e": int(rest["events"].sum())}
        hits = _nobodys(rest["events_"].fill_null([]))
        status = "INF" if guessed == rest.height else "DER"
        found.append(Found(hits, size, values, "other clocks", statement, status=status, joined=False))
    loose = clocks.filter(~pl.col("moved"))
    if loose.height:
        statement = (
            "Nothing in the records bounds {n:clock} on both sides ({names}; {e:event}); statements about the order of"
            " these events and those of other clocks are limited to what other records show."
        )
        names = ", ".join(loose["clock"].head(SHOWN)) + (", …" if loose.height > SHOWN else "")
        values = {"names": names, "e": int(loose["events"].sum())}
        hits = _nobodys(loose["events_"].fill_null([]))
        found.append(Found(hits, size, values, "unbounded clocks", statement, joined=False))
    return [*found, *_assumed_zones(facts)] or [Found(_none(), size)]


def _of_clock(one: dict[str, object], size: int, zone: bool) -> Found:
    """What is said of one clock."""
    least, most = int(str(one["least"])), int(str(one["most"]))
    events = one["events_"] if isinstance(one["events_"], list) else []
    values: dict[str, object] = {"clock": one["clock"], "reference": one["reference"], "e": int(str(one["events"]))}
    values["offset"] = f"{least / 1e9:+,.3f} s" if least == most else f"{least / 1e9:+,.3f} s to {most / 1e9:+,.3f} s"
    statement = CLOCK_BASES.get(str(one["basis"]), CLOCK_BASES["pooled"])
    values["bounds"] = f"between {_seconds(one['lower'])} and {_seconds(one['upper'])}"
    statement += "; {e:event} were placed by that, and the times as logged are kept."
    if int(str(one["slices"])) > 1:
        statement += " The offset differs between {slices} parts of its time."
        values["slices"] = one["slices"]
    if zone:
        statement += " It is near a whole number of quarter hours, as of a time zone that the log does not state."
    status = None if one["basis"] in ("bounds", "asserted") else "INF"
    return Found(_of_none([events]), size, values, str(one["clock"]), statement, status=status, joined=False)


def _seconds(ns: object) -> str:
    return "no bound" if ns is None else f"{int(str(ns)) / 1e9:+,.3f} s"


def _assumed_zones(facts: Facts) -> list[Found]:
    assumed = facts.tables["notes"].filter((pl.col("topic") == "zone_assumed") & pl.col("source").is_not_null())
    if assumed.is_empty():
        return []
    first = facts.look("source", "event_id").unique("source", keep="first", maintain_order=True)
    assumed = assumed.join(first, on="source", how="left", maintain_order="left")
    statement = (
        "{times:time} in {n:source} state no zone, and one was assumed; statements about the order of these records and"
        " others are limited to that."
    )
    hits = _of_none([[one] if one is not None else [] for one in assumed["event_id"]])
    values = {"times": int(assumed["count"].sum())}
    return [
        Found(hits, facts.tables["sources"].height or hits.height, values, "assumed zones", statement, joined=False)
    ]


# E-04


def _doubled(facts: Facts) -> list[Found]:
    every = facts.requests["request"]
    again = facts.links(pl.col("relation").is_in(REDELIVERED), "from_event", "to_event")
    again = again.select(event_id="from_event", first="to_event").unique("event_id", keep="first", maintain_order=True)
    wanted = pl.col("event_id").is_in(again["event_id"].implode())
    named = only(facts.tables, "events", wanted, ("event_id", "request", "source", "layer"))
    again = again.join(named, on="event_id", how="left", maintain_order="left")
    found = []
    if again.height:
        pairs = again.with_columns(both=pl.concat_list("first", "event_id"))
        rows = pairs.group_by("request", maintain_order=True).agg(events=pl.col("both").explode().head(TELLING))
        hits = rows.select("request", "events").sort("request", nulls_last=True)
        layers = again["layer"].drop_nulls().unique().to_list()
        values = {
            "k": again.height,
            "s": again["source"].drop_nulls().n_unique(),
            "layers": ", ".join(one for one in (*PRODUCT_LAYERS, "change", "other") if one in layers),
        }
        found.append(Found(hits, every, values, "delivered again", joined=False))
    copies = facts.tables["sources"].filter(pl.col("copy_of").is_not_null()).sort("source")
    if copies.height:
        statement = "The same bytes stand twice in {n:source}: {names}. Their records are counted once."
        pairs_ = [f"{one} as {other}" for one, other in copies.select("source", "copy_of").head(SUBJECTS).iter_rows()]
        names = "; ".join(pairs_) + ("; …" if copies.height > SUBJECTS else "")
        found.append(
            Found(
                _of_none([[]] * copies.height),
                facts.tables["sources"].height,
                {"names": names},
                "copies",
                statement,
                joined=False,
            )
        )
    return found or [Found(_none(), every)]


# E-05


def _joins(facts: Facts) -> list[Found]:
    every = facts.requests["request"]
    listed = facts.links(~pl.col("taken"), "from_event")["from_event"].unique().implode()
    found = []
    for layer in PRODUCT_LAYERS:
        events = facts.of(layer, columns=("event_id", "request", "link_method"))
        method = events["link_method"].fill_null("none")
        sizes = dict(method.value_counts().iter_rows())
        size, ids = events.height, sum(sizes.get(one, 0) for one in BY_ID)
        if size == ids:
            continue
        text, time, none = (sizes.get(one, 0) for one in ("content", "window", "none"))
        loose = events.filter(~method.is_in(BY_ID))
        open_ = loose.filter(pl.col("request").is_null() & pl.col("event_id").is_in(listed)).height
        values = {"e": int(size), "layer": layer, "ids": int(ids), "text": int(text), "time": int(time)}
        values |= {"none": int(none), "open": open_, "share": f"{100 * ids / size:.1f}"}
        statement = (
            "Of {e:event} of {layer}, {ids} ({share} %) count as tied to a request by ids, {text} by text, {time} by"
            " time and {none} to none, of which {open} have candidates"
        )
        if text or time:
            statement += "; what rests on the ties by text or time, in {n:request}, is marked INF"
        found.append(Found(_hits(loose), every, values, layer, statement + ".", joined=False))
    return found or [Found(_none(), every)]


# E-06


def _cut_or_hidden(facts: Facts) -> list[Found] | Unknown:
    sampled = coverage.sampling(facts.stating(coverage.SAMPLED, "event_id", "layer", "service"))
    texts = ("content_state", "input_chars", "output_chars", "input_hash", "output_hash")
    told = pl.any_horizontal(pl.col("content_state", "input_chars", "output_chars").is_not_null())
    parts, cuts = [], []
    states: dict[tuple[str, str], pl.DataFrame] = {}
    for layer in sorted(LAYERS):
        events = facts.of(layer, columns=("event_id", "request", "layer", "format", *texts))
        parts.append(events.filter(told)["request"])
        kept = events.select("event_id", "request", "content_state").drop_nulls("content_state")
        states |= {(layer, state): kept.filter(pl.col("content_state") == state) for state in STATES}
        cuts += [(side, *one) for side in ("input", "output") for one in _cuts(events, side)]
    asked = pl.concat(parts)
    if not asked.len() and sampled.is_empty():
        return Unknown("no record states its text, how much of it it holds, or a sample rate", ("*.content_state",))
    every = asked.unique()
    found = []
    for layer in PRODUCT_LAYERS:
        for state, word in STATES.items():
            of_state = states[layer, state]
            if of_state.height:
                values: dict[str, object] = {"k": of_state.height, "layer": layer, "word": word}
                found.append(Found(_hits(of_state), every, values, f"{layer}: {state}", joined=False))
    cut_at = (
        "{k:text} of {layer} ({side}, {format}) have the same length of {chars} characters, the greatest there is, in"
        " {n:request}; this is consistent with a cut at that length."
    )
    for side, hits, values in sorted(cuts, key=lambda cut: cut[0]):
        subject = f"{values['layer']}: {side} of {values['chars']} characters"
        found.append(Found(hits, every, values, subject, cut_at, status="INF", joined=False))
    statement = (
        "Records of {service} state that they are a sample ({field} {value}), in {k:event}; counts of {layer} are at"
        " least what the records show."
    )
    for one in sampled.head(SUBJECTS).iter_rows(named=True):
        values = {"service": one["service"] or "an unnamed service", "field": one["field"], "value": one["value"]}
        values |= {"k": int(one["events"]), "layer": one["layer"]}
        subject = f"{one['layer']}: {one['field']} {one['value']}"
        found.append(Found(_of_none([[one["event"]]]), 1, values, subject, statement, joined=False))
    return found or [Found(_none(), every)]


def _cuts(events: pl.DataFrame, side: str) -> list[tuple[pl.DataFrame, dict[str, object]]]:
    """Logs in which unlike texts of the greatest length pile up: hits, and what is said of each."""
    chars, text = f"{side}_chars", f"{side}_hash"
    log = ["layer", "format"]
    rows = events.filter(pl.col(chars).is_not_null() & pl.col(text).is_not_null())
    counted = rows.group_by(*log, chars).agg(pl.len().alias("size"))
    longest = pl.col(chars) == pl.col(chars).max().over(log)
    counted = counted.with_columns(next=pl.when(~longest).then("size").max().over(log).fill_null(0)).filter(longest)
    texts = rows.join(counted.select(*log, chars), on=[*log, chars], how="semi", nulls_equal=True)
    texts = texts.group_by(*log, chars).agg(pl.col(text).n_unique().alias("texts"))
    counted = counted.join(texts, on=[*log, chars], nulls_equal=True)
    piled = counted.filter(
        pl.col(chars) >= CUT_CHARS,
        pl.col("size") >= CUT_EVENTS,
        pl.col("texts") >= CUT_TEXTS,
        pl.col("size") >= CUT_TIMES * pl.col("next"),
    )
    found = []
    for layer, format_, length, size in piled.select(*log, chars, "size").sort(log).iter_rows():
        cut = rows.filter((pl.col("layer") == layer) & pl.col("format").eq_missing(format_) & (pl.col(chars) == length))
        values: dict[str, object] = {
            "k": int(size),
            "layer": layer,
            "side": side,
            "format": format_,
            "chars": int(length),
        }
        found.append((_hits(cut), values))
    return found


# E-08


def _declared(facts: Facts) -> list[Found] | Unknown:
    config = facts.declared.get("config")
    if not isinstance(config, dict) or not config:
        return Unknown("no configuration was declared to compare with", ("declared.config",))
    found = []
    looked = []
    missing = []
    for key, value in sorted(config.items()):
        layer, _, column = str(key).partition(".")
        if column not in LOOKED_AT or EVENTS.schema[column].is_nested():
            return Unknown(f"the declared config names {key}, which is no layer.column of events", ("declared.config",))
        wanted = [str(one) for one in (value if isinstance(value, list) else [value])]
        logged = facts.of(layer, columns=("event_id", "request", column))
        logged = logged.filter(pl.col(column).is_not_null()).with_columns(value=pl.col(column).cast(pl.String))
        if logged.is_empty():
            missing.append(str(key))
            continue
        looked.append(logged["request"])
        differs = logged.filter(~pl.col("value").is_in(wanted))
        if differs.is_empty():
            continue
        others = differs.group_by("value").len().sort(["len", "value"], descending=[True, False])["value"]
        values = {
            "key": key,
            "declared": ", ".join(wanted),
            "logged": ", ".join(others.head(SHOWN))
            + (f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""),
        }
        found.append(Found(_hits(differs), logged["request"], values, str(key), joined=False))
    if not looked:
        return Unknown(f"not in the supplied logs: {', '.join(missing)}", tuple(missing))
    return found or [Found(_none(), pl.concat(looked))]


CHECKS: tuple[Check, ...] = (
    Check(
        id="E-01",
        name="layer-missing",
        layers=PRODUCT_LAYERS,
        attention="EG",
        status="DER",
        needs=("requests.request",),
        rule=_missing_layers,
        statement="The {layer} logs cover the time of {evaluable:request} and hold nothing tied to {n} of them, of"
        " which {ended} ended in a block, an error, a timeout or a cancellation, by other records.",
        question="Which log of this layer is not among those supplied, and what does it keep?",
        alternatives=(
            "The request ended before that layer, or took a path without it.",
            "A record that carries no id, or was sampled out.",
        ),
    ),
    Check(
        id="E-02",
        name="log-gap",
        layers=PRODUCT_LAYERS,
        attention="EG",
        status="DER",
        needs=("*.event_time",),
        rule=_gaps,
        statement="The log {log} holds no record in {n:gap}.",
        question="What wrote, shipped or kept this log in that time?",
        alternatives=("The service was idle.", "The export was cut there."),
        parameters={
            "least_s": coverage.SHORTEST_GAP_NS // 10**9,
            "times_p99": coverage.GAP_TIMES,
            "least_events": coverage.GAP_EVENTS,
            "requests_meanwhile": coverage.GAP_REQUESTS,
        },
    ),
    Check(
        id="E-03",
        name="clock-offset",
        layers=PRODUCT_LAYERS,
        attention="EG",
        status="DER",
        needs=("clocks.clock",),
        rule=_clock_offsets,
        statement="The clock of {clock} differs from the reference.",
        question="How were these clocks set, and which zone does each log write?",
        alternatives=("A delay on the way that every record of this log has.",),
        parameters={"own_share": OWN_CLOCK},
    ),
    Check(
        id="E-04",
        name="duplicate-records",
        layers=PRODUCT_LAYERS,
        attention="EG",
        status="DER",
        needs=(),
        rule=_doubled,
        statement="Recorded before (the same bytes, or the same id, kind and time): {k:event} of {layers}, in"
        " {s:source}; they are kept, and counted once.",
        question="What sends these records again?",
        alternatives=("Exports that overlap.", "Things that happened twice and look alike in the records."),
    ),
    Check(
        id="E-05",
        name="join-quality",
        layers=PRODUCT_LAYERS,
        attention="EG",
        status="DER",
        needs=("requests.request",),
        rule=_joins,
        statement="Of {e:event} of {layer}, {ids} count as tied to a request by ids.",
        question="Which id could every record of this layer carry?",
        alternatives=("Records that are about no request (start-up, health checks).",),
    ),
    Check(
        id="E-06",
        name="truncated-redacted-sampled",
        layers=PRODUCT_LAYERS,
        attention="EG",
        status="OBS",
        needs=(),
        rule=_cut_or_hidden,
        statement="The text of {k:event} of {layer} is {word} in the records, in {n:request}; statements about content"
        " in that part are limited to what is left.",
        question="Where are the whole texts kept, and who may read them?",
        alternatives=("A limit of the product itself, not of its log.",),
        parameters={
            "least_events": CUT_EVENTS,
            "least_texts": CUT_TEXTS,
            "least_characters": CUT_CHARS,
            "times_next": CUT_TIMES,
        },
    ),
    Check(
        id="E-08",
        name="declared-vs-logged",
        layers=PRODUCT_LAYERS,
        attention="EG",
        status="DER",
        needs=(),
        rule=_declared,
        statement="{key} was declared as {declared}; in {n:request} the records show {logged}.",
        question="How does what was declared reach what runs?",
        alternatives=("The declaration is of another time or route.",),
        core=False,
    ),
)
