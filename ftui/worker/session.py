"""`Session`: leads a training step by step: when to evaluate, save and stop, and what to say about it."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, TrainerCallback

from ftui.errors import BadInput, RunFailed
from ftui.methods import OBJECTIVES
from ftui.recipe.document import Recipe
from ftui.worker import checkpoints
from ftui.worker.checkpoints import Checkpoint
from ftui.worker.context import JobContext
from ftui.worker.memory import give_back, readings, without_cache
from ftui.worker.recovery import MAY_BE_MEMORY, is_out_of_memory
from ftui.worker.trainer import undisturbed

NOT_A_NUMBER_STEPS = 5
"""So many steps in a row without a finite loss end the run: it doesn't come back from that."""


@dataclass
class Best:
    """The best evaluation so far by the value that the recipe judges by, and how many have come since."""

    value: float | None = None
    step: int | None = None
    since: int = 0
    loss: float | None = None
    """Decides between equals: an accuracy of 1 may be reached long before the last step that brings something."""


_OWN_NAMES = ("loss", "learning_rate", "grad_norm", "epoch", "runtime", "samples_per_second", "steps_per_second")
"""What an event says under a name of its own, or not at all."""


def judged_by(recipe: Recipe) -> str:
    """The name of the value by which the best checkpoint is known."""
    wanted = recipe.evaluate.best_by
    own: str = getattr(recipe.objective, "best", OBJECTIVES[recipe.objective.kind].best)
    return own if wanted == "auto" else wanted.removeprefix("eval_")


def is_better(name: str, value: float, than: float | None) -> bool:
    """Losses and divergences are better the lower, everything else the higher; no number is better than none."""
    if not math.isfinite(value):
        return False
    if than is None:
        return True
    return value < than if any(word in name for word in FALLING) else value > than


