"""Prepared rows of the forms other than plain sequences: pairs, labelled answers, prompts, answered ones and classes.

Each is a `StoredRows`: five bytes per token, and a row's dictionary only while somebody looks at it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ftui.data.masking import Tokens
from ftui.data.token_rows import StoredRows, TokenRows, TokenStore


class BesideRows(StoredRows):
    """Rows of one stored sequence each, with something beside it."""

    def __init__(
        self, store: TokenStore, groups: Iterable[Sequence[int]], beside: Mapping[int, Mapping[str, Any]]
    ) -> None:
        super().__init__(store, groups)
        self._beside = beside

    def digest(self) -> str:
        """As of all rows, with what stands beside them."""
        beside = json.dumps(self._beside, default=str)
        return hashlib.sha256((super().digest() + beside).encode("utf-8", "replace")).hexdigest()


class PicturedRows(BesideRows, TokenRows):
    """`TrainingRow` with the files of its images under "images"."""

    def _row(self, members: list[int]) -> Any:
        images = self._beside.get(members[0], {}).get("images", [])
        return {**super()._row(members), "images": images}


class PairRows(BesideRows):
    """A prompt with a better and a worse answer.

    {"prompt_ids", "chosen_ids", "rejected_ids", "chosen_mask", "rejected_mask"}: the masks say which tokens of an
    answer are the assistant's own, 1 or 0.  "margin" says by how much the chosen one is better, where any row says it.
    """

    def _row(self, members: list[int]) -> dict[str, Any]:
        chosen, rejected = (self._store.row(member) for member in members)
        begin = min(_prompt_length(chosen), _prompt_length(rejected))
        margin = {"margin": self._beside.get(members[0], {}).get("margin", 0.0)} if self._beside else {}
        return {
            "prompt_ids": chosen.ids[:begin].tolist(),
            "chosen_ids": chosen.ids[begin:].tolist(), "rejected_ids": rejected.ids[begin:].tolist(),
            "chosen_mask": list(chosen.trained[begin:]), "rejected_mask": list(rejected.trained[begin:]), **margin,
        }

    def lengths(self) -> list[int]:
        """Twice the longer side: both are padded to one width."""
        return [2 * max(map(self._store.length, self.members(index))) for index in range(len(self))]


class LabelledRows(BesideRows):
    """A prompt with an answer that was good or bad: {"prompt_ids", "completion_ids", "completion_mask", "label"}."""

    def _row(self, members: list[int]) -> dict[str, Any]:
        tokens = self._store.row(members[0])
        begin = _prompt_length(tokens)
        return {
            "prompt_ids": tokens.ids[:begin].tolist(), "completion_ids": tokens.ids[begin:].tolist(),
            "completion_mask": list(tokens.trained[begin:]), "label": self._beside[members[0]]["label"],
        }


class PromptRows(BesideRows):
    """What the model answers: {"prompt_ids", "prompt": messages, and the columns that a reward looks at}."""

    def _row(self, members: list[int]) -> dict[str, Any]:
        return {**self._beside[members[0]], "prompt_ids": self._store.row(members[0]).ids.tolist()}


class AnsweredRows(BesideRows):
    """A prompt with the data's answer: {"prompt_ids", "completion_ids", "completion_mask"}.

    The mask says which tokens of the answer are the assistant's own; both are empty where the data has no answer.
    """

    def _row(self, members: list[int]) -> dict[str, Any]:
        tokens = self._store.row(members[0])
        begin, end = _prompt_length(tokens), tokens.trained.rfind(1) + 1
        return {
            "prompt_ids": tokens.ids[:begin].tolist(), "completion_ids": tokens.ids[begin : max(begin, end)].tolist(),
            "completion_mask": list(tokens.trained[begin : max(begin, end)]),
        }

    def unanswered(self) -> int:
        """How many rows have a prompt alone."""
        return sum(1 not in self._store.row(self.members(index)[0]).trained for index in range(len(self)))


class ClassRows(BesideRows):
    """A text with its class: {"input_ids", "label"}; with several labels, "label" has a 0.0 or 1.0 for each of them."""

    def __init__(
        self, store: TokenStore, groups: Iterable[Sequence[int]], beside: Mapping[int, Mapping[str, Any]],
        labels: Sequence[str], *, multi: bool,
    ) -> None:
        super().__init__(store, groups, beside)
        self._number = {label: number for number, label in enumerate(labels)}
        self._multi = multi

    def _row(self, members: list[int]) -> dict[str, Any]:
        ids = self._store.row(members[0]).ids.tolist()
        numbers = [self._number[label] for label in self._beside[members[0]]["labels"]]
        if not self._multi:
            return {"input_ids": ids, "label": numbers[0], **self._task(members[0])}
        label = [float(number in numbers) for number in range(len(self._number))]
        return {"input_ids": ids, "label": label, **self._task(members[0])}

    def label_counts(self) -> list[int]:
        """How many rows have each label, by the labels' numbers."""
        counts = [0] * len(self._number)
        for index in range(len(self)):
            for label in set(self._beside[self.members(index)[0]]["labels"]):
                counts[self._number[label]] += 1
        return counts


def _prompt_length(tokens: Tokens) -> int:
    """How many tokens stand before the first that is trained."""
    first = tokens.trained.find(1)
    return len(tokens.ids) if first < 0 else first
