"""Hold what an examination says of a capture against the truth of its incident.

    python benchmarks/findings.py CASE TRUTH_DIR [--json]

`CASE` is a case of the capture, `TRUTH_DIR` holds ``ground_truth.parquet`` and ``truth.json`` (sets of requests
under ``incident``, changes under ``timeline_of_changes``, clock offsets). Requests of both are matched as
`accuracy.py` does. A set is right where the true requests that match it are those that the truth lists; a request
of the case that matches none counts as wrong. Times of changes are compared after the reference clock's true offset
was subtracted.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).parent))

import accuracy

from strataline import Case
from strataline.examine import Examined

SETS = (
    ("stale index, by check R-05", "stale_index_requests", "check:R-05"),
    ("stale index, as queries state it", "stale_index_requests", 'retrieval.index_version == "v12"'),
    ("filter failed open, by check F-03", "fail_open_requests", "check:F-03"),
    ("other model, by check M-02", "new_model_requests", "check:M-02"),
    ("other model, as rows state it", "new_model_requests", 'model.served_model == "acme-chat-2026-11-18"'),
    ("delivery begun before a block, by F-04", "unsafe_text_streamed_before_block", "check:F-04"),
)
"""Name, the truth's set, and the selector that chooses ours."""

NEAR_S = 2.0
"""A change counts as found if one is told within so many seconds of it."""

EXPECTED = {
    "incident.policy_fail_open": ("policy", "2026.11.4"),
    "incident.stale_index": ("retrieval", "kb_v12"),
    "incident.model_alias": ("model", "acme-chat-2026-11-18"),
    "benign.template_deploy": ("prompt", "8"),
    "fix.model_alias": ("model", "acme-chat-2026-10-01"),
    "fix.stale_index": ("retrieval", "kb_v14"),
    "fix.policy": ("policy", "2026.11.5"),
}
"""Kind of change in the truth → layer and new value that ours must have."""


def matched(case: Case, truth: Path) -> dict[str, str]:
    """Request of the case → true request."""
    rows = pl.read_parquet(truth / "ground_truth.parquet")
    pairs = accuracy.matched(case.frames["events"], rows)
    return {str(ours): str(theirs) for ours, theirs in pairs.iter_rows()}


def sets(case: Case, told: dict[str, object], pairs: dict[str, str]) -> list[dict[str, object]]:
    """Precision and recall of each of `SETS`."""
    made = []
    for name, key, selector in SETS:
        ours = case.affected(selector).requests.unique().to_list()
        true = set(told[key])  # type: ignore[call-overload]
        found = {pairs.get(one, one) for one in ours}
        right = len(found & true)
        made.append(
            {
                "set": name,
                "selector": selector,
                "case": len(found),
                "true": len(true),
                "precision": round(right / len(found), 4),
                "recall": round(right / len(true), 4),
            }
        )
    return made


def changes(found: Examined, told: list[dict[str, object]], reference_ns: int) -> list[dict[str, object]]:
    """Each true change and how far off the nearest change told of its layer and value is (s; null if none is near)."""
    at = found.changes.with_columns(t=pl.col("time").dt.epoch("ns") - reference_ns)
    made = []
    for one in told:
        kind = str(one["kind"])
        if kind not in EXPECTED:
            continue
        layer, value = EXPECTED[kind]
        of = at.filter((pl.col("layer") == layer) & (pl.col("new") == value))
        if one.get("replica"):
            of = of.filter(pl.col("service").str.contains(str(one["replica"]), literal=True))
        off = of.select(s=((pl.col("t") - int(str(one["true_time_ns"]))) / 1e9)).sort(pl.col("s").abs())["s"]
        near = off.len() and abs(off[0]) <= NEAR_S
        made.append({"change": kind, "where": one.get("replica") or layer, "off_s": round(off[0], 3) if near else None})
    return made


def main() -> None:
    """Score one case, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    case = Case.open(chosen.case)
    truth = json.loads((chosen.truth / "truth.json").read_text(encoding="utf-8"))
    pairs = matched(case, chosen.truth)
    reference = case.frames["clocks"].filter(pl.col("basis") == "reference")["clock"][0].split("/")[0]
    offset = truth["clock_offsets_ns"][reference]["offset_ns"]
    scored = sets(case, truth["incident"], pairs)
    times = changes(case.examine(), truth["timeline_of_changes"], offset)
    if chosen.json:
        print(json.dumps({"sets": scored, "changes": times}))
        return
    print("| set | case | true | precision | recall |\n| --- | --- | --- | --- | --- |")
    for row in scored:
        print(f"| {row['set']} | {row['case']} | {row['true']} | {row['precision']} | {row['recall']} |")
    print("\n| change | where | off by (s) |\n| --- | --- | --- |")
    for row in times:
        print(f"| {row['change']} | {row['where']} | {'not told' if row['off_s'] is None else row['off_s']} |")


if __name__ == "__main__":
    main()
