"""Whether an answer is JSON, and the JSON that a schema asks for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from ftui.errors import BadInput
from ftui.worker.rewards import Place, Score, column, from_text

BROKEN_SCHEMA = 0.5
"""What JSON is worth that its schema refuses: the first half of the way."""
_FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.DOTALL)


def build(argument: str, place: Place) -> Score:
    """`argument` is the column or the .json file of a JSON Schema, "" for any JSON."""
    if not argument:
        return from_text(lambda completion: float(read(completion) is not _NOTHING))
    if argument.endswith(".json"):
        check = _validator(_load(Path(argument)), argument)
        return from_text(lambda completion: _score(completion, check))
    return lambda completions, columns: [
        None if schema is None else _score(completion, _validator(schema, f"the column {argument}"))
        for completion, schema in zip(completions, column(columns, argument, "json"), strict=True)
    ]


_NOTHING = object()


def read(completion: str) -> Any:
    """The value that a completion is as JSON, in a ```json block or without; `_NOTHING` where it is none."""
    fenced = _FENCED.fullmatch(completion)
    try:
        return json.loads(fenced[1] if fenced else completion, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return _NOTHING


def _refuse(word: str) -> Any:
    """Python's json takes NaN and Infinity, which JSON doesn't have."""
    raise ValueError(word)


def _score(completion: str, check: Any) -> float:
    value = read(completion)
    if value is _NOTHING:
        return 0.0
    return 1.0 if check.is_valid(value) else BROKEN_SCHEMA


def _load(file: Path) -> Any:
    try:
        return json.loads(file.expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"objective.rewards: the schema {file} can't be read: {error.strerror}.",
                       "Give the path of a JSON Schema.") from error  # fmt: skip
    except ValueError as error:
        raise BadInput(f"objective.rewards: {file} is no JSON: {error}.", "Give the path of a JSON Schema.") from error


def _validator(schema: Any, where: str) -> Any:
    try:
        import jsonschema
    except ImportError:
        raise BadInput("The reward json needs the package jsonschema for its schema, which is not installed.",
                       "Run pip install 'ftui[rewards]', or write json without a schema.") from None  # fmt: skip
    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except ValueError as error:
            raise BadInput(f"The reward json: a schema of {where} is no JSON: {error}.", "Correct that row.") from error
    kind = jsonschema.validators.validator_for(schema)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise BadInput(f"The reward json: {where} holds no JSON Schema: {error.message}.", "Correct it.") from error
    return kind(schema)
