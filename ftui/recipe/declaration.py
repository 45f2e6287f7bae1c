"""The recipe's declaration as data: every setting with its type, limits and words, for forms, docs and messages."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ftui.methods import ADAPTERS, OBJECTIVES, AdapterRow, ObjectiveRow
from ftui.recipe.document import DataSource, Recipe
from ftui.settings import Limits

Kind = Literal["bool", "int", "float", "choice", "text", "list", "mapping"]

UNIONS: dict[str, dict[str, type[BaseModel]]] = {
    "objective": {kind: row.options for kind, row in OBJECTIVES.items()},
    "adapter": {kind: row.options for kind, row in ADAPTERS.items()},
}
"""The sections whose settings depend on their `kind`, with each kind's options."""

ROWS: tuple[tuple[str, Mapping[str, ObjectiveRow | AdapterRow]], ...] = (
    ("objective", OBJECTIVES), ("adapter", ADAPTERS),
)

GENERAL = "general"
"""The section under which settings that stand at the top of the recipe (its name) are grouped."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.  `path` is dotted (`train.epochs`), `section` its first part; `auto` says the planner may fill it.

    `kind` is what a form should offer; `choices` are the words it takes ("auto" is not among them); `minimum` and
    `maximum` are None where there is no such limit, and the `_excluded` flags say whether the limit itself is refused.
    """

    path: str
    section: str
    title: str
    help: str
    why: str
    unit: str | None
    advanced: bool
    term: str | None
    kind: Kind
    choices: tuple[str, ...]
    default: Any
    minimum: float | None
    maximum: float | None
    minimum_excluded: bool
    maximum_excluded: bool
    auto: bool
    nullable: bool
    separator: str
    required: bool

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit(".", 1)[-1]

    @property
    def offered(self) -> tuple[str, ...]:
        """The choices with which a run can be started: what can only be planned is none of them."""
        trains = {f"{section}.kind": {kind for kind, row in rows.items() if row.trains} for section, rows in ROWS}
        return tuple(kind for kind in self.choices if kind in trains.get(self.path, self.choices))

    @property
    def limits(self) -> str:
        """The allowed values in words: "a whole number from 1 to 1,024, or auto"."""
        words = _ALLOWED[self.path] if self.path in _ALLOWED else self._basic_limits()
        others = [word for word, allowed in (("auto", self.auto), ("null", self.nullable)) if allowed]
        return f"{words}, or {' or '.join(others)}" if others else words

    def _basic_limits(self) -> str:
        if self.kind == "bool":
            return "true or false"
        if self.kind == "choice":
            return "one of " + ", ".join(self.choices) if len(self.choices) > 1 else self.choices[0]
        if self.kind == "list":
            return "a list of " + (", ".join(self.choices) if self.choices else "texts")
        if self.kind == "mapping":
            return "a mapping of names to column names"
        if self.kind == "text":
            return "a text"
        noun = "a whole number" if self.kind == "int" else "a number"
        unit = f" of {self.unit}" if self.unit and len(self.unit) > 1 else ""
        return f"{noun}{unit}{self._range()}"

    def _range(self) -> str:
        low = None if self.minimum is None else _number(self.minimum)
        high = None if self.maximum is None else _number(self.maximum)
        if low and high and not self.minimum_excluded and not self.maximum_excluded:
            return f" from {low} to {high}"
        parts = []
        if low:
            parts.append(f"above {low}" if self.minimum_excluded else f"of at least {low}")
        if high:
            parts.append(f"below {high}" if self.maximum_excluded else f"at most {high}")
        return f" {' and '.join(parts)}" if parts else ""


_ALLOWED = {
    "data.validation": "a share below 1 (0.05), a number of rows (200), 0 for none, or a file",
    "data.sources": "a list of files or hub datasets, each a path or a mapping with a path",
    "stages": "a list of recipes in part, each with a name: [{name: sft}, {name: dpo, objective: {kind: dpo}}]",
    "data.prepare": "a list of mappings, one for each repair",
    "objective.rewards": "a list of rewards such as exact, 0.2*format, length:200 or module:function",
    "adapter.targets": "'all-linear', a list of module names such as q_proj, v_proj, or re: and a pattern",
    "adapter.layers": "a range of layers such as 0-7, last 4, or first 2, 10",
    "adapter.rank_pattern": "a mapping of modules to ranks: {down_proj: 32}",
    "adapter.alpha_pattern": "a mapping of modules to alphas: {down_proj: 64}",
    "adapter.tokens": "a list of tokens, as texts or as ids",
    "adapter.layer_replication": "layers in their new order, such as 0-15, 8-23",
}
"""What the types alone can't say in words."""


