"""What a probe recommends, and where it is kept: `tto.blocks=auto` reads what `python -m probes.run` writes.

The file probe.json holds at least {"version": 1, "model": ..., "num_blocks": ..., "recommended": [blocks]}.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

from ttom import checkpoints
from ttom.config import Settings
from ttom.errors import SetupError, cut_short

VERSION = 1
NAME = "probe.json"


def cached_file(model: str) -> Path:
    """Where the probe of a model is cached on this machine: by path for folders, by name for Hub ids."""
    folder = checkpoints.local_folder(model)
    name = str(folder.resolve()) if folder is not None else model
    words = re.sub(r"[^\w.-]+", "-", Path(name).name if folder is not None else name).strip("-")
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return Path("~/.cache/ttom/probes").expanduser() / f"{words}-{digest}.json"


def places(model: str) -> list[Path]:
    """Files that may hold the model's probe, in the order in which they are tried.

    First probe.json in the model's own folder (embedded checkpoints have one), then the cached one.
    """
    own = checkpoints.folder_of(model)
    return [*([own / NAME] if own is not None else []), cached_file(model)]


def recommended_blocks(model: str, file: str | None = None) -> tuple[int, ...]:
    """The blocks that the probe of a model recommends (section 3.2), from ``file`` or the first of ``places``.

    Raises:
        SetupError: The model has not been probed, or the file is not a probe.
    """
    files = [Path(file).expanduser()] if file is not None else [path for path in places(model) if path.is_file()]
    if not files:
        raise SetupError(
            f"`tto.blocks` is auto, but {model!r} has not been probed",
            expected=f"a probe of the model: {' or '.join(map(str, places(model)))}",
            remedy=f"python -m probes.run --model {model}, or name the blocks: `tto.blocks=3`",
        )
    return read(files[0])


def read(file: Path) -> tuple[int, ...]:
    """The recommended blocks in a probe.json.

    Raises:
        SetupError: It cannot be read, or is not a probe.
    """
    again = {"remedy": "write one with `python -m probes.run`, or name the blocks: `tto.blocks=3`"}
    try:
        found = checkpoints.read_json(file)
    except OSError as error:
        raise SetupError(f"the probe {file} cannot be read: {error.strerror or error}", **again) from error
    except ValueError as error:
        raise SetupError(f"the probe {file} is not JSON: {error}", **again) from error
    if found.get("version") != VERSION:
        raise SetupError(f"{file} is not a probe of version {VERSION}", expected=f'"version": {VERSION}', **again)
    blocks = found.get("recommended")
    if (
        not isinstance(blocks, list)
        or not blocks
        or len(set(map(str, blocks))) < len(blocks)
        or any(type(block) is not int or block < 0 for block in blocks)
    ):
        raise SetupError(
            f"the probe {file} recommends {cut_short(json.dumps(blocks), 80)}",
            expected="block indices, each once",
            **again,
        )
    return tuple(blocks)


def resolve_blocks(settings: Settings, model: str) -> Settings:
    """The settings with the probe's blocks in place of "auto"; settings that name blocks are unchanged.

    Raises:
        SetupError: See ``recommended_blocks``.
    """
    if settings.tto.blocks != "auto":
        return settings
    blocks = recommended_blocks(model, settings.tto.probe)
    return replace(settings, tto=replace(settings.tto, blocks=blocks, probe=None))
