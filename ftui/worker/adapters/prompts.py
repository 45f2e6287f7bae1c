"""Builders of trained tokens, prefixes and prompts (`ftui.methods.prompts`)."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any

import torch

from ftui.data.token_rows import UNTRAINED
from ftui.errors import BadInput
from ftui.recipe.document import Recipe
from ftui.worker.adapters.targets import task_type, wrapped
from ftui.worker.adapters.tasks import default_to_first


def prompt_tuning(model: Any, recipe: Recipe) -> Any:
    """Embeddings before each row, which begin as those of the initial text or of random tokens."""
    from peft import PromptTuningConfig

    options: Any = recipe.adapter
    adapted = wrapped(
        model,
        PromptTuningConfig(
            task_type=task_type(recipe), num_virtual_tokens=options.virtual_tokens, prompt_tuning_init="SAMPLE_VOCAB"
        ),
    )
    begin_with(adapted, options.text)
    return adapted


def multitask_prompt_tuning(model: Any, recipe: Recipe) -> Any:
    """Embeddings that all tasks share, each scaled by a thin map of its task; rows without a task are the first's."""
    from peft import MultitaskPromptTuningConfig

    options: Any = recipe.adapter
    adapted = wrapped(
        model,
        MultitaskPromptTuningConfig(
            task_type=task_type(recipe), num_virtual_tokens=options.virtual_tokens, num_tasks=options.tasks,
            num_ranks=options.rank, prompt_tuning_init="SAMPLE_VOCAB",
        ),
    )
    begin_with(adapted, options.text)
    default_to_first(adapted)
    return adapted


def p_tuning(model: Any, recipe: Recipe) -> Any:
    """Embeddings before each row, made by a network that isn't needed afterwards."""
    from peft import PromptEncoderConfig

    options: Any = recipe.adapter
    config = PromptEncoderConfig(
        task_type=task_type(recipe), num_virtual_tokens=options.virtual_tokens,
        encoder_hidden_size=options.encoder_width or None,  # type: ignore[arg-type]  # None is the model's own width
    )
    return wrapped(model, config)


def prefix_tuning(model: Any, recipe: Recipe) -> Any:
    """Keys and values before each row in every layer, which may begin as those of a text."""
    from peft import PrefixTuningConfig

    options: Any = recipe.adapter
    config = PrefixTuningConfig(
        task_type=task_type(recipe), num_virtual_tokens=options.virtual_tokens, prefix_projection=options.projection
    )
    adapted = wrapped(model, config)
    if not options.projection:
        begin_with_keys_of(adapted, options.text)
    return adapted


def cartridge(model: Any, recipe: Recipe) -> Any:
    """A trained cache of keys and values that begins as a text's, its first tokens frozen."""
    from peft import CartridgeConfig

    options: Any = recipe.adapter
    config = CartridgeConfig(
        task_type=task_type(recipe), num_virtual_tokens=options.virtual_tokens, num_frozen_tokens=options.frozen_tokens
    )
    adapted = wrapped(model, config)
    begin_with_keys_of(adapted, options.text)
    return adapted


def cpt(model: Any, recipe: Recipe) -> Any:
    """Worked examples as embeddings before each row, which may move a little; the examples' answers train as well."""
    from peft import CPTConfig

    options: Any = recipe.adapter
    ids, kinds = examples(model, options.prompts, options.answers, options.virtual_tokens)
    config = CPTConfig(
        task_type=task_type(recipe), cpt_token_ids=ids, cpt_mask=[1] * len(ids), cpt_tokens_type_mask=kinds,
        opt_projection_epsilon=options.epsilon, opt_projection_format_epsilon=options.epsilon,
    )
    adapted = wrapped(model, config)
    adapted._cpt_forward = types.MethodType(_cpt_forward, adapted)
    return adapted


def _cpt_forward(
    adapted: Any, input_ids: Any, inputs_embeds: Any, config: Any, task_ids: Any, rows: int, **kwargs: Any
) -> Any:
    """As peft's, whose loss takes all logits, but the sum that the model gives by `summed_loss`.

    The examples' answers are trained with each row's and left out of an evaluation, which so compares with others'.
    """
    if not kwargs.get("summed_loss"):
        return type(adapted)._cpt_forward(adapted, input_ids, inputs_embeds, config, task_ids, rows, **kwargs)
    labels = kwargs.pop("labels")
    context = torch.tensor(config.cpt_token_ids, device=labels.device)
    answers = torch.tensor(config.cpt_tokens_type_mask, device=labels.device) % 4 == 0
    trained = answers if adapted.training else torch.zeros_like(answers)
    before = torch.where(trained, context, UNTRAINED).expand(rows, -1)
    embedded = adapted.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
    prompts = adapted.get_prompt(batch_size=rows, task_ids=task_ids).to(embedded.dtype)
    return adapted.base_model(
        inputs_embeds=torch.cat((prompts, embedded), dim=1), labels=torch.cat((before, labels), dim=1), **kwargs
    )


