"""Whether the installed training libraries are those that the plan's coefficients were read from."""

from __future__ import annotations

import functools
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ftui.planner.document import Plan
    from ftui.planner.stack import Stack


def noted(plan: Plan, stack: str) -> Plan:
    """`plan` with a note where this installation's libraries are others than those of `stack` (compute.stack).

    For plans of this machine; about another one's installation nothing is known.
    """
    from ftui.planner.stack import stack_named

    said = unlike(stack_named(stack))
    return plan.model_copy(update={"notes": (*plan.notes, said)}) if said else plan


def unlike(stack: Stack) -> str | None:
    """A sentence that names the libraries whose installed version is not the table's; None where all are or none is.

    Versions are alike if all parts that the table names are: 2.13 stands for every 2.13.x.
    """
    others = []
    for name, wanted in stack.versions.items():
        found = installed(name)
        if found is not None and found.split("+")[0].split(".")[: wanted.count(".") + 1] != wanted.split("."):
            others.append(f"{name} {found} (table: {wanted})")
    if not others:
        return None
    return (f"The memory formula's table {stack.name} is of other versions than those installed: {', '.join(others)}. "
            "A trace (--trace) asks the installed ones.")


@functools.cache
def installed(name: str) -> str | None:
    """The version of an installed distribution, without importing it; None where it is missing."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
