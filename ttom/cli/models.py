"""`ttom models`: which models there are, at which size and with which preset they run, and which objects they know."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from ttom import checkpoints
from ttom.checkpoints.card import read_card
from ttom.errors import UserError, cut_short
from ttom.presets import find_preset, preset_for

if TYPE_CHECKING:
    from rich.console import Console

FAMILIES = {"WanPipeline": "Wan 2.1", "CogVideoXPipeline": "CogVideoX"}
"""What users call the pipeline classes that TTOM runs."""

HUB = {
    "Wan-AI/Wan2.1-T2V-1.3B-Diffusers": ("WanPipeline", (4.2, 10.4)),
    "Wan-AI/Wan2.1-T2V-14B-Diffusers": ("WanPipeline", (13.6, 47.9)),
    "zai-org/CogVideoX-2b": ("CogVideoXPipeline", (5.0, 7.7)),
    "zai-org/CogVideoX-5b": ("CogVideoXPipeline", (5.3, 16.8)),
    "zai-org/CogVideoX1.5-5B": ("CogVideoXPipeline", None),
}
"""Models on the Hub: pipeline class; peak GiB on a GPU of a whole run with all memory-saving settings, and of the
optimization with the whole transformer there (both at target block 3), where they were measured."""

NOTES = (
    "low and fast are peaks of GPU memory, measured on one H100 with --tto.blocks 3 (docs/performance.md). "
    "low: a whole run with --runtime.offload --runtime.vae-tiling --runtime.checkpointing --runtime.resident-blocks 4. "
    "fast: the optimization with the whole transformer on the GPU, without the text encoder. "
    "Other models of these families run too."
)


@dataclass(frozen=True)
class Models:
    """List the models, their sizes, presets and VRAM; with MODEL, what this one knows."""

    model: Annotated[Positional[str | None], arg(metavar="MODEL")] = None
    """An embedded model, a Hub id of the list, or a diffusers folder."""
    nouns: FlagCreatePairsOff[bool] = False
    """List the objects that the embedded models know."""
    json: FlagCreatePairsOff[bool] = False
    """Print JSON."""


@dataclass(frozen=True)
class ModelInfo:
    """A row of the list.

    Attributes:
        name: What --model takes.
        family: "Wan 2.1" or "CogVideoX".
        preset: The settings that it runs with by default.
        embedded: Whether it comes with the package.
        frames: Frames of a video, by default.
        height: Rows of pixels.
        width: Columns of pixels.
        fps: Frames per second.
        steps: Denoising steps.
        vram_low_gib: Peak GPU memory with all memory-saving settings; None if it was not measured.
        vram_fast_gib: Peak GPU memory of the optimization with the whole transformer on the GPU.
        nouns: The objects it knows; empty if they cannot be listed.
    """

    name: str
    family: str
    preset: str
    embedded: bool
    frames: int
    height: int
    width: int
    fps: int
    steps: int
    vram_low_gib: float | None
    vram_fast_gib: float | None
    nouns: tuple[str, ...]


def models(command: Models) -> None:
    """Run `ttom models`. Raises UserError for a model that is neither known nor a folder."""
    names = [command.model] if command.model is not None else [*checkpoints.EMBEDDED, *HUB]
    if command.nouns and command.model is None:
        names = list(checkpoints.EMBEDDED)
    found = [describe(name) for name in names]
    if command.json:
        print(json.dumps({"version": 1, "models": [asdict(info) for info in found]}, indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False, markup=False)
    if command.model is not None:
        _print_one(console, found[0])
    elif command.nouns:
        for nouns in dict.fromkeys(info.nouns for info in found):
            console.print(f"{', '.join(info.name for info in found if info.nouns == nouns)}: {len(nouns)} objects")
            _print_nouns(console, nouns)
    else:
        _print_list(console, found)


def describe(name: str) -> ModelInfo:
    """What is known of a model without loading it.

    Raises:
        UserError: The name is neither a model of the list nor a folder of a supported pipeline.
    """
    embedded, folder = name in checkpoints.EMBEDDED, checkpoints.folder_of(name)
    if folder is not None:
        pipeline, vram = checkpoints.pipeline_class(folder), None
        if pipeline not in FAMILIES:
            raise UserError(
                f"{name!r} is not a pipeline that TTOM can run" + (f": it is a {pipeline!r}" if pipeline else ""),
                expected=f"a diffusers folder of a {' or '.join(FAMILIES)}",
            )
    elif name in HUB:
        pipeline, vram = HUB[name]
    else:
        raise UserError(
            f"{cut_short(repr(name), 100)} is not in the list of models",
            expected=f"one of {', '.join([*checkpoints.EMBEDDED, *HUB])}, or a diffusers folder",
            remedy="ttom models",
        )
    card, preset = read_card(name), preset_for(name)
    sampler = find_preset(preset)().sampler
    return ModelInfo(
        name=name,
        family=FAMILIES[pipeline],
        preset=preset,
        embedded=embedded,
        frames=sampler.frames,
        height=sampler.height,
        width=sampler.width,
        fps=sampler.fps,
        steps=sampler.steps,
        vram_low_gib=vram[0] if vram else None,
        vram_fast_gib=vram[1] if vram else None,
        nouns=card.nouns if card is not None else (),
    )


def _print_list(console: Console, found: list[ModelInfo]) -> None:
    from rich import box
    from rich.table import Table

    embedded = Table(box=box.SIMPLE, title="Embedded: no download, run on a CPU", title_justify="left")
    hub = Table(box=box.SIMPLE, title="On the Hugging Face Hub", title_justify="left")
    for table, columns in ((embedded, ("preset", "video", "objects")), (hub, ("preset", "video", "low", "fast"))):
        table.add_column("model", no_wrap=True, overflow="fold")
        for column in columns:
            table.add_column(column, justify="right" if column in ("objects", "low", "fast") else "left")
    for info in found:
        if info.embedded:
            embedded.add_row(info.name, info.preset, _video(info), str(len(info.nouns)))
        else:
            hub.add_row(info.name, info.preset, _video(info), _gib(info.vram_low_gib), _gib(info.vram_fast_gib))
    for table in (embedded, hub):
        console.print(table)
    console.print(NOTES)
    console.print("\nObjects that the embedded models know: ttom models --nouns")


def _print_one(console: Console, info: ModelInfo) -> None:
    from rich.text import Text

    vram = f"{_gib(info.vram_low_gib)} low, {_gib(info.vram_fast_gib)} fast" if info.vram_low_gib else None
    lines = {
        "model": info.name if info.name.isprintable() else repr(info.name),
        "family": info.family,
        "video": f"{_video(info)}, {info.steps} steps",
        "preset": info.preset,
        "VRAM": vram,
    }
    for name, value in lines.items():
        if value is not None:
            console.print(Text(f"{name + ':':<9}{value}"))
    if info.nouns:
        console.print(f"{'objects:':<9}{len(info.nouns)}")
        _print_nouns(console, info.nouns)


def _print_nouns(console: Console, nouns: tuple[str, ...]) -> None:
    from rich.columns import Columns

    console.print(Columns(nouns, padding=(0, 3), column_first=True, equal=True))


def _video(info: ModelInfo) -> str:
    return f"{info.width} x {info.height}, {info.frames} frames, {info.fps} fps"


def _gib(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} GiB"
