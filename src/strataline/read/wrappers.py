"""JSON envelopes: the records in which platforms and collectors put an application's own records.

What is an object or a list inside keeps its very bytes; what is a JSON string is decoded. Where a wrapper repeats a
key, its last value counts, since that is what the decoder gives; a key that is repeated inside of an object that is
handed on is left to whoever reads that. What the decoder refuses (no JSON, a lone surrogate, a raw control character,
``NaN``, nesting past the interpreter's limit) is no envelope, and the record stays as it is.

An envelope is told by two marks at least, and only by keys that its writer always sets. The names of the functions
are those of the envelopes.
"""

from __future__ import annotations

import binascii
import json
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Literal

import msgspec
from msgspec import Raw

from strataline.read.envelope import Envelope, Inner
from strataline.read.frame import MAX_RECORD

Fields = Mapping[str, bytes]
Read = Callable[[Fields, bytes], list[Inner] | None]

_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_LIST = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(str)
_NUMBERS = msgspec.json.Decoder(list[int])
_GZIP = b"\x1f\x8b"
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_MILLISECONDS = re.compile(rb'"\d{13}"')
_TRACE = re.compile(r"projects/[^/]+/traces/(.+)")


def _decoded(text: bytes) -> dict[str, bytes]:
    return {name: bytes(value) for name, value in _OBJECT.decode(text).items()}


def _from_object(read: Read) -> Callable[[bytes], list[Inner] | None]:
    """A way to open records that `read` does for the fields of an object: each value as its very bytes."""

    def opened(text: bytes) -> list[Inner] | None:
        if not text.startswith(b"{") and not text[:64].lstrip().startswith(b"{"):
            return None
        try:
            return read(_decoded(text), text)
        except _UNREADABLE:
            return None

    return opened


def _is_text(value: bytes | None) -> bool:
    return value is not None and value.startswith(b'"')


def _is_object(value: bytes | None) -> bool:
    return value is not None and value.startswith(b"{")


def _is_list(value: bytes | None) -> bool:
    return value is not None and value.startswith(b"[")


def _said(value: bytes | None) -> str:
    """A value as text: a string as it reads, null and what is missing as nothing, all else as written."""
    if value is None or value == b"null":
        return ""
    return _TEXT.decode(value) if value.startswith(b'"') else value.decode()


def _content(value: bytes | None) -> bytes:
    """What a value holds: a string decoded, all else its very bytes; null and what is missing hold nothing."""
    if value is None or value == b"null":
        return b""
    return _TEXT.decode(value).encode() if value.startswith(b'"') else value


def _fields(value: bytes | None) -> dict[str, bytes]:
    """The fields of an object; none where it is something else."""
    return _decoded(value) if value is not None and value.startswith(b"{") else {}


def _elements(value: bytes | None) -> list[bytes]:
    """The elements of a list; none where it is something else."""
    return list(map(bytes, _LIST.decode(value))) if value is not None and value.startswith(b"[") else []


def _line(text: bytes) -> bytes:
    """A line without its end."""
    return text[:-1].removesuffix(b"\r") if text.endswith(b"\n") else text


def _known(said: Mapping[str, str]) -> dict[str, str]:
    """What is known, without what is empty."""
    return {word: value for word, value in said.items() if value}


def _labels(fields: Fields, leave: Iterable[str] = ()) -> dict[str, str]:
    return {f"labels.{name}": _said(value) for name, value in fields.items() if name not in leave}


def _object(pairs: Iterable[tuple[str, bytes]]) -> bytes:
    """An object of keys and JSON values as written."""
    return b"{" + b",".join(msgspec.json.encode(name) + b":" + value for name, value in pairs) + b"}"


def _unpacked(value: bytes | None) -> Inner:
    """What base64 holds, and gzip in it.

    Text that is no base64, or holds a gzip stream that is damaged, or more than one, is as it is, with a fault. What is
    no text is not packed.
    """
    text = _content(value)
    if not _is_text(value):
        return Inner(text, {})
    damaged = Inner(text, {}, fault="not_unpacked", detail="base64 or gzip that does not decode")
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return damaged
    if not data.startswith(_GZIP):
        return Inner(data, {})
    unzip = zlib.decompressobj(wbits=31)
    try:
        made = unzip.decompress(data, MAX_RECORD + 1)
    except zlib.error:
        return damaged
    if len(made) <= MAX_RECORD and (not unzip.eof or unzip.unused_data):
        return damaged
    return Inner(made, {}) if len(made) <= MAX_RECORD else Inner(b"", {}, over=True)


def _each(
    elements: Iterable[bytes], read: Callable[[bytes], Inner | None], known: dict[str, str] | None = None
) -> list[Inner] | None:
    """What `read` finds in each element, and those in which it finds nothing as they stand; null where all are such."""
    inside = [(read(one), one) for one in elements]
    if inside and all(one is None for one, _ in inside):
        return None
    return [Inner(raw, known or {}) if one is None else one for one, raw in inside]


# --- Amazon Web Services


def _cloudwatch(fields: Fields, _: bytes) -> list[Inner] | None:
    """A CloudWatch Logs subscription: as a Lambda function is called with it, or as Kinesis and Firehose carry it.

    A CONTROL_MESSAGE says that the destination can be reached: there is nothing in it.
    """
    if set(fields) == {"awslogs"}:
        data = _fields(fields["awslogs"]).get("data")
        if not _is_text(data):
            return None
        packed = _unpacked(data)
        found = None if packed.over or packed.fault else _subscription(packed.text)
        return [packed] if found is None else found
    if not {"messageType", "logGroup", "logEvents"} <= fields.keys():
        return None
    if _said(fields["messageType"]) == "CONTROL_MESSAGE":
        return []
    place = {
        "log": _said(fields["logGroup"]),
        "labels.log_stream": _said(fields.get("logStream")),
        "labels.owner": _said(fields.get("owner")),
    }
    if not _is_list(fields["logEvents"]):
        return [Inner(fields["logEvents"], _known(place))]
    inside = []
    for raw in _elements(fields["logEvents"]):
        one = _fields(raw)
        if "message" not in one:
            inside.append(Inner(raw, _known(place)))
            continue
        said = {"time": _said(one.get("timestamp")), "time_role": "event", "id": _said(one.get("id"))}
        inside.append(Inner(_line(_content(one["message"])), _known(place | said)))
    return inside


