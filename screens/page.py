"""`Page`: the frame that the app's screens share, with the keys that work on every one of them."""

from __future__ import annotations

from typing import TypeVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen

from .widgets.frame import CommandLine, KeyBar, NextLine, TitleBar

Result = TypeVar("Result")


class Page(Screen[Result]):
    """A screen of one title line, a body, and three lines below: what to do next, the same as a command, the keys."""

    TITLE = ""
    BINDINGS = [
        Binding("escape", "back", "Back", id="back", tooltip="Leave this page"),
        Binding("question_mark", "explain", "Help", id="help", key_display="?", tooltip="What this is, and the keys"),
        Binding("f1", "help", "Keys", show=False, tooltip="All keys of this page"),
    ]

    def compose(self) -> ComposeResult:
        yield TitleBar(self.TITLE or "")
        yield from self.compose_body()
        yield NextLine()
        yield CommandLine()
        yield KeyBar()

    def compose_body(self) -> ComposeResult:
        """What stands between the title and the lines below."""
        yield from ()

    def say(self, *, status: str | None = None, next: str | None = None, command: str | None = None) -> None:
        """Change the lines of the frame; None leaves one as it is."""
        if status is not None:
            self.query_one(TitleBar).say(status=status)
        if next is not None:
            self.query_one(NextLine).say(next)
        if command is not None:
            self.query_one(CommandLine).say(command)

    def term(self) -> str | None:
        """The glossary's word for what the cursor stands on, None where there is none."""
        return None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        # The page at the bottom has nowhere to go back to.
        return not (action == "back" and self.app.screen_stack[0] is self)

    def action_back(self) -> None:
        self.dismiss()

    def action_explain(self) -> None:
        if term := self.term():
            from .glossary import GlossaryScreen

            self.app.push_screen(GlossaryScreen(term))
        else:
            self.action_help()

    def action_help(self) -> None:
        from .help import HelpScreen

        self.app.push_screen(HelpScreen(self))
