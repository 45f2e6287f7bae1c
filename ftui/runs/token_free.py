"""A recipe holds no token: it is kept with its run, copied, printed, and published with a result."""

from __future__ import annotations

from ftui.errors import Refused
from ftui.recipe.document import Recipe
from ftui.redaction import holds_token, place_of_token


def require_no_token(recipe: Recipe, text: str | None = None) -> None:
    """Raises Refused, without repeating it, where a recipe or its file holds a token: a run keeps both, and a result
    carries them along."""
    place = place_of_token(recipe.as_dict())
    if place is None and (text is None or not holds_token(text)):
        return
    raise Refused(
        f"{place or 'A remark in the recipe'} holds a token, which would lie in the run's folder and its result.",
        "Take it out and name its environment variable: a command at the end finds it there, as $HF_TOKEN.",
    )
