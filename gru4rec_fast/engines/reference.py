"""The reference (`gru4rec_fast.reference`) as an engine: everything, on any device, in any type."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from gru4rec_fast import _core, reference
from gru4rec_fast.engines.contract import OptimiserState, new_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.plan.block import StepBlock
    from gru4rec_fast.reference import Optimiser, Parameters
    from gru4rec_fast.spec import DropoutSite, NetworkSpec


class ReferenceEngine:
    """`contract.Engine` by plain PyTorch."""

    name = "reference"
    half_tables = True

    def supports(
        self,
        spec: NetworkSpec,  # noqa: ARG002
        optimiser: Optimiser,  # noqa: ARG002
        config: Config,  # noqa: ARG002
        device: torch.device,  # noqa: ARG002
        dtype: torch.dtype,  # noqa: ARG002
    ) -> str | None:
        """Everything."""
        return None

    def trainer(
        self,
        spec: NetworkSpec,
        p: Parameters,
        optimiser: Optimiser,
        config: Config,
        support: Tensor,
    ) -> ReferenceTrainer:
        """`contract.Engine.trainer`."""
        return ReferenceTrainer(spec, p, optimiser, config, support)

    def products(self, config: Config, device: torch.device) -> str:  # noqa: ARG002
        """`contract.Engine.products`."""
        return {
            "high": "two bfloat16 numbers each, summed in PyTorch's own precision",
            "medium": "bfloat16 numbers, summed in PyTorch's own precision",
        }.get(config.precision, "PyTorch's own precision")

    def advances(
        self,
        spec: NetworkSpec,  # noqa: ARG002
        device: torch.device,  # noqa: ARG002
        dtype: torch.dtype,  # noqa: ARG002
    ) -> str | None:
        """All networks."""
        return None

    def forward(self, spec: NetworkSpec, p: Parameters) -> ReferenceForward:
        """`contract.Engine.forward`."""
        return ReferenceForward(spec, p)

    def ranks(self, device: torch.device, dtype: torch.dtype) -> str | None:  # noqa: ARG002
        """All items."""
        return None

    def ranker(self, w: Tensor, b: Tensor, bounds: bool = True) -> ReferenceRanker:  # noqa: ARG002
        """`contract.Engine.ranker`; it has no bounds."""
        return ReferenceRanker(w, b)


@dataclass(frozen=True)
class PreparedStep:
    """What a step reads of its plan, on the device of the parameters."""

    number: int
    """Of the step, through all epochs."""
    source: Tensor
    """(M,) int64"""
    restarts: Tensor
    """(M,) bool"""
    columns: Tensor
    """(N,) int64"""
    in_batch: int
    """How many of them are targets: M, unless other processes compute lanes of this step."""
    touched: dict[str, reference.Touched]
    masks: list[Tensor | None]


class ReferenceTrainer:
    """`contract.Trainer` by `reference.loss_and_gradients`, a step at a time."""

    planning_threads = 1

    def __init__(
        self,
        spec: NetworkSpec,
        p: Parameters,
        optimiser: Optimiser,
        config: Config,
        support: Tensor,
    ) -> None:
        self.optimiser_state: OptimiserState = new_state(optimiser, p)
        self._spec, self._p, self._config, self._support = spec, p, config, support
        self._optimiser = optimiser
        self.start_epoch()

    def start_epoch(self) -> None:
        """`contract.Trainer.start_epoch`."""
        like, lanes = self._p["By.weight"], self._config.batch_size
        self.states = [like.new_zeros(lanes, layer.state_width) for layer in self._spec.layers]

    def train_block(
        self, block: StepBlock, learning_rates: NDArray[np.float64] | None = None
    ) -> Tensor:
        """`contract.Trainer.train_block`."""
        losses = self.states[0].new_empty(len(block))
        for t in range(len(block)):
            if learning_rates is not None:
                self._optimiser.learning_rate = float(learning_rates[t])
            losses[t] = self.train_prepared(self.prepared(block, t))
        return losses

    def prepared(self, block: StepBlock, t: int) -> PreparedStep:
        """Step t of a block as tensors on the device."""
        m, device = int(block.live[t]), self.states[0].device
        inputs = torch.from_numpy(block.inputs[t, :m]).long()
        targets = torch.from_numpy(block.targets[t, :m]).long()
        columns = torch.cat([targets, torch.from_numpy(block.negatives[t]).long()])
        in_batch = int(block.target_count[t].sum())
        touched = reference.touched_rows(self._spec, inputs, columns)
        masks: list[Tensor | None] = [None] * self._spec.n_sites
        for site, width in self._spec.dropout_sites.items():
            masks[site.number] = self._mask(block, t, site, width)
        return PreparedStep(
            number=block.first_step + t,
            source=torch.from_numpy(block.source[t, :m]).long().to(device, non_blocking=True),
            restarts=torch.from_numpy(block.restarts[t, :m]).bool().to(device, non_blocking=True),
            columns=columns.to(device, non_blocking=True),
            in_batch=in_batch,
            touched={name: rows.to(device) for name, rows in touched.items()},
            masks=masks,
        )

    def train_prepared(self, step: PreparedStep) -> Tensor:
        """Train a step; returns its loss."""
        loss, self.states, gradients = reference.loss_and_gradients(
            self._spec,
            self._p,
            [reference.carry(state, step.source, step.restarts) for state in self.states],
            step.columns,
            step.touched,
            step.masks,
            self._support,
            self._config,
            step.in_batch,
        )
        if self._config.grad_cap > 0:
            reference.cap_gradients([g.values for g in gradients.values()], self._config.grad_cap)
        for name, gradient in gradients.items():
            theta = self._p[name]
            state = [tables[name] for tables in self.optimiser_state.values()]
            if gradient.rows is None:
                self._optimiser.update(theta, state, gradient.values)
            else:
                rounded = None
                if theta.dtype == torch.bfloat16:
                    table = int(name != "Wy.weight")
                    rounded = partial(
                        reference.rounded_rows,
                        seed=self._config.seed, step=step.number, table=table,
                    )  # fmt: skip
                reference.update_rows(
                    self._optimiser, theta, state, gradient.rows, gradient.values, rounded
                )
        return loss

    def _mask(self, block: StepBlock, t: int, site: DropoutSite, columns: int) -> Tensor | None:
        if site.rate == 0:
            return None
        seed, like = self._config.seed, self.states[0]
        rows = block.first_lane + int(block.live[t])
        step = block.first_step + t
        mask = _core.dropout_mask(seed, step, site.number, rows, columns, site.rate)
        mask = mask[block.first_lane :]
        return torch.from_numpy(mask).to(like.device, like.dtype, non_blocking=True)


class ReferenceForward:
    """`contract.Forward` by `reference.advance`.

    Matrix products of other shapes round differently, so lanes are advanced in chunks of one fixed
    height, the last one padded.
    """

    LANES = 64

    def __init__(self, spec: NetworkSpec, p: Parameters) -> None:
        self._spec, self._p = spec, p

    @torch.no_grad()
    def advance(
        self, items: Tensor, states: Sequence[Tensor], offsets: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor]:
        """`contract.Forward.advance`."""
        if offsets is None:
            return self._step(items, states)
        states = [state.clone() for state in states]
        first, lengths = offsets[:-1].to(items.device), offsets.diff().to(items.device)
        features = states[0].new_zeros(len(lengths), self._spec.features)
        for t in range(int(lengths.max()) if len(lengths) else 0):
            live = torch.nonzero(lengths > t)[:, 0]
            after, features[live] = self._step(items[first[live] + t], [h[live] for h in states])
            for state, new in zip(states, after, strict=True):
                state[live] = new
        return states, features

    def _step(self, items: Tensor, states: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        x = self._p[self._spec.input_table][items].to(self._p["By.weight"].dtype)
        masks = [None] * self._spec.n_sites
        chunks = [slice(r, r + self.LANES) for r in range(0, len(items), self.LANES)] or [slice(0)]
        advanced = [
            reference.advance(
                self._spec,
                self._p,
                padded(x[rows], self.LANES),
                [padded(state[rows], self.LANES) for state in states],
                masks,
            )
            for rows in chunks
        ]
        new_states = zip(*(states for states, _ in advanced), strict=True)
        after = [torch.cat(layer)[: len(items)] for layer in new_states]
        return after, torch.cat([features for _, features in advanced])[: len(items)]


def padded(x: Tensor, rows: int) -> Tensor:
    """X with zero rows added up to the given number."""
    if len(x) == rows:
        return x
    return torch.cat([x, x.new_zeros(rows - len(x), *x.shape[1:])])


class ReferenceRanker:
    """`contract.Ranker` by the reference, with equal items grouped once."""

    def __init__(self, w: Tensor, b: Tensor) -> None:
        self._score_tile = reference.item_scores(w, b)
        self._groups = reference.ItemGroups.of(w, b)

    def rank_counts(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """`contract.Ranker.rank_counts`."""
        return reference.rank_counts(features, targets, self._score_tile, self._groups)

    def top_k(self, features: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """`contract.Ranker.top_k`."""
        return reference.top_k(features, k, self._score_tile, self._groups)

    def scores(self, features: Tensor, items: Tensor) -> Tensor:
        """`contract.Ranker.scores`."""
        groups, column = torch.unique(self._groups.group[items], return_inverse=True)
        return self._score_tile(features, self._groups.first[groups])[:, column]
