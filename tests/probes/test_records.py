"""Records of the probe: complete, of known fields, and the same after the disk."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from probes.records import BlockRow, Mean, PhraseRow, ProbeResult, PromptRow
from ttom.statistics import estimate

FOUND: dict[str, Any] = {"frames": 5, "share": 0.1, "miou": [[0.5, 0.25]], "ap": [[0.75, 0.5]]}


@pytest.mark.parametrize("missing", ["frames", "share", "miou", "ap"])
def test_a_phrase_that_was_found_has_its_measures(missing: str) -> None:
    PhraseRow(phrase="a cat", noun="cat", found=False)
    row = PhraseRow(phrase="a cat", noun="cat", found=True, **FOUND)
    assert (row.table("miou"), row.table("ap")) == (((0.5, 0.25),), ((0.75, 0.5),))
    with pytest.raises(ValidationError, match="its measures are missing"):
        PhraseRow(phrase="a cat", noun="cat", found=True, **{k: v for k, v in FOUND.items() if k != missing})


def test_rows_survive_the_disk_and_unknown_fields_do_not() -> None:
    phrase = PhraseRow(phrase="a cat", noun="cat", found=True, **FOUND)
    row = PromptRow(key={"a": 1}, prompt="a cat", seed=3, steps=(0,), status="measured", phrases=(phrase,))
    assert PromptRow.model_validate_json(row.model_dump_json()) == row
    with pytest.raises(ValidationError):
        PromptRow.model_validate(row.model_dump() | {"other": 1})
    with pytest.raises(ValidationError):
        PromptRow.model_validate(row.model_dump() | {"status": "lost"})


def test_a_mean_is_the_estimate_in_four_digits() -> None:
    values = np.random.default_rng(0).random(30)
    mean = Mean.of(estimate(values))
    assert mean.mean == pytest.approx(values.mean(), abs=5e-5) and mean.n == 30
    assert mean.interval[0] < mean.mean < mean.interval[1]
    assert str(mean) == f"{mean.mean:.3f} [{mean.interval[0]:.3f}, {mean.interval[1]:.3f}]"


def test_measures_by_their_names() -> None:
    one, two = Mean(mean=0.1, interval=(0, 1), n=1), Mean(mean=0.2, interval=(0, 1), n=1)
    row = BlockRow(block=1, miou=one, ap=two)
    assert (row.measure("miou"), row.measure("ap")) == (one, two)


def test_a_result_of_another_version_is_refused() -> None:
    assert ProbeResult.model_fields["version"].default == 1
    with pytest.raises(ValidationError, match="version"):
        ProbeResult.model_validate({"version": 2})
