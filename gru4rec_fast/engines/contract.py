"""What an engine is: something that trains a network, and something that ranks items.

An engine trains a model only if it knows all of its options. `supports` is an allow-list over
everything that training depends on: the cells of the network, the loss, the optimiser's class, and
every field of Config, which an engine either handles or requires at its default. A new option
therefore runs by the reference until an engine names it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

from gru4rec_fast.reference import OPTIMISERS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.plan.block import StepBlock
    from gru4rec_fast.reference import Optimiser, Parameters
    from gru4rec_fast.spec import NetworkSpec

OptimiserState = dict[str, dict[str, "Tensor"]]
"""Name of a state, as 'accumulator' -> name of a parameter -> tensor, see `new_state`."""


class SavedTrainer(Protocol):
    """What a training keeps beside the parameters, and is saved with them."""

    @property
    def optimiser_state(self) -> OptimiserState:
        """What the optimiser keeps of each parameter."""

    @property
    def states(self) -> list[Tensor]:
        """(M, states * H_l) of each layer: the lanes' states after the last step."""

    @states.setter
    def states(self, states: list[Tensor]) -> None: ...


class Trainer(SavedTrainer, Protocol):
    """Trains one network, planned block after planned block; made once for a fit.

    The parameters and the optimiser state are updated in place.
    """

    @property
    def planning_threads(self) -> int:
        """Threads that plan blocks while it trains; 1 where training itself takes the cores."""

    def start_epoch(self) -> None:
        """Set the states of all lanes to zero."""

    def train_block(
        self, block: StepBlock, learning_rates: NDArray[np.float64] | None = None
    ) -> Tensor:
        """Train the T steps of a block; returns their losses (T,) on the network's device.

        `learning_rates` (T,) has the rate of each step; None is the optimiser's own, for all
        blocks of a training or for none. It does not wait for the device.
        """


