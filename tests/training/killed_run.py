"""Trainings in processes of their own, which get SIGKILL: see `test_kill.py`.

The processes are forks of one server that has trained already, so that a start takes milliseconds.
`python -m tests.training.killed_run --kills 200` kills more often than the test.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gru4rec_fast import GRU4Rec
from gru4rec_fast.model import checkpoint, tensor_file
from tests.logs import random_log

PARAMS: dict[str, Any] = {
    "layers": (10,), "batch_size": 8, "n_sample": 16, "n_epochs": 6, "momentum": 0.3,
    "dropout_p_embed": 0.2, "dropout_p_hidden": 0.2, "train_random_order": True,
}  # fmt: skip
FIT: dict[str, Any] = {
    "validation": 0.1, "patience": 5, "sample_cache_max_size": 3 * 16, "progress": False,
    "checkpoint_every": 6, "resume": True,
}  # fmt: skip
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.training.warm_server"])


def train(folder: Path, engine: str, die_in: str | None = None) -> GRU4Rec:
    """Go on with the training in `folder`; `die_in` says where in the third save to die."""
    torch.set_num_threads(1)
    if die_in is not None:
        _die_in_third_save(die_in)
    gru = GRU4Rec(**PARAMS, engine=engine, device="cpu")
    gru.fit(random_log(), checkpoint=folder, **FIT)
    return gru


def train_and_save(folder: Path, engine: str, die_in: str | None = None) -> None:
    train(folder, engine, die_in).savemodel(folder.with_suffix(".model"))


def process(folder: Path, engine: str, die_in: str | None = None) -> Any:
    """A started process that goes on with the training in `folder` and saves the model."""
    started = CONTEXT.Process(target=train_and_save, args=(folder, engine, die_in))
    started.start()
    return started


def kill_often(base: Path, engine: str, kills: int, seed: int = 0) -> tuple[list[Path], int]:
    """Kill trainings at random moments, and resume each until it is done.

    Returns:
        Their models, and how many kills came after a state was saved.

    Raises:
        RuntimeError: a resumed training failed.
    """
    rng = np.random.default_rng(seed)
    killed = after_a_save = 0
    # A whole training takes about 0.8 s, of which the saves are the most; longer on a busy machine.
    longest = 0.5
    models: list[Path] = []

    def enough() -> bool:
        return killed >= kills and after_a_save >= kills // 3

    while not enough():
        folder = base / f"run{len(models)}"
        while True:
            running = process(folder, engine)
            running.join(None if enough() else float(rng.uniform(0.01, longest)))
            if running.is_alive():
                running.kill()  # which may have ended just now
                running.join()
                killed += running.exitcode == -signal.SIGKILL
                if any(folder.glob("state-*")):
                    after_a_save += 1
                else:
                    longest *= 1.2
            if running.exitcode == 0:
                break
            if running.exitcode != -signal.SIGKILL:
                raise RuntimeError(f"a resumed training ended with {running.exitcode}")
        models.append(folder.with_suffix(".model"))
    return models, after_a_save


def differing(model: Path, expected: GRU4Rec) -> list[str]:
    """What differs between a saved model and one in memory: tensors, or 'history'."""
    found = checkpoint.load(model)
    weights = expected.model.state_dict()
    names = [n for n, value in weights.items() if not torch.equal(found.tensors[n], value)]
    without_seconds = [
        [{**report, "seconds": 0} for report in history]
        for history in (found.extra["history"], expected.history.to_json())
    ]
    return names + ["history"] * (without_seconds[0] != without_seconds[1])


def _die_in_third_save(place: str) -> None:
    """Send SIGKILL to this process: 'half-written', 'not-renamed' or 'old-not-deleted'."""
    saves = 0
    write, replace, unlink = tensor_file.write, Path.replace, Path.unlink

    def third(here: str) -> bool:
        return place == here and saves == 3

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def dying_save(path: Path, content: Any, metadata: Any) -> None:
        nonlocal saves
        saves += 1
        write(path, content, metadata)
        if third("half-written"):
            os.truncate(path, path.stat().st_size // 2)
            die()

    def dying_replace(path: Path, target: Path) -> Path:
        if third("not-renamed"):
            die()
        return replace(path, target)

    def dying_unlink(path: Path, missing_ok: bool = False) -> None:
        if third("old-not-deleted") and path.name.startswith("state-"):
            die()
        unlink(path, missing_ok)

    for owner, name, function in (
        (tensor_file, "write", dying_save),
        (Path, "replace", dying_replace),
        (Path, "unlink", dying_unlink),
    ):
        setattr(owner, name, function)


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill trainings, resume them, compare the bits.")
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="for each engine")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the moments")
    options = parser.parse_args()
    for engine in ("cpu", "reference"):
        with tempfile.TemporaryDirectory() as name:
            expected = train(Path(name) / "whole", engine)
            models, saved = kill_often(Path(name), engine, options.kills, options.seed)
            wrong = {str(m): d for m in models if (d := differing(m, expected))}
        print(
            f"{engine}: {options.kills} kills (seed {options.seed}), {saved} of them after a save; "
            f"{len(models)} trainings "
            f"resumed to their end, {len(wrong)} with other bits {wrong or ''}"
        )
        if wrong:
            raise SystemExit(1)


if __name__ == "__main__":
    # By its importable name, so that the server's forks find the functions.
    from tests.training import killed_run

    killed_run.main()
