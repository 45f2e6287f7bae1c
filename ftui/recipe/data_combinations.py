"""What can't stand together in a recipe's data section."""

from __future__ import annotations

from collections.abc import Iterator

from ftui.errors import BadInput
from ftui.recipe.document import Recipe

Wrong = tuple[str, str]
"""What can't be, with the reason, and what to write."""


def wrong_data(recipe: Recipe) -> Iterator[Wrong]:
    """Everything in the data section that no run could do as it says."""
    if recipe.data.hold_out != "random":
        yield from _held_out(recipe)
    for number, source in enumerate(recipe.data.sources):
        if source.streaming and source.limit is None:
            yield (f"data.sources[{number}].streaming fetches the first rows alone, and limit doesn't say how many.",
                   f"Write a limit for {source.path}, or leave out streaming.")


def _held_out(recipe: Recipe) -> Iterator[Wrong]:
    # The room of the data costs time, and few recipes ask for this.
    from ftui.data.hold_out import parse

    try:
        parse(recipe.data.hold_out)
    except BadInput as error:
        yield error.what, str(error.hint)
        return
    if _is_file(recipe.data.validation):
        yield (f"data.hold_out {recipe.data.hold_out} says which rows are held out, and data.validation is a file.",
               "Leave out data.hold_out, or write a share: data.validation: 0.05.")


def _is_file(validation: float | int | str) -> bool:
    if not isinstance(validation, str):
        return False
    try:
        float(validation)
    except ValueError:
        return True
    return False
