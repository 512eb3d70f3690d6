"""What a model knows of its training log, under the name that scripts of the original read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class DataIterator:
    """What scripts of the original read from a trained model's `data_iterator`."""

    itemidmap: pd.Series[int]
    """Index: item ids; values: their index 0..V-1."""
    columns: dict[str, str | None] = field(default_factory=dict)
    """item_key, session_key and time_key of the training log, as far as they are known."""
    support: NDArray[np.int64] | None = None
    """(V,) events of each item in the training logs; None for a model of an older file."""

    @property
    def n_items(self) -> int:
        """V."""
        return len(self.itemidmap)
