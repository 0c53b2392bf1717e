"""Wrappers around a line of text: what container runtimes, collectors and loggers write before a message.

A record is the bytes of one line, or of several where continuation lines stay with it. Then:

- a tool that writes its prefix before every line (kubectl, docker compose, stern) is opened line by line if each of
  the lines has it, with the same pod or service; the texts are joined again by line feeds;
- journalctl indents what follows by the width of its prefix: that indent is taken off;
- else only the first line has the prefix, and what follows it follows the inner text unchanged.

A prefix may be coloured (``ESC [ … m``), as terminals get it; the colours that wrap it go with it, those of the message
stay. Times are given as written, all with the role ``write``: the moment at which the line was. A BSD time of syslog
(``Nov 21 22:29:34``) states no year and no zone, so no event time can be had from it; a weekday is left out.

Lines of an application, klog's among them, are not opened: what stands before their message is their own format's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import msgspec

from strataline.read.envelope import Envelope, Inner
from strataline.read.wrappers import loki_known

SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
"""The low three bits of a syslog priority."""

FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *("ntp", "audit", "alert", "clock"),
    *(f"local{number}" for number in range(8)),
)
"""The rest of it."""

LEVELS = frozenset(
    b"trace debug info information notice warn warning error err critical crit fatal severe alert emerg panic".split()
)
"""What is no host and no program where one could stand, in lower case."""

PREFIX_BYTES = 200
"""The longest text before a JSON object that is taken for its prefix."""

_SECOND = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
_ZONED = _SECOND + rb"(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)"
_NANOS = _SECOND + rb"\.\d{7,9}(?:Z|[+-]\d\d:\d\d)"  # older kubelets drop the zeros at the end
_MONTH = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_BSD = _MONTH + rb" [ \d]\d \d\d:\d\d:\d\d"
_COLOUR = rb"(?:\x1b\[[0-9;]{0,24}m){0,3}"
_END = rb"(?: |(?=\n)|\Z)"  # an empty message may have lost the space before it


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


_LABELS = {name: f"labels.{name}" for name in ("pid", "msgid", "tags", "log_stream")}


def _known(match: re.Match[bytes]) -> dict[str, str]:
    """What the named groups of `match` hold: those that are no words of an envelope are labels."""
    known = {}
    for name, value in match.groupdict().items():
        if value:
            known[_LABELS.get(name, name)] = _text(value)
    if "time" in known:
        known["time_role"] = "write"
    return known


def _each_line(open_line: Callable[[bytes], Inner | None]) -> Callable[[bytes], list[Inner] | None]:
    """Open records by a function that opens lines, for a tool that writes its prefix before each of them."""

    def place(inner: Inner) -> dict[str, str]:
        return {word: value for word, value in inner.known.items() if word != "time"}

    def open_record(record: bytes) -> list[Inner] | None:
        first, newline, rest = record.partition(b"\n")
        inner = open_line(first)
        if inner is None or not newline:
            return None if inner is None else [inner]
        texts = [inner.text]
        for line in rest.split(b"\n"):
            following = open_line(line)
            if following is None or place(following) != place(inner):
                return [replace(inner, text=inner.text + newline + rest)]
            texts.append(following.text)
        return [replace(inner, text=b"\n".join(texts))]

    return open_record


_CRI = re.compile(rb"(?P<time>%s) (?P<stream>stdout|stderr) ([PF])(?::(?P<tags>[^ \n]{1,200}))?%s" % (_ZONED, _END))


def open_cri(record: bytes) -> list[Inner] | None:
    """Open what a Kubernetes node keeps of a container: ``TIME stdout|stderr P|F[:tags] message``.

    ``P`` is a piece that the next record of the same stream continues, ``F`` a last or only one.
    """
    match = _CRI.match(record)
    if match is None:
        return None
    return [Inner(record[match.end() :], _known(match), more=match[3] == b"P", joins=_text(match["stream"]))]


_KUBECTL = re.compile(
    rb"%s\[pod/(?P<pod>[a-z0-9.-]{1,253})/(?P<container>[a-z0-9-]{0,63})\]%s(?: (?:(?P<time>%s)(?: |\Z))?|\Z)"
    % (_COLOUR, _COLOUR, _NANOS)
)


def _open_kubectl(line: bytes) -> Inner | None:
    match = _KUBECTL.match(line)
    return Inner(line[match.end() :], _known(match)) if match else None


_COMPOSE = re.compile(
    rb"(?:(?P<service>[A-Za-z0-9][A-Za-z0-9_.-]{0,200})(?:  +|(?<=\d) )\|(?: |\Z)"
    rb"|\x1b\[[0-9;]{1,24}m(?P<coloured>[A-Za-z0-9][A-Za-z0-9_.-]{0,200}) {1,200}(?:\|\x1b\[0?m(?: |\Z)|\| \x1b\[0?m))"
    rb"(?:(?P<time>%s)(?: |\Z))?" % _NANOS
)


def _open_compose(line: bytes) -> Inner | None:
    match = _COMPOSE.match(line)
    if match is None:
        return None
    known = _known(match)
    service = known.pop("coloured", None) or known["service"]
    # "INFO     | message" is loguru's way; a number alone is a column of some table.
    if service.lower().encode() in LEVELS or not any(map(str.isalpha, service)):
        return None
    return Inner(line[match.end() :], {"service": service} | known)


_LABEL = rb"[a-z0-9][a-z0-9-]{0,62}"
_POD = rb"[a-z0-9][a-z0-9.-]{0,252}"
_SAFE = rb"[bcdfghjklmnpqrstvwxz0-9]"  # the characters of the names that Kubernetes makes
_MADE = re.compile(rb"[a-z0-9][a-z0-9.-]{0,236}-%s{5,10}-%s{5}\Z" % (_SAFE, _SAFE))
_NUMBERED = re.compile(rb"[a-z][a-z0-9.-]{0,248}-\d{1,4}\Z")
_STERN_TIME = rb"(?: (?:(?P<time>%s)(?: |\Z))?|\Z)" % _NANOS
_STERN = (
    re.compile(rb"(?P<pod>%s) (?P<container>%s)%s" % (_POD, _LABEL, _STERN_TIME)),
    re.compile(rb"(?P<namespace>%s) (?P<pod>%s) (?P<container>%s)%s" % (_LABEL, _POD, _LABEL, _STERN_TIME)),
)
# Namespace and pod share a colour, the container has another.
_STERN_COLOURED = re.compile(
    rb"(?:(?P<code>\x1b\[[0-9;]{1,24}m)(?P<namespace>%s)\x1b\[[0-9;]{0,24}m (?=(?P=code)))?"
    rb"\x1b\[[0-9;]{1,24}m(?P<pod>%s)\x1b\[[0-9;]{0,24}m \x1b\[[0-9;]{1,24}m(?P<container>%s)\x1b\[[0-9;]{0,24}m%s"
    % (_LABEL, _POD, _LABEL, _STERN_TIME)
)
_STERN_SAYS = re.compile(rb"%s[+-] (?:%s \xe2\x80\xba ){1,2}%s%s\s{0,8}\Z" % (_COLOUR, _POD, _LABEL, _COLOUR))


def _open_stern(line: bytes) -> Inner | None:
    match = _STERN_COLOURED.match(line)
    if match:
        known = _known(match)
        known.pop("code", None)
        return Inner(line[match.end() :], known)
    for pattern in _STERN:
        match = pattern.match(line)
        if match is None:
            continue
        object_of_numbered = line.startswith(b'{"', match.end()) and _NUMBERED.match(match["pod"])
        if (_MADE.match(match["pod"]) or match["time"] or object_of_numbered) and match["pod"] not in LEVELS:
            return Inner(line[match.end() :], _known(match))
    return None


_stern_record = _each_line(_open_stern)


def open_stern(record: bytes) -> list[Inner] | None:
    """Open stern's text: ``[namespace ]pod container [TIME ]message``.

    Any three words have that shape. So the pod's name must be one that a Deployment or CronJob makes
    (``api-7d9f8b6c5-x2x4z``), or a time with nanoseconds follow, or the names be coloured, or a numbered pod's
    (``api-0``) message be a JSON object. ``+ pod › container`` and ``- pod › container``, by which stern says that it
    began or ceased to follow one, hold nothing.
    """
    return [] if _STERN_SAYS.match(record) else _stern_record(record)


_HOST = rb"(?P<host>[A-Za-z0-9_.:%-]{0,254}[A-Za-z0-9_.%-]) "
_TAG = rb"(?P<service>[^\s\[\]{}\"'=,<>|]{1,128}?)(?:\[(?P<pid>[^\]\s]{1,32})\])?:(?: |(?=[\n{])|\Z)"
_JOURNALCTL = re.compile(
    rb"(?P<day>(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?"
    rb"(?P<time>(?(day)\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})? [A-Z0-9+-]{1,6}"
    rb"|(?:%s(?:\.\d{6})?[+-]\d{4}|%s\.\d{6}|\d{9,11}\.\d{6}))) (?:%s)?%s" % (_SECOND, _BSD, _HOST, _TAG)
)
_JOURNALCTL_SAYS = re.compile(
    rb"-- (?:Boot [0-9a-f]{32}|Reboot|No entries|cursor: [^\n]{1,400}|(?:Logs|Journal) begins? at [^\n]{1,200})"
    rb"(?: --)?\s{0,8}\Z"
)


def _is_level(value: bytes | None) -> bool:
    return value is not None and value.strip(b"()-.").lower() in LEVELS


def open_journalctl(record: bytes) -> list[Inner] | None:
    """Open ``journalctl -o short-iso|short-iso-precise|short-precise|short-full|with-unit|short-unix``.

    ``TIME [host ]unit[pid]: message``, in the forms that nothing else writes: ``short``, and the ISO forms of newer
    versions (whose offset has a colon), are the bytes of a syslog file, and opened as one. A line without a host needs
    a pid, or the name ``unknown`` or ``kernel``. Its own remarks (``-- Boot … --``) hold nothing.
    """
    if _JOURNALCTL_SAYS.match(record):
        return []
    match = _JOURNALCTL.match(record)
    if match is None or _is_level(match["host"]) or (match["pid"] is None and _is_level(match["service"])):
        return None
    if match["host"] is None and match["pid"] is None and match["service"] not in {b"unknown", b"kernel"}:
        return None
    known = _known(match)
    known.pop("day", None)
    # The name "unknown" stands in for a missing one, and is not counted in the indent.
    width = match.end() - (len(b" unknown") if match["service"] == b"unknown" else 0)
    return [Inner(_outdent(record[match.end() :], width), known)]


def _outdent(text: bytes, width: int) -> bytes:
    """Take `width` spaces from each line but the first, if each of them that is not empty begins with so many."""
    first, newline, rest = text.partition(b"\n")
    lines = rest.split(b"\n")
    indent = b" " * width
    if not newline or not all(line.startswith(indent) or not line for line in lines):
        return text
    return b"\n".join([first, *(line[width:] for line in lines)])


_PRIORITY = rb"<(?P<priority>\d{1,3})>"
_SYSLOG_5424 = re.compile(
    _PRIORITY
    + rb"1 (?P<time>%s|-) (?P<host>\S{1,255}) (?P<service>\S{1,255}) (?P<pid>\S{1,128}) (?P<msgid>\S{1,128})%s"
    % (_ZONED, _END)
)
_SYSLOG_3164 = re.compile(_PRIORITY + rb"(?P<time>%s|%s) " % (_BSD, _ZONED))
_SYSLOG_FILE = re.compile(rb"(?P<time>%s|%s) %s%s" % (_BSD, _ZONED, _HOST, _TAG))
_SYSLOG_HOST = re.compile(_HOST)
_SYSLOG_TAG = re.compile(rb"(?:%s)?%s" % (_HOST, _TAG))
_ISO_TAG = re.compile(rb"[a-z][a-z0-9_./@-]{0,127}\Z")
_ELEMENT = re.compile(rb"\[([!#-<>-\\^-~]{1,64})")
_PARAMETER = re.compile(rb" {1,4}([!#-<>-\\^-~]{1,64})=\"([^\"\\]*+(?:\\.[^\"\\]*+)*+)\"", re.DOTALL)
_REGISTERED = {b"timeQuality", b"origin", b"meta"}
_ESCAPED = re.compile(rb"\\([\"\\\]])")
_COUNT = re.compile(rb"([1-9]\d{0,6}) (?=<\d{1,3}>)")
_BOM = b"\xef\xbb\xbf"


def open_syslog(record: bytes) -> list[Inner] | None:
    """Open syslog: RFC 5424 (``<PRI>1 …``), RFC 3164 (``<PRI>Nov 21 22:29:34 host tag[pid]: …``) and files of it.

    Files lack the priority (``Nov 21 22:29:34 host tag[pid]: …``), or have ISO times, as rsyslog writes them; those
    look much like lines of applications, and need a pid or a tag in lower case. Neither host nor tag may be the word of
    a level. Structured data becomes ``labels.<id>.<name>`` (of a repeated name the second is ``.2``); where it is
    damaged or left out, all that follows the message id is the text. A byte-order mark before the message is none of
    its bytes. A priority gives ``severity`` and ``labels.facility``.

    Octet counts before a message (RFC 6587) go with it; several counted messages in one record are several texts.
    """
    count = _COUNT.match(record)
    if count is None:
        inner = _open_message(record)
        return None if inner is None else [inner]
    inners = []
    at = 0
    while count := _COUNT.match(record, at):
        end = count.end() + int(count[1])
        if not _COUNT.match(record, end):
            end = len(record)  # the count may hold a line feed that is no part of the record, or be wrong
        inner = _open_message(record[count.end() : end])
        if inner is None:
            return None
        inners.append(inner)
        at = end
    return inners


def _open_message(message: bytes) -> Inner | None:
    match = _SYSLOG_5424.match(message)
    if match:
        known = {word: value for word, value in _known(match).items() if value != "-"}
        if "time" not in known:
            known.pop("time_role", None)
        at = _structured(message, match.end(), known)
        if message.startswith(_BOM, at):
            at += len(_BOM)
        return _prioritised(Inner(message[at:], known))
    match = _SYSLOG_3164.match(message)
    if match:
        tag = _SYSLOG_TAG.match(message, match.end()) or _SYSLOG_HOST.match(message, match.end())
        if tag:
            return _prioritised(Inner(message[tag.end() :], _known(match) | _known(tag)))
        return _prioritised(Inner(message[match.end() :], _known(match)))
    match = _SYSLOG_FILE.match(message)
    if match is None or _is_level(match["host"]):
        return None
    if match["pid"] is None and (
        _is_level(match["service"]) or (match["time"][:1].isdigit() and not _ISO_TAG.match(match["service"]))
    ):
        return None
    return Inner(message[match.end() :], _known(match))


def _prioritised(inner: Inner) -> Inner | None:
    priority = int(inner.known.pop("priority"))
    if priority >= len(FACILITIES) * len(SEVERITIES):
        return None
    inner.known["severity"] = SEVERITIES[priority % 8]
    inner.known["labels.facility"] = FACILITIES[priority // 8]
    return inner


def _structured(message: bytes, at: int, known: dict[str, str]) -> int:
    """Add the structured data at `at` to `known`, and return where the message begins: at `at` if there is none."""
    if message[at : at + 1] == b"-" and message[at + 1 : at + 2] in {b"", b" ", b"\n"}:
        return at + 1 + message.startswith(b" ", at + 1)
    end = at
    values: dict[str, str] = {}
    seen: dict[str, int] = {}
    while element := _ELEMENT.match(message, end):
        end = element.end()
        while parameter := _PARAMETER.match(message, end):
            name = f"labels.{_text(element[1])}.{_text(parameter[1])}"
            seen[name] = seen.get(name, 0) + 1
            values[name if seen[name] == 1 else f"{name}.{seen[name]}"] = _text(_ESCAPED.sub(rb"\1", parameter[2]))
            end = parameter.end()
        bare = end == element.end() and b"@" not in element[1] and element[1] not in _REGISTERED
        if bare or not message.startswith(b"]", end):
            return at  # "[info] …" is the message of one that leaves structured data out
        end += 1
    if message[end : end + 1] not in {b"", b" ", b"\n"}:
        return at
    known |= values
    return end + (end > at and message.startswith(b" ", end))


_QUOTED = rb'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"'
_LOGCLI = re.compile(
    rb"%s(?P<time>%s)%s %s\{(?P<labels>(?:[A-Za-z_][\w.]{0,200}=%s(?:, ?(?=\w)|(?=\})))*+)\}%s(?: ++|\Z)"
    % (_COLOUR, _ZONED, _COLOUR, _COLOUR, _QUOTED, _COLOUR)
)
_LABEL_OF_LOGCLI = re.compile(rb"([A-Za-z_][\w.]*)=(%s)" % _QUOTED)
_BACKSLASH = re.compile(rb"\\(.)")
_FLUENTD = re.compile(
    rb"(?:(?P<time>%s)\t(?P<tag>[^\t\n]{1,400})\t|(?P<second>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9} [+-]\d{4}) "
    rb"(?P<name>[^\s:{]{1,400}): )(?=\{)" % _ZONED
)
_CF = re.compile(
    rb" {0,8}(?P<time>%s(?:\.\d{1,9})?[+-]\d{4}) \[(?P<source>[A-Z]{2,20}(?:/[A-Za-z0-9_.-]{1,200}){1,8})\] {1,40}"
    rb"(?P<stream>OUT|ERR)(?: |\Z)" % _SECOND
)


def open_logcli(record: bytes) -> list[Inner] | None:
    """Open what logcli prints: ``TIME {name="value", …} line``, its labels padded; it trims the line itself."""
    match = _LOGCLI.match(record)
    if match is None or (not match["labels"] and match.end() == len(record)):
        return None
    known = _known(match)
    known.pop("labels", None)
    labels = {
        _text(name): _text(_BACKSLASH.sub(lambda one: _GO.get(one[1], one[1]), value[1:-1]))
        for name, value in _LABEL_OF_LOGCLI.findall(match["labels"])
    }
    said = {word: value for word, value in loki_known(labels).items() if value}
    return [Inner(record[match.end() :], said | known)]


_GO = {b"n": b"\n", b"t": b"\t", b"r": b"\r"}


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    """A line as a container's log file has it, once the time was taken out of it."""

    log: str
    stream: Literal["stdout", "stderr"]


