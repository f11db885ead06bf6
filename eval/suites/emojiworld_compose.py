"""EmojiWorld-Compose: scenes that must be composed of what was learned apart, on which methods differ.

Its categories are the kinds of scenes that no model is trained on (`ttom/emojiworld/compose.py`) and, as controls, four
trained kinds in held-out combinations. Layouts are the scenes' own. The prompts are those of the edition of the world
that the embedded checkpoints know; a kind that it has no words for is left out. Several samples of a prompt have seeds
of their own, with room for the tries of each.
"""

from __future__ import annotations

from eval.suites import Dropped, Options, Suite, suite
from eval.types import Case
from ttom.emojiworld import editions
from ttom.emojiworld.editions import SECOND, Edition
from ttom.emojiworld.facts import Split
from ttom.emojiworld.prompts import COMPOSE_KINDS, SEEDS, ScenePrompt, can_say, scene_prompts
from ttom.errors import UserError

NAME = "emojiworld-compose"
PER_CATEGORY = 40
"""Prompts of each kind, unless a limit asks for more: the world has any number of them."""
SAMPLES = 4
"""Most samples of a prompt."""
_REVISION = 1
"""Changes when the prompts of an id change."""


@suite(NAME)
def test_prompts(options: Options) -> Suite:
    """Prompts of the test split: to report on."""
    return build("test", options, editions.CURRENT)


@suite(f"{NAME}-tune")
def tuning_prompts(options: Options) -> Suite:
    """Prompts of the tuning split: to choose settings by, never to report on."""
    return build("tune", options, editions.CURRENT)


def build(split: Split, options: Options, edition: Edition) -> Suite:
    """The suite of a split in the words of an edition."""
    name = NAME if split == "test" else f"{NAME}-{split}"
    count = max(options.limit or 0, PER_CATEGORY)
    kinds = [kind for kind in COMPOSE_KINDS if can_say(edition, kind)]
    others = [kind for kind in COMPOSE_KINDS if kind not in kinds]
    return Suite(
        name,
        f"e{edition.number}-{split}-{_REVISION}",
        tuple(
            _case(name, prompt, sample)
            for prompt in scene_prompts(split, count, kinds, edition)
            for sample in range(_samples(options))
        ),
        source="ttom.emojiworld.prompts",
        dropped=tuple(
            Dropped(prompt.kind, prompt.text, f"edition {edition.number} of the world has no words for it")
            for prompt in scene_prompts(split, count, others, SECOND)
        ),
    )


def _samples(options: Options) -> int:
    """Videos of a prompt. Raises UserError for more than the seeds between two prompts allow."""
    samples = options.samples or 1
    if samples > SAMPLES:
        raise UserError(f"`samples` is {samples}", expected=f"at most {SAMPLES} videos of a prompt")
    return samples


def _case(suite_name: str, prompt: ScenePrompt, sample: int) -> Case:
    case_id = f"{prompt.id}-{sample}" if sample else prompt.id
    return Case(
        id=case_id,
        suite=suite_name,
        category=prompt.kind,
        prompt=prompt.text,
        seed=prompt.seed + sample * (SEEDS // SAMPLES),
        video=f"{prompt.kind}/{case_id}.mp4",
        facts=prompt.facts.as_json(),
        layout=prompt.layout,
    )
