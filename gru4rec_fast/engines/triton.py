"""The Triton kernels (`gru4rec_fast.kernels`): float32 on CUDA and ROCm devices.

Nothing here imports a kernel before it is needed, so that a machine without a GPU or without
Triton never does.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from typing import TYPE_CHECKING

import torch

from gru4rec_fast.engines.contract import (
    OptimiserState,
    new_state,
    not_float32,
    not_handled,
    unknown_part,
)
from gru4rec_fast.engines.reference import ReferenceForward, ReferenceRanker
from gru4rec_fast.plan.lanes import DEFAULT_BLOCK_STEPS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.plan.block import StepBlock
    from gru4rec_fast.reference import Optimiser, Parameters
    from gru4rec_fast.spec import NetworkSpec

logger = logging.getLogger(__name__)

TF32, FLOAT32 = "tf32", "ieee"
"""How the kernels may multiply, by Triton's names; 'auto' is the first."""
DEPENDENT_LAUNCHES = os.environ.get("GRU4REC_FAST_DEPENDENT_LAUNCHES", "0") == "1"
"""Whether a kernel of a step begins before the one before it has ended, see
`kernels.dependent_launch`. Off until a GPU has shown that it gives the same bits."""

NO_TRITON = "Triton is not installed; pip install 'gru4rec-fast[gpu]' brings it"
CELLS = {("gru-reset-after", False), ("gru-reset-before", True)}
"""The cells that have kernels, and whether they take a one-hot input."""
HANDLED = frozenset(
    {
        "loss", "smoothing", "final_act", "bpreg", "elu_param", "logq", "sample_alpha",
        "adapt", "adapt_params", "learning_rate", "momentum", "lmbd", "seed",
        "lr_schedule", "lr_final", "lr_warmup", "lr_decay",  # the rates of a block
        "precision",
    }
)  # fmt: skip
"""Not `grad_cap`: rows are updated by the kernel that computes their gradient, before the norm of
all gradients of the step is known."""


class TritonEngine:
    """`contract.Engine` by Triton kernels."""

    name = "triton"
    half_tables = False

    def supports(
        self,
        spec: NetworkSpec,
        optimiser: Optimiser,
        config: Config,
        device: torch.device,
        dtype: torch.dtype,
    ) -> str | None:
        """Float32 on a GPU; the cells, losses and optimisers that have kernels."""
        if importlib.util.find_spec("triton") is None:
            return NO_TRITON
        from gru4rec_fast.kernels.training_step import LOSSES, OPTIMISERS

        return (
            unknown_part(spec, optimiser, config, CELLS, LOSSES, OPTIMISERS)
            or not_handled(config, HANDLED)
            or not_float32("cuda", device, dtype)
        )

    def trainer(
        self,
        spec: NetworkSpec,
        p: Parameters,
        optimiser: Optimiser,
        config: Config,
        support: Tensor,
    ) -> TritonTrainer:
        """`contract.Engine.trainer`."""
        return TritonTrainer(spec, p, optimiser, config, support)

    def products(self, config: Config, device: torch.device) -> str:
        """`contract.Engine.products`."""
        if config.precision == "highest":
            return "float32"
        chip = _chip_without_tf32(device)
        if chip is not None:
            return f"float32 ({chip} has no tf32)"
        return "tf32 (the kernels have no bfloat16)" if config.precision == "medium" else "tf32"

    def advances(
        self,
        spec: NetworkSpec,  # noqa: ARG002
        device: torch.device,
        dtype: torch.dtype,
    ) -> str | None:
        """As `ranks`: the forward pass alone is plain PyTorch on the GPU, for every network."""
        return self.ranks(device, dtype)

    def forward(self, spec: NetworkSpec, p: Parameters) -> ReferenceForward:
        """`contract.Engine.forward`."""
        return ReferenceForward(spec, p)

    def ranks(self, device: torch.device, dtype: torch.dtype) -> str | None:
        """Float32 on a GPU, with Triton installed."""
        reason = not_float32("cuda", device, dtype)
        if reason is None and importlib.util.find_spec("triton") is None:
            return NO_TRITON
        return reason

    def ranker(self, w: Tensor, b: Tensor, bounds: bool = True) -> TritonRanker:  # noqa: ARG002
        """`contract.Engine.ranker`; it has no bounds."""
        return TritonRanker(w, b)


