"""`ttom memory`: what each command prints and refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import tyro

from tests.memory.memories import contents, old_memory
from tests.memory.test_forgetting import Blind
from tests.memory.test_key_maker import filled
from ttom.backbones.wan import WanBackbone
from ttom.cli import memory as commands
from ttom.cli.memory import MemoryCommand
from ttom.cli.memory_commands import run
from ttom.errors import UserError
from ttom.memory.entries import new_record
from ttom.memory.signature import Signature, model_of
from ttom.memory.store import Store

ROOT = Path(__file__).resolve().parents[2]
SIGNATURE = "WanTransformer3DModel 0123456789ab, blocks 0-0 (1 layers), rank 2, alpha 4, to_q"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three entries, the second of another namespace and used twice."""
    with Store.create(tmp_path / "memory", embedder="test", dimension=4) as store:
        for number, namespace in enumerate(["default", "ann", "default"], 1):
            state = {
                "blocks.0.attn2.to_q.lora_A.weight": torch.full((2, 6), float(number)),
                "blocks.0.attn2.to_q.lora_B.weight": torch.ones(6, 2),
            }
            record = new_record(
                key=f"<object A> moves {number}",
                prompt=f"a cat moves {number}\x1b[31m\nred",
                embedding=np.eye(4, dtype=np.float32)[number],
                signature=Signature.from_text(SIGNATURE),
                namespace=namespace,
                layout={"version": 1, "objects": []},
                loss_before=0.5,
                loss_after=None if number == 3 else 0.25,
            )
            store.insert(state, record)
        store.used([2])
        store.used([2])
    return tmp_path / "memory"


def shown(capsys: pytest.CaptureFixture[str], *commands: MemoryCommand) -> str:
    for command in commands:
        run(command)
    output = capsys.readouterr()
    assert output.err == ""
    return output.out


def ids(folder: Path) -> list[int]:
    with Store(folder, read_only=True) as store:
        return store.ids()


def test_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(folder)
    lines = shown(capsys, commands.ListEntries(folder)).splitlines()
    assert lines == [
        "id  namespace  uses  loss            key",
        "3   default    0     0.500 -> ?      <object A> moves 3",
        "2   ann        2     0.500 -> 0.250  <object A> moves 2",
        "1   default    0     0.500 -> 0.250  <object A> moves 1",
        "3 entries of 3",
    ]
    lines = shown(capsys, commands.ListEntries(folder, namespace="default", limit=1)).splitlines()
    assert len(lines) == 3 and lines[1].startswith("3 ") and lines[2] == "1 entry of 3"
    assert shown(capsys, commands.ListEntries(folder, namespace="bob")) == "0 entries of 3\n"
    assert contents(folder) == before


