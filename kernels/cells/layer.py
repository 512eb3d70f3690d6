"""What a recurrent layer of the training step does, and what the cells' kernels share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
import triton
import triton.language as tl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gru4rec_fast.kernels.cell_update import InputRows
    from gru4rec_fast.kernels.parameter import Parameter
    from gru4rec_fast.kernels.step_context import StepContext
    from gru4rec_fast.spec import DropoutSite


class Layer(Protocol):
    """A layer of H units for B lanes: its weights, buffers and launches."""

    state: Tensor
    """(2, B, H): step s reads slot s % 2 and writes the other slot."""

    def __init__(
        self,
        context: StepContext,
        weights: Sequence[Parameter],
        source: Tensor,
        dropout_x: DropoutSite,
        dropout_h: DropoutSite,
    ) -> None:
        """Make the buffers.

        weights: in the order of `spec.CellKind.weights`. source: the table (V, K) that the step's
        items select rows of, or the state (2, B, K) of the layer below. dropout_x: of the input;
        dropout_h: of the new state.
        """

    def forward(self, t: int) -> None:
        """Write the new state's slot of step t of the block, and save what `backward` needs."""

    def backward(self, t: int, d_state: Tensor, rows_a_part: int) -> Tensor:
        """Gradient (B, K) of the layer's input before dropout.

        d_state: gradient of the new state after dropout, (parts, B, H), one part for each
        `rows_a_part` scored rows. rows_a_part = 0 means a single part, (B, H).
        """

    def update(self, t: int, rows: InputRows | None) -> None:
        """Update the weights and, for the first layer, the input rows."""


def lane_buffer(device: torch.device, *shape: int) -> Tensor:
    """Zeros. Kernels read live lanes only, so what dead lanes were left with never counts."""
    return torch.zeros(shape, device=device)


GATE_LANES = 2
"""Lanes of a program of the gates' gradients: it has few, as it reads many parts at once."""
PARTS_AT_ONCE = 64
"""Most parts that `sum_parts` reads at a time."""


@triton.jit
def sum_parts(
    d_ptr, scored, lane, unit, mask,
    ROWS_A_PART: tl.constexpr, PARTS: tl.constexpr, BLOCK_PARTS: tl.constexpr,
    B: tl.constexpr, H: tl.constexpr, BLOCK_B: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """Gradient (lanes, units) of the new state from its parts, in a fixed order.

    Parts and ROWS_A_PART as in `Layer.backward`; PARTS: how many there is room for. A tile of
    (parts, lanes, units) is read at once: a running sum would wait for every few parts.
    """
    parts = 1
    if ROWS_A_PART > 0:
        parts = tl.cdiv(scored, ROWS_A_PART)
    d = tl.zeros((BLOCK_B, BLOCK_H), dtype=tl.float32)
    at = lane[:, None] * H + unit[None, :]
    for first in range(0, PARTS, BLOCK_PARTS):
        part = first + tl.arange(0, BLOCK_PARTS)
        start = d_ptr + part.to(tl.int64) * (B * H)  # all parts can be over 2^31
        inside = (part < parts)[:, None, None] & mask[None, :, :]
        d += tl.sum(tl.load(start[:, None, None] + at[None, :, :], mask=inside, other=0.0), axis=0)
    return d


def parts_of(d_state: Tensor) -> dict[str, int]:
    """PARTS and BLOCK_PARTS for a gradient (parts, B, H), or (B, H)."""
    parts = len(d_state) if d_state.ndim == 3 else 1
    return {"PARTS": parts, "BLOCK_PARTS": min(triton.next_power_of_2(parts), PARTS_AT_ONCE)}
