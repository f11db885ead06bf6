"""Text embedders: unit vectors, one identity a model, and a plain answer to what cannot be loaded."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from tests.tiny import tiny_pipeline, tiny_tokenizer
from ttom.backbones import load_backbone
from ttom.backbones.wan import WanBackbone
from ttom.errors import UserError
from ttom.memory import embedding
from ttom.memory.embedders import BackboneEmbedder, ClipEmbedder, SentenceEmbedder, TextEmbedder, load_embedder

TEXTS = ["a dog moves left", "two cats", "the red balloon moves from right to left above three blue houses."]


def clip_config() -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tiny_tokenizer()), hidden_size=16, intermediate_size=32, num_hidden_layers=2, projection_dim=12,
        num_attention_heads=2, max_position_embeddings=24, bos_token_id=0, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip


def save_clip(folder: Path, seed: int = 0) -> Path:
    """A random CLIP text model with the tiny pipeline's tokenizer."""
    torch.manual_seed(seed)
    CLIPTextModelWithProjection(clip_config()).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clip(tmp_path_factory.mktemp("clip") / "tiny-clip")


@pytest.fixture(params=["backbone", "clip"])
def embedder(request: pytest.FixtureRequest, tiny: WanBackbone, clip_folder: Path) -> TextEmbedder:
    return load_embedder("backbone", tiny) if request.param == "backbone" else load_embedder(str(clip_folder))


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if sentence-transformers were not installed."""
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)


@pytest.fixture
def any_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if sentence-transformers were installed, for checks that come before its first use."""
    monkeypatch.setitem(sys.modules, "sentence_transformers", SimpleNamespace())


def unreachable(*_: Any, **__: Any) -> str:
    raise OSError("no network here")


def test_kinds(tiny: WanBackbone, clip_folder: Path) -> None:
    backbone, clip = load_embedder("backbone", tiny), load_embedder(str(clip_folder))
    assert isinstance(backbone, BackboneEmbedder) and backbone.dimension == 16
    assert isinstance(clip, ClipEmbedder) and clip.dimension == 12
    assert backbone.identity.startswith("backbone:tiny-wan:") and clip.identity.startswith("clip:tiny-clip:")


def test_rows_are_unit_vectors(embedder: TextEmbedder) -> None:
    rows = embedder.embed(TEXTS)
    assert rows.shape == (3, embedder.dimension) and rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert embedder.embed([]).shape == (0, embedder.dimension)


def test_a_row_depends_on_its_own_text_only(embedder: TextEmbedder) -> None:
    rows = embedder.embed(TEXTS)
    np.testing.assert_allclose(embedder.embed(TEXTS[::-1])[::-1], rows, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([embedder.embed([text]) for text in TEXTS]), rows, atol=1e-5)
    assert rows[0] @ rows[1] < 1 - 1e-5


def test_spaces_do_not_matter(embedder: TextEmbedder) -> None:
    one, other = embedder.embed(["a dog", "  a \n dog "])
    np.testing.assert_array_equal(one, other)


def test_a_long_text_is_cut_at_the_tokenizers_limit(embedder: TextEmbedder) -> None:
    longest, longer = embedder.embed(["dog " * 100, "dog " * 200])
    np.testing.assert_allclose(longest, longer, atol=1e-6)


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_text_is_refused(embedder: TextEmbedder, text: str) -> None:
    with pytest.raises(UserError, match="empty"):
        embedder.embed(["a dog", text])


def test_one_text_is_no_list(embedder: TextEmbedder) -> None:
    with pytest.raises(TypeError):
        embedder.embed("a dog")


