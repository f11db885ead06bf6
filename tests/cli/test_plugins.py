"""Modules of the user's own: imported before a command looks for the methods and losses that they register."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import PROMPT
from ttom.cli import main
from ttom.cli.plugins import import_plugins
from ttom.errors import SetupError
from ttom.guidance import METHODS
from ttom.losses import LOSSES
from ttom.report import Report

PLUGIN = """
from ttom.guidance import Method, register_method
from ttom.losses import register_loss

register_method(Method("does_nothing", lambda inputs: []))
register_loss("inner_product", lambda maps, masks: (maps * masks).sum(dim=(-2, -1)))
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module on the path; what it registers is forgotten again."""
    methods, losses = dict(METHODS), dict(LOSSES)
    (tmp_path / "ttom_test_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    yield "ttom_test_plugin"
    sys.modules.pop("ttom_test_plugin", None)
    for table, known in ((METHODS, methods), (LOSSES, losses)):
        table.clear()
        table.update(known)  # type: ignore[arg-type]


def test_generate_finds_a_registered_method(small: list[str], plugin: str, tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "out"), "--quiet"]
    assert main(["generate", PROMPT, *small, *out, "--plugin", plugin, "--method", "does_nothing"]) == 0
    assert Report.load(tmp_path / "out" / "report.json").method == "does_nothing"
    assert not (tmp_path / "out" / "attention.png").exists()  # this method reads no maps


def test_stream_finds_a_registered_loss(small: list[str], plugin: str, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text(PROMPT + "\n")
    options = [*small, "--out", str(tmp_path / "out"), "--quiet", "--plugin", plugin, "--tto.loss", "inner_product"]
    assert main(["stream", str(tmp_path / "prompts.txt"), *options]) == 0
    (report,) = (tmp_path / "out").glob("*/report.json")
    tto = Report.load(report).tto
    assert tto is not None and len(tto.losses) == 2


@pytest.mark.parametrize("name", ["ttom_no_such_module", "ttom_test_plugin.py", "ttom.no_such", ".relative", ""])
def test_a_module_that_is_not_there(plugin: str, fails: Callable[..., str], name: str) -> None:
    message = fails("generate", PROMPT, "--plugin", name)
    assert f"there is no module {name!r}" in message and "PYTHONPATH" in message


def test_what_the_module_itself_lacks_is_not_mistaken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ttom_broken_plugin.py").write_text("import ttom_lacking")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="ttom_lacking"):
        import_plugins(["ttom_broken_plugin"])
    with pytest.raises(SetupError, match="ttom_lacking"):
        import_plugins(["ttom_lacking"])