def _number(value: float) -> str:
    return f"{int(value):,}" if float(value).is_integer() else f"{value:g}"


@cache
def settings_of(model: type[BaseModel], prefix: str = "") -> tuple[Setting, ...]:
    """The settings that `model` declares itself, in order, their paths under `prefix`."""
    return tuple(
        _setting(f"{prefix}.{name}" if prefix else name, field)
        for name, field in model.model_fields.items()
        if field.title
    )


def source_settings() -> tuple[Setting, ...]:
    """What one entry of `data.sources` takes; paths as `data.sources[].path`."""
    return settings_of(DataSource, "data.sources[]")


def walk(recipe: Recipe | None = None) -> tuple[Setting, ...]:
    """Every setting of `recipe`'s own objective and adapter, in the recipe's order (of the defaults if None)."""
    kinds = _kinds(recipe or Recipe())
    return _walk(tuple(kinds.items()))


@cache
def walk_all() -> tuple[Setting, ...]:
    """Every setting of every objective and adapter; a path that several kinds share comes once."""
    found: dict[str, Setting] = {}
    defaults = _kinds(Recipe())
    for section, members in UNIONS.items():
        for kind in members:
            for entry in _walk(tuple((defaults | {section: kind}).items())):
                found.setdefault(entry.path, entry)
    return tuple(found.values())


def sections() -> tuple[str, ...]:
    """The recipe's sections, in the order in which a person thinks about them."""
    return tuple(name for name, field in Recipe.model_fields.items() if _is_section(name, field))


def _kinds(recipe: Recipe) -> dict[str, str]:
    return {section: getattr(recipe, section).kind for section in UNIONS}


@cache
def _walk(kinds: tuple[tuple[str, str], ...]) -> tuple[Setting, ...]:
    members = dict(kinds)
    found: list[Setting] = []
    for name, field in Recipe.model_fields.items():
        if name in UNIONS:
            found += settings_of(UNIONS[name][members[name]], name)
        elif _is_section(name, field):
            found += settings_of(field.annotation, name)  # type: ignore[arg-type]  # _is_section has looked
        elif field.title:
            found.append(_setting(name, field))
    return tuple(found)


def _is_section(name: str, field: FieldInfo) -> bool:
    return name in UNIONS or (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel))


def _setting(path: str, field: FieldInfo) -> Setting:
    extra: dict[str, Any] = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    kind, choices, auto, nullable = _type(field.annotation)
    section, _, name = path.rpartition(".")
    if name == "kind" and section in UNIONS:
        kind, choices = "choice", tuple(UNIONS[section])
    limits = next((entry for entry in field.metadata if isinstance(entry, Limits)), Limits())
    return Setting(
        path=path,
        section=path.split(".")[0] if "." in path else GENERAL,
        title=field.title or name,
        help=field.description or "",
        why=extra.get("why") or "",
        unit=extra.get("unit"),
        advanced=bool(extra.get("advanced")),
        term=extra.get("term"),
        kind=kind,
        choices=choices,
        default=None if field.is_required() else field.get_default(call_default_factory=True),
        minimum=limits.ge if limits.gt is None else limits.gt,
        maximum=limits.le if limits.lt is None else limits.lt,
        minimum_excluded=limits.gt is not None,
        maximum_excluded=limits.lt is not None,
        auto=auto,
        nullable=nullable,
        separator=extra.get("separator") or ",",
        required=field.is_required() and field.default is PydanticUndefined,
    )


def _type(annotation: Any) -> tuple[Kind, tuple[str, ...], bool, bool]:
    """What an annotation means to a form: kind, choices, whether it takes "auto", whether it takes null."""
    members = list(get_args(annotation)) if get_origin(annotation) in (Union, types.UnionType) else [annotation]
    nullable = type(None) in members
    words = tuple(word for member in members if get_origin(member) is Literal for word in get_args(member))
    auto = "auto" in words
    choices = tuple(str(word) for word in words if word != "auto")
    plain = [member for member in members if member is not type(None) and get_origin(member) is not Literal]
    for member in plain:
        if get_origin(member) is tuple:
            inside = get_args(member)[0]
            return "list", tuple(get_args(inside)) if get_origin(inside) is Literal else (), auto, nullable
        if get_origin(member) is dict:
            return "mapping", (), auto, nullable
    kinds: tuple[tuple[type, Kind], ...] = ((str, "text"), (bool, "bool"), (float, "float"), (int, "int"))
    for member, kind in kinds:
        if member in plain:
            return kind, (), auto, nullable
    return "choice", choices, auto, nullable


def json_schema() -> dict[str, Any]:
    """The recipe's JSON Schema (draft 2020-12), for editors that complete and check YAML."""
    schema = Recipe.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
