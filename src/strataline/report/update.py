"""An edited draft made anew: generated parts from the case, everything that people wrote kept."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from strataline.errors import CaseError
from strataline.report.draft import BANNER, Draft, emptied, hashes
from strataline.report.marks import ANCHOR, BLOCK, OPEN, SLOT, digest

OWN = ("window", "generated_by", "tool_version", "inputs_sha256", "tags")
"""Keys of the front matter that are made anew; the others are people's."""
NOTE = (
    "> **Edited by people in an earlier draft**, and kept when this part was made anew. Move what still holds to where "
    "it belongs, then delete this note."
)

_FRONT = re.compile(r"\A---\n(?P<text>.*?)^---\n", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"\s*<!-- c:C-.*?-->")


@dataclass(frozen=True)
class Updated:
    """What became of an edited draft.

    Args:
        draft: the new one; its sidecar is that of the new text.
        replaced: names of generated parts whose content is another than before.
        kept: what people wrote and where it is now, as sentences.
    """

    draft: Draft
    replaced: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def update(text: str, earlier: Mapping[str, Any] | None, fresh: Draft) -> Updated:
    """Put the generated parts of `fresh` into `text`, and keep what people wrote.

    Everything outside of generated parts stays as it is, but for open slots, whose questions are renewed. What people
    put in a slot within a generated part stays in it. A line that people changed or added there is set below the part,
    with what stood there before.

    Args:
        text: the edited draft.
        earlier: its sidecar; null where it is gone: then each line that is not made again counts as people's.
        fresh: a new draft of the case (made with the same sidecar, so that numbers of evidence stay).

    Raises:
        CaseError: if `text` is no draft.
    """
    text = text.replace("\r\n", "\n")
    if not BLOCK.search(text):
        hint = "strataline report CASE -o FILE, or --template, makes one"
        raise CaseError("no draft: it has no generated part", hint=hint)
    found = Updated(fresh)
    new = {match["name"]: match["text"] for match in BLOCK.finditer(fresh.text)}
    slots = {match["key"]: match["text"] for match in SLOT.finditer(text)}
    opened = {match["key"]: match["text"] for match in SLOT.finditer(fresh.text)}
    seen: set[str] = set()

    def block(match: re.Match[str]) -> str:
        name = match["name"]
        if name in seen or name not in new:
            return match[0]
        seen.add(name)
        body = _filled(new[name], slots)
        if emptied(body) != emptied(match["text"]):
            found.replaced.append(name)
        lost = _edited(name, match["text"], earlier, body)
        made = f"<!-- generated:begin {name} -->\n{body}<!-- generated:end {name} -->"
        lost += [
            f"{key}: {_bare(slots[key])}"
            for key in _keys(match["text"])
            if key not in opened and not _is_open(slots[key])
        ]
        if not lost:
            return made
        found.kept.append(f"section {name}: {len(lost)} edited lines stand in a note below it")
        return "\n".join([made, "", NOTE, ">", *(f"> - {one}" for one in lost)])

    inside = [match.span() for match in BLOCK.finditer(text)]
    made = _outside(text, inside, opened)
    made = BLOCK.sub(block, made)
    made = _missing(made, fresh.text, seen, slots, found)
    made = _front(made, fresh.text)
    written = [key for key, value in slots.items() if not _is_open(value)]
    if written:
        found.kept.insert(0, f"{len(written)} filled slots: {', '.join(written)}")
    return Updated(Draft(made, fresh.claims), found.replaced, found.kept)


def _keys(text: str) -> list[str]:
    return [match["key"] for match in SLOT.finditer(text)]


def _is_open(text: str) -> bool:
    return OPEN.fullmatch(text.strip()) is not None


def _bare(text: str) -> str:
    return " ".join(_COMMENT.sub("", text).split())


def _filled(text: str, slots: Mapping[str, str]) -> str:
    """New text with what people put in slots of these names."""

    def kept(match: re.Match[str]) -> str:
        old = slots.get(match["key"])
        if old is None or _is_open(old):
            return match[0]
        return f"<!-- human:{match['key']} -->{old}<!-- /human:{match['key']} -->"

    return SLOT.sub(kept, text)


def _outside(text: str, blocks: Sequence[tuple[int, int]], opened: Mapping[str, str]) -> str:
    """`text` with the questions of open slots outside of generated parts renewed."""

    def renewed(match: re.Match[str]) -> str:
        within = any(start <= match.start() < end for start, end in blocks)
        if within or match["key"] not in opened or not _is_open(match["text"]):
            return match[0]
        return f"<!-- human:{match['key']} -->{opened[match['key']]}<!-- /human:{match['key']} -->"

    return SLOT.sub(renewed, text)


def _edited(name: str, old: str, earlier: Mapping[str, Any] | None, new: str) -> list[str]:
    """What people changed within a generated part, as lines of a note: what they wrote, and what stood there."""
    lines = [line for line in emptied(old).split("\n") if line.strip()]
    stood = ((earlier or {}).get("blocks") or {}).get(name)
    if stood is not None and digest(emptied(old)) == stood["sha256"]:
        return []
    known = set(hashes(new.split("\n"))["lines"])
    if stood is not None:
        known |= set(stood["lines"])
    theirs = [line for line in lines if digest(line)[:16] not in known]
    claims = {one["id"]: one for one in (earlier or {}).get("claims") or () if one["section"] == name}
    made = []
    for line in theirs:
        anchor = ANCHOR.search(line)
        was = claims.pop(anchor["claim"], None) if anchor else None
        made.append(_bare(line) + (f" (was: {was['text']})" if was else ""))
    present = {match["claim"] for match in ANCHOR.finditer(old)}
    if stood is not None:
        made += [f"deleted by people: {one['text']}" for one in claims.values() if one["id"] not in present]
    return made


def _missing(text: str, fresh: str, seen: set[str], slots: Mapping[str, str], found: Updated) -> str:
    """`text` with the generated parts that it lacks, each behind the one before it in the outline."""
    names = [match["name"] for match in BLOCK.finditer(fresh)]
    for place, name in enumerate(names):
        if name in seen or re.search(rf"^<!-- generated:begin {re.escape(name)} -->$", text, re.MULTILINE):
            continue
        here = re.search(rf"^<!-- generated:begin {re.escape(name)} -->$", fresh, re.MULTILINE)
        end = f"<!-- generated:end {name} -->"
        if here is None:
            continue
        heading = fresh.rfind("\n#", 0, here.start()) + 1
        part = _filled(fresh[heading : fresh.index(end) + len(end)], slots)
        before = f"<!-- generated:end {names[place - 1]} -->" if place else ""
        at = text.find(before) + len(before) if place else text.find(BANNER) + len(BANNER)
        text = f"{text[:at]}\n\n{part}{text[at:]}"
        found.replaced.append(name)
        found.kept.append(f"section {name}: its generated part was deleted, and is there again")
    return text


def _front(text: str, fresh: str) -> str:
    """`text` with the front matter's generated keys made anew."""
    old, new = _FRONT.match(text), _FRONT.match(fresh)
    if new is None or old is None:
        return text
    made = {line.partition(":")[0]: line for line in new["text"].splitlines()}
    lines = [made[key] if (key := line.partition(":")[0]) in OWN else line for line in old["text"].splitlines()]
    have = {line.partition(":")[0] for line in lines}
    lines += [line for key, line in made.items() if key in OWN and key not in have]
    return "---\n" + "\n".join(lines) + "\n---\n" + text[old.end() :]
