"""The card of a method: all that its row declares, in words, for the wizard's `?` and for `ftui methods show`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ftui.errors import BadInput
from ftui.methods import ADAPTERS, OBJECTIVES, AdapterRow, ObjectiveRow
from ftui.recipe.declaration import Setting, settings_of
from ftui.recipe.names import nearest

Section = Literal["objective", "adapter"]

FORMS = {
    "sequence": "rows as they stand, each one sequence",
    "pair": "a prompt with a chosen and a rejected answer",
    "labelled": "a prompt with one answer, marked good or bad",
    "prompt": "a prompt; the model writes the answers itself",
    "answered": "a prompt, with the data's answer where it has one",
    "class": "a text with its class or classes",
}
"""What an objective is handed of each row, in words."""


@dataclass(frozen=True)
class Card:
    """One method: `facts` are labels with their texts, in order; `settings` its options, the kind itself left out."""

    section: Section
    kind: str
    title: str
    when: str
    facts: tuple[tuple[str, str], ...]
    settings: tuple[Setting, ...]
    source: str


def card(section: Section, kind: str) -> Card:
    """The card of an objective or adapter; KeyError where there is no such kind."""
    row: ObjectiveRow | AdapterRow = OBJECTIVES[kind] if section == "objective" else ADAPTERS[kind]
    facts = _objective(row) if isinstance(row, ObjectiveRow) else _adapter(row)
    if not row.trains:
        facts = (("trains", "not yet: it can be planned only"), *facts)
    settings = tuple(each for each in settings_of(row.options, section) if each.name != "kind")
    return Card(section, kind, row.title, row.when, facts, settings, row.source)


def find_card(name: str) -> Card:
    """The card of a name, which no objective shares with an adapter; BadInput with the nearest otherwise."""
    if name in OBJECTIVES:
        return card("objective", name)
    if name in ADAPTERS:
        return card("adapter", name)
    near = nearest(name, [*OBJECTIVES, *ADAPTERS], 0.5)
    raise BadInput(
        f"There is no objective or adapter {name!r}.",
        f"Did you mean {near}?" if near else "`ftui methods` lists them all.",
    )


def _objective(row: ObjectiveRow) -> tuple[tuple[str, str], ...]:
    head = "one score in place of the vocabulary" if row.head == "scores" else "the vocabulary"
    return (
        ("data", f"{' or '.join(row.data)} rows"),
        ("reads", FORMS[row.form]),
        ("ends in", head),
        ("best by", row.best),
    )


def _adapter(row: AdapterRow) -> tuple[tuple[str, str], ...]:
    bases = [name for name, works in (("fp32 and 16 bits", True), ("nf4", row.on_nf4), ("int8", row.on_int8)) if works]
    refused = [name for name, works in (("nf4", row.on_nf4), ("int8", row.on_int8)) if not works]
    facts = [
        ("trains", row.formula),
        ("bases", ", ".join(bases) + (f"; not {' or '.join(refused)}" if refused else "")),
        ("merged", _merging(row)),
        ("answering", row.inference),
        ("variants", row.variants),
        ("result", "a whole model" if row.saved == "model" else "a small file beside its base"
         + (", which peft loads once ftui.tuners is imported" if row.tuners else "")),
        ("measured", _measured(row)),
    ]
    return tuple((label, text) for label, text in facts if text)


def _merging(row: AdapterRow) -> str:
    if row.saved == "model":
        return "nothing to merge: the result is a model"
    if not row.mergeable:
        return "no: it stays beside the base"
    quantized = "; into a quantized base with the rounding of a second quantization" if row.requantizes else ""
    return f"yes, exactly, into a base of 16 or 32 bits{quantized}"


def _measured(row: AdapterRow) -> str:
    if row.compared is None:
        return ""
    how = f" ({row.compared.how})" if row.compared.how else ""
    return (f"{row.compared.accuracy:.1%} right on GSM8K with {row.compared.parameters:,} parameters{how}: "
            "PEFT's comparison, Llama 3.2 3B")
