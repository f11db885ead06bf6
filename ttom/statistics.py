"""The statistics that probes, experiments and the evaluation harness report: one definition of each.

Means get percentile bootstrap intervals, resampled by cluster (a prompt with its seeds) where values share one. The
bootstrap of a sample that is all zeros or all ones is a point, which says nothing about the next video, so those get a
Wilson interval. All intervals cover 95%. Draws are fixed, so equal inputs give equal intervals.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest

LEVEL = 0.95
DRAWS = 10_000
_DRAWN_AT_ONCE = 4_000_000
"""Indices held in RAM at a time, so that 10,000 values do not take a gigabyte."""


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval.

    Attributes:
        n: Number of values, of pairs for a difference.
    """

    mean: float
    low: float
    high: float
    n: int

    def as_json(self) -> dict[str, Any]:
        """``{"mean": ..., "interval": [low, high], "n": ...}``, rounded to 4 digits."""
        return {
            "mean": round(self.mean, 4),
            "interval": [round(self.low, 4), round(self.high, 4)],
            "n": self.n,
        }

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def estimate(values: ArrayLike, clusters: Sequence[Hashable] | None = None) -> Estimate:
    """The mean of ``(n,)`` values with its bootstrap interval; Wilson's if all values are 0 or all are 1.

    Otherwise a single cluster gives a point, as in `bootstrap_interval`.

    Args:
        clusters: The cluster of each value, such as its prompt; None if the values are independent.

    Raises:
        ValueError: There are no values, or not as many clusters as values.
    """
    sample = _sample(values)
    mean = float(sample.mean())
    if np.all(sample == 0) or np.all(sample == 1):
        # Repeats within a cluster are not independent evidence.
        independent = len(sample) if clusters is None else len(set(clusters))
        low, high = wilson_interval(independent if mean else 0, independent)
    else:
        low, high = bootstrap_interval(sample, clusters)
    return Estimate(mean, low, high, len(sample))


def share(hits: int, total: int) -> Estimate:
    """The share ``hits / total`` with its Wilson interval. Raises ValueError unless 0 <= hits <= total > 0."""
    return Estimate(hits / total, *wilson_interval(hits, total), total) if total else _no_values()


def paired_difference(a: ArrayLike, b: ArrayLike, clusters: Sequence[Hashable] | None = None) -> Estimate:
    """The mean of ``a - b`` over pairs ``(n,)`` (the same prompt and seed), with its bootstrap interval.

    Args:
        clusters: The cluster of each pair, such as its prompt; None if the pairs are independent.

    Raises:
        ValueError: There are no pairs, or the numbers of values differ.
    """
    first, second = _sample(a), _sample(b)
    if first.shape != second.shape:
        raise ValueError(f"{len(first)} values cannot be paired with {len(second)}")
    gains = first - second
    return Estimate(float(gains.mean()), *bootstrap_interval(gains, clusters), len(gains))


def bootstrap_interval(
    values: ArrayLike, clusters: Sequence[Hashable] | None = None, draws: int = DRAWS
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of ``(n,)`` values; whole clusters are drawn where there are any.

    A single cluster, like a single value, is drawn every time: the result is a point, which says nothing about other
    clusters. Do not show it as an interval.
    """
    sample = _sample(values)
    if clusters is None:
        sums, counts = sample, np.ones(len(sample))
    else:
        if len(clusters) != len(sample):
            raise ValueError(f"{len(sample)} values, but {len(clusters)} clusters")
        numbers: dict[Hashable, int] = {}
        index = np.array([numbers.setdefault(cluster, len(numbers)) for cluster in clusters])
        sums, counts = np.bincount(index, sample), np.bincount(index).astype(float)
    rng = np.random.default_rng(0)
    rows = max(1, _DRAWN_AT_ONCE // len(sums))
    means = []
    for start in range(0, draws, rows):
        drawn = rng.integers(len(sums), size=(min(rows, draws - start), len(sums)))
        means.append(sums[drawn].sum(1) / counts[drawn].sum(1))
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(np.concatenate(means), (tail, 100 - tail))
    return float(low), float(high)


def wilson_interval(hits: int, total: int) -> tuple[float, float]:
    """Wilson's score interval of a share. Raises ValueError unless 0 <= hits <= total and total > 0."""
    found = binomtest(hits, total).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)


def mcnemar(a: ArrayLike, b: ArrayLike) -> float:
    """Two-sided p-value of the exact McNemar test of paired yes/no values ``(n,)``: 1 where all pairs agree.

    Raises:
        ValueError: Values other than 0 and 1, or numbers of values that differ.
    """
    first, second = _sample(a), _sample(b)
    if first.shape != second.shape or not np.isin(np.concatenate([first, second]), (0, 1)).all():
        raise ValueError("McNemar's test takes equally many values of 0 and 1")
    only_first, only_second = int((first > second).sum()), int((first < second).sum())
    differ = only_first + only_second
    return float(binomtest(only_first, differ, 0.5).pvalue) if differ else 1.0


def _sample(values: ArrayLike) -> np.ndarray:
    sample = np.asarray(values, dtype=float)
    if sample.ndim != 1 or not len(sample):
        _no_values()
    return sample


def _no_values() -> Any:
    raise ValueError("statistics need at least one value")
