"""The shell scripts, with a stand-in for Python that writes down its calls."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[3] / "experiments" / "emojiworld"
PYTHON = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in *eval.judge*" --shard 1/"*) exit "$JUDGE" ;; esac
"""
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")


def run(tmp_path: Path, script: str, *arguments: str, judge: int = 0) -> tuple[subprocess.CompletedProcess, list[str]]:
    """The finished script and the calls of Python."""
    python, calls = tmp_path / "python", tmp_path / "calls"
    python.write_text(PYTHON)
    python.chmod(0o755)
    environment = {**os.environ, "PYTHON": str(python), "CALLS": str(calls), "JUDGE": str(judge)}
    call = ["bash", str(SCRIPTS / script), *arguments]
    done = subprocess.run(call, env=environment, capture_output=True, text=True, timeout=60)
    return done, calls.read_text().splitlines()


def test_shards_fill_memories_of_their_own_which_are_merged(tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    done, calls = run(tmp_path, "fill_memory.sh", str(memory), "some-model", "7", "2")
    assert done.returncode == 0, done.stderr
    filled = "-m experiments.emojiworld.pseudo_train --memory {0}-part{1} --model some-model --count 7 --shard {1}/2"
    assert sorted(calls[:2]) == [f"{filled.format(memory, part)} --devices 1" for part in (1, 2)]
    assert calls[2:] == [f"-m ttom memory merge {memory}-part1 {memory}-part2 --into {memory}"]
    assert (tmp_path / "memory.done").exists()


def tables(tmp_path: Path, judge: int) -> tuple[subprocess.CompletedProcess, list[str]]:
    variants = ("base: --method base", "ttom: --method ttom")
    return run(tmp_path, "tables.sh", str(tmp_path / "out"), "some-model", "toy", "2", "2", *variants, judge=judge)


def test_open_questions_are_told_and_do_not_stop_the_scores(tmp_path: Path) -> None:
    done, calls = tables(tmp_path, judge=1)
    assert done.returncode == 0 and "some questions are still open" in done.stderr
    modules = [call.split()[1] for call in calls]
    assert modules == ["eval.replay"] * 4 + ["eval.judge"] * 4 + ["eval.score", "eval.report"]


def test_a_judge_that_fails_ends_the_script_and_says_so(tmp_path: Path) -> None:
    done, calls = tables(tmp_path, judge=2)
    assert done.returncode == 2 and "the judge failed; see" in done.stderr
    assert not any("eval.score" in call for call in calls)
    done, _ = tables(tmp_path, judge=0)
    assert (done.returncode, done.stderr) == (0, "")
