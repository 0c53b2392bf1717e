"""Cases for promptfoo.

promptfoo takes prompts and variables for Nunjucks templates, which run code, and variables that begin with ``file://``
for files to read or run. So the configuration holds ids alone, and the texts go through ``promptfoo_hooks.py``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from strataline.escape import printable
from strataline.report.regressions.exemplars import Exemplar
from strataline.report.regressions.folder import cases, kit, readme, said_of_texts

HOW = """
Fill in `ask(one)` in `promptfoo_hooks.py`, or name a model under `providers` in `promptfooconfig.yaml`: then it gets
the prompt as it was sent. Then

    promptfoo eval

Python is needed for the hooks (`PROMPTFOO_PYTHON` says which). Rubrics and further assertions can be added in
`promptfooconfig.yaml`, case by case. Log text goes to promptfoo through the hooks alone, as it would take braces and
`file://` in it for templates and files.
"""


def files(exemplars: Sequence[Exemplar], affected: int, *, raw: bool) -> dict[str, str]:
    """Path → content."""
    config = {
        "description": "Requests of the incident, asked again",
        "prompts": ["file://promptfoo_hooks.py:create_prompt"],
        "providers": [{"id": "file://promptfoo_hooks.py", "label": "the product"}],
        "tests": [_test(one) for one in exemplars],
    }
    head = f"# {said_of_texts(raw=raw)}\n# README.md says how to use this file.\n"
    return {
        "README.md": readme("Requests of the incident, for promptfoo", HOW, exemplars, affected, raw=raw),
        "promptfooconfig.yaml": head + as_yaml(config),
        "promptfoo_hooks.py": kit("promptfoo_hooks.py"),
        **cases(exemplars, raw=raw),
    }


def _test(one: Exemplar) -> dict[str, Any]:
    held = [each["finding"] for each in one.facts["findings"]]
    evidence = [event for each in one.facts["findings"] for event in each["events"]]
    return {
        "description": " ".join([one.name, *held]),
        "vars": {"case": one.name},
        "metadata": {
            "request": one.facts["request"],
            "findings": held,
            "evidence": list(dict.fromkeys(evidence)),
            "texts": one.facts["texts"],
            "left_to_people": one.facts["todo"] is not None,
        },
        "assert": [{"type": "python", "value": "file://promptfoo_hooks.py"}],
    }


def as_yaml(value: Any) -> str:
    r"""`value` (mappings, lists, and what JSON knows besides) as YAML in blocks.

    Every scalar and key is written by the JSON encoder, in quotes; what `printable` makes of it are escapes that YAML
    has too. So no text can end its scalar, or be taken for a number, a tag, an anchor or a comment.

    >>> print(as_yaml({"a": ["x: y", {"b": None, "c": []}]}), end="")
    "a":
      - "x: y"
      - "b": null
        "c": []
    """
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: Any) -> list[str]:
    if isinstance(value, dict) and value:
        made = []
        for key, one in value.items():
            inner = _lines(one)
            nested = isinstance(one, dict | list) and bool(one)
            made += (
                [f"{_scalar(key)}:", *(f"  {line}" for line in inner)] if nested else [f"{_scalar(key)}: {inner[0]}"]
            )
        return made
    if isinstance(value, list) and value:
        return [("- " if place == 0 else "  ") + line for one in value for place, line in enumerate(_lines(one))]
    return [_scalar(value)]


def _scalar(value: Any) -> str:
    return printable(json.dumps(value, ensure_ascii=False))
