"""One prompt -> video and report: the only place where the rooms meet.

Read `TTOM.generate` as a list: plan, load, prepare, look up the memory, denoise with the method's parts, decode, write
the files, update the memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ttom import provenance
from ttom.check.finders import Finder, find_finder
from ttom.checkpoints.probe_file import resolve_blocks
from ttom.config import MemoryConfig, RuntimeConfig, Settings
from ttom.errors import UserError
from ttom.guidance.registry import DEFAULT_METHOD, Method, find_method, import_parts
from ttom.identity import identity
from ttom.layout.model import Layout
from ttom.prepare import LayoutPlanner, Plans, Request, check_model, plan, prepare
from ttom.presets import DEFAULT_MODEL, find_preset, preset_for
from ttom.report import Report
from ttom.result import Result, Stopwatch
from ttom.run import MemoryUpdateError, Model, Run
from ttom.types import Progress, Recollection, no_progress

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

    from ttom.backbones.protocol import Backbone
    from ttom.memory.memory import Lookup, Memory
    from ttom.memory.signature import Signature

__all__ = ["TTOM", "MemoryUpdateError"]

# The rooms that need torch, diffusers or lightning are imported where they are used: that takes seconds, in which a
# wrong prompt has been refused already, and `TTOM.load` counts it as loading.


class TTOM:
    """A model together with the settings it runs with. Use it as a context manager, or call `close`.

    Args:
        model: An embedded checkpoint's name, a Hub id, a diffusers folder, or a loaded diffusers pipeline, which stays
            as and where it is.
        device: "auto" (a GPU if there is one), "cpu" or "cuda".
        dtype: "auto", "float32", "bfloat16" or "float16".
        preset: Name of the settings (see ttom/presets.py); None for the model's own.
        runtime: How the model runs (memory and speed); the defaults if None.
        planner: Plans layouts in place of the planner that the settings name: a function of a prompt and the picture's
            width / height that returns a `Layout`, or raises UserError.

    The model is loaded when first needed; `from_pretrained` loads it at once.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | DiffusionPipeline = DEFAULT_MODEL,
        *,
        device: str = "auto",
        dtype: str = "auto",
        preset: str | None = None,
        runtime: RuntimeConfig | None = None,
        planner: LayoutPlanner | None = None,
    ) -> None:
        self._pipe = None if isinstance(model, str | os.PathLike) else model
        self.model = os.fspath(model) if isinstance(model, str | os.PathLike) else provenance.pipeline_name(model)
        self.device, self.dtype = device, dtype
        self.preset = preset_for(self.model) if preset is None else preset
        find_preset(self.preset)  # raises where there is none
        self.runtime = runtime or RuntimeConfig()
        self._backbone: Backbone | None = None
        self._digest: str | None = None
        self._memories: dict[tuple[MemoryConfig, Signature], Memory] = {}
        self._plans = Plans(planner)

    @classmethod
    def from_pretrained(cls, model: str | os.PathLike[str] | DiffusionPipeline = DEFAULT_MODEL, **options: Any) -> Self:
        """Make a TTOM and load its model; options as in the constructor.

        Raises:
            UserError: For an unknown model, device, dtype or preset.
        """
        made = cls(model, **options)
        made.load()
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the memories. What is needed again is opened again."""
        while self._memories:
            _, memory = self._memories.popitem()
            memory.close()

    @property
    def settings(self) -> Settings:
        """The preset's settings; change a copy with dataclasses.replace and hand it to `generate`."""
        return find_preset(self.preset)()

    def load(self) -> Backbone:
        """The backbone, loaded on the first call."""
        if self._backbone is None:
            from ttom.backbones import load_backbone

            import_parts()
            model = self.model if self._pipe is None else self._pipe
            self._backbone = load_backbone(model, device=self.device, dtype=self.dtype, runtime=self.runtime)
        return self._backbone

    @property
    def model_digest(self) -> str | None:
        """Digest of the model's weights; None if its files are not there yet."""
        if self._digest is None:
            pipe = self._pipe
            self._digest = provenance.model_digest(self.model) if pipe is None else provenance.pipeline_digest(pipe)
        return self._digest

    def identity(
        self,
        prompt: str,
        method: str | Method = DEFAULT_METHOD,
        seed: int = 0,
        layout: Layout | None = None,
        settings: Settings | None = None,
        tries: int = 1,
        check: str = "auto",
    ) -> str:
        """What `generate` would report as the identity of a case; arguments as there.

        A model that is not on this machine yet is loaded.
        """
        if self.model_digest is None:
            self.load()
        request = self._request(prompt, find_method(method), seed, layout, settings)
        return identity(replace(request, tries=tries, check=check), self.model_digest, self.dtype, self.runtime)

    def plan(self, prompt: str, settings: Settings | None = None) -> Layout:
        """The layout that `generate` would use. Raises UserError if the prompt holds nothing to lay out."""
        request = Request(prompt, 0, DEFAULT_METHOD, None, settings or self.settings)
        return self._plans.of(prompt, request.aspect, request.settings.planner).layout

    def plan_ahead(
        self, prompts: Sequence[str], settings: Settings | None = None, done: Callable[[], None] = lambda: None
    ) -> None:
        """Plan the prompts of coming calls now, with the LLM planner several at a time; `done` is called after each.

        A prompt that cannot be planned is refused later, by `generate`.

        Raises:
            SetupError: The planner's settings cannot work for any prompt.
        """
        settings = settings or self.settings
        self._plans.ahead(prompts, settings.sampler.aspect, settings.planner, done)

    def generate(  # noqa: PLR0913  # keyword arguments of the public interface
        self,
        prompt: str,
        method: str | Method = DEFAULT_METHOD,
        seed: int = 0,
        layout: Layout | None = None,
        settings: Settings | None = None,
        progress: Progress | None = None,
        logger: Any = None,
        *,
        out: str | Path | None = None,
        save_lora: str | Path | None = None,
        recollection: Recollection | None = None,
        origin: str | None = None,
        check: str = "auto",
        tries: int = 1,
    ) -> Result:
        """Make the video of a prompt.

        Args:
            prompt: What the video shows.
            method: "ttom" steers attention toward the layout by test-time optimization, "bias" by an attention bias,
                "lvd" by moving the latents; "base" is the plain model. Names joined by "+" act together, in this order;
                ttom/guidance/registry.py says how to add a method.
            seed: Seed of the noise and of the adapter's start; the same seed gives the same video.
            layout: Where the objects are; planned from the prompt if None.
            settings: All other settings; the preset's if None.
            progress: Told how far each stage is.
            logger: A Lightning logger that receives the loss of every iteration.
            out: Folder to write the result to (`Result.save`), before the memory is updated.
            save_lora: Folder to write the optimized LoRA to, in diffusers' format, with a README.
            recollection: What a memory holds for the prompt, and the way back in; looked up in the memory of the
                settings if None.
            origin: Name of the job that this call does, such as a row of a stream. A job that is done again does not
                find in the memory what it inserted before.
            check: Who compares the video with the layout: "auto" is EmojiWorld's detector for the embedded models and
                nobody for others; "off"; "grounding", or the Hub id or folder of a GroundingDINO.
            tries: Number of videos to make, with this seed and the following ones; the one that follows the plan best
                is kept.

        Raises:
            UserError: For a prompt, layout or setting that cannot work with this model, or files that cannot be
                written; if only decoding or encoding failed, the final latents are in ``out``.
            MemoryUpdateError: The memory could not be updated; the error has the result.
        """
        found = find_method(method)
        request = replace(self._request(prompt, found, seed, layout, settings), tries=tries, check=check)
        _check_adapters(found, request.settings.memory, save_lora, recollection)
        finder = find_finder(check, self.model, (request.size.height, request.size.width))
        run = self._start(request, found, progress, finder)
        lookup = recollection or self._look_up(run, origin)
        sampled, video = run.best_video(lookup, logger, out)
        result = run.result(sampled, video)
        if out is not None:
            result.save(out)
        if save_lora is not None:
            run.save_lora(sampled, save_lora)
        return run.remember(lookup, sampled, result, out)

    def optimize(
        self,
        prompt: str,
        seed: int = 0,
        layout: Layout | None = None,
        settings: Settings | None = None,
        progress: Progress | None = None,
        recollection: Recollection | None = None,
    ) -> Report:
        """Optimize a prompt's adapter and put it into the memory, without making the video: to fill a memory ahead.

        The adapter is the one that `generate` would store. Arguments as in `generate`; returns the same report, with
        no sampling or decoding in its seconds.

        Raises:
            UserError: As `generate`, and if the settings name no memory that may be written.
        """
        found = find_method(DEFAULT_METHOD)
        request = self._request(prompt, found, seed, layout, settings)
        memory = request.settings.memory
        if recollection is None and (not memory.active or memory.mode != "readwrite"):
            raise UserError(
                "there is no memory to fill", expected="a memory that may be written", remedy="`memory.path=DIR`"
            )
        run = self._start(request, found, progress)
        lookup = recollection or self._look_up(run)
        assert lookup is not None
        sampled = run.denoise(lookup, finish=False)
        run.keep(lookup, sampled)
        return run.report(sampled)

    def _request(
        self, prompt: str, method: Method, seed: int, layout: Layout | None, settings: Settings | None
    ) -> Request:
        """With the settings as the method follows them, and the probe's blocks where these are "auto"."""
        resolved = resolve_blocks(method.settings(settings or self.settings), self.model)
        return Request(prompt, seed, method.name, layout, resolved)

    def _start(
        self, request: Request, method: Method, progress: Progress | None, finder: tuple[str, Finder] | None = None
    ) -> Run:
        """Check, plan, load and prepare; what can be refused without the model's weights is refused first."""
        watch, tell = Stopwatch(), progress or no_progress
        with watch("plan"):
            tell("plan", 0, 1, None)
            request.refuse_mistakes()
            planned = plan(request, self._plans, needs_layout=method.needs_layout)
            if self._backbone is None and self._pipe is None:
                check_model(self.model, request, planned.layout)
            method.check(request.settings)  # last, for it imports torch
            tell("plan", 1, 1, None)
        with watch("load"):
            tell("load", 0, 1, None)
            backbone = self.load()
            provenance.reset_peak(backbone.device)
            tell("load", 1, 1, None)
        model = Model(self.model, self.model_digest, self.preset, self.settings, self.dtype, self.runtime)
        return Run(model, request, method, planned, prepare(request, planned, backbone), watch, tell, finder)

    def _look_up(self, run: Run, origin: str | None = None) -> Lookup | None:
        """What the memory of these settings, opened once, holds for the prompt; None without a memory.

        Its key takes the objects from the layout: what the LLM planner named, where that one planned.
        """
        prepared, config = run.prepared, run.request.settings.memory
        if not run.method.uses_memory or not config.active:
            return None
        from ttom.guidance.tto.adapter import LoraAdapter
        from ttom.memory.embedders import load_embedder
        from ttom.memory.memory import Memory

        assert prepared.layout is not None
        backbone, settings = prepared.backbone, prepared.settings
        signature = LoraAdapter(backbone, settings.adapter, settings.tto.targets, seed=0).signature
        known = (config, signature)
        if known not in self._memories:
            self._memories[known] = Memory.open(config, load_embedder(config.embedder, backbone), signature)
        lookup = self._memories[known].look_up(prepared.prompt, prepared.layout, origin=origin, exclude_origin=origin)
        run.found(lookup)
        return lookup


def _check_adapters(
    method: Method, memory: MemoryConfig, save_lora: str | Path | None, recollection: Recollection | None
) -> None:
    """Raise UserError for a LoRA to save that the method does not train, or one to load without a memory."""
    if save_lora is not None and not method.learns:
        raise UserError(f"the method {method.name} has no LoRA to save", expected="a method that trains one")
    if method.uses_memory and recollection is None and memory.path is None and memory.use == "load":
        remedy = "`memory.path=DIR`, or leave `memory.use` out"
        raise UserError("`memory.use` is load, but there is no memory", remedy=remedy)
