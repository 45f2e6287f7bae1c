"""What LoRA's matrices hold before the first step, where that takes more than the sizes: rows, or the base's weights.

A start that changes the base (PiSSA, OLoRA, CorDA, LoRA-GA) or reads rows (EVA, CorDA, LoRA-GA) is made once and kept
beside the run: later attempts and the saving of the result begin from what is kept, for a second decomposition would
not give the same numbers, and other rows other matrices.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftui.data.token_rows import UNTRAINED
from ftui.errors import BadInput
from ftui.methods.lora import CHANGES_BASE, LoraOptions
from ftui.recipe import assign
from ftui.recipe.document import Recipe
from ftui.worker.adapters.lora import built, config_of, lora, resolved_options
from ftui.worker.adapters.targets import wrapped
from ftui.worker.checkpoints import aside

if TYPE_CHECKING:
    import torch
    from peft import LoraConfig, PeftModel

Sequences = list[tuple[list[int], list[int]]]
"""Tokens and labels, row by row."""

KEPT = (*CHANGES_BASE, "eva")
WEIGHTS = "adapter_model.safetensors"
PASSES = 200
"""EVA repeats its rows until its directions stand still; so often without that, it never will."""


def changes_base(recipe: Recipe) -> bool:
    """Whether the base under this recipe's adapter is no longer the base model: switched off, something is missing."""
    return isinstance(recipe.adapter, LoraOptions) and recipe.adapter.init in CHANGES_BASE


def started(base: Any, recipe: Recipe, rows: Sequence[Any], tokenizer: Any, kept: Path) -> PeftModel:
    """`base` with its LoRA as the recipe has it start, from the prepared `rows`; `kept` is where a start is kept."""
    recipe = with_token_ids(recipe, tokenizer)
    options = resolved_options(recipe)
    if options.init == "loftq":
        model = lora(base, recipe)
        _make_up_for_quantization(model)
        return model
    if options.init not in KEPT:
        return lora(base, recipe)
    if kept.is_dir():
        return _again(base, options, kept)
    config = config_of(base, recipe)
    chosen = _some(rows, options.start_rows, recipe.train.seed)
    if options.init == "corda":
        _calibrate(base, config, chosen)
    elif options.init == "lora_ga":
        _estimate(base, config, chosen)
    model = built(base, config, options)
    if options.init == "eva":
        _explain(model, chosen, tokenizer.pad_token_id or 0, options)
    with aside(kept) as folder:
        model.save_pretrained(str(folder), save_embedding_layers=False)
    return model


def with_token_ids(recipe: Recipe, tokenizer: Any) -> Recipe:
    """`recipe` with the ids of its adapter's tokens; BadInput for a text that is no token of the tokenizer's."""
    tokens = getattr(recipe.adapter, "tokens", ())
    if not isinstance(recipe.adapter, LoraOptions) or not tokens:
        return recipe
    vocabulary = tokenizer.get_vocab()
    ids = []
    for token in tokens:
        if isinstance(token, str) and not token.isdecimal():
            if token not in vocabulary:
                raise BadInput(
                    f"adapter.tokens: {token!r} is no single token of the base model's tokenizer.",
                    "Name tokens that its vocabulary has, as ftui models show lists the special ones, or their ids.",
                )
            ids.append(vocabulary[token])
        else:
            ids.append(int(token))
    return assign(recipe, {"adapter.tokens": ids})


def sizes_only(recipe: Recipe) -> Recipe:
    """`recipe` with an adapter of the same sizes whose start reads neither rows nor weights nor a tokenizer."""
    options = recipe.adapter
    if not isinstance(options, LoraOptions):
        return recipe
    tokens = [token if isinstance(token, int) else number for number, token in enumerate(options.tokens)]
    init = options.init if options.init == "mica" else "default"
    return assign(recipe, {"adapter.tokens": tokens, "adapter.init": init, "adapter.pissa_iterations": None})


def _again(base: Any, options: LoraOptions, kept: Path) -> PeftModel:
    """The start that is kept in `kept`, put on a base as it was loaded."""
    from peft import LoraConfig, set_peft_model_state_dict
    from safetensors.torch import load_file

    config = LoraConfig.from_pretrained(str(kept))
    config.init_lora_weights, config.inference_mode = True, False
    model: PeftModel = wrapped(base, config)
    set_peft_model_state_dict(model, load_file(kept / WEIGHTS))
    if options.init in CHANGES_BASE:
        _subtract(model)
    return model


def _subtract(model: PeftModel) -> None:
    """Take what the adapter adds out of the base's weights, as peft's own starts do it."""
    import torch
    from peft.tuners.lora import LoraLayer

    with torch.no_grad():
        for module in model.modules():
            if not isinstance(module, LoraLayer):
                continue
            weight, name = module.get_base_layer().weight, "default"
            a, b = module.lora_A[name].weight.float(), module.lora_B[name].weight.float()
            change = module.scaling[name] * b @ a
            change = change.T if getattr(module, "fan_in_fan_out", False) else change
            weight.data = (weight.data.float() - change).to(weight.dtype)


def _some(rows: Sequence[Any], count: int, seed: int) -> Sequences:
    """Tokens and labels of `count` rows drawn by `seed`; rows of which nothing is trained are left out."""
    drawn = random.Random(seed).sample(range(len(rows)), min(count, len(rows)))
    sequences = [as_sequence(rows[index]) for index in drawn]
    found = [(ids, labels) for ids, labels in sequences if any(label != UNTRAINED for label in labels[1:])]
    if not found:
        raise BadInput(
            "adapter.init: none of the rows that it would look at has a trained token.", "Look at: ftui data check"
        )
    return found


