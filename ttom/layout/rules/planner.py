"""The rules planner: a prompt about motion, relations or counts becomes a layout, with no model and no network."""

from __future__ import annotations

import math
import re
from collections import Counter

from ttom.errors import UserError
from ttom.layout.model import Layout, LayoutObject
from ttom.layout.rules.parse import parse
from ttom.layout.rules.place import place


def plan(prompt: str, *, aspect: float, seed: int = 0) -> Layout:
    """Lay out the objects that the prompt moves, relates or counts; scenery ("in a forest") gets no box.

    Args:
        prompt: English, such as "A balloon moves from left to right above a house" or "Two dogs and three cats".
        aspect: Picture width / height, so that boxes are square in pixels.
        seed: Seed of the small displacements; the same prompt, aspect and seed give the same layout.

    Returns:
        A layout whose ``notes`` say which words of the prompt decided what; ``left_out`` names the things and words
        that it does not show.

    Raises:
        UserError: empty prompt, no object, too many objects, a motion to and fro or diagonal, a negated thing, motion
            or place, relations that contradict each other, or an aspect that is no positive number.
    """
    if not prompt.strip():
        raise UserError("the prompt is empty", expected="a sentence about one or more things", remedy='try "a cat"')
    if not (math.isfinite(aspect) and aspect > 0):
        raise UserError(
            f"aspect is {aspect}", expected="picture width / height, above 0", remedy="check the video size"
        )
    scene = parse(prompt)
    seen: Counter[str] = Counter()
    objects = []
    for mention, paths in place(scene, aspect=aspect, seed=seed):
        slug = re.sub(r"\W+", "-", mention.noun)
        for path in paths:
            seen[slug] += 1
            objects.append(
                LayoutObject(id=f"{slug}-{seen[slug]}", phrase=mention.phrase, noun=mention.noun, key_frames=path)
            )
    return Layout(prompt=prompt, objects=tuple(objects), source="rules", notes=scene.notes, left_out=scene.left_out)
