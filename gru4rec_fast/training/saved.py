"""The tensors of a training that is saved and resumed, wherever they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gru4rec_fast.model.finite import is_finite, largest
from gru4rec_fast.training.state import optimiser_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.engines.contract import SavedTrainer
    from gru4rec_fast.model.network import Network
    from gru4rec_fast.model.tensor_file import Rows
    from gru4rec_fast.training.early_stopping import EarlyStopping


class SavedTraining(Protocol):
    """What a saver reads and restores of a training."""

    @property
    def config(self) -> Config:
        """Of the network."""

    @property
    def states(self) -> list[Tensor]:
        """`contract.SavedTrainer.states`, on the CPU or the network's device."""

    @states.setter
    def states(self, states: list[Tensor]) -> None: ...

    def not_finite(self) -> str | None:
        """The largest parameters as text if one is NaN or infinite, else None."""

    def tensors(self) -> Mapping[str, Rows]:
        """Parameters and optimiser state, by their names in a file."""

    def best(self) -> Mapping[str, Rows]:
        """The weights of the best epoch, by the names of parameters; empty if none are kept."""

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to the values of `tensors`; there may be more in a file."""

    def restored_best(self, best: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of `best` for `EarlyStopping.load`."""


class InProcess:
    """`SavedTraining` of a network and its trainer in this process."""

    def __init__(
        self, network: Network, trainer: SavedTrainer, stopping: EarlyStopping | None = None
    ) -> None:
        self._network, self._trainer, self._stopping = network, trainer, stopping
        self.config = network.config

    @property
    def states(self) -> list[Tensor]:
        """`SavedTraining.states`."""
        return self._trainer.states

    @states.setter
    def states(self, states: list[Tensor]) -> None:
        device = self._network.Wy.weight.device
        self._trainer.states = [h.to(device, copy=True) for h in states]

    def not_finite(self) -> str | None:
        """`SavedTraining.not_finite`."""
        parameters = self._network.parameter_dict()
        return None if all(map(is_finite, parameters.values())) else largest(parameters)

    def tensors(self) -> dict[str, Tensor]:
        """`SavedTraining.tensors`."""
        return {
            **self._network.parameter_dict(),
            **optimiser_tensors(self._trainer.optimiser_state),
        }

    def best(self) -> dict[str, Tensor]:
        """`SavedTraining.best`."""
        return {} if self._stopping is None else self._stopping.best_weights

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """`SavedTraining.restore`."""
        for name, value in self.tensors().items():
            value.copy_(tensors[name])

    def restored_best(self, best: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`SavedTraining.restored_best`."""
        p = self._network.parameter_dict()
        return {name: value.to(p[name].device, copy=True) for name, value in best.items()}
