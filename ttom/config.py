"""Typed settings. Frozen dataclasses, checked when built; presets.py holds the named values.

Messages, here and in the whole library, name a setting by its field in backquotes, with or without a value:
`tto.lr`, `dtype=float32`. The command line shows its own options in their place (ttom/cli/flags.py).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from ttom.errors import UserError
from ttom.types import VideoSize

Device = Literal["auto", "cpu", "cuda"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Average = Literal["frames", "objects"]
Mask = Literal["gaussian", "smoothed-box"]
MemoryMode = Literal["off", "read", "readwrite"]
MemoryUse = Literal["init", "load"]
Fusion = Literal["average", "similarity", "svd"]
Update = Literal["replace", "merge"]
ValueDtype = Literal["bfloat16", "float32"]
PlannerKind = Literal["rules", "llm"]
PlannerStage = Literal["enrich", "metadata", "check-metadata", "layout", "check-layout", "one-call"]
VideoText = Literal["original", "enriched"]
Region = Literal["ellipse", "box", "gaussian"]
LORA_PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")


def _require(settings: Any, group: str, name: str, expected: str, accepted: Callable[[Any], bool]) -> None:
    """Raise UserError unless a field's value is accepted; a value of a wrong type is not."""
    value = getattr(settings, name)
    try:
        fits = accepted(value)
    except (TypeError, AttributeError):
        fits = False
    if not fits:
        field = f"`{group}.{name}`"
        shown = (" ".join(map(str, value)) or "empty") if isinstance(value, tuple | list) else value
        raise UserError(f"{field} is {shown}", expected=expected, remedy=f"leave {field} out to use the default")


def _require_counts(settings: Any, group: str, *names: str, or_none: bool = False) -> None:
    expected = "a whole number of at least 1" + (", or None" if or_none else "")
    for name in names:
        _require(settings, group, name, expected, lambda n: (n is None and or_none) or is_whole(n, 1))


def _require_switches(settings: Any, group: str, *names: str) -> None:
    for name in names:
        _require(settings, group, name, "True or False", lambda value: isinstance(value, bool))


def _require_names(settings: Any, group: str, *names: str) -> None:
    for name in names:
        _require(settings, group, name, "a name", _is_name)


def _require_choices(settings: Any, group: str, **choices: Any) -> None:
    """Each of these fields has one of the values of its Literal."""
    for name, literal in choices.items():
        known = get_args(literal)
        _require(settings, group, name, f"one of {', '.join(known)}", known.__contains__)


def is_whole(number: Any, least: int) -> bool:
    """Whether it is a whole number of at least this; 2.5, 2.0 and True are none."""
    return type(number) is int and number >= least


def _are_blocks(blocks: Any) -> bool:
    return len(blocks) == len(set(blocks)) > 0 and all(is_whole(block, 0) for block in blocks)


def _are_stages(stages: Any) -> bool:
    one_call = "one-call" in stages
    planning = {"one-call"} if one_call else {"metadata", "layout"}
    extra = {"enrich"} if one_call else {"enrich", "check-metadata", "check-layout"}
    return len(stages) == len(set(stages)) and planning <= set(stages) <= planning | extra


def _is_name(text: Any) -> bool:
    return isinstance(text, str) and bool(text.strip())


def _is_positive(number: float) -> bool:
    return math.isfinite(number) and number > 0


