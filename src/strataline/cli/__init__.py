"""The command line: arguments to one library call, and its result printed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from strataline.cli import catalogue, completion, examine, exports, html, lint, reasons, regressions, report
from strataline.cli.arguments import Chance, Duration, Moment, Offset, Size
from strataline.cli.known import LISTED, MAX_EXPAND, MAX_RECORD
from strataline.cli.terminal import (
    ASSUME_ZONE,
    CASE,
    COMPLAINT,
    ENCODINGS,
    FORCE,
    FORMATS,
    INPUTS,
    NOTHING,
    ZONES,
    dumped,
    echo,
    look,
)
from strataline.errors import StrataError
from strataline.escape import printable
from strataline.wording import count

if TYPE_CHECKING:
    from strataline.case import Case

STATUS = """
\b
Exit status: 0 done; 1 done with a complaint (an input that cannot be read, or not to
its end, or of which no record could; a record over --max-record; more rejects than
--max-rejects; a mismatch; nothing found by that id); 2 nothing written (usage, or
nothing that can be read).
"""


class _Commands(click.Group):
    """Turns what a caller can mend into a message and exit status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StrataError as problem:
            at = "" if problem.line is None else f":{problem.line}"
            where = "" if problem.path is None else f"{printable(problem.path)}{at}: "
            hint = "" if problem.hint is None else f"\n  hint: {printable(problem.hint)}"
            click.echo(f"strataline: {where}{printable(problem.message)}{hint}", err=True)
            ctx.exit(NOTHING)


@click.group(
    cls=_Commands,
    epilog=STATUS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="strataline")
def main() -> None:
    """One ordered, cross-layer timeline from the raw log exports of an AI product.

    \b
    strataline recognise logs/                what each file is, before anything is written
    strataline reconstruct logs/ -o CASE      read the logs, write the case
    strataline show CASE ID                   the chain of one request, by any of its ids
    strataline why CASE EVENT                 why an event is in its request, and how sure that is
    strataline clocks CASE                    how far each clock is off, and what that rests on
    strataline find CASE --text "…"           where a text, a user or a moment occurs
    strataline rejects CASE                   what could not be read, and what to do about it
    strataline evidence CASE EVENT            the very bytes that an event is from
    strataline examine CASE                   what checks find, what changed, what differed
    strataline doctor CASE                    which checks can run, and which field is missing
    strataline compare CASE_A CASE_B          an incident against a good day
    strataline check CASE --require F-01=0    checks as a gate: exit status 3 if not met
    strataline report CASE -o postmortem.md   the draft of a postmortem, cited line by line
    strataline lint postmortem.md             an edited draft: blame, hindsight, changed claims
    strataline html CASE -o page.html         one offline page for people who read no terminal
    strataline regressions CASE -o DIR        affected requests as tests, checks as a gate
    strataline query CASE "SELECT …"          any question to the tables, in SQL
    strataline export CASE --to FORMAT -o F   Timesketch, Perfetto, OTLP, CSV, JSONL, Parquet, Markdown
    strataline verify CASE                    whether case and inputs are what they were
    strataline formats                        every log that is known at sight
    strataline new-format LOG -o DIR          draft a format for a log that is not
    strataline check-format DIR               whether formats keep their promises
    strataline completion install             let your shell complete all of this

    It says what the records show. Who is accountable, which remedy to choose and what anyone meant stay with people.
    """  # noqa: D301 - \b keeps click from folding the lines


