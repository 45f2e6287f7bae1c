"""A composer of YAML that gives up on what is made to be slow: deep nesting, and aliases that unfold into a bomb."""

from __future__ import annotations

from typing import Any


def composer(levels: int, *, aliases: bool = True) -> Any:
    """A Composer for ruamel's YAML (`yaml.Composer = composer(32)`) that raises RecursionError beyond so many levels:
    ruamel itself would take seconds; without `aliases` it raises a YAMLError at the first one."""
    from ruamel.yaml.composer import Composer, ComposerError
    from ruamel.yaml.events import AliasEvent

    class Shallow(Composer):
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            if not aliases and self.parser.check_event(AliasEvent):
                at = self.parser.peek_event().start_mark
                raise ComposerError(None, None, "aliases are not read here", at)
            self.depth += 1
            if self.depth > levels:
                raise RecursionError
            try:
                return super().compose_node(parent, index)
            finally:
                self.depth -= 1

    return Shallow
