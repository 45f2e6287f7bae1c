"""By what a row is held out for validation: its content alone, or a column of its file (`data.hold_out`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Literal

from ftui.data.canonical import RowError
from ftui.errors import BadInput
from ftui.units import plain

Kind = Literal["stratified", "group", "time"]
KINDS: tuple[Kind, ...] = ("stratified", "group", "time")
_HINT = "Write random, stratified:COLUMN, group:COLUMN or time:COLUMN."


@dataclass(frozen=True)
class HoldOut:
    """The column that decides, and how: the same share of each of its values (stratified), all rows of a value on one
    side (group), or the newest rows (time)."""

    kind: Kind
    column: str

    def of(self, raw: Mapping[str, Any]) -> str | float:
        """What the column of a file's row says: its value's name, or its time in seconds.  Raises RowError."""
        value = raw.get(self.column)
        if value is None or value != value or (isinstance(value, str) and not value.strip()):
            raise RowError(f"its column {self.column}, by which rows are held out, is empty")
        if self.kind == "time":
            return _moment(value, self.column)
        if not isinstance(value, str | int | float | date):
            raise RowError(f"its column {self.column}, by which rows are held out, holds no name")
        return str(value).strip()


def parse(text: str) -> HoldOut | None:
    """None for "random"; raises BadInput for what is none of the four."""
    if text == "random":
        return None
    kind, _, column = text.partition(":")
    if kind not in KINDS or not column.strip():
        raise BadInput(f"data.hold_out is {plain(text)}.", _HINT)
    return HoldOut(kind, column.strip())


def _moment(value: Any, column: str) -> float:
    """Seconds, or whatever number grows with time; a date counts from its beginning, without a zone in UTC."""
    if isinstance(value, bool):
        raise RowError(f"its column {column}, by which rows are held out, holds no time")
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if not isinstance(value, datetime):
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
        try:
            value = datetime.fromisoformat(str(value).strip())
        except ValueError:
            said = plain(str(value)[:40])
            raise RowError(f"its column {column}, by which rows are held out, holds no time: {said!r}") from None
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
