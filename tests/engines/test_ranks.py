"""Ranks, best items and scores by the C++ engine, for every instruction set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

from gru4rec_fast import _core, reference
from gru4rec_fast.engines.choice import ENGINES

if TYPE_CHECKING:
    from gru4rec_fast.engines.contract import Ranker


pytestmark = pytest.mark.usefixtures("instruction_set")


def ranker(w: Tensor, b: Tensor) -> Ranker:
    return ENGINES["cpu"].ranker(w, b)


def catalogue(rows: int, n_items: int, units: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features, w, b of small whole numbers, so that scores are exact and often tie; targets."""
    g = torch.Generator().manual_seed(rows + n_items)
    features = torch.randint(-2, 3, (rows, units), generator=g).float()
    w = torch.randint(-2, 3, (n_items, units), generator=g).float()
    b = torch.randint(-1, 2, (n_items, 1), generator=g).float()
    return features, w, b, torch.randint(0, n_items, (rows,), generator=g)


SIZES = [(1, 1, 1), (3, 47, 5), (33, 49, 8), (70, 9000, 19), (16, 5000, 300)]


@pytest.mark.parametrize(("rows", "n_items", "units"), SIZES)
def test_ranks_equal_the_references(rows: int, n_items: int, units: int) -> None:
    features, w, b, targets = catalogue(rows, n_items, units)
    scores, groups = reference.item_scores(w, b), reference.ItemGroups.of(w, b)
    expected = reference.rank_counts(features, targets, scores, groups)
    counts = ranker(w, b).rank_counts(features, targets)
    assert torch.equal(counts[0], expected[0])
    assert torch.equal(counts[1], expected[1])


@pytest.mark.parametrize(("rows", "n_items", "units"), SIZES)
@pytest.mark.parametrize("k", [0, 1, 20, 100_000])
def test_best_items_equal_the_references(rows: int, n_items: int, units: int, k: int) -> None:
    features, w, b, _ = catalogue(rows, n_items, units)
    expected = reference.top_k(
        features, k, reference.item_scores(w, b), reference.ItemGroups.of(w, b)
    )
    best = ranker(w, b).top_k(features, k)
    assert torch.equal(best[0], expected[0])
    assert torch.equal(best[1], expected[1])


def test_ranks_do_not_depend_on_the_other_rows_or_threads() -> None:
    g = torch.Generator().manual_seed(1)
    features, w = torch.randn(90, 300, generator=g), torch.randn(3000, 300, generator=g)
    w[1500:] = w[:1500]  # every item has a twin, which must tie to the bit
    b = torch.zeros(3000, 1)
    targets = torch.randint(0, 3000, (90,), generator=g)
    items = ranker(w, b)
    greater, equal = items.rank_counts(features, targets)
    assert (equal == 2).all()
    one_by_one = [items.rank_counts(features[i : i + 1], targets[i : i + 1]) for i in range(90)]
    assert torch.equal(torch.cat([g for g, _ in one_by_one]), greater)
    threads = [
        _core.rank_counts(features.numpy(), w.numpy(), b.numpy(), targets.numpy(), n)
        for n in (1, 2, 3)
    ]
    assert all(np.array_equal(counts[0], greater) for counts in threads)
    best = [_core.top_k(features.numpy(), w.numpy(), b.numpy(), 50, n) for n in (1, 2, 3)]
    assert all(np.array_equal(best[0][i], other[i]) for other in best[1:] for i in (0, 1))


@pytest.mark.rounding
@pytest.mark.parametrize("threads", [1, 2])
def test_chosen_items_score_as_among_all(threads: int) -> None:
    g = torch.Generator().manual_seed(1)
    features, w = torch.randn(70, 33, generator=g), torch.randn(9000, 33, generator=g)
    b = torch.randn(9000, 1, generator=g)
    scores, items = ranker(w, b).top_k(features, 9000)
    every = torch.empty_like(scores).scatter_(1, items, scores)
    chosen = torch.cat([torch.randint(0, 9000, (8200,), generator=g), torch.tensor([5, 5, 8999])])
    arrays = (features.numpy(), w.numpy(), b.numpy(), chosen.numpy())
    assert np.array_equal(_core.item_scores(*arrays, threads), every[:, chosen].numpy())
    exact = features.double() @ w[chosen].double().T + b[chosen].double().T
    slack = 35 * 2**-24 * (features.abs() @ w[chosen].abs().T + b[chosen].abs().T)
    assert ((torch.from_numpy(_core.item_scores(*arrays, threads)) - exact).abs() <= slack).all()
    assert _core.item_scores(*arrays[:3], chosen.numpy()[:0], threads).shape == (70, 0)


@pytest.mark.rounding
def test_equal_items_score_alike_in_the_reference() -> None:
    g = torch.Generator().manual_seed(1)
    w = torch.randn(3, 33, generator=g, dtype=torch.float64)
    w, b = w[torch.arange(9) % 3], torch.zeros(9, 1, dtype=torch.float64)
    features = torch.randn(5, 33, generator=g, dtype=torch.float64)
    for n in range(1, 10):
        s = ENGINES["reference"].ranker(w, b).scores(features, torch.arange(n))
        assert torch.equal(s, s[:, torch.arange(n) % 3])


def test_bad_arguments_are_refused() -> None:
    features, w, b, targets = (t.numpy() for t in catalogue(3, 47, 5))
    with pytest.raises(ValueError, match=r"a target is outside the catalogue; .*0\.\.46"):
        _core.rank_counts(features, w, b, targets + 47, 1)
    with pytest.raises(ValueError, match=r"an item is outside the catalogue; .*0\.\.46"):
        _core.item_scores(features, w, b, np.array([3, -1]), 1)
    with pytest.raises(ValueError, match=r"features is float32 .* expected \(3, 5\)"):
        _core.rank_counts(features[:, :4].copy(), w, b, targets, 1)
    with pytest.raises(ValueError, match="threads is 0; expected at least 1"):
        _core.top_k(features, w, b, 3, 0)
