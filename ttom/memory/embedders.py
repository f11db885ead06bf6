"""Text embeddings of abstracted prompts: the keys of the memory, g(C) in section 3.3 of the paper.

Every embedder encodes one text at a time, without padding: a text's key must not depend on what it is asked with, and
in bfloat16 another batch size is another rounding.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ttom.checkpoints import local_folder
from ttom.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ttom.backbones.protocol import Backbone

CLIP = "openai/clip-vit-large-patch14"
CHOICES = "'backbone', 'clip', a Hub id owner/name, or a folder with a CLIP text model or sentence-transformers model"
HASHED_VALUES = 65_536
"""Values of each weight tensor that enter the identity, evenly spaced: a text encoder can be 11 GB."""
NO_LIMIT = 512
"""Tokens, where the tokenizer names no limit (Wan's own tokenizer and training stop there too)."""

_CONFIG_FIELDS = """model_type d_kv num_heads num_attention_heads num_layers num_hidden_layers hidden_act dense_act_fn
    is_gated_act layer_norm_eps layer_norm_epsilon relative_attention_num_buckets relative_attention_max_distance
    bos_token_id eos_token_id pad_token_id""".split()  # those that change an embedding but not the shapes of weights
_SETTINGS_FILES = ["*.json", "*.txt", "*.model"]  # "*" matches slashes too
_WEIGHT_FILES = ["model.safetensors", "model-*-of-*.safetensors", "*/model.safetensors"]
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


class TextEmbedder(Protocol):
    """Turns texts into directions whose inner product says how alike the texts are.

    How close two unlike texts lie depends on the embedder, hence so does a fitting similarity threshold. Vectors of
    embedders with different identities must not be compared.
    """

    @property
    def identity(self) -> str:
        """Kind, model and a hash of weights, tokenizer and settings; the same in every process and on every machine.

        Neither the device nor loading in float32 or bfloat16 changes it.
        """
        ...

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings ``(n, dimension)`` of n texts: float32, unit length, never NaN.

        A text beyond the tokenizer's limit is cut. Raises UserError if a text is empty, or if the encoder's output for
        it has no direction (zero, or not finite after an overflow in float16).
        """
        ...


class BackboneEmbedder:
    """The backbone's own text encoder: mean of its outputs over the text's tokens (end token included).

    Nothing to download, but nothing trained for similarity either: the mean is not centred, and embeddings of short
    abstracted texts lie close together, most of their words being the same, so a similarity threshold must be chosen
    for the backbone. A tokenizer of whole words reads all unknown ones alike: ``<object B>`` as ``<object C>``.

    Args:
        backbone: Loaded; its tokenizer and text encoder are used where they are and in the precision they have.

    Raises:
        UserError: The pipeline was loaded without its text encoder or tokenizer.
    """

    def __init__(self, backbone: Backbone) -> None:
        self._name, self._device = backbone.name, backbone.device
        self._encoder, self._tokenizer = backbone.pipe.text_encoder, backbone.pipe.tokenizer
        if self._encoder is None or self._tokenizer is None:
            raise UserError(
                f"the pipeline of {backbone.name!r} was loaded without its text encoder or tokenizer",
                expected="a complete pipeline for `memory.embedder=backbone`",
                remedy="load all of it, or use `memory.embedder=clip`",
            )

    @cached_property
    def identity(self) -> str:
        config = self._encoder.config.to_dict()
        return _identity("backbone", self._name, self._encoder, self._tokenizer, config)

    @property
    def dimension(self) -> int:
        return self._encoder.config.hidden_size

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return _embed_each(texts, self._embed, self.dimension)

    def _embed(self, text: str) -> np.ndarray:
        tokens = _encode(self._tokenizer, text, self._tokenizer.model_max_length)
        # An offloaded encoder lies on the CPU and computes elsewhere.
        hidden = _run(self._encoder, tokens, self._device).last_hidden_state  # (1, L, D)
        return hidden[0].float().mean(dim=0).cpu().numpy()


class ClipEmbedder:
    """A CLIP text model's projected embedding, computed in float32 on the CPU.

    Args:
        name: What the user called it; its last part is in the identity.
        folder: With config.json (model_type ``clip`` or ``clip_text_model``), safetensors and tokenizer files.

    Raises:
        UserError: Weights or tokenizer are missing, incomplete, or not in safetensors.
    """

    def __init__(self, name: str, folder: Path) -> None:
        import torch
        from transformers import AutoTokenizer, CLIPTextModelWithProjection

        self._name = name
        with _quiet(), _loading(name, "a CLIP text model with its projection, as safetensors, and its tokenizer"):
            self._model, report = CLIPTextModelWithProjection.from_pretrained(
                folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
            self._tokenizer = AutoTokenizer.from_pretrained(folder)
        if report["missing_keys"]:  # transformers would make them up at random
            raise UserError(
                f"the text embedder {name!r} lacks the weights {', '.join(sorted(report['missing_keys'])[:3])}",
                expected="a CLIP checkpoint with text model and text projection",
                remedy="save it from CLIPModel or CLIPTextModelWithProjection",
            )
        config = self._model.config
        if len(self._tokenizer) > config.vocab_size:
            raise UserError(
                f"the text embedder {name!r} has {len(self._tokenizer)} words in its tokenizer and "
                f"{config.vocab_size} in its model",
                expected="a tokenizer and a model that belong together",
            )
        self._limit = min(self._tokenizer.model_max_length, config.max_position_embeddings)

    @cached_property
    def identity(self) -> str:
        return _identity("clip", self._name, self._model, self._tokenizer, self._model.config.to_dict())

    @property
    def dimension(self) -> int:
        return self._model.config.projection_dim

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return _embed_each(texts, self._embed, self.dimension)

    def _embed(self, text: str) -> np.ndarray:
        return _run(self._model, _encode(self._tokenizer, text, self._limit), "cpu").text_embeds[0].numpy()


class SentenceEmbedder:
    """A model of the sentence-transformers package (an optional dependency), in float32 on the CPU.

    Args:
        name: What the user called it; its last part is in the identity.
        folder: With modules.json.

    Raises:
        UserError: The package is not installed, or the folder needs code of its own or pickled weights.
    """

    def __init__(self, name: str, folder: Path) -> None:
        package = _sentence_transformers(name)
        self._name, self._folder, self._modules = name, folder, _safe_modules(name, folder)
        with _quiet(), _loading(name, "a sentence-transformers model with safetensors"):
            model = package.SentenceTransformer(
                str(folder), device="cpu", local_files_only=True, model_kwargs={"use_safetensors": True}
            )
        self._model = model.float().eval()

    @cached_property
    def identity(self) -> str:
        # How tokens are pooled is in the settings of the modules behind the first, whose folder is the whole one.
        modules = [[module["type"].rpartition(".")[2]] for module in self._modules]
        for settings, module in zip(modules, self._modules, strict=True):
            file = self._folder / module["path"] / "config.json"
            if module["path"] and file.is_file():
                settings.append(file.read_text(encoding="utf-8"))
        config = self._folder / "config.json"
        known = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
        return _identity("sentence", self._name, self._model, self._model.tokenizer, known, modules)

    @cached_property
    def dimension(self) -> int:
        return self._embed("a").shape[0]

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return _embed_each(texts, self._embed, self.dimension)

    def _embed(self, text: str) -> np.ndarray:
        return self._model.encode([text], convert_to_numpy=True, show_progress_bar=False)[0]


def load_embedder(name: str, backbone: Backbone | None = None) -> TextEmbedder:
    """The text embedder of that name.

    Args:
        name: ``backbone`` (the text encoder of ``backbone``), ``clip`` (openai/clip-vit-large-patch14, downloaded on
            first use), or a Hub id or folder of a CLIP or sentence-transformers model. Only safetensors are loaded.
        backbone: Needed for the name ``backbone`` only.

    Raises:
        UserError: No backbone given, unknown name, a Hub id that cannot be fetched, a folder that is neither kind of
            model or is incomplete, or the sentence-transformers package is not installed.
    """
    if name == "backbone":
        if backbone is None:
            raise UserError(
                "the text embedder 'backbone' needs a loaded model, and there is none here",
                expected=CHOICES,
                remedy="name the model, or use `memory.embedder=clip`",
            )
        return BackboneEmbedder(backbone)
    name = CLIP if name == "clip" else name
    local = local_folder(name)
    if local is not None:
        return _embedder_class(name, local)(name, local)
    if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name) or os.path.exists(os.path.expanduser(name)):
        raise UserError(f"unknown text embedder {name!r}: no such folder", expected=CHOICES)
    kind = _embedder_class(name, _fetch(name, _SETTINGS_FILES))  # before gigabytes of weights of something else
    return kind(name, _fetch(name, _SETTINGS_FILES + _WEIGHT_FILES))


def _embedder_class(name: str, folder: Path) -> type[ClipEmbedder] | type[SentenceEmbedder]:
    """Which class loads the folder, read off its settings files."""
    if (folder / "modules.json").is_file():
        _sentence_transformers(name)
        return SentenceEmbedder
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        found = f"its model_type is {config.get('model_type')!r}"
    except FileNotFoundError:
        config, found = {}, "it has neither modules.json nor config.json"
    except (OSError, ValueError, AttributeError) as error:
        config, found = {}, f"its config.json cannot be read ({_first_line(error)})"
    if config.get("model_type") not in ("clip", "clip_text_model"):
        raise UserError(
            f"the text embedder {name!r} is no CLIP text model and no sentence-transformers model: {found}",
            expected=CHOICES,
            remedy="`memory.embedder=backbone` needs no other model",
        )
    return ClipEmbedder


def _fetch(name: str, patterns: list[str]) -> Path:
    """Download the repository's files of these patterns, or find them in the cache; the folder that holds them."""
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=patterns))
    except Exception as error:  # the Hub client raises its HTTP library's errors too
        raise UserError(
            f"the text embedder {name!r} cannot be fetched: {_first_line(error)}",
            expected=CHOICES,
            remedy="check the name and the network, or download it and pass the folder",
        ) from error


