"""EmojiWorld's prompts for the probe: python -m probes.emojiworld_prompts > probes/prompts/emojiworld.jsonl

Captions of scenes of the *training* split in which something moves, so no combination of the test or tuning split.
"""

from __future__ import annotations

import json
from itertools import islice

from ttom.emojiworld.training_prompts import training_prompts

COUNT = 200
MOVING = ("motion", "motion_beside", "two_movers")
SEED = 5
"""Differs from pseudo-training's 0, whose prompts fill the memory."""


def prompts() -> list[str]:
    """The prompts, in the file's order."""
    # Kinds come in turn and half of them move, so 3 x COUNT leaves enough after those that are dropped.
    moving = (prompt.text for prompt in training_prompts(3 * COUNT, SEED) if prompt.composition[0] in MOVING)
    return list(islice(moving, COUNT))


if __name__ == "__main__":
    for seed, text in enumerate(prompts()):
        print(json.dumps({"prompt": text, "seed": seed}))
