"""HAR 1.2: requests of a browser, as its developer tools, Playwright or a proxy save them; one entry per request.

What to know of these entries: `startedDateTime` is the browser's clock and `time` how long all of it took. A streamed
answer is whole in `content.text`, without the times of its parts; developer tools may leave bodies out. Status 0 or -1
is a request that got no answer (`_failureText` or `_error` may say why). A body is what the browser received, which is
not yet what the page showed. The time of `ui.rendered` is reckoned: `startedDateTime` and `time`.
"""

import base64
import binascii
import datetime as dt
import re
from collections.abc import Iterator
from typing import Any

import polars as pl

from strataline.format import Duration, Event, Format, Id, Recognise, Time, decode, encode, filled, path, whole

HEADERS = {
    *("x-request-id", "request-id", "x-correlation-id", "apim-request-id", "traceparent", "x-trace-id"),
    *("x-amzn-trace-id", "x-litellm-call-id", "x-session-id", "x-conversation-id", "x-message-id", "cf-ray"),
    *("server-timing", "x-cache"),
}
"""Those that are kept; the others may hold credentials."""

NAMED = {
    **dict.fromkeys(("request_id", "requestId"), "request"),
    **dict.fromkeys(("message_id", "messageId"), "message"),
    **dict.fromkeys(("trace_id", "traceId"), "trace"),
    **dict.fromkeys(("conversation_id", "conversationId", "thread_id", "chat_id"), "conversation"),
    **dict.fromkeys(("session_id", "sessionId"), "session"),
    **{name: name for name in ("model", "id", "reason", "comment")},
    **dict.fromkeys(("value", "score", "feedback", "rating"), "vote"),
}
"""Keys of a body, as products spell them, and what they name."""

ASKED = ("query", "question", "prompt", "message", "q", "text", "input", "content")
ANSWERED = ("answer", "output_text", "response", "reply", "completion", "content", "text", "message", "delta", "token")
DEEP = 20
CHAT = re.compile(
    r"/(?:chat|completions?|conversations?|messages?|ask|answer|generate|assistant|query|prompt|responses|runs)\b",
    re.IGNORECASE,
)
FEEDBACK = r"(?i)/[\w-]*(?:feedback|thumbs?|rating|vote|score)[\w-]*(?:/|$)"


def _headers(message: Any) -> dict[str, str]:
    listed = message.get("headers") if isinstance(message, dict) else None
    found: dict[str, str] = {}
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and isinstance(one.get("value"), str):
            name = str(one.get("name")).lower()
            if name in HEADERS:
                found.setdefault(name, one["value"])
    return found


def _body(content: Any) -> str:
    """The text of a body; empty where there is none, or what it holds is no text."""
    text = content.get("text") if isinstance(content, dict) else None
    if not isinstance(text, str):
        return ""
    if content.get("encoding") != "base64":
        return text
    try:
        return base64.b64decode(text).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


def _json(text: str) -> Any:
    try:
        return decode(text) if text.lstrip()[:1] in ("{", "[") else None
    except (ValueError, RecursionError):
        return None


def _events(text: str) -> Iterator[Any]:
    """The JSON data of server-sent events."""
    for part in re.split(r"\r?\n\r?\n", text):
        data = "\n".join(line[5:].lstrip() for line in part.splitlines() if line.startswith("data:"))
        value = _json(data)
        if isinstance(value, dict):
            yield value


