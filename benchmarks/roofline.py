"""The least time that a training step can take: bytes and operations by kernel, from shapes alone.

    python -m benchmarks.roofline [--json FILE]

Each kernel of a step reads what it needs once and writes what it makes once; its floor on a chip is
the larger of bytes / bandwidth and operations / rate, and the step's floor is their sum. A measured
time over it is how far a kernel is from the chip's limit. Launches come on top: in a CUDA graph one
costs 1 to 2 microseconds on an H100; seven of them bound a small step more than its maths.

Model: one GRU layer, shared embedding, every lane alive, every sampled item another one, float32
everywhere, products in tf32. Buffers between kernels count as if they went to memory, though the
L2 cache holds them at these sizes: the floor is one of the kernels as they are, not of the maths.
State of one number a row counts as nothing.
Rates are from the makers' datasheets, dense, without sparsity.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from gru4rec_fast import reference
from gru4rec_fast.config import Config
from gru4rec_fast.presets import PRESETS

FLOAT = 4
LAUNCH_SECONDS = 1.5e-6


@dataclass(frozen=True)
class Chip:
    """Memory bandwidth in bytes/s, tf32 (tensor cores) and float32 rates in operations/s."""

    name: str
    bandwidth: float
    tf32: float
    float32: float


CHIPS = (
    Chip("H100 SXM", 3.35e12, 494.7e12, 66.9e12),
    Chip("A100 SXM 80GB", 2.039e12, 156e12, 19.5e12),
    Chip("A30", 0.933e12, 82e12, 10.3e12),
    Chip("MI300X", 5.3e12, 653.7e12, 163.4e12),
)


@dataclass(frozen=True)
class Cost:
    """What one launch of a kernel must at least do."""

    kernel: str
    bytes: float
    operations: float
    tensor_cores: bool = True

    def seconds(self, chip: Chip) -> float:
        """Floor on a chip."""
        rate = chip.tf32 if self.tensor_cores else chip.float32
        return max(self.bytes / chip.bandwidth, self.operations / rate)


SCORE_ROWS = 64
"""Rows of a tile of scores, a part of the softmax each."""


def step_costs(config: Config, rows_a_part: int = 64) -> list[Cost]:
    """The kernels of a training step of one GRU layer with a shared embedding, in order.

    rows_a_part: rows of a part of the state's gradient.

    Raises:
        ValueError: more layers, or another embedding.
    """
    if len(config.layers) != 1 or not config.constrained_embedding:
        raise ValueError("the model is of one layer and a shared embedding; expected such options")
    lanes, units = config.batch_size, config.layers[0]
    rows = lanes + config.n_sample
    state, scores, weights = lanes * units, lanes * rows, 6 * units * units
    parts = -(-rows // rows_a_part)
    # A plain softmax is summed from parts, other losses from the scores; smoothing needs both.
    softmax = 2 * lanes * -(-rows // SCORE_ROWS) if config.loss == "cross-entropy" else 0
    losses = softmax if softmax and not config.smoothing else softmax + scores
    kinds = reference.OPTIMISERS[config.adapt](config).state_kinds
    # parameter and state, each read and written
    updated = 2 * (1 + list(kinds.values()).count("element"))
    whole_rows = "row" in kinds.values()
    # With an optimiser of whole rows these kernels only write gradients; row_update applies them.
    of_rows, of_weights = (2, 1) if whole_rows else (updated, updated)
    floats_and_operations = {
        "gru_reset_after_fwd": (weights + 2 * state + 7 * state, 2 * lanes * weights),
        "scores": (rows * units + state + scores + softmax, 2 * scores * units),
        "lane_loss": (losses, 10 * losses),
        "row_gradients": (
            of_rows * rows * units + scores + state + parts * state,
            4 * scores * units,
        ),
        "gru_reset_after_gates_bwd": (parts * state + 5 * state + 6 * state, parts * state),
        "gru_reset_after_input_bwd": (weights / 2 + 3 * state + state, lanes * weights),
        "cell_update": (
            of_weights * weights + 8 * state + (of_weights + 2) * state,
            2 * lanes * weights,
        ),
    }
    if whole_rows:
        gradients = rows * units + weights + state
        floats_and_operations["row_update"] = ((updated + 1) * gradients, 10 * gradients)
    no_tensor_cores = ("lane_loss", "gru_reset_after_gates_bwd", "row_update")
    return [
        Cost(kernel, FLOAT * floats, operations, kernel not in no_tensor_cores)
        for kernel, (floats, operations) in floats_and_operations.items()
    ]


def step_seconds(config: Config, chip: Chip) -> float:
    """Floor of a step on a chip, launches not counted."""
    return sum(cost.seconds(chip) for cost in step_costs(config))


def chip_like(device_name: str) -> Chip | None:
    """The chip whose name the device's contains, such as 'NVIDIA A30'; None if unknown."""
    return next((chip for chip in CHIPS if chip.name.split()[0] in device_name), None)


def table() -> str:
    """Bytes, operations and floors of every published setting, as Markdown."""
    lines = [
        "| setting | MB | GFLOP | " + " | ".join(f"{chip.name}, µs" for chip in CHIPS) + " |",
        "|---|" + "---:|" * (2 + len(CHIPS)),
    ]
    for name in PRESETS:
        config = Config().replace(**PRESETS[name])
        costs = step_costs(config)
        total = sum(cost.bytes for cost in costs) / 1e6
        operations = sum(cost.operations for cost in costs) / 1e9
        floors = (f"{step_seconds(config, chip) * 1e6:.1f}" for chip in CHIPS)
        lines.append(f"| {name} | {total:.1f} | {operations:.2f} | " + " | ".join(floors) + " |")
    launches = len(step_costs(config)) * LAUNCH_SECONDS * 1e6
    return "\n".join(lines) + f"\n\nLaunches in a graph add about {launches:.0f} µs a step.\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", type=Path, help="also write every kernel's cost to this file")
    arguments = parser.parse_args()
    print(table())
    if arguments.json:
        costs = {name: [vars(cost) for cost in step_costs(Config().replace(**PRESETS[name]))]
                 for name in PRESETS}  # fmt: skip
        arguments.json.write_text(json.dumps(costs, indent=1))


if __name__ == "__main__":
    main()
