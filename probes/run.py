"""The probe: python -m probes.run --model MODEL --prompts FILE (see probes/arguments.py, or --help)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro
from pydantic import ValidationError
from tqdm import tqdm

from probes import results
from probes.arguments import Probe, shard
from probes.masks import Segmenter
from probes.records import PhraseRow, PromptRow
from ttom import checkpoints, provenance
from ttom.checkpoints.probe_file import cached_file, places
from ttom.checks import check_seed, check_words
from ttom.cli.app import BAD_INPUT, INTERRUPTED, default_settings
from ttom.cli.commands import hush_libraries, memory_as_user_error
from ttom.cli.flags import with_flags
from ttom.errors import SetupError, UserError
from ttom.files import check_folder, staged
from ttom.pipeline import TTOM
from ttom.prompts import StreamPrompt, read_prompts
from ttom.types import VideoSize

if TYPE_CHECKING:
    import numpy as np

    from probes import measures
    from ttom.layout.model import ObjectGroup


def main(argv: Sequence[str] | None = None) -> int:
    """Run the probe with these arguments (the process's own if None).

    Returns the exit code: 0 done, 2 bad input, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        default = Probe(sampler=default_settings(arguments).sampler)
        command = tyro.cli(Probe, prog="python -m probes.run", args=arguments, default=default)
        run(command, arguments)
    except UserError as error:
        print(f"probes.run: {with_flags(str(error))}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("probes.run: interrupted; run it again to resume", file=sys.stderr)
        return INTERRUPTED
    return 0


def run(command: Probe, arguments: list[str]) -> None:
    """Measure the prompts of this process; the process that finds all prompts measured writes the result.

    Raises:
        UserError: For input, settings or an environment that cannot work, or if nothing could be measured.
    """
    prompts = read_prompts(command.prompts_file)[: command.limit]
    if not prompts:
        raise SetupError(f"--limit is {command.limit}", expected="at least 1")
    check_folder(command.folder)
    check_seed(command.seed)
    rank, world = shard()
    hush_libraries()
    runner = TTOM(command.model, device=_device(command), dtype=command.dtype, preset=command.preset)
    steps = command.chosen_steps(runner.settings.tto.guided_steps)
    probing = Probing(command, runner, steps)
    made_by = _provenance(probing, arguments)  # before the run: the checkout may change meanwhile
    files = [command.folder / "prompts" / f"{prompt.folder}.json" for prompt in prompts]
    rows = probing.finished(prompts, files)
    todo = [i for i in range(rank, len(prompts), world) if rows[i] is None]
    bar = tqdm(todo, desc="prompts", disable=command.quiet or not sys.stderr.isatty())
    for i in bar:
        _write(probing.row(prompts[i]), files[i])
    rows = probing.finished(prompts, files)
    done = [row for row in rows if row is not None]
    if len(done) < len(rows):
        print(f"{len(todo)} measured here; {len(rows) - len(done)} of {len(rows)} prompts are left to other processes")
        return
    _finish(done, probing, made_by)


class Probing:
    """What all prompts share: the model, its settings, and the segmenter, which is loaded when first needed."""

    def __init__(self, command: Probe, runner: TTOM, steps: tuple[int, ...]) -> None:
        self.command, self.runner, self.steps = command, runner, steps
        self.backbone = runner.load()
        self.blocks = command.chosen_blocks(self.backbone.num_blocks)
        sampler = command.sampler
        self.size = VideoSize(sampler.frames, sampler.height, sampler.width)
        self.backbone.check_size(self.size)
        self._segmenter: Segmenter | None = None
        # Large models are known by their name; hashing them would take minutes.
        embedded = command.model in checkpoints.EMBEDDED
        self.weights = provenance.digest(checkpoints.path(command.model)) if embedded else None

    @property
    def segmenter(self) -> Segmenter:
        """Loaded before the first video is made."""
        if self._segmenter is None:
            self._segmenter = load_segmenter(self.command, self.backbone.device.type)
        return self._segmenter

    def key(self) -> dict[str, Any]:
        """What a row depends on besides its prompt and seed; rows of different keys are never mixed."""
        command = self.command
        weights = {
            "emojiworld": [],
            "grounding": [command.detector, command.tracker],
            "worker": [*command.worker_options],
        }
        found = {
            "model": command.model,
            "weights": self.weights,
            "dtype": str(self.backbone.dtype),
            "sampler": asdict(command.sampler),
            "steps": self.steps,
            "blocks": self.blocks,
            "masks": [command.segmenter, *weights[command.segmenter]],
        }
        return json.loads(json.dumps(found))

    def seed(self, prompt: StreamPrompt) -> int:
        """The prompt's own seed, or the command's: never its place in the file."""
        return self.command.seed if prompt.seed is None else prompt.seed

    def finished(self, prompts: list[StreamPrompt], files: list[Path]) -> list[PromptRow | None]:
        """The rows that exist already; None for the others.

        Raises:
            SetupError: One was made with other settings.
        """
        return [self._finished(prompt, file) for prompt, file in zip(prompts, files, strict=True)]

    def _finished(self, prompt: StreamPrompt, file: Path) -> PromptRow | None:
        try:
            row = PromptRow.model_validate_json(file.read_bytes())
        except (OSError, ValidationError):
            return None
        if (row.key, row.prompt, row.seed) != (self.key(), prompt.text, self.seed(prompt)):
            raise SetupError(
                f"{file} was made with other settings or another prompt",
                expected="one folder for each set of settings",
                remedy=f"name another --out, or remove {file.parent}",
            )
        return row

    def row(self, prompt: StreamPrompt) -> PromptRow:
        """Make and measure the video of a prompt; a prompt that cannot be made becomes a refused row."""
        seed = self.seed(prompt)
        try:
            with memory_as_user_error(self.command.dtype, None):
                return self._measure(prompt.text, seed)
        except SetupError:  # it would stop all other prompts too
            raise
        except UserError as error:
            return self._row(prompt.text, seed, status="refused", error=str(error))

    def _row(self, text: str, seed: int, **rest: Any) -> PromptRow:
        return PromptRow(key=self.key(), prompt=text, seed=seed, steps=self.steps, **rest)

    def _measure(self, text: str, seed: int) -> PromptRow:
        from probes import capture, measures

        layout = self.runner.plan(text)
        check_words(self.backbone, layout)
        groups, grid = layout.groups(), self.backbone.token_grid(self.size)
        segmenter = self.segmenter  # fail before minutes of work, not after
        chosen = {"steps": self.steps, "blocks": self.blocks}
        with capture.MapSpool(self.command.folder, grid) as spool:
            seen = capture.generate(self.backbone, text, groups, self.command.sampler, seed, **chosen, spool=spool)
            masks = measures.to_grid(segmenter.segment(seen.video, groups), grid, self.backbone.temporal_compression)
            found: list[list[list[measures.Agreement]]] = [[[] for _ in self.steps] for _ in groups]
            for step, _, maps in spool:  # blocks ascend within a step
                for table, agreement in zip(found, measures.agreements(maps, masks), strict=True):
                    if agreement is not None:
                        table[self.steps.index(step)].append(agreement)
        phrases = tuple(_phrase(*each) for each in zip(groups, masks, found, strict=True))
        return self._row(
            text,
            seed,
            status="measured" if any(phrase.found for phrase in phrases) else "nothing found",
            timesteps=tuple(seen.timesteps[step] for step in self.steps),
            phrases=phrases,
        )


def _phrase(group: ObjectGroup, mask: np.ndarray, table: list[list[measures.Agreement]]) -> PhraseRow:
    """The row of a phrase from its mask ``(F, H, W)`` and the agreements by step and block."""
    frames = mask.any(axis=(1, 2))
    if not frames.any():
        return PhraseRow(phrase=group.phrase, noun=group.noun, found=False)
    return PhraseRow(
        phrase=group.phrase,
        noun=group.noun,
        found=True,
        frames=int(frames.sum()),
        share=round(float(mask[frames].mean()), 4),
        miou=tuple(tuple(round(each.miou, 5) for each in row) for row in table),
        ap=tuple(tuple(round(each.ap, 5) for each in row) for row in table),
    )


def load_segmenter(command: Probe, device: str) -> Segmenter:
    """The segmenter that the command names. Raises SetupError if its weights or its environment are missing."""
    if command.segmenter == "emojiworld":
        from probes.masks import EmojiWorldSegmenter

        return EmojiWorldSegmenter(device)
    if command.segmenter == "grounding":
        from probes.grounding import GroundedSegmenter

        return GroundedSegmenter(command.detector, command.tracker, device)
    from probes.worker import WorkerSegmenter

    return WorkerSegmenter(command.worker_python, options=command.worker_options)


def _device(command: Probe) -> str:
    """The command's device; under torchrun each process uses the GPU of its local rank."""
    import torch

    if command.device != "cpu" and "LOCAL_RANK" in os.environ and torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    return command.device


def _write(row: PromptRow, file: Path) -> None:
    with staged(file.parent) as stage:
        (stage / file.name).write_text(row.model_dump_json() + "\n", encoding="utf-8")


def _finish(rows: list[PromptRow], probing: Probing, made_by: dict[str, Any]) -> None:
    """Write the result, keep it where ``--tto.blocks auto`` looks for it, and print it."""
    command, backbone = probing.command, probing.backbone
    if not any(row.status == "measured" for row in rows):
        refused = [row.error for row in rows if row.status == "refused"]
        raise UserError(
            f"nothing could be measured in {len(rows)} prompts: {len(refused)} were refused, in the others no object "
            "was found" + (f"; the first refusal: {refused[0]}" if refused else ""),
            remedy="other prompts, or other --masks",
        )
    guided = probing.runner.settings.tto.guided_steps
    summary = results.summarize(rows, command.model, backbone.num_blocks, probing.blocks, guided)
    result = summary.model_copy(update={"masks": tuple(probing.key()["masks"]), "provenance": made_by})
    with staged(command.folder) as stage:
        results.write(result, stage)
    kept = cached_file(command.model)
    with staged(kept.parent) as stage:
        (stage / kept.name).write_text(results.as_json(result), encoding="utf-8")
    print(results.table(result))
    print(", ".join(f"{count} {status}" for status, count in result.prompts.items()) + " prompts; ", end="")
    print(", ".join(f"{count} {status}" for status, count in result.phrases.items()) + " phrases")
    blocks = " ".join(map(str, result.recommended))
    print(f"recommended: --tto.blocks {blocks}; result: {command.folder / 'probe.json'}")
    first = next(place for place in places(command.model) if place.is_file())
    if first != kept:
        print(f"note: --tto.blocks auto reads {first}; --tto.probe names another file", file=sys.stderr)


def _provenance(probing: Probing, arguments: list[str]) -> dict[str, Any]:
    return {
        **provenance.environment(probing.backbone.device),
        "command": " ".join(["python -m probes.run", *arguments]),
        "prompts": probing.command.prompts_file.name,
        "dtype": str(probing.backbone.dtype).removeprefix("torch."),
        "checkpoint_sha256": probing.weights,
        "sampler": asdict(probing.command.sampler),
        "seed": probing.command.seed,
    }


if __name__ == "__main__":
    sys.exit(main())
