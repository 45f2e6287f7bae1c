"""A base model's folder written anew with rows for tokens that it lacks; weight files without such rows are linked.

A new token's row is the mean of the rows of the pieces in which the base wrote it ("Fast Vocabulary Transfer",
https://aclanthology.org/2022.emnlp-industry.41): it means something, and no two tokens begin alike, as they would with
the mean of all rows.
"""

from __future__ import annotations

import json
import mmap
import os
import shutil
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ftui.errors import BadInput
from ftui.models.headers import INDEX
from ftui.paths import METADATA

ROUND = 64
"""An embedding of a multiple of so many rows keeps to it: matrix products of other widths are slow on tensor cores
(https://docs.nvidia.com/deeplearning/performance/dl-performance-matrix-multiplication)."""
CHUNK_BYTES = 16 << 20
ROWS_AT_ONCE = 4096
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer.model", "spiece.model", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "chat_template.jinja", "chat_template.json", "vocab.json", "merges.txt",
)
CONFIGS = ("config.json", "generation_config.json", INDEX)


@dataclass(frozen=True)
class Growth:
    """What changes in every tensor with a row per token: new rows by their ids, and how many rows there are then."""

    before: int
    after: int
    pieces: dict[int, list[int]]
    """id of a new token -> the ids in which the base wrote it."""


def growth(before: int, first: int, pieces: Sequence[list[int]]) -> Growth:
    """New tokens get the ids from `first` on, which may be spare rows of an embedding of `before` rows."""
    needed = max(before, first + len(pieces))
    after = -(-needed // ROUND) * ROUND if before % ROUND == 0 else needed
    return Growth(before, after, {first + number: ids for number, ids in enumerate(pieces)})


def weight_files(folder: Path) -> list[Path]:
    """The model's safetensors files; BadInput where it has none."""
    found = sorted(path for path in folder.glob("*.safetensors") if path.name.startswith("model"))
    if not found:
        raise BadInput(
            f"{folder} has no safetensors files to extend.", "Save the model as safetensors, as transformers does."
        )
    return found


def extend_file(source: Path, target: Path, grows: Growth, hidden: int) -> list[str]:
    """Write `source` with more rows to `target`, or link it where none of its tensors has a row per token.

    Returns the names of those that have.  Needs memory for a few thousand rows only.
    """
    with source.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, Any] = json.loads(file.read(length))
        grown = [name for name, entry in header.items() if name != "__metadata__" and _has_rows(entry, grows, hidden)]
        if not grown:
            _link(source, target)
            return []
        with target.open("wb") as out, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _write(out, data, 8 + length, header, set(grown), grows)
    return grown


def extend_config(config: dict[str, Any], grows: Growth) -> dict[str, Any]:
    """config.json with the new number of tokens, wherever it states the old one."""
    changed = dict(config)
    if "vocab_size" in config or "text_config" not in config:
        changed["vocab_size"] = grows.after
    if isinstance(inner := config.get("text_config"), dict) and "vocab_size" in inner:
        changed["text_config"] = {**inner, "vocab_size": grows.after}
    return changed


def copied_beside(folder: Path) -> Iterator[Path]:
    """The small files that go along as they are: neither weights, nor tokenizer, nor what is written anew."""
    made = {*TOKENIZER_FILES, *CONFIGS, METADATA}
    for path in sorted(folder.iterdir()):
        plain = path.suffix in (".json", ".md", ".txt", ".py", "") and not path.name.startswith(".")
        if path.is_file() and plain and path.name not in made and ".index." not in path.name:
            yield path


def _has_rows(entry: dict[str, Any], grows: Growth, hidden: int) -> bool:
    """Whether a tensor is an embedding, a head, or a head's bias."""
    return entry["shape"] in ([grows.before, hidden], [grows.before])


def _write(
    out: BinaryIO, data: mmap.mmap, start: int, header: dict[str, Any], grown: set[str], grows: Growth
) -> None:
    """The file anew, tensor by tensor in its order."""
    names = sorted((name for name in header if name != "__metadata__"), key=lambda name: header[name]["data_offsets"])
    entries, end = dict(header), 0
    for name in names:
        begin, stop = header[name]["data_offsets"]
        shape, size = list(header[name]["shape"]), stop - begin
        if name in grown:
            size = size // grows.before * grows.after
            shape[0] = grows.after
        entries[name] = {**header[name], "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(entries, separators=(",", ":")).encode()
    # The format wants the data to begin at a multiple of eight bytes.
    text += b" " * (-len(text) % 8)
    out.write(struct.pack("<Q", len(text)) + text)
    for name in names:
        begin, stop = (start + offset for offset in header[name]["data_offsets"])
        at = out.tell()
        for part in range(begin, stop, CHUNK_BYTES):
            out.write(data[part : min(part + CHUNK_BYTES, stop)])
        if name in grown:
            _write_rows(out, at, memoryview(data)[begin:stop], header[name], grows)


def _write_rows(out: BinaryIO, at: int, rows: memoryview, entry: dict[str, Any], grows: Growth) -> None:
    """The rows of new tokens, and those that round the number up, which are the mean of all."""
    import torch

    dtype = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[entry["dtype"]]
    width = len(rows) // grows.before

    def read(first: int, last: int) -> torch.Tensor:
        # A copy: torch warns of memory that it may not write.
        return torch.frombuffer(bytearray(rows[first * width : last * width]), dtype=dtype).view(last - first, -1)

    made = {number: torch.cat([read(each, each + 1) for each in ids]).double().mean(0)
            for number, ids in grows.pieces.items()}  # fmt: skip
    if spare := [number for number in range(grows.before, grows.after) if number not in made]:
        starts = range(0, grows.before, ROWS_AT_ONCE)
        sums = [read(first, min(first + ROWS_AT_ONCE, grows.before)).double().sum(0) for first in starts]
        made |= dict.fromkeys(spare, torch.stack(sums).sum(0) / grows.before)
    for number, row in made.items():
        out.seek(at + number * width)
        out.write(row.to(dtype).view(torch.uint8).numpy().tobytes())
    out.seek(at + grows.after * width)


def _link(source: Path, target: Path) -> None:
    """The same bytes under another name where the disk can do that, else a copy."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
