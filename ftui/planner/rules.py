"""The rules of advice: each takes what is known of the job and answers with a value, its reason and who says so.

They follow published sweeps for models of half a billion parameters and more, and say so where a tiny model needs
something else.  A rule never looks at what fits; that is `search`'s part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ftui.data.document import DataProfile
from ftui.hardware.document import Hardware
from ftui.models.document import ModelShape
from ftui.planner.document import Choice, Method
from ftui.planner.lengths import cut
from ftui.recipe.document import Recipe
from ftui.units import count

LORA = "https://arxiv.org/abs/2106.09685"
QLORA = "https://arxiv.org/abs/2305.14314"
WITHOUT_REGRET = "https://thinkingmachines.ai/blog/lora/"
RATE_FIT = "https://tinker-docs.thinkingmachines.ai/supervised-learning/sl-hyperparams"
LEARNS_LESS = "https://arxiv.org/abs/2405.09673"
UNSLOTH = "https://unsloth.ai/docs/get-started/fine-tuning-llms-guide/lora-hyperparameters-guide"
CHECKPOINTING = "https://arxiv.org/abs/1604.06174"
EIGHT_BIT = "https://arxiv.org/abs/2110.02861"
PACKING = "https://huggingface.co/docs/trl/main/en/reducing_memory_usage"
GEMMA2 = "https://huggingface.co/docs/transformers/model_doc/gemma2"
SDPA = "https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html"
PEFT_EXPERTS = "https://huggingface.co/docs/peft/main/en/package_reference/lora"
FTUI = "ftui's own rule"
MEMORY = "ftui memory formula"

RANKS = {"classify": 8, "instruct": 16, "chat": 16, "reasoning": 32, "code": 32, "domain": 64}
TASK_NAMES = {
    "classify": "a classification task", "instruct": "an instruction task", "chat": "a chat task",
    "reasoning": "a reasoning task", "code": "a code task", "domain": "learning a domain",
}
EPOCHS = {"classify": 3, "instruct": 2, "chat": 2, "reasoning": 2, "code": 2, "domain": 1}
SMALL = 30_000_000
"""Below this many parameters one CPU thread is faster than several."""
TINY = 300_000_000
"""Below this many parameters published learning rates are too low, and memory hardly matters."""


@dataclass(frozen=True)
class Job:
    """What the rules know: the machine, the model, the data (if read) and the draft."""

    hardware: Hardware
    shape: ModelShape
    profile: DataProfile | None
    draft: Recipe
    cpu: bool

    @property
    def rows(self) -> int | None:
        return self.profile.rows if self.profile else None

    @property
    def rows_text(self) -> str:
        return f"{self.rows:,} rows" if self.rows is not None else "unread rows"

    @cached_property
    def wanted_length(self) -> Choice:
        """The sequence length that the rules ask for; the search comes back to it often."""
        return max_length(self)

    @property
    def tiny(self) -> bool:
        return self.shape.parameters < TINY


def rank(job: Job) -> Choice:
    """4–8 for simple, 16 for standard, 32–64 for complex tasks; fewer rows can't feed a high one."""
    task = job.draft.goal.task
    value, bound = RANKS[task], ""
    if job.rows is not None and job.rows < 300 and value > 8:
        value, bound = 8, "; so few rows can't feed a higher one"
    elif job.rows is not None and job.rows < 1000 and value > 16:
        value, bound = 16, "; under 1,000 rows can't feed a higher one"
    elif job.rows is not None and job.rows > 50_000 and job.draft.goal.priority == "quality":
        value, bound = min(2 * value, 128), "; doubled, for more than 50,000 rows and quality first"
    if value > min(job.shape.hidden // 4, 1024):
        value, bound = max(4, job.shape.hidden // 4), "; a quarter of the model's width"
    reason = f"rank {value} — {job.rows_text} of {TASK_NAMES[task]}{bound}"
    return Choice(path="adapter.rank", value=value, reason=reason, source=WITHOUT_REGRET if value > 16 else LORA)


def alpha(job: Job, adapter_rank: int) -> Choice:
    value = float(2 * adapter_rank)
    return Choice(
        path="adapter.alpha", value=value, reason=f"alpha {value:g} — twice the rank, so the update is scaled by 2",
        source=UNSLOTH,
    )


def dropout(job: Job, experts: bool) -> Choice:
    """Some for little data; none where adapters sit on fused experts, for which peft refuses it."""
    if experts:
        return Choice(
            path="adapter.dropout", value=0.0, source=PEFT_EXPERTS,
            reason="dropout 0 — adapters on fused experts can't have any",
        )
    small = job.rows is not None and job.rows < 5000 and not job.tiny
    reason = (
        f"dropout 0.05 — {job.rows_text} are repeated soon, some noise against learning them by heart" if small
        else f"dropout 0 — {job.rows_text}: it would only cost memory and time" if not job.tiny
        else "dropout 0 — a tiny model under-fits rather than over-fits"
    )
    return Choice(path="adapter.dropout", value=0.05 if small else 0.0, reason=reason, source=QLORA if small else FTUI)


def learning_rate(job: Job, method: Method) -> Choice:
    """LoRA 1e-4–5e-4, falling with the model's width; full tuning a tenth of it; a tiny model needs more.

    5e-4 at a width of 2,000, falling with width^0.781, is the published fit for Llama models (for Qwen it falls less:
    the careful one is taken for all).  It is held within the published range from 0.3 B parameters on, and only capped
    at 5e-3 below.
    """
    width = job.shape.hidden
    value = 5e-4 * (2000 / width) ** 0.781
    value = min(value, 5e-3) if job.tiny else min(max(value, 1e-4), 5e-4)
    if method in ("qlora", "lora-int8") and not job.tiny:
        value = max(value, 2e-4) if job.shape.parameters < 20e9 else 1e-4
    value = value / 10 if method == "full" else value
    value = float(f"{value:.1g}")
    how = {"full": "every weight trains: a tenth of LoRA's", "qlora": "LoRA on 4 bits", "lora": "LoRA",
           "lora-int8": "LoRA on 8 bits"}[method]
    size = f"{count(job.shape.parameters)} parameters, {width:,} wide"
    note = "; a model this small needs a larger rate than published ones" if job.tiny else ""
    return Choice(
        path="train.learning_rate", value=value, reason=f"{value:g} — {how}, {size}{note}",
        source=RATE_FIT if method != "qlora" or job.tiny else f"{RATE_FIT}, {QLORA}",
    )


def epochs(job: Job) -> Choice:
    """1–3 for instructions; more rows need fewer passes."""
    value = EPOCHS[job.draft.goal.task]
    if job.rows is not None:
        value = value + 1 if job.rows < 1000 else 1 if job.rows > 20_000 else value
    times = "epoch" if value == 1 else "epochs"
    return Choice(
        path="train.epochs", value=float(value),
        reason=f"{value} {times} — {job.rows_text} of {TASK_NAMES[job.draft.goal.task]}; watch the validation loss",
        source=LEARNS_LESS,
    )


def effective_batch(job: Job, method: Method, sequences: int) -> Choice:
    """Grows with the data; LoRA stays small, since it loses more than full tuning from a large batch."""
    value = 8 if sequences < 1000 else 16 if sequences < 20_000 else 32
    if method == "full" and sequences >= 50_000:
        value = 64
    while value > 1 and sequences < 10 * value:
        value //= 2
    return Choice(
        path="train.effective_batch", value=value,
        reason=f"{value} rows per step — {sequences:,} of them per epoch give {math.ceil(sequences / value):,} steps",
        source=WITHOUT_REGRET if method != "full" else FTUI,
    )


def max_length(job: Job) -> Choice:
    """The smallest multiple of 64 that holds 99 % of the rows (all of them, if that costs little more)."""
    context = job.shape.context_length
    lengths = job.profile.lengths if job.profile else None
    if lengths is None or lengths.max <= 0:
        value = min(512 if job.cpu else 2048, context)
        return Choice(path="data.max_length", value=value, source=FTUI,
                      reason=f"{value} tokens — no lengths known yet; at most the model's {context:,}")
    wanted = lengths.max if lengths.max <= 1.3 * lengths.p99 else lengths.p99
    ceiling = 1024 if job.cpu else 32_768 if job.draft.goal.task != "domain" else 4096
    value = max(8, min(_up64(wanted), context, max(ceiling, 64)))
    over, lost = cut(lengths, value)
    counted = "" if lengths.exact else " (lengths estimated)"
    what = "no row is cut" if over <= 0 else f"{over:.1%} of rows are longer and lose {lost:.1%} of all tokens"
    reason = f"{value} tokens — 99 % of rows have at most {lengths.p99:,}, the longest {lengths.max:,}; {what}{counted}"
    if value == context < wanted:
        reason += "; the model's context ends here"
    return Choice(path="data.max_length", value=value, reason=reason, source="the data's length distribution")


def packing(job: Job, length: int) -> Choice:
    lengths = job.profile.lengths if job.profile else None
    if lengths is None:
        return Choice(path="data.packing", value=False, reason="off — no lengths known yet", source=FTUI)
    text = job.profile is not None and job.profile.kind == "text"
    share = min(1.0, lengths.mean / length)
    enough = job.rows is not None and job.rows * lengths.mean / length >= 64
    value = enough and ((text and share < 0.9) or (share < 0.25 and not job.cpu))
    if value:
        reason = f"on — a row fills {share:.0%} of {length} tokens on average; packed, nothing is padding"
    elif share < 0.25 and not enough:
        reason = f"off — packed, {job.rows_text} would leave too few sequences for steady steps"
    else:
        reason = f"off — a row fills {share:.0%} of {length} tokens; batches hold whole rows, easier to follow"
    return Choice(path="data.packing", value=value, reason=reason, source=PACKING)


def dtype(job: Job, method: Method) -> Choice:
    gpu = None if job.cpu else job.hardware.gpu
    if gpu is None:
        value, reason = "float32", "float32 — on a CPU 16-bit steps take three times as long"
    elif gpu.bf16:
        value, reason = "bfloat16", f"bfloat16 — {gpu.name} has it; the range of float32 in half the bytes"
    else:
        value, reason = "float16", f"float16 — {gpu.name} has no bfloat16"
        if method == "full":
            reason += "; weights stay in float32, since float16 ones can't be trained"
    source = FTUI if gpu is None else "the device's compute capability"
    return Choice(path="model.dtype", value=value, reason=reason, source=source)


def attention(job: Job) -> Choice:
    if job.shape.attention_softcap:
        return Choice(
            path="model.attention", value="eager", source=GEMMA2,
            reason="eager — this model caps attention scores, which fused attention leaves out",
        )
    return Choice(
        path="model.attention", value="sdpa", source=SDPA,
        reason="SDPA — fused attention that comes with torch; scores are never stored",
    )


def cadence(steps: int) -> tuple[Choice, Choice]:
    """Evaluation and saving about ten times per run; the best checkpoint needs both at the same steps."""
    every = max(1, round(steps / 10))
    text = f"every {every} of {steps:,} steps"
    return (
        Choice(path="train.eval_steps", value=every, reason=f"{text} — about ten looks per run", source=FTUI),
        Choice(
            path="train.save_steps", value=every, source=FTUI,
            reason=f"{text} — together with the evaluation, so the best is kept",
        ),
    )


def threads(job: Job) -> Choice:
    cores = max(1, int(job.hardware.cpu.cores))
    if job.cpu and job.shape.parameters < SMALL:
        return Choice(
            path="compute.threads", value=1, source="measured: a tiny model took 0.03 s a step with 1, 0.3 with 2",
            reason="1 thread — a model this small waits for its threads more than it gains",
        )
    value = cores if job.cpu else min(cores, 8)
    return Choice(path="compute.threads", value=value, reason=f"{value} of {cores} CPU cores", source=FTUI)


def gpus(job: Job) -> Choice:
    if job.cpu:
        return Choice(path="compute.gpus", value=0, reason="the CPU — no GPU can be used", source="probe")
    gpu = job.hardware.gpu
    assert gpu is not None
    more = len(job.hardware.usable_gpus) - 1
    others = f"; {more} more stay free for others" if more else ""
    reason = f"1 — {gpu.name}, the one with most free memory{others}"
    return Choice(path="compute.gpus", value=1, reason=reason, source="probe")


def strategy() -> Choice:
    return Choice(path="compute.strategy", value="single", reason="one device trains", source=FTUI)


def _up64(length: int) -> int:
    return -(-length // 64) * 64


def plain_choice(path: str, value: Any, reason: str, source: str = MEMORY) -> Choice:
    """A choice that the search made by what fits."""
    return Choice(path=path, value=value, reason=reason, source=source)
