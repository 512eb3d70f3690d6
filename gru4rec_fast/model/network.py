"""The network: its parameters, their initialisation, and the scores of a mini-batch.

The modules only hold parameters, under the names that saved GRU4Rec models use; what is computed
with them stands in `reference/`, and which implementation computes it in `engines/`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gru4rec_fast import reference
from gru4rec_fast.spec import NetworkSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gru4rec_fast.config import Config
    from gru4rec_fast.reference import Parameters
    from gru4rec_fast.spec import LayerSpec, Shape

COMPATIBILITY_SEED = 42
TORCH_CELLS: dict[str, Callable[[int, int], nn.Module]] = {
    "gru-reset-after": nn.GRUCell,
    "lstm": nn.LSTMCell,
    "rnn": nn.RNNCell,
}


class Weights(nn.Module):
    """The weights of one layer by their names; torch has no module that holds just these."""

    def __init__(self, shapes: dict[str, Shape]) -> None:
        super().__init__()
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))


class Undrawn(TorchFunctionMode):
    """Modules that are made within are not initialised.

    On the device 'meta' there is nothing to fill, but drawing imports PyTorch's compiler: a second.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the function, unless it is one of `torch.nn.init`."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


class Network(nn.Module):
    """Parameters of GRU4Rec for a catalogue of V items, in the structure of `spec`.

    `forward` is what evaluation scripts of the original call; training goes through
    `engines` instead.
    """

    def __init__(self, config: Config, n_items: int) -> None:
        super().__init__()
        self.config = config
        self.n_items = n_items
        self.spec = spec = NetworkSpec.of(config, n_items)
        # Not drawn here: `initialise` or a checkpoint fills them, and torch's generator stays as it
        # was.
        dtype = torch.bfloat16 if config.table_dtype == "bfloat16" else None
        with torch.device("meta"), Undrawn():
            self.Wy = _table(spec.tables["Wy.weight"], dtype)
            self.By = _table(spec.tables["By.weight"])
            layers = [_module(layer) for layer in spec.layers]
            if spec.one_hot:
                self.GE = layers.pop(0)
                self.GE.add_module("Wx0", _table(spec.tables[spec.input_table], dtype))
            elif not spec.shared:
                self.E = _table(spec.tables[spec.input_table], dtype)
            self.G = nn.ModuleList(layers)
            self.F = nn.ModuleList(nn.Linear(ff.inputs, ff.units) for ff in spec.feed_forward)
        self.to_empty(device="cpu")
        self.requires_grad_(False)

    def parameter_dict(self) -> Parameters:
        """Name -> tensor, sharing the storage of the modules."""
        return dict(self.named_parameters())

    def initialise(self, compatibility_mode: bool = True) -> None:
        """Draw the weights, uniform in +-sqrt(6 / (rows + columns)) of each gate's own matrix.

        `compatibility_mode` draws by NumPy's legacy generator, seed 42, in the order in which the
        original fills its matrices (SPEC section 7), otherwise by one seeded with `config.seed`.
        `sigma` and `init_as_normal` of the config override the width and the distribution.
        """
        seed = COMPATIBILITY_SEED if compatibility_mode else self.config.seed
        draw = Drawer(np.random.RandomState(seed), self.config)
        spec, p = self.spec, self.parameter_dict()
        with torch.no_grad():
            for parameter in p.values():
                parameter.zero_()
            if spec.one_hot:
                gates = spec.layers[0].kind.gates
                draw.fill(p[spec.input_table].chunk(gates, dim=1))
            elif not spec.shared:
                draw.fill([p[spec.input_table]])
            for layer in spec.layers:
                for name, shape in layer.weights.items():
                    if len(shape) == 2:
                        n, axis = layer.kind.blocks.get(name.removeprefix(layer.prefix), (1, 0))
                        draw.fill(p[name].chunk(n, dim=axis))
            for dense in spec.feed_forward:
                draw.fill([p[dense.prefix + "weight"]])
            draw.fill([p["Wy.weight"]])

    def forward(
        self,
        in_idx: Tensor,
        H: list[Tensor],
        out_idx: Tensor | None = None,
        training: bool = False,
    ) -> Tensor:
        """Scores (M, len(out_idx)) of the given items, or (M, V) of all, after one event a lane.

        in_idx (M,) and out_idx int64 items; H a list of states (M, states * H_l) by layer, replaced
        in the list. `training` applies dropout from torch's generator.
        """
        spec, p = self.spec, self.parameter_dict()
        dtype = self.By.weight.dtype  # item tables may be bfloat16
        x = p[spec.input_table][in_idx].to(dtype)
        masks: list[Tensor | None] = [None] * spec.n_sites
        if training:
            for site, width in spec.dropout_sites.items():
                if site.rate > 0:
                    kept = torch.ones(len(in_idx), width, device=x.device)
                    masks[site.number] = nn.functional.dropout(kept, site.rate)
        H[:], features = reference.advance(spec, p, x, H, masks)
        if out_idx is None:
            return reference.scores(features, self.Wy.weight.to(dtype), self.By.weight)
        w = self.Wy.weight[out_idx].to(dtype)
        return reference.scores(features, w, self.By.weight[out_idx])


def _table(shape: Shape, dtype: torch.dtype | None = None) -> nn.Embedding:
    n_items, width = shape
    return nn.Embedding(n_items, width, dtype=dtype)


def _module(layer: LayerSpec) -> nn.Module:
    """What holds the layer's weights: torch's own cell where it has the same weights."""
    if layer.cell in TORCH_CELLS and not layer.one_hot:
        return TORCH_CELLS[layer.cell](layer.inputs, layer.units)
    return Weights({n.removeprefix(layer.prefix): shape for n, shape in layer.weights.items()})


class Drawer:
    """Fills matrices one after the other, row by row, from one generator.

    In shares of some rows: a large table is never held in float64, and the numbers are the same.
    """

    NUMBERS_AT_ONCE = 2**22

    def __init__(self, generator: np.random.RandomState, config: Config) -> None:
        self.generator = generator
        self.config = config

    def fill(self, matrices: tuple[Tensor, ...] | list[Tensor], of_rows: int | None = None) -> None:
        """Fill the matrices; `of_rows` are those of the table that they are a part of."""
        for matrix in matrices:
            rows, columns = matrix.shape
            sigma = self.config.sigma or math.sqrt(6.0 / ((of_rows or rows) + columns))
            at_once = max(1, self.NUMBERS_AT_ONCE // columns)
            for first in range(0, rows, at_once):
                share = matrix[first : first + at_once]
                share.copy_(torch.from_numpy(self._draw(len(share), columns, sigma)))

    def _draw(self, rows: int, columns: int, sigma: float) -> NDArray[np.float32]:
        if self.config.init_as_normal:
            return self.generator.randn(rows, columns).astype(np.float32) * np.float32(sigma)
        values: NDArray[np.float32] = self.generator.rand(rows, columns).astype(np.float32)
        return values * np.float32(2 * sigma) - np.float32(sigma)
