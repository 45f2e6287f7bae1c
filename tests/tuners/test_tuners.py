"""Every method that ftui gives peft: what peft promises of a method holds of them, on a plain and a quantized base."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.torch, pytest.mark.slow, pytest.mark.filterwarnings("ignore:MatMul8bitLt:UserWarning"),
    pytest.mark.filterwarnings("ignore:.gradient_checkpointing_enable:FutureWarning"),
]

TRAINED = {
    "houlsby": ("bottleneck_",), "pfeiffer": ("bottleneck_",), "parallel": ("bottleneck_",),
    "compacter": ("bottleneck_",), "prompt": ("soft_prompt_",), "lora + bottleneck": ("lora_", "bottleneck_"),
    "lora + prompt": ("lora_", "soft_prompt_"), "all three": ("lora_", "bottleneck_", "soft_prompt_"),
}
"""The methods, and of which tensors alone theirs consist."""
SHIFTED = {"prompt", "lora + prompt", "all three"}
"""A prompt of random tokens is no identity."""


def config(method: str) -> Any:
    from peft import LoraConfig

    from ftui.tuners import BottleneckConfig, CompacterConfig, HybridConfig, SoftPromptConfig

    task: Any = {"task_type": "CAUSAL_LM"}
    lora, narrow, prompt = LoraConfig(r=4, target_modules="all-linear"), BottleneckConfig(width=8), (
        SoftPromptConfig(virtual_tokens=4, **task))
    match method:
        case "houlsby" | "pfeiffer" | "parallel":
            return BottleneckConfig(width=8, placement=method, scale=2.0, activation="gelu", **task)
        case "compacter":
            return CompacterConfig(width=8, rank=2, **task)
        case "prompt":
            return prompt
        case "lora + bottleneck":
            return HybridConfig(parts=[lora, narrow], **task)
        case "lora + prompt":
            return HybridConfig(parts=[prompt, lora], **task)
        case _:
            return HybridConfig(parts=[prompt, CompacterConfig(width=8), lora], **task)


def apart(one: Any, other: Any) -> float:
    return (one - other).abs().max().item()


@pytest.mark.parametrize("method", TRAINED)
@pytest.mark.parametrize("quantization", ["none", "nf4", "int8"])
def test_it_trains_is_saved_and_is_loaded_by_plain_peft(
    method: str, quantization: str, base: Callable[..., Any], logits: Callable[[Any], Any],
    train: Callable[..., list[float]], tmp_path: Path,
) -> None:
    from peft import PeftModel, get_peft_model

    model = base(quantization)
    before = logits(model)
    adapted = get_peft_model(model, config(method))
    assert (apart(logits(adapted), before) == 0) == (method not in SHIFTED)
    named = [name for name, one in adapted.named_parameters() if one.requires_grad]
    assert all(any(part in name for part in TRAINED[method]) for name in named)
    assert all(any(part in name for name in named) for part in TRAINED[method])
    losses = train(adapted, autocast=quantization == "int8")
    assert losses[-1] < losses[0]
    after = logits(adapted)
    assert apart(after, before) > 1e-2
    with adapted.disable_adapter():
        assert apart(logits(adapted), before) == 0
    adapted.save_pretrained(str(tmp_path))
    loaded = PeftModel.from_pretrained(base(quantization), str(tmp_path))
    assert apart(logits(loaded), after) < 1e-5
    assert not any(one.requires_grad for one in loaded.parameters())
    resumed = PeftModel.from_pretrained(base(quantization), str(tmp_path), is_trainable=True)
    assert [name for name, one in resumed.named_parameters() if one.requires_grad] == named
    with pytest.raises((NotImplementedError, AttributeError, ValueError)):
        adapted.merge_and_unload()


@pytest.mark.parametrize("method", TRAINED)
def test_two_adapters_are_switched_deleted_and_taken_off(
    method: str, base: Callable[..., Any], logits: Callable[[Any], Any], train: Callable[..., list[float]],
    tmp_path: Path,
) -> None:
    import torch
    from peft import PeftModel, get_peft_model

    model = base()
    before, asked = logits(model), config(method)
    second = copy.deepcopy(asked)
    adapted = get_peft_model(model, asked, adapter_name="one")
    train(adapted)
    one = logits(adapted)
    torch.manual_seed(1)
    adapted.add_adapter("two", second)
    assert apart(logits(adapted), one) == 0
    assert all(".two" not in name for name, value in adapted.named_parameters() if value.requires_grad)
    adapted.set_adapter("two")
    assert all(".one" not in name for name, value in adapted.named_parameters() if value.requires_grad)
    assert (apart(logits(adapted), before) == 0) == (method not in SHIFTED)
    train(adapted)
    two = logits(adapted)
    assert apart(one, two) > 1e-3
    adapted.set_adapter("one")
    assert apart(logits(adapted), one) == 0
    adapted.save_pretrained(str(tmp_path))
    loaded = PeftModel.from_pretrained(base(), str(tmp_path / "two"), adapter_name="two", low_cpu_mem_usage=True)
    loaded.load_adapter(str(tmp_path / "one"), "one")
    assert apart(logits(loaded), two) < 1e-5
    loaded.set_adapter("one")
    assert apart(logits(loaded), one) < 1e-5
    adapted.delete_adapter("two")
    assert apart(logits(adapted), one) == 0
    assert not [name for name, _ in adapted.named_parameters() if ".two" in name]
    bare = adapted.unload()
    assert apart(logits(bare), before) == 0
    assert set(bare.state_dict()) == set(base().state_dict())


@pytest.mark.parametrize("method", TRAINED)
def test_answers_are_the_same_with_and_without_a_cache(method: str, base: Callable[..., Any], ids: Any) -> None:
    import torch
    from peft import get_peft_model

    adapted = get_peft_model(base(), config(method)).eval()
    padded = torch.cat([torch.full((2, 3), 2), ids], dim=1)
    mask = torch.cat([torch.zeros(2, 3, dtype=torch.long), torch.ones_like(ids)], dim=1)
    wanted = {"max_new_tokens": 6, "do_sample": False}
    answer = adapted.generate(input_ids=ids, attention_mask=torch.ones_like(ids), **wanted)[:, 12:]
    again = adapted.generate(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False, **wanted)[:, 12:]
    behind = adapted.generate(input_ids=padded, attention_mask=mask, **wanted)[:, 15:]
    assert torch.equal(answer, again)
    assert torch.equal(answer, behind)


@pytest.mark.parametrize("method", TRAINED)
def test_checkpointed_layers_give_the_same_gradients(method: str, base: Callable[..., Any], ids: Any) -> None:
    import torch
    from peft import get_peft_model

    adapted = get_peft_model(base(), config(method)).train()

    def gradients() -> dict[str, Any]:
        adapted(input_ids=ids, labels=ids).loss.backward()
        found = {name: one.grad for name, one in adapted.named_parameters() if one.requires_grad}
        adapted.zero_grad(set_to_none=True)
        return found

    plain = gradients()
    adapted.gradient_checkpointing_enable({"use_reentrant": False})
    for name, gradient in gradients().items():
        assert torch.allclose(gradient, plain[name], atol=1e-6), name


def test_a_result_needs_the_tuners_and_no_other_part_of_ftui(
    folder: Path, base: Callable[..., Any], tmp_path: Path
) -> None:
    from peft import get_peft_model

    get_peft_model(base(), config("all three")).save_pretrained(str(tmp_path))
    program = f"""
