"""What the tests of several ranks train, by them and in one process."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
import torch.distributed as dist

from gru4rec_fast import reference
from gru4rec_fast.config import Config
from gru4rec_fast.data.sessions import Sessions, load_sessions
from gru4rec_fast.distributed.cost import block_bytes
from gru4rec_fast.distributed.trainer import SharedTrainer
from gru4rec_fast.distributed.whole import WholeModel
from gru4rec_fast.engines.choice import ENGINES
from gru4rec_fast.model.network import Network
from gru4rec_fast.plan.epoch import epoch_order, plan_epoch
from gru4rec_fast.plan.negatives import negative_sampler
from gru4rec_fast.training.setup import schedule_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from gru4rec_fast.distributed.ranks import Ranks
    from gru4rec_fast.engines.contract import OptimiserState, Trainer
    from gru4rec_fast.plan.block import StepBlock

V = 60
EPOCHS = 2
BLOCK = 5
GRAD_CAP = 0.28
"""Below the norm of some steps, and above that of others."""
CASES: dict[str, dict[str, Any]] = {
    "shared": {"momentum": 0.2, "lmbd": 0.01, "dropout_p_hidden": 0.3, "dropout_p_embed": 0.2},
    "separate": {
        "constrained_embedding": False, "embedding": 7, "adapt": "adam", "learning_rate": 0.01,
        "logq": 0.8, "cell": "lstm", "layers": (12, 9), "feed_forward": (8,),
        "precision": "highest",
    },
    "one-hot": {
        "constrained_embedding": False, "adapt": "adagrad-rowwise", "loss": "bpr-max",
        "train_random_order": True, "lr_schedule": "linear", "n_sample": 0,
    },
    "capped": {"adapt": "sgd", "momentum": 0.2, "grad_cap": GRAD_CAP},
    "half": {
        "constrained_embedding": False, "embedding": 7, "table_dtype": "bfloat16",
        "learning_rate": 0.01,
    },
}  # fmt: skip
"""Options of each model, so that each kind of table, optimiser state and weight occurs."""
FLOAT = [name for name in CASES if name != "half"]
"""Models of numbers of one type, which can be float64."""


def config_of_case(name: str) -> Config:
    """The configuration of a case: 9 lanes and 13 negatives, which no number of ranks divides."""
    return Config().replace(
        **{"layers": (11,), "batch_size": 9, "n_sample": 13, "seed": 5, **CASES[name]}
    )


FIT: dict[str, Any] = {
    "layers": 11, "batch_size": 9, "n_sample": 13, "n_epochs": 2, "device": "cpu", "momentum": 0.2,
    "dropout_p_hidden": 0.3,
}  # fmt: skip
"""The model of the tests of `fit`."""
WORSE: dict[str, Any] = {**FIT, "learning_rate": 0.05, "table_dtype": "bfloat16"}
"""A model whose second epoch is worse than the first by `other_events`: recall 0.35 after 0.44.
Its tables are in bfloat16, so that they are validated, saved and gathered too."""
NEGATIVES = (np.arange(7 * 13).reshape(7, 13) * 11) % V
"""Given ones for it."""


def few_events() -> pd.DataFrame:
    """90 sessions, whose items follow a steep law: the ranks touch the same rows."""
    rng = np.random.default_rng(3)
    lengths = rng.integers(1, 9, 90)
    items = (V * rng.random(lengths.sum()) ** 2).astype(np.int64)
    return pd.DataFrame(
        {
            "SessionId": np.repeat(np.arange(90), lengths),
            "ItemId": np.concatenate([items[:-V], np.arange(V)]),
            "Time": np.arange(lengths.sum()),
        }
    )


def other_events() -> pd.DataFrame:
    """Sessions of the same items by another law."""
    events = few_events()
    return events.assign(ItemId=(7 * events["ItemId"] + 20) % V)


def few_sessions() -> Sessions:
    """Those of `few_events`."""
    return load_sessions(few_events())


def start(config: Config, sessions: Sessions, dtype: torch.dtype) -> Network:
    """The network before training, with biases that are not zero."""
    network = Network(config, sessions.n_items)
    network.initialise()
    rng = np.random.default_rng(5)
    for parameter in (p for p in network.parameters() if 1 in (p.dim(), p.shape[-1])):
        parameter.copy_(torch.from_numpy(rng.normal(0, 0.1, parameter.shape)))
    return network if config.table_dtype == "bfloat16" else network.to(dtype=dtype)


class Run:
    """Two epochs of a case by a trainer.

    Args:
        name: of the case.
        trainer: what trains, from the network of `start`.
        parameters: what gives its parameters.
    """

    def __init__(
        self, name: str, trainer: Trainer, parameters: Callable[[], dict[str, Tensor]]
    ) -> None:
        config, sessions = config_of_case(name), few_sessions()
        sampler = negative_sampler(sessions.support, config.sample_alpha)
        schedule = schedule_of(config, 1, EPOCHS, sessions.n_pairs)
        self.fewest = config.batch_size
        """Lanes of the step that has the fewest."""
        self.sent: list[tuple[int, int]] = []
        """Bytes that a `SharedTrainer` sent in each block, and those that `block_bytes` says."""
        self.first: dict[str, Tensor] = {}
        """Parameters after the first block."""
        losses, first_step = [], 0
        for epoch in range(1, EPOCHS + 1):
            trainer.start_epoch()
            events, before = 0, config.batch_size
            with plan_epoch(
                sessions, sampler, batch_size=config.batch_size, n_sample=config.n_sample,
                seed=config.seed, first_step=first_step, block_steps=BLOCK,
                order=epoch_order(sessions, config.train_random_order, config.seed, epoch),
            ) as plan:  # fmt: skip
                for block in plan:
                    rates = None
                    if not schedule.is_constant:
                        rates = schedule.rates(epoch, events, block.live)
                    sent = _sent(trainer)
                    losses.append(trainer.train_block(block, rates))
                    if isinstance(trainer, SharedTrainer):
                        expected = block_bytes(trainer, block, moves(block, before))
                        self.sent.append((_sent(trainer) - sent, expected))
                    self.first = self.first or {n: x.clone() for n, x in parameters().items()}
                    before = int(block.live[-1])
                    self.fewest = min(self.fewest, int(block.live.min()))
                    events += int(block.live.sum())
                    first_step += len(block)
        self.losses = torch.cat(losses)


def _sent(trainer: Trainer) -> int:
    return trainer.ranks.bytes_sent if isinstance(trainer, SharedTrainer) else 0


def moves(block: StepBlock, before: int) -> int:
    """In how many steps of a block states move; `before` are the live lanes of the step before."""
    lives = [before, *block.live.tolist()]
    return sum(
        old != new and not block.restarts[t, :new].all()
        for t, (old, new) in enumerate(itertools.pairwise(lives))
    )


class Shared:
    """Two epochs of a case by all ranks together."""

    def __init__(
        self, ranks: Ranks, name: str, engine: str, dtype: torch.dtype, by_memory: bool = True
    ) -> None:
        self.config = config = config_of_case(name)
        sessions = few_sessions()
        self.network = network = start(config, sessions, dtype)
        optimiser = reference.OPTIMISERS[config.adapt](config)
        support = torch.from_numpy(sessions.support)

        def fill(own: dict[str, Tensor]) -> None:
            for name, value in network.parameter_dict().items():
                table = name in network.spec.tables
                own[name].copy_(value[ranks.rank :: ranks.size] if table else value)

        self.trainer = SharedTrainer(
            ranks, engine, network.spec, fill, optimiser, config, support, by_memory, dtype
        )
        self.whole = WholeModel(self.trainer, network)
        self.run = Run(name, self.trainer, self._parameters)

    def _parameters(self) -> dict[str, Tensor]:
        self.whole.gather_parameters()
        return self.network.parameter_dict()

    def results(self) -> dict[str, Tensor]:
        """Parameters, optimiser state and losses, whole on rank 0."""
        self.whole.gather()
        state = by_name(self.whole.optimiser_state)
        return {**self.network.parameter_dict(), **state, "losses": self.run.losses}


def by_name(state: OptimiserState) -> dict[str, Tensor]:
    """The tables of an optimiser state."""
    return {f"{kind} of {n}": t for kind, tables in state.items() for n, t in tables.items()}


def alone(name: str, engine: str, dtype: torch.dtype) -> tuple[dict[str, Tensor], Run]:
    """The results in one process by an engine, and how it ran."""
    config, sessions = config_of_case(name), few_sessions()
    network = start(config, sessions, dtype)
    p = network.parameter_dict()
    optimiser = reference.OPTIMISERS[config.adapt](config)
    support = torch.from_numpy(sessions.support)
    trainer = ENGINES[engine].trainer(network.spec, p, optimiser, config, support)
    run = Run(name, trainer, lambda: p)
    return p | by_name(trainer.optimiser_state) | {"losses": run.losses}, run


def same_rows(run: Shared) -> None:
    """Give items 0 to 7 the row and the bias of item 0, so that they tie on all ranks."""
    shards = run.trainer.shards
    rank, size = shards.ranks.rank, shards.ranks.size
    for name in ("Wy.weight", "By.weight"):
        row = shards.p[name][:1].clone()
        dist.broadcast(row, 0)
        shards.p[name][: len(range(rank, 8, size))] = row
