"""How the commands that show log text to many redact it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from strataline.errors import CaseError

if TYPE_CHECKING:
    from strataline.report.draft import Redaction


def redaction(on: bool, key: Path | None, fields: tuple[str, ...]) -> Redaction:
    """How log text is redacted, as the options ask.

    Raises:
        CaseError: if the key cannot be read.
        StrataError: if it is too short.
    """
    from strataline.report.draft import Redaction
    from strataline.report.redact import Redactor

    if not on:
        if key is not None or fields:
            raise click.UsageError("--redact-key and --redact-field say how to redact: not with --no-redact")
        return Redaction()
    try:
        redactor = Redactor(None if key is None else key.read_bytes(), fields)
    except OSError as problem:
        raise CaseError(f"the key cannot be read: {problem.strerror}", path=str(key)) from problem
    how = "keyed pseudonyms" if key is not None else "numbers in the order of first sight"
    said = (
        f"Personal data and secrets that detectors find in log text are replaced by {how} (appendix F); ids that the "
        "evidence needs are not."
    )
    return Redaction(redactor.text, lambda: [asdict(one) for one in redactor.log], said)
