"""What a model knows of its training log, under the name that scripts of the original read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class DataIterator:
    """What scripts of the original read from a trained model's `data_iterator`."""

    itemidmap: pd.Series[int]
    """Index: item ids; values: their index 0..V-1."""
    columns: dict[str, str | None] = field(default_factory=dict)
    """item_key, session_key and time_key of the training log, as far as they are known."""

    @property
    def n_items(self) -> int:
        """V."""
        return len(self.itemidmap)
