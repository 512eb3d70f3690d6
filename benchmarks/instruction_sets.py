"""A step by each instruction set, beside its matrix products by two libraries.

    make bench-sets ARGS="--rounds 7 --settings rsc15 2016"

Everything takes turns. Engine and products are processor time of one thread, the gain of two
threads is one of wall-clock time; medians. The products do not depend on V, so their times are
pooled. Which instructions a library uses depends on it and on the processor: torch.mm (MKL) does
without AVX-512 on AMD. NumPy's OpenBLAS chooses by the processor, or by OPENBLAS_CORETYPE.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from itertools import chain
from statistics import median
from typing import TYPE_CHECKING

import torch

from benchmarks.report import STEPS, processor, timed
from benchmarks.workloads import WORKLOADS, Workload
from gru4rec_fast import _core

if TYPE_CHECKING:
    from collections.abc import Callable

    Times = dict[str, list[float]]

CATALOGUES = (20_000, 1_000_000)
FLOORS = ("torch.mm", "numpy.matmul")
HEAD = [
    "| setting | V | set | engine | torch.mm | numpy.matmul | engine / lower | 1 thread | "
    "2 threads | gain |",
    "|---|--:|---|--:|--:|--:|--:|--:|--:|--:|",
]


def by_set(name: str, run: Callable[[], None], threads: int = 1) -> Callable[[], None]:
    """The run, by this instruction set and number of threads."""

    def chosen() -> None:
        _core.use_instruction_set(name)
        torch.set_num_threads(threads)
        run()
        torch.set_num_threads(1)

    return chosen


def measure(setting: str, n_items: int, sets: list[str], rounds: int) -> Times:
    """Seconds a step: a floor, a set, and a set with the threads of a wall-clock time."""
    workload = Workload(setting, n_items, STEPS[setting] // 2)
    few = max(2, workload.steps // 8)
    floors = [workload.floor(few), workload.floor(few, "numpy")]
    runs: dict[str, tuple[Callable[[], None], Callable[[], float], int]] = {
        name: (floor, time.thread_time, few) for name, floor in zip(FLOORS, floors, strict=True)
    }
    for name in sets:
        engine = workload.engine()
        runs[name] = (by_set(name, engine), time.thread_time, workload.steps)
        for threads in (1, 2):
            run = by_set(name, engine, threads)
            runs[f"{name} {threads}"] = (run, time.perf_counter, workload.steps)
    times: Times = {name: [] for name in runs}
    for counted in range(rounds + 1):
        for name, (run, clock, steps) in runs.items():
            seconds = timed(run, clock) / steps
            if counted:  # the first round warms up
                times[name].append(seconds)
    return times


def rows(setting: str, sets: list[str], rounds: int) -> list[str]:
    """Table rows of a setting."""
    times = {n_items: measure(setting, n_items, sets, rounds) for n_items in CATALOGUES}
    floors = [1e3 * median(chain(*(t[name] for t in times.values()))) for name in FLOORS]
    lines = []
    for n_items, of in times.items():
        for name in sets:
            engine, one, two = (1e3 * median(of[name + suffix]) for suffix in ("", " 1", " 2"))
            lines.append(
                f"| {setting} | {n_items:,} | {name} | {engine:.3f} | {floors[0]:.3f} | "
                f"{floors[1]:.3f} | {engine / min(floors):.2f} | {one:.3f} | {two:.3f} | "
                f"{one / two:.2f} |"
            )
    return lines


def main() -> None:
    """Print the table of what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--settings", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--sets", nargs="+", default=_core.instruction_sets()[:-1])
    options = parser.parse_args()
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        sys.exit("OPENBLAS_NUM_THREADS is not 1, so NumPy may use several threads; set it to 1")
    print(f"{processor()}, torch {torch.__version__}; milliseconds a step")
    print("\n".join(HEAD))
    for setting in options.settings:
        print("\n".join(rows(setting, options.sets, options.rounds)), flush=True)


if __name__ == "__main__":
    main()
