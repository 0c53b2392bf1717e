"""nginx: its error log.

What to know of these lines: times are local and name no zone; the number behind the asterisk counts connections since
the process began, and is no id; a failed try of a request that a second upstream then answered has a line here.
"""

import polars as pl

from strataline.format import Event, Format, Time, group

MODEL = (
    r"^\S+ \S*/(?:chat/completions|completions|embeddings|v1/(?:messages|responses|rerank)|api/(?:chat|generate))[ ?]"
)
HEAD = r"(?P<time>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(?P<level>[a-z]+)\] (?P<pid>\d+)#\d+: "
GROUPS = ("time", "level", "pid", "connection", "message", "client", "request", "upstream", "host")

failing = pl.col("level").is_in(["error", "crit", "alert", "emerg"])
is_model = pl.col("request").str.contains(MODEL).fill_null(value=False)
target = pl.col("request").str.extract(r"^\S+ (\S+)", 1)

FORMAT = Format(
    name="nginx_error",
    title="nginx error log",
    layer="other",
    reference="https://nginx.org/en/docs/ngx_core_module.html#error_log",
    versions=("1.22.1",),
    verified=True,
    export="`error_log`, by default /var/log/nginx/error.log.",
    limits="It has no id; a line is tied to a request only by its second and its path.",
    container="text",
    # What follows a comma in the message is not the client: so two lines that ran together are not taken for one.
    pattern=HEAD
    + r"(?:\*(?P<connection>\d+) )?(?P<message>"
    + r"[^,]*(?:, (?:[^c,]|c[^l,]|cl[^i,]|cli[^e,]|clie[^n,]|clien[^t,]|client[^:,])[^,]*|,[^ ,][^,]*)*)"
    + r"(?:, client: (?P<client>[^,]+), server: [^,]*"
    + r'(?:, request: "(?P<request>[^"]*)")?(?:, subrequest: "[^"]*")?(?:, upstream: "(?P<upstream>[^"]*)")?'
    + r'(?:, host: "(?P<host>[^"]*)")?(?:, referrer: "[^"]*")?)?',
    begins=r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[[a-z]+\] \d+#\d+: ",
    other=HEAD + ".*",
    fields={name: group(name) for name in GROUPS},
    time=Time(pl.col("time").str.replace_all("/", "-", literal=True), "iso"),
    columns={
        "service": pl.lit("nginx"),
        "name": pl.concat_str(
            "level", pl.col("request").str.replace(r"^(\S+ [^ ?]+).*", "$1"), separator=" "
        ).fill_null(pl.col("level")),
        "outcome": pl.when(failing & pl.col("message").str.contains("timed out", literal=True))
        .then(pl.lit("timeout"))
        .when(failing)
        .then(pl.lit("error")),
        # The system's word where there is one: (111: Connection refused).
        "error_type": pl.when(failing).then(pl.col("message").str.extract(r"\(\d+: ([^)]+)\)", 1)),
    },
    attributes={
        "level": "level",
        "pid": "pid",
        "connection": "connection",
        "message": pl.col("message").str.slice(0, 240),
        "client": "client",
        "path": target,
        "upstream": "upstream",
        "host": "host",
    },
    events=(Event("model.log", layer="model", when=is_model), Event("app.log", when=~is_model)),
)
