"""Tables to what can be counted in them. Pure functions of frames: no input, no output."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from strataline.event import LAYERS, PRODUCT_LAYERS, TIME

COVERAGE = pl.Schema(
    {
        "layer": pl.String(),
        "minute": TIME,
        "minutes": pl.Int64(),
        "events": pl.Int64(),
        "linked": pl.Int64(),
        "covered": pl.Boolean(),
    }
)
"""Columns of `coverage`."""

PRESENCE = pl.Schema(
    {
        "layer": pl.String(),
        "hour": TIME,
        "requests": pl.Int64(),
        "present": pl.Int64(),
        "absent": pl.Int64(),
        "not_covered": pl.Int64(),
        "ambiguous": pl.Int64(),
    }
)
"""Columns of `presence`."""

SERVICES = pl.Schema(
    {
        "layer": pl.String(),
        "service": pl.String(),
        "sources": pl.Int64(),
        "clocks": pl.Int64(),
        "events": pl.Int64(),
        "linked": pl.Int64(),
        "requests": pl.Int64(),
        "first_time": TIME,
        "last_time": TIME,
        "minutes": pl.Int64(),
        "silent_ns": pl.Int64(),
    }
)
"""Columns of `services`."""

BY_SERVICE = pl.Schema(
    {"layer": pl.String(), "service": pl.String(), "minute": TIME, "events": pl.Int64(), "linked": pl.Int64()}
)
"""Columns of `by_service`."""

GAPS = pl.Schema(
    {
        "layer": pl.String(),
        "log": pl.String(),
        "start": TIME,
        "end": TIME,
        "gap_ns": pl.Int64(),
        "usual_ns": pl.Int64(),
        "requests": pl.Int64(),
        "before": pl.String(),
        "after": pl.String(),
    }
)
"""Columns of `gaps`."""

SAMPLING = pl.Schema(
    {
        "layer": pl.String(),
        "service": pl.String(),
        "field": pl.String(),
        "value": pl.String(),
        "events": pl.Int64(),
        "event": pl.String(),
    }
)
"""Columns of `sampling`."""

UNSEEN = pl.Schema({"layer": pl.String(), "topic": pl.String(), "subject": pl.String(), "sentence": pl.String()})
"""Columns of `unseen`."""

SHORTEST_GAP_NS = 5 * 60 * 10**9
"""A shorter silence of a log is no gap."""
GAP_TIMES = 10
"""Nor is one of less than this many times the 99th percentile of the times between its events."""
GAP_EVENTS = 100
"""A log with fewer events has no usual time between them."""
GAP_REQUESTS = 10
"""So many requests begin in a gap, as other logs show: without them it is a quiet time."""

SAMPLED = (
    *("sample_rate", "samplerate", "sampling_rate", "sampling.rate", "sampling_priority", "sampling.priority"),
    *("sampler.param", "trace_sample_rate", "sampled"),
)
"""Attributes in which emitters state that they log a share of what happens."""

TELLS = {
    "prompt": {
        "input_hash": "the exact prompt",
        "template_version": "the template version in force",
        "documents": "the documents that entered the prompt",
        "user": "whose request it was, by the application",
    },
    "retrieval": {
        "documents": "the documents that were found",
        "index_version": "the index version that was searched",
        "embedding_model": "the model that embedded the query",
    },
    "model": {
        "output_hash": "the answer as the model gave it",
        "served_model": "the model that answered",
        "parameters": "the parameters of the call",
        "finish_reason": "the reason for which generation ended",
        "response_id": "the id by which other layers name the answer",
        "cache": "whether an answer came from a cache",
    },
    "policy": {
        "verdict": "what the filter said",
        "policy_version": "the policy version in force",
        "policy_stage": "whether input or output was evaluated",
        "input_hash": "the text that was evaluated",
        "policy_mode": "whether a verdict was to be acted on",
    },
    "ui": {
        "shown": "how the answer was shown",
        "output_hash": "the text that was shown",
        "response_id": "which answer was shown, by its own id",
        "citations": "the citations that were shown",
        "feedback": "what users said of the answer",
        "client_version": "the client version in use",
    },
}
"""What the fields of each layer tell, in words: a field that no record states leaves it unseen."""


def coverage(events: pl.DataFrame) -> pl.DataFrame:
    """Count the events of each layer in each minute between the first and the last event.

    Minutes in which no layer has an event are drawn together, so that one wrong year in one record does not make
    a row for each minute of the years between.

    Args:
        events: an ``events`` table; of its columns layer, source, request and corrected_time are used.

    Returns:
        A frame with the columns of `COVERAGE`, ordered by (minute, layer): one row for each step and layer. A step
        is one minute, or a run of minutes without any event. ``minute`` is the (first) minute by corrected time,
        null for events without a time, which come last; ``minutes`` is the length of the step, null likewise;
        ``linked`` is how many of the ``events`` belong to a request; ``covered`` is whether some source of the
        layer has records both before the step's end and after its beginning, so that a count of 0 is a silence of
        that log and not a missing log. The five product layers always have rows, the others if they have events.
    """
    seen = events["layer"].unique().implode()
    layers = pl.DataFrame({"layer": LAYERS}, schema={"layer": pl.String}).with_row_index("place")
    layers = layers.filter(pl.col("layer").is_in(PRODUCT_LAYERS) | pl.col("layer").is_in(seen))
    counted = events.group_by("layer", pl.col("corrected_time").dt.truncate("1m").alias("minute")).agg(
        pl.len().cast(pl.Int64).alias("events"), pl.col("request").count().cast(pl.Int64).alias("linked")
    )
    rows = layers.join(_steps(counted["minute"]), how="cross")
    rows = rows.join(counted, on=["layer", "minute"], how="left", nulls_equal=True)
    rows = rows.sort("last", "place").join_asof(
        _spans(events),
        left_on="last",
        right_on="first_seen",
        by="layer",
        strategy="backward",
        check_sortedness=False,
    )
    return (
        rows.with_columns(
            pl.col("events", "linked").fill_null(0),
            (pl.col("last_seen") >= pl.col("minute")).fill_null(value=False).alias("covered"),
        )
        .sort("minute", "place", nulls_last=True)
        .select(COVERAGE.names())
        .cast(COVERAGE)
    )


def _steps(minutes: pl.Series) -> pl.DataFrame:
    """Minutes with an event, and the runs between them: (minute, minutes, last), `last` being the step's end."""
    busy = pl.DataFrame({"minute": minutes.unique().sort()})
    timed = busy.drop_nulls()
    gap = (pl.col("minute").shift(-1) - pl.col("minute")).dt.total_minutes() - 1
    quiet = timed.select(pl.col("minute").dt.offset_by("1m"), gap.alias("minutes")).filter(pl.col("minutes") > 0)
    counted = timed.select("minute", pl.lit(1, pl.Int64).alias("minutes"))
    untimed = busy.filter(pl.col("minute").is_null()).with_columns(pl.lit(None, pl.Int64).alias("minutes"))
    steps = pl.concat([counted, quiet.select(pl.col("minute").cast(TIME), "minutes"), untimed])
    length = pl.duration(minutes=pl.col("minutes"), nanoseconds=-1, time_unit="ns")
    return steps.with_columns((pl.col("minute") + length).alias("last"))


