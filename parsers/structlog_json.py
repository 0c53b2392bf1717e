"""JSON application logs as structlog and python-json-logger write them: any product's own service.

What to know of these lines: what happened is told by `event` (structlog) or `message` (python-json-logger) alone, in
the product's words, and so are its ids and facts. Only the marks are known; the rest is guessed from the records, and
each guess is a note. Write a format of your own for a log whose words you know. Times are often naive; `asctime` always
is, by the local clock. A line without a time (the default of python-json-logger) is not taken for one of these logs.
"""

from strataline.format import Event, Format, Recognise

FORMAT = Format(
    name="structlog_json",
    title="JSON application log (structlog, python-json-logger)",
    layer="prompt",
    reference="https://www.structlog.org/en/stable/standard-library.html",
    versions=("structlog 26.1.0", "python-json-logger 4.2.0"),
    verified=True,
    guessed=True,
    export="A Python service whose structlog JSONRenderer or python-json-logger formatter writes to stdout or a file.",
    limits="What happened is told in the product's own words, so layers, outcomes and verdicts are guesses.",
    recognise=Recognise(
        any_of=(
            (("timestamp",), ("asctime",)),
            (("event",), ("message",)),
            (("level",), ("severity",), ("levelname",)),
        )
    ),
    fields={},
    events=(Event("app.log"),),
)
