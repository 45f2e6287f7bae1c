"""What tells the better of two answers to a prompt (`ftui.methods.judges`), ready to compare.

A judge is a function (first answers, second answers, columns) -> a verdict for each pair: above 0 where the first is
better, below 0 where the second is, 0 for a draw.  `columns` holds, one entry per pair, the columns of the prompts'
rows, "prompt" (messages), and "tokens" (the numbers of tokens of both answers).
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ftui import models
from ftui.data.template import choose_template
from ftui.data.tokenizer import load_tokenizer as load_rules
from ftui.errors import BadInput, FtuiError, RunFailed
from ftui.methods.judges import Judge
from ftui.worker.comparing import asked_which, letters
from ftui.worker.rewards import Place
from ftui.worker.rewards import build as build_rewards
from ftui.worker.rewards.function import load_function

Columns = Mapping[str, Sequence[Any]]
Compare = Callable[[Sequence[str], Sequence[str], Columns], "list[float]"]


class Panel:
    """The judges of a recipe in order: each decides where those before it call it a draw."""

    def __init__(self, judges: Sequence[Judge], criterion: str, place: Place) -> None:
        """`criterion` is what a model that is asked goes by.  Raises BadInput for a judge that can't be."""
        self.judges = judges
        self._compare = [_comparing(judge, criterion, place) for judge in judges]

    def __call__(self, first: Sequence[str], second: Sequence[str], columns: Columns) -> list[float]:
        """1.0 where the first answer of a pair is better, -1.0 where the second is, 0.0 where all judges draw.

        Answers that are the same are a draw without being asked about.
        """
        verdicts = [0.0] * len(first)
        for judge, compare in zip(self.judges, self._compare, strict=True):
            open_ = [place for place, verdict in enumerate(verdicts) if not verdict and first[place] != second[place]]
            if not open_:
                break
            given = {name: [values[place] for place in open_] for name, values in columns.items()}
            said = compare([first[place] for place in open_], [second[place] for place in open_], given)
            for place, verdict in zip(open_, _checked(judge, said, len(open_)), strict=True):
                verdicts[place] = verdict
        return verdicts


def _checked(judge: Judge, said: Sequence[Any], pairs: int) -> list[float]:
    """Verdicts as signs; RunFailed for what is none."""
    if len(said) != pairs:
        raise RunFailed(f"The judge {judge.name} gave {len(said)} verdicts for {pairs} pairs.",
                        "It must return one for each pair.")  # fmt: skip
    try:
        numbers = [0.0 if verdict is None else float(verdict) for verdict in said]
    except (TypeError, ValueError):
        raise RunFailed(f"The judge {judge.name} gave a verdict that is no number.",
                        "Return 0 for the first answer, 1 for the second, or None for a draw.") from None  # fmt: skip
    return [math.copysign(1.0, number) if number and math.isfinite(number) else 0.0 for number in numbers]


def _comparing(judge: Judge, criterion: str, place: Place) -> Compare:
    match judge.kind:
        case "shorter":
            return lambda first, second, columns: [b - a for a, b in columns["tokens"]]
        case "longer":
            return lambda first, second, columns: [a - b for a, b in columns["tokens"]]
        case "asks":
            return _Asked(judge.argument, criterion, place)
        case "function":
            return _own(judge)
    assert judge.reward is not None
    return _by_score(judge, place)


def _by_score(judge: Judge, place: Place) -> Compare:
    """The higher score wins; where either answer has none, it is a draw."""
    assert judge.reward is not None
    scorer = build_rewards([judge.reward], place)[0]

    def compare(first: Sequence[str], second: Sequence[str], columns: Columns) -> list[float]:
        sides = [
            scorer(texts, {**columns, "tokens": [pair[side] for pair in columns["tokens"]]})
            for side, texts in enumerate((first, second))
        ]
        return [0.0 if a is None or b is None else a - b for a, b in zip(*sides, strict=True)]

    return compare


