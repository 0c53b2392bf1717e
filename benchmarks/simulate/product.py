"""What a product is: its services, what each of them writes, how its requests go. Values only."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from .clocks import Browsers, Clock
from .delays import Delay

SPANS = (
    "retrieval.request",
    "retrieval.embed",
    "retrieval.query",
    "retrieval.rerank",
    "model.call",
    "model.attempt",
    "policy.input",
    "policy.output",
)
"""Kinds of row that tell of something that takes time; all others tell of a moment."""

KINDS = (
    *SPANS,
    "prompt.received",
    "prompt.rendered",
    "prompt.sent",
    "prompt.answered",
    "prompt.responded",
    "prompt.blocked",
    "prompt.error",
    "prompt.access",
    "model.fallback",
    "model.access",
    "model.log",
    "ui.message_sent",
    "ui.rendered",
    "ui.error_shown",
    "ui.feedback",
    "ui.citation",
    "ui.regenerate",
    "ui.retry",
    "ui.stopped",
    "ui.pageview",
    "change.applied",
    "log.other",
)
"""Every kind of row that a service may write. Both of policy.input and policy.output become `policy.decision`."""

LAYERS = ("prompt", "retrieval", "model", "policy", "ui")

FAMILIES = (
    "request_id",
    "trace_id",
    "run_id",
    "call_id",
    "response_id",
    "provider_request_id",
    "message_id",
    "decision_id",
    "event_uuid",
    "log_id",
)
"""Every family of ids, by the name that rows give it.

