"""A recipe's repairs for those who only count: the rows that a run would train on, rather than those of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftui.data import forms
from ftui.data.canonical import Row, RowError
from ftui.data.document import BadRow
from ftui.data.given import Given, SourceLike
from ftui.data.loading import load
from ftui.data.masking import Writer
from ftui.data.repairs import Context, Stage, parse, repaired
from ftui.documents import RowForm


@dataclass(frozen=True)
class Repairing:
    """The entries of `data.prepare`, and what some of them go by."""

    entries: tuple[Mapping[str, object], ...] = ()
    seed: int = 0
    validation: SourceLike | None = None
    """The file that is validated on; None where rows are held out."""

    def stage(self, tokens: Callable[[Row], int]) -> Stage | None:
        """What rows go through, None where nothing is repaired; `tokens` says how long a row is.  Raises BadInput."""
        asked = parse(self.entries)
        if not asked:
            return None
        context = Context(self.seed, lambda: good_rows(self.validation), tokens)
        return lambda items, drop: repaired(items, asked, context, drop)

    def plain(self) -> dict[str, Any]:
        """As JSON, for a process of its own."""
        file = self.validation
        named = {"path": file.path, "format": file.format, "columns": dict(file.columns)} if file else None
        return {"entries": [dict(entry) for entry in self.entries], "seed": self.seed, "validation": named}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Repairing:
        """Back from `plain()`."""
        file = plain["validation"]
        return cls(tuple(plain["entries"]), plain["seed"], Given(**file) if file else None)


def repairs_of(recipe: Any) -> Repairing:
    """The repairs that a recipe asks for."""
    from ftui.data.preparation import validation_source

    file = validation_source(recipe) if recipe.data.prepare and recipe.data.sources else None
    return Repairing(tuple(recipe.data.prepare), recipe.train.seed, file)


def good_rows(file: SourceLike | None) -> Iterator[Row]:
    """The rows of a file that can be read; none where there is no file."""
    rows = load(file).rows() if file is not None else iter(())
    return (row for row in rows if not isinstance(row, BadRow))


def tokens_of(row: Row, form: RowForm, writer: Writer) -> int:
    """A row's length in the form that is trained; 0 where the template refuses it, which is told of elsewhere."""
    try:
        return sum(writer.count(forms.texts(row, form, writer)))
    except RowError:
        return 0


def usual_form(row: Row) -> RowForm:
    """The form that rows of this kind are mostly trained in."""
    return next((form for form, kinds in forms.KINDS.items() if kinds[0] == row.kind), "sequence")


def say_left_out(dropped: Mapping[str, int]) -> str:
    """ "12 duplicate, 3 too long", the most frequent first."""
    ordered: Sequence[tuple[str, int]] = sorted(dropped.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{rows:,} {reason}" for reason, rows in ordered)
