"""Time to plan a training step, by the number of planning threads, beside another commit.

    python -m benchmarks.planning [--against REV] [--threads 1 2] [--rounds 9] [--settings rsc15 …]

An epoch of a published setting is planned while nothing trains. Ways take turns, an epoch each, in
processes of their own, so that a change of the machine's speed meets all. The commit is checked out
and built in a worktree under build/against, and plans by one thread. All ways must give the same
plan: exit status 1 if one does not.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.against import ROOT, Tree, built_worktree
from benchmarks.workloads import N_ITEMS, WORKLOADS, GeneratedSessions

STEPS = 6_400


def compare(ways: dict[str, tuple[Tree, int]], name: str, rounds: int, folder: Path) -> bool:
    """Print the time of each way; whether their plans are equal."""
    config, n_items = WORKLOADS[name], N_ITEMS[name]
    log = folder / f"{name}.npz"
    sessions = GeneratedSessions.draw(n_items, int(1.1 * STEPS * config.batch_size))
    np.savez(log, **vars(sessions))
    request = {
        "do": "plans", "log": str(log), "alpha": config.sample_alpha,
        "batch_size": config.batch_size, "n_sample": config.n_sample,
    }  # fmt: skip
    digests = {way: tree.ask(**request, threads=n, rounds=0) for way, (tree, n) in ways.items()}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, (tree, n) in ways.items():
            seconds[way].append(tree.ask(**request, threads=n, rounds=1))
    first = np.array(seconds[next(iter(ways))])
    for way, found in seconds.items():
        times = 1e6 * np.array(found)
        low, middle, high = np.quantile(times, [0.25, 0.5, 0.75])
        ratio = np.median(np.array(found) / first)
        print(
            f"| {name} | {n_items:,} | {way} | {middle:.1f} | {low:.1f} to {high:.1f} | "
            f"{ratio:.2f} |",
            flush=True,
        )
    different = [way for way, digest in digests.items() if digest != next(iter(digests.values()))]
    print("".join(f"{name}: another plan by {way}\n" for way in different), end="")
    return not different


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--against", metavar="REV", help="a commit to measure too")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--settings", nargs="+", choices=N_ITEMS, default=list(N_ITEMS))
    options = parser.parse_args()
    ways = {}
    if options.against:
        ways[f"{options.against}, 1 thread"] = Tree(built_worktree(options.against)), 1
    here = Tree(ROOT)
    for n in options.threads:
        ways[f"{n} thread{'s' * (n > 1)}"] = here, n
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print("| setting | V | planned by | us a step | quartiles | ratio |")
    print("|---|--:|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        equal = [compare(ways, name, options.rounds, Path(folder)) for name in options.settings]
    return 0 if all(equal) else 1


if __name__ == "__main__":
    sys.exit(main())
