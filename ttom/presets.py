"""Named settings as functions, and which model and preset run when the user names none. Reports say which one ran."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ttom import checkpoints
from ttom.config import AdapterConfig, SamplerConfig, Settings, TTOConfig


def paper() -> Settings:
    """Section 4.1 of the paper on Wan2.1: AdamW at 1e-4, five guided steps of eight iterations."""
    return Settings(tto=TTOConfig(blocks=(3,), lr=1e-4, guided_steps=5, iterations=8))


def released() -> Settings:
    """The authors' released code for Wan2.1-14B: block 3, lr 1e-3, early stop at 0.03, LoRA off afterwards."""
    return Settings(tto=TTOConfig(blocks=(3,), lr=1e-3, guided_steps=5, iterations=8, stop_loss=0.03))


def emojiworld() -> Settings:
    """The embedded EmojiWorld checkpoint.

    Block, rate, iterations and guidance were chosen on 60 prompts of the tuning split (experiments/LOG.md). Half of the
    paper's eight iterations follow the layout as well as all of them do.
    """
    return Settings(
        sampler=SamplerConfig(
            steps=25, guidance_scale=2.5, frames=17, height=64, width=96, fps=8, max_sequence_length=64
        ),
        adapter=AdapterConfig(rank=16, alpha=16.0),
        tto=TTOConfig(blocks=(5,), lr=5e-3, guided_steps=5, iterations=4),
    )


PRESETS: dict[str, Callable[[], Settings]] = {"paper": paper, "released": released, "emojiworld": emojiworld}

DEFAULT_MODEL = "emojiworld-wan"


def preset_for(model: str) -> str:
    """Name of the preset of a model: "emojiworld" for the embedded checkpoint by name or folder, else "paper"."""
    if model in checkpoints.EMBEDDED:
        return "emojiworld"
    folder = Path(model).expanduser()
    own = folder.exists() and folder.resolve().parent == Path(checkpoints.__file__).resolve().parent
    return "emojiworld" if own else "paper"