class Ranker(Protocol):
    """Scores of features (R, H) against the items w (V, H), b (V, 1) that it was made of.

    Items with equal rows and biases have equal scores.
    """

    def rank_counts(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Items scored above each row's target (R,), and equal to it, itself included (R,)."""

    def top_k(self, features: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and items (R, min(k, V)), best first; equal ones by ascending index."""

    def scores(self, features: Tensor, items: Tensor) -> Tensor:
        """Scores (R, n) of the given items (n,) int64."""


class Forward(Protocol):
    """The forward pass of one network, without dropout."""

    def advance(
        self, items: Tensor, states: Sequence[Tensor], offsets: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor]:
        """Feed R sessions their next events: new states (R, states * H_l), and features (R, F).

        items (E,) int64, those of session r are items[offsets[r]:offsets[r + 1]]; offsets (R + 1,)
        int64, or None for one event of each. `states` stay as they are. Features are those after
        the last event, 0 for a session without one. The bits of a session do not depend on the
        sessions beside it.
        """


class Engine(Protocol):
    """An implementation of training, of the forward pass alone, and of ranking."""

    name: str
    half_tables: bool
    """Whether it also advances and ranks with item tables in bfloat16, the rest being float32."""

    def supports(
        self,
        spec: NetworkSpec,
        optimiser: Optimiser,
        config: Config,
        device: torch.device,
        dtype: torch.dtype,
    ) -> str | None:
        """None if it trains exactly this, else the reason why it doesn't."""

    def trainer(
        self,
        spec: NetworkSpec,
        p: Parameters,
        optimiser: Optimiser,
        config: Config,
        support: Tensor,
    ) -> Trainer:
        """A trainer of the parameters p; support (V,) int64, events of each item."""

    def products(self, config: Config, device: torch.device) -> str:
        """How training multiplies there by `config.precision`, in words."""

    def advances(self, spec: NetworkSpec, device: torch.device, dtype: torch.dtype) -> str | None:
        """None if it has the forward pass of such a network, else the reason why it doesn't."""

    def forward(self, spec: NetworkSpec, p: Parameters) -> Forward:
        """The forward pass of the parameters p, which are read at each call."""

    def ranks(self, device: torch.device, dtype: torch.dtype) -> str | None:
        """None if it ranks items of this device and type, else the reason why it doesn't."""

    def ranker(self, w: Tensor, b: Tensor, bounds: bool = True) -> Ranker:
        """Ranks the items with rows w (V, H) and biases b (V, 1).

        With `bounds` it may keep a rounded copy of them to rank faster, with the same results.
        """


WITHOUT_ENGINE = frozenset(
    {
        "layers", "cell", "reset", "embedding", "constrained_embedding",  # the structure
        "dropout_p_embed", "dropout_p_hidden",  # likewise: its dropout sites
        "batch_size", "n_sample", "time_sort", "train_random_order",  # the plan
        "n_epochs", "sigma", "init_as_normal",  # the loop, the initial weights
    }
)  # fmt: skip
"""Fields of Config that engines meet in the network's structure and in planned blocks alone."""


def unknown_part(
    spec: NetworkSpec,
    optimiser: Optimiser,
    config: Config,
    cells: Collection[tuple[str, bool]],
    losses: Collection[str],
    optimisers: Collection[str],
) -> str | None:
    """Why an engine with these parts cannot train the model, None if it can.

    Cells are named with whether they take a one-hot input.
    The optimiser's class must be exactly that of the reference: a subclass computes something else.
    """
    cell = unknown_cell(spec, cells)
    if cell is not None:
        return cell
    if config.loss not in losses:
        return f"it has no loss {config.loss!r}"
    if optimiser.name not in optimisers or type(optimiser) is not OPTIMISERS[optimiser.name]:
        return f"it has no optimiser {type(optimiser).__name__}"
    return None


def unknown_cell(spec: NetworkSpec, cells: Collection[tuple[str, bool]]) -> str | None:
    """Why an engine with these cells cannot compute the network, None if it can."""
    for layer in spec.layers:
        if (layer.cell, layer.one_hot) not in cells:
            return f"it has no cell {layer.cell!r}{' of a one-hot input' * layer.one_hot}"
    return None


def not_handled(config: Config, handled: Collection[str]) -> str | None:
    """Why an engine that handles these fields cannot train `config`, None if it can."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if (
            field.name not in WITHOUT_ENGINE
            and field.name not in handled
            and value != field.default
        ):
            return f"it does not know {field.name}={value!r}"
    return None


def not_float32(expected: str, device: torch.device, dtype: torch.dtype) -> str | None:
    """Why an engine of float32 tensors on one type of device cannot take these, None if it can."""
    if device.type != expected:
        return f"it runs on {expected} devices, not on {device}"
    if str(dtype) != "torch.float32":
        return f"it computes in torch.float32, not in {dtype}"
    return None


def new_zeros(like: Tensor, shape: Sequence[int], dtype: torch.dtype | None) -> Tensor:
    """Zeros of that shape, of the dtype and on the device of `like`."""
    return like.new_zeros(shape, dtype=dtype)


def new_state(
    optimiser: Optimiser,
    p: Mapping[str, Tensor],
    side_by_side: bool = False,
    zeros: Callable[[Tensor, Sequence[int], torch.dtype | None], Tensor] = new_zeros,
) -> OptimiserState:
    """Zero state of each parameter. `side_by_side` puts all states of a row on one memory page.

    A TLB miss costs a processor about as much as to read the row. State of kind 'row'
    (`Optimiser.states`) has one number a row: (V, 1) of a matrix, (n,) of a vector. `zeros`
    allocates a table, unless the optimiser itself says how.
    """
    zeros = optimiser.zeros or zeros
    kinds = optimiser.state_kinds
    dtype = p["By.weight"].dtype if "By.weight" in p else None  # item tables may be bfloat16
    wide = [name for name, kind in kinds.items() if kind == "element"]
    state: OptimiserState = {name: {} for name in kinds}
    for parameter, value in p.items():
        axis = int(side_by_side and value.dim() == 2)  # along which the states lie
        shape = list(value.shape)
        shape.insert(axis, len(wide))
        tables = zeros(value, shape, dtype)
        for name, kind in kinds.items():
            if kind == "element":
                state[name][parameter] = tables.select(axis, wide.index(name))
            else:
                of_rows = [*value.shape[:1], 1][: value.dim()]
                state[name][parameter] = zeros(value, of_rows, dtype)
    return state
