"""The tracker on real tensors: what is counted, for how long, and as what."""

from __future__ import annotations

import gc

import pytest

torch = pytest.importorskip("torch")

from ftui.worker.trace.log import peaks  # noqa: E402
from ftui.worker.trace.tracker import Tracker  # noqa: E402

pytestmark = pytest.mark.torch


def test_a_storage_is_counted_once_whatever_views_it_has() -> None:
    tracker = Tracker()
    with tracker:
        whole = torch.zeros(1000)
        views = [whole[:10], whole.view(10, 100), whole.t()]
        assert tracker.total == 4032  # 4,000 bytes rounded up to 64
    assert len(views) == 3


def test_a_storage_lives_as_long_as_anything_holds_it() -> None:
    tracker = Tracker()
    with tracker:
        whole = torch.zeros(1000)
        part = whole[:1]
        del whole
        assert tracker.total == 4032
        del part
        assert tracker.total == 0
    assert tracker.peak == 4032


def test_sizes_are_rounded_as_the_device_rounds() -> None:
    tracker = Tracker(rounding=512)
    with tracker:
        small = torch.zeros(1)
    assert tracker.total == 512
    del small


def test_what_autograd_keeps_is_held_until_the_backward_pass() -> None:
    weight = torch.ones(256, requires_grad=True)
    tracker = Tracker()
    with tracker:
        tracker.phase = "forward"
        result = (weight.exp() * 2).sum()
        kept = tracker.total
        tracker.phase = "loss backward"
        result.backward()
        del result
        gc.collect()
    assert kept >= 1024
    assert tracker.total == 1024  # the gradient


def test_gradients_and_states_are_told_from_activations() -> None:
    model = torch.nn.Linear(64, 64, bias=False)
    optimizer = torch.optim.AdamW(model.parameters())
    tracker = Tracker()
    tracker.adopt_model(model, adapter=False)
    with tracker.watching():
        tracker.phase = "forward"
        loss = model(torch.ones(2, 64)).sum()
        tracker.phase = "loss backward"
        loss.backward()
        tracker.phase = "optimizer step"
        optimizer.step()
        tracker.adopt_states(optimizer)
    found = peaks(tracker.log)
    weights = 4 * 64 * 64
    assert found.static == weights
    held = dict.fromkeys(set(tracker.log.parts.values()), 0)
    for event in tracker.log.events:
        held[tracker.log.parts[event.id]] += event.size
    assert (held["weights"], held["gradients"], held["optimizer"]) == (weights, weights, 2 * weights)


def test_what_is_ignored_is_no_memory_of_the_device() -> None:
    tracker = Tracker()
    with tracker, tracker.ignoring():
        host = torch.zeros(1000)
    assert tracker.total == 0
    del host


def test_a_kernels_own_buffer_comes_and_goes_with_it() -> None:
    tracker = Tracker(hidden=lambda func, args, kwargs, result: [4096] if "exp" in func.name() else [])
    with tracker:
        tracker.phase = "forward"
        result = torch.zeros(16).exp()
    assert tracker.peak == 64 + 64 + 4096
    assert "workspace" in tracker.log.parts.values()
    del result


def test_products_are_counted_by_number_format() -> None:
    tracker = Tracker()
    with tracker:
        tracker.phase = "forward"
        single = torch.zeros(4, 8) @ torch.zeros(8, 16)
        half = single.bfloat16() @ torch.zeros(16, 2, dtype=torch.bfloat16)
    work = tracker.log.work["forward", None]
    assert (work.flops_single, work.flops_half) == (2 * 4 * 8 * 16, 2 * 4 * 16 * 2)
    del half
