"""Tile sizes of the kernels. They are fixed; nothing is tuned at run time.

B and the precision alone choose a configuration, so a run is repeatable. docs/KERNELS.md shows each
configuration that a published setting can get in tf32, compiled ahead of time: no register spills,
and shared memory within the target's limit. `_tile.width_block` divides the widths further.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tiles:
    """Block sizes, warps and pipeline stages of the kernels of one layer."""

    lanes: int
    """Lanes of a tile in the products over lanes x units."""
    gate_units: int
    """Most units of a tile of the forward step, which has four accumulators."""
    columns: int
    """Most columns of a tile in the other products."""
    depth: int
    """Most of the summed dimension that is read at a time."""
    rows: int
    """Unique rows that a program of the loss owns."""
    loss_lanes: int
    """Lanes that a program of the loss processes at a time."""
    softmax_lanes: int
    """Lanes of a program of the online softmax."""
    stages: int
    """Of the cell's update. With s stages, s - 1 slices of the operands are loaded ahead."""
    gate_stages: int
    """Of the forward step."""
    deep_stages: int
    """Of the products with one accumulator: scores and the gradients of a layer's input."""
    warps: int = 4


def tiles_for(lanes: int, precision: str) -> Tiles:
    """The configuration for B lanes; exact products ('ieee') need more registers than 'tf32'."""
    if lanes <= 32:
        return Tiles(
            lanes=32, gate_units=16, columns=32, depth=64, rows=64, loss_lanes=32, softmax_lanes=1,
            stages=3, gate_stages=3, deep_stages=3,
        )  # fmt: skip
    side = 32 if precision == "ieee" else 64
    return Tiles(
        lanes=64, gate_units=16, columns=side, depth=32, rows=64, loss_lanes=side, softmax_lanes=2,
        warps=8, stages=2, gate_stages=3, deep_stages=4,
    )  # fmt: skip
