"""First-order transitions of logs with a known answer."""

from __future__ import annotations

import pytest
import torch

from gru4rec_fast.baselines.markov import Markov
from gru4rec_fast.evaluation.batch_eval import batch_eval
from tests.logs import log_of

CYCLE = [[(first + step) % 12 for step in range(7)] for first in range(12)]


def test_a_cycle_is_learned_exactly() -> None:
    model = Markov().fit(log_of(CYCLE))
    recall, mrr = batch_eval(model, log_of(CYCLE), [1])
    assert (recall, mrr) == ({1: 1.0}, {1: 1.0})
    assert model.recommend([4, 11], k=1).to_numpy().tolist() == [[0, 1.0]]


def test_probabilities_of_what_followed() -> None:
    model = Markov().fit(log_of([[1, 2], [1, 2], [1, 3], [1, 1], [2, 1], [9, 4]]))
    scores = model.predict_next("s", 1, [1, 2, 3, 4, 9])
    assert scores.tolist() == pytest.approx([1 / 4, 2 / 4, 1 / 4, 0, 0])


def test_an_item_that_nothing_followed_scores_nothing() -> None:
    model = Markov().fit(log_of([[1, 2], [3, 2]]))
    scorer = model.scorer()
    greater, equal = scorer.rank_counts(torch.tensor([[1]]).repeat(3, 1), torch.arange(3))
    assert (greater.tolist(), equal.tolist()) == ([0, 0, 0], [3, 3, 3])
