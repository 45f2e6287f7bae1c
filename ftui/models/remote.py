"""Describing a model on the hub from its small files, without its weights, and without a network from what is known."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ftui import paths
from ftui.errors import BadInput, FtuiError, Refused
from ftui.files import write_atomic
from ftui.models import card, families, fetch, hub, known, local
from ftui.models.config import language, read_json
from ftui.models.document import ModelShape
from ftui.models.headers import DTYPES, Checkpoint, TensorInfo
from ftui.models.shape import Origin, build

SMALL = ("config.json", *card.TEMPLATE_FILES)
TOKENIZER = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json")
BESIDE_TOKENIZER = ("merges.txt", "special_tokens_map.json", "added_tokens.json", "generation_config.json")
ALIASES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


def describe_hub(ref: str, revision: str | None = None) -> ModelShape:
    """What the hub says about `ref`, from the first that answers: this disk, the hub, an earlier answer, the catalogue.

    A model that lies whole in the hub's cache is read from there, since that is what a run would train.
    """
    entry = known.find(ref)
    if entry is not None:
        ref = entry.id
    hub.check_id(ref)
    if (folder := locate_hub(ref, revision)) is not None:
        shape = local.describe_folder(folder, ref, source="hub", revision=folder.name)
        return shape.model_copy(update={"gated": entry.gated if entry else None, "licence": shape.licence or (
            entry.licence if entry else None)})
    if hub.offline():
        return _without_network(ref, revision, None)
    try:
        return _ask(ref, revision)
    except Exception as error:  # noqa: BLE001  # whatever the hub's client throws becomes one sentence
        return _without_network(ref, revision, error)


def _ask(ref: str, revision: str | None) -> ModelShape:
    info = hub.api().model_info(ref, revision=revision, files_metadata=True, timeout=hub.TIMEOUT)
    if (earlier := _recall(ref, str(info.sha))) is not None:
        _remember(earlier, ref, revision)
        return earlier
    files = fetch.files_of(info)
    snapshot = _bring(ref, info, revision, SMALL)
    config = read_json(snapshot / "config.json", f"{ref}'s config")
    template, _ = card.chat_template(snapshot)
    weights = [each for each in fetch.wanted(files) if each.name.endswith((".safetensors", ".bin"))]
    shape = build(config, Origin(
        ref, "hub", revision=str(info.sha), checkpoint=_headers(ref, info, config), dtype=_stored(info),
        weight_bytes=sum(each.size for each in weights) or None, chat_template=template, chat_template_known=True,
        licence=_licence(info), gated=bool(info.gated), notes=() if weights else ("It holds no weights to train.",),
    ))
    if shape.weight_bytes and weights:
        shape = shape.model_copy(update={"weight_bytes": sum(each.size for each in weights)})
    _remember(shape, ref, revision)
    return shape


def _bring(ref: str, info: Any, revision: str | None, wanted: Collection[str]) -> Path:
    """Bring those of the `wanted` files that there are into the hub's cache; returns the snapshot folder."""
    files = fetch.files_of(info)
    names = {each.name for each in files}
    if "config.json" not in names:
        raise BadInput(*_no_config(ref, info, names))
    fetcher = fetch.Fetcher(ref, str(info.sha))
    small = [each for each in files if each.name in wanted]
    fetcher.run(small)
    return fetcher.link(small, revision)


def config_of_hub(ref: str, revision: str | None = None) -> dict[str, Any]:
    """The model's config.json as it stands on the hub, or in its cache."""
    folder = locate_hub(ref, revision) or _fetch_some(ref, revision, SMALL)
    return read_json(folder / "config.json", f"{ref}'s config")


def tokenizer_folder_of_hub(ref: str, revision: str | None = None) -> Path:
    """A folder in the hub's cache with the model's config and tokenizer files (a few MB), fetched where missing."""
    ref = known.hub_id(ref)
    present = locate_hub(ref, revision) or snapshot_of(ref, revision)
    if present is not None and any((present / name).is_file() for name in TOKENIZER):
        return present
    return _fetch_some(ref, revision, (*SMALL, *TOKENIZER, *BESIDE_TOKENIZER))


def code_folder_of_hub(ref: str, revision: str | None = None) -> Path:
    """A folder in the hub's cache with the model's config and its Python files, fetched where missing, never run."""
    return _fetch_some(ref, revision, SMALL, code=True)


def _fetch_some(ref: str, revision: str | None, wanted: Collection[str], *, code: bool = False) -> Path:
    ref = known.hub_id(ref)
    hub.check_id(ref)
    try:
        info = hub.api().model_info(ref, revision=revision, files_metadata=True, timeout=hub.TIMEOUT)
        if code:
            wanted = {*wanted, *(each.name for each in _code(ref, info))}
        return _bring(ref, info, revision, wanted)
    except Exception as error:  # noqa: BLE001  # whatever the hub's client throws becomes one sentence
        raise hub.explain(error, ref, revision) from None


def _code(ref: str, info: Any) -> list[fetch.RemoteFile]:
    """The Python files of the revision; BadInput where they are more than a model's code."""
    from ftui.models.own_code import MOST_BYTES, MOST_FILES

    found = [each for each in fetch.files_of(info) if each.name.endswith(".py")]
    if len(found) > MOST_FILES or sum(each.size for each in found) > MOST_BYTES:
        raise BadInput(f"{ref} holds more Python code than a model has.", f"See {hub.page(ref)}/tree/main.")
    return found


