"""Adapters in front of the model: trained tokens, prefixes and prompts.  They can't be merged into the weights."""

from __future__ import annotations

from typing import Any, Literal

from ftui.methods.options import AdapterOptions, kind, rank, switch, tasks, whole
from ftui.methods.row import AdapterRow, Compared
from ftui.settings import setting


def _tokens(default: int, help: str = "Trained vectors that stand before every row.") -> Any:
    return whole(default, "Virtual tokens", help, "More can learn more, and lengthen every row.", most=65_536)


def _text(what: str, else_: str) -> Any:
    return setting(
        "", title="Initial text", help=f"{what} begin as those of this text, repeated or cut to fit; {else_}.",
        why="A sentence that says the task gives a better start than chance.",
    )


def _pieces(title: str, help: str) -> Any:
    return setting(
        (), title=title, help=help, why="A few that show the task; the answers train as well.", separator="\n"
    )


class PromptTuningOptions(AdapterOptions):
    """Trained embeddings before the text."""

    kind: Literal["prompt_tuning"] = kind("prompt_tuning", "Prompt tuning trains embeddings before each row.",
                                          "prompt tuning")
    virtual_tokens: int = _tokens(20)
    text: str = _text("The embeddings", "empty takes random tokens' of the vocabulary")


class MultitaskPromptTuningOptions(AdapterOptions):
    """Embeddings that tasks share, scaled by each task's own thin map."""

    kind: Literal["multitask_prompt_tuning"] = kind(
        "multitask_prompt_tuning", "Multitask prompt tuning shares embeddings among tasks and scales them for each.",
        "prompt tuning",
    )
    virtual_tokens: int = _tokens(20)
    tasks: int = tasks()
    rank: int = rank(1, "The inner width of each task's own map.")
    text: str = _text("The embeddings", "empty takes random tokens' of the vocabulary")


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
    text: str = _text("The keys and values", "empty, or with a projection, leaves them to chance")


class CartridgeOptions(AdapterOptions):
    """A trained cache of a text's keys and values."""

    kind: Literal["cartridge"] = kind("cartridge", "A cartridge trains the cache that a long text leaves.", "cartridge")
    virtual_tokens: int = _tokens(64, "Trained keys and values that stand before every row, in each layer.")
    frozen_tokens: int = whole(
        1, "Frozen tokens", "The first of them stay as they begin.", "One keeps attention's resting place.", least=0,
        most=65_536,
    )
    text: str = _text("The keys and values", "empty leaves them to chance")


