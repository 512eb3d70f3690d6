"""`fit` by several ranks: what differs from a training in one process."""

from __future__ import annotations

import platform
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from gru4rec_fast.distributed.lanes import require_lanes
from gru4rec_fast.distributed.saver import SharedSaver
from gru4rec_fast.distributed.scorer import ShardedScorer
from gru4rec_fast.distributed.trainer import SharedTrainer
from gru4rec_fast.distributed.whole import WholeModel
from gru4rec_fast.engines import choice
from gru4rec_fast.engines.contract import not_handled
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.model.initial import EveryNth, draw_parameters
from gru4rec_fast.model.network import Network
from gru4rec_fast.reference import OPTIMISERS
from gru4rec_fast.training.identity import differences
from gru4rec_fast.training.progress import asks_to_stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from gru4rec_fast.config import Config
    from gru4rec_fast.data.data_iterator import DataIterator
    from gru4rec_fast.distributed.ranks import Ranks
    from gru4rec_fast.reference import Parameters
    from gru4rec_fast.training.checkpoint_folder import CheckpointFolder
    from gru4rec_fast.training.early_stopping import EarlyStopping
    from gru4rec_fast.training.progress import Hooks
    from gru4rec_fast.training.report import BlockReport, EpochReport
    from gru4rec_fast.training.resume import Interval

ENGINES = ("cpu", "reference")
"""Those that can return gradients."""
HANDLED = frozenset(
    {
        "loss", "bpreg", "logq", "smoothing", "sample_alpha", "final_act", "elu_param",
        "adapt", "adapt_params", "learning_rate", "momentum", "lmbd",
        "hidden_act", "feed_forward", "feed_forward_act",
        "lr_schedule", "lr_final", "lr_warmup", "lr_decay", "grad_cap", "precision", "seed",
        "table_dtype",
    }
)  # fmt: skip
"""Fields of Config that several ranks compute with, beside `contract.WITHOUT_ENGINE`: an allow-list
as that of an engine."""


class SharedFit:
    """One training by all ranks, which make and use this together.

    Args:
        ranks: of the process group.
        config: the hyper-parameters.
        engine: as the user names it.
        device: where the model is trained.

    Raises:
        ParameterError: an option that several ranks do not support.
    """

    def __init__(self, ranks: Ranks, config: Config, engine: str, device: torch.device) -> None:
        self.ranks, self._config = ranks, config
        self._device, self._asked = device, engine
        unknown = not_handled(config, HANDLED)
        if unknown is not None:
            raise ParameterError(
                f"training by {ranks.size} ranks is refused: {unknown}. Leave it at its default, "
                "or train in one process"
            )
        if device.type != "cpu":
            raise self._refused(
                f"device={str(device)!r}", "they compute on CPUs: pass device='cpu'"
            )
        require_lanes(config, ranks.size)
        self.n_ranks = ranks.size
        self.is_first = ranks.is_first
        """Whether this rank writes files, calls back, and has the model after the training."""
        machines = ranks.all_gather_objects(platform.node())
        self.n_here = machines.count(machines[ranks.rank])
        """How many ranks run on this machine."""
        self.first_is_here = machines[0] == machines[ranks.rank]
        self._leave: Callable[[], None] | None = None

    def _refused(self, what: str, why: str) -> ParameterError:
        return ParameterError(f"{what} is not for training by {self.ranks.size} ranks: {why}")

    @contextmanager
    def together(self) -> Iterator[None]:
        """A block behind which all ranks go on, or none: what one rank raises, all raise."""
        try:
            yield
        except BaseException as error:
            self.ranks.require_all(error)
            raise
        self.ranks.require_all(None)

    def require_same(self, identity: Callable[[], dict[str, Any]]) -> None:
        """Refuse ranks that would not compute the same training as rank 0.

        Raises:
            ParameterError: the difference, on all ranks.
        """
        first, *others = self.ranks.all_gather_objects(identity())
        for rank, other in enumerate(others, start=1):
            found = differences(first, other)
            if found:
                raise ParameterError(
                    f"rank {rank} (here) would train otherwise than rank 0 (there): {found}. Give "
                    "all ranks the same arguments and the same logs"
                )

    @contextmanager
    def ending(self, forget: Callable[[], None]) -> Iterator[None]:
        """A block that leaves no part of a model behind when it ends in an error."""
        try:
            yield
        except BaseException:
            forget()
            if self._leave is not None:
                self._leave()
            raise

    def network(self, config: Config, n_items: int, compatibility_mode: bool) -> Network:
        """A new network without memory; `trainer` draws this rank's rows of its tables."""
        network = Network(config, n_items, device="meta").eval()
        kept = EveryNth(n_items, self.ranks.rank, self.ranks.size)
        self._draw = partial(
            draw_parameters, network.spec, config,
            compatibility_mode=compatibility_mode, kept=kept,
        )  # fmt: skip
        return network

    def trainer(self, network: Network, support: NDArray[Any]) -> tuple[SharedTrainer, str]:
        """The trainer of this rank, and the name of its engine.

        Raises:
            ParameterError: an engine that cannot return gradients.
        """
        config, spec = self._config, network.spec
        optimiser = OPTIMISERS[config.adapt](config)
        engine = choice.for_training(
            self._asked, spec, optimiser, config, self._device, torch.float32
        ).name
        if engine not in ENGINES:
            raise self._refused(f"engine={engine!r}", f"pass one of {', '.join(ENGINES)}")
        self._trainer = SharedTrainer(
            self.ranks, engine, spec, self._draw, optimiser, config, torch.from_numpy(support)
        )
        self._leave = self._trainer.exchange.leave
        self._engine = engine
        self.whole = WholeModel(self._trainer, network)
        return self._trainer, engine

    def weights(self) -> Parameters:
        """What the trainer of this rank updates, by name."""
        return self._trainer.shards.p

    def hooks(self, hooks: Hooks) -> Hooks:
        """Hooks by which rank 0 calls back, with the model of all ranks, and all do as it says."""

        def on_epoch(report: EpochReport) -> bool:
            called = self.ranks.on_first(lambda: hooks.on_epoch is not None)
            if called:
                self.whole.gather_parameters()
            stop = self.ranks.on_first(lambda: asks_to_stop(hooks.on_epoch, report))
            if called:
                self.whole.drop_parameters()
            return stop

        def on_block(report: BlockReport) -> bool:
            return self.ranks.on_first(lambda: asks_to_stop(hooks.on_block, report))

        return replace(hooks, on_epoch=on_epoch, on_block=on_block)

    def scorer(self) -> ShardedScorer:
        """The scorer of the model as it is now."""
        return ShardedScorer(self._trainer.shards, self._config, self._engine)

    def saver(
        self,
        folder: CheckpointFolder | None,
        interval: Interval,
        items: DataIterator,
        stopping: EarlyStopping | None,
        identity: dict[str, Any],
    ) -> SharedSaver:
        """What saves the training; `folder` is that of rank 0, None elsewhere."""
        return SharedSaver(self._trainer, self.whole, folder, interval, items, stopping, identity)

    def finish(self) -> WholeModel:
        """Bring the model to rank 0's network; returns what has the state of its optimiser."""
        self.whole.gather()
        return self.whole
