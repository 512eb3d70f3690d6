"""One rank of `benchmarks.distributed`, which torchrun starts: JSON in, a line of JSON out."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from benchmarks.workloads import WORKLOADS, GeneratedSessions
from gru4rec_fast import GRU4Rec
from gru4rec_fast.distributed import mailbox as messages
from gru4rec_fast.distributed.cost import step_cost
from gru4rec_fast.distributed.deal import config_of
from gru4rec_fast.distributed.mailbox import Mailbox, mailbox
from gru4rec_fast.distributed.plan import SharedPlans
from gru4rec_fast.distributed.ranks import Ranks
from gru4rec_fast.distributed.shards import Shards, initial_parameters
from gru4rec_fast.distributed.trainer import SharedTrainer
from gru4rec_fast.engines.choice import ENGINES
from gru4rec_fast.evaluation.evaluate import evaluate
from gru4rec_fast.model.network import Network
from gru4rec_fast.plan.epoch import plan_epoch
from gru4rec_fast.plan.negatives import negative_sampler
from gru4rec_fast.reference import OPTIMISERS
from gru4rec_fast.spec import NetworkSpec
from gru4rec_fast.training.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from gru4rec_fast.config import Config


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
    if sockets:
        messages.MEMORY = Path("/nowhere")
    config = WORKLOADS[setting]
    sessions = GeneratedSessions.draw(n_items, 3 * steps * (rounds + 2) * config.batch_size)
    if size == 1:
        network = Network(config, n_items)
        network.initialise()
        return {"seconds": alone(config, network, sessions, steps, rounds)}
    spec = NetworkSpec.of(config, n_items)
    ranks = Ranks(dist.get_rank(), size)
    own = config_of(config, ranks)
    p = initial_parameters(ranks, spec, config)
    support = torch.from_numpy(sessions.support)
    optimiser = OPTIMISERS[config.adapt](config)
    trainer = SharedTrainer(ranks, "cpu", spec, p, optimiser, config, own, support)
    sampler = negative_sampler(sessions.support, config.sample_alpha)
    plans = SharedPlans(ranks, own, config.seed, sessions, sampler, spec, steps)
    trainer.start_epoch()
    seconds, sent, rows = [], [], []
    with plans(Progress()) as plan:
        for _ in range(rounds + 1):
            start, before = time.perf_counter(), ranks.bytes_sent
            block = next(plan)
            trainer.train_block(block)
            seconds.append((time.perf_counter() - start) / steps)
            sent.append((ranks.bytes_sent - before) / steps)
            assert block.compact is not None
            rows.append(float(block.compact.touched.mean()))
    weights = sum(value.numel() for name, value in p.items() if name not in spec.tables)
    columns = (2 * config.batch_size + config.n_sample) / size
    model = step_cost(
        size, config.batch_size, config.n_sample, config.layers[-1], weights, rows[-1] / columns
    )
    return {"seconds": statistics.median(seconds[1:]), "sent": statistics.median(sent[1:]),
            "modelled": model.sent, "rows": rows[-1]}  # fmt: skip


def alone(
    config: Config, network: Network, sessions: GeneratedSessions, steps: int, rounds: int
) -> float:
    """Median seconds of a step in one process."""
    support = torch.from_numpy(sessions.support)
    trainer = ENGINES["cpu"].trainer(
        network.spec, network.parameter_dict(), OPTIMISERS[config.adapt](config), config, support
    )
    trainer.start_epoch()
    seconds = []
    with plan_epoch(
        sessions, negative_sampler(sessions.support, config.sample_alpha),
        batch_size=config.batch_size, n_sample=config.n_sample, seed=config.seed, first_step=0,
        block_steps=steps,
    ) as plan:  # fmt: skip
        for _ in range(rounds + 1):
            start = time.perf_counter()
            trainer.train_block(next(plan))
            seconds.append((time.perf_counter() - start) / steps)
    return statistics.median(seconds[1:])


def rows(size: int, n_items: int, units: int, rows: int, rounds: int, memory: bool) -> Any:
    """Median seconds in which each rank fetches that many rows, and the owners update them."""
    ranks, table = Ranks(dist.get_rank(), size), "Wy.weight"
    config = WORKLOADS["rees46"].replace(layers=(units,))
    spec = NetworkSpec.of(config, n_items)
    optimiser = OPTIMISERS[config.adapt](config)
    shards = Shards(ranks, spec, initial_parameters(ranks, spec, config), optimiser, "cpu")
    by_memory = mailbox(ranks, torch.float32, rows * units) if memory else None
    post = by_memory or Mailbox(ranks, torch.float32)
    compact, own, seconds = torch.empty(rows, units), ranks.rank, []
    generator = torch.Generator().manual_seed(own)
    for _ in range(rounds):
        items = torch.randperm(n_items, generator=generator)[:rows]
        places = [torch.nonzero(items % size == r)[:, 0] for r in range(size)]
        asked = [
            parts[own] // size for parts in ranks.all_gather_objects([items[p] for p in places])
        ]
        unique, inverse = torch.unique(torch.cat(asked), return_inverse=True)
        place = inverse.split([len(part) for part in asked])
        others = [r for r in range(size) if r != own]
        ranks.wait()
        start = time.perf_counter()
        fetched = post.exchange(
            [[(shards.p[table], asked[r])] if r != own else [] for r in range(size)],
            [[(len(places[r]), units)] if r != own else [] for r in range(size)],
        )
        compact.index_copy_(0, places[own], shards.p[table].index_select(0, asked[own]))
        for r in others:
            compact.index_copy_(0, places[r], fetched[r][0])
        found = post.exchange(
            [[(compact, places[r])] if r != own else [] for r in range(size)],
            [[(len(asked[r]), units)] if r != own else [] for r in range(size)],
        )
        found[own] = [compact.index_select(0, places[own])]
        total = torch.zeros(len(unique), units)
        for r in range(size):
            total.index_add_(0, place[r], found[r][0])
        shards.update_rows(table, unique, total)
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
