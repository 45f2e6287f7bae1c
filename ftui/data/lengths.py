"""How long rows are in tokens, counted with the model's tokenizer and template, or estimated from bytes without one."""

from __future__ import annotations

import bisect
import contextlib
import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ftui.data.canonical import Message, Row, RowError, messages_of, text_of
from ftui.data.document import BadRow, Lengths
from ftui.data.mask_check import mask_fault
from ftui.data.masking import Text, Tokens, Writer
from ftui.data.template import ChatTemplate

EDGES = (
    0, 17, 33, 49, 65, 97, 129, 161, 193, 225, 257, 321, 385, 449, 513, 641, 769, 897, 1025, 1281, 1537, 1793, 2049,
    2561, 3073, 3585, 4097, 5121, 6145, 8193, 10241, 12289, 16385, 24577, 32769, 49153, 65537, 98305, 131073, 262145,
    524289, 1048577, 1 << 40,
)  # fmt: skip
"""One above each usual sequence length, so that the share of rows over one of them is exact."""

MASKED_ROWS = 2000
"""On how many rows at most the trained share and the prompts' lengths are measured."""
ANSWERED = ("conversation", "preference")
"""Kinds of rows that hold a prompt and its answer, and may serve as prompts alone."""
_BATCH = 512
_TURN_TOKENS = 8
"""About what a template writes around a turn, for the estimate."""


@dataclass
class Counted:
    """Lengths by row, and what the template would not take."""

    lengths: Lengths
    rows: array[int] = field(default_factory=lambda: array("i"))
    """The length of each row counted, in the order given; -1 where the template refuses it."""
    refused: list[BadRow] = field(default_factory=list)
    untrained: list[BadRow] = field(default_factory=list)
    """Rows of which no token would be trained."""
    template_notes: tuple[str, ...] = ()
    prompts: Lengths | None = None
    """What stands before the last answer, where rows have answers."""
    template: ChatTemplate | None = None
    """That by which the rows were counted; None where lengths are estimated."""
    mask_fault: str | None = None
    """What is wrong with the template's choice of what is trained, where rows are written by it."""


def count_lengths(
    rows: Sequence[Row], total_rows: int, writer: Writer, on_progress: Callable[[int, int | None], None] | None = None
) -> Counted:
    """Count `rows` (a sample of `total_rows`) with the writer's tokenizer and template."""
    counted = array("i")
    refused: list[BadRow] = []
    untrained: list[BadRow] = []
    trained = masked = 0
    prompts: list[int] = []
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        with_masks = start < MASKED_ROWS
        written: list[Text | None] = []
        for row in batch:
            try:
                written.append(writer.write(row) if with_masks and _masks(row) else _text_only(row, writer))
            except RowError as error:
                refused.append(BadRow(source=row.source, line=row.line, reason=str(error)))
                written.append(None)
        texts = [text for text in written if text is not None]
        if with_masks:
            tokens = writer.tokens(texts)
            lengths = [len(row.ids) for row in tokens]
            trained += sum(row.trained.count(1) for row in tokens)
            masked += sum(lengths)
            taken = [row for row, text in zip(batch, written, strict=True) if text is not None]
            prompts += _prompts(taken, tokens, writer)
            untrained += [
                BadRow(source=row.source, line=row.line, reason="no token of it would be trained")
                for row, found in zip(taken, tokens, strict=True)
                if _masks(row) and not any(found.trained)
            ]
        else:
            lengths = writer.count(texts)
        remaining = iter(lengths)
        counted.extend(-1 if text is None else next(remaining) for text in written)
        if on_progress:
            on_progress(min(start + _BATCH, len(rows)), len(rows))
    share = trained / masked if masked else 0.0
    summary = summarize([length for length in counted if length >= 0], total_rows, writer.tokenizer.name, True, share)
    asked = summarize(prompts, total_rows, writer.tokenizer.name, True, 0.0) if prompts else None
    fault = mask_fault(writer.template, writer.loss_on) if any(map(_by_turns, rows)) else None
    return Counted(summary, counted, refused, untrained, writer.template.notes, asked, writer.template, fault)


