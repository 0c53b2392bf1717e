"""Whatever people have, to a case and back: archives, standard input, wrappers, encodings, tables, addresses."""

from __future__ import annotations

import gzip
import http.server
import io
import json
import os
import pty
import sqlite3
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

import strataline
from strataline.case import Case
from strataline.cli import main
from strataline.rows import address

REPOSITORY = Path(__file__).resolve().parent.parent
LOGS = REPOSITORY / "sample_logs" / "assist_incident" / "logs"
FORMATS = REPOSITORY / "sample_logs" / "assist_incident" / "formats"
SHARED = REPOSITORY.parent / "shared"


def app(number: int, **more: object) -> bytes:
    record = {"event": "chat.request", "level": "info", "request_id": f"req_{number:024x}", "timestamp": "x"}
    return json.dumps(record | {"timestamp": f"2026-11-21T22:44:{number % 60:02}.490Z"} | more).encode()


def timeless(number: int) -> bytes:
    """A record that the format knows and that states no time and no id of its own."""
    return json.dumps({"event": "tick", "level": "info", "timestamp": None, "n": number}).encode()


def lines(*records: bytes) -> bytes:
    return b"".join(one + b"\n" for one in records)


def run(*arguments: str | Path, stdin: bytes | None = None) -> tuple[int, str, bytes]:
    found = CliRunner().invoke(main, [str(one) for one in arguments], input=stdin)
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, found.output, found.stdout_bytes


