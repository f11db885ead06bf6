"""A run so small that a test can afford it, on the tiny random pipeline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ttom.cli import main

PROMPT = "A red balloon moves from left to right above a blue house"
SMALL = (
    "--device cpu --preset emojiworld --sampler.frames 5 --sampler.height 16 --sampler.width 32 --sampler.steps 3 "
    "--sampler.max-sequence-length 24 --tto.blocks 1 2 --tto.guided-steps 2 --tto.iterations 2 --adapter.rank 2"
).split()


@pytest.fixture
def small(tiny_folder: Path) -> list[str]:
    """Options of `ttom generate` for a run of about a second."""
    return ["--model", str(tiny_folder), *SMALL]


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run ttom in-process, require exit code 2, a message and no traceback; returns the message."""

    def run(*arguments: str) -> str:
        try:
            code: int | str | None = main(arguments)
        except SystemExit as stop:  # tyro's own usage errors
            code = stop.code
        output = capsys.readouterr()
        assert code == 2, output.err
        assert "Traceback" not in output.err
        assert output.err.strip()
        return output.err

    return run
