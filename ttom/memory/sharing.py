"""A memory for others: an adapter as a LoRA file of other software, the whole memory on the Hugging Face Hub."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ttom.errors import UserError
from ttom.files import check_folder, staged
from ttom.integrations.lora_readme import write_lora_readme
from ttom.memory.files import told
from ttom.memory.maintenance import find
from ttom.memory.store import UNFINISHED, CorruptValue, Entry, Store

if TYPE_CHECKING:
    from torch import Tensor

Format = Literal["diffusers", "comfyui"]

_DIFFUSERS_FILE = "pytorch_lora_weights.safetensors"
_PREFIXES = {"diffusers": "transformer.", "comfyui": "diffusion_model."}
_A, _B = ".lora_A.weight", ".lora_B.weight"
# Names in the original Wan code, which ComfyUI keeps, for those of diffusers.
_ATTENTIONS = {"attn1": "self_attn", "attn2": "cross_attn"}
_PROJECTIONS = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "o"}
_PUSHED = ["memory.json", "entries.sqlite", "values/*"]  # "*" matches slashes too
_NOT_OURS = {".gitattributes", "README.md"}  # what a new or documented repository holds besides


# Exporting


def export(store: Store, id_: int, out: Path, form: Format) -> Path:
    """Write an entry's adapter as a file that other software loads; returns the file.

    Args:
        store: The memory.
        id_: The entry.
        out: "diffusers": a folder, for ``pipe.load_lora_weights(folder)``. "comfyui": the file, if its name ends in
            .safetensors, or a folder for it.
        form: Both keep the scale alpha / rank: "diffusers" in the file's metadata, "comfyui" as tensors.

    Raises:
        UserError: No such entry, a damaged value, a model that the format has no names for, or something else is at
            the file's place (an earlier export of the same format is overwritten).
    """
    if form not in _PREFIXES:
        raise UserError(f"unknown format {form!r}", expected=" or ".join(_PREFIXES))
    entry = find(store, id_)
    state = _tensors(store, entry)
    modules = [name.removesuffix(_A) for name in state if name.endswith(_A)]
    rank, alpha = _scale(entry, state, modules)
    target = out if form == "comfyui" and out.suffix == ".safetensors" else out / f"ttom-{id_}.safetensors"
    target = out / _DIFFUSERS_FILE if form == "diffusers" else target
    _check_target(target, form)
    check_folder(target.parent)
    from safetensors.torch import save_file

    tensors = _comfyui(state, modules, alpha) if form == "comfyui" else {}
    with staged(target.parent) as stage:
        if form == "comfyui":
            save_file(tensors, stage / target.name, metadata={"format": "pt"})
        else:
            from diffusers.loaders import WanLoraLoaderMixin

            # Stock diffusers itself writes it, as in LoraAdapter.save, so that stock diffusers reads it.
            WanLoraLoaderMixin.save_lora_weights(
                str(stage),
                transformer_lora_layers=state,
                transformer_lora_adapter_metadata={"r": rank, "lora_alpha": alpha, "target_modules": modules},
            )
    write_lora_readme(out if form == "diffusers" else target)
    return target


def _tensors(store: Store, entry: Entry) -> dict[str, Tensor]:
    from safetensors import SafetensorError

    try:
        return store.value(entry)
    except (CorruptValue, SafetensorError) as error:
        reason = str(error)
    raise UserError(
        f"entry {entry.id} of the memory {store.folder} cannot be read: {reason}",
        remedy=f"ttom memory verify {store.folder}",
    )


def _scale(entry: Entry, state: dict[str, Tensor], modules: list[str]) -> tuple[int, float]:
    """Rank, read off the tensors, and alpha, which only the signature tells."""
    ranks = {state[module + _A].shape[0] for module in modules}
    alpha = re.search(r"\balpha (\S+?),", entry.signature)
    if len(ranks) != 1 or alpha is None or set(state) != {module + end for module in modules for end in (_A, _B)}:
        raise UserError(
            f"the rank and scale of entry {entry.id} are unknown: it has {len(state)} tensors of ranks "
            f"{sorted(ranks)}, made with: {entry.signature}",
            expected="pairs of LoRA tensors of one rank, and alpha in the signature",
        )
    return ranks.pop(), float(alpha[1])


def _comfyui(state: dict[str, Tensor], modules: list[str], alpha: float) -> dict[str, Tensor]:
    import torch

    tensors = {}
    for module in modules:
        parts = re.fullmatch(r"(blocks\.\d+)\.(attn[12])\.(to_[qkv]|to_out\.0)", module)
        if parts is None:
            raise UserError(
                f"there is no ComfyUI name for the layer {module}",
                expected="the attention of a Wan transformer",
                remedy="`format=diffusers`",
            )
        name = f"diffusion_model.{parts[1]}.{_ATTENTIONS[parts[2]]}.{_PROJECTIONS[parts[3]]}"
        tensors[f"{name}.lora_down.weight"] = state[module + _A]
        tensors[f"{name}.lora_up.weight"] = state[module + _B]
        tensors[f"{name}.alpha"] = torch.tensor(alpha)
    return tensors


def _check_target(target: Path, form: Format) -> None:
    """Raise UserError if something else than an earlier export of the same format would be overwritten."""
    from safetensors import SafetensorError, safe_open

    if not target.exists():
        return
    with contextlib.suppress(SafetensorError, OSError), safe_open(str(target), framework="np") as file:
        if all(name.startswith(_PREFIXES[form]) for name in file.keys()):  # noqa: SIM118  it is no dict
            return
    raise UserError(
        f"{target} exists and is no LoRA in the format {form}", expected="nothing there", remedy="another `out`"
    )


# Sharing


def push(folder: Path, repo_id: str, *, private: bool = True) -> str:
    """Upload the memory, as it is at one moment, to a model repository of the Hugging Face Hub; returns its address.

    Quarantined entries stay at home. What the repository held of an earlier push is replaced.

    Args:
        folder: The memory; it is only read.
        repo_id: ``owner/name``; created if there is none.
        private: Of a new repository: a memory holds the prompts of its users.

    Raises:
        UserError: A value is damaged, the repository holds something else, or the Hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi

    with tempfile.TemporaryDirectory(prefix="ttom-push-") as name:
        _snapshot(folder, Path(name))
        with _hub(f"the memory {folder} cannot be pushed to {repo_id!r}"):
            api = HfApi()
            address = api.create_repo(repo_id, private=private, exist_ok=True)
            there = set(api.list_repo_files(repo_id))
            if there - _NOT_OURS and "memory.json" not in there:
                raise UserError(
                    f"the repository {repo_id} holds something else than a memory: {min(there - _NOT_OURS)}",
                    expected="a new repository, or one with a memory",
                    remedy="another name",
                )
            api.upload_folder(
                repo_id=repo_id, folder_path=name, delete_patterns=["values/*"], commit_message="ttom memory push"
            )
    return str(address)


