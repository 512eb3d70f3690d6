"""Whether the Triton kernels can run an operation, and the training step that a model keeps.

`ops.py` asks here before it imports a kernel, so that a machine without a GPU or without Triton
never does.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import weakref
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gru4rec_fast.batching import DEFAULT_BLOCK_STEPS
from gru4rec_fast.fallback import refuse, takes
from gru4rec_fast.spec import NetworkSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gru4rec_fast.config import Config
    from gru4rec_fast.kernels.training_step import TrainingStep
    from gru4rec_fast.optim import Adagrad
    from gru4rec_fast.planning import StepBlock
    from gru4rec_fast.reference import Gradient, Parameters

logger = logging.getLogger(__name__)

PRECISION = os.environ.get("GRU4REC_FAST_PRECISION", "tf32")
"""How the kernels multiply in training: 'tf32', or 'ieee' for exact float32."""

_steps: weakref.WeakKeyDictionary[Adagrad, TrainingStep] = weakref.WeakKeyDictionary()


def runs_kernels(operation: str, tensors: Sequence[Tensor]) -> bool:
    """Whether the kernels take these tensors; if a GPU could but they don't, the log says why.

    They take contiguous float32 tensors on a CUDA or ROCm device.
    """
    if not takes("cuda", operation, tensors):
        return False
    if not _has_triton():
        return refuse(
            operation, "Triton is not installed; pip install 'gru4rec-fast[gpu]' brings it"
        )
    return True


def train_block(
    p: Parameters,
    optimiser: Adagrad,
    states: list[Tensor],
    block: StepBlock,
    support: Tensor,
    config: Config,
) -> Tensor | None:
    """`ops.train_block` by the kernels, or None where they can't run it and the reference must.

    The buffers and CUDA graphs of a model are made at its first block and kept with its optimiser.
    """
    state = [*optimiser.accumulators.values(), *optimiser.momenta.values()]
    if not runs_kernels("training", [*p.values(), *state, *states]):
        return None
    from gru4rec_fast.kernels.training_step import LOSSES, TrainingStep

    if config.loss not in LOSSES:
        refuse("training", f"there is no kernel for loss={config.loss!r}")
        return None
    step = _steps.get(optimiser)
    if step is None or len(block) > len(step.block.records):
        step = TrainingStep(
            NetworkSpec.of(config, len(p["Wy.weight"])),
            p,
            [optimiser.accumulators, optimiser.momenta][: 1 + (config.momentum > 0)],
            config,
            support,
            block_steps=max(DEFAULT_BLOCK_STEPS, len(block)),
            precision=_precision(states[0].device),
        )
        _steps[optimiser] = step
    step.states = states
    losses = step.train_block(block)
    states[:] = step.states
    return losses


def adagrad(
    theta: Tensor,
    accumulator: Tensor,
    momentum_buffer: Tensor | None,
    gradient: Gradient,
    learning_rate: float,
    momentum: float,
) -> bool:
    """`ops.adagrad` of the rows of a table; whether it was done."""
    state = [accumulator] if momentum_buffer is None else [accumulator, momentum_buffer]
    if gradient.rows is None or not runs_kernels("Adagrad", [theta, *state, gradient.values]):
        return False
    from gru4rec_fast.kernels.optimisers import OPTIMISERS, Update
    from gru4rec_fast.kernels.parameter import Parameter
    from gru4rec_fast.kernels.row_update import update_rows

    update = Update(OPTIMISERS["adagrad"].update, (learning_rate, momentum))
    update_rows(Parameter(theta, tuple(state)), gradient.rows, gradient.values, update)
    return True


def rank_counts(
    features: Tensor, w: Tensor, b: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor] | None:
    """`ops.rank_counts`."""
    if not runs_kernels("ranking", [features, w, b]):
        return None
    from gru4rec_fast.kernels import rank_counts as kernel

    return kernel.rank_counts(features, w, b, targets)


def top_k(features: Tensor, w: Tensor, b: Tensor, k: int) -> tuple[Tensor, Tensor] | None:
    """`ops.top_k`, of up to `kernels.top_k.MOST` items."""
    if not runs_kernels("top-k", [features, w, b]):
        return None
    from gru4rec_fast.kernels import top_k as kernel

    if k > kernel.MOST:
        refuse("top-k", f"k is {k}, the kernel keeps up to {kernel.MOST}")
        return None
    return kernel.top_k(features, w, b, k)


def scores(features: Tensor, w: Tensor, b: Tensor, items: Tensor) -> Tensor | None:  # noqa: ARG001
    """`ops.scores`, for which there is no kernel."""
    return None


def step_of(optimiser: Adagrad) -> TrainingStep:
    """The training step kept with this optimiser; KeyError before its first block."""
    return _steps[optimiser]


@cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


@cache
def _precision(device: torch.device) -> str:
    """PRECISION, or 'ieee' on a chip whose tensor cores have no tf32."""
    if PRECISION == "tf32" and torch.version.hip:
        chip = torch.cuda.get_device_properties(device).gcnArchName
        if not chip.startswith(("gfx94", "gfx95")):
            logger.warning("products are exact float32, as %s has no tf32", chip)
            return "ieee"
    return PRECISION
