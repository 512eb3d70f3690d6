"""Train, kill, resume, update, evaluate and serve, again and again, in one process.

Each round must give the results of the first, bit for bit, and the memory must stay flat: `make
soak` prints the slope of the resident memory after the first rounds, in which caches and pools
grow. `--minutes` says for how long.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gru4rec_fast import GRU4Rec, batch_eval, prepare
from tests.logs import random_log

SETTINGS: dict[str, Any] = {
    "layers": (16,), "batch_size": 16, "n_sample": 32, "n_epochs": 2, "device": "cpu",
    "dropout_p_hidden": 0.2, "train_random_order": True,
}  # fmt: skip
WARM_UP = 0.3
"""Share of the rounds after which the memory is looked at."""
PAGE = 4096
FLAT = 16 * 2**10
"""Bytes a round: more is a leak. A round allocates some 100 MB in all."""


class KilledError(Exception):
    """Ends a training in the middle of a block's report, as a crash of the caller's code would."""


@dataclass
class Soak:
    """What rounds gave so far."""

    folder: Path
    expected: list[Any] | None = None
    memory: list[int] = field(default_factory=list)
    """Resident bytes after each round."""

    def round(self) -> None:
        """One round.

        Raises:
            AssertionError: its results differ from those of the first.
        """
        gc.collect()
        base = self.folder / f"round{len(self.memory)}"
        base.mkdir()
        train, later = random_log(300, 60, seed=1), random_log(80, 60, seed=2)
        prepare(train, base / "store")
        saved = base / "saved"

        def kill(report: Any) -> None:
            if report.step > 12 + len(self.memory) % 9:
                raise KilledError

        settings: dict[str, Any] = {"checkpoint": saved, "checkpoint_every": 5, "progress": False}
        settings["sample_cache_max_size"] = 4 * 32
        gru = GRU4Rec(**SETTINGS)
        try:
            gru.fit(base / "store", on_block=kill, **settings)
        except KilledError:
            pass
        else:
            raise AssertionError("the training was not killed")
        gru = GRU4Rec(**SETTINGS).fit(base / "store", resume=True, **settings)
        gru.savemodel(base / "model", training_state=True)
        gru = GRU4Rec.loadmodel(base / "model", device="cpu")
        gru.partial_fit(later, 1, progress=False)
        recall, mrr = batch_eval(gru, later, cutoff=[5, 20])
        live = gru.live(capacity=50, last=5)
        ids = gru.data_iterator.itemidmap.index
        for event in range(4):
            for half in (0, 40):  # More sessions than there is room for.
                live.step([f"s{half + n}" for n in range(40)], list(ids[event : event + 40]))
        live.save(base / "live")
        restored = gru.live(capacity=50, last=5).restore(base / "live")
        answers = restored.step(["s79", "s78"], list(ids[:2]), k=5)
        best = gru.recommend(list(ids[:3]), k=5)
        found = [
            {name: value.numpy().copy() for name, value in gru.model.parameter_dict().items()},
            [recall, mrr], str(answers), str(best),
        ]  # fmt: skip
        if self.expected is None:
            self.expected = found
        np.testing.assert_equal(found, self.expected)
        for path in sorted(base.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        base.rmdir()
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        self.memory.append(int(pages) * PAGE)

    def slope(self) -> float:
        """Bytes a round by which the memory grows, a line through all but the first rounds."""
        rest = self.memory[int(WARM_UP * len(self.memory)) :]
        return float(np.polyfit(np.arange(len(rest)), rest, 1)[0])


def soak(folder: Path, seconds: float, least: int) -> Soak:
    """Rounds for so long, at least so many."""
    run, end = Soak(folder), time.monotonic() + seconds
    while len(run.memory) < least or time.monotonic() < end:
        run.round()
    return run


def main() -> None:
    parser = argparse.ArgumentParser(description="Train, kill, resume, update, evaluate, serve.")
    parser.add_argument("--minutes", type=float, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        run = soak(Path(name), 60 * options.minutes, 20)
    print(
        f"{len(run.memory)} rounds with equal results; resident memory {run.memory[-1] / 1e6:.1f} "
        f"MB, {run.slope() / 1e3:+.2f} kB a round after the first {WARM_UP:.0%}"
    )
    if run.slope() > FLAT:
        raise SystemExit("the memory grows")


if __name__ == "__main__":
    main()
