"""Models for the tests of serving: small, trained for a moment, with items that tie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from gru4rec_fast import GRU4Rec
from tests.logs import random_log

if TYPE_CHECKING:
    import pandas as pd

STRUCTURES: dict[str, dict[str, Any]] = {
    "shared": {"layers": (16,)},
    "one-hot": {"layers": (12, 20), "constrained_embedding": False},
    "lstm-ff": {"layers": (16,), "cell": "lstm", "feed_forward": (9,)},
}


def small_model(text_ids: bool = False, **options: Any) -> GRU4Rec:
    """Trained on `small_model_log`; the items of index 4 and 5 have equal rows, so they tie."""
    options = {"layers": (16,), "batch_size": 8, "n_sample": 16, "n_epochs": 1, **options}
    gru = GRU4Rec(**options, device="cpu")
    gru.fit(small_model_log(text_ids), progress=False)
    with torch.no_grad():
        for table in (gru.model.Wy.weight, gru.model.By.weight):
            table[5] = table[4]
    return gru


def small_model_log(text_ids: bool = False) -> pd.DataFrame:
    log = random_log(n_sessions=60)
    if text_ids:
        log["ItemId"] = "item-" + log["ItemId"].astype(str)
    return log
