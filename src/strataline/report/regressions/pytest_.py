"""Cases for pytest: nothing else is needed to run them."""

from __future__ import annotations

from collections.abc import Sequence

from strataline.report.regressions.exemplars import Exemplar
from strataline.report.regressions.folder import cases, kit, readme

HOW = """
Fill in `ask(case)` in `conftest.py`: it asks your product and returns what the user would be shown. Then

    pytest .

Until then every expectation is red and says so; so is every case in which people have something to decide.
"""


def files(exemplars: Sequence[Exemplar], affected: int, *, raw: bool) -> dict[str, str]:
    """Path → content."""
    return {
        "README.md": readme("Requests of the incident, as tests", HOW, exemplars, affected, raw=raw),
        **{name: kit(name) for name in ("conftest.py", "test_incident.py")},
        **cases(exemplars, raw=raw),
    }
