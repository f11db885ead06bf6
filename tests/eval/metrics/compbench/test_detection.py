"""Numeracy and spatial relationships, computed by hand for each rule."""

from __future__ import annotations

import numpy as np
import pytest

from eval.metrics.arrays import encode
from eval.metrics.compbench import detection
from eval.metrics.detections import Found, merge_duplicates, of_phrase, parse
from eval.metrics.registry import Excluded


def box(phrase: str, x: float, y: float, size: float = 0.2, score: float = 0.8) -> Found:
    """A square around its center."""
    half = size / 2
    return Found((x - half, y - half, x + half, y + half), score, phrase)


def all_frames(*found: Found) -> list[list[Found]]:
    return [list(found)] * 16


CAT, DOG = box("cat", 0.2, 0.5), box("dog", 0.8, 0.5)


def test_merging_keeps_the_more_probable_of_two_boxes_at_one_place() -> None:
    one, other = box("cat", 0.5, 0.5, score=0.5), box("dog", 0.5, 0.5, score=0.7)
    assert merge_duplicates([one, other], 0.9) == [other]
    assert merge_duplicates([other, one], 0.9) == [other]
    # Squares of .2 that are .02 apart: .18 * .2 / (2 * .04 - .036) = .036 / .044 = .818
    near = box("cat", 0.52, 0.5)
    assert merge_duplicates([one, near], 0.9) == [one, near]
    assert merge_duplicates([one, near], 0.81) == [near]


def test_a_box_counts_only_with_the_objects_own_phrase() -> None:
    found = [box("cat", 0, 0), box("cat .", 0, 0), box("Cat", 0, 0), box("t - shirt", 0, 0)]
    assert len(of_phrase(found, "cat", parity=True)) == 1
    assert len(of_phrase(found, "cat", parity=False)) == 2
    assert not of_phrase(found, "t-shirt", parity=True)
    assert len(of_phrase(found, "t-shirt", parity=False)) == 1


def test_numeracy_of_one_object_is_exact_or_nothing() -> None:
    two = [box("cat", 0.2, 0.5), box("cat", 0.8, 0.5)]
    assert detection.numeracy([("cat", 2, [two] * 16)]) == 1.0
    assert detection.numeracy([("cat", 3, [two] * 16)]) == 0.0
    # 4 frames of 16 with one cat too many
    frames = [[*two, box("cat", 0.5, 0.1)]] * 4 + [two] * 12
    assert detection.numeracy([("cat", 2, frames)]) == pytest.approx(12 / 16)


def test_numeracy_of_two_objects_counts_half_each() -> None:
    assert detection.numeracy([("cat", 1, all_frames(CAT)), ("dog", 2, all_frames(DOG))]) == 0.5
    assert detection.numeracy([("cat", 1, all_frames(CAT)), ("dog", 1, all_frames(DOG))]) == 1.0


def test_numeracy_merges_across_objects() -> None:
    """The same thing found as a cat and, more probably, as a dog: no cat is left."""
    cat, dog = all_frames(box("cat", 0.5, 0.5, score=0.5)), all_frames(box("dog", 0.5, 0.5, score=0.6))
    assert detection.numeracy([("cat", 1, cat), ("dog", 1, dog)]) == 0.5


def test_numeracy_needs_sixteen_frames() -> None:
    with pytest.raises(Excluded, match="16"):
        detection.numeracy([("cat", 1, [[CAT]] * 15)])


@pytest.mark.parametrize(
    ("relation", "x", "y", "right"),
    [
        ("left", 0.2, 0.5, True), ("right", 0.2, 0.5, False), ("right", 0.9, 0.4, True),
        ("above", 0.5, 0.1, True), ("on", 0.5, 0.1, True), ("under", 0.5, 0.9, True), ("below", 0.5, 0.9, True),
        ("below", 0.5, 0.1, False), ("above", 0.1, 0.2, False), ("left", 0.1, 0.2, True),
    ],
)  # fmt: skip
def test_the_relation_is_the_dominant_axis(relation: str, x: float, y: float, right: bool) -> None:
    """The second object is in the middle. Apart from it IoU is 0, so a right frame scores 1, a wrong one .4."""
    frames = all_frames(box("cat", x, y)), all_frames(box("dog", 0.5, 0.5))
    assert detection.spatial_2d(relation, "cat", "dog", frames) == pytest.approx(1.0 if right else 0.4)


