"""The state of unfinished and finished trainings as a few small files, to resume from on another machine.

A folder holds carry.json and shards of at most SHARD_BYTES: of a finished training its result, of an unfinished one its
weights and their average, in half precision; and the small JSON files of both. Optimizer states stay behind: a run that
resumes without them warms up its learning rate again. Eight files hold a whole family.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from ttom import files

VERSION = 1
INDEX = "carry.json"
SHARD_BYTES = 15 * 2**20
_PARTS = ("weights", "ema")


def pack(runs: Path, carried: Path, results: dict[str, Path], finished: set[str]) -> list[Path]:
    """Write the trainings below `runs` to `carried`; returns its files.

    Args:
        results: The file that each training writes last, by its name, which is also that of its folder.
        finished: Those of which the result is all that is needed.
    """
    carried.mkdir(parents=True, exist_ok=True)
    index: dict[str, Any] = {}
    for name, result in results.items():
        state = runs / name / "state.json"
        if not state.exists():
            continue
        parts = {result.stem: result} if name in finished else {p: runs / name / f"{p}.safetensors" for p in _PARTS}
        shards = {part: _write_shards(load_file(file), carried, f"{name}-{part}") for part, file in parts.items()}
        notes = {file.name: json.loads(file.read_text()) for file in sorted((runs / name).glob("*.json"))}
        index[name] = {"finished": name in finished, "files": shards, "notes": notes}
    files.write_json(carried / INDEX, {"version": VERSION, "trainings": index}, indent=1)
    kept = {file for entry in index.values() for shards in entry["files"].values() for file in shards}
    for old in carried.glob("*.safetensors"):  # shards of an earlier call
        if old.name not in kept:
            old.unlink()
    return sorted(carried.iterdir())


def unpack(carried: Path, runs: Path) -> list[str]:
    """Put the trainings of `carried` below `runs` where these have got further; returns their names.

    Raises:
        SystemExit: The folder is of another version of this code.
    """
    if not (carried / INDEX).exists():
        return []
    found = json.loads((carried / INDEX).read_text())
    if found.get("version") != VERSION:
        raise SystemExit(f"{carried / INDEX} has version {found.get('version')}, this code reads {VERSION}")
    taken = []
    for name, entry in found["trainings"].items():
        folder, notes = runs / name, entry["notes"]
        here = folder / "state.json"
        if here.exists() and json.loads(here.read_text())["seconds"] >= notes["state.json"]["seconds"]:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob("*.safetensors"):
            stale.unlink()
        for part, shards in entry["files"].items():
            tensors = {key: value for shard in shards for key, value in load_file(carried / shard).items()}
            save_file(tensors, folder / f"{part}.safetensors")
        for file, note in notes.items():
            (folder / Path(file).name).write_text(json.dumps(note))
        taken.append(name)
    return taken


def _write_shards(tensors: dict[str, Tensor], folder: Path, stem: str) -> list[str]:
    names = []
    for number, shard in enumerate(_shards({name: _half(tensor) for name, tensor in tensors.items()}), start=1):
        names.append(f"{stem}-{number}.safetensors")
        files.write_bytes(folder / names[-1], save(shard))
    return names


def _half(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float16) if tensor.is_floating_point() else tensor


def _shards(tensors: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Tensors in their order, as many together as fit into a shard."""
    shard: dict[str, Tensor] = {}
    size = 0
    for name, tensor in tensors.items():
        if shard and size + tensor.nbytes > SHARD_BYTES:
            yield shard
            shard, size = {}, 0
        shard[name] = tensor.contiguous()
        size += tensor.nbytes
    yield shard
