"""How the optimizer is led: rate, schedule, warm-up, passes, batch, and how often one looks."""

from __future__ import annotations

import math

from ftui.methods import ADAPTERS
from ftui.planner.document import Choice, Method
from ftui.planner.rules import sources
from ftui.planner.rules.goals import like
from ftui.planner.rules.job import ONLINE, PREFERENCE, Job
from ftui.units import count

EPOCHS = {"classify": 3, "instruct": 2, "chat": 2, "reasoning": 2, "code": 2}
OBJECTIVE_RATES = {
    "dpo": (5e-6, 5e-7, sources.ZEPHYR), "kto": (5e-6, 5e-7, sources.TRL_KTO), "orpo": (8e-6, 8e-6, sources.TRL_ORPO),
    "cpo": (5e-6, 1e-6, sources.SIMPO),
    "reward": (1e-4, 1e-5, sources.TRL_REWARD), "grpo": (5e-6, 1e-6, sources.TRL_GRPO),
    "rloo": (5e-6, 1e-6, sources.TRL_GRPO), "ppo": (5e-6, 1e-6, sources.TRL_GRPO),
    "online_dpo": (5e-6, 5e-7, sources.ZEPHYR),
}
"""Objective → learning rate with an adapter, in full tuning, and who publishes it."""
SHORT_RUN = 100
"""Steps below which a warm-up of 3 % is too few steps to be one."""
EVALUATION_SHARE = 0.1


def learning_rate(job: Job, method: Method) -> Choice:
    """LoRA 1e-4–5e-4, falling with the model's width; full tuning a tenth of it; a tiny model needs more.

    5e-4 at a width of 2,000, falling with width^0.781, is the published fit for Llama models at alpha 32; for Qwen it
    falls less (width^0.0775), and the careful one is taken for all.  It is held within the published range from 0.3 B
    parameters on, and only capped at 5e-3 below.  Preferences and rewards take the rates of their own recipes, other
    adapters the one that PEFT's comparison chose for them, where it chose one.
    """
    if job.draft.adapter.kind == "freeze":
        # The model's own weights train, if not all of them.
        method = "full"
    if job.objective in OBJECTIVE_RATES:
        adapter, full, source = OBJECTIVE_RATES[job.objective]
        value = full if method == "full" else adapter
        how = "the model's own weights train" if method == "full" else "an adapter trains"
        said = "what published recipes take"
        if job.tiny:
            value, said = float(f"{10 * value:.1g}"), "ten times what published recipes take for larger models"
        return Choice(path="train.learning_rate", value=value, source=source,
                      reason=f"{value:g} — {job.objective}, {how}: {said}")
    row = ADAPTERS[job.draft.adapter.kind]
    if method != "full" and row.compared is not None and row.compared.rate is not None:
        rate = row.compared.rate
        return Choice(path="train.learning_rate", value=rate, source=sources.COMPARISON,
                      reason=f"{rate:g} — what PEFT's comparison chose for {row.title}, on Llama 3.2 3B")
    width = job.shape.hidden
    value = 5e-4 * (2000 / width) ** 0.781
    value = min(value, 5e-3) if job.tiny else min(max(value, 1e-4), 5e-4)
    if method in ("qlora", "lora-int8") and not job.tiny:
        value = max(value, 2e-4) if job.shape.parameters < 20e9 else 1e-4
    value = value / 10 if method == "full" else value
    value = float(f"{value:.1g}")
    how = {"full": "the model's own weights train: a tenth of LoRA's", "qlora": "LoRA on 4 bits", "lora": "LoRA",
           "lora-int8": "LoRA on 8 bits"}[method]
    size = f"{count(job.shape.parameters)} parameters, {width:,} wide"
    note = "; a model this small needs a larger rate than published ones" if job.tiny else ""
    return Choice(
        path="train.learning_rate", value=value, reason=f"{value:g} — {how}, {size}{note}",
        source=sources.RATE_FIT if method != "qlora" or job.tiny else f"{sources.RATE_FIT}, {sources.QLORA}",
    )


def schedule(job: Job) -> Choice:
    """Cosine to zero; constant after a warm-up where the model trains on what it wrote itself."""
    if job.objective in ONLINE:
        return Choice(path="train.schedule", value="constant_with_warmup", source=sources.WITHOUT_REGRET,
                      reason="constant — training by rewards has no end that is known beforehand")
    return Choice(path="train.schedule", value="cosine", source=sources.DECAY_TO_ZERO,
                  reason="cosine — falling to zero settles the run, better than stopping at a floor")


