"""Picture quality on EmojiWorld: the Frechet distance between the pictures of a run and true ones.

With features x that have mean 0 and covariance 1 in true frames (see `ttom/emojiworld/quality.py`), it is
``|m|^2 + tr(C + 1 - 2 C^(1/2))`` for the mean m and the covariance C of x over all videos of the run; 0 if they are as
in true frames. It belongs to the set of videos, not to any one of them. A case's score is the distance plus the case's
influence on it (the derivative by the case's weight): their mean over the run is the distance itself, and their spread
is what the bootstrap needs, so the report's intervals and paired differences hold. Each case has a noise seed of its
own, so the interval contains the noise between seeds; a run with `--samples 2` shows it by itself. The mean over a
category is that category's share in the run's distance. Few videos make the distance too large: compare runs of the
same cases alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eval.metrics.arrays import decode
from eval.metrics.registry import Ask, Excluded, Metric, Subject, register
from eval.types import Question
from ttom.emojiworld.quality import FRAMES


def distance(mean: np.ndarray, covariance: np.ndarray) -> float:
    """Squared Frechet distance of a normal distribution ``(D,)``, ``(D, D)`` from the standard one."""
    roots = np.sqrt(np.linalg.eigvalsh(covariance).clip(0))
    return float(mean @ mean + ((roots - 1) ** 2).sum())


def influences(moments: Sequence[np.ndarray]) -> list[float]:
    """For each video the distance of all of them plus its influence on it.

    Args:
        moments: Of each video, means and upper triangle of the second moments, ``(D + D (D + 1) / 2,)``.

    Raises:
        ValueError: They are of different or impossible lengths.
    """
    table = np.stack([np.asarray(row, np.float64) for row in moments])
    size = int((np.sqrt(9 + 8 * table.shape[1]) - 3) / 2)
    if size * (size + 3) // 2 != table.shape[1]:
        raise ValueError(f"moments of {table.shape[1]} numbers")
    means, second = table[:, :size], np.zeros((len(table), size, size))
    rows, columns = np.triu_indices(size)
    second[:, rows, columns] = second[:, columns, rows] = table[:, size:]
    mean = means.mean(0)
    covariance = second.mean(0) - np.outer(mean, mean)
    values, axes = np.linalg.eigh(covariance)
    slope = np.eye(size) - (axes / np.sqrt(values.clip(1e-9))) @ axes.T  # of the distance by the covariance
    away = means - mean
    change = second - second.mean(0) - mean[:, None] * away[:, None, :] - away[:, :, None] * mean
    total = distance(mean, covariance)
    return (total + 2 * away @ mean + np.einsum("ij,nij->n", slope, change)).tolist()


def _questions(subject: Subject) -> list[Question]:
    return [Question(kind="picture", options={"frames": FRAMES})]


def _moments(subject: Subject, ask: Ask) -> np.ndarray:
    try:
        found = decode(ask(_questions(subject)[0]))
    except ValueError as error:
        raise Excluded("a judge's moments cannot be read") from error
    if found.ndim != 1 or found.dtype != np.float32 or not np.isfinite(found).all():
        raise Excluded("a judge's moments cannot be read")
    return found


def _is_of_the_world(subject: Subject) -> bool:
    return subject.case.suite.startswith("emojiworld")


register(Metric("picture_distance", _is_of_the_world, _questions, _moments, over_run=influences))
