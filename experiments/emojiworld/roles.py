"""What a scene's caption states of each noun, as labels of the noun's tokens.

"A cat to the left of a dog" and "a dog to the left of a cat" hold the same words. Left to the video loss alone, the
text encoder told the axis of a relation but not which noun stands on which side (see experiments/LOG.md); a linear
read-out of these labels from its output, trained beside it, teaches it.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from ttom.emojiworld.colors import COLORS
from ttom.emojiworld.editions import SIZES
from ttom.emojiworld.facts import DIRECTIONS, OPPOSITE_SIDE, SIDES, Facts, Subject
from ttom.emojiworld.nouns import NOUNS
from ttom.emojiworld.scene import SLOTS

NEXT_TO = 1 + len(SIDES)
"""The side of a subject that is only said to be next to another."""
PASSAGES = ("enters", "leaves")
CLASSES = (5, 5, 2 + len(SIDES), 1 + SLOTS, 1 + len(COLORS), 1 + len(SIZES), 1 + len(PASSAGES))
"""Direction of the first leg, of the second leg, side of the other noun, number, color, size, passage; 0: none."""


def _class(options: tuple[str, ...], value: str | None) -> int:
    return 0 if value is None else 1 + options.index(value)


def noun_roles(facts: Facts) -> dict[int, tuple[int, ...]]:
    """{noun: its class in each of CLASSES} of the nouns that a full caption names."""
    sides: dict[int, int] = {}
    for relation in facts.relations:
        opposite = OPPOSITE_SIDE.get(relation.side)
        sides[relation.first] = NEXT_TO if relation.loose else _class(SIDES, relation.side)
        sides.setdefault(relation.second, NEXT_TO if relation.loose else _class(SIDES, opposite))
    return {subject.noun: _roles(subject, sides.get(i, 0)) for i, subject in enumerate(facts.subjects)}


def _roles(subject: Subject, side: int) -> tuple[int, ...]:
    first, second = ([*subject.path, None, None])[:2]
    return (
        _class(DIRECTIONS, first),
        _class(DIRECTIONS, second),
        side,
        subject.count,
        _class(tuple(COLORS), subject.color),
        _class(SIZES, subject.size),
        _class(PASSAGES, subject.passage),
    )


@cache
def _forms(tokenizer: PreTrainedTokenizerFast, noun: int) -> list[list[int]]:
    words = (NOUNS[noun].name, NOUNS[noun].plural)
    return [tokenizer(word, add_special_tokens=False).input_ids for word in words]


def no_roles(length: int) -> Tensor:
    """Labels of a text of which nothing is known: -1, int8 ``(length, classes)``."""
    return torch.full((length, len(CLASSES)), -1, dtype=torch.int8)


def token_roles(tokenizer: PreTrainedTokenizerFast, facts: Facts, tokens: list[int]) -> Tensor:
    """Labels ``(len(tokens), classes)``, int8: the classes of the noun that a token belongs to, -1 at other tokens."""
    labels = no_roles(len(tokens))
    named = [(form, roles) for noun, roles in noun_roles(facts).items() for form in _forms(tokenizer, noun)]
    for form, roles in sorted(named, key=lambda each: -len(each[0])):  # "soccer ball" before "ball"
        for i in range(len(tokens) - len(form) + 1):
            if tokens[i : i + len(form)] == form and labels[i, 0] < 0:
                labels[i : i + len(form)] = torch.tensor(roles, dtype=torch.int8)
    return labels


class RoleReader(nn.Module):
    """Reads the roles off the text encoder's output; used in training only."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, sum(CLASSES))

    def forward(self, text: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of embeddings ``(B, L, D)`` against labels ``(B, L, classes)``, mean over labeled tokens."""
        named = labels[..., 0] >= 0
        count = named.sum().clamp(min=1)
        loss = text.new_zeros(())
        for scores, wanted in zip(self.linear(text).float().split(CLASSES, -1), labels.long().unbind(-1), strict=True):
            each = nn.functional.cross_entropy(scores.flatten(0, 1), wanted.clamp(min=0).flatten(), reduction="none")
            loss = loss + (each * named.flatten()).sum() / count
        return loss
