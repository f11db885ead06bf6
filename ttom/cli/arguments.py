"""What the commands take. tyro makes the options from these dataclasses and their docstrings."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from ttom.config import Device, Dtype, MemoryConfig, PlannerConfig, PlannerKind, RuntimeConfig, Settings
from ttom.guidance.registry import DEFAULT_METHOD
from ttom.presets import DEFAULT_MODEL, PRESETS

Preset = Annotated[str | None, arg(metavar="{" + ",".join(PRESETS) + "}")]
"""The name of a preset; `find_preset` refuses others."""


@dataclass(frozen=True)
class PlannerOptions(PlannerConfig):
    """Plan the layout by rules, or with a language model behind any OpenAI-compatible endpoint (section 3.1)."""

    kind: Annotated[PlannerKind, arg(aliases=("--planner",))] = "rules"
    """"rules" reads English and needs no network; "llm" asks a language model (needs the extra llm)."""
    strict: Annotated[bool, arg(aliases=("--strict",))] = False
    """A failed LLM plan is an error instead of a warning and a plan by the rules."""
    offline: Annotated[bool, arg(aliases=("--offline",))] = False
    """Take LLM plans from the cache alone; no key, no network."""

    @classmethod
    def of(cls, config: PlannerConfig) -> PlannerOptions:
        return cls(**{field.name: getattr(config, field.name) for field in fields(config)})

    def plain(self) -> PlannerConfig:
        """The settings as the library knows them."""
        return PlannerConfig(**{field.name: getattr(self, field.name) for field in fields(self)})


@dataclass(frozen=True, kw_only=True)
class Run:
    """What every command that makes videos takes."""

    method: str = DEFAULT_METHOD
    """"ttom" steers attention toward the layout by test-time optimization, "bias" by an attention bias, "lvd" by moving
    the latents; "base" is the plain model. Names joined by + act together, in this order."""
    model: str = DEFAULT_MODEL
    """An embedded checkpoint's name, a Hub id, or a diffusers folder."""
    device: Device = "auto"
    """"auto" takes a GPU if there is one."""
    dtype: Dtype = "auto"
    """Number format of transformer, text encoder and CogVideoX's VAE (Wan's is always float32); "auto" is bfloat16 for
    large models on a GPU, else float32."""
    preset: Preset = None
    """Named settings; by default the embedded checkpoint's own, else cogvideox or paper by the model's family."""
    check: str = "auto"
    """Who compares the video with the plan: "auto" is EmojiWorld's detector with the embedded models and nobody with
    others; "off"; "grounding", or the Hub id or folder of a GroundingDINO."""
    tries: int = 1
    """Number of videos to make, with this seed and the following ones; the one that follows the plan best is kept."""
    plugin: tuple[str, ...] = ()
    """Modules of your own to import first, found on PYTHONPATH: they may register methods and losses."""
    quiet: FlagCreatePairsOff[bool] = False
    """Show no progress."""
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    settings: Annotated[Settings, arg(name="")] = field(default_factory=Settings)


@dataclass(frozen=True, kw_only=True)
class Generate(Run):
    """Turn a prompt into a video that follows a layout.

    Writes video.mp4, overlay.mp4 (the planned boxes drawn), attention.png, layout.json and report.json.
    The defaults below are those of the preset, which --preset or the model chooses.
    """

    prompt: Annotated[Positional[str], arg(metavar="PROMPT")]
    """What the video shows."""
    layout: Annotated[Path | None, arg(metavar="FILE")] = None
    """A layout file to follow instead of planning one from the prompt."""
    seed: int = 0
    """Seed of the noise and of the adapter's start; the same seed gives the same video."""
    out: Annotated[Path, arg(metavar="DIR")] = Path("runs/latest")
    """Folder for the results."""
    save_lora: Annotated[Path | None, arg(metavar="DIR")] = None
    """Folder for the optimized LoRA, in diffusers' format with a README that says how to use it."""


@dataclass(frozen=True, kw_only=True)
class Stream(Run):
    """Turn a file of prompts into videos, in its order, with one model and one memory.

    Makes one folder per prompt with the files that `generate` writes, and stream.jsonl with one line per prompt. If run
    again, it continues where it stopped. A prompt that is refused is recorded, and the run continues with the next one.
    """

    prompts: Annotated[Positional[Path], arg(metavar="PROMPTS")]
    """Prompts: .txt (one a line; # starts a comment), .jsonl (objects with "prompt" and optionally "id", "seed" and
    "layout") or .csv (columns of these names)."""
    seed: int = 0
    """Seed of the prompts that bring none of their own."""
    out: Annotated[Path, arg(metavar="DIR")] = Path("runs/stream")
    """Folder for the results."""


@dataclass(frozen=True)
class Plan:
    """Plan layouts without a video model: of one prompt, of a file of prompts, or from what other projects planned.

    For one PROMPT the layout is printed as JSON, or written to --out. With --prompts or --import, --out is a folder:
    one layout file a prompt, plan.jsonl with what became of each, and prompts.jsonl, which `ttom stream` takes.
    """

    prompt: Annotated[Positional[str | None], arg(metavar="PROMPT")] = None
    """What the video shows."""
    prompts: Annotated[Path | None, arg(metavar="FILE")] = None
    """Prompts to plan, in the forms that `ttom stream` reads (.txt, .jsonl, .csv)."""
    import_: Annotated[Path | None, arg(name="import", metavar="FILE")] = None
    """Layouts to check and take over: a cache of TTOM's authors or of LVD (JSON), or a model's raw answer to PROMPT."""
    canvas: Annotated[tuple[int, int] | None, arg(metavar="WIDTH HEIGHT")] = None
    """With --import: pixels that the boxes were drawn on; by default 720 480 for TTOM's caches, 512 512 for LVD's."""
    out: Annotated[Path | None, arg(metavar="PATH")] = None
    """Layout file to write (JSON; printed if not set), or the folder for several layouts."""
    draw: Annotated[Path | None, arg(metavar="FILE.png")] = None
    """Contact sheet to draw, and FILE.gif with the moving boxes; for several layouts, GIFs are placed next to them."""
    preset: Preset = None
    """Whose video size to plan for; by default that of emojiworld."""
    width: int | None = None
    """Picture width in pixels, by default the preset's; with the height it decides which boxes are square."""
    height: int | None = None
    """Picture height in pixels, by default the preset's."""
    quiet: FlagCreatePairsOff[bool] = False
    """Show no progress."""
    planner: PlannerConfig = field(default_factory=PlannerOptions)


@dataclass(frozen=True, kw_only=True)
class Studio:
    """Plan, draw, generate and compare in a browser (needs the extra studio).

    Serves one page, on this machine alone unless --host says otherwise; then with a token, which is printed once. Runs
    are kept in the folder --out, which is all that the studio stores.
    """

    model: str = DEFAULT_MODEL
    """An embedded checkpoint's name, a Hub id, or a diffusers folder."""
    host: Annotated[str, arg(metavar="ADDRESS")] = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for every address of this machine."""
    port: int = 7860
    """Port to listen on; 0 takes a free one."""
    out: Annotated[Path, arg(metavar="DIR")] = Path("runs/studio")
    """Folder for the runs."""
    device: Device = "auto"
    """"auto" takes a GPU if there is one."""
    dtype: Dtype = "auto"
    """Number format, as in `ttom generate`."""
    check: str = "auto"
    """Who compares videos with their plans, as in `ttom generate`."""
    plugin: tuple[str, ...] = ()
    """Modules of your own to import first, found on PYTHONPATH: they may register methods and losses."""
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    planner: PlannerConfig = field(default_factory=PlannerOptions)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
