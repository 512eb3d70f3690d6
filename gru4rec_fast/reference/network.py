"""The network's forward pass: from the rows of the inputs to the new states and the scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gru4rec_fast.reference.cells import CELLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gru4rec_fast.spec import NetworkSpec

Parameters = dict[str, "Tensor"]
"""Name -> tensor, by the names and shapes of `NetworkSpec.parameters`."""


def advance(
    spec: NetworkSpec,
    p: Parameters,
    x: Tensor,
    states: Sequence[Tensor],
    masks: Sequence[Tensor | None],
) -> list[Tensor]:
    """New state (M, states * H_l) of every layer from the input rows x and the carried states.

    `masks` are inverted-dropout factors by the number of their site (`spec.DropoutSite`); None is
    no dropout. The dropped-out hidden state is both passed on and carried.
    """
    new_states = []
    if not spec.one_hot:
        x = dropout(x, masks[spec.input_dropout.number])
    for layer, state in zip(spec.layers, states, strict=True):
        weights = [p[name] for name in layer.weights]
        new = CELLS[layer.cell](x, state, weights)
        mask = masks[layer.dropout.number]
        if new.shape[1] == layer.units:
            new = x = dropout(new, mask)
        else:
            x = dropout(new[:, : layer.units], mask)
            new = torch.cat([x, new[:, layer.units :]], dim=1)
        new_states.append(new)
    return new_states


def dropout(x: Tensor, mask: Tensor | None) -> Tensor:
    """Inverted dropout by given factors, 0 or 1 / (1 - p)."""
    return x if mask is None else x * mask


def scores(h: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Scores (M, N) of the items whose rows are w (N, H) and b (N, 1)."""
    return h @ w.T + b.T
