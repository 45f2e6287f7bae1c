"""One whole step on the longest rows, and one batch of an evaluation on the longest held-out ones, before the first
real step: what doesn't fit fails now, not in an hour."""

from __future__ import annotations

import collections
from typing import Any

from ftui.planner.document import Plan
from ftui.worker.memory import peak_bytes, reset_peak
from ftui.worker.recovery import during
from ftui.worker.trainer import undisturbed

TIGHT_SHARE = 0.5
"""On a CPU, where running out of memory kills the process, the trial is worth its time only for a plan above this
share of what is free."""


def is_worthwhile(device: str, plan: Plan | None) -> bool:
    """Always on a GPU; on a CPU if the planned peak comes near to what is free, or isn't known."""
    if device != "cpu" or plan is None:
        return True
    return plan.recommendation.memory.high_bytes > TIGHT_SHARE * plan.budget_bytes


def run(trainer: Any, rows: int, device: str, *, steps: int = 1, evaluated: int = 0) -> int:
    """Forward, backward and optimizer step on the `rows` longest sequences, then an evaluation of the `evaluated`
    longest held-out ones; returns the peak in bytes.

    More than one of the `steps` shows what a whole training takes: from the second on the optimizer's states are there
    while the activations are, and earlier passes' gradients where several make a step.

    Nothing stays of it: gradients and optimizer states are dropped, the step has the learning rate zero, the random
    numbers are put back, what the trainer measured is forgotten.  Raises what the device raises where memory runs out,
    in the evaluation `RanOut`.
    """
    model, optimizer = trainer.model_wrapped, trainer.optimizer
    reset_peak(device)
    tokens = trainer.tokens_seen
    # All of a group's numbers: schedule-free AdamW counts its steps there.
    numbers = [{name: one for name, one in group.items() if name != "params"} for group in optimizer.param_groups]
    with undisturbed():
        batch, trained = trainer.longest_batch(rows)
        trainer.current_gradient_accumulation_steps = 1
        inner = getattr(optimizer, "optimizer", optimizer)
        fresh = not any(inner.state.values())
        passes = 1 if steps == 1 else min(2, int(trainer.args.gradient_accumulation_steps))
        for _ in range(steps):
            for _ in range(passes):
                trainer.training_step(model, dict(batch), trained)
            _hold_still(optimizer)
            if fresh:
                # Optimizer states come into being with the first step, and they may be what doesn't fit.
                inner.step()
            model.zero_grad()
        if evaluated:
            # As in the training the optimizer's states are there meanwhile, on a resume those of the checkpoint.
            with during("evaluation"):
                trainer.try_evaluation(evaluated)
        if fresh:
            inner.state = collections.defaultdict(dict)
        for group, kept in zip(optimizer.param_groups, numbers, strict=True):
            group.update(kept)
    trainer.tokens_seen = tokens
    trainer.measured("train")
    return peak_bytes(device)


def _hold_still(optimizer: Any) -> None:
    """Make the next step change no weight.

    The gradients keep their place but not their values: zero times the infinite ones that float16 makes is no number.
    """
    for group in optimizer.param_groups:
        group["lr"] = group["weight_decay"] = 0.0
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.grad.zero_()
