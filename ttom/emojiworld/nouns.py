"""The nouns of EmojiWorld, their emoji, and the sprite atlas.

`python -m ttom.emojiworld.nouns` redraws `sprites.png` from the Noto Color Emoji font (Debian package
fonts-noto-color-emoji); the atlas is committed, so that nothing else needs the font. See NOTICE for its license.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ATLAS = Path(__file__).with_name("sprites.png")
SPRITE = 32
"""Side of a sprite in the atlas, in pixels."""
_COLUMNS = 8
_FONT_PIXELS = 109  # the one strike that the bitmap font holds


@dataclass(frozen=True)
class Noun:
    """A thing of the world.

    Attributes:
        name: Singular, as captions spell it.
        plural: Plural, as captions spell it.
        emoji: The characters drawn.
        kind: Which verbs suit it: "walker", "flyer", "vehicle", "roller", "swimmer" or "thing".
    """

    name: str
    plural: str
    emoji: str
    kind: str


def _nouns(kind: str, *rows: str) -> list[Noun]:
    nouns = []
    for row in rows:
        emoji, names = row.split(" ", 1)
        name, _, plural = names.partition("/")
        nouns.append(Noun(name, plural or name + "s", emoji, kind))
    return nouns


NOUNS: tuple[Noun, ...] = tuple(
    _nouns("walker", "🐈 cat", "🐕 dog", "🐎 horse", "🐑 sheep/sheep", "🤖 robot", "🧒 child/children", "🐇 rabbit")
    + _nouns("walker", "🐿 squirrel", "🐢 turtle", "👧 girl", "🐘 elephant", "🐄 cow", "🐸 frog", "🐼 panda", "🐻 bear")
    + _nouns("walker", "🧍 person/people", "🐶 puppy/puppies", "🐧 penguin", "🐪 camel", "🐁 mouse/mice")
    + _nouns("flyer", "🐦 bird", "🎈 balloon", "🪁 kite", "✈ airplane", "🛸 spaceship", "🦋 butterfly/butterflies")
    + _nouns("flyer", "🚁 helicopter", "🦜 parrot", "🐝 bee", "🍁 leaf/leaves", "🦉 owl", "🚀 rocket", "⭐ star")
    + _nouns("vehicle", "🚗 car", "🏍 motorcycle", "🚲 bicycle", "🚜 tractor", "🚌 bus/buses", "🚚 truck")
    + _nouns("swimmer", "🐟 fish/fish", "🦢 swan", "🚢 ship", "🦆 duck")
    + _nouns("roller", "🍊 orange", "🍎 apple", "⚽ soccer ball", "🎃 pumpkin", "🍉 watermelon")
    + _nouns(
        "thing", "🪑 chair", "☕ cup", "📕 book", "🌸 flower", "🧺 basket", "🧸 teddy bear", "🧳 suitcase", "🌳 tree"
    )
    + _nouns("thing", "🏺 vase", "📦 box/boxes", "🗽 statue", "🚩 flag", "☂ umbrella", "🎒 backpack", "📺 television")
    + _nouns("thing", "🏠 house", "⏰ clock", "🎂 cake")
    # Edition 2 of the world begins here: the first 66 keep their index.
    + _nouns(
        "walker", "🧔 man/men", "💃 woman/women", "🏃 boy", "👶 baby/babies", "🦌 deer/deer", "🦘 kangaroo", "🐱 kitten"
    )
    + _nouns("walker", "🐒 monkey", "🦁 lion", "🐓 chicken", "🐖 pig")
    + _nouns("flyer", "🌞 sun", "🌙 moon", "☁ cloud")
    + _nouns("swimmer", "🐬 dolphin", "⛵ boat")
    + _nouns("vehicle", "🛹 skateboard")
    + _nouns("roller", "🔴 ball", "🏀 basketball", "🍌 banana")
    + _nouns("thing", "🎩 hat", "❤ heart", "🛏 bed", "🎸 guitar")
)
INDEX: dict[str, int] = {noun.name: i for i, noun in enumerate(NOUNS)}


def draw_atlas(font_file: Path) -> Image.Image:
    """Draw every noun, cropped to its ink and centered in a square of SPRITE pixels."""
    font = ImageFont.truetype(str(font_file), _FONT_PIXELS)
    rows = -(-len(NOUNS) // _COLUMNS)
    atlas = Image.new("RGBA", (_COLUMNS * SPRITE, rows * SPRITE))
    for i, noun in enumerate(NOUNS):
        canvas = Image.new("RGBA", (160, 160))
        ImageDraw.Draw(canvas).text((10, 10), noun.emoji, font=font, embedded_color=True)
        box = canvas.getchannel("A").point(lambda a: 255 if a > 40 else 0).getbbox()
        if box is None:
            raise SystemExit(f"{font_file} has no picture of {noun.name}")
        ink = canvas.crop(box)
        side = max(ink.size)
        square = Image.new("RGBA", (side, side))
        square.paste(ink, ((side - ink.width) // 2, (side - ink.height) // 2))
        small = square.resize((SPRITE, SPRITE), Image.Resampling.LANCZOS)
        atlas.paste(small, (i % _COLUMNS * SPRITE, i // _COLUMNS * SPRITE))
    return atlas


@cache
def sprites() -> np.ndarray:
    """The sprites, RGBA in 0..1: float32 ``(nouns, 4, SPRITE, SPRITE)``, color not multiplied by alpha."""
    atlas = np.asarray(Image.open(ATLAS).convert("RGBA"), dtype=np.float32) / 255
    tiles = [
        atlas[i // _COLUMNS * SPRITE :, i % _COLUMNS * SPRITE :][:SPRITE, :SPRITE].transpose(2, 0, 1)
        for i in range(len(NOUNS))
    ]
    return np.stack(tiles)


@cache
def extents() -> np.ndarray:
    """Share of the sprite's side that its ink spans: float32 ``(nouns, 2)``, width and height."""
    alpha = sprites()[:, 3] > 0.3
    width = alpha.any(1).sum(1) / SPRITE
    height = alpha.any(2).sum(1) / SPRITE
    return np.stack([width, height], 1).astype(np.float32)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Redraw the sprite atlas.")
    parser.add_argument("--font", type=Path, default=Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"))
    draw_atlas(parser.parse_args().font).save(ATLAS, optimize=True)
    print(f"{ATLAS}: {len(NOUNS)} nouns")