def _sentence_transformers(name: str) -> Any:
    try:
        return importlib.import_module("sentence_transformers")
    except ImportError as error:
        raise UserError(
            f"the text embedder {name!r} is a sentence-transformers model, and that package cannot be imported: "
            f"{_first_line(error)}",
            expected="the package sentence-transformers",
            remedy="pip install sentence-transformers",
        ) from error


def _safe_modules(name: str, folder: Path) -> list[dict[str, Any]]:
    """ "type" (a class) and "path" (its folder) of each module in modules.json.

    Raises UserError if loading would run code from the folder or unpickle weights: either could do anything.
    """
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        kinds = [(module["type"].startswith("sentence_transformers."), folder / module["path"]) for module in modules]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"the text embedder {name!r} has a modules.json that cannot be read",
            expected="a list of modules with type and path, as sentence-transformers writes it",
        ) from error
    for stock, path in kinds:
        suffixes = {file.suffix for file in path.glob("*")}
        pickled = bool(suffixes.intersection(_PICKLES)) and ".safetensors" not in suffixes
        if pickled or not stock:
            raise UserError(
                f"the text embedder {name!r} has {'pickled weights' if pickled else 'code of its own'}",
                expected="sentence_transformers' own modules with safetensors",
                remedy="save it again with sentence-transformers' save_pretrained, or use another model",
            )
    return modules


