"""Fit and evaluation of each baseline on a million generated events, on one thread.

Run with OMP_NUM_THREADS=1. The time of `test_predictions` is that of N_TEST events, reading the log
included; `predictions_per_s` in its extra info counts the pairs among them.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.workloads import GeneratedSessions
from gru4rec_fast.baselines import BASELINES
from gru4rec_fast.evaluation.batch_eval import batch_eval

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from gru4rec_fast.baselines.baseline import Baseline

N_EVENTS, N_TEST, N_ITEMS = 1_000_000, 20_000, 40_000


@functools.cache
def logs() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test log: sessions of 2 to 10 events whose items follow one Zipf law."""
    sessions = GeneratedSessions.draw(N_ITEMS, N_EVENTS + N_TEST)
    session = np.repeat(np.arange(len(sessions.order)), np.diff(sessions.offsets))
    log = pd.DataFrame(
        {"SessionId": session, "ItemId": sessions.items, "Time": np.arange(len(session))}
    )
    training = session < session[N_EVENTS]
    return log[training], log[~training]


@functools.cache
def fitted(name: str) -> Baseline:
    return BASELINES[name]().fit(logs()[0])


@pytest.mark.parametrize("name", BASELINES)
def test_fit(benchmark: BenchmarkFixture, name: str) -> None:
    torch.set_num_threads(1)
    benchmark.pedantic(BASELINES[name]().fit, args=(logs()[0],), rounds=1)


@pytest.mark.parametrize("name", BASELINES)
def test_predictions(benchmark: BenchmarkFixture, name: str) -> None:
    torch.set_num_threads(1)
    model, (_, test) = fitted(name), logs()
    benchmark.pedantic(batch_eval, args=(model, test), rounds=1, warmup_rounds=1)
    pairs = len(test) - test["SessionId"].nunique()
    if benchmark.stats is not None:  # it is None under --benchmark-disable
        benchmark.extra_info["predictions_per_s"] = round(pairs / benchmark.stats.stats.min)
