"""The measurement of what a memory gains: its variants and its count of iterations."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.emojiworld import memory_gain
from experiments.emojiworld.evaluate import change
from ttom.presets import emojiworld


def test_every_variant_but_two_reads_the_memory_frozen(tmp_path: Path) -> None:
    for name, changes in memory_gain.variants(tmp_path).items():
        settings = change(emojiworld(), changes)
        reads = not name.startswith(("base", "tto"))
        assert settings.memory.active == reads, name
        assert not reads or (settings.memory.mode, settings.memory.use) == ("read", name.split()[0]), name


def test_fused_variants_differ_in_count_and_fusion(tmp_path: Path) -> None:
    made = [change(emojiworld(), changes) for changes in memory_gain.variants(tmp_path).values()]
    assert {(s.memory.top_k, s.memory.fusion) for s in made if s.memory.top_k > 1} == {
        (k, how) for k in (5, 10) for how in ("average", "similarity", "svd")
    }


@pytest.mark.parametrize(("level", "wanted"), [(0.6, 0), (0.5, 0), (0.3, 1), (0.1, 3), (0.01, 5)])
def test_iterations_to_a_loss(level: float, wanted: int) -> None:
    assert memory_gain.iterations_to([0.5, 0.3, 0.4, 0.1], level) == wanted


def test_convergence_compares_runs_of_the_same_prompt() -> None:
    losses = {
        ("a", "tto"): [0.4, 0.2, 0.05, 0.02],
        ("a", "init + tto"): [0.05, 0.02, 0.009, 0.008],
        ("b", "tto"): [0.3, 0.3, 0.2, 0.02],
        ("b", "init + tto"): [0.3, 0.2, 0.02, 0.01],
        ("c", "tto"): [0.1, 0.1, 0.1, 0.1],  # refused with the memory: left out
    }
    rows = [{"id": key, "variant": name, "losses": values} for (key, name), values in losses.items()]
    found = memory_gain.convergence(rows, iterations=2)
    assert found["n"] == 2
    assert found["first loss"]["scratch"]["mean"] == 0.35
    assert found["first loss"]["memory"]["mean"] == 0.175
    # Scratch has reached .2 and .3 after two iterations; the memory's run needs none of them for either.
    assert found["to what scratch has after 2"]["memory"]["mean"] == 0
    assert found["to what scratch has after 2"]["scratch"]["mean"] == 0.5
    assert found["to what scratch has after 4"]["difference"]["mean"] == pytest.approx(-1.5)
    assert found["to 0.01"]["scratch"]["never"] == 2
    assert found["to 0.01"]["memory"]["never"] == 0
