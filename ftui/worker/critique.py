"""A model that criticises its own answers by principles and writes them anew (Bai et al. 2022, arXiv 2212.08073, §3.1).

All prompts of a batch go the same way together: answer, then in each round a critique and a revision.  What is drawn
depends on the seed and on the batch's first row alone, so a batch that is made again comes out the same.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from ftui.data.canonical import Message
from ftui.recipe.constitution import Principle
from ftui.worker.answers import first_shares
from ftui.worker.comparing import asked_which, letters
from ftui.worker.speaker import Speaker

ALONE = "Write the new answer alone, without a word about the change."
"""Follows every request for a revision: small models would otherwise talk about what they do."""


@dataclass
class Revised:
    """How one prompt went: `answers` are the first one and that of each round; critiques and principles one a round.

    `problem` says why nothing came of it; `share` is the judge's share for the last answer against the first, in 0..1.
    """

    question: list[Message]
    answers: list[str] = field(default_factory=list)
    critiques: list[str] = field(default_factory=list)
    principles: list[str] = field(default_factory=list)
    problem: str | None = None
    share: float | None = None

    @property
    def changed(self) -> bool:
        """Whether the last answer is another than the first."""
        return self.problem is None and self.answers[-1] != self.answers[0]


def judged(
    speaker: Speaker, rows: Sequence[Revised], asked: Sequence[tuple[list[Message], list[Message]]]
) -> None:
    """Give each row its share: the mean probability of the revision's letter, as it stands first and second.

    The mean of both orders takes out a liking for one of the two places.
    """
    both = [[speaker.prompt(row, messages, 1) for messages in pair] for row, pair in zip(rows, asked, strict=True)]
    fit = [index for index, pair in enumerate(both) if None not in pair]
    prompts = [prompt for index in fit for prompt in both[index] if prompt is not None]
    shares = first_shares(speaker.model, speaker.tokenizer, prompts, letters(speaker.tokenizer, speaker.template))
    for place, index in enumerate(fit):
        rows[index].share = (shares[2 * place][0] + shares[2 * place + 1][1]) / 2


def revise(
    speaker: Speaker, questions: Sequence[list[Message]], principles: Sequence[Principle], *,
    rounds: int, seed: int, first: int, judge: bool,
) -> list[Revised] | None:
    """Answer, criticise and revise a batch whose first row has the number `first`; None where a stop was asked for."""
    rows = [Revised(list(question)) for question in questions]
    chosen = [drawn(principles, rounds, seed, first + place) for place in range(len(rows))]

    def say(asked: Sequence[list[Message]], what: str) -> list[str]:
        return speaker.say(rows, asked, random.Random(f"{seed}:{first}:{what}").getrandbits(63))

    talks = [list(row.question) for row in rows]
    for row, text in zip(rows, say(talks, "answer"), strict=True):
        row.answers.append(text)
    for number in range(rounds):
        if speaker.should_stop():
            return None
        asked = [_criticised(row, mine[number]) for row, mine in zip(rows, chosen, strict=True)]
        critiques = say(asked, f"critique {number}")
        if speaker.should_stop():
            return None
        asked = [[*turns, _said(critique), _user(f"{mine[number].revise}\n\n{ALONE}")]
                 for turns, critique, mine in zip(asked, critiques, chosen, strict=True)]
        revisions = say(asked, f"revision {number}")
        for row, critique, revision, mine in zip(rows, critiques, revisions, chosen, strict=True):
            row.critiques.append(critique)
            row.answers.append(revision)
            row.principles.append(mine[number].name)
    if judge and not speaker.should_stop():
        compared = [(row, mine) for row, mine in zip(rows, chosen, strict=True) if row.changed]
        judged(speaker, [row for row, _ in compared], [_compared(row, mine) for row, mine in compared])
    return None if speaker.should_stop() else rows


def drawn(principles: Sequence[Principle], rounds: int, seed: int, row: int) -> list[Principle]:
    """The principles of a row's rounds, drawn at random; none comes again before all have."""
    chance = random.Random(f"{seed}:{row}")
    found: list[Principle] = []
    while len(found) < rounds:
        found += chance.sample(principles, min(len(principles), rounds - len(found)))
    return found


def _criticised(row: Revised, principle: Principle) -> list[Message]:
    """The question with the newest answer, and the request to criticise it."""
    return [*row.question, _said(row.answers[-1]), _user(principle.critique)]


def _compared(row: Revised, principles: Sequence[Principle]) -> tuple[list[Message], list[Message]]:
    """The judge's question with the revision as answer A, and with the first answer as answer A."""
    critiques = "\n".join(f"- {text}" for text in dict.fromkeys(principle.critique for principle in principles))
    measure = f"An answer is the better one the less there is to say on this:\n{critiques}"
    first, last = row.answers[0], row.answers[-1]
    return asked_which(row.question, last, first, measure), asked_which(row.question, first, last, measure)


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _said(text: str) -> Message:
    return {"role": "assistant", "content": text}