def _spans(events: pl.DataFrame) -> pl.DataFrame:
    """Per layer, by the time at which a source of it begins: the latest end of the sources that began by then."""
    timed = events.select("source", "layer", "corrected_time").drop_nulls("corrected_time")
    per_source = timed.group_by("source").agg(
        pl.col("layer").unique(),
        pl.col("corrected_time").min().alias("first_seen"),
        pl.col("corrected_time").max().alias("last_seen"),
    )
    spans = per_source.explode("layer").sort("first_seen", "last_seen", "layer")
    return spans.select("layer", "first_seen", pl.col("last_seen").cum_max().over("layer"))


def presence(requests: pl.DataFrame) -> pl.DataFrame:
    """Count, for each product layer and hour, what is known of it in the requests that began in that hour.

    Args:
        requests: a ``requests`` table; of its columns start_time and the four ``layers_`` lists are used.

    Returns:
        A frame with the columns of `PRESENCE`, ordered by (layer as requests pass them, hour). ``present``: an event of
        the layer is tied to the request; ``absent``: its logs cover the request's time and hold nothing tied to it;
        ``not_covered``: there is no log, or none that covers that time; ``ambiguous``: there are candidates, and none
        was taken. ``hour`` is null for requests without a time, which come last.
    """
    states = {state: pl.col(f"layers_{state}") for state in ("present", "absent", "not_covered", "ambiguous")}
    hours = requests.group_by(hour=pl.col("start_time").dt.truncate("1h"))
    counted = hours.agg(
        pl.len().alias("requests"),
        *(
            of.list.contains(pl.lit(layer)).fill_null(value=False).sum().alias(f"{layer} {state}")
            for layer in PRODUCT_LAYERS
            for state, of in states.items()
        ),
    )
    counts = pl.concat(
        counted.select(
            "hour", "requests", place=place, layer=pl.lit(layer), **{one: f"{layer} {one}" for one in states}
        )
        for place, layer in enumerate(PRODUCT_LAYERS)
    )
    return counts.sort("place", "hour", nulls_last=True).select(PRESENCE.names()).cast(PRESENCE)


