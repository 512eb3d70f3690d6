"""The memory of several ranks, in one process."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gru4rec_fast.distributed import memory
from gru4rec_fast.distributed.memory import HEAD, SharedMemory
from gru4rec_fast.distributed.ranks import Ranks


def two_parts(other: int) -> SharedMemory:
    parts = [mmap.mmap(-1, HEAD + 64) for _ in range(2)]
    return SharedMemory(Ranks(0, 2), parts, [os.getpid(), other])


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("reaped", [True, False])
def test_waiting_for_a_process_that_has_ended_is_an_error(
    reaped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while its parent has not asked for its exit status yet, as in a training by `spawn`."""
    monkeypatch.setattr(memory, "SECONDS", 0.01)
    monkeypatch.setattr(memory, "ORDERED", True)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert not memory._has_ended(process.pid)
    if reaped:
        process.communicate()
    else:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    try:
        with pytest.raises(RuntimeError, match=rf"rank 1 \(process {process.pid}\) has ended"):
            two_parts(process.pid).wait()
    finally:
        process.communicate()


def test_waiting_for_a_rank_that_has_left_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SECONDS", 0.01)
    monkeypatch.setattr(memory, "ORDERED", True)
    parts = [mmap.mmap(-1, HEAD + 64) for _ in range(2)]
    one, other = (SharedMemory(Ranks(r, 2), parts, [os.getpid()] * 2) for r in range(2))
    other.leave()
    with pytest.raises(RuntimeError, match="rank 1 has left the training with an error"):
        one.wait()


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
