"""The structure of a network as data, made once from `Config`.

Model, reference, engines and checkpoint read it, so that none of them guesses the structure from
the names of parameters. What a cell computes stands in `reference/cells.py`.

Letters: V items, K inputs of a layer, H its units.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gru4rec_fast.config import Config

Shape = tuple[int, ...]


@dataclass(frozen=True)
class CellKind:
    """How many gates and carried states a cell has, and the shapes of its weights.

    `weights(K, H)` names them in the order in which every implementation takes them. A cell with a
    one-hot input selects a row (gates * H) of its input table, so K is gates * H there.
    """

    gates: int
    states: int
    weights: Callable[[int, int], dict[str, Shape]]
    blocks: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Matrices that are several gates' own side by side: how many, and along which axis."""


CELLS: dict[str, CellKind] = {
    "gru-reset-after": CellKind(
        gates=3,
        states=1,
        weights=lambda K, H: {
            "weight_ih": (3 * H, K),
            "weight_hh": (3 * H, H),
            "bias_ih": (3 * H,),
            "bias_hh": (3 * H,),
        },
        blocks={"weight_ih": (3, 0), "weight_hh": (3, 0)},
    ),
    "gru-reset-before": CellKind(
        gates=3,
        states=1,
        weights=lambda _, H: {"Wrz0": (H, 2 * H), "Wh0": (H, H), "Bh0": (3 * H,)},
        blocks={"Wrz0": (2, 1)},
    ),
}
"""The cells of SPEC section 3 by name; their equations are in `reference.cells.CELLS`."""


@dataclass(frozen=True)
class DropoutSite:
    """A place where dropout falls: the number of its random stream, and the rate, 0 for none."""

    number: int
    rate: float


@dataclass(frozen=True)
class LayerSpec:
    """A recurrent layer of K inputs and H units."""

    cell: str
    """A key of CELLS."""
    prefix: str
    """What the names of its weights begin with, as 'G.0.'."""
    inputs: int
    units: int
    dropout: DropoutSite
    """Of the new state, which is handed on and carried."""

    @property
    def weights(self) -> dict[str, Shape]:
        """Full name -> shape of the layer's weights, in the order of `CellKind.weights`."""
        shapes = CELLS[self.cell].weights(self.inputs, self.units)
        return {self.prefix + name: shape for name, shape in shapes.items()}

    @property
    def state_width(self) -> int:
        """Columns of the carried state: those of the hidden state, then of further states."""
        return CELLS[self.cell].states * self.units


@dataclass(frozen=True)
class NetworkSpec:
    """A network: the table that inputs are read from, the layers, and the output's V items."""

    n_items: int
    input_table: str
    """'Wy.weight' (shared with the output), 'E.weight', or of a one-hot input 'GE.Wx0.weight'."""
    input_dropout: DropoutSite
    """Of the rows that are read; with a one-hot input it falls on the first layer's state."""
    layers: tuple[LayerSpec, ...]
    """From the input up."""

    @classmethod
    def of(cls, config: Config, n_items: int) -> NetworkSpec:
        """The structure that `config` asks for (SPEC section 3)."""
        one_hot = not config.constrained_embedding and not config.embedding
        embedding = DropoutSite(0, config.dropout_p_embed)
        layers: list[LayerSpec] = []
        inputs = config.embedding or config.layers[-1]
        for units in config.layers:
            if one_hot and not layers:
                width = CELLS["gru-reset-before"].gates * units
                layer = LayerSpec("gru-reset-before", "GE.", width, units, embedding)
            else:
                prefix = f"G.{len(layers) - one_hot}."
                dropout = DropoutSite(len(layers) + 1, config.dropout_p_hidden)
                layer = LayerSpec("gru-reset-after", prefix, inputs, units, dropout)
            layers.append(layer)
            inputs = units
        return cls(
            n_items,
            "GE.Wx0.weight" if one_hot else "E.weight" if config.embedding else "Wy.weight",
            DropoutSite(0, 0.0) if one_hot else embedding,
            tuple(layers),
        )

    @property
    def shared(self) -> bool:
        """Whether inputs are read from the output's table."""
        return self.input_table == "Wy.weight"

    @property
    def one_hot(self) -> bool:
        """Whether an input selects a row of the first layer's input weights."""
        return self.input_table == "GE.Wx0.weight"

    @property
    def dropout_sites(self) -> dict[DropoutSite, int]:
        """Each place where dropout can fall, and how many columns it has."""
        sites = {layer.dropout: layer.units for layer in self.layers}
        return sites if self.one_hot else {self.input_dropout: self.layers[0].inputs} | sites

    @property
    def tables(self) -> dict[str, Shape]:
        """Name -> shape of the tables with a row for each item, of which a step touches a few."""
        width = self.layers[-1].units
        output: dict[str, Shape] = {
            "Wy.weight": (self.n_items, width),
            "By.weight": (self.n_items, 1),
        }
        if self.shared:
            return output
        return output | {self.input_table: (self.n_items, self.layers[0].inputs)}

    @property
    def parameters(self) -> dict[str, Shape]:
        """Name -> shape of every parameter, by the names of the model's state_dict."""
        weights = {name: shape for layer in self.layers for name, shape in layer.weights.items()}
        return self.tables | weights
