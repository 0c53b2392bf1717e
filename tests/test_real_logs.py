"""Records that real systems wrote, where they lie beside the repository: each file is what its folder says.

A format that claims another system's file, a file that raises, or a record that is lost is a failure. What is not
covered is listed with the reason, and the list must be true.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl
import pytest

import strataline

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "real_logs"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the real records are not beside the repository")

OWN: dict[str, set[str]] = {
    "applogs": {"structlog_json"},
    "azure": {"azure_apim_gateway", "azure_openai_diagnostics"},
    "azure_content_filter": {
        *("azure_content_filter", "azure_content_filter_error", "azure_foundry_content_filter"),
        "openai_chat_completion",
    },
    "bedrock": {"bedrock_invocation"},
    "bedrock_guardrails": {"bedrock_apply_guardrail"},
    "databricks": {"databricks_inference_table", "databricks_unity_gateway"},
    # Elasticsearch up to 6 and OpenSearch write one text: a line does not tell them apart.
    "elasticsearch": {
        *("elasticsearch_querylog", "elasticsearch_slowlog", "elasticsearch_slowlog_7", "elasticsearch_audit"),
        "opensearch_slowlog",
    },
    "guardrails_ai": {"guardrails_ai_history", "otel_console_spans"},
    "har": {"har_entries", "browser_console_messages"},
    "jaeger": {"jaeger_traces", "jaeger_proto", "otlp_traces"},
    "langchain": {"langchain_events", "langsmith_runs"},
    "litellm": {"litellm_standard_logging", "litellm_spend_logs", "litellm_proxy_json_logs"},
    "litellm_guardrail": {"litellm_standard_logging"},
    "nemo_guardrails": {
        *("nemo_guardrails_trace", "nemo_guardrails_trace_legacy", "nemo_generation_log", "otel_console_spans"),
    },
    "openinference": {"otlp_traces", "otel_console_spans"},
    "openinference_fixtures": {"otel_js_spans"},
    "openllmetry": {"otlp_traces"},
    "openrouter": {"openrouter_generation", "openrouter_activity", "otlp_traces"},
    "otel_genai": {"otlp_traces", "otlp_logs", "otel_console_spans"},
    "otlp_reference": {"otlp_traces", "otlp_logs", "otlp_metrics"},
    "vectordb_logs": {"opensearch_slowlog", "weaviate_json", "weaviate_text"},
    "chatgpt_export": {"chatgpt_export", "chatgpt_web_stream"},
    "copilot_purview": {"copilot_purview"},
    "csp": {"csp_reports"},
}
"""Formats that a folder's files may have, where these are not those that begin with the folder's name."""

WRAPPED = {"cloudwatch", "cri", "docker_json", "gcp_logging", "journald", "kubectl", "loki", "splunk"}
"""Folders of wrappers around logs of no system of the catalogue: what is in them is guessed."""

NO_EXPORT = {
    "applogs/python_json_logger_defaults.jsonl": "states no time; any product's words",
    "chainlit/chainlit.db!threads": "a table of the application, no log",
    "chainlit/chainlit.db!users": "a table of the application, no log",
    "datadog_rum/session-replay__browser__record__change-record.json": "a snapshot of a page, no event",
    "datadog_rum/session-replay__browser__record__full-snapshot-change-record.json": "a snapshot of a page, no event",
    "datadog_rum/session-replay__browser__record__full-snapshot-unspecified-record.json": "a snapshot, no event",
    "datadog_rum/session-replay__browser__record__full-snapshot-v1-record.json": "a snapshot of a page, no event",
    "kong/ai_audit_log_reference_docs.jsonl": "a part of a record, without the record",
    "kong/ai_objects_from_howtos.jsonl": "a part of a record, without the record",
    "microsoft_graph/panther_ms.jsonl": "sign-ins and documents, of no AI product",
    "openinference_fixtures/vercel_v6_capture-results.json": "what a test kept, no export",
    "phoenix/retrieved_documents_exploded.parquet": "rows of documents in columns that a user chose",
    "phoenix/retrieved_documents_exploded_head50.csv": "rows of documents in columns that a user chose",
}
"""Files that are read by guesses, and why no format describes them."""

NOT_COVERED = {
    "azure_content_filter/devproxy_rai_mock_responses.json": "the configuration of a mock, no log",
    "chainlit/sqlite_tables_dump.json": "several tables in one document, made for the collection",
    "csp/chromium_report_uri_received.jsonl": "a wrapper made for the capture",
    "litellm/_truth_client_runA.jsonl": "what the test client kept",
    "litellm/s3_v2_keys_runB.txt": "a list of names",
    "llama_guard/output_safe.txt": "one word: too little to be recognised by",
    "llama_guard/output_unsafe.txt": "two words: too little to be recognised by",
    "llm_guard/scan_results.jsonl": "a wrapper made for the collection",
    "openinference_fixtures/openinference_client_span_input_output_only.json": "attributes without span, id or time",
    "openinference_fixtures/openinference_client_span_tool_calls.json": "attributes without span, id or time",
    "openinference_fixtures/otel_genai_client_span_tool_calls.json": "attributes without span, id or time",
    "openinference_fixtures/otel_genai_deprecated_client_span_tool_calls.json": "attributes without span, id or time",
    "openinference_fixtures/otel_genai_tool_execution_span.json": "attributes without span, id or time",
    "openrouter/activity_openapi_examples.json": "an example in the shape of an API description",
    "openrouter/provider_response_attempt_openapi_example.json": "a part of a record, without the record",
    "phoenix/fixture_pxi_suggestion_traces.json": "several lists in one document, made for a test",
    "snowplow/enriched_event.tsv": "cells over several lines, as no pipeline writes them",
    "weave/sdk_http_capture.jsonl": "a capture of all requests of a client, few of them of its log",
}
"""Files that are not read, and why."""


pytestmark = pytest.mark.slow
"""All of them look at one survey of some hundred files."""


@cache
def told() -> strataline.Survey:
    return strataline.survey(SHARED)


@cache
def sources() -> dict[str, dict[str, Any]]:
    """What is told of each log file, by its path."""
    table = pl.from_arrow(told().sources)
    assert isinstance(table, pl.DataFrame)
    logs = {row["source"]: row for row in table.rows(named=True) if not row["source"].endswith(".md")}
    # An archive and a database hold what is listed beside them.
    holders = {row["within"] for row in logs.values()}
    return {name: row for name, row in logs.items() if name not in holders and row["records"]}


def folder(source: str) -> str:
    return PurePosixPath(source).parts[0]


def allowed(source: str) -> set[str]:
    """The formats that the file may have."""
    name = folder(source)
    one = {row["format"] for row in sources().values() if (row["format"] or "").startswith(name)}
    return OWN.get(name, one)


def test_every_file_is_what_its_folder_says() -> None:
    wrong = {}
    for source, row in sources().items():
        if source in NOT_COVERED or source in NO_EXPORT or folder(source) in WRAPPED:
            continue
        told = row["format"]
        if told not in allowed(source):
            wrong[source] = told
    assert wrong == {}


def test_what_no_format_describes_is_guessed_and_never_claimed() -> None:
    for source in NO_EXPORT:
        if source in sources():
            assert sources()[source]["format"] in ("generic_json", "generic_text"), source
    for source, row in sources().items():
        if folder(source) in WRAPPED:
            assert row["format_basis"] == "guessed", source


def test_list_of_what_is_not_covered_is_true() -> None:
    unread = {source for source, row in sources().items() if row["format"] is None}
    assert unread - set(NOT_COVERED) == set()
    for source, why in sorted(NOT_COVERED.items()):
        print(f"not covered: {source}: {why}")  # noqa: T201 - the list that a reader asks for


def test_every_record_is_accounted_for() -> None:
    for source, row in sources().items():
        assert row["records"] == row["with_events"] + row["rejected"] + row["skipped"], source


def test_no_file_fits_two_formats_alike() -> None:
    assert [note["source"] for note in told().notes.to_pylist() if note["topic"] == "format_tie"] == []
