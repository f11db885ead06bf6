"""Labels of the nouns' tokens say what the caption says, and a reader learns them."""

from __future__ import annotations

import random

import pytest
import torch

from experiments.emojiworld.models import build_tokenizer
from experiments.emojiworld.roles import CLASSES, NEXT_TO, RoleReader, no_roles, noun_roles, token_roles
from ttom.emojiworld.captions import captioned_scene
from ttom.emojiworld.colors import COLOR_INDEX
from ttom.emojiworld.editions import SECOND
from ttom.emojiworld.facts import DIRECTIONS, SIDES, Facts, Relation, Subject
from ttom.emojiworld.nouns import INDEX, NOUNS

TOKENIZER = build_tokenizer()
CAT, DOG, BALL, SOCCER_BALL = (INDEX[name] for name in ("cat", "dog", "ball", "soccer ball"))
LEFT, RIGHT = (1 + DIRECTIONS.index(direction) for direction in ("left", "right"))


def labels(text: str, facts: Facts) -> dict[str, list[list[int]]]:
    """{word: labels of each of its tokens} for the words that have labels."""
    tokens = TOKENIZER(text).input_ids
    roles = token_roles(TOKENIZER, facts, tokens)
    words = TOKENIZER.convert_ids_to_tokens(tokens)
    named: dict[str, list[list[int]]] = {}
    for word, row in zip(words, roles.tolist(), strict=True):
        if row[0] >= 0:
            named.setdefault(word, []).append(row)
    return named


def test_the_two_nouns_of_a_relation_have_opposite_sides() -> None:
    facts = Facts((Subject(CAT), Subject(DOG)), (Relation(0, "left", 1),))
    assert labels("A cat sitting to the left of a dog", facts) == {
        "cat": [[0, 0, 1 + SIDES.index("left"), 1, 0, 0, 0]],
        "dog": [[0, 0, 1 + SIDES.index("right"), 1, 0, 0, 0]],
    }


def test_next_to_and_between() -> None:
    loose = Facts((Subject(CAT), Subject(DOG)), (Relation(0, "left", 1, loose=True),))
    assert {roles[2] for roles in noun_roles(loose).values()} == {NEXT_TO}
    between = Facts((Subject(CAT), Subject(DOG, 2, counted=True)), (Relation(0, "between", 1),))
    assert noun_roles(between)[CAT][2] == 1 + SIDES.index("between") and noun_roles(between)[DOG][2:4] == (0, 2)


def test_each_mover_has_its_own_direction_and_a_longer_noun_goes_first() -> None:
    facts = Facts((Subject(BALL, path=("left",)), Subject(SOCCER_BALL, path=("right", "left"))))
    found = labels("A ball rolls left while a soccer ball rolls to the right and back", facts)
    soccer = [RIGHT, LEFT, 0, 1, 0, 0, 0]
    assert found == {"soccer": [soccer], "ball": [[LEFT, 0, 0, 1, 0, 0, 0], soccer]}


def test_counts_colors_sizes_and_passages_are_labeled() -> None:
    facts = Facts((Subject(CAT, 8, counted=True, color="blue"), Subject(DOG, size="small", passage="leaves")))
    blue = 1 + COLOR_INDEX["blue"]
    found = labels("eight blue cats and a small dog leaves", facts)
    assert found == {"cats": [[0, 0, 0, 8, blue, 0, 0]], "dog": [[0, 0, 0, 1, 0, 2, 2]]}


@pytest.mark.parametrize("kind", SECOND.kinds)
def test_every_noun_of_a_full_caption_is_labeled_within_range(kind: str) -> None:
    rng = random.Random(0)
    for _ in range(50):
        scene, text = captioned_scene(rng, "train", kind, vague=0.0, edition=SECOND)
        tokens = TOKENIZER(text).input_ids
        roles = token_roles(TOKENIZER, scene.facts, tokens)
        found = {tuple(row) for row in roles.tolist() if row[0] >= 0}
        assert found == set(noun_roles(scene.facts).values()), (text, NOUNS[scene.facts.nouns[0]])
        assert roles.min() >= -1 and all(roles[:, i].max() < size for i, size in enumerate(CLASSES))


def test_the_reader_ignores_tokens_without_a_label_and_learns_the_others() -> None:
    torch.manual_seed(0)
    reader, text = RoleReader(16), torch.randn(4, 8, 16)
    nothing = no_roles(8).expand(4, -1, -1)
    assert reader(text, nothing).item() == 0
    roles = nothing.clone()
    rows = [[1, 2, 0, 1, 0, 0, 0], [2, 0, 0, 1, 3, 0, 0], [0, 0, 3, 1, 0, 1, 0], [0, 0, 0, 6, 0, 0, 2]]
    roles[:, 2] = torch.tensor(rows, dtype=torch.int8)
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
    assert first > 8 and loss.item() < 0.1