def test_backbone_mean_is_over_the_text_and_not_the_padding(tiny: WanBackbone) -> None:
    text = "a dog moves left"
    padded = tiny.encode_prompt(text, "", guidance=False, max_sequence_length=32).positive[0]
    count = len(tiny.pipe.tokenizer(text)["input_ids"])
    mean = padded[:count].mean(dim=0).numpy()
    np.testing.assert_allclose(BackboneEmbedder(tiny).embed([text])[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_an_output_without_direction_is_refused(tiny: WanBackbone) -> None:
    torch.nn.init.constant_(tiny.pipe.text_encoder.encoder.final_layer_norm.weight, float("nan"))
    with pytest.raises(UserError, match="no direction"):
        load_embedder("backbone", tiny).embed(["a dog"])


def test_identity_of_a_backbone(tiny: WanBackbone, tiny_folder: Path, tmp_path: Path) -> None:
    identity = load_embedder("backbone", tiny).identity
    moved = shutil.copytree(tiny_folder, tmp_path / "elsewhere" / tiny_folder.name)
    for folder, dtype in ((tiny_folder, "auto"), (moved, "auto"), (moved, "bfloat16")):
        again = load_embedder("backbone", load_backbone(str(folder), device="cpu", dtype=dtype))
        again.embed(["a dog"])  # using it changes nothing
        assert again.identity == identity
    tiny.pipe.text_encoder.encoder.final_layer_norm.weight.data[0] += 0.1
    assert load_embedder("backbone", tiny).identity != identity


def test_identity_of_a_clip_model(clip_folder: Path, tmp_path: Path) -> None:
    identity = load_embedder(str(clip_folder)).identity
    assert load_embedder(str(clip_folder)).identity == identity
    assert load_embedder(str(save_clip(tmp_path / "tiny-clip", seed=1))).identity != identity
    other = shutil.copytree(clip_folder, tmp_path / "settings" / "tiny-clip")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"hidden_act": "gelu"}))
    assert load_embedder(str(other)).identity != identity


def test_the_embedded_checkpoint_tells_motions_and_counts_apart() -> None:
    embedder = load_embedder("backbone", load_backbone("emojiworld-wan", device="cpu"))
    rows = embedder.embed(["<object A> moves left", "<object A> moves right", "three <object A>"])
    similar = rows @ rows.T
    assert similar[0, 1] < 0.999 and similar[0, 2] < 0.999 and similar[1, 2] < 0.999
    np.testing.assert_allclose(np.diag(similar), 1, atol=1e-5)


