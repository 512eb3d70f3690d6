"""A small model, a planned block, and the same steps by the kernels and by the reference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gru4rec_fast import _core, reference
from gru4rec_fast.config import Config
from gru4rec_fast.engines.contract import new_state
from gru4rec_fast.engines.reference import ReferenceTrainer
from gru4rec_fast.kernels.training_step import TrainingStep
from gru4rec_fast.model.network import Network
from gru4rec_fast.plan.block import StepBlock
from gru4rec_fast.spec import NetworkSpec
from tests.oracle import rates_of

SEPARATE: dict[str, Any] = {"constrained_embedding": False, "embedding": 13}
ONE_HOT: dict[str, Any] = {"constrained_embedding": False}
FIRST_STEP = 2**32 + 3  # needs both words of Philox's step, and starts in the second slot


def planned_block(
    n_items: int, config: Config, steps: int, n_sessions: int = 40, seed: int = 0
) -> StepBlock:
    """Steps of random sessions of 2 to 6 events; few sessions make the lanes die."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 7, n_sessions)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    items = rng.integers(0, n_items, offsets[-1]).astype(np.int32)
    order = np.arange(n_sessions, dtype=np.int64)
    least = 2 if config.n_sample == 0 else 1
    lanes = _core.LaneScheduler(items, offsets, order, config.batch_size, least).plan(steps)
    sampler = _core.NegativeSampler(np.ones(n_items))
    negatives = sampler.draw(seed, FIRST_STEP, len(lanes.live), config.n_sample)
    return StepBlock.merge(FIRST_STEP, lanes, negatives)


@dataclass
class Run:
    """Parameters, optimiser state and lane states after some steps, and the steps' losses."""

    p: dict[str, Tensor]
    state: list[dict[str, Tensor]]
    states: list[Tensor]
    losses: list[float]


def model(config: Config, n_items: int, device: torch.device) -> dict[str, Tensor]:
    """Initial parameters with biases that are not zero."""
    network = Network(config, n_items)
    network.initialise()
    torch.manual_seed(1)
    p = {name: value.clone() for name, value in network.parameter_dict().items()}
    for name, value in p.items():
        if "bias" in name or name in ("By.weight", "GE.Bh0"):
            value.normal_(0, 0.1)
    return {name: value.to(device) for name, value in p.items()}


def initial_states(config: Config, block: StepBlock) -> list[Tensor]:
    """States that a block before this one might have left."""
    torch.manual_seed(2)
    return [0.3 * torch.randn(int(block.live[0]), units) for units in config.layers]


def optimiser(config: Config) -> reference.Optimiser:
    """The optimiser of a configuration."""
    return reference.OPTIMISERS[config.adapt](config)


def zero_state(p: dict[str, Tensor], config: Config) -> list[dict[str, Tensor]]:
    """The optimiser's state before the first step."""
    return list(new_state(optimiser(config), p).values())


def training_step(
    p: dict[str, Tensor],
    state: list[dict[str, Tensor]],
    config: Config,
    block_steps: int,
    support: Tensor | None = None,
    precision: str = "ieee",
    architecture: str | None = None,
) -> TrainingStep:
    """The kernels' training step of a model, with exact products."""
    wy = p["Wy.weight"]
    support = torch.ones(len(wy)) if support is None else support
    return TrainingStep(
        NetworkSpec.of(config, len(wy)), p, state, config, support.to(wy.device),
        block_steps=block_steps, precision=precision, architecture=architecture,
    )  # fmt: skip


def by_kernels(
    p: dict[str, Tensor], config: Config, blocks: list[StepBlock], support: Tensor
) -> Run:
    """Train in place."""
    state = zero_state(p, config)
    step = training_step(p, state, config, max(map(len, blocks)), support)
    step.start_epoch()
    step.states = [h.to(p["Wy.weight"].device) for h in initial_states(config, blocks[0])]
    losses = torch.cat([step.train_block(block, rates_of(config, block)) for block in blocks])
    return Run(p, state, step.states, losses.tolist())


def by_reference(
    p: dict[str, Tensor], config: Config, blocks: list[StepBlock], support: Tensor
) -> Run:
    """The same steps by the reference in float64 on the CPU."""
    p = {name: value.double().cpu() for name, value in p.items()}
    spec = NetworkSpec.of(config, len(p["Wy.weight"]))
    trainer = ReferenceTrainer(spec, p, optimiser(config), config, support)
    trainer.states = [state.double() for state in initial_states(config, blocks[0])]
    losses = torch.cat([trainer.train_block(block, rates_of(config, block)) for block in blocks])
    return Run(p, list(trainer.optimiser_state.values()), trainer.states, losses.tolist())


def assert_same_training(kernels: Run, truth: Run, tolerance: float = 1e-5) -> None:
    """Losses and states within 1e-5, every parameter and its state within 1e-5 of its scale.

    On a GPU, whose exp and division are approximate, within 1e-4.
    """
    if kernels.p["Wy.weight"].is_cuda:
        tolerance = max(tolerance, 1e-4)
    np.testing.assert_allclose(kernels.losses, truth.losses, rtol=tolerance)
    for state, expected in zip(kernels.states, truth.states, strict=True):
        torch.testing.assert_close(state.cpu().double(), expected, rtol=0, atol=tolerance)
    tables = zip([kernels.p, *kernels.state], [truth.p, *truth.state], strict=True)
    for ours, theirs in tables:
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            scale = theirs[name].abs().max()
            worst = (value.cpu().double() - theirs[name]).abs().max()
            assert worst <= tolerance * scale, f"{name} is {worst / scale:.2e} of its scale off"


def check_training(
    device: torch.device,
    n_items: int = 50,
    steps: int = 5,
    n_sessions: int = 40,
    seed: int = 0,
    edit: dict[str, Any] | None = None,
    tolerance: float = 1e-5,
    **options: Any,
) -> StepBlock:
    """Train by kernels and by reference, compare; returns the block. `edit` replaces its fields."""
    defaults: dict[str, Any] = {"layers": (20,), "batch_size": 6, "n_sample": 16}
    config = Config(**{**defaults, **options})
    block = planned_block(n_items, config, steps, n_sessions, seed)
    if edit:
        block = replace(block, **edit)
    support = torch.arange(1, n_items + 1)
    p = model(config, n_items, device)
    truth = by_reference(p, config, [block], support)
    assert_same_training(by_kernels(p, config, [block], support), truth, tolerance)
    return block