@main.command(epilog=STATUS)
@click.argument("logs", nargs=-1, required=True, shell_complete=completion.any_path)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="CASE", help="Folder to write the case to.")
@click.option("--overwrite", is_flag=True, help="Replace the case that is there already.")
@FORMATS
@FORCE
@ZONES
@ASSUME_ZONE
@click.option(
    "--reuse-gap",
    type=Duration(),
    default="6h",
    show_default=True,
    metavar="DURATION",
    help="Two uses of one id further apart than this, by one clock, are two ids.",
)
@click.option(
    "--window",
    type=Duration(),
    default="15m",
    show_default=True,
    metavar="DURATION",
    help="Events further apart than this, by the reference clock, are not tied by content or by time.",
)
@click.option(
    "--min-confidence",
    type=Chance(),
    default=0.9,
    show_default=True,
    metavar="P",
    help="Links by content and by time that are less sure are listed and not taken; 1 means ids alone.",
)
@click.option(
    "--reference-clock",
    metavar="DOMAIN",
    help="The clock that all others are relative to.  [default: the one with most linked events]",
)
@click.option(
    "--clock",
    "clocks",
    multiple=True,
    type=Offset(),
    metavar="DOMAIN=OFFSET",
    help="How far a clock is ahead of the reference, which is then believed: 'web=+1.5s', -300ms, 5h, 1h30m."
    " strataline clocks lists the domains. Repeatable.",
)
@click.option(
    "--since",
    type=Moment(),
    metavar="TIME",
    help="Leave out requests that ended before; UTC unless it states a zone.",
)
@click.option(
    "--until",
    type=Moment(),
    metavar="TIME",
    help="Leave out requests that began after; UTC unless it states a zone.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=LISTED,
    show_default=True,
    metavar="N",
    help="How many requests timeline.md shows; the tables hold them all.",
)
@click.option(
    "--excerpts",
    type=click.Choice(["short", "none"]),
    default="short",
    show_default=True,
    help="Whether the tables hold the first 240 characters of texts.",
)
@ENCODINGS
@click.option(
    "--max-record",
    type=Size(),
    default=MAX_RECORD,
    show_default="16MiB",
    metavar="SIZE",
    help="Records longer than this become rejects.",
)
@click.option(
    "--max-expand",
    type=Size(),
    default=MAX_EXPAND,
    show_default="64GiB",
    metavar="SIZE",
    help="Bytes that one input may expand to, all that lies in it together.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many batches are parsed at once; no result depends on it.  [default: one for each core]",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep there what parsing made of each input, and read again only those that are not there, or not the same. It"
    " may be deleted at any time; it holds excerpts, as a case does.",
)
@click.option(
    "--max-rejects",
    type=click.IntRange(min=0),
    metavar="N",
    help="Exit with status 1 if there are more rejects.  [default: no limit]",
)
@click.option(
    "--show", "shown", metavar="ID", help="Print the chain of the request that ID names; then -o is not needed."
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the summary (and the chain of --show, if ID names one request) as one JSON object.",
)
def reconstruct(
    logs: tuple[str, ...],
    output: Path | None,
    overwrite: bool,
    folders: tuple[Path, ...],
    force: tuple[tuple[str, str], ...],
    zones: tuple[tuple[str, str], ...],
    assume_zone: str | None,
    reuse_gap: timedelta,
    window: timedelta,
    min_confidence: float,
    reference_clock: str | None,
    clocks: tuple[tuple[str, timedelta], ...],
    since: datetime | None,
    until: datetime | None,
    limit: int,
    excerpts: str,
    encodings: tuple[tuple[str, str], ...],
    max_record: int,
    max_expand: int,
    workers: int | None,
    cache: Path | None,
    max_rejects: int | None,
    shown: str | None,
    as_json: bool,
) -> None:
    """Read LOGS and write what they say happened as a case.

    LOGS are files, folders, quoted globs, URLs (s3://…, https://…), @LIST (a file of names), or - for standard input.
    Archives and compressed files are read as they are.

    \b
    strataline reconstruct logs/ -o CASE
    strataline reconstruct logs/ -o CASE --overwrite --formats formats/
    strataline reconstruct logs/ --show chatcmpl-6rQlB1eOOHBUhB7PT26P9sox
    zcat old/*.gz | strataline reconstruct - -o CASE
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline.cache import Cache
    from strataline.case import refuse_to_replace
    from strataline.export import text
    from strataline.reconstruct import reconstruct as reconstruct_case

    if output is None and shown is None:
        raise click.UsageError("give -o CASE to write the case, or --show ID to print one chain")
    twice = sorted({name for name, offset in clocks if dict(clocks)[name] != offset})
    if twice:
        raise click.UsageError(f"--clock names {printable(twice[0])} twice, with two offsets")
    if output is not None:
        refuse_to_replace(output, overwrite=overwrite)
    kept = None if cache is None else Cache(cache)
    with _progress(quiet=as_json) as progress:
        case = reconstruct_case(
            logs,
            formats=folders,
            force={glob: name for name, glob in force},
            zones=dict(zones),
            assume_zone=assume_zone,
            reuse_gap=reuse_gap,
            window=window,
            min_confidence=min_confidence,
            reference_clock=reference_clock,
            clocks=dict(clocks),
            since=since,
            until=until,
            excerpts=excerpts == "short",
            max_record=max_record,
            encodings=dict(encodings),
            max_expand=max_expand,
            workers=workers,
            cache=kept,
            scratch=_beside(output),
            stdin=sys.stdin.buffer,
            progress=progress,
        )
    for name in () if kept is None else kept.damaged:
        click.echo(f"strataline: {printable(name)}: its entry in the cache is damaged; it was read again", err=True)
    if output is not None:
        case.write(output, limit=limit, overwrite=overwrite)
    status = _complaints(case, max_rejects, told=as_json or shown is not None)
    if as_json:
        summary = {**case.summary(), "case": None if output is None else str(output)}
        if shown is not None:
            named = case.which(shown)
            summary["chain"] = case.chain(named[0]) if len(named) == 1 else None
            status = max(status, COMPLAINT if summary["chain"] is None else 0)
        echo(dumped(summary))
    elif shown is not None:
        status = max(status, _show(case, shown))
    else:
        echo(text.summary(case.frames, str(output), **look()))
    sys.exit(status)


@main.command(epilog=STATUS)
@CASE
@click.argument("name", metavar="ID")
@INPUTS
def show(case: Path, name: str, inputs: Path | None) -> None:
    """Print the chain of the request that ID names.

    ID is any id that one of its events carries (request, trace, call, response, message, decision, span id, …), the
    request's own id or the beginning of it. A session or a user lists its requests.

    \b
    strataline show CASE chatcmpl-6rQlB1eOOHBUhB7PT26P9sox
    strataline show CASE sess_3995c1bb04685e33
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline.case import Case

    sys.exit(_show(Case.open(case, inputs), name))