def is_plain_address(url: str) -> bool:
    """Whether it is an http(s) address of a host, without anything secret in it."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return False
    plain = parts.username is None and parts.password is None and not parts.query and not parts.fragment
    return parts.scheme in ("http", "https") and bool(parts.hostname) and plain and not re.search(r"\s", url)


@dataclass(frozen=True)
class SamplerConfig:
    """The denoising loop."""

    steps: int = 50
    """Denoising steps."""
    guidance_scale: float = 5.0
    """Classifier-free guidance weight; 1 or less turns guidance off."""
    flow_shift: float | None = None
    """Wan's flow shift: larger ones spend more steps at high noise. The model's own scheduler decides if not set."""
    dynamic_guidance: bool = False
    """Let the guidance weight vary over the steps, as diffusers' CogVideoXPipeline does with use_dynamic_cfg."""
    frames: int = 81
    """Picture frames: 4k+1 for Wan, 8k+1 for CogVideoX."""
    height: int = 480
    """Picture height in pixels."""
    width: int = 832
    """Picture width in pixels."""
    fps: int = 16
    """Frames per second of the written video."""
    max_sequence_length: int = 512
    """Text tokens the prompt is padded or cut to."""
    negative_prompt: str = ""
    """Text of the unconditional branch."""
    batched_guidance: bool | None = None
    """Predict for both prompts in one batch, or one after the other; as the stock pipeline does if not set."""
    cache_threshold: float | None = None
    """Skip all but the first block in steps where its output changes by less than this share (FirstBlockCache of
    diffusers), never in guided steps. Faster, but the video differs. Off if not set."""

    def __post_init__(self) -> None:
        _require_counts(self, "sampler", "steps", "frames", "height", "width", "fps", "max_sequence_length")
        _require_switches(self, "sampler", "dynamic_guidance")
        one_of = "True, False or None"
        _require(self, "sampler", "batched_guidance", one_of, lambda b: b is None or isinstance(b, bool))
        _require(self, "sampler", "guidance_scale", "a finite number", math.isfinite)
        above = "a finite number above 0, or None"
        for name in ("cache_threshold", "flow_shift"):
            _require(self, "sampler", name, above, lambda t: t is None or _is_positive(t))

    @property
    def size(self) -> VideoSize:
        """Frames, height and width."""
        return VideoSize(self.frames, self.height, self.width)

    @property
    def aspect(self) -> float:
        """Picture width / height."""
        return self.width / self.height


@dataclass(frozen=True)
class AdapterConfig:
    """The LoRA that test-time optimization trains (section 4.1: q, k, v, o of cross-attention, rank 32)."""

    rank: int = 32
    """Rank of the update."""
    alpha: float = 32.0
    """The update is scaled by alpha / rank."""
    projections: tuple[str, ...] = LORA_PROJECTIONS
    """Linear layers of the text-to-video attention that get a LoRA."""
    all_blocks: bool = False
    """Attach to every block, even where no gradient arrives; by default only up to the last target block."""
    first_block: int = 0
    """First block that gets a LoRA, at most the first target block; blocks before it then run once per guided step."""

    def __post_init__(self) -> None:
        _require_counts(self, "adapter", "rank")
        _require_switches(self, "adapter", "all_blocks")
        _require(self, "adapter", "first_block", "a block index, counted from 0", lambda b: is_whole(b, 0))
        _require(self, "adapter", "alpha", "a finite number above 0", _is_positive)
        some = f"some of {', '.join(LORA_PROJECTIONS)}"
        _require(self, "adapter", "projections", some, lambda p: bool(p) and set(p) <= set(LORA_PROJECTIONS))


@dataclass(frozen=True)
class TTOConfig:
    """Test-time optimization (section 3.2)."""

    blocks: tuple[int, ...] | Literal["auto"] = (3,)
    """Transformer blocks whose attention maps the loss reads, counted from 0; "auto" takes those that the probe
    recommends for the model (python -m probes.run)."""
    probe: str | None = None
    """With blocks auto: the probe.json to read; by default that in the model's folder or ~/.cache/ttom/probes."""
    lr: float = 1e-4
    """AdamW learning rate."""
    weight_decay: float = 0.0
    """AdamW weight decay."""
    guided_steps: int = 5
    """Denoising steps, from the first, before which the LoRA is optimized (table 7)."""
    iterations: int = 8
    """Optimizer iterations before each guided step (table 8)."""
    loss: str = "jsd"
    """Attention-to-layout loss (table 5): "jsd", "bce", "center_of_mass", "center_of_mass_motion", or one of
    ttom.losses.register_loss."""
    average: Average = "frames"
    """How the loss is averaged: over all latent frames of all objects in which they are seen, or first over those of an
    object and then over "objects", as in equation 2."""
    mask: Mask = "gaussian"
    """Soft mask of an object: a gaussian in place of its box, or the "smoothed-box" (section 3.2)."""
    sigma: float = 0.25
    """Standard deviation of that gaussian, or of the one that smooths the box, as a share of the box's size."""
    downsample: int = 1
    """Optimize on latents with this factor fewer rows and columns: faster, but a different loss; 1 is exact."""
    stop_loss: float | None = None
    """A guided step's iterations end early once the loss is below this; off if not set."""
    keep_after: bool = False
    """Leave the LoRA on in the steps after the guided ones, which destroys the picture; for experiments."""

    def __post_init__(self) -> None:
        expected = "auto, or at least one block index, each once, counted from 0"
        _require(self, "tto", "blocks", expected, lambda b: b == "auto" or _are_blocks(b))
        no_probe = "a file only together with `tto.blocks=auto`"
        _require(self, "tto", "probe", no_probe, lambda probe: probe is None or self.blocks == "auto")
        _require(self, "tto", "lr", "a finite number above 0", _is_positive)
        _require(self, "tto", "weight_decay", "a finite number of at least 0", lambda w: w == 0 or _is_positive(w))
        _require_names(self, "tto", "loss")
        _require_choices(self, "tto", average=Average, mask=Mask)
        _require(self, "tto", "sigma", "a finite number above 0", _is_positive)
        _require_counts(self, "tto", "guided_steps", "iterations", "downsample")
        _require_switches(self, "tto", "keep_after")
        _require(self, "tto", "stop_loss", "a finite number, or None", lambda s: s is None or math.isfinite(s))

    @property
    def targets(self) -> tuple[int, ...]:
        """The blocks as numbers, of settings that went through ``ttom.checkpoints.probe_file.resolve_blocks``."""
        assert self.blocks != "auto", "settings with blocks auto are resolved before they are used"
        return self.blocks


