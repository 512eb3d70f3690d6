"""A model file holds the items' support, and is read without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from gru4rec_fast import CheckpointError, GRU4Rec
from gru4rec_fast.model import checksum
from tests.logs import random_log

if TYPE_CHECKING:
    from pathlib import Path


def test_support_is_saved_and_counts_updates(tmp_path: Path) -> None:
    log = random_log()
    gru = GRU4Rec(layers=(4,), n_epochs=1, n_sample=4, device="cpu").fit(log, progress=False)
    counts = log.ItemId.value_counts()
    for times in (1, 2):
        gru.savemodel(tmp_path / "model")
        items = GRU4Rec.loadmodel(tmp_path / "model", device="cpu").data_iterator
        assert items.support is not None
        trained = log.groupby("SessionId").ItemId.transform("size") > 0
        assert trained.all()
        assert items.support.tolist() == (times * counts[items.itemidmap.index]).tolist()
        gru.partial_fit(log, n_epochs=1, progress=False)


def test_files_without_support_and_with_a_wrong_one(tmp_path: Path) -> None:
    path = tmp_path / "model"
    gru = GRU4Rec(layers=(4,), n_epochs=1, n_sample=4, device="cpu")
    gru.fit(random_log(), progress=False).savemodel(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    support = tensors.pop("support")

    def rewrite() -> None:
        metadata[checksum.KEY] = checksum.checksum(tensors, metadata)
        save_file(tensors, path, metadata=metadata)

    rewrite()
    older = GRU4Rec.loadmodel(path, device="cpu")
    assert older.data_iterator.support is None
    a = older.data_iterator.itemidmap.index[0]
    assert np.array_equal(older.recommend([a]).Score, gru.recommend([a]).Score)
    tensors["support"] = support[:-1]
    rewrite()
    with pytest.raises(CheckpointError, match=r"support is torch\.int64 of shape"):
        GRU4Rec.loadmodel(path, device="cpu")
