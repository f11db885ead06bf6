"""eval.score: answers to scores, every case accounted for, official and proxy scores apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.judges.cache import AnswerCache
from eval.metrics.registry import Metric, register, unregister
from eval.runs import load_run, read_scores, write_scores
from eval.score import Score, main, run
from eval.types import ManifestRow, Question, ScoreRow
from tests.eval.cases import case
from tests.eval.judged import identity_of
from tests.eval.scoring import ASKED, answer, scored, write_run
from ttom.layout.model import Box, KeyFrame, Layout, LayoutObject, save_layout

pytestmark = pytest.mark.usefixtures("scored_metric")


def test_every_case_has_a_row(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", 6)
    answer(tmp_path, {0: 1, 1: 0.25, 2: {"refused": "too dark"}, 5: 2})
    (path / "videos" / "toy" / "0003.mp4").unlink()
    (path / "videos" / "toy" / "0004.mp4").write_bytes(b"longer video")
    refused = ManifestRow(identity=identity_of(case(6)), case=case(6), status="refused", error="no layout")
    with open(path / "manifest.jsonl", "a") as file:
        file.write(f"{refused.model_dump_json()}\n")
    rows = scored(tmp_path, path)
    assert {name: (row.value, row.excluded) for name, row in rows.items()} == {
        "c-0000": (1.0, None),
        "c-0001": (0.25, None),
        "c-0002": (None, "too dark"),
        "c-0003": (None, "missing video"),
        "c-0004": (None, "not the recorded video"),
        "c-0005": (2.0, None),
        "c-0006": (None, "refused: no video"),
    }
    assert all(row.proxy and row.binary and row.run == "ttom" and row.metric == "brightness" for row in rows.values())


def test_a_video_that_was_deleted_after_judging_keeps_its_score(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", 1)
    answer(tmp_path, {0: 0.5})
    (path / "videos" / "toy" / "0000.mp4").unlink()
    assert scored(tmp_path, path)["c-0000"].value == 0.5


def test_open_questions_and_nonsense_are_excluded(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", 2)
    answer(tmp_path, {0: 1})
    unregister("brightness")
    register(Metric("brightness", lambda s: True, lambda s: [ASKED], lambda s, ask: ask(ASKED) * float("nan")))
    rows = scored(tmp_path, path)
    assert rows["c-0000"].excluded == "not a number" and rows["c-0001"].excluded == "not judged"


def test_scoring_again_replaces_and_official_scores_stay(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", 2)
    answer(tmp_path, {0: 1, 1: 0})
    official = [ScoreRow(run="ttom", case_id="c-0000", suite="toy", category="a", metric="brightness", value=0.7,
                         proxy=False)]  # fmt: skip
    write_scores(load_run(path), official, proxy=False)
    for _ in range(2):
        scored(tmp_path, path)
        rows = read_scores(path / "scores.jsonl")
        assert [(row.proxy, row.value) for row in rows] == [(False, 0.7), (True, 1.0), (True, 0.0)]
    write_scores(load_run(path), [], proxy=False)
    assert [row.proxy for row in read_scores(path / "scores.jsonl")] == [True, True]


def layout() -> Layout:
    box = Box(x0=0.0, y0=0.0, x1=0.5, y1=0.5)
    thing = LayoutObject(id="1", phrase="cat", noun="cat", key_frames=(KeyFrame(time=0.0, box=box),))
    return Layout(prompt="a cat", objects=(thing,))


def test_layout_adherence_of_planned_layouts(tmp_path: Path) -> None:
    """The layout that was planned for the run counts like one that the case brings."""
    path = write_run(tmp_path / "run", 2)
    (path / "cases" / "c-0000").mkdir(parents=True)
    save_layout(layout(), path / "cases" / "c-0000" / "layout.json")
    options = {"frames": 17, "box_threshold": 0.35, "text_threshold": 0.25}
    boxes = [[{"box": [0.0, 0.0, 0.5, 1.0], "score": 0.9, "phrase": "cat"}]] * 17
    answer(tmp_path, {0: boxes}, "emojiworld", asked=Question(kind="detect", text="cat", options=options))
    answer(tmp_path, {0: 1.5}, "emojiworld", asked=Question(kind="flicker", text="cat", options=options))
    run(Score(runs=(path,), answers=tmp_path / "answers"))
    rows = read_scores(path / "scores.jsonl")
    found = {row.metric: row.value for row in rows if row.case_id == "c-0000" and row.value is not None}
    # Half of the detected box is planned; its center is .25 of the height lower: .25 / sqrt 2
    assert found == pytest.approx(
        {"layout_miou": 0.5, "layout_coverage": 1.0, "trajectory_error": 0.25 / 2**0.5, "flicker": 1.5}
    )
    assert {row.metric for row in rows if row.case_id == "c-0001"} == {"brightness"}


def test_ten_thousand_cases_ask_for_each_answer_a_bounded_number_of_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work per case is constant: the number of lookups and of lines read is the number of cases, whatever that is."""
    counts = {}
    for size in (50, 200):
        place = tmp_path / str(size)
        path = write_run(place / "run", size)
        answer(place, dict.fromkeys(range(size), 1))
        looked: list[int] = []
        read: list[int] = []
        with monkeypatch.context() as watched:
            get = AnswerCache.get
            watched.setattr(AnswerCache, "get", lambda *a, looked=looked, get=get: looked.append(1) or get(*a))
            watched.setattr(json, "loads", lambda *a, read=read, load=json.loads, **k: read.append(1) or load(*a, **k))
            scored(place, path)
        counts[size] = len(looked), len(read)
    assert counts[50][0] == 50 and counts[200][0] == 200
    assert counts[200][1] - counts[50][1] == 150


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_run(tmp_path / "run", 2)
    arguments = [str(path), "--answers", str(tmp_path / "answers")]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "excluded 2: 2 not judged" in shown
    assert f"note: 2 scores lack an answer. {tmp_path / 'answers'} holds no answers; --answers" in shown
    answer(tmp_path, {0: 1, 1: 0})
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "brightness            0.500  n=2" in shown and "note:" not in shown
    (path / "scores.jsonl").write_text("not mine\n")
    assert main(arguments) == 2
    assert "is not a scores file" in capsys.readouterr().err
    assert (path / "scores.jsonl").read_text() == "not mine\n"


