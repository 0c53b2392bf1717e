"""A product at random, over the whole range of what products do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .clocks import Browsers, Clock
from .delays import LAWS, Delay
from .presets import APP, ORCHESTRATOR, OWN_ID, SEARCH, UI
from .product import DELAYS, FAMILY_DEFAULTS, LAYERS, Carry, Family, Flow, Product, Service, Traffic

MOST_INSTANCES = 12
"""Most service instances of a product."""

BARE = ("prompt.access", "model.access", "model.log", "model.attempt", "model.fallback")
"""Kinds of row that often carry nothing: access logs and lines of text."""

KNOWN = {
    "prompt": ("request_id", "trace_id", "run_id", "call_id", "response_id", "message_id"),
    "retrieval": ("request_id", "trace_id", "run_id"),
    "model": ("request_id", "trace_id", "run_id", "call_id", "response_id", "provider_request_id", "log_id"),
    "policy": ("request_id", "trace_id", "call_id", "response_id"),
    "ui": ("request_id", "trace_id", "message_id"),
}
"""Families of ids that rows of a layer could carry."""

TOPOLOGIES: dict[str, dict[str, tuple[str, ...]]] = {
    "request": dict.fromkeys(LAYERS, ("request_id",)) | {"model": ("request_id", "call_id")},
    "trace": dict.fromkeys(LAYERS, ("trace_id",)),
    "chain": {
        "prompt": ("request_id", "message_id"),
        "retrieval": ("request_id",),
        "model": ("request_id", "call_id"),
        "policy": ("call_id",),
        "ui": ("message_id",),
    },
    "completion": {
        "prompt": ("request_id", "response_id", "message_id"),
        "retrieval": ("trace_id",),
        "model": ("call_id", "response_id"),
        "policy": ("response_id",),
        "ui": ("message_id",),
    },
    "runs": {
        "prompt": ("run_id", "message_id"),
        "retrieval": ("run_id", "trace_id"),
        "model": ("run_id", "call_id"),
        "policy": ("call_id", "trace_id"),
        "ui": ("message_id", "trace_id"),
    },
}
"""Which families travel between layers in the usual kinds of product."""


class _Dice:
    """Draws of one product."""

    def __init__(self, seed: int) -> None:
        self.draw = np.random.default_rng([seed, 77])

    def chance(self, share: float) -> bool:
        return bool(self.draw.random() < share)

    def one(self, *choices: str) -> str:
        return choices[int(self.draw.integers(len(choices)))]

    def between(self, low: float, high: float) -> float:
        return round(float(self.draw.uniform(low, high)), 4)

    def scale(self, low: float, high: float) -> float:
        """Between two numbers, evenly over orders of magnitude."""
        return float(
            np.format_float_positional(np.exp(self.draw.uniform(np.log(low), np.log(high))), 4, fractional=False)
        )

    def share(self) -> float:
        """Often all, sometimes most, sometimes few, sometimes none."""
        return (1.0, 1.0, self.between(0.7, 1.0), self.between(0.05, 0.7), 0.0)[int(self.draw.integers(5))]

    def rarely(self, often: float, most: float) -> float:
        """Zero, but with chance `often` something up to `most`."""
        return self.between(0.0, most) if self.chance(often) else 0.0


def draw_product(seed: int) -> Product:
    """Draw a product; the same seed draws the same one."""
    dice = _Dice(seed)
    layers = [layer for layer in LAYERS if dice.chance(0.87)]
    while len(layers) < 2:
        layers = [layer for layer in LAYERS if dice.chance(0.87)]
    topology = TOPOLOGIES[dice.one(*TOPOLOGIES)]
    skew = dice.one("none", "ms", "s", "s", "minutes", "hours")
    loss = dice.one("none", "some", "heavy")
    services = [service for layer in layers for service in _layer(dice, layer)]
    carried = [replace(service, ids=_ids(dice, service, topology, loss)) for service in services]
    room = MOST_INSTANCES - len(carried)
    done = []
    for service in carried:
        more = int(dice.draw.integers(1, 3)) if service.layer != "ui" and dice.chance(0.3) else 0
        more = min(more, room)
        room -= more
        done.append(_habits(dice, service, skew, loss, 1 + more))
    families = tuple(_family(dice, name) for name in FAMILY_DEFAULTS)
    return Product(
        name=f"drawn {seed}",
        services=tuple(done),
        families=families,
        traffic=_traffic(dice),
        flow=_flow(dice),
        delays=tuple((name, _delay(dice, name)) for name in DELAYS if dice.chance(0.6)),
        browsers=_browsers(dice, skew),
        late=dice.rarely(0.4, 0.4),
    )


def _layer(dice: _Dice, layer: str) -> list[Service]:
    """The services of a layer, with what they write."""
    if layer == "prompt":
        split = dice.chance(0.3)
        access = ("prompt.access",) if dice.chance(0.6) else ()
        edge = bool(access) and dice.chance(0.5)
        services = [Service("app", layer, APP + (() if split else ORCHESTRATOR) + (() if edge else access))]
        if split:
            services.append(Service("orchestrator", layer, ORCHESTRATOR))
        if edge:
            services.append(Service("edge", layer, access))
        return services
    if layer == "retrieval":
        parts = tuple(kind for kind in ("retrieval.embed", "retrieval.rerank") if dice.chance(0.5))
        head = SEARCH if dice.chance(0.6) else SEARCH[1:]
        if parts and dice.chance(0.3):
            return [Service("search", layer, (*head, "change.applied")), Service("ranker", layer, parts)]
        return [Service("search", layer, (*head, *parts, "change.applied"))]
    if layer == "model":
        extra = tuple(
            kind for kind in ("model.access", "model.fallback", "model.log", "log.other") if dice.chance(0.35)
        )
        if dice.chance(0.3):
            return [
                Service("gateway", layer, ("model.call", *extra)),
                Service("proxy", layer, ("model.attempt",)),
            ]
        return [Service("gateway", layer, ("model.call", *(("model.attempt",) if dice.chance(0.5) else ()), *extra))]
    if layer == "policy":
        if dice.chance(0.3):
            return [
                Service("input-filter", layer, ("policy.input", "change.applied")),
                Service("output-filter", layer, ("policy.output",)),
            ]
        return [Service("policy", layer, ("policy.input", "policy.output", "change.applied"))]
    return [Service("web", layer, tuple(kind for kind in UI if kind in UI[:2] or dice.chance(0.8)))]


def _ids(dice: _Dice, service: Service, topology: dict[str, tuple[str, ...]], loss: str) -> tuple[Carry, ...]:
    """What the rows of a service carry: what its topology asks for, less what gets lost, and some more."""
    carries = [Carry(OWN_ID[service.layer])] if service.layer in OWN_ID else []
    for family in KNOWN[service.layer]:
        asked = family in topology[service.layer]
        if not asked and not dice.chance(0.15):
            continue
        share = {"none": 1.0, "some": dice.share(), "heavy": min(dice.share(), dice.between(0.0, 0.6))}[loss]
        if service.layer == "prompt" and asked and loss != "heavy":
            share = max(share, 0.9)
        counter = family in ("request_id", "call_id", "message_id")
        carries.append(
            Carry(
                family,
                share,
                by=dice.one("row", "request"),
                kind=dice.one("", "", "", "trace_id", "x_id") if not counter and family != "trace_id" else "",
                form=dice.one("plain", "plain", "plain", "upper", "dashed"),
                broken=0.0 if service.layer == "prompt" or loss == "none" else dice.rarely(0.3, 0.4),
                constant=0.0 if loss == "none" else dice.rarely(0.1, 1.0),
            )
        )
    return tuple(carries)


def _clock(dice: _Dice, skew: str) -> Clock:
    if skew == "none":
        return Clock()
    size = {"ms": 0.02, "s": 2.0, "minutes": 120.0, "hours": 3.0}[skew]
    offset = float(dice.draw.standard_normal()) * size
    if skew == "hours":
        offset += 3600.0 * int(dice.draw.integers(-9, 13)) if dice.chance(0.5) else 0.0
    drift = float(dice.draw.standard_normal()) * dice.scale(1.0, 100.0) if dice.chance(0.4) else 0.0
    steps = tuple(
        sorted((dice.scale(60.0, 20_000.0), float(np.round(dice.draw.standard_normal() * size, 6))) for _ in range(2))
    )
    return Clock(round(offset, 6), round(drift, 3), steps[: int(dice.draw.integers(1, 3))] if dice.chance(0.2) else ())


def _habits(dice: _Dice, service: Service, skew: str, loss: str, instances: int) -> Service:
    """How a service writes."""
    lossy = loss != "none"
    named = dice.share() if lossy else 1.0
    return replace(
        service,
        session=named,
        user=dice.share(),
        own_session_name=dice.chance(0.15),
        mute=dice.rarely(0.3, 0.3) if lossy else 0.0,
        bare=tuple(kind for kind in service.kinds if kind in BARE and dice.chance(0.7)),
        clocks=tuple(_clock(dice, skew) for _ in range(instances)),
        precision=dice.one("s", "ms", "ms", "ms", "us", "us", "ns") if service.layer != "ui" else "ms",
        time_kind=dice.one("start", "start", "end", "write"),
        states_span=dice.chance(0.8),
        spans=dice.chance(0.6) if service.layer == "retrieval" else dice.chance(0.2),
        content=dice.share() if dice.chance(0.7) else 0.0,
        judged_as=dice.one("input", "output"),
        batch=Delay("exponential", dice.scale(0.05, 5.0), floor_s=0.0) if dice.chance(0.3) else service.batch,
        redelivered=dice.rarely(0.3, 0.05),
        lost=dice.rarely(0.3, 0.05) if lossy else 0.0,
        gap=(gap := dice.between(0.1, 0.9), gap + dice.between(0.005, 0.08)) if lossy and dice.chance(0.15) else None,
    )


def _family(dice: _Dice, name: str) -> Family:
    family = FAMILY_DEFAULTS[name]
    if name == "trace_id":
        scope = dice.one("pass", "pass", "pass", "turn", "session")
        return Family(name, "sess" if scope == "session" else "hex32", scope)
    if name == "request_id":
        style = dice.one("uuid", "uuid", "req", "hex32", "ulid", "counter")
        return Family(name, style, dice.one("pass", "pass", "turn"), 7.0 if dice.chance(0.3) else 0.0)
    if name in ("call_id", "message_id"):
        style = dice.one(family.style, family.style, "uuid", "ulid", "counter")
        return Family(name, style, restart_h=8.0 if dice.chance(0.3) else 0.0)
    return family


def _delay(dice: _Dice, name: str) -> Delay:
    """Another law for a delay, of about the same size."""
    usual = DELAYS[name]
    law = LAWS[int(dice.draw.integers(len(LAWS)))]
    shape = {
        "constant": dice.between(0.0, 0.3),
        "exponential": 0.0,
        "lognormal": dice.between(0.2, 1.5),
        "pareto": dice.between(1.1, 3.0),
        "bimodal": dice.scale(3.0, 50.0),
    }[law]
    return Delay(
        law,
        usual.median_s * dice.scale(0.3, 3.0),
        shape,
        dice.between(0.05, 0.5),
        usual.floor_s,
        usual.cap_s,
        dice.between(0.2, 1.0) if dice.chance(0.4) else 0.0,
    )


def _browsers(dice: _Dice, skew: str) -> Browsers:
    if skew == "none" and dice.chance(0.7):
        return Browsers()
    return Browsers(dice.scale(0.02, 20.0), dice.rarely(0.6, 0.3), dice.rarely(0.6, 0.2), dice.scale(0.5, 100.0))


def _traffic(dice: _Dice) -> Traffic:
    return Traffic(
        rate_per_s=dice.scale(0.02, 20.0),
        turns=dice.between(1.0, 10.0),
        users=int(dice.scale(5, 50_000)),
        tenants=int(dice.scale(1, 50)) if dice.chance(0.4) else 0,
        together=dice.rarely(0.4, 0.3),
        browser=1.0 if dice.chance(0.7) else dice.between(0.2, 1.0),
        bursts=dice.rarely(0.5, 1.5),
        common=dice.between(0.0, 0.6),
        pool=int(dice.scale(3, 500)),
        same_answer=dice.between(0.0, 1.0),
        health_per_s=dice.rarely(0.4, 0.5),
        jobs=dice.rarely(0.4, 0.2),
        noise=dice.rarely(0.5, 0.5),
        adversary=dice.rarely(0.2, 0.2),
    )


def _flow(dice: _Dice) -> Flow:
    return Flow(
        input_policy=dice.share(),
        output_policy=dice.share(),
        policy_at=dice.one("app", "app", "gateway"),
        policy_parallel=dice.chance(0.2),
        output_async=dice.chance(0.2),
        retrievals=0.0 if dice.chance(0.15) else dice.between(0.5, 3.0),
        parallel=dice.chance(0.6),
        calls=dice.between(1.5, 6.0) if dice.chance(0.35) else 1.0,
        retry=dice.rarely(0.7, 0.3),
        fallback=dice.between(0.0, 0.6),
        attempts=int(dice.draw.integers(1, 6)),
        error=dice.rarely(0.8, 0.12),
        resend=dice.between(0.0, 0.9),
        resend_row=dice.share(),
        resend_ref=dice.rarely(0.5, 1.0),
        resends=int(dice.draw.integers(0, 4)),
        blocked_input=dice.rarely(0.6, 0.06),
        blocked_output=dice.rarely(0.6, 0.06),
        cache=dice.rarely(0.4, 0.6),
        stream=dice.between(0.0, 1.0),
        leave=dice.rarely(0.6, 0.08),
        regenerate=dice.rarely(0.6, 0.1),
        feedback=dice.between(0.0, 0.4),
        citation=dice.between(0.0, 0.3),
        client_ids=dice.chance(0.4),
    )
