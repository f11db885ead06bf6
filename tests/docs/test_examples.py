"""The Python that the documentation prints runs: the guides' examples and the notebook, on the embedded model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.docs.test_site import ROOT, blocks

GUIDES = ["custom-loss", "custom-planner", "custom-method"]


@pytest.fixture(autouse=True)
def short_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A few steps instead of 25, in a folder of the test's own; what the examples register goes away again."""
    from ttom import presets
    from ttom.guidance import METHODS
    from ttom.losses import LOSSES

    settings = presets.emojiworld()
    short = replace(
        settings,
        sampler=replace(settings.sampler, steps=4),
        tto=replace(settings.tto, guided_steps=1, iterations=2),
    )
    monkeypatch.setitem(presets.PRESETS, "emojiworld", lambda: short)
    monkeypatch.chdir(tmp_path)
    known = dict(METHODS), dict(LOSSES)
    yield
    for registry, before in zip((METHODS, LOSSES), known, strict=True):
        for name in set(registry) - set(before):
            del registry[name]  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize("guide", GUIDES)
def test_the_guides_examples_run(guide: str, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks(ROOT / f"docs/how-to/{guide}.md", "python"):
        exec(compile(block, guide, "exec"), {"__name__": guide})
    assert capsys.readouterr().out


@pytest.mark.slow
def test_the_example_of_get_started_runs(tmp_path: Path) -> None:
    (block,) = blocks(ROOT / "docs/get-started.md", "python")
    exec(block, {})
    assert (tmp_path / "runs/balloon/video.mp4").stat().st_size > 1000


@pytest.mark.slow
def test_the_examples_of_a_metric_and_a_judge_run() -> None:
    from eval.metrics import registry
    from eval.replay import main
    from eval.score import main as score

    metric, judge = blocks(ROOT / "docs/how-to/custom-judge.md", "python")
    arguments = "--suite emojiworld --limit 1 --category relation --method base --quiet --no-pictures"
    assert main([*arguments.split(), "--out", "runs/eval/base"]) == 0
    try:
        exec(metric, {})
        found: dict = {}
        exec(judge, found)
        assert found["tally"].answered > 0
        assert score(["runs/eval/base", "--quiet"]) == 0
        rows = Path("runs/eval/base/scores.jsonl").read_text()
        assert '"all_present","value":1.0' in rows
    finally:
        registry.unregister("all_present")


@pytest.mark.slow
def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    monkeypatch.syspath_prepend(str(ROOT / "docs/_site"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    import run_notebooks

    try:
        notebook = run_notebooks.execute(ROOT / "docs/notebooks/first-steps.ipynb")
    finally:
        sys.modules.pop("run_notebooks", None)
    text = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    assert "loss 0." in text and "17 frames of 96 x 64" in text