_subscription = _from_object(_cloudwatch)

_LOG_EVENT = {
    "eventId",
    "ingestionTime",
    "logGroupIdentifier",
    "logGroupName",
    "logStreamName",
    "message",
    "timestamp",
}
_LOG_EVENTS = {
    "events",
    "nextBackwardToken",
    "nextForwardToken",
    "nextToken",
    "ResponseMetadata",
    "searchedLogStreams",
}


def _log_event(fields: Fields) -> Inner | None:
    if not {"message", "timestamp"} <= fields.keys() or not fields.keys() <= _LOG_EVENT:
        return None
    if len(fields) == 2 and not _MILLISECONDS.fullmatch(fields["timestamp"]):
        return None  # a row of the console's CSV has no more; applications write such records, too
    said = {
        "time": _said(fields["timestamp"]),
        "time_role": "event",
        "received": _said(fields.get("ingestionTime")),
        "id": _said(fields.get("eventId")),
        "log": _said(fields.get("logGroupName", fields.get("logGroupIdentifier"))),
        "labels.log_stream": _said(fields.get("logStreamName")),
    }
    return Inner(_line(_content(fields["message"])), _known(said))


def _cloudwatch_events(fields: Fields, _: bytes) -> list[Inner] | None:
    """What ``filter-log-events`` and ``get-log-events`` print, whole or by event, the live tail, the console's CSV."""
    if "events" not in fields:
        one = _log_event(fields)
        return None if one is None else [one]
    if len(fields) < 2 or not fields.keys() <= _LOG_EVENTS or not _is_list(fields["events"]):
        return None
    return _each(_elements(fields["events"]), lambda one: _log_event(_fields(one)))


def _insights_row(fields: Fields) -> Inner:
    """A row of a query; where it does not ask for the message, its fields are the record."""
    said = {
        "time": _said(fields.get("@timestamp")),
        "time_role": "event",
        "time_zone": "UTC",
        "received": _said(fields.get("@ingestionTime")),
        "received_zone": "UTC",
        "id": _said(fields.get("@ptr")),
        "log": _said(fields.get("@log")),
        "labels.log_stream": _said(fields.get("@logStream")),
    }
    if not said["time"]:
        del said["time_role"], said["time_zone"]
    if not said["received"]:
        del said["received_zone"]
    message = fields.get("@message")
    if message is None:
        return Inner(_object(fields.items()), _known(said))
    return Inner(_line(_content(message)), _known(said))


def _pairs(raw: bytes) -> dict[str, bytes] | None:
    """The fields of a row that is a list of field and value; null where it is none."""
    row: dict[str, bytes] = {}
    for one in map(_fields, _elements(raw)):
        if set(one) != {"field", "value"}:
            return None
        row[_said(one["field"])] = one["value"]
    return row or None


def _cloudwatch_insights(fields: Fields, _: bytes) -> list[Inner] | None:
    """CloudWatch Logs Insights: the document of ``get-query-results``, or rows of its CSV and JSON downloads."""
    if "@message" in fields and ("@timestamp" in fields or "@ptr" in fields):
        return [_insights_row(fields)]
    if not {"results", "status"} <= fields.keys():
        return None
    rows = _elements(fields["results"])
    if not rows and "statistics" not in fields:
        return None

    def read(one: bytes) -> Inner | None:
        row = _pairs(one)
        return None if row is None else _insights_row(row)

    return _each(rows, read)


_insights_object = _from_object(_cloudwatch_insights)


def _open_insights(text: bytes) -> list[Inner] | None:
    if not text.startswith(b"["):
        return _insights_object(text)
    try:
        row = _pairs(text)
    except _UNREADABLE:
        return None
    return None if row is None else [_insights_row(row)]


def _eventbridge(fields: Fields, _: bytes) -> list[Inner] | None:
    """An Amazon EventBridge event: what happened is its ``detail``."""
    if not {"detail-type", "detail", "source", "time"} <= fields.keys() or not _is_object(fields["detail"]):
        return None
    said = {
        "time": _said(fields["time"]),
        "time_role": "event",
        "id": _said(fields.get("id")),
        "service": _said(fields["source"]),
        "labels.detail-type": _said(fields["detail-type"]),
        "labels.account": _said(fields.get("account")),
        "labels.region": _said(fields.get("region")),
    }
    return [Inner(fields["detail"], _known(said))]


def _packed(raw: bytes | None, said: Mapping[str, str]) -> Inner:
    inside = _unpacked(raw)
    return replace(inside, text=inside.text if inside.fault else _line(inside.text), known=_known(said))


def _firehose_record(fields: Fields) -> Inner | None:
    if "kinesis" in fields and "eventSource" in fields:
        inside = _fields(fields["kinesis"])
        arrival = _said(inside.get("approximateArrivalTimestamp"))
        said = {"time": arrival, "time_role": arrival and "received", "id": _said(fields.get("eventID"))}
        return _packed(inside["data"], said) if "data" in inside else None
    if {"rawData", "arrivalTimestamp", "errorCode"} <= fields.keys():
        said = {"time": _said(fields["arrivalTimestamp"]), "time_role": "received"}
        return _packed(fields["rawData"], said | {"labels.error": _said(fields["errorCode"])})
    if {"recordId", "data"} <= fields.keys():
        arrival = _said(fields.get("approximateArrivalTimestamp"))
        said = {"time": arrival, "time_role": arrival and "received", "id": _said(fields["recordId"])}
        return _packed(fields["data"], said | {"labels.result": _said(fields.get("result"))})
    return None


