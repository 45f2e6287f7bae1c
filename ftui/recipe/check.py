"""From raw values to a `Recipe`, or to one error that lists every problem with its path, reason and remedy."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ftui.errors import BadInput
from ftui.recipe.declaration import UNIONS, Setting, sections, settings_of, source_settings, walk_all
from ftui.recipe.document import Recipe
from ftui.recipe.names import LATER, meant, nearest
from ftui.recipe.pairs import impossible_pairs
from ftui.units import plain


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: the dotted path, the reason in plain words, and the line where it stands, if known."""

    path: str
    reason: str
    line: int | None = None

    def __str__(self) -> str:
        line = f" (line {self.line})" if self.line else ""
        return f"{self.path}{line}: {self.reason}" if self.path else f"{self.reason}{line}"


class BadRecipe(BadInput):
    """A recipe that can't be used; `problems` holds each of them, for a form to show in its place."""

    def __init__(self, problems: tuple[Problem, ...], where: str) -> None:
        self.problems = problems
        if len(problems) == 1:
            what = f"{where}: {problems[0]}."
        else:
            what = f"{where} has {len(problems)} problems:" + "".join(f"\n  {problem}." for problem in problems)
        hint = None if len(problems) == 1 else "Nothing was changed; correct them and try again."
        super().__init__(plain(what), hint)


def build(raw: Mapping[str, Any], where: str = "The recipe", lines: Mapping[str, int] | None = None) -> Recipe:
    """A `Recipe` of plain values as they come from YAML; BadRecipe with every problem otherwise.

    `where` names the source in messages; `lines` maps dotted paths to line numbers.
    """
    lines = lines or {}
    values = _completed(raw)
    problems = {problem.path: problem for problem in _odd_values(values)}
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_context=True):
            problem = _explain(details, values)
            problems.setdefault(problem.path, problem)
    else:
        if not problems:
            problems = {problem.path: problem for problem in (Problem(*pair) for pair in impossible_pairs(recipe))}
        if not problems and (recipe.stages or recipe.data.tasks == "apart"):
            problems = {problem.path: problem for problem in _wrong_stages(recipe)}
    if problems:
        raise BadRecipe(tuple(_placed(problem, lines) for problem in problems.values()), where)
    return recipe


def _wrong_stages(recipe: Recipe) -> tuple[Problem, ...]:
    from ftui.recipe.stages import stages_of

    try:
        stages_of(recipe)
    except BadRecipe as error:
        return error.problems
    return ()


def _placed(problem: Problem, lines: Mapping[str, int]) -> Problem:
    path = problem.path
    while path and path not in lines:
        path = path.rpartition(".")[0]
    return Problem(problem.path, problem.reason, lines.get(path))


def _completed(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What a person may leave out: an empty section, a union's `kind`, the mapping around a source's path."""
    values = dict(raw)
    for section in sections():
        if section in values and values[section] is None:
            values[section] = {}
    for section in UNIONS:
        if isinstance(values.get(section), Mapping):
            values[section] = {"kind": getattr(Recipe(), section).kind, **values[section]}
        elif isinstance(values.get(section), str):
            values[section] = {"kind": values[section]}
    if isinstance(values.get("data"), Mapping) and "sources" in values["data"]:
        values["data"] = {**values["data"], "sources": _sources(values["data"]["sources"])}
    return values


def _sources(value: Any) -> Any:
    if value is None:
        return []
    if isinstance(value, str | Mapping):
        value = [value]
    if isinstance(value, list | tuple):
        return [{"path": entry} if isinstance(entry, str) else entry for entry in value]
    return value


def _odd_values(values: Mapping[str, Any]) -> Iterator[Problem]:
    """What pydantic would let through: truth values as numbers, infinities."""
    known = {entry.path: entry for entry in (*walk_all(), *source_settings())}
    for path, value in _leaves(values):
        if entry := known.get(_pattern(path)):
            validation = path == "data.validation" and isinstance(value, int | float)
            truth_as_number = isinstance(value, bool) and (validation or entry.kind in ("int", "float"))
            endless = isinstance(value, float) and not math.isfinite(value)
            if truth_as_number or endless or (validation and not _is_validation(value)):
                yield Problem(path, wrong_value(entry, value))


def _leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted path with its value, into sections and the entries of `data.sources`."""
    for key, value in values.items():
        path = f"{above}{key}"
        yield path, value
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}.")
        elif path == "data.sources" and isinstance(value, list):
            for index, source in enumerate(value):
                yield from _leaves(source, f"{path}.{index}.") if isinstance(source, Mapping) else ()


def _is_validation(value: float) -> bool:
    return 0 <= value < 1 or (isinstance(value, int) and value >= 0)


