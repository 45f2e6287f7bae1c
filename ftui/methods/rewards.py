"""Rewards of generated answers as a recipe writes them: `exact`, `0.2*format`, `length:200`, `mypackage.scores:polite`.

One text is `WEIGHT*KIND:ARGUMENT`, of which the weight (1) and mostly the argument may be left out.  What is no kind of
ftui's is a function of the user's own, `module:function` or `file.py:function`.  The worker has the scorer of each kind
(`ftui/worker/rewards/`).
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import PurePath

from ftui.errors import BadInput


@dataclass(frozen=True)
class RewardKind:
    """What a kind rewards, and what its argument is: `default` stands where it may be left out."""

    kind: str
    title: str
    help: str
    argument: str
    default: str | None = None


KINDS: dict[str, RewardKind] = {
    row.kind: row for row in (
        RewardKind(
            "exact", "Right answer",
            "1 where the answer's final value is the row's: after ####, in \\boxed{}, in <answer> or the last number.",
            "the column that holds the right answer", "answer",
        ),
        RewardKind(
            "format", "Form", "1 where the whole answer has the wanted form.",
            "a regular expression; without one <think>…</think> and then <answer>…</answer>", "",
        ),
        RewardKind(
            "length", "Length",
            "1 at so many tokens, less the further off; with < 0 up to so many, and below 0 beyond.",
            "a number of tokens: 200 to aim at, <200 not to exceed",
        ),
        RewardKind(
            "json", "Valid JSON",
            "1 where the answer is JSON, and half of it where it is JSON that its schema refuses.",
            "the column or the .json file of a JSON Schema; without one any JSON is right", "",
        ),
        RewardKind(
            "code", "Code tests",
            "The share of a row's tests that the answer's Python passes; it runs what the model writes.",
            "the column that holds the tests, one text or a list", "tests",
        ),
        RewardKind(
            "function", "Function of your own", "What your function returns for the answer.",
            "module:function, or file.py:function; it may stand without the word function",
        ),
        RewardKind(
            "model", "Reward model", "The score that a trained reward model gives to prompt and answer.",
            "the folder of a reward run's result, or a hub id",
        ),
    )
}
"""Every kind of reward, by its name."""

FUNCTION = re.compile(r"(?:[^:]*\.py|[A-Za-z_][\w.]*):[A-Za-z_]\w*")
"""How a function of the user's own is named."""
_WEIGHTED = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*\*\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class Reward:
    """One term of the reward; `argument` is "" where a kind needs none and has none."""

    kind: str
    argument: str = ""
    weight: float = 1.0

    @property
    def name(self) -> str:
        """The text that names it, without the weight."""
        if self.kind == "function" and self.argument.partition(":")[0] not in KINDS:
            return self.argument
        own = self.argument if self.argument != KINDS[self.kind].default else ""
        return f"{self.kind}:{own}" if own else self.kind

    @property
    def label(self) -> str:
        """What its mean is called among a run's values: the name without folders."""
        if self.kind == "model":
            path = PurePath(self.argument)
            return f"model:{path.parent.name if path.name == 'output' else path.name}"
        return self.name.rpartition("/")[2] if self.kind == "function" else self.name

    def __str__(self) -> str:
        return self.name if self.weight == 1 else f"{self.weight!r}*{self.name}"


def parse(text: str) -> Reward:
    """A reward as a recipe writes it; BadInput with what to write otherwise."""
    weighted = _WEIGHTED.fullmatch(text)
    weight, named = (float(weighted[1]), weighted[2]) if weighted else (1.0, text)
    named = named.strip()
    if not math.isfinite(weight):
        raise BadInput(f"objective.rewards: the weight of {text!r} is too large.", "Write a weight such as 0.2*format.")
    kind, colon, argument = named.partition(":")
    kind, argument = kind.strip(), argument.strip()
    if kind not in KINDS:
        if FUNCTION.fullmatch(named):
            return Reward("function", named, weight)
        raise BadInput(f"objective.rewards: {text!r} is no reward.", _meant(kind))
    row = KINDS[kind]
    if not argument:
        if row.default is None or (colon and not row.default):
            needed = re.split("[:;,]", row.argument)[0]
            raise BadInput(f"objective.rewards: {text!r} lacks {needed}.", f"Write {_EXAMPLES[kind]}.")
        argument = row.default
    if kind == "function" and not FUNCTION.fullmatch(argument):
        raise BadInput(f"objective.rewards: {argument!r} names no function.", f"Write {_EXAMPLES[kind]}.")
    if kind == "length":
        length_of(argument)
    if kind == "format":
        pattern_of(argument)
    return Reward(kind, argument, weight)


def parse_all(texts: Iterable[str]) -> tuple[Reward, ...]:
    """All rewards of a recipe, each under a name of its own; BadInput where one is written twice."""
    found = tuple(parse(text) for text in texts)
    names = [reward.name for reward in found]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"objective.rewards has {name} twice.", "Write it once, with the sum of the weights.")
    return found


def with_paths(text: str, absolute: Callable[[str], str]) -> str:
    """`text` with the file or folder that it names as `absolute` gives it; what names none stays as it is."""
    try:
        reward = parse(text)
    except BadInput:
        return text
    path, colon, function = reward.argument, "", ""
    if reward.kind == "function":
        path, colon, function = reward.argument.rpartition(":")
    ending = {"function": ".py", "json": ".json", "model": ""}.get(reward.kind)
    if ending is None or not path.endswith(ending) or absolute(path) == path:
        return text
    return str(replace(reward, argument=f"{absolute(path)}{colon}{function}"))


def length_of(argument: str) -> tuple[int, bool]:
    """(tokens, whether they are a limit rather than an aim) of a length reward."""
    limit = argument.startswith("<")
    number = argument.removeprefix("<").strip()
    if not number.isdecimal() or not number.isascii() or int(number) == 0:
        raise BadInput(f"objective.rewards: length:{argument} names no number of tokens.",
                       f"Write {_EXAMPLES['length']}.")  # fmt: skip
    return int(number), limit


def pattern_of(argument: str) -> re.Pattern[str]:
    """The expression that a whole answer must match."""
    try:
        return re.compile(argument or DEFAULT_FORM, re.DOTALL)
    except re.error as error:
        text = f"objective.rewards: format:{argument} is no regular expression: {error}."
        raise BadInput(text, "Correct it, or write format alone for <think>…</think><answer>…</answer>.") from error


DEFAULT_FORM = (
    r"\s*<think>(?:(?!</?think>|</?answer>).)*</think>\s*<answer>(?:(?!</?think>|</?answer>).)*</answer>\s*"
)
"""Reasoning in its own tags and then the answer in its own, once each and nothing beside them."""

_EXAMPLES = {
    "length": "length:200 to aim at 200 tokens, or length:<200 not to exceed them",
    "format": "format alone, or a regular expression behind format:",
    "json": "json alone, or json:schema with the column of the schema",
    "function": "mypackage.rewards:score, or rewards.py:score",
    "model": "model: and the folder of a reward run's result",
}


def _meant(kind: str) -> str:
    near = difflib.get_close_matches(kind.lower(), KINDS, 1, 0.6)
    rest = f"one of {', '.join(KINDS)}, or a function of yours as module:function"
    return f"Did you mean {near[0]}? Write {rest}." if near else f"Write {rest}."
