"""One training step of each cell, and of a feed-forward layer, beside the default of equal sizes.

    make bench ARGS="-k cells -s"

Times are of `STEPS` steps on one thread. The sizes are those of the preset rsc15 (H = 100, B = 32,
S = 2048) and of the 2016 setting (H = 100, B = 50, S = 0), where the cell is most of a step. Before
each round the default takes the same steps; the ratio that is printed is the median over the rounds
of processor times, so a busy machine changes it little.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import pytest
import torch

from benchmarks.workloads import WORKLOADS, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_benchmark.fixture import BenchmarkFixture

STEPS, ROUNDS = 64, 25
SHARED = {"constrained_embedding": True}
ONE_HOT = {"constrained_embedding": False}
NETWORKS: dict[str, dict[str, Any]] = {
    "default": SHARED,
    "gru-reset-before": {**SHARED, "reset": "before"},
    "lstm": {**SHARED, "cell": "lstm"},
    "rnn": {**SHARED, "cell": "rnn"},
    "one-hot gru-reset-after": {**ONE_HOT, "reset": "after"},
    "one-hot gru-reset-before": ONE_HOT,
    "one-hot lstm": {**ONE_HOT, "cell": "lstm"},
    "one-hot rnn": {**ONE_HOT, "cell": "rnn"},
    "feed-forward 200": {**SHARED, "feed_forward": (200,)},
    "default of 200 units": {**SHARED, "layers": (200,)},
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def timed(run: Callable[[], None], seconds: list[float]) -> Callable[[], None]:
    """`run`, which notes its processor time."""

    def timed_run() -> None:
        begin = time.process_time()
        run()
        seconds.append(time.process_time() - begin)

    return timed_run


@pytest.mark.parametrize("setting", ["rsc15", "2016"])
@pytest.mark.parametrize("network", NETWORKS)
def test_cells(benchmark: BenchmarkFixture, network: str, setting: str) -> None:
    default, own = (
        Workload(WORKLOADS[setting].replace(**NETWORKS[name]), 20_000, STEPS).engine()
        for name in ("default", network)
    )
    before: list[float] = []
    after: list[float] = []
    benchmark.pedantic(timed(own, after), setup=timed(default, before), rounds=ROUNDS)
    ratio = statistics.median(a / b for a, b in zip(after[1:], before[1:], strict=True))
    benchmark.extra_info["times the default"] = ratio
    print(f"\n{setting}, {network}: {1e3 * min(after) / STEPS:.3f} ms a step, "
          f"{ratio:.2f} times the default")  # fmt: skip
