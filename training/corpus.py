"""Seeded text generator: short stories, word problems and word puzzles.

Every document is drawn from one small grammar.  A document carries a key (for
instance name, object and numbers); a checksum of the key, not chance, decides
which split it belongs to, so held-out combinations can never occur in training.
"""

import random
import zlib
from dataclasses import dataclass

import words as w

KINDS = ("story", "sums", "puzzle")
MEAN_LENGTH = {"story": 450, "sums": 128, "puzzle": 102}  # characters per document


@dataclass(frozen=True)
class Document:
    """One text of the corpus, with a prompt and the exact answer that must follow it.

    Args:
        kind: "story", "sums" or "puzzle".
        text: the whole text; it starts with `prompt` + `answer`.
        prompt: the part that a model is given in the accuracy check.
        answer: the text that has to follow the prompt, leading space included.
        split: "train", "heldout" (reserved combination of known parts) or "unseen"
            (only sums: the pair of numbers itself never occurs in training).
    """

    kind: str
    text: str
    prompt: str
    answer: str
    split: str


def _reserved(*key):
    """Say whether a combination belongs to the held-out twentieth (a bool)."""
    return zlib.crc32("|".join(map(str, key)).encode()) % 20 == 0


def _pair_reserved(sign, a, b):
    """Say whether this pair of numbers is kept out of training altogether (a bool)."""
    if sign in "+*":  # order must not matter, or a + b would give away b + a
        a, b = min(a, b), max(a, b)
    return zlib.crc32(f"pair|{sign}|{a}|{b}".encode()) % 14 == 0


def _an(word):
    """Return the word with its indefinite article."""
    return ("an " if word[0] in "aeiou" else "a ") + word


def _plural(count, forms):
    """Return "1 apple" or "3 apples" for a count and (singular, plural)."""
    return f"{count} {forms[0] if count == 1 else forms[1]}"


# --- stories -----------------------------------------------------------------

