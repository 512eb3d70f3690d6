"""The memory of several ranks, in one process."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys

import pytest
import torch

from gru4rec_fast.distributed import memory
from gru4rec_fast.distributed.memory import HEAD, SharedMemory
from gru4rec_fast.distributed.ranks import Ranks


def two_parts(other: int) -> SharedMemory:
    parts = [mmap.mmap(-1, HEAD + 64) for _ in range(2)]
    return SharedMemory(Ranks(0, 2), parts, [os.getpid(), other])


@pytest.mark.skipif(not memory.ORDERED, reason="here the ranks wait by a collective")
def test_waiting_for_a_process_that_has_ended_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    monkeypatch.setattr(memory, "SECONDS", 0.01)
    with pytest.raises(RuntimeError, match=rf"rank 1 \(process {process.pid}\) has ended"):
        two_parts(process.pid).wait()


def test_tensors_are_views_of_the_memory() -> None:
    shared = two_parts(0)
    one = shared.tensor(1, HEAD, (2, 3), torch.float32)
    one[1, 2] = 7
    assert float(shared.tensor(1, HEAD, (6,), torch.float32)[5]) == 7
    assert float(shared.tensor(0, HEAD, (6,), torch.float32).sum()) == 0
    assert shared.tensor(0, HEAD, (0, 3), torch.float32).shape == (0, 3)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="Linux alone has such memory")
def test_memory_of_another_size_or_training_is_not_opened() -> None:
    part, handle = memory._new_part(128)
    assert part is not None
    assert handle is not None
    random = part[8:24]
    try:
        assert memory._opened(os.getpid(), handle, random, 128) is not None
        assert memory._opened(os.getpid(), handle, random, 129) is None
        assert memory._opened(os.getpid(), handle, bytes(16), 128) is None
        assert memory._opened(os.getpid(), 0, random, 128) is None
    finally:
        os.close(handle)
