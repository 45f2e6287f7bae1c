"""Packages with the names and the faces of the trackers, which note what they are told, fail, or hang, as asked."""

from __future__ import annotations

from pathlib import Path

COMMON = '''
import os, time
class Bag(dict):
    def update(self, *a, **k): pass
def act(at, what=""):
    with open(os.environ.get("TRACKER_NOTES", os.devnull), "a") as file:
        file.write(f"{at} {what}".strip() + "\\n")
    mode = os.environ.get("TRACKER_MODE", "")
    if mode == f"fail {at}":
        key = os.environ.get("TEST_API_KEY", "")
        raise ConnectionError(f"no route to https://me:hunter22@host/x with {key}\\nat length")
    if mode == f"exit {at}":
        raise SystemExit(3)
    if mode == f"hang {at}":
        time.sleep(600)
'''
FILES = {
    "wandb/__init__.py": COMMON + '''
import atexit
run, config = None, Bag()
class Run:
    summary = {}
    def _label(self, **k): pass
def init(project=None, **k):
    global run
    act("init", project)
    run = Run()
    atexit.register(finish)
def define_metric(*a, **k): pass
def log(values): act("log", values["train/global_step"])
def finish(exit_code=0):
    global run
    if run is not None: act("finish", exit_code)
    run = None
''',
    "wandb/sdk/__init__.py": "", "wandb/sdk/lib/__init__.py": "",
    "wandb/sdk/lib/config_util.py": "class ConfigError(Exception): pass",
    "mlflow/__init__.py": COMMON + '''
from types import SimpleNamespace as New
__version__ = "3.0.0"
utils = New(validation=New(MAX_PARAM_VAL_LENGTH=250, MAX_PARAMS_TAGS_PER_BATCH=100))
_name, _run = None, None
def is_tracking_uri_set(): return True
def get_tracking_uri(): return "x"
def set_experiment(name): global _name; _name = name
def active_run(): return _run
def start_run(**k):
    global _run
    act("init", _name)
    _run = New(info=New(run_id="1"))
def log_params(*a, **k): pass
def log_metrics(metrics, step, **k): act("log", step)
def end_run():
    global _run
    act("finish")
    _run = None
''',
    "trackio/__init__.py": COMMON + '''
from types import SimpleNamespace as New
__version__ = "1.0.0"
config, context_vars = Bag(), New(current_space_id=New(get=lambda: None))
def init(project=None, **k): act("init", project)
def log(values): act("log", values["train/global_step"])
def finish(): act("finish")
''',
    # torch's own writer asks for a version, and transformers then takes the other package.
    "tensorboard/__init__.py": "",
    "tensorboardX/__init__.py": COMMON + '''
class SummaryWriter:
    def __init__(self, log_dir=None): act("init", os.path.basename(log_dir))
    def add_text(self, *a): pass
    def add_scalar(self, name, value, step): act("log", step) if name.endswith("/loss") else None
    def flush(self): pass
    def close(self): act("finish")
''',
}
NAMES = tuple(dict.fromkeys(path.split("/")[0] for path in FILES))


def write(folder: Path) -> Path:
    """Write the packages into `folder`, which is returned."""
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder
