from __future__ import annotations

import base64
import gzip
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from strataline.read.envelope import WORDS, Unwrapper, plan
from strataline.read.frame import MAX_RECORD, RECORDS, conform
from strataline.read.wrappers import ENVELOPES

SHARED = Path(__file__).resolve().parents[2] / "shared"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real records is not here")
NAMED = {one.name: one for one in ENVELOPES}


def records(path: str) -> list[bytes]:
    return [line for line in (SHARED / "real_logs" / path).read_bytes().splitlines() if line.strip()]


def claims(record: bytes) -> list[str]:
    return [one.name for one in ENVELOPES if one.open(record) is not None]


def opened(name: str, record: object) -> list[tuple[bytes, dict[str, str]]]:
    """What `name`, and no other envelope (but those of any list or cell), finds inside: text, and what is known."""
    text = record if isinstance(record, bytes) else json.dumps(record).encode()
    assert claims(text)[0] == name
    assert set(claims(text)[1:]) <= {"array", "cell"}
    inside = NAMED[name].open(text)
    assert inside is not None
    for one in inside:
        assert all(one.known.values())
        assert all(word in WORDS or word.startswith("labels.") for word in one.known)
    return [(one.text, one.known) for one in inside]


def unwrap(texts: list[bytes], names: list[str], cuts: list[int] | None = None) -> list[dict[str, Any]]:
    at = 0
    rows = []
    for number, text in enumerate(texts):
        rows.append({"line": number + 1, "offset": at, "length": len(text), "text": text})
        at += len(text) + 1
    schema = {name: RECORDS[name] for name in ("line", "offset", "length", "text")}
    frame = conform(pl.DataFrame(rows, schema=schema))
    unwrapper = Unwrapper([NAMED[name] for name in names])
    found = []
    start = 0
    for cut in [*sorted(cuts or []), len(frame)]:
        found += unwrapper.feed(frame.slice(start, max(cut - start, 0))).to_dicts()
        start = max(start, cut)
    return found + unwrapper.end().to_dicts()


# --- which records are envelopes


@real
def test_no_application_record_is_taken_for_an_envelope() -> None:
    found = {}
    for folder in (SHARED / "real_logs", SHARED / "captures" / "A" / "logs"):
        for path in sorted(folder.rglob("*")):
            if not path.is_file() or path.name == "SOURCE.md" or path.suffix in {".db", ".parquet"}:
                continue
            content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            names = Counter(name for line in content.splitlines()[:25] if line.strip() for name in claims(line))
            if names:
                found[path.relative_to(folder).as_posix()] = dict(names)
    assert found == {
        "cloudwatch/lambda_event_awslogs.json": {"cloudwatch": 1},
        "cloudwatch/subscription_data_message.json": {"cloudwatch": 1},
        "csp/reporting_api.json": {"array": 1},
        "docker_json/fluentbit_fixtures.log": {"docker": 25},
        "docker_json/partial_lines.log": {"docker": 14},
        "gcp_logging/logentry_to_api_repr.jsonl": {"gcp": 2},
        "gcp_logging/panther_gcp_audit.jsonl": {"gcp": 25},
        "gcp_logging/panther_gcp_http_lb.jsonl": {"gcp": 6},
        "gcp_logging/structured_log_handler_stdout.jsonl": {"gcp-stdout": 4},
        "har/console_messages.json": {"array": 1},
        "journald/journalctl_o_json.jsonl": {"journald": 3, "cell": 1},
        "loki/logcli_jsonl.jsonl": {"loki": 4},
        "splunk/search_export_jsonl.jsonl": {"splunk": 4},
        "splunk/search_export_raw.jsonl": {"splunk": 2},
    }


@pytest.mark.parametrize(
    "record",
    [
        {"log": "x", "stream": "queue", "time": "2026-01-01T00:00:00Z"},
        {"log": "x", "stream": "stdout", "time": "2026-01-01T00:00:00Z", "level": "info"},
        {"message": "x", "timestamp": "2026-01-01T00:00:00Z"},
        {"time": "2026-01-01T00:00:00Z", "event": "started", "host": "h"},
        {"event": "started", "distinct_id": "u", "properties": {}},
        {"@timestamp": "2026-01-01T00:00:00Z", "message": "x", "level": "info"},
        {"@timestamp": "2026-01-01T00:00:00Z", "@version": "1", "message": "x", "logger_name": "app"},
        {"data": [{"id": "1", "type": "trace"}], "next_cursor": None},
        {"data": [], "meta": {}},
        {"records": [{"id": 1}]},
        {"records": []},
        {"events": [{"message": "x", "timestamp": 1}]},
        {"results": [{"flagged": True}], "id": "modr-1"},
        {"result": {"a": 1}, "success": True},
        {"labels": {"id": "x"}, "timestamp": "2026-01-01T00:00:00Z", "decision_id": "d"},
        {"line": 12, "timestamp": 1.5},
        {"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "2"]]}]}},
        {"metric": {}, "values": [[1, "2"]]},
        {"tables": 3},
        {"hits": 3, "misses": 4},
        {"category": "chat", "properties": {"message": "x"}, "time": "2026-01-01T00:00:00Z"},
        {"kubernetes": {"pod_name": "p"}, "message": "x"},
        {"detail": {"a": 1}, "source": "app", "time": "2026-01-01T00:00:00Z"},
        {"jsonPayload": {"a": 1}, "severity": "INFO"},
        [],
        ["a", "b"],
        [{"a": 1}, 2],
        "text",
        7,
        None,
    ],
)
def test_what_is_no_envelope(record: object) -> None:
    assert claims(json.dumps(record).encode()) == []


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b"[",
        b"plain",
        b'{"log":"a","stream":"stdout","time":"t"',
        b'{"log":"\xff","stream":"stdout","time":"t"}',
        b'{"log":"\\ud800","stream":"stdout","time":"t"}',
        b'{"log":"a\x01","stream":"stdout","time":"t"}',
        b'{"messageType":"DATA_MESSAGE","logGroup":"g","logEvents":[{"message":NaN}]}',
        b'{"\xff":1}',
        b'{"a":1}{"b":2}',
    ],
)
def test_damaged_text_is_no_envelope(text: bytes) -> None:
    assert claims(text) == []


