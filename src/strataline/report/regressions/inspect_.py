"""Cases for Inspect: a dataset of samples, and a task with a scorer for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from strataline.report.regressions.exemplars import Exemplar
from strataline.report.regressions.folder import as_json, cases, kit, readme, said_of_texts

HOW = """
    inspect eval incident_task.py --model …

The model gets the prompt as it was sent. To test the product whole, put a solver that asks it in the place of
`generate()` in `incident_task.py`. The scorer takes `expectations` and `todo` from `cases/*/case.json`; a case in which
people have something to decide is incorrect until they did. A request of which no log holds the prompt is a sample of
what the user wrote; where that is not on record either, it is left out of `samples.jsonl`.
"""


def files(exemplars: Sequence[Exemplar], affected: int, *, raw: bool) -> dict[str, str]:
    """Path → content."""
    samples = [_sample(one, raw=raw) for one in exemplars if _input(one)]
    return {
        "README.md": readme("Requests of the incident, for Inspect", HOW, exemplars, affected, raw=raw),
        "samples.jsonl": "".join(as_json(one, indent=None) + "\n" for one in samples),
        "incident_task.py": kit("incident_task.py"),
        **cases(exemplars, raw=raw),
    }


def _input(one: Exemplar) -> str | None:
    file = one.facts["prompt"]["file"] or one.facts["question"]["file"]
    return None if file is None else one.texts[file]


def _sample(one: Exemplar, *, raw: bool) -> dict[str, Any]:
    facts = one.facts
    kept = ("request", "question", "documents", "models", "templates", "indexes", "policies", "settings")
    return {
        "id": one.name,
        # A string could be taken for something else by its beginning; a message is a message.
        "input": [{"role": "user", "content": _input(one)}],
        "target": "" if facts["todo"] is None else "TODO(human)",
        "metadata": {
            "about": said_of_texts(raw=raw),
            **{name: facts[name] for name in kept},
            "findings": [each["finding"] for each in facts["findings"]],
            "evidence": [place for each in facts["findings"] for place in each["addresses"]],
            "expectations": facts["expectations"],
            "todo": facts["todo"],
        },
    }
