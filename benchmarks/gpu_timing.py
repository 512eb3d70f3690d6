"""Times of device work between events; on the CPU the same lines with the host's clock."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def wait(device: torch.device) -> None:
    """Until the device is through."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(
    run: Callable[[], object], repeats: int, device: torch.device, chains: int = 5
) -> float:
    """Time of one `run`: median over chains of `repeats` runs without a wait between them."""
    times = []
    for _ in range(chains):
        if device.type == "cuda":
            start, end = _event(), _event()
            start.record()
            for _ in range(repeats):
                run()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) / 1e3)
        else:
            began = time.perf_counter()
            for _ in range(repeats):
                run()
            times.append(time.perf_counter() - began)
    return float(statistics.median(times)) / repeats


def captured(run: Callable[[], object], device: torch.device) -> Callable[[], object]:
    """`run` as a CUDA graph, on the CPU `run` itself. It must have run once, so it is compiled."""
    if device.type != "cuda":
        return run
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def peak_bytes(run: Callable[[], object], device: torch.device) -> int | None:
    """What one `run` allocates at most, beyond what was allocated before; None on the CPU."""
    if device.type != "cuda":
        run()
        return None
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before