def _firehose(fields: Fields, _: bytes) -> list[Inner] | None:
    """Kinesis and Firehose: what a function is called with and answers, what an endpoint gets, what failed.

    Data is base64, and gzip within that where CloudWatch Logs wrote it. A record that the function dropped has none.
    """
    one = _firehose_record(fields)
    if one is not None:
        return [one]
    records = _elements(fields.get("records", fields.get("Records")))
    said = {
        "time": _said(fields.get("timestamp")),
        "time_role": "received" if "timestamp" in fields else "",
        "id": _said(fields.get("requestId")),
    }
    inside, sound = [], 0
    for raw in records:
        record = _fields(raw)
        one = _firehose_record(record)
        if one is None and set(record) == {"data"} and fields.keys() <= {"records", "requestId", "timestamp"}:
            one = _packed(record["data"], said)
            sound += "requestId" in fields or (not one.fault and _is_readable(one))
        elif one is not None or {"recordId", "result"} <= record.keys():
            sound += 1
        if one is not None:
            inside.append(one)
        elif not {"recordId", "result"} <= record.keys():
            inside.append(Inner(raw, {}))
    return inside if sound else None


def _is_readable(inside: Inner) -> bool:
    """Whether what was packed is text: any word of so many letters is base64 of something."""
    return inside.over or (len(inside.text) > 1 and inside.text.decode("utf-8", "replace").isprintable())


def _firehose_data(fields: Fields, _: bytes) -> list[Inner] | None:
    """A record of what an endpoint gets, where its document was already taken apart."""
    if set(fields) != {"data"} or not _is_text(fields["data"]):
        return None
    inside = _packed(fields["data"], {})
    return [inside] if inside.fault or _is_readable(inside) else None


# --- Containers and hosts


class _Docker(msgspec.Struct, forbid_unknown_fields=True):
    stream: Literal["stdout", "stderr"]
    time: str
    log: str = ""
    attrs: dict[str, Raw] | None = None


_DOCKER = msgspec.json.Decoder(_Docker)


def _open_docker(text: bytes) -> list[Inner] | None:
    """Docker's json-file driver. A line over 16 KiB is cut; only its last piece keeps the line's end."""
    try:
        fields = _DOCKER.decode(text)
        known = {"time": fields.time, "time_role": "write", "stream": fields.stream}
        if fields.attrs:
            known = _known(known | _labels({name: bytes(value) for name, value in fields.attrs.items()}))
    except _UNREADABLE:
        return None
    line = fields.log.encode()
    return [Inner(_line(line), known, more=not line.endswith(b"\n"), joins=fields.stream)]


def _journald(fields: Fields, text: bytes) -> list[Inner] | None:
    """``journalctl -o json``.

    A message that is not all printable UTF-8 is a list of bytes; one that was sent several times a list of messages.
    A message that journalctl left out as too long (null, without ``--all``) leaves the entry as it is.
    """
    if "__REALTIME_TIMESTAMP" not in fields or not {"MESSAGE", "__CURSOR"} & fields.keys():
        return None
    taken = _said(fields["__REALTIME_TIMESTAMP"])
    source = _said(fields.get("_SOURCE_REALTIME_TIMESTAMP"))
    container = _said(fields.get("CONTAINER_NAME"))
    program = _said(fields.get("SYSLOG_IDENTIFIER", fields.get("_COMM")))
    known = _known(
        {
            "time": source or taken,
            "time_role": "write" if source else "received",
            "received": taken if source else "",
            "host": _said(fields.get("_HOSTNAME")),
            "container": container,
            "service": (not container and _said(fields.get("_SYSTEMD_UNIT"))) or program,
            "labels.program": program,
            "severity": _said(fields.get("PRIORITY")),
            "id": _said(fields.get("__CURSOR")),
        }
    )
    messages = _messages(fields.get("MESSAGE"))
    if messages is None:
        return [Inner(text, known)]
    more = _said(fields.get("CONTAINER_PARTIAL_MESSAGE")) == "true"
    joins = None
    if more or container:
        joins = f"{_said(fields.get('CONTAINER_ID_FULL')) or container} {known.get('severity')}"
    return [Inner(_line(message), known, more=more, joins=joins) for message in messages]


def _messages(raw: bytes | None) -> list[bytes] | None:
    """The messages of an entry; null where it has none."""
    if raw is None or raw == b"null":
        return None
    if not _is_list(raw):
        return [_content(raw)]
    elements = _elements(raw)
    if any(_is_text(one) or _is_list(one) or one == b"null" for one in elements):
        return [message for one in elements for message in _messages(one) or ()]
    try:
        return [bytes(_NUMBERS.decode(raw))]
    except ValueError:  # a number that is no byte
        return None


_BESIDE_LOG = {
    "@timestamp",
    "_p",
    "cluster",
    "container_created_at",
    "container_id",
    "container_image",
    "container_name",
    "date",
    "docker",
    "ec2_instance_id",
    "ecs_cluster",
    "ecs_task_arn",
    "ecs_task_definition",
    "file",
    "host",
    "hostname",
    "image",
    "kubernetes",
    "label",
    "level",
    "log",
    "log_type",
    "logtag",
    "message",
    "namespace",
    "node",
    "openshift",
    "partial_id",
    "partial_last",
    "partial_message",
    "partial_ordinal",
    "pipeline_metadata",
    "source",
    "source_type",
    "stream",
    "tag",
    "time",
    "timestamp",
    "viaq_msg_id",
}
"""Keys that collectors put beside a line. Others were taken out of the line itself."""


