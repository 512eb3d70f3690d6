"""A model of the time of a kernel on an H100, from its launch and its compiled code.

    seconds = launch + max(waves x rounds x round, transfer)
    waves = programs / (132 processors x programs that one holds), rounded up
    transfer = max(bytes of the table / memory's rate + other bytes / cache's rate,
                   operations / (rate x share of the processors that have a program))
    other bytes = those of `roofline`, each once, + what other programs read again

A round is a load that a program must wait for before its next load: the record gives an item, the
item a row; in a loop with s stages, s - 1 blocks are loaded ahead. Loads whose addresses are known
at the same time are one round: the order of loads in the compiled code of each kernel was looked at
(nvdisasm, sm_90). The rounds of the programs of a processor overlap, those of waves don't.
Operations are those of `roofline`. Rows of the item table come from memory; everything else is in
the cache. The model is of one GRU layer with a shared embedding, every lane alive, every item
another one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks import roofline

if TYPE_CHECKING:
    from benchmarks.launches import Launch
    from gru4rec_fast.config import Config

# Of the H100's data sheet and the CUDA programming guide (compute capability 9.0).
CHIP = next(chip for chip in roofline.CHIPS if chip.name == "H100 SXM")
PROCESSORS = 132
REGISTERS, REGISTER_UNIT = 65536, 256
"""Of a processor, and how many a warp gets at a time."""
SHARED, SHARED_RESERVED = 228 * 1024, 1024
"""Bytes of a processor, and what each program takes beside its own."""
WARPS, PROGRAMS = 64, 32
"""Most that a processor holds."""

CACHE_BANDWIDTH = 5.5e12
"""Bytes/s of the L2 cache; NVIDIA states none, measurements of others are between 5 and 6e12."""

# Fitted once, to reproduce two estimates that were made by hand before this model, 36 us a step at
# rsc15 and 98 at rees46, from the launches of that time: `tests/project/test_gpu_prediction.py`.
# They are frozen: a change of the kernels changes the prediction, and a measurement judges it.
LAUNCH_SECONDS = 0.88e-6
"""From the last store of a kernel in a CUDA graph to the first loads of the next."""
ROUND_SECONDS = 0.473e-6
"""A load that waits for another, with the instructions and barriers around it."""


@dataclass(frozen=True)
class Compiled:
    """Registers of a thread and bytes of shared memory of a program."""

    registers: int
    shared: int


@dataclass(frozen=True)
class Prediction:
    """One launch: its programs, what they do, and its seconds by cause."""

    kernel: str
    programs: int
    """Those that have work."""
    resident: int
    """Programs that a processor holds at a time."""
    waves: int
    bytes: float
    operations: float
    rounds: float
    """Loads of a program that wait for each other."""
    latency: float
    transfer: float

    @property
    def seconds(self) -> float:
        """Of the whole launch."""
        return LAUNCH_SECONDS + max(self.latency, self.transfer)


def resident_programs(compiled: Compiled, warps: int) -> int:
    """How many programs a processor holds at a time."""
    of_warp = -(-compiled.registers * 32 // REGISTER_UNIT) * REGISTER_UNIT
    return min(
        REGISTERS // (of_warp * warps),
        SHARED // (compiled.shared + SHARED_RESERVED),
        WARPS // warps,
        PROGRAMS,
    )


def loop_rounds(width: int, block: int, stages: int = 1) -> float:
    """Rounds of a loop over `width` in blocks, with `stages` - 1 blocks loaded ahead."""
    return 1 + (-(-width // block) - 1) / max(1, stages - 1)


def program_rounds(launch: Launch, live: int, scored: int) -> float:
    """The longest chain of dependent loads of one program.

    Each comment says what the loads before and after the loops are; a comma is a new round.
    """
    c, stages = launch.constants, launch.options.get("num_stages", 1)
    if launch.name == "gru_reset_after_fwd":
        # record | the own state comes with the first slices
        loops = loop_rounds(c["K"], c["BLOCK_X"], stages) + loop_rounds(
            c["H"], c["BLOCK_K"], stages
        )
        return 1 + loops
    if launch.name == "scores":
        # record | bias and support come with the first slices
        return 1 + loop_rounds(c["H"], c["BLOCK_K"], stages)
    if launch.name == "lane_loss":
        # record | positive score and support come with the first parts, or scores
        of_parts = loop_rounds(-(-scored // c["ROWS_A_PART"]), c["BLOCK_PARTS"])
        of_scores = loop_rounds(scored, c["BLOCK_U"])
        loops = of_parts if c["SOFTMAX_PARTS"] else of_scores
        return 1 + loops + (of_scores if c["COLUMN_TERMS"] else 0)
    if launch.name == "row_gradients":
        # record, row and bias with its state | row again and its state
        return 2 + loop_rounds(live, c["BLOCK_B"], stages) + 1
    if launch.name == "gru_reset_after_gates_bwd":
        # record | gates come with the parts; the compiler reads a tile of parts in two halves
        return 1 + 2 * loop_rounds(c["PARTS"], c["BLOCK_PARTS"])
    if launch.name == "gru_reset_after_input_bwd":
        # | the record, which only dropout needs, comes with the first slices
        return loop_rounds(c["H3"], c["BLOCK_K"], stages)
    if launch.name == "cell_update":
        # record | what is updated and the deferred gradients come with the first slices
        return 1 + loop_rounds(live, c["BLOCK_B"], stages)
    raise ValueError(f"no model of the kernel {launch.name!r}; expected one of a GRU layer")


def table_bytes(launch: Launch, scored: int) -> float:
    """Bytes of rows of the item table and its state, which the cache does not hold yet."""
    c = launch.constants
    if launch.name == "scores":
        return float(roofline.FLOAT * scored * c["H"])
    if launch.name == "row_gradients":  # the rows themselves are still there from `scores`
        tables = 1 + 2 * len(launch.arguments["table"].state)
        return float(roofline.FLOAT * scored * c["H"] * tables)
    return 0.0


def read_again(launch: Launch, live: int, scored: int) -> float:
    """Bytes that a second and each further program reads, or one program twice."""
    c, (first, second) = launch.constants, (*launch.grid, 1)[:2]
    if launch.name == "gru_reset_after_fwd":
        width = c["K"] + c["H"]
        elements = live * width * (second - 1) + 3 * c["H"] * width * (first - 1)
    elif launch.name == "scores":
        elements = c["H"] * (scored * (second - 1) + live * (first - 1))
    elif launch.name == "row_gradients":
        elements = live * (scored * (second - 1) + c["H"] * (first - 1))
        elements += scored * c["H"]  # the rows, once more before their update
    elif launch.name == "gru_reset_after_input_bwd":
        elements = c["H3"] * (live * (second - 1) + c["K"] * (first - 1))
    elif launch.name == "cell_update":
        matrices = ((c["P0"], c["Q0"], c["BLOCK_Q0"]), (c["P1"], c["Q1"], c["BLOCK_Q1"]))
        elements = live * c["K"] * (-(-live // c["BLOCK_B"]) - 1)
        for p, q, block_q in matrices:
            elements += live * (p * (-(-q // block_q) - 1) + q * (-(-p // c["BLOCK_P"]) - 1))
    else:
        elements = 0
    return float(roofline.FLOAT * elements)


def predict(launch: Launch, compiled: Compiled, cost: roofline.Cost, config: Config) -> Prediction:
    """What a launch of a training step should take."""
    live, scored = config.batch_size, config.batch_size + config.n_sample
    grid = launch.grid
    if launch.name in ("scores", "row_gradients"):  # programs of rows that do not exist end at once
        grid = (-(-scored // launch.constants["BLOCK_U"]), *grid[1:])
    programs = math.prod(grid)
    resident = resident_programs(compiled, launch.options.get("num_warps", 4))
    waves = -(-programs // (PROCESSORS * resident))
    rounds = program_rounds(launch, live, scored)
    of_table = table_bytes(launch, scored)
    moved = cost.bytes + read_again(launch, live, scored)
    bytes_seconds = of_table / CHIP.bandwidth + (moved - of_table) / CACHE_BANDWIDTH
    rate = CHIP.tf32 if cost.tensor_cores else CHIP.float32
    busy = min(programs, PROCESSORS) / PROCESSORS
    return Prediction(
        launch.name, programs, resident, waves, moved, cost.operations, rounds,
        waves * rounds * ROUND_SECONDS,
        max(bytes_seconds, cost.operations / (rate * busy)),
    )  # fmt: skip
