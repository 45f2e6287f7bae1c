"""Which columns would make the rows of a file into what an objective trains on, said so that it can be copied."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from ftui.data.document import FormatName, Source
from ftui.units import plain

USUAL: dict[str, tuple[FormatName, tuple[str, ...]]] = {
    "class": ("classification", ("text", "label")),
    "conversation": ("prompt-completion", ("prompt", "completion")),
    "preference": ("preference", ("prompt", "chosen", "rejected")),
    "labelled": ("kto", ("prompt", "completion", "label")),
    "prompt": ("prompt", ("prompt",)),
    "text": ("text", ("text",)),
}
"""The plainest format of each kind of rows, and the parts that a person would name."""
NAMED = 8
"""So many columns are listed."""


def mapping_hint(source: Source, number: int, kinds: Sequence[str]) -> str | None:
    """How to read `source`, the recipe's `number`-th from 0, as rows of the first of `kinds` that it has columns for.

    A part whose column can't be guessed stands there as COLUMN.  None for a file without columns.
    """
    present = list(source.available_columns)
    for kind in kinds:
        format, parts = USUAL[kind]
        if len(parts) <= len(present):
            columns = json.dumps(_guessed(parts, present, source.columns), ensure_ascii=False)
            listed = ", ".join(map(plain, present[:NAMED])) + (", ..." if len(present) > NAMED else "")
            at = f"data.sources.{number}"
            return (
                f"Its columns are {listed}; say which is which: --set {at}.format={format} --set "
                f"{shlex.quote(f'{at}.columns={columns}')}, or m on the wizard's Data step."
            )
    needed = " and ".join(USUAL[kinds[0]][1])
    return f"It has no more columns than {', '.join(map(plain, present))}; {needed} are needed." if present else None


def _guessed(parts: Sequence[str], present: Sequence[str], read: dict[str, str]) -> dict[str, str]:
    """A column for each part: the one of its name, the one that is read as it now, or the only one that is left."""
    found = {part: part if part in present else read.get(part, "") for part in parts}
    free = [column for column in present if column not in found.values()]
    open_parts = [part for part, column in found.items() if not column]
    if len(open_parts) == len(free) == 1:
        found[open_parts[0]] = free[0]
    return {part: column or "COLUMN" for part, column in found.items()}
