"""The Textual app: which screens there are, the theme, and the commands that work everywhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import on, work
from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.screen import Screen

from ftui import bell
from ftui.units import plain

from .background import settled
from .memory import recall, remember
from .messages import NewRun, RateAnswers, WatchRun

if TYPE_CHECKING:
    from ftui.data.rating import Rating

THEME = "textual-dark"


def _runs() -> Screen[Any]:
    from .runs import RunsScreen

    return RunsScreen()


def _glossary() -> Screen[Any]:
    from .glossary import GlossaryScreen

    return GlossaryScreen()


class FtuiApp(App[int]):
    """ftui's app, which opens on the home screen.

    `open_run` is the id of a run whose monitor is shown first; `demo` opens the wizard on the embedded tiny model and
    its data; a `rating` is what is rated at once; `compare` are the ids of runs to lay over each other.  Screens are
    imported when they are first shown, so that the first paint waits for none of them.
    """

    TITLE = "ftui"
    CSS_PATH = ["app.tcss", "home.tcss"]
    # VS Code takes ctrl+p, tmux ctrl+b, screen ctrl+a; ctrl+k deletes to the end of a line in every input.
    COMMAND_PALETTE_BINDING = "ctrl+o"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-short"), (20, "-tall"), (32, "-roomy")]
    SCREENS: ClassVar[dict[str, Callable[[], Screen[Any]]]] = {"runs": _runs, "glossary": _glossary}
    BINDINGS = [
        Binding("ctrl+q", "quit", "Quit", id="quit", show=False, priority=True, tooltip="Leave; runs go on"),
        Binding("f2", "command_palette", "Commands", show=False, tooltip="Search every command"),
    ]

    def __init__(
        self, open_run: str | None = None, demo: bool = False, rating: Rating | None = None,
        compare: Sequence[str] = (),
    ) -> None:
        # Textual picks its colour filters while it is constructed, so the theme without colours must be known by then.
        plain = "NO_COLOR" in os.environ
        super().__init__(ansi_color=True if plain else None)
        self.open_run, self.demo, self.rating, self.compare = open_run, demo, rating, compare
        kept = recall("app.json").get("theme")
        self.theme = "ansi-dark" if plain else kept if kept in self.available_themes else THEME
        self._keeps_theme = not plain

    def get_default_screen(self) -> Screen[Any]:
        from .home import HomeScreen

        return HomeScreen()

    def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, lambda theme: self._keep_theme(theme.name))
        if self.open_run:
            self.watch_run(WatchRun(self.open_run))
        elif self.demo:
            self.new_run(NewRun(demo=True))
        elif self.compare:
            from .compare import CompareScreen

            self.push_screen(CompareScreen(list(self.compare)))
        elif self.rating:
            self.show_rating(self.rating)

    def _fatal_error(self) -> None:
        """What is printed when the app breaks down: where, and not the values of variables, as Textual would; one of
        them may be a token that was typed."""
        import traceback

        from ftui.redaction import hide

        self.bell()
        self.panic(Text(hide(traceback.format_exc())))

    def settled(self) -> bool:
        """Whether no call beside the app hangs: where one does, the process must end without winding Python up."""
        return settled()

    def _keep_theme(self, name: str) -> None:
        if self._keeps_theme:
            try:
                remember("app.json", {**recall("app.json"), "theme": name})
            except OSError as error:
                self.notify(f"The theme can't be kept: {error.strerror}.", severity="warning")

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Every action: the app's own, then those of the screen's keys, then Textual's."""
        yield SystemCommand("New run", "Open the wizard", lambda: self.new_run(NewRun()))
        demo = "The wizard on the embedded tiny model and its data"
        yield SystemCommand("New run on the demo", demo, lambda: self.new_run(NewRun(demo=True)))
        yield SystemCommand("Runs", "List, show, stop, resume and delete runs", lambda: self.push_screen("runs"))
        yield SystemCommand("Glossary", "Every term in two sentences", lambda: self.push_screen("glossary"))
        yield SystemCommand("Rate answers", "Two side by side, blind: pairs for DPO", self.rate)
        yield SystemCommand("Log in to the hub", "For gated models", self.log_in)
        title, tip = ("Bell off", "Ring no more") if bell.wanted() else ("Bell on", "Ring")
        yield SystemCommand(title, f"{tip} when a run that is looked at ends or needs you", self.bell_switch)
        named = {"New run", "Runs", "Glossary", "Quit", "Commands"}
        for node, binding, enabled, tooltip in screen.active_bindings.values():
            # Textual's own keys (cursor, scrolling, focus) carry no tooltip; ftui's all do.
            if enabled and tooltip and binding.description not in named:
                named.add(binding.description)
                yield SystemCommand(
                    binding.description, f"{tooltip} ({self.get_key_display(binding)})",
                    lambda action=binding.action, node=node: self.call_later(self.run_action, action, node),
                )
        yield from super().get_system_commands(screen)

    @on(NewRun)
    def new_run(self, wanted: NewRun) -> None:
        from .wizard.wizard import WizardScreen

        self.push_screen(WizardScreen(demo=wanted.demo, preset=wanted.preset, resume=wanted.resume))

    @on(WatchRun)
    def watch_run(self, wanted: WatchRun) -> None:
        from .monitor import MonitorScreen

        self.push_screen(MonitorScreen(wanted.run))

    def show_rating(self, rating: Rating) -> None:
        from .rate import RateScreen

        def rated(_: None) -> None:
            # Who came to rate leaves with the rating.
            if rating is self.rating:
                done = f"{sum(rating.counts.values())} of {len(rating.items)} rated"
                self.exit(0, message=Text(f"{done}; the pairs stand in {plain(str(rating.pairs))}"))

        self.push_screen(RateScreen(rating), rated)

    @on(RateAnswers)
    @work(exclusive=True, group="rate")
    async def rate(self) -> None:
        """Ask for a file of answers, and rate them."""
        from ftui.data.rating import open_rating

        from .background import Problem, attempt
        from .dialogs import Ask

        hint = "JSON Lines with a prompt and two answers each: answers, answer_a and answer_b, chosen and rejected, ..."
        value = ""
        while file := await self.push_screen_wait(Ask("Rate the answers of which file?", value, hint, paths=True)):
            found = await attempt(open_rating, file.strip())
            if not isinstance(found, Problem):
                self.show_rating(found)
                return
            # The question stands again, with what was wrong below it.
            value, hint = file, plain(f"✗ {found.what} {found.hint}")

    def bell_switch(self) -> None:
        try:
            bell.switch(not bell.wanted())
        except OSError as error:
            self.notify(f"This can't be kept: {error.strerror}.", severity="warning")
            return
        self.notify("The bell rings when a run ends." if bell.wanted() else "The bell is silent.", timeout=3)
        if bell.wanted():
            self.bell()

    def log_in(self) -> None:
        from .login import LoginDialog

        self.push_screen(LoginDialog())
