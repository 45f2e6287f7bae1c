"""From a canonical row to token ids and the mask of the tokens that the loss is taken on."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftui.data.canonical import Message, Row, RowError
from ftui.data.jinja import Span
from ftui.data.template import ChatTemplate, LossOn
from ftui.data.tokenizer import Encoded, Tokenizer


@dataclass(frozen=True, slots=True)
class Tokens:
    """One row: ids, and for each a 1 where the loss is taken on it."""

    ids: array[int]
    trained: bytearray


@dataclass(frozen=True, slots=True)
class Text:
    """One row as text with the characters to train on; `whole` where every token counts; `ends` that surround it."""

    text: str
    spans: tuple[Span, ...]
    whole: bool
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()


class Writer:
    """Writes rows as text and tokens with one tokenizer, template and choice of what the loss is taken on."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate, loss_on: LossOn) -> None:
        self.tokenizer, self.template, self.loss_on = tokenizer, template, loss_on
        self._bos = (tokenizer.bos_id,) if tokenizer.adds_bos and tokenizer.bos_id is not None else ()
        self._eos = (tokenizer.eos_id,) if tokenizer.eos_id is not None else ()

    def write(self, row: Row) -> Text:
        """The row's text: plain text between BOS (where the model expects one) and EOS, turns by the template.

        Raises RowError where there is nothing that could be trained.
        """
        if row.kind == "text":
            self._with_images(row.value["text"], (), 0)
            return Text(row.value["text"], (), True, self._bos, self._eos)
        if row.kind != "conversation":
            raise RowError(f"a {row.kind} row can't be trained as a conversation")
        rendered = self.template.render_row(row.value["messages"], row.value.get("tools"))
        spans = rendered.turns[-1:] if self.loss_on == "completion" else rendered.turns
        images = len(row.value.get("images", ()))
        text, spans = self._with_images(rendered.text, spans, images)
        return Text(text, spans, self.loss_on == "all" and not images)

    def _with_images(self, text: str, spans: tuple[Span, ...], images: int) -> tuple[str, tuple[Span, ...]]:
        """The text with all tokens of its images; RowError where the model sees none, or places and images differ."""
        if self.tokenizer.image is None:
            if images:
                raise RowError("has images; only LLaVA models can be trained on them")
            return text, spans
        return self.tokenizer.image.expand(text, spans, images)

    def completion(self, value: Mapping[str, Any], answer: Sequence[Message]) -> Text:
        """A prompt with one of its answers; what is trained, or scored, are the assistant's turns of the answer.

        Raises RowError where the template refuses it.
        """
        rendered = self.template.render_row([*value["prompt"], *answer], value.get("tools"))
        turns = sum(message["role"] == "assistant" for message in answer)
        return Text(rendered.text, rendered.turns[-turns:], False)

    def prompt(self, messages: Sequence[Message], tools: Any = None) -> Text:
        """The turns up to where the assistant begins; nothing of it is trained.  Raises RowError."""
        return Text(self.template.render(messages, tools, prompt=True), (), False)

    def asked(self, messages: Sequence[Message], tools: Any, images: int) -> str:
        """The same as a text, with all tokens of the images that stand in it.  Raises RowError."""
        return self._with_images(self.prompt(messages, tools).text, (), images)[0]

    def plain(self, text: str) -> Text:
        """A text as it stands, after BOS where the model expects one, without an end."""
        return Text(text, (), True, self._bos)

    def tokens(self, rows: Sequence[Text]) -> list[Tokens]:
        """Token ids and masks.  A token is trained if any of its characters is; the first of a row never is, since
        nothing stands before it to predict it from."""
        plain = [row for row in rows if row.whole]
        masked = [row for row in rows if not row.whole]
        written: dict[int, Tokens] = {}
        for row, ids in zip(plain, self.tokenizer.encode_batch([row.text for row in plain]), strict=True):
            written[id(row)] = _whole(array("i", (*row.before, *ids, *row.after)))
        encoded = self.tokenizer.encode_with_offsets([row.text for row in masked])
        for row, encoding in zip(masked, encoded, strict=True):
            written[id(row)] = Tokens(array("i", encoding.ids), mask_of(encoding, row.spans))
        return [written[id(row)] for row in rows]

    def count(self, rows: Sequence[Text]) -> list[int]:
        """Lengths in tokens, without masks: quicker than `tokens`."""
        counted = self.tokenizer.encode_batch([row.text for row in rows])
        return [len(row.before) + len(ids) + len(row.after) for row, ids in zip(rows, counted, strict=True)]


def mask_of(encoded: Encoded, spans: Sequence[Span]) -> bytearray:
    """1 for each token that overlaps one of `spans`, but the first."""
    mask = bytearray(len(encoded.ids))
    for start, end in spans:
        first, after = encoded.tokens_of(start, end)
        mask[first:after] = b"\x01" * (after - first)
    if mask:
        mask[0] = 0
    return mask


def _whole(ids: array[int]) -> Tokens:
    trained = bytearray(b"\x01") * len(ids)
    if trained:
        trained[0] = 0
    return Tokens(ids, trained)
