"""The texts of the requests under examination, each read once: what was asked, sent, supplied, answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from strataline.examine.facts import Facts, Texts

MOST = 20_000
"""Events whose texts are read, at most; equal texts are read once."""

ASKED = ("question", "query", "user_message", "user_input", "user_query")
"""Attributes in which formats keep the user's own words beside the prompt that was made of them."""

PIECES = pl.Schema(
    {
        "request": pl.String(),
        "event_id": pl.String(),
        "layer": pl.String(),
        "kind": pl.String(),
        "side": pl.String(),
        "document": pl.String(),
        "text": pl.Int64(),
    }
)
"""Columns of `Contents.pieces`: ``side`` is input, output, asked or passage; ``document`` names a passage's document,
null where nothing does; ``text`` is the place in `Contents.texts`."""

_PLACES = {"key": pl.String(), "text": pl.Int64()}


@dataclass(frozen=True)
class Contents:
    """Texts, and whose they are.

    Args:
        pieces: as `PIECES`, in the order of ``events``.
        texts: the distinct texts.
        read: how many events were read; texts that others share count for all of them.
        left_out: how many more would have been read but for `MOST`.
        missing: why texts were not read → of how many events.
    """

    pieces: pl.DataFrame
    texts: pl.Series
    read: int = 0
    left_out: int = 0
    missing: Mapping[str, int] | None = None

    @property
    def limits(self) -> dict[str, object]:
        """What was not read, as parameters of a finding."""
        said: dict[str, object] = {"texts_read": self.read}
        if self.left_out:
            said["texts_left_out"] = f"{self.left_out} events beyond {MOST}"
        for n, (why, count) in enumerate(sorted((self.missing or {}).items()), 1):
            said[f"texts_missing_{n}"] = f"{count} events: {why}"
        return said

    def of(self, *conditions: pl.Expr) -> pl.DataFrame:
        """`pieces` that meet the conditions."""
        return self.pieces.filter(*conditions)

    def chosen(self, places: pl.Series) -> pl.DataFrame:
        """The distinct texts at `places`: ``text`` (the place) and ``said``, in order of place."""
        places = places.drop_nulls().unique().sort()
        return pl.DataFrame({"text": places, "said": self.texts.gather(places)})


def gather(facts: Facts) -> Contents:
    """Read the texts of the affected requests, or of all where none were named."""
    texts_of = ("input_hash", "output_hash", "documents", "attributes")
    events = facts.look("request", "event_id", "layer", "kind", *texts_of).filter(pl.col("request").is_not_null())
    if facts.affected is not None:
        events = events.filter(pl.col("request").is_in(facts.affected.requests.implode()))
    of = ["request", "event_id", "layer", "kind"]
    sides = [
        events.filter(pl.col(f"{side}_hash").is_not_null()).select(
            *of,
            side=pl.lit(side),
            document=pl.lit(None, pl.String),
            key=pl.format("{} {}", pl.lit(side), f"{side}_hash"),
        )
        for side in ("input", "output")
    ]
    listed = (
        events.select(*of, "documents").explode("documents", empty_as_null=False).unnest("documents", separator=".")
    )
    hashed = listed.filter(pl.col("documents.hash").is_not_null()).select(
        *of, side=pl.lit("passage"), document="documents.id", key=pl.format("passage {}", "documents.hash")
    )
    texts = _Texts()
    asked = [_asked(events.select(*of, "attributes"), name, of, texts) for name in ASKED]
    long = pl.concat([*sides, hashed])
    # A text that many events share is read from the first that holds it.
    first = long.unique("key", keep="first", maintain_order=True)
    ids = events.join(first.select("event_id").unique(), on="event_id", how="semi")["event_id"]
    wanted = ids.head(MOST)
    known = facts.texts(wanted.to_list()) if facts.texts is not None else {}
    hashes = events.filter(pl.col("event_id").is_in(wanted.implode())).select(
        "event_id",
        "input_hash",
        "output_hash",
        hashes=pl.col("documents").list.eval(pl.element().struct.field("hash").drop_nulls()),
    )
    places, guessed, missing = texts.read(hashes, known)
    pieces = [long.join(places, on="key", how="inner", maintain_order="left").drop("key"), *asked]
    if guessed.height:
        outputs = long.filter((pl.col("side") == "output") & (pl.col("layer") == "retrieval")).drop("document")
        more = outputs.join(guessed, on="key", how="inner", maintain_order="left")
        pieces.append(more.select(*of, side=pl.lit("passage"), document="document", text="text"))
    order = events.select("event_id").with_row_index("place")
    every = pl.concat([one.select(PIECES.names()).cast(PIECES) for one in pieces])
    every = every.join(order, on="event_id", how="left", maintain_order="left")
    every = every.sort("place", maintain_order=True).drop("place")
    read = sum(not one.missing for one in known.values())
    return Contents(every, texts.series(), read, ids.len() - wanted.len(), missing)


def _asked(events: pl.DataFrame, name: str, of: list[str], texts: _Texts) -> pl.DataFrame:
    said = events.with_columns(said=pl.col("attributes").map.get(name)).filter(pl.col("said").str.contains(r"\S"))
    distinct = said["said"].unique(maintain_order=True)
    places = pl.Series([texts.place(one) for one in distinct.to_list()], dtype=pl.Int64)
    known = pl.DataFrame({"said": distinct, "text": places}, schema={"said": pl.String, "text": pl.Int64})
    found = said.join(known, on="said", how="left", maintain_order="left")
    return found.select(*of, side=pl.lit("asked"), document=pl.lit(None, pl.String), text="text")


class _Texts:
    """Distinct texts, in the order in which they were met."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        return self._places.setdefault(text, len(self._places))

    def series(self) -> pl.Series:
        return pl.Series("text", list(self._places), dtype=pl.String)

    def read(
        self, hashes: pl.DataFrame, known: Mapping[str, Texts]
    ) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
        """Place what was read.

        Returns:
            key and place of each text that a hash names; key, document and place of passages that no hash names (the
            key is that of the output that holds them); reasons why texts were not read, with counts.
        """
        places: dict[str, int] = {}
        guessed: list[tuple[str, str | None, int]] = []
        missing: dict[str, int] = {}
        for name, input_hash, output_hash, documents in hashes.iter_rows():
            one = known.get(name)
            if one is None or one.missing:
                why = "not at hand" if one is None else one.missing
                missing[why] = missing.get(why, 0) + 1
                continue
            if input_hash is not None and one.input.strip():
                places.setdefault(f"input {input_hash}", self.place(one.input))
            if output_hash is not None and one.output.strip():
                places.setdefault(f"output {output_hash}", self.place(one.output))
            filled = [(document, text) for document, text in one.passages if text.strip()]
            if documents and len(documents) == len(filled):
                for key, (_, text) in zip(documents, filled, strict=True):
                    places.setdefault(f"passage {key}", self.place(text))
            elif output_hash is not None:
                guessed += [(f"output {output_hash}", doc or None, self.place(text)) for doc, text in filled]
        told = pl.DataFrame({"key": list(places), "text": list(places.values())}, schema=_PLACES)
        return (
            told,
            pl.DataFrame(guessed, schema={"key": pl.String, "document": pl.String, "text": pl.Int64}, orient="row"),
            missing,
        )
