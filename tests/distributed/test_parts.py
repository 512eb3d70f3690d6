"""A step's lanes and rows as the ranks divide them, without processes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from gru4rec_fast import _core
from gru4rec_fast.distributed.cost import step_cost
from gru4rec_fast.distributed.lanes import first_lane, most_lanes, part_of_step
from gru4rec_fast.distributed.rows import BlockRows
from gru4rec_fast.engines.choice import ENGINES
from gru4rec_fast.engines.gradients import GradientStep
from gru4rec_fast.plan.epoch import plan_epoch
from gru4rec_fast.plan.negatives import negative_sampler
from gru4rec_fast.spec import NetworkSpec
from tests.distributed.cases import CASES, config_of_case, few_sessions

if TYPE_CHECKING:
    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.plan.block import StepBlock

OTHER_LOSSES: dict[str, dict[str, Any]] = {
    "smoothing": {"smoothing": 0.1, "logq": 0.5, "dropout_p_hidden": 0.4},
    "top1-max": {"loss": "top1-max"},
    "bpr": {"loss": "bpr", "dropout_p_embed": 0.4},
    "top1": {"loss": "top1", "n_sample": 0},
}


def config_of(name: str) -> Config:
    if name in CASES:
        return config_of_case(name).replace(grad_cap=0.0, table_dtype="float32")
    return (
        config_of_case("shared")
        .replace(dropout_p_hidden=0.0, dropout_p_embed=0.0)
        .replace(**OTHER_LOSSES[name])
    )


def first_block(config: Config) -> StepBlock:
    """All steps of an epoch; the last ones have few lanes."""
    sessions = few_sessions()
    sampler = negative_sampler(sessions.support, config.sample_alpha)
    with plan_epoch(
        sessions, sampler, batch_size=config.batch_size, n_sample=config.n_sample,
        seed=config.seed, first_step=3, block_steps=1000,
    ) as plan:  # fmt: skip
        return next(plan)


@pytest.mark.parametrize("lanes", [1, 5, 9, 32])
@pytest.mark.parametrize("size", [1, 2, 4, 7])
def test_each_lane_has_one_rank(lanes: int, size: int) -> None:
    for live in range(lanes + 1):
        ends = [first_lane(live, r, size) for r in range(size + 1)]
        assert ends[0] == 0
        assert ends[-1] == live
        assert all(0 <= n <= most_lanes(lanes, size) for n in np.diff(ends))
        # Room for the widest part behind each first lane.
        assert all(first + most_lanes(lanes, size) <= max(lanes, size) for first in ends[:-1])


@pytest.mark.parametrize("size", [2, 3, 5, 7])
def test_a_lane_goes_on_from_a_state_that_its_rank_has(size: int) -> None:
    """Where M falls a rank can get more lanes than it had; those that start anew read no state."""
    block = first_block(config_of("shared"))
    restarts = np.ones_like(block.restarts)
    for before in range(1, 10):
        for live in range(1, before + 1):
            step = dataclasses.replace(
                block, live=np.full_like(block.live, live), restarts=restarts
            )
            for rank in range(size):
                part = part_of_step(step, 0, rank, size, before)
                if part is not None:
                    assert not part.source.any()


@pytest.mark.parametrize("name", CASES)
def test_each_row_has_one_owner(name: str) -> None:
    config = config_of(name)
    block = first_block(config)
    spec = NetworkSpec.of(config, 60)
    rows = BlockRows(block, spec, 3)
    for t in range(len(block)):
        inputs = block.rows[t][block.input_row[t, : block.live[t]]]
        expected = {"Wy.weight": set(block.rows[t, : block.scored[t]])}
        expected["By.weight"] = expected["Wy.weight"]
        expected[spec.input_table] = set(inputs) | (expected["Wy.weight"] if spec.shared else set())
        for table, items in expected.items():
            found = [rows.of(table, t, owner) for owner in range(3)]
            assert rows.counts(table, t) == [len(each.places) for each in found]
            for owner, (places, of_owner) in enumerate(found):
                assert block.rows[t][places].tolist() == (of_owner * 3 + owner).tolist()
            every = np.concatenate([block.rows[t][places] for places, _ in found])
            assert sorted(every) == sorted(items)


@pytest.mark.parametrize("name", [*CASES, *OTHER_LOSSES])
@pytest.mark.parametrize("engine", ["reference", "cpu"])
def test_the_parts_of_a_step_add_up_to_it(engine: str, name: str) -> None:
    """With the loss of all columns, and the dropout masks of the lanes' own places.

    In float64 only the order of a sum differs; in float32 that is 10 roundings of the largest.
    """
    dtype = torch.float64 if engine == "reference" else torch.float32
    config = config_of(name)
    block = first_block(config)
    for t in (0, len(block) // 2, len(block) - 1):
        whole = computed(engine, config, block, t, 1, dtype)
        parts = computed(engine, config, block, t, 4, dtype)
        tolerance = 10 * torch.finfo(dtype).eps
        for n, g in whole.items():
            assert float((parts[n] - g).abs().max()) <= tolerance * float(whole[n].abs().max()), n


def computed(
    engine: str, config: Config, block: StepBlock, t: int, size: int, dtype: torch.dtype
) -> dict[str, Tensor]:
    """The sum of the ranks' gradients and of their losses, from weights and states at random."""
    spec = NetworkSpec.of(config, block.rows.shape[1])
    random = torch.Generator().manual_seed(1)
    p = {
        name: 0.5 * torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)
        for name, shape in spec.parameters.items()
    }
    before = int(block.live[t])
    states = [
        torch.randn(before, layer.state_width, generator=random, dtype=torch.float64).to(dtype)
        for layer in spec.layers
    ]
    live = dataclasses.replace(block, source=np.tile(np.arange(9, dtype=np.int32), (len(block), 1)))
    total = {name: torch.zeros_like(value) for name, value in p.items()}
    total["loss"] = torch.zeros(1, dtype=dtype)
    for rank in range(size):
        part = part_of_step(live, t, rank, size, before)
        if part is None:
            continue
        gradients = {name: torch.zeros_like(value) for name, value in p.items()}
        step = GradientStep(ENGINES[engine], config, spec, p, gradients)
        for name, table in step.tables.items():
            table.copy_(p[name])
        step.support[:] = torch.arange(1, len(step.support) + 1)
        first = first_lane(before, rank, size)
        end = first_lane(before, rank + 1, size)
        step.trainer.states = [h[first:end].clone() for h in states]
        total["loss"] += step.compute(part)
        for name, g in gradients.items():
            total[name] += g
    return total


