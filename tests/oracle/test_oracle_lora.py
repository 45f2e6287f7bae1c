"""LoRA written anew from its paper, held against what the worker builds: the same seed gives the same losses."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ftui.recipe import assign
from ftui.recipe.document import Recipe

torch = pytest.importorskip("torch")

pytestmark = [pytest.mark.torch, pytest.mark.slow]

STEPS, RANK, ALPHA, SEED = 20, 4, 8.0, 17


class Lora(torch.nn.Module):  # type: ignore[name-defined]
    """y = W x + s · B A dropout(x), with W frozen, A drawn as He et al. have it and B zero (arXiv 2106.09685 §4.1)."""

    def __init__(self, linear: Any, scale: float, dropout: float) -> None:
        super().__init__()
        self.linear, self.scale, self.dropout = linear.requires_grad_(False), scale, torch.nn.Dropout(dropout)
        # torch draws once as it makes a linear module; these draws come and go, so that the seed gives the same A.
        first = torch.nn.Linear(linear.in_features, RANK, bias=False)
        second = torch.nn.Linear(RANK, linear.out_features, bias=False)
        torch.nn.init.kaiming_uniform_(first.weight, a=math.sqrt(5))
        self.a = torch.nn.Parameter(first.weight.detach())
        self.b = torch.nn.Parameter(torch.zeros_like(second.weight))

    def forward(self, x: Any) -> Any:
        return self.linear(x) + self.dropout(x) @ self.a.T @ self.b.T * self.scale


def from_scratch(model: Any, scale: float, dropout: float) -> Any:
    """`model` with a `Lora` in place of every linear module of its layers."""
    model.requires_grad_(False)
    found = [(path, module) for path, module in model.model.layers.named_modules() if type(module) is torch.nn.Linear]
    for path, module in found:
        model.model.layers.set_submodule(path, Lora(module, scale, dropout))
    return model


def through_ftui(model: Any, rslora: bool, dropout: float) -> Any:
    """`model` with the LoRA that the worker's builder makes of a recipe."""
    from ftui.worker.adapters import BUILDERS

    recipe = assign(Recipe(), {
        "adapter.rank": RANK, "adapter.alpha": ALPHA, "adapter.dropout": dropout, "adapter.rslora": rslora,
        "model.quantization": "none",
    })
    return BUILDERS["lora"](model, recipe)


def base() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=90, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2,
    ))


def losses(model: Any, summed: bool) -> list[float]:
    """Mean losses of the steps; with `summed`, through ftui's own loss."""
    if summed:
        from ftui.worker.loss import add_loss

        add_loss(model.get_base_model())
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-2)
    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 90, (3, 16), generator=draw)
    model.train()
    seen = []
    for _ in range(STEPS):
        output = model(input_ids=ids, labels=ids, **({"summed_loss": True} if summed else {}))
        loss = output.loss / output.count if summed else output.loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seen.append(loss.item())
    return seen


@pytest.mark.parametrize(("rslora", "dropout"), [(False, 0.0), (True, 0.1)])
def test_lora_from_scratch_has_the_losses_of_the_workers(rslora: bool, dropout: float) -> None:
    torch.set_num_threads(1)
    scale = ALPHA / math.sqrt(RANK) if rslora else ALPHA / RANK
    plain, built = base(), base()
    torch.manual_seed(SEED)
    ours = losses(from_scratch(plain, scale, dropout), summed=False)
    torch.manual_seed(SEED)
    theirs = losses(through_ftui(built, rslora, dropout), summed=True)
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert ours[-1] < ours[0] - 0.3
