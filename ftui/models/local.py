"""Describing a model that lies on this disk: a folder of transformers' format, or a bare config.json."""

from __future__ import annotations

import os
from pathlib import Path

from ftui.errors import BadInput
from ftui.models import card, headers
from ftui.models.config import read_json
from ftui.models.document import ModelShape
from ftui.models.headers import Checkpoint
from ftui.models.shape import Origin, Source, build

PICKLED_INDEX = "pytorch_model.bin.index.json"


def describe_path(ref: str) -> ModelShape:
    """The shape of the model in the folder, or of the bare config.json, that `ref` names.

    Raises BadInput in one sentence for what is no model: see `folder_of` and `weights`.
    """
    path = existing(ref)
    if path.is_dir():
        return describe_folder(path, ref)
    if path.suffix.lower() in (".safetensors", ".bin", ".gguf", ".pt", ".pth"):
        raise BadInput(
            f"{ref} is a weight file, not a model's folder.",
            "Give the folder that holds it and config.json." if path.suffix != ".gguf" else
            "GGUF files can't be trained: give the original model's folder or hub id.",
        )
    return build(read_json(path, "the model's config"), Origin(ref, "config"))


def describe_folder(
    folder: Path, ref: str, *, source: Source = "local", revision: str | None = None, weights: bool = True,
    notes: tuple[str, ...] = (),
) -> ModelShape:
    """The shape of the model in `folder`, with what its tokenizer files and model card say.

    Without `weights` the weight files are left alone: a download that isn't whole has some, perhaps.
    """
    config = read_json(config_in(folder), "the model's config")
    checkpoint = headers.read_checkpoint(folder) if weights else None
    bins = pickled(folder) if weights and checkpoint is None else []
    if bins:
        notes = (*notes, "The weights are pickled .bin files; safetensors load faster and run no code.")
    template, known = card.chat_template(folder)
    return build(config, Origin(
        ref, source, path=str(folder.absolute()) if weights else None, revision=revision, checkpoint=checkpoint,
        weight_bytes=sum(file.stat().st_size for file in bins) or None, chat_template=template,
        chat_template_known=known, licence=card.licence(folder), notes=notes,
    ))


def config_in(folder: Path) -> Path:
    """The folder's config.json; BadInput says what the folder holds instead."""
    path = folder / "config.json"
    try:
        names = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise BadInput(f"The folder {folder} can't be read: {reason}.", f"Try: chmod u+rx {folder}") from None
    if "config.json" in names:
        return path
    if "adapter_config.json" in names:
        base = read_json(folder / "adapter_config.json").get("base_model_name_or_path") or "its base model"
        raise BadInput(
            f"{folder} holds an adapter, not a base model.",
            f"Give the base model it was trained on ({base}), or merge the adapter first.",
        )
    if any(name.endswith(".gguf") for name in names):
        raise BadInput(
            f"{folder} holds GGUF files only.", "They can't be trained: give the original model's folder or hub id."
        )
    if "params.json" in names:
        raise BadInput(
            f"{folder} holds a model in its maker's own format (params.json), without config.json.",
            "Take the version for transformers from the hub.",
        )
    inside = sorted(entry for entry in names if (folder / entry / "config.json").is_file())
    hint = f"Did you mean {folder / inside[0]}?" if inside else (
        "A model's folder holds config.json, tokenizer files and *.safetensors."
    )
    raise BadInput(f"{folder} holds no config.json{'' if names else ': it is empty'}.", hint)


def pickled(folder: Path) -> list[Path]:
    """The folder's pickled weight files; BadInput names one that the index lists and that is missing."""
    index = folder / PICKLED_INDEX
    if index.is_file():
        places = read_json(index).get("weight_map")
        names = sorted({str(name) for name in places.values()}) if isinstance(places, dict) else []
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise BadInput(
                f"The weight file {missing[0]} of {folder.name} is missing, though {PICKLED_INDEX} lists it.",
                "Download the model again: what is already there is kept.",
            )
        files = [folder / name for name in names]
    else:
        files = [each for each in (folder / "pytorch_model.bin",) if each.is_file()]
    for file in files:
        with file.open("rb") as source:
            if source.read(7) == b"version":
                raise headers.pointer(file.name)
    return files


def whole(folder: Path) -> bool:
    """Whether `folder` holds a config, all its weight files uncut, and a tokenizer."""
    try:
        config_in(folder)
        checkpoint: Checkpoint | None = headers.read_checkpoint(folder)
        weights = checkpoint is not None or bool(pickled(folder))
    except BadInput:
        return False
    return weights and any((folder / name).is_file() for name in card.TOKENIZER_FILES)


def existing(ref: str) -> Path:
    """The path that `ref` names; BadInput with the most similar name where there is nothing."""
    path = Path(os.path.expanduser(ref))
    try:
        path.stat()
    except FileNotFoundError:
        near = path.parent if path.parent.is_dir() else None
        similar = _similar(path.name, near) if near else None
        raise BadInput(
            f"There is no folder or file {ref}.",
            f"Did you mean {similar}?" if similar else "Give a model's folder, its config.json, or a hub id like "
            "Qwen/Qwen3-0.6B.",
        ) from None
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise BadInput(f"{ref!r} can't be opened: {reason}.", "Check the path and its permissions.") from None
    return path


def _similar(name: str, folder: Path) -> Path | None:
    from difflib import get_close_matches

    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return None
    close = get_close_matches(name, names, n=1)
    return folder / close[0] if close else None
