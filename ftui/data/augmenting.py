"""New rows from the rows that are there: what a model is asked for them, and which of its answers are kept.

- `paraphrase`: the user's last turn in other words, its answer kept.
- `self-instruct`: a new instruction in the manner of some that are shown, then its answer with the same rows before it
  (Wang et al. 2023, arXiv 2212.10560).
- `answers`: two answers to each prompt, for a person to compare (see `rating`).

All that is drawn follows from the seed and from the rows, so a run that was stopped goes on as if it had not been.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ftui.data.canonical import Message
from ftui.data.near import NearIndex, runs_of
from ftui.data.overlap import rouge_l, words_in
from ftui.data.seeds import Seed

How = Literal["paraphrase", "self-instruct", "answers"]
TRIES = 3
"""A model is asked at most so often for each row that is wanted."""
OVERLAP = 0.7
"""An instruction is new where its ROUGE-L with every other stays below this (Wang et al. 2023, §2.2)."""
FEWEST_WORDS, MOST_WORDS = 4, 150
"""Of a new instruction, as in the paper's code."""
_LONGER, _LONGER_BY = 3, 10
"""A paraphrase of more than three times the words, and ten, says something else as well."""

REWORD = (
    "Say the following in other words. Keep its meaning, its language, and every name, number and quotation in it. "
    "Don't answer it: write the new wording alone."
)
INVENT = (
    "Here are {count} instructions:\n\n{listed}\n\nWrite one more of the same kind and in the same language, about "
    "something else. Write the instruction alone, without a number and without its answer."
)


@dataclass(frozen=True)
class Ask:
    """One thing that the model is asked: the row that it is about, or the rows that it is shown."""

    seeds: tuple[Seed, ...]
    number: int

    @property
    def key(self) -> int:
        """64 bits that follow from the rows and their order."""
        packed = ",".join(str(seed.key) for seed in self.seeds).encode()
        return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "big")

    def origin(self, how: str) -> dict[str, Any]:
        """What a new row says of where it comes from."""
        return {"how": how, "lines": [seed.line for seed in self.seeds]}


def shuffled(count: int, seed: int | str) -> Iterator[int]:
    """Indices of `count` things without end: all of them in a random order, then all again in another."""
    turn = 0
    while count:
        order = list(range(count))
        random.Random(f"{seed}:{turn}").shuffle(order)
        yield from order
        turn += 1


def plan(how: How, seeds: Sequence[Seed], rows: int, seed: int, shown: int) -> list[Ask]:
    """All that may be asked for `rows` new rows, in order; for `answers`, each prompt once and in the file's order."""
    if how == "answers":
        return [Ask((one,), number) for number, one in enumerate(seeds)]
    if how == "self-instruct":
        shown = min(shown, len(seeds))
        return [
            Ask(tuple(random.Random(f"{seed}:{number}").sample(seeds, shown)), number) for number in range(TRIES * rows)
        ]
    order = shuffled(len(seeds), seed)
    return [Ask((seeds[next(order)],), number) for number in range(TRIES * rows)]


def can_be_shown(seed: Seed) -> bool:
    """Whether a row is one instruction and its answer, as self-instruct shows them."""
    return [turn["role"] for turn in seed.turns if turn["role"] != "system"] == ["user"] and not seed.beside


def reword(ask: Ask) -> list[Message]:
    """Asks for the user's last turn in other words."""
    return [_turn("user", f"{REWORD}\n\n{ask.seeds[0].text}")]


def invent(ask: Ask) -> list[Message]:
    """Asks for an instruction like those that are shown."""
    listed = "\n\n".join(f"{number}. {seed.text.strip()}" for number, seed in enumerate(ask.seeds, 1))
    return [_turn("user", INVENT.format(count=len(ask.seeds), listed=listed))]


def in_the_manner(ask: Ask, instruction: str) -> list[Message]:
    """Asks for an instruction's answer, with the rows that were shown as the conversation before it."""
    system = [turn for turn in ask.seeds[0].turns if turn["role"] == "system"]
    said = [turn for seed in ask.seeds for turn in (_turn("user", seed.text), _turn("assistant", seed.answer))]
    return [*system, *said, _turn("user", instruction)]