@dataclass(frozen=True)
class BiasConfig:
    """Attention bias: scores of an object's words, raised for video tokens inside its box and lowered outside."""

    strength: float | None = None
    """What is added to the attention scores at full noise. If not set, 8 for method bias, and none for method ttom,
    which takes a bias from a strength above 0."""
    end: float = 0.5
    """Noise level, from 0 to 1, where the bias has fallen to 0; it falls linearly from full noise, 1."""
    shape: Region = "ellipse"
    """What counts as inside: the ellipse inscribed in the box, the whole box, or smoothly a gaussian."""
    inside: float = 1.0
    """Weight of the raised scores inside."""
    outside: float = 1.0
    """Weight of the lowered scores outside."""
    blocks: tuple[int, ...] | Literal["all"] = "all"
    """Transformer blocks that get the bias, counted from 0."""
    in_maps: bool = True
    """Together with test-time optimization: whether its loss reads maps with the bias or without."""

    def __post_init__(self) -> None:
        expected = "a finite number of at least 0, or None"
        _require(self, "bias", "strength", expected, lambda s: s is None or s == 0 or _is_positive(s))
        _require(self, "bias", "end", "a noise level of at least 0 and below 1", lambda e: 0 <= e < 1)
        _require_choices(self, "bias", shape=Region)
        _require_switches(self, "bias", "in_maps")
        for name in ("inside", "outside"):
            _require(self, "bias", name, "a finite number of at least 0", lambda w: w == 0 or _is_positive(w))
        expected = "all, or at least one block index, each once, counted from 0"
        _require(self, "bias", "blocks", expected, lambda b: b == "all" or _are_blocks(b))


@dataclass(frozen=True)
class LVDConfig:
    """Method lvd: latents that follow the gradient of LVD's attention energy (arXiv 2309.17444), on `tto.blocks`."""

    share: float = 0.25
    """Share of the denoising steps, from the first, before which the latents are optimized (10 of 40)."""
    iterations: int = 5
    """Updates before each of these steps, at most."""
    scale: float = 5.0
    """Step size: the latents move by this many times the gradient."""
    stop_energy: float | None = None
    """A step's updates end early once the energy is below this; off if not set."""
    top: float = 0.75
    """Share of the cells inside the boxes, and of those outside, whose attention counts, the largest first."""
    outside: float = 4.0
    """Weight of the attention outside the boxes."""
    center: float = 0.0
    """Weight of the distance between the centers of mass of attention and boxes, such as 0.03; off at 0."""
    velocity: float = 5.0
    """Weight of the distance between their moves from frame to frame, as a multiple of the center's."""

    def __post_init__(self) -> None:
        _require(self, "lvd", "share", "a share above 0, at most 1", lambda s: 0 < s <= 1)
        _require_counts(self, "lvd", "iterations")
        _require(self, "lvd", "scale", "a finite number above 0", _is_positive)
        _require(self, "lvd", "stop_energy", "a finite number, or None", lambda e: e is None or math.isfinite(e))
        _require(self, "lvd", "top", "a share above 0, at most 1", lambda t: 0 < t <= 1)
        for name in ("outside", "center", "velocity"):
            _require(self, "lvd", name, "a finite number of at least 0", lambda w: w == 0 or _is_positive(w))


