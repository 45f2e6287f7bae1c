"""Prepared rows to an entry of the cache and back: the arrays as they are, all else as JSON."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from ftui.data import prepared_cache
from ftui.data.document import BadRow, SourceVersion
from ftui.data.form_rows import AnsweredRows, BesideRows, ClassRows, LabelledRows, PairRows, PromptRows
from ftui.data.loading import Loaded
from ftui.data.masking import Writer
from ftui.data.repairs import Asked
from ftui.data.token_rows import StoredRows, TokenRows, TokenStore
from ftui.data.versions import digest_of, version_of

_KINDS = {kind.__name__: kind for kind in (TokenRows, PairRows, LabelledRows, PromptRows, AnsweredRows, ClassRows)}
_SIDES = ("train", "validation")
_MADE_ANEW = ("tokenizer", "template", "notes", "cached", *_SIDES)
"""Fields of `Prepared` that no entry holds."""
_UNUSED = ("padding", "max_length", "template")
"""Settings of the data section that change nothing of the rows, or that stand in the key by what they lead to."""


def key_of(
    recipe: Any, loaded: Sequence[Loaded], held_out: Loaded | None, repairs: Sequence[Asked], writer: Writer,
    versions: Sequence[SourceVersion], *, form: str, seed: int, max_length: int, when: float | None,
) -> str | None:
    """The name of the rows that follow from all of this; None where they can't be known again.

    So it is for the rows of a user's own function, which may yield others the next time.
    """
    given = [*loaded, *([held_out] if held_out else [])]
    if not hasattr(recipe.data, "as_dict") or any(version.sha256 is None for version in versions):
        return None
    if any(file.container == "function" for source in given for file in source.files):
        return None
    if any("function" in repair.options for repair in repairs):
        return None
    from ftui.data.given import Given
    from ftui.data.loading import find_files

    tokenizer = writer.tokenizer
    named = [file for repair in repairs for file in repair.options.get("files") or ()]
    return prepared_cache.key_of(
        data={name: value for name, value in recipe.data.as_dict().items() if name not in _UNUSED},
        contents=[[source.given.path, digest_of(file.path for file in source.files)] for source in given[len(loaded) :]]
        + [[version.ref, version.sha256] for version in versions]
        + [[file, digest_of(find_files(Given(file)))] for file in named],
        formats=[source.format.as_dict() for source in given],
        tokenizer=[tokenizer.fingerprint, tokenizer.special_tokens, tokenizer.pad_token, tokenizer.unk_token,
                   list(tokenizer.eos_ids), repr(tokenizer.image)],
        template=[writer.template.name, writer.template.source, list(writer.template.stops)],
        clock=prepared_cache.clock_of(writer.template.source, when),
        loss_on=writer.loss_on, form=form, seed=seed, max_length=max_length,
    )  # fmt: skip


def stamps(loaded: Sequence[Loaded]) -> list[tuple[str, int, int]]:
    """Name, size and time of every file: they change with a file that is written to while it is read."""
    found = []
    for source in loaded:
        for file in source.files:
            if file.container != "function":
                status = file.path.stat()
                found.append((str(file.path), status.st_size, status.st_mtime_ns))
    return found


def versions_of(loaded: Sequence[Loaded]) -> list[SourceVersion]:
    """The sources' versions before their rows are counted."""
    return [version_of(source, 0) for source in loaded]


def keep(key: str, prepared: Any) -> bool:
    """Keep what `prepare()` made; whether that could be done."""
    sides: dict[str, StoredRows] = {side: getattr(prepared, side) for side in _SIDES}
    store = sides["train"]._store
    if any(type(rows).__name__ not in _KINDS or rows._store is not store for rows in sides.values()):
        # Rows with images: the files may be gone the next time.
        return False
    arrays: dict[str, array[Any] | bytearray] = {}
    beside: dict[str, Any] = {}
    for name, value in vars(store).items():
        (arrays if isinstance(value, array | bytearray) else beside)[f"store.{name}"] = value
    for side, rows in sides.items():
        arrays[f"{side}.members"], arrays[f"{side}.starts"] = rows._members, rows._starts
        own = rows._beside if isinstance(rows, BesideRows) else {}
        shared = side == "validation" and own is getattr(sides["train"], "_beside", None)
        beside[side] = {"kind": type(rows).__name__, "beside": None if shared else list(own.items())}
    said = {field.name: _plain(getattr(prepared, field.name)) for field in fields(prepared)
            if field.name not in _MADE_ANEW}  # fmt: skip
    return prepared_cache.write(key, {"fields": said, "beside": beside}, arrays)


def find(key: str) -> dict[str, Any] | None:
    """The fields of `Prepared` as an earlier call left them; `samples` as mappings.  None where there are none."""
    found = prepared_cache.read(key)
    if found is None:
        return None
    header, arrays = found
    said, beside = header["fields"], header["beside"]
    store = TokenStore()
    for name in vars(store):
        setattr(store, name, arrays.get(f"store.{name}", beside.get(f"store.{name}")))
    made: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
    made["bad"] = tuple(BadRow.model_validate(row) for row in said["bad"])
    made["versions"] = tuple(SourceVersion.model_validate(version) for version in said["versions"])
    shared: dict[int, Any] = {}
    for side in _SIDES:
        own = beside[side]["beside"]
        shared = shared if own is None else dict(own)
        groups = _groups(arrays[f"{side}.members"], arrays[f"{side}.starts"])
        made[side] = _rows(beside[side]["kind"], store, groups, shared, made)
    return made


def _rows(
    kind: str, store: TokenStore, groups: Iterator[Sequence[int]], beside: Mapping[int, Any], made: Mapping[str, Any]
) -> StoredRows:
    rows = _KINDS[kind]
    if rows is TokenRows:
        return TokenRows(store, groups)
    if rows is ClassRows:
        return ClassRows(store, groups, beside, made["labels"], multi=made["multi_label"])
    return rows(store, groups, beside)  # type: ignore[call-arg]


def _groups(members: Any, starts: Any) -> Iterator[Sequence[int]]:
    return (members[start:end] for start, end in itertools.pairwise(starts))


def _plain(value: Any) -> Any:
    """A field as JSON."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, BadRow | SourceVersion):
        return value.as_dict()
    return asdict(value) if hasattr(value, "__dataclass_fields__") else value
