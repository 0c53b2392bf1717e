"""Products with a name: each hard in one way, and one that is not hard at all."""

from __future__ import annotations

from dataclasses import replace

from .clocks import Browsers, Clock
from .delays import Delay
from .product import Carry, Family, Flow, Product, Service, Traffic

APP = ("prompt.received", "prompt.responded", "prompt.blocked", "prompt.error")
ORCHESTRATOR = ("prompt.rendered", "prompt.sent", "prompt.answered")
SEARCH = ("retrieval.request", "retrieval.query")
UI = (
    "ui.message_sent",
    "ui.rendered",
    "ui.error_shown",
    "ui.feedback",
    "ui.citation",
    "ui.regenerate",
    "ui.retry",
    "ui.stopped",
    "ui.pageview",
)
OWN_ID = {"policy": "decision_id", "ui": "event_uuid"}
"""Layers whose rows have an id of their own, and its family."""


def no_skew(product: Product) -> Product:
    """The same product with true clocks everywhere, browsers included; precision and delays stay."""
    services = tuple(replace(service, clocks=(Clock(),) * len(service.clocks)) for service in product.services)
    return replace(product, name=f"{product.name}, no skew", services=services, browsers=Browsers())


def _service(name: str, layer: str, kinds: tuple[str, ...], *families: str, **more: object) -> Service:
    own = (Carry(OWN_ID[layer]),) if layer in OWN_ID else ()
    ids = (*own, *(Carry(family) for family in families))
    made = Service(name, layer, kinds, ids, session=1.0, user=1.0, content=1.0)
    return replace(made, **more)  # type: ignore[arg-type]


def clean() -> Product:
    """No skew, every id on every row, nothing lost."""
    return Product(
        "clean",
        (
            _service("app", "prompt", (*APP, *ORCHESTRATOR), "request_id", "trace_id", "call_id", "message_id"),
            _service("search", "retrieval", (*SEARCH, "retrieval.rerank"), "request_id", "trace_id", spans=True),
            _service("gateway", "model", ("model.call", "model.attempt"), "request_id", "call_id", "response_id"),
            _service("policy", "policy", ("policy.input", "policy.output"), "request_id", "call_id", time_kind="write"),
            _service("web", "ui", UI, "request_id", "message_id", precision="ms", content=0.0),
        ),
        flow=Flow(client_ids=True),
        traffic=Traffic(common=0.1),
    )


def _skewed(product: Product) -> Product:
    """The same product with clocks that are a little to badly off."""
    clocks = {
        "app": Clock(0.785),
        "search": Clock(-1.467, drift_ppm=12),
        "gateway": Clock(4.977, drift_ppm=-30),
        "policy": Clock(-0.352, steps=((900.0, 0.9),)),
    }
    services = tuple(
        replace(service, clocks=(clocks.get(service.name, service.clocks[0]),)) for service in product.services
    )
    return replace(product, services=services, browsers=Browsers(0.8, tail=0.05, hours=0.02, drift_ppm=20), late=0.05)


def _with(product: Product, name: str, **changes: object) -> Service:
    service = next(service for service in product.services if service.name == name)
    return replace(service, **changes)  # type: ignore[arg-type]


def hostile() -> Product:
    """An adversary who sends one id, constants where ids should be, jobs, health checks, redelivery, lost rows."""
    base = _skewed(clean())
    services = (
        _with(base, "app", redelivered=0.02, lost=0.01, kinds=(*APP, *ORCHESTRATOR, "prompt.access")),
        _with(base, "search", ids=(Carry("trace_id", broken=0.2), Carry("request_id", 0.3, form="upper"))),
        _with(
            base,
            "gateway",
            kinds=("model.call", "model.attempt", "model.access", "model.fallback", "log.other"),
            ids=(
                Carry("request_id", 0.9, by="request", kind="client_request_id"),
                Carry("call_id", where=("model.call", "model.attempt")),
                Carry("response_id", where=("model.call",)),
                Carry("trace_id", constant=1.0, kind="key_hash"),
            ),
            gap=(0.6, 0.63),
        ),
        _with(
            base,
            "policy",
            ids=(Carry("decision_id"), Carry("call_id", 0.6), Carry("trace_id", 0.5, constant=0.5)),
            session=0.4,
            user=0.8,
            content=0.3,
            mute=0.1,
        ),
        _with(base, "web", ids=(Carry("event_uuid"), Carry("request_id", 0.5), Carry("message_id", 0.3))),
    )
    traffic = Traffic(adversary=0.1, jobs=0.1, health_per_s=0.5, noise=0.3, common=0.4, bursts=1.0, together=0.1)
    flow = Flow(error=0.08, retry=0.2, regenerate=0.06)
    return replace(base, name="hostile", services=services, traffic=traffic, flow=flow)


