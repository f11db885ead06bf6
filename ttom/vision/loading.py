"""Loading pretrained models, with one clear error for what goes wrong there."""

from __future__ import annotations

from typing import Any

from ttom.backbones.loading import no_progress_bars
from ttom.errors import SetupError, first_line


def load_pretrained(kind: Any, source: str) -> Any:
    """``kind.from_pretrained(source)``; weights are read from safetensors alone, and no code in the folder is run.

    Args:
        kind: A model, tokenizer or image processor class of transformers.
        source: Hub id or folder.

    Raises:
        SetupError: The weights cannot be fetched or read.
    """
    from transformers import PreTrainedModel

    options = {"trust_remote_code": False}  # without it, transformers asks on stdin
    if issubclass(kind, PreTrainedModel):
        options["use_safetensors"] = True
    try:
        with no_progress_bars():
            return kind.from_pretrained(source, **options)
    except Exception as error:  # the Hub client and safetensors raise errors of their own
        raise SetupError(
            f"the {kind.__name__} of {source!r} cannot be loaded: {first_line(error)}",
            expected="the id of a Hub repository that can be reached, or a folder written by save_pretrained",
            remedy="check the name and the network, or download it and pass the folder",
        ) from error
