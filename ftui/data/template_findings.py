"""What speaks against a chat template before anything is trained: rows that it refuses, and a mask that is wrong."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from ftui.data.canonical import Row, RowError
from ftui.data.document import BadRow, Finding
from ftui.data.mask_check import MEND_MASK
from ftui.data.survey import Kind, say_rows
from ftui.data.template import ChatTemplate
from ftui.data.turn_repairs import Rewrite, begin_with_user, fold_system, merge_turns
from ftui.units import count

OTHER_TEMPLATE = "Choose another with --template (data.template), such as chatml or plain, or mend the rows."
_EXAMPLES = 5
_REPAIRS: dict[str, tuple[Rewrite, str, str, str]] = {
    "fold_system": (
        fold_system, "system-refused", "with a system turn, which the chat template refuses",
        "Put it before the first question, where such models are told what to be.",
    ),
    "merge_turns": (
        merge_turns, "turns-refused", "with two turns of one role in a row, which the chat template refuses",
        "Make one turn of them.",
    ),
    "begin_with_user": (
        begin_with_user, "opening-refused", "that the assistant begins, which the chat template refuses",
        "Leave out what it says before the first question.",
    ),
}  # fmt: skip
"""A repair -> what it does, the finding that it mends, what was found, and what to do."""


def mask_finding(fault: str | None) -> Iterator[Finding]:
    """The fault as a finding that forbids training."""
    if fault:
        yield Finding(
            name="mask", severity="error", count=1, text=fault,
            why="A model learns what is marked as its own, and nothing else.", hint=MEND_MASK,
        )  # fmt: skip


def refusals(
    refused: Sequence[BadRow], sample: Sequence[Row], lengths: Sequence[int], template: ChatTemplate | None
) -> Iterable[Finding]:
    """The rows of a sample that the template refuses, each with the repairs by which it takes them.

    `lengths` has a -1 for each of them, in the order of `sample`; `refused` says why.
    """
    if not refused:
        return
    every = len(refused) == len(sample)
    rows = [row for row, length in zip(sample, lengths, strict=True) if length < 0]
    found: dict[str, Kind] = {name: Kind() for name in _REPAIRS}
    beyond = Kind()
    for bad, row in zip(refused, rows, strict=True):
        names = _mended_by(row, template)
        for name in names:
            found[name].add(row, bad.reason)
        if not names:
            beyond.add(row, bad.reason)
    severity: Literal["error", "warning"] = "error" if every else "warning"
    for name, (_, finding, text, hint) in _REPAIRS.items():
        if (kind := found[name]).count:
            yield Finding(
                name=finding, severity=severity, count=kind.count, text=f"{say_rows(kind.count)} {text}.",
                why="Such rows are left out of every training, or nothing is left to train on.", hint=hint,
                examples=tuple(kind.examples[:_EXAMPLES]), repair={name: None},
            )  # fmt: skip
    if beyond.count:
        yield Finding(
            name="template-refuses",
            severity=severity,
            count=beyond.count,
            text=f"The chat template refuses {count(beyond.count)} of {say_rows(len(sample))}.",
            why="A template may ask for user and assistant in turn, or know no system or tool turns.",
            hint=OTHER_TEMPLATE,
            examples=tuple(beyond.examples[:_EXAMPLES]),
        )


def _mended_by(row: Row, template: ChatTemplate | None) -> tuple[str, ...]:
    """The fewest repairs after which the template takes a row; none where no repair helps."""
    if template is None:
        return ()
    for size in range(1, len(_REPAIRS) + 1):
        for names in itertools.combinations(_REPAIRS, size):
            value: Mapping[str, Any] = row.value
            for name in names:
                value = _REPAIRS[name][0](value)
            if value != row.value and _takes(template, value):
                return names
    return ()


def _takes(template: ChatTemplate, value: Mapping[str, Any]) -> bool:
    try:
        if "messages" in value:
            template.render_row(value["messages"], value.get("tools"))
        for answer in ("chosen", "rejected", "completion"):
            if answer in value:
                template.render_row([*value["prompt"], *value[answer]], value.get("tools"))
        if value.keys().isdisjoint(("messages", "chosen", "completion")):
            template.render(value["prompt"], value.get("tools"), prompt=True)
    except RowError:
        return False
    return True
