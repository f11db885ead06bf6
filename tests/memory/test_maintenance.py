"""Merging, embedding anew, pruning and exporting memories."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.memory.test_memory import Embedder, ask, learn, make
from tests.memory.test_store import contents, put
from tests.tiny import tiny_pipeline
from ttom.backbones.wan import WanBackbone
from ttom.config import AdapterConfig
from ttom.errors import UserError
from ttom.guidance.tto.adapter import LoraAdapter
from ttom.memory import maintenance, sharing
from ttom.memory.store import UNFINISHED, Store


def new(folder: Path, **changes: Any) -> Store:
    return Store.create(folder, **{"embedder": "e", "dimension": 4, **changes})


def test_merging_keeps_everything_though_ids_collide(tmp_path: Path) -> None:
    with new(tmp_path / "a") as a, new(tmp_path / "b") as b:
        put(a, b"one", prompt="p1", losses=(0.5, 0.1))
        put(a, b"two", prompt="p2", namespace="me")
        put(b, b"three", prompt="p3")
        put(b, b"one", prompt="p1")  # equal to the first of a
        a.used([1])
        a.used([1])
    before = contents(tmp_path / "a"), contents(tmp_path / "b")
    done = maintenance.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    assert (done.copied, done.present, done.damaged) == (3, 1, ())
    with Store(tmp_path / "c") as c:
        entries = {entry.prompt: entry for entry in c.entries()}
        assert {p: c.value_bytes(e) for p, e in entries.items()} == {"p1": b"one", "p2": b"two", "p3": b"three"}
        first = entries["p1"]
        assert (first.uses, first.loss_before, first.loss_after) == (2, 0.5, 0.1)
        assert entries["p2"].namespace == "me" and c.verify().clean
    assert (contents(tmp_path / "a"), contents(tmp_path / "b")) == before
    again = maintenance.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    assert (again.copied, again.present) == (0, 4)


def test_merging_leaves_damaged_entries_out(tmp_path: Path) -> None:
    with new(tmp_path / "a") as a:
        put(a, b"good", prompt="good")
        bad = put(a, b"bad", prompt="bad")
        a.path(next(a.entries([bad])).sha256).write_bytes(b"BAD")
    done = maintenance.merge([tmp_path / "a"], tmp_path / "c")
    assert done.copied == 1 and [(folder, id_) for folder, id_, _ in done.damaged] == [(tmp_path / "a", bad)]


@pytest.mark.parametrize("difference", ["embedder", "signature"])
def test_memories_that_do_not_fit_are_not_merged(tmp_path: Path, difference: str) -> None:
    with new(tmp_path / "a") as a, new(tmp_path / "b", embedder="f" if difference == "embedder" else "e") as b:
        put(a)
        put(b, signature="t" if difference == "signature" else "s")
    with pytest.raises(UserError) as caught:
        maintenance.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    named = ("embedder e", "embedder f") if difference == "embedder" else ("adapters of: t", "s")
    assert str(tmp_path / "b") in str(caught.value) and all(name[-1] in str(caught.value) for name in named)
    assert not (tmp_path / "c").exists()
    with pytest.raises(UserError, match="nothing to merge"):
        maintenance.merge([tmp_path / "a"], tmp_path / "a")


def test_reindexing_lets_another_embedder_in(tmp_path: Path) -> None:
    memory = make(tmp_path / "m")
    learn(memory, "left")
    memory.close()
    other = Embedder("other", left=(0, 0, 1), right=(0, 1))
    assert maintenance.reindex(tmp_path / "m", other) == 1
    again = make(tmp_path / "m", other)
    assert ask(again, "left").recalled is not None and ask(again, "right").recalled is None
    np.testing.assert_array_equal(next(again.store.entries()).embedding[:3], [0, 0, 1])
    with pytest.raises(UserError, match="reindex"):
        make(tmp_path / "m")


def test_an_interrupted_reindex_is_refused_and_mended_by_the_next(tmp_path: Path, monkeypatch: Any) -> None:
    memory = make(tmp_path / "m")
    learn(memory, "left")
    memory.close()
    other = Embedder("other", left=(0, 0, 1))
    told = Store._describe

    def crash(self: Store, embedder: str, dimension: int) -> None:
        if not embedder.startswith(UNFINISHED):
            raise KeyboardInterrupt
        told(self, embedder, dimension)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "_describe", crash)
        maintenance.reindex(tmp_path / "m", other)
    for embedder in (other, Embedder("table", left=(1, 0))):
        with pytest.raises(UserError, match="reindex"):
            make(tmp_path / "m", embedder)
    assert maintenance.reindex(tmp_path / "m", other) == 1
    assert ask(make(tmp_path / "m", other), "left").recalled is not None


def test_pruning_gives_up_the_least_used_and_keeps_what_it_must(tmp_path: Path) -> None:
    with new(tmp_path / "m") as store:
        ids = [put(store, bytes([65 + i]) * 10) for i in range(4)]
        store.used([ids[1]])
        assert maintenance.prune(store, max_items=2, keep=[ids[0]]) == 2
        assert store.ids() == [ids[0], ids[1]]
        assert maintenance.prune(store, max_bytes=10) == 1 and store.ids() == [ids[1]]
        with pytest.raises(UserError, match="`max_items`"):
            maintenance.prune(store, max_items=0)
        with pytest.raises(UserError, match="does not exist"):
            maintenance.delete(store, [ids[1], 99])
        assert store.ids() == [ids[1]] and maintenance.delete(store, ids[1:2]) == 1


def exported(tiny: WanBackbone, tmp_path: Path) -> tuple[Store, int, dict[str, torch.Tensor], torch.Tensor]:
    """A memory with one entry, its tensors, and the transformer's output with them."""
    adapter = LoraAdapter(tiny, AdapterConfig(rank=4, alpha=8.0), (2,), seed=0)
    generator = torch.Generator().manual_seed(1)
    adapter.attach()
    state = {name: torch.randn(t.shape, generator=generator) * 0.3 for name, t in adapter.state_dict().items()}
    adapter.load_state_dict(state)
    with torch.no_grad():
        output = forward(tiny.transformer)
    adapter.detach()
    store = new(tmp_path / "m")
    id_ = store.insert(state, key="k", prompt="p", embedding=np.ones(4, np.float32), signature=adapter.signature)
    return store, id_, state, output


