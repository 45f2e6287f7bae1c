"""Which runs a list shows and in which order: `parse("state:failed loss<1.2")`, `Order("loss")`.

One declaration of what a run can be asked for, `ASKED`, serves the filter, the order and the words that explain both.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Literal, get_args

from ftui.errors import BadInput
from ftui.runs.document import JobKind, State
from ftui.runs.facts import Depth, Facts
from ftui.runs.status import LIVE, OVER

Form = Literal["word", "tags", "number", "duration"]
Value = str | float | tuple[str, ...] | None

STATES: tuple[State, ...] = (
    "running", "preparing", "paused", "queued", "unreachable", "crashed", "failed", "stopped", "finished",
)
"""In the order in which they want a look."""
GROUPS: dict[str, frozenset[State]] = {"live": LIVE, "over": OVER}


@dataclass(frozen=True)
class Asked:
    """One thing that a run can be asked for, in a filter and as an order."""

    form: Form
    about: str
    value: Callable[[Facts], Value]
    depth: Depth = Depth.LOOKED
    largest: bool = False
    """Whether the largest stands first, where nothing else is said."""
    known: tuple[str, ...] = ()
    """The values there are, where they are few."""


ASKED: dict[str, Asked] = {
    "age": Asked("duration", "time since it was made", lambda facts: max(time.time() - facts.run.info.created, 0.0),
                 Depth.LISTED),
    "state": Asked("word", "how it stands", lambda facts: facts.status.state if facts.status else None,
                   known=(*STATES, *GROUPS)),
    "name": Asked("word", "its name", lambda facts: facts.run.info.name, Depth.LISTED),
    "model": Asked("word", "the base model", lambda facts: facts.model, Depth.READ),
    "method": Asked("word", "objective and adapter", lambda facts: facts.method or facts.run.info.kind, Depth.READ),
    "step": Asked("number", "steps done", lambda facts: facts.status.step if facts.status else None, largest=True),
    "loss": Asked("number", "the last training loss", lambda facts: facts.measured("loss")),
    "eval": Asked("number", "the last evaluation's loss", lambda facts: facts.measured("eval_loss")),
    "best": Asked("number", "the best evaluation", lambda facts: facts.best),
    "speed": Asked("number", "tokens per second", lambda facts: facts.measured("tokens_per_second"), largest=True),
    "took": Asked("duration", "from its making to its newest event", lambda facts: facts.took, largest=True),
    "tag": Asked("tags", "tags", lambda facts: facts.notes.tags),
    "note": Asked("word", "the note", lambda facts: facts.notes.note),
    "kind": Asked("word", "what kind of job it is", lambda facts: facts.run.info.kind, Depth.LISTED,
                  known=get_args(JobKind)),
    "preset": Asked("word", "the preset", lambda facts: facts.run.info.preset, Depth.LISTED),
    "id": Asked("word", "the id", lambda facts: facts.run.id, Depth.LISTED),
}  # fmt: skip

ALSO = {"tags": "tag", "status": "state", "eval_loss": "eval", "tokens": "speed", "steps": "step", "made": "age",
        "base": "model", "notes": "note"}
"""Other words for the same."""
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "=": operator.eq,
}
SECONDS = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
SCALES = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9}

_TERM = re.compile(r"([A-Za-z_]+)(:|<=|>=|<|>|=)(.*)", re.DOTALL)
_PIECE = re.compile(r'(?:[^\s"]|"[^"]*")+')
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*([a-z]*)", re.IGNORECASE)


@dataclass(frozen=True)
class _Term:
    test: Callable[[Facts], bool]
    depth: Depth
    negated: bool
    early: bool = False
    """Whether a yes needs no depth: the name alone may tell."""

    def holds(self, facts: Facts) -> bool:
        """False as long as it isn't known."""
        return (self.early or facts.depth >= self.depth) and self.test(facts) != self.negated


@dataclass(frozen=True)
class Filter:
    """What a run must be like to be shown; without terms every run is."""

    terms: tuple[_Term, ...] = ()

    @property
    def depth(self) -> Depth:
        """How far runs must be looked into before all that fit are found."""
        return max((term.depth for term in self.terms), default=Depth.LISTED)

    def fits(self, facts: Facts) -> bool:
        """Whether every term holds; what isn't known yet doesn't."""
        return all(term.holds(facts) for term in self.terms)


def parse(text: str) -> Filter:
    """The filter that `text` says: terms between spaces, of which every one must hold, and "-" before one for its
    opposite.

    A term is a plain word (in the name, id, kind, preset, state or a tag), `key:word` (with several between commas,
    any of them; `*` stands for anything), or `key<number`.  Quotes hold spaces together.  Raises BadInput where it
    can't be read.
    """
    if text.count('"') % 2:
        raise BadInput("The filter has a quote that doesn't end.", 'Close it: name:"support chat".')
    return Filter(tuple(_term(piece) for piece in _PIECE.findall(text)))


