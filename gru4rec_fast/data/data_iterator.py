"""The items that a model knows, under the name that scripts of the original read them by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class DataIterator:
    """What scripts of the original read from a trained model's `data_iterator`."""

    itemidmap: pd.Series[int]
    """Index: item ids; values: their index 0..V-1."""

    @property
    def n_items(self) -> int:
        """V."""
        return len(self.itemidmap)
