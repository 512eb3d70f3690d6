"""Latency of examples/serve under load, within this machine: python -m benchmarks.serve_load.

The server runs on a free port of 127.0.0.1 with an untrained model. Some connections send it events
of random sessions, each as soon as its last one is answered, until --requests or --seconds is
reached. With --swap the model is replaced half-way: `max` then contains the pause.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
APP = ROOT / "examples" / "serve" / "app.py"
MOST_REQUESTS, MOST_SECONDS, MOST_CONNECTIONS = 100_000, 300.0, 64


@contextlib.contextmanager
def running(model: Path, *arguments: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The example as a process on a free port of 127.0.0.1: the port, and the process."""
    command = [sys.executable, str(APP), str(model), "--port", "0", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    try:
        said = []
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                yield int(found[1]), process
                break
        else:
            raise RuntimeError(f"the server did not start:\n{''.join(said)}")
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stderr.close()


@dataclass
class Load:
    """What is sent; `left` and `until` bound it."""

    port: int
    n_items: int
    batch: int
    left: int
    until: float
    lock: threading.Lock

    def send(self, number: int) -> list[float]:
        """One connection's requests, one after the other; the seconds that each took."""
        generator = np.random.default_rng(number)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers, took = {"Content-Type": "application/json"}, []
        while self._another():
            items = (3 * generator.integers(0, self.n_items, self.batch)).tolist()
            sessions = [f"session-{n}" for n in generator.integers(0, 10_000, self.batch)]
            events = [{"session": s, "item": i} for s, i in zip(sessions, items, strict=True)]
            path = "/events" if self.batch > 1 else f"/sessions/{sessions[0]}/events"
            body = json.dumps(events if self.batch > 1 else {"item": items[0]})
            started = time.perf_counter()
            connection.request("POST", path, body, headers)
            reply = connection.getresponse()
            answer = reply.read()
            took.append(time.perf_counter() - started)
            if reply.status != http.client.OK:
                raise RuntimeError(f"{reply.status} {reply.reason}: {answer[:300]!r}")
        connection.close()
        return took

    def _another(self) -> bool:
        with self.lock:
            self.left -= 1
            return self.left >= 0 and time.perf_counter() < self.until


def main() -> None:
    from benchmarks.bench_serving import untrained

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--units", type=int, default=100)
    parser.add_argument("--connections", type=int, default=8, help=f"at most {MOST_CONNECTIONS}")
    parser.add_argument("--batch", type=int, default=1, help="events of a request, at most 256")
    parser.add_argument("--requests", type=int, default=4000, help=f"at most {MOST_REQUESTS}")
    parser.add_argument("--seconds", type=float, default=30, help=f"at most {MOST_SECONDS:g}")
    parser.add_argument("--swap", action="store_true", help="replace the model half-way")
    given = parser.parse_args()
    connections = min(given.connections, MOST_CONNECTIONS)
    requests, seconds = min(given.requests, MOST_REQUESTS), min(given.seconds, MOST_SECONDS)
    with tempfile.TemporaryDirectory() as folder:
        model, newer = Path(folder, "model"), Path(folder, "newer")
        untrained(given.items, given.units).savemodel(model)
        shutil.copyfile(model, newer)
        with running(model) as (port, _), ThreadPoolExecutor(connections) as pool:
            started = time.perf_counter()
            load = Load(
                port, given.items, given.batch, requests, started + seconds, threading.Lock()
            )
            sent = [pool.submit(load.send, number) for number in range(connections)]
            while given.swap and newer.exists() and not all(one.done() for one in sent):
                time.sleep(0.05)
                if load.left < requests / 2 or time.perf_counter() > started + seconds / 2:
                    newer.replace(model)
            took = np.concatenate([one.result() for one in sent])
            passed = time.perf_counter() - started
    p50, p99 = (1e3 * float(np.percentile(took, share)) for share in (50, 99))
    print(
        f"{len(took)} requests of {given.batch} events over {connections} connections, "
        f"V = {given.items}, H = {given.units}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, "
        f"max {1e3 * took.max():.1f} ms, {given.batch * len(took) / passed:.0f} events/s"
    )


if __name__ == "__main__":
    main()
