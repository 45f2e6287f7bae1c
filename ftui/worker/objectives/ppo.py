"""Proximal policy optimization, which trl dropped in 2026: an actor and a critic on the rollouts of its RLOO trainer.

The critic is a value head of one row on the policy's last hidden state; the reference is the model with its adapter
switched off, or in full tuning a second one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from trl import RLOOConfig, RLOOTrainer

from ftui.data import Prepared
from ftui.methods import PpoOptions
from ftui.recipe.document import Recipe
from ftui.worker import ppo_math
from ftui.worker.online import OnlineTrainer, build_online
from ftui.worker.precision import Precision

HEAD = "value_head.safetensors"
"""Beside the model's own files, in checkpoints and in the result."""


class PpoConfig(RLOOConfig):
    """RLOO's arguments with a single answer to a prompt: the baseline is what the value head expects."""

    def __post_init__(self) -> None:
        # Groups of a whole generation pass RLOO's own check, which asks for at least two answers to a prompt.
        steps = self.steps_per_generation or self.gradient_accumulation_steps
        self.num_generations = self.per_device_train_batch_size * steps
        super().__post_init__()
        self.num_generations = 1


class ValueHead(torch.nn.Linear):
    """(answers, tokens, hidden) -> (answers, tokens) in float32; expects nothing of any answer at first."""

    def __init__(self, hidden: int, device: Any) -> None:
        super().__init__(hidden, 1, device=device, dtype=torch.float32)
        torch.nn.init.zeros_(self.weight)
        torch.nn.init.zeros_(self.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            return super().forward(hidden.float()).squeeze(-1)


class PpoTrainer(OnlineTrainer, RLOOTrainer):
    """Generates and scores as RLOO does; advantages by token, and both losses, are its own."""

    def __init__(self, *args: Any, options: PpoOptions) -> None:
        super().__init__(*args)
        self.options = options
        model: Any = self.model
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.backbone = inner.base_model
        self.head = ValueHead(inner.config.get_text_config().hidden_size, self.accelerator.device)
        self.price = ppo_math.KlPrice(options.kl, options.kl_target, options.kl_horizon)

    # --- the critic's weights -------------------------------------------------------------------------------------

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """As ever, with the head as a group of its own; it is none of the model's parameters, which alone are set to
        zero after a step."""
        optimizer: Any = super().create_optimizer(*args, **kwargs)
        held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        if id(self.head.weight) not in held:
            optimizer.add_param_group({"params": list(self.head.parameters()), "weight_decay": 0.0})
            optimizer.register_step_post_hook(lambda *_: self.head.zero_grad())
        return optimizer

    def keep_beside(self, folder: Path) -> None:
        """The head, for whoever goes on with this training."""
        super().keep_beside(folder)
        save_file({name: tensor.cpu() for name, tensor in self.head.state_dict().items()}, folder / HEAD)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self.head.load_state_dict(load_file(Path(resume_from_checkpoint) / HEAD))

    def steering(self) -> dict[str, Any]:
        """The price of divergence as it has become."""
        return {"price": self.price.value}

    def steer(self, kept: dict[str, Any]) -> None:
        """Go on with that price."""
        self.price.value = float(kept["price"])

    # --- rollout and loss -----------------------------------------------------------------------------------------

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Tensor]:
        """Answers with what their tokens' log-probabilities and values were, and what has come of each."""
        prompts, answers, scores = self.answered(inputs)
        batch = self.padded(prompts, answers)
        mask, rows = batch["completion_mask"], self.args.per_device_train_batch_size
        with torch.no_grad():
            logps, values, _ = self.judged(self.model, batch, rows)
        reference = self.reference_logps(batch, rows)
        total = self.total(scores)
        rewards = ppo_math.token_rewards(total, logps, reference, mask, self.price.value)
        found, returns = ppo_math.advantages(rewards, values, mask, self.options.gamma, self.options.lam)
        divergence = float(((logps - reference) * mask).sum(dim=1).mean())
        self.tell({
            **self.told(scores), "kl": divergence, "kl_price": self.price.value,
            "explained_variance": float(ppo_math.explained(values, returns, mask)),
        })  # fmt: skip
        self.price.after(divergence, len(answers))
        # An answer that no reward could judge moves nothing.
        held = ppo_math.whitened(found, mask) * ~total.isnan()[:, None]
        return {**batch, "old_logps": logps, "old_values": values, "advantages": held, "returns": returns}

    def judged(
        self, model: Any, batch: dict[str, Tensor], rows: int | None = None, *, entropy: bool = False
    ) -> tuple[Tensor, Tensor, Any]:
        """(answers, tokens) each: log-probabilities, the values that stand before the tokens, and entropies."""
        with self._hidden(batch["completion_ids"].shape[1]) as hidden:
            logps, entropies = self.answer_logps(model, batch, rows, entropy=entropy)
        return logps, self.head(torch.cat(hidden)), entropies

    @contextlib.contextmanager
    def _hidden(self, tokens: int) -> Iterator[list[Tensor]]:
        """The last hidden states before each of the last `tokens` tokens, pass by pass."""
        found: list[Tensor] = []
        hook = self.backbone.register_forward_hook(
            lambda _, __, output: found.append(output.last_hidden_state[:, -tokens - 1 : -1])
        )
        try:
            yield found
        finally:
            hook.remove()

    def _compute_loss(self, model: Any, inputs: dict[str, Tensor]) -> Tensor:
        mask, options = inputs["completion_mask"], self.options
        logps, values, entropies = self.judged(model, inputs, entropy=True)
        policy = ppo_math.policy_loss(logps, inputs["old_logps"], inputs["advantages"], mask, options.epsilon)
        value = ppo_math.value_loss(values, inputs["old_values"], inputs["returns"], mask, options.value_epsilon)
        self.tell({
            "policy_loss": policy.loss.item(), "value_loss": value.loss.item(), "clip_ratio": float(policy.share),
            "value_clip_ratio": float(value.share), "entropy": float(ppo_math.mean(entropies.detach(), mask)),
        })  # fmt: skip
        return policy.loss + options.value_weight * value.loss

    def trial(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """With values and advantages that change nothing."""
        nothing = torch.zeros_like(batch["completion_ids"], dtype=torch.float32)
        return {**batch, "old_logps": nothing, "old_values": nothing, "advantages": nothing, "returns": nothing}


def build(
    model: Any, recipe: Recipe, prepared: Prepared, tokenizer: Any, precision: Precision, device: str, folder: Path
) -> PpoTrainer:
    """The trainer for a resolved recipe; `folder` is where its checkpoints go."""
    options: Any = recipe.objective
    accumulated = max(1, -(-int(recipe.train.effective_batch) // int(recipe.train.micro_batch)))
    made: PpoTrainer = build_online(
        PpoTrainer, PpoConfig, model, recipe, prepared, tokenizer, precision, device, folder, {"options": options},
        # Its size counts for nothing here, but with 0 trl makes no reference.
        beta=options.kl, num_iterations=options.iterations,
        steps_per_generation=accumulated * options.mini_batches,
    )
    return made
