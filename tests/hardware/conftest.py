"""Machines as data."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftui.hardware import load
from ftui.hardware.box import Box
from ftui.hardware.document import Hardware

BOXES = Path(__file__).parent / "boxes"


@pytest.fixture
def box():
    """The hardware of a recorded box, by its name."""
    def replayed(name: str) -> Hardware:
        return load(BOXES / f"{name}.json")

    return replayed


@pytest.fixture
def recorded():
    """A recorded box itself, by its name."""
    def read(name: str) -> Box:
        return Box.from_json((BOXES / f"{name}.json").read_bytes())

    return read
