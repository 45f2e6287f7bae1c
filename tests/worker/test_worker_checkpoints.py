"""Checkpoints are complete or absent, and trusted only when sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftui.errors import BadInput
from ftui.worker import checkpoints


def fill(folder: Path) -> None:
    for name in (*checkpoints.NEEDED, "adapter_model.safetensors"):
        (folder / name).write_bytes(name.encode() * 100)


def saved(folder: Path, *steps: int) -> None:
    for step in steps:
        checkpoints.write(folder, step, fill, {"step": step})


def nothing_wrong(text: str, hint: str) -> None:
    raise AssertionError(text)


def test_a_checkpoint_is_sound_and_remembers(tmp_path: Path) -> None:
    saved(tmp_path, 10, 9, 100)
    newest = checkpoints.newest(tmp_path, nothing_wrong)
    assert newest is not None
    assert (newest.step, newest.memory()) == (100, {"step": 100})
    assert newest.bytes() > 500
    assert [checkpoint.step for checkpoint in checkpoints.found(tmp_path)] == [100, 10, 9]


def test_a_failure_while_writing_leaves_no_trace(tmp_path: Path) -> None:
    saved(tmp_path, 1)

    def failing(folder: Path) -> None:
        fill(folder)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        checkpoints.write(tmp_path, 2, failing, {})
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-1"]


def test_the_same_step_of_a_later_attempt_takes_its_place(tmp_path: Path) -> None:
    saved(tmp_path, 1)
    checkpoints.write(tmp_path, 1, fill, {"step": "again"})
    assert checkpoints.found(tmp_path)[0].memory() == {"step": "again"}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-1"]


@pytest.mark.parametrize("harm", ["cut", "flipped", "removed", "no manifest"])
def test_a_damaged_one_is_passed_over_with_a_word(harm: str, tmp_path: Path) -> None:
    saved(tmp_path, 1, 2)
    file = tmp_path / "checkpoint-2" / ("ftui.json" if harm == "no manifest" else "optimizer.pt")
    content = file.read_bytes()
    match harm:
        case "cut":
            file.write_bytes(content[:-1])
        case "flipped":
            file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        case _:
            file.unlink()
    told: list[str] = []
    newest = checkpoints.newest(tmp_path, lambda text, hint: told.append(text))
    assert newest is not None
    assert newest.step == 1
    assert len(told) == 1
    assert "checkpoint-2" in told[0]


def test_with_none_left_it_refuses_to_start_over_silently(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path, nothing_wrong) is None
    saved(tmp_path, 1)
    (tmp_path / "checkpoint-1" / "scheduler.pt").unlink()
    with pytest.raises(BadInput, match="None of the 1 checkpoints"):
        checkpoints.newest(tmp_path, lambda text, hint: None)


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    saved(tmp_path, 1, 2, 3, 4, 5)
    (tmp_path / ".checkpoint-6.123").mkdir()
    checkpoints.prune(tmp_path, keep=2, best=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2", "checkpoint-4", "checkpoint-5"]


def test_large_files_are_checked_at_both_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "CHECKED_BYTES", 64)
    saved(tmp_path, 1)
    checkpoint = checkpoints.found(tmp_path)[0]
    assert checkpoint.problem() is None
    file = checkpoint.path / "adapter_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert checkpoint.problem() == "adapter_model.safetensors is damaged"
