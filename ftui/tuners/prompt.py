"""A soft prompt as a tuner layer around the decoder: trained vectors before the text that nothing outside sees.

peft's own prompt tuning lengthens the labels and the logits, which is why it can't stand beside another adapter.  This
one puts the vectors in front on the way into the decoder and takes their hidden states away on the way out, so that
logits, labels and losses keep the text's length.  Lester et al. 2021, https://arxiv.org/abs/2104.08691.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from peft.config import PeftConfig
from torch import nn

from ftui.tuners.registering import type_named
from ftui.tuners.wrapping import BlockTuner, Wrapper


@dataclass
class SoftPromptConfig(PeftConfig):
    """A soft prompt for peft."""

    virtual_tokens: int = field(default=20, metadata={"help": "Trained vectors before the text."})
    target_modules: list[str] | str | None = field(
        default=None, metadata={"help": "The name of the decoder; the model's own where left out."}
    )
    modules_to_save: list[str] | None = field(
        default=None, metadata={"help": "Other modules that train whole and are saved with the adapter."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = type_named("SOFT_PROMPT")


class SoftPromptLayer(Wrapper):
    """A decoder with vectors before its inputs."""

    depth = 2
    adapter_layer_names = ("soft_prompt_vectors",)

    def __init__(self, base_layer: nn.Module):
        super().__init__(base_layer)
        self.soft_prompt_vectors = nn.ParameterDict()

    def update_layer(self, adapter_name: str, config: SoftPromptConfig) -> None:
        """Add a prompt of the embeddings of tokens drawn at random, which start better than random numbers do."""
        table = self.base_layer.get_input_embeddings()
        chosen = torch.randperm(table.num_embeddings)[: config.virtual_tokens]
        with torch.no_grad():
            # Through the module, for some models scale what they look up.
            vectors = table(chosen.to(table.weight.device)).to(torch.float32)
        self.soft_prompt_vectors[adapter_name] = nn.Parameter(vectors)
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(
        self, input_ids: torch.Tensor | None = None, attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None, past_key_values: Any = None,
        inputs_embeds: torch.Tensor | None = None, **kwargs: Any,
    ) -> Any:
        """The decoder's output for the text alone, which has read the prompts that are on."""
        vectors = [self.soft_prompt_vectors[name] for name in self.shown()]
        count = sum(len(one) for one in vectors)
        if not count:
            return self.base_layer(
                input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids,
                past_key_values=past_key_values, inputs_embeds=inputs_embeds, **kwargs,
            )
        given = input_ids if input_ids is not None else inputs_embeds
        if given is None:
            raise ValueError("A model with a soft prompt needs input_ids or inputs_embeds.")
        first = past_key_values is None or past_key_values.get_seq_length() == 0
        if attention_mask is not None:
            if not (isinstance(attention_mask, torch.Tensor) and attention_mask.ndim == 2):
                raise ValueError("A soft prompt needs an attention mask of one number per token, not of pairs.")
            seen = attention_mask.new_ones(attention_mask.shape[0], count)
            attention_mask = torch.cat([seen, attention_mask], dim=1)
        if position_ids is not None:
            position_ids = position_ids + count
            if first:
                before = torch.arange(count, device=position_ids.device).expand(position_ids.shape[0], -1)
                position_ids = torch.cat([before, position_ids], dim=1)
        # The decoder counts these by itself, from what is cached.
        kwargs.pop("cache_position", None)
        if first:
            if inputs_embeds is None:
                inputs_embeds = self.base_layer.get_input_embeddings()(input_ids)
            prompt = torch.cat(vectors).to(inputs_embeds.dtype).expand(inputs_embeds.shape[0], -1, -1)
            input_ids, inputs_embeds = None, torch.cat([prompt, inputs_embeds], dim=1)
        output = self.base_layer(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids,
            past_key_values=past_key_values, inputs_embeds=inputs_embeds, **kwargs,
        )
        return _without(output, count) if first else output


def _without(output: Any, count: int) -> Any:
    """The decoder's output without its first `count` positions."""
    if isinstance(output, tuple):
        return (output[0][:, count:], *output[1:])
    output.last_hidden_state = output.last_hidden_state[:, count:]
    if output.get("hidden_states") is not None:
        output.hidden_states = tuple(one[:, count:] for one in output.hidden_states)
    return output


class SoftPromptModel(BlockTuner):
    """Puts a soft prompt around a model's decoder."""

    prefix = "soft_prompt_"
    tuner_layer_cls = SoftPromptLayer

    def _prepare_adapter_config(self, peft_config: Any, model_config: dict[str, Any]) -> PeftConfig:
        if peft_config.target_modules is None:
            # A pattern for the whole name: as a list it would match every module of that name.
            peft_config.target_modules = self.model.base_model_prefix
        result: PeftConfig = peft_config
        return result

    def _create_and_replace(
        self, peft_config: Any, adapter_name: str, target: nn.Module, target_name: str, parent: nn.Module,
        current_key: str, parameter_name: str | None = None,
    ) -> None:
        if isinstance(target, SoftPromptLayer):
            target.update_layer(adapter_name, peft_config)
            return
        layer = SoftPromptLayer(target)
        layer.set_adapter(self.active_adapters)
        layer.update_layer(adapter_name, peft_config)
        self._replace_module(parent, target_name, layer, target)
