"""From what one wants, in plain words, and the rows that one has, to an objective: the pick, the others, and why not.

`WISHES` are the values of `goal.task`.  What a person wants and what the rows can teach are two things: `ways` puts
first what serves the wish among that for which there are rows, and says of each of the others what it lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ftui.data.document import RowKind
from ftui.methods import OBJECTIVES
from ftui.models.known import Goal
from ftui.planner.rules.job import ONLINE


@dataclass(frozen=True)
class Wish:
    """What the tuned model is for; `like` is the task whose rank, epochs and models it takes.

    `objectives` are those that serve it, best first; the others follow as they stand in the catalogue.
    """

    task: str
    title: str
    about: str
    like: Goal
    objectives: tuple[str, ...] = ("sft",)


ALIGNING = ("dpo", "orpo", "kto", "cpo", "online_dpo", "rloo", "ppo", "grpo")

WISHES: dict[str, Wish] = {
    wish.task: wish for wish in (
        Wish("instruct", "Follow instructions", "one task, one answer: rewrite, extract, sum up", "instruct"),
        Wish("chat", "Answer in my style", "chats and answers in a tone of your own", "chat"),
        Wish("classify", "Sort into classes", "categories, sentiment, routing", "classify", ("classify", "sft")),
        Wish("prefer", "Prefer A over B", "better and worse answers, taste, safety", "chat", (*ALIGNING, "sft")),
        Wish("reasoning", "Reason to a checkable answer", "mathematics, planning, puzzles", "reasoning",
             ("grpo", "rloo", "sft", "ppo", "dpo")),
        Wish("domain", "Learn a domain", "plain text, continued: law, medicine, manuals", "domain"),
        Wish("distill", "Shrink a model", "a large model's skill in a small one", "instruct", ("distill", "sft")),
        Wish("code", "Write code", "programs completed, changed or explained", "code", ("sft", "grpo")),
        Wish("tools", "Call tools", "functions called with the right arguments", "instruct", ("sft", "grpo")),
        Wish("judge", "Judge answers", "a reward model that scores what others write", "classify",
             ("reward", "classify", "sft")),
    )
}
"""Every wish by its `goal.task`, in the order in which the wizard asks."""


KINDS: dict[RowKind, tuple[str, str]] = {
    "conversation": ("sft", "answers to imitate"),
    "text": ("sft", "plain text to continue"),
    "preference": ("dpo", "pairs of a better and a worse answer"),
    "labelled": ("kto", "answers marked good or bad"),
    "prompt": ("grpo", "prompts, whose answers are to be written and rewarded"),
    "class": ("classify", "texts with their classes"),
}
"""Kind of rows → the objective that they are made for, and what they are, in words."""

LACKS: dict[str, dict[RowKind, str]] = {
    "sequence": {
        "preference": "their rejected halves would be lost",
        "labelled": "some of the answers are marked bad, and it would imitate them too",
        "prompt": "the rows have no answers to imitate",
    },
    "pair": {
        "conversation": "the rows have no rejected answers",
        "text": "plain text has no answers that could be compared",
        "labelled": "each prompt has one marked answer, not a better and a worse one",
        "prompt": "the rows have no answers to compare",
        "class": "the rows have classes, not two answers to compare",
    },
    "labelled": {
        "conversation": "no answer is marked good or bad",
        "text": "plain text has no answers that could be marked",
        "prompt": "the rows have no answers that could be marked",
        "class": "the rows have classes, not answers that are good or bad",
    },
    "prompt": {
        "text": "plain text has no prompts to answer",
        "labelled": "the rows' answers are marked already; it writes answers of its own",
        "class": "the rows have texts with classes, not prompts to answer",
    },
    "answered": {
        "text": "plain text has no prompts to answer",
        "labelled": "some of the answers are marked bad, and it would learn from them too",
        "class": "the rows have texts with classes, not prompts to answer",
    },
    "class": {
        "conversation": "the rows have answers, not classes: map one column to text and one to label",
        "text": "the rows have no classes: map a column to label",
        "preference": "the rows have pairs, not classes",
        "labelled": "the rows mark answers, not texts with classes",
        "prompt": "the rows have no classes: map a column to label",
    },
}
"""Form of an objective's rows → kind of the rows that there are → what they lack."""

