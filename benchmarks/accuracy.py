"""Score a case against the ground truth of the capture that it was reconstructed from.

    python benchmarks/accuracy.py CASE TRUTH_DIR [--json] [--source-prefix P]

`CASE` holds ``events.parquet`` and ``requests.parquet``, `TRUTH_DIR` holds ``ground_truth.parquet``. Only these
files are read, and nothing of the package is imported: any tool that writes the two tables can be scored.

The definition, in full:

- *Rows* are the undamaged rows of the truth (``corrupt`` is null). Redelivered rows count like all others.
- A row is *found* if the case has an event from the same file and line, at the same place in that line (`sub`:
  dense rank, from 0, of (offset, item) among the events of the line), in the row's layer (the truth's ``gateway``
  is ``model``; a row that tells of a changed setting may also be found in layer ``change``). Of several such
  events the one that is in a request speaks for the row, then the one of the smallest index.
- Requests of the case and of the truth are *matched* one-to-one so that the id-class rows shared by matched pairs
  are as many as possible.
- *Recall*: rows whose request is the match of their true request, of all rows that belong to a request.
- *Precision*: of the rows put in a request, those whose true request owns it. The owner is the true request of the
  opening event of a turn (the event that the request is named after); where there is none, or it stands in no
  undamaged row, that of most of its id-class rows, ties to the smallest id; where it has no such row, of most of
  its rows. The last step keeps a split-off piece without ids from counting as wrong: a split costs recall only.
- A row that belongs to no request but was put in one is wrong. The *wrong-link rate* is over all rows put in a
  request, these included.
- *Order agreement*: of the pairs of rows of one true request that stand together in its match and differ in
  ``causal_seq``, the share that ``seq`` puts in the same order.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

CLASSES = ("id", "session+time", "user+time", "time_only")
"""What could tie a row to its request, strongest first."""

NONE = "none"
"""The class of rows that belong to no request."""

LAYERS = ("prompt", "retrieval", "model", "policy", "ui")

CHANGE_KIND = r"(^|[._])(config|alias|deploy|change|rollback)([._]|$)"
"""Truth kinds that tell of a changed setting: ``policy.config.reload``, ``index.alias``, …"""

EVENTS = pl.Schema(
    {
        "event_id": pl.String(),
        "layer": pl.String(),
        "source": pl.String(),
        "line": pl.Int64(),
        "offset": pl.Int64(),
        "item": pl.Int64(),
        "index": pl.Int64(),
        "request": pl.String(),
        "seq": pl.Int64(),
    }
)
REQUESTS = pl.Schema({"request": pl.String(), "kind": pl.String()})
TRUTH = pl.Schema(
    {
        "file": pl.String(),
        "line_no": pl.Int64(),
        "sub": pl.Int64(),
        "layer": pl.String(),
        "event_kind": pl.String(),
        "true_request": pl.String(),
        "causal_seq": pl.Int64(),
        "reach": pl.String(),
        "corrupt": pl.String(),
    }
)


class Unscorable(ValueError):
    """The tables cannot be scored; the message says why, in one line."""


@dataclass(frozen=True)
class Tally:
    """Counts of truth rows.

    Args:
        rows: undamaged rows.
        owned: rows that belong to a request.
        found: rows that an event of the case speaks for.
        placed: rows that the case put in a request.
        recalled: rows that the case put in the match of their true request.
        right: rows that the case put in a request that their true request owns.
    """

    rows: int = 0
    owned: int = 0
    found: int = 0
    placed: int = 0
    recalled: int = 0
    right: int = 0

    def __add__(self, other: Tally) -> Tally:
        """The counts of both together."""
        return Tally(
            self.rows + other.rows,
            self.owned + other.owned,
            self.found + other.found,
            self.placed + other.placed,
            self.recalled + other.recalled,
            self.right + other.right,
        )

    @property
    def recall(self) -> float | None:
        """Share of the rows that belong to a request; null where none does."""
        return _share(self.recalled, self.owned)

    @property
    def precision(self) -> float | None:
        """Share of the rows put in a request; null where none was."""
        return _share(self.right, self.placed)


@dataclass(frozen=True)
class Agreement:
    """How many pairs of rows were compared, and how many stand in the true order."""

    pairs: int
    agreed: int

    @property
    def share(self) -> float | None:
        """Share of the pairs; null where there is none."""
        return _share(self.agreed, self.pairs)


@dataclass(frozen=True)
class Score:
    """What `score` found.

    Args:
        cells: counts for each (layer, class); combinations without a row are left out.
        order: agreement over pairs: ``all``, ``id`` (both rows of class id), ``cross_layer`` (rows of different
            layers) and ``cross_layer_id`` (both).
        case_requests: requests of the case that have an event.
        true_requests: true requests that have an undamaged row.
        matched_requests: pairs of them that were matched.
        damaged_rows: rows of the truth that were left out.
        missing_files: files of the truth that the case has no event from.
    """

    cells: Mapping[tuple[str, str], Tally]
    order: Mapping[str, Agreement]
    case_requests: int
    true_requests: int
    matched_requests: int
    damaged_rows: int
    missing_files: tuple[str, ...]

    def of(self, layer: str | None = None, reach: str | None = None) -> Tally:
        """The counts of one layer, of one class, of one cell, or (neither given) of everything."""
        wanted = [
            tally
            for (its_layer, its_reach), tally in self.cells.items()
            if layer in (None, its_layer) and reach in (None, its_reach)
        ]
        return sum(wanted, Tally())

    @property
    def wrong_links(self) -> int:
        """Rows put in a request that their true request does not own, or that belong to none."""
        total = self.of()
        return total.placed - total.right

    @property
    def wrong_link_rate(self) -> float | None:
        """Share of `wrong_links` in all rows put in a request; null where none was."""
        return _share(self.wrong_links, self.of().placed)

    def to_dict(self) -> dict[str, object]:
        """The score as plain values for JSON; rates have six decimals, null where there is nothing to divide."""
        lines = [*self._lines(), ("all", "all", self.of())]
        return {
            "cells": [
                {
                    "layer": layer,
                    "reach": reach,
                    "rows": tally.rows,
                    "owned": tally.owned,
                    "found": tally.found,
                    "in_request": tally.placed,
                    "recalled": tally.recalled,
                    "right": tally.right,
                    "recall": _rounded(tally.recall),
                    "precision": _rounded(tally.precision),
                }
                for layer, reach, tally in lines
            ],
            "wrong_links": {
                "rows": self.wrong_links,
                "of": self.of().placed,
                "of_no_request": self.of(reach=NONE).placed,
                "rate": _rounded(self.wrong_link_rate),
            },
            "order": {
                name: {"pairs": one.pairs, "agreed": one.agreed, "share": _rounded(one.share)}
                for name, one in self.order.items()
            },
            "requests": {
                "case": self.case_requests,
                "true": self.true_requests,
                "matched": self.matched_requests,
            },
            "damaged_rows": self.damaged_rows,
            "missing_files": list(self.missing_files),
        }

    def to_text(self) -> str:
        """The score as tables for a terminal."""
        head = ("layer", "class", "rows", "found", "in request", "recall", "precision")
        body = [
            (layer, reach, *map(str, (t.rows, t.found, t.placed)), _rate(t.recall), _rate(t.precision))
            for layer, reach, t in [*self._lines(), ("all", "all", self.of())]
        ]
        order = [
            (name.replace("_", " "), str(one.pairs), str(one.agreed), _rate(one.share))
            for name, one in self.order.items()
        ]
        wrong = (
            f"wrong-link rate: {_rate(self.wrong_link_rate)} ({self.wrong_links} of {self.of().placed} rows "
            f"put in a request; {self.of(reach=NONE).placed} of the wrong ones belong to none)"
        )
        requests = (
            f"requests: {self.case_requests} in the case, {self.true_requests} in the truth, "
            f"{self.matched_requests} matched; {self.damaged_rows} damaged rows left out"
        )
        parts = [
            *_aligned([head, *body], texts=2),
            "",
            wrong,
            requests,
            *(f"no event from {name}" for name in self.missing_files),
            "",
            *_aligned([("order of pairs", "pairs", "agreed", "share"), *order], texts=1),
        ]
        return "\n".join(parts)

    def _lines(self) -> list[tuple[str, str, Tally]]:
        """Each cell in reading order, then the totals of each class."""
        found = {layer for layer, _ in self.cells}
        layers = [*(x for x in LAYERS if x in found), *sorted(found - set(LAYERS))]
        classes = (*CLASSES, NONE)
        cells = [(x, y, self.cells[x, y]) for x in layers for y in classes if (x, y) in self.cells]
        return [*cells, *(("all", y, self.of(reach=y)) for y in classes if self.of(reach=y).rows)]


def score(
    events: pl.DataFrame, requests: pl.DataFrame, truth: pl.DataFrame, *, source_prefix: str | None = None
) -> Score:
    """Score the tables of a case against the truth, as the module's docstring defines it.

    Args:
        events: the case's events; of their columns those in `EVENTS` are used.
        requests: the case's requests; of their columns those in `REQUESTS` are used.
        truth: the truth; of its columns those in `TRUTH` are used. Unique in (file, line_no, sub).
        source_prefix: what stands before the truth's file names in `source`; without it a source is the file that
            it is equal to, or else that it ends in.

    Raises:
        Unscorable: a column is missing or of another type, the truth names one place twice or a class that is not
            known, no source is a file of the truth, or two sources could be the same file.
    """
    events = _narrow(events, EVENTS, "events")
    requests = _narrow(requests, REQUESTS, "requests")
    truth = _narrow(truth, TRUTH, "ground truth")
    sound = _sound(truth)

    names = _file_names(_texts(events["source"]), _texts(truth["file"]), source_prefix)
    at = _positions(events, names, sound)
    placed = _place(at, sound)
    match = _matched(placed)
    owner = _owners(_openings(requests, at), placed)
    rows = (
        placed.join(match, on="request", how="left", maintain_order="left")
        .join(owner, on="request", how="left", maintain_order="left")
        .with_columns(
            recalled=(pl.col("match") == pl.col("true_request")).fill_null(value=False),
            right=(pl.col("owner") == pl.col("true_request")).fill_null(value=False),
        )
    )
    return Score(
        cells=_cells(rows),
        order=_order(rows.filter("recalled")),
        case_requests=events["request"].drop_nulls().n_unique(),
        true_requests=sound["true_request"].drop_nulls().n_unique(),
        matched_requests=match.height,
        damaged_rows=truth.height - sound.height,
        missing_files=tuple(sorted(set(_texts(truth["file"])) - set(names.values()))),
    )


def matched(events: pl.DataFrame, truth: pl.DataFrame, *, source_prefix: str | None = None) -> pl.DataFrame:
    """The requests of a case and the true ones that they were matched with: (request, match); arguments as `score`."""
    events, truth = _narrow(events, EVENTS, "events"), _narrow(truth, TRUTH, "ground truth")
    sound = _sound(truth)
    names = _file_names(_texts(events["source"]), _texts(truth["file"]), source_prefix)
    return _matched(_place(_positions(events, names, sound), sound))


def _matched(placed: pl.DataFrame) -> pl.DataFrame:
    by_id = placed.filter(pl.col("reach") == "id", pl.col("request").is_not_null())
    return _match_requests(by_id.group_by("request", "true_request").agg(shared=pl.len()))


def _narrow(frame: pl.DataFrame, schema: pl.Schema, what: str) -> pl.DataFrame:
    missing = [name for name in schema if name not in frame.columns]
    if missing:
        raise Unscorable(f"{what}: no column {', '.join(missing)}")
    try:
        return frame.select(pl.col(name).cast(dtype) for name, dtype in schema.items())
    except pl.exceptions.PolarsError as error:
        raise Unscorable(f"{what}: {_first_line(error)}") from error


def _sound(truth: pl.DataFrame) -> pl.DataFrame:
    """The undamaged rows, numbered, with the case's layer names and the class of rows without a request."""
    sound = (
        truth.filter(pl.col("corrupt").is_null())
        .with_row_index("row")
        .with_columns(
            layer=pl.col("layer").replace({"gateway": "model"}),
            reach=pl.when(pl.col("true_request").is_null()).then(pl.lit(NONE)).otherwise("reach"),
        )
    )
    if sound.select(pl.struct("file", "line_no", "sub").is_duplicated().any()).item():
        raise Unscorable("ground truth: a (file, line_no, sub) stands in two rows")
    if strange := sorted({str(x) for x in sound["reach"].unique()} - {*CLASSES, NONE}):
        raise Unscorable(f"ground truth: reach {strange[0]} of a row that belongs to a request is not known")
    return sound


