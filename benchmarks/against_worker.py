"""Trains by whatever `gru4rec_fast` is on the path; the other side of `benchmarks/against.py`.

Run as a script, with the tree of a commit in PYTHONPATH. Each line of standard input is a request
in JSON, answered by lines of JSON. Of training it uses `GRU4Rec.fit` and `EpochReport` alone, which
every version has; and `plan_epoch` to time the planning (`benchmarks/planning.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import gru4rec_fast
from gru4rec_fast import GRU4Rec, _core
from gru4rec_fast.plan.epoch import plan_epoch
from gru4rec_fast.plan.negatives import negative_sampler

if TYPE_CHECKING:
    from collections.abc import Callable


def fit(request: dict[str, Any], on_epoch: Callable[[Any], None] | None = None) -> GRU4Rec:
    torch.set_num_threads(request["threads"])
    _core.use_instruction_set(request.get("instruction_set") or _core.instruction_sets()[0])
    gru = GRU4Rec(**request["params"], device="cpu")
    return gru.fit(request["log"], progress=False, on_epoch=on_epoch)


def parameters(request: dict[str, Any]) -> None:
    """Answer with a checksum of each parameter after training."""
    tensors = fit(request).model.state_dict().items()
    answer({name: hashlib.sha256(t.numpy().tobytes()).hexdigest() for name, t in tensors})


def epochs(request: dict[str, Any]) -> None:
    """Answer with milliseconds a step after each epoch; start the next at the next line."""

    def on_epoch(report: Any) -> None:
        answer(1e3 * report.seconds / report.minibatches)
        sys.stdin.readline()

    fit(request, on_epoch)


def plans(request: dict[str, Any]) -> None:
    """Answer with seconds a step to plan an epoch, the mean of `rounds`; if 0, with its digest."""
    log = sessions(request["log"])
    sampler = negative_sampler(log.support, request["alpha"])
    threads = {"threads": request["threads"]} if request["threads"] > 1 else {}
    settings = {name: request[name] for name in ("batch_size", "n_sample")}
    digest, steps, seconds = hashlib.sha256(), 0, 0.0
    for _ in range(request["rounds"] or 1):
        start = time.perf_counter()
        with plan_epoch(log, sampler, seed=1, first_step=0, **settings, **threads) as blocks:
            for block in blocks:
                steps += len(block)
                if not request["rounds"]:
                    for name, value in sorted(vars(block).items()):
                        if name == "first_lane":  # older commits have none
                            continue
                        digest.update(name.encode() + np.asarray(value).tobytes())
        seconds += time.perf_counter() - start
    answer(seconds / steps if request["rounds"] else digest.hexdigest())


@lru_cache(maxsize=1)
def sessions(path: str) -> SimpleNamespace:
    """Of a file with the arrays of `plan_epoch`'s sessions and the support of the items."""
    return SimpleNamespace(**np.load(path))


def answer(value: Any) -> None:
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    tree = Path(os.environ["PYTHONPATH"])
    if tree not in Path(gru4rec_fast.__file__).parents:
        sys.exit(f"gru4rec_fast was imported from {gru4rec_fast.__file__}; expected {tree}")
    answer(_core.instruction_sets())
    for line in sys.stdin:
        order = json.loads(line)
        {"parameters": parameters, "epochs": epochs, "plans": plans}[order["do"]](order)
