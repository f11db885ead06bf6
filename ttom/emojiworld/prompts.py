"""The held-out prompts that EmojiWorld is tuned and tested on, with the facts that a video of them must show."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ttom.emojiworld.captions import UNKNOWN_WORD, full_caption, paint
from ttom.emojiworld.world import Kind, Split, sample_scene

Suite = Literal["motion", "relation", "count"]
SUITES: dict[Suite, tuple[Kind, ...]] = {
    "motion": ("motion", "motion", "motion_beside", "two_movers"),
    "relation": ("relation",),
    "count": ("count", "two_counts"),
}


@dataclass(frozen=True)
class Prompt:
    """A caption of a held-out scene.

    Attributes:
        id: "motion-000" ...; the same id is the same prompt forever.
        suite: Which of the three families.
        text: The caption, every fact told.
        nouns: Indices of the nouns that must be seen.
        directions: Pairs of noun index and direction.
        relation: First noun, second noun and how the first lies to the second, or None.
        counts: Pairs of noun index and number.
        seed: Of the video's noise; 100 seeds apart from suite to suite.
    """

    id: str
    suite: Suite
    text: str
    nouns: tuple[int, ...]
    directions: tuple[tuple[int, str], ...]
    relation: tuple[int, int, str] | None
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
            made = _prompt(rng, split, suite, kind, len(seen))
            if made.text not in seen and UNKNOWN_WORD not in made.text:
                seen.add(made.text)
                chosen.append(made)
    return chosen


def _prompt(rng: random.Random, split: Split, suite: Suite, kind: Kind, number: int) -> Prompt:
    scene = sample_scene(rng, split, kind)
    paint(rng, scene)
    text = full_caption(rng, scene)
    facts, nouns = scene.facts, scene.facts["nouns"]
    moves = facts.get("directions") or ((facts["direction"],) if "direction" in facts else ())
    return Prompt(
        id=f"{suite}-{number:03d}",
        suite=suite,
        text=text[0].upper() + text[1:],
        nouns=tuple(sorted({thing.noun for thing in scene.things})),
        directions=tuple(zip(nouns, moves, strict=False)),
        relation=(*nouns, facts["relation"]) if "relation" in facts else None,
        counts=tuple(facts.get("counts", ())),
        seed=100 * tuple(SUITES).index(suite) + number,
    )
