"""Exporting an entry's adapter as a LoRA file for diffusers or ComfyUI."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ttom.errors import UserError
from ttom.files import check_folder, staged
from ttom.integrations.lora_readme import write_lora_readme
from ttom.memory.entries import CorruptValue
from ttom.memory.maintenance import find
from ttom.memory.signature import Signature
from ttom.memory.store import Store
from ttom.memory.value_format import A, B

if TYPE_CHECKING:
    from torch import Tensor

Format = Literal["diffusers", "comfyui"]

_DIFFUSERS_FILE = "pytorch_lora_weights.safetensors"
_PREFIXES = {"diffusers": "transformer.", "comfyui": "diffusion_model."}
_WRITERS = {"wan": "WanLoraLoaderMixin", "cogvideox": "CogVideoXLoraLoaderMixin"}
# From diffusers' names to those of the original Wan code, which ComfyUI uses.
_ATTENTIONS = {"attn1": "self_attn", "attn2": "cross_attn"}
_PROJECTIONS = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "o"}


def export(store: Store, id_: int, out: Path, form: Format) -> Path:
    """Write an entry's adapter as a file for other software, with a README beside it; returns the file's path.

    Args:
        store: The memory.
        id_: The entry.
        out: "diffusers": a folder, for ``pipe.load_lora_weights(folder)``. "comfyui": the file, if its name ends in
            .safetensors, or a folder for it.
        form: Both keep the scale alpha / rank: "diffusers" in the file's metadata, "comfyui" as tensors.

    Raises:
        UserError: The entry does not exist or is damaged, the format does not support the model, or another file is in
            the way (an earlier export in the same format is overwritten).
    """
    if form not in _PREFIXES:
        raise UserError(f"unknown format {form!r}", expected=" or ".join(_PREFIXES))
    entry = find(store, id_)
    try:
        state = store.state(entry)
    except CorruptValue as error:
        raise UserError(
            f"entry {entry.id} of the memory {store.folder} cannot be read: {error}",
            remedy=f"ttom memory verify {store.folder}",
        ) from None
    modules = [name.removesuffix(A) for name in state if name.endswith(A)]
    target = out if form == "comfyui" and out.suffix == ".safetensors" else out / f"ttom-{id_}.safetensors"
    target = out / _DIFFUSERS_FILE if form == "diffusers" else target
    _check_target(target, form)
    check_folder(target.parent)
    if form == "comfyui":
        _write_comfyui(comfyui_tensors(state, modules, entry.signature.alpha), target)
    else:
        _write_diffusers(state, modules, entry.signature, target)
    write_lora_readme(out if form == "diffusers" else target)
    return target


def _write_diffusers(state: dict[str, Tensor], modules: list[str], signature: Signature, target: Path) -> None:
    """Written by diffusers itself, as in LoraAdapter.save, so that stock diffusers can read it."""
    from diffusers import loaders

    writer = _WRITERS.get(signature.family)
    if writer is None:
        raise UserError(
            f"diffusers has no LoRA format for the model {signature.model}",
            expected=f"a model of the families {', '.join(_WRITERS)}",
        )
    with staged(target.parent) as stage:
        getattr(loaders, writer).save_lora_weights(
            str(stage),
            transformer_lora_layers=state,
            transformer_lora_adapter_metadata={
                "r": signature.rank,
                "lora_alpha": signature.alpha,
                "target_modules": modules,
            },
        )


def comfyui_tensors(state: dict[str, Tensor], modules: list[str], alpha: float) -> dict[str, Tensor]:
    """An adapter's tensors under ComfyUI's names. Raises UserError for a model that it has no names for."""
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
        tensors[f"{name}.lora_down.weight"] = state[module + A]
        tensors[f"{name}.lora_up.weight"] = state[module + B]
        tensors[f"{name}.alpha"] = torch.tensor(alpha)
    return tensors


def _write_comfyui(tensors: dict[str, Tensor], target: Path) -> None:
    from safetensors.torch import save_file

    with staged(target.parent) as stage:
        save_file(tensors, stage / target.name, metadata={"format": "pt"})


def _check_target(target: Path, form: Format) -> None:
    """Raise UserError if anything but an earlier export in the same format would be overwritten."""
    from safetensors import SafetensorError, safe_open

    if not target.exists():
        return
    with contextlib.suppress(SafetensorError, OSError), safe_open(str(target), framework="np") as file:
        if all(name.startswith(_PREFIXES[form]) for name in file.keys()):  # noqa: SIM118  it is no dict
            return
    raise UserError(
        f"{target} exists and is not a LoRA in the format {form}", expected="nothing there", remedy="another `out`"
    )
