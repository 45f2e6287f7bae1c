"""What ftui adds to trl's experimental trainers of pairs (ORPO, CPO): they tokenize texts their own way, log past the
callbacks, and know no adapter that puts tokens before the text's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ftui.data import Prepared
from ftui.worker.collate_pairs import SidesCollator
from ftui.worker.trainer import RunTrainer

if TYPE_CHECKING:
    import torch


class AsTheyAre(Sequence[dict[str, Any]]):
    """Rows that say yes to every `map` and stay what they are."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def map(self, *_: Any, **__: Any) -> AsTheyAre:
        """What trl would do to texts is left out."""
        return self


class ExperimentalTrainer(RunTrainer):
    """A mixin before one of trl's experimental trainers of pairs."""

    def __init__(self, model: Any, args: Any, prepared: Prepared, tokenizer: Any, collator: SidesCollator) -> None:
        self._metrics: dict[str, dict[str, list[float]]] = {"train": defaultdict(list), "eval": defaultdict(list)}
        made: Any = {"train_dataset": AsTheyAre(prepared.train), "processing_class": tokenizer}
        super().__init__(model=model, args=args, data_collator=collator, **made)
        self.train_dataset, self.eval_dataset = prepared.train, prepared.validation

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """trl's loss; what it measures on the way is kept where every other trainer keeps it."""
        asked: Any = self
        width = max(inputs["chosen_input_ids"].shape[1], inputs["rejected_input_ids"].shape[1])
        loss, metrics = asked.get_batch_loss_metrics(_of_own_tokens(model, width), inputs, train_eval="train")
        kept = self._metrics["train" if self._trained_model().training else "eval"]
        for name, value in metrics.items():
            kept[name].append(float(value))
        return (loss, metrics) if return_outputs else loss

    def judge_batch(self, inputs: Any) -> tuple[float, int]:
        """By pairs."""
        pairs, model = len(inputs["chosen_input_ids"]), self._trained_model()
        with self.compute_loss_context_manager():
            loss: torch.Tensor = self.compute_loss(model, inputs)
        return float(loss) * pairs, pairs


def _of_own_tokens(model: Any, width: int) -> Any:
    """`model`, whose logits are those of the last `width` positions: tokens of a prompt adapter stand before them."""

    def forward(*args: Any, **kwargs: Any) -> Any:
        outputs = model(*args, **kwargs)
        outputs.logits = outputs.logits[:, -width:]
        return outputs

    return forward
