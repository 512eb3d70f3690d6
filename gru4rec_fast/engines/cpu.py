"""The C++ engine (`_core`), on torch.get_num_threads() threads: float32 on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gru4rec_fast import _core
from gru4rec_fast.config import OPTIMISER_PARAMETERS
from gru4rec_fast.engines.bounded_items import BoundedItems
from gru4rec_fast.engines.contract import (
    OptimiserState,
    new_state,
    not_float32,
    not_handled,
    unknown_cell,
    unknown_part,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.plan.block import StepBlock
    from gru4rec_fast.reference import Optimiser, Parameters
    from gru4rec_fast.spec import NetworkSpec

LOSS_FIELDS = ("bpreg", "logq", "sample_alpha", "smoothing")
CELLS = {(cell, one_hot) for cell in _core.cells() for one_hot in (False, True)}
HANDLED = frozenset(
    {
        "loss", *LOSS_FIELDS, "final_act", "elu_param",  # the last two: config.score_activation
        "adapt", "adapt_params", "learning_rate", "momentum", "lmbd",  # the optimiser
        "hidden_act", "feed_forward", "feed_forward_act",  # the network's structure
        "lr_schedule", "lr_final", "lr_warmup", "lr_decay",  # the rates of a block
        "grad_cap", "precision", "seed", "table_dtype",
    }
)  # fmt: skip


class CpuEngine:
    """`contract.Engine` by `_core`."""

    name = "cpu"
    half_tables = True

    def supports(
        self,
        spec: NetworkSpec,
        optimiser: Optimiser,
        config: Config,
        device: torch.device,
        dtype: torch.dtype,
    ) -> str | None:
        """Float32 on a CPU; the cells, losses and optimisers of `_core`."""
        parts = unknown_part(spec, optimiser, config, CELLS, _core.losses(), _core.optimisers())
        return parts or not_handled(config, HANDLED) or not_float32("cpu", device, dtype)

    def trainer(
        self,
        spec: NetworkSpec,
        p: Parameters,
        optimiser: Optimiser,
        config: Config,
        support: Tensor,
    ) -> CpuTrainer:
        """`contract.Engine.trainer`."""
        return CpuTrainer(spec, p, optimiser, config, support)

    def products(self, config: Config, device: torch.device) -> str:  # noqa: ARG002
        """`contract.Engine.products`."""
        precision = precision_of(config)
        instructions = _core.instructions_of_products(precision)
        if instructions == "float32":
            lacking = {
                "high": " (no AMX on this processor)",
                "medium": " (neither AMX nor AVX512-BF16 on this processor)",
            }
            return f"float32{lacking.get(precision, '')}"
        numbers = {"high": "two bfloat16 numbers each", "medium": "bfloat16 numbers"}[precision]
        return f"{numbers}, summed in float32 ({instructions})"

    def advances(self, spec: NetworkSpec, device: torch.device, dtype: torch.dtype) -> str | None:
        """Float32 on a CPU; the cells of `_core`."""
        return unknown_cell(spec, CELLS) or not_float32("cpu", device, dtype)

    def forward(self, spec: NetworkSpec, p: Parameters) -> CpuForward:
        """`contract.Engine.forward`."""
        return CpuForward(spec, p)

    def ranks(self, device: torch.device, dtype: torch.dtype) -> str | None:
        """Float32 on a CPU."""
        return not_float32("cpu", device, dtype)

    def ranker(self, w: Tensor, b: Tensor, bounds: bool = True) -> CpuRanker:
        """`contract.Engine.ranker`."""
        return CpuRanker(w, b, bounds)


def precision_of(config: Config) -> str:
    """`config.precision` on CPUs, where 'auto' is 'highest'."""
    return "highest" if config.precision == "auto" else config.precision


def optimiser_options(optimiser: Optimiser) -> dict[str, float]:
    """The numbers that `_core.Trainer` takes of an optimiser, by name."""
    own = zip(OPTIMISER_PARAMETERS.get(optimiser.name, {}), optimiser.parameters, strict=True)
    return {
        "learning_rate": optimiser.learning_rate,
        "momentum": optimiser.momentum,
        "lmbd": optimiser.l2,
        **dict(own),
    }


def zeros_on_huge_pages(like: Tensor, shape: Sequence[int], dtype: torch.dtype | None) -> Tensor:
    """`contract.new_zeros`, on huge pages where the system has them.

    The advice comes before the first write, which is the last moment at which it is cheap.
    """
    table = like.new_empty(shape, dtype=dtype)
    _core.advise_huge_pages(table.numpy())
    return table.zero_()


class CpuTrainer:
    """`contract.Trainer` of float32 parameters on the CPU."""

    planning_threads = 1

    def __init__(
        self,
        spec: NetworkSpec,
        p: Parameters,
        optimiser: Optimiser,
        config: Config,
        support: Tensor,
    ) -> None:
        self.optimiser_state: OptimiserState = new_state(
            optimiser, p, side_by_side=True, zeros=zeros_on_huge_pages
        )
        for value in p.values():
            if value.is_contiguous():
                _core.advise_huge_pages(memory_of(value))
        tables = [p, *self.optimiser_state.values()]
        parameters, *state = (
            {name: memory_of(value) for name, value in table.items()} for table in tables
        )
        self._trainer = _core.Trainer(
            spec=spec,
            parameters=parameters,
            optimiser=optimiser.name,
            optimiser_options=optimiser_options(optimiser),
            state=state,
            loss=config.loss,
            loss_options={name: getattr(config, name) for name in LOSS_FIELDS},
            activation=config.score_activation,
            grad_cap=config.grad_cap,
            batch_size=config.batch_size,
            seed=config.seed,
            support=support.numpy(),
            precision=precision_of(config),
        )

    @property
    def states(self) -> list[Tensor]:
        """`contract.Trainer.states`."""
        return [torch.from_numpy(state) for state in self._trainer.states]

    @states.setter
    def states(self, states: list[Tensor]) -> None:
        self._trainer.states = [state.numpy() for state in states]

    def start_epoch(self) -> None:
        """`contract.Trainer.start_epoch`."""
        self._trainer.start_epoch()

    def train_block(
        self, block: StepBlock, learning_rates: NDArray[np.float64] | None = None
    ) -> Tensor:
        """`contract.Trainer.train_block`."""
        threads = torch.get_num_threads()
        return torch.from_numpy(self._trainer.train_block(block, threads, learning_rates))


class CpuForward:
    """`contract.Forward` of float32 parameters on the CPU, by the layers of the training step.

    It uses no operation of torch that may share work among threads: in a process forked from one
    that did, such an operation waits for threads that are not there.
    """

    def __init__(self, spec: NetworkSpec, p: Parameters) -> None:
        arrays = {name: memory_of(value.contiguous()) for name, value in p.items()}
        self._forward = _core.Forward(spec=spec, parameters=arrays)

    def advance(
        self, items: Tensor, states: Sequence[Tensor], offsets: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor]:
        """`contract.Forward.advance`."""
        after, features = self._forward.advance(
            items.numpy(),
            [state.numpy() for state in states],
            None if offsets is None else offsets.numpy(),
            torch.get_num_threads(),
        )
        return [torch.from_numpy(state) for state in after], torch.from_numpy(features)


class CpuRanker:
    """`contract.Ranker` of float32 items on the CPU: every score is the same chain of operations.

    So a score depends neither on the tile, nor on the other rows, nor on the number of threads.
    """

    def __init__(self, w: Tensor, b: Tensor, bounds: bool = True) -> None:
        w, b = w.detach().contiguous(), b.detach().contiguous()
        self._items = memory_of(w), memory_of(b)
        self.bounded = BoundedItems(w, b, bounds)

    def rank_counts(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """`contract.Ranker.rank_counts`."""
        rows, threads = memory_of(features.contiguous()), torch.get_num_threads()
        bounded = self.bounded.of(len(rows))
        if bounded is None:
            greater, equal = _core.rank_counts(rows, *self._items, targets.numpy(), threads)
        else:
            greater, equal, counts = bounded.rank_counts(rows, targets.numpy(), threads)
            self.bounded.judge(counts)
        return torch.from_numpy(greater), torch.from_numpy(equal)

    def top_k(self, features: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """`contract.Ranker.top_k`."""
        rows, threads = memory_of(features.contiguous()), torch.get_num_threads()
        bounded = self.bounded.of(len(rows)) if 8 * k < len(self._items[0]) else None
        if bounded is None:
            best, items = _core.top_k(rows, *self._items, k, threads)
        else:
            best, items, counts = bounded.top_k(rows, k, threads)
            self.bounded.judge(counts)
        return torch.from_numpy(best), torch.from_numpy(items)

    def scores(self, features: Tensor, items: Tensor) -> Tensor:
        """`contract.Ranker.scores`."""
        found = _core.item_scores(
            memory_of(features.contiguous()), *self._items, items.numpy(), torch.get_num_threads()
        )
        return torch.from_numpy(found)


def memory_of(x: Tensor) -> NDArray[Any]:
    """The numbers of a tensor, in the same memory; of bfloat16 the bits, as uint16."""
    x = x.detach()
    if x.dtype == torch.bfloat16:
        return x.view(torch.int16).numpy().view(np.uint16)
    return x.numpy()
