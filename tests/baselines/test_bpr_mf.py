"""LearnBPR on triples that are known, and on items that occur in groups."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gru4rec_fast import ParameterError
from gru4rec_fast._core import train_bpr_mf
from gru4rec_fast.baselines.bpr_mf import BPRMF, BPRMFScorer
from tests.logs import log_of


@pytest.mark.parametrize("n_factors", [1, 7, 8, 19])
def test_updates_are_those_of_the_paper(n_factors: int) -> None:
    """One session with item 0 of two items: every triple is (session 0, item 0, item 1)."""
    random = np.random.default_rng(0)
    w = random.standard_normal((1, n_factors), dtype=np.float32)
    h = random.standard_normal((2, n_factors), dtype=np.float32)
    u, i, j = (row.astype(np.float64) for row in (w[0], h[0], h[1]))
    rate, lmbd = 0.1, 0.03
    train_bpr_mf(
        np.array([0], np.int32),
        np.array([0, 1]),
        w,
        h,
        n_epochs=5,
        learning_rate=rate,
        regularization=lmbd,
        seed=1,
    )
    for _ in range(5):
        e = 1 / (1 + np.exp(u @ (i - j)))
        u, i, j = (
            u + rate * (e * (i - j) - lmbd * u),
            i + rate * (e * u - lmbd * i),
            j + rate * (-e * u - lmbd * j),
        )
    assert w[0] == pytest.approx(u, abs=1e-5)
    assert h == pytest.approx(np.stack([i, j]), abs=1e-5)


def test_every_triple_of_a_session_is_drawn_about_equally_often() -> None:
    """With zero session factors and a tiny step, an item's shift counts its draws."""
    items, offsets = np.array([0, 1, 2, 3], np.int32), np.array([0, 3, 4])
    w, h = np.ones((2, 1), np.float32), np.zeros((6, 1), np.float32)
    epochs, rate = 20_000, 1e-7
    train_bpr_mf(
        items, offsets, w, h, n_epochs=epochs, learning_rate=rate, regularization=0, seed=3
    )
    drawn = h[:, 0] / (rate / 2)
    # Positive: each pair once an epoch. Negative: uniform over the items of other sessions.
    expected = np.array([1, 1, 1, 1, 0, 0]) - np.array([1 / 5] * 3 + [3 / 3] + [3 / 3 + 1 / 5] * 2)
    assert drawn / epochs == pytest.approx(expected, abs=0.05)


def test_a_session_is_answered_with_items_of_its_group() -> None:
    random = np.random.default_rng(0)
    log = [random.choice(np.arange(8 * g, 8 * g + 8), 5).tolist() for g in range(4)] * 60
    model = BPRMF(n_factors=16).fit(log_of(log))
    for group in range(4):
        members = sorted(set(log[group]))
        best = model.recommend(members[:2], k=len(members))
        assert set(best["ItemId"]) == set(members)


def test_a_session_is_the_mean_of_its_events() -> None:
    scorer = BPRMFScorer(torch.tensor([[1.0, 0.0], [0.0, 3.0], [2.0, 2.0]]))
    state, lane = scorer.start(1), torch.zeros(1, dtype=torch.int64)
    for item in (0, 1, 0):
        features = scorer.step(state, torch.tensor([item]), torch.tensor([False]), lane)
    assert features[0].tolist() == pytest.approx([2 / 3, 1])
    assert scorer.scores(features, torch.arange(3))[0].tolist() == pytest.approx([2 / 3, 3, 10 / 3])


def test_sessions_that_hold_every_item_train_nothing() -> None:
    w, h = np.ones((1, 2), np.float32), np.ones((2, 2), np.float32)
    train_bpr_mf(
        np.array([0, 1], np.int32),
        np.array([0, 2]),
        w,
        h,
        n_epochs=1,
        learning_rate=0.1,
        regularization=0.1,
        seed=0,
    )
    assert (w == 1).all()
    assert (h == 1).all()


def test_factors_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(ParameterError, match=r"learning_rate=1e\+30.*lower learning_rate"):
        BPRMF(learning_rate=1e30).fit(log_of([[1, 2], [3, 4]] * 5))


def test_the_seed_decides() -> None:
    log = log_of([[1, 2, 3], [3, 4], [5, 1]] * 5)
    scores = [BPRMF(seed=seed).fit(log).predict_next(1, 1, [2, 3]).tolist() for seed in (1, 1, 2)]
    assert scores[0] == scores[1] != scores[2]


def test_factors_must_fit_the_sessions() -> None:
    with pytest.raises(ValueError, match=r"session_factors is float32.*shape \(1, 2\)"):
        train_bpr_mf(
            np.array([0], np.int32),
            np.array([0, 1]),
            np.ones((2, 2), np.float32),
            np.ones((2, 2), np.float32),
            n_epochs=1,
            learning_rate=0.1,
            regularization=0,
            seed=0,
        )
