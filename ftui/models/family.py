"""What a row of the families says, and how a config is read by it.

Names, shapes and the defaults of keys that config.json may leave out are those of transformers' own classes
(`<Family>ForCausalLM`): `defaults.json` holds the defaults (`tools/model_defaults.py` writes it), tests build each
class on the meta device and compare every tensor.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from ftui.errors import BadInput
from ftui.models import windows
from ftui.models.parts import Parts, norm

Config = Mapping[str, Any]
ADVICE = "Take the config.json that was published with the model."

PRE = ("input_layernorm", "post_attention_layernorm")
SANDWICH = (*PRE, "pre_feedforward_layernorm", "post_feedforward_layernorm")
POST = ("post_attention_layernorm", "post_feedforward_layernorm")


@cache
def _tables() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    text = files("ftui.models").joinpath("defaults.json").read_text(encoding="utf-8")
    tables: Mapping[str, Mapping[str, Mapping[str, Any]]] = json.loads(text)
    return tables


def towers() -> Mapping[str, Mapping[str, Any]]:
    """For each multimodal wrapper the defaults of its own class ("wrapper") and of its vision config's ("vision")."""
    return _tables()["towers"]


class Reader:
    """Reads one config by its family's names and defaults, and names the key in what it refuses."""

    def __init__(self, family: Family, config: Config) -> None:
        known = _tables()["families"]
        published = known.get(family.model_type) or known.get(family.defaults_of or "", {})
        self.config = config
        self.keys, self.ignored = family.keys, family.ignored
        self.names: Mapping[str, str] = published.get("names", {})
        self.defaults: Config = {**published.get("defaults", {}), **family.defaults}

    def named(self, key: str) -> tuple[str, ...]:
        """The names under which `key` may stand in the config, the family's own first."""
        own = self.keys.get(key, (key,))
        there = tuple(self.names[name] for name in own if name in self.names)
        back = tuple(name for name, other in self.names.items() if other in own)
        return (*there, *own, *back)

    def value(self, key: str) -> Any:
        """What the config says, else the class's default; None where neither does."""
        if key in self.ignored:
            return None
        names = self.named(key)
        for place in (self.config, self.defaults):
            for name in names:
                if name in place:
                    return place[name]
        return None

    def size(
        self, key: str, *, derived: int | None = None, least: int = 1, most: int = 1 << 32, stated: bool = False
    ) -> int:
        """A whole number; `derived` where the config states none, which with `stated` it must.

        Raises BadInput naming the key.
        """
        missing = stated and not any(name in self.config for name in self.named(key))
        value = None if missing else self.value(key)
        if not value and derived is not None:
            return derived
        name = next((name for name in self.named(key) if name in self.config), self.named(key)[0])
        if value is None:
            raise BadInput(f"config.json states no {name}.", ADVICE)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise BadInput(
                f"config.json: {name} is {str(value)[:60]!r}, not a whole number from {least} to {most:,}.", ADVICE
            )
        return value

    def flag(self, key: str) -> bool:
        """A switch: on only where the family has it."""
        return bool(self.value(key))

    def listed(self, key: str) -> list[Any] | None:
        """A list, None for anything else."""
        value = self.value(key)
        return value if isinstance(value, list) else None


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
    experts: int
    experts_per_token: int
    expert_intermediate: int
    window: int | None
    sliding_layers: int
    read: Reader = field(compare=False, repr=False)
    mixers: tuple[str, ...] = ()
    """For each layer what mixes its tokens: "full", "sliding", "linear", "conv", "mamba", "none", ..."""
    sparse: tuple[bool, ...] = ()
    """For each layer whether its feed-forward part is a mixture of experts."""

    def num(self, key: str) -> int:
        """A whole number that only this family has, 0 where it is absent or null."""
        return self.read.size(key, derived=0, least=0)

    def flag(self, key: str | bool) -> bool:
        """A switch of this family by its name; a bool is itself."""
        return key if isinstance(key, bool) else self.read.flag(key)

    @property
    def query(self) -> int:
        """Width of all heads."""
        return self.heads * self.head_dim

    @property
    def key(self) -> int:
        """Width of all key (or value) heads."""
        return self.kv_heads * self.head_dim


Build = Callable[[Sizes], Parts]
Sparse = Callable[[Sizes], "tuple[bool, ...]"]


def every_full(s: Sizes) -> tuple[str, ...]:
    return ("full",) * s.layers


def every_sparse(s: Sizes) -> tuple[bool, ...]:
    return (s.experts > 0,) * s.layers


def as_many(read: Reader, heads: int) -> int:
    """Every head has keys of its own, whatever the config says."""
    return heads


def one_if_shared(read: Reader, heads: int) -> int:
    """One key-value head for all where `multi_query` is on."""
    return 1 if read.flag("multi_query") else heads


def no_parts(s: Sizes) -> Parts:
    return ()


