"""Studies: which runs they make, in which order, and when they stop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from eval import study
from eval.study import METHODS, Variant, main, run_study
from ttom.errors import UserError


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """What the programs of the harness were called with."""
    seen: list[tuple[str, list[str]]] = []

    def stub(name: str, code: Callable[[list[str]], int] = lambda options: 0) -> Callable[[list[str]], int]:
        def called(options: list[str]) -> int:
            seen.append((name, options))
            return code(options)

        return called

    codes = {"refused": 2, "failed": 1, "interrupted": 130}
    by_label = stub("replay", lambda options: codes.get(options[options.index("--label") + 1], 0))
    monkeypatch.setattr(study.replay, "main", by_label)
    for name in ("judge", "score"):
        monkeypatch.setattr(f"eval.{name}.main", stub(name))
    monkeypatch.setattr("eval.report.__main__.main", stub("report"))
    return seen


def test_variants_are_made_then_judged_scored_and_compared(calls: list, tmp_path: Path) -> None:
    assert run_study(tmp_path, METHODS, ["--suite", "emojiworld"], ["emojiworld", "vlm"]) == 0
    assert [name for name, _ in calls] == ["replay", "replay", "judge", "judge", "score", "report"]
    base = ["--suite", "emojiworld", "--method", "base", "--label", "base", "--out", str(tmp_path / "base")]
    assert calls[0][1] == base
    runs = [str(tmp_path / "base"), str(tmp_path / "ttom")]
    assert calls[2][1] == [*runs, "--judge", "emojiworld", "--answers", str(tmp_path / "answers")]
    assert calls[5][1] == [*runs, "--out", str(tmp_path / "report")]


@pytest.mark.parametrize(("label", "code", "programs"), [("failed", 1, 5), ("refused", 2, 1), ("interrupted", 130, 1)])
def test_what_ends_a_study(calls: list, tmp_path: Path, label: str, code: int, programs: int) -> None:
    """Failed videos do not: the others are judged, and the exit code says that some are missing."""
    assert run_study(tmp_path, [Variant(label), Variant("other")], [], ["emojiworld"]) == code
    assert len(calls) == programs


def test_variants_from_the_command_line(calls: list, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    variants = ["--variant", "a, rank 8: --adapter.rank 8", "--variant", "b:"]
    assert main(["--out", str(tmp_path), "--say", "PROXY", *variants, "--", "--suite", "s"]) == 0
    assert capsys.readouterr().out.startswith("PROXY\n")
    assert calls[0][1][:4] == ["--suite", "s", "--adapter.rank", "8"]
    assert calls[0][1][-1] == str(tmp_path / "a-rank-8") and calls[1][1][2:4] == ["--label", "b"]


@pytest.mark.parametrize("variants", [["no colon"], ["a:", "a:"], [":"]])
def test_variants_that_are_none(calls: list, tmp_path: Path, variants: list[str]) -> None:
    options = [option for text in variants for option in ("--variant", text)]
    assert main(["--out", str(tmp_path), *options]) == 2
    assert not calls


def test_a_label_becomes_a_folder() -> None:
    assert Variant("tto.blocks=(3, 4)").folder == "tto.blocks=-3-4"
    assert Variant("..").folder == "run"
    with pytest.raises(UserError, match="LABEL: OPTIONS"):
        Variant.parse("ttom")


def test_modules_of_the_users_own_reach_all_who_import_them(calls: list, tmp_path: Path) -> None:
    assert main(["--out", str(tmp_path), "--plugin", "mine", "--variant", "a:", "--", "--suite", "s"]) == 0
    assert {name for name, options in calls if "mine" in options} == {"replay", "judge", "score"}
