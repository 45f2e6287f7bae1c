"""One module per objective of `ftui.methods.OBJECTIVES`, by the same name: prepared rows to a trl trainer."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

# trl warns of ORPO, CPO and online DPO at every import; their rows and docs say that they are experimental.
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")


def builder(kind: str) -> Callable[..., Any]:
    """The `build` function of the objective `kind`; loads trl."""
    found: Callable[..., Any] = importlib.import_module(f"{__name__}.{kind}").build
    return found
