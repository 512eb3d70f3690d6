"""Exact ranks and best items by the kernels against the reference."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gru4rec_fast import reference
from gru4rec_fast.kernels import top_k as module
from gru4rec_fast.kernels.rank_counts import rank_counts
from gru4rec_fast.kernels.top_k import top_k


def whole_scores(
    n_rows: int, n_items: int, width: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Small whole numbers, so that scores are exact in float32 and many of them are equal."""
    torch.manual_seed(n_items)
    shapes = ((n_rows, width), (n_items, width), (n_items, 1))
    features, w, b = (torch.randint(-2, 3, shape).float().to(device) for shape in shapes)
    return features, w, b


@pytest.mark.parametrize(
    ("n_rows", "n_items", "width"), [(1, 1, 1), (5, 70, 20), (70, 300, 33), (3, 1000, 4)]
)
def test_counts_of_better_and_equal_items(
    n_rows: int, n_items: int, width: int, device: torch.device
) -> None:
    features, w, b = whole_scores(n_rows, n_items, width, device)
    targets = torch.randint(n_items, (n_rows,), device=device)
    scores, groups = reference.item_scores(w, b), reference.ItemGroups.of(w, b)
    expected = reference.rank_counts(features, targets, scores, groups)
    for got, want in zip(rank_counts(features, w, b, targets), expected, strict=True):
        torch.testing.assert_close(got, want)


def test_the_target_always_equals_itself(device: torch.device) -> None:
    torch.manual_seed(0)
    features, w, b = (torch.randn(s, device=device) for s in ((20, 33), (150, 33), (150, 1)))
    _, equal = rank_counts(features, w, b, torch.arange(20, device=device))
    assert (equal >= 1).all()


@pytest.mark.parametrize(
    ("n_rows", "n_items", "width", "k"),
    [(1, 1, 1, 1), (5, 70, 20, 5), (20, 300, 33, 20), (3, 600, 4, 100), (2, 7, 3, 7)],
)
def test_best_items_and_ties_in_order(
    n_rows: int, n_items: int, width: int, k: int, device: torch.device
) -> None:
    features, w, b = whole_scores(n_rows, n_items, width, device)
    scores, groups = reference.item_scores(w, b), reference.ItemGroups.of(w, b)
    expected = reference.top_k(features, k, scores, groups)
    for got, want in zip(top_k(features, w, b, k), expected, strict=True):
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize("k", [0, 8, 101])
def test_k_out_of_range_is_refused(k: int, device: torch.device) -> None:
    features, w, b = whole_scores(2, 7, 3, device)
    with pytest.raises(ValueError, match=rf"k is {k}; expected 1 to 7"):
        top_k(features, w, b, k)


def test_rows_are_ranked_in_groups_that_bound_the_memory(
    device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, w, b = whole_scores(40, 600, 5, device)
    expected = top_k(features, w, b, 7)
    sorted_at_once = []
    sort = torch.sort

    def noted(values: torch.Tensor, **options: Any) -> Any:
        sorted_at_once.append(values.numel())
        return sort(values, **options)

    monkeypatch.setattr(module, "CANDIDATES", 17 * 3 * 7)
    monkeypatch.setattr(torch, "sort", noted)
    for got, want in zip(top_k(features, w, b, 7), expected, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=0)
    assert sorted_at_once == [17 * 3 * 7, 17 * 3 * 7, 6 * 3 * 7]


def test_the_grid_has_one_dimension(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first can be longer than 65,535, which 16.8 million items need."""
    grids: list[Any] = []
    kernel = module.top_k_kernel

    class Noted:
        def __getitem__(self, grid: tuple[int, ...]) -> Any:
            grids.append(grid)
            return kernel[grid]

    features, w, b = whole_scores(40, 600, 5, device)
    monkeypatch.setattr(module, "top_k_kernel", Noted())
    top_k(features, w, b, 7)
    assert grids == [(3 * 3,)]