def _said(value: Any, keys: tuple[str, ...], deep: int = DEEP) -> str:
    """The words in a body: of a chat completion, a list of messages, parts of a message, or under a well-known key."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and deep:
        return "".join(_said(one, keys, deep - 1) for one in value if isinstance(one, dict))
    if not isinstance(value, dict) or not deep:
        return ""
    messages, choices = value.get("messages"), value.get("choices")
    if isinstance(messages, list) and messages and keys is ASKED:
        return _said(messages[-1], keys, deep - 1)
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        one = choices[0].get("delta") or choices[0].get("message") or choices[0].get("text")
        return _said(one, ("content",), deep - 1)
    return next((said for key in keys if (said := _said(value.get(key), keys, deep - 1))), "")


def _named(body: Any) -> dict[str, Any]:
    """The ids and facts of a body."""
    return {NAMED[key]: value for key, value in body.items() if key in NAMED} if isinstance(body, dict) else {}


def _after(start: Any, took: Any) -> str | None:
    """When the request ended, as text."""
    try:
        return (dt.datetime.fromisoformat(start) + dt.timedelta(milliseconds=max(took, 0))).isoformat()
    except (TypeError, ValueError, OverflowError):
        return None


def _entry(text: str) -> list[str]:
    """An entry with its ids, words and headers in fixed places, and without what may hold credentials."""
    entry: Any = decode(text)
    if not isinstance(entry, dict) or not isinstance(entry.get("request"), dict):
        return []
    request, response = entry["request"], entry.get("response")
    response = response if isinstance(response, dict) else {}
    content = response.get("content")
    mime = str(content.get("mimeType", "")) if isinstance(content, dict) else ""
    url = str(request.get("url", ""))
    sent, got = _json(_body(request.get("postData"))), None
    item: dict[str, Any] = {key: entry.get(key) for key in ("startedDateTime", "time", "pageref", "_resourceType")}
    item |= {
        "method": request.get("method"),
        "url": url.partition("?")[0],
        "status": response.get("status"),
        "mime": mime,
    }
    item["failure"] = response.get("_failureText") or response.get("_error")
    # What an answer tried to send elsewhere is in the query.
    item["refused"] = url if item["failure"] == "csp" else None
    item["headers"] = _headers(request) | _headers(response)
    if request.get("method") == "POST" and CHAT.search(url):
        body = _body(content)
        parts = list(_events(body)) if "event-stream" in mime else []
        got = parts[0] if parts else _json(body)
        item["asked"] = _said(sent, ASKED)
        item["answered"] = "".join(_said(one, ANSWERED) for one in parts) if parts else _said(got, ANSWERED)
        item["failed"] = any(one.get("error") for one in (*parts, got) if isinstance(one, dict))
    item["ended"] = _after(entry.get("startedDateTime"), entry.get("time"))
    item["sent"], item["got"] = _named(sent), _named(got)
    return [encode(item)]


TRACEPARENT = r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-"
status = whole("status")
location = pl.col("url").str.replace(r"^[a-z+.-]+://[^/]*", "")
name = pl.concat_str(pl.col("method"), pl.when(location != "").then(location).otherwise(pl.lit("/")), separator=" ")
parent = pl.coalesce(filled("traceparent"), "timing")
outcome = (
    pl.when((status >= 400) | (pl.col("failed") == "true"))
    .then(pl.lit("error"))
    .when(pl.col("failure").str.contains(r"(?i)csp|blocked"))
    .then(pl.lit("blocked"))
    .when(pl.col("failure").str.contains(r"(?i)abort|cancel"))
    .then(pl.lit("cancelled"))
    .when(pl.col("failure").str.contains(r"(?i)timed?.?out"))
    .then(pl.lit("timeout"))
    .when(pl.col("failure") != "")
    .then(pl.lit("error"))
    .when(status > 0)
    .then(pl.lit("ok"))
)
vote = pl.col("vote")
response = pl.col("response_id").str.extract(r"^((?:chatcmpl|cmpl|resp|msg|gen)[-_].+)$")

FORMAT = Format(
    name="har_entries",
    title="HAR 1.2 (requests of a browser)",
    layer="ui",
    reference="https://github.com/ahmadnassri/har-spec/blob/master/versions/1.2.md",
    versions=("Playwright 1.65.1",),
    verified=True,
    export="Network panel of the developer tools (Save all as HAR with content), or record_har of Playwright.",
    limits="What one browser sent and received while it was recorded; not what the page made of it.",
    recognise=Recognise(
        keys=(("startedDateTime",), ("request", "method"), ("request", "url"), ("response", "status"), ("timings",))
    ),
    reshape=_entry,
    fields={
        "started": path("startedDateTime"),
        "took": path("time"),
        "page": path("pageref"),
        "resource_type": path("_resourceType"),
        "method": path("method"),
        "url": path("url"),
        "status": path("status"),
        "mime": path("mime"),
        "failure": path("failure"),
        "failed": path("failed"),
        "refused": path("refused"),
        "asked": path("asked"),
        "answered": path("answered"),
        "request_id": path("headers", "x-request-id"),
        "request_id_2": path("headers", "request-id"),
        "correlation_id": path("headers", "x-correlation-id"),
        "azure_id": path("headers", "apim-request-id"),
        "call_id": path("headers", "x-litellm-call-id"),
        "traceparent": path("headers", "traceparent"),
        "timing": path("headers", "server-timing"),
        "trace_id": path("headers", "x-trace-id"),
        "amazon_trace": path("headers", "x-amzn-trace-id"),
        "session": path("headers", "x-session-id"),
        "conversation": path("headers", "x-conversation-id"),
        "message_id": path("headers", "x-message-id"),
        "ray": path("headers", "cf-ray"),
        "cache": path("headers", "x-cache"),
        "ended": path("ended"),
        "sent_request": path("sent", "request"),
        "sent_message": path("sent", "message"),
        "sent_trace": path("sent", "trace"),
        "sent_conversation": path("sent", "conversation"),
        "sent_session": path("sent", "session"),
        "got_request": path("got", "request"),
        "got_message": path("got", "message"),
        "got_trace": path("got", "trace"),
        "got_conversation": path("got", "conversation"),
        "got_session": path("got", "session"),
        "asked_model": path("sent", "model"),
        "model": path("got", "model"),
        "response_id": path("got", "id"),
        "vote": path("sent", "vote"),
        "reason": path("sent", "reason"),
        "comment": path("sent", "comment"),
    },
    time=Time("started", "iso"),
    time_kind="start",
    columns={"service": pl.lit("browser"), "session": filled("session", "sent_session", "got_session"), "name": name},
    ids=(
        Id("request_id", "request_id"),
        Id("request_id", "request_id_2"),
        Id("request_id", "correlation_id"),
        Id("request_id", "azure_id"),
        Id("request_id", "sent_request"),
        Id("request_id", "got_request"),
        Id("call_id", "call_id"),
        Id("message_id", "message_id"),
        Id("message_id", "sent_message"),
        Id("message_id", "got_message"),
        Id("response_id", response),
        Id("trace_id", parent.str.extract(TRACEPARENT, 1)),
        Id("trace_id", filled("trace_id", "got_trace", "sent_trace")),
        Id("trace_id", pl.col("amazon_trace").str.extract(r"Root=([0-9a-fA-F-]+)")),
        Id("span_id", parent.str.extract(TRACEPARENT, 2), role="span"),
        Id("conversation", filled("conversation", "sent_conversation", "got_conversation"), role="group"),
    ),
    events=(
        Event(
            kind="ui.message_sent",
            when=pl.col("asked") != "",
            columns={"input": "asked", "requested_model": "asked_model"},
        ),
        Event(
            kind="ui.network",
            end=Time("ended", "iso"),
            duration=Duration("took", "ms"),
            columns={
                "http_status": pl.when(status > 0).then(status),
                "outcome": outcome,
                "error_type": pl.when(pl.col("failure") != "").then("failure"),
                "stream": pl.when(pl.col("mime").str.contains("event-stream")).then(pl.lit(value=True)),
                "cache": "cache",
            },
            attributes={
                "url": "url",
                "refused_url": "refused",
                "resource_type": "resource_type",
                "page": "page",
                "ray": "ray",
                "server_timing": "timing",
            },
        ),
        # What the browser received; only a status says that it is no answer.
        Event(
            kind="ui.rendered",
            when=(pl.col("answered") != "") | (pl.col("asked") != "") & outcome.eq("error"),
            time=Time("ended", "iso"),
            time_kind="end",
            columns={
                "output": pl.when(pl.col("answered") != "").then("answered"),
                "shown": pl.when(pl.col("answered") == "")
                .then(pl.lit("error"))
                .when(outcome.is_in(["error", "cancelled", "timeout"]))
                .then(pl.lit("partial"))
                .otherwise(pl.lit("answer")),
                "outcome": outcome,
                "http_status": pl.when(status > 0).then(status),
                "served_model": "model",
                "response_id": response,
            },
        ),
        Event(
            kind="ui.feedback",
            when=(pl.col("method") == "POST") & pl.col("url").str.contains(FEEDBACK),
            columns={
                "feedback": pl.when(vote.str.contains(r"(?i)^(?:-1(?:\.0)?|.*(?:down|dislike|negative|bad).*)$"))
                .then(pl.lit("down"))
                .when(vote.str.contains(r"(?i)^(?:thumbs?_?)?up$|^(?:like|positive|good)"))
                .then(pl.lit("up"))
                .otherwise(vote)
            },
            attributes={"reason": "reason", "comment": "comment"},
        ),
    ),
)
