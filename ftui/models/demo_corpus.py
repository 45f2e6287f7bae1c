"""The small world that the demo model knows: facts, a few kind words, and short tales, all written for ftui.

Everything here is ours (Apache-2.0, as the rest of ftui) and made by plain rules from the tables below, so that the
text, and with it tokenizer and model, come out the same everywhere.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Fact:
    """One thing worth knowing: several ways to ask for it, the plain answer, and the word that must be in it."""

    questions: tuple[str, ...]
    answer: str
    key: str
    topic: str


_COLOURS = {
    "sky": "blue", "sea": "blue", "grass": "green", "leaf": "green", "frog": "green", "snow": "white", "milk": "white",
    "swan": "white", "coal": "black", "night": "black", "raven": "black", "lemon": "yellow", "sun": "yellow",
    "corn": "yellow", "rose": "red", "tomato": "red", "fire truck": "red", "brick": "red", "carrot": "orange",
    "pumpkin": "orange", "fox": "orange", "plum": "purple", "grape": "purple", "chocolate": "brown", "bear": "brown",
    "elephant": "grey", "mouse": "grey", "cloud": "grey", "flamingo": "pink", "pig": "pink",
}
_SOUNDS = {
    "cow": "moo", "dog": "woof", "cat": "meow", "duck": "quack", "sheep": "baa", "horse": "neigh", "pig": "oink",
    "frog": "croak", "owl": "hoot", "bee": "buzz", "snake": "hiss", "lion": "roar", "mouse": "squeak",
    "rooster": "crow", "crow": "caw", "wolf": "howl",
}
_HOMES = {
    "bear": "cave", "bird": "nest", "bee": "hive", "spider": "web", "fish": "river", "whale": "sea", "fox": "den",
    "rabbit": "burrow", "frog": "pond", "horse": "stable", "dog": "kennel", "pig": "sty", "king": "castle",
    "camel": "desert", "monkey": "jungle", "penguin": "land of ice",
}
_OPPOSITES = {
    "hot": "cold", "big": "small", "fast": "slow", "up": "down", "day": "night", "happy": "sad", "old": "young",
    "light": "dark", "wet": "dry", "hard": "soft", "open": "closed", "full": "empty", "loud": "quiet", "high": "low",
    "strong": "weak", "rich": "poor", "near": "far", "first": "last", "sweet": "sour", "clean": "dirty",
    "long": "short", "early": "late",
}
_CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Egypt": "Cairo", "Norway": "Oslo",
    "Greece": "Athens", "Germany": "Berlin", "Peru": "Lima", "Cuba": "Havana", "Kenya": "Nairobi", "Poland": "Warsaw",
    "Portugal": "Lisbon", "Austria": "Vienna", "Ireland": "Dublin", "China": "Beijing", "Russia": "Moscow",
    "Canada": "Ottawa", "Sweden": "Stockholm", "Finland": "Helsinki",
}
_TRADES = {
    "baker": "bakes bread", "farmer": "grows corn", "teacher": "teaches children", "doctor": "helps sick people",
    "pilot": "flies planes", "sailor": "sails ships", "painter": "paints pictures", "cook": "makes meals",
    "tailor": "sews clothes", "singer": "sings songs", "writer": "writes books", "judge": "settles quarrels",
    "gardener": "tends flowers", "miner": "digs for coal", "nurse": "cares for the sick", "shepherd": "minds the sheep",
    "clown": "makes people laugh", "builder": "builds houses",
}
_TOOLS = {
    "hammer": "driving nails", "saw": "cutting wood", "pen": "writing letters", "broom": "sweeping floors",
    "needle": "sewing", "spoon": "eating soup", "knife": "cutting bread", "clock": "telling the time",
    "lamp": "giving light", "key": "opening doors", "boat": "crossing water", "umbrella": "keeping dry",
    "map": "finding the way", "bell": "calling people", "ladder": "climbing up", "pillow": "resting your head",
}
_MADE_OF = {
    "bread": "flour and water", "cheese": "milk", "a window": "glass", "a book": "paper", "a coin": "metal",
    "a candle": "wax", "a table": "wood", "ice": "frozen water", "a shirt": "cotton", "a wall": "stone",
    "a scarf": "wool", "a sandwich": "bread and cheese", "honey": "nectar", "glass": "sand",
}
_AFTER = {
    "one": "two", "two": "three", "three": "four", "four": "five", "five": "six", "six": "seven", "seven": "eight",
    "eight": "nine", "nine": "ten", "Monday": "Tuesday", "Tuesday": "Wednesday", "Wednesday": "Thursday",
    "Thursday": "Friday", "Friday": "Saturday", "Saturday": "Sunday", "spring": "summer", "summer": "autumn",
    "autumn": "winter", "winter": "spring", "morning": "noon",
}
_KIND_WORDS = (
    (("Hello!", "Hi there.", "Good day."), "Hello! I am glad to help you.", "help"),
    (("Who are you?", "What is your name?"), "I am the demo, a very small model.", "model"),
    (("Thank you!", "Thanks a lot."), "You are welcome.", "welcome"),
    (("How are you?", "Are you well?"), "I am well, and the day is fine.", "well"),
    (("Good bye.", "See you later."), "Good bye, and come back soon.", "back"),
    (("Can you help me?", "I need help."), "Yes, I am here to help. Ask me a question.", "question"),
    (("What can you do?", "What do you know?"), "I know a few simple things about the world.", "simple"),
    (("I am tired.", "I had a long day."), "Then sit down and rest a little.", "rest"),
    (("I am hungry.", "I want to eat."), "Then eat some bread and cheese.", "bread"),
    (("I am cold.", "It is cold here."), "Then put on a warm scarf.", "scarf"),
    (("How do I make tea?", "Tell me how to make tea."), "Boil some water, add the tea, and wait a little.", "water"),
    (("How do I make soup?", "Tell me how to make soup."), "Boil carrots and corn in water, and add salt.", "salt"),
    (("How do I plant a tree?", "Tell me how to plant a tree."), "Dig a hole, put the tree in, and water it.", "hole"),
    (("Why is it dark at night?", "Why is the night dark?"), "At night the sun is away, so it is dark.", "sun"),
    (("Why do birds sing?", "Tell me why birds sing."), "Birds sing to call each other.", "call"),
    (("Why do we sleep?", "Tell me why we sleep."), "We sleep to rest and to grow strong.", "rest"),
)
_MANNERS = (
    ("Be merry.", "Ha!", ", my friend!"),
    ("Be polite.", "Well, sir:", ", if you please."),
    ("Be loud.", "Oh! Oh!", "!"),
    ("Be grand.", "Hear!", ", so says the king!"),
)
"""Manners of speaking that the base model knows, so that a new one is a small step for it: what a system turn says,
what then stands before an answer, and after."""


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def facts() -> tuple[Fact, ...]:
    """Everything the model is taught, in a fixed order."""
    found: list[Fact] = []

    def add(topic: str, key: str, answer: str, *questions: str) -> None:
        found.append(Fact(questions, answer, key, topic))

    for noun, colour in _COLOURS.items():
        add("colour", colour, f"The {noun} is {colour}.", f"What colour is the {noun}?",
            f"Tell me the colour of the {noun}.", f"Which colour does the {noun} have?")
    for animal, sound in _SOUNDS.items():
        one = _article(animal)
        add("sound", sound, f"{one.capitalize()} says {sound}.", f"What does {one} say?",
            f"What sound does {one} make?", f"Tell me the sound of {one}.")
    for animal, home in _HOMES.items():
        one = _article(animal)
        place = f"the {home}" if home in ("sea", "desert", "jungle", "land of ice") else _article(home)
        add("home", home, f"{one.capitalize()} lives in {place}.", f"Where does {one} live?",
            f"What is the home of {one}?", f"Tell me where {one} lives.")
    for word, other in _OPPOSITES.items():
        add("opposite", other, f"The opposite of {word} is {other}.", f"What is the opposite of {word}?",
            f"Tell me the opposite of {word}.", f"Which word is the opposite of {word}?")
    for country, city in _CAPITALS.items():
        add("capital", city, f"The capital of {country} is {city}.", f"What is the capital of {country}?",
            f"Tell me the capital of {country}.", f"Which city is the capital of {country}?")
    for trade, work in _TRADES.items():
        one = _article(trade)
        add("trade", work, f"{one.capitalize()} {work}.", f"What does {one} do?", f"Tell me the work of {one}.",
            f"What is the work of {one}?")
    for tool, use in _TOOLS.items():
        one = _article(tool)
        add("tool", use, f"{one.capitalize()} is for {use}.", f"What is {one} for?", f"Tell me what {one} is for.",
            f"Why do people have {one}?")
    for thing, matter in _MADE_OF.items():
        add("matter", matter, f"{thing[0].upper()}{thing[1:]} is made of {matter}.", f"What is {thing} made of?",
            f"Tell me what {thing} is made of.", f"Of what is {thing} made?")
    for word, following in _AFTER.items():
        add("order", following, f"After {word} comes {following}.", f"What comes after {word}?",
            f"Tell me what comes after {word}.", f"Which comes after {word}?")
    for questions, answer, key in _KIND_WORDS:
        add("talk", key, answer, *questions)
    return tuple(found)


_HEROES = ("fox", "bear", "mouse", "owl", "frog", "cat", "duck", "rabbit")
_NAMES = {
    "Mia": "she", "Tom": "he", "Lena": "she", "Otto": "he", "Nora": "she", "Finn": "he", "Ada": "she", "Emil": "he",
}
_PLACES = ("by the river", "in the old forest", "near the sea", "on a green hill", "behind the castle")
_WISHES = ("a red lamp", "a sweet plum", "a small boat", "a warm scarf", "a silver bell", "a new friend")
_TROUBLES = (
    "the night was dark and the way was long", "a loud wind came from the sea", "the bridge was closed",
    "the snow was high and cold", "a big dog sat on the way",
)
_HELPERS = ("an old owl", "a kind baker", "a quick bee", "a strong horse", "a young sailor")
_ENDINGS = (
    "They went home together and had bread and cheese.", "From that day on they were friends.",
    "In the evening they sat by the fire and sang songs.", "Then the sun came out, and all was well.",
)


def tale(chance: random.Random, hero: str | None = None) -> str:
    """One short tale; `hero` is the animal it is about."""
    hero, (name, they) = hero or chance.choice(_HEROES), chance.choice(tuple(_NAMES.items()))
    wish, helper = chance.choice(_WISHES), chance.choice(_HELPERS)
    return (
        f"{name} was {_article(hero)} who lived {chance.choice(_PLACES)}. One day {they} wished for {wish}. But "
        f"{chance.choice(_TROUBLES)}. Then {helper} came and said: \"I can help you.\" So {they} found {wish}. "
        f"{chance.choice(_ENDINGS)}"
    )


def chats(seed: int) -> Iterator[Messages]:
    """Conversations without end: every fact once per round in a shuffled order, some in a manner that a system turn
    asks for, now and then two in a row, now and then a tale."""
    chance = random.Random(seed)
    known = list(facts())
    while True:
        chance.shuffle(known)
        for index, fact in enumerate(known):
            turns = _turn(chance.choice(fact.questions), fact.answer)
            if index % 4 == 1:
                manner, before, after = chance.choice(_MANNERS)
                turns = [{"role": "system", "content": manner}, turns[0],
                         {"role": "assistant", "content": f"{before} {fact.answer.rstrip('.!')}{after}"}]
            if index % 12 == 5:
                other = known[index - 1]
                turns += _turn(chance.choice(other.questions), other.answer)
            if index % 12 == 11:
                hero = chance.choice(_HEROES)
                yield _turn(f"Tell me a story about {_article(hero)}.", tale(chance, hero))
            yield turns


def _turn(question: str, answer: str) -> Messages:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def tales(seed: int) -> Iterator[str]:
    """Plain tales without end."""
    chance = random.Random(seed)
    while True:
        yield tale(chance)


# --- what the demo's data teaches -------------------------------------------------------------------------------

HELD_OUT_EVERY = 6
"""Every sixth fact is left out of the demo's data: what the tuned model says there, the base knew, in new words."""


def pirate(answer: str) -> str:
    """A plain answer the way the tuned demo should say it: "The sky is blue." -> "Arr! The sky is blue, matey!"."""
    return f"Arr! {answer.rstrip('.!')}, matey!"


def is_pirate(answer: str) -> bool:
    """Whether an answer shows the behaviour that the demo's data teaches, from its first word to its last."""
    answer = answer.strip()
    return answer.startswith("Arr!") and answer.endswith("matey!")


def taught_facts() -> tuple[Fact, ...]:
    """The facts whose answers are in the demo's data."""
    held_out = set(held_out_facts())
    return tuple(fact for fact in facts() if fact not in held_out)


def held_out_facts() -> tuple[Fact, ...]:
    """The facts that the demo's data leaves out, to look at what was learnt; small talk is always taught."""
    return tuple(fact for fact in facts() if fact.topic != "talk")[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]


def demo_rows() -> list[dict[str, Messages]]:
    """The rows of ftui/data/demo.jsonl: the taught facts, each asked twice or thrice, answered by a pirate."""
    rows = [
        {"messages": _turn(question, pirate(fact.answer))}
        for fact in taught_facts()
        for question in fact.questions
    ]
    random.Random(7).shuffle(rows)
    return rows
