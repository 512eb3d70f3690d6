"""Tensors of all ranks on rank 0, which reads and writes them some rows at a time.

So rank 0 writes a file of more than its memory holds, and reads one: the other ranks serve the rows
that they own meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch

from gru4rec_fast.distributed.ranks import FIRST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from gru4rec_fast.distributed.shards import Shards

T = TypeVar("T")
AT_ONCE = 2**24
"""Bytes that are read or written at a time, at least one row of each rank."""
END, READ, WRITE = range(3)
"""What rank 0 asks for."""


class RowService:
    """Tensors by name, of which each rank gives what it owns; made by all ranks alike.

    Args:
        shards: who owns which rows.
        own: the tensors of this rank, with the name of the parameter that each has the rows of:
            of a table this rank's rows, of a weight all rows.
    """

    def __init__(self, shards: Shards, own: Mapping[str, tuple[str, Tensor]]) -> None:
        self._shards, self._ranks = shards, shards.ranks
        self._parameters = [parameter for parameter, _ in own.values()]
        self._own = [tensor for _, tensor in own.values()]
        self.tensors = {name: SharedRows(self, k) for k, name in enumerate(own)}
        """On rank 0 within `call`."""

    def call(self, function: Callable[[], T]) -> T:
        """Let rank 0 call a function that uses `tensors`; all return what it returns, or raise."""

        def ending() -> T:
            try:
                return function()
            finally:
                self._ask(END)

        while not self._ranks.is_first:
            asked, k, first, end = self._ask()
            if asked == END:
                break
            serve = self._give if asked == READ else self._take
            serve(k, first, end)
        return self._ranks.on_first(ending)

    def shape(self, k: int) -> torch.Size:
        """Of a whole tensor."""
        rows = self._shards.spec.parameters[self._parameters[k]][0]
        return torch.Size([rows, *self._own[k].shape[1:]])

    def dtype(self, k: int) -> torch.dtype:
        """Of a tensor."""
        return self._own[k].dtype

    def read(self, k: int, first: int, end: int) -> Tensor:
        """Rows first .. end - 1 of a tensor, a new one."""
        self._ask(READ, k, first, end)
        block = self._own[k].new_empty(end - first, *self._own[k].shape[1:])
        for rank in range(self._ranks.size):
            for part, own in self._pieces(k, rank, first, end):
                rows = block[part]
                if rank == FIRST:
                    rows.copy_(self._own[k][own])
                else:
                    rows.copy_(self._ranks.receive(rows, rank))
        return block

    def write(self, k: int, first: int, rows: Tensor) -> None:
        """Replace rows first, first + 1, ... of a tensor: of a weight on all ranks."""
        end = first + len(rows)
        self._ask(WRITE, k, first, end)
        for rank in range(self._ranks.size):
            for part, own in self._pieces(k, rank, first, end, all_weights=True):
                if rank == FIRST:
                    self._own[k][own] = rows[part]
                else:
                    self._ranks.send(rows[part].to(self._own[k].dtype), rank)

    def _give(self, k: int, first: int, end: int) -> None:
        for _, own in self._pieces(k, self._ranks.rank, first, end):
            self._ranks.send(self._own[k][own], FIRST)

    def _take(self, k: int, first: int, end: int) -> None:
        for _, own in self._pieces(k, self._ranks.rank, first, end, all_weights=True):
            rows = self._own[k][own]
            rows.copy_(self._ranks.receive(rows, FIRST))

    def _ask(self, *asked: int) -> list[int]:
        """Tell all ranks what rank 0 asks for."""
        message = torch.zeros(4, dtype=torch.int64)
        message[: len(asked)] = torch.tensor(asked, dtype=torch.int64)
        self._ranks.broadcast(message)
        numbers: list[int] = message.tolist()
        return numbers

    def _pieces(
        self, k: int, rank: int, first: int, end: int, all_weights: bool = False
    ) -> Iterator[tuple[slice, slice]]:
        """The parts of a block of rows that a rank owns: in the block, and in the rank's tensor."""
        name, size = self._parameters[k], self._ranks.size
        if name in self._shards.spec.tables:
            begin = -(-(first - rank) // size)
            rows = len(range(begin * size + rank, end, size))
            found = [(slice(begin * size + rank - first, None, size), slice(begin, begin + rows))]
        elif all_weights:
            found = [(slice(None), slice(first, end))]
        else:
            shares = [share for share in self._shards.shares[rank] if share.name == name]
            spans = [(max(first, share.first), min(end, share.end)) for share in shares]
            found = [(slice(a - first, b - first), slice(a, b)) for a, b in spans]
        yield from ((part, own) for part, own in found if own.start < own.stop)


class SharedRows:
    """`tensor_file.Rows` of a tensor of all ranks."""

    def __init__(self, service: RowService, k: int) -> None:
        self._service, self._k = service, k

    @property
    def dtype(self) -> torch.dtype:
        """Of its values."""
        return self._service.dtype(self._k)

    @property
    def shape(self) -> torch.Size:
        """Of the whole tensor."""
        return self._service.shape(self._k)

    def __getitem__(self, rows: slice) -> Tensor:
        return self._service.read(self._k, rows.start, rows.stop)

    def read_into(self, whole: Tensor) -> None:
        """Write all rows into a tensor of this shape."""
        for first, end in self._blocks():
            whole[first:end] = self[first:end]

    def copy_(self, whole: Tensor) -> None:
        """Replace all rows by those of a tensor of this shape."""
        for first, end in self._blocks():
            self._service.write(self._k, first, whole[first:end])

    def _blocks(self) -> Iterator[tuple[int, int]]:
        shape = self.shape
        at_once = max(1, AT_ONCE // max(1, shape[1:].numel() * self.dtype.itemsize))
        for first in range(0, shape[0], at_once):
            yield first, min(first + at_once, shape[0])
