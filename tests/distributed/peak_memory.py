"""What a rank of four has in memory at most: at the start, and while a checkpoint is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch

from gru4rec_fast.config import Config
from gru4rec_fast.data.data_iterator import DataIterator
from gru4rec_fast.distributed import served_rows
from gru4rec_fast.distributed.fit import SharedFit
from gru4rec_fast.model import atomic_file, tensor_file
from gru4rec_fast.model.initial import Drawer
from gru4rec_fast.training.checkpoint_folder import locked_folder
from gru4rec_fast.training.progress import Progress
from gru4rec_fast.training.resume import Interval

if TYPE_CHECKING:
    from gru4rec_fast.distributed.ranks import Ranks

V, H = 2**17, 128
TABLE = 4 * V * H
"""Bytes of the item table, and of its optimiser state."""
RESET = Path("/proc/self/clear_refs")


def peaks(ranks: Ranks, folder: Path) -> dict[str, int] | None:
    """Bytes by which this process grows; None where the system does not say."""
    if not RESET.exists():
        return None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Drawer, "NUMBERS_AT_ONCE", 2**18)
        patch.setattr(served_rows, "AT_ONCE", 2**20)
        patch.setattr(tensor_file, "AT_ONCE", 2**20)
        patch.setattr(atomic_file, "flush", lambda _: None)  # a slow disk is not what is tested
        start_and_save(ranks, 64, folder / "small")  # imports what is needed
        return start_and_save(ranks, V, folder / "large")


def start_and_save(ranks: Ranks, n_items: int, folder: Path) -> dict[str, int]:
    """Bytes by which this process grows at most in each of the two."""
    config = Config().replace(layers=(H,), batch_size=8, n_sample=8)
    support, ids = np.ones(n_items, np.int64), np.arange(n_items)
    items = DataIterator(pd.Series(ids, index=pd.Index(ids, name="ItemId")), {}, support)
    before = reset()
    run = SharedFit(ranks, config, "cpu", torch.device("cpu"))
    trainer, _ = run.trainer(run.network(config, n_items, True), support)
    start = peak() - before
    trainer.optimiser_state["accumulator"]["Wy.weight"].fill_(1)
    before = reset()
    with locked_folder(folder if run.is_first else None, resume=False) as states:
        run.saver(states, Interval(1), items, None, {}).save(Progress())
    return {"start": start, "save": peak() - before}


def reset() -> int:
    """Forget the largest size so far; returns the size now."""
    RESET.write_text("5")
    return peak()


def peak() -> int:
    """The largest size of this process since `reset`, in bytes of memory."""
    status = Path("/proc/self/status").read_text()
    return next(int(s.split()[1]) * 1024 for s in status.splitlines() if s.startswith("VmHWM"))
