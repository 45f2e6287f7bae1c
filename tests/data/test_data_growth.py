"""What a check-up of many rows takes: memory that doesn't grow with them, and files that are gone when it ends."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from ftui.data import preview

MiB = 1 << 20
# What a table may map into memory is made small, so that few rows show what very many would.
CHECK = """
import sys
from ftui.data import check, grown
grown._MAPPED_BYTES = 1 << 20
said = []
found = check(sys.argv[1], deep=True, against=[sys.argv[2]], on_progress=lambda *progress: said.append(progress))
assert any(done for done, _, _ in said)
print(found.profile.rows)
with open("/proc/self/status") as status:
    print(next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM")))
"""


def peak(path: Path, rows: int) -> int:
    """Bytes that a process takes at most to check so many different rows, deeply."""
    chooser = random.Random(rows)
    with path.open("w") as file:
        for number in range(rows):
            words = " ".join(f"{chooser.getrandbits(24):x}" for _ in range(12))
            file.write(json.dumps({"prompt": f"What is {number}?", "completion": words}) + "\n")
    against = path.with_name("test.jsonl")
    against.write_text(json.dumps({"prompt": "What is asked?", "completion": "This."}) + "\n")
    scratch = path.with_name("scratch")
    scratch.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", CHECK, str(path), str(against)], capture_output=True, text=True, timeout=500,
        check=False, env=os.environ | {"TMPDIR": str(scratch)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(scratch.iterdir()) == []
    counted, most = map(int, done.stdout.split())
    assert counted == rows
    return most


@pytest.mark.parametrize(
    ("name", "start", "again", "text"),
    [
        ("a.jsonl", "", '{"text": "word %d"}\n', "word 0"), ("a.json", "[", '{"text": "word %d"},\n', "word 0"),
        ("a.csv", "text,x\n", "word %d,1\n", "word 0"), ("a.txt", "", "word %d\n", "word 0"),
        ("b.txt", "", "word %d\n\n", "word 0"), ("b.json", '{"data": [', '{"text": "word %d"},\n', "word 0"),
    ],
)  # fmt: skip
def test_the_first_row_of_10_gib_is_shown_from_the_beginning_alone(
    tmp_path: Path, name: str, start: str, again: str, text: str
) -> None:
    path = tmp_path / name
    with path.open("w") as file:
        file.write(start + "".join(again % number for number in range(20_000)))
        # The rest is a hole, of which every byte would be read as 0.
        file.truncate(10 << 30)
    before = _read_by_this_process()
    shown = preview(str(path))
    assert (shown.kind, shown.line, shown.rendered) == ("text", 2 if name == "a.csv" else 1, text)
    assert _read_by_this_process() - before < 300 * MiB
    path.unlink()


def _read_by_this_process() -> int:
    return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])


@pytest.mark.slow
def test_a_deep_check_up_of_three_times_the_rows_takes_no_more_memory(tmp_path: Path) -> None:
    # As many rows are sampled for their lengths in both.
    few, many = (peak(tmp_path / "a.jsonl", rows) for rows in (25_000, 75_000))
    assert many - few < 8 * MiB, f"{few / MiB:.0f} MiB, then {many / MiB:.0f} MiB"