def services(events: pl.DataFrame) -> pl.DataFrame:
    """Count what each service logged, by layer.

    Args:
        events: an ``events`` table; layer, service, source, clock, request and corrected_time are used.

    Returns:
        A frame with the columns of `SERVICES`, ordered by (layer, service): one row for each pair, ``service`` null
        where records name none. ``minutes`` is the number of minutes with an event, ``silent_ns`` the longest time
        between two events of it that follow each other; times null where no event has one.
    """
    order = pl.DataFrame({"layer": LAYERS}, schema={"layer": pl.String}).with_row_index("place")
    t = pl.col("corrected_time")
    texts = pl.col("layer", "service", "source", "clock", "request").cast(pl.Categorical)
    rows = events.select(texts, "corrected_time")
    if not rows["corrected_time"].drop_nulls().is_sorted():
        rows = rows.sort("corrected_time")
    counted = rows.group_by("layer", "service").agg(
        pl.col("source").n_unique().alias("sources"),
        pl.col("clock").drop_nulls().n_unique().alias("clocks"),
        pl.len().alias("events"),
        pl.col("request").count().alias("linked"),
        pl.col("request").drop_nulls().n_unique().alias("requests"),
        t.min().alias("first_time"),
        t.max().alias("last_time"),
        t.drop_nulls().dt.truncate("1m").n_unique().alias("minutes"),
        t.dt.epoch("ns").drop_nulls().diff().max().alias("silent_ns"),
    )
    counted = counted.with_columns(pl.col("layer", "service").cast(pl.String))
    made = counted.join(order, on="layer", how="left").sort("place", "service", nulls_last=True)
    return made.select(SERVICES.names()).cast(SERVICES)


def by_service(events: pl.DataFrame) -> pl.DataFrame:
    """Count the events of each service in each minute in which it has one.

    Args:
        events: an ``events`` table; layer, service, request and corrected_time are used.

    Returns:
        A frame with the columns of `BY_SERVICE`, ordered by (minute, layer, service); ``minute`` is null for events
        without a time, which come last.
    """
    counted = events.group_by("layer", "service", pl.col("corrected_time").dt.truncate("1m").alias("minute")).agg(
        pl.len().alias("events"), pl.col("request").count().alias("linked")
    )
    return counted.sort("minute", "layer", "service", nulls_last=True).select(BY_SERVICE.names()).cast(BY_SERVICE)


