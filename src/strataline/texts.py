"""The whole texts of events, read again from their records: a case itself holds excerpts and hashes.

The records at the events' addresses are parsed once more by the formats that read them then, in one pass per input. A
text counts as the event's where its hash is the one that the case holds; where not, what keeps it is said.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import polars as pl

from strataline.event import only
from strataline.evidence import Evidence
from strataline.examine import Texts
from strataline.parse import Kernel, Marks, Plan, catalogue, digests, parse_source
from strataline.read import Source

MOST_CHARACTERS = 1 << 28
"""Characters that are read at once, at most; events beyond them are said to be left out."""

LEAST_PASSAGE = 40
"""Characters of the shortest string that counts as a passage where a format does not say where passages lie."""

NAMES = ("id", "doc_id", "document_id", "chunk_id", "node_id", "source", "url", "uri", "path", "title", "name")
"""Keys whose value names the passage beside it, in order of preference."""

_DEEPEST = 40

_KEYS = ["offset", "item", "index"]


class Reader:
    """Reads the texts of events.

    Args:
        frames: the tables of the case.
        manifest: its manifest: which formats it was made with, and which the caller forced.
        evidence: the way to its inputs.
        formats: folders of formats that are not shipped; loading a format runs its file.

    Raises:
        FormatError: if a format cannot be loaded.
    """

    def __init__(
        self,
        frames: Mapping[str, pl.DataFrame],
        manifest: Mapping[str, Any],
        evidence: Evidence,
        formats: Iterable[Path] = (),
    ) -> None:
        folders = list(formats)
        self._frames = frames
        self._evidence = evidence
        self._known = catalogue(folders)
        self._forced: Mapping[str, str] = (manifest.get("options") or {}).get("force") or {}
        # What was drafted from the records has no file, and is drafted again.
        then: Mapping[str, str] = manifest.get("formats") or {}
        now = digests(folders)
        self._gone = sorted(set(then) - set(self._known))
        self._changed = sorted(name for name, digest in then.items() if name in now and now[name] != digest)
        self._kernel = Kernel()
        self._marks = Marks(self._known)

    def __call__(self, event_ids: Iterable[str]) -> dict[str, Texts]:
        """The texts of the events named, each as `Texts`.

        An event whose texts cannot be read is there too, with the reason in ``missing``.
        """
        wanted = pl.DataFrame({"event_id": list(event_ids)}, schema={"event_id": pl.String}).unique(maintain_order=True)
        events = only(self._frames, "events", pl.col("event_id").is_in(wanted["event_id"].implode()))
        stated = pl.any_horizontal(
            pl.col("input_hash", "output_hash").is_not_null(), pl.col("documents").list.len().fill_null(0) > 0
        )
        # A record that holds many events is read once; each has its share of what that takes.
        share = pl.col("length") // pl.len().over("source", "offset")
        cost = pl.col("input_chars").fill_null(0) + pl.col("output_chars").fill_null(0)
        cost += pl.when(pl.col("documents").list.len().fill_null(0) > 0).then(share).otherwise(0)
        events = events.select(
            *("event_id", "source", "format", "layer", "input_hash", "output_hash"),
            *_KEYS,
            stated=stated,
            within=cost.cum_sum() <= MOST_CHARACTERS,
        )
        found: dict[str, Texts] = {name: Texts() for name in events.filter(~pl.col("stated"))["event_id"]}
        events = events.filter("stated")
        beyond = f"left out: {MOST_CHARACTERS:,} characters are read at once"
        found |= {name: Texts(missing=beyond) for name in events.filter(~pl.col("within"))["event_id"]}
        events = events.filter("within")
        tops = {source: self._evidence.file_of(source) for source in events["source"].unique().sort()}
        for top in sorted(set(tops.values())):
            here = events.filter(pl.col("source").is_in([source for source, one in tops.items() if one == top]))
            found |= self._of_file(top, here)
        known = {name: found[name] for name in wanted["event_id"] if name in found}
        return known | {name: Texts(missing="no such event") for name in wanted["event_id"] if name not in known}

    def _of_file(self, top: str, events: pl.DataFrame) -> dict[str, Texts]:
        why = self._evidence.why_not(top)
        if why is not None:
            return {name: Texts(missing=why) for name in events["event_id"]}
        found: dict[str, Texts] = {}
        lacking = self._lacking(events)
        found |= {name: Texts(missing=why) for name, why in lacking.items()}
        left = events.filter(~pl.col("event_id").is_in(list(lacking)))
        parts = {str(source): part for (source,), part in left.group_by("source", maintain_order=True)}
        if not parts:
            return found
        for source in self._evidence.again(top):
            part = parts.pop(source.one.source, None)
            if part is None:
                # What lies beside it in an archive is passed over; its bytes go by.
                for _ in source.batches:
                    pass
                continue
            found |= self._of_source(source, part)
            if not parts:
                break
        return found | {name: Texts(missing=_NOT_MET) for part in parts.values() for name in part["event_id"]}

    def _lacking(self, events: pl.DataFrame) -> dict[str, str]:
        """Events whose source was read by a format that is not at hand."""
        rows = self._frames["sources"].select("source", named=pl.concat_list("formats", pl.col("format")))
        rows = rows.explode("named").drop_nulls().filter(pl.col("named").is_in(self._gone))
        rows = rows.unique().sort("source", "named").unique("source", keep="first", maintain_order=True)
        gone = events.join(rows, on="source", how="inner", maintain_order="left")
        return {
            name: f"the format {fmt} is not at hand (--formats DIR)"
            for name, fmt in gone.select("event_id", "named").iter_rows()
        }

    def _of_source(self, source: Source, events: pl.DataFrame) -> dict[str, Texts]:
        name = source.one.source
        forced = [fmt for glob, fmt in self._forced.items() if fnmatchcase(name, glob)]
        plan = Plan(
            marks=self._marks,
            forced=self._known.get(forced[-1]) if forced else None,
            folder=source.one.folder,
            excerpts=False,
            texts=True,
            only=events["offset"].unique().sort(),
        )
        parsed = parse_source(self._kernel, plan, (batch.records for batch in source.batches)).result()
        of = events.join(parsed.texts, on=[*_KEYS, "format"], how="left", suffix="_now", maintain_order="left")
        met = pl.col("passages").is_not_null() | pl.col("input_hash_now").is_not_null()
        met |= pl.col("output_hash_now").is_not_null()
        same = pl.all_horizontal(pl.col(one).eq_missing(pl.col(f"{one}_now")) for one in ("input_hash", "output_hash"))
        of = of.with_columns(met=met, same=same)
        found: dict[str, Texts] = {}
        for row in of.iter_rows(named=True):
            if not row["same"]:
                found[row["event_id"]] = Texts(missing=self._otherwise(row["format"]) if row["met"] else _NOT_MET)
                continue
            passages = tuple((one["document"] or "", one["text"]) for one in row["passages"] or ())
            taken = not passages and row["layer"] == "retrieval" and bool(row["output"])
            found[row["event_id"]] = Texts(
                row["input"] or "",
                row["output"] or "",
                tuple(_leaves(row["output"])) if taken else passages,
                guessed=taken,
            )
        return found

    def _otherwise(self, fmt: str) -> str:
        why = f"its text is not what the case has the hash of (format {fmt})"
        return f"{why}: the format has changed since" if fmt in self._changed else why


_NOT_MET = "its record was not read as it was then"


def _leaves(text: str) -> Iterator[tuple[str, str]]:
    """The passages in an output of which no format says where they lie: (what names it or "", text)."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if len(text) >= LEAST_PASSAGE:
            yield "", text
        return
    yield from _strings(value, "", 0)


def _strings(value: object, name: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEEPEST:
        return
    if isinstance(value, str):
        if len(value) >= LEAST_PASSAGE:
            yield name, value
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one, name, depth + 1)
    elif isinstance(value, dict):
        named = next((value[key] for key in NAMES if isinstance(value.get(key), str) and value[key]), name)
        for key, one in value.items():
            # What names a passage is none.
            if key not in NAMES:
                yield from _strings(one, named, depth + 1)
