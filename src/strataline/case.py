"""The case: what a reconstruction gives, in memory and as a folder that can be verified.

A folder holds ``manifest.json``, one Parquet file per table, ``timeline.md``, and ``inputs.local.json``, which alone
says where the inputs were on this machine and is outside of identity, digests and exports.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

import polars as pl

from strataline import rows
from strataline.errors import CaseError, InputError
from strataline.event import CHANGES, CONTRASTS, EVENTS, FINDINGS, LINKS, TABLES, address, narrow, only, utc
from strataline.export import parquet
from strataline.scratch import Scratch

# A case is opened in order to look at little of it: each method imports the rooms that it needs.
if TYPE_CHECKING:
    import pyarrow as pa

    from strataline.evidence import Evidence
    from strataline.examine import Affected, Check, Examined, Facts, Texts
    from strataline.export import notebook
    from strataline.export.targets import Exported
    from strataline.read import Input
    from strataline.report.draft import Draft, Redaction
    from strataline.texts import Reader

MANIFEST = "manifest.json"
INPUTS = "inputs.local.json"
KIND = "strataline"
"""Key of the manifest that says what the folder is; its value is ``case``."""

HOLDERS = ("tar", "zip", "sqlite", "parquet", "arrow")
"""Containers whose bytes are not those of records: their members, tables or rows are counted instead."""

SPOOLED = "stdin"
"""The source that standard input is, and its copy in a case."""

_LINE = re.compile(r"(?P<source>.+):(?P<line>[0-9]{1,18})(?:#(?P<item>[0-9]{1,18}))?", re.DOTALL)
"""How chains name a record."""

_FEW = 3
"""Names that are looked for before all ids are worth reading."""

_HASH = re.compile(r"[0-9a-f]{32}")
"""What an event's id looks like."""

TIMELINE = "timeline.md"
LIMIT = 200


