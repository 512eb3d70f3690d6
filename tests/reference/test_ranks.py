"""Ranks and best items: ties of equal rows whatever the tile, and the four answers to ties."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gru4rec_fast import reference

TILES = [*range(1, 10), 100]


@pytest.mark.rounding
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tile", TILES)
def test_equal_items_tie_whatever_the_tile(tile: int, dtype: torch.dtype) -> None:
    """Each of 12 rows stands five times, scattered; scores are no whole numbers."""
    g = torch.Generator().manual_seed(tile)
    kind = torch.randint(0, 12, (60,), generator=g)
    kind[torch.randperm(60, generator=g)] = torch.arange(12).repeat(5)
    rows, biases = torch.randn(12, 48, generator=g), torch.randn(12, 1, generator=g)
    w, b = rows[kind].to(dtype), biases[kind].to(dtype)
    features = torch.randn(7, 48, generator=g).to(dtype)
    score_tile, groups = reference.item_scores(w, b), reference.ItemGroups.of(w, b)
    targets = torch.randint(0, 60, (7,), generator=g)
    greater, equal = reference.rank_counts(features, targets, score_tile, groups, tile)
    assert equal.tolist() == [5] * 7
    exact = features.double() @ rows.double().T + biases.double().T
    own = exact.gather(1, kind[targets][:, None])
    assert greater.tolist() == (5 * (exact > own).sum(1)).tolist()

    best, items = reference.top_k(features, 33, score_tile, groups, tile)
    order = exact.argsort(dim=1, descending=True)
    expected = [[i for k in row for i in range(60) if kind[i] == k][:33] for row in order]
    assert items.tolist() == expected
    assert all(len(set(row)) == 7 for row in best.tolist()), "equal items have different scores"


@pytest.mark.rounding
@pytest.mark.parametrize("tile", TILES)
def test_rank_counts_and_top_k_see_the_whole_catalogue(tile: int) -> None:
    g = torch.Generator().manual_seed(1)  # small whole numbers: every sum is exact
    shapes = ((5, 3), (20, 3), (20, 1))
    features, w, b = (torch.randint(-3, 4, shape, generator=g).double() for shape in shapes)
    w[7], b[7] = w[4], b[4]
    targets = torch.tensor([4, 7, 0, 19, 12])
    score_tile, groups = reference.item_scores(w, b), reference.ItemGroups.of(w, b)
    s = features @ w.T + b.T
    own = s.gather(1, targets[:, None])
    greater, equal = reference.rank_counts(features, targets, score_tile, groups, tile)
    assert greater.tolist() == (s > own).sum(1).tolist()
    assert equal.tolist() == (s == own).sum(1).tolist()
    best, items = reference.top_k(features, 6, score_tile, groups, tile)
    order = np.argsort(-s.numpy(), axis=1, kind="stable")[:, :6]
    assert items.tolist() == order.tolist()
    assert torch.equal(best, s.gather(1, items))


def test_groups_are_the_items_of_equal_rows_and_biases() -> None:
    w = torch.tensor([[1.0, 2], [3, 4], [1, 2], [1, 2], [3, 4]])
    b = torch.tensor([[0.0], [1], [0], [5], [1]])
    groups = reference.ItemGroups.of(w, b)
    assert groups.group.tolist() == [0, 1, 0, 2, 1]
    assert groups.first.tolist() == [0, 1, 3]
    assert groups.size.tolist() == [2, 2, 1]
    assert len(reference.ItemGroups.all_different(7, torch.device("cpu"))) == 7


def test_top_k_of_equal_scores_takes_the_lower_index_and_no_more_than_there_are() -> None:
    w, b = torch.zeros(10, 2), torch.zeros(10, 1)
    score_tile = reference.item_scores(w, b)
    for groups in (
        reference.ItemGroups.of(w, b),
        reference.ItemGroups.all_different(10, torch.device("cpu")),
    ):
        _, items = reference.top_k(torch.zeros(1, 2), 4, score_tile, groups, tile=3)
        assert items.tolist() == [[0, 1, 2, 3]]
        _, items = reference.top_k(torch.zeros(1, 2), 99, score_tile, groups, tile=3)
        assert items.tolist() == [list(range(10))]
        assert reference.top_k(torch.zeros(0, 2), 4, score_tile, groups)[1].shape[0] == 0


def test_ranks_of_a_three_way_tie() -> None:
    greater, equal = torch.tensor([4]), torch.tensor([3])
    u = torch.tensor([0.5])
    ranks = {mode: float(rank(greater, equal, u)) for mode, rank in reference.RANKS.items()}
    assert ranks == {"standard": 5, "conservative": 7, "median": 6, "tiebreaking": 6}


def test_tiebreaking_is_uniform_among_the_equals() -> None:
    u = torch.linspace(0, 1, 3001, dtype=torch.float64)[:-1]
    ranks = reference.RANKS["tiebreaking"](torch.zeros(3000), torch.full((3000,), 3), u)
    assert torch.bincount(ranks.long()).tolist() == [0, 1000, 1000, 1000]