def _texts(column: pl.Series) -> list[str]:
    return sorted(str(value) for value in column.drop_nulls().unique())


def _file_names(sources: Iterable[str], files: Sequence[str], prefix: str | None) -> dict[str, str]:
    """The file of the truth that each source of the case stands for; other sources are left out."""
    sources = list(sources)
    if prefix is not None:
        lead = prefix.rstrip("/") + "/" if prefix else ""
        names = {x: x.removeprefix(lead) for x in sources if x.startswith(lead) and x.removeprefix(lead) in files}
    else:
        names = {x: x for x in sources if x in files}
        taken = set(names)
        for source in sources:
            fitting = [name for name in files if source.endswith("/" + name)]
            name = max(fitting, key=len, default=None)
            if source not in names and name is not None and name not in taken:
                names[source] = name
    if sources and not names:
        raise Unscorable(f"no source of the case ({sources[0]}, …) is a file of the truth; see --source-prefix")
    seen: dict[str, str] = {}
    for source, name in names.items():
        if name in seen:
            raise Unscorable(f"both {seen[name]} and {source} could be {name}; --source-prefix tells them apart")
        seen[name] = source
    return names


def _positions(events: pl.DataFrame, names: Mapping[str, str], rows: pl.DataFrame) -> pl.DataFrame:
    """Every event that lies where a row of the truth lies, whatever its layer: its columns, then the row's."""
    located = events.filter(pl.col("source").is_in(list(names)), pl.col("line").is_not_null()).with_columns(
        file=pl.col("source").replace(dict(names)),
        sub=pl.struct("offset", "item").rank("dense").over("source", "line").cast(pl.Int64) - 1,
    )
    return located.join(
        rows, left_on=["file", "line", "sub"], right_on=["file", "line_no", "sub"], how="inner", suffix="_true"
    )


