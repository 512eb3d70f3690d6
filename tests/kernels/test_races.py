"""Training steps need no order of programs and no value that they have not written.

`make race-check` does the same for every part of the GPU engine.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import triton
import triton.language as tl

from gru4rec_fast.config import Config
from gru4rec_fast.kernels.training_step import TrainingStep
from tests.kernels.cases import ONE_HOT, SEPARATE

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason="the interpreter runs where there is no GPU"
)
if not torch.cuda.is_available():
    from tests.kernels.races import Case, faults_of, planned_case

ALL: dict[str, Any] = {"dropout_p_embed": 0.25, "dropout_p_hidden": 0.4, "momentum": 0.3}


def case_of(steps: int = 2, n_sessions: int = 40, n_items: int = 50, **options: Any) -> Case:
    config = Config(**{"layers": (9,), "batch_size": 6, "n_sample": 16, **options})
    return planned_case(config, n_items, steps, n_sessions, seed=1)


@pytest.mark.parametrize(
    "options",
    [
        {"logq": 1.0, "smoothing": 0.1, "layers": (12,), **ALL},
        {**SEPARATE, "loss": "bpr-max", "adapt": "adam", "layers": (20, 7)},
        {**ONE_HOT, "loss": "top1-max", "adapt": "adagrad-rowwise"},
    ],
    ids=["shared", "separate", "one-hot"],
)
def test_programs_in_any_order(options: dict[str, Any]) -> None:
    assert faults_of(case_of(**options)) == []


@pytest.mark.parametrize("embedding", [{}, ONE_HOT], ids=["shared", "one-hot"])
def test_lanes_that_died(embedding: dict[str, Any]) -> None:
    case = case_of(steps=4, n_sessions=9, batch_size=8, n_sample=0, **embedding)
    assert case.block.live[-1] < case.block.live[0]
    assert faults_of(case) == []


@pytest.mark.slow
def test_more_lanes_and_rows_than_a_tile() -> None:
    case = case_of(
        steps=1, n_items=300, n_sessions=90, batch_size=70, n_sample=80, layers=(36,), **ALL
    )
    assert faults_of(case) == []


@triton.jit
def _racing_kernel(theta_ptr):
    tl.store(theta_ptr, 2 * tl.load(theta_ptr) + tl.program_id(0))


@triton.jit
def _stale_kernel(theta_ptr, buffer_ptr):
    tl.store(theta_ptr, tl.load(theta_ptr) + 0 * tl.load(buffer_ptr))


def test_a_planted_race_and_a_planted_stale_value_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    launch_step = TrainingStep.launch_step

    def racing(step: TrainingStep, t: int) -> None:
        launch_step(step, t)
        _racing_kernel[(2,)](step.bias.theta)

    monkeypatch.setattr(TrainingStep, "launch_step", racing)
    reads, writes, backwards, *_ = faults_of(case_of())
    assert reads.startswith("_racing reads what another program writes: test_races.py:")
    assert writes.startswith("_racing writes what another program writes: test_races.py:")
    assert backwards.startswith("reversed: ")
    assert "By.weight" in backwards

    def stale(step: TrainingStep, t: int) -> None:
        _stale_kernel[(1,)](step.bias.theta, step.loss.scores)
        launch_step(step, t)

    monkeypatch.setattr(TrainingStep, "launch_step", stale)
    (only,) = faults_of(case_of())
    assert only.startswith("NaN in buffers: ")
