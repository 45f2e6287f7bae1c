"""The machine that the screens find, and their helpers' folder on the path: importmode=importlib puts none there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from screens_help import cpu_box  # found on the path of the line above

from ftui.hardware.document import Hardware


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[Hardware], None]:
    """Set what `probe()` finds."""

    def put(hardware: Hardware) -> None:
        monkeypatch.setattr("ftui.hardware.probe", lambda: hardware, raising=False)

    return put


@pytest.fixture(autouse=True)
def _a_cpu_box(machine: Callable[[Hardware], None]) -> None:
    machine(cpu_box())


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Takes the launches in place of starting a worker."""
    taken: list[Any] = []

    def launch(layout: Any, command: str, force: bool, queued: bool) -> Any:
        taken.append(SimpleNamespace(layout=layout, command=command, force=force, queued=queued))
        return SimpleNamespace(id="2026-11-22-run-0001")

    monkeypatch.setattr("ftui.screens.lookups.launch", launch)
    monkeypatch.setattr("ftui.screens.wizard.wizard.WizardScreen._launched", lambda self, message: self.dismiss())
    return taken
