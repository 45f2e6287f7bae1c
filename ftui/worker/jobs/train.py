"""The `train` job: a resolved recipe to a trained adapter or model, through trl's trainers."""

from __future__ import annotations

import json
import time
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ftui.data import Prepared, prepare
from ftui.errors import BadInput, FtuiError, RunFailed
from ftui.files import write_atomic
from ftui.methods import OBJECTIVES
from ftui.models.document import ModelShape
from ftui.planner.document import MemoryEstimate
from ftui.recipe.document import Recipe
from ftui.recipe.picture_combinations import wrong_pictures
from ftui.recipe.trainable import missing, planned_only
from ftui.runs import data_files
from ftui.runs.follow import each
from ftui.runs.recovered import recovered
from ftui.units import gib, plain
from ftui.worker import checkpoints, libraries, neighbours, recovery, report, same_data, teacher
from ftui.worker.base import (
    choose_device,
    device_of,
    folder_of,
    has_fp8,
    load_model,
    load_tokenizer,
    public_name,
    set_allocator,
    set_threads,
)
from ftui.worker.context import JobContext, StartAgain
from ftui.worker.expected import peak
from ftui.worker.memory import peak_bytes, without_cache

if TYPE_CHECKING:
    from ftui.worker.precision import Precision
    from ftui.worker.session import Session


START = "start"
"""The folder in a run's in which an adapter's start is kept, where it can't be made twice."""


class Built(NamedTuple):
    """What a training, or a measurement of one, starts from."""

    trainer: Any
    model: Any
    tokenizer: Any
    precision: Precision
    device: str


@dataclass
class Trained:
    """What an attempt leaves: its trainer holds the weights of the last step."""

    trainer: Any
    session: Session
    tokenizer: Any
    device: str
    peak: int
    """Bytes, see `peak_bytes`."""
    seconds: float


def run(context: JobContext) -> None:
    """Train, save the result, write the report.  Raises FtuiError with what to do where that can't be done."""
    recipe = context.recipe()
    recipe = recovered(recipe, each(context.run)) if context.attempt > 1 else recipe
    if found := planned_only(recipe):
        raise BadInput(*found)
    set_allocator(recipe)
    choose_device(recipe)
    folder = folder_of(context, recipe.model.base, recipe.model.revision)
    if folder is None:
        context.finish("Stopped before the base model was here; nothing was trained.")
        return
    if not teacher.ensure(context, recipe, folder):
        context.finish("Stopped before the teacher was here; nothing was trained.")
        return
    if not teacher.ensure_judge(context, recipe):
        context.finish("Stopped before the judge's model was here; nothing was trained.")
        return
    if not checkpoints.found(context.folder / "checkpoints"):
        # On a resume the rows themselves are held against those of the checkpoint, and others are refused.
        for change in data_files.changes(context.run, recipe):
            context.warn(change, "What is there now is trained on; stop it, and launch anew, if that isn't meant.")
    prepared = prepared_for(context, recipe, folder)
    _tell_what_was_left_out(context, prepared)
    _tell_which_data(context, prepared)
    if prepared.tasks:
        from ftui.worker.adapters.tasks import check_tasks

        check_tasks(recipe, prepared)
    if context.stop_asked:
        context.finish("Stopped before the first step; nothing more was trained.")
        return
    device, expected = device_of(recipe)[0], peak(context.run, recipe)
    crowded = neighbours.wait_for_room(context, recipe, device, expected.low_bytes if expected else None)
    if context.stop_asked:
        context.finish("Stopped before the first step; nothing more was trained.")
        return
    try:
        trained = _attempt(context, recipe, folder, prepared, expected)
    except recovery.MAY_BE_MEMORY as error:
        if not recovery.is_out_of_memory(error):
            raise
        _recover(context, recipe, error, device, expected, crowded=crowded)
    _finish(context, recipe, folder, prepared, trained, expected)