def forward(transformer: Any) -> torch.Tensor:
    latents = torch.randn(1, 16, 2, 4, 6, generator=torch.Generator().manual_seed(2))
    text = torch.randn(1, 8, 16, generator=torch.Generator().manual_seed(3))
    return transformer(latents, torch.tensor([500.0]), text, return_dict=False)[0]


def test_an_export_loads_into_the_stock_pipeline_at_the_right_scale(tiny: WanBackbone, tmp_path: Path) -> None:
    store, id_, _, wanted = exported(tiny, tmp_path)
    file = sharing.export(store, id_, tmp_path / "lora", "diffusers")
    stock = tiny_pipeline()
    with torch.no_grad():
        plain = forward(stock.transformer)
        stock.load_lora_weights(str(file.parent))
        loaded = forward(stock.transformer)
    assert (plain - wanted).abs().max() > 1e-2
    torch.testing.assert_close(loaded, wanted, rtol=1e-5, atol=1e-5)
    sharing.export(store, id_, tmp_path / "lora", "diffusers")  # an earlier export is overwritten
    file.write_bytes(b"something else")
    with pytest.raises(UserError, match="no LoRA"):
        sharing.export(store, id_, tmp_path / "lora", "diffusers")
    with pytest.raises(UserError, match="does not exist"):
        sharing.export(store, 9, tmp_path / "lora", "diffusers")


def test_comfyui_gets_the_names_of_the_original_code(tiny: WanBackbone, tmp_path: Path) -> None:
    store, id_, state, _ = exported(tiny, tmp_path)
    tensors = load_file(sharing.export(store, id_, tmp_path / "one.safetensors", "comfyui"))
    name = "diffusion_model.blocks.1.cross_attn.o"
    assert torch.equal(tensors[f"{name}.lora_down.weight"], state["blocks.1.attn2.to_out.0.lora_A.weight"])
    assert torch.equal(tensors[f"{name}.lora_up.weight"], state["blocks.1.attn2.to_out.0.lora_B.weight"])
    assert tensors[f"{name}.alpha"] == 8 and len(tensors) == len(state) // 2 * 3
    assert sharing.export(store, id_, tmp_path / "folder", "comfyui").name == f"ttom-{id_}.safetensors"


