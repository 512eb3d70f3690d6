"""Ranks and best items by int8 bounds, beside the products alone, torch.topk and faiss.

    make bench-ranks ARGS="--items 1000000 --rounds 5 --large 10000000"

Weights are trained on a generated log of so many items, and kept in build/ for the next time. Ways
take turns, so that a change of the machine's speed affects all; ratios are of medians. faiss
(`pip install faiss-cpu`) is measured if it is there; `--hnsw` builds its graph, which takes long.
With `--large`, one session among so many items of H = 64 with random rows, a stand-in for trained
ones.
"""

from __future__ import annotations

import argparse
import platform
import statistics
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.turns import in_turns
from gru4rec_fast import GRU4Rec, _core
from gru4rec_fast.data.synthetic import generate
from gru4rec_fast.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

BUILD = Path(__file__).resolve().parents[1] / "build"
ROWS, K, TILE = 256, 20, 4096
EVENTS_AN_ITEM = 7
MEAN_LENGTH = 7.6


def trained(n_items: int) -> dict[str, Any]:
    """w, b of the rsc15 preset (H = 100) after an epoch; features and targets of new sessions."""
    path = BUILD / f"bounded_ranks-{n_items}.npz"
    if not path.exists():
        log = generate(int(n_items * EVENTS_AN_ITEM / MEAN_LENGTH), n_items, seed=1).log
        gru = GRU4Rec(**{**PRESETS["rsc15"], "batch_size": 64, "n_epochs": 1})
        gru.fit(log)
        features, targets = states_of_sessions(gru, generate(400, n_items, seed=1).log)
        w, b = gru.model.Wy.weight.detach().numpy(), gru.model.By.weight.detach().numpy()
        path.parent.mkdir(exist_ok=True)
        np.savez(path, w=w, b=b, features=features, targets=targets)
    with np.load(path) as arrays:
        return dict(arrays)


def states_of_sessions(gru: GRU4Rec, log: Any) -> tuple[Floats, NDArray[np.int64]]:
    """The features after each event of a log, ROWS of them, and the items that came next."""
    scorer, known = gru.scorer(), gru.data_iterator.itemidmap
    features, targets = [], []
    lane = torch.zeros(1, dtype=torch.int64)
    for _, session in log[log["ItemId"].isin(known.index)].groupby("SessionId"):
        items = known[session["ItemId"]].to_numpy(dtype=np.int64)
        state = scorer.start(1)
        for item, target in pairwise(items):
            features.append(scorer.step(state, torch.tensor([item]), lane.bool(), lane)[0].numpy())
            targets.append(target)
        if len(features) >= ROWS:
            break
    return np.stack(features[:ROWS]), np.array(targets[:ROWS], dtype=np.int64)


