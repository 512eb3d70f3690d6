"""The loop: reproducible, loss as defined, negatives as given, and stopped by a NaN."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch

from gru4rec_fast import DataError, GRU4Rec, ParameterError
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.engines.cpu import CpuTrainer
from gru4rec_fast.plan.epoch import epoch_order, plan_epoch
from gru4rec_fast.plan.lanes import lane_blocks
from gru4rec_fast.training import loop
from gru4rec_fast.training.report import EpochReport
from tests.logs import random_log

if TYPE_CHECKING:
    from gru4rec_fast.plan.block import StepBlock
    from gru4rec_fast.plan.epoch import EpochPlan

SMALL: dict[str, Any] = {"layers": (10,), "batch_size": 8, "n_sample": 16, "n_epochs": 2}


def weights(gru: GRU4Rec) -> dict[str, torch.Tensor]:
    return gru.model.state_dict()


def trained(log: Any, fit: dict[str, Any] | None = None, **params: Any) -> GRU4Rec:
    return GRU4Rec(**{**SMALL, **params}, device="cpu").fit(log, progress=False, **(fit or {}))


def same(one: GRU4Rec, other: GRU4Rec) -> bool:
    return all(torch.equal(weights(one)[name], weights(other)[name]) for name in weights(one))


@pytest.fixture
def trained_blocks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[StepBlock, np.ndarray]]:
    """Every block that is trained, with the losses of its steps."""
    seen: list[tuple[StepBlock, np.ndarray]] = []
    train_block = CpuTrainer.train_block

    def spy(trainer: CpuTrainer, block: StepBlock) -> torch.Tensor:
        losses = train_block(trainer, block)
        seen.append((block, losses.double().numpy()))
        return losses

    monkeypatch.setattr(CpuTrainer, "train_block", spy)
    return seen


def test_a_run_depends_on_its_seed_alone() -> None:
    log = random_log()
    first = trained(log, dropout_p_hidden=0.3)
    assert same(first, trained(log, dropout_p_hidden=0.3))
    assert same(first, trained(log, dropout_p_hidden=0.3, fit={"sample_cache_max_size": 0}))
    assert not same(first, trained(log, dropout_p_hidden=0.3, seed=7))


@pytest.mark.parametrize("engine", ["cpu", "reference"])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"n_sample": 0, "dropout_p_embed": 0.3},
        {"n_sample": 0, "dropout_p_hidden": 0.3},
    ],
    ids=["negatives", "embedding-dropout", "hidden-dropout"],
)
def test_negatives_and_each_dropout_follow_the_seed(params: dict[str, Any], engine: str) -> None:
    """The initial weights do not, by default, so that nothing else tells the runs apart."""
    log, params = random_log(), {**params, "engine": engine}
    assert not same(trained(log, **params), trained(log, **params, seed=7))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"sample_alpha": 0.0}, {"sample_alpha": 1.0}),
        ({"time_sort": True}, {"time_sort": False}),
        (
            {"seed": 7, "fit": {"compatibility_mode": True}},
            {"seed": 7, "fit": {"compatibility_mode": False}},
        ),
    ],
    ids=["sample_alpha", "time_sort", "compatibility_mode"],
)
def test_another_setting_is_another_run(one: dict[str, Any], other: dict[str, Any]) -> None:
    log = random_log()
    assert not same(trained(log, **one), trained(log, **other))


def test_steps_are_counted_through_all_epochs() -> None:
    """The second epoch takes the negatives after those of the first, not the same once more."""
    log = random_log()
    reports: list[EpochReport] = []
    trained(log, n_epochs=1, fit={"on_epoch": reports.append})
    steps = reports[0].minibatches
    rows = np.random.default_rng(0).integers(0, 5, (2 * steps, 16))
    repeated = np.tile(rows[:steps], (2, 1))
    assert not same(
        trained(log, fit={"negatives": rows}), trained(log, fit={"negatives": repeated})
    )


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
def test_each_epoch_reports_its_own_mean_of_step_losses_weighted_by_live_lanes(
    trained_blocks: list[tuple[StepBlock, np.ndarray]],
) -> None:
    reports: list[EpochReport] = []
    log = random_log()
    trained(log, fit={"on_epoch": reports.append})
    assert [report.epoch for report in reports] == [1, 2]
    # An epoch of so few sessions is one block.
    for report, (block, losses) in zip(reports, trained_blocks, strict=True):
        assert block.live.min() < 8, "no lane died"
        assert report.loss == pytest.approx(np.average(losses, weights=block.live), rel=1e-12)
        assert report.minibatches == len(block)
        assert report.events == block.live.sum() == load_sessions(log).n_pairs
    assert reports[0].loss != reports[1].loss


def test_no_more_negatives_are_drawn_ahead_than_the_cache_may_hold(
    trained_blocks: list[tuple[StepBlock, np.ndarray]],
) -> None:
    trained(random_log(), fit={"sample_cache_max_size": 3 * 16 + 1})
    assert max(len(block) for block, _ in trained_blocks) == 3


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


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_the_first_loss_that_is_not_finite_is_located(
    bad: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reports: list[EpochReport] = []

    def train_block(_: CpuTrainer, block: StepBlock) -> torch.Tensor:
        losses = torch.ones(len(block))
        if reports and block.first_step <= reports[0].minibatches + 12:
            losses[max(0, reports[0].minibatches + 12 - block.first_step) :] = bad
        return losses

    monkeypatch.setattr(CpuTrainer, "train_block", train_block)
    # Blocks of five steps: mini-batch 13 is in the epoch's third.
    trained(random_log(), fit={"sample_cache_max_size": 5 * 16, "on_epoch": reports.append})
    assert f"the loss is {bad} at mini-batch 13 of epoch 2" in caplog.records[-1].message


@pytest.mark.parametrize("threads", [1, 2])
def test_as_many_threads_plan_as_the_trainer_says(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def recording(*arguments: Any, threads: int, **options: Any) -> EpochPlan:
        asked.append(threads)
        return plan_epoch(*arguments, threads=threads, **options)

    expected = trained(random_log())
    assert CpuTrainer.planning_threads == 1
    monkeypatch.setattr(CpuTrainer, "planning_threads", threads)
    monkeypatch.setattr(loop, "plan_epoch", recording)
    assert same(trained(random_log(), fit={"sample_cache_max_size": 5 * 16}), expected)
    assert set(asked) == {threads}


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
        np.asarray(epoch_order(sessions, True, seed, epoch))
        for seed, epoch in ((1, 1), (1, 1), (1, 2), (2, 1))
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other)
    assert sorted(first) == sorted(sessions.order)
    assert np.array_equal(np.asarray(epoch_order(sessions, False, 1, 1)), sessions.order)


def test_each_epoch_takes_its_own_shuffle(
    trained_blocks: list[tuple[StepBlock, np.ndarray]],
) -> None:
    log = random_log()
    trained(log, train_random_order=True, seed=3)
    sessions = load_sessions(log)
    for epoch, (block, _) in enumerate(trained_blocks, 1):
        order = epoch_order(sessions, True, 3, epoch)
        expected = next(lane_blocks(sessions, 8, order=order))
        assert np.array_equal(block.events, expected.events)
    assert len(trained_blocks) == 2


def test_sessions_of_one_event_are_counted_in_a_warning() -> None:
    log = pd.DataFrame(
        {"SessionId": [1, 1, 2, 3, 3], "ItemId": [1, 2, 1, 2, 1], "Time": [1, 2, 3, 4, 5]}
    )
    with pytest.warns(UserWarning, match="1 of 3 sessions have a single event"):
        trained(log)


def test_a_log_without_pairs_is_refused_and_the_model_stays() -> None:
    log = random_log()
    gru = trained(log)
    before = gru.model
    with pytest.raises(DataError, match="sessions have a single event"):
        gru.fit(log.drop_duplicates("SessionId"), progress=False)
    assert gru.model is before


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


def test_adadelta_takes_a_learning_rate_of_one_and_says_so() -> None:
    log = random_log()
    with pytest.warns(UserWarning, match="'adadelta' takes learning_rate=1, not 0.05"):
        gru = trained(log, adapt="adadelta")
    assert same(gru, trained(log, adapt="adadelta", learning_rate=1))