def warmup(job: Job, rate: float, steps: int) -> Choice:
    """3 % of the steps; 10 % in a short run, at a high rate or for preferences."""
    def choice(value: float, why: str, source: str) -> Choice:
        rising = max(1, math.ceil(value * steps))
        first = f"the first {rising} steps" if rising > 1 else "the first step"
        reason = f"{value:g} — {why}; the rate rises over {first} of {steps:,}"
        return Choice(path="train.warmup", value=value, reason=reason, source=source)

    if job.objective in (*PREFERENCE, "reward"):
        return choice(0.1, "as the published recipes for preferences have it", sources.ZEPHYR)
    if steps < SHORT_RUN:
        return choice(0.1, "in so short a run 3 % would be no warm-up", sources.UNSLOTH)
    if rate > 5e-4:
        return choice(0.1, "a high learning rate spikes without a longer one", sources.UNSLOTH)
    return choice(0.03, "what LoRA and QLoRA runs take", sources.QLORA)


def weight_decay() -> Choice:
    return Choice(path="train.weight_decay", value=0.0, source=sources.TULU3,
                  reason="0 — few passes at a small rate leave little for it to restrain")


def clipping(method: Method) -> Choice:
    """1, and 0.3 on a quantized base as in QLoRA's own runs."""
    if method == "qlora":
        return Choice(path="train.max_grad_norm", value=0.3, source=sources.QLORA,
                      reason="0.3 — QLoRA's own runs; rounding to 4 bits makes single gradients rough")
    return Choice(path="train.max_grad_norm", value=1.0, source=sources.TULU3,
                  reason="1 — only outliers are shortened")


def epochs(job: Job) -> Choice:
    """1–3 for instructions, 5–10 for a domain in few rows, 1 for preferences; more rows need fewer passes."""
    task, rows = job.draft.goal.task, job.rows
    if job.objective in (*PREFERENCE, "reward", *ONLINE):
        return Choice(path="train.epochs", value=1.0, source=sources.ZEPHYR,
                      reason=f"1 epoch — {job.rows_text} for {job.objective}: a second pass over-fits")
    if task == "domain":
        value = 3 if rows is None else 8 if rows < 1000 else 5 if rows < 10_000 else 3 if rows < 50_000 else 1
        source = sources.REPEATED_DATA
    else:
        value = EPOCHS[like(task)]
        if rows is not None:
            value = value + 1 if rows < 1000 else 1 if rows > 20_000 else value
        source = sources.LEARNS_LESS
    times = "epoch" if value == 1 else "epochs"
    return Choice(
        path="train.epochs", value=float(value), source=source,
        reason=f"{value} {times} — {job.rows_text} of {job.task_text}; watch the validation loss",
    )


def patience(job: Job, passes: float, validates: bool) -> Choice:
    """Three evaluations without a better one end a run of several passes; a single pass is run to its end."""
    value = 3 if passes > 1 and validates else None
    reason = (
        f"3 — {passes:g} passes can over-fit; three looks without a better loss end it" if value
        else "none — a single pass sees every row once" if validates else "none — nothing is held out to look at"
    )
    return Choice(path="evaluate.patience", value=value, reason=reason, source=sources.FTUI)


def effective_batch(job: Job, method: Method, sequences: int) -> Choice:
    """Grows with the data; LoRA stays small, since it loses more than full tuning from a large batch."""
    value = 8 if sequences < 1000 else 16 if sequences < 20_000 else 32
    source = sources.WITHOUT_REGRET if method != "full" else sources.FTUI
    if method == "full" and sequences >= 50_000:
        value = 64
    if job.objective in (*PREFERENCE, "reward") and sequences >= 2000:
        value, source = 32, sources.ZEPHYR
    while value > 1 and sequences < 10 * value:
        value //= 2
    if job.objective in ONLINE:
        group = getattr(job.draft.objective, "generations", 1)
        value = -(-value // group) * group
        return Choice(
            path="train.effective_batch", value=value, source=source,
            reason=f"{value} answers per step — {value // group} prompts with {group} each" if group > 1
            else f"{value} answers per step, each to a prompt of its own",
        )
    return Choice(
        path="train.effective_batch", value=value, source=source,
        reason=f"{value} rows per step — {sequences:,} of them per epoch give {math.ceil(sequences / value):,} steps",
    )


def cadence(steps: int, held_out: int = 0, trained: int = 0) -> tuple[Choice, Choice]:
    """Evaluation and saving about ten times per run, less often where looking would take over a tenth of the time.

    A held-out row costs a third of a trained one (`trained` sequences in the whole run); the best checkpoint needs
    both at the same steps.
    """
    looks = 10
    if held_out and trained:
        looks = max(2, min(10, int(EVALUATION_SHARE * trained * 3 / held_out)))
    every = max(1, round(steps / looks))
    text = f"every {every} of {steps:,} steps"
    why = "about ten looks per run" if looks == 10 else f"{looks} looks at {held_out:,} rows take a tenth of the time"
    return (
        Choice(path="train.eval_steps", value=every, reason=f"{text} — {why}", source=sources.FTUI),
        Choice(
            path="train.save_steps", value=every, source=sources.FTUI,
            reason=f"{text} — together with the evaluation, so the best is kept",
        ),
    )
