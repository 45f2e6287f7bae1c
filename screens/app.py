"""The Textual app."""

from __future__ import annotations

from textual.app import App


class FtuiApp(App[int]):
    """ftui's app; `open_run` is the id of a run whose monitor is to be shown first."""

    def __init__(self, open_run: str | None = None) -> None:
        super().__init__()
        self.open_run = open_run
