"""A published setting on a device: a model, generated sessions, and epochs of it by an engine."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch

from benchmarks.gpu_timing import wait
from benchmarks.launches import preset_config
from benchmarks.workloads import N_ITEMS, GeneratedSessions
from gru4rec_fast import reference
from gru4rec_fast.config import Config
from gru4rec_fast.engines import triton
from gru4rec_fast.engines.choice import ENGINES
from gru4rec_fast.engines.triton import TritonTrainer
from gru4rec_fast.model.network import Network
from gru4rec_fast.plan.epoch import plan_epoch
from gru4rec_fast.plan.lanes import DEFAULT_BLOCK_STEPS
from gru4rec_fast.plan.negatives import negative_sampler
from gru4rec_fast.training.pending_losses import PendingLosses

if TYPE_CHECKING:
    from gru4rec_fast.kernels.training_step import TrainingStep
    from gru4rec_fast.plan.epoch import EpochPlan

TINY: dict[str, Any] = {"layers": (8,), "batch_size": 4, "n_sample": 16}


def setting(name: str, check: bool) -> tuple[Config, int]:
    """The options and V of a published setting, or of 'tiny'; with `check` of its options alone.

    Raises:
        KeyError: no setting has this name.
    """
    if name == "tiny":
        return Config(momentum=0.1, dropout_p_hidden=0.2, **TINY), 60
    config = preset_config(name)
    return (config.replace(**TINY), 60) if check else (config, N_ITEMS.get(name, 50_000))


class Model:
    """A model with its trainer; `engine` as in `GRU4Rec(engine=…)`, `dependent_launches` of it."""

    def __init__(
        self,
        config: Config,
        n_items: int,
        device: torch.device,
        epoch_steps: int,
        engine: str,
        dependent_launches: bool = False,
    ) -> None:
        self.config, self.device = config, device
        self.sessions = GeneratedSessions.draw(n_items, int(1.3 * epoch_steps * config.batch_size))
        network = Network(config, n_items)
        network.initialise()
        self.network = network.to(device)
        self.p = self.network.parameter_dict()
        with patch.object(triton, "DEPENDENT_LAUNCHES", dependent_launches):
            self.trainer = ENGINES[engine].trainer(
                self.network.spec, self.p, reference.OPTIMISERS[config.adapt](config), config,
                torch.from_numpy(self.sessions.support).to(device),
            )  # fmt: skip
        self.steps = 0

    @property
    def step(self) -> TrainingStep:
        """Of the Triton engine."""
        assert isinstance(self.trainer, TritonTrainer)
        return self.trainer.step

    def blocks(self, block_steps: int = DEFAULT_BLOCK_STEPS) -> EpochPlan:
        """The planned blocks of an epoch."""
        sampler = negative_sampler(self.sessions.support, self.config.sample_alpha)
        return plan_epoch(
            self.sessions, sampler, batch_size=self.config.batch_size,
            n_sample=self.config.n_sample, seed=self.config.seed, first_step=self.steps,
            block_steps=block_steps, threads=self.trainer.planning_threads,
        )  # fmt: skip

    def train(self, most_steps: int, most_seconds: float) -> tuple[int, float]:
        """Steps and seconds of an epoch, or of its blocks until one of both is reached.

        Losses are read a block later, as `fit` reads them.

        Raises:
            FloatingPointError: a loss is not finite.
        """
        steps, pending = 0, list[PendingLosses]()
        self.trainer.start_epoch()
        wait(self.device)
        start = time.perf_counter()
        with self.blocks() as blocks:
            for block in blocks:
                pending.append(PendingLosses(self.trainer.train_block(block)))
                steps += len(block)
                self.steps += len(block)
                if len(pending) > 1:
                    _check(pending.pop(0))
                if steps >= most_steps or time.perf_counter() - start > most_seconds:
                    break
        for each in pending:
            _check(each)
        wait(self.device)
        return steps, time.perf_counter() - start

    def digest(self) -> str:
        """Of all bits of the parameters and of the optimiser's state."""
        digest = hashlib.sha256()
        for table in (self.p, *self.trainer.optimiser_state.values()):
            for name, value in table.items():
                digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def _check(losses: PendingLosses) -> None:
    values = losses.numpy()
    if not (abs(values) < float("inf")).all():
        raise FloatingPointError(f"a loss of {values} is not finite; expected numbers")
