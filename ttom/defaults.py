"""What runs when the user names nothing: the model, and each model's preset."""

from __future__ import annotations

from pathlib import Path

from ttom import checkpoints

DEFAULT_MODEL = "emojiworld-wan"


def preset_for(model: str) -> str:
    """Name of the preset of a model: "emojiworld" for the embedded checkpoint by name or folder, else "paper"."""
    if model in checkpoints.EMBEDDED:
        return "emojiworld"
    folder = Path(model).expanduser()
    own = folder.exists() and folder.resolve().parent == Path(checkpoints.__file__).resolve().parent
    return "emojiworld" if own else "paper"
