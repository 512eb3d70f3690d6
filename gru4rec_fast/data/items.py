"""Ids of items and sessions as numbers: the itemidmap, which numbers a model's items 0..V-1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gru4rec_fast.data.origin import Origin

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
INT32_MAX = 2**31 - 1


def numbered_items(ids: Sequence[str] | NDArray[Any], item_key: str) -> pd.Series[int]:
    """The itemidmap in which item i is ids[i]."""
    itemidmap: pd.Series[int] = pd.Series(
        np.arange(len(ids)), index=pd.Index(ids, name=item_key), name="ItemIdx", dtype="int64"
    )
    return itemidmap


def require_numbering(itemidmap: pd.Series[int]) -> None:
    """Refuse a map that does not number its items.

    Raises:
        DataError: an id occurs twice in the index, or the values are not 0..V-1 in some order.
    """
    indices = np.sort(itemidmap.to_numpy())
    if not (itemidmap.index.is_unique and np.array_equal(indices, np.arange(len(indices)))):
        raise DataError(
            "itemidmap: expected each item id once in its index and the values "
            f"0..{len(indices) - 1}; take it from the trained model"
        )


def holds_integers(index: pd.Index[Any]) -> bool:
    """Whether ids are integers (of any width) rather than text."""
    return pd.api.types.infer_dtype(index) == "integer"


def is_unicode(text: str) -> bool:
    """Whether text can be encoded: it holds no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def distinct_ids(
    ids: NDArray[Any], name: str, rows: NDArray[np.int64] | None = None, *, sort: bool = False
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Code of each id, and the distinct ids, in order of appearance or sorted.

    Args:
        ids: int64, or object of str.
        name: the column, for errors.
        rows: the row of the log that each id comes from; None where `ids` are of all rows.
        sort: whether codes follow the order of the ids instead of their first appearance.

    Raises:
        DataError: an id is not valid Unicode. Python text can hold lone surrogates; no Arrow
            column, file or checkpoint can.
    """
    codes, distinct = pd.factorize(ids, sort=sort)
    if distinct.dtype == object:
        try:
            "".join(distinct).encode()
        except UnicodeEncodeError:
            code = next(i for i, text in enumerate(distinct) if not is_unicode(text))
            position = int(np.argmax(codes == code))
            row = position if rows is None else int(rows[position])
            raise not_unicode(name, row, distinct[code]) from None
    return codes, distinct


def not_unicode(name: str, row: int, text: str) -> DataError:
    """The error of a text with a lone surrogate in a table."""
    return DataError(
        f"column {name!r}, row {row} (counted from 0) holds {text!r}, which is not valid Unicode "
        "(a lone surrogate): expected text that UTF-8 can encode; read the log with its right "
        f"encoding, or escape such ids with data[{name!r}].str.encode('utf-8', "
        "'backslashreplace').str.decode('utf-8')"
    )


def known_items(
    items: NDArray[Any], itemidmap: pd.Series[int], item_key: str, origin: Origin
) -> NDArray[np.int64]:
    """Item index of each event, -1 for items that the map lacks.

    Args:
        items: item id of each event, int64 or object of str.
        itemidmap: item id -> item index of a model.
        item_key: the item column, for errors.
        origin: where the log came from, for errors.

    Raises:
        DataError: the map numbers no items, or holds ids of another kind, or none of these.
    """
    require_numbering(itemidmap)
    indices = itemidmap.to_numpy(dtype=np.int64)
    kinds = [
        "integers" if integers else "text"
        for integers in (items.dtype != object, holds_integers(itemidmap.index))
    ]
    if kinds[0] != kinds[1]:
        raise DataError(
            f"column {item_key!r} holds {kinds[0]} but the items of the model are {kinds[1]}, so "
            f"no item would be known: {origin.conversion(item_key, kinds[1])}"
        )
    positions, ids = distinct_ids(items, item_key)
    found = itemidmap.index.get_indexer(pd.Index(ids))
    if found.max() < 0:
        raise DataError(
            f"none of the {len(ids)} items in column {item_key!r} (the first: "
            f"{ids[0]!s}) is known to the model, which holds {len(itemidmap)} items (the "
            f"first: {itemidmap.index[0]!s}): expected ids of the log it was trained on"
        )
    return np.where(found < 0, -1, indices[found])[positions]
