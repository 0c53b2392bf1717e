"""The same five files through Plaso: log2timeline with a plugin for them, then psort to JSON lines, ordered by time.

    .rivals/bin/python benchmarks/rivals/plaso_job.py DATA OUT

Runs in Plaso's own environment. Plaso knows none of these logs out of the box; the plugin takes from each its time,
its id and its text, as the other jobs do, and puts them into the attributes of a log line of a container.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

from dfdatetime import posix_time, time_elements
from plaso.parsers import jsonl_parser
from plaso.parsers.jsonl_plugins import docker_container_log, interface
from plaso.scripts import log2timeline, psort

LAYERS = {
    "request_id": "prompt",
    "req": "retrieval",
    "call_id": "model",
    "decision": "policy",
    "chatId": "ui",
}
"""A key that only this layer's records have."""


class Benchmark(interface.JSONLPlugin):  # type: ignore[misc]
    """The benchmark's five logs."""

    NAME = "strataline_benchmark"
    DATA_FORMAT = "logs of the benchmark"

    def CheckRequiredFormat(self, json_dict: dict[str, Any]) -> bool:  # noqa: N802 - Plaso's name
        """Whether it is one of the five."""
        return any(key in json_dict for key in LAYERS)

    def _ParseRecord(self, parser_mediator: Any, json_dict: dict[str, Any]) -> None:  # noqa: N802 - Plaso's name
        one = json_dict
        layer = next(layer for key, layer in LAYERS.items() if key in one)
        found = docker_container_log.DockerContainerLogEventData()
        found.log_source = layer
        if layer == "prompt":
            told = one["timestamp"], one["request_id"], one["event"], one.get("question") or one.get("prompt")
        elif layer == "retrieval":
            told = one["at"], one["req"]["id"], one["op"], one.get("query")
        elif layer == "model":
            told = one["started_at"], one["metadata"]["correlation_id"], "chat", one["response"]["content"]
        elif layer == "policy":
            told = one["time"], one["context"]["turn"], one["stage"], one["verdict"]
        else:
            told = one["ts"], one["turnId"], one["action"], one.get("text")
        time, found.container_identifier, kind, text = told
        found.message_body = f"{kind} {(text or '')[:200]}"
        if isinstance(time, str):
            found.written_time = time_elements.TimeElementsInMicroseconds()
            found.written_time.CopyFromStringISO8601(time)
        else:
            scale = 1_000_000 if isinstance(time, float) else 1000
            found.written_time = posix_time.PosixTimeInMicroseconds(timestamp=round(time * scale))
        parser_mediator.ProduceEventData(found)


def main() -> None:
    """Extract, then order and write."""
    data, out = (Path(one).resolve() for one in sys.argv[1:])
    # Its workers must know the plugin.
    multiprocessing.set_start_method("fork", force=True)
    jsonl_parser.JSONLParser.RegisterPlugin(Benchmark)
    os.chdir(out)
    plain = ["--status_view", "none", "--unattended", "--logfile", "plaso.log.gz"]
    store = out / "store.plaso"
    sys.argv = [
        "log2timeline",
        *plain,
        "--parsers",
        "jsonl",
        "--hashers",
        "none",
        "--storage_file",
        str(store),
        str(data),
    ]
    if log2timeline.Main():
        sys.exit("log2timeline did not end well")
    # Two records that say the same of the same microsecond are two.
    sys.argv = ["psort", *plain, "--include_all", "-o", "json_line", "-w", str(out / "out.jsonl"), str(store)]
    if psort.Main():
        sys.exit("psort did not end well")
    found = (out / "out.jsonl").read_bytes().count(b'"log_source": ')
    wanted = sum(file.read_bytes().count(b"\n") for file in data.glob("*.jsonl"))
    if found != wanted:
        sys.exit(f"{found} of {wanted} records came out")


if __name__ == "__main__":
    main()