_LINE = msgspec.json.Decoder(_Line)


def open_fluentd(record: bytes) -> list[Inner] | None:
    """Open what Fluentd writes to a file or prints: ``TIME<TAB>tag<TAB>{…}``, ``TIME tag: {…}``.

    Where the object is no more than ``log`` and ``stream``, of which its parser had taken the time, the line is that of
    a container, cut in pieces as the log driver cuts it.
    """
    match = _FLUENTD.match(record)
    if match is None or not record.rstrip().endswith(b"}"):
        return None
    known = {
        "time": _text(match["time"] or match["second"]),
        "time_role": "write",
        "labels.tag": _text(match["tag"] or match["name"]),
    }
    text = record[match.end() :]
    try:
        line = _LINE.decode(text)
        log = line.log.encode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return [Inner(text, known)]
    known["stream"] = line.stream
    more = not log.endswith(b"\n")
    return [Inner(log if more else log[:-1].removesuffix(b"\r"), known, more=more, joins=line.stream)]


def open_cf(record: bytes) -> list[Inner] | None:
    """Open what ``cf logs`` prints: ``   TIME [APP/PROC/WEB/0] OUT message``; the source is ``labels.source``."""
    match = _CF.match(record)
    if match is None:
        return None
    known = {
        "time": _text(match["time"]),
        "time_role": "write",
        "stream": "stdout" if match["stream"] == b"OUT" else "stderr",
        "labels.source": _text(match["source"]),
    }
    return [Inner(record[match.end() :], known)]


