"""What each rank trains and owns: all of it together is the whole, and nothing twice."""

from __future__ import annotations

import numpy as np
import pytest

from gru4rec_fast.config import Config
from gru4rec_fast.distributed.cost import step_cost
from gru4rec_fast.distributed.deal import config_of, seed_of, sessions_of
from gru4rec_fast.distributed.owners import shard_rows, weight_shares
from gru4rec_fast.distributed.ranks import Ranks

SIZES = [1, 2, 3, 7, 64]


@pytest.mark.parametrize("size", SIZES)
def test_lanes_and_negatives_add_up(size: int) -> None:
    config = Config().replace(batch_size=130, n_sample=2048)
    ranks = [config_of(config, Ranks(rank, size)) for rank in range(size)]
    for name in ("batch_size", "n_sample"):
        parts = [getattr(own, name) for own in ranks]
        assert sum(parts) == getattr(config, name)
        assert max(parts) - min(parts) <= 1


@pytest.mark.parametrize("size", SIZES)
def test_each_session_has_one_rank_and_keeps_its_place(size: int) -> None:
    order = np.random.default_rng(1).permutation(20_000)
    parts = [sessions_of(order, rank, size) for rank in range(size)]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(20_000))
    place = np.argsort(order)
    assert all((np.diff(place[part]) > 0).all() for part in parts)
    counts = np.array([len(part) for part in parts])
    # Each rank's share of a fair deal, within 5 standard deviations.
    expected = 20_000 / size
    assert (np.abs(counts - expected) <= 5 * np.sqrt(expected)).all()


def test_sessions_that_follow_each_other_go_to_all_ranks() -> None:
    ranks = [len(sessions_of(np.arange(start, start + 64), 0, 2)) for start in range(0, 6400, 64)]
    assert 20 < np.mean(ranks) < 44
    assert np.std(ranks) > 1  # a hash, not every other session


def test_each_rank_has_a_seed_of_its_own() -> None:
    seeds = [seed_of(42, rank) for rank in range(64)]
    assert seeds[0] == 42
    assert len(set(seeds)) == 64
    assert len({seed_of(43, rank) for rank in range(64)} & set(seeds)) == 0


@pytest.mark.parametrize("size", SIZES)
def test_each_row_has_one_owner(size: int) -> None:
    assert sum(shard_rows(1000, rank, size) for rank in range(size)) == 1000
    shapes = {"w": (30, 7), "v": (5, 2), "bias": (30,), "small": (1,)}
    owned = {name: np.zeros(shape[0], int) for name, shape in shapes.items()}
    elements = []
    for shares in weight_shares(shapes, size):
        elements.append(0)
        for name, first, end in shares:
            owned[name][first:end] += 1
            elements[-1] += (end - first) * (shapes[name][1] if len(shapes[name]) > 1 else 1)
    assert all((rows == 1).all() for rows in owned.values())
    assert len(elements) == size
    assert max(elements) <= 251 / size + 7  # as even as whole rows of 7 allow


def test_the_cost_of_one_rank_is_that_of_a_step_without_messages() -> None:
    one = step_cost(1, 240, 2048, 512, 1_575_936)
    two = step_cost(2, 240, 2048, 512, 1_575_936)
    assert one.sent == 0
    assert one.operations == 6 * 240 * (1_575_936 + 2288 * 512)
    assert two.rows == one.rows / 2
    assert two.operations < one.operations / 2
