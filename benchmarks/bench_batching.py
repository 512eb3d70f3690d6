"""Session-parallel mini-batches: (input, target) events per second, C++ scheduler and plain twin.

    pytest benchmarks/bench_batching.py

One million sessions of five events on average are taken in order of time (`sorted`, as they lie in
memory) or shuffled (`shuffled`, each session a cache miss). One thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pytest

from gru4rec_fast.plan.lanes import lane_blocks
from gru4rec_fast.reference import session_parallel_batches

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from gru4rec_fast._core import Int32, Int64

N_SESSIONS = 1_000_000
TWIN_STEPS = 2_000


@dataclass(frozen=True)
class Log:
    """Sessions of 2 + geometric events."""

    items: Int32
    offsets: Int64
    order: Int64


@pytest.fixture(scope="module")
def logs() -> dict[str, Log]:
    rng = np.random.default_rng(0)
    lengths = 1 + rng.geometric(0.25, N_SESSIONS)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    items = rng.integers(0, 1_000_000, offsets[-1]).astype(np.int32)
    return {
        "sorted": Log(items, offsets, np.arange(N_SESSIONS)),
        "shuffled": Log(items, offsets, rng.permutation(N_SESSIONS)),
    }


def record(benchmark: BenchmarkFixture, events: int) -> None:
    benchmark.extra_info["events"] = events
    if benchmark.stats is not None:
        benchmark.extra_info["events_per_s"] = events / benchmark.stats.stats.median


@pytest.mark.parametrize("order", ["sorted", "shuffled"])
@pytest.mark.parametrize("lanes", [32, 128])
def test_lane_scheduler(
    benchmark: BenchmarkFixture, logs: dict[str, Log], lanes: int, order: str
) -> None:
    def epoch() -> int:
        return sum(int(block.live.sum()) for block in lane_blocks(logs[order], lanes))

    events = benchmark.pedantic(epoch, rounds=5, warmup_rounds=1)
    assert events == len(logs[order].items) - N_SESSIONS
    record(benchmark, events)


@pytest.mark.parametrize("lanes", [32, 128])
def test_python_twin(benchmark: BenchmarkFixture, logs: dict[str, Log], lanes: int) -> None:
    log = logs["shuffled"]

    def start() -> int:
        steps = session_parallel_batches(
            log.items, log.offsets, log.order[: 40 * TWIN_STEPS], lanes
        )
        return sum(len(step.inputs) for step in islice(steps, TWIN_STEPS))

    events = benchmark.pedantic(start, rounds=3, warmup_rounds=1)
    record(benchmark, events)