class Case:
    """The tables of a reconstruction. Tables are ``pyarrow.Table``; their columns are in ``docs/tables.md``.

    Args:
        frames: table name → frame; those of a case that was opened are read when they are asked for.
        manifest: what was read, with which options.
        inputs: source → where it lies on this machine; what lies in archives is reached through them. Or what gives
            these when they are first asked for.
        covered: `examine.coverage` of all that was read, where the tables hold a part of it.
        scratch: holds what came by standard input; it goes when the case does.
    """

    def __init__(
        self,
        frames: Mapping[str, pl.DataFrame],
        manifest: Mapping[str, Any],
        inputs: Mapping[str, Input] | Callable[[], Mapping[str, Input]],
        covered: pl.DataFrame | None = None,
        *,
        scratch: Scratch | None = None,
    ) -> None:
        self._frames = frames if isinstance(frames, parquet.Stored) else dict(frames)
        self.manifest = dict(manifest)
        self._inputs = inputs
        self._covered = covered
        self._last: Facts | None = None
        self._looked_for: dict[str, pl.Series] = {}
        self._scratch = scratch

    @property
    def frames(self) -> Mapping[str, pl.DataFrame]:
        """Table name → frame, to be read: what was computed of the tables is kept. Other tables make another case."""
        return self._frames if isinstance(self._frames, parquet.Stored) else MappingProxyType(self._frames)

    @cached_property
    def _evidence(self) -> Evidence:
        from strataline.evidence import Evidence

        return Evidence(self._frames, self.manifest, self._inputs)

    @property
    def inputs(self) -> dict[str, Input]:
        """Source → where it lies on this machine."""
        return self._evidence.inputs

    @cached_property
    def events(self) -> pa.Table:
        """Everything that the records say happened, in order of corrected time."""
        return self._arrow("events")

    @cached_property
    def requests(self) -> pa.Table:
        """The requests, in order of start."""
        return self._arrow("requests")

    @cached_property
    def links(self) -> pa.Table:
        """Why each event stands where it does."""
        return self._arrow("links")

    @cached_property
    def clocks(self) -> pa.Table:
        """The clock domains."""
        return self._arrow("clocks")

    @cached_property
    def sources(self) -> pa.Table:
        """The inputs, and where every one of their bytes went."""
        return self._arrow("sources")

    @cached_property
    def rejects(self) -> pa.Table:
        """The records that could not become events."""
        return self._arrow("rejects")

    @cached_property
    def notes(self) -> pa.Table:
        """Every guess, refusal, recovery and limit."""
        return self._arrow("notes")

    @cached_property
    def findings(self) -> pa.Table:
        """The checks that fired, found nothing, or could not run, without an affected set; see `examine`."""
        return FINDINGS.to_arrow(self.examine().findings)

    def _arrow(self, name: str) -> pa.Table:
        table = next(one for one in TABLES if one.name == name)
        return table.to_arrow(self.frames[name])

    def which(self, name: str) -> list[str]:
        """The requests that `name` means, in order of start.

        Args:
            name: any id that an event of the request carries, as written or in another spelling of the same hex; a
                request's own id (or its first 8 characters or more); an event id; a session or a user.

        Returns:
            One request for an id that names one; all requests of a session or user; none if nothing is tied to it.
        """
        requests = narrow(self.frames, "requests", ("request",))
        own = requests.filter(pl.col("request") == name)
        if own.is_empty() and re.fullmatch(r"[0-9a-f]{8,31}", name):
            own = requests.filter(pl.col("request").str.starts_with(name))
        if own.is_empty():
            own = requests.filter(pl.col("request").is_in(self._carrying(name).drop_nulls().unique().implode()))
        return own["request"].to_list()

    def _carrying(self, name: str) -> pl.Series:
        """The requests (null: none) of the events that carry `name`, or are called so; each event once or more.

        One name is looked for in the file. Who asks for several asks for many: then all ids are read, once.
        """
        if name not in self._looked_for:
            if len(self._looked_for) < _FEW:
                found = only(self.frames, "events", carried(name), ("request",))
            else:
                found = self._ids.filter(_spelled(pl.col("value"), name) | (pl.col("event_id") == name))
            self._looked_for[name] = found["request"]
        return self._looked_for[name]

    @cached_property
    def _ids(self) -> pl.DataFrame:
        """Each id of each event: event_id, request, kind, value, role; of an event without one, these null."""
        return narrow(self.frames, "events", ("event_id", "request", "ids")).explode("ids").unnest("ids")

    def carries(self, name: str) -> pl.DataFrame:
        """The events (as in ``events``) that carry `name`, tied to a request or not."""
        if self._carrying(name).is_empty():
            return EVENTS.empty()
        return only(self.frames, "events", carried(name, itself=False))

    def records_of(self, name: str) -> pl.DataFrame:
        """The event (as in ``events``) or reject (as in ``rejects``) that `name` means, one row.

        Args:
            name: an event id, or its first 8 characters or more; or ``SOURCE@OFFSET``, or ``SOURCE:LINE`` (``#n``
                behind it: the n-th element) as chains show it. Of several events of one record, the first.

        Raises:
            CaseError: if it means none, or several records.
        """
        found = EVENTS.empty()
        if len(name) >= 8:
            found = only(self.frames, "events", pl.col("event_id").str.starts_with(name))
        source, at_sign, offset = name.rpartition("@")
        if found.is_empty() and at_sign and offset.isdecimal():
            found = self._first_at((pl.col("source") == source) & (pl.col("offset") == int(offset)))
        line = _LINE.fullmatch(name)
        if found.is_empty() and line is not None:
            there = (pl.col("source") == line["source"]) & (pl.col("line") == int(line["line"]))
            found = self._first_at(there & (pl.col("item") == int(line["item"] or 0)))
        if found.is_empty():
            hint = "an event id, as the tables have it, SOURCE:LINE, as chains show it, or SOURCE@OFFSET"
            raise CaseError(f"no event or reject is called {name!r}", hint=hint)
        if found.height > 1:
            raise CaseError(f"{name!r} begins {found.height} event ids", hint="give more of its characters")
        return found

    def _first_at(self, there: pl.Expr) -> pl.DataFrame:
        """The first event, else the first reject, else no event, of which `there` holds."""
        tables = (only(self.frames, name, there) for name in ("events", "rejects"))
        return next((one for one in tables if one.height), EVENTS.empty()).head(1)

    def timeline(self, name: str) -> pa.Table:
        """The events of the one request that `name` means, in order (as in ``events``).

        Raises:
            CaseError: if it means none, or several.
        """
        return EVENTS.to_arrow(self.request_events(name))

    def request_events(self, name: str) -> pl.DataFrame:
        """As `timeline`, as a Polars frame."""
        found = self.which(name)
        if len(found) != 1:
            if not found:
                lone = self.carries(name).height
                hint = f"{lone} events carry it and are tied to no request" if lone else "strataline find CASE --text …"
                raise CaseError(f"no request is known by {name!r}", hint=hint)
            listed = ", ".join(one[:12] for one in found[:5])
            raise CaseError(f"{name!r} names {len(found)} requests: {listed}{', …' if len(found) > 5 else ''}")
        return self.events_of(found).sort("seq")

    def events_of(self, requests: Iterable[str]) -> pl.DataFrame:
        """The events (as in ``events``) of `requests`, in the order of the table."""
        return only(self.frames, "events", pl.col("request").is_in(list(requests)))

    def chain(self, name: str) -> list[dict[str, Any]]:
        """The events of the one request that `name` means, in order, as plain texts and numbers.

        Each has seq, time (corrected, UTC; null where it states none), layer, kind, name, address (``source:line``),
        link_method and order_basis.

        Raises:
            CaseError: as `timeline`.
        """
        rows = self.request_events(name).select(
            "seq",
            pl.col("corrected_time").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").alias("time"),
            "layer",
            "kind",
            "name",
            address().alias("address"),
            "link_method",
            "order_basis",
        )
        return rows.to_dicts()

    def find(
        self,
        text: str | None = None,
        user: str | None = None,
        at: datetime | None = None,
        within: timedelta = timedelta(minutes=1),
    ) -> pl.DataFrame:
        """Events that match everything given, in the order of ``events``.

        Args:
            text: words that the record holds, in this order, letter case and white space apart. The whole records
                are searched where the inputs are at hand; the excerpts alone where they are not.
            user: user or session.
            at: a moment (UTC); events within `within` of it, by corrected or observed time.
            within: see `at`.

        Raises:
            InputError: if the text holds no word.
        """
        wanted = []
        if user is not None:
            wanted.append((pl.col("user") == user) | (pl.col("session") == user))
        if at is not None:
            try:
                at = utc(at, "at")
            except InputError:
                # No table holds such a time: nothing is near it.
                return EVENTS.empty()
            near = [(pl.col(name) - at).abs() <= within for name in ("corrected_time", "observed_time")]
            wanted.append(pl.any_horizontal(*(one.fill_null(value=False) for one in near)))
        found = only(self.frames, "events", pl.all_horizontal(wanted)) if wanted else self.frames["events"]
        if text is not None:
            found = self._evidence.holding(found, text)
        return found

    def evidence(self, rows: pl.DataFrame) -> list[bytes | None]:
        """The bytes of each record, read from its input; null where the input is not at hand.

        Args:
            rows: of ``events`` or ``rejects``. Of a row of a table, the JSON object that it was read as.

        Raises:
            InputError: if an input is not what it was.
        """
        return self._evidence.records(rows)

    def at_hand(self, source: str) -> Input | None:
        """Where to read `source`; null if its file is not at hand."""
        return self._evidence.at_hand(source)

    @property
    def gone(self) -> list[str]:
        """The files of which nothing can be read again: not at hand, or not what was read."""
        return self._evidence.gone

    def markdown(self, limit: int | None = LIMIT, requests: Sequence[str] | None = None) -> str:
        """The timeline as Markdown: what was read, coverage, then up to `limit` requests.

        Args:
            limit: how many requests are shown; null for all.
            requests: ids of those that are shown; null for any.
        """
        from strataline.export import markdown

        return markdown.timeline(self.frames, self._coverage(), self.manifest, limit, requests)

    def export(
        self, to: str, out: str | os.PathLike[str] | BinaryIO, requests: Sequence[str] | None = None
    ) -> Exported:
        """Write the events, or those of some requests, for another tool (``docs/exports.md``).

        Args:
            to: parquet, jsonl, csv, markdown, timesketch, timesketch-csv, perfetto or otlp.
            out: a file, by its name, or open for writing bytes.
            requests: ids of requests, as `which` gives them; null for all events, tied to a request or not.

        Returns:
            How many events were written, and how many were left out, by reason.

        Raises:
            CaseError: if `to` is none of these.
        """
        from strataline.export import targets

        if isinstance(out, (str, os.PathLike)):
            with Path(out).open("wb") as file:
                return self.export(to, file, requests)
        if to == "markdown":
            out.write(self.markdown(None, requests).encode())
            request = narrow(self.frames, "events", ("request",))["request"]
            if requests is not None:
                return targets.Exported(int(request.is_in(list(requests)).sum()), {})
            lone = request.null_count()
            return targets.Exported(len(request) - lone, {"of no request": lone} if lone else {})
        if to not in targets.TARGETS:
            raise CaseError(f"no such target: {to}", hint=", ".join((*targets.TARGETS, "markdown")))
        return targets.export(self.frames, to, out, requests)

    def show(self, name: str) -> notebook.Shown:
        """The one request that `name` means, to look at: as text, or as a table in a notebook.

        Raises:
            CaseError: as `timeline`.
        """
        from strataline.export import notebook

        events = self.request_events(name)
        request = self.frames["requests"].filter(pl.col("request") == events["request"][0])
        return notebook.Shown(rows.chains(request, events, self.links_of(events))[0])

    def _repr_html_(self) -> str:
        from strataline.export import notebook

        return notebook.case(self.summary(), self.frames["requests"])

    def html(
        self,
        examined: Examined,
        *,
        limit: int = LIMIT,
        title: str = "Incident record",
        redaction: Redaction | None = None,
        draft: Draft | None = None,
    ) -> str:
        """One offline page of the case and an examination of it; see `export.html.page`.

        Args:
            examined: what `examine` gave.
            limit: how many requests are drawn; the page says how many it leaves out.
            title: heading of the page.
            redaction: how log text is redacted; by default not at all.
            draft: the draft that the page is to hold too, as `report` gave it.
        """
        from strataline.export import html

        doubts = self.facts().look("event_id", "doubt")
        tables = {**self.frames, "coverage": self._coverage(), "doubts": doubts}
        return html.page(
            tables,
            self.manifest,
            examined,
            limit=limit,
            title=title,
            redact=html.unredacted if redaction is None else redaction.of,
            draft=None if draft is None else (draft.text, draft.claims["evidence"]),
        )

    def _coverage(self) -> pl.DataFrame:
        from strataline.examine import coverage

        return (
            coverage(narrow(self.frames, "events", ("layer", "source", "request", "corrected_time")))
            if self._covered is None
            else self._covered
        )

    def summary(self) -> dict[str, Any]:
        """The figures of the case, as plain numbers and texts (what ``--json`` prints)."""
        sources, requests = self.frames["sources"], self.frames["requests"]
        events = narrow(self.frames, "events", ("layer", "request", "link_method", "event_time"))
        rejects = self.frames["rejects"].group_by("reason").len().sort("reason")
        per_layer = (
            events.group_by("layer")
            .agg(pl.len().alias("events"), pl.col("request").count().alias("linked"))
            .sort("layer")
        )
        unknown = self.frames["rejects"].filter(pl.col("reason") == "unrecognised_format")
        assumed = sources.filter(pl.col("zone_basis") == "assumed")["source"].to_list()
        return {
            "version": self.manifest["version"],
            "sources": sources.height,
            "bytes": int(sources.filter(pl.col("within").is_null())["bytes"].sum()),
            "lines": int(sources["lines"].sum()),
            "records": int(sources["records"].sum()),
            "with_events": int(sources["with_events"].sum()),
            "rejected": int(sources["rejected"].sum()),
            "skipped": int(sources["skipped"].sum()),
            "recovered": int(sources["recovered"].sum()),
            "rejects_by_reason": dict(rejects.iter_rows()),
            "events": events.height,
            "requests": requests.height,
            "requests_by_kind": dict(requests.group_by("kind").len().sort("kind").iter_rows()),
            "layers": {layer: {"events": count, "linked": tied} for layer, count, tied in per_layer.iter_rows()},
            "linked_by": dict(
                events.filter(pl.col("request").is_not_null())
                .group_by("link_method")
                .len()
                .sort("link_method")
                .iter_rows()
            ),
            "candidates_only": rows.loose(self.frames),
            "clocks_moved": self.frames["clocks"].filter(pl.col("offset_ns") != 0)["clock"].n_unique(),
            "zones_assumed": assumed,
            "unrecognised": unknown["source"].unique().sort().to_list(),
            "unreadable": sources.filter(pl.col("container") == "unreadable")["source"].to_list(),
            "first_time": _iso(events["event_time"].min()),
            "last_time": _iso(events["event_time"].max()),
        }

    def write(self, folder: str | os.PathLike[str], *, limit: int = LIMIT, overwrite: bool = False) -> Path:
        """Write the case as a folder: beside, then renamed into place, so that a crash leaves no half case.

        Args:
            folder: where; its parent is made if it is not there.
            limit: how many requests ``timeline.md`` shows.
            overwrite: whether a case that is already there gives way. What is no case never does.

        Raises:
            CaseError: if something is there that may not give way, or the folder cannot be written.
        """
        target = Path(os.path.abspath(folder))  # noqa: PTH100 - links stay as they were given
        refuse_to_replace(target, overwrite=overwrite)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as beside:
                made, old = Path(beside) / "made", Path(beside) / "old"
                made.mkdir()
                self._fill(made, limit)
                if target.exists():
                    target.rename(old)
                try:
                    made.rename(target)
                except OSError:
                    if old.exists():
                        old.rename(target)
                    raise
        except OSError as problem:
            at = problem.filename or str(target)
            raise CaseError(f"cannot write: {problem.strerror or problem}", path=str(at)) from problem
        return target

    def _fill(self, folder: Path, limit: int) -> None:
        from strataline.evidence import digest

        digests = {}
        for table in TABLES:
            file = folder / f"{table.name}.parquet"
            if isinstance(self.frames, parquet.Stored):
                self.frames.write(table, file)
            else:
                parquet.write(table, self.frames[table.name], file)
            digests[file.name] = digest(file.open("rb"))
        (folder / TIMELINE).write_text(self.markdown(limit), encoding="utf-8")
        digests[TIMELINE] = digest((folder / TIMELINE).open("rb"))
        manifest = {**self.manifest, "files": digests}
        (folder / MANIFEST).write_text(_json(manifest), encoding="utf-8")
        places = {source: one.place for source, one in sorted(self.inputs.items())}
        if SPOOLED in places:
            shutil.copyfile(places[SPOOLED], folder / SPOOLED)
            places[SPOOLED] = SPOOLED
        # ASCII alone: the name of a file need not be text.
        (folder / INPUTS).write_text(json.dumps(places, indent=1) + "\n", encoding="ascii")

    @classmethod
    def open(cls, folder: str | os.PathLike[str], inputs: str | os.PathLike[str] | None = None) -> Case:
        """Open a case folder.

        Args:
            folder: the case.
            inputs: where the inputs are now, if not where they were.

        Raises:
            CaseError: if the folder is no case, or a table of it cannot be read; a table is read when it is first
                asked for, and what only then shows is said then.
        """
        path = Path(folder)
        manifest = read_manifest(path)
        return cls(parquet.Stored(path, TABLES), manifest, _places(path, manifest, inputs))

    def verify(self, folder: str | os.PathLike[str]) -> list[str]:
        """Hash the files of the case and its inputs again, and count its records again.

        Returns:
            What does not agree, as sentences; nothing if all does.
        """
        from strataline.evidence import digest

        digests = self.manifest.get("files")
        digests = digests if isinstance(digests, dict) else {}
        written = {TIMELINE, *(f"{table.name}.parquet" for table in TABLES)}
        wrong = [f"{name}: the manifest has no digest of it" for name in sorted(written - set(digests))]
        for name, known in sorted(digests.items()):
            file = Path(folder) / name
            if not file.is_file():
                wrong.append(f"{name}: is not there")
            elif digest(file.open("rb")) != known:
                wrong.append(f"{name}: its content is not what was written")
        return wrong + self._evidence.verify() + self._uncounted()

    def _uncounted(self) -> list[str]:
        """Where records or bytes do not add up."""
        sources = self.frames["sources"]
        wrong = []
        for row in sources.iter_rows(named=True):
            if row["records"] != row["with_events"] + row["rejected"] + row["skipped"]:
                wrong.append(f"input {row['source']}: records are not with_events + rejected + skipped")
            cut = (row["record_bytes"], row["separator_bytes"])
            if None not in cut and row["stream_bytes"] != sum(cut):
                wrong.append(f"input {row['source']}: bytes are not record_bytes + separator_bytes")
        rejected = dict(self.frames["rejects"].group_by("source").len().iter_rows())
        wrong += [
            f"input {source}: {count} rejected, {rejected.get(source, 0)} in the table"
            for source, count in sources.select("source", "rejected").iter_rows()
            if rejected.get(source, 0) != count
        ]
        return wrong

    def why(self, name: str) -> dict[str, Any]:
        """Why an event is in its request, or in none, as plain numbers and texts (what ``strataline why`` prints).

        Args:
            name: the event, as `records_of` takes it.

        Returns:
            event, request, request_kind, opened, status (OBS, DER, INF, UNK), method, confidence, way (the links to the
            opening event), runner_up, candidates (of an event of no request), and as sentences why and otherwise (what
            would have changed it). They hold log text as it is.

        Raises:
            CaseError: if it means no event, or several.
        """
        from strataline.export import why

        found = self.records_of(name)
        if "event_id" not in found.columns:
            row = found.row(0, named=True)
            hint = f"it became no event: {row['reason']}; strataline rejects lists such records"
            raise CaseError(f"{name!r} is a rejected record", hint=hint)
        place = found.row(0, named=True)
        if not place["event_id"].startswith(name):
            same = [pl.col(key) == place[key] for key in ("source", "offset", "item")]
            there = only(self.frames, "events", pl.all_horizontal(same)).sort("index")
            if there.height > 1:
                listed = ", ".join(f"{one} {kind}" for one, kind in there.select("event_id", "kind").iter_rows())
                raise CaseError(f"{there.height} events are of {name!r}", hint=f"name one by its id: {listed}")
        return why.explain(self.frames, self.manifest.get("options") or {}, place["event_id"])

    def facts(
        self,
        affected: Affected | None = None,
        declared: Mapping[str, object] | None = None,
        *,
        content: bool = False,
        formats: Iterable[str | os.PathLike[str]] = (),
    ) -> Facts:
        """The tables as rules look at them; see `examine.Facts`. With `content`, texts too; see `texts`."""
        from strataline.examine import Facts

        texts = self._reader(formats) if content else None
        if self._last is None:
            return Facts(self._frames, affected, declared or {}, texts)
        return self._last.about(affected, declared or {}, texts)

    def examine(
        self,
        affected: Affected | None = None,
        *,
        checks: Iterable[Check] | None = None,
        declared: Mapping[str, object] | None = None,
        feed: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = (),
        signalled: datetime | None = None,
        mitigated: datetime | None = None,
        content: bool = False,
        formats: Iterable[str | os.PathLike[str]] = (),
    ) -> Examined:
        """Run checks over the tables; tell what changed, what was different, and whom it reached.

        Args:
            affected: the affected set and what it is compared with; checks that need one say so without it.
            checks: which; null for every check that is shipped.
            declared: what the team declared of its product.
            feed: files with changes from elsewhere: JSON lines, CSV, or what ``git log --format='%cI %h %s'`` prints.
            signalled: when the team first knew, as somebody says.
            mitigated: when the mitigation took effect, as somebody says.
            content: whether checks may read texts, and so the inputs.
            formats: see `texts`.

        Raises:
            InputError: if a feed cannot be read, or no log has such a time.
            FormatError: if a format cannot be loaded.
        """
        from strataline.examine import CHECKS, examine

        files = [feed] if isinstance(feed, str | os.PathLike) else list(feed)
        read_ = pl.concat([_feed(Path(file)) for file in files]) if files else None
        facts = self.facts(affected, declared, content=content, formats=formats)
        self._last = facts
        return examine(
            facts,
            CHECKS if checks is None else checks,
            feed=read_,
            signalled=None if signalled is None else utc(signalled, "signalled"),
            mitigated=None if mitigated is None else utc(mitigated, "mitigated"),
        )

    def report(
        self,
        found: Examined,
        redaction: Redaction | None = None,
        earlier: Mapping[str, Any] | None = None,
        *,
        content: bool = False,
        options: Iterable[tuple[str, str]] = (),
        formats: Iterable[str | os.PathLike[str]] = (),
    ) -> Draft:
        """Draft a postmortem of what an examination of this case found.

        Args:
            found: what `examine` gave.
            redaction: how log text is redacted; by default not at all.
            earlier: the sidecar of an earlier draft, whose numbers of evidence stay.
            content: whether the examination was asked to read whole texts.
            options: what was asked for, as (name, value): the draft names it.
            formats: see `texts`.

        Raises:
            FormatError: if a format cannot be loaded.
            InputError: if an input cannot be read.
        """
        from strataline.examine import dimensions
        from strataline.report.draft import draft
        from strataline.report.material import Material

        # What was computed of the tables for the examination is not computed again.
        last = self._last
        facts = last if last is not None and last.affected is found.affected else self.facts(found.affected)
        folders = list(formats)
        material = Material(
            examined=found,
            frames=self._frames,
            look=facts.look,
            values=facts.once(dimensions.dimensions),
            coverage=self._coverage(),
            version=self.manifest["version"],
            texts=lambda event_ids: self.texts(event_ids, folders),
            records=self._evidence.records_at_hand,
            gone=self.gone,
            options=list(options),
            content=content,
        )
        return draft(material, redaction, earlier)

    def texts(self, event_ids: Iterable[str], formats: Iterable[str | os.PathLike[str]] = ()) -> dict[str, Texts]:
        """The whole texts of events, read from their records.

        Args:
            event_ids: which.
            formats: folders of the formats that the case was made with and that are not shipped; loading a format runs
                its file.

        Returns:
            Event id → its texts. Where they cannot be read (an input that is not at hand or not what it was, a format
            that is not at hand, a text of another hash), its ``missing`` says why.

        Raises:
            FormatError: if a format cannot be loaded.
            InputError: if an input cannot be read.
        """
        return self._reader(formats)(event_ids)

    def _reader(self, formats: Iterable[str | os.PathLike[str]]) -> Reader:
        from strataline.texts import Reader

        return Reader(self._frames, self.manifest, self._evidence, [Path(folder) for folder in formats])

    def runnable(
        self, checks: Iterable[Check] | None = None, declared: Mapping[str, object] | None = None
    ) -> pl.DataFrame:
        """What each check could do here, as `event.FINDINGS`: of those that compare, with half of the requests.

        So that a missing affected set hides no missing field.
        """
        from strataline.examine import CHECKS, Affected, run

        asked = self.facts().requests["request"]
        halves = Affected(asked.gather_every(2), asked.gather_every(2, 1), ("every second request",))
        return run(self.facts(halves, declared), CHECKS if checks is None else checks).findings

    def affected(
        self,
        selectors: str | os.PathLike[str] | Iterable[str],
        *,
        baseline: str | Iterable[str] = "others",
        chosen_by: str | None = None,
        checks: Iterable[Check] | None = None,
        declared: Mapping[str, object] | None = None,
    ) -> Affected:
        """Choose the affected requests and those they are compared with; see `examine.affected`.

        Args:
            selectors: one or several: ids, filters, ``time:…``, ``text:…``, ``check:…``, ``sql:…``; ``@FILE`` is a file
                with one selector a line (empty lines and such that begin with ``#`` apart).
            baseline: others, before, same-window, or selectors.
            chosen_by: who chose the set.
            checks: of what ``check:…`` may name; null for every check that is shipped.
            declared: what the team declared of its product, for such checks.

        Raises:
            InputError: if a selector cannot be read, an id is not known, or nothing is selected.
        """
        from strataline.examine import CHECKS, affected

        known = list(CHECKS if checks is None else checks)
        facts = self.facts(None, declared)
        self._last = facts

        def find(text: str) -> list[str]:
            return self.find(text)["request"].drop_nulls().unique().to_list()

        def held(name: str) -> list[str]:
            return affected.hits(facts, known, name)

        rule = baseline if isinstance(baseline, str) and baseline in affected.BASELINES else _selectors(baseline)
        named = _selectors(selectors)
        return affected.select(
            facts, named, which=self.which, find=find, check=held, baseline=rule, chosen_by=chosen_by
        )

    def changes(self, feed: str | os.PathLike[str] | None = None) -> pa.Table:
        """What was changed, or seen to change, in order of time (`event.CHANGES`).

        Args:
            feed: a file with changes from elsewhere: JSON lines, CSV, or what ``git log --format='%cI %h %s'`` prints.

        Raises:
            InputError: if the feed cannot be read.
        """
        from strataline.examine import Facts, changes

        return CHANGES.to_arrow(changes.changes(Facts(self._frames), None if feed is None else _feed(Path(feed))))

    def contrasts(self, chosen: Affected) -> pa.Table:
        """What affected requests have more or less often than those they are compared with (`event.CONTRASTS`)."""
        from strataline.examine import Facts, dimensions

        return CONTRASTS.to_arrow(dimensions.contrasts(Facts(self._frames, chosen)))

    def clock_offsets(self) -> dict[str, Any]:
        """How far each clock is ahead of the reference, as plain numbers and texts (``strataline clocks --json``)."""
        from strataline.export import clocks

        return clocks.listed(self.frames)

    def links_of(self, events: pl.DataFrame) -> pl.DataFrame:
        """The links (as in ``links``) that begin at one of `events`."""
        return self._links(events["event_id"])

    def links_about(self, requests: Iterable[str], events: pl.DataFrame) -> pl.DataFrame:
        """The links (as in ``links``) of `events`, and all those of events that might belong to one of `requests`."""
        near = only(self.frames, "links", pl.col("to_request").is_in(list(requests)), ("from_event",))
        return self._links(pl.concat([events["event_id"], near["from_event"]]).unique())

    def _links(self, events: pl.Series) -> pl.DataFrame:
        return LINKS.conform(only(self.frames, "links", pl.col("from_event").is_in(events.implode())))


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the case in `folder`.

    Raises:
        CaseError: if the folder is no case.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except OSError as problem:
        hint = "strataline reconstruct LOGS -o CASE makes one"
        raise CaseError("not a case: no manifest.json that can be read", path=str(folder), hint=hint) from problem
    except ValueError as problem:
        raise CaseError(f"the manifest is no JSON: {problem}", path=str(folder / MANIFEST)) from problem
    if not isinstance(manifest, dict) or manifest.get(KIND) != "case":
        raise CaseError("not a case: its manifest is of something else", path=str(folder / MANIFEST))
    return manifest


