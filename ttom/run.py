"""A call of `TTOM.generate` on its way through the rooms: it denoises, decodes, keeps the best video, and reports."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttom import provenance
from ttom.check.finders import Finder
from ttom.check.report import CheckReport
from ttom.config import RuntimeConfig, Settings
from ttom.errors import SetupError, UserError
from ttom.guidance.registry import Inputs, Method
from ttom.identity import identity, layout_digest, settings_hash
from ttom.prepare import Plan, Prepared, Request
from ttom.report import MemoryMatch, MemoryReport, Provenance, Report, TTOReport
from ttom.result import Result, Stopwatch, save_latents
from ttom.types import Progress, Recollection, Stage

if TYPE_CHECKING:
    import numpy as np

    from ttom.check.report import Try
    from ttom.memory.memory import Lookup
    from ttom.sampler import Sampled


_log = logging.getLogger(__name__)


class MemoryUpdateError(SetupError):
    """The video was made, but the memory could not take its adapter in.

    Attributes:
        result: What `TTOM.generate` would have returned.
    """

    result: Result


@dataclass(frozen=True)
class Model:
    """What a report says of the model.

    Attributes:
        name: As the user named it.
        digest: Of its weights.
        preset: Name of the preset.
        preset_settings: Its settings.
        dtype: Its number format as asked for, such as "auto".
        runtime: How the model runs.
    """

    name: str
    digest: str | None
    preset: str
    preset_settings: Settings
    dtype: str
    runtime: RuntimeConfig


@dataclass
class Run:
    """One prompt on its way.

    Attributes:
        finder: The detector that compares its video with the plan, with a name; None if nobody does.
        memory: What is known of its use of a memory so far.
        check: Of the video that is kept.
    """

    model: Model
    request: Request
    method: Method
    plan: Plan
    prepared: Prepared
    watch: Stopwatch
    progress: Progress
    finder: tuple[str, Finder] | None = None
    memory: MemoryReport | None = None
    check: CheckReport | None = None

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Measure a stage of one unit, and show it."""
        with self.watch(stage):
            self.progress(stage, 0, 1, None)
            yield
            self.progress(stage, 1, 1, None)

    def attempts(self) -> Iterator[Prepared]:
        """The prompt with each of the seeds that are to be tried; meanwhile it is what the run has prepared.

        Raises:
            UserError: There are several, and nothing to tell which one is the best.
        """
        first, tries = self.prepared, self.request.tries
        if tries > 1 and (self.finder is None or first.layout is None):
            raise UserError(
                f"`tries` is {tries}, but nothing tells which video is the best",
                expected="a prompt with a layout, and an embedded model or a detector",
                remedy="`check=grounding`" if self.finder is None else "a method that needs a layout",
            )
        for number in range(tries):
            self.prepared = first.with_seed(first.seed + number) if number else first
            yield self.prepared

    def denoise(self, lookup: Recollection | None, logger: Any = None, finish: bool = True) -> Sampled:
        """All steps of what is prepared, or with finish off those in which the method optimizes."""
        from ttom.sampler import Sampler

        prepared = self.prepared
        adapter = lookup.state if lookup is not None else None
        parts = self.method.parts(Inputs(prepared, adapter, logger))
        sampler = Sampler(prepared.backbone, prepared.text, prepared.settings.sampler, prepared.seed)
        sampled = sampler.run(prepared.latents, parts, progress=self.progress, finish=finish)
        self.watch.add("optimize", sampled.seconds_optimize)
        if finish:
            self.watch.add("sample", sampled.seconds_sample)
        return sampled

    def best_video(
        self, lookup: Recollection | None, logger: Any, out: str | Path | None
    ) -> tuple[Sampled, np.ndarray]:
        """The video, or of several the one that follows the plan best; the run then has its seed and its check."""
        tries: list[Try] = []
        best: tuple[Prepared, Sampled, np.ndarray] | None = None
        for prepared in self.attempts():
            sampled = self.denoise(lookup, logger)
            with _latents_kept(sampled, out), self.stage("decode"):
                video = prepared.backbone.decode(sampled.latents).numpy()
            check = self.compare(video)
            tries += [check.as_try()] if check is not None else []
            if best is None or self.check is None or (check is not None and check.score > self.check.score):
                best, self.check = (prepared, sampled, video), check
        assert best is not None
        if self.check is not None and len(tries) > 1:
            self.check = self.check.model_copy(update={"tries": tuple(tries)})
        self.prepared, sampled, video = best
        return sampled, video

    def compare(self, video: np.ndarray) -> CheckReport | None:
        """The video of what is prepared with its plan; None without a plan or a detector."""
        if self.finder is None or self.prepared.layout is None:
            return None
        from ttom.check.compare import check_video

        with self.watch("check"):
            return check_video(self.prepared.layout, video, self.finder, self.prepared.seed)

    def result(self, sampled: Sampled, video: np.ndarray) -> Result:
        """The finished run."""
        prepared, outcome = self.prepared, sampled.outcome
        return Result(
            video=video,
            latents=sampled.latents,
            layout=prepared.layout,
            report=self.report(sampled),
            settings=prepared.settings,
            masks=prepared.masks,
            maps_before=outcome.maps_before,
            maps_after=outcome.maps_after,
            adapter=outcome.adapter,
        )

    def report(self, sampled: Sampled) -> Report:
        """All that is known of the run now."""
        model, request, prepared, layout = self.model, self.request, self.prepared, self.prepared.layout
        backbone, settings, words = prepared.backbone, prepared.settings, prepared.backbone.vocabulary
        origin = provenance.environment(backbone.device) | {
            "dtype": str(backbone.dtype).removeprefix("torch."),
            "runtime": model.runtime,
            "settings": provenance.describe_settings(settings, model.preset, model.preset_settings),
        }
        return Report(
            prompt=request.prompt,
            video_prompt=prepared.prompt,
            model=model.name,
            model_digest=model.digest,
            method=request.method,
            seed=request.seed,
            identity=identity(request, model.digest, model.dtype, model.runtime),
            layout_source=layout.source if layout is not None else None,
            layout_digest=layout_digest(layout) if layout is not None else None,
            left_out=self.plan.left_out,
            unknown_words=tuple(words.unknown_words(prepared.prompt)),
            cut_off=words.cut_off(prepared.prompt, settings.sampler.max_sequence_length),
            planner=self.plan.report,
            sampler=settings.sampler,
            tto=TTOReport.of(settings.tto.targets, sampled.outcome.losses),
            memory=self.memory,
            check=self.check,
            seconds=self.watch.report(),
            peak_bytes=provenance.peak_bytes(backbone.device),
            settings_hash=settings_hash(settings),
            provenance=Provenance.model_validate(origin),
        )

    def save_lora(self, sampled: Sampled, folder: str | Path) -> None:
        """Write the adapter for stock diffusers, with a README. Raises UserError."""
        from ttom.guidance.tto.adapter import LoraAdapter

        prepared, settings = self.prepared, self.prepared.settings
        adapter = LoraAdapter(prepared.backbone, settings.adapter, settings.tto.targets, seed=0)
        adapter.save(folder, settings.tto.guided_steps, sampled.outcome.adapter)

    def found(self, lookup: Lookup) -> None:
        """Note what was read of a memory."""
        config, recalled = lookup.memory.config, lookup.recalled
        best = round(recalled.similarity, 6) if recalled.similarity is not None else None
        matches = tuple(
            MemoryMatch(id=match.entry.id, key=match.entry.key, similarity=round(match.similarity, 6))
            for match in recalled.matches
        )
        used = config.use if matches else None
        self.memory = MemoryReport(
            mode=config.mode, key=lookup.key, hit=bool(matches), used=used, similarity=best, matches=matches
        )

    def keep(self, lookup: Recollection, sampled: Sampled) -> None:
        """Put the adapter into the memory, and note that. Raises UserError."""
        losses, adapter = sampled.outcome.losses, sampled.outcome.adapter
        assert adapter is not None
        kept = lookup.keep(adapter, (losses[0][0], losses[-1][-1]))
        self.memory = MemoryReport.model_validate(kept) if kept is not None else None

    def remember(self, lookup: Recollection | None, sampled: Sampled, result: Result, out: str | Path | None) -> Result:
        """Put the adapter into the memory; the result's report, written before, then tells of it."""
        if lookup is None or sampled.outcome.adapter is None:
            return result
        try:
            self.keep(lookup, sampled)
        except UserError as error:
            problem = f"the video was made, but the memory was not updated: {error.problem}"
            failed = MemoryUpdateError(problem, expected=error.expected, remedy=error.remedy)
            failed.result = result
            raise failed from error
        report = result.report.model_copy(update={"memory": self.memory, "seconds": self.watch.report()})
        result = replace(result, report=report)
        if out is not None:
            result.save_report(out)
        return result


@contextmanager
def _latents_kept(sampled: Sampled, out: str | Path | None) -> Iterator[None]:
    """If the block fails, the minutes of sampling are not lost: the final latents are written."""
    try:
        yield
    except Exception:
        if out is not None:
            with suppress(UserError):  # the disk may be what failed
                _log.warning("warning: the final latents are kept in %s", save_latents(sampled.latents, Path(out)))
        raise