_LEVEL = rb"(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL)"
_OBJECT = re.compile(rb"\{\s{0,64}[\"}]")
_ARRAY = re.compile(rb"\[\s{0,64}\{\s{0,64}[\"}]")
_TIMESTAMPED = re.compile(rb"%s(?P<time>%s)%s " % (_COLOUR, _ZONED, _COLOUR))
_STREAM = re.compile(
    rb"%s(?P<log_stream>(?=[^\s:*/]{1,512}/[^\s:*]{0,512}(?:\[\$?[A-Za-z0-9_-]{1,32}\]|[0-9a-f]{8})"
    rb"|[0-9a-f]{8}-[0-9a-f]{4}-|i-[0-9a-f]{8})[^\s:*\"{\x1b]{1,512})%s(?: \n?|\Z)" % (_COLOUR, _COLOUR)
)
# A record of its own begins so: a time; a level that uvicorn, vLLM, Lambda or absl write; a client and its time.
_RECORD = re.compile(
    rb"\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d|\[?%s |\[?\d\d/[A-Z][a-z]{2}/\d{4}:\d\d|[IWEF]\d{4} \d\d:\d\d:\d\d\.\d{6} "
    rb"|(?:time|ts)=\"?\d{4}-\d\d-\d\d|\[GIN\] \d{4}/|\S{1,64} \S{1,64} \S{1,64} \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d"
    rb"|(?:(?:INFO|DEBUG|ERROR|TRACE):    |WARNING:  |CRITICAL: )|%s \d\d-\d\d \d\d:\d\d:\d\d "
    rb"|\[%s\]\t\d{4}-\d\d-\d\dT|(?:START|END|REPORT) RequestId: |INIT_START " % (_BSD, _LEVEL, _LEVEL)
)


