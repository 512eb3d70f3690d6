"""The model of all ranks as one, on rank 0: for callbacks, checkpoints, and the end of training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gru4rec_fast.engines.contract import OptimiserState, new_state

if TYPE_CHECKING:
    from torch import Tensor

    from gru4rec_fast.distributed.trainer import SharedTrainer
    from gru4rec_fast.model.network import Network


class WholeModel:
    """Parameters, optimiser state and lanes of all ranks; every method is for all ranks at once.

    Args:
        trainer: of this rank.
        network: on rank 0 what takes the parameters, None elsewhere.
    """

    def __init__(self, trainer: SharedTrainer, network: Network | None) -> None:
        self._trainer, self.network = trainer, network
        self.optimiser_state: OptimiserState = {}
        """Of all rows, on rank 0 after `gather`."""
        self.states: list[Tensor] = []
        """(M, states * H_l) of each layer after the last step, as those of one process."""

    def gather_parameters(self) -> None:
        """Bring the parameters to rank 0's network."""
        shards = self._trainer.shards
        p = None if self.network is None else self.network.parameter_dict()
        shards.gather([shards.p], None if p is None else [p])

    def gather(self) -> None:
        """Bring parameters, optimiser state and lanes to rank 0."""
        shards = self._trainer.shards
        self.gather_parameters()
        self._make_state()
        tables = list(self.optimiser_state.values())
        shards.gather(list(shards.state.values()), None if self.network is None else tables)
        self.states = self._trainer.states

    def scatter(self, lanes: bool) -> None:
        """Give rank 0's parameters and optimiser state to their owners, and lanes to their rank."""
        shards, ranks = self._trainer.shards, self._trainer.ranks
        p = None if self.network is None else self.network.parameter_dict()
        tables = list(self.optimiser_state.values())
        whole = None if p is None else [p, *tables]
        shards.scatter([shards.p, *shards.state.values()], whole)
        if not lanes:
            return
        live = ranks.on_first(lambda: len(self.states[0]))
        if self.network is None:
            like, layers = shards.p["By.weight"], shards.spec.layers
            self.states = [like.new_zeros(live, layer.state_width) for layer in layers]
        for states in self.states:
            ranks.broadcast(states)
        self._trainer.states = self.states

    def prepare(self) -> None:
        """Make room on rank 0 for what a saved training restores."""
        self._make_state()

    def _make_state(self) -> None:
        if self.network is not None and not self.optimiser_state:
            p = self.network.parameter_dict()
            self.optimiser_state = new_state(self._trainer.shards.optimiser, p)
