"""The `augment` job: a model makes new rows out of those that are there (see `ftui.data.augmenting`).

What it says is a line of asked.jsonl in the run's folder, added a whole batch at a time; a resume goes on behind it.
When it ends or is stopped, the rows that are kept are written to `out`.

`args` of run.json: `model` (a base) or `run` (a finished training), `quantization`, `gpus`, `data`, `how`, `rows`
(None: as many as the file has), `shown` (of self-instruct), `seed`, `temperature`, `max_new_tokens`, `batch`, `out`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.data.augmenting import Ask, How, Keeper, can_be_shown, in_the_manner, invent, plan, reword
from ftui.data.canonical import Message
from ftui.data.seeds import Seed, answered_of, prompts_of
from ftui.errors import BadInput, RunFailed
from ftui.files import json_lines, write_atomic
from ftui.worker import recovery
from ftui.worker.context import JobContext
from ftui.worker.journal import Journal
from ftui.worker.loading import speaker_of

if TYPE_CHECKING:
    from ftui.worker.speaker import Speaker

JOURNAL = "asked.jsonl"
CUT_OFF = "it was cut off at --max-new-tokens"


@dataclass
class Tried:
    """What the model said to one ask: a wording, an instruction and its answer, or two answers."""

    ask: Ask
    texts: list[str] = field(default_factory=list)
    problem: str | None = None

    def as_line(self) -> dict[str, Any]:
        """As it stands in the journal."""
        return {"key": self.ask.key, "texts": self.texts, "problem": self.problem}


def run(context: JobContext) -> None:
    """Ask batch by batch until enough rows are kept, and write them also where a stop comes in between."""
    args = context.info.args
    how: How = args["how"]
    seeds, unusable = seeds_for(how, args["data"])
    wanted = args["rows"] or len(seeds)
    asks = plan(how, seeds, wanted, int(args["seed"]), int(args["shown"]))
    keeper, journal = Keeper.of(how, seeds), Journal(context.folder / JOURNAL)
    done = journal.read([ask.key for ask in asks], int(args["batch"]))
    for ask, line in zip(asks, done, strict=False):
        _keep(keeper, wanted, ask, line["texts"], line["problem"])
    asked = len(done)
    if len(keeper.rows) < wanted and asked < len(asks):
        speaker = speaker_of(context)
        if speaker is None:
            context.finish("Stopped before the base model was here; nothing was asked.")
            return
        context.emit("status", state="running", text="Asking the model for new rows.")
        asked = _go_on(context, speaker, asks, asked, keeper, wanted, journal)
    _end(context, keeper, asked, wanted, unusable, complete=len(keeper.rows) >= wanted or asked == len(asks))


def seeds_for(how: How, data: str) -> tuple[list[Seed], int]:
    """The rows that this way can use, and how many it can't; BadInput where it can use none."""
    if how == "answers":
        seeds, unusable = prompts_of(data, None)
    else:
        seeds, unusable = answered_of(data)
    usable = [seed for seed in seeds if how != "self-instruct" or can_be_shown(seed)]
    if not usable:
        needs = "a prompt" if how == "answers" else "a question and its answer as text"
        raise BadInput(f"{data} has no row with {needs}.", "Look at it: ftui data show")
    return usable, unusable + len(seeds) - len(usable)


def say(speaker: Speaker, how: How, asks: Sequence[Ask], seed: int) -> list[Tried] | None:
    """What the model says to a batch; None where a stop was asked for on the way."""
    tried = [Tried(ask) for ask in asks]

    def add(asked: Sequence[list[Message]], what: str) -> None:
        texts = speaker.say(tried, asked, random.Random(f"{seed}:{asks[0].number}:{what}").getrandbits(63))
        for one, text in zip(tried, texts, strict=True):
            one.texts.append(text)
            if how != "answers" and one.problem is None and speaker.cut_off(text):
                one.problem = CUT_OFF

    match how:
        case "paraphrase":
            add([reword(ask) for ask in asks], "wording")
        case "self-instruct":
            add([invent(ask) for ask in asks], "instruction")
            if not speaker.should_stop():
                add([in_the_manner(one.ask, one.texts[0]) for one in tried], "answer")
        case "answers":
            add([ask.seeds[0].turns for ask in asks], "first")
            if not speaker.should_stop():
                add([ask.seeds[0].turns for ask in asks], "second")
    return None if speaker.should_stop() else tried


def _go_on(
    context: JobContext, speaker: Speaker, asks: Sequence[Ask], asked: int, keeper: Keeper, wanted: int,
    journal: Journal,
) -> int:
    """Ask from `asked` on until enough is kept, all is asked or a stop comes; how much has been asked then."""
    args = context.info.args
    context.progress("Augmenting", len(keeper.rows), wanted, unit="row")
    while len(keeper.rows) < wanted and asked < len(asks) and not context.stop_asked:
        part = asks[asked : asked + int(args["batch"])]
        try:
            tried = say(speaker, args["how"], part, int(args["seed"]))
        except recovery.MAY_BE_MEMORY as error:
            if not recovery.is_out_of_memory(error):
                raise
            raise RunFailed(
                f"{len(part)} prompts at a time don't fit into memory.",
                "Start it anew with a smaller --batch or --max-new-tokens, or with --quantization nf4.",
            ) from None
        if tried is None:
            break
        journal.add(one.as_line() for one in tried)
        kept = [one for one in tried if _keep(keeper, wanted, one.ask, one.texts, one.problem)]
        if kept:
            one = kept[0]
            prompt = one.texts[0] if args["how"] == "self-instruct" else one.ask.seeds[0].text
            context.emit("sample", prompt=prompt, text=one.texts[-1], index=asked)
        asked += len(part)
        context.progress("Augmenting", len(keeper.rows), wanted, unit="row")
    return asked


def _keep(keeper: Keeper, wanted: int, ask: Ask, texts: Sequence[str], problem: str | None) -> bool:
    """Whether a row is kept; what comes when there are enough is not even looked at."""
    return len(keeper.rows) < wanted and keeper.add(ask, texts, problem)


def _end(
    context: JobContext, keeper: Keeper, asked: int, wanted: int, unusable: int, *, complete: bool
) -> None:
    """Write the file and say what is in it."""
    args = context.info.args
    out = Path(args["out"])
    write_atomic(out, json_lines(keeper.rows))
    if unusable:
        context.warn(f"{unusable:,} rows of {args['data']} can't be used in this way and were left out.",
                     "Look at them: ftui data check")
    left_out = sum(keeper.left_out.values())
    if left_out:
        why, count = max(keeper.left_out.items(), key=lambda item: item[1])
        context.warn(f"{left_out:,} of {asked:,} tries gave no row; the usual reason ({count:,} times): {why}.",
                     "Raise --max-new-tokens or --temperature, or take a model that follows instructions better.")
    ended = "Made" if complete else "Stopped; made"
    context.finish(
        f"{ended} {len(keeper.rows):,} of {wanted:,} rows in {asked:,} tries.",
        metrics={"rows": len(keeper.rows), "tries": asked, "left_out": left_out}, output=out,
        status="finished" if complete else None,
    )