request_id, trace_id, run_id: of one pass of a request through the app. call_id: of one model call. response_id,
provider_request_id: of one attempt at a call. message_id: of the answer. decision_id, event_uuid, log_id: a row's own.
"""

OWN = ("decision_id", "event_uuid", "log_id")
"""Families of which every row makes an id of its own."""


WRITE_LAG = Delay("exponential", 0.0005, floor_s=0.00001, cap_s=1.0)
NO_DELAY = Delay("constant", 0.0, floor_s=0.0, cap_s=0.0)


@dataclass(frozen=True)
class Family:
    """How the ids of one family look.

    Attributes:
        name: one of `FAMILIES`.
        style: one of `ids.STYLES`; counter only for request_id, call_id and message_id.
        scope: what shares one id: pass (one try of a request), turn (all tries of it) or session; only for request_id
            (pass or turn) and trace_id.
        restart_h: hours after which a counter begins anew; 0: never.
    """

    name: str
    style: str
    scope: str = "pass"
    restart_h: float = 0.0


@dataclass(frozen=True)
class Carry:
    """That a service writes ids of a family into its rows.

    Attributes:
        family: one of `FAMILIES`.
        share: share of rows that carry it, of those that could know it.
        by: what the share is drawn for: row, or request (all its rows in this service carry it, or none does).
        kind: the name that the service gives it; empty: the family's own. Not for counters.
        form: one of `ids.FORMS`.
        broken: share of requests in which the service did not receive the id and made up its own.
        constant: share of rows that carry a constant in its place.
        where: kinds of row that carry it; empty: all that could know it.
    """

    family: str
    share: float = 1.0
    by: str = "row"
    kind: str = ""
    form: str = "plain"
    broken: float = 0.0
    constant: float = 0.0
    where: tuple[str, ...] = ()


@dataclass(frozen=True)
class Service:
    """One service and the log that it writes.

    Attributes:
        name: its name; also that of its source.
        layer: one of `LAYERS`.
        kinds: kinds of row that it writes, from `KINDS`. Kinds that no service writes happen all the same.
        ids: the ids that its rows carry.
        session: share of rows that name the session.
        user: share of rows that name the user.
        own_session_name: whether it names sessions otherwise than the other services do.
        mute: share of rows that carry no id (but their own), no session and no user at all.
        bare: kinds of row of which none does.
        clocks: the clock of each of its instances (replicas); at least one. In layer ui, that of the collector.
        precision: s, ms, us or ns.
        time_kind: what the time of rows about spans states: start, end, or write. Moments are written when they happen.
        states_span: whether rows about spans also state the other end: the end time beside a start, else the duration.
        spans: whether rows about spans name a span id and the id of the span above.
        content: share of rows that hold the text (as its hash), of those that could.
        judged_as: policy: whether the output that was judged is in the row's input or its output.
        write_lag: from the end of what a row tells to the moment of writing.
        batch: from the writing of a row to its arrival in the file, which sets the order of rows.
        redelivered: share of rows that arrive a second time.
        lost: share of rows that were lost one by one.
        gap: (from, to) as shares of the run: rows in between were lost, as in a rotation that failed.
    """

    name: str
    layer: str
    kinds: tuple[str, ...]
    ids: tuple[Carry, ...] = ()
    session: float = 0.0
    user: float = 0.0
    own_session_name: bool = False
    mute: float = 0.0
    bare: tuple[str, ...] = ()
    clocks: tuple[Clock, ...] = (Clock(),)
    precision: str = "us"
    time_kind: str = "start"
    states_span: bool = True
    spans: bool = False
    content: float = 0.0
    judged_as: str = "output"
    write_lag: Delay = WRITE_LAG
    batch: Delay = NO_DELAY
    redelivered: float = 0.0
    lost: float = 0.0
    gap: tuple[float, float] | None = None


@dataclass(frozen=True)
class Traffic:
    """Who asks, and how often.

    Attributes:
        rate_per_s: requests per second, on average.
        turns: mean number of requests in a session (at least 1).
        users: how many users there are; a few of them ask much more than others.
        tenants: how many tenants the users belong to; 0: none is named.
        together: share of turns that begin before the turn before has been answered.
        browser: share of sessions with a browser; the others call the app's interface directly.
        bursts: how uneven the load is: 0 is even, 1 doubles and halves it.
        common: share of prompts from the pool of common texts.
        pool: how many common texts there are.
        same_answer: share of the common texts that are always answered in the same words.
        health_per_s: health checks per second that access logs record.
        jobs: background jobs per request (calls and searches that no user asked for).
        noise: other lines per request, of no request.
        adversary: share of requests in which the client sent the same constant as its ids.
    """

    rate_per_s: float = 1.0
    turns: float = 4.0
    users: int = 500
    tenants: int = 0
    together: float = 0.0
    browser: float = 1.0
    bursts: float = 0.0
    common: float = 0.2
    pool: int = 50
    same_answer: float = 0.5
    health_per_s: float = 0.0
    jobs: float = 0.0
    noise: float = 0.0
    adversary: float = 0.0


@dataclass(frozen=True)
class Flow:
    """How a request goes. Shares are of passes, if nothing else is said.

    Attributes:
        input_policy: share that an input filter looks at.
        output_policy: share whose answer an output filter looks at.
        policy_at: where the filters stand: app or gateway (inside of the model call).
        policy_parallel: whether the app retrieves while the input filter decides.
        output_async: whether the output filter only watches, while the answer is already on its way.
        retrievals: mean number of searches before a model call.
        parallel: whether these run at the same time.
        calls: mean number of model calls in a pass (above 1: an agent).
        retry: chance that an attempt fails and the gateway tries again.
        fallback: share of further attempts that go to another model.
        attempts: most attempts at a call.
        error: share that ends in an error.
        resend: share of errors that the client sends again, as the same request.
        resend_row: share of those that the page logs as a retry.
        resend_ref: share of resends whose `prompt.received` names the try before it, in a ref `retry_of`.
        resends: most resends of a request.
        blocked_input: share blocked by the input filter.
        blocked_output: share blocked by the output filter.
        cache: share of calls that a cache answers, of those with a text that is always answered in the same words.
        stream: share of answers that are streamed; page rows of these may come before the answer is complete.
        leave: share in which the user leaves before the answer.
        regenerate: share of turns that ask for the turn before once more.
        feedback: share of answers with feedback.
        citation: share of answers with a click on a citation.
        client_ids: whether the page makes the request id, so that it knows it when it sends.
    """

    input_policy: float = 1.0
    output_policy: float = 1.0
    policy_at: str = "app"
    policy_parallel: bool = False
    output_async: bool = False
    retrievals: float = 1.0
    parallel: bool = True
    calls: float = 1.0
    retry: float = 0.05
    fallback: float = 0.3
    attempts: int = 4
    error: float = 0.03
    resend: float = 0.5
    resend_row: float = 0.8
    resend_ref: float = 0.2
    resends: int = 2
    blocked_input: float = 0.02
    blocked_output: float = 0.02
    cache: float = 0.0
    stream: float = 0.5
    leave: float = 0.02
    regenerate: float = 0.03
    feedback: float = 0.1
    citation: float = 0.1
    client_ids: bool = False


DELAYS = {
    "network": Delay("lognormal", 0.02, 0.5, floor_s=0.001, cap_s=30.0),
    "hop": Delay("lognormal", 0.001, 0.5, floor_s=0.0001, cap_s=5.0),
    "app": Delay("exponential", 0.001, floor_s=0.0001, cap_s=5.0),
    "policy": Delay("lognormal", 0.03, 0.6, floor_s=0.001, cap_s=30.0),
    "embed": Delay("lognormal", 0.02, 0.4, floor_s=0.001, cap_s=30.0),
    "search": Delay("lognormal", 0.05, 0.6, floor_s=0.001, cap_s=60.0),
    "rerank": Delay("lognormal", 0.03, 0.4, floor_s=0.001, cap_s=30.0),
    "model": Delay("lognormal", 1.5, 0.7, floor_s=0.05, cap_s=300.0),
    "failure": Delay("bimodal", 0.2, 40.0, slow_share=0.3, floor_s=0.01, cap_s=120.0),
    "backoff": Delay("exponential", 0.5, floor_s=0.01, cap_s=20.0),
    "cache": Delay("exponential", 0.004, floor_s=0.0005, cap_s=1.0),
    "resend": Delay("lognormal", 4.0, 0.7, floor_s=0.2, cap_s=55.0),
    "think": Delay("lognormal", 25.0, 1.0, floor_s=0.5, cap_s=3600.0),
    "react": Delay("lognormal", 8.0, 0.9, floor_s=0.3, cap_s=600.0),
    "upload": Delay("exponential", 1.5, floor_s=0.01, cap_s=60.0),
    "late": Delay("pareto", 120.0, 1.0, floor_s=30.0, cap_s=14_400.0),
}
"""Every delay of a product by name, with its default.

