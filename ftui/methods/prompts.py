"""Adapters in front of the model: trained tokens, prefixes and prompts.  They can't be merged into the weights."""

from __future__ import annotations

from typing import Any, Literal

from ftui.methods.options import AdapterOptions, kind, switch, whole
from ftui.methods.row import AdapterRow, Compared


def _tokens(default: int, help: str = "Trained vectors that stand before every row.") -> Any:
    return whole(default, "Virtual tokens", help, "More can learn more, and lengthen every row.", most=65_536)


class PromptTuningOptions(AdapterOptions):
    """Trained embeddings before the text."""

    kind: Literal["prompt_tuning"] = kind("prompt_tuning", "Prompt tuning trains embeddings before each row.",
                                          "prompt tuning")
    virtual_tokens: int = _tokens(20)


class PTuningOptions(AdapterOptions):
    """Trained embeddings made by a small network."""

    kind: Literal["p_tuning"] = kind("p_tuning", "P-tuning makes the embeddings before each row by a network.",
                                     "P-tuning")
    virtual_tokens: int = _tokens(20)
    encoder_width: int = whole(
        0, "Encoder width", "Inner width of the network; 0 is the model's own.", "Smaller trains less.",
        least=0, most=1 << 20,
    )


class PrefixTuningOptions(AdapterOptions):
    """Trained keys and values before the text, in every layer."""

    kind: Literal["prefix_tuning"] = kind("prefix_tuning", "Prefix tuning trains keys and values for every layer.",
                                          "prefix tuning")
    virtual_tokens: int = _tokens(20, "Trained keys and values that stand before every row, in each layer.")
    projection: bool = switch(
        False, "Projection", "Makes the prefix by a network of the keys' width.", "Steadier for short prefixes.",
    )


class AdaptionPromptOptions(AdapterOptions):
    """LLaMA-Adapter: gated prompts in the upper layers."""

    kind: Literal["adaption_prompt"] = kind("adaption_prompt", "LLaMA-Adapter adds gated prompts to attention.",
                                            "LLaMA-Adapter")
    virtual_tokens: int = _tokens(10, "Trained vectors that attention of each adapted layer sees besides.")
    top_layers: int = whole(30, "Layers", "How many layers, from the top, are adapted.", "Fewer keep more as it was.",
                            most=10_000)


class TrainableTokensOptions(AdapterOptions):
    """Chosen rows of the embedding table."""

    kind: Literal["trainable_tokens"] = kind("trainable_tokens", "Trains chosen tokens' embeddings alone.",
                                             "trainable tokens")
    tokens: int = whole(2, "Tokens", "How many tokens' embeddings train.", "As many as were added.", most=1 << 20)


Options = (
    PromptTuningOptions | PTuningOptions | PrefixTuningOptions | AdaptionPromptOptions | TrainableTokensOptions
)

ROWS = (
    AdapterRow(
        kind="prompt_tuning", title="Prompt tuning", mergeable=False, on_nf4=True, on_int8=True, trains=False,
        when="Many small tasks on one served model; it learns least.",
        options=PromptTuningOptions, source="https://arxiv.org/abs/2104.08691",
        compared=Compared(0.343, 614_400, "200 tokens from the vocabulary"),
    ),
    AdapterRow(
        kind="p_tuning", title="P-tuning", mergeable=False, on_nf4=True, on_int8=True, trains=False,
        when="As prompt tuning, where that doesn't settle.",
        options=PTuningOptions, source="https://arxiv.org/abs/2103.10385", compared=Compared(0.350, 28_382_208),
    ),
    AdapterRow(
        kind="prefix_tuning", title="Prefix tuning", mergeable=False, on_nf4=True, on_int8=True, trains=False,
        when="Many tasks on one served model, each with its own prefix.",
        options=PrefixTuningOptions, source="https://arxiv.org/abs/2101.00190",
        compared=Compared(0.416, 2_867_200, "50 tokens, started from text"),
    ),
    AdapterRow(
        kind="adaption_prompt", title="LLaMA-Adapter", mergeable=False, on_nf4=False, on_int8=False, trains=False,
        when="Llama or Mistral, and the model's start must not be disturbed.",
        options=AdaptionPromptOptions, source="https://arxiv.org/abs/2303.16199",
        compared=Compared(0.384, 8_601_628, "100 tokens"),
    ),
    AdapterRow(
        kind="trainable_tokens", title="Trainable tokens", mergeable=True, on_nf4=True, on_int8=True, trains=False,
        when="New special tokens are to be learnt, and nothing else.",
        options=TrainableTokensOptions, source="https://huggingface.co/docs/peft/package_reference/trainable_tokens",
        compared=Compared(0.246, 6_144),
    ),
)
