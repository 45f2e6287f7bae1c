"""Several answers to one prompt that were scored or ranked -> the best of them against the worst."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ftui.data.canonical import RowError
from ftui.data.parts import (
    Columns,
    is_nan,
    kind_of,
    list_in,
    needs_answer,
    system_turn,
    tools_in,
    turns_of,
    value_in,
)

_ANSWER = ("response", "answer", "text", "content", "completion", "output")
_SCORE = ("fine-grained_score", "overall_score", "score", "rating", "reward")
"""UltraFeedback's overall_score is known to be 10 where a 1 was meant; the mean of the aspects is not."""


def ranked(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """A prompt and a list of answers with scores (higher is better) or ranks (1 is best), beside them or within them.

    The margin is the difference of the two scores; ranks have none.
    """
    prompt = turns_of(value_in(row, columns, "prompt"), "user", columns["prompt"])
    if not any(str(turn["content"]).strip() for turn in prompt):
        raise RowError("the prompt is empty")
    answers = list_in(row, columns, "answers", needed=True)
    by_rank, scores = _scores(row, columns, answers)
    known = [(score, place) for place, score in enumerate(scores) if score is not None]
    if len(known) < 2:
        raise RowError("fewer than two of its answers are scored")
    # Of equal ones the first is the best, and the last the worst.
    best, worst = max(known, key=lambda one: (one[0], -one[1])), min(known, key=lambda one: (one[0], -one[1]))
    if best[0] == worst[0]:
        raise RowError("all its answers are scored alike")
    chosen, rejected = (turns_of(_said(answers[place]), "assistant", columns["answers"]) for _, place in (best, worst))
    needs_answer(chosen)
    needs_answer(rejected)
    if chosen == rejected:
        raise RowError("its best and its worst answer are the same")
    margin = {} if by_rank else {"margin": best[0] - worst[0]}
    return {"prompt": [*system_turn(row, columns, prompt), *prompt], "chosen": chosen, "rejected": rejected,
            **margin, **tools_in(row, columns)}  # fmt: skip


def _scores(row: Mapping[str, Any], columns: Columns, answers: list[Any]) -> tuple[bool, list[float | None]]:
    """Whether they are ranks, and for each answer a number that is higher for a better one; None without one."""
    for part, sign in (("scores", 1), ("ranks", -1)):
        if part in columns and row.get(columns[part]) is not None:
            given = list_in(row, columns, part, needed=True)
            if len(given) != len(answers):
                raise RowError(f"{len(given)} {part} for {len(answers)} answers")
            return sign < 0, [None if (number := _number(one)) is None else sign * number for one in given]
    if not all(isinstance(answer, Mapping) for answer in answers):
        raise RowError("its answers have no scores")
    if all(_number(answer.get("rank")) is not None for answer in answers):
        return True, [-float(answer["rank"]) for answer in answers]
    return False, [_score_within(answer) for answer in answers]


def _score_within(answer: Mapping[str, Any]) -> float | None:
    """The mean of the aspects' ratings (UltraFeedback's annotations), else a score of the answer itself."""
    annotations = answer.get("annotations")
    if isinstance(annotations, Mapping):
        aspects = [_number(aspect.get("Rating")) for aspect in annotations.values() if isinstance(aspect, Mapping)]
        if numbers := [number for number in aspects if number is not None]:
            return sum(numbers) / len(numbers)
    return next((number for name in _SCORE if (number := _number(answer.get(name))) is not None), None)


def _said(answer: Any) -> Any:
    if not isinstance(answer, Mapping) or {"role", "from"} & answer.keys():
        return answer
    said = next((answer[name] for name in _ANSWER if answer.get(name) is not None), None)
    if said is None:
        raise RowError(f"an answer is {kind_of(answer)} without a text")
    return said


def _number(value: Any) -> float | None:
    """A number, or the text of one; "N/A", as UltraFeedback writes where there is no rating, is none."""
    if isinstance(value, bool) or value is None or is_nan(value):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < float("inf") else None
