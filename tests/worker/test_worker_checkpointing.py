"""A number of checkpointed layers: the first ones are computed twice, the others once, the gradients are the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from ftui.recipe import assign, parse  # noqa: E402  (after the check for torch)
from ftui.recipe.document import Recipe  # noqa: E402

LAYERS = 5
LORA = "{kind: lora, rank: 4, alpha: 8, dropout: 0.0}"


def asked(adapter: str = "{kind: none}", **settings: Any) -> Recipe:
    recipe = parse(
        "model: {base: some/model, dtype: float32, quantization: none, attention: sdpa}\n"
        "data: {max_length: 64, packing: false}\n"
        "train: {micro_batch: 1, effective_batch: 1, checkpointing: true, learning_rate: 0.01, optimizer: adamw}\n"
        f"compute: {{gpus: 0}}\nadapter: {adapter}"
    )
    return assign(recipe, {f"train.{name}": value for name, value in settings.items()})


def model_for(recipe: Recipe) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    from ftui.worker.adapters import BUILDERS
    from ftui.worker.checkpointing import checkpoint_first

    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=90, hidden_size=32, intermediate_size=48, num_hidden_layers=LAYERS,
                         num_attention_heads=4, num_key_value_heads=2, bos_token_id=0, eos_token_id=1, pad_token_id=2)
    model = BUILDERS[recipe.adapter.kind](LlamaForCausalLM(config), recipe)
    checkpoint_first(model, recipe)
    if recipe.train.checkpointing:
        switch_on(model)
    return model.train()


def switch_on(model: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def passes(model: Any) -> tuple[list[int], dict[str, Any]]:
    """(how often each layer's attention is begun in one step, the gradients)."""
    counts = [0] * LAYERS
    base = model.get_base_model() if hasattr(model, "peft_config") else model

    def count(index: int) -> Any:
        def hook(*_: Any) -> None:
            counts[index] += 1
        return hook

    hooks = [layer.self_attn.register_forward_pre_hook(count(index)) for index, layer in enumerate(base.model.layers)]
    ids = torch.arange(12)[None]
    model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    for hook in hooks:
        hook.remove()
    return counts, {name: one.grad for name, one in model.named_parameters() if one.grad is not None}


@pytest.mark.parametrize("adapter", ["{kind: none}", LORA], ids=["full", "lora"])
def test_the_first_layers_are_computed_twice_and_the_gradients_are_the_same(adapter: str) -> None:
    counts, gradients = passes(model_for(asked(adapter, checkpoint_layers=2)))
    once, plain = passes(model_for(asked(adapter, checkpointing=False)))
    assert counts == [2, 2, 1, 1, 1]
    assert once == [1] * LAYERS
    assert gradients.keys() == plain.keys()
    assert all(torch.equal(gradients[name], plain[name]) for name in plain)


def test_without_a_number_every_layer_is_checkpointed_and_more_than_there_are_is_all_of_them() -> None:
    assert passes(model_for(asked()))[0] == [2] * LAYERS
    assert passes(model_for(asked(checkpoint_layers=80)))[0] == [2] * LAYERS


def test_whoever_switches_checkpointing_off_and_on_again_gets_the_same_layers() -> None:
    from trl.models.utils import disable_gradient_checkpointing

    model = model_for(asked(LORA, checkpoint_layers=3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        with disable_gradient_checkpointing(model, {"use_reentrant": False}):
            assert passes(model)[0] == [1] * LAYERS
    assert passes(model)[0] == [2, 2, 2, 1, 1]


def test_what_autograd_keeps_grows_with_each_layer_that_is_not_checkpointed() -> None:
    kept = []
    for layers in (1, 3, LAYERS):
        model, total = model_for(asked(checkpoint_layers=layers)), [0]

        def pack(tensor: Any, total: list[int] = total) -> Any:
            total[0] += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            ids = torch.arange(12)[None]
            model(input_ids=ids, labels=ids, use_cache=False)
        kept.append(total[0])
    assert kept[0] > kept[1] > kept[2]


@pytest.mark.slow
def test_the_trainer_that_switches_it_on_leaves_the_other_layers_alone(tmp_path: Path) -> None:
    from transformers import Trainer, TrainingArguments

    from ftui.worker.arguments import arguments
    from ftui.worker.precision import Precision

    recipe = asked(LORA, checkpoint_layers=2, max_steps=2)
    precision = Precision("float32", "float32", "float32", None, "")
    rows = [{"input_ids": list(range(12)), "labels": list(range(12))}] * 2
    model = model_for(recipe)
    Trainer(model, arguments(TrainingArguments, recipe, precision, "cpu", tmp_path), train_dataset=rows).train()
    assert passes(model)[0] == [2, 2, 1, 1, 1]


@pytest.mark.slow
@pytest.mark.xdist_group("worker")
def test_a_run_with_it_learns_step_by_step_what_one_without_does(
    train: Callable[..., Any], random_demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftui.worker import checkpointing

    seen: list[Any] = []
    first = checkpointing.checkpoint_first

    def watched(model: Any, recipe: Recipe) -> None:
        seen.append(model)
        first(model, recipe)

    monkeypatch.setattr(checkpointing, "checkpoint_first", watched)
    runs = [
        train(train__checkpointing=on, train__checkpoint_layers=layers, train__max_steps=4)
        for on, layers in ((True, 2), (False, None))
    ]
    assert [ran.end["status"] for ran in runs] == ["finished", "finished"]
    assert runs[0].losses == runs[1].losses
    flags = [layer.gradient_checkpointing for layer in seen[0].get_base_model().model.layers]
    assert flags == [True, True, *[False] * (len(flags) - 2)]
