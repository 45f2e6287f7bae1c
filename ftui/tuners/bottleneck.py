"""Bottleneck adapters and Compacter: small networks of their own behind, or beside, attention and MLP.

* Houlsby et al. 2019, https://arxiv.org/abs/1902.00751: behind attention and behind the MLP of every layer;
* Pfeiffer et al. 2021, https://arxiv.org/abs/2005.00247: behind the MLP alone;
* He et al. 2022, https://arxiv.org/abs/2110.04366: beside the MLP, on its input;
* Compacter, Karimi Mahabadi et al. 2021, https://arxiv.org/abs/2106.04647: the two matrices of a bottleneck as sums of
  Kronecker products, with one set of left factors for the whole model and right factors of low rank.

An adapter starts as the identity: whatever comes last in it is zero.  It can't be merged, since it isn't linear.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from peft.config import PeftConfig
from torch import nn
from torch.nn import functional

from ftui.tuners.registering import type_named
from ftui.tuners.wrapping import BlockTuner, Wrapper, sublayers

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": functional.relu, "gelu": functional.gelu, "silu": functional.silu, "tanh": torch.tanh,
}


@dataclass
class BottleneckConfig(PeftConfig):
    """A bottleneck adapter for peft."""

    width: int = field(default=64, metadata={"help": "The bottleneck's width."})
    placement: Literal["houlsby", "pfeiffer", "parallel"] = field(
        default="houlsby",
        metadata={"help": "Behind attention and MLP (houlsby), behind the MLP (pfeiffer), or beside it (parallel)."},
    )
    activation: Literal["relu", "gelu", "silu", "tanh"] = field(
        default="relu", metadata={"help": "The function between the two matrices."}
    )
    scale: float = field(default=1.0, metadata={"help": "The adapter's output is multiplied by this."})
    target_modules: list[str] | str | None = field(
        default=None, metadata={"help": "Names of the blocks that get an adapter; found by placement where left out."}
    )
    exclude_modules: list[str] | str | None = field(default=None, metadata={"help": "Names of blocks that get none."})
    layers_to_transform: list[int] | int | None = field(
        default=None, metadata={"help": "The layers that get adapters, by number; all where left out."}
    )
    layers_pattern: list[str] | str | None = field(
        default=None, metadata={"help": "What the list of layers is called, where that isn't plain."}
    )
    modules_to_save: list[str] | None = field(
        default=None, metadata={"help": "Other modules that train whole and are saved with the adapter."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = type_named("BOTTLENECK")
        if self.placement not in ("houlsby", "pfeiffer", "parallel"):
            raise ValueError(f"placement is {self.placement!r}; it must be houlsby, pfeiffer or parallel.")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation is {self.activation!r}; it must be one of {', '.join(ACTIVATIONS)}.")


@dataclass
class CompacterConfig(BottleneckConfig):
    """Compacter for peft: a bottleneck adapter whose matrices are sums of `products` Kronecker products."""

    width: int = field(default=32, metadata={"help": "The bottleneck's width."})
    activation: Literal["relu", "gelu", "silu", "tanh"] = field(
        default="gelu", metadata={"help": "The function between the two matrices."}
    )
    products: int = field(
        default=4, metadata={"help": "Kronecker products per matrix (n); it must divide the model's width and `width`."}
    )
    rank: int = field(default=1, metadata={"help": "Rank of the products' right factors."})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = type_named("COMPACTER")


class KroneckerLinear(nn.Module):
    """A linear map whose matrix is the sum over i of rule[i] ⊗ (left[i] · right[i]).

    `rule` is (n, n, n) and belongs to the whole model, `left` (n, inputs / n, rank), `right` (n, rank, outputs / n).
    """

    def __init__(self, inputs: int, outputs: int, products: int, rank: int, *, zero: bool):
        super().__init__()
        self.left = nn.Parameter(torch.empty(products, inputs // products, rank))
        self.right = nn.Parameter(torch.zeros(products, rank, outputs // products))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.xavier_normal_(self.left)
        if not zero:
            nn.init.xavier_normal_(self.right)

    def forward(self, x: torch.Tensor, rule: torch.Tensor) -> torch.Tensor:
        """`x` (..., inputs) to (..., outputs)."""
        blocks = torch.bmm(self.left, self.right)
        inputs, outputs = rule.shape[1] * blocks.shape[1], rule.shape[2] * blocks.shape[2]
        weight = torch.einsum("nab,ncd->acbd", rule, blocks).reshape(inputs, outputs)
        return functional.linear(x, weight.t(), self.bias)


class BottleneckLayer(Wrapper):
    """A block with bottleneck adapters behind or beside it."""

    adapter_layer_names = ("bottleneck_down", "bottleneck_up")
    other_param_names = ("bottleneck_settings",)

    def __init__(self, base_layer: nn.Module, hidden: int, rules: nn.ParameterDict):
        """`rules` holds Compacter's shared factors by the adapter's name; the model owns them, not the layer."""
        super().__init__(base_layer)
        self.bottleneck_down, self.bottleneck_up = nn.ModuleDict(), nn.ModuleDict()
        self.bottleneck_settings: dict[str, BottleneckConfig] = {}
        self.hidden = hidden
        self._rules = (rules,)

    def update_layer(self, adapter_name: str, config: BottleneckConfig) -> None:
        """Add an adapter that is the identity."""
        first = next(self.base_layer.parameters())
        of_products = isinstance(config, CompacterConfig)
        made = _pair_of_products(self.hidden, config) if of_products else _pair(self.hidden, config)
        if not any(parameter.is_meta for pair in made for parameter in pair.parameters()):
            made = tuple(half.to(first.device) for half in made)
        self.bottleneck_down[adapter_name], self.bottleneck_up[adapter_name] = made
        self.bottleneck_settings[adapter_name] = config
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The block's output, its first tensor changed by the adapters that are on."""
        output = self.base_layer(*args, **kwargs)
        names = self.shown()
        if not names:
            return output
        y = output[0] if isinstance(output, tuple) else output
        given = args[0] if args else kwargs["hidden_states"]
        changed = y
        for name in names:
            parallel = self.bottleneck_settings[name].placement == "parallel"
            changed = changed + self._change(name, given if parallel else y).to(y.dtype)
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    def _change(self, name: str, x: torch.Tensor) -> torch.Tensor:
        config = self.bottleneck_settings[name]
        down: Any = self.bottleneck_down[name]
        up, act = self.bottleneck_up[name], ACTIVATIONS[config.activation]
        x = self._cast_input_dtype(x, down.bias.dtype)
        if isinstance(config, CompacterConfig):
            rule = self._rules[0][name]
            y = up(act(down(x, rule)), rule)
        else:
            y = up(act(down(x)))
        return y if config.scale == 1.0 else y * config.scale


