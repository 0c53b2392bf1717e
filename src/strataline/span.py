"""The shape in which every container of trace spans gives them, and in which every dialect reads them.

OTLP, SDK consoles, Jaeger, Zipkin and Phoenix write the same span in many containers; OpenInference, the GenAI
conventions, OpenLLMetry and others fill its attributes in many dialects. A container's `reshape` makes one `span` of
each, and the format declares ``items="span"``; a dialect is a format ``of="span"``, recognised span by span.

An item is a JSON object; what is not known is left out:

- ``name``, ``trace_id``, ``span_id``, ``parent_id`` (ids as written), ``kind`` (CLIENT, SERVER, INTERNAL, PRODUCER,
  CONSUMER), ``start``, ``end`` (as written), ``status`` (ok, error; else left out), ``status_message``;
- ``service``, ``scope``, ``scope_version``, ``resource`` (object: attribute → value);
- ``attributes`` (object: attribute → value). Keys keep their dots. Numbered keys are folded into lists:
  ``retrieval.documents.0.document.id`` is the ``document.id`` of the first element of ``retrieval.documents``;
- ``events`` (list of ``name``, ``time``, ``attributes``), ``error`` (``type`` and ``message`` of the first exception),
  ``links`` (list of ``trace_id``, ``span_id``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from strataline.format import encode

_NUMBERED = re.compile(r"\.(\d{1,6})(?:\.|$)")
_KINDS = {
    1: "INTERNAL",
    2: "SERVER",
    3: "CLIENT",
    4: "PRODUCER",
    5: "CONSUMER",
}
_STATUS = {1: "ok", 2: "error", "1": "ok", "2": "error", "OK": "ok", "ERROR": "error"}


def span(
    *,
    attributes: Mapping[str, Any],
    kind: object = None,
    status: object = None,
    events: Sequence[Mapping[str, Any]] = (),
    **rest: Any,
) -> str:
    """One item: the JSON text of a span.

    Args:
        attributes: attribute → value; see `key_values` for those of OTLP.
        kind: as any container writes it: 3, ``SPAN_KIND_CLIENT``, ``SpanKind.CLIENT``, ``client``.
        status: as any container writes it: 2, ``STATUS_CODE_ERROR``, ``ERROR``.
        events: each with ``name``, ``time`` and ``attributes`` (a mapping).
        rest: the other members of the shape; null and empty ones are left out.
    """
    item: dict[str, Any] = {name: value for name, value in rest.items() if value is not None and value != ""}
    item["attributes"] = folded(attributes)
    known = kind_of(kind)
    if known:
        item["kind"] = known
    ended = status_of(status)
    if ended:
        item["status"] = ended
    if events:
        item["events"] = [dict(one) for one in events]
        thrown = next((one.get("attributes") for one in events if one.get("name") == "exception"), None)
        if isinstance(thrown, Mapping):
            item["error"] = {"type": thrown.get("exception.type"), "message": thrown.get("exception.message")}
    return encode(item)


def kind_of(kind: object) -> str | None:
    """CLIENT and its like, of any spelling; null for unspecified.

    >>> kind_of(3), kind_of("SPAN_KIND_SERVER"), kind_of("SpanKind.INTERNAL"), kind_of(0)
    ('CLIENT', 'SERVER', 'INTERNAL', None)
    """
    if isinstance(kind, int):
        return _KINDS.get(kind)
    if not isinstance(kind, str):
        return None
    word = kind.rpartition(".")[2].upper().removeprefix("SPAN_KIND_")
    if word.isdigit():
        return _KINDS.get(int(word))
    return word if word in _KINDS.values() else None


def status_of(status: object) -> str | None:
    """Ok or error, of any spelling; null for unset.

    >>> status_of(2), status_of("STATUS_CODE_OK"), status_of("StatusCode.ERROR"), status_of("UNSET")
    ('error', 'ok', 'error', None)
    """
    if isinstance(status, str):
        status = status.rpartition(".")[2].upper().removeprefix("STATUS_CODE_")
    return _STATUS.get(status) if isinstance(status, (str, int)) else None


def key_values(listed: object) -> dict[str, Any]:
    """An OTLP KeyValue list as a mapping; of a repeated key the first wins.

    Source: opentelemetry-proto ``common.proto``, JSON mapping.

    >>> key_values([{"key": "a", "value": {"intValue": "5"}}, {"key": "b", "value": {"arrayValue": {"values": [{}]}}}])
    {'a': '5', 'b': [None]}
    """
    found: dict[str, Any] = {}
    if isinstance(listed, list):
        for one in listed:
            if isinstance(one, dict) and isinstance(key := one.get("key"), str) and key not in found:
                found[key] = any_value(one.get("value"))
    return found


def any_value(value: object) -> Any:
    """An OTLP AnyValue as plain JSON; numbers that are written as text stay text."""
    if not isinstance(value, dict):
        return value
    for name, inner in value.items():
        if inner is None:
            continue
        if name in ("arrayValue", "array_value"):
            listed = inner.get("values") if isinstance(inner, dict) else None
            return [any_value(one) for one in listed] if isinstance(listed, list) else []
        if name in ("kvlistValue", "kvlist_value"):
            return key_values(inner.get("values") if isinstance(inner, dict) else None)
        return inner
    return None


def folded(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes, numbered keys folded into lists in the order of their numbers.

    >>> folded({"d.10.id": "k", "d.2.id": "b", "d.2.tags.0": "x", "a.b": 1})
    {'d': [{'tags': ['x'], 'id': 'b'}, {'id': 'k'}], 'a.b': 1}
    """
    plain: dict[str, Any] = {}
    lists: dict[str, dict[int, list[tuple[str, Any]]]] = {}
    for key, value in attributes.items():
        found = _parted(key)
        if found is None:
            plain[key] = value
        else:
            head, number, rest = found
            lists.setdefault(head, {}).setdefault(number, []).append((rest, value))
    if not lists:
        return plain
    made: dict[str, Any] = {}
    for head, elements in lists.items():
        if head not in plain:
            made[head] = [_element(elements[number]) for number in sorted(elements)]
    return {**made, **plain}


@lru_cache(maxsize=4096)
def _parted(key: str) -> tuple[str, int, str] | None:
    """The parts of a numbered key: before the number, it, and after it. Writers repeat the same few keys."""
    found = _NUMBERED.search(key) if "." in key else None
    return found and (key[: found.start()], int(found.group(1)), key[found.end() :])


def _element(pairs: Iterable[tuple[str, Any]]) -> Any:
    listed = list(pairs)
    if len(listed) == 1 and not listed[0][0]:
        return listed[0][1]
    return folded({key: value for key, value in listed if key})
