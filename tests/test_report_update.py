"""An edited draft made anew: what people wrote stays, what was generated is generated, and it says what it did."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from strataline import Case
from strataline.cli import main
from strataline.errors import CaseError
from strataline.report.draft import Draft, template
from strataline.report.marks import BLOCK, SLOT
from strataline.report.update import NOTE, update

SAMPLE = Path(__file__).resolve().parent.parent / "sample_logs" / "assist_incident"


@pytest.fixture(scope="module")
def case(incident: Callable[..., Case]) -> Case:
    return incident(zoned=True)


def drafted(case: Case, earlier: Draft | None = None, selector: str = "check:F-03") -> Draft:
    sidecar = None if earlier is None else json.loads(earlier.sidecar)
    return case.report(case.examine(case.affected([selector])), earlier=sidecar)


@pytest.fixture(scope="module")
def draft(case: Case) -> Draft:
    return drafted(case)


@pytest.fixture(scope="module")
def other(case: Case, draft: Draft) -> Draft:
    """Of another affected set, with the numbers of evidence of the first."""
    return drafted(case, draft, 'retrieval.index_version == "v12"')


def filled(text: str, key: str, words: str) -> str:
    found = next(match for match in SLOT.finditer(text) if match["key"] == key)
    return text[: found.start("text")] + words + text[found.end("text") :]


def test_an_untouched_draft_stays_as_it_is(case: Case, draft: Draft) -> None:
    found = update(draft.text, draft.claims, drafted(case, draft))
    assert found.draft.text == draft.text
    assert found.draft.sidecar == draft.sidecar
    assert (found.replaced, found.kept) == ([], [])


def test_what_people_wrote_stays_and_a_second_update_changes_nothing(draft: Draft, other: Draft) -> None:
    text = filled(draft.text, "summary", "\nAnswers passed unfiltered.\n\n- one\n- two\n")
    text = filled(text, "judgement_F-03", "we think it matters")
    text = text.replace("## 12. Follow-ups\n", "## 12. Follow-ups\n\nOur own words, with EV-0003.\n")
    text = text.replace("status: Draft", "status: In review").replace(
        'title: "<<HUMAN:title', 'title: "Open filter <<HUMAN:x'
    )
    found = update(text, draft.claims, other)
    new = found.draft.text
    slots = {match["key"]: match["text"] for match in SLOT.finditer(new)}
    assert slots["summary"] == "\nAnswers passed unfiltered.\n\n- one\n- two\n"
    assert slots["judgement_F-03"] == "we think it matters"
    assert "Our own words, with EV-0003." in new
    assert "status: In review" in new
    assert 'title: "Open filter' in new
    assert new.splitlines()[:9] != text.splitlines()[:9]
    assert "1" in found.replaced
    assert "14" not in found.replaced
    assert found.kept[0].startswith("2 filled slots")
    assert NOTE not in new
    again = update(new, found.draft.claims, other)
    assert again.draft.text == new
    assert again.replaced == []


def test_numbers_of_evidence_stay_what_they_are(draft: Draft, other: Draft) -> None:
    before, after = draft.claims["evidence"], other.claims["evidence"]
    assert {number: one["event"] for number, one in before.items()} == {
        number: after[number]["event"] for number in before
    }
    assert len(after) > len(before)


def test_an_edited_sentence_is_kept_aside_with_what_it_was(draft: Draft, other: Draft) -> None:
    old = next(line for line in draft.text.splitlines() if "**Who and when.**" in line)
    text = draft.text.replace(old, old.replace("are affected", "were badly affected"))
    found = update(text, draft.claims, other)
    block = next(match for match in BLOCK.finditer(found.draft.text) if match["name"] == "1")
    after = found.draft.text[block.end() :].split("<!-- human:summary -->")[0]
    assert "were badly affected" not in block["text"]
    assert "were badly affected" in after
    assert "(was: [DER" in after
    assert NOTE in after
    assert "<!-- c:" not in after
    assert "section 1: 1 edited lines stand in a note below it" in found.kept
    again = update(found.draft.text, found.draft.claims, other)
    assert again.draft.text == found.draft.text


def test_added_and_deleted_lines_are_kept_aside_too(draft: Draft, other: Draft) -> None:
    row = next(line for line in draft.text.splitlines() if "**onset**" in line)
    text = draft.text.replace(
        row, "| 2026-11-21 23:03:00.000 | before | people | the pager went off | [HUM: on-call, day] | – |"
    )
    found = update(text, draft.claims, other)
    note = found.draft.text.split("<!-- generated:end 3 -->", 1)[1].split("<!-- human:", 1)[0]
    assert "the pager went off" in note
    assert "deleted by people: | 2026" in note
    assert "**onset**" in note


def test_a_deleted_part_is_there_again_and_it_is_said(draft: Draft, other: Draft) -> None:
    start = draft.text.index("### 4.2 Retrieval")
    text = draft.text[:start] + draft.text[draft.text.index("### 4.3 Model") :]
    found = update(text, draft.claims, other)
    names = [match["name"] for match in BLOCK.finditer(found.draft.text)]
    assert names == [match["name"] for match in BLOCK.finditer(other.text)]
    assert "section 4.2: its generated part was deleted, and is there again" in found.kept
    assert update(found.draft.text, found.draft.claims, other).draft.text == found.draft.text


def test_a_template_is_filled_and_its_open_questions_are_renewed(draft: Draft) -> None:
    empty = template(draft.claims["version"])
    text = filled(empty.text, "summary", "\nWritten before the logs came.\n")
    found = update(text, empty.claims, draft)
    assert "Written before the logs came." in found.draft.text
    assert "no logs were supplied yet" not in found.draft.text
    questions = {match["key"]: match["text"] for match in SLOT.finditer(found.draft.text)}
    assert questions["policy_answers"] == {m["key"]: m["text"] for m in SLOT.finditer(draft.text)}["policy_answers"]
    assert filled(found.draft.text, "summary", "x") == filled(draft.text, "summary", "x")


def test_without_claims_nothing_that_people_may_have_written_is_lost(draft: Draft, other: Draft) -> None:
    old = next(line for line in draft.text.splitlines() if "**Who and when.**" in line)
    text = draft.text.replace(old, "- our own sentence")
    found = update(text, None, other)
    assert "our own sentence" in found.draft.text
    same = update(draft.text.replace(old, "- our own sentence"), None, draft)
    assert re.search(r"^> - - our own sentence$", same.draft.text, re.MULTILINE)
    assert same.draft.text.count("> - ") == 1


def test_a_slot_whose_row_is_gone_is_kept_aside(draft: Draft, other: Draft) -> None:
    gone = {m["key"] for m in SLOT.finditer(draft.text)} - {m["key"] for m in SLOT.finditer(other.text)}
    if not gone:
        pytest.skip("both sets have the same conditions")
    key = min(gone)
    found = update(filled(draft.text, key, "our judgement of it"), draft.claims, other)
    assert f"{key}: our judgement of it" in found.draft.text


def test_lines_ends_of_another_system_are_no_edit(case: Case, draft: Draft) -> None:
    found = update(draft.text.replace("\n", "\r\n"), draft.claims, drafted(case, draft))
    assert found.draft.text == draft.text


def test_what_is_no_draft_is_refused(draft: Draft) -> None:
    with pytest.raises(CaseError, match="no draft"):
        update("# My notes\n", None, draft)


def test_the_command_updates_in_place_and_says_what_it_kept(case: Case, tmp_path: Path) -> None:
    folder, file = tmp_path / "case", tmp_path / "pm.md"
    case.write(folder)
    runner = CliRunner()
    assert runner.invoke(main, ["report", "--template", "-o", str(file)]).exit_code == 0
    file.write_text(filled(file.read_text(encoding="utf-8"), "severity", "\nclass 2\n"), encoding="utf-8")
    arguments = ["report", str(folder), "--affected", "check:F-03", "--update", str(file)]
    first = runner.invoke(main, arguments)
    assert first.exit_code == 0, first.output
    assert "kept: 1 filled slots: severity" in first.output
    text = file.read_text(encoding="utf-8")
    assert "class 2" in text
    second = runner.invoke(main, arguments)
    assert second.exit_code == 0
    assert "made anew: 0 parts (nothing)" in second.output
    assert file.read_text(encoding="utf-8") == text
    (tmp_path / "pm.claims.json").unlink()
    third = runner.invoke(main, arguments)
    assert third.exit_code == 0
    assert "no claims beside the draft" in third.output
    (tmp_path / "pm.claims.json").write_text("[]", encoding="utf-8")
    assert runner.invoke(main, arguments).exit_code == 2
