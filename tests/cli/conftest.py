"""A run so small that a test can afford it, on the tiny random pipeline."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import ttom
from ttom.cli import main

ROOT = Path(ttom.__file__).parents[1]
HEAVY = ("torch", "diffusers", "transformers", "lightning", "matplotlib")
PROMPT = "A red balloon moves from left to right above a blue house"
SMALL = (
    "--device cpu --preset emojiworld --sampler.frames 5 --sampler.height 16 --sampler.width 32 --sampler.steps 3 "
    "--sampler.max-sequence-length 24 --tto.blocks 1 2 --tto.guided-steps 2 --tto.iterations 2 --adapter.rank 2"
).split()


def heavy_imports(code: str) -> tuple[list[str], str]:
    """The libraries that are slow to import among those that the code imports in a new process, and what it prints."""
    code += f"\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    printed, _, found = done.stdout.rstrip("\n").rpartition("\n")
    return ast.literal_eval(found), printed


@pytest.fixture
def small(tiny_folder: Path) -> list[str]:
    """Options of `ttom generate` for a run of about a second."""
    return ["--model", str(tiny_folder), *SMALL]


@pytest.fixture
def options(small: list[str], tmp_path: Path) -> list[str]:
    """Options of `ttom stream` for such runs with a memory."""
    return ["--memory.path", str(tmp_path / "memory"), "--out", str(tmp_path / "run"), *small]


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
