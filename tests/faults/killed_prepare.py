"""Preparations in processes of their own, which get SIGKILL at random moments.

Two logs take turns to replace one store. After each kill the store is whole: one of the two logs,
or, between the two renames of a replacement, put back by the next preparation. `python -m
tests.faults.killed_prepare --kills 200` kills more often than the test.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gru4rec_fast import prepare
from gru4rec_fast.data.store import verify
from tests.logs import random_log
from tests.training.killed_run import CONTEXT

if TYPE_CHECKING:
    import pandas as pd

LONGEST_WAIT = 0.12
"""Seconds; a preparation of these logs takes about 0.05."""


def logs() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two logs of different numbers of events."""
    return random_log(300, 50, seed=1), random_log(400, 50, seed=2)


def write(number: int, path: Path) -> None:
    """Prepare one of the logs in place of what is there."""
    prepare(logs()[number], path, overwrite=True)


def kill_often(base: Path, kills: int, seed: int = 0) -> tuple[int, int]:
    """Kill preparations of `base / 'store'`, and verify the store after each.

    Returns:
        How many kills left the new store, and how many fell between its two renames.

    Raises:
        DataError: a store is torn.
    """
    rng = np.random.default_rng(seed)
    path = base / "store"
    events = [len(log) for log in logs()]
    write(0, path)
    killed = replaced = between = 0
    there = events[0]
    while killed < kills:
        number = int(there == events[0])
        running = CONTEXT.Process(target=write, args=(number, path))
        running.start()
        running.join(float(rng.uniform(0, LONGEST_WAIT)))
        if running.is_alive():
            os.kill(running.pid or 0, signal.SIGKILL)
        running.join()
        killed += running.exitcode == -signal.SIGKILL
        if not path.exists():
            between += 1
            write(number, path)
        found = verify(path).n_events
        if found not in (there, events[number]):
            raise AssertionError(f"a store of {found} events; expected one of {events}")
        replaced += running.exitcode != 0 and found != there
        there = found
    write(0, path)
    left = sorted(each.name for each in base.iterdir())
    if left != ["store"]:
        raise AssertionError(f"left behind: {left}")
    return replaced, between


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill preparations, verify the store.")
    parser.add_argument("--kills", type=int, default=200, metavar="N")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the moments")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        replaced, between = kill_often(Path(name), options.kills, options.seed)
    print(
        f"prepare: {options.kills} kills (seed {options.seed}), {replaced} after the new store was "
        f"in place, {between} between the two renames; every store whole"
    )


if __name__ == "__main__":
    # By its importable name, so that the server's forks find the functions.
    from tests.faults import killed_prepare

    killed_prepare.main()