def _place(at: pl.DataFrame, sound: pl.DataFrame) -> pl.DataFrame:
    """The rows with the event that speaks for each: `found`, and its `request` and `seq`."""
    told_as_change = (pl.col("layer") == "change") & pl.col("event_kind").str.contains(CHANGE_KIND).fill_null(
        value=False
    )
    speaking = (
        at.filter((pl.col("layer") == pl.col("layer_true")) | told_as_change)
        .sort("row", pl.col("request").is_null(), "index", "event_id")
        .unique("row", keep="first", maintain_order=True)
        .select("row", "request", "seq", found=pl.lit(value=True))
    )
    return sound.join(speaking, on="row", how="left", maintain_order="left").with_columns(
        pl.col("found").fill_null(value=False)
    )


def _match_requests(shared: pl.DataFrame) -> pl.DataFrame:
    """Match requests of the case (`request`) and of the truth (`match`) so that most `shared` rows are matched.

    An exact maximum-weight matching on the sparse graph. The solver matches every request of the case, so each
    gets a column of its own that stands for "no match"; one is added to every weight since zero is no edge, and as
    each request of the case takes exactly one edge this favours no matching over another.
    """
    shared = shared.sort("request", "true_request")
    case, true = shared["request"].unique().sort(), shared["true_request"].unique().sort()
    if shared.is_empty():
        return pl.DataFrame({"request": case, "match": true})
    own = np.arange(len(case))
    at_case = np.concatenate([shared["request"].rank("dense").to_numpy() - 1, own])
    at_true = np.concatenate([shared["true_request"].rank("dense").to_numpy() - 1, len(true) + own])
    weight = np.concatenate([shared["shared"].to_numpy() + 1.0, np.ones(len(case))])
    graph = csr_array((weight, (at_case, at_true)), shape=(len(case), len(true) + len(case)))
    left, right = min_weight_full_bipartite_matching(graph, maximize=True)
    real = right < len(true)
    return pl.DataFrame({"request": case.gather(left[real]), "match": true.gather(right[real])})


