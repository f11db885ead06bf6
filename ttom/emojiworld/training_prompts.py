"""Prompts of edition 1's training split, with their facts: for filling a memory and for the probe, never for tests."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count as numbers

from ttom.emojiworld.captions import full_caption
from ttom.emojiworld.editions import FIRST
from ttom.emojiworld.facts import DIRECTIONS, RELATIONS
from ttom.emojiworld.sampling import paint, sample_scene
from ttom.emojiworld.scene import SLOTS, Scene
from ttom.emojiworld.words import UNKNOWN_WORD
from ttom.errors import UserError
from ttom.layout.model import Layout
from ttom.layout.rules.planner import plan
from ttom.memory.abstraction import abstract
from ttom.presets import emojiworld

KINDS = tuple(FIRST.kinds)
MAX_COUNT, PAIR_COUNT = 6, 4
"""Largest number of one noun, and of either noun in a scene that counts two, as in `kinds`."""


@dataclass(frozen=True)
class TrainingPrompt:
    """A caption of a training scene.

    Attributes:
        number: Its place in the sequence; also the seed of its noise.
        text: Every fact of the scene stated, as in the prompts of the held-out splits.
        key: The abstracted prompt, which is the memory's key.
        composition: Kind, and its directions, relation or numbers.
        scene: What it describes.
    """

    number: int
    text: str
    key: str
    composition: tuple
    scene: Scene


def compositions(kind: str) -> list[tuple]:
    """All compositions of a kind of edition 1, in a fixed order."""
    across = {direction: direction in ("left", "right") for direction in DIRECTIONS}
    if kind == "motion":
        return [(kind, direction) for direction in DIRECTIONS]
    if kind == "motion_beside":
        # A mover stays on one side all the way: above or below across the picture, left or right up and down it.
        return [(kind, d, r) for d in DIRECTIONS for r in RELATIONS if across[d] == (r in ("above", "below"))]
    if kind == "two_movers":
        return [(kind, a, b) for a in DIRECTIONS for b in DIRECTIONS if across[a] == across[b]]
    if kind == "relation":
        return [(kind, relation) for relation in RELATIONS]
    if kind == "count":
        return [(kind, number) for number in range(1, MAX_COUNT + 1)]
    pairs = [(a, b) for a in range(1, PAIR_COUNT + 1) for b in range(1, PAIR_COUNT + 1)]
    return [(kind, a, b) for a, b in pairs if a + b < SLOTS]


def composition_of(scene: Scene) -> tuple:
    """The composition that a scene shows."""
    facts = scene.facts
    told: list[object] = [direction for _, direction in facts.directions]
    told += [relation.side for relation in facts.relations]
    return (scene.kind, *told, *(number for _, number in facts.counts))


def training_prompts(count: int, seed: int = 0) -> list[TrainingPrompt]:
    """The first `count` prompts of a seed: kinds in turn, and within each kind its compositions in turn.

    A shorter list is the start of a longer one. Prompts that the rules planner refuses, and texts or keys that occur
    already, are drawn again.
    """
    made: list[TrainingPrompt] = []
    texts: set[str] = set()
    keys: set[str] = set()
    turns = {kind: (random.Random(f"pseudo-train {seed} {kind}"), compositions(kind)) for kind in KINDS}
    for number in range(count):
        rng, all_of_kind = turns[KINDS[number % len(KINDS)]]
        wanted = all_of_kind[number // len(KINDS) % len(all_of_kind)]
        for scene, text, layout in _drawn(rng, wanted):
            key = abstract(text, layout)
            if text not in texts and key.lower() not in keys:
                texts.add(text)
                keys.add(key.lower())  # EmojiWorld's tokenizer knows lower case only
                made.append(TrainingPrompt(number, text, key, wanted, scene))
                break
    return made


def _drawn(rng: random.Random, composition: tuple) -> Iterator[tuple[Scene, str, Layout]]:
    """Training scenes of a composition without end, with captions that read well and can be planned."""
    aspect = emojiworld().sampler.aspect
    for _ in numbers():
        scene = sample_scene(rng, "train", composition[0], FIRST)
        if composition_of(scene) != composition:
            continue
        paint(rng, scene)
        caption = full_caption(rng, scene, FIRST)
        if UNKNOWN_WORD in caption:
            continue
        text = caption[0].upper() + caption[1:]
        try:
            yield scene, text, plan(text, aspect=aspect, seed=emojiworld().planner.seed)
        except UserError:
            continue
