"""A step's rows by TorchRec's sharded EmbeddingCollection, for docs/SCALING.md.

It fetches the unique rows of a step from row-wise shards and applies fused Adagrad to their
gradients. The rest of the step, the network, is not in it. The project does not use TorchRec; run
this in an environment of its own:

    pip install torch==2.13.0 torchrec==1.8.0 && pip uninstall -y fbgemm-gpu fbgemm-gpu-cpu
    pip install --no-deps fbgemm-gpu-cpu==1.8.0
    torchrun --nproc-per-node 2 benchmarks/torchrec_step.py
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
import torch.distributed as dist


def main() -> None:
    """Print the median time of a step on rank 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--units", type=int, default=512)
    parser.add_argument("--rows", type=int, default=1_200, help="unique rows of a rank's step")
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    table = sharded_table(options.items, options.units)
    rng = torch.Generator().manual_seed(rank)
    seconds = []
    for _ in range(options.steps + 5):
        rows = torch.randperm(options.items, generator=rng)[: options.rows]
        dist.barrier()
        start = time.perf_counter()
        step(table, rows)
        seconds.append(time.perf_counter() - start)
    if rank == 0:
        print(f"TorchRec, {dist.get_world_size()} ranks, {options.rows} rows of {options.units}: "
              f"median {1e3 * statistics.median(seconds[5:]):.2f} ms a step")  # fmt: skip
    dist.destroy_process_group()


def step(table: torch.nn.Module, rows: torch.Tensor) -> None:
    """Fetch the rows, and update them by a gradient of ones."""
    from torchrec import KeyedJaggedTensor

    asked = KeyedJaggedTensor(["item"], rows, lengths=torch.ones(len(rows), dtype=torch.int64))
    table(asked)["item"].values().sum().backward()


def sharded_table(items: int, units: int) -> torch.nn.Module:
    """An item table in row-wise shards with fused Adagrad."""
    from torchrec import EmbeddingCollection, EmbeddingConfig
    from torchrec.distributed.embedding import EmbeddingCollectionSharder
    from torchrec.distributed.model_parallel import DistributedModelParallel
    from torchrec.distributed.planner import EmbeddingShardingPlanner, Topology
    from torchrec.distributed.planner.types import ParameterConstraints
    from torchrec.optim.apply_optimizer_in_backward import apply_optimizer_in_backward

    config = EmbeddingConfig(
        name="item_table", embedding_dim=units, num_embeddings=items, feature_names=["item"]
    )
    table = EmbeddingCollection(tables=[config], device=torch.device("meta"))
    apply_optimizer_in_backward(torch.optim.Adagrad, table.parameters(), {"lr": 0.05})
    sharder = EmbeddingCollectionSharder()
    planner = EmbeddingShardingPlanner(
        topology=Topology(world_size=dist.get_world_size(), compute_device="cpu"),
        constraints={
            "item_table": ParameterConstraints(
                sharding_types=["row_wise"], compute_kernels=["fused"]
            )
        },
    )
    plan = planner.collective_plan(table, [sharder], dist.group.WORLD)
    sharded: torch.nn.Module = DistributedModelParallel(
        table, device=torch.device("cpu"), plan=plan, sharders=[sharder]
    )
    return sharded


if __name__ == "__main__":
    main()
