"""What an examination says of a capture with ground truth, where the capture lies beside the repository."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

import strataline
from strataline import Case
from strataline.wording import banned

ROOT = Path(__file__).parent.parent
CAPTURE = ROOT.parent / "shared" / "captures" / "A"
FORMATS = ROOT / "sample_logs" / "assist_incident" / "formats"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CAPTURE.is_dir(), reason="no capture beside the repository")]


@pytest.fixture(scope="module")
def findings() -> ModuleType:
    spec = importlib.util.spec_from_file_location("findings_benchmark", ROOT / "benchmarks" / "findings.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module


@pytest.fixture(scope="module")
def case() -> Case:
    zones = {"app/uvicorn.log*": "America/New_York"}
    return strataline.reconstruct(CAPTURE / "logs", formats=[FORMATS], zones=zones)


def test_checks_and_filters_name_the_true_requests(case: Case, findings: ModuleType) -> None:
    told = json.loads((CAPTURE / "truth.json").read_text(encoding="utf-8"))["incident"]
    for row in findings.sets(case, told, findings.matched(case, CAPTURE)):
        assert row["precision"] >= 0.97, row
        assert row["recall"] >= 0.97, row


def test_every_change_is_told_in_time_and_none_as_the_cause(case: Case, findings: ModuleType) -> None:
    told = json.loads((CAPTURE / "truth.json").read_text(encoding="utf-8"))
    reference = case.frames["clocks"].filter(pl.col("basis") == "reference")["clock"][0].split("/")[0]
    examined = case.examine(case.affected("check:F-03"))
    offset = told["clock_offsets_ns"][reference]["offset_ns"]
    changes = findings.changes(examined, told["timeline_of_changes"], offset)
    assert len(changes) == 8
    assert all(row["off_s"] is not None and abs(row["off_s"]) <= 2 for row in changes), changes
    dimensions = set(examined.contrasts.filter("shown")["dimension"])
    assert {"index version", "policy version", "served model", "template"} <= dimensions
    for sentence in examined.findings["statement"].drop_nulls():
        assert banned(sentence) == []


def test_a_stream_that_had_begun_is_worded_as_delivery_and_not_as_shown(case: Case) -> None:
    found = case.examine().findings.filter((pl.col("check") == "F-04") & (pl.col("result") == "fired"))
    assert found["status"].to_list() == ["DER"]
    (sentence,) = found["statement"]
    assert sentence.startswith("Delivery of ")
    assert "had begun before" in sentence
    assert " shown " not in sentence
