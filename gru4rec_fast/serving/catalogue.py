"""A model's items by id, and the order of their popularity."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gru4rec_fast.data.data_iterator import DataIterator

ONE_BY_ONE = 16
"""Ids that are looked up faster one at a time than as an index of pandas."""


class Catalogue:
    """The V items of a model. Letters: n ids that are asked for."""

    def __init__(self, items: DataIterator) -> None:
        self._index = items.itemidmap.index
        self._integers = self._index.dtype.kind in "iu"
        self._support = items.support
        self.name = str(items.itemidmap.index.name or "ItemId")
        self.find(list(self._index[:1]))  # pandas makes its hash table now

    def __len__(self) -> int:
        return len(self._index)

    @cached_property
    def _ids(self) -> NDArray[Any]:
        return np.asarray(self._index.to_numpy())

    def ids(self, items: NDArray[np.int64]) -> NDArray[Any]:
        """The ids of items, of the same shape; of item -1 the id -1, or None where ids are text."""
        found = self._ids[items]
        if items.size and items.min() < 0:
            if not self._integers:
                found = found.astype(object)
            found[items < 0] = -1 if self._integers else None
        return found

    def find(self, ids: Sequence[Any]) -> NDArray[np.int64]:
        """Items (n,) of some ids, -1 for those that the model does not know.

        Raises:
            DataError: a value is no id.
        """
        if len(ids) > ONE_BY_ONE:
            # Of one type only: for a mixture pandas would make another hash table each time.
            values: pd.Index[Any] = pd.Index(ids, dtype=None if self._integers else object)
            if not self._integers or values.dtype.kind in "iu":
                return np.asarray(self._index.get_indexer(values), dtype=np.int64)
        return np.array([self._position(value) for value in ids], dtype=np.int64)

    def _position(self, value: Any) -> int:
        if isinstance(value, bool | np.bool_):
            return -1
        try:
            position: Any = self._index.get_loc(value)
        except KeyError:
            return -1
        except (TypeError, pd.errors.InvalidIndexError) as error:
            raise DataError(
                f"an item is {value!r}; expected an id of the training log, as "
                f"{self._index[:1].tolist()[0]!r}"
            ) from error
        return int(position)

    @cached_property
    def popular(self) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
        """Items (V,) by descending support, equal ones by ascending index, and their scores.

        The scores are shares of the training log's events. None where the support is not known.
        """
        if self._support is None:
            return None
        order = np.argsort(-self._support, kind="stable")
        share = self._support[order] / max(1, int(self._support.sum()))
        return order, share.astype(np.float32)
