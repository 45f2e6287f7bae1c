"""1 where an answer's final value is the right one: numbers by their value, words without case and punctuation."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from ftui.worker.rewards import Place, Score, column

_NUMBER = re.compile(r"[-+−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s*/\s*[1-9]\d*)?|[-+−]?\.\d+")
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_WORD = re.compile(r"[^\w]+")


def build(argument: str, place: Place) -> Score:
    """`argument` is the column of the right answers; a row without one is not scored."""
    return lambda completions, columns: [
        None if answer is None else float(same(completion, answer))
        for completion, answer in zip(completions, column(columns, argument, "exact"), strict=True)
    ]


def same(completion: str, answer: Any) -> bool:
    """Whether a completion ends in the value that `answer` ends in."""
    wanted, found = final(str(answer)), final(completion)
    right, given = _value(wanted), _value(found)
    if right is not None:
        return right == given
    return bool(_plain(wanted)) and _plain(found) == _plain(wanted)


def final(text: str) -> str:
    """What a text gives as its answer: behind the last ####, in the last \\boxed{}, in the last <answer>; else the last
    number of it, else the whole of it."""
    if "####" in text:
        return text.rpartition("####")[2].strip().split("\n")[0].strip()
    if (boxed := _boxed(text)) is not None:
        return boxed
    if tagged := _ANSWER.findall(text):
        return final(str(tagged[-1]).strip())
    numbers = _NUMBER.findall(text)
    return numbers[-1] if numbers else text.strip()


def _boxed(text: str) -> str | None:
    """What stands in the last \\boxed{} that is closed, with the braces in it."""
    start = text.rfind("\\boxed{")
    while start >= 0:
        depth = 0
        for index in range(start + len("\\boxed"), len(text)):
            depth += {"{": 1, "}": -1}.get(text[index], 0)
            if depth == 0:
                return text[start + len("\\boxed{") : index].strip()
        start = text.rfind("\\boxed{", 0, start)
    return None


def _value(text: str) -> Fraction | None:
    """The number that a text is, beside units and marks; None where it holds none, or several."""
    fraction = re.fullmatch(r"\s*([-+−]?)\s*\\[dt]?frac\{(\d+)\}\{([1-9]\d*)\}\s*", text)
    if fraction:
        return Fraction(int(fraction[2]), int(fraction[3])) * (-1 if fraction[1] in ("-", "−") else 1)
    numbers = _NUMBER.findall(text)
    if len(numbers) != 1 or re.search(r"[A-Za-z]", text.split(numbers[0])[0]):
        return None
    plain = re.sub(r"[\s,+]", "", numbers[0]).replace("−", "-")
    above, _, below = plain.partition("/")
    return Fraction(above) / Fraction(below or "1")


def _plain(text: str) -> str:
    return _WORD.sub(" ", text).strip().casefold()
