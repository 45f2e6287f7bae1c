"""`ftui demo`: the wizard on the embedded tiny model and the bundled dataset."""

from __future__ import annotations

import sys

from ftui.cli.app import open_app


def command() -> None:
    """Open the wizard with the embedded model and data chosen: no GPU, no hub, no download."""
    sys.exit(open_app(demo=True))
