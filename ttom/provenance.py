"""Where a result comes from: code, versions, device, and the settings as given and as resolved."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttom import checkpoints
from ttom.config import Settings

if TYPE_CHECKING:
    import torch

_READ_WHOLE, _SAMPLES, _SAMPLE = 256 << 20, 64, 64 << 10
_NUMBERS = 4096  # read of each tensor of a loaded pipeline
_PACKAGES = ("torch", "diffusers", "peft", "lightning", "transformers")


def environment(device: torch.device | str | None = None) -> dict[str, Any]:
    """Commit, versions, device, platform and date (UTC); also for the results of experiments.

    The commit is the one that the environment variable TTOM_COMMIT names; if it is not set, the checkout's.

    Args:
        device: What this process computes on; None if others compute, so that the device and its name are left out.
    """
    import ttom

    versions = {name: _version(name) for name in _PACKAGES}
    return {
        **_git_state(Path(__file__).resolve().parents[1]),
        "versions": {"python": platform.python_version(), "ttom": ttom.__version__, **versions},
        **({} if device is None else {"device": str(device), "device_name": device_name(device)}),
        "platform": platform.platform(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def digest(folder: Path) -> str:
    """16 hex digits for the weights in a model folder, so that a result names what it measured.

    The start of their sha256. Files above 256 MiB count by their length, their first MiB (which holds the names and
    shapes of the tensors) and 64 KiB from each of 64 places: a large model is told apart in a second, not in minutes.
    """
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        length = path.stat().st_size
        if length <= _READ_WHOLE:
            total.update(path.read_bytes())
            continue
        total.update(length.to_bytes(8))
        with open(path, "rb") as file:
            total.update(file.read(1 << 20))
            for place in range(_SAMPLES):
                file.seek((length - _SAMPLE) * place // (_SAMPLES - 1))
                total.update(file.read(_SAMPLE))
    return total.hexdigest()[:16]


def model_digest(model: str) -> str | None:
    """`digest` of an embedded checkpoint, a folder, or a Hub model in the local cache; None if there are no files."""
    folder = checkpoints.folder_of(model)
    if folder is None:
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            index = try_to_load_from_cache(model, "model_index.json")
        except HFValidationError:
            return None
        if not isinstance(index, str):
            return None
        folder = Path(index).parent
    return digest(folder)


def pipeline_name(pipe: Any) -> str:
    """What a loaded pipeline is called in messages and reports: where it was loaded from, or its class."""
    name = getattr(pipe, "name_or_path", None)  # a Path, if it was loaded from one
    return str(name) if name else type(pipe).__name__


def pipeline_digest(pipe: Any) -> str:
    """16 hex digits for the transformer of a loaded pipeline: names, types, shapes and some numbers of its tensors."""
    import torch

    total = hashlib.sha256(type(pipe).__name__.encode())
    with torch.no_grad():
        for name, tensor in sorted(pipe.transformer.state_dict().items()):
            total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            flat = tensor.flatten()
            chosen = flat[:: max(1, flat.numel() // _NUMBERS)].to("cpu", torch.float64)
            total.update(chosen.numpy().tobytes())
    return total.hexdigest()[:16]


def describe_settings(settings: Settings, preset: str, preset_settings: Settings) -> dict[str, Any]:
    """The preset's name, what differs from it (dotted names), and every value that held in the end."""
    resolved = asdict(settings)
    base = _flatten(asdict(preset_settings))
    changed = {name: value for name, value in _flatten(resolved).items() if value != base[name]}
    given = {name: list(value) if isinstance(value, tuple) else value for name, value in changed.items()}  # as JSON
    return {"preset": preset, "given": given, "resolved": resolved}


def device_name(device: torch.device | str) -> str:
    """The product's name: of the GPU, or of the processor."""
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def reset_peak(device: torch.device | str) -> None:
    """Reset a GPU's peak memory; the resident set of a process cannot be reset."""
    import torch

    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device | str) -> int | None:
    """Most memory held so far, in bytes: of the GPU by torch since the last reset, or of this process (resident set).

    None where the platform does not say (Windows without a GPU).
    """
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git_state(root: Path) -> dict[str, Any]:
    """Commit and dirty flag: what TTOM_COMMIT says, otherwise of the checkout whose top is root.

    TTOM_COMMIT is for copies of the tree, whose git data may be missing, or older than the files. Whether the files
    differ from the commit is unknown then, so dirty is None; so it is where there is no checkout.
    """
    named = os.environ.get("TTOM_COMMIT")
    if named or not (root / ".git").exists():  # an installed package may lie inside somebody else's repository
        return {"commit": named or None, "dirty": None}
    commit, status = git(root, "rev-parse", "--verify", "HEAD"), git(root, "status", "--porcelain")
    return {"commit": commit, "dirty": None if status is None else bool(status)}


def git(root: Path, *arguments: str) -> str | None:
    """What git prints about the checkout at root; None where there is none, or no git."""
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        flat |= _flatten(value, f"{prefix}.{name}" if prefix else name)
    return flat
