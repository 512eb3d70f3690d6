"""Item ids as tensors: how a checkpoint keeps the itemidmap.

Integers are `item_ids` (V,) int64. Text is `item_ids.bytes` (uint8, UTF-8, id after id) and
`item_ids.offsets` (V + 1,) int64: id i is bytes[offsets[i]:offsets[i + 1]].
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import torch

from gru4rec_fast.data.items import (
    INT64_MAX,
    INT64_MIN,
    holds_integers,
    is_unicode,
    numbered_items,
    require_numbering,
)
from gru4rec_fast.errors import CheckpointError, DataError

INTEGERS, BYTES, OFFSETS = "item_ids", "item_ids.bytes", "item_ids.offsets"
NAMES = frozenset({INTEGERS, BYTES, OFFSETS})
"""Names that no other tensor of a checkpoint may have."""


def ordered_ids(itemidmap: pd.Series[int]) -> pd.Index[Any]:
    """The ids of a map in order of their item index 0..V-1: all integers, or all text.

    Raises:
        CheckpointError: the map numbers no items, or its ids are neither integers that fit int64
            nor text that is valid Unicode.
    """
    try:
        require_numbering(itemidmap)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    ids = itemidmap.index[np.argsort(itemidmap.to_numpy())]
    if holds_integers(ids):
        if not INT64_MIN <= int(ids.min()) <= int(ids.max()) <= INT64_MAX:
            raise CheckpointError(
                f"itemidmap holds the ids {ids.min()} to {ids.max()}: expected integers that fit "
                "int64; convert larger ids to text"
            )
        return ids
    if not all(isinstance(item, str) for item in ids):
        raise CheckpointError(
            f"itemidmap: its index holds {pd.api.types.infer_dtype(ids)}: expected integers or text"
        )
    for item in ids:
        if not is_unicode(item):
            raise CheckpointError(
                f"itemidmap holds the id {item!r}, which is not valid Unicode (a lone surrogate): "
                "expected text that UTF-8 can encode; rename the item"
            )
    return ids


def as_tensors(itemidmap: pd.Series[int]) -> dict[str, torch.Tensor]:
    """The ids of a map in order of their item index 0..V-1.

    Raises:
        CheckpointError: as `ordered_ids`.
    """
    ids = ordered_ids(itemidmap)
    if holds_integers(ids):
        return {INTEGERS: torch.from_numpy(np.array(ids, dtype=np.int64))}
    encoded = [item.encode() for item in ids]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(item) for item in encoded], out=offsets[1:])
    text = np.frombuffer(bytearray(b"".join(encoded)), dtype=np.uint8)
    return {BYTES: torch.from_numpy(text), OFFSETS: torch.from_numpy(offsets)}


def from_tensors(tensors: dict[str, torch.Tensor], item_key: str) -> pd.Series[int]:
    """The map whose ids `as_tensors` wrote; they are taken out of `tensors`.

    Raises:
        KeyError: a tensor of the ids is missing.
        ValueError: the ids do not fit their offsets, are no UTF-8, or occur twice.
    """
    itemidmap = numbered_items(_ids(tensors), item_key)
    require_numbering(itemidmap)
    return itemidmap


def _ids(tensors: dict[str, torch.Tensor]) -> list[str] | np.ndarray[Any, Any]:
    if INTEGERS in tensors:
        # A copy: the map must not keep the file open.
        return np.array(tensors.pop(INTEGERS).numpy(), dtype=np.int64)
    text = tensors.pop(BYTES).numpy().tobytes()
    offsets = tensors.pop(OFFSETS).tolist()
    if offsets[:1] != [0] or offsets[-1] != len(text) or sorted(offsets) != offsets:
        raise ValueError("the offsets of the item ids do not fit their text")
    return [text[start:end].decode() for start, end in itertools.pairwise(offsets)]
