"""The lint: rules on paragraphs of both kinds, planted edits in a real draft, places, waivers, forms of output."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, strategies as st

import lint_calibration as calibration
import strataline
from strataline.cli import main
from strataline.report.draft import Draft, template
from strataline.report.lint import RULES, Linted, lint
from strataline.report.lint.reading import read
from strataline.report.marks import ANCHOR, OPEN
from strataline.report.redact import find

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "sample_logs" / "assist_incident"


@pytest.fixture(scope="module")
def case(incident: Callable[..., strataline.Case]) -> strataline.Case:
    return incident(zoned=True)


@pytest.fixture(scope="module")
def draft(case: strataline.Case) -> Draft:
    return case.report(case.examine(case.affected(["check:F-03"], chosen_by="on-call")), formats=[SAMPLE / "formats"])


def rules(linted: Linted, *, but: tuple[str, ...] = ()) -> set[str]:
    return {one.rule for one in linted.found if one.rule not in but and one.waiver is None}


def planted(draft: Draft, old: str, new: str, **options: Any) -> Linted:
    """The lint of a draft in which `old` was replaced, open placeholders apart."""
    assert old in draft.text
    found = lint(draft.text.replace(old, new, 1), draft.claims, **options)
    return Linted([one for one in found.found if " is open: " not in one.message], found.waivers, found.not_run)


# Words, on the labelled paragraphs.


@pytest.mark.parametrize("family", ["blame", "people", "single", "hindsight", "size", "claims", "parts", "logs"])
def test_each_family_has_five_paragraphs_of_either_kind(family: str) -> None:
    some = [case for case in calibration.cases() if case.file == family]
    assert sum(bool(case.expected) for case in some) >= 5
    assert sum(not case.expected for case in some) >= 5


def test_every_rule_is_labelled_or_planted_and_none_is_missed() -> None:
    measured = calibration.measured()
    assert set(measured) | set(calibration.WHOLE) == set(RULES)
    assert {rule: missed for rule, (_, _, missed) in measured.items() if missed} == {}
    assert sum(wrong for _, wrong, _ in measured.values()) <= 2


def test_the_page_holds_what_is_measured() -> None:
    page = (ROOT / "docs" / "lint.md").read_text(encoding="utf-8")
    assert "\n".join(calibration.table()) in page
    for rule in RULES.values():
        assert f"| {rule.id} | {rule.level} | {rule.detects} | {rule.suggestion} |" in page.replace(
            "`<!--", "<!--"
        ).replace("-->`", "-->")


# A real draft.


def test_a_fresh_draft_has_nothing_but_open_placeholders(draft: Draft) -> None:
    found = lint(draft.text, draft.claims)
    assert {(one.rule, one.level) for one in found.found} == {("L-M03", "I")}
    assert len(found.found) == len(OPEN.findall(draft.text))
    assert found.errors == 0


def test_a_draft_without_the_inputs_too(case: strataline.Case) -> None:
    alone = strataline.Case(case.frames, case.manifest, {})
    made = alone.report(alone.examine(alone.affected(["check:F-03"])), formats=[SAMPLE / "formats"])
    assert "The texts of documents were not read from the record." in made.text
    assert {(one.rule, one.level) for one in lint(made.text, made.claims).found} == {("L-M03", "I")}


def test_an_empty_template_too() -> None:
    made = template("1")
    found = lint(made.text, made.claims)
    assert {(one.rule, one.level) for one in found.found} == {("L-M03", "I")}


def test_open_placeholders_are_errors_at_the_end(draft: Draft) -> None:
    found = lint(draft.text, draft.claims, final=True)
    assert found.errors == len(OPEN.findall(draft.text))
    closed = OPEN.sub(lambda slot: f"<<HUMAN:{slot['key']} = not applicable, a drill>>", draft.text)
    assert lint(closed, draft.claims, final=True).errors == 0


def test_a_placeholder_that_was_deleted_is_open(draft: Draft) -> None:
    without = re.sub(r"<!-- human:tradeoffs -->.*?<!-- /human:tradeoffs -->\n", "", draft.text, flags=re.DOTALL)
    said = [one.message for one in lint(without, draft.claims, final=True).found]
    assert "the place for tradeoffs was deleted" in said
    emptied = re.sub(r"(<!-- human:severity -->).*?(<!-- /human:severity -->)", r"\1\n\2", draft.text, flags=re.DOTALL)
    assert "severity is empty" in [one.message for one in lint(emptied, draft.claims, final=True).found]


def test_a_number_that_was_changed_is_found_where_it_stands(draft: Draft) -> None:
    claim = next(one for one in draft.claims["claims"] if one["section"] == "1" and len(one["numbers"]) > 1)
    number = claim["numbers"][0]
    line = next(line for line in draft.text.splitlines() if f"<!-- c:{claim['id']} " in line)
    body = line.index("]") + 1
    edited = line[:body] + line[body:].replace(number, "7,777,777", 1)
    found = planted(draft, line, edited)
    assert rules(found) == {"L-K02"}
    assert f"the numbers of {claim['id']} were {number}" in found.found[0].message
    assert draft.text.splitlines()[found.found[0].line - 1] == line
    assert found.errors == 1


def test_a_claim_that_a_person_vouches_for_may_change(draft: Draft) -> None:
    claim = next(one for one in draft.claims["claims"] if one["section"] == "1" and one["status"] == "DER")
    line = next(line for line in draft.text.splitlines() if f"<!-- c:{claim['id']} " in line)
    mark = line[line.index("[") : line.index("]") + 1]
    edited = line.replace(mark, "[HUM: on-call for policy, 2026-11-23]").replace("requests", "conversations")
    assert "L-K02" not in rules(planted(draft, line, edited))
    assert "L-K02" in rules(planted(draft, line, line.replace("requests", "conversations")))


def test_claims_evidence_and_digests_that_are_not_those_of_the_sidecar(draft: Draft) -> None:
    anchor = next(found for found in ANCHOR.finditer(draft.text) if found["evidence"] != "-")
    other = anchor[0].replace(anchor["evidence"], "EV-9999")
    assert "rested on" in planted(draft, anchor[0], other).found[0].message
    assert rules(planted(draft, anchor[0], anchor[0].replace(anchor["claim"], "C-9999"))) == {"L-K02"}
    row = next(line for line in draft.text.splitlines() if line.startswith("| EV-0001 |"))
    digest = re.findall(r"[0-9a-f]{64}", row)[0]
    assert "hash of EV-0001" in planted(draft, row, row.replace(digest, "0" * 64)).found[0].message
    assert rules(planted(draft, "<<HUMAN:summary", "[OBS EV-8888] It was so.\n\n<<HUMAN:summary")) == {"L-K02"}
    inputs = draft.claims["inputs_sha256"]
    assert "different inputs" in planted(draft, inputs, "0" * 64).found[0].message


def test_a_claim_that_was_deleted_is_named_with_its_section(draft: Draft) -> None:
    claim = next(one for one in draft.claims["claims"] if one["section"] == "2")
    line = next(line for line in draft.text.splitlines() if f"<!-- c:{claim['id']} " in line)
    found = planted(draft, line + "\n", "")
    assert rules(found) == {"L-K02"}
    assert found.found[0].message == f"claims were deleted from this section: {claim['id']}"
    assert found.found[0].section == "2"


def test_the_remainder(draft: Draft) -> None:
    part = re.search(r"<!-- generated:begin 7\.2 -->\n(.*?)<!-- generated:end 7\.2 -->", draft.text, re.DOTALL)
    assert part is not None
    assert "L-S05" in rules(planted(draft, part[0], ""))
    assert "L-S05" in rules(planted(draft, part[1], "\nEverything is explained.\n\n"))
    lines = [line for line in part[1].splitlines() if line.strip() and "<!-- c:" not in line]
    assert rules(planted(draft, lines[-1], lines[-1].replace("not", "surely", 1))) == {"L-S05"}


@pytest.mark.parametrize(("name", "what"), [("4.2", "retrieval"), ("4.5", "ui"), ("2", "impact"), ("12", "follow-ups")])
def test_a_section_that_was_deleted(draft: Draft, name: str, what: str) -> None:
    part = re.search(rf"^#{{2,3}} {re.escape(name)}\.? .*?(?=^#{{2,3}} )", draft.text, re.DOTALL | re.MULTILINE)
    assert part is not None
    found = planted(draft, part[0], "")
    assert [one for one in found.found if one.rule == "L-M01" and what in one.message and "missing" in one.message]
    heading = part[0].splitlines()[0]
    empty = planted(draft, part[0], f"{heading}\n\n")
    assert [one for one in empty.found if one.rule == "L-M01" and what in one.message and "empty" in one.message]


def test_a_slice_without_its_version_line(draft: Draft) -> None:
    line = next(line for line in draft.text.splitlines() if "Version (index)" in line)
    slice_ = draft.text[draft.text.index("### 4.2") : draft.text.index("### 4.3")]
    bare = "### 4.2 Retrieval\n\nThe documents are in the register.\n\n"
    assert "L-M02" in rules(planted(draft, slice_, bare))
    assert "L-M02" not in rules(planted(draft, slice_, bare + "[UNK: no version logged] Version (index): unknown.\n\n"))
    assert line in draft.text


def test_conditions_of_one_layer(draft: Draft) -> None:
    heading = draft.text.index("## 7. Contributing conditions")
    rows = re.findall(r"^\|.*\| (?:prompt|retrieval|model|ui) \|.*\n", draft.text[heading:], re.MULTILINE)
    made = draft.text[:heading] + re.sub("|".join(map(re.escape, rows)), "", draft.text[heading:])
    assert "L-S03" in rules(lint(made, draft.claims))
    said = made.replace(
        "## 7. Contributing conditions\n",
        "## 7. Contributing conditions\n<!-- single-layer-justified: the others held -->\n",
    )
    assert "L-S03" not in rules(lint(said, draft.claims))


def test_what_people_write_in_a_draft_is_linted(draft: Draft) -> None:
    text = "The careless engineer forgot the rule. It was a disaster!"
    found = planted(draft, "<<HUMAN:summary", f"{text}\n\n<<HUMAN:summary")
    assert rules(found) == {"L-B01", "L-B03", "L-A01"}
    cell = re.search(r"<<HUMAN:judgement_[^>]*>>", draft.text)
    assert cell is not None
    assert rules(planted(draft, cell[0], "this caused it")) == {"L-K05"}
    within = planted(draft, "<!-- generated:end 1 -->", "- About 900 users saw it.\n\n<!-- generated:end 1 -->")
    assert rules(within) == {"L-K01"}


def test_sections_that_are_people_s(draft: Draft) -> None:
    fixed = "Out of scope of this document and of the tool."
    assert rules(planted(draft, fixed, "The policy team answers for it.")) == {"L-M03"}
    options = "<<HUMAN:tradeoffs"
    assert rules(planted(draft, options, f"[DER: changes] Closing the filter costs 31 refusals.\n\n{options}")) == {
        "L-M03"
    }
    assert (
        rules(planted(draft, options, f"Closing the filter would cost 31 refusals and should come first.\n\n{options}"))
        == set()
    )


def test_a_word_of_the_model_about_itself(draft: Draft) -> None:
    evidence = next(iter(draft.claims["evidence"]))
    own = {**draft.claims["claims"][0], "id": "C-9990", "finding": "E-07", "evidence": [evidence], "section": "99"}
    claims = {**draft.claims, "claims": [*draft.claims["claims"], own]}
    text = draft.text.replace("<<HUMAN:summary", f"[OBS {evidence}] The tool was not called.\n\n<<HUMAN:summary", 1)
    assert rules(lint(text, claims), but=("L-M03",)) == {"L-K04"}


def test_outage_is_measured_by_what_was_delivered(draft: Draft) -> None:
    found = planted(draft, "<<HUMAN:summary", "The assistant was down.\n\n<<HUMAN:summary")
    assert rules(found) == {"L-A03"}
    assert "of the answers were delivered" in found.found[0].message


def test_nothing_on_luck_and_how_late() -> None:
    bare = "# Postmortem\n\n## 2. Impact\n\nUsers saw it.\n"
    assert "L-M07" in rules(lint(bare))
    front = '---\nwindow: "2026-01-01T00:00:00Z/2026-01-02T00:00:00Z"\n---\n' + bare
    late = [one.message for one in lint(front, on=date(2026, 3, 1)).found if one.rule == "L-M08"]
    assert late == ["58 days since the last affected answer"]
    assert "L-M08" not in rules(lint(front, on=date(2026, 1, 20)))


def test_what_could_not_run_is_said() -> None:
    said = dict(lint("# Postmortem\n\nText.\n").not_run)
    assert set(said) == {"L-K02", "L-K04", "L-A03", "L-N01", "L-M08"}


# Places, scope and waivers.


def test_places_are_line_and_column() -> None:
    text = "# T\n\nFirst line\nwas **negligent** here.\n\n- item\n\n  the culprit\n"
    found = [(one.rule, one.line, one.column, one.matched) for one in lint(text).found if one.rule == "L-B01"]
    assert found == [("L-B01", 4, 7, "negligent"), ("L-B01", 8, 7, "culprit")]


@pytest.mark.parametrize(
    "text",
    [
        "The log says `negligent` and ``a ` sloppy`` one.",
        "```text\nnegligent\n```",
        "~~~\nsloppy\n```\nnegligent\n~~~",
        "    negligent",
        "> A user wrote: this is negligent.",
        'A user wrote "this is negligent" to support.',
        "A user wrote “this is negligent” to support.",
        "<!-- negligent -->",
        "[the ticket](https://tracker.example/negligent)",
        "## A. Evidence register\n\nnegligent",
        "<<HUMAN:x | why negligent | sloppy?>>",
    ],
)
def test_what_is_not_the_author_s_prose_is_left_alone(text: str) -> None:
    assert "L-B01" not in rules(lint(f"# T\n\n{text}\n"))


@pytest.mark.parametrize(
    "text",
    [
        "| a | b |\n| --- | --- |\n| x | negligent |",
        "- one\n  - two\n    - negligent",
        "`code` negligent `code`",
        "<!-- note --> negligent",
        "**negligent**",
        "### Negligent",
        "unbalanced ` negligent",
    ],
)
def test_what_is_the_author_s_prose_is_found_wherever_it_stands(text: str) -> None:
    assert "L-B01" in rules(lint(f"# T\n\n{text}\n"))


@pytest.mark.parametrize(
    "text",
    [
        "It was negligent. <!-- lint-ok L-B01 quoted from the law -->",
        "<!-- lint-ok L-B01 quoted from the law -->\nIt was negligent.",
        "<!-- lint-ok L-B01 quoted from the law -->\n\nIt was negligent.",
        "- one\n- negligent <!-- lint-ok L-B01 quoted from the law -->",
    ],
)
def test_a_waiver_is_honoured_and_listed(text: str) -> None:
    found = lint(f"# T\n\n{text}\n")
    assert [one.waiver for one in found.found if one.rule == "L-B01"] == ["quoted from the law"]
    assert [(one.rule, one.reason, one.used) for one in found.waivers] == [("L-B01", "quoted from the law", True)]
    assert found.errors == 3 + 9  # sections that are missing, and no blame


def test_a_waiver_needs_a_reason_and_speaks_of_one_paragraph() -> None:
    found = lint("# T\n\nIt was negligent. <!-- lint-ok L-B01 -->\n")
    assert [one.waiver for one in found.found if one.rule == "L-B01"] == [None]
    assert not found.waivers[0].used
    apart = lint("# T\n\n<!-- lint-ok L-B01 a quotation -->\nOne.\n\nIt was negligent.\n")
    assert [one.waiver for one in apart.found if one.rule == "L-B01"] == [None]


def test_a_document_of_one_s_own_is_known_by_its_headings() -> None:
    text = "# P\n\n## Impact\n\nx\n\n## Timeline\n\nx\n\n## Contributing factors\n\nx\n\n## Actions\n\n- do\n"
    document = read(text)
    assert [block.section for block in document.blocks if block.kind == "heading"] == ["", "2", "3", "7", "12"]
    said = {one.message for one in lint(text).found if one.rule == "L-M01"}
    assert "user impact (section 2) is missing" not in said
    assert "detection (section 8) is missing" in said


# Properties and forms.


@given(st.text(alphabet=st.sampled_from(list("a`*_<>!-[]()|#\n \"'~:1|\\—€😀")), max_size=200) | st.text(max_size=100))
def test_any_text_is_read_and_every_place_is_in_it(text: str) -> None:
    found = lint(text, final=True)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for one in found.found:
        assert 1 <= one.line <= len(lines)
        assert 1 <= one.column <= len(lines[one.line - 1]) + 1
    for block in read(text).blocks:
        assert len(block.prose) == len(block.raw)
    assert found == lint(text, final=True)


@pytest.mark.parametrize(
    "piece",
    [
        "why ",
        "because ",
        "the engineer ",
        "`",
        "<!-- ",
        "<<HUMAN:",
        "[OBS ",
        "| a ",
        "a\n",
        "- ",
        "had the ",
        "> ",
        "@a",
    ],
)
def test_time_grows_with_the_length_and_no_faster(piece: str) -> None:
    def seconds(length: int) -> float:
        start = time.process_time()
        lint("# T\n\n" + piece * (length // len(piece)))
        return time.process_time() - start

    seconds(1_000)
    short, long = seconds(8_000), seconds(64_000)
    # Eight times the text; quadratic would be 64 times.
    assert long < 0.3 or long < 28 * short, (short, long)


def test_find_and_the_redactor_agree() -> None:
    text = "ana@corp.example 203.0.113.7 nothing"
    assert [(text[a:b], kind) for a, b, kind in find(text)] == [("ana@corp.example", "email"), ("203.0.113.7", "ip")]


@pytest.fixture
def written(tmp_path: Path, draft: Draft) -> Path:
    file = tmp_path / "postmortem.md"
    file.write_text(
        draft.text.replace("<<HUMAN:summary", "It was negligent, 100%: a,b.\n\n<<HUMAN:summary", 1), encoding="utf-8"
    )
    (tmp_path / "postmortem.claims.json").write_text(draft.sidecar, encoding="utf-8")
    return file


def test_text_names_place_level_rule_and_what_to_write(written: Path) -> None:
    done = CliRunner().invoke(main, ["lint", str(written)])
    assert done.exit_code == 1
    assert re.search(
        r"postmortem\.md:\d+:8: error L-B01 'negligent': a word that judges a person\n    instead: describe",
        done.output,
    )
    assert "1 error, 0 warnings," in done.output


def test_json_sarif_and_annotations_say_the_same(written: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    told = json.loads(runner.invoke(main, ["lint", str(written), "--json"]).output)
    errors = [one for one in told["findings"] if one["level"] == "E"]
    assert [one["rule"] for one in errors] == ["L-B01"]
    target = tmp_path / "lint.sarif"
    shown = runner.invoke(main, ["lint", str(written), "--github", "--sarif", str(target)])
    line = next(line for line in shown.output.splitlines() if "L-B01" in line)
    assert re.match(rf"::error file=[^:,]*postmortem\.md,line={errors[0]['line']},col=8,title=L-B01::'negligent'", line)
    run = json.loads(target.read_text(encoding="utf-8"))["runs"][0]
    result = next(one for one in run["results"] if one["ruleId"] == "L-B01")
    assert result["level"] == "error"
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "L-B01"
    region = result["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": errors[0]["line"], "startColumn": 8}
    assert len(run["results"]) == len(told["findings"])


def test_final_and_exit_status(tmp_path: Path, draft: Draft) -> None:
    file = tmp_path / "postmortem.md"
    file.write_text(draft.text, encoding="utf-8")
    (tmp_path / "postmortem.claims.json").write_text(draft.sidecar, encoding="utf-8")
    runner = CliRunner()
    assert runner.invoke(main, ["lint", str(file)]).exit_code == 0
    assert runner.invoke(main, ["lint", str(file), "--final"]).exit_code == 1
    assert runner.invoke(main, ["lint", str(tmp_path / "none.md")]).exit_code == 2
    assert runner.invoke(main, ["lint", str(file), "--claims", str(tmp_path / "none.json")]).exit_code == 2
    assert runner.invoke(main, ["lint", str(file), "--json", "--github"]).exit_code == 2
    (tmp_path / "postmortem.claims.json").write_text("[]", encoding="utf-8")
    assert runner.invoke(main, ["lint", str(file)]).exit_code == 2


def test_a_roster_is_names_handles_or_git_authors(tmp_path: Path) -> None:
    roster = tmp_path / "roster.txt"
    roster.write_text(
        "# people\n  41\tDana Whitfield <dana@corp.example>\n/src @mikkel @ana\nBo Lind\n", encoding="utf-8"
    )
    file = tmp_path / "own.md"
    file.write_text(
        "# P\n\nDana Whitfield asked, Bo Lind answered.\n\n## Sign-off\n\nBo Lind, 2026-11-23\n", encoding="utf-8"
    )
    told = json.loads(CliRunner().invoke(main, ["lint", str(file), "--roster", str(roster), "--json"]).output)
    assert [one["matched"] for one in told["findings"] if one["rule"] == "L-N01"] == ["Dana Whitfield", "Bo Lind"]


def test_standard_input() -> None:
    done = CliRunner().invoke(main, ["lint", "-"], input="# P\n\nThe culprit.\n")
    assert done.exit_code == 1
    assert "stdin:3:5: error L-B01" in done.output
