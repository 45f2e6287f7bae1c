"""Near copies among texts: MinHash finds candidates, their word sequences decide.

A text counts as the set of its runs of five words, whatever their case and punctuation.  Two texts are near copies
where the sets' Jaccard index (shared runs by all runs) reaches a threshold.  Candidates come from one-permutation
MinHash (Li, Owen and Zhang 2012) whose empty bins are filled as Shrivastava 2017 has it, in bands (Leskovec et al.,
Mining of Massive Datasets, 3.4); each candidate is then decided by the sets themselves.  What grows is on disk: see
`grown`.
"""

from __future__ import annotations

import functools
import itertools
import re
import zlib
from collections.abc import Iterable, Iterator, Set

from ftui.data.grown import Sets, slots

WORDS = 5
"""Words of a run."""
THRESHOLD = 0.8
_BANDS, _BAND_BINS = 14, 5
"""At an index of 0.8 one of the bands agrees with 0.996, at 0.5 with 0.36, at 0.2 with 0.004."""
_BINS = _BANDS * _BAND_BINS
_FIRST_ROWS, _GROWTH = 1 << 15, 4
_MASK, _MASK64 = (1 << 32) - 1, (1 << 64) - 1
_word = re.compile(r"\w+")
_ASCII_WORDS = bytes(
    ord(chr(byte).lower()) if byte < 128 and _word.fullmatch(chr(byte)) else ord(" ") for byte in range(256)
)
"""What each byte of an ASCII text is to its words: a small letter, a digit, or what stands between two of them."""


_LOOKED_AT = 1 << 20
"""Characters of a text by which it counts: the beginning of a book stands for the book."""


# The same row is asked for copies and for leaks, one after the other.
@functools.lru_cache(maxsize=4)
def runs_of(text: str) -> frozenset[int]:
    """The text's runs of five words as 64-bit hashes; of fewer words, all of them are one run; none has no run.

    Words count by their CRC and runs by Python's hash of a tuple of numbers, which is xxHash and the same everywhere:
    a fifth of the time that any hash written here would take.
    """
    text = text[:_LOOKED_AT]
    if text.isascii():
        spelled = text.encode().translate(_ASCII_WORDS)
    else:
        spelled = " ".join(_word.findall(text.lower())).encode("utf-8", "replace")
    words = [*map(zlib.crc32, spelled.split())]
    if len(words) < WORDS:
        return frozenset({hash(tuple(words))} if words else ())
    return frozenset(map(hash, zip(words, words[1:], words[2:], words[3:], words[4:], strict=False)))


def similarity(one: Set[int], other: Set[int]) -> float:
    """The Jaccard index of two sets of runs; 0 where both are empty."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared) if shared else 0.0


def signature(runs: Iterable[int]) -> list[int]:
    """The smallest run of each bin; an empty bin shows the one that its own random walk over the bins meets first."""
    # The smallest comes last, and the last stays.
    lowest = {run % _BINS: run for run in sorted(runs, reverse=True)}
    return [
        lowest[bin] if bin in lowest else lowest[next(filter(lowest.__contains__, _walk(bin, lowest)))]
        for bin in range(_BINS)
    ]


class NearIndex:
    """Texts to be found again by near copies of them."""

    def __init__(self, threshold: float = THRESHOLD) -> None:
        self.threshold = threshold
        self._sets = Sets()
        self._tables = [_BandTable(_FIRST_ROWS)]

    def __len__(self) -> int:
        return len(self._sets)

    def find(self, runs: frozenset[int]) -> int | None:
        """The number of the earliest near copy among the added, None where there is none."""
        return self._find(runs, _bands(runs)) if runs else None

    def add(self, runs: frozenset[int]) -> int:
        """Add a text; its number, counted from 0."""
        return self._add(runs, _bands(runs) if runs else [])

    def find_or_add(self, runs: frozenset[int]) -> int | None:
        """As `find`; a text without a near copy is added."""
        bands = _bands(runs) if runs else []
        found = self._find(runs, bands) if runs else None
        if found is None:
            self._add(runs, bands)
        return found

    def _find(self, runs: frozenset[int], bands: list[int]) -> int | None:
        candidates = {row for table in self._tables for row in table.candidates(bands)}
        return next((row for row in sorted(candidates) if self._is_near(runs, row)), None)

    def _add(self, runs: frozenset[int], bands: list[int]) -> int:
        number = len(self)
        self._sets.append(runs)
        if bands:
            if self._tables[-1].full:
                self._tables.append(_BandTable(_GROWTH * self._tables[-1].rows))
            self._tables[-1].add(bands, number)
        return number

    def _is_near(self, runs: frozenset[int], row: int) -> bool:
        stored = self._sets.size(row)
        if min(len(runs), stored) < self.threshold * max(len(runs), stored):
            return False
        return similarity(runs, set(self._sets.read(row))) >= self.threshold


class _BandTable:
    """An open hash table of (band's hash -> row), half full at most.

    A slot holds the hash's upper half and, in the lower 32 bits, the row's number + 1; 0 is an empty slot.
    """

    def __init__(self, rows: int) -> None:
        self.rows, self._added = rows, 0
        count = 1 << (2 * rows * _BANDS - 1).bit_length()
        self._mask, self._slots = count - 1, slots(count)

    @property
    def full(self) -> bool:
        return self._added >= self.rows

    def candidates(self, bands: list[int]) -> Iterator[int]:
        for band in bands:
            tag, at = band >> 32, band & self._mask
            while entry := self._slots[at]:
                if entry >> 32 == tag:
                    yield (entry & _MASK) - 1
                at = (at + 1) & self._mask

    def add(self, bands: list[int], row: int) -> None:
        self._added += 1
        for band in bands:
            tag, at = band >> 32, band & self._mask
            while (entry := self._slots[at]) and entry >> 32 != tag:
                at = (at + 1) & self._mask
            # Of rows that share a band the first one stands for all: the others were no copies of it, and a band
            # that thousands share (a common beginning) must not cost thousands of comparisons each time.
            if not entry:
                self._slots[at] = tag << 32 | (row + 1)


@functools.lru_cache(maxsize=4)
def _bands(runs: frozenset[int]) -> list[int]:
    """64-bit hashes of the signature's bands, each with its number."""
    values = signature(runs)
    return [hash((start, *values[start : start + _BAND_BINS])) & _MASK64 for start in range(0, _BINS, _BAND_BINS)]


def _mixed(value: int) -> int:
    """A bijection of 32-bit numbers that leaves no pattern (murmur3's finalizer)."""
    value = (value ^ value >> 16) * 0x85EBCA6B & _MASK
    value = (value ^ value >> 13) * 0xC2B2AE35 & _MASK
    return value ^ value >> 16


def _walk(bin: int, filled: Iterable[int]) -> Iterator[int]:
    """The bins in an order of its own for each bin, the same for every text; then, rarely, those that are filled."""
    return itertools.chain(_WALKS[bin], filled)


_WALKS = [[_mixed(bin << 16 | step) % _BINS for step in range(1, 4 * _BINS)] for bin in range(_BINS)]
