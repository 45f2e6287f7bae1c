"""`ModelShape`: what a base model is, exactly, without its weights and without torch."""

from __future__ import annotations

from typing import Literal

from ftui.documents import Document
from ftui.models.stored import Stored


class Linear(Document):
    """One kind of linear (or Conv1D) module inside a decoder layer, `count` of them in the whole model.

    `name` is the last part of the module's name (`q_proj`, `down_proj`, `c_attn`): what LoRA's targets say.
    `per_layer` is how many one layer holds (experts: the number of experts).
    """

    name: str
    inputs: int
    outputs: int
    bias: bool = False
    count: int
    per_layer: int = 1
    packed: bool = False
    """A fused 3-D expert parameter rather than a module: counted, but no LoRA target by name."""


class Block(Document):
    """One kind of decoder layer, `count` of them in the model; `parameters` are those of one such layer.

    `mixer` is what mixes its tokens: "full" or "sliding" attention, "linear" attention, a "conv"olution, a state space
    ("mamba"), or none at all ("mlp").  Where a window changes no tensor, `ModelShape.sliding_layers` alone tells.
    """

    mixer: str
    sparse: bool
    """Whether its feed-forward part is a mixture of experts."""
    count: int
    parameters: int
    linears: tuple[Linear, ...]
    """Those of such layers; their `count` is that of all these layers together."""


class ModelShape(Document):
    """Sizes are of the language model; parameter counts are in elements, context length in tokens."""

    version: int = 1
    ref: str
    """What was asked for: a hub id, a folder, a catalogue id."""
    path: str | None = None
    """The local folder, where the files are already on this disk."""
    revision: str | None = None
    """The commit hash, where it is known."""
    source: Literal["local", "hub", "catalogue", "config"]
    model_type: str
    architecture: str
    """The class name that config.json states, such as "Qwen3ForCausalLM"."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    context_length: int
    tied_embeddings: bool
    gated_mlp: bool = True
    attention_bias: bool = False
    qk_norm: bool = False
    norm: Literal["rms", "layer"] = "rms"
    norms_per_layer: int = 2
    sliding_window: int | None = None
    sliding_layers: int = 0
    """How many of the layers attend within `sliding_window` only."""
    attention_softcap: float | None = None
    logit_softcap: float | None = None
    learned_positions: int = 0
    """Rows of a learned position table (GPT-2), 0 for rotary."""
    experts: int = 0
    experts_per_token: int = 0
    expert_intermediate: int = 0
    shared_expert_intermediate: int = 0
    """Width of the experts that every token passes besides those it is routed to, together."""
    dense_layers: int = 0
    """Of a mixture of experts: layers with a plain feed-forward part."""
    layer_kinds: tuple[tuple[str, int], ...] = ()
    """How many layers mix tokens how: "full", "sliding", "linear", "conv", "mamba", "mlp"; empty where not known."""
    blocks: tuple[Block, ...] = ()
    """The kinds of layers with their own linear maps, where the family is known."""

    q_lora_rank: int = 0
    """Latent attention (MLA): width of the queries' latent, 0 for none."""
    kv_lora_rank: int = 0
    """Width of the keys' and values' latent; above 0 marks latent attention, where `head_dim` is that of a key."""
    qk_nope_head_dim: int = 0
    qk_rope_head_dim: int = 0
    v_head_dim: int = 0

    linears: tuple[Linear, ...] = ()
    """Every kind of linear module in the decoder layers, in forward order; head and embeddings are not among them."""
    parameters: int
    """Equal to `sum(p.numel())` of the class when `exact`."""
    layer_parameters: tuple[int, ...] = ()
    """Those of each decoder layer, in order; empty where not known."""
    biases: int | None = None
    """Elements of all biases, the norms' included; None where not known."""
    embedding_parameters: int
    """Token embedding table (and the untied head's is the same again)."""
    other_parameters: int = 0
    """Of the parts around a multimodal model's language model, where known: loaded with it, neither trained nor in
    `parameters`."""
    others_known: bool = True
    """False where there are such parts of which nothing is known: a wrapper that ftui doesn't know, without weights."""
    exact: bool = True
    inexact_reason: str | None = None

    dtype: str = "bfloat16"
    """What the checkpoint's tensors are stored in: "bfloat16", "float16", "float32"."""
    quantization: str | None = None
    """How the checkpoint itself is quantized ("nf4", "gptq", "awq", ...), None for a plain one."""
    stored: Stored | None = None
    """What its quantized weights take as they are stored; None for a plain checkpoint or a format ftui can't read."""
    weight_bytes: int | None = None
    """Size of the weight files, where known: what a download costs."""
    chat_template: str | None = None
    """The Jinja text, None for a base model without one."""
    chat_template_known: bool = True
    """False where the source (a bare config, the catalogue) can't tell whether there is one."""
    licence: str | None = None
    gated: bool | None = None
    remote_code: bool = False
    """The model needs code of its own (auto_map), which runs only with the user's consent (`ftui.models.trusted`)."""
    notes: tuple[str, ...] = ()
    """Plain sentences worth knowing: how the context is stretched, what is not counted."""

    @property
    def name(self) -> str:
        """The last part of the reference, for titles."""
        return self.ref.rstrip("/").rsplit("/", 1)[-1]