def _collector(fields: Fields, text: bytes) -> list[Inner] | None:
    """What Fluent Bit, Fluentd, Vector, FireLens and Docker's fluentd driver write for a line of a container.

    The line is ``log``, or ``message`` where nothing was parsed out of it. Where the collector parsed the line and
    kept no more than its fields, the record stays as it is, and what is known of its origin stands beside it.
    """
    kubernetes = _fields(fields.get("kubernetes"))
    names = {"pod_name", "namespace_name", "pod_namespace", "container_name"}
    of_pod = len(names & kubernetes.keys()) >= 2
    of_docker = {"container_id", "container_name", "log"} <= fields.keys()
    of_vector = {"source_type", "message", "timestamp"} <= fields.keys()
    if not of_pod and not of_docker and not of_vector:
        return None
    written = fields.get("time", fields.get("timestamp", fields.get("@timestamp", fields.get("date"))))
    known = {
        "time": _said(written),
        "time_role": "write" if written is not None else "",
        "host": _said(kubernetes.get("host", kubernetes.get("pod_node_name", fields.get("host")))),
        "pod": _said(kubernetes.get("pod_name")),
        "namespace": _said(kubernetes.get("namespace_name", kubernetes.get("pod_namespace"))),
        "container": _said(kubernetes.get("container_name", fields.get("container_name"))),
        "stream": _said(fields.get("stream", fields.get("source") if of_docker else None)),
        "log": _said(fields.get("file")),
    }
    labels = _fields(kubernetes.get("labels", kubernetes.get("pod_labels")))
    for name in ("ecs_cluster", "ecs_task_arn", "ecs_task_definition", "container_id"):
        known[f"labels.{name}"] = _said(fields.get(name))
    known = _known(known | _labels(labels))
    line = fields.get("log")
    if not _is_text(line):
        line = fields.get("message") if fields.keys() <= _BESIDE_LOG else None
    if not _is_text(line):
        structured = fields.get("structured")
        return [Inner(structured if structured and _is_object(structured) else text, known)]
    tag = _said(fields.get("logtag", fields.get("_p")))
    more = tag == "P" or (
        _said(fields.get("partial_message")) == "true" and _said(fields.get("partial_last")) != "true"
    )
    joins = None
    if tag or of_docker:
        joins = " ".join(known.get(word, "") for word in ("labels.container_id", "namespace", "pod", "container"))
        joins = f"{joins} {known.get('stream', '')}"
    return [Inner(_line(_content(line)), known, more=more, joins=joins)]


def _stern(fields: Fields, _: bytes) -> list[Inner] | None:
    """``stern -o json``."""
    if not {"message", "podName", "containerName", "namespace"} <= fields.keys():
        return None
    said = {
        "host": _said(fields.get("nodeName")),
        "pod": _said(fields["podName"]),
        "namespace": _said(fields["namespace"]),
        "container": _said(fields["containerName"]),
    }
    return [Inner(_line(_content(fields["message"])), _known(said | _labels(_fields(fields.get("labels")))))]


# --- Google Cloud

_PAYLOADS = ("jsonpayload", "textpayload", "protopayload", "protopayload_auditlog")
_GOOGLE = "logging.googleapis.com/"


def _trace(written: str) -> str:
    found = _TRACE.fullmatch(written)
    return found[1] if found else written


def _gcp(fields: Fields, text: bytes) -> list[Inner] | None:
    """A Google Cloud LogEntry, also with its keys in small letters, as BigQuery and SIEM copies have them.

    An entry without payload (a request log) stays as it is.
    """
    entry = {name.lower(): value for name, value in fields.items()}
    payload = next((entry[name] for name in _PAYLOADS if name in entry and entry[name] != b"null"), None)
    marks = {"insertid", "logname", "receivetimestamp", "resource"} & entry.keys()
    if not marks or (payload is None and len(marks) < 3):
        return None
    resource = _fields(entry.get("resource"))
    of = _fields(resource.get("labels"))
    places = {
        "pod": "pod_name",
        "namespace": "namespace_name",
        "container": "container_name",
        "service": "service_name",
    }
    said = _labels(of, places.values()) | _labels(_fields(entry.get("labels")))
    said |= {word: _said(of.get(name)) for word, name in places.items()}
    said |= {
        "time": _said(entry.get("timestamp")),
        "time_role": "event" if "timestamp" in entry else "",
        "received": _said(entry.get("receivetimestamp")),
        "host": said.pop("labels.compute.googleapis.com/resource_name", ""),
        "id": _said(entry.get("insertid")),
        "log": _said(entry.get("logname")),
        "severity": _said(entry.get("severity")),
        "trace_id": _trace(_said(entry.get("trace"))),
        "span_id": _said(entry.get("spanid")),
        "labels.resource_type": _said(resource.get("type")),
    }
    if payload is None:
        return [Inner(text, _known(said))]
    for name in ("httpRequest", "operation", "sourceLocation"):
        said[f"labels.{name}"] = _said(entry.get(name.lower()))
    return [Inner(_line(_content(payload)), _known(said))]


def _gcp_stdout(fields: Fields, text: bytes) -> list[Inner] | None:
    """Structured output before Google Cloud takes it in: its keys stand beside the application's, which stay."""
    special = {name.removeprefix(_GOOGLE): value for name, value in fields.items() if name.startswith(_GOOGLE)}
    if not {"trace", "spanId", "labels"} & special.keys() or ("severity" not in fields and len(special) < 2):
        return None
    said = _labels(_fields(special.get("labels")))
    said |= {
        "trace_id": _trace(_said(special.get("trace"))),
        "span_id": _said(special.get("spanId")),
        "id": _said(special.get("insertId")),
        "severity": _said(fields.get("severity")),
    }
    return [Inner(text, _known(said))]


