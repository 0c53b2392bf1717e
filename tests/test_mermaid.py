"""The diagrams of a draft: what they draw, and that the real Mermaid reads them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

import strataline
from strataline.report.chains import label

SAMPLE = Path(__file__).resolve().parent.parent / "sample_logs" / "assist_incident"
MERMAID = "11.17.2"
PARSE = """
import { readFileSync } from 'node:fs';
import mermaid from 'mermaid';
const told = [];
for (const diagram of JSON.parse(readFileSync(0, 'utf8'))) {
  try { told.push([(await mermaid.parse(diagram)).diagramType, '']); } catch (error) { told.push(['', String(error)]); }
}
console.log(JSON.stringify(told));
"""
LAYER = r"(?:ui|prompt|retrieval|model|policy|change|other)"
LINE = re.compile(
    rf"  (?:participant {LAYER}|{LAYER}-?->>{LAYER}: [A-Za-z0-9 .,+=()/:_±?@→·…–-]+"
    rf"|Note over {LAYER}: [0-9,]+ further records are in the case)"
)
HOSTILE = (
    'x"]; end',
    "a --> b; click a href 'https://evil.example'",
    "%%{init: {'securityLevel': 'loose'}}%%",
    "#lt;img src=x onerror=alert(1)#gt;",
    "participant evil\nevil->>ui: hi",
    "end\nloop x",
    "\u202e\x1b[31m\u200b",
    "<b>&amp;</b>",
    "wrap: text",
)


def diagrams(text: str) -> list[str]:
    return re.findall(r"^```mermaid\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def drawn(incident: Callable[..., strataline.Case]) -> list[str]:
    case = incident(zoned=True)
    return diagrams(case.report(case.examine(case.affected(["check:F-03"]))).text)


@pytest.fixture(scope="module")
def modules(npm: Callable[..., Path]) -> Path:
    """A folder in which Node finds Mermaid."""
    return npm(f"mermaid@{MERMAID}")


def parsed(folder: Path, some: list[str]) -> list[list[str]]:
    """What Mermaid says of each diagram: its kind, or the error."""
    script = folder / "parse.mjs"
    script.write_text(PARSE, encoding="utf-8")
    given_ = json.dumps(some).encode()
    done = subprocess.run(["node", str(script)], input=given_, capture_output=True, check=True, timeout=120)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_diagrams_are_drawn_in_their_own_narrow_grammar(drawn: list[str]) -> None:
    assert len(drawn) == 3
    for diagram in drawn:
        first, *lines = diagram.splitlines()
        assert first == "sequenceDiagram"
        assert [line for line in lines if not LINE.fullmatch(line)] == []


def test_ties_by_ids_are_solid_ties_by_time_are_dashed_and_bounds_are_shown(drawn: list[str]) -> None:
    lines = [line for diagram in drawn for line in diagram.splitlines() if "->>" in line]
    assert any("-->>" in line for line in lines)
    assert any(re.match(r"  \w+->>", line) for line in lines)
    assert all(re.search(r" ±(?:\?|[0-9])", line) for line in lines)
    assert all(re.search(r": EV-\d{4} ", line) for line in lines)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_label_holds_nothing_that_acts(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9 .,+=()/:_±?@→·…–-]*", label(text))
    assert len(label(text * 50)) <= 90


@given(st.text())
def test_any_label_is_narrow(text: str) -> None:
    assert LINE.fullmatch(f"  ui->>model: x {label(text)}")


@pytest.mark.slow
def test_mermaid_itself_reads_them(drawn: list[str], modules: Path) -> None:
    hostile = ["\n".join(["sequenceDiagram", "  participant ui", f"  ui->>ui: {label(one)}"]) for one in HOSTILE]
    told = parsed(modules, [*drawn, *hostile, "sequenceDiagram\n  ui->ui ; x"])
    assert [kind for kind, _ in told[:-1]] == ["sequence"] * (len(told) - 1), told
    assert told[-1][0] == "", "the parser refuses what is no diagram"