class CptOptions(AdapterOptions):
    """Worked examples whose embeddings may move a little."""

    kind: Literal["cpt"] = kind("cpt", "CPT puts worked examples before each row and tunes their embeddings.", "CPT")
    virtual_tokens: int = _tokens(64, "Tokens of the examples that stand before every row, repeated or cut to fit.")
    prompts: tuple[str, ...] = _pieces("Example prompts", "What the worked examples ask.")
    answers: tuple[str, ...] = _pieces("Example answers", "The answers, in the prompts' order.")
    epsilon: float = setting(
        0.1, title="Leeway", help="How far an example token's embedding may move, at a hidden width of 2048.",
        why="Raise it where the examples alone can't say the task.", advanced=True, gt=0, le=100,
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
    tokens: int = whole(2, "Tokens", "How many of the vocabulary's last tokens train.", "As many as were added.",
                        most=1 << 20)
    names: tuple[str, ...] = setting(
        (), title="Names", help="The tokens that train, as the tokenizer spells them; empty takes the last ones.",
        why="Name them where they aren't the last of the vocabulary.", separator="\n",
    )

    @property
    def count(self) -> int:
        """How many embeddings train."""
        return len(set(self.names)) or self.tokens


Options = (
    PromptTuningOptions | MultitaskPromptTuningOptions | PTuningOptions | PrefixTuningOptions | CartridgeOptions
    | CptOptions | AdaptionPromptOptions | TrainableTokensOptions
)

VIRTUAL = "its virtual tokens lengthen every prompt"
CACHED = "its virtual tokens stand in the cache: memory, hardly time"

ROWS = (
    AdapterRow(
        kind="prompt_tuning", title="Prompt tuning", mergeable=False, on_nf4=True, on_int8=True,
        when="Many small tasks on one served model; it learns least.",
        formula="n·h, n the virtual tokens", inference=VIRTUAL, variants="a text to begin with",
        options=PromptTuningOptions, source="https://arxiv.org/abs/2104.08691",
        compared=Compared(0.343, 614_400, "200 tokens from the vocabulary", rate=1e-3),
    ),
    AdapterRow(
        kind="multitask_prompt_tuning", title="Multitask prompt tuning", mergeable=False, on_nf4=True, on_int8=True,
        when="Several related tasks on one served model, each with little data.",
        formula="n·h + tasks·r·(n + h), n the virtual tokens", inference=f"{VIRTUAL}; a call names its task (task_ids)",
        variants="a text to begin with",
        options=MultitaskPromptTuningOptions, source="https://arxiv.org/abs/2303.02861",
    ),
    AdapterRow(
        kind="p_tuning", title="P-tuning", mergeable=False, on_nf4=True, on_int8=True,
        when="As prompt tuning, where that doesn't settle.",
        formula="n·h + 2w·(h + 1) + w² + h, n the virtual tokens, w the encoder's width",
        inference=f"{VIRTUAL}; the network isn't needed",
        options=PTuningOptions, source="https://arxiv.org/abs/2103.10385", compared=Compared(0.350, 28_382_208),
    ),
    AdapterRow(
        kind="prefix_tuning", title="Prefix tuning", mergeable=False, on_nf4=True, on_int8=True,
        when="Many tasks on one served model, each with its own prefix.",
        formula="2n·k per layer, n the virtual tokens, k the keys' width; with a projection n·k + k·(k + 1) and "
                "2k·(k + 1) per layer",
        inference=CACHED, variants="a text to begin with; a projection",
        options=PrefixTuningOptions, source="https://arxiv.org/abs/2101.00190",
        compared=Compared(0.416, 2_867_200, "50 tokens, started from text", rate=5e-3),
    ),
    AdapterRow(
        kind="cartridge", title="Cartridge", mergeable=False, on_nf4=True, on_int8=True,
        when="One long text is asked about again and again: its cache, made small and trained, stands in for it.",
        formula="2·(n − frozen)·k per layer, n the virtual tokens, k the keys' width", inference=CACHED,
        variants="a text to begin with",
        options=CartridgeOptions, source="https://arxiv.org/abs/2506.06266",
    ),
    AdapterRow(
        kind="cpt", title="CPT", mergeable=False, on_nf4=True, on_int8=True,
        when="A handful of worked examples is all the data: in-context learning, tuned.",
        formula="n·h, n the tokens of the examples", inference=VIRTUAL,
        options=CptOptions, source="https://arxiv.org/abs/2410.17222",
    ),
    AdapterRow(
        kind="adaption_prompt", title="LLaMA-Adapter", mergeable=False, on_nf4=True, on_int8=True,
        when="Llama or Mistral, and the model's start must not be disturbed.",
        formula="n·h + 1 per adapted layer, n the virtual tokens",
        inference="a second attention over its virtual tokens in each adapted layer",
        options=AdaptionPromptOptions, source="https://arxiv.org/abs/2303.16199",
        compared=Compared(0.384, 8_601_628, "100 tokens", rate=5e-3),
    ),
    AdapterRow(
        kind="trainable_tokens", title="Trainable tokens", mergeable=True, on_nf4=True, on_int8=True,
        when="New special tokens are to be learnt, and nothing else.",
        formula="h per token", inference="none once merged",
        options=TrainableTokensOptions, source="https://huggingface.co/docs/peft/package_reference/trainable_tokens",
        compared=Compared(0.246, 6_144),
    ),
)
