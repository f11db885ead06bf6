"""T2V-CompBench V2 (Sun et al., CVPR 2025): its seven categories as pure functions.

Written from a description of the official code. With ``parity`` its quirks are kept, without it they are mended; each
function says which. Judges other than the official models make these scores proxies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ttom.errors import UserError

PROMPTS = 200
"""Prompts of each category."""


@dataclass(frozen=True)
class Category:
    """A category's name in tables, its folder of videos, and the file name of its official scores after the model's."""

    name: str
    folder: str
    csv: str


CATEGORIES = {
    category.name: category
    for category in (
        Category("consistent", "consistent_attr", "consistent_attr_score"),
        Category("dynamic", "dynamic_attr", "dynamic_attr_score"),
        Category("spatial", "spatial_relationships", "spatial_score"),
        Category("motion", "motion_binding", "motion_score"),
        Category("action", "action_binding", "action_binding_score"),
        Category("interaction", "interaction", "object_interactions_score"),
        Category("numeracy", "generative_numeracy", "numeracy_video"),
    )
}


def average(means: Mapping[str, float]) -> float:
    """The plain mean of the seven categories' means, by their names in CATEGORIES.

    Raises:
        UserError: A category is missing, or is none of the seven.
    """
    if set(means) != set(CATEGORIES):
        missing, unknown = sorted(set(CATEGORIES) - set(means)), sorted(set(means) - set(CATEGORIES))
        raise UserError(
            f"the average of T2V-CompBench needs its seven categories; missing: {missing}, unknown: {unknown}",
            expected=f"one mean for each of {', '.join(CATEGORIES)}",
        )
    return sum(means.values()) / len(means)
