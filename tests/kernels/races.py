"""Whole training steps with programs in any order, traced, and with NaN wherever nothing lies.

`faults_of` trains some steps of a configuration several times in the interpreter and says what
differs: parameters, optimiser state, lane states and losses must have equal bits whatever the order
of the programs, and whatever the buffers hold where a step has not written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from tests.kernels.cases import initial_states, model, planned_block, training_step, zero_state
from tests.kernels.tracing import ORDERS, programs_in, traced

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gru4rec_fast.config import Config
    from gru4rec_fast.plan.block import StepBlock

GARBAGE = 0x7F7F7F7F
"""No item, row or lane; as an offset it leaves every table."""


@dataclass
class Case:
    """Some steps of a model."""

    config: Config
    block: StepBlock
    n_items: int
    precision: str = "ieee"


def planned_case(
    config: Config, n_items: int = 50, steps: int = 3, n_sessions: int = 40, seed: int = 0
) -> Case:
    return Case(config, planned_block(n_items, config, steps, n_sessions, seed), n_items)


def faults_of(case: Case) -> list[str]:
    """What the programs of a launch owe to their order, and the step to stale values."""
    with traced() as faults:
        forward = _train(case)
    found = [f"{fault.kernel} {fault.what}: {', '.join(fault.lines)}" for fault in faults]
    for order in ORDERS[1:]:
        with programs_in(order):
            found += _differences(order, forward, _train(case))
    return found + _differences("NaN in buffers", forward, _train(case, spoilt=True))


def _train(case: Case, spoilt: bool = False) -> dict[str, Tensor]:
    """Everything that the steps leave, trained step by step.

    With `spoilt`, before each step all buffers are NaN, or garbage where they hold integers, except
    for the states that the step reads.
    """
    config = case.config
    p = model(config, case.n_items, torch.device("cpu"))
    optimiser_state = zero_state(p, config)
    support = torch.arange(1, case.n_items + 1)
    step = training_step(p, optimiser_state, config, 1, support, case.precision)
    step.start_epoch()
    step.states = initial_states(config, case.block)
    kept = {*_storages(p), *_storages(optimiser_state), *_storages(step.correction)}
    losses = []
    for block in _single_steps(case.block):
        if spoilt:
            states = step.states
            for buffer in _tensors(step):
                if buffer.untyped_storage().data_ptr() not in kept:
                    buffer.fill_(torch.nan if buffer.is_floating_point() else GARBAGE)
            slot = block.first_step % 2
            for layer, state in zip(step.layers, states, strict=True):
                layer.state[slot, : len(state)] = state
            step._slot = slot
            block = _without_dead_lanes(block)
        losses.append(step.train_block(block))
    found = {f"state of layer {i}": state for i, state in enumerate(step.states)}
    for i, table in enumerate(optimiser_state):
        found |= {f"optimiser state {i} of {name}": value for name, value in table.items()}
    return found | p | {"loss": torch.cat(losses)}


def _differences(run: str, expected: dict[str, Tensor], found: dict[str, Tensor]) -> list[str]:
    names = [name for name, value in expected.items() if not torch.equal(value, found[name])]
    return [f"{run}: {', '.join(names)} differ"] if names else []


def _single_steps(block: StepBlock) -> Iterator[StepBlock]:
    for t in range(len(block)):
        yield block.part(t, t + 1)


def _without_dead_lanes(block: StepBlock) -> StepBlock:
    """The block with garbage in the lanes that are not alive, except for the row that they read."""
    dead = np.arange(block.inputs.shape[1]) >= block.live[:, None]
    fields: dict[str, Any] = {
        name: np.where(dead, GARBAGE, getattr(block, name)).astype(np.int32)
        for name in ("inputs", "source", "targets", "target_row")
    }
    return replace(block, **fields)


def _tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor that an object of the kernels holds, at any depth; some more than once."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _tensors(each)
    elif type(value).__module__.startswith("gru4rec_fast.kernels"):
        yield from _tensors(getattr(value, "__dict__", {}))


def _storages(value: Any) -> set[int]:
    return {tensor.untyped_storage().data_ptr() for tensor in _tensors(value)}
