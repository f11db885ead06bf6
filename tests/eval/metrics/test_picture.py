"""The Frechet distance of a run's pictures: against scipy's matrix root, and its influences against derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch.nn.functional import avg_pool2d, interpolate

from eval.metrics.arrays import encode
from eval.metrics.picture import distance, influences
from eval.metrics.registry import Excluded, Subject, metrics_for
from eval.types import Case, ManifestRow
from ttom.emojiworld.detector import load_detector
from ttom.emojiworld.editions import CURRENT
from ttom.emojiworld.prompts import scene_prompts
from ttom.emojiworld.quality import FRAMES, PictureStatistics
from ttom.emojiworld.render import Renderer, frame_times, pack

RNG = np.random.default_rng(0)


def moments(points: np.ndarray) -> np.ndarray:
    """Means and upper triangle of the second moments of ``(n, D)``."""
    second = points.T @ points / len(points)
    return np.concatenate([points.mean(0), second[np.triu_indices(points.shape[1])]])


VIDEOS = [RNG.normal(RNG.normal(0, 0.4, 5), RNG.uniform(0.5, 1.5, 5), (200, 5)) for _ in range(6)]


def test_the_mean_of_the_cases_is_the_distance_of_all_videos_together() -> None:
    together = np.concatenate(VIDEOS)
    mean, covariance = together.mean(0), np.cov(together.T, bias=True)
    expected = mean @ mean + np.trace(covariance + np.eye(5) - 2 * sqrtm(covariance).real)
    assert distance(mean, covariance) == pytest.approx(expected)
    assert np.mean(influences([moments(video) for video in VIDEOS])) == pytest.approx(expected)


def test_influences_are_derivatives_by_a_cases_weight() -> None:
    rows = [moments(video) for video in VIDEOS]
    scores = influences(rows)
    for i, video in enumerate(VIDEOS):
        more = 1e-4  # of the weight of one video, as more of its points
        weights = np.full(6, (1 - more) / 6)
        weights[i] += more
        table = np.average(rows, axis=0, weights=weights)
        second = np.zeros((5, 5))
        second[np.triu_indices(5)] = table[5:]
        second = second + second.T - np.diag(second.diagonal())
        moved = distance(table[:5], second - np.outer(table[:5], table[:5]))
        slope = (moved - np.mean(scores)) / more
        assert scores[i] - np.mean(scores) == pytest.approx(slope, abs=2e-3), video.mean(0)


def test_true_pictures_are_near_and_blurred_ones_far() -> None:
    detector = load_detector()
    statistics = PictureStatistics(detector)
    scenes = [prompt.scene for prompt in scene_prompts("test", 6, ("relation", "three_movers", "zigzag"), CURRENT)]
    frames = Renderer()(pack(scenes), frame_times(FRAMES))[0].transpose(1, 2)
    blurred = [interpolate(avg_pool2d(video, 2), scale_factor=2.0, mode="bilinear") for video in frames]
    gray = [video.mean(1, keepdim=True).expand_as(video) for video in frames]
    true, blur, colorless = (
        float(np.mean(influences([statistics.moments(video) for video in videos])))
        for videos in (frames, blurred, gray)
    )
    assert 0 < true < 6 and blur > true + 1 and colorless > true + 1
    assert statistics.moments(torch.zeros(1, 3, 64, 96)).dtype == np.float32


def test_a_case_asks_for_moments_and_excludes_what_is_none() -> None:
    case = Case(id="1", suite="emojiworld-compose", category="x", prompt="p", seed=0, video="x/1.mp4")
    subject = Subject(ManifestRow(identity="i", case=case, status="made"))
    (metric,) = metrics_for(subject)
    assert metric.name == "picture_distance" and metric.questions(subject)[0].kind == "picture"
    row = moments(VIDEOS[0]).astype(np.float32)
    assert np.array_equal(metric.score(subject, lambda question: encode(row)), row)
    wrong: list[Any] = [3, encode(row[None]), encode(row.astype(np.float16)), encode(row * np.float32("nan"))]
    for answer in wrong:
        with pytest.raises(Excluded, match="moments"):
            metric.score(subject, lambda question, answer=answer: answer)
    with pytest.raises(ValueError, match="moments of 7 numbers"):
        influences([np.zeros(7)])
