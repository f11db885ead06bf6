"""Boxes of phrases, and the frames in which they are looked for."""

from __future__ import annotations

import numpy as np
import pytest

from probes import boxes


def test_boxes_go_to_the_phrase_with_the_highest_token() -> None:
    text, spans = boxes.caption(["Red balloon", "two dogs."])
    assert text == "red balloon. two dogs."
    assert [text[a:b] for a, b in spans] == ["red balloon", "two dogs"]
    offsets = [(0, 0), (0, 3), (4, 11), (11, 12), (13, 16), (17, 21), (21, 22), (0, 0)]
    scores = np.zeros((4, 8))
    scores[0, 2], scores[0, 4] = 0.9, 0.4  # the balloon's
    scores[1, 1], scores[1, 5] = 0.4, 0.5  # the dogs'
    scores[2, 3] = scores[2, 0] = 0.99  # a full stop and a special token are nobody's
    scores[3, 5] = 0.3  # not sure enough
    places = np.array([[0.5, 0.5, 0.2, 0.4], [0.0, 1.0, 0.2, 0.2], [0.5, 0.5, 1, 1], [0.5, 0.5, 1, 1]])
    found = boxes.chosen(scores, places, offsets, spans, (100, 50))
    assert [(one.phrase, round(one.score, 3)) for one in found] == [(0, 0.9), (1, 0.5)]
    np.testing.assert_allclose([one.box for one in found], [(40, 15, 60, 35), (0, 45, 10, 50)])


@pytest.mark.parametrize(("count", "expected"), [(81, [13, 40, 67]), (49, [8, 24, 40]), (2, [0, 1]), (1, [0])])
def test_key_frames_are_the_middles_of_equal_parts(count: int, expected: list[int]) -> None:
    assert boxes.key_frames(count) == expected
