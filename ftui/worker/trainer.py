"""`RunTrainer`: what ftui adds to any of trl's trainers: checkpoints that are complete or absent, an evaluation that
disturbs nothing, and no history kept beside events.jsonl."""

from __future__ import annotations

import contextlib
import heapq
import pickle
import random
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers.trainer import TRAINING_ARGS_NAME
from transformers.trainer_utils import EvalLoopOutput

from ftui.data.token_rows import UNTRAINED
from ftui.errors import BadInput
from ftui.worker import checkpoints
from ftui.worker.adapters.state import load_state, save_state
from ftui.worker.averages import OtherWeights
from ftui.worker.grouping import LengthGroups
from ftui.worker.memory import without_cache
from ftui.worker.precision import Precision
from ftui.worker.recovery import MAY_BE_MEMORY, during, is_out_of_memory

if TYPE_CHECKING:
    from transformers import Trainer as _Base

    from ftui.worker.anchor import Anchor
    from ftui.worker.session import Session
else:
    _Base = object


_ALREADY_TOLD = ("num_tokens", "step_time")
"""What trl measures and every event says anyway."""


class RunTrainer(_Base):
    """A mixin that stands before the trainer's class; `session` leads and reports."""

    session: Session
    tokens_seen = 0
    """Real tokens trained on so far, padding left out."""
    waited = 0.0
    """Seconds spent waiting for rows since the session last asked."""
    data_mark: dict[str, Any] | None = None
    """What a checkpoint remembers of the data."""
    average: OtherWeights | None = None
    """Weights that count in place of those that train, where there are such."""

    _unlogged: dict[str, Any] | None = None
    """Of the checkpoint that this attempt goes on from."""
    importance: dict[str, torch.Tensor] | None = None
    """What was important for the rows that were trained on, where that is to be kept beside the result."""
    anchor: Anchor | None = None
    """What pulls the weights to where they began, where something does."""

    def attach(self, session: Session) -> None:
        """Let `session` lead this trainer."""
        self.session = session
        self.add_callback(session)

    def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
        """Rows come as tokens: what trl would do to texts is left out."""
        return dataset

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """As ever; what the rows keep the step waiting for is measured."""
        began = time.perf_counter()
        batches = super().get_batch_samples(*args, **kwargs)
        self.waited += time.perf_counter() - began
        return batches

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """One forward and backward; counts the real tokens of the micro-batch."""
        self.tokens_seen += self.count_tokens(inputs)
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        if self.anchor is not None:
            self._hold_back(self.anchor)
        return loss

    def _hold_back(self, anchor: Anchor) -> None:
        """The pull to the start, a share of it for each micro-batch of the step, scaled as the loss is."""
        scaler: Any = self.accelerator.scaler
        scale = scaler.get_scale() if scaler is not None and self.accelerator.native_amp else 1.0
        penalty = anchor.add_gradient(scale / self.current_gradient_accumulation_steps)
        if (kept := getattr(self, "_metrics", None)) is not None:
            kept["train"]["penalty"].append(penalty)

    def count_tokens(self, inputs: Any) -> int:
        """The real tokens of a micro-batch, whose own count is taken off it."""
        return int(inputs.pop("tokens"))

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """As ever, or by length, which transformers would look for in every row."""
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        rows: Any = self.train_dataset
        return LengthGroups(
            rows.lengths(), self.args.train_batch_size * self.args.gradient_accumulation_steps, self.args.seed
        )

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """As ever; here the number of steps is known of which a part is to fall."""
        given: Any = self.args.lr_scheduler_kwargs
        if given and "decay_share" in given:
            rest = {name: value for name, value in given.items() if name != "decay_share"}
            falling = min(
                round(given["decay_share"] * num_training_steps),
                num_training_steps - self.args.get_warmup_steps(num_training_steps),
            )
            self.args.lr_scheduler_kwargs = {"num_decay_steps": falling, **rest}
        return super().create_scheduler(num_training_steps, optimizer)

    def averaged(self) -> contextlib.AbstractContextManager[None]:
        """The model holds the weights that count within."""
        return contextlib.nullcontext() if self.average is None else self.average.in_place()

    def settle(self) -> None:
        """Leave the weights that count in the model: the training is over."""
        if self.average is not None:
            self.average.settle()

    def longest_batch(self, rows: int) -> tuple[Any, Any]:
        """The micro-batch of the `rows` longest training rows, and its number of trained tokens where the loss is
        divided by them: what the trial step runs."""
        batch = self._longest_of(self.train_dataset, rows)
        trained = (batch["labels"][..., 1:] != UNTRAINED).sum().to(self.args.device) if "labels" in batch else None
        return batch, trained

    def _longest_of(self, dataset: Any, rows: int) -> Any:
        """The `rows` longest rows as a micro-batch."""
        collate: Any = self.data_collator
        lengths = dataset.lengths()
        longest = heapq.nlargest(rows, range(len(lengths)), key=lengths.__getitem__)
        return collate([dataset[index] for index in longest])

    def try_evaluation(self, rows: int) -> None:
        """What an evaluation does with the `rows` longest held-out rows, for its memory: nothing stays of it."""
        self._judged(self._longest_of(self.eval_dataset, rows))
        self.measured("eval")

    def _judged(self, inputs: Any) -> tuple[float, int]:
        """`judge_batch` of a micro-batch as it was collated, in evaluation and without gradients."""
        model = self._trained_model()
        was_training = model.training
        model.eval()
        with torch.no_grad():
            batch = self._prepare_inputs(inputs)
            batch.pop("tokens", None)
            judged = self.judge_batch(batch)
        model.train(was_training)
        return judged

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """As ever, without a trace in the random numbers of the training; `RanOut` where memory runs out in it."""
        with undisturbed(), self.averaged(), self.session.evaluating(), during("evaluation"):
            metrics: dict[str, float] = super().evaluate(*args, **kwargs)
        return metrics

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """The mean loss over all batches, weighed by what `judge_batch` counts, and what else the trainer measures."""
        total, counts = 0.0, []
        for inputs in dataloader:
            loss, count = self._judged(inputs)
            total += loss
            counts.append(count)
        measured = self.measured("eval", counts)
        metrics = {"loss": total / sum(counts) if counts else float("nan"), **measured}
        nothing: Any = None
        named = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        return EvalLoopOutput(nothing, nothing, named, len(dataloader.dataset))

    def judge_batch(self, inputs: Any) -> tuple[float, int]:
        """(summed loss, how many rows or tokens it is summed over) of one batch of an evaluation, without gradients."""
        rows, model = len(inputs["input_ids"]), self._trained_model()
        with self.compute_loss_context_manager():
            loss: Any = self.compute_loss(model, inputs)
        return float(loss) * rows, rows

    def measured(self, mode: str, counts: Sequence[int] = ()) -> dict[str, float]:
        """The means of what the trainer has measured since the last time; `mode` is "train" or "eval".

        With `counts`, the rows of each batch, a batch weighs as much as it has rows.
        """
        kept: dict[str, list[float]] = getattr(self, "_metrics", {}).get(mode, {})
        means = {
            name: _mean(values, counts) for name, values in kept.items() if values and name not in _ALREADY_TOLD
        }
        kept.clear()
        return means

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Hand the values to the callbacks; the history is in events.jsonl, not in every checkpoint."""
        if self.state.epoch is not None:
            logs["epoch"] = self.state.epoch
        measured = {}
        if "loss" in logs:
            measured = self.measured("train")
            # transformers takes the sum off itself, and what is no number stays none for good.
            self._tr_loss.zero_()
        # Handed on apart, so that a name of the trainer's can't hide one of transformers'.
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, {**measured, **logs})

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """A new best evaluation asks for a checkpoint, whatever the schedule."""
        values = {name.removeprefix("eval_"): value for name, value in metrics.items() if name.startswith("eval_")}
        best = self.session.judge(values, self.state.global_step)
        if best:
            self.control.should_save = True
        return best

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        """As ever, but not for a run that was killed after its last step: transformers would take one more."""
        # A calibration's trainer is led by nobody.
        session: Session | None = getattr(self, "session", None)
        if session is not None and session.is_over():
            self.control.should_training_stop = True
        else:
            super()._run_epoch(*args, **kwargs)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """All that a resume needs, under the name `checkpoint-STEP` only once it is whole.

        Weights that are no numbers are not saved: they would take the place of good ones.  Where the disk refuses, or
        the memory for a copy is missing, the training goes on: there may be room at the next one.
        """
        trained = (parameter for parameter in self._trained_model().parameters() if parameter.requires_grad)
        if not all(torch.isfinite(parameter).all() for parameter in trained):
            self.session.unsaved(self.state.global_step, "the weights are no numbers any more")
            return

        def fill(folder: Path) -> None:
            self.save_model(str(folder), _internal_call=True)
            # A pickle of what follows from the recipe, which nobody needs to open.
            (folder / TRAINING_ARGS_NAME).unlink(missing_ok=True)
            save_state(self._trained_model(), folder)
            self._save_optimizer_and_scheduler(str(folder))
            self._save_scaler(str(folder))
            self._save_rng_state(str(folder))
            self.state.save_to_json(str(folder / "trainer_state.json"))
            self.keep_beside(folder)
            self.keep_rest(folder)
            if self.average is not None:
                self.average.save(folder)

        # A resume from it does not tell of these steps again.
        self.session.context.sync()
        kept = Path(str(self.args.output_dir))
        try:
            with self.averaged():
                saved = without_cache(lambda: checkpoints.write(kept, self.state.global_step, fill, self._memory()))
        except OSError as error:
            self.session.unsaved(self.state.global_step, f"the disk says: {error.strerror or error}")
            return
        except MAY_BE_MEMORY as error:
            if not is_out_of_memory(error):
                raise
            self.session.unsaved(self.state.global_step, "memory ran out")
            return
        self.session.saved(saved)

    def _memory(self) -> dict[str, Any]:
        """What a resume must know besides transformers' own files: JSON's types."""
        kept: dict[str, list[Any]] = getattr(self, "_metrics", {}).get("train", {})
        measured = {name: [float(value) for value in values] for name, values in kept.items() if values}
        return {
            **self.session.memory(), "tokens_seen": self.tokens_seen, "data": self.data_mark,
            # What the steps since the last logged one sum up to.
            "unlogged": {"loss": float(self._tr_loss), "since": self._globalstep_last_logged, "measured": measured},
        }

    def remember(self, memory: dict[str, Any]) -> None:
        """Take over from the attempt whose checkpoint has this `_memory`; what is not logged yet waits for the first
        step (`go_on`)."""
        self.session.remember(memory)
        self.tokens_seen = memory["tokens_seen"]
        self._unlogged = memory.get("unlogged")

    @property
    def logged_step(self) -> int:
        """The last step whose losses were told."""
        return int(self._globalstep_last_logged)

    def go_on(self) -> None:
        """The training begins: transformers has set back its sum of losses."""
        if self._unlogged is None:
            return
        self._tr_loss += self._unlogged["loss"]
        self._globalstep_last_logged = self._unlogged["since"]
        kept = getattr(self, "_metrics", {"train": {}})["train"]
        for name, values in self._unlogged["measured"].items():
            kept[name].extend(values)

    def keep_beside(self, folder: Path) -> None:
        """Write what belongs to the result beside the model's own files, in a checkpoint and in the output."""

    def keep_rest(self, folder: Path) -> None:
        """Write what only a resumed run needs."""

    def _trained_model(self) -> Any:
        return self.model

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """As ever, but for what peft's files leave out of an adapter that is still in training, and what is frozen in
        an adapter (LoRA-FA's first matrices) stays so, which peft's loading would have train."""
        trained = [(parameter, parameter.requires_grad) for parameter in self._trained_model().parameters()]
        if not load_state(self._trained_model(), Path(resume_from_checkpoint)):
            with _numbers_only(resume_from_checkpoint):
                super()._load_from_checkpoint(resume_from_checkpoint, model)
        for parameter, trains in trained:
            parameter.requires_grad_(trains)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """As ever, with the weights as they trained, where the model's own file has others."""
        with _numbers_only(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None and self.average is not None:
            self.average.load(Path(checkpoint))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with _numbers_only(checkpoint):
            super()._load_rng_state(checkpoint)

    def _load_scaler(self, checkpoint: str | None) -> None:
        with _numbers_only(checkpoint):
            super()._load_scaler(checkpoint)

    def load_weights(self, checkpoint: Path) -> None:
        """Put the weights of a checkpoint in place of those that the model holds."""
        self._load_from_checkpoint(str(checkpoint))


def _mean(values: Sequence[float], counts: Sequence[int]) -> float:
    """Weighed by `counts`; not where there is none for each value, as with what not every batch shows."""
    weights = counts if len(values) == len(counts) and any(counts) else [1] * len(values)
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)


@contextlib.contextmanager
def _numbers_only(checkpoint: str | None) -> Iterator[None]:
    """Around torch's loading, which takes numbers only: a file that holds more says so, and none of it was run."""
    try:
        yield
    except pickle.UnpicklingError as error:
        raise BadInput(
            f"A file in {checkpoint} holds something else than numbers, and was not opened.",
            "Remove that folder, then resume: the run goes on from the checkpoint before it.",
        ) from error


@contextlib.contextmanager
def settled(model: Any, precision: Precision) -> Iterator[None]:
    """Around the making of a trl trainer: quiet about names that will be dropped, and afterwards the adapter has the
    number format that was chosen, for trl makes it bfloat16 on every quantized base, also where nothing else is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
    if hasattr(model, "peft_config"):
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.to(getattr(torch, precision.adapter))


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Whatever is done inside draws no random number from the training: its curve is the same with and without."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if cuda is not None:
            torch.cuda.set_rng_state(cuda)
