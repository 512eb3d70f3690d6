"""Which rows of the tables a step needs, and who owns them.

All ranks need the same rows: those that the step scores or reads. They are numbered 0..U-1 as in
the planned step, and each is sent by its owner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gru4rec_fast.plan.block import StepBlock
    from gru4rec_fast.spec import NetworkSpec


class OwnedRows(NamedTuple):
    """Rows of one table that a step needs and one rank owns."""

    places: NDArray[np.int64]
    """(n,) ascending, among the step's rows 0..U-1."""
    rows: NDArray[np.int64]
    """(n,) of the owner's shard."""


@dataclass(frozen=True)
class _Rows:
    """T steps of one selection: places (T, U) and rows (T, U) by owner, their ends (T, N + 1)."""

    places: NDArray[np.int64]
    rows: NDArray[np.int64]
    ends: NDArray[np.int64]


class BlockRows:
    """The rows that each step of a block needs.

    Args:
        block: the planned steps.
        spec: the network.
        size: N ranks; item i belongs to rank i mod N.
    """

    def __init__(self, block: StepBlock, spec: NetworkSpec, size: int) -> None:
        place = np.arange(block.rows.shape[1])
        scored = _by_owner(block.rows, place < block.scored[:, None], size)
        self._rows = {"Wy.weight": scored, "By.weight": scored}
        if spec.shared:
            touched = place < block.touched[:, None]
            self._rows["Wy.weight"] = _by_owner(block.rows, touched, size)
        else:
            self._rows[spec.input_table] = _by_owner(block.rows, _inputs(block), size)

    def of(self, table: str, t: int, owner: int) -> OwnedRows:
        """The rows of a table that step t needs of a rank."""
        rows = self._rows[table]
        part = slice(rows.ends[t, owner], rows.ends[t, owner + 1])
        return OwnedRows(rows.places[t, part], rows.rows[t, part])

    def not_of(self, table: str, t: int, read: NDArray[np.int32], first: int) -> NDArray[np.int64]:
        """(n,) the places from `first` on that step t needs of a table, without those of `read`."""
        rows = self._rows[table]
        needed = np.zeros(rows.places.shape[1], dtype=bool)
        needed[rows.places[t, : rows.ends[t, -1]]] = True
        needed[:first] = False
        needed[read] = False
        return np.flatnonzero(needed)

    def counts(self, table: str, t: int) -> Sequence[int]:
        """How many they are, by owner."""
        counts: Sequence[int] = np.diff(self._rows[table].ends[t]).tolist()
        return counts


def _inputs(block: StepBlock) -> NDArray[np.bool_]:
    """(T, U) whether a row is the input of a live lane."""
    read = np.zeros(block.rows.shape, dtype=bool)
    lives = np.arange(block.input_row.shape[1]) < block.live[:, None]
    step = np.broadcast_to(np.arange(len(block))[:, None], lives.shape)
    read[step[lives], block.input_row[lives]] = True
    return read


def _by_owner(items: NDArray[np.int32], needed: NDArray[np.bool_], size: int) -> _Rows:
    owner = np.where(needed, items % size, size).astype(np.uint16)
    places = np.argsort(owner, axis=1, kind="stable")  # of 16 bits: a radix sort
    counts = np.stack([np.count_nonzero(owner == r, axis=1) for r in range(size)], axis=1)
    ends = np.concatenate([np.zeros((len(items), 1), np.int64), np.cumsum(counts, axis=1)], axis=1)
    return _Rows(places, np.take_along_axis(items, places, axis=1).astype(np.int64) // size, ends)