RATHER: dict[str, str] = {
    "sft": "the usual first step, and the surest; it imitates and compares nothing",
    "dpo": "the best-studied way to learn from pairs; starts best from a model that was tuned by SFT",
    "kto": "takes marks on single answers, and can take pairs apart; says less per row than DPO",
    "orpo": "imitates and compares in one pass without a reference model; less studied than DPO",
    "cpo": "without a reference model, and with SimPO's loss; more sensitive to its settings than DPO",
    "reward": "its result scores answers and writes none; it can lead RLOO, GRPO or PPO afterwards",
    "grpo": "writes several answers to a prompt and rewards the better: slow steps, and a checker or judge",
    "rloo": "as GRPO with a plainer baseline, held to its start",
    "online_dpo": "compares two answers of its own by a reward: fresher than DPO, and slower",
    "ppo": "trains a critic beside the model: more memory and settings than RLOO, which does as well",
    "distill": "a teacher of the same vocabulary guides every token; both must fit on the card",
    "classify": "a head of scores in place of words: fast and exact, but the result writes nothing",
}
"""What speaks for and against an objective where another one is the pick."""

NEEDS: dict[str, str] = {
    **dict.fromkeys(("grpo", "rloo", "online_dpo", "ppo"), "objective.rewards: what makes an answer good"),
    "distill": "objective.teacher: the larger model",
}
"""What an objective needs beyond rows, by the setting that says it."""

Fit = Literal["pick", "possible", "impossible"]


@dataclass(frozen=True)
class Way:
    """An objective for a wish and its rows: the pick, one that could be trained, or one that can't; and why."""

    objective: str
    fit: Fit
    reason: str
    needs: str = ""


def like(task: str) -> Goal:
    """The task whose rank, epochs and models a wish takes."""
    return WISHES[task].like


def ways(task: str, kind: RowKind | None) -> tuple[Way, ...]:
    """Every objective for `task` and rows of `kind` (None: not read yet): the pick, what is possible, what is not."""
    pick = _pick(task, kind)
    found = [Way(pick, "pick", _why(task, kind, pick), NEEDS.get(pick, ""))]
    others = [name for name in dict.fromkeys((*WISHES[task].objectives, *OBJECTIVES)) if name in OBJECTIVES]
    impossible = []
    for name in others:
        if name == pick:
            continue
        if lacking := lacks(name, kind):
            impossible.append(Way(name, "impossible", lacking, NEEDS.get(name, "")))
        else:
            found.append(Way(name, "possible", RATHER.get(name, OBJECTIVES[name].when), NEEDS.get(name, "")))
    return (*found, *impossible)


def lacks(objective: str, kind: RowKind | None) -> str:
    """Why `objective` can't be trained on rows of `kind`; "" where it can."""
    row = OBJECTIVES[objective]
    if kind is not None and kind not in row.data:
        return LACKS[row.form].get(kind, f"it trains on {' or '.join(row.data)} rows")
    return "" if row.trains else "it can be planned, not trained yet"


def _pick(task: str, kind: RowKind | None) -> str:
    """What serves the wish best among that for which there are rows; without rows what would serve it best.

    Where the rows hold answers these are learned from first: a model that can't write a good answer yet has nothing
    for which it could be rewarded.
    """
    usual = KINDS[kind][0] if kind else "sft"
    if kind == "class" and _can(usual, kind):
        return usual
    wanted = [name for name in WISHES[task].objectives if _can(name, kind) and (kind == "prompt" or name not in ONLINE)]
    return wanted[0] if wanted else usual if _can(usual, kind) else "sft"


def _can(objective: str, kind: RowKind | None) -> bool:
    return objective in OBJECTIVES and not lacks(objective, kind)


def _why(task: str, kind: RowKind | None, pick: str) -> str:
    """Why the pick is one: it serves the wish, or it is what the rows allow."""
    wish = WISHES[task]
    if kind is None:
        return "the usual way to this goal; no rows are read yet"
    first = next((name for name in wish.objectives if name in OBJECTIVES), "sft")
    rows = f"the rows are {KINDS[kind][1]}"
    if pick == first:
        return rows
    title, lacking = OBJECTIVES[first].title, lacks(first, kind)
    return f"{rows}; {title} can't be: {lacking}" if lacking else f"{rows}; {title} can follow"
