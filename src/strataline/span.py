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

import msgspec
from msgspec import UNSET, UnsetType

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


class _Value(msgspec.Struct, gc=False, rename="camel"):
    """An AnyValue of OTLP; and below it the other messages, as the JSON mapping of opentelemetry-proto writes them."""

    string_value: str | UnsetType = UNSET
    int_value: Any = UNSET
    bool_value: bool | UnsetType = UNSET
    double_value: Any = UNSET
    bytes_value: str | UnsetType = UNSET
    array_value: Any = UNSET
    kvlist_value: Any = UNSET


class _KeyValue(msgspec.Struct, gc=False):
    key: str
    value: _Value


class _Holder(msgspec.Struct, gc=False, rename="camel"):
    """A resource, or a scope."""

    name: str | UnsetType = UNSET
    version: str | UnsetType = UNSET
    attributes: list[_KeyValue] | UnsetType = UNSET
    dropped_attributes_count: int | UnsetType = UNSET


class _Event(msgspec.Struct, gc=False, rename="camel"):
    time_unix_nano: str | int | UnsetType = UNSET
    name: str | UnsetType = UNSET
    attributes: list[_KeyValue] | UnsetType = UNSET
    dropped_attributes_count: int | UnsetType = UNSET


class _Link(msgspec.Struct, gc=False, rename="camel"):
    trace_id: str | UnsetType = UNSET
    span_id: str | UnsetType = UNSET
    trace_state: str | UnsetType = UNSET
    attributes: list[_KeyValue] | UnsetType = UNSET
    dropped_attributes_count: int | UnsetType = UNSET
    flags: int | UnsetType = UNSET


class _Status(msgspec.Struct, gc=False):
    code: str | int | UnsetType = UNSET
    message: str | UnsetType = UNSET


class _Span(msgspec.Struct, gc=False, rename="camel"):
    trace_id: str | UnsetType = UNSET
    span_id: str | UnsetType = UNSET
    parent_span_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    kind: str | int | UnsetType = UNSET
    start_time_unix_nano: str | int | UnsetType = UNSET
    end_time_unix_nano: str | int | UnsetType = UNSET
    attributes: list[_KeyValue] | UnsetType = UNSET
    events: list[_Event] | UnsetType = UNSET
    links: list[_Link] | UnsetType = UNSET
    status: _Status | UnsetType = UNSET
    trace_state: str | UnsetType = UNSET
    flags: int | UnsetType = UNSET
    dropped_attributes_count: int | UnsetType = UNSET
    dropped_events_count: int | UnsetType = UNSET
    dropped_links_count: int | UnsetType = UNSET


class _Scoped(msgspec.Struct, gc=False, rename="camel"):
    spans: list[_Span] | UnsetType = UNSET
    scope: _Holder | UnsetType = UNSET
    schema_url: str | UnsetType = UNSET


class _Resourced(msgspec.Struct, gc=False, rename="camel"):
    scope_spans: list[_Scoped] | UnsetType = UNSET
    resource: _Holder | UnsetType = UNSET
    schema_url: str | UnsetType = UNSET


class _Batch(msgspec.Struct, gc=False, rename="camel"):
    resource_spans: list[_Resourced]


_BATCHES = msgspec.json.Decoder(_Batch)


def otlp_spans(text: str) -> list[str] | None:
    """One item for each span of an OTLP batch that is written by the letter of the JSON mapping.

    Source: opentelemetry-proto ``trace.proto``, JSON mapping.

    Returns:
        Null where the batch has other names or types, a null, or a key twice: it takes a more patient reader.
    """
    try:
        batch = _BATCHES.decode(text)
    except msgspec.DecodeError:
        return None
    # What is repeated or unknown is one key fewer when written again. Texts that hold what looks like a key are
    # written alike.
    if msgspec.json.encode(batch).count(b'":') != text.count('":'):
        return None
    made = []
    for held in batch.resource_spans:
        resource = _plain(held.resource.attributes) if held.resource else {}
        for scoped in held.scope_spans or ():
            scope = scoped.scope or _Holder()
            shared = {
                "service": resource.get("service.name"),
                "scope": scope.name or None,
                "scope_version": scope.version or None,
                "resource": resource or None,
            }
            shared = {name: value for name, value in shared.items() if value is not None and value != ""}
            made += [_item(one, shared) for one in scoped.spans or ()]
    return made


def _item(one: _Span, shared: Mapping[str, Any]) -> str:
    status = one.status or _Status()
    start, end = one.start_time_unix_nano, one.end_time_unix_nano
    item: dict[str, Any] = {
        "status_message": status.message,
        "name": one.name,
        "trace_id": one.trace_id,
        "span_id": one.span_id,
        "parent_id": one.parent_span_id,
        # A zero is an unset time: a span that never ended.
        "start": start if start != "0" else None,
        "end": end if end != "0" else None,
    }
    item = {name: value for name, value in item.items() if value}
    item.update(shared)
    if one.links:
        item["links"] = [{"trace_id": link.trace_id or None, "span_id": link.span_id or None} for link in one.links]
    item["attributes"] = folded(_plain(one.attributes))
    if known := kind_of(one.kind):
        item["kind"] = known
    if ended := status_of(status.code):
        item["status"] = ended
    if one.events:
        events: list[dict[str, Any]] = [
            {
                "name": None if event.name is UNSET else event.name,
                "time": None if event.time_unix_nano is UNSET else event.time_unix_nano,
                "attributes": _plain(event.attributes),
            }
            for event in one.events
        ]
        item["events"] = events
        thrown = next((event["attributes"] for event in events if event["name"] == "exception"), None)
        if thrown is not None:
            item["error"] = {"type": thrown.get("exception.type"), "message": thrown.get("exception.message")}
    return encode(item)


def _plain(listed: list[_KeyValue] | UnsetType) -> dict[str, Any]:
    """A KeyValue list as a mapping; of a repeated key the first wins."""
    if not listed:
        return {}
    found: dict[str, Any] = {}
    for one in listed:
        if one.key not in found:
            text = one.value.string_value
            found[one.key] = _other(one.value) if text is UNSET else text
    return found


def _other(value: _Value) -> Any:
    for one in (value.int_value, value.bool_value, value.double_value, value.bytes_value):
        if one is not UNSET and one is not None:
            return one
    if value.array_value is not UNSET:
        return any_value({"arrayValue": value.array_value})
    return None if value.kvlist_value is UNSET else any_value({"kvlistValue": value.kvlist_value})
