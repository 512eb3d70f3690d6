"""Which rank owns which rows: of the item tables, and of the weights that all ranks hold.

The owner of a row keeps its optimiser state, adds up its gradients and updates it. Item i belongs
to rank i mod N: items are numbered by first appearance, so that old and often clicked ones have low
numbers. The weights are cut, in their order, into N shares of about equal size, at ends of rows,
since an optimiser may keep a number for each row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from gru4rec_fast.spec import Shape


def shard_rows(n_items: int, rank: int, size: int) -> int:
    """How many of V items belong to a rank."""
    return len(range(rank, n_items, size))


class Share(NamedTuple):
    """Rows first .. end - 1 of a weight."""

    name: str
    first: int
    end: int


def weight_shares(shapes: dict[str, Shape], size: int) -> list[list[Share]]:
    """The shares of each of N ranks, from the shapes of the weights."""
    shares: list[list[Share]] = [[] for _ in range(size)]
    total = sum(int(np.prod(shape)) for shape in shapes.values())
    before = 0
    for name, shape in shapes.items():
        columns = int(np.prod(shape[1:]))
        first_elements = before + columns * np.arange(shape[0])
        owner = np.minimum(first_elements * size // max(1, total), size - 1)
        for rank in np.unique(owner):
            rows = np.flatnonzero(owner == rank)
            shares[rank].append(Share(name, int(rows[0]), int(rows[-1]) + 1))
        before += columns * shape[0]
    return shares
