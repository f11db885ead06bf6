"""What a scene's caption tells of each noun, as labels of the noun's tokens.

"A cat to the left of a dog" and "a dog to the left of a cat" hold the same words. Left to the video loss alone, the
text encoder told the axis of a relation but not which noun stands on which side (see experiments/LOG.md); a linear
read-out of these labels from its output, trained beside, teaches it.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from ttom.emojiworld.nouns import NOUNS
from ttom.emojiworld.world import DIRECTIONS, MAX_COUNT, RELATIONS, Scene

CLASSES = (1 + len(DIRECTIONS), 1 + len(RELATIONS), 1 + MAX_COUNT)
"""Direction of motion (0: none), side of the other noun (0: none), how many there are."""
OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}


def noun_roles(scene: Scene) -> dict[int, tuple[int, int, int]]:
    """{noun: its class in each of CLASSES} of the nouns that a full caption names."""
    facts = scene.facts
    if "counts" in facts:
        return {noun: (0, 0, count) for noun, count in facts["counts"]}
    nouns = facts["nouns"][: 1 if scene.kind == "motion" else 2]
    directions = facts.get("directions") or (facts.get("direction"), None)
    relation = facts.get("relation")
    sides = (relation, OPPOSITE[relation]) if relation else (None, None)
    return {
        noun: (
            1 + DIRECTIONS.index(direction) if direction else 0,
            1 + RELATIONS.index(side) if side else 0,
            1,
        )
        for noun, direction, side in zip(nouns, directions, sides, strict=False)
    }


@cache
def _forms(tokenizer: PreTrainedTokenizerFast, noun: int) -> list[list[int]]:
    words = (NOUNS[noun].name, NOUNS[noun].plural)
    return [tokenizer(word, add_special_tokens=False).input_ids for word in words]


def token_roles(tokenizer: PreTrainedTokenizerFast, scene: Scene, tokens: list[int]) -> Tensor:
    """Labels ``(len(tokens), 3)``, int8: the classes of the noun that a token belongs to, -1 at other tokens."""
    labels = torch.full((len(tokens), len(CLASSES)), -1, dtype=torch.int8)
    for noun, roles in noun_roles(scene).items():
        for form in _forms(tokenizer, noun):
            for i in range(len(tokens) - len(form) + 1):
                if tokens[i : i + len(form)] == form:
                    labels[i : i + len(form)] = torch.tensor(roles, dtype=torch.int8)
    return labels


class RoleReader(nn.Module):
    """Reads the roles off the text encoder's output; used in training only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, sum(CLASSES))

    def forward(self, text: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of embeddings ``(B, L, D)`` against labels ``(B, L, 3)``, mean over labelled tokens."""
        named = labels[..., 0] >= 0
        count = named.sum().clamp(min=1)
        loss = text.new_zeros(())
        for scores, wanted in zip(self.linear(text).float().split(CLASSES, -1), labels.long().unbind(-1), strict=True):
            each = nn.functional.cross_entropy(scores.flatten(0, 1), wanted.clamp(min=0).flatten(), reduction="none")
            loss = loss + (each * named.flatten()).sum() / count
        return loss
