"""Products in 8-bit floats: which modules, that they learn as bfloat16 does, and where they are refused.

torch multiplies 8-bit floats on a CPU, too, so that the products here are those of a card in all but speed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ftui.hardware.document import Cpu, Gpu, Hardware, Ram
from ftui.models.shape import Origin, build
from ftui.planner.memory import memory
from ftui.planner.setup import setup_of
from ftui.recipe import assign, parse
from ftui.recipe.document import Recipe
from ftui.recipe.trainable import missing, planned_only

SIZES = {"vocab_size": 96, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2}


def asked(adapter: str = "{kind: none}", **settings: Any) -> Recipe:
    recipe = parse(
        "model: {base: some/model, dtype: bfloat16, quantization: none, attention: sdpa}\n"
        "data: {max_length: 64, packing: false}\n"
        "train: {micro_batch: 1, effective_batch: 1, checkpointing: false, learning_rate: 0.001, optimizer: adamw,"
        f" float8: true}}\nadapter: {adapter}"
    )
    return assign(recipe, {name.replace("__", "."): value for name, value in settings.items()})


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (asked("{kind: lora}"), "torchao would compute their weights' gradients"),
        (asked("{kind: bitfit}"), "is for full tuning"),
        (asked("{kind: lora}", model__quantization="nf4"), "a base in nf4"),
        (asked(model__dtype="float16"), "model.dtype is float16"),
        (asked(train__qat="int8"), "in two ways"),
        (asked(compute__gpus=0), "forces the CPU"),
    ],
    ids=["lora", "bitfit", "nf4", "float16", "qat", "cpu"],
)
def test_what_it_cannot_stand_with_is_refused(recipe: Recipe, said: str) -> None:
    found = planned_only(recipe)
    assert found is not None
    assert said in found[0]
    assert "train.float8: false" in found[1]


def test_a_card_that_has_no_such_products_and_a_machine_without_one_are_refused() -> None:
    on_ampere = missing(asked(), gpu=True, fp8=False)
    on_cpu = missing(asked(), gpu=False)
    assert on_ampere is not None
    assert on_cpu is not None
    assert "compute capability 8.9" in on_ampere[0]
    assert "this one does not" in on_ampere[0]
    assert "none trains here" in on_cpu[0]
    assert on_cpu[1].startswith("Write train.float8: false")


def test_without_torchao_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftui.recipe.trainable.find_spec", lambda name: None)
    found = missing(asked(), gpu=True, fp8=True)
    assert found is not None
    assert "pip install torchao" in found[1]


def test_a_plan_says_that_its_speed_is_not_counted_and_is_less_sure() -> None:
    box = Hardware(
        host="box", system="Linux", time=0.0, ram=Ram(total_bytes=64 << 30, available_bytes=60 << 30), disks=(),
        cpu=Cpu(name="cpu", cores=8, host_cores=8, architecture="x86_64"),
        gpus=(Gpu(index=0, name="NVIDIA L4", total_bytes=24 << 30, used_bytes=0, free_bytes=24 << 30,
                  compute_capability=(8, 9), bf16=True, fp8=True),),
    )
    shape = build({"model_type": "llama", **SIZES}, Origin("test", "config"))
    with_it, without = (
        memory(setup_of(assign(asked(), {"train.float8": on}), box, shape, None)) for on in (True, False)
    )
    assert with_it.allocated_bytes == without.allocated_bytes
    assert with_it.high_bytes > without.high_bytes
    assert any("8-bit floats" in note for note in with_it.notes)


@pytest.mark.torch
@pytest.mark.slow
def test_trained_modules_but_the_head_multiply_in_8_bits_learn_and_are_saved_as_ever(tmp_path: Path) -> None:
    pytest.importorskip("torchao")
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from ftui.worker.adapters import BUILDERS
    from ftui.worker.float8 import convert

    def model_for(recipe: Recipe) -> Any:
        torch.manual_seed(0)
        base = LlamaForCausalLM(LlamaConfig(**SIZES)).to(torch.bfloat16)
        return BUILDERS[recipe.adapter.kind](base, recipe)

    def losses(model: Any) -> list[float]:
        ids, optimizer, found = torch.arange(33)[None], torch.optim.AdamW(model.parameters(), 1e-3), []
        for _ in range(8):
            loss = model(input_ids=ids, labels=ids).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            found.append(loss.item())
        return found

    def converted(model: Any) -> set[str]:
        return {name for name, module in model.named_modules() if type(module).__name__ == "Float8Linear"}

    model = convert(model_for(asked()))
    assert len(converted(model)) == 14
    assert "lm_head" not in converted(model)
    frozen = convert(model_for(asked("{kind: freeze, layers: 1}")))
    assert converted(frozen) == {name for name in converted(model) if "layers.1." in name}

    plain = losses(model_for(asked()))
    found = losses(model)
    assert found[-1] < found[0] - 0.3
    assert found == pytest.approx(plain, abs=0.05)
    model.save_pretrained(tmp_path)
    again = LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert all(torch.equal(one, again.state_dict()[name]) for name, one in model.state_dict().items())
