"""Draw scenes of a split, with their backgrounds."""

from __future__ import annotations

import colorsys
import math
import random
from dataclasses import replace

from ttom.emojiworld import colors
from ttom.emojiworld.compose import NEVER_TRAINED
from ttom.emojiworld.editions import CURRENT, SECOND, Edition
from ttom.emojiworld.facts import Facts, Split, split_of
from ttom.emojiworld.kinds import TRAINED_KINDS, Kind
from ttom.emojiworld.scene import Scene, Thing
from ttom.emojiworld.words import SCENERY

LEAST_CONTRAST = 0.17
"""Oklab distance of a tinted thing from both ends of its background: a black cat at night cannot be seen."""


def sample_scene(rng: random.Random, split: Split, kind: str | None = None, edition: Edition = CURRENT) -> Scene:
    """A scene of a kind that models are trained on, all of whose combinations belong to the split; not painted yet."""
    while True:
        chosen = kind or rng.choices(tuple(edition.kinds), edition.shares)[0]
        scene = _drawn(rng, split, chosen, edition.kinds[chosen], edition)
        if scene is not None:
            return scene


def sample_composition(rng: random.Random, split: Split, kind: str, edition: Edition = SECOND) -> Scene:
    """A scene of a kind that models of the edition never see, with combinations of the split; not painted yet.

    These are the kinds in compose.NEVER_TRAINED and, of edition 1, also those that edition 2 trains and it does not.
    """
    plain, drawn = replace(edition, color_rate=0.0, size_rate=0.0), {**TRAINED_KINDS, **NEVER_TRAINED}[kind]
    while True:
        scene = _drawn(rng, split, kind, drawn, plain)
        if scene is not None:
            return scene


def _drawn(rng: random.Random, split: Split, name: str, kind: Kind, edition: Edition) -> Scene | None:
    few = edition.number == 1 and name in edition.kinds  # what edition 1 drew from the start stays the same
    nouns = rng.sample(range(len(edition.nouns)), 2 if few else 3)
    facts = edition.decorate(rng, kind.draw(rng, nouns), kind.sized)
    if any(split_of(*combination) != split for combination in facts.combinations()):
        return None
    things = kind.place(rng, facts)
    return Scene(name, _colored(things, facts), facts) if things else None


def _colored(things: list[Thing], facts: Facts) -> list[Thing]:
    if not any(subject.color for subject in facts.subjects):
        return things
    return [replace(thing, color=facts.subjects[thing.subject].color) for thing in things]


def paint(rng: random.Random, scene: Scene) -> None:
    """Give the scene a background: a scenery's gradient, or colors that no word names; tinted things stand out."""
    for _ in range(50):
        _paint(rng, scene)
        first, second, _ = scene.background
        tints = {thing.color for thing in scene.things if thing.color is not None}
        if all(colors.contrast(tint, end) >= LEAST_CONTRAST for tint in tints for end in (first, second)):
            return


def _paint(rng: random.Random, scene: Scene) -> None:
    scene.scenery = None
    if rng.random() < 0.7:
        scene.scenery = rng.choice(list(SCENERY))
        ends = [
            (hue + rng.gauss(0, 6), saturation, min(1.0, lightness * rng.uniform(0.94, 1.05)))
            for hue, saturation, lightness in SCENERY[scene.scenery]
        ]
    else:
        hue = rng.uniform(0, 360)
        ends = [
            (hue, rng.uniform(0.1, 0.7), rng.uniform(0.3, 0.9)),
            (hue + rng.gauss(0, 40), 0.4, rng.uniform(0.4, 0.9)),
        ]
    first, second = (colorsys.hls_to_rgb(hue % 360 / 360, lightness, saturation) for hue, saturation, lightness in ends)
    angle = rng.choice((math.pi / 2, -math.pi / 2, rng.uniform(-math.pi, math.pi)))
    scene.background = (first, second, angle)
