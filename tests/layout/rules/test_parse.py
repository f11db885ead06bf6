"""The rules planner leaves no thing out without a word: lists, several relations, notes on the rest, refusals."""

from __future__ import annotations

import itertools

import pytest

from tests.layout.seen import ASPECT, TIMES, boxes, center, direction, overlap, summary
from ttom.layout.model import Layout, check_layout
from ttom.layout.rules.planner import plan

STILL_AND_MOVING = {
    "A cat, a dog, and a bird": {"cat": "still", "dog": "still", "bird": "still"},
    "A cat, a dog, and a bird run left": {"cat": "left", "dog": "left", "bird": "left"},
    "A cat runs left\nA dog runs right": {"cat": "left", "dog": "right"},
    "A cat runs left\na dog runs right\n": {"cat": "left", "dog": "right"},
    "In the garden near the old stone wall a cat runs left": {"cat": "left", "old stone wall": "still"},
    "In the garden a cat runs left": {"cat": "left"},
    "A cat and dog run left": {"cat": "left", "dog": "left"},
    "A red fox and badger walk right": {"red fox": "right", "badger": "right"},
    "A duck and ducklings swim left": {"duck": "left", "ducklings": "left"},
    "A balloon rises past a bird that flies left": {"balloon": "up", "bird": "left"},
    "A dog that barks runs left": {"dog": "left"},
    "A ship sails left below a kite and a bird": {"ship": "left", "kite": "still", "bird": "still"},
    "A dog chases a cat from left to right": {"dog": "right", "cat": "right"},
    "The dog runs left while the cat sits": {"dog": "left", "cat": "still"},
    "A dog sits. The dog runs left.": {"dog": "left"},
    "A leftwards moving car": {"moving car": "left"},
    "A left-moving car and a right-moving bus": {"left-moving car": "left", "right-moving bus": "right"},
    "The right shoe moves up": {"right shoe": "up"},
    "The left car drives right, the right car drives left": {"left car": "right", "right car": "left"},
    "The camera pans left over a cat": {"cat": "still"},
    "The camera zooms in on a dog running right": {"dog": "right"},
    "A cat runs to the left, a dog to the right": {"cat": "left", "dog": "right"},
    "A cat sits to the left": {"cat": "still"},
    "A close-up of a bee on a flower": {"bee": "still", "flower": "still"},
    "A father and daughter waltz together": {"father": "still", "daughter": "still"},
    "A boat drifts left, Van Gogh style": {"boat": "left"},
    "flying bird": {"flying bird": "still"},
    "A skier goes down, right past a tree": {"skier": "down", "tree": "still"},
    "A woman walks up, left hand waving": {"woman": "up"},
    "A dog that is not afraid runs left, not far from home": {"dog": "left"},
    "A cat that isn't black runs left": {"cat": "left"},
    "cats, dogs, birds": {"cats": "still", "dogs": "still", "birds": "still"},
    "sofa, lamp and table": {"sofa": "still", "lamp": "still", "table": "still"},
    "A dog without a collar runs left": {"dog": "left"},
}


@pytest.mark.parametrize("prompt", STILL_AND_MOVING)
def test_who_is_there_and_who_moves(prompt: str) -> None:
    layout = plan(prompt, aspect=ASPECT)
    assert {phrase: direction(layout, phrase) for phrase in summary(layout)} == STILL_AND_MOVING[prompt]
    assert _left_out(layout) == []


PLACES = {  # (subject, kind, reference) that must all show; nothing else has a box
    "dog above cat": [("dog", "above", "cat")],
    "A man on the left waves at a woman on the right": [("man", "left", "woman")],
    "A table in the center with a lamp to the left": [("lamp", "left", "table")],
    "dog left of cat, bird above dog": [("dog", "left", "cat"), ("bird", "above", "dog")],
    "A ship below a helicopter that flies to the left": [("ship", "below", "helicopter")],
    "a pizza on the top of a donut, front view": [("pizza", "above", "donut")],
    "a donut on the bottom of a pizza, front view": [("donut", "below", "pizza")],
    "big dog near small house": [("big dog", "left", "small house")],
    "A bird sits between a cat and a dog": [("bird", "right", "cat"), ("bird", "left", "dog")],
    "A child on the left, a dog in the middle and a robot on the right": [
        ("child", "left", "dog"), ("dog", "left", "robot"),
    ],
    "A cat to the left of a dog, and a bird above the dog": [("cat", "left", "dog"), ("bird", "above", "dog")],
    "A dog is to the right of a cat and above a chair": [("dog", "right", "cat"), ("dog", "above", "chair")],
    "A cat near a lamp and a chair": [("cat", "left", "lamp"), ("cat", "left", "chair")],
    "A cat and a dog above a bird": [("cat", "above", "bird"), ("dog", "above", "bird")],
    "There is a cat to the left of a dog and a bird to the right of the dog": [
        ("cat", "left", "dog"), ("bird", "right", "dog"),
    ],
    "A cat sits on a chair and a dog lies under a table": [("cat", "above", "chair"), ("dog", "below", "table")],
    "A cat on the left and a dog on the right of a tree": [("dog", "right", "tree"), ("cat", "left", "tree")],
    "A cat on the right and a dog sits": [("cat", "right", "dog")],
    "A kite at the top, a dog above a cat": [("kite", "above", "dog"), ("dog", "above", "cat")],
    "A cat to the right, a dog to the left": [("cat", "right", "dog")],
    "A vase on a table, a book under the table": [("vase", "above", "table"), ("book", "below", "table")],
}  # fmt: skip


