"""Training by several ranks on this machine: speed, bytes, and quality. `make bench-distributed`.

    python -m benchmarks.distributed speed     # a step by 1, 2 and 4 ranks
    python -m benchmarks.distributed rows      # the rows of a step alone, as torchrec_step.py
    python -m benchmarks.distributed quality   # recall by 1, 2 and 4 ranks at the same batch
    python -m benchmarks.distributed curve     # recall by batch size and learning rate

Quality and curve train on the real sessions of ../shared/data (docs/SCALING.md names their origin),
or on those that --data names. Tables come as Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from gru4rec_fast.presets import PRESETS

DATA = Path("../shared/data/serenade_bol")
RANKS = (1, 2, 4)


def main() -> None:
    """Print the table that the first argument names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("speed", "rows", "quality", "curve"))
    parser.add_argument("--setting", default="rees46", choices=PRESETS)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=20, help="of a block")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sockets", action="store_true", help="messages not by shared memory")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--ranks", type=int, nargs="+", default=RANKS)
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 64, 128, 256])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.1, 0.2, 0.4])
    options = parser.parse_args()
    {"speed": speed, "rows": rows, "quality": quality, "curve": curve}[options.what](options)


def speed(options: argparse.Namespace) -> None:
    """Time and bytes of a step."""
    print("| ranks | ms a step | × one rank | MB sent by a rank | by the model |")
    print("|---|---|---|---|---|")
    first = None
    for ranks in options.ranks:
        found = launch(
            ranks, job="step", setting=options.setting, n_items=options.items,
            steps=options.steps, rounds=options.rounds, sockets=options.sockets,
        )  # fmt: skip
        seconds = found["seconds"]
        first = first or seconds
        sent = " | ".join(f"{found.get(key, 0) / 1e6:.2f}" for key in ("sent", "modelled"))
        print(f"| {ranks} | {1e3 * seconds:.2f} | {first / seconds:.2f} | {sent} |", flush=True)


def rows(options: argparse.Namespace) -> None:
    """Time of fetching and updating 1200 rows of 512 columns by 2 ranks."""
    for memory in (True, False):
        found = launch(
            2, job="rows", n_items=options.items, units=512, rows=1200, rounds=65, memory=memory
        )
        by = "memory" if memory else "sockets"
        print(f"1200 rows of 512, 2 ranks, by {by}: {1e3 * found['seconds']:.2f} ms a step")


def quality(options: argparse.Namespace) -> None:
    """Recall@20 and MRR@20 by the number of ranks, mean and standard deviation over seeds."""
    print("| ranks | recall@20 valid | recall@20 test | MRR@20 valid | MRR@20 test |")
    print("|---|---|---|---|---|")
    for ranks in options.ranks:
        found = [launch(ranks, **training(options, seed=seed)) for seed in options.seeds]
        print(f"| {ranks} | {' | '.join(cells(found))} |", flush=True)


def curve(options: argparse.Namespace) -> None:
    """Recall@20 on both logs by batch size and learning rate, on one rank."""
    print("| batch size | " + " | ".join(f"η = {rate}" for rate in options.rates) + " |")
    print("|---" * (1 + len(options.rates)) + "|")
    for batch in options.batches:
        row = []
        for rate in options.rates:
            parameters = {"batch_size": batch, "learning_rate": rate}
            found = [
                launch(1, **training(options, seed=seed, **parameters)) for seed in options.seeds
            ]
            values = [(each["valid"]["recall"] + each["test"]["recall"]) / 2 for each in found]
            row.append(f"{statistics.mean(values):.3f}")
        print(f"| {batch} | {' | '.join(row)} |", flush=True)


def training(options: argparse.Namespace, **parameters: Any) -> dict[str, Any]:
    """The job of a training and its evaluation."""
    logs = {name: str(options.data / f"{name}.tsv.gz") for name in ("train", "valid", "test")}
    settings = PRESETS["rsc15" if options.setting == "rees46" else options.setting]
    return {
        "job": "recall",
        "logs": logs,
        "parameters": settings | {"n_epochs": options.epochs} | parameters,
    }


def cells(found: list[dict[str, Any]]) -> list[str]:
    """Mean ± standard deviation of each figure."""
    columns = []
    for metric in ("recall", "mrr"):
        for log in ("valid", "test"):
            values = [each[log][metric] for each in found]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            columns.append(f"{statistics.mean(values):.3f} ± {spread:.3f}")
    return columns


def launch(ranks: int, **job: Any) -> dict[str, Any]:
    """What rank 0 of that many processes answers."""
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone",
         "--nproc-per-node", str(ranks), "-m", "benchmarks.distributed_worker", json.dumps(job)],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


if __name__ == "__main__":
    main()