# --- Microsoft


def _azure_tables(fields: Fields, _: bytes) -> list[Inner] | None:
    """The answer of Log Analytics, Application Insights or Kusto: each row as an object of its columns."""
    tables = _elements(fields.get("tables", fields.get("Tables")))
    inside, sound = [], []
    for table in tables:
        small = {name.lower(): value for name, value in _fields(table).items()}
        if not {"columns", "rows"} <= small.keys():
            inside.append(Inner(table, {}))
            continue
        described = map(_fields, _elements(small["columns"]))
        columns = [_said(column.get("name", column.get("ColumnName"))) for column in described]
        log = _said(small.get("name", small.get("tablename")))
        for row in _elements(small["rows"]):
            values = _elements(row)
            fits = len(values) == len(columns) and bool(values)
            sound.append(fits)
            text = _object(zip(columns, values, strict=True)) if fits else row
            inside.append(Inner(text, _known({"log": log})))
    return inside if tables and (any(sound) or not inside) else None


def _azure_records(fields: Fields, _: bytes) -> list[Inner] | None:
    """Resource logs as diagnostic settings send them to an event hub or a storage account."""
    if set(fields) != {"records"}:
        return None

    def read(one: bytes) -> Inner | None:
        record = _fields(one)
        if "time" not in record or not {"resourceId", "category", "operationName", "metricName"} & record.keys():
            return None
        return Inner(one, _known({"log": _said(record.get("category"))}))

    return _each(_elements(fields["records"]), read) or None


def _event_hub(fields: Fields, _: bytes) -> list[Inner] | None:
    """A captured event of Event Hubs or IoT Hub: ``Body`` is JSON, text, or base64 of JSON."""
    if not {"Body", "EnqueuedTimeUtc"} <= fields.keys():
        return None
    body, over = _content(fields["Body"]), False
    if _is_text(fields["Body"]):
        unpacked = _unpacked(fields["Body"])
        over = unpacked.over
        if unpacked.text[:1] in {b"{", b"["}:
            body = unpacked.text
    said = _labels(_fields(fields.get("Properties"))) | {
        "time": _said(fields["EnqueuedTimeUtc"]),
        "time_role": "received",
        "id": _said(fields.get("SequenceNumber")),
    }
    return [Inner(b"" if over else _line(body), _known(said), over=over)]


_CONSOLES = {"AppServiceConsoleLogs", "AppServiceAppLogs", "ContainerAppConsoleLogs"}


def _azure_row(fields: Fields, _: bytes) -> list[Inner] | None:
    """Rows of Azure tables that hold a line of a program; other rows are records of their own.

    They are those of Container Insights, Container Apps, App Service, and of containers in AzureDiagnostics.
    """
    of = dict(fields)
    category = _said(fields.get("category", fields.get("Category", fields.get("Type"))))
    if _is_object(fields.get("properties")) and "category" in fields:
        of |= _fields(fields["properties"])
    line: bytes | None = None
    if set(fields) == {"TimeStamp", "Log"}:
        line = of["Log"]
    elif "LogMessage" in of and {"LogSource", "PodName", "ContainerName"} & of.keys():
        line = of["LogMessage"]
    elif {"LogEntry", "LogEntrySource"} <= of.keys():
        line = of["LogEntry"]
    elif "Log_s" in of and {"ContainerAppName_s", "ContainerName_s"} & of.keys():
        line = of["Log_s"]
    elif "Log" in of and {"ContainerAppName", "ContainerName"} & of.keys():
        line = of["Log"]
    elif "log_s" in of and {"pod_s", "stream_s", "containerID_s"} & of.keys():
        line = of["log_s"]
    elif category in _CONSOLES:
        line = of.get("ResultDescription", of.get("resultDescription", of.get("Message")))
    if line is None:
        return None
    words = {
        "time": ("time", "time_t", "TimeGenerated", "TimeGenerated [UTC]", "TimeStamp"),
        "host": ("Computer", "Host"),
        "pod": ("PodName", "pod_s", "ContainerGroupName", "ContainerGroupName_s"),
        "namespace": ("PodNamespace",),
        "container": ("ContainerName", "ContainerName_s"),
        "stream": ("LogSource", "LogEntrySource", "Stream", "Stream_s", "stream_s"),
        "service": ("ContainerAppName", "ContainerAppName_s"),
        "severity": ("LogLevel", "Level", "level"),
        "labels.revision": ("RevisionName", "RevisionName_s"),
        "labels.container_id": ("ContainerId", "ContainerID", "ContainerId_s", "containerID_s"),
    }
    said = {
        word: next((value for name in names if (value := _said(of.get(name)))), "") for word, names in words.items()
    }
    said |= {"log": category, "time_role": "event" if said["time"] else ""}
    if "TimeGenerated [UTC]" in of and said["time"] == _said(of["TimeGenerated [UTC]"]):
        said["time_zone"] = "UTC"
    return [Inner(_line(_content(line)), _known(said))]


def _purview(fields: Fields, _: bytes) -> list[Inner] | None:
    """The unified audit log of Microsoft 365: rows of its CSV, of Search-UnifiedAuditLog and of the Graph query."""
    data = fields.get("AuditData", fields.get("auditData"))
    marks = {"CreationDate", "Operation", "Operations", "RecordId", "RecordType", "UserIds", "auditLogRecordType"}
    if data is None or not marks & fields.keys() or not _content(data).startswith(b"{"):
        return None
    created = _said(fields.get("CreationDate", fields.get("createdDateTime")))
    said = {
        "time": created,
        "time_role": "event" if created else "",
        "time_zone": "UTC" if created else "",
        "id": _said(fields.get("RecordId", fields.get("Identity", fields.get("id")))),
    }
    return [Inner(_content(data), _known(said))]