def _explain(details: Any, values: Mapping[str, Any]) -> Problem:
    """One pydantic error as a `Problem`."""
    location = _without_tags(details["loc"])
    if details["type"] == "extra_forbidden":
        return _unknown_key(location, values)
    path = _setting_path(location)
    top = path.split(".")[0]
    if path == "version":
        return Problem(path, f"{details['input']!r} is no version that this ftui reads; write version: 1")
    if details["type"] in ("model_type", "model_attributes_type", "dict_type") and (path in sections()):
        first = settings_of(UNIONS[top]["lora" if top == "adapter" else "sft"] if top in UNIONS
                            else Recipe.model_fields[top].annotation, top)[0]  # type: ignore[arg-type]
        example = f"{top}: {{{first.name}: {first.default if first.default not in (None, '') else '...'}}}"
        return Problem(path, f"is a section, not a value: write its settings below it, such as {example}")
    if details["type"] == "union_tag_invalid":
        value = str(values[top].get("kind"))
        return Problem(f"{top}.kind", _no_choice(value, tuple(UNIONS[top])))
    known = {entry.path: entry for entry in (*_settings_for(values), *source_settings())}
    entry = known.get(_pattern(path))
    if entry and (whose := _other_kinds(entry, details["input"])):
        kind = values[top].get("kind")
        reason = wrong_value(entry, details["input"])
        return Problem(path, f"{reason}; it belongs to {top}.kind {whose}, but the kind here is {kind}")
    if details["type"] == "missing":
        what = f": {entry.help[0].lower()}{entry.help[1:].rstrip('.')}" if entry else ""
        return Problem(path, f"is needed{what}")
    if entry is None:
        return Problem(path, f"{_shown(details['input'])} can't be read here: {details['msg'].lower()}")
    return Problem(path, wrong_value(entry, _input_at(location, values, details["input"])))


def _other_kinds(entry: Setting, value: Any) -> str:
    """The kinds of the same section whose setting of this name offers `value`, in words; "" for none."""
    if entry.section not in UNIONS or entry.name == "kind" or not isinstance(value, str):
        return ""
    kinds = [
        kind
        for kind, model in UNIONS[entry.section].items()
        if any(each.name == entry.name and value in each.choices for each in settings_of(model, entry.section))
    ]
    return " or ".join(kinds)


def _settings_for(values: Mapping[str, Any]) -> Iterator[Setting]:
    """The settings that exist for the objective and adapter that `values` name."""
    own: dict[str, tuple[Setting, ...]] = {}
    for section, members in UNIONS.items():
        content = values.get(section)
        kind = content.get("kind") if isinstance(content, Mapping) else getattr(Recipe(), section).kind
        if model := members.get(str(kind)):
            # Two kinds may share a name and take other values under it: the one at hand decides.
            own[section] = settings_of(model, section)
    for entry in walk_all():
        if entry.section not in own or entry.name == "kind":
            yield entry
    yield from (entry for entries in own.values() for entry in entries if entry.name != "kind")


def _without_tags(location: tuple[Any, ...]) -> tuple[Any, ...]:
    """A pydantic location without the discriminator's tag that stands behind a union's name."""
    if len(location) > 1 and location[0] in UNIONS and location[1] in UNIONS[location[0]]:
        return (location[0], *location[2:])
    return location


def _setting_path(location: tuple[Any, ...]) -> str:
    """The dotted path of the setting an error is about: locations go on into union members and list entries."""
    if location[:2] == ("data", "sources") and len(location) > 2:
        return ".".join(str(part) for part in location[:4])
    return ".".join(str(part) for part in location[:2])


def _pattern(path: str) -> str:
    return re.sub(r"^data\.sources\.\d+", "data.sources[]", path)


def _input_at(location: tuple[Any, ...], values: Any, otherwise: Any) -> Any:
    """The value a person wrote at the setting (pydantic reports the inner one of a list)."""
    value: Any = values
    for part in _setting_path(location).split("."):
        try:
            value = value[int(part)] if isinstance(value, list | tuple) else value[part]
        except (KeyError, IndexError, TypeError, ValueError):
            return otherwise
    return value