def gaps(events: pl.DataFrame) -> pl.DataFrame:
    """Silences of one log that are far longer than usual for it, while other logs go on.

    A log is what one clock wrote; of pages, whose clocks are many, what one service wrote. It is silent for longer than
    `SHORTEST_GAP_NS` and than `GAP_TIMES` the 99th percentile of its times between events, while `GAP_REQUESTS`
    requests or more begin, as other logs show. A log with fewer than `GAP_EVENTS` events has no usual time.

    Args:
        events: an ``events`` table; event_id, layer, service, clock, request and corrected_time are used.

    Returns:
        A frame with the columns of `GAPS`, ordered by (layer, log, start). ``layer`` is that of the event before,
        ``requests`` the number of requests that began in between, ``usual_ns`` the 99th percentile.
    """
    log = pl.when((pl.col("layer") == "ui") | pl.col("clock").is_null()).then("service").otherwise("clock")
    # A request has the id of an event that opens it: where that stands, it begins.
    begun = (pl.col("request") == pl.col("event_id")).fill_null(value=False)
    rows = events.select(log=log.cast(pl.Categorical), t=pl.col("corrected_time").dt.epoch("ns"), begun=begun)
    rows = rows.with_row_index("row").drop_nulls("t")
    if not rows["t"].is_sorted():
        rows = rows.sort("t", maintain_order=True)
    upto = pl.col("begun").cast(pl.Int64).cum_sum()
    rows = rows.with_columns(upto=upto, until=upto - pl.col("begun")).drop("begun").drop_nulls("log")
    # Of one log the order of the whole is kept: what lies between two of its events is of the others.
    rows = rows.filter(pl.len().over("log") >= GAP_EVENTS).with_columns(
        gap_ns=pl.col("t").shift(-1).over("log") - pl.col("t"),
        requests=pl.col("until").shift(-1).over("log") - pl.col("upto"),
        next=pl.col("row").shift(-1).over("log"),
    )
    found = rows.with_columns(usual_ns=pl.col("gap_ns").quantile(0.99, "nearest").over("log")).filter(
        pl.col("gap_ns") > SHORTEST_GAP_NS,
        pl.col("gap_ns") > GAP_TIMES * pl.col("usual_ns"),
        pl.col("requests") >= GAP_REQUESTS,
    )
    before, after = (events[found[name]].select("layer", "corrected_time", "event_id") for name in ("row", "next"))
    found = found.select("row", "t", "gap_ns", "requests", "usual_ns", pl.col("log").cast(pl.String)).with_columns(
        before["layer"],
        before["corrected_time"].alias("start"),
        before["event_id"].alias("before"),
        after["corrected_time"].alias("end"),
        after["event_id"].alias("after"),
    )
    return found.sort("layer", "log", "t", "row").select(GAPS.names()).cast(GAPS)


def sampling(events: pl.DataFrame) -> pl.DataFrame:
    """What records say of being a sample: the attributes of `SAMPLED`, by service and value.

    Args:
        events: an ``events`` table, or the rows of it that may state one; event_id, layer, service and attributes are
            used.

    Returns:
        A frame with the columns of `SAMPLING`, ordered by (layer, service, field, value); ``event`` is the first event
        that says so. A rate of 1, or ``sampled`` alone being true, says nothing of what was left out and is no row.
    """
    none = pl.DataFrame(schema=SAMPLING)
    if events.is_empty():
        return none
    parts = []
    for field in SAMPLED:
        value = pl.col("attributes").map.get(field).str.to_lowercase()
        whole = value.str.contains(r"^(?:1(?:\.0*)?|100(?:\.0*)?%|true|yes|always_on)$")
        said = events.lazy().select("event_id", "layer", "service", value=value, whole=whole)
        parts.append(
            said.filter(pl.col("value").is_not_null() & ~pl.col("whole"))
            .group_by("layer", "service", "value")
            .agg(pl.len().alias("events"), pl.col("event_id").first().alias("event"))
            .with_columns(field=pl.lit(field))
        )
    found = pl.concat([none, *(one.select(SAMPLING.names()).cast(SAMPLING) for one in pl.collect_all(parts))])
    return found.sort("layer", "service", "field", "value", nulls_last=True)