def carried(name: str, *, itself: bool = True) -> pl.Expr:
    """Whether an event carries the id `name`, or is `itself` called so.

    The role does not matter: a session may be sent as a trace id too.
    """
    among = pl.col("ids").list.eval(_spelled(pl.element().struct.field("value"), name)).list.any()
    among = among.fill_null(value=False)
    # A column of hashes takes a while to read: it is asked for what may be one.
    return among | (pl.col("event_id") == name) if itself and _HASH.fullmatch(name) else among


def _places(
    folder: Path, manifest: Mapping[str, Any], inputs: str | os.PathLike[str] | None
) -> Callable[[], dict[str, Input]]:
    """What gives the places of inputs when it is called; a folder of inputs that is not there is said at once."""
    root = None if inputs is None else Path(inputs)
    if root is not None and not root.is_dir():
        raise InputError("no such folder of inputs", path=str(root))

    def places() -> dict[str, Input]:
        from strataline.read import Input

        if root is not None:
            names = [one["source"] for one in manifest.get("inputs", []) if one.get("within") is None]
            found = {name: Input(name, root / name) for name in names}
            if SPOOLED in found and not (root / SPOOLED).is_file():
                found[SPOOLED] = Input(SPOOLED, folder / SPOOLED)
            return found
        try:
            known = json.loads((folder / INPUTS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if not isinstance(known, dict):
            return {}
        named = {source: place for source, place in known.items() if isinstance(place, str)}
        return {
            source: Input(source, None, url=place) if "://" in place else Input(source, folder / place)
            for source, place in named.items()
        }

    return places


def refuse_to_replace(target: Path, *, overwrite: bool) -> None:
    """Refuse to write where something is that may not give way.

    Raises:
        CaseError: if `target` is there, and is no case or may not be overwritten.
    """
    if not target.exists():
        return
    try:
        manifest = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        manifest = None
    is_case = isinstance(manifest, dict) and manifest.get(KIND) == "case"
    if not (is_case and overwrite):
        hint = "--overwrite replaces a case" if is_case else "choose another folder"
        raise CaseError("something is there already", path=str(target), hint=hint)


def _feed(path: Path) -> pl.DataFrame:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the feed of changes cannot be read: {error}", path=str(path)) from error
    from strataline.examine import changes

    return changes.read_feed(text, path.name)


def _selectors(given: str | os.PathLike[str] | Iterable[str]) -> list[str]:
    """`given` as selectors, with the lines of files that it names by ``@``."""
    found: list[str] = []
    for one in [given] if isinstance(given, str) else [f"@{given}"] if isinstance(given, os.PathLike) else given:
        if not one.startswith("@"):
            found.append(one)
            continue
        path = Path(one[1:])
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"the list of requests cannot be read: {error}", path=str(path)) from error
        found += [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return found


def _json(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _iso(time: object) -> str | None:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z") if isinstance(time, datetime) else None


def _spelled(value: pl.Expr, name: str) -> pl.Expr:
    """Whether an id's `value` is `name`, as written or in another spelling of the same hex (up to 128 digits)."""
    same = value == name
    plain = name.strip().lower().removeprefix("0x").replace("-", "")
    if not re.fullmatch(r"[0-9a-f]{16,128}", plain):
        return same
    # Of most values the first character tells.
    spelling = r"(?i)^\s*(?:0x)?" + "".join(f"-*{digit}" for digit in plain) + r"-*\s*$"
    return same | value.str.contains(spelling)
