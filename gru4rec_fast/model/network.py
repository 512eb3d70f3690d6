"""The network: its parameters, their initialisation, and the scores of a mini-batch.

The modules only hold parameters, under the names that saved GRU4Rec models use; what is computed
with them stands in `reference/`, and which implementation computes it in `engines/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gru4rec_fast import reference
from gru4rec_fast.model.initial import draw_parameters
from gru4rec_fast.spec import NetworkSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from gru4rec_fast.config import Config
    from gru4rec_fast.reference import Parameters
    from gru4rec_fast.spec import LayerSpec, Shape

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
    `engines` instead. On the device 'meta' the parameters take no memory, until `to_empty`.
    """

    def __init__(self, config: Config, n_items: int, device: str = "cpu") -> None:
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
        self.to_empty(device=device)
        self.requires_grad_(False)

    def parameter_dict(self) -> Parameters:
        """Name -> tensor, sharing the storage of the modules."""
        return dict(self.named_parameters())

    def initialise(self, compatibility_mode: bool = True) -> None:
        """Draw the weights by `draw_parameters`."""
        draw_parameters(self.spec, self.config, self.parameter_dict(), compatibility_mode)

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
