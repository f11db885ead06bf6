"""The command that scores planners on prompts with metadata."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from experiments.planning import __main__ as planning
from tests.chat_server import ChatServer
from tests.experiments.planning.items import BOTH, COUNT, MOTION, RELATION

DEPTH = {"prompt": "A hen behind a crate", "spatial": "behind", "object_1": "hen", "object_2": "crate"}


def test_command_keeps_odd_and_even_lines_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = {"prompt": "in a forest", "object_1": "cat", "d_1": "left", "object_2": "", "d_2": ""}
    (tmp_path / "motion_binding.json").write_text(json.dumps([MOTION, MOTION | {"d_1": "up"}, BOTH, refused]))
    (tmp_path / "spatial_relationships.json").write_text(json.dumps([RELATION, DEPTH]))
    (tmp_path / "generative_numeracy.json").write_text(json.dumps([COUNT, COUNT | {"numbers": "1, 1"}]))
    out = tmp_path / "results" / "rules.json"
    monkeypatch.setattr(sys, "argv", ["planning", "--metadata", str(tmp_path), "--out", str(out)])
    planning.main()
    result = json.loads(out.read_text())
    odd, even = result["lines"]["odd"], result["lines"]["even"]
    assert (odd["motion"]["right"], odd["motion"]["total"]) == (2, 2)
    assert (even["motion"]["right"], even["motion"]["refused"], even["motion"]["total"]) == (0, 1, 2)
    assert (odd["spatial_2d"]["total"], even["spatial_2d"]["total"]) == (1, 0)
    assert (odd["depth_planned"]["total"], even["depth_planned"]["right"]) == (0, 1)
    assert (odd["numeracy"]["right"], even["numeracy"]["right"]) == (1, 0)
    assert odd["all_quoted"]["total"] == 4
    assert "hen" not in out.read_text(), "no prompt texts in the result"
    assert "even lines" in capsys.readouterr().out


def test_command_names_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["planning", "--metadata", str(tmp_path)])
    with pytest.raises(SystemExit, match="motion_binding.json does not exist"):
        planning.main()


def metadata(folder: Path) -> str:
    (folder / "motion_binding.json").write_text(json.dumps([MOTION | {"d_1": "right"}]))
    (folder / "spatial_relationships.json").write_text("[]")
    (folder / "generative_numeracy.json").write_text(json.dumps([COUNT]))
    return str(folder)


def test_an_endpoint_is_scored_without_its_way_back_to_the_rules(
    server: ChatServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    server.objects = [("red kite", "kite")]
    out = tmp_path / "llm.json"
    options = ["--planner", "llm", "--base-url", server.url, "--one-call", "--out", str(out), "--lines", "odd"]
    prices = ["--input-price", "1", "--output-price", "1"]
    monkeypatch.setattr(sys, "argv", ["planning", "--metadata", metadata(tmp_path), *options, *prices])
    planning.main()
    result = json.loads(out.read_text())
    odd = result["lines"]["odd"]
    assert (result["model"], result["stages"]) == ("gpt-4o", ["one-call"])
    assert odd["motion"]["right"] == 1
    assert odd["numeracy"]["refused"] == 1, "its counts stayed wrong"
    assert odd["layouts"]["cost_usd"] == pytest.approx(4 * 110e-6), "one answer, and three that were wrong"
    assert odd["layouts"]["seconds_per_layout"] > 0
    assert str(tmp_path) not in out.read_text()


def test_a_cache_is_scored_on_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = "{'id': 0, 'name': 'kite', 'box': [%d, 100, 200, 100]}"
    answer = "\n".join(f"Frame {k + 1}: [{box % (80 * k)}]" for k in range(6))
    cache, out = tmp_path / "cache.json", tmp_path / "import.json"
    cache.write_text(json.dumps({MOTION["prompt"]: [answer], "A hen": ["no", answer]}))
    options = ["--planner", "import", "--import", str(cache), "--out", str(out), "--lines", "odd"]
    monkeypatch.setattr(sys, "argv", ["planning", "--metadata", metadata(tmp_path), *options])
    planning.main()
    result = json.loads(out.read_text())
    assert (result["import"]["imported"], result["import"]["prompts"], result["import"]["answers"]) == (1, 2, 3)
    assert result["import"]["layouts"]["out_of_bounds_before_checks"] == pytest.approx(2 / 6, abs=1e-4)
    assert result["import"]["layouts"]["out_of_bounds_after_checks"] == 0.0
    odd = result["lines"]["odd"]
    assert (odd["motion"]["right"], odd["motion"]["total"]) == (1, 1)
    assert (odd["numeracy"]["missing"], odd["numeracy"]["total"]) == (1, 0)
    assert str(tmp_path) not in out.read_text()


@pytest.mark.parametrize("options", [[], ["--planner", "import"], ["--metadata", "x", "--import", "y"]])
def test_wrong_options_are_named(monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["planning", *options])
    with pytest.raises(SystemExit) as stop:
        planning.main()
    assert stop.value.code == 2
