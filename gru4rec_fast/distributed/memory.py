"""Memory that the ranks of one machine share, and how they wait for each other.

Each rank makes a part of it, without a name in any file system, and opens those of the others by
their process ids. The system frees it when the processes end, however they end.
"""

from __future__ import annotations

import math
import mmap
import os
import platform
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from gru4rec_fast import _core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gru4rec_fast.distributed.ranks import Ranks

LINE = 64
"""Bytes of a cache line, at which each tensor begins."""
HEAD = LINE
"""Bytes before the tensors: a counter (8) and the rank's random bytes (16)."""
NAME = "gru4rec_fast"
ORDERED = platform.machine().lower() in ("x86_64", "amd64")
"""Whether a processor sees what another one writes in the order in which it was written. Then a
counter says that what was written before it is complete; else the ranks wait by a collective.
Streaming stores have no such order: an engine must not write gradients by them."""
SPIN, SLEEP = 5e-4, 5e-5
"""Seconds in which a rank asks again at once, and between its questions after that."""
LEFT = -1
"""In place of the counter."""
SECONDS = 1.0
"""Seconds after which a waiting rank looks whether the others are still there."""


class SharedMemory:
    """The memory of all ranks; `open` makes it."""

    def __init__(self, ranks: Ranks, parts: Sequence[mmap.mmap], processes: Sequence[int]) -> None:
        self._ranks, self._parts, self._processes = ranks, parts, processes
        self._waits = 0
        self._arrived = [np.frombuffer(part, dtype=np.int64, count=1) for part in parts]
        """[rank] (1,) how often the rank has waited."""

    @classmethod
    def open(cls, ranks: Ranks, sizes: Sequence[int]) -> SharedMemory | None:
        """Memory of sizes[r] bytes of each rank r; None where a rank cannot see that of another."""
        own, handle = _new_part(sizes[ranks.rank])
        random = b"" if own is None else own[8:24]
        try:
            made = ranks.all_gather_objects((os.getpid(), handle, random))
            parts = [
                own if r == ranks.rank else _opened(*each, sizes[r]) for r, each in enumerate(made)
            ]
            found = [part for part in parts if part is not None]
            if not all(ranks.all_gather_objects(len(found) == ranks.size)):
                return None
        finally:
            if handle is not None:
                os.close(handle)
        return cls(ranks, found, [process for process, _, _ in made])

    def tensor(self, rank: int, first: int, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Memory of a rank from byte `first` on, zeros at first."""
        n = math.prod(shape)
        if n == 0:
            return torch.empty(shape, dtype=dtype)
        part = torch.frombuffer(self._parts[rank], dtype=dtype, count=n, offset=first)
        _core.advise_huge_pages(part.view(torch.uint8).numpy())
        return part.view(*shape)

    def wait(self) -> None:
        """Wait until all ranks have called this as often.

        Raises:
            RuntimeError: a rank has ended, or has left the training.
        """
        if not ORDERED:
            self._ranks.wait()
            return
        self._waits += 1
        self._arrived[self._ranks.rank][0] = self._waits
        start = checked = time.monotonic()
        for rank, arrived in enumerate(self._arrived):
            while arrived[0] < self._waits:
                now = time.monotonic()
                # Another rank may need this core.
                time.sleep(0 if now - start < SPIN else SLEEP)
                if now - checked > SECONDS:
                    checked = now
                    self._require_present(rank)

    def leave(self) -> None:
        """Let ranks that wait for this one raise, as it trains no further."""
        self._arrived[self._ranks.rank][0] = LEFT

    def _require_present(self, rank: int) -> None:
        process = self._processes[rank]
        if self._arrived[rank][0] == LEFT:
            what = f"rank {rank} has left the training with an error"
        elif _has_ended(process):
            what = f"rank {rank} (process {process}) has ended during the training"
        else:
            return
        raise RuntimeError(
            f"{what}: its own output says why; torchrun --max-restarts starts all ranks again"
        )


def _has_ended(process: int) -> bool:
    """Whether a process is gone, or is kept by the system only until its parent asks for it."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in ("Z", "X")


def _new_part(size: int) -> tuple[mmap.mmap | None, int | None]:
    """New memory and its file descriptor; None where the system has none of this kind."""
    try:
        handle = os.memfd_create(NAME)
    except (AttributeError, OSError):  # Linux alone has it
        return None, None
    try:
        os.ftruncate(handle, size)
        part = mmap.mmap(handle, size)
    except OSError:
        os.close(handle)
        return None, None
    part[8:24] = secrets.token_bytes(16)
    return part, handle


def _opened(process: int, handle: int | None, random: bytes, size: int) -> mmap.mmap | None:
    """The memory that another rank has made; None where this process cannot see it."""
    path = Path(f"/proc/{process}/fd/{handle}")
    try:
        # On another machine that may be anything.
        of_this_kind = str(path.readlink()).startswith(f"/memfd:{NAME}")
        if not of_this_kind or path.stat().st_size != size:
            return None
        with path.open("r+b", buffering=0) as file:
            part = mmap.mmap(file.fileno(), size)
    except OSError:
        return None
    return part if part[8:24] == random else None
