"""Labels of the nouns' tokens say what the caption says, and a reader learns them."""

from __future__ import annotations

import random

import pytest
import torch

from experiments.emojiworld.models import build_tokenizer
from experiments.emojiworld.roles import CLASSES, RoleReader, noun_roles, token_roles
from ttom.emojiworld.captions import captioned_scene
from ttom.emojiworld.nouns import NOUNS
from ttom.emojiworld.world import DIRECTIONS, KINDS, RELATIONS, Scene

TOKENIZER = build_tokenizer()
NUMBER = {noun.name: i for i, noun in enumerate(NOUNS)}


def labels(text: str, kind: str, **facts: object) -> dict[str, list[list[int]]]:
    """{word: labels of each of its tokens} for the words that have labels."""
    tokens = TOKENIZER(text).input_ids
    roles = token_roles(TOKENIZER, Scene(kind, [], facts), tokens)  # type: ignore[arg-type]
    words = TOKENIZER.convert_ids_to_tokens(tokens)
    named: dict[str, list[list[int]]] = {}
    for word, row in zip(words, roles.tolist(), strict=True):
        if row[0] >= 0:
            named.setdefault(word, []).append(row)
    return named


def test_the_two_nouns_of_a_relation_have_opposite_sides() -> None:
    cat, dog = NUMBER["cat"], NUMBER["dog"]
    found = labels("A cat sitting to the left of a dog", "relation", nouns=[cat, dog], relation="left")
    assert found == {
        "cat": [[0, 1 + RELATIONS.index("left"), 1]],
        "dog": [[0, 1 + RELATIONS.index("right"), 1]],
    }


def test_each_mover_has_its_own_direction() -> None:
    cat, ball = NUMBER["cat"], NUMBER["soccer ball"]
    found = labels(
        "A cat walks left while a soccer ball rolls to the right",
        "two_movers",
        nouns=[cat, ball],
        directions=("left", "right"),
    )
    right = [1 + DIRECTIONS.index("right"), 0, 1]
    assert found == {"cat": [[1 + DIRECTIONS.index("left"), 0, 1]], "soccer": [right], "ball": [right]}


def test_counts_label_plurals() -> None:
    cat, dog = NUMBER["cat"], NUMBER["dog"]
    found = labels("one cat and four dogs", "two_counts", nouns=[cat, dog], counts=((cat, 1), (dog, 4)))
    assert found == {"cat": [[0, 0, 1]], "dogs": [[0, 0, 4]]}


@pytest.mark.parametrize("kind", KINDS)
def test_every_noun_of_a_full_caption_is_labelled_within_range(kind: str) -> None:
    rng = random.Random(0)
    for _ in range(50):
        scene, text = captioned_scene(rng, "train", kind, vague=0.0)
        tokens = TOKENIZER(text).input_ids
        roles = token_roles(TOKENIZER, scene, tokens)
        for noun, wanted in noun_roles(scene).items():
            form = [NOUNS[noun].name, NOUNS[noun].plural][text.lower().count(NOUNS[noun].plural) > 0]
            first = TOKENIZER(form, add_special_tokens=False).input_ids[0]
            assert tuple(roles[tokens.index(first)].tolist()) == wanted, text
        assert roles.min() >= -1 and all(roles[:, i].max() < size for i, size in enumerate(CLASSES))


def test_the_reader_ignores_tokens_without_a_label_and_learns_the_others() -> None:
    torch.manual_seed(0)
    reader, text = RoleReader(16), torch.randn(4, 8, 16)
    nothing = torch.full((4, 8, 3), -1)
    assert reader(text, nothing).item() == 0
    roles = nothing.clone()
    roles[:, 2] = torch.tensor([[1, 0, 1], [2, 0, 1], [0, 3, 1], [0, 0, 6]])
    other = text.clone()
    other[:, 3:] += 1
    assert reader(text, roles).item() == reader(other, roles).item()
    optimizer = torch.optim.Adam(reader.parameters(), lr=0.1)
    first = reader(text, roles).item()
    for _ in range(60):
        optimizer.zero_grad()
        loss = reader(text, roles)
        loss.backward()
        optimizer.step()
    assert first > 4 and loss.item() < 0.05