def _embed_each(texts: Sequence[str], embed: Any, dimension: int) -> np.ndarray:
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
                f"the text embedder's output for {text!r} has no direction (its length is {length})",
                expected="finite numbers, not all zero",
                remedy="`dtype=bfloat16` or float32 if the backbone's text encoder overflows in float16",
            )
        row[:] = vector / length
    return rows


def _encode(tokenizer: Any, text: str, limit: int) -> Any:
    """Token ids and mask ``(1, L)`` of one text, cut to the limit, special tokens included."""
    limit = limit if limit < 1_000_000 else NO_LIMIT  # transformers writes "none" as 1e30
    return tokenizer(text, truncation=True, max_length=limit, return_attention_mask=True, return_tensors="pt")


def _run(model: Any, tokens: Any, device: Any) -> Any:
    import torch

    with torch.no_grad():
        return model(input_ids=tokens["input_ids"].to(device), attention_mask=tokens["attention_mask"].to(device))


def _identity(
    kind: str, name: str, model: nn.Module, tokenizer: Any, config: dict[str, Any], modules: Any = None
) -> str:
    """``kind:model:hash``. Of a path only the last part is kept, for folders lie elsewhere on other machines.

    Of the config, named fields only: the whole also holds versions and paths.
    """
    settings = [{field: config.get(field) for field in _CONFIG_FIELDS}, tokenizer.get_vocab(), modules]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for parameter, weight in sorted(model.named_parameters()):
        digest.update(f"{parameter}{tuple(weight.shape)}".encode())
        digest.update(_sample(weight))
    return f"{kind}:{os.path.basename(os.path.abspath(os.path.expanduser(name)))}:{digest.hexdigest()[:16]}"


def _sample(weight: Tensor) -> bytes:
    """Evenly spaced values in bfloat16, to which float32 and bfloat16 copies of one checkpoint round alike."""
    import torch

    values = weight.detach().flatten()
    values = values[:: max(1, -(-values.numel() // HASHED_VALUES))]
    return values.to("cpu", torch.bfloat16).view(torch.int16).numpy().tobytes()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def _loading(name: str, expected: str) -> Iterator[None]:
    """What goes wrong while loading a folder is the folder's fault: say so, without a traceback."""
    try:
        yield
    except Exception as error:  # tokenizers, safetensors and transformers each have errors of their own
        raise UserError(
            f"the text embedder {name!r} cannot be loaded: {_first_line(error)}",
            expected=expected,
            remedy="fetch it again, or pass another `memory.embedder`",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """No bar, and no report of the image half of a CLIP checkpoint as unexpected weights."""
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
