"""Rows of token ids to the tensors of one micro-batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ftui.data.token_rows import UNTRAINED, TrainingRow


@dataclass(frozen=True)
class Collator:
    """Pads on the right.  `tokens` in its result counts the real tokens, so that nothing has to ask the device.

    Packed sequences carry position ids that begin anew with each row and no attention mask: by these transformers
    keeps the rows apart on sdpa and eager (only with `use_cache=False`, which the loss sets).  FlashAttention does so
    for a single sequence only, so there a packed micro-batch becomes one.
    """

    pad_id: int
    packed: bool = False
    flatten: bool = False
    """One sequence of the whole micro-batch: for FlashAttention's variable-length kernels, or to do without padding."""
    boundaries: bool = False
    """Say where the rows of a flattened micro-batch begin, as FlashAttention's kernels take it."""
    width: int = 0
    """The least width of a micro-batch, whatever its rows."""
    multiple: int = 1
    """Widths are rounded up to this, as tensor cores like it."""
    pictures: Callable[[Sequence[str]], torch.Tensor] | None = None
    """Opens the files of the rows' images, all of a micro-batch in one tensor."""
    tasks: bool = False
    """Say which task each row belongs to, where the rows say it."""

    def __call__(self, rows: Sequence[TrainingRow]) -> dict[str, Any]:
        real = sum(len(row["input_ids"]) for row in rows)
        if self.flatten:
            rows = [_joined(rows)]
        width = max(self.width, *(len(row["input_ids"]) for row in rows))
        width = -(-width // self.multiple) * self.multiple
        ids = torch.full((len(rows), width), self.pad_id)
        labels = torch.full((len(rows), width), UNTRAINED)
        for index, row in enumerate(rows):
            ids[index, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
            labels[index, : len(row["labels"])] = torch.tensor(row["labels"])
        batch: dict[str, Any] = {"input_ids": ids, "labels": labels, "tokens": real}
        if self.packed:
            positions = torch.stack([_positions(row["seq_lengths"], width) for row in rows])
            batch["position_ids"] = positions
            if self.flatten and self.boundaries:
                batch |= _boundaries(positions)
        else:
            lengths = torch.tensor([len(row["input_ids"]) for row in rows])
            batch["attention_mask"] = (torch.arange(width) < lengths[:, None]).long()
        if self.pictures is not None and (files := [file for row in rows for file in row.get("images", ())]):
            batch["pixel_values"] = self.pictures(files)
        if self.tasks:
            batch |= task_ids(rows)
        return batch


def task_ids(rows: Sequence[Any]) -> dict[str, torch.Tensor]:
    """The rows' tasks as an adapter that tells them apart takes them; nothing where they name none."""
    return {"task_ids": torch.tensor([row["task_id"] for row in rows])} if "task_id" in rows[0] else {}


def _joined(rows: Sequence[TrainingRow]) -> TrainingRow:
    return {
        "input_ids": [token for row in rows for token in row["input_ids"]],
        "labels": [label for row in rows for label in row["labels"]],
        "seq_lengths": [length for row in rows for length in row["seq_lengths"]],
    }


def _positions(lengths: Sequence[int], width: int) -> torch.Tensor:
    """0, 1, 2, ... for each packed row, and for the padding as if it were a row of its own."""
    padding = width - sum(lengths)
    return torch.cat([torch.arange(length) for length in (*lengths, *([padding] if padding else []))])


def _boundaries(positions: torch.Tensor) -> dict[str, Any]:
    """Where the rows of one flattened sequence begin, as FlashAttention's kernels take it."""
    starts = (positions[0] == 0).nonzero().flatten()
    cumulative = torch.cat([starts, torch.tensor([positions.shape[1]])]).to(torch.int32)
    longest = int(cumulative.diff().max())
    return {
        "cu_seq_lens_q": cumulative, "cu_seq_lens_k": cumulative, "max_length_q": longest, "max_length_k": longest,
    }
