"""Zipkin v2 spans, one object each; the API lists them trace by trace.

Times and durations are µs. With `shared` a server's half of a call has the id and the parent of its client's half, and
some writers share without saying so: one span id may name two spans. A span without duration was not finished.
"""

from strataline.format import Format, Recognise, decode
from strataline.span import span


def items(text: str) -> list[str]:
    """The one item of a span."""
    one = decode(text)
    tags = one.get("tags")
    tags = dict(tags) if isinstance(tags, dict) else {}
    start, long = one.get("timestamp"), one.get("duration")
    local, remote = one.get("localEndpoint"), one.get("remoteEndpoint")
    if isinstance(remote, dict) and remote.get("serviceName"):
        tags.setdefault("peer.service", remote["serviceName"])
    if one.get("shared"):
        tags["zipkin.shared"] = True
    failed, notes = tags.get("error"), one.get("annotations")
    return [
        span(
            attributes=tags,
            kind=one.get("kind"),
            # OpenTelemetry's exporter writes a status; with others any text at `error` is a failure, "false" too.
            status=tags.pop("otel.status_code", None) or ("ERROR" if failed is not None else None),
            status_message=failed,
            events=[
                {"name": note.get("value"), "time": note.get("timestamp"), "attributes": {}}
                for note in (notes if isinstance(notes, list) else ())
                if isinstance(note, dict)
            ],
            # A name is optional.
            name=one.get("name") or str(one.get("kind") or "").lower(),
            trace_id=one.get("traceId"),
            span_id=one.get("id"),
            parent_id=one.get("parentId"),
            start=start,
            end=start + long if isinstance(start, int) and isinstance(long, int) else None,
            service=local.get("serviceName") if isinstance(local, dict) else None,
            scope=tags.pop("otel.scope.name", None) or tags.pop("otel.library.name", None),
            scope_version=tags.pop("otel.scope.version", None) or tags.pop("otel.library.version", None),
        )
    ]


endpoint: tuple[tuple[str, ...], ...] = (("localEndpoint",), ("remoteEndpoint",), ("timestamp",))

FORMAT = Format(
    name="zipkin_spans",
    title="Zipkin spans (v2)",
    layer="other",
    reference="https://zipkin.io/zipkin-api/",
    verified=True,
    recognise=Recognise(
        any_of=(endpoint,),
        where=((("traceId",), r"^[0-9a-f]{16}(?:[0-9a-f]{16})?$"), (("id",), r"^[0-9a-f]{16}$")),
    ),
    reshape=items,
    items="span",
    fields={},
    events=(),
    export="GET /api/v2/traces or /api/v2/trace/{id} of Zipkin, or Download JSON in its UI.",
    limits="A span id may stand for both halves of a call; what a client and its server share must be told by kind.",
)