@dataclass(frozen=True)
class Order:
    """By what runs are sorted; each key has a first end of its own, which `reversed` turns round."""

    key: str = "age"
    reversed: bool = False

    @cached_property
    def asked(self) -> Asked:
        """What the key asks for."""
        return ASKED[self.key]

    @property
    def descending(self) -> bool:
        """Whether the largest stands first."""
        return self.asked.largest != self.reversed

    def sorted(self, known: Iterable[Facts]) -> list[Facts]:
        """In order; runs without such a value last, and among equals the newest first."""
        newest = sorted(known, key=lambda facts: (facts.run.info.created, facts.run.id), reverse=True)
        if self.key == "age":
            return newest[::-1] if self.reversed else newest
        have = [(value, facts) for facts in newest if (value := self._value(facts)) is not None]
        lack = [facts for facts in newest if self._value(facts) is None]
        have.sort(key=lambda pair: pair[0], reverse=self.descending)
        return [facts for _, facts in have] + lack

    def _value(self, facts: Facts) -> str | float | None:
        value = self.asked.value(facts) if facts.depth >= self.asked.depth else None
        if self.key == "state":
            return None if value is None else STATES.index(value)
        if isinstance(value, tuple):
            value = " ".join(value)
        if isinstance(value, str):
            return value.casefold() or None
        return None if value is None or not math.isfinite(value) else value


def order(text: str, *, reverse: bool = False) -> Order:
    """The order that `text` names; raises BadInput for what no run has."""
    return Order(_key(text, "to sort by"), reverse)


def _term(piece: str) -> _Term:
    negated = piece[0] == "-" and len(piece) > 1
    body = piece[1:] if negated else piece
    found = _TERM.fullmatch(body)
    if not found or body[0] == '"':
        return _plain(body.replace('"', ""), negated)
    key, sign, value = _key(found[1], "in a filter"), found[2], found[3].replace('"', "").strip()
    asked = ASKED[key]
    if not value:
        raise BadInput(f"{found[1]}{sign} has no value.", f"Write one behind it, {_instance(key, asked)}.")
    if asked.form in ("word", "tags"):
        if sign not in (":", "="):
            raise BadInput(f"{found[1]} is a word: it takes a colon, not {sign}.", f"Write {_instance(key, asked)}.")
        return _Term(_of_words(key, asked, value), asked.depth, negated)
    if sign == ":":
        raise BadInput(f"{found[1]} is a number: it takes <, <=, =, >= or >.", f"Write {_instance(key, asked)}.")
    return _Term(_of_numbers(asked, sign, _number(found[1], asked, value)), asked.depth, negated)


def _plain(word: str, negated: bool) -> _Term:
    word = word.casefold()

    def said(facts: Facts) -> bool:
        info, state = facts.run.info, facts.status.state if facts.status else ""
        told = f"{info.id} {info.name} {info.kind} {info.preset or ''} {state} {' '.join(facts.notes.tags)}"
        return word in told.casefold()

    return _Term(said, Depth.LOOKED, negated, early=not negated)


def _of_words(key: str, asked: Asked, value: str) -> Callable[[Facts], bool]:
    wanted = [word.strip().casefold() for word in value.split(",") if word.strip()]
    if not wanted:
        raise BadInput(f"{value!r} names nothing.", f"Write {_instance(key, asked)}.")
    if asked.known:
        allowed = frozenset().union(*(_members(key, asked, word) for word in wanted))
        return lambda facts: asked.value(facts) in allowed
    # A tag is meant whole, of a text any part; `*` stands for anything, the other signs of a shell for themselves.
    whole = [word if asked.form == "tags" or "*" in word else f"*{word}*" for word in wanted]
    patterns = [re.sub(r"([\[?])", r"[\1]", word) for word in whole]

    def said(facts: Facts) -> bool:
        value = asked.value(facts)
        texts = value if isinstance(value, tuple) else (str(value or ""),)
        return any(fnmatchcase(text.casefold(), pattern) for text in texts for pattern in patterns)

    return said


def _members(key: str, asked: Asked, word: str) -> frozenset[str]:
    """The values that a word means: itself, else all that begin with it."""
    if key == "state" and word in GROUPS:
        return frozenset(GROUPS[word])
    found = {word} & set(asked.known) or {each for each in asked.known if each.startswith(word) and each not in GROUPS}
    if not found:
        near = difflib.get_close_matches(word, asked.known, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(asked.known)}."
        raise BadInput(f"There is no {key} {word!r}.", hint)
    return frozenset(found)


def _of_numbers(asked: Asked, sign: str, number: float) -> Callable[[Facts], bool]:
    compare = COMPARE[sign]

    def holds(facts: Facts) -> bool:
        value = asked.value(facts)
        return isinstance(value, int | float) and math.isfinite(value) and compare(value, number)

    return holds


def _number(word: str, asked: Asked, value: str) -> float:
    units = SECONDS if asked.form == "duration" else SCALES
    found = _NUMBER.fullmatch(value)
    unit = found[2].lower() if found else ""
    if not found or (unit and unit not in units):
        example = "a number such as 1.2 or 5k" if asked.form == "number" else "a time such as 90s, 30min, 2h, 3d or 1w"
        raise BadInput(f"{word} is compared with {example}, not with {value!r}.", f"Write {_instance(word, asked)}.")
    return float(found[1]) * (units[unit] if unit else 1.0)


def _key(word: str, where: str) -> str:
    key = ALSO.get(word.lower(), word.lower())
    if key not in ASKED:
        near = difflib.get_close_matches(key, [*ASKED, *ALSO], n=1, cutoff=0.6)
        raise BadInput(
            f"There is no {word!r} {where}.",
            f"Did you mean {near[0]}?" if near else f"There are {', '.join(ASKED)}.",
        )
    return key


def _instance(key: str, asked: Asked) -> str:
    """An example of a term."""
    if asked.form == "duration":
        return f"{key}<2h"
    if asked.form == "number":
        return f"{key}<1.2" if not asked.largest else f"{key}>1000"
    return f"{key}:{asked.known[0] if asked.known else 'WORD'}"