def test_show(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(folder)
    text = shown(capsys, commands.Show(folder, 2))
    for words in ("namespace: ann", "uses:      2", "loss:      0.500 -> 0.250", SIGNATURE, '"version": 1'):
        assert words in text, words
    assert "\x1b" not in text and r"a cat moves 2\x1b[31m\nred" in text
    found = json.loads(shown(capsys, commands.Show(folder, 2, json=True)))
    assert (found["id"], found["uses"], found["prompt"]) == (2, 2, "a cat moves 2\x1b[31m\nred")
    assert found["embedding"] == [0, 0, 1, 0] and found["layout"] == {"version": 1, "objects": []}
    assert contents(folder) == before


def test_show_draws_the_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = filled(tmp_path / "m")
    lines = shown(capsys, commands.Show(folder, 1)).splitlines()[-10:]
    assert all(len(line) == 3 * 28 + 4 and set(line) <= set("AB. ") for line in lines)
    start = "\n".join(line[:28] for line in lines)
    assert start.replace("\n", "").find("A") >= 0 and max(r.find("A") for r in lines) < max(r.find("B") for r in lines)
    assert [line[:28] for line in lines] == [line[-28:] for line in lines]  # nothing moves


def test_stats(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(folder)
    text = shown(capsys, commands.ShowStats(folder))
    for words in ("entries:     3\n", "ann (1), default (2)", SIGNATURE, "test (dimension 4)", "quarantined: 0\n"):
        assert words in text, words
    assert contents(folder) == before
    Store.create(folder.parent / "empty", embedder="test", dimension=4).close()
    assert "oldest:      never" in shown(capsys, commands.ShowStats(folder.parent / "empty"))


def test_verify_names_what_it_quarantines_and_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = "3 entries verified: every row and value is intact\n"
    assert shown(capsys, commands.Verify(folder)) == sound
    with Store(folder, read_only=True) as store:
        files = {entry.id: store.values.path(entry.sha256) for entry in store.entries()}
    files[1].unlink()
    files[2].write_bytes(b"damaged")
    (folder / "values" / "00").mkdir(exist_ok=True)
    (folder / "values" / "00" / "orphan.safetensors").write_bytes(b"x")
    with pytest.raises(UserError, match="was damaged: 2 entries had to be quarantined"):
        run(commands.Verify(folder))
    text = capsys.readouterr().out
    assert "foreign file, left alone: values/00/orphan.safetensors" in text
    assert "quarantined entry 1: its value is missing" in text and "quarantined entry 2: its value was changed" in text
    assert shown(capsys, commands.Verify(folder)).endswith(sound.replace("3 entries", "1 entry"))
    assert ids(folder) == [3]


def test_reindex_with_the_text_encoder_of_a_model(
    folder: Path, tiny_folder: Path, tiny: WanBackbone, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(folder)
    with pytest.raises(UserError, match="would not make its adapters fit"):  # those of another model
        run(commands.Reindex(folder, embedder="backbone", model=str(tiny_folder)))
    assert contents(folder) == before
    with Store(folder) as store:
        architecture, config = model_of(tiny.transformer).split()
        signature = replace(Signature.from_text(SIGNATURE), architecture=architecture, config=config)
        store.db.execute("UPDATE entries SET signature = ?", (signature.to_json(),))
    text = shown(capsys, commands.Reindex(folder, embedder="backbone", model=str(tiny_folder)))
    note, line = text.splitlines()
    assert note == "3 entries without a layout: the keys are of the text alone"
    assert line.startswith("3 entries reindexed with backbone:tiny-wan:") and "(dimension 16)" in line
    with Store(folder) as store:
        assert store.embedder.startswith("backbone:tiny-wan:") and store.keys().vectors.shape == (3, 16)


def test_calibrate_stores_a_threshold_that_stats_shows(
    folder: Path, tiny_folder: Path, tiny: WanBackbone, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="none is named"):
        run(commands.Calibrate(folder))
    signature = replace(
        Signature.from_text(SIGNATURE),
        **dict(zip(("architecture", "config"), model_of(tiny.transformer).split(), strict=True)),
    )
    with Store(folder) as store:
        store.db.execute("UPDATE entries SET signature = ?", (signature.to_json(),))
    with pytest.raises(UserError, match="keys of the embedder test"):
        run(commands.Calibrate(folder, model=str(tiny_folder)))
    run(commands.Reindex(folder, embedder="backbone", model=str(tiny_folder)))
    assert "(not calibrated)" in shown(capsys, commands.ShowStats(folder))
    line = shown(capsys, commands.Calibrate(folder, model=str(tiny_folder)))
    threshold = line.removeprefix("threshold ").split(":")[0]
    assert f"{threshold} (calibrated)" in shown(capsys, commands.ShowStats(folder))


def test_merge_prune_and_delete(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    into = folder.parent / "all"
    assert shown(capsys, commands.Merge((folder,), into)) == f"3 entries copied into {into}, 0 already present\n"
    with Store(folder, read_only=True) as store:
        store.values.path(next(store.entries([1])).sha256).write_bytes(b"damaged")
    lines = shown(capsys, commands.Merge((folder,), into)).splitlines()
    assert lines[0].startswith(f"left out entry 1 of {folder}: its value was changed")
    assert lines[1] == f"0 entries copied into {into}, 2 already present"
    text = shown(capsys, commands.Prune(into, max_items=2, yes=True))
    assert text == "deleted entry 1: <object A> moves 1\n1 entry deleted, 2 left\n"
    assert ids(into) == [2, 3]
    text = shown(capsys, commands.Prune(into, max_bytes=1, namespace="ann", yes=True))
    assert text == "deleted entry 2: <object A> moves 2\n1 entry deleted, 1 left\n"
    text = shown(capsys, commands.Delete(into, (3,), yes=True))
    assert text == "deleted entry 3: <object A> moves 3\n1 entry deleted, 0 left\n"
    assert shown(capsys, commands.Prune(into, max_items=1)) == "0 entries deleted, 0 left\n"


def test_what_deletes_asks_first(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in (commands.Prune(folder, max_items=1), commands.Delete(folder, (1,))):
        with pytest.raises(UserError, match="`yes`"):
            run(command)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("ttom.cli.memory_output.sys.stdout.isatty", lambda: True, raising=False)
    asked: list[str] = []
    for answer in ("", "no", "n"):
        monkeypatch.setattr("builtins.input", lambda text, a=answer: asked.append(text) or a)
        with pytest.raises(UserError, match="nothing was deleted"):
            run(commands.Prune(folder, max_items=1))
    assert ids(folder) == [1, 2, 3] and "2 entries" in asked[0] and "<object A> moves 1" in capsys.readouterr().out
    monkeypatch.setattr("builtins.input", lambda _: "y")
    run(commands.Prune(folder, max_items=1))
    assert ids(folder) == [2]


def test_verify_fails_if_a_value_has_no_entry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = old_memory(tmp_path)
    orphan = next(folder.rglob("6bff*"))
    with pytest.raises(UserError, match="not in its database"):
        run(commands.Verify(folder))
    with pytest.raises(UserError, match="was damaged: 1 of its values belongs to no entry"):
        run(commands.Verify(folder, repair=True))
    assert f"value without an entry, moved to quarantine: {orphan.stem}\n" in capsys.readouterr().out
    assert "4 entries verified" in shown(capsys, commands.Verify(folder))
    fake = folder / "values" / "6b" / f"{'6b' * 32}.safetensors"
    fake.write_bytes(b"not what its name says")
    for _ in range(2):
        with pytest.raises(UserError, match="1 of its values belongs"):
            run(commands.Verify(folder, repair=True))
        assert "left alone" in capsys.readouterr().out and fake.exists()


def test_rebuild_names_what_it_sets_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = old_memory(tmp_path)
    text = shown(capsys, commands.Rebuild(folder))
    assert "moved a value of version 1 without an entry to quarantine: 6bff" in text


def test_rebuild(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "entries.sqlite").unlink()
    for command in (commands.Verify(folder), commands.ListEntries(folder), commands.Delete(folder, (1,), yes=True)):
        with pytest.raises(UserError, match="ttom memory rebuild"):
            run(command)
    text = shown(capsys, commands.Rebuild(folder))
    assert text == "3 entries in the new database, 3 of them recovered from their values\n"
    assert len(ids(folder)) == 3


def test_a_damaged_row_is_named_in_the_list(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(folder) as store:
        store.db.execute("UPDATE entries SET layout = '[', namespace = char(27) WHERE id = 1")
    text = shown(capsys, commands.ListEntries(folder))
    assert "entry 1 has a damaged row: " in text and "3 entries of 3" in text and "\x1b" not in text
    assert r"\x1b (1)" in shown(capsys, commands.ShowStats(folder))


def test_export(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder.parent / "lora"
    file = out / "pytorch_lora_weights.safetensors"
    assert shown(capsys, commands.Export(folder, 1, out)) == f"lora: {file}\n"
    assert file.is_file()
    named = out / "ttom-1.safetensors"
    assert shown(capsys, commands.Export(folder, 1, out, format="comfyui")) == f"lora: {named}\n"
    assert named.is_file()


def test_push_and_pull(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("ttom.memory.sharing.push", lambda *a, **k: seen.append((a, k)) or "https://hub/ann/m")
    monkeypatch.setattr("ttom.memory.sharing.pull", lambda *a: seen.append(a) or 1)
    assert shown(capsys, commands.Push(folder, "ann/m")) == "pushed: https://hub/ann/m\n"
    shown(capsys, commands.Push(folder, "ann/m", public=True))
    assert shown(capsys, commands.Pull("ann/m", Path("new"))) == "1 entry pulled into new\n"
    asked = (folder, "ann/m")
    assert seen == [(asked, {"private": True}), (asked, {"private": False}), ("ann/m", Path("new"))]


def test_a_repository_name_that_cannot_be(folder: Path) -> None:
    # The Hub client refuses these names itself, before any network.
    for command in (commands.Push(folder, "not/a/repository"), commands.Pull("not/a/repo", folder.parent / "new")):
        with pytest.raises(UserError, match="not/a/repo") as caught:
            run(command)
        assert "owner/name" in str(caught.value)
    assert not (folder.parent / "new").exists()


def test_a_folder_that_is_no_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "none", tmp_path / "file"):
        for command in (
            commands.ListEntries(path),
            commands.Show(path, 1),
            commands.ShowStats(path),
            commands.Verify(path),
            commands.Reindex(path, embedder="clip"),
            commands.Merge((path,), tmp_path / "new"),
            commands.Prune(path, max_items=1),
            commands.Export(path, 1, tmp_path / "new"),
            commands.Delete(path, (1,)),
            commands.Push(path, "ann/m"),
        ):
            with pytest.raises(UserError, match="is not a memory|cannot be read"):
                run(command)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_bad_input(folder: Path) -> None:
    before = contents(folder)
    out = folder.parent / "out"
    for command, words in {
        commands.Show(folder, 9): "entry 9 .* does not exist",
        commands.Export(folder, 9, out): "entry 9 .* does not exist",
        commands.Delete(folder, (1, 9)): "entry 9 .* does not exist",
        commands.Delete(folder, ()): "no entry is given",
        commands.ListEntries(folder, limit=0): "`limit` is 0",
        commands.Prune(folder): "no limit",
        commands.Prune(folder, max_items=0): "`max_items` is 0",
        commands.Prune(folder, max_items=1, namespace="", yes=True): "`namespace` is",
        commands.ListEntries(folder, namespace=""): "`namespace` is",
        commands.Merge((), folder): "nothing to merge",
        commands.Reindex(folder, embedder="backbone"): "none is named",
        commands.Reindex(folder, embedder="nonsense"): "unknown text embedder 'nonsense'",
        commands.Pull("ann/m", folder): "is not empty",
    }.items():
        with pytest.raises(UserError, match=words):
            run(command)
    assert contents(folder).keys() == before.keys() and ids(folder) == [1, 2, 3]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("list m --namespace ann --limit 3", commands.ListEntries(Path("m"), "ann", 3)),
        ("show m 7 --json", commands.Show(Path("m"), 7, json=True)),
        ("merge a b --into c", commands.Merge((Path("a"), Path("b")), Path("c"))),
        ("merge --into c a b", commands.Merge((Path("a"), Path("b")), Path("c"))),
        ("delete m 1 2", commands.Delete(Path("m"), (1, 2))),
        ("prune m --max-bytes 10", commands.Prune(Path("m"), max_bytes=10)),
        ("export m 1 --out x --format comfyui", commands.Export(Path("m"), 1, Path("x"), "comfyui")),
        ("pull ann/m m", commands.Pull("ann/m", Path("m"))),
    ],
)
def test_the_options(line: str, expected: Any) -> None:
    assert tyro.cli(MemoryCommand, args=line.split()) == expected  # type: ignore[arg-type]


def test_help_is_quick() -> None:
    code = (
        "import sys, tyro\nfrom ttom.cli.memory import MemoryCommand\n"
        "for line in (['--help'], ['list', '--help']):\n"
        "    try:\n        tyro.cli(MemoryCommand, args=line)\n    except SystemExit:\n        pass\n"
        "print([m for m in ('torch', 'numpy', 'diffusers', 'huggingface_hub') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "Folder of the memory." in done.stdout and done.stdout.splitlines()[-1] == "[]"


def test_reindex_keeps_the_share_of_the_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = filled(tmp_path / "m", layout_share=0.3)
    monkeypatch.setattr("ttom.memory.embedders.load_embedder", lambda name: Blind(0.0))
    assert "both:1:0.3:blind" in shown(capsys, commands.Reindex(folder, embedder="clip"))