FALLING = ("loss", "kl", "perplexity", "divergence", "entropy")
"""Parts of the names of values that are better the lower."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class Session(TrainerCallback):
    """One attempt's eyes and hands.  transformers calls the `on_...` methods; `RunTrainer` the others."""

    def __init__(
        self, context: JobContext, recipe: Recipe, device: str, prompts: Sequence[dict[str, Any]], *, evaluates: bool,
        answers: Callable[[bool], list[str]], before_first_step: Callable[[], None],
    ) -> None:
        """`answers(base)` gives the answers to `prompts` of the model as it is now, or of its untuned base.

        Of each prompt events say what `prompts` says of it: {"prompt": text}, and its task or images.
        """
        self.context, self.recipe, self.device, self.prompts = context, recipe, device, prompts
        self.evaluates = evaluates
        self._answers = answers
        self._before_first_step = before_first_step
        self.base_answers: list[str] | None = None
        """The untuned model's answers, where they had to be asked for before the first step."""
        self._base_told = self._unanswered = False
        self.best = self._best_before = Best()
        self.judged_by = judged_by(recipe)
        self.eval_loss: float | None = None
        self.last_loss: float | None = None
        self.loss_sum, self.loss_steps = 0.0, 0
        self.first_step_time: float | None = None
        self.step_seconds: list[float] = []
        self._reasons = {"evaluate": "schedule", "save": "schedule"}
        self._evaluated_at = -1
        self._saved_at = -1
        self._saved_time = time.monotonic()
        self._bad_losses = 0
        self._mark: float | None = None
        self._logged_step = 0
        self._logged_tokens = 0
        self._paused = 0.0

    # --- called by transformers ---------------------------------------------------------------------------------

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._before_first_step()
        self.trainer.go_on()
        self._logged_step, self._total = self.trainer.logged_step, state.max_steps
        self._logged_tokens = self.trainer.tokens_seen
        self.context.emit("status", state="running", text="Training.")
        self.context.progress("Training", state.global_step, state.max_steps)
        self._saved_time = time.monotonic()
        if self.evaluates and self.recipe.evaluate.first and state.global_step == 0:
            self._look_first()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._mark is None:
            self._mark, self._paused = time.perf_counter(), 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        step = state.global_step
        train = self.recipe.train
        if self.first_step_time is None:
            self.first_step_time = time.time()
        last = step >= state.max_steps
        if self.evaluates and isinstance(train.eval_steps, int) and step % train.eval_steps == 0:
            self._ask_evaluation(control, "schedule")
        if isinstance(train.save_steps, int) and step % train.save_steps == 0 and not last:
            self._ask_save(control, "schedule")
        due = train.save_minutes is not None and time.monotonic() - self._saved_time >= 60 * train.save_minutes
        if due and not last:
            self._ask_save(control, "schedule")
        if last and self.evaluates:
            self._ask_evaluation(control, "end")
        for command in self.context.commands():
            if command.name == "checkpoint":
                self._ask_save(control, "asked")
            elif command.name == "evaluate" and self.evaluates:
                self._ask_evaluation(control, "asked")
            elif command.name == "evaluate":
                self.context.warn("There is nothing to evaluate on: data.validation is 0.", step=step)
            elif command.name == "sample":
                self.sample(step)
        if self.context.stop_asked and not last:
            self._ask_save(control, "stop")
            control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        if logs is None or "loss" not in logs:
            return
        step, now = state.global_step, time.perf_counter()
        steps = max(1, step - self._logged_step)
        seconds = now - (self._mark if self._mark is not None else now) - self._paused
        tokens = self.trainer.tokens_seen - self._logged_tokens
        self._mark, self._logged_step, self._logged_tokens = None, step, self.trainer.tokens_seen
        loss = logs["loss"]
        values = {name: value for name, value in logs.items() if name not in _OWN_NAMES and _is_number(value)}
        self.step_seconds.append(seconds / steps)
        self.context.emit(
            "metric", step, loss=loss, learning_rate=logs.get("learning_rate"), grad_norm=logs.get("grad_norm"),
            epoch=logs.get("epoch"), tokens=self.trainer.tokens_seen,
            tokens_per_second=tokens / seconds if seconds > 0 else None, step_seconds=seconds / steps,
            input_seconds=self._waited() / steps, **({"values": values} if values else {}), **readings(self.device),
        )
        self.context.progress("Training", step, state.max_steps)
        self._look_at(loss, steps, step)

    # --- called by RunTrainer -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Around an evaluation: how long it took, and what to say afterwards."""
        began = time.perf_counter()
        self.context.progress("Evaluating", 0, None, unit="row")
        yield
        self._eval_seconds = time.perf_counter() - began
        self._paused += self._eval_seconds

    def judge(self, values: dict[str, float], step: int) -> bool:
        """Take in an evaluation: tell of it, answer the prompts, stop early; True where it is the best so far.

        `values` are what was measured by name; "loss" is among them where there is one.
        """
        if self.judged_by not in values:
            raise BadInput(
                f"evaluate.best_by is {self.judged_by}, which {self.recipe.objective.kind} doesn't measure.",
                f"Write one of: {', '.join(sorted(values))}.",
            )
        value = values[self.judged_by]
        better = is_better(self.judged_by, value, self.best.value) or (
            value == self.best.value and is_better("loss", values.get("loss", math.nan), self.best.loss)
        )
        self.eval_loss, self._evaluated_at = values.get("loss"), step
        if better:
            self._best_before = replace(self.best, since=0)
            self.best = Best(value, step, 0, values.get("loss"))
        else:
            self.best.since += 1
        self._tell(values, step, best=better, reason=self._reasons["evaluate"])
        self._reasons["evaluate"] = "schedule"
        if better:
            self._reasons["save"] = "best"
        self.sample(step)
        if self.ended_early:
            self.trainer.control.should_training_stop = True
        self.context.progress("Training", step, self._total)
        return better

    def sample(self, step: int) -> None:
        """Answer the fixed prompts and tell of it, beside the base model's answers the first time."""
        if not self.prompts:
            return
        began = time.perf_counter()
        with undisturbed():
            texts = self.answered(False, step)
            base = None if self._base_told else self.base_answers
            if base is None and not self._base_told:
                base = self.answered(True, step)
        if not texts:
            return
        self._base_told = True
        for index, (prompt, text) in enumerate(zip(self.prompts, texts, strict=True)):
            beside = {"base": base[index]} if base else {}
            self.context.emit("sample", step, text=text, index=index, **prompt, **beside)
        self._paused += time.perf_counter() - began

    def answered(self, base: bool, step: int) -> list[str]:
        """The answers to the prompts; none, with a word the first time, where memory runs out: a look at the model is
        no reason to train otherwise."""
        try:
            return without_cache(lambda: self._answers(base))
        except MAY_BE_MEMORY as error:
            if not is_out_of_memory(error):
                raise
        give_back()
        if not self._unanswered:
            self._unanswered = True
            self.context.warn(
                f"The prompts weren't answered at step {step:,}: memory ran out. The training goes on.",
                "Ask fewer or shorter ones: evaluate.prompts, evaluate.max_new_tokens.", step=step,
            )
        return []

    def saved(self, checkpoint: Checkpoint) -> None:
        """A checkpoint is whole: tell of it, and remove those that are no longer wanted."""
        self._saved_at, self._saved_time = checkpoint.step, time.monotonic()
        reason, self._reasons["save"] = self._reasons["save"], "schedule"
        self.context.emit(
            "checkpoint", checkpoint.step, path=str(checkpoint.path.relative_to(self.context.folder)),
            bytes=checkpoint.bytes(), best=self.best.step == checkpoint.step, reason=reason,
        )
        checkpoints.prune(checkpoint.path.parent, self.recipe.train.keep_checkpoints, self.best.step)

    def unsaved(self, step: int, why: str) -> None:
        """There is no checkpoint of this step; what was best before it is the best that there is."""
        self._reasons["save"], self._saved_time = "schedule", time.monotonic()
        if self.best.step == step:
            self.best = self._best_before
        kept = checkpoints.found(self.context.folder / "checkpoints")
        last = f"The last one is of step {kept[0].step:,}; the training goes on." if kept else "The training goes on."
        self.context.warn(f"No checkpoint was written at step {step:,}: {why}.", last, step=step)

    def memory(self) -> dict[str, Any]:
        """What the next attempt must know; goes into each checkpoint."""
        return {
            "best_value": self.best.value, "best_step": self.best.step, "since_best": self.best.since,
            "best_loss": self.best.loss, "loss_sum": self.loss_sum, "loss_steps": self.loss_steps,
            "base_told": self._base_told,
        }

    def remember(self, memory: dict[str, Any]) -> None:
        """Take over from the attempt that wrote `memory()`."""
        self.best = Best(memory["best_value"], memory["best_step"], memory["since_best"], memory.get("best_loss"))
        self.loss_sum, self.loss_steps = memory["loss_sum"], memory["loss_steps"]
        self._base_told = memory["base_told"]

    def follow(self, trainer: Any) -> None:
        """Lead `trainer` from now on."""
        self.trainer = trainer
        # It would print every value into worker.log, where they hide what isn't in the events.
        trainer.remove_callback(PrinterCallback)
        trainer.attach(self)

    @property
    def ended_early(self) -> bool:
        """Whether so many evaluations brought nothing better that it is enough."""
        patience = self.recipe.evaluate.patience
        return patience is not None and self.best.since >= patience

    def is_over(self) -> bool:
        """Whether no step is left to do, as after a resume from a checkpoint of the last one."""
        return self.ended_early or self.trainer.state.global_step >= self.trainer.state.max_steps

    @property
    def train_loss(self) -> float | None:
        """The mean of the losses of all steps so far."""
        return self.loss_sum / self.loss_steps if self.loss_steps else None

    def best_checkpoint(self, folder: Path) -> Checkpoint | None:
        """The best checkpoint, where it is another than what the model holds now; where it can't be used, it is said
        and forgotten."""
        step = self.trainer.state.global_step
        if self.best.step is None or self.best.step == step:
            return None
        best = Checkpoint(folder / f"checkpoint-{self.best.step}", self.best.step)
        if (problem := best.problem()) is None:
            return best
        self.context.warn(
            f"The best checkpoint, of step {best.step:,}, can't be used: {problem}.",
            f"The result has the weights of step {step:,}.", step=step,
        )
        self.best = Best()
        return None

    # --- its own ------------------------------------------------------------------------------------------------

    def _waited(self) -> float:
        """Seconds that the rows have kept the training waiting since the last time."""
        seconds, self.trainer.waited = self.trainer.waited, 0.0
        return float(seconds)

    def _ask_evaluation(self, control: Any, reason: str) -> None:
        control.should_evaluate = True
        self._reasons["evaluate"] = reason

    def _look_first(self) -> None:
        """Evaluate what the training starts from: a mark to hold the rest against, which no checkpoint has."""
        measured = self.trainer.evaluate()
        values = {name.removeprefix("eval_"): value for name, value in measured.items() if name.startswith("eval_")}
        self._tell(values, 0, best=False, reason="start")
        self.sample(0)
        self.context.progress("Training", 0, self._total)

    def _tell(self, values: dict[str, float], step: int, *, best: bool, reason: str) -> None:
        """What an evaluation measured, as an event."""
        others = {name: value for name, value in values.items() if name not in _OWN_NAMES}
        self.context.emit(
            "evaluation", step, seconds=self._eval_seconds, best=best, reason=reason,
            **({"eval_loss": values["loss"]} if "loss" in values else {}), **({"values": others} if others else {}),
            **({"judged_by": self.judged_by} if self.judged_by != "loss" else {}),
        )

    def _ask_save(self, control: Any, reason: str) -> None:
        control.should_save = True
        self._reasons["save"] = reason

    def _look_at(self, loss: float, steps: int, step: int) -> None:
        """Sum up the losses; warn at the first that is no number, end the run after several."""
        if math.isfinite(loss):
            self.last_loss = loss
            self.loss_sum += loss * steps
            self.loss_steps += steps
            self._bad_losses = 0
            return
        self._bad_losses += 1
        rate = self.recipe.train.learning_rate
        hint = f"Lower train.learning_rate (now {rate:g}) or raise train.warmup."
        if self._bad_losses == 1:
            self.context.warn("The loss is not a number.", hint, step=step)
        if self._bad_losses >= NOT_A_NUMBER_STEPS:
            evidence = {"steps": self._bad_losses, "first": step - self._bad_losses + 1, "last_loss": self.last_loss}
            text = f"The loss has not been a number since step {evidence['first']}"
            self.context.emit(
                "diagnosis", step, name="diverged", text=f"{text}: the training has diverged.", hint=hint,
                evidence=evidence,
            )
            kept = checkpoints.found(self.context.folder / "checkpoints")
            rest = f" The checkpoint of step {kept[0].step} is still good." if kept else ""
            raise RunFailed(f"{text}, so the run was ended.{rest}", hint)
