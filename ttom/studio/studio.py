"""What the routes do: plan, check, run and look, with the Python API that the command line uses."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ttom.backbones.vocabulary import CLEANERS, Vocabulary
from ttom.checkpoints.card import read_card
from ttom.checkpoints.probe_file import resolve_blocks
from ttom.config import MemoryConfig, PlannerConfig, Settings
from ttom.errors import UserError
from ttom.guidance.registry import find_method
from ttom.layout.drafts import Limits
from ttom.layout.limits import MAX_KEY_FRAMES, MAX_NAME, MAX_OBJECTS, MAX_PROMPT, check_prompt
from ttom.layout.model import Layout, check_layout
from ttom.layout.planning import plan_prompt
from ttom.layout.tracks import Imported
from ttom.pipeline import TTOM
from ttom.prepare import check_seed, check_words
from ttom.presets import find_preset
from ttom.studio import describe, exchange, record
from ttom.studio.errors import Refused
from ttom.studio.exchange import Upload
from ttom.studio.generate import Generator
from ttom.studio.guard import MAX_UPLOAD
from ttom.studio.jobs import MAX_WAITING, Job, Jobs
from ttom.studio.lora import lora_zip
from ttom.studio.problems import problems
from ttom.studio.recall import MemoryView
from ttom.studio.record import Order


@dataclass
class Studio:
    """A model, a run folder and a queue.

    Attributes:
        runner: The model; loaded.
        out: The run folder.
        memory: Which memory runs read and write; none without a path.
        planner: How the planners work; its kind is the request's.
        check: Who compares videos with their plans, as in `TTOM.generate`.
    """

    runner: TTOM
    out: Path
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    planner: PlannerConfig = field(default_factory=PlannerConfig)
    check: str = "auto"

    def __post_init__(self) -> None:
        self.backbone = self.runner.load()
        self.presets = describe.presets_for(self.runner.model)
        # A tokenizer of its own: truncation is switched on and off in it, and the worker uses the backbone's.
        cleaner = CLEANERS.get(self.backbone.pipe.__class__.__name__, str)
        self._vocabulary = Vocabulary.of(self.backbone.pipe.tokenizer, cleaner)
        self._reading = threading.Lock()
        self._generator = Generator(self.runner, self.out, self.check)
        self.recall: MemoryView | None = None
        if self.memory.active:
            settings = resolve_blocks(self.defaults(), self.runner.model)
            self.recall = MemoryView(self.memory, settings, self.backbone)
        self.jobs = Jobs(self.out, self._work, finish=self.runner.close)

    def defaults(self, preset: str | None = None) -> Settings:
        """The settings of a preset, the model's own if None, with the studio's memory. Raises UserError."""
        name = self.runner.preset if preset is None else preset
        if preset is not None and preset not in (*self.presets, self.runner.preset):
            raise UserError(f"there is no preset {preset!r} for this model", expected=f"one of {self.presets}")
        return replace(find_preset(name)(), memory=self.memory, planner=self.planner)

    def settings(self, order: Order) -> Settings:
        """The settings of an order. Raises UserError."""
        method = find_method(order.method)
        found = describe.with_values(self.defaults(order.preset), order.method, order.settings)
        if not method.uses_memory:
            found = replace(found, memory=replace(found.memory, path=None))
        return found

    # -- what the routes ask for --------------------------------------------------------------------------------------

    def info(self) -> dict[str, Any]:
        """What the page must know before it can draw anything."""
        settings = self.defaults()
        size, card = settings.sampler.size, read_card(self.runner.model)
        grid = self.backbone.token_grid(size)
        return {
            "model": self.runner.model,
            "family": self.backbone.pipe.__class__.__name__.removesuffix("Pipeline"),
            "width": size.width,
            "height": size.height,
            "frames": size.frames,
            "fps": settings.sampler.fps,
            "grid": [grid.frames, grid.height, grid.width],
            "temporal_compression": self.backbone.temporal_compression,
            "nouns": list(card.nouns) if card is not None and card.nouns else None,
            "planners": describe.planners(self.planner),
            "preset": self.runner.preset,
            "methods": describe.methods(settings, self.presets),
            "memory": self.memory.active,
            "formats": exchange.formats(),
            "limits": {
                "objects": MAX_OBJECTS,
                "key_frames": MAX_KEY_FRAMES,
                "prompt": MAX_PROMPT,
                "name": MAX_NAME,
                "upload_bytes": MAX_UPLOAD,
                "waiting": MAX_WAITING,
            },
        }

    def plan(self, prompt: str, planner: str) -> dict[str, Any]:
        """A layout for a prompt. Raises UserError if it cannot be planned."""
        known = describe.planners(self.planner)
        if planner not in known:
            raise UserError(f"there is no planner {planner!r} here", expected=f"one of {', '.join(known)}")
        config = replace(self.planner, kind="llm" if planner == "llm" else "rules")
        planned = plan_prompt(prompt, self.defaults().sampler.aspect, config)
        layout, fallback = planned.layout, planned.report.fallback
        notes = [*layout.notes, *([f"planned by the rules instead: {fallback}"] if fallback else [])]
        return {"layout": layout.model_dump(mode="json"), "left_out": list(layout.left_out), "notes": notes}

    def problems(self, layout: Layout) -> list[dict[str, Any]]:
        """What this model cannot do of a layout."""
        with self._reading:
            return problems(layout, self.backbone, self._vocabulary, self.defaults())

    def import_layout(self, upload: Upload) -> Imported:
        """The layout of a file. Raises UserError."""
        limits = Limits(self.planner.min_size, self.planner.max_speed)
        return exchange.import_layout(upload, self.defaults().sampler.size, limits)

    def export_layout(self, layout: Layout, format_: str) -> tuple[bytes, str, str]:
        """A layout as a file: its bytes, name and type. Raises UserError."""
        sampler = self.defaults().sampler
        return exchange.export_layout(layout, format_, sampler.size, sampler.fps)

    def submit(self, order: Order, layout: Layout | None) -> str:
        """Put a run into the queue; returns its id. Raises UserError for what cannot work."""
        check_prompt(order.prompt)
        check_seed(order.seed)
        settings = self.settings(order)
        method = find_method(order.method)
        method.check(settings)
        followed = layout
        if layout is None and method.needs_layout and self.planner.kind == "rules":  # a language model takes its time
            followed = plan_prompt(order.prompt, settings.sampler.aspect, self.planner).layout
        if followed is not None:
            check_layout(followed, order.prompt)
            with self._reading:
                check_words(self.runner.model, self._vocabulary, followed)
        return self.jobs.submit(order, layout)

    def lora(self, id_: str) -> bytes:
        """A run's LoRA as an archive. Raises Refused."""
        folder = record.folder_of(self.out, id_)
        known = record.load(self.out, id_)
        return lora_zip(folder, known, self.runner.model, self.settings(known.order))

    def look_up(self, prompt: str, layout: Layout) -> dict[str, Any]:
        """The memory's entries nearest to a prompt. Raises UserError."""
        if self.runner.runtime.offload and self.jobs.busy:  # the text encoder is where the run wants it
            raise Refused(409, "a run is using the text encoder", remedy="wait until the run has ended")
        return self._memory().look_up(prompt, layout)

    def forget(self, id_: str, confirmed: str) -> None:
        """Delete an entry of the memory. Raises UserError."""
        self._memory().delete(id_, confirmed)

    def _memory(self) -> MemoryView:
        if self.recall is None:
            raise Refused(404, "the studio has no memory", remedy="start it with `memory.path=DIR`")
        return self.recall

    def _work(self, job: Job) -> None:
        self._generator.generate(job, self.settings(job.record.order))

    def close(self, seconds: float = 1.0) -> bool:
        """Cancel all runs; returns whether they have ended within the time."""
        return self.jobs.close(seconds)
