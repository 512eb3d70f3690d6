"""Models saved by commit 021fa60 load in every later version, and answer as they did then."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gru4rec_fast import GRU4Rec

FOLDER = Path(__file__).parent / "saved" / "model-021fa60"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())


@pytest.mark.parametrize("name", EXPECTED)
def test_a_model_of_021fa60_recommends_what_it_did(name: str) -> None:
    expected = EXPECTED[name]
    gru = GRU4Rec.loadmodel(FOLDER / f"{name}.safetensors", device="cpu")
    assert gru.data_iterator.n_items == expected["n_items"]
    fresh = GRU4Rec(**expected["params"], device="cpu")
    for parameter in expected["params"]:
        assert getattr(gru, parameter) == getattr(fresh, parameter)
    best = gru.recommend(expected["session"], k=5)
    assert best.ItemId.tolist() == expected["items"]
    np.testing.assert_allclose(best.Score, expected["scores"], rtol=1e-5, atol=1e-6)
