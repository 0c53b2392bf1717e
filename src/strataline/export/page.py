"""A page of a terminal or a pipe: folded lines, labels, colour. Every text that enters it becomes printable here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells, set_cell_size

from strataline.escape import printable

_STYLES = {
    "prompt": "36",
    "retrieval": "32",
    "model": "35",
    "policy": "33",
    "ui": "34",
    "change": "31",
    "strong": "1",
    "dim": "2",
}
# Columns of a label.
LABEL = 13
# Columns that the last cell of a line needs beside the others.
ROOM = 24

Part = tuple[str, str]
"""A piece of a line that is not folded, and its style: a key of `_STYLES`, or nothing."""


@dataclass(frozen=True)
class Page:
    """Where the text goes: how wide it is (null: no bound), and whether it shows colour."""

    width: int | None
    colour: bool

    def paint(self, text: str, style: str) -> str:
        """The text in the colour of `style`, where there are colours."""
        if not self.colour or style not in _STYLES or not text:
            return text
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"

    def fold(self, head: Sequence[Part], parts: Iterable[Part], indent: int, between: str = "  ") -> list[str]:
        """`head` and then `parts`; where the width ends, a new line begins, `indent` columns in.

        A part that is wider than a line is folded between its words; a word stays whole. This is also where every
        text becomes printable.
        """
        safe = [(printable(text), style) for text, style in head]
        lines, line = [], "".join(self.paint(*part) for part in safe)
        used = sum(cell_len(text) for text, _ in safe)
        fresh = True
        for text, style, gap in self._pieces(parts, indent, between):
            beside = used + cell_len(text if fresh else gap + text)
            if self.width is not None and beside > self.width and not (fresh and used <= indent):
                lines.append(line.rstrip())
                line, used, fresh = " " * indent, indent, True
            before = "" if fresh else gap
            line += before + self.paint(text, style)
            used += cell_len(before + text)
            fresh = False
        return [*lines, line.rstrip()]

    def _pieces(self, parts: Iterable[Part], indent: int, between: str) -> Iterable[tuple[str, str, str]]:
        """What is not folded: (text, style, what stands before it on a line)."""
        for raw, style in parts:
            text = printable(raw)
            if self.width is None or indent + cell_len(text) <= self.width:
                yield text, style, between
            else:
                first, *others = text.split(" ")
                if others and indent + cell_len(f"{first} {others[0]}") <= self.width:
                    first = f"{first} {others.pop(0)}"  # a label stays beside what it is of
                yield first, style, between
                yield from ((word, style, " ") for word in others)

    def prose(self, head: Sequence[Part], text: str, style: str = "", last: str = "") -> list[str]:
        """`head` and then free text, folded between words; a word wider than a line is split, `last` is not."""
        indent = sum(cell_len(one) for one, _ in head)
        pieces = printable(text).split(" ")
        if self.width is not None:
            room = max(self.width - indent, 8)
            pieces = [piece for word in pieces for piece in (chop_cells(word, room) or [""])]
        parts = [(word, style) for word in pieces] + ([(last, style)] if last else [])
        return self.fold(head, parts, indent, " ")

    def crop(self, head: str, raw: str, style: str = "") -> str:
        """`head` and then as much of the text as one line holds."""
        text = printable(raw)
        if self.width is not None and cell_len(head + text) > self.width:
            text = set_cell_size(text, max(self.width - cell_len(head) - 1, 1)).rstrip() + "…"
        return head + self.paint(text, style)

    def labelled(self, label: str, parts: Iterable[Part]) -> list[str]:
        """The parts behind their label, folded below each other."""
        return self.fold([(f"  {label:<{LABEL}}", "dim")], parts, LABEL + 2)

    def section(self, title: str, lines: Sequence[str]) -> list[str]:
        """An empty line, the title, and the lines; nothing where there are none."""
        return ["", self.paint(title, "strong"), *lines] if lines else []

    def table(self, lines: Sequence[Sequence[str]], indent: int = 2, right: Sequence[int] = ()) -> list[str]:
        """Lines of cells below each other, the first of them the heading; the last cell is folded where it is long.

        Args:
            lines: the heading and the rows; each has as many cells.
            indent: columns before each line.
            right: places of the cells that stand to the right, such as numbers.
        """
        last = len(lines[0]) - 1
        safe = [[printable(cell) for cell in line] for line in lines]
        wide = [max(cell_len(line[place]) for line in safe) for place in range(last)]
        text = []
        for number, line in enumerate(safe):
            style = "" if number else "dim"
            gaps = [" " * (room - cell_len(cell)) for cell, room in zip(line[:last], wide, strict=True)]
            cells = [
                gap + cell if place in right else cell + gap
                for place, (cell, gap) in enumerate(zip(line[:last], gaps, strict=True))
            ]
            head = " " * indent + "".join(f"{cell}  " for cell in cells)
            if self.width is None or cell_len(head) + ROOM <= self.width:
                text += self.prose([(head, style)], line[last], style)
            elif cell_len(head) <= self.width + 2:
                text.append(self.paint(head.rstrip(), style))
                text += self.prose([(" " * (indent + 4), "")], line[last], style) if line[last] else []
            else:
                text += self._spelled(lines[0], line, indent) if number else []
        return text

    def _spelled(self, heading: Sequence[str], line: Sequence[str], indent: int) -> list[str]:
        """A line of a table that is too wide for one: its first cell, and below it the others, each with its name."""
        named = zip(heading[1:-1], line[1:-1], strict=True)
        parts = [(f"{name.partition(' (')[0]} {cell}", "") for name, cell in named if cell]
        text = [self.paint(printable(" " * indent + line[0]), "strong")]
        for some in (parts, [(line[-1], "")] if line[-1] else []):
            text += self.fold([(" " * (indent + 4), "")], some, indent + 4) if some else []
        return text
