"""Fill a memory before it is used: python -m experiments.emojiworld.pseudo_train --memory DIR

Optimizes on generated prompts of the training split that cover the common compositions, and keeps each adapter as an
entry of its own, so --count prompts make --count entries. Two things see to that. No two prompts have the same
abstracted prompt, which is the memory's key: the second would only update the first's entry. And the threshold is 1,
so that a near key is no match and every entry starts from the adapter's own start values.

Can be stopped and run again: prompts that the memory holds already are skipped, and what each worker is optimizing
is all that a kill can lose. A larger --count adds further prompts to the same ones. With --llm a language model rewords
them. Without Ray, --shard I/N fills a memory with part I of the prompts: one process for each part, whose memories
`ttom memory merge` puts together (fill_memory.sh does all of it).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from eval.arguments import parse_shard
from eval.planned import PlannedCase, plan_cases
from eval.progress import CaseProgress
from eval.run_memory import RunMemory
from eval.types import Case
from eval.worker import Job, MakeVideos, Optimized, without_memory
from experiments.emojiworld.rewording import reworded
from ttom import TTOM, UserError
from ttom.cli.exits import exit_code
from ttom.config import MemoryConfig, PlannerConfig, RuntimeConfig, Settings
from ttom.emojiworld.training_prompts import TrainingPrompt, training_prompts
from ttom.files import write_bytes
from ttom.layout.model import Layout
from ttom.memory.memory import Lookup
from ttom.memory.store import Store
from ttom.parallel import Devices, Lost, MakeWorker, open_workers
from ttom.presets import emojiworld


def memory_settings(settings: Settings, folder: Path) -> Settings:
    """The settings with a memory that takes every prompt as a new entry."""
    return replace(settings, memory=MemoryConfig(path=str(folder), mode="readwrite", use="init", threshold=1.0))


def remembered(folder: Path) -> set[str]:
    """The prompts of the memory's entries; none if there is no memory yet."""
    if not (folder / "memory.json").exists():
        return set()
    with Store(folder, read_only=True) as store:
        return {entry.prompt for entry in store.entries()}


def fill(
    chosen: list[TrainingPrompt],
    settings: Settings,
    *,
    model: str,
    devices: Devices,
    make_worker: MakeWorker | None = None,
) -> int:
    """Remember the prompts that the memory of the settings does not hold yet; returns how many those were.

    Workers optimize, and this process alone writes to the memory.

    Raises:
        UserError: If some prompts could not be made; the others are kept.
    """
    assert settings.memory.path is not None
    known = remembered(Path(settings.memory.path))
    left = plan_cases([_case(prompt) for prompt in chosen if prompt.text not in known], settings)
    if not left:
        return 0
    make = make_worker or MakeVideos(model, "auto", None, RuntimeConfig(), "ttom", without_memory(settings))
    problems: list[str] = []
    with (
        open_workers(make, devices) as workers,
        RunMemory(settings.memory, workers, [(item.prompt, _layout(item)) for item in left]) as memory,
        CaseProgress("entries", len(left)) as progress,
    ):
        lookups: dict[str, Lookup] = {}

        def jobs() -> Iterator[Job]:
            for item in left:
                lookup = lookups[item.case.id] = memory.look_up(item.prompt, _layout(item))
                yield Job(item.case, item.prompt, item.layout, lookup.state, wants_adapter=True)

        for job, outcome in workers.each("optimize", jobs()):
            lookup = lookups.pop(job.case.id)
            if isinstance(outcome, Optimized):
                lookup.keep(outcome.adapter, outcome.losses)
            else:
                reason = outcome.reason if isinstance(outcome, Lost) else outcome.error
                problems.append(f"{job.prompt!r}: {reason}")
            progress.one_more()
    if problems:
        raise UserError(
            f"{len(problems)} of {len(left)} prompts could not be made; the first is {problems[0]}",
            remedy="run it again to retry them",
        )
    return len(left)


def _case(prompt: TrainingPrompt) -> Case:
    name = f"train-{prompt.number}"
    return Case(
        id=name,
        suite="training",
        category=str(prompt.composition[0]),
        prompt=prompt.text,
        seed=prompt.number,
        video=f"none/{name}.mp4",
    )


def _layout(item: PlannedCase) -> Layout:
    """The layout of a training prompt, all of which can be planned."""
    assert item.layout is not None, item.problem
    return item.layout


def _in_its_words(chosen: list[TrainingPrompt], options: argparse.Namespace) -> list[TrainingPrompt]:
    """The prompts as the language model says them, kept beside the memory so that a second call has the same ones."""
    kept = Path(f"{options.memory}.prompts.json")
    found: dict[str, tuple[str, str]] = json.loads(kept.read_text()) if kept.exists() else {}
    missing = [prompt for prompt in chosen if prompt.text not in found]
    if missing:
        sampler, backbone = emojiworld().sampler, TTOM.from_pretrained(options.model, device=options.device).load()
        config = PlannerConfig(kind="llm", model=options.llm, base_url=options.base_url)
        used = {key for _, key in found.values()} | {prompt.key for prompt in missing}
        made, taken = reworded(missing, config, sampler.aspect, used, backbone.vocabulary.unknown_words)
        found |= {old.text: (new.text, new.key) for old, new in zip(missing, made, strict=True)}
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(kept, json.dumps(found, indent=1).encode())
        print(f"{taken} of {len(missing)} prompts in the words of {options.llm}, the others as they were")
    return [replace(prompt, text=found[prompt.text][0], key=found[prompt.text][1]) for prompt in chosen]


def main(argv: Sequence[str] | None = None) -> int:
    """Fill. Returns the exit code: 0 done, 2 bad input, 130 interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", type=Path, required=True, metavar="DIR", help="folder of the memory to fill")
    parser.add_argument("--count", type=int, default=240, help="prompts, and so entries; 90 cover all compositions")
    parser.add_argument("--seed", type=int, default=0, help="of the prompts")
    parser.add_argument("--devices", type=int, help="GPUs, or CPU processes; several need Ray")
    parser.add_argument("--per-device", type=int, default=1, help="workers that share a device")
    parser.add_argument(
        "--shard", default="1/1", metavar="I/N", help="only part I of N of the prompts; each part has its own memory"
    )
    parser.add_argument("--llm", metavar="MODEL", help="let this language model reword the prompts (see ttom plan)")
    parser.add_argument("--base-url", help="its address; by default OPENAI_BASE_URL, else OpenAI's own")
    parser.add_argument("--model", default="emojiworld-wan")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    options = parser.parse_args(argv)
    if options.count < 1:
        parser.error("--count is a whole number of at least 1")
    return exit_code("pseudo_train", lambda: run(options))


def run(options: argparse.Namespace) -> int:
    """Do what the options say. Raises UserError."""
    part, parts = parse_shard(options.shard)
    if options.llm and parts > 1:
        raise UserError(
            "a shard's prompts cannot be reworded: two shards might get the same key",
            expected="--llm without --shard",
            remedy="leave one of them out",
        )
    devices = Devices(options.devices, options.per_device, options.device)
    settings = memory_settings(TTOM(options.model).settings, options.memory)
    chosen = training_prompts(options.count, options.seed)[part - 1 :: parts]
    if options.llm:
        chosen = _in_its_words(chosen, options)
    new = fill(chosen, settings, model=options.model, devices=devices)
    print(f"{new} new entries, {len(chosen) - new} were there: {options.memory}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
