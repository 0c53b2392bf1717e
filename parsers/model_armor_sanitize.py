"""Google Model Armor: the result of sanitizeUserPrompt or sanitizeModelResponse, or its entry in Cloud Logging.

What to know of these records: the body has no time and no id; the log entry around it gives both. The template is
named in the URL or the entry's resource alone.

Verdicts, of each filter: one whose `executionState` is not EXECUTION_SUCCESS is not_evaluated; MATCH_FOUND is flag, and
redact where the filter gives a de-identified text; NO_MATCH_FOUND is allow; another word is unknown. Over all filters:
MATCH_FOUND is flag; NO_MATCH_FOUND is allow only if `invocationResult` is SUCCESS, else not_evaluated. A match is a
detection: whether the caller acted on it is not said.
"""

import polars as pl

from strataline.format import Event, Format, Recognise, decode, encode, path, words

TOP = "sanitizationResult"


def _results(name: str, value: object, below: int = 2) -> list[tuple[str, dict[str, object]]]:
    """The results below a filter's key: itself, or the ones that it wraps (`raiFilterResult`, `inspectResult`)."""
    if not isinstance(value, dict) or below < 0:
        return []
    if "executionState" in value or "matchState" in value:
        return [(name, value)]
    wrapped = [(f"{name} deidentify" if key == "deidentifyResult" else name, one) for key, one in value.items()]
    return [found for inner, one in wrapped for found in _results(inner, one, below - 1)]


def _items(text: str) -> list[str]:
    """The result over all filters, then that of each filter."""
    record = decode(text)
    result = record.get(TOP)
    result = result if isinstance(result, dict) else {}
    meta, given = result.get("sanitizationMetadata"), record.get("sanitizationInput")
    version = meta.get("filterVersionConfig") if isinstance(meta, dict) else None
    shared = {
        "version": version.get("filterVersion") if isinstance(version, dict) else None,
        "operation": record.get("operationType"),
    }
    filters = result.get("filterResults")
    # A map by filter in REST's JSON, a list of one-key objects in some clients.
    pairs = list(filters.items()) if isinstance(filters, dict) else []
    if isinstance(filters, list):
        pairs = [pair for one in filters if isinstance(one, dict) for pair in one.items()]
    results = [found for name, value in pairs for found in _results(str(name), value)]
    changed = [one.get("data") for name, one in results if name.endswith(" deidentify")]
    overall = {
        "match": result.get("filterMatchState"),
        "invocation": result.get("invocationResult"),
        "input": given.get("text") if isinstance(given, dict) else None,
        "output": next((data.get("text") for data in changed if isinstance(data, dict)), None),
    }
    items = [encode(shared | overall)]
    for name, one in results:
        said = {"state": one.get("executionState"), "match": one.get("matchState"), "level": one.get("confidenceLevel")}
        items.append(encode(shared | said | {"filter": name}))
    return items


one_filter = pl.col("filter").is_not_null()
ran = pl.col("state").eq("EXECUTION_SUCCESS").fill_null(value=False)
found = pl.col("match").eq("MATCH_FOUND").fill_null(value=False)
complete = pl.col("invocation").eq("SUCCESS").fill_null(value=False)
verdict = words("match", {"match_found": "flag", "no_match_found": "allow"}, default="unknown").fill_null("unknown")

FORMAT = Format(
    name="model_armor_sanitize",
    title="Google Model Armor sanitize result",
    layer="policy",
    reference="https://cloud.google.com/security-command-center/docs/reference/model-armor/rest/v1/SanitizationResult",
    verified=True,
    export="Keep the API's answer, or turn on `log_sanitize_operations` in the template and export from Cloud Logging.",
    limits="It has no time and no id of its own, and does not say whether the caller blocked.",
    recognise=Recognise(
        keys=((TOP, "filterResults"),),
        where=(((TOP, "filterMatchState"), r"MATCH_FOUND$|^FILTER_MATCH_STATE"),),
    ),
    reshape=_items,
    fields={
        name: path(name)
        for name in ("filter", "state", "match", "level", "invocation", "version", "operation", "input", "output")
    },
    columns={
        "service": pl.lit("model-armor"),
        "policy_version": "version",
        "policy_stage": words("operation", {"sanitize_user_prompt": "input", "sanitize_model_response": "output"}),
    },
    attributes={"match_state": "match"},
    events=(
        Event(
            "policy.decision",
            when=~one_filter,
            columns={
                "name": pl.lit("sanitize"),
                "policy_name": pl.lit("all filters"),
                "verdict": pl.when(complete | found).then(verdict).otherwise(pl.lit("not_evaluated")),
                "outcome": words("invocation", {"success": "ok", "failure": "error"}, default="unknown").fill_null(
                    "unknown"
                ),
                "input": "input",
                "output": "output",
            },
            attributes={"invocation_result": "invocation"},
        ),
        Event(
            "policy.decision",
            when=one_filter,
            columns={
                "name": "filter",
                "policy_name": "filter",
                "verdict": pl.when(~ran)
                .then(pl.lit("not_evaluated"))
                .when(found & pl.col("filter").str.ends_with(" deidentify"))
                .then(pl.lit("redact"))
                .otherwise(verdict),
                "outcome": pl.when(ran).then(pl.lit("ok")).otherwise(pl.lit("unknown")),
            },
            attributes={"execution_state": "state", "confidence_level": "level"},
        ),
    ),
)
