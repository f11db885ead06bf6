"""EmojiWorld's prompts for the probe: python -m probes.emojiworld_prompts > probes/prompts/emojiworld.txt

Captions of scenes of the *training* split in which something moves; no combination of the test or tuning split.
"""

from __future__ import annotations

from itertools import islice

from experiments.emojiworld.pseudo_train import training_prompts

COUNT = 200
MOVING = ("motion", "motion_beside", "two_movers")
SEED = 5
"""Other than pseudo-training's 0, whose prompts fill the memory."""


def prompts() -> list[str]:
    """The prompts, in the file's order."""
    # Kinds come in turn and half of them move, so twice the number is enough but for the few that are left out.
    moving = (prompt.text for prompt in training_prompts(3 * COUNT, SEED) if prompt.composition[0] in MOVING)
    return list(islice(moving, COUNT))


if __name__ == "__main__":
    print("# Captions of moving scenes of EmojiWorld's training split; made by python -m probes.emojiworld_prompts")
    print("\n".join(prompts()))
