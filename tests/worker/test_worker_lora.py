"""Every option of LoRA trains, is saved as a plain adapter, and means the same in plain peft on the unchanged base."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from ftui.recipe import assign
from ftui.recipe.document import Recipe

pytestmark = [pytest.mark.torch, pytest.mark.slow]

LLAMA: dict[str, Any] = {
    "vocab_size": 90, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "tie_word_embeddings": False,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gaussian": {"init": "gaussian"},
    "names": {"targets": ["q_proj", "down_proj"]},
    "pattern": {"targets": r"re:.*layers\.[01]\..*(q|v)_proj"},
    "last layers": {"layers": "last 2"},
    "layers of a pattern": {"targets": "re:.*(up|down)_proj", "layers": "0, 2"},
    "ranks by module": {"rank_pattern": {"down_proj": 6, r"layers\.0\.self_attn\.q_proj": 2},
                        "alpha_pattern": {"down_proj": 3.0}},
    "rsLoRA": {"rslora": True},
    "DoRA": {"dora": True},
    "bias": {"bias": True},
    "orthogonal": {"init": "orthogonal"},
    "PiSSA": {"init": "pissa"},
    "PiSSA, fast": {"init": "pissa", "pissa_iterations": 4},
    "PiSSA, rank-stabilized, by module": {"init": "pissa", "rslora": True, "rank_pattern": {"down_proj": 6},
                                          "alpha_pattern": {"v_proj": 5.0}},
    "PiSSA and a head": {"init": "pissa", "modules_to_save": ["lm_head"]},
    "OLoRA": {"init": "olora"},
    "MiCA": {"init": "mica"},
    "EVA": {"init": "eva"},
    "EVA, redistributed": {"init": "eva", "eva_rho": 2.0},
    "CorDA": {"init": "corda"},
    "CorDA, keeping knowledge": {"init": "corda", "corda_method": "kpm", "layers": "0-1"},
    "LoRA-GA": {"init": "lora_ga"},
    "LoRA+": {"update": "plus"},
    "LoRA-FA": {"update": "fa"},
    "Riemannian": {"update": "riemannian"},
    "tokens": {"tokens": [3, "<5>", 7]},
    "whole modules": {"modules_to_save": ["lm_head", "embed_tokens"]},
    "a norm": {"modules_to_save": ["norm"]},
    "replicated layers": {"layer_replication": "0-1, 1-2"},
    "QALoRA": {"qalora_group": 8},
}
TIED = ("plain", "tokens", "whole modules", "PiSSA")


class Tokenizer:
    """Ninety tokens by the names <0> to <89>."""

    pad_token_id = 0

    def get_vocab(self) -> dict[str, int]:
        return {f"<{number}>": number for number in range(90)}


def recipe_of(**options: Any) -> Recipe:
    plain = {"adapter.rank": 4, "adapter.alpha": 8.0, "adapter.dropout": 0.0, "model.base": "x",
             "adapter.start_rows": 12}
    return assign(Recipe(), plain | {f"adapter.{name}": value for name, value in options.items()})


def base_of(**changes: Any) -> Any:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**(LLAMA | changes))).eval()


def prepared_rows(count: int = 16) -> list[dict[str, list[int]]]:
    import random

    draw = random.Random(1)
    rows = []
    for _ in range(count):
        ids = [draw.randrange(90) for _ in range(draw.randint(12, 20))]
        rows.append({"input_ids": ids, "labels": [-100] * 3 + ids[3:], "seq_lengths": [len(ids)]})
    return rows


def trained(base: Any, recipe: Recipe, kept: Path, steps: int = 3, optimizer: str = "adamw_torch") -> Any:
    """The adapted model after a few steps through ftui's loss and the option's own optimizer."""
    import torch
    from transformers import Trainer, TrainingArguments

    from ftui.worker.adapters.lora_optimizer import optimizer_of
    from ftui.worker.adapters.lora_start import started
    from ftui.worker.collate import Collator
    from ftui.worker.loss import add_loss

    torch.manual_seed(1)
    rows = prepared_rows()
    model = started(base, recipe, rows, Tokenizer(), kept)
    add_loss(model.get_base_model())
    args: Any = TrainingArguments(output_dir=str(kept.parent), optim=optimizer, learning_rate=5e-3, use_cpu=True)
    maker: Any = Trainer
    kind, given = maker.get_optimizer_cls_and_kwargs(args, model)
    options: Any = recipe.adapter
    if options.update == "plain":
        stepper = kind([one for one in model.parameters() if one.requires_grad], **given)
    else:
        stepper = optimizer_of(model, args, options, maker)
    model.train()
    collate: Any = Collator(pad_id=0)
    for step in range(steps):
        batch = collate(rows[4 * step : 4 * step + 4])
        batch.pop("tokens")
        output = model(**batch, summed_loss=True)
        (output.loss / output.count).backward()
        stepper.step()
        stepper.zero_grad()
    return model.eval()


def saved(model: Any, recipe: Recipe, kept: Path, folder: Path) -> Path:
    from ftui.worker.adapters.lora_result import make_plain

    model.save_pretrained(str(folder), save_embedding_layers=False)
    make_plain(folder, recipe.adapter, kept)  # type: ignore[arg-type]
    return folder


def logits(model: Any) -> Any:
    import torch

    ids = torch.tensor([prepared_rows()[0]["input_ids"], prepared_rows()[0]["input_ids"][::-1]])
    with torch.no_grad():
        return model(input_ids=ids).logits


@pytest.mark.parametrize(("name", "tied"), [*((name, False) for name in OPTIONS), *((name, True) for name in TIED)])
@pytest.mark.filterwarnings("ignore::UserWarning:peft")
def test_every_option_trains_saves_reloads_and_merges(name: str, tied: bool, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel

    from ftui.methods.lora import unmergeable

    torch.set_num_threads(1)
    recipe = recipe_of(**OPTIONS[name])
    kept = tmp_path / "start"
    base = base_of(tie_word_embeddings=tied)
    before = logits(copy.deepcopy(base))
    model = trained(base, recipe, kept)
    after = logits(model)
    if not OPTIONS[name].get("layer_replication"):
        assert (after - before).abs().max() > 1e-3, "nothing was learnt"
        begun = trained(base_of(tie_word_embeddings=tied), recipe, kept, steps=0)
        assert torch.allclose(logits(begun), before, atol=1e-5), "a start changes what the model says"
    folder = saved(model, recipe, kept, tmp_path / "result")
    loaded = PeftModel.from_pretrained(base_of(tie_word_embeddings=tied), str(folder)).eval()
    assert torch.allclose(logits(loaded), after, atol=1e-5)
    options: Any = recipe.adapter
    if unmergeable(options) is None:
        assert torch.allclose(logits(loaded.merge_and_unload()), after, atol=1e-5)


def transposed_base() -> Any:
    """A GPT-2, whose linear modules hold their weights the other way round and have biases."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(
        vocab_size=90, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=0, eos_token_id=0,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )).eval()


