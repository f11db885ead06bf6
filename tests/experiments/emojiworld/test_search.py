"""The search: its points are settings that the harness takes, its choices follow its rule, and it goes on."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from eval.arguments import parse
from experiments.emojiworld import search, search_space
from experiments.emojiworld.search import SUITE, Search, choose, measured, pareto
from experiments.emojiworld.search_space import MOVES, STAGES, START, Point, points
from tests.eval.report.synthetic import make_case, write_run
from ttom.config import Settings
from ttom.errors import UserError

FEW = {"sampler.steps": 4, "bias.strength": 12.0, "bias.end": 0.4}


def settings(point: Point) -> Settings:
    return parse(["--suite", SUITE, "--out", "-", *point.variant.options]).settings


@pytest.mark.parametrize("stage", STAGES)
def test_points_are_settings_with_names_of_their_own(stage: str) -> None:
    chosen = points(stage, FEW, 8)
    assert len({point.variant.folder.lower() for point in chosen}) == len(chosen) > 1
    for point in [*chosen[::8], chosen[-1]]:  # reading options takes a while
        command, changes = parse(["--suite", SUITE, "--out", "-", *point.variant.options]), dict(point.changes)
        found = command.settings
        assert command.tries == changes.pop("tries", 1)
        for name, value in changes.items():
            part, _, key = name.partition(".")
            if name != "tto.guided_steps":
                assert getattr(getattr(found, part), key) == value, point.label


def test_stages_move_one_thing_around_the_best() -> None:
    for stage in ("shape", "steps", "difference"):
        for point in points(stage, FEW, 8):
            found = dict(point.changes)
            assert found["bias.end"] == 0.4 and found["bias.strength"] in (12.0, 9.0)
    steps = {dict(point.changes)["sampler.steps"] for point in points("steps", FEW, 8)}
    assert steps == {4, 5, 6, 8, 10, 12, 16, 20, 25}
    assert {dict(point.changes)["bias.strength"] for point in points("both", FEW, 8)} == {6.0, 12.0}
    assert settings(points("steps", FEW, 8)[0]).tto.guided_steps == 4, "no more than there are steps"


def row(facts: float, seconds: float, picture: float = 1.0, **more: Any) -> dict[str, Any]:
    distance = {"mean": picture, "interval": [picture - 0.2, picture + 0.2], "n": 9}
    return {"all_facts": {"mean": facts}, "seconds": seconds, "picture_distance": distance, **more}


def test_the_most_facts_with_clean_pictures_and_of_equals_the_fastest() -> None:
    rows = {
        "ugly": row(0.95, 1, picture=1.3),
        "slow": row(0.9, 9, picture=1.2),
        "fast": row(0.895, 2),
        "worse": row(0.8, 1),
        "unscored": {"seconds": 1},
    }
    assert choose(rows, row(0.2, 3)) == "fast"
    assert choose(rows, None) == "ugly"
    assert choose({"ugly": rows["ugly"]}, row(0.2, 3)) == "ugly", "where no picture is clean, facts decide"
    assert choose({"unscored": {"seconds": 1}}, None) is None


def test_the_front_is_what_nothing_beats() -> None:
    rows = {"a": row(0.5, 1), "b": row(0.4, 2), "c": row(0.9, 3), "d": row(0.9, 4), "e": row(0.5, 1.5), "f": {}}
    assert pareto(rows) == ["a", "c"]


def test_what_is_told_of_a_run(tmp_path: Path) -> None:
    cases = [make_case(number) for number in range(6)]
    run = write_run(tmp_path / "run", "base", cases, refused=(cases[0].id,))
    lines = [
        {"run": "base", "case_id": case.id, "suite": case.suite, "category": case.category, "metric": "all_facts",
         "value": number % 2, "binary": True}
        for number, case in enumerate(cases)
    ]  # fmt: skip
    (run / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = measured(run)
    assert found["videos"] == 5 and found["all_facts"]["n"] == 5 and found["all_facts"]["mean"] == pytest.approx(3 / 5)
    assert set(found["kinds"]) == {case.category for case in cases[1:]} and "picture_distance" not in found


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Processes that only note their commands; a run's facts grow with the bias' strength, and its seconds too."""
    commands: list[list[str]] = []

    def processes(self: Search, command: list[str], rest: list[str], log: Path) -> int:
        commands.append([*command, *rest])
        return 0

    def known(run: Path) -> dict[str, Any]:
        words = dict(word.split("=") for word in run.name.split("-") if "=" in word)
        strength = float(words.get("strength", 0))
        return row(strength / 20, 1 + strength)

    monkeypatch.setattr(Search, "_in_processes", processes)
    monkeypatch.setattr(search.score, "main", lambda arguments: 0)
    monkeypatch.setattr(search, "measured", known)
    return commands


