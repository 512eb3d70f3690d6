"""This tree against a commit: the time of a step, interleaved, and whether training gives its bits.

    python -m benchmarks.against REV [--rounds 15] [--threads 1 2] [--bits] [--settings rsc15 ...]

The commit is checked out and built in a worktree under build/against. One process trains by it and
one by this tree; they take turns, an epoch of some hundred steps each, and a round's ratio is that
of two neighbouring epochs. With `--bits` both train an epoch of 24 combinations of options on each
number of threads and by each instruction set, and their parameters are compared; exit status 1 if
any differs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workloads import WORKLOADS
from gru4rec_fast.config import Config
from gru4rec_fast.parameter import as_text

ROOT = Path(__file__).resolve().parent.parent
STEPS = {"rsc15": 400, "retailrocket": 120, "rees46": 16, "2016": 1500}

LOSSES: dict[str, dict[str, Any]] = {
    "cross-entropy": {"loss": "cross-entropy", "logq": 1.0},
    "bpr-max": {"loss": "bpr-max", "elu_param": 0.5, "bpreg": 1.2},
}
EMBEDDINGS: dict[str, dict[str, Any]] = {
    "shared": {"constrained_embedding": True},
    "separate": {"constrained_embedding": False, "embedding": 30},
    "one-hot": {"constrained_embedding": False},
}
DROPOUT = {"dropout_p_embed": 0.25, "dropout_p_hidden": 0.4}
SIZES: dict[str, dict[str, Any]] = {
    "no samples": {"layers": "20", "batch_size": 16, "n_sample": 0},
    "two layers": {"layers": "24/17", "batch_size": 20, "n_sample": 64, "momentum": 0.3, **DROPOUT},
    "H=100": {"layers": "100", "batch_size": 32, "n_sample": 2048, "momentum": 0.2},
    "H=224": {"layers": "224", "batch_size": 80, "n_sample": 512, "momentum": 0.4, **DROPOUT},
}
COMBINATIONS = {
    ", ".join(names): {"n_epochs": 1, **LOSSES[names[0]], **EMBEDDINGS[names[1]], **SIZES[names[2]]}
    for names in itertools.product(LOSSES, EMBEDDINGS, SIZES)
}


def write_log(path: Path, n_items: int, n_events: int) -> None:
    """A log of sessions of 2 to 10 events whose items follow a Zipf law."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 11, n_events // 6)
    cumulative = np.cumsum(1 / (np.arange(n_items) + 10.0))
    item = np.searchsorted(cumulative, rng.random(lengths.sum()) * cumulative[-1])
    session = np.repeat(np.arange(len(lengths)), lengths)
    lines = (f"{s}\t{i}\t{t}" for t, (s, i) in enumerate(zip(session, item, strict=True)))
    path.write_text("\n".join(["SessionId\tItemId\tTime", *lines]), encoding="utf-8")


class Tree:
    """A process that trains by the `gru4rec_fast` of a folder."""

    def __init__(self, folder: Path) -> None:
        environment = os.environ | {"PYTHONPATH": str(folder), "OMP_WAIT_POLICY": "PASSIVE"}
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "benchmarks" / "against_worker.py")],
            cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.instruction_sets: list[str] = self.answer()

    def tell(self, line: str) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """The next line, from JSON."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait()}")
        return json.loads(line)

    def ask(self, **request: Any) -> Any:
        """Send a request and read its first answer."""
        self.tell(json.dumps(request))
        return self.answer()


def built_worktree(revision: str) -> Path:
    """The commit's tree with its C++ module, under build/against."""
    done = subprocess.run(
        ["git", "rev-parse", "--verify", revision + "^{commit}"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"REV is {revision!r}; expected a commit of this repository, as HEAD~1")
    folder = ROOT / "build" / "against" / done.stdout.strip()[:12]
    if not folder.exists():
        add = ["git", "worktree", "add", "--detach", str(folder), done.stdout.strip()]
        subprocess.run(["git", "worktree", "prune"], cwd=ROOT, check=True)
        subprocess.run(add, cwd=ROOT, check=True, capture_output=True)
    if not list((folder / "gru4rec_fast").glob("_core*.so")):
        print(f"building {folder}", flush=True)
        build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        subprocess.run(build, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder


def compare_times(
    here: Tree, there: Tree, folder: Path, settings: list[str], threads: list[int], rounds: int
) -> None:
    print("| setting | threads | ms a step, then | now | now / then | quartiles |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, n in itertools.product(settings, threads):
        config = WORKLOADS[name]
        log = folder / f"{name}.tsv"
        if not log.exists():
            write_log(log, 20_000, STEPS[name] * config.batch_size)
        # The defaults are left out, as an older commit may not know their names.
        default = Config().to_dict()
        changed = {k: as_text(v) for k, v in config.to_dict().items() if v != default[k]}
        params = {**changed, "n_epochs": rounds + 1}
        request = {"do": "epochs", "params": params, "threads": n, "log": str(log)}
        trees = [there, here]
        times = [[tree.ask(**request)] for tree in trees]  # the first epoch warms up
        for turn in range(rounds):
            for i in (0, 1) if turn % 2 else (1, 0):
                trees[i].tell("")
                times[i].append(trees[i].answer())
        for tree in trees:
            tree.tell("")  # its training ends
        then, now = np.array(times)[:, 1:]
        low, middle, high = np.quantile(now / then, [0.25, 0.5, 0.75])
        print(
            f"| {name} | {n} | {np.median(then):.3f} | {np.median(now):.3f} | {middle:.3f} | "
            f"{low:.3f} to {high:.3f} |",
            flush=True,
        )


def compare_bits(here: Tree, there: Tree, folder: Path, threads: list[int]) -> bool:
    """Whether all parameters are equal."""
    log = folder / "bits.tsv"
    write_log(log, 2_000, 8_000)
    sets = [name for name in there.instruction_sets if name in here.instruction_sets]
    different = []
    for (name, params), n, instructions in itertools.product(COMBINATIONS.items(), threads, sets):
        request = {
            "do": "parameters", "params": params, "threads": n, "log": str(log),
            "instruction_set": instructions,
        }  # fmt: skip
        if here.ask(**request) != there.ask(**request):
            different.append(f"{name}; {n} threads, {instructions}")
    print("\n".join(f"different: {name}" for name in different))
    total = len(COMBINATIONS) * len(threads) * len(sets)
    print(
        f"{total - len(different)} of {total} trainings give the same parameters "
        f"({len(COMBINATIONS)} combinations; threads {threads}; {', '.join(sets)})"
    )
    return not different


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision", metavar="REV")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--settings", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--bits", action="store_true", help="compare parameters instead of times")
    options = parser.parse_args()
    here, there = Tree(ROOT), Tree(built_worktree(options.revision))
    with tempfile.TemporaryDirectory() as name:
        if not options.bits:
            compare_times(
                here, there, Path(name), options.settings, options.threads, options.rounds
            )
        elif not compare_bits(here, there, Path(name), options.threads):
            sys.exit(1)


if __name__ == "__main__":
    main()