OPENINGS = [
    "Once upon a time there was {a_trait} {being} named {n}. {He} lived {near}.",
    "Once upon a time there was {a_trait} {being} named {n} who loved to {hobby}.",
    "Once upon a time, {a_trait} {being} named {n} lived {near}.",
    "Long ago, in a house {near}, there lived {a_trait} {being} named {n}.",
    "{n} was {a_trait} {being} who loved to {hobby}. {He} lived {near}.",
    "One {weather} {time}, {a_trait} {being} named {n} woke up early.",
    "There once was {a_trait} {being}. {His} name was {n}, and {he} liked to {hobby}.",
]
OWNING = [
    "{He} had {a_adj} {o} and loved it very much.",
    "{n} had {a_adj} {o} that {he} took everywhere.",
    "The thing {he} loved most was {a_adj} {o}.",
    "On {his} birthday, {n} got {a_adj} {o} from {his} grandmother.",
]
# Each plot is a list of beats, each beat a list of wordings.
PLOTS = [
    [  # something is lost and found
        OWNING,
        ["One day {n} went to {place}, and the {adj} {o} was gone.",
         "But one {weather} {time}, {he} could not find it.",
         "Then {n} fell asleep {at}, and the {adj} {o} rolled away."],
        ["{He} looked under the {thing} and behind the {thing2}, but it was not there.",
         "{n} looked behind the {thing}, but there was only {a_trait2} {animal}.",
         "{He} asked {a_trait2} {animal}, but the {animal} hadn't seen it."],
        ["{n} felt {sad} and sat down by the {thing}.",
         "\"Oh no!\" said {n}. {He} was very {sad}."],
        ["Then {a_trait3} {being2} named {f} came by. \"Why are you so {sad}?\" asked {f}.",
         "{f} the {being2} heard {him} and said, \"Don't be {sad}. I'll help you!\""],
        ["\"I lost my {adj} {o},\" said {n}. They looked together, and {f} found it near the {thing2}.",
         "Together they went to {place2}, and there, next to the {thing2}, was the {adj} {o}!"],
        ["{n} was so {glad}. From that day on, {n} and {f} took care of the {adj} {o} together.",
         "\"Thank you, {f}!\" said {n}. {He} never lost the {adj} {o} again.",
         "{n} hugged {f} and held the {adj} {o} all the way home."],
    ],
    [  # something is found and given back
        ["One {weather} {time}, {he} went to {place} and saw {a_adj} {o} under the {thing}.",
         "While {he} was walking {at}, {he} found {a_adj} {o} behind the {thing}."],
        ["\"Whose {o} is this?\" asked {n}.", "{n} wanted to keep it, but it wasn't {his}."],
        ["{He} asked {a_trait2} {animal}. \"It isn't mine,\" said the {animal}.",
         "Just then {he} heard someone cry near the {thing2}."],
        ["It was {f}, {a_trait3} {being2}. \"I lost my {adj} {o},\" said {f}. \"I am so {sad}.\"",
         "{f} the {being2} was {sad}. \"Have you seen my {adj} {o}?\" asked {f}."],
        ["\"Here it is!\" said {n} with a smile.", "{n} smiled and gave it back."],
        ["{f} was {glad} and shared some {food} with {n}. Then they played with the {adj} {o} until dark.",
         "{f} felt {glad}. \"You are a true friend,\" said {f}, and they took the {adj} {o} home.",
         "After that, {n} and {f} met every {time} and played with the {adj} {o}."],
    ],
    [  # something is stuck
        OWNING,
        ["One {weather} {time}, the {adj} {o} got stuck high up {at}.",
         "But the wind took the {adj} {o}, and it landed on top of the {thing}."],
        ["{n} jumped and jumped, but {he} couldn't reach it.",
         "{He} tried with a long stick, but it did not move."],
        ["\"I am too small,\" said {n}, and {he} felt {sad}.",
         "{n} was {sad} and didn't know what to do."],
        ["{A_trait2} {animal} said, \"Stand on my back!\"",
         "Then {f} the {being2} came and said, \"Let's try together!\""],
        ["They pushed and pulled, and at last it came down.",
         "One, two, three! They reached up, and it was free."],
        ["Everyone was {glad}, and {n} let them all play with the {adj} {o}.",
         "{n} laughed and danced {at} with the {adj} {o}."],
    ],
    [  # something is broken and mended
        OWNING,
        ["But one {weather} {time}, {he} fell over the {thing}, and the {adj} {o} broke.",
         "One day {n} and {f} ran too fast {at}, and the {adj} {o} broke in two."],
        ["\"I'm sorry,\" said {f}. \"I didn't want that to happen.\"",
         "{n} was {sad} all day long."],
        ["{f} the {being2} had an idea. \"We can mend it,\" said {f}.",
         "So {n} went to see {f}, {a_trait3} {being2} who could mend anything."],
        ["They worked {at} all {time} and ate {food}.",
         "They used some string, a little glue and a lot of care."],
        ["When the sun went down, the {adj} {o} was as good as before. {n} felt {glad}.",
         "In the end it didn't look perfect, but {n} was {glad} and loved the {adj} {o} even more."],
    ],
    [  # sharing
        ["{He} wanted {a_adj} {o} more than anything, but {he} had no money.",
         "{n} saw {a_adj} {o} at the market, but it cost too much."],
        ["So {he} made {food} every {time} and sold everything {at}.",
         "So {he} helped {a_trait2} {animal} {at} every {time}."],
        ["At last {n} could buy the {adj} {o}.",
         "After many days, {he} had enough, and {he} got the {adj} {o}."],
        ["On the way home {he} met {f}, {a_trait3} {being2} who looked {sad}.",
         "Then {he} saw {f} the {being2}, who sat alone under the {thing}."],
        ["\"What is wrong?\" asked {n}. \"I have nobody to play with,\" said {f}.",
         "\"I'm {sad},\" said {f}. \"Nobody plays with me.\""],
        ["\"Play with me!\" said {n}, and they shared the {adj} {o} all {time}. They were both {glad}.",
         "{n} thought for a while and then shared the {adj} {o}. {f} was {glad}, and so was {n}."],
    ],
    [  # a gift
        ["{n} had a friend, {a_trait3} {being2} named {f}, who was {sad}.",
         "{His} best friend was {f}, {a_trait3} {being2}. But {f} had to stay in bed and felt {sad}."],
        ["\"I'll make {f} {a_adj} {o},\" said {n}.", "{He} wanted to give {f} {a_adj} {o}."],
        ["All {time} {he} worked {at}, next to the {thing}.",
         "{A_trait2} {animal} brought what {he} needed from {place2}."],
        ["It was a {weather} {time} when the {adj} {o} was ready.", "Soon the {adj} {o} was done."],
        ["\"This is for you,\" said {n}. \"For me?\" asked {f}.",
         "{n} knocked on the door and said, \"Surprise!\""],
        ["{f} was so {glad}! They ate {food} and looked at the {adj} {o}.",
         "{f} smiled for the first time that day and put the {adj} {o} next to the bed."],
    ],
]


