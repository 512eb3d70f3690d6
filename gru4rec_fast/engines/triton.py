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

PRECISION = os.environ.get("GRU4REC_FAST_PRECISION", "tf32")
"""How the kernels multiply in training: 'tf32', or 'ieee' for exact float32."""

NO_TRITON = "Triton is not installed; pip install 'gru4rec-fast[gpu]' brings it"
CELLS = {("gru-reset-after", False), ("gru-reset-before", True)}
"""The cells that have kernels, and whether they take a one-hot input."""
HANDLED = frozenset(
    {
        "loss", "smoothing", "final_act", "bpreg", "elu_param", "logq", "sample_alpha",
        "adapt", "adapt_params", "learning_rate", "momentum", "lmbd", "seed",
        "lr_schedule", "lr_final", "lr_warmup", "lr_decay",  # the rates of a block
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
        self.step = TrainingStep(
            spec,
            p,
            list(self.optimiser_state.values()),
            config,
            support,
            block_steps=DEFAULT_BLOCK_STEPS,
            precision=_precision(support.device),
            optimiser=optimiser,
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


def _precision(device: torch.device) -> str:
    """PRECISION, or 'ieee' on a chip whose tensor cores have no tf32."""
    if PRECISION == "tf32" and torch.version.hip:
        chip = torch.cuda.get_device_properties(device).gcnArchName
        if not chip.startswith(("gfx94", "gfx95")):
            logger.warning("products are exact float32, as %s has no tf32", chip)
            return "ieee"
    return PRECISION
