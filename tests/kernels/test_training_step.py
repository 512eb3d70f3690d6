"""Whole training steps by the kernels against the reference in float64."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import roofline
from gru4rec_fast import reference
from gru4rec_fast import spec as specs
from gru4rec_fast.config import Config
from gru4rec_fast.kernels import _tile, cell_update, row_gradients, sampled_loss
from gru4rec_fast.kernels._tile import depth_block
from gru4rec_fast.kernels.cells import gru_reset_after, gru_reset_before
from gru4rec_fast.kernels.device_block import input_lanes
from gru4rec_fast.kernels.training_step import CELLS, LOSSES, OPTIMISERS, TrainingStep
from tests.kernels.cases import (
    ONE_HOT,
    SEPARATE,
    assert_same_training,
    by_kernels,
    by_reference,
    check_training,
    model,
    planned_block,
    training_step,
    zero_state,
)
from tests.options import OPTIMISERS as OPTIMISER_OPTIONS
from tests.options import SCHEDULE

SHARED: dict[str, Any] = {}
CROSS_ENTROPY: dict[str, Any] = {"loss": "cross-entropy", "logq": 1.0}
BPR_MAX: dict[str, Any] = {"loss": "bpr-max", "elu_param": 0.5, "bpreg": 1.5}
DROPOUT: dict[str, Any] = {"dropout_p_embed": 0.25, "dropout_p_hidden": 0.4}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({**SHARED, **CROSS_ENTROPY}, id="shared-cross-entropy"),
        pytest.param({**SHARED, **CROSS_ENTROPY, **DROPOUT, "momentum": 0.3}, id="shared-all"),
        pytest.param({**SHARED, **BPR_MAX, **DROPOUT, "momentum": 0.3}, id="shared-bpr-max"),
        pytest.param({**SHARED, **BPR_MAX, "elu_param": 0.0}, id="shared-bpr-max-linear"),
        pytest.param({**SEPARATE, **CROSS_ENTROPY, **DROPOUT}, id="separate-cross-entropy"),
        pytest.param({**SEPARATE, **BPR_MAX, "momentum": 0.3}, id="separate-bpr-max"),
        pytest.param({**ONE_HOT, **CROSS_ENTROPY, **DROPOUT, "momentum": 0.3}, id="one-hot"),
        pytest.param({**ONE_HOT, **BPR_MAX}, id="one-hot-bpr-max"),
    ],
)
def test_five_steps_of_one_layer(options: dict[str, Any], device: torch.device) -> None:
    check_training(device, **options)


@pytest.mark.parametrize("options", [*OPTIMISER_OPTIONS, "l2"])
def test_learning_rates_of_a_schedule(options: str, device: torch.device) -> None:
    others = {"adapt": "sgd", "lmbd": 0.01} if options == "l2" else OPTIMISER_OPTIONS[options]
    check_training(device, **SCHEDULE, **others, momentum=0.2)


def test_rates_without_a_schedule_are_refused(device: torch.device) -> None:
    config = Config(layers=(4,), batch_size=6, n_sample=16)
    p = model(config, 50, device)
    step = training_step(p, zero_state(p, config), config, block_steps=3)
    with pytest.raises(ValueError, match="without a schedule"):
        step.train_block(planned_block(50, config, steps=3), np.full(3, 0.1))


@pytest.mark.parametrize("embedding", [SHARED, ONE_HOT], ids=["shared", "one-hot"])
def test_stacked_layers_of_unequal_sizes(embedding: dict[str, Any], device: torch.device) -> None:
    check_training(device, layers=(20, 7), momentum=0.2, **embedding, **DROPOUT, steps=3)


@pytest.mark.parametrize("units", [1, 17, 33])
def test_odd_widths(units: int, device: torch.device) -> None:
    check_training(device, layers=(units,), **DROPOUT, steps=2)


@pytest.mark.parametrize("loss", [CROSS_ENTROPY, BPR_MAX], ids=["cross-entropy", "bpr-max"])
def test_lanes_die_and_move(loss: dict[str, Any], device: torch.device) -> None:
    block = check_training(device, n_sessions=9, steps=9, batch_size=8, n_sample=0, seed=1, **loss)
    assert block.live[-1] < block.live[0]
    moved = block.source != np.arange(block.source.shape[1])
    assert (moved & (block.source >= 0)).any()


def test_a_single_lane_with_one_negative(device: torch.device) -> None:
    check_training(device, batch_size=1, n_sample=1, n_items=4, **BPR_MAX)


def test_every_row_equal(device: torch.device) -> None:
    block = check_training(device, n_items=1, **BPR_MAX)
    assert (block.scored == 1).all()


def test_every_lane_restarts(device: torch.device) -> None:
    every = np.ones((5, 6), dtype=np.uint8)
    check_training(device, edit={"restarts": every})


def test_more_lanes_and_rows_than_a_tile(device: torch.device) -> None:
    block = check_training(
        device, n_items=300, batch_size=70, n_sample=150, n_sessions=90, steps=2, momentum=0.1
    )
    assert block.scored.min() > 128


@pytest.mark.parametrize("embedding", [SHARED, ONE_HOT], ids=["shared", "one-hot"])
def test_tables_that_need_64_bit_offsets(
    embedding: dict[str, Any], device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many bits as a table of 2^31 elements gets, in a small one."""
    found: list[bool] = []

    def noted(table: torch.Tensor) -> bool:
        found.append(_tile.long_offsets(table))
        return found[-1]

    for module in (gru_reset_after, gru_reset_before, sampled_loss, row_gradients, cell_update):
        monkeypatch.setattr(module, "long_offsets", noted)
    monkeypatch.setattr(_tile, "LONG_FROM", 50)
    check_training(device, steps=2, layers=(9,), **embedding)
    assert found == [True] * 2 * 4


