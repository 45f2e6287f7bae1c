"""What is read: the sequence length and what it cuts, packing, what is held out, which tokens train."""

from __future__ import annotations

from ftui.methods import OBJECTIVES
from ftui.planner.document import Choice
from ftui.planner.lengths import cut, read_lengths
from ftui.planner.rules import sources
from ftui.planner.rules.job import Job
from ftui.recipe.adapter_combinations import IN_FRONT


def max_length(job: Job) -> Choice:
    """The smallest multiple of 64 that holds 99 % of the rows (all of them, if that costs little more)."""
    context = job.shape.context_length
    lengths = read_lengths(job.profile, job.objective)
    if lengths is None or lengths.max <= 0:
        value = min(512 if job.cpu else 2048, context)
        return Choice(path="data.max_length", value=value, source=sources.FTUI,
                      reason=f"{value} tokens — no lengths known yet; at most the model's {context:,}")
    wanted = lengths.max if lengths.max <= 1.3 * lengths.p99 else lengths.p99
    ceiling = 1024 if job.cpu else 32_768 if job.draft.goal.task != "domain" else 4096
    value = max(8, min(_up64(wanted), context, max(ceiling, 64)))
    over, lost = cut(lengths, value)
    counted = "" if lengths.exact else " (lengths estimated)"
    what = "no row is cut" if over <= 0 else f"{over:.1%} of rows are longer and lose {lost:.1%} of all tokens"
    rows = "rows"
    if OBJECTIVES[job.objective].form == "prompt":
        rows, what = "prompts", "none is left out" if over <= 0 else f"{over:.1%} are longer, and left out"
    spread = f"99 % of {rows} have at most {lengths.p99:,}, the longest {lengths.max:,}"
    reason = f"{value} tokens — {spread}; {what}{counted}"
    if value == context < wanted:
        reason += "; the model's context ends here"
    return Choice(path="data.max_length", value=value, reason=reason, source=sources.THE_DATA)


def packing(job: Job, length: int) -> Choice:
    """On for plain text and for rows far shorter than the sequence, if enough sequences remain; SFT only."""
    lengths = job.profile.lengths if job.profile else None
    if job.objective != "sft":
        return Choice(path="data.packing", value=False, source=sources.PACKING,
                      reason=f"off — {job.objective} compares or scores whole rows")
    if job.profile is not None and job.profile.images:
        return Choice(path="data.packing", value=False, source=sources.FTUI,
                      reason="off — rows with images keep to themselves")
    if job.draft.adapter.kind in IN_FRONT:
        return Choice(path="data.packing", value=False, source=sources.PACKING,
                      reason="off — what the adapter puts before a row would stand before the first packed one only")
    if job.draft.data.curriculum is not None:
        return Choice(path="data.packing", value=False, source=sources.FTUI,
                      reason="off — packed sequences would mix what data.curriculum puts in order")
    if lengths is None:
        return Choice(path="data.packing", value=False, reason="off — no lengths known yet", source=sources.FTUI)
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
    return Choice(path="data.packing", value=value, reason=reason, source=sources.PACKING)


def validation(job: Job) -> Choice:
    """5 %, a tenth of few rows so that the loss isn't noise, and no more than 2,000 of many."""
    rows = job.rows
    value: float | int = 0.05
    why = "5 % held out show over-fitting and choose the best checkpoint"
    if rows is not None and rows < 1000:
        value, why = 0.1, f"of {job.rows_text} a twentieth would be too few to judge by"
    elif rows is not None and rows > 40_000:
        value, why = 2000, f"of {job.rows_text} so many tell a loss apart as well as 5 % would"
    return Choice(path="data.validation", value=value, reason=f"{value:g} — {why}", source=sources.FTUI)


def loss_on(job: Job) -> Choice:
    """All of a plain text, else the assistant's turns."""
    if job.profile is not None and job.profile.kind == "text":
        return Choice(path="objective.loss_on", value="all", source=sources.FTUI,
                      reason="all — plain text has no answers to single out")
    return Choice(path="objective.loss_on", value="assistant", source=sources.QLORA,
                  reason="assistant — the answers are to be learnt, not the questions")


def _up64(length: int) -> int:
    return -(-length // 64) * 64
