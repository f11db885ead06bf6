"""Running VBench's package, with a stand-in for it, and importing its files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from eval.metrics.vbench import DIMENSIONS
from eval.runs import load_run, read_scores
from eval.toolkits import vbench
from eval.toolkits.__main__ import main
from eval.toolkits.process import Programs
from eval.toolkits.vbench import evaluate, finished, plan, read_results, total
from eval.types import Case
from tests.eval.judged import clip, write_run
from tests.eval.toolkits.fake_vbench import make_package
from ttom.errors import UserError

PYTHON = Path(sys.executable)


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(make_package(tmp_path / "package")))


def case(prompt: str, sample: int, *dimensions: str, **extra: Any) -> Case:
    facts = {"dimension": list(dimensions), "auxiliary_info": extra, "sample": sample}
    return Case(
        id=f"{prompt.replace(' ', '-')}-{sample}", suite="vbench", category=dimensions[0], prompt=prompt, seed=sample,
        video=f"vbench/{prompt}-{sample}.mp4", facts=facts,
    )  # fmt: skip


def make_run(path: Path, *cases: Case) -> Path:
    return write_run(path, cases, [clip(i) for i in range(len(cases))], suite="vbench")


def usual(path: Path) -> Path:
    cars = [case("a red car", i, "color", "object_class", color={"color": "red"}) for i in range(2)]
    fields = [case("a field, still", i, "temporal_flickering", "imaging_quality") for i in range(3)]
    return make_run(path, *cars, *fields, case("a man runs", 0, "human_action"))


def test_a_dimension_sees_its_own_videos_and_prompts(tmp_path: Path) -> None:
    run = load_run(usual(tmp_path / "run"))
    tasks = {task.dimension: task for task in plan(run, tmp_path / "out")}
    assert list(tasks) == ["temporal_flickering", "imaging_quality", "object_class", "human_action", "color"]
    color = evaluate(PYTHON, tasks["color"], Programs())
    assert color.score == 0.25 and color.videos == {"a red car-0.mp4": 0.25, "a red car-1.mp4": 0.25}
    info = json.loads((tmp_path / "out" / "color" / "info.json").read_text())
    assert info == [{"prompt_en": "a red car", "dimension": ["color"], "auxiliary_info": {"color": {"color": "red"}}}]
    imaging = evaluate(PYTHON, tasks["imaging_quality"], Programs())
    assert imaging.score == 0.6 and set(imaging.videos.values()) == {0.6}  # 60 / 100, like the dimension's own
    assert evaluate(PYTHON, tasks["human_action"], Programs()).videos == {"a man runs-0.mp4": 1.0}
    assert len(list((run.path / "videos" / "vbench").iterdir())) == 6


def test_flickering_is_evaluated_after_the_static_filter(tmp_path: Path) -> None:
    run = load_run(usual(tmp_path / "run"))
    (task,) = plan(run, tmp_path / "out", ["temporal_flickering"])
    results = evaluate(PYTHON, task, Programs())
    assert sorted(results.videos) == ["a field, still-0.mp4", "a field, still-2.mp4"]
    assert finished(task) is not None


def test_a_dimension_that_failed_is_evaluated_again_and_others_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = usual(tmp_path / "run")
    monkeypatch.setenv("FAIL_AT", "color")
    arguments = ["vbench", str(path), "--python", sys.executable]
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert "CUDA out of memory" in said.err and "human_action             1.0000" in said.out
    merged = path / "toolkits" / "vbench" / "ttom_eval_results.json"
    assert set(json.loads(merged.read_text())) == {
        "temporal_flickering", "imaging_quality", "object_class", "human_action",
    }  # fmt: skip
    assert not any(row.metric == "color" for row in read_scores(path / "scores.jsonl"))
    monkeypatch.setenv("FAIL_AT", "human_action")  # is finished
    assert main(arguments) == 0
    assert "color                    0.2500" in capsys.readouterr().out
    rows = read_scores(path / "scores.jsonl")
    assert not any(row.proxy for row in rows) and {row.metric for row in rows} == set(json.loads(merged.read_text()))
    (lost,) = [r for r in rows if r.metric == "temporal_flickering" and r.case_id == "a-field,-still-1"]
    assert lost.value is None and lost.excluded == "not static"


def test_more_videos_mean_another_evaluation(tmp_path: Path) -> None:
    cases = [case("a man runs", i, "human_action") for i in range(2)]
    (task,) = plan(load_run(make_run(tmp_path / "one", cases[0])), tmp_path / "out")
    assert len(evaluate(PYTHON, task, Programs()).videos) == 1
    (task,) = plan(load_run(make_run(tmp_path / "two", *cases)), tmp_path / "out")
    assert finished(task) is None and len(evaluate(PYTHON, task, Programs()).videos) == 2


def test_changed_videos_are_evaluated_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where their names, or what the static filter left of them, say nothing."""
    cases = [case("a field, still", i, "temporal_flickering", "imaging_quality") for i in range(2)]
    (_, before) = plan(load_run(make_run(tmp_path / "one", *cases)), tmp_path / "out")
    changed = write_run(tmp_path / "two", cases, [clip(0), clip(7)], suite="vbench")
    for first in plan(load_run(tmp_path / "one"), tmp_path / "out"):
        evaluate(PYTHON, first, Programs())
    assert finished(before) is not None
    assert json.loads(before.evaluated.read_text()) == before.digests and len(before.digests) == 2
    for task in plan(load_run(changed), tmp_path / "out"):
        assert finished(task) is None, task.dimension
        monkeypatch.setenv("FAIL_AT", task.dimension)
        with pytest.raises(UserError, match="out of memory"):
            evaluate(PYTHON, task, Programs())
        assert not task.results.exists(), "results of other videos must not look like these videos'"
        monkeypatch.delenv("FAIL_AT")
        evaluate(PYTHON, task, Programs())
        assert finished(task) is not None
    assert finished(before) is None


