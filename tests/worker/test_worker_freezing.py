"""A part of the model's own weights trains: what, in whole runs, and that the result is a plain model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ftui.errors import BadInput
from ftui.recipe import parse
from ftui.recipe.document import Recipe

pytestmark = [pytest.mark.torch, pytest.mark.slow]


def tiny(family: str, **more: Any) -> Any:
    import torch
    import transformers

    sizes = {"vocab_size": 90, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
             "num_attention_heads": 4, "num_key_value_heads": 2}
    if family == "gpt2":
        sizes = {"vocab_size": 90, "n_embd": 64, "n_layer": 3, "n_head": 4}
    if family == "gpt_neox":
        del sizes["num_key_value_heads"]
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(family, **sizes, **more, bos_token_id=0, eos_token_id=0, pad_token_id=0)
    return transformers.AutoModelForCausalLM.from_config(config)


def built(written: str, family: str = "llama", **more: Any) -> set[str]:
    """The names of the parameters that train."""
    from ftui.worker.adapters import BUILDERS

    recipe = parse(f"adapter: {written}")
    model = BUILDERS[recipe.adapter.kind](tiny(family, **more), recipe)
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_the_last_layers_train_or_the_first() -> None:
    last, first = built("{kind: freeze}"), built("{kind: freeze, layers: 1, end: first}")
    assert {name.split(".")[2] for name in last} == {"1", "2"}
    assert {name.split(".")[2] for name in first} == {"0"}
    assert {name.split(".", 3)[3] for name in first} == {name.split(".", 3)[3] for name in last}
    assert "model.layers.2.input_layernorm.weight" in last


def test_chosen_modules_of_all_layers_train() -> None:
    found = built("{kind: freeze, layers: null, modules: 'q_proj, down_proj'}")
    assert {name.split(".")[2] for name in found} == {"0", "1", "2"}
    assert {name.split(".")[-2] for name in found} == {"q_proj", "down_proj"}
    assert built("{kind: freeze, modules: [c_fc]}", "gpt2") == {
        f"transformer.h.{layer}.mlp.c_fc.{part}" for layer in (1, 2) for part in ("weight", "bias")
    }


def test_a_name_that_no_layer_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInput, match="no module called c_attn") as caught:
        built("{kind: freeze, modules: 'q_proj, c_attn'}")
    assert "down_proj" in caught.value.hint


@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "qwen2"])
def test_bitfit_trains_every_bias_and_nothing_else(family: str) -> None:
    found = built("{kind: bitfit}", family)
    assert found == {name for name, _ in tiny(family).named_parameters() if name.endswith(".bias")}
    assert found


def test_bitfit_on_a_model_without_biases_is_refused() -> None:
    with pytest.raises(BadInput, match="LlamaForCausalLM has no biases, so BitFit has nothing to train"):
        built("{kind: bitfit}")
    assert built("{kind: bitfit}", attention_bias=True)


@pytest.mark.parametrize("written", ["{kind: freeze, layers: 2}", "{kind: freeze, end: first, modules: down_proj}"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_run_changes_the_chosen_part_alone_and_leaves_a_plain_model(
    written: str, checkpointing: bool, resolved: Callable[..., Recipe], train: Callable[..., Any], random_demo: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    adapter = parse(f"adapter: {written}").adapter
    recipe = resolved(train__checkpointing=checkpointing, train__learning_rate=2e-3).model_copy(
        update={"adapter": adapter})
    ran = train(recipe)
    assert ran.code == 0, ran.end
    held_out = [event.data["eval_loss"] for event in ran.of("evaluation")]
    assert held_out[-1] < held_out[0]
    before = AutoModelForCausalLM.from_pretrained(random_demo).state_dict()
    after = AutoModelForCausalLM.from_pretrained(ran.run.output).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    layers = 4 if "3" in {name.split(".")[2] for name in before if ".layers." in name} else 0
    chosen = (0, 1) if adapter.end == "first" else (layers - 2, layers - 1)
    assert changed == {
        name for name in before if ".layers." in name and int(name.split(".")[2]) in chosen
        and (adapter.modules == "all" or ".down_proj." in name)
    }
    assert "after freeze tuning" in (ran.run.output / "README.md").read_text()


def test_a_stopped_run_goes_on_as_if_it_had_not_been_stopped(
    resolved: Callable[..., Recipe], make: Callable[..., Any], work: Callable[..., Any],
    commanded: Callable[..., Any], random_demo: Path,
) -> None:
    recipe = resolved().model_copy(update={"adapter": parse("adapter: {kind: freeze}").adapter})
    whole = work(make(recipe))
    stopped = make(recipe)
    assert work(stopped, commanded({3: "stop"})).code == 0
    again = work(stopped)
    assert again.losses == pytest.approx(whole.losses, rel=1e-6)


@pytest.mark.parametrize("kind", ["freeze", "bitfit"])
@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_a_quantized_base_is_refused_before_anything_loads(kind: str, quantization: str) -> None:
    with pytest.raises(BadInput, match=f"does not work on a base in {quantization}"):
        parse(f"model: {{quantization: {quantization}}}\nadapter: {{kind: {kind}}}")
