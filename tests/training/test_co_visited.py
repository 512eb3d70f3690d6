"""Rows of new items near the mean of the items that they were visited with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gru4rec_fast import GRU4Rec, ParameterError
from tests.logs import log_of, random_log
from tests.training.test_loop import trained, weights
from tests.training.test_update import STRUCTURES, updated

pytestmark = pytest.mark.filterwarnings("ignore:.*single event")

LOG = random_log()
STILL: dict[str, Any] = {"learning_rate": 1e-30, "dropout_p_embed": 0.0}
NEW = log_of([[7, 1001, 14, 7, 1002], [1001, 7, 1001], [21, 1003, 1004], [1005, 1006]])
CO_VISITED = {1001: [7, 14, 7], 1002: [7, 14], 1003: [21], 1004: [21], 1005: [], 1006: []}
"""The known items of each new item's sessions, one once for each session."""


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_new_row_is_its_initial_one_plus_the_mean_of_co_visited_rows(structure: str) -> None:
    params = {**STRUCTURES[structure], **STILL}
    ways = [
        updated(trained(LOG, **params), NEW, new_items=way) for way in ("initial", "co-visited")
    ]
    index = ways[0].data_iterator.itemidmap
    for name in ways[0].model.spec.tables:
        initial, found = (weights(gru)[name].double() for gru in ways)
        for item, known in CO_VISITED.items():
            mean = initial[index[known].to_numpy()].mean(dim=0) if known else 0.0
            if name == "By.weight":
                mean = 0.0
            expected = initial[index[item]] + mean
            torch.testing.assert_close(found[index[item]], expected, rtol=1e-6, atol=1e-7)
        old = torch.from_numpy(index[index < len(index) - len(CO_VISITED)].to_numpy())
        torch.testing.assert_close(initial[old], found[old], rtol=1e-6, atol=1e-20)


def test_a_new_item_is_scored_like_what_it_was_visited_with() -> None:
    """Before any training on it: items of one cluster are visited together."""
    rng = np.random.default_rng(0)
    clusters = [[int(i) for i in rng.choice(20, 5) + 20 * c] for c in rng.integers(0, 5, 600)]
    gru = GRU4Rec(layers=(24,), batch_size=16, n_sample=64, n_epochs=6, device="cpu")
    gru.fit(log_of(clusters), progress=False)
    gru.set_params(learning_rate=1e-30)
    day = log_of([[1, 999, 5], [8, 999, 3], [2, 7, 999]])  # of the first cluster
    updated(gru, day, new_items="co-visited")
    best = gru.recommend([4, 11], k=25).ItemId.tolist()
    assert 999 in best
    assert np.mean([item < 20 or item == 999 for item in best[:15]]) > 0.8


def test_a_day_without_new_items_is_as_without_the_option() -> None:
    day = log_of([[7, 14, 21], [14, 7]])
    one, other = (
        updated(trained(LOG), day, new_items=way).model.state_dict()
        for way in ("initial", "co-visited")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_another_value_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"new_items is 'mean'; expected 'initial'.*'co-vis"):
        updated(trained(LOG), NEW, new_items="mean")