import sys
import ftui.tuners
from peft import PeftModel
from transformers import AutoModelForCausalLM
PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained({str(folder)!r}), {str(tmp_path)!r})
print(sorted(name for name in sys.modules if name.startswith("ftui.") and not name.startswith("ftui.tuners")))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_soft_prompt_is_pefts_prompt_tuning_with_the_prompt_kept_inside(
    base: Callable[..., Any], logits: Callable[[Any], Any], ids: Any
) -> None:
    import torch
    from peft import PromptTuningConfig, get_peft_model

    ours = get_peft_model(base(), config("prompt"))
    vectors = ours.base_model.model.model.soft_prompt_vectors["default"]
    theirs = get_peft_model(base(), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4))
    theirs.prompt_encoder["default"].embedding.weight.data.copy_(vectors)
    assert apart(logits(ours), logits(theirs)[:, 4:]) < 1e-5
    ours.train()(input_ids=ids, labels=ids).loss.backward()
    theirs.train()(input_ids=ids, labels=ids).loss.backward()
    # peft trains the last virtual token to foretell the first of the text, which has nobody's label here.
    inner = theirs.prompt_encoder["default"].embedding.weight.grad
    assert torch.nn.functional.cosine_similarity(vectors.grad.flatten(), inner.flatten(), dim=0) > 0.8


