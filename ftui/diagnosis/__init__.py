"""What a run's curves say about it: each finding with its evidence, and with the settings that would help.

Pure and incremental: the worker's `Doctor` looks on while it trains, `examine` reads a run that is over.
"""

from ftui.diagnosis.case import Case, case_of
from ftui.diagnosis.doctor import Doctor, examine
from ftui.diagnosis.finding import Finding

__all__ = ["Case", "Doctor", "Finding", "case_of", "examine"]
