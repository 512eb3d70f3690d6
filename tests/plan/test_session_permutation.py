"""The computed order of an epoch: the same as the plain twin's, one to one, and random."""

from __future__ import annotations

import numpy as np
import pytest

from gru4rec_fast._core import LaneScheduler, SessionPermutation
from gru4rec_fast.plan import epoch
from gru4rec_fast.plan.epoch import epoch_order
from gru4rec_fast.reference.session_permutation import permuted_session
from tests.plan.test_lanes import log_of


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 31, 100, 257])
@pytest.mark.parametrize(("seed", "number"), [(0, 1), (2**63 + 5, 2**33 + 7)])
def test_equals_the_plain_twin_and_is_one_to_one(n: int, seed: int, number: int) -> None:
    order = SessionPermutation(n, seed, number)
    sessions = [order[place] for place in range(n)]
    assert sessions == [permuted_session(place, n, seed, number) for place in range(n)]
    assert sorted(sessions) == list(range(n))


def test_every_session_is_equally_likely_at_every_place() -> None:
    """Chi-squared of (place, session) over seeds: 81 cells, 64 degrees of freedom."""
    n, draws = 9, 4500
    counts = np.zeros((n, n))
    pairs = np.zeros((n, n))
    for seed in range(draws):
        order = SessionPermutation(n, seed, 1)
        found = [order[place] for place in range(n)]
        counts[range(n), found] += 1
        pairs[found[0], found[1]] += 1
    expected = draws / n
    assert ((counts - expected) ** 2 / expected).sum() < 113  # p = 1e-4
    off = pairs[~np.eye(n, dtype=bool)]
    each = draws / (n * (n - 1))
    assert ((off - each) ** 2 / each).sum() < 123  # 71 degrees of freedom, p = 1e-4
    assert pairs.trace() == 0


def test_lanes_take_the_sessions_in_the_computed_order(monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_of(*([2, 3, 1, 4] * 60))
    n = len(log.lengths)
    monkeypatch.setattr(epoch, "SHUFFLED_IN_MEMORY", n - 1)
    order = epoch_order(log, shuffle=True, seed=3, epoch=2)
    assert isinstance(order, SessionPermutation)
    stored = np.array([order[place] for place in range(n)])
    computed, listed = (
        LaneScheduler(log.items, log.offsets, o, 7).plan(10**6) for o in (order, stored)
    )
    for name in ("inputs", "targets", "restarts", "source", "events", "live"):
        np.testing.assert_array_equal(getattr(computed, name), getattr(listed, name))
    other = epoch_order(log, shuffle=True, seed=3, epoch=3)
    assert stored.tolist() != [other[i] for i in range(n)]


def test_up_to_the_limit_a_shuffle_is_as_it_was() -> None:
    log = log_of(*([2] * 50))
    order = epoch_order(log, shuffle=True, seed=5, epoch=4)
    np.testing.assert_array_equal(order, np.random.default_rng([5, 4]).permutation(50))


def test_what_is_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="n is -1"):
        SessionPermutation(-1, 0, 0)
    with pytest.raises(IndexError, match=r"place 3 is outside 0\.\.2"):
        SessionPermutation(3, 0, 0)[3]


def test_a_store_is_read_no_earlier_than_needed() -> None:
    """Bad entries raise when their turn comes, not before, and never crash."""
    offsets = np.arange(0, 2001, 2)
    items = np.zeros(2000, dtype=np.int32)
    order = np.arange(1000)
    order[900] = 10**15
    scheduler = LaneScheduler(items, offsets, order, 4)
    assert len(scheduler.plan(100).live) == 100
    with pytest.raises(ValueError, match=r"session 1000000000000000 at position 900"):
        scheduler.plan(1000)
    offsets[500] = 10**15
    scheduler = LaneScheduler(items, offsets, np.arange(1000), 4)
    assert len(scheduler.plan(100).live) == 100
    with pytest.raises(ValueError, match=r"go from 998 to 1000000000000000 at session 499"):
        scheduler.plan(1000)
