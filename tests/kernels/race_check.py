"""Look for races and stale values in every part of the GPU engine, in Triton's interpreter.

    python -m tests.kernels.race_check [--only TEXT] [--part 2/9] [--jobs 2]

Every option of `tests.options` that the Triton engine trains, with few lanes; each embedding with
each optimiser while lanes die; and each embedding over many tiles, with the tiles of both
precisions. What `races.faults_of` finds is printed, and the exit status is then 1. `--part 2/9`
takes every ninth case from the second on, so that nine shorter runs check them all.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

import torch

from gru4rec_fast.config import Config
from gru4rec_fast.engines.triton import TritonEngine
from gru4rec_fast.spec import NetworkSpec
from tests.options import EMBEDDINGS, EVERY_OPTION, OPTIMISERS

if TYPE_CHECKING:
    from tests.kernels.races import Case

SMALL: dict[str, Any] = {"layers": (20,), "batch_size": 6, "n_sample": 16}
DYING = {"n_sessions": 9, "steps": 6, "seed": 1}
WIDE = {"n_items": 300, "n_sessions": 90, "steps": 2}


def cases() -> dict[str, tuple[dict[str, Any], dict[str, Any], str]]:
    """Name -> arguments of Config, arguments of `planned_case`, precision."""
    found: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {}
    for option in EVERY_OPTION:
        options = dict(option.values[0])  # type: ignore[call-overload]
        if _trains({**SMALL, **options}):
            found[f"options {option.id}"] = {**SMALL, **options}, {}, "ieee"
    for embedding, optimiser in itertools.product(EMBEDDINGS, OPTIMISERS):
        options = {**EMBEDDINGS[embedding], **OPTIMISERS[optimiser], "momentum": 0.3}
        dying = {"layers": (9,), "batch_size": 8, "n_sample": 0}
        found[f"dying {embedding} {optimiser}"] = {**dying, **options}, DYING, "ieee"
    for embedding, lanes, precision in itertools.product(EMBEDDINGS, (24, 70), ("tf32", "ieee")):
        wide = {"layers": (40, 33), "batch_size": lanes, "n_sample": 150, "dropout_p_hidden": 0.3}
        options = {**wide, **EMBEDDINGS[embedding]}
        found[f"wide {embedding} {lanes} {precision}"] = options, WIDE, precision
    return found


def _trains(options: dict[str, Any]) -> bool:
    from gru4rec_fast.reference import OPTIMISERS as RULES

    config = Config().replace(**options)
    optimiser, spec = RULES[config.adapt](config), NetworkSpec.of(config, 50)
    reason = TritonEngine().supports(spec, optimiser, config, torch.device("cuda"), torch.float32)
    return reason is None


def check(name: str) -> list[str]:
    """What is wrong with a case."""
    from tests.kernels.races import faults_of, planned_case

    torch.set_num_threads(1)
    options, plan, precision = cases()[name]
    case: Case = planned_case(Config().replace(**options), **plan)
    case.precision = precision
    return faults_of(case)


def part_of(text: str) -> slice:
    """'2/9' as the slice that takes every ninth element from the second on."""
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{text!r} is no part; expected as 2/9, of 1/9 to 9/9")
    return slice(int(part) - 1, None, int(parts))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--only", default="", help="cases with this text in their names")
    parser.add_argument("--part", type=part_of, default="1/1", help="as 2/9: every ninth case")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    arguments = parser.parse_args()
    names = [name for name in cases() if arguments.only in name][arguments.part]
    if not names:
        print(f"no case of this part has {arguments.only!r} in its name", file=sys.stderr)
        return 2
    failed = 0
    os.environ["TRITON_INTERPRET"] = "1"  # of the spawned processes, which import Triton anew
    with ProcessPoolExecutor(arguments.jobs, multiprocessing.get_context("spawn")) as pool:
        running = {pool.submit(check, name): name for name in names}
        for done, future in enumerate(as_completed(running), 1):
            faults = future.result()
            failed += bool(faults)
            print(f"{done}/{len(names)} {running[future]}: {'; '.join(faults) or 'ok'}", flush=True)
    print(f"{len(names) - failed} cases passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