def _person(rng, taken=()):
    """Draw a character; returns (name, being, pronouns)."""
    while True:
        roll = rng.random()
        if roll < 0.4:
            person = rng.choice(w.GIRLS), "girl", ("she", "her", "her")
        elif roll < 0.8:
            person = rng.choice(w.BOYS), "boy", ("he", "him", "his")
        else:
            person = (rng.choice(w.ANIMAL_NAMES), rng.choice(w.ANIMALS),
                      rng.choice([("she", "her", "her"), ("he", "him", "his")]))
        if person[0] not in taken:
            return person


def _story(rng):
    """Draw one short story; returns a Document."""
    name, being, (he, him, his) = _person(rng)
    friend, being2, _ = _person(rng, taken=(name,))
    place, place2 = rng.sample(w.PLACES, 2)
    thing, thing2 = rng.sample(w.THINGS, 2)
    traits = rng.sample(w.TRAITS, 3)
    adjective, item = rng.choice(w.ADJECTIVES), rng.choice(w.OBJECTS)
    slots = {
        "n": name, "being": being, "he": he, "him": him, "his": his,
        "He": he.capitalize(), "His": his.capitalize(), "f": friend, "being2": being2,
        "a_trait": _an(traits[0]), "a_trait2": _an(traits[1]), "a_trait3": _an(traits[2]),
        "A_trait2": _an(traits[1]).capitalize(),
        "animal": rng.choice([a for a in w.ANIMALS if a not in (being, being2)]),
        "adj": adjective, "a_adj": _an(adjective), "o": item,
        "near": rng.choice(["near ", "not far from "]) + rng.choice(w.PLACES)[1],
        "at": " ".join(place), "place": place[1], "place2": place2[1],
        "thing": thing, "thing2": thing2, "food": rng.choice(w.FOODS),
        "sad": rng.choice(w.SAD), "glad": rng.choice(w.GLAD), "hobby": rng.choice(w.HOBBIES),
        "weather": rng.choice(w.WEATHER), "time": rng.choice(w.TIMES),
    }
    beats = [OPENINGS, *rng.choice(PLOTS)]
    gap = "\n" if rng.random() < 0.2 else " "
    text = gap.join(rng.choice(beat).format(**slots) for beat in beats)
    # The last mention of the object: the adjective tells which word must follow.
    cue = f"the {adjective} {item}"
    cut = text.rindex(cue) + len(cue) - len(item) - 1
    held = _reserved("story", name, adjective, item)
    return Document("story", text, text[:cut], " " + item, "heldout" if held else "train")


# --- word problems -----------------------------------------------------------

def _sum_gain(rng, name, he, things):
    """Addition: somebody gets more."""
    a, b = rng.randint(1, 20), rng.randint(1, 20)
    verb = rng.choice(["buys", "finds", "gets", "picks"])
    where = rng.choice(["", "", " " + " ".join(rng.choice(w.PLACES))])
    return (f"{name} has {_plural(a, things)}. {he.capitalize()} {verb} {b} more{where}. "
            f"How many {things[1]} does {name} have?",
            [("+", a, b)], f"{name} has {_plural(a + b, things)}.")


def _sum_lose(rng, name, he, things):
    """Subtraction: somebody gives some away."""
    a = rng.randint(2, 30)
    b = rng.randint(1, a - 1)
    other = rng.choice(w.GIRLS + w.BOYS)
    verb = rng.choice(["loses {}", "sells {}", "gives {} to " + other, "gives away {}"])
    return (f"{name} has {_plural(a, things)}. {he.capitalize()} {verb.format(b)}. "
            f"How many {things[1]} {rng.choice(['are left', f'does {name} have now'])}?",
            [("-", a, b)], f"{name} has {_plural(a - b, things)}.")


