from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.planned import digest
from eval.report import runs
from eval.report.runs import Column, load_run, load_runs
from eval.runs import load_run as judged_run
from tests.eval.report.synthetic import make_case, write_run
from ttom.errors import UserError
from ttom.layout.model import save_layout

CASES = [make_case(i) for i in range(6)]
FACTS = Column("all_facts", True)


def append(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.write("".join(line + "\n" for line in lines))


def score(case_id: str, value: float, **changes: object) -> str:
    row = {"run": "base", "case_id": case_id, "suite": "toy", "category": "x", "metric": "all_facts", "value": value}
    return json.dumps(row | {"binary": True} | changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "base", "base", CASES, videos=False)


def test_a_whole_run_has_no_problems(folder: Path) -> None:
    run = load_run(folder)
    assert list(run.rows) == [case.id for case in CASES]
    assert set(run.scores[FACTS]) == set(run.rows)
    assert not run.problems


def test_damaged_lines_are_counted_and_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "LINE_LIMIT", 20_000)
    append(folder / "manifest.jsonl", '{"identity": "cut o', "", '{"status": "made"}', "x" * 50_000, '{"half')
    run = load_run(folder)
    assert len(run.rows) == len(CASES)
    problem = run.problems["damaged lines of manifest.jsonl"]
    assert problem.count == 4 and problem.example.startswith("line 7")


def test_the_last_row_of_a_case_counts(folder: Path) -> None:
    row = json.loads((folder / "manifest.jsonl").read_text().splitlines()[0])
    append(folder / "manifest.jsonl", json.dumps(row | {"status": "failed", "error": "out of memory"}))
    run = load_run(folder)
    assert run.rows[CASES[0].id].status == "failed"
    assert run.problems["manifest rows replaced by a later row of the same case"].count == 1


def test_rows_of_another_run_are_counted_and_left_out(folder: Path) -> None:
    lines = (folder / "manifest.jsonl").read_text().splitlines()
    foreign = json.loads(lines[1]) | {"identity": "of another model"}
    (folder / "manifest.jsonl").write_text("\n".join([lines[0], json.dumps(foreign), *lines[2:]]) + "\n")
    run = load_run(folder)
    assert CASES[1].id not in run.rows and len(run.rows) == len(CASES) - 1
    problem = run.problems["manifest rows of another run: their model or settings are not those of run.json"]
    assert (problem.count, problem.example) == (1, CASES[1].id)
    assert run.problems["scores of cases that are not in the manifest"].count == 2
    with pytest.raises(UserError, match="of another run"):
        judged_run(folder)


def test_rows_of_enriched_prompts_belong_to_their_run(folder: Path) -> None:
    """The planner may have written another text for the video; its layout says so."""
    row = json.loads((folder / "manifest.jsonl").read_text().splitlines()[0])
    text = "in golden light"
    row["case"] |= {"id": "enriched", "layout": None}
    row |= {"identity": digest(["identity of base", "enriched", text, row["case"]["seed"], "l"]), "layout_hash": "l"}
    append(folder / "manifest.jsonl", json.dumps(row))
    assert "enriched" not in load_run(folder).rows, "nothing says so yet"
    assert CASES[0].layout is not None
    (folder / "cases" / "enriched").mkdir(parents=True)
    save_layout(CASES[0].layout.model_copy(update={"prompt": text}), folder / "cases" / "enriched" / "layout.json")
    assert "enriched" in load_run(folder).rows
    (folder / "cases" / "enriched" / "layout.json").write_text("{")
    assert "enriched" not in load_run(folder).rows


def test_runs_without_a_case_are_an_error(folder: Path) -> None:
    header = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(header | {"identity": "another"}))
    with pytest.raises(UserError, match="nothing to compare: manifest rows of another run"):
        load_runs([folder])
    (folder / "manifest.jsonl").write_text("")
    (folder / "scores.jsonl").unlink()
    with pytest.raises(UserError, match="nothing to compare: no scores.jsonl"):
        load_runs([folder])


def test_repeated_scores_count_once_and_contradictions_not_at_all(folder: Path) -> None:
    lines = (folder / "scores.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    append(folder / "scores.jsonl", lines[0], lines[2], json.dumps(first | {"value": 0.5}), json.dumps(first))
    run = load_run(folder)
    found = run.scores[FACTS][CASES[0].id]
    assert found.value is None and found.excluded == "scores contradict each other"
    assert run.problems["repeated scores"].count == 2
    assert run.problems["repeated scores that contradict each other"].count == 3


@pytest.mark.parametrize(
    "line, problem",
    [
        (score("motion-9999", 1), "scores of cases that are not in the manifest"),
        (score(CASES[0].id, 1, suite="vbench"), "scores of another suite"),
        (score(CASES[0].id, 1, metric="new").replace("1", "NaN", 1), "scores that are not finite"),
        (score(CASES[0].id, 1, extra=1), "damaged lines of scores.jsonl"),
    ],
)
def test_scores_that_cannot_count_are_named(folder: Path, line: str, problem: str) -> None:
    append(folder / "scores.jsonl", line)
    assert load_run(folder).problems[problem].count == 1


def test_infinite_scores_do_not_count(folder: Path) -> None:
    append(folder / "scores.jsonl", score(CASES[0].id, 7, metric="new").replace("7", "Infinity"))
    run = load_run(folder)
    assert Column("new", True) not in run.scores and len(run.problems) == 1


def test_a_run_without_scores_says_so(folder: Path) -> None:
    (folder / "scores.jsonl").unlink()
    run = load_run(folder)
    assert run.scores == {} and "no scores.jsonl: run eval.score first" in run.problems


def test_runs_of_another_suite_or_revision_are_refused(folder: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "other", "other", [make_case(0, suite="vbench")], videos=False)
    with pytest.raises(UserError, match="run of vbench"):
        load_runs([folder, tmp_path / "other"])
    write_run(tmp_path / "newer", "newer", CASES, videos=False, suite_revision="2")
    with pytest.raises(UserError, match="revision 2"):
        load_runs([folder, tmp_path / "newer"])


def test_a_run_given_twice_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="the same run"):
        load_runs([folder, folder])


def test_equal_labels_get_what_tells_them_apart(folder: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "b", "base", CASES, videos=False, model="other-model", identity="b")
    write_run(tmp_path / "c", "base", CASES, videos=False, model="other-model", identity="c", settings_hash="beef")
    labels = [run.label for run in load_runs([folder, tmp_path / "b", tmp_path / "c"])]
    assert labels == ["base, toy-model", "base, other-model, base", "base, other-model, beef"]


def test_what_is_no_run_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no runs"):
        load_runs([])
    with pytest.raises(UserError, match="run.json cannot be read"):
        load_run(tmp_path)
    (tmp_path / "run.json").write_text('{"version": 2}')
    with pytest.raises(UserError, match="not a run header"):
        load_run(tmp_path)


@pytest.mark.parametrize("name", ["../secret.mp4", "/etc/hostname", "a\0b", "x" * 5000, "link.mp4"])
def test_files_outside_the_run_are_not_there(folder: Path, name: str) -> None:
    (folder.parent / "secret.mp4").write_bytes(b"secret")
    (folder / "link.mp4").symlink_to(folder.parent / "secret.mp4")
    assert load_run(folder).file(name) is None