@main.command(epilog=STATUS)
@CASE
@click.option(
    "--text",
    "words",
    metavar="TEXT",
    help="Words that the record holds, in order; letter case and white space apart.",
)
@click.option("--user", metavar="USER", help="User or session.")
@click.option("--at", type=Moment(), metavar="TIME", help="A moment; UTC unless it states a zone.")
@click.option(
    "--within", type=Duration(), default="1m", show_default=True, metavar="DURATION", help="How far from --at."
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    metavar="N",
    help="How many events to print.",
)
@INPUTS
def find(
    case: Path,
    words: str | None,
    user: str | None,
    at: datetime | None,
    within: timedelta,
    limit: int,
    inputs: Path | None,
) -> None:
    """Find events by what a screenshot or a complaint holds: a text, a user, a moment.

    Whole records are searched where the inputs are at hand, and the excerpts alone where they are not.

    \b
    strataline find CASE --text 'internal courtesy code'
    strataline find CASE --user u_99706 --at 2026-11-21T23:05:31 --within 10s
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline.case import Case
    from strataline.export import text

    if words is None and user is None and at is None:
        raise click.UsageError("give at least one of --text, --user and --at")
    opened = Case.open(case, inputs)
    found = opened.find(text=words, user=user, at=at, within=within)
    if words is not None and (opened.gone or not opened.inputs):
        some = ", ".join(printable(name) for name in opened.gone[:3])
        click.echo(
            f"strataline: not all inputs are at hand as they were read ({some or 'none'}); of these only the excerpts"
            " were searched (--inputs DIR)",
            err=True,
        )
    echo(text.hits(found.head(limit), **look()))
    if found.height > limit:
        click.echo(f"{found.height - limit} more; --limit {found.height} prints all")


@main.command(epilog=STATUS)
@CASE
@INPUTS
def verify(case: Path, inputs: Path | None) -> None:
    """Hash the case's files and its inputs again, and count its records again.

    \b
    strataline verify CASE
    strataline verify CASE --inputs logs/
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline.case import Case

    opened = Case.open(case, inputs)
    wrong = opened.verify(case)
    for sentence in wrong:
        click.echo(printable(sentence))
    sources = opened.frames["sources"]
    if not wrong:
        files = count(len(opened.manifest["files"]), "file")
        records = count(int(sources["records"].sum()), "record")
        click.echo(f"verified: {count(sources.height, 'input')}, {files}, {records} accounted for")
    sys.exit(COMPLAINT if wrong else 0)


@main.command(epilog=STATUS)
@CASE
@click.option("--reason", metavar="REASON", help="List every reject of this reason.")
@click.option("--source", metavar="GLOB", help="Only those of the sources that GLOB fits.")
def rejects(case: Path, reason: str | None, source: str | None) -> None:
    """List the records that could not become events, grouped by reason, with a hint for each.

    \b
    strataline rejects CASE
    strataline rejects CASE --reason invalid_utf8 --source 'app/*'
    """  # noqa: D301 - \b keeps click from folding the lines
    import polars as pl

    from strataline.case import Case
    from strataline.export import text

    found = Case.open(case).frames["rejects"]
    if source is not None:
        found = found.filter(pl.Series([fnmatchcase(name, source) for name in found["source"]], dtype=pl.Boolean))
    if reason is not None:
        known = ", ".join(sorted(found["reason"].unique())) or "none"
        found = found.filter(pl.col("reason") == reason)
        if found.is_empty():
            raise click.UsageError(f"no reject has the reason {printable(reason)}; there are: {known}")
    echo(text.rejects(found, every=reason is not None, **look()))


