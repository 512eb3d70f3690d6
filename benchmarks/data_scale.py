"""Logs of 10^7 events and more: prepared, opened, and trained on from the store: `make bench-data`.

Each log is generated, measured in processes of its own, and deleted. Memory is RssAnon: what a
process has allocated, without the files that it maps.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.data_log import write_log

ROOT = Path(__file__).resolve().parents[1]
BYTES_AN_EVENT = {"tsv": 75, "parquet": 60}
"""Of the disk at most: the log, the events in order of partitions, and the store."""
ITEMS = {10**7: 50_000}
MANY_ITEMS = 5_000_000
BLOCKS = 20
YAMBDA = 4.79e9
"""Events of the largest public log."""


class PeakMemory(threading.Thread):
    """The most RssAnon of this process, looked at 50 times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = self.first = rss_anon()
        self.done = threading.Event()
        self.start()

    def run(self) -> None:
        """Look until told to stop."""
        while not self.done.wait(0.02):
            self.peak = max(self.peak, rss_anon())

    def stop(self) -> int:
        """Bytes beyond those at the start."""
        self.done.set()
        self.join()
        return max(self.peak, rss_anon()) - self.first


def rss_anon() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no RssAnon: memory is measured on Linux alone")


def prepare_worker(log: str, store: str, memory: str) -> dict[str, float]:
    from gru4rec_fast.data.prepare import prepare

    peak, started, used = PeakMemory(), time.perf_counter(), time.process_time()
    prepare(log, store, memory=memory, overwrite=True)
    return {
        "seconds": time.perf_counter() - started,
        "processor seconds": time.process_time() - used,
        "memory": peak.stop(),
    }


def train_worker(store: str) -> dict[str, float]:
    """Open a store, then train `BLOCKS` blocks of a shuffled epoch."""
    from gru4rec_fast import GRU4Rec
    from gru4rec_fast.data.store import open_store
    from gru4rec_fast.training.memory import needed_memory

    started = time.perf_counter()
    sessions = open_store(store)
    opened = time.perf_counter() - started
    gru = GRU4Rec(
        layers=[16],
        n_sample=512,
        batch_size=128,
        adapt="adagrad-rowwise",
        n_epochs=1,
        train_random_order=True,
        device="cpu",
    )
    found: dict[str, float] = {"open": opened}
    needed = needed_memory(gru.config, sessions.n_items, 128)
    peak, started = PeakMemory(), time.perf_counter()

    def on_block(report: Any) -> bool:
        found.setdefault("first block", time.perf_counter() - started)
        return bool(report.minibatches >= BLOCKS * 128)

    gru.fit(store, on_block=on_block, progress=False)
    found["whole fit"] = time.perf_counter() - started
    found["memory beyond the model"] = (
        peak.stop() - needed["parameters"] - needed["optimiser state"]
    )
    return found


def measured(*arguments: str) -> dict[str, float]:
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "benchmarks.data_scale",
        "--worker",
        *arguments,
    ]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=float, nargs="+", default=[1e7, 1e8])
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "bench-data")
    parser.add_argument("--disk", type=float, default=40, help="GB that may be used at most")
    parser.add_argument("--memory", default="1G", help="events that prepare keeps in memory")
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        kind, *rest = options.worker
        print(json.dumps(prepare_worker(*rest) if kind == "prepare" else train_worker(*rest)))
        return
    cases = [(int(n), kind) for n in options.events for kind in (["tsv", "parquet"])]
    cases = [(n, kind) for n, kind in cases if kind == "parquet" or n <= 10**7]
    for n, kind in cases:
        room = BYTES_AN_EVENT[kind] * n / 1e9
        if room > options.disk:
            raise SystemExit(f"{n:,} events take up to {room:.0f} GB: pass --disk {room:.0f}")
    options.folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(options.folder).free / 1e9
    most = max(BYTES_AN_EVENT[kind] * n / 1e9 for n, kind in cases)
    if free < most:
        raise SystemExit(f"{options.folder} has {free:.0f} GB free, expected {most:.0f}: --folder")
    print(f"{processor()}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {commit()}")
    print(
        "| events | file | prepare, s | processor, s | ns an event | of a processor | memory, GB |",
        end="",
    )
    print(" open, s | first block, s | memory beyond the model, MB |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    costs: dict[int, tuple[float, float]] = {}
    try:
        for n, kind in cases:
            log, store = options.folder / f"log.{kind}", options.folder / "store"
            started = time.perf_counter()
            write_log(log, n, ITEMS.get(n, MANY_ITEMS) if kind == "tsv" else MANY_ITEMS)
            said = f"{n:.0e} events, {log.stat().st_size / 1e9:.1f} GB"
            print(f"{said}, generated in {time.perf_counter() - started:.0f} s", file=sys.stderr)
            made = measured("prepare", str(log), str(store), options.memory)
            log.unlink()
            trained = measured("train", str(store))
            print(
                f"| {n:.0e} | {kind} | {made['seconds']:.1f} | {made['processor seconds']:.1f} | "
                f"{made['seconds'] / n * 1e9:.0f} | {made['processor seconds'] / n * 1e9:.0f} | "
                f"{made['memory'] / 1e9:.2f} | "
                f"{trained['open']:.3f} | {trained['first block']:.1f} | "
                f"{trained['memory beyond the model'] / 1e6:.0f} |",
                flush=True,
            )
            shutil.rmtree(store)
            if kind == "parquet":
                costs[n] = made["seconds"] / n, made["processor seconds"] / n
        if len(costs) > 1:
            print(curve(costs))
    finally:
        shutil.rmtree(options.folder, ignore_errors=True)


def curve(costs: dict[int, tuple[float, float]]) -> str:
    """Wall and processor seconds of an event by their number -> the growth, and the largest log.

    Between the two largest sizes the processor time is taken for a power of the size; the wall time
    is taken to grow alike.
    """
    (small, (_, cheap)), (large, (wall, dear)) = sorted(costs.items())[-2:]
    power = math.log(dear / cheap) / math.log(large / small)
    minutes = YAMBDA * (YAMBDA / large) ** power / 60
    return (
        f"\nFrom {small:.0e} to {large:.0e} events the processor time of one grows as the "
        f"{power:+.3f}th power of their number. So {YAMBDA:.3g} events would take "
        f"{minutes * dear:.0f} minutes of processor time, and {minutes * wall:.0f} minutes."
    )


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return f"commit {done.stdout.strip() or 'unknown'}"


if __name__ == "__main__":
    main()
