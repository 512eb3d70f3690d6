"""Negative samples: items drawn in proportion to support^alpha, or a stream that the user gives.

The draw is made in C++ (csrc/data/negative_sampler.h) and depends on the seed and the step alone,
whatever the blocks, threads or resumes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gru4rec_fast._core import NegativeSampler

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gru4rec_fast._core import Int32

INT32_MAX = 2**31 - 1


class Negatives(Protocol):
    """Where the negatives of a step come from."""

    def draw(self, seed: int, first_step: int, steps: int, n: int) -> Int32:
        """(steps, n) items of steps first_step .. first_step + steps - 1, int32."""


def negative_sampler(support: NDArray[Any], alpha: float) -> NegativeSampler:
    """A sampler of items with probability support^alpha / sum(support^alpha).

    Args:
        support: (V,) events of each item, finite and >= 0. With alpha = 0 every item counts 1,
            also one without support.
        alpha: `sample_alpha`, 0 for uniform, 1 for popularity.

    Raises:
        ValueError: for an alpha that is not finite, or a support that gives no distribution.
    """
    if not math.isfinite(alpha):
        raise ValueError(f"alpha is {alpha}; expected a finite number, 0 (uniform) to 1 (popular)")
    return NegativeSampler(np.power(np.asarray(support, dtype=np.float64), alpha))


class FixedNegatives:
    """Negatives given beforehand: step t, counted through all epochs, takes row t mod T.

    Args:
        negatives: (T, S) item indices of any integer type; kept as an int32 copy.
        n_items: V; if given, indices must lie below it.

    Raises:
        ValueError: for another shape or type, no rows, or an index out of range.
    """

    def __init__(self, negatives: NDArray[Any], n_items: int | None = None) -> None:
        rows = np.asarray(negatives)
        if rows.ndim != 2 or len(rows) == 0 or not np.issubdtype(rows.dtype, np.integer):
            raise ValueError(
                f"negatives are {rows.dtype} of shape {rows.shape}; expected integers of shape "
                "(T, S) with T >= 1, one row of item indices a step"
            )
        limit = INT32_MAX + 1 if n_items is None else n_items
        outside = rows[(rows < 0) | (rows >= limit)]
        if outside.size:
            raise ValueError(
                f"negatives hold item index {outside[0]}; expected 0..{limit - 1}, "
                "look the items up in itemidmap"
            )
        self._rows: Int32 = rows.astype(np.int32)  # a copy: the caller's array may change

    @property
    def n_sample(self) -> int:
        """S, negatives a step."""
        return int(self._rows.shape[1])

    def draw(self, seed: int, first_step: int, steps: int, n: int) -> Int32:  # noqa: ARG002
        """(steps, n) rows first_step .. first_step + steps - 1, mod T; the seed plays no part.

        Raises:
            ValueError: if `n` is not S, or a number is negative.
        """
        if n != self.n_sample:
            raise ValueError(
                f"n_sample is {n} but the given negatives have {self.n_sample} columns; "
                f"set n_sample={self.n_sample} or give rows of {n}"
            )
        if first_step < 0 or steps < 0:
            raise ValueError(f"first_step is {first_step}, steps is {steps}; expected both >= 0")
        return self._rows[np.arange(first_step, first_step + steps) % len(self._rows)]
