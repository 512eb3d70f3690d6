"""Item ids in a checkpoint: each kind comes back, and what cannot is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest
import torch

from gru4rec_fast.errors import CheckpointError
from gru4rec_fast.model import checkpoint
from tests.model.files import CONFIG, V, listing, rewritten, state_dict

if TYPE_CHECKING:
    from pathlib import Path


TEXT = ["b", "a/b ünï", "", "007", "7", "\N{SNOWMAN}\n\t\x00 end"]


@pytest.mark.parametrize("dtype", ["object", "string", "category"])
def test_text_ids_come_back(tmp_path: Path, dtype: str) -> None:
    items = pd.Series(range(V), index=pd.Index(TEXT, dtype=dtype, name="ItemId"))
    checkpoint.save(tmp_path / "m", state_dict(), CONFIG, items)
    loaded = checkpoint.load(tmp_path / "m")
    assert loaded.itemidmap is not None
    assert loaded.itemidmap.index.tolist() == TEXT
    assert loaded.itemidmap.index.name == "ItemId"
    assert loaded.itemidmap.tolist() == list(range(V))
    assert set(loaded.tensors) == set(state_dict())
    assert loaded.extra == {}


def test_a_map_in_any_order_keeps_its_numbering(tmp_path: Path) -> None:
    items = pd.Series([2, 0, 1, 5, 4, 3], index=[10, 11, 12, 13, 14, 15])
    checkpoint.save(tmp_path / "m", state_dict(), CONFIG, items)
    loaded = checkpoint.load(tmp_path / "m").itemidmap
    assert loaded is not None
    assert loaded.to_dict() == items.to_dict()
    assert loaded.index.name is None


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (pd.Series(range(2), index=[0.5, 1.5]), "its index holds floating: expected integers or"),
        (pd.Series(range(2), index=["a", 1]), "its index holds mixed-integer: expected integers"),
        (pd.Series(range(2), index=[1, 1]), "expected each item id once"),
        (pd.Series([0, 3], index=[1, 2]), "expected each item id once"),
        (
            pd.Series(range(2), index=pd.Index([1, 2**63], dtype="uint64")),
            "holds the ids 1 to 9223372036854775808: expected integers that fit int64",
        ),
        (
            pd.Series(range(2), index=pd.Index(["b", "a\ud800"], dtype=object)),
            r"holds the id 'a\\ud800', which is not valid Unicode .* rename the item",
        ),
    ],
)
def test_a_map_that_cannot_be_saved_is_refused(
    tmp_path: Path, items: pd.Series[int], message: str
) -> None:
    with pytest.raises(CheckpointError, match=f"itemidmap.*{message}"):
        checkpoint.save(tmp_path / "m", state_dict(), CONFIG, items)
    assert listing(tmp_path) == []


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"item_ids": None}, "is truncated or damaged"),
        ({"item_ids": torch.zeros(V, dtype=torch.int64)}, "is truncated or damaged .*once"),
        (
            {
                "item_ids": None,
                "item_ids.bytes": torch.zeros(3, dtype=torch.uint8),
                "item_ids.offsets": torch.tensor([0, 1, 2, 3, 4, 5, 6]),
            },
            r"is truncated or damaged \(the offsets of the item ids do not fit their text\)",
        ),
        (
            {
                "item_ids": None,
                "item_ids.bytes": torch.tensor([0xED, 0xA0, 0x80], dtype=torch.uint8),
                "item_ids.offsets": torch.tensor([0, 3]),
            },
            r"is truncated or damaged \('utf-8' codec can't decode",
        ),
    ],
)
def test_damaged_ids_are_refused(
    tmp_path: Path, tensors: dict[str, torch.Tensor | None], message: str
) -> None:
    rewritten(tmp_path / "m", {}, **tensors)
    with pytest.raises(CheckpointError, match=f"m: {message}"):
        checkpoint.load(tmp_path / "m")
