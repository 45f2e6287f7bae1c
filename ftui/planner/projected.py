"""What GaLore holds (`ftui.worker.galore`): moments of projected gradients, and the matrices that project.  Bytes."""

from __future__ import annotations

from ftui.planner.adapters import Trained
from ftui.planner.setup import Setup


def states(setup: Setup, trained: list[Trained], width: int) -> int:
    """Both moments and the projections of the linear weights, and whole moments of everything else."""
    wide = {(t.outputs, t.inputs) for t in setup.geometry.targets if not t.packed}
    total = 0
    for tensor in trained:
        short, long = sorted((tensor.rows, tensor.columns))
        if (tensor.rows, tensor.columns) in wide:
            rank = min(setup.projected_rank, short)
            total += tensor.count * rank * (2 * long + short)
        else:
            total += tensor.count * 2 * tensor.elements
    return total * width


def workspace(setup: Setup, trained: list[Trained], width: int) -> int:
    """The most that a step makes: of a matrix whose projection is made anew, its float32 copy, what the decomposition
    works in, and its three results; of a table, its update.
    """
    wide = {(t.outputs, t.inputs) for t in setup.geometry.targets if not t.packed}
    most = 0
    for tensor in trained:
        short = min(tensor.rows, tensor.columns)
        if (tensor.rows, tensor.columns) in wide:
            most = max(most, 4 * (2 * tensor.elements + short * (tensor.rows + tensor.columns)))
        else:
            most = max(most, width * tensor.elements)
    return most
