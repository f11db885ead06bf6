"""The rules planner: a prompt about motion, relations or counts becomes a layout, with no model and no network."""

from __future__ import annotations

import math
import re
from collections import Counter

from ttom.errors import UserError
from ttom.layout.limits import MAX_NAME, MAX_OBJECTS, check_prompt
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
        UserError: empty prompt, no object, too many objects, a motion to and fro, "diagonally" without where to, a
            negated thing, motion or place, relations that contradict each other, or an aspect that is not a positive
            number.
    """
    check_prompt(prompt)
    if not (math.isfinite(aspect) and aspect > 0):
        raise UserError(
            f"aspect is {aspect}", expected="picture width / height, above 0", remedy="check the video size"
        )
    scene = parse(prompt)
    seen: Counter[str] = Counter()
    objects = []
    placed = place(scene, aspect=aspect, seed=seed)
    if sum(len(paths) for _, paths in placed) > MAX_OBJECTS or any(len(m.phrase) > MAX_NAME for m, _ in placed):
        raise UserError(
            f"the prompt asks for {sum(len(paths) for _, paths in placed)} objects, or has a phrase without an end",
            expected=f"at most {MAX_OBJECTS} objects with names of at most {MAX_NAME} characters",
            remedy="name fewer objects",
        )
    for mention, paths in placed:
        slug = re.sub(r"\W+", "-", mention.noun)
        for path in paths:
            seen[slug] += 1
            objects.append(
                LayoutObject(id=f"{slug}-{seen[slug]}", phrase=mention.phrase, noun=mention.noun, key_frames=path)
            )
    return Layout(prompt=prompt, objects=tuple(objects), source="rules", notes=scene.notes, left_out=scene.left_out)
