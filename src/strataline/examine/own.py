"""Checks that people add: listed, loaded, and held to what every check promises."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from pathlib import Path

from strataline import plugin
from strataline.errors import CheckError
from strataline.event import EVENTS, LAYERS, TABLES
from strataline.examine.check import ATTENTION, STATUSES, Check
from strataline.examine.checks import CHECKS
from strataline.wording import banned

GROUP = "strataline.checks"
PAGE = "docs/checks.md"
SHAPE = "CHECKS = (Check(...), ...)"

_ID = re.compile(r"[A-Z]{1,8}-[0-9]{1,4}")


def catalogue(folders: Iterable[Path] = ()) -> tuple[Check, ...]:
    """All checks: shipped, installed (entry points of the group ``strataline.checks``), the user's own, in `folders`.

    The user's own lie in ``~/.config/strataline/checks``. Loading a file runs it: only name folders that you trust.

    Returns:
        The shipped ones in the order of the catalogue, then the others in order of folder, file and declaration.

    Raises:
        CheckError: if a file does not run or holds no checks, one does not keep its promises, or two have one id.
    """
    own = plugin.own_folder("checks")
    places = [*plugin.installed(GROUP, CheckError, PAGE), *([own] if own else []), *folders]
    found = list(CHECKS)
    where = {check.id: "the shipped catalogue" for check in CHECKS}
    seen: set[Path] = set()
    for file in [file for folder in places for file in plugin.listed(folder, "checks", CheckError)]:
        if file.resolve() in seen:
            continue
        seen.add(file.resolve())
        for check in load(file):
            if check.id in where:
                hint = f"the other one is in {where[check.id]}; give it another id"
                raise CheckError(f"a second check called {check.id}", path=str(file), hint=hint)
            where[check.id] = str(file)
            found.append(check)
    return tuple(found)


def load(file: Path) -> tuple[Check, ...]:
    """The checks that `file` ends in.

    Raises:
        CheckError: if it does not run, or holds none, or one of them does not keep its promises.
    """
    some = plugin.loaded(file, "CHECKS", CheckError, SHAPE, PAGE)
    if not isinstance(some, tuple | list) or not all(isinstance(one, Check) for one in some) or not some:
        raise CheckError("holds no CHECKS", path=str(file), hint=f"end the file in {SHAPE}")
    for check in some:
        wrong = problems(check)
        if wrong:
            raise CheckError(f"check {check.id}: {wrong[0]}", path=str(file), hint=f"{PAGE} says what a check promises")
    return tuple(some)


def problems(check: Check) -> list[str]:
    """What of its promises the declaration of `check` does not keep, as sentences; nothing if it keeps all.

    What its rule promises only shows when it runs: see `run`.
    """
    wrong = []
    if not _ID.fullmatch(check.id):
        wrong.append("its id is not one to eight capital letters, a hyphen and a number")
    if not re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", check.name):
        wrong.append("its name is not a few lower-case words joined by hyphens")
    if check.attention not in ATTENTION:
        wrong.append(f"attention {check.attention!r} is none of {', '.join(ATTENTION)}")
    if check.status not in STATUSES[:3]:
        wrong.append(f"status {check.status!r} is none of {', '.join(STATUSES[:3])}")
    if not check.layers or not set(check.layers) <= set(LAYERS):
        wrong.append(f"layers {', '.join(check.layers) or '(none)'}: they are {', '.join(LAYERS)}")
    wrong += [f"it needs {need!r}, which no case can have" for need in check.needs if not _known(need)]
    for what, sentence in (("statement", check.statement), ("question", check.question)):
        words = banned(sentence)
        if words:
            wrong.append(f"its {what} says {words[0]!r}, which no sentence about an incident says")
    wrong += [f"an alternative says {words[0]!r}" for one in check.alternatives if (words := banned(one))]
    try:
        list(string.Formatter().parse(check.statement))
    except ValueError as problem:
        wrong.append(f"its statement is no format string: {problem}")
    if not check.question.endswith("?"):
        wrong.append("its question does not end in a question mark")
    return wrong


def _known(need: str) -> bool:
    """Whether a case could have what `need` names."""
    if need.startswith("kind:"):
        return bool(re.fullmatch(r"[a-z]+(?:\.[a-z_]+)+", need.removeprefix("kind:")))
    place, _, column = need.partition(".")
    tables = {table.name: table for table in TABLES}
    if place in tables and place not in LAYERS:
        return column in tables[place].schema
    return (place == "*" or place in LAYERS) and column in EVENTS.schema
