"""What a layout leaves out of its prompt, so that nothing is dropped silently.

Of a thing that stays in place, a listed verb that moves nothing and has no object or particle is not named: no list
tells "sits", which a still box shows, from "barks". Only "sets" and "stops" are, as they are motion.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from ttom.errors import cut_short
from ttom.layout import english
from ttom.layout.rules import words
from ttom.layout.rules.cues import find_particles, is_predicate, verb_step
from ttom.layout.rules.mentions import Mention
from ttom.layout.rules.motion import Motion
from ttom.layout.rules.reading import Reading

_LONGEST_QUOTE = 80
_ENDINGS = ("sets", "setting", "stops")  # of verbs on the list of those that move nothing, what ends a motion


def things_left_out(reading: Reading, shown: Sequence[Mention]) -> list[str]:
    """Each thing without a box, except scenery, backgrounds and things that no box can hold ("a scent")."""
    phrases = [*(mention.phrase for mention in _things(reading, shown)), *_bare_things(reading)]
    return [f"{phrase} (no box, left to the video model)" for phrase in dict.fromkeys(phrases)]


def _things(reading: Reading, shown: Sequence[Mention]) -> Iterator[Mention]:
    named = {reading.first_of(mention).noun for mention in shown if mention.kind != "number"}
    firsts = {mention.first for mention in shown}
    for mention in reading.mentions:
        first = reading.first_of(mention)
        has_box = any(index in firsts for index in range(first.first, first.end)) or first.first in firsts
        again = mention.kind == "definite" and mention.noun in named
        if not (has_box or again) and _is_thing(reading, mention) and not _is_background(reading, mention.end):
            yield mention


def words_left_out(reading: Reading, motion: Motion, shown: Sequence[Mention]) -> list[str]:
    """Motion that gives no direction, other verbs with a particle or with an object that nothing else names, what is
    said to be absent, and words that the planner does not know, quoted.
    """
    particles = find_particles(reading, motion.cues)
    moves = _unplanned_motion(reading, motion, shown, particles) | _further_verbs(reading, motion, shown, particles)
    actions = {index: end for index, end in _actions(reading, shown, particles).items() if index not in moves}
    acted = [f'"{_quoted(reading, index, end)}" (left to the video model)' for index, end in sorted(actions.items())]
    absent = [f'"{_denied(reading, mention)}" (left to the video model)' for mention in reading.absent]
    read = _read_verbs(reading, motion)
    unread = [f'"{cut_short(text, _LONGEST_QUOTE)}" (not understood)' for text in _unread(reading, particles, read)]
    return list(dict.fromkeys([*moves.values(), *acted, *absent, *unread]))


def _is_thing(reading: Reading, mention: Mention) -> bool:
    apart = reading.word(mention.first - 1) not in ".,;:!?"
    if mention.kind == "possessive" and not (apart or mention.is_known):  # "a car drives, its wheels spinning"
        return False
    side = mention.head in ("upper", "lower")  # "to the upper left"
    return not (mention.is_frame or mention.is_scenery or side or mention.head in words.ABSTRACT)


def _is_background(reading: Reading, end: int) -> bool:
    """'with a tree in the background'."""
    following = [reading.word(index) for index in range(end, end + 3)]
    return following[0] in ("in", "at") and bool({"background", "distance"} & set(following))


def _bare_things(reading: Reading) -> list[str]:
    """Known nouns outside all phrases: "a man with dogs"."""
    found = []
    for index, token in enumerate(reading.tokens):
        known = english.singular(token.text) in english.KNOWN_NOUNS and token.text not in words.ADJECTIVES
        known = known and words.verb_base(token.text) is None
        after = reading.word(index + 1)
        modifies = words.is_content(after) and words.verb_base(after) is None and not words.is_participle(after)
        if known and not (modifies or reading.in_mention(index) or _is_background(reading, index + 1)):
            found.append(token.text)
    return found


def _unplanned_motion(
    reading: Reading, motion: Motion, shown: Sequence[Mention], particles: Mapping[int, int]
) -> dict[int, str]:
    """Verbs of motion whose subject stays in place because the prompt gives no direction: "circles around a tree"."""
    found: dict[int, str] = {}
    moving = {mover.mention for mover in motion.movers}
    still = set(shown) - moving
    for index in range(len(reading.tokens)):
        if not _is_motion(reading, index, particles) or reading.in_mention(index) or _is_noun(reading, index):
            continue
        if reading.denied_before(index):
            continue
        subject, thing = reading.subject_before(index), reading.mention_from(index + 1)
        who = reading.first_of(subject) if subject is not None and subject.end <= index else None
        moves_thing = thing is not None and reading.first_of(thing) in moving  # "throws a ball upward"
        if who in still and not moves_thing and not words.is_adjective(reading.word(index + 1)):
            assert who is not None
            way = _with_way(reading, index, particles)
            found[index] = f'"{way}" of {who.phrase}, which gives no direction'
    return found


def _further_verbs(
    reading: Reading, motion: Motion, shown: Sequence[Mention], particles: Mapping[int, int]
) -> dict[int, str]:
    """Finite verbs of movers beside those that their paths come from: "falls and bounces", "runs left and sits"."""
    found: dict[int, str] = {}
    moving = {mover.mention for mover in motion.movers}
    used, named = _verbs_of_cues(reading, motion), set(_things(reading, shown))
    for index, token in enumerate(reading.tokens):
        base, subject = words.verb_base(token.text), reading.subject_before(index)
        listed = base is not None and index not in used and not (reading.in_mention(index) or _is_noun(reading, index))
        if not listed or subject is None or subject.end > index or reading.denied_before(index):
            continue
        who, thing = reading.first_of(subject), reading.mention_from(reading.skip_adverbs(index + 1))
        has_object = thing is not None and (thing in named or reading.first_of(thing) in moving)
        joined = reading.word(reading.before_adverbs(index)) in ("and", "then", "but")
        beside = words.is_participle(token.text) and token.text not in _ENDINGS
        beside = beside or words.is_participle(reading.word(index + 1))  # "wheels spinning"
        if who not in moving or has_object or (beside and not joined):
            continue
        if _is_motion(reading, index, particles):
            found[index] = f'"{_with_way(reading, index, particles)}" of {who.phrase}, which gives no direction'
        elif joined and thing is None and index not in particles:
            found[index] = f'"{token.text}" of {who.phrase} (left to the video model)'
    return found


def _is_motion(reading: Reading, index: int, particles: Mapping[int, int]) -> bool:
    """Whether the word is a listed verb of motion. So are "sets" and "stops" without an object or a particle."""
    if reading.word(index) not in _ENDINGS:
        return words.verb_base(reading.word(index)) in words.MOVING
    thing = reading.mention_from(reading.skip_adverbs(index + 1))
    return thing is None and index not in particles and not words.is_content(reading.word(index + 1))


def _verbs_of_cues(reading: Reading, motion: Motion) -> set[int]:
    """Indices of the verbs that directions belong to: each "runs" of "runs left", "leaps and runs left" and "to the
    left runs a cat".
    """
    used: set[int] = set()
    for cue in motion.cues:
        used.update(range(cue.token, cue.end))
        verb = reading.verb_before(cue.token)
        if cue.strength == 0:
            continue
        if verb is None or (cue.token == 0 or reading.word(cue.token - 1) in ".,;"):  # the direction comes first
            later = range(cue.end, len(reading.tokens))
            verb = next((i for i in later if not reading.in_mention(i) and words.verb_base(reading.word(i))), None)
        while verb is not None:
            used.add(verb)
            before = reading.before_adverbs(verb)
            joined = cue.strength == 2 and reading.word(before) == "and" and words.is_content(reading.word(before - 1))
            verb = before - 1 if joined and not reading.in_mention(before - 1) else None
    return used


def _read_verbs(reading: Reading, motion: Motion) -> set[int]:
    """Indices of the verbs that a direction says all of: each listed one, and any of "approaches from the left". An
    unlisted one may say more: "zigzags to the right".
    """
    read = {index for index in _verbs_of_cues(reading, motion) if words.verb_base(reading.word(index)) is not None}
    for cue in motion.cues:
        spoken = cue.text.split()
        verb = reading.verb_before(cue.token)
        if verb is not None and spoken[0] == "from" and not {"to", "toward", "towards"} & set(spoken):
            read.add(verb)
    return read


def _denied(reading: Reading, mention: Mention) -> str:
    """What is absent with the verb after it: "without a hat", "no cats follow"."""
    verb = reading.skip_adverbs(mention.end)
    denied = reading.denied_before(verb) is not None and words.verb_base(reading.word(verb)) is not None
    return _quoted(reading, mention.first, verb + 1 if denied else mention.end)


def _actions(reading: Reading, shown: Sequence[Mention], particles: Mapping[int, int]) -> dict[int, int]:
    """The index after its last word for each verb with a particle ("burning down"), and for each that moves nothing
    and whose object is not named as a thing without a box ("enjoying a quiet afternoon").
    """
    found: dict[int, int] = {}
    named = set(_things(reading, shown))
    for index, token in enumerate(reading.tokens):
        if index in particles:
            if not (_is_unread(reading, index) and particles[index] == index + 1):  # else the words not understood
                found[index] = particles[index] + 1
        elif words.is_still(token.text) and not (reading.in_mention(index) or _is_noun(reading, index)):
            thing = reading.mention_from(reading.skip_adverbs(index + 1))
            if thing is not None and thing not in named:
                found[index] = thing.end
    return found


def _is_noun(reading: Reading, index: int) -> bool:
    """Whether the word looks like a listed verb, but is none here: "red rose", "falls asleep", "waters plants"."""
    word, before = reading.word(index), reading.word(index - 1)
    if verb_step(reading.tokens[index]) is not None:
        return not is_predicate(reading, index)
    listed = words.verb_base(word) is not None and not words.is_participle(word)
    after_verb = words.is_content(before) and not reading.in_mention(index - 1) and not words.is_adjective(before)
    return listed and after_verb


def _with_way(reading: Reading, index: int, particles: Mapping[int, int]) -> str:
    """The verb with its particle and the place after it: "circles around a tree", "walks up to a door"."""
    end = particles.get(index, index) + 1
    while reading.word(end) in words.PREPOSITIONS or words.is_adverb(reading.word(end)):
        end += 1
    thing = reading.mention_from(end)
    return _quoted(reading, index, thing.end if thing is not None else end)


def _quoted(reading: Reading, first: int, end: int) -> str:
    return cut_short(reading.text[reading.tokens[first].start : reading.tokens[end - 1].end], _LONGEST_QUOTE)


def _unread(reading: Reading, particles: Mapping[int, int], read: Collection[int]) -> Iterator[str]:
    """Runs of words that are on no list and in no phrase, with the particles of verbs among them."""
    run: list[int] = []
    for index in range(len(reading.tokens) + 1):
        particle = bool(run) and particles.get(index - 1) == index
        unread = index < len(reading.tokens) and index not in read and _is_unread(reading, index)
        if particle or unread:
            run.append(index)
        elif run:
            yield reading.text[reading.tokens[run[0]].start : reading.tokens[run[-1]].end]
            run = []


def _is_unread(reading: Reading, index: int) -> bool:
    word = reading.word(index)
    listed = words.is_known(word) or words.is_adjective(word) or english.singular(word) in words.ABSTRACT
    listed = (listed and not _is_noun(reading, index)) or word in words.MEDIA_WORDS or word in english.QUANTIFIERS
    listed = listed or (word == "other" and reading.word(index - 1) == "each")
    return word[-1].isalpha() and not (listed or reading.in_mention(index))
