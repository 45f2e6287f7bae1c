"""What a probe makes of each recorded machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftui.errors import BadInput
from ftui.hardware import load, probe, record
from ftui.hardware.box import Recorded
from ftui.hardware.document import Hardware
from ftui.units import GiB

BOXES = sorted((Path(__file__).parent / "boxes").glob("*.json"))


@pytest.mark.parametrize("path", BOXES, ids=[path.stem for path in BOXES])
def test_every_box_gives_a_document_that_survives_json(path: Path) -> None:
    hardware = load(path)
    assert Hardware.from_json(hardware.to_json()) == hardware
    assert hardware.budget_bytes > 0
    assert all(problem[0].isupper() and problem.endswith(".") for problem in hardware.problems)
    for gpu in hardware.gpus:
        assert 0 <= gpu.free_bytes <= gpu.total_bytes


def test_no_gpu_is_no_problem_but_cpu_mode(box) -> None:
    hardware = box("none")
    assert (hardware.gpus, hardware.gpu, hardware.problems) == ((), None, ())
    assert hardware.torch.problem is None
    assert hardware.device_name == "CPU (2 cores)"


def test_a_t4_has_neither_bf16_nor_flash_attention_and_its_container_vanishes(box) -> None:
    hardware = box("t4")
    gpu = hardware.gpu
    assert (gpu.bf16, gpu.fp8, gpu.flash_attention, gpu.ecc) == (False, False, False, True)
    assert round(gpu.free_bytes / GiB, 1) == 14.6
    assert hardware.ram.limited_by == "cgroup"
    assert any("FTUI_HOME to /workspace" in problem for problem in hardware.problems)
    assert any("HF_HOME" in problem for problem in hardware.problems)


def test_an_ampere_card_has_bf16_and_flash_attention_but_no_fp8(box) -> None:
    gpu = box("rtx3090").gpu
    assert (gpu.bf16, gpu.fp8, gpu.flash_attention) == (True, False, True)
    assert gpu.processes[0].name == "Xorg"


def test_a_hopper_card_has_everything(box) -> None:
    gpu = box("h200").gpu
    assert (gpu.bf16, gpu.fp8, gpu.flash_attention) == (True, True, True)


def test_four_cards_are_four(box) -> None:
    hardware = box("4xa100")
    assert len(hardware.usable_gpus) == 4
    assert hardware.gpu.index == 0
    assert hardware.torch.problem is None


def test_a_card_half_full_says_who_holds_it(box) -> None:
    gpu = box("half-full").gpu
    assert gpu.free_bytes < gpu.total_bytes / 2
    assert (gpu.processes[0].pid, gpu.processes[0].name) == (90210, "python3")
    assert box("half-full").budget_bytes == gpu.free_bytes


def test_mig_slices_are_devices_of_their_own(box) -> None:
    hardware = box("mig")
    assert [gpu.name.rsplit(" ", 1)[-1] for gpu in hardware.usable_gpus] == ["3g.20gb", "2g.10gb", "1g.5gb"]
    assert all(gpu.mig and gpu.uuid.startswith("MIG-") for gpu in hardware.gpus)


def test_a_broken_driver_is_a_sentence_and_cpu_mode(box) -> None:
    hardware = box("broken-driver")
    assert hardware.gpu is None
    assert "reboot" in hardware.problems[0]
    assert "CPU" in hardware.problems[0]


def test_a_driver_that_hangs_is_a_sentence_and_cpu_mode(box) -> None:
    hardware = box("hangs-at-once")
    assert hardware.gpu is None
    assert "does not answer" in hardware.problems[0]


def test_one_call_that_hangs_costs_one_value(box) -> None:
    hardware = box("hangs-in-between")
    assert hardware.gpu.power_w is None
    assert hardware.gpu.temperature_c == 41
    assert any("hangs" in problem for problem in hardware.problems)


def test_a_torch_too_new_for_the_driver_is_told_with_what_to_install(box) -> None:
    torch = box("old-driver").torch
    assert "CUDA 12.4 at most" in torch.problem
    assert "whl/cu126" in torch.advice
    assert "580" in torch.problem


def test_only_the_chosen_card_counts(box) -> None:
    hardware = box("two-kinds")
    assert hardware.gpu.name.endswith("5090")
    assert hardware.torch.problem is None, "the old card is not used, so its age is no matter"
    assert any("PCI_BUS_ID" in problem for problem in hardware.problems)


def changed(recorded, name: str, answers: dict | None = None, **machine) -> Hardware:
    """The box `name` with some answers and facts replaced."""
    box = recorded(name)
    return probe(Recorded(box.answers | (answers or {})), box.machine.model_copy(update=machine))


@pytest.mark.parametrize(
    ("setting", "indices"),
    [
        ("0", [0]), ("2,1", [1, 2]), ("", []), ("-1", []), ("NoDevFiles", []), ("1,9,2", [1]),
        ("GPU-3b1c", [3]), ("GPU-", []), ("0, 3", [0, 3]), ("0,0", [0]),
    ],
)
def test_cuda_visible_devices_is_honoured(recorded, setting: str, indices: list[int]) -> None:
    hardware = changed(recorded, "4xa100", environment={"CUDA_VISIBLE_DEVICES": setting})
    assert [gpu.index for gpu in hardware.gpus if gpu.visible] == indices
    assert len(hardware.gpus) == 4
    if not indices:
        assert any("hides every GPU" in problem for problem in hardware.problems)


def test_a_mig_slice_is_chosen_by_its_uuid(recorded) -> None:
    hardware = changed(recorded, "mig", environment={"CUDA_VISIBLE_DEVICES": "MIG-1a1b2c3d"})
    assert hardware.gpu.name.endswith("2g.10gb")


def test_mig_mode_without_a_slice_is_no_gpu(recorded) -> None:
    hardware = changed(recorded, "mig", {"mig_slots 0": 0, "memory 0": {"total": GiB, "used": 0, "free": GiB}})
    assert hardware.gpu is None
    assert any("no slice" in problem for problem in hardware.problems)


def test_compute_modes_that_refuse_us_are_told(recorded) -> None:
    prohibited = changed(recorded, "t4", {"compute_mode 0": "prohibited"})
    assert prohibited.gpu is None
    assert any("DEFAULT" in problem for problem in prohibited.problems)
    taken = changed(recorded, "half-full", {"compute_mode 0": "exclusive process"})
    assert any("one process at a time" in problem for problem in taken.problems)


def test_uncorrectable_memory_errors_are_told(recorded) -> None:
    assert any("3 memory errors" in problem for problem in changed(recorded, "t4", {"ecc_errors 0": 3}).problems)


def test_a_card_that_shares_the_hosts_memory_reports_that(recorded) -> None:
    hardware = changed(recorded, "t4", {"memory 0": {"error": "NotSupported"}})
    assert hardware.gpu.total_bytes == hardware.ram.total_bytes


def test_cards_on_the_bus_without_a_driver_are_told(recorded) -> None:
    hardware = changed(recorded, "none", nvidia_cards=2)
    assert "2 NVIDIA GPUs" in hardware.problems[0]
    assert "--gpus all" in hardware.problems[0]


def test_a_driver_without_a_card_in_a_container_is_told(recorded) -> None:
    hardware = changed(recorded, "t4", {"count": 0})
    assert any("--gpus all" in problem for problem in hardware.problems)


def test_little_disk_is_told_with_where_there_is_more(recorded) -> None:
    machine = recorded("t4").machine
    disk = machine.disks[1].model_copy(update={"volatile": False, "free_bytes": 3 * GiB})
    hardware = changed(recorded, "t4", disks=(disk,))
    assert any("3.0 GiB left" in problem and "/workspace" in problem for problem in hardware.problems)


def test_a_record_can_be_played_again_and_names_nobody(tmp_path, recorded) -> None:
    answers = dict(recorded("half-full").answers)
    answers["processes 0"] = [{"pid": 7, "used_bytes": 5, "name": "python3", "user": "alice"}]
    seen = record(tmp_path / "box.json", Recorded(answers))
    assert seen.gpu.processes[0].user == "alice"
    text = (tmp_path / "box.json").read_text()
    assert "alice" not in text
    again = load(tmp_path / "box.json")
    assert [gpu.uuid for gpu in again.gpus] == [gpu.uuid for gpu in seen.gpus]
    assert again.cpu == seen.cpu
    assert again.host == "recorded"


def test_a_printed_probe_can_be_loaded_too(tmp_path, box) -> None:
    path = tmp_path / "hardware.json"
    path.write_text(box("t4").to_json())
    assert load(path) == box("t4").model_copy(update={"time": load(path).time})


@pytest.mark.parametrize("content", ["", "{}", "[]", "not json", json.dumps({"answers": 3}), "\x00"])
def test_a_file_that_is_no_machine_is_refused(tmp_path, content: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(BadInput, match="no recorded machine"):
        load(path)
    with pytest.raises(BadInput, match="can't be read"):
        load(tmp_path / "missing.json")
