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

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gru4rec_fast.config import Config
    from gru4rec_fast.kernels.train_step import TrainStep
    from gru4rec_fast.optim import Adagrad
    from gru4rec_fast.planning import StepBlock
    from gru4rec_fast.reference import Parameters

logger = logging.getLogger(__name__)

PRECISION = os.environ.get("GRU4REC_FAST_PRECISION", "tf32")
"""How the kernels multiply in training: 'tf32', or 'ieee' for exact float32."""

_steps: weakref.WeakKeyDictionary[Adagrad, TrainStep] = weakref.WeakKeyDictionary()


def runs_kernels(operation: str, tensors: Iterable[Tensor]) -> bool:
    """Whether the kernels take these tensors; where a GPU could but they don't, the log says why.

    They take contiguous float32 tensors on a CUDA or ROCm device.
    """
    for tensor in tensors:
        if not tensor.is_cuda:
            return False
        if tensor.dtype != torch.float32:
            return _no(operation, f"a tensor is {tensor.dtype}, the kernels take torch.float32")
        if not tensor.is_contiguous():
            return _no(operation, "a tensor is not contiguous, as the kernels need it")
    if not _has_triton():
        return _no(operation, "Triton is not installed; pip install 'gru4rec-fast[gpu]' brings it")
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
    from gru4rec_fast.kernels.train_step import TrainStep, unsupported

    reason = unsupported(config)
    if reason:
        _no("training", reason)
        return None
    step = _steps.get(optimiser)
    if step is None or not step.serves(p, optimiser.accumulators, config, len(block)):
        step = TrainStep(
            p,
            optimiser.accumulators,
            optimiser.momenta,
            support,
            config,
            block_steps=max(DEFAULT_BLOCK_STEPS, len(block)),
            precision=_precision(states[0].device),
        )
        _steps[optimiser] = step
    losses: Tensor = step.train_block(states, block)
    return losses


def step_of(optimiser: Adagrad) -> TrainStep:
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


@cache
def _no(operation: str, reason: str) -> bool:
    """Say once that the reference runs instead."""
    logger.warning("%s runs the slow reference in plain PyTorch: %s", operation, reason)
    return False
