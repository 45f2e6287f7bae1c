"""`RunTrainer`: what ftui adds to any of trl's trainers: checkpoints that are complete or absent, an evaluation that
disturbs nothing, and no history kept beside events.jsonl."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers.trainer_utils import EvalLoopOutput

from ftui.worker import checkpoints

if TYPE_CHECKING:
    from transformers import Trainer as _Base

    from ftui.worker.session import Session
else:
    _Base = object


class RunTrainer(_Base):
    """A mixin that stands before the trainer's class; `session` leads and reports."""

    session: Session
    tokens_seen = 0
    """Real tokens trained on so far, padding left out."""

    def attach(self, session: Session) -> None:
        """Let `session` lead this trainer."""
        self.session = session
        self.add_callback(session)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """One forward and backward; counts the real tokens of the micro-batch."""
        self.tokens_seen += inputs.pop("tokens")
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        return loss

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """As ever, without a trace in the random numbers of the training."""
        with undisturbed(), self.session.evaluating():
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
        """The mean loss per trained token: whatever the batches, the same number, which a mean of means is not."""
        model = self._trained_model()
        was_training = model.training
        model.eval()
        total, tokens = 0.0, 0
        with torch.no_grad():
            for inputs in dataloader:
                inputs.pop("tokens")
                output = self.model_wrapped(**self._prepare_inputs(inputs), summed_loss=True)
                total += output.loss.item()
                tokens += int(output.count)
        model.train(was_training)
        loss = total / tokens if tokens else float("nan")
        nothing: Any = None
        return EvalLoopOutput(nothing, nothing, {f"{metric_key_prefix}_loss": loss}, len(dataloader.dataset))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Hand the values to the callbacks; the history is in events.jsonl, not in every checkpoint."""
        if self.state.epoch is not None:
            logs["epoch"] = self.state.epoch
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, logs)

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """A new best evaluation asks for a checkpoint, whatever the schedule."""
        best = self.session.judge(metrics["eval_loss"], self.state.global_step)
        if best:
            self.control.should_save = True
        return best

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """All that a resume needs, under the name `checkpoint-STEP` only once it is whole.

        Weights that are no numbers are not saved: they would take the place of good ones.
        """
        trained = (parameter for parameter in self._trained_model().parameters() if parameter.requires_grad)
        if not all(torch.isfinite(parameter).all() for parameter in trained):
            self.session.unsaved(self.state.global_step)
            return

        def fill(folder: Path) -> None:
            self.save_model(str(folder), _internal_call=True)
            self._save_optimizer_and_scheduler(str(folder))
            self._save_scaler(str(folder))
            self._save_rng_state(str(folder))
            self.state.save_to_json(str(folder / "trainer_state.json"))

        memory = {**self.session.memory(), "tokens_seen": self.tokens_seen}
        saved = checkpoints.write(Path(str(self.args.output_dir)), self.state.global_step, fill, memory)
        self.session.saved(saved)

    def _trained_model(self) -> Any:
        return self.model

    def load_weights(self, checkpoint: Path) -> None:
        """Put the weights of a checkpoint in place of those that the model holds."""
        self._load_from_checkpoint(str(checkpoint))


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
