"""A run's LoRA as one file to download, with instructions for using it elsewhere."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

from ttom import checkpoints
from ttom.config import Settings
from ttom.errors import UserError
from ttom.studio.errors import Refused
from ttom.studio.record import LORA, RunRecord

_INSIDE = "ttom-lora"  # folder in the archive
_COMFYUI = "ttom-comfyui.safetensors"
_WAN_ALONE = "(Wan, exported in its format)"  # in the README
_EXAMPLE = '''"""Use this LoRA with diffusers, in the first {guided} steps only: left on, it destroys the picture.

A stock loader, in diffusers as in ComfyUI, applies a LoRA at every step; the callback below ends that. README.md says
how to do the same in ComfyUI. Other prompts than the LoRA's own will not follow its layout.
"""

import torch
from diffusers import DiffusionPipeline
from diffusers.utils import export_to_video

GUIDED_STEPS = {guided}
pipe = DiffusionPipeline.from_pretrained({model!r}, dtype=torch.{dtype})
if torch.cuda.is_available():
    pipe.to("cuda")
pipe.load_lora_weights(".", weight_name="pytorch_lora_weights.safetensors")


def gate(pipe, step, timestep, tensors):
    if step + 1 == GUIDED_STEPS:
        pipe.disable_lora()  # pipe.enable_lora() before the next video
    return tensors


video = pipe(
    {prompt!r},
    num_inference_steps={steps},
    guidance_scale={guidance},
    num_frames={frames},
    height={height},
    width={width},
    max_sequence_length={length},
    generator=torch.Generator("cpu").manual_seed({seed}),
    callback_on_step_end=gate,
).frames[0]
export_to_video(video, "video.mp4", fps={fps})
'''


def lora_zip(folder: Path, record: RunRecord, model: str, settings: Settings) -> bytes:
    """The archive: weights for diffusers and, of a Wan model, for ComfyUI, README.md and example.py.

    Raises:
        Refused: The run has no LoRA.
    """
    source = folder / LORA
    paths = [path for path in sorted(source.glob("*")) if path.suffix in (".md", ".safetensors") and path.is_file()]
    if not any(path.suffix == ".safetensors" for path in paths):
        raise Refused(
            404,
            f"this run has no LoRA: its state is {record.state}, its method {record.order.method}",
            expected="a finished run of a method that trains one",
            remedy="method ttom",
        )
    buffer = io.BytesIO()
    weights = next(path for path in paths if path.suffix == ".safetensors")
    converted = _for_comfyui(weights)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in paths:
            data = path.read_bytes()
            if path.suffix == ".md":  # it names the folder on this machine
                data = data.replace(str(source).encode(), _INSIDE.encode())
                if converted is not None:
                    data = data.replace(_WAN_ALONE.encode(), f"(`{_COMFYUI}`)".encode())
            archive.writestr(f"{_INSIDE}/{path.name}", data)
        if converted is not None:
            archive.writestr(f"{_INSIDE}/{_COMFYUI}", converted)
        archive.writestr(f"{_INSIDE}/example.py", example(record, model, settings))
    return buffer.getvalue()


def _for_comfyui(weights: Path) -> bytes | None:
    """The weights under ComfyUI's names; None for a model that it has no names for."""
    from safetensors import safe_open
    from safetensors.torch import save

    from ttom.memory.export import comfyui_tensors

    with safe_open(str(weights), framework="pt") as file:
        about = json.loads(file.metadata()["lora_adapter_metadata"])
        state = {name.removeprefix("transformer."): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    modules = sorted({name.rpartition(".lora_")[0] for name in state})
    try:
        tensors = comfyui_tensors(state, modules, float(about["transformer.lora_alpha"]))
    except UserError:
        return None
    return save(tensors, metadata={"format": "pt"})


def example(record: RunRecord, model: str, settings: Settings) -> str:
    """A script that uses the LoRA with diffusers alone."""
    sampler = settings.sampler
    try:
        embedded = checkpoints.path(model)
    except UserError:
        embedded = None
    return _EXAMPLE.format(
        guided=settings.tto.guided_steps,
        model=str(embedded) if embedded is not None else model,
        dtype="float32" if embedded is not None else "bfloat16",
        prompt=record.order.prompt,
        steps=sampler.steps,
        guidance=sampler.guidance_scale,
        frames=sampler.frames,
        height=sampler.height,
        width=sampler.width,
        length=sampler.max_sequence_length,
        seed=record.order.seed,
        fps=sampler.fps,
    )
