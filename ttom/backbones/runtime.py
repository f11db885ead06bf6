"""How a pipeline runs: where its parts are, how its weights are stored, and which attention kernels it uses."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.hooks import apply_group_offloading
from diffusers.models.attention_dispatch import attention_backend, dispatch_attention_fn
from torch import nn

from ttom.backbones.base import PipelineBackbone
from ttom.backbones.protocol import Backbone
from ttom.config import RuntimeConfig
from ttom.errors import UserError, first_line

GIB = 2**30
RESIDENT = 4
"""Resident blocks to suggest: enough for target block 3."""
SAVING = "`runtime.offload` `runtime.vae_tiling` `runtime.checkpointing`"
COMPILED_FORMS = 32
"""How many variants of a block torch.compile may make: with a LoRA, with its map read, with gradients, and so on.

CogVideoX needs nine or more in one run. Beyond torch's limit of 8, the rest would run uncompiled.
"""


def prepare(backbone: Backbone, device: torch.device, runtime: RuntimeConfig) -> None:
    """Place the pipeline on the device as the settings say. This is final: other settings need another pipeline.

    Raises:
        UserError: The weights do not fit on the GPU, or the model does not support a setting.
    """
    pipe = backbone.pipe
    if not isinstance(backbone, PipelineBackbone):
        if runtime != RuntimeConfig():
            raise UserError(f"{backbone.name!r} has no `runtime` settings", remedy="leave them out")
        pipe.to(device)
        return
    if runtime.resident_blocks is not None and runtime.resident_blocks > backbone.num_blocks:
        raise UserError(
            f"`runtime.resident_blocks` is {runtime.resident_blocks}",
            expected=f"at most {backbone.num_blocks}, the blocks of {backbone.name!r}",
        )
    backbone.runtime = runtime
    if runtime.fp8:
        pipe.transformer.enable_layerwise_casting(torch.float8_e4m3fn, compute_dtype=backbone.dtype)
    if device.type == "cuda":
        check_fits(backbone, torch.cuda.mem_get_info(device)[0])
    _place(backbone, device)
    if runtime.attention is not None:
        _set_attention(pipe.transformer, runtime.attention, device)
    if runtime.checkpointing:
        pipe.transformer.enable_gradient_checkpointing()
    if runtime.vae_tiling:
        pipe.vae.enable_tiling()
    if runtime.compile:
        limits = torch._dynamo.config
        limits.recompile_limit = max(limits.recompile_limit, COMPILED_FORMS)
        # As diffusers' compile_repeated_blocks does, which CogVideoX's transformer is not made for.
        for block in backbone.blocks:
            block.compile(dynamic=False)


def check_fits(backbone: PipelineBackbone, free: int) -> None:
    """Raise UserError if the weights need more than ``free`` bytes, with the settings that would make them fit.

    Weights that are on a GPU already are not counted.
    """
    runtime, blocks = backbone.runtime, backbone.blocks
    parts = (backbone.pipe.text_encoder, backbone.pipe.vae)
    others = sum(_bytes(part) for part in parts if part is not None)
    streamed = sum(map(_bytes, blocks[runtime.resident_blocks :])) if runtime.resident_blocks is not None else 0
    transformer = _bytes(backbone.transformer) - streamed
    needed = transformer + (0 if runtime.offload else others)
    if needed <= free:
        return
    remedy = "a smaller model"
    whole = _bytes(backbone.transformer)
    resident = whole - sum(map(_bytes, blocks[RESIDENT:]))
    # On top of the weights, at the official sizes (docs/performance.md): tiled decoding takes 4.5 GiB; the optimization
    # at block 3 takes .4 of the weights with checkpointing, and streamed blocks 4 times what is resident.
    if max(1.4 * whole, whole + 5 * GIB) <= free:
        remedy = SAVING
    elif max(5 * resident, resident + 5 * GIB) <= free:
        remedy = f"{SAVING} `runtime.resident_blocks={RESIDENT}`"
        remedy += ", without `runtime.compile`" if runtime.compile else ""
        remedy += f", and `tto.blocks={RESIDENT - 1}` where the preset's lie deeper"
    raise UserError(
        f"the weights of {backbone.name!r} need {needed / GIB:.1f} GiB, and the GPU has {free / GIB:.1f} GiB free",
        expected="enough free memory for the weights that stay on the GPU and for the activations",
        remedy=remedy,
    )


def _bytes(module: nn.Module) -> int:
    return sum(parameter.nbytes for parameter in module.parameters() if parameter.device.type != "cuda")


def _place(backbone: PipelineBackbone, device: torch.device) -> None:
    runtime, pipe = backbone.runtime, backbone.pipe
    if runtime.resident_blocks is None and not runtime.offload:
        pipe.to(device)
        return
    if runtime.resident_blocks is None:
        pipe.transformer.to(device)
    else:
        _stream_blocks(backbone, device, runtime.resident_blocks)
    for part in (pipe.text_encoder, pipe.vae):
        if part is not None:
            part.to("cpu" if runtime.offload else device)
    if runtime.offload and pipe.text_encoder is not None:
        # The text encoder is larger than some GPUs.
        _stream(pipe.text_encoder, device)


def _stream_blocks(backbone: PipelineBackbone, device: torch.device, resident: int) -> None:
    """Keep the first blocks on the device; copy layers of the others from the CPU while the previous one computes.

    A backward through streamed layers would find their weights gone, so target blocks must be resident
    (`PipelineBackbone.check_blocks`). Each block is offloaded separately: forwards of the optimization end early, which
    would break the order that diffusers traces over a whole transformer.
    """
    transformer, blocks, stem = backbone.transformer, backbone.blocks, backbone.attention.split(".")[0]
    try:
        setattr(transformer, stem, nn.ModuleList(blocks[:resident]))
        transformer.to(device)
    finally:
        setattr(transformer, stem, blocks)
    for block in blocks[resident:]:
        _stream(block, device)


def _stream(module: nn.Module, device: torch.device) -> None:
    """Copy a module's layers to the GPU one by one, the next one while one computes.

    Without record_stream the CPU waits for each layer. Otherwise it would run many layers ahead of the GPU, and the
    weights of all of them would be there at once.
    """
    apply_group_offloading(
        module, onload_device=device, offload_type="leaf_level", use_stream=device.type == "cuda", record_stream=False
    )


def _set_attention(transformer: Any, name: str, device: torch.device) -> None:
    processor = next(iter(transformer.attn_processors.values()))
    if not hasattr(processor, "_attention_backend"):
        raise UserError(
            f"`runtime.attention` is {name}, but a {type(transformer).__name__} has only one attention implementation",
            remedy="leave `runtime.attention` out",
        )
    try:
        with attention_backend(name):  # restores what set_attention_backend changes globally
            transformer.set_attention_backend(name)
        # Whether there is a kernel for these weights on this device shows only when it is called.
        few = torch.zeros(1, 128, 1, transformer.config.attention_head_dim, device=device, dtype=transformer.dtype)
        dispatch_attention_fn(few, few, few, backend=processor._attention_backend)
    except torch.OutOfMemoryError:
        raise
    except (ValueError, RuntimeError, ImportError) as error:
        raise UserError(
            f"`runtime.attention` is {name}: {first_line(error)}",
            remedy="a diffusers backend that supports this device and `dtype`, such as native; or leave it out",
        ) from error
