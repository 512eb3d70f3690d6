"""The model of all ranks as one, on rank 0: for callbacks, checkpoints, and the end of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from gru4rec_fast.distributed.served_rows import RowService, SharedRows
from gru4rec_fast.engines.contract import OptimiserState, new_state
from gru4rec_fast.model.finite import Magnitude, described, is_finite, magnitude
from gru4rec_fast.training.resume import BEST
from gru4rec_fast.training.state import OPTIMISER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.distributed.trainer import SharedTrainer
    from gru4rec_fast.model.network import Network
    from gru4rec_fast.training.early_stopping import EarlyStopping

T = TypeVar("T")


class WholeModel:
    """Parameters, optimiser state and lanes of all ranks: on rank 0 a `saved.SavedTraining`.

    Rank 0 uses the latter in a function that all ranks hand to `call`.

    Args:
        trainer: of this rank.
        network: on the device 'meta'; on rank 0 it gets the parameters.
    """

    def __init__(self, trainer: SharedTrainer, network: Network) -> None:
        self._trainer, self._network = trainer, network
        self._ranks = trainer.ranks
        self._stopping: EarlyStopping | None = None
        self._service: RowService | None = None
        self._not_finite: str | None = None
        self.config: Config = network.config
        self.states: list[Tensor] = []
        """(M, states * H_l) of each layer after the last step, as those of one process."""
        self.optimiser_state: OptimiserState = {}
        """Of all rows, on rank 0 after `gather`."""

    def follow(self, stopping: EarlyStopping | None) -> None:
        """Count the weights that early stopping keeps among the tensors."""
        self._stopping = stopping

    def gather_parameters(self) -> None:
        """Bring the parameters to rank 0's network."""
        self.call(self._fill_network)

    def drop_parameters(self) -> None:
        """Free the network's parameters, which the next step makes out of date."""
        self._network.to("meta")

    def gather(self) -> None:
        """Bring parameters and optimiser state to rank 0."""

        def fill() -> None:
            self._fill_network()
            p, optimiser = self._network.parameter_dict(), self._trainer.shards.optimiser
            self.optimiser_state = new_state(optimiser, p)
            for kind, tables in self.optimiser_state.items():
                for name, table in tables.items():
                    self.tensors()[f"{OPTIMISER}{kind}.{name}"].read_into(table)

        self.call(fill)

    def call(self, function: Callable[[], T]) -> T:
        """What a function returns on rank 0, which alone calls it; the others serve its rows."""
        self._service = RowService(self._trainer.shards, self._own_tensors())
        try:
            return self._service.call(function)
        finally:
            self._service = None

    def prepare_save(self) -> None:
        """Bring to rank 0 what it saves beside rows: the lanes, and whether weights are finite."""
        ranks, shards = self._ranks, self._trainer.shards
        self.states = self._trainer.states
        self._not_finite = None
        if all(ranks.all_gather_objects(all(map(is_finite, shards.p.values())))):
            return
        found = ranks.all_gather_objects({n: magnitude(x) for n, x in shards.p.items()})
        largest = dict(found[0])  # all ranks have the same weights beside the tables
        for name in shards.spec.tables:
            parts = [each[name] for each in found]
            largest[name] = Magnitude(sum(m.bad for m in parts), max(m.most for m in parts))
        self._not_finite = described(largest)

    def give_states(self) -> None:
        """Give rank 0's `states` to all ranks, which take their lanes."""
        ranks, shards = self._ranks, self._trainer.shards
        live = ranks.on_first(lambda: len(self.states[0]))
        if not ranks.is_first:
            like, layers = shards.p["By.weight"], shards.spec.layers
            self.states = [like.new_zeros(live, layer.state_width) for layer in layers]
        self.states = [states.clone() for states in self.states]  # not of the file
        for states in self.states:
            ranks.broadcast(states)
        self._trainer.states = self.states

    def not_finite(self) -> str | None:
        """`SavedTraining.not_finite`, at the time of `prepare_save`."""
        return self._not_finite

    def tensors(self) -> dict[str, SharedRows]:
        """`SavedTraining.tensors`, within `call`."""
        return {n: rows for n, rows in self._rows.items() if not n.startswith(BEST)}

    def best(self) -> dict[str, SharedRows]:
        """`SavedTraining.best`, within `call`."""
        return {n.removeprefix(BEST): x for n, x in self._rows.items() if n.startswith(BEST)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """`SavedTraining.restore`, within `call`."""
        for name, rows in self.tensors().items():
            rows.copy_(tensors[name])

    def restored_best(self, best: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`SavedTraining.restored_best`, within `call`: those of rank 0's own rows.

        All ranks have made room for theirs in `EarlyStopping.best_weights`.
        """
        for name, value in best.items():
            self.best()[name].copy_(value)
        return self._stopping.best_weights if best and self._stopping is not None else {}

    @property
    def _rows(self) -> dict[str, SharedRows]:
        if self._service is None:
            raise RuntimeError("the rows of all ranks are read within call()")
        return self._service.tensors

    def _own_tensors(self) -> dict[str, tuple[str, Tensor]]:
        """What this rank has of all tensors, by name in a file, and the parameter of each."""
        shards = self._trainer.shards
        own = {name: (name, value) for name, value in shards.p.items()}
        for kind, tables in shards.state.items():
            own |= {f"{OPTIMISER}{kind}.{name}": (name, table) for name, table in tables.items()}
        if self._stopping is not None:
            best = self._stopping.best_weights
            own |= {BEST + name: (name, value) for name, value in best.items()}
        return own

    def _fill_network(self) -> None:
        if self._network.Wy.weight.is_meta:
            self._network.to_empty(device="cpu")
        rows = self.tensors()
        for name, value in self._network.parameter_dict().items():
            rows[name].read_into(value)
