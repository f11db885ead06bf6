"""Captions of EmojiWorld in the style of T2V-CompBench, the scenery that they name, and the tokenizer's words."""

from __future__ import annotations

import colorsys
import math
import random
import re

from ttom.emojiworld.nouns import NOUNS
from ttom.emojiworld.world import Scene, Split, sample_scene

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(text.split(", "))


# Scenery: hue in degrees, saturation and lightness of the gradient's two ends, and phrases that name it.
SCENERY: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], tuple[str, ...]]] = {
    "sky": ((205, 0.7, 0.72), (205, 0.6, 0.88), _phrases("in the sky, through the sky, in a clear blue sky")),
    "night": (
        (235, 0.5, 0.22),
        (250, 0.4, 0.38),
        _phrases("at night, in the night sky, under the moonlight, in the dark"),
    ),
    "sunset": ((20, 0.8, 0.65), (330, 0.5, 0.72), _phrases("at sunset, in the evening, under a warm sunset")),
    "beach": (
        (45, 0.6, 0.78),
        (190, 0.6, 0.72),
        _phrases("on the beach, on a sandy beach, along the shore, by the sea"),
    ),
    "ocean": ((200, 0.7, 0.5), (190, 0.6, 0.66), _phrases("in the ocean, in the sea, across the water, over the lake")),
    "forest": (
        (120, 0.4, 0.4),
        (90, 0.4, 0.6),
        _phrases("in a forest, in the woods, through the forest, in the jungle"),
    ),
    "meadow": (
        (95, 0.5, 0.65),
        (75, 0.5, 0.78),
        _phrases("in a meadow, in a garden, in the park, across a field, on the grass, through a field"),
    ),
    "desert": ((38, 0.6, 0.66), (28, 0.6, 0.78), _phrases("in the desert, across the desert, over the sand dunes")),
    "snow": ((210, 0.3, 0.9), (210, 0.15, 0.97), _phrases("in the snow, on the ice, in a snowy field, in winter")),
    "street": (
        (220, 0.06, 0.6),
        (220, 0.06, 0.75),
        _phrases("on the street, on a busy road, along the highway, in the city, down the street, on the sidewalk"),
    ),
    "room": (
        (30, 0.35, 0.8),
        (25, 0.25, 0.68),
        _phrases("in a room, in a cozy living room, on the floor, in the kitchen, on a wooden table"),
    ),
    "party": (
        (300, 0.5, 0.8),
        (340, 0.5, 0.82),
        _phrases("at a birthday party, at a party, in a colorful room, on a stage"),
    ),
}

# Verbs as (third person, gerund, plural) by kind of noun.
_VERBS = {
    "walker": _phrases(
        "walks/walking/walk, runs/running/run, moves/moving/move, dashes/dashing/dash, strolls/strolling/stroll, "
        "hops/hopping/hop, darts/darting/dart"
    ),
    "flyer": _phrases(
        "flies/flying/fly, floats/floating/float, drifts/drifting/drift, glides/gliding/glide, moves/moving/move, "
        "soars/soaring/soar"
    ),
    "vehicle": _phrases(
        "drives/driving/drive, speeds/speeding/speed, moves/moving/move, rolls/rolling/roll, travels/traveling/travel, "
        "races/racing/race"
    ),
    "swimmer": _phrases(
        "swims/swimming/swim, glides/gliding/glide, floats/floating/float, moves/moving/move, drifts/drifting/drift, "
        "sails/sailing/sail"
    ),
    "roller": _phrases(
        "rolls/rolling/roll, bounces/bouncing/bounce, moves/moving/move, slides/sliding/slide, spins/spinning/spin"
    ),
    "thing": _phrases(
        "moves/moving/move, slides/sliding/slide, floats/floating/float, drifts/drifting/drift, glides/gliding/glide"
    ),
}
_STILL = {
    "walker": _phrases(
        "sits/sitting/sit, stands/standing/stand, rests/resting/rest, waits/waiting/wait, sleeps/sleeping/sleep, "
        "plays/playing/play, walks/walking/walk, runs/running/run"
    ),
    "flyer": _phrases("hovers/hovering/hover, floats/floating/float, flies/flying/fly, rests/resting/rest"),
    "vehicle": _phrases("is parked/parked/are parked, stands/standing/stand, waits/waiting/wait, drives/driving/drive"),
    "swimmer": _phrases("floats/floating/float, swims/swimming/swim, rests/resting/rest"),
    "roller": _phrases("lies/lying/lie, rests/resting/rest, rolls/rolling/roll"),
    "thing": _phrases("stands/standing/stand, is placed/placed/are placed, lies/lying/lie, rests/resting/rest"),
}
_UP = _phrases(
    "ascends/ascending/ascend, rises/rising/rise, climbs up/climbing up/climb up, "
    "is lifted up/lifted up/are lifted up, floats up/floating up/float up"
)
_DOWN = _phrases(
    "descends/descending/descend, falls/falling/fall, sinks/sinking/sink, drops/dropping/drop, "
    "is lowered down/lowered down/are lowered down"
)
_WHERE = {
    "left": _phrases(
        "left, to the left, leftward, leftwards, from right to left, from the right to the left, right to left, "
        "from the right side to the left side, towards the left"
    ),
    "right": _phrases(
        "right, to the right, rightward, rightwards, from left to right, from the left to the right, left to right, "
        "from the left side to the right side, towards the right"
    ),
    "up": _phrases("up, upward, upwards, up into the air, upward into the sky"),
    "down": _phrases("down, downward, downwards, down to the ground, downward to the ground"),
}
_BESIDE = {
    "left": _phrases("on the left of, to the left of, on the left side of, left of"),
    "right": _phrases("on the right of, to the right of, on the right side of, right of"),
    "above": _phrases("above, over, on top of, on, high above"),
    "below": _phrases("below, under, beneath, underneath"),
}
_ADVERBS = ("slowly", "quickly", "gently", "smoothly", "gracefully", "steadily", "rapidly", "softly", "swiftly")
_ADJECTIVES = ("small", "little", "large", "big", "cute", "old", "shiny", "colorful", "happy", "lonely", "beautiful")
_NEARBY = ("nearby", "beside them", "close by", "next to them")
_TAILS = (", its {x} {x} in the {x}", ", {x} {x}", " with {x} {x}", ", leaving {x} behind", ", as the {x} {x}")
UNKNOWN_WORD = "qzx"  # no word of the vocabulary: it stands for all the words that the model never learns


