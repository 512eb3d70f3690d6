"""The configuration that users get: tf32 and its tiles, at the sizes of published settings.

The interpreter multiplies tf32 in float32, so there these tests show the tiles; on a GPU they show
the numbers. The truth is the reference in float64. The measure is the distance of the updates that
training made, in the Frobenius norm by table: the kernels' may be a small multiple of that of the
reference in the same precision, in torch's tf32 on a GPU and in float32 on the CPU. Adagrad's first
step has the size of the learning rate whatever the gradient, so single elements tell nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gru4rec_fast.config import Config
from gru4rec_fast.engines.choice import ENGINES
from gru4rec_fast.engines.reference import ReferenceTrainer
from gru4rec_fast.engines.triton import TritonTrainer
from gru4rec_fast.kernels._tile import width_block
from gru4rec_fast.kernels._tuning import tiles_for
from gru4rec_fast.spec import NetworkSpec
from tests.kernels.cases import (
    initial_states,
    model,
    optimiser,
    planned_block,
    training_step,
    zero_state,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gru4rec_fast.plan.block import StepBlock

SLACK = 4.0
"""Tensor cores cut tf32 operands off where torch may round them, which is up to twice as far."""
NEGLIGIBLE = 1e-6


def reference_run(
    p: dict[str, Tensor], config: Config, block: StepBlock, dtype: torch.dtype, on: torch.device
) -> tuple[dict[str, Tensor], Tensor]:
    """Parameters and losses after the block by the reference."""
    p = {name: value.to(on, dtype, copy=True) for name, value in p.items()}
    spec = NetworkSpec.of(config, len(p["Wy.weight"]))
    support = torch.arange(1, len(p["Wy.weight"]) + 1)
    trainer = ReferenceTrainer(spec, p, optimiser(config), config, support.to(on))
    trainer.states = [state.to(on, dtype) for state in initial_states(config, block)]
    return p, trainer.train_block(block)


def distance(ours: Tensor, truth: Tensor, before: Tensor) -> float:
    """Of an update from the true one, relative to the true one."""
    update = truth.double().cpu() - before.double().cpu()
    return float((ours.double().cpu() - truth.double().cpu()).norm() / update.norm())


@pytest.fixture
def torch_tf32() -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    yield
    torch.backends.cuda.matmul.allow_tf32 = before


@pytest.mark.usefixtures("torch_tf32")
@pytest.mark.parametrize(
    ("lanes", "units", "options", "architecture"),
    [
        pytest.param(32, 32, {"momentum": 0.2, "logq": 1.0}, None, id="32-lanes-32-units"),
        pytest.param(
            32, 100, {"dropout_p_hidden": 0.4, "logq": 1.0}, None, id="32-lanes-100-units"
        ),
        pytest.param(
            240, 100, {"loss": "bpr-max", "elu_param": 0.5, "momentum": 0.2}, None,
            id="240-lanes-100-units",
        ),
        pytest.param(
            240, 512, {"dropout_p_embed": 0.45, "logq": 1.0}, None, id="240-lanes-512-units"
        ),
        pytest.param(32, 48, {"logq": 1.0}, "sm_80", id="32-lanes-sm_80"),
        pytest.param(70, 20, {"logq": 1.0}, "sm_80", id="70-lanes-sm_80"),
        pytest.param(70, 20, {"loss": "bpr-max"}, "gfx942", id="70-lanes-gfx942"),
    ],
)  # fmt: skip
def test_the_shipped_configuration(
    lanes: int,
    units: int,
    options: dict[str, Any],
    architecture: str | None,
    device: torch.device,
) -> None:
    n_sessions, n_items, n_sample = 2 * lanes, 100, 24
    if architecture and device.type == "cuda":
        pytest.skip("a GPU tests its own tiles")
    if lanes > 32:
        assert tiles_for(lanes, "tf32") != tiles_for(lanes, "ieee")
        if device.type == "cpu":
            # The interpreter takes long: two tiles of live lanes, and with 128 units the tiles of
            # 512, a quarter of them.
            assert all(width_block(128, most) == width_block(512, most) for most in (16, 32, 64))
            n_sessions, units = 70, min(units, 128)
            # And two tiles of rows.
            n_items, n_sample = 300, 100
    config = Config(layers=(units,), batch_size=lanes, n_sample=n_sample, **options)
    block = planned_block(n_items, config, steps=1, n_sessions=n_sessions)
    block = replace(block, restarts=np.zeros_like(block.restarts))
    before = model(config, n_items, device)
    truth, true_losses = reference_run(before, config, block, torch.float64, torch.device("cpu"))
    same, losses = reference_run(before, config, block, torch.float32, device)

    ours = {name: value.clone() for name, value in before.items()}
    support = torch.arange(1, n_items + 1)
    step = training_step(
        ours, zero_state(ours, config), config, 1, support, "tf32", architecture
    )  # fmt: skip
    step.states = [state.to(device) for state in initial_states(config, block)]
    our_losses = step.train_block(block)

    off = (our_losses.cpu() - true_losses).abs().max() / true_losses.abs().max()
    allowed = (losses.cpu() - true_losses).abs().max() / true_losses.abs().max()
    assert off <= SLACK * allowed + NEGLIGIBLE
    for name, value in ours.items():
        found, same_precision = (
            distance(table, truth[name], before[name]) for table in (value, same[name])
        )
        most = SLACK * same_precision + NEGLIGIBLE
        assert found <= most, f"{name} is {found:.1e} off, at most {most:.1e} allowed"


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("auto", "tf32"), ("highest", "ieee"), ("high", "tf32"), ("medium", "tf32")],
)
def test_the_engine_multiplies_at_least_as_precisely_as_asked_for(
    precision: str, expected: str, device: torch.device
) -> None:
    config = Config(layers=(16,), batch_size=4, n_sample=8).replace(precision=precision)
    p = model(config, 50, device)
    spec = NetworkSpec.of(config, 50)
    support = torch.ones(50, dtype=torch.int64, device=device)
    trainer = ENGINES["triton"].trainer(spec, p, optimiser(config), config, support)
    assert isinstance(trainer, TritonTrainer)
    assert trainer.step.context.precision == expected
    named = ENGINES["triton"].products(config, device)
    assert named.startswith("tf32" if expected == "tf32" else "float32")