@main.command(epilog=STATUS)
@CASE
@click.argument("event", metavar="EVENT")
@INPUTS
def evidence(case: Path, event: str, inputs: Path | None) -> None:
    """Print exactly the bytes that EVENT's record has in its input.

    EVENT is an event id, or the beginning of one (8 characters or more); SOURCE:LINE, as chains show it; or
    SOURCE@OFFSET, as `strataline rejects` lists them. Of a row of a table it is the JSON object that the row was read
    as. Nothing is added, not even a line end: the address goes to standard error. On a terminal, which log text could
    steer, control characters are escaped: redirect the output to have the bytes.

    \b
    strataline evidence CASE policy/policy-a.jsonl:63
    strataline evidence CASE policy/policy-a.jsonl:63 | jq .
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline.case import Case
    from strataline.export import text

    opened = Case.open(case, inputs)
    rows = opened.records_of(event)
    found = opened.evidence(rows)[0]
    row = rows.row(0, named=True)
    if found is None:
        click.echo(
            f"strataline: {printable(row['source'])} is not at hand\n  hint: --inputs DIR says where it is now",
            err=True,
        )
        sys.exit(COMPLAINT)
    click.echo(f"{printable(row['source'])}: {text.place(row)}", err=True)
    if sys.stdout.isatty():
        echo("\n".join(printable(line) for line in found.decode("utf-8", "backslashreplace").split("\n")) + "\n")
    else:
        sys.stdout.buffer.write(found)
        sys.stdout.buffer.flush()


def _show(case: Case, name: str) -> int:
    """Print what `name` means: one chain, a list of requests, or the events that carry it and are tied to none."""
    import polars as pl

    from strataline.event import only
    from strataline.export import text

    if not name.strip():
        raise click.UsageError("the ID is empty")
    named = case.which(name)
    found = only(case.frames, "requests", pl.col("request").is_in(named))
    if found.height == 1:
        events = case.request_events(named[0])
        links = case.links_about(named, events)
        echo(text.chain(events, found.row(0, named=True), links, case.frames["notes"], **look()))
        return 0
    if found.height:
        echo(text.listing(found, case.events_of(named), **look()))
        return 0
    lone = case.carries(name)
    if lone.height:
        echo(text.hits(lone, **look()))
        click.echo(f"These events carry {printable(name)}; none of them is tied to a request.")
        return 0
    click.echo(
        f"strataline: no event carries {printable(name)}\n  hint: strataline find CASE --text, --user or --at", err=True
    )
    return COMPLAINT


def _beside(output: Path | None) -> Path | None:
    """Where a folder may be made for what is too much for memory: beside the case, so that its files need no copy."""
    return None if output is None or not output.absolute().parent.is_dir() else output.absolute().parent


def _complaints(case: Case, max_rejects: int | None, *, told: bool) -> int:
    """Say what could not be read (with `told`, also what a summary says); the exit status that follows from it."""
    import polars as pl

    notes, rejected = case.frames["notes"], case.frames["rejects"]
    complaints = notes.filter(pl.col("topic").is_in(["unreadable", "refused", "stream_cut"]))
    before = {"unreadable": "", "refused": "not read: ", "stream_cut": "read in part: "}
    for source, subject, topic, detail in complaints.select("source", "subject", "topic", "detail").iter_rows():
        click.echo(f"strataline: {printable(source or subject)}: {before[topic]}{printable(detail)}", err=True)
    many = max_rejects is not None and rejected.height > max_rejects
    if many:
        click.echo(f"strataline: {rejected.height} rejects, more than --max-rejects {max_rejects}", err=True)
    in_vain = case.frames["sources"].filter((pl.col("rejected") > 0) & (pl.col("with_events") == 0))
    over_cap = rejected.filter(pl.col("reason") == "too_long").height
    # The summary names these; who asked for something else hears of them here.
    if in_vain.height and told:
        some = ", ".join(printable(name) for name in in_vain["source"].head(3))
        more = f" and {in_vain.height - 3} more" if in_vain.height > 3 else ""
        click.echo(f"strataline: no record could be read of {some}{more}", err=True)
    if over_cap and told:
        click.echo(f"strataline: {count(over_cap, 'record')} over --max-record", err=True)
    return COMPLAINT if many or complaints.height or in_vain.height or over_cap else 0


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str, int, int], None] | None]:
    """A progress bar on standard error where that is a terminal; nothing otherwise."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def update(source: str, done: int, whole: int) -> None:
            bar.update(task, description=source or "correlating", completed=done, total=whole)

        yield update


reasons.register(main)
examine.register(main)
exports.register(main)
report.register(main)
html.register(main)
lint.register(main)
catalogue.register(main)
completion.register(main)
regressions.register(main)
