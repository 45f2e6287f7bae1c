"""What a row of the catalogue says: read by the planner, the screens, the docs and the worker's builders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ftui.documents import Document, RowForm

COMPARISON = "https://github.com/huggingface/peft/tree/main/method_comparison/MetaMathQA"


@dataclass(frozen=True)
class ObjectiveRow:
    """One objective. `data` names the canonical row kinds it trains on, `form` what it is handed of them, `head` what
    the model ends in: words, or scores; `source` is its paper or manual.

    `trains` is False for what can be planned but has no builder in the worker yet.
    """

    kind: str
    title: str
    when: str
    data: tuple[str, ...]
    options: type[Document]
    source: str
    form: RowForm = "sequence"
    head: Literal["words", "scores"] = "words"
    best: str = "loss"
    """The value of an evaluation by which the best checkpoint is known."""
    trains: bool = True
    images: bool = False
    """Whether its rows may have images."""

    @property
    def inline(self) -> str:
        """The title within a sentence: REINFORCE and people's names stay as they are."""
        named = self.title[:2].isupper() or self.title.startswith("Kahneman")
        return self.title if named else self.title[0].lower() + self.title[1:]


@dataclass(frozen=True)
class Compared:
    """A result of PEFT's own comparison (`COMPARISON`): Llama 3.2 3B tuned on MetaMathQA, scored on GSM8K.

    `accuracy` is the share of answers that are right, `parameters` how many trained; `how` names the settings that
    differ from the method's defaults there; `rate` is AdamW's learning rate where one was chosen for the method.
    """

    accuracy: float
    parameters: int
    how: str = ""
    rate: float | None = None


@dataclass(frozen=True)
class AdapterRow:
    """One way to choose which parameters train; `on_nf4` and `on_int8` say whether a quantized base works with it.

    `formula` counts the trained parameters (r is the rank, d_in and d_out a module's width, h the model's), `inference`
    says what an answer costs with the adapter on, and `variants` what of its own options is like LoRA's DoRA or rsLoRA.
    `trains` is False for what can be planned but has no builder in the worker yet.  `compared` is the best result of
    PEFT's comparison, where it has one.

    Every mergeable adapter merges exactly into a base that is loaded in 16 or 32 bits, or dequantized first.  Into a
    quantized base as it stands peft merges those that say `requantizes`, with the rounding of a second quantization;
    it refuses the others.

    `saved` says what the result is: a peft adapter beside its base, or a whole model.  `tuners` marks the methods that
    peft lacks: their results load in peft once `ftui.tuners` is imported.
    """

    kind: str
    title: str
    when: str
    mergeable: bool
    on_nf4: bool
    on_int8: bool
    options: type[Document]
    source: str
    trains: bool = True
    compared: Compared | None = None
    formula: str = ""
    inference: str = ""
    variants: str = ""
    requantizes: bool = False
    saved: Literal["adapter", "model"] = "adapter"
    tuners: bool = False
