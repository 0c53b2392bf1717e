"""Hypothesis strategies: small products that shrink towards one without skew or loss."""

from __future__ import annotations

from hypothesis import strategies as st

from .clocks import Browsers, Clock
from .draw import KNOWN, draw_product
from .presets import APP, ORCHESTRATOR, OWN_ID, SEARCH, UI
from .product import LAYERS, Carry, Family, Flow, Product, Service, Traffic

SHARES = (1.0, 0.6, 0.2, 0.0)
"""Shares that are tried, the simplest first."""

KINDS_OF = {
    "prompt": (APP, (*APP, *ORCHESTRATOR), (*APP, *ORCHESTRATOR, "prompt.access")),
    "retrieval": (SEARCH[1:], SEARCH, (*SEARCH, "retrieval.embed", "retrieval.rerank")),
    "model": (("model.call",), ("model.call", "model.attempt"), ("model.call", "model.access", "model.log")),
    "policy": (("policy.input", "policy.output"), ("policy.output",)),
    "ui": (UI, UI[:2]),
}
"""What a service of each layer may write."""


def clocks() -> st.SearchStrategy[Clock]:
    """Clocks, from true ones to badly wrong ones."""
    return st.builds(
        Clock,
        offset_s=st.sampled_from((0.0, 0.05, -1.5, 90.0, -3600.0, 7200.25)),
        drift_ppm=st.sampled_from((0.0, 30.0, -200.0)),
        steps=st.sampled_from(((), ((60.0, -2.0),), ((20.0, 0.4), (300.0, -0.4)))),
    )


@st.composite
def services(draw: st.DrawFn, layer: str) -> Service:
    """A service of one layer."""
    own = (Carry(OWN_ID[layer]),) if layer in OWN_ID else ()
    families = draw(st.lists(st.sampled_from(KNOWN[layer]), max_size=3, unique=True))
    carries = tuple(
        Carry(
            family,
            share=draw(st.sampled_from(SHARES)),
            by=draw(st.sampled_from(("row", "request"))),
            broken=draw(st.sampled_from((0.0, 0.3))),
            constant=draw(st.sampled_from((0.0, 0.0, 1.0))),
        )
        for family in families
    )
    return Service(
        name=f"{layer}-service",
        layer=layer,
        kinds=draw(st.sampled_from(KINDS_OF[layer])),
        ids=own + carries,
        session=draw(st.sampled_from(SHARES)),
        user=draw(st.sampled_from(SHARES)),
        own_session_name=draw(st.booleans()),
        mute=draw(st.sampled_from((0.0, 0.3))),
        clocks=tuple(draw(st.lists(clocks(), min_size=1, max_size=1 if layer == "ui" else 2))),
        precision=draw(st.sampled_from(("us", "ms", "s"))),
        time_kind=draw(st.sampled_from(("start", "end", "write"))),
        states_span=draw(st.booleans()),
        spans=draw(st.booleans()),
        content=draw(st.sampled_from(SHARES)),
        redelivered=draw(st.sampled_from((0.0, 0.2))),
        lost=draw(st.sampled_from((0.0, 0.2))),
        gap=draw(st.sampled_from((None, (0.4, 0.6)))),
    )


@st.composite
def products(draw: st.DrawFn) -> Product:
    """A product with one service for each of some layers; a run of a few dozen requests shows what it does."""
    layers = draw(st.lists(st.sampled_from(LAYERS), min_size=1, max_size=5, unique=True))
    scope = draw(st.sampled_from(("pass", "turn", "session")))
    flow = Flow(
        policy_at=draw(st.sampled_from(("app", "gateway"))),
        policy_parallel=draw(st.booleans()),
        output_async=draw(st.booleans()),
        retrievals=draw(st.sampled_from((1.0, 0.0, 2.5))),
        parallel=draw(st.booleans()),
        calls=draw(st.sampled_from((1.0, 3.0))),
        retry=draw(st.sampled_from((0.0, 0.4))),
        error=draw(st.sampled_from((0.0, 0.3))),
        blocked_input=draw(st.sampled_from((0.0, 0.2))),
        blocked_output=draw(st.sampled_from((0.0, 0.2))),
        cache=draw(st.sampled_from((0.0, 0.7))),
        leave=draw(st.sampled_from((0.0, 0.2))),
        regenerate=draw(st.sampled_from((0.0, 0.3))),
        client_ids=draw(st.booleans()),
    )
    traffic = Traffic(
        rate_per_s=draw(st.sampled_from((0.1, 0.002, 20.0))),
        turns=draw(st.sampled_from((1.0, 4.0))),
        users=draw(st.sampled_from((100, 1))),
        tenants=draw(st.sampled_from((0, 3))),
        together=draw(st.sampled_from((0.0, 0.5))),
        browser=draw(st.sampled_from((1.0, 0.5))),
        common=draw(st.sampled_from((0.0, 0.8))),
        pool=3,
        jobs=draw(st.sampled_from((0.0, 0.3))),
        health_per_s=draw(st.sampled_from((0.0, 0.1))),
        noise=draw(st.sampled_from((0.0, 0.2))),
        adversary=draw(st.sampled_from((0.0, 0.3))),
    )
    return Product(
        name="small",
        services=tuple(draw(services(layer)) for layer in layers),
        families=(
            Family("trace_id", "sess" if scope == "session" else "hex32", scope),
            Family("request_id", draw(st.sampled_from(("uuid", "req", "counter"))), restart_h=2.0),
        ),
        traffic=traffic,
        flow=flow,
        browsers=draw(st.sampled_from((Browsers(), Browsers(2.0, 0.3, 0.2, 50.0)))),
        late=draw(st.sampled_from((0.0, 0.3))),
    )


def drawn_products() -> st.SearchStrategy[Product]:
    """Products over the whole range of `draw_product`; these do not shrink."""
    return st.integers(0, 1 << 30).map(draw_product)