@dataclass(frozen=True)
class PlannerConfig:
    """Who plans the layout: our rules, or a language model behind any OpenAI-compatible endpoint (section 3.1)."""

    kind: PlannerKind = "rules"
    """"rules" reads English and needs no network; "llm" asks a language model (needs the extra llm)."""
    seed: int = 0
    """Seed of the rules planner's small random choices; the same seed gives the same layout."""
    strict: bool = False
    """If the LLM planner fails, stop with an error instead of falling back to the rules planner with a warning."""
    offline: bool = False
    """Take LLM plans from the cache only; needs neither key nor network."""
    refresh: bool = False
    """Ask again even if the cache has a plan, and replace it."""
    model: str = "gpt-4o"
    """Name of the language model at the endpoint."""
    base_url: str | None = None
    """Address of the endpoint, such as http://localhost:8000/v1; by default OPENAI_BASE_URL, else OpenAI's own."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key; the key itself is never an option. Own endpoints may need none."""
    stages: tuple[PlannerStage, ...] = ("metadata", "check-metadata", "layout", "check-layout")
    """Questions to the model: "enrich" comes on top; "one-call" stands for the other four (cheaper, less careful)."""
    video_text: VideoText = "original"
    """With the stage enrich: whether the video is made from the original prompt or from the enriched one."""
    repair_rounds: int = 2
    """How many times the model may correct an answer before the plan counts as failed."""
    temperature: float | None = 0.2
    """Sampling temperature of the language model; None leaves it to the server."""
    timeout: float = 60.0
    """Seconds the server may stay silent during a request."""
    retries: int = 4
    """Retries after 429, 5xx or a broken connection; waits as long as the server asks."""
    concurrency: int = 4
    """Prompts planned at the same time."""
    cache_dir: str = "~/.cache/ttom/layouts"
    """Folder of finished LLM plans; several processes may share it."""
    min_size: float = 0.05
    """Minimum width and height of a box, as a share of the picture; smaller boxes from the model are enlarged."""
    max_speed: float = 2.5
    """Maximum speed of a box's center, in picture widths or heights per video; faster counts as a mistake."""
    input_price: float | None = None
    """US dollars per million tokens sent, for the cost in the report; None if unknown."""
    output_price: float | None = None
    """US dollars per million tokens received, for the cost in the report; None if unknown."""

    def __post_init__(self) -> None:
        _require_choices(self, "planner", kind=PlannerKind, video_text=VideoText)
        _require_switches(self, "planner", "strict", "offline", "refresh")
        expected = "metadata and layout, and if wanted enrich, check-metadata, check-layout; or one-call, and enrich"
        _require(self, "planner", "stages", expected, _are_stages)
        _require_names(self, "planner", "model", "cache_dir")
        self._check_address()
        for name in ("repair_rounds", "retries"):
            _require(self, "planner", name, "a whole number of at least 0", lambda n: is_whole(n, 0))
        _require_counts(self, "planner", "concurrency")
        for name in ("timeout", "max_speed"):
            _require(self, "planner", name, "a finite number above 0", _is_positive)
        _require(self, "planner", "min_size", "a share from 0 to 0.5", lambda size: 0 <= size <= 0.5)
        for name in ("temperature", "input_price", "output_price"):
            _require(self, "planner", name, "at least 0, or None", lambda n: n is None or n == 0 or _is_positive(n))

    def _check_address(self) -> None:
        """Where a secret might stand, the message does not repeat the value, for settings go into reports."""
        name, url = self.key_variable, self.base_url
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise UserError(
                "`planner.key_variable` is not the name of an environment variable",
                expected="a name of letters, digits and _; never the key itself",
                remedy="export OPENAI_API_KEY=..., and leave `planner.key_variable` out",
            )
        if url is not None and not (isinstance(url, str) and is_plain_address(url)):
            raise UserError(
                "`planner.base_url` is not a plain http address",
                expected="http://HOST:PORT/v1 or https://..., without user name, password or query",
                remedy="put the key into the environment variable of `planner.key_variable`",
            )


