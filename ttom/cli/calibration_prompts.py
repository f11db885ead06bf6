"""The prompts of known composition that `ttom memory calibrate` asks of each other."""

from __future__ import annotations

from ttom.emojiworld.training_prompts import TrainingPrompt, training_prompts
from ttom.layout.rules.planner import plan
from ttom.memory.calibration import Example
from ttom.memory.query import Query
from ttom.presets import emojiworld

PROMPTS = 480
AMBIGUOUS = ("two_counts", 1, 1)
"""One of each of two things: the rules planner puts them side by side, which is the layout of "left of"."""


def examples(count: int = PROMPTS) -> list[Example]:
    """Captions of EmojiWorld's training scenes, each composition in many words, with the layouts of the rules."""
    return [_example(prompt) for prompt in training_prompts(count) if prompt.composition != AMBIGUOUS]


def _example(prompt: TrainingPrompt) -> Example:
    settings = emojiworld()
    layout = plan(prompt.text, aspect=settings.sampler.aspect, seed=settings.planner.seed)
    facts = prompt.scene.facts
    sides = tuple(relation.side for relation in facts.relations)
    return Example(Query(prompt.text, layout), composition(facts.directions, sides, facts.counts))


def composition(directions: tuple, sides: tuple, counts: tuple) -> tuple:
    """A composition without its nouns: directions, sides and numbers, in the order of the prompt."""
    return tuple(d for _, d in directions), sides, tuple(number for _, number in counts)
