"""Behaviour: structure is learned, a session's past counts, and noise teaches nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gru4rec_fast import GRU4Rec, batch_eval
from tests.logs import log_of
from tests.options import CELLS

N_ITEMS = 60


CYCLE: dict[str, Any] = {
    "layers": (32,), "batch_size": 16, "n_sample": 32, "n_epochs": 8, "learning_rate": 0.1,
}  # fmt: skip
LEARNERS: dict[str, dict[str, Any]] = {
    "cross-entropy": {},
    "smoothing": {"smoothing": 0.1},
    "bpr-max": {"loss": "bpr-max"},
    "bpr": {"loss": "bpr"},
    # Its gradients vanish as the scores grow: a higher rate leaves some items behind.
    "top1": {"loss": "top1", "learning_rate": 0.02, "n_epochs": 20},
    "top1-max": {"loss": "top1-max"},
    "sgd": {"adapt": None, "learning_rate": 0.5, "momentum": 0.9},
    "adagrad-rowwise": {"adapt": "adagrad-rowwise"},
    "rmsprop": {"adapt": "rmsprop", "learning_rate": 0.01},
    "adadelta": {"adapt": "adadelta"},
    "adam": {"adapt": "adam", "learning_rate": 0.01},
    "grad_cap": {"grad_cap": 0.1},
}


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize(
    "mode",
    [{}, {"embedding": 32, "constrained_embedding": False}, {"constrained_embedding": False}],
)
def test_a_cycle_is_learned_exactly(learner: str, mode: dict[str, Any]) -> None:
    """Item i is always followed by i + 1: the next item of every event is certain."""
    rng = np.random.default_rng(0)
    sessions = [[(s + i) % N_ITEMS for i in range(6)] for s in rng.integers(0, N_ITEMS, 300)]
    log = log_of(sessions)
    gru = GRU4Rec(**{**CYCLE, **LEARNERS[learner], **mode}, device="cpu", engine="cpu")
    recall, _ = batch_eval(gru.fit(log, progress=False), log, cutoff=[1])
    assert recall[1] > 0.98


@pytest.mark.parametrize("network", [*CELLS, "feed-forward"])
def test_the_state_remembers_the_start_of_a_session(network: str) -> None:
    """The last item is told by the first alone; between them all sessions look alike."""
    rng = np.random.default_rng(0)
    log = log_of([[int(s), 20, 40 + int(s)] for s in rng.integers(0, 6, 800)])
    options = CELLS.get(network, {"feed_forward": (24,)})
    gru = GRU4Rec(layers=(32,), batch_size=16, n_sample=32, n_epochs=30, learning_rate=0.05,
                  device="cpu", **options).fit(log, progress=False)  # fmt: skip
    assert gru.engine_ == "cpu"
    for start in range(6):
        assert gru.recommend([start, 20], k=1).ItemId[0] == 40 + start


def test_noise_teaches_nothing() -> None:
    """Items drawn uniformly: no model may beat chance on new sessions by more than chance."""
    rng = np.random.default_rng(0)
    train, test = (log_of(rng.integers(0, N_ITEMS, (n, 5)).tolist()) for n in (400, 500))
    gru = GRU4Rec(layers=(16,), batch_size=16, n_sample=32, n_epochs=3, device="cpu")
    recall, _ = batch_eval(gru.fit(train, progress=False), test, cutoff=[10])
    chance, deviation = 10 / N_ITEMS, (10 / N_ITEMS * 50 / N_ITEMS / 2000) ** 0.5
    assert abs(recall[10] - chance) < 5 * deviation
