"""What the probe chooses by itself: prompts, folder, segmenter, steps and blocks."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.arguments import PROMPTS, Probe
from ttom.config import SamplerConfig
from ttom.errors import SetupError


@pytest.mark.parametrize(
    ("model", "prompts", "segmenter", "folder"),
    [
        ("emojiworld-wan", "emojiworld.jsonl", "emojiworld", "emojiworld-wan"),
        ("some/place/emojiworld-mine", "emojiworld.jsonl", "emojiworld", "emojiworld-mine"),
        ("Wan-AI/Wan2.1-T2V-14B-Diffusers", "common.jsonl", "grounding", "Wan2.1-T2V-14B-Diffusers"),
    ],
)
def test_defaults_follow_the_model(model: str, prompts: str, segmenter: str, folder: str) -> None:
    probe = Probe(model=model)
    assert (probe.prompts_file, probe.segmenter) == (PROMPTS / prompts, segmenter)
    assert probe.folder == Path("runs/probe") / folder


def test_what_is_named_counts() -> None:
    probe = Probe(prompts=Path("mine.txt"), out=Path("there"), masks="worker")
    assert (probe.prompts_file, probe.folder, probe.segmenter) == (Path("mine.txt"), Path("there"), "worker")


@pytest.mark.parametrize(
    ("steps", "guided", "chosen"),
    [(50, 5, (0, 1, 2, 3, 4, 25, 49)), (8, 5, (0, 1, 2, 3, 4, 7)), (3, 5, (0, 1, 2)), (1, 5, (0,))],
)
def test_guided_steps_the_middle_and_the_last_are_read(steps: int, guided: int, chosen: tuple[int, ...]) -> None:
    assert Probe(sampler=SamplerConfig(steps=steps)).chosen_steps(guided) == chosen


def test_steps_are_of_the_run() -> None:
    sampler = SamplerConfig(steps=8)
    assert Probe(sampler=sampler, at_steps=(7, 0, 7)).chosen_steps(5) == (0, 7)
    for wrong in ((8,), (-1, 3)):
        with pytest.raises(SetupError, match="(?s)the run has 8 steps.*steps 0 to 7"):
            Probe(sampler=sampler, at_steps=wrong).chosen_steps(5)


def test_blocks_are_of_the_model() -> None:
    assert Probe().chosen_blocks(3) == (0, 1, 2)
    assert Probe(blocks=(2, 0, 2)).chosen_blocks(3) == (0, 2)
    with pytest.raises(SetupError, match="(?s)names block 3.*has 3 blocks.*from 0 to 2"):
        Probe(blocks=(0, 3)).chosen_blocks(3)
