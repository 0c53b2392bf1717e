"""The words by which logs that nobody described call things: keys, levels, verdicts, and what happened.

Each is a guess that holds more often than not; `strataline.parse.guess` says which of them it used. Keys are compared
in lower case without what is no letter or digit (`normal`): ``X-Request-Id`` and ``xRequestID`` are one.
"""

from __future__ import annotations

import re


def normal(key: str) -> str:
    """A key without case and punctuation.

    >>> normal("X-Request-Id")
    'xrequestid'
    """
    return re.sub(r"[^a-z0-9]", "", key.lower())


TIMES = (
    "timestamp", "eventtime", "eventtimestamp", "time", "ts", "at", "t", "datetime", "asctime", "starttime",
    "startedat", "start", "createdat", "created", "date", "loggedat", "logtime", "received", "receivedat", "finishedat",
    "endtime", "endedat",
)  # fmt: skip
"""Keys that hold the time of a record, the likeliest first."""

STARTS = ("starttime", "startedat", "start")
ENDS = ("finishedat", "endtime", "endedat")

DURATIONS = re.compile(r"(?:duration|latency|elapsed|took|timetaken|responsetime|processingtime|eval|runtime|ms)")
"""Keys (`normal`) that hold how long something took; the unit must be told by the key's end."""

UNITS = (
    (re.compile(r"(?i)(?:^|[a-z0-9_.\-])(?:ms|msec|millis|milliseconds)$"), "ms"),
    (re.compile(r"(?i)[_.\-](?:us|micros|microseconds)$"), "us"),
    (re.compile(r"(?i)[_.\-](?:ns|nanos|nanoseconds)$"), "ns"),
    (re.compile(r"(?i)[_.\-](?:s|sec|secs|seconds)$"), "s"),
)

IDS: dict[str, tuple[str, str | None]] = {
    **dict.fromkeys(("requestid", "reqid", "xrequestid", "rid", "httprequestid"), ("request_id", None)),
    **dict.fromkeys(("correlationid", "xcorrelationid", "corrid", "cid"), ("request_id", None)),
    **dict.fromkeys(("traceid", "oteltraceid", "xtraceid", "logtraceid", "traceparent"), ("trace_id", None)),
    **dict.fromkeys(("ddtraceid",), ("trace_id", "hex_of_decimal")),
    **dict.fromkeys(("callid", "litellmcallid", "llmcallid", "modelcallid", "invocationid"), ("call_id", None)),
    **dict.fromkeys(("responseid", "completionid", "chatcompletionid", "generationid"), ("response_id", None)),
    **dict.fromkeys(("providerrequestid", "upstreamrequestid", "openairequestid"), ("provider_request_id", None)),
    **dict.fromkeys(("messageid", "msgid", "uimessageid"), ("message_id", None)),
    **dict.fromkeys(("decisionid",), ("decision_id", None)),
    **dict.fromkeys(("runid", "jobid", "taskid"), ("run_id", None)),
    **dict.fromkeys(("eventid", "eventuuid", "uuid", "insertid", "id"), ("event_uuid", None)),
}
"""Keys that hold an id of this request, call or record: the kind of id, and how it is derived."""

SPANS = ("spanid", "otelspanid", "logspanid")
PARENTS = ("parentspanid", "parentid")

GROUPS: dict[str, str] = {
    **dict.fromkeys(("sessionid", "session", "sid", "conversationid", "conversation", "chatid", "threadid"), "session"),
    **dict.fromkeys(("userid", "user", "uid", "enduser", "enduserid", "username", "distinctid", "customerid"), "user"),
    **dict.fromkeys(("tenantid", "tenant", "orgid", "organizationid", "workspaceid", "accountid", "teamid"), "tenant"),
}
"""Keys that hold what many requests share: the column."""

REFS: dict[str, tuple[str, str]] = {
    "regenerateof": ("request_id", "regenerate_of"),
    "retryof": ("request_id", "retry_of"),
    "editof": ("request_id", "edit_of"),
    "parentmessageid": ("message_id", "parent_message"),
}
"""Keys that hold the id of another record: its kind, and the relation."""

NAMES = (
    *("event", "eventname", "eventtype", "action", "message", "msg", "type", "op", "operation", "step", "body", "text"),
    *("mt", "messagetemplate", "said"),
)
"""Keys that say what happened, the likeliest first."""