def paint(rng: random.Random, scene: Scene) -> None:
    """Give the scene a background: a scenery's gradient, or colours that no word names."""
    if rng.random() < 0.7:
        scene.scenery = rng.choice(list(SCENERY))
        ends = [
            (hue + rng.gauss(0, 6), saturation, min(1.0, lightness * rng.uniform(0.94, 1.05)))
            for hue, saturation, lightness in SCENERY[scene.scenery][:2]
        ]
    else:
        hue = rng.uniform(0, 360)
        ends = [
            (hue, rng.uniform(0.1, 0.7), rng.uniform(0.3, 0.9)),
            (hue + rng.gauss(0, 40), 0.4, rng.uniform(0.4, 0.9)),
        ]
    rgb = [colorsys.hls_to_rgb(hue % 360 / 360, lightness, saturation) for hue, saturation, lightness in ends]
    scene.background = (*rgb, rng.choice((math.pi / 2, -math.pi / 2, rng.uniform(-math.pi, math.pi))))


def _article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def _name(rng: random.Random, noun: int, *, plain: bool = False) -> str:
    adjective = "" if plain or rng.random() > 0.2 else rng.choice(_ADJECTIVES) + " "
    return adjective + NOUNS[noun].name


def _one(rng: random.Random, noun: int) -> str:
    name = _name(rng, noun)
    return rng.choice((_article(name),) * 6 + ("the " + name, "one " + name))


def _verb(rng: random.Random, verbs: tuple[str, ...], form: int) -> str:
    return rng.choice(verbs).split("/")[form]


def _moves(rng: random.Random, noun: int, direction: str) -> str:
    """A mover's verb phrase: "rolls left", "is flying upwards", "gently descends"."""
    form = rng.choice((0, 0, 1, 1, 2))
    if direction in ("up", "down") and rng.random() < 0.5:
        verb = _verb(rng, _UP if direction == "up" else _DOWN, min(form, 1))
        where = "" if rng.random() < 0.5 or " " in verb else " " + rng.choice(_WHERE[direction])
    else:
        verb = _verb(rng, _VERBS[NOUNS[noun].kind], min(form, 1))
        where = " " + rng.choice(_WHERE[direction])
    adverb = rng.choice(_ADVERBS) + " " if rng.random() < 0.15 else ""
    return ("is " if form == 2 else "") + adverb + verb + where


def _ending(rng: random.Random, scene: Scene) -> str:
    """Scenery words, and at times words that mean nothing to the model."""
    text = ""
    if scene.scenery and rng.random() < 0.75:
        text = " " + rng.choice(SCENERY[scene.scenery][2])
    elif rng.random() < 0.08:
        text = f" {rng.choice(('in a', 'on the', 'across the', 'near a'))} {UNKNOWN_WORD}"
    if rng.random() < 0.08:
        text += rng.choice(_TAILS).format(x=UNKNOWN_WORD)
    return text


def _count_phrase(rng: random.Random, noun: int, count: int) -> str:
    if count == 1:
        return "one " + _name(rng, noun, plain=True)
    return f"{NUMBERS[count]} {NOUNS[noun].plural}"