class TritonTrainer:
    """`contract.Trainer` whose steps run on the device, without the host between them."""

    def __init__(
        self,
        spec: NetworkSpec,
        p: Parameters,
        optimiser: Optimiser,
        config: Config,
        support: Tensor,
    ) -> None:
        from gru4rec_fast.kernels.training_step import TrainingStep

        self.n_items = spec.n_items
        self.optimiser_state: OptimiserState = new_state(optimiser, p)
        # The device trains a step in about the time that one core needs to plan it.
        self.planning_threads = min(2, _cores())
        self.step = TrainingStep(
            spec,
            p,
            list(self.optimiser_state.values()),
            config,
            support,
            block_steps=DEFAULT_BLOCK_STEPS,
            precision=_precision(config, support.device),
            optimiser=optimiser,
            dependent_launches=_dependent_launches(support.device),
        )

    @property
    def states(self) -> list[Tensor]:
        """`contract.Trainer.states`."""
        return self.step.states

    @states.setter
    def states(self, states: list[Tensor]) -> None:
        self.step.states = states

    def start_epoch(self) -> None:
        """`contract.Trainer.start_epoch`."""
        self.step.start_epoch()

    def train_block(
        self, block: StepBlock, learning_rates: NDArray[np.float64] | None = None
    ) -> Tensor:
        """`contract.Trainer.train_block`; a kernel does not look whether a row exists."""
        block.require_items(self.n_items)
        return self.step.train_block(block, learning_rates)


class TritonRanker:
    """`contract.Ranker` by Triton kernels; without one for the scores of chosen items."""

    def __init__(self, w: Tensor, b: Tensor) -> None:
        self._items = w.detach().contiguous(), b.detach().contiguous()

    def rank_counts(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """`contract.Ranker.rank_counts`."""
        from gru4rec_fast.kernels.rank_counts import rank_counts

        return rank_counts(features.contiguous(), *self._items, targets)

    def top_k(self, features: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """`contract.Ranker.top_k`, by the reference for more items than the kernel keeps."""
        from gru4rec_fast.kernels.top_k import MOST, top_k

        k = min(k, len(self._items[0]))
        if 0 < k <= MOST:
            return top_k(features.contiguous(), *self._items, k)
        return ReferenceRanker(*self._items).top_k(features, k)

    def scores(self, features: Tensor, items: Tensor) -> Tensor:
        """`contract.Ranker.scores` by the reference."""
        return ReferenceRanker(*(table[items] for table in self._items)).scores(
            features, torch.arange(len(items), device=items.device)
        )


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _precision(config: Config, device: torch.device) -> str:
    """How the kernels multiply: at least as precisely as `config.precision` says."""
    if config.precision == "highest":
        return FLOAT32
    chip = _chip_without_tf32(device)
    if chip is not None:
        logger.warning("products are exact float32, as %s has no tf32", chip)
        return FLOAT32
    return TF32


def _chip_without_tf32(device: torch.device) -> str | None:
    """The device's name, if its tensor cores have no tf32."""
    if not torch.version.hip:
        return None
    chip: str = torch.cuda.get_device_properties(device).gcnArchName
    return None if chip.startswith(("gfx94", "gfx95")) else chip


def _dependent_launches(device: torch.device) -> bool:
    """DEPENDENT_LAUNCHES.

    Raises:
        ValueError: it is asked for on a chip that does not have it.
    """
    if DEPENDENT_LAUNCHES and (
        torch.version.hip or torch.cuda.get_device_capability(device) < (9, 0)
    ):
        raise ValueError(
            f"GRU4REC_FAST_DEPENDENT_LAUNCHES is 1 on {torch.cuda.get_device_name(device)}; "
            "expected an NVIDIA GPU of compute capability 9.0 or later: unset the variable"
        )
    return DEPENDENT_LAUNCHES