@dataclass(frozen=True)
class Family:
    """One row: everything that differs between families.

    `mixer` and `feed` give the parts of attention and of the feed-forward part in forward order, `mixers` those of
    layers that mix otherwise (by the name that `kinds` gives them), `mixture` those of a mixture of experts in the
    layers that `sparse` names.  `keys` gives the names of a size where they are neither the usual one nor the class's.
    """

    model_type: str
    title: str
    architecture: str
    mixer: Build
    feed: Build
    mixers: Mapping[str, Build] = field(default_factory=dict)
    kinds: Callable[[Sizes], tuple[str, ...]] = every_full
    mixture: Build | None = None
    sparse: Sparse = every_sparse
    norms: tuple[str, ...] = PRE
    more_norms: Build = no_parts
    """Norms and other small tensors of a layer that its config switches."""
    outside: Build = no_parts
    """What the model holds besides layers, embeddings, final norm and head."""
    defaults: Config = field(default_factory=dict)
    """Over those of the config class."""
    defaults_of: str | None = None
    """The model type whose class's defaults hold, where there is none of the row's own."""
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    key_heads: Callable[[Reader, int], int] | None = None
    """How many key-value heads there are, given the config and the heads; by `num_key_value_heads` where not given."""
    ignored: tuple[str, ...] = ()
    """Keys that the class doesn't read, whatever the config says."""
    embedding: str = "model.embed_tokens"
    position_table: str | None = None
    extra_positions: int = 0
    layers: str = "model.layers"
    final_norm: str | None = "model.norm"
    norm: Literal["rms", "layer"] = "rms"
    norm_bias: bool | None = None
    """Whether norms have a shift; those of layer norms do unless said otherwise."""
    head_bias: bool | str = False
    gated_mlp: bool = True
    qk_norm: bool | str = False
    bias: bool | str = "attention_bias"
    """Whether query, key and value carry a bias: always, never, or by that switch of the config."""
    own_head_dim: bool = True
    """config.json may state a head_dim of its own."""
    latent: bool = False
    """Keys and values pass through a narrow latent (DeepSeek's MLA)."""
    window: Callable[[Config, int], windows.Window] = windows.none
    remote_code: bool = False
    """transformers has no class for it: the model brings code of its own, from which the row was read."""

    @property
    def norm_shift(self) -> bool:
        """Whether the norms over the hidden width have a shift beside their scale."""
        return self.norm == "layer" if self.norm_bias is None else self.norm_bias

    @property
    def norms_per_layer(self) -> int:
        """Norms over the hidden width in one layer; norms without weights count, too."""
        return len(self.norms) or 2


def sizes(family: Family, config: Config, *, inside: bool = False) -> Sizes:
    """Read `config`; what it leaves out is what transformers' class would take.

    `inside` says that it is the language model's part of another's config, as which LLaVA's leave out even its width.
    Raises BadInput naming the key where a size is missing or no positive whole number.
    """
    read = Reader(family, config)
    # A file that doesn't state these two is no model's config, whatever the class's defaults are.
    hidden, heads = read.size("hidden_size", stated=not inside), read.size("num_attention_heads")
    layers = read.size("num_hidden_layers", most=10_000, stated=not inside)
    kv_heads = family.key_heads(read, heads) if family.key_heads else read.size("num_key_value_heads", derived=heads)
    head_dim = read.size("head_dim", derived=hidden // heads) if family.own_head_dim else hidden // heads
    intermediate = read.size("intermediate_size", derived=4 * hidden)
    if family.latent:
        kv_heads, head_dim = heads, read.size("qk_nope_head_dim") + read.size("qk_rope_head_dim")
    experts = read.size("num_experts", derived=0, least=0) if family.mixture else 0
    window, sliding = family.window({**read.defaults, **config}, layers)
    if heads % kv_heads or not head_dim:
        raise BadInput(
            f"config.json has {heads} attention heads, {kv_heads} key-value heads and a hidden size of {hidden}, "
            "which don't divide.", ADVICE
        )
    plain = Sizes(
        hidden=hidden, intermediate=intermediate, layers=layers, heads=heads, kv_heads=kv_heads, head_dim=head_dim,
        vocab=read.size("vocab_size"), context=read.size("max_position_embeddings", derived=2048),
        tied=read.flag("tie_word_embeddings"), experts=experts,
        experts_per_token=read.size("num_experts_per_tok", derived=1) if experts else 0,
        expert_intermediate=read.size("moe_intermediate_size", derived=intermediate) if experts else 0,
        window=window, sliding_layers=sliding, read=read,
    )
    return _with_layers(family, plain)


def _with_layers(family: Family, plain: Sizes) -> Sizes:
    mixers = family.kinds(plain)
    sparse = family.sparse(plain) if family.mixture else (False,) * plain.layers
    if len(mixers) != plain.layers or len(sparse) != plain.layers:
        raise BadInput(
            f"config.json lists {len(mixers)} kinds of layers for {plain.layers} layers.", ADVICE
        )
    return replace(plain, mixers=mixers, sparse=sparse)


def parts(family: Family, s: Sizes, mixer: str, sparse: bool) -> Parts:
    """The parts of one decoder layer of that kind, in forward order."""
    mixed = family.mixers.get(mixer, family.mixer)(s)
    fed = family.mixture(s) if sparse and family.mixture else family.feed(s)
    return mixed + fed + normed(family, s) + family.more_norms(s)


def normed(family: Family, s: Sizes) -> Parts:
    """The layer's norms over the hidden width."""
    return tuple(norm(name, s.hidden, family.norm_shift) for name in family.norms)
