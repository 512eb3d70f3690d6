"""A training step of every loss, score activation and optimiser, beside the default's.

    python -m benchmarks.bench_options [--rounds 9] [--items 20000]

prints a table: the default and the options take turns, so that a change of the machine's speed
affects all; times are of the calling thread, medians over the rounds, on one thread. The sizes are
those of the preset rsc15: H = 100, B = 32, S = 2048. `make bench ARGS="-k option"` has the same
cases, and the reference.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from benchmarks.workloads import WORKLOADS, Workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

STEPS = 24
RANKING = ("bpr-max", "bpr", "top1", "top1-max")
DEFAULT = {
    "loss": "cross-entropy", "logq": 0.0, "momentum": 0.0, "dropout_p_hidden": 0.0,
    "elu_param": 0.5, "bpreg": 1.0,
}  # fmt: skip

OPTIONS: dict[str, dict[str, Any]] = {
    "cross-entropy, adagrad": {},
    "smoothing": {"smoothing": 0.1},
    "smoothing, logq": {"smoothing": 0.1, "logq": 1.0},
    **{loss: {"loss": loss, "final_act": "linear"} for loss in RANKING},
    **{
        f"bpr-max, {act}": {"loss": "bpr-max", "final_act": act}
        for act in ("relu", "tanh", "leaky-0.2", "elu-0.5", "selu-1.05-1.67")
    },
    **{
        f"{adapt}{', momentum' * bool(momentum)}": {"adapt": adapt, "momentum": momentum}
        for adapt in ("sgd", "adagrad", "adagrad-rowwise", "rmsprop", "adadelta", "adam")
        for momentum in (0.0, 0.2)
        if (adapt, momentum) != ("adagrad", 0.0)
    },
    "adagrad, L2": {"lmbd": 0.01},
    "grad_cap, free": {"grad_cap": 1e6},
    "grad_cap, binding": {"grad_cap": 1e-3},
}  # fmt: skip


def workload(name: str, n_items: int, steps: int) -> Workload:
    """The default with one option changed."""
    config = WORKLOADS["rsc15"].replace(**{**DEFAULT, **OPTIONS[name]})
    return Workload(config, n_items, steps)


@pytest.mark.parametrize("engine", ["cpu", "reference"])
@pytest.mark.parametrize("name", OPTIONS)
def test_option(benchmark: BenchmarkFixture, name: str, engine: str) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    benchmark(workload(name, 20_000, STEPS).engine(engine))
    torch.set_num_threads(before)


def milliseconds(run: Callable[[], object], steps: int) -> float:
    start = time.thread_time()
    run()
    return 1e3 * (time.thread_time() - start) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--items", type=int, default=20_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| option | ms a step | / default | reference |")
    print("|---|--:|--:|--:|")
    default, *names = OPTIONS
    base = workload(default, arguments.items, STEPS)
    run_base = base.engine()
    for name in names:
        option = workload(name, arguments.items, STEPS)
        run, run_reference = option.engine(), option.engine("reference")
        run_base(), run()
        times = np.array(
            [
                (milliseconds(run_base, base.steps), milliseconds(run, option.steps))
                for _ in range(arguments.rounds)
            ]
        )
        ratio = np.median(times[:, 1] / times[:, 0])
        slow = milliseconds(run_reference, option.steps)
        print(f"| {name} | {np.median(times[:, 1]):.3f} | {ratio:.2f} | {slow:.2f} |", flush=True)
    print(f"\nThe default, {default}: {np.median(times[:, 0]):.3f} ms a step.")


if __name__ == "__main__":
    main()
