"""What the tests of several ranks train: sessions, models, and the same steps in one process."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
import torch.distributed as dist

from gru4rec_fast import reference
from gru4rec_fast.config import Config
from gru4rec_fast.data.sessions import Sessions, load_sessions
from gru4rec_fast.distributed.cost import block_bytes
from gru4rec_fast.distributed.deal import config_of, sessions_of
from gru4rec_fast.distributed.owners import shard_of
from gru4rec_fast.distributed.plan import SharedPlans
from gru4rec_fast.distributed.ranks import Ranks
from gru4rec_fast.distributed.trainer import SharedTrainer
from gru4rec_fast.distributed.whole import WholeModel
from gru4rec_fast.engines.contract import new_state
from gru4rec_fast.engines.reference import ReferenceTrainer
from gru4rec_fast.model.network import Network
from gru4rec_fast.plan.epoch import plan_epoch
from gru4rec_fast.plan.negatives import negative_sampler
from gru4rec_fast.training.progress import Progress
from gru4rec_fast.training.setup import schedule_of

if TYPE_CHECKING:
    from torch import Tensor

    from gru4rec_fast.plan.block import StepBlock
    from gru4rec_fast.training.schedule import Schedule

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
WORSE: dict[str, Any] = {**FIT, "learning_rate": 0.02}
"""A model whose second epoch is worse than the first by `other_events`."""


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
    return events.assign(ItemId=V - 1 - events["ItemId"])


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


class Shared:
    """Two epochs of a case by all ranks together."""

    def __init__(self, ranks: Ranks, name: str, engine: str, dtype: torch.dtype) -> None:
        self.config = config = config_of_case(name)
        sessions = few_sessions()
        network = start(config, sessions, dtype)
        self._network = network
        p = {
            name: shard_of(value, ranks.rank, ranks.size)
            if name in network.spec.tables
            else value.clone()
            for name, value in network.parameter_dict().items()
        }
        own = config_of(config, ranks)
        optimiser = reference.OPTIMISERS[config.adapt](config)
        support = torch.from_numpy(sessions.support)
        self.trainer = SharedTrainer(
            ranks, engine, network.spec, p, optimiser, config, own, support
        )
        sampler = negative_sampler(sessions.support, config.sample_alpha)
        plans = SharedPlans(ranks, own, config.seed, sessions, sampler, network.spec, BLOCK)
        schedule = schedule_of(config, 1, EPOCHS, sessions.n_pairs)
        self.dry = False
        """Whether a step was computed by other ranks alone, as this one had no session left."""
        self.sent: list[tuple[int, int]] = []
        """Bytes that this rank sent in each block, and those that `step_bytes` says."""
        losses, progress = [], Progress()
        self.first: dict[str, Tensor] = {}
        """Parameters after the first block, whole on rank 0."""
        for epoch in range(1, EPOCHS + 1):
            self.trainer.start_epoch()
            progress.epoch, events = epoch, 0
            with plans(progress) as plan:
                for block in plan:
                    rates = rates_of(schedule, epoch, events, block.live)
                    before = ranks.bytes_sent
                    losses.append(self.trainer.train_block(block, rates))
                    expected = block_bytes(self.trainer, block)
                    self.sent.append((ranks.bytes_sent - before, expected))
                    self.first = self.first or self._parameters()
                    events += int(block.live.sum())
                    progress.first_step += len(block)
                    self.dry |= block.own_steps < len(block)
        self.losses = torch.cat(losses)

    def _parameters(self) -> dict[str, Tensor]:
        WholeModel(self.trainer, self._network).gather_parameters()
        return {n: value.clone() for n, value in self._network.parameter_dict().items()}

    def results(self) -> dict[str, Tensor]:
        """Parameters, optimiser state and losses, whole on rank 0."""
        whole = WholeModel(self.trainer, self._network)
        whole.gather()
        state = {
            f"{kind} of {name}": table
            for kind, tables in whole.optimiser_state.items()
            for name, table in tables.items()
        }
        return {**self._network.parameter_dict(), **state, "losses": self.losses}


def same_rows(run: Shared) -> None:
    """Give items 0 to 7 the row and the bias of item 0, so that they tie on all ranks."""
    shards = run.trainer.shards
    rank, size = shards.ranks.rank, shards.ranks.size
    for name in ("Wy.weight", "By.weight"):
        row = shards.p[name][:1].clone()
        dist.broadcast(row, 0)
        shards.p[name][: len(range(rank, 8, size))] = row


def rates_of(schedule: Schedule, epoch: int, events: int, live: Any) -> Any:
    """The learning rates of a block, None without a schedule."""
    return None if schedule.is_constant else schedule.rates(epoch, events, live)


def simulate(
    name: str, size: int, dtype: torch.dtype, steps_at_most: int | None = None
) -> dict[str, Tensor]:
    """The same as `train_shared` for any number of ranks, in this process by the reference.

    Every rank's gradients are computed from the whole tables, added up, and applied at once. With
    `steps_at_most` the parameters after so many steps are all that it returns.
    """
    config, sessions = config_of_case(name), few_sessions()
    network = start(config, sessions, dtype)
    spec, p = network.spec, network.parameter_dict()
    optimiser = reference.OPTIMISERS[config.adapt](config)
    state = new_state(optimiser, p)
    sampler = negative_sampler(sessions.support, config.sample_alpha)
    schedule = schedule_of(config, 1, EPOCHS, sessions.n_pairs)
    support = torch.from_numpy(sessions.support)
    own = [config_of(config, Ranks(rank, size)) for rank in range(size)]
    # What prepares the masks and keeps the lanes of each rank; it trains nothing.
    lanes = [
        ReferenceTrainer(spec, p, optimiser, config.replace(seed=c.seed), support) for c in own
    ]
    losses, first_step = [], 0
    for epoch in range(1, EPOCHS + 1):
        steps = [
            _steps(sessions, sampler, config, c, rank, size, epoch, first_step)
            for rank, c in enumerate(own)
        ]
        for each in lanes:
            each.start_epoch()
        events = 0
        n_steps = max(map(len, steps))
        for t in range(n_steps):
            live = np.array([sum(int(s[t][0].live[s[t][1]]) for s in steps if t < len(s))])
            rates = rates_of(schedule, epoch, events, live)
            if rates is not None:
                optimiser.learning_rate = float(rates[0])
            events += int(live[0])
            found = []
            loss = torch.zeros((), dtype=dtype)
            for rank_steps, rank_lanes in zip(steps, lanes, strict=True):
                if t >= len(rank_steps):
                    continue
                step = rank_lanes.prepared(*rank_steps[t])
                carried = [
                    reference.carry(h, step.source, step.restarts) for h in rank_lanes.states
                ]
                rank_loss, rank_lanes.states, gradients = reference.loss_and_gradients(
                    spec, p, carried, step.columns, step.touched, step.masks, support, config
                )
                loss += rank_loss
                found.append(gradients)
            total = reference.sum_over_ranks(found)
            if config.grad_cap > 0:
                reference.cap_gradients([g.values for g in total.values()], config.grad_cap)
            for parameter, g in total.items():
                tables = [table[parameter] for table in state.values()]
                if g.rows is None:
                    optimiser.update(p[parameter], tables, g.values)
                else:
                    rounded = None
                    if p[parameter].dtype == torch.bfloat16:
                        rounded = partial(
                            reference.rounded_rows, seed=config.seed, step=first_step + t,
                            table=int(parameter != "Wy.weight"),
                        )  # fmt: skip
                    reference.update_rows(
                        optimiser, p[parameter], tables, g.rows, g.values, rounded
                    )
            losses.append(loss)
            if first_step + t + 1 == steps_at_most:
                return p
        first_step += n_steps
    of_state = {f"{k} of {n}": t for k, tables in state.items() for n, t in tables.items()}
    return p | of_state | {"losses": torch.stack(losses)}


def _steps(
    sessions: Sessions,
    sampler: Any,
    config: Config,
    own: Config,
    rank: int,
    size: int,
    epoch: int,
    first_step: int,
) -> list[tuple[StepBlock, int]]:
    order = sessions.order
    if config.train_random_order:
        order = np.random.default_rng([config.seed, epoch]).permutation(order)
    with plan_epoch(
        sessions,
        sampler,
        batch_size=own.batch_size,
        n_sample=own.n_sample,
        seed=own.seed,
        first_step=first_step,
        order=sessions_of(order, rank, size),
    ) as plan:
        return [(block, t) for block in plan for t in range(len(block))]
