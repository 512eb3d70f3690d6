"""Negative samples and merged rows: time of a block of 128 steps with S = 2048, by catalogue size.

    pytest benchmarks/bench_sampling.py

The supports are Zipf-like with alpha = 0.5, the items in random order. One thread.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gru4rec_fast._core import NegativeSampler, dropout_mask, merge_rows
from gru4rec_fast.plan.negatives import negative_sampler

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pytest_benchmark.fixture import BenchmarkFixture

STEPS = 128
LANES = 128
SAMPLES = 2048
CATALOGUES = pytest.mark.parametrize("n_items", [20_000, 1_000_000, 10_000_000])


@lru_cache(maxsize=1)
def support(n_items: int) -> NDArray[np.float64]:
    ranks = np.random.default_rng(0).permutation(n_items) + 1.0
    return np.asarray(np.ceil(1e5 / ranks), dtype=np.float64)


@lru_cache(maxsize=1)
def sampler(n_items: int) -> NegativeSampler:
    return negative_sampler(support(n_items), 0.5)


def record(benchmark: BenchmarkFixture, name: str, count: int) -> None:
    if benchmark.stats is not None:
        benchmark.extra_info[name] = benchmark.stats.stats.median / count


@CATALOGUES
def test_build(benchmark: BenchmarkFixture, n_items: int) -> None:
    built = benchmark.pedantic(negative_sampler, (support(n_items), 0.5), rounds=3)
    assert isinstance(built, NegativeSampler)
    record(benchmark, "s_per_item", n_items)


@CATALOGUES
def test_draw(benchmark: BenchmarkFixture, n_items: int) -> None:
    arguments = (42, 0, STEPS, SAMPLES)
    drawn = benchmark.pedantic(sampler(n_items).draw, arguments, rounds=10, warmup_rounds=1)
    assert drawn.shape == (STEPS, SAMPLES)
    record(benchmark, "s_per_step", STEPS)


@CATALOGUES
def test_merge(benchmark: BenchmarkFixture, n_items: int) -> None:
    negatives = sampler(n_items).draw(42, 0, STEPS, SAMPLES)
    inputs, targets = (sampler(n_items).draw(seed, 0, STEPS, LANES) for seed in (1, 2))
    arguments = (inputs, targets, np.full(STEPS, LANES, dtype=np.int32), negatives)
    merged = benchmark.pedantic(merge_rows, arguments, rounds=10, warmup_rounds=1)
    record(benchmark, "s_per_step", STEPS)
    benchmark.extra_info["unique_rows"] = float(merged.touched.mean())


def test_dropout(benchmark: BenchmarkFixture) -> None:
    arguments = (42, 0, 0, LANES, 512, 0.5)
    mask = benchmark.pedantic(dropout_mask, arguments, rounds=20, warmup_rounds=2)
    record(benchmark, "s_per_element", mask.size)