@dataclass(frozen=True)
class MemoryConfig:
    """The parametric memory (section 3.3): optimized adapters of past prompts, keyed by abstracted prompts."""

    path: str | None = None
    """Folder of the memory; no memory if not set."""
    mode: MemoryMode = "readwrite"
    """"read" leaves every byte of the folder as it is; "readwrite" also inserts and updates; "off" ignores it."""
    use: MemoryUse = "init"
    """After a match: "init" continues optimizing from it, "load" uses it as it is."""
    threshold: float = 0.97
    """Minimum similarity for a match, from -1 to 1; its meaning depends on the embedder."""
    top_k: int = 1
    """Maximum number of entries read."""
    fusion: Fusion = "svd"
    """How several entries are fused: their "average", weighted by "similarity", or by the "svd" of the mean update."""
    update: Update = "replace"
    """What happens to matched entries after further optimization: "replace" their values, or "merge" old and new."""
    namespace: str = "default"
    """Whose memory is read and written."""
    shared_namespace: str | None = None
    """Namespace that is read if the own one has no match; never written."""
    max_items: int | None = None
    """Maximum number of entries in the namespace; least-used entries are evicted first."""
    max_bytes: int | None = None
    """Maximum bytes of values in the namespace."""
    embedder: str = "backbone"
    """What embeds the keys: "backbone" (its text encoder), "clip", or a Hub id or folder."""
    index: str = "Flat"
    """FAISS index: "Flat" is exact; "HNSW32" or "IVF1024,Flat" for very many entries."""
    index_gpu: bool = False
    """Keep the index on a GPU (needs faiss-gpu)."""
    dtype: ValueDtype = "bfloat16"
    """Number format of the stored values."""

    def __post_init__(self) -> None:
        _require_choices(self, "memory", mode=MemoryMode, use=MemoryUse, fusion=Fusion, update=Update, dtype=ValueDtype)
        in_range = "a similarity from -1 to 1"
        _require(self, "memory", "threshold", in_range, lambda t: math.isfinite(t) and -1 <= t <= 1)
        _require_counts(self, "memory", "top_k")
        _require_counts(self, "memory", "max_items", "max_bytes", or_none=True)
        _require_switches(self, "memory", "index_gpu")
        _require_names(self, "memory", "namespace", "embedder", "index")
        other = "another name, or None"
        _require(
            self,
            "memory",
            "shared_namespace",
            other,
            lambda name: name is None or (_is_name(name) and name != self.namespace),
        )

    @property
    def active(self) -> bool:
        """Whether there is a memory to use."""
        return self.path is not None and self.mode != "off"


@dataclass(frozen=True)
class RuntimeConfig:
    """How the model runs: trades memory for time, and leaves the method as it is; see docs/performance.md."""

    checkpointing: bool = False
    """Optimize with gradient checkpointing: less memory, but blocks before the last target block run twice."""
    offload: bool = False
    """Keep the text encoder and the VAE on the CPU while they are idle."""
    resident_blocks: int | None = None
    """Transformer blocks, from the first, that stay on the GPU, the target blocks among them; the others come from the
    CPU in each step. All if not set."""
    vae_tiling: bool = False
    """Decode the video in overlapping tiles: less memory, slightly different pixels."""
    compile: bool = False
    """Compile the transformer's blocks with torch.compile, which takes some time in the first steps."""
    attention: str | None = None
    """Attention back end of diffusers, such as "_native_cudnn"; it needs a backward. diffusers' choice if not set."""
    fp8: bool = False
    """Keep the transformer's weights in 8 bits and compute in the usual format: half the memory, slightly different
    pixels."""

    def __post_init__(self) -> None:
        _require_counts(self, "runtime", "resident_blocks", or_none=True)
        _require_switches(self, "runtime", "checkpointing", "offload", "vae_tiling", "compile", "fp8")
        trains = "a back end with a backward"
        _require(self, "runtime", "attention", trains, lambda a: a is None or not a.startswith("sage"))
        if self.compile and self.resident_blocks is not None:
            raise UserError(
                "`runtime.compile` and `runtime.resident_blocks` do not go together",
                remedy="leave one of them out",
            )


@dataclass(frozen=True)
class Settings:
    """Everything a run needs apart from the prompt and the model."""

    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    adapter: AdapterConfig = field(default_factory=AdapterConfig)
    tto: TTOConfig = field(default_factory=TTOConfig)
    bias: BiasConfig = field(default_factory=BiasConfig)
    lvd: LVDConfig = field(default_factory=LVDConfig)
    planner: PlannerConfig = field(default_factory=PlannerConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)

    def __post_init__(self) -> None:
        steps = self.sampler.steps
        if self.tto.guided_steps > steps:
            raise UserError(
                f"`tto.guided_steps` is {self.tto.guided_steps}",
                expected=f"at most `sampler.steps` ({steps})",
                remedy=f"`tto.guided_steps={steps}`, or more `sampler.steps`",
            )
        if self.tto.blocks != "auto" and self.adapter.first_block > min(self.tto.blocks):
            raise UserError(
                f"`adapter.first_block` is {self.adapter.first_block}",
                expected=f"at most {min(self.tto.blocks)}, the first of `tto.blocks`: no later LoRA changes its map",
                remedy=f"`adapter.first_block={min(self.tto.blocks)}`",
            )