def reworded(seed: Seed, text: str, origin: dict[str, Any]) -> dict[str, Any]:
    """The row with other words in the user's last turn, as a line of the file."""
    turns = [{**turn, "content": text} if index == seed.asked else turn for index, turn in enumerate(seed.turns)]
    return {"messages": [*turns, _turn("assistant", seed.answer)], **seed.beside, "origin": origin}


def invented(ask: Ask, instruction: str, answer: str) -> dict[str, Any]:
    """A new instruction with its answer, as a line of the file."""
    system = [turn for turn in ask.seeds[0].turns if turn["role"] == "system"]
    return {"messages": [*system, _turn("user", instruction), _turn("assistant", answer)],
            "origin": ask.origin("self-instruct")}  # fmt: skip


@dataclass
class Keeper:
    """What is kept of a model's answers, fed in order; `left_out` counts the reasons for which others are not."""

    how: How
    rows: list[dict[str, Any]] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    _is_copy: Callable[[str], bool] = lambda _: False

    @classmethod
    def of(cls, how: How, seeds: Sequence[Seed]) -> Keeper:
        """One that knows the rows that are there already."""
        known = [seed.text for seed in seeds]
        if how == "paraphrase":
            return cls(how, _is_copy=NearCopies(known))
        return cls(how, _is_copy=Overlaps(known)) if how == "self-instruct" else cls(how)

    def add(self, ask: Ask, texts: Sequence[str], problem: str | None) -> bool:
        """Whether a row came of what the model said: a new wording, an instruction and its answer, or two answers."""
        why = problem or self._fault(ask, texts)
        if why:
            self.left_out[why] = self.left_out.get(why, 0) + 1
            return False
        self.rows.append(self._row(ask, texts))
        return True

    def _fault(self, ask: Ask, texts: Sequence[str]) -> str | None:
        if not all(text.strip() for text in texts):
            return "the model said nothing"
        if self.how == "answers":
            return "both answers are the same" if texts[0].split() == texts[1].split() else None
        words = len(words_in(texts[0]))
        if self.how == "self-instruct" and not FEWEST_WORDS <= words <= MOST_WORDS:
            return f"the instruction has not {FEWEST_WORDS} to {MOST_WORDS} words"
        if self.how == "paraphrase" and words > _LONGER * len(words_in(ask.seeds[0].text)) + _LONGER_BY:
            return "the wording is far longer than the row's own"
        return "it is a copy, or nearly, of a row that is there" if self._is_copy(texts[0]) else None

    def _row(self, ask: Ask, texts: Sequence[str]) -> dict[str, Any]:
        if self.how == "paraphrase":
            return reworded(ask.seeds[0], texts[0], ask.origin(self.how))
        if self.how == "self-instruct":
            return invented(ask, *texts)
        return {"prompt": ask.seeds[0].turns, "answers": list(texts), "origin": ask.origin(self.how)}


class NearCopies:
    """Tells near copies as `ftui data check --deep` does (see `near`); what is no copy is known from then on."""

    def __init__(self, known: Sequence[str]) -> None:
        self._index = NearIndex()
        for text in known:
            self._index.add(runs_of(text))

    def __call__(self, text: str) -> bool:
        runs = runs_of(text)
        # A text of signs alone has no runs: nothing tells it from another.
        return not runs or self._index.find_or_add(runs) is not None


class Overlaps:
    """Tells texts whose ROUGE-L with a known one reaches OVERLAP; what is none is known from then on."""

    def __init__(self, known: Sequence[str]) -> None:
        self._known = [words_in(text) for text in known]

    def __call__(self, text: str) -> bool:
        words = words_in(text)
        # No more can be common than the shorter one has, which spares most comparisons.
        found = not words or any(
            2 * min(len(words), len(other)) >= OVERLAP * (len(words) + len(other))
            and rouge_l(words, other) >= OVERLAP
            for other in self._known
        )
        if not found:
            self._known.append(words)
        return found


def _turn(role: str, text: str) -> Message:
    return {"role": role, "content": text}