def _graph(fields: Fields, _: bytes) -> list[Inner] | None:
    """A page of a Microsoft Graph or other OData collection."""
    if not {"@odata.context", "value"} <= fields.keys() or not _is_list(fields["value"]):
        return None
    return _each(_elements(fields["value"]), lambda one: Inner(one, {}) if _is_object(one) else None)


# --- Log stores


def _splunk_row(fields: Fields, whole: bytes) -> Inner:
    said = {
        "time": _said(fields.get("_time")),
        "time_role": "event" if "_time" in fields else "",
        "received": _said(fields.get("_indextime")),
        "host": _said(fields.get("host")),
        "log": _said(fields.get("source")),
        "id": _said(fields.get("_cd")),
        "labels.sourcetype": _said(fields.get("sourcetype")),
        "labels.index": _said(fields.get("index")),
    }
    raw = fields.get("_raw")
    return Inner(whole if raw in {None, b"null"} else _line(_content(raw)), _known(said))


def _splunk(fields: Fields, text: bytes) -> list[Inner] | None:
    """Splunk: the export endpoint's lines, the results document, rows with ``_raw``.

    A preview row is what the search showed before it was done: the final rows say it again, so there is nothing in
    it. The row that only says ``lastrow`` has no result; where it has one, that counts. Without ``_raw`` (the search
    computed something) the result itself is the record.
    """
    if "preview" in fields and {"result", "lastrow"} & fields.keys():
        if fields["preview"] == b"true" or fields.get("result", b"null") == b"null":
            return []
        return [_splunk_row(_fields(fields["result"]), fields["result"])]
    if "results" in fields and {"preview", "init_offset"} <= fields.keys():
        rows = _elements(fields["results"])
        return _each(rows, lambda row: _splunk_row(_fields(row), row) if _is_object(row) else None)
    if "_raw" in fields and {"_time", "_cd", "sourcetype", "splunk_server"} & fields.keys():
        return [_splunk_row(fields, text)]
    return None


_HEC = {"event", "fields", "host", "index", "source", "sourcetype", "time"}


def _splunk_hec(fields: Fields, _: bytes) -> list[Inner] | None:
    """What is sent to Splunk's HTTP Event Collector."""
    if "event" not in fields or not fields.keys() <= _HEC:
        return None
    if not {"fields", "index", "sourcetype"} & fields.keys() and not {"host", "source"} <= fields.keys():
        return None
    said = _labels(_fields(fields.get("fields"))) | {
        "time": _said(fields.get("time")),
        "time_role": "event" if "time" in fields else "",
        "host": _said(fields.get("host")),
        "log": _said(fields.get("source")),
        "labels.sourcetype": _said(fields.get("sourcetype")),
        "labels.index": _said(fields.get("index")),
    }
    return [Inner(_line(_content(fields["event"])), _known(said))]


_LOKI_WORDS = {
    "host": ("node_name", "hostname", "host", "nodename"),
    "pod": ("pod", "pod_name"),
    "namespace": ("namespace",),
    "container": ("container", "container_name"),
    "stream": ("stream",),
    "service": ("service_name", "app"),
    "severity": ("detected_level", "level"),
    "trace_id": ("trace_id",),
    "span_id": ("span_id",),
    "log": ("filename",),
}


def loki_known(labels: Mapping[str, str]) -> dict[str, str]:
    """Return what the labels of a Loki stream say, in the words of an envelope."""
    said = {}
    used = set()
    for word, names in _LOKI_WORDS.items():
        name = next((one for one in names if one in labels), None)
        if name is not None:
            said[word] = labels[name]
            used.add(name)
    return said | {f"labels.{name}": value for name, value in labels.items() if name not in used}


def _loki_labels(labels: Fields) -> dict[str, str]:
    return loki_known({name: _said(value) for name, value in labels.items()})


def _loki_stream(fields: Fields) -> list[Inner] | None:
    """A stream of the API: its labels, and pairs of nanoseconds and line, some with more labels."""
    if not _is_object(fields.get("stream")) or not _is_list(fields.get("values")):
        return None
    labels = _fields(fields["stream"])

    def read(one: bytes) -> Inner | None:
        value = _elements(one)
        if not 2 <= len(value) <= 3 or not all(map(_is_text, value[:2])) or not all(map(_is_object, value[2:])):
            return None
        more = _fields(value[2]) if len(value) == 3 else {}
        if more.keys() & {"structuredMetadata", "parsed"} and all(map(_is_object, more.values())):
            more = {name: one for kind in more.values() for name, one in _fields(kind).items()}
        said = _loki_labels(labels | more) | {"time": _said(value[0]), "time_role": "event"}
        return Inner(_line(_content(value[1])), _known(said))

    return _each(_elements(fields["values"]), read, _known(_loki_labels(labels)))


