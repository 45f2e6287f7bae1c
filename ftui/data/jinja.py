"""Chat templates in a sandbox: the same variables, filters and tags that transformers gives them, and no more."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any

from ftui.data.canonical import Message, RowError
from ftui.errors import BadInput
from ftui.units import plain

_GENERATION = re.compile(r"\{%-?\s*generation\b")

Span = tuple[int, int]
"""Characters [start, end)."""


class Compiled:
    """One compiled template. `variables` are the names it asks for; `tagged`: it marks what the model writes."""

    def __init__(self, source: str, name: str) -> None:
        """Raises BadInput where `source` is no valid Jinja."""
        import jinja2
        import jinja2.meta

        environment, self._tracker = _environment()
        try:
            tree = environment.parse(source)
            self._template = environment.from_string(source)
        except jinja2.TemplateSyntaxError as error:
            why = f"{plain(str(error.message))} (line {error.lineno})"
            raise BadInput(
                f"The chat template {plain(name)} is no valid Jinja: {why}.",
                "Choose another with data.template, such as chatml or plain.",
            ) from None
        except RecursionError:
            raise BadInput(f"The chat template {plain(name)} is nested too deeply.") from None
        self.source = source
        self.variables = frozenset(jinja2.meta.find_undeclared_variables(tree))
        self.tagged = bool(_GENERATION.search(source))

    def render(self, messages: Sequence[Message], **variables: Any) -> tuple[str, list[Span]]:
        """The text, and the characters that the template's `{% generation %}` tags enclose.

        Raises RowError with the template's own words where it refuses the messages.
        """
        import jinja2

        blocks: list[str] = []
        spans: list[Span] = []
        try:
            if not self.tagged:
                return self._template.render(messages=messages, **variables), []
            with self._tracker.watching(blocks, spans):
                # The tag measures what has been written so far, so blocks must arrive one by one.
                for block in self._template.generate(messages=messages, **variables):
                    blocks.append(block)
        except jinja2.TemplateError as error:
            raise RowError(f"the chat template refuses it: {plain(str(error) or type(error).__name__)[:200]}") from None
        except (TypeError, ValueError, AttributeError, KeyError, IndexError, OverflowError, RecursionError) as error:
            raise RowError(f"the chat template fails on it: {plain(str(error))[:200]}") from None
        return "".join(blocks), spans


@lru_cache(maxsize=16)
def compile_template(source: str, name: str) -> Compiled:
    """Compile once per template text."""
    return Compiled(source, name)


def _environment() -> tuple[Any, Any]:
    """A sandboxed Jinja environment like the one of transformers, and its tracker of `{% generation %}` tags."""
    import jinja2
    import jinja2.ext
    import jinja2.nodes
    import jinja2.sandbox

    class GenerationTag(jinja2.ext.Extension):
        """`{% generation %}...{% endgeneration %}` encloses what the model writes itself."""

        tags = {"generation"}

        def __init__(self, environment: Any) -> None:
            super().__init__(environment)
            self._blocks: list[str] | None = None
            self._spans: list[Span] = []
            environment.extend(generation_tag=self)

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return jinja2.nodes.CallBlock(self.call_method("_enclose"), [], [], body).set_lineno(line)

        def _enclose(self, caller: Any) -> str:
            text: str = caller()
            if self._blocks is not None:
                start = sum(map(len, self._blocks))
                self._spans.append((start, start + len(text)))
            return text

        @contextmanager
        def watching(self, blocks: list[str], spans: list[Span]) -> Any:
            """Report the spans of one rendering into `spans`, measured by `blocks`, its pieces so far."""
            self._blocks, self._spans = blocks, spans
            try:
                yield
            finally:
                self._blocks = None

    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    def to_json(
        value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
    ) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda format: datetime.now().strftime(format)
    return environment, environment.generation_tag  # type: ignore[attr-defined]
