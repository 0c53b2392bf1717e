"""HTTP server and client spans (`http.*`, `url.*`), by old and new conventions, of tracers and of proxies.

What to know of these spans: the layer follows from the route alone where that is clear (a search, a chat, a model's
endpoint), else the span stays a bridge; a 4xx is an error here, whatever the span's own status says; the request id
is a header, which a server's span has only where its capture was switched on.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, filled, inside, path, whole

HEADER = r'^(?:\[\s*")?([^"\]]+)'
"""An attribute of a header is a list by the convention, and a text where it was set by hand."""
MODEL = (
    r"/(completions|v1/messages|v1/responses|openai/responses|v1/embeddings)/?$"
    r"|:(stream)?generatecontent$|/model/[^/]+/(invoke|converse)|^(post )?/api/(generate|embed|embeddings)$"
)
CHAT = r"/(chats?|conversations?|ask|assistants?|answers?)(/|$)"
SEARCH = r"search|retriev|rerank|vector|knn|knowledge"
SEARCHERS = r"retriev|search|rerank|vector|(^|[-_.])kb([-_.]|$)|knowledge"
OWN = {
    "method": "http.method",
    "method_new": "http.request.method",
    "http_old": "http.status_code",
    "http_new": "http.response.status_code",
    "route": "http.route",
    "target": "http.target",
    "url_path": "url.path",
    "url": "http.url",
    "url_full": "url.full",
    "zipkin_path": "http.path",
    "host": "server.address",
    "peer": "net.peer.name",
    "error_type": "error.type",
    "session": "session.id",
    "conversation": "gen_ai.conversation.id",
    "user": "user.id",
    "enduser": "enduser.id",
    "langfuse_request": "langfuse.trace.metadata.request_id",
    "header": "http.request.header.x-request-id",
    "header_by_hand": "http.request.header.x_request_id",
    "answer_header": "http.response.header.x-request-id",
    "envoy": "guid:x-request-id",
}
MARKS = (
    "http.method", "http.request.method", "http.status_code", "http.response.status_code", "http.route", "http.target",
    "http.url", "url.full", "http.path", "http.request.header.x-request-id", "http.request.header.x_request_id",
)  # fmt: skip

place = pl.coalesce(
    "route", "target", "url_path", "zipkin_path", pl.coalesce("url", "url_full").str.replace("^[a-z]+://[^/]+", "")
)
place = place.str.replace(r"[?#].*$", "").str.to_lowercase()
# Zipkin's and Jaeger's names of a route stand where there is no attribute.
place = place.fill_null(pl.col("name").str.extract("(/.*)$", 1).str.to_lowercase())
server, client = pl.col("span_kind") == "SERVER", pl.col("span_kind") == "CLIENT"
model = place.str.contains(MODEL).fill_null(value=False)
chat = ~model & place.str.contains(CHAT).fill_null(value=False)
found = place.str.contains(SEARCH) | pl.col("service").str.to_lowercase().str.contains(SEARCHERS)
search = ~model & ~chat & found.fill_null(value=False)
http = pl.coalesce(whole("http_old"), whole("http_new"))
error = pl.coalesce("error_type", "exception")
broke = (pl.col("status") == "error") | (http >= 500)
outcome = (
    pl.when(broke & error.str.contains(r"(?i)cancel"))
    .then(pl.lit("cancelled"))
    .when(broke & (error.str.contains(r"(?i)time(d ?)?out") | (http == 504)))
    .then(pl.lit("timeout"))
    .when(broke | (http >= 400))
    .then(pl.lit("error"))
    .when((pl.col("status") == "ok") | http.is_not_null())
    .then(pl.lit("ok"))
)

FORMAT = Format(
    name="span_http",
    title="HTTP spans",
    layer="other",
    reference="https://opentelemetry.io/docs/specs/semconv/http/http-spans/",
    versions=("opentelemetry-instrumentation-fastapi 0.66b2",),
    verified=True,
    export="Any trace export: the collector's file exporter, an SDK's console or file exporter, or a trace backend.",
    limits="It tells that a request was made and how it ended, not what was asked or answered.",
    of="span",
    # Marks that every span has set the order of dialects: plain, transport, gen_ai, OpenInference, a vendor's own.
    recognise=Recognise(
        keys=(("trace_id",), ("span_id",)),
        any_of=(tuple(("attributes", key) for key in MARKS),),
    ),
    fields={
        name: path(name)
        for name in ("trace_id", "span_id", "parent_id", "name", "start", "end", "status", "service", "scope")
    }
    | {
        "span_kind": path("kind"),
        "status_text": path("status_message"),
        "exception": path("error", "type"),
        "service_version": path("resource", "service.version"),
        "meta_request": inside(path("attributes", "metadata"), "request_id"),
        "meta_session": inside(path("attributes", "metadata"), "session_id"),
        "thread": inside(path("attributes", "metadata"), "thread_id"),
        "tenant": inside(path("attributes", "metadata"), "tenant"),
    }
    | {name: path("attributes", key) for name, key in OWN.items()},
    time="start",
    end="end",
    time_kind="start",
    columns={
        "name": "name",
        "service": "service",
        "span_id": "span_id",
        "parent_id": filled("parent_id"),
        "session": filled("session", "meta_session", "thread", "conversation"),
        "user": pl.coalesce("user", "enduser"),
        "tenant": "tenant",
        "outcome": outcome,
        "error_type": error,
        "http_status": http,
    },
    ids=(
        Id("trace_id", "trace_id"),
        Id("request_id", pl.coalesce("meta_request", pl.col("langfuse_request").str.strip_chars('"'))),
        Id("request_id", pl.coalesce("header_by_hand", pl.col("header").str.extract(HEADER, 1), "envoy")),
        # The header of an answer is the server's own id; of a client's span it is the other side's.
        Id("request_id", pl.when(server).then(pl.col("answer_header").str.extract(HEADER, 1))),
        Id("provider_request_id", pl.when(client).then(pl.col("answer_header").str.extract(HEADER, 1))),
    ),
    attributes={
        "span_kind": "span_kind",
        "scope": "scope",
        "service_version": "service_version",
        "route": pl.coalesce("route", place),
        "method": pl.coalesce("method", "method_new"),
        "host": pl.coalesce("host", "peer"),
        "error": pl.col("status_text").str.extract("^(.+)", 1).str.slice(0, 240),
    },
    events=(
        Event(kind="retrieval.request", layer="retrieval", when=server & search),
        Event(kind="model.access", layer="model", when=server & model),
        Event(kind="prompt.access", layer="prompt", when=server & chat),
        # One HTTP request of a model client: where it retried, there are several below one call.
        Event(kind="model.attempt", layer="model", when=client & model),
        Event(
            kind="app.step",
            when=~(server & (search | model | chat)).fill_null(value=False) & ~(client & model).fill_null(value=False),
        ),
    ),
)