def _is_json(record: bytes, at: int) -> bool:
    """Whether an object or a list of objects begins at `at`, and the record ends as one does."""
    if _OBJECT.match(record, at):
        return record.rstrip().endswith(b"}")
    return bool(_ARRAY.match(record, at)) and record.rstrip().endswith(b"]")


def open_timestamped(record: bytes) -> list[Inner] | None:
    """Open ``TIME message``: exports of CloudWatch to S3, ``aws logs tail``, ``kubectl logs --timestamps``, runners.

    Text logs of applications begin so, too. The time must state its zone, stand at the very beginning, and one space
    follow; and what follows must look like a record of its own: a JSON object or a list of objects up to the end, a
    further time, an access log's client and time, a level as uvicorn (padded to ten columns), vLLM (a date follows) or
    Lambda write it, klog, a line of Lambda's platform. ``aws logs tail`` has the log stream between
    (``labels.log_stream``), known by its shape after a time that ends in ``+00:00``: a slash and an id, a UUID, an
    instance; then any message will do. Its short form, whose times state no zone, is not opened here.
    """
    match = _TIMESTAMPED.match(record)
    if match is None:
        return None
    stream = _STREAM.match(record, match.end())
    if stream and match["time"].endswith(b"+00:00"):
        return [Inner(record[stream.end() :], _known(match) | _known(stream))]
    if _is_json(record, match.end()) or _RECORD.match(record, match.end()):
        return [Inner(record[match.end() :], _known(match))]
    return None


