"""A worker that leads stages whose own workers count: `python stages_worker.py RUN_FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

from ftui.runs import control
from ftui.worker.__main__ import main

if __name__ == "__main__":
    control.WORKER = (sys.executable, str(Path(__file__).with_name("counting_worker.py")))
    sys.exit(main(sys.argv[1]))
