"""What each kind of adapter trains and holds, against the modules that peft puts on a real model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftui.data.document import DataProfile
from ftui.errors import BadInput
from ftui.hardware.document import Hardware
from ftui.methods import ADAPTERS, Targeted
from ftui.models import demo
from ftui.models.document import ModelShape
from ftui.models.shape import Origin, build
from ftui.planner import adapted, adapters, estimate, frozen, plan, resolve
from ftui.planner.activations import at, peak
from ftui.planner.blocks import Writer
from ftui.planner.geometry import Geometry, Target, chosen, geometry
from ftui.planner.partial import PARTIAL
from ftui.planner.surrounding import SURROUNDING
from ftui.planner.tape import Storage, Value, highest
from ftui.recipe import parse
from ftui.recipe.document import Recipe
from ftui.recipe.trainable import planned_only

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:peft", "ignore::RuntimeWarning:peft")
"""peft remarks on block sizes that it rounds, extensions that it does without, and patterns that match nothing."""

LLAMA = {
    "model_type": "llama", "vocab_size": demo.VOCABULARY, "hidden_size": 64, "intermediate_size": 96,
    "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
}
FAMILIES: Mapping[str, tuple[Mapping[str, Any], tuple[tuple[str, ...], ...]]] = {
    "llama": (LLAMA, (("q_proj", "v_proj"), ("gate_proj", "up_proj", "down_proj"), ("o_proj", "down_proj"))),
    "qwen2": ({**LLAMA, "model_type": "qwen2"}, (("q_proj", "v_proj"), ("gate_proj", "down_proj"))),
    "phi3": ({**LLAMA, "model_type": "phi3"}, (("qkv_proj",), ("gate_up_proj", "down_proj"))),
    "gpt_neox": (
        {name: value for name, value in LLAMA.items() if name != "num_key_value_heads"} | {"model_type": "gpt_neox"},
        (("query_key_value",), ("dense_h_to_4h", "dense_4h_to_h")),
    ),
}
"""Four architectures, each with sets of targets: plain; with a bias on query, key and value; with these, and gate and
up, in one; with biases everywhere, layer norms and no gate."""

PEFT: Mapping[str, tuple[str, Mapping[str, str], Mapping[str, Any]]] = {
    "adalora": ("AdaLoraConfig", {"rank": "init_r"}, {"target_r": 1, "total_step": 100}),
    "poly": ("PolyConfig", {"rank": "r", "skills": "n_skills", "splits": "n_splits"}, {}),
    "delora": ("DeloraConfig", {"rank": "r"}, {}),
    "hira": ("HiraConfig", {"rank": "r"}, {}),
    "gralora": ("GraloraConfig", {"rank": "r", "blocks": "gralora_k"}, {}),
    "lily": ("LilyConfig", {"rank": "r", "stride": "stride_A", "shared": "num_B"}, {}),
    "miss": ("MissConfig", {"rank": "r", "mini_rank": "mini_r", "variant": "init_weights"}, {}),
    "glora": ("GloraConfig", {"rank": "r"}, {}),
    "deft": ("DeftConfig", {"rank": "r", "para": "para"}, {}),
    "peanut": ("PeanutConfig", {"rank": "r", "depth": "depth"}, {}),
    "loha": ("LoHaConfig", {"rank": "r"}, {}),
    "lokr": ("LoKrConfig", {"rank": "r", "decompose_both": "decompose_both", "factor": "decompose_factor"}, {}),
    "oft": ("OFTConfig", {"block_size": "oft_block_size", "block_share": "block_share"}, {}),
    "boft": ("BOFTConfig", {"block_size": "boft_block_size"}, {}),
    "hra": ("HRAConfig", {"rank": "r", "gram_schmidt": "apply_GS"}, {}),
    "road": ("RoadConfig", {"variant": "variant", "group_size": "group_size"}, {}),
    "psoft": ("PsoftConfig", {"rank": "r"}, {}),
    "vera": ("VeraConfig", {"rank": "r"}, {}),
    "pvera": ("PveraConfig", {"rank": "r"}, {}),
    "randlora": ("RandLoraConfig", {"rank": "r"}, {}),
    "vblora": ("VBLoRAConfig", {"rank": "r", "vectors": "num_vectors", "vector_length": "vector_length"}, {}),
    "unilora": ("UniLoraConfig", {"rank": "r", "length": "theta_d_length"}, {}),
    "tinylora": ("TinyLoraConfig", {"rank": "r", "length": "u", "tying": "weight_tying"}, {}),
    "frod": ("FrodConfig", {"sparse_rate": "sparse_rate"}, {"progressbar": False}),
    "fourierft": ("FourierFTConfig", {"frequencies": "n_frequency"}, {}),
    "waveft": ("WaveFTConfig", {"frequencies": "n_frequency"}, {}),
    "c3a": ("C3AConfig", {"block_size": "block_size"}, {}),
    "shira": ("ShiraConfig", {"rank": "r"}, {}),
    "supertuning": ("SupertuningConfig", {"sparsity": "sparsity"}, {}),
    "osf": ("OSFConfig", {"frozen_rank": "effective_rank"}, {}),
    "ia3": ("IA3Config", {}, {"feedforward_modules": ["gate_proj", "up_proj", "down_proj"]}),
    "beft": ("BeftConfig", {}, {}),
}
"""For kinds that are put on single modules: peft's config class, our options' names there, what it needs besides."""

OPTIONS: Mapping[str, Mapping[str, list[Any]]] = {
    "adalora": {"rank": [2, 5]}, "delora": {"rank": [1, 8]}, "hira": {"rank": [3, 32]},
    "gralora": {"rank": [4, 8], "blocks": [1, 2, 4]}, "lily": {"rank": [4, 9], "stride": [1, 2, 3], "shared": [2, 3]},
    "miss": {"rank": [8, 32], "variant": ["standard", "bat", "mini"], "mini_rank": [1, 8]}, "glora": {"rank": [2, 5]},
    "deft": {"rank": [2, 64], "para": [False, True]}, "peanut": {"rank": [1, 6], "depth": [0, 2]},
    "loha": {"rank": [1, 7]}, "lokr": {"rank": [1, 3, 16], "decompose_both": [False, True], "factor": [-1, 4, 5]},
    "oft": {"block_size": [4, 7, 32, 80], "block_share": [False, True]},
    "boft": {"block_size": [2, 4]}, "hra": {"rank": [2, 6], "gram_schmidt": [False, True]},
    "road": {"variant": ["road_1", "road_2", "road_4"], "group_size": [8, 32]}, "psoft": {"rank": [4, 16]},
    "vera": {"rank": [4, 256]}, "pvera": {"rank": [4, 64]}, "randlora": {"rank": [5, 32]},
    "vblora": {"rank": [1, 4], "vectors": [16, 40], "vector_length": [8, 32]},
    "unilora": {"rank": [1, 4], "length": [16, 256]},
    "tinylora": {"rank": [1, 2], "length": [4, 64], "tying": [0.0, 0.3, 0.7, 1.0]},
    "frod": {"sparse_rate": [0.0, 0.01, 0.3]}, "fourierft": {"frequencies": [10, 500]},
    "waveft": {"frequencies": [10, 500]}, "c3a": {"block_size": [8, 16, 32]}, "shira": {"rank": [1, 6]},
    "supertuning": {"sparsity": [0.5, 0.97]}, "osf": {"frozen_rank": [None, 5, 16]}, "ia3": {}, "beft": {},
    "ln_tuning": {}, "prompt_tuning": {"virtual_tokens": [1, 20]},
    "p_tuning": {"virtual_tokens": [20, 3], "encoder_width": [24, 64]},
    "prefix_tuning": {"virtual_tokens": [20, 3], "projection": [False, True]},
    "adaption_prompt": {"virtual_tokens": [5, 10], "top_layers": [1, 3]}, "trainable_tokens": {"tokens": [1, 9]},
    "multitask_prompt_tuning": {"virtual_tokens": [4, 20], "tasks": [1, 3], "rank": [1, 2]},
    "cartridge": {"virtual_tokens": [4, 64], "frozen_tokens": [0, 1]}, "cpt": {"virtual_tokens": [3, 64]},
    "poly": {"rank": [2, 8], "skills": [1, 4], "tasks": [1, 3], "splits": [1, 2]},
    "xlora": {"depth": [1, 2, 3], "width": [8, 32]},
}
PEFTS_ALONE = {"adaption_prompt": ("llama", "mistral"), "xlora": ("llama", "qwen2", "phi3")}
"""Families that peft has a method for, where these are not all; it loads X-LoRA's adapters by Llama's names."""
NEEDED: Mapping[str, Mapping[str, Any]] = {
    "cpt": {"prompts": ("What is it?",), "answers": ("A bird.",)}, "xlora": {"adapters": ("one", "another")},
}
"""What a recipe must say for its adapter."""


@cache
def shaped(family: str) -> Geometry:
    config = FAMILIES[family][0] if family in FAMILIES else {**LLAMA, "model_type": family}
    return geometry(build(dict(config), Origin("test", "config")))


def real(family: str) -> Any:
    import torch
    import transformers

    given = FAMILIES[family][0] if family in FAMILIES else {**LLAMA, "model_type": family}
    config = {key: value for key, value in given.items() if key != "model_type"}
    torch.manual_seed(0)
    built = transformers.AutoConfig.for_model(family, **config, bos_token_id=0, eos_token_id=0, pad_token_id=0)
    model = transformers.AutoModelForCausalLM.from_config(built)
    model.name_or_path = str(demo.ensure_folder())  # where the tokenizer is
    return model


def adapted_model(options: Any, family: str, folder: Path) -> Any:
    """A model with the adapter that the worker's builder puts on."""
    import peft

    from ftui.worker.adapters import BUILDERS

    if options.kind == "xlora":
        folders = [str(folder / name) for name in options.adapters]
        for each in folders:
            peft.get_peft_model(real(family), peft.LoraConfig(r=2, target_modules="all-linear")).save_pretrained(each)
        options = options.model_copy(update={"adapters": tuple(folders)})
    return BUILDERS[options.kind](real(family), Recipe().model_copy(update={"adapter": options}))


