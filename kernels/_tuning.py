"""Tile sizes of the kernels, by chip and shape. They are fixed; nothing is tuned at run time.

The chip, B, the precision and the optimiser's state alone choose a configuration, so a run is
repeatable. docs/KERNELS.md shows each configuration that a published setting can get in tf32,
compiled ahead of time: no register spills, and shared memory within the target's limit.
`_tile.width_block` divides the widths further.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class Tiles:
    """Block sizes, warps and pipeline stages of the kernels of one layer.

    With s stages, s - 1 slices of a product's operands are loaded ahead.
    """

    lanes: int
    """Lanes of a tile in the products over lanes x units."""
    gate_units: int
    """Most units of a tile of the forward step, which has four accumulators."""
    columns: int
    """Most columns of a tile in the other products."""
    depth: int
    """Most of the summed dimension that is read at a time."""
    rows: int
    """Unique rows of a tile of scores."""
    loss_lanes: int
    """Lanes of a tile of scores."""
    gradient_rows: int
    """Unique rows that a program of their gradients owns; a part of the state's gradient each."""
    gradient_lanes: int
    """Lanes that such a program processes at a time."""
    softmax_lanes: int
    """Lanes of a program of the online softmax."""
    update_gates: int
    """Gates of a tile of the cell's update."""
    stages: int
    """Of the cell's update."""
    gate_stages: int
    """Of the forward step."""
    deep_stages: int
    """Of the products with one accumulator: scores and the gradients of a layer's input."""
    input_depth: int
    """Most of the gates that the gradients of a layer's input read at a time."""
    gradient_stages: int = 1
    """Of the gradients of the rows."""
    warps: int = 4


_FEW = Tiles(
    lanes=32, gate_units=16, columns=32, depth=64, rows=64, loss_lanes=32, gradient_rows=64,
    gradient_lanes=32, softmax_lanes=1, update_gates=32, stages=3, gate_stages=3, deep_stages=3,
    input_depth=64,
)  # fmt: skip
"""Up to 32 lanes."""
_EXACT = Tiles(
    lanes=64, gate_units=16, columns=32, depth=32, rows=64, loss_lanes=32, gradient_rows=64,
    gradient_lanes=32, softmax_lanes=2, update_gates=32, stages=2, gate_stages=3, deep_stages=4,
    input_depth=32, warps=8,
)  # fmt: skip
"""More lanes, 'ieee': exact products need more registers than tf32."""
_MANY = replace(_EXACT, columns=64, loss_lanes=64, gradient_lanes=64, update_gates=64)
"""More lanes, 'tf32'."""

# sm_90 (227 KiB of shared memory, products of 64 rows by four warps) divides few lanes among more
# processors. With 128 rows of gradients in a tile, fewer programs read the same states, and they
# write fewer parts; sm_80 spills there. For few lanes sm_80 spills 8 or 16 bytes unless the
# gradients read two blocks ahead. gfx942 has 64 KiB for all that is read ahead.
_TABLE = {
    "sm_80": (replace(_FEW, gradient_stages=3), replace(_MANY, input_depth=64)),
    "sm_90": (
        replace(_FEW, lanes=16),
        replace(_MANY, gradient_rows=128, gradient_lanes=32, gradient_stages=3, update_gates=128,
                stages=3, input_depth=64),
    ),
    "gfx942": (_FEW, _MANY),
}  # fmt: skip
"""Chip -> configurations for up to 32 lanes, and for more in tf32."""
ARCHITECTURES = tuple(_TABLE)


def architecture_of(device: torch.device) -> str:
    """The key of ARCHITECTURES whose tiles a device gets; the interpreter gets those of sm_90."""
    if device.type != "cuda":
        return "sm_90"
    if torch.version.hip:
        return "gfx942"
    return "sm_90" if torch.cuda.get_device_capability(device)[0] in (9, 10) else "sm_80"


def tiles_for(lanes: int, precision: str, architecture: str = "sm_90", states: int = 1) -> Tiles:
    """The configuration for B lanes and a fused optimiser with so many state tables."""
    few, many = _TABLE[architecture]
    if lanes <= 32:
        return few
    if precision == "ieee":
        return _EXACT
    if states > 2:  # the tiles of 128 rows would spill
        return replace(many, gradient_rows=64, update_gates=64)
    return many