_KLOG = re.compile(rb"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d{6} ")
_ANSI = re.compile(rb"\x1b\[[0-9;]{0,24}m")
_COLOURS_AT_END = re.compile(rb"(?:\x1b\[[0-9;]{0,24}m)+\s*\Z")
_PREFIX_TIME = re.compile(
    rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?"
    rb"|\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})?|\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}|%s(?:\.\d{1,6})?"
    rb"|(?<![^\s\[(])(?:1\d{9}(?:\.\d{1,9})?|1\d{12}|1\d{15}|1\d{18})(?![^\s\]):,|])" % _BSD
)
_PREFIX_LEVEL = re.compile(
    rb"(?<![A-Za-z0-9_])%s(?![A-Za-z0-9_])"
    rb"|(?i:(?<=[\[(<|])\s{0,8}(?:trace|debug|info|notice|warn(?:ing)?|error|critical|fatal)(?=\s{0,8}[\])>|])"
    rb"|(?:(?<=level=)|\A)(?:trace|debug|info|notice|warn(?:ing)?|error|critical|fatal)(?=[\s:]|\Z))" % _LEVEL
)


def open_prefixed(record: bytes) -> list[Inner] | None:
    """Open what a logger writes before a JSON object: ``[TIME] {…}``, ``LEVEL:logger:{…}``, ``app: {…}``.

    At most `PREFIX_BYTES` bytes of one line, no brace among them, then an object that runs to the end of the record
    (known by its first and last byte; it is not read). The prefix as written, trimmed, is ``labels.prefix``; a time and
    a level in it are given, too. It is not opened where the object is but a part of something: an argument (the prefix
    ends in ``=``, ``(``, ``[``, a comma or a quote), inside of a string, a member of a larger document, an event of a
    stream (``data:``), klog's message; nor after white space, which continues something.
    """
    start = record.find(b"{", 0, PREFIX_BYTES + 1)
    if start < 1 or record[:1].isspace() or b"\n" in record[:start] or not _OBJECT.match(record, start):
        return None
    written = record[:start].strip()
    prefix = _ANSI.sub(b"", written).strip()
    if (
        prefix[:1] in {b'"', b"'"}
        or prefix.endswith(b'":')
        or prefix[-1:] in {b"=", b"(", b"[", b",", b'"', b"'", b"`", b"\\"}
        or prefix.count(b'"') % 2
        or prefix in {b"data:", b"id:", b"event:"}
        or not re.search(rb"[A-Za-z0-9]", prefix)
        or _KLOG.match(prefix)
    ):
        return None
    # One colour may wrap the whole line; a search of all of it would not be linear.
    tail = max(start, len(record) - 64)
    colours = _COLOURS_AT_END.search(record, tail)
    text = record[start : colours.start() if colours else len(record)]
    if not text.rstrip().endswith(b"}"):
        return None
    known = {"labels.prefix": _text(written)}
    if time := _PREFIX_TIME.search(prefix):
        known |= {"time": _text(time[0]), "time_role": "write"}
    if level := _PREFIX_LEVEL.search(prefix):
        known["severity"] = _text(level[0].strip())
    return [Inner(text, known)]


PREFIXES: tuple[Envelope, ...] = (
    Envelope("cri", open_cri),
    Envelope("kubectl", _each_line(_open_kubectl)),
    Envelope("compose", _each_line(_open_compose)),
    Envelope("journalctl", open_journalctl),
    Envelope("syslog", open_syslog),
    Envelope("stern-text", open_stern),
    Envelope("logcli", open_logcli),
    Envelope("fluentd", open_fluentd),
    Envelope("cf", open_cf),
    Envelope("timestamped", open_timestamped),
    Envelope("prefixed", open_prefixed),
)
"""Wrappers around a line of text, the most specific first; the last two are shapes that no one tool owns.

``kubectl`` is ``[pod/NAME/CONTAINER] [TIME ]message``; ``compose`` is ``service  | [TIME ]message``, where a name with
but one space after it must end in a number, and none may be the word of a level. Their times have nanoseconds.
"""
