"""One rank of `benchmarks.distributed`, which torchrun starts: JSON in, a line of JSON out."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist

from benchmarks.workloads import WORKLOADS, GeneratedSessions
from gru4rec_fast import GRU4Rec
from gru4rec_fast.config import Config
from gru4rec_fast.distributed.cost import step_cost
from gru4rec_fast.distributed.ranks import Ranks
from gru4rec_fast.distributed.rows import BlockRows
from gru4rec_fast.distributed.trainer import SharedTrainer
from gru4rec_fast.engines.choice import ENGINES
from gru4rec_fast.evaluation.evaluate import evaluate
from gru4rec_fast.model.initial import EveryNth, draw_parameters
from gru4rec_fast.model.network import Network
from gru4rec_fast.plan.epoch import plan_epoch
from gru4rec_fast.plan.negatives import negative_sampler
from gru4rec_fast.reference import OPTIMISERS
from gru4rec_fast.spec import NetworkSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from gru4rec_fast.engines.contract import Trainer
    from gru4rec_fast.reference import Parameters


def main() -> None:
    """Do the job of the first argument."""
    torch.set_num_threads(1)
    job = json.loads(sys.argv[1])
    size = int(os.environ["WORLD_SIZE"])
    dist.init_process_group("gloo")
    answer = JOBS[job.pop("job")](size, **job)
    if dist.get_rank() == 0:
        print(json.dumps(answer), flush=True)
    dist.destroy_process_group()


def step(
    size: int, setting: str, n_items: int, steps: int, rounds: int, sockets: bool
) -> dict[str, Any]:
    """Median seconds of a step of a published setting, and the bytes that a rank sends."""
    config = WORKLOADS[setting]
    sessions = GeneratedSessions.draw(n_items, 3 * steps * (rounds + 2) * config.batch_size)
    network = Network(config, n_items)
    network.initialise()
    p, support = network.parameter_dict(), torch.from_numpy(sessions.support)
    optimiser = OPTIMISERS[config.adapt](config)
    ranks = Ranks(dist.get_rank(), size)
    trainer: Trainer
    if size == 1:
        trainer = ENGINES["cpu"].trainer(network.spec, p, optimiser, config, support)
    else:
        trainer = SharedTrainer(
            ranks, "cpu", network.spec, drawn(network.spec, config, ranks), optimiser, config,
            support, by_memory=not sockets,
        )  # fmt: skip
    trainer.start_epoch()
    seconds, sent = [], []
    with plan_epoch(
        sessions, negative_sampler(sessions.support, config.sample_alpha),
        batch_size=config.batch_size, n_sample=config.n_sample, seed=config.seed, first_step=0,
        block_steps=steps,
    ) as plan:  # fmt: skip
        for _ in range(rounds + 1):
            start, before = time.perf_counter(), ranks.bytes_sent
            block = next(plan)
            trainer.train_block(block)
            seconds.append((time.perf_counter() - start) / steps)
            sent.append((ranks.bytes_sent - before) / steps)
    weights = sum(value.numel() for name, value in p.items() if name not in network.spec.tables)
    unique = float(block.touched.mean()) / (2 * config.batch_size + config.n_sample)
    model = step_cost(size, config.batch_size, config.n_sample, config.layers[-1], weights, unique)
    return {"seconds": statistics.median(seconds[1:]), "sent": statistics.median(sent[1:]),
            "modelled": model.sent}  # fmt: skip


def drawn(spec: NetworkSpec, config: Config, ranks: Ranks) -> Callable[[Parameters], None]:
    """What writes a rank's initial parameters."""
    return partial(
        draw_parameters, spec, config, kept=EveryNth(spec.n_items, ranks.rank, ranks.size)
    )


@dataclass
class OneStep:
    """What `BlockRows` reads of a block of one step with one lane, whose input is the first row."""

    rows: Any
    scored: Any
    touched: Any
    live = np.ones(1, np.int32)
    input_row = np.zeros((1, 1), np.int32)

    def __len__(self) -> int:
        return 1


def rows(size: int, n_items: int, units: int, rows: int, rounds: int, memory: bool) -> Any:
    """Median seconds in which all ranks fetch that many rows, and the owners update them.

    The weights of this network are few, so that rows are all that counts.
    """
    ranks = Ranks(dist.get_rank(), size)
    config = Config().replace(
        layers=(1,), feed_forward=(units,), constrained_embedding=False, embedding=1,
        n_sample=rows, batch_size=size,
    )  # fmt: skip
    spec = NetworkSpec.of(config, n_items)
    optimiser = OPTIMISERS[config.adapt](config)
    trainer = SharedTrainer(
        ranks, "cpu", spec, drawn(spec, config, ranks), optimiser, config,
        torch.ones(n_items, dtype=torch.int64), by_memory=memory,
    )  # fmt: skip
    random, seconds = np.random.default_rng(1), []
    for _ in range(rounds):
        items = random.permutation(n_items)[None, :rows].astype(np.int32)
        counts = np.array([rows], np.int32)
        block: Any = OneStep(items, counts, counts)
        ranks.wait()
        start = time.perf_counter()
        needed = BlockRows(block, spec, size)
        trainer.exchange.fetch(needed, 0)
        trainer.update(needed, 0)
        seconds.append(time.perf_counter() - start)
    return {"seconds": statistics.median(seconds[5:])}


def recall(size: int, logs: dict[str, str], parameters: dict[str, Any]) -> dict[str, Any]:
    """Recall@20 and MRR@20 on each log after a `fit` by all ranks."""
    gru = GRU4Rec(**parameters, device="cpu")
    gru.fit(logs["train"], progress=False, compatibility_mode=False)
    if dist.get_rank() != 0:
        return {}
    return {
        name: {
            metric: evaluate(gru, log, [20], groups={}, lists=False, n_bootstrap=0).values[metric][
                20
            ]
            for metric in ("recall", "mrr")
        }
        for name, log in logs.items()
        if name != "train"
    } | {"ranks": size}


JOBS: dict[str, Callable[..., dict[str, Any]]] = {"step": step, "rows": rows, "recall": recall}

if __name__ == "__main__":
    main()
