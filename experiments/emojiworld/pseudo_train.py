"""Fill a memory before it is used: python -m experiments.emojiworld.pseudo_train --memory DIR

Optimises on generated prompts of the training split that cover the common compositions, and keeps each adapter as an
entry of its own, so --count prompts make --count entries. Two things see to that. No two prompts have the same
abstracted prompt, which is the memory's key: the second would only update the first's entry. And the threshold is 1,
so that a near key is no match and every entry starts from the adapter's own start values.

Can be stopped and called again: prompts that the memory holds already are skipped, and what each process is working on
is all that a kill can lose. A larger --count goes on with the same prompts. With --llm a language model rewords them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from experiments.emojiworld.evaluate import take_gpu
from experiments.emojiworld.rewording import reworded
from ttom import TTOM, UserError
from ttom.cli.app import BAD_INPUT, INTERRUPTED
from ttom.config import MemoryConfig, PlannerConfig, Settings
from ttom.emojiworld.training_prompts import TrainingPrompt, training_prompts
from ttom.memory.files import write_whole
from ttom.memory.store import Store
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


@cache
def _model(name: str, device: str) -> TTOM:
    return TTOM.from_pretrained(name, device=device)


def remember(text: str, seed: int, settings: Settings, model: str, device: str, threads: int | None = None) -> None:
    """Optimise on one prompt and keep the adapter; no video is made."""
    if threads is not None:
        torch.set_num_threads(threads)
    _model(model, device).optimize(text, seed=seed, settings=settings)


def fill(
    chosen: list[TrainingPrompt], settings: Settings, *, model: str, device: str = "auto", workers: int = 1
) -> int:
    """Remember the prompts that the memory of the settings does not hold yet; returns how many those were.

    Raises:
        UserError: If a prompt cannot be made; those made until then are kept.
    """
    assert settings.memory.path is not None
    known = remembered(Path(settings.memory.path))
    left = [prompt for prompt in chosen if prompt.text not in known]
    bar = tqdm(total=len(chosen), initial=len(chosen) - len(left), desc="remembered", disable=not sys.stderr.isatty())
    with bar:
        for _ in _made(left, settings, model, device, workers):
            bar.update()
    return len(left)


def _made(left: list[TrainingPrompt], settings: Settings, model: str, device: str, workers: int) -> Iterator[None]:
    """Yields once for each prompt that is in the memory now."""
    if workers == 1 or len(left) < 2:
        for prompt in left:
            yield remember(prompt.text, prompt.number, settings, model, device)
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    spawn = get_context("spawn")
    turns = spawn.Value("i", 0)
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_begin_worker, initargs=(turns,)) as pool:
        try:
            # One alone: two processes must not create the folder at once, and a mistake shows before the rest starts.
            for part in (left[:1], left[1:]):
                jobs = [
                    pool.submit(remember, prompt.text, prompt.number, settings, model, device, threads)
                    for prompt in part
                ]
                for job in as_completed(jobs):
                    yield job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _begin_worker(turns: Any) -> None:
    """Ctrl-C reaches every process of the terminal: workers end what they were given, the parent gives no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    take_gpu(turns)


def _in_its_words(chosen: list[TrainingPrompt], options: argparse.Namespace) -> list[TrainingPrompt]:
    """The prompts as the language model says them, kept beside the memory so that a second call has the same ones."""
    kept = Path(f"{options.memory}.prompts.json")
    found: dict[str, tuple[str, str]] = json.loads(kept.read_text()) if kept.exists() else {}
    missing = [prompt for prompt in chosen if prompt.text not in found]
    if missing:
        sampler, backbone = emojiworld().sampler, _model(options.model, options.device).load()
        config = PlannerConfig(kind="llm", model=options.llm, base_url=options.base_url)
        used = {key for _, key in found.values()} | {prompt.key for prompt in missing}
        made, taken = reworded(missing, config, sampler.width / sampler.height, used, backbone.vocabulary.unknown_words)
        found |= {old.text: (new.text, new.key) for old, new in zip(missing, made, strict=True)}
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, json.dumps(found, indent=1).encode())
        print(f"{taken} of {len(missing)} prompts in the words of {options.llm}, the others as they were")
    return [replace(prompt, text=found[prompt.text][0], key=found[prompt.text][1]) for prompt in chosen]


def main() -> int:
    """Returns the exit code: 0 done, 2 bad input, 130 interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", type=Path, required=True, metavar="DIR", help="folder of the memory to fill")
    parser.add_argument("--count", type=int, default=240, help="prompts, and so entries; 90 cover all compositions")
    parser.add_argument("--seed", type=int, default=0, help="of the prompts")
    parser.add_argument("--workers", type=int, default=1, help="processes that share the memory")
    parser.add_argument("--llm", metavar="MODEL", help="let this language model reword the prompts (see ttom plan)")
    parser.add_argument("--base-url", help="its address; by default OPENAI_BASE_URL, else OpenAI's own")
    parser.add_argument("--model", default="emojiworld-wan")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    options = parser.parse_args()
    if options.count < 1 or options.workers < 1:
        parser.error("--count and --workers are whole numbers of at least 1")
    try:
        settings = memory_settings(TTOM(options.model).settings, options.memory)
        chosen = training_prompts(options.count, options.seed)
        if options.llm:
            chosen = _in_its_words(chosen, options)
        new = fill(chosen, settings, model=options.model, device=options.device, workers=options.workers)
    except UserError as error:
        print(f"pseudo_train: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("pseudo_train: interrupted; call it again to go on", file=sys.stderr)
        return INTERRUPTED
    print(f"{new} new entries, {len(chosen) - new} were there: {options.memory}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
