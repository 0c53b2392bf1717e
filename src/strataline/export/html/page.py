"""The file itself: shell, style, script and data in one, under a policy that allows nothing else to run or load.

Log text enters it only as data: compressed, in base64, so that no byte of it can be markup. The script puts it on the
page as text (``textContent``), and text has passed `strataline.escape` before.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import zlib
from collections.abc import Mapping
from importlib import resources
from string import Template
from typing import Any

import polars as pl

from strataline.escape import printable
from strataline.export.html.facts import LIMIT, Redact, gather, unredacted

__all__ = ["LIMIT", "page"]

# Base64 in lines, so that an editor can open the page.
_LINE = 120


def page(
    tables: Mapping[str, pl.DataFrame],
    manifest: Mapping[str, Any],
    examined: Any,
    *,
    limit: int = LIMIT,
    title: str = "Incident record",
    redact: Redact = unredacted,
    draft: tuple[str, Mapping[str, Any]] | None = None,
) -> str:
    """Return `examined` (an ``examine.Examined``) and the chains it speaks of as one HTML file.

    Args:
        tables: the tables of the case by name, ``coverage`` (as ``examine.coverage`` gives it) and ``doubts``
            (event_id and doubt: how far an event's corrected time may be off, ns; null where nothing bounds it) too.
        manifest: of the case.
        examined: what an examination of it gave.
        limit: how many requests are drawn; the page says how many it leaves out.
        title: heading of the page.
        redact: what becomes of free log text before it stands here, by what it is called; by default nothing.
        draft: the draft of a postmortem that the page is to hold too: its text, and its evidence by name (``EV-0001``),
            each with ``event`` and ``address``.

    Returns:
        The same bytes for the same arguments.
    """
    facts = gather(tables, manifest, examined, limit=limit, redact=redact, draft=draft)
    facts["title"] = printable(title)
    packed = zlib.compress(json.dumps(facts, ensure_ascii=True, separators=(",", ":")).encode(), 9)
    text = base64.b64encode(packed).decode("ascii")
    style, script = _asset("page.css"), _asset("page.js")
    return Template(_asset("page.html")).substitute(
        policy=(
            f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:; "
            "base-uri 'none'; form-action 'none'"
        ),
        title=html.escape(printable(title)),
        style=style,
        script=script,
        licences=html.escape(_asset("LICENCES.txt")),
        data="\n".join(text[start : start + _LINE] for start in range(0, len(text), _LINE)),
    )


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """What a content security policy names an inline script or style by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
