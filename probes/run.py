"""The probe: python -m probes.run --model MODEL --prompts FILE (see probes/arguments.py, or --help)."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro
from pydantic import ValidationError
from tqdm import tqdm

from probes import results
from probes.arguments import Probe
from probes.masks import Segmenter
from probes.records import PhraseRow, PromptRow
from ttom import checkpoints, provenance
from ttom.checkpoints.probe_file import cached_file, places
from ttom.cli.app import default_settings
from ttom.cli.commands import hush_libraries, out_of_memory_errors
from ttom.cli.exits import exit_code
from ttom.errors import SetupError, UserError
from ttom.files import check_folder, staged
from ttom.parallel import TRIES, Devices, Lost, open_workers
from ttom.pipeline import TTOM
from ttom.prepare import check_seed, check_words
from ttom.prompts import StreamPrompt, read_prompts

if TYPE_CHECKING:
    import numpy as np

    from probes import measures
    from ttom.layout.model import ObjectGroup


def main(argv: Sequence[str] | None = None) -> int:
    """Run the probe with these arguments (the process's own if None).

    Returns the exit code: 0 done, 2 bad input, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)

    def work() -> int:
        default = Probe(sampler=default_settings(arguments).sampler)
        command = tyro.cli(Probe, prog="python -m probes.run", args=arguments, default=default)
        run(command, arguments)
        return 0

    return exit_code("probes.run", work, command=Probe)


def run(command: Probe, arguments: list[str]) -> None:
    """Measure the prompts that have no row yet, on one device or several, and write the result.

    Raises:
        UserError: For input, settings or an environment that cannot work, or if nothing could be measured.
    """
    prompts = read_prompts(command.prompts_file)[: command.limit]
    if not prompts:
        raise SetupError(f"--limit is {command.limit}", expected="at least 1")
    check_folder(command.folder)
    check_seed(command.seed)
    hush_libraries()
    made_by = provenance.environment()  # before the run: the checkout may change meanwhile; workers name their device
    files = {prompt.number: command.folder / "prompts" / f"{prompt.folder}.json" for prompt in prompts}
    with open_workers(Measure(command), Devices(command.devices, command.per_device, command.device)) as workers:
        terms: Terms = workers.call("terms")
        made_by |= terms.provenance | {"command": " ".join(["python -m probes.run", *arguments])}
        rows = {prompt.number: _finished(command, terms, prompt, files[prompt.number]) for prompt in prompts}
        todo = [prompt for prompt in prompts if rows[prompt.number] is None]
        bar = tqdm(total=len(todo), desc="prompts", disable=command.quiet or not sys.stderr.isatty())
        lost = []
        for prompt, row in workers.each("row", todo):
            if isinstance(row, Lost):
                lost.append(prompt.text)
            else:
                _write(row, files[prompt.number])
                rows[prompt.number] = row
            bar.update()
    if lost:
        raise UserError(f"{len(lost)} prompts ended {TRIES} workers each, such as {lost[0]!r}", remedy="run it again")
    _finish([row for row in rows.values() if row is not None], command, terms, made_by)


@dataclass(frozen=True)
class Measure:
    """Loads what the command names and measures prompts; call it with a device."""

    command: Probe

    def __call__(self, device: str) -> Probing:
        hush_libraries()
        command = self.command
        runner = TTOM(command.model, device=device, dtype=command.dtype, preset=command.preset)
        return Probing(command, runner, command.chosen_steps(runner.settings.tto.guided_steps))


@dataclass(frozen=True)
class Terms:
    """What all rows share.

    Attributes:
        key: What a row depends on besides its prompt and seed; rows of different keys are never mixed.
        guided_steps: Of the preset's test-time optimization.
    """

    key: dict[str, Any]
    num_blocks: int
    blocks: tuple[int, ...]
    guided_steps: int
    provenance: dict[str, Any]


class Probing:
    """A loaded model with its settings, and the segmenter, which is loaded when first needed."""

    def __init__(self, command: Probe, runner: TTOM, steps: tuple[int, ...]) -> None:
        self.command, self.runner, self.steps = command, runner, steps
        self.backbone = runner.load()
        self.blocks = command.chosen_blocks(self.backbone.num_blocks)
        self.size = command.sampler.size
        self.backbone.check_size(self.size)
        self._segmenter: Segmenter | None = None
        # Large models are known by their name; hashing them would take minutes.
        embedded = command.model in checkpoints.EMBEDDED
        self.weights = provenance.digest(checkpoints.path(command.model)) if embedded else None

    def terms(self) -> Terms:
        """What the driver must know."""
        device = self.backbone.device
        origin = {
            "device": str(device),
            "device_name": provenance.device_name(device),
            "prompts": self.command.prompts_file.name,
            "dtype": str(self.backbone.dtype).removeprefix("torch."),
            "checkpoint_sha256": self.weights,
            "sampler": asdict(self.command.sampler),
            "seed": self.command.seed,
        }
        guided = self.runner.settings.tto.guided_steps
        return Terms(self.key(), self.backbone.num_blocks, self.blocks, guided, origin)

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

    def row(self, prompt: StreamPrompt) -> PromptRow:
        """Make and measure the video of a prompt; a prompt that cannot be made becomes a refused row."""
        seed = _seed(self.command, prompt)
        try:
            with out_of_memory_errors(self.command.dtype, None):
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
        check_words(self.backbone.name, self.backbone.vocabulary, layout)
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


def _seed(command: Probe, prompt: StreamPrompt) -> int:
    """The prompt's own seed, or the command's: never its place in the file."""
    return command.seed if prompt.seed is None else prompt.seed


def _finished(command: Probe, terms: Terms, prompt: StreamPrompt, file: Path) -> PromptRow | None:
    """The row of an earlier run; None if there is none.

    Raises:
        SetupError: It was made with other settings.
    """
    try:
        row = PromptRow.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
    if (row.key, row.prompt, row.seed) != (terms.key, prompt.text, _seed(command, prompt)):
        raise SetupError(
            f"{file} was made with other settings or another prompt",
            expected="one folder for each set of settings",
            remedy=f"name another --out, or remove {file.parent}",
        )
    return row


def _write(row: PromptRow, file: Path) -> None:
    with staged(file.parent) as stage:
        (stage / file.name).write_text(row.model_dump_json() + "\n", encoding="utf-8")


def _finish(rows: list[PromptRow], command: Probe, terms: Terms, made_by: dict[str, Any]) -> None:
    """Write the result, keep it where ``--tto.blocks auto`` looks for it, and print it."""
    if not any(row.status == "measured" for row in rows):
        refused = [row.error for row in rows if row.status == "refused"]
        raise UserError(
            f"nothing could be measured in {len(rows)} prompts: {len(refused)} were refused, in the others no object "
            "was found" + (f"; the first refusal: {refused[0]}" if refused else ""),
            remedy="other prompts, or other --masks",
        )
    summary = results.summarize(rows, command.model, terms.num_blocks, terms.blocks, terms.guided_steps)
    result = summary.model_copy(update={"masks": tuple(terms.key["masks"]), "provenance": made_by})
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


if __name__ == "__main__":
    sys.exit(main())