def medians(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of each way, the median of rounds in which they take turns."""
    return {name: statistics.median(times) for name, times in in_turns(ways, rounds).items()}


def with_sets(instruction_set: str, bounds: str, way: Callable[[], Any]) -> Callable[[], Any]:
    """The way, run with these instruction sets."""

    def run() -> Any:
        _core.use_instruction_set(instruction_set)
        _core.use_bound_instruction_set(bounds)
        return way()

    return run


def bound_sets() -> list[tuple[str, str]]:
    """Each instruction set with each set of bounds, the emulation left out."""
    pairs = []
    for name in _core.instruction_sets():
        _core.use_instruction_set(name)
        pairs += [(name, s) for s in _core.bound_instruction_sets() if not s.startswith("emulated")]
    return pairs


def faiss_ways(w: Floats, b: Floats, features: Floats, hnsw: bool) -> dict[str, Any]:
    """Searches by faiss, as inner products; the bias is one more unit. Empty without faiss."""
    try:
        faiss = import_module("faiss")
    except ImportError:
        print("faiss is not installed: pip install faiss-cpu")
        return {}
    faiss.omp_set_num_threads(1)
    items = np.ascontiguousarray(np.hstack([w, b]))
    queries = np.hstack([features, np.ones((len(features), 1), np.float32)])
    flat = faiss.IndexFlatIP(items.shape[1])
    flat.add(items)
    ways: dict[str, Any] = {"faiss flat": lambda: flat.search(queries, K)[1]}
    if hnsw:
        graph = faiss.IndexHNSWFlat(items.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efSearch = 128
        graph.add(items)
        ways["faiss HNSW"] = lambda: graph.search(queries, K)[1]
    return ways


def evaluation(n_items: int, rounds: int, hnsw: bool) -> list[str]:
    """Lines about ROWS rows of trained weights."""
    a = trained(n_items)
    w, b, features, targets = (a[name] for name in ("w", "b", "features", "targets"))
    items = _core.BoundedItems(w, b, threads=1)
    torch_w, torch_b, torch_f = (torch.from_numpy(x) for x in (w, b, features))
    scores = torch.empty(len(features), TILE)

    def floor() -> None:
        for first in range(0, len(w) - TILE + 1, TILE):
            torch.mm(torch_f, torch_w[first : first + TILE].T, out=scores)

    def torch_topk() -> None:
        torch.addmm(torch_b.T, torch_f, torch_w.T).topk(K)

    sets = bound_sets()
    ways: dict[str, Callable[[], Any]] = {"floor": floor, "torch.addmm + topk": torch_topk}
    for name in dict(sets):
        ways[f"ranks, float32 {name}"] = with_sets(
            name, dict(sets)[name], lambda: _core.rank_counts(features, w, b, targets, 1)
        )
    for name, bounds in sets:
        ways[f"ranks, {bounds}"] = with_sets(
            name, bounds, lambda: items.rank_counts(features, targets, 1)
        )
        ways[f"top {K}, {bounds}"] = with_sets(name, bounds, lambda: items.top_k(features, K, 1))
    approximate = faiss_ways(w, b, features, hnsw)
    ways |= approximate
    seconds = medians(ways, rounds)
    lines = [
        f"{len(features)} rows, V = {len(w):,}, H = {w.shape[1]}, weights trained on a generated "
        "log, one thread:",
    ]
    best = items.top_k(features, K, 1)[1]
    for name, way in ways.items():
        line = f"  {name:28} {seconds[name] * 1e3:9.1f} ms  {seconds[name] / seconds['floor']:6.2f}"
        if "ranks, " in name or name.startswith("top"):
            found = way()
            if len(found) == 3:
                undecided, scored, pairs = found[2]
                line += f"  undecided {undecided / pairs:.2%}, scored {scored / pairs:.2%}"
        if name in approximate:
            found = way()
            hits = [len(set(x) & set(y)) for x, y in zip(found, best, strict=True)]
            line += f"  recall of the exact {K}: {np.mean(hits) / K:.3f}"
        lines.append(line)
    return lines


def one_session(n_items: int, rounds: int) -> list[str]:
    """Lines about the best items for one session, beside the time to read the rounded rows once."""
    rng = np.random.default_rng(0)
    units = 64
    w, b = rng.standard_normal((n_items, units), np.float32), np.zeros((n_items, 1), np.float32)
    features = w[5:6] + rng.standard_normal((1, units), np.float32)
    items = _core.BoundedItems(w, b, threads=1)
    table = rng.integers(0, 2**62, n_items * units // 8)  # as many bytes as the rounded rows
    ways: dict[str, Callable[[], Any]] = {"read": lambda: np.bitwise_or.reduce(table)}
    for name, bounds in bound_sets():
        ways[bounds] = with_sets(name, bounds, lambda: items.top_k(features, K, 1))
    ways["float32"] = lambda: _core.top_k(features, w, b, K, 1)
    seconds = medians(ways, rounds)
    gigabytes = table.nbytes / seconds["read"] / 1e9
    return [
        f"One session, top {K}, V = {n_items:,}, H = {units}, random weights, one thread:",
        *(
            f"  {name:28} {s * 1e3:9.1f} ms  {s / seconds['read']:6.2f}"
            + (f"  {gigabytes:.1f} GB/s" if name == "read" else "")
            for name, s in seconds.items()
        ),
    ]


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--large", type=int, default=0, help="items of the single session")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hnsw", action="store_true", help="faiss HNSW too")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}")
    if arguments.items:
        print("\n".join(evaluation(arguments.items, arguments.rounds, arguments.hnsw)))
    if arguments.large:
        print("\n".join(one_session(arguments.large, arguments.rounds)))


if __name__ == "__main__":
    main()
