"""Color words: tints, and reading them back."""

from __future__ import annotations

import numpy as np
import pytest

from ttom.emojiworld.colors import (
    COLOR_INDEX,
    COLORS,
    TINTS,
    contrast,
    from_oklab,
    name_color,
    tint,
    tinted_sprites,
    to_oklab,
)
from ttom.emojiworld.nouns import INDEX, NOUNS, sprites


def test_there_are_ten_and_none_is_a_noun() -> None:
    assert len(COLORS) == 10
    assert not set(COLORS) & {word for noun in NOUNS for word in (noun.name, noun.plural)}


def test_oklab_of_known_colors_and_back() -> None:
    """Values of the definition's own table (Ottosson, 2020): white, and the axes of pure colors."""
    lab = to_oklab(np.array([[1.0, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1]]))
    expected = [[1, 0, 0], [0, 0, 0], [0.628, 0.2249, 0.1258], [0.452, -0.0325, -0.3115]]
    np.testing.assert_allclose(lab, expected, atol=2e-3)
    rgb = np.random.default_rng(0).random((50, 3))
    np.testing.assert_allclose(from_oklab(to_oklab(rgb)), rgb, atol=1e-6)


@pytest.mark.parametrize("color", COLORS)
def test_the_color_of_every_tint_is_read_back(color: str) -> None:
    for noun, allowed in enumerate(TINTS):
        if color in allowed:
            sprite = tint(sprites()[noun], color)
            pixels = sprite[:3].transpose(1, 2, 0)[sprite[3] > 0.5]
            assert name_color(pixels) == color, NOUNS[noun].name


def test_a_tint_keeps_the_shape_and_the_shading() -> None:
    natural = sprites()[INDEX["cat"]]
    tinted = tint(natural, "blue")
    assert np.array_equal(tinted[3], natural[3])
    inside = natural[3] > 0.5
    before, after = (to_oklab(picture[:3].transpose(1, 2, 0))[inside, 0] for picture in (natural, tinted))
    assert np.corrcoef(before, after)[0, 1] > 0.9


def test_only_allowed_tints_are_drawn() -> None:
    table = tinted_sprites()
    assert table.shape == (11, len(NOUNS), 4, 32, 32)
    assert np.array_equal(table[0], sprites())
    assert np.array_equal(table[1 + COLOR_INDEX["blue"], INDEX["panda"]], sprites()[INDEX["panda"]])
    assert not np.array_equal(table[1 + COLOR_INDEX["blue"], INDEX["car"]], sprites()[INDEX["car"]])
    assert not TINTS[INDEX["woman"]] and set(TINTS[INDEX["apple"]]) == {"red", "yellow", "green"}


def test_contrast() -> None:
    assert contrast("black", (0.15, 0.15, 0.3)) < 0.17 < contrast("white", (0.15, 0.15, 0.3))


def test_no_pixels_have_no_color() -> None:
    with pytest.raises(ValueError, match="no pixels"):
        name_color(np.zeros((0, 3)))
