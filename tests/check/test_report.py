"""What the line says, and which of several videos is better."""

from __future__ import annotations

from typing import Any

import pytest

from ttom.check.report import CheckReport, ObjectCheck


def item(name: str, problem: Any = None, **more: Any) -> ObjectCheck:
    return ObjectCheck(id=name, phrase=name, noun=name, seen=1.0, iou=0.5, problem=problem, **more)


def report(*objects: ObjectCheck, **extra: int) -> CheckReport:
    return CheckReport(detector="toy", objects=objects, extra=extra, seed=3)


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (
            report(item("dog"), item("cat"), item("balloon", "still", planned=("up",), moved=(None,))),
            "2 of 3 objects follow the plan: the balloon stands still",
        ),
        (
            report(item("bus", "direction", planned=("left",), moved=("right",)), item("cat", "missing")),
            "none of 2 objects follow the plan: the bus moves right instead of left, the cat is missing",
        ),
        (
            report(item("ball", "direction", planned=("up", "down"), moved=("up", "up")), item("cat"), cat=1),
            "1 of 2 objects follows the plan: the ball moves up and up instead of up and down, "
            "there is one cat too many",
        ),
        (report(item("cat", "moves", moved=("left",))), "the plan is not followed: the cat moves left"),
        (
            report(item("cat", "direction", planned=("left",), moved=("left",)), item("dog")),
            "1 of 2 objects follows the plan: the cat moves another way",
        ),
        (report(item("cat"), item("dog"), cat=3), "all 2 objects follow the plan, but there are 3 cats too many"),
    ],
)
def test_the_line(made: CheckReport, line: str) -> None:
    assert str(made) == line


def test_the_score_counts_objects_then_overlap() -> None:
    worse, better = report(item("dog"), item("cat", "still")), report(item("dog"), item("cat"))
    assert better.score > worse.score > report(item("dog"), item("cat", "still"), dog=1).score
    nearer = report(item("dog").model_copy(update={"iou": 0.6}), item("cat"))
    assert nearer.score > better.score
    assert (nearer.as_try().seed, nearer.as_try().following, nearer.as_try().iou) == (3, 2, pytest.approx(0.55))


def test_it_survives_json() -> None:
    made = report(item("ball", "direction", planned=("up",), moved=(None,)), ball=1)
    assert CheckReport.model_validate_json(made.model_dump_json()) == made
