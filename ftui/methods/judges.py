"""What tells the better of two answers as a recipe writes it: `shorter`, `asks:Qwen/Qwen3-4B`, `my.module:better`.

A judge compares: it needs no scale.  A list of them goes from the first to the last: each decides where those before
it call it a draw.  Every reward that scores (`ftui.methods.rewards`) is a judge, too, by its higher score.  The worker
has them in `ftui/worker/judges.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ftui.errors import BadInput
from ftui.methods.rewards import FUNCTION, Reward
from ftui.methods.rewards import parse as parse_reward
from ftui.methods.rewards import with_paths as reward_with_paths

COMPARING: dict[str, str] = {
    "shorter": "Fewer tokens win.",
    "longer": "More tokens win.",
    "asks": "A chat model says which is better, asked in both orders; where it says both, it is a draw.",
}
"""Kinds of judges that are no rewards, with what they prefer; a function of the user's own stands beside them."""


@dataclass(frozen=True)
class Judge:
    """One that compares: `argument` is the model that "asks" asks, or a "function"; `reward` is that of a "score"."""

    kind: str
    argument: str = ""
    reward: Reward | None = None

    @property
    def name(self) -> str:
        """As a recipe writes it."""
        if self.reward is not None:
            return f"function:{self.reward.name}" if self.reward.kind == "function" else self.reward.name
        return self.argument if self.kind == "function" else f"{self.kind}:{self.argument}".rstrip(":")


def parse(text: str) -> Judge:
    """A judge as a recipe writes it; BadInput with what to write otherwise."""
    written = text.strip()
    kind, _, argument = (part.strip() for part in written.partition(":"))
    if kind == "asks":
        if not argument:
            raise BadInput(f"objective.judge: {text!r} names no model to ask.", "Write asks: and a hub id or a folder.")
        return Judge("asks", argument)
    if kind in COMPARING:
        if argument:
            raise BadInput(f"objective.judge: {kind} takes no argument.", f"Write {kind} alone.")
        return Judge(kind)
    if kind != "function" and FUNCTION.fullmatch(written):
        return Judge("function", written)
    try:
        reward = parse_reward(written)
    except BadInput as error:
        raise BadInput(error.what.replace("objective.rewards", "objective.judge"),
                       f"{error.hint} {', '.join(COMPARING)} are judges, too.") from None  # fmt: skip
    if reward.weight != 1:
        raise BadInput(f"objective.judge: {text!r} has a weight, and a judge only says which answer is better.",
                       f"Write {reward.name}; the first judge that is no draw decides.")  # fmt: skip
    return Judge("score", reward=reward)


def parse_all(texts: Iterable[str]) -> tuple[Judge, ...]:
    """All judges of a recipe in order; BadInput where one is written twice, for its second word would never count."""
    found = tuple(parse(text) for text in texts)
    names = [judge.name for judge in found]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"objective.judge has {name} twice.", "Write it once.")
    return found


def with_paths(text: str, absolute: Callable[[str], str]) -> str:
    """`text` with the file or folder that it names as `absolute` gives it; what names none stays as it is."""
    try:
        judge = parse(text)
    except BadInput:
        return text
    if judge.kind == "asks":
        return f"asks:{absolute(judge.argument)}"
    if judge.kind == "function":
        module, _, name = judge.argument.rpartition(":")
        return f"{absolute(module)}:{name}" if module.endswith(".py") else text
    return reward_with_paths(text, absolute)