def test_the_cost_of_64_ranks_is_that_of_the_page() -> None:
    """The figures of docs/SCALING.md."""
    cost = step_cost(64, 15_360, 8_192, 512, 6 * 512**2)
    assert cost.rows == 38_912
    assert round(cost.sent / 1e6) == 170
    assert round(cost.operations / 1e9, 1) == 19.6


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_copied_and_summed(dtype: Any) -> None:
    random = np.random.default_rng(1)
    table, target = (random.normal(size=(n, 5)).astype(dtype) for n in (9, 7))
    to, rows = np.array([6, 0, 3]), np.array([8, 8, 0])
    expected = target.copy()
    expected[to] = table[rows]
    _core.copy_rows(target, to, table, rows)
    assert np.array_equal(target, expected)
    parts = [random.normal(size=(9, 5)).astype(dtype) for _ in range(3)]
    total = np.empty((3, 5), dtype)
    _core.sum_rows(total, parts, rows)
    assert np.array_equal(total, (parts[0] + parts[1] + parts[2])[rows])
    whole = np.empty((9, 5), dtype)
    _core.sum_rows(whole, parts)
    assert np.array_equal(whole, parts[0] + parts[1] + parts[2])


def test_rows_that_do_not_exist_are_refused() -> None:
    table, rows = np.zeros((3, 2), np.float32), np.array([0, 3])
    with pytest.raises(ValueError, match=r"from_rows holds 3; expected 0\.\.2"):
        _core.copy_rows(np.zeros((3, 2), np.float32), np.array([0, 1]), table, rows)
    with pytest.raises(ValueError, match=r"to_rows holds 3; expected 0\.\.2"):
        _core.copy_rows(table, rows, table, np.array([0, 1]))
    with pytest.raises(ValueError, match=r"from_ is float64 .* expected contiguous float32 of 2"):
        _core.copy_rows(table, np.array([0]), table.astype(np.float64), np.array([0]))
    with pytest.raises(ValueError, match=r"part is .*; expected contiguous float32 of 2 columns"):
        _core.sum_rows(table, [np.zeros((3, 4), np.float32)[:, ::2]])
    with pytest.raises(ValueError, match="there are no parts"):
        _core.sum_rows(table, [])
    with pytest.raises(ValueError, match=r"total is float32 of shape \(3, 2\); expected \(2, 2\)"):
        _core.sum_rows(table, [np.zeros((2, 2), np.float32)])
