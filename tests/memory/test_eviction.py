"""Eviction by aged counts of uses, on streams of prompts whose compositions follow a Zipf distribution.

Share of hits of 3,000 prompts over 300 compositions (exponent 1, mean of three seeds), with 10, 30 and 100 entries:

    |                  | aged counts    | plain counts   | least recent   | the optimum    |
    | one distribution | .41, .58, .77  | .42, .60, .77  | .28, .50, .74  | .52, .69, .85  |
    | another halfway  | .35, .54, .74  | .24, .43, .69  | .28, .50, .74  | .51, .69, .85  |
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.memory.memories import put
from ttom.memory.maintenance import prune
from ttom.memory.rows import worth
from ttom.memory.store import Store

Score = Callable[[int, int], object]


def stream(seed: int, *, changes: bool, length: int = 3000, kinds: int = 300) -> list[int]:
    dice = np.random.default_rng(seed)
    weights = 1 / np.arange(1, kinds + 1)
    found = dice.choice(kinds, length, p=weights / weights.sum())
    other = dice.permutation(kinds)
    if changes:
        found[length // 2 :] = other[found[length // 2 :]]
    return found.tolist()


def hits(prompts: list[int], capacity: int, score: Score) -> float:
    """Share of hits if the entry of the least score (uses, age) is evicted, but never the one just inserted."""
    held: dict[int, tuple[int, int]] = {}
    count = 0
    for turn, prompt in enumerate(prompts):
        count += prompt in held
        held[prompt] = (held[prompt][0] + 1, turn) if prompt in held else (0, turn)
        if len(held) > capacity:
            others = (other for other in held if other != prompt)
            held.pop(min(others, key=lambda other: (score(held[other][0], turn - held[other][1]), held[other][1])))
    return count / len(prompts)


def optimum(prompts: list[int], capacity: int) -> float:
    """Belady's: evict what is asked for last."""
    following, later = [0] * len(prompts), dict[int, int]()
    for turn in reversed(range(len(prompts))):
        following[turn] = later.get(prompts[turn], len(prompts))
        later[prompts[turn]] = turn
    held: dict[int, int] = {}
    count = 0
    for turn, prompt in enumerate(prompts):
        count += prompt in held
        if prompt not in held and len(held) >= capacity:
            held.pop(max(held, key=held.__getitem__))
        held[prompt] = following[turn]
    return count / len(prompts)


@pytest.mark.parametrize("capacity", [10, 30])
@pytest.mark.parametrize("changes", [False, True])
def test_aged_counts_lose_little_where_plain_ones_are_good_and_win_where_they_are_not(
    capacity: int, changes: bool
) -> None:
    prompts = stream(0, changes=changes)
    aged = hits(prompts, capacity, worth)
    counts = hits(prompts, capacity, lambda uses, age: uses)
    recent = hits(prompts, capacity, lambda uses, age: -age)
    assert recent + 0.02 < aged < optimum(prompts, capacity)
    assert aged > counts + 0.05 if changes else aged > counts - 0.03


def test_a_newcomer_is_not_evicted_at_the_next_insertion(store: Store) -> None:
    popular = [put(store, i) for i in range(5)]
    store.used(popular)
    for i in range(20):
        newcomer = put(store, 10 + i)
        prune(store, max_items=5, keep=[newcomer])
        second = put(store, 100 + i)
        prune(store, max_items=5, keep=[second])
        if newcomer in store.ids():
            return
    raise AssertionError("every newcomer was evicted at once")


def test_what_is_used_often_stays_beside_many_newcomers(store: Store) -> None:
    often = put(store, 1)
    for i in range(30):
        store.used([often])
        newcomer = put(store, 10 + i)
        prune(store, max_items=4, keep=[newcomer])
    assert often in store.ids() and len(store) == 4