def as_sequence(row: Any) -> tuple[list[int], list[int]]:
    """(tokens, labels) of one prepared row of any form: of a pair the chosen answer, of packed rows the first."""
    if "input_ids" in row:
        ids, labels = list(row["input_ids"]), row.get("labels")
        end = next(iter(row.get("seq_lengths") or ()), len(ids))
        return ids[:end], list(labels)[:end] if labels is not None else ids[:end]
    prompt = list(row["prompt_ids"])
    answer = list(row.get("chosen_ids") or row.get("completion_ids") or ())
    return prompt + answer, [UNTRAINED] * len(prompt) + answer if answer else prompt


def _tensor(values: list[int], model: Any) -> torch.Tensor:
    import torch

    return torch.tensor([values], device=model.get_input_embeddings().weight.device)


def _calibrate(base: Any, config: LoraConfig, rows: Sequences) -> None:
    """CorDA (https://arxiv.org/abs/2406.05223): how each module's inputs vary together, one row at a time."""
    from peft.tuners.lora.corda import preprocess_corda

    def read() -> None:
        for ids, _ in rows:
            base(input_ids=_tensor(ids, base), use_cache=False)

    training = base.training
    preprocess_corda(base, config, run_model=read)
    base.train(training)


def _estimate(base: Any, config: LoraConfig, rows: Sequences) -> None:
    """LoRA-GA (https://arxiv.org/abs/2407.05000): the gradient of each module's weight, summed over the rows."""
    from peft.tuners.lora.loraga import preprocess_loraga

    def step() -> None:
        for ids, labels in rows:
            base(input_ids=_tensor(ids, base), labels=_tensor(labels, base), use_cache=False).loss.backward()

    with warnings.catch_warnings():
        # The first layers' inputs need no gradient, of which torch's hooks remark.
        warnings.filterwarnings("ignore", message="Full backward hook", category=UserWarning)
        preprocess_loraga(base, config, train_step=step)


def _explain(model: PeftModel, rows: Sequences, pad: int, options: LoraOptions) -> None:
    """EVA (https://arxiv.org/abs/2410.07170): the directions in which each module's inputs vary most."""
    from peft import initialize_lora_eva_weights

    least = round(max(int(options.rank), *options.rank_pattern.values(), 0) * options.eva_rho)
    batches = list(_batches(rows, pad, least, model))
    left = PASSES * max(len(batches), 5)

    def forward(model: Any, inputs: dict[str, Any]) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise BadInput(
                f"EVA's directions did not settle on {len(rows)} rows.",
                "Raise adapter.start_rows, lower adapter.rank, or write adapter.init: default.",
            )
        return model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False)

    initialize_lora_eva_weights(model, dataloader=batches, forward_fn=forward, show_progress_bar=False)


def _batches(rows: Sequences, pad: int, least: int, model: Any) -> Iterator[dict[str, torch.Tensor]]:
    """Padded batches of at least `least` trained tokens each, which is how many directions are sought."""
    import torch

    groups: list[Sequences] = [[]]
    for row in rows:
        if _trained(groups[-1]) >= 2 * least:
            groups.append([])
        groups[-1].append(row)
    if len(groups) > 1 and _trained(groups[-1]) < least:
        groups[-2] += groups.pop()
    if _trained(groups[0]) < least:
        raise BadInput(
            f"EVA seeks {least} directions and finds only {_trained(groups[0])} trained tokens in {len(rows)} rows.",
            "Raise adapter.start_rows, lower adapter.rank, or write adapter.init: default.",
        )
    device = model.get_input_embeddings().weight.device
    for group in groups:
        width = max(len(ids) for ids, _ in group)
        filled = [
            [values + [fill] * (width - len(values)) for values in column]
            for column, fill in (([ids for ids, _ in group], pad), ([labels for _, labels in group], UNTRAINED),
                                 ([[1] * len(ids) for ids, _ in group], 0))
        ]
        names = ("input_ids", "labels", "attention_mask")
        yield {name: torch.tensor(values, device=device) for name, values in zip(names, filled, strict=True)}


def _trained(rows: Sequences) -> int:
    return sum(label != UNTRAINED for _, labels in rows for label in labels)


def _make_up_for_quantization(model: PeftModel) -> None:
    """LoftQ (https://arxiv.org/abs/2310.08659): the matrices begin as the low-rank part of what 4 bits lost.

    As peft's `replace_lora_weights_loftq` does it, but on any device, and with the adapter's scale taken into account.
    Raises BadInput where the folder doesn't hold the weights by the names that the loaded model has.
    """
    import torch
    from peft.tuners.lora import LoraLayer
    from peft.utils.integrations import dequantize_module_weight
    from peft.utils.loftq_utils import _low_rank_decomposition, _SafetensorLoader

    config: Any = model.get_base_model().config
    folder = config._name_or_path
    try:
        stored = _SafetensorLoader(model, folder)
        with torch.no_grad():
            for path, module in model.named_modules():
                if not isinstance(module, LoraLayer) or type(module.get_base_layer()).__name__ != "Linear4bit":
                    continue
                layer, name = module.get_base_layer(), "default"
                whole = stored.get_tensor(path.removeprefix("base_model.model.") + ".weight")
                device, rank = layer.weight.device, module.r[name]
                lost = whole.to(device, torch.float32) - dequantize_module_weight(layer).float()
                found = _low_rank_decomposition(lost, reduced_rank=rank)
                a, b = module.lora_A[name].weight, module.lora_B[name].weight
                a.data = found["R"].to(a.dtype).contiguous()
                b.data = (found["L"] / module.scaling[name]).to(b.dtype).contiguous()
    except (OSError, KeyError) as error:
        raise BadInput(
            f"LoftQ needs the base model's safetensors under the modules' own names, and {folder} lacks them.",
            "Write adapter.init: default, or eva.",
        ) from error