SERVICES = (
    "service",
    "servicename",
    "app",
    "appname",
    "application",
    "component",
    "program",
    "logger",
    "loggername",
    "sourcecontext",
)
LEVELS = ("level", "severity", "levelname", "loglevel", "lvl", "severitytext", "l")

FAILED = {
    "error": "error", "err": "error", "critical": "error", "fatal": "error", "exception": "error", "panic": "error",
    # pino and bunyan count: 50 is an error, 60 fatal.
    "50": "error", "60": "error",
}  # fmt: skip

ERRORS = ("error", "err", "errortype", "exception", "exceptiontype", "exctype", "errorclass", "errorcode")

FACTS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("model", "modelname", "requestedmodel", "llmmodel"), ("requested_model", "first")),
    **dict.fromkeys(("servedmodel", "responsemodel", "modelid"), ("served_model", "first")),
    **dict.fromkeys(("provider", "llmprovider"), ("provider", "first")),
    **dict.fromkeys(("prompttokens", "inputtokens", "tokensin", "usageprompttokens"), ("input_tokens", "whole")),
    **dict.fromkeys(("completiontokens", "outputtokens", "tokensout"), ("output_tokens", "whole")),
    **dict.fromkeys(("finishreason", "stopreason"), ("finish_reason", "first")),
    **dict.fromkeys(("costusd",), ("cost_usd", "number")),
    **dict.fromkeys(("template", "prompttemplate", "templatename", "promptname"), ("template_name", "first")),
    **dict.fromkeys(("templateversion", "promptversion", "prompttemplateversion"), ("template_version", "first")),
    **dict.fromkeys(("templatehash", "promptsha256", "prompthash"), ("template_hash", "first")),
    **dict.fromkeys(("index", "indexname", "collection", "collectionname", "kb"), ("index_name", "first")),
    **dict.fromkeys(("indexversion", "kbversion"), ("index_version", "first")),
    **dict.fromkeys(("embeddingmodel", "embedder", "embed"), ("embedding_model", "first")),
    **dict.fromkeys(
        ("policyversion", "policyrev", "policyrevision", "rulesetversion", "rev"), ("policy_version", "first")
    ),
    **dict.fromkeys(("policy", "policyname", "rule", "ruleid", "rulename", "guardrail"), ("policy_name", "first")),
    **dict.fromkeys(("stage", "direction", "policystage"), ("policy_stage", "first")),
    **dict.fromkeys(("status", "statuscode", "httpstatus", "httpstatuscode"), ("http_status", "whole")),
    **dict.fromkeys(("prompt", "query", "question", "usermessage", "input", "inputtext"), ("input", "first")),
    **dict.fromkeys(("answer", "reply", "response", "completion", "output", "outputtext"), ("output", "first")),
    **dict.fromkeys(("clientversion", "appversion"), ("client_version", "first")),
    **dict.fromkeys(("attempt", "attemptno", "retrycount"), ("attempt", "whole")),
}
"""Keys that hold a fact of a layer: the column, and how it is read."""

DOCUMENTS = (
    "documents",
    "docs",
    "docids",
    "documentids",
    "hits",
    "chunks",
    "chunkids",
    "passages",
    "sources",
    "results",
)
DOCUMENT_IDS = ("id", "docid", "doc", "documentid", "chunkid", "key", "source")

VERDICT_KEYS = ("verdict", "decision", "outcome", "result", "action", "allowed", "flagged", "blocked", "denied")
FINDINGS = {
    "flagged": {"true": "flag", "false": "allow"},
    "blocked": {"true": "block", "false": "allow"},
    "denied": {"true": "block", "false": "allow"},
}
"""Keys that ask what was found, where a yes is no allow."""

VERDICTS = {
    "allow": "allow", "allowed": "allow", "pass": "allow", "passed": "allow", "permit": "allow", "ok": "allow",
    "true": "allow", "accept": "allow", "deny": "block", "denied": "block", "block": "block", "blocked": "block",
    "reject": "block", "rejected": "block", "false": "block", "flag": "flag", "flagged": "flag", "warn": "flag",
    "redact": "redact", "redacted": "redact", "mask": "redact", "masked": "redact", "challenge": "challenge",
    "error": "error", "skipped": "not_evaluated", "not_evaluated": "not_evaluated", "timeout": "error",
}  # fmt: skip

