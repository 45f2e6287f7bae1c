"""The numbers of proximal policy optimization: pure functions of tensors (answers, tokens), `mask` 1 on real tokens.

After https://arxiv.org/abs/1707.06347 (clipping), https://arxiv.org/abs/1506.02438 (advantages) and
https://arxiv.org/abs/1909.08593 (what a token's divergence costs, and how that price is steered).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

STEERED = 0.2
"""The relative error of the divergence beyond which the price is steered no harder."""


def mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean over the real tokens; 0 where there are none."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def token_rewards(scores: Tensor, logps: Tensor, reference: Tensor, mask: Tensor, price: float) -> Tensor:
    """What each token earned: its divergence from the reference costs `price`, and the last one has the answer's score.

    `scores` is (answers,); an answer without a number for a score earns nothing but its costs.
    """
    rewards = -price * (logps - reference) * mask
    last = mask.sum(dim=1).clamp(min=1).long() - 1
    rewards[torch.arange(len(scores), device=scores.device), last] += scores.nan_to_num(0.0)
    return rewards


def advantages(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """(advantages, returns) by generalized advantage estimation: `values` stand before their tokens, and after an
    answer's last token nothing is expected any more."""
    found = torch.zeros_like(rewards)
    later, following = torch.zeros_like(rewards[:, 0]), torch.zeros_like(rewards[:, 0])
    for token in reversed(range(rewards.shape[1])):
        real = mask[:, token]
        surprise = rewards[:, token] + gamma * following - values[:, token]
        later = (surprise + gamma * lam * later) * real
        following = values[:, token] * real
        found[:, token] = later
    return found, (found + values) * mask


def whitened(values: Tensor, mask: Tensor) -> Tensor:
    """With mean 0 and spread 1 over the real tokens."""
    centre = mean(values, mask)
    spread = mean((values - centre) ** 2, mask).sqrt()
    return (values - centre) / (spread + 1e-8) * mask


class Clipped(NamedTuple):
    """A loss, and the share of tokens on which clipping decided."""

    loss: Tensor
    share: Tensor


def policy_loss(logps: Tensor, old: Tensor, advantages: Tensor, mask: Tensor, epsilon: float) -> Clipped:
    """The worse of what the plain and the clipped ratio of probabilities make of the advantages."""
    ratio = (logps - old).exp()
    plain = -advantages * ratio
    held = -advantages * ratio.clamp(1 - epsilon, 1 + epsilon)
    return Clipped(mean(torch.maximum(plain, held), mask), mean((held > plain).float(), mask))


def value_loss(values: Tensor, old: Tensor, returns: Tensor, mask: Tensor, epsilon: float) -> Clipped:
    """Half the worse square of the plain and the clipped value's distance from the returns."""
    plain = (values - returns) ** 2
    held = (old + (values - old).clamp(-epsilon, epsilon) - returns) ** 2
    return Clipped(0.5 * mean(torch.maximum(plain, held), mask), mean((held > plain).float(), mask))


def explained(values: Tensor, returns: Tensor, mask: Tensor) -> Tensor:
    """The share of the returns' variance that the values foresaw: 1 at best, 0 for a constant, less where they harm,
    no number where all returns are the same."""
    left = returns - values
    spread = mean((returns - mean(returns, mask)) ** 2, mask)
    return 1 - mean((left - mean(left, mask)) ** 2, mask) / spread


@dataclass
class KlPrice:
    """What a token's divergence costs; with a `target` (divergence per answer) it is steered there over `horizon`
    answers."""

    value: float
    target: float | None
    horizon: int

    def after(self, divergence: float, answers: int) -> None:
        """Take in the mean divergence of so many answers."""
        if self.target is not None:
            error = min(STEERED, max(-STEERED, divergence / self.target - 1))
            self.value *= 1 + error * answers / self.horizon