def test_every_planned_adapter_has_its_counts() -> None:
    kinds = set(ADAPTERS) - {"lora", "none", *SURROUNDING, *PARTIAL}
    assert kinds == set(adapters.PER_MODULE) | set(adapters.PER_MODEL) == set(OPTIONS)
    assert set(frozen.BUFFERS) | set(frozen.PER_MODEL) <= kinds


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "family"), [(kind, family) for kind in sorted(OPTIONS) for family in PEFTS_ALONE.get(kind, FAMILIES)]
)
def test_what_is_counted_is_what_the_builder_trains(kind: str, family: str, tmp_path: Path) -> None:
    @settings(max_examples=3, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        stated = {name: data.draw(st.sampled_from(values), label=name) for name, values in OPTIONS[kind].items()}
        sets = FAMILIES[family][1] if family in FAMILIES else FAMILIES["llama"][1]
        held_against_peft(kind, family, stated, data.draw(st.sampled_from(["all-linear", *sets])), tmp_path)

    check()


def held_against_peft(kind: str, family: str, stated: Mapping[str, Any], wanted: Any, folder: Path) -> None:
    """The count of this adapter's parameters and the bytes of its buffers, ours and peft's."""
    sizes, row = shaped(family), ADAPTERS[kind]
    options = row.options(kind=kind, **{**NEEDED.get(kind, {}), **stated})
    if isinstance(options, Targeted):
        options = options.model_copy(update={"targets": wanted})
    targets = chosen(sizes, wanted) if isinstance(options, Targeted) else ()
    model = adapted_model(options, family, folder)
    count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert adapters.parameters(kind, options, targets, sizes) == count
    seen: dict[int, int] = {}
    for name, buffer in model.named_buffers():
        if "inv_freq" not in name and "frod_s_size" not in name:  # FRoD's two numbers per kind of module lie on the CPU
            seen[buffer.untyped_storage()._cdata] = buffer.untyped_storage().nbytes()
    if kind == "cartridge" and options.frozen_tokens:
        seen[0] = 4 * model.prompt_encoder["default"].frozen_embedding.numel()
    if kind == "cpt":
        seen[0] = 4 * model.prompt_encoder["default"].embedding.weight.numel()
    if kind == "xlora":
        experts = sum(one.numel() for name, one in model.named_parameters() if "lora_" in name)
        seen[0] = 4 * experts
        options = options.model_copy(update={"expert_parameters": experts / len(options.adapters) / 1e6})
    held = frozen.buffer_bytes(kind, options, targets, sizes, 4)
    # SHiRA's places are no buffers to torch, but lie on the device all the same.
    assert kind == "shira" or held == sum(seen.values())


def test_finished_adapters_of_no_stated_size_are_taken_for_loras_on_all_linear_modules() -> None:
    sizes = shaped("llama")
    options = ADAPTERS["xlora"].options(kind="xlora", adapters=("one", "two"))
    each = sum(16 * (t.inputs + t.outputs) * t.count for t in chosen(sizes, "all-linear"))
    assert frozen.buffer_bytes("xlora", options, (), sizes, 2) == 2 * 4 * each


@pytest.mark.parametrize("kind", sorted(set(ADAPTERS) - {"none", *PARTIAL}))
def test_every_adapter_can_be_planned_as_it_was_asked_for(
    kind: str, box: Callable[..., Hardware], shapes: Mapping[str, ModelShape], rows: Callable[..., DataProfile]
) -> None:
    shape = shapes["llama3.2-3b"]
    needed = {name: list(value) for name, value in NEEDED.get(kind, {}).items()}
    draft = parse(f"model: {{base: some/model}}\nadapter: {json.dumps({'kind': kind, **needed})}")
    hardware, profile = box(), rows()
    made = plan(hardware, shape, profile, draft)
    recipe = resolve(draft, made)
    assert recipe.adapter.kind == kind
    found = estimate(recipe, hardware, shape, profile)
    assert ADAPTERS[kind].title in made.recommendation.title or kind == "lora"
    assert 0 < found.trainable_parameters < shape.parameters
    assert found.memory.parts.adapter > 0
    quantized = {option.method for option in (made.recommendation, *made.alternatives, *made.rejected)}
    assert ("qlora" in quantized) == ADAPTERS[kind].on_nf4


@pytest.mark.parametrize(("kind", "rate"), [("c3a", 0.3), ("ia3", 5e-3), ("osf", 5e-5), ("oft", None)])
def test_an_adapter_takes_the_rate_that_was_chosen_for_it(
    kind: str, rate: float | None, box: Callable[..., Hardware], shapes: Mapping[str, ModelShape],
    rows: Callable[..., DataProfile],
) -> None:
    draft = parse(f"model: {{base: some/model}}\nadapter: {{kind: {kind}}}")
    made = plan(box(), shapes["llama3.2-3b"], rows(), draft)
    found = resolve(draft, made).train.learning_rate
    assert found == rate if rate is not None else 1e-4 <= float(found) <= 5e-4


@pytest.mark.parametrize(("wanted", "said"), [
    ("{kind: c3a}", "block_size 256 does not divide"),
    ("{kind: road, group_size: 50}", "group_size 50 does not divide"),
    ("{kind: miss, rank: 1000}", "rank 1000 is more than"),
    ("{kind: gralora, rank: 9}", "blocks 2 does not divide 9"),
    ("{kind: shira, rank: 200}", "more of them are to train"),
])
def test_an_adapter_that_peft_would_refuse_is_refused_in_a_sentence(
    wanted: str, said: str, box: Callable[..., Hardware], shapes: Mapping[str, ModelShape]
) -> None:
    with pytest.raises(BadInput, match=said):
        plan(box(), shapes["qwen2-0.5b"], None, parse(f"model: {{base: some/model}}\nadapter: {wanted}"))


def test_an_adapter_that_can_only_be_planned_is_refused_for_training() -> None:
    for kind, row in ADAPTERS.items():
        needed = {name: list(value) for name, value in NEEDED.get(kind, {}).items()}
        found = planned_only(Recipe.model_validate({"adapter": {"kind": kind, **needed}}))
        assert (found is None) == row.trains
        assert found is None or found[0].startswith(f"{row.title} can be planned, not trained yet: this ftui trains")


WIDE = {"inputs": 192, "outputs": 320}
MEASURED: Mapping[str, Mapping[str, Any]] = {
    "vblora": {"vector_length": 64}, "c3a": {"block_size": 64}, "miss": {"rank": 32}, "randlora": {"rank": 16},
    "vera": {"rank": 64}, "pvera": {"rank": 64}, "road": {"group_size": 64},
}
NOT_MEASURED = {"shira", "frod"}
"""Their sparse tensors have no storage that could be followed."""


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(set(adapted.FORWARDS) - NOT_MEASURED - set(SURROUNDING)))
def test_what_a_module_keeps_and_holds_is_what_pefts_keeps_and_holds(kind: str) -> None:
    options = ADAPTERS[kind].options(kind=kind, **MEASURED.get(kind, {}))
    inputs, outputs, tokens = WIDE["inputs"], WIDE["outputs"], 1024
    kept, backward = followed(kind, options, inputs, outputs, tokens)
    target = Target("lin", "attention in", inputs, outputs, 1, 1, False)
    manner: Any = SimpleNamespace(  # what of a layer's manner a linear module depends on
        full=False, quantization="none", weight=2, compute=2, autocast=True, adapter=4, rank=0, targets=(target,),
        dropout=False, dora=False, cuda=False, options=options, own=frozenset(),
    )
    writer = Writer(manner)
    size = complex(2 * inputs)
    given = Value(size, 2, True, storage=Storage(size, outside=True))
    last = writer.linear(given, target)
    assert at(writer.tape.kept(), tokens) == pytest.approx(kept, rel=0.06, abs=0.02 * backward)
    ours = peak(highest(held + grown for held, grown in writer.tape.backward(last)), tokens)
    # The test's own frame holds the incoming gradient, which a model's engine lets go.
    assert 0.92 * (backward - tokens * outputs * 2) <= ours <= 1.12 * backward


