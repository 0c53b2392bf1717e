"""Commands that explain what the correlation did: to the clocks, and to one event."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from strataline.cli.terminal import CASE, COMPLAINT, JSON, dumped, echo, look

HELP = {"help_option_names": ["-h", "--help"]}
STATUS = """
\b
Exit status: 0 done; 1 done with a complaint (the logs contradict an offset that
--clock asserts); 2 nothing printed (usage, or no such case or event).
"""
WHY_STATUS = """
\b
Exit status: 0 done; 1 done with a complaint (the links do not lead to the event that
opens the request); 2 nothing printed (usage, or no such case or event).
"""


def register(group: click.Group) -> None:
    """Add the commands of this module to `group`."""
    for command in (why, clocks):
        group.add_command(command)


@click.command(epilog=STATUS, context_settings=HELP)
@CASE
@click.option("--all", "every", is_flag=True, help="List every clock, also those that are summed up, as of browsers.")
@JSON
def clocks(case: Path, every: bool, as_json: bool) -> None:
    """Say how far each clock of CASE is ahead of the reference, how sure that is, and what it rests on.

    The offset is what was taken from the clock's times. `reconstruct --clock DOMAIN=OFFSET` asserts one.

    \b
    strataline clocks CASE
    strataline clocks CASE --all --json
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline.case import Case
    from strataline.export import clocks_text

    opened = Case.open(case)
    if as_json:
        echo(dumped(opened.clock_offsets()))
    else:
        echo(clocks_text.page(opened.frames, str(case), every=every, **look()))
    contradicted = (opened.frames["notes"]["topic"] == "clock_contradicted").any()
    sys.exit(COMPLAINT if contradicted else 0)


@click.command(epilog=WHY_STATUS, context_settings=HELP)
@CASE
@click.argument("event", metavar="EVENT")
@JSON
def why(case: Path, event: str, as_json: bool) -> None:
    """Say why EVENT is in its request, or in none, how sure that is, and what would have changed it.

    EVENT is an event id, or the beginning of one (8 characters or more), or SOURCE:LINE, as chains show it, or
    SOURCE@OFFSET.

    \b
    strataline why CASE gateway/litellm.stdout.log:196
    """  # noqa: D301 - \b keeps click from folding the lines
    from strataline.case import Case
    from strataline.export import why_text

    found = Case.open(case).why(event)
    echo(dumped(found) if as_json else why_text.page(found, **look()))
    whole = found["request"] is None or found["way"][-1]["method"] == "opening"
    sys.exit(0 if whole else COMPLAINT)
