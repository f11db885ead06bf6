"""The world's ten color words: tinted sprites, which nouns take which colors, and the color of segmented pixels.

Tints and distances are computed in Oklab (Ottosson, 2020), in which equal steps look equal: a tint replaces hue and
chroma and moves the mean lightness, so that a sprite keeps its shading. "Orange" is missing because it is a noun.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ttom.emojiworld.nouns import NOUNS, sprites

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (214, 42, 42),
    "yellow": (245, 205, 48),
    "green": (58, 158, 62),
    "blue": (48, 102, 220),
    "purple": (134, 62, 186),
    "pink": (246, 138, 186),
    "brown": (130, 80, 44),
    "black": (44, 44, 48),
    "white": (240, 240, 240),
    "gray": (138, 138, 142),
}
"""sRGB of the middle of each color, 0..255."""
COLOR_INDEX: dict[str, int] = {name: i for i, name in enumerate(COLORS)}
_RELIEF = 0.7  # how much of the sprite's lightness contrast a tint keeps
_ANY = (
    "cat dog horse sheep robot rabbit elephant frog bear puppy mouse kitten pig bird balloon kite airplane butterfly "
    "helicopter rocket star car motorcycle bicycle tractor bus truck boat skateboard fish duck swan ball chair cup "
    "book flower basket vase box flag umbrella backpack suitcase house clock hat heart bed guitar"
).split()
_SOME = {
    "apple": "red yellow green",
    "leaf": "red yellow green brown",
    "teddy bear": "yellow green blue purple pink brown white gray",
    "turtle": "yellow green blue purple",
    "parrot": "red yellow green blue",
    "owl": "brown white gray",
    "squirrel": "brown black gray",
    "chicken": "brown black white",
    "cloud": "pink black white gray",
    "dolphin": "blue pink gray",
    "tree": "red yellow green pink",
}


def _allowed(name: str) -> tuple[str, ...]:
    if name in _ANY:
        return tuple(COLORS)
    return tuple(_SOME.get(name, "").split())


TINTS: tuple[tuple[str, ...], ...] = tuple(_allowed(noun.name) for noun in NOUNS)
"""The colors that each noun takes, in the order of NOUNS; chosen by looking at all of them. People, food that a color
makes another food, and things whose colors are what one knows them by (panda, sun, watermelon) take none."""
_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def to_oklab(rgb: np.ndarray) -> np.ndarray:
    """sRGB in 0..1 -> Oklab, on the last axis."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ _TO_LMS.T) @ _TO_LAB.T


def from_oklab(lab: np.ndarray) -> np.ndarray:
    """Oklab -> sRGB clipped to 0..1, on the last axis."""
    linear = ((lab @ np.linalg.inv(_TO_LAB).T) ** 3 @ np.linalg.inv(_TO_LMS).T).clip(0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055).clip(0, 1)


@cache
def prototypes() -> np.ndarray:
    """Oklab of each color's middle, float64 ``(colors, 3)``."""
    return to_oklab(np.array(list(COLORS.values())) / 255)


def tint(sprite: np.ndarray, color: str) -> np.ndarray:
    """An RGBA sprite ``(4, H, W)`` in 0..1 in another color."""
    lab, alpha = to_oklab(sprite[:3].transpose(1, 2, 0).astype(np.float64)), sprite[3]
    middle = np.median(lab[alpha > 0.5, 0])
    target = prototypes()[COLOR_INDEX[color]]
    lightness = (target[0] + _RELIEF * (lab[..., 0] - middle)).clip(0.08, 0.99)
    # Chroma fades towards black and white, where screens have less of it.
    fade = (1 - 0.9 * np.abs(lightness - target[0])).clip(0.2, 1)
    tinted = np.stack([lightness, target[1] * fade, target[2] * fade], -1)
    return np.concatenate([from_oklab(tinted).transpose(2, 0, 1), alpha[None]]).astype(np.float32)


@cache
def tinted_sprites() -> np.ndarray:
    """All sprites, float32 ``(1 + colors, nouns, 4, H, W)``: natural ones, then by color (natural if not allowed)."""
    natural = sprites()
    table = np.repeat(natural[None], 1 + len(COLORS), 0)
    for noun, colors in enumerate(TINTS):
        for color in colors:
            table[1 + COLOR_INDEX[color], noun] = tint(natural[noun], color)
    return table


def name_color(pixels: np.ndarray) -> str:
    """The color word of pixels ``(n, 3)`` in 0..1, by their median: of the middles, the nearest one.

    Raises:
        ValueError: There are no pixels.
    """
    if not len(pixels):
        raise ValueError("no pixels to name a color of")
    return nearest_color(np.median(to_oklab(np.asarray(pixels, np.float64)), 0))


def nearest_color(lab: np.ndarray) -> str:
    """The color word whose middle is nearest to an Oklab color ``(3,)``."""
    # Hue tells colors apart better than lightness, which relief, blur and translucent edges change.
    distance = (prototypes() - lab) * (0.7, 1.0, 1.0)
    return list(COLORS)[int((distance**2).sum(1).argmin())]


def contrast(color: str, background: tuple[float, float, float]) -> float:
    """Oklab distance of a color's middle from an RGB color in 0..1."""
    return float(np.linalg.norm(prototypes()[COLOR_INDEX[color]] - to_oklab(np.array(background))))
