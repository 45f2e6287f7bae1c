"""How turns become text, and which characters of it the model is to learn."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ftui.data.calls import as_text
from ftui.data.canonical import Message, RowError
from ftui.data.images import as_parts
from ftui.data.jinja import Compiled, Span, compile_template
from ftui.data.named_templates import NAMED
from ftui.data.thoughts import apart, part_in
from ftui.data.tokenizer import Tokenizer
from ftui.errors import BadInput
from ftui.units import plain

LossOn = Literal["assistant", "completion", "all"]

_TOKEN = re.compile(r"<[^<>\s]{1,40}>")
_WITHOUT_PART = re.compile(r"<[^<>]*\Z")

# Private-use characters that stand around an assistant's words in a second rendering, to find them in the first.
_OPEN, _CLOSE = "\ue3a7", "\ue3a8"


@dataclass(frozen=True)
class Rendered:
    """One row as text.  `turns` are the characters of each assistant turn that are the model's own: what it says and
    its end-of-turn token, without the header before it."""

    text: str
    turns: tuple[Span, ...]


@dataclass(frozen=True)
class ChatTemplate:
    """A template with what it needs to render.

    `name` is "model" for the model's own, a name of `NAMED`, or a file's; `source` is the Jinja text, with which plain
    transformers renders the same; `notes` say what a person should know about the choice.
    """

    name: str
    source: str
    variables: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    """Tokens at which the model's generation ends; GLM's turns end with the next turn's header, which is one."""

    @cached_property
    def compiled(self) -> Compiled:
        """Compiled at the first rendering."""
        return compile_template(self.source, self.name)

    def render(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None = None, *, prompt: bool = False
    ) -> str:
        """The text; with `prompt` it ends where the assistant is to begin. Raises RowError."""
        return self._render(messages, tools, prompt)[0]

    def render_row(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None = None) -> Rendered:
        """The text and the model's own turns in it.  Raises RowError where the template refuses the row or where its
        turns can't be told apart."""
        if "tool_calls" not in self.source:
            messages = as_text(messages)
        if self.thoughts:
            messages = apart(messages, self.thoughts)
        text, tagged = self._render(messages, tools, False)
        answers = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
        if self.compiled.tagged and len(tagged) == len(answers):
            return Rendered(text, tuple(self._with_end(text, span) for span in tagged))
        spans = self._by_marks(messages, tools, text, answers)
        if spans is None:
            spans = self._by_prefixes(messages, tools, text, answers)
        return Rendered(text, spans)

    @cached_property
    def end_of_turn(self) -> str:
        """What the template writes after an assistant's words in every turn, less trailing white space."""
        last, middle = self._tails
        shared = next((i for i, (a, b) in enumerate(zip(last, middle, strict=False)) if a != b), len(last))
        # Two different tokens may begin alike ("<|end|>", "<|return|>").
        return _WITHOUT_PART.sub("", last[: min(shared, len(middle))]).rstrip()

    @cached_property
    def generation_prompt(self) -> str:
        """What the template writes to let the assistant begin."""
        probe = [{"role": "user", "content": "a"}]
        try:
            without, with_prompt = self.render(probe), self.render(probe, prompt=True)
        except RowError:
            return ""
        return with_prompt.removeprefix(without) if with_prompt.startswith(without) else ""

    @cached_property
    def in_parts(self) -> bool:
        """Whether it reads turns as lists of texts and images alone, and writes nothing for a plain text."""
        def says(content: Any) -> bool:
            try:
                text, _ = self.compiled.render([{"role": "user", "content": content}], tools=None, documents=None,
                                               add_generation_prompt=False, **self.variables)
            except RowError:
                return False
            return "a7q" in text

        return not says("a7q") and says([{"type": "text", "text": "a7q"}])

    @cached_property
    def thoughts(self) -> str | None:
        """Under which name it takes an assistant's thoughts as a part of their own, if at all."""
        return part_in(self.source)

    @cached_property
    def _tails(self) -> tuple[str, str]:
        """What follows an assistant's words at the end of a conversation, and in its middle."""
        ask, answer = {"role": "user", "content": "a"}, {"role": "assistant", "content": f"{_OPEN}b{_CLOSE}"}
        try:
            last = self.render([ask, answer])
            middle = self.render([ask, answer, ask, {"role": "assistant", "content": "b"}])
        except RowError:
            return "", ""
        return last.partition(_CLOSE)[2], middle.partition(_CLOSE)[2]

    def _render(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None, prompt: bool
    ) -> tuple[str, list[Span]]:
        if tools and "tools" not in self.compiled.variables:
            messages, tools = _with_tools(messages, tools), None
        if "tool_calls" not in self.source:
            messages = as_text(messages)
        if self.thoughts:
            messages = apart(messages, self.thoughts)
        if self.in_parts:
            messages = [
                {**message, "content": as_parts(message["content"])} if isinstance(message["content"], str) else message
                for message in messages
            ]
        return self.compiled.render(
            list(messages), tools=tools, documents=None, add_generation_prompt=prompt, **self.variables
        )

    def _with_end(self, text: str, span: Span) -> Span:
        """A tagged span reaches over the end of turn where the template's author left it out."""
        start, end = span
        mark = self.end_of_turn
        if mark and not text[start:end].rstrip().endswith(mark) and text.startswith(mark, end):
            end += len(mark)
        return start, end

    def _by_marks(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None, text: str, answers: list[int]
    ) -> tuple[Span, ...] | None:
        """Find the turns by rendering once more with marks around what the assistant says."""
        marked: list[Message] = list(messages)
        for index in answers:
            content, calls = messages[index]["content"], messages[index].get("tool_calls")
            if _OPEN in content or _CLOSE in content or not (content or calls):
                return None
            around = {**messages[index], "content": f"{_OPEN}{content}{_CLOSE}"}
            marked[index] = around if content else _marked(messages[index])
        try:
            pieces = self.render(marked, tools)
        except RowError:
            return None
        if pieces.count(_OPEN) != len(answers) or pieces.count(_CLOSE) != len(answers):
            return None
        literals, contents, rest = [], [], pieces
        for _ in answers:
            literal, _, rest = rest.partition(_OPEN)
            content, _, rest = rest.partition(_CLOSE)
            literals.append(literal)
            contents.append(content)
        spans: list[Span] = []
        position = 0
        for turn, (literal, content) in enumerate(zip(literals, contents, strict=True)):
            if not text.startswith(literal, position):
                return None
            start = position + len(literal)
            # Templates may trim what is said.
            said = next((form for form in (content, content.strip(), content.lstrip(), content.rstrip())
                         if text.startswith(form, start)), None)  # fmt: skip
            if said is None:
                return None
            position = start + len(said)
            following = literals[turn + 1] if turn + 1 < len(literals) else rest
            if not text.startswith(following, position):
                return None
            named = start
            message = messages[answers[turn]]
            thoughts = str(message.get(self.thoughts or "") or "").strip()
            thought = text.find(thoughts, start - len(literal), start) if thoughts else -1
            start = self._after_header(text, start - len(literal), thought if thought >= 0 else start)
            if message.get("tool_calls"):
                # What the template writes of the calls goes on up to the end of the turn, and began before the name.
                mark = self.end_of_turn
                if not mark or mark not in following or (start == named and not message["content"]):
                    return None
                end = position + following.index(mark) + len(mark)
            else:
                end = position + len(self._end_in(following, last=turn + 1 == len(literals)))
            spans.append((start, end))
        return tuple(spans) if text[position:] == rest else None

    def _after_header(self, text: str, low: int, start: int) -> int:
        """Where the model begins to write: after the generation prompt, if it stands before what is said."""
        header = self.generation_prompt
        found = text.rfind(header, low, start) if header else -1
        if found < 0:
            return start
        # Between header and words a template may write for the model (an empty thinking block); a whole other turn
        # in between means that the header found is another turn's.
        begun = found + len(header)
        return begun if self.end_of_turn not in (text[begun:start] or "") or not self.end_of_turn else start

    def _end_in(self, following: str, *, last: bool) -> str:
        """The part of the text after a turn that ends the turn."""
        mark = self.end_of_turn
        if mark and following.startswith(mark):
            return mark
        tail = self._tails[0].rstrip()
        if last and tail and following.startswith(tail):
            return tail
        if stop := next((stop for stop in self.stops if stop and following.startswith(stop)), None):
            return stop
        # The middle of a conversation may end its turns with a token of its own.
        first = _TOKEN.match(self._tails[1]) if tail and not mark else None
        return first[0] if first and following.startswith(first[0]) else ""

    def _by_prefixes(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] | None, text: str, answers: list[int]
    ) -> tuple[Span, ...]:
        """Find the turns by rendering the conversation up to and including each: for turns that hold only calls."""
        spans: list[Span] = []
        for index in answers:
            before = self.render(messages[:index], tools, prompt=True) if index else ""
            if not text.startswith(before):
                before = self.render(messages[:index], tools)
            after = text if index == len(messages) - 1 else self.render(messages[: index + 1], tools)
            if not text.startswith(after) and (mark := self.end_of_turn) in after:
                # Some templates close a whole conversation by a token of its own (Phi 3).
                after = after[: after.rindex(mark) + len(mark)]
            if not text.startswith(before) or not text.startswith(after) or len(after) <= len(before):
                raise RowError("its turns can't be told apart in what the chat template writes")
            said = str(messages[index]["content"] or "").strip()[-20:]
            if said not in after[len(before) :]:
                # Templates of vision models silently write nothing for a plain text.
                raise RowError("the chat template leaves out what the assistant says")
            mark = self.end_of_turn
            end = after.rfind(mark) + len(mark) if mark and after.rfind(mark) >= len(before) else len(after)
            spans.append((len(before), end))
        return tuple(spans)


