"""Text embeddings of abstracted prompts: the keys of the memory, g(C) in section 3.3 of the paper.

Every embedder encodes one text at a time, without padding: a text's key must not depend on the other texts of a batch,
and in bfloat16 the batch size changes the rounding.
"""

from __future__ import annotations

import importlib
import json
import os
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ttom.checkpoints import local_folder
from ttom.errors import SetupError, first_line
from ttom.memory.embedding import embed_each, encode, identity_of, loading, quiet, run

if TYPE_CHECKING:
    from ttom.backbones.protocol import Backbone

CLIP = "openai/clip-vit-large-patch14"
CHOICES = "'backbone', 'clip', a Hub id owner/name, or a folder with a CLIP text model or sentence-transformers model"
_SETTINGS_FILES = ["*.json", "*.txt", "*.model"]  # "*" matches slashes too
_WEIGHT_FILES = ["model.safetensors", "model-*-of-*.safetensors", "*/model.safetensors"]
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


class TextEmbedder(Protocol):
    """Computes unit vectors whose inner product measures how similar two texts are.

    How similar unrelated texts appear depends on the embedder, and so does a suitable similarity threshold. Vectors of
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

    It needs no download, but it is not trained for similarity: the mean is not centered, and embeddings of short
    abstracted texts are close together, since they share most of their words. The similarity threshold must be chosen
    for the backbone. A word-level tokenizer cannot tell unknown words apart: ``<object B>`` equals ``<object C>``.

    Args:
        backbone: Loaded; its tokenizer and text encoder are used where they are and in the precision they have.

    Raises:
        SetupError: The pipeline was loaded without its text encoder or tokenizer.
    """

    def __init__(self, backbone: Backbone) -> None:
        self._name, self._device = backbone.name, backbone.device
        self._encoder, self._tokenizer = backbone.pipe.text_encoder, backbone.pipe.tokenizer
        if self._encoder is None or self._tokenizer is None:
            raise SetupError(
                f"the pipeline of {backbone.name!r} was loaded without its text encoder or tokenizer",
                expected="a complete pipeline for `memory.embedder=backbone`",
                remedy="load all of it, or use `memory.embedder=clip`",
            )

    @cached_property
    def identity(self) -> str:
        config = self._encoder.config.to_dict()
        return identity_of("backbone", self._name, self._encoder, self._tokenizer, config)

    @property
    def dimension(self) -> int:
        return self._encoder.config.hidden_size

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return embed_each(texts, self._embed, self.dimension)

    def _embed(self, text: str) -> np.ndarray:
        tokens = encode(self._tokenizer, text, self._tokenizer.model_max_length)
        # An offloaded encoder lies on the CPU and computes elsewhere.
        hidden = run(self._encoder, tokens, self._device).last_hidden_state  # (1, L, D)
        return hidden[0].float().mean(dim=0).cpu().numpy()


class ClipEmbedder:
    """A CLIP text model's projected embedding, computed in float32 on the CPU.

    Args:
        name: What the user called it; its last part is in the identity.
        folder: With config.json (model_type ``clip`` or ``clip_text_model``), safetensors and tokenizer files.

    Raises:
        SetupError: Weights or tokenizer are missing, incomplete, or not in safetensors.
    """

    def __init__(self, name: str, folder: Path) -> None:
        import torch
        from transformers import AutoTokenizer, CLIPTextModelWithProjection

        self._name = name
        with quiet(), loading(name, "a CLIP text model with its projection, as safetensors, and its tokenizer"):
            self._model, report = CLIPTextModelWithProjection.from_pretrained(
                folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True, trust_remote_code=False
            )
            self._tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        if report["missing_keys"]:  # transformers would initialize them at random
            raise SetupError(
                f"the text embedder {name!r} has no weights {', '.join(sorted(report['missing_keys'])[:3])}",
                expected="a CLIP checkpoint with text model and text projection",
                remedy="save it from CLIPModel or CLIPTextModelWithProjection",
            )
        config = self._model.config
        if len(self._tokenizer) > config.vocab_size:
            raise SetupError(
                f"the text embedder {name!r} has {len(self._tokenizer)} words in its tokenizer and "
                f"{config.vocab_size} in its model",
                expected="a tokenizer and a model that belong together",
            )
        self._limit = min(self._tokenizer.model_max_length, config.max_position_embeddings)

    @cached_property
    def identity(self) -> str:
        return identity_of("clip", self._name, self._model, self._tokenizer, self._model.config.to_dict())

    @property
    def dimension(self) -> int:
        return self._model.config.projection_dim

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return embed_each(texts, self._embed, self.dimension)

    def _embed(self, text: str) -> np.ndarray:
        return run(self._model, encode(self._tokenizer, text, self._limit), "cpu").text_embeds[0].numpy()


