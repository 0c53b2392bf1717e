"""Wrappers around a line of text: opened where they are, left alone where an application's own line only looks so."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest
from hypothesis import assume, given, strategies as st

from strataline.read.envelope import Inner, plan
from strataline.read.prefixes import FACILITIES, PREFIXES, SEVERITIES
from strataline.read.wrappers import ENVELOPES

SHARED = Path(__file__).resolve().parents[2] / "shared"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real records is not here")

OPEN = {one.name: one.open for one in PREFIXES}
Known = dict[str, str]


def inside(name: str, record: bytes) -> Inner:
    """What the one wrapper of `record` holds."""
    inners = OPEN[name](record)
    assert inners is not None
    assert len(inners) == 1
    return inners[0]


def claims(record: bytes) -> list[str]:
    return [name for name, opened in OPEN.items() if opened(record) is not None]


def lines(path: str) -> list[bytes]:
    content = (SHARED / path).read_bytes()
    if path.endswith(".gz"):
        content = gzip.decompress(content)
    return [line for line in content.split(b"\n") if line.strip()]


def test_order_is_from_the_most_specific_to_shapes_of_no_tool() -> None:
    assert [one.name for one in PREFIXES] == [
        *("cri", "kubectl", "compose", "journalctl", "syslog", "stern-text", "logcli", "fluentd", "cf"),
        *("timestamped", "prefixed"),
    ]


# CRI


def test_cri_pieces_belong_to_their_stream() -> None:
    inner = inside("cri", b"2019-05-07T18:57:50.904275087+00:00 stderr P 1b. some ")
    known = {"time": "2019-05-07T18:57:50.904275087+00:00", "stream": "stderr", "time_role": "write"}
    assert inner == Inner(b"1b. some ", known, more=True, joins="stderr")


@pytest.mark.parametrize(
    ("line", "text", "tags"),
    [
        (b"2016-10-06T00:17:09.669794202Z stdout F ", b"", None),
        (b"2016-10-06T00:17:09.669794202Z stdout F", b"", None),
        (b"2016-10-06T00:17:09.669794202Z stdout F  two spaces", b" two spaces", None),
        (b"2016-10-06T02:17:09+02:00 stdout F:TAG:other log content", b"log content", "TAG:other"),
    ],
)
def test_cri_whole_lines(line: bytes, text: bytes, tags: str | None) -> None:
    inner = inside("cri", line)
    assert (inner.text, inner.more, inner.joins, inner.known.get("labels.tags")) == (text, False, "stdout", tags)


@real
def test_cri_real_records_join_to_whole_lines() -> None:
    open_pieces: dict[str, bytes] = {}
    whole = []
    for line in lines("real_logs/cri/fluentbit_multiline_cri.log"):
        inner = inside("cri", line)
        assert inner.joins is not None
        text = open_pieces.pop(inner.joins, b"") + inner.text
        if inner.more:
            open_pieces[inner.joins] = text
        else:
            whole.append(text)
    assert len(whole) == 18
    assert whole[:2] == [b"1a. some multiline log", b"1b. some multiline log"]
    assert not open_pieces


# kubectl


@real
def test_kubectl_real_records() -> None:
    records = lines("real_logs/kubectl/prefix_timestamps.log")
    assert [inside("kubectl", line).text for line in records] == [
        b"INFO trace-a first",
        b"INFO trace-a second",
        b'I0713 04:02:50.125728       1 simulator.go:310] "completion request received"',
        b"2026/10/07 15:28:54 [notice] 1#1: start worker process 52",
    ]
    assert inside("kubectl", records[1]).known == {
        "pod": "api-0",
        "container": "app",
        "time": "2026-09-02T01:00:01.000000000Z",
        "time_role": "write",
    }
    assert inside("kubectl", records[3]).known == {"pod": "web-f4c54c7fc-r5d9h", "container": "nginx"}


def test_kubectl_leaves_an_applications_own_time() -> None:
    text = b"2023-09-06T13:47:01.731233Z  INFO HTTP request"
    assert inside("kubectl", b"[pod/tgi-0/server] " + text) == Inner(text, {"pod": "tgi-0", "container": "server"})


@pytest.mark.parametrize("line", [b"[pod/a/b]", b"[pod/a/b] ", b"[pod/a/b] 2026-09-02T01:00:00.000000000Z"])
def test_kubectl_empty_message(line: bytes) -> None:
    assert inside("kubectl", line).text == b""


def test_each_line_of_a_record_may_have_the_prefix() -> None:
    record = b"[pod/a/b] Traceback (most recent call last):\n[pod/a/b]   File x\n[pod/a/b] ValueError"
    assert inside("kubectl", record).text == b"Traceback (most recent call last):\n  File x\nValueError"
    assert inside("kubectl", b"[pod/a/b] one\n  two").text == b"one\n  two"
    other = b"[pod/a/b] one\n[pod/c/b] two"
    assert inside("kubectl", other) == Inner(b"one\n[pod/c/b] two", {"pod": "a", "container": "b"})


# docker compose


@pytest.mark.parametrize(
    ("line", "service", "text"),
    [
        (b"web-1  | GET /", "web-1", b"GET /"),
        (b"my_app.v2        |   indented", "my_app.v2", b"  indented"),
        (b"web_1 | longest name of version 1", "web_1", b"longest name of version 1"),
        (b"web-1  | ", "web-1", b""),
        (b"web-1  |", "web-1", b""),
        (b"\x1b[36mapi-1  | \x1b[0m\x1b[32mINFO\x1b[0m:     ok", "api-1", b"\x1b[32mINFO\x1b[0m:     ok"),
        (b"\x1b[33;1mapi  | \x1b[0m{}", "api", b"{}"),
        (b"\x1b[36mapi_1  |\x1b[0m message", "api_1", b"message"),
    ],
)
def test_compose(line: bytes, service: str, text: bytes) -> None:
    assert inside("compose", line) == Inner(text, {"service": service})


def test_compose_with_timestamps() -> None:
    inner = inside("compose", b"web-1  | 2026-11-21T22:29:34.378184123Z hello")
    known = {"service": "web-1", "time": "2026-11-21T22:29:34.378184123Z", "time_role": "write"}
    assert inner == Inner(b"hello", known)


@pytest.mark.parametrize(
    "line",
    [
        b"INFO     | app started",
        b"404  | 39.215165ms",
        b"id | name",
        b"web-1 exited with code 0",
        b"2026-11-21 22:29:34.378 | INFO     | app:main:1 - hello",
        b'[GIN] 2025/03/14 - 09:19:18 | 404 |   39.215165ms |    192.168.65.1 | POST     "/v1"',
    ],
)
def test_compose_leaves_other_columns(line: bytes) -> None:
    assert claims(line) == []


# journalctl


@real
def test_journalctl_real_records() -> None:
    first, second, third = (
        inside("journalctl", line) for line in lines("real_logs/journald/journalctl_short_iso_precise.log")
    )
    assert first.text == b'{"request_id":"req-9","verdict":"block","policy":"pii"}'
    assert first.known == {
        "time": "2026-11-21T22:29:34.378184+0000",
        "host": "host1",
        "service": "guard",
        "labels.pid": "812",
        "time_role": "write",
    }
    assert second.text == b"plain text"
    assert (third.text, third.known["service"], third.known.get("host")) == (b"binary red line", "unknown", None)


@pytest.mark.parametrize(
    ("line", "stamp", "service"),
    [
        (b"2026-11-21T22:29:34+0100 host1 guard[812]: hello", "2026-11-21T22:29:34+0100", "guard"),
        (b"Nov 21 22:29:34.378184 host1 guard[812]: hello", "Nov 21 22:29:34.378184", "guard"),
        (b"Sat 2026-11-21 22:29:34 UTC host1 guard[812]: hello", "2026-11-21 22:29:34 UTC", "guard"),
        (b"Sat 2026-11-21 22:29:34 CET host1 guard.service[812]: hello", "2026-11-21 22:29:34 CET", "guard.service"),
        (b"1795300174.378184 host1 guard[812]: hello", "1795300174.378184", "guard"),
    ],
)
def test_journalctl_forms(line: bytes, stamp: str, service: str) -> None:
    known = {"time": stamp, "host": "host1", "service": service, "labels.pid": "812", "time_role": "write"}
    assert inside("journalctl", line) == Inner(b"hello", known)


def test_journalctl_indents_what_follows() -> None:
    prefix = b"2026-11-21T22:29:34.378184+0000 host1 guard[812]: "
    indent = b" " * len(prefix)
    assert inside("journalctl", prefix + b"{\n" + indent + b'  "a": 1\n\n' + indent + b"}").text == b'{\n  "a": 1\n\n}'
    assert inside("journalctl", prefix + b"one\n" + indent + b"two\n three").text == b"one\n" + indent + b"two\n three"
    nameless = b"2026-11-21T22:29:34+0000 unknown: one\n" + b" " * 26 + b"two"
    assert inside("journalctl", nameless).text == b"one\ntwo"


def test_journalctl_remarks_hold_nothing() -> None:
    assert OPEN["journalctl"](b"-- Boot 0123456789abcdef0123456789abcdef --") == []
    assert (
        OPEN["journalctl"](b"-- Logs begin at Mon 2026-11-02 10:00:01 UTC, end at Sat 2026-11-21 22:29:34 UTC. --")
        == []
    )
    assert OPEN["journalctl"](b"-- Boot up the service --") is None


@pytest.mark.parametrize(
    "line",
    [
        b"2026-11-21T22:29:34+0000 INFO app.search: hello",
        b"2026-11-21T22:29:34+0000 app.search WARNING: hello",
        b"2026-11-21T22:29:34+0000 app.search: hello",
        b"1795300174.378184 app.search: hello",
        b"1795300174.378    123 10.0.0.1 TCP_MISS/200 1234 GET http://x/ - DIRECT/1.2.3.4 text/html",
    ],
)
def test_journalctl_leaves_application_lines(line: bytes) -> None:
    assert claims(line) == []


# syslog


@pytest.mark.parametrize(
    ("line", "text", "known"),
    [
        (  # RFC 3164, 5.4, example 1: the apostrophe ends the tag there; it is no program's name here
            b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8",
            b"'su root' failed for lonvick on /dev/pts/8",
            {
                "time": "Oct 11 22:14:15",
                "host": "mymachine",
                "service": "su",
                "severity": "crit",
                "labels.facility": "auth",
            },
        ),
        (
            b"<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!",
            b"Use the BFG!",
            {"time": "Feb  5 17:32:18", "host": "10.0.0.99", "severity": "notice", "labels.facility": "user"},
        ),
        (
            b"<30>Nov 21 22:29:34 web/0123abcd[812]: {}",
            b"{}",
            {
                "time": "Nov 21 22:29:34",
                "service": "web/0123abcd",
                "labels.pid": "812",
                "severity": "info",
                "labels.facility": "daemon",
            },
        ),
        (
            b"<14>2026-11-21T22:29:34.378184+01:00 host1 guard[812]: ok",
            b"ok",
            {
                "time": "2026-11-21T22:29:34.378184+01:00",
                "host": "host1",
                "service": "guard",
                "labels.pid": "812",
                "severity": "info",
                "labels.facility": "user",
            },
        ),
        (
            b"Nov  1 22:29:34 host1 kernel: [    1.2] usb 1-1",
            b"[    1.2] usb 1-1",
            {"time": "Nov  1 22:29:34", "host": "host1", "service": "kernel"},
        ),
        (
            b"2026-11-21T22:29:34.378184+00:00 host1 CRON[12]: (root) CMD (x)",
            b"(root) CMD (x)",
            {"time": "2026-11-21T22:29:34.378184+00:00", "host": "host1", "service": "CRON", "labels.pid": "12"},
        ),
        (
            b'Nov 21 22:29:34 host1 app:{"a":1}',
            b'{"a":1}',
            {"time": "Nov 21 22:29:34", "host": "host1", "service": "app"},
        ),
    ],
)
def test_syslog_3164_and_files(line: bytes, text: bytes, known: Known) -> None:
    assert inside("syslog", line) == Inner(text, known | {"time_role": "write"})


def test_syslog_5424_examples_of_the_rfc() -> None:
    first = (
        "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - "
        "\ufeff'su root' failed for lonvick on /dev/pts/8"
    )
    assert inside("syslog", first.encode()) == Inner(
        b"'su root' failed for lonvick on /dev/pts/8",
        {
            "time": "2003-10-11T22:14:15.003Z",
            "host": "mymachine.example.com",
            "service": "su",
            "labels.msgid": "ID47",
            "severity": "crit",
            "labels.facility": "auth",
            "time_role": "write",
        },
    )
    second = b"<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts."
    assert inside("syslog", second).text == b"%% It's time to make the do-nuts."
    assert inside("syslog", second).known["labels.pid"] == "8710"
    third = (
        b'<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut="3" '
        b'eventSource="Application" eventID="1011"][examplePriority@32473 class="high"]'
    )
    inner = inside("syslog", third)
    assert inner.text == b""
    assert inner.known["labels.exampleSDID@32473.eventSource"] == "Application"
    assert inner.known["labels.examplePriority@32473.class"] == "high"


def test_syslog_5424_structured_data() -> None:
    head = b"<190>1 - - - - - "
    inner = inside("syslog", head + rb'[a@1 say="a \"b\" \] \\ \n" say="]"][origin] text')
    expected = {"labels.a@1.say": 'a "b" ] \\ \\n', "labels.a@1.say.2": "]"}
    assert inner == Inner(b"text", expected | {"severity": "info", "labels.facility": "local7"})
    for rest in (b'[a@1 b="c" text', b"[info] starting", b"State changed to up", b'[a@1 b="c"]text', b'[a@1 b="c'):
        assert inside("syslog", head + rest).text == rest
    assert inside("syslog", head + b"-").text == b""
    assert inside("syslog", head + b"- one\n two").text == b"one\n two"


def test_syslog_counted_messages() -> None:
    message = b"<40>1 2012-11-30T06:45:29+00:00 host app web.3 - State changed from starting to up"
    counted = b"%d %s" % (len(message), message)
    assert inside("syslog", counted).text == b"State changed from starting to up"
    assert inside("syslog", counted).known["labels.pid"] == "web.3"
    assert inside("syslog", b"%d %s" % (len(message) + 1, message)).text == b"State changed from starting to up"
    inners = OPEN["syslog"](counted * 3)
    assert inners is not None
    assert [inner.text for inner in inners] == [b"State changed from starting to up"] * 3
    assert OPEN["syslog"](counted + b"7 <1>oops") is None


@pytest.mark.parametrize("priority", range(192))
def test_syslog_priorities(priority: int) -> None:
    known = inside("syslog", b"<%d>Nov 21 22:29:34 host app: x" % priority).known
    severity, facility = SEVERITIES.index(known["severity"]), FACILITIES.index(known["labels.facility"])
    assert facility * 8 + severity == priority


@pytest.mark.parametrize(
    "line",
    [
        b"<192>Nov 21 22:29:34 host app: x",
        b"<6>a message of the kernel",
        b"2026-11-21T22:29:34.378Z INFO app: message",
        b"2026-11-21T22:29:34.378Z thread-1 com.acme.Search: message",
        b"2026-11-21T22:29:34.378Z app.search ERROR: message",
        b"2024-12-10T21:49:50.317182Z  INFO text_generation_router::server: router/src/server.rs:2402: Connected",
        b"Nov 21 22:29:34 INFO app: message",
        b"Nov 21 22:29:34 host last message repeated 2 times",
    ],
)
def test_syslog_leaves_application_lines(line: bytes) -> None:
    assert claims(line) == []


# stern

POD = b"api-7d9f8b6c5-x2x4z"


@pytest.mark.parametrize(
    ("line", "text", "known"),
    [
        (POD + b" app hello", b"hello", {}),
        (b"prod " + POD + b" app hello", b"hello", {"namespace": "prod"}),
        (b"\x1b[96m" + POD + b"\x1b[0m \x1b[36mapp\x1b[0m \x1b[31mred\x1b[0m one", b"\x1b[31mred\x1b[0m one", {}),
        (b"\x1b[96mprod\x1b[0m \x1b[96m" + POD + b"\x1b[0m \x1b[36mapp\x1b[0m hello", b"hello", {"namespace": "prod"}),
        (POD + b" app ", b"", {}),
        (
            POD + b" app 2026-09-02T01:00:00.123456789Z hello",
            b"hello",
            {"time": "2026-09-02T01:00:00.123456789Z", "time_role": "write"},
        ),
    ],
)
def test_stern(line: bytes, text: bytes, known: Known) -> None:
    assert inside("stern-text", line) == Inner(text, known | {"pod": POD.decode(), "container": "app"})


def test_stern_of_numbered_pods() -> None:
    assert inside("stern-text", b'api-0 app {"a":1}') == Inner(b'{"a":1}', {"pod": "api-0", "container": "app"})
    assert inside("stern-text", b'prod api-0 app {"a":1}').known == {
        "namespace": "prod",
        "pod": "api-0",
        "container": "app",
    }
    assert inside("stern-text", b"api app 2026-09-02T01:00:00.123456789Z x").known["pod"] == "api"
    assert OPEN["stern-text"](b"step-1 done in 3 s") is None
    assert OPEN["stern-text"](b"received a message from the queue") is None


def test_stern_says_whom_it_follows() -> None:
    assert OPEN["stern-text"](b"+ %s \xe2\x80\xba app" % POD) == []
    assert OPEN["stern-text"](b"\x1b[32;1m- prod \xe2\x80\xba %s \xe2\x80\xba app\x1b[0m" % POD) == []
    assert OPEN["stern-text"]("+ menu › open a file".encode()) is None


# a time, then a record


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1}',
        b'[{"a": 1}, {}]',
        b"{} ",
        b"2026-11-21 22:29:34,378 INFO app - hello",
        b'[2026-11-21T22:29:34.378Z] "GET / HTTP/1.1" 200',
        b"[21/Nov/2026:22:29:34 +0000] hello",
        b'127.0.0.1 - - [21/Nov/2026:22:29:34 +0000] "GET / HTTP/1.1" 200 1',
        b'INFO:     127.0.0.1:34474 - "POST /api/chat HTTP/1.1" 200 OK',
        b"WARNING:  slow",
        b"INFO 04-20 17:17:47 [chat_utils.py:396] Detected",
        b'I0713 04:02:50.125728       1 simulator.go:310] "received"',
        b"[GIN] 2025/03/14 - 09:19:18 | 404 |",
        b'time=2025-03-15T09:18:30.530Z level=INFO msg="x"',
        b"[INFO]\t2026-11-21T22:29:34.378Z\t8f507cfc-xmpl-4697-b07a-ac58fc914c95\thello",
        b"START RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95 Version: $LATEST",
        b"Nov 21 22:29:34 host app: hello",
    ],
)
def test_timestamped_records(text: bytes) -> None:
    known = {"time": "2026-11-21T22:29:34.378Z", "time_role": "write"}
    assert inside("timestamped", b"2026-11-21T22:29:34.378Z " + text) == Inner(text, known)
    assert OPEN["timestamped"](text) is None or text[:1].isdigit()


@pytest.mark.parametrize(
    "stream",
    [
        b"2026/11/21/[$LATEST]0123456789abcdef0123456789abcdef",
        b"ecs/web/0123456789abcdef0123456789abcdef",
        b"f525e7be-c42d-3f0d-a7c4-6a51d01da714",
        b"i-0123456789abcdef0",
    ],
)
def test_timestamped_with_the_stream_of_aws_logs_tail(stream: bytes) -> None:
    known = {"time": "2026-11-21T22:29:34.378000+00:00", "labels.log_stream": stream.decode(), "time_role": "write"}
    assert inside("timestamped", b"2026-11-21T22:29:34.378000+00:00 " + stream + b" hello") == Inner(b"hello", known)
    coloured = b"\x1b[32m2026-11-21T22:29:34.378000+00:00\x1b[0m \x1b[36m" + stream + b"\x1b[0m hello"
    assert inside("timestamped", coloured) == Inner(b"hello", known)
    pretty = b"2026-11-21T22:29:34+00:00 " + stream + b' \n{\n    "a": 1\n}'
    assert inside("timestamped", pretty).text == b'{\n    "a": 1\n}'
    assert OPEN["timestamped"](b"2026-11-21T22:29:34.378Z " + stream + b" hello") is None


@pytest.mark.parametrize(
    "line",
    [
        b"2026-11-21T22:29:34.378Z hello",
        b"2026-11-21T22:29:34.378Z INFO hello",
        b"2026-11-21T22:29:34.378Z  INFO hello",
        b"2026-11-21T22:29:34.378Z INFO: hello",
        b"2026-11-21T22:29:34.378Z [INFO] hello",
        b"2026-11-21T22:29:34.378Z ERROR 12 --- [main] c.acme.Search : hello",
        b"2026-11-21T22:29:34.378 2026-11-21T22:29:34.378",
        b'2026-11-21 22:29:34,378 INFO:     127.0.0.1:1 - "GET / HTTP/1.1" 200 OK',
        b"2026-11-21T22:29:34.378Z GET /health/deadbeef01 200",
    ],
)
def test_timestamped_leaves_application_lines(line: bytes) -> None:
    assert claims(line) == []


# logcli, fluentd, cf


def test_logcli() -> None:
    at = {"time": "2026-11-21T22:44:00Z", "time_role": "write"}
    line = b'2026-11-21T22:44:00Z {pod="p", app="x", path="C:\\\\a \\"b\\"", empty=""}   {"a": 1}'
    known = at | {"pod": "p", "service": "x", "labels.path": 'C:\\a "b"'}
    assert inside("logcli", line) == Inner(b'{"a": 1}', known)
    assert claims(line)[0] == "logcli"
    assert inside("logcli", b"2026-11-21T22:44:00Z {} a line") == Inner(b"a line", at)
    coloured = b'\x1b[34m2026-11-21T22:44:00Z\x1b[0m \x1b[31m{app="x"}\x1b[0m a line'
    assert inside("logcli", coloured) == Inner(b"a line", at | {"service": "x"})
    for other in (b"{} ", b'{"a": 1}', b'{app="x} y', b'{app="x",} y', b'{app="x" b="y"} y', b"{app} y"):
        assert OPEN["logcli"](b"2026-11-21T22:44:00Z " + other) is None


@pytest.mark.parametrize(
    ("prefix", "stamp"),
    [
        (b"2026-11-21T22:44:00Z\tkube.app\t", "2026-11-21T22:44:00Z"),
        (b"2026-11-21T22:44:00+01:00\tkube.app\t", "2026-11-21T22:44:00+01:00"),
        (b"2026-11-21 22:44:00.000000000 +0000 kube.app: ", "2026-11-21 22:44:00.000000000 +0000"),
    ],
)
def test_fluentd(prefix: bytes, stamp: str) -> None:
    known = {"time": stamp, "time_role": "write", "labels.tag": "kube.app"}
    for text in (
        b'{"a": 1}',
        b'{"log": "x", "stream": "queue"}',
        b'{"log": "x", "stream": "stdout", "kubernetes": {}}',
    ):
        assert inside("fluentd", prefix + text) == Inner(text, known)
        assert claims(prefix + text)[0] == "fluentd"
    known["stream"] = "stdout"
    whole = prefix + b'{"log": "x\\r\\n", "stream": "stdout"}'
    assert inside("fluentd", whole) == Inner(b"x", known, joins="stdout")
    piece = prefix + b'{"stream": "stdout", "log": "x"}'
    assert inside("fluentd", piece) == Inner(b"x", known, more=True, joins="stdout")
    assert OPEN["fluentd"](prefix + b"text") is None
    assert OPEN["fluentd"](prefix + b'{"a": 1} text') is None


def test_what_fluentd_took_from_containers_is_opened() -> None:
    record = {"container_id": "ab", "container_name": "/x", "source": "stdout", "log": '{"a": 1}'}
    lines_of = [b"2026-11-21T22:44:00Z\tdocker.app\t" + json.dumps(record).encode()]
    chosen = plan(lines_of, lambda _: False, [*ENVELOPES, *PREFIXES])
    assert [one.name for one in chosen] == ["fluentd", "collector"]


def test_cf() -> None:
    known = {
        "time": "2026-11-21T22:44:00.12-0500",
        "time_role": "write",
        "stream": "stderr",
        "labels.source": "APP/PROC/WEB/0",
    }
    assert inside("cf", b"   2026-11-21T22:44:00.12-0500 [APP/PROC/WEB/0] ERR  msg") == Inner(b" msg", known)
    assert inside("cf", b"2026-11-21T22:44:00.12-0500 [RTR/1]      OUT x").known["labels.source"] == "RTR/1"
    for other in (b"2026-11-21T22:44:00.12Z [APP/0] OUT x", b"2026-11-21T22:44:00.12-0500 [INFO] OUT of memory"):
        assert OPEN["cf"](other) is None


# a prefix, then an object


@pytest.mark.parametrize(
    ("prefix", "known"),
    [
        (b"[2026-11-21 22:42:50] ", {"time": "2026-11-21 22:42:50"}),
        (
            b"2026-11-21 22:42:50,123 INFO app.search - ",
            {"time": "2026-11-21 22:42:50,123", "severity": "INFO"},
        ),
        (b"WARNING:app.search:", {"severity": "WARNING"}),
        (b"INFO ", {"severity": "INFO"}),
        (b"info: ", {"severity": "info"}),
        (b"app: ", {}),
        (b"@cee: ", {}),
        (b"[warn] <app> ", {"severity": "warn"}),
        (b"2026/11/21 22:42:50 ", {"time": "2026/11/21 22:42:50"}),
        (b"1795300174.378 app ", {"time": "1795300174.378"}),
        (b"1795300174378 level=error ", {"time": "1795300174378", "severity": "error"}),
        (b"2026-11-21T22:42:50.1+01:00\tapp\t", {"time": "2026-11-21T22:42:50.1+01:00"}),
        (b"\x1b[32mINFO\x1b[0m app: ", {"severity": "INFO"}),
        ("línea ".encode(), {}),
    ],
)
def test_prefixed(prefix: bytes, known: Known) -> None:
    text = b'{"a": {"b": "}"}}'
    role = {"time_role": "write"} if "time" in known else {}
    expected = known | role | {"labels.prefix": prefix.strip().decode()}
    assert inside("prefixed", prefix + text) == Inner(text, expected)


def test_prefixed_by_one_colour_for_the_line() -> None:
    assert inside("prefixed", b'\x1b[33mWARN {"a":1}\x1b[0m').text == b'{"a":1}'


def test_prefixed_object_over_several_lines() -> None:
    assert inside("prefixed", b'INFO {\n  "a": 1\n}').text == b'{\n  "a": 1\n}'
    assert OPEN["prefixed"](b'INFO {"a": 1}\nTraceback (most recent call last):\n  ValueError') is None
    assert OPEN["prefixed"](b'INFO app\n{"a": 1}') is None


@pytest.mark.parametrize(
    "line",
    [
        b'{"a": 1}',
        b'  "a": {"b": 1}',
        b'"a": {"b": 1}',
        b'> "cache": {}',
        b'[{"a": 1}',
        b', {"a": 1}',
        b'INFO {"a": 1',
        b'INFO {"a": 1} done',
        b"INFO {a: 1}",
        b"INFO {'a': 1}",
        b'INFO app obj={"a": 1}',
        b'INFO call({"a": 1}',
        b'INFO msg="got {"a": 1}',
        b'1,2,{"a": 1}',
        b'data: {"a": 1}',
        b'I0713 04:02:50.125728       1 simulator.go:310] {"a": 1}',
        b"x" * 201 + b' {"a": 1}',
        b"",
    ],
)
def test_prefixed_leaves_parts_and_other_text(line: bytes) -> None:
    assert claims(line) == []


# all of them

WRAPPED = {
    "cri": b"2026-11-21T22:29:34.378184123Z stdout F ",
    "kubectl": b"[pod/api-0/app] ",
    "compose": b"\x1b[36mapi-1  | \x1b[0m",
    "journalctl": b"2026-11-21T22:29:34.378184+0000 host1 guard[812]: ",
    "syslog": b'<34>1 2026-11-21T22:29:34.378Z host1 guard 812 - [a@1 b="c"] ',
    "stern-text": b"api-7d9f8b6c5-x2x4z app ",
    "cf": b"   2026-11-21T22:29:34.12-0500 [APP/PROC/WEB/0]      OUT ",
    "timestamped": b"2026-11-21T22:29:34.378000+00:00 ecs/web/0123456789abcdef ",
}


@given(st.sampled_from(sorted(WRAPPED)), st.binary(max_size=60))
def test_what_was_wrapped_comes_out_again(name: str, text: bytes) -> None:
    assume(b"\n" not in text and not text.startswith(b"\xef\xbb\xbf"))
    inner = inside(name, WRAPPED[name] + text)
    assert inner.text == text
    assert claims(WRAPPED[name] + text)[0] == name


@given(
    st.text(st.characters(blacklist_characters="{", blacklist_categories=["Cs", "Cc"]), max_size=40),
    st.binary(max_size=40),
)
def test_what_was_prefixed_comes_out_again(prefix: str, value: bytes) -> None:
    assume(b"\n" not in value)
    assume(prefix[:1].strip() and prefix[:1] not in "\"'" and prefix.count('"') % 2 == 0)
    text = b'{"' + value + b'":1}'
    inner = inside("prefixed", prefix.encode() + b" app: " + text)
    assert inner.text == text
    assert inner.known["labels.prefix"] == (prefix + " app:").strip()


@given(st.binary(max_size=200))
def test_nothing_is_raised_and_nothing_is_made_up(record: bytes) -> None:
    for opened in OPEN.values():
        for inner in opened(record) or []:
            assert inner.text in record
            assert all(isinstance(value, str) for value in inner.known.values())


FILLERS = [
    *(b"[", b"{", b'"', b"\\", b" ", b"\n", b"a", b"-", b"0", b"\x1b", b"]", b":", b"/", b"|", b"\xff"),
    *(
        b"\x1b[0m",
        b"\x1b[36ma ",
        b' a="b"',
        b'[a@1 b="c"',
        b'\\"',
        b"a-bcdfg-",
        b"7 <1>1 ",
        b"7 <1>x",
        b"a: ",
        b"a/",
        b"{}",
    ),
    *(b"2026-11-21T22:29:34.378Z ", b"web-1  | ", b"[pod/a/b] \n", b"web-1  | a\n", b"1 <1>Nov 21 22:29:34 a a: "),
]
HEADS = [
    b"",
    b"<1>1 - - - - - ",
    b'<1>1 - - - - - [a@1 b="',
    b"2026-11-21T22:29:34+00:00 ",
    b"Nov 21 22:29:34 ",
    b"a ",
    b'INFO {"',
    b'2026-11-21T22:29:34Z {a="',
    b"2026-11-21T22:29:34Z\ta\t{",
]


@pytest.mark.parametrize("name", sorted(OPEN))
def test_hostile_lines_take_linear_time(name: str) -> None:
    size = 1 << 20
    heads = [*HEADS, WRAPPED.get(name, b"INFO ")]
    for head in dict.fromkeys(heads):
        for filler in FILLERS:
            record = head + filler * (size // len(filler) // 8)
            began = time.perf_counter()
            OPEN[name](record)
            assert time.perf_counter() - began < 1 / 4, (head, filler)
    for filler in FILLERS:
        record = WRAPPED.get(name, b"INFO ") + filler * (size // len(filler))
        began = time.perf_counter()
        OPEN[name](record)
        assert time.perf_counter() - began < 2, filler


@real
def test_real_lines_of_applications_are_left_alone() -> None:
    expected: dict[str, set[str]] = {
        # excerpts of reports, some of which show the lines as journalctl and docker compose printed them
        "real_logs/ollama/server_log_real_excerpts.log": {"syslog", "compose"},
        "real_logs/vectordb_logs/opensearch_slowlog.log": {"compose"},
        "real_logs/sglang/request_log_json_format.log": {"prefixed"},
    }
    for path in (
        "real_logs/vllm/server_stdout_real_excerpts.log",
        "real_logs/tgi/router_text_success_real_excerpts.log",
        "real_logs/sglang/request_log_text_format.log",
        "real_logs/modsecurity/error_log_lines.txt",
        "real_logs/presidio/decision_process.log",
        "real_logs/elasticsearch/es6_plaintext_slowlog.log",
        "real_logs/postgres/pgvector_postgresql.log",
        "real_logs/nginx/nginx_combined.log",
        "real_logs/nginx/nginx_error.log",
        "real_logs/envoy/envoy_access_default_text.log",
        "real_logs/vectordb_logs/weaviate_text.log",
        "real_logs/litellm/proxy_stdout_json_logs_runB.log",
        "real_logs/docker_json/fluentbit_fixtures.log",
        "captures/A/logs/app/uvicorn.log",
        "captures/A/logs/app/uvicorn.log.1.gz",
        "captures/A/logs/policy/policy-b.log",
        "captures/A/logs/retrieval/service.log",
    ):
        expected[path] = set()
    assert {path: {name for line in lines(path) for name in claims(line)} for path in expected} == expected
    ollama = [name for line in lines("real_logs/ollama/server_log_real_excerpts.log") for name in claims(line)]
    assert sorted(ollama) == ["compose", "syslog", "syslog", "syslog"]


@real
def test_sglang_writes_a_time_before_its_objects() -> None:
    records = lines("real_logs/sglang/request_log_json_format.log")
    inners = [inside("prefixed", line) for line in records]
    assert len(inners) == 45
    assert all(inner.text.startswith(b'{"timestamp": "2026-11-21T') for inner in inners)
    assert inners[0].known == {
        "labels.prefix": "[2026-11-21 22:42:50]",
        "time": "2026-11-21 22:42:50",
        "time_role": "write",
    }
