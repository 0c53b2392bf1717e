"""How often text that is not addressed to a model looks as if it were, and how much of what is addressed is told.

    python benchmarks/instructions.py [FOLDER OR FILE …]

Benign text is what every machine has: the docstrings of Python's own modules, and the read-me files, licences and
metadata of what is installed beside Strataline; further folders of text can be named. It is cut into pieces of 1,200
characters, each of which is looked at alone. The positives, in instructions.jsonl, were written for this purpose in
the manner of incidents that were made public; they are few, and what they measure is a floor of what the rule is worth.
"""

from __future__ import annotations

import ast
import json
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from strataline.examine.text import FAMILIES, WINDOW, families, instruction_like

POSITIVES = Path(__file__).with_suffix(".jsonl")
"""What is addressed to a model: in which ``manner``, whether the rule is meant to tell it (``told``), and the text."""


def benign(places: list[Path]) -> Iterator[tuple[str, str]]:
    """Pieces of text: where they are from, and the piece."""
    for name, text in _found(places):
        flat = text.strip()
        for at in range(0, len(flat), WINDOW):
            if len(piece := flat[at : at + WINDOW]) >= WINDOW // 4:
                yield name, piece


def _found(places: list[Path]) -> Iterator[tuple[str, str]]:
    library = Path(sysconfig.get_paths()["stdlib"])
    for file in sorted(library.rglob("*.py")):
        if "site-packages" in file.parts or "test" in file.parts or "tests" in file.parts:
            continue
        texts = _docstrings(file)
        if texts:
            yield "docstrings of the standard library", "\n\n".join(texts)
    installed = Path(sysconfig.get_paths()["purelib"])
    for file in sorted(one for one in installed.rglob("*") if one.is_file()):
        if file.suffix in (".md", ".rst") or file.name == "METADATA" or file.name.startswith(("LICENSE", "NOTICE")):
            yield "read-me files, licences and metadata of packages", _read(file)
        elif file.suffix == ".py" and file.parts[len(installed.parts)] in ("polars", "duckdb", "pyarrow", "scipy"):
            yield "docstrings of packages", "\n\n".join(_docstrings(file))
    for place in places:
        files = sorted(one for one in place.rglob("*") if one.is_file()) if place.is_dir() else [place]
        for file in files:
            yield f"{place.name} (named)", _read(file)


def _docstrings(file: Path) -> list[str]:
    try:
        tree = ast.parse(_read(file))
    except (SyntaxError, ValueError):
        return []
    nodes = [one for one in ast.walk(tree) if isinstance(one, ast.Module | ast.ClassDef | ast.FunctionDef)]
    return [text for one in nodes if (text := ast.get_docstring(one))]


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")


def main(places: list[str]) -> None:
    """Print the rates."""
    pieces = pl.DataFrame(list(benign([Path(one) for one in places])), schema=["from", "text"], orient="row")
    pieces = pieces.unique("text", maintain_order=True)
    texts = pieces["text"]
    rows = families(texts)
    told = instruction_like(texts)
    of = pieces.with_row_index("n").select(pl.col("n").cast(pl.Int64), "from")
    flagged = told.join(of, left_on="text", right_on="n")
    print(f"{'pieces':>8}  from")
    for name, count in pieces.group_by("from", maintain_order=True).len().iter_rows():
        print(f"{count:>8,}  {name}")
    print(f"\n{texts.len():,} pieces of up to {WINDOW:,} characters; with a family, by themselves:")
    for family in FAMILIES:
        n = rows.filter(pl.col("family") == family)["text"].n_unique()
        print(f"  {family:<10} {n:>6,}  {100 * n / texts.len():.3f} %")
    print(f"  the rule   {told.height:>6,}  {100 * told.height / texts.len():.3f} %\n")
    for name, found, spans in flagged.select("from", "families", "spans").iter_rows():
        print(f"  {name}: {', '.join(f'{one} {span!r}' for one, span in zip(found, spans, strict=True))}")
    positives = [json.loads(line) for line in POSITIVES.read_text(encoding="utf-8").splitlines()]
    known = set(instruction_like(pl.Series([one["text"] for one in positives]))["text"])
    print(f"\n{len(known)} of {len(positives)} texts that are addressed to a model; not told:")
    for n, one in enumerate(positives):
        if n not in known:
            print(f"  {one['manner']}")


if __name__ == "__main__":
    main(sys.argv[1:])
