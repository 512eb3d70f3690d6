"""When the CPU engine ranks by int8 bounds, and the rounded copy of the items that it needs.

Ranks and best items by bounds are those of the float32 scores, to the last bit
(docs/DESIGN-cpu.md, "Ranks by bounds"). Only time and memory differ: the copy takes H + 8 bytes an
item, and to make it takes about as long as to rank some dozens of rows.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from gru4rec_fast import _core
from gru4rec_fast.model.weight_version import version_of

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

MIN_ITEMS = 4096
"""In a smaller catalogue the scores take too little time."""
MIN_UNITS = 16
"""With fewer units the bounds cost as much as the products."""
MAX_UNITS = 32_768
"""More could overflow 32-bit sums of bytes."""
ROWS_BEFORE = 64
"""Rows to rank before the copy is worth making; a call counts as ROWS_OF_CALL at least, because it
reads all items."""
ROWS_OF_CALL = 16
MAX_SCORED = 0.5
"""If float32 scores were needed of a larger share, the bounds are given up."""
PAIRS_BEFORE = 10_000_000
"""Pairs of a row and an item before that share is judged."""


class BoundedItems:
    """The rounded copy of items; made when it pays, dropped when they change.

    w (V, H) and b (V, 1) are contiguous. Without `wanted`, or of w in bfloat16, whose tables should
    take little memory, there is never a copy.
    """

    def __init__(self, w: Tensor, b: Tensor, wanted: bool = True) -> None:
        self._tensors = w, b
        large = len(w) >= MIN_ITEMS and MIN_UNITS <= w.shape[1] <= MAX_UNITS
        self._pays = wanted and large and w.dtype == torch.float32
        self._use = _Use((version_of(w), version_of(b)))

    def of(self, rows: int) -> _core.BoundedItems | None:
        """What ranks so many rows by bounds; None where scores without bounds are faster."""
        w, b = self._tensors
        version = version_of(w), version_of(b)
        if version != self._use.version:
            self._use = _Use(version)
        use = self._use
        if not self._pays or use.given_up:
            return None
        if use.items is None:
            use.rows += max(rows, ROWS_OF_CALL)
            if use.rows <= ROWS_BEFORE:
                return None
            use.items = _core.BoundedItems(w.numpy(), b.numpy(), threads=torch.get_num_threads())
        return use.items

    def judge(self, counts: tuple[int, int, int]) -> None:
        """Take note of a call's pairs: undecided ones, scored ones, all."""
        use = self._use
        use.scored += counts[1]
        use.pairs += counts[2]
        if use.pairs >= PAIRS_BEFORE and use.scored > MAX_SCORED * use.pairs:
            logger.info(
                "ranks by int8 bounds are given up for these weights: %.0f %% of the scores were "
                "needed in float32",
                100 * use.scored / use.pairs,
            )
            use.items, use.given_up = None, True

    @property
    def nbytes(self) -> int:
        """Memory of the copy, 0 while there is none."""
        return 0 if self._use.items is None else self._use.items.nbytes


@dataclass
class _Use:
    """What is known of one version of the weights."""

    version: tuple[tuple[int, int], tuple[int, int]]
    items: _core.BoundedItems | None = None
    given_up: bool = False
    rows: int = 0
    """Ranked before there was a copy."""
    scored: int = 0
    pairs: int = 0
