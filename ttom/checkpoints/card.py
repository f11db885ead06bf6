"""What a checkpoint says about itself: the file ttom.json in its folder, which a copy of the folder takes along.

{"version": 1, "preset": "emojiworld", "frames": 17, "height": 64, "width": 96, "nouns": ["airplane", ...]}; all but the
version may be missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttom import checkpoints
from ttom.errors import SetupError, UserError, cut_short

VERSION = 1
NAME = "ttom.json"


@dataclass(frozen=True)
class ModelCard:
    """A checkpoint's own words.

    Attributes:
        preset: Name of the settings that it was tuned for (see ttom/presets.py).
        frames: The one number of frames it was trained on; None if it makes videos of several lengths.
        height: Rows of pixels it was trained on; None if several.
        width: Columns of pixels it was trained on; None if several.
        nouns: The objects it knows, in the singular; empty if they are too many to list.
    """

    preset: str | None = None
    frames: int | None = None
    height: int | None = None
    width: int | None = None
    nouns: tuple[str, ...] = ()

    def check_size(self, frames: int, height: int, width: int) -> None:
        """Raise UserError for a video that differs from those the model was trained on: it would fall apart."""
        given, trained = (frames, height, width), (self.frames, self.height, self.width)
        if any(t is not None and t != g for g, t in zip(given, trained, strict=True)):
            wanted = [t or g for g, t in zip(given, trained, strict=True)]
            raise UserError(
                f"the video is {frames} frames of {width} x {height} pixels",
                expected=f"{wanted[0]} frames of {wanted[2]} x {wanted[1]} pixels, which this model was trained on",
                remedy="the preset's own `sampler.frames`, `sampler.height` and `sampler.width`, or another model",
            )


def read_card(model: str) -> ModelCard | None:
    """The card of an embedded or local model; None if it has none, as all models on the Hub.

    Raises:
        SetupError: There is one, but it cannot be read.
    """
    folder = checkpoints.folder_of(model)
    file = folder / NAME if folder is not None else None
    if file is None or not file.is_file():
        return None
    try:
        found = checkpoints.read_json(file)
    except OSError as error:
        raise _wrong(file, f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise _wrong(file, f"is not JSON that can be read: {error}") from error
    if found.get("version") != VERSION:
        raise _wrong(file, f"is not a model card of version {VERSION}")
    return _card(file, found)


def _card(file: Path, found: dict[str, Any]) -> ModelCard:
    preset, nouns = found.get("preset"), found.get("nouns", [])
    if preset is not None and not _is_word(preset):
        raise _wrong(file, f"has the preset {cut_short(repr(preset), 60)}")
    if not isinstance(nouns, list) or not all(map(_is_word, nouns)):
        raise _wrong(file, "has nouns that are not a list of words")
    sides = {}
    for name in ("frames", "height", "width"):
        value = sides[name] = found.get(name)
        if value is not None and (type(value) is not int or value < 1):
            raise _wrong(file, f"has the {name} {cut_short(repr(value), 60)}")
    return ModelCard(preset=preset, nouns=tuple(nouns), **sides)


def _is_word(value: Any) -> bool:
    """Whether it may be printed on a terminal: others wrote it."""
    return isinstance(value, str) and value.isprintable() and 0 < len(value) <= 60


def _wrong(file: Path, problem: str) -> SetupError:
    return SetupError(
        f"{file} {problem}",
        expected='{"version": 1, "preset": "emojiworld", "frames": 17, "height": 64, "width": 96}, or no such file',
        remedy="correct or remove it, and name the `preset` yourself",
    )