def estimate_lengths(rows: Sequence[Row], total_rows: int) -> Counted:
    """Estimate without a tokenizer: four bytes of UTF-8 make a token, and a template adds a few per turn."""
    counted = array("i")
    answers = 0
    prompts: list[int] = []
    for row in rows:
        messages = messages_of(row)
        counted.append(math.ceil(len(text_of(row).encode()) / 4) + _TURN_TOKENS * len(messages))
        if row.kind in ("text", "class"):
            answers += counted[-1]
        answers += sum(len(str(turn["content"]).encode()) // 4 for turn in messages if turn["role"] == "assistant")
        if row.kind in ANSWERED:
            contents = [str(turn.get("content") or "") for turn in _asked(row)]
            prompts.append(sum(_TURN_TOKENS + len(text.encode()) // 4 for text in contents))
    share = answers / max(sum(counted), 1)
    asked = summarize(prompts, total_rows, "bytes/4", False, 0.0) if prompts else None
    return Counted(summarize(list(counted), total_rows, "bytes/4", False, share), counted, prompts=asked)


def summarize(lengths: Sequence[int], total_rows: int, tokenizer: str, exact: bool, trained_share: float) -> Lengths:
    """Quantiles (nearest rank), mean and histogram."""
    ordered = sorted(lengths)
    histogram = [0] * (len(EDGES) - 1)
    for length in ordered:
        histogram[bisect.bisect_right(EDGES, length) - 1] += 1

    def quantile(share: float) -> int:
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] if ordered else 0

    mean = sum(ordered) / max(len(ordered), 1)
    filled = max((index for index, rows in enumerate(histogram) if rows), default=0)
    return Lengths(
        tokenizer=tokenizer, exact=exact, sampled=len(ordered), mean=round(mean, 2), p50=quantile(0.5),
        p90=quantile(0.9), p99=quantile(0.99), max=ordered[-1] if ordered else 0,
        total_tokens=round(mean * total_rows), trained_share=round(min(trained_share, 1.0), 4),
        edges=EDGES[: filled + 2], histogram=tuple(histogram[: filled + 1]),
    )  # fmt: skip


def _by_turns(row: Row) -> bool:
    """Whether the assistant's turns of a row are what is trained of it, or scored."""
    return row.kind in ("conversation", "preference", "labelled")


def _prompts(rows: Sequence[Row], tokens: Sequence[Tokens], writer: Writer) -> list[int]:
    """Tokens before the last answer of each row that has one; of a conversation its mask says where it begins."""
    found: list[int] = []
    pairs: list[Text] = []
    for row, written in zip(rows, tokens, strict=True):
        if row.kind == "conversation" and writer.loss_on != "all":
            last = written.trained.rfind(1)
            found += [written.trained.rfind(0, 0, last) + 1] if last >= 0 else []
        elif row.kind == "preference":
            # A template may refuse a prompt without an answer; the whole row's refusal is told of.
            with contextlib.suppress(RowError):
                pairs.append(writer.prompt(_asked(row), row.value.get("tools")))
    return found + writer.count(pairs)


def _asked(row: Row) -> list[Message]:
    """The turns before the last answer."""
    if row.kind == "preference":
        return list(row.value["prompt"])
    messages: list[Message] = row.value["messages"]
    last = max((index for index, turn in enumerate(messages) if turn["role"] == "assistant"), default=len(messages))
    return messages[:last]


def _masks(row: Row) -> bool:
    return row.kind in ("conversation", "text")


def _text_only(row: Row, writer: Writer) -> Text:
    """The row's text without looking for turns; every token counts as trained, which nobody reads."""
    if row.kind == "text":
        return writer.write(row)
    if row.kind == "class":
        return writer.plain(row.value["text"])
    if row.kind == "prompt":
        return writer.prompt(row.value["prompt"], row.value.get("tools"))
    messages = messages_of(row)
    if row.kind == "preference":
        # The longer answer decides how wide the pair is.
        messages = [*row.value["prompt"], *max(row.value["chosen"], row.value["rejected"], key=_characters)]
    return Text(writer.template.render(messages, row.value.get("tools")), (), True)


def _characters(messages: Sequence[Message]) -> int:
    return sum(len(str(message.get("content") or "")) for message in messages)