def followed(kind: str, options: Any, inputs: int, outputs: int, tokens: int) -> tuple[int, int]:
    """(bytes that the forward pass of one of peft's modules keeps, the most that its backward pass holds)."""
    import gc
    import weakref

    import peft
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_flatten

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lin = torch.nn.Linear(inputs, outputs, bias=False, dtype=torch.bfloat16)
            self.config = {"model_type": "test"}

    class Followed(TorchDispatchMode):
        """Bytes of every storage from its first tensor to its last."""

        def __init__(self, known: set[int]) -> None:
            super().__init__()
            self.sizes: dict[int, int] = dict.fromkeys(known, 0)
            self.live = self.most = 0

        def __torch_dispatch__(self, call: Any, types: Any, given: Any = (), named: Any = None) -> Any:
            made = call(*given, **(named or {}))
            for one in tree_flatten(made)[0]:
                if isinstance(one, torch.Tensor):
                    self.add(one.untyped_storage())
            return made

        def add(self, storage: Any) -> None:
            key = storage._cdata
            if key not in self.sizes:
                self.sizes[key] = storage.nbytes()
                self.live += self.sizes[key]
                self.most = max(self.most, self.live)
                weakref.finalize(storage, self.free, key)

        def free(self, key: int) -> None:
            self.live -= self.sizes.pop(key, 0)

    torch.manual_seed(0)
    model = Model().requires_grad_(False)
    target = Target("lin", "attention in", inputs, outputs, 1, 1, False)
    name, names, more = PEFT[kind]
    stated = {there: getattr(options, here) for here, there in names.items()}
    if kind == "miss":
        stated["init_weights"] = True
    more = {"feedforward_modules": []} if kind == "ia3" else more
    wrapped_model = peft.get_peft_model(model, getattr(peft, name)(target_modules=[target.name], **stated, **more))
    module = wrapped_model.base_model.model.lin
    for ranks in getattr(module, "ranknum", {}).values():
        ranks.requires_grad_(False)  # as under a causal language model
    x = torch.randn(2, tokens // 2, inputs, dtype=torch.bfloat16, requires_grad=True)
    tensors = [*wrapped_model.parameters(), *wrapped_model.buffers(), x]
    follow = Followed({one.untyped_storage()._cdata for one in tensors})
    with follow:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = module(x, **({"task_ids": torch.zeros(2, dtype=torch.long)} if kind == "poly" else {}))
        gc.collect()
        own = y.untyped_storage().nbytes()
        kept, gradient = follow.live - own, torch.ones_like(y)
        follow.most = follow.live
        y.backward(gradient)
    return kept, follow.most - own


EXPERTS = {
    "vocab_size": 90, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "num_experts_per_tok": 2,
}
DENSE_FIRST = {
    "n_routed_experts": 4, "moe_intermediate_size": 24, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1,
}
MIXTURES = {
    "mixtral": {"num_local_experts": 4}, "olmoe": {"num_experts": 4},
    "qwen3_moe": {"num_experts": 4, "moe_intermediate_size": 24},
    "qwen2_moe": {"num_experts": 4, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 24},
    "gpt_oss": {"num_local_experts": 4}, "glm4_moe": DENSE_FIRST,
    "deepseek_v3": {**DENSE_FIRST, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8,
                    "v_head_dim": 8},
}


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.parametrize(
    "targets", ["all-linear", ("q_proj", "gate_proj", "up_proj"), ("o_proj", "gate", "w2", "down_proj")]
)
@pytest.mark.parametrize("family", MIXTURES)
def test_lora_on_a_mixture_trains_what_peft_trains(family: str, targets: str | tuple[str, ...]) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(family, **EXPERTS, **MIXTURES[family])
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    wanted = targets if isinstance(targets, str) else list(targets)
    try:
        adapted = get_peft_model(model, LoraConfig(r=4, target_modules=wanted, task_type="CAUSAL_LM"))
    except ValueError as error:
        pytest.skip(f"peft refuses these targets here: {error}")
    sizes = geometry(build({**config.to_dict(), "model_type": family}, Origin("x", "config")))
    counted = sum(4 * t.ranks * (t.inputs + t.outputs) * t.count for t in chosen(sizes, targets))
    assert counted == sum(p.numel() for p in adapted.parameters() if p.requires_grad)


@pytest.mark.slow
@pytest.mark.torch
def test_the_families_whose_experts_lora_reaches_are_pefts() -> None:
    from peft.utils import transformers_weight_conversion as peft

    from ftui.models.families import FAMILIES
    from ftui.planner.geometry import ADAPTED_EXPERTS

    known = {family for family, base in peft._MODEL_TO_CONVERSION_PATTERN.items() if base in peft._MOE_FUSED_TARGETS}
    assert known & set(FAMILIES) == ADAPTED_EXPERTS & set(FAMILIES)
