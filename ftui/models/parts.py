"""What decoder layers are made of: linear maps, norms, tables, and the blocks that families share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a config says, in one vocabulary for all families; widths in elements, `context` in tokens."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    context: int
    tied: bool
    attention_bias: bool
    mlp_bias: bool
    experts: int
    experts_per_token: int
    expert_intermediate: int
    sparse: tuple[bool, ...]
    """For each layer whether its feed-forward part is a mixture of experts."""
    window: int | None
    sliding_layers: int


@dataclass(frozen=True, slots=True)
class Part:
    """One module of a layer: its path, its tensors as (suffix, shape), and its linear map (inputs, outputs) if any.

    `experts` > 0 marks a packed tensor of that many linear maps.
    """

    path: str
    tensors: tuple[tuple[str, tuple[int, ...]], ...]
    linear: tuple[int, int] | None = None
    experts: int = 0

    @property
    def elements(self) -> int:
        """How many parameters the part has."""
        return sum(product(shape) for _, shape in self.tensors)


def product(shape: tuple[int, ...]) -> int:
    """The number of elements of a tensor of that shape."""
    total = 1
    for side in shape:
        total *= side
    return total


def linear(path: str, inputs: int, outputs: int, bias: bool = False) -> Part:
    """A torch.nn.Linear, whose weight is (outputs, inputs)."""
    return Part(path, ((".weight", (outputs, inputs)), *_bias(bias, outputs)), (inputs, outputs))


def conv1d(path: str, inputs: int, outputs: int) -> Part:
    """GPT-2's Conv1D: a linear map whose weight is (inputs, outputs), always with bias."""
    return Part(path, ((".weight", (inputs, outputs)), *_bias(True, outputs)), (inputs, outputs))


def norm(path: str, width: int, bias: bool = False) -> Part:
    """A normalisation with a learned scale, and a learned shift where `bias`."""
    return Part(path, ((".weight", (width,)), *_bias(bias, width)))


def matrix(path: str, rows: int, columns: int) -> Part:
    """A parameter that is no linear module to peft or bitsandbytes: an embedding table, an expert router."""
    return Part(path, ((".weight", (rows, columns)),))


def packed(path: str, experts: int, inputs: int, outputs: int) -> Part:
    """All experts' weights of one kind in one 3-D parameter, as transformers 5 keeps them."""
    return Part(path, (("", (experts, outputs, inputs)),), (inputs, outputs), experts)


def _bias(bias: bool, width: int) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return ((".bias", (width,)),) if bias else ()


def attention(s: Sizes, *, qkv_bias: bool = False, out_bias: bool = False) -> tuple[Part, ...]:
    """Separate query, key and value projections and the output projection."""
    q, kv = s.heads * s.head_dim, s.kv_heads * s.head_dim
    return (
        linear("self_attn.q_proj", s.hidden, q, qkv_bias),
        linear("self_attn.k_proj", s.hidden, kv, qkv_bias),
        linear("self_attn.v_proj", s.hidden, kv, qkv_bias),
        linear("self_attn.o_proj", q, s.hidden, out_bias),
    )


def head_norms(s: Sizes) -> tuple[Part, ...]:
    """Query and key normalised per head (Qwen 3, Gemma 3)."""
    return norm("self_attn.q_norm", s.head_dim), norm("self_attn.k_norm", s.head_dim)


def wide_norms(s: Sizes) -> tuple[Part, ...]:
    """Query and key normalised over all heads at once (OLMo 2)."""
    return norm("self_attn.q_norm", s.heads * s.head_dim), norm("self_attn.k_norm", s.kv_heads * s.head_dim)


def gated(s: Sizes) -> tuple[Part, ...]:
    """A gated feed-forward part: down(act(gate(x)) * up(x))."""
    return (
        linear("mlp.gate_proj", s.hidden, s.intermediate, s.mlp_bias),
        linear("mlp.up_proj", s.hidden, s.intermediate, s.mlp_bias),
        linear("mlp.down_proj", s.intermediate, s.hidden, s.mlp_bias),
    )


def mixture(s: Sizes) -> tuple[Part, ...]:
    """A router and packed experts."""
    return (
        matrix("mlp.gate", s.experts, s.hidden),
        packed("mlp.experts.gate_up_proj", s.experts, s.hidden, 2 * s.expert_intermediate),
        packed("mlp.experts.down_proj", s.experts, s.expert_intermediate, s.hidden),
    )


def norms(s: Sizes, *names: str, bias: bool = False) -> tuple[Part, ...]:
    """Normalisations over the hidden width, by name."""
    return tuple(norm(name, s.hidden, bias) for name in names)
