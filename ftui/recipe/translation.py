"""A flat configuration of transformers, trl, peft, LLaMA-Factory or axolotl as a recipe of ftui's, line by line.

Nothing is guessed: each key is translated and said, or left out with its reason, or refused.  What the configuration
leaves out is planned by ftui; the other tool's defaults are not taken over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftui.errors import BadInput
from ftui.recipe import foreign_words as words
from ftui.recipe.check import build
from ftui.recipe.declaration import sections
from ftui.recipe.document import Recipe
from ftui.recipe.foreign_rules import BY_RULE, RULES, Reading
from ftui.recipe.names import ELSEWHERE, nearest
from ftui.recipe.text import load, read_text

LLAMA_FACTORY = {"stage", "finetuning_type", "cutoff_len", "lora_target", "dataset_dir", "pref_beta",
                 "quantization_bit"}
AXOLOTL = {"base_model", "sequence_len", "micro_batch_size", "val_set_size", "datasets", "sample_packing",
           "lora_target_linear", "train_on_inputs"}
KNOWN = frozenset(words.SAME) | frozenset(words.LEFT_OUT) | frozenset(BY_RULE)
"""Keys by which another tool's configuration is known."""
OWN = frozenset({"name", "version"})
"""Keys at the top of a recipe that another tool's file may have as well."""


@dataclass(frozen=True)
class Translation:
    """`recipe` says what the file said; `said` has a line for each of its keys."""

    tool: str
    recipe: Recipe
    said: tuple[str, ...]


def is_foreign(values: Any) -> bool:
    """Whether these are another tool's keys rather than sections of ftui's."""
    if not isinstance(values, Mapping) or not values:
        return False
    ours = set(sections()) | {"stages"}
    if any(key in ours and isinstance(value, Mapping | list) for key, value in values.items()):
        return False
    return any(str(key) in KNOWN for key in values if key not in OWN)


def translated(path: str | Path) -> Translation | None:
    """The file at `path` as a recipe, None where it is one already; BadInput naming what can't be translated."""
    text = read_text(path, "recipe", "`ftui presets` lists those that ship with ftui.")
    values, _ = load(text, str(path))
    return translate(values, str(path)) if is_foreign(values) else None


def translate(given: Mapping[str, Any], where: str = "The configuration") -> Translation:
    """The recipe that a flat mapping of another tool's keys stands for."""
    reading = Reading({str(key): value for key, value in given.items()})
    for key, value in reading.given.items():
        if value is None or value == "" or value == [] or value == {}:
            # Nothing was asked for; axolotl's examples are full of such.
            reading.done.add(key)
    for rule in RULES:
        rule(reading)
    for key in reading.given:
        if key in reading.done:
            continue
        if key in words.SAME:
            reading.put(key, words.SAME[key], reading.given[key])
        elif key in words.LEFT_OUT:
            reading.leave(key, words.LEFT_OUT[key])
        elif key == "name":
            reading.put(key, "name", reading.given[key])
        else:
            reading.refuse(key, _unknown(key))
    tool = _tool(reading.given)
    if reading.refused:
        count = len(reading.refused)
        raise BadInput(
            f"{where} is a configuration of {tool}, and {count} of its keys can't be translated: "
            + "; ".join(reading.refused) + ".",
            "Take them out of the file, or write them as ftui's settings (`ftui recipe schema` lists those).",
        )
    return Translation(tool, build(_nested(reading.values), f"{where}, as translated from {tool}"), tuple(reading.said))


def _tool(given: Mapping[str, Any]) -> str:
    keys = set(given)
    if keys & LLAMA_FACTORY:
        return "LLaMA-Factory"
    return "axolotl" if keys & AXOLOTL else "transformers, trl or peft"


def _unknown(key: str) -> str:
    if here := ELSEWHERE.get(key.lower()):
        return f"write {here} as ftui means it"
    near = nearest(key, KNOWN, 0.8)
    return "ftui knows no such key" + (f"; did you mean {near}?" if near else "")


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted paths as sections; an adapter's or objective's settings need its kind."""
    raw: dict[str, Any] = {}
    for path, value in values.items():
        section, _, name = path.rpartition(".")
        (raw.setdefault(section, {}) if section else raw)[name] = value
    for section, kind in (("adapter", "lora"), ("objective", "sft")):
        if section in raw:
            raw[section].setdefault("kind", kind)
    return raw