def sparse() -> Product:
    """Few ids: most rows of the policy filter and the page have a session, a user, or nothing."""
    base = _skewed(clean())
    services = (
        _with(base, "app", ids=(Carry("request_id"), Carry("response_id", 0.8))),
        _with(base, "search", ids=(Carry("trace_id"),), session=0.5, user=0.5, content=0.6),
        _with(base, "gateway", ids=(Carry("call_id"), Carry("response_id", where=("model.call",))), session=0.6),
        _with(base, "policy", ids=(Carry("decision_id"), Carry("call_id", 0.1)), session=0.4, user=0.7, content=0.2),
        _with(base, "web", ids=(Carry("event_uuid"), Carry("message_id", 0.1)), own_session_name=True),
    )
    return replace(base, name="sparse", services=services, traffic=Traffic(common=0.3, together=0.05), flow=Flow())


def browser_heavy() -> Product:
    """Pages whose clocks are badly off, that say much, arrive late, and know an id only of the answer."""
    base = _skewed(clean())
    web = _with(base, "web", ids=(Carry("event_uuid"), Carry("message_id", 0.6)), content=0.5)
    others = tuple(service for service in base.services if service.name != "web")
    return replace(
        base,
        name="browser heavy",
        services=(*others, web),
        browsers=Browsers(5.0, tail=0.25, hours=0.15, drift_ppm=60),
        late=0.3,
        flow=Flow(feedback=0.5, citation=0.4, leave=0.06, stream=0.9, regenerate=0.08),
        traffic=Traffic(turns=6.0, common=0.2),
    )


def agents() -> Product:
    """Several model calls and parallel searches in a request, sub-steps with ids of their own, heavy tails."""
    base = _skewed(clean())
    services = (
        _with(base, "app", ids=(Carry("run_id"), Carry("request_id", 0.7), Carry("call_id", 0.8)), spans=True),
        _with(base, "search", ids=(Carry("trace_id"), Carry("run_id", 0.8, by="request"))),
        _with(base, "gateway", ids=(Carry("call_id"), Carry("run_id", 0.8, kind="trace_id"), Carry("response_id"))),
        _with(base, "policy", ids=(Carry("decision_id"), Carry("call_id", 0.8))),
        _with(base, "web"),
    )
    return replace(
        base,
        name="agents",
        services=services,
        flow=Flow(calls=4.0, retrievals=2.5, parallel=True, policy_at="gateway", retry=0.1, output_async=True),
        delays=(("model", Delay("pareto", 2.0, 1.5, floor_s=0.2, cap_s=300.0, load=0.5)),),
        traffic=Traffic(rate_per_s=0.5, turns=3.0, together=0.15, bursts=0.7),
    )


def session_traces() -> Product:
    """One trace id over a whole session, on every service; what tells its turns apart is scarce."""
    base = _skewed(clean())
    services = (
        _with(base, "app", ids=(Carry("trace_id"), Carry("request_id"), Carry("response_id", 0.5))),
        _with(base, "search", ids=(Carry("trace_id"),), spans=False),
        _with(base, "gateway", ids=(Carry("trace_id"), Carry("call_id"), Carry("response_id"))),
        _with(base, "policy", ids=(Carry("decision_id"), Carry("trace_id"), Carry("call_id", 0.5))),
        _with(base, "web", ids=(Carry("event_uuid"), Carry("trace_id"), Carry("request_id", 0.3))),
    )
    families = (Family("trace_id", "sess", scope="session"),)
    traffic = Traffic(turns=5.0, together=0.1, common=0.3)
    return replace(base, name="session traces", services=services, families=families, traffic=traffic)


PRESETS = {
    "clean": clean,
    "hostile": hostile,
    "sparse": sparse,
    "browser_heavy": browser_heavy,
    "agents": agents,
    "session_traces": session_traces,
}
"""Every named product, as the function that makes it."""
