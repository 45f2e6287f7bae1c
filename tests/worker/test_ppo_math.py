"""The numbers of PPO, held against a step that was worked out by hand and against the formulas written out plainly."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from ftui.worker import ppo_math  # noqa: E402

pytestmark = pytest.mark.torch

MASK = torch.tensor([[1, 1, 1], [1, 1, 0]])
OLD = torch.tensor([[-1.0, -2.0, -1.0], [-0.5, -1.0, 7.0]])
REFERENCE = torch.tensor([[-1.2, -1.5, -1.0], [-0.5, -2.0, -7.0]])
VALUES = torch.tensor([[0.5, 0.2, 0.1], [0.4, -0.2, 9.0]])
GAMMA, LAM, PRICE, EPSILON = 0.9, 0.5, 0.1, 0.2


def close(found: Any, wanted: Any) -> None:
    """Equal to what was worked out by hand, to six digits."""
    torch.testing.assert_close(found, torch.as_tensor(wanted), rtol=0, atol=2e-6)


def test_a_step_that_was_worked_out_by_hand() -> None:
    # First answer: divergences 0.2, -0.5, 0 at a price of 0.1, and a score of 1 on its last token.
    # Second answer, of two tokens: divergences 0, 1, and a score of -2; what stands behind it counts for nothing.
    rewards = ppo_math.token_rewards(torch.tensor([1.0, -2.0]), OLD, REFERENCE, MASK, PRICE)
    close(rewards, [[-0.02, 0.05, 1.0], [0.0, -2.1, 0.0]])
    # From the end, with 0.9 * 0.5 = 0.45 of what comes later:
    #   1.0 - 0.1 = 0.9;  0.05 + 0.9*0.1 - 0.2 = -0.06, and 0.45*0.9;  -0.02 + 0.9*0.2 - 0.5 = -0.34, and 0.45*0.345.
    #   -2.1 + 0.2 = -1.9;  0 + 0.9*-0.2 - 0.4 = -0.58, and 0.45*-1.9.
    advantages, returns = ppo_math.advantages(rewards, VALUES, MASK, GAMMA, LAM)
    close(advantages, [[-0.18475, 0.345, 0.9], [-1.435, -1.9, 0.0]])
    close(returns, [[0.31525, 0.545, 1.0], [-1.035, -2.1, 0.0]])
    # Ratios e^0.1 and e^-0.3 and 1; e^0.5 = 1.6487 and 1.  Clipping to 0.8..1.2 would only flatter the second token
    # (-0.345 * 0.8 < -0.345 * 0.7408); for the fourth the unclipped 1.435 * 1.6487 is the worse.
    logps = torch.tensor([[-0.9, -2.3, -1.0], [0.0, -1.0, 0.0]])
    policy = ppo_math.policy_loss(logps, OLD, advantages, MASK, EPSILON)
    by_token = [0.18475 * 1.1051709, -0.345 * 0.7408182, -0.9, 1.435 * 1.6487213, 1.9]
    close(policy.loss, sum(by_token) / 5)
    close(policy.share, 0.0)
    # Values 0.8 (clipped to 0.7, nearer to 0.31525), 0.2, 0.0; -0.5 (clipped to 0.2, further from -1.035), -0.2.
    values = torch.tensor([[0.8, 0.2, 0.0], [-0.5, -0.2, 0.0]])
    value = ppo_math.value_loss(values, VALUES, returns, MASK, EPSILON)
    squares = [0.48475**2, 0.345**2, 1.0, 1.235**2, 1.9**2]
    close(value.loss, sum(squares) / 5 / 2)
    close(value.share, 1 / 5)


def test_clipping_holds_back_what_has_already_moved_far_enough() -> None:
    old, mask = torch.zeros(1, 2), torch.ones(1, 2)
    moved = torch.tensor([[0.5, -0.5]], requires_grad=True)
    found = ppo_math.policy_loss(moved, old, torch.tensor([[1.0, -1.0]]), mask, EPSILON)
    found.loss.backward()
    close(found.loss, (-1.2 + 0.8) / 2)
    assert float(found.share) == 1
    assert torch.equal(moved.grad, torch.zeros(1, 2))


def test_an_answer_without_a_score_earns_nothing_but_its_costs() -> None:
    rewards = ppo_math.token_rewards(torch.tensor([float("nan"), 1.0]), OLD, OLD, MASK, PRICE)
    close(rewards, [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


@given(
    st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=12), st.integers(0, 3),
    st.floats(0.1, 1), st.floats(0, 1),
)
@settings(max_examples=60, deadline=None)
def test_an_advantage_is_the_fading_sum_of_all_later_surprises(
    tokens: list[tuple[float, float]], padding: int, gamma: float, lam: float
) -> None:
    rewards, values = ([pair[which] for pair in tokens] for which in (0, 1))
    following = [*values[1:], 0.0]
    surprises = [r + gamma * n - v for r, n, v in zip(rewards, following, values, strict=True)]
    wanted = [
        sum((gamma * lam) ** (later - token) * surprises[later] for later in range(token, len(tokens)))
        for token in range(len(tokens))
    ]
    behind = [5.0] * padding
    mask = torch.tensor([[1] * len(tokens) + [0] * padding])
    found, returns = ppo_math.advantages(
        torch.tensor([rewards + [0.0] * padding]), torch.tensor([values + behind]), mask, gamma, lam
    )
    torch.testing.assert_close(found, torch.tensor([wanted + [0.0] * padding]), rtol=1e-4, atol=1e-4)
    if lam == 1:
        first = sum(gamma**index * reward for index, reward in enumerate(rewards))
        assert float(returns[0, 0]) == pytest.approx(first, abs=1e-3)


def test_whitened_numbers_have_no_mean_and_a_spread_of_one_over_the_real_tokens() -> None:
    found = ppo_math.whitened(VALUES, MASK)
    assert float(ppo_math.mean(found, MASK)) == pytest.approx(0, abs=1e-6)
    assert float(ppo_math.mean(found**2, MASK)) == pytest.approx(1, abs=1e-5)
    assert float(found[1, 2]) == 0


def test_a_value_head_that_foresees_everything_explains_all_and_a_constant_nothing() -> None:
    returns = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 0.0]])
    assert float(ppo_math.explained(returns, returns, MASK)) == pytest.approx(1)
    assert float(ppo_math.explained(torch.full_like(returns, 2.0), returns, MASK)) == pytest.approx(0)
    assert float(ppo_math.explained(-returns, returns, MASK)) < 0
    # Where all returns are the same there is no variance to explain.
    assert not torch.isfinite(ppo_math.explained(VALUES, torch.ones_like(VALUES), MASK))


def test_the_price_of_divergence_is_steered_towards_its_target() -> None:
    price = ppo_math.KlPrice(0.1, target=6.0, horizon=100)
    price.after(9.0, answers=10)  # half too much, which counts as a fifth: 0.1 * (1 + 0.2 * 10 / 100)
    assert price.value == pytest.approx(0.102)
    price.after(5.4, answers=10)  # a tenth too little
    assert price.value == pytest.approx(0.102 * 0.99)
    fixed = ppo_math.KlPrice(0.1, target=None, horizon=100)
    fixed.after(9.0, answers=10)
    assert fixed.value == 0.1