@pytest.mark.parametrize("unit", [b"[", b"{", b'"', b"\\", b"\n", b'{"a":', b"[{", b'{"log":"', b"9", b'{"a":1},'])
def test_hostile_text_takes_linear_time(unit: bytes) -> None:
    text = unit * (1_000_000 // len(unit))
    start = time.perf_counter()
    for one in (text, b"[" + text, b'{"awslogs":{"data":"' + text + b'"}}', b'{"records":' + text):
        assert set(claims(one)) <= {"array", "cloudwatch"}
    assert time.perf_counter() - start < 2


def test_the_last_of_a_repeated_key_counts() -> None:
    ((text, known),) = opened("docker", b'{"log":"a\\n","stream":"stdout","time":"1","log":"b\\n","time":"2"}')
    assert (text, known["time"]) == (b"b", "2")


# --- containers and hosts


@real
def test_docker_puts_real_partial_lines_together() -> None:
    found = unwrap(records("docker_json/partial_lines.log"), ["docker"])
    assert [row["text"] for row in found] == [
        *[b"aa", b"aa", b"bbcc", b"ddee", b"a1", b"a2"],
        *[b"ddee", b"bbccdd-out", b"dd-err"],
    ]
    assert {pair["key"]: pair["value"] for pair in found[2]["envelope"]} == {
        "ended": "2021-02-01T16:45:03.01233z",
        "envelope": "docker",
        "stream": "stdout",
        "time": "2021-02-01T16:45:03.01232z",
        "time_role": "write",
    }
    assert found[2]["parts"] == [{"offset": 148, "length": 71}, {"offset": 220, "length": 73}]


@real
def test_docker_on_real_lines() -> None:
    lines = records("docker_json/fluentbit_fixtures.log")
    assert [one.name for one in plan(lines, lambda _: False, ENVELOPES)] == ["docker"]
    found = unwrap(lines, ["docker"])
    assert len(found) == 94
    assert found[0]["text"] == b"Simple text"
    assert b'{"text":"Simple text"}' in {row["text"] for row in found}


def test_docker_attributes() -> None:
    record = {"log": "a\r\n", "stream": "stderr", "attrs": {"tag": "app", "n": ""}, "time": "2026-01-01T00:00:00Z"}
    known = {"time": "2026-01-01T00:00:00Z", "time_role": "write", "stream": "stderr", "labels.tag": "app"}
    assert opened("docker", record) == [(b"a", known)]
    del record["log"]
    assert opened("docker", record) == [(b"", known)]


@real
def test_journald_on_real_entries() -> None:
    first, second, third = (opened("journald", one)[0] for one in records("journald/journalctl_o_json.jsonl"))
    assert first[0] == b'{"request_id":"req-9","verdict":"block","policy":"pii"}'
    assert first[1] == {
        "time": "1795300174378184",
        "time_role": "received",
        "host": "host1",
        "service": "guard.service",
        "labels.program": "guard",
        "severity": "4",
        "id": "s=a66ccf3925d245ce961603fba1fc8b27;i=1;b=0a1b2c3d4e5f60718293a4b5c6d7e8f9;"
        "m=75bcd15;t=660d0e528b4c8;x=654964ad977ed025",
    }
    assert second[0] == b"plain text"
    assert third[0] == b"binary \x1b[31mred\x1b[0m line"


def test_journald_messages() -> None:
    entry = {"__REALTIME_TIMESTAMP": "2", "__CURSOR": "c", "_SOURCE_REALTIME_TIMESTAMP": "1"}
    known = {"time": "1", "time_role": "write", "received": "2", "id": "c"}
    assert opened("journald", entry | {"MESSAGE": ["a", [98, 255], None, "c"]}) == [
        (text, known) for text in (b"a", b"b\xff", b"c")
    ]
    assert opened("journald", entry | {"MESSAGE": []}) == [(b"", known)]
    for without in (entry, entry | {"MESSAGE": None}, entry | {"MESSAGE": [1, 256]}):
        assert opened("journald", without) == [(json.dumps(without).encode(), known)]


def test_journald_puts_together_what_docker_cut() -> None:
    def entry(message: str, partial: str | None, priority: str = "6") -> bytes:
        fields = {"__REALTIME_TIMESTAMP": "1", "MESSAGE": message, "PRIORITY": priority, "CONTAINER_NAME": "web"}
        of = {"CONTAINER_ID_FULL": "c0", "_SYSTEMD_UNIT": "docker.service", "SYSLOG_IDENTIFIER": "tag"}
        return json.dumps(fields | of | ({"CONTAINER_PARTIAL_MESSAGE": partial} if partial else {})).encode()

    found = unwrap([entry("a", "true"), entry("x", None, "3"), entry("b", "true"), entry("c", None)], ["journald"])
    assert [row["text"] for row in found] == [b"x", b"abc"]
    known = {pair["key"]: pair["value"] for pair in found[1]["envelope"]}
    assert (known["container"], known["service"]) == ("web", "tag")


def test_collectors_of_kubernetes() -> None:
    kubernetes = {"pod_name": "p", "namespace_name": "n", "container_name": "c", "host": "h", "labels": {"app": "rag"}}
    known = {
        "time": "2026-01-01T00:00:00.1Z",
        "time_role": "write",
        "host": "h",
        "pod": "p",
        "namespace": "n",
        "container": "c",
        "stream": "stderr",
        "labels.app": "rag",
    }
    record = {"log": "a\n", "stream": "stderr", "time": known["time"], "kubernetes": kubernetes}
    assert opened("collector", record) == [(b"a", known)]
    merged = record | {"log_processed": {"a": 1}, "a": 1}
    assert opened("collector", merged) == [(b"a", known)]
    del merged["log"]
    assert opened("collector", merged) == [(json.dumps(merged).encode(), known)]
    structured = {key: value for key, value in record.items() if key != "log"} | {"structured": {"a": 1.50}}
    assert opened("collector", structured) == [(b'{"a": 1.5}', known)]


def test_vector() -> None:
    record = {
        "file": "/var/log/pods/n_p_u/c/0.log",
        "kubernetes": {"container_name": "c", "pod_name": "p", "pod_namespace": "n", "pod_node_name": "h"},
        "message": '{"a": 1}',
        "source_type": "kubernetes_logs",
        "stream": "stdout",
        "timestamp": "2026-01-28T15:30:00.123456789Z",
    }
    ((text, known),) = opened("collector", record)
    assert text == b'{"a": 1}'
    assert known == {
        "time": "2026-01-28T15:30:00.123456789Z",
        "time_role": "write",
        "host": "h",
        "pod": "p",
        "namespace": "n",
        "container": "c",
        "stream": "stdout",
        "log": "/var/log/pods/n_p_u/c/0.log",
    }
    ((text, _),) = opened("collector", record | {"verdict": "block"})
    assert json.loads(text) == record | {"verdict": "block"}


def test_pieces_that_collectors_tell_apart() -> None:
    def cri(tag: str, log: str) -> bytes:
        pod = {"pod_name": "p", "namespace_name": "n"}
        return json.dumps({"time": "1", "stream": "stdout", "logtag": tag, "log": log, "kubernetes": pod}).encode()

    assert [row["text"] for row in unwrap([cri("P", "a"), cri("P", "b"), cri("F", "c")], ["collector"])] == [b"abc"]

    def ecs(log: str, **more: str) -> bytes:
        of = {"container_id": "i", "container_name": "c", "source": "stdout", "ecs_cluster": "e"}
        return json.dumps(of | {"log": log} | more).encode()

    pieces = [
        ecs("a", partial_message="true", partial_id="x", partial_ordinal="1", partial_last="false"),
        ecs("b", partial_message="true", partial_id="x", partial_ordinal="2", partial_last="true"),
        ecs("c"),
    ]
    found = unwrap(pieces, ["collector"])
    assert [row["text"] for row in found] == [b"ab", b"c"]
    assert {pair["key"] for pair in found[1]["envelope"]} == {
        *("container", "envelope", "labels.container_id", "labels.ecs_cluster", "stream"),
    }


def test_stern() -> None:
    record = {"message": "a\n", "nodeName": "h", "namespace": "n", "podName": "p", "containerName": "c"}
    assert opened("stern", record) == [(b"a", {"host": "h", "pod": "p", "namespace": "n", "container": "c"})]


# --- Amazon Web Services


@real
def test_cloudwatch_on_the_real_test_event() -> None:
    place = {"log": "testLogGroup", "labels.log_stream": "testLogStream", "labels.owner": "123456789123"}
    expected = [
        (b"[ERROR] First test message", place | {"time": "1440442987000", "time_role": "event", "id": "eventId1"}),
        (b"[ERROR] Second test message", place | {"time": "1440442987001", "time_role": "event", "id": "eventId2"}),
    ]
    assert opened("cloudwatch", records("cloudwatch/subscription_data_message.json")[0]) == expected
    assert opened("cloudwatch", records("cloudwatch/lambda_event_awslogs.json")[0]) == expected


@real
def test_cloudwatch_through_firehose() -> None:
    (both,) = records("cloudwatch/firehose_concatenated_no_newline.json")
    control, data = both.split(b"}{")
    assert opened("cloudwatch", control + b"}") == []
    ((text, _),) = opened("cloudwatch", b"{" + data)
    assert json.loads(text)["@timestamp"] == "2018-10-22T06:45:31.428Z"


def test_a_bomb_is_not_kept() -> None:
    packed = base64.b64encode(gzip.compress(b" " * (MAX_RECORD + 1), 9)).decode()
    for record in ({"awslogs": {"data": packed}}, {"recordId": "1", "data": packed}):
        (row,) = unwrap([json.dumps(record).encode()], ["cloudwatch" if "awslogs" in record else "firehose"])
        assert (row["text"], row["fault"], row["raw"]) == (None, None, False)


FILTERED = {"logStreamName": "s", "timestamp": 1, "message": "a\n", "ingestionTime": 2, "eventId": "e"}


def test_cloudwatch_events() -> None:
    known = {"time": "1", "time_role": "event", "received": "2", "id": "e", "labels.log_stream": "s"}
    page = {"events": [FILTERED, FILTERED | {"message": "b"}], "searchedLogStreams": []}
    assert opened("cloudwatch-events", page) == [(b"a", known), (b"b", known)]
    assert opened("cloudwatch-events", FILTERED) == [(b"a", known)]
    got = {"events": [{"timestamp": 1, "message": "a", "ingestionTime": 2}], "nextForwardToken": "f/1"}
    assert opened("cloudwatch-events", got) == [(b"a", {"time": "1", "time_role": "event", "received": "2"})]
    assert opened("cloudwatch-events", {"events": [], "nextForwardToken": "f/1"}) == []


def test_cloudwatch_insights() -> None:
    row = {"@timestamp": "2026-01-01 00:00:00.123", "@message": '{"a": 1}', "@ptr": "p", "@log": "1:g"}
    known = {
        "time": "2026-01-01 00:00:00.123",
        "time_role": "event",
        "time_zone": "UTC",
        "id": "p",
        "log": "1:g",
    }
    pairs = [{"field": field, "value": value} for field, value in row.items()]
    for record in (row, pairs, {"results": [pairs], "statistics": {}, "status": "Complete"}):
        assert opened("cloudwatch-insights", record) == [(b'{"a": 1}', known)]
    assert opened("cloudwatch-insights", row | {"@message": {"a": 1}}) == [(b'{"a": 1}', known)]
    taken = known | {"received": "2026-01-01 00:00:01.000", "received_zone": "UTC"}
    assert opened("cloudwatch-insights", row | {"@ingestionTime": taken["received"]}) == [(b'{"a": 1}', taken)]
    computed = [{"field": "bin(5m)", "value": "2026-01-01 00:00:00.000"}, {"field": "count", "value": "3"}]
    assert opened("cloudwatch-insights", computed) == [(b'{"bin(5m)":"2026-01-01 00:00:00.000","count":"3"}', {})]


def test_eventbridge() -> None:
    record = {
        "version": "0",
        "id": "i",
        "detail-type": "AWS API Call via CloudTrail",
        "source": "aws.bedrock",
        "account": "1",
        "time": "2026-01-01T00:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail": {"a": 1},
    }
    known = {
        "time": "2026-01-01T00:00:00Z",
        "time_role": "event",
        "id": "i",
        "service": "aws.bedrock",
        "labels.detail-type": "AWS API Call via CloudTrail",
        "labels.account": "1",
        "labels.region": "us-east-1",
    }
    assert opened("eventbridge", record) == [(b'{"a": 1}', known)]


def packed(text: bytes) -> str:
    return base64.b64encode(text).decode()


def test_firehose() -> None:
    call = {
        "invocationId": "i",
        "deliveryStreamArn": "arn",
        "records": [
            {"recordId": "r1", "approximateArrivalTimestamp": 5, "data": packed(b'{"a": 1}\n')},
            {"recordId": "r2", "approximateArrivalTimestamp": 6, "data": packed(gzip.compress(b"b"))},
        ],
    }
    assert opened("firehose", call) == [
        (b'{"a": 1}', {"time": "5", "time_role": "received", "id": "r1"}),
        (b"b", {"time": "6", "time_role": "received", "id": "r2"}),
    ]
    answer = {
        "records": [{"recordId": "r1", "result": "Dropped"}, {"recordId": "r2", "result": "Ok", "data": packed(b"b")}]
    }
    assert opened("firehose", answer) == [(b"b", {"id": "r2", "labels.result": "Ok"})]
    posted = {"requestId": "q", "timestamp": 7, "records": [{"data": packed(b"c")}]}
    assert opened("firehose", posted) == [(b"c", {"time": "7", "time_role": "received", "id": "q"})]
    failed = {"arrivalTimestamp": 8, "errorCode": "Lambda.X", "attemptsMade": 4, "rawData": packed(b"d")}
    known = {"time": "8", "time_role": "received", "labels.error": "Lambda.X"}
    assert opened("firehose", failed) == [(b"d", known)]
    kinesis = {"approximateArrivalTimestamp": 1.5, "data": packed(b"e")}
    stream = {"Records": [{"kinesis": kinesis, "eventID": "k", "eventSource": "aws:kinesis"}]}
    assert opened("firehose", stream) == [(b"e", {"time": "1.5", "time_role": "received", "id": "k"})]


NOT_UNPACKED = ("not_unpacked", "base64 or gzip that does not decode")


def test_what_does_not_decode_is_told() -> None:
    whole = gzip.compress(b"text " * 100)
    damaged = [packed(data) for data in (whole[:-12], whole + whole, whole[:20] + b"\x00" * 20)]
    for data in [*damaged, packed(b'{"a": 1}')[:-1], "!!!"]:
        kinesis = {"kinesis": {"data": data}, "eventID": "r", "eventSource": "aws:kinesis"}
        for name, record in (
            ("firehose", {"recordId": "r", "data": data}),
            ("firehose", {"Records": [kinesis]}),
            ("firehose", {"requestId": "r", "records": [{"data": data}]}),
            ("cloudwatch", {"awslogs": {"data": data}}),
        ):
            (row,) = unwrap([json.dumps(record).encode()], [name])
            assert (row["text"], row["fault"], row["detail"]) == (data.encode(), *NOT_UNPACKED)
            assert not row["raw"]


def test_a_record_that_does_not_decode_costs_itself() -> None:
    data = [packed(f'{{"a": {number}}}'.encode()) for number in range(4)]
    data[2] = packed(gzip.compress(b"b")[:-9])
    records = [{"data": one} for one in data]
    document = json.dumps({"records": [*records, {"other": 1}]}).encode()
    found = unwrap([document], ["firehose"])
    assert [row["text"] for row in found] == [b'{"a": 0}', b'{"a": 1}', data[2].encode(), b'{"a": 3}', b'{"other": 1}']
    assert [row["fault"] for row in found] == [None, None, "not_unpacked", None, None]
    taken_apart = [json.dumps(record).encode() for record in records]
    assert [one.name for one in plan(taken_apart, lambda _: False, ENVELOPES)] == ["firehose-data"]
    assert [row["fault"] for row in unwrap(taken_apart, ["firehose-data"])] == [None, None, "not_unpacked", None]


@pytest.mark.parametrize("record", [{"records": [{"data": "hello"}]}, {"records": [{"data": packed(b"\x01\x02")}]}, {}])
def test_words_are_no_packed_records(record: object) -> None:
    assert claims(json.dumps(record).encode()) == []
    assert plan([b'{"data": "hello"}', b'{"data": "!"}'], lambda _: False, ENVELOPES) == []


def pairs(**row: str) -> list[dict[str, str]]:
    return [{"field": f"@{name}", "value": value} for name, value in row.items()]


EVENT = {"id": "e", "timestamp": 1, "message": "x"}
LOG = {"id": "1", "type": "log", "attributes": {"message": "x"}}
COLUMNS = [{"name": "a"}, {"name": "b"}]
HOLDS: dict[str, tuple[str, Callable[[list[object]], object], object, list[object]]] = {
    "cloudwatch": (
        "cloudwatch",
        lambda found: {"messageType": "DATA_MESSAGE", "logGroup": "g", "logEvents": found},
        EVENT,
        [None, "x", [1], {"id": "e", "timestamp": 1}],
    ),
    "events": (
        "cloudwatch-events",
        lambda found: {"events": found, "nextToken": None},
        {"timestamp": 1, "message": "x", "eventId": "e"},
        [None, "x", {"timestamp": 1}],
    ),
    "insights": (
        "cloudwatch-insights",
        lambda found: {"results": found, "status": "Complete"},
        pairs(message="x"),
        [[], None, "x", [{"field": "@message"}]],
    ),
    "firehose": (
        "firehose",
        lambda found: {"requestId": "q", "timestamp": 7, "records": found},
        {"data": packed(b"x")},
        [None, "x", {"no": 1}],
    ),
    "splunk": (
        "splunk",
        lambda found: {"preview": False, "init_offset": 0, "results": found},
        {"_raw": "x"},
        [None, "x", [1], {"_raw": None, "a": 1}],
    ),
    "loki": (
        "loki",
        lambda found: {
            "status": "success",
            "data": {"resultType": "streams", "result": [{"stream": {}, "values": found}]},
        },
        ["1", "x"],
        [None, ["1"], "x", ["1", "x", "y"], [1, "x"]],
    ),
    "loki, streams": (
        "loki",
        lambda found: {"streams": found},
        {"stream": {}, "values": [["1", "x"]]},
        [None, "x", {"stream": {}, "values": "x"}, {"metric": {}, "values": [[1, "2"]]}],
    ),
    "datadog": ("datadog", lambda found: {"data": found}, LOG, [None, "x", {"id": "1", "type": "log"}]),
    "azure-tables": (
        "azure-tables",
        lambda found: {"tables": [{"name": "T", "columns": COLUMNS, "rows": found}]},
        [1, 2],
        [None, "x", [1], [1, 2, 3], {"a": 1}],
    ),
    "azure-records": (
        "azure-records",
        lambda found: {"records": found},
        {"time": "1", "category": "c"},
        [None, "x", [1], {"x": 1}],
    ),
    "graph": ("graph", lambda found: {"@odata.context": "c", "value": found}, {"a": 1}, [None, "x", [1]]),
    "elasticsearch": (
        "elasticsearch",
        lambda found: {"took": 1, "hits": {"hits": found}},
        {"_index": "i", "_id": "x", "_source": {"a": 1}},
        [None, "x", {"_id": "x"}],
    ),
    "array": ("array", lambda found: found, {"a": 1}, [None, "x", [1]]),
}


@pytest.mark.parametrize("kind", HOLDS)
def test_an_odd_element_costs_itself(kind: str) -> None:
    name, hold, sound, odd = HOLDS[kind]
    (expected,) = opened(name, hold([sound]))
    for one in odd:
        found = opened(name, hold([sound, sound, one, sound]))
        assert [found[place] for place in (0, 1, 3)] == [expected] * 3
        assert found[2][0] == json.dumps(one).encode()
    if kind != "cloudwatch":  # its own keys are marks enough
        assert claims(json.dumps(hold([one for one in odd if one is None or isinstance(one, str)])).encode()) == []


def test_log_events_that_are_no_list() -> None:
    record = {"messageType": "DATA_MESSAGE", "logGroup": "g", "logEvents": {"message": "x"}}
    assert opened("cloudwatch", record) == [(b'{"message": "x"}', {"log": "g"})]
    packed_up = {"awslogs": {"data": packed(gzip.compress(b'{"messageType": '))}}
    assert opened("cloudwatch", packed_up) == [(b'{"messageType": ', {})]


# --- Google Cloud


@real
def test_gcp_on_real_entries() -> None:
    first, second = (opened("gcp", one)[0] for one in records("gcp_logging/logentry_to_api_repr.jsonl"))
    assert first[0] == b'{"message": "verdict", "request_id": "req-9", "verdict": "block"}'
    assert first[1] == {
        "time": "2026-11-21T22:00:00.123456Z",
        "time_role": "event",
        "pod": "guard-1",
        "id": "abc1",
        "log": "projects/my-proj/logs/app",
        "severity": "WARNING",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "00f067aa0ba902b7",
        "labels.k8s-pod/app": "guard",
        "labels.resource_type": "k8s_container",
    }
    assert second[0] == b'{"request_id":"req-10"}'


@real
def test_gcp_keys_in_small_letters() -> None:
    ((text, known),) = opened("gcp", records("gcp_logging/panther_gcp_http_lb.jsonl")[0])
    assert json.loads(text)["statusDetails"] == "handled_by_identity_aware_proxy"
    assert known["received"] == "2023-03-09 23:19:26.392"
    assert known["trace_id"] == "dd43c6eb7046da54fa3724d2753262e6"
    assert json.loads(known["labels.httpRequest"])["status"] == 403


def test_gcp_without_payload_and_from_bigquery() -> None:
    entry = {"logName": "projects/p/logs/requests", "insertId": "i", "resource": {"type": "x"}, "httpRequest": {}}
    ((text, known),) = opened("gcp", entry)
    assert json.loads(text) == entry
    assert known == {"id": "i", "log": "projects/p/logs/requests", "labels.resource_type": "x"}
    ((text, _),) = opened("gcp", entry | {"textPayload": None, "jsonPayload": {"a": 1}})
    assert text == b'{"a": 1}'


@real
def test_gcp_before_it_is_taken_in() -> None:
    lines = records("gcp_logging/structured_log_handler_stdout.jsonl")
    found = unwrap(lines, ["gcp-stdout"])
    assert [row["text"] for row in found] == lines
    assert all(row["raw"] for row in found)
    assert {pair["key"]: pair["value"] for pair in found[1]["envelope"]} == {
        "envelope": "gcp-stdout",
        "labels.env": "prod",
        "labels.python_logger": "app",
        "severity": "WARNING",
        "span_id": "00f067aa0ba902b7",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    assert "trace_id" not in {pair["key"] for pair in found[2]["envelope"]}


# --- Microsoft


@real
def test_azure_records_on_real_ones() -> None:
    inside = records("azure/elastic_request_response.jsonl")
    whole = b'{"records": [' + b", ".join(inside) + b"]}"
    assert opened("azure-records", whole) == [(one, {"log": "RequestResponse"}) for one in inside]


def test_azure_tables() -> None:
    columns = [{"name": "TimeGenerated", "type": "datetime"}, {"name": "Cost", "type": "real"}]
    whole = {"tables": [{"name": "PrimaryResult", "columns": columns, "rows": [["2026-01-01T00:00:00Z", 0]]}]}
    text = json.dumps(whole).encode().replace(b'", 0]', b'", 1.50]')
    row = b'{"TimeGenerated":"2026-01-01T00:00:00Z","Cost":1.50}'
    assert opened("azure-tables", text) == [(row, {"log": "PrimaryResult"})]
    kusto = {"Tables": [{"TableName": "T", "Columns": [{"ColumnName": "a"}], "Rows": [[1], [None]]}]}
    assert opened("azure-tables", kusto) == [(b'{"a":1}', {"log": "T"}), (b'{"a":null}', {"log": "T"})]
    uneven = {"tables": [{"name": "T", "columns": columns, "rows": [[1]]}]}
    assert claims(json.dumps(uneven).encode()) == []


@pytest.mark.parametrize(
    ("row", "known"),
    [
        (
            {"TimeGenerated": "1", "LogMessage": "a", "LogSource": "stdout", "PodName": "p", "ContainerName": "c"},
            {"time": "1", "time_role": "event", "pod": "p", "container": "c", "stream": "stdout"},
        ),
        (
            {"TimeGenerated [UTC]": "1", "LogEntry": "a", "LogEntrySource": "stderr", "Computer": "h"},
            {"time": "1", "time_role": "event", "time_zone": "UTC", "host": "h", "stream": "stderr"},
        ),
        (
            {"time_t": "1", "Log_s": "a", "ContainerAppName_s": "app", "RevisionName_s": "r"},
            {"time": "1", "time_role": "event", "service": "app", "labels.revision": "r"},
        ),
        (
            {"time": "1", "category": "ContainerAppConsoleLogs", "properties": {"Log": "a", "ContainerAppName": "app"}},
            {"time": "1", "time_role": "event", "service": "app", "log": "ContainerAppConsoleLogs"},
        ),
        (
            {"time": "1", "category": "AppServiceConsoleLogs", "resultDescription": "a", "Host": "h"},
            {"time": "1", "time_role": "event", "host": "h", "log": "AppServiceConsoleLogs"},
        ),
        (
            {"TimeGenerated": "1", "Category": "kube-apiserver", "log_s": "a", "pod_s": "p", "stream_s": "stderr"},
            {"time": "1", "time_role": "event", "pod": "p", "stream": "stderr", "log": "kube-apiserver"},
        ),
        ({"TimeStamp": "1", "Log": "a"}, {"time": "1", "time_role": "event"}),
    ],
)
def test_azure_rows_that_hold_a_line(row: dict[str, object], known: dict[str, str]) -> None:
    assert opened("azure-row", row) == [(b"a", known)]


def test_event_hub() -> None:
    known = {"time": "2026-01-01T00:00:00Z", "time_role": "received", "id": "7", "labels.k": "v"}
    event = {"SequenceNumber": 7, "EnqueuedTimeUtc": known["time"], "SystemProperties": {}, "Properties": {"k": "v"}}
    for body in ('{"a": 1}', {"a": 1}, packed(b'{"a": 1}')):
        assert opened("event-hub", event | {"Body": body}) == [(b'{"a": 1}', known)]
    assert opened("event-hub", event | {"Body": "abcd"}) == [(b"abcd", known)]


@real
def test_purview_on_a_real_record() -> None:
    (data, *_) = records("copilot_purview/copilot_interaction_auditdata.jsonl")
    row = {
        "CreationDate": "2023-12-13T17:12:36.0000000Z",
        "UserIds": "u",
        "Operations": "o",
        "AuditData": data.decode(),
    }
    known = {"time": row["CreationDate"], "time_role": "event", "time_zone": "UTC"}
    assert opened("purview", row) == [(data, known)]
    query = {"id": "i", "auditLogRecordType": "copilotInteraction", "auditData": json.loads(data)}
    page = {"@odata.context": "https://graph.example/$metadata#x", "value": [query]}
    found = unwrap([json.dumps(page).encode()], ["graph", "purview"])
    assert [json.loads(row["text"]) for row in found] == [json.loads(data)]


# --- log stores


@real
def test_splunk_on_real_exports() -> None:
    first, second, third, fourth = records("splunk/search_export_jsonl.jsonl")
    assert opened("splunk", first) == []
    assert opened("splunk", second) == [
        (
            b'{"_time":"2026-10-08 13:48:34.000 GMT","x":"1"}',
            {"time": "2026-10-08 13:48:34.000 GMT", "time_role": "event"},
        )
    ]
    assert [text for text, _ in opened("splunk", third)] == [b'{"_time":"2026-10-08 13:48:35.000 GMT","x":["1","2"]}']
    assert opened("splunk", fourth) == []
    raw = records("splunk/search_export_raw.jsonl")[0]
    assert opened("splunk", raw) == [
        (
            b"app started",
            {
                "time": "2024-04-30T10:00:00.000+00:00",
                "time_role": "event",
                "host": "host1",
                "log": "/var/log/app.log",
                "labels.sourcetype": "app",
                "labels.index": "main",
            },
        )
    ]


def test_splunk_rows_and_results() -> None:
    row = {"_raw": "a", "_time": "2026-01-01T00:00:00.000+0000", "sourcetype": "app"}
    known = {"time": row["_time"], "time_role": "event", "labels.sourcetype": "app"}
    assert opened("splunk", row) == [(b"a", known)]
    assert opened("splunk", {"preview": False, "init_offset": 0, "results": [row]}) == [(b"a", known)]


def test_splunk_collector() -> None:
    record = {"time": 1.5, "event": {"a": 1}, "host": "h", "source": "s", "sourcetype": "_json", "fields": {"k": "v"}}
    known = {
        "time": "1.5",
        "time_role": "event",
        "host": "h",
        "log": "s",
        "labels.sourcetype": "_json",
        "labels.k": "v",
    }
    assert opened("splunk-hec", record) == [(b'{"a": 1}', known)]


@real
def test_loki_on_real_lines() -> None:
    found = [opened("loki", one)[0] for one in records("loki/logcli_jsonl.jsonl")]
    assert [text for text, _ in found] == [b"", b"", b"Hello", b"Hello"]
    assert found[2][1] == {"time": "2006-01-02T10:04:05+02:00", "time_role": "event", "labels.type": "test"}


def test_loki_interfaces() -> None:
    labels = {"pod": "p", "namespace": "n", "app": "rag", "job": "j"}
    known = {
        "time": "1700000000000000001",
        "time_role": "event",
        "pod": "p",
        "namespace": "n",
        "service": "rag",
        "labels.job": "j",
    }
    at = known["time"]
    stream: dict[str, Any] = {"stream": labels, "values": [[at, "a"], [at, "b", {"trace_id": "t"}]]}
    expected = [(b"a", known), (b"b", known | {"trace_id": "t"})]
    answer = {"status": "success", "data": {"resultType": "streams", "result": [stream], "stats": {}}}
    for record in (stream, answer, {"streams": [stream]}):
        assert opened("loki", record) == expected
    kinds = {"structuredMetadata": {"trace_id": "t"}, "parsed": {"level": "warn"}}
    assert opened("loki", {"stream": {}, "values": [[at, "a", kinds]]}) == [
        (b"a", {"time": at, "time_role": "event", "trace_id": "t", "severity": "warn"})
    ]
    grafana = {"line": "a", "timestamp": at, "date": "2023-11-14T22:13:20.000Z", "fields": labels}
    assert opened("loki", grafana) == [(b"a", known)]


def test_datadog() -> None:
    log = {
        "service": "rag",
        "host": "h",
        "status": "warn",
        "timestamp": "2026-01-01T00:00:00.000Z",
        "tags": ["pod_name:p", "env:prod", "plain"],
        "message": "verdict",
        "attributes": {"request_id": "r", "cost": 1},
    }
    known = {
        "time": "2026-01-01T00:00:00.000Z",
        "time_role": "event",
        "host": "h",
        "service": "rag",
        "severity": "warn",
        "id": "i",
        "pod": "p",
        "labels.env": "prod",
    }
    event = {"id": "i", "type": "log", "attributes": log}
    inside = b'{"request_id":"r","cost":1,"message":"verdict"}'
    assert opened("datadog", event) == [(inside, known)]
    assert opened("datadog", {"data": [event], "meta": {"page": {"after": "x"}}}) == [(inside, known)]
    as_json = event | {"attributes": log | {"message": '{"a": 1.50}'}}
    assert opened("datadog", as_json) == [(b'{"a": 1.50}', known)]
    plain = event | {"attributes": log | {"attributes": {}}}
    assert opened("datadog", plain) == [(b"verdict", known)]
    archived = {"_id": "i", "date": log["timestamp"], "source": "python"} | log
    assert opened("datadog", archived) == [(inside, known | {"labels.source": "python"})]
    row = {"Date": "2026-01-01T00:00:00.000Z", "Host": "h", "Service": "rag", "Content": "a", "@duration": "3"}
    assert opened("datadog", row) == [
        (b"a", {"time": row["Date"], "time_role": "event", "host": "h", "service": "rag", "labels.@duration": "3"})
    ]


def test_elasticsearch_and_beats() -> None:
    source = {
        "@timestamp": "2026-01-01T00:00:00.000Z",
        "message": '{"a": 1}',
        "log": {"file": {"path": "/var/log/app.log"}, "offset": 3},
        "host": {"name": "h"},
        "agent": {"type": "filebeat"},
        "input": {"type": "log"},
        "ecs": {"version": "8.0.0"},
    }
    hit = {"_index": "logs-1", "_id": "x", "_score": 1.0, "_source": source}
    known = {"id": "x", "log": "logs-1"}
    text = json.dumps(source).encode()
    assert opened("elasticsearch", hit) == [(text, known)]
    answer = {"took": 1, "timed_out": False, "_shards": {}, "hits": {"total": {}, "hits": [hit, hit]}}
    assert opened("elasticsearch", answer) == [(text, known)] * 2
    assert opened("beats", text) == [
        (
            b'{"a": 1}',
            {"time": source["@timestamp"], "time_role": "received", "host": "h", "log": "/var/log/app.log"},
        )
    ]
    container = {
        "@timestamp": "1",
        "message": "a",
        "stream": "stdout",
        "input": {"type": "container"},
        "host": "h",
        "kubernetes": {"pod": {"name": "p"}, "namespace": "n", "container": {"name": "c"}, "labels": {"app": "x"}},
    }
    known = {"time": "1", "time_role": "write", "host": "h", "pod": "p", "namespace": "n", "container": "c"}
    assert opened("beats", container) == [(b"a", known | {"stream": "stdout", "labels.app": "x"})]
    assert claims(json.dumps(container | {"verdict": "block"}).encode()) == []


@real
def test_an_array_of_real_decisions() -> None:
    whole = json.loads((SHARED / "real_logs/opa/upload_array_doc.json").read_bytes())
    assert opened("array", whole) == [(json.dumps(whole[0]).encode(), {})]


# --- cells


def test_the_console_s_table_of_cloudwatch() -> None:
    known = {"time": "1795300000001", "time_role": "event"}
    assert opened("cloudwatch-events", {"timestamp": "1795300000001", "message": "a"}) == [(b"a", known)]
    row = {"timestamp": "2026-11-21T22:00:01Z", "message": '{"a": 1}'}
    assert opened("cell", row) == [(b'{"a": 1}', {"time": row["timestamp"], "time_role": "received"})]


@pytest.mark.parametrize(
    ("row", "known"),
    [
        ({"dt": "2026-11-21", "raw": "HELD"}, {"labels.dt": "2026-11-21"}),
        ({"Time": "1", "Line": "HELD", "tsNs": "2", "id": None}, {"time": "1", "labels.tsNs": "2"}),
        (
            {"labels": '{"pod": "p", "job": "j"}', "Time": "1", "Line": "HELD", "labelTypes": "{}"},
            {"pod": "p", "labels.job": "j", "time": "1", "labels.labelTypes": "{}"},
        ),
        ({"labels": "x", "PAYLOAD": "HELD"}, {"labels.labels": "x"}),
        ({"_messagetime": 1, "_raw": "HELD", "_sourcehost": "h"}, {"time": "1", "labels._sourcehost": "h"}),
        ({"message": "HELD"}, {}),
        ({"TimeGenerated": "1", "Log_s": "HELD"}, {"labels.TimeGenerated": "1"}),
        ({"@timestamp": None, "message": "HELD", "note": "{no object"}, {"labels.note": "{no object"}),
        ({"time": "t", "AuditData": "HELD", "ok": True}, {"time": "t", "labels.ok": "true"}),
    ],
)
def test_a_cell_that_holds_an_object(row: dict[str, object], known: dict[str, str]) -> None:
    held = '{"a": 1.50}'
    text = json.dumps(row).replace("HELD", json.dumps(held)[1:-1]).encode()
    role = {"time_role": "received"} if "time" in known else {}
    assert opened("cell", text) == [(held.encode(), known | role)]


@pytest.mark.parametrize(
    "row",
    [
        {"role": "user", "content": "{}"},
        {"request_id": "r", "message": "{}"},
        {"requestId": "r", "body": "{}"},
        {"message": "{}", "body": "{}"},
        {"message": "{}", "more": {}},
        {"message": "{"},
        {"message": "[]"},
        {"message": {}},
        {"text": "{}"},
        {"message": "{}"} | {str(number): number for number in range(12)},
    ],
)
def test_records_of_their_own_are_no_cells(row: dict[str, object]) -> None:
    assert claims(json.dumps(row).encode()) == []


# --- any nesting


def lists_of(texts: list[str], at_once: int) -> list[list[str]]:
    return [texts[start : start + at_once] for start in range(0, len(texts), at_once)]


def each(wrap: Callable[[str], object]) -> Callable[[list[str], int], list[object]]:
    return lambda texts, _: [wrap(text) for text in texts]


def together(wrap: Callable[[list[str]], object]) -> Callable[[list[str], int], list[object]]:
    return lambda texts, at_once: [wrap(some) for some in lists_of(texts, at_once)]


def subscription(texts: list[str]) -> dict[str, object]:
    events = [{"id": "1", "timestamp": 1, "message": text} for text in texts]
    return {"messageType": "DATA_MESSAGE", "logGroup": "g", "logStream": "s", "logEvents": events}


def zipped(texts: list[str]) -> dict[str, object]:
    return {"awslogs": {"data": packed(gzip.compress(json.dumps(subscription(texts)).encode()))}}


def docker(texts: list[str], at_once: int) -> list[object]:
    """Each text as `at_once` pieces."""
    found: list[object] = []
    for text in texts:
        step = max(1, -(-len(text) // at_once))
        pieces = [text[start : start + step] for start in range(0, len(text), step)] or [""]
        pieces[-1] += "\n"
        found += [{"log": piece, "stream": "stdout", "time": "1"} for piece in pieces]
    return found


ES = {"_index": "i", "_id": "x"}
SPLUNK = {"preview": False, "offset": 0}
POD = {"pod_name": "p", "namespace_name": "n"}
ENTRY = {"__REALTIME_TIMESTAMP": "1", "__CURSOR": "c"}

WRAPS: dict[str, tuple[str, Callable[[list[str], int], list[object]]]] = {
    "cloudwatch": ("cloudwatch", together(subscription)),
    "cloudwatch, zipped": ("cloudwatch", together(zipped)),
    "cloudwatch-events": ("cloudwatch-events", each(lambda text: FILTERED | {"message": text})),
    "cloudwatch-insights": ("cloudwatch-insights", each(lambda text: {"@ptr": "p", "@message": text})),
    "firehose": (
        "firehose",
        together(lambda texts: {"records": [{"recordId": "r", "data": packed(text.encode())} for text in texts]}),
    ),
    "docker": ("docker", docker),
    "journald": ("journald", each(lambda text: ENTRY | {"MESSAGE": text})),
    "journald, bytes": ("journald", each(lambda text: ENTRY | {"MESSAGE": list(text.encode())})),
    "gcp": ("gcp", each(lambda text: {"logName": "l", "insertId": "i", "textPayload": text})),
    "splunk": ("splunk", each(lambda text: SPLUNK | {"result": {"_raw": text, "_time": "1"}})),
    "splunk-hec": ("splunk-hec", each(lambda text: {"event": text, "sourcetype": "s"})),
    "loki": ("loki", each(lambda text: {"labels": {}, "line": text, "timestamp": "1"})),
    "loki, streams": (
        "loki",
        together(lambda texts: {"streams": [{"stream": {}, "values": [["1", text] for text in texts]}]}),
    ),
    "datadog": ("datadog", each(lambda text: {"id": "1", "type": "log", "attributes": {"message": text}})),
    "collector": ("collector", each(lambda text: {"log": text, "kubernetes": POD})),
    "stern": (
        "stern",
        each(lambda text: {"message": text, "podName": "p", "containerName": "c", "namespace": "n"}),
    ),
}
OBJECTS: dict[str, Callable[[list[bytes]], bytes]] = {
    "array": lambda texts: b"[" + b" , ".join(texts) + b"]",
    "graph": lambda texts: b'{"@odata.context":"x","value":[' + b",".join(texts) + b"]}",
    "elasticsearch": lambda texts: (
        b'{"took":1,"hits":{"hits":['
        + b",".join(b'{"_index":"i","_id":"x","_source":' + text + b"}" for text in texts)
        + b"]}}"
    ),
    "gcp": lambda texts: b'{"logName":"l","jsonPayload":' + texts[0] + b"}",
    "splunk-hec": lambda texts: b'{"sourcetype":"s","event":' + texts[0] + b"}",
}
"""Ways to wrap objects as they are written, several at once or one."""

LINES = st.text(max_size=12).filter(lambda text: not text.endswith(("\n", "\r")))
WRITTEN = st.sampled_from(['{"a":1.50}', '{"a": {"b": [1e5, "\\u00e9"]} }', "{}", '{"\\n": 12345678901234567890.10}'])


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_what_was_wrapped_comes_out_again(data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.one_of(LINES, WRITTEN), min_size=1, max_size=6))
    if data.draw(st.booleans()):
        texts = [text for text in texts if text.startswith("{")] or ["{}"]
    wrapped = [text.encode() for text in texts]
    names: list[str] = []
    for _ in range(data.draw(st.integers(1, 4))):
        at_once = data.draw(st.integers(1, 3))
        kind = data.draw(st.sampled_from([*WRAPS, *OBJECTS]))
        if kind in OBJECTS and all(text.startswith(b"{") and text.endswith(b"}") for text in wrapped):
            count = 1 if kind in {"gcp", "splunk-hec"} else at_once
            wrapped = [OBJECTS[kind](wrapped[at : at + count]) for at in range(0, len(wrapped), count)]
            names.insert(0, kind)
        elif kind in WRAPS:
            name, wrap = WRAPS[kind]
            ascii = data.draw(st.booleans())
            outside = wrap([text.decode() for text in wrapped], at_once)
            wrapped = [json.dumps(one, ensure_ascii=ascii).encode() for one in outside]
            names.insert(0, name)
    whole = unwrap(wrapped, names)
    assert [row["text"] for row in whole] == [text.encode() for text in texts]
    if names:
        said = [{pair["key"]: pair["value"] for pair in row["envelope"]} for row in whole]
        assert {known["envelope"] for known in said} == {">".join(names)}
    addresses = [(row["offset"], row["inner"]) for row in whole]
    assert len(set(addresses)) == len(addresses)
    cuts = data.draw(st.lists(st.integers(0, len(wrapped)), max_size=3))
    assert unwrap(wrapped, names, cuts) == whole


def test_a_plan_of_real_envelopes() -> None:
    app = [b'{"request_id":"r%d","verdict":"allow"}' % number for number in range(3)]
    lines = [{"log": f"{text.decode()}\n", "stream": "stdout", "time": "2026-01-01T00:00:00Z"} for text in app]
    hits = [json.dumps(ES | {"_source": {"log": json.dumps(line), "kubernetes": POD}}).encode() for line in lines]
    chosen = plan([*hits, b"", b"banner"], lambda sample: sample == app, ENVELOPES)
    assert [one.name for one in chosen] == ["elasticsearch", "collector", "docker"]
    assert [row["text"] for row in unwrap(hits, [one.name for one in chosen])] == app


def test_every_envelope_is_named_once() -> None:
    assert len(NAMED) == len(ENVELOPES)
