"""The structure of a network as data, made once from `Config`.

Model, reference, engines and checkpoint read it, so that none of them guesses the structure from
the names of parameters. What a cell computes stands in `reference/cells.py`.

Letters: V items, K inputs of a layer, H its units.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gru4rec_fast.activation import Activation

if TYPE_CHECKING:
    from collections.abc import Callable

    from gru4rec_fast.config import Config

Shape = tuple[int, ...]


@dataclass(frozen=True)
class CellKind:
    """How many gates and carried states a cell has, and the shapes of its weights.

    The input's weights come first: `weight_ih` (gates * H, K), or with a one-hot input the V rows
    (gates * H) of its table. `recurrent(H)` names all others, in the order in which every
    implementation takes them.
    """

    gates: int
    states: int
    recurrent: Callable[[int], dict[str, Shape]]
    blocks: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Matrices that are several gates' own side by side: how many, and along which axis."""
    any_activation: bool = False
    """Whether `hidden_act` can be other than tanh."""


def _as_in_torch(gates: int, states: int = 1, *, any_activation: bool = False) -> CellKind:
    return CellKind(
        gates,
        states,
        recurrent=lambda H: {
            "weight_hh": (gates * H, H),
            "bias_ih": (gates * H,),
            "bias_hh": (gates * H,),
        },
        blocks={"weight_ih": (gates, 0), "weight_hh": (gates, 0)},
        any_activation=any_activation,
    )


CELLS: dict[str, CellKind] = {
    "gru-reset-after": _as_in_torch(3),
    "gru-reset-before": CellKind(
        gates=3,
        states=1,
        recurrent=lambda H: {"Wrz0": (H, 2 * H), "Wh0": (H, H), "Bh0": (3 * H,)},
        blocks={"weight_ih": (3, 0), "Wrz0": (2, 1)},
        any_activation=True,
    ),
    "lstm": _as_in_torch(4, states=2),
    "rnn": _as_in_torch(1, any_activation=True),
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
    """K; of a one-hot input gates * H, the columns of its table."""
    units: int
    dropout: DropoutSite
    """Of the new hidden state, which is handed on and carried."""
    one_hot: bool = False
    """Whether the input is a row of a table of input weights."""
    activation: Activation = field(default_factory=Activation.tanh)
    """Of the candidate state, where the cell lets one choose it."""

    @property
    def kind(self) -> CellKind:
        """What the cell is made of."""
        return CELLS[self.cell]

    @property
    def weights(self) -> dict[str, Shape]:
        """Full name -> shape of the layer's weights, `weight_ih` first unless it is a table."""
        shapes = self.kind.recurrent(self.units)
        if not self.one_hot:
            shapes = {"weight_ih": (self.kind.gates * self.units, self.inputs), **shapes}
        return {self.prefix + name: shape for name, shape in shapes.items()}

    @property
    def state_width(self) -> int:
        """Columns of the carried state: those of the hidden state, then of further states."""
        return self.kind.states * self.units


@dataclass(frozen=True)
class FeedForwardSpec:
    """A feed-forward layer after the cells: y = act(W x + b) of K inputs and n units."""

    prefix: str
    """What the names of its weights begin with, as 'F.0.'."""
    inputs: int
    units: int
    dropout: DropoutSite
    activation: Activation

    @property
    def weights(self) -> dict[str, Shape]:
        """Full name -> shape."""
        return {
            self.prefix + "weight": (self.units, self.inputs),
            self.prefix + "bias": (self.units,),
        }


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
    feed_forward: tuple[FeedForwardSpec, ...] = ()
    """Between the last cell and the scores, from the cell up."""

    @classmethod
    def of(cls, config: Config, n_items: int) -> NetworkSpec:
        """The structure that `config` asks for (SPEC section 3)."""
        one_hot = not config.constrained_embedding and not config.embedding
        embedding = DropoutSite(0, config.dropout_p_embed)
        layers: list[LayerSpec] = []
        sizes = [*config.layers, *config.feed_forward]
        inputs = config.embedding or sizes[-1]
        for number, (units, cell) in enumerate(zip(config.layers, config.cells, strict=True)):
            hidden = DropoutSite(number + 1, config.dropout_p_hidden)
            first = one_hot and number == 0
            layers.append(
                LayerSpec(
                    cell,
                    "GE." if first else f"G.{number - one_hot}.",
                    CELLS[cell].gates * units if first else inputs,
                    units,
                    embedding if first else hidden,
                    first,
                    config.hidden_activation,
                )
            )
            inputs = units
        feed_forward = []
        for number, units in enumerate(config.feed_forward):
            dropout = DropoutSite(len(layers) + number + 1, config.dropout_p_hidden)
            feed_forward.append(
                FeedForwardSpec(
                    f"F.{number}.", inputs, units, dropout, config.feed_forward_activation
                )
            )
            inputs = units
        return cls(
            n_items,
            "GE.Wx0.weight" if one_hot else "E.weight" if config.embedding else "Wy.weight",
            DropoutSite(0, 0.0) if one_hot else embedding,
            tuple(layers),
            tuple(feed_forward),
        )

    @property
    def features(self) -> int:
        """Columns of what is scored: units of the last layer, and columns of Wy."""
        return (self.feed_forward or self.layers)[-1].units

    @property
    def shared(self) -> bool:
        """Whether inputs are read from the output's table."""
        return self.input_table == "Wy.weight"

    @property
    def one_hot(self) -> bool:
        """Whether an input selects a row of the first layer's input weights."""
        return self.input_table == "GE.Wx0.weight"

    @property
    def n_sites(self) -> int:
        """How many numbers of dropout sites there are."""
        return 1 + len(self.layers) + len(self.feed_forward)

    @property
    def dropout_sites(self) -> dict[DropoutSite, int]:
        """Each place where dropout can fall, and how many columns it has."""
        sites = {layer.dropout: layer.units for layer in self._all_layers}
        return sites if self.one_hot else {self.input_dropout: self.layers[0].inputs} | sites

    @property
    def tables(self) -> dict[str, Shape]:
        """Name -> shape of the tables with a row for each item, of which a step touches a few."""
        output: dict[str, Shape] = {
            "Wy.weight": (self.n_items, self.features),
            "By.weight": (self.n_items, 1),
        }
        if self.shared:
            return output
        return output | {self.input_table: (self.n_items, self.layers[0].inputs)}

    @property
    def parameters(self) -> dict[str, Shape]:
        """Name -> shape of every parameter, by the names of the model's state_dict."""
        weights = {n: shape for layer in self._all_layers for n, shape in layer.weights.items()}
        return self.tables | weights

    @property
    def _all_layers(self) -> tuple[LayerSpec | FeedForwardSpec, ...]:
        return (*self.layers, *self.feed_forward)