def test_from_which_size_on_offsets_need_64_bits() -> None:
    shapes = [(2**31 - 1, 1), (2**31, 1), (4_194_303, 512), (4_194_304, 512)]
    tables = [torch.empty(shape, device="meta") for shape in shapes]
    assert [_tile.long_offsets(table) for table in tables] == [False, True, False, True]


@pytest.mark.parametrize(
    ("width", "most", "block"), [(9, 64, 16), (17, 64, 32), (100, 64, 64), (100, 32, 32)]
)
def test_slices_of_a_summed_dimension(width: int, most: int, block: int) -> None:
    assert depth_block(width, most) == block


def test_blocks_follow_each_other(device: torch.device) -> None:
    config = Config(layers=(12,), batch_size=5, n_sample=8, **DROPOUT)
    whole = planned_block(40, config, steps=6)
    halves = [whole.part(0, 3), whole.part(3, 6)]
    support, p = torch.arange(1, 41), model(config, 40, device)
    truth = by_reference(p, config, [whole], support)
    assert_same_training(by_kernels(p, config, halves, support), truth)


def test_nothing_outside_the_tensors_is_read_or_written(device: torch.device) -> None:
    config = Config(layers=(17,), batch_size=6, n_sample=16, momentum=0.2)
    block, support = planned_block(50, config, steps=3), torch.arange(1, 51)
    p = model(config, 50, device)
    truth = by_reference(p, config, [block], support)
    guard = 5 * 64
    guarded = {}
    for name, value in p.items():
        storage = torch.full((value.numel() + 2 * guard,), torch.nan, device=device)
        guarded[name] = storage[guard:-guard].view(value.shape)
        guarded[name].copy_(value)
    assert_same_training(by_kernels(guarded, config, [block], support), truth)
    for value in guarded.values():
        whole = torch.empty(0, device=device).set_(value.untyped_storage())
        assert whole[:guard].isnan().all()
        assert whole[-guard:].isnan().all()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({**SHARED, **DROPOUT}, 7),
        (SEPARATE, 7),
        (ONE_HOT, 8),
        ({**SHARED, "layers": (20, 12)}, 11),
        ({**SHARED, "adapt": "adam"}, 13),
    ],
    ids=["shared", "separate", "one-hot", "two-layers", "whole-rows"],
)
def test_launches_of_a_step(
    options: dict[str, Any], expected: int, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triton.runtime.interpreter import InterpretedFunction
    from triton.runtime.jit import JITFunction

    launched: list[Any] = []
    for kind in (InterpretedFunction, JITFunction):
        monkeypatch.setattr(kind, "run", lambda kernel, *_, **__: launched.append(kernel))
    config = Config(**{"layers": (20,), "batch_size": 6, "n_sample": 16, **options})
    p = model(config, 50, device)
    training_step(p, zero_state(p, config), config, block_steps=1).launch_step()
    assert len(launched) == expected
    if config.constrained_embedding and len(config.layers) == 1:
        names = [kernel.__name__.removesuffix("_kernel") for kernel in launched]
        assert list(dict.fromkeys(names)) == [c.kernel for c in roofline.step_costs(config)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_block_never_waits_for_the_device() -> None:
    device = torch.device("cuda")
    config = Config(layers=(100,), batch_size=32, n_sample=64)
    block = planned_block(500, config, steps=40, n_sessions=400)
    p = model(config, 500, device)
    step = training_step(p, zero_state(p, config), config, block_steps=40, precision="tf32")
    for _ in range(2):  # compiles, then captures
        step.train_block(block)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step.train_block(block)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_graph_replays_train_as_launches_do() -> None:
    device = torch.device("cuda")
    config = Config(layers=(33,), batch_size=9, n_sample=64, momentum=0.1, **DROPOUT)
    blocks = []
    for i in range(3):
        block = planned_block(300, config, steps=19, n_sessions=200, seed=i)
        blocks.append(replace(block, first_step=block.first_step + 19 * i))
    support, p = torch.arange(1, 301), model(config, 300, device)
    truth = by_reference(p, config, blocks, support)
    kernels = by_kernels(p, config, blocks, support)
    np.testing.assert_allclose(kernels.losses, truth.losses, rtol=1e-4)


def test_a_block_that_does_not_fit_is_refused(device: torch.device) -> None:
    config = Config(layers=(4,), batch_size=6, n_sample=16)
    block = planned_block(50, config, steps=3)
    p = model(config, 50, device)
    step = training_step(p, zero_state(p, config), config, block_steps=2)
    with pytest.raises(ValueError, match=r"3 steps .* room for 2 steps.*plan smaller blocks"):
        step.train_block(block)
    wider = planned_block(50, config.replace(batch_size=7), steps=2)
    with pytest.raises(ValueError, match="7 lanes; expected 6"):
        step.train_block(wider)


def test_states_are_zero_at_the_start_of_an_epoch(device: torch.device) -> None:
    config = Config(layers=(4, 3), batch_size=6, n_sample=16)
    block = planned_block(50, config, steps=3)
    p = model(config, 50, device)
    step = training_step(p, zero_state(p, config), config, block_steps=3)
    step.train_block(block)
    assert [state.shape for state in step.states] == [(block.live[-1], 4), (block.live[-1], 3)]
    assert all(state.abs().max() > 0 for state in step.states)
    step.start_epoch()
    assert all((state == 0).all() for state in step.states)


def test_a_step_goes_on_from_states_that_were_set(device: torch.device) -> None:
    config = Config(layers=(4,), batch_size=6, n_sample=16, **DROPOUT)
    block = planned_block(50, config, steps=3)
    later = replace(block, first_step=block.first_step + 3, restarts=np.zeros_like(block.restarts))
    p = model(config, 50, device)
    whole_state = zero_state(p, config)
    whole = training_step(p, whole_state, config, block_steps=3)
    whole.train_block(block)
    states = whole.states
    resumed_p = {name: value.clone() for name, value in p.items()}
    state = [{name: v.clone() for name, v in table.items()} for table in whole_state]
    expected = whole.train_block(later)

    resumed = training_step(resumed_p, state, config, block_steps=3)
    resumed.states = states
    torch.testing.assert_close(resumed.train_block(later), expected, rtol=0, atol=0)
    torch.testing.assert_close(resumed.states, whole.states, rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"states are \[\(6, 5\)\]; expected \[\(6, 4\)\]"):
        resumed.states = [torch.zeros(6, 5, device=device)]


def test_wrong_arguments_are_named(device: torch.device) -> None:
    config = Config(layers=(4,), batch_size=6, n_sample=16)
    p = model(config, 50, device)
    state = zero_state(p, config)
    with pytest.raises(ValueError, match="precision is 'bf16'; expected 'tf32' or 'ieee'"):
        training_step(p, state, config, block_steps=2, precision="bf16")
    with pytest.raises(ValueError, match="0 state tables; expected accumulator"):
        training_step(p, [], config, block_steps=2)
    spec = specs.NetworkSpec.of(config, 50)
    lstm = replace(spec, layers=(replace(spec.layers[0], cell="lstm"),))
    with pytest.raises(ValueError, match="cell is 'lstm'; expected 'gru-reset-after' or"):
        TrainingStep(lstm, p, state, config, torch.ones(50), block_steps=2)
    unknown = reference.OPTIMISERS["sgd"](config)
    unknown.name = "lion"  # type: ignore[misc]
    with pytest.raises(ValueError, match="optimiser is 'lion'; expected 'sgd' or 'adagrad'"):
        TrainingStep(spec, p, state, config, torch.ones(50), block_steps=2, optimiser=unknown)
    without = {name: v for name, v in state[0].items() if name != "By.weight"}
    with pytest.raises(ValueError, match=r"accumulator of By\.weight is missing"):
        training_step(p, [without], config, block_steps=2)
    p["Wy.weight"] = p["Wy.weight"].double()
    with pytest.raises(ValueError, match=r"Wy.weight is \(50, 4\) torch.float64"):
        training_step(p, state, config, block_steps=2)


def test_parts_have_the_names_of_the_reference_and_the_spec() -> None:
    assert CELLS.keys() <= specs.CELLS.keys()
    assert LOSSES.keys() <= reference.LOSSES.keys()
    assert OPTIMISERS.keys() <= reference.OPTIMISERS.keys()


def test_one_lane_owns_each_input_row() -> None:
    config = Config(layers=(4,), batch_size=6, n_sample=16)
    block = planned_block(5, config, steps=4)
    owners = input_lanes(block)
    for t in range(4):
        rows = block.input_row[t]
        owned = {u for u in range(owners.shape[1]) if owners[t, u] >= 0}
        assert owned == set(rows[rows >= 0].tolist())
        assert all(rows[owners[t, u]] == u for u in owned)
