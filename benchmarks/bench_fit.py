"""Whole trainings by GRU4Rec.fit: an epoch of real sessions, and ten million items in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from benchmarks.peak_memory import printed_by
from gru4rec_fast import GRU4Rec
from gru4rec_fast.presets import PRESETS

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from gru4rec_fast.training.report import EpochReport

SESSIONS = Path(__file__).resolve().parents[2] / "shared/data/serenade_bol/train.tsv.gz"
N_ITEMS, UNITS = 10_000_000, 64


def epoch(engine: str) -> EpochReport:
    """One epoch of SESSIONS by the rsc15 preset on one thread."""
    torch.set_num_threads(1)
    reports: list[EpochReport] = []
    gru = GRU4Rec(**{**PRESETS["rsc15"], "n_epochs": 1}, device="cpu", engine=engine)
    gru.fit(SESSIONS, progress=False, on_epoch=reports.append)
    return reports[0]


def epoch_rates() -> dict[str, float]:
    """Events a second of the C++ engine and of the reference."""
    reports = {name: epoch(name) for name in ("cpu", "reference")}
    return {name: report.events / report.seconds for name, report in reports.items()}


FIT = """
import sys
import numpy as np
import pandas as pd
from benchmarks.peak_memory import memory_now, peak_memory
from gru4rec_fast import GRU4Rec

n_items, units = map(int, sys.argv[1:])
items = np.concatenate([np.arange(n_items), np.arange(n_items)[::25]])  # every item occurs
log = pd.DataFrame({"SessionId": np.arange(len(items)) // 4, "ItemId": items, "Time": 0})
before = memory_now()
gru = GRU4Rec(layers=[units], batch_size=512, n_sample=2048, momentum=0.2, n_epochs=1, device="cpu")
gru.fit(log, progress=False, on_epoch=print)
print((peak_memory() - before) / (3 * 4 * n_items * (units + 1)))
"""


def training_memory(n_items: int = N_ITEMS, units: int = UNITS) -> float:
    """Peak memory above the log, by the size of the item table, its accumulator and its momentum.

    By a process of its own, which trains an epoch in which every item occurs.
    """
    return printed_by(FIT, n_items, units)


@pytest.mark.skipif(not SESSIONS.exists(), reason=f"no sessions at {SESSIONS}")
@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_epoch(benchmark: BenchmarkFixture, engine: str) -> None:
    benchmark.pedantic(epoch, args=(engine,), rounds=3 if engine == "cpu" else 1)


def test_memory() -> None:
    assert training_memory() <= 1.15
