"""English for the rules planner: closed word classes, and morphology where a list would never end.

The lists hold common words only. An unknown noun, adjective or verb is recognized by its place and its ending
(see mentions.py), so a list needs a word only where the ending misleads ("bus", "red", "building") or where the
meaning matters ("ascends" is upwards, "meadow" is scenery).
"""

from __future__ import annotations

from ttom.layout.english import DETERMINERS, KNOWN_NOUNS, NOUNS_IN_S, NUMBERS, QUANTIFIERS, is_same_plural, singular

PREPOSITIONS = frozenset(
    """about above across after against along alongside amid among around as at atop before behind below beneath
    beside besides between beyond by during for from in inside into near nearby next of off on onto opposite
    out outside over past per round through throughout to together toward towards under underneath until upon
    via with within without overhead away forward forwards backward backwards ahead apart""".split()
)
PLACES = frozenset(  # prepositions that say where a thing is by another thing
    """above below over under underneath beneath behind beside near past on onto atop between alongside towards
    toward""".split()
)
RELATIVES = frozenset("that which who".split())
CONJUNCTIONS = frozenset("and or but while whereas when as then where because before after if yet although".split())
OPENERS = frozenset("and or but while whereas when as with then where".split())
AUXILIARIES = frozenset("is are was were be been being has have had does do did can could will would may might".split())
PRONOUNS = frozenset(
    "how it they he she them him us we i you that which who whom whose there itself themselves".split()
)
DIRECTIONS = frozenset(
    """left right up down leftward leftwards rightward rightwards upward upwards downward downwards skyward skywards
    aloft""".split()
)
WARDS = frozenset(word for word in DIRECTIONS if "ward" in word)  # "a leftwards moving car"
ADVERBS = frozenset(
    """very quite too so almost just not also still back fast high low hard together apart slow straight far close
    again once twice soon now here""".split()
)
LY_NOT_ADVERBS = frozenset(  # words of five letters or more, for `is_adverb` takes no shorter one
    """butterfly firefly dragonfly housefly gadfly mayfly family belly jelly bully assembly monopoly elderly lovely
    friendly curly woolly silly early lonely lively deadly jolly prickly wrinkly wobbly smelly cuddly bubbly sparkly
    holly trolly doily burly surly cowardly ghostly princely stately leisurely""".split()
)

FRAME_WORDS = frozenset("screen frame picture image scene view shot video camera canvas".split())
MEDIA_WORDS = frozenset(
    "video photo shot view scene picture image close-up closeup animation footage clip timelapse".split()
)
SIDE_WORDS = frozenset("left right top bottom side edge end corner center centre middle front back half".split())
SCENERY = frozenset(
    """sky skies air mid-air midair heaven horizon space void galaxy cosmos universe sea ocean lake river pond stream
    water waters waterfall harbor harbour bay lagoon creek canal swamp pool beach shore coast sand desert dune
    forest wood woods jungle rainforest savanna savannah park garden yard backyard field meadow pasture
    prairie farm orchard vineyard valley canyon cliff hill hillside slope mountain mountains landscape
    countryside island moon mars planet earth ground land grass lawn floor ceiling pavement sidewalk street road
    roadway path trail highway freeway lane track racetrack avenue alley intersection crosswalk runway
    corridor hallway city town village square plaza downtown skyline cityscape neighborhood suburb market room
    kitchen bedroom bathroom office factory classroom lab laboratory library museum gallery gym stadium arena
    court lobby hall warehouse garage studio shop cafe restaurant airport station playground party festival
    concert parade snow snowfield rain rainstorm storm wind breeze gust sunlight sunshine sunset sunrise
    moonlight starlight light darkness night day morning afternoon evening noon summer winter autumn spring
    background foreground distance scenery backdrop world place surface carpet rug countertop counter cloud
    clouds crowd hour time stage ice""".split()
)
ABSTRACT = frozenset(  # what no box can hold: "leaving a scent", "at a slow pace"
    """scent smell aroma sound noise music song melody rhythm pace speed motion movement direction way manner style
    mood atmosphere feeling glow gleam shine reflection reflections shadow shadows ripple ripples trail trails
    pattern patterns color colour colors colours shape detail details meal lunch dinner breakfast moment while bit
    lot kind sort type row line circle pair force gravity speed height end beginning life love joy peace silence
    power energy gaze touch help turn ride walk run jump flight dance game race photoshoot session concert
    soil dirt dust mud smoke steam fog mist gust blow burst flurry spin view perspective angle""".split()
)