@pytest.mark.parametrize(
    "options",
    [
        {"init": "pissa"}, {"init": "pissa", "pissa_iterations": 4}, {"init": "mica"}, {"init": "eva"},
        {"init": "corda"}, {"init": "lora_ga"}, {"qalora_group": 8}, {"dora": True}, {"bias": True}, {"tokens": [5]},
        {"modules_to_save": ["wte", "ln_f"]},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::UserWarning:peft")
def test_options_on_transposed_weights_reload_and_merge(options: dict[str, Any], tmp_path: Path) -> None:
    import torch
    from peft import PeftModel

    recipe, kept = recipe_of(**options), tmp_path / "start"
    before = logits(transposed_base())
    model = trained(transposed_base(), recipe, kept)
    after = logits(model)
    assert (after - before).abs().max() > 1e-3
    again = trained(transposed_base(), recipe, kept, steps=0)
    assert torch.allclose(logits(again), before, atol=1e-5), "a start changes what the model says"
    folder = saved(model, recipe, kept, tmp_path / "result")
    loaded = PeftModel.from_pretrained(transposed_base(), str(folder)).eval()
    assert torch.allclose(logits(loaded), after, atol=1e-5)
    assert torch.allclose(logits(loaded.merge_and_unload()), after, atol=1e-5)


def test_olora_is_refused_on_transposed_weights(tmp_path: Path) -> None:
    from ftui.errors import BadInput

    with pytest.raises(BadInput, match="other way round"):
        trained(transposed_base(), recipe_of(init="olora"), tmp_path / "start")


QUANTIZED = {
    "nf4": ("plain", "DoRA", "EVA", "QALoRA", "LoRA-FA", "LoRA+", "tokens", "a norm", "last layers"),
    "int8": ("plain", "rsLoRA", "EVA", "QALoRA", "Riemannian", "tokens"),
}


def quantized_base(folder: Path, quantization: str) -> Any:
    """The base from a folder, loaded as the worker loads it."""
    from ftui.worker.base import load_model
    from ftui.worker.precision import choose

    recipe = assign(recipe_of(), {"model.quantization": quantization, "model.dtype": "float32"})
    if not folder.exists():
        base_of().save_pretrained(folder)
    return load_model(recipe, folder, choose(recipe, cuda=False, bf16=False), "cpu").eval()


@pytest.mark.parametrize(
    ("quantization", "name"), [(kind, name) for kind, names in QUANTIZED.items() for name in names]
)
def test_options_on_a_quantized_base_reload_to_what_was_trained(quantization: str, name: str, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel

    torch.set_num_threads(1)
    recipe = recipe_of(**OPTIONS[name])
    model = trained(quantized_base(tmp_path / "base", quantization), recipe, tmp_path / "start")
    after = logits(model)
    folder = saved(model, recipe, tmp_path / "start", tmp_path / "result")
    loaded = PeftModel.from_pretrained(quantized_base(tmp_path / "base", quantization), str(folder)).eval()
    assert torch.allclose(logits(loaded), after, atol=1e-5)


def test_loftq_begins_nearer_to_the_base_than_its_4_bits_and_reloads(tmp_path: Path) -> None:
    import torch
    from peft import PeftModel

    recipe = recipe_of(init="loftq", rank=8)
    base = quantized_base(tmp_path / "base", "nf4")
    wanted, rounded = logits(base_of()), logits(base)
    begun = trained(base, recipe, tmp_path / "start", steps=0)
    assert (logits(begun) - wanted).norm() < 0.8 * (rounded - wanted).norm()
    model = trained(quantized_base(tmp_path / "base", "nf4"), recipe, tmp_path / "start")
    after = logits(model)
    folder = saved(model, recipe, tmp_path / "start", tmp_path / "result")
    loaded = PeftModel.from_pretrained(quantized_base(tmp_path / "base", "nf4"), str(folder)).eval()
    assert torch.allclose(logits(loaded), after, atol=1e-5)


@pytest.mark.parametrize("optimizer", ["adamw_8bit", "lion_8bit", "adafactor", "sgd"])
@pytest.mark.parametrize("update", ["plus", "riemannian"])
def test_loras_update_rules_go_around_any_optimizer(update: str, optimizer: str, tmp_path: Path) -> None:
    import torch

    model = trained(base_of(), recipe_of(update=update), tmp_path / "start", optimizer=optimizer)
    matrices = {name: one for name, one in model.named_parameters() if ".lora_B." in name}
    assert all(torch.isfinite(one).all() for one in matrices.values())
    assert any(one.abs().max() > 0 for one in matrices.values())


def test_lora_plus_trains_b_at_its_own_rate_and_lora_fa_leaves_a_alone(tmp_path: Path) -> None:
    import torch
    from transformers import Trainer, TrainingArguments

    from ftui.worker.adapters.lora import lora
    from ftui.worker.adapters.lora_optimizer import optimizer_of

    maker: Any = Trainer
    args = TrainingArguments(str(tmp_path), learning_rate=1e-3, use_cpu=True)
    recipe = recipe_of(update="plus", plus_ratio=8.0)
    options: Any = recipe.adapter
    optimizer = optimizer_of(lora(base_of(), recipe), args, options, maker)
    rates = sorted({group["lr"] for group in optimizer.param_groups if group["params"]})
    assert rates == pytest.approx([1e-3, 8e-3])
    recipe = recipe_of(update="fa")
    begun = dict(trained(base_of(), recipe, tmp_path / "start", steps=0).named_parameters())
    before = {name: one for name, one in begun.items() if ".lora_A." in name}
    assert before
    after = dict(trained(base_of(), recipe, tmp_path / "start").named_parameters())
    assert all(torch.equal(one, after[name]) for name, one in before.items())


def test_a_kept_start_gives_the_same_model_again(tmp_path: Path) -> None:
    import torch

    for init in ("pissa", "olora", "corda", "lora_ga", "eva"):
        recipe, kept = recipe_of(init=init, eva_rho=2.0), tmp_path / init
        first = trained(base_of(), recipe, kept, steps=0)
        again = trained(base_of(), recipe, kept, steps=0)
        for (name, one), (same, two) in zip(first.named_parameters(), again.named_parameters(), strict=True):
            assert name == same
            assert torch.allclose(one, two, atol=1e-6), f"{init}: {name}"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rank_pattern": {"c_proj": 4}}, "no adapted module is called c_proj"),
        ({"modules_to_save": ["head"]}, "has no module head"),
        ({"tokens": ["<91>"]}, "no single token"),
        ({"tokens": [90]}, "tokens 0 to 89"),
        ({"layers": "0-3"}, "doesn't have"),
        ({"qalora_group": 7}, "does not divide 32"),
        ({"targets": "re:.*query.*", "layers": "0"}, "no linear module whose path matches"),
        ({"targets": ["query"]}, "none of the modules"),
        ({"parameters": ["mlp.experts.down_proj"]}, "has no tensor"),
        ({"init": "eva", "rank": 64, "start_rows": 1}, "EVA seeks 64 directions"),
    ],
)
def test_what_the_model_lacks_is_said_with_what_it_has(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    from ftui.errors import BadInput

    with pytest.raises(BadInput, match=said):
        trained(base_of(), recipe_of(**options), tmp_path / "start")


def test_lora_on_expert_tensors_by_name_reloads(tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import GptOssConfig, GptOssForCausalLM

    def mixture() -> Any:
        torch.manual_seed(0)
        small = {**LLAMA, "num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8, "pad_token_id": 0}
        config = GptOssConfig(**small)
        config._attn_implementation = "eager"
        return GptOssForCausalLM(config).eval()

    recipe = recipe_of(targets=["q_proj"], parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"])
    model = trained(mixture(), recipe, tmp_path / "start")
    after = logits(model)
    folder = saved(model, recipe, tmp_path / "start", tmp_path / "result")
    loaded = PeftModel.from_pretrained(mixture(), str(folder)).eval()
    assert (after - logits(mixture())).abs().max() > 1e-3
    assert torch.allclose(logits(loaded), after, atol=1e-5)
    assert torch.allclose(logits(loaded.merge_and_unload()), after, atol=1e-5)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", ["tokens", "whole modules"])
def test_the_loss_sees_the_head_as_it_is_trained(name: str, tied: bool, tmp_path: Path) -> None:
    import torch

    model = trained(base_of(tie_word_embeddings=tied), recipe_of(**OPTIONS[name]), tmp_path / "start", steps=4)
    ids = torch.tensor([[3, 5, 7, 1, 3, 7, 5, 2]])
    ours = model(input_ids=ids, labels=ids, summed_loss=True)
    plain = model(input_ids=ids, labels=ids)
    assert (ours.loss / ours.count).item() == pytest.approx(plain.loss.item(), abs=1e-5)
    wanted = [one for one in model.parameters() if one.requires_grad]
    gradients = torch.autograd.grad(ours.loss / ours.count, wanted, allow_unused=True)
    for one, other in zip(gradients, torch.autograd.grad(plain.loss, wanted, allow_unused=True), strict=True):
        assert (one is None) == (other is None)
        assert one is None or torch.allclose(one, other, atol=1e-5)
