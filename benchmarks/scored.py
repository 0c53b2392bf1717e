"""Precision and recall as a table of Markdown."""

from __future__ import annotations

from collections.abc import Mapping


def table(what: str, counts: Mapping[str, tuple[int, int, int]]) -> list[str]:
    """One row for each name in `counts`, which holds how often it was right, wrong and missed.

    A share of nothing is a dash: of a name that was never found there is no precision.
    """
    rows = [f"| {what} | right | wrong | missed | precision | recall |", "| --- | --- | --- | --- | --- | --- |"]
    for name, (right, wrong, missed) in counts.items():
        precision, recall = (f"{right / all_:.3g}" if all_ else "–" for all_ in (right + wrong, right + missed))
        rows.append(f"| {name} | {right} | {wrong} | {missed} | {precision} | {recall} |")
    return rows