def prepared_for(context: JobContext, recipe: Recipe, folder: Path) -> Prepared:
    """Rows to tokens, while the libraries, which take seconds, are loaded beside it."""
    context.emit("status", state="preparing", text="Reading the data and loading the libraries.")
    with ThreadPoolExecutor(1) as pool:
        loading: Future[None] = pool.submit(libraries.load, recipe)
        prepared = prepare(
            recipe, folder, seed=recipe.train.seed, form=OBJECTIVES[recipe.objective.kind].form,
            when=context.info.created,
            on_progress=lambda done, total: context.progress("Preparing the data", done, total, unit="row"),
        )
        loading.result()
    return prepared


def _tell_what_was_left_out(context: JobContext, prepared: Prepared) -> None:
    for reason, rows in prepared.dropped.items():
        context.warn(f"{rows:,} rows were left out: {reason}.", "See which: ftui data check")
    if prepared.truncated:
        context.warn(
            f"{prepared.truncated:,} rows were cut at {prepared.max_length:,} tokens.",
            "Raise data.max_length to train their ends, too.",
        )
    for note in prepared.notes:
        context.warn(note)


def _tell_which_data(context: JobContext, prepared: Prepared) -> None:
    """Which data it is, into the run's folder and its events."""
    found = [version.as_dict() for version in prepared.versions]
    write_atomic(context.run.data_file, json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    how = "Found the rows as an earlier run prepared them" if prepared.cached else "Prepared the rows"
    text = f"{how}: {'; '.join(map(str, prepared.versions))}."
    context.emit("status", state="preparing", text=plain(text), data=found)


def build(context: JobContext, recipe: Recipe, folder: Path, prepared: Prepared) -> Built:
    """Model, adapter and trainer of a resolved recipe, from files, on the device that the recipe means."""
    from transformers import enable_full_determinism, set_seed

    from ftui.worker.adapters import adapted, callbacks
    from ftui.worker.adapters.lora_optimizer import set_optimizer
    from ftui.worker.averages import ScheduleFreeWeights, WeightAverage
    from ftui.worker.checkpointing import checkpoint_first
    from ftui.worker.objectives import builder
    from ftui.worker.optimizers import set_own_optimizer
    from ftui.worker.pictures import beside_tower
    from ftui.worker.precision import choose

    device, bf16 = device_of(recipe)
    if found := missing(recipe, gpu=device == "cuda", fp8=device == "cuda" and has_fp8()):
        raise BadInput(*found)
    precision = choose(recipe, cuda=device == "cuda", bf16=bf16)
    context.emit("status", state="preparing", text=f"Loading the base model in {precision.weights}.")
    tokenizer = load_tokenizer(folder, prepared.template.source)
    # Before the device computes anything: cuBLAS reads its setting at its first product.
    (enable_full_determinism if recipe.train.deterministic else set_seed)(recipe.train.seed)
    with recovery.during("loading"):
        base = load_model(recipe, folder, precision, device, prepared.labels, pictured=prepared.pictured)
    set_threads(recipe, base.num_parameters())
    if prepared.pictured:
        for found in wrong_pictures(recipe):
            raise BadInput(*found)
    model = adapted(base, beside_tower(base, recipe), prepared.train, tokenizer, context.folder / START)
    if recipe.train.qat != "none":
        from ftui.worker import qat

        model = qat.prepare(model, recipe.train.qat)
    if recipe.train.float8:
        from ftui.worker import float8

        model = float8.convert(model)
    checkpoint_first(model, recipe)
    kept = context.folder / "checkpoints"
    trainer = builder(recipe.objective.kind)(model, recipe, prepared, tokenizer, precision, device, kept)
    set_optimizer(trainer, recipe)
    set_own_optimizer(trainer, recipe)
    if recipe.train.ema is not None:
        trainer.average = WeightAverage(trainer.model, recipe.train.ema)
        trainer.add_callback(trainer.average)
    elif recipe.train.optimizer == "schedule_free":
        trainer.average = ScheduleFreeWeights(trainer.model, trainer.optimizer)
    for callback in callbacks(model):
        trainer.add_callback(callback)
    return Built(trainer, model, tokenizer, precision, device)


def _attempt(
    context: JobContext, recipe: Recipe, folder: Path, prepared: Prepared, expected: MemoryEstimate | None
) -> Trained:
    """Build everything from files, train to the end or to a stop; raises what the device raises."""
    import torch

    from ftui.worker import canary
    from ftui.worker.adapters.lora_start import changes_base
    from ftui.worker.answers import answer, of_base, prompts_of
    from ftui.worker.continual import anchor_of
    from ftui.worker.diagnosing import watch_over
    from ftui.worker.session import Session
    from ftui.worker.tracking import add_trackers

    trainer, model, tokenizer, precision, device = build(context, recipe, folder, prepared)
    kept = context.folder / "checkpoints"
    prompts = prompts_of(recipe, prepared)
    adapted = hasattr(model, "disable_adapter") and not changes_base(recipe)

    def answers(base: bool) -> list[str]:
        with model.disable_adapter() if base and adapted else trainer.averaged():
            return answer(
                trainer.model, tokenizer, of_base(prompts) if base else prompts, stop_ids=prepared.stop_ids,
                max_new_tokens=recipe.evaluate.max_new_tokens,
                autocast={"bf16": torch.bfloat16, "fp16": torch.float16, None: None}[precision.autocast],
            )

    plan = context.run.plan()

    def before_first_step() -> None:
        if canary.is_worthwhile(device, plan):
            _try_longest(context, trainer, recipe, device, expected, evaluates=session.evaluates)

    session = Session(
        context, recipe, device, [prompt.told for prompt in prompts], evaluates=len(prepared.validation) > 0,
        before_first_step=before_first_step, answers=answers,
    )
    session.follow(trainer)
    add_trackers(trainer, recipe, context)
    trainer.anchor = anchor_of(context, recipe, folder, trainer)
    trainer.data_mark = same_data.mark(prepared)
    resumed = checkpoints.newest(kept, context.warn)
    if resumed is not None:
        same_data.check(resumed, trainer.data_mark)
        trainer.remember(resumed.memory())
    elif session.evaluates and not adapted:
        # Once full tuning has begun, or an adapter's start has changed the base, there is no base model left to ask.
        session.base_answers = session.answered(True, 0)
    reached = resumed.step if resumed is not None else -1
    watch_over(
        context, recipe, trainer, labels=len(prepared.labels) or None, judged_by=session.judged_by,
        before=lambda: (event for event in each(context.run) if (event.step or 0) <= reached) if resumed else (),
    )
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        trainer.train(resume_from_checkpoint=str(resumed.path) if resumed else None)
    return Trained(trainer, session, tokenizer, device, peak_bytes(device), time.monotonic() - began)


def _try_longest(
    context: JobContext, trainer: Any, recipe: Recipe, device: str, expected: MemoryEstimate | None, *, evaluates: bool
) -> None:
    """The trial of a step and of an evaluation; RanOut, which says of which, where memory runs out in it."""
    from ftui.worker import canary

    micro = int(recipe.train.micro_batch)
    context.emit("status", state="preparing", text="Trying one step on the longest rows.", trial=True)
    try:
        reached = canary.run(
            trainer, micro, device, evaluated=(recipe.evaluate.batch or micro) if evaluates else 0
        )
    except recovery.MAY_BE_MEMORY as error:
        if not recovery.is_out_of_memory(error):
            raise
        if isinstance(error, recovery.RanOut):
            raise recovery.RanOut("The longest held-out rows don't fit", error.where) from None
        raise recovery.RanOut("The longest rows don't fit", "step") from None
    context.progress(f"The longest rows fit: {_against(reached, expected)}", 1, 1, unit="row")


def _against(reached: int, expected: MemoryEstimate | None) -> str:
    return gib(reached) + (f" (planned {gib(expected.process_bytes)})" if expected else "")


def _recover(
    context: JobContext, recipe: Recipe, error: Exception, device: str, expected: MemoryEstimate | None, *,
    crowded: bool,
) -> NoReturn:
    """Tell of the next remedy and go on with it in a fresh process; RunFailed where none is left or allowed.

    Where others have taken what the plan had counted on, nothing is changed and the fresh process waits for it, unless
    this one has waited in vain already (`crowded`).
    """
    reached = peak_bytes(device)
    where: recovery.Where = error.where if isinstance(error, recovery.RanOut) else "step"
    problem = (str(error).strip().splitlines() or ["Memory is full"])[0].rstrip(".")
    problem = f"{problem}: memory ran out at {_against(reached, expected)}"
    numbers: dict[str, Any] = {"attempt": context.attempt, "where": where, "measured_bytes": reached}
    who = None
    if expected is not None:
        numbers["expected_bytes"] = expected.process_bytes
        card = neighbours.look(device)
        who = card.in_the_way(expected.process_bytes) if card else None
    if who and expected is not None and not crowded and neighbours.may_wait(context, recipe):
        context.emit(
            "recovery", text=f"Out of memory because {who}; nothing is changed, it waits for that. {problem}.",
            change={}, needs_bytes=expected.process_bytes, **numbers,
        )
        raise StartAgain
    if who:
        problem = f"{problem}, and {who}"
    has_checkpoint = bool(checkpoints.found(context.folder / "checkpoints"))
    change = recovery.remedy(recipe, has_checkpoint=has_checkpoint, where=where)
    if change is None:
        raise RunFailed(f"{problem}.", recovery.advice(recipe, where)) from None
    context.emit("recovery", text=f"Out of memory: {change.text}. {problem}.", change=change.settings, **numbers)
    raise StartAgain


def _finish(
    context: JobContext, recipe: Recipe, folder: Path, prepared: Prepared, trained: Trained,
    expected: MemoryEstimate | None,
) -> None:
    """Save the best weights, write the report, and say how it ended."""
    from ftui.worker import output
    from ftui.worker.publish import publish
    from ftui.worker.room import when_there_is_room

    trainer, session = trained.trainer, trained.session
    step = trainer.state.global_step
    if step == 0:
        context.finish("Stopped before the first step; nothing was trained.")
        return
    saved_step = step
    if best := session.best_checkpoint(context.folder / "checkpoints"):
        without_cache(lambda: trainer.load_weights(best.path))
        saved_step = best.step
    else:
        trainer.settle()
    metrics: dict[str, Any] = {"train_loss": session.train_loss}
    if session.best.step is not None:
        # At a stop the newest weights may not have been evaluated; what is saved then is the best that was.
        metrics["eval_loss" if session.judged_by == "loss" else session.judged_by] = session.best.value
    metrics |= {"steps": step, "tokens": trainer.tokens_seen, "seconds": trained.seconds, "peak_bytes": trained.peak}
    if expected is not None and recipe != context.recipe():
        # plan.json is for what was launched; later plans learn from what was trained.
        metrics["expected_bytes"] = expected.process_bytes
    context.progress("Saving the result", 0, None, unit="row")
    shape = _describe(recipe)
    if recipe.continual.save_importance:
        from ftui.worker.continual import keep_importance

        keep_importance(recipe, trainer, prepared)
    ending = _ending(context, session, step, trainer.state.max_steps, saved_step)
    base = public_name(recipe.model.base, folder)

    def write() -> None:
        output.save(
            context.output, trainer, trained.tokenizer, recipe, context.info, prepared, folder,
            start=context.folder / START, base=base, licence=shape.licence if shape else None, metrics=metrics,
        )
        report.write(
            context.run, recipe, prepared, metrics, ending=ending, base=base, device=trained.device,
            saved_step=saved_step,
        )

    when_there_is_room(context, context.folder, write)
    address = publish(context.output, recipe, context)
    context.finish(f"{ending} Uploaded to {address}." if address else ending, metrics)


def _ending(context: JobContext, session: Session, step: int, steps: int, saved_step: int) -> str:
    if step < steps and context.stop_reason:
        text = f"Stopped at step {step} of {steps}, because {context.stop_reason}; the result so far is saved"
    elif step < steps and session.ended_early:
        text = f"Stopped early at step {step} of {steps}: {session.best.since} evaluations brought nothing better"
    else:
        text = f"Trained {step} steps"
    if session.best.step is not None:
        judged_by = "validation loss" if session.judged_by == "loss" else f"{session.judged_by} of the held-out rows"
        text += f"; the {judged_by} is {session.best.value:.4f}"
        text += f" (the best, from step {saved_step})" if saved_step != step else ""
    return f"{text}."


def _describe(recipe: Recipe) -> ModelShape | None:
    """What is known of the base model, for the card; a card without its licence is better than no result."""
    from ftui import models

    try:
        return models.describe(recipe.model.base, recipe.model.revision)
    except FtuiError:
        return None
