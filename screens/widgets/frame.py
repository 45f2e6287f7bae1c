"""The lines that frame every page: title above; what to do next, the same as a command, and the keys below."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.events import Click
from textual.screen import Screen
from textual.style import Style
from textual.widget import Widget

from ftui.units import plain

from .static import Static

SHOWN_KEYS = 6
"""More than this many keys in the bar are no longer read; the rest stand in the palette and the help."""
SHARED_KEYS = ("back", "help")
"""The ids of the keys of every page, which stand behind the page's own."""


class TitleBar(Widget):
    """One line: the page's title on the left, what it stands on (a machine, a run) on the right."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title, self._status = title, ""

    def say(self, *, title: str | None = None, status: str | None = None) -> None:
        """Change either end."""
        self._title = self._title if title is None else title
        self._status = self._status if status is None else status
        self.refresh()

    def render(self) -> RenderResult:
        left = Content.assemble(("ftui", "bold $text-primary"), "  ", (self._title, "bold"))
        room = self.size.width - left.cell_length - 2
        status = Content(self._status).truncate(max(room, 0), ellipsis=True)
        gap = " " * max(self.size.width - left.cell_length - status.cell_length, 1)
        return Content.assemble(left, gap, status.stylize("dim"))


class NextLine(Static):
    """What to do now, in one sentence."""

    _said: str | None = None

    def say(self, text: str) -> None:
        if text == self._said:
            # Who says it every second must not have the whole page laid out every second.
            return
        self._said = text
        self.update(Content.assemble(("→ ", "bold $text-accent"), Content(plain(text))) if text else Content(""))


class CommandLine(Static):
    """What the page does, as a command; a click copies it."""

    command = ""

    def say(self, command: str) -> None:
        if command == self.command:
            return
        self.command = command
        self.tooltip = "Click to copy" if command else None
        # What is copied is the command itself; a file's name in it must not steer the terminal.
        self.update(Content.assemble(("same as: ", "dim"), Content(plain(command))) if command else Content(""))

    def on_click(self) -> None:
        if self.command:
            self.app.copy_to_clipboard(self.command)
            self.app.notify("Copied the command.", timeout=2)


class KeyBar(Widget):
    """The page's most useful keys, clickable: one widget where Textual's Footer mounts one for each key."""

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, _: Screen[object]) -> None:
        self.refresh()

    def render(self) -> RenderResult:
        shown: dict[str, Content] = {}
        shared = 0
        active = sorted(self.screen.active_bindings.values(), key=lambda each: each.binding.id in SHARED_KEYS)
        for _, binding, enabled, _ in active:
            if not binding.show or not binding.description or binding.action in shown:
                continue
            key = self.app.get_key_display(binding)
            label = Content.assemble((key, "bold $text-accent"), f" {binding.description}")
            # Metadata of our own rather than an @click link, which would be underlined and lose the key's colour.
            label = label.stylize(Style.from_meta({"press": binding.key} if enabled else {}))
            shown[binding.action] = label if enabled else label.stylize("dim")
            shared += binding.id in SHARED_KEYS
        keys = list(shown.values())
        # Where there are too many, the help gives way, which `?` opens all the same, and then the page's own last ones.
        own = len(keys) - shared
        return Content("   ").join((keys[: min(own, SHOWN_KEYS - 1)] + keys[own:])[:SHOWN_KEYS])

    def on_click(self, event: Click) -> None:
        if key := event.style.meta.get("press"):
            self.app.simulate_key(key)
