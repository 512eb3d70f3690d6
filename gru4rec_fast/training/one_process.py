"""A training in one process, with the methods by which `distributed.fit.SharedFit` is one by
several.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from gru4rec_fast.model.network import Network
from gru4rec_fast.training.setup import trainer_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import torch
    from numpy.typing import NDArray

    from gru4rec_fast.config import Config
    from gru4rec_fast.data.data_iterator import DataIterator
    from gru4rec_fast.engines.contract import Trainer
    from gru4rec_fast.reference import Parameters
    from gru4rec_fast.training.checkpoint_folder import CheckpointFolder
    from gru4rec_fast.training.early_stopping import EarlyStopping
    from gru4rec_fast.training.progress import Hooks
    from gru4rec_fast.training.resume import Interval, TrainingSaver


class OneProcess:
    """What `fit` does otherwise than by several processes.

    Args:
        engine: as the user names it.
        device: where the model is trained.
        scorer: makes what the model is validated with between epochs.
    """

    n_ranks = n_here = 1
    first_is_here = True
    is_first = True
    """Whether this process writes files, calls back, and has the model after the training."""

    def __init__(self, engine: str, device: torch.device, scorer: Callable[[], Any]) -> None:
        self._asked, self._device = engine, device
        self.scorer = scorer

    def together(self) -> AbstractContextManager[None]:
        """There are no other processes to wait for."""
        return nullcontext()

    def require_same(self, identity: Callable[[], dict[str, Any]]) -> None:
        """There are no other processes to compare with."""

    def ending(self, forget: Callable[[], None]) -> AbstractContextManager[None]:  # noqa: ARG002
        """A training that ends in an error leaves its model as it is then."""
        return nullcontext()

    def network(self, config: Config, n_items: int, compatibility_mode: bool) -> Network:
        """A new network with its initial weights."""
        network = Network(config, n_items)
        network.initialise(compatibility_mode)
        return network.to(self._device).eval()

    def trainer(self, network: Network, support: NDArray[Any]) -> tuple[Trainer, str]:
        """`setup.trainer_of`."""
        self._network = network
        self._trainer, name = trainer_of(network, support, self._asked, self._device)
        return self._trainer, name

    def weights(self) -> Parameters:
        """What the trainer updates, by name."""
        return self._network.parameter_dict()

    def hooks(self, hooks: Hooks) -> Hooks:
        """The same hooks."""
        return hooks

    def saver(
        self,
        folder: CheckpointFolder | None,
        interval: Interval,
        items: DataIterator,
        stopping: EarlyStopping | None,
        identity: dict[str, Any],
    ) -> TrainingSaver:
        """What saves the training in the folder."""
        from gru4rec_fast.training.resume import TrainingSaver
        from gru4rec_fast.training.saved import InProcess

        if folder is None:
            raise RuntimeError("a training is saved in a folder")
        training = InProcess(self._network, self._trainer, stopping)
        return TrainingSaver(folder, interval, training, items, stopping, identity)

    def finish(self) -> Trainer:
        """The trainer, which has the state of the optimiser."""
        return self._trainer
