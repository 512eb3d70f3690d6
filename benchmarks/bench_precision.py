"""A training step of the published settings in each precision, and what precision does to recall.

    python -m benchmarks.bench_precision [--rounds 9] [--items 20000] [--threads 1]
    python -m benchmarks.bench_precision --recall TRAIN TEST [--preset rsc15] [--seeds 5]

The first prints a table of times: float32, and 'medium' and 'high' by every instruction set that
multiplies bfloat16 numbers here, whether it is faster than float32 or not. They take turns, so that
a change of the machine's speed affects all. Times are medians over the rounds; with one thread they
are its own processor time. The second trains a preset on one log, and prints recall@20 and MRR@20
on another of every seed.
"""

from __future__ import annotations

import argparse
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from benchmarks.workloads import WORKLOADS, Workload
from gru4rec_fast import GRU4Rec, _core, batch_eval
from gru4rec_fast.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_benchmark.fixture import BenchmarkFixture

STEPS = 16
SETS = [name for name in _core.bf16_instruction_sets() if not name.startswith("emulated")]
WAYS = [("highest", ""), *((p, name) for p in ("medium", "high") for name in SETS)]
"""Precisions, and the instruction set that multiplies in them."""


@contextmanager
def using(instructions: str) -> Iterator[None]:
    """Multiply by an instruction set, '' for the choice by speed."""
    _core.use_bf16_instruction_set(instructions)
    yield
    _core.use_bf16_instruction_set("")


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(filter(None, way)))
@pytest.mark.parametrize("name", WORKLOADS)
def test_precision(benchmark: BenchmarkFixture, name: str, way: tuple[str, str]) -> None:
    precision, instructions = way
    workload = Workload(WORKLOADS[name].replace(precision=precision), 20_000, STEPS)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with using(instructions):
        benchmark(workload.engine())
    torch.set_num_threads(before)


def print_times(rounds: int, n_items: int, threads: int) -> None:
    """The table: milliseconds a step, and the ratio to float32."""
    torch.set_num_threads(threads)
    clock = time.thread_time if threads == 1 else time.perf_counter
    titles = [" ".join(filter(None, way)) for way in WAYS]
    print("| setting |", " | ".join([titles[0], *(f"{t} | ratio" for t in titles[1:])]), "|")
    print("|---" + "|--:" * (2 * len(WAYS) - 1) + "|")
    for name, config in WORKLOADS.items():
        runs = [Workload(config.replace(precision=p), n_items, STEPS).engine() for p, _ in WAYS]
        times = np.empty((rounds + 1, len(WAYS)))
        for i, k in np.ndindex(*times.shape):
            with using(WAYS[k][1]):
                start = clock()
                runs[k]()
                times[i, k] = 1e3 * (clock() - start) / STEPS
        first, *others = np.median(times[1:], axis=0)
        ratios = np.median(times[1:, 1:] / times[1:, :1], axis=0)
        cells = [f"{t:.3f} | {r:.2f}" for t, r in zip(others, ratios, strict=True)]
        print(f"| {name} | {first:.3f} |", " | ".join(cells), "|", flush=True)


def print_recall(train: str, test: str, preset: str, seeds: int) -> None:
    """Recall@20 and MRR@20 of each seed, their means, and the standard deviations over seeds."""
    for precision, instructions in WAYS:
        figures = []
        for seed in range(1, seeds + 1):
            with using(instructions):
                gru = GRU4Rec(**PRESETS[preset], precision=precision, seed=seed, device="cpu")
                gru.fit(train, progress=False)
            recall, mrr = batch_eval(gru, test, cutoff=[20], mode="standard")
            figures.append((recall[20], mrr[20]))
        found = np.array(figures)
        mean, deviation = found.mean(axis=0), found.std(axis=0, ddof=1)
        print(
            f"{precision} {instructions}: recall@20 {mean[0]:.4f} ± {deviation[0]:.4f}, "
            f"MRR@20 {mean[1]:.4f} ± {deviation[1]:.4f}; by seed {np.round(found[:, 0], 4)}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--recall", nargs=2, metavar=("TRAIN", "TEST"))
    parser.add_argument("--preset", default="rsc15", choices=PRESETS)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.recall:
        train, test = arguments.recall
        print_recall(train, test, arguments.preset, arguments.seeds)
    else:
        print_times(arguments.rounds, arguments.items, arguments.threads)


if __name__ == "__main__":
    main()
