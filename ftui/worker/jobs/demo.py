"""The `demo` job: train the embedded model's weights from the text in `ftui/models/demo_corpus.py`.

About half a minute on one core: a plain torch loop, the same seed and the same batches everywhere.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ftui.files import sync_folder
from ftui.models import demo, demo_corpus
from ftui.worker.context import JobContext

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import LlamaForCausalLM

STEPS, BATCH, LEARNING_RATE, WARMUP, SEED = 300, 20, 5e-3, 15, 0
QUESTION_WEIGHT = 0.05
"""What a token of a question counts beside one of an answer: the model is to answer, and time is short."""

TITLE = "Training the demo's base model"
Row = tuple[list[int], list[float]]


def run(context: JobContext) -> None:
    """Make the demo model's weights, unless they are there."""
    if ensure_weights(context):
        context.finish(f"The demo model is ready in {demo.folder()}.", output=demo.folder())
    else:
        context.finish("Stopped before the demo model was ready; nothing was kept.")


def ensure_weights(context: JobContext) -> bool:
    """Train the weights if they are missing; False if a stop was asked for before they were ready.

    Of several runs that need them at once one trains and the others wait; the file appears whole, by a rename.
    """
    folder = demo.ensure_folder()
    if demo.is_complete():
        return True
    with _turn(context, folder) as mine:
        if demo.is_complete():
            return True
        return mine and _train(context, folder)


@contextlib.contextmanager
def _turn(context: JobContext, folder: Path) -> Iterator[bool]:
    """Hold the lock on the demo model's folder; yields False if the weights came, or a stop, while waiting for it."""
    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while True:
            try:
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                if demo.is_complete() or context.stop_asked:
                    yield False
                    return
                context.progress("Another run is training the demo's base model", 0, None, unit="row")
                time.sleep(0.5)
                continue
            except OSError:
                # A filesystem without locks: two that train at once do the same work twice, no harm is done.
                pass
            yield True
            return
    finally:
        os.close(handle)


def _train(context: JobContext, folder: Path) -> bool:
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    batches = _batches(Tokenizer.from_file(str(folder / "tokenizer.json")))
    threads = torch.get_num_threads()
    # Matrices this small are slower on several cores than on one.
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(SEED)
            config = LlamaConfig(**{name: value for name, value in demo.CONFIG.items() if name != "architectures"})
            model = LlamaForCausalLM(config).float()
            optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.05)
            for step in range(STEPS):
                if context.stop_asked:
                    return False
                context.progress(TITLE, step * BATCH, STEPS * BATCH, unit="row")
                rate = LEARNING_RATE * min(1.0, (step + 1) / WARMUP, max(0.02, (STEPS - step) / (STEPS / 2)))
                for group in optimizer.param_groups:
                    group["lr"] = rate
                _loss(model, next(batches)).backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
    finally:
        torch.set_num_threads(threads)
    context.progress(TITLE, STEPS * BATCH, STEPS * BATCH, unit="row")
    aside = folder / f".{demo.WEIGHTS}.{os.getpid()}"
    # The head is the embedding table; transformers ties them when it loads.
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    save_file(tensors, aside, metadata={"format": "pt"})
    with open(aside, "rb") as file:
        os.fsync(file.fileno())
    aside.chmod(0o644)
    aside.replace(folder / demo.WEIGHTS)
    sync_folder(folder)
    return True


def _loss(model: LlamaForCausalLM, rows: list[Row]) -> torch.Tensor:
    """Cross-entropy over the batch, each token by its weight; the head is applied to weighed tokens only."""
    import torch

    width = max(len(tokens) for tokens, _ in rows)
    tokens = torch.zeros(len(rows), width, dtype=torch.long)
    weights = torch.zeros(len(rows), width)
    for index, (row, counts) in enumerate(rows):
        tokens[index, : len(row)] = torch.tensor(row)
        weights[index, : len(row)] = torch.tensor(counts)
    counted, targets = weights[:, 1:] > 0, tokens[:, 1:]
    hidden = model.model(input_ids=tokens, use_cache=False).last_hidden_state[:, :-1]
    losses = torch.nn.functional.cross_entropy(model.lm_head(hidden[counted]), targets[counted], reduction="none")
    weight = weights[:, 1:][counted]
    return (losses * weight).sum() / weight.sum()


def _batches(tokenizer: Tokenizer) -> Iterator[list[Row]]:
    """Batches without end of rows of one kind, so that little is padded: single turns, turns in a manner, the long."""
    chats, tales = demo_corpus.chats(seed=1), demo_corpus.tales(seed=2)
    single: list[Row] = []
    manner: list[Row] = []
    long: list[Row] = []
    while True:
        messages = next(chats)
        row = _row(tokenizer, messages)
        (long if len(row[0]) > 46 else manner if messages[0]["role"] == "system" else single).append(row)
        for kind in (single, manner):
            if len(kind) == BATCH:
                yield list(kind)
                kind.clear()
        if len(long) == BATCH // 3:
            tale = [*tokenizer.encode(next(tales)).ids, demo.SPECIAL.index(demo.END)]
            yield [*long, (tale, [1.0] * len(tale))]
            long.clear()


def _row(tokenizer: Tokenizer, messages: demo_corpus.Messages) -> Row:
    """Token ids of a rendered conversation, and each token's weight in the loss."""
    tokens: list[int] = []
    weights: list[float] = []
    for turn in messages:
        parts = (f"{demo.START}{turn['role']}\n", turn["content"] + demo.STOP, "\n")
        for part, answer in zip(parts, (False, turn["role"] == "assistant", False), strict=True):
            ids = tokenizer.encode(part).ids
            tokens += ids
            weights += [1.0 if answer else QUESTION_WEIGHT] * len(ids)
    return tokens, weights