# Heads that a verb-like ending would hide.
ING_NOUNS = frozenset(
    """building ring king wing string swing spring thing sling earring pudding ceiling painting duckling gosling
    sapling seedling sibling clothing wedding viking dumpling inkling starling railing carving drawing darling
    offspring evening morning awning bowling""".split()
)
ED_NOUNS = frozenset(
    "bed shed sled bobsled seed reed weed speed steed breed feed moped biped quadruped red deed".split()
)
COMPOUNDS = frozenset(
    """teddy bear|soccer ball|tennis ball|hot air balloon|robot vacuum|robot vacuum cleaner|paper airplane|paper plane
    |toy car|traffic light|fire truck|fire engine|polar bear|ice cream|ice cream cone|fire hydrant|vending machine
    |beach ball|golf ball|bowling ball|rubber duck|rocking chair|building block|alarm clock|street light|water bottle
    |sea turtle|guinea pig|christmas tree|sewing machine|washing machine|shopping cart|rocking horse|sleeping bag
    |baseball bat|bowling pin|frying pan|flying saucer|remote control|coffee cup|tea cup|wine glass
    |potted plant|stop sign|parking meter|race car|sports car|school bus|cable car|space shuttle|golf cart|jet ski
    |hang glider|fishing boat|sailing boat|speed boat|cruise ship|koala bear|bald eagle|ladder truck|stuffed animal
    |stuffed bear|dining table|picnic table|coffee table|solar panel|grand piano|flying fish|flying squirrel
    |hermit crab|shooting star|falling star|weather balloon|maple leaf|cherry blossom|palm tree|apple tree
    """.replace("\n", "").replace("    ", "").split("|")
)  # fmt: skip
ADJECTIVES = frozenset(
    """red blue green yellow orange purple pink brown black white gray grey gold silver golden wooden big small large
    tiny huge giant little tall short long old young new ancient modern hot cold warm cool bright dark light
    strong weak fresh clean soft smooth round square flat wild brave calm quiet loud fast slow quick rapid
    swift gentle sleek fat thin thick slim fine plain rare cute sweet smart proud kind vintage antique
    electric robotic metallic plastic historic majestic classic romantic magic exotic rustic single lone stray
    striped spotted colorful colourful elderly lovely friendly lively lonely delicate elegant brilliant
    vibrant giant pleasant miniature mini grand noble deep high low open empty full whole real tame rough
    sharp steep narrow wide broad heavy clear crisp ripe raw bare blind deaf lazy busy crowded transparent
    translucent luxury luxurious rubber metal ceramic crystal""".split()
)
ADJECTIVE_ENDINGS = ("ful", "ous", "less", "ish", "able", "ible", "ern")
NOUNS_WITH_ADJECTIVE_ENDINGS = frozenset("radish dish vegetable table cable".split())

UP_VERBS = frozenset("rise ascend climb lift hoist raise levitate launch".split())
DOWN_VERBS = frozenset("fall drop descend sink plunge plummet tumble lower dive".split())
MOTION_VERBS = frozenset(
    """move go run walk roll slide fly float drift glide sail drive ride speed race dash dart sprint hop jump leap
    march stride trot gallop crawl creep slither sneak slink scurry scamper scuttle waddle swim paddle row
    pedal cycle cruise travel head veer turn swerve swoop soar zoom whiz whizz rush hurry stroll wander hover
    flutter bounce skid skate ski surf dance twirl spin roar accelerate push pull drag carry tow throw toss
    kick hit hurl fling launch shoot blow sweep shift pass cross charge bolt flee chase follow stagger shuffle
    tiptoe prance canter jog hike trek steer tilt lean swing pour rocket coast meander plod lumber trudge
    amble saunter stomp skip bound flap streak flow leave proceed advance navigate maneuver migrate scoot
    wheel barrel circle swirl whirl""".split()
)
FLYING = frozenset("fly flutter hover soar swoop".split())  # of these verbs, those that put a thing in the air
CAUSE_VERBS = frozenset(
    """lift raise hoist lower drop throw toss kick hit hurl fling launch push pull drag carry tow roll slide blow
    shoot move drive fly sweep send bounce swing knock""".split()
)
OTHER_VERBS = frozenset(
    """sit stand lie lay lean rest sleep nap doze lounge wait stay remain hang perch hide play eat drink graze munch
    chew nibble sniff bark sing dance read write paint draw cook work build dig plow plough jump shine glow
    gleam glisten sparkle twinkle shimmer burn grow bloom open close gather huddle cluster watch look
    stare gaze see smile laugh cry talk chat speak explain teach listen hold wear pose appear disappear land
    settle splash spray bask balance place put set park display suspend stack scatter line decorate cover fill
    surround face point wave trail leave make take give get let keep hum buzz chirp feed bathe yawn stretch
    wag nod snow rain share roast fish row pile arrange spread curl peek peer explore search enjoy wash clean
    brush tick ring beat tap juggle sway vibrate squeal screech flicker sprout hatch rotate spin tower
    loom sprawl squat kneel crouch bow cuddle hug kiss fight wrestle bite catch grab pick plant water pet stop
    start begin try come meet become turn look whistle blink yell shout sizzle steam melt freeze ripple
    drip bob sputter tremble shake""".split()
)
MOVING = UP_VERBS | DOWN_VERBS | MOTION_VERBS | CAUSE_VERBS
VERBS = MOVING | OTHER_VERBS
IRREGULAR_FORMS = {
    form: base
    for base, forms in {
        "rise": "rose risen", "fall": "fell fallen", "sink": "sank sunk", "dive": "dove", "run": "ran",
        "go": "went gone",
        "fly": "flew flown", "drive": "drove driven", "ride": "rode ridden", "swim": "swam swum",
        "throw": "threw thrown",
        "blow": "blew blown", "sweep": "swept", "slide": "slid", "swing": "swung", "fling": "flung", "shoot": "shot",
        "send": "sent", "hang": "hung", "sit": "sat", "stand": "stood", "lie": "lain", "hide": "hidden hid",
        "string": "strung", "stick": "stuck", "hold": "held", "make": "made", "see": "seen saw", "take": "took taken",
        "build": "built", "catch": "caught", "spin": "spun", "flee": "fled", "tie": "tied", "set": "set", "put": "put",
        "draw": "drew drawn", "lead": "led", "leap": "leapt", "creep": "crept", "speed": "sped", "come": "came come",
        "break": "broke broken", "write": "wrote written", "sleep": "slept", "shine": "shone", "sing": "sang sung",
    }.items()
    for form in forms.split()
}  # fmt: skip


