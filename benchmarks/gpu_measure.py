"""One job of the GPU report: measure one thing in this process and write it as JSON.

    python -m benchmarks.gpu_measure WAY [ARGUMENT] RESULT.json [--check]

environment           the device, the driver and the versions
setting NAME          a published setting on generated sessions: mini-batches/s over at least 50,000
                      steps, planning and copies included; a step's time on the device alone, over
                      chained graph launches, of whole blocks and of 16 steps; the host's time for a
                      step; the planner's; whether two trainings give the same bits; and where the
                      chip has it, the device's time and bits with dependent launches
kernels NAME          each kernel of a step, launched again and again from a graph; and within the
                      step's graph, by PyTorch's profiler
reference NAME        the reference in plain PyTorch, step by step and as one CUDA graph
ranks NAME            ranks of 512 targets and their 20 best items, beside PyTorch's product
loss V                `nn.SampledLoss` beside other ways (gpu_loss)
steps NAME            a few steps without a graph, for tools that watch them

`--check` takes tiny sizes on the CPU, with Triton's interpreter, so that all lines run anywhere
except those that only a GPU can run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

CHECK = "--check" in sys.argv
if CHECK:
    os.environ["TRITON_INTERPRET"] = "1"  # must be set before Triton is imported

import torch  # noqa: E402
import triton  # noqa: E402

from benchmarks import gpu_loss, launches, roofline  # noqa: E402
from benchmarks.gpu_model import Model, setting  # noqa: E402
from benchmarks.gpu_timing import captured, seconds, wait  # noqa: E402
from gru4rec_fast.engines.reference import ReferenceRanker, ReferenceTrainer  # noqa: E402
from gru4rec_fast.engines.triton import TF32, TritonRanker  # noqa: E402
from gru4rec_fast.kernels.training_step import GRAPH_STEPS  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

CPU_NAME = "no GPU (tiny sizes, whose figures mean nothing)"
LEAST_STEPS = 50_000
EPOCH_STEPS = 10_000
BLOCKS = 4
"""Blocks of each of the two trainings that must give the same bits."""
REPEATS = 20


def environment(device: torch.device, _: str) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "device": CPU_NAME, "torch": torch.__version__, "triton": triton.__version__,
        "measured_with_python": platform.python_version(), "precision": TF32,
    }  # fmt: skip
    if device.type == "cuda":
        chip = torch.cuda.get_device_properties(device)
        facts |= {
            "device": chip.name, "cuda": torch.version.cuda, "hip": torch.version.hip,
            "processors": chip.multi_processor_count, "memory_bytes": chip.total_memory,
            "copy_bytes_per_second": copy_rate(device),
        }  # fmt: skip
    return facts


def copy_rate(device: torch.device) -> float:
    """Bytes read and written per second by a copy of 1 GB."""
    source = torch.empty(2**28, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() * 4 / seconds(lambda: target.copy_(source), 10, device)


def measure_setting(device: torch.device, name: str) -> dict[str, Any]:
    config, n_items = setting(name, CHECK)
    on_gpu = device.type == "cuda"
    least, epoch_steps, most_seconds = (
        (4, 4, 1.0) if CHECK else (LEAST_STEPS, EPOCH_STEPS, 30.0)
    )  # fmt: skip
    bits = [_digest(config, n_items, device) for _ in range(2)]
    result: dict[str, Any] = {"same_bits": bits[0] == bits[1]}
    if bits[0] != bits[1]:
        result["failures"] = ["two trainings gave other bits"]
    model = Model(config, n_items, device, epoch_steps, "triton")
    start = time.perf_counter()
    model.train(1, 0.0)  # compiles
    model.train(1, 0.0)  # captures
    result["first_blocks_seconds"] = time.perf_counter() - start

    epochs: list[tuple[int, float]] = []
    while sum(n for n, _ in epochs) < least and sum(s for _, s in epochs) < most_seconds:
        epochs.append(model.train(10**9, most_seconds))
    steps, elapsed = (sum(column) for column in zip(*epochs, strict=True))
    result |= {
        "steps": steps,
        "engine": steps / elapsed,
        "engine_epochs": [n / s for n, s in epochs],
        "plan_seconds": plan_seconds(model),
        "host_seconds": host_seconds(model),
        "device_seconds": device_step_seconds(model),
        "short_graphs_seconds": device_step_seconds(model, GRAPH_STEPS),
    }
    if on_gpu and not torch.version.hip and torch.cuda.get_device_capability(device) >= (9, 0):
        result |= measure_dependent_launches(config, n_items, device, bits[0])
    # What of a step the device spends idle, if its kernels take no longer in the running training.
    result["gap_seconds"] = elapsed / steps - result["device_seconds"]
    if on_gpu:
        result["peak_bytes"] = torch.cuda.max_memory_allocated(device)
    chip = roofline.chip_like(torch.cuda.get_device_name() if on_gpu else "")
    if chip:
        result["floor_seconds"] = roofline.step_seconds(config, chip)
    return result


def _digest(config: Any, n_items: int, device: torch.device) -> str:
    """Of a training of some blocks from equal weights; graphs are captured at the second block."""
    return _trained(config, n_items, device).digest()


def _trained(
    config: Any, n_items: int, device: torch.device, dependent_launches: bool = False
) -> Model:
    model = Model(
        config, n_items, device, 3 if CHECK else 128 * BLOCKS, "triton", dependent_launches
    )  # fmt: skip
    model.train(128 * BLOCKS, 60.0)
    return model


def measure_dependent_launches(
    config: Any, n_items: int, device: torch.device, bits: str
) -> dict[str, Any]:
    """Whether they give these bits, and a step's time on the device."""
    try:
        model = _trained(config, n_items, device, dependent_launches=True)
        same = model.digest() == bits
        seconds_of_step = device_step_seconds(model)
    except Exception as error:
        return {"dependent": {"note": f"{type(error).__name__}: {error}"[:300]}}
    found: dict[str, Any] = {"dependent": {"same_bits": same, "device_seconds": seconds_of_step}}
    return found if same else found | {"failures": ["dependent launches give other bits"]}


