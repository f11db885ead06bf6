"""The nouns and their sprites."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from ttom.emojiworld import nouns
from ttom.emojiworld.nouns import ATLAS, INDEX, NOUNS, SPRITE, extents, sprites


def test_at_least_sixty_nouns_each_once() -> None:
    assert len(NOUNS) >= 60
    for field in ("name", "plural", "emoji"):
        values = [getattr(noun, field) for noun in NOUNS]
        assert len(set(values)) == len(values), Counter(values).most_common(1)
    assert [INDEX[noun.name] for noun in NOUNS] == list(range(len(NOUNS)))
    assert {noun.kind for noun in NOUNS} == {"walker", "flyer", "vehicle", "roller", "swimmer", "thing"}


@pytest.mark.parametrize(
    ("singular", "plural"),
    [("cat", "cats"), ("child", "children"), ("fish", "fish"), ("soccer ball", "soccer balls"), ("leaf", "leaves")],
)
def test_plurals(singular: str, plural: str) -> None:
    assert NOUNS[INDEX[singular]].plural == plural


def test_atlas_holds_a_tile_for_every_noun() -> None:
    with Image.open(ATLAS) as atlas:
        columns, rows = atlas.width // SPRITE, atlas.height // SPRITE
        assert (atlas.width, atlas.height) == (nouns._COLUMNS * SPRITE, -(-len(NOUNS) // nouns._COLUMNS) * SPRITE)
    assert columns * rows >= len(NOUNS)
    assert sprites().shape == (len(NOUNS), 4, SPRITE, SPRITE)
    assert sprites().dtype == np.float32


def test_every_sprite_has_ink_in_its_middle_and_differs_from_the_others() -> None:
    alpha = sprites()[:, 3]
    ink = (alpha > 0.5).mean((1, 2))
    assert ink.min() > 0.15, NOUNS[int(ink.argmin())].name
    # Boxes are taken to be centered on the sprite.
    for axis in (1, 2):
        spans = (alpha > 0.3).any(axis)
        first, last = spans.argmax(1), SPRITE - 1 - spans[:, ::-1].argmax(1)
        assert np.abs((first + last) / 2 - (SPRITE - 1) / 2).max() <= 2
    flat = (sprites()[:, :3] * sprites()[:, 3:]).reshape(len(NOUNS), -1)
    apart = np.abs(flat[:, None] - flat[None]).mean(-1) + np.eye(len(NOUNS))
    assert apart.min() > 0.01


def test_extents_span_the_larger_side() -> None:
    assert extents().shape == (len(NOUNS), 2)
    assert extents().max(1).min() > 0.85
    assert extents().min() > 0.3
    assert extents().max() <= 1
