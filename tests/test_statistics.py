"""Statistics against scipy's own, exact enumeration and definitions."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import bootstrap

from ttom import statistics


def test_bootstrap_interval_agrees_with_scipy() -> None:
    values = np.random.default_rng(1).beta(2, 5, 80)
    low, high = statistics.bootstrap_interval(values)
    theirs = bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=3).confidence_interval
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_bootstrap_interval_is_that_of_all_resamples() -> None:
    values = np.array([0.0, 1.0, 3.0, 7.0])
    means = [np.mean(drawn) for drawn in product(values, repeat=4)]
    expected = np.percentile(means, (2.5, 97.5))
    assert statistics.bootstrap_interval(values) == pytest.approx(tuple(expected), abs=0.3)


def test_clustered_bootstrap_is_that_of_all_resampled_clusters() -> None:
    parts = [np.array(part) for part in ([0.0, 1.0], [1.0], [5.0, 9.0, 2.0], [4.0, 4.5], [3.0], [7.0, 0.5, 0.5])]
    clusters = [name for name, part in zip("abcdef", parts, strict=True) for _ in part]
    means = [np.concatenate(drawn).mean() for drawn in product(parts, repeat=6)]
    expected = np.percentile(means, (2.5, 97.5))
    assert statistics.bootstrap_interval(np.concatenate(parts), clusters) == pytest.approx(tuple(expected), abs=0.05)


def test_copies_in_a_cluster_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(2).normal(size=30)
    alone = statistics.estimate(values)
    copied = statistics.estimate(np.repeat(values, 4), np.repeat(np.arange(30), 4).tolist())
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high))
    assert copied.n == 120


def test_a_single_cluster_is_a_point() -> None:
    found = statistics.estimate([0.1, 0.4, 0.7], ["a", "a", "a"])
    assert found.low == found.high == pytest.approx(0.4)


def test_large_samples_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).normal(size=50)
    whole = statistics.bootstrap_interval(values)
    monkeypatch.setattr(statistics, "_DRAWN_AT_ONCE", 1_000)
    assert statistics.bootstrap_interval(values) == pytest.approx(whole, abs=0.02)


@pytest.mark.parametrize(("hits", "total"), [(0, 100), (100, 100), (37, 120), (1, 2)])
def test_wilson_interval_inverts_the_score_test(hits: int, total: int) -> None:
    z, seen = 1.959963984540054, hits / total

    def score(share: float) -> float:
        return abs(seen - share) - z * (share * (1 - share) / total) ** 0.5

    low = 0.0 if hits == 0 else brentq(score, 1e-9, seen - 1e-9)
    high = 1.0 if hits == total else brentq(score, seen + 1e-9, 1 - 1e-9)
    found = statistics.share(hits, total)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)
    assert found.mean == seen


def test_a_sample_of_ones_or_zeros_gets_wilsons_interval() -> None:
    assert statistics.estimate(np.ones(100)).low == pytest.approx(0.963, abs=5e-4)
    assert statistics.estimate(np.zeros(100)).high == pytest.approx(0.037, abs=5e-4)
    repeated = statistics.estimate(np.ones(100), [i // 10 for i in range(100)])  # ten prompts of ten seeds
    assert repeated.low == pytest.approx(statistics.share(10, 10).low)
    assert statistics.estimate(np.full(100, 0.5)).as_json() == {"mean": 0.5, "interval": [0.5, 0.5], "n": 100}


def test_paired_difference_is_the_interval_of_the_gains() -> None:
    rng = np.random.default_rng(5)
    b = rng.normal(size=60)
    a = b + rng.normal(0.2, 0.1, size=60)
    found = statistics.paired_difference(a, b)
    theirs = bootstrap((a - b,), np.mean, method="percentile", rng=6).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.004)
    assert found.high - found.low < 0.1  # unpaired it would be about 0.7
    assert statistics.paired_difference(a, a).as_json() == {"mean": 0.0, "interval": [0.0, 0.0], "n": 60}


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (6, 1), (4, 4), (0, 9)])
def test_mcnemar_sums_the_binomial_tail(first: int, second: int) -> None:
    a = [1] * first + [0] * second + [1, 0, 0]
    b = [0] * first + [1] * second + [1, 0, 0]
    n = first + second
    chances = [comb(n, k) / 2**n for k in range(n + 1)]
    expected = min(1.0, sum(c for c in chances if c <= chances[first] * (1 + 1e-9)))
    assert statistics.mcnemar(a, b) == pytest.approx(expected)


def test_bad_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        statistics.estimate([])
    with pytest.raises(ValueError, match="at least one value"):
        statistics.share(0, 0)
    with pytest.raises(ValueError, match="3 values cannot be paired with 2"):
        statistics.paired_difference([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="2 values, but 1 clusters"):
        statistics.estimate([1, 2], ["a"])
    with pytest.raises(ValueError, match="0 and 1"):
        statistics.mcnemar([0.5], [1])
