"""The rows of the real-size benchmark, and what its results say of the settings that errors suggest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from experiments.bench import real_size
from experiments.bench.real_cases import CASES
from experiments.bench.real_models import MODELS, build
from ttom.backbones.runtime import check_fits
from ttom.config import RuntimeConfig
from ttom.errors import UserError

RESULT = Path(real_size.__file__).parent / "results" / "real_size.json"
FREE = (5.5, 7.5, 11.5, 15.5, 23.5, 31.5, 47.5)
"""GiB free on GPUs that are sold, a little for CUDA itself taken off."""


def test_every_case_can_be_resolved() -> None:
    for name, model in MODELS.items():
        for case in CASES.values():
            if not case.only or name in case.only:
                blocks = case.resolved(model).tto.blocks
                assert max(blocks) < model.config("transformer")["num_layers"]
                assert RuntimeConfig(**case.runtime).resident_blocks in (None, max(blocks) + 1)


@pytest.mark.parametrize("name", MODELS)
def test_what_a_small_gpu_is_advised_was_measured_to_fit(name: str) -> None:
    """The optimization at block 3 with checkpointing, and decoding in tiles; all but 4 blocks streamed if need be."""
    rows = {row["case"]: row for row in json.loads(RESULT.read_text())["rows"] if row["model"] == name}
    streamed = next(row["peak_gib"] for case, row in rows.items() if case.startswith("pipeline"))
    backbone = build(MODELS[name], "meta", torch.bfloat16, text_encoder=True)
    whole, blocks = (
        sum(p.nbytes for p in part.parameters()) / 2**30 for part in (backbone.transformer, backbone.blocks)
    )
    decoding = streamed["decode"] - (whole - blocks * (1 - 4 / backbone.num_blocks))
    kept = max(rows["tto-3-checkpointing"]["peak_gib"]["iteration"], whole + decoding)
    advised = []
    for free in FREE:
        try:
            check_fits(backbone, int(free * 2**30))
        except UserError as error:
            if "a smaller model" not in str(error):
                assert "`runtime.offload` `runtime.vae_tiling` `runtime.checkpointing`" in str(error)
                advised.append(max(streamed.values()) if "resident_blocks=4" in str(error) else kept)
                assert advised[-1] <= free, (name, free, str(error))
    assert advised
