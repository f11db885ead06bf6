"""Statistics that several of the outer packages report."""

from __future__ import annotations

import numpy as np


def interval(values: np.ndarray, draws: int = 10_000) -> list[float]:
    """95% percentile bootstrap interval of the mean of ``(n,)`` values, rounded to 4 digits; always the same draws."""
    index = np.random.default_rng(0).integers(len(values), size=(draws, len(values)))
    return [round(float(q), 4) for q in np.percentile(values[index].mean(1), (2.5, 97.5))]
