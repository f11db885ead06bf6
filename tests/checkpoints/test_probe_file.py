"""`--tto.blocks auto`: where the probe of a model is looked for, and what is wrong with a file that is none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import PROMPT, SMALL
from ttom import TTOM, UserError
from ttom.checkpoints import EMBEDDED
from ttom.checkpoints.probe_file import cached_file, places, recommended_blocks, resolve_blocks
from ttom.cli import main
from ttom.config import TTOConfig
from ttom.presets import emojiworld


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, so that probes of the machine's user play no part."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def probe_file(path: Path, *blocks: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 1, "model": "m", "num_blocks": 4, "recommended": list(blocks)}))
    return path


def test_the_models_own_folder_comes_before_this_machines_probe_and_a_named_file_before_both(
    tiny_folder: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    probe_file(cached_file(str(model)), 1)
    assert recommended_blocks(str(model)) == (1,)
    probe_file(model / "probe.json", 2)
    assert recommended_blocks(str(model)) == (2,)
    assert recommended_blocks(str(model), str(probe_file(tmp_path / "other.json", 3, 0))) == (3, 0)


def test_every_model_has_a_place_of_its_own(tmp_path: Path, home: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "wan").mkdir(parents=True)
    found = [cached_file(str(tmp_path / "a" / "wan")), cached_file(str(tmp_path / "b" / "wan")), cached_file("o/wan")]
    assert len(set(found)) == 3
    assert {path.parent for path in found} == {home / ".cache" / "ttom" / "probes"}
    assert cached_file(str(tmp_path / "a" / ".." / "a" / "wan")) == found[0]


@pytest.mark.parametrize("model", EMBEDDED)
def test_an_embedded_checkpoint_brings_its_probe(model: str) -> None:
    assert places(model)[0].is_file()
    settings = replace(emojiworld(), tto=replace(emojiworld().tto, blocks="auto"))
    resolved = resolve_blocks(settings, model).tto.blocks
    assert resolved == tuple(json.loads(places(model)[0].read_text())["recommended"])


def test_blocks_that_are_named_need_no_probe() -> None:
    assert resolve_blocks(emojiworld(), "no such model") == emojiworld()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "not JSON"),
        ("[1]", "not JSON that|not an object"),
        ('{"version": 2, "recommended": [1]}', "is not a probe of version 1"),
        ('{"version": 1}', "recommends null"),
        ('{"version": 1, "recommended": []}', "recommends"),
        ('{"version": 1, "recommended": [1, 1]}', "recommends"),
        ('{"version": 1, "recommended": [-1]}', "recommends"),
        ('{"version": 1, "recommended": [true]}', "recommends"),
    ],
)
def test_a_file_that_is_no_probe(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "probe.json"
    file.write_text(text)
    with pytest.raises(UserError, match=expected) as caught:
        recommended_blocks("m", str(file))
    assert caught.value.remedy is not None and "probes.run" in caught.value.remedy


def test_generate_with_auto(tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [option for option in SMALL if option not in ("--tto.blocks", "1", "2")]
    small = " ".join(SMALL).replace("--tto.blocks 1 2", "--tto.blocks auto").split()
    assert len(options) < len(small)
    arguments = ["generate", PROMPT, "--model", str(tiny_folder), "--out", str(tmp_path / "out"), *small]
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert "has not been probed" in message and f"python -m probes.run --model {tiny_folder}" in message
    assert not (tmp_path / "out").exists()

    file = probe_file(tmp_path / "found.json", 3, 1)
    assert main([*arguments, "--tto.probe", str(file)]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["tto"]["blocks"] == [3, 1]
    assert report["provenance"]["settings"]["resolved"]["tto"]["blocks"] == [3, 1]

    assert main([*arguments, "--tto.probe", str(probe_file(file, 9))]) == 2
    assert "names block 9" in capsys.readouterr().err
    assert main([*arguments, "--tto.probe", str(tmp_path / "no.json")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_probe_without_auto_is_a_mistake() -> None:
    with pytest.raises(UserError, match="`tto.probe` is x.json"):
        TTOConfig(probe="x.json")


def test_auto_from_python(tiny_folder: Path, home: Path) -> None:
    settings = replace(emojiworld(), tto=replace(emojiworld().tto, blocks="auto"))
    with pytest.raises(UserError, match="has not been probed"):
        TTOM(str(tiny_folder), device="cpu").generate(PROMPT, settings=settings)
