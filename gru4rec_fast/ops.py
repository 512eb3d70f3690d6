"""The only place that chooses an implementation of what `reference.py` specifies.

Float32 tensors on the CPU run the C++ engine (`cpu_engine.py`), those on CUDA and ROCm devices the
Triton kernels (`triton_engine.py`). All else runs the reference, on any device, and the log says so
once. A faster path for an operation is an entry of ENGINES, and nothing above this file changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gru4rec_fast import _core, cpu_engine, reference, triton_engine

if TYPE_CHECKING:
    from gru4rec_fast.config import Config
    from gru4rec_fast.optim import Adagrad
    from gru4rec_fast.planning import StepBlock
    from gru4rec_fast.reference import Gradient, Parameters

ENGINES = (cpu_engine, triton_engine)
"""Asked in turn; each answers None where the tensors are not for it."""


def train_block(
    p: Parameters,
    optimiser: Adagrad,
    states: list[Tensor],
    block: StepBlock,
    support: Tensor,
    config: Config,
) -> Tensor:
    """Train the T steps of a planned block; returns their losses (T,) on the parameters' device.

    p, the optimiser's state and the list `states` are updated in place; on entry its tensors hold
    the states of the step before the block. Nothing here waits for the device.
    """
    for engine in ENGINES:
        losses: Tensor | None = engine.train_block(p, optimiser, states, block, support, config)
        if losses is not None:
            return losses
    return _train_block_by_reference(p, optimiser, states, block, support, config)


def adagrad(
    theta: Tensor,
    accumulator: Tensor,
    momentum_buffer: Tensor | None,
    gradient: Gradient,
    learning_rate: float,
    momentum: float,
) -> None:
    """Adagrad with momentum in place, of the whole parameter or of the gradient's rows."""
    rates = (learning_rate, momentum)
    if any(e.adagrad(theta, accumulator, momentum_buffer, gradient, *rates) for e in ENGINES):
        return
    if gradient.rows is None:
        reference.adagrad(theta, accumulator, momentum_buffer, gradient.values, *rates)
    else:
        reference.sparse_adagrad(
            theta, accumulator, momentum_buffer, gradient.rows, gradient.values, *rates
        )


def rank_counts(features: Tensor, w: Tensor, b: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Items that score above and equal to each row's target (`reference.rank_counts`).

    features (R, H), w (V, H), b (V, 1), targets (R,) int64 -> two int64 tensors (R,).
    """
    for engine in ENGINES:
        counts: tuple[Tensor, Tensor] | None = engine.rank_counts(features, w, b, targets)
        if counts is not None:
            return counts
    return reference.rank_counts(
        features, targets, reference.item_scores(w, b), reference.ItemGroups.of(w, b)
    )


def top_k(features: Tensor, w: Tensor, b: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Scores and items (R, k) of the best items of each row, best first (`reference.top_k`)."""
    for engine in ENGINES:
        best: tuple[Tensor, Tensor] | None = engine.top_k(features, w, b, k)
        if best is not None:
            return best
    return reference.top_k(features, k, reference.item_scores(w, b), reference.ItemGroups.of(w, b))


def scores(features: Tensor, w: Tensor, b: Tensor, items: Tensor) -> Tensor:
    """Scores (R, n) of the given items (n,) int64; those with equal rows and biases are equal."""
    for engine in ENGINES:
        found: Tensor | None = engine.scores(features, w, b, items)
        if found is not None:
            return found
    w, b = w[items], b[items]
    groups = reference.ItemGroups.of(w, b)
    return reference.item_scores(w, b)(features, groups.first)[:, groups.group]


def settle(table: Tensor) -> None:
    """Prepare the memory of a parameter, or of its optimiser state, for fast random access."""
    cpu_engine.settle(table)


def _train_block_by_reference(
    p: Parameters,
    optimiser: Adagrad,
    states: list[Tensor],
    block: StepBlock,
    support: Tensor,
    config: Config,
) -> Tensor:
    device = states[0].device
    losses = torch.empty(len(block), dtype=states[0].dtype, device=device)
    sites = reference.dropout_sites(p, config)
    for t in range(len(block)):
        m = int(block.live[t])
        inputs = torch.from_numpy(block.inputs[t, :m]).long()
        targets = torch.from_numpy(block.targets[t, :m]).long()
        columns = torch.cat([targets, torch.from_numpy(block.negatives[t]).long()])
        source = torch.from_numpy(block.source[t, :m]).long().to(device, non_blocking=True)
        restarts = torch.from_numpy(block.restarts[t, :m]).bool().to(device, non_blocking=True)
        touched = reference.touched_rows(p, inputs, columns)
        masks = [
            _dropout_mask(config.seed, block.first_step + t, site, m, width, rate, states[0])
            for site, (width, rate) in enumerate(sites)
        ]
        losses[t], states[:], gradients = reference.loss_and_gradients(
            p,
            [reference.carry(h, source, restarts) for h in states],
            columns.to(device, non_blocking=True),
            {name: rows.to(device) for name, rows in touched.items()},
            masks,
            support,
            config,
        )
        optimiser.apply(p, gradients)
    return losses


def _dropout_mask(
    seed: int, step: int, site: int, rows: int, columns: int, rate: float, like: Tensor
) -> Tensor | None:
    if rate == 0:
        return None
    mask = torch.from_numpy(_core.dropout_mask(seed, step, site, rows, columns, rate))
    return mask.to(like.device, like.dtype, non_blocking=True)