def _marked(message: Message) -> Message:
    """A turn that holds calls alone, with marks around the name of the first."""
    first, *others = message["tool_calls"]
    function = first.get("function", first)
    named = {**function, "name": f"{_OPEN}{function['name']}{_CLOSE}"}
    return {**message, "tool_calls": [{**first, "function": named} if "function" in first else named, *others]}


def choose_template(wanted: str, tokenizer: Tokenizer, when: float | None = None) -> ChatTemplate:
    """The template of a recipe's `data.template`: "auto", "model", a name of `NAMED`, or a Jinja file.

    "auto" is the model's own; without one ChatML where the vocabulary has its tokens, else plain words, which need no
    new rows in the embedding.  `when` is the time that a template takes for now.  Raises BadInput.
    """
    variables: dict[str, Any] = {**tokenizer.special_tokens, "eos_token": tokenizer.eos_token or "",
                 "bos_token": tokenizer.bos_token or "", "pad_token": tokenizer.pad_token or "",
                 "unk_token": tokenizer.unk_token or ""}  # fmt: skip
    if when is not None:
        variables["strftime_now"] = datetime.fromtimestamp(when).strftime
    if wanted in ("auto", "model"):
        if tokenizer.chat_template:
            stops = tuple(tokenizer.decode([index]) for index in tokenizer.eos_ids)
            return ChatTemplate("model", tokenizer.chat_template, variables, stops=stops)
        if wanted == "model":
            raise BadInput(f"The model {tokenizer.name} has no chat template.", f"Choose one of: {', '.join(NAMED)}.")
    if wanted == "auto":
        if all(tokenizer.is_single(marker) for marker in NAMED["chatml"].markers):
            note = (
                "The base model has no chat template; ChatML is used, whose tokens are in its vocabulary. Where it has "
                "hardly been trained on them, LoRA's adapter.tokens: ['<|im_start|>', '<|im_end|>'] trains their rows."
            )
            return _named("chatml", tokenizer, variables, (note,))
        note = (
            "The base model has no chat template, nor ChatML's tokens in its vocabulary; turns are written in plain "
            "words (### Instruction, ### Response)."
        )
        return _named("plain", tokenizer, variables, (note,))
    if wanted in NAMED:
        return _named(wanted, tokenizer, variables, ())
    return ChatTemplate(Path(wanted).name, _read_template(wanted), variables)


