"""The oracle of training: the same steps by any engine and by the reference in float64.

`Run` trains planned blocks. `Run(..., engine="reference", dtype=torch.float64)` is the truth; the
error of another run is its distance from it.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from gru4rec_fast.engines.choice import ENGINES
from gru4rec_fast.model.network import Network
from gru4rec_fast.plan.block import StepBlock
from gru4rec_fast.reference import OPTIMISERS
from gru4rec_fast.training.setup import schedule_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from gru4rec_fast._core import Float64, LaneBlock
    from gru4rec_fast.config import Config
    from gru4rec_fast.engines.contract import Trainer

V = 200
STEPS = 20


def random_block(
    lanes: int, samples: int, n_items: int = V, steps: int = STEPS, first_step: int = 7
) -> StepBlock:
    """Steps with repeated items, restarts, and lanes that die in the middle and at the start."""
    rng = np.random.default_rng(lanes + samples)
    live = np.full(steps, lanes, np.int32)
    live[steps * 2 // 3 :] = max(2, lanes - 3)
    inputs = rng.integers(0, n_items, (steps, lanes)).astype(np.int32)
    targets = rng.integers(0, n_items // 4, (steps, lanes)).astype(np.int32)
    restarts = (rng.random((steps, lanes)) < 0.2).astype(np.uint8)
    source = np.tile(np.arange(lanes, dtype=np.int32), (steps, 1))
    source[steps * 2 // 3, : live[-1]] = np.sort(rng.permutation(lanes)[: live[-1]])
    dead = np.arange(lanes) >= live[:, None]
    inputs[dead], targets[dead], restarts[dead], source[dead] = 0, 0, 0, -1
    negatives = rng.integers(0, n_items, (steps, samples)).astype(np.int32)
    planned = SimpleNamespace(
        inputs=inputs,
        targets=targets,
        restarts=restarts,
        source=source,
        events=np.zeros((steps, lanes), np.int64),
        live=live,
    )
    return StepBlock.merge(first_step, cast("LaneBlock", planned), negatives)


def rates_of(config: Config, block: StepBlock) -> Float64 | None:
    """The rates of a block as the first of a training of two epochs; None without a schedule."""
    schedule = schedule_of(config, 1, 2, 2 * int(block.live.sum()))
    return None if schedule.is_constant else schedule.rates(1, 0, block.live)


class Run:
    """A network, its optimiser state, the lanes' states and the losses after some blocks.

    Args:
        config: the model's options.
        blocks: what is trained, one block after the other.
        engine: which engine trains; ignored with `make_trainer`.
        dtype: of the parameters.
        n_items: V.
        device: of the parameters.
        make_trainer: makes another trainer of (spec, p, optimiser, config, support).
        states: lanes' states before the first step, zeros if None.
    """

    def __init__(
        self,
        config: Config,
        blocks: StepBlock | Sequence[StepBlock],
        engine: str = "cpu",
        dtype: torch.dtype = torch.float32,
        n_items: int = V,
        *,
        device: torch.device | None = None,
        make_trainer: Callable[..., Trainer] | None = None,
        states: list[Tensor] | None = None,
    ) -> None:
        network = Network(config, n_items)
        network.initialise()
        rng = np.random.default_rng(5)
        for parameter in (p for p in network.parameters() if 1 in (p.dim(), p.shape[-1])):
            parameter.copy_(torch.from_numpy(rng.normal(0, 0.1, parameter.shape)))
        network.to(device or torch.device("cpu"), dtype)
        self.p = network.parameter_dict()
        self.initial = {name: value.clone() for name, value in self.p.items()}
        support = torch.from_numpy(rng.integers(1, 50, n_items)).to(network.Wy.weight.device)
        optimiser = OPTIMISERS[config.adapt](config)
        task = (network.spec, self.p, optimiser, config, support)
        self.trainer = (make_trainer or ENGINES[engine].trainer)(*task)
        self.trainer.start_epoch()
        if states is not None:
            self.trainer.states = [s.to(network.Wy.weight.device, dtype) for s in states]
        blocks = [blocks] if isinstance(blocks, StepBlock) else blocks
        self.losses = torch.cat(
            [self.trainer.train_block(block, rates_of(config, block)) for block in blocks]
        ).cpu()

    def tensors(self) -> dict[str, Tensor]:
        """All that training changes, by name."""
        found = {f"state {layer}": h for layer, h in enumerate(self.trainer.states)} | self.p
        for state, tables in self.trainer.optimiser_state.items():
            found |= {f"{state} of {name}": table for name, table in tables.items()}
        return {name: tensor.cpu() for name, tensor in found.items()}

    def error(self, truth: Run) -> dict[str, float]:
        """Largest difference from the truth: of tensors by their scale, of losses relative."""
        own = self.tensors()
        errors = {
            name: float((own[name].double() - t).abs().max() / t.abs().max())
            for name, t in truth.tensors().items()
        }
        return {**errors, "loss": float(((self.losses - truth.losses) / truth.losses).abs().max())}

    def differs_from(self, other: Run) -> list[str]:
        """Names of what is not equal bit for bit."""
        mine, theirs = self.tensors(), other.tensors()
        mine["losses"], theirs["losses"] = self.losses, other.losses
        return [name for name in mine if not torch.equal(mine[name], theirs[name])]


def truth_of(config: Config, blocks: StepBlock | Sequence[StepBlock], n_items: int = V) -> Run:
    """The same steps by the reference in float64."""
    return Run(config, blocks, "reference", torch.float64, n_items)
