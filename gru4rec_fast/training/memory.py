"""What a training needs in memory, and what there is: one that cannot fit is refused with numbers.

Letters: V items, B lanes, S negatives a step, T planned steps of a block.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gru4rec_fast.parameter import as_text
from gru4rec_fast.plan.epoch import BLOCKS_AHEAD
from gru4rec_fast.reference import OPTIMISERS
from gru4rec_fast.spec import NetworkSpec

if TYPE_CHECKING:
    import torch

    from gru4rec_fast.config import Config

FLOAT, HALF = 4, 2
SAMPLER = 32
"""Bytes an item while the table of negatives is built: weights and masses; 8 stay."""
PLANNED = 20
"""Bytes of an entry of a planned block: negatives, rows and counts."""
CGROUP = Path("/sys/fs/cgroup")


def needed_memory(
    config: Config,
    n_items: int,
    block_steps: int,
    *,
    copies: int = 0,
    ranks: int = 1,
    here: int = 1,
    gathered: bool = False,
) -> dict[str, int]:
    """Bytes that a training takes at least on a machine, by what they hold.

    Args:
        config: the hyper-parameters.
        n_items: V.
        block_steps: T.
        copies: of the parameters that are kept too, as those of the best epoch.
        ranks: how many processes share parameters and optimiser state.
        here: how many of them run on this machine.
        gathered: whether the one of several that has the whole model at the end is among them.
    """
    spec = NetworkSpec.of(config, n_items)
    shapes = spec.parameters.values()
    elements = sum(int(np.prod(shape, dtype=object)) for shape in shapes)
    rows = sum(shape[0] for shape in shapes)
    half = 0
    if config.table_dtype == "bfloat16":
        tables = {"Wy.weight", spec.input_table}
        half = sum(int(np.prod(spec.parameters[name], dtype=object)) for name in tables)
    kinds = OPTIMISERS[config.adapt](config).state_kinds.values()
    state = sum(elements if kind == "element" else rows for kind in kinds)
    columns = config.batch_size + config.n_sample
    parameters = FLOAT * elements - HALF * half
    whole = int(gathered and ranks > 1)
    return {
        "parameters": here * parameters * (1 + copies) // ranks + whole * parameters,
        "optimiser state": here * FLOAT * state // ranks + whole * FLOAT * state,
        "items": here * SAMPLER * n_items,
        "planned blocks": here * PLANNED * BLOCKS_AHEAD * block_steps * columns,
    }


def available_memory() -> int | None:
    """Bytes that this process can still get, by the system and its control group; None if unknown.

    What files take in the page cache counts as available.
    """
    found = [
        _available_to_system(),
        _available_to_group(CGROUP, "memory.max", "memory.current"),
        _available_to_group(CGROUP / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ]
    return min((size for size in found if size is not None), default=None)


def _available_to_system() -> int | None:
    try:
        text = Path("/proc/meminfo").read_text(encoding="utf-8")
        return next(
            int(line.split()[1]) * 1024
            for line in text.splitlines()
            if line.startswith("MemAvailable:")
        )
    except (OSError, ValueError, StopIteration):
        return None


def _available_to_group(folder: Path, limit: str, used: str) -> int | None:
    try:
        most = (folder / limit).read_text(encoding="utf-8").strip()
        taken = int((folder / used).read_text(encoding="utf-8"))
        lines = (folder / "memory.stat").read_text(encoding="utf-8").splitlines()
        of_files = {name: value for name, _, value in (line.partition(" ") for line in lines)}
        cached = sum(int(of_files.get(name, 0)) for name in ("inactive_file", "active_file"))
        return None if most == "max" else int(most) - taken + cached
    except (OSError, ValueError):
        return None


def require_memory(
    config: Config,
    n_items: int,
    block_steps: int,
    device: torch.device,
    *,
    copies: int = 0,
    ranks: int = 1,
    here: int = 1,
    gathered: bool = False,
) -> None:
    """Refuse a training on the CPU that cannot fit, before the system would kill it.

    Raises:
        MemoryError: it needs more than is available; the message has the numbers and remedies.
    """
    available = available_memory()
    if device.type != "cpu" or available is None:
        return
    needed = needed_memory(
        config, n_items, block_steps, copies=copies, ranks=ranks, here=here, gathered=gathered
    )
    total = sum(needed.values())
    if total <= available:
        return
    parts = ", ".join(f"{size / 1e9:.2f} GB {name}" for name, size in needed.items())
    remedies = ["choose smaller layers or embedding"]
    if "element" in OPTIMISERS[config.adapt](config).state_kinds.values():
        remedies.append("adapt='adagrad-rowwise' without momentum, which keeps a number a row")
    if config.table_dtype == "float32":
        remedies.append("table_dtype='bfloat16', which halves the item tables")
    if copies:
        remedies.append("restore_best=False, which keeps no second copy of the parameters")
    remedies.append("prepare the log with min_item_support to leave out rare items")
    raise MemoryError(
        f"training {n_items} items with layers={as_text(config.layers)}, embedding="
        f"{config.embedding}, adapt={config.adapt!r}, n_sample={config.n_sample} needs "
        f"{total / 1e9:.2f} GB ({parts}), but {available / 1e9:.2f} GB are available: "
        + "; or ".join(remedies)
    )
