"""A model's own code on the way to a run: pinned in the recipe, and refused where nobody has agreed to it."""

from __future__ import annotations

from ftui.errors import FtuiError
from ftui.models.document import ModelShape
from ftui.models.own_code import COMMIT, look
from ftui.models.trusted import trusted, untrusted
from ftui.recipe.document import Recipe


def with_agreed_commit(recipe: Recipe) -> Recipe:
    """`recipe` with the revision to whose code the user has agreed, where it leaves the revision open."""
    hash = recipe.model.trust_code
    if hash is None or recipe.model.revision or not COMMIT.fullmatch(hash):
        return recipe
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"revision": hash})})


def with_agreed_code(recipe: Recipe, shape: ModelShape) -> Recipe:
    """`recipe` with the hash of its model's own code, where it leaves that open and the user agreed to it before."""
    if not shape.remote_code or recipe.model.trust_code is not None:
        return recipe
    try:
        code = look(recipe.model.base, recipe.model.revision)
    except FtuiError:
        # What is wrong with it is said as an obstacle.
        return recipe
    if code is None or not trusted(code.ref, code.hash):
        return recipe
    agreed = recipe.model.model_copy(update={"trust_code": code.hash})
    return with_agreed_commit(recipe.model_copy(update={"model": agreed}))


def untrusted_code(recipe: Recipe, shape: ModelShape) -> tuple[str, str] | None:
    """Why the model's own code may not run, and what to do; None where it may, or there is none."""
    if not shape.remote_code:
        return None
    try:
        return untrusted(recipe.model.base, recipe.model.revision, recipe.model.trust_code)
    except FtuiError as error:
        return error.what, error.hint or "Choose a model of an architecture that transformers knows."
