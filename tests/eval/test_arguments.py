"""What `python -m eval.replay` makes of its options: shards, the preset's defaults, what excludes each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.arguments import parse, parse_shard
from ttom.config import PlannerConfig
from ttom.errors import SetupError
from ttom.presets import emojiworld, paper

NEEDED = ["--suite", "emojiworld", "--out", "runs/a"]


@pytest.mark.parametrize(("text", "part"), [("1/1", (1, 1)), ("8/8", (8, 8)), ("3/12", (3, 12))])
def test_shards(text: str, part: tuple[int, int]) -> None:
    assert parse_shard(text) == part
    assert parse([*NEEDED, "--shard", text]).part == part


@pytest.mark.parametrize("text", ["", "0/4", "5/4", "1", "1/0", "-1/4", "1/4/2", "a/b", "1.0/2", "1/9999999"])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(SetupError, match="(?s)`shard` is .*such as 1/8"):
        parse_shard(text)


@pytest.mark.parametrize("options", [["--streaming"], ["--devices", "2"], ["--per-device", "2"]])
def test_a_shard_goes_with_one_device_and_no_stream(options: list[str]) -> None:
    with pytest.raises(SetupError, match="goes neither with"):
        _ = parse([*NEEDED, "--shard", "1/2", *options]).part


def test_without_a_shard_there_is_no_part() -> None:
    command = parse(NEEDED)
    assert command.part is None and command.out == Path("runs/a")


def test_the_preset_gives_the_defaults() -> None:
    assert parse(NEEDED).settings == emojiworld()
    changed = parse([*NEEDED, "--preset", "paper", "--tto.iterations", "3"]).settings
    assert changed.tto.iterations == 3 and changed.sampler == paper().sampler
    assert type(changed.planner) is PlannerConfig