class SentenceEmbedder:
    """A model of the sentence-transformers package (an optional dependency), in float32 on the CPU.

    Args:
        name: What the user called it; its last part is in the identity.
        folder: With modules.json.

    Raises:
        SetupError: The package is not installed, or the folder needs code of its own or pickled weights.
    """

    def __init__(self, name: str, folder: Path) -> None:
        package = _sentence_transformers(name)
        self._name, self._folder, self._modules = name, folder, _safe_modules(name, folder)
        with quiet(), loading(name, "a sentence-transformers model with safetensors"):
            model = package.SentenceTransformer(
                str(folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        self._model = model.float().eval()

    @cached_property
    def identity(self) -> str:
        # How tokens are pooled is in the settings of the modules behind the first, whose folder is the whole one.
        modules = [[module["type"].rpartition(".")[2]] for module in self._modules]
        with loading(self._name, "a sentence-transformers model with readable settings"):
            for settings, module in zip(modules, self._modules, strict=True):
                file = self._folder / module["path"] / "config.json"
                if module["path"] and file.is_file():
                    settings.append(file.read_text(encoding="utf-8"))
            config = self._folder / "config.json"
            known = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
        return identity_of("sentence", self._name, self._model, self._model.tokenizer, known, modules)

    @cached_property
    def dimension(self) -> int:
        return self._embed("a").shape[0]

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return embed_each(texts, self._embed, self.dimension)

    def _embed(self, text: str) -> np.ndarray:
        return self._model.encode([text], convert_to_numpy=True, show_progress_bar=False)[0]


def load_embedder(name: str, backbone: Backbone | None = None) -> TextEmbedder:
    """Load a text embedder by name.

    Args:
        name: ``backbone`` (the text encoder of ``backbone``), ``clip`` (openai/clip-vit-large-patch14, downloaded on
            first use), or a Hub id or folder of a CLIP or sentence-transformers model. Only safetensors are loaded.
        backbone: Needed for the name ``backbone`` only.

    Raises:
        SetupError: No backbone given, unknown name, a Hub id that cannot be fetched, a folder that is neither kind of
            model or is incomplete, or the sentence-transformers package is not installed.
    """
    if name == "backbone":
        if backbone is None:
            raise SetupError(
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
        raise SetupError(f"unknown text embedder {name!r}: no such folder", expected=CHOICES)
    kind = _embedder_class(name, _fetch(name, _SETTINGS_FILES))  # before gigabytes of weights of something else
    return kind(name, _fetch(name, _SETTINGS_FILES + _WEIGHT_FILES))


def _embedder_class(name: str, folder: Path) -> type[ClipEmbedder] | type[SentenceEmbedder]:
    """The class that loads the folder, according to its settings files."""
    if (folder / "modules.json").is_file():
        _sentence_transformers(name)
        return SentenceEmbedder
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        found = f"its model_type is {config.get('model_type')!r}"
    except FileNotFoundError:
        config, found = {}, "it has neither modules.json nor config.json"
    except (OSError, ValueError, AttributeError) as error:
        config, found = {}, f"its config.json cannot be read ({first_line(error)})"
    if config.get("model_type") not in ("clip", "clip_text_model"):
        raise SetupError(
            f"the text embedder {name!r} is neither a CLIP text model nor a sentence-transformers model: {found}",
            expected=CHOICES,
            remedy="`memory.embedder=backbone` needs no other model",
        )
    return ClipEmbedder


def _fetch(name: str, patterns: list[str]) -> Path:
    """Download the files of a repository that match the patterns, or find them in the cache; returns their folder."""
    import huggingface_hub

    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=patterns))
    except Exception as error:  # the Hub client raises its HTTP library's errors too
        raise SetupError(
            f"the text embedder {name!r} cannot be fetched: {first_line(error)}",
            expected=CHOICES,
            remedy="check the name and the network, or download it and pass the folder",
        ) from error


def _sentence_transformers(name: str) -> Any:
    try:
        return importlib.import_module("sentence_transformers")
    except ImportError as error:
        raise SetupError(
            f"the text embedder {name!r} is a sentence-transformers model, and that package cannot be imported: "
            f"{first_line(error)}",
            expected="the package sentence-transformers",
            remedy="pip install sentence-transformers",
        ) from error


def _safe_modules(name: str, folder: Path) -> list[dict[str, Any]]:
    """ "type" (a class) and "path" (its folder) of each module in modules.json.

    Raises SetupError if loading would run code from the folder or unpickle weights: either could do anything.
    """
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        kinds = [(module["type"].startswith("sentence_transformers."), folder / module["path"]) for module in modules]
        inside = all(path.resolve().is_relative_to(folder.resolve()) for _, path in kinds)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise SetupError(
            f"the text embedder {name!r} has a modules.json that cannot be read",
            expected="a list of modules with type and path, as sentence-transformers writes it",
        ) from error
    for stock, path in kinds:
        suffixes = {file.suffix for file in path.glob("*")}
        pickled = bool(suffixes.intersection(_PICKLES)) and ".safetensors" not in suffixes
        if pickled or not stock or not inside:
            raise SetupError(
                f"the text embedder {name!r} has {'pickled weights' if pickled else 'code of its own'}",
                expected="sentence_transformers' own modules with safetensors",
                remedy="save it again with sentence-transformers' save_pretrained, or use another model",
            )
    return modules