def _no_config(ref: str, info: Any, names: set[str]) -> tuple[str, str]:
    if "adapter_config.json" in names:
        base = getattr(info.card_data, "base_model", None) if info.card_data else None
        return f"{ref} is an adapter, not a base model.", f"Give its base model{f' ({base})' if base else ''}."
    if any(name.endswith(".gguf") for name in names):
        base = getattr(info.card_data, "base_model", None) if info.card_data else None
        return f"{ref} holds GGUF files only, which can't be trained.", (
            f"Give the original model{f' ({base})' if base else ''}."
        )
    return f"{ref} holds no config.json, so it is no model for transformers.", f"See {hub.page(ref)}."


def _stored(info: Any) -> str | None:
    """The type that holds most elements, by the hub's own count of the safetensors headers."""
    counts = getattr(info.safetensors, "parameters", None) or {}
    floats = {ALIASES[name]: count for name, count in counts.items() if name in ALIASES}
    return max(floats, key=lambda name: floats[name]) if floats else None


def _licence(info: Any) -> str | None:
    data = info.card_data.to_dict() if info.card_data else {}
    tagged = next((tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")), None)
    return card.licence_of(data) or tagged


def _headers(ref: str, info: Any, config: dict[str, Any]) -> Checkpoint | None:
    """For a family without a row: the shards' headers by range reads; None where the family's row is enough."""
    if families.find(language(config).text) is not None:
        return None
    from huggingface_hub import errors

    try:
        metadata = hub.api().get_safetensors_metadata(ref, revision=str(info.sha), timeout=hub.TIMEOUT)
    except (errors.NotASafetensorsRepoError, errors.SafetensorsParsingError):
        return None
    tensors = {
        name: TensorInfo(tensor.dtype, tuple(tensor.shape))
        for file in metadata.files_metadata.values() for name, tensor in file.tensors.items()
        if tensor.dtype in DTYPES
    }
    size = sum(each.size for each in fetch.files_of(info) if each.name.endswith(".safetensors"))
    return Checkpoint(tensors, size, tuple(metadata.files_metadata))


def locate_hub(ref: str, revision: str | None = None) -> Path | None:
    """The snapshot in the hub's cache that holds the whole model, found without huggingface_hub or network."""
    entry = known.find(ref)
    snapshot = snapshot_of(entry.id if entry else ref, revision)
    return snapshot if snapshot is not None and local.whole(snapshot) else None


def snapshot_of(ref: str, revision: str | None = None) -> Path | None:
    """The folder in the hub's cache for the revision, whole or not."""
    folder = fetch.repo_folder(ref)
    named = fetch.ref_file(folder, revision)
    try:
        commit = named.read_text().strip() if named.is_file() else (revision or "")
        snapshot = folder / "snapshots" / commit
        return snapshot if commit and "/" not in commit and snapshot.is_dir() else None
    except (OSError, ValueError):  # an unreadable cache holds nothing for us
        return None


def _without_network(ref: str, revision: str | None, error: Exception | None) -> ModelShape:
    """What was learnt earlier, or what the catalogue knows; else why the hub didn't answer."""
    if error is not None:
        reason = hub.explain(error, ref, revision)
    else:
        reason = Refused(
            f"{ref} isn't on this disk, and HF_HUB_OFFLINE forbids asking the hub.",
            "Unset HF_HUB_OFFLINE, give a model folder, or choose one of: ftui models list",
        )
    if isinstance(reason, BadInput):  # the hub did answer
        raise reason from None
    if (partial := snapshot_of(ref, revision)) is not None and (partial / "config.json").is_file():
        note = f"The weights aren't on this disk. {reason.what}"
        return local.describe_folder(partial, ref, source="hub", revision=partial.name, weights=False, notes=(note,))
    if (earlier := _recall(ref, revision or "main")) is not None:
        return earlier.model_copy(update={"notes": (*earlier.notes, f"As last seen on the hub. {reason.what}")})
    if revision is None and (entry := known.find(ref)) is not None:
        return entry.shape.model_copy(update={"notes": (*entry.shape.notes, _why(reason, error))})
    near = known.nearest(ref, 1)
    raise Refused(reason.what, (reason.hint or "") + (f" (known without it: {near[0]})" if near else "")) from None


def _why(reason: FtuiError, error: Exception | None) -> str:
    return "From ftui's catalogue; the hub wasn't asked." if error is None else f"From ftui's catalogue. {reason}"


def _place(ref: str, revision: str) -> Path:
    where = hashlib.sha256(f"{hub.endpoint()} {ref} {revision}".encode()).hexdigest()[:24]
    return paths.cache_dir() / "models" / f"{where}.json"


def _recall(ref: str, revision: str) -> ModelShape | None:
    try:
        return ModelShape.from_json(_place(ref, revision).read_bytes())
    except (OSError, ValidationError):  # never asked, or written by another version
        return None


def _remember(shape: ModelShape, ref: str, revision: str | None) -> None:
    for name in {shape.revision or "main", revision or "main"}:
        write_atomic(_place(ref, name), shape.to_json())