def plan_seconds(model: Model) -> float:
    """Seconds by step of planning an epoch by the trainer's threads, while nothing trains."""
    start, steps = time.perf_counter(), 0
    with model.blocks() as blocks:
        for block in blocks:
            steps += len(block)
    return (time.perf_counter() - start) / steps


def host_seconds(model: Model) -> float:
    """The host's seconds by step to pack, upload and launch, the device idle at each block."""
    elapsed, steps = 0.0, 0
    with model.blocks() as blocks:
        for block in blocks:
            wait(model.device)
            start = time.perf_counter()
            model.trainer.train_block(block)
            elapsed += time.perf_counter() - start
            steps += len(block)
            model.steps += len(block)
            if steps > 5000:
                break
    return elapsed / steps


def device_step_seconds(model: Model, graph_steps: int | None = None) -> float:
    """Device time of a step in graphs of so many steps, None: of a block; launches chained."""
    step = model.step
    if step.upload is None:  # on the CPU
        with model.blocks() as blocks:
            step.train_block(next(iter(blocks)))
        return seconds(step.launch_step, 1, model.device, chains=2)
    steps = len(step.block.records)
    size = graph_steps or steps
    graphs = [step.graph(first, first + size) for first in range(0, steps, size)]

    def block() -> None:  # the last block's records are still there: train them again
        for graph in graphs:
            graph.replay()

    block()
    return seconds(block, REPEATS, model.device) / steps


def measure_kernels(device: torch.device, name: str) -> dict[str, Any]:
    config, n_items = setting(name, CHECK)
    model = Model(config, n_items, device, 2 if CHECK else 1000, "triton")
    model.train(1, 0.0)
    model.train(1, 0.0)
    step, repeats, chains = model.step, *((1, 1) if CHECK else (REPEATS, 5))
    result: dict[str, Any] = {}
    if device.type == "cuda":
        try:
            result["profile"] = profile(model)
        except Exception as error:
            result["note"] = f"profiler: {type(error).__name__}: {error}"
    with recorded(device) as launched:
        step.launch_step()
    times: dict[str, float] = {}
    for launch in launched:

        def repeat(launch: launches.Launch = launch) -> None:
            for _ in range(repeats):
                launch.again()

        run = captured(repeat, device)
        run()
        times[launch.name] = times.get(launch.name, 0.0) + seconds(run, 1, device, chains) / repeats
    chip = roofline.chip_like(torch.cuda.get_device_name() if device.type == "cuda" else "")
    floors = (
        {cost.kernel: cost.seconds(chip) for cost in roofline.step_costs(config)} if chip else {}
    )
    return result | {"kernels": times, "kernel_floors": floors}


def recorded(device: torch.device) -> Any:
    """`launches.recording` of the kind of kernels that run on this device."""
    if device.type == "cuda":
        return launches.recording()
    from triton.runtime.interpreter import InterpretedFunction

    return launches.recording(InterpretedFunction)


