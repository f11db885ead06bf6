"""The held-out prompts that EmojiWorld is tuned and tested on, with the facts that a video of them must show."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ttom.emojiworld.captions import full_caption
from ttom.emojiworld.compose import NEVER_TRAINED
from ttom.emojiworld.editions import FIRST, SECOND, Edition
from ttom.emojiworld.facts import Direction, Facts, Side, Split
from ttom.emojiworld.layouts import scene_layout
from ttom.emojiworld.sampling import paint, sample_composition, sample_scene
from ttom.emojiworld.scene import Scene
from ttom.emojiworld.words import UNKNOWN_WORD
from ttom.layout.model import Layout

Suite = Literal["motion", "relation", "count"]
SUITES: dict[Suite, tuple[str, ...]] = {
    "motion": ("motion", "motion", "motion_beside", "two_movers"),
    "relation": ("relation",),
    "count": ("count", "two_counts"),
}


@dataclass(frozen=True)
class Prompt:
    """A caption of a held-out scene of edition 1.

    Attributes:
        id: "motion-000" ...; the same id is the same prompt forever.
        suite: Which of the three families.
        text: The caption, every fact stated.
        nouns: Indices of the nouns that must be seen.
        directions: Pairs of noun index and direction.
        relation: First noun, second noun and the side of the second that the first is on, or None.
        counts: Pairs of noun index and number.
        seed: Of the video's noise; 100 seeds apart from suite to suite.
    """

    id: str
    suite: Suite
    text: str
    nouns: tuple[int, ...]
    directions: tuple[tuple[int, Direction], ...]
    relation: tuple[int, int, Side] | None
    counts: tuple[tuple[int, int], ...]
    seed: int = 0


def prompts(split: Split, per_suite: int, suites: Sequence[Suite] = tuple(SUITES)) -> list[Prompt]:
    """The first prompts of each suite of a split ("test" to report on, "tune" to choose settings by), no text twice.

    Captions with the stand-in for unknown words are left out: they read badly and say nothing more.
    """
    chosen = []
    for suite in suites:
        rng = random.Random(f"{split} {suite}")
        seen: set[str] = set()
        while len(seen) < per_suite:
            kind = SUITES[suite][len(seen) % len(SUITES[suite])]
            scene = sample_scene(rng, split, kind, FIRST)
            paint(rng, scene)
            text = _sentence(full_caption(rng, scene, FIRST))
            if text not in seen and UNKNOWN_WORD not in text:
                chosen.append(_prompt(suite, len(seen), scene, text))
                seen.add(text)
    return chosen


def _prompt(suite: Suite, number: int, scene: Scene, text: str) -> Prompt:
    facts = scene.facts
    return Prompt(
        id=f"{suite}-{number:03d}",
        suite=suite,
        text=text,
        nouns=tuple(sorted({thing.noun for thing in scene.things})),
        directions=facts.directions,
        relation=facts.relation,
        counts=facts.counts,
        seed=100 * tuple(SUITES).index(suite) + number,
    )


@dataclass(frozen=True)
class ScenePrompt:
    """A caption of a held-out scene, of any kind.

    Attributes:
        id: "color_binding-000" ..., with the split in front unless it is "test", and before it "e1" in edition 1.
        kind: A kind that is trained with other combinations, or one that is never trained.
        text: The caption, every fact stated.
        seed: Of the video's noise; it depends on kind and number alone, with room for several tries.
        scene: What it describes.
    """

    id: str
    kind: str
    text: str
    seed: int
    scene: Scene

    @property
    def facts(self) -> Facts:
        """What a video of it must show."""
        return self.scene.facts

    @property
    def layout(self) -> Layout:
        """Where the things of the scene are."""
        return scene_layout(self.scene, self.text)


ALL_KINDS: tuple[str, ...] = (*SECOND.kinds, *NEVER_TRAINED)
CONTROLS = ("two_movers", "relation", "group", "turn")
"""Kinds that edition 2 trains with other combinations, beside which the never trained ones are measured."""
COMPOSE_KINDS: tuple[str, ...] = (*NEVER_TRAINED, *CONTROLS)
"""Kinds of EmojiWorld-Compose."""
SEEDS = 16
"""Between the seeds of two prompts: the tries of a prompt share no noise with the next one."""
PATIENCE = 500
"""Scenes of a kind that are passed over because a prompt has their facts already."""


def can_say(edition: Edition, kind: str) -> bool:
    """Whether the edition has the words that captions of the kind are made of ("zigzag" itself is in none)."""
    words = edition.words
    needed = {"color_binding": edition.color_rate, "turn": words.back, "passage": words.enters}
    return bool(needed.get(kind, True))


def scene_prompts(
    split: Split, per_kind: int, kinds: Sequence[str] = tuple(NEVER_TRAINED), edition: Edition = SECOND
) -> list[ScenePrompt]:
    """The first prompts of each kind of a split, no text twice; by default of the kinds that are never trained.

    No facts twice either, as long as others are found soon: a small kind has only some dozens of held-out ones.

    Raises:
        ValueError: The edition lacks the words of a kind, see `can_say`.
    """
    for kind in kinds:
        if not can_say(edition, kind):
            raise ValueError(f"edition {edition.number} has no words for {kind!r}")
    return [prompt for kind in kinds for prompt in _of_kind(edition, split, kind, per_kind)]


def _of_kind(edition: Edition, split: Split, kind: str, count: int) -> list[ScenePrompt]:
    rng = random.Random(f"edition {edition.number} {split} {kind}")
    sample = sample_scene if kind in edition.kinds else sample_composition
    chosen: list[ScenePrompt] = []
    texts: set[str] = set()
    facts: set[Facts] = set()
    patience = PATIENCE
    while len(chosen) < count:
        scene = sample(rng, split, kind, edition)
        if patience and scene.facts in facts:
            patience -= 1
            continue
        paint(rng, scene)
        text = _sentence(full_caption(rng, scene, edition))
        if text not in texts and UNKNOWN_WORD not in text:
            chosen.append(_scene_prompt(edition, split, len(chosen), scene, text))
            texts.add(text)
            facts.add(scene.facts)
    return chosen


def _scene_prompt(edition: Edition, split: Split, number: int, scene: Scene, text: str) -> ScenePrompt:
    name = f"{scene.kind}-{number:03d}"
    name = name if split == "test" else f"{split}-{name}"
    seed = SEEDS * (1000 * ALL_KINDS.index(scene.kind) + number)
    return ScenePrompt(name if edition is SECOND else f"e{edition.number}-{name}", scene.kind, text, seed, scene)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
