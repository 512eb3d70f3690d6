"""Ranks, best items and row updates by the C++ engine, for every instruction set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

from gru4rec_fast import _core, ops, reference
from gru4rec_fast.reference import Gradient

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=_core.instruction_sets(), autouse=True)
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    before = _core.instruction_set()
    _core.use_instruction_set(request.param)
    yield request.param
    _core.use_instruction_set(before)


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
    counts = ops.rank_counts(features, w, b, targets)
    assert torch.equal(counts[0], expected[0])
    assert torch.equal(counts[1], expected[1])


@pytest.mark.parametrize(("rows", "n_items", "units"), SIZES)
@pytest.mark.parametrize("k", [0, 1, 20, 100_000])
def test_best_items_equal_the_references(rows: int, n_items: int, units: int, k: int) -> None:
    features, w, b, _ = catalogue(rows, n_items, units)
    expected = reference.top_k(
        features, k, reference.item_scores(w, b), reference.ItemGroups.of(w, b)
    )
    best = ops.top_k(features, w, b, k)
    assert torch.equal(best[0], expected[0])
    assert torch.equal(best[1], expected[1])


def test_ranks_do_not_depend_on_the_other_rows_or_threads() -> None:
    g = torch.Generator().manual_seed(1)
    features, w = torch.randn(90, 300, generator=g), torch.randn(3000, 300, generator=g)
    w[1500:] = w[:1500]  # every item has a twin, which must tie to the bit
    b = torch.zeros(3000, 1)
    targets = torch.randint(0, 3000, (90,), generator=g)
    greater, equal = ops.rank_counts(features, w, b, targets)
    assert (equal == 2).all()
    one_by_one = [ops.rank_counts(features[i : i + 1], w, b, targets[i : i + 1]) for i in range(90)]
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
    scores, items = ops.top_k(features, w, b, 9000)
    every = torch.empty_like(scores).scatter_(1, items, scores)
    chosen = torch.cat([torch.randint(0, 9000, (8200,), generator=g), torch.tensor([5, 5, 8999])])
    arrays = (features.numpy(), w.numpy(), b.numpy(), chosen.numpy())
    assert np.array_equal(_core.scores(*arrays, threads), every[:, chosen].numpy())
    exact = features.double() @ w[chosen].double().T + b[chosen].double().T
    slack = 35 * 2**-24 * (features.abs() @ w[chosen].abs().T + b[chosen].abs().T)
    assert ((torch.from_numpy(_core.scores(*arrays, threads)) - exact).abs() <= slack).all()
    assert _core.scores(*arrays[:3], chosen.numpy()[:0], threads).shape == (70, 0)


@pytest.mark.rounding
def test_equal_items_score_alike_in_the_reference() -> None:
    g = torch.Generator().manual_seed(1)
    w = torch.randn(3, 33, generator=g, dtype=torch.float64)
    w, b = w[torch.arange(9) % 3], torch.zeros(9, 1, dtype=torch.float64)
    features = torch.randn(5, 33, generator=g, dtype=torch.float64)
    for n in range(1, 10):
        s = ops.scores(features, w, b, torch.arange(n))
        assert torch.equal(s, s[:, torch.arange(n) % 3])


@pytest.mark.parametrize("momentum", [0.0, 0.4])
@pytest.mark.parametrize("columns", [1, 7, 8, 100])
def test_adagrad_equals_the_references(momentum: float, columns: int) -> None:
    g = torch.Generator().manual_seed(columns)
    theta = torch.randn(50, columns, generator=g)
    a = torch.rand(50, columns, generator=g)
    m = torch.randn(50, columns, generator=g) if momentum > 0 else None
    rows = torch.randperm(50, generator=g)[:20]
    gradient = torch.randn(20, columns, generator=g)
    gradient[3] = 0
    expected = [t.double() if t is not None else None for t in (theta, a, m)]
    exact_theta, exact_a, exact_m = expected
    assert exact_theta is not None
    assert exact_a is not None
    settings = (rows, gradient.double(), 0.1, momentum)
    reference.sparse_adagrad(exact_theta, exact_a, exact_m, *settings)
    untouched = theta.clone()
    ops.adagrad(theta, a, m, Gradient(gradient, rows), 0.1, momentum)
    for fast, exact in zip((theta, a, m), expected, strict=True):
        if fast is not None and exact is not None:
            torch.testing.assert_close(fast.double(), exact, rtol=2e-6, atol=2e-6)
    rest = [i for i in range(50) if i not in set(rows.tolist())]
    assert torch.equal(theta[rest], untouched[rest])


def test_bad_arguments_are_refused() -> None:
    features, w, b, targets = (t.numpy() for t in catalogue(3, 47, 5))
    with pytest.raises(ValueError, match=r"a target is outside the catalogue; .*0\.\.46"):
        _core.rank_counts(features, w, b, targets + 47, 1)
    with pytest.raises(ValueError, match=r"an item is outside the catalogue; .*0\.\.46"):
        _core.scores(features, w, b, np.array([3, -1]), 1)
    with pytest.raises(ValueError, match=r"features is float32 .* expected \(3, 5\)"):
        _core.rank_counts(features[:, :4].copy(), w, b, targets, 1)
    with pytest.raises(ValueError, match="threads is 0; expected at least 1"):
        _core.top_k(features, w, b, 3, 0)
    rows = np.array([47])
    with pytest.raises(ValueError, match=r"a row is outside theta; expected 0\.\.46"):
        _core.sparse_adagrad(w, w.copy(), None, rows, np.ones((1, 5), np.float32), 0.1, 0.0)
    with pytest.raises(ValueError, match="theta is float64"):
        _core.sparse_adagrad(w.astype(np.float64), w, None, None, w, 0.1, 0.0)