def options(out: Path, **changes: Any) -> argparse.Namespace:
    values = {"out": str(out), "model": "emojiworld-wan", "stages": list(STAGES), "limit": 2, "finals": 4}
    return argparse.Namespace(**values | {"processes": 1, "rest": ["--dtype", "float32"]} | changes)


def test_a_search_moves_to_the_best_bias_and_measures_the_best_again(tmp_path: Path, faked: list[list[str]]) -> None:
    assert Search(options(tmp_path)).run() == 0
    found = json.loads((tmp_path / "search.json").read_text())
    assert found["best"]["bias.strength"] == 16.0 and found["suite"] == "emojiworld-compose-tune"
    assert {row["stage"] for row in found["points"].values()} == set(STAGES)
    best = max(found["points"], key=lambda label: found["points"][label]["all_facts"]["mean"])
    assert {"base", "ttom", "lvd"} < set(found["finals"]) and found["points"][best]["pareto"]
    assert (tmp_path / "pareto.png").is_file() and (tmp_path / "finals.png").is_file()
    makes = [command for command in faked if "--make" in command]
    assert all(command[-2:] == ["--dtype", "float32"] for command in makes)
    limits = [command[command.index("--limit") + 1] for command in makes]
    assert limits == ["2"] * len(STAGES) + ["4"]
    asked = [command for command in faked if "eval.judge" in command]
    assert any("/finals/" in part for part in asked[-1]) and not any("/finals/" in part for part in asked[0])


def test_single_stages_go_on_with_what_was_found(tmp_path: Path, faked: list[list[str]]) -> None:
    Search(options(tmp_path, stages=["reference", "bias"], finals=0)).run()
    Search(options(tmp_path, stages=["shape"], finals=0)).run()
    found = json.loads((tmp_path / "search.json").read_text())
    assert {row["stage"] for row in found["points"].values()} == {"reference", "bias", "shape"}
    assert all(row["changes"]["bias.strength"] == 16 for row in found["points"].values() if row["stage"] == "shape")
    again = Search(options(tmp_path, stages=["tries"], finals=0))
    assert again.best["bias.strength"] == 16 and again.rows.keys() == found["points"].keys()
    (tmp_path / "search.json").write_text("[]")
    with pytest.raises(UserError, match="not the result of a search"):
        Search(options(tmp_path, stages=["tries"], finals=0))


def test_a_process_that_cannot_work_ends_the_search(
    tmp_path: Path, faked: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Search, "_in_processes", lambda self, command, rest, log: 2)
    with pytest.raises(UserError, match=r"(?s)reference ended with exit code 2.*reference\.log"):
        Search(options(tmp_path)).run()


def test_moves_are_stages_and_a_model_must_be_at_hand(tmp_path: Path) -> None:
    assert set(MOVES) < set(STAGES) and START["sampler.steps"] == search_space.STEPS
    with pytest.raises(UserError, match="no embedded or local model"):
        Search(options(tmp_path, model="somebody/model"))