SECRET = re.compile(r"(?i)pass(?:word|wd)|secret|api_?key|authorization|cookie|credential|private|bearer|access_?token")

LAYER_WORDS: dict[str, tuple[str, ...]] = {
    "policy": (
        "verdict", "decision", "policy", "rule", "rules", "guard", "guardrail", "moderation", "violation", "blocked",
        "allow", "deny", "filter", "flagged", "safety", "pii", "redact", "profanity", "injection", "toxicity",
        "jailbreak",
    ),
    "retrieval": (
        "retrieval", "retriever", "index", "collection", "docs", "documents", "doc", "hits", "topk", "embedding",
        "embed", "embeddings", "rerank", "vector", "chunk", "chunks", "kb", "search", "corpus", "similarity", "knn",
    ),
    "model": (
        "llm", "gateway", "provider", "completion", "completions", "tokens", "prompttokens", "completiontokens",
        "temperature", "maxtokens", "finishreason", "inference", "deployment", "upstream", "fallback", "cost",
        "logprobs",
    ),
    "prompt": (
        "prompt", "template", "chat", "conversation", "question", "answer", "assistant", "render", "rendered", "turn",
        "systemprompt",
    ),
    "ui": (
        "click", "page", "pageview", "browser", "viewport", "useragent", "screen", "widget", "button", "feedback",
        "thumbs", "client", "frontend", "session_replay", "device", "referrer", "ui", "webview",
    ),
}  # fmt: skip
"""Words that a layer's logs use, as keys, names of what happened, or names of services."""

OPENERS = re.compile(r"request|receiv|question|ask|incoming|turn|prompt|message|chat|query|start")
"""What the name of the record that opens a user's turn says, beside being the first of each request."""

TURN = re.compile(r"chat|question|ask|turn|message|conversation|prompt")
"""What such a name says where it is a user who asks: a service that takes users' turns, whatever else it speaks of."""

CLOSERS = re.compile(
    r"respon|answer|repl|error|retry|fail|finish|end|complet|done|llm|model|retriev|search|guard|polic|block|feedback|sent"
)

KINDS: dict[str, tuple[tuple[str, str], ...]] = {
    "prompt": (
        ("prompt.retry", r"retry|retri(?:ed|es)"),
        # A filter that did not act is told of in the same words as one that did.
        ("app.log", r"(?:not|un|non)[._ -]?block|no[._ -]block|unchecked|unfiltered|fail(?:s|ed|ing)?[._ -]?open"),
        ("prompt.blocked", r"block|refus|guard\w*[._ -]+(?:\S+[._ -]+)?(?:trigger|tripp|interven|reject|den(?:y|ied))"),
        ("app.log", r"guard|moderat"),
        ("prompt.error", r"error|fail|exception|timeout"),
        ("prompt.rendered", r"render|template|prompt[._ -](?:built|build|assembled|composed)"),
        ("prompt.answered", r"(?:llm|model|completion|upstream)\S*[._ -](?:response|answer|done|result|complet|end)"),
        ("prompt.sent", r"(?:llm|model|completion|upstream)\S*[._ -](?:call|request|start|sent)"),
        (
            "prompt.responded",
            r"^(?:chat|request|turn|message|http|conversation|prompt)?[._ -]*(?:respon[sd]|answered|repl|finish|done)",
        ),
    ),
    "retrieval": (
        ("retrieval.rerank", r"rerank"),
        ("retrieval.embed", r"embed"),
        ("retrieval.query", r"search|quer|retriev|lookup"),
    ),
    "model": (
        ("model.fallback", r"fallback"),
        ("model.attempt", r"attempt|retry"),
        ("model.call", r"complet|generat|inference|chat|call|request|response"),
    ),
    "policy": (),
    "ui": (
        ("ui.feedback", r"feedback|thumb|rating|rated"),
        ("ui.error_shown", r"error"),
        ("ui.rendered", r"render|shown|display"),
        ("ui.regenerate", r"regenerat"),
        ("ui.stopped", r"stop"),
        ("ui.copied", r"cop(?:y|ied)"),
        ("ui.message_sent", r"(?:message|prompt|question)\S*[._ -]?(?:sent|submit)|submit|send"),
        ("ui.pageview", r"page[._ -]?view"),
        ("ui.event", r"."),
    ),
    "other": (),
}  # fmt: skip
"""Per layer: kind of event, and what the name of such a record says; the first that fits is taken."""
