"""Online direct preference optimization on the rollouts of trl's RLOO trainer.

trl's own experimental trainer keeps a whole second model also beside an adapter, makes all logits of both models, and
takes the first of two equally rewarded answers for the better one; here such a pair trains nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid
from trl import RLOOConfig, RLOOTrainer

from ftui.data import Prepared
from ftui.methods.judges import parse_all
from ftui.methods.online_dpo import PAIR
from ftui.recipe.document import Recipe
from ftui.worker.judges import Panel
from ftui.worker.online import OnlineTrainer, build_online, columns_of
from ftui.worker.precision import Precision
from ftui.worker.rewards import Place


class OnlineDpoTrainer(OnlineTrainer, RLOOTrainer):
    """Generates two answers to each prompt; a row of its micro-batches is the pair of them."""

    def __init__(self, *args: Any, loss_type: str, panel: Panel | None = None) -> None:
        super().__init__(*args)
        self.loss_type, self.panel = loss_type, panel
        self._before: list[list[int]] | None = None
        """The untrained model's answers to the held-out prompts, against which a judge holds the trained one's."""

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Tensor]:
        """Pairs: prompts, chosen and rejected answers, what the reference gives to each, and which pairs count."""
        prompts, answers, scores = self.answered(inputs)
        batch = self.padded(prompts, answers)
        logps = self.reference_logps(batch, self.args.per_device_train_batch_size)
        reference = (logps * batch["completion_mask"]).sum(dim=1)
        worth = self.total(scores)
        if self.panel is not None:
            verdicts = self.judged(inputs[::PAIR], answers[::PAIR], answers[1::PAIR])
            worth = by_verdict(verdicts, worth)
        chosen, rejected, decided = preferred(worth)
        self.tell({
            **self.told(scores), "undecided": 1 - float(decided.mean()),
            "completions/chosen_length": float(batch["completion_mask"][chosen].sum(dim=1).float().mean()),
        })  # fmt: skip
        sides = {"chosen": chosen, "rejected": rejected}
        return {
            "prompt_ids": batch["prompt_ids"][::PAIR], "prompt_mask": batch["prompt_mask"][::PAIR], "decided": decided,
            **{f"{side}_{part}": batch[f"completion_{part}"][index]
               for side, index in sides.items() for part in ("ids", "mask")},
            **{f"{side}_reference": reference[index] for side, index in sides.items()},
        }  # fmt: skip

    def judged(self, rows: Any, first: Any, second: Any) -> Tensor:
        """For each of `rows` a positive number where the judges prefer the first answer, a negative one where they
        prefer the second, 0 for a draw; answers are tokens."""
        assert self.panel is not None
        tokens = [(len(one), len(other)) for one, other in zip(first, second, strict=True)]
        columns = {**columns_of(rows), "tokens": tokens}
        verdicts = self.panel([self._text(ids) for ids in first], [self._text(ids) for ids in second], columns)
        return torch.tensor(verdicts, device=self.accelerator.device)

    def compared(self, rows: Any, answers: Any) -> dict[str, float]:
        """How often the judges prefer the answers to the held-out prompts `rows` to the untrained model's; a draw is
        half a win."""
        if self.panel is None:
            return {}
        if self._before is None:
            size = self.args.per_device_eval_batch_size
            with self.untrained():
                self._before = [answer for start in range(0, len(rows), size)
                                for answer in self.answered(rows[start : start + size])[1]]  # fmt: skip
        verdicts = self.judged(rows, answers, self._before)
        return {"win_rate": float((verdicts + 1).mean() / 2), "draws": float((verdicts == 0).float().mean())}

    def _compute_loss(self, model: Any, inputs: dict[str, Tensor]) -> Tensor:
        both = {
            f"completion_{part}": torch.cat([inputs[f"chosen_{part}"], inputs[f"rejected_{part}"]])
            for part in ("ids", "mask")
        }
        twice = {name: torch.cat([inputs[name]] * PAIR) for name in ("prompt_ids", "prompt_mask")}
        logps, entropies = self.answer_logps(model, twice | both, entropy=True)
        mask = both["completion_mask"]
        chosen, rejected = ((logps * mask).sum(dim=1)).chunk(PAIR)
        gains = chosen - inputs["chosen_reference"], rejected - inputs["rejected_reference"]
        decided = inputs["decided"]
        counted = decided.sum().clamp(min=1)
        losses = pair_losses(gains[0] - gains[1], self.beta, self.loss_type)
        margins = self.beta * (gains[0] - gains[1]).detach()
        self.tell({
            "rewards/margins": float((margins * decided).sum() / counted),
            "rewards/accuracies": float(((margins > 0).float() * decided).sum() / counted),
            "entropy": float((entropies.detach() * mask).sum() / mask.sum()),
        })  # fmt: skip
        return (losses * decided).sum() / counted

    def trial(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Half of the answers as chosen, half as rejected ones."""
        pairs = len(batch["completion_ids"]) // PAIR
        nothing = torch.zeros(pairs, device=batch["completion_ids"].device)
        made = {"prompt_ids": batch["prompt_ids"][:pairs], "prompt_mask": batch["prompt_mask"][:pairs]}
        for side, rows in (("chosen", slice(0, pairs)), ("rejected", slice(pairs, PAIR * pairs))):
            made |= {f"{side}_ids": batch["completion_ids"][rows], f"{side}_mask": batch["completion_mask"][rows],
                     f"{side}_reference": nothing}  # fmt: skip
        return {**made, "decided": torch.ones_like(nothing)}


def preferred(rewards: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(indices of the better answers, of the worse, 1 where a pair is decided); `rewards` are those of both answers to
    one prompt after the other's, no number where there is none."""
    pairs = rewards.view(-1, PAIR)
    first = torch.arange(0, len(rewards), PAIR, device=rewards.device)
    second_wins = (pairs[:, 1] > pairs[:, 0]).long()
    decided = ((pairs[:, 0] != pairs[:, 1]) & ~pairs.isnan().any(dim=1)).float()
    return first + second_wins, first + 1 - second_wins, decided


def by_verdict(verdicts: Tensor, worth: Tensor) -> Tensor:
    """What both answers to each prompt count, one after the other: who wins, or at a draw what they are `worth`."""
    won = torch.stack([verdicts, -verdicts], dim=1).flatten()
    return torch.where(won == 0, worth, won)


def pair_losses(margins: Tensor, beta: float, loss_type: str) -> Tensor:
    """The loss of each pair from how much more the chosen answer gained than the rejected one, in log-probability."""
    if loss_type == "ipo":
        return (margins - 1 / (2 * beta)) ** 2
    return -logsigmoid(beta * margins)


def build(
    model: Any, recipe: Recipe, prepared: Prepared, tokenizer: Any, precision: Precision, device: str, folder: Path
) -> OnlineDpoTrainer:
    """The trainer for a resolved recipe; `folder` is where its checkpoints go."""
    options: Any = recipe.objective
    place = Place(device, precision.compute, int(recipe.train.micro_batch))
    panel = Panel(parse_all(options.judge), options.criterion, place) if options.judge else None
    made: OnlineDpoTrainer = build_online(
        OnlineDpoTrainer, RLOOConfig, model, recipe, prepared, tokenizer, precision, device, folder,
        {"loss_type": options.loss_type, "panel": panel}, num_generations=PAIR, beta=options.beta,
        steps_per_generation=options.steps_per_generation,
    )
    return made
