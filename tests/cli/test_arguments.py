"""What `--help` says, and how the preset becomes the defaults."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

import ttom
from tests.cli.conftest import heavy_imports
from ttom.cli import main
from ttom.cli.app import default_settings, parse
from ttom.cli.arguments import Generate
from ttom.config import Settings
from ttom.presets import PRESETS, emojiworld, paper, released

ROOT = Path(ttom.__file__).parents[1]


def help_text(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--help"])
    assert stop.value.code == 0
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


def dotted(settings: Any, prefix: str = "") -> list[str]:
    names = []
    for item in fields(settings):
        value = getattr(settings, item.name)
        name = f"{prefix}{item.name.replace('_', '-')}"
        names += dotted(value, f"{name}.") if is_dataclass(value) else [f"--{name}"]
    return names


def test_help_explains_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_text(capsys, "generate")
    options = dotted(Settings()) + [
        f"--{item.name.replace('_', '-')}" for item in fields(Generate) if item.name not in ("settings", "prompt")
    ]
    assert len(options) > 25
    for option in options:
        assert option in text, option
    for unit in ("in pixels", "Frames per second", "counted from 0", "alpha / rank"):
        assert unit in text


def test_every_option_has_words_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    # An option without a docstring would show its default only.
    text = help_text(capsys, "generate")
    for option in dotted(Settings()):
        after = text.split(f"{option} ", 1)[1] if f"{option} " in text else text.split(option, 1)[1]
        assert len(after.split("(default", 1)[0].split()) > 2, option


@pytest.mark.parametrize(
    ("arguments", "preset"),
    [
        ([], emojiworld),
        (["--model", "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"], paper),
        (["--model=Wan-AI/Wan2.1-T2V-1.3B-Diffusers"], paper),
        (["--preset", "released"], released),
        (["--preset", "emojiworld", "--model", "owner/name"], emojiworld),
    ],
)
def test_preset_and_model_choose_the_defaults(arguments: list[str], preset: Any) -> None:
    assert default_settings(["generate", "x", *arguments]) == preset()
    command = parse(["generate", "x", *arguments])
    assert isinstance(command, Generate)
    assert command.settings == preset()


def test_help_shows_the_presets_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_text(capsys, "generate", "--preset", "released")
    assert "AdamW learning rate. (default: 0.001)" in text
    text = help_text(capsys, "generate", "--model", "owner/name")
    assert "Picture height in pixels. (default: 480)" in text


def test_nested_settings_reach_the_command() -> None:
    command = parse("generate x --tto.lr 1e-3 --sampler.steps 7 --tto.blocks 1 2 --tto.keep-after".split())
    assert isinstance(command, Generate)
    assert (command.settings.tto.lr, command.settings.sampler.steps) == (1e-3, 7)
    assert command.settings.tto.blocks == (1, 2)
    assert command.settings.tto.keep_after


@pytest.mark.parametrize("command", ["generate", "stream", "plan"])
def test_presets_are_listed_and_others_refused(
    command: str, capsys: pytest.CaptureFixture[str], fails: Callable[..., str]
) -> None:
    assert ",".join(PRESETS) in "".join(help_text(capsys, command).split())
    for given in (["--preset", "none"], ["--preset=none"], ["--preset", ""]):
        name = "" if given[-1] == "" else "none"
        message = fails(command, "x", *given)
        assert message == f"ttom: there is no preset {name!r}\nexpected: one of {', '.join(PRESETS)}\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ttom {ttom.__version__}\n"


def test_python_dash_m_ttom() -> None:
    done = subprocess.run([sys.executable, "-m", "ttom", "--version"], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, f"ttom {ttom.__version__}\n")
    done = subprocess.run([sys.executable, "-m", "ttom", "generate", ""], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.startswith("ttom: the prompt is empty")
    assert "Traceback" not in done.stderr


def test_a_prompt_is_refused_before_torch_is_imported() -> None:
    code = (
        "from ttom.cli import main\nassert main(['generate', 'slowly and beautifully']) == 2\n"
        "assert main(['plan', 'A dog above a house']) == 0\n"
    )
    assert heavy_imports(code)[0] == []


def test_a_reader_that_goes_away_sees_no_traceback() -> None:
    command = f"{sys.executable} -u -m ttom generate --help | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.startswith("usage: ttom generate")
    assert done.stderr == ""
