"""How fast losses fall, compared over the same cases."""

from __future__ import annotations

import pytest

from experiments.emojiworld.convergence import convergence, iterations_to


@pytest.mark.parametrize(("level", "wanted"), [(0.6, 0), (0.5, 0), (0.3, 1), (0.1, 3), (0.01, 5)])
def test_iterations_to_a_loss(level: float, wanted: int) -> None:
    assert iterations_to([0.5, 0.3, 0.4, 0.1], level) == wanted


def test_convergence_compares_runs_of_the_same_case() -> None:
    scratch = {"a": [[0.4, 0.2], [0.05, 0.02]], "b": [[0.3, 0.3], [0.2, 0.02]], "c": [[0.1, 0.1], [0.1, 0.1]]}
    memory = {"a": [[0.05, 0.02], [0.009, 0.008]], "b": [[0.3, 0.2], [0.02, 0.01]]}  # c was refused: left out
    found = convergence(scratch, memory)
    assert found["n"] == 2
    assert found["first loss"]["scratch"]["mean"] == 0.35
    assert found["first loss"]["memory"]["mean"] == 0.175
    # Scratch has reached .2 and .3 after two iterations; the memory's run needs none of them for either.
    assert found["to what scratch has after step 1"]["memory"]["mean"] == 0
    assert found["to what scratch has after step 1"]["scratch"]["mean"] == 0.5
    assert found["to what scratch has after step 2"]["difference"]["mean"] == pytest.approx(-1.5)
    assert found["to 0.01"]["scratch"]["never"] == 2
    assert found["to 0.01"]["memory"]["never"] == 0
    assert convergence({}, memory) == {"n": 0}


def test_runs_of_different_lengths_reach_a_loss_in_their_own() -> None:
    """With a stop loss the first step of a is shorter; b takes three iterations to .01, more than a has in all."""
    scratch = {"a": [[0.01], [0.02]], "b": [[0.3, 0.2], [0.1, 0.01]]}
    memory = {"a": [[0.5], [0.4]], "b": [[0.3, 0.2], [0.1, 0.02]]}
    found = convergence(scratch, memory)
    assert found["to 0.01"]["scratch"] == {"mean": 1.5, "interval": [0.0, 3.0], "never": 0}
    assert found["to 0.01"]["memory"]["never"] == 2
    assert [key for key in found if key.startswith("to what")] == [
        "to what scratch has after step 1", "to what scratch has after step 2"
    ]  # fmt: skip