def tar_of(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def told(case: Case) -> list[tuple[object, ...]]:
    """What the events say, whatever they lay in."""
    columns = ("event_time", "layer", "kind", "name", "input_hash", "output_hash", "format")
    return sorted(case.frames["events"].select(columns).rows(), key=repr)


@pytest.fixture(scope="module")
def plain() -> Case:
    return strataline.reconstruct(LOGS, formats=[FORMATS], assume_zone="UTC", workers=2)


def test_archive_of_the_sample_says_what_its_folder_says(plain: Case, tmp_path: Path) -> None:
    files = {file.relative_to(LOGS).as_posix(): file.read_bytes() for file in sorted(LOGS.rglob("*")) if file.is_file()}
    inner = tar_of({name: data for name, data in files.items() if name.startswith("ui/")})
    with zipfile.ZipFile(tmp_path / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            if not name.startswith("ui/"):
                archive.writestr(name, gzip.compress(data) if name.endswith("prompt.jsonl") else data)
        archive.writestr("ui.tgz", inner)
    case = strataline.reconstruct(tmp_path / "export.zip", formats=[FORMATS], assume_zone="UTC")
    assert told(case) == told(plain)
    assert case.summary()["requests_by_kind"] == plain.summary()["requests_by_kind"]
    sources = case.frames["sources"]
    assert "export.zip!ui.tgz!ui/events.jsonl" in sources["source"].to_list()
    assert sources.filter(pl.col("within").is_null())["source"].to_list() == ["export.zip"]
    case.write(tmp_path / "CASE")
    again = Case.open(tmp_path / "CASE")
    assert again.verify(tmp_path / "CASE") == []
    # The evidence of every event is found again through both archives.
    some = again.frames["events"].sample(200, seed=1)
    assert [None if one is None else len(one) for one in again.evidence(some)] == some["length"].to_list()
    text = "courtesy code"
    assert again.find(text=text).height == plain.find(text=text).height > 0


def test_standard_input_is_kept_in_the_case_and_named(tmp_path: Path) -> None:
    data = gzip.compress(lines(*(app(n) for n in range(40))))
    status, output, _ = run("reconstruct", "-", "-o", tmp_path / "C", stdin=data)
    assert status == 0, output
    case = Case.open(tmp_path / "C")
    assert case.frames["sources"]["source"].to_list() == ["stdin"]
    assert (tmp_path / "C" / "stdin").read_bytes() == data
    moved = tmp_path / "elsewhere"
    (tmp_path / "C").rename(moved)
    assert run("verify", moved)[0] == 0
    event = Case.open(moved).frames["events"]["event_id"][7]
    assert run("evidence", moved, event)[2] == app(7)


def test_standard_input_of_a_pipeline(tmp_path: Path) -> None:
    program = [sys.executable, "-c", "from strataline.cli import main; main()", "reconstruct", "-"]
    ran = subprocess.run([*program, "-o", str(tmp_path / "C")], input=lines(app(1)), capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert b"1 record = 1 with events" in ran.stdout


DOCKER_TIME, CRI_TIME = "2026-11-21T22:44:00.123456789Z", "2026-11-21T22:44:00.123456789+00:00"


def docker(line: bytes) -> bytes:
    return json.dumps({"log": line.decode() + "\n", "stream": "stdout", "time": DOCKER_TIME}).encode()


def test_record_without_a_time_takes_that_of_its_wrapper_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_bytes(lines(*(docker(app(n)) for n in range(20)), docker(timeless(20))))
    case = strataline.reconstruct(tmp_path)
    events = case.frames["events"].sort("offset")
    assert events["time_kind"].to_list() == ["write"] * 20 + ["envelope"]
    last = events.row(-1, named=True)
    assert (last["time_raw"], last["zone_basis"], last["clock"]) == (DOCKER_TIME, "explicit", ". docker")
    assert str(last["event_time"]).startswith("2026-11-21 22:44:00.123456")
    # What states its own time keeps it; the wrapper's is when something else saw it.
    first = events.row(0, named=True)
    assert first["time_raw"] == "2026-11-21T22:44:00.490Z"
    assert str(first["observed_time"]).startswith("2026-11-21 22:44:00.123456")
    assert dict(first["envelope"]) == {
        "envelope": "docker", "stream": "stdout", "time": DOCKER_TIME, "time_role": "write"
    }  # fmt: skip
    notes = dict(case.frames["notes"].select("topic", "count").rows())
    assert notes["envelope_time"] == 1
    assert notes["envelope"] == 21


def test_record_without_an_id_takes_the_trace_of_its_wrapper_and_says_so(tmp_path: Path) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    entry = {"insertId": "a", "logName": "projects/p/logs/app", "timestamp": "2026-11-21T22:44:00Z", "jsonPayload": 0}
    entry |= {"trace": f"projects/p/traces/{trace}", "spanId": "00f067aa0ba902b7", "receiveTimestamp": DOCKER_TIME}
    rows = [entry | {"jsonPayload": json.loads(app(1))}, entry | {"jsonPayload": json.loads(timeless(2))}]
    (tmp_path / "app.jsonl").write_bytes(lines(*(json.dumps(row).encode() for row in rows * 10)))
    case = strataline.reconstruct(tmp_path)
    own, taken = case.frames["events"].sort("offset")["ids"].to_list()[:2]
    assert trace not in {one["value"] for one in own}
    assert {(one["kind"], one["value"], one["role"]) for one in taken} >= {("trace_id", trace, "alias")}
    notes = dict(case.frames["notes"].select("topic", "count").rows())
    assert notes["envelope_id"] == 10
    assert case.which(trace) or case.carries(trace).height == 10


def test_pieces_of_a_long_line_are_one_record_whose_evidence_is_all_of_them(tmp_path: Path) -> None:
    long = app(1, text="x" * 50)
    pieces = [f"{CRI_TIME} stdout P ".encode() + long[:40], f"{CRI_TIME} stdout F ".encode() + long[40:]]
    other = f"{CRI_TIME} stderr F ".encode() + app(2)
    (tmp_path / "pod.log").write_bytes(lines(pieces[0], other, pieces[1], *[other] * 10))
    case = strataline.reconstruct(tmp_path)
    case.write(tmp_path / "C")
    joined = case.frames["events"].filter(pl.col("parts").is_not_null())
    assert joined.height == 1
    assert joined["parts"].to_list() == [
        [
            {"offset": 0, "length": len(pieces[0])},
            {"offset": len(pieces[0]) + len(other) + 2, "length": len(pieces[1])},
        ]
    ]
    assert run("evidence", tmp_path / "C", joined["event_id"][0])[2] == b"".join(pieces)


def test_messages_of_one_wrapper_are_records_with_one_address(tmp_path: Path) -> None:
    messages = [{"id": str(n), "timestamp": 1795300000000 + n, "message": app(n).decode()} for n in range(5)]
    messages[3]["message"] = app(3)[:30].decode()
    record = {"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "g", "logStream": "s", "logEvents": messages}
    (tmp_path / "firehose").write_bytes(json.dumps(record | {"subscriptionFilters": ["f"]}).encode() * 3)
    case = strataline.reconstruct(tmp_path)
    (source,) = case.sources.to_pylist()
    assert (source["records"], source["with_events"], source["rejected"]) == (15, 12, 3)
    assert source["container"] == "documents"
    assert case.frames["rejects"].select("item", "reason").rows() == [(3, "truncated_json")] * 3
    events = case.frames["events"]
    assert events["offset"].n_unique() == 3
    assert events["event_id"].n_unique() == 12


def test_one_byte_encoding_is_told_where_most_text_is_in_it_and_noted(tmp_path: Path) -> None:
    records = [app(n, text="Grüße aus Köln").decode().encode("unicode_escape") for n in range(9)]
    records = [json.dumps(json.loads(one) | {"text": "Grüße"}, ensure_ascii=False).encode("latin-1") for one in records]
    (tmp_path / "old.jsonl").write_bytes(lines(*records))
    case = strataline.reconstruct(tmp_path)
    (source,) = case.sources.to_pylist()
    assert (source["encoding"], source["with_events"]) == ("latin-1", 9)
    assert "encoding_assumed" in case.frames["notes"]["topic"].to_list()
    assert case.evidence(case.frames["events"].head(1)) == [records[0]]
    assert case.find(text="grüße").height == 9


def test_encoding_can_be_named(tmp_path: Path) -> None:
    record = json.dumps(json.loads(app(1)) | {"text": "表示"}, ensure_ascii=False)
    (tmp_path / "sjis.jsonl").write_bytes(lines(*[record.encode("shift_jis")] * 9))
    (tmp_path / "wide.jsonl").write_bytes("\ufeff".encode("utf-16-le") + (f"{record}\r\n" * 9).encode("utf-16-le"))
    status, output, _ = run("reconstruct", tmp_path, "-o", tmp_path / "C", "--encoding", "sjis*=shift_jis")
    assert status == 0, output
    case = Case.open(tmp_path / "C")
    assert dict(case.frames["sources"].select("source", "encoding").rows()) == {
        "sjis.jsonl": "shift_jis", "wide.jsonl": "utf-16-le"
    }  # fmt: skip
    assert case.summary()["with_events"] == 18
    wide = case.frames["events"].filter(pl.col("source") == "wide.jsonl")
    assert case.evidence(wide.head(2)) == [record.encode("utf-16-le")] * 2
    assert case.verify(tmp_path / "C") == []
    refused, output, _ = run("reconstruct", tmp_path, "-o", tmp_path / "D", "--encoding", "sjis*=klingon")
    assert (refused, "klingon" in output) == (2, True)


def test_tables_are_read_as_their_rows(tmp_path: Path) -> None:
    rows = [json.loads(app(n)) for n in range(30)]
    with closing(sqlite3.connect(tmp_path / "app.db")) as database:
        database.execute("CREATE TABLE steps (event, level, request_id, timestamp)")
        database.executemany("INSERT INTO steps VALUES (:event, :level, :request_id, :timestamp)", rows)
        database.commit()
    pl.DataFrame(rows).write_parquet(tmp_path / "app.parquet")
    pl.DataFrame(rows).write_ipc(tmp_path / "app.arrow")
    pl.DataFrame(rows).write_csv(tmp_path / "app.csv")
    with zipfile.ZipFile(tmp_path / "tables.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("app.db", "app.parquet", "app.csv"):
            archive.write(tmp_path / name, f"copy/{name}")
    case = strataline.reconstruct(tmp_path)
    events = case.frames["events"].group_by("source", "address").len().sort("source").rows()
    assert events == [
        ("app.arrow", "row", 30), ("app.csv", "bytes", 30), ("app.db!steps", "row", 30), ("app.parquet", "row", 30)
    ]  # fmt: skip
    copies = case.frames["sources"].filter(pl.col("copy_of").is_not_null()).select("source", "copy_of").rows()
    assert dict(copies) == {f"tables.zip!copy/{name}": name for name in ("app.csv", "app.db!steps", "app.parquet")}
    case.write(tmp_path / "C")
    assert Case.open(tmp_path / "C").verify(tmp_path / "C") == []
    for source in ("app.db!steps", "app.parquet", "app.arrow"):
        event = case.frames["events"].filter(pl.col("source") == source).sort("offset").row(7, named=True)
        assert json.loads(run("evidence", tmp_path / "C", event["event_id"])[2])["request_id"] == f"req_{7:024x}"
        assert address(event) == f"{source}:row 7"


def test_options_that_name_members_are_checked_when_they_are_known(tmp_path: Path) -> None:
    (tmp_path / "e.tgz").write_bytes(tar_of({"a/app.log": lines(app(1), app(2))}))
    assert run("reconstruct", tmp_path, "-o", tmp_path / "C", "--zone", "*!a/*=Europe/Berlin")[0] == 0
    status, output, _ = run("reconstruct", tmp_path, "-o", tmp_path / "D", "--zone", "*!b/*=Europe/Berlin")
    assert status == 2
    assert "e.tgz!a/app.log" in output
    assert not (tmp_path / "D").exists()


@pytest.mark.parametrize("workers", [1, 5])
def test_result_does_not_depend_on_the_workers(plain: Case, tmp_path: Path, workers: int) -> None:
    case = strataline.reconstruct(LOGS, formats=[FORMATS], assume_zone="UTC", workers=workers)
    for name, frame in case.frames.items():
        assert frame.equals(plain.frames[name]), name
    plain.write(tmp_path / "A")
    case.write(tmp_path / "B")
    for file in sorted((tmp_path / "A").iterdir()):
        assert file.read_bytes() == (tmp_path / "B" / file.name).read_bytes(), file.name


def test_rejects_are_listed_by_reason_with_a_hint_and_an_address(tmp_path: Path) -> None:
    data = [app(n) for n in range(20)]
    (tmp_path / "a.jsonl").write_bytes(lines(*data, data[0][:40], data[1][:50], b"\xff" + data[2]))
    assert run("reconstruct", tmp_path, "-o", tmp_path / "C")[0] == 0
    status, output, _ = run("rejects", tmp_path / "C")
    assert status == 0
    assert output.splitlines()[0].startswith("truncated_json  2  ")
    assert "hint: " in output
    offset = sum(len(one) + 1 for one in data)
    assert f"a.jsonl@{offset}" in output
    assert run("evidence", tmp_path / "C", f"a.jsonl@{offset}")[2] == data[0][:40]
    status, output, _ = run("rejects", tmp_path / "C", "--reason", "invalid_utf8")
    assert (status, output.splitlines()[-1]) == (0, "1 reject")
    assert run("rejects", tmp_path / "C", "--reason", "nonsense")[0] == 2
    assert run("rejects", tmp_path / "C", "--source", "b*")[1] == "0 rejects\n"


@pytest.mark.parametrize("name", ["0" * 32, "short", "a.jsonl@99999", "a.jsonl@x"])
def test_evidence_of_what_is_not_there_is_refused_with_a_hint(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(app(1)))
    assert run("reconstruct", tmp_path, "-o", tmp_path / "C")[0] == 0
    status, output, _ = run("evidence", tmp_path / "C", name)
    assert status == 2
    assert "hint" in output


def test_evidence_whose_input_is_gone_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(app(1)))
    assert run("reconstruct", tmp_path / "a.jsonl", "-o", tmp_path / "C")[0] == 0
    (tmp_path / "a.jsonl").unlink()
    status, output, _ = run("evidence", tmp_path / "C", "a.jsonl@0")
    assert status == 1
    assert "--inputs" in output


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "app.jsonl.gz").write_bytes(gzip.compress(lines(*(app(n) for n in range(30)))))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = partial(Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_log_at_a_web_address_is_read_verified_and_read_again(server: str, tmp_path: Path) -> None:
    status, output, _ = run("reconstruct", f"{server}/app.jsonl.gz", "-o", tmp_path / "C")
    assert status == 0, output
    case = Case.open(tmp_path / "C")
    assert case.frames["sources"]["source"].to_list() == ["app.jsonl.gz"]
    assert case.frames["events"].height == 30
    assert run("verify", tmp_path / "C")[0] == 0
    assert run("evidence", tmp_path / "C", case.frames["events"]["event_id"][3])[2] == app(3)
    status, output, _ = run("reconstruct", f"{server}/gone.jsonl", "-o", tmp_path / "D")
    assert status == 2
    assert "no such object" in output


REAL = {
    "docker_json/fluentbit_fixtures.log": ("lines", ["docker"]),
    "cri/fluentbit_multiline_cri.log": ("lines", ["cri"]),
    "kubectl/prefix_timestamps.log": ("lines", ["kubectl"]),
    "journald/journalctl_o_json.jsonl": ("lines", ["journald"]),
    "journald/journalctl_short_iso_precise.log": ("lines", ["journalctl"]),
    "cloudwatch/lambda_event_awslogs.json": ("lines", ["cloudwatch"]),
    "cloudwatch/firehose_concatenated_no_newline.json": ("documents", ["cloudwatch"]),
    "gcp_logging/logentry_to_api_repr.jsonl": ("lines", ["gcp"]),
    "gcp_logging/structured_log_handler_stdout.jsonl": ("lines", ["gcp-stdout"]),
    "splunk/search_export_raw.jsonl": ("lines", ["splunk"]),
    "loki/logcli_jsonl.jsonl": ("lines", ["loki"]),
    "sglang/request_log_json_format.log": ("lines", ["prefixed"]),
    "litellm/generic_api_json_array_batches_runB.log": ("lines", ["array"]),
    "openinference/langchain_rag.otlp.console.txt": ("documents", []),
    "chatgpt_export/conversations_old_format.json": ("array", []),
    "azure_content_filter/stream_async_pass.sse": ("sse", []),
    "har/sse_chat_chromium.har": ("har", []),
    "litellm/LiteLLM_SpendLogs_runB.csv": ("csv", []),
    "postgres/pgvector_postgresql.csv": ("csv", []),
    "phoenix/spans_dataframe.parquet": ("parquet", []),
    "chainlit/chainlit.db!steps": ("sqlite", []),
}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the records of real systems are not beside the repository")
@pytest.mark.parametrize("name", REAL)
def test_real_exports_are_told_for_what_they_are_and_nothing_of_them_is_lost(name: str) -> None:
    file = SHARED / "real_logs" / name.partition("!")[0]
    if not file.is_file():
        pytest.skip("not among the records at hand")
    case = strataline.reconstruct(file)
    source = next(one for one in case.sources.to_pylist() if one["source"] == Path(name).name)
    container, envelopes = REAL[name]
    assert (source["container"], source["envelopes"]) == (container, envelopes)
    assert source["records"] == source["with_events"] + source["rejected"] + source["skipped"] > 0
    assert set(case.frames["rejects"]["reason"]) <= {"unrecognised_format"}
    if source["line" if "line" in source else "lines"]:
        assert source["stream_bytes"] == source["record_bytes"] + source["separator_bytes"]


@pytest.mark.parametrize("end", ["\n", ""])
def test_text_inside_of_a_wrapper_is_found_in_its_record_alone(tmp_path: Path, end: str) -> None:
    """A log driver that leaves out the line ends writes whole lines all the same."""
    rows = [
        {"log": app(n, text=f"word{n}é").decode() + end, "stream": "stdout", "time": DOCKER_TIME} for n in range(20)
    ]
    (tmp_path / "app.log").write_bytes(lines(*(json.dumps(row).encode() for row in rows)))
    strataline.reconstruct(tmp_path).write(tmp_path / "C")
    case = Case.open(tmp_path / "C")
    assert case.frames["events"].height == 20
    for n in (3, 17):
        found = case.find(text=f"word{n}É")
        assert found.height == 1
        assert [json.loads(one or b"")["log"] for one in case.evidence(found)] == [rows[n]["log"]]


def test_input_that_changed_gives_no_evidence_and_is_not_searched(tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    log.write_bytes(lines(app(1), app(2, text="needle")))
    assert run("reconstruct", log, "-o", tmp_path / "C")[0] == 0
    log.write_bytes(lines(app(9), app(2, text="noodle")))
    status, output, printed = run("evidence", tmp_path / "C", "a.jsonl@0")
    assert status == 2
    assert "not what was read" in output
    assert b"req_" not in printed
    assert run("verify", tmp_path / "C")[0] == 1
    assert "a.jsonl" in run("find", tmp_path / "C", "--text", "noodle")[1]
    assert Case.open(tmp_path / "C").find(text="noodle").is_empty()


def test_text_of_one_message_is_found_in_that_message_alone(tmp_path: Path) -> None:
    messages = [
        {"id": str(n), "timestamp": 1795300000000 + n, "message": app(n, text=f"w{n}w").decode()} for n in range(50)
    ]
    record = {"messageType": "DATA_MESSAGE", "owner": "1", "logGroup": "g", "logStream": "s", "logEvents": messages}
    (tmp_path / "f.json").write_bytes(json.dumps(record | {"subscriptionFilters": ["f"]}).encode())
    found = strataline.reconstruct(tmp_path).find(text="w17w")
    assert found["item"].to_list() == [17]


def test_zero_bytes_before_a_record_cost_no_record(tmp_path: Path) -> None:
    data = bytes(700) + lines(*(app(n) for n in range(9)))
    (tmp_path / "a.jsonl").write_bytes(data)
    for cap in (1 << 20, 300):
        case = strataline.reconstruct(tmp_path, max_record=cap)
        assert case.frames["rejects"].select("offset", "length", "reason").rows() == [(0, 700, "nul_bytes")]
        first = case.frames["events"].sort("offset").row(0, named=True)
        assert (first["offset"], first["length"]) == (700, len(app(0)))
        assert case.evidence(case.frames["events"].sort("offset").head(1)) == [app(0)]
        (source,) = case.sources.to_pylist()
        assert source["record_bytes"] + source["separator_bytes"] == len(data)


def test_bytes_that_are_no_text_are_said_to_be_even_where_no_format_is_known(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_bytes(b"plain\n\xff\xfe\xfd here\n" * 3)
    case = strataline.reconstruct(tmp_path)
    assert sorted(case.frames["rejects"]["reason"]) == ["invalid_utf8"] * 3 + ["unrecognised_format"] * 3


def test_zone_that_was_assumed_for_a_wrapper_is_noted(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(lines(*(b"[2026-11-21 23:00:00,123] INFO app: " + app(n) for n in range(9))))
    case = strataline.reconstruct(tmp_path)
    assert case.frames["sources"]["envelopes"].to_list() == [["prefixed"]]
    notes = case.frames["notes"].filter(pl.col("topic") == "zone_assumed")
    assert notes["count"].to_list() == [9]
    assert "wrapper" in notes["detail"][0]


def test_copy_of_standard_input_is_found_whatever_inputs_are_named(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert run("reconstruct", "-", "-o", tmp_path / "C", stdin=lines(app(1)))[0] == 0
    assert run("evidence", tmp_path / "C", "stdin@0", "--inputs", tmp_path / "elsewhere")[2] == app(1)


def test_name_says_nothing_of_what_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "logs.txt").write_bytes(tar_of({"a/app.log": lines(app(1))}))
    assert run("reconstruct", tmp_path, "-o", tmp_path / "C", "--zone", "*!a/*=Europe/Berlin")[0] == 0


def test_folder_with_a_link_that_leads_nowhere_verifies(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.jsonl").write_bytes(lines(app(1)))
    (tmp_path / "logs" / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    assert run("reconstruct", tmp_path / "logs", "-o", tmp_path / "C")[0] == 1
    assert run("verify", tmp_path / "C")[0] == 0
    assert Case.open(tmp_path / "C").gone == []


def test_complaints_go_to_standard_error_where_no_summary_is_printed(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_bytes(b"what\n")
    found = CliRunner().invoke(main, ["reconstruct", str(tmp_path), "-o", str(tmp_path / "C"), "--json"])
    assert found.exit_code == 1
    assert "x.log" in found.stderr
    assert json.loads(found.stdout)["unrecognised"] == ["x.log"]


def test_evidence_on_a_terminal_cannot_steer_it_and_in_a_pipe_is_the_very_bytes(tmp_path: Path) -> None:
    record = app(1)[:-1] + b', "text": "\x1b[2Jgone"}'
    (tmp_path / "a.jsonl").write_bytes(lines(record, *(app(n) for n in range(9))))
    assert run("reconstruct", tmp_path / "a.jsonl", "-o", tmp_path / "C")[0] == 0
    program = [
        sys.executable,
        "-c",
        "from strataline.cli import main; main()",
        "evidence",
        str(tmp_path / "C"),
        "a.jsonl@0",
    ]
    main_end, other_end = pty.openpty()
    subprocess.run(program, stdout=other_end, stderr=subprocess.DEVNULL, check=True)
    os.close(other_end)
    shown = os.read(main_end, 1 << 16)
    os.close(main_end)
    assert b"\x1b" not in shown
    assert rb"\x1b[2Jgone" in shown
    assert subprocess.run(program, capture_output=True, check=True).stdout == record


def test_encoding_that_only_the_zero_halves_tell_is_noted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(*(app(n) for n in range(9))).decode().encode("utf-16-le"))
    case = strataline.reconstruct(tmp_path)
    assert case.summary()["with_events"] == 9
    assert set(case.frames["notes"]["topic"]) == {"encoding_assumed", "guessed"}
