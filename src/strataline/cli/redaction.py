"""How the commands that show log text to many redact it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from strataline.errors import CaseError

if TYPE_CHECKING:
    from strataline.report.draft import Redaction
    from strataline.report.redact import Redactor


Command = TypeVar("Command", bound=Callable[..., object])


def redact_options(command: Command) -> Command:
    """Add how the command redacts, as ``key`` and ``fields``."""
    field = click.option(
        "--redact-field", "fields", multiple=True, metavar="NAME", help="Also replace this field. Repeatable."
    )
    key = click.option(
        "--redact-key",
        "key",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Key of the pseudonyms (16 bytes or more); without one they are numbers within this output.",
    )
    return key(field(command))


def redactor(on: bool, key: Path | None, fields: tuple[str, ...], off: str = "with --no-redact") -> Redactor | None:
    """What redacts log text, as the options ask; null where nothing is redacted.

    Args:
        on: whether log text is redacted.
        key: file with the key of the pseudonyms.
        fields: names of further fields.
        off: how it was said not to redact.

    Raises:
        CaseError: if the key cannot be read.
        StrataError: if it is too short.
    """
    from strataline.report.redact import Redactor

    if not on:
        if key is not None or fields:
            raise click.UsageError(f"--redact-key and --redact-field say how to redact: not {off}")
        return None
    try:
        return Redactor(None if key is None else key.read_bytes(), fields)
    except OSError as problem:
        raise CaseError(f"the key cannot be read: {problem.strerror}", path=str(key)) from problem


def redaction(on: bool, key: Path | None, fields: tuple[str, ...]) -> Redaction:
    """How a draft or a page is redacted, and what it says of that; arguments and errors as `redactor`."""
    from strataline.report.draft import Redaction

    made = redactor(on, key, fields)
    if made is None:
        return Redaction()
    how = "keyed pseudonyms" if key is not None else "numbers in the order of first sight"
    said = (
        f"Personal data and secrets that detectors find in log text are replaced by {how} (appendix F); ids that the "
        "evidence needs are not."
    )
    return Redaction(made.text, lambda: [asdict(one) for one in made.log], said, made.value)