def test_the_hub_is_asked_for_safetensors_only(monkeypatch: pytest.MonkeyPatch, clip_folder: Path) -> None:
    asked = []

    def download(repo_id: str, *, allow_patterns: list[str]) -> str:
        asked.append((repo_id, allow_patterns))
        return str(clip_folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    embedder = load_embedder("clip")
    assert embedder.identity.startswith("clip:clip-vit-large-patch14:")
    assert {repo for repo, _ in asked} == {"openai/clip-vit-large-patch14"}
    assert not any("safetensors" in pattern for pattern in asked[0][1])  # settings first
    assert not any(pattern.endswith(("*", ".bin", ".pt")) for _, patterns in asked for pattern in patterns)


def test_backbone_needs_a_backbone_with_its_text_encoder() -> None:
    with pytest.raises(UserError, match="needs a loaded model"):
        load_embedder("backbone")
    pipe = tiny_pipeline()
    pipe.text_encoder = None
    with pytest.raises(UserError, match="without its text encoder"):
        load_embedder("backbone", WanBackbone("bare", pipe))


@pytest.mark.parametrize("name", ["", "clpi", "/no/such/folder", "./none", "~nobody/x", "a/b/c", "a/b c", "x" * 5000])
def test_unknown_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(UserError, match="no such folder") as caught:
        load_embedder(name)
    assert caught.value.expected


def test_a_hub_id_that_cannot_be_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(UserError, match="'owner/none' cannot be fetched: no network here") as caught:
        load_embedder("owner/none")
    assert caught.value.expected and caught.value.remedy


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "neither modules.json nor config.json"),
        ({"config.json": '{"model_type": "bert"}'}, "model_type is 'bert'"),
        ({"config.json": "[]"}, "cannot be read"),
        ({"config.json": "{"}, "cannot be read"),
        ({"config.json": '{"model_type": "clip_text_model"}'}, "cannot be loaded"),
    ],
)
def test_folders_that_are_no_embedder(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        load_embedder(str(tmp_path))
    assert caught.value.expected and caught.value.remedy


def test_incomplete_clip_folders(clip_folder: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(clip_folder, tmp_path / "no-tokenizer")
    for file in bare.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(UserError, match="cannot be loaded"):
        load_embedder(str(bare))
    unprojected = shutil.copytree(clip_folder, tmp_path / "no-projection")
    CLIPTextModel(clip_config()).save_pretrained(unprojected)
    with pytest.raises(UserError, match="has no weights text_projection.weight"):
        load_embedder(str(unprojected))


def test_pickled_clip_weights_are_not_loaded(clip_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(clip_folder, tmp_path / "pickled")
    torch.save(load_embedder(str(folder))._model.state_dict(), folder / "pytorch_model.bin")  # type: ignore[attr-defined]
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="cannot be loaded"):
        load_embedder(str(folder))


def save_modules(folder: Path, kind: str = "sentence_transformers.models.Transformer") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": kind}]))
    return folder


@pytest.mark.usefixtures("no_package")
def test_sentence_transformers_not_installed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be imported") as caught:
        load_embedder(str(save_modules(tmp_path)))
    assert caught.value.remedy == "pip install sentence-transformers"


@pytest.mark.usefixtures("any_package")
def test_sentence_folders_that_could_run_code_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="code of its own"):
        load_embedder(str(save_modules(tmp_path / "code", kind="own.Module")))
    pickled = save_modules(tmp_path / "pickled")
    (pickled / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UserError, match="pickled weights"):
        load_embedder(str(pickled))
    broken = save_modules(tmp_path / "broken")
    (broken / "modules.json").write_text("[1]")
    with pytest.raises(UserError, match="cannot be read"):
        load_embedder(str(broken))


def save_sentence_model(package: Any, folder: Path, *, pooling: str = "mean", seed: int = 0) -> Path:
    """A random BERT with mean pooling, as sentence-transformers saves it."""
    tokenizer, bert = tiny_tokenizer(), folder.parent / "bert"
    tokenizer.save_pretrained(bert)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(bert)
    models = importlib.import_module("sentence_transformers.models")
    modules = [models.Transformer(str(bert)), models.Pooling(16, pooling_mode=pooling)]
    package.SentenceTransformer(modules=modules, device="cpu").save(str(folder))
    return folder


def test_sentence_transformers(tmp_path: Path) -> None:
    package = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    embedder = load_embedder(str(save_sentence_model(package, tmp_path / "tiny-sentence")))
    assert isinstance(embedder, SentenceEmbedder) and embedder.dimension == 16
    rows = embedder.embed(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(embedder.embed(TEXTS[::-1])[::-1], rows, atol=1e-5)
    assert embedder.identity == load_embedder(str(tmp_path / "tiny-sentence")).identity
    for change in ({"seed": 1}, {"pooling": "cls"}):
        other = save_sentence_model(package, tmp_path / str(change) / "tiny-sentence", **change)
        assert load_embedder(str(other)).identity != embedder.identity


def test_only_a_sample_of_a_large_weight_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "HASHED_VALUES", 100)
    assert len(embedding._sample(torch.zeros(12, 34))) == 2 * 82  # bytes of every fifth value
    assert len(embedding._sample(torch.zeros(100))) == 2 * 100


@pytest.mark.parametrize("known", [True, False])
def test_code_in_the_folder_never_runs_and_no_question_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """With "y" on stdin, the Python file that a tokenizer's auto_map names once ran."""
    folder = save_clip(tmp_path / "clip")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings["auto_map"] = {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    settings["tokenizer_class"] = settings["tokenizer_class"] if known else "Evil"
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Evil: pass\n")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question"))
    monkeypatch.setattr("sys.stdin", io.StringIO("y\ny\n"))
    if known:
        assert load_embedder(str(folder)).dimension == 12
    else:
        with contextlib.suppress(UserError):
            load_embedder(str(folder))
    assert not (tmp_path / "ran").exists()


def test_modules_outside_the_folder_are_refused(tmp_path: Path, any_package: None) -> None:
    save_clip(tmp_path / "other")
    (tmp_path / "model").mkdir()
    modules = [{"type": "sentence_transformers.models.Transformer", "path": "../other"}]
    (tmp_path / "model" / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UserError, match="sentence"):
        load_embedder(str(tmp_path / "model"))
