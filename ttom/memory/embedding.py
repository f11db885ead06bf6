"""Shared parts of the text embedders: tokenization, unit vectors, identities, and clear loading errors."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from ttom.errors import SetupError, UserError, cut_short, first_line

if TYPE_CHECKING:
    from torch import Tensor, nn

HASHED_VALUES = 65_536
"""How many evenly spaced values of each weight tensor are hashed; a text encoder can have 11 GB."""
NO_LIMIT = 512
"""Maximum number of tokens if the tokenizer has no limit, as in Wan's training."""

_CONFIG_FIELDS = """model_type d_kv num_heads num_attention_heads num_layers num_hidden_layers hidden_act dense_act_fn
    is_gated_act layer_norm_eps layer_norm_epsilon relative_attention_num_buckets relative_attention_max_distance
    bos_token_id eos_token_id pad_token_id""".split()  # fields that change embeddings but no shapes of weights


def embed_each(texts: Sequence[str], embed: Any, dimension: int) -> np.ndarray:
    """Unit rows ``(n, dimension)`` in float32; ``embed`` gives the ``(dimension,)`` vector of one text."""
    if isinstance(texts, str):
        raise TypeError("texts is a list of texts, not one text")
    rows = np.empty((len(texts), dimension), np.float32)
    for row, text in zip(rows, texts, strict=True):
        text = " ".join(text.split())
        if not text:
            raise UserError("the text to embed is empty", expected="texts with at least one word")
        vector = embed(text).astype(np.float64)
        length = float(np.linalg.norm(vector))
        if not 0 < length < np.inf:  # not so for NaN either
            raise UserError(
                f"the text embedder's output for {cut_short(text, 100)!r} has no direction (its length is {length})",
                expected="finite numbers, not all zero",
                remedy="`dtype=bfloat16` or float32 if the backbone's text encoder overflows in float16",
            )
        row[:] = vector / length
    return rows


def encode(tokenizer: Any, text: str, limit: int) -> Any:
    """Token ids and mask ``(1, L)`` of one text, cut to the limit, special tokens included."""
    limit = limit if limit < 1_000_000 else NO_LIMIT  # transformers writes "none" as 1e30
    return tokenizer(text, truncation=True, max_length=limit, return_attention_mask=True, return_tensors="pt")


def run(model: Any, tokens: Any, device: Any) -> Any:
    """The model's output for tokens of `encode`."""
    import torch

    with torch.no_grad():
        return model(input_ids=tokens["input_ids"].to(device), attention_mask=tokens["attention_mask"].to(device))


def identity_of(
    kind: str, name: str, model: nn.Module, tokenizer: Any, config: dict[str, Any], modules: Any = None
) -> str:
    """``kind:model:hash``. Only the last part of a path is kept, since folders differ between machines.

    Only some fields of the config are hashed, since it also contains versions and paths.
    """
    settings = [{field: config.get(field) for field in _CONFIG_FIELDS}, tokenizer.get_vocab(), modules]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for parameter, weight in sorted(model.named_parameters()):
        digest.update(f"{parameter}{tuple(weight.shape)}".encode())
        digest.update(_sample(weight))
    return f"{kind}:{os.path.basename(os.path.abspath(os.path.expanduser(name)))}:{digest.hexdigest()[:16]}"


def _sample(weight: Tensor) -> bytes:
    """Evenly spaced values in bfloat16, which are the same for float32 and bfloat16 copies of a checkpoint."""
    import torch

    values = weight.detach().flatten()
    values = values[:: max(1, -(-values.numel() // HASHED_VALUES))]
    return values.to("cpu", torch.bfloat16).view(torch.int16).numpy().tobytes()


@contextmanager
def loading(name: str, expected: str) -> Iterator[None]:
    """Convert any error while loading a model folder to SetupError."""
    try:
        yield
    except Exception as error:  # tokenizers, safetensors and transformers each have errors of their own
        raise SetupError(
            f"the text embedder {name!r} cannot be loaded: {first_line(error)}",
            expected=expected,
            remedy="fetch it again, or pass another `memory.embedder`",
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Hide progress bars, and warnings about the unused image half of a CLIP checkpoint."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
