"""One prompt -> video and report. Here and in sample.py the rooms meet.

Read `TTOM.generate`: plan the layout, load the backbone, encode, find tokens, make masks, optimise and denoise,
decode, report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ttom import provenance
from ttom.checkpoints.probe_file import resolve_blocks
from ttom.checks import check_prompt, check_seed, check_words
from ttom.config import MemoryConfig, Method, PlannerConfig, RuntimeConfig, Settings
from ttom.errors import SetupError, UserError
from ttom.layout.model import Layout, check_layout
from ttom.layout.planning import Outcome, Planned, plan_prompts
from ttom.presets import DEFAULT_MODEL, PRESETS, preset_for
from ttom.result import (
    MemoryReport,
    PlannerReport,
    Provenance,
    Report,
    Result,
    Stopwatch,
    TTOReport,
    identity,
    layout_digest,
    settings_hash,
)
from ttom.sample import (
    Progress,
    Recollection,
    Sample,
    Sampled,
    Stage,
    checked_size,
    denoise,
    encode,
    steer,
    tokens_and_masks,
)

if TYPE_CHECKING:
    from ttom.backbones.protocol import Backbone
    from ttom.memory.memory import Lookup, Memory

# The rooms that need torch, diffusers or lightning are imported where they are used: that takes seconds, in which a
# wrong prompt has been refused already, and `TTOM.load` counts it as loading.


class TTOM:
    """A model together with the settings it runs with.

    Args:
        model: An embedded checkpoint's name, a Hub id, or a diffusers folder.
        device: "auto" (a GPU if there is one), "cpu" or "cuda".
        dtype: "auto", "float32", "bfloat16" or "float16".
        preset: Name of the settings (see ttom/presets.py); None for the model's own.
        runtime: How the model runs (memory and speed); the defaults if None.

    The model is loaded when first needed; `from_pretrained` loads it at once.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        device: str = "auto",
        dtype: str = "auto",
        preset: str | None = None,
        runtime: RuntimeConfig | None = None,
    ) -> None:
        if preset is not None and preset not in PRESETS:
            raise UserError(f"there is no preset {preset!r}", expected=f"one of {', '.join(PRESETS)}")
        self.model, self.device, self.dtype = model, device, dtype
        self.preset, self.runtime = preset or preset_for(model), runtime or RuntimeConfig()
        self._backbone: Backbone | None = None
        self._memories: dict[tuple[MemoryConfig, str], Memory] = {}
        self._plans: dict[tuple[str, float, PlannerConfig], Outcome] = {}

    @classmethod
    def from_pretrained(
        cls,
        model: str = DEFAULT_MODEL,
        *,
        device: str = "auto",
        dtype: str = "auto",
        preset: str | None = None,
        runtime: RuntimeConfig | None = None,
    ) -> TTOM:
        """Make a TTOM and load its model. Raises UserError for an unknown model, device, dtype or preset."""
        made = cls(model, device=device, dtype=dtype, preset=preset, runtime=runtime)
        made.load()
        return made

    @property
    def settings(self) -> Settings:
        """The preset's settings; change a copy with dataclasses.replace and hand it to `generate`."""
        return PRESETS[self.preset]()

    def load(self) -> Backbone:
        """The backbone, loaded on the first call."""
        if self._backbone is None:
            from ttom.backbones import load_backbone

            import_module("ttom.guidance.tto.fit")
            self._backbone = load_backbone(self.model, device=self.device, dtype=self.dtype, runtime=self.runtime)
        return self._backbone

    def plan(self, prompt: str, settings: Settings | None = None) -> Layout:
        """The layout that `generate` would use. Raises UserError if the prompt holds nothing to lay out."""
        return self._plan(prompt, settings or self.settings).layout

    def _resolved(self, settings: Settings | None) -> Settings:
        """The preset's settings if None, with the probe's blocks where these are "auto"."""
        return resolve_blocks(settings or self.settings, self.model)

    def plan_ahead(
        self, prompts: Sequence[str], settings: Settings | None = None, done: Callable[[], None] = lambda: None
    ) -> None:
        """Plan the prompts of coming calls now, with the LLM planner several at a time; `done` is called after each.

        A prompt that cannot be planned is refused later, by `generate`.

        Raises:
            SetupError: the planner's settings cannot work for any prompt.
        """
        settings = settings or self.settings
        aspect = settings.sampler.width / settings.sampler.height
        outcomes = plan_prompts(prompts, aspect, settings.planner, done)
        for prompt, outcome in zip(prompts, outcomes, strict=True):
            self._plans[prompt, aspect, settings.planner] = outcome

    def _plan(self, prompt: str, settings: Settings) -> Planned:
        """The plan, made ahead or now. Raises UserError."""
        key = prompt, settings.sampler.width / settings.sampler.height, settings.planner
        outcome = self._plans[key] if key in self._plans else plan_prompts([prompt], *key[1:])[0]
        if isinstance(outcome, UserError):
            raise outcome
        return outcome

    def generate(
        self,
        prompt: str,
        method: Method = "ttom",
        seed: int = 0,
        layout: Layout | None = None,
        settings: Settings | None = None,
        progress: Progress | None = None,
        logger: Any = None,
        recollection: Recollection | None = None,
    ) -> Result:
        """Make the video of a prompt.

        Args:
            prompt: What the video shows.
            method: "ttom" steers attention towards the layout; "base" is the plain model.
            seed: Seed of the noise and of the adapter's start; the same seed gives the same video.
            layout: Where the objects are; planned from the prompt if None.
            settings: All other settings; the preset's if None.
            progress: Told how far each stage is.
            logger: A Lightning logger that receives the loss of every iteration.
            recollection: What a memory holds for the prompt, and the way back in; looked up in the memory of the
                settings if None.

        Raises:
            UserError: For a prompt, layout or setting that cannot work with this model.
        """
        settings, clock, tell = self._resolved(settings), Stopwatch(), progress or _silent
        sample = self._prepare(prompt, method, seed, layout, settings, clock, tell)
        if method == "ttom":
            lookup = recollection or self._look_up(sample, settings)
            sampled = steer(sample, settings, seed, tell, logger, lookup)
        else:
            sampled = denoise(sample, settings, seed, tell)
        clock.add("optimize", sampled.seconds_optimize)
        clock.add("sample", sampled.seconds_sample)
        with clock("decode"):
            tell("decode", 0, 1, None)
            video = sample.backbone.decode(sampled.latents).numpy()
            tell("decode", 1, 1, None)

        report = self._report(prompt, method, seed, layout, sample, settings, sampled, clock)
        maps = (sampled.maps_before, sampled.maps_after)
        return Result(video, sampled.latents, sample.layout, report, settings, sample.masks, *maps)

    def optimize(
        self,
        prompt: str,
        seed: int = 0,
        layout: Layout | None = None,
        settings: Settings | None = None,
        progress: Progress | None = None,
        recollection: Recollection | None = None,
    ) -> Report:
        """Optimise a prompt's adapter and put it into the memory, without making the video: to fill a memory ahead.

        The adapter is the one that `generate` would store. Arguments as in `generate`; returns the same report, with
        no sampling or decoding in its seconds.

        Raises:
            UserError: As `generate`, and if the settings name no memory that may be written.
        """
        settings, clock, tell = self._resolved(settings), Stopwatch(), progress or _silent
        if recollection is None and (not settings.memory.active or settings.memory.mode != "readwrite"):
            raise UserError(
                "there is no memory to fill", expected="a memory that may be written", remedy="`memory.path=DIR`"
            )
        sample = self._prepare(prompt, "ttom", seed, layout, settings, clock, tell)
        lookup = recollection or self._look_up(sample, settings)
        sampled = steer(sample, settings, seed, tell, None, lookup, finish=False)
        clock.add("optimize", sampled.seconds_optimize)
        return self._report(prompt, "ttom", seed, layout, sample, settings, sampled, clock)

    def _prepare(
        self,
        prompt: str,
        method: Method,
        seed: int,
        layout: Layout | None,
        settings: Settings,
        clock: Stopwatch,
        tell: Progress,
    ) -> Sample:
        """Plan, load, check, encode, find tokens and make masks."""
        with clock("plan"):
            check_seed(seed)
            tell("plan", 0, 1, None)
            layout, planner = self._layout(prompt, method, layout, settings)
            if layout is not None and planner is not None and planner.get("video_text") == "enriched":
                prompt = layout.prompt
            tell("plan", 1, 1, None)
        with clock("load"):
            tell("load", 0, 1, None)
            backbone = self.load()
            provenance.reset_peak(backbone.device)
            tell("load", 1, 1, None)

        size = checked_size(backbone, settings)
        if layout is not None:
            check_words(backbone, layout)
        text = encode(backbone, prompt, settings.sampler)
        tokens, masks = tokens_and_masks(backbone, prompt, layout, size, settings)
        latents = backbone.initial_latents(size, seed)
        return Sample(backbone, prompt, layout, planner, latents, text, tokens, masks)

    def _layout(
        self, prompt: str, method: Method, layout: Layout | None, settings: Settings
    ) -> tuple[Layout | None, dict[str, Any] | None]:
        """The given layout, checked against the prompt, or a planned one and the planner's report.

        Without a layout only for method base, and never where the planner was to enrich the text: both methods shall be
        compared on the same words.
        """
        check_prompt(prompt)
        if method not in ("ttom", "base"):
            raise UserError(f"there is no method {method!r}", expected="ttom or base")
        if layout is not None:
            check_layout(layout, prompt)
            return layout, None
        try:
            planned = self._plan(prompt, settings)
        except UserError as error:
            own_text = settings.planner.kind == "rules" or settings.planner.video_text == "original"
            if method == "ttom" or isinstance(error, SetupError) or not own_text:
                raise
            return None, None  # the plain model needs none
        return planned.layout, planned.report

    def _look_up(self, sample: Sample, settings: Settings) -> Lookup | None:
        """What the memory of these settings, opened once, holds for the prompt; None without a memory.

        Its key takes the objects from the layout: what the LLM planner named, where that one planned.
        """
        if not settings.memory.active:
            return None
        from ttom.guidance.tto.adapter import LoraAdapter
        from ttom.memory.embedders import load_embedder
        from ttom.memory.memory import Memory

        assert sample.layout is not None
        backbone = sample.backbone
        signature = LoraAdapter(backbone, settings.adapter, settings.tto.targets, seed=0).signature
        known = (settings.memory, signature)
        if known not in self._memories:
            embedder = load_embedder(settings.memory.embedder, backbone)
            self._memories[known] = Memory.open(settings.memory, embedder, signature)
        return self._memories[known].look_up(sample.prompt, sample.layout)

    def _report(
        self,
        prompt: str,
        method: Method,
        seed: int,
        given: Layout | None,
        sample: Sample,
        settings: Settings,
        sampled: Sampled,
        clock: Stopwatch,
    ) -> Report:
        backbone, planned = sample.backbone, sample.layout
        digest = provenance.model_digest(self.model)
        origin = provenance.environment(backbone.device) | {
            "dtype": str(backbone.dtype).removeprefix("torch."),
            "runtime": self.runtime,
            "settings": provenance.describe_settings(settings, self.preset, self.settings),
        }
        return Report(
            prompt=prompt,
            video_prompt=sample.prompt,
            model=self.model,
            model_digest=digest,
            method=method,
            seed=seed,
            identity=identity(prompt, seed, method, given, settings, digest),
            layout_source=planned.source if planned is not None else None,
            layout_digest=layout_digest(planned) if planned is not None else None,
            left_out=sample.left_out,
            unknown_words=tuple(backbone.vocabulary.unknown_words(sample.prompt)),
            cut_off=backbone.vocabulary.cut_off(sample.prompt, settings.sampler.max_sequence_length),
            planner=PlannerReport.model_validate(sample.planner) if sample.planner is not None else None,
            sampler=settings.sampler,
            tto=TTOReport.of(settings.tto.targets, sampled.losses),
            memory=MemoryReport.model_validate(sampled.memory) if sampled.memory is not None else None,
            seconds=clock.report(),
            peak_bytes=provenance.peak_bytes(backbone.device),
            settings_hash=settings_hash(settings),
            provenance=Provenance.model_validate(origin),
        )


def _silent(stage: Stage, done: int, total: int, loss: float | None) -> None:
    pass
