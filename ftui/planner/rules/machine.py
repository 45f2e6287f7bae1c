"""What the machine and the model's kind decide: number format, attention, threads, devices."""

from __future__ import annotations

from ftui.planner.document import Choice, Method
from ftui.planner.rules import sources
from ftui.planner.rules.job import Job

SMALL = 30_000_000
"""Below this many parameters one CPU thread is faster than several."""


def dtype(job: Job, method: Method) -> Choice:
    """bfloat16 where the device has it, float16 where it has not, float32 on a CPU."""
    gpu = None if job.cpu else job.hardware.gpu
    if gpu is None:
        value, reason = "float32", "float32 — on a CPU 16-bit steps take three times as long"
    elif gpu.bf16:
        value, reason = "bfloat16", f"bfloat16 — {gpu.name} has it; the range of float32 in half the bytes"
    else:
        value, reason = "float16", f"float16 — {gpu.name} has no bfloat16"
        if method == "full":
            reason += "; weights stay in float32, since float16 ones can't be trained"
    return Choice(path="model.dtype", value=value, reason=reason,
                  source=sources.FTUI if gpu is None else sources.CAPABILITY)


def attention(job: Job) -> Choice:
    """SDPA, unless the model caps its attention scores."""
    if job.shape.attention_softcap:
        return Choice(
            path="model.attention", value="eager", source=sources.GEMMA2,
            reason="eager — this model caps attention scores, which fused attention leaves out",
        )
    return Choice(
        path="model.attention", value="sdpa", source=sources.SDPA,
        reason="SDPA — fused attention that comes with torch; scores are never stored",
    )


def threads(job: Job) -> Choice:
    """One for a tiny model on a CPU, else the cores; eight at most beside a GPU."""
    cores = max(1, int(job.hardware.cpu.cores))
    if job.cpu and job.shape.parameters < SMALL:
        return Choice(
            path="compute.threads", value=1, source="measured: a tiny model took 0.03 s a step with 1, 0.3 with 2",
            reason="1 thread — a model this small waits for its threads more than it gains",
        )
    value = cores if job.cpu else min(cores, 8)
    return Choice(path="compute.threads", value=value, reason=f"{value} of {cores} CPU cores", source=sources.FTUI)


def gpus(job: Job) -> Choice:
    """One, the freest."""
    if job.cpu:
        return Choice(path="compute.gpus", value=0, reason="the CPU — no GPU can be used", source=sources.PROBE)
    gpu = job.hardware.gpu
    assert gpu is not None
    more = len(job.hardware.usable_gpus) - 1
    others = f"; {more} more stay free for others" if more else ""
    reason = f"1 — {gpu.name}, the one with most free memory{others}"
    return Choice(path="compute.gpus", value=1, reason=reason, source=sources.PROBE)


def strategy() -> Choice:
    return Choice(path="compute.strategy", value="single", reason="one device trains", source=sources.FTUI)