class Hub:
    """A repository in a folder, in place of the Hugging Face Hub's client."""

    folder: Path

    def create_repo(self, repo_id: str, **_: Any) -> str:
        self.folder.mkdir(exist_ok=True)
        return f"https://hub/{repo_id}"

    def list_repo_files(self, repo_id: str) -> list[str]:
        return [str(file.relative_to(self.folder)) for file in self.folder.rglob("*") if file.is_file()]

    def upload_folder(self, *, folder_path: str, **_: Any) -> None:
        shutil.copytree(folder_path, self.folder, dirs_exist_ok=True)

    def snapshot_download(self, repo_id: str, *, local_dir: Path, **_: Any) -> None:
        if not self.folder.exists():
            raise OSError("401 Client Error: no repository, token hf_secrettoken")
        shutil.copytree(self.folder, local_dir, dirs_exist_ok=True)


def test_push_and_pull_carry_a_whole_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Hub.folder = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    with new(tmp_path / "m") as store:
        ids = [put(store, b"one", prompt="p1"), put(store, b"two", prompt="p2")]
        with pytest.raises(UserError) as caught:
            sharing.pull("me/memory", tmp_path / "early")
        assert "hf_secrettoken" not in str(caught.value) and "me/memory" in str(caught.value)
        sharing.push(tmp_path / "m", "me/memory")  # while it is open, its log not yet written back
    assert sharing.pull("me/memory", tmp_path / "copy") == 2
    with Store(tmp_path / "copy") as copy:
        assert copy.ids() == ids and {copy.value_bytes(entry) for entry in copy.entries()} == {b"one", b"two"}
        assert copy.found.clean
    with pytest.raises(UserError):
        sharing.pull("me/memory", tmp_path / "copy")  # not empty
    value = next((tmp_path / "hub" / "values").rglob("*.safetensors"))
    value.write_bytes(b"changed on the way")
    with pytest.raises(UserError, match="damaged"):
        sharing.pull("me/memory", tmp_path / "other")
    assert not (tmp_path / "other").exists() or not any((tmp_path / "other").iterdir())


def test_an_interrupted_merge_ends_the_same_when_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        with new(tmp_path / name) as store:
            for number in range(4):
                put(store, f"{name}{number}".encode())
    sources, take, calls = [tmp_path / "a", tmp_path / "b"], Store.take, iter(range(100))

    def interrupted(self: Store, *arguments: Any) -> int | None:
        if next(calls) == 5:
            raise KeyboardInterrupt
        return take(self, *arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "take", interrupted)
        maintenance.merge(sources, tmp_path / "c")
    done = maintenance.merge([*sources, tmp_path / "c"], tmp_path / "c")
    assert (done.copied, done.present, done.damaged) == (3, 5, ())
    with Store(tmp_path / "c") as c:
        assert sorted(map(c.value_bytes, c.entries())) == [f"{n}{i}".encode() for n in "ab" for i in range(4)]


def test_a_reindex_cut_off_before_its_rows_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = make(tmp_path / "m")
    learn(memory, "left")
    memory.close()
    other = Embedder("other", left=(0, 0, 1))
    describe = Store._describe

    def cut_off(self: Store, embedder: str, dimension: int) -> None:
        describe(self, embedder, dimension)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Store, "_describe", cut_off)
        maintenance.reindex(tmp_path / "m", other)
    with Store(tmp_path / "m", read_only=True) as store:  # the old rows under no embedder's name
        np.testing.assert_array_equal(next(store.entries()).embedding[:3], [1, 0, 0])
    for embedder in (other, Embedder("table", left=(1, 0))):
        with pytest.raises(UserError, match="reindex"):
            make(tmp_path / "m", embedder)
    for command in (
        lambda: maintenance.merge([tmp_path / "m"], tmp_path / "c"),
        lambda: sharing.push(tmp_path / "m", "a/b"),
    ):
        with pytest.raises(UserError, match="unfinished reindex"):
            command()
    maintenance.reindex(tmp_path / "m", other)
    assert ask(make(tmp_path / "m", other), "left").recalled is not None


