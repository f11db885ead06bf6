"""What the text embedders share: unit vectors, tokens within a limit, identities that change with the model alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.tiny import tiny_tokenizer
from ttom.errors import SetupError, UserError
from ttom.memory.embedding import NO_LIMIT, embed_each, encode, identity_of, loading, quiet, run

VECTORS = {"a b": [3.0, 4.0], "zero": [0.0, 0.0], "nan": [np.nan, 1.0], "huge": [np.inf, 1.0], "tiny": [1e-30, 0.0]}


def embed(text: str) -> np.ndarray:
    return np.array(VECTORS[text], np.float32)


def test_vectors_become_unit_rows_of_cleaned_texts() -> None:
    rows = embed_each(["  a\n b ", "tiny"], embed, 2)
    assert rows.dtype == np.float32 and np.allclose(rows, [[0.6, 0.8], [1, 0]])
    assert embed_each([], embed, 2).shape == (0, 2)
    for text in ("zero", "nan", "huge"):
        with pytest.raises(UserError, match=f"'{text}' has no direction"):
            embed_each([text], embed, 2)
    with pytest.raises(UserError, match="is empty"):
        embed_each([" \n"], embed, 2)
    with pytest.raises(TypeError, match="not one text"):
        embed_each("a b", embed, 2)


def test_texts_are_cut_to_the_limit() -> None:
    tokenizer, text = tiny_tokenizer(), "a dog moves left " * 400
    assert encode(tokenizer, text, 7)["input_ids"].shape == (1, 7)
    assert encode(tokenizer, text, int(1e30))["attention_mask"].shape == (1, NO_LIMIT)  # how "none" is written
    short = encode(tokenizer, "a dog", 7)
    assert short["input_ids"].shape == short["attention_mask"].shape and short["attention_mask"].all()


def test_models_run_without_gradients() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return self.weight * input_ids * attention_mask

    tokens = {"input_ids": torch.tensor([[2, 3]]), "attention_mask": torch.tensor([[1, 0]])}
    output = run(Model(), tokens, "cpu")
    assert output.tolist() == [[2, 0]] and not output.requires_grad


def identity(change: str = "", name: str = "/models/mine", dtype: torch.dtype = torch.float32) -> str:
    torch.manual_seed(0)
    model: nn.Module = nn.Linear(3, 2)
    with torch.no_grad():
        model.weight.copy_(model.weight.bfloat16())
        model.bias.copy_(model.bias.bfloat16())
        if change == "weight":
            model.weight[1, 2] += 1
    if change == "name of a weight":
        model = nn.Sequential(model)
    config: dict[str, Any] = {"num_layers": 3 if change == "config" else 2, "_name_or_path": name}
    tokenizer = tiny_tokenizer()
    if change == "tokenizer":
        tokenizer.add_tokens(["zigzags"])
    modules = ["pooling"] if change == "modules" else None
    return identity_of("kind", name, model.to(dtype), tokenizer, config, modules)


def test_an_identity_is_that_of_the_model_wherever_and_however_it_is_loaded() -> None:
    first = identity()
    assert first.startswith("kind:mine:") and len(first) == len("kind:mine:") + 16
    assert identity(name="/elsewhere/mine/") == identity(dtype=torch.bfloat16) == first


@pytest.mark.parametrize("change", ["weight", "name of a weight", "config", "tokenizer", "modules"])
def test_any_change_that_changes_embeddings_changes_the_identity(change: str) -> None:
    assert identity(change) != identity()


def test_errors_of_libraries_become_one_clear_error() -> None:
    with pytest.raises(SetupError, match="'mine' cannot be loaded: first\n") as caught, loading("mine", "a model"):
        raise RuntimeError("first\nsecond\x1b[31m")
    assert "expected: a model" in str(caught.value)


def test_bars_and_warnings_come_back() -> None:
    from transformers.utils import logging

    logging.enable_progress_bar()
    before = logging.get_verbosity()
    with pytest.raises(ValueError), quiet():
        assert not logging.is_progress_bar_enabled() and logging.get_verbosity() == logging.ERROR
        raise ValueError
    assert logging.is_progress_bar_enabled() and logging.get_verbosity() == before
