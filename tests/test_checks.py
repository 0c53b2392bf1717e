"""What holds of every check: its declaration, and that it speaks plainly over any case, also an empty one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from strataline import CheckError
from strataline.event import FINDINGS, HITS, TABLES
from strataline.examine import ATTENTION, CHECKS, Check, Facts, Found, catalogue, named, run, unlocking
from strataline.examine.own import problems
from strataline.wording import banned

TESTS = Path(__file__).parent
OWN = """
import polars as pl

from strataline.examine import Check, Found


def _long(facts):
    answers = facts.responses.filter(pl.col("completed") & pl.col("output_chars").is_not_null())
    long = answers.filter(pl.col("output_chars") > 4000)
    return [Found(long.group_by("request", maintain_order=True).agg(events=pl.col("event_id")), answers["request"])]


CHECKS = (
    Check("O-1", "long-answer", ("model",), "CX", "OBS", ("model.output_chars",), _long, {statement!r}, {question!r}),
)
"""


def written(
    folder: Path, name: str = "mine.py", statement: str = "Long in {n:request}.", question: str = "How?"
) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(OWN.replace("{statement!r}", repr(statement)).replace("{question!r}", repr(question)))
    return folder


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_every_declaration_keeps_its_promises(check: Check) -> None:
    assert problems(check) == []
    assert check.core or check.alternatives or check.question
    tests = "".join(file.read_text(encoding="utf-8") for file in TESTS.glob("test_checks_*.py"))
    assert tests.count(f'"{check.id}"') >= 1, f"no test names {check.id}"


def test_ids_are_one_each_and_ordered_within_their_group() -> None:
    ids = [check.id for check in CHECKS]
    assert len(ids) == len(set(ids))
    for group in {one[0] for one in ids}:
        numbers = [int(one.split("-")[1]) for one in ids if one[0] == group]
        assert numbers == sorted(numbers), group


def test_nothing_at_all_says_of_each_check_why_it_could_not_run() -> None:
    found = run(Facts({table.name: table.empty() for table in TABLES}), CHECKS)
    assert found.findings.schema == FINDINGS.schema
    assert found.hits.schema == HITS.schema
    assert found.findings["check"].n_unique() == len(CHECKS)
    fired = found.findings.filter(pl.col("result") == "fired")
    assert fired.filter(pl.col("layers").list.contains("prompt") & (pl.col("attention") == "RU")).is_empty()
    silent = found.findings.filter((pl.col("result") == "not_evaluable") & pl.col("reason").is_null())
    assert silent.is_empty()


def test_reading_order_is_attention_then_users_then_requests(facts: Callable[..., Facts]) -> None:
    def rule(hits: int) -> Callable[[Facts], list[Found]]:
        def ruled(facts: Facts) -> list[Found]:
            some = facts.events.head(hits)
            return [Found(some.select("request", events=pl.concat_list("event_id")), some["request"])]

        return ruled

    def check(id: str, attention: str, hits: int) -> Check:
        return Check(id, "a-name", ("model",), attention, "OBS", (), rule(hits), "In {n:request}.", "How?")

    of = facts(*({"layer": "model", "kind": "model.call", "request": f"r{n}", "user": f"u{n}"} for n in range(3)))
    some = [check("O-1", "CX", 3), check("O-2", "SG", 1), check("O-3", "SG", 2), check("O-4", "RU", 0)]
    found = run(of, some).findings
    assert found["check"].to_list() == ["O-3", "O-2", "O-1", "O-4"]
    assert found["place"].to_list() == [0, 1, 2, 3]
    assert found["result"].to_list() == ["fired"] * 3 + ["clear"]
    assert found["statement"].to_list()[:3] == ["In 2 requests.", "In 1 request.", "In 3 requests."]
    assert list(ATTENTION) == ["RU", "SG", "DV", "CC", "EG", "CX"]


def test_own_checks_are_loaded_run_and_listed_after_the_shipped(tmp_path: Path, facts: Callable[..., Facts]) -> None:
    checks = catalogue([written(tmp_path / "checks")])
    assert [check.id for check in checks[: len(CHECKS)]] == [check.id for check in CHECKS]
    (own,) = checks[len(CHECKS) :]
    call = {"layer": "model", "kind": "model.call", "request": "r1", "outcome": "ok", "output_chars": 5000}
    (row,) = run(facts(call), [own]).findings.to_dicts()
    assert (row["finding"], row["statement"], row["count"]) == ("O-1", "Long in 1 request.", 1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"statement": "Long {n"}, "no format string"),
        ({"statement": "The model caused {n:request}."}, "'caused'"),
        ({"question": "Say how"}, "question mark"),
    ],
)
def test_an_own_check_that_breaks_a_promise_is_refused(tmp_path: Path, change: dict[str, str], says: str) -> None:
    with pytest.raises(CheckError, match=re.escape(says)):
        catalogue([written(tmp_path / "checks", **change)])


def test_two_checks_of_one_id_are_refused(tmp_path: Path) -> None:
    folder = written(tmp_path / "checks")
    written(folder, "other.py")
    with pytest.raises(CheckError, match="a second check called O-1"):
        catalogue([folder])


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="no such folder of checks"):
        catalogue([tmp_path / "none"])


def test_what_would_unlock_most_comes_first(facts: Callable[..., Facts]) -> None:
    found = run(facts({"layer": "model", "kind": "model.call", "request": "r"}), CHECKS).findings
    lacking = unlocking(found, CHECKS)
    assert lacking.height
    assert lacking["alone"].to_list() == sorted(lacking["alone"], reverse=True)
    assert all(lacking["checks"].list.len() >= 1)
    assert named("model.served_model") == "gen_ai.response.model in the model gateway's log"


def test_no_sentence_of_the_catalogue_uses_a_word_of_judgement() -> None:
    for check in CHECKS:
        for sentence in (check.statement, check.question, *check.alternatives):
            assert banned(sentence) == []