def test_checks_and_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = usual(tmp_path / "run")
    (path / "videos" / "vbench" / "a man runs-0.mp4").unlink()
    assert main(["vbench", str(path), "--python", sys.executable, "--check"]) == 0
    out = capsys.readouterr().out
    assert "human_action: 1 videos left out" in out and "color: 1 of 85 prompts" in out
    assert "color: 1 prompts with fewer than 5 videos" in out
    assert main(["vbench", str(path), "--python", str(tmp_path / "none")]) == 2
    assert "make env-vbench" in capsys.readouterr().err
    assert main(["vbench", str(path), "--python", sys.executable, "--dimensions", "beauty"]) == 2
    assert "no dimension 'beauty'" in capsys.readouterr().err


def test_long_clips_are_pointed_out(tmp_path: Path) -> None:
    cases = [case("a man runs", 0, "human_action")]
    path = write_run(tmp_path / "run", cases, [clip(0, frames=41)], suite="vbench")
    assert any("VBench-Long" in line for line in vbench.warnings(plan(load_run(path), tmp_path / "out")))


def test_another_suite_is_refused(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", [case("a", 0, "color")], [clip(0)], suite="vbench")
    header = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(header | {"suite": "compbench"}))
    lines = (path / "manifest.jsonl").read_text().replace('"suite":"vbench"', '"suite":"compbench"')
    (path / "manifest.jsonl").write_text(lines)
    with pytest.raises(UserError, match="a run of compbench"):
        plan(load_run(path), tmp_path / "out")


def results_file(path: Path, **changes: Any) -> Path:
    listed = [{"video_path": "/elsewhere/a red car-0.mp4", "video_results": 0.5}]
    path.write_text(json.dumps({name: [0.5, listed] for name in DIMENSIONS} | changes))
    return path


def test_totals_of_a_complete_file(tmp_path: Path) -> None:
    found = read_results(results_file(tmp_path / "a.json"))
    summary = total(found)
    assert summary.total == pytest.approx((4 * summary.quality + summary.semantic) / 5)
    with pytest.raises(UserError, match="missing: .*scene"):
        total([one for one in found if one.dimension != "scene"])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"scene": [0.5]}, "broken entry scene"),
        ({"scene": ["much", []]}, "broken entry scene"),
        ({"scene": [float("nan"), []]}, "no finite score"),
        ({"scene": [0.5, [{"video": "a"}]]}, "broken entry scene"),
        ({"scene": [0.5, [{"video_path": "a.mp4"}, {"video_path": "b/a.mp4"}]]}, "twice"),
        ({"beauty": [0.5, []]}, "unknown dimensions"),
    ],
)
def test_broken_files_are_one_clear_error(tmp_path: Path, changes: dict, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        read_results(results_file(tmp_path / "a.json", **changes))


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json", "[" * 100_000])
def test_what_is_no_file_of_results(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match="a.json"):
        read_results(tmp_path / "a.json")
    with pytest.raises(UserError, match="does not exist"):
        read_results(tmp_path / "b.json")


def test_importing_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = usual(tmp_path / "run")
    listed = [{"video_path": "/elsewhere/a red car-0.mp4", "video_results": 0.5}]
    (tmp_path / "a.json").write_text(json.dumps({"color": [0.5, listed]}))
    assert main(["import-vbench", str(path), str(tmp_path / "a.json")]) == 0
    assert "VBench's total needs all 16 dimensions" in capsys.readouterr().out
    found = {row.case_id: (row.value, row.excluded) for row in read_scores(path / "scores.jsonl")}
    assert found == {"a-red-car-0": (0.5, None), "a-red-car-1": (None, "not scored")}
    listed[0]["video_path"] = "a blue car-0.mp4"
    (tmp_path / "a.json").write_text(json.dumps({"color": [0.5, listed]}))
    assert main(["import-vbench", str(path), str(tmp_path / "a.json")]) == 2
    assert "'a blue car-0.mp4'" in capsys.readouterr().err
