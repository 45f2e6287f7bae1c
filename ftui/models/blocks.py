"""The blocks that decoder layers are put together from: attention in its forms, feed-forward parts, mixtures, mixers.

Each function takes names and switches and returns a builder: sizes -> parts in forward order.
"""

from __future__ import annotations

from ftui.models.family import Build, Sizes
from ftui.models.parts import Parts, conv1d, depthwise, linear, matrix, norm, packed, tensor

Switch = bool | str
"""Always, never, or by that switch of the config."""

QKVO = ("q_proj", "k_proj", "v_proj", "o_proj")
GATED = ("gate_proj", "up_proj", "down_proj")


def attention(
    bias: Switch = "attention_bias", out: Switch | None = None, *, path: str = "self_attn",
    names: tuple[str, str, str, str] = QKVO, head_norms: tuple[str, str] | None = None, wide: bool = False,
    norm_switch: Switch = True, gate: bool = False,
) -> Build:
    """Separate query, key, value and output projections; `out` is the output's bias where it is another switch.

    `head_norms` are norms of query and key, over each head or, `wide`, over all of them; `gate` doubles the query
    projection by a gate for the output.
    """

    def build(s: Sizes) -> Parts:
        on, last = s.flag(bias), s.flag(bias if out is None else out)
        q, k, v, o = (f"{path}.{name}" for name in names)
        query, key = (s.query, s.key) if wide else (s.head_dim, s.head_dim)
        norms = (norm(f"{path}.{head_norms[0]}", query), norm(f"{path}.{head_norms[1]}", key)) if (
            head_norms and s.flag(norm_switch)) else ()
        return (
            linear(q, s.hidden, s.query * (2 if gate else 1), on), linear(k, s.hidden, s.key, on),
            linear(v, s.hidden, s.key, on), linear(o, s.query, s.hidden, last), *norms,
        )

    return build


HEADS = ("q_norm", "k_norm")


def fused_attention(qkv: str, out: str, bias: Switch = False, out_bias: Switch | None = None) -> Build:
    """Query, key and value from one projection."""

    def build(s: Sizes) -> Parts:
        return (
            linear(qkv, s.hidden, s.query + 2 * s.key, s.flag(bias)),
            linear(out, s.query, s.hidden, s.flag(bias if out_bias is None else out_bias)),
        )

    return build


def latent_attention(s: Sizes) -> Parts:
    """DeepSeek's latent attention: keys and values, often queries too, pass through a narrow latent."""
    bias, rank, narrow = s.flag("attention_bias"), s.num("q_lora_rank"), s.num("kv_lora_rank")
    nope, rope, value = s.num("qk_nope_head_dim"), s.num("qk_rope_head_dim"), s.num("v_head_dim")
    path = "self_attn"
    query: Parts = (
        linear(f"{path}.q_a_proj", s.hidden, rank, bias), norm(f"{path}.q_a_layernorm", rank),
        linear(f"{path}.q_b_proj", rank, s.query),
    ) if rank else (linear(f"{path}.q_proj", s.hidden, s.query),)
    return (
        *query,
        linear(f"{path}.kv_a_proj_with_mqa", s.hidden, narrow + rope, bias), norm(f"{path}.kv_a_layernorm", narrow),
        linear(f"{path}.kv_b_proj", narrow, s.heads * (nope + value)),
        linear(f"{path}.o_proj", s.heads * value, s.hidden, bias),
    )


def gated(bias: Switch = "mlp_bias", *, path: str = "mlp", names: tuple[str, str, str] = GATED) -> Build:
    """A gated feed-forward part: down(act(gate(x)) * up(x))."""

    def build(s: Sizes) -> Parts:
        return three(s, path, s.intermediate, s.flag(bias), names)

    return build


def three(s: Sizes, path: str, width: int, bias: bool = False, names: tuple[str, str, str] = GATED) -> Parts:
    """Gate, up and down of a given width."""
    gate, up, down = (f"{path}.{name}" for name in names)
    return (
        linear(gate, s.hidden, width, bias), linear(up, s.hidden, width, bias), linear(down, width, s.hidden, bias),
    )


def fused_gated(path: str = "mlp", up: str = "gate_up_proj", down: str = "down_proj") -> Build:
    """Gate and up in one projection."""

    def build(s: Sizes) -> Parts:
        return (
            linear(f"{path}.{up}", s.hidden, 2 * s.intermediate), linear(f"{path}.{down}", s.intermediate, s.hidden),
        )

    return build


def plain(up: str, down: str, bias: Switch = False, *, turned: bool = False) -> Build:
    """A feed-forward part without gate; `turned` is GPT-2's Conv1D."""

    def build(s: Sizes) -> Parts:
        if turned:
            return conv1d(up, s.hidden, s.intermediate), conv1d(down, s.intermediate, s.hidden)
        on = s.flag(bias)
        return linear(up, s.hidden, s.intermediate, on), linear(down, s.intermediate, s.hidden, on)

    return build


