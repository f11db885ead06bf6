"""Checkpoints that come with the package: plain diffusers folders that load without ttom too."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ttom.errors import UserError

EMBEDDED = ("emojiworld-wan", "emojiworld-cogvideox")
"""Names of the embedded checkpoints."""
MAX_BYTES = 1_000_000
"""Of a model's own small JSON files. What is longer is not read."""


def path(name: str) -> Path:
    """Folder of an embedded checkpoint.

    Raises:
        UserError: The name is unknown, or this installation lacks the folder.
    """
    if name not in EMBEDDED:
        raise UserError(f"no embedded checkpoint is called {name!r}", expected=f"one of {', '.join(EMBEDDED)}")
    folder = Path(__file__).parent / name
    if not (folder / "model_index.json").is_file():
        raise UserError(
            f"the embedded checkpoint {name!r} is missing from {folder}",
            expected="a diffusers pipeline folder with model_index.json",
            remedy="install the package again, with its data files",
        )
    return folder


def local_folder(model: str) -> Path | None:
    """The folder that the name of a model means; None if there is none, or none that we may look at."""
    folder = os.path.expanduser(model)  # unlike Path's own methods these do not raise for what is not there
    return Path(folder) if os.path.isdir(folder) else None


def folder_of(model: str) -> Path | None:
    """The folder of an embedded or local model; None for one on the Hub.

    Raises:
        UserError: The name is that of an embedded checkpoint which this installation lacks.
    """
    return path(model) if model in EMBEDDED else local_folder(model)


def pipeline_class(folder: Path) -> str | None:
    """Name of the pipeline class that a folder's model_index.json has; None if it cannot be read."""
    try:
        with (folder / "model_index.json").open("rb") as stream:
            found = json.loads(stream.read(MAX_BYTES)).get("_class_name")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return found if isinstance(found, str) else None