def test_a_diagonal_is_no_relation() -> None:
    frames = all_frames(box("cat", 0.25, 0.25)), all_frames(box("dog", 0.75, 0.75))
    assert all(detection.spatial_2d(r, "cat", "dog", frames) == pytest.approx(0.4) for r in ("left", "above"))


def test_overlap_costs_score() -> None:
    # Squares of .4, .1 apart: .3 * .4 / (2 * .16 - .12) = .12 / .2 = .6; s = .4; .4 + .6 * .4 = .64
    frames = all_frames(box("cat", 0.4, 0.5, 0.4)), all_frames(box("dog", 0.5, 0.5, 0.4))
    assert detection.spatial_2d("left", "cat", "dog", frames) == pytest.approx(0.64)


def test_missing_objects() -> None:
    empty = all_frames()
    assert detection.spatial_2d("left", "cat", "dog", (all_frames(CAT), empty)) == pytest.approx(0.2)
    assert detection.spatial_2d("left", "cat", "dog", (empty, all_frames(DOG))) == pytest.approx(0.2)
    assert detection.spatial_2d("left", "cat", "dog", (empty, empty)) == 0.0
    # Half of the frames without both, half right: mean of 0 and 1
    half = [[CAT]] * 8 + [[]] * 8, [[DOG]] * 8 + [[]] * 8
    assert detection.spatial_2d("left", "cat", "dog", half) == pytest.approx(0.5)


def test_the_pair_is_chosen_by_score_and_probability() -> None:
    """Two cats left of the dog: one clear of it (s = 1) and improbable, one overlapping (s = .4) and sure."""
    dog = box("dog", 0.5, 0.5, 0.4, score=0.9)
    clear, overlapping = box("cat", 0.1, 0.5, 0.4, score=0.4), box("cat", 0.4, 0.5, 0.4, score=0.9)
    # .5 * 1 + .5 * (.4 + .9) / 2 = .825 against .5 * .4 + .5 * .9 = .65: the clear one
    frames = all_frames(clear, overlapping), all_frames(dog)
    assert detection.spatial_2d("left", "cat", "dog", frames) == pytest.approx(1.0)
    # At s = .6 against .4 the sure one wins: cats at .3 (IoU .08/.24 = 1/3, s = 2/3) of .36 and at .4 of .96
    near = box("cat", 0.3, 0.5, 0.4, score=0.36)
    sure = box("cat", 0.4, 0.5, 0.4, score=0.96)
    # 1/3 + .25 * (.36 + .9) = .648 against .2 + .25 * (.96 + .9) = .665
    frames = all_frames(near, sure), all_frames(dog)
    assert detection.spatial_2d("left", "cat", "dog", frames) == pytest.approx(0.4 + 0.6 * 0.4)


def masked(found: Found, rows: slice, columns: slice) -> Found:
    mask = np.zeros((10, 10), bool)
    mask[rows, columns] = True
    return Found(found.box, found.score, found.phrase, encode(mask))


def test_spatial_3d_by_mean_depth_inside_the_masks() -> None:
    # Squares of .4 that are .1 apart: IoU .6; right: .4 + .6 * .6 = .76
    cat = masked(box("cat", 0.4, 0.5, 0.4), slice(3, 7), slice(2, 4))
    dog = masked(box("dog", 0.5, 0.5, 0.4), slice(3, 7), slice(6, 8))
    depth = np.zeros((10, 10), np.uint8)
    depth[:, :5] = 200  # the cat is nearer
    frames, depths = (all_frames(cat), all_frames(dog)), np.stack([depth] * 16)
    assert detection.spatial_3d("in front of", "cat", "dog", frames, depths) == pytest.approx(0.76)
    assert detection.spatial_3d("behind", "cat", "dog", frames, depths) == pytest.approx(0.4)
    assert detection.spatial_3d("behind", "dog", "cat", frames[::-1], depths) == pytest.approx(0.76)


