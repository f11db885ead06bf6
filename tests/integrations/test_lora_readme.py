"""What stands beside an exported LoRA, and what is never overwritten."""

from __future__ import annotations

from pathlib import Path

from ttom.config import TTOConfig
from ttom.integrations.lora_readme import DEFAULT_GUIDED_STEPS, write_lora_readme
from ttom.presets import PRESETS


def test_a_folder_and_a_file(tmp_path: Path) -> None:
    file = write_lora_readme(tmp_path, guided_steps=3)
    assert file == tmp_path / "README.md"
    text = file.read_text()
    assert f'load_lora_weights("{tmp_path}", adapter_name="ttom")' in text and "guided_steps=3)" in text
    assert "if step + 1 == 3:" in text and "not recorded" not in text
    assert write_lora_readme(tmp_path, guided_steps=4) == file  # its own is replaced
    assert "guided_steps=4" in file.read_text()
    write_lora_readme(tmp_path, guided_steps=1)
    assert "the first step of\ndenoising, which decides the layout." in file.read_text()
    lora = tmp_path / "ttom-7.safetensors"
    lora.touch()
    assert write_lora_readme(lora) == tmp_path / "ttom-7.md"
    assert "not recorded" in (tmp_path / "ttom-7.md").read_text()


def test_the_default_is_that_of_the_presets() -> None:
    few_steps = "emojiworld-bias"
    guided = {preset().tto.guided_steps for name, preset in PRESETS.items() if name != few_steps}
    assert guided == {DEFAULT_GUIDED_STEPS}
    assert TTOConfig().guided_steps == DEFAULT_GUIDED_STEPS


def test_somebody_elses_file_stays(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("mine")
    assert write_lora_readme(tmp_path, 5) is None and readme.read_text() == "mine"
    readme.unlink()
    other = tmp_path / "other.md"
    readme.symlink_to(other)
    assert write_lora_readme(tmp_path, 5) is None and not other.exists()