def _openings(requests: pl.DataFrame, at: pl.DataFrame) -> pl.DataFrame:
    """The true request (`opening`, null if none) of each turn's opening event, where that stands in a sound row.

    The event is looked up by its place alone: it need not be the one that speaks for the row.
    """
    turns = requests.filter(pl.col("kind") == "turn")
    return (
        at.join(turns, left_on="event_id", right_on="request", how="semi")
        .select(request="event_id", opening="true_request", opened=pl.lit(value=True))
        .unique("request", keep="first", maintain_order=True)
    )


def _owners(openings: pl.DataFrame, placed: pl.DataFrame) -> pl.DataFrame:
    """The true request (`owner`) that each request of the case belongs to."""
    by_ids = pl.col("ids").max().over("request") > 0
    most = (
        placed.filter(pl.col("request").is_not_null(), pl.col("true_request").is_not_null())
        .group_by("request", "true_request")
        .agg(ids=(pl.col("reach") == "id").sum(), rows=pl.len())
        .with_columns(votes=pl.when(by_ids).then("ids").otherwise("rows"))
        .sort("request", "votes", "true_request", descending=[False, True, False])
        .unique("request", keep="first", maintain_order=True)
        .select("request", most="true_request")
    )
    return most.join(openings, on="request", how="left").select(
        "request", owner=pl.when(pl.col("opened").fill_null(value=False)).then("opening").otherwise("most")
    )