def test_a_hybrid_is_its_parts_one_on_top_of_the_other(base: Callable[..., Any], logits: Callable[[Any], Any]) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    hybrid = get_peft_model(base(), config("lora + bottleneck"))
    lora = get_peft_model(base(), LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    state = {name: torch.randn_like(one) / 4 for name, one in lora.state_dict().items() if ".lora_" in name}
    lora.load_state_dict(state, strict=False)
    found = {name.replace(".self_attn.", ".self_attn.base_layer.").replace(".mlp.", ".mlp.base_layer."): one
             for name, one in state.items()}
    assert set(found) <= set(hybrid.state_dict())
    hybrid.load_state_dict(found, strict=False)
    # The bottleneck adapter is still the identity.
    assert apart(logits(hybrid), logits(lora)) == 0


def test_compacters_matrices_are_sums_of_kronecker_products() -> None:
    import torch

    from ftui.tuners.bottleneck import KroneckerLinear

    layer, rule, x = KroneckerLinear(12, 8, 4, 2, zero=False), torch.randn(4, 4, 4), torch.randn(5, 12)
    products = (torch.kron(rule[i], layer.left[i] @ layer.right[i]) for i in range(4))
    assert torch.allclose(layer(x, rule), x @ sum(products), atol=1e-6)


@pytest.mark.parametrize(("wrong", "said"), [
    ({"placement": "behind"}, "placement is 'behind'"), ({"activation": "elu"}, "activation is 'elu'"),
])
def test_a_config_that_cannot_be_says_so(wrong: dict[str, str], said: str) -> None:
    from ftui.tuners import BottleneckConfig

    with pytest.raises(ValueError, match=said):
        BottleneckConfig(**wrong)


def test_a_hybrid_needs_parts_of_different_types_that_are_put_on_modules() -> None:
    from peft import LoraConfig, PromptTuningConfig

    from ftui.tuners import HybridConfig

    with pytest.raises(ValueError, match="two or more parts of different types"):
        HybridConfig(parts=[LoraConfig(), LoraConfig()])
    with pytest.raises(ValueError, match="for a prompt take SOFT_PROMPT"):
        HybridConfig(parts=[LoraConfig(), PromptTuningConfig(num_virtual_tokens=2)])


def test_a_model_without_blocks_of_a_usual_name_is_refused(base: Callable[..., Any]) -> None:
    from peft import get_peft_model
    from transformers import OPTConfig, OPTForCausalLM

    small = OPTConfig(vocab_size=90, hidden_size=32, ffn_dim=64, num_hidden_layers=1, num_attention_heads=2,
                      word_embed_proj_dim=32)
    with pytest.raises(ValueError, match="none of its layers' blocks has a usual name"):
        get_peft_model(OPTForCausalLM(small), config("pfeiffer"))