def _loki(fields: Fields, _: bytes) -> list[Inner] | None:
    """Loki: ``logcli -o jsonl``, the query and push interfaces, and Grafana's download."""
    if {"line", "timestamp"} <= fields.keys() <= {"date", "fields", "labels", "line", "timestamp"}:
        if not _is_text(fields["line"]) or not _is_text(fields["timestamp"]):
            return None
        said = _loki_labels(_fields(fields.get("labels", fields.get("fields"))))
        said |= {"time": _said(fields["timestamp"]), "time_role": "event"}
        return [Inner(_line(_content(fields["line"])), _known(said))]
    if set(fields) == {"stream", "values"}:
        return _loki_stream(fields)
    streams = fields.get("streams") if set(fields) == {"streams"} else None
    if {"status", "data"} <= fields.keys():
        data = _fields(fields["data"])
        if _said(data.get("resultType")) != "streams":
            return None
        streams = data.get("result")
    if streams is None:
        return None
    found = [(_loki_stream(_fields(one)), one) for one in _elements(streams)]
    if found and all(lines is None for lines, _ in found):
        return None
    return [one for lines, raw in found for one in ([Inner(raw, {})] if lines is None else lines)]


def _tags(raw: bytes | None) -> dict[str, str]:
    """Datadog's tags, ``name:value`` each."""
    tags = [_said(one).partition(":") for one in _elements(raw)] if _is_list(raw) else []
    return {f"labels.{name}": value for name, _, value in tags}


def _datadog_log(fields: Fields, said: dict[str, str]) -> Inner:
    """What a log of Datadog holds: the message where it is an object, or where there are no attributes.

    Else the attributes, into which Datadog took an object apart, with the message as their ``message``.
    """
    message = _content(fields.get("message"))
    attributes = _fields(fields.get("attributes"))
    said = _tags(fields.get("tags")) | said
    for word, name in (("pod", "pod_name"), ("namespace", "kube_namespace"), ("container", "kube_container_name")):
        said[word] = said.pop(f"labels.{name}", "")
    if attributes and not (message.startswith(b"{") and _opens(message)):
        pairs = list(attributes.items())
        if message and "message" not in attributes:
            pairs.append(("message", fields["message"]))
        return Inner(_object(pairs), _known(said))
    return Inner(_line(message), _known(said))


def _opens(text: bytes) -> bool:
    try:
        _OBJECT.decode(text)
    except _UNREADABLE:
        return False
    return True


def _datadog_event(fields: Fields) -> Inner | None:
    if _said(fields.get("type")) != "log" or not _is_object(fields.get("attributes")):
        return None
    log = _fields(fields["attributes"])
    said = {
        "time": _said(log.get("timestamp")),
        "time_role": "event",
        "host": _said(log.get("host")),
        "service": _said(log.get("service")),
        "severity": _said(log.get("status")),
        "id": _said(fields.get("id")),
    }
    return _datadog_log(log, said)


def _datadog(fields: Fields, _: bytes) -> list[Inner] | None:
    """Datadog: events of the search interface (v2), lines of an archive, rows of its CSV download."""
    one = _datadog_event(fields)
    if one is not None:
        return [one]
    if "data" in fields and fields.keys() <= {"data", "links", "meta"}:
        return _each(_elements(fields["data"]), lambda event: _datadog_event(_fields(event))) or None
    if {"_id", "date"} <= fields.keys() and {"message", "attributes"} & fields.keys() and "source" in fields:
        said = {
            "time": _said(fields["date"]),
            "time_role": "event",
            "host": _said(fields.get("host")),
            "service": _said(fields.get("service")),
            "severity": _said(fields.get("status")),
            "id": _said(fields["_id"]),
            "labels.source": _said(fields["source"]),
        }
        return [_datadog_log(fields, said)]
    if {"Date", "Host", "Service", "Content"} <= fields.keys():
        said = _labels(fields, ("Date", "Host", "Service", "Content")) | {
            "time": _said(fields["Date"]),
            "time_role": "event",
            "host": _said(fields["Host"]),
            "service": _said(fields["Service"]),
        }
        return [Inner(_line(_content(fields["Content"])), _known(said))]
    return None


def _hit(fields: Fields) -> Inner | None:
    source = fields.get("_source", fields.get("fields"))
    if source is None or not {"_index", "_id"} <= fields.keys() or not _is_object(source):
        return None
    return Inner(source, _known({"id": _said(fields["_id"]), "log": _said(fields["_index"])}))


def _elasticsearch(fields: Fields, _: bytes) -> list[Inner] | None:
    """Hits of Elasticsearch or OpenSearch: one each, or the whole answer to a search."""
    one = _hit(fields)
    if one is not None:
        return [one]
    if "hits" not in fields or not {"took", "timed_out", "_shards", "_scroll_id"} & fields.keys():
        return None
    return _each(_elements(_fields(fields["hits"]).get("hits")), lambda hit: _hit(_fields(hit)))


_BESIDE_MESSAGE = {
    "@metadata",
    "@timestamp",
    "@version",
    "agent",
    "beat",
    "cloud",
    "container",
    "data_stream",
    "docker",
    "ecs",
    "elastic_agent",
    "event",
    "fields",
    "host",
    "input",
    "kubernetes",
    "labels",
    "log",
    "message",
    "offset",
    "orchestrator",
    "path",
    "prospector",
    "source",
    "stream",
    "tags",
    "type",
}


def _beats(fields: Fields, _: bytes) -> list[Inner] | None:
    """What Filebeat, Elastic Agent and Logstash write for a line that they did not take apart.

    A document with other keys was parsed: it is a record of its own.
    """
    if not _is_text(fields.get("message")) or "@timestamp" not in fields or not fields.keys() <= _BESIDE_MESSAGE:
        return None
    log, host = _fields(fields.get("log")), _fields(fields.get("host"))
    path = _said(_fields(log.get("file")).get("path", fields.get("source", fields.get("path"))))
    if not {"agent", "beat", "@version", "input"} & fields.keys() and not path:
        return None
    kubernetes = _fields(fields.get("kubernetes"))
    kind = _said(_fields(fields.get("input")).get("type"))
    said = _labels(_fields(kubernetes.get("labels"))) | _labels(_fields(fields.get("fields")))
    said |= {
        "time": _said(fields["@timestamp"]),
        "time_role": "write" if kind in {"container", "docker", "journald"} else "received",
        "host": _said(host.get("name", host.get("hostname", None if host else fields.get("host")))),
        "pod": _said(_fields(kubernetes.get("pod")).get("name")),
        "namespace": _said(kubernetes.get("namespace")),
        "container": _said(_fields(kubernetes.get("container", fields.get("container"))).get("name")),
        "stream": _said(fields.get("stream")),
        "log": path,
    }
    original = _fields(fields.get("event")).get("original")
    line = original if original is not None and _is_text(original) else fields["message"]
    return [Inner(_line(_content(line)), _known(said))]


