"""The library names settings by their fields; only the command line knows options."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

import ttom
from ttom.cli.flags import with_flags

ROOT = Path(ttom.__file__).parent


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("`tto.lr` is -1", "--tto.lr is -1"),
        ("try: `tto.guided_steps=3`, or more `sampler.steps`", "try: --tto.guided-steps 3, or more --sampler.steps"),
        ("`planner.kind=rules`, without `planner.strict`", "--planner rules, without --strict"),
        ("`dtype=float32` or `layout`", "--dtype float32 or --layout"),
        ("`max_items` is 0", "--max-items is 0"),
        ("the `adapter` settings", "the --adapter settings"),
        ("`save_lora` or `prompts=FILE` or `import`", "--save-lora or --prompts FILE or --import"),
        ("`namespace`, `yes`, `into` and `limit=5`", "--namespace, --yes, --into and --limit 5"),
        ("write one with `python -m probes.run` or `nothing.known`",) * 2,
    ],
)
def test_settings_become_options(message: str, shown: str) -> None:
    assert with_flags(message) == shown


@pytest.mark.parametrize(
    "name",
    "timeout concurrency cache_dir kind settings path prompt id ids sources repo command steps PATH".split(),
)
def test_names_that_are_no_option_stay(name: str) -> None:
    """Fields inside a group, arguments without an option's name, and the fields that hold the groups."""
    assert with_flags(f"`{name}` or `{name}=5`") == f"`{name}` or `{name}=5`"


def test_errors_of_settings_show_options(fails: Callable[..., str]) -> None:
    message = fails("generate", "A cat", "--tto.lr", "-1")
    assert message.startswith("ttom: --tto.lr is -1.0\n")
    assert "leave --tto.lr out" in message and "`" not in message


def strings(path: Path) -> list[str]:
    tree = ast.parse(path.read_text())
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_no_option_is_named_outside_of_the_command_line() -> None:
    groups = ("sampler", "adapter", "tto", "planner", "memory", "runtime")
    options = [f"--{group}" for group in groups] + ["--device", "--dtype", "--model ", "--seed", "--preset", "--layout"]
    named = {
        f"{path.relative_to(ROOT)}: {text}"
        for path in ROOT.rglob("*.py")
        if "cli" not in path.parts
        for text in strings(path)
        if any(option in text for option in options) and "python -m" not in text
    }
    assert not named
