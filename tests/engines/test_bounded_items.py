"""When the CPU engine makes, drops and gives up the rounded copy of the items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest
import torch
from torch import Tensor

from gru4rec_fast import GRU4Rec
from gru4rec_fast.data.data_iterator import DataIterator
from gru4rec_fast.engines import bounded_items
from gru4rec_fast.engines.cpu import CpuRanker
from gru4rec_fast.model.network import Network

if TYPE_CHECKING:
    from gru4rec_fast.evaluation.network_scorer import NetworkScorer

V, H = 5000, 32


def weights() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features (80, H), w, b, targets (80,)."""
    g = torch.Generator().manual_seed(0)
    w, b = torch.randn(V, H, generator=g), torch.randn(V, 1, generator=g)
    targets = torch.randint(0, V, (80,), generator=g)
    return w[targets] + torch.randn(80, H, generator=g), w, b, targets


def test_the_copy_is_made_for_many_rows() -> None:
    features, w, b, targets = weights()
    ranker = CpuRanker(w, b)
    ranker.rank_counts(features[:3], targets[:3])
    assert ranker.bounded.nbytes == 0
    counts = ranker.rank_counts(features, targets)
    assert V * (H + 8) <= ranker.bounded.nbytes < V * (H + 9)
    without = CpuRanker(w, b, bounds=False)
    assert all(map(torch.equal, counts, without.rank_counts(features, targets)))
    assert without.bounded.nbytes == 0


def test_the_copy_is_made_after_some_single_rows() -> None:
    features, w, b, _ = weights()
    ranker, without = CpuRanker(w, b), CpuRanker(w, b, bounds=False)
    for i in range(10):
        best = ranker.top_k(features[i : i + 1], 20)
        assert all(map(torch.equal, best, without.top_k(features[i : i + 1], 20)))
        calls = bounded_items.ROWS_BEFORE // bounded_items.ROWS_OF_CALL
        assert (ranker.bounded.nbytes > 0) == (i >= calls)


@pytest.mark.parametrize("small", [(1000, H), (V, 8)])
def test_no_copy_of_small_items(small: tuple[int, int]) -> None:
    ranker = CpuRanker(torch.randn(small), torch.randn(small[0], 1))
    ranker.rank_counts(torch.randn(300, small[1]), torch.zeros(300, dtype=torch.int64))
    assert ranker.bounded.nbytes == 0


@pytest.mark.parametrize("changed", ["w", "b"])
def test_the_copy_is_dropped_when_weights_change(changed: str) -> None:
    features, w, b, targets = weights()
    ranker = CpuRanker(w, b)
    before = ranker.rank_counts(features, targets)
    with torch.no_grad():
        (w if changed == "w" else b).mul_(-1)
    after = ranker.rank_counts(features, targets)
    assert not torch.equal(before[0], after[0])
    expected = CpuRanker(w, b, bounds=False).rank_counts(features, targets)
    assert all(map(torch.equal, after, expected))


def test_weights_that_no_bound_separates_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    features, w, b, targets = weights()
    w, b = w[:1].expand(V, H).contiguous() * (1 + 1e-7 * w), torch.zeros(V, 1)
    monkeypatch.setattr(bounded_items, "PAIRS_BEFORE", 100 * V)
    ranker = CpuRanker(w, b)
    counts = [ranker.rank_counts(features, targets) for _ in range(2)]
    assert ranker.bounded.nbytes == 0
    expected = CpuRanker(w, b, bounds=False).rank_counts(features, targets)
    assert all(map(torch.equal, counts[0], expected))
    ranker.rank_counts(features, targets)
    assert ranker.bounded.nbytes == 0
    with torch.no_grad():
        w.copy_(weights()[1])  # other weights are tried again
    ranker.rank_counts(features, targets)
    assert ranker.bounded.nbytes > 0


def test_a_model_ranks_by_bounds_unless_it_is_told_not_to() -> None:
    gru = GRU4Rec(layers=[H])
    network = Network(gru.config, V)
    network.initialise(True)
    gru._become(network, DataIterator(pd.Series(range(V), index=range(V))))
    features, _, _, targets = weights()
    by_bounds = gru.scorer()
    gru.bounded_ranks = False
    without = gru.scorer()
    counts = [scorer.rank_counts(features, targets) for scorer in (by_bounds, without)]
    assert all(map(torch.equal, *counts))
    assert [memory(scorer) > 0 for scorer in (by_bounds, without)] == [True, False]


def memory(scorer: NetworkScorer) -> int:
    ranker = scorer._ranker
    assert isinstance(ranker, CpuRanker)
    return ranker.bounded.nbytes