def _open_array(text: bytes) -> list[Inner] | None:
    """A list of objects, or of little else, as one record: LiteLLM's batches, OPA's uploads, audit interfaces."""
    if not text.startswith(b"["):
        return None
    try:
        elements = _elements(text)
    except _UNREADABLE:
        elements = _sound_elements(text)
    odd = sum(not _is_object(one) for one in elements)
    return [Inner(one, {}) for one in elements] if odd < len(elements) - odd else None


def _sound_elements(text: bytes) -> list[bytes]:
    """The objects of a list that is cut, damaged, or holds NaN, and last what is left of it; none if none is sound.

    A batch holds a hundred records: a cut in the last must not cost the others.
    """
    try:
        whole = text.decode()
    except UnicodeDecodeError:
        return []
    found: list[bytes] = []
    at = 1
    while (start := whole.find("{", at)) >= 0 and whole[at:start].strip() in ("", ","):
        try:
            _, at = _LENIENT.raw_decode(whole, start)
        except (ValueError, RecursionError):
            return [*found, whole[start:].encode()] if found else []
        found.append(whole[start:at].encode())
    return found if whole[at:].strip() in ("]", "") else []


_LENIENT = json.JSONDecoder(strict=False, parse_float=str, parse_int=str, parse_constant=str)


_CARRIERS = {
    *("message", "@message", "_raw", "raw", "log", "line", "payload", "body", "content", "msg", "event_data", "record"),
    *("data", "auditdata", "log_s", "logmessage"),
}
_CARRIED_TIMES = ("time", "@timestamp", "timestamp", "_messagetime", "tsns", "date")
_OF_AN_EVENT = {
    *("action", "completion", "conversationid", "decision", "event", "eventname", "eventtype", "method", "model"),
    *("operation", "path", "prompt", "query", "question", "request", "requestid", "response", "role", "sessionid"),
    *("statuscode", "uri", "url", "user", "userid"),
}
"""Keys, without the marks between words, of what is a record of its own, whatever text it holds."""

_WIDEST_CELL = 12


def _cell(fields: Fields, _: bytes) -> list[Inner] | None:
    """A row or a record of a few plain values, one of which is text that holds a whole JSON object.

    That is what is left of a table or a log store whose download no other wrapper here knows. ``labels`` and
    ``labelTypes``, which Grafana writes as objects of their own, stand beside.
    """
    if not 1 <= len(fields) <= _WIDEST_CELL or any(_is_object(one) or _is_list(one) for one in fields.values()):
        return None
    if any(name.lower().replace("_", "").replace("-", "") in _OF_AN_EVENT for name in fields):
        return None
    texts = ((name, _content(one).strip()) for name, one in fields.items() if _is_text(one))
    held = {name: text for name, text in texts if text.startswith(b"{") and _opens(text)}
    labels = held.pop("labels", None)
    held.pop("labelTypes", None)
    if len(held) != 1:
        return None
    ((name, text),) = held.items()
    if name.lower() not in _CARRIERS:
        return None
    small = {one.lower(): one for one in fields}
    at = next((small[one] for one in _CARRIED_TIMES if one in small), None)
    said = _labels(fields, {name, at or name, "labels"})
    if labels is not None:
        said |= _loki_labels(_fields(labels))
    elif "labels" in fields:
        said["labels.labels"] = _said(fields["labels"])
    if at is not None and fields[at] != b"null":
        said |= {"time": _said(fields[at]), "time_role": "received"}
    return [Inner(text, _known(said))]


ENVELOPES = (
    Envelope("cloudwatch", _subscription),
    Envelope("cloudwatch-events", _from_object(_cloudwatch_events)),
    Envelope("cloudwatch-insights", _open_insights),
    Envelope("eventbridge", _from_object(_eventbridge)),
    Envelope("firehose", _from_object(_firehose)),
    Envelope("docker", _open_docker),
    Envelope("journald", _from_object(_journald)),
    Envelope("gcp", _from_object(_gcp)),
    Envelope("splunk", _from_object(_splunk)),
    Envelope("splunk-hec", _from_object(_splunk_hec)),
    Envelope("loki", _from_object(_loki)),
    Envelope("event-hub", _from_object(_event_hub)),
    Envelope("azure-records", _from_object(_azure_records)),
    Envelope("azure-tables", _from_object(_azure_tables)),
    Envelope("azure-row", _from_object(_azure_row)),
    Envelope("purview", _from_object(_purview)),
    Envelope("graph", _from_object(_graph)),
    Envelope("datadog", _from_object(_datadog)),
    Envelope("elasticsearch", _from_object(_elasticsearch)),
    Envelope("beats", _from_object(_beats)),
    Envelope("stern", _from_object(_stern)),
    Envelope("collector", _from_object(_collector)),
    Envelope("gcp-stdout", _from_object(_gcp_stdout)),
    Envelope("array", _open_array),
    Envelope("firehose-data", _from_object(_firehose_data), weak=True),
    Envelope("cell", _from_object(_cell)),
)
"""Every JSON envelope, the most specific first."""
