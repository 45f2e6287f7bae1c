"""LoRA's builder (https://arxiv.org/abs/2106.09685); on a base of 4 bits it is QLoRA.

What `ftui.recipe.lora_combinations` refuses never comes here; what only the loaded model shows (a module that isn't
there, a width that doesn't divide) is said here, with the names that there are.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ftui.errors import BadInput
from ftui.methods.layers import chosen_layers, stacked_layers
from ftui.methods.lora import LoraOptions, pattern_of
from ftui.recipe.document import Recipe
from ftui.worker.adapters.targets import linear_names, target_modules, task_type, wrapped

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel

QUANTIZED = ("Linear4bit", "Linear8bitLt")


def lora(model: Any, recipe: Recipe) -> PeftModel:
    """`model` with LoRA matrices beside its target modules, everything else frozen.

    `ftui.worker.adapters.lora_start` builds through this where the start reads rows, or is to be kept.
    """
    return built(model, config_of(model, recipe), resolved_options(recipe))


def resolved_options(recipe: Recipe) -> LoraOptions:
    """The recipe's options of LoRA, none of them left to the planner."""
    options = recipe.adapter
    if options.kind != "lora" or "auto" in (options.rank, options.alpha, options.dropout):
        raise ValueError(f"not a resolved LoRA recipe: {options}")
    return options


def built(model: Any, config: LoraConfig, options: LoraOptions) -> PeftModel:
    """`model` with the adapter of `config`; BadInput where a name in `options` is none of the model's."""
    with warnings.catch_warnings():
        # peft remarks on patterns that match nothing, which is an error here, and on biases that can't be merged.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"peft\.")
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"peft\.")
        adapted: PeftModel = wrapped(model, config)
    _check_patterns(adapted, options)
    if options.parameters:
        _check_parameters(adapted, options)
    _check_layers(adapted, options)
    if options.init == "mica":
        keep_frozen(adapted)
    if options.qalora_group:
        from ftui.worker.adapters.qalora import group_inputs

        group_inputs(adapted, options.qalora_group)
    return adapted


def keep_frozen(model: Any) -> None:
    """Have `model` remember which of its adapter's matrices are frozen when the adapter was switched off for a while.

    peft makes all of an adapter train as it switches it on again: MiCA's second and LoRA-FA's first matrices, too.
    """
    plain = model.disable_adapter

    @contextmanager
    def disable_adapter() -> Iterator[None]:
        trained = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
        try:
            with plain():
                yield
        finally:
            for parameter, trains in trained:
                parameter.requires_grad_(trains)

    model.disable_adapter = disable_adapter


def config_of(model: Any, recipe: Recipe) -> LoraConfig:
    """peft's configuration for a resolved recipe on this base model."""
    from peft import EvaConfig, LoraConfig
    from peft.tuners.lora.config import CordaConfig, LoraGAConfig

    options = resolved_options(recipe)
    if options.init == "olora" and any(type(module).__name__ == "Conv1D" for module in model.modules()):
        raise BadInput(
            "adapter.init: olora reads this base model's weights the other way round than they are held.",
            "Write adapter.init: pissa or default.",
        )
    depth = model.config.get_text_config().num_hidden_layers
    stack = _replication(model, options.layer_replication, depth) if options.layer_replication else None
    if stack:
        depth = sum(end - start for start, end in stack)
    layers = chosen_layers(options.layers, depth) if options.layers else None
    targets = _targets(model, options, layers)
    return LoraConfig(
        task_type=task_type(recipe),
        r=int(options.rank),
        lora_alpha=options.alpha,  # type: ignore[arg-type]  # peft takes fractions as well
        lora_dropout=float(options.dropout),
        target_modules=targets,
        layers_to_transform=list(layers) if layers is not None and not isinstance(targets, str) else None,
        target_parameters=list(options.parameters) or None,
        rank_pattern=dict(options.rank_pattern),
        alpha_pattern=dict(options.alpha_pattern),
        use_rslora=options.rslora,
        use_dora=options.dora,
        lora_bias=options.bias,
        init_lora_weights=_init(options),
        eva_config=EvaConfig(rho=options.eva_rho) if options.init == "eva" else None,
        corda_config=CordaConfig(corda_method=options.corda_method) if options.init == "corda" else None,
        lora_ga_config=LoraGAConfig() if options.init == "lora_ga" else None,
        trainable_token_indices=_token_ids(model, options) or None,
        layer_replication=stack,
        **_whole_modules(model, options),
    )


def _init(options: LoraOptions) -> Any:
    match options.init:
        # LoftQ's matrices come after: peft's own way would quantize the base anew, and needs CUDA for it.
        case "default" | "loftq":
            return True
        case "pissa":
            return f"pissa_niter_{options.pissa_iterations}" if options.pissa_iterations else "pissa"
        case name:
            return name


def _targets(model: Any, options: LoraOptions, layers: tuple[int, ...] | None) -> str | list[str]:
    """Names or a pattern as peft takes them; it has single layers for names alone, so a pattern becomes whole paths."""
    targets = options.targets
    if pattern := pattern_of(options):
        if layers is None:
            return pattern
        found = [path for path in linear_paths(model) if re.fullmatch(pattern, path) and _layer_of(path) in layers]
        if not found:
            raise BadInput(
                f"The base model has no linear module whose path matches adapter.targets: {targets}.",
                f"Use all-linear, or some of: {', '.join(linear_names(model))}.",
            )
        return found
    if targets != "all-linear":
        return target_modules(targets)
    # CorDA and LoRA-GA look for the modules before peft has spelled out what all-linear means.
    if options.init in ("corda", "lora_ga") and layers is None:
        return linear_paths(model)
    return linear_names(model) if layers is not None else targets


