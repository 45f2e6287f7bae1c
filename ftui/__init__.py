"""ftui: a terminal wizard for fine-tuning language models on a GPU box over SSH."""

__version__ = "0.1.0"
