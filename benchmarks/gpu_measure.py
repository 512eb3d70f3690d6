"""Times of the published settings on generated sessions: engine, reference, and every kernel.

    python -m benchmarks.gpu_measure RESULTS.json [--seconds 240] [--check]

`gpu_report` runs this in a process that has the built package. Each setting is measured four ways:

engine     a whole epoch through `plan_epoch` and the Triton engine, planning and copies included
device     a step's share of a CUDA graph replay, by device events: what is left without the host
eager      the reference in plain PyTorch on the same blocks, its kernels launched one by one
graph      one fixed step of the reference, captured in a CUDA graph and replayed: no host at all

and each kernel alone, launched many times from a graph, so with its data in the cache. The file is
written anew after each setting. `--check` takes tiny settings on the CPU and leaves out what needs
a GPU, so that all other lines run anywhere.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import triton

from benchmarks import launches, roofline
from gru4rec_fast import reference
from gru4rec_fast.engines.choice import ENGINES
from gru4rec_fast.engines.reference import ReferenceTrainer
from gru4rec_fast.engines.triton import PRECISION, TritonTrainer
from gru4rec_fast.model.network import Network
from gru4rec_fast.plan.epoch import plan_epoch
from gru4rec_fast.plan.negatives import negative_sampler
from gru4rec_fast.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from gru4rec_fast.config import Config
    from gru4rec_fast.kernels.training_step import TrainingStep

N_ITEMS = 50_000
EPOCH_STEPS = 3000
REPEATS = 20
CHECK_DEVICE = "no GPU (tiny settings, whose figures mean nothing)"


@dataclass(frozen=True)
class Log:
    """Sessions of 2 to 10 events of items with Zipf's popularity, in the order of the log."""

    items: NDArray[np.int32]
    offsets: NDArray[np.int64]
    order: NDArray[np.int64]
    support: NDArray[np.int64]