network: between page and app. hop: between services. app: the app's own work. policy, embed, search, rerank, model: the
operation itself. failure: an attempt that fails. backoff: before the next attempt. cache: a call that a cache answers.
resend: from an error to the resend. think: from an answer to the next turn. react: from an answer to feedback.
upload: from a page event to its arrival. late: the same for late batches.
"""


@dataclass(frozen=True)
class Product:
    """A product: everything that a run depends on besides its seed and length.

    Attributes:
        name: for the reader.
        services: its services, at most one instance of which writes each row; names differ.
        families: how its ids look; a family that is not named here looks as in `FAMILY_DEFAULTS`.
        traffic: who asks, and how often.
        flow: how a request goes.
        delays: delays that differ from `DELAYS`, by name.
        browsers: the clocks of browsers.
        late: share of page events that arrive in a late batch.
    """

    name: str
    services: tuple[Service, ...]
    families: tuple[Family, ...] = ()
    traffic: Traffic = field(default_factory=Traffic)
    flow: Flow = field(default_factory=Flow)
    delays: tuple[tuple[str, Delay], ...] = ()
    browsers: Browsers = field(default_factory=Browsers)
    late: float = 0.0

    def delay(self, name: str) -> Delay:
        """The delay `name`, as this product has it."""
        return dict(self.delays).get(name, DELAYS[name])

    def family(self, name: str) -> Family:
        """How the ids of the family `name` look in this product."""
        return next((family for family in self.families if family.name == name), FAMILY_DEFAULTS[name])

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        return dataclasses.asdict(self)


FAMILY_DEFAULTS = {
    family.name: family
    for family in (
        Family("request_id", "uuid"),
        Family("trace_id", "hex32"),
        Family("run_id", "uuid"),
        Family("call_id", "uuid"),
        Family("response_id", "chatcmpl"),
        Family("provider_request_id", "req"),
        Family("message_id", "msg"),
        Family("decision_id", "uuid"),
        Family("event_uuid", "uuid"),
        Family("log_id", "ulid"),
    )
}
