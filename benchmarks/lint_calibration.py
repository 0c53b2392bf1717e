"""Measure the lint against paragraphs that say which rules they are for.

    python benchmarks/lint_calibration.py [--misses]

``tests/lint_calibration/*.md`` holds paragraphs, each below a comment that names the rules it is to be found by
(``<!-- expect: L-B01 L-B03; in: 12 -->``; none: it is good; ``in`` is the section it stands in, by default 7.3). A
rule is right in a paragraph it is expected in, and wrong in any other; how often within the paragraph does not count.
Rules about a document as a whole are not measured so: tests plant their cases in a draft.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import scored

from strataline.report.lint import lint

FOLDER = Path(__file__).parent.parent / "tests" / "lint_calibration"
WHOLE = ("L-A03", "L-K02", "L-K04", "L-M01", "L-M02", "L-M03", "L-M07", "L-S03", "L-S05")
"""Rules about a document as a whole."""
ROSTER = ("Dana Whitfield", "Mikkel")

_CASE = re.compile(
    r"^<!-- expect:(?P<rules>(?: L-[A-Z][0-9]{2})*)(?:;? in: (?P<section>[\w.]+))? -->\n"
    r"(?P<text>.*?)(?=^<!-- expect:|\Z)",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Case:
    """One paragraph: where it is from, the rules that are expected, and its section."""

    file: str
    text: str
    expected: frozenset[str]
    section: str

    def found(self) -> frozenset[str]:
        """The rules that find something in it."""
        linted = lint(f"# Postmortem\n\n## {self.section}. Section\n\n{self.text}", roster=ROSTER)
        return frozenset(one.rule for one in linted.found) - set(WHOLE)


def cases() -> Iterator[Case]:
    """Every paragraph, in order of file and place."""
    for file in sorted(FOLDER.glob("*.md")):
        for case in _CASE.finditer(file.read_text(encoding="utf-8")):
            yield Case(file.stem, case["text"], frozenset(case["rules"].split()), case["section"] or "7.3")


def measured() -> dict[str, tuple[int, int, int]]:
    """By rule: paragraphs it was right in, wrong in, and those that it was expected in and is not."""
    right, wrong, missed = Counter[str](), Counter[str](), Counter[str]()
    for case in cases():
        found = case.found()
        right.update(found & case.expected)
        wrong.update(found - case.expected)
        missed.update(case.expected - found)
    return {rule: (right[rule], wrong[rule], missed[rule]) for rule in sorted({*right, *wrong, *missed})}


def table() -> list[str]:
    """The measurement as a table of Markdown."""
    return scored.table("rule", measured())


def main() -> None:
    """Print the table, and which paragraphs went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--misses", action="store_true", help="also print the paragraphs that went wrong")
    chosen = parser.parse_args()
    print("\n".join(table()))
    if chosen.misses:
        for case in cases():
            found = case.found()
            if found != case.expected:
                said = f"too many {sorted(found - case.expected)}, missed {sorted(case.expected - found)}"
                print(f"\n{case.file}: {said}\n{case.text.strip()}")


if __name__ == "__main__":
    main()
