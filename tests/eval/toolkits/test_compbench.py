"""Running T2V-CompBench's scripts, with a stand-in for its repository."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from eval.metrics.compbench import CATEGORIES
from eval.runs import Run, load_run, read_scores
from eval.toolkits import compbench
from eval.toolkits.__main__ import main
from eval.toolkits.compbench import Toolkit, evaluate, finished, plan, preflight
from eval.toolkits.process import Programs, on_gpus
from eval.types import Case
from tests.eval.judged import clip, write_run
from tests.eval.toolkits.fake_compbench import make_toolkit, python
from ttom.errors import UserError

FACTS: dict[str, dict[str, Any]] = {
    "consistent": {"phrases": "a blue car; a white fence"},
    "dynamic": {"state 0": "a bud", "state 1": "a flower"},
    "spatial": {"spatial": "left", "object_1": "cat", "object_2": "dog"},
    "motion": {"object_1": "cat", "d_1": "left", "object_2": "", "d_2": ""},
    "action": {"phrase_0": ["a dog?", "a dog runs?"], "phrase_1": ["a cat?", "a cat climbs?"]},
    "interaction": {},
    "numeracy": {"objects": "fish", "numbers": "2"},
}


def case(name: str, number: int) -> Case:
    folder = CATEGORIES[name].folder
    return Case(
        id=f"{folder}-{number:04d}", suite="compbench", category=folder, prompt=f"{name} {number}", seed=number,
        video=f"{folder}/{number:04d}.mp4", facts=FACTS[name],
    )  # fmt: skip


def make_run(path: Path, *names: str, numbers: tuple[int, ...] = (1, 2, 3, 5)) -> Path:
    cases = [case(name, number) for name in names for number in numbers]
    return write_run(path, cases, [clip(i) for i in range(len(cases))], suite="compbench")


@pytest.fixture
def toolkit(tmp_path: Path) -> Toolkit:
    return Toolkit(make_toolkit(tmp_path / "toolkit"), python(), python(), "mine")


def evaluated(toolkit: Toolkit, run: Run, out: Path, name: str) -> dict[int, float | None]:
    (task,) = plan(run, out, [name])
    return evaluate(toolkit, task, Programs()).scores


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


def test_metadata_stands_where_the_number_of_the_video_says(tmp_path: Path, toolkit: Toolkit) -> None:
    run = load_run(make_run(tmp_path / "run", "numeracy", numbers=(2, 5)))
    evaluated(toolkit, run, tmp_path / "out", "numeracy")
    items = json.loads((tmp_path / "out" / "numeracy" / "generative_numeracy.json").read_text())
    assert len(items) == 5 and items[4] == {"prompt": "numeracy 5", "objects": "fish", "numbers": "2"}
    assert items[0] == {"prompt": ""}


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


def test_bad_videos_are_left_out_and_counted(tmp_path: Path, toolkit: Toolkit) -> None:
    path = make_run(tmp_path / "run", "interaction")
    folder = path / "videos" / "interaction"
    (folder / "0001.mp4").unlink()
    (folder / "0002.mp4").write_bytes(b"no video")
    (folder / "Thumbs.db").write_text("stray")
    (task,) = plan(load_run(path), tmp_path / "out")
    assert task.check.problems == {"missing video": 1, "not the recorded video": 1}
    assert [p.name for p in task.check.stray] == ["Thumbs.db"]
    assert any("belong to no case" in line for line in task.check.told())
    assert sorted(evaluate(toolkit, task, Programs()).scores) == [3, 5]
    assert (folder / "Thumbs.db").exists()


def test_videos_that_are_too_short_or_of_two_lengths(tmp_path: Path) -> None:
    cases = [case("action", 1), case("action", 2)]
    short = write_run(tmp_path / "short", cases, [clip(0), clip(1, frames=9)], suite="compbench")
    (task,) = plan(load_run(short), tmp_path / "out")
    assert task.check.problems == {"fewer than 16 frames": 1}
    mixed = write_run(tmp_path / "mixed", cases, [clip(0), clip(1, frames=33)], suite="compbench")
    with pytest.raises(UserError, match="differ in length"):
        plan(load_run(mixed), tmp_path / "out")


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


def test_runs_of_other_suites_and_unknown_categories(tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path / "run", "action"))
    with pytest.raises(UserError, match="no category 'speed'"):
        plan(run, tmp_path / "out", ["speed"])
    with pytest.raises(UserError, match="no videos of T2V-CompBench"):
        plan(run, tmp_path / "out", ["motion"])


def test_gpus_work_side_by_side_and_a_failure_stops_only_itself(tmp_path: Path) -> None:
    script = tmp_path / "work.py"
    script.write_text("import os, sys, time\nprint(os.environ['CUDA_VISIBLE_DEVICES'])\nsys.exit(int(sys.argv[1]))\n")
    programs = Programs()

    def work(code: int, gpu: str | None) -> None:
        environment = {"CUDA_VISIBLE_DEVICES": str(gpu)}
        programs.run([sys.executable, str(script), str(code)], tmp_path, tmp_path / f"{code}.txt", environment)

    errors = on_gpus(work, [0, 7, 0], ["2", "5"], programs)
    assert [str(error).splitlines()[0] for error in errors] == ["python work.py failed with code 7: 5"] or [
        str(error).splitlines()[0] for error in errors
    ] == ["python work.py failed with code 7: 2"]
    assert not programs.running


def test_programs_end_with_us(tmp_path: Path) -> None:
    script = tmp_path / "long.py"
    script.write_text("import subprocess, sys, time\nchild = subprocess.Popen(['sleep', '60'])\n"
                      "open(sys.argv[1], 'w').write(str(child.pid))\ntime.sleep(60)\n")  # fmt: skip
    programs = Programs()

    def interrupted(item: int, gpu: str | None) -> None:
        if item == 0:
            while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
                time.sleep(0.02)
            raise KeyboardInterrupt
        programs.run([sys.executable, str(script), str(tmp_path / "pid")], tmp_path, tmp_path / "log.txt")

    with pytest.raises(KeyboardInterrupt):
        on_gpus(interrupted, [0, 1], ["0", "1"], programs)
    child = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_command_line(tmp_path: Path, toolkit: Toolkit, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_run(tmp_path / "run", *CATEGORIES)
    arguments = ["compbench", str(path), "--toolkit", str(toolkit.folder), "--llava-python", sys.executable,
                 "--detection-python", sys.executable, "--name", "mine"]  # fmt: skip
    assert main([*arguments, "--check"]) == 0
    assert "7 categories can be evaluated" in capsys.readouterr().out
    assert not (path / "scores.jsonl").exists()
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "average of seven" in out and "excluded 1: 1 unreadable reply" in out
    rows = read_scores(path / "scores.jsonl")
    assert len(rows) == 28 and not any(row.proxy for row in rows)
    (motion,) = [row for row in rows if row.case_id == "motion_binding-0002"]
    assert motion.metric == "motion" and motion.value == pytest.approx(0.6)
    (bad,) = [row for row in rows if row.case_id == "action_binding-0003"]
    assert bad.value is None and bad.excluded == "unreadable reply"
    zipped = tmp_path / "a.zip"
    assert main(["leaderboard", str(path / "toolkits" / "compbench"), "--out", str(zipped), "--name", "mine"]) == 0
    assert zipped.is_file()
    assert main([*arguments[:3], str(tmp_path / "none")]) == 2
    assert "a script is missing" in capsys.readouterr().err


def test_files_from_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_run(tmp_path / "run", "motion", "numeracy", numbers=(1, 2))
    table = tmp_path / "m_motion_score.csv"
    table.write_text("id,object_1,d_1,Score\n0001,cat,left,0.6\nscore: ,0.6\n")
    assert main(["import-compbench", str(path), str(table)]) == 0
    other = tmp_path / "m_numeracy_video.csv"
    other.write_text("id,Score_1\n0001,1\n0002,0\nscore: ,0.9\n")
    assert main(["import-compbench", str(path), str(other)]) == 0
    assert "numeracy: the last line says 0.9, the rows give 0.5" in capsys.readouterr().out
    found = {row.case_id: (row.value, row.excluded) for row in read_scores(path / "scores.jsonl")}
    assert found["motion_binding-0001"] == (0.6, None) and found["motion_binding-0002"] == (None, "not scored")
    assert found["generative_numeracy-0002"] == (0.0, None)
    table.write_text("id,Score\n0009,0.6\nscore: ,0.6\n")
    assert main(["import-compbench", str(path), str(table)]) == 2
    assert "the video 0009" in capsys.readouterr().err
    assert main(["import-compbench", str(path), str(tmp_path / "scores.csv")]) == 2
    assert "is not the name of a category's scores" in capsys.readouterr().err


def test_the_official_names_are_those_of_the_suite() -> None:
    assert {c.folder for c in CATEGORIES.values()} == set(compbench.METADATA)
    assert set(compbench.SCRIPTS) == set(CATEGORIES)
