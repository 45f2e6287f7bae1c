"""ROUGE-L: how much of two texts is the same words in the same order (Lin 2004, Text Summarization Branches Out)."""

from __future__ import annotations

import re
from collections.abc import Sequence

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Scripts that put no spaces between words: Thai, Lao, Burmese, Khmer, Japanese and Chinese."""
_word = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


def words_in(text: str) -> tuple[str, ...]:
    """A text's words, whatever their case and punctuation; each sign of a script without spaces is one."""
    return tuple(_word.findall(text.lower()))


def rouge_l(one: Sequence[str], other: Sequence[str]) -> float:
    """The F-measure of the longest common subsequence of words, in 0..1; 0 where one of the two has no words."""
    if not one or not other:
        return 0.0
    return 2 * common(one, other) / (len(one) + len(other))


def common(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence, a row of its table at a time as the bits of one number.

    The recurrence is that of Hyyrö 2004 (Bit-parallel LCS-length computation revisited): a zero bit is a step up.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    full = (1 << len(one)) - 1
    row = full
    for word in other:
        met = row & places.get(word, 0)
        row = ((row + met) | (row - met)) & full
    return len(one) - row.bit_count()
