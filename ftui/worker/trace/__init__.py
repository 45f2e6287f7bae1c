"""The dry trace: one training step of what the worker itself builds, without a GPU, weights or data.

The training libraries run on fake tensors, which have shapes and storages but no numbers; a tracker logs every
allocation and free with the module at work.

    from ftui.worker.trace import trace_step
    traced = trace_step(recipe, "config.json", rows=4, length=2048)
    traced.allocated_bytes, traced.peaks.whole.parts, traced.peaks.phases, traced.reserved(expandable=True)

* `trace_step(recipe, config, *, device, capability, rows, length, layers, full)` traces a resolved recipe.
* `step.trace_trainer(make, batches, here, adapter=, layers=)` traces any transformers or trl trainer
  (`DPOTrainer`, ...).
* `tracing.at_whole_depth(trace, config)` has such a trace made of a shallow model, and deepens it.
* `step.measure(trainer, batches, Tracker(), adapter=, layers=)` logs a real step of a real trainer on the CPU in the
  same way, for comparison: there the numbers are measured.
* `tracker.Tracker` is the tracker itself; `log.Log` what it leaves: events in order, parts, work.
"""

from __future__ import annotations

from ftui.worker.trace.tracing import Traced, trace_step

__all__ = ["Traced", "trace_step"]
