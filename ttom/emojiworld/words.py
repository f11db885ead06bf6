"""The words of captions, by edition of the world: edition 2 has all of edition 1's and more.

Order matters: captions draw from these tables at random, so a table that changes changes every caption made of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

Forms = dict[str, tuple[str, ...]]
UNKNOWN_WORD = "qzx"
"""Not in the vocabulary: it stands for all the words that the model never learns."""


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(text.split(", "))


SCENERY: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "sky": ((205, 0.7, 0.72), (205, 0.6, 0.88)),
    "night": ((235, 0.5, 0.22), (250, 0.4, 0.38)),
    "sunset": ((20, 0.8, 0.65), (330, 0.5, 0.72)),
    "beach": ((45, 0.6, 0.78), (190, 0.6, 0.72)),
    "ocean": ((200, 0.7, 0.5), (190, 0.6, 0.66)),
    "forest": ((120, 0.4, 0.4), (90, 0.4, 0.6)),
    "meadow": ((95, 0.5, 0.65), (75, 0.5, 0.78)),
    "desert": ((38, 0.6, 0.66), (28, 0.6, 0.78)),
    "snow": ((210, 0.3, 0.9), (210, 0.15, 0.97)),
    "street": ((220, 0.06, 0.6), (220, 0.06, 0.75)),
    "room": ((30, 0.35, 0.8), (25, 0.25, 0.68)),
    "party": ((300, 0.5, 0.8), (340, 0.5, 0.82)),
}
"""Hue in degrees, saturation and lightness of the two ends of each background's gradient."""
_SCENERY: Forms = {
    "sky": _phrases("in the sky, through the sky, in a clear blue sky"),
    "night": _phrases("at night, in the night sky, under the moonlight, in the dark"),
    "sunset": _phrases("at sunset, in the evening, under a warm sunset"),
    "beach": _phrases("on the beach, on a sandy beach, along the shore, by the sea"),
    "ocean": _phrases("in the ocean, in the sea, across the water, over the lake"),
    "forest": _phrases("in a forest, in the woods, through the forest, in the jungle"),
    "meadow": _phrases("in a meadow, in a garden, in the park, across a field, on the grass, through a field"),
    "desert": _phrases("in the desert, across the desert, over the sand dunes"),
    "snow": _phrases("in the snow, on the ice, in a snowy field, in winter"),
    "street": _phrases(
        "on the street, on a busy road, along the highway, in the city, down the street, on the sidewalk"
    ),
    "room": _phrases("in a room, in a cozy living room, on the floor, in the kitchen, on a wooden table"),
    "party": _phrases("at a birthday party, at a party, in a colorful room, on a stage"),
}
# Verbs as third person/gerund/plural, by kind of noun.
_VERBS: Forms = {
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
_STILL: Forms = {
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
_WHERE: Forms = {
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
_BESIDE: Forms = {
    "left": _phrases("on the left of, to the left of, on the left side of, left of"),
    "right": _phrases("on the right of, to the right of, on the right side of, right of"),
    "above": _phrases("above, over, on top of, on, high above"),
    "below": _phrases("below, under, beneath, underneath"),
}
_ADVERBS = ("slowly", "quickly", "gently", "smoothly", "gracefully", "steadily", "rapidly", "softly", "swiftly")
_ADJECTIVES = ("small", "little", "large", "big", "cute", "old", "shiny", "colorful", "happy", "lonely", "beautiful")
_NEARBY = ("nearby", "beside them", "close by", "next to them")
_TAILS = (", its {x} {x} in the {x}", ", {x} {x}", " with {x} {x}", ", leaving {x} behind", ", as the {x} {x}")


@dataclass(frozen=True)
class Words:
    """What captions are made of.

    Attributes:
        numbers: By value.
        scenery: Phrases that name a background, by key of SCENERY.
        verbs, still: Verbs of motion and of rest as third person/gerund/plural, by kind of noun.
        up, down: Verbs that alone tell the direction.
        where: Adverbials of the four directions.
        beside: Prepositions of the four sides; edition 2 also has "between" and "next to".
        adverbs, adjectives: Words without a meaning for the picture.
        nearby: Endings of a count of two nouns.
        tails: Endings of words that the model never learns.
        sizes: Words for big and small, where the thing is so.
        back: Ways to say that a mover comes back.
        enters, leaves: Verbs as third person/gerund/plural; no verb of motion is needed beside them.
        inwards, outwards: What makes a verb of motion one of entering or leaving.
        come_from, go_to: Adverbials for the direction of motion of what enters or leaves.
        groups: Ways to name a counted group; {x} is the number and the noun.
        some: Ways to name several things without a number; {x} is the plural.
        small_words: All other words that captions hold.
    """

    numbers: tuple[str, ...]
    scenery: Forms
    verbs: Forms
    still: Forms
    up: tuple[str, ...]
    down: tuple[str, ...]
    where: Forms
    beside: Forms
    adverbs: tuple[str, ...]
    adjectives: tuple[str, ...]
    nearby: tuple[str, ...]
    tails: tuple[str, ...]
    small_words: str
    sizes: Forms = field(default_factory=dict)
    back: tuple[str, ...] = ()
    enters: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    inwards: tuple[str, ...] = ()
    outwards: tuple[str, ...] = ()
    come_from: Forms = field(default_factory=dict)
    go_to: Forms = field(default_factory=dict)
    groups: tuple[str, ...] = ("{x}",)
    some: tuple[str, ...] = ("some {x}", "{x}", "many {x}")

    @property
    def replaceable(self) -> frozenset[str]:
        """Words that may be unknown without a loss: verbs that tell no direction, adverbs, empty adjectives."""
        verbs = {word for row in self.verbs.values() for forms in row for word in forms.split("/") if " " not in word}
        return frozenset(verbs | {*self.adverbs, *self.adjectives})

    def all_words(self) -> set[str]:
        """Every word but nouns and colors, in lower case."""
        texts: list[str] = [*self.numbers, *self.up, *self.down, *self.adverbs, *self.adjectives, *self.nearby]
        tables = (self.verbs, self.still, self.where, self.beside, self.scenery, self.sizes, self.come_from, self.go_to)
        texts += [text for table in tables for row in table.values() for text in row]
        texts += [*self.tails, *self.back, *self.enters, *self.leaves, *self.inwards, *self.outwards, *self.groups]
        texts += [*self.some, self.small_words]
        return {word for text in texts for word in re.findall(r"[a-z]+", text.replace("{x}", " "))}


def _more(table: Forms, **rows: str) -> Forms:
    return table | {key: (*table.get(key, ()), *_phrases(text)) for key, text in rows.items()}


FIRST = Words(
    numbers=("zero", "one", "two", "three", "four", "five", "six"),
    scenery=_SCENERY,
    verbs=_VERBS,
    still=_STILL,
    up=_UP,
    down=_DOWN,
    where=_WHERE,
    beside=_BESIDE,
    adverbs=_ADVERBS,
    adjectives=_ADJECTIVES,
    nearby=_NEARBY,
    tails=_TAILS,
    small_words="a an the and while there is are some many one in on across near",
)
"""Edition 1."""
SECOND = replace(
    FIRST,
    numbers=(*FIRST.numbers, "seven", "eight"),
    scenery=_more(
        _SCENERY,
        sky="on a sunny day, high in the air, among the clouds",
        night="on a starry night",
        sunset="at dusk",
        beach="at the beach",
        ocean="in a pond, on a river, in the water, on a lake",
        forest="among the trees",
        meadow="in a field, in a grassy field, on a farm, in the backyard, across the lawn",
        snow="on a snowy day",
        street="on the road, past tall buildings, in a parking lot",
        room="on the table, in the living room, on a shelf, in the house, on the carpet",
        party="on the dance floor",
    ),
    verbs=_more(
        _VERBS,
        walker="trots/trotting/trot, jogs/jogging/jog, wanders/wandering/wander, crawls/crawling/crawl, "
        "sprints/sprinting/sprint, goes/going/go",
        flyer="flutters/fluttering/flutter, sails/sailing/sail, goes/going/go, swoops/swooping/swoop",
        vehicle="cruises/cruising/cruise, goes/going/go, zooms/zooming/zoom",
        swimmer="paddles/paddling/paddle, goes/going/go, cruises/cruising/cruise",
        roller="tumbles/tumbling/tumble, goes/going/go, flies/flying/fly",
        thing="goes/going/go, is pushed/pushed/are pushed, flies/flying/fly",
    ),
    still=_more(
        _STILL,
        walker="is/being/are, lies/lying/lie, stays/staying/stay",
        flyer="is/being/are, stays/staying/stay",
        vehicle="is/being/are, stops/stopping/stop",
        swimmer="is/being/are, stays/staying/stay",
        roller="is/being/are, sits/sitting/sit, is placed/placed/are placed",
        thing="is/being/are, sits/sitting/sit",
    ),
    up=(*_UP, *_phrases("takes off/taking off/take off, soars up/soaring up/soar up, goes up/going up/go up")),
    down=(*_DOWN, *_phrases("comes down/coming down/come down, goes down/going down/go down, lands/landing/land")),
    where=_more(
        _WHERE,
        left="across the screen from right to left, to the left side, across to the left",
        right="across the screen from left to right, to the right side, across to the right",
        up="to the top, straight up, higher and higher",
        down="to the bottom, straight down, lower and lower",
    ),
    beside=_BESIDE
    | {
        "left": (*_BESIDE["left"], "to the left side of"),
        "right": (*_BESIDE["right"], "to the right side of"),
        "above": (*_BESIDE["above"], "atop"),
        "below": (*_BESIDE["below"], "at the bottom of"),
        "between": ("between", "in between", "in the middle of"),
        "next to": ("next to", "beside", "near", "right beside"),
    },
    adjectives=("cute", "old", "shiny", "colorful", "happy", "lonely", "beautiful", "young", "lovely", "playful"),
    nearby=(*_NEARBY, "next to it", "beside it"),
    sizes={"big": ("big", "large", "huge"), "small": ("small", "little", "tiny")},
    back=_phrases("and then back, and back, and then comes back, and back again, then back"),
    enters=_phrases("enters/entering/enter, comes in/coming in/come in, appears/appearing/appear"),
    leaves=_phrases("leaves/leaving/leave, exits/exiting/exit, disappears/disappearing/disappear"),
    inwards=_phrases("in, into the picture, into view, into the scene"),
    outwards=_phrases("out, out of the picture, out of view, away, off the screen"),
    come_from={
        "right": _phrases("from the left, from the left side"),
        "left": _phrases("from the right, from the right side"),
        "down": _phrases("from above, from the top"),
        "up": _phrases("from below, from the bottom"),
    },
    go_to={
        "left": _phrases("to the left, on the left, towards the left"),
        "right": _phrases("to the right, on the right, towards the right"),
        "up": _phrases("at the top, upward"),
        "down": _phrases("at the bottom, downward"),
    },
    groups=("{x}", "{x}", "{x}", "{x}", "the {x}", "a group of {x}"),
    some=("some {x}", "{x}", "many {x}", "a group of {x}", "several {x}"),
    small_words=FIRST.small_words + " then with together each other all its it left right side",
)
"""Edition 2: colors come from colors.COLORS."""