def _layer_of(path: str) -> int | None:
    """The number of the layer that a module is in; None for one outside of the layers."""
    number = re.search(r"\.(\d+)\.", path)
    return int(number[1]) if number else None


def linear_paths(model: Any) -> list[str]:
    """The whole names of all linear modules but the head."""
    head = model.get_output_embeddings()
    return [
        name for name, module in model.named_modules()
        if module is not head and type(module).__name__ in ("Linear", "Conv1D", *QUANTIZED)
    ]


def _replication(model: Any, text: str, depth: int) -> list[tuple[int, int]]:
    """The new stack as peft takes it: runs of old layers, their ends excluded."""
    if getattr(model.config.get_text_config(), "layer_types", None):
        raise BadInput(
            "adapter.layer_replication: this base model's configuration lists its layers one by one, which a deeper "
            "stack would outrun.", "Write adapter.layer_replication: null, or take a Llama or Mistral model.",
        )
    runs: list[tuple[int, int]] = []
    for layer in stacked_layers(text, depth):
        if runs and runs[-1][1] == layer:
            runs[-1] = (runs[-1][0], layer + 1)
        else:
            runs.append((layer, layer + 1))
    return runs


def _whole_modules(model: Any, options: LoraOptions) -> dict[str, Any]:
    """Modules that train whole; where head and embedding are one, that one is named and stays one."""
    if not options.modules_to_save:
        return {}
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    tied = bool(model.config.get_text_config().tie_word_embeddings) and head is not None
    names, ties = [], False
    for name in options.modules_to_save:
        found = {path: module for path, module in model.named_modules() if path == name or path.endswith(f".{name}")}
        if not found:
            parts = sorted({path.rsplit(".", 1)[-1] for path, module in model.named_modules() if path})
            raise BadInput(
                f"The base model has no module {name}, which adapter.modules_to_save names.",
                f"It has: {', '.join(part for part in parts if not part.isdigit())}.",
            )
        if any(type(module).__name__ in QUANTIZED for part in found.values() for module in part.modules()):
            raise BadInput(
                f"adapter.modules_to_save: {name} is quantized, and integers can't be trained.",
                "Name modules that stay as they are (lm_head, embed_tokens, norms), or write model.quantization: none.",
            )
        if tied and any(module is head or module is embedding for module in found.values()):
            ties = True
            names.append(next(path for path, module in model.named_modules() if module is embedding))
        else:
            # Whole paths, for peft takes "norm" for every module whose name ends so, input_layernorm among them.
            names += found
    return {"modules_to_save": list(dict.fromkeys(names)), "ensure_weight_tying": ties}


def _token_ids(model: Any, options: LoraOptions) -> list[int]:
    """The ids of the tokens that train; texts have become ids before (`lora_start.with_token_ids`)."""
    ids = [token for token in options.tokens if isinstance(token, int)]
    if len(ids) != len(options.tokens):
        raise ValueError(f"tokens are still texts: {options.tokens}")
    count = model.get_input_embeddings().num_embeddings
    if ids and not 0 <= min(ids) <= max(ids) < count:
        raise BadInput(
            f"adapter.tokens: the base model has tokens 0 to {count - 1:,}, and {max(ids):,} is asked for.",
            "Name tokens that its vocabulary has.",
        )
    return sorted(set(ids))


def _check_patterns(model: Any, options: LoraOptions) -> None:
    """BadInput for a name in rank_pattern or alpha_pattern that no adapted module has.

    peft renames what is targeted in a mixture's fused experts, so there the names can't be held against the model's.
    """
    from peft.tuners.lora import LoraLayer

    config = model.peft_config["default"]
    if config.target_parameters:
        return
    adapted = (path for path, module in model.named_modules() if isinstance(module, LoraLayer))
    names = [path.removeprefix("base_model.model.") for path in adapted]
    for setting in ("rank_pattern", "alpha_pattern"):
        for pattern in getattr(options, setting):
            if not any(re.match(rf"(.*\.)?({pattern})$", name) for name in names):
                last = sorted({name.rsplit(".", 1)[-1] for name in names})
                raise BadInput(
                    f"adapter.{setting}: no adapted module is called {pattern}.",
                    f"Use some of: {', '.join(last)}, or a pattern of their paths, such as {names[0]}.",
                )


def _check_layers(model: Any, options: LoraOptions) -> None:
    """BadInput where peft, to reach a mixture's fused experts, has taken a pattern for names in all layers."""
    from peft.tuners.lora import LoraLayer

    pattern = pattern_of(options)
    adapted = [
        path.removeprefix("base_model.model.") for path, module in model.named_modules()
        if isinstance(module, LoraLayer) and type(module).__name__ != "ParamWrapper"
    ]
    if pattern and not all(re.fullmatch(pattern, path) for path in adapted):
        raise BadInput(
            "adapter.targets: on this mixture peft takes a pattern for the names that it matches, in all layers.",
            f"Name modules: {', '.join(sorted({path.rsplit('.', 1)[-1] for path in adapted}))}.",
        )


def _check_parameters(model: Any, options: LoraOptions) -> None:
    """BadInput for a tensor in adapter.parameters that the model doesn't have."""
    adapted = {
        f"{path}.{module.parameter_name}".replace(".base_layer", "")
        for path, module in model.named_modules() if type(module).__name__ == "ParamWrapper"
    }
    for wanted in options.parameters:
        if not any(name == wanted or name.endswith(f".{wanted}") for name in adapted):
            raise BadInput(
                f"The base model has no tensor {wanted} outside of linear modules, which adapter.parameters names.",
                "Look at: ftui models show; fused experts are called mlp.experts.gate_up_proj and the like.",
            )
