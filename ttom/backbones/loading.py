"""Making a backbone from a model's name, or from a diffusers pipeline that is loaded already."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import torch
from diffusers import CogVideoXPipeline, DiffusionPipeline, WanPipeline
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from ttom import checkpoints
from ttom.backbones.cogvideox import CogVideoXBackbone
from ttom.backbones.protocol import Backbone
from ttom.backbones.runtime import prepare
from ttom.backbones.wan import WanBackbone
from ttom.config import Device, Dtype, RuntimeConfig
from ttom.errors import UserError, cut_short, first_line, printable

DEVICES, DTYPES = get_args(Device), get_args(Dtype)
SMALL_BYTES = 1_000_000_000
"""A folder with fewer bytes of weights counts as small: bfloat16 would save it nothing."""

ADAPTERS: dict[str, tuple[Any, Callable[[str, Any], Backbone]]] = {
    "WanPipeline": (WanPipeline, WanBackbone),
    "CogVideoXPipeline": (CogVideoXPipeline, CogVideoXBackbone),
}
"""For each pipeline class, by the name in model_index.json: the class, and what makes a backbone of it."""


def load_backbone(
    model: str | DiffusionPipeline,
    *,
    device: str = "auto",
    dtype: str = "auto",
    runtime: RuntimeConfig | None = None,
) -> Backbone:
    """Load a text-to-video pipeline as stock diffusers does and wrap it, or wrap a loaded one.

    Args:
        model: Name of an embedded checkpoint, a local diffusers folder, a Hub id ``owner/name``, or a loaded pipeline,
            which stays on its device and in its precision.
        device: ``auto`` takes CUDA when there is one.
        dtype: Of transformer and text encoder, and of CogVideoX's VAE; Wan's VAE is always float32. ``auto`` is
            bfloat16 for large models on CUDA, else float32 (small folders, the embedded checkpoint, and the CPU).
        runtime: How the model runs; the defaults if None.

    Raises:
        UserError: Unknown model, a folder that is not a pipeline, a pipeline without an adapter, no such device or
            dtype, weights that the device has no room for.
    """
    for name, value, choices in (("device", device, DEVICES), ("dtype", dtype, DTYPES)):
        if value not in choices:
            raise UserError(f"`{name}` is {value}", expected=f"one of {', '.join(choices)}")
    if not isinstance(model, str):
        return _wrapped(model, device, dtype, runtime or RuntimeConfig())
    source = _source(model)
    target = _device(device)
    weights = _dtype(dtype, target, source)
    with no_progress_bars():
        pipeline, adapter = _adapter(model, source)
        dtypes = {"default": weights, "vae": vae_dtype(adapter, weights)}
        options = {"use_safetensors": True, "trust_remote_code": False}  # nothing in a model's folder is ever run
        with _as_user_error(f"the text encoder of {model!r}"):
            parts = _text_encoder(adapter, source, weights)
        with _as_user_error(f"the model {model!r}"):
            pipe = pipeline.from_pretrained(source, dtype=dtypes, **parts, **options)
    backbone = adapter(model, pipe)
    prepare(backbone, target, runtime or RuntimeConfig())
    return backbone


def check_loadable(model: str, device: str = "auto", dtype: str = "auto") -> None:
    """Raise UserError where `load_backbone` would, as far as can be told without reading any weights."""
    source = _source(model)
    _adapter(model, source)
    _dtype(dtype, _device(device), source)


def _text_encoder(adapter: Any, source: str, weights: torch.dtype) -> dict[str, Any]:
    """The text encoder as a part for the pipeline; nothing if its class is not the adapter's to say.

    Loaded by itself, since the pipeline would accept one whose weights are partly missing, and fill these at random.
    """
    encoder: Any = getattr(adapter, "text_encoder", None)
    if encoder is None:
        return {}
    folder = Path(source) / "text_encoder"
    if os.path.isdir(source) and not os.path.isfile(folder / "config.json"):
        raise FileNotFoundError(f"there is no config.json in {folder}")
    loaded, report = encoder.from_pretrained(
        source,
        subfolder="text_encoder",
        dtype=weights,
        use_safetensors=True,
        trust_remote_code=False,
        ignore_mismatched_sizes=True,  # so that they are in the report
        output_loading_info=True,
    )
    wrong = sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])})
    if wrong:
        raise ValueError(f"it lacks weights that its config.json asks for, such as {wrong[0]}")
    return {"text_encoder": loaded.to(weights)}  # transformers may keep the precision that it is stored in


@contextmanager
def _as_user_error(what: str) -> Iterator[None]:
    """Whatever the libraries raise for a folder that is damaged or incomplete, as one error."""
    try:
        yield
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if "can't allocate memory" in str(error):  # how torch says it on a CPU
            raise
        raise UserError(
            f"{what} cannot be loaded: {first_line(error)}",
            expected="a pipeline whose every part is there and whole, its weights as safetensors",
            remedy="download it again, or save it with a pipeline's save_pretrained",
        ) from error


def _wrapped(pipe: DiffusionPipeline, device: str, dtype: str, runtime: RuntimeConfig) -> Backbone:
    """The backbone of a loaded pipeline, named as the pipeline was when it was loaded."""
    # Its class, or the one that the user's own class extends.
    known = [base.__name__ for base in type(pipe).__mro__ if base.__name__ in ADAPTERS]
    if not known:
        raise UserError(
            f"the model is a {type(pipe).__name__}",
            expected=f"a model's name, or a loaded text-to-video {' or '.join(ADAPTERS)}",
        )
    for name, value in (("device", device), ("dtype", dtype)):
        if value != "auto":
            raise UserError(
                f"`{name}` is {value}, but the pipeline is loaded already",
                expected="a pipeline that is on its device and in its precision",
                remedy=f"leave `{name}` out, and call the pipeline's to() before",
            )
    if any(getattr(getattr(part, "_hf_hook", None), "offload", False) for part in pipe.transformer.modules()):
        raise UserError(
            "the pipeline's transformer is offloaded layer by layer, so gradients could not pass through it",
            expected="a transformer whose blocks stay on the device",
            remedy="load the pipeline without enable_sequential_cpu_offload, and use `runtime.resident_blocks`",
        )
    backbone = ADAPTERS[known[0]][1](str(pipe.config.get("_name_or_path") or known[0]), pipe)
    if runtime != RuntimeConfig():
        prepare(backbone, pipe.device if pipe.device.type == "cuda" else _device("auto"), runtime)
    return backbone


def vae_dtype(adapter: Any, weights: torch.dtype) -> torch.dtype:
    """The number format of a family's VAE where the transformer's is ``weights``; float32 unless the family differs."""
    return torch.float32 if getattr(adapter, "vae_in_float32", True) else weights


def _source(model: str) -> str:
    """Folder or Hub id that diffusers can load."""
    if model in checkpoints.EMBEDDED:
        return str(checkpoints.path(model))
    folder = checkpoints.local_folder(model)
    if folder is not None:
        if not os.path.isfile(folder / "model_index.json"):
            raise UserError(
                f"the folder {model!r} is not a diffusers pipeline: it has no model_index.json",
                expected="a folder written by a diffusers pipeline's save_pretrained",
            )
        return str(folder)
    owner, _, name = model.partition("/")
    if not owner or not name or "/" in name or owner in (".", "..", "~") or os.path.exists(os.path.expanduser(model)):
        raise UserError(
            f"unknown model {model!r}",
            expected=f"an embedded name ({', '.join(checkpoints.EMBEDDED)}), a pipeline folder, or a Hub id owner/name",
        )
    return model


def _adapter(model: str, source: str) -> tuple[Any, Callable[[str, Any], Backbone]]:
    """The entry of ADAPTERS that the source's model_index.json names; on the Hub only that file is fetched."""
    try:
        found: Any = DiffusionPipeline.load_config(source).get("_class_name")
    except Exception as error:  # the Hub client raises its HTTP library's errors too
        raise UserError(
            f"the model {model!r} cannot be read: {first_line(error)}",
            expected="a diffusers pipeline that exists and can be reached",
            remedy="check the name and the network, or download it and pass the folder",
        ) from error
    if not isinstance(found, str) or found not in ADAPTERS:
        what = f"is a {cut_short(printable(str(found)), 60)}" if found else "names no pipeline in model_index.json"
        raise UserError(f"{model!r} {what}", expected=f"a text-to-video {' or '.join(ADAPTERS)}")
    return ADAPTERS[found]


def _device(device: str) -> torch.device:
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("`device` is cuda, but this machine has no CUDA device", remedy="`device=cpu`")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def _dtype(dtype: str, device: torch.device, source: str) -> torch.dtype:
    bf16 = device.type == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
    if dtype == "bfloat16" and not bf16:
        raise UserError("`dtype` is bfloat16, but this GPU has no bfloat16", remedy="`dtype=float16` or float32")
    if dtype != "auto":
        return getattr(torch, dtype)
    return torch.bfloat16 if device.type == "cuda" and bf16 and not _is_small(source) else torch.float32


def _is_small(source: str) -> bool:
    folder = Path(source)
    return folder.is_dir() and sum(f.stat().st_size for f in folder.rglob("*.safetensors")) < SMALL_BYTES


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Loading prints several bars of its own; they come back afterwards if they were on."""
    shown = [m for m in (diffusers_logging, transformers_logging) if m.is_progress_bar_enabled()]
    try:
        for module in shown:
            module.disable_progress_bar()
        yield
    finally:
        for module in shown:
            module.enable_progress_bar()
