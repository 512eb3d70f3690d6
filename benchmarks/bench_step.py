"""One training step of the published settings: the engine, plain PyTorch, and the products alone.

Times are of `STEPS` steps. The three are interleaved, and put into a table, by `make bench-report`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from benchmarks.workloads import WORKLOADS, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_benchmark.fixture import BenchmarkFixture

STEPS = 16


@pytest.fixture(params=[1, 2], ids=["1-thread", "2-threads"], autouse=True)
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("n_items", [20_000, 1_000_000])
@pytest.mark.parametrize("name", WORKLOADS)
def test_engine(benchmark: BenchmarkFixture, name: str, n_items: int) -> None:
    benchmark(Workload(name, n_items, STEPS).engine())


@pytest.mark.parametrize("name", WORKLOADS)
def test_plain_pytorch(benchmark: BenchmarkFixture, name: str) -> None:
    benchmark(Workload(name, 20_000, STEPS).plain(STEPS))


@pytest.mark.parametrize("name", WORKLOADS)
def test_floor(benchmark: BenchmarkFixture, name: str) -> None:
    benchmark(Workload(name, 20_000, STEPS).floor(STEPS))
