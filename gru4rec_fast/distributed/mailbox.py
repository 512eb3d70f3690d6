"""One message from each rank to each other one, in buffers that are kept from step to step.

Fresh memory of some megabytes costs about as much as to copy into it, since the operating system
clears each of its pages.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gru4rec_fast.distributed.ranks import Ranks

Piece = tuple["Tensor", "Tensor | None"]
"""A tensor, and which of its rows are sent: None for all of them."""
SETS = 2
"""Sets of slots that are used in turn."""
HEAD = 64
"""Bytes before the slots: a counter, on a cache line of its own."""
ORDERED = platform.machine().lower() in ("x86_64", "amd64")
"""Whether a processor sees what another one writes in the order in which it was written. Then a
counter behind the messages says that they are complete; else the ranks wait by a collective."""
SPIN, SLEEP = 5e-4, 5e-5
"""Seconds in which a rank asks again at once, and between its questions after that."""
SECONDS = 1.0
"""Seconds after which a waiting rank looks whether the others are still there."""
MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux keeps memory that processes share


class Mailbox:
    """The messages of a rank through the process group; all ranks exchange them together."""

    def __init__(self, ranks: Ranks, dtype: torch.dtype) -> None:
        self._ranks = ranks
        self._sent, self._received = (torch.empty(0, dtype=dtype) for _ in range(2))

    def exchange(
        self, messages: Sequence[Sequence[Piece]], shapes: Sequence[Sequence[tuple[int, ...]]]
    ) -> list[list[Tensor]]:
        """Give each rank its message, and return those of all ranks for this one.

        messages[d] is for rank d, and shapes[s] are those of what rank s sends. What comes back is
        valid until the next exchange. A rank sends nothing to itself: both are then empty.
        """
        send = [sum(map(_elements, message)) for message in messages]
        receive = [sum(torch.Size(shape).numel() for shape in each) for each in shapes]
        self._sent = _room(self._sent, sum(send))
        self._received = _room(self._received, sum(receive))
        at = 0
        for message in messages:
            at = write(message, self._sent, at)
        received = self._received[: sum(receive)]
        self._ranks.all_to_all(received, self._sent[:at], receive, send)
        parts = torch.split(received, receive)
        return [read(each, part) for each, part in zip(shapes, parts, strict=True)]


class MemoryMailbox:
    """The messages of ranks on one machine through memory that they share.

    Each rank writes into its own slots, waits for all ranks, and reads the others' slots where they
    are. The sets of slots are used in turn: a rank that has entered the next exchange has read all
    of this one.

    Args:
        ranks: all on one machine.
        dtype: of the messages.
        elements: most elements of a message.
        paths: of the memory of each rank.
    """

    def __init__(
        self, ranks: Ranks, dtype: torch.dtype, elements: int, paths: Sequence[str]
    ) -> None:
        self._ranks = ranks
        self._exchanges = 0
        memory = [
            torch.from_file(path, shared=True, size=memory_size(ranks.size, dtype, elements),
                            dtype=torch.uint8)
            for path in paths
        ]  # fmt: skip
        self._slots = [m[HEAD:].view(dtype).view(SETS, ranks.size, -1) for m in memory]
        """[rank] (SETS, N, elements)"""
        self._arrived = [m[:8].view(torch.int64).numpy() for m in memory]
        """[rank] (1,) exchanges that the rank has written its messages of."""
        self._processes = ranks.all_gather_objects(os.getpid())

    def exchange(
        self, messages: Sequence[Sequence[Piece]], shapes: Sequence[Sequence[tuple[int, ...]]]
    ) -> list[list[Tensor]]:
        """`Mailbox.exchange`.

        Raises:
            RuntimeError: a rank has ended.
        """
        own, turn = self._ranks.rank, self._exchanges % SETS
        for rank, message in enumerate(messages):
            self._ranks.count(self._slots[own], write(message, self._slots[own][turn, rank], 0))
        self._exchanges += 1
        self._wait()
        return [read(each, self._slots[s][turn, own]) for s, each in enumerate(shapes)]

    def _wait(self) -> None:
        """Wait until all ranks have written their messages.

        Raises:
            RuntimeError: a rank has ended.
        """
        if not ORDERED:
            self._ranks.wait()
            return
        self._arrived[self._ranks.rank][0] = self._exchanges
        start = checked = time.monotonic()
        for rank, arrived in enumerate(self._arrived):
            while arrived[0] < self._exchanges:
                now = time.monotonic()
                # Another rank may need this core.
                time.sleep(0 if now - start < SPIN else SLEEP)
                if now - checked > SECONDS:
                    checked = now
                    self._require_alive(rank)

    def _require_alive(self, rank: int) -> None:
        try:
            os.kill(self._processes[rank], 0)
        except ProcessLookupError:
            raise RuntimeError(
                f"rank {rank} (process {self._processes[rank]}) has ended during the training: its "
                "own output says why; torchrun --max-restarts starts all ranks again"
            ) from None


def memory_size(size: int, dtype: torch.dtype, elements: int) -> int:
    """Bytes of each of N ranks' memory."""
    return HEAD + SETS * size * elements * dtype.itemsize


def mailbox(ranks: Ranks, dtype: torch.dtype, elements: int) -> Mailbox | MemoryMailbox:
    """The fastest way between the ranks: by memory where all of them see that of the others.

    `elements` are the most of a message.
    """
    own = _memory_file(ranks.size * memory_size(ranks.size, dtype, elements))
    try:
        paths = ranks.all_gather_objects(own)
        found = [path for path in paths if path is not None and Path(path).exists()]
        if not all(ranks.all_gather_objects(len(found) == ranks.size)):
            return Mailbox(ranks, dtype)
        by_memory = MemoryMailbox(ranks, dtype, elements, found)
        ranks.wait()
        return by_memory
    finally:
        # The memory itself is there until the last process that has mapped it ends.
        if own is not None:
            Path(own).unlink(missing_ok=True)


def _memory_file(needed: int) -> str | None:
    """A new file in memory; None where there is none, or less is free than all ranks need."""
    try:
        free = os.statvfs(MEMORY)
        if free.f_bavail * free.f_frsize < needed:
            return None
        handle, path = tempfile.mkstemp(prefix="gru4rec_fast-", dir=MEMORY)
    except (OSError, AttributeError):  # no such folder; no such function on Windows
        return None
    os.close(handle)
    return path


def write(message: Sequence[Piece], buffer: Tensor, at: int) -> int:
    """Write a message from element `at` on; returns the element behind it."""
    for source, rows in message:
        end = at + _elements((source, rows))
        if end == at:
            continue
        target = buffer[at:end].view(-1, *source.shape[1:])
        if rows is None:
            target.copy_(source)
        else:
            torch.index_select(source, 0, rows, out=target)
        at = end
    return at


def read(shapes: Sequence[tuple[int, ...]], buffer: Tensor) -> list[Tensor]:
    """The tensors of a message, as views of the buffer."""
    found, at = [], 0
    for shape in shapes:
        end = at + torch.Size(shape).numel()
        found.append(buffer[at:end].view(shape))
        at = end
    return found


def _elements(piece: Piece) -> int:
    source, rows = piece
    return len(source if rows is None else rows) * source[0].numel() if len(source) else 0


def _room(buffer: Tensor, size: int) -> Tensor:
    """A buffer of at least that many elements, with some to spare if it is a new one."""
    return buffer if len(buffer) >= size else buffer.new_empty(size + size // 8)