def _pair(hidden: int, config: BottleneckConfig) -> tuple[nn.Module, ...]:
    down, up = nn.Linear(hidden, config.width), nn.Linear(config.width, hidden)
    for zero in (down.bias, up.weight, up.bias):
        nn.init.zeros_(zero)
    return down, up


def _pair_of_products(hidden: int, config: Any) -> tuple[nn.Module, ...]:
    n, rank = config.products, config.rank
    if hidden % n or config.width % n:
        raise ValueError(f"products is {n}, which must divide the model's width {hidden} and the width {config.width}.")
    return (
        KroneckerLinear(hidden, config.width, n, rank, zero=False),
        KroneckerLinear(config.width, hidden, n, rank, zero=True),
    )


class BottleneckModel(BlockTuner):
    """Puts bottleneck adapters around the blocks of a decoder's layers."""

    prefix = "bottleneck_"
    tuner_layer_cls = BottleneckLayer

    def _pre_injection_hook(self, model: nn.Module, config: PeftConfig, adapter_name: str) -> None:
        self.bottleneck_rules = nn.ParameterDict()

    def _prepare_adapter_config(self, peft_config: Any, model_config: dict[str, Any]) -> PeftConfig:
        if peft_config.target_modules is None:
            attention, mlp = sublayers(self.model)
            wanted = [*attention, *mlp] if peft_config.placement == "houlsby" else mlp
            if not mlp or (peft_config.placement == "houlsby" and not attention):
                raise ValueError(
                    "Target modules for a bottleneck adapter were not found in the base model: none of its layers' "
                    "blocks has a usual name. Name them in `target_modules`."
                )
            peft_config.target_modules = wanted
        result: PeftConfig = peft_config
        return result

    def _create_and_replace(
        self, peft_config: Any, adapter_name: str, target: nn.Module, target_name: str, parent: nn.Module,
        current_key: str, parameter_name: str | None = None,
    ) -> None:
        if isinstance(target, BottleneckLayer):
            target.update_layer(adapter_name, peft_config)
            return
        config = self.model.config
        text = config.get_text_config() if hasattr(config, "get_text_config") else config
        layer = BottleneckLayer(target, text.hidden_size, self.bottleneck_rules)
        layer.set_adapter(self.active_adapters)
        layer.update_layer(adapter_name, peft_config)
        self._replace_module(parent, target_name, layer, target)


class CompacterModel(BottleneckModel):
    """Puts Compacter's adapters there; it owns the factors that all of them share."""

    uses_shared_state = True
    prefix = "compacter_"

    def inject_adapter(self, model: nn.Module, adapter_name: str, *args: Any, **kwargs: Any) -> None:
        """As ever, after the adapter's shared factors were made."""
        config: Any = self.peft_config[adapter_name]
        rule = torch.empty(config.products, config.products, config.products, device=next(model.parameters()).device)
        # So that the sum of the products is about as large as each product's right factor.
        self.bottleneck_rules[adapter_name] = nn.Parameter(nn.init.normal_(rule, std=config.products**-0.5))
        super().inject_adapter(model, adapter_name, *args, **kwargs)
        self._train_active_rules()

    def set_adapter(self, adapter_name: str | list[str], inference_mode: bool = False) -> None:
        """Set the active adapters and with them whose shared factors train."""
        super().set_adapter(adapter_name, inference_mode=inference_mode)
        self._train_active_rules(inference_mode)

    def delete_adapter(self, adapter_name: str) -> None:
        """Delete an adapter and its shared factors."""
        super().delete_adapter(adapter_name)
        del self.bottleneck_rules[adapter_name]

    def _train_active_rules(self, inference_mode: bool = False) -> None:
        for name, rule in self.bottleneck_rules.items():
            off = inference_mode or (name in self.peft_config and self.peft_config[name].inference_mode)
            rule.requires_grad_(name in self.active_adapters and not off)
