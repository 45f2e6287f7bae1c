"""The headers of safetensors files: names, types, shapes and sizes of all tensors without reading the weights.

A file is 8 bytes of header length (little-endian), a JSON header, and the data; an `*.safetensors.index.json` maps
tensors to shards (https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftui.errors import BadInput
from ftui.models.config import read_json

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
HEADER_LIMIT = 100_000_000
"""The format's own limit on the header's size."""

DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2", "I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8",
    "BOOL": "bool",
}
FLOATS = ("BF16", "F16", "F32", "F64")


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One stored tensor: safetensors' own dtype name and the shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        total = 1
        for side in self.shape:
            total *= side
        return total


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All headers of one model and the size of its files in bytes."""

    tensors: Mapping[str, TensorInfo]
    bytes: int
    files: tuple[str, ...]

    @property
    def dtype(self) -> str | None:
        """The floating-point type that holds most elements, None where none is floating point."""
        weight: Counter[str] = Counter()
        for info in self.tensors.values():
            if info.dtype in FLOATS:
                weight[info.dtype] += info.elements
        return DTYPES[weight.most_common(1)[0][0]] if weight else None


def parse(raw: bytes, name: str) -> dict[str, Any]:
    """The JSON of a header, checked to be an object of tensors."""
    try:
        header = json.loads(raw)
    except (ValueError, RecursionError):
        raise damaged(name, "its header is not JSON") from None
    if not isinstance(header, dict):
        raise damaged(name, "its header is not a table of tensors")
    return header


def tensors_of(header: Mapping[str, Any], name: str) -> tuple[dict[str, TensorInfo], int]:
    """(tensors by name, bytes of data they take) of a parsed header."""
    found, end = {}, 0
    for tensor, entry in header.items():
        if tensor == "__metadata__":
            continue
        try:
            shape = tuple(int(side) for side in entry["shape"])
            found[tensor] = TensorInfo(str(entry["dtype"]), shape)
            end = max(end, int(entry["data_offsets"][1]))
        except (TypeError, KeyError, ValueError, IndexError):
            raise damaged(name, f"its header's entry for {tensor[:80]!r} is not a tensor") from None
    return found, end


def damaged(name: str, reason: str) -> BadInput:
    return BadInput(
        f"The weight file {name} is damaged: {reason}.", "Delete that file and download the model again."
    )


def pointer(name: str) -> BadInput:
    """What git leaves where Git LFS wasn't there to fetch the weights."""
    return BadInput(
        f"The weight file {name} is a Git LFS pointer, not the weights.",
        "Run git lfs pull in the model's folder, or fetch the model with ftui models download.",
    )


def read_header(path: Path) -> tuple[dict[str, TensorInfo], int]:
    """(tensors, file size in bytes) of one safetensors file; BadInput names a file that is cut off or damaged."""
    name = path.name
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            if len(start) < 8:
                raise damaged(name, f"it has {size} bytes only")
            (length,) = struct.unpack("<Q", start)
            if length > HEADER_LIMIT:
                if start[:7] == b"version":
                    raise pointer(name)
                raise damaged(name, "it is no safetensors file")
            raw = file.read(length)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise BadInput(f"The weight file {path} can't be read: {reason}.", "Check the file's permissions.") from None
    if len(raw) < length:
        raise damaged(name, f"it is cut off within its header, after {size:,} bytes")
    tensors, data = tensors_of(parse(raw, name), name)
    whole = 8 + length + data
    if size < whole:
        raise damaged(name, f"it is cut off, {size:,} of {whole:,} bytes are there")
    return tensors, size


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """All safetensors headers of a model's folder, None where it holds no safetensors file.

    BadInput names the shard that is missing, cut off, damaged or at odds with the index.
    """
    index = folder / INDEX
    if (folder / SINGLE).is_file():  # where both are there, transformers takes the single file
        files = [folder / SINGLE]
    elif index.is_file():
        return _sharded(folder, read_json(index))
    else:
        files = sorted(
            path for path in folder.glob("*.safetensors")
            if path.is_file() and not path.name.startswith(("adapter_", "consolidated"))
        )
    if not files:
        return None
    _all_numbered(files)
    tensors: dict[str, TensorInfo] = {}
    size = 0
    for file in files:
        own, length = read_header(file)
        tensors.update(own)
        size += length
    return Checkpoint(tensors, size, tuple(file.name for file in files))


def _sharded(folder: Path, index: Mapping[str, Any]) -> Checkpoint:
    places = index.get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise BadInput(f"{folder / INDEX} holds no weight_map.", "Download that file again.")
    shards = sorted(set(places.values()))
    outside = [shard for shard in shards if "/" in shard or shard.startswith(".")]
    if outside:
        raise BadInput(f"{INDEX} names a shard outside the folder: {outside[0]!r}.", "Don't use this model.")
    missing = [shard for shard in shards if not (folder / shard).is_file()]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise BadInput(
            f"The weight file {missing[0]}{more} of {folder.name} is missing, though {INDEX} lists it.",
            "Download the model again: what is already there is kept.",
        )
    tensors: dict[str, TensorInfo] = {}
    size = 0
    for shard in shards:
        own, length = read_header(folder / shard)
        absent = next((name for name, place in places.items() if place == shard and name not in own), None)
        if absent is not None:
            raise damaged(shard, f"it lacks {absent}, which {INDEX} puts there")
        tensors.update(own)
        size += length
    return Checkpoint(tensors, size, tuple(shards))


def _all_numbered(files: list[Path]) -> None:
    """Shards named `x-00001-of-00003` without an index must be all there."""
    for stem, total in _numbering(files):
        present = sum(file.stem.startswith(stem) and file.stem.endswith(f"-of-{total}") for file in files)
        if present < int(total):
            raise BadInput(
                f"Only {present} of the {int(total)} weight files {stem}…-of-{total}.safetensors are there.",
                "Download the model again: what is already there is kept.",
            )


def _numbering(files: list[Path]) -> Iterator[tuple[str, str]]:
    for file in files:
        head, mark, total = file.stem.rpartition("-of-")
        if mark and total.isdigit() and head[-5:].isdigit():
            yield head[:-5], total
