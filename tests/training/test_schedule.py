"""Learning-rate schedules: their formulas, exact on every engine, when resumed, and in updates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from gru4rec_fast import CheckpointError, GRU4Rec, ParameterError
from gru4rec_fast.config import Config
from gru4rec_fast.engines.cpu import CpuTrainer
from gru4rec_fast.training.schedule import Schedule
from gru4rec_fast.training.setup import schedule_of
from tests.logs import random_log
from tests.training.test_loop import same, trained
from tests.training.test_resume import after, fit, without_seconds

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from gru4rec_fast.plan.block import StepBlock

pytestmark = pytest.mark.filterwarnings("ignore:.*single event")

LOG = random_log()
STEADY = np.full(10, 5, dtype=np.int32)
"""Pairs of the ten steps of an epoch."""
SCHEDULES: dict[str, dict[str, Any]] = {
    "linear": {"lr_schedule": "linear"},
    "cosine": {"lr_schedule": "cosine", "lr_final": 0.1},
    "warm-up": {"lr_warmup": 0.7},
    "decay": {"lr_decay": 0.5},
    "all": {"lr_schedule": "cosine", "lr_final": 0.05, "lr_warmup": 0.5, "lr_decay": 0.9},
}


def rates(n_epochs: int, **params: Any) -> list[float]:
    """The rates of all steps of a training with η = 1 and ten steps of five pairs an epoch."""
    schedule = schedule_of(Config().replace(learning_rate=1, **params), 1, n_epochs, 50)
    return [float(r) for e in range(n_epochs) for r in schedule.rates(e + 1, 0, STEADY)]


def test_the_formulas() -> None:
    steps = [t / 20 for t in range(20)]
    assert rates(2) == [1.0] * 20
    assert rates(2, lr_schedule="linear") == pytest.approx([1 - s for s in steps], abs=1e-15)
    assert rates(2, lr_schedule="linear", lr_final=0.2) == pytest.approx(
        [0.2 + 0.8 * (1 - s) for s in steps], abs=1e-15
    )
    assert rates(2, lr_schedule="cosine", lr_final=0.2) == pytest.approx(
        [0.2 + 0.4 * (1 + math.cos(math.pi * s)) for s in steps], abs=1e-15
    )
    assert rates(3, lr_decay=0.5) == [1.0] * 10 + [0.5] * 10 + [0.25] * 10
    assert rates(1, lr_warmup=0.4) == pytest.approx([0.25, 0.5, 0.75] + [1.0] * 7, abs=1e-15)
    warm = rates(2, lr_warmup=1, lr_schedule="linear")
    assert warm == pytest.approx(
        [(t + 1) / 10 for t in range(10)] + [1 - t / 10 for t in range(10)], abs=1e-15
    )


def test_every_rate_is_positive_and_none_is_above_the_learning_rate() -> None:
    for params in SCHEDULES.values():
        found = rates(3, **params)
        assert min(found) > 0
        assert max(found) <= 1


def test_steps_count_by_their_pairs() -> None:
    """So the end of an epoch, where lanes die, is as long as its share of the training."""
    schedule = Schedule(Config(lr_schedule="linear"), 1.0, 1, 2, 20)
    found = schedule.rates(1, 10, np.array([5, 3, 2], dtype=np.int32))
    np.testing.assert_array_equal(found, [1 - 10 / 40, 1 - 15 / 40, 1 - 18 / 40])


def test_adadelta_has_a_base_of_one() -> None:
    assert schedule_of(Config(adapt="adadelta", learning_rate=0.3), 1, 1, 10).base == 1.0


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"lr_schedule": "exponential"}, "lr_schedule='exponential': expected one of"),
        ({"lr_final": 0.1}, "lr_final=0.1 with lr_schedule='constant'"),
        ({"lr_final": 1.0, "lr_schedule": "linear"}, "lr_final=1.0: expected a number in"),
        ({"lr_decay": 0.0}, "lr_decay=0.0: expected a number in"),
        ({"lr_warmup": -1}, "lr_warmup=-1: expected a number >= 0"),
    ],
)
def test_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        GRU4Rec(**params)


def test_a_warm_up_longer_than_the_training_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"lr_warmup=3\.0 epochs is longer than a training of"):
        trained(LOG, lr_warmup=3)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_training_takes_these_rates(schedule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the length of blocks; those of the last steps are in the history."""
    seen: dict[int, list[float]] = {}
    train_block = CpuTrainer.train_block

    def spy(trainer: CpuTrainer, block: StepBlock, given: Any = None) -> torch.Tensor:
        if given is not None:
            of_run.extend(given.tolist())
            live.extend(block.live.tolist())
        return train_block(trainer, block, given)

    monkeypatch.setattr(CpuTrainer, "train_block", spy)
    grus = []
    for cache in (10_000_000, 0, 3 * 16):
        of_run: list[float] = []
        live: list[int] = []
        params = {**SCHEDULES[schedule], "learning_rate": 0.1}
        grus.append(trained(LOG, fit={"sample_cache_max_size": cache}, **params))
        seen[cache] = of_run
    half = len(of_run) // 2
    config, pairs = grus[0].config, sum(live) // 2
    expected = schedule_of(config, 1, 2, pairs)
    for epoch, part in ((1, slice(0, half)), (2, slice(half, None))):
        want = expected.rates(epoch, 0, np.array(live[part], dtype=np.int32))
        assert of_run[part] == want.tolist()
    assert seen[0] == seen[10_000_000] == of_run
    assert same(grus[0], grus[1])
    assert same(grus[0], grus[2])
    assert not same(grus[0], trained(LOG, learning_rate=0.1))
    assert [r.learning_rate for r in grus[0].history] == [of_run[half - 1], of_run[-1]]
    assert grus[0].history.to_frame().learning_rate.tolist() == [of_run[half - 1], of_run[-1]]


@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_a_schedule_at_a_constant_rate_has_the_bits_of_none(engine: str) -> None:
    """Rates of 1 by way of the schedule, as lr_decay=1 of an epoch is."""
    params: dict[str, Any] = {"n_epochs": 1, "momentum": 0.3, "grad_cap": 0.5, "engine": engine}
    assert same(trained(LOG, **params), trained(LOG, **params, lr_decay=0.5))


def test_a_run_without_a_schedule_records_its_rate() -> None:
    assert [r.learning_rate for r in trained(LOG, learning_rate=0.07).history] == [0.07, 0.07]
    assert trained(LOG, adapt="adadelta", learning_rate=1).history[0].learning_rate == 1.0


@pytest.mark.parametrize("engine", ["cpu", "reference"])
def test_a_resumed_training_goes_on_with_the_schedule(tmp_path: Path, engine: str) -> None:
    params = {**SCHEDULES["all"], "engine": engine}
    expected = fit(params)
    for blocks in (1, 2, 5):
        folder = tmp_path / str(blocks)
        fit(params, folder, on_block=after(blocks, error=False))
        gru = fit(params, folder)
        assert same(gru, expected)
        assert without_seconds(gru) == without_seconds(expected)
    with pytest.raises(CheckpointError, match=r"lr_decay is 0\.9 there, 1\.0 here"):
        fit({**params, "lr_decay": 1}, tmp_path / "1")


def test_an_update_starts_the_schedule_anew_over_its_epochs() -> None:
    gru = trained(LOG, learning_rate=0.1, lr_decay=0.5)
    gru.partial_fit(LOG, 3, progress=False)
    assert [r.learning_rate for r in gru.history] == [0.1, 0.05, 0.1, 0.05, 0.025]
