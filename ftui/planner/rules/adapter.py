"""What is trained: the objective, and the adapter's rank, scale, targets and dropout."""

from __future__ import annotations

from ftui.planner.document import Choice
from ftui.planner.rules import sources
from ftui.planner.rules.goals import like, ways
from ftui.planner.rules.job import ONLINE, PREFERENCE, Job

RANKS = {"classify": 8, "instruct": 16, "chat": 16, "reasoning": 32, "code": 32, "domain": 64}
ALPHA = 32.0
"""The scale at which the published fit of the learning rate was made."""


def objective(job: Job) -> Choice:
    """What serves the goal among that for which there are rows: to be imitated, compared, judged or classed."""
    way = ways(job.draft.goal.task, job.profile.kind if job.profile else None)[0]
    return Choice(path="objective.kind", value=way.objective, reason=f"{way.objective} — {way.reason}",
                  source=sources.TRL_DATASETS)


def rewards(job: Job) -> Choice | None:
    """Right answers, where the goal is to reason and the rows hold the answers; None where nobody but the user knows.
    """
    if job.objective not in ONLINE or job.profile is None or like(job.draft.goal.task) != "reasoning":
        return None
    columns = {column for source in job.profile.sources for column in (*source.available_columns, *source.columns)}
    if job.profile.kind not in ("conversation", "preference") and "answer" not in columns:
        return None
    return Choice(path="objective.rewards", value=("exact",), source=sources.TRL_GRPO,
                  reason="exact — the rows hold the answers, and an answer is right whose final value is theirs")


def rank(job: Job) -> Choice:
    """4–8 for simple, 16 for standard, 32–64 for complex tasks, 128 and more only for much data; 8 for preferences."""
    task = job.draft.goal.task
    value, bound = RANKS[like(task)], ""
    what = job.task_text
    if job.objective in ONLINE:
        value, what = 8, "training by rewards, which carry about a bit per answer"
    elif job.objective in PREFERENCE and value > 16:
        value, what = 16, "preferences, which say less per row than answers"
    if job.rows is not None and job.rows < 300 and value > 8:
        value, bound = 8, "; so few rows can't feed a higher one"
    elif job.rows is not None and job.rows < 1000 and value > 16:
        value, bound = 16, "; under 1,000 rows can't feed a higher one"
    elif job.rows is not None and job.rows > 50_000 and job.draft.goal.priority == "quality":
        value, bound = min(2 * value, 128), "; doubled, for more than 50,000 rows and quality first"
    if value > min(job.shape.hidden // 4, 1024):
        value, bound = max(4, job.shape.hidden // 4), "; a quarter of the model's width"
    reason = f"rank {value} — {job.rows_text} of {what}{bound}"
    learned = value > 16 or job.objective in ONLINE
    return Choice(path="adapter.rank", value=value, reason=reason,
                  source=sources.WITHOUT_REGRET if learned else sources.LORA)


def alpha(job: Job, adapter_rank: int) -> Choice:
    """32 whatever the rank: so the learning rate stays right when the rank is changed.

    With alpha / rank in front, the first steps move a weight by an amount that alpha decides and the rank does not;
    "twice the rank", which is the same at rank 16, needs a rate that falls with the rank.
    """
    return Choice(
        path="adapter.alpha", value=ALPHA, source=sources.WITHOUT_REGRET,
        reason=f"alpha {ALPHA:g} — {_times_rank(adapter_rank)}; the same for every rank, so the learning rate holds",
    )


def _times_rank(adapter_rank: int) -> str:
    times = ALPHA / adapter_rank
    return "the rank itself" if times == 1 else f"{times:.2g} times the rank"


def targets(job: Job) -> Choice:
    """Every linear module: attention alone learns less, whatever its rank."""
    reason = "all linear modules — attention alone learns less, even at a higher rank"
    if job.shape.experts:
        reason += "; adapters on the experts cost much memory"
    return Choice(path="adapter.targets", value="all-linear", reason=reason, source=sources.WITHOUT_REGRET)


def rslora(job: Job, adapter_rank: int) -> Choice:
    """Off: it changes the scale only, and the learning rate was fitted with the plain one."""
    reason = "off — it only scales alpha differently, and the learning rate was fitted to alpha / rank"
    if adapter_rank >= 64:
        reason += "; one published run at rank 64 gained by it (51 % right for 47 %)"
    return Choice(path="adapter.rslora", value=False, reason=reason,
                  source=sources.COMPARISON if adapter_rank >= 64 else sources.RSLORA)


def dropout(job: Job, experts: bool) -> Choice:
    """Some for little data; none where adapters sit on fused experts, for which peft refuses it."""
    if job.objective in (*PREFERENCE, "reward"):
        return Choice(
            path="adapter.dropout", value=0.0, source=sources.FTUI,
            reason="dropout 0 — two answers are compared, and noise on one of them would be taken for a preference",
        )
    if job.objective in ONLINE:
        return Choice(
            path="adapter.dropout", value=0.0, source=sources.FTUI,
            reason="dropout 0 — answers are written and judged by the same weights",
        )
    if experts:
        return Choice(
            path="adapter.dropout", value=0.0, source=sources.PEFT_EXPERTS,
            reason="dropout 0 — adapters on fused experts can't have any",
        )
    small = job.rows is not None and job.rows < 5000 and not job.tiny
    reason = (
        f"dropout 0.05 — {job.rows_text} are repeated soon, some noise against learning them by heart" if small
        else f"dropout 0 — {job.rows_text}: it would only cost memory and time" if not job.tiny
        else "dropout 0 — a tiny model under-fits rather than over-fits"
    )
    return Choice(path="adapter.dropout", value=0.05 if small else 0.0, reason=reason,
                  source=sources.QLORA if small else sources.FTUI)