def examples(
    model: Any, prompts: tuple[str, ...], answers: tuple[str, ...], length: int
) -> tuple[list[int], list[int]]:
    """(token ids, peft's kinds of them) of worked examples, repeated or cut to `length`.

    The kinds of the n-th example, from 0, are 4n + 2 for its prompt and 4n + 4 for its answer.  The last token is
    always an answer's, for peft counts on from the last kind.
    """
    pieces = [text_ids(model, text) for pair in zip(prompts, answers, strict=True) for text in pair]
    if not any(pieces):
        raise BadInput("adapter.prompts and adapter.answers hold no text.", "Write a few worked examples there.")
    ids: list[int] = []
    kinds: list[int] = []
    place = 0
    while len(ids) < length:
        piece = pieces[place % len(pieces)]
        ids += piece
        kinds += [2 * place + 2] * len(piece)
        place += 1
    kinds = kinds[:length]
    kinds[-1] = -(-kinds[-1] // 4) * 4
    return ids[:length], kinds


def adaption_prompt(model: Any, recipe: Recipe) -> Any:
    """LLaMA-Adapter: gated prompts in the attention of the upper layers."""
    from peft import AdaptionPromptConfig

    options: Any = recipe.adapter
    layers = min(options.top_layers, model.config.get_text_config().num_hidden_layers)
    config = AdaptionPromptConfig(
        task_type=task_type(recipe), adapter_len=options.virtual_tokens, adapter_layers=layers
    )
    adapted = wrapped(model, config)
    # peft calls the forward that the model had when it was wrapped, and so past the loss that it is taught later.
    adapted.base_model.forward = lambda *args, **kwargs: adapted.base_model.model(*args, **kwargs)
    return adapted


def trainable_tokens(model: Any, recipe: Recipe) -> Any:
    """The embeddings of chosen tokens: those named, or the last ones of the vocabulary."""
    from peft import TrainableTokensConfig

    options: Any = recipe.adapter
    config = TrainableTokensConfig(task_type=task_type(recipe), token_indices=tokens_of(model, options))
    return wrapped(model, config)


def tokens_of(model: Any, options: Any) -> list[int]:
    """Ids of the tokens that are to train; BadInput for a name that is no token."""
    if not options.names:
        end = len(_tokenizer(model)) if model.name_or_path else model.config.get_text_config().vocab_size
        return list(range(max(0, end - options.tokens), end))
    words = _tokenizer(model).get_vocab()
    if unknown := [name for name in options.names if name not in words]:
        raise BadInput(
            f"The tokenizer has no token {unknown[0]!r}, which adapter.names holds.",
            "Name tokens of its vocabulary, or leave adapter.names empty for the last ones.",
        )
    return sorted(words[name] for name in options.names)


def begin_with(adapted: Any, text: str) -> None:
    """Let trained embeddings before each row begin as those of `text`, repeated or cut; nothing for an empty one."""
    if not text:
        return
    encoder, embeddings = adapted.prompt_encoder["default"], adapted.word_embeddings
    ids = torch.tensor(filled(text_ids(adapted.get_base_model(), text), len(encoder.embedding.weight)))
    with torch.no_grad():
        encoder.embedding.weight.copy_(embeddings(ids.to(embeddings.weight.device)))


def begin_with_keys_of(adapted: Any, text: str) -> None:
    """Let a trained prefix begin as the keys and values of `text`, repeated or cut; nothing for an empty one."""
    from peft import initialize_kv_prefix_from_past_key_values

    if not text:
        return
    base = adapted.get_base_model()
    length = adapted.active_peft_config.num_virtual_tokens
    ids = torch.tensor([filled(text_ids(base, text), length)], device=base.device)
    with torch.no_grad():
        cache = base(input_ids=ids, use_cache=True).past_key_values
    initialize_kv_prefix_from_past_key_values(adapted, past_key_values=cache)


def filled(ids: list[int], length: int) -> list[int]:
    """`ids` repeated or cut to `length`."""
    return (ids * -(-length // len(ids)))[:length]


def text_ids(model: Any, text: str) -> list[int]:
    """Token ids of `text` without the tokens that stand at its ends; BadInput for a text that has none."""
    ids: list[int] = _tokenizer(model)(text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise BadInput(f"The adapter's text {text!r} has no tokens.", "Write some words there.")
    return ids


def _tokenizer(model: Any) -> Any:
    from ftui.worker.base import load_tokenizer

    return load_tokenizer(Path(model.name_or_path), None)
