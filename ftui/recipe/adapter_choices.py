"""Which adapters a recipe could have in place of its own, and why not each of the others, before anything loads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from ftui.methods import ADAPTERS, AdapterRow
from ftui.recipe.combinations import wrong_combinations
from ftui.recipe.document import Recipe
from ftui.recipe.pairs import impossible_pairs

USUAL = "lora"
"""What most else is measured by, and what is taken where nothing speaks for another."""


@dataclass(frozen=True)
class AdapterChoice:
    """An adapter for a recipe: the pick, one that could be trained, or one that can't; and why."""

    adapter: str
    fit: Literal["pick", "possible", "impossible"]
    reason: str


def adapter_choices(recipe: Recipe, kinds: Iterable[str] = tuple(ADAPTERS)) -> tuple[AdapterChoice, ...]:
    """Each of `kinds` in their order, judged for the rest of `recipe`: its base, its objective and its rows' form."""
    usual = set(_wrong(_with(recipe, USUAL)))
    return tuple(_choice(recipe, kind, usual) for kind in kinds)


def _wrong(recipe: Recipe) -> Iterator[str]:
    """What can't be in `recipe`, in sentences."""
    yield from (why for _, why in impossible_pairs(recipe))
    yield from (what for what, _ in wrong_combinations(recipe))


def _choice(recipe: Recipe, kind: str, usual: set[str]) -> AdapterChoice:
    row = ADAPTERS[kind]
    if not row.trains:
        return AdapterChoice(kind, "impossible", "it can be planned, not trained yet")
    # What is wrong with the usual adapter, too, is no matter of the adapter.
    wrong = next((what for what in _wrong(_with(recipe, kind)) if what not in usual), None)
    if wrong:
        return AdapterChoice(kind, "impossible", wrong)
    if kind == USUAL:
        return AdapterChoice(kind, "pick", row.when)
    return AdapterChoice(kind, "possible", f"{row.when}{_against(row)}")


def _with(recipe: Recipe, kind: str) -> Recipe:
    return recipe if recipe.adapter.kind == kind else recipe.model_copy(update={"adapter": ADAPTERS[kind].options()})


def _against(row: AdapterRow) -> str:
    """What its row says against it, beside the usual one's."""
    usual = ADAPTERS[USUAL].compared
    found = []
    if row.compared and usual and row.compared.accuracy < usual.accuracy:
        found.append(f"{row.compared.accuracy:.0%} right in PEFT's comparison, LoRA {usual.accuracy:.0%}")
    if row.saved == "adapter" and not row.mergeable:
        found.append("can't be merged")
    return f" ({'; '.join(found)})" if found else ""
