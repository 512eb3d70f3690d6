"""Imported by the server of `killed_run`: it trains once, as the first training loads modules."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

from tests.training.killed_run import train

with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
    warnings.simplefilter("ignore")
    train(Path(folder) / "first", "cpu")
