"""Who belongs to whom, where each event has several candidates and "none of these" is one of them.

The answer is a probability for each candidate, over all ways to give every event one place or none and every place one
event at most; a single best matching would not say how sure it is. Events and places come in order of time, so that a
walk along the events needs to remember only which of the places at hand are taken: exact, and quick as long as few
places are at hand at once. Where too many are, sum-product message passing stands in (Huang and Jebara 2009; it is too
sure of itself on short loops, which is why it is not used for all).
"""

from __future__ import annotations

import itertools

import numpy as np

from strataline.correlate.graph import smallest

ROUNDS = 20

MOST_STATES = 256
"""Ways to have taken the places at hand beyond which a group is thinned, and in the end left to message passing."""

MOST_AT_HAND = 24
"""Places at hand at once beyond which the number of ways need not even be counted."""

FEW = 24
"""A connected group of so many candidates is walked whole: what looks negligible in a loop may not be."""

NEGLIGIBLE = (1e-5, 1e-4, 1e-3, 1e-2)
"""Candidates less likely than this take part in no walk; the next number holds for the groups that are too wide."""


def marginals(event: np.ndarray, place: np.ndarray, odds: np.ndarray) -> np.ndarray:
    """The probability of each candidate.

    Args:
        event: number of the event of each candidate, from 0, in order of time; candidates ascend by (event, place).
        place: number of the place that it would take, from 0, in order of time; it takes one event at most.
        odds: weight of the candidate over that of "none of these" of its event.

    Returns:
        One number for each candidate; those of one event add up to at most 1.
    """
    if not len(event):
        return np.zeros(0)
    alone = odds / (1 + np.bincount(event, odds))[event]
    chance = passed(event, place, odds)
    likely = np.maximum(alone, chance)
    kept = np.arange(len(event))
    for least, most in ((0.0, FEW), *((least, len(event)) for least in NEGLIGIBLE)):
        kept = kept[likely[kept] >= least]
        done, kept = _walks(event[kept], place[kept], odds[kept], kept, most)
        for which, found in done:
            chance[which] = found
    return chance


def passed(event: np.ndarray, place: np.ndarray, odds: np.ndarray) -> np.ndarray:
    """The same by message passing alone: exact where candidates form a tree."""
    places = int(place.max()) + 1
    sizes = np.bincount(event)
    # What a place says to an event: the chance that no other event takes it.
    free = np.ones(len(event))
    for _ in range(ROUNDS):
        asks = odds / _others(event, odds * free, sizes)
        wanted = np.bincount(place, asks, places)
        now = 1 / (1 + np.maximum(wanted[place] - asks, 0))
        settled = (np.abs(now - free) <= 1e-6 + 1e-4 * free).all()
        free = now
        if settled:
            break
    weight = odds * free
    return np.asarray(weight / (1 + np.bincount(event, weight))[event])


def _walks(
    event: np.ndarray, place: np.ndarray, odds: np.ndarray, number: np.ndarray, most: int
) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Numbers of candidates, and their marginals, of each connected group in which events want one place.

    Groups of more than `most` candidates, and those that too many ways lead through, are left: their numbers come
    beside.
    """
    if not len(event):
        return [], number
    events, places = int(event.max()) + 1, int(place.max()) + 1
    group = smallest(events + places, event, place + events)[event]
    order = np.argsort(group, kind="stable")
    group = group[order]
    event, place, odds, number = event[order], place[order], odds[order], number[order]
    starts = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]]))
    ends = np.concatenate([starts[1:], [len(group)]])
    wanted = np.bincount(place, minlength=places)
    # Where no two events want one place each event stands alone, and message passing was exact.
    crowded = np.maximum.reduceat(wanted[place], starts) > 1
    # A place is at hand from the first event that wants it to the last.
    step = np.cumsum(np.concatenate([[0], event[1:] != event[:-1]]))
    first, last = np.zeros(places, np.int64), np.zeros(places, np.int64)
    first[place[::-1]], last[place] = step[::-1], step
    begun, over = (np.bincount(one[wanted > 0], minlength=step[-1] + 2) for one in (first, last + 1))
    at_hand = np.maximum.reduceat(np.cumsum(begun - over)[step], starts)
    narrow = (ends - starts <= most) & (at_hand <= MOST_AT_HAND)
    done, left = [], crowded & ~narrow
    for one in np.flatnonzero(crowded & narrow).tolist():
        some = slice(starts[one], ends[one])
        walked = _walk(event[some], place[some], odds[some])
        left[one] = walked is None
        if walked is not None:
            done.append((number[some], walked))
    return done, np.sort(number[np.repeat(left, ends - starts)])


def _others(event: np.ndarray, weight: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Of each candidate: 1 and the weights of the others of its event; the largest is left out, not taken off."""
    total = 1 + np.bincount(event, weight)
    others = np.maximum(np.repeat(total, sizes) - weight, 1)
    most = np.maximum.reduceat(weight, np.cumsum(sizes) - sizes)
    top = np.flatnonzero(weight == np.repeat(most, sizes))
    sole = top[(np.bincount(event[top]) == 1)[event[top]]]
    without = weight.copy()
    without[sole] = 0
    others[sole] = (1 + np.bincount(event, without))[event[sole]]
    return np.asarray(others)


def _walk(event: np.ndarray, place: np.ndarray, odds: np.ndarray) -> np.ndarray | None:
    """Exact marginals of one connected group; None if too many ways lead through it."""
    starts = np.flatnonzero(np.concatenate([[True], event[1:] != event[:-1]])).tolist()
    bits = {number: 1 << position for position, number in enumerate(dict.fromkeys(place.tolist()))}
    every = [(bits[number], weight) for number, weight in zip(place.tolist(), odds.tolist(), strict=True)]
    steps = [every[first:last] for first, last in itertools.pairwise([*starts, len(every)])]
    # A place that no later event can take need not be remembered.
    keep, later = [], 0
    for choices in reversed(steps):
        keep.append(later)
        for one, _ in choices:
            later |= one
    keep.reverse()
    forward: list[dict[int, float]] = [{0: 1.0}]
    for mask, choices in zip(keep, steps, strict=True):
        after: dict[int, float] = {}
        for taken, mass in forward[-1].items():
            after[taken & mask] = after.get(taken & mask, 0.0) + mass
            for one, weight in choices:
                if not taken & one:
                    state = (taken | one) & mask
                    after[state] = after.get(state, 0.0) + mass * weight
        total = sum(after.values())
        if len(after) > MOST_STATES:
            return None
        forward.append({state: mass / total for state, mass in after.items()})
    chances = []
    backward: dict[int, float] = dict.fromkeys(forward[-1], 1.0)
    for step in range(len(steps) - 1, -1, -1):
        mask, choices, here = keep[step], steps[step], {}
        found = [0.0] * len(choices)
        whole = 0.0
        for taken, mass in forward[step].items():
            value = backward[taken & mask]
            for number, (one, weight) in enumerate(choices):
                if not taken & one:
                    through = weight * backward[(taken | one) & mask]
                    found[number] += mass * through
                    value += through
            here[taken] = value
            whole += mass * value
        largest = max(here.values())
        backward = {state: value / largest for state, value in here.items()}
        chances.append([mass / whole for mass in found])
    return np.array(list(itertools.chain.from_iterable(reversed(chances))))