def mixture(
    *, path: str = "mlp", router: str = "gate", module: bool = False, shared: Build | None = None,
    more: Build | None = None, turned: bool = False, bias: bool = False,
) -> Build:
    """A router and packed experts; `module`: the router is a linear module, which adapters and 4 bits reach.

    `shared` are experts that every token passes, `more` small tensors of the router.
    """

    def build(s: Sizes) -> Parts:
        gate = f"{path}.{router}"
        return (
            linear(gate, s.hidden, s.experts) if module else matrix(gate, s.experts, s.hidden),
            *(more(s) if more else ()),
            packed(f"{path}.experts.gate_up_proj", s.experts, s.hidden, 2 * s.expert_intermediate, turned=turned,
                   bias=bias),
            packed(f"{path}.experts.down_proj", s.experts, s.expert_intermediate, s.hidden, turned=turned, bias=bias),
            *(shared(s) if shared else ()),
        )

    return build


def shared_experts(number: str, bias: Switch = False) -> Build:
    """As many experts as `number` says, in one gated part that every token passes."""

    def build(s: Sizes) -> Parts:
        width = s.expert_intermediate * s.num(number)
        return three(s, "mlp.shared_experts", width, s.flag(bias)) if width else ()

    return build


def delta_attention(*, split: bool) -> Build:
    """Gated delta networks, the linear attention of Qwen 3 Next and, with `split` projections, of Qwen 3.5."""

    def build(s: Sizes) -> Parts:
        heads, values = s.num("linear_num_key_heads"), s.num("linear_num_value_heads")
        key, value = heads * s.num("linear_key_head_dim"), values * s.num("linear_value_head_dim")
        path = "linear_attn"
        projections: Parts = (
            linear(f"{path}.in_proj_qkv", s.hidden, 2 * key + value), linear(f"{path}.in_proj_z", s.hidden, value),
            linear(f"{path}.in_proj_b", s.hidden, values), linear(f"{path}.in_proj_a", s.hidden, values),
        ) if split else (
            linear(f"{path}.in_proj_qkvz", s.hidden, 2 * key + 2 * value),
            linear(f"{path}.in_proj_ba", s.hidden, 2 * values),
        )
        return (
            *projections, depthwise(f"{path}.conv1d", 2 * key + value, s.num("linear_conv_kernel_dim")),
            tensor(f"{path}.dt_bias", values), tensor(f"{path}.A_log", values),
            norm(f"{path}.norm", s.num("linear_value_head_dim")), linear(f"{path}.out_proj", value, s.hidden),
        )

    return build


def kimi_delta(s: Sizes) -> Parts:
    """Kimi's delta attention; its sizes stand in a mapping of their own."""
    stated = s.read.value("linear_attn_config")
    stated = stated if isinstance(stated, dict) else {}
    heads, size, kernel = (
        value if isinstance(value := stated.get(key), int) and value > 0 else default
        for key, default in (("num_heads", 32), ("head_dim", 128), ("short_conv_kernel_size", 4))
    )
    width, path = heads * size, "self_attn"
    return (
        *(linear(f"{path}.{name}", s.hidden, width) for name in QKVO[:3]),
        depthwise(f"{path}.conv1d", 3 * width, kernel),
        tensor(f"{path}.forget_gate.dt_bias", width), tensor(f"{path}.forget_gate.A_log", 1, 1, heads, 1),
        linear(f"{path}.forget_gate.f_a_proj", s.hidden, size), linear(f"{path}.forget_gate.f_b_proj", size, width),
        linear(f"{path}.b_proj", s.hidden, heads), linear(f"{path}.g_a_proj", s.hidden, size),
        linear(f"{path}.g_b_proj", size, width), norm(f"{path}.o_norm", size),
        linear(f"{path}.o_proj", width, s.hidden),
    )


def short_convolution(s: Sizes) -> Parts:
    """LFM2's gated convolution along the tokens."""
    bias = s.flag("conv_bias")
    return (
        linear("conv.in_proj", s.hidden, 3 * s.hidden, bias),
        depthwise("conv.conv", s.hidden, s.num("conv_L_cache"), bias),
        linear("conv.out_proj", s.hidden, s.hidden, bias),
    )


def mamba(
    path: str, *, heads: str, size: str, groups: str, state: str, kernel: str, bias: Switch, conv: Switch
) -> Build:
    """A Mamba 2 mixer; the arguments name the config's keys."""

    def build(s: Sizes) -> Parts:
        count = s.num(heads)
        stated = s.read.value(size)
        each = s.read.size(size, least=1) if isinstance(stated, int) else s.num("mamba_expand") * s.hidden // count
        width = count * each
        mixed = width + 2 * s.num(groups) * s.num(state)
        on = s.flag(bias)
        return (
            linear(f"{path}.in_proj", s.hidden, width + mixed + count, on),
            depthwise(f"{path}.conv1d", mixed, s.num(kernel), s.flag(conv)),
            tensor(f"{path}.dt_bias", count), tensor(f"{path}.A_log", count), tensor(f"{path}.D", count),
            norm(f"{path}.norm", width), linear(f"{path}.out_proj", width, s.hidden, on),
        )

    return build