def _named(name: str, tokenizer: Tokenizer, variables: dict[str, Any], notes: tuple[str, ...]) -> ChatTemplate:
    template = NAMED[name]
    source = template.source
    missing = [marker for marker in template.markers if not tokenizer.is_single(marker)]
    if missing:
        notes = (*notes, f"{', '.join(missing)} of the template {name} are no tokens of this vocabulary; they are "
                         f"trained as several each. A base that has them: ftui models extend MODEL --template {name} "
                         "--out FOLDER.")  # fmt: skip
    if "eos_token" in source and not tokenizer.eos_token:
        notes = (*notes, "The tokenizer has no end-of-sequence token, so the model does not learn where to stop.")
    if not tokenizer.adds_bos:
        # The saved template must render alike in plain transformers, which always passes the token.
        source = source.replace("{{- bos_token }}\n", "")
    return ChatTemplate(name, source, variables, notes)


def _read_template(path: str) -> str:
    hint = f"Take auto, model, {', '.join(NAMED)}, or the path of a Jinja file."
    try:
        file = Path(path).expanduser()
        if file.exists() and not file.is_file():
            raise BadInput(f"The chat template {plain(path)} is a folder, a pipe or a device.", hint)
        source = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInput(
            f"There is no chat template {plain(path)!r}, neither by that name nor as a file.", hint
        ) from None
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(f"The chat template {plain(path)} can't be read: {error}.", hint) from None
    if not source.strip():
        raise BadInput(f"The chat template {plain(path)} is empty.", hint)
    return source


def _with_tools(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> list[Message]:
    """The functions written into the system turn, for templates that have no place for them."""
    listed = "You can call these functions:\n" + "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    if messages and messages[0]["role"] == "system":
        first = {**messages[0], "content": f"{messages[0]['content']}\n\n{listed}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": listed}, *messages]
