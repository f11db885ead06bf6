"""Running T2V-CompBench's scripts, with a stand-in for its repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.metrics.compbench import CATEGORIES
from eval.runs import load_run
from eval.toolkits import compbench
from eval.toolkits.compbench import Toolkit, evaluate, finished, plan, preflight
from eval.toolkits.process import Programs
from tests.eval.toolkits.compbench_runs import evaluated, make_run
from ttom.errors import UserError


def test_every_category_runs_with_its_scripts_arguments(tmp_path: Path, toolkit: Toolkit) -> None:
    run = load_run(make_run(tmp_path / "run", *CATEGORIES))
    tasks = plan(run, tmp_path / "out")
    assert [task.category.name for task in tasks] == list(CATEGORIES)
    preflight(toolkit, tasks)
    scores = {task.category.name: evaluate(toolkit, task, Programs()).scores for task in tasks}
    odd = {1: 1.0, 2: 0.0, 3: None, 5: 1.0}
    assert all(scores[name] == odd for name in ("consistent", "dynamic", "action", "interaction"))
    assert scores["numeracy"] == {1: 1.0, 2: 0.0, 3: 1.0, 5: 1.0}
    assert scores["spatial"] == pytest.approx({1: 0.41, 2: 0.42, 3: 0.43, 5: 0.45})
    assert scores["motion"] == pytest.approx({1: 0.2, 2: 0.6, 3: 0.0, 5: 0.6})
    assert sorted(path.name for path in (run.path / "videos").iterdir()) == sorted(
        c.folder for c in CATEGORIES.values()
    )
    assert all(len(list(folder.iterdir())) == 4 for folder in (run.path / "videos").iterdir())


def test_a_judged_category_goes_on_where_it_stopped(
    tmp_path: Path, toolkit: Toolkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load_run(make_run(tmp_path / "run", "action"))
    monkeypatch.setenv("FAIL_AT", "3")
    with pytest.raises(UserError, match="failed with code 1: CUDA out of memory") as caught:
        evaluated(toolkit, run, tmp_path / "out", "action")
    assert "log.txt" in str(caught.value)
    path = tmp_path / "out" / "action" / "csv" / "mine_action_binding_score.csv"
    before = path.read_text()
    path.write_text(before + "score: ,0.5\n0003.png,torn")  # what an interrupted second call leaves
    monkeypatch.setenv("FAIL_AT", "1")  # these are not evaluated again
    assert evaluated(toolkit, run, tmp_path / "out", "action") == {1: 1.0, 2: 0.0, 3: None, 5: 1.0}
    assert path.read_text().startswith(before)


@pytest.mark.parametrize("name", ["numeracy", "spatial", "motion"])
def test_the_others_start_anew(tmp_path: Path, toolkit: Toolkit, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Their own way to go on would take frames for videos, and leave the first ones out."""
    run = load_run(make_run(tmp_path / "run", name))
    monkeypatch.setenv("FAIL_AT", "3")
    with pytest.raises(UserError, match="out of memory"):
        evaluated(toolkit, run, tmp_path / "out", name)
    monkeypatch.delenv("FAIL_AT")
    assert sorted(evaluated(toolkit, run, tmp_path / "out", name)) == [1, 2, 3, 5]


def test_a_finished_category_is_only_read(tmp_path: Path, toolkit: Toolkit) -> None:
    run = load_run(make_run(tmp_path / "run", "spatial"))
    first = evaluated(toolkit, run, tmp_path / "out", "spatial")
    broken = Toolkit(tmp_path / "gone", toolkit.llava_python, toolkit.detection_python, "mine")
    assert evaluated(broken, run, tmp_path / "out", "spatial") == first


def test_other_videos_are_evaluated_again(tmp_path: Path, toolkit: Toolkit) -> None:
    out = tmp_path / "out"
    evaluated(toolkit, load_run(make_run(tmp_path / "one", "action", numbers=(1, 2))), out, "action")
    more = load_run(make_run(tmp_path / "two", "action", numbers=(1, 2, 4)))
    (task,) = plan(more, out)
    assert finished(toolkit, task) is None
    assert sorted(evaluate(toolkit, task, Programs()).scores) == [1, 2, 4]
    fewer = load_run(make_run(tmp_path / "three", "action", numbers=(2, 4)))
    assert sorted(evaluated(toolkit, fewer, out, "action")) == [2, 4]


def test_preflight_names_all_that_is_missing(tmp_path: Path, toolkit: Toolkit) -> None:
    tasks = plan(load_run(make_run(tmp_path / "run", "action", "motion", "spatial")), tmp_path / "out")
    (toolkit.folder / "LLaVA/llava/eval/compbench_eval_action_binding.py").write_text("def f(:\n")
    (toolkit.folder / "Grounded-Segment-Anything/sam_vit_h_4b8939.pth").unlink()
    (toolkit.folder / "Depth-Anything/compbench_run_depth.py").unlink()
    (toolkit.folder / "dot/checkpoints/tracker.pth").unlink()
    lacking = Toolkit(toolkit.folder, tmp_path / "no-python", toolkit.detection_python)
    with pytest.raises(UserError) as caught:
        preflight(lacking, tasks)
    for words in ("no-python", "action_binding.py, line 1", "sam_vit_h", "run_depth.py", "dot/checkpoints"):
        assert words in str(caught.value)
    assert str(caught.value).count("sam_vit_h") == 1
    problems = caught.value.problem.splitlines()[1:]
    assert len(problems) == 5 and all(line.count("missing") + line.count("not parse") == 1 for line in problems)


def test_runs_of_other_suites_and_unknown_categories(tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path / "run", "action"))
    with pytest.raises(UserError, match="no category 'speed'"):
        plan(run, tmp_path / "out", ["speed"])
    with pytest.raises(UserError, match="no videos of T2V-CompBench"):
        plan(run, tmp_path / "out", ["motion"])


def test_the_official_names_are_those_of_the_suite() -> None:
    assert {c.folder for c in CATEGORIES.values()} == set(compbench.METADATA)
    assert set(compbench.SCRIPTS) == set(CATEGORIES)