def test_spatial_3d_needs_boxes_that_overlap() -> None:
    cat, dog = (masked(one, slice(0, 5), slice(0, 5)) for one in (CAT, DOG))
    depths = np.full((16, 10, 10), 9, np.uint8)
    frames = all_frames(cat), all_frames(dog)
    assert detection.spatial_3d("in front of", "cat", "dog", frames, depths) == pytest.approx(0.4)
    assert detection.spatial_3d("behind", "cat", "dog", (all_frames(cat), all_frames()), depths) == pytest.approx(0.2)


def test_spatial_3d_merges_at_095() -> None:
    """Boxes at an IoU of about .93: duplicates for 2D, two objects for 3D."""
    # Squares of .4, .0145 apart: .3855 * .4 / (.32 - .1542) = .1542 / .1658 = .930
    cat = masked(box("cat", 0.5, 0.5, 0.4, 0.9), slice(0, 5), slice(0, 5))
    dog = masked(box("dog", 0.5145, 0.5, 0.4, 0.5), slice(5, 9), slice(5, 9))
    depth = np.zeros((10, 10), np.uint8)
    depth[:5] = 100
    frames = all_frames(cat), all_frames(dog)
    assert detection.spatial_2d("left", "cat", "dog", frames) == pytest.approx(0.2)  # the dog was merged away
    score = detection.spatial_3d("in front of", "cat", "dog", frames, np.stack([depth] * 16))
    assert score == pytest.approx(0.4 + 0.6 * 0.1542 / 0.1658, abs=1e-3)


def test_spatial_3d_quirk_takes_probabilities_from_before_merging() -> None:
    """Three cats, of which the first two are one: the third one's probability is the second's with the quirk."""
    depth = np.zeros((10, 10), np.uint8)
    depth[:, :5] = 100
    half, other = (slice(0, 9), slice(0, 4)), (slice(0, 9), slice(6, 9))
    twins = [masked(box("cat", 0.3, 0.5, 0.4, score), *half) for score in (0.5, 0.45)]
    third = masked(box("cat", 0.4, 0.5, 0.4, 0.99), *half)
    dog = masked(box("dog", 0.5, 0.5, 0.4, 0.6), *other)
    frames = all_frames(*twins, third), all_frames(dog)
    # IoU with the dog: twins 1/3, third .6. The third wins either way; without the quirk it wins by more.
    assert detection.spatial_3d("in front of", "cat", "dog", frames, np.stack([depth] * 16)) == pytest.approx(0.76)
    # A third one behind the dog's IoU of the twins wins only by its own probability.
    far = masked(box("cat", 0.28, 0.5, 0.4, 0.99), *half)
    frames = all_frames(*twins, far), all_frames(dog)
    # IoU at .22: .18 * .4 / (.32 - .072) = .072 / .248 = .2903. Twins: 1/6 + .25 * 1.1 = .4417.
    # far with its own .99: .1452 + .25 * 1.59 = .5427; with the second twin's .45: .1452 + .2625 = .4077
    score = detection.spatial_3d("in front of", "cat", "dog", frames, np.stack([depth] * 16))
    assert score == pytest.approx(0.4 + 0.6 / 3)
    fixed = detection.spatial_3d("in front of", "cat", "dog", frames, np.stack([depth] * 16), parity=False)
    assert fixed == pytest.approx(0.4 + 0.6 * 0.072 / 0.248)


@pytest.mark.parametrize("value", [None, [[{"box": [0, 0, 1]}]], [[{"score": 1}]], [["x"]], 3])
def test_unreadable_boxes_exclude(value: object) -> None:
    with pytest.raises(Excluded):
        parse(value)
