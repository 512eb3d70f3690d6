"""Item tables in bfloat16: what they cost in recall, and 10^8 items on a machine of 24 GB.

`python -m benchmarks.half_tables` trains on real sessions with tables in float32 and in bfloat16,
seed by seed, and compares recall@20 and MRR@20 of both on the last days.

`python -m benchmarks.half_tables --items 1e8` generates a log with an event of each item and as
many sessions as a tenth of them, prepares it, trains some hundred steps, and states the most memory
that each process had. It needs 10 GB of disk and 14 GB of memory; everything is deleted.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.daily_update import DATA, days_of
from benchmarks.data_scale import PeakMemory, commit, processor
from benchmarks.peak_memory import peak_memory
from gru4rec_fast import GRU4Rec, batch_eval, prepare
from gru4rec_fast.config import TABLE_DTYPES

if TYPE_CHECKING:
    from gru4rec_fast.training.report import BlockReport

ROOT = Path(__file__).resolve().parents[1]
DAYS = 3
OPTIMISERS = ("adagrad", "adagrad-rowwise")
ROWS = 10**7
SESSION = 10
"""Events of a session of the generated log."""
SPREAD = 1_000_003
"""A prime: item k * SPREAD mod V is every item once."""
UNITS, LANES, SAMPLES = 32, 128, 2048


def figures(train: pd.DataFrame, test: pd.DataFrame, **options: Any) -> list[float]:
    """recall@20, MRR@20, and the processor seconds of the training."""
    started = time.process_time()
    gru = GRU4Rec(**options, n_sample=512, device="cpu")
    gru.fit(train, compatibility_mode=False, progress=False)
    seconds = time.process_time() - started
    recall, mrr = batch_eval(gru, test, cutoff=[20])
    return [recall[20], mrr[20], seconds]


def compare(data: Path, seeds: int, epochs: int) -> None:
    torch.set_num_threads(1)
    log = pd.read_csv(data, sep="\t")
    day = days_of(log)
    end = int(day.max()) - DAYS
    train, test = log[day <= end], log[day > end]
    print(f"{len(train)} events, {seeds} seeds, {epochs} epochs, H = 100, S = 512")
    print("| optimiser | figure | float32 | bfloat16 | difference, seed by seed |")
    print("|---|---|--:|--:|--:|")
    for adapt in OPTIMISERS:
        runs = np.array(
            [
                [
                    figures(train, test, adapt=adapt, seed=seed, n_epochs=epochs, table_dtype=dtype)
                    for dtype in TABLE_DTYPES
                ]
                for seed in range(1, seeds + 1)
            ]
        )
        for k, name in enumerate(("recall@20", "MRR@20", "training, s")):
            both = [spread(runs[:, d, k]) for d in range(2)]
            difference = spread(runs[:, 1, k] - runs[:, 0, k])
            print(f"| {adapt} | {name} | {both[0]} | {both[1]} | {difference} |", flush=True)


def spread(values: np.ndarray[Any, Any]) -> str:
    """The mean, and the standard deviation over the seeds."""
    digits = 4 if np.abs(values).max() < 1 else 1
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"


def write_log(path: Path, n_items: int) -> None:
    """One event of each item, sessions in order of time."""
    writer = None
    for first in range(0, n_items, ROWS):
        event = np.arange(first, min(first + ROWS, n_items))
        columns = {
            "SessionId": event // SESSION,
            "ItemId": event * SPREAD % n_items,
            "Time": 1_600_000_000 + event,
        }
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def train_worker(store: str, dtype: str, steps: int) -> dict[str, float]:
    """Train some steps on a store; seconds and memory."""
    peak, started = PeakMemory(), time.perf_counter()
    found: dict[str, float] = {}
    gru = GRU4Rec(
        layers=[UNITS],
        batch_size=LANES,
        n_sample=SAMPLES,
        adapt="adagrad-rowwise",
        n_epochs=1,
        train_random_order=True,
        device="cpu",
        table_dtype=dtype,
    )

    def on_block(report: BlockReport) -> bool:
        found.setdefault("first block", time.perf_counter() - started)
        found.update(steps=report.minibatches, seconds=report.seconds, loss=report.loss)
        return report.minibatches >= steps

    gru.fit(store, on_block=on_block, progress=False)
    return {**found, "memory": peak.stop(), "resident": peak_memory()}


def prepare_worker(log: str, store: str) -> dict[str, float]:
    """Prepare the log; seconds and memory."""
    peak, started = PeakMemory(), time.perf_counter()
    prepare(log, store, memory="1G")
    return {"seconds": time.perf_counter() - started, "memory": peak.stop()}


def measured(*arguments: str) -> dict[str, float]:
    """What a worker of its own process found."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.half_tables", "--worker"]
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def large(n_items: int, folder: Path, dtype: str, steps: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        log, store = folder / "log.parquet", folder / "store"
        write_log(log, n_items)
        made = measured("prepare", str(log), str(store))
        log.unlink()
        print(f"prepare: {made['seconds']:.0f} s, {made['memory'] / 1e9:.2f} GB", flush=True)
        found = measured("train", str(store), dtype, str(steps))
        print(
            f"V = {n_items:.0e}, H = {UNITS}, B = {LANES}, S = {SAMPLES}, adagrad-rowwise, "
            f"{dtype}: "
            f"first block after {found['first block']:.0f} s, "
            f"{found['steps'] / found['seconds']:.0f} steps/s over {found['steps']:.0f} steps, "
            f"loss {found['loss']:.4f}, at most {found['memory'] / 1e9:.2f} GB allocated, "
            f"{found['resident'] / 1e9:.2f} GB resident with the files that it maps"
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA, help="log with times in seconds")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--items", type=float, help="train on a generated log of so many items")
    parser.add_argument("--dtype", choices=TABLE_DTYPES, default="bfloat16")
    parser.add_argument("--steps", type=int, default=512)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "half-tables")
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        kind, *rest = options.worker
        found = (
            prepare_worker(*rest)
            if kind == "prepare"
            else train_worker(rest[0], rest[1], int(rest[2]))
        )
        print(json.dumps(found))
        return
    print(f"{processor()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {commit()}")
    if options.items:
        large(int(options.items), options.folder, options.dtype, options.steps)
    elif options.data.is_file():
        compare(options.data, options.seeds, options.epochs)
    else:
        raise SystemExit(f"no sessions at {options.data}: pass --data with a log of several days")


if __name__ == "__main__":
    main()
