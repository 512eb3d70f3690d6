"""How the rows and weights of a step come from their owners, and the gradients go back.

By shared memory each rank reads those of the others where they are; through the process group they
are sent. Both add up gradients in the order of the ranks, so both give the same bits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch

from gru4rec_fast import _core

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.distributed.held import Held
    from gru4rec_fast.distributed.memory import SharedMemory
    from gru4rec_fast.distributed.owners import Share
    from gru4rec_fast.distributed.ranks import Ranks
    from gru4rec_fast.distributed.rows import BlockRows
    from gru4rec_fast.reference import Parameters


class Parts(NamedTuple):
    """A gradient as the parts of all ranks, which are added up in their order."""

    arrays: list[NDArray[Any]]
    """[rank] (rows, columns)"""
    places: NDArray[np.int64] | None = None
    """(n,) the rows of each array that count; None for all of them."""

    def total(self) -> Tensor:
        """The sum, (n, columns)."""
        first = self.arrays[0]
        n = len(first) if self.places is None else len(self.places)
        total = np.empty((n, first.shape[1]), first.dtype)
        if total.size:
            _core.sum_rows(total, self.arrays, self.places)
        return torch.from_numpy(total)


class Exchange(Protocol):
    """The two exchanges of a step; every method is for all ranks at once."""

    def fetch(self, rows: BlockRows, t: int) -> None:
        """Fill the tables of step t from the shards, and bring all weights up to date."""

    def fetch_weights(self) -> None:
        """Bring all weights up to date, where each rank has its own."""

    def leave(self) -> None:
        """Tell ranks that wait that this one trains no further."""

    def gradients(self, rows: BlockRows, t: int) -> list[Parts]:
        """The gradients of what this rank owns: of each table's rows in step t, and of each share.

        They are valid until the next call.
        """


class MemoryExchange:
    """Through memory that all ranks share.

    Args:
        memory: of all ranks.
        held: by rank.
        tables: (R, columns) of a step, to be filled; of this rank alone.
        shares: of the weights, those that this rank owns.
        own: this rank.
    """

    def __init__(
        self,
        memory: SharedMemory,
        held: Sequence[Held],
        tables: Parameters,
        shares: Sequence[Share],
        own: int,
    ) -> None:
        self._memory, self._own = memory, own
        self._tables = tables
        self._shards = [each.shards for each in held]
        self._gradients = [{n: each.gradients[n].numpy() for n in tables} for each in held]
        self._of_shares = [
            Parts([_share(each.gradients, share).numpy() for each in held]) for share in shares
        ]

    def fetch(self, rows: BlockRows, t: int) -> None:
        """`Exchange.fetch`; the weights are in one place."""
        self._memory.wait()
        for owner, shards in enumerate(self._shards):
            for name, table in self._tables.items():
                places, of_owner = rows.of(name, t, owner)
                shard = shards[name]
                if shard.dtype == table.dtype:
                    _core.copy_rows(table.numpy(), places, shard.numpy(), of_owner)
                else:
                    table[torch.from_numpy(places)] = _rows(shard, of_owner).to(table.dtype)

    def fetch_weights(self) -> None:
        """`Exchange.fetch_weights`: waits until their owners have updated them."""
        self._memory.wait()

    def leave(self) -> None:
        """`Exchange.leave`."""
        self._memory.leave()

    def gradients(self, rows: BlockRows, t: int) -> list[Parts]:
        """`Exchange.gradients`."""
        self._memory.wait()
        of_tables = [
            Parts([g[name] for g in self._gradients], rows.of(name, t, self._own).places)
            for name in self._tables
        ]
        return of_tables + self._of_shares


class MessageExchange:
    """By messages through the process group.

    The buffers are kept from step to step: fresh memory of some megabytes costs about as much as to
    copy into it, since the operating system clears each of its pages.

    Args:
        ranks: of the training.
        held: of this rank.
        tables: (R, columns) of a step, to be filled.
        shares: of the weights, by owner.
    """

    def __init__(
        self, ranks: Ranks, held: Held, tables: Parameters, shares: Sequence[Sequence[Share]]
    ) -> None:
        self._ranks, self._held, self._tables, self._shares = ranks, held, tables, shares
        self._sent = self._received = next(iter(tables.values())).new_empty(0)

    def fetch(self, rows: BlockRows, t: int) -> None:
        """`Exchange.fetch`."""
        own = self._ranks.rank
        pieces = [
            _rows(self._held.shards[name], rows.of(name, t, own).rows) for name in self._tables
        ]
        counts = {name: rows.counts(name, t) for name in self._tables}
        for rank, parts in enumerate(self._from_owners(pieces, counts)):
            for name, part in zip(self._tables, parts, strict=False):
                self._tables[name][torch.from_numpy(rows.of(name, t, rank).places)] = part

    def fetch_weights(self) -> None:
        """`Exchange.fetch_weights`."""
        self._from_owners([], {})

    def leave(self) -> None:
        """`Exchange.leave`: gloo itself tells them when the process ends."""

    def _from_owners(
        self, pieces: Sequence[Tensor], counts: dict[str, Sequence[int]]
    ) -> list[list[Tensor]]:
        """Send rows of this rank's shards to all, update the weights, and return all ranks' rows.

        counts[name][r] are the rows of a table that rank r sends.
        """
        size, own, weights = self._ranks.size, self._ranks.rank, self._held.weights
        shapes = [
            [(count[r], self._tables[name].shape[1]) for name, count in counts.items()]
            + [_share(weights, share).shape for share in self._shares[r]]
            for r in range(size)
        ]
        lengths = [sum(map(math.prod, each)) for each in shapes]
        n = lengths[own]
        self._sent = _room(self._sent, n * size)
        message = self._sent[:n]
        at = 0
        for piece in pieces:
            at = _write(message, at, piece)
        for share in self._shares[own]:
            at = _write(message, at, _share(weights, share))
        others = [r for r in range(size) if r != own]
        for k in range(1, len(others)):
            self._sent[k * n : (k + 1) * n] = message
        found = self._exchanged([n] * size, lengths)
        found[own] = message
        parts = [list(_read(part, each)) for part, each in zip(found, shapes, strict=True)]
        for r in others:
            for share, values in zip(self._shares[r], parts[r][len(counts) :], strict=True):
                _share(weights, share).copy_(values)
        return parts

    def gradients(self, rows: BlockRows, t: int) -> list[Parts]:
        """`Exchange.gradients`."""
        size, own, g = self._ranks.size, self._ranks.rank, self._held.gradients
        others = [r for r in range(size) if r != own]
        shares = [_share(g, share) for share in self._shares[own]]
        shapes = [
            *((rows.counts(n, t)[own], self._tables[n].shape[1]) for n in self._tables),
            *(share.shape for share in shares),
        ]
        lengths = [
            sum(rows.counts(n, t)[r] * table.shape[1] for n, table in self._tables.items())
            + sum(_share(g, share).numel() for share in self._shares[r])
            for r in range(size)
        ]
        self._sent = _room(self._sent, sum(lengths))
        at = 0
        for r in others:
            for name in self._tables:
                places = torch.from_numpy(rows.of(name, t, r).places)
                at = _write(self._sent, at, g[name], places)
            for share in self._shares[r]:
                at = _write(self._sent, at, _share(g, share))
        found = self._exchanged(lengths, [lengths[own]] * size)
        parts = [list(_read(found[r], shapes)) if r != own else [] for r in range(size)]
        parts[own] = [
            *(g[n][torch.from_numpy(rows.of(n, t, own).places)] for n in self._tables),
            *shares,
        ]
        return [Parts([part[k].numpy() for part in parts]) for k in range(len(shapes))]

    def _exchanged(self, send: Sequence[int], receive: Sequence[int]) -> list[Tensor]:
        """Send each other rank its part of the buffer, of `send` numbers; returns theirs."""
        own = self._ranks.rank
        send, receive = (
            [n if r != own else 0 for r, n in enumerate(each)] for each in (send, receive)
        )
        self._received = _room(self._received, sum(receive))
        received = self._received[: sum(receive)]
        self._ranks.all_to_all(received, self._sent[: sum(send)], receive, send)
        return list(torch.split(received, list(receive)))


def _rows(shard: Tensor, rows: NDArray[np.int64]) -> Tensor:
    return shard.index_select(0, torch.from_numpy(rows))


def _share(tensors: Parameters, share: Share) -> Tensor:
    """The share of a weight, as one row."""
    return tensors[share.name][share.first : share.end].view(1, -1)


def _write(buffer: Tensor, at: int, source: Tensor, rows: Tensor | None = None) -> int:
    """Write a matrix, or some of its rows, from element `at` on; returns the element behind."""
    end = at + (len(source) if rows is None else len(rows)) * source.shape[1]
    target = buffer[at:end].view(-1, source.shape[1])
    if rows is None:
        target.copy_(source)
    else:
        torch.index_select(source, 0, rows, out=target)
    return end


def _read(buffer: Tensor, shapes: Sequence[Sequence[int]]) -> Iterator[Tensor]:
    """The matrices of a message, as views of the buffer."""
    at = 0
    for shape in shapes:
        end = at + math.prod(shape)
        yield buffer[at:end].view(*shape)
        at = end


def _room(buffer: Tensor, size: int) -> Tensor:
    """A buffer of at least that many elements, with some to spare if it is a new one."""
    return buffer if len(buffer) >= size else buffer.new_empty(size + size // 8)