def _own(judge: Judge) -> Compare:
    """A function of the user's own.  It is called with those of `first`, `second` (texts), `prompt`, `tokens` and the
    rows' columns that its signature names, each a list as long as there are pairs, or with all of them where it has **.

    It returns for each pair 0 where the first answer is better, 1 where the second is, and None or -1 for a draw, as
    trl's pairwise judges do.
    """
    function = load_function(judge.argument, "objective.judge")
    parameters = inspect.signature(function).parameters.values()
    takes_all = any(one.kind is one.VAR_KEYWORD for one in parameters)
    named = {one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    needed = {one.name for one in parameters if one.name in named and one.default is one.empty}

    def compare(first: Sequence[str], second: Sequence[str], columns: Columns) -> list[float]:
        given = {**columns, "first": list(first), "second": list(second)}
        if missing := needed - set(given):
            raise BadInput(f"The judge {judge.name} asks for {', '.join(sorted(missing))}, which the rows lack.",
                           f"They have: {', '.join(sorted(set(given) - {'first', 'second'}))}.")  # fmt: skip
        wanted = {name: value for name, value in given.items() if takes_all or name in named}
        try:
            said = list(function(**wanted))
        except FtuiError:
            raise
        except Exception as error:  # whatever a user's own function throws ends the run with its name, not a traceback
            raise RunFailed(f"The judge {judge.name} failed: {type(error).__name__}: {error}.",
                            "worker.log has the whole traceback; correct it and resume the run.") from error
        return [_sign(judge, verdict) for verdict in said]

    return compare


def _sign(judge: Judge, verdict: Any) -> float:
    if verdict is None or verdict == -1:
        return 0.0
    if verdict not in (0, 1):
        raise RunFailed(f"The judge {judge.name} gave {verdict!r}.",
                        "Return 0 for the first answer, 1 for the second, or None for a draw.")  # fmt: skip
    return -1.0 if verdict else 1.0


class _Asked:
    """A chat model that is asked which of two answers is better, once as A and B and once the other way round."""

    def __init__(self, name: str, criterion: str, place: Place) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        from ftui.worker.base import load_tokenizer

        folder = models.locate(name)
        if folder is None:
            raise BadInput(f"The judge {name} is not on this disk.", "Fetch it: ftui models download")
        rules = load_rules(folder)
        self.template = choose_template("auto", rules)
        self.tokenizer = load_tokenizer(folder, None)
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(
                folder, dtype=getattr(torch, place.dtype), trust_remote_code=False
            )
        except (OSError, ValueError, ImportError) as error:
            raise BadInput(f"The judge in {folder} can't be loaded: {error}", "Look at: ftui models show") from error
        self.model = model.to(place.device).eval().requires_grad_(False)
        self.letters, self.criterion, self.rows = letters(self.tokenizer, self.template), criterion, place.rows

    def __call__(self, first: Sequence[str], second: Sequence[str], columns: Columns) -> list[float]:
        there = self._shares(first, second, columns["prompt"])
        back = self._shares(second, first, columns["prompt"])
        # Who likes the first place calls both orders by it, which says nothing.
        return [one - other if (one - 0.5) * (other - 0.5) < 0 else 0.0
                for one, other in zip(there, back, strict=True)]  # fmt: skip

    def _shares(self, one: Sequence[str], other: Sequence[str], prompts: Sequence[Any]) -> list[float]:
        """How likely A is to be said rather than B."""
        from ftui.worker.answers import Prompt, first_shares

        asked = []
        for prompt, a, b in zip(prompts, one, other, strict=True):
            messages = asked_which(prompt, a, b, self.criterion)
            asked.append(Prompt(str(messages[-1]["content"]), self.template.render(messages, prompt=True)))
        found: list[float] = []
        for start in range(0, len(asked), self.rows):
            part = asked[start : start + self.rows]
            found += [shares[0] for shares in first_shares(self.model, self.tokenizer, part, self.letters)]
        return found
