"""The layout of a scene: where its things truly are, in the words of its caption."""

from __future__ import annotations

import numpy as np

from ttom.emojiworld.facts import Subject
from ttom.emojiworld.nouns import NOUNS
from ttom.emojiworld.scene import FRAMES, HEIGHT, WIDTH, Scene, Thing
from ttom.layout.english import find_phrase
from ttom.layout.model import Box, KeyFrame, Layout, LayoutObject

LEAST_SHOWN = 0.25
"""A thing that comes over the edge counts as visible from the frame on in which this share of it is in the picture."""


def scene_layout(scene: Scene, prompt: str) -> Layout:
    """The true layout, for a caption that names all of the scene's things.

    Raises:
        ValueError: The caption does not name a thing.
    """
    names = [_phrase(subject, prompt) for subject in scene.facts.subjects]
    objects = tuple(
        _object(f"object-{i}", thing, names[thing.subject])
        for i, thing in enumerate(sorted(scene.things, key=lambda thing: thing.subject))
    )
    return Layout(prompt=prompt, objects=objects, source="emojiworld")


def _phrase(subject: Subject, prompt: str) -> str:
    """The words of a subject as they occur in the prompt: with its color, so that two of a noun can be told apart."""
    noun = NOUNS[subject.noun]
    names = (noun.name, noun.plural) if subject.count == 1 else (noun.plural, noun.name)
    colored = [f"{subject.color} {name}" for name in names] if subject.color else []
    for words in (*colored, *names):
        if find_phrase(prompt, words):
            return words
    raise ValueError(f"{prompt!r} does not name {noun.name!r}")


def _object(name: str, thing: Thing, phrase: str) -> LayoutObject:
    times = [float(time) for time in np.linspace(0, 1, FRAMES)]
    shown = [time for time in times if thing.shown_at(time) >= LEAST_SHOWN]
    inside = all(thing.shown_at(time) > 0.999 for time in times)
    # Between its vertices a box moves in a straight line, but not where the edge of the picture cuts it.
    at = sorted(set(thing.vertex_times())) if inside else shown
    frames = tuple(KeyFrame(time=time, box=_box(thing, time)) for time in at)
    noun = NOUNS[thing.noun].name
    return LayoutObject(id=name, phrase=phrase, noun=noun, key_frames=frames, visible=(shown[0], shown[-1]))


def _box(thing: Thing, time: float) -> Box:
    x0, y0, x1, y1 = thing.box_at(time)
    x0, x1 = (min(max(x / WIDTH, 0.0), 1.0) for x in (x0, x1))
    y0, y1 = (min(max(y / HEIGHT, 0.0), 1.0) for y in (y0, y1))
    return Box(x0=x0, y0=y0, x1=x1, y1=y1)
