"""The C++ engine (`_core`) behind the face of `ops.py`, on torch.get_num_threads() threads.

Each function returns None where the tensors are not for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gru4rec_fast import _core
from gru4rec_fast.fallback import refuse, takes

if TYPE_CHECKING:
    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.optim import Adagrad
    from gru4rec_fast.planning import StepBlock
    from gru4rec_fast.reference import Gradient, Parameters


LOSSES = ("cross-entropy", "bpr-max")
"""Those of csrc/sampled_loss.h."""


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
) -> Tensor | None:
    """`ops.train_block`."""
    state = [*optimiser.accumulators.values(), *optimiser.momenta.values()]
    if not takes("cpu", "training", [*p.values(), *states], state):
        return None
    if config.loss not in LOSSES:
        refuse("training", f"the C++ engine has no loss {config.loss!r}")
        return None
    losses, new_states = _core.train_block(
        {name: value.detach().numpy() for name, value in p.items()},
        {name: value.numpy() for name, value in optimiser.accumulators.items()},
        {name: value.numpy() for name, value in optimiser.momenta.items()},
        [h.numpy() for h in states],
        block,
        support.numpy(),
        config,
        torch.get_num_threads(),
    )
    states[:] = [torch.from_numpy(h) for h in new_states]
    return torch.from_numpy(losses)


def adagrad(
    theta: Tensor,
    accumulator: Tensor,
    momentum_buffer: Tensor | None,
    gradient: Gradient,
    learning_rate: float,
    momentum: float,
) -> bool:
    """`ops.adagrad`; whether it was done."""
    state = [accumulator] if momentum_buffer is None else [accumulator, momentum_buffer]
    if not takes("cpu", "Adagrad", [theta, gradient.values], state):
        return False
    _core.sparse_adagrad(
        theta.detach().numpy(),
        accumulator.numpy(),
        None if momentum_buffer is None else momentum_buffer.numpy(),
        None if gradient.rows is None else gradient.rows.numpy(),
        gradient.values.numpy(),
        learning_rate,
        momentum,
    )
    return True


def rank_counts(
    features: Tensor, w: Tensor, b: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor] | None:
    """`ops.rank_counts`."""
    if not takes("cpu", "ranking", [features, w, b]):
        return None
    arrays = (features.detach().numpy(), w.detach().numpy(), b.detach().numpy())
    greater, equal = _core.rank_counts(*arrays, targets.numpy(), torch.get_num_threads())
    return torch.from_numpy(greater), torch.from_numpy(equal)


def top_k(features: Tensor, w: Tensor, b: Tensor, k: int) -> tuple[Tensor, Tensor] | None:
    """`ops.top_k`."""
    if not takes("cpu", "top-k", [features, w, b]):
        return None
    arrays = (features.detach().numpy(), w.detach().numpy(), b.detach().numpy())
    best, items = _core.top_k(*arrays, k, torch.get_num_threads())
    return torch.from_numpy(best), torch.from_numpy(items)


def scores(features: Tensor, w: Tensor, b: Tensor, items: Tensor) -> Tensor | None:
    """`ops.scores`, by the very arithmetic of `top_k`."""
    if not takes("cpu", "scoring", [features, w, b]):
        return None
    arrays = (features.detach().numpy(), w.detach().numpy(), b.detach().numpy())
    return torch.from_numpy(_core.scores(*arrays, items.numpy(), torch.get_num_threads()))
