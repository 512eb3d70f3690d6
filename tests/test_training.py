"""The loop: reproducible, loss as defined, negatives as given, and stopped by a NaN."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gru4rec_fast import DataError, GRU4Rec, ParameterError
from gru4rec_fast.sessions import load_sessions
from gru4rec_fast.training import EpochReport, epoch_order
from tests.logs import random_log

SMALL: dict[str, Any] = {"layers": (10,), "batch_size": 8, "n_sample": 16, "n_epochs": 2}


def weights(gru: GRU4Rec) -> dict[str, torch.Tensor]:
    return gru.model.state_dict()


def trained(log: pd.DataFrame, fit: dict[str, Any] | None = None, **params: Any) -> GRU4Rec:
    return GRU4Rec(**{**SMALL, **params}, device="cpu").fit(log, progress=False, **(fit or {}))


def same(one: GRU4Rec, other: GRU4Rec) -> bool:
    return all(torch.equal(weights(one)[name], weights(other)[name]) for name in weights(one))


def test_a_run_depends_on_its_seed_alone() -> None:
    log = random_log()
    first = trained(log, dropout_p_hidden=0.3)
    assert same(first, trained(log, dropout_p_hidden=0.3))
    assert same(first, trained(log, dropout_p_hidden=0.3, fit={"sample_cache_max_size": 0}))
    assert not same(first, trained(log, dropout_p_hidden=0.3, seed=7))


def test_an_epoch_gives_the_same_bits_on_one_and_two_threads() -> None:
    """From 250 rows a step, 128 units and 32 lanes, the engine shares its loops."""
    log = random_log(n_sessions=400, n_items=2000)
    runs = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            runs.append(
                trained(
                    log,
                    layers=(128,),
                    batch_size=32,
                    n_sample=1024,
                    n_epochs=1,
                    dropout_p_hidden=0.2,
                )
            )
    finally:
        torch.set_num_threads(before)
    assert same(*runs)


def test_epochs_draw_other_negatives_and_masks() -> None:
    """Two epochs from fixed negatives are the same run as two epochs that repeat them."""
    log = random_log()
    negatives = np.random.default_rng(0).integers(0, 5, (3, 16))
    one = trained(log, fit={"negatives": negatives})
    assert same(one, trained(log, fit={"negatives": np.tile(negatives, (4, 1))}))
    assert not same(one, trained(log, fit={"negatives": negatives[::-1]}))
    assert not same(one, trained(log))


@pytest.mark.filterwarnings("ignore:.*single event")
def test_reported_loss_is_the_mean_of_step_losses_weighted_by_live_lanes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from gru4rec_fast import ops

    seen: list[tuple[np.ndarray, np.ndarray]] = []
    train_block = ops.train_block

    def spy(*args: object) -> torch.Tensor:
        losses = train_block(*args)  # type: ignore[arg-type]
        seen.append((losses.double().numpy(), args[3].live))  # type: ignore[attr-defined]
        return losses

    monkeypatch.setattr(ops, "train_block", spy)
    reports: list[EpochReport] = []
    log = random_log()
    trained(log, n_epochs=1, fit={"on_epoch": reports.append})
    losses, live = (np.concatenate(part) for part in zip(*seen, strict=True))
    assert live.min() < 8, "no lane died"
    assert reports[0].loss == pytest.approx(np.average(losses, weights=live), rel=1e-12)
    assert reports[0].minibatches == len(losses)
    assert reports[0].events == live.sum() == load_sessions(log).n_pairs


def test_the_epoch_line_that_scripts_parse() -> None:
    line = str(EpochReport(epoch=1, loss=2.5, seconds=2.0, minibatches=700, events=22_400))
    assert line.split() == [
        "Epoch1", "-->", "loss:", "2.500000", "(2.00s)", "[350.00", "mb/s", "|", "11200", "e/s]",
    ]  # fmt: skip


def test_a_loss_that_is_not_finite_stops_training_and_says_where(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reports: list[EpochReport] = []
    gru = GRU4Rec(**SMALL, loss="bpr-max", elu_param=0, learning_rate=1e20, device="cpu")
    with caplog.at_level(logging.ERROR, logger="gru4rec_fast"):
        gru.fit(random_log(), progress=False, on_epoch=reports.append)
    assert gru.error_during_train
    assert reports == []
    message = caplog.records[-1].message
    assert "at mini-batch" in message
    assert "of epoch 1" in message
    assert "Lower learning_rate" in message
    gru.set_params(learning_rate="0.05")
    assert not gru.fit(random_log(), progress=False).error_during_train


def test_no_more_than_one_block_is_trained_after_a_nan() -> None:
    """With blocks of one step the parameters are those of the step that broke."""
    gru = GRU4Rec(**SMALL, loss="bpr-max", elu_param=0, learning_rate=1e20, device="cpu")
    gru.fit(random_log(), sample_cache_max_size=16, progress=False)
    assert gru.error_during_train


def test_fewer_sessions_than_lanes() -> None:
    log = random_log(n_sessions=3)
    gru = trained(log, batch_size=100)
    assert torch.isfinite(gru.model.Wy.weight).all()


def test_without_negatives_a_step_needs_two_lanes() -> None:
    log = random_log()
    reports: list[EpochReport] = []
    trained(log, n_sample=0, n_epochs=1, fit={"on_epoch": reports.append})
    assert 0 < reports[0].events <= load_sessions(log).n_pairs
    one_session = pd.DataFrame({"SessionId": [1, 1, 1], "ItemId": [1, 2, 3], "Time": [1, 2, 3]})
    with pytest.raises(DataError, match="n_sample > 0"):
        trained(one_session, n_sample=0)


def test_random_order_is_a_seeded_shuffle_per_epoch() -> None:
    sessions = load_sessions(random_log())
    first, again, second, other = (
        epoch_order(sessions, True, seed, epoch) for seed, epoch in ((1, 1), (1, 1), (1, 2), (2, 1))
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)
    assert sorted(first) == sorted(sessions.order)
    assert np.array_equal(epoch_order(sessions, False, 1, 1), sessions.order)
    log = random_log()
    assert not same(trained(log), trained(log, train_random_order=True))


def test_sessions_of_one_event_are_counted_in_a_warning() -> None:
    log = pd.DataFrame(
        {"SessionId": [1, 1, 2, 3, 3], "ItemId": [1, 2, 1, 2, 1], "Time": [1, 2, 3, 4, 5]}
    )
    with pytest.warns(UserWarning, match="1 of 3 sessions have a single event"):
        trained(log)


@pytest.mark.parametrize(
    ("negatives", "message"),
    [
        (np.zeros((3, 5), dtype=int), "n_sample=16"),
        (np.full((3, 16), 10_000), "10000"),
        (np.zeros((0, 16), dtype=int), "shape"),
        (np.zeros((3, 16)), "integers"),
    ],
)
def test_bad_negatives(negatives: np.ndarray, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        trained(random_log(), fit={"negatives": negatives})
