"""Measure, steps interleaved, and write docs/BENCHMARKS.md with its chart.

    python -m benchmarks.report [--rounds 9]

Each round runs engine, plain PyTorch and floor one after the other; the figures are medians over
rounds, so that a neighbour on the machine hits all three. Processor time of the calling thread is
reported for one thread, wall-clock time for two.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

from benchmarks import bench_fit, headline
from benchmarks.bench_evaluation import ROWS, UNITS, evaluation_memory, scans
from benchmarks.workloads import WORKLOADS, Workload
from gru4rec_fast import _core

mpl.use("Agg")
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "BENCHMARKS.md"
CHART = ROOT / "docs" / "benchmarks.png"
STEPS = {"rsc15": 256, "retailrocket": 48, "rees46": 8, "2016": 256}
PLAIN_STEPS = {"rsc15": 24, "retailrocket": 12, "rees46": 4, "2016": 48}


@dataclass(frozen=True)
class StepTimes:
    """Milliseconds a step: medians over the rounds."""

    name: str
    n_items: int
    engine: float
    plain: float
    floor: float
    wall_one: float
    wall_two: float


def timed(run: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    run()
    return clock() - start


def measure_step(name: str, n_items: int, rounds: int) -> StepTimes:
    torch.set_num_threads(1)
    workload = Workload(name, n_items, STEPS[name])
    few = min(PLAIN_STEPS[name], workload.steps)
    engine, plain, floor = workload.engine(), workload.plain(few), workload.floor(few)
    for warm_up in (engine, plain, floor):
        warm_up()
    times = np.empty((rounds, 5))
    for row in times:
        row[0] = timed(engine, time.thread_time) / workload.steps
        row[1] = timed(plain, time.thread_time) / few
        row[2] = timed(floor, time.thread_time) / few
        row[3] = timed(engine, time.perf_counter) / workload.steps
        torch.set_num_threads(2)
        row[4] = timed(engine, time.perf_counter) / workload.steps
        torch.set_num_threads(1)
    e, p, f, one, two = np.median(times, axis=0) * 1e3
    return StepTimes(name, n_items, e, p, f, one, two)


def evaluation_lines(n_items: int, rounds: int) -> list[str]:
    torch.set_num_threads(1)
    runs = scans(n_items)
    times = {
        name: float(np.median([timed(run, time.thread_time) for _ in range(rounds)]))
        for name, run in runs.items()
    }
    return [
        f"Ranks of {ROWS} targets among {n_items:,} items, H = {UNITS}, one thread: engine "
        f"{times['engine']:.2f} s, the scores' product alone {times['floor']:.2f} s "
        f"(ratio {times['engine'] / times['floor']:.2f}), plain PyTorch "
        f"{times['plain']:.2f} s; the best 20 items {times['top 20']:.2f} s. "
        f"Ranking them takes {evaluation_memory(n_items):.0f} MB above the model.",
        "",
    ]


def fit_lines(rounds: int) -> list[str]:
    lines = []
    if bench_fit.SESSIONS.exists():
        rates = [bench_fit.epoch_rates() for _ in range(rounds)]
        engine, reference = (
            np.median([r[engine] for r in rates]) for engine in ("cpu", "reference")
        )
        lines += [
            "An epoch of serenade_bol, rsc15 preset, one thread, by `GRU4Rec.fit`: "
            f"{engine:,.0f} events a second, by the reference {reference:,.0f}.",
            "",
        ]
    tables = 3 * 4 * bench_fit.N_ITEMS * (bench_fit.UNITS + 1) / 1e9
    lines += [
        f"`GRU4Rec.fit` of {bench_fit.N_ITEMS:,} items, H = {bench_fit.UNITS}, with momentum: at "
        f"its peak {bench_fit.training_memory():.2f} times the memory of item table, accumulator "
        f"and momentum ({tables:.1f} GB), the log not counted.",
        "",
    ]
    return lines


def step_rows(results: list[StepTimes]) -> list[str]:
    rows = [
        "| setting | V | engine | floor | engine / floor | plain PyTorch | plain / engine | "
        "1 thread | 2 threads | gain |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    rows += [
        f"| {r.name} | {r.n_items:,} | {r.engine:.3f} | {r.floor:.3f} | {r.engine / r.floor:.2f} | "
        f"{r.plain:.2f} | {r.plain / r.engine:.1f} | {r.wall_one:.3f} | {r.wall_two:.3f} | "
        f"{r.wall_one / r.wall_two:.2f} |"
        for r in results
    ]
    return rows


def draw(results: list[StepTimes]) -> None:
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    labels = [f"{r.name}\nV={r.n_items:,}" for r in results]
    for shift, (label, values) in enumerate(
        {
            "plain PyTorch": [r.plain for r in results],
            "engine": [r.engine for r in results],
            "floor: products alone": [r.floor for r in results],
        }.items()
    ):
        axes.bar(np.arange(len(results)) + 0.27 * (shift - 1), values, 0.27, label=label)
    axes.set_yscale("log")
    axes.set_xticks(range(len(results)), labels, fontsize=7)
    axes.set_ylabel("ms a step, one thread")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(CHART, dpi=120)


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def write(measured: str, results: list[StepTimes], more: list[str]) -> None:
    lines = [
        "# Benchmarks",
        "",
        f"`{' '.join(['python -m benchmarks.report', *sys.argv[1:]])}` at commit {measured}; "
        f"{processor()}, {_core.instruction_set()}, Python {platform.python_version()}, torch "
        f"{torch.__version__}. Generated by `benchmarks/report.py`; don't edit.",
        "",
        "Milliseconds a training step, medians of interleaved rounds, S = 2048 (2016: one-hot "
        "input, no samples, B = 50). Engine, floor and plain PyTorch are processor time of one "
        "thread; 1 and 2 threads are wall-clock time. The floor is the step's matrix products "
        "alone, all N columns, through `torch.mm(out=...)`; the engine computes a repeated item "
        "once. torch.mm uses no AVX-512 on AMD; DESIGN-cpu.md has the products of OpenBLAS too. "
        "Plain PyTorch: sparse gradients, coalesced, `benchmarks/workloads.py`.",
        "",
        *step_rows(results),
        "",
        f"![Time of a step]({CHART.name})",
        "",
        *more,
    ]
    PAGE.write_text("\n".join(lines), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    measured = commit()  # before the page and the chart are written
    results = []
    for name in WORKLOADS:
        for n_items in (20_000, 1_000_000):
            results.append(measure_step(name, n_items, rounds))
            print("\n".join(step_rows(results[-1:])[2:]), flush=True)
    more = [*evaluation_lines(1_000_000, max(1, rounds // 3)), *fit_lines(max(1, rounds // 3))]
    draw(results)
    write(measured, results, more)
    headline.draw(headline.of_docs(), headline.PICTURE)


if __name__ == "__main__":
    main()
