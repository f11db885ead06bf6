"""VBench (Huang et al., CVPR 2024): from the scores of its 16 dimensions to Quality, Semantic and Total.

Each dimension's score is scaled to (x - min) / (max - min), unclipped; Quality and Semantic are weighted means, and
Total is (4 Quality + Semantic) / 5. Ranges, weights and numbers of prompts are those of the official code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ttom.errors import UserError


@dataclass(frozen=True)
class Dimension:
    """Where a dimension belongs, its number of prompts, and how its score is scaled and weighted."""

    group: Literal["quality", "semantic"]
    prompts: int
    low: float = 0.0
    high: float = 1.0
    weight: float = 1.0


DIMENSIONS = {
    "subject_consistency": Dimension("quality", 72, 0.1462),
    "background_consistency": Dimension("quality", 86, 0.2615),
    "temporal_flickering": Dimension("quality", 75, 0.6293),
    "motion_smoothness": Dimension("quality", 72, 0.706, 0.9975),
    "dynamic_degree": Dimension("quality", 72, weight=0.5),
    "aesthetic_quality": Dimension("quality", 93),
    "imaging_quality": Dimension("quality", 93),
    "object_class": Dimension("semantic", 79),
    "multiple_objects": Dimension("semantic", 82),
    "human_action": Dimension("semantic", 100),
    "color": Dimension("semantic", 85),
    "spatial_relationship": Dimension("semantic", 84),
    "scene": Dimension("semantic", 86, 0.0, 0.8222),
    "appearance_style": Dimension("semantic", 90, 0.0009, 0.2855),
    "temporal_style": Dimension("semantic", 100, 0.0, 0.364),
    "overall_consistency": Dimension("semantic", 93, 0.0, 0.364),
}
SAMPLES = 5
"""Videos per prompt."""


@dataclass(frozen=True)
class Total:
    """VBench's three summary scores."""

    quality: float
    semantic: float
    total: float


def aggregate(scores: Mapping[str, float]) -> Total:
    """Quality, Semantic and Total of the 16 dimensions' scores.

    The official code counts a dimension that is missing as 0.

    Raises:
        UserError: A dimension is missing, unknown, or not a finite number.
    """
    missing, unknown = sorted(set(DIMENSIONS) - set(scores)), sorted(set(scores) - set(DIMENSIONS))
    broken = sorted(name for name, score in scores.items() if not math.isfinite(score))
    if missing or unknown or broken:
        raise UserError(
            f"VBench's total needs all {len(DIMENSIONS)} dimensions; "
            f"missing: {missing}, unknown: {unknown}, not a number: {broken}",
            expected="one finite score per dimension",
            remedy="evaluate the dimensions that are missing",
        )
    quality, semantic = (_weighted(scores, group) for group in ("quality", "semantic"))
    return Total(quality, semantic, (4 * quality + semantic) / 5)


def scale(name: str, score: float) -> float:
    """The score in the dimension's range; outside of 0..1 where the score is outside of the range."""
    dimension = DIMENSIONS[name]
    return (score - dimension.low) / (dimension.high - dimension.low)


def _weighted(scores: Mapping[str, float], group: str) -> float:
    weights = {name: dimension.weight for name, dimension in DIMENSIONS.items() if dimension.group == group}
    return sum(weight * scale(name, scores[name]) for name, weight in weights.items()) / sum(weights.values())