def generate(events: int, n_items: int, seed: int = 0) -> Log:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, 11, max(1, events // 6))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    popularity = 1.0 / np.arange(1, n_items + 1)
    items = rng.choice(n_items, offsets[-1], p=popularity / popularity.sum()).astype(np.int32)
    support = np.bincount(items, minlength=n_items).astype(np.int64)
    return Log(items, offsets, np.arange(len(lengths)), np.maximum(support, 1))


class Model:
    """A model on a device, its sessions, and epochs of it by an engine."""

    def __init__(
        self, config: Config, device: torch.device, steps: int, n_items: int, engine: str
    ) -> None:
        self.config, self.device = config, device
        self.log = generate(steps * config.batch_size, n_items)
        network = Network(config, n_items)
        network.initialise()
        self.network = network.to(device)
        self.p = self.network.parameter_dict()
        self.support = torch.from_numpy(self.log.support).to(device)
        optimiser = reference.OPTIMISERS[config.adapt](config)
        self.trainer = ENGINES[engine].trainer(
            self.network.spec, self.p, optimiser, config, self.support
        )
        self.step = 0

    def blocks(self) -> Any:
        """The planned blocks of an epoch."""
        sampler = negative_sampler(self.log.support, self.config.sample_alpha)
        return plan_epoch(
            self.log, sampler, batch_size=self.config.batch_size, n_sample=self.config.n_sample,
            seed=self.config.seed, first_step=self.step,
        )  # fmt: skip

    def train(self, most_seconds: float) -> tuple[int, float]:
        """Steps and seconds of an epoch, or of as much of it as the time allows."""
        steps, before = 0, None
        self.trainer.start_epoch()
        self.wait()
        start = time.perf_counter()
        with self.blocks() as blocks:
            for block in blocks:
                losses = self.trainer.train_block(block)
                steps += len(block)
                self.step += len(block)
                if before is not None:
                    before.cpu()  # a block behind, so that the device never waits for the host
                before = losses
                if time.perf_counter() - start > most_seconds:
                    break
        self.wait()
        return steps, time.perf_counter() - start

    def wait(self) -> None:
        """Until the device is through."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def device_seconds(run: Callable[[], object]) -> float:
    """Median time of `run` between device events."""
    times = []
    for _ in range(REPEATS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return statistics.median(times)


def capture(run: Callable[[], object]) -> torch.cuda.CUDAGraph:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph


def training_step(model: Model) -> TrainingStep:
    """The step of a model that the Triton engine trains."""
    assert isinstance(model.trainer, TritonTrainer)
    return model.trainer.step


def engine_step_seconds(model: Model) -> float:
    """Device time of a step within the engine's graph."""
    step = training_step(model)
    steps, graph = max(step.graphs.items())

    def replay() -> None:
        step.block.next.zero_()  # the last block's records are still there: train them again
        graph.replay()

    return device_seconds(replay) / steps


def kernel_seconds(model: Model) -> dict[str, float]:
    """Device time of each kernel of a step, launched again and again; the model is spoilt by it."""
    step = training_step(model)
    step.block.next.zero_()
    with launches.recording() as recorded:
        step.launch_step()
    seconds: dict[str, float] = {}
    for launch in recorded:

        def repeat(launch: launches.Launch = launch) -> None:
            for _ in range(REPEATS):
                launch.again()

        graph = capture(repeat)
        seconds[launch.name] = (
            seconds.get(launch.name, 0.0) + device_seconds(graph.replay) / REPEATS
        )
    return seconds


def reference_graph_seconds(model: Model) -> float:
    """Device time of one fixed step of the reference in a CUDA graph: no host, no fresh masks."""
    trainer = model.trainer
    assert isinstance(trainer, ReferenceTrainer)
    with model.blocks() as blocks:
        block = next(iter(blocks))
    step = trainer.prepared(block, 0)

    def one_step() -> None:
        trainer.train_prepared(step)

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            one_step()
    torch.cuda.current_stream().wait_stream(side)
    return device_seconds(capture(one_step).replay)


def measure(config: Config, device: torch.device, steps: int, seconds: float) -> dict[str, Any]:
    """All times of one setting; a way that doesn't work leaves its reason under `notes`."""
    on_gpu = device.type == "cuda"
    result: dict[str, Any] = {"notes": {}}
    n_items = N_ITEMS if on_gpu else 200
    model = Model(config, device, steps, n_items, "triton" if on_gpu else "cpu")
    if on_gpu:
        model.train(most_seconds=0.0)  # compiles
        model.train(most_seconds=0.0)  # captures
    done, elapsed = model.train(seconds)
    result["engine"] = done / elapsed
    costs = roofline.step_costs(config)
    chip = roofline.chip_like(torch.cuda.get_device_name() if on_gpu else "")
    if chip:
        result["floor_seconds"] = roofline.step_seconds(config, chip)
        result["kernel_floors"] = {cost.kernel: cost.seconds(chip) for cost in costs}
    ways: dict[str, Callable[[], Any]] = {
        "device_seconds": lambda: engine_step_seconds(model),
        "kernels": lambda: kernel_seconds(model),
        "graph_seconds": lambda: reference_graph_seconds(
            Model(config, device, 200, N_ITEMS, "reference")
        ),
    }
    for name, way in ways.items():
        if not on_gpu:
            result["notes"][name] = "needs a GPU"
            continue
        try:
            result[name] = way()
        except Exception as error:
            result["notes"][name] = f"{type(error).__name__}: {error}"
    model = Model(config, device, steps, n_items, "reference")
    model.train(most_seconds=0.0)
    done, elapsed = model.train(seconds / 4)
    result["eager"] = done / elapsed
    return result


def settings(check: bool) -> Iterator[tuple[str, Config]]:
    for name in PRESETS:
        config = launches.preset_config(name)
        small = {"layers": (8,), "batch_size": 4, "n_sample": 16} if check else {}
        yield name, config.replace(**small)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--seconds", type=float, default=240.0, help="for all settings together")
    parser.add_argument("--check", action="store_true", help="tiny settings, no GPU")
    arguments = parser.parse_args()
    deadline = time.monotonic() + arguments.seconds
    device = torch.device("cpu" if arguments.check else "cuda")
    results: dict[str, Any] = {
        "device": CHECK_DEVICE if arguments.check else torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "triton": triton.__version__,
        "python": platform.python_version(),
        "precision": PRECISION,
        "settings": {},
    }
    for name, config in settings(arguments.check):
        if time.monotonic() > deadline:
            results["settings"][name] = {"notes": {"all": "no time was left"}}
        else:
            steps, seconds = (40, 0.2) if arguments.check else (EPOCH_STEPS, 4.0)
            results["settings"][name] = measure(config, device, steps, seconds)
        arguments.results.write_text(json.dumps(results, indent=1))
        print(f"{name}: measured", flush=True)


if __name__ == "__main__":
    main()
