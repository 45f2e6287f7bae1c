"""What a recipe's settings say is what the worker does: losses, paddings, optimizers, number formats."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, get_args

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from ftui.recipe import assign  # noqa: E402  (after the check for torch)
from ftui.recipe.document import Recipe, Train  # noqa: E402
from ftui.worker.base import set_allocator, upcast  # noqa: E402
from ftui.worker.collate import Collator  # noqa: E402
from ftui.worker.loss import add_loss  # noqa: E402


def row(ids: list[int], trained: list[int]) -> Any:
    labels = [token if keep else -100 for token, keep in zip(ids, trained, strict=True)]
    return {"input_ids": ids, "labels": labels, "seq_lengths": [len(ids)]}


ROWS = [row(list(range(1, 20)), [0] * 7 + [1] * 12), row(list(range(30, 41)), [0, 0, 0] + [1] * 8)]


def tiny(**changes: Any) -> Any:
    from transformers.models.llama import LlamaConfig, LlamaForCausalLM

    settings: dict[str, Any] = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 97, "tie_word_embeddings": True,
    }
    torch.manual_seed(3)
    return LlamaForCausalLM(LlamaConfig(**settings | changes)).float()


def summed(kind: str, batch: dict[str, Any], **changes: Any) -> tuple[float, int, dict[str, Any]]:
    """(loss, trained tokens, gradients by name) of one implementation."""
    model = tiny(**changes)
    if kind == "tiled":
        utils = pytest.importorskip("trl.trainer.utils")
        utils.add_fused_lm_head(model, outputs=("log_probs", "entropy", "is_top1"))
    add_loss(model, kind)
    output = model(**batch, summed_loss=True)
    output.loss.backward()
    return output.loss.item(), int(output.count), {name: part.grad for name, part in model.named_parameters()}


def batch_of(collator: Collator) -> dict[str, Any]:
    made = collator(ROWS)
    made.pop("tokens")
    return made


@pytest.mark.parametrize("kind", ["full", pytest.param("tiled", marks=pytest.mark.slow)])
def test_every_loss_is_the_same_number_with_the_same_gradients(kind: str) -> None:
    batch = batch_of(Collator(pad_id=0))
    wanted, count, gradients = summed("chunked", batch)
    found, tokens, others = summed(kind, batch)
    assert (found, tokens) == (pytest.approx(wanted, rel=1e-5), count)
    for name, gradient in gradients.items():
        assert torch.allclose(others[name], gradient, atol=1e-5), name


def test_ligers_kernel_gets_what_it_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fused:
        def __init__(self, *, reduction: str, softcap: float | None) -> None:
            assert (reduction, softcap) == ("sum", None)

        def __call__(self, weight: Any, hidden: Any, target: Any, bias: Any) -> Any:
            return torch.nn.functional.cross_entropy(hidden @ weight.t(), target, reduction="sum")

    package, inner = ModuleType("liger_kernel"), ModuleType("liger_kernel.transformers")
    inner.LigerFusedLinearCrossEntropyLoss = Fused  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "liger_kernel", package)
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers", inner)
    batch = batch_of(Collator(pad_id=0))
    assert summed("liger", batch)[:2] == (pytest.approx(summed("chunked", batch)[0], rel=1e-5), 20)


def test_padding_to_the_sequence_length_makes_every_micro_batch_as_wide() -> None:
    batch = batch_of(Collator(pad_id=0, width=32))
    assert batch["input_ids"].shape == (2, 32)
    assert batch["attention_mask"].sum() == 30
    assert batch_of(Collator(pad_id=0, width=30, multiple=8))["input_ids"].shape == (2, 32)


def test_rows_without_padding_lie_end_to_end_and_do_not_see_each_other() -> None:
    padded, free = batch_of(Collator(pad_id=0)), batch_of(Collator(pad_id=0, packed=True, flatten=True))
    assert free["input_ids"].shape == (1, 30)
    assert "cu_seq_lens_q" not in free
    assert "cu_seq_lens_q" in batch_of(Collator(pad_id=0, packed=True, flatten=True, boundaries=True))
    # The second row's first token has no label: it would be predicted from the first row's last.
    free["labels"][0, 19] = -100
    assert summed("chunked", free)[0] == pytest.approx(summed("chunked", padded)[0], rel=1e-5)


def test_upcasts_reach_what_they_name_and_no_quantized_weights() -> None:
    class Params4bit(torch.nn.Parameter):
        pass

    def formats(which: str) -> dict[str, Any]:
        model = tiny(tie_word_embeddings=False).to(torch.bfloat16)
        linear = model.model.layers[0].mlp.up_proj
        linear.weight = Params4bit(linear.weight.data, requires_grad=False)
        upcast(model, which)
        return {name: parameter.dtype for name, parameter in model.named_parameters()}

    assert set(formats("none").values()) == {torch.bfloat16}
    norms = formats("norms")
    assert {name for name, dtype in norms.items() if dtype == torch.float32} == {n for n in norms if "norm" in n}
    everything = formats("all")
    assert {name for name, dtype in everything.items() if dtype == torch.bfloat16} == {
        "model.layers.0.mlp.up_proj.weight"
    }


@pytest.mark.parametrize("given", ["", "max_split_size_mb:64,expandable_segments:True"])
@pytest.mark.parametrize(("allocator", "grows"), [("expandable", "True"), ("native", "False")])
def test_the_allocator_is_the_recipes_and_its_other_settings_stay(
    given: str, allocator: str, grows: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", given)
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "")
    set_allocator(assign(Recipe(), {"compute.allocator": allocator}))
    wanted = ("max_split_size_mb:64," if given else "") + f"expandable_segments:{grows}"
    assert os.environ["PYTORCH_ALLOC_CONF"] == os.environ["PYTORCH_CUDA_ALLOC_CONF"] == wanted


@pytest.mark.slow
def test_every_optimizer_that_a_recipe_can_name_is_one_of_transformers() -> None:
    from transformers.training_args import OptimizerNames

    from ftui.worker.arguments import OPTIMIZERS

    names = get_args(Train.model_fields["optimizer"].annotation)
    assert set(OPTIMIZERS) == set(names)
    assert set(OPTIMIZERS.values()) <= {name.value for name in OptimizerNames}


def test_kernels_of_the_hub_are_asked_for_where_the_recipe_wants_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ftui.worker import base
    from ftui.worker.precision import Precision

    given: list[dict[str, Any]] = []
    monkeypatch.setattr(base, "_with_words", lambda folder, how: given.append(how) or tiny())
    plain = Precision("float32", "float32", "float32", None, "")
    for kernels in (False, True):
        base.load_model(assign(Recipe(), {"model.base": "demo", "model.kernels": kernels}), tmp_path, plain, "cpu")
    assert [how.get("use_kernels") for how in given] == [None, True]


@pytest.mark.slow
def test_the_collator_follows_the_recipe() -> None:
    from ftui.worker.objectives.sft import collator_of

    recipe = assign(Recipe(), {"data.max_length": 100})

    def made(padding: str, device: str = "cuda", packed: bool = False, attention: str = "sdpa") -> Collator:
        changed = assign(recipe, {"data.padding": padding, "model.attention": attention})
        return collator_of(changed, 0, device, packed=packed)

    assert made("longest") == Collator(pad_id=0, multiple=8)
    assert made("max_length", "cpu") == Collator(pad_id=0, width=100)
    assert made("free") == Collator(pad_id=0, packed=True, flatten=True)
    assert made("max_length", packed=True) == Collator(pad_id=0, packed=True, width=100, multiple=8)
    assert made("longest", packed=True) == Collator(pad_id=0, packed=True, multiple=8)
    flash = made("free", packed=True, attention="flash_attention_2")
    assert flash == Collator(pad_id=0, packed=True, flatten=True, boundaries=True, multiple=8)


@pytest.mark.slow
@pytest.mark.xdist_group("worker")
@pytest.mark.parametrize(
    "settings",
    [
        {"train__optimizer": "paged_adamw"}, {"train__optimizer": "lion", "train__learning_rate": 2e-4},
        {"train__optimizer": "paged_lion_8bit", "train__learning_rate": 2e-4}, {"train__optimizer": "adafactor"},
        {"data__padding": "max_length"}, {"data__padding": "free"}, {"train__loss": "full"}, {"train__loss": "tiled"},
        {"model__quantization": "nf4", "model__dtype": "bfloat16", "model__upcast": "all"},
        {"model__quantization": "nf4", "model__dtype": "bfloat16", "model__upcast": "norms"},
        {"train__activation_offload": True},
    ],
    ids=lambda settings: ",".join(f"{name}={value}" for name, value in settings.items()),
)
def test_what_the_recipe_says_trains(settings: dict[str, Any], train: Callable[..., Any], random_demo: Path) -> None:
    ran = train(**settings, train__max_steps=3, data__validation=8)
    assert ran.end["status"] == "finished", ran.end
    assert sorted(ran.losses) == [1, 2, 3]
    assert all(math.isfinite(loss) for loss in ran.losses.values())


@pytest.mark.slow
@pytest.mark.xdist_group("worker")
@pytest.mark.parametrize("settings", [{"data__padding": "free"}, {"train__loss": "full"}, {"train__loss": "tiled"}])
def test_paddings_and_losses_change_no_curve(
    settings: dict[str, Any], train: Callable[..., Any], random_demo: Path
) -> None:
    plain, changed = train(train__max_steps=3), train(**settings, train__max_steps=3)
    assert changed.losses == pytest.approx(plain.losses, abs=1e-4)
    assert changed.end["metrics"]["eval_loss"] == pytest.approx(plain.end["metrics"]["eval_loss"], abs=1e-4)


@pytest.mark.slow
@pytest.mark.xdist_group("worker")
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_the_adapter_has_the_format_that_the_recipe_names(
    dtype: str, quantization: str, train: Callable[..., Any], random_demo: Path
) -> None:
    from safetensors import safe_open

    ran = train(adapter__dtype=dtype, model__quantization=quantization, model__dtype="bfloat16", train__max_steps=2)
    assert ran.end["status"] == "finished", ran.end
    with safe_open(ran.run.output / "adapter_model.safetensors", "pt") as file:
        found = {str(file.get_tensor(name).dtype) for name in file.keys()}  # noqa: SIM118  (no mapping)
    assert found == {f"torch.{dtype}"}


@pytest.mark.slow
@pytest.mark.xdist_group("worker")
def test_the_worker_itself_refuses_what_can_only_be_planned(train: Callable[..., Any], random_demo: Path) -> None:
    ran = train(train__trainer="trl")
    assert ran.end["status"] == "failed"
    assert "can be planned, not trained" in json.dumps(ran.end)


@pytest.mark.slow
def test_activations_are_offloaded_by_trl_where_there_is_another_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    from ftui.worker.objectives import sft
    from ftui.worker.precision import Precision

    monkeypatch.setattr(sft, "SFTConfig", lambda **values: SimpleNamespace(**values))
    recipe = assign(Recipe(), {
        "train.activation_offload": True, "train.micro_batch": 1, "train.effective_batch": 1,
        "train.checkpointing": False, "train.learning_rate": 1e-4,
    })
    plain = Precision("float32", "float32", "float32", None, "")
    made = [sft.config(recipe, plain, device, Path("x")) for device in ("cuda", "cpu")]
    assert [one.activation_offloading for one in made] == [True, False]
