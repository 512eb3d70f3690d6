"""The only place that chooses an implementation of what `reference.py` specifies.

Float32 tensors on the CPU run the C++ engine (`_core`), on torch.get_num_threads() threads. Row
updates on CUDA and ROCm devices run the Triton kernel `kernels/sparse_adagrad.py`. All else runs
the reference, on any device, and the log says so once. A faster path for an operation is a branch
here, and nothing above this file changes.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gru4rec_fast import _core, reference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gru4rec_fast.config import Config
    from gru4rec_fast.optim import Adagrad
    from gru4rec_fast.planning import StepBlock
    from gru4rec_fast.reference import Gradient, Parameters

logger = logging.getLogger(__name__)


def _runs_engine(operation: str, tensors: Iterable[Tensor]) -> bool:
    """Whether the C++ engine can take these tensors; where not on a CPU, the log says why, once."""
    for tensor in tensors:
        if tensor.device.type != "cpu":
            return False
        if tensor.dtype != torch.float32:
            _say_once(operation, f"a tensor is {tensor.dtype}, the C++ engine takes torch.float32")
            return False
        if not tensor.is_contiguous():
            _say_once(operation, "a tensor is not contiguous, as the C++ engine needs it")
            return False
    return True


@cache
def _say_once(operation: str, reason: str) -> None:
    logger.warning("%s runs the slow reference in plain PyTorch: %s", operation, reason)


def settle(table: Tensor) -> None:
    """Prepare the memory of a parameter, or of its optimiser state, for fast random access."""
    if table.device.type == "cpu" and table.is_contiguous():
        _core.advise_huge_pages(table.detach().numpy())


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
    if _runs_engine("training", [*p.values(), *optimiser.accumulators.values(), *states]):
        return _train_block_on_cpu(p, optimiser, states, block, support, config)
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


def _train_block_on_cpu(
    p: Parameters,
    optimiser: Adagrad,
    states: list[Tensor],
    block: StepBlock,
    support: Tensor,
    config: Config,
) -> Tensor:
    losses, new_states = _core.train_block(
        {name: value.detach().numpy() for name, value in p.items()},
        {name: value.numpy() for name, value in optimiser.accumulators.items()},
        {name: value.numpy() for name, value in optimiser.momenta.items()},
        [state.numpy() for state in states],
        block,
        support.numpy(),
        config,
        torch.get_num_threads(),
    )
    states[:] = [torch.from_numpy(state) for state in new_states]
    return torch.from_numpy(losses)


def _dropout_mask(
    seed: int, step: int, site: int, rows: int, columns: int, rate: float, like: Tensor
) -> Tensor | None:
    if rate == 0:
        return None
    mask = torch.from_numpy(_core.dropout_mask(seed, step, site, rows, columns, rate))
    return mask.to(like.device, like.dtype, non_blocking=True)


def adagrad(
    theta: Tensor,
    accumulator: Tensor,
    momentum_buffer: Tensor | None,
    gradient: Gradient,
    learning_rate: float,
    momentum: float,
) -> None:
    """Adagrad with momentum in place, of the whole parameter or of the gradient's rows."""
    state = [accumulator] if momentum_buffer is None else [accumulator, momentum_buffer]
    if _runs_engine("Adagrad", [theta, *state, gradient.values]):
        _core.sparse_adagrad(
            theta.detach().numpy(),
            accumulator.numpy(),
            None if momentum_buffer is None else momentum_buffer.numpy(),
            None if gradient.rows is None else gradient.rows.numpy(),
            gradient.values.numpy(),
            learning_rate,
            momentum,
        )
        return
    if gradient.rows is None:
        reference.adagrad(
            theta, accumulator, momentum_buffer, gradient.values, learning_rate, momentum
        )
        return
    if theta.is_cuda:
        from gru4rec_fast.kernels.sparse_adagrad import sparse_adagrad
    else:
        sparse_adagrad = reference.sparse_adagrad
    sparse_adagrad(
        theta,
        accumulator,
        momentum_buffer,
        gradient.rows,
        gradient.values,
        learning_rate,
        momentum,
    )


def rank_counts(features: Tensor, w: Tensor, b: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Items that score above and equal to each row's target (`reference.rank_counts`).

    features (R, H), w (V, H), b (V, 1), targets (R,) int64 -> two int64 tensors (R,).
    """
    if _runs_engine("ranking", [features, w, b]):
        greater, equal = _core.rank_counts(
            features.detach().numpy(),
            w.detach().numpy(),
            b.detach().numpy(),
            targets.numpy(),
            torch.get_num_threads(),
        )
        return torch.from_numpy(greater), torch.from_numpy(equal)
    return reference.rank_counts(features, targets, reference.item_scores(w, b), len(w))


def top_k(features: Tensor, w: Tensor, b: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Scores and items (R, k) of the best items of each row, best first (`reference.top_k`)."""
    if _runs_engine("top-k", [features, w, b]):
        best, items = _core.top_k(
            features.detach().numpy(),
            w.detach().numpy(),
            b.detach().numpy(),
            k,
            torch.get_num_threads(),
        )
        return torch.from_numpy(best), torch.from_numpy(items)
    return reference.top_k(features, k, reference.item_scores(w, b), len(w))