def verb_base(word: str) -> str | None:
    """The base form if the word is a form of a listed verb ("dashes" -> "dash", "rolled" -> "roll"), else None."""
    return _FORMS.get(word)


def is_still(word: str) -> bool:
    """Whether the word is a listed verb that moves nothing ("sits", "shines")."""
    base = verb_base(word)
    return base is not None and base not in MOVING


def _forms() -> dict[str, str]:
    forms = {form: base for form, base in IRREGULAR_FORMS.items()}
    for base in sorted(VERBS):
        stem = base[:-1] if base.endswith("e") and not base.endswith("ee") else base
        third = base[:-1] + "ies" if base.endswith("y") and base[-2] not in "aeou" else base + "s"
        if base.endswith(("ch", "sh", "x", "ss", "zz", "o")):
            third = base + "es"
        past = base[:-1] + "ied" if base.endswith("y") and base[-2] not in "aeou" else stem + "ed"
        doubled = base + base[-1]
        lying = base[:-2] + "ying" if base.endswith("ie") else stem + "ing"
        for form in (base, third, past, stem + "ing", lying, doubled + "ing", doubled + "ed"):
            forms.setdefault(form, base)
    return forms


_FORMS = _forms()


def is_adverb(word: str) -> bool:
    return word in ADVERBS or (word.endswith("ly") and word not in LY_NOT_ADVERBS and len(word) > 4)


def is_participle(word: str) -> bool:
    """Whether the word ends like a participle ("slinking", "parked", "strung") and is not a noun with that ending."""
    if word.endswith("ing"):
        return word not in ING_NOUNS and len(word) > 4
    if word.endswith("ed"):
        return word not in ED_NOUNS and len(word) > 3
    return word in IRREGULAR_FORMS and word not in ("saw", "dove", "rose", "shot")


def is_adjective(word: str) -> bool:
    if word in ADJECTIVES or word[:1].isdigit():  # "3D", "5-year-old"
        return True
    noun = word in KNOWN_NOUNS or word in NOUNS_WITH_ADJECTIVE_ENDINGS or is_same_plural(word)  # "catfish"
    return word.endswith(ADJECTIVE_ENDINGS) and not noun


def is_content(word: str) -> bool:
    """Whether the word can be part of a noun phrase or be a verb: none of the closed classes."""
    closed = (DETERMINERS, PREPOSITIONS, CONJUNCTIONS, AUXILIARIES, PRONOUNS, DIRECTIONS, NUMBERS, QUANTIFIERS)
    return word[-1:].isalpha() and not any(word in group for group in closed) and not is_adverb(word)


_LISTED = KNOWN_NOUNS | SCENERY | SIDE_WORDS | FRAME_WORDS | ADJECTIVES | ADVERBS


def is_known(word: str) -> bool:
    """Whether the word is on any list of this file: a prompt without such words is hardly English."""
    return not is_content(word) or singular(word) in _LISTED or verb_base(word) is not None or word in NOUNS_IN_S
