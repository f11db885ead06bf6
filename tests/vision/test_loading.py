"""What loading never does: read pickles, run code, ask questions."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import torch

from tests.probes.tiny_grounding import save_detector
from tests.vision.tiny_depth import save_depth
from ttom.errors import SetupError
from ttom.vision.depth_anything import DepthAnything
from ttom.vision.grounding_dino import GroundingDino


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    folder = save_depth(tmp_path)
    weights = folder / "model.safetensors"
    torch.save({"a": torch.zeros(1)}, folder / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(SetupError, match="DepthAnythingForDepthEstimation of .* cannot be loaded"):
        DepthAnything(str(folder))


@pytest.mark.parametrize("asked_by", ["tokenizer", "config"])
def test_code_in_the_folder_never_runs_and_no_question_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked_by: str
) -> None:
    """With "y" on stdin, the Python file that an auto_map names once ran."""
    folder = save_detector(tmp_path / "detector")
    tokenizer, config = (json.loads((folder / f"{n}.json").read_text()) for n in ("tokenizer_config", "config"))
    tokenizer |= {"auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}, "tokenizer_class": "Evil"}
    config["model_type"] = "evil"
    if asked_by == "config":
        config["auto_map"] = {"AutoConfig": "evil.Evil"}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass Evil: pass\n")
    answers = io.StringIO("y\n" * 20)
    monkeypatch.setattr("sys.stdin", answers)
    with pytest.raises(SetupError, match="cannot be loaded"):
        GroundingDino(str(folder))
    assert not (tmp_path / "ran").exists() and answers.tell() == 0