def profile(model: Model) -> dict[str, float]:
    """Mean seconds of each kernel within the step's graph, by PyTorch's profiler."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    steps = len(model.step.block.records)
    graph = model.step.graph(0, steps)
    with profiler(activities=[ProfilerActivity.CUDA]) as found:
        for _ in range(4):
            graph.replay()
        torch.cuda.synchronize()
    return {
        event.key.removesuffix("_kernel"): event.device_time_total / 1e6 / (4 * steps)
        for event in found.key_averages()
        if event.device_time_total > 0
    }


def measure_reference(device: torch.device, name: str) -> dict[str, Any]:
    config, n_items = setting(name, CHECK)
    torch.backends.cuda.matmul.allow_tf32 = True
    model = Model(config, n_items, device, 40 if CHECK else 2000, "reference")
    model.train(5, 20.0)
    steps, elapsed = model.train(10**9, 0.2 if CHECK else 12.0)
    result: dict[str, Any] = {"eager": steps / elapsed}
    trainer = model.trainer
    assert isinstance(trainer, ReferenceTrainer)
    trainer.start_epoch()
    with model.blocks() as blocks:
        prepared = trainer.prepared(next(iter(blocks)), 0)

    def one_step() -> None:
        trainer.train_prepared(prepared)

    try:
        if device.type == "cuda":
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    one_step()
            torch.cuda.current_stream().wait_stream(side)
        result["graph_seconds"] = seconds(captured(one_step, device), 3 if CHECK else 20, device)
    except Exception as error:
        result["note"] = f"a graph of the reference: {type(error).__name__}: {error}"
    return result


def measure_ranks(device: torch.device, name: str) -> dict[str, Any]:
    config, n_items = setting(name, CHECK)
    rows, k, repeats = (5, 3, 1) if CHECK else (512, 20, 5)
    torch.manual_seed(0)
    shapes = ((rows, config.layers[-1]), (n_items, config.layers[-1]), (n_items, 1))
    features, w, b = (torch.randn(shape, device=device) for shape in shapes)
    targets = torch.randint(n_items, (rows,), device=device)
    ours, reference = TritonRanker(w, b), ReferenceRanker(w, b)
    found: dict[str, Any] = {"V": n_items, "rows": rows, "k": k}
    ways: dict[str, Callable[[], object]] = {
        "rank_counts": lambda: ours.rank_counts(features, targets),
        "top_k": lambda: ours.top_k(features, k),
        "reference rank_counts": lambda: reference.rank_counts(features, targets),
        "plain top_k": lambda: torch.topk(torch.addmm(b.T, features, w.T), k),
    }
    scores = torch.addmm(b.T, features, w.T)
    result: dict[str, Any] = {"ranks": found}
    own = scores.gather(1, targets[:, None])
    # Other sums in another order differ where scores are nearly equal.
    off = (ours.rank_counts(features, targets)[0] - (scores > own).sum(dim=1)).abs().max()
    if int(off) > 2 + n_items // 10_000:
        result["failures"] = [f"a rank is {int(off)} off"]
    for way, run in ways.items():
        run()
        found[way] = seconds(run, repeats, device)
    return result


def measure_loss(device: torch.device, n_items: str) -> dict[str, Any]:
    sizes = (24, 16, 8, 1, 1) if CHECK else (4096, 4096, 512, 10)
    return gpu_loss.compare(int(n_items), device, *sizes)


def some_steps(device: torch.device, name: str) -> dict[str, Any]:
    config, n_items = setting(name, CHECK)
    model = Model(config, n_items, device, 20, "triton")  # sessions for every lane
    with model.blocks(block_steps=3) as blocks:
        steps = len(model.step.train_block(next(iter(blocks))))
    wait(device)
    return {"steps": steps}


WAYS: dict[str, Callable[[torch.device, str], dict[str, Any]]] = {
    "environment": environment,
    "setting": measure_setting,
    "kernels": measure_kernels,
    "reference": measure_reference,
    "ranks": measure_ranks,
    "loss": measure_loss,
    "steps": some_steps,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("argument", nargs="?", default="")
    parser.add_argument("result", type=Path)
    parser.add_argument("--check", action="store_true", help="tiny sizes on the CPU")
    arguments = parser.parse_args()
    device = torch.device("cpu" if arguments.check else "cuda")
    found = WAYS[arguments.way](device, arguments.argument)
    arguments.result.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
