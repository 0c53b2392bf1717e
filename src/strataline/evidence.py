"""The inputs of a case: which are at hand, whether they are still what was read, and their records, read again.

A case holds tables; where its inputs lie is known on this machine alone, and may change at any time.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import Any, BinaryIO

import polars as pl

from strataline.errors import InputError
from strataline.read import Input, Options, Source, at, read, rows_at


class Evidence:
    """The way from the rows of a case to the bytes of its inputs.

    Args:
        frames: the tables of the case; ``sources`` is used.
        manifest: of the case: how its inputs were read.
        inputs: file → where it lies on this machine, or what gives these when they are first asked for.
    """

    def __init__(
        self,
        frames: Mapping[str, pl.DataFrame],
        manifest: Mapping[str, Any],
        inputs: Mapping[str, Input] | Callable[[], Mapping[str, Input]],
    ) -> None:
        self._frames = frames
        self._manifest = manifest
        self._inputs = inputs
        self._compared: dict[str, bool] = {}

    @cached_property
    def inputs(self) -> dict[str, Input]:
        """File → where it lies on this machine."""
        return dict(self._inputs() if callable(self._inputs) else self._inputs)

    def file_of(self, source: str) -> str:
        """The file that `source` lies in, or is."""
        return self._above(source)[-1]

    def _above(self, source: str) -> list[str]:
        """The source, and what it lies in up to the file."""
        found = [source]
        while (above := self._within.get(found[-1])) is not None:
            found.append(above)
        return found

    @cached_property
    def _within(self) -> dict[str, str]:
        known = self._frames["sources"].select("source", "within").drop_nulls()
        return dict(known.iter_rows())

    def at_hand(self, source: str) -> Input | None:
        """Where to read `source`; null if its file is not at hand."""
        way = self._above(source)
        top = self.inputs.get(way[-1])
        if top is None or (top.path is not None and not top.path.is_file()):
            return None
        inside = [name[len(above) + 1 :] for name, above in pairwise(way)]
        return replace(top, source=source, inside=tuple(reversed(inside)))

    @cached_property
    def gone(self) -> list[str]:
        """The files of which nothing can be read again: not at hand, or not what was read."""
        return [
            name
            for name in sorted(self.inputs)
            if name in self._digests and (self.at_hand(name) is None or self._changed(name))
        ]

    def why_not(self, name: str) -> str | None:
        """Why a file cannot be read again, as a clause; null if it can."""
        if self.at_hand(name) is None:
            return "its input is not at hand (--inputs DIR)"
        return "its input is not what was read" if self._changed(name) else None

    def _changed(self, name: str) -> bool:
        """Whether the content of a file that is at hand is not what was read, or cannot be read now; asked once."""
        if name not in self._compared:
            one, known = self.at_hand(name), self._digests.get(name)
            try:
                self._compared[name] = one is not None and known is not None and digest(one.open()) != known
            except OSError:
                self._compared[name] = True
        return self._compared[name]

    @cached_property
    def _digests(self) -> dict[str, str]:
        """SHA-256 of each file that could be read, as it was read. It covers what lies in the file."""
        files = self._frames["sources"].filter(pl.col("within").is_null())
        return dict(files.select("source", "digest").drop_nulls().iter_rows())

    def verify(self) -> list[str]:
        """Hash the inputs again; what does not agree, as sentences."""
        wrong = []
        for name, known in self._digests.items():
            one = self.at_hand(name)
            try:
                found = None if one is None else digest(one.open())
            except OSError:
                found = None
            if found is None:
                wrong.append(f"input {name}: is not at hand, so it could not be verified")
            elif found != known:
                wrong.append(f"input {name}: its content is not what was read")
        return wrong

    def again(self, name: str) -> Iterator[Source]:
        """What lies in a file, read as it was read; nothing if it is not at hand."""
        one = self.at_hand(name)
        return iter(()) if one is None else read(one, self._reading)

    @cached_property
    def _reading(self) -> Options:
        """How the inputs were read: nothing of it is told anew."""
        sources = {row["source"]: row for row in self._frames["sources"].iter_rows(named=True)}
        options = Options(max_record=self._manifest["options"]["max_record"])
        expand = self._manifest["options"]["max_expand"]
        return replace(
            options,
            limits=replace(options.limits, max_expand=expand),
            encoding=lambda source: sources.get(source, {}).get("encoding"),
            wrappers=lambda source: sources.get(source, {}).get("envelopes") or (),
        )

    def records(self, rows: pl.DataFrame) -> list[bytes | None]:
        """The bytes of each record, read from its input; null where the input is not at hand.

        Args:
            rows: of ``events`` or ``rejects``. Of a row of a table, the JSON object that it was read as.

        Raises:
            InputError: if an input is not what it was.
        """
        found: list[bytes | None] = [None] * rows.height
        numbered = rows.with_row_index("i")
        for source in rows["source"].unique().sort().to_list():
            name = self.file_of(source)
            one, top = self.at_hand(source), self.at_hand(name)
            if one is None or top is None:
                continue
            if self._changed(name):
                hint = "strataline verify names what changed; --inputs DIR says where the inputs are as they were"
                raise InputError("its content is not what was read", path=name, hint=hint)
            here = numbered.filter(pl.col("source") == source)
            in_table = here.filter(pl.col("line").is_null())
            if in_table.height:
                texts = rows_at(top, source, in_table["offset"].to_list(), self._reading)
                for i, text in zip(in_table["i"], texts, strict=True):
                    found[i] = text
            of_bytes = here.filter(pl.col("line").is_not_null()).select("i", "offset", "length", "parts").rows()
            places = [
                [(part["offset"], part["length"]) for part in parts] if parts else [(offset, length)]
                for _, offset, length, parts in of_bytes
            ]
            pieces = iter(at(one, [place for record in places for place in record], self._reading) if places else [])
            for (i, *_), record in zip(of_bytes, places, strict=True):
                found[i] = b"".join(next(pieces) for _ in record)
        return found

    def records_at_hand(self, rows: pl.DataFrame) -> list[bytes | None]:
        """As `records`; null too where an input is not what was read."""
        gone = set(self.gone)
        sources = rows["source"].unique().to_list()
        fine = [source for source in sources if self.file_of(source) not in gone]
        here = rows.with_row_index("i").filter(pl.col("source").is_in(fine))
        found: list[bytes | None] = [None] * rows.height
        for i, record in zip(here["i"], self.records(here.drop("i")), strict=True):
            found[i] = record
        return found

    def holding(self, events: pl.DataFrame, text: str) -> pl.DataFrame:
        """Those of `events` whose record holds `text`, as `Case.find` says, or, where it is gone, whose excerpts do.

        Raises:
            InputError: if `text` holds no word.
        """
        pattern = re.compile(_search_pattern(text), re.IGNORECASE)
        places: list[tuple[str, int]] = []
        records: list[tuple[str, int, str]] = []
        sources = set(events["source"].unique())
        for top in sorted({self.file_of(source) for source in sources} - set(self.gone)):
            for source in self.again(top):
                name = source.one.source
                for batch in source.batches if name in sources else ():
                    for offset, record, raw in batch.records.select("offset", "text", "raw").iter_rows():
                        if record is None:
                            continue
                        if raw:
                            places += [(name, offset + hit.start()) for hit in pattern.finditer(record)]
                        elif pattern.search(record):
                            # What was unpacked has no place of its own: it is told by its text.
                            records.append((name, offset, hashlib.blake2b(record, digest_size=16).hexdigest()))
        hit = pl.Series([False] * events.height, dtype=pl.Boolean)
        shallow = "(?i)" + r"\s+".join(re.escape(word) for word in text.split())
        for name in ("input_excerpt", "output_excerpt"):
            hit = hit | events[name].str.contains(shallow).fill_null(value=False)
        if records:
            schema = {"source": pl.String, "offset": pl.Int64, "record_hash": pl.String}
            told = pl.DataFrame(records, schema=schema, orient="row").with_columns(deep=pl.lit(value=True)).unique()
            known = told.join(events, on=list(schema), how="semi")
            # A record that a second reading saved has another text than it lies there.
            saved = told.join(events, on=list(schema), how="anti").select("source", "offset", "deep").unique()
            for found, keys in ((known, list(schema)), (saved, ["source", "offset"])):
                deep = events.join(found, on=keys, how="left", maintain_order="left")["deep"]
                hit = hit | deep.fill_null(value=False)
        if places:
            rows = pl.DataFrame(places, schema={"source": pl.String, "hit": pl.Int64}, orient="row")
            own = pl.struct("offset", "length")
            pieces = pl.when(pl.col("parts").is_null()).then(pl.concat_list(own)).otherwise("parts")
            pieces_of = (
                events.select("source", pl.col("offset").alias("of"), pieces=pieces)
                .unique()
                .explode("pieces")
                .unnest("pieces")
                .sort("offset")
            )
            # The record that begins last before a hit is the one that holds it, if any does.
            inside = rows.sort("hit").join_asof(
                pieces_of, left_on="hit", right_on="offset", by="source", check_sortedness=False
            )
            inside = inside.filter(pl.col("hit") < pl.col("offset") + pl.col("length"))
            deep = (
                events.select("source", "offset")
                .join(
                    inside.select("source", offset="of", deep=pl.lit(value=True)).unique(),
                    on=["source", "offset"],
                    how="left",
                    maintain_order="left",
                )["deep"]
                .fill_null(value=False)
            )
            hit = hit | deep
        return events.filter(hit)


def digest(file: BinaryIO) -> str:
    """SHA-256 of what is left of `file`, which is closed."""
    made = hashlib.sha256()
    with file:
        while data := file.read(1 << 20):
            made.update(data)
    return made.hexdigest()


def _search_pattern(text: str) -> bytes:
    """The words of `text` as they may stand in a raw record: in UTF-8, or escaped once or twice as JSON does."""
    words = []
    for word in text.split():
        spellings: list[str] = []
        # Bytes know no letter case beyond ASCII.
        for spelled in dict.fromkeys((word, word.lower(), word.upper(), word.title())):
            spellings.append(spelled)
            for ascii_only in (True, False):
                once = json.dumps(spelled, ensure_ascii=ascii_only)[1:-1]
                spellings += [once, json.dumps(once, ensure_ascii=ascii_only)[1:-1]]
        words.append("(?:" + "|".join(re.escape(one) for one in dict.fromkeys(spellings)) + ")")
    if not words:
        raise InputError("the text to find is empty")
    try:
        return r"(?:\s|\\+[nrt])+".join(words).encode()
    except UnicodeEncodeError:
        raise InputError(f"the text to find is no UTF-8: {text!r}") from None