def pull(repo_id: str, folder: Path) -> int:
    """Download a memory from the Hub into a new or empty folder, check every value; returns how many entries it has.

    Raises:
        UserError: The folder holds something, the repository cannot be read or holds no sound memory; the folder is
            as it was then.
    """
    from huggingface_hub import HfApi

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty", expected="a new or empty folder", remedy="another folder")
    place = folder.absolute().parent
    check_folder(place)
    with told(folder):
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".ttom-pull-", dir=place) as name:
            stage = Path(name) / "memory"
            with _hub(f"the memory cannot be pulled from {repo_id!r}"):
                HfApi().snapshot_download(repo_id, local_dir=stage, allow_patterns=_PUSHED)
            shutil.rmtree(stage / ".cache", ignore_errors=True)  # the Hub client's notes
            if not all((stage / needed).is_file() for needed in _PUSHED[:2]):
                raise UserError(f"the repository {repo_id} holds no memory", expected=" and ".join(_PUSHED[:2]))
            (stage / "values").mkdir(exist_ok=True)  # of an empty memory, which git does not keep
            count = _sound_entries(stage, repo_id)
            stage.replace(folder)
    return count


def _snapshot(folder: Path, stage: Path) -> None:
    """A copy of the memory as it is now: one SQLite file without a log beside it, and the values that it needs."""
    with told(folder), Store(folder, read_only=True) as store:
        if store.embedder.startswith(UNFINISHED):
            raise UserError(f"the memory {folder} has an {store.embedder}", remedy=f"ttom memory reindex {folder}")
        shutil.copyfile(folder / "memory.json", stage / "memory.json")
        store.db.execute("DELETE FROM quarantined")  # in the copy that a read-only store works on
        # Written anew: a copied file would still hold the prompts of deleted entries in its free pages.
        store.db.execute("VACUUM INTO ?", (str(stage / "entries.sqlite"),))
        for entry in store.entries():
            target = stage / store.path(entry.sha256).relative_to(folder)
            if target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(store.path(entry.sha256), target)  # a value's file is never written again
            except OSError:  # another file system, or no file
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(store.path(entry.sha256), target)
            if not target.exists() or hashlib.sha256(target.read_bytes()).hexdigest() != entry.sha256:
                raise UserError(
                    f"the value of entry {entry.id} of the memory {folder} is missing or damaged",
                    remedy=f"ttom memory verify {folder}, then push again",
                )


def _sound_entries(stage: Path, repo_id: str) -> int:
    """How many entries there are. Raises UserError unless each is as a memory has it, its value included.

    What others wrote must neither run anything nor name files outside the folder.
    """
    try:
        with told(stage), Store(stage, read_only=True) as store:
            kinds = {kind for (kind,) in store.db.execute("SELECT type FROM sqlite_master")}
            reason = None if kinds <= {"table", "index"} else "its entries.sqlite holds more than tables"
            for entry in store.entries() if reason is None else ():
                if not re.fullmatch(r"[0-9a-f]{64}", entry.sha256) or entry.embedding.shape != (store.dimension,):
                    raise ValueError(f"entry {entry.id} is none")
                store.value_bytes(entry)
            count = len(store)
    except (CorruptValue, UserError, ValueError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0].replace(str(stage), repo_id)
    if reason is None:
        return count
    raise UserError(
        f"the memory in the repository {repo_id} is damaged: {reason}",
        remedy="push it again from where it is whole, or pull again later if that was going on",
    )


@contextmanager
def _hub(what: str) -> Iterator[None]:
    """Whatever the Hub client raises, as one error, and never with a token in it (a malformed one is quoted)."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # the Hub client raises its HTTP library's errors too
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        reason = re.sub(r"hf_\w+|(?<=Bearer )[^'\"\s]+", "(token)", " ".join(lines[:2]))
        raise UserError(
            f"{what}: {reason}",
            expected="a repository owner/name that can be reached",
            remedy="check the name and the network; `hf auth login` or HF_TOKEN for what is not public",
        ) from None