def _cells(rows: pl.DataFrame) -> dict[tuple[str, str], Tally]:
    counted = (
        rows.group_by("layer", "reach")
        .agg(
            pl.len(),
            pl.col("true_request").count().alias("owned"),
            pl.col("found").sum(),
            pl.col("request").count().alias("placed"),
            pl.col("recalled").sum(),
            pl.col("right").sum(),
        )
        .sort("layer", "reach")
    )
    return {(layer, reach): Tally(*counts) for layer, reach, *counts in counted.iter_rows()}


def _order(together: pl.DataFrame) -> dict[str, Agreement]:
    """Compare the pairs among rows that stand in the match of their true request."""
    side = together.select("true_request", "layer", "reach", "causal_seq", "seq")
    pairs = (
        # Each pair once, and none whose order the truth leaves open: only the earlier with the later remains.
        side.join(side, on="true_request", suffix="_later")
        .filter(pl.col("causal_seq") < pl.col("causal_seq_later"))
        .select(
            agreed=(pl.col("seq") < pl.col("seq_later")).fill_null(value=False),
            of_ids=(pl.col("reach") == "id") & (pl.col("reach_later") == "id"),
            across=pl.col("layer") != pl.col("layer_later"),
        )
    )
    kinds = {
        "all": pl.lit(value=True),
        "id": pl.col("of_ids"),
        "cross_layer": pl.col("across"),
        "cross_layer_id": pl.col("across") & pl.col("of_ids"),
    }
    chosen = {name: pairs.filter(kind)["agreed"] for name, kind in kinds.items()}
    return {name: Agreement(len(agreed), int(agreed.sum())) for name, agreed in chosen.items()}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 6)


def _rate(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.4f}"


def _aligned(table: Sequence[Sequence[str]], texts: int) -> list[str]:
    """The rows of `table` as lines: the first `texts` columns to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < texts else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _read(path: Path, schema: pl.Schema) -> pl.DataFrame:
    """The columns of `schema` that the file has; what is missing is for `score` to say."""
    if not path.is_file():
        raise Unscorable(f"{path}: no such file")
    try:
        present = [name for name in schema if name in pl.read_parquet_schema(path)]
        return pl.read_parquet(path, columns=present)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise Unscorable(f"{path}: {_first_line(error)}") from error


def main(argv: Sequence[str] | None = None) -> int:
    """Print the score of a case; return 0, or 2 with one line on standard error if it cannot be scored."""
    parser = argparse.ArgumentParser(prog="accuracy.py", description="Score a case against the ground truth.")
    parser.add_argument("case", type=Path, metavar="CASE", help="folder with events.parquet and requests.parquet")
    parser.add_argument("truth", type=Path, metavar="TRUTH_DIR", help="folder with ground_truth.parquet")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--source-prefix", metavar="P", help="what stands before the truth's file names in the case's sources"
    )
    args = parser.parse_args(argv)
    try:
        result = score(
            _read(args.case / "events.parquet", EVENTS),
            _read(args.case / "requests.parquet", REQUESTS),
            _read(args.truth / "ground_truth.parquet", TRUTH),
            source_prefix=args.source_prefix,
        )
    except Unscorable as error:
        print(f"accuracy.py: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result.to_dict(), ensure_ascii=False, indent=2) if args.json else result.to_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