def _sum_both(rng, name, he, things):
    """Addition: two people together."""
    a, b = rng.randint(1, 20), rng.randint(1, 20)
    other = rng.choice([x for x in w.GIRLS + w.BOYS if x != name])
    return (f"{name} has {_plural(a, things)} and {other} has {_plural(b, things)}. "
            f"How many {things[1]} do they have together?",
            [("+", a, b)], f"Together they have {_plural(a + b, things)}.")


def _sum_more(rng, name, he, things):
    """Subtraction: who has more, and by how many."""
    a = rng.randint(2, 30)
    b = rng.randint(1, a - 1)
    other = rng.choice([x for x in w.GIRLS + w.BOYS if x != name])
    return (f"{name} has {_plural(a, things)}. {other} has {_plural(b, things)}. "
            f"How many more {things[1]} does {name} have?",
            [("-", a, b)], f"{name} has {a - b} more.")


def _sum_times(rng, name, he, things):
    """Multiplication: equal groups."""
    a, b = rng.randint(2, 9), rng.randint(2, 9)
    holder = rng.choice(w.HOLDERS)
    return (f"{name} has {a} {holder[1]}. There are {b} {things[1]} in each {holder[0]}. "
            f"How many {things[1]} are there?",
            [("*", a, b)], f"There are {a * b} {things[1]}.")


def _sum_two(rng, name, he, things):
    """Two steps: first more, then fewer."""
    a, b = rng.randint(2, 12), rng.randint(2, 12)
    c = rng.randint(1, a + b - 1)
    return (f"{name} has {_plural(a, things)}. {he.capitalize()} finds {b} more and then "
            f"{rng.choice(['loses', 'sells', 'gives away'])} {c}. "
            f"How many {things[1]} are left?",
            [("+", a, b), ("-", a + b, c)], f"{name} has {_plural(a + b - c, things)}.")


SUMS = (_sum_gain, _sum_lose, _sum_both, _sum_more, _sum_times, _sum_two)
RESULT = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}


def _sums(rng):
    """Draw one arithmetic word problem with its worked answer; returns a Document."""
    girl = rng.random() < 0.5
    name, he = (rng.choice(w.GIRLS), "she") if girl else (rng.choice(w.BOYS), "he")
    things = rng.choice(w.COUNTED)
    question, steps, closing = rng.choice(SUMS)(rng, name, he, things)
    work = "".join(f" {a} {sign} {b} = {RESULT[sign](a, b)}." for sign, a, b in steps)
    gap = "\n" if rng.random() < 0.25 else " "
    prompt = f"Question: {question}{gap}Answer:"
    if any(_pair_reserved(*step) for step in steps):
        split = "unseen"
    else:
        split = "heldout" if _reserved("sums", name, things[0], steps) else "train"
    return Document("sums", f"{prompt}{work} {closing}", prompt, work, split)


# --- word puzzles ------------------------------------------------------------

SPELLED = sorted({x for words in w.CATEGORIES.values() for x in words}
                 | {x for g in w.RHYMES for x in g} | set(w.OBJECTS) | set(w.ANIMALS))


def _listing(items, last="or"):
    """Return "a, b or c"."""
    return ", ".join(items[:-1]) + f" {last} " + items[-1]


def _puzzle_opposite(rng):
    """The opposite of a word, alone or among three choices."""
    pair = list(rng.choice(w.OPPOSITES))
    rng.shuffle(pair)
    word, answer = pair
    note = f"The opposite of {word} is {answer}."
    if rng.random() < 0.4:
        return (rng.choice([f"What is the opposite of {word}?",
                            f"Which word means the opposite of {word}?",
                            f"It is not {word}. What is it?"]), answer, note)
    others = rng.sample([x for p in w.OPPOSITES if word not in p for x in p], 2)
    options = [answer, *others]
    rng.shuffle(options)
    return f"Which word is the opposite of {word}: {_listing(options)}?", answer, note


def _puzzle_rhyme(rng):
    """Which of three words rhymes."""
    group = rng.choice(w.RHYMES)
    word, answer = rng.sample(group, 2)
    others = rng.sample([g for g in w.RHYMES if g is not group], 2)
    options = [answer] + [rng.choice(g) for g in others]
    rng.shuffle(options)
    return (f"Which word rhymes with {word}: {_listing(options)}?", answer,
            f"The words {word} and {answer} sound alike at the end.")


