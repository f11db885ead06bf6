"""Runs of T2V-CompBench for a stand-in of its scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eval.metrics.compbench import CATEGORIES
from eval.runs import Run
from eval.toolkits.compbench import Toolkit, evaluate, plan
from eval.toolkits.process import Programs
from eval.types import Case
from tests.eval.judged import clip, write_run

FACTS: dict[str, dict[str, Any]] = {
    "consistent": {"phrases": "a blue car; a white fence"},
    "dynamic": {"state 0": "a bud", "state 1": "a flower"},
    "spatial": {"spatial": "left", "object_1": "cat", "object_2": "dog"},
    "motion": {"object_1": "cat", "d_1": "left", "object_2": "", "d_2": ""},
    "action": {"phrase_0": ["a dog?", "a dog runs?"], "phrase_1": ["a cat?", "a cat climbs?"]},
    "interaction": {},
    "numeracy": {"objects": "fish", "numbers": "2"},
}


def case(name: str, number: int) -> Case:
    folder = CATEGORIES[name].folder
    return Case(
        id=f"{folder}-{number:04d}", suite="compbench", category=folder, prompt=f"{name} {number}", seed=number,
        video=f"{folder}/{number:04d}.mp4", facts=FACTS[name],
    )  # fmt: skip


def make_run(path: Path, *names: str, numbers: tuple[int, ...] = (1, 2, 3, 5)) -> Path:
    cases = [case(name, number) for name in names for number in numbers]
    return write_run(path, cases, [clip(i) for i in range(len(cases))], suite="compbench")


def evaluated(toolkit: Toolkit, run: Run, out: Path, name: str) -> dict[int, float | None]:
    (task,) = plan(run, out, [name])
    return evaluate(toolkit, task, Programs()).scores