def unseen(
    events: pl.DataFrame, sources: pl.DataFrame, states: Callable[[str, str], bool] | None = None
) -> pl.DataFrame:
    """What no log of the case shows, whatever happened: say it before absence is read as an answer.

    Args:
        events: an ``events`` table; layer, source, request, corrected_time and, without `states`, the fields of
            `TELLS` are used.
        sources: a ``sources`` table; source, lacks, zone_basis, rejected and with_events are used.
        states: whether some event of a layer states a column, where that is known already.

    Returns:
        A frame with the columns of `UNSEEN`, ordered by (layer as requests pass them, topic, subject), what is about a
        source last. ``topic`` is ``layer`` (there is no log of the layer), ``field`` (no record of it states what
        `TELLS` names; subject is the field), ``time`` (minutes between the first and last event of the five layers in
        which no log of the layer covers anything; subject is their number), ``id`` (the source states no id of a kind,
        no time or no zone) or ``reject`` (records of the source that became no event).
    """
    rows: list[dict[str, object]] = []
    layers = set(events["layer"].unique())
    told = states or (lambda layer, column: says(events.filter(pl.col("layer") == layer)[column]))
    covered = coverage(events).filter(pl.col("minute").is_not_null())
    # What was deployed a week before is in the case, and makes no week of it.
    busy = covered.filter(pl.col("layer").is_in(PRODUCT_LAYERS) & (pl.col("events") > 0))["minute"]
    covered = covered.filter(pl.col("minute").is_between(busy.min(), busy.max())) if busy.len() else covered
    total = int(covered.filter(pl.col("layer") == PRODUCT_LAYERS[0])["minutes"].sum())
    for layer in PRODUCT_LAYERS:
        if layer not in layers:
            sentence = f"No {layer} log is among the supplied logs: what that layer did is not in them."
            rows.append({"layer": layer, "topic": "layer", "subject": layer, "sentence": sentence})
            continue
        for column, what in TELLS[layer].items():
            if not told(layer, column):
                sentence = f"No {layer} record states {what}."
                rows.append({"layer": layer, "topic": "field", "subject": column, "sentence": sentence})
        open_ = covered.filter(pl.col("layer") == layer, ~pl.col("covered"))
        minutes = int(open_["minutes"].sum())
        if minutes:
            sentence = f"Of the {total:,} minutes of the case, {minutes:,} are covered by no {layer} log."
            rows.append({"layer": layer, "topic": "time", "subject": f"{minutes}", "sentence": sentence})
    for one in sources.sort("source").select("source", "lacks", "rejected").iter_rows(named=True):
        if one["lacks"]:
            words = ", ".join(one["lacks"])
            sentence = f"No event of this source states {words}."
            rows.append({"layer": None, "topic": "id", "subject": one["source"], "sentence": sentence})
        if one["rejected"]:
            records = "record" if one["rejected"] == 1 else "records"
            sentence = f"{one['rejected']:,} {records} of this source could not be read and became no event."
            rows.append({"layer": None, "topic": "reject", "subject": one["source"], "sentence": sentence})
    return pl.DataFrame(rows, schema=UNSEEN)


def says(values: pl.Series) -> bool:
    """Whether one of `values` says something: an empty list or map does not."""
    known = values.drop_nulls()
    if isinstance(known.dtype, pl.Map):
        return bool(known.map.len().sum())
    return bool(known.list.len().sum()) if isinstance(known.dtype, pl.List) else bool(known.len())