def _puzzle_odd(rng):
    """The word of four that is not of the same category."""
    kind, other = rng.sample(sorted(w.CATEGORIES), 2)
    answer = rng.choice(w.CATEGORIES[other])
    options = [*rng.sample(w.CATEGORIES[kind], 3), answer]
    rng.shuffle(options)
    return (f"Which word does not belong: {_listing(options)}?", answer,
            f"The word {answer} is not {_an(kind)}.")


def _puzzle_which(rng):
    """The only word of three that is of a category."""
    kinds = rng.sample(sorted(w.CATEGORIES), 3)
    options = [rng.choice(w.CATEGORIES[k]) for k in kinds]
    answer = options[0]
    rng.shuffle(options)
    return (f"Which of these is {_an(kinds[0])}: {_listing(options)}?", answer,
            f"The word {answer} is {_an(kinds[0])}.")


def _puzzle_letter(rng):
    """The first or last letter of a word."""
    word = rng.choice(SPELLED)
    which = rng.choice(["first", "last"])
    return (f"What is the {which} letter of the word {word}{rng.choice(['', ' in lower case'])}?",
            word[0 if which == "first" else -1], f"The word {word} is spelled {'-'.join(word)}.")


def _puzzle_spell(rng):
    """A word letter by letter, forwards or backwards."""
    word = rng.choice(SPELLED)
    if rng.random() < 0.5:
        return (rng.choice([f"How do you spell {word}?", f"Can you spell the word {word}?",
                            f"Spell the word {word} for {rng.choice(w.GIRLS + w.BOYS)}."]),
                "-".join(word), f"The word {word} has {len(word)} letters.")
    return (rng.choice([f"Spell the word {word} backwards.", f"What is {word} spelled backwards?",
                        f"Read {word} from the end to the start."]),
            "-".join(word[::-1]), f"The word was {word}.")


def _puzzle_scramble(rng):
    """Letters of a short word in another order."""
    word = rng.choice([x for x in SPELLED if 3 <= len(x) <= 5])
    letters = list(word)
    while "".join(letters) == word:
        rng.shuffle(letters)
    return (f"Which word has the letters {'-'.join(letters)}?", word,
            f"The word {word} is spelled {'-'.join(word)}.")


def _puzzle_next(rng):
    """The next word of a repeating row."""
    kind = rng.choice(sorted(w.CATEGORIES))
    base = rng.sample(w.CATEGORIES[kind], rng.choice([2, 2, 3]))
    length = rng.randint(len(base) + 2, 2 * len(base) + 1)
    row = [base[i % len(base)] for i in range(length + 1)]
    return (f"Which word comes next: {', '.join(row[:-1])}?", row[-1],
            f"The words {_listing(base, 'and')} take turns.")


PUZZLES = (_puzzle_opposite, _puzzle_rhyme, _puzzle_odd, _puzzle_which, _puzzle_letter,
           _puzzle_spell, _puzzle_scramble, _puzzle_next)


def _puzzle(rng):
    """Draw one word puzzle; returns a Document."""
    question, answer, note = rng.choice(PUZZLES)(rng)
    gap = "\n" if rng.random() < 0.25 else " "
    prompt = f"Puzzle: {question}{gap}Answer:"
    split = "heldout" if _reserved("puzzle", question) else "train"
    return Document("puzzle", f"{prompt} {answer}. {note}", prompt, f" {answer}.", split)


MAKERS = {"story": _story, "sums": _sums, "puzzle": _puzzle}


def documents(seed, mix, split="train"):
    """Draw documents without end.

    Args:
        seed: any text or number; equal seeds give equal streams.
        mix: dict from kind to its share of the characters (the shares need not sum to 1).
        split: "train", "heldout" or "unseen".
    Returns:
        A generator of `Document`.
    """
    rng = random.Random(f"coolfusion/{seed}/{split}")
    kinds = list(mix)
    shares = [mix[kind] / MEAN_LENGTH[kind] for kind in kinds]
    while True:
        maker = MAKERS[rng.choices(kinds, shares)[0]]
        document = maker(rng)
        while document.split != split:
            document = maker(rng)
        yield document