def _count_caption(rng: random.Random, scene: Scene) -> str:
    phrases, verbs = [], []
    for noun, count in scene.facts["counts"]:
        phrases.append(_count_phrase(rng, noun, count))
        verbs.append(_verb(rng, _STILL[NOUNS[noun].kind], rng.choice((1, 0 if count == 1 else 2))))
    if len(phrases) == 1:
        forms = (
            f"{phrases[0]} {verbs[0]}",
            phrases[0],
            f"there {'is' if phrases[0][:4] == 'one ' else 'are'} {phrases[0]}",
        )
        return rng.choice((forms[0], *forms))
    joined = f"{phrases[0]} and {phrases[1]}"
    clauses = f"{phrases[0]} {verbs[0]}, and {phrases[1]} {verbs[1]} {rng.choice(_NEARBY)}"
    return rng.choice((joined, clauses, clauses, f"{phrases[0]} {verbs[0]}, and {phrases[1]} {verbs[1]}"))


def full_caption(rng: random.Random, scene: Scene) -> str:
    """A caption that tells every fact of the scene."""
    facts, nouns = scene.facts, scene.facts["nouns"]
    if scene.kind == "motion":
        text = f"{_one(rng, nouns[0])} {_moves(rng, nouns[0], facts['direction'])}"
    elif scene.kind == "motion_beside":
        mover = f"{_one(rng, nouns[0])} {_moves(rng, nouns[0], facts['direction'])}"
        text = f"{mover} {rng.choice(_BESIDE[facts['relation']])} {_one(rng, nouns[1])}"
    elif scene.kind == "two_movers":
        first, second = (f"{_one(rng, n)} {_moves(rng, n, d)}" for n, d in zip(nouns, facts["directions"], strict=True))
        return first + rng.choice((" while ", ", while ", " and ")) + second + _ending(rng, scene)
    elif scene.kind == "relation":
        still = rng.choice((_verb(rng, _STILL[NOUNS[nouns[0]].kind], 1) + " ", ""))
        text = f"{_one(rng, nouns[0])} {still}{rng.choice(_BESIDE[facts['relation']])} {_one(rng, nouns[1])}"
    else:
        text = _count_caption(rng, scene)
    return text + _ending(rng, scene)


def vague_caption(rng: random.Random, scene: Scene) -> str:
    """A caption that says less than the picture shows, as captions on the web do."""
    noun = scene.facts["nouns"][0]
    if scene.kind in ("count", "two_counts") and scene.facts["counts"][0][1] > 1:
        text = rng.choice(("some ", "", "many ")) + NOUNS[noun].plural
    elif scene.kind in ("relation", "two_movers", "two_counts") and rng.random() < 0.5:
        other = scene.facts["nouns"][1]
        many = dict(scene.facts.get("counts", ())).get(other, 1) > 1
        text = f"{_one(rng, noun)} and {'some ' + NOUNS[other].plural if many else _one(rng, other)}"
    else:
        text = f"{_one(rng, noun)} {rng.choice(('', _verb(rng, _VERBS[NOUNS[noun].kind], 1)))}".strip()
    return text + _ending(rng, scene)


def caption(rng: random.Random, scene: Scene, vague: float = 0.12) -> str:
    """A training caption, vague at the given rate; sentence case and full stop vary."""
    text = vague_caption(rng, scene) if rng.random() < vague else full_caption(rng, scene)
    return text[0].upper() + text[1:] + rng.choice(("", "."))


def captioned_scene(
    rng: random.Random, split: Split, kind: str | None = None, vague: float = 0.12
) -> tuple[Scene, str]:
    """A painted scene of the split and a caption of it."""
    scene = sample_scene(rng, split, kind)  # type: ignore[arg-type]
    paint(rng, scene)
    return scene, caption(rng, scene, vague)


def forget(rng: random.Random, text: str, rate: float = 0.12) -> str:
    """Replace some verbs, adverbs and adjectives by the stand-in for unknown words.

    For training: real prompts say "scampers" where the world only knows "runs". Nouns, numbers, directions, relations
    and the verbs that alone tell a direction are kept.
    """
    return re.sub(
        r"[a-z]+", lambda word: UNKNOWN_WORD if word[0] in _REPLACEABLE and rng.random() < rate else word[0], text
    )


_REPLACEABLE = {word for row in _VERBS.values() for forms in row for word in forms.split("/") if " " not in word} | {
    *_ADVERBS,
    *_ADJECTIVES,
}


def vocabulary() -> list[str]:
    """Every word that a caption can hold (lower case), sorted, without the stand-in for unknown words."""
    texts = [noun.name for noun in NOUNS] + [noun.plural for noun in NOUNS] + list(NUMBERS)
    for table in (_VERBS, _STILL, _WHERE, _BESIDE):
        texts += [text for row in table.values() for text in row]
    texts += [phrase for row in SCENERY.values() for phrase in row[2]]
    texts += [*_UP, *_DOWN, *_ADVERBS, *_ADJECTIVES, *_NEARBY, *_TAILS]
    texts += ["a an the and while there is are some many one in on across near"]
    words = {word for text in texts for word in re.findall(r"[a-z]+", text.replace("{x}", " "))}
    return sorted(words)