def _unknown_key(location: tuple[Any, ...], values: Mapping[str, Any]) -> Problem:
    path = ".".join(str(part) for part in location)
    if len(location) == 1 and path in LATER:
        return Problem(path, LATER[path])
    if len(location) == 2 and location[0] in UNIONS:
        members = [kind for kind, model in UNIONS[location[0]].items() if location[1] in model.model_fields]
        if members:
            chosen = values[location[0]].get("kind")
            return Problem(path, f"belongs to {location[0]}.kind {' or '.join(members)}, but the kind here is {chosen}")
    known = [entry.path for entry in (*_settings_for(values), *source_settings())]
    if location[:2] == ("data", "sources"):
        return Problem(path, f"is no key of ftui's; {meant(_pattern(path), known)}")
    if len(location) == 1 and (near := nearest(path, sections())) and not meant(path, known).startswith("that is"):
        return Problem(path, f"is no section of ftui's; the nearest is {near}")
    return Problem(path, f"is no key of ftui's; {meant(path, known)}")


def wrong_value(entry: Setting, value: Any) -> str:
    """Why `value` can't be this setting, and what can."""
    if (isinstance(value, float) and math.isnan(value)) or _is_word(value, "nan"):
        return f"NaN is not a number to work with; write {entry.limits}{_example(entry)}"
    if (isinstance(value, float) and math.isinf(value)) or _is_word(value, "inf", "-inf", "infinity"):
        return f"infinity is not a number to work with; write {entry.limits}{_example(entry)}"
    if value is None:
        return f"can't be empty; write {entry.limits}{_example(entry)}"
    if entry.choices and isinstance(value, str) and entry.kind == "choice":
        return _no_choice(value, entry.choices + (("auto",) if entry.auto else ()))
    if entry.choices and entry.kind == "list" and isinstance(value, list | tuple):
        wrong = [str(one) for one in value if one not in entry.choices]
        return _no_choice(wrong[0], entry.choices) if wrong else f"write {entry.limits}"
    if isinstance(value, str) and entry.kind in ("int", "float") and (said := _with_unit(entry, value)):
        return said
    if entry.path == "train.warmup" and isinstance(value, int | float) and value >= 1:
        return f"{_shown(value)} looks like a number of steps, but this is a share of them; write 0.03 for 3 percent"
    if isinstance(value, float) and entry.kind == "int" and not value.is_integer():
        return f"{_shown(value)} is not whole; write {entry.limits}"
    return f"{_shown(value)} is not {entry.limits}{_example(entry)}"


def _no_choice(value: str, choices: tuple[str, ...]) -> str:
    near = nearest(_SYNONYMS.get(value.lower(), value), choices, 0.5)
    return f"{_shown(value)} is none of {', '.join(choices)}" + (f"; the nearest is {near}" if near else "")


_SYNONYMS = {
    "4bit": "nf4", "4-bit": "nf4", "qlora": "nf4", "8bit": "int8", "8-bit": "int8", "bf16": "bfloat16",
    "fp16": "float16", "half": "float16", "fp32": "float32", "full": "none", "adam": "adamw", "adamw_torch": "adamw",
    "adamw_hf": "adamw", "adamw_torch_fused": "adamw", "paged_adamw_32bit": "paged_adamw_8bit",
    "adamw_bnb_8bit": "adamw_8bit", "flash": "flash_attention_2", "fa2": "flash_attention_2",
}
"""Words of other tools for the choices here."""

_EXAMPLES = {"train.learning_rate": "2e-4", "data.max_length": "2048", "train.epochs": "3"}


def _example(entry: Setting) -> str:
    return f", something like {_EXAMPLES[entry.path]}" if entry.path in _EXAMPLES else ""


def _with_unit(entry: Setting, text: str) -> str | None:
    """What to write for a number that carries a unit; None if `text` is no such thing."""
    match = re.fullmatch(r"\s*([-+]?[\d.,_]*\d(?:[eE][-+]?\d+)?)\s*([A-Za-z%]+)\s*", text)
    if not match:
        return None
    try:
        number, unit = float(match[1].replace(",", "").replace("_", "")), match[2].lower()
    except ValueError:
        return None
    factors = {"%": 0.01, "percent": 0.01, "k": 1024 if entry.path == "data.max_length" else 1000}
    if entry.unit == "h":
        factors |= {"h": 1, "hours": 1, "hour": 1, "min": 1 / 60, "m": 1 / 60, "minutes": 1 / 60, "d": 24, "days": 24}
    factors |= {word: 1 for word in (entry.unit, entry.name, (entry.unit or "").rstrip("s")) if word}
    if unit not in factors:
        return f"{_shown(text)} has a unit that ftui can't read; write {entry.limits}"
    plain_number = f"{number * factors[unit]:.10g}"
    says = "a plain share" if unit in ("%", "percent") else "a plain number"
    return f"{_shown(text)} is not {says}; write {plain_number}"


def _is_word(value: Any, *words: str) -> bool:
    return isinstance(value, str) and value.strip().lower() in words


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) and abs(value) < 10**30 else f"{value:.6g}"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
