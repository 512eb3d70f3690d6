"""The network's forward pass: from the rows of the inputs to the new states and the scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from gru4rec_fast.reference.activations import activate
from gru4rec_fast.reference.cells import CELLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gru4rec_fast.reference.products import Linear
    from gru4rec_fast.spec import LayerSpec, NetworkSpec

Parameters = dict[str, "Tensor"]
"""Name -> tensor, by the names and shapes of `NetworkSpec.parameters`."""


def advance(
    spec: NetworkSpec,
    p: Parameters,
    x: Tensor,
    states: Sequence[Tensor],
    masks: Sequence[Tensor | None],
    linear: Linear = F.linear,
) -> tuple[list[Tensor], Tensor]:
    """New state (M, states * H_l) of every layer, and the features (M, F) that are scored.

    x are the rows of the inputs, `states` the carried ones. `masks` are inverted-dropout factors by
    the number of their site (`spec.DropoutSite`); None is no dropout. The dropped-out hidden state
    is both passed on and carried. `linear` multiplies, see `reference.products`.
    """
    new_states = []
    if not spec.one_hot:
        x = dropout(x, masks[spec.input_dropout.number])
    for layer, state in zip(spec.layers, states, strict=True):
        new = _cell(layer, p, x, state, linear)
        x = dropout(new[:, : layer.units], masks[layer.dropout.number])
        further = new[:, layer.units :]
        new_states.append(torch.cat([x, further], dim=1) if further.shape[1] else x)
    for dense in spec.feed_forward:
        weight, bias = (p[name] for name in dense.weights)
        x = activate(linear(x, weight, bias), dense.activation)
        x = dropout(x, masks[dense.dropout.number])
    return new_states, x


def _cell(layer: LayerSpec, p: Parameters, x: Tensor, state: Tensor, linear: Linear) -> Tensor:
    weights = {name.removeprefix(layer.prefix): p[name] for name in layer.weights}
    bias = weights.get("bias_ih")
    if not layer.one_hot:
        x = linear(x, weights["weight_ih"], bias)
    elif bias is not None:
        x = x + bias
    return CELLS[layer.cell](x, state, weights, layer.activation, linear)


def dropout(x: Tensor, mask: Tensor | None) -> Tensor:
    """Inverted dropout by given factors, 0 or 1 / (1 - p)."""
    return x if mask is None else x * mask


def scores(h: Tensor, w: Tensor, b: Tensor, linear: Linear = F.linear) -> Tensor:
    """Scores (M, N) of the items whose rows are w (N, H) and b (N, 1)."""
    return linear(h, w, None) + b.T
