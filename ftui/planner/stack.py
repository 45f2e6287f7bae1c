"""What the training stack does with memory, as one versioned table of coefficients.

A peak is a fact about library versions as much as about a model: the same 8B LoRA step takes 20 GiB with trl's tiled
loss and 29 GiB with the plain one.  So every coefficient that was read off the libraries stands here, under the
versions it was read from, and nowhere else.  Names of the dimensions: H hidden width, I MLP width, Q = heads × head
size, K = key/value heads × head size, V vocabulary; a coefficient is in bytes per token unless it says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ftui.errors import BadInput


@dataclass(frozen=True)
class Stack:
    """The coefficients of one set of library versions."""

    name: str
    source: str
    versions: dict[str, str] = field(default_factory=dict)

    autocast: bool = True
    """The training loop computes under autocast (bf16 or fp16 in transformers' arguments)."""

    # ftui's own loss scores the trained tokens chunk by chunk and makes their gradients on the way forward.
    chunk_bytes: int = 256 << 20
    chunk_bytes_cpu: int = 32 << 20
    """float32 logits of one chunk (`ftui.worker.loss.CHUNK_BYTES`)."""

    # The fused head of trl >= 1.x scores the logits in tiles of tokens × vocabulary and never holds them whole.
    tile_tokens: int = 4096
    tile_vocabulary: int = 32_768
    tile_statistics: int = 36
    """Bytes per token of running maxima, sums, targets and log-probabilities beside the tiles."""
    tile_copies_cpu: float = 8.0
    """float32 copies of a tile that the torch fallback holds at once where there is no Triton."""

    # Full logits, bytes per token and vocabulary entry beside the 16-bit ones.
    full_logits_forward: float = 8.0
    """Their float32 copy and its log-softmax (transformers 5, loss/loss_utils.py, `ForCausalLMLoss`)."""
    full_logits_backward: float = 12.0
    """The log-softmax, its gradient, and the gradient of what it was taken of."""
    quantizes_experts: bool = False
    """4 and 8 bits reach fused expert tensors too, which are turned into 16 bits a layer at a time."""
    keeps_4_bit_inputs: bool = False
    """Each product with a 4-bit weight holds its input as a plain attribute until the graph is gone (bitsandbytes
    before 0.43.2, autograd/_functions.py, `MatMul4Bit`; mended by its pull request 1270)."""
    reentrant: bool = True
    """Checkpoints run their layers without a graph (torch's use_reentrant=True), not with hooks on what is saved."""
    loads_ahead: bool = False
    """A base that is quantized while it is loaded is on the device in 16 bits first, whole: threads read faster than
    weights are quantized (transformers 5.0 to 5.3, core_model_loading.py; mended by its pull request 44576)."""
    empties_cache: bool = False
    """The training loop gives cached memory back every few steps, so that mixed widths don't pile up."""
    logits_held: float = 0.0
    """Logits that the training loop's own variable holds until the next step's are there."""

    foreach_optimizer: bool = False
    """AdamW loops over lists of tensors (torch's default on CUDA) in place of one fused kernel (transformers')."""
    optimizer_block: int = 256
    """Elements per float32 scale of an 8-bit optimizer state."""
    optimizer_8bit_minimum: int = 4096
    """Smaller tensors keep float32 states."""
    embeddings_in_32_bits: bool = False
    """An 8-bit optimizer keeps the embedding's states in float32 (transformers 5.23, trainer.py, `create_optimizer`;
    before 5 it asked for a class's name that no longer was one)."""
    nf4_block: int = 64
    nf4_nested_block: int = 256

    # cuBLAS keeps a workspace for the main thread and one for autograd's.
    cublas_bytes: int = 2 * 8_519_680
    cublas_bytes_hopper: int = 2 * (32 << 20)

    process_bytes_cpu: int = 580 << 20
    """A CPU worker without its model: 484 MiB resident after the imports, 597 in a whole run of a 1 M-parameter one."""


CURRENT = Stack(
    name="2026-11",
    source="operations of these versions written down one by one, and traced training steps of them",
    versions={"torch": "2.13", "transformers": "5.23", "peft": "0.21", "trl": "1.16", "bitsandbytes": "0.50"},
    embeddings_in_32_bits=True,
)

PEFT_COMPARISON = Stack(
    name="peft-comparison-2026-07",
    source="huggingface/peft@5d602fd method_comparison/MetaMathQA/run.py (`train`: use_amp false, torch.optim.AdamW, "
    "`outputs` lives until the next step, the cache is emptied every ten) and the package_info of its results",
    versions={"torch": "2.13", "transformers": "5.13", "peft": "0.19", "bitsandbytes": "0.49"},
    autocast=False, foreach_optimizer=True, logits_held=2.0, empties_cache=True,
)

AXOLOTL_EXPERTS = Stack(
    name="axolotl-experts-2026-07",
    source="axolotl-ai-cloud/axolotl@067b021 with quantize_moe_experts (src/axolotl/loaders/model.py, "
    "monkeypatch/moe_quant.py)",
    versions={"torch": "2.12", "transformers": "5.14", "peft": "0.19", "bitsandbytes": "0.49"},
    quantizes_experts=True,
)

EARLY_2024 = Stack(
    name="2024-01",
    source="transformers 4.36 modeling_llama.py: float32 logits, a shifted copy of them, its log-softmax; bitsandbytes "
    "0.41 autograd/_functions.py; the versions are those of modelscope/ms-swift@4312aeb28 (requirements/framework.txt, "
    "docs/source/LLM/Benchmark.md)",
    versions={"torch": "2.1", "transformers": "4.36", "peft": "0.7", "trl": "0.7", "bitsandbytes": "0.41"},
    full_logits_forward=10.0, foreach_optimizer=True, keeps_4_bit_inputs=True,
)

SWIFT_2024 = replace(
    EARLY_2024, name="ms-swift-2024-01", reentrant=False,
    source="2024-01 with modelscope/ms-swift@4312aeb28's own checkpoints (swift/llm/utils/model.py, "
    "`fix_gradient_checkpointing_warning`: use_reentrant=False for every model)",
)

EARLY_2026 = Stack(
    name="2026-03",
    source="axolotl-ai-cloud/axolotl@c11938233 (requirements.txt) with transformers 5.3's loading",
    versions={"torch": "2.10", "transformers": "5.3", "peft": "0.18", "bitsandbytes": "0.49"},
    loads_ahead=True,
)

AXOLOTL_CHUNKED = Stack(
    name="axolotl-chunked-2025",
    source="axolotl-ai-cloud/axolotl@130ef7c51 src/axolotl/monkeypatch/loss/chunked.py: whole logits in 16 bits, eight "
    "compiled cross-entropies, whose gradients are put together",
    versions={"torch": "2.7", "transformers": "4.55", "peft": "0.17", "bitsandbytes": "0.46"},
    full_logits_forward=0.5, full_logits_backward=6.0,
)

TORCHTUNE = Stack(
    name="torchtune-2024",
    source="pytorch/torchtune@bd2a0fc recipes/lora_finetune_single_device.py, full_finetune_single_device.py: weights, "
    "adapters and activations in bfloat16, logits made float32 and shifted into a copy",
    versions={"torch": "2.5"},
    autocast=False, full_logits_forward=12.0,
)

STACKS: dict[str, Stack] = {
    stack.name: stack for stack in (
        CURRENT, PEFT_COMPARISON, AXOLOTL_EXPERTS, EARLY_2026, AXOLOTL_CHUNKED, TORCHTUNE, SWIFT_2024, EARLY_2024,
    )
}
"""Every table by its name, the newest first."""


def stack_named(name: str) -> Stack:
    """The table that a recipe's compute.stack names; "current" is the newest.  Raises BadInput for an unknown one."""
    if name == "current":
        return CURRENT
    if name not in STACKS:
        raise BadInput(f"compute.stack: {name!r} is no library stack that ftui knows.",
                       f"Write current, or one of: {', '.join(STACKS)}.")
    return STACKS[name]
