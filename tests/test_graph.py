"""Components of a graph, held against a walk through it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from strataline.correlate.graph import smallest, tied

NODES = st.integers(1, 40)


def walked(nodes: int, edges: list[tuple[int, int]]) -> list[int]:
    beside: dict[int, set[int]] = {node: set() for node in range(nodes)}
    for a, b in edges:
        beside[a].add(b)
        beside[b].add(a)
    least = [-1] * nodes
    for start in range(nodes):
        left = [start]
        while left:
            node = left.pop()
            if least[node] < 0:
                least[node] = start
                left += beside[node]
    return least


@given(st.data())
def test_each_node_is_named_by_the_smallest_of_its_component(data: st.DataObject) -> None:
    nodes = data.draw(NODES)
    ends = st.integers(0, nodes - 1)
    edges = data.draw(st.lists(st.tuples(ends, ends), max_size=60))
    a, b = np.array(edges, np.int64).reshape(-1, 2).T
    assert smallest(nodes, a, b).tolist() == walked(nodes, edges)


def test_a_long_chain_in_any_order_takes_few_rounds() -> None:
    chain = np.random.default_rng(7).permutation(100_000)
    assert not smallest(len(chain), chain[:-1], chain[1:]).any()


@given(st.data())
def test_events_that_hold_a_key_together_are_of_one_component(data: st.DataObject) -> None:
    size = data.draw(NODES)
    held = data.draw(st.lists(st.tuples(st.integers(0, size - 1), st.integers(0, 12)), max_size=60))
    n, key = np.array(held, np.int64).reshape(-1, 2).T
    edges = [(one, other) for one, k in held for other, same in held if k == same]
    assert tied(size, n, key).tolist() == walked(size, edges)
