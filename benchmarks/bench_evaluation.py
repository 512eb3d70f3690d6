"""Ranks over a million items: the engine, the reference, and the scores' product alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from benchmarks.peak_memory import printed_by
from gru4rec_fast import reference
from gru4rec_fast.engines.choice import ENGINES

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

ROWS, UNITS = 256, 100


def scans(n_items: int) -> dict[str, Callable[[], object]]:
    """Ways to rank ROWS targets, by name."""
    features, w = torch.randn(ROWS, UNITS), torch.randn(n_items, UNITS)
    b, targets = torch.randn(n_items, 1), torch.randint(0, n_items, (ROWS,))
    tile, scores = 4096, torch.empty(ROWS, 4096)
    ranker = ENGINES["cpu"].ranker(w, b, bounds=False)
    every = reference.ItemGroups.all_different(n_items, w.device)

    def floor() -> None:
        for first in range(0, n_items - tile + 1, tile):
            torch.mm(features, w[first : first + tile].T, out=scores)

    return {
        "engine": lambda: ranker.rank_counts(features, targets),
        "plain": lambda: reference.rank_counts(
            features, targets, reference.item_scores(w, b), every
        ),
        "floor": floor,
        "top 20": lambda: ranker.top_k(features, 20),
    }


MEMORY = """
import sys
import torch
from benchmarks.peak_memory import peak_memory
from gru4rec_fast.engines.cpu import CpuRanker

rows, units, n_items = map(int, sys.argv[1:])
features, w = torch.zeros(rows, units), torch.ones(n_items, units)
b, targets = torch.ones(n_items, 1), torch.arange(rows)
# What the first call alone loads.
CpuRanker(w[:64], b[:64], bounds=False).rank_counts(features[:1], targets[:1])
before = peak_memory()
CpuRanker(w, b, bounds=False).rank_counts(features, targets)
print((peak_memory() - before) / 1e6)
"""


def evaluation_memory(n_items: int) -> float:
    """By how many MB a process of its own grows while it ranks ROWS targets."""
    return printed_by(MEMORY, ROWS, UNITS, n_items)


@pytest.mark.parametrize("name", ["engine", "plain", "floor", "top 20"])
def test_ranks(benchmark: BenchmarkFixture, name: str) -> None:
    torch.set_num_threads(1)
    benchmark.pedantic(scans(1_000_000)[name], rounds=3, warmup_rounds=1)


def test_memory() -> None:
    assert evaluation_memory(1_000_000) < 200
