"""A `train` by torchrun whose rank 1 is killed once: LOG VALIDATION MODEL FOLDER."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from gru4rec_fast import GRU4Rec
from gru4rec_fast.cli.main import main
from gru4rec_fast.distributed.trainer import SharedTrainer
from gru4rec_fast.parameter import as_text
from tests.distributed.cases import WORSE

BLOCKS = 8
"""Blocks that rank 1 trains before it is killed; they end in the middle of the second epoch."""


def kill_once() -> None:
    """Let rank 1 die in its first life."""
    if (os.environ["RANK"], os.environ["TORCHELASTIC_RESTART_COUNT"]) != ("1", "0"):
        return
    train_block, calls = SharedTrainer.train_block, list[int]()

    def dying(self: SharedTrainer, *args: Any) -> Any:
        calls.append(1)
        if len(calls) > BLOCKS:
            os.kill(os.getpid(), signal.SIGKILL)
        return train_block(self, *args)

    setattr(SharedTrainer, "train_block", dying)  # noqa: B010 - mypy refuses to assign it


def short_blocks() -> None:
    """Blocks of 5 steps, so that an epoch has several."""
    fit = GRU4Rec.fit

    def short(self: GRU4Rec, data: Any, **arguments: Any) -> GRU4Rec:
        return fit(self, data, 5 * 13, **arguments)

    setattr(GRU4Rec, "fit", short)  # noqa: B010 - mypy refuses to assign it


if __name__ == "__main__":
    log, validation, model, folder = sys.argv[1:]
    kill_once()
    short_blocks()
    options = [f"{name}={as_text(value)}" for name, value in WORSE.items() if name != "device"]
    main(
        ["train", log, "--validation", validation, "--save", model, "--checkpoint", folder,
         "--checkpoint-every", "10", "--resume", "--device", "cpu", "--set", *options]
    )  # fmt: skip