def test_an_interruption_is_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("eval.score.load_runs", interrupted)
    assert main([str(tmp_path / "run")]) == 130
    assert "eval.score: interrupted; run it again to continue" in capsys.readouterr().err


def test_a_measure_of_the_whole_run_sees_all_cases_that_count(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", 4)
    answer(tmp_path, {0: 1, 1: 4, 2: {"refused": "too dark"}})
    unregister("brightness")
    register(
        Metric(
            "brightness",
            lambda s: True,
            lambda s: [ASKED],
            lambda s, ask: ask(ASKED),
            over_run=lambda values: [value / max(values) for value in values],
        )
    )
    rows = scored(tmp_path, path)
    assert [rows[f"c-000{n}"].value for n in range(4)] == [0.25, 1, None, None]
    assert [rows[f"c-000{n}"].excluded for n in (2, 3)] == ["too dark", "not judged"]


def test_two_metrics_of_one_name_share_no_case(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", 1)
    other = Metric("brightness", lambda s: s.case.suite == "other", lambda s: [ASKED], lambda s, ask: 3)
    register(other)
    answer(tmp_path, {0: 1})
    assert scored(tmp_path, path)["c-0000"].value == 1
    register(Metric("brightness", lambda s: True, lambda s: [ASKED], lambda s, ask: 3))
    with pytest.raises(ValueError, match="two metrics of 'c-0000' are called 'brightness'"):
        scored(tmp_path, path)
