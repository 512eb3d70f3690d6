"""Serving, on one thread: `live.step` beside one read of the item table and the scores' product.

p50 and p99 are printed and kept in pytest-benchmark's `extra_info`. What is compared takes turns,
so that a change of the machine's speed affects both.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from benchmarks.turns import in_turns
from gru4rec_fast import GRU4Rec
from gru4rec_fast.data.data_iterator import DataIterator
from gru4rec_fast.data.items import numbered_items
from gru4rec_fast.model.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pytest_benchmark.fixture import BenchmarkFixture

K = 20
SIZES = [(10_000, 100, 2000), (1_000_000, 100, 60), (10_000_000, 32, 20)]
"""Items, units, and rounds that are measured."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def untrained(n_items: int, units: int) -> GRU4Rec:
    """A model of random weights; ids are not the item indices."""
    gru = GRU4Rec(layers=(units,), device="cpu")
    network = Network(gru.config, n_items)
    generator = np.random.default_rng(0)
    for parameter in network.parameters():
        generator.random(out=parameter.numpy(), dtype=np.float32)
        parameter.sub_(0.5).mul_(0.2)
    ids = numbered_items(np.arange(n_items) * 3, "ItemId")
    gru._become(network, DataIterator(ids, {}, np.ones(n_items, dtype=np.int64)))
    return gru


def random_ids(gru: GRU4Rec, n: int) -> list[Any]:
    items = np.random.default_rng(1).integers(0, gru.data_iterator.n_items, n)
    return [3 * item for item in items.tolist()]


def measured(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """p50 and p99 of each way in milliseconds, in turns, after one call to warm up."""
    found = {}
    for name, times in in_turns(ways, rounds).items():
        for quantile in (50, 99):
            found[f"{name} p{quantile} ms"] = 1e3 * float(np.percentile(times, quantile))
    return found


def report(benchmark: BenchmarkFixture, found: dict[str, float], way: Callable[[], object]) -> None:
    benchmark.extra_info |= found
    print("", *(f"{name}: {value:.4g}" for name, value in found.items()), sep="\n  ")
    benchmark.pedantic(way, rounds=3)


@pytest.mark.parametrize(("n_items", "units", "rounds"), SIZES)
def test_one_session(benchmark: BenchmarkFixture, n_items: int, units: int, rounds: int) -> None:
    gru = untrained(n_items, units)
    live, table = gru.live(), gru.model.parameter_dict()["Wy.weight"].numpy()
    items = itertools.cycle(random_ids(gru, 5000))
    sessions = itertools.cycle(range(1000))

    def step() -> None:
        live.step([next(sessions)], [next(items)], K)

    found = measured({"live.step": step, "read of the table": table.max}, rounds)
    found["ratio"] = found["live.step p50 ms"] / found["read of the table p50 ms"]
    report(benchmark, found, step)


def test_256_sessions(benchmark: BenchmarkFixture) -> None:
    gru = untrained(1_000_000, 100)
    live, w = gru.live(), gru.model.parameter_dict()["Wy.weight"]
    sessions, items = list(range(256)), random_ids(gru, 256)
    features, tile = torch.randn(256, 100), 4096
    scores = torch.empty(256, tile)

    def step() -> None:
        live.step(sessions, items, K)

    def product() -> None:
        for first in range(0, len(w) - tile + 1, tile):
            torch.mm(features, w[first : first + tile].T, out=scores)

    # The engine's own product, without selecting: the ranks of targets need nothing more.
    ranker, targets = gru.scorer(), torch.zeros(256, dtype=torch.int64)
    ways = {
        "live.step": step,
        "product by torch": product,
        "product and counts": lambda: ranker.rank_counts(features, targets),
    }
    found = measured(ways, 9)
    found["ratio"] = found["live.step p50 ms"] / found["product by torch p50 ms"]
    report(benchmark, found, step)


def test_1000_sessions_in_one_pass(benchmark: BenchmarkFixture) -> None:
    gru = untrained(10_000, 100)
    ids = random_ids(gru, 10_000)
    sessions = [ids[i : i + 10] for i in range(0, 10_000, 10)]
    ways = {
        "recommend_batch": lambda: gru.recommend_batch(sessions, K),
        "recommend, one by one": lambda: [gru.recommend(session, K) for session in sessions],
    }
    report(benchmark, measured(ways, 5), ways["recommend_batch"])


def test_a_session_of_5000_events(benchmark: BenchmarkFixture) -> None:
    gru = untrained(10_000, 100)
    session = random_ids(gru, 5000)
    found = measured({"recommend": lambda: gru.recommend(session, K)}, 20)
    report(benchmark, found, lambda: gru.recommend(session, K))


IMPORT = """
import time
import torch
start = time.perf_counter()
{statement}
print(time.perf_counter() - start)
"""


@pytest.mark.parametrize("what", ["import", "command"])
def test_start(benchmark: BenchmarkFixture, what: str, tmp_path: Any) -> None:
    """Seconds above `import torch`, of a new process whose files are cached."""
    statement = "from gru4rec_fast import GRU4Rec"
    if what == "command":
        gru = untrained(10_000, 100)
        gru.savemodel(tmp_path / "model")
        statement = (
            "from gru4rec_fast.cli.main import main\n"
            f"try:\n    main(['recommend', {str(tmp_path / 'model')!r}, '3', '6', '9'])\n"
            "except SystemExit:\n    pass"
        )

    def seconds() -> float:
        program = [sys.executable, "-c", IMPORT.format(statement=statement)]
        done = subprocess.run(program, check=True, capture_output=True, text=True)
        return float(done.stdout.split()[-1])

    seconds()
    times = [seconds() for _ in range(9)]
    found = {f"p{q} s": float(np.percentile(times, q)) for q in (50, 99)}
    report(benchmark, found, seconds)
