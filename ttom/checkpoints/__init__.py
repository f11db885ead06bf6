"""Checkpoints that come with the package: plain diffusers folders that load without ttom too."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ttom.errors import UserError

EMBEDDED = ("emojiworld-wan", "emojiworld-cogvideox")
"""Names of the embedded checkpoints."""
MAX_BYTES = 4_000_000
"""Limit on the small JSON files of a model."""


def path(name: str) -> Path:
    """The folder of an embedded checkpoint.

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
    """The folder that a model's name refers to; None if there is none, or none that we can access."""
    folder = os.path.expanduser(model)  # unlike Path's methods, these do not raise for what does not exist
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
        found = read_json(folder / "model_index.json").get("_class_name")
    except (OSError, ValueError):
        return None
    return found if isinstance(found, str) else None


def read_json(file: Path) -> dict[str, Any]:
    """A small JSON file of a model, which others may have written.

    Raises:
        OSError: It cannot be read.
        ValueError: It is too long, or not a JSON object.
    """
    with file.open("rb") as stream:
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"longer than {MAX_BYTES:,} bytes")
    try:
        found = json.loads(content)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found
