"""GaLore: full and freeze tuning whose optimizer keeps the moments of projected gradients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.models.shape import Origin, build
from ftui.planner.setup import setup_of
from ftui.planner.states import optimizer_bytes
from ftui.recipe import assign, parse
from ftui.recipe.document import Recipe
from ftui.recipe.trainable import missing, planned_only

SIZES = {"vocab_size": 90, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2}


@pytest.fixture
def galore() -> Any:
    pytest.importorskip("pytorch_optimizer")
    from ftui.worker import galore

    return galore


def asked(adapter: str = "{kind: none}", **settings: Any) -> Recipe:
    recipe = parse(
        "model: {base: some/model, dtype: float32, quantization: none, attention: sdpa}\n"
        "data: {max_length: 64, packing: false}\n"
        "train: {micro_batch: 1, effective_batch: 1, checkpointing: false, optimizer: galore, galore_rank: 8, "
        f"learning_rate: 0.01}}\ncompute: {{gpus: 0}}\nadapter: {adapter}"
    )
    return assign(recipe, settings)


def real() -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZES, bos_token_id=0, eos_token_id=1, pad_token_id=2))


@pytest.mark.torch
@pytest.mark.slow
def test_a_step_is_adams_in_the_space_of_the_projection(galore: Any) -> None:
    import torch

    linear = torch.nn.Linear(6, 10, bias=False)
    model = torch.nn.Module()
    model.lin, model.get_output_embeddings = linear, lambda: None
    optimizer = galore.optimizer_of(model, assign(asked(), {"train.galore_rank": 3, "train.weight_decay": 0.0}))
    before, gradient = linear.weight.detach().clone(), torch.randn(10, 6)
    linear.weight.grad = gradient.clone()
    optimizer.step()
    projection = torch.linalg.svd(gradient, full_matrices=False)[2][:3]
    thin = gradient @ projection.t()
    # Adam's first step with its corrections is the sign of the gradient.
    wanted = before - 0.01 * 0.25 * (thin / (thin.abs() + 1e-5)) @ projection
    assert torch.allclose(linear.weight, wanted, atol=2e-5)


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["{kind: none}", "{kind: freeze, layers: 1}"])
@pytest.mark.parametrize("rank", [8, 80])
def test_its_states_are_as_large_as_planned(adapter: str, rank: int, galore: Any) -> None:
    import torch

    from ftui.hardware import probe
    from ftui.worker.adapters import BUILDERS

    recipe = assign(asked(adapter), {"train.galore_rank": rank})
    model = BUILDERS[recipe.adapter.kind](real(), recipe)
    optimizer = galore.optimizer_of(model, recipe)
    ids = torch.arange(10)[None]
    for _ in range(2):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    held = sum(
        one.numel() * one.element_size()
        for state in optimizer.state_dict()["state"].values() for one in state.values() if isinstance(one, torch.Tensor)
    )
    shape = build({"model_type": "llama", **SIZES}, Origin("test", "config"))
    assert optimizer_bytes(setup_of(recipe, probe(), shape, None)) == held


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["{kind: none}", "{kind: freeze}"])
def test_a_run_learns_and_goes_on_after_a_stop_as_if_it_had_not_been_stopped(
    adapter: str, galore: Any, resolved: Callable[..., Recipe], make: Callable[..., Any], work: Callable[..., Any],
    commanded: Callable[..., Any], random_demo: Path,
) -> None:
    recipe = resolved(train__optimizer="galore", train__galore_rank=16, train__galore_every=2,
                      train__galore_scale=1.0).model_copy(update={"adapter": parse(f"adapter: {adapter}").adapter})
    whole = work(make(recipe))
    assert whole.code == 0, whole.end
    held_out = [event.data["eval_loss"] for event in whole.of("evaluation")]
    assert held_out[-1] < held_out[0]
    stopped = make(recipe)
    assert work(stopped, commanded({3: "stop"})).code == 0
    again = work(stopped)
    assert again.code == 0, again.end
    assert again.losses == pytest.approx(whole.losses, rel=1e-6)


def test_it_is_refused_for_adapters_and_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    lora = planned_only(parse("train: {optimizer: galore}"))
    assert lora is not None
    assert "none of those trains" in lora[0]
    assert planned_only(asked()) is None
    monkeypatch.setattr("ftui.recipe.trainable.find_spec", lambda name: None)
    found = missing(asked(), gpu=True)
    assert found is not None
    assert "pip install pytorch-optimizer" in found[1]