@pytest.mark.parametrize("prompt", PLACES)
def test_all_relations_hold(prompt: str) -> None:
    layout = plan(prompt, aspect=ASPECT)
    assert set(summary(layout)) == {name for subject, _, reference in PLACES[prompt] for name in (subject, reference)}
    for subject, kind, reference in PLACES[prompt]:
        (xs, ys), (xr, yr) = center(layout, subject), center(layout, reference)
        dx, dy = xs - xr, ys - yr
        found = ("left" if dx < 0 else "right") if abs(dx) > abs(dy) else ("above" if dy < 0 else "below")
        assert found == kind, (subject, reference)
    assert _left_out(layout) == []


def test_between_two_of_a_kind() -> None:
    layout = plan("A bird between two trees", aspect=ASPECT)
    left, right = sorted(box.center[0] for box in boxes(layout, "trees", 0.5))
    assert left < center(layout, "bird")[0] - 0.2
    assert right > center(layout, "bird")[0] + 0.2


def test_corners_of_the_picture() -> None:
    layout = plan("A kite in the top left corner and a dog in the bottom right corner", aspect=ASPECT)
    assert max(center(layout, "kite")) < 0.4
    assert min(center(layout, "dog")) > 0.6
    assert max(center(plan("A sun in the top left corner", aspect=ASPECT), "sun")) < 0.4


def test_one_that_passes_below_another_mover_has_the_lower_lane() -> None:
    layout = plan("A fish swims left below a boat that sails right", aspect=ASPECT)
    assert center(layout, "fish")[1] > center(layout, "boat")[1] + 0.3


@pytest.mark.parametrize("aspect", [0.5625, 1.0, 832 / 480, 2.4])
def test_boxes_keep_apart(aspect: float) -> None:
    for prompt in [*STILL_AND_MOVING, *PLACES, "A bird between two trees"]:
        layout = plan(prompt, aspect=aspect, seed=5)
        check_layout(layout, prompt)
        assert layout == plan(prompt, aspect=aspect, seed=5)
        for time in TIMES:
            there = [box for item in layout.objects if (box := item.box_at(time)) is not None]
            assert all(overlap(a, b) == 0 for a, b in itertools.combinations(there, 2)), (prompt, time)


def _left_out(layout: Layout) -> list[str]:
    """The things that the notes say have no box."""
    found = [what for what in layout.left_out if "(no box" in what]
    return [note.split(" (no box")[0] for note in found]


@pytest.mark.parametrize(
    ("prompt", "left_out"),
    [
        ("An apple in a basket", ["basket"]),
        ("A man holding an umbrella", ["umbrella"]),
        ("A girl pushes her bike to the left with dogs", ["bike", "dogs"]),
        ("A man gives a dog a bone", ["dog", "bone"]),
        ("A knight on a horse fights a dragon", ["dragon"]),
        ("Three apples in a bowl", ["bowl"]),
        # Scenery, background, moods, and what is no thing.
        ("A cat runs left on the beach at sunset", []),
        ("A kite rises in the sky with trees in the background", []),
        ("A bus drives left with a tower in the distance", []),
        ("A car speeds right, leaving a faint scent, its wheels spinning at a furious pace", []),
        ("A dog runs left. The dog barks.", []),
    ],
)
def test_what_gets_no_box_is_named(prompt: str, left_out: list[str]) -> None:
    assert _left_out(plan(prompt, aspect=ASPECT)) == left_out


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("The camera pans left over a cat", '"left", which is the camera moving'),
        ("The wind blows left over a cat", '"left", as wind is not moved'),
        ("A plane takes off to the left", '"takes off", as plane goes one way only'),
        ("A bird flies left between two trees", '"between", as bird moves'),
        ("A kite on the right above a house", '"on the right", as a relation places kite'),
    ],
)
def test_words_that_are_not_planned_are_quoted(prompt: str, words: str) -> None:
    assert words in plan(prompt, aspect=ASPECT).left_out


def test_right_next_to_is_no_direction() -> None:
    assert set(summary(plan("A man stands up right next to a chair", aspect=ASPECT))) == {"man", "chair"}


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        ("A statue and four ducks on a wooden table", {"statue", "ducks"}),
        ("A cup and a plate on a wooden table", {"cup", "plate"}),
        ("A suitcase on the left side of a bear on a wooden table", {"suitcase", "bear"}),
    ],
)
def test_a_table_for_many_or_for_nobody_in_particular_has_no_box(prompt: str, shown: set[str]) -> None:
    layout = plan(prompt, aspect=ASPECT)
    assert set(summary(layout)) == shown
    assert [what for what in layout.left_out if "wooden table" in what]


@pytest.mark.parametrize(
    ("prompt", "things"), [("A snake and a lizard slither to the left", 2), ("A boy not wearing a hat runs left", 1)]
)
def test_all_that_have_a_box_move(prompt: str, things: int) -> None:
    layout = plan(prompt, aspect=ASPECT)
    assert [direction(layout, phrase) for phrase in summary(layout)] == ["left"] * things