def test_a_process_that_has_the_memory_open_mixes_no_embedders(tmp_path: Path) -> None:
    ours = make(tmp_path / "m")
    learn(ours, "left")
    frozen = make(tmp_path / "m", mode="read")
    maintenance.reindex(tmp_path / "m", Embedder("other", left=(0, 0, 1)))
    with pytest.raises(UserError, match="another embedder meanwhile"):
        put(ours.store, embedding=np.zeros(8, np.float32))
    with pytest.raises(UserError, match="another embedder meanwhile"):
        ask(ours, "left")
    assert ask(frozen, "left").state is not None  # it works on the state at its opening
    assert len(ours.store) == 1


def test_stock_diffusers_reads_the_comfyui_file_at_the_same_scale(tiny: WanBackbone, tmp_path: Path) -> None:
    store, id_, _, wanted = exported(tiny, tmp_path)
    file = sharing.export(store, id_, tmp_path / "folder", "comfyui")
    stock = tiny_pipeline()
    stock.load_lora_weights(str(file.parent), weight_name=file.name)
    with torch.no_grad():
        torch.testing.assert_close(forward(stock.transformer), wanted, rtol=1e-5, atol=1e-5)
    other = sharing.export(store, id_, tmp_path / "lora", "diffusers")
    shutil.copy(other, file)
    with pytest.raises(UserError, match="no LoRA in the format comfyui"):
        sharing.export(store, id_, tmp_path / "folder", "comfyui")


def test_entries_that_cannot_be_exported(tmp_path: Path) -> None:
    state = {f"transformer_blocks.0.attn1.to_q.lora_{side}.weight": torch.ones(2, 2) for side in "AB"}
    given = {"key": "k", "prompt": "p", "embedding": np.ones(4, np.float32)}
    with new(tmp_path / "m") as store:
        other = store.insert(state, signature="Other, rank 2, alpha 1e-05, to_q", **given)
        unscaled, no_tensors = store.insert(state, signature="s", **given), put(store, b"no tensors")
        for id_, words in (
            (other, "no ComfyUI name"),
            (unscaled, "scale of entry 2 are unknown"),
            (no_tensors, "cannot be read"),
        ):
            with pytest.raises(UserError, match=words):
                sharing.export(store, id_, tmp_path / "out", "comfyui")
    assert not (tmp_path / "out").exists()


def test_deleted_prompts_stay_at_home_and_other_repositories_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Hub.folder = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    with new(tmp_path / "m") as store:
        put(store, b"one", prompt="public")
        bad = [put(store, value, prompt="a secret plan") for value in (b"two", b"three")]
        store.path(next(store.entries(bad[:1])).sha256).write_bytes(b"damaged")
        with pytest.raises(UserError, match="missing or damaged"):
            sharing.push(tmp_path / "m", "me/memory")
        assert not Hub.folder.exists()
        store.verify()
        store.delete(bad)
        sharing.push(tmp_path / "m", "me/memory")
    pushed = (Hub.folder / "entries.sqlite").read_bytes()
    assert b"public" in pushed and b"secret" not in pushed
    (Hub.folder / "memory.json").unlink()
    with pytest.raises(UserError, match="something else than a memory"):
        sharing.push(tmp_path / "m", "me/memory")
    with pytest.raises(UserError, match="holds no memory"):
        sharing.pull("me/memory", tmp_path / "new")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entries SET sha256 = '../../../victim'",
        "UPDATE entries SET sha256 = 7",
        "UPDATE entries SET layout = '{'",
        "UPDATE entries SET embedding = 'text'",
        "UPDATE entries SET embedding = x'00000000'",
        "CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries; END",
    ],
)
def test_rows_that_no_memory_writes_are_not_pulled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    Hub.folder = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    with new(tmp_path / "m") as store:
        put(store, b"one")
    sharing.push(tmp_path / "m", "me/memory")
    db = sqlite3.connect(tmp_path / "hub" / "entries.sqlite")
    db.execute(change)
    db.commit()
    db.close()
    with pytest.raises(UserError, match="the memory in the repository me/memory is damaged") as caught:
        sharing.pull("me/memory", tmp_path / "new")
    assert ".ttom-pull" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hub", "m"]


def test_a_malformed_token_is_not_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError("Illegal header value b'Bearer hf_abcDEF123\\n' and b'Bearer my-own+token'")

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setattr(Hub, "create_repo", refuse)
    new(tmp_path / "m").close()
    with pytest.raises(UserError, match="Illegal header value") as caught:
        sharing.push(tmp_path / "m", "me/memory")
    assert "abcDEF123" not in str(caught.value) and "my-own" not in str(caught.value)
